"""The diary: meetings are planned ahead at wall-clock times, once each, and moved and cancelled without losing any."""

import threading
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Connection

from tests import digest_site
from tests.postgres import wait_for_a_lock
from tidings.communities.directory import Community
from tidings.database.engine import Database
from tidings.digests.meetings import diary, series
from tidings.digests.meetings.diary import Meeting
from tidings.digests.meetings.series import Series, parse_session
from tidings.errors import NotFoundError, UsageError

NOW = datetime(2026, 10, 10, 10, 0, tzinfo=UTC)
"""A Saturday; meetings are on Tuesdays from 13 October 2026 on, at 14:00 in Berlin, 12:00 UTC."""

DAY, HOUR, WEEK = timedelta(days=1), timedelta(hours=1), timedelta(days=7)
BERLIN, NEW_YORK = "Europe/Berlin", "America/New_York"

Add = Callable[..., Series]


@pytest.fixture
def pump(database: Database) -> Community:
    with database.write() as connection:
        return digest_site.community(connection)


@pytest.fixture
def add(database: Database, pump: Community) -> Add:
    """Adds a series of weekly meetings and plans it ahead."""

    def added(*sessions: str, now: datetime = NOW, **values: object) -> Series:
        asked = {"name": "hour", "first_day": date(2026, 10, 13), **values}
        times = [parse_session(one) for one in sessions or ("14:00",)]
        with database.write() as connection:
            made = series.add(connection, pump, sessions=times, now=now, **asked)  # type: ignore[arg-type]
            diary.plan_ahead(connection, made, now)
        return made

    return added


def plan(database: Database, found: Series, now: datetime) -> int:
    with database.write() as connection:
        return diary.plan_ahead(connection, found, now)


def planned(database: Database, found: Series) -> list[Meeting]:
    with database.read() as connection:
        return diary.of_series(connection, found.id)


def days(database: Database, found: Series) -> list[str]:
    return [one.day.isoformat() for one in planned(database, found)]


def following(database: Database, found: Series, now: datetime) -> date | None:
    with database.read() as connection:
        first = diary.following(connection, found.id, now)
        coming = diary.coming(connection, found.community_id, now)
    assert [one for one in coming if one in ids(database, found)] == ([first.id] if first else [])
    return first.day if first else None


def ids(database: Database, found: Series) -> set[int]:
    return {one.id for one in planned(database, found)}


def changed(database: Database, doing: Callable[[Connection], Meeting]) -> Meeting:
    with database.write() as connection:
        return doing(connection)


def move(
    database: Database,
    meeting: Meeting,
    start: datetime | None,
    now: datetime = NOW,
    *,
    number: int = 0,
    place: str = "",
) -> Meeting:
    sitting = meeting.sittings[number]
    return changed(database, lambda one: diary.move(one, meeting, sitting, start, now, place=place))


def cancel(database: Database, meeting: Meeting, now: datetime = NOW) -> Meeting:
    return changed(database, lambda one: diary.cancel(one, meeting, now))


# --- planned ahead ---------------------------------------------------------------------------------------------------


def test_meetings_are_planned_five_weeks_ahead_with_their_numbers_and_deadlines(database: Database, add: Add) -> None:
    found = add(place="Room 2", notice=6)
    assert days(database, found) == ["2026-10-13", "2026-10-20", "2026-10-27", "2026-11-03", "2026-11-10"]
    first = planned(database, found)[0]
    start = datetime(2026, 10, 13, 12, 0, tzinfo=UTC)
    assert [one.number for one in planned(database, found)] == [1, 2, 3, 4, 5]
    assert [(one.starts_at, one.ends_at, one.place, one.sequence) for one in first.sittings] == [
        (start, start + HOUR, "Room 2", 0)
    ]
    assert first.invites_at == start - diary.INVITED
    assert first.input_until == start - 6 * HOUR
    assert first.closes_at == start + HOUR + diary.AFTERWARDS
    assert (first.invited_at, first.final_at, first.closed_at, first.cancelled_at) == (None, None, None, None)
    with database.read() as connection:
        assert diary.by_id(connection, first.id) == first
        with pytest.raises(NotFoundError):
            diary.by_id(connection, 4711)


