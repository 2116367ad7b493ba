"""What an answer to an agenda says beside plain text: who comes, seconds, offers, withdraws, and what leaders change.

It does nothing of it, and knows neither the agenda nor who wrote. What may as well be a sentence is one: a post.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Literal

from tidings.mailer import days
from tidings.mailer.agenda_phrases import Meaning, Phrased, key, meanings, withdrawn
from tidings.mailer.commands import Problem
from tidings.mailer.days import Language
from tidings.mailer.plain_lines import bare, clean, own
from tidings.mailer.topics import Topic as Topic
from tidings.mailer.topics import has_topics as has_topics
from tidings.mailer.topics import topics as topics
from tidings.threading import signatures

Verb = Literal[Phrased, "order", "time", "place", "move"]

_MOST_LINES = 60
_LINE_LENGTH = 400
_PLACE_LENGTH = 200
_LONGEST = 240  # minutes of an item
_WORDS_BELOW, _LINES_BELOW, _LINE_WORDS_BELOW = 4, 6, 8
_COMING: frozenset[Meaning] = frozenset(("yes", "no", "maybe"))
_OFFERS: frozenset[Meaning] = frozenset(("lead", "host", "scribe", "second"))
_OF_ITEMS: frozenset[Verb] = frozenset(("second", "lead", "withdraw", "done", "drop", "time", "swap"))

_ITEM = r"(?:items?|topics?|points?|numbers?|punkte?|themen|thema|top|puntos?|temas?|sujets?|numéros?|nr\.?|no\.|nº)"
_NUMBER = r"#\s?[0-9]{1,3}(?![\w.-])"
_AND = r"(?:\s?[,&]\s?(?:and |und |y |et )?|\s(?:and|und|y|et)\s)"
_FOR = (
    r"(?:for|on|at|of|to|from|about|fürs?|zum?|zur|bei|von|auf|para|sobre|del?|en|al?|pour|sur|au|du|my|mein|meinen|mi|mon|"
    r"the|das|el|la|le)"
)
_LEADING = re.compile(
    rf"(?i)(?:{_ITEM}\s)?({_NUMBER}(?:{_AND}{_NUMBER})*)\s?(?:[:.)=>–—-]+(?=\s|$))?\s*"
    rf"|([0-9]{{1,3}}):(?=\s|$)\s*|{_ITEM}\s([0-9]{{1,3}})\s?(?:[:)=>–—-]+(?=\s|$)|(?=\s|$))\s*"
)
_INSIDE = re.compile(
    rf"(?i)(?:\s{_FOR}){{0,3}}\s(?:{_ITEM}\s)?({_NUMBER}(?:{_AND}{_NUMBER})*)"
    rf"|(?:\s{_FOR}){{0,3}}\s{_ITEM}\s([0-9]{{1,3}}(?:{_AND}[0-9]{{1,3}})*)(?=[\s,.!:;]|$)"
)
_PLAIN_NUMBERS = re.compile(rf"(?i)([^\W\d_]{{4,12}})\s([0-9]{{1,3}}(?:{_AND}[0-9]{{1,3}})*)[.!]?")
_DIGITS = re.compile(r"[0-9]{1,3}")
_PIECES = re.compile(r"(?i)\s*[,;.!…]+(?:\s+|$)|\s+[–—-]+\s+|\s+(?:and|und|y|e|et)\s+|\s*[:;]-?[)D]+(?:\s+|$)|[😀-🙏]+")
_GREETING = re.compile(
    r"(?i)(?:hi|hello|hey|dear|hallo|liebe[rs]?|moin|guten (?:tag|morgen|abend)|servus|hola|buen[oa]s(?: \w{4,6})?"
    r"|querid[oa]s?|bonjour|bonsoir|salut|ch[eè]re?s?|good (?:morning|evening|afternoon))(?: [^\W\d_]{1,15}){0,3}"
)
_SMILE = re.compile(r"\s*(?::-?[)D]|;-?\)|\^\^)+$")
_ADDRESS = r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,5}"
_WITH = re.compile(
    r"(?i)(?:(?:please|can i|i'd like to|i want to|i will|i'll|bitte|ich möchte|ich|por favor|je voudrais)\s){0,3}"
    r"(?:(?:swap|trade|switch|exchange)(?: it| this| turns| places)? with|(?:pass|hand)(?: it| this)?(?: on| over)? to|"
    r"(?:tauschen?|tausch|wechsle) mit|(?:weitergeben|gib es weiter|ich gebe weiter|übergeben) an|"
    r"(?:cambiar|cambio|intercambiar|cámbialo) con|(?:pasarlo|pásalo|pasar|paso) a|"
    r"(?:échanger|échange|j'échange|permuter) avec|(?:passer la main|je passe la main|passe la main|passer) à)"
    r"(?:\s(.*))?$"
)
_PERSON = re.compile(
    rf"(?:[\w .'-]{{0,60}}<)?(?:mailto:)?({_ADDRESS})>?"
    r"|@?([^\W\d_][\w'.-]{0,39}(?: [^\W\d_a-z][\w'.-]{0,39}){0,3})"
)
_ORDER = re.compile(r"(?i)(?:new )?(?:order|reihenfolge|orden|ordre|ordnung)\b\s?(:?)\s*(.*)$")
_THEN = re.compile(r"(?i)\b(?:then|and|dann|und|luego|después|y|puis|ensuite|et)\b|[#,;>→.\s/-]+")
_TIME = re.compile(
    r"(?i)(?:time|zeit|dauer|tiempo|duración|temps|durée|duration|minutes|minuten|minutos)\b\s?([:=]?)\s*(.*)$"
)
_MINUTES = re.compile(
    r"(?i)(?:(?:give|make|allow|needs?|gib|braucht|dar|necesita|donner|il faut)(?: it| ihm)? )?"
    r"(?:([0-9]{1,4})\s?(?:min(?:s|ute[ns]?|utos?)?\.?|['′])"
    r"|([0-9]{1,2})\s?(?:h|hours?|stunden?|horas?|heures?)(?:\s?([0-9]{1,2})(?:\s?min)?)?)"
    r"(?: please| bitte| por favor| svp)?[.!]?"
)
_SPELLED = {
    **dict.fromkeys(
        ("half an hour", "halbe stunde", "eine halbe stunde", "media hora", "une demi heure", "demi heure"), 30
    ),
    **dict.fromkeys(("an hour", "one hour", "eine stunde", "una hora", "une heure"), 60),
}
_PLACE = re.compile(
    r"(?i)(?:new )?(place|location|venue|where|link|ort|treffpunkt|wo|lugar|dónde|enlace|lieu|endroit|où|lien|"
    r"(room|raum|zimmer|sala|salle))\s?:\s*(.*)$"
)
_MEETING = (
    r"(?:the meeting|this meeting|meeting|it|this|the session|das treffen|das meeting|treffen|die sitzung|es|"
    r"la reunión|la reunion|lo|reunión|la sesión|la réunion|réunion|la séance)"
)
_MOVING: Mapping[
    Language, tuple[str, str, str]
] = {  # verbs, what is between them and the day, what stands before a colon
    "en": (
        "moved?|rescheduled?|postponed?|shift(?:ed)?|is moved|put off",
        "to|until|till",
        "moved?|new (?:time|date|day|hour)",
    ),
    "de": (
        "verschieben?|verschoben|verlegen?|verlegt|verschiebt",
        "auf|in|zu",
        "neuer? (?:termin|zeit|tag)|verschoben|verschieben",
    ),
    "es": (
        "mover|mueve|movemos|movid[ao]|trasladar|aplazar|aplazada|posponer|cambiar",
        "al?|para(?: el)?|hasta",
        "nuev[ao] (?:fecha|hora|día)|mover",
    ),
    "fr": (
        "déplacer?|déplacée?|reporter?|reportée?|décaler?|décalée?|reportons",
        "à|au|pour(?: le)?",
        "nouvelle (?:date|heure)|nouveau jour|déplacer",
    ),
}
_MOVES = {
    language: re.compile(
        rf"(?i)(?:(?:please |bitte |por favor,? |on |wir )?(?:{verbs})(?: {_MEETING})? (?:{to})|(?:{before})\s?:) (.+)$"
    )
    for language, (verbs, to, before) in _MOVING.items()
}
_MOVE_LAST = re.compile(rf"(?i)(?:{_MEETING} )?auf (.+) (?:verschieben|verlegen|verschoben|verlegt)[.!]?$")
_MOVE_ALONE = re.compile(
    r"(?i)(?:please )?(?:move|reschedule|postpone|verschieben|mover|aplazar|déplacer|reporter)[.!]?"
)
_POLITE_END = re.compile(r"(?i)[,.! ]*(?:\b(?:please|bitte|por favor|svp|thanks|danke|gracias|merci)[.!]*)?$")
_MEANT, _SURELY_MEANT = 8, 3  # words of a day that cannot be read

_HINT_MOVE = "Write the day and the hour to come, like this: move to Wed 21 Oct 15:00 (or 2026-10-21 15:00)"
_HINT_ORDER = "Write each number once, like this: order 2 1 3"
_HINT_TIME = f"Write the item and its minutes, at most {_LONGEST}, like this: #2 20 min"
_HINT_PLACE = f"Write the place in at most {_PLACE_LENGTH} characters, like this: place: room 4"
_HINT_SWAP = "Write with whom, like this: swap with @ana (or swap with ana@example.org), or just: swap"


@dataclass(frozen=True, kw_only=True)
class AgendaWord:
    """One thing that is said.

    `item` is the number that it names; None: what it was sent to. `argument` is in one spelling: of `order` numbers
    ("2 1 3"), of `time` minutes, of `move` the wall-clock time (ISO, "2026-10-21T15:00"), of `place` a text, of `swap`
    a name or address or nothing, of `withdraw` "topic", "second", "offer" or nothing. `line` is as it was written.
    """

    verb: Verb
    item: int | None = None
    argument: str = ""
    line: str = ""


@dataclass(frozen=True, kw_only=True)
class _Said:
    """A line's words with their arguments, and the items that the line names; no word where it is only polite."""

    words: tuple[tuple[Verb, str], ...] = ()
    numbers: tuple[int, ...] = ()


