"""Calendars: the shifts of an iCalendar file as they are meant, and hostile ones bounded."""

import time
from datetime import UTC, date, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from tests.feeds import calendar, event
from tidings.communities import feed, ics
from tidings.communities.feed import Question
from tidings.communities.ics import Read
from tidings.communities.roster import Cycle
from tidings.errors import UsageError

FIRST = date(2026, 3, 20)
BERLIN = ";TZID=Europe/Berlin:"
TWELVE = {"D": ("07:00", "19:00"), "N": ("19:00", "07:00")}


def read(*events: str, zone: str = "Europe/Berlin") -> Read:
    return ics.read(calendar(*events), times=Cycle(zone=ZoneInfo(zone), shifts=TWELVE, cycle="", start_date=FIRST))


def spans(*events: str, zone: str = "Europe/Berlin") -> list[tuple[str, str, str]]:
    return [
        (f"{start:%m-%dT%H:%M}", f"{end:%m-%dT%H:%M}", title) for start, end, title in read(*events, zone=zone).spans
    ]


# --- what is meant ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("start", "end", "expected"),
    [
        (BERLIN + "20260328T190000", BERLIN + "20260329T070000", ("03-28T18:00", "03-29T05:00")),
        (BERLIN + "20261024T190000", BERLIN + "20261025T070000", ("10-24T17:00", "10-25T06:00")),
        (":20260328T180000Z", ":20260329T050000Z", ("03-28T18:00", "03-29T05:00")),
        (":20260328T190000", ":20260329T070000", ("03-28T18:00", "03-29T05:00")),
        (";TZID=W. Europe Standard Time:20260328T190000", BERLIN + "20260329T070000", ("03-28T18:00", "03-29T05:00")),
        (";VALUE=DATE:20260329", ";VALUE=DATE:20260330", ("03-28T23:00", "03-29T22:00")),
        (";VALUE=DATE:20260329", "", ("03-28T23:00", "03-29T22:00")),
    ],
)
def test_an_event_is_a_shift_in_its_own_zone_or_else_in_that_of_the_rota(
    start: str, end: str, expected: tuple[str, str]
) -> None:
    assert spans(event(start, end)) == [(*expected, "Night")]


def test_a_length_stands_for_an_end() -> None:
    assert spans(event(BERLIN + "20260401T190000", "", "DURATION:PT12H")) == [("04-01T17:00", "04-02T05:00", "Night")]


def test_a_whole_day_called_by_a_letter_of_the_rota_is_that_shift() -> None:
    found = spans(event(";VALUE=DATE:20260328", ";VALUE=DATE:20260331", title="N"))
    assert found == [
        ("03-28T18:00", "03-29T05:00", "N"),
        ("03-29T17:00", "03-30T05:00", "N"),
        ("03-30T17:00", "03-31T05:00", "N"),
    ]


def test_several_whole_days_are_a_shift_each() -> None:
    found = spans(event(";VALUE=DATE:20260401", ";VALUE=DATE:20260403", title="On call"))
    assert found == [("03-31T22:00", "04-01T22:00", "On call"), ("04-01T22:00", "04-02T22:00", "On call")]


def test_a_series_repeats_by_the_wall_clock_less_its_exceptions() -> None:
    rule = "RRULE:FREQ=WEEKLY;BYDAY=FR,SA,SU;UNTIL=20260406T000000Z"
    series = event(BERLIN + "20260327T190000", BERLIN + "20260328T070000", rule, "EXDATE" + BERLIN + "20260329T190000")
    moved = event(
        BERLIN + "20260403T070000",
        BERLIN + "20260403T190000",
        "RECURRENCE-ID" + BERLIN + "20260403T190000",
        title="Day",
    )
    gone = event(
        BERLIN + "20260404T190000",
        BERLIN + "20260405T070000",
        "RECURRENCE-ID" + BERLIN + "20260404T190000",
        "STATUS:CANCELLED",
    )
    assert spans(series, moved, gone) == [
        ("03-27T18:00", "03-28T06:00", "Night"),
        ("03-28T18:00", "03-29T05:00", "Night"),
        ("04-03T05:00", "04-03T17:00", "Day"),
        ("04-05T17:00", "04-06T05:00", "Night"),
    ]


def test_a_series_without_end_is_read_for_a_year_and_more() -> None:
    found = read(event(BERLIN + "20250101T070000", BERLIN + "20250101T190000", "RRULE:FREQ=DAILY"))
    assert len(found.spans) == 414
    assert found.spans[0][0] == datetime(2026, 3, 20, 6, tzinfo=UTC)
    assert found.left_out == ""


def test_what_stands_twice_is_one_shift_and_shifts_come_in_their_order() -> None:
    late = event(":20260402T060000Z", ":20260402T140000Z", uid="2")
    early = event(":20260401T060000Z", ":20260401T140000Z", uid="3")
    assert [start for start, _, _ in spans(late, early, early.replace("UID:3", "UID:4"))] == [
        "04-01T06:00",
        "04-02T06:00",
    ]


