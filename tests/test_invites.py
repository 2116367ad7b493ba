"""Who is told of a meeting: everybody once, who joins later too, who leads once more, and of changes who was told."""

from collections import Counter
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select

from tests import digest_site, meeting_site
from tests.digest_site import SITE
from tests.meeting_site import FIRST
from tidings import jobs
from tidings.communities import joining, rota
from tidings.communities.directory import Community, Member
from tidings.database import tables
from tidings.database.engine import Database
from tidings.digests import plans
from tidings.digests.meetings import conduct, diary, invites
from tidings.digests.meetings.diary import Meeting

NOW = meeting_site.NOW
HOUR, DAY = timedelta(hours=1), timedelta(days=1)


class Team:
    """The pump team, whose first meeting is on Tuesday 13 October 2026 at 14:00 in Berlin."""

    def __init__(self, database: Database, sessions: tuple[str, ...] = ("14:00",)) -> None:
        self.database = database
        with database.write() as connection:
            self.pump: Community = digest_site.community(connection)
            # From Monday 5 October: A works days on Mondays to Fridays, B nights on Mondays to Thursdays.
            digest_site.crew(connection, "A", "DDDDDOO")
            digest_site.crew(connection, "B", "NNNNOOO")
            made = {"ana": {"delivery": "each"}, "abe": {"crew": "A"}, "bea": {"crew": "B", "delivery": "daily"}}
            self.people = {
                name: digest_site.member(connection, f"{name}@example.org", **values) for name, values in made.items()
            }
            self.series = meeting_site.hour(connection, self.pump, sessions)

    @property
    def meeting(self) -> Meeting:
        with self.database.read() as connection:
            return diary.of_series(connection, self.series.id)[0]

    def join(self, name: str, now: datetime = NOW, **values: str) -> Member:
        with self.database.write() as connection:
            made = {"name": name.title(), "delivery": "each", **values}
            found = joining.add_member(connection, community="pump", email=f"{name}@example.org", now=now, **made)
        self.people[name] = found
        return found

    def do(self, what: Callable[..., int], now: datetime = NOW) -> int:
        with self.database.write() as connection:
            return what(connection, self.pump, self.meeting, now, site=SITE)

    def invite(self, now: datetime = NOW) -> int:
        """Let the agenda wait for everybody, as the job does."""
        with self.database.write() as connection:
            diary.mark(connection, self.meeting, "invited_at", now)
        return self.do(invites.invite, now)

    def work(self, now: datetime) -> None:
        assert jobs.run_due(self.database, now, site=SITE).failed == 0

    def waiting(self) -> dict[str, datetime]:
        """Until when the meeting waits for whom."""
        return {name: due for name, state, due in self._sections() if state == "waiting"}

    def told(self) -> Counter[str]:
        """How often each was told of it."""
        return Counter(name for name, state, _ in self._sections() if state == "composed")

    def _sections(self) -> list[tuple[str, str, datetime]]:
        section, period = tables.edition_section.c, tables.period.c
        names = {one.membership_id: name for name, one in self.people.items()}
        with self.database.read() as connection:
            rows = connection.execute(
                select(section.membership_id, section.state, section.due_at)
                .join(tables.period, period.id == section.period_id)
                .where(period.meeting_id == self.meeting.id)
                .order_by(section.id)
            ).all()
        return [(names[row.membership_id], row.state, row.due_at.astimezone(UTC)) for row in rows]


@pytest.fixture
def team(sqlite_database: Database) -> Team:
    return Team(sqlite_database)


def berlin(day: int, hour: int) -> datetime:
    """A moment of October by the wall clock in Berlin."""
    return datetime(2026, 10, day, hour - 2, tzinfo=UTC)


# --- everybody -------------------------------------------------------------------------------------------------------


def test_everybody_is_invited_once_at_an_hour_of_their_own(database: Database) -> None:
    team = Team(database)
    assert team.invite() == 3
    assert team.waiting() == {"ana": berlin(12, 8), "abe": berlin(12, 7), "bea": berlin(12, 19)}
    assert team.do(invites.invite) == 0


def test_who_asked_for_no_mail_is_not_invited(team: Team) -> None:
    team.join("noor", delivery="none")
    assert team.invite() == 3
    assert "noor" not in team.waiting()