_Read = _Said | Problem | None


def read(text: str, today: date) -> tuple[AgendaWord, ...] | Problem | None:
    """What an answer's own text says, a word to a line; None where it is prose, a Problem where a word cannot be read.

    A greeting may stand above, thanks, regards and a name below. `today` is the day in the writer's zone.
    """
    lines = [line for line in own(text) if line.strip()]
    while lines and signatures.is_sent_from(lines[-1]):
        lines.pop()
    if len(lines) > _MOST_LINES:
        return None
    words: list[AgendaWord] = []
    problem: Problem | None = None
    under: tuple[int, ...] = ()
    for at, line in enumerate(lines):
        numbers, rest = _numbered(bare(line)) if len(line) <= _LINE_LENGTH else ((), "")
        if numbers and not rest:
            under = numbers
            continue
        is_read = bool(words or problem)
        if is_read and signatures.is_closing(line) and _is_closing(lines[at:]):
            break
        said = _read_line(rest, numbers or under, today) if rest else None
        if said is None:
            if not is_read or not _is_closing(lines[at:]):
                return None
            break
        if isinstance(said, Problem):
            problem = problem or said
            continue
        here = numbers or said.numbers
        under = here or under
        words += _dealt(said, here, under, line.strip())
    if len({word.verb for word in words if word.verb in _COMING}) > 1:  # a yes and a no: people must read it
        return None
    return problem or tuple(words) or None


