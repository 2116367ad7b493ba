"""Old mail in and the archive out: a verdict for every message, nothing twice, every byte back, and nobody is told."""

import gzip
import json
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from tests.running import message
from tests.small_site import (
    ANA,
    BERLIN,
    LI,
    PUMP,
    SAM,
    WEDNESDAY,
    Makings,
    Program,
    SmallSite,
    any_site,
    as_entries,
    makings,
    small_site,
)
from tests.web_site import ADMIN, WebSite
from tidings.archive import read
from tidings.communities import directory, joining
from tidings.database import tables
from tidings.operations import exporting, importing
from tidings.settings import LimitSettings

FIXTURES = (any_site, makings, small_site)

SEAL = b"""\
From: Ana <ana@example.org>
To: pump@lists.example.org
Subject: Seal leaks at start-up
Date: Mon, 02 Mar 2026 08:00:00 +0100
Message-ID: <seal@example.org>

Which seal is on line 3?
From here it looks like the old one.
>From there, too.
"""
ANSWER = b"""\
From: Li <li@example.org>
To: pump@lists.example.org
Subject: Re: Seal leaks at start-up
Date: Mon, 02 Mar 2026 09:00:00 +0100
Message-ID: <answer@example.org>
In-Reply-To: <seal@example.org>
References: <seal@example.org>

On Monday, Ana wrote:
> Which seal is on line 3?

The new one.
"""
LATER = b"""\
From: Sam <sam@example.org>
Subject: =?utf-8?q?Pumpenr=C3=A4der?=
Date: Tue, 03 Mar 2026 09:00:00 +0100
Message-ID: <later@example.org>
References: <seal@example.org> <never-seen@example.org> <answer@example.org>
Content-Type: multipart/mixed; boundary="=="

--==
Content-Type: text/plain; charset=utf-8

Die R\xc3\xa4der sind da.
--==
Content-Type: text/csv
Content-Disposition: attachment; filename="wheels.csv"
Content-Transfer-Encoding: base64

YTtiCg==
--==--
"""
ORPHAN = b"""\
From: Raj <raj@example.org>
Subject: Re: Something before our time
Date: Tue, 03 Mar 2026 10:00:00 +0100
Message-ID: <orphan@example.org>
In-Reply-To: <lost@example.org>

Yes.
"""
SECOND_ORPHAN = ORPHAN.replace(b"orphan@", b"aside@").replace(b"10:00", b"11:00").replace(b"Yes.", b"No.")
GOOD = (SEAL, ANSWER, LATER, ORPHAN, SECOND_ORPHAN)

NO_ID = b"From: ana@example.org\nSubject: No id\nDate: Wed, 04 Mar 2026 09:00:00 +0100\n\nWritten by hand.\n"
SAME_ID = SEAL.replace(b"Which seal", b"Quite another thing: which pump")
TOO_COMPLEX = b"From: ana@example.org\n" + b"X-Field: 1\n" * (LimitSettings().fields + 1) + b"\nHello.\n"


def quoted(raw: bytes) -> bytes:
    """As mboxrd has it."""
    return raw.replace(b"\n>From ", b"\n>>From ").replace(b"\nFrom ", b"\n>From ")


def as_mbox(*raws: bytes) -> bytes:
    """An mbox of them, each with a From_ line of its own."""
    return b"".join(
        b"From ana@example.org Mon Mar  2 08:%02d:00 2026\n" % number + quoted(raw) + b"\n"
        for number, raw in enumerate(raws)
    )


def written(folder: Path, *raws: bytes, name: str = "old.mbox") -> Path:
    path = folder / name
    path.write_bytes(as_mbox(*raws))
    return path


def verdicts(found: list[importing.ImportVerdict]) -> list[str]:
    return [one.verdict for one in found]


# --- verdicts --------------------------------------------------------------------------------------------------------