def test_what_is_planned_twice_is_there_once_and_a_week_later_one_more_is(database: Database, add: Add) -> None:
    found = add()
    assert plan(database, found, NOW) == 0
    assert plan(database, found, NOW + 6 * DAY) == 1
    assert plan(database, found, NOW + WEEK) == 0
    assert days(database, found)[-1] == "2026-11-17"
    assert [one.number for one in planned(database, found)] == [1, 2, 3, 4, 5, 6]


def test_after_long_downtime_only_meetings_to_come_are_planned(database: Database, add: Add) -> None:
    found = add()
    assert plan(database, found, NOW + 20 * WEEK) == 5
    assert days(database, found)[4:6] == ["2026-11-10", "2027-03-02"]


def test_a_series_is_looked_at_again_when_the_next_session_begins_within_a_day_and_after_a_change(
    database: Database, add: Add
) -> None:
    found = add()

    def due(now: datetime) -> bool:
        with database.read() as connection:
            return [one.id for one in series.due(connection, now)] == [found.id]

    assert not due(NOW + timedelta(hours=23))
    assert due(NOW + timedelta(days=1))
    first = planned(database, found)[0]
    plan(database, found, first.starts_at - timedelta(hours=2))
    assert not due(first.starts_at - timedelta(minutes=1))
    assert due(first.starts_at)
    plan(database, found, first.starts_at)
    for change in (diary.cancel, diary.restore):
        later = first.starts_at + timedelta(hours=1)
        with database.write() as connection:
            change(connection, diary.of_series(connection, found.id)[1], later)
        assert due(later)
        plan(database, found, later)
        assert not due(later)


def test_of_two_who_plan_at_once_one_waits_and_finds_all_done(database: Database, add: Add, pump: Community) -> None:
    found = add()
    later = NOW + 3 * WEEK
    result: list[int] = []
    other = threading.Thread(target=lambda: result.append(plan(database, found, later)))
    with database.write() as connection:
        assert diary.plan_ahead(connection, found, later) == 3
        other.start()
        wait_for_a_lock(database, other)
    other.join()
    assert result == [0]
    assert [one.number for one in planned(database, found)] == [1, 2, 3, 4, 5, 6, 7, 8]


def test_the_meeting_of_a_day_that_has_begun_is_not_planned(database: Database, add: Add) -> None:
    noon = datetime(2026, 10, 13, 12, 0, tzinfo=UTC)
    assert days(database, add(now=noon))[0] == "2026-10-20"
    assert days(database, add(name="later", now=noon - timedelta(minutes=1)))[0] == "2026-10-13"


def test_today_is_that_of_the_zone_of_the_series(database: Database, add: Add) -> None:
    # It is Wednesday in Berlin, and still Tuesday in New York.
    now = datetime(2026, 10, 14, 0, 30, tzinfo=UTC)
    assert days(database, add("21:00", zone=NEW_YORK, now=now))[0] == "2026-10-13"


def test_a_meeting_whose_only_session_is_days_later_is_planned_until_then(database: Database, add: Add) -> None:
    found = add("+2 14:00", now=datetime(2026, 10, 15, 9, 0, tzinfo=UTC))
    assert days(database, found)[0] == "2026-10-13"
    assert planned(database, found)[0].starts_at == datetime(2026, 10, 15, 12, 0, tzinfo=UTC)


# --- far rhythms -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rhythm", ["yearly", "FREQ=MONTHLY;INTERVAL=6", "FREQ=YEARLY;BYMONTH=10;BYDAY=2TU"])
def test_of_a_far_rhythm_the_next_meeting_is_planned_however_far_away(
    database: Database, add: Add, rhythm: str
) -> None:
    found = add(repeats=rhythm)
    assert days(database, found) == ["2026-10-13"]
    begins = datetime(2026, 10, 13, 12, 0, tzinfo=UTC)
    assert plan(database, found, begins - timedelta(minutes=1)) == 0
    assert plan(database, found, begins) == 1
    assert plan(database, found, begins + DAY) == 0
    assert following(database, found, begins) == planned(database, found)[1].day > date(2027, 4, 1)


