"""Cards: what a community learned, each said by one of its posts; the only writer of their table.

It does not judge whether something was learned: people say so, by mail or at a meeting.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from sqlalchemy import Connection, bindparam, func, insert, select, update

from tidings.database import tables

Kind = Literal["answer", "decision", "used", "action", "note"]

_TEXT_LENGTH = 2_000
_card, _post = tables.card.c, tables.post.c
_ALL = select(tables.card)
# Built once: it is asked of each community in each transaction of editions.
_OPEN_ACTIONS = _ALL.where(
    _card.community_id == bindparam("community"), _card.kind == "action", _card.done_at.is_(None)
).order_by(_card.due_on.is_(None), _card.due_on, _card.id)


@dataclass(frozen=True, kw_only=True)
class Card:
    """An answer that held, a decision, a practice that was used, or an action; `about_id` is the post that it is about.

    Several of a kind that one post says are told apart by their `position`. Of what minutes say, `meeting_id` is that
    of the meeting and `topic_id` that of the topic it stands under. The owner, `due_on` and `done_at` are an action's.
    """

    id: int
    kind: Kind
    post_id: int
    about_id: int | None
    position: int
    person_id: int | None
    text: str
    meeting_id: int | None
    topic_id: int | None
    owner_id: int | None
    due_on: date | None
    done_at: datetime | None
    remind_at: datetime | None
    created_at: datetime


def add(
    connection: Connection,
    *,
    community_id: int,
    kind: Kind,
    post_id: int,
    about_id: int | None = None,
    person_id: int | None = None,
    text: str = "",
    position: int = 0,
    meeting_id: int | None = None,
    topic_id: int | None = None,
    owner_id: int | None = None,
    due_on: date | None = None,
    remind_at: datetime | None = None,
    now: datetime,
) -> bool:
    """Note what a post says; False where it was noted before. `text` may be empty where `about_id` says it all."""
    known = select(_card.id).where(_card.post_id == post_id, _card.kind == kind, _card.position == position)
    if connection.execute(known).first():
        return False
    values = {
        "community_id": community_id,
        "kind": kind,
        "post_id": post_id,
        "about_id": about_id,
        "person_id": person_id,
        "text": text[:_TEXT_LENGTH],
        "position": position,
        "meeting_id": meeting_id,
        "topic_id": topic_id,
        "owner_id": owner_id,
        "due_on": due_on.isoformat() if due_on else None,
        "remind_at": remind_at,
        "created_at": now,
    }
    connection.execute(insert(tables.card).values(values))
    return True


def said_between(connection: Connection, community_id: int, after: int, up_to: int) -> list[Card]:
    """The cards whose posts have archive numbers in (after, up_to], in the order of these."""
    rows = connection.execute(
        select(tables.card)
        .join_from(tables.card, tables.post, _post.id == _card.post_id)
        .where(_post.community_id == community_id, _post.number > after, _post.number <= up_to)
        .order_by(_post.number, _card.id)
    )
    return [_made(row) for row in rows.mappings()]


def answered(connection: Connection, thread_ids: Sequence[int]) -> frozenset[int]:
    """Which of some threads have an answer that held: one of their posts says so, or the minutes of a meeting do."""
    rows = connection.execute(
        select(_post.thread_id)
        .join_from(tables.card, tables.post, _post.id == func.coalesce(_card.about_id, _card.post_id))
        .where(_card.kind == "answer", _post.thread_id.in_(thread_ids))
        .where(_card.meeting_id.is_(None) | _card.about_id.is_not(None))
    )
    return frozenset(rows.scalars())


def of_meeting(connection: Connection, meeting_id: int) -> list[Card]:
    """What the minutes of a meeting say, in their order."""
    rows = connection.execute(_ALL.where(_card.meeting_id == meeting_id).order_by(_card.post_id, _card.id))
    return [_made(row) for row in rows.mappings()]


def by_id(connection: Connection, card_id: int) -> Card | None:
    """The card with that id; None where there is none."""
    row = connection.execute(_ALL.where(_card.id == card_id)).mappings().first()
    return None if row is None else _made(row)


def open_actions(connection: Connection, community_id: int) -> list[Card]:
    """The actions of a community that are not done, by the day on which they are due; those without one come last."""
    rows = connection.execute(_OPEN_ACTIONS, {"community": community_id})
    return [_made(row) for row in rows.mappings()]


def finish(connection: Connection, card_id: int, now: datetime) -> bool:
    """Note that an action is done; False where it was."""
    mine = update(tables.card).where(_card.id == card_id, _card.kind == "action", _card.done_at.is_(None))
    return bool(connection.execute(mine.values(done_at=now, remind_at=None)).rowcount)


def remind(connection: Connection, card_id: int, at: datetime | None) -> None:
    """Set when the owner of an action is reminded of it; None: not again."""
    connection.execute(update(tables.card).where(_card.id == card_id).values(remind_at=at))


def _made(row: object) -> Card:
    fields = dict(row)  # type: ignore[call-overload]
    del fields["community_id"]
    fields["due_on"] = date.fromisoformat(fields["due_on"]) if fields["due_on"] else None
    return Card(**fields)