def test_every_message_gets_a_verdict_in_the_order_of_the_file(small_site: SmallSite, tmp_path: Path) -> None:
    path = written(tmp_path, SEAL, TOO_COMPLEX, b"\n", SEAL, NO_ID, SAME_ID)
    found = small_site.import_file(path)
    assert [(one.verdict, one.source) for one in found] == [
        ("stored", f"{path}:1"),
        ("held", f"{path}:2"),
        ("refused", f"{path}:3"),
        ("duplicate", f"{path}:4"),
        ("stored", f"{path}:5"),
        ("stored", f"{path}:6"),
    ]
    assert found[1].reason == f"It has more than {LimitSettings().fields} header fields."
    assert found[2].reason == "It is empty."
    assert found[3].reason == "It is in the archive already."
    assert found[0].message_id == found[3].message_id == "seal@example.org"
    assert small_site.raws() == [SEAL, NO_ID, SAME_ID]


def test_the_offsets_grow_to_the_end_of_the_file(small_site: SmallSite, tmp_path: Path) -> None:
    path = written(tmp_path, *GOOD)
    offsets = [one.offset for one in small_site.import_file(path)]
    ends = [len(as_mbox(*GOOD[:number])) for number in range(1, len(GOOD) + 1)]
    assert offsets == ends
    assert offsets[-1] == path.stat().st_size


def test_the_same_import_again_stores_nothing(any_site: SmallSite, tmp_path: Path) -> None:
    path = written(tmp_path, *GOOD, NO_ID, SAME_ID, TOO_COMPLEX)
    first = any_site.import_file(path)
    tables_before = {name: any_site.count(name) for name in tables.metadata.tables}
    tree_before = any_site.tree()
    again = any_site.import_file(path)
    assert verdicts(first) == ["stored"] * 7 + ["held"]
    assert verdicts(again) == ["duplicate"] * 7 + ["held"]
    assert [one.message_id for one in again] == [one.message_id for one in first]
    assert {name: any_site.count(name) for name in tables.metadata.tables} == tables_before
    assert any_site.tree() == tree_before


def test_no_archive_number_is_left_out_whatever_is_in_a_file(any_site: SmallSite, tmp_path: Path) -> None:
    any_site.import_raws([SEAL])
    path = written(tmp_path, SEAL, ANSWER, TOO_COMPLEX, ANSWER, NO_ID, b"\n", NO_ID, SAME_ID, LATER)
    found = verdicts(any_site.import_file(path))
    assert found[:5] == ["duplicate", "stored", "held", "duplicate", "stored"]
    assert found[5:] == ["refused", "duplicate", "stored", "stored"]
    any_site.import_raws([ORPHAN])
    with any_site.site.database.read() as connection:
        numbers = connection.execute(select(tables.post.c.number).order_by(tables.post.c.id)).scalars().all()
    assert numbers == [1, 2, 3, 4, 5, 6]
    assert any_site.community().last_number == 6


def test_a_message_that_breaks_the_parser_is_held_once_however_often_it_is_imported(small_site: SmallSite) -> None:
    small_site.import_raws([TOO_COMPLEX, SEAL, TOO_COMPLEX])
    small_site.import_raws([TOO_COMPLEX])
    (held,) = small_site.site.spool.listing("held")
    assert held.recipient == PUMP
    assert held.reason == f"It has more than {LimitSettings().fields} header fields."
    assert small_site.site.spool.raw(held.key) == TOO_COMPLEX


def test_what_is_held_for_one_community_is_held_for_another_too(small_site: SmallSite) -> None:
    with small_site.site.database.write() as connection:
        joining.add_community(connection, name="valves", title="Valves", zone="UTC", now=WEDNESDAY)
    small_site.import_raws([TOO_COMPLEX])
    list(small_site.importer("valves").run(as_entries(TOO_COMPLEX)))
    recipients = [one.recipient for one in small_site.site.spool.listing("held")]
    assert recipients == [PUMP, "valves@lists.example.org"]


# --- ids and dates ---------------------------------------------------------------------------------------------------


