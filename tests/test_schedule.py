"""When digests are due: cut-offs and hours in wall-clock time, shift starts, sleep after nights."""

from datetime import UTC, date, datetime, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests import digest_site
from tidings.communities import digest_times
from tidings.communities.directory import Member
from tidings.communities.roster import Roster
from tidings.database.engine import Database
from tidings.digests import schedule
from tidings.digests.words import Words

BERLIN = "Europe/Berlin"
DAY = date(2026, 10, 24)
TWELVE = {"D": ("07:00", "19:00"), "N": ("19:00", "07:00")}


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def roster(cycle: str, start: str = "2026-10-05", zone: str = BERLIN, **shifts: tuple[str, str]) -> Roster:
    return Roster(zone=zone, shifts=TWELVE | shifts, cycle=cycle, start_date=date.fromisoformat(start))


def member(**values: object) -> Member:
    facts = {
        "membership_id": 1,
        "community_id": 1,
        "person_id": 1,
        "name": "Sam",
        "email": "sam@example.org",
        "role": "member",
        "delivery": "weekly",
        "cursor": 0,
        "held_posts": 0,
        "own_posts": True,
        "also_named": False,
        "paused_until": None,
        "stopped_at": None,
        "zone": BERLIN,
        "language": None,
        "crew_id": None,
        "digest_at": "shift",
        "digest_weekday": None,
        "digest_time": None,
        "one_mail": True,
        "format": "html",
        "quiet": "none",
    }
    if values.get("digest_weekday") is not None:
        facts["digest_at"] = "day"
    return Member(**(facts | values))  # type: ignore[arg-type]


# --- cut-offs --------------------------------------------------------------------------------------------------------


def cut_offs(weekday: int | None, at: str, after: str, until: str, zone: str = BERLIN) -> list[str]:
    found = schedule.cut_offs(weekday, at, zone, utc(after), utc(until))
    return [f"{moment:%Y-%m-%dT%H:%M}" for moment in found]


def test_a_weekly_cut_off_keeps_its_wall_time_over_both_clock_changes() -> None:
    assert cut_offs(6, "18:00", "2026-03-20T00:00", "2026-04-06T00:00") == [
        "2026-03-22T17:00",
        "2026-03-29T16:00",
        "2026-04-05T16:00",
    ]
    assert cut_offs(6, "18:00", "2026-10-17T00:00", "2026-11-02T00:00") == [
        "2026-10-18T16:00",
        "2026-10-25T17:00",
        "2026-11-01T17:00",
    ]


@pytest.mark.acceptance(91)
def test_a_cut_off_in_the_gap_comes_once_an_hour_later_by_the_wall_clock() -> None:
    assert cut_offs(6, "02:30", "2026-03-28T00:00", "2026-03-30T00:00") == ["2026-03-29T01:30"]  # 03:30 in Berlin


@pytest.mark.acceptance(91)
def test_a_cut_off_in_the_fold_comes_once_at_the_first_of_the_two() -> None:
    assert cut_offs(6, "02:30", "2026-10-24T00:00", "2026-10-26T00:00") == ["2026-10-25T00:30"]


def test_a_daily_cut_off_comes_every_day_at_the_same_wall_time() -> None:
    assert cut_offs(None, "18:00", "2026-10-24T12:00", "2026-10-26T18:00") == [
        "2026-10-24T16:00",
        "2026-10-25T17:00",
        "2026-10-26T17:00",
    ]


def test_the_moment_looked_from_is_left_out_and_the_last_is_in() -> None:
    assert cut_offs(6, "18:00", "2026-10-11T16:00", "2026-10-18T16:00") == ["2026-10-18T16:00"]


