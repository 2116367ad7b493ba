"""The time, passed in: real in a site, set by hand in tests, shifted in a demo.

It knows nothing of rotas; a zone is always an IANA name (`zone`), never an offset.
"""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from tidings.errors import UsageError


class Clock(Protocol):
    """Where the time comes from."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        ...


class SystemClock:
    """The machine's clock."""

    def now(self) -> datetime:
        """The present moment, aware, in UTC."""
        return datetime.now(UTC)


class FixedClock:
    """A clock that stands still until it is set; for tests and for `--at`."""

    def __init__(self, at: datetime) -> None:
        self._at = at.astimezone(UTC)

    def now(self) -> datetime:
        """The moment that was set."""
        return self._at

    def set(self, at: datetime) -> None:
        """Stand at another moment."""
        self._at = at.astimezone(UTC)

    def advance(self, by: timedelta) -> None:
        """Move on by `by`."""
        self._at += by


class ShiftedClock:
    """The machine's clock plus an offset that may change: the demo's."""

    def __init__(self, offset: Callable[[], timedelta]) -> None:
        self._offset = offset

    def now(self) -> datetime:
        """The machine's moment, moved by the offset of now."""
        return datetime.now(UTC) + self._offset()


def zone(name: str) -> ZoneInfo:
    """The IANA zone called `name`. Raises UsageError where there is none."""
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:
        raise UsageError(f"There is no time zone {name!r}; write one like 'Europe/Berlin'.") from error


def parse_moment(text: str, default_zone: str) -> datetime:
    """An ISO 8601 moment such as `2026-10-14T06:30` as UTC; without an offset it is wall time in `default_zone`.

    Raises UsageError where `text` is no such moment.
    """
    default = zone(default_zone)
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=default)).astimezone(UTC)
    except (ValueError, OverflowError) as error:
        raise UsageError(f"{text!r} is no ISO 8601 time; write one like 2026-10-14T06:30.") from error
