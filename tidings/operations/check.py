"""Verifies the store against the raw bytes, and makes all that is derived anew from them.

The raw bytes are the truth: a finding about them cannot be mended here, everything else can.
"""

import hashlib
import typing
import zlib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, TypeVar

import msgspec
from sqlalchemy import Connection, bindparam, column, func, select, table

from tidings.archive import store
from tidings.archive.text_index import folds
from tidings.communities.directory import Community, communities
from tidings.database.engine import Database
from tidings.database.tables import blob, post
from tidings.database.tables import community as community_table
from tidings.database.tables import node as node_table
from tidings.errors import MessageTooComplexError, UsageError
from tidings.intake.posting import Related, arrival_of, as_item_reply
from tidings.mailer.parse import ParsedMessage, Relations, relations
from tidings.mailer.worker import ParseWorker, Readable
from tidings.settings import Settings
from tidings.threading import decisions, nodes
from tidings.threading.mending import Change, changes
from tidings.threading.place import Arrival, MemoryNodes, place

What = Literal["threads", "index", "all"]
_T = TypeVar("_T")
_BATCH = 200  # posts in memory at once
_WRITTEN = 50  # rows of posts, or of nodes, a transaction: others wait for the writer no longer than a blink
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
    author_email: str
    recipients: str
    text: str
    folds: str
    answers: str | None
    date: datetime
    received_at: datetime
    data: bytes
    hash: bytes


@dataclass(frozen=True, kw_only=True)
class _Stored:
    """A post as it is stored, with what its header says of others: all that its place depends on."""

    subject: str
    author_email: str
    recipients: str
    text: str
    folds: Sequence[tuple[int, int, str]]
    in_reply_to: str
    references: str
    thread_index: str
    list_ids: list[str]


