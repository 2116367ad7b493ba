"""The days and hours that people write, in English, German, Spanish and French; pure.

A day is read from the day on which it was written, and is never one that is over. What may be two days is none.
"""

import re
from calendar import monthrange
from collections.abc import Callable, Iterable, Mapping
from datetime import date, datetime, time, timedelta
from typing import Literal

from tidings.mailer.plain_lines import fold

Language = Literal["en", "de", "es", "fr"]

MONTHS = (
    *("january januar jänner enero janvier", "february februar febrero février fevrier", "march märz maerz marzo mars"),
    *(
        "april abril avril",
        "may mai mayo",
        "june juni junio juin",
        "july juli julio juillet",
        "august agosto août aout",
    ),
    *("september septiembre setiembre septembre", "october oktober octubre octobre"),
    *("november noviembre novembre", "december dezember diciembre décembre decembre"),
)
"""The names of each month, in all the languages."""

_WEEKDAYS = (
    *("monday montag lunes lundi", "tuesday dienstag martes mardi", "wednesday mittwoch miércoles mercredi"),
    *("thursday donnerstag jueves jeudi", "friday freitag viernes vendredi"),
    *("saturday samstag sonnabend sábado samedi", "sunday sonntag domingo dimanche"),
)
# Short ones are read in their own language alone: "by Sam" and "by Mo" name people.
_SHORT_WEEKDAYS: Mapping[Language, str] = {
    "en": "mon tue,tues wed,weds thu,thur,thurs fri sat sun",
    "de": "mo di mi do fr sa so",
    "es": "lun mar mie jue vie sab dom",
    "fr": "lun mar mer jeu ven sam dim",
}
_NUMBERS = (
    *("one a an ein eine einem einer einen un una uno une", "two zwei dos deux", "three drei tres trois"),
    *("four vier cuatro quatre", "five fünf cinco cinq", "six sechs seis"),
)
_LENGTH = 60  # characters that a day has at most
_FARTHEST = timedelta(days=3660)
_SHORT = 3  # letters that a month has at least

_ARTICLE = re.compile(r"^(?:on|the|am|den|dem|der|zum|el|al|del|le|au|du) ")
_NEXT = re.compile(
    r"^(?:(?:the )?(?:next|coming|this)|nachste[nrs]?|kommende[nrs]?|diese[nrs]?|(?:el |la )?(?:proxim[oa]|este)|ce) "
    r"| (?:prochaine?|proxim[oa]|que viene)$"
)
_IN_NEXT_WEEK = re.compile(r"^(.+) (?:of )?(?:next week|(?:der )?nachste[rn]? woche|de la proxima semana)$")
_ISO = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})")
_DAY_MONTH = re.compile(
    r"([0-9]{1,2})(?:st|nd|rd|th|er|ro|o|\.)? ?(?:of |de |d')?([a-z]{3,10})\.?,?(?: (?:de |del )?([0-9]{4}))?"
)
_MONTH_DAY = re.compile(r"([a-z]{3,10})\.? ([0-9]{1,2})(?:st|nd|rd|th)?,?(?: ([0-9]{4}))?")
_DOTS = re.compile(r"([0-9]{1,2})\. ?([0-9]{1,2})(\.)?(?: ?((?:[0-9]{2}){1,2}))?")
_SLASHES = re.compile(r"([0-9]{1,2})[/-]([0-9]{1,2})(?:[/-]((?:[0-9]{2}){1,2}))?")
_OF_MONTH = re.compile(r"([0-9]{1,2})(st|nd|rd|th|\.)?")
_IN = re.compile(
    r"(?:in|within|innerhalb|innerhalb von|binnen|en|dentro de|dans|sous|d'ici) ([0-9]{1,2}|[a-z]{1,6}) ([a-z]{3,8})"
)
_UNITS = (
    ("days", "day days tag tage tagen dia dias jour jours"),
    ("weeks", "week weeks woche wochen semana semanas semaine semaines"),
    ("months", "month months monat monate monaten mes meses mois"),
)
_END_OF = re.compile(r"(?:the )?(?:end of|ende|fin de|finales de|fin) (?:the )?([a-z]{3,10})")
_HOUR = re.compile(
    r"(?:\b(?:at|um|a las|a la|a|gegen|ab) )?(?<![0-9./:-])"
    r"(?:([0-9]{1,2})(?::|h|(\.))([0-9]{2})(?: ?(am|pm|a\.m\.|p\.m\.|(?:uhr|h|hrs|hours|horas|heures)\b))?"
    r"|([0-9]{1,2}) ?(am|pm|a\.m\.|p\.m\.|(?:uhr|h|hrs|hours|horas|heures?)\b)|\b(noon|mittags?|mediodia|midi)\b)"
    r"(?![0-9:])"
)


