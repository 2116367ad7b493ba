"""Roles go round: fairly among those who are willing, first to who is on shift, and to nobody who cannot be there."""

import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta

import pytest
from sqlalchemy import Connection, func, select, update

from tests import digest_site, meeting_site
from tests.meeting_site import NOW
from tests.postgres import wait_for_a_lock
from tidings.communities import joining
from tidings.communities.directory import Member
from tidings.database import tables
from tidings.database.engine import Database
from tidings.digests.meetings import attendance, diary, roles
from tidings.digests.meetings.diary import Meeting
from tidings.digests.meetings.roles import ROLES, Duty, Role
from tidings.digests.meetings.series import Series

WEEK = timedelta(days=7)
NAMES = ("ana", "li", "sam", "raj", "mei")


@dataclass(frozen=True, kw_only=True)
class Team:
    """Five members of the pump team and its series of meetings on Tuesdays at 14:00."""

    connection: Connection
    series: Series
    people: dict[str, Member]

    def meeting(self, number: int = 0) -> Meeting:
        return meeting_site.meetings(self.connection, self.series)[number]

    def willing(self, *names: str, role: Role = "lead") -> None:
        """In the order in which they say so."""
        for place, name in enumerate(names or NAMES):
            roles.offer(
                self.connection,
                self.series.id,
                self.people[name].person_id,
                role,
                NOW - timedelta(days=1) + timedelta(minutes=place),
            )

    def fill(self, number: int = 0) -> dict[str, str]:
        """Who was given which role."""
        return self.named(roles.fill(self.connection, self.meeting(number), NOW))

    def has(self, number: int = 0) -> dict[str, str]:
        return self.named(roles.of_meeting(self.connection, self.meeting(number)))

    def duty(self, role: Role = "lead", number: int = 0) -> Duty:
        return next(one for one in roles.of_meeting(self.connection, self.meeting(number)) if one.role == role)

    def swap(self, role: Role = "lead", number: int = 0, to: str = "") -> Duty | None:
        meeting, duty = self.meeting(number), self.duty(role, number)
        return roles.swap(self.connection, meeting, duty, NOW, self.people[to] if to else None)

    def name(self, person_id: int) -> str:
        return next(name for name, one in self.people.items() if one.person_id == person_id)

    def named(self, duties: list[Duty]) -> dict[str, str]:
        return {one.role: self.name(one.person_id) for one in duties}

    def plan(self, weeks: int) -> None:
        """Have so many meetings more than there are."""
        for week in range(1, weeks + 1):
            diary.plan_ahead(self.connection, self.series, NOW + week * WEEK)


def team_of(connection: Connection, **values: dict[str, str]) -> Team:
    pump = digest_site.community(connection)
    people = {name: digest_site.member(connection, f"{name}@example.org", **values.get(name, {})) for name in NAMES}
    return Team(connection=connection, series=meeting_site.hour(connection, pump), people=people)


@pytest.fixture
def team(database: Database) -> Iterator[Team]:
    with database.write() as connection:
        yield team_of(connection)


# --- fair ------------------------------------------------------------------------------------------------------------


def test_over_a_quarter_every_role_goes_round_and_nobody_has_two_at_once(team: Team) -> None:
    for role in ROLES:
        team.willing(role=role)
    team.plan(8)
    loads: dict[str, Counter[str]] = {role: Counter(dict.fromkeys(NAMES, 0)) for role in ROLES}
    for number in range(13):
        given = team.fill(number)
        assert set(given) == set(ROLES)
        assert len(set(given.values())) == 3
        for role, name in given.items():
            loads[role][name] += 1
    for role, counted in loads.items():
        assert max(counted.values()) - min(counted.values()) <= 1, (role, counted)
    together = sum(loads.values(), Counter())
    assert max(together.values()) - min(together.values()) <= 1, together


def test_it_is_the_turn_of_who_had_the_role_least_often_then_of_who_had_it_longest_ago(team: Team) -> None:
    team.willing("ana", "li", "sam")
    assert [team.fill(number)["lead"] for number in range(5)] == ["ana", "li", "sam", "ana", "li"]
    roles.give(team.connection, team.meeting(1), "lead", team.people["sam"], NOW)
    # Sam had it twice by now, and Li once.
    assert roles.load(team.connection, team.series.id, NOW)["lead"] == {
        team.people["ana"].person_id: 2,
        team.people["li"].person_id: 1,
        team.people["sam"].person_id: 2,
    }
    roles.give(team.connection, team.meeting(4), "lead", team.people["raj"], NOW)
    assert team.duty(number=0).load == 2
    assert team.duty(number=4).load == 1


def test_of_two_roles_as_often_the_one_goes_to_who_had_fewer_in_all(team: Team) -> None:
    team.willing("ana", "li", role="scribe")
    roles.give(team.connection, team.meeting(0), "lead", team.people["ana"], NOW)
    assert team.fill(1) == {"scribe": "li"}