@pytest.mark.acceptance(94)
@pytest.mark.parametrize(
    ("zone", "weekday", "after", "expected"),
    [
        ("Europe/Berlin", 1, "2028-02-27T00:00", "2028-02-29T08:00"),  # a leap day
        ("Europe/Berlin", 3, "2026-12-28T00:00", "2026-12-31T08:00"),  # in week 53
        ("Europe/Berlin", 4, "2026-12-28T00:00", "2027-01-01T08:00"),  # over the end of the year
        ("Pacific/Apia", 4, "2011-12-28T00:00", "2011-12-30T19:00"),  # the Friday that was left out there: Saturday
        ("Pacific/Apia", 5, "2011-12-28T00:00", "2011-12-30T19:00"),
        ("Asia/Kolkata", 0, "2026-10-04T00:00", "2026-10-05T03:30"),
    ],
)
def test_odd_days_of_the_calendar_are_hit(zone: str, weekday: int, after: str, expected: str) -> None:
    assert f"{schedule.next_at(weekday, '09:00', zone, utc(after)):%Y-%m-%dT%H:%M}" == expected


def test_a_day_that_a_zone_leaves_out_makes_no_second_cut_off_at_one_moment() -> None:
    found = cut_offs(None, "09:00", "2011-12-27T00:00", "2012-01-01T00:00", "Pacific/Apia")
    assert found == sorted(set(found))


@given(
    weekday=st.none() | st.integers(0, 6),
    minute=st.integers(0, 1439),
    zone=st.sampled_from([BERLIN, "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata", "Pacific/Apia"]),
    hour=st.integers(0, 20 * 365 * 24),
)
def test_each_local_day_has_one_cut_off_however_the_time_is_cut_up(
    weekday: int | None, minute: int, zone: str, hour: int
) -> None:
    at = f"{minute // 60:02}:{minute % 60:02}"
    begin = utc("2010-01-01T00:00") + timedelta(hours=hour)
    end = begin + timedelta(days=21)
    whole = list(schedule.cut_offs(weekday, at, zone, begin, end))
    middle = begin + timedelta(days=10, hours=3)
    halves = [*schedule.cut_offs(weekday, at, zone, begin, middle), *schedule.cut_offs(weekday, at, zone, middle, end)]
    assert whole == halves == sorted(set(whole))
    assert len(whole) in ((3,) if weekday is not None else (20, 21, 22)) or zone == "Pacific/Apia"


# --- due -------------------------------------------------------------------------------------------------------------

CUT_OFF = utc("2026-10-11T16:00")  # Sunday 18:00 in Berlin


def due(of: Member, on: Roster | None = None, cut_off: datetime = CUT_OFF) -> str:
    return f"{schedule.due(of, on, cut_off, BERLIN).astimezone(ZoneInfo(BERLIN)):%a %d %b %H:%M}"


def test_a_crew_member_is_due_at_the_start_of_the_first_shift_after_the_cut_off() -> None:
    assert due(member(crew_id=1), roster("NNNNOOO")) == "Mon 12 Oct 19:00"
    assert due(member(crew_id=1), roster("OODDDDO")) == "Wed 14 Oct 07:00"


def test_a_shift_start_keeps_its_wall_time_in_the_week_of_the_clock_change() -> None:
    winter = utc("2026-10-25T17:00")
    assert schedule.due(member(crew_id=1), roster("NNNNOOO"), winter, BERLIN) == utc("2026-10-26T18:00")


def test_without_a_crew_it_is_monday_at_eight_in_the_members_zone() -> None:
    assert due(member()) == "Mon 12 Oct 08:00"
    assert schedule.due(member(zone="America/Chicago"), None, CUT_OFF, BERLIN) == utc("2026-10-12T13:00")


def test_a_member_without_a_zone_keeps_that_of_the_rota_and_else_the_sites() -> None:
    chicago = roster("DDDDDOO", zone="America/Chicago")
    assert schedule.zone_of(member(zone=None), chicago, BERLIN) == "America/Chicago"
    assert schedule.zone_of(member(zone=None), None, BERLIN) == BERLIN
    assert schedule.zone_of(member(zone="Asia/Kolkata"), chicago, BERLIN) == "Asia/Kolkata"


def test_a_crew_that_never_works_is_due_at_the_weekday_and_hour() -> None:
    assert due(member(crew_id=1), roster("O")) == "Mon 12 Oct 08:00"