def read(text: str, today: date, *, earliest: date, language: Language | None = None) -> date | None:
    """The day that a text is, not before `earliest`; None where it is none, may be two, or is over.

    Without a year it is the first one. `language` is that of the words around it, and decides what 3/11 and `mar` are.
    """
    folded = fold(text[:_LENGTH]).strip(" ,") if len(text) <= _LENGTH else ""
    found = (
        _relative(folded, today) or _of_week(folded, today, earliest, language) or _dated(folded, earliest, language)
    )
    return found if found and earliest <= found <= today + _FARTHEST else None


def moment(text: str, today: date, *, language: Language | None = None) -> datetime | None:
    """The day and hour of wall-clock time that a text is, today or later; None where one is missing or may be two."""
    folded = re.sub(r"(?<=[0-9])t(?=[0-9])", " ", fold(text)) if len(text) <= _LENGTH else ""
    hours = ((found, at) for found in _HOUR.finditer(folded) if (at := _hour(found)) is not None)
    found, at = next(hours, (None, None))
    if found is None or at is None:
        return None
    said = " ".join(f"{folded[: found.start()]} {folded[found.end() :]}".split()).strip(" ,")
    day = read(said, today, earliest=today, language=language)
    if day is None or _may_be_two(said, day, today):
        return None
    return datetime.combine(day, at)


def looks_dated(text: str) -> bool:
    """Whether a text has the name of a weekday or a month, a number or a word such as tomorrow in it."""
    words = re.findall(r"[a-z]+|[0-9]+", fold(text[: 4 * _LENGTH]))
    return any(word.isdigit() or word in _DAY_WORDS for word in words)


# --- days by their distance -----------------------------------------------------------------------------------------


def _relative(text: str, today: date) -> date | None:
    if by_name := _BY_NAME.get(text):
        return by_name(today)
    if found := _IN.fullmatch(text):
        number = int(found[1]) if found[1].isdigit() else _NUMBER.get(found[1], 0)
        unit = next((unit for unit, names in _UNITS if found[2] in names.split()), None)
        if number and unit:
            return _month_on(today, number) if unit == "months" else today + timedelta(**{unit: number})
    if (found := _END_OF.fullmatch(text)) and (month := _MONTH.get(found[1])):
        return _end_of_month(today.replace(year=today.year + (month < today.month), month=month, day=1))
    return None


def _month_on(today: date, months: int) -> date:
    years, month = divmod(today.month - 1 + months, 12)
    year = today.year + years
    return date(year, month + 1, min(today.day, monthrange(year, month + 1)[1]))


def _end_of_month(day: date) -> date:
    return day.replace(day=monthrange(day.year, day.month)[1])


def _end_of_week(day: date) -> date:
    """Sunday: people who work in shifts have no other last day."""
    return day + timedelta(days=6 - day.weekday())


def _named(names: str, day: Callable[[date], date]) -> dict[str, Callable[[date], date]]:
    return dict.fromkeys((fold(name) for name in names.split("; ")), day)