def test_what_was_long_ago_and_what_was_cancelled_does_not_count(team: Team) -> None:
    team.willing("ana", "li")
    for number in range(2):
        roles.give(team.connection, team.meeting(number), "lead", team.people["ana"], NOW)
    diary.cancel(team.connection, team.meeting(1), NOW)
    assert roles.load(team.connection, team.series.id, NOW)["lead"] == {team.people["ana"].person_id: 1}
    mine = tables.meeting.c.id == team.meeting(0).id
    team.connection.execute(update(tables.meeting).where(mine).values(day="2025-10-07"))
    assert team.fill(2) == {"lead": "ana"}


# --- who can be there ------------------------------------------------------------------------------------------------


def test_who_is_on_shift_leads_before_who_had_it_less_often(database: Database) -> None:
    with database.write() as connection:
        # Tuesdays by day: A works in the first week and not in the second, B the other way round.
        digest_site.crew(connection, "A", "DDDDDDDOOOOOOO")
        digest_site.crew(connection, "B", "OOOOOOODDDDDDD")
        crews = {"ana": "A", "li": "A", "sam": "B", "raj": "B"}
        team = team_of(connection, **{name: {"crew": crew} for name, crew in crews.items()})
        assert date(2026, 10, 13).weekday() == 1
        team.willing("ana", "li", "sam", "raj")
        # The crews began on 5 October, so the first Tuesday of the series is in B's week.
        assert [team.fill(number)["lead"] for number in range(4)] == ["sam", "ana", "raj", "li"]
        roles.give(connection, team.meeting(3), "lead", team.people["raj"], NOW)
        roles.decline(connection, team.series.id, team.people["sam"].person_id)
        assert team.fill(4) == {"lead": "raj"}  # though Li had it never


def test_who_is_on_shift_in_a_later_session_is_on_shift(database: Database) -> None:
    with database.write() as connection:
        digest_site.crew(connection, "night", "NNNNNNN")
        pump = digest_site.community(connection)
        ana = digest_site.member(connection, "ana@example.org")
        sam = digest_site.member(connection, "sam@example.org", crew="night")
        digest_site.crew(connection, "mondays", "DOOOOOO")
        raj = digest_site.member(connection, "raj@example.org", crew="mondays")
        series = meeting_site.hour(connection, pump, ("14:00", "22:00"))
        for member in (raj, sam):
            roles.offer(connection, series.id, member.person_id, "lead", NOW)
        [duty] = roles.fill(connection, meeting_site.meetings(connection, series)[0], NOW)
        assert duty.person_id == sam.person_id
        roles.offer(connection, series.id, ana.person_id, "host", NOW)
        # Whose hours nobody knows may come to any session.
        assert [one.role for one in roles.fill(connection, meeting_site.meetings(connection, series)[0], NOW)] == [
            "host"
        ]


def test_nobody_has_two_roles_where_there_is_somebody_else(team: Team) -> None:
    team.willing("ana", role="lead")
    team.willing("ana", "li", role="scribe")
    assert team.fill(0) == {"lead": "ana", "scribe": "li"}
    roles.decline(team.connection, team.series.id, team.people["li"].person_id)
    assert team.fill(1) == {"lead": "ana", "scribe": "ana"}


def test_who_is_on_pause_then_or_stopped_or_left_is_never_asked(team: Team) -> None:
    team.willing()
    until = team.meeting().starts_at + timedelta(hours=1)
    person = {name: one.person_id for name, one in team.people.items()}
    _pause(team, "ana", until)
    _pause(team, "li", team.meeting().starts_at)  # is back by then
    stopped = update(tables.address).where(tables.address.c.person_id == person["sam"])
    team.connection.execute(stopped.values(stopped_at=NOW))
    joining.remove_member(team.connection, membership_id=team.people["raj"].membership_id, now=NOW)
    assert team.fill() == {"lead": "li"}
    duty = team.swap()
    assert duty is not None
    assert team.name(duty.person_id) == "mei"
    assert team.swap() is None
    assert team.has() == {"lead": "mei"}


def _pause(team: Team, name: str, until: object) -> None:
    mine = tables.membership.c.id == team.people[name].membership_id
    team.connection.execute(update(tables.membership).where(mine).values(paused_until=until))


def test_who_left_or_takes_a_pause_since_has_the_role_no_more(team: Team) -> None:
    team.willing("ana", "li", role="lead")
    team.willing("sam", role="scribe")
    assert team.fill() == {"lead": "ana", "scribe": "sam"}
    assert team.fill() == {}
    joining.remove_member(team.connection, membership_id=team.people["ana"].membership_id, now=NOW)
    _pause(team, "sam", NOW + 10 * WEEK)
    assert team.fill() == {"lead": "li"}
    assert team.has() == {"lead": "li"}