def test_a_named_day_comes_before_the_shifts() -> None:
    chosen = member(crew_id=1, digest_weekday=3, digest_time="20:15")
    assert due(chosen, roster("OODDDDO")) == "Thu 15 Oct 20:15"


def test_a_daily_member_is_due_the_next_day_at_the_hour_or_at_the_next_shift() -> None:
    assert due(member(delivery="daily")) == "Mon 12 Oct 08:00"
    assert due(member(delivery="daily", digest_weekday=3, digest_time="19:30")) == "Sun 11 Oct 19:30"
    assert (
        due(member(delivery="daily", crew_id=1), roster("NNNNOOO"), CUT_OFF + timedelta(days=1)) == "Mon 12 Oct 19:00"
    )


def test_an_hour_in_the_sleep_after_a_night_moves_to_the_end_of_that_sleep() -> None:
    chosen = {"crew_id": 1, "digest_weekday": 1, "digest_time": "08:00"}
    assert due(member(**chosen), roster("NNNNOOO")) == "Tue 13 Oct 16:00"  # off the night at 07:00


def test_an_hour_outside_of_the_sleep_stays() -> None:
    assert due(member(crew_id=1, digest_weekday=1, digest_time="16:00"), roster("NNNNOOO")) == "Tue 13 Oct 16:00"
    assert due(member(crew_id=1, digest_weekday=1, digest_time="06:59"), roster("NNNNOOO")) == "Tue 13 Oct 06:59"
    assert due(member(crew_id=1, digest_weekday=1, digest_time="08:00"), roster("DDDDOOO")) == "Tue 13 Oct 08:00"


def test_sleep_ends_where_the_next_shift_begins() -> None:
    quick = roster("NA", A=("13:00", "21:00"), start="2026-10-12")
    assert due(member(crew_id=1, digest_weekday=1, digest_time="08:00"), quick) == "Tue 13 Oct 13:00"


def test_nine_hours_of_sleep_are_nine_hours_on_the_day_of_a_clock_change() -> None:
    early = Roster(zone=BERLIN, shifts={"M": ("00:00", "04:00")}, cycle="M", start_date=DAY)
    assert schedule.wake(early, utc("2026-10-25T03:30")) == utc("2026-10-25T12:00")  # 04:00 to 13:00, winter time
    late = Roster(zone=BERLIN, shifts={"M": ("00:00", "01:30")}, cycle="MO", start_date=DAY)
    assert schedule.wake(late, utc("2026-10-25T03:30")) == utc("2026-10-25T03:30")  # over before three: no night


def choice(text: str, **values: object) -> Member:
    """A crew member who chose a time as it is written."""
    chosen = digest_times.parse(text)
    return member(crew_id=1, digest_at=chosen.at, digest_weekday=chosen.weekday, digest_time=chosen.time, **values)


@pytest.mark.parametrize(
    ("chosen", "cycle", "expected"),
    [
        ("shift", "DDNNOOO", "Mon 12 Oct 07:00"),
        ("shift-end", "DDNNOOO", "Mon 12 Oct 18:45"),
        ("shift-end", "NNNNOOO", "Tue 13 Oct 06:45"),
        ("day-off", "DDDDOOO", "Fri 16 Oct 08:00"),
        ("day-off 17:30", "DDDDOOO", "Fri 16 Oct 17:30"),
        ("day-off", "NNNNOOO", "Fri 16 Oct 16:00"),  # off the last night at 07:00, and up nine hours later
        ("day-off 06:00", "NNNNOOO", "Fri 16 Oct 16:00"),  # still at work at that hour
        ("day-off 20:00", "OODDDOO", "Sun 11 Oct 20:00"),  # the evening of the cut-off is the first
        ("day-off 17:00", "OODDDOO", "Mon 12 Oct 17:00"),
        ("Sat 10:00", "DDNNOOO", "Sat 17 Oct 10:00"),
    ],
)
def test_a_member_is_due_at_the_time_that_they_chose(chosen: str, cycle: str, expected: str) -> None:
    assert due(choice(chosen), roster(cycle)) == expected


def test_a_crew_that_has_no_day_off_is_due_at_the_next_shift() -> None:
    assert due(choice("day-off"), roster("D")) == "Mon 12 Oct 07:00"


