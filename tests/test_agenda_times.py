"""When a member is told of a meeting: at the last shift start or digest before input ends, and never in their sleep."""

from datetime import UTC, date, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tests import digest_site
from tests.test_schedule import member, roster
from tidings.communities.directory import Community
from tidings.communities.roster import Roster
from tidings.database.engine import Database
from tidings.digests import schedule
from tidings.digests.meetings import timing
from tidings.digests.meetings.diary import Sitting
from tidings.digests.meetings.series import Session

ZONE = ZoneInfo("Europe/Berlin")
MEETING = "Tue 20 Oct 14:00"
EARLY = "Sat 10 Oct 14:00"
WEEKDAYS = "DDDDDOO"
NIGHTS = "NNNNNOO"
ALWAYS_NIGHTS = "N"
FAR_OFF = "O" * 30 + "D"
ON_THE_DAY = "O" * 15 + "D" + "O" * 14


def at(text: str, year: int = 2026) -> datetime:
    """A moment by the wall clock in Berlin."""
    return datetime.strptime(f"{text[4:]} {year}", "%d %b %H:%M %Y").replace(tzinfo=ZONE).astimezone(UTC)


def shown(moment: datetime) -> str:
    local = moment.astimezone(ZONE)
    return f"{local:%a} {local.day} {local:%b %H:%M}"


def sitting(starts: str = MEETING, year: int = 2026) -> Sitting:
    start = at(starts, year)
    return Sitting(
        id=1,
        session=Session(id=1, position=0, day=0, starts="14:00", place=""),
        starts_at=start,
        ends_at=start + timedelta(hours=1),
        place="",
        sequence=0,
        changed_at=start,
    )


@pytest.fixture
def pump(sqlite_database: Database) -> Community:
    """Its cut-off is on Sundays at 18:00."""
    with sqlite_database.write() as connection:
        return digest_site.community(connection)


def due(
    pump: Community,
    shifts: Roster | None,
    now: str = EARLY,
    meeting: str = MEETING,
    notice: int = 18,
    year: int = 2026,
    **chosen: Any,
) -> str:
    moment = timing.agenda_due(
        member(**{"crew_id": 1 if shifts else None, **chosen}),
        shifts,
        pump,
        sitting(meeting, year),
        notice=timedelta(hours=notice),
        now=at(now, year),
        site_zone="Europe/Berlin",
    )
    return shown(moment)


# Input is printed until Monday 19 October 20:00.
@pytest.mark.parametrize(
    ("cycle", "chosen", "expected"),
    [
        (WEEKDAYS, {"delivery": "each"}, "Mon 19 Oct 07:00"),
        (WEEKDAYS, {"delivery": "weekly"}, "Mon 19 Oct 07:00"),
        (WEEKDAYS, {"delivery": "daily"}, "Mon 19 Oct 07:00"),
        (NIGHTS, {"delivery": "each"}, "Mon 19 Oct 19:00"),
        (NIGHTS, {"delivery": "daily"}, "Mon 19 Oct 19:00"),
        ("OOOODDD", {"delivery": "each"}, "Sun 18 Oct 07:00"),
        ("OODDDOOOOOOOOOOOOOOO", {"delivery": "each"}, "Mon 19 Oct 08:00"),  # its last shift began before the window
        ("OOOOOODOOOOOOOOOOOOO", {"delivery": "each"}, "Sun 11 Oct 07:00"),  # nine days before, and none since
        (ON_THE_DAY, {"delivery": "each"}, "Tue 20 Oct 07:00"),  # too late for input, yet before the meeting
        (FAR_OFF, {"delivery": "each"}, "Mon 19 Oct 08:00"),  # none: the day before, at their hour
        (FAR_OFF, {"delivery": "weekly"}, "Mon 19 Oct 08:00"),
        (FAR_OFF, {"delivery": "each", "digest_time": "17:30"}, "Mon 19 Oct 17:30"),
    ],
)
def test_who_works_shifts_has_it_at_the_last_start_by_which_input_is_printed(
    pump: Community, cycle: str, chosen: dict[str, Any], expected: str
) -> None:
    assert due(pump, roster(cycle), **chosen) == expected


