"""Where a message stands among those seen before: its parent, its thread, and who turns to it now that it is here.

Pure over the small protocol `Nodes`, which has an SQL side (nodes.py) and one in memory (here). Any order of arrival
gives one tree, because what is stored is a function of the set of messages alone: a message's parent is the first of
its candidates that has been seen, and a message that would rather have had another keeps a wish for it, granted when
that one arrives. Where nothing that it refers to has been seen it stands under the ghost of its first candidate.
Messages that refer to one another, seen or not, are one thread.

Where they name nothing that was seen, Thread-Index or subject may join a message to an earlier one (joins.py); such a
join gives way to a better one, and the thread that it held together comes apart again (`kin_id` tells what the header
fields alone hold together).

What people decided of threads is laid over this afterwards (decided.py): here nobody knows of it.

Loops in the References are not cut here: whoever arranges a thread cuts them (tree.py), at the same place for any order
of arrival.
"""

from bisect import bisect_left, insort
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import lru_cache
from typing import Literal, Protocol
from zlib import crc32

import msgspec
from msgspec.structs import replace

from tidings.threading.joins import WINDOW, Near, by_index, by_subject
from tidings.threading.likeness import Likeness, packed, unpacked
from tidings.threading.parents import Candidate, Why

_NEW = 0  # the thread of a node that begins one
_JOINS: tuple[Why, ...] = ("thread-index", "subject")

By = Literal["subject", "conversation"]


