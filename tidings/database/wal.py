"""SQLite's write-ahead log, read as bytes: whether what was committed there can still be read from it.

SQLite itself says nothing where a byte of the log was damaged: it takes the log to end there, as after a power cut, and
what was committed later is gone. It reads only. (Format: sqlite.org/fileformat2.html, section 4.)
"""

import struct
import sys
from array import array
from collections.abc import Iterator
from pathlib import Path

from tidings.database.engine import Database

_HEADER = struct.Struct(">8I")  # magic, version, page size, checkpoint, two salts, two checksums
_FRAME = struct.Struct(">6I")  # page, size of the database at a commit else 0, two salts, two checksums
_MAGIC = 0x377F0682  # its last bit says that checksums are made of big-endian words
_CHECKED = 24  # bytes of the header that its checksum is of
_CHECKED_OF_FRAME = 8
_32_BITS = 0xFFFFFFFF


def damage(database: Database) -> int | None:
    """The first frame of the log, from 1, that is damaged although a commit stands there or later; 0 for its header.

    None where there is none, nor a log. What a process that was killed left unfinished is no damage.
    """
    if database.path is None:
        return None
    log = database.path.with_name(database.path.name + "-wal")
    if _first_damaged(log) is None:
        return None
    with database.write():  # somebody may have been writing there: nobody is now
        return _first_damaged(log)


def _first_damaged(log: Path) -> int | None:
    data = log.read_bytes() if log.exists() else b""
    if len(data) < _HEADER.size:
        return None
    magic, _, page_size, _, *salts, first, second = _HEADER.unpack_from(data)
    is_big = bool(magic & 1)
    sums = _checksum(data[:_CHECKED], (0, 0), is_big)
    if sums != (first, second) or magic & ~1 != _MAGIC:
        return 0
    bad = None
    for number, frame in enumerate(_frames(data, page_size), 1):
        _, size, *found, first, second = _FRAME.unpack_from(frame)
        if bad is None:
            sums = _checksum(frame[:_CHECKED_OF_FRAME] + frame[_FRAME.size :], sums, is_big)
            bad = number if found != salts or sums != (first, second) else None
        if bad is not None and found == salts and size:
            return bad
    return None


def _frames(data: bytes, page_size: int) -> Iterator[bytes]:
    size = _FRAME.size + page_size
    yield from (data[at : at + size] for at in range(_HEADER.size, len(data) - size + 1, size))


def _checksum(data: bytes, start: tuple[int, int], is_big: bool) -> tuple[int, int]:
    words = array("I", data)
    if is_big != (sys.byteorder == "big"):
        words.byteswap()
    first, second = start
    for at in range(0, len(words), 2):
        first = (first + words[at] + second) & _32_BITS
        second = (second + words[at + 1] + first) & _32_BITS
    return first, second
