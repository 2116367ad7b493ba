"""Who comes to a meeting: what members and guests said last, by mail or by calendar; the only writer of its table."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, insert, select, update

from tidings.communities.directory import Member, email_key
from tidings.database import tables

Answer = Literal["yes", "no", "maybe", "delegated"]

GUESTS = 50
"""Guests whom nobody asked of one meeting; what others say is not kept."""

_LENGTH = 200  # characters of a comment and of a name
_attendance = tables.attendance.c


@dataclass(frozen=True, kw_only=True)
class Said:
    """What somebody said; `person_id` is None for a guest, `for_key` the address of who sent them."""

    meeting_id: int
    sitting_id: int | None
    person_id: int | None
    email_key: str
    name: str
    answer: Answer
    comment: str
    for_key: str | None
    sequence: int
    said_at: datetime


def of_meeting(connection: Connection, meeting_id: int) -> list[Said]:
    """What everybody said of a meeting, in the order in which they did."""
    query = select(tables.attendance).where(_attendance.meeting_id == meeting_id)
    rows = connection.execute(query.order_by(_attendance.said_at, _attendance.id)).mappings()
    return [Said(**{key: value for key, value in row.items() if key != "id"}) for row in rows]


def say(
    connection: Connection,
    *,
    meeting_id: int,
    answer: Answer,
    email: str,
    now: datetime,
    member: Member | None = None,
    sitting_id: int | None = None,
    name: str = "",
    comment: str = "",
    for_email: str = "",
    sequence: int = 0,
    said_at: datetime | None = None,
) -> bool:
    """Note an answer; False where a newer one is known (RFC 5546 2.1.5: first by sequence, then by time), or no room.

    A member has one answer, by whichever address it comes.
    """
    said = said_at or now
    mine = _attendance.person_id == member.person_id if member else _attendance.email_key == email_key(email)
    query = select(_attendance.id, _attendance.sequence, _attendance.said_at)
    known = connection.execute(query.where(_attendance.meeting_id == meeting_id, mine)).first()
    values = {
        "meeting_id": meeting_id,
        "sitting_id": sitting_id,
        "person_id": member.person_id if member else None,
        "email_key": email_key(member.email if member else email),
        "name": (member.name if member else name)[:_LENGTH],
        "answer": answer,
        "comment": comment[:_LENGTH],
        "for_key": email_key(for_email) if for_email else None,
        "sequence": sequence,
        "said_at": said,
    }
    if known is None:
        if member is None and len(_guests(connection, meeting_id)) >= GUESTS:
            return False
        connection.execute(insert(tables.attendance).values(values))
        return True
    if (known.sequence, known.said_at) > (sequence, said):
        return False
    connection.execute(update(tables.attendance).where(_attendance.id == known.id).values(values))
    return True


def _guests(connection: Connection, meeting_id: int) -> list[int]:
    query = select(_attendance.id).where(_attendance.meeting_id == meeting_id, _attendance.person_id.is_(None))
    return list(connection.execute(query).scalars())


def counts(said: Iterable[Said]) -> Counter[str]:
    """How many said what."""
    return Counter(one.answer for one in said)
