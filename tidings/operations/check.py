"""Verifies the store against the raw bytes, and makes all that is derived anew from them.

The raw bytes are the truth: a finding about them cannot be mended here, everything else can.
"""

import typing
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeVar

from sqlalchemy import Connection, bindparam, column, select, table

from tidings.archive import store, text_index
from tidings.archive.index_check import is_sound
from tidings.communities.directory import Community, communities
from tidings.database import wal
from tidings.database.engine import Database
from tidings.database.tables import community as community_table
from tidings.database.tables import node as node_table
from tidings.database.tables import post
from tidings.errors import UsageError
from tidings.mailer.parsed import ParsedMessage
from tidings.mailer.worker import ParseWorker
from tidings.operations.arrivals import arrivals
from tidings.operations.rereading import Row, arrival, as_archived, batches, newest, raw_of, reread
from tidings.settings import Settings
from tidings.threading import decisions, nodes
from tidings.threading.mending import Change, changes
from tidings.threading.place import Arrival, MemoryNodes, place

What = Literal["threads", "index", "all"]
_T = TypeVar("_T")
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


def check_log(database: Database) -> Iterator[Finding]:
    """Whether all can be read that was committed and stands in the log of an SQLite file only.

    To be asked first: the log is emptied when the last process closes the file, and SQLite says nothing of it.
    """
    frame = wal.damage(database)
    if frame is not None and database.path is not None:
        where = f"from frame {frame} on" if frame else "at its beginning"
        yield Finding(
            community="",
            message_id="",
            problem=f"The log {database.path.name}-wal is damaged {where}: what was committed last is lost. "
            "Import what came lately from members' or other copies; nothing is stored twice.",
        )


def _damaged(database: Database, community: Community) -> Iterator[Finding]:
    for row in (row for batch in batches(database, community.id) for row in batch):
        if raw_of(row) is None:
            yield Finding(
                community=community.name,
                message_id=row.message_id,
                problem="Its raw bytes are not those that were stored; import the same message again to put them back.",
            )


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
    if what != "threads" and not is_sound(database):
        with database.write() as connection:
            text_index.clear(connection)
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
        with self._database.read() as connection:
            last = newest(connection, self._community_id)
        yield from self._read(what, last)
        changed: list[Change] | None = None
        while what != "index":
            # Nodes and the newest number of one moment; what came until then is placed in memory too. Where nothing
            # differs after that, all is as it would be had every post come anew, and what comes later is placed on it.
            with self._database.read() as connection:
                last = newest(connection, self._community_id)
                stored = nodes.stored(connection, self._community_id)
            yield from self._read(what, last)
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

    def _read(self, what: What, up_to: int) -> Iterator[int]:
        """Make what was not yet read anew where that is asked, and place it in memory."""
        if what == "threads":
            read = arrivals(self._database, self._community_id, self._settings, self._up_to, up_to)
        else:
            read = self._refreshed(up_to)
        for last, some in read:
            for one in some:
                place(self._memory, one)
            self._up_to = last
            yield last

    def _refreshed(self, up_to: int) -> Iterator[tuple[int, list[Arrival]]]:
        """The posts that were not yet read, parsed and made anew; what is said of them is as they are archived."""
        for batch in batches(self._database, self._community_id, self._up_to, up_to):
            parsed = [(row, message and as_archived(row, message)) for row, message in reread(batch, self._worker)]
            for some in _few(parsed):
                with self._writing() as connection:
                    _refresh(connection, some, self._language)
            yield batch[-1].number, [arrival(row, message, self._settings) for row, message in parsed]

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


def _refresh(connection: Connection, parsed: Sequence[tuple[Row, ParsedMessage | None]], language: str) -> None:
    writes = store.Writes()
    for row, message in parsed:
        if message is not None:
            store.refresh(connection, row.id, message, row.received_at, writes, language=language)
    writes.flush(connection)
