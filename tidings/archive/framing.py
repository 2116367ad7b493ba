"""The framing of an mbox: where its messages begin and end, whatever program wrote it, and the undoing of its quoting.

It reads bytes from a file that is open, and knows neither mail nor folders.
"""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import IO

from tidings.errors import UsageError

_CHUNK = 1 << 20
FROM_LINE_MOST = 300
"""Bytes; a longer line is prose."""

_LENGTH_MOST = 1 << 26  # a Content-Length beyond 64 MiB is not followed: it is checked in memory
_MESSAGE_MOST = 1 << 29  # what does not end within 512 MiB is no message

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
_NO_MOMENTS = (datetime(1970, 1, 1, tzinfo=UTC), datetime(2001, 9, 17, tzinfo=UTC))
"""What public-inbox, and git, write into a From_ line that has no date."""
_UNPARTED = (b"From -", b"From ???@???")  # of Netscape and Eudora, which wrote no blank line before
_MAILMAN = re.compile(rb"(?im)^X-(?:BeenThere|Mailman-Version)[ \t]*:")
_HEADER_END = re.compile(rb"\n\r?\n")
_CONTENT_LENGTH = re.compile(rb"(?im)\nContent-Length[ \t]*:[ \t]*(\d{1,12})[ \t]*\r?$")
_QUOTED = re.compile(rb"(?m)^>(>*From )")
_HAS_QUOTED = b">From "  # so much of it is looked for fast


def looks_like_from_line(line: bytes) -> bool:
    """Whether a line may begin an mbox entry: a sender, then a date with time and 4-digit year.

    Some mail programs wrote `From -` or `From ???@???` and no date.
    """
    if not line.startswith(b"From ") or len(line) > FROM_LINE_MOST:
        return False
    date = _DATE.search(line, 4)
    return line.rstrip() in _UNPARTED or bool(date and (date["year"] or date["year2"]))


def envelope_date(line: bytes) -> datetime | None:
    """The moment of a From_ line, in UTC; None where it has none, or one that only fills the place of a date."""
    found = _DATE.search(line[:FROM_LINE_MOST], 4)
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
        return None if moment in _NO_MOMENTS else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _sender(from_line: bytes | bytearray) -> bytes:
    """The sender of a From_ line as pipermail writes it, two spaces before the date; else empty."""
    sender, spaces, _ = bytes(from_line).removeprefix(b"From ").partition(b"  ")
    return sender if spaces else b""


def _zone(name: bytes) -> timezone:
    if name[:1] in b"+-":
        minutes = int(name[1:3]) * 60 + int(name[3:5])
        return timezone(timedelta(minutes=-minutes if name[:1] == b"-" else minutes))
    return timezone(timedelta(hours=_ZONES.get(name.upper(), 0)))


class Frames:
    """The framing of an mbox over a window of its bytes that is never much longer than one message."""

    def __init__(self, path: Path, file: IO[bytes]) -> None:
        self._path = path
        self._file = file
        self._data = bytearray()
        self._ended = False
        self._is_pipermail = self._is_mailman = False

    def __iter__(self) -> Iterator[tuple[bytes, bytes, int]]:
        """The From_ line, the message and the bytes read ahead, for each message."""
        self._fill(_CHUNK)
        self._drop(len(self._data) - len(self._data.removeprefix(b"\xef\xbb\xbf").lstrip(b"\r\n")))
        self._learn()
        while self._data:
            start = self._line_end(0)
            from_line = bytes(self._data[:start]).removesuffix(b"\n")
            end, following, unquoted = self._extent(start)
            raw = bytes(memoryview(self._data)[start:end])
            self._drop(following)
            if not unquoted and _HAS_QUOTED in raw:
                raw = _QUOTED.sub(rb"\1", raw)
            yield from_line, raw, len(self._data)

    def _learn(self) -> None:
        """Whether Mailman 2 wrote this file, by its first message: it did not quote lines of bodies for years."""
        head = _HEADER_END.search(self._data)
        # Where the addresses are as they were, a month file can be told from no other.
        self._is_pipermail = self._begins_article(0) and b" " in _sender(self._data[: self._line_end(0)])
        self._is_mailman = head is not None and _MAILMAN.search(self._data, 0, head.start()) is not None

    def _begins_article(self, place: int) -> bool:
        """Whether a From_ line and a From field with the same sender stand here, as pipermail writes them."""
        after = self._data.find(b"\n", place, place + FROM_LINE_MOST + 1)
        sender = _sender(self._data[place : max(after, place)])
        return bool(sender) and self._data.startswith(b"From: " + sender + b" (", after + 1)

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
        self._fill(place + 2 * FROM_LINE_MOST)
        after = self._data.find(b"\n", place, place + FROM_LINE_MOST + 1)
        line = bytes(self._data[place : after if after >= 0 else place + FROM_LINE_MOST + 1])
        if not looks_like_from_line(line):
            return False
        if self._is_pipermail or (not after_blank and self._begins_article(place)):
            return self._begins_article(place)
        is_before_field = _FIELD.match(self._data, after + 1) is not None
        if after_blank:
            # Mailman 2 quoted nothing for years; what people pasted into a body is mostly followed by prose.
            return is_before_field or not self._is_mailman
        # Netscape wrote no blank line, but its `From - ` before a header field is no prose either.
        return is_before_field and line.startswith(_UNPARTED)

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
        # From the LF of the From_ line on, which may be the one before the field.
        length = _CONTENT_LENGTH.search(self._data, start - 1, head.start() + 1) if head else None
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
