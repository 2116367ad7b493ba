"""Whether any order of arrival gives one tree: shuffled orders of placing, in memory and in a database.

Messages are parsed once; only their places are made anew.
"""

import random
from collections.abc import Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path

from sqlalchemy import insert

from benchmarks.report import Figure, checked
from tidings.archive.store import own_id
from tidings.database.engine import Database
from tidings.database.migrate import migrate
from tidings.database.tables import community
from tidings.intake.filing import arrival_of
from tidings.mailer.worker import ParseWorker, Readable
from tidings.settings import Settings
from tidings.threading.nodes import SqlNodes, all_threads
from tidings.threading.place import Arrival, MemoryNodes, Node, place
from tidings.threading.tree import Branch, arrange

ORDERS = 20
SQL_ORDERS = 2
SEED = 20201101
_BATCH = 200

Tree = frozenset[tuple[tuple[str, int, str | None, str], ...]]
"""The threads of a community, each as it is read: id, depth, nearest message above, and why it stands there."""


def measure(name: str, raws: Sequence[bytes], folder: Path) -> list[Figure]:
    """Place one list in its own order and in shuffled ones."""
    arrivals = list(_arrivals(raws))
    first = _in_memory(arrivals)
    orders = [random.Random(SEED + number).sample(arrivals, len(arrivals)) for number in range(ORDERS)]
    in_memory = sum(_in_memory(order) == first for order in orders)
    database = Database(f"sqlite:///{folder / 'orders.db'}")
    migrate(database, "site")
    in_sql = sum(_in_sql(database, number, order) == first for number, order in enumerate(orders[:SQL_ORDERS]))
    database.close()
    return [
        checked(name, f"shuffled orders with the same tree, in memory (seed {SEED})", in_memory, ORDERS),
        checked(name, "shuffled orders with the same tree, in SQLite", in_sql, SQL_ORDERS),
    ]


def _arrivals(raws: Sequence[bytes]) -> Iterator[Arrival]:
    settings = Settings()
    worker = ParseWorker(settings.limits)
    seen: set[str] = set()
    for number, outcome in enumerate(worker.parse_many(raws), 1):
        if isinstance(outcome, Readable):
            message = outcome.message
            message_id = message.message_id
            if not message_id or message_id in seen:
                message_id = own_id(message.content_hash, settings.site.domain)
            seen.add(message_id)
            date = message.date or datetime(2020, 1, 1, tzinfo=UTC)
            yield arrival_of(message, settings, message_id=message_id, post_id=number, date=date, answers=None)
    worker.close()


def _in_memory(arrivals: Iterable[Arrival]) -> Tree:
    nodes = MemoryNodes()
    for arrival in arrivals:
        place(nodes, arrival)
    threads: dict[int, list[Node]] = {}
    for node in nodes.nodes.values():
        threads.setdefault(node.thread_id, []).append(node)
    return _tree(threads.values())


def _in_sql(database: Database, number: int, arrivals: Sequence[Arrival]) -> Tree:
    with database.write() as connection:
        values = {"name": f"order{number}", "title": "", "zone": "UTC", "created_at": datetime.now(UTC)}
        community_id = connection.execute(insert(community).values(values).returning(community.c.id)).scalar_one()
    for start in range(0, len(arrivals), _BATCH):
        with database.write() as connection:
            nodes = SqlNodes(connection, community_id)
            for arrival in arrivals[start : start + _BATCH]:
                place(nodes, arrival)
    with database.read() as connection:
        return _tree(all_threads(connection, community_id))


def _tree(threads: Iterable[Sequence[Node]]) -> Tree:
    read = []
    for thread in threads:
        read.append(tuple(_place(branch) for branch in arrange(thread)))
    return frozenset(read)


def _place(branch: Branch) -> tuple[str, int, str | None, str]:
    above = branch.parent.message_id if branch.parent else None
    return branch.node.message_id, branch.depth, above, branch.node.why
