"""Who leads, hosts and takes notes of a meeting, in turn among those who are willing; the only writer of both tables.

Who was swapped out keeps a row, so that they are not asked again for the same meeting.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal, get_args

from sqlalchemy import Connection, delete, func, insert, select, update

from tidings.communities import directory
from tidings.communities.directory import Member
from tidings.communities.rosters import Rosters
from tidings.database import tables
from tidings.digests.meetings import attendance
from tidings.digests.meetings.diary import Meeting
from tidings.digests.meetings.people import called

Role = Literal["lead", "host", "scribe"]
ROLES: tuple[Role, ...] = get_args(Role)
"""The discussion leader, who sees that all come to speak, and the scribe, who takes notes."""

_COUNTED = timedelta(days=365)
_duty, _willing, _meeting = tables.duty.c, tables.willing.c, tables.meeting.c


@dataclass(frozen=True, kw_only=True)
class Duty:
    """A role in a meeting; `load` is how often who has it had it in this series within a year, this time too."""

    id: int
    meeting_id: int
    role: Role
    person_id: int
    name: str
    load: int


# --- reads -----------------------------------------------------------------------------------------------------------


def of_meeting(connection: Connection, meeting: Meeting) -> list[Duty]:
    """Who has which role in a meeting, in the order of ROLES."""
    query = select(_duty.id, _duty.role, _duty.person_id).where(_duty.meeting_id == meeting.id, _duty.state == "has")
    rows = connection.execute(query).all()
    names = called(connection, meeting.series.community_id, {row.person_id for row in rows})
    loads = {
        role: _loads(connection, meeting.series.id, role, meeting.starts_at) for role in {row.role for row in rows}
    }
    found = [
        Duty(
            id=row.id,
            meeting_id=meeting.id,
            role=row.role,
            person_id=row.person_id,
            name=names[row.person_id],
            load=loads[row.role].get(row.person_id, (0, ""))[0],
        )
        for row in rows
    ]
    return sorted(found, key=lambda one: ROLES.index(one.role))


def willing(connection: Connection, series_id: int) -> dict[Role, list[int]]:
    """By role, the people who said that they would, in the order in which they did."""
    rows = select(_willing.role, _willing.person_id).where(_willing.series_id == series_id)
    found: dict[Role, list[int]] = {role: [] for role in ROLES}
    for role, person_id in connection.execute(rows.order_by(_willing.since, _willing.person_id)):
        found[role].append(person_id)
    return found


def load(connection: Connection, series_id: int, now: datetime) -> dict[Role, dict[int, int]]:
    """By role, how often each person had it within the last year, or has it to come."""
    return {
        role: {person_id: count for person_id, (count, _) in _loads(connection, series_id, role, now).items()}
        for role in ROLES
    }


def _loads(connection: Connection, series_id: int, role: Role, now: datetime) -> dict[int, tuple[int, str]]:
    """By person, how often they had a role, and the day of the last time."""
    rows = connection.execute(
        select(_duty.person_id, func.count(), func.max(_meeting.day))
        .join_from(tables.duty, tables.meeting, _meeting.id == _duty.meeting_id)
        .where(_meeting.series_id == series_id, _meeting.cancelled_at.is_(None))
        .where(_duty.role == role, _duty.state == "has", _meeting.day >= (now - _COUNTED).date().isoformat())
        .group_by(_duty.person_id)
    )
    return {person_id: (count, last) for person_id, count, last in rows}


def meeting_of(connection: Connection, duty_id: int) -> int | None:
    """The id of the meeting in which somebody has, or had, that role; None where there is none."""
    found: int | None = connection.execute(select(_duty.meeting_id).where(_duty.id == duty_id)).scalar()
    return found


# --- writes ----------------------------------------------------------------------------------------------------------


def offer(connection: Connection, series_id: int, person_id: int, role: Role, now: datetime) -> bool:
    """Note that a person is willing; False where they said so before."""
    mine = (_willing.series_id == series_id, _willing.person_id == person_id, _willing.role == role)
    if connection.execute(select(_willing.role).where(*mine)).first():
        return False
    values = {"series_id": series_id, "person_id": person_id, "role": role, "since": now}
    connection.execute(insert(tables.willing).values(values))
    return True


def decline(connection: Connection, series_id: int, person_id: int, role: Role | None = None) -> bool:
    """Note that a person is not willing any more, of one role or of all; False where they were not."""
    mine = delete(tables.willing).where(_willing.series_id == series_id, _willing.person_id == person_id)
    return bool(connection.execute(mine if role is None else mine.where(_willing.role == role)).rowcount)


def fill(connection: Connection, meeting: Meeting, now: datetime) -> list[Duty]:
    """Give the roles of a meeting that nobody has to those whose turn it is; returns who was given one.

    It is the turn of who had the role least often within a year, then of who had the fewest roles in all, then of who
    had it longest ago; those who are on shift in a session of the meeting come before the others, and nobody has two
    roles where there is somebody else. Who has left the community since, or takes a pause, has none any more.
    """
    _lock(connection, meeting)
    candidates = _Candidates(connection, meeting)
    duties = of_meeting(connection, meeting)
    for one in duties:
        if not candidates.can(one.person_id):
            _take(connection, one)
    has = {one.role: one.person_id for one in duties if candidates.can(one.person_id)}
    given: list[Duty] = []
    # Who is on shift is often fewer than there are roles: which one is left over goes round as well.
    for role in ROLES if meeting.number % 2 else ROLES[::-1]:
        if role in has:
            continue
        chosen = candidates.next(role, set(has.values()))
        if chosen is not None:
            has[role] = chosen.person_id
            given.append(_give(connection, meeting, role, chosen, now))
    return given


def swap(connection: Connection, meeting: Meeting, duty: Duty, now: datetime, to: Member | None = None) -> Duty | None:
    """Take a role from who has it and give it `to` somebody, or to whose turn it is next; None where nobody is left.

    Then who had it keeps it. It is None as well where they did not have it any more.
    """
    _lock(connection, meeting)
    others = {one.person_id for one in of_meeting(connection, meeting)}
    chosen = to or _Candidates(connection, meeting).next(duty.role, others)
    if chosen is None or chosen.person_id == duty.person_id or not _take(connection, duty):
        return None
    return _give(connection, meeting, duty.role, chosen, now)


def give(connection: Connection, meeting: Meeting, role: Role, member: Member, now: datetime) -> Duty:
    """Let a member have a role in a meeting, whoever had it before."""
    _lock(connection, meeting)
    for one in of_meeting(connection, meeting):
        if one.role == role and one.person_id == member.person_id:
            return one
        if one.role == role:
            _take(connection, one)
    return _give(connection, meeting, role, member, now)


def _lock(connection: Connection, meeting: Meeting) -> None:
    """Let nobody else give roles of the meeting before this transaction ends: two would have one role."""
    connection.execute(select(_meeting.id).where(_meeting.id == meeting.id).with_for_update())


def _take(connection: Connection, duty: Duty) -> bool:
    mine = update(tables.duty).where(_duty.id == duty.id, _duty.state == "has")
    return bool(connection.execute(mine.values(state="swapped", remind_at=None)).rowcount)


def remind(connection: Connection, duty_id: int, at: datetime | None) -> None:
    """Set when who has a role is told of it; None: not again."""
    connection.execute(update(tables.duty).where(_duty.id == duty_id).values(remind_at=at))


def _give(connection: Connection, meeting: Meeting, role: Role, member: Member, now: datetime) -> Duty:
    mine = (_duty.meeting_id == meeting.id, _duty.role == role, _duty.person_id == member.person_id)
    given = {"state": "has", "since": now, "remind_at": now}
    if not connection.execute(update(tables.duty).where(*mine).values(given)).rowcount:
        values = {"meeting_id": meeting.id, "role": role, "person_id": member.person_id, **given}
        connection.execute(insert(tables.duty).values(values))
    return next(one for one in of_meeting(connection, meeting) if one.role == role)


class _Candidates:
    """Those who are willing, as the turn of each role has them."""

    def __init__(self, connection: Connection, meeting: Meeting) -> None:
        self._connection, self._meeting = connection, meeting
        self._willing = willing(connection, meeting.series.id)
        members = directory.members(connection, meeting.series.community_id)
        self._members: Mapping[int, Member] = {one.person_id: one for one in members}
        self._rosters = Rosters(connection)
        asked = select(_duty.role, _duty.person_id).where(_duty.meeting_id == meeting.id)
        self._asked = {(role, person_id) for role, person_id in connection.execute(asked)}
        said = attendance.of_meeting(connection, meeting.id)
        self._absent = {one.person_id for one in said if one.answer in ("no", "delegated")}

    def can(self, person_id: int) -> bool:
        """Whether they are in the community, and will not be on pause then; mail reaches them."""
        member = self._members.get(person_id)
        return member is not None and member.stopped_at is None and not member.is_paused(self._meeting.starts_at)

    def next(self, role: Role, busy: set[int]) -> Member | None:
        """Whose turn it is, of those who were not asked before and may come; None where there is nobody."""
        series_id, moment = self._meeting.series.id, self._meeting.starts_at
        loads = {one: _loads(self._connection, series_id, one, moment) for one in ROLES}
        found = [member for member in self._there(self._willing[role]) if (role, member.person_id) not in self._asked]

        def turn(member: Member) -> tuple[bool, bool, int, int, str]:
            had = {one: loads[one].get(member.person_id, (0, "")) for one in ROLES}
            (count, last), total = had[role], sum(count for count, _ in had.values())
            return member.person_id in busy, not self._is_on_shift(member), count, total, last

        return min(found, key=turn, default=None)

    def _there(self, person_ids: Sequence[int]) -> list[Member]:
        there = [person_id for person_id in person_ids if self.can(person_id)]
        return [self._members[person_id] for person_id in there if person_id not in self._absent]

    def _is_on_shift(self, member: Member) -> bool:
        """Whether they are at work in a session of the meeting; whose hours nobody knows can come to any."""
        roster = self._rosters.of(member.person_id, member.crew_id)
        return roster is None or any(roster.at(one.starts_at) for one in self._meeting.sittings)
