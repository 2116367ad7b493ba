"""The planner of meetings: who is on shift at each hour is counted right, and what is proposed is the best there is."""

import json
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import combinations, product
from pathlib import Path
from typing import Any
from xml.etree import ElementTree
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import Connection

from tests import digest_site
from tests.feeds import calendar, event
from tests.small_site import Program, makings
from tests.test_rota_commands import empty
from tidings.communities import calendars, changes, rota
from tidings.communities.patterns import KNOWN_PATTERNS
from tidings.communities.roster import Change, Roster
from tidings.database.engine import Database
from tidings.digests import planner
from tidings.digests.lint import contrast
from tidings.digests.planner import Plan, heatmap, report
from tidings.digests.planner.choices import Choice, Choices
from tidings.digests.planner.reach import Reach, Worker, measure
from tidings.digests.planner.slots import BY_DEFAULT, DAYS, Slot, begins, parse
from tidings.errors import UsageError

FIXTURES = (makings, empty)
GIVEN = json.loads((Path(__file__).parent / "data" / "rotas.json").read_text())
START = date.fromisoformat(GIVEN["start"])
BERLIN = "Europe/Berlin"
TWELVE = {"D": ("07:00", "19:00"), "N": ("19:00", "07:00")}
MONDAY = date(2026, 10, 5)
NOW = datetime(2026, 9, 30, 12, 0, tzinfo=UTC)


def worker(crew: str, roster: Roster, name: str = "") -> Worker:
    return Worker(email=f"{name or crew.lower()}@example.org", crew=crew, roster=roster)


def roster(cycle: str, *laid_over: Change, zone: str = BERLIN, start: date = START, **times: tuple[str, str]) -> Roster:
    return Roster(zone=zone, shifts=TWELVE | times, cycle=cycle, start_date=start, changes=laid_over)


def known(name: str) -> list[Worker]:
    """A member of each crew of a known pattern, who all begin on one Monday."""
    pattern = KNOWN_PATTERNS[name]
    return [
        worker(crew, Roster(zone=GIVEN["zone"], shifts=pattern.shifts, cycle=cycle, start_date=START))
        for crew, cycle in pattern.cycles.items()
    ]


def reach(workers: Iterable[Worker], slots: str = BY_DEFAULT, zone: str = BERLIN, weeks: int = 4) -> Reach:
    # From the fourth week on, so that night shifts that began before the first meeting are there.
    return measure(workers, parse([slots]), zone=zone, first=START + timedelta(weeks=4), weeks=weeks)


def choices(measured: Reach, had: Slot | None = None) -> Choices:
    return Choices(measured, measured.slots, had)


def slot(text: str) -> Slot:
    [found] = parse([text])
    return found


def counts(measured: Reach, choice: Choice | None) -> dict[str, int]:
    """In how many weeks each crew is reached; of groups that are the whole crew."""
    assert choice is not None
    return {group.crew: count for group, count in zip(measured.groups, choice.counts, strict=True)}


# --- who is on shift -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        pytest.param(name, facts["on_shift_at_14"], id=name)
        for name, facts in GIVEN["rotas"].items()
        if "on_shift_at_14" in facts
    ],
)
def test_the_known_patterns_are_on_shift_at_14_as_often_as_given(
    name: str, expected: dict[str, dict[str, int]]
) -> None:
    measured = measure(known(name), parse(["Mon-Sun 14:00"]), zone=GIVEN["zone"], first=START, weeks=4)
    counted = {
        DAYS[one.weekday]: {crew: sum(measured.per_week(one, crew)) for crew in measured.crews}
        for one in measured.slots
    }
    assert counted == expected


@pytest.mark.parametrize("name", ["dupont", "panama-slow", "continental"])
def test_a_fixed_hour_by_day_reaches_each_crew_of_a_rotating_rota_one_week_in_four(name: str) -> None:
    measured = reach(known(name), "Mon-Fri 14:00")
    for one in measured.slots:
        assert set(counts(measured, choices(measured).every_week(one)).values()) == {1}


