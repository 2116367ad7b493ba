"""Replies to a digest that wait for a word of their sender, for two weeks: the writer of `kept_reply`.

It asks nobody and posts nothing. A reply is kept whole, its raw bytes too, since a post is made of them.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, bindparam, delete, select
from sqlalchemy.dialects import postgresql, sqlite

from tidings.database.engine import Database
from tidings.database.tables import kept_reply
from tidings.mailer.parsed import ParsedMessage

LIFE = timedelta(days=14)
_MOST = 20
"""How many replies to one digest are kept."""

_kept = kept_reply.c
_INSERT = {
    "sqlite": sqlite.insert(kept_reply).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(kept_reply).on_conflict_do_nothing(),
}
_OF_EDITION = (
    select(kept_reply)
    .where(_kept.edition_id == bindparam("edition"), _kept.expires_at > bindparam("now"))
    .order_by(_kept.id)
)


@dataclass(frozen=True, kw_only=True)
class Kept:
    """A reply that waits: which item it answers is not known where `item_id` is None, else all of it looked quoted.

    The text of `message` is what would be posted.
    """

    id: int
    item_id: int | None
    message: ParsedMessage
    raw: bytes
    via: str
    received_at: datetime


def keep(
    connection: Connection,
    *,
    edition_id: int,
    membership_id: int,
    item_id: int | None,
    message: ParsedMessage,
    raw: bytes,
    via: str,
    received_at: datetime,
    now: datetime,
) -> bool:
    """Keep a reply for two weeks, the same one once; False where too many to that digest are kept already."""
    if len(waiting(connection, edition_id, now)) >= _MOST:
        return False
    row = {
        "edition_id": edition_id,
        "membership_id": membership_id,
        "item_id": item_id,
        "content_hash": message.content_hash,
        "message": msgspec.json.encode(message).decode(),
        "raw": raw,
        "via": via,
        "received_at": received_at,
        "expires_at": now + LIFE,
    }
    connection.execute(_INSERT[connection.dialect.name], [row])
    return True


def waiting(connection: Connection, edition_id: int, now: datetime) -> list[Kept]:
    """The replies to an edition that wait, oldest first."""
    rows = connection.execute(_OF_EDITION, {"edition": edition_id, "now": now}).mappings()
    return [
        Kept(
            id=row["id"],
            item_id=row["item_id"],
            message=msgspec.json.decode(row["message"], type=ParsedMessage),
            raw=bytes(row["raw"]),
            via=row["via"],
            received_at=row["received_at"],
        )
        for row in rows
    ]


def forget(connection: Connection, kept_id: int) -> None:
    """Forget one: it was posted."""
    connection.execute(delete(kept_reply).where(_kept.id == kept_id))


def forget_due(database: Database, now: datetime) -> int:
    """Forget all whose two weeks are over; as a chore it writes no mail."""
    old = select(_kept.id).where(_kept.expires_at <= now).limit(1)
    with database.read() as connection:
        if connection.execute(old).first() is None:
            return 0
    with database.write() as connection:
        connection.execute(delete(kept_reply).where(_kept.expires_at <= now))
    return 0
