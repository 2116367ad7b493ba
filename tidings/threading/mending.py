"""Brings the stored nodes of a community to those that were made anew in memory, a few rows at a time.

It writes only what differs, so that mail can come in meanwhile and a community in which all is well is not written at
all. It neither places messages (place.py) nor opens transactions.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

from tidings.threading.place import Node, Wish


class Made(Protocol):
    """The nodes that were made anew; their ids mean nothing outside."""

    @property
    def nodes(self) -> Mapping[int, Node]:
        """Every node by its id."""
        ...

    def wishes(self, ghost_id: int) -> list[Wish]:
        """Who would rather have this node as its parent."""
        ...


@dataclass(frozen=True, kw_only=True)
class Stored:
    """The nodes and wishes as they are stored, at one moment; a wish with the id of its ghost."""

    nodes: Sequence[Node]
    wishes: Collection[tuple[int, Wish]]


@dataclass(frozen=True, kw_only=True)
class Change:
    """One row that differs: a node to `add`, one to write again (`before`, `after`), one that nobody needs (`drop`).

    Or a wish to `forget` or to `keep`, with the id of its ghost.
    """

    add: Node | None = None
    before: Node | None = None
    after: Node | None = None
    drop: Node | None = None
    forget: tuple[int, Wish] | None = None
    keep: tuple[int, Wish] | None = None


def changes(made: Made, stored: Stored) -> Iterator[Change]:
    """What is to be written; where nodes are to be added that is all, for the rest needs their ids: ask again then."""
    known = {node.message_id: node for node in stored.nodes}
    missing = [node for node in made.nodes.values() if node.message_id not in known]
    if missing:
        yield from (Change(add=replace(node, id=0, thread_id=0, parent_id=None)) for node in missing)
        return
    ids = {number: known[node.message_id].id for number, node in made.nodes.items()}
    threads = _threads(made, known)
    for number, node in made.nodes.items():
        parent_id = ids[node.parent_id] if node.parent_id else None
        wanted = replace(node, id=ids[number], thread_id=threads[node.thread_id], parent_id=parent_id)
        if wanted != known[node.message_id]:
            yield Change(before=known[node.message_id], after=wanted)
    yield from _wishes(made, ids, stored)
    needed = set(ids.values())
    yield from (_unneeded(node) for node in stored.nodes if node.id not in needed)


def _unneeded(node: Node) -> Change:
    """Two that nobody needs may refer to each other: first such a node is let go of, then it is dropped."""
    alone = replace(node, thread_id=node.id, parent_id=None)
    return Change(drop=node) if node == alone else Change(before=node, after=alone)


def _threads(made: Made, known: Mapping[str, Node]) -> dict[int, int]:
    """The stored id of each thread: one that it has already where there is one, else that of its first node."""
    members: dict[int, list[Node]] = {}
    for node in made.nodes.values():
        members.setdefault(node.thread_id, []).append(known[node.message_id])
    found = {}
    for thread_id, nodes in members.items():
        ids = {node.id for node in nodes}
        found[thread_id] = min((node.thread_id for node in nodes if node.thread_id in ids), default=min(ids))
    return found


def _wishes(made: Made, ids: Mapping[int, int], stored: Stored) -> Iterator[Change]:
    wanted = {
        (ids[ghost_id], replace(wish, node_id=ids[wish.node_id]))
        for ghost_id in made.nodes
        for wish in made.wishes(ghost_id)
    }
    there = set(stored.wishes)
    yield from (Change(forget=wish) for wish in there - wanted)
    yield from (Change(keep=wish) for wish in wanted - there)
