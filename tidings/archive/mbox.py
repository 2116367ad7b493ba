"""Mail in files: reads mbox, gzipped mbox, Maildir and .eml one message at a time, writes mboxrd entries and Maildirs.

Where a message begins and ends in an mbox is found in `framing`; it does not parse mail and knows no database.
"""

import gzip
import hashlib
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import chain
from pathlib import Path
from typing import IO

from tidings.archive.framing import FROM_LINE_MOST, Frames, envelope_date, looks_like_from_line
from tidings.errors import UsageError

_NAMES = (".eml", ".mbox", ".mbox.gz")  # what is taken for mail in a folder that is no Maildir
_MAYBE = ("", ".txt", ".gz")  # and what is, where it begins with a From_ line: month files, a mail program's folders
_FIELD_START = re.compile(rb"[!-9;-~]{1,200}[ \t]*:")
_TO_QUOTE = re.compile(rb"(?m)^(>*From )")


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One message of a file, as its bytes stand there."""

    raw: bytes
    from_line: bytes | None
    """The whole `From ` line without its LF (a CR stays, so that `entry` gives it back); None outside an mbox."""
    source: str
    """The file, and in an mbox the message's number counted from 1."""
    envelope_date: datetime | None
    """The moment of the From_ line, aware, in UTC (which it is taken to be in where it names no zone)."""
    offset: int
    """Bytes read so far, as `size_hint` counts them: for a progress bar."""


def read(path: Path) -> Iterator[Entry]:
    """The messages of an mbox, an .eml (either gzipped or not: the content decides), a Maildir, or a folder of these.

    In a folder, names sort the messages and dotfiles are left out (so are a Maildir's own subfolders, which are named
    by a dot). Raises UsageError at once where `path` is none of these, and while reading where a file is damaged.
    """
    if path.is_file():
        return _read_file(path, _kind(path))
    if not path.is_dir():
        raise UsageError(f"There is no file or folder {path}.")
    files = _files(path)
    first = next(files, None)
    if first is None and not _is_maildir(path):
        raise UsageError(f"{path} is no Maildir, and no .eml or .mbox file is in it.")
    return _read_files(chain([first] if first else [], files))


def size_hint(path: Path) -> int:
    """The bytes that `read(path)` will go through, on the disk; 0 where there is nothing."""
    if path.is_dir():
        return sum(file.stat().st_size for file, _ in _files(path))
    return path.stat().st_size if path.is_file() else 0


def entry(raw: bytes, *, from_line: bytes | None, sender: str, date: datetime) -> bytes:
    """One mboxrd entry: the From_ line, the message with its `From ` lines quoted, and the blank line that ends it.

    With `from_line` (the message came from an mbox) both are written as they were; else the line is made of `sender`
    and `date`, and line ends become LF.
    """
    if from_line is None:
        raw = raw.replace(b"\r\n", b"\n")
        from_line = _made_from_line(sender, date)
    line_end = b"\r\n" if from_line.endswith(b"\r") else b"\n"
    if raw and not raw.endswith(b"\n"):
        raw += line_end
    return from_line + b"\n" + _TO_QUOTE.sub(rb">\1", raw) + line_end


def maildir_name(number: int, raw: bytes) -> str:
    """The file name of the message with archive number `number`: the same at every export, sorted as the archive."""
    return f"{number:010d}.{hashlib.sha256(raw).hexdigest()[:16]}.tidings"


def write_maildir(folder: Path, raw: bytes, name: str) -> Path:
    """Put a message into a Maildir (made where there is none), byte for byte, safe on the disk when this returns.

    A file of that name in `new` is replaced. Returns its path. Raises OSError.
    """
    for part in ("tmp", "new", "cur"):
        (folder / part).mkdir(parents=True, exist_ok=True)
    written, target = folder / "tmp" / name, folder / "new" / name
    with written.open("wb") as file:
        file.write(raw)
        file.flush()
        os.fsync(file.fileno())
    written.replace(target)
    _sync_folder(target.parent)
    return target


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _made_from_line(sender: str, date: datetime) -> bytes:
    plain = re.sub(r"[^!-~]", "", sender) or "MAILER-DAEMON"
    return f"From {plain} {date.astimezone(UTC).ctime()}".encode()


