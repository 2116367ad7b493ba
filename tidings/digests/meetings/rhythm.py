"""The rhythm of a series: a recurrence rule of days (RFC 5545 3.3.10), and the days that it gives; pure.

Times of day are no part of it: a meeting is held at a wall-clock time of each of these days.
"""

import re
from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from itertools import dropwhile, islice

from dateutil.rrule import rrulestr

from tidings.errors import UsageError

ONCE = ""
"""The rhythm of a meeting that is held once."""

MOST = 500
"""No more days are looked at of one rhythm at a time."""

_WORDS = {
    "once": ONCE,
    "weekly": "FREQ=WEEKLY",
    "fortnightly": "FREQ=WEEKLY;INTERVAL=2",
    "every two weeks": "FREQ=WEEKLY;INTERVAL=2",
    "monthly": "FREQ=MONTHLY",
    "yearly": "FREQ=YEARLY",
}
_PARTS = frozenset({"FREQ", "INTERVAL", "BYDAY", "BYMONTHDAY", "BYMONTH", "BYSETPOS", "COUNT", "UNTIL", "WKST"})
# A month has few days to look through, a day none: what these could never meet would be looked for a long time.
_OF_MONTHS = frozenset({"BYMONTHDAY", "BYMONTH", "BYSETPOS"})
_RULE = re.compile(r"[A-Z]+=[A-Z0-9,+-]+(?:;[A-Z]+=[A-Z0-9,+-]+)*")
_LONGEST = 500  # characters
_INTERVAL = 366
_HORIZON = timedelta(days=3660)
# The calendar repeats after 400 years, weekdays too. Days are looked for in the last of these cycles that has a year
# 9999, where dateutil stops: what gives no day it would else look for in eight thousand years.
_CYCLE, _LAST_YEAR = 400, 9999


def parse(text: str, first_day: date) -> str:
    """A rhythm as it is kept: a rule, from `weekly`, `monthly` or `FREQ=MONTHLY;BYDAY=1TU`; empty: once.

    Raises UsageError for what is no rule, repeats within a day, or gives no day within ten years of `first_day`.
    """
    wanted = " ".join(text.split())
    rule = _WORDS.get(wanted.lower(), wanted.upper().removeprefix("RRULE:"))
    if rule == ONCE:
        return ONCE
    if len(rule) > _LONGEST:
        raise UsageError(f"A rhythm has at most {_LONGEST} characters.")
    # Spaces and colons would part several rules and dates, all of which dateutil reads.
    parts = _parts(rule) if _RULE.fullmatch(rule) else {}
    if parts.get("FREQ") not in ("DAILY", "WEEKLY", "MONTHLY", "YEARLY"):
        raise UsageError(f"{text!r} is no rhythm; write weekly, monthly, or a rule like FREQ=MONTHLY;BYDAY=1TU.")
    if len(parts) < rule.count("="):
        raise UsageError(f"{text!r} says one thing twice.")
    _check(parts)
    try:
        found = days(rule, first_day, first_day, first_day + _HORIZON)
    except (ValueError, TypeError, OverflowError, LookupError) as error:
        raise UsageError(f"{text!r} is no rule of RFC 5545: {error}.") from error
    if not found:
        raise UsageError(f"{text!r} gives no day within ten years of {first_day}.")
    return rule


def _check(parts: Mapping[str, str]) -> None:
    if unknown := sorted(parts.keys() - _PARTS):
        raise UsageError(f"A rhythm has days alone, so it cannot have {', '.join(unknown)}.")
    if parts["FREQ"] in ("DAILY", "WEEKLY") and _OF_MONTHS & parts.keys():
        raise UsageError("Days of the month and months go with FREQ=MONTHLY or FREQ=YEARLY.")
    for name, most in (("INTERVAL", _INTERVAL), ("COUNT", MOST)):
        number = parts.get(name, "1")
        if not number.isdecimal() or not 1 <= int(number) <= most:
            raise UsageError(f"The {name} of a rhythm is a number from 1 to {most}.")


def _parts(rule: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in rule.split(";"))


def days(rule: str, first_day: date, after: date, until: date) -> list[date]:
    """The days of a rhythm from `after` to `until`, both among them, at most MOST; none is before `first_day`."""
    if rule == ONCE:
        return [first_day] if after <= first_day <= until else []
    parts = _parts(rule)
    last = min(until, _day(parts.pop("UNTIL"))) if "UNTIL" in parts else until
    count = int(parts.pop("COUNT")) if "COUNT" in parts else None
    if last < first_day:
        return []
    years = (_LAST_YEAR - last.year) // _CYCLE * _CYCLE
    bounded = ";".join(
        f"{name}={value}" for name, value in (*parts.items(), ("UNTIL", f"{_later(last, years):%Y%m%d}"))
    )
    moments = islice(rrulestr(bounded, dtstart=datetime.combine(_later(first_day, years), time())), count)
    return list(islice(dropwhile(lambda day: day < after, (_later(one.date(), -years) for one in moments)), MOST))


def _later(day: date, years: int) -> date:
    return day.replace(year=day.year + years)


def _day(text: str) -> date:
    """RFC 5545 3.3.10: UNTIL is a date where a rule has days."""
    if not re.fullmatch(r"[0-9]{8}", text):
        raise ValueError(f"UNTIL is the last day, written like 20261231, not {text}")
    return date.fromisoformat(text)


def shown(rule: str) -> str:
    """A rule as people say it, where there is a word for it."""
    return next((word for word, known in _WORDS.items() if known == rule), rule)
