"""The time: passed in, in UTC, and wall-clock where people write it."""

from datetime import UTC, datetime, timedelta, timezone

import pytest

from tidings.clock import FixedClock, ShiftedClock, SystemClock, parse_moment, zone
from tidings.errors import UsageError

NOON = datetime(2026, 10, 14, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize("name", ["Europe/Berlin", "America/St_Johns", "Asia/Kathmandu", "UTC"])
def test_a_zone_is_an_iana_name(name: str) -> None:
    assert zone(name).key == name


@pytest.mark.parametrize("name", ["", "Mars/Olympus", "Europe", "../Europe/Berlin", "/etc/localtime", "UTC+1", "a\0b"])
def test_what_is_no_zone_is_refused_with_an_example(name: str) -> None:
    with pytest.raises(UsageError, match="Europe/Berlin"):
        zone(name)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-10-14T14:00", NOON),  # summer time in Berlin
        ("2026-12-14T13:00", datetime(2026, 12, 14, 12, 0, tzinfo=UTC)),
        ("2026-10-14 14:00:00", NOON),
        ("2026-10-14", datetime(2026, 10, 13, 22, 0, tzinfo=UTC)),
        ("2026-10-14T12:00Z", NOON),
        ("2026-10-14T12:00+00:00", NOON),
        ("2026-10-14T17:30+05:30", NOON),
        ("2026-10-25T02:30", datetime(2026, 10, 25, 0, 30, tzinfo=UTC)),  # shown twice: the first
        ("2026-10-25T02:30+01:00", datetime(2026, 10, 25, 1, 30, tzinfo=UTC)),
        ("2026-03-29T02:30", datetime(2026, 3, 29, 1, 30, tzinfo=UTC)),  # skipped: an hour later, 03:30
    ],
)
def test_a_moment_without_an_offset_is_wall_time_of_the_zone(text: str, expected: datetime) -> None:
    moment = parse_moment(text, "Europe/Berlin")
    assert moment == expected
    assert moment.tzinfo is UTC


@pytest.mark.parametrize("text", ["", "soon", "14.10.2026", "2026-13-01", "2026-10-14T25:00", "0001-01-01T00:00+14:00"])
def test_what_is_no_moment_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(UsageError, match="2026-10-14T06:30"):
        parse_moment(text, "Europe/Berlin")


def test_the_zone_of_a_moment_is_checked_even_where_an_offset_makes_it_idle() -> None:
    with pytest.raises(UsageError, match="Mars"):
        parse_moment("2026-10-14T12:00Z", "Mars")


def test_a_fixed_clock_stands_where_it_was_set_and_says_so_in_utc() -> None:
    clock = FixedClock(NOON.astimezone(timezone(timedelta(hours=9))))
    assert clock.now() == clock.now() == NOON
    assert clock.now().tzinfo is UTC
    clock.advance(timedelta(hours=1))
    assert clock.now() == NOON + timedelta(hours=1)
    clock.set(NOON.astimezone(timezone(timedelta(hours=-5))))
    assert clock.now() == NOON
    assert clock.now().tzinfo is UTC


def test_a_shifted_clock_is_the_machines_moved_by_the_offset_of_now() -> None:
    offset = timedelta(0)
    clock = ShiftedClock(lambda: offset)
    before = SystemClock().now()
    assert before <= clock.now() <= SystemClock().now()
    offset = timedelta(days=7)
    assert before + offset <= clock.now() <= SystemClock().now() + offset
    assert clock.now().tzinfo is UTC