def test_a_message_without_an_id_gets_one_that_is_always_the_same(small_site: SmallSite) -> None:
    (first,) = small_site.import_raws([NO_ID])
    assert first.message_id is not None
    assert first.message_id.endswith("@lists.example.org")
    assert first.reason == "Its Message-ID could not be kept (none)."
    (again,) = small_site.import_raws([NO_ID.replace(b"\n", b"\r\n")])
    assert (again.verdict, again.message_id) == ("duplicate", first.message_id)


@pytest.mark.acceptance(24)
def test_another_message_with_a_used_id_is_kept_under_an_id_of_ours(small_site: SmallSite) -> None:
    first, second = small_site.import_raws([SEAL, SAME_ID])
    assert (first.message_id, first.reason) == ("seal@example.org", "")
    assert second.verdict == "stored"
    assert second.message_id != first.message_id
    assert second.reason == "Its Message-ID could not be kept (seal@example.org)."
    with small_site.site.database.read() as connection:
        kept = read.post(connection, small_site.community().id, str(second.message_id))
    assert kept is not None
    assert kept.sent_id == "seal@example.org"


def test_a_date_in_the_future_is_not_believed(small_site: SmallSite) -> None:
    small_site.import_raws([SEAL.replace(b"2026", b"2099"), ANSWER])
    shown = small_site.shown()
    assert shown["seal@example.org"][5] == small_site.clock.now()
    assert shown["answer@example.org"][5] == datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


def test_a_message_without_a_date_has_that_of_its_from_line(small_site: SmallSite, tmp_path: Path) -> None:
    undated = SEAL.replace(b"Date: Mon, 02 Mar 2026 08:00:00 +0100\n", b"")
    small_site.import_file(written(tmp_path, ANSWER, undated))
    assert small_site.shown()["seal@example.org"][5] == datetime(2026, 3, 2, 8, 1, tzinfo=UTC)


# --- dry runs --------------------------------------------------------------------------------------------------------


