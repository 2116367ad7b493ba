"""Which threads a member wants to hear more or nothing of: the writer of `thread_choice`.

A thread is named by the message id of a post in it, since threads merge and are rebuilt. What a choice means for
copies and digests is not its matter.
"""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, Insert, bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from tidings.database.tables import thread_choice

Choice = Literal["mute", "follow"]

_choice = thread_choice.c
_CHOSEN = (
    select(_choice.message_id, _choice.choice, _choice.created_at)
    .where(_choice.membership_id == bindparam("membership"))
    .order_by(_choice.created_at, _choice.message_id)
)
_FORGET = delete(thread_choice).where(
    _choice.membership_id == bindparam("membership"),
    _choice.message_id.in_(bindparam("message_ids", expanding=True)),
)


@dataclass(frozen=True, kw_only=True)
class ThreadChoice:
    """What a member chose of the thread that has the post `message_id`."""

    message_id: str
    choice: Choice
    created_at: datetime


def choose(connection: Connection, membership_id: int, message_id: str, choice: Choice, now: datetime) -> None:
    """Choose of the thread with the post `message_id` (bare); what was chosen by that post before is replaced."""
    values = {"membership_id": membership_id, "message_id": message_id, "choice": choice, "created_at": now}
    connection.execute(_CHOOSE[connection.dialect.name], values)


def forget(connection: Connection, membership_id: int, message_ids: Collection[str]) -> None:
    """Take back what was chosen by any of these posts."""
    connection.execute(_FORGET, {"membership": membership_id, "message_ids": list(message_ids)})


def chosen(connection: Connection, membership_id: int) -> list[ThreadChoice]:
    """What the member chose, oldest first."""
    rows = connection.execute(_CHOSEN, {"membership": membership_id})
    return [ThreadChoice(message_id=bare, choice=choice, created_at=at) for bare, choice, at in rows]


def _upsert(dialect: str) -> Insert:
    inserted = (postgresql if dialect == "postgresql" else sqlite).insert(thread_choice)
    newer = {"choice": inserted.excluded.choice, "created_at": inserted.excluded.created_at}
    upsert: Insert = inserted.on_conflict_do_update(index_elements=["membership_id", "message_id"], set_=newer)
    return upsert


_CHOOSE = {dialect: _upsert(dialect) for dialect in ("sqlite", "postgresql")}
