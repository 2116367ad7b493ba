"""Draws a curve as a small PNG, for a mail of the demo that has a picture; it knows no other form of drawing."""

import struct
import zlib
from collections.abc import Sequence

_WIDTH, _HEIGHT = 240, 120
_MARGIN = 10
_PAPER, _AXIS, _INK = 255, 160, 40  # shades of grey


def png(points: Sequence[float]) -> bytes:
    """The curve through `points` (two at least, none below 0), evenly spaced, as a grey PNG (ISO/IEC 15948)."""
    rows = [bytearray([_PAPER]) * _WIDTH for _ in range(_HEIGHT)]
    for x in range(_MARGIN, _WIDTH - _MARGIN):
        rows[_HEIGHT - _MARGIN][x] = _AXIS
    for y in range(_MARGIN, _HEIGHT - _MARGIN):
        rows[y][_MARGIN] = _AXIS
    before = _row(points, _MARGIN)
    for x in range(_MARGIN, _WIDTH - _MARGIN):
        here = _row(points, x)
        for y in range(min(before, here), max(before, here) + 2):
            rows[y][x] = _INK
        before = here
    # Width, height, 8 bits of grey, and no palette, filter or interlacing.
    header = struct.pack(">2I5B", _WIDTH, _HEIGHT, 8, 0, 0, 0, 0)
    data = zlib.compress(b"".join(b"\0" + row for row in rows), 9)
    return b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header) + _chunk(b"IDAT", data) + _chunk(b"IEND", b"")


def _row(points: Sequence[float], x: int) -> int:
    """On which row of pixels the curve is in column `x`; 0 is the top."""
    place = (x - _MARGIN) / (_WIDTH - 2 * _MARGIN) * (len(points) - 1)
    left = min(int(place), len(points) - 2)
    value = points[left] + (points[left + 1] - points[left]) * (place - left)
    return round(_HEIGHT - _MARGIN - value / max(points) * (_HEIGHT - 2 * _MARGIN))


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
