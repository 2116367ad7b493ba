"""What a person says of a thread: split, attach, merge, and undo of each; and what a person might split.

It works nothing out: what a decision does to the threads is threading's matter.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import Connection, select

from tidings.archive import read, store
from tidings.database import tables
from tidings.errors import NotFoundError, UsageError
from tidings.threading import decisions, nodes
from tidings.threading.decided import Decision
from tidings.threading.likeness import base_subject
from tidings.threading.place import Node
from tidings.threading.tree import arrange, loop_cuts

_WORD = re.compile(r"\w{3,}")


@dataclass(frozen=True, kw_only=True)
class Offer:
    """A reply that may be a new matter, for which somebody answered an old mail."""

    message_id: str
    subject: str
    author: str
    date: datetime
    parent: str
    parent_subject: str


def offers(connection: Connection, community_id: int) -> Iterator[Offer]:
    """Replies that might be split, oldest first: their subject is wholly new, and they quote nothing.

    What a person decided of is not offered, nor what begins with a tag such as [PATCH 2/3]: a series is one matter.
    """
    reply, above = tables.post.alias(), tables.post.alias()
    node, parent = tables.node.alias(), tables.node.alias()
    query = (
        select(
            reply.c.message_id,
            reply.c.subject,
            reply.c.author_name.label("author"),
            reply.c.date,
            above.c.message_id.label("parent"),
            above.c.subject.label("parent_subject"),
            reply.c.folds,
        )
        .join(node, node.c.post_id == reply.c.id)
        .join(parent, parent.c.id == node.c.parent_id)
        .join(above, above.c.id == parent.c.post_id)
        .where(reply.c.community_id == community_id, node.c.community_id == community_id)
        .where(node.c.why.in_(("in-reply-to", "references", "loose")))
        .order_by(reply.c.number)
    )
    for *values, folds in connection.execute(query):
        offer = Offer(**dict(zip(Offer.__dataclass_fields__, values, strict=True)))
        if _is_new(offer) and not any(kind == "quote" for _, _, kind in msgspec.json.decode(folds)):
            yield offer


def _is_new(offer: Offer) -> bool:
    """Whether the subject of a reply has no reply prefix and no word of the subject that it answers."""
    (base, is_reply), (old, _) = base_subject(offer.subject), base_subject(offer.parent_subject)
    if is_reply or not base or not old or base.startswith("[") or "(was" in offer.subject.lower():
        return False
    return set(_WORD.findall(base)).isdisjoint(_WORD.findall(old))


def split(connection: Connection, community_id: int, message_id: str, *, by: str, now: datetime) -> Decision:
    """Let a message begin a thread, with all that stands under it. Raises NotFoundError."""
    _thread_of(connection, community_id, message_id)
    made = Decision(kind="split", message_id=message_id)
    _decide(connection, community_id, [made], by, now)
    return made


def attach(
    connection: Connection, community_id: int, message_id: str, parent_id: str, *, by: str, now: datetime
) -> Decision:
    """Let a message, with all that stands under it, be a reply to another. Raises NotFoundError, UsageError."""
    _thread_of(connection, community_id, message_id)
    if message_id in _upwards(_thread_of(connection, community_id, parent_id), parent_id):
        raise UsageError(f"{parent_id} stands under {message_id}, or is it: a message cannot be a reply to itself.")
    made = Decision(kind="attach", message_id=message_id, parent_message_id=parent_id)
    _decide(connection, community_id, [made], by, now)
    return made


def merge(
    connection: Connection, community_id: int, message_id: str, into_id: str, *, by: str, now: datetime
) -> list[Decision]:
    """Let the thread of a message go on in that of another: its top is a reply to what the other begins with.

    Raises NotFoundError, UsageError.
    """
    thread, into = (_thread_of(connection, community_id, one) for one in (message_id, into_id))
    if thread[0].thread_id == into[0].thread_id:
        raise UsageError(f"{message_id} and {into_id} are in one thread already.")
    root = arrange(into)[0].node
    made = [
        Decision(kind="attach", message_id=top.message_id, parent_message_id=root.message_id) for top in _tops(thread)
    ]
    _decide(connection, community_id, made, by, now)
    return made


def undo(connection: Connection, community_id: int, message_id: str, now: datetime) -> list[decisions.Kept]:
    """Take back the last decision about a message, and what was decided together with it. Raises NotFoundError.

    Where a thread began with a message that was never seen, merging it decided of that one: it is found from here.
    """
    for bare in _with_ghosts_above(_thread_of(connection, community_id, message_id), message_id):
        undone, moved = decisions.undo(connection, community_id, bare, now)
        if undone:
            _follow(connection, moved)
            return undone
    raise NotFoundError(f"Nothing that stands was decided of {message_id}; `tidings thread list` has what was.")


def _thread_of(connection: Connection, community_id: int, message_id: str) -> list[Node]:
    found = read.post(connection, community_id, message_id)
    if found is None:
        raise NotFoundError(f"The community has no post with the Message-ID {message_id}.")
    return nodes.thread(connection, community_id, found.thread_id)


def _upwards(thread: Sequence[Node], message_id: str) -> list[str]:
    """A message and what stands above it, nearest first; it ends where a loop comes round."""
    by_id = {node.id: node for node in thread}
    here: int | None = next(node.id for node in thread if node.message_id == message_id)
    found: dict[str, None] = {}
    while here is not None and here in by_id and by_id[here].message_id not in found:
        found[by_id[here].message_id] = None
        here = by_id[here].parent_id
    return list(found)


def _with_ghosts_above(thread: Sequence[Node], message_id: str) -> list[str]:
    """A message, and the ghosts above it up to the next that was seen."""
    seen = {node.message_id for node in thread if node.seen}
    first, *above = _upwards(thread, message_id)
    end = next((place for place, bare in enumerate(above) if bare in seen), len(above))
    return [first, *above[:end]]


def _tops(thread: Sequence[Node]) -> list[Node]:
    """The nodes with nothing above them, seen or not: whatever of them comes later, comes along."""
    by_id = {node.id: node for node in thread}
    cut = loop_cuts(by_id)
    return [node for node in thread if node.parent_id not in by_id or node.id in cut]


def _decide(connection: Connection, community_id: int, made: Sequence[Decision], by: str, now: datetime) -> None:
    _follow(connection, decisions.decide(connection, community_id, made, by=by, now=now))


def _follow(connection: Connection, moved: Sequence[Node]) -> None:
    store.set_threads(connection, [(node.post_id, node.thread_id) for node in moved if node.post_id is not None])