_CYCLES = st.text("DNEO", min_size=1, max_size=10)
_ZONES = st.sampled_from([BERLIN, "America/New_York", "Asia/Kolkata", "Pacific/Kiritimati", "Australia/Lord_Howe"])
_CHANGES = st.builds(
    lambda day, length, days, only: Change(
        first_day=date(2026, 3, 16) + timedelta(days=day),
        last_day=date(2026, 3, 16) + timedelta(days=day + length),
        days=days,
        only=only,
    ),
    st.integers(0, 20),
    st.integers(0, 10),
    st.text("DNEOx", min_size=1, max_size=4),
    st.sampled_from(["", "D", "N"]),
)


@given(
    cycle=_CYCLES,
    laid_over=st.lists(_CHANGES, max_size=3),
    zone=_ZONES,
    meets_in=_ZONES,
    at=st.times(),
    weekday=st.integers(0, 6),
)
def test_who_is_reached_is_who_is_on_shift_at_every_moment_of_the_hour(
    cycle: str, laid_over: list[Change], zone: str, meets_in: str, at: time, weekday: int
) -> None:
    walk = roster(cycle, *laid_over, zone=zone, E=("06:30", "07:00"))
    one = Slot(weekday=weekday, time=f"{at:%H:%M}")
    first = date(2026, 3, 23)  # the clocks of Berlin, and a week later of Lord Howe, change
    measured = measure([worker("A", walk)], [one], zone=meets_in, first=first, weeks=3)
    [moments] = begins([one], meets_in, first, 3)
    on_shift = [all(walk.at(moment + timedelta(minutes=n)) for n in range(60)) for moment in moments]
    assert measured.per_week(one, "A") == on_shift


def test_an_hour_that_a_shift_covers_by_half_does_not_count_and_one_that_two_shifts_cover_does() -> None:
    half = roster("E", E=("14:00", "14:59"))
    handed_over = roster("EL", E=("06:00", "14:30"), L=("14:30", "22:00"))
    both = roster("E", Change(first_day=START, last_day=None, days="x"), E=("06:00", "15:00"))
    measured = reach([worker("half", half), worker("turn", handed_over), worker("whole", both)], "Mon-Sun 14:00")
    assert {crew: sum(sum(measured.per_week(one, crew)) for one in measured.slots) for crew in measured.crews} == {
        "half": 0,
        "turn": 0,  # E one day, L the next: neither is there for the whole hour
        "whole": 28,
    }
    early, late = _span(6, 14), _span(14, 20)
    assert _calendar_reaches(early, late)
    assert _calendar_reaches(_span(6, 20), _span(9, 10)), "a short event inside a long one ends nothing"
    assert not _calendar_reaches(early, _span(15, 20))


def _span(begin: int, end: int) -> tuple[datetime, datetime, str]:
    day = datetime(2026, 2, 2, tzinfo=UTC)
    return day + timedelta(hours=begin), day + timedelta(hours=end), f"from {begin}"


def _calendar_reaches(*spans: tuple[datetime, datetime, str]) -> bool:
    """Whether who works that is reached at 14:30 in Berlin, 13:30 UTC."""
    walk = Roster(zone=BERLIN, shifts={}, cycle="", start_date=START, calendar=spans)
    return reach([worker("A", walk)], "Mon 14:30").per_week(slot("Mon 14:30"), "A") == [1, 0, 0, 0]


def test_a_meeting_keeps_its_hour_when_the_clock_changes() -> None:
    for first, offset_before, offset_after in ((date(2026, 3, 23), 1, 2), (date(2026, 10, 19), 2, 1)):
        [moments] = begins([slot("Tue 14:00")], BERLIN, first, 2)
        assert [moment.hour for moment in moments] == [14 - offset_before, 14 - offset_after]
        measured = measure([worker("A", roster("D"))], parse(["Mon-Sun 7:00"]), zone=BERLIN, first=first, weeks=2)
        assert [measured.per_week(one, "A") for one in measured.slots] == [[1, 1]] * 7


