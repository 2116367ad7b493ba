"""What people type for a time, a choice, a line of text or an address: read, or refused with what to write instead.

It looks nothing up: whether the thing exists is asked elsewhere.
"""

import difflib
import re
import unicodedata
from collections.abc import Iterable
from datetime import date, timedelta

from tidings.errors import UsageError

_DAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")
# RFC 5322 3.2.3 dot-atom, without quoted forms and comments, which members' addresses do not need.
_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?"
_EMAIL = re.compile(rf"({_ATOM}(?:\.{_ATOM})*)@({_LABEL}(?:\.{_LABEL})*)")
_NOT_IN_A_LINE = ("Cc", "Cs", "Zl", "Zp")  # controls, halves of characters, line and paragraph ends
_SIZE = re.compile(r"([0-9]{1,9})(?:\.([0-9]))? ?(B|kB|MB|)", re.IGNORECASE)
_UNITS = {"": 1, "b": 1, "kb": 1_000, "mb": 1_000_000}
_LOCAL_OCTETS, _EMAIL_OCTETS = 64, 254  # RFC 5321 4.5.3.1.1 and .3, less the angle brackets


def parse_wall_time(text: str) -> str:
    """A time of day as HH:MM, from `7:00` or `07:00`. Raises UsageError."""
    parts = re.fullmatch(r"([0-9]{1,2}):([0-9]{2})", text.strip())
    if not parts or int(parts[1]) > 23 or int(parts[2]) > 59:
        raise UsageError(f"{text!r} is no time of day; write one like 18:00.")
    return f"{int(parts[1]):02}:{parts[2]}"


def parse_weekday_time(text: str) -> tuple[int, str]:
    """A weekday (0 is Monday) and a time of day as HH:MM, from `Sun 18:00` or `sunday 18:00`. Raises UsageError."""
    word, _, time = text.strip().partition(" ")
    if (number := _weekday(word)) is not None:
        return number, parse_wall_time(time)
    raise UsageError(
        f"{text!r} is no weekday and time; write them like 'Sun 18:00' (Mon, Tue, Wed, Thu, Fri, Sat, Sun)."
    )


def _weekday(word: str) -> int | None:
    names = (number for number, day in enumerate(_DAYS) if word.lower() in (day.lower(), day[:3].lower()))
    return next(names, None)


def parse_day(text: str, today: date) -> date:
    """A day, from `2026-10-14`, or from `Tue` or `tuesday` the next one, `today` among them. Raises UsageError."""
    if (number := _weekday(text.strip())) is not None:
        return today + timedelta(days=(number - today.weekday()) % 7)
    try:
        return parse_date(text)
    except UsageError:
        raise UsageError(f"{text!r} is no day; write a weekday like Tue, or a date like 2026-10-14.") from None


def parse_date(text: str) -> date:
    """A date, from `2026-10-14`. Raises UsageError."""
    try:
        return date.fromisoformat(text.strip())
    except ValueError as error:
        raise UsageError(f"{text!r} is no date; write one like 2026-10-14.") from error


def parse_size(text: str) -> int:
    """A size in bytes, from `500 kB`, `2.5 MB` or `0`. Raises UsageError."""
    parts = _SIZE.fullmatch(text.strip())
    if not parts:
        raise UsageError(f"{text!r} is no size; write one like 500 kB or 5 MB.")
    return (int(parts[1]) * 10 + int(parts[2] or "0")) * _UNITS[parts[3].lower()] // 10


def show_size(size: int) -> str:
    """Bytes as people write them, and as `parse_size` reads them: 300 B, 500 kB, 2.5 MB."""
    if size < 1_000:
        return f"{size} B"
    number, unit = (size / 1_000, "kB") if size < 999_950 else (size / 1_000_000, "MB")
    return f"{number:.1f}".removesuffix(".0") + f" {unit}"


def choice(text: str, known: Iterable[str], what: str) -> str:
    """`text` where it is one of `known`. Raises UsageError, which names the nearest; `what` says what it is."""
    words = list(known)
    if text in words:
        return text
    nearest = difflib.get_close_matches(text.lower(), words, n=1, cutoff=0.0)
    hint = f"did you mean {nearest[0]!r}? There is {', '.join(words)}." if nearest else "there is none yet."
    raise UsageError(f"There is no {what} {text!r}; {hint}")


def line(text: str, what: str, longest: int) -> str:
    """`text` stripped: one line, not empty, at most `longest` characters. Raises UsageError, which calls it `what`."""
    stripped = text.strip()
    if not stripped:
        raise UsageError(f"The {what} is empty; write a few words.")
    if len(stripped) > longest:
        raise UsageError(f"The {what} is longer than {longest} characters.")
    if any(unicodedata.category(character) in _NOT_IN_A_LINE for character in stripped):
        raise UsageError(f"The {what} {text!r} holds a line break or a control character; write it on one line.")
    return stripped


def lines(text: str, what: str, longest: int) -> str:
    """`text` as `line` takes it, but of several lines, each without white space at its end; LF between them."""
    if len(text) > longest:
        raise UsageError(f"The {what} is longer than {longest} characters.")
    found = [one.rstrip() for one in text.replace("\r\n", "\n").strip().split("\n")]
    for one in filter(None, found):
        line(one, what, longest)
    return "\n".join(found)


def parse_email(text: str) -> str:
    """An address NAME@DOMAIN, stripped, its domain in lower case (RFC 5321 2.4: only the domain is free of case).

    Raises UsageError for what is no plain ASCII address.
    """
    stripped = text.strip()
    if not stripped.isascii():
        raise UsageError(f"The address {text!r} is not plain ASCII; write a domain of other letters in its xn-- form.")
    parts = _EMAIL.fullmatch(stripped)
    if not parts:
        raise UsageError(f"{text!r} is no e-mail address; write one like ana@example.org.")
    local, domain = parts[1], stripped[len(parts[1]) + 1 :]
    if len(local) > _LOCAL_OCTETS or len(stripped) > _EMAIL_OCTETS:
        raise UsageError(f"The address {text!r} is too long: {_LOCAL_OCTETS} before the @, {_EMAIL_OCTETS} in all.")
    return f"{local}@{domain.lower()}"
