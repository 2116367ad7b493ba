"""What was decided about each message that came in, for `tidings why` and so that none is taken in twice.

The only writer of the table `decision`. It decides nothing itself.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from sqlalchemy import Connection, bindparam, delete, insert, select

from tidings.database.tables import decision as decision_table

_BEFORE = select(decision_table.c.spool_key, decision_table.c.verdict, decision_table.c.reason).where(
    decision_table.c.spool_key.in_(bindparam("keys", expanding=True))
)
_ADD = insert(decision_table)
_FORGET = delete(decision_table).where(decision_table.c.spool_key == bindparam("key"))
_SEEN = (
    select(decision_table.c.id)
    .where(decision_table.c.message_id == bindparam("wanted"), decision_table.c.spool_key != bindparam("besides"))
    .limit(1)
)


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What was decided about one message to one recipient; those who look at a hold are shown `author`."""

    verdict: str  # accept, duplicate, hold, reject, discard
    reason: str
    community_id: int | None = None
    community: str | None = None
    message_id: str | None = None
    subject: str | None = None
    author: str | None = None
    post_id: int | None = None
    at_once: bool = False  # of a hold: moderators are told now, and not only when they are told of all that waits


class Arrived(Protocol):
    """What of a message came with its envelope."""

    @property
    def key(self) -> str:
        """Its key in the spool."""
        ...

    @property
    def recipient(self) -> str:
        """Whom it is for."""
        ...

    @property
    def mail_from(self) -> str:
        """Its return path."""
        ...

    @property
    def received_at(self) -> datetime:
        """When it came."""
        ...


def before(connection: Connection, keys: Sequence[str]) -> dict[str, Decision]:
    """What was decided already of the messages with these keys."""
    rows = connection.execute(_BEFORE, {"keys": list(keys)})
    return {key: Decision(verdict=verdict, reason=reason) for key, verdict, reason in rows}


def row(arrived: Arrived, decided: Decision, now: datetime) -> dict[str, Any]:
    """A decision as `add` takes it."""
    return {
        "spool_key": arrived.key,
        "community_id": decided.community_id,
        "recipient": arrived.recipient,
        "mail_from": arrived.mail_from,
        "message_id": decided.message_id,
        "verdict": decided.verdict,
        "reason": decided.reason,
        "post_id": decided.post_id,
        "received_at": arrived.received_at,
        "decided_at": now,
    }


def add(connection: Connection, rows: Sequence[dict[str, Any]]) -> None:
    """Write decisions, all at once."""
    if rows:
        connection.execute(_ADD, rows)


def forget(connection: Connection, key: str) -> None:
    """Take back what was decided about a message, since it is decided anew."""
    connection.execute(_FORGET, {"key": key})


def seen_before(connection: Connection, message_id: str, key: str) -> bool:
    """Whether another message with this id came in: a signed command that is sent again is no new command."""
    return connection.execute(_SEEN, {"wanted": message_id, "besides": key}).first() is not None