def test_a_meeting_in_a_zone_that_changes_its_clock_earlier_finds_others_on_shift() -> None:
    # From 8 to 29 March New York is five hours behind Berlin, not six.
    afternoon = worker("A", roster("E", E=("14:00", "15:00")))
    measured = measure(
        [afternoon], [slot("Tue 8:00"), slot("Tue 9:00")], zone="America/New_York", first=date(2026, 3, 2), weeks=5
    )
    assert measured.per_week(slot("Tue 8:00"), "A") == [1, 0, 0, 0, 1]
    assert measured.per_week(slot("Tue 9:00"), "A") == [0, 1, 1, 1, 0]


# --- what is proposed ------------------------------------------------------------------------------------------------


def by_hand(workers: Sequence[Worker], way: Sequence[Sequence[Slot]], first: date) -> list[int]:
    """In how many weeks members are reached, the least often first: each roster is asked who is on duty."""
    weeks = [(first + timedelta(weeks=week), sessions) for week, sessions in enumerate(way)]
    return sorted(
        sum(any(on_duty(one, session, monday) for session in sessions) for monday, sessions in weeks) for one in workers
    )


@cache
def on_duty(one: Worker, session: Slot, monday: date) -> bool:
    """In the middle of the hour; shifts change on the hour here."""
    day = monday + timedelta(days=session.weekday)
    begin = datetime.combine(day, time.fromisoformat(session.time), ZoneInfo(BERLIN))
    return one.roster.at(begin + timedelta(minutes=30)) is not None


PATTERNS = sorted(KNOWN_PATTERNS)
FIRST = START + timedelta(weeks=4)


@pytest.mark.parametrize("name", PATTERNS)
def test_the_best_two_sessions_are_the_fairest_of_all_pairs(name: str) -> None:
    workers = known(name)
    measured = reach(workers, "Mon-Sun 06:00-21:00")
    pair = choices(measured).pair()
    assert pair is not None
    few = parse(["Mon-Sun 10:00", "Mon-Sun 15:00", "Mon-Sun 20:00", "Mon-Sun 06:00"])
    best = max(by_hand(workers, [both] * 4, FIRST) for both in combinations(few, 2))
    assert sorted(pair.counts) == best == by_hand(workers, pair.sessions, FIRST)


@pytest.mark.parametrize("name", PATTERNS)
def test_two_sessions_reach_everybody_more_often_than_the_best_one(name: str) -> None:
    measured = reach(known(name))
    offered = choices(measured)
    single, pair = offered.single(), offered.pair()
    assert single is not None
    assert pair is not None
    assert min(pair.counts) > min(single.counts)
    assert sum(pair.counts) >= sum(single.counts)


@pytest.mark.parametrize("name", PATTERNS)
def test_a_rotation_is_the_fairest_of_all_sequences(name: str) -> None:
    workers, few = known(name), "Mon,Thu,Sat 06:00-20:00"
    rotation = choices(reach(workers, few)).rotation()
    assert rotation is not None
    assert rotation.exact
    tried = [(one,) for one in parse(["Mon,Thu,Sat 06:00", "Mon,Thu,Sat 10:00", "Mon,Thu,Sat 20:00"])]
    best = max(by_hand(workers, way, FIRST) for way in product(tried, repeat=4))
    assert sorted(rotation.counts) == best == by_hand(workers, rotation.sessions, FIRST)


def test_a_rotation_reaches_night_crews_that_no_hour_by_day_does() -> None:
    measured = reach(known("pitman-fixed"))
    offered = choices(measured)
    assert counts(measured, offered.every_week(slot("Tue 14:00"))) == {"A": 2, "B": 2, "C": 0, "D": 0}
    assert counts(measured, offered.pair()) == {"A": 2, "B": 2, "C": 2, "D": 2}
    rotation = offered.rotation()
    assert counts(measured, rotation) == {"A": 1, "B": 1, "C": 1, "D": 1}


