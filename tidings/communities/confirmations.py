"""What was asked for by mail and waits for a yes from the address that it was sent to: the writer of `confirmation`.

A token is random, kept hashed, good for one purpose, one use and 72 hours. It sends nothing and does nothing of what
was asked for.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, bindparam, delete, insert, select, update

from tidings.database import tables
from tidings.tokens import hashed, random_token

Purpose = Literal["join", "leave", "commands", "address", "moderate", "return", "agenda"]

LIFE = timedelta(hours=72)
_REMEMBERED = timedelta(days=30)  # so that a late or second yes is told what became of the first

_confirmation = tables.confirmation.c
_BY_HASH = select(tables.confirmation).where(_confirmation.token_hash == bindparam("token"))


@dataclass(frozen=True, kw_only=True)
class Confirmation:
    """What a token stands for. `email` is the address it was sent to, `request` what is done on a yes."""

    purpose: Purpose
    community_id: int | None
    email: str
    request: Mapping[str, Any]
    created_at: datetime
    used_at: datetime | None

    def good(self, now: datetime) -> bool:
        """Whether the token may still be used."""
        return self.used_at is None and now - self.created_at <= LIFE


def ask(
    connection: Connection,
    *,
    purpose: Purpose,
    email: str,
    now: datetime,
    community_id: int | None = None,
    request: Mapping[str, Any] | None = None,
) -> str:
    """The token of a new confirmation, to be sent to `email` and nowhere else; `request` is kept as JSON."""
    connection.execute(delete(tables.confirmation).where(_confirmation.created_at <= now - _REMEMBERED))
    token = random_token()
    row = {
        "token_hash": hashed(token),
        "purpose": purpose,
        "community_id": community_id,
        "email": email,
        "request": json.dumps(request or {}),
        "created_at": now,
    }
    connection.execute(insert(tables.confirmation).values(row))
    return token


def find(connection: Connection, token: str) -> Confirmation | None:
    """What the token stands for, used and expired ones too; None where it is none of ours or long gone."""
    if not token.isascii():
        return None
    row = connection.execute(_BY_HASH, {"token": hashed(token)}).mappings().first()
    if row is None:
        return None
    kept = {name: row[name] for name in ("purpose", "community_id", "email", "created_at", "used_at")}
    return Confirmation(request=json.loads(row["request"]), **kept)


def known(connection: Connection, token: str) -> bool:
    """Whether the token is one of ours, be it used or expired: what the door asks."""
    return find(connection, token) is not None


def use(connection: Connection, token: str, now: datetime) -> bool:
    """Use the token up; False where that was done before, it expired, or it is none of ours: then nothing is done."""
    used = (
        update(tables.confirmation)
        .where(
            _confirmation.token_hash == hashed(token),
            _confirmation.used_at.is_(None),
            _confirmation.created_at >= now - LIFE,
        )
        .values(used_at=now)
        .returning(_confirmation.purpose)
    )
    return connection.execute(used).first() is not None