_ROWS = (
    select(
        post.c.id,
        post.c.number,
        post.c.message_id,
        post.c.subject,
        post.c.author_email,
        post.c.recipients,
        post.c.text,
        post.c.folds,
        post.c.answers,
        post.c.date,
        post.c.received_at,
        blob.c.data,
        blob.c.hash,
    )
    .join(blob, blob.c.hash == post.c.blob_hash)
    .where(post.c.community_id == bindparam("community"), post.c.number > bindparam("after"))
    .order_by(post.c.number)
    .limit(_BATCH)
)
_LOCK = select(community_table.c.id).where(community_table.c.id == bindparam("community")).with_for_update()
_OF_POST = (node_table.c.community_id == post.c.community_id) & (node_table.c.message_id == post.c.message_id)
_THREADS = (
    select(post.c.id, node_table.c.thread_id)
    .join(node_table, _OF_POST)
    .where(post.c.id.in_(bindparam("posts", expanding=True)))
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
    """Make threads, index or both anew from the raw bytes; yields how many posts were read so far.

    For threads alone no more than the header of each is parsed: what its text is like, what is stored of it tells.
    Mail may come in meanwhile: no transaction is longer than a blink.
    """
    with database.read() as connection:
        every = communities(connection)
    done = 0
    for community in every:
        count = 0
        for count in _Rebuild(database, worker, settings, community).run(what):
            yield done + count
        done += count


class _Rebuild:
    """The work on one community."""

    def __init__(self, database: Database, worker: ParseWorker, settings: Settings, community: Community) -> None:
        self._database = database
        self._worker = worker
        self._settings = settings
        self._community_id, self._language = community.id, community.language
        self._memory = MemoryNodes()
        self._up_to = 0  # the archive number up to which posts were read

    def run(self, what: What) -> Iterator[int]:
        """Yields the archive number up to which posts were read, batch by batch."""
        yield from self._read(what)
        changed: list[Change] | None = None
        while what != "index":
            # Nodes and the newest number of one moment; what came until then is placed in memory too. Where nothing
            # differs after that, all is as it would be had every post come anew, and what comes later is placed on it.
            with self._database.read() as connection:
                newest = _newest(connection, self._community_id)
                stored = nodes.stored(connection, self._community_id)
            yield from self._read(what, newest)
            before, changed = changed, list(changes(self._memory, stored))
            if changed and changed == before:
                raise AssertionError("unreachable: what was written of the threads did not stay")
            for some in _few(changed):
                with self._writing() as connection:
                    nodes.mend(connection, self._community_id, some)
            if not changed:
                break
        if what != "index":
            self._lay_decisions()
            self._set_threads()

    def _read(self, what: What, up_to: int | None = None) -> Iterator[int]:
        """Make what was not yet read anew where that is asked, and place it in memory."""
        for batch in _batches(self._database, self._community_id, self._up_to, up_to):
            for row, message in self._stored(batch) if what == "threads" else self._refreshed(batch):
                place(self._memory, _arrival(row, message, self._settings))
            self._up_to = batch[-1].number
            yield self._up_to

    def _stored(self, batch: list[_Row]) -> Iterator[tuple[_Row, Related | None]]:
        """Each post as it is stored, which what it is like depends on; None where its bytes cannot be read any more."""
        for row in batch:
            raw = _raw(row)
            try:
                said = None if raw is None else relations(raw, self._settings.limits)
            except MessageTooComplexError:
                said = None
            yield row, None if said is None else _as_stored(row, said)

    def _refreshed(self, batch: list[_Row]) -> Iterator[tuple[_Row, Related | None]]:
        """Each post as it is archived, parsed and made anew."""
        parsed = _parsed(batch, self._worker)
        for some in _few(parsed):
            with self._writing() as connection:
                _refresh(connection, some, self._language)
        for row, message in parsed:
            yield row, message and _as_archived(row, message)

    def _lay_decisions(self) -> None:
        """Let what people decided count again, where they decided anything."""
        with self._database.read() as connection:
            decided = decisions.listing(connection, self._community_id)
        if decided:
            with self._writing() as connection:
                decisions.lay_all(connection, self._community_id)

    def _set_threads(self) -> None:
        """Let every post name the thread in which its node stands, where it does not."""
        wrong = (
            select(post.c.id)
            .join(node_table, _OF_POST)
            .where(post.c.community_id == self._community_id, node_table.c.thread_id != post.c.thread_id)
        )
        with self._database.read() as connection:
            posts = connection.execute(wrong).scalars().all()
        for some in _few(list(posts)):
            with self._writing() as connection:
                # Read again, since mail that came this moment may have joined two threads.
                found = connection.execute(_THREADS, {"posts": some})
                store.set_threads(connection, [(post_id, thread_id) for post_id, thread_id in found])

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """One short transaction, in which no post of the community gets its number."""
        with self._database.write() as connection:
            connection.execute(_LOCK, {"community": self._community_id})
            yield connection


def _few(items: list[_T]) -> Iterator[list[_T]]:
    """What is written in one transaction after another."""
    yield from (items[start : start + _WRITTEN] for start in range(0, len(items), _WRITTEN))


def _refresh(connection: Connection, parsed: Sequence[tuple[_Row, ParsedMessage | None]], language: str) -> None:
    writes = store.Writes()
    for row, message in parsed:
        if message is not None:
            store.refresh(connection, row.id, _as_archived(row, message), row.received_at, writes, language=language)
    writes.flush(connection)


def _parsed(batch: list[_Row], worker: ParseWorker) -> list[tuple[_Row, ParsedMessage | None]]:
    """Each post with its message; None where that cannot be read any more, and what is stored of it stays."""
    raws = [_raw(row) for row in batch]
    outcomes = iter(list(worker.parse_many([raw for raw in raws if raw is not None])))
    return [
        (row, outcome.message if raw is not None and isinstance(outcome := next(outcomes), Readable) else None)
        for row, raw in zip(batch, raws, strict=True)
    ]


def _newest(connection: Connection, community_id: int) -> int:
    newest: int | None = connection.execute(
        select(func.max(post.c.number)).where(post.c.community_id == community_id)
    ).scalar()
    return newest or 0


def _arrival(row: _Row, message: Related | None, settings: Settings) -> Arrival:
    if message is None:  # it could be read when it was stored; now it stands alone, and is not lost
        return Arrival(message_id=row.message_id, post_id=row.id, date=row.date, candidates=())
    date = store.believed_date(message, row.received_at) if isinstance(message, ParsedMessage) else row.date
    return arrival_of(message, settings, message_id=row.message_id, post_id=row.id, date=date, answers=row.answers)


def _as_stored(row: _Row, said: Relations) -> _Stored:
    return _Stored(
        subject=row.subject,
        author_email=row.author_email,
        recipients=row.recipients,
        text=row.text,
        folds=folds(row.folds),
        **msgspec.structs.asdict(said),
    )


def _as_archived(row: _Row, message: ParsedMessage) -> ParsedMessage:
    if row.answers is None:
        return message
    # Which of its words were the member's own was decided when it came; the subject is its thread's.
    return as_item_reply(message, row.text, row.subject)


def _batches(database: Database, community_id: int, after: int = 0, up_to: int | None = None) -> Iterator[list[_Row]]:
    while up_to is None or after < up_to:
        with database.read() as connection:
            rows = connection.execute(_ROWS, {"community": community_id, "after": after})
            batch = [_Row(**row._mapping) for row in rows]
        if not batch:
            return
        yield batch
        after = batch[-1].number