_BY_NAME: Mapping[str, Callable[[date], date]] = {
    **_named("today; tonight; heute; heute abend; hoy; aujourd'hui; ce soir", lambda today: today),
    **_named("tomorrow; morgen; mañana; demain", lambda today: today + timedelta(days=1)),
    **_named(
        "day after tomorrow; the day after tomorrow; übermorgen; pasado mañana; après-demain; apres demain",
        lambda today: today + timedelta(days=2),
    ),
    **_named(
        "end of week; end of the week; end of this week; the end of the week; this week; eow; week's end;"
        " ende der woche; ende dieser woche; wochenende; diese woche; fin de semana; el fin de semana; esta semana;"
        " final de la semana;"
        " fin de semaine; la fin de semaine; la fin de la semaine; fin de la semaine; cette semaine",
        _end_of_week,
    ),
    **_named(
        "next week; end of next week; the end of next week; nächste woche; ende nächster woche; kommende woche;"
        " ende kommender woche; la próxima semana; próxima semana; la semana que viene; fin de la próxima semana;"
        " la semaine prochaine; semaine prochaine; fin de la semaine prochaine; la fin de la semaine prochaine",
        lambda today: _end_of_week(today) + timedelta(days=7),
    ),
    **_named(
        "end of month; end of the month; end of this month; the end of the month; this month; month's end; month end;"
        " eom; monatsende; ende des monats; ende dieses monats; ende monat; diesen monat; fin de mes; fin del mes;"
        " el fin de mes; final de mes; final del mes; finales de mes; este mes; fin du mois; la fin du mois;"
        " fin de mois; ce mois",
        _end_of_month,
    ),
    **_named(
        "next month; end of next month; the end of next month; nächsten monat; ende nächsten monats; el próximo mes;"
        " próximo mes; el mes que viene; fin del próximo mes; le mois prochain; mois prochain; la fin du mois prochain",
        lambda today: _end_of_month(_month_on(today.replace(day=1), 1)),
    ),
    **_named(
        "end of year; end of the year; the end of the year; jahresende; ende des jahres; fin de año; fin del año;"
        " fin d'année; fin de l'année; la fin de l'année",
        lambda today: date(today.year, 12, 31),
    ),
}


# --- weekdays -------------------------------------------------------------------------------------------------------


def _of_week(text: str, today: date, earliest: date, language: Language | None) -> date | None:
    """The next weekday of a name; with a day behind it that day, if it is such a weekday."""
    if week := _IN_NEXT_WEEK.fullmatch(text):
        weekday = _weekday(_ARTICLE.sub("", week[1], count=1), language)
        return None if weekday is None else today + timedelta(days=7 - today.weekday() + weekday)
    bare = _NEXT.sub("", _ARTICLE.sub("", text, count=1), count=1)
    word, _, behind = bare.partition(" ")
    weekday = _weekday(word, language)
    if weekday is None:
        return None
    if not behind:
        after = max(earliest, today + timedelta(days=1))
        return after + timedelta(days=(weekday - after.weekday()) % 7)
    dated = _dated(behind, earliest, language)
    return dated if dated and dated.weekday() == weekday else None


def _weekday(word: str, language: Language | None) -> int | None:
    name = word.strip(".,")
    if name in _WEEKDAY:
        return _WEEKDAY[name]
    for one, short in _SHORT_WEEKDAY.items():
        if name in short and one in (language, "en"):
            return short[name]
    return None


def _may_be_two(said: str, day: date, today: date) -> bool:
    """Whether a weekday is said in words that some mean a week earlier or later by."""
    is_named = not re.search(r"[0-9]", said) and said not in _BY_NAME and not _IN_NEXT_WEEK.fullmatch(said)
    if not is_named:
        return False
    is_next = re.search(r"\b(?:next|nachste[nrs]?|proxim[oa]|prochaine?)\b", said) is not None
    return day.weekday() == today.weekday() or (is_next and day <= _end_of_week(today))


# --- days by number and month ---------------------------------------------------------------------------------------