@pytest.mark.parametrize("chosen", ["shift", "shift-end", "day-off"])
def test_a_crew_that_never_works_again_is_due_at_some_hour(chosen: str) -> None:
    assert due(choice(chosen), roster("O")) == "Mon 12 Oct 08:00"


@pytest.mark.parametrize(
    ("cut_off", "cycle", "chosen", "expected"),
    [
        ("2026-03-22T17:00", "NNNNOOO", "shift", "2026-03-23T18:00"),
        ("2026-03-29T16:00", "NNNNOOO", "shift", "2026-03-30T17:00"),  # after the Sunday of the change
        ("2026-03-28T17:00", "N", "shift-end", "2026-03-29T04:45"),  # the night of the gap ends at 07:00 summer time
        ("2026-10-24T16:00", "N", "shift-end", "2026-10-25T05:45"),  # the night of the fold
        ("2026-10-25T17:00", "N", "shift", "2026-10-25T18:00"),
    ],
)
def test_shift_times_keep_the_wall_clock_on_the_nights_of_a_clock_change(
    cut_off: str, cycle: str, chosen: str, expected: str
) -> None:
    nights = roster(cycle, start="2026-01-05")
    assert schedule.due(choice(chosen), nights, utc(cut_off), BERLIN) == utc(expected)


@pytest.mark.acceptance(94)
@pytest.mark.parametrize(
    ("cut_off", "chosen", "expected"),
    [
        ("2028-02-27T17:00", "Tue 09:00", "2028-02-29T08:00"),  # a leap day
        ("2026-12-27T17:00", "Thu 09:00", "2026-12-31T08:00"),  # in week 53
        ("2026-12-27T17:00", "Fri 09:00", "2027-01-01T08:00"),  # over the end of the year
        ("2026-12-27T17:00", "day-off 09:00", "2027-01-01T08:00"),
        ("2028-02-27T17:00", "shift-end", "2028-02-28T17:45"),
    ],
)
def test_due_times_of_odd_weeks(cut_off: str, chosen: str, expected: str) -> None:
    days = roster("DDDDOOO", start="2026-01-05")
    assert schedule.due(choice(chosen), days, utc(cut_off), BERLIN) == utc(expected)


@pytest.mark.parametrize(
    ("of", "expected"),
    [
        ("shift", "It comes when your first shift after Sunday 18:00 (Europe/Berlin) starts."),
        ("shift-end", "It comes 15 minutes before your first shift after Sunday 18:00 (Europe/Berlin) ends."),
        ("day-off 10:00", "It comes at 10:00 on your first day off after Sunday 18:00 (Europe/Berlin)."),
        ("Tue 10:00", "It comes on Tuesdays at 10:00."),
    ],
)
def test_members_are_told_when_theirs_come(sqlite_database: Database, of: str, expected: str) -> None:
    with sqlite_database.write() as connection:
        pump = digest_site.community(connection)
    words = Words(language="en", zone=BERLIN, year=2026)
    assert words.comes(schedule.timing(choice(of), roster("DDDDOOO"), pump)) == expected


# --- quiet hours -----------------------------------------------------------------------------------------------------


def quiet(kind: str, cycle: str, now: str) -> list[str | None]:
    """Begin, end and the end of sleep, in Berlin."""
    moment = datetime.fromisoformat(now).replace(tzinfo=ZoneInfo(BERLIN)).astimezone(UTC)
    hours = schedule.quiet_hours(roster(cycle), kind, moment)
    moments = [hours.begin, hours.end, hours.risen] if hours else []
    return [one and f"{one.astimezone(ZoneInfo(BERLIN)):%a %H:%M}" for one in moments]