def _is_maildir(path: Path) -> bool:
    return (path / "cur").is_dir() or (path / "new").is_dir()


def _files(root: Path) -> Iterator[tuple[Path, bool]]:
    """The mail files below a folder, in order, each with whether it stands in a Maildir."""
    folders = [root]
    while folders:
        folder = folders.pop()
        inside = sorted(item for item in folder.iterdir() if not item.name.startswith("."))
        maildir = _is_maildir(folder)
        if maildir:
            yield from ((file, True) for file in _maildir_files(folder))
        else:
            yield from ((file, False) for file in inside if file.is_file() and _is_mail(file))
        deeper = [item for item in inside if item.is_dir() and not item.is_symlink()]
        folders += reversed([item for item in deeper if not (maildir and item.name in ("cur", "new", "tmp"))])


def _is_mail(file: Path) -> bool:
    if file.name.lower().endswith(_NAMES):
        return True
    if file.suffix.lower() not in _MAYBE:
        return False
    with file.open("rb") as opened:
        try:
            return looks_like_from_line(_plain(opened).readline(FROM_LINE_MOST + 1))
        except (OSError, EOFError, zlib.error):
            return False


def _maildir_files(folder: Path) -> list[Path]:
    files = [file for part in ("cur", "new") for file in (folder / part).glob("*") if not file.name.startswith(".")]
    return sorted((file for file in files if file.is_file()), key=lambda file: file.name)


def _read_files(files: Iterator[tuple[Path, bool]]) -> Iterator[Entry]:
    before = 0
    for file, in_maildir in files:
        yield from _read_file(file, "message" if in_maildir else _kind(file), before)
        before += file.stat().st_size


def _kind(path: Path) -> str:
    """What a file holds, by its first bytes: "mbox", or "message" for one mail. Raises UsageError for neither."""
    with path.open("rb") as file:
        head = _head(path, file)
    if not head or head.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n").startswith(b"From "):
        return "mbox"
    if path.name.lower().endswith(".eml") or _FIELD_START.match(head):
        return "message"
    raise UsageError(f"{path} is no mbox, Maildir or .eml: it begins with neither a `From ` line nor a header field.")


def _head(path: Path, file: IO[bytes]) -> bytes:
    try:
        return _plain(file).read(512)
    except (OSError, EOFError, zlib.error) as error:
        raise UsageError(f"{path} cannot be read: {error}.") from error


def _plain(file: IO[bytes]) -> IO[bytes]:
    """The file, unpacked where it is gzipped."""
    packed = file.read(2) == b"\x1f\x8b"
    file.seek(0)
    return gzip.GzipFile(fileobj=file) if packed else file  # type: ignore[return-value]  # reads like any file


def _read_file(path: Path, kind: str, before: int = 0) -> Iterator[Entry]:
    with path.open("rb") as file:
        try:
            yield from _entries(path, file, kind, before)
        except (gzip.BadGzipFile, EOFError, zlib.error) as error:
            raise UsageError(f"{path} is damaged: {error}.") from error


def _entries(path: Path, file: IO[bytes], kind: str, before: int) -> Iterator[Entry]:
    plain = _plain(file)
    if kind == "message":
        raw = plain.read()
        offset = before + file.tell()
        yield Entry(raw=raw, from_line=None, source=str(path), envelope_date=None, offset=offset)
        return
    for number, (from_line, raw, ahead) in enumerate(Frames(path, plain), 1):
        # In a gzipped file the packed bytes count, whose reader runs ahead by one chunk.
        offset = before + file.tell() - (ahead if plain is file else 0)
        date = envelope_date(from_line)
        yield Entry(raw=raw, from_line=from_line, source=f"{path}:{number}", envelope_date=date, offset=offset)
