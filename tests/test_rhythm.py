"""Rhythms of meetings: which rules are taken, which days they give, and that nobody can make them look for long."""

import time
from datetime import date, datetime, timedelta
from typing import Any

import pytest
from dateutil.rrule import rrulestr
from hypothesis import given, settings
from hypothesis import strategies as st

from tidings.digests.meetings import rhythm
from tidings.errors import UsageError

TUESDAY = date(2026, 10, 13)
FAR = date(2036, 10, 1)


def days(rule: str, count: int, first: date = TUESDAY, after: date | None = None) -> list[str]:
    found = rhythm.days(rhythm.parse(rule, first), first, after or first, FAR)
    return [day.isoformat() for day in found[:count]]


# --- what is taken ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "rule"),
    [
        ("weekly", "FREQ=WEEKLY"),
        (" Every  two weeks ", "FREQ=WEEKLY;INTERVAL=2"),
        ("fortnightly", "FREQ=WEEKLY;INTERVAL=2"),
        ("Monthly", "FREQ=MONTHLY"),
        ("yearly", "FREQ=YEARLY"),
        ("once", ""),
        ("", ""),
        ("freq=monthly;byday=1tu", "FREQ=MONTHLY;BYDAY=1TU"),
        ("RRULE:FREQ=WEEKLY;BYDAY=TU,TH;WKST=SU", "FREQ=WEEKLY;BYDAY=TU,TH;WKST=SU"),
        ("FREQ=WEEKLY;UNTIL=20261231", "FREQ=WEEKLY;UNTIL=20261231"),
        ("FREQ=WEEKLY;COUNT=500", "FREQ=WEEKLY;COUNT=500"),
    ],
)
def test_a_rhythm_is_a_word_or_a_rule(text: str, rule: str) -> None:
    assert rhythm.parse(text, TUESDAY) == rule


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("sometimes", "is no rhythm"),
        ("FREQ=SECONDLY", "is no rhythm"),
        ("FREQ=HOURLY;INTERVAL=1", "is no rhythm"),
        ("BYDAY=TU", "is no rhythm"),
        ("FREQ=WEEKLY;", "is no rhythm"),
        ("FREQ=WEEKLY;BYDAY", "is no rhythm"),
        ("FREQ=WEEKLY;BYDAY=TU RRULE:FREQ=SECONDLY", "is no rhythm"),
        ("FREQ=MONTHLY;BYDAY=TU\nEXDATE:20261103T000000", "is no rhythm"),
        ("DTSTART:20260101T000000 FREQ=WEEKLY", "is no rhythm"),
        ("FREQ=WEEKLY;FREQ=DAILY", "says one thing twice"),
        ("FREQ=WEEKLY;BYHOUR=3", "cannot have BYHOUR"),
        ("FREQ=YEARLY;BYWEEKNO=3;BYYEARDAY=1", "cannot have BYWEEKNO, BYYEARDAY"),
        ("FREQ=YEARLY;BYEASTER=1", "cannot have BYEASTER"),
        ("FREQ=WEEKLY;BYMONTH=2", "go with FREQ=MONTHLY"),
        ("FREQ=DAILY;BYMONTHDAY=31", "go with FREQ=MONTHLY"),
        ("FREQ=DAILY;INTERVAL=0", "INTERVAL of a rhythm is a number from 1 to 366"),
        ("FREQ=DAILY;INTERVAL=367", "from 1 to 366"),
        ("FREQ=DAILY;INTERVAL=-1", "from 1 to 366"),
        ("FREQ=DAILY;COUNT=0", "COUNT of a rhythm is a number from 1 to 500"),
        ("FREQ=DAILY;COUNT=10000", "from 1 to 500"),
        ("FREQ=WEEKLY;BYDAY=XX", "no rule of RFC 5545"),
        ("FREQ=MONTHLY;BYDAY=99TU", "no rule of RFC 5545"),
        ("FREQ=WEEKLY;UNTIL=20261331", "no rule of RFC 5545"),
        ("FREQ=WEEKLY;UNTIL=20261231T225959Z", "written like 20261231"),
        ("FREQ=WEEKLY;UNTIL=20261012", "gives no day within ten years"),
        ("FREQ=YEARLY;INTERVAL=11;BYMONTH=1", "gives no day within ten years"),
        ("FREQ=MONTHLY;BYDAY=" + "TU," * 200 + "TU", "at most 500 characters"),
    ],
)
def test_what_is_no_rhythm_is_refused_with_the_reason(text: str, why: str) -> None:
    with pytest.raises(UsageError, match=why):
        rhythm.parse(text, TUESDAY)


def test_a_first_day_at_the_end_of_all_years_is_no_error_of_ours() -> None:
    with pytest.raises(UsageError):
        rhythm.parse("weekly", date(9999, 12, 28))


