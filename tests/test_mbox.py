"""Reading old mail from files and writing it back: framing, quoting, and nothing lost between."""

import gzip
import tracemalloc
from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.archive import mbox
from tidings.errors import UsageError

WHEN = datetime(2024, 3, 5, 9, 7, 3, tzinfo=UTC)
FIRST = b"From: ann@example.org\nSubject: one\n\nHello\n"
SECOND = b"From: bob@example.org\nSubject: two\n\nHello too\n"
LINE = b"From ann@example.org Tue Mar  5 09:07:03 2024"


def written(tmp_path: Path, data: bytes, name: str = "list.mbox") -> Path:
    path = tmp_path / name
    path.write_bytes(data)
    return path


def raws(path: Path) -> list[bytes]:
    return [found.raw for found in mbox.read(path)]


def joined(path: Path) -> bytes:
    return b"".join(mbox.entry(e.raw, from_line=e.from_line, sender="", date=WHEN) for e in mbox.read(path))


def two(separator: bytes = LINE, between: bytes = b"\n") -> bytes:
    return LINE + b"\n" + FIRST + between + separator + b"\n" + SECOND + b"\n"


def test_an_mbox_gives_each_message_with_its_from_line_and_date(tmp_path: Path) -> None:
    path = written(tmp_path, two())
    found = list(mbox.read(path))
    assert [e.raw for e in found] == [FIRST, SECOND]
    assert found[0].from_line == LINE
    assert found[0].envelope_date == WHEN
    assert [e.source for e in found] == [f"{path}:1", f"{path}:2"]
    assert [e.offset for e in found] == [len(LINE) + 1 + len(FIRST) + 1, path.stat().st_size]
    assert mbox.size_hint(path) == path.stat().st_size


def test_a_gzipped_mbox_is_known_by_its_content_and_counts_packed_bytes(tmp_path: Path) -> None:
    path = written(tmp_path, gzip.compress(two()), "list.txt")
    assert raws(path) == [FIRST, SECOND]
    assert list(mbox.read(path))[-1].offset == mbox.size_hint(path)


@pytest.mark.parametrize(
    "separator",
    [
        b"From bob@example.org Tue Mar  5 09:07:03 2024",
        b"From bob@example.org  Tue Mar  5 09:07 2024",
        b"From bob@example.org Tue Mar  5 10:07:03 2024 +0100",
        b"From bob@example.org Tue Mar  5 10:07:03 +0100 2024",
        b"From bob@example.org Tue Mar  5 04:07:03 EST 2024",
        b"From bob@example.org Tue, 05 Mar 2024 09:07:03 GMT",
        b"From bob@example.org Tue Mar  5 09:07:03 2024 remote from pump",
        b'From "bob smith"@example.org Tue Mar  5 09:07:03 2024',
        b"From  Tue Mar  5 09:07:03 2024",
        b"From - Tue Mar  5 09:07:03 2024",
    ],
)
def test_every_usual_from_line_separates_and_tells_its_moment(tmp_path: Path, separator: bytes) -> None:
    found = list(mbox.read(written(tmp_path, two(separator))))
    assert [e.raw for e in found] == [FIRST, SECOND]
    assert found[1].envelope_date is not None
    assert found[1].envelope_date.replace(second=3) == WHEN


@pytest.mark.parametrize(
    "line",
    [
        b"From here on it is quiet",
        b"From 2020 to 2024 we met at 10:30",
        b"From Monday 10:30 on, in 2024, we start",
        b"From x" + b"y" * 400 + b" Tue Mar  5 09:07:03 2024",
    ],
)
def test_prose_that_begins_with_from_does_not_separate(tmp_path: Path, line: bytes) -> None:
    raw = FIRST + b"\n" + line + b"\nmore\n"
    assert raws(written(tmp_path, LINE + b"\n" + raw + b"\n")) == [raw]


def test_a_from_line_without_a_blank_line_before_it_does_not_separate(tmp_path: Path) -> None:
    assert len(raws(written(tmp_path, two(between=b"")))) == 1


def test_netscapes_bare_from_dash_separates_even_without_a_blank_line(tmp_path: Path) -> None:
    data = b"From - \n" + FIRST + b"From - \n" + SECOND
    assert raws(written(tmp_path, data)) == [FIRST, SECOND]
    assert raws(written(tmp_path, b"From -\n" + FIRST + b"From -\nis prose\n")) == [FIRST + b"From -\nis prose\n"]


def test_a_date_that_does_not_exist_separates_but_has_no_moment(tmp_path: Path) -> None:
    found = list(mbox.read(written(tmp_path, two(b"From a@example.org Tue Feb 31 09:07:03 2024"))))
    assert len(found) == 2
    assert found[1].envelope_date is None


def test_a_byte_order_mark_and_blank_lines_before_the_first_message_are_passed_over(tmp_path: Path) -> None:
    assert raws(written(tmp_path, b"\xef\xbb\xbf\r\n\n" + two())) == [FIRST, SECOND]


def sized(extra: bytes, length: int | None = None) -> bytes:
    body = b"Hello\n\n" + LINE + b"\n" + extra
    return b"Content-Length: %d\n\n%s" % (len(body) if length is None else length, body)


@pytest.mark.parametrize("after", [b"", b"\n" + LINE + b"\n" + SECOND, LINE + b"\n" + SECOND])
def test_content_length_frames_where_it_leads_to_a_from_line_or_the_end(tmp_path: Path, after: bytes) -> None:
    raw = sized(b">From me\n")
    assert raws(written(tmp_path, LINE + b"\n" + raw + after))[0] == raw


