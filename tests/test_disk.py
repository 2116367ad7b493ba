"""What a power cut may leave, tried on made-up lines of strace: the fault tests of power loss rest on it."""

import random
from pathlib import Path

import pytest

from tests.disk import SECTOR, Disk, Image, Keep, calls


def _hex(data: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in data.encode())


class _Log:
    """Lines as strace writes them, of one program in a folder that holds a file `old` of ten bytes."""

    def __init__(self, folder: Path) -> None:
        self.root, self._log = folder / "site", folder / "log"
        self._base = folder / "base"
        self._base.mkdir()
        (self._base / "old").write_bytes(b"0123456789")
        self._lines: list[str] = []

    def line(self, text: str, process: int = 7) -> None:
        """One line, in which `{name}` stands for a path as strace writes it, and `'text'` for a string."""
        head, *rest = text.split("'")
        quoted = "".join(f'"{_hex(part)}"' if place % 2 == 0 else part for place, part in enumerate(rest))
        whole = head + quoted
        for name in ("old", "new", "newer", ""):
            whole = whole.replace(f"{{{name}}}", _hex(str(self.root / name)))
        self._lines.append(f"{process}  {whole}")

    def write(self, data: str, place: int = 0, name: str = "old") -> None:
        self.line(f"pwrite64(3<{{{name}}}>, '{data}', {len(data)}, {place}) = {len(data)}")

    def cut(self, keep: Keep, seed: int = 1) -> Image:
        """The image after these lines."""
        self._log.write_text("\n".join(self._lines) + "\n")
        disk = Disk(self.root, self._base)
        for call in calls(self._log):
            disk.note(call)
        return disk.image(keep, random.Random(seed))


@pytest.fixture
def log(tmp_path: Path) -> _Log:
    return _Log(tmp_path)


def test_what_is_not_synced_may_be_lost_or_there(log: _Log) -> None:
    log.write("ab")
    assert log.cut("synced") == {"old": b"0123456789"}
    assert log.cut("everything") == {"old": b"ab23456789"}


def test_what_is_synced_stays(log: _Log) -> None:
    log.write("ab")
    log.line("fsync(3<{old}>) = 0")
    log.write("cd", 2)
    assert log.cut("synced") == {"old": b"ab23456789"}


def test_a_sync_that_failed_or_has_not_returned_is_none(log: _Log) -> None:
    log.write("ab")
    log.line("fsync(3<{old}>) = -1 EIO (Input/output error)")
    log.line("fdatasync(3<{old}> <unfinished ...>")
    assert log.cut("synced") == {"old": b"0123456789"}


def test_a_sync_does_not_cover_what_is_written_while_it_runs(log: _Log) -> None:
    log.write("ab")
    log.line("fsync(3<{old}> <unfinished ...>")
    log.line("pwrite64(3<{old}>, 'cd', 2, 2) = 2", process=8)
    log.line("<... fsync resumed>) = 0")
    assert log.cut("synced") == {"old": b"ab23456789"}


def test_two_syncs_at_once_cover_no_more_than_was_written_before_each(log: _Log) -> None:
    log.write("ab")
    log.line("fsync(3<{old}> <unfinished ...>", process=8)
    log.line("fsync(3<{old}> <unfinished ...>", process=9)
    log.line("<... fsync resumed>) = 0", process=9)
    log.write("cd", 2)
    log.line("<... fsync resumed>) = 0", process=8)
    assert log.cut("synced") == {"old": b"ab23456789"}


def test_of_what_is_not_synced_some_sectors_may_be_there(log: _Log) -> None:
    log.write("a" * SECTOR + "b" * SECTOR)
    left = [log.cut("some", seed)["old"] or b"" for seed in range(40)]
    seen = {(data.startswith(b"a" * SECTOR), data.endswith(b"b" * SECTOR)) for data in left}
    assert seen == {(True, True), (True, False), (False, True), (False, False)}


def test_a_new_name_lasts_from_the_sync_of_its_folder_on(log: _Log) -> None:
    log.line("openat(AT_FDCWD<{}>, 'new', O_RDWR|O_CREAT, 0600) = 3<{new}>")
    log.write("ab", name="new")
    log.line("fsync(3<{new}>) = 0")
    assert log.cut("synced") == {}
    log.line("rename('new', 'newer') = 0")
    log.line("fsync(4<{}>) = 0")
    assert log.cut("synced") == {"newer": b"ab"}


def test_a_file_that_is_removed_comes_back_unless_its_folder_is_synced(log: _Log) -> None:
    log.line("unlink('old') = 0")
    assert log.cut("synced") == {}
    assert log.cut("everything") == {"old": None}


def test_a_call_that_is_not_followed_is_refused(log: _Log) -> None:
    log.line("sendfile(3<{old}>, 4<{old}>, NULL, 10) = 10")
    with pytest.raises(NotImplementedError):
        log.cut("synced")