@pytest.mark.parametrize(
    "rule",
    [
        "FREQ=MONTHLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=30",
        "FREQ=YEARLY;BYDAY=MO;BYSETPOS=366",
        "FREQ=MONTHLY;BYDAY=MO;BYSETPOS=6",
        "FREQ=MONTHLY;BYMONTH=13;COUNT=500",
    ],
)
@pytest.mark.acceptance(62)
def test_a_rule_that_can_never_be_met_is_not_looked_for_until_the_end_of_all_years(rule: str) -> None:
    begun = time.process_time()
    with pytest.raises(UsageError, match="gives no day"):
        rhythm.parse(rule, TUESDAY)
    assert time.process_time() - begun < 0.3


@pytest.mark.acceptance(62)
def test_no_more_than_five_hundred_days_are_looked_at() -> None:
    assert len(rhythm.days("FREQ=DAILY", TUESDAY, TUESDAY, FAR)) == rhythm.MOST


# --- which days it gives ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rule", "found"),
    [
        ("weekly", ["2026-10-13", "2026-10-20", "2026-10-27", "2026-11-03"]),
        ("fortnightly", ["2026-10-13", "2026-10-27", "2026-11-10", "2026-11-24"]),
        ("monthly", ["2026-10-13", "2026-11-13", "2026-12-13", "2027-01-13"]),
        ("yearly", ["2026-10-13", "2027-10-13", "2028-10-13", "2029-10-13"]),
        ("FREQ=WEEKLY;BYDAY=TU,TH", ["2026-10-13", "2026-10-15", "2026-10-20", "2026-10-22"]),
        ("FREQ=MONTHLY;BYDAY=-1FR", ["2026-10-30", "2026-11-27", "2026-12-25", "2027-01-29"]),
        ("FREQ=MONTHLY;BYDAY=MO,TU,WE,TH,FR;BYSETPOS=-1", ["2026-10-30", "2026-11-30", "2026-12-31", "2027-01-29"]),
        ("FREQ=MONTHLY;BYMONTHDAY=31", ["2026-10-31", "2026-12-31", "2027-01-31", "2027-03-31"]),
        ("FREQ=YEARLY;BYMONTH=2;BYMONTHDAY=29", ["2028-02-29", "2032-02-29", "2036-02-29"]),
        ("FREQ=WEEKLY;COUNT=3", ["2026-10-13", "2026-10-20", "2026-10-27"]),
        ("FREQ=WEEKLY;UNTIL=20261027", ["2026-10-13", "2026-10-20", "2026-10-27"]),
        ("once", ["2026-10-13"]),
    ],
)
def test_a_rhythm_gives_its_days_from_the_first_on(rule: str, found: list[str]) -> None:
    assert days(rule, 4) == found


def test_what_is_counted_is_counted_from_the_first_day_wherever_one_looks() -> None:
    assert days("FREQ=WEEKLY;COUNT=3", 4, after=date(2026, 10, 21)) == ["2026-10-27"]
    assert days("FREQ=WEEKLY;COUNT=3", 4, after=date(2026, 10, 28)) == []
    assert rhythm.days("", TUESDAY, date(2026, 10, 14), FAR) == []


def test_both_ends_are_among_the_days_and_none_is_before_the_first() -> None:
    assert rhythm.days("FREQ=WEEKLY", TUESDAY, date(2026, 1, 6), date(2026, 10, 20)) == [TUESDAY, date(2026, 10, 20)]
    assert rhythm.days("FREQ=WEEKLY", TUESDAY, date(2026, 1, 6), date(2026, 10, 12)) == []


_WEEKDAYS = ("MO", "TU", "WE", "TH", "FR", "SA", "SU")
_RULES = st.one_of(
    st.builds("FREQ=DAILY;INTERVAL={}".format, st.integers(1, 40)),
    st.builds(
        "FREQ=WEEKLY;INTERVAL={};BYDAY={}".format,
        st.integers(1, 9),
        st.sets(st.sampled_from(_WEEKDAYS), min_size=1).map(lambda found: ",".join(sorted(found))),
    ),
    st.builds("FREQ=MONTHLY;BYDAY={}{}".format, st.sampled_from([-2, -1, 1, 2, 3, 4]), st.sampled_from(_WEEKDAYS)),
    st.builds("FREQ=MONTHLY;BYMONTHDAY={}".format, st.integers(1, 31)),
    st.builds("FREQ=YEARLY;BYMONTH={};BYDAY=1{}".format, st.integers(1, 12), st.sampled_from(_WEEKDAYS)),
)


@settings(max_examples=60, deadline=None)
@given(
    rule=_RULES,
    first=st.dates(date(2024, 1, 1), date(2030, 12, 31)),
    since=st.integers(-40, 900),
    length=st.integers(0, 900),
    end=st.sampled_from(["", ";COUNT=7", ";UNTIL=20290315"]),
)
def test_its_days_are_those_that_the_rule_itself_gives(
    rule: str, first: date, since: int, length: int, end: str
) -> None:
    after, until = first + timedelta(days=since), first + timedelta(days=since + length)
    read: Any = rrulestr(rule + end, dtstart=datetime.combine(first, datetime.min.time()))
    between = read.between(_midnight(after), _midnight(until), inc=True)
    assert rhythm.days(rule + end, first, after, until) == [moment.date() for moment in between][: rhythm.MOST]


def _midnight(day: date) -> datetime:
    return datetime.combine(day, datetime.min.time())
