"""Stores a period with a section that waits for each of its members; what it tells and when it is due is for others."""

from collections.abc import Iterable
from datetime import datetime

from sqlalchemy import Connection, func, insert, select

from tidings.communities.directory import Member
from tidings.database import tables
from tidings.database.many import Many
from tidings.database.tables import microseconds

_community, _period = tables.community.c, tables.period.c
_ADD = Many(
    insert(tables.edition_section), "person_id", "community_id", "period_id", "membership_id", "state", "due_at"
)


def add_period(
    connection: Connection,
    community_id: int,
    rhythm: str,
    cut_off: datetime,
    due: Iterable[tuple[Member, datetime]],
    *,
    up_to: int | None = None,
    meeting_id: int | None = None,
) -> int:
    """A new period of a rhythm, and a waiting section for each member, due at the moment beside them; the period's id.

    Without `up_to` it ends at the newest archive number.
    """
    # The row is locked, so that two processes do not take one number.
    locked = select(_community.last_number).where(_community.id == community_id).with_for_update()
    newest = connection.execute(locked).scalar_one()
    number = select(func.coalesce(func.max(_period.number), 0) + 1).where(
        _period.community_id == community_id, _period.rhythm == rhythm
    )
    values = {
        "community_id": community_id,
        "rhythm": rhythm,
        "up_to": newest if up_to is None else up_to,
        "cut_off_at": cut_off,
        "meeting_id": meeting_id,
    }
    row = insert(tables.period).values(number=number.scalar_subquery(), **values).returning(_period.id)
    period_id: int = connection.execute(row).scalar_one()
    add_sections(connection, community_id, period_id, due)
    return period_id


def add_sections(
    connection: Connection, community_id: int, period_id: int, due: Iterable[tuple[Member, datetime]]
) -> None:
    """Let a section of a period wait for each of these members, until the moment beside them."""
    rows = [
        (member.person_id, community_id, period_id, member.membership_id, "waiting", microseconds(moment))
        for member, moment in due
    ]
    if rows:
        _ADD.execute(connection, rows)
