"""Holds all that is derived against the raw bytes: posts, their attachments, the threads and the words of search.

Every message is read again for it, as a rebuild reads it, and nothing is written. Damaged raw bytes are for `check`.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection, bindparam, select

from tidings.archive import store
from tidings.archive.index_check import DamagedIndexError, IndexCheck
from tidings.communities.directory import Community, communities
from tidings.database.engine import Database
from tidings.database.tables import attachment, erasure, post
from tidings.mailer.parsed import ParsedMessage
from tidings.mailer.worker import ParseWorker
from tidings.operations.check import Finding
from tidings.operations.rereading import ALL, Row, arrival, as_archived, batches, newest, reread
from tidings.settings import Settings
from tidings.threading import nodes
from tidings.threading.mending import Change, changes
from tidings.threading.place import MemoryNodes, place

_SHOWN = "What is shown of it is not what its raw bytes say; `tidings rebuild index` mends that."
_FOUND = "Search has other words of it than it has; `tidings rebuild index` mends that."
_PLACED = "Its place in the threads is not the one that the messages give; `tidings rebuild threads` mends that."
_INDEX = "The text index is damaged; `tidings rebuild index` mends that."

# What a node is like, and what follows from that: an erasure leaves it, since nothing else holds such threads together.
_OF_LIKENESS: dict[str, Any] = {"like": None, "turn": 0, "subject_id": None, "kin_id": 0, "thread_id": 0}
_COLUMNS = ("subject", "author_name", "author_email", "recipients", "date", "text", "folds", "attachments", "has_html")
_DERIVED = select(post.c.id, *(post.c[name] for name in _COLUMNS)).where(
    post.c.id.in_(bindparam("posts", expanding=True))
)
_ATTACHMENTS = select(attachment).where(attachment.c.post_id.in_(bindparam("posts", expanding=True)))


def compare(database: Database, worker: ParseWorker, settings: Settings) -> Iterator[Finding]:
    """What is other than a rebuild would make it, each with what mends it."""
    with database.read() as connection:
        every = communities(connection)
    index = IndexCheck(database)
    names: dict[int, tuple[str, str]] = {}  # of each post that was read: its community's, and its Message-ID
    for community in every:
        comparing = _Comparing(database, worker, settings, community, index)
        yield from comparing.run()
        names |= {post_id: (community.name, message_id) for post_id, message_id in comparing.read.items()}
    try:
        for post_id in index.differing():
            yield Finding(community=names[post_id][0], message_id=names[post_id][1], problem=_FOUND)
    except DamagedIndexError:
        yield Finding(community="", message_id="", problem=_INDEX)


class _Comparing:
    """The work on one community; `read` has the Message-ID of every post that could be read, by its id."""

    def __init__(
        self, database: Database, worker: ParseWorker, settings: Settings, community: Community, index: IndexCheck
    ) -> None:
        self._database = database
        self._worker = worker
        self._settings = settings
        self._community = community
        self._index = index
        self._memory = MemoryNodes()
        self._up_to = 0
        self.read: dict[int, str] = {}

    def run(self) -> Iterator[Finding]:
        """What differs in the posts, then in the threads."""
        yield from self._posts()
        # Nodes and the newest number of one moment; what came until then is placed in memory too.
        with self._database.read() as connection:
            last = newest(connection, self._community.id)
            stored = nodes.stored(connection, self._community.id)
            erased = connection.execute(select(erasure.c.id).limit(1)).first() is not None
        yield from self._posts(last)
        by_id = {node.id: node.message_id for node in stored.nodes}
        found = (change for change in changes(self._memory, stored) if not (erased and _is_of_likeness(change)))
        wrong = {_node_of(change, by_id) for change in found}
        yield from (self._finding(message_id, _PLACED) for message_id in sorted(wrong))

    def _posts(self, up_to: int = ALL) -> Iterator[Finding]:
        for batch in batches(self._database, self._community.id, self._up_to, up_to):
            read = [(row, message and as_archived(row, message)) for row, message in reread(batch, self._worker)]
            for row, message in read:
                place(self._memory, arrival(row, message, self._settings))
            readable = [(row, message) for row, message in read if message is not None]
            yield from (self._finding(row.message_id, _SHOWN) for row in self._differing(readable))
            language = self._community.language
            self._index.expect([store.index_row(row.id, message, language) for row, message in readable])
            self.read |= {row.id: row.message_id for row, _ in readable}
            self._up_to = batch[-1].number

    def _differing(self, read: Sequence[tuple[Row, ParsedMessage]]) -> list[Row]:
        """The posts whose columns or attachments are not those of their message."""
        ids = {"posts": [row.id for row, _ in read]}
        with self._database.read() as connection:
            stored = {row.id: dict(row._mapping) for row in connection.execute(_DERIVED, ids)}
            attached = _by_post(connection, ids)
        return [
            row
            for row, message in read
            if stored.get(row.id) != {"id": row.id, **store.derived(message, row.received_at)}
            or attached.get(row.id, []) != store.attachment_rows(row.id, message)
        ]

    def _finding(self, message_id: str, problem: str) -> Finding:
        return Finding(community=self._community.name, message_id=message_id, problem=problem)


def _by_post(connection: Connection, posts: dict[str, list[int]]) -> dict[int, list[dict[str, Any]]]:
    found: dict[int, list[dict[str, Any]]] = {}
    for row in connection.execute(_ATTACHMENTS.order_by(attachment.c.position), posts):
        found.setdefault(row.post_id, []).append(dict(row._mapping))
    return found


def _is_of_likeness(change: Change) -> bool:
    """Whether a change is about a join by subject, or what may become one, and nothing else."""
    if (wish := change.forget or change.keep) is not None:
        return wish[1].why == "subject"
    if change.before is None or change.after is None:
        return False
    before, after = (replace(node, **_OF_LIKENESS) for node in (change.before, change.after))
    return before == after or "subject" in (before.why, after.why)


def _node_of(change: Change, by_id: dict[int, str]) -> str:
    """The Message-ID of the node that a change is about."""
    node = change.add or change.before or change.drop
    if node is not None:
        return node.message_id
    wish = change.forget or change.keep
    return by_id[wish[1].node_id] if wish else ""
