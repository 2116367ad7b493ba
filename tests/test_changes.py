"""Changes of rotas: holidays, swaps, leave and part-time are laid over what a crew works, and the narrower stands."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select

from tests import digest_site
from tests.digest_site import CUT_OFF, SITE
from tidings.communities import changes, joining, rosters, rota
from tidings.communities.roster import Change, Roster
from tidings.database import tables
from tidings.database.engine import Database
from tidings.digests import editions, plans
from tidings.errors import NotFoundError, UsageError

MONDAY = date(2026, 1, 5)
TWELVE = {"D": ("07:00", "19:00"), "N": ("19:00", "07:00")}
ANA, SAM = "ana@example.org", "sam@example.org"
EVERY_DAY = "Mon,Tue,Wed,Thu,Fri,Sat,Sun"


def worked(roster: Roster | None, days: int = 8, first: date = MONDAY) -> str:
    """A letter a day."""
    assert roster is not None
    by_day = {shift.start.date(): shift.letter for shift in roster.shifts(first, days)}
    return "".join(by_day.get(first + timedelta(days=number), "O") for number in range(days))


def walk(*laid_over: Change, cycle: str = "DDNNOOOO") -> Roster:
    return Roster(zone="Europe/Berlin", shifts=TWELVE, cycle=cycle, start_date=MONDAY, changes=laid_over)


def change(first: int, last: int | None, days: str = "O", only: str = "") -> Change:
    """`first` and `last` count the days from Monday."""
    last_day = None if last is None else MONDAY + timedelta(days=last)
    return Change(first_day=MONDAY + timedelta(days=first), last_day=last_day, days=days, only=only)


# --- what a change does ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("laid_over", "letters"),
    [
        ([], "DDNNOOOO"),
        ([change(0, 0, "N")], "NDNNOOOO"),
        ([change(0, 0, "O")], "ODNNOOOO"),
        ([change(5, 5, "D")], "DDNNODOO"),
        ([change(1, 2)], "DOONOOOO"),
        ([change(1, None)], "DOOOOOOO"),
        ([change(0, None, "xO")], "DONOOOOO"),
        ([change(0, 3, only="N")], "DDOOOOOO"),
        ([change(0, 7), change(2, 2, "D")], "OODOOOOO"),
        ([change(2, 2, "D"), change(0, 7, "xxxO")], "DDDOOOOO"),
        ([change(0, 0, "X")], "DDNNOOOO"),
    ],
)
def test_a_change_says_what_is_worked_instead(laid_over: list[Change], letters: str) -> None:
    assert worked(walk(*laid_over)) == letters


def test_the_next_shift_is_after_leave_and_nobody_is_on_duty_during_it() -> None:
    away = walk(change(0, 40))
    found = away.next_start(datetime(2026, 1, 5, tzinfo=UTC))
    assert found is not None
    assert found.start.date() == MONDAY + timedelta(days=41)
    assert away.at(datetime(2026, 1, 5, 12, tzinfo=UTC)) is None
    assert walk().at(datetime(2026, 1, 5, 12, tzinfo=UTC)) is not None


def test_who_is_away_for_good_has_no_next_shift() -> None:
    assert walk(change(0, None)).next_start(datetime(2026, 1, 5, tzinfo=UTC)) is None


def test_nothing_is_worked_before_the_start_of_the_crew_whatever_a_change_says() -> None:
    assert worked(walk(change(-3, -1, "D")), first=MONDAY - timedelta(days=4)) == "OOOODDNN"


@pytest.mark.parametrize(("night", "hours"), [(date(2026, 3, 28), 11), (date(2026, 10, 24), 13)])
def test_a_night_that_was_swapped_for_is_as_long_as_the_clock_makes_it(night: date, hours: int) -> None:
    swapped = Change(first_day=night, last_day=night, days="N")
    [shift] = walk(swapped, cycle="D").shifts(night, 1)
    assert (shift.start.hour, shift.end.hour, shift.length) == (19, 7, timedelta(hours=hours))


# --- whose it is -----------------------------------------------------------------------------------------------------


@pytest.fixture
def plant(database: Database) -> Database:
    """Two crews of one rota, with a person in each."""
    with database.write() as connection:
        digest_site.community(connection)
        rota.add_rota(connection, name="plant", zone="Europe/Berlin", pattern="A=DDNNOOOO,B=OOOODDNN", shifts=SHIFTS)
        for crew, email in (("A", ANA), ("B", SAM)):
            rota.add_crew(connection, name=crew, rota="plant", pattern=crew, start_date=MONDAY)
            joining.add_member(connection, community="pump", email=email, crew=crew, delivery="weekly", now=CUT_OFF)
    return database


SHIFTS = "D=07:00-19:00,N=19:00-07:00"


def add(database: Database, scope: Any, name: str, first: str, last: str | None, **values: str) -> int:
    with database.write() as connection:
        made = changes.add(
            connection,
            scope=scope,
            name=name,
            first_day=date.fromisoformat(first),
            last_day=date.fromisoformat(last) if last else None,
            **values,
        )
    return made.id


def everybody(database: Database) -> dict[str, str]:
    with database.read() as connection:
        people = {email: rosters.named(connection, email=email) for email in (ANA, SAM)}
        crews = {crew: rosters.named(connection, crew=crew) for crew in "AB"}
    return {name: worked(roster) for name, roster in (crews | people).items()}


def test_a_holiday_is_everybodys(plant: Database) -> None:
    add(plant, "rota", "plant", "2026-01-06", "2026-01-09", note="Epiphany")
    assert everybody(plant) == {"A": "DOOOOOOO", ANA: "DOOOOOOO", "B": "OOOOODNN", SAM: "OOOOODNN"}


def test_a_crews_swap_is_its_members_and_nobody_elses(plant: Database) -> None:
    add(plant, "crew", "A", "2026-01-06", "2026-01-06", days="N")
    assert everybody(plant) == {"A": "DNNNOOOO", ANA: "DNNNOOOO", "B": "OOOODDNN", SAM: "OOOODDNN"}


def test_two_people_swap_and_their_crews_work_as_ever(plant: Database) -> None:
    add(plant, "member", ANA, "2026-01-05", "2026-01-05")
    add(plant, "member", SAM, "2026-01-05", "2026-01-05", days="D")
    assert everybody(plant) == {"A": "DDNNOOOO", ANA: "ODNNOOOO", "B": "OOOODDNN", SAM: "DOOODDNN"}


def test_part_time_leaves_the_named_weekdays(plant: Database) -> None:
    thursday = date(2026, 1, 8)
    add(plant, "member", ANA, "2026-01-08", None, days=changes.part_time(thursday, "mon, Tue,wednesday"))
    with plant.read() as connection:
        roster = rosters.named(connection, email=ANA)
    assert worked(roster, 24) == "DDNOOOOO" + "DDOOOOOO" + "DOOOOOOO"
    days = {shift.start.strftime("%a") for shift in roster.shifts(thursday, 200)}
    assert days == {"Mon", "Tue", "Wed"}


def test_every_other_block_is_part_time_too(plant: Database) -> None:
    add(plant, "member", ANA, "2026-01-05", None, days=changes.parse_days("xxxxxxxxOOOOOOOO"))
    with plant.read() as connection:
        assert worked(rosters.named(connection, email=ANA), 32) == "DDNNOOOOOOOOOOOO" * 2


def test_the_narrower_change_stands_whichever_came_first(plant: Database) -> None:
    add(plant, "member", ANA, "2026-01-06", "2026-01-06", days="D", note="stands in")
    add(plant, "member", ANA, "2026-01-05", "2026-01-08", note="leave")
    add(plant, "member", ANA, "2026-01-05", None, days="O", note="away")
    add(plant, "rota", "plant", "2026-01-06", "2026-01-06", note="holiday")
    assert everybody(plant)[ANA] == "ODOOOOOO"
    assert everybody(plant)["A"] == "DONNOOOO"


def test_what_is_undone_is_as_it_was(plant: Database) -> None:
    before = everybody(plant)
    made = add(plant, "member", ANA, "2026-01-05", "2026-01-08", note="leave")
    assert everybody(plant) != before
    with plant.write() as connection:
        [listed] = changes.listing(connection)
        assert (listed.scope, listed.name, listed.days, listed.note) == ("member", ANA, "O", "leave")
        assert changes.remove(connection, made) == listed
        assert changes.listing(connection) == []
        with pytest.raises(NotFoundError, match="no change"):
            changes.remove(connection, made)
    assert everybody(plant) == before


def test_a_shift_that_the_new_crew_has_not_says_nothing(plant: Database) -> None:
    add(plant, "member", ANA, "2026-01-06", "2026-01-06", days="N")
    with plant.write() as connection:
        rota.add_rota(connection, name="office", zone="Europe/Berlin", pattern="EEEEEOO", shifts="E=08:00-16:00")
        rota.add_crew(connection, name="desk", rota="office", start_date=MONDAY)
        joining.set_member(connection, community="pump", email=ANA, changes={"crew": "desk"}, now=CUT_OFF)
    assert everybody(plant)[ANA] == "EEEEEOOE"


def test_people_without_changes_share_the_roster_of_their_crew(plant: Database) -> None:
    add(plant, "member", ANA, "2026-01-05", "2026-01-05")
    with plant.read() as connection:
        ids = {email: changes.person_at(connection, email) for email in (ANA, SAM)}
        many = rosters.Rosters(connection)
        sam, ana = ids[SAM], ids[ANA]
        assert many.of(sam.id, sam.crew_id) is many.of(0, sam.crew_id)
        assert many.of(ana.id, ana.crew_id) is not many.of(0, ana.crew_id)
        assert worked(many.of(ana.id, ana.crew_id)) == "ODNNOOOO"
        assert many.of(ana.id, None) is None


@pytest.mark.parametrize(
    ("values", "error", "says"),
    [
        ({"scope": "rota", "name": "plan"}, NotFoundError, "did you mean 'plant'"),
        ({"scope": "crew", "name": "C"}, NotFoundError, "no crew 'C'"),
        ({"name": "li@example.org"}, NotFoundError, "Nobody here has the address"),
        ({"name": "kim@example.org"}, UsageError, "in no crew"),
        ({"days": "X"}, UsageError, "no shift 'X'"),
        ({"days": ""}, UsageError, "1 to 400 letters"),
        ({"days": "x" * 401}, UsageError, "1 to 400 letters"),
        ({"only": "Z"}, UsageError, "no shift 'Z'"),
        ({"last_day": date(2026, 1, 4)}, UsageError, "before the first"),
        ({"note": "x" * 201}, UsageError, "longer than 200"),
    ],
)
def test_a_change_that_cannot_be_is_refused(
    plant: Database, values: dict[str, Any], error: type[Exception], says: str
) -> None:
    good: dict[str, Any] = {"scope": "member", "name": ANA, "first_day": MONDAY, "last_day": MONDAY}
    with plant.write() as connection:
        joining.add_member(connection, community="pump", email="kim@example.org", now=CUT_OFF)
        with pytest.raises(error, match=says):
            changes.add(connection, **good | values)
        assert changes.listing(connection) == []


@pytest.mark.parametrize(("weekdays", "says"), [("Mon,Foo", "no weekday 'Foo'"), (EVERY_DAY, "seven")])
def test_weekdays_of_part_time_that_cannot_be_are_refused(weekdays: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        changes.part_time(MONDAY, weekdays)


@pytest.mark.parametrize("days", ["", "----", "xx oo", "xxxo"])
def test_days_that_cannot_be_are_refused(days: str) -> None:
    with pytest.raises(UsageError, match="x as the crew works"):
        changes.parse_days(days)


# --- when mail is due ------------------------------------------------------------------------------------------------


def due(database: Database) -> dict[str, datetime]:
    """By address, when the waiting editions go out."""
    section, address, member = tables.edition_section.c, tables.address.c, tables.membership.c
    query = (
        select(address.email, section.due_at)
        .join_from(tables.edition_section, tables.membership, member.id == section.membership_id)
        .join(tables.address, address.id == member.address_id)
    )
    with database.read() as connection:
        return dict(connection.execute(query).all())


def test_leave_moves_what_waits_to_the_first_shift_after_it_and_back_when_it_is_undone(plant: Database) -> None:
    with plant.write() as connection:
        for late in editions.behind(connection, CUT_OFF):
            editions.make_periods(connection, late, CUT_OFF, site=SITE)
    before = due(plant)
    first = rosters_of(plant, ANA).next_start(CUT_OFF)
    assert first is not None
    made = add(plant, "member", ANA, first.start.date().isoformat(), "2026-11-30")
    with plant.write() as connection:
        assert plans.replan(connection, CUT_OFF, site=SITE) == 1
    after = due(plant)
    assert after[SAM] == before[SAM]
    assert after[ANA] > datetime(2026, 12, 1, tzinfo=UTC) > before[ANA]
    with plant.write() as connection:
        changes.remove(connection, made)
        plans.replan(connection, CUT_OFF, site=SITE)
    assert due(plant) == before


def rosters_of(database: Database, email: str) -> Roster:
    with database.read() as connection:
        return rosters.named(connection, email=email)