def test_a_first_day_that_is_far_away_is_planned_at_once(database: Database, add: Add) -> None:
    assert days(database, add(first_day=date(2027, 6, 1))) == ["2027-06-01"]


def test_where_the_next_meeting_is_cancelled_the_one_after_it_is_planned(database: Database, add: Add) -> None:
    found = add(repeats="yearly")
    cancel(database, planned(database, found)[0])
    assert plan(database, found, NOW) == 1
    assert (plan(database, found, NOW), days(database, found)) == (0, ["2026-10-13", "2027-10-13"])
    assert following(database, found, NOW) == date(2027, 10, 13)


def test_where_a_meeting_was_held_before_its_day_the_one_after_it_is_planned(database: Database, add: Add) -> None:
    found = add(repeats="yearly")
    move(database, planned(database, found)[0], NOW + HOUR)
    assert plan(database, found, NOW) == 0
    assert plan(database, found, NOW + 2 * HOUR) == 1
    assert following(database, found, NOW + 2 * HOUR) == date(2027, 10, 13)


def test_a_meeting_that_is_held_once_is_planned_once(database: Database, add: Add) -> None:
    found = add(repeats="once", first_day=date(2027, 1, 12))
    assert days(database, found) == ["2027-01-12"]
    assert plan(database, found, NOW + 30 * WEEK) == 0
    assert following(database, found, NOW + 30 * WEEK) is None


def test_a_rhythm_with_an_end_ends(database: Database, add: Add) -> None:
    found = add(repeats="FREQ=WEEKLY;COUNT=2")
    assert days(database, found) == ["2026-10-13", "2026-10-20"]
    assert plan(database, found, NOW + 3 * WEEK) == 0


# --- the nights on which the clocks change ---------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("zone", "first", "starts", "begins"),
    [
        # Forward: the wall clock has no 02:30 on that Sunday, so it is 03:30.
        (BERLIN, "2026-03-22", "02:30", ["22T01:30", "29T01:30", "05T00:30"]),
        (BERLIN, "2026-03-22", "14:00", ["22T13:00", "29T12:00", "05T12:00"]),
        (NEW_YORK, "2026-03-01", "02:30", ["01T07:30", "08T07:30", "15T06:30"]),
        (NEW_YORK, "2026-03-01", "14:00", ["01T19:00", "08T18:00", "15T18:00"]),
        # Back: it is 02:30 twice (01:30 in New York), and the first is meant.
        (BERLIN, "2026-10-18", "02:30", ["18T00:30", "25T00:30", "01T01:30"]),
        (BERLIN, "2026-10-18", "14:00", ["18T12:00", "25T13:00", "01T13:00"]),
        (NEW_YORK, "2026-10-25", "01:30", ["25T05:30", "01T05:30", "08T06:30"]),
        (NEW_YORK, "2026-10-25", "14:00", ["25T18:00", "01T19:00", "08T19:00"]),
    ],
)
def test_over_a_change_of_the_clocks_a_meeting_is_at_its_wall_clock_time_once_and_as_long(
    database: Database, add: Add, zone: str, first: str, starts: str, begins: list[str]
) -> None:
    day = date.fromisoformat(first)
    now = datetime(day.year, day.month, day.day, tzinfo=UTC) - DAY
    found = planned(database, add(starts, zone=zone, first_day=day, now=now))
    assert [f"{one.starts_at:%dT%H:%M}" for one in found[:3]] == begins
    assert {one.ends_at - one.starts_at for one in found} == {HOUR}
    assert {one.starts_at - one.input_until for one in found} == {18 * HOUR}


