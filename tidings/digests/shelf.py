"""The fragments of editions in the database: each is stored once, however many are told it; the only writer of them."""

import hashlib
from collections.abc import Sequence

import msgspec
from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from tidings.database import tables
from tidings.digests.fragments import BLOCKS, Fragment

_fragment = tables.fragment.c
_KNOWN = select(_fragment.hash, _fragment.id).where(_fragment.hash.in_(bindparam("hashes", expanding=True)))
_ADD = {
    "sqlite": sqlite.insert(tables.fragment).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(tables.fragment).on_conflict_do_nothing(),
}


def put(connection: Connection, fragments: Sequence[Fragment]) -> list[int]:
    """The ids of fragments, in their order; those that nobody was told before are stored."""
    data = [msgspec.json.encode(fragment).decode() for fragment in fragments]
    hashes = [hashlib.sha256(one.encode()).digest() for one in data]
    known = _known(connection, hashes)
    missing = [{"hash": key, "data": one} for key, one in zip(hashes, data, strict=True) if key not in known]
    if missing:
        # Where another process stores one of them at this moment, its row is ours too.
        connection.execute(_ADD[connection.dialect.name], missing)
        known = _known(connection, hashes)
    return [known[key] for key in hashes]


def _known(connection: Connection, hashes: Sequence[bytes]) -> dict[bytes, int]:
    return {bytes(key): fragment_id for key, fragment_id in connection.execute(_KNOWN, {"hashes": hashes})}


def read(block: str, data: str) -> Fragment:
    """The fragment of an item of that block, from its row."""
    return msgspec.json.decode(data, type=BLOCKS[block])