def _numbered(line: str) -> tuple[tuple[int, ...], str]:
    """The numbers with which a line begins, and the line without them."""
    found = _LEADING.match(line)
    return (_numbers(found[0]), line[found.end() :].strip()) if found else ((), line)


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(dict.fromkeys(int(one) for one in _DIGITS.findall(text)))


def _dealt(said: _Said, here: Sequence[int], under: Sequence[int], line: str) -> Iterator[AgendaWord]:
    """The words of a line, each for each item that it is for."""
    for verb, argument in said.words:
        for item in here or (under if verb in _OF_ITEMS else ()) or (None,):
            yield AgendaWord(verb=verb, item=item, argument=argument, line=line)


# --- one line -------------------------------------------------------------------------------------------------------


def _read_line(line: str, items: Sequence[int], today: date) -> _Read:
    """What a line says, numbers at its beginning left out; `items` are those that it is known to be for."""
    if line.endswith("?"):
        return None
    for reader in (_place, _order):
        if (said := reader(line)) is not None:
            return said
    if (said := _move(line, today)) is not None or (said := _time(line, items, today)) is not None:
        return said
    inside: list[int] = []
    for found in _INSIDE.finditer(line):
        inside += _numbers(found[0])
    rest = " ".join(_INSIDE.sub(" ", line).split()) if inside else line
    if (plain := _PLAIN_NUMBERS.fullmatch(rest)) and not items and meanings(plain[1]):
        inside, rest = list(_numbers(plain[2])), plain[1]
    said = _swap(rest) if _WITH.match(rest) else _phrases(rest)
    if said is None and inside and not items:
        said = _time(rest, inside, today)
    return said if not isinstance(said, _Said) else _Said(words=said.words, numbers=tuple(dict.fromkeys(inside)))