@pytest.mark.parametrize("length", [3, 10, 5000, 10**11])
def test_a_content_length_that_leads_elsewhere_is_not_followed(tmp_path: Path, length: int) -> None:
    data = LINE + b"\n" + sized(b"Subject: inner\n\nx\n", length) + b"\n" + LINE + b"\n" + SECOND
    assert len(raws(written(tmp_path, data))) == 3


def test_quoted_from_lines_lose_one_mark(tmp_path: Path) -> None:
    quoted = b"A: b\n\n>From x\n>>From y\n> From z\n>Fromage\n"
    assert raws(written(tmp_path, LINE + b"\n" + quoted + b"\n")) == [b"A: b\n\nFrom x\n>From y\n> From z\n>Fromage\n"]


def test_crlf_mboxes_come_back_byte_for_byte(tmp_path: Path) -> None:
    data = two().replace(b"\n", b"\r\n")
    path = written(tmp_path, data)
    assert raws(path) == [FIRST.replace(b"\n", b"\r\n"), SECOND.replace(b"\n", b"\r\n")]
    assert joined(path) == data
    mixed = LINE + b"\n" + FIRST.replace(b"\n", b"\r\n") + b"\n"
    assert joined(written(tmp_path, mixed)) == mixed


LINES = st.lists(st.sampled_from([b"", b"x", b"From a", b">From b", b">>From c", LINE, b"\xff\x00", b"From ", b"a\r"]))


@given(messages=st.lists(LINES, max_size=4))
def test_what_entry_writes_read_gives_back(
    messages: list[list[bytes]], tmp_path_factory: pytest.TempPathFactory
) -> None:
    bodies = [b"".join(line + b"\n" for line in lines) for lines in messages]
    path = written(
        tmp_path_factory.mktemp("mail"),
        b"".join(mbox.entry(raw, from_line=LINE, sender="", date=WHEN) for raw in bodies),
    )
    assert raws(path) == bodies
    assert joined(path) == path.read_bytes()


def test_a_message_that_came_by_smtp_gets_a_from_line_and_lf_line_ends() -> None:
    made = mbox.entry(b"A: b\r\n\r\nFrom x\r\nend", from_line=None, sender="ann @example.org\n", date=WHEN)
    assert made == b"From ann@example.org Tue Mar  5 09:07:03 2024\nA: b\n\n>From x\nend\n\n"
    assert mbox.entry(b"", from_line=None, sender="", date=WHEN).startswith(b"From MAILER-DAEMON ")


def test_maildirs_and_folders_are_read_in_order_without_dotfiles(tmp_path: Path) -> None:
    for name, text in {
        "b.eml": b"b",
        "a/cur/2:2,S": b"2",
        "a/new/1": b"1",
        "a/tmp/3": b"no",
        "a/.trash/cur/4": b"no",
        "a/cur/.5": b"no",
        ".hidden.eml": b"no",
        "notes.txt": b"no",
        "c/d.EML": b"d",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(text)
    (tmp_path / "c" / "old.mbox").write_bytes(two())
    found = list(mbox.read(tmp_path))
    assert [e.raw for e in found] == [b"b", b"1", b"2", b"d", FIRST, SECOND]
    assert found[0].source == str(tmp_path / "b.eml")
    assert found[0].from_line is None
    assert found[-1].offset == mbox.size_hint(tmp_path)


def test_one_eml_is_one_message_byte_for_byte(tmp_path: Path) -> None:
    raw = b"Subject: x\r\n\r\n\nFrom a b\r\n>From c\xff"
    assert raws(written(tmp_path, raw, "x")) == [raw]
    assert raws(written(tmp_path, b"\xff broken", "x.eml")) == [b"\xff broken"]


@pytest.mark.parametrize("content", [b"\x89PNG\r\n", b"just words\n", b"\x1f\x8bnot gzip"])
def test_a_file_that_is_no_mail_is_refused_at_once(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(UsageError):
        mbox.read(written(tmp_path, content, "x.bin"))


def test_a_path_that_is_nothing_and_a_folder_without_mail_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no file or folder"):
        mbox.read(tmp_path / "nothing")
    with pytest.raises(UsageError, match="no Maildir"):
        mbox.read(tmp_path)


def test_an_empty_mbox_and_an_empty_maildir_hold_no_messages(tmp_path: Path) -> None:
    assert raws(written(tmp_path, b"")) == []
    (tmp_path / "mail" / "new").mkdir(parents=True)
    assert raws(tmp_path / "mail") == []


def test_a_cut_gzip_is_reported_as_damaged(tmp_path: Path) -> None:
    packed = gzip.compress(two() * 2000)
    with pytest.raises(UsageError, match="damaged"):
        raws(written(tmp_path, packed[:-20]))


def test_memory_stays_flat_over_many_messages(tmp_path: Path) -> None:
    path = tmp_path / "big.mbox"
    one = LINE + b"\nA: b\n\n" + b"0123456789" * 20_000 + b"\n\n"
    with path.open("wb") as file:
        for _ in range(100):
            file.write(one)
    tracemalloc.start()
    assert sum(1 for _ in mbox.read(path)) == 100
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6_000_000  # of 20 MB


def test_a_repeated_export_to_a_maildir_overwrites_and_keeps_every_byte(tmp_path: Path) -> None:
    raw = b"Subject: x\r\n\r\nFrom a\xff\n\r"
    for _ in range(2):
        target = mbox.write_maildir(tmp_path / "out", raw, mbox.maildir_name(7, raw))
    assert target.parent.name == "new"
    assert raws(tmp_path / "out") == [raw]
    assert mbox.maildir_name(7, raw) != mbox.maildir_name(7, raw + b"x")
    assert sorted([mbox.maildir_name(10, raw), mbox.maildir_name(9, raw)])[0].startswith("0000000009.")
