"""The order of the house (docs/design.md): imports run down only, and one module writes a given table."""

import re
from collections.abc import Iterable, Mapping

import pytest

from tests.house import ROOT, Write, circles, imports, modules, reachable, writes
from tidings.database import tables

# From the roof to the ground. Rooms in one line do not import each other. `errors` lies under the clock and the tokens,
# for they raise them.
FLOORS = (
    ("cli",),
    ("meeting_commands",),
    ("serving", "rehearsing", "console"),
    ("app",),
    ("operations",),
    ("jobs",),
    ("intake", "web", "outgoing"),
    ("digests",),
    ("mailer", "archive"),
    ("communities", "threading"),
    ("database",),
    ("settings",),
    ("tokens", "clock"),
    ("errors",),
)
HEIGHT = {room: -number for number, floor in enumerate(FLOORS) for room in floor}

# The two ways of mail through the mailer. What is in neither is shared, and may not lean on both.
WAY_IN = frozenset(
    {
        *("smtp_in", "strict", "guests", "door", "imap_in", "imap_folder", "imap_session", "mailboxes", "envelope"),
        *(
            "spool",
            "parse",
            "imip",
            "automatic",
            "worker",
            "verify",
            "commands",
            "bounces",
            "bounce_reasons",
            "bounce_texts",
        ),
    }
)
WAY_OUT = frozenset(
    {
        "outbox",
        "pace",
        "deliver",
        "courier",
        "maildir",
        "compose",
        "footer",
        "sign",
        "dmarc",
        "smtp_client",
        "smtp_session",
    }
)

WRITERS = {
    "site_value": {"app"},
    "rota": {"communities.rota"},
    "rota_shift": {"communities.rota"},
    "rota_pattern": {"communities.rota"},
    "crew": {"communities.rota"},
    "rota_change": {"communities.changes"},
    "calendar": {"communities.calendars"},
    "calendar_shift": {"communities.calendars"},
    "person": {"communities.joining"},
    "address": {"communities.joining"},
    "community": {"communities.joining"},
    "membership": {"communities.joining"},
    "sign_in_link": {"communities.sessions"},
    "session": {"communities.sessions"},
    "node": {"threading.nodes"},
    "node_wish": {"threading.nodes"},
    "thread_decision": {"threading.decisions"},
    "blob": {"archive.store"},
    "post": {"archive.store"},
    "attachment": {"archive.store"},
    "card": {"archive.cards"},
    "post_text": {"archive.text_index"},
    "outbox": {"mailer.outbox"},
    "delivery": {"mailer.outbox", "mailer.held"},
    "destination": {"mailer.pace"},
    "route_domain": {"mailer.outbox"},
    "feed_token": {"communities.calendar_links"},
    "series": {"digests.meetings.series"},
    "series_session": {"digests.meetings.series"},
    "session_crew": {"digests.meetings.series"},
    "meeting": {"digests.meetings.diary"},
    "sitting": {"digests.meetings.diary"},
    "topic": {"digests.meetings.topics"},
    "topic_second": {"digests.meetings.topics"},
    "willing": {"digests.meetings.roles"},
    "duty": {"digests.meetings.roles"},
    "attendance": {"digests.meetings.attendance"},
    "period": {"digests.sections"},
    "edition": {"digests.freeze"},
    "edition_section": {
        "digests.sections",
        *("digests.periods", "digests.plans", "digests.meetings.invites"),  # when it is due
        *("digests.editions", "digests.freeze"),  # what became of it
    },
    "fragment": {"digests.shelf"},
    "summary": {"digests.summaries"},
    "summary_turn": {"digests.summaries"},
    "item": {"digests.freeze"},
    "kept_reply": {"digests.kept"},
    "decision": {"intake.decisions"},
    "spool": {"mailer.spool"},
    "mailbox": {"mailer.mailboxes"},
    "mailbox_message": {"mailer.mailboxes"},
    "mailbox_trouble": {"mailer.mailboxes"},
    "confirmation": {"communities.confirmations"},
    "thread_choice": {"communities.choices"},
    "sender_rule": {"communities.senders"},
    "bounce": {"communities.standing"},
    "bounce_wave": {"communities.standing"},
    "notice_count": {"mailer.notices"},
    "erasure": {"operations.erase"},
    "erased_mark": {"operations.erase"},
}
# A person may stand in any table, so whoever erases people goes through all of them (docs/decisions).
SWEEPS = "operations.erase"
# By design a counter moves in the transaction of what it counts; the rest of the row stays its writer's.
ALSO_UPDATES = {
    ("archive.store", "community"): {"last_number"},
    ("digests.periods", "community"): {"last_period_at"},
    ("digests.editions", "membership"): {"cursor"},
    ("digests.quiet", "membership"): {"quiet_from", "quiet_until", "asleep_until"},
    ("communities.standing", "address"): {"stopped_at", "stopped_why", "probes", "probe_due_at"},
}


