"""Who comes to a meeting: what members and guests said last, by mail or by calendar; the only writer of its table."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, delete, false, func, insert, or_, select

from tidings.archive.sentences import clean
from tidings.communities.directory import Member, email_key
from tidings.database import tables

Answer = Literal["yes", "no", "maybe", "delegated"]

GUESTS = 50
"""Guests whom nobody asked of one meeting; what others say is not kept."""

_LENGTH = 200  # characters of a comment and of a name
_KEY_LENGTH = 320
_attendance, _sitting = tables.attendance.c, tables.sitting.c


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
    sequence: int | None = None,
    said_at: datetime | None = None,
) -> bool:
    """Note an answer; False where a newer one is known, or no room.

    Of two to the same session that to the later invitation is newer (RFC 5546 2.1.5), else that of the later time. A
    member has one answer, by whichever address it comes, also where they gave the last one before they were a member.
    `sequence` is that of the invitation that was answered; None: what stands now. No answer is to a later one than
    there is, nor of a later time than now, whatever it says.
    """
    asked = _sequence(connection, meeting_id, sitting_id)
    asked = asked if sequence is None else min(sequence, asked)
    said = min(said_at or now, now)
    keys = {email_key(one)[:_KEY_LENGTH] for one in (email, member.email if member else email)}
    by_person = _attendance.person_id == member.person_id if member else false()
    mine = or_(by_person, _attendance.email_key.in_(keys))
    query = select(_attendance.id, _attendance.sitting_id, _attendance.sequence, _attendance.said_at)
    rows = connection.execute(query.where(_attendance.meeting_id == meeting_id, mine)).all()
    for row in rows:
        same = sitting_id is not None and row.sitting_id == sitting_id
        if (row.sequence if same else 0, row.said_at) > (asked if same else 0, said):
            return False
    if member is None and not rows and _guests(connection, meeting_id) >= GUESTS:
        return False
    values = {
        "meeting_id": meeting_id,
        "sitting_id": sitting_id,
        "person_id": member.person_id if member else None,
        "email_key": email_key(member.email if member else email)[:_KEY_LENGTH],
        "name": clean(member.name if member else name)[:_LENGTH],
        "answer": answer,
        "comment": clean(comment)[:_LENGTH],
        "for_key": email_key(for_email)[:_KEY_LENGTH] if for_email else None,
        "sequence": asked,
        "said_at": said,
    }
    connection.execute(delete(tables.attendance).where(_attendance.id.in_([row.id for row in rows])))
    connection.execute(insert(tables.attendance).values(values))
    return True


def _sequence(connection: Connection, meeting_id: int, sitting_id: int | None) -> int:
    query = select(func.max(_sitting.sequence)).where(_sitting.meeting_id == meeting_id)
    query = query if sitting_id is None else query.where(_sitting.id == sitting_id)
    return connection.execute(query).scalar() or 0


def _guests(connection: Connection, meeting_id: int) -> int:
    query = select(func.count()).where(_attendance.meeting_id == meeting_id, _attendance.person_id.is_(None))
    return connection.execute(query).scalar_one()


def counts(said: Iterable[Said]) -> Counter[str]:
    """How many said what."""
    return Counter(one.answer for one in said)