def test_sessions_of_the_night_of_a_change_stand_in_the_order_in_which_they_begin(database: Database, add: Add) -> None:
    # 02:30 is not there on that night, and so comes after 03:00.
    now = datetime(2026, 3, 27, tzinfo=UTC)
    found = planned(database, add("02:30", "03:00", first_day=date(2026, 3, 29), now=now))
    assert [one.session.starts for one in found[0].sittings] == ["03:00", "02:30"]
    assert [one.session.starts for one in found[1].sittings] == ["02:30", "03:00"]


# --- several sessions ------------------------------------------------------------------------------------------------


def test_a_meeting_of_several_sessions_reaches_from_the_first_to_the_last(database: Database, add: Add) -> None:
    found = add("+1 06:30", "14:00", "22:00", place="Room 2")
    first = planned(database, found)[0]
    assert [f"{one.starts_at:%d %H:%M}" for one in first.sittings] == ["13 12:00", "13 20:00", "14 04:30"]
    assert first.input_until == first.starts_at - 18 * HOUR
    assert first.closes_at == first.sittings[-1].ends_at + diary.AFTERWARDS
    assert (first.starts_at, first.ends_at) == (first.sittings[0].starts_at, first.sittings[2].ends_at)
    assert first.sitting(first.sittings[1].id) == first.sittings[1]
    assert first.sitting(None) == first.sitting(4711) == first.sittings[0]


def test_a_meeting_comes_next_until_its_last_session_begins(database: Database, add: Add) -> None:
    found = add("14:00", "22:00")
    first, second, *_ = planned(database, found)
    for moment, day in (
        (first.starts_at - HOUR, first.day),
        (first.starts_at + HOUR, first.day),
        (first.sittings[1].starts_at, second.day),
    ):
        assert following(database, found, moment) == day


def test_a_moment_is_of_the_session_that_began_last(database: Database, add: Add) -> None:
    first = planned(database, add("14:00", "22:00"))[0]
    day, night = first.sittings
    moments = (day.starts_at - DAY, day.starts_at, night.starts_at - HOUR, night.starts_at, night.ends_at + DAY)
    assert [diary.at(first, one) for one in moments] == [day, day, day, night, night]


# --- what was held, what is to be done -------------------------------------------------------------------------------


def test_minutes_are_of_the_meeting_that_began_last_until_it_is_closed(database: Database, add: Add) -> None:
    found = add()
    first, second, *_ = planned(database, found)

    def running(now: datetime) -> Meeting | None:
        with database.read() as connection:
            return diary.running(connection, found.id, now)

    assert running(first.starts_at - HOUR) is None
    assert running(first.starts_at) == first
    assert running(second.starts_at) == second
    with database.write() as connection:
        assert diary.mark(connection, second, "closed_at", second.closes_at)
        assert diary.mark(connection, first, "closed_at", second.closes_at)
        assert not diary.mark(connection, first, "closed_at", NOW)
    assert running(second.starts_at + DAY) is None


def test_what_is_due_is_what_nobody_has_done_yet(database: Database, add: Add) -> None:
    found = add()
    first = planned(database, found)[0]

    def due(now: datetime) -> list[tuple[date, bool, bool, bool]]:
        with database.read() as connection:
            return [
                (
                    one.day,
                    one.invited_at is None and one.invites_at <= now,
                    one.final_at is None and one.input_until <= now,
                    one.closes_at <= now,
                )
                for one in diary.due(connection, now)
            ]

    def mark(done: str) -> None:
        with database.write() as connection:
            assert diary.mark(connection, first, done, NOW)

    assert due(first.invites_at - HOUR) == []
    assert due(first.invites_at) == [(first.day, True, False, False)]
    mark("invited_at")
    assert due(first.input_until - HOUR) == [(first.day + WEEK, True, False, False)]
    assert due(first.input_until)[0] == (first.day, False, True, False)
    mark("final_at")
    assert [one[0] for one in due(first.closes_at - HOUR)] == [first.day + WEEK]
    assert due(first.closes_at)[0] == (first.day, False, False, True)
    mark("closed_at")
    assert [one[0] for one in due(first.closes_at)] == [first.day + WEEK]