@pytest.mark.parametrize(
    ("one", "left_out"),
    [
        (event(":20260401T060000Z", ":20260401T140000Z", "STATUS:CANCELLED"), "1 cancelled"),
        (event(":20260401T060000Z", ":20260401T140000Z", "TRANSP:TRANSPARENT"), "1 marked as free time"),
        (event(":20260401T060000Z"), "1 without an end"),
        (event(":20260401T060000Z", ":20260401T050000Z"), "1 ending before it starts"),
        (event(":20260401T060000Z", ";VALUE=DATE:20260402"), "1 ending before it starts"),
        (event(":20260401T060000Z", ":20260409T060000Z"), "1 longer than 7 days"),
        (event(";VALUE=DATE:20260401", ";VALUE=DATE:20290401"), "1 longer than a year of days"),
        (event(";TZID=Nowhere/Bad:20260401T060000", ";TZID=Nowhere/Bad:20260401T140000"), "1 in a time zone that is"),
        (event(":2026xx", ":20260401T140000Z"), "1 that cannot be read"),
        (event(":20260401T060000Z", ":20260401T140000Z").replace("DTSTART:20260401T060000Z\r\n", ""), "1 that cannot"),
        (event(":20260401T060000Z", ":20260401T140000Z", "DTSTART:20260402T060000Z"), "1 that cannot be read"),
        (event(":20260401T060000Z", ":20260401T140000Z", "RRULE:FREQ=BANANA"), "1 that cannot be read"),
        (event(BERLIN + "00010101T000000", BERLIN + "00010101T010000"), "1 that cannot be read"),
    ],
)
def test_what_is_no_shift_is_left_out_and_counted(one: str, left_out: str) -> None:
    found = read(one, event(":20260601T060000Z", ":20260601T140000Z", uid="good"))
    assert found.left_out.startswith(left_out)
    assert [start for start, _, _ in found.spans] == [datetime(2026, 6, 1, 6, tzinfo=UTC)]


@pytest.mark.parametrize(
    "raw", [b"", b"\0\xff", b"<html>Please sign in</html>", b"BEGIN:VCALENDAR\r\nBEGIN:VEVENT\r\n"]
)
def test_what_is_no_calendar_is_refused(raw: bytes) -> None:
    with pytest.raises(UsageError, match="no iCalendar file"):
        ics.read(raw, times=Cycle(zone=ZoneInfo("UTC"), shifts={}, cycle="", start_date=FIRST))


# --- hostile ---------------------------------------------------------------------------------------------------------


@pytest.mark.acceptance(62)
@pytest.mark.parametrize(
    "rule",
    ["FREQ=SECONDLY", "FREQ=MINUTELY;INTERVAL=2", "FREQ=HOURLY", "FREQ=DAILY;BYHOUR=1,2,3;BYMINUTE=1,2;BYSECOND=1,2"],
)
def test_a_rule_that_repeats_more_than_daily_is_not_followed(rule: str) -> None:
    began = time.process_time()
    found = read(event(":20260401T060000Z", ":20260401T060100Z", f"RRULE:{rule}"))
    assert found.spans == ()
    assert found.left_out == "1 repeating more than daily"
    assert time.process_time() - began < 1


@pytest.mark.acceptance(62)
def test_of_ten_thousand_shifts_the_first_five_hundred_are_kept() -> None:
    many = [event(":20260401T060000Z", f":20260401T14{n // 60 % 60:02}{n % 60:02}Z", uid=str(n)) for n in range(600)]
    found = read(*many, event(":20260402T060000Z", ":20260402T140000Z", "RRULE:FREQ=DAILY;COUNT=10000", uid="series"))
    assert len(found.spans) == ics.SHIFTS == 500
    assert found.left_out.endswith("after the first 500")


@pytest.mark.acceptance(62)
@pytest.mark.parametrize(
    ("title", "expected"),
    [
        ("N" * 10_000, "N" * 64),
        ("a\\nATTENDEE:mailto:x@example.org", "a ATTENDEE:mailto:x@example.org"),
        ("a\\;b\\,c\\\\d", "a;b,c\\d"),
        ("\x1b[31mred\x00", "[31mred"),
        ("", "shift"),
    ],
)
def test_a_title_is_one_short_line(title: str, expected: str) -> None:
    [(_, _, found)] = read(event(":20260401T060000Z", ":20260401T140000Z", title=title)).spans
    assert found == expected


def ask(raw: bytes) -> feed.Answer:
    return feed.ask(Question(data=raw, zone="Europe/Berlin", shifts=TWELVE, first_day=FIRST))


def test_a_calendar_is_read_in_a_process_of_its_own() -> None:
    found = ask(calendar(event(BERLIN + "20260328T190000", BERLIN + "20260329T070000")))
    assert found.error == ""
    [(start, end, title)] = found.spans
    assert (start, end - start, title) == (datetime(2026, 3, 28, 18, tzinfo=UTC), timedelta(hours=11), "Night")


@pytest.mark.acceptance(62)
@pytest.mark.slow
def test_a_calendar_that_takes_for_ever_is_given_up() -> None:
    never = "RRULE:FREQ=DAILY;BYMONTH=2;BYMONTHDAY=31"
    found = ask(calendar(*(event(":20200101T060000Z", ":20200101T140000Z", never, uid=str(n)) for n in range(200))))
    assert found.spans == ()
    # Of its processor seconds or, on a machine that has much else to do, of those that pass.
    assert found.error.startswith(("It takes too much time", "It was not there and read within"))


def test_what_is_no_calendar_is_an_error_in_words() -> None:
    assert "no iCalendar file" in ask(b"<html>").error
