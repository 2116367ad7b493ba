"""Cards: what a community learned, each said by one of its posts; the only writer of their table.

It does not judge whether something was learned: people say so, by mail or at a meeting.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, insert, select

from tidings.database import tables

Kind = Literal["answer", "decision", "used"]

_TEXT_LENGTH = 2_000
_card, _post = tables.card.c, tables.post.c


@dataclass(frozen=True, kw_only=True)
class Card:
    """An answer that held, a decision, or a practice that was used; `about_id` is the post that it is about."""

    id: int
    kind: Kind
    post_id: int
    about_id: int | None
    person_id: int | None
    text: str
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
    now: datetime,
) -> bool:
    """Note what a post says; False where it was noted before. `text` may be empty where `about_id` says it all."""
    known = select(_card.id).where(_card.post_id == post_id, _card.kind == kind)
    if connection.execute(known).first():
        return False
    values = {
        "community_id": community_id,
        "kind": kind,
        "post_id": post_id,
        "about_id": about_id,
        "person_id": person_id,
        "text": text[:_TEXT_LENGTH],
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
    """Which of some threads have an answer that held."""
    rows = connection.execute(
        select(_post.thread_id)
        .join_from(tables.card, tables.post, _post.id == _card.post_id)
        .where(_card.kind == "answer", _post.thread_id.in_(thread_ids))
    )
    return frozenset(rows.scalars())


def _made(row: object) -> Card:
    fields = dict(row)  # type: ignore[call-overload]
    del fields["community_id"]
    return Card(**fields)