def test_the_meeting_before_is_the_last_that_was_held_whatever_its_number(database: Database, add: Add) -> None:
    found = add(repeats="monthly", first_day=date(2026, 10, 13))
    assert days(database, found) == ["2026-10-13", "2026-11-13"]
    with database.write() as connection:
        weekly = series.change(connection, found, {"repeats": "weekly"})
    plan(database, weekly, NOW + 4 * DAY)
    by_day = {one.day.isoformat(): one for one in planned(database, found)}
    assert by_day["2026-10-20"].number > by_day["2026-11-13"].number

    def before(day: str) -> str | None:
        with database.read() as connection:
            last = diary.before(connection, by_day[day])
        return last.day.isoformat() if last else None

    assert (before("2026-10-13"), before("2026-10-20"), before("2026-11-13")) == (None, "2026-10-13", "2026-11-10")
    cancel(database, by_day["2026-11-10"], NOW + 4 * DAY)
    assert before("2026-11-13") == "2026-11-03"


# --- moved -----------------------------------------------------------------------------------------------------------


def test_a_meeting_that_is_moved_keeps_its_day_as_its_name_and_moves_its_deadlines(
    database: Database, add: Add
) -> None:
    found = add(place="Room 2")
    first = planned(database, found)[0]
    start = datetime(2026, 10, 15, 13, 0, tzinfo=UTC)
    moved = move(database, first, start, NOW + HOUR, place="Room 3")
    sitting = moved.sittings[0]
    assert (moved.day, moved.number, moved.id) == (first.day, 1, first.id)
    assert (sitting.starts_at, sitting.ends_at, sitting.place) == (start, start + HOUR, "Room 3")
    assert (sitting.sequence, sitting.changed_at) == (1, NOW + HOUR)
    assert (moved.invites_at, moved.input_until) == (start - diary.INVITED, start - 18 * HOUR)
    assert moved.closes_at == start + HOUR + diary.AFTERWARDS
    assert plan(database, found, NOW) == 0
    only_place = move(database, moved, None, NOW + 2 * HOUR, place="Hall 1")
    assert (only_place.starts_at, only_place.sittings[0].place, only_place.sittings[0].sequence) == (start, "Hall 1", 2)


def test_a_move_to_where_it_is_changes_nothing(database: Database, add: Add) -> None:
    first = planned(database, add(place="Room 2"))[0]
    assert move(database, first, first.starts_at, NOW, place="Room 2") == first
    assert move(database, first, None) == first


def test_of_several_sessions_only_the_one_that_is_moved_moves(database: Database, add: Add) -> None:
    first = planned(database, add("14:00", "22:00"))[0]
    day, night = first.sittings
    moved = move(database, first, day.starts_at - 2 * HOUR, number=1)
    assert [one.id for one in moved.sittings] == [night.id, day.id]
    assert [(one.sequence, one.starts_at) for one in moved.sittings] == [
        (1, day.starts_at - 2 * HOUR),
        (0, day.starts_at),
    ]
    assert moved.input_until == day.starts_at - 20 * HOUR
    assert moved.closes_at == day.ends_at + diary.AFTERWARDS


def test_a_meeting_that_is_moved_beyond_the_next_one_comes_after_it(database: Database, add: Add) -> None:
    found = add()
    first, second, *_ = planned(database, found)
    moved = move(database, first, second.starts_at + DAY)
    assert following(database, found, NOW) == second.day
    with database.read() as connection:
        assert diary.before(connection, moved) == second
        assert diary.before(connection, second) is None


def test_where_input_ends_later_than_it_did_the_last_agenda_is_due_again(database: Database, add: Add) -> None:
    first = planned(database, add())[0]
    with database.write() as connection:
        diary.mark(connection, first, "final_at", first.input_until)
    now = first.input_until + HOUR
    assert move(database, first, first.starts_at + HOUR, now).final_at is not None
    later = move(database, first, first.starts_at + 2 * DAY, now)
    assert later.final_at is None
    with database.read() as connection:
        assert later in diary.due(connection, later.input_until)