def test_who_is_on_shift_at_both_sessions_of_a_week_is_reached_once() -> None:
    measured = reach([worker("A", roster("DDOOOOO" + "DOOOOOO" + "O" * 14))], "Mon,Tue 14:00")
    assert choices(measured).every_week(*measured.slots).counts == (2,)


def test_the_best_hour_reaches_the_most_and_of_these_the_fairest() -> None:
    both = roster("DDOOOOODOOOOOO")  # each Monday, and every other Tuesday
    late = worker("B", roster("ODOOOOOOOOOOOO"))  # the same Tuesdays
    most = choices(reach([worker("A", both, "m1"), worker("A", both, "m2"), late]))
    as_many = choices(reach([worker("A", both), late]))
    found = [most.single(), most.fairest(), as_many.single()]
    assert [(str(one.sessions[0][0]), one.counts) for one in found if one] == [
        ("Mon 12:00", (4, 0)),
        ("Tue 12:00", (2, 2)),
        ("Tue 12:00", (2, 2)),
    ]


def test_between_equals_it_is_the_hour_that_people_have_then_a_weekday_about_noon() -> None:
    measured = reach([worker("A", roster("D"))])
    best, as_ever = choices(measured).single(), choices(measured, slot("Thu 16:00")).single()
    assert best is not None
    assert as_ever is not None
    assert (best.sessions[0], as_ever.sessions[0]) == ((slot("Mon 12:00"),), (slot("Thu 16:00"),))
    assert choices(measured).pair() is None, "everybody is reached each week"
    slots = parse(["Sun 12:00", "Mon 17:00"])
    weekday = Choices(measured, slots).single()
    assert weekday is not None
    assert str(weekday.sessions[0][0]) == "Mon 17:00"


def test_somebody_on_leave_does_not_hide_how_the_others_fare() -> None:
    days = known("pitman-fixed")
    away = Change(first_day=START, last_day=START + timedelta(weeks=52), days="O")
    absent = worker("A", roster("DDOODDDOODDOOO", away), "absent")
    measured, without = reach([*days, absent]), reach(days)
    rotation, expected = choices(measured).rotation(), choices(without).rotation()
    assert rotation is not None
    assert expected is not None
    assert sorted(rotation.counts) == [0, *sorted(expected.counts)]
    assert choices(measured).reachable.count(False) == 1


def test_many_rosters_of_their_own_are_planned_in_bounded_work() -> None:
    cycles = [f"{number:09b}".replace("0", "O").replace("1", "D") for number in range(1, 400)]
    measured = reach([worker("A", roster(cycle), f"m{number}") for number, cycle in enumerate(cycles)], weeks=12)
    rotation = choices(measured).rotation()
    assert rotation is not None
    assert not rotation.exact
    assert len(rotation.sessions) == 12
    assert all(count <= 12 for count in rotation.counts)


# --- hours that are typed --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Tue 14:00", ["Tue 14:00"]),
        ("tue,Thursday 9:30", ["Tue 09:30", "Thu 09:30"]),
        ("Mon-Wed 08:30-10:00", ["Mon 08:30", "Mon 09:30", "Tue 08:30", "Tue 09:30", "Wed 08:30", "Wed 09:30"]),
        ("Sat-Mon 12:00", ["Mon 12:00", "Sat 12:00", "Sun 12:00"]),
        ("Fri 22:00-23:59", ["Fri 22:00", "Fri 23:00"]),
    ],
)
def test_hours_are_read_as_they_are_typed(text: str, expected: list[str]) -> None:
    assert [str(one) for one in parse([text])] == expected


