"""One flipped byte of what is derived is named, and mended from the raw bytes; those come back by an import."""

import hashlib
import shutil
from pathlib import Path

import pytest
from sqlalchemy import Table, select, text, update

from tests.small_site import Makings, Program, SmallSite, any_site, makings, small_site
from tests.test_check import DAMAGED, change, derived, fill, looks
from tests.test_import_export import GOOD, SEAL
from tidings.database import tables
from tidings.operations import compare as comparing

FIXTURES = (any_site, makings, small_site)
post = tables.post


def flipped(value: object) -> object:
    """The value with one bit of one byte other than it was."""
    if isinstance(value, str):
        return chr(ord(value[0]) ^ 1) + value[1:]
    if isinstance(value, bytes):
        return bytes([value[0] ^ 1]) + value[1:]
    return value ^ 1  # type: ignore[operator]


POSTS = ("subject", "author_name", "author_email", "recipients", "date", "text", "attachments")
NODES = ("why", "date", "parent_id", "parent_rank", "thread_id", "kin_id")
FLIPS = (
    *((tables.post, column, "answer@example.org", comparing._SHOWN) for column in POSTS),
    *((tables.attachment, column, "later@example.org", comparing._SHOWN) for column in ("filename", "size")),
    *((tables.node, column, "later@example.org", comparing._PLACED) for column in NODES),
)


def flip(site: SmallSite, table: Table, column: str, message_id: str) -> None:
    """Flip a byte, as it is stored, in the row of a post or of what belongs to it; twice is as before."""
    if "message_id" in table.c:
        own = table.c.message_id == message_id
    else:
        own = table.c.post_id == select(post.c.id).where(post.c.message_id == message_id).scalar_subquery()
    with site.site.database.write() as connection:
        found = connection.execute(select(text(column)).select_from(table).where(own)).scalar_one()
        connection.execute(update(table).where(own).values({column: text(":new").bindparams(new=flipped(found))}))


@pytest.mark.acceptance(82)
def test_a_flipped_byte_of_a_post_or_a_node_is_named_and_mended(any_site: SmallSite) -> None:
    fill(any_site)
    before, rows = looks(any_site), derived(any_site)
    for table, column, message_id, problem in FLIPS:
        flip(any_site, table, column, message_id)
        assert (message_id, problem) in any_site.differences(), column
        flip(any_site, table, column, message_id)
    assert any_site.differences() == []
    for table, column, message_id, _ in FLIPS:
        flip(any_site, table, column, message_id)
    any_site.rebuild()
    assert any_site.differences() == []
    assert (looks(any_site), derived(any_site)) == (before, rows)


# --- the text index --------------------------------------------------------------------------------------------------


