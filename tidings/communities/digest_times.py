"""When members want their digests: the choices there are, and how each is written, stored and said.

It does not say what moment that comes to (digests.schedule does).
"""

from dataclasses import dataclass
from typing import Literal

from tidings.communities.entries import parse_wall_time, parse_weekday_time
from tidings.errors import UsageError

At = Literal["shift", "end", "off", "day"]
"""At the start of the first shift after the cut-off, before its end, on the first day off, or on a day of the week."""

BEFORE_THE_END = 15
"""Minutes."""

_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


@dataclass(frozen=True, kw_only=True)
class DigestTime:
    """A choice; `weekday` (0 is Monday) is that of `day`, `time` (HH:MM) its hour or that of a day off."""

    at: At
    weekday: int | None = None
    time: str | None = None

    @property
    def text(self) -> str:
        """The choice as `parse` reads it."""
        match self.at:
            case "end":
                return "shift-end"
            case "off":
                return f"day-off {self.time or ''}".strip()
            case "day":
                return f"{_DAYS[self.weekday or 0]} {self.time or ''}".strip()
            case _:
                return "shift"

    @property
    def words(self) -> str:
        """The choice in words that follow "it comes"."""
        match self.at:
            case "end":
                return f"{BEFORE_THE_END} minutes before the end of your shift"
            case "off":
                return "on your first day off" + (f" at {self.time}" if self.time else "")
            case "day":
                return f"on {self.text}"
            case _:
                return "at the start of your shift"


def parse(text: str) -> DigestTime:
    """The choice that is written `shift`, `shift-end`, `day-off`, `day-off 10:00` or `Mon 08:00`. Raises UsageError."""
    word, _, time = text.strip().partition(" ")
    match word.lower(), time.strip():
        case "shift", "":
            return DigestTime(at="shift")
        case "shift-end", "":
            return DigestTime(at="end")
        case "day-off", hour:
            return DigestTime(at="off", time=parse_wall_time(hour) if hour else None)
    try:
        weekday, at = parse_weekday_time(text)
    except UsageError:
        raise UsageError(
            f"{text!r} is no time of a digest; write shift, shift-end, 'day-off 10:00', or a day like 'Mon 08:00'."
        ) from None
    return DigestTime(at="day", weekday=weekday, time=at)