def test_a_shift_that_starts_at_the_last_moment_counts_and_one_a_minute_later_does_not(pump: Community) -> None:
    last = roster("ODSOOOO", D=("07:00", "19:00"), S=("20:00", "04:00"), start="2026-10-03")
    assert due(pump, last, delivery="each") == "Mon 19 Oct 20:00"
    after = roster("ODSOOOO", D=("07:00", "19:00"), S=("20:01", "04:00"), start="2026-10-03")
    assert due(pump, after, delivery="each") == "Sun 18 Oct 07:00"


def test_a_digest_that_is_nearer_carries_it(pump: Community) -> None:
    at_the_end = shown(at("Mon 19 Oct 19:00") - schedule.BEFORE_THE_END)
    assert due(pump, roster(WEEKDAYS), delivery="weekly", digest_at="end") == at_the_end
    assert due(pump, roster(WEEKDAYS), delivery="each", digest_at="end") == "Mon 19 Oct 07:00"
    # The digest of the week comes on the first day off, which is after the last start of a shift.
    assert due(pump, roster("DDDDDDDDDDDDDDOO"), delivery="weekly", digest_at="off") == "Mon 19 Oct 08:00"


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"delivery": "each"}, "Mon 19 Oct 08:00"),
        ({"delivery": "daily"}, "Mon 19 Oct 08:00"),
        ({"delivery": "weekly"}, "Mon 19 Oct 08:00"),
        ({"delivery": "weekly", "digest_weekday": 0, "digest_time": "18:00"}, "Mon 19 Oct 18:00"),
        ({"delivery": "weekly", "digest_weekday": 4, "digest_time": "17:00"}, "Mon 19 Oct 17:00"),
        ({"delivery": "each", "digest_time": "20:00"}, "Mon 19 Oct 20:00"),
        ({"delivery": "each", "digest_time": "20:30"}, "Sun 18 Oct 20:30"),
        ({"delivery": "each", "zone": "America/Denver"}, "Mon 19 Oct 16:00"),
        ({"delivery": "each", "zone": "Australia/Sydney"}, "Sun 18 Oct 23:00"),
    ],
)
def test_who_has_no_shifts_has_it_at_their_hour_before_input_ends(
    pump: Community, chosen: dict[str, Any], expected: str
) -> None:
    assert due(pump, None, **chosen) == expected


def test_who_works_shifts_and_named_a_day_has_it_at_their_hour(pump: Community) -> None:
    chosen: dict[str, Any] = {"digest_weekday": 2, "digest_time": "09:00"}
    assert due(pump, roster(WEEKDAYS), delivery="weekly", **chosen) == "Mon 19 Oct 09:00"
    assert due(pump, roster(WEEKDAYS), delivery="each", **chosen) == "Mon 19 Oct 09:00"


@pytest.mark.parametrize("delivery", ["each", "weekly", "daily"])
def test_an_hour_in_the_sleep_after_a_night_is_when_that_ends(pump: Community, delivery: str) -> None:
    chosen: dict[str, Any] = {"digest_weekday": 2, "digest_time": "09:00", "delivery": delivery}
    assert due(pump, roster(ALWAYS_NIGHTS), **chosen) == "Mon 19 Oct 16:00"
    # Input ends at noon, when they sleep: the day before they were up.
    assert due(pump, roster(ALWAYS_NIGHTS), notice=26, **chosen) == "Sun 18 Oct 16:00"


def test_what_was_planned_late_comes_at_the_next_of_these(pump: Community) -> None:
    assert due(pump, roster(WEEKDAYS), now="Mon 19 Oct 10:00", delivery="each") == "Tue 20 Oct 07:00"
    assert due(pump, roster(WEEKDAYS), now="Tue 20 Oct 10:00", delivery="each") == "Tue 20 Oct 10:00"
    assert due(pump, None, now="Mon 19 Oct 10:00", delivery="each") == "Mon 19 Oct 10:00"
    assert due(pump, None, now="Mon 19 Oct 10:00", delivery="daily") == "Tue 20 Oct 08:00"


def test_what_was_planned_too_late_for_any_waits_for_who_sleeps(pump: Community) -> None:
    moment = due(pump, roster(ALWAYS_NIGHTS), now="Tue 20 Oct 10:00", meeting="Tue 20 Oct 18:00", delivery="each")
    assert moment == "Tue 20 Oct 16:00"


