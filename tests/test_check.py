"""Check names what is damaged; rebuild makes all that is derived anew, and nothing looks other than before."""

import hashlib
import multiprocessing
import subprocess
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from urllib.parse import quote

import pytest
from sqlalchemy import Connection, Executable, delete, event, func, select, text, update

from tests.running import message, wait_until
from tests.small_site import (
    BERLIN,
    LI,
    PUMP,
    SAM,
    WEDNESDAY,
    SmallSite,
    any_site,
    as_entries,
    from_ana,
    makings,
    small_site,
)
from tests.test_import_export import GOOD, NO_ID, SAME_ID, SEAL
from tests.web_site import ADMIN, Browser, WebSite
from tidings.communities import joining
from tidings.database import tables
from tidings.database.engine import sqlite
from tidings.digests import previews
from tidings.errors import StorageError, UsageError
from tidings.mailer.worker import ParseWorker
from tidings.operations import arrivals, check, rereading
from tidings.settings import LimitSettings

FIXTURES = (any_site, makings, small_site)
DAMAGED = "Its raw bytes are not those that were stored; import the same message again to put them back."
MISPLACED = "It does not stand in the thread that it names; `tidings rebuild threads` mends that."
NOT_FOUND = "Search cannot find it; `tidings rebuild index` mends that."


def fill(site: SmallSite) -> None:
    """Old mail with ghosts, ids of ours and an attachment; then mail that came, and a reply to an item of a digest."""
    site.import_raws([*GOOD, NO_ID, SAME_ID])
    site.take_in(from_ana("Spare stock", "Are there two seals left?\n", "stock@example.org"))
    site.clock.set(datetime(2026, 10, 19, 8, 0, tzinfo=BERLIN))
    assert site.site.run_due().editions == 1
    with site.site.database.read() as connection:
        item, section = tables.item.c, tables.edition_section.c
        row = connection.execute(
            select(item.id, section.membership_id, tables.edition.c.message_id)
            .join_from(tables.item, tables.edition_section, section.id == item.section_id)
            .join(tables.edition, tables.edition.c.id == section.edition_id)
            .where(item.post_id.is_not(None))
        ).one()
    token = site.site.tokens.item(row.id, row.membership_id, site.clock.now().date())
    reply = message(
        SAM,
        PUMP,
        "Re: Pump team weekly",
        "Two, in the crib.\n\nOn Mon, 19 Oct 2026, Pump team wrote:\n> #1 Spare stock\n> Are there two seals left?\n",
        "crib@example.org",
        In_Reply_To=f"<{row.message_id}>",
        References=f"<{row.message_id}>",
    )
    site.take_in(reply, to=f"pump+r.{token}@lists.example.org")
    site.take_in(
        message(LI, PUMP, "Re: Spare stock", "Thanks!\n", "thanks@example.org", In_Reply_To="<crib@example.org>")
    )
    assert site.site.spool.counts() == {"waiting": 0, "held": 0, "shunted": 0}


def looks(site: SmallSite) -> tuple[object, ...]:
    """All that a reader can see."""
    queries = ("seal", "from:sam", "subject:stock", '"two seals"', "has:attachment", "Räder", "-seal", "ana crib")
    return site.tree(), site.shown(), [site.found(query) for query in queries]


def change(site: SmallSite, *statements: Executable) -> None:
    with site.site.database.write() as connection:
        for statement in statements:
            connection.execute(statement)


# --- check -----------------------------------------------------------------------------------------------------------


def test_a_store_in_which_all_is_well_has_no_findings(small_site: SmallSite) -> None:
    assert small_site.problems() == []
    fill(small_site)
    assert small_site.problems() == []