def _place(line: str) -> _Read:
    found = _PLACE.fullmatch(line)
    if not found:
        return None
    place = clean(found[3])
    if not place or len(place) > _PLACE_LENGTH:
        return Problem(hint=_HINT_PLACE)
    return _Said(words=(("place", f"{found[2].lower()} {place}" if found[2] else place),))


def _order(line: str) -> _Read:
    found = _ORDER.fullmatch(line)
    if not found:
        return None
    rest = _THEN.sub(" ", found[2]).split()
    if any(not one.isdigit() for one in rest):
        return Problem(hint=_HINT_ORDER) if found[1] and rest[0].isdigit() else None  # "order new seals" is a sentence
    if not rest or len(set(rest)) != len(rest) or any(len(one) > 3 for one in rest):
        return Problem(hint=_HINT_ORDER)
    return _Said(words=(("order", " ".join(str(int(one)) for one in rest)),))


def _move(line: str, today: date) -> _Read:
    if _MOVE_ALONE.fullmatch(line):
        return Problem(hint=_HINT_MOVE)
    for language, pattern in _MOVES.items():
        if found := pattern.fullmatch(line) or (_MOVE_LAST.fullmatch(line) if language == "de" else None):
            said = _POLITE_END.sub("", found[1])
            if moment := days.moment(said, today, language=language):
                return _Said(words=(("move", moment.isoformat(timespec="minutes")),))
            count = len(said.split())
            is_meant = count <= _SURELY_MEANT or (count <= _MEANT and days.looks_dated(said))
            return Problem(hint=_HINT_MOVE) if is_meant else None
    return None


def _time(line: str, items: Sequence[int], today: date) -> _Read:
    """Minutes of an item. Without its number or the word for time they are an answer to somebody: "20 min"."""
    named = _TIME.fullmatch(line)
    if not named and not items:
        return None
    said = named[2] if named else line
    minutes = _minutes(said, plain=named is not None)
    if minutes is not None:
        return _Said(words=(("time", str(minutes)),)) if 0 < minutes <= _LONGEST else Problem(hint=_HINT_TIME)
    if named and named[1] and (moment := days.moment(said, today)):
        return _Said(words=(("move", moment.isoformat(timespec="minutes")),))
    is_meant = named and (not said or (named[1] and len(said.split()) <= _SURELY_MEANT and said[0] != "@"))
    # "minutes: Ana" and "minutes: me" are about who writes them.
    return Problem(hint=_HINT_TIME) if is_meant and named and not named[0].lower().startswith("minut") else None


