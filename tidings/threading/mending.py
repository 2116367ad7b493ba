"""Brings the stored nodes of a community to those that were made anew in memory, a few rows at a time.

It writes only what differs, so that mail can come in meanwhile and a community in which all is well is not written at
all. It neither places messages (place.py) nor opens transactions.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

from msgspec.structs import replace

from tidings.threading.likeness import unpacked
from tidings.threading.place import Node, Wish

# How a node refers to others, by their ids.
_NOBODY: dict[str, Any] = dict.fromkeys(("parent_id", "header_id", "index_id", "subject_id"))


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
        yield from (Change(add=replace(node, id=0, thread_id=0, kin_id=0, **_NOBODY)) for node in missing)
        return
    ids = {number: known[node.message_id].id for number, node in made.nodes.items()}
    threads = _groups(made, known, "thread_id")
    kin = _groups(made, known, "kin_id")
    for node in made.nodes.values():
        refers: dict[str, Any] = {name: (other := getattr(node, name)) and ids[other] for name in _NOBODY}
        there = known[node.message_id]
        groups: dict[str, Any] = {"thread_id": threads[node.thread_id], "kin_id": kin[node.kin_id]}
        like = there.like if _is_like(node, there) else node.like
        wanted = replace(node, id=there.id, like=like, **groups, **refers)
        if wanted != there:
            yield Change(before=there, after=wanted)
    yield from _wishes(made, ids, stored)
    needed = set(ids.values())
    yield from (_unneeded(node) for node in stored.nodes if node.id not in needed)


def _is_like(node: Node, there: Node) -> bool:
    """Whether what is stored of a message's likeness may stay, as where it can be read no more."""
    if node.like is None or node.like == there.like:
        return True
    # Its sets may have been packed in another order.
    return there.like is not None and unpacked(node.like) == unpacked(there.like)


def _unneeded(node: Node) -> Change:
    """Two that nobody needs may refer to each other: first such a node is let go of, then it is dropped."""
    alone = replace(node, thread_id=node.id, kin_id=node.id, **_NOBODY)
    return Change(drop=node) if node == alone else Change(before=node, after=alone)


def _groups(made: Made, known: Mapping[str, Node], name: Literal["thread_id", "kin_id"]) -> dict[int, int]:
    """The stored id of each thread, or kin: one that it has already where there is one, else that of its first node."""
    members: dict[int, list[Node]] = {}
    for node in made.nodes.values():
        members.setdefault(getattr(node, name), []).append(known[node.message_id])
    found = {}
    for number, nodes in members.items():
        ids = {node.id for node in nodes}
        found[number] = min((one for node in nodes if (one := getattr(node, name)) in ids), default=min(ids))
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