def broken_imports(sources: Mapping[str, str]) -> list[str]:
    """What of `sources` breaks the order of the house, a line each."""
    graph = imports(sources)
    found = [f"{name}: no room of the house" for name in sources if "." in name and _room(name) not in HEIGHT]
    for name, targets in graph.items():
        for target, line in targets.items():
            here, there = _room(name), _room(target)
            if here != there and target != "tidings" and HEIGHT.get(there, 0) >= HEIGHT.get(here, 0):
                found.append(f"{name}:{line} imports {target}, which is not below it")
    found += [f"a circle: {' - '.join(group)}" for group in circles(graph)]
    return found + _meetings_of_ways(graph)


def _room(module: str) -> str:
    return module.removeprefix("tidings").lstrip(".").split(".")[0]


def _meetings_of_ways(graph: Mapping[str, Iterable[str]]) -> list[str]:
    inside = "tidings.mailer."
    rooms = {
        name: [target for target in graph[name] if target.startswith(inside)]
        for name in graph
        if name.startswith(inside)
    }
    found = []
    for name in rooms:
        reached = {other.removeprefix(inside) for other in {name, *reachable(rooms, name)}}
        if reached & WAY_IN and reached & WAY_OUT:
            found.append(f"{name}: the way in and the way out of the mailer meet in it")
    return found


def foreign_writes(found: Iterable[Write]) -> list[str]:
    """Which of these statements change a table that is another module's to write, a line each."""
    return [
        f"{write.module}:{write.line} {write.verb} of {write.table or 'a table that the source does not name'}"
        for write in found
        if not _may(write)
    ]


def _may(write: Write) -> bool:
    module = write.module.removeprefix("tidings.")
    if module == SWEEPS:
        return True
    if write.table is None:
        return False
    extra = ALSO_UPDATES.get((module, write.table), set())
    return module in WRITERS[write.table] or (write.columns is not None and write.columns <= extra)


def _all_writes() -> list[Write]:
    return [
        write
        for name, source in modules().items()
        if not name.startswith("tidings.database.")  # the schema and its migrations
        for write in writes(name, source, WRITERS)
    ]


# --- the house as it stands ------------------------------------------------------------------------------------------


def test_imports_run_down_only_and_in_no_circle() -> None:
    assert "\n".join(broken_imports(modules())) == ""


def test_migrations_import_nothing_of_the_program() -> None:
    graph = imports(modules())
    assert {name: targets for name, targets in graph.items() if ".migrations." in name and targets} == {}


def test_only_one_module_writes_a_given_table() -> None:
    assert "\n".join(foreign_writes(_all_writes())) == ""


def test_every_table_has_a_writer_that_writes_it() -> None:
    assert set(WRITERS) == {*tables.metadata.tables, *tables.spool_metadata.tables, "post_text"}
    written = {(write.table, write.module.removeprefix("tidings.")) for write in _all_writes()}
    assert {(table, module) for table, allowed in WRITERS.items() for module in allowed} - written == set()


def test_both_locks_pin_the_same_versions() -> None:
    pins = [
        set(re.findall(r"^(\S+==\S+)", (ROOT / name).read_text(encoding="utf-8"), re.MULTILINE))
        for name in ("requirements.lock", "requirements-dev.lock")
    ]
    assert pins[0]
    assert pins[0] <= pins[1]


# --- proof that the checks can fail ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "source", "complaint"),
    [
        ("tidings.archive.read", "from tidings.web import site", "imports tidings.web.site"),
        ("tidings.archive.read", "import tidings.web.site as pages", "imports tidings.web.site"),
        ("tidings.archive.read", "from tidings.mailer.spool import add", "imports tidings.mailer.spool"),
        ("tidings.archive.read", "from ..mailer import spool", "imports tidings.mailer.spool"),
        ("tidings.archive.read", "from .. import intake", "imports tidings.intake"),
        ("tidings.archive.read", "def f():\n    from tidings import cli", "imports tidings.cli"),
        ("tidings.archive.read", "if TYPE_CHECKING:\n    import tidings.jobs", "imports tidings.jobs"),
        ("tidings.archive.read", "m = importlib.import_module('tidings.app')", "imports tidings.app"),
        ("tidings.threading.nodes", "from tidings.communities import rota", "imports tidings.communities.rota"),
        ("tidings.errors", "import tidings.clock", "imports tidings.clock"),
        ("tidings.cellar", "", "no room of the house"),
        ("tidings.archive.read", "from tidings.archive import store", "a circle"),
        ("tidings.mailer.spool", "from tidings.mailer import outbox", "the way in and the way out"),
        ("tidings.mailer.addresses", "from tidings.mailer import spool, outbox", "the way in and the way out"),
        ("tidings.mailer.outbox", "from tidings.mailer.spool import add", "the way in and the way out"),
    ],
)
def test_an_import_against_the_order_is_named(name: str, source: str, complaint: str) -> None:
    found = broken_imports(_HOUSE | {name: source})
    assert any(complaint in line for line in found), found


