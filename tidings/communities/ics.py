"""Reads the shifts out of an iCalendar file (RFC 5545), pure: bytes in, spans of work and words on what was left out.

Recurrence is left to recurring-ical-events, and what would make it run long is refused before; whoever calls this with
what came from outside does so in a process that can be killed (feed).
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Any

import recurring_ical_events
from icalendar import Calendar, Component

from tidings.communities.roster import LONGEST, Cycle, Span
from tidings.errors import UsageError

SHIFTS = 500
"""No more shifts are read of one calendar: those of a year and more, of one a day."""

_DAY = timedelta(days=1)
_AHEAD = 414 * _DAY  # a fortnight back, and more than a year from today on
_TITLE_LENGTH = 64
_UNTITLED = "shift"
_TIMES = ("DTSTART", "DTEND", "DURATION", "RRULE", "RDATE", "EXDATE", "RECURRENCE-ID")
_OFTEN = frozenset({"SECONDLY", "MINUTELY", "HOURLY"})
_WITHIN_A_DAY = ("BYSECOND", "BYMINUTE", "BYHOUR")


@dataclass(frozen=True, kw_only=True)
class Read:
    """The shifts of a calendar, by their start, and in words what stands in it and is none."""

    spans: tuple[Span, ...]
    left_out: str


class _LeftOutError(Exception):
    """An event that is no shift; the message says why, after a number and "of them"."""


def read(raw: bytes, *, times: Cycle) -> Read:
    """The shifts of a calendar from the first day of `times` on; floating times are in the zone of `times`.

    A whole day whose title is a letter of `times` is that shift, any other is a shift from midnight to midnight. Raises
    UsageError where `raw` is no calendar.
    """
    calendar = _parse(raw)
    why: Counter[str] = Counter()
    _keep(calendar, why)
    first = _instant(times.first_day, times.zone)
    found = recurring_ical_events.of(calendar, skip_bad_series=True).between(first, first + _AHEAD)
    spans: set[Span] = set()
    for event in found:
        try:
            spans.update(_spans(event, times))
        except _LeftOutError as error:
            why[str(error)] += 1
    kept = sorted(spans)[:SHIFTS]
    if len(spans) > SHIFTS:
        why[f"after the first {SHIFTS}"] = len(spans) - SHIFTS
    return Read(spans=tuple(kept), left_out=", ".join(f"{count} {reason}" for reason, count in sorted(why.items())))


def _parse(raw: bytes) -> Component:
    try:
        return Calendar.from_ical(raw)
    except (ValueError, IndexError, KeyError) as error:
        raise UsageError("That is no iCalendar file; it should begin with BEGIN:VCALENDAR.") from error


def _keep(calendar: Component, why: Counter[str]) -> None:
    """Leave in the calendar what can be read and repeats at most daily, and say in `why` what goes."""
    kept = []
    for one in calendar.subcomponents:
        try:
            _check(one)
            kept.append(one)
        except _LeftOutError as error:
            why[str(error)] += 1
        except OverflowError:  # a year that no zone knows
            why["that cannot be read"] += 1
    calendar.subcomponents = kept


def _check(event: Component) -> None:
    """Raises _LeftOutError where an event is not to be looked at any further."""
    if event.name != "VEVENT":
        return
    start, end = event.get("DTSTART"), event.get("DTEND", event.get("DTSTART"))
    broken = any(name in _TIMES for name, _ in event.errors)
    if broken or not all(isinstance(getattr(one, "dt", None), date) for one in (start, end)):
        raise _LeftOutError("that cannot be read")
    for name in _TIMES:
        value = event.get(name, [])
        for one in value if isinstance(value, list) else [value]:
            _check_zone(one)
            if name == "RRULE":
                _check_rule(one)
    if isinstance(end.dt, datetime) != isinstance(start.dt, datetime) or _instant(end.dt) < _instant(start.dt):
        raise _LeftOutError("ending before it starts")


def _check_rule(rule: Mapping[str, Sequence[object]]) -> None:
    if _OFTEN.intersection(rule.get("FREQ", ())) or any(part in rule for part in _WITHIN_A_DAY):
        raise _LeftOutError("repeating more than daily")


def _check_zone(value: Any) -> None:
    """A time in a zone that is not known would be read as if it were in another."""
    moments = [getattr(one, "dt", None) for one in getattr(value, "dts", [value])]
    named = "TZID" in getattr(value, "params", {})
    if named and any(isinstance(moment, datetime) and moment.tzinfo is None for moment in moments):
        raise _LeftOutError("in a time zone that is not known")


def _instant(moment: date | datetime, zone: Any = UTC) -> datetime:
    """In UTC; a floating time is in `zone`, and a date begins at midnight."""
    if not isinstance(moment, datetime):
        moment = datetime.combine(moment, time())
    return (moment if moment.tzinfo else moment.replace(tzinfo=zone)).astimezone(UTC)


def _spans(event: Any, times: Cycle) -> Iterator[Span]:
    """The shifts of one event; a whole day is one for each date. Raises _LeftOutError."""
    if str(event.get("STATUS", "")).upper() == "CANCELLED":
        raise _LeftOutError("cancelled")
    if str(event.get("TRANSP", "")).upper() == "TRANSPARENT":
        raise _LeftOutError("marked as free time")
    title = plain(str(event.get("SUMMARY", "")), _TITLE_LENGTH) or _UNTITLED
    if isinstance(event.start, datetime):
        yield _span(_instant(event.start, times.zone), _instant(event.end, times.zone), title)
        return
    if event.end - event.start > LONGEST * 60:
        raise _LeftOutError("longer than a year of days")
    for number in range((event.end - event.start).days):
        yield from _whole_day(event.start + number * _DAY, title, times)


def _whole_day(day: date, title: str, times: Cycle) -> Iterator[Span]:
    named = [(start, end, title) for start, end in times.spans(day, title)]
    yield from named or [_span(_instant(day, times.zone), _instant(day + _DAY, times.zone), title)]


def _span(start: datetime, end: datetime, title: str) -> Span:
    if end <= start:
        raise _LeftOutError("without an end")
    if end - start > LONGEST:
        raise _LeftOutError(f"longer than {LONGEST.days} days")
    return start, end, title


def plain(text: str, longest: int) -> str:
    """What strangers wrote, on one line without control characters."""
    shown = "".join(one if one.isprintable() else " " for one in text[: 10 * longest])
    return " ".join(shown.split())[:longest].rstrip()
