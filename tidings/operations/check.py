"""Verifies the store against the raw bytes, and makes all that is derived anew from them.

The raw bytes are the truth: a finding about them cannot be mended here, everything else can.
"""

import hashlib
import typing
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, bindparam, column, func, select, table

from tidings.archive import store
from tidings.communities.directory import Community, communities
from tidings.database.engine import Database
from tidings.database.tables import blob, post
from tidings.database.tables import community as community_table
from tidings.errors import UsageError
from tidings.intake.posting import arrival_of, as_item_reply
from tidings.mailer.parse import ParsedMessage
from tidings.mailer.worker import ParseWorker, Readable
from tidings.settings import Settings
from tidings.threading import decisions, nodes
from tidings.threading.place import Arrival, MemoryNodes, place

What = Literal["threads", "index", "all"]
_BATCH = 200
_INDEX = table("post_text", column("rowid"))
_INDEXED = select(_INDEX.c.rowid).where(_INDEX.c.rowid == post.c.id).exists()


def which(text: str) -> What:
    """The name of what is to be made anew. Raises UsageError."""
    for known in typing.get_args(What):
        if text == known:
            return known  # type: ignore[no-any-return]
    raise UsageError(f"There is no {text!r} to rebuild; say threads, index or all.")


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that is wrong with the store, and what to do about it."""

    community: str
    message_id: str
    problem: str


@dataclass(frozen=True, kw_only=True)
class _Row:
    """What a rebuild needs of a post besides its bytes."""

    id: int
    number: int
    message_id: str
    subject: str
    text: str
    answers: str | None
    date: datetime
    data: bytes
    hash: bytes


_ROWS = (
    select(
        post.c.id,
        post.c.number,
        post.c.message_id,
        post.c.subject,
        post.c.text,
        post.c.answers,
        post.c.date,
        blob.c.data,
        blob.c.hash,
    )
    .join(blob, blob.c.hash == post.c.blob_hash)
    .where(post.c.community_id == bindparam("community"), post.c.number > bindparam("after"))
    .order_by(post.c.number)
    .limit(_BATCH)
)


def check(database: Database) -> Iterator[Finding]:
    """Findings about every community: damaged bytes, posts outside their thread, posts that search cannot find."""
    with database.read() as connection:
        every = communities(connection)
    for community in every:
        yield from _damaged(database, community)
        yield from _misplaced(database, community)
        yield from _not_indexed(database, community)


def _damaged(database: Database, community: Community) -> Iterator[Finding]:
    for row in (row for batch in _batches(database, community.id) for row in batch):
        if _raw(row) is None:
            yield Finding(
                community=community.name,
                message_id=row.message_id,
                problem="Its raw bytes are not those that were stored; restore them from a backup.",
            )


def _raw(row: _Row) -> bytes | None:
    """The raw bytes of a post; None where they are damaged."""
    try:
        raw = zlib.decompress(row.data)
    except zlib.error:
        return None
    return raw if hashlib.sha256(raw).digest() == row.hash else None


def _misplaced(database: Database, community: Community) -> Iterator[Finding]:
    with database.read() as connection:
        placed = {
            node.post_id: node.thread_id
            for thread in nodes.all_threads(connection, community.id)
            for node in thread
            if node.seen
        }
        rows = connection.execute(
            select(post.c.id, post.c.message_id, post.c.thread_id).where(post.c.community_id == community.id)
        )
        for post_id, message_id, thread_id in rows:
            if placed.get(post_id) != thread_id:
                yield Finding(
                    community=community.name,
                    message_id=message_id,
                    problem="It does not stand in the thread that it names; `tidings rebuild threads` mends that.",
                )


def _not_indexed(database: Database, community: Community) -> Iterator[Finding]:
    found = select(post.c.message_id).where(post.c.community_id == community.id, ~_INDEXED)
    with database.read() as connection:
        for message_id in connection.execute(found.order_by(post.c.number)).scalars():
            yield Finding(
                community=community.name,
                message_id=message_id,
                problem="Search cannot find it; `tidings rebuild index` mends that.",
            )


def rebuild(database: Database, worker: ParseWorker, settings: Settings, what: What) -> Iterator[int]:
    """Make threads, index or both anew from the raw bytes; yields how many posts were read so far."""
    with database.read() as connection:
        every = communities(connection)
    done = 0
    for community in every:
        count = 0
        for count in _rebuild_one(database, worker, settings, community, what):
            yield done + count
        done += count


def _rebuild_one(
    database: Database, worker: ParseWorker, settings: Settings, community: Community, what: What
) -> Iterator[int]:
    """The work on one community; yields its archive number up to which posts were read."""
    memory = MemoryNodes()
    after, complete = 0, False
    while not complete:
        for batch in _batches(database, community.id, after):
            parsed = _parsed(batch, worker)
            if what in ("index", "all"):
                writes = store.Writes()
                with database.write() as connection:
                    for row, message in parsed:
                        if message is not None:
                            store.refresh(connection, row.id, _as_archived(row, message), writes)
                    writes.flush(connection)
            for row, message in parsed:
                # As it is archived: what it is like depends on the words that are shown.
                place(memory, _arrival(row, message and _as_archived(row, message), settings))
            after = batch[-1].number
            yield after
        complete = what == "index" or _replace_threads(database, community.id, memory, after)


def _parsed(batch: list[_Row], worker: ParseWorker) -> list[tuple[_Row, ParsedMessage | None]]:
    """Each post with its message; None where that cannot be read any more, and what is stored of it stays."""
    raws = [_raw(row) for row in batch]
    outcomes = iter(list(worker.parse_many([raw for raw in raws if raw is not None])))
    return [
        (row, outcome.message if raw is not None and isinstance(outcome := next(outcomes), Readable) else None)
        for row, raw in zip(batch, raws, strict=True)
    ]


def _replace_threads(database: Database, community_id: int, memory: MemoryNodes, up_to: int) -> bool:
    """Put the new threads in the place of the old; False, and nothing is done, where posts came meanwhile."""
    with database.write() as connection:
        if _newest(connection, community_id) > up_to:
            return False
        nodes.replace_all(connection, community_id, memory)
        decisions.lay_all(connection, community_id)
        found = [node for thread in nodes.all_threads(connection, community_id) for node in thread]
        store.set_threads(connection, [(node.post_id, node.thread_id) for node in found if node.post_id is not None])
        return True


def _newest(connection: Connection, community_id: int) -> int:
    """The newest archive number, the community being locked: no post gets a higher one before the commit."""
    locked = select(community_table.c.id).where(community_table.c.id == community_id)
    connection.execute(locked.with_for_update()).one()
    newest: int | None = connection.execute(
        select(func.max(post.c.number)).where(post.c.community_id == community_id)
    ).scalar()
    return newest or 0


def _arrival(row: _Row, message: ParsedMessage | None, settings: Settings) -> Arrival:
    if message is None:  # it could be read when it was stored; now it stands alone, and is not lost
        return Arrival(message_id=row.message_id, post_id=row.id, date=row.date, candidates=())
    return arrival_of(message, settings, message_id=row.message_id, post_id=row.id, date=row.date, answers=row.answers)


def _as_archived(row: _Row, message: ParsedMessage) -> ParsedMessage:
    if row.answers is None:
        return message
    # Which of its words were the member's own was decided when it came; the subject is its thread's.
    return as_item_reply(message, row.text, row.subject)


def _batches(database: Database, community_id: int, after: int = 0) -> Iterator[list[_Row]]:
    while True:
        with database.read() as connection:
            rows = connection.execute(_ROWS, {"community": community_id, "after": after})
            batch = [_Row(**row._mapping) for row in rows]
        if not batch:
            return
        yield batch
        after = batch[-1].number