@pytest.mark.acceptance(82)
def test_one_flipped_byte_of_raw_mail_is_named(any_site: SmallSite) -> None:
    any_site.import_raws(GOOD)
    where = tables.blob.c.hash == hashlib.sha256(SEAL).digest()
    with any_site.site.database.read() as connection:
        data = connection.execute(select(tables.blob.c.data).where(where)).scalar_one()
    for place in (0, 1, 40, len(data) - 1):
        flipped = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
        change(any_site, update(tables.blob).where(where).values(data=flipped))
        assert any_site.problems() == [("seal@example.org", DAMAGED)], place
    change(any_site, update(tables.blob).where(where).values(data=data))
    assert any_site.problems() == []


def test_raw_mail_that_was_exchanged_is_named(small_site: SmallSite) -> None:
    """Bytes that unpack well are not yet the bytes that were stored."""
    small_site.import_raws(GOOD)
    where = tables.blob.c.hash == hashlib.sha256(SEAL).digest()
    change(small_site, update(tables.blob).where(where).values(data=zlib.compress(SAME_ID)))
    assert small_site.problems() == [("seal@example.org", DAMAGED)]


@pytest.mark.acceptance(82)
def test_a_post_that_names_another_thread_than_its_node_is_named_and_mended(small_site: SmallSite) -> None:
    fill(small_site)
    before = looks(small_site)
    post = tables.post
    other = select(func.max(post.c.thread_id)).scalar_subquery()
    change(small_site, update(post).where(post.c.message_id == "answer@example.org").values(thread_id=other))
    assert small_site.problems() == [("answer@example.org", MISPLACED)]
    small_site.rebuild("threads")
    assert small_site.problems() == []
    assert looks(small_site) == before


@pytest.mark.acceptance(82)
def test_a_post_without_a_node_is_named_and_mended(small_site: SmallSite) -> None:
    fill(small_site)
    before = looks(small_site)
    node = tables.node
    change(
        small_site,
        delete(tables.node_wish),
        delete(node).where(node.c.message_id == "later@example.org"),
    )
    assert small_site.problems() == [("later@example.org", MISPLACED)]
    small_site.rebuild("threads")
    assert small_site.problems() == []
    assert looks(small_site) == before


@pytest.mark.acceptance(82)
def test_a_post_that_search_cannot_find_is_named_and_mended(any_site: SmallSite) -> None:
    fill(any_site)
    before = looks(any_site)
    change(
        any_site,
        text("DELETE FROM post_text WHERE rowid = (SELECT id FROM post WHERE message_id = 'stock@example.org')"),
    )
    assert any_site.problems() == [("stock@example.org", NOT_FOUND)]
    assert looks(any_site) != before
    any_site.rebuild("index")
    assert any_site.problems() == []
    assert looks(any_site) == before


def test_findings_of_every_community_are_named_with_it(small_site: SmallSite) -> None:
    with small_site.site.database.write() as connection:
        joining.add_community(connection, name="valves", title="Valves", zone="UTC", now=WEDNESDAY)
    small_site.import_raws([SEAL])
    list(small_site.importer("valves").run(as_entries(SAME_ID)))
    change(small_site, update(tables.post).values(thread_id=0))
    found = list(check.check(small_site.site.database))
    assert [(one.community, one.message_id) for one in found] == [
        ("pump", "seal@example.org"),
        ("valves", "seal@example.org"),
    ]


# --- rebuild ---------------------------------------------------------------------------------------------------------


@pytest.mark.acceptance(82, 83)
def test_what_is_derived_is_made_anew_as_it_was(any_site: SmallSite) -> None:
    """Every derived table, the text index word by word, the pages and a digest; `all` after all of it was deleted."""
    fill(any_site)
    admin = WebSite(any_site.site.database).client(ADMIN)
    before, tables_before, pages_before = looks(any_site), derived(any_site), pages(any_site, admin)
    lost = dict.fromkeys(("subject", "author_name", "author_email", "recipients", "text"), "?")
    own = update(tables.post).where(tables.post.c.answers.is_(None))
    threads = (delete(tables.node_wish), delete(tables.node), update(tables.post).values(thread_id=0))
    index = (
        own.values(folds="[]", attachments=0, has_html=True, date=any_site.clock.now(), **lost),
        delete(tables.attachment),
        text("DELETE FROM post_text"),
    )
    cases: dict[check.What, tuple[Executable, ...]] = {"threads": threads, "index": index, "all": threads + index}
    for what, statements in cases.items():
        change(any_site, *statements)
        assert looks(any_site) != before
        assert any_site.rebuild(what) == [10]
        assert derived(any_site) == tables_before, what
        assert looks(any_site) == before, what
        assert any_site.problems() == []
    assert pages(any_site, admin) == pages_before


