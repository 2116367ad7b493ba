"""What people decided of threads, kept and undone: the writer of `thread_decision`.

What comes of it is worked out in decided.py and laid over what `place` made (`Arrivals`, `lay_all`). A decision names
messages, not nodes: it outlives a rebuild. Posts, which name their threads too, are not its matter.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import ColumnElement, Connection, FromClause, bindparam, func, insert, select, update

from tidings.database.tables import community, thread_decision
from tidings.database.tables import node as node_table
from tidings.threading.decided import Decision, Kind, decided
from tidings.threading.nodes import SqlNodes
from tidings.threading.place import Arrival, Node, Placed, place


def _is_of(nodes: FromClause, message_id: ColumnElement[str]) -> ColumnElement[bool]:
    return (nodes.c.community_id == thread_decision.c.community_id) & (nodes.c.message_id == message_id)


_decision = thread_decision.c
_SUBJECT, _PARENT = node_table.alias(), node_table.alias()
_IN_FORCE = (
    select(
        _decision.kind,
        _decision.message_id,
        _decision.parent_message_id,
        func.coalesce(_SUBJECT.c.whole_id, _SUBJECT.c.thread_id),
        func.coalesce(_PARENT.c.whole_id, _PARENT.c.thread_id),
    )
    .outerjoin(_SUBJECT, _is_of(_SUBJECT, _decision.message_id))
    .outerjoin(_PARENT, _is_of(_PARENT, _decision.parent_message_id))
    .where(_decision.community_id == bindparam("community"), _decision.undone_at.is_(None))
    .order_by(_decision.id)
)
_LOCK = select(community.c.id).where(community.c.id == bindparam("community")).with_for_update()


# Kind, message, parent, and the threads, as `place` made them, of those two that are known.
_Standing = tuple[Kind, str, str | None, frozenset[int]]


@dataclass(frozen=True, kw_only=True)
class Kept(Decision):
    """A decision with who made it, when, and when it was undone."""

    id: int
    created_at: datetime
    by: str
    undone_at: datetime | None


def listing(connection: Connection, community_id: int) -> list[Kept]:
    """All decisions of a community, oldest first, those that were undone too."""
    columns = (column for column in _decision if column.name != "community_id")
    query = select(*columns).where(_decision.community_id == community_id).order_by(_decision.id)
    return [Kept(**row._mapping) for row in connection.execute(query)]


def decide(
    connection: Connection, community_id: int, decisions: Collection[Decision], *, by: str, now: datetime
) -> list[Node]:
    """Keep decisions that were made together, and let them count; the nodes that may have moved."""
    connection.execute(_LOCK, {"community": community_id})  # nothing may arrive meanwhile
    connection.execute(
        insert(thread_decision),
        [
            {
                "community_id": community_id,
                "kind": one.kind,
                "message_id": one.message_id,
                "parent_message_id": one.parent_message_id,
                "created_at": now,
                "by": by,
            }
            for one in decisions
        ],
    )
    return _lay_anew(connection, community_id, {one.message_id for one in decisions})


def undo(connection: Connection, community_id: int, message_id: str, now: datetime) -> tuple[list[Kept], list[Node]]:
    """Take back the last decision of a message that stands, and what was decided together with it (a merge).

    Gives what was undone (nothing: none stands), and the nodes that may have moved.
    """
    connection.execute(_LOCK, {"community": community_id})
    standing = [one for one in listing(connection, community_id) if one.undone_at is None]
    last = next((one for one in reversed(standing) if one.message_id == message_id), None)
    if last is None:
        return [], []
    undone = [replace(one, undone_at=now) for one in standing if _together(one, last)]
    connection.execute(
        update(thread_decision).where(_decision.id.in_([one.id for one in undone])).values(undone_at=now)
    )
    return undone, _lay_anew(connection, community_id, {one.message_id for one in undone})


def _together(one: Kept, other: Kept) -> bool:
    made = (one.created_at, one.by, one.kind, one.parent_message_id)
    return made == (other.created_at, other.by, other.kind, other.parent_message_id)


class Arrivals:
    """Messages of one community that come in one transaction, placed by what is known and by what people decided.

    From when this is made to the end of the transaction nobody else may change the threads of the community.
    """

    def __init__(self, connection: Connection, community_id: int) -> None:
        self._connection, self._community_id = connection, community_id
        if connection.dialect.name != "sqlite":  # which has one writer
            connection.execute(_LOCK, {"community": community_id})
        self._nodes = SqlNodes(connection, community_id)
        self._any_stands = bool(_in_force(connection, community_id))

    def expect(self, message_ids: Iterable[str]) -> None:
        """Read together what is stored of messages that those to come are, or refer to."""
        self._nodes.expect(message_ids)

    def place(self, arrival: Arrival) -> Placed:
        """Give a message its place."""
        nodes = self._nodes
        nodes.touched.clear()
        nodes.laid.clear()
        placed = place(nodes, arrival)
        if not self._any_stands:
            return placed
        standing = _in_force(self._connection, self._community_id)
        laid = _lay(nodes, standing, frozenset(nodes.touched), frozenset(nodes.laid))
        if not laid:
            return placed
        moved = (*(node for node in placed.moved if node.id not in laid), *laid.values())
        return replace(placed, node=laid.get(placed.node.id, placed.node), moved=moved)


def lay_all(connection: Connection, community_id: int) -> None:
    """Let every decision count, after the nodes of a community were made anew."""
    _lay_anew(connection, community_id, {one.message_id for one in listing(connection, community_id)})


def _in_force(connection: Connection, community_id: int) -> dict[str, _Standing]:
    """By message, the newest decision that was not undone."""
    rows = connection.execute(_IN_FORCE, {"community": community_id})
    return {bare: (kind, bare, parent_id, frozenset(filter(None, ends))) for kind, bare, parent_id, *ends in rows}


def _lay_anew(connection: Connection, community_id: int, message_ids: Collection[str]) -> list[Node]:
    """Let decisions count where some of these messages were made or undone."""
    ever = [one for one in listing(connection, community_id) if one.message_id in message_ids]
    nodes = SqlNodes(connection, community_id)
    found = nodes.find(_messages(ever)) if ever else {}
    wholes = {node.thread_id for node in found.values()}
    return list(_lay(nodes, _in_force(connection, community_id), wholes, wholes).values())


def _lay(
    nodes: SqlNodes, standing: Mapping[str, _Standing], touched: Collection[int], again: Collection[int]
) -> dict[int, Node]:
    """Let decisions count in the `touched` threads that they concern, and in the threads `again` even if none does.

    Threads here are as `place` made them. Gives the nodes of all that was laid.
    """
    wholes = _with_ties(touched, [ends for *_, ends in standing.values()]) | set(again)
    if not wholes:
        return {}
    before = {node.id: node for node in nodes.as_laid(wholes)}
    said = {
        bare: Decision(kind=kind, message_id=bare, parent_message_id=parent_id)
        for kind, bare, parent_id, ends in standing.values()
        if not wholes.isdisjoint(ends)
    }
    after = decided((nodes.undecided(node) for node in before.values()), said)
    nodes.lay(node for node in after.values() if _place_of(node) != _place_of(before[node.id]))
    return after


def _place_of(node: Node) -> tuple[object, ...]:
    return (node.thread_id, node.whole_id, node.parent_id, node.why)


def _with_ties(threads: Iterable[int], tied: Iterable[Collection[int]]) -> set[int]:
    """Of these threads those that decisions tie, each to itself or to another, and all that they are tied to."""
    ties: dict[int, set[int]] = {}
    for ends in tied:
        for end in ends:
            ties.setdefault(end, set()).update(ends)
    found: set[int] = set()
    waiting = [thread_id for thread_id in threads if thread_id in ties]
    while waiting:
        thread_id = waiting.pop()
        if thread_id not in found:
            found.add(thread_id)
            waiting += ties[thread_id]
    return found


def _messages(decisions: Iterable[Decision]) -> list[str]:
    return list({bare for one in decisions for bare in (one.message_id, one.parent_message_id) if bare is not None})