@pytest.mark.parametrize(
    ("start", "now", "why"),
    [
        (timedelta(), timedelta(minutes=1), "has begun"),
        (DAY, timedelta(minutes=1), "has begun"),
        (DAY, HOUR, "is over"),
        (-3 * DAY, -2 * DAY, "into the past"),
    ],
)
def test_what_has_begun_is_not_moved_and_nothing_is_moved_into_the_past(
    database: Database, add: Add, start: timedelta, now: timedelta, why: str
) -> None:
    first = planned(database, add())[0]
    with pytest.raises(UsageError, match=why):
        move(database, first, first.starts_at + start, first.starts_at + now)


def test_a_place_is_one_line(database: Database, add: Add) -> None:
    first = planned(database, add())[0]
    with pytest.raises(UsageError, match="line break"):
        move(database, first, None, place="Room 3\r\nATTENDEE:mailto:eve@example.org")


# --- cancelled, ended, changed ---------------------------------------------------------------------------------------


def test_a_cancelled_meeting_stays_in_the_diary_and_is_closed_at_once(database: Database, add: Add) -> None:
    found = add("14:00", "22:00")
    first, second, *_ = planned(database, found)
    gone = cancel(database, first, NOW + HOUR)
    assert (gone.cancelled_at, gone.closes_at, gone.closed_at) == (NOW + HOUR, NOW + HOUR, None)
    assert [(one.sequence, one.changed_at) for one in gone.sittings] == [(1, NOW + HOUR)] * 2
    assert following(database, found, NOW) == second.day
    assert plan(database, found, NOW) == 0
    with database.read() as connection:
        assert [one.day for one in diary.due(connection, NOW + HOUR)] == [first.day]
        assert diary.following(connection, found.id, NOW, cancelled=True) == gone
        assert diary.before(connection, second) is None
        assert diary.running(connection, found.id, first.starts_at) is None


def test_what_is_cancelled_or_over_is_not_cancelled_or_moved(database: Database, add: Add) -> None:
    first, second, *_ = planned(database, add())
    gone = cancel(database, first)
    for doing in (lambda: cancel(database, gone), lambda: move(database, gone, gone.starts_at + DAY)):
        with pytest.raises(UsageError, match="2026-10-13 is cancelled"):
            doing()
    with pytest.raises(UsageError, match="2026-10-20 is over"):
        cancel(database, second, second.ends_at)


def test_a_series_that_ends_cancels_what_is_to_come_and_plans_no_more(database: Database, add: Add) -> None:
    found = add()
    first, second, *_ = planned(database, found)
    now = first.starts_at + timedelta(minutes=10)
    with database.write() as connection:
        gone = diary.end(connection, found, now)
    assert [one.day for one in gone] == [second.day + n * WEEK for n in range(4)]
    assert [one.cancelled_at for one in planned(database, found)] == [None, now, now, now, now]
    assert plan(database, found, now) == plan(database, found, now + 20 * WEEK) == 0
    assert following(database, found, now) is None
    with database.read() as connection:
        assert series.by_id(connection, found.id).ended_at == now


def test_a_changed_rhythm_keeps_the_meetings_that_were_planned(database: Database, add: Add) -> None:
    found = add()
    before = planned(database, found)
    with database.write() as connection:
        thursdays = series.change(connection, found, {"repeats": "FREQ=WEEKLY;BYDAY=TH"})
    assert plan(database, found, NOW) == 5  # what is planned is what the rhythm says now, whoever asks
    after = planned(database, thursdays)
    assert [(one.id, one.number, one.starts_at) for one in after if one.number <= 5] == [
        (one.id, one.number, one.starts_at) for one in before
    ]
    assert {f"{one.day:%a}" for one in after if one.number > 5} == {"Thu"}
    assert plan(database, thursdays, NOW + 6 * WEEK) > 0
    assert {f"{one.day:%a}" for one in planned(database, thursdays)[10:]} == {"Thu"}