def derived(site: SmallSite) -> dict[str, list[tuple[object, ...]]]:
    """The rows of every derived table; ids that a rebuild gives anew stand as the message ids that they mean."""
    post, node, wish = tables.post, tables.node, tables.node_wish
    with site.site.database.read() as connection:
        names = dict(connection.execute(select(node.c.id, node.c.message_id)).all())
        nodes = connection.execute(select(node).order_by(node.c.message_id)).all()
        firsts: dict[int, str] = {}
        for row in nodes:
            firsts.setdefault(row.thread_id, row.message_id)
        posts = connection.execute(select(post).order_by(post.c.id)).mappings().all()
        rows = {
            "post": [(*(value for key, value in row.items() if key != "thread_id"), firsts.get(row["thread_id"]))
                     for row in posts],
            "attachment": connection.execute(select(tables.attachment).order_by(*tables.attachment.c)).all(),
            "node": [
                (row.message_id, firsts[row.thread_id], names.get(row.parent_id), row.parent_rank, row.why, row.date,
                 row.post_id)
                for row in nodes
            ],
            "node_wish": sorted(
                (names[row.ghost_id], names[row.node_id], row.rank, row.why)
                for row in connection.execute(select(wish))
            ),
        }  # fmt: skip
        if connection.dialect.name == "postgresql":
            rows["post_text"] = connection.execute(text("SELECT * FROM post_text ORDER BY rowid")).all()
    return rows | ({} if "post_text" in rows else {"post_text": _words(site)})


def _words(site: SmallSite) -> list[tuple[object, ...]]:
    """Every word of SQLite's text index with its post, its column and its place there."""
    connection = sqlite.connect(str(site.site.database.path))
    try:
        connection.execute("CREATE VIRTUAL TABLE temp.words USING fts5vocab('main', 'post_text', 'instance')")
        return connection.execute("SELECT term, doc, col, offset FROM temp.words ORDER BY 1, 2, 3, 4").fetchall()
    finally:
        connection.close()


def pages(site: SmallSite, browser: Browser) -> list[str]:
    """The pages of the archive as an admin sees them, and the digest that Sam would get."""
    paths = ["", "search?q=seal", "atom.xml", *(f"m/{quote(one, safe='@')}/" for one in sorted(site.shown()))]
    with site.site.database.read() as connection:
        digest = previews.preview(connection, "pump", SAM, site.clock.now(), site=site.site.settings.site)
    return [*(browser.get(f"/c/pump/{path}").text for path in paths), digest.text, digest.html]


def test_a_language_holds_for_what_is_there_once_the_index_is_made_anew(small_site: SmallSite) -> None:
    small_site.import_raws([SEAL.replace(b"seal@", b"haus@").replace(b"\n\n", b"\n\nDie Pumpen liefen.\n", 1)])
    with small_site.site.database.write() as connection:
        joining.set_community(connection, "pump", {"language": "german"}, WEDNESDAY)
    assert small_site.found("liefe") == []
    small_site.rebuild("index")
    assert small_site.found("liefe") == ["haus@example.org"]


def test_a_rebuild_of_what_is_well_changes_nothing(small_site: SmallSite) -> None:
    fill(small_site)
    before = looks(small_site)
    counts = {name: small_site.count(name) for name in tables.metadata.tables}
    for what in ("threads", "index", "all"):
        small_site.rebuild(what)  # type: ignore[arg-type]
        assert looks(small_site) == before
    assert {name: small_site.count(name) for name in tables.metadata.tables} == counts


