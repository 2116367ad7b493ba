"""Quiet hours of members who get each post: from when to when, and what becomes of what they held once they are over.

The hours are columns of the membership, so that copies are queued for all members by one statement (mailer.outbox);
of others' rows it moves those alone. Several posts that were held become a section of a period of their own, which goes
out like any digest: in one mail with whatever else is due then.
"""

from collections.abc import Collection, Mapping
from datetime import datetime

from sqlalchemy import Connection, bindparam, or_, update
from sqlalchemy import select as query

from tidings.communities import directory
from tidings.communities.directory import Member
from tidings.communities.rosters import Rosters
from tidings.database import tables
from tidings.digests import rhythms, schedule, sections
from tidings.digests.schedule import QuietHours
from tidings.mailer import held

BATCH = 200
"""Memberships of one transaction."""

_membership = tables.membership.c
_SET_HOURS = (
    update(tables.membership)
    .where(_membership.id == bindparam("membership"))
    .values(quiet_from=bindparam("begin"), quiet_until=bindparam("end"), asleep_until=bindparam("risen"))
)


def end(connection: Connection, now: datetime) -> int:
    """Let go what quiet hours held that are over by now, and set the next ones, of at most BATCH memberships.

    Returns of how many; another process may be at others.
    """
    over = (
        query(_membership.id)
        .where(_membership.quiet_until <= now)
        .order_by(_membership.quiet_until)
        .limit(BATCH)
        .with_for_update(skip_locked=True)
    )
    ids = list(connection.execute(over).scalars())
    if ids:
        _let_go(connection, ids, now)
        _set_hours(connection, ids, now)
    return len(ids)


def replan(connection: Connection, now: datetime, person_id: int | None = None) -> None:
    """Set the hours of one person, or of all who have any, anew; what is held where it is not quiet now is let go."""
    wanted = or_(_membership.quiet != "none", _membership.quiet_until.is_not(None))
    mine = [] if person_id is None else [_membership.person_id == person_id]
    ids = list(connection.execute(query(_membership.id).where(wanted, *mine)).scalars())
    hours = _set_hours(connection, ids, now)
    loud = [one for one in ids if not _is_quiet(hours.get(one), now)]
    if loud:
        _let_go(connection, loud, now)


def _is_quiet(hours: QuietHours | None, now: datetime) -> bool:
    return hours is not None and hours.begin <= now < hours.end


def _set_hours(connection: Connection, ids: Collection[int], now: datetime) -> Mapping[int, QuietHours | None]:
    """The quiet hours of these memberships, which are written down; those that were left have none."""
    members, rosters = directory.members_by_id(connection, ids), Rosters(connection)
    hours = {one: _hours(members.get(one), rosters, now) for one in ids}
    rows = [
        {
            "membership": one,
            "begin": found and found.begin,
            "end": found and found.end,
            "risen": found and found.risen,
        }
        for one, found in hours.items()
    ]
    if rows:
        connection.execute(_SET_HOURS, rows)
    return hours


def _hours(member: Member | None, rosters: Rosters, now: datetime) -> QuietHours | None:
    if member is None or member.delivery != "each":
        return None
    return schedule.quiet_hours(rosters.of(member.person_id, member.crew_id), member.quiet, now)


def _let_go(connection: Connection, ids: Collection[int], now: datetime) -> None:
    """A post that was held alone goes out as it is; several are told together, by sections that are due at once."""
    counts = held.counts(connection, ids)
    held.let_go(connection, [one for one, many in counts.items() if many == 1], now)
    members = directory.members_by_id(connection, [one for one, many in counts.items() if many > 1])
    by_community: dict[int, list[Member]] = {}
    for member in members.values():
        by_community.setdefault(member.community_id, []).append(member)
    for community_id, found in by_community.items():
        sections.add_period(connection, community_id, rhythms.HELD, now, [(member, now) for member in found])
    held.let_go(connection, [one for one in counts if counts[one] > 1 and one not in members], now)  # who left
