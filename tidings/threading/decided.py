"""Where messages stand once what people decided of them counts.

Pure over nodes as `place` made them, which knows nothing of decisions; so decisions hold for any order of arrival, and
where one is undone all is as it was. What was decided of one message goes for all that stands under it: it is carried
along. The rest of a thread is held together as before, by kin and by joins (place.py), less what was carried off.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Literal

from msgspec.structs import replace

from tidings.threading.place import Node
from tidings.threading.tree import loop_cuts

Kind = Literal["split", "attach"]


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What a person said of one message: it begins a thread, or is a reply to `parent_message_id`."""

    kind: Kind
    message_id: str
    parent_message_id: str | None = None


def decided(nodes: Iterable[Node], decisions: Mapping[str, Decision]) -> dict[int, Node]:
    """The nodes of whole threads, by their ids, with the threads and parents that decisions (by message id) give them.

    Whole: with any node of a thread, as `place` made it, come the others, and the threads that decisions tie to it.
    """
    placed = {node.id: node for node in nodes}
    ids = {node.message_id: node.id for node in placed.values()}
    turned = {node.id: _turned(node, decisions.get(node.message_id), ids) for node in placed.values()}
    groups = _groups(turned)
    names: dict[tuple[str, int], int] = {}
    for number, group in groups.items():  # a thread is named by the first of its nodes
        names[group] = min(number, names.get(group, number))
    return {number: _in_thread(turned[number], names[group]) for number, group in groups.items()}


def _turned(node: Node, decision: Decision | None, ids: Mapping[str, int]) -> Node:
    """The node under its decided parent; as it is where nothing was decided, or that parent is not known here."""
    if decision is None:
        return node
    if decision.parent_message_id is None:
        return replace(node, parent_id=None, why="person")
    parent_id = ids.get(decision.parent_message_id)
    return node if parent_id is None else replace(node, parent_id=parent_id, why="person")


def _in_thread(node: Node, thread_id: int) -> Node:
    as_placed = thread_id == node.thread_id and node.why != "person"
    return replace(node, thread_id=thread_id, whole_id=None if as_placed else node.thread_id)


def _groups(turned: Mapping[int, Node]) -> dict[int, tuple[str, int]]:
    """Which nodes are one thread: each with the name of its group, the same for all of them."""
    above = {node.id: node.parent_id for node in turned.values() if node.parent_id in turned}
    for cut in loop_cuts(turned):
        del above[cut]
    order = _downwards(turned, above)
    carried: set[int] = set()
    for node in order:
        if node.why == "person" or above.get(node.id) in carried:
            carried.add(node.id)
    kin = _Kin()
    for node in order:
        over = turned.get(node.parent_id or 0)
        if node.joined and over is not None and carried.isdisjoint((node.id, over.id)):
            kin.unite(node.kin_id, over.kin_id)
    groups: dict[int, tuple[str, int]] = {}
    for node in order:
        up = above.get(node.id)
        if node.id in carried and up is not None:
            groups[node.id] = groups[up]
        elif node.id in carried and node.parent_id is None:
            groups[node.id] = ("split", node.id)
        else:  # what was attached, but into a loop that was cut there, stays with its kin
            groups[node.id] = ("kin", kin.of(node.kin_id))
    return groups


def _downwards(turned: Mapping[int, Node], above: Mapping[int, int | None]) -> list[Node]:
    """All nodes, each after the one above it."""
    below: dict[int | None, list[int]] = {}
    for number in turned:
        below.setdefault(above.get(number), []).append(number)
    order, waiting = [], list(below.get(None, ()))
    while waiting:
        number = waiting.pop()
        order.append(turned[number])
        waiting += below.get(number, ())
    return order


class _Kin:
    """Kin that joins hold together, each named by the first of them."""

    def __init__(self) -> None:
        self._first: dict[int, int] = {}

    def of(self, kin_id: int) -> int:
        first = self._first
        while (above := first.setdefault(kin_id, kin_id)) != kin_id:
            first[kin_id] = kin_id = first[above]
        return kin_id

    def unite(self, one: int, other: int) -> None:
        small, large = sorted((self.of(one), self.of(other)))
        self._first[large] = small