def test_a_reply_to_an_item_of_a_digest_keeps_its_place_and_shows_none_of_the_digest(small_site: SmallSite) -> None:
    fill(small_site)
    change(small_site, delete(tables.node_wish), delete(tables.node), text("DELETE FROM post_text"))
    small_site.rebuild()
    assert small_site.tree()["crib@example.org"] == ("stock@example.org", 1, "reply-token")
    assert small_site.tree()["thanks@example.org"] == ("crib@example.org", 2, "in-reply-to")
    _, subject, *_, shown, folds, _, _ = small_site.shown()["crib@example.org"]
    assert (subject, shown.strip(), folds) == ("Re: Spare stock", "Two, in the crib.", ())
    assert small_site.found("weekly") == []
    assert small_site.found("crib") == ["crib@example.org"]


def test_ghosts_and_wishes_are_made_anew_so_that_a_late_parent_still_finds_its_children(small_site: SmallSite) -> None:
    fill(small_site)
    assert small_site.tree()["orphan@example.org"] == (None, 0, "ghost")
    change(small_site, delete(tables.node_wish), delete(tables.node))
    small_site.rebuild("threads")
    small_site.import_raws([SEAL.replace(b"seal@", b"never-seen@"), SEAL.replace(b"seal@", b"lost@")])
    assert small_site.tree()["orphan@example.org"] == ("lost@example.org", 1, "in-reply-to")
    assert small_site.tree()["aside@example.org"] == ("lost@example.org", 1, "in-reply-to")


def test_a_damaged_post_stops_no_rebuild_and_what_is_stored_of_it_stays(small_site: SmallSite) -> None:
    fill(small_site)
    shown = small_site.shown()["seal@example.org"]
    where = tables.blob.c.hash == hashlib.sha256(SEAL).digest()
    change(small_site, update(tables.blob).where(where).values(data=b"damaged"))
    small_site.rebuild()
    assert small_site.shown()["seal@example.org"] == shown
    assert small_site.tree()["answer@example.org"][0] == "seal@example.org"
    assert small_site.problems() == [("seal@example.org", DAMAGED)]


def test_a_post_that_can_be_read_no_more_stays_as_it_is(small_site: SmallSite) -> None:
    many = SEAL.replace(b"seal@", b"many@").replace(b"Subject:", b"X-A: 1\n" * 9 + b"Subject:")
    small_site.import_raws([many, SEAL])
    before = looks(small_site)
    small_site.worker = ParseWorker(LimitSettings(fields=10))
    small_site.rebuild()
    small_site.worker.close()
    assert looks(small_site) == before
    assert small_site.problems() == []