# Copied for most of what happens to it: a dataclass of as many fields takes ten times as long. It holds plain values
# only, which no collector of cycles needs to walk through.
class Node(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A message's place. `rank` says which candidate the parent is; None: none that was seen.

    `header_id` and `header_why` are what the header fields say, `index_id` and `subject_id` what it may join without
    them; `parent_id` and `why` are what comes of these.
    """

    id: int
    message_id: str
    thread_id: int
    parent_id: int | None
    rank: int | None
    why: Why
    date: datetime | None
    post_id: int | None
    kin_id: int = _NEW  # what header fields alone hold together, named like a thread
    header_id: int | None = None
    header_why: Why = "root"
    index_id: int | None = None
    subject_id: int | None = None
    turn: int | None = None
    like: bytes | None = None  # a Likeness, packed; None where it is not known, and not to be kept
    whole_id: int | None = None  # its thread without what people decided, where that counts (decided.py)

    @property
    def joined(self) -> bool:
        """Whether neither header fields nor a token say so, but Thread-Index or subject."""
        return self.why in _JOINS

    @property
    def seen(self) -> bool:
        """False for a ghost: a message that is referred to but was not seen."""
        return self.post_id is not None


class Wish(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A node that would rather have another parent, as its candidate `rank`."""

    node_id: int
    rank: int
    why: Why


# Handed from one process to another where many are placed anew.
class Arrival(msgspec.Struct, frozen=True, kw_only=True):
    """A message to be placed; `candidates` as parents.py gives them."""

    message_id: str
    post_id: int
    date: datetime
    candidates: tuple[Candidate, ...]
    like: Likeness | None = None


@dataclass(frozen=True, kw_only=True)
class Placed:
    """Where it stands, which threads became one with another, and which nodes went to another thread one by one."""

    node: Node
    merged: Mapping[int, int]  # thread to thread, in order
    moved: tuple[Node, ...]


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

    def merge_kin(self, kin: Collection[int], into: int, thread_id: int) -> None:
        """Make every node of `kin`, all of one thread, of the kin `into`."""
        ...

    def members(self, threads: Collection[int]) -> list[Node]:
        """Every node of these threads."""
        ...

    def near(self, by: By, key: int, turn: int, many: int) -> list[Near]:
        """Seen messages of a subject or conversation in order of time: `many` before `turn`, and `many` from it on."""
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
    merged: dict[int, int] = {}
    thread_id = _merge(nodes, {node.thread_id for node in known.values()}, merged)
    kin = {node.kin_id for node in known.values()}
    kin_id = min(kin, default=_NEW)
    if len(kin) > 1:
        nodes.merge_kin(kin - {kin_id}, kin_id, thread_id)
    targets = []
    for candidate in arrival.candidates:
        target = known.get(candidate.message_id) or nodes.add(_ghost(candidate.message_id, thread_id, kin_id))
        thread_id, kin_id = thread_id or target.thread_id, kin_id or target.kin_id
        targets.append(target)
    rank = next((rank for rank, target in enumerate(targets) if target.seen), None)
    parent = targets[rank or 0] if targets else None
    why: Why = "root" if parent is None else "ghost" if rank is None else arrival.candidates[rank].why
    node = Node(
        id=ghost.id if ghost else 0,
        message_id=arrival.message_id,
        thread_id=thread_id,
        kin_id=kin_id,
        parent_id=parent.id if parent else None,
        rank=rank,
        why=why,
        date=arrival.date,
        post_id=arrival.post_id,
        header_id=parent.id if parent else None,
        header_why=why,
        turn=turn_of(arrival),
        like=packed(arrival.like) if arrival.like is not None else None,
    )
    if ghost:
        nodes.save(node)
    else:
        node = nodes.add(node)
    _keep_wishes(nodes, node, arrival.candidates, targets)
    before = {node.id: node}
    after = {node.id: node}
    if ghost:
        _grant_wishes(nodes, node, before, after)
    if arrival.like is not None:
        _join(nodes, node, arrival.like, before, after)
    moved = _settle(nodes, before, after, merged)
    placed = nodes.by_id([node.id])[node.id] if merged or moved else settled(after[node.id])
    return Placed(node=placed, merged=merged, moved=tuple(moved))


def turn_of(arrival: Arrival) -> int:
    """Its place in time: the second of its date, and a number of its own, so that hardly any two have the same."""
    return int(arrival.date.timestamp()) * 1_000_000 + crc32(arrival.message_id.encode()) % 1_000_000


def _merge(nodes: Nodes, threads: Collection[int], merged: dict[int, int]) -> int:
    """Make threads one; the oldest stays, so that a thread is named by the first of its nodes."""
    thread_id = min(threads, default=_NEW)
    losers = set(threads) - {thread_id}
    if losers:
        nodes.merge(losers, thread_id)
        merged.update(dict.fromkeys(losers, thread_id))
    return thread_id


def _join(nodes: Nodes, seen: Node, like: Likeness, before: dict[int, Node], after: dict[int, Node]) -> None:
    """Let `seen`, and those after it that it concerns, join by Thread-Index or subject as they now would."""
    assert seen.turn is not None
    subject_ids: Mapping[int, int | None] = {}
    index_ids: Mapping[int, int | None] = {}
    if like.subject is not None:
        subject_ids = by_subject(nodes.near("subject", like.subject, seen.turn, WINDOW), seen.turn)
    if like.conversation is not None:
        index_ids = by_index(nodes.near("conversation", like.conversation, seen.turn, WINDOW), seen.turn)
    concerned = {*subject_ids, *index_ids} - set(after)
    for number, node in nodes.by_id(concerned).items() if concerned else ():
        before[number] = after[number] = node
    for number, subject_id in subject_ids.items():
        if after[number].subject_id != subject_id:
            after[number] = replace(after[number], subject_id=subject_id)
    for number, index_id in index_ids.items():
        if after[number].index_id != index_id:
            after[number] = replace(after[number], index_id=index_id)


def settled(node: Node) -> Node:
    """The node with the parent that comes of all that is known: header fields, then Thread-Index, then subject."""
    if node.rank is None and node.index_id is not None:
        return replace(node, parent_id=node.index_id, why="thread-index")
    if node.rank is None and node.subject_id is not None:
        return replace(node, parent_id=node.subject_id, why="subject")
    return replace(node, parent_id=node.header_id, why=node.header_why)


def _settle(nodes: Nodes, before: Mapping[int, Node], after: Mapping[int, Node], merged: dict[int, int]) -> list[Node]:
    """Keep what changed, and make threads hold together what joins hold together; the nodes that moved."""
    now = {number: settled(node) for number, node in after.items()}
    changed = [node for number, node in now.items() if node != before[number]]
    for node in changed:
        nodes.save(node)
    turned = [node for node in changed if node.parent_id != before[node.id].parent_id]
    if not turned:
        return []
    left = [before[node.id].parent_id for node in turned if before[node.id].joined]
    if left:
        ends = nodes.by_id(
            {number for node in turned for number in (node.id, node.parent_id) if number} | {*filter(None, left)}
        )
        return _regroup(nodes, {node.thread_id for node in ends.values()})
    for node in turned:
        if node.joined:
            pair = nodes.by_id({node.id, node.parent_id or 0} - {0})
            _merge(nodes, {one.thread_id for one in pair.values()}, merged)
    return []


def _regroup(nodes: Nodes, threads: Collection[int]) -> list[Node]:
    """Give these threads their members anew: a join was given up that may have held two parts together."""
    members = {node.id: node for node in nodes.members(threads)}
    first: dict[int, int] = {node.kin_id: node.kin_id for node in members.values()}

    def of(kin_id: int) -> int:
        while first[kin_id] != kin_id:
            first[kin_id] = kin_id = first[first[kin_id]]
        return kin_id

    for node in members.values():
        if node.joined and node.parent_id in members:
            one, other = sorted((of(node.kin_id), of(members[node.parent_id].kin_id)))
            first[other] = one
    moved = [replace(node, thread_id=of(node.kin_id)) for node in members.values() if node.thread_id != of(node.kin_id)]
    for node in moved:
        nodes.save(node)
    return moved


def _ghost(message_id: str, thread_id: int, kin_id: int) -> Node:
    return Node(
        id=0,
        message_id=message_id,
        thread_id=thread_id,
        kin_id=kin_id,
        parent_id=None,
        rank=None,
        why="ghost",
        header_why="ghost",
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


def _grant_wishes(nodes: Nodes, seen: Node, before: dict[int, Node], after: dict[int, Node]) -> None:
    """Those who would rather be under `seen`, now that it is here, are."""
    wishes = nodes.wishes(seen.id)
    if not wishes:
        return
    for number, node in nodes.by_id([wish.node_id for wish in wishes]).items():
        before[number] = after[number] = node
    for wish in wishes:
        node = after[wish.node_id]
        after[node.id] = replace(node, header_id=seen.id, rank=wish.rank, header_why=wish.why)
        nodes.forget(wish.node_id, wish.rank)


@lru_cache(maxsize=2_000)  # those of threads that go on; of all posts they would fill the memory
def _near(node_id: int, turn: int, like: bytes) -> Near:
    return Near(node_id=node_id, turn=turn, like=unpacked(like))


class MemoryNodes:
    """The nodes of one community in memory: for `rebuild` and for tests."""

    def __init__(self) -> None:
        self.nodes: dict[int, Node] = {}
        self._ids: dict[str, int] = {}
        self._wishes: dict[int, dict[int, Wish]] = {}  # by ghost, then by who wishes
        self._wished: dict[int, set[int]] = {}  # which ghosts a node wishes for
        self._threads: dict[int, set[int]] = {}
        self._near: dict[tuple[By, int], list[tuple[int, int]]] = {}  # (turn, node id)

    def find(self, message_ids: Collection[str]) -> dict[str, Node]:
        """See Nodes."""
        return {bare: self.nodes[self._ids[bare]] for bare in message_ids if bare in self._ids}

    def add(self, node: Node) -> Node:
        """See Nodes."""
        number = len(self.nodes) + 1
        kept = replace(node, id=number, thread_id=node.thread_id or number, kin_id=node.kin_id or number)
        self.nodes[number] = kept
        self._ids[kept.message_id] = number
        self._threads.setdefault(kept.thread_id, set()).add(number)
        self._remember(kept)
        return kept

    def save(self, node: Node) -> None:
        """See Nodes."""
        old = self.nodes[node.id]
        if old.thread_id != node.thread_id:
            self._threads[old.thread_id].discard(node.id)
            self._threads.setdefault(node.thread_id, set()).add(node.id)
        if old.turn is None:
            self._remember(node)
        self.nodes[node.id] = replace(node, like=node.like or old.like)

    def _remember(self, node: Node) -> None:
        if node.like is None or node.turn is None:
            return
        like = unpacked(node.like)
        keys: tuple[tuple[By, int | None], ...] = (("subject", like.subject), ("conversation", like.conversation))
        for by, key in keys:
            if key is not None:
                insort(self._near.setdefault((by, key), []), (node.turn, node.id))

    def merge(self, threads: Collection[int], into: int) -> None:
        """See Nodes."""
        for loser in threads:
            for number in self._threads.pop(loser):
                self.nodes[number] = replace(self.nodes[number], thread_id=into)
                self._threads[into].add(number)

    def merge_kin(self, kin: Collection[int], into: int, thread_id: int) -> None:
        """See Nodes."""
        for number in self._threads[thread_id]:
            if self.nodes[number].kin_id in kin:
                self.nodes[number] = replace(self.nodes[number], kin_id=into)

    def members(self, threads: Collection[int]) -> list[Node]:
        """See Nodes."""
        return [self.nodes[number] for thread in threads for number in self._threads[thread]]

    def near(self, by: By, key: int, turn: int, many: int) -> list[Near]:
        """See Nodes."""
        every = self._near.get((by, key), [])
        at = bisect_left(every, turn, key=lambda entry: entry[0])
        return [
            _near(number, its_turn, self.nodes[number].like or b"")
            for its_turn, number in every[max(0, at - many) : at + many]
        ]

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