def test_a_made_up_house_in_order_is_let_pass() -> None:
    assert broken_imports(_HOUSE) == []


def test_the_ways_may_not_meet_by_way_of_a_shared_module() -> None:
    changed = {
        "tidings.mailer.spool": "from tidings.mailer import addresses",
        "tidings.mailer.addresses": "from tidings.mailer import outbox",
        "tidings.mailer.outbox": "",
    }
    assert [line.split(":")[0] for line in broken_imports(_HOUSE | changed)] == ["tidings.mailer.spool"]


_HOUSE = {
    "tidings": "",
    "tidings.cli": "from tidings import __version__, app",
    "tidings.app": "from tidings.web import site\nfrom tidings.intake import take\nimport tidings.jobs",
    "tidings.jobs": "",
    "tidings.intake": "from tidings.mailer.spool import claim\nfrom tidings.mailer import outbox",
    "tidings.web": "",
    "tidings.web.site": "from tidings.archive.read import post",
    "tidings.archive": "",
    "tidings.archive.read": "from tidings.database import tables",
    "tidings.archive.store": "from tidings.archive.read import post\nfrom tidings.threading.nodes import save",
    "tidings.mailer": "",
    "tidings.mailer.addresses": "import re",
    "tidings.mailer.spool": "from tidings.mailer.addresses import split\nfrom tidings.database.tables import spool",
    "tidings.mailer.outbox": "from tidings.mailer.addresses import split",
    "tidings.communities": "",
    "tidings.communities.rota": "from tidings.clock import zone",
    "tidings.threading": "",
    "tidings.threading.nodes": "import threading",
    "tidings.database": "",
    "tidings.database.tables": "",
    "tidings.clock": "from tidings.errors import UsageError",
    "tidings.errors": "",
}

_T = "from tidings.database import tables\n"


@pytest.mark.parametrize(
    "source",
    [
        _T + "connection.execute(insert(tables.post))",
        _T + "statement = update(tables.post).values(subject='x')",
        _T + "delete(tables.post).where(tables.post.c.id == 1)",
        _T + "tables.post.insert().values(id=1)",
        _T + "p = tables.post\np.delete()",
        _T + "b, p = tables.blob, tables.post\ndelete(p)",
        _T + "sqlite_insert(tables.post).on_conflict_do_nothing()",
        _T + "_insert_new(connection, tables.post, [])",
        "from tidings.database.tables import post as post_table\ninsert(post_table)",
        "import tidings.database.tables\ninsert(tidings.database.tables.post)",
        "import tidings.database.tables as t\nt.post.update()",
        "text('UPDATE post SET subject = 1')",
        "connection.exec_driver_sql('INSERT OR IGNORE INTO post (id) VALUES (1)')",
        "def f():\n    text(f'DELETE FROM post WHERE id = {number}')",
        "from sqlalchemy import delete\nfor table in some:\n    delete(table)",
        "import sqlalchemy as sa\nsa.update(table)",
    ],
)
def test_a_write_to_a_table_of_another_module_is_named(source: str) -> None:
    assert len(foreign_writes(writes("tidings.web.site", source, WRITERS))) == 1


@pytest.mark.parametrize(
    "source",
    [
        _T + "select(tables.post.c.id)",
        _T + "counts.update(new)",
        _T + "cache = {}\ncache.update(post=tables.post.c.id)",
        "'INSERT INTO post is what archive.store does.'",
        "print('UPDATE post, please')",
    ],
)
def test_what_only_reads_or_speaks_of_a_table_is_let_pass(source: str) -> None:
    assert foreign_writes(writes("tidings.web.site", source, WRITERS)) == []


@pytest.mark.parametrize(
    ("source", "allowed"),
    [
        ("update(tables.community).where(True).values(last_number=1).returning(1)", True),
        ("text('UPDATE community SET last_number = last_number + 1 WHERE id = :id RETURNING last_number')", True),
        ("update(tables.community).values(last_number=1, title='x')", False),
        ("update(tables.community).values({'last_number': 1})", False),
        ("update(tables.community)", False),
        ("insert(tables.community).values(last_number=1)", False),
        ("text('UPDATE community SET last_number = 1, title = 2')", False),
    ],
)
def test_a_counter_of_another_row_may_be_moved_and_nothing_else_of_it(source: str, allowed: bool) -> None:
    assert (foreign_writes(writes("tidings.archive.store", _T + source, WRITERS)) == []) is allowed