def test_mail_that_comes_while_threads_are_made_anew_keeps_its_place(
    any_site: SmallSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It comes between the last look at the posts and the moment at which the new threads take the place of the old."""
    fill(any_site)
    change(
        any_site, delete(tables.node_wish), delete(tables.node).where(tables.node.c.message_id != "stock@example.org")
    )
    database, write = any_site.site.database, any_site.site.database.write
    late = [from_ana("Re: Spare stock", "I took one.\n", "late@example.org", In_Reply_To="<thanks@example.org>")]

    @contextmanager
    def write_late() -> Iterator[Connection]:
        if late:
            any_site.take_in(late.pop())
        with write() as connection:
            yield connection

    monkeypatch.setattr(database, "write", write_late)
    any_site.rebuild("threads")
    assert not late
    assert any_site.tree()["late@example.org"] == ("thanks@example.org", 3, "in-reply-to")
    assert any_site.problems() == []


def test_no_transaction_of_a_rebuild_is_long(small_site: SmallSite, monkeypatch: pytest.MonkeyPatch) -> None:
    """So many statements at most, whatever there is to write; where nothing differs, threads write nothing at all."""
    fill(small_site)
    before = looks(small_site)
    monkeypatch.setattr(check, "_WRITTEN", 2)
    counts: list[int] = []

    def count(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        if statement.startswith("BEGIN"):
            counts.append(0)
        else:
            counts[-1] += 1

    event.listen(small_site.site.database._writer, "before_cursor_execute", count)
    small_site.rebuild("threads")
    assert counts == []
    change(small_site, delete(tables.node_wish), delete(tables.node), text("DELETE FROM post_text"))
    counts.clear()
    small_site.rebuild()
    assert len(counts) > 10
    assert max(counts) < 15
    assert looks(small_site) == before


def test_a_rebuild_in_pieces_is_a_rebuild(small_site: SmallSite, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(small_site)
    before = looks(small_site)
    change(small_site, delete(tables.node_wish), delete(tables.node), text("DELETE FROM post_text"))
    monkeypatch.setattr(rereading, "_ROWS", rereading._ROWS.limit(3))
    assert small_site.rebuild() == [3, 6, 9, 10]
    assert looks(small_site) == before


def test_posts_are_read_by_several_processes_as_by_one(any_site: SmallSite, monkeypatch: pytest.MonkeyPatch) -> None:
    fill(any_site)
    before = looks(any_site)
    change(any_site, delete(tables.node_wish), delete(tables.node))
    monkeypatch.setattr(arrivals, "FEW", 0)
    monkeypatch.setattr(arrivals, "_SPAN", 3)
    assert any_site.rebuild("threads") == [3, 6, 9, 10]
    assert looks(any_site) == before
    assert any_site.differences() == []
    assert multiprocessing.active_children() == []


def test_a_process_that_is_killed_ends_a_rebuild_with_what_to_do(
    small_site: SmallSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    small_site.import_raws(GOOD)
    monkeypatch.setattr(arrivals, "FEW", 0)
    monkeypatch.setattr(arrivals, "_SPAN", 1)
    monkeypatch.setattr(arrivals, "_AHEAD", 0)
    reading = arrivals.arrivals(small_site.site.database, small_site.community().id, small_site.site.settings, 0, 4)
    next(reading)
    for helper in multiprocessing.active_children():
        helper.kill()
    with pytest.raises(StorageError, match="Say it again"):
        list(reading)


# Begins to read the posts of a community, says which processes do, and waits.
_READS = """
import multiprocessing, sys
from pathlib import Path
from tidings.app import open_site
from tidings.operations import arrivals
from tidings.settings import load
if __name__ == "__main__":
    arrivals.FEW, arrivals._SPAN = 0, 1
    site = open_site(load(Path(sys.argv[1])))
    reading = arrivals.arrivals(site.database, 1, site.settings, 0, 4)
    next(reading)
    print(*(helper.pid for helper in multiprocessing.active_children()), flush=True)
    sys.stdin.read()
"""


def test_processes_that_read_end_with_the_program_that_was_killed(tmp_path: Path) -> None:
    script, config = tmp_path / "reads.py", tmp_path / "tidings.toml"
    script.write_text(_READS)
    config.write_text(f'[site]\nadmins = ["{ADMIN}"]\n')
    command = [sys.executable, str(script), str(config)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        helpers = [int(number) for number in program.stdout.readline().split()]
        assert helpers and all(map(_runs, helpers))
        program.kill()
        program.wait()
        wait_until(lambda: not any(map(_runs, helpers)), "an end of what the program had started")


def _runs(process: int) -> bool:
    try:
        state = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


def test_an_empty_community_is_rebuilt_to_an_empty_one(small_site: SmallSite) -> None:
    assert small_site.rebuild() == []
    assert small_site.tree() == {}


@pytest.mark.parametrize("what", ["threads", "index", "all"])
def test_what_can_be_rebuilt_has_a_name(what: str) -> None:
    assert check.which(what) == what


def test_what_cannot_be_rebuilt_is_refused_with_what_can() -> None:
    with pytest.raises(UsageError, match="threads, index or all"):
        check.which("thread")