@pytest.mark.acceptance(82)
def test_a_flipped_byte_of_sqlites_text_index_is_named_and_mended(small_site: SmallSite) -> None:
    """In every block of it, at several places; only what changes no word, and no place of one, may go unnamed."""
    fill(small_site)
    rows = derived(small_site)
    with small_site.site.database.read() as connection:
        blocks = connection.execute(text("SELECT id, block FROM post_text_data")).all()
    named = 0
    for number, block in blocks:
        for place in range(0, len(block), max(len(block) // 7, 1)):
            put_block(small_site, number, block[:place] + bytes([block[place] ^ 4]) + block[place + 1 :])
            found = small_site.differences()
            named += bool(found)
            assert found or derived(small_site) == rows, (number, place)
            put_block(small_site, number, block)
    assert named > len(blocks) * 3
    assert small_site.differences() == []


@pytest.mark.acceptance(82)
def test_a_damaged_text_index_is_made_anew(small_site: SmallSite) -> None:
    fill(small_site)
    before, rows = looks(small_site), derived(small_site)
    with small_site.site.database.read() as connection:
        blocks = connection.execute(text("SELECT id, block FROM post_text_data WHERE length(block) > 100")).all()
    for number, block in blocks[:2]:
        for place in range(0, len(block), max(len(block) // 5, 1)):
            put_block(small_site, number, block[:place] + bytes([block[place] ^ 4]) + block[place + 1 :])
            small_site.rebuild("index")
            assert small_site.differences() == [], place
            assert (looks(small_site), derived(small_site)) == (before, rows), place


def put_block(site: SmallSite, number: int, block: bytes) -> None:
    change(site, text("UPDATE post_text_data SET block = :block WHERE id = :id").bindparams(block=block, id=number))


@pytest.mark.acceptance(82)
@pytest.mark.needs("postgres")
def test_another_word_in_postgresqls_text_index_is_named_and_mended(
    makings: Makings, tmp_path: Path, postgres_url: str
) -> None:
    with SmallSite(tmp_path, makings, postgres_url) as site:
        fill(site)
        before, rows = looks(site), derived(site)
        other = "CAST(replace(CAST(words AS text), 'seal', 'sebl') AS tsvector)"
        stock = "(SELECT id FROM post WHERE message_id = 'stock@example.org')"
        change(site, text(f"UPDATE post_text SET words = {other} WHERE rowid = {stock}"))
        assert site.differences() == [("stock@example.org", comparing._FOUND)]
        site.rebuild("index")
        assert site.differences() == []
        assert (looks(site), derived(site)) == (before, rows)


# --- raw bytes -------------------------------------------------------------------------------------------------------


@pytest.mark.acceptance(82)
def test_damaged_raw_bytes_are_put_back_by_an_import_of_the_same_message(any_site: SmallSite) -> None:
    any_site.import_raws(GOOD)
    where = tables.blob.c.hash == hashlib.sha256(SEAL).digest()
    with any_site.site.database.read() as connection:
        data = connection.execute(select(tables.blob.c.data).where(where)).scalar_one()
    change(any_site, update(tables.blob).where(where).values(data=data[:40] + bytes([data[40] ^ 1]) + data[41:]))
    assert any_site.problems() == [("seal@example.org", DAMAGED)]
    again = any_site.import_raws(GOOD)
    assert {one.verdict for one in again} == {"duplicate"}
    mended = "It is in the archive already. Its raw bytes were damaged there, and are put back."
    assert [one.message_id for one in again if one.reason == mended] == ["seal@example.org"]
    assert any_site.problems() == any_site.differences() == []
    assert any_site.raws() == list(GOOD)


def test_what_is_twice_in_one_import_was_not_damaged(small_site: SmallSite) -> None:
    for dry_run in (True, False):
        _, again = small_site.import_raws([SEAL, SEAL], dry_run=dry_run)
        assert again.reason == "It is in the archive already."


# --- SQLite's log ----------------------------------------------------------------------------------------------------


@pytest.fixture
def cut_off(small_site: SmallSite, tmp_path: Path) -> Path:
    """The files of a site as a power cut leaves them, its newest commits in the log only."""
    small_site.import_raws(GOOD)
    folder = tmp_path / "cut-off"
    shutil.copytree(tmp_path, folder, ignore=shutil.ignore_patterns("cut-off", "*-shm"))
    (folder / "tidings.toml").write_text("")
    return folder


def log_of(folder: Path) -> Path:
    return max(folder.glob("*-wal"), key=lambda path: path.stat().st_size)


@pytest.mark.acceptance(82)
@pytest.mark.parametrize("share", [0, 0.01, 0.3, 0.7, 0.99, 1])
def test_a_flipped_byte_of_sqlites_log_is_named(cut_off: Path, share: float) -> None:
    log = log_of(cut_off)
    data = bytearray(log.read_bytes())
    assert len(data) > 50_000
    data[int((len(data) - 1) * share)] ^= 1
    log.write_bytes(data)
    found = Program(cut_off / "tidings.toml")("check", "--json", status=1).lines
    where = "at its beginning" if share == 0 else "from frame"
    assert where in found[0]["problem"], found
    assert f"{log.name} is damaged" in found[0]["problem"]


def test_a_log_that_ends_in_a_frame_half_written_is_no_damage(cut_off: Path) -> None:
    log = log_of(cut_off)
    data = log.read_bytes()
    page = int.from_bytes(data[8:12], "big") + 24
    unfinished = data[32 : 32 + 4] + bytes(4) + data[32 + 8 : 32 + page]  # of a transaction without its commit
    log.write_bytes(data + unfinished + unfinished[:100])
    assert Program(cut_off / "tidings.toml")("check", "--json").lines == []


# --- the command -----------------------------------------------------------------------------------------------------


def test_check_holds_what_is_derived_against_the_raw_bytes_unless_it_is_to_be_quick(
    small_site: SmallSite, tmp_path: Path
) -> None:
    small_site.import_raws(GOOD)
    flip(small_site, post, "subject", "seal@example.org")
    (tmp_path / "tidings.toml").write_text("")
    tidings = Program(tmp_path / "tidings.toml")
    tidings("check", "--quick")
    (found,) = tidings("check", "--json", status=1).lines
    assert found == {"community": "pump", "message_id": "seal@example.org", "problem": comparing._SHOWN}


def test_what_is_named_already_is_not_named_again(small_site: SmallSite, tmp_path: Path) -> None:
    small_site.import_raws(GOOD)
    change(small_site, update(post).where(post.c.message_id == "seal@example.org").values(thread_id=0))
    (tmp_path / "tidings.toml").write_text("")
    found = Program(tmp_path / "tidings.toml")("check", "--json", status=1).lines
    assert [one["message_id"] for one in found] == ["seal@example.org"]
