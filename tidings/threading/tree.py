"""A thread's nodes in the order and depth in which they are read.

It reads no database. Loops, which hostile or broken References can make, are cut here: at the member of the loop that
has the earliest date, then the smallest id, so that any order of arrival shows the same tree. No recursion: a thread
may be 100,000 replies deep.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from tidings.threading.place import Node

_NEVER = datetime.max.replace(tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Branch:
    """A seen message in its thread: its depth (0: nothing shown above it) and the nearest seen message above it."""

    node: Node
    depth: int
    parent: Node | None
    cut: bool = False  # its References made a loop


def _order(node: Node) -> tuple[datetime, str]:
    return (node.date or _NEVER, node.message_id)


def _held(node: Node) -> tuple[bool, bool, datetime, str]:
    """How firmly a node holds on to its parent: a guess gives way to header fields, and these to what a person says."""
    return (node.why == "person", not node.joined, *_order(node))


def arrange(nodes: Iterable[Node]) -> list[Branch]:
    """The seen nodes of one thread, or of several, depth first, siblings by date and then by id.

    A ghost is not shown; what stands under it stands at the ghost's own depth.
    """
    by_id = {node.id: node for node in nodes}
    cut = loop_cuts(by_id)
    children: dict[int | None, list[Node]] = {}
    for node in by_id.values():
        parent_id = None if node.id in cut or node.parent_id not in by_id else node.parent_id
        children.setdefault(parent_id, []).append(node)
    first_dates = _first_dates(by_id, children)
    for siblings in children.values():
        siblings.sort(key=lambda node: (first_dates[node.id], node.message_id), reverse=True)
    branches: list[Branch] = []
    waiting: list[tuple[Node, int, Node | None]] = [(root, 0, None) for root in children.get(None, [])]
    while waiting:
        node, depth, above = waiting.pop()
        if node.seen:
            branches.append(Branch(node=node, depth=depth, parent=above, cut=node.id in cut))
        next_depth, next_above = (depth + 1, node) if node.seen else (depth, above)
        waiting += [(child, next_depth, next_above) for child in children.get(node.id, [])]
    return branches


def _first_dates(by_id: Mapping[int, Node], children: Mapping[int | None, list[Node]]) -> dict[int, datetime]:
    """When each node was written; a ghost is as old as the first that stands under it."""
    dates = {}
    for node in by_id.values():
        under = [child.date for child in children.get(node.id, []) if child.date]
        dates[node.id] = node.date or min(under, default=_NEVER)
    return dates


def loop_cuts(by_id: Mapping[int, Node]) -> set[int]:
    """The nodes whose link to their parent is cut: one in each loop."""
    cuts: set[int] = set()
    done: set[int] = set()
    for start in by_id:
        path: dict[int, None] = {}
        here: int | None = start
        while here is not None and here in by_id and here not in done and here not in path:
            path[here] = None
            here = by_id[here].parent_id
        if here is not None and here in path:
            steps = list(path)
            loop = steps[steps.index(here) :]
            cuts.add(min(loop, key=lambda number: _held(by_id[number])))
        done.update(path)
    return cuts