def test_who_said_that_they_do_not_come_is_not_asked(team: Team) -> None:
    team.willing("ana", "li", "sam")
    said: dict[str, attendance.Answer] = {"ana": "no", "li": "delegated", "sam": "maybe"}
    for name, answer in said.items():
        meeting_site.says(team.connection, team.meeting(), team.people[name], answer)
    assert team.fill() == {"lead": "sam"}


def test_where_nobody_is_willing_nobody_is_asked(team: Team) -> None:
    assert (team.fill(), team.has()) == ({}, {})


# --- willing ---------------------------------------------------------------------------------------------------------


def test_one_is_willing_once_for_each_role_until_one_is_not(team: Team) -> None:
    team.willing("li", "ana")
    team.willing("ana", role="scribe")
    ana, li = team.people["ana"].person_id, team.people["li"].person_id
    assert not roles.offer(team.connection, team.series.id, ana, "lead", NOW)
    assert roles.willing(team.connection, team.series.id) == {"lead": [li, ana], "host": [], "scribe": [ana]}
    assert roles.decline(team.connection, team.series.id, ana, "scribe")
    assert not roles.decline(team.connection, team.series.id, ana, "scribe")
    assert roles.willing(team.connection, team.series.id)["lead"] == [li, ana]
    assert roles.decline(team.connection, team.series.id, ana)
    assert roles.willing(team.connection, team.series.id) == {"lead": [li], "host": [], "scribe": []}


# --- swapped ---------------------------------------------------------------------------------------------------------


def test_a_role_is_swapped_to_whose_turn_it_is_next_and_who_had_it_is_not_asked_again(team: Team) -> None:
    team.willing("ana", "li", "sam")
    team.fill()
    names = []
    while (duty := team.swap()) is not None:
        names.append(team.name(duty.person_id))
    assert names == ["li", "sam"]
    assert team.has() == {"lead": "sam"}
    assert team.fill() == {}
    # Who gave it away did not have it, so it is their turn at the next meeting.
    assert team.fill(1) == {"lead": "ana"}


def test_a_role_is_swapped_to_a_person_also_to_who_gave_it_away(team: Team) -> None:
    team.willing("ana", "li")
    team.fill()
    duty = team.swap(to="mei")
    assert duty is not None
    assert (team.name(duty.person_id), duty.name, duty.role, duty.load) == ("mei", "Mei", "lead", 1)
    assert team.swap(to="mei") is None
    back = team.swap(to="ana")
    assert back is not None
    assert team.has() == {"lead": "ana"}
    rows = select(func.count()).where(tables.duty.c.meeting_id == team.meeting().id)
    assert team.connection.execute(rows).scalar_one() == 2
    told = select(tables.duty.c.person_id).where(tables.duty.c.remind_at.is_not(None))
    assert team.connection.execute(told).scalars().all() == [back.person_id]


def test_what_was_swapped_already_is_not_swapped_again(team: Team) -> None:
    team.willing("ana", "li", "sam")
    team.fill()
    meeting, duty = team.meeting(), team.duty()
    assert roles.swap(team.connection, meeting, duty, NOW) is not None
    assert roles.swap(team.connection, meeting, duty, NOW) is None
    assert team.has() == {"lead": "li"}


def test_a_role_is_given_to_somebody_whoever_had_it(team: Team) -> None:
    team.willing("ana")
    team.fill()
    given = roles.give(team.connection, team.meeting(), "lead", team.people["raj"], NOW)
    assert (team.has(), given) == ({"lead": "raj"}, team.duty())
    roles.remind(team.connection, given.id, None)
    assert roles.give(team.connection, team.meeting(), "lead", team.people["raj"], NOW + WEEK) == given
    assert team.connection.execute(select(tables.duty.c.id).where(tables.duty.c.remind_at == NOW + WEEK)).all() == []
    roles.give(team.connection, team.meeting(), "scribe", team.people["raj"], NOW)
    assert team.has() == {"lead": "raj", "scribe": "raj"}


def test_of_two_who_give_roles_at_once_one_waits_and_finds_all_given(database: Database) -> None:
    with database.write() as connection:
        team = team_of(connection)
        team.willing("ana", "li")
        meeting = team.meeting()

    def fill() -> None:
        with database.write() as other:
            roles.fill(other, meeting, NOW)

    other = threading.Thread(target=fill)
    with database.write() as connection:
        roles.fill(connection, meeting, NOW)
        other.start()
        wait_for_a_lock(database, other)
    other.join()
    with database.read() as connection:
        [duty] = roles.of_meeting(connection, meeting)
    assert duty.person_id == team.people["ana"].person_id


def test_whoever_has_no_name_is_called_by_their_address(team: Team) -> None:
    person = update(tables.person).where(tables.person.c.id == team.people["ana"].person_id)
    team.connection.execute(person.values(name=""))
    assert roles.give(team.connection, team.meeting(), "host", team.people["ana"], NOW).name == "ana"
