"""The commands that members mail, one to a line: read, or refused with what to write instead.

It knows no member and does nothing of what is asked for. No hint repeats a text of the mail: anybody may have sent it.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from itertools import islice
from typing import Literal

from tidings.clock import zone
from tidings.communities import digest_times, languages
from tidings.communities.entries import choice, line, parse_email
from tidings.communities.joining import DELIVERIES, FORMATS, QUIET
from tidings.errors import UsageError
from tidings.mailer import item_words

Reading = Literal["help", "which", "search", "get"]
Setting = Literal["pause", "resume", "delivery", "crew", "zone", "language", "digest", "format", "quiet", "name"]
Addressing = Literal["address", "also", "forget"]
YesOrNo = Literal["own-posts", "also-named", "one-mail"]
AtAnItem = Literal["mute", "follow", "keep"]
Verb = Literal[Reading, Setting, Addressing, YesOrNo, AtAnItem, "subscribe", "leave"]

READING: frozenset[Verb] = frozenset({"help", "which", "search", "get"})
"""The commands that change nothing."""

MOST_POSTS = 5
"""How many posts one `get` may ask for."""

_LINES = 10
_LINE_LENGTH = 400
_NAME_LENGTH, _CREW_LENGTH, _ZONE_LENGTH = 80, 64, 64
_FARTHEST = timedelta(days=3660)  # of a pause that ends
_MONTHS = (
    *("january", "february", "march", "april", "may", "june"),
    *("july", "august", "september", "october", "november", "december"),
)
_SYNONYMS: dict[str, Verb] = {"join": "subscribe", "unsubscribe": "leave"}
# To leave is no word of an item; who is told to reply with a word tries it too, and it must not reach everybody.
_WORDS: dict[str, Verb] = {"mute": "mute", "follow": "follow", "resume": "resume", "leave": "leave", "keep all": "keep"}
_ISO_DAY = re.compile(r"([0-9]{4})-([0-9]{1,2})-([0-9]{1,2})")
_DAY_FIRST = re.compile(r"([0-9]{1,2})(?:st|nd|rd|th|\.)? ?([a-z]{3,9})\.?,?(?: ([0-9]{4}))?")
_MONTH_FIRST = re.compile(r"([a-z]{3,9})\.? ([0-9]{1,2})(?:st|nd|rd|th)?,?(?: ([0-9]{4}))?")
_ZONE = re.compile(r"[A-Za-z][A-Za-z0-9_+-]*(?:/[A-Za-z0-9_+-]+){0,2}")
# No address, nothing that a mail program would make a link of (the member is shown the name that was asked for), and no
# encoded word (RFC 2047), in which a line end may hide.
_NO_NAME = re.compile(r"[/:@<>]|\.\w{2}|www|=\?", re.IGNORECASE)
_PLAIN_TYPE = re.compile(rb"^content-type:\s{0,20}text/plain", re.IGNORECASE | re.MULTILINE)
_ANY_TYPE = re.compile(rb"^content-type:", re.IGNORECASE | re.MULTILINE)
_WORDS_BELOW = 4  # of a name or thanks under a one-word reply


@dataclass(frozen=True, kw_only=True)
class Command:
    """What one line asks for; `argument` is checked and in one spelling (a day as its ISO date)."""

    verb: Verb
    argument: str = ""

    @property
    def line(self) -> str:
        """The command as a line that reads as the same command again."""
        between = " until " if self.verb == "pause" and self.argument else " "
        return f"{self.verb}{between}{self.argument}".strip()


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A line that cannot be done; `hint` says what to write instead, and is empty where it is no command at all."""

    hint: str


def is_plain(raw: bytes) -> bool:
    """Whether a message has a part of plain text, by a linear look: one that is HTML alone is read for no commands."""
    return _PLAIN_TYPE.search(raw) is not None or _ANY_TYPE.search(raw) is None