def test_without_a_word_every_hour_from_6_to_21_of_all_days_is_looked_at() -> None:
    assert len(parse([BY_DEFAULT])) == 7 * 16


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("Tuesday", "'Tuesday' is no day and hour"),
        ("Tue 25:00", "'25:00' is no time of day"),
        ("Xyz 14:00", "no weekday 'Xyz'"),
        ("Tue 22:00-05:00", "ends before it begins"),
        ("", "'' is no day and hour"),
        ("14:00 Tue", "'Tue' is no time of day"),
    ],
)
def test_hours_that_cannot_be_are_refused_with_what_to_write(text: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        parse([text])


def test_more_hours_than_a_week_has_are_refused() -> None:
    assert len(parse(["Mon-Sun 00:00-23:00"])) == 168
    with pytest.raises(UsageError, match="at most 168"):
        parse(["Mon-Sun 00:00-23:00", "Mon 12:30"])


# --- a community -----------------------------------------------------------------------------------------------------


def plant(connection: Connection, name: str = "dupont", meeting: str = "Tue 14:00") -> None:
    """The pump team, with a member in each crew of a known pattern, and one in none."""
    digest_site.community(connection, meeting=meeting)
    rota.add_rota(connection, name="plant", zone=BERLIN, pattern=name)
    for crew in KNOWN_PATTERNS[name].cycles:
        rota.add_crew(connection, name=crew, rota="plant", start_date=START, pattern=crew)
        digest_site.member(connection, f"{crew.lower()}@example.org", crew=crew)
    digest_site.member(connection, "office@example.org")


def plan(connection: Connection, slots: str = BY_DEFAULT, **values: Any) -> Plan:
    return planner.plan(connection, "pump", parse([slots]), NOW, **values)


def test_a_plan_is_of_the_crews_from_next_monday_on_until_the_shifts_repeat(database: Database) -> None:
    with database.write() as connection:
        plant(connection)
        made = plan(connection)
    assert (made.first, made.weeks, made.repeats) == (MONDAY, 4, 4)
    assert made.reach.crews == {"A": 1, "B": 1, "C": 1, "D": 1}
    assert made.crewless == ("office@example.org",)
    assert made.current is not None
    assert made.current.counts == (1, 1, 1, 1)
    assert made.pair is not None
    assert made.pair.counts == (2, 2, 2, 2)
    assert not made.rotation_pays, "one crew is on shift at a time, whatever the hour"


def test_today_is_the_first_day_where_it_is_a_monday_of_the_communitys_zone(sqlite_database: Database) -> None:
    with sqlite_database.write() as connection:
        plant(connection)
        sunday = datetime(2026, 10, 4, 22, 30, tzinfo=UTC)  # Monday 00:30 in Berlin
        assert planner.plan(connection, "pump", parse(["Tue 14:00"]), sunday).first == MONDAY
        assert plan(connection, day=date(2026, 10, 11)).first == MONDAY


@pytest.mark.parametrize(
    ("pattern", "crews", "repeats", "weeks"),
    [
        ("DDOO", 1, 4, 4),
        ("DDOO", 5, 4, 8),
        ("DDDDDOO", 1, 1, 1),
        ("DDDDDOO", 4, 1, 4),
        ("DDDDDOODDDDDDOO" * 2, 1, 15, 12),
        ("DDDDOOOONNNNOOOO", 3, 16, 12),
    ],
)
def test_weeks_are_looked_at_until_the_shifts_repeat_and_each_crew_can_have_its_turn(
    sqlite_database: Database, pattern: str, crews: int, repeats: int, weeks: int
) -> None:
    with sqlite_database.write() as connection:
        digest_site.community(connection)
        for number in range(crews):
            crew = digest_site.crew(connection, f"crew {number}", pattern=pattern)
            digest_site.member(connection, f"m{number}@example.org", crew=crew)
        made, longer = plan(connection), plan(connection, weeks=16)
    assert (made.repeats, made.weeks, longer.weeks) == (repeats, weeks, 16)


def test_shifts_repeat_only_where_a_lasting_change_does_too() -> None:
    eight_days = Change(first_day=START, last_day=None, days="xxxxOOOO")
    ends = Change(first_day=START, last_day=START, days="O")
    repeats = [roster("DDDDDOO", *laid_over).repeats for laid_over in ([], [ends], [eight_days, ends])]
    assert repeats == [7, 7, 56]


def test_shifts_of_a_calendar_do_not_repeat_and_its_overlapping_events_are_one_time_at_work(
    sqlite_database: Database, tmp_path: Path
) -> None:
    file = tmp_path / "lab.ics"
    file.write_bytes(
        calendar(
            event(":20261006T090000Z", ":20261006T123000Z", uid="1", title="Early"),
            event(":20261006T121500Z", ":20261006T160000Z", uid="2", title="Late"),
        )
    )
    calendars.bring_in(
        sqlite_database,
        source=str(file),
        to=calendars.Target(rota="lab", crew="lab"),
        default_zone=BERLIN,
        now=NOW,
        changed=lambda _connection: None,
    )
    with sqlite_database.write() as connection:
        digest_site.community(connection)
        digest_site.member(connection, "ana@example.org", crew="lab")
        made = plan(connection, "Tue 14:00")
    assert (made.repeats, made.weeks) == (None, 12)
    assert made.reach.per_week(slot("Tue 14:00"), "lab") == [1] + [0] * 11
    assert "Their shifts do not repeat." in next(report.sentences(made))


def test_leave_swaps_and_part_time_of_a_member_are_counted(database: Database) -> None:
    with database.write() as connection:
        digest_site.community(connection)
        crew = digest_site.crew(connection, pattern="DDDDDOO")
        for name in ("ana", "li", "sam"):
            digest_site.member(connection, f"{name}@example.org", crew=crew)
        change: Callable[..., object] = lambda name, first, last, days: changes.add(  # noqa: E731
            connection, scope="member", name=f"{name}@example.org", first_day=first, last_day=last, days=days
        )
        change("ana", MONDAY, MONDAY + timedelta(days=13), "O")
        change("li", MONDAY + timedelta(days=1), MONDAY + timedelta(days=1), "N")
        change("sam", MONDAY, None, "xOxxxxx")
        made = plan(connection, "Tue 14:00", weeks=3)
        assert made.reach.per_week(slot("Tue 14:00"), crew) == [0, 1, 2]
        assert plan(connection, "Tue 20:00", weeks=3).reach.per_week(slot("Tue 20:00"), crew) == [1, 0, 0]
    assert made.best is not None
    assert dict(zip((group.emails for group in made.reach.groups), made.best.counts, strict=True)) == {
        ("ana@example.org",): 1,
        ("li@example.org",): 2,
        ("sam@example.org",): 0,
    }
    assert "On shift at none of these hours: sam@example.org." in list(report.sentences(made))


def test_the_hour_that_a_community_has_is_compared_but_not_proposed_where_it_was_not_asked_for(
    sqlite_database: Database,
) -> None:
    with sqlite_database.write() as connection:
        plant(connection, "pitman-fixed", meeting="Tue 03:00")
        made = plan(connection, "Mon-Fri 08:00-17:00")
    assert made.current is not None
    assert made.current.sessions[0] == (slot("Tue 03:00"),)
    assert made.best is not None
    assert made.best.sessions[0] == (slot("Mon 12:00"),)
    said = "\n".join(report.sentences(made))
    assert "On shift at none of these hours: C, D." in said


def test_a_community_without_crews_is_told_so_and_has_a_picture_without_numbers(sqlite_database: Database) -> None:
    with sqlite_database.write() as connection:
        digest_site.community(connection)
        digest_site.member(connection, "ana@example.org")
        made = plan(connection)
    assert next(report.sentences(made)) == (
        "No member of Pump team is in a crew, so nobody knows who is on shift when."
    )
    assert (made.best, made.pair, made.rotation) == (None, None, None)
    assert "0 of 0 members" in heatmap.svg(made)


def test_a_roster_on_no_shift_at_any_hour_leaves_nothing_to_propose(sqlite_database: Database) -> None:
    with sqlite_database.write() as connection:
        digest_site.community(connection)
        digest_site.member(connection, "ana@example.org", crew=digest_site.crew(connection))
        said = list(report.sentences(plan(connection, "Mon-Fri 10:00-15:00")))
    assert said[1:] == ["On shift at none of these hours: night."]


# --- what is printed -------------------------------------------------------------------------------------------------


def test_the_table_has_hours_that_are_alike_in_one_line(sqlite_database: Database) -> None:
    with sqlite_database.write() as connection:
        plant(connection, "pitman-fixed")
        lines = report.table(plan(connection, "Mon,Tue 05:00-08:00"))
    assert lines == [
        ["hour", "A", "B", "C", "D"],
        ["Mon 05:00-06:00", "-", "-", "1 of 1, 2 of 4 weeks", "1 of 1, 2 of 4 weeks"],
        ["Mon 07:00-08:00", "1 of 1, 2 of 4 weeks", "1 of 1, 2 of 4 weeks", "-", "-"],
        ["Tue 05:00-06:00", "-", "-", "1 of 1, 2 of 4 weeks", "1 of 1, 2 of 4 weeks"],
        ["Tue 07:00-08:00", "1 of 1, 2 of 4 weeks", "1 of 1, 2 of 4 weeks", "-", "-"],
        ["Tue 14:00", "1 of 1, 2 of 4 weeks", "1 of 1, 2 of 4 weeks", "-", "-"],
    ]


def test_hours_of_two_days_stand_in_two_lines(sqlite_database: Database) -> None:
    with sqlite_database.write() as connection:
        digest_site.community(connection)
        digest_site.member(connection, "ana@example.org", crew=digest_site.crew(connection))
        made = planner.plan(connection, "pump", parse(["Fri 23:00", "Sat 00:00"]), NOW)
    assert [line[0] for line in report.table(made)] == ["hour", "Fri 23:00", "Sat 00:00"]


def test_what_is_proposed_is_said_in_sentences(sqlite_database: Database) -> None:
    with sqlite_database.write() as connection:
        plant(connection, "pitman-fixed")
        said = list(report.sentences(plan(connection, weeks=4)))
    assert said == [
        "Looked at: 4 members in 4 crews, 4 weeks from 2026-10-05 to 2026-11-01, Europe/Berlin. "
        "Their shifts repeat after 2 weeks.",
        "In no crew, so that their hours are not known, and not counted: office@example.org.",
        "The meeting as it is, Tue 14:00, reaches 1 of 4 members in an average week, each in 0 to 2 of 4 weeks, "
        "least often C, D.",
        "No other hour reaches more.",
        "The best two sessions a week, Mon 06:00 and Tue 14:00, reach 2 of 4 members in an average week, "
        "each in 2 of 4 weeks.",
        "A fair rotation reaches 1 of 4 members in an average week, each in 1 of 4 weeks:",
        "  week of 2026-10-05: Tue 14:00",
        "  week of 2026-10-12: Tue 14:00",
        "  week of 2026-10-19: Mon 06:00",
        "  week of 2026-10-26: Mon 06:00",
    ]


def test_the_document_has_every_crew_week_by_week_and_every_member(sqlite_database: Database) -> None:
    with sqlite_database.write() as connection:
        plant(connection, "pitman-fixed")
        made = report.document(plan(connection, "Tue 14:00", weeks=2))
    assert made["slots"] == [
        {"slot": "Tue 14:00", "reached": 2, "on_shift": {"A": [0, 1], "B": [1, 0], "C": [0, 0], "D": [0, 0]}}
    ]
    assert made["best"] == {
        "sessions": [["Tue 14:00"], ["Tue 14:00"]],
        "reached": 2,
        "members": {"a@example.org": 1, "b@example.org": 1, "c@example.org": 0, "d@example.org": 0},
        "least_crews": ["A", "B"],
        "never": ["c@example.org", "d@example.org"],
        "exact": True,
    }
    assert (made["pair"], made["rotation_pays"]) == (None, False)


_SVG = "{http://www.w3.org/2000/svg}"


def test_the_picture_has_a_number_in_every_cell_and_marks_what_is_proposed(sqlite_database: Database) -> None:
    with sqlite_database.write() as connection:
        plant(connection)
        picture = ElementTree.fromstring(heatmap.svg(plan(connection)))
    cells = [one for one in picture.iter(f"{_SVG}g") if one.find(f"{_SVG}title") is not None]
    said = {str(one.findtext(f"{_SVG}title")): "".join(one.find(f"{_SVG}text").itertext()) for one in cells}  # type: ignore[union-attr]
    assert len(cells) == 5 * 7 * 16
    assert all(said.values())
    assert said["Tue 14:00: 1 of 4 members in an average week"].split() == ["1", "nbpr"]
    assert said["Tue 14:00, B: 1 of 1 members, weeks 2"] == "1"
    assert sum(one.find(f"{_SVG}path") is not None for one in cells) == 4 * 7 * 16


def test_names_cannot_break_the_picture(sqlite_database: Database) -> None:
    with sqlite_database.write() as connection:
        digest_site.community(connection, title='<script>"&')
        crew = digest_site.crew(connection, name="]]><a>&amp;'", pattern="DDOO")
        digest_site.member(connection, "ana@example.org", crew=crew)
        drawn = heatmap.svg(plan(connection))
    texts = {one.text for one in ElementTree.fromstring(drawn).iter(f"{_SVG}text")}
    assert "]]><a>&amp;' (1): weeks on shift, of 4" in texts
    assert '<script>"&: who is on shift when' in texts


def test_the_picture_can_be_read_on_light_and_on_dark() -> None:
    style = (Path(heatmap.__file__).with_name("heatmap.svg")).read_text()
    for scheme in style.split("@media (prefers-color-scheme: dark)"):
        colour = {
            name: tuple(bytes.fromhex(scheme.split(f"{name} {{ fill: #")[1][:6]))
            for name in (".paper", "text", ".soft", ".shade")
        }
        assert contrast(colour["text"], colour[".shade"]) >= 4.5  # type: ignore[arg-type]
        assert contrast(colour["text"], colour[".paper"]) >= 4.5  # type: ignore[arg-type]
        assert contrast(colour[".soft"], colour[".paper"]) >= 4.5  # type: ignore[arg-type]


# --- the command -----------------------------------------------------------------------------------------------------


def test_the_command_draws_and_says_it(empty: Program, tmp_path: Path) -> None:
    empty("community", "add", "pump", "--name", "Pump team", "--zone", BERLIN)
    assert "No member of Pump team is in a crew" in empty("meeting", "plan", "pump").text
    empty("rota", "add", "plant", "--pattern", "dupont", "--zone", BERLIN)
    empty("crew", "add", "[b]night_crew", "--rota", "plant", "--pattern", "B", "--start", "2026-01-05")
    empty("member", "add", "pump", "li@example.org", "--crew", "[b]night_crew")
    drawn = tmp_path / "plan.svg"
    ran = empty("meeting", "plan", "pump", "--at", "2026-09-30T12:00", "--slots", "Tue 14:00", "--svg", drawn)
    assert [line.split() for line in ran.text.splitlines()[:2]] == [
        ["hour", "[b]night_crew"],
        ["Tue", "14:00", "1", "of", "1,", "1", "of", "4", "weeks"],
    ]
    assert ElementTree.parse(drawn).getroot().tag == f"{_SVG}svg"
    made = empty("meeting", "plan", "pump", "--from", "2026-01-07", "--weeks", "2", "--slots", "Tue 14:00", "--json")
    assert (made.json["first"], made.json["weeks"], made.json["repeats"]) == ("2026-01-05", 2, 4)
    assert made.json["slots"] == [{"slot": "Tue 14:00", "reached": 1, "on_shift": {"[b]night_crew": [1, 0]}}]
    assert "no weekday 'Foo'" in empty("meeting", "plan", "pump", "--slots", "Foo 9:00", status=2).err
    for word, far in (("--from", "9999-12-31"), ("--at", "9999-12-31T22:00"), ("--from", "0001-01-01")):
        assert "too far away" in empty("meeting", "plan", "pump", word, far, status=2).err
    assert "There is no community" in empty("meeting", "plan", "pomp", status=1).err