def test_who_takes_a_pause_by_then_is_not_told_and_who_is_back_is(team: Team) -> None:
    for name, until in (("ana", FIRST + DAY), ("abe", NOW + HOUR)):
        with team.database.write() as connection:
            joining.pause(connection, membership_id=team.people[name].membership_id, until=until)
    team.invite()
    team.work(FIRST - HOUR)
    assert team.told()["ana"] == 0
    assert team.told()["abe"] == 1


def test_who_left_is_not_told(team: Team) -> None:
    team.invite()
    with team.database.write() as connection:
        joining.remove_member(connection, membership_id=team.people["ana"].membership_id, now=NOW)
    team.work(FIRST - HOUR)
    assert team.told()["ana"] == 0


# --- newcomers -------------------------------------------------------------------------------------------------------


def newcomers(team: Team) -> bool:
    with team.database.read() as connection:
        return team.meeting.id in invites.newcomers(connection, NOW)


def test_who_joins_before_the_meeting_is_invited_by_the_next_run(database: Database) -> None:
    team = Team(database)
    team.invite()
    assert not newcomers(team)
    team.join("eva", NOW + HOUR)
    assert newcomers(team)
    assert conduct.run_due(team.database, NOW + 2 * HOUR, site=SITE) == 0
    assert team.waiting()["eva"] == berlin(12, 8)
    assert not newcomers(team)
    assert len(team.waiting()) == 4


def test_who_joins_without_mail_is_no_newcomer(team: Team) -> None:
    team.invite()
    team.join("noor", NOW + HOUR, delivery="none")
    assert not newcomers(team)


def test_who_turns_to_mail_after_the_others_were_invited_has_the_agenda_too(team: Team) -> None:
    team.join("noor", NOW - 9 * DAY, delivery="none")
    team.invite()
    with team.database.write() as connection:
        changes = {"delivery": "weekly"}
        joining.set_member(connection, community="pump", email="noor@example.org", changes=changes, now=NOW)
        plans.replan(connection, NOW, site=SITE, person_id=team.people["noor"].person_id)
    assert team.waiting()["noor"] == berlin(12, 8)
    assert len(team.waiting()) == 4


def test_who_comes_back_has_one_agenda(team: Team) -> None:
    team.invite()
    with team.database.write() as connection:
        joining.remove_member(connection, membership_id=team.people["ana"].membership_id, now=NOW)
    team.join("ana", NOW + HOUR)
    conduct.run_due(team.database, NOW + 2 * HOUR, site=SITE)
    team.work(FIRST - HOUR)
    assert team.told()["ana"] == 1


# --- who leads -------------------------------------------------------------------------------------------------------


def test_who_leads_is_told_once_more_with_what_came_in_since(team: Team) -> None:
    team.invite()
    team.work(berlin(12, 19))
    with team.database.write() as connection:
        meeting_site.gives(connection, team.meeting, "lead", team.people["abe"])
        meeting_site.gives(connection, team.meeting, "scribe", team.people["abe"])
    now = berlin(12, 20)
    assert team.do(invites.invite_leaders, now) == 1
    assert team.do(invites.invite_leaders, now) == 0
    assert team.waiting().keys() == {"abe"}
    team.work(FIRST - HOUR)
    assert team.told()["abe"] == 2
    assert team.told()["ana"] == 1


def test_who_leads_and_has_not_had_the_agenda_yet_has_it_once(team: Team) -> None:
    with team.database.write() as connection:
        meeting_site.gives(connection, team.meeting, "lead", team.people["abe"])
    team.invite()
    assert team.do(invites.invite_leaders) == 0


# --- changes ---------------------------------------------------------------------------------------------------------


def cancel(team: Team, now: datetime) -> int:
    with team.database.write() as connection:
        meeting = diary.cancel(connection, team.meeting, now)
        return invites.tell_again(connection, team.pump, meeting, now, site=SITE)


def test_of_a_change_only_those_are_told_again_who_were_told(database: Database) -> None:
    team = Team(database)
    team.invite()
    team.work(berlin(12, 7))
    told = set(team.told())
    assert "abe" in told and "ana" not in told
    assert cancel(team, berlin(12, 7) + timedelta(minutes=30)) == len(told)
    waiting = team.waiting()
    assert waiting["abe"] == berlin(12, 7) + timedelta(minutes=30)  # at work
    assert waiting["ana"] == berlin(12, 8)  # as before: then they are told that it is off


