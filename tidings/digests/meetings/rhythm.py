"""The rhythm of a series: a recurrence rule of days (RFC 5545 3.3.10), and the days that it gives; pure.

Times of day are no part of it: a meeting is held at a wall-clock time of each of these days.
"""

from collections.abc import Mapping
from datetime import date, datetime, time, timedelta
from itertools import islice, takewhile

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
}
_PARTS = frozenset({"FREQ", "INTERVAL", "BYDAY", "BYMONTHDAY", "BYMONTH", "BYSETPOS", "COUNT", "UNTIL", "WKST"})
# A month has few days to look through, a day none: what these could never meet would be looked for a long time.
_OF_MONTHS = frozenset({"BYMONTHDAY", "BYMONTH", "BYSETPOS"})
_LONGEST = 500  # characters
_INTERVAL = 366
_HORIZON = timedelta(days=3660)


def parse(text: str, first_day: date) -> str:
    """A rhythm as it is kept: a rule, from `weekly`, `monthly` or `FREQ=MONTHLY;BYDAY=1TU`; empty: once.

    Raises UsageError for what is no rule, repeats within a day, or gives no day within ten years of `first_day`.
    """
    wanted = " ".join(text.split())
    rule = _WORDS.get(wanted.lower(), wanted.upper().removeprefix("RRULE:"))
    if rule == ONCE:
        return ONCE
    parts = _parts(rule)
    if parts.get("FREQ") not in ("DAILY", "WEEKLY", "MONTHLY", "YEARLY"):
        raise UsageError(f"{text!r} is no rhythm; write weekly, monthly, or a rule like FREQ=MONTHLY;BYDAY=1TU.")
    if unknown := sorted(parts.keys() - _PARTS):
        raise UsageError(f"A rhythm has days alone, so it cannot have {', '.join(unknown)}.")
    if parts["FREQ"] in ("DAILY", "WEEKLY") and _OF_MONTHS & parts.keys():
        raise UsageError("Days of the month and months go with FREQ=MONTHLY or FREQ=YEARLY.")
    if not parts.get("INTERVAL", "1").isdecimal() or not 1 <= int(parts.get("INTERVAL", "1")) <= _INTERVAL:
        raise UsageError(f"The interval of a rhythm is a number from 1 to {_INTERVAL}.")
    try:
        found = days(rule, first_day, first_day, first_day + _HORIZON)
    except (ValueError, TypeError) as error:
        raise UsageError(f"{text!r} is no rule of RFC 5545: {error}.") from error
    if not found:
        raise UsageError(f"{text!r} gives no day within ten years of {first_day}.")
    return rule


def _parts(rule: str) -> Mapping[str, str]:
    if len(rule) > _LONGEST:
        raise UsageError(f"A rhythm has at most {_LONGEST} characters.")
    return dict(name_and_value for part in rule.split(";") if len(name_and_value := part.split("=", 1)) == 2)


def days(rule: str, first_day: date, after: date, until: date) -> list[date]:
    """The days of a rhythm from `after` to `until`, both among them, at most MOST; none is before `first_day`."""
    if rule == ONCE:
        return [first_day] if after <= first_day <= until else []
    found = rrulestr(rule, dtstart=datetime.combine(first_day, time()))
    moments = found.xafter(datetime.combine(max(after, first_day), time()), inc=True)
    return list(islice(takewhile(lambda day: day <= until, (moment.date() for moment in moments)), MOST))