def read(text: str, today: date) -> list[Command | Problem]:
    """What the first ten lines of a text ask for, quoted lines and all below a signature's mark left out.

    `today` is the day in the member's zone, by which a day without a year is read.
    """
    return [_read_line(one, today) for one in islice(_lines(text), _LINES)]


def read_word(text: str, today: date) -> Command | Problem | None:
    """What a one-word reply to an item asks for: mute, follow, keep, pause, resume, leave, format; None: it is a post.

    A name or thanks may stand below the word.
    """
    first, *below = [*islice(_lines(text), _LINES)] or [""]
    asked = item_words.command(first) if len(first) <= _LINE_LENGTH else None
    if asked is None or sum(len(one.split()) for one in below) > _WORDS_BELOW:
        return None
    return Command(verb=_WORDS[asked]) if asked in _WORDS else _read_line(asked, today)


def _lines(text: str) -> Iterator[str]:
    """The lines that may be commands, their white space as single blanks."""
    for one in text.split("\n"):
        if one.rstrip() == "--":
            return
        if one.strip() and not one.lstrip().startswith(">"):
            yield " ".join(one.split())


def _read_line(text: str, today: date) -> Command | Problem:
    word, _, rest = text.partition(" ")
    verb = _VERBS.get(word.lower().rstrip(".!"))
    if verb is None or len(text) > _LINE_LENGTH:
        return Problem(hint="")
    read_argument, hint = _ARGUMENTS[verb]
    try:
        return Command(verb=verb, argument=read_argument(rest.strip(), today))
    except UsageError:
        return Problem(hint=hint)


# --- arguments: each raises UsageError, whose text is not used ------------------------------------------------------


def _nothing(text: str, _today: date) -> str:
    if text.rstrip(".!"):
        raise UsageError("more than the word")
    return ""


def _only_at_an_item(_text: str, _today: date) -> str:
    raise UsageError("not here")


def _words(text: str, _today: date) -> str:
    if not re.search(r"\w", text):
        raise UsageError("no word")
    return text


def _numbers(text: str, _today: date) -> str:
    words = re.split(r"[, ]+", text.replace("#", "").strip(" .,"))
    if not all(re.fullmatch(r"[0-9]{1,9}", one) for one in words):
        raise UsageError("no numbers")
    numbers = dict.fromkeys(map(int, words))
    if len(numbers) > MOST_POSTS:
        raise UsageError("too many")
    return ", ".join(map(str, numbers))


def _pause(text: str, today: date) -> str:
    until, _, day = text.lower().rstrip(" .!").partition(" ")
    if not until:
        return ""
    if until != "until":
        raise UsageError("no until")
    found = _day(day, today)
    if not today < found <= today + _FARTHEST:
        raise UsageError("no day to come")
    return found.isoformat()


def _day(text: str, today: date) -> date:
    """The day that is written; without a year the next one after `today`."""
    if iso := _ISO_DAY.fullmatch(text):
        return _date(int(iso[1]), int(iso[2]), int(iso[3]))
    if found := _DAY_FIRST.fullmatch(text):
        day, month, year = found.groups()
    elif found := _MONTH_FIRST.fullmatch(text):
        month, day, year = found.groups()
    else:
        raise UsageError("no day")
    number = next((n for n, name in enumerate(_MONTHS, 1) if name.startswith(month)), 0)
    if year:
        return _date(int(year), number, int(day))
    return _next(number, int(day), today)


def _next(month: int, day: int, today: date) -> date:
    for year in range(today.year, today.year + 9):  # 29 February may be eight years away
        try:
            found = _date(year, month, day)
        except UsageError:
            continue
        if found > today:
            return found
    raise UsageError("no such day")


def _date(year: int, month: int, day: int) -> date:
    try:
        return date(year, month, day)
    except ValueError as error:
        raise UsageError("no such day") from error


def _delivery(text: str, _today: date) -> str:
    return choice(text.lower().rstrip(" .!"), DELIVERIES, "delivery")


