"""Changes of meetings: who was told of one is told again when it is moved, cancelled or its series ends; others not."""

from collections.abc import Iterator
from datetime import timedelta

import pytest
from sqlalchemy import Connection, select, update

from tests import digest_site, meeting_site
from tests.digest_site import SITE
from tests.meeting_site import NOW
from tidings.communities.directory import Community
from tidings.database import tables
from tidings.database.engine import Database
from tidings.digests.meetings import changes, diary, invites
from tidings.digests.meetings.diary import Meeting
from tidings.digests.meetings.series import Series

HOUR = timedelta(hours=1)


class Room:
    """The pump team, of whom Ana was told of the first meeting, and for Li its agenda waits."""

    def __init__(self, connection: Connection) -> None:
        self.connection = connection
        self.pump: Community = digest_site.community(connection)
        self.people = {name: digest_site.member(connection, f"{name}@example.org") for name in ("ana", "li")}
        self.series: Series = meeting_site.hour(connection, self.pump)
        invites.invite(connection, self.pump, self.meeting(), NOW, site=SITE)
        section = tables.edition_section
        mine = section.c.membership_id == self.people["ana"].membership_id
        connection.execute(update(section).where(mine).values(state="composed"))

    def meeting(self, number: int = 0) -> Meeting:
        return meeting_site.meetings(self.connection, self.series)[number]

    def waiting(self, number: int = 0) -> list[str]:
        """For whom something of a meeting waits."""
        section, period = tables.edition_section.c, tables.period.c
        query = (
            select(section.membership_id)
            .join_from(tables.edition_section, tables.period, period.id == section.period_id)
            .where(period.meeting_id == self.meeting(number).id, section.state == "waiting")
            .order_by(section.id)
        )
        by_id = {one.membership_id: name for name, one in self.people.items()}
        return [by_id[one] for one in self.connection.execute(query).scalars()]


@pytest.fixture
def room(database: Database) -> Iterator[Room]:
    with database.write() as connection:
        yield Room(connection)


def test_who_was_told_is_told_again_of_a_move(room: Room) -> None:
    assert room.waiting() == ["li"]
    meeting = room.meeting()
    start = meeting.starts_at + HOUR
    moved = changes.move(room.connection, meeting, meeting.sittings[0], start, NOW, site=SITE, place="Hall 1")
    assert (moved.starts_at, moved.sittings[0].place) == (start, "Hall 1")
    assert moved == room.meeting()
    assert sorted(room.waiting()) == ["ana", "li"]


def test_of_a_move_to_where_it_is_nobody_is_told(room: Room) -> None:
    meeting = room.meeting()
    same = changes.move(room.connection, meeting, meeting.sittings[0], meeting.starts_at, NOW, site=SITE)
    assert (same, room.waiting()) == (meeting, ["li"])


def test_who_was_told_is_told_that_it_is_cancelled(room: Room) -> None:
    gone = changes.cancel(room.connection, room.meeting(), NOW, site=SITE)
    assert gone.cancelled_at == NOW
    assert sorted(room.waiting()) == ["ana", "li"]


def test_who_was_told_is_told_that_a_series_ends(room: Room) -> None:
    gone = changes.end(room.connection, room.series, NOW, site=SITE)
    assert [one.number for one in gone] == [1, 2, 3, 4, 5]
    assert sorted(room.waiting()) == ["ana", "li"]
    assert room.waiting(1) == []
    assert diary.following(room.connection, room.series.id, NOW) is None
