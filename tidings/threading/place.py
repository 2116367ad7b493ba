"""Where a message stands among those seen before: its parent, its thread, and who turns to it now that it is here.

Pure over the small protocol `Nodes`, which has an SQL side (nodes.py) and one in memory (here). Any order of arrival
gives one tree, because what is stored is a function of the set of messages alone: a message's parent is the first of
its candidates that has been seen, and a message that would rather have had another keeps a wish for it, granted when
that one arrives. Where nothing that it refers to has been seen it stands under the ghost of its first candidate.
Messages that refer to one another, seen or not, are one thread.

Loops in the References are not cut here: whoever arranges a thread cuts them (tree.py), at the same place for any order
of arrival.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol

from tidings.threading.parents import Candidate, Why

_NEW = 0  # the thread of a node that begins one


@dataclass(frozen=True, kw_only=True)
class Node:
    """A message's place. `rank` says which candidate the parent is; None: none that was seen."""

    id: int
    message_id: str
    thread_id: int
    parent_id: int | None
    rank: int | None
    why: Why
    date: datetime | None
    post_id: int | None

    @property
    def seen(self) -> bool:
        """False for a ghost: a message that is referred to but was not seen."""
        return self.post_id is not None


@dataclass(frozen=True, kw_only=True)
class Wish:
    """A node that would rather have another parent, as its candidate `rank`."""

    node_id: int
    rank: int
    why: Why


@dataclass(frozen=True, kw_only=True)
class Arrival:
    """A message to be placed; `candidates` as parents.py gives them."""

    message_id: str
    post_id: int
    date: datetime
    candidates: tuple[Candidate, ...]


@dataclass(frozen=True, kw_only=True)
class Placed:
    """Where it stands, and which threads became one with its own."""

    node: Node
    parent: Node | None
    merged: frozenset[int]


class Nodes(Protocol):
    """The nodes of one community."""

    def find(self, message_ids: Collection[str]) -> dict[str, Node]:
        """The nodes that there are for these ids."""
        ...

    def add(self, node: Node) -> Node:
        """Keep a new node and return it as it is kept: with an id, and with a thread where it had none (0)."""
        ...

    def save(self, node: Node) -> None:
        """Keep the node as it is now."""
        ...

    def merge(self, threads: Collection[int], into: int) -> None:
        """Make every node of `threads` one of `into`."""
        ...

    def wishes(self, ghost_id: int) -> list[Wish]:
        """Who would rather have this node as its parent."""
        ...

    def wish(self, node_id: int, wishes: Iterable[tuple[int, Wish]]) -> None:
        """Keep (ghost id, wish) pairs of one node."""
        ...

    def forget(self, node_id: int, from_rank: int) -> None:
        """Drop the wishes of a node that are no better than `from_rank`."""
        ...

    def by_id(self, node_ids: Collection[int]) -> dict[int, Node]:
        """Nodes by their own ids."""
        ...


def place(nodes: Nodes, arrival: Arrival) -> Placed:
    """Give a message its node, its parent and its thread; those that waited for it turn to it."""
    known = nodes.find([arrival.message_id, *(candidate.message_id for candidate in arrival.candidates)])
    ghost = known.get(arrival.message_id)
    threads = {node.thread_id for node in known.values()}
    # The oldest thread stays: the fewest rows are rewritten.
    thread_id = min(threads, default=_NEW)
    merged = frozenset(threads - {thread_id})
    if merged:
        nodes.merge(merged, thread_id)
    targets = []
    for candidate in arrival.candidates:
        target = known.get(candidate.message_id) or nodes.add(_ghost(candidate.message_id, thread_id))
        thread_id = thread_id or target.thread_id
        targets.append(target)
    rank = next((rank for rank, target in enumerate(targets) if target.seen), None)
    parent = targets[rank or 0] if targets else None
    why: Why = "root" if parent is None else "ghost" if rank is None else arrival.candidates[rank].why
    node = Node(
        id=ghost.id if ghost else 0,
        message_id=arrival.message_id,
        thread_id=thread_id,
        parent_id=parent.id if parent else None,
        rank=rank,
        why=why,
        date=arrival.date,
        post_id=arrival.post_id,
    )
    if ghost:
        nodes.save(node)
    else:
        node = nodes.add(node)
    _keep_wishes(nodes, node, arrival.candidates, targets)
    if ghost:
        _grant_wishes(nodes, node)
    return Placed(node=node, parent=parent, merged=merged)