@pytest.mark.parametrize(
    ("starts", "utc"),
    [("07:00", "2026-10-25T06:00"), ("02:30", "2026-10-25T00:30"), ("03:30", "2026-10-25T02:30")],
)
def test_on_the_night_the_clock_goes_back_a_shift_starts_once(pump: Community, starts: str, utc: str) -> None:
    """A meeting on Tuesday 27 October, whose input ends on Sunday at noon."""
    night = roster("OOOOOOD", D=(starts, "12:30"))
    found = due(pump, night, meeting="Tue 27 Oct 14:00", notice=50, delivery="each")
    assert at(found) == datetime.fromisoformat(utc).replace(tzinfo=UTC)


def test_on_the_night_the_clock_goes_forward_a_start_in_the_gap_is_an_hour_later(pump: Community) -> None:
    night = roster("OOOOOOD", start="2027-03-01", D=("02:30", "12:30"))
    values: dict[str, Any] = {"now": "Mon 22 Mar 12:00", "meeting": "Tue 30 Mar 14:00", "notice": 50, "year": 2027}
    assert due(pump, night, delivery="each", **values) == "Sun 28 Mar 03:30"


def test_the_hour_of_the_day_before_is_that_of_the_wall_clock_after_the_clock_went_back(pump: Community) -> None:
    assert due(pump, None, meeting="Mon 26 Oct 10:00", now="Thu 22 Oct 10:00", delivery="each") == "Sun 25 Oct 08:00"
    assert at("Sun 25 Oct 08:00") == datetime(2026, 10, 25, 7, 0, tzinfo=UTC)


@pytest.mark.parametrize("cycle", [WEEKDAYS, NIGHTS, ALWAYS_NIGHTS, "DNOO", "NO", "DO", FAR_OFF, ON_THE_DAY])
@pytest.mark.parametrize("delivery", ["each", "weekly", "daily"])
@pytest.mark.parametrize("digest_at", ["shift", "end", "off", "day"])
def test_nobody_has_it_in_their_sleep_whatever_they_chose(
    pump: Community, cycle: str, delivery: str, digest_at: str
) -> None:
    shifts = roster(cycle)
    for day in range(14, 28, 3):
        meeting = at("Tue 13 Oct 14:00") + timedelta(days=day - 14)
        one = member(crew_id=1, delivery=delivery, digest_at=digest_at, digest_time="10:00")
        moment = timing.agenda_due(
            one,
            shifts,
            pump,
            sitting(f"Xxx {meeting.astimezone(ZONE):%d %b %H:%M}"),
            notice=timedelta(hours=18),
            now=meeting - timedelta(days=10),
            site_zone="Europe/Berlin",
        )
        assert schedule.slept_off(shifts, moment) is None
        assert meeting - timedelta(days=10) <= moment < meeting


# --- what cannot wait ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cycle", "now", "before", "expected"),
    [
        ("", "Mon 19 Oct 03:00", "Tue 20 Oct 14:00", "Mon 19 Oct 03:00"),  # nobody knows when they work
        (WEEKDAYS, "Mon 19 Oct 10:00", "Tue 20 Oct 14:00", "Mon 19 Oct 10:00"),  # at work
        (WEEKDAYS, "Mon 19 Oct 07:00", "Tue 20 Oct 14:00", "Mon 19 Oct 07:00"),
        (WEEKDAYS, "Mon 19 Oct 22:00", "Tue 20 Oct 14:00", "Tue 20 Oct 07:00"),  # at the next start
        (WEEKDAYS, "Fri 16 Oct 22:00", "Sun 18 Oct 14:00", "Fri 16 Oct 22:00"),  # none before then
        (WEEKDAYS, "Fri 16 Oct 22:00", "Mon 19 Oct 07:00", "Fri 16 Oct 22:00"),  # one at the very moment is none
        (NIGHTS, "Tue 20 Oct 08:00", "Tue 20 Oct 14:00", "Tue 20 Oct 16:00"),  # asleep
        (NIGHTS, "Tue 20 Oct 08:00", "Tue 20 Oct 20:00", "Tue 20 Oct 19:00"),
    ],
)
def test_what_cannot_wait_is_told_at_work_or_at_the_next_start(
    cycle: str, now: str, before: str, expected: str
) -> None:
    assert shown(timing.soon(roster(cycle) if cycle else None, at(now), at(before))) == expected


def test_the_days_that_the_tests_name_are_right() -> None:
    assert date(2026, 10, 20).strftime("%a") == "Tue"
