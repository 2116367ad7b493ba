"""The fragments of editions in the database: each is stored once, however many are told it; the only writer of them."""

import hashlib
from collections.abc import Sequence
from functools import lru_cache

import msgspec
from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from tidings.database import tables
from tidings.digests.fragments import BLOCKS, Cover, Fragment, Heading

KEPT = 4_096
"""Fragments that are kept as they were stored, read or printed, for their next reader."""

_fragment = tables.fragment.c
_KNOWN = select(_fragment.hash, _fragment.id).where(_fragment.hash.in_(bindparam("hashes", expanding=True)))
_ADD = {
    "sqlite": sqlite.insert(tables.fragment).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(tables.fragment).on_conflict_do_nothing(),
}


def put(connection: Connection, fragments: Sequence[Fragment]) -> list[int]:
    """The ids of fragments, in their order; those that nobody was told before are stored."""
    rows = [_row(fragment) for fragment in fragments]
    by_hash = dict(rows)
    known = _known(connection, list(by_hash))
    missing = [{"hash": key, "data": data} for key, data in by_hash.items() if key not in known]
    if missing:
        # Where another process stores one of them at this moment, its row is ours too.
        connection.execute(_ADD[connection.dialect.name], missing)
        known |= _known(connection, [key for key in by_hash if key not in known])
    return [known[key] for key, _ in rows]


@lru_cache(maxsize=KEPT)
def _row(fragment: Fragment) -> tuple[bytes, str]:
    data = msgspec.json.encode(fragment)
    return hashlib.sha256(data).digest(), data.decode()


def _known(connection: Connection, hashes: Sequence[bytes]) -> dict[bytes, int]:
    return {bytes(key): fragment_id for key, fragment_id in connection.execute(_KNOWN, {"hashes": hashes})}


class _Cover(msgspec.Struct):
    """A cover as it is stored, the headings of its sections not read yet."""

    reader: str
    preheader: str
    headings: msgspec.Raw


def read(block: str, data: str) -> Fragment:
    """The fragment of an item of that block, from its row; the same object while it is told to one after another."""
    if block != "edition":
        return _read_once(block, data)
    cover = msgspec.json.decode(data, type=_Cover)  # each reader's own, but for its headings
    return Cover(reader=cover.reader, preheader=cover.preheader, headings=_headings(bytes(cover.headings)))


@lru_cache(maxsize=KEPT)
def _read_once(block: str, data: str) -> Fragment:
    return msgspec.json.decode(data, type=BLOCKS[block])


@lru_cache(maxsize=512)
def _headings(data: bytes) -> tuple[Heading, ...]:
    return msgspec.json.decode(data, type=tuple[Heading, ...])
