"""Mail in files: reads mbox, gzipped mbox, Maildir and .eml one message at a time, writes mboxrd entries and Maildirs.

It finds where messages begin and end and undoes mbox quoting; it does not parse mail and knows no database.
"""

import gzip
import hashlib
import os
import re
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from itertools import chain
from pathlib import Path
from typing import IO

from tidings.errors import UsageError

_CHUNK = 1 << 20
_FROM_LINE_MOST = 300  # bytes; a longer line is prose
_LENGTH_MOST = 1 << 26  # a Content-Length beyond 64 MiB is not followed: it is checked in memory
_MESSAGE_MOST = 1 << 29  # what does not end within 512 MiB is no message
_NAMES = (".eml", ".mbox", ".mbox.gz")  # what is taken for mail in a folder that is no Maildir

_FIELD = re.compile(rb"[!-9;-~]{1,200}[ \t]*:")
_LINE_END = re.compile(rb"\r?\n")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_DATE = re.compile(
    rb"""(?ix) [ \t] (?:(?:mon|tue|wed|thu|fri|sat|sun)[a-z]{0,6},?[ \t]+)?
    (?: (?P<month>[a-z]{3})[ \t]+(?P<day>\d{1,2})
      | (?P<day2>\d{1,2})[ \t-]+(?P<month2>[a-z]{3})[ \t-]+(?P<year2>\d{4}) )
    [ \t]+ (?P<hour>\d{1,2}):(?P<minute>\d{2})(?::(?P<second>\d{2}))?
    (?:[ \t]+(?P<zone>[+-]\d{4}|[a-z]{1,5}))?
    (?:(?:[ \t]+(?:[a-z]{1,5}))?[ \t]+(?P<year>\d{4}))?
    (?:[ \t]+(?P<zone2>[+-]\d{4}|[a-z]{1,5}))?
    (?:[ \t]+remote[ \t]from[ \t]+\S+)? [ \t\r]* $"""
)
# RFC 5322 4.3: the zone names that still have a meaning; any other counts as UTC.
_ZONES = {b"EST": -5, b"EDT": -4, b"CST": -6, b"CDT": -5, b"MST": -7, b"MDT": -6, b"PST": -8, b"PDT": -7}
_HEADER_END = re.compile(rb"\n\r?\n")
_CONTENT_LENGTH = re.compile(rb"(?im)^Content-Length[ \t]*:[ \t]*(\d{1,12})[ \t]*\r?$")
_QUOTED = re.compile(rb"(?m)^>(>*From )")
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


def looks_like_from_line(line: bytes) -> bool:
    """Whether a line may begin an mbox entry: a sender, then a date with time and 4-digit year; or a bare `From -`."""
    if not line.startswith(b"From ") or len(line) > _FROM_LINE_MOST:
        return False
    date = _DATE.search(line, 4)
    return line.rstrip() == b"From -" or bool(date and (date["year"] or date["year2"]))


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


def _envelope_date(line: bytes) -> datetime | None:
    found = _DATE.search(line[:_FROM_LINE_MOST], 4)
    if not found:
        return None
    month = (found["month"] or found["month2"]).decode().title()
    zone = found["zone"] or found["zone2"] or b"UTC"
    try:
        moment = datetime(
            int(found["year"] or found["year2"] or 0),
            _MONTHS.index(month) + 1,
            int(found["day"] or found["day2"]),
            int(found["hour"]),
            int(found["minute"]),
            min(int(found["second"] or 0), 59),  # a leap second has no moment of its own
            tzinfo=_zone(zone),
        )
        return moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _zone(name: bytes) -> timezone:
    if name[:1] in b"+-":
        minutes = int(name[1:3]) * 60 + int(name[3:5])
        return timezone(timedelta(minutes=-minutes if name[:1] == b"-" else minutes))
    return timezone(timedelta(hours=_ZONES.get(name.upper(), 0)))


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
            yield from ((file, False) for file in inside if file.name.lower().endswith(_NAMES) and file.is_file())
        deeper = [item for item in inside if item.is_dir() and not item.is_symlink()]
        folders += reversed([item for item in deeper if not (maildir and item.name in ("cur", "new", "tmp"))])


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
    if path.name.lower().endswith(".eml") or _FIELD.match(head):
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
    for number, (from_line, raw, ahead) in enumerate(_Mbox(path, plain), 1):
        # In a gzipped file the packed bytes count, whose reader runs ahead by one chunk.
        offset = before + file.tell() - (ahead if plain is file else 0)
        date = _envelope_date(from_line)
        yield Entry(raw=raw, from_line=from_line, source=f"{path}:{number}", envelope_date=date, offset=offset)


