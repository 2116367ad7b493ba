"""The nodes of a community in the database: the only writer of `node` and `node_wish`.

It decides nothing: `place` says what to keep.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any, cast

from msgspec.structs import replace
from sqlalchemy import (
    BindParameter,
    ColumnElement,
    CompoundSelect,
    Connection,
    Row,
    and_,
    bindparam,
    delete,
    insert,
    select,
    union_all,
    update,
)

from tidings.database.tables import node as node_table
from tidings.database.tables import node_wish
from tidings.threading.joins import Near
from tidings.threading.likeness import unpacked
from tidings.threading.mending import Change, Stored
from tidings.threading.parents import Why
from tidings.threading.place import By, Node, Wish, settled

_COLUMNS = (
    node_table.c.id,
    node_table.c.message_id,
    node_table.c.thread_id,
    node_table.c.parent_id,
    node_table.c.parent_rank,
    node_table.c.why,
    node_table.c.date,
    node_table.c.post_id,
    node_table.c.kin_id,
    node_table.c.header_id,
    node_table.c.header_why,
    node_table.c.index_id,
    node_table.c.subject_id,
    node_table.c.turn,
    node_table.c.whole_id,
)
# The nodes of threads as `place` made them, whatever people decided: those that stand there, and those that decisions
# concern. Never both in one condition: SQLite would then look at every node of the community.
_STANDING = and_(
    node_table.c.community_id == bindparam("community"),
    node_table.c.thread_id.in_(bindparam("threads", expanding=True)),
    node_table.c.whole_id.is_(None),
)
_DECIDED = node_table.c.whole_id.in_(bindparam("threads", expanding=True))
# Built once: building a statement costs more than running it.
_FIND = select(*_COLUMNS).where(
    node_table.c.community_id == bindparam("community"), node_table.c.message_id.in_(bindparam("ids", expanding=True))
)
_BY_ID = select(*_COLUMNS).where(node_table.c.id.in_(bindparam("ids", expanding=True)))
_THREAD = select(*_COLUMNS).where(
    node_table.c.community_id == bindparam("community"), node_table.c.thread_id == bindparam("thread")
)
_ALL = (
    select(*_COLUMNS)
    .where(node_table.c.community_id == bindparam("community"))
    .order_by(node_table.c.thread_id, node_table.c.id)
)
_ALL_LIKENESSES = _ALL.add_columns(node_table.c.likeness)
_ALL_WISHES = (
    select(node_wish.c.ghost_id, node_wish.c.node_id, node_wish.c.rank, node_wish.c.why)
    .join(node_table, node_table.c.id == node_wish.c.ghost_id)
    .where(node_table.c.community_id == bindparam("community"))
)
_MEMBERS = union_all(select(*_COLUMNS).where(_STANDING), select(*_COLUMNS).where(_DECIDED))
_AT_ONCE = 1_000  # ids in one question
_KEYS = {"subject": node_table.c.subject_key, "conversation": node_table.c.conversation_key}


def _near(key: ColumnElement[int]) -> CompoundSelect[int, int, bytes]:
    """Those nearest before a moment, and from it on; in one statement, since each costs as much as its rows do."""
    found = select(node_table.c.id, node_table.c.turn, node_table.c.likeness)
    found = found.where(node_table.c.community_id == bindparam("community"), key == bindparam("key"))
    turn, number = node_table.c.turn, node_table.c.id
    at: BindParameter[int] = bindparam("at")
    before = found.where(turn < at).order_by(turn.desc(), number.desc()).limit(bindparam("many"))
    after = found.where(turn >= at).order_by(turn, number).limit(bindparam("many"))
    return union_all(select(before.subquery()), select(after.subquery()))


_NEAR = {by: _near(key) for by, key in _KEYS.items()}
_ADD = insert(node_table).returning(node_table.c.id)
_SAVE = (
    update(node_table)
    .where(node_table.c.id == bindparam("node"))
    .values(
        thread_id=bindparam("to_thread"),
        parent_id=bindparam("to_parent"),
        parent_rank=bindparam("to_rank"),
        why=bindparam("to_why"),
        date=bindparam("to_date"),
        post_id=bindparam("to_post"),
        kin_id=bindparam("to_kin"),
        header_id=bindparam("to_header"),
        header_why=bindparam("to_header_why"),
        index_id=bindparam("to_index"),
        subject_id=bindparam("to_subject"),
        turn=bindparam("to_turn"),
        whole_id=None,
    )
)
_LAY = (
    update(node_table)
    .where(node_table.c.id == bindparam("node"))
    .values(
        thread_id=bindparam("to_thread"),
        whole_id=bindparam("to_whole"),
        parent_id=bindparam("to_parent"),
        why=bindparam("to_why"),
    )
)
_MERGE = (
    update(node_table).where(_STANDING).values(thread_id=bindparam("into")),
    update(node_table).where(_DECIDED).values(whole_id=bindparam("into")),
)
_OF_KIN = node_table.c.kin_id.in_(bindparam("kin", expanding=True))
_MERGE_KIN = tuple(
    update(node_table).where(_thread, _OF_KIN).values(kin_id=bindparam("into")) for _thread in (_STANDING, _DECIDED)
)
_LIKEN = (
    update(node_table)
    .where(node_table.c.id == bindparam("node"))
    .values(
        subject_key=bindparam("to_subject_key"),
        conversation_key=bindparam("to_conversation_key"),
        likeness=bindparam("to_likeness"),
    )
)
_OWN_THREAD = (
    update(node_table)
    .where(node_table.c.id == bindparam("node"))
    .values(thread_id=node_table.c.id, kin_id=node_table.c.id)
)
_WISHES = select(node_wish.c.node_id, node_wish.c.rank, node_wish.c.why).where(
    node_wish.c.ghost_id == bindparam("ghost")
)
_FORGET = delete(node_wish).where(node_wish.c.node_id == bindparam("node"), node_wish.c.rank >= bindparam("from_rank"))
_FORGET_ONE = delete(node_wish).where(
    node_wish.c.ghost_id == bindparam("ghost"), node_wish.c.node_id == bindparam("node")
)
_CHILD = node_table.alias("child")
# A ghost that nobody refers to any more, not even mail that came this moment.
_DROP = delete(node_table).where(
    node_table.c.id == bindparam("node"),
    ~select(_CHILD.c.id).where(_CHILD.c.parent_id == node_table.c.id).exists(),
    ~select(_CHILD.c.id)
    .where(
        _CHILD.c.community_id == node_table.c.community_id,
        _CHILD.c.thread_id == node_table.c.id,
        _CHILD.c.id != node_table.c.id,
    )
    .exists(),
    ~select(node_wish.c.node_id)
    .where((node_wish.c.ghost_id == node_table.c.id) | (node_wish.c.node_id == node_table.c.id))
    .exists(),
)


def _node(row: Row[*tuple[Any, ...]] | list[Any]) -> Node:
    number, message_id, thread_id, parent_id, rank, why, date, post_id, *more = row
    kin_id, header_id, header_why, index_id, subject_id, turn, whole_id = more
    return Node(
        id=number,
        message_id=message_id,
        thread_id=thread_id,
        parent_id=parent_id,
        rank=rank,
        why=cast("Why", why),
        date=date,
        post_id=post_id,
        kin_id=kin_id,
        header_id=header_id,
        header_why=cast("Why", header_why),
        index_id=index_id,
        subject_id=subject_id,
        turn=turn,
        whole_id=whole_id,
    )


def _likeness(packed: bytes | None, prefix: str = "") -> dict[str, Any]:
    like = unpacked(packed) if packed else None
    return {
        f"{prefix}subject_key": like.subject if like else None,
        f"{prefix}conversation_key": like.conversation if like else None,
        f"{prefix}likeness": packed,
    }


class SqlNodes:
    """The `Nodes` of one community, inside the caller's transaction: as they are without what people decided.

    `touched` are the threads of all nodes that were asked for or kept, `laid` those of them where decisions count. What
    was read once is remembered: while this is in use nobody else may change the community's nodes.
    """

    def __init__(self, connection: Connection, community_id: int) -> None:
        self._connection = connection
        self._community_id = community_id
        self.touched: set[int] = set()
        self.laid: set[int] = set()
        self._likened: set[int] = set()  # nodes whose likeness was kept by this: it is the message's own
        self._nodes: dict[int, Node] = {}  # as they are laid, without what they are like
        self._ids: dict[str, int | None] = {}  # None: there is no such node

    def expect(self, message_ids: Iterable[str]) -> None:
        """Read the nodes that there are for these ids, to be found later."""
        unknown = [bare for bare in dict.fromkeys(message_ids) if bare not in self._ids]
        for some in (unknown[at : at + _AT_ONCE] for at in range(0, len(unknown), _AT_ONCE)):
            self._ids.update(dict.fromkeys(some))
            for row in self._connection.execute(_FIND, {"community": self._community_id, "ids": some}):
                self._remember(_node(row))

    def find(self, message_ids: Collection[str]) -> dict[str, Node]:
        """See Nodes."""
        self.expect(message_ids)
        numbers = [number for bare in message_ids if (number := self._ids[bare]) is not None]
        return {found.message_id: found for found in map(self.undecided, map(self._nodes.__getitem__, numbers))}

    def _remember(self, node: Node) -> None:
        self._nodes[node.id] = node
        self._ids[node.message_id] = node.id

    def add(self, node: Node) -> Node:
        """See Nodes."""
        values = {
            "community_id": self._community_id,
            "message_id": node.message_id,
            "thread_id": node.thread_id,
            "parent_id": node.parent_id,
            "parent_rank": node.rank,
            "why": node.why,
            "date": node.date,
            "post_id": node.post_id,
            "kin_id": node.kin_id,
            "header_id": node.header_id,
            "header_why": node.header_why,
            "index_id": node.index_id,
            "subject_id": node.subject_id,
            "turn": node.turn,
            **_likeness(node.like),
        }
        number = self._connection.execute(_ADD, values).scalar_one()
        self.touched.add(node.thread_id or number)
        if not node.thread_id:
            self._connection.execute(_OWN_THREAD, {"node": number})
        if node.like is not None:
            self._likened.add(number)
        kept = replace(node, id=number, thread_id=node.thread_id or number, kin_id=node.kin_id or number)
        self._remember(replace(kept, like=None))
        return kept

    def save(self, node: Node) -> None:
        """See Nodes."""
        self.touched.add(node.thread_id)
        self._connection.execute(
            _SAVE,
            {
                "node": node.id,
                "to_thread": node.thread_id,
                "to_parent": node.parent_id,
                "to_rank": node.rank,
                "to_why": node.why,
                "to_date": node.date,
                "to_post": node.post_id,
                "to_kin": node.kin_id,
                "to_header": node.header_id,
                "to_header_why": node.header_why,
                "to_index": node.index_id,
                "to_subject": node.subject_id,
                "to_turn": node.turn,
            },
        )
        self._remember(replace(node, like=None))
        if node.like is not None and node.id not in self._likened:
            self._likened.add(node.id)
            self._connection.execute(_LIKEN, {"node": node.id, **_likeness(node.like, "to_")})

    def merge(self, threads: Collection[int], into: int) -> None:
        """See Nodes."""
        self.touched.add(into)
        values = {"community": self._community_id, "threads": list(threads), "into": into}
        for statement in _MERGE:
            self._connection.execute(statement, values)
        for node in self._of(threads):
            self._remember(replace(node, **{"thread_id" if node.whole_id is None else "whole_id": into}))

    def merge_kin(self, kin: Collection[int], into: int, thread_id: int) -> None:
        """See Nodes."""
        values = {"community": self._community_id, "threads": [thread_id], "kin": list(kin), "into": into}
        for statement in _MERGE_KIN:
            self._connection.execute(statement, values)
        for node in self._of([thread_id]):
            if node.kin_id in kin:
                self._remember(replace(node, kin_id=into))

    def _of(self, threads: Collection[int]) -> list[Node]:
        """The remembered nodes of these threads, which are as they are without what people decided."""
        return [node for node in self._nodes.values() if (node.whole_id or node.thread_id) in threads]

    def members(self, threads: Collection[int]) -> list[Node]:
        """See Nodes."""
        return [self.undecided(node) for node in self.as_laid(threads)]

    def as_laid(self, threads: Collection[int]) -> list[Node]:
        """Every node of these threads as it stands by what people decided; the threads are as they are without that."""
        rows = self._connection.execute(_MEMBERS, {"community": self._community_id, "threads": list(threads)})
        return [_node(row) for row in rows]

    def undecided(self, node: Node) -> Node:
        """A node as it is without what people decided."""
        if node.whole_id is not None:
            self.laid.add(node.whole_id)
            node = settled(replace(node, thread_id=node.whole_id, whole_id=None))
        self.touched.add(node.thread_id)
        return node

    def lay(self, nodes: Iterable[Node]) -> None:
        """Keep the threads and parents that decisions give these nodes."""
        values = [
            {
                "node": node.id,
                "to_thread": node.thread_id,
                "to_whole": node.whole_id,
                "to_parent": node.parent_id,
                "to_why": node.why,
            }
            for node in nodes
        ]
        if values:
            self._connection.execute(_LAY, values)
            self._nodes.clear()
            self._ids.clear()

    def near(self, by: By, key: int, turn: int, many: int) -> list[Near]:
        """See Nodes."""
        values = {"community": self._community_id, "key": key, "at": turn, "many": many}
        rows = sorted(
            (turn, number, packed) for number, turn, packed in self._connection.execute(_NEAR[by], values).all()
        )
        return [Near(node_id=number, turn=turn, like=unpacked(packed)) for turn, number, packed in rows]

    def wishes(self, ghost_id: int) -> list[Wish]:
        """See Nodes."""
        rows = self._connection.execute(_WISHES, {"ghost": ghost_id})
        return [Wish(node_id=node_id, rank=rank, why=why) for node_id, rank, why in rows]

    def wish(self, node_id: int, wishes: Iterable[tuple[int, Wish]]) -> None:
        """See Nodes."""
        self._connection.execute(
            insert(node_wish),
            [
                {"ghost_id": ghost_id, "node_id": node_id, "rank": wish.rank, "why": wish.why}
                for ghost_id, wish in wishes
            ],
        )

    def forget(self, node_id: int, from_rank: int) -> None:
        """See Nodes."""
        self._connection.execute(_FORGET, {"node": node_id, "from_rank": from_rank})

    def by_id(self, node_ids: Collection[int]) -> dict[int, Node]:
        """See Nodes."""
        unknown = [number for number in node_ids if number not in self._nodes]
        for row in self._connection.execute(_BY_ID, {"ids": unknown}) if unknown else ():
            self._remember(_node(row))
        known = (self._nodes[number] for number in node_ids if number in self._nodes)
        return {found.id: found for found in map(self.undecided, known)}


def thread(connection: Connection, community_id: int, thread_id: int) -> list[Node]:
    """Every node of one thread, ghosts too, in no order."""
    rows = connection.execute(_THREAD, {"community": community_id, "thread": thread_id}).all()
    return [_node(row) for row in rows]


def all_threads(connection: Connection, community_id: int) -> Iterator[list[Node]]:
    """The nodes of a community, thread by thread."""
    gathered: list[Node] = []
    for found in map(_node, connection.execute(_ALL, {"community": community_id})):
        if gathered and gathered[0].thread_id != found.thread_id:
            yield gathered
            gathered = []
        gathered.append(found)
    if gathered:
        yield gathered


def stored(connection: Connection, community_id: int) -> Stored:
    """Every node and wish of a community as it is now, without what people decided."""
    values = {"community": community_id}
    wishes = {
        (ghost_id, Wish(node_id=node_id, rank=rank, why=why))
        for ghost_id, node_id, rank, why in connection.execute(_ALL_WISHES, values)
    }
    sql = SqlNodes(connection, community_id)
    found = [
        replace(sql.undecided(_node(row)), like=packed and bytes(packed))
        for *row, packed in connection.execute(_ALL_LIKENESSES, values)
    ]
    return Stored(nodes=found, wishes=wishes)


def mend(connection: Connection, community_id: int, wanted: Sequence[Change]) -> None:
    """Write what differs from nodes made anew (see mending); rows that changed meanwhile are left for the next look."""
    sql = SqlNodes(connection, community_id)
    known = sql.find([change.add.message_id for change in wanted if change.add])
    now = sql.by_id([change.before.id for change in wanted if change.before])
    for change in wanted:
        if change.add and change.add.message_id not in known:
            sql.add(change.add)
        if change.before and change.after and now.get(change.before.id) == replace(change.before, like=None):
            sql.save(change.after)
        if change.forget:
            ghost_id, wish = change.forget
            connection.execute(_FORGET_ONE, {"ghost": ghost_id, "node": wish.node_id})
        if change.keep:
            ghost_id, wish = change.keep
            connection.execute(_FORGET_ONE, {"ghost": ghost_id, "node": wish.node_id})
            sql.wish(wish.node_id, [(ghost_id, wish)])
        if change.drop:
            connection.execute(_DROP, {"node": change.drop.id})