@pytest.mark.parametrize(
    ("kind", "cycle", "now", "expected"),
    [
        ("off", "DDDDOOO", "2026-10-12T10:00", ["Mon 19:00", "Tue 07:00", None]),  # at work: the next ones
        ("off", "DDDDOOO", "2026-10-12T20:00", ["Mon 20:00", "Tue 07:00", None]),  # now
        ("off", "DDDDOOO", "2026-10-15T19:00", ["Thu 19:00", "Mon 07:00", None]),  # over the days off
        ("off", "NNNNOOO", "2026-10-13T06:00", ["Tue 07:00", "Tue 19:00", "Tue 16:00"]),
        ("asleep", "NNNNOOO", "2026-10-13T06:00", ["Tue 07:00", "Tue 16:00", "Tue 16:00"]),
        ("asleep", "NNNNOOO", "2026-10-13T12:00", ["Tue 12:00", "Tue 16:00", "Tue 16:00"]),
        ("asleep", "NNNNOOO", "2026-10-13T16:00", ["Wed 07:00", "Wed 16:00", "Wed 16:00"]),
        ("asleep", "DDDDOOO", "2026-10-13T12:00", []),  # no nights
        ("off", "O", "2026-10-13T12:00", []),  # nothing would end them
        ("none", "NNNNOOO", "2026-10-13T12:00", []),
    ],
)
def test_quiet_hours_are_those_now_or_the_next(kind: str, cycle: str, now: str, expected: list[str | None]) -> None:
    assert quiet(kind, cycle, now) == expected


def test_a_roster_without_a_gap_has_no_quiet_hours() -> None:
    always = Roster(zone=BERLIN, shifts={"D": ("07:00", "07:00")}, cycle="D", start_date=date(2026, 10, 5))
    assert schedule.quiet_hours(always, "off", utc("2026-10-13T12:00")) is None


@given(
    cycle=st.text("DNO", min_size=1, max_size=14), kind=st.sampled_from(["off", "asleep"]), hours=st.integers(0, 2000)
)
def test_quiet_hours_hold_nothing_at_work_and_end_after_now(cycle: str, kind: str, hours: int) -> None:
    walk, now = roster(cycle), utc("2026-10-19T00:00") + timedelta(hours=hours)
    found = schedule.quiet_hours(walk, kind, now)
    if found is None:
        return
    assert now <= found.begin < found.end
    assert not any(walk.at(found.begin + (found.end - found.begin) * part / 4) for part in range(4))
    assert found.risen is None or found.begin < found.risen <= found.end


@pytest.mark.parametrize(
    ("starts", "ends", "night"),
    [
        ("19:00", "07:00", True),
        ("22:00", "06:00", True),
        ("00:00", "08:00", True),
        ("21:00", "03:00", False),
        ("03:00", "11:00", True),
        ("14:00", "22:00", False),
        ("15:00", "00:00", False),
        ("07:00", "19:00", False),
    ],
)
def test_a_night_shift_is_one_that_has_three_in_the_morning_in_it(starts: str, ends: str, night: bool) -> None:
    walk = Roster(zone=BERLIN, shifts={"X": (starts, ends)}, cycle="X", start_date=date(2026, 10, 5))
    assert schedule.is_night(walk.shifts(date(2026, 10, 6), 1)[0]) is night


@given(
    cycle=st.text("DNO", min_size=1, max_size=28),
    weekday=st.none() | st.integers(0, 6),
    minute=st.integers(0, 1439),
    weeks=st.integers(0, 60),
)
def test_nobody_is_ever_due_before_the_cut_off_or_in_their_sleep(
    cycle: str, weekday: int | None, minute: int, weeks: int
) -> None:
    at = f"{minute // 60:02}:{minute % 60:02}"
    walk = roster(cycle)
    cut_off = next(islice(schedule.cut_offs(6, "18:00", BERLIN, CUT_OFF, utc("2028-01-01T00:00")), weeks, None))
    found = schedule.due(member(crew_id=1, digest_weekday=weekday, digest_time=at), walk, cut_off, BERLIN)
    assert cut_off <= found
    # Off shift, in the nine hours after the end of a shift that began in the evening.
    before = walk.shifts(found.astimezone(walk.zone).date() - timedelta(days=2), 3)
    asleep = any(
        shift.letter == "N" and shift.end.astimezone(UTC) <= found < shift.end.astimezone(UTC) + timedelta(hours=9)
        for shift in before
    )
    assert walk.at(found) or not asleep