def _ghost(message_id: str, thread_id: int) -> Node:
    return Node(
        id=0,
        message_id=message_id,
        thread_id=thread_id,
        parent_id=None,
        rank=None,
        why="ghost",
        date=None,
        post_id=None,
    )


def _keep_wishes(nodes: Nodes, node: Node, candidates: Sequence[Candidate], targets: Sequence[Node]) -> None:
    better = len(candidates) if node.rank is None else node.rank
    if better:
        nodes.wish(
            node.id,
            [(targets[rank].id, Wish(node_id=node.id, rank=rank, why=candidates[rank].why)) for rank in range(better)],
        )


def _grant_wishes(nodes: Nodes, seen: Node) -> None:
    """Those who would rather be under `seen`, now that it is here, are."""
    wishes = nodes.wishes(seen.id)
    holders = nodes.by_id([wish.node_id for wish in wishes])
    for wish in wishes:
        nodes.save(replace(holders[wish.node_id], parent_id=seen.id, rank=wish.rank, why=wish.why))
        nodes.forget(wish.node_id, wish.rank)


class MemoryNodes:
    """The nodes of one community in memory: for `rebuild` and for tests."""

    def __init__(self) -> None:
        self.nodes: dict[int, Node] = {}
        self._ids: dict[str, int] = {}
        self._wishes: dict[int, dict[int, Wish]] = {}  # by ghost, then by who wishes
        self._wished: dict[int, set[int]] = {}  # which ghosts a node wishes for
        self._threads: dict[int, set[int]] = {}

    def find(self, message_ids: Collection[str]) -> dict[str, Node]:
        """See Nodes."""
        return {bare: self.nodes[self._ids[bare]] for bare in message_ids if bare in self._ids}

    def add(self, node: Node) -> Node:
        """See Nodes."""
        number = len(self.nodes) + 1
        kept = replace(node, id=number, thread_id=node.thread_id or number)
        self.nodes[number] = kept
        self._ids[kept.message_id] = number
        self._threads.setdefault(kept.thread_id, set()).add(number)
        return kept

    def save(self, node: Node) -> None:
        """See Nodes."""
        self.nodes[node.id] = node

    def merge(self, threads: Collection[int], into: int) -> None:
        """See Nodes."""
        for loser in threads:
            for number in self._threads.pop(loser):
                self.nodes[number] = replace(self.nodes[number], thread_id=into)
                self._threads[into].add(number)

    def wishes(self, ghost_id: int) -> list[Wish]:
        """See Nodes."""
        return list(self._wishes.get(ghost_id, {}).values())

    def wish(self, node_id: int, wishes: Iterable[tuple[int, Wish]]) -> None:
        """See Nodes."""
        for ghost_id, wish in wishes:
            self._wishes.setdefault(ghost_id, {})[node_id] = wish
            self._wished.setdefault(node_id, set()).add(ghost_id)

    def forget(self, node_id: int, from_rank: int) -> None:
        """See Nodes."""
        for ghost_id in list(self._wished.get(node_id, ())):
            if self._wishes[ghost_id][node_id].rank >= from_rank:
                del self._wishes[ghost_id][node_id]
                self._wished[node_id].discard(ghost_id)

    def by_id(self, node_ids: Collection[int]) -> dict[int, Node]:
        """See Nodes."""
        return {number: self.nodes[number] for number in node_ids}