class _Mbox:
    """The framing of an mbox over a window of its bytes that is never much longer than one message."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path = path
        self._file = file
        self._data = bytearray()
        self._ended = False

    def __iter__(self) -> Iterator[tuple[bytes, bytes, int]]:
        """The From_ line, the message and the bytes read ahead, for each message."""
        self._fill(_CHUNK)
        self._drop(len(self._data) - len(self._data.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")))
        while self._data:
            start = self._line_end(0)
            from_line = bytes(self._data[:start]).removesuffix(b"\n")
            end, following, unquoted = self._extent(start)
            raw = bytes(memoryview(self._data)[start:end])
            self._drop(following)
            yield from_line, raw if unquoted else _QUOTED.sub(rb"\1", raw), len(self._data)

    def _fill(self, size: int) -> bool:
        """Have `size` bytes in the window; False where the file ends before."""
        while len(self._data) < size and not self._ended:
            if len(self._data) > _MESSAGE_MOST:
                raise UsageError(f"{self._path} holds a message of more than {_MESSAGE_MOST >> 20} MB.")
            chunk = self._file.read(_CHUNK)
            self._data += chunk
            self._ended = not chunk
        return len(self._data) >= size

    def _drop(self, size: int) -> None:
        del self._data[:size]

    def _line_end(self, start: int) -> int:
        """Where the line that begins at `start` ends, its LF included."""
        searched = start
        while (found := self._data.find(b"\n", searched)) < 0:
            searched = len(self._data)
            if not self._fill(searched + 1):
                return len(self._data)
        return found + 1

    def _extent(self, start: int) -> tuple[int, int, bool]:
        """Where the message that begins at `start` ends, where the next From_ line is, and whether it is unquoted."""
        end, following = self._by_lines(start)
        by_length = self._by_length(start, following)
        if by_length and by_length != (end, following):
            # A From_ line stands inside, or no blank line before the next: whoever wrote this went by the length alone.
            return *by_length, True
        return end, following, False

    def _by_lines(self, start: int) -> tuple[int, int]:
        """The end as the next From_ line has it: after a blank line, which belongs to the framing."""
        searched = start - 1  # the LF of the From_ line itself may be the one before a blank line's
        while True:
            found = self._data.find(b"\nFrom ", searched)
            if found < 0:
                searched = max(start - 1, len(self._data) - 5)
                if not self._fill(len(self._data) + 1):
                    return self._without_blank(start, len(self._data)), len(self._data)
                continue
            end = self._without_blank(start, found + 1)
            if self._begins_entry(found + 1, after_blank=end <= found):
                return end, found + 1
            searched = found + 1

    def _begins_entry(self, place: int, *, after_blank: bool) -> bool:
        self._fill(place + 2 * _FROM_LINE_MOST)
        after = self._data.find(b"\n", place, place + _FROM_LINE_MOST + 1)
        line = bytes(self._data[place : after if after >= 0 else place + _FROM_LINE_MOST + 1])
        if not looks_like_from_line(line):
            return False
        # Netscape wrote no blank line, but its `From - ` before a header field is no prose either.
        return after_blank or (line.startswith(b"From -") and _FIELD.match(self._data, after + 1) is not None)

    def _without_blank(self, start: int, end: int) -> int:
        """`end` moved before the blank line that stands there, if one does and the message does not begin after it."""
        for blank in (b"\r\n", b"\n"):
            before = end - len(blank)
            if self._data.startswith(blank, max(before, 0)) and start <= before and self._data[before - 1] == 0x0A:
                return before
        return end

    def _by_length(self, start: int, following: int) -> tuple[int, int] | None:
        """The end as a Content-Length has it, where it leads to a From_ line or to the end of the file; else None."""
        head = _HEADER_END.search(self._data, start, following)
        length = _CONTENT_LENGTH.search(self._data, start, head.start() + 1) if head else None
        if not head or not length or int(length[1]) > _LENGTH_MOST:
            return None
        end = head.end() + int(length[1])
        if not self._fill(end):
            return None
        if self._data[end - 1] != 0x0A:  # some counted no line end after the last line
            end = self._past_line_end(end)
        following = self._past_line_end(end)
        if self._data[end - 1] != 0x0A and self._fill(end + 1):
            return None
        at_end = not self._fill(following + 1)
        return (end, following) if at_end or self._begins_entry(following, after_blank=True) else None

    def _past_line_end(self, place: int) -> int:
        self._fill(place + 2)
        line_end = _LINE_END.match(self._data, place)
        return line_end.end() if line_end else place