def test_two_changes_before_anybody_reads_are_told_once(team: Team) -> None:
    team.invite()
    team.work(FIRST - 20 * HOUR)
    now = FIRST - 19 * HOUR
    for hours in (1, 2):
        with team.database.write() as connection:
            meeting = team.meeting
            moved = diary.move(connection, meeting, meeting.sittings[0], FIRST + hours * HOUR, now)
            invites.tell_again(connection, team.pump, moved, now, site=SITE)
    team.work(FIRST - HOUR)
    assert max(team.told().values()) == 2


def test_of_one_session_that_moved_those_of_the_other_are_not_told(sqlite_database: Database) -> None:
    team = Team(sqlite_database, ("14:00=A", "22:00=B"))
    team.invite()
    team.work(berlin(12, 19))
    assert team.told().keys() == {"ana", "abe", "bea"}
    with team.database.write() as connection:
        meeting, now = team.meeting, berlin(12, 20)
        moved = diary.move(connection, meeting, meeting.sittings[1], FIRST + 9 * HOUR, now)
        assert invites.tell_again(connection, team.pump, moved, now, site=SITE) == 1
    assert team.waiting().keys() == {"bea"}


def test_a_move_plans_anew_when_those_have_it_who_were_not_told(team: Team) -> None:
    team.invite()
    before = team.waiting()
    with team.database.write() as connection:
        meeting = team.meeting
        moved = diary.move(connection, meeting, meeting.sittings[0], FIRST + 2 * DAY, NOW)
        assert invites.tell_again(connection, team.pump, moved, NOW, site=SITE) == 0
    after = team.waiting()
    assert after["ana"] == before["ana"] + 2 * DAY == berlin(14, 8)
    assert after["abe"] == berlin(14, 7)


def test_another_crew_plans_anew_when_the_agenda_comes(team: Team) -> None:
    team.invite()
    with team.database.write() as connection:
        changes = {"crew": "A"}
        joining.set_member(connection, community="pump", email="ana@example.org", changes=changes, now=NOW)
        plans.replan(connection, NOW, site=SITE)
    assert team.waiting()["ana"] == berlin(12, 7)


# --- later sessions --------------------------------------------------------------------------------------------------


@pytest.fixture
def sessions(sqlite_database: Database) -> Team:
    """Two sessions: Tuesday 14:00 for A, and 22:00 for B, who are on nights then."""
    found = Team(sqlite_database, ("14:00=A", "22:00=B"))
    found.join("bob", NOW - DAY, crew="B")
    found.join("bo", NOW - DAY, crew="B")
    found.invite()
    found.work(berlin(12, 19))
    return found


def test_who_comes_to_a_later_session_has_what_the_one_before_noted(sessions: Team) -> None:
    """Whoever said no is not told, nor whose session has begun."""
    with sessions.database.write() as connection:
        meeting_site.says(connection, sessions.meeting, sessions.people["bo"], "no")
    assert sessions.told() == {"ana": 1, "abe": 1, "bea": 1, "bob": 1, "bo": 1}
    assert sessions.do(invites.tell_later_sessions, FIRST + 2 * HOUR) == 2
    assert sessions.waiting() == {"bea": berlin(13, 19), "bob": berlin(13, 19)}  # when their night begins
    assert sessions.do(invites.tell_later_sessions, FIRST + 3 * HOUR) == 0  # it waits already


def test_who_said_that_they_come_is_told_whatever_their_shifts(sessions: Team) -> None:
    with sessions.database.write() as connection:
        rota.set_crew(connection, "B", {"start": "2026-10-14"})  # so that nobody of B is on shift
        meeting_site.says(connection, sessions.meeting, sessions.people["bob"], "maybe")
    sessions.do(invites.tell_later_sessions, FIRST + 2 * HOUR)
    assert sessions.waiting().keys() == {"bob"}


def test_once_the_last_session_began_nobody_is_told(sessions: Team) -> None:
    assert sessions.do(invites.tell_later_sessions, FIRST + 9 * HOUR) == 0