def _minutes(said: str, *, plain: bool) -> int | None:
    if plain and (found := re.fullmatch(r"(?:#?\s?)([0-9]{1,4})[.!]?", said)):
        return int(found[1])
    if spelled := _SPELLED.get(key(said)):
        return spelled
    found = _MINUTES.fullmatch(said)
    if not found:
        return None
    return int(found[1]) if found[1] else 60 * int(found[2]) + int(found[3] or 0)


def _swap(line: str) -> _Read:
    """A swap with somebody; what stands where a name would, and is none, makes a sentence of it."""
    found = _WITH.fullmatch(line)
    said = re.sub(
        r"(?i)[,.!]* ?(?:please|bitte|por favor|svp|thanks|danke|gracias|merci)?[.!]*$", "", (found and found[1]) or ""
    )
    if not said:
        return Problem(hint=_HINT_SWAP)
    person = _PERSON.fullmatch(said)
    return _Said(words=(("swap", person[1] or person[2]),)) if person else None


def _phrases(line: str) -> _Read:
    """What the phrases of a line say together; None where one of them is not known, or they contradict each other."""
    found: list[Meaning] = []
    argument, polite = "", False
    for piece in _PIECES.split(_SMILE.sub("", line)):
        if not piece.strip() or _is_greeting(piece, first=not found):
            continue
        meant = meanings(piece)
        if meant is None and not (polite and _is_name(piece)):
            return None
        found += meant or ()
        polite = meant == ("nothing",)
        argument = argument or withdrawn(piece)
    verbs = _together(found)
    return None if verbs is None else _Said(words=tuple((verb, argument) for verb in verbs))


def _is_greeting(piece: str, *, first: bool) -> bool:
    return first and _GREETING.fullmatch(piece) is not None


def _is_name(piece: str) -> bool:
    return re.fullmatch(r"[^\W\d_][\w'-]{0,20}(?: [^\W\d_a-z][\w.'-]{0,20}){0,2}", piece) is not None


def _together(found: Sequence[Meaning]) -> tuple[Verb, ...] | None:
    """The words of a line from the meanings of its phrases: "yes, I can lead" is an offer, "no, on nights" a no."""
    said = set(found) - {"nothing", "away"}
    others = said - set(_COMING)
    if not said:
        return None if "away" in found else ()
    if "away" in found and not said & {"no", "maybe", "swap", "withdraw"}:
        return None
    if others:
        verbs = tuple(one for one in dict.fromkeys(found) if one != "nothing" and one != "away" and one in others)
        return verbs if len(others) == 1 or others <= _OFFERS else None
    if "maybe" in said:
        return ("maybe",)
    return None if len(said) > 1 else ("yes",) if "yes" in said else ("no",)


def _is_closing(lines: Sequence[str]) -> bool:
    """Whether lines are no more than thanks, regards and a name."""
    if signatures.is_closing(lines[0]) or signatures.is_name(lines[0]):
        return len(lines) <= _LINES_BELOW and all(len(line.split()) <= _LINE_WORDS_BELOW for line in lines)
    if sum(len(line.split()) for line in lines) > _WORDS_BELOW:
        return False
    return all(_is_name(line.strip(" ,.!-–—")) or _is_polite(line) for line in lines)


def _is_polite(line: str) -> bool:
    pieces = [piece for piece in _PIECES.split(line) if piece.strip()]
    return all(meanings(piece) == ("nothing",) or _is_name(piece) for piece in pieces)