def _dated(text: str, earliest: date, language: Language | None) -> date | None:
    article = _ARTICLE.match(text)
    bare = text[article.end() :] if article else text
    if found := _ISO.fullmatch(bare):
        return _date(int(found[1]), int(found[2]), int(found[3]))
    if (found := _DAY_MONTH.fullmatch(bare)) and found[2] in _MONTH:
        return _in_year(found[3], _MONTH[found[2]], int(found[1]), earliest)
    if (found := _MONTH_DAY.fullmatch(bare)) and found[1] in _MONTH:
        return _in_year(found[3], _MONTH[found[1]], int(found[2]), earliest)
    if (found := _DOTS.fullmatch(bare)) and (found[3] or language == "de"):
        return _in_year(found[4], int(found[2]), int(found[1]), earliest)
    if found := _SLASHES.fullmatch(bare):
        return _slashed(int(found[1]), int(found[2]), found[3], earliest, language)
    found = _OF_MONTH.fullmatch(bare)
    return _next_of_month(int(found[1]), earliest) if found and (found[2] or article) else None


def _slashed(first: int, second: int, year: str | None, earliest: date, language: Language | None) -> date | None:
    """3/11 is 3 November in most languages, and 11 March to some who write English."""
    if second > 12 and language == "en":
        return _in_year(year, first, second, earliest)
    if first <= 12 and first != second and language not in ("de", "es", "fr"):
        return None
    return _in_year(year, second, first, earliest)


def _in_year(year: str | None, month: int, day: int, earliest: date) -> date | None:
    if year:
        return _date(int(year) + (2000 if len(year) == 2 else 0), month, day)
    years = range(earliest.year, earliest.year + 9)  # 29 February may be eight years away
    return next((found for one in years if (found := _date(one, month, day)) and found >= earliest), None)


def _next_of_month(day: int, earliest: date) -> date | None:
    months = (_month_on(earliest.replace(day=1), one) for one in range(3))
    return next((at for one in months if (at := _date(one.year, one.month, day)) and at >= earliest), None)


def _date(year: int, month: int, day: int) -> date | None:
    try:
        return date(year, month, day)
    except ValueError:
        return None


def _hour(found: re.Match[str]) -> time | None:
    hour, dot, minute, half, hour_alone, half_alone, noon = found.groups()
    if noon:
        return time(12)
    if dot and not half and not found[0].startswith(("um ", "at ", "a las ")):
        return None  # 15.10 may be a day
    number, mark = int(hour or hour_alone), (half or half_alone or "")[:1]
    if mark in ("a", "p"):
        if not 1 <= number <= 12:
            return None
        number = number % 12 + (12 if mark == "p" else 0)
    return time(number, int(minute or 0)) if number < 24 and int(minute or 0) < 60 else None


def _each(names: Iterable[str], first: int) -> dict[str, int]:
    return {fold(name): number for number, line in enumerate(names, first) for name in line.replace(",", " ").split()}


def _beginnings() -> dict[str, int]:
    """The number of each month by all that begins its names, and those of no other."""
    found: dict[str, set[int]] = {}
    for name, number in _each(MONTHS, 1).items():
        for end in range(_SHORT, len(name) + 1):
            found.setdefault(name[:end], set()).add(number)
    return {begin: numbers.pop() for begin, numbers in found.items() if len(numbers) == 1}


_MONTH = _beginnings()
_WEEKDAY = _each(_WEEKDAYS, 0)
_SHORT_WEEKDAY = {language: _each(names.split(" "), 0) for language, names in _SHORT_WEEKDAYS.items()}
_NUMBER = _each(_NUMBERS, 1)
_DAY_WORDS = frozenset(
    {
        *_MONTH,
        *_WEEKDAY,
        *(word for word in _BY_NAME if " " not in word),
        *_SHORT_WEEKDAY["en"],
        *("week", "woche", "semana", "semaine"),
    }
)