def test_a_dry_run_gives_the_same_verdicts_and_keeps_nothing(
    small_site: SmallSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(importing, "_BATCH", 2)  # so that what an earlier batch would have stored matters
    raws = [SEAL, NO_ID, ANSWER, SEAL, TOO_COMPLEX, NO_ID, b"\n", SAME_ID, ORPHAN, SAME_ID]
    before = {name: small_site.count(name) for name in tables.metadata.tables}
    dry = small_site.import_raws(raws, dry_run=True)
    assert {name: small_site.count(name) for name in tables.metadata.tables} == before
    assert small_site.community().last_number == 0
    assert small_site.site.spool.listing("held") == []
    assert verdicts(dry) == verdicts(small_site.import_raws(raws))
    assert verdicts(dry).count("duplicate") == 3


# --- what can be imported --------------------------------------------------------------------------------------------


def test_an_mbox_a_gzipped_one_a_maildir_an_eml_and_a_folder_give_the_same_archive(
    tmp_path: Path, small_site: SmallSite
) -> None:
    plain = written(tmp_path, *GOOD)
    packed = tmp_path / "old.mbox.gz"
    packed.write_bytes(gzip.compress(plain.read_bytes()))
    maildir, folder = tmp_path / "Maildir", tmp_path / "folder"
    for path in (maildir / "cur", maildir / "new", maildir / "tmp", folder / "deeper"):
        path.mkdir(parents=True)
    for number, raw in enumerate(GOOD):
        (maildir / ("cur" if number % 2 else "new") / f"{number}.host:2,S").write_bytes(raw)
        (folder / ("deeper" if number % 2 else "") / f"{number}.eml").write_bytes(raw)
    assert verdicts(small_site.import_file(plain)) == ["stored"] * 5
    tree, shown = small_site.tree(), small_site.shown()
    for path in (packed, maildir, folder, folder / "0.eml"):
        found = small_site.import_file(path)
        assert set(verdicts(found)) == {"duplicate"}, path
        assert len(found) == (1 if path.suffix == ".eml" else 5)
    assert (small_site.tree(), small_site.shown()) == (tree, shown)


# --- nobody is told --------------------------------------------------------------------------------------------------


def test_imported_mail_is_not_sent_and_no_digest_tells_of_it(any_site: SmallSite) -> None:
    any_site.import_raws([*GOOD, NO_ID])
    assert any_site.count("outbox") == any_site.count("delivery") == 0
    any_site.clock.set(datetime(2026, 10, 19, 8, 0, tzinfo=BERLIN))
    done = any_site.site.run_due()
    assert (done.editions, done.quiet) == (0, 1)
    assert any_site.count("outbox") == 0

    # What comes by mail afterwards is told, alone.
    any_site.take_in(message(ANA, PUMP, "Spare stock", "Are two seals left?\n", "stock@example.org"))
    any_site.clock.set(datetime(2026, 10, 26, 8, 0, tzinfo=BERLIN))
    assert any_site.site.run_due().editions == 1
    with any_site.site.database.read() as connection:
        items = connection.execute(select(tables.item.c.post_id).where(tables.item.c.post_id.is_not(None))).all()
        stock = read.post(connection, any_site.community().id, "stock@example.org")
    assert stock is not None
    assert items == [(stock.id,)]


def test_mail_of_strangers_and_programs_is_imported_too(small_site: SmallSite) -> None:
    program = NO_ID.replace(b"Subject:", b"Auto-Submitted: auto-replied\nPrecedence: list\nSubject:")
    loop = ORPHAN.replace(b"Subject:", b"X-Tidings-Loop: pump@lists.example.org\nSubject:")
    found = small_site.import_raws([SEAL.replace(b"ana@", b"stranger@"), program, loop])
    assert verdicts(found) == ["stored"] * 3


@pytest.mark.acceptance(106)
def test_what_is_imported_is_never_visible_to_who_is_not_signed_in(
    small_site: SmallSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A community made for an import is private: a stranger who asks after every message gets what stands nowhere."""
    monkeypatch.setattr(importing, "_BATCH", 1)
    with small_site.site.database.write() as connection:
        joining.add_community(connection, name="old", title="Old seals", zone="UTC", now=WEDNESDAY)
    web = WebSite(small_site.site.database)
    stranger, admin = web.client(), web.client(ADMIN)
    post = "m/seal@example.org/"
    paths = ["/", *(f"/c/old/{page}" for page in ("", "search?q=seal", "atom.xml", "mbox", post, f"{post}raw"))]
    for _ in small_site.importer("old").run(as_entries(*GOOD)):
        for path in paths:
            answer = stranger.get(path)
            assert not any(word in answer.text for word in ("leaks", "Old seals", "Ana")), path
            assert answer.status_code == (200 if path == "/" else 404), path
    assert all(admin.get(path).status_code == 200 for path in paths)


@pytest.mark.acceptance(106)
def test_who_crawls_while_an_import_runs_sees_nothing_of_it(small_site: SmallSite) -> None:
    """In a thread of its own, round after round: before, between and inside the transactions of the import."""
    with small_site.site.database.write() as connection:
        joining.add_community(connection, name="old", title="Old seals", zone="UTC", now=WEDNESDAY)
    stranger = WebSite(small_site.site.database).client()
    pages = ("", "search?q=number", "atom.xml", "mbox", "m/0@example.org/", "m/0@example.org/raw")
    over, seen = threading.Event(), list[tuple[str, int]]()

    def crawl() -> int:
        rounds = 0
        while not over.is_set() or not rounds:
            seen.extend((page, stranger.get(f"/c/old/{page}").status_code) for page in pages)
            seen.extend(("/", 200) for _ in range("Old seals" in stranger.get("/").text))
            rounds += 1
        return rounds

    with ThreadPoolExecutor(1) as pool:
        crawling = pool.submit(crawl)
        found = list(small_site.importer("old").run(as_entries(*thread_of(60))))
        over.set()
        assert crawling.result() > 0
    assert verdicts(found).count("stored") == len(found)
    assert set(seen) == {(page, 404) for page in pages}


# --- any order -------------------------------------------------------------------------------------------------------


def thread_of(size: int) -> list[bytes]:
    """A bushy thread in which some messages are lost, and a loop of two."""
    made = []
    for number in range(size):
        chain = [number]
        while chain[-1]:
            chain.append((chain[-1] - 1) // 2)
        references = " ".join(f"<{one}@example.org>" for one in reversed(chain[1:]))
        field = f"References: {references}\n" if references else ""
        moment = f"Mon, 02 Mar 2026 08:{number:02}:00 +0000"
        head = f"From: p{number}@example.org\nSubject: {number}\nDate: {moment}\nMessage-ID: <{number}@example.org>\n"
        made.append(f"{head}{field}\nI am number {number}.\n".encode())
    lost = {1, 5, 6}
    loop = [
        f"From: a@example.org\nDate: Tue, 03 Mar 2026 08:00:0{one} +0000\nMessage-ID: <loop{one}@example.org>\n"
        f"In-Reply-To: <loop{1 - one}@example.org>\n\nRound {one}.\n".encode()
        for one in (0, 1)
    ]
    return [raw for number, raw in enumerate(made) if number not in lost] + loop + [SEAL, ANSWER, LATER, ORPHAN]


@pytest.fixture(scope="module")
def in_order(tmp_path_factory: pytest.TempPathFactory, makings: Makings) -> list[str]:
    return _tree_of(thread_of(20), tmp_path_factory.mktemp("ordered"), makings)


def _tree_of(raws: list[bytes], folder: Path, makings: Makings) -> list[str]:
    """The lines of `tidings tree --json`, sorted."""
    config = folder / "tidings.toml"
    config.write_text("")
    with SmallSite(folder, makings) as site:
        assert set(verdicts(site.import_raws(raws))) == {"stored"}
    return sorted(Program(config)("tree", "pump", "--json").text.splitlines())


@pytest.mark.parametrize("seed", range(6))
def test_any_order_of_import_gives_the_same_tree(
    seed: int, in_order: list[str], tmp_path: Path, makings: Makings
) -> None:
    shuffled = thread_of(20)
    random.Random(seed).shuffle(shuffled)
    assert _tree_of(shuffled, tmp_path, makings) == in_order


def test_the_tree_of_the_shuffles_is_one_worth_shuffling(in_order: list[str]) -> None:
    lines = {line["message_id"]: line for line in map(json.loads, in_order)}
    assert len(lines) == 23
    assert lines["3@example.org"]["parent"] == "0@example.org", "its parent was never seen"
    assert lines["9@example.org"]["parent"] == "4@example.org"
    assert {line["why"] for line in lines.values()} == {"root", "references", "in-reply-to", "ghost", "loop"}


# --- export ----------------------------------------------------------------------------------------------------------


def test_an_exported_mbox_is_the_imported_file_byte_for_byte(any_site: SmallSite, tmp_path: Path) -> None:
    odd = SEAL.replace(b"seal@", b"odd@").replace(b"\n", b"\r\n")  # kept as it is, line ends too
    path = tmp_path / "old.mbox"
    line = b"From  somebody else  Mon Mar  2 09:07 2026 remote from plant\n"
    path.write_bytes(as_mbox(*GOOD, NO_ID) + line + quoted(odd) + b"\n")
    assert verdicts(any_site.import_file(path)) == ["stored"] * 7
    out = tmp_path / "out.mbox"
    numbers = list(exporting.to_mbox(any_site.site.database, any_site.community().id, out))
    assert numbers == list(range(1, 8))
    assert out.read_bytes() == path.read_bytes()
    assert not (tmp_path / "out.mbox.part").exists()


def test_an_exported_maildir_has_every_byte_and_a_second_export_doubles_nothing(
    small_site: SmallSite, tmp_path: Path
) -> None:
    small_site.import_file(written(tmp_path, *GOOD))
    small_site.take_in(message(ANA, PUMP, "Spare", "Two?\n", "spare@example.org"))
    for _ in range(2):
        assert list(exporting.to_maildir(small_site.site.database, small_site.community().id, tmp_path / "out"))
    files = sorted((tmp_path / "out" / "new").iterdir())
    assert [file.read_bytes() for file in files] == small_site.raws()
    assert b"\r\n\r\nTwo?\r\n" in files[-1].read_bytes()
    assert [file.read_bytes() for file in files[:-1]] == list(GOOD)
    assert list((tmp_path / "out" / "tmp").iterdir()) == []


def test_mail_that_came_by_smtp_is_exported_with_plain_line_ends_and_a_made_from_line(
    small_site: SmallSite, tmp_path: Path
) -> None:
    spare = message(LI, PUMP, "Spare", "From the stock?\n", "spare@example.org", Date="Wed, 14 Oct 2026 08:59:00 +0200")
    small_site.take_in(spare)
    out = tmp_path / "out.mbox"
    list(exporting.to_mbox(small_site.site.database, small_site.community().id, out))
    text = out.read_bytes()
    assert text.startswith(b"From li@example.org Wed Oct 14 06:59:00 2026\n")
    assert text.endswith(b"\n\n>From the stock?\n\n")
    assert b"\r" not in text

    with SmallSite(tmp_path / "other", small_site.makings) as other:
        assert verdicts(other.import_file(out)) == ["stored"]
        (raw,) = other.raws()
        assert raw.replace(b"\n", b"\r\n") == small_site.raws()[0]


def test_an_export_in_pieces_misses_nothing(small_site: SmallSite, monkeypatch: pytest.MonkeyPatch) -> None:
    small_site.import_raws(thread_of(20))
    monkeypatch.setattr(exporting, "_BATCH", 4)
    found = list(exporting.posts(small_site.site.database, small_site.community().id))
    assert [one.raw for one in found] == small_site.raws()


def test_an_export_that_fails_leaves_the_file_that_was_there(small_site: SmallSite, tmp_path: Path) -> None:
    small_site.import_raws([SEAL])
    out = tmp_path / "out.mbox"
    out.write_bytes(b"kept")
    exported = exporting.to_mbox(small_site.site.database, small_site.community().id, out)
    next(exported)
    exported.close()
    assert out.read_bytes() == b"kept"


def test_sams_cursor_stays_where_it_is_when_mail_is_imported(small_site: SmallSite) -> None:
    small_site.import_raws(GOOD)
    with small_site.site.database.read() as connection:
        sam = directory.member_by_address(connection, small_site.community().id, SAM)
    assert sam is not None
    assert sam.cursor == 0


def test_a_parent_that_comes_late_ends_a_join_by_subject_and_rebuild_agrees(any_site: SmallSite) -> None:
    def raw(message_id: str, subject: str, day: int, more: str = "") -> bytes:
        lines = (
            *(f"Message-ID: <{message_id}@x>", "From: Ana <ana@example.org>", "To: pump@lists.example.org"),
            *(f"Date: Mon, {day} Sep 2026 10:00:00 +0000", f"Subject: {subject}"),
        )
        return ("\n".join(lines) + f"\n{more}\nSome words of the day.\n").encode()

    any_site.import_raws([raw("asked", "Seal", 1), raw("reply", "Re: Seal", 3, "In-Reply-To: <late@x>\n")])
    assert any_site.tree()["reply@x"] == ("asked@x", 1, "subject")
    any_site.import_raws([raw("late", "Bearings", 2)])
    assert any_site.tree()["reply@x"] == ("late@x", 1, "in-reply-to")
    assert any_site.problems() == []
    shown, placed = any_site.shown(), any_site.tree()
    any_site.rebuild("threads")
    assert (any_site.shown(), any_site.tree()) == (shown, placed)
    assert len({tuple(row[-1]) for row in shown.values()}) == 2