def _yes_or_no(text: str, _today: date) -> str:
    return choice(text.lower().rstrip(" .!"), ("yes", "no"), "answer")


def _crew(text: str, _today: date) -> str:
    return line(text, "crew", _CREW_LENGTH)


def _zone(text: str, _today: date) -> str:
    """An IANA name, in any case; the grammar is looked at first, so that no path ever is one."""
    if text.lower() == "none":
        return "none"
    if len(text) > _ZONE_LENGTH or not _ZONE.fullmatch(text):
        raise UsageError("no zone")
    capital = re.sub(r"[A-Za-z]+", lambda word: word[0].capitalize(), text)
    for name in (text, capital, text.upper()):
        try:
            return zone(name).key
        except UsageError:
            continue
    raise UsageError("no zone")


def _language(text: str, _today: date) -> str:
    if not text:
        raise UsageError("no language")
    return languages.parse(text.rstrip(" .!")) or "none"


def _digest(text: str, _today: date) -> str:
    return digest_times.parse(text.rstrip(" .!")).text


def _format(text: str, _today: date) -> str:
    return choice(text.lower().rstrip(" .!"), FORMATS, "format")


def _quiet(text: str, _today: date) -> str:
    return choice(text.lower().rstrip(" .!"), QUIET, "kind of quiet hours")


def person_name(text: str) -> str:
    """The name of a person, on one line. Raises UsageError, without the text."""
    if _NO_NAME.search(text) or not re.search(r"[^\W\d_]", text):
        raise UsageError("no name")
    return line(text, "name", _NAME_LENGTH)


def _email(text: str, _today: date) -> str:
    return parse_email(text.removeprefix("<").removesuffix(">"))


_ARGUMENTS: dict[Verb, tuple[Callable[[str, date], str], str]] = {
    "help": (_nothing, ""),
    "which": (_nothing, ""),
    "search": (_words, "Write what you look for, like this: search pump seal"),
    "get": (_numbers, f"Write the numbers of at most {MOST_POSTS} posts, like this: get 12, 15"),
    "pause": (_pause, "Write a day to come, like this: pause until 3 Nov (or 2026-11-03), or just: pause"),
    "resume": (_nothing, ""),
    "delivery": (_delivery, f"Write one of these: {', '.join(f'delivery {one}' for one in DELIVERIES)}"),
    "crew": (_crew, "Write the name of your crew, like this: crew B"),
    "zone": (_zone, "Write a place of your time zone, like this: zone Europe/Paris"),
    "language": (_language, f"Write one of these: {', '.join(f'language {one}' for one in languages.NAMES)}"),
    "digest": (_digest, "Write one of these: digest shift, digest shift-end, digest day-off 10:00, digest Mon 08:00"),
    "format": (_format, f"Write one of these: {', '.join(f'format {one}' for one in FORMATS)}"),
    "quiet": (_quiet, f"Write one of these: {', '.join(f'quiet {one}' for one in QUIET)}"),
    "name": (lambda text, _today: person_name(text), "Write your name, like this: name Ana Lindgren"),
    "address": (_email, "Write the new address, like this: address ana@example.org"),
    "also": (_email, "Write the other address, like this: also ana@example.org"),
    "forget": (_email, "Write the old address, like this: forget ana@example.org"),
    "own-posts": (_yes_or_no, "Write one of these: own-posts yes, own-posts no"),
    "also-named": (_yes_or_no, "Write one of these: also-named yes, also-named no"),
    "one-mail": (_yes_or_no, "Write one of these: one-mail yes, one-mail no"),
    "subscribe": (_nothing, ""),
    "leave": (_nothing, ""),
    "mute": (_only_at_an_item, "Reply with `mute` to an entry of a digest, and you hear no more of it."),
    "follow": (_only_at_an_item, "Reply with `follow` to an entry of a digest, and you hear all of it."),
}
_VERBS: dict[str, Verb] = {verb: verb for verb in _ARGUMENTS} | _SYNONYMS
