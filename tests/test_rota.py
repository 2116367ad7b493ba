"""Rotas: the known patterns give the given shifts, over clock changes too, and what is typed is checked."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from tidings.communities import patterns, rosters, rota
from tidings.communities.patterns import KNOWN_PATTERNS
from tidings.communities.roster import Roster
from tidings.database.engine import Database
from tidings.errors import NotFoundError, UsageError

GIVEN = json.loads((Path(__file__).parent / "data" / "rotas.json").read_text())
START = date.fromisoformat(GIVEN["start"])
BERLIN = ZoneInfo("Europe/Berlin")
DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
TWELVE = {"D": ("07:00", "19:00"), "N": ("19:00", "07:00")}


def roster(name: str, crew: str, **changes: Any) -> Roster:
    known = KNOWN_PATTERNS[name]
    values = {"zone": GIVEN["zone"], "shifts": known.shifts, "cycle": known.cycles[crew], "start_date": START}
    return Roster(**values | changes)


def given(key: str) -> list[Any]:
    """One case for each crew whose rota has that key in the file."""
    return [
        pytest.param(name, crew, facts[key], id=f"{name}-{crew}")
        for name, facts in GIVEN["rotas"].items()
        if key in facts
        for crew in facts["crews"]
    ]


def local(text: str, zone: ZoneInfo = BERLIN, fold: int = 0) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=zone, fold=fold)


# --- the given patterns ----------------------------------------------------------------------------------------------


def test_the_known_patterns_are_those_of_the_given_file() -> None:
    ours = {
        name: {
            "shifts": {letter: list(times) for letter, times in known.shifts.items()},
            "crews": dict(known.cycles),
        }
        for name, known in KNOWN_PATTERNS.items()
    }
    assert ours == {
        name: {"shifts": facts["shifts"], "crews": facts["crews"]} for name, facts in GIVEN["rotas"].items()
    }


@pytest.mark.parametrize(("name", "crew", "expected"), given("on_shift_at_14"))
def test_a_weekly_meeting_at_14_meets_a_crew_on_shift_as_often_as_given(name: str, crew: str, expected: Any) -> None:
    walk = roster(name, crew)
    first = local("2026-01-05T14:00")
    counted = {
        day: sum(walk.at(first + timedelta(days=number + 7 * week)) is not None for week in range(4))
        for number, day in enumerate(DAYS)
    }
    assert counted == {day: crews[crew] for day, crews in expected.items()}


@pytest.mark.parametrize(("name", "crew", "expected"), given("weekly_hours"))
def test_a_crew_works_the_given_hours_a_week(name: str, crew: str, expected: Any) -> None:
    worked = sum((shift.length for shift in roster(name, crew).shifts(START, 28)), timedelta())
    assert worked / timedelta(hours=1) / 4 == expected[crew]


@pytest.mark.parametrize(("season", "first_day"), [("spring", "2026-03-27"), ("autumn", "2026-10-23")])
@pytest.mark.parametrize(("name", "crew", "expected"), given("utc"))
def test_shifts_over_a_clock_change_are_the_given_spans(
    name: str, crew: str, expected: Any, season: str, first_day: str
) -> None:
    shifts = roster(name, crew).shifts(date.fromisoformat(first_day), 4)
    ours = [
        [
            shift.letter,
            shift.start.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ"),
            shift.end.astimezone(UTC).strftime("%Y-%m-%dT%H:%MZ"),
            shift.length / timedelta(hours=1),
        ]
        for shift in shifts
    ]
    assert ours == expected[season][crew]


# Southern, half an hour, twice a year around Ramadan, at midnight, across the date line, and without any change.
ODD_ZONES = (
    "America/New_York",
    "America/Santiago",
    "America/St_Johns",
    "Australia/Lord_Howe",
    "Africa/Casablanca",
    "Asia/Kolkata",
    "Asia/Beirut",
    "Pacific/Chatham",
    "Pacific/Kiritimati",
    "Antarctica/Troll",
)


@pytest.mark.parametrize("zone", ODD_ZONES)
def test_a_weekly_meeting_meets_the_crews_as_often_in_every_zone(zone: str) -> None:
    first = datetime(2026, 1, 5, 14, tzinfo=ZoneInfo(zone))
    for name, facts in GIVEN["rotas"].items():
        for crew in facts["crews"] if "on_shift_at_14" in facts else ():
            walk = roster(name, crew, zone=zone)
            met = {
                day: sum(walk.at(first + timedelta(days=number + 7 * week)) is not None for week in range(4))
                for number, day in enumerate(DAYS)
            }
            assert met == {day: crews[crew] for day, crews in facts["on_shift_at_14"].items()}, (name, crew)


@pytest.mark.parametrize("zone", ODD_ZONES)
def test_shifts_keep_the_wall_clock_of_every_zone_all_year_and_are_as_long_as_it_says(zone: str) -> None:
    for name, known in KNOWN_PATTERNS.items():
        for shift in roster(name, "A", zone=zone).shifts(START, 365):
            assert (f"{shift.start:%H:%M}", f"{shift.end:%H:%M}") == tuple(known.shifts[shift.letter])
            by_the_clock = shift.end.replace(tzinfo=None) - shift.start.replace(tzinfo=None)
            assert shift.length == by_the_clock + _offset(shift.start) - _offset(shift.end)


def _offset(moment: datetime) -> timedelta:
    return moment.utcoffset() or timedelta()


@pytest.mark.parametrize(
    ("zone", "night", "hours"),
    [
        ("America/Santiago", "2026-04-04", 13),
        ("America/Santiago", "2026-09-05", 11),
        ("Africa/Casablanca", "2026-02-14", 13),
        ("Africa/Casablanca", "2026-03-21", 11),
        ("Australia/Lord_Howe", "2026-10-03", 11.5),
        ("America/New_York", "2026-03-07", 11),
        ("America/New_York", "2026-10-31", 13),
        ("Australia/Lord_Howe", "2026-04-04", 12.5),
        ("Asia/Kolkata", "2026-03-28", 12),
    ],
)
def test_a_night_shift_is_as_long_as_the_clock_of_its_zone_makes_it(zone: str, night: str, hours: float) -> None:
    day = date.fromisoformat(night)
    [shift] = Roster(zone=zone, shifts=TWELVE, cycle="N", start_date=day).shifts(day, 1)
    assert (shift.start.hour, shift.end.hour) == (19, 7)
    assert shift.length == timedelta(hours=hours)


# --- the walk --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "crew"), [("dupont", "A"), ("continental", "C"), ("four-on-four-off", "D")])
def test_the_next_start_is_the_first_of_all_shifts_after_the_moment(name: str, crew: str) -> None:
    walk = roster(name, crew)
    starts = [shift.start.astimezone(UTC) for shift in walk.shifts(START, 400)]
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    while moment < datetime(2027, 1, 1, tzinfo=UTC):
        found = walk.next_start(moment)
        assert found is not None
        assert found.start == next(start for start in starts if start > moment)
        moment += timedelta(hours=5)


def test_a_shift_that_starts_at_the_moment_is_not_the_next() -> None:
    found = roster("four-on-four-off", "A").next_start(local("2026-01-05T07:00"))
    assert found is not None
    assert found.start.isoformat() == "2026-01-06T07:00:00+01:00"


@pytest.mark.parametrize("after", ["1990-06-01T12:00", "2026-01-05T06:59"])
def test_a_crew_has_no_shift_before_its_start_date(after: str) -> None:
    walk = roster("four-on-four-off", "A")
    found = walk.next_start(local(after))
    assert found is not None
    assert found.start == local("2026-01-05T07:00")
    assert walk.shifts(START - timedelta(days=10), 10) == []
    assert walk.at(local("2026-01-04T10:00")) is None


def test_the_last_day_on_of_a_long_cycle_is_found_from_just_after_it() -> None:
    walk = Roster(zone="Europe/Berlin", shifts=TWELVE, cycle="D" + "O" * 399, start_date=START)
    found = walk.next_start(local("2026-01-05T07:00"))
    assert found is not None
    assert found.start.date() == START + timedelta(days=400)


def test_a_cycle_that_is_all_off_has_no_next_shift() -> None:
    walk = Roster(zone="Europe/Berlin", shifts=TWELVE, cycle="OOO", start_date=START)
    assert walk.next_start(local("2026-02-01T00:00")) is None


@pytest.mark.parametrize(
    ("moment", "letter"),
    [
        ("2026-01-13T18:59", None),
        ("2026-01-13T19:00", "N"),
        ("2026-01-14T03:00", "N"),
        ("2026-01-14T06:59", "N"),
        ("2026-01-14T07:00", None),
    ],
)
def test_a_shift_is_on_duty_from_its_start_until_just_before_its_end(moment: str, letter: str | None) -> None:
    found = roster("four-on-four-off", "A").at(local(moment))
    assert (found.letter if found else None) == letter


def test_where_shifts_overlap_the_one_that_began_last_is_on_duty() -> None:
    shifts = {"D": ("06:00", "14:00"), "N": ("20:00", "08:00")}
    walk = Roster(zone="Europe/Berlin", shifts=shifts, cycle="ND", start_date=START)
    found = walk.at(local("2026-01-06T07:00"))
    assert found is not None
    assert found.letter == "D"


def test_a_shift_that_ends_when_it_starts_lasts_until_the_next_day() -> None:
    walk = Roster(zone="Europe/Berlin", shifts={"D": ("08:00", "08:00")}, cycle="DO", start_date=START)
    [shift] = walk.shifts(START, 2)
    assert shift.length == timedelta(hours=24)


@pytest.mark.acceptance(91)
def test_a_start_that_the_clock_skips_comes_once_an_hour_later() -> None:
    walk = Roster(zone="Europe/Berlin", shifts={"E": ("02:30", "10:30")}, cycle="E", start_date=START)
    [shift] = walk.shifts(date(2026, 3, 29), 1)
    assert shift.start.isoformat() == "2026-03-29T03:30:00+02:00"
    assert walk.next_start(local("2026-03-28T02:30")) == shift
    following = walk.next_start(shift.start)
    assert following is not None
    assert following.start.isoformat() == "2026-03-30T02:30:00+02:00"


@pytest.mark.acceptance(91)
def test_a_start_that_the_clock_shows_twice_comes_once_at_the_first() -> None:
    walk = Roster(zone="Europe/Berlin", shifts={"E": ("02:30", "10:30")}, cycle="E", start_date=START)
    [shift] = walk.shifts(date(2026, 10, 25), 1)
    assert shift.start.isoformat() == "2026-10-25T02:30:00+02:00"
    # 02:15 in the second of the two hours is later than 02:30 in the first, though the wall clock says otherwise.
    following = walk.next_start(local("2026-10-25T02:15", fold=1))
    assert following is not None
    assert following.start.isoformat() == "2026-10-26T02:30:00+01:00"


def test_a_start_that_a_gap_pushes_past_midnight_is_still_found() -> None:
    nuuk = ZoneInfo("America/Nuuk")  # its clock went from 23:00 to 00:00 on 28 March 2026
    walk = Roster(zone=nuuk.key, shifts={"N": ("23:30", "08:00")}, cycle="N", start_date=START)
    found = walk.next_start(local("2026-03-29T00:10", nuuk))
    assert found is not None
    assert found.start.isoformat() == "2026-03-29T00:30:00-01:00"


def test_a_shift_that_lies_within_the_gap_is_left_out() -> None:
    walk = Roster(zone="Europe/Berlin", shifts={"X": ("02:30", "03:10")}, cycle="X", start_date=START)
    assert walk.shifts(date(2026, 3, 29), 1) == []
    found = walk.next_start(local("2026-03-28T12:00"))
    assert found is not None
    assert found.start.date() == date(2026, 3, 30)


# --- the tables ------------------------------------------------------------------------------------------------------


def test_a_rota_and_a_crew_come_back_as_they_were_put_in(database: Database) -> None:
    with database.write() as connection:
        rota.add_rota(
            connection,
            name="line 3",
            zone="America/Chicago",
            pattern="DDNNOOOO",
            shifts="D=7:00-19:00, N=19:00-07:00",
        )
        crew = rota.add_crew(connection, name="Blue", rota="line 3", start_date=date(2026, 3, 1))
    with database.read() as connection:
        [listed] = rota.rotas(connection)
        walk = rosters.of_crew(connection, rota.crew_by_name(connection, "Blue"))
        assert rota.crews(connection) == [crew]
    assert (listed.zone, listed.shifts, listed.patterns) == ("America/Chicago", TWELVE, {"main": "DDNNOOOO"})
    assert (crew.rota, crew.pattern, crew.cycle, crew.start_date) == ("line 3", "main", "DDNNOOOO", date(2026, 3, 1))
    assert [shift.letter for shift in walk.shifts(date(2026, 2, 25), 13)] == ["D", "D", "N", "N", "D"]


def test_a_known_pattern_gives_a_pattern_for_each_crew(database: Database) -> None:
    with database.write() as connection:
        added = rota.add_rota(connection, name="plant", zone="Europe/Berlin", pattern="DuPont")
        crew = rota.add_crew(connection, name="C", rota="plant", start_date=START, pattern="C")
        walk = rosters.of_crew(connection, crew.id)
    assert added.patterns == KNOWN_PATTERNS["dupont"].cycles
    assert added.shifts == TWELVE
    assert walk.shifts(START, 300) == roster("dupont", "C").shifts(START, 300)


@pytest.mark.parametrize(
    ("typed", "name"),
    [
        ("Du Pont", "dupont"),
        ("Pitman", "pitman-fixed"),
        ("2-2-3", "pitman-fixed"),
        ("Panama", "panama-slow"),
        ("Continental", "continental"),
        ("4-on-4-off", "four-on-four-off"),
        ("four on four off", "four-on-four-off"),
        ("4on4off", "four-on-four-off"),
    ],
)
def test_a_known_pattern_is_known_by_the_names_that_people_give_it(typed: str, name: str) -> None:
    assert patterns.parse(typed, "") == (KNOWN_PATTERNS[name].shifts, KNOWN_PATTERNS[name].cycles)


def test_a_rota_may_have_several_patterns_of_its_own(database: Database) -> None:
    with database.write() as connection:
        rota.add_rota(connection, **GOOD | {"pattern": "early = DDDDDOO, late=NNNNNOO"})
        for crew in ("early", "late"):
            rota.add_crew(connection, name=crew, rota="plant", start_date=START, pattern=crew)
        walks = [rosters.named(connection, crew=crew) for crew in ("early", "late")]
    assert [[shift.letter for shift in walk.shifts(START, 7)] for walk in walks] == [["D"] * 5, ["N"] * 5]


def test_a_changed_rota_and_crew_walk_anew(database: Database) -> None:
    with database.write() as connection:
        rota.add_rota(connection, **GOOD)
        rota.add_crew(connection, name="Red", rota="plant", start_date=START)
        changed = {
            "zone": "Asia/Kolkata",
            "shifts": "D=05:00-17:00,N=17:00-05:00",
            "pattern": "spare=NO,main=DDNNOOOOOO",
        }
        found = rota.set_rota(connection, "plant", changed)
        crew = rota.set_crew(connection, "Red", {"pattern": "spare", "start": "2026-01-06", "name": "Blue"})
        [shift] = rosters.named(connection, crew="Blue").shifts(START, 3)
    assert found.patterns == {"main": "DDNNOOOOOO", "spare": "NO"}
    assert (crew.pattern, crew.cycle, crew.start_date) == ("spare", "NO", date(2026, 1, 6))
    assert shift.start.isoformat() == "2026-01-06T17:00:00+05:30"


def test_a_known_pattern_takes_other_shift_times(database: Database) -> None:
    with database.write() as connection:
        added = rota.add_rota(
            connection, name="plant", zone="Europe/Berlin", pattern="dupont", shifts="D=06:00-18:00,N=18:00-06:00"
        )
    assert added.shifts == {"D": ("06:00", "18:00"), "N": ("18:00", "06:00")}


BLUE: dict[str, Any] = {"name": "Blue", "rota": "plant", "start_date": START}
GOOD: dict[str, str] = {
    "name": "plant",
    "zone": "Europe/Berlin",
    "pattern": "DDNNOOOO",
    "shifts": "D=07:00-19:00,N=19:00-07:00",
}


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": " "}, "rota's name is empty"),
        ({"name": "two\nlines"}, "on one line"),
        ({"name": "x" * 65}, "longer than 64"),
        ({"zone": "Berlin"}, "write one like 'Europe/Berlin'"),
        ({"pattern": "dupond"}, "DDNNOOOO .*dupont"),
        ({"pattern": ""}, "is no pattern"),
        ({"pattern": "A=DDOO,A=NNOO"}, "'A' stands twice"),
        ({"pattern": "A=DDOO,NNOO,OODD"}, "'main' stands twice"),
        ({"pattern": "=DDOO"}, "pattern's name is empty"),
        ({"pattern": ",".join(f"p{number}=DO" for number in range(101))}, "more than 100 patterns"),
        ({"pattern": "DDNXOO"}, "X, which has no times; add X="),
        ({"pattern": "OOOO"}, "no day of work"),
        ({"pattern": "D" * 401}, "longer than 400 days"),
        ({"pattern": "continental"}, "A, which has no times"),
        ({"shifts": ""}, "write shifts like D="),
        ({"shifts": "D=07:00-19:00,N=19-07"}, "'19' is no time of day"),
        ({"shifts": "D=07:00-19:00,N=19:00-24:00"}, "'24:00' is no time of day"),
        ({"shifts": "D=07:00-19:00,D=19:00-07:00"}, "D stands twice"),
        ({"shifts": "D=07:00-19:00,O=19:00-07:00"}, "O means off"),
        ({"shifts": "D:07:00-19:00"}, "is no shift"),
    ],
)
def test_a_rota_that_cannot_be_is_refused_with_what_to_write(
    sqlite_database: Database, changes: dict[str, str], says: str
) -> None:
    with sqlite_database.write() as connection:
        with pytest.raises(UsageError, match=says):
            rota.add_rota(connection, **GOOD | changes)
        assert rota.rotas(connection) == []


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"name": ""}, UsageError, "crew's name is empty"),
        ({"name": "Red"}, UsageError, "a crew 'Red' already"),
        ({"rota": "plan"}, NotFoundError, "did you mean 'plant'"),
        ({"rota": "known"}, UsageError, "several patterns; name one of A, B, C, D"),
        ({"rota": "known", "pattern": "E"}, UsageError, "no pattern 'E'"),
        ({"pattern": "mian"}, UsageError, "did you mean 'main'"),
    ],
)
def test_a_crew_that_cannot_be_is_refused_with_what_to_write(
    sqlite_database: Database, changes: dict[str, str], error: type[Exception], says: str
) -> None:
    with sqlite_database.write() as connection:
        rota.add_rota(connection, **GOOD)
        rota.add_rota(connection, name="known", zone="Europe/Berlin", pattern="dupont")
        rota.add_crew(connection, name="Red", rota="plant", start_date=START)
        with pytest.raises(error, match=says):
            rota.add_crew(connection, **BLUE | changes)
        assert [crew.name for crew in rota.crews(connection)] == ["Red"]


def test_a_name_is_taken_by_one_rota_only(database: Database) -> None:
    with database.write() as connection:
        rota.add_rota(connection, **GOOD)
        with pytest.raises(UsageError, match="take another name"):
            rota.add_rota(connection, **GOOD)


def test_a_crew_that_is_not_there_is_named_with_the_nearest(database: Database) -> None:
    with database.write() as connection:
        with pytest.raises(NotFoundError, match="there is none yet"):
            rota.crew_by_name(connection, "Blue")
        rota.add_rota(connection, **GOOD)
        rota.add_crew(connection, name="Blue", rota="plant", start_date=START)
        with pytest.raises(NotFoundError, match="did you mean 'Blue'"):
            rota.crew_by_name(connection, "bleu")
        with pytest.raises(NotFoundError, match="no crew with the id 99"):
            rosters.of_crew(connection, 99)
