"""Reminds who has a role in a meeting, or an action to do: at the start of their next shift.

It makes the sections that wait; what stands in them is composed when they are due (digests.agendas).
"""

from collections.abc import Iterable
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, select

from tidings.archive import cards
from tidings.communities import directory
from tidings.communities.directory import Community, Member
from tidings.communities.rosters import Rosters
from tidings.database import tables
from tidings.digests import rhythms, schedule, sections
from tidings.digests.meetings import roles, timing

_DAY = timedelta(days=1)
_MIDNIGHT = "00:00"
_duty, _card, _meeting, _series = tables.duty.c, tables.card.c, tables.meeting.c, tables.series.c
_sitting = tables.sitting.c


def of_action(community: Community, due_on: date | None, now: datetime) -> datetime | None:
    """When the owner of an action is reminded of it: from the day before it is due; None where no day is named."""
    return None if due_on is None else max(now, schedule.wall(due_on - _DAY, _MIDNIGHT, community.zone))


def is_due(connection: Connection, now: datetime) -> bool:
    """Whether anybody is to be reminded of something by now."""
    return any(connection.execute(query.limit(1)).first() for query in (_duties(now), _actions(now)))


def send_due(connection: Connection, now: datetime) -> int:
    """Let a reminder wait for everybody whose time has come, until their next shift starts; returns for how many.

    Nobody is reminded of the same twice.
    """
    told: dict[tuple[int, int], datetime] = {}
    for duty_id, community_id, person_id, starts_at in connection.execute(_duties(now)).all():
        roles.remind(connection, duty_id, None)
        _note(told, (community_id, person_id), starts_at)
    for card_id, community_id, person_id, due_on in connection.execute(_actions(now)).all():
        cards.remind(connection, card_id, None)
        community = directory.community_by_id(connection, community_id)
        _note(
            told, (community_id, person_id), schedule.wall(date.fromisoformat(due_on) + _DAY, _MIDNIGHT, community.zone)
        )
    rosters = Rosters(connection)
    for community_id in sorted({community_id for community_id, _ in told}):
        members = {one.person_id: one for one in directory.members(connection, community_id)}
        found = _due(rosters, members.values(), {who: by for (of, who), by in told.items() if of == community_id}, now)
        if found:
            sections.add_period(connection, community_id, rhythms.REMINDER, now, found)
    return len(told)


def _note(told: dict[tuple[int, int], datetime], key: tuple[int, int], before: datetime) -> None:
    told[key] = min(before, told.get(key, before))


def _due(
    rosters: Rosters, members: Iterable[Member], before: dict[int, datetime], now: datetime
) -> list[tuple[Member, datetime]]:
    return [
        (one, timing.soon(rosters.of(one.person_id, one.crew_id), now, before[one.person_id]))
        for one in members
        if one.person_id in before
    ]


def _duties(now: datetime) -> Select[Any]:
    starts = select(_sitting.starts_at).where(_sitting.meeting_id == _meeting.id).order_by(_sitting.starts_at).limit(1)
    return (
        select(_duty.id, _series.community_id, _duty.person_id, starts.scalar_subquery())
        .join_from(tables.duty, tables.meeting, _meeting.id == _duty.meeting_id)
        .join(tables.series, _series.id == _meeting.series_id)
        .where(_duty.remind_at <= now, _duty.state == "has")
    )


def _actions(now: datetime) -> Select[Any]:
    return select(_card.id, _card.community_id, _card.owner_id, _card.due_on).where(
        _card.remind_at <= now, _card.owner_id.is_not(None), _card.due_on.is_not(None)
    )
