"""Mail that is spoilt by chance, from a seed: bytes changed, lines moved, pieces doubled, fields and boundaries broken.

It reads nothing of what it makes.
"""

import random
from collections.abc import Iterator, Sequence

_CRUMBS = (
    *(
        b"",
        b"\n",
        b"\r",
        b"\r\n\r\n",
        b"\0",
        b"\xff",
        b"\xc3",
        b"\x1b$B",
        b"--b\n",
        b"--b--\n",
        b";",
        b'"',
        b"=",
        b"=?",
    ),
    *(b"=?utf-7?b?", b"?=", b"*0*=", b"(" * 50, b"<" * 50, b"<a href=http://x/>", b"<blockquote>" * 20, b"> " * 40),
    *(b"Content-Type: multipart/mixed; boundary=b\n", b"Content-Type: message/rfc822\n\n", b"charset=utf-16\n"),
    *(b"Content-Transfer-Encoding: base64\n", b"Content-Transfer-Encoding: x-uuencode\n", b"begin 644 x\n"),
)

_HEAD = (
    "From: =?utf-8?q?Ana_L=C3=B3pez?= <ana@example.org>\nTo: pump@lists.example.org, Li <li@example.org>\n"
    "Date: Wed, 14 Oct 2026 09:00:00 +0200\nMessage-ID: <1@example.org>\nReferences: <0@example.org>\n"
    "Subject: =?iso-8859-1?q?caf=E9?=\n =?utf-8?b?w6k=?=\nMIME-Version: 1.0\n"
)
_PLAIN = "Content-Type: text/plain; charset=utf-8; format=flowed\n\nThe pump \nleaks.\n> When?\n-- \nAna\n"
_HTML = (
    "Content-Type: text/html; charset=windows-1252\nContent-Transfer-Encoding: quoted-printable\n\n"
    "<p>The <a href=3D'https://example.org/pump'>pump</a> le=E4ks</p><blockquote>When?</blockquote>\n"
)
_FILE = (
    "Content-Type: image/png; name*0*=utf-8''p%C3; name*1*=%BC.png\nContent-Transfer-Encoding: base64\n"
    'Content-Disposition: attachment; filename="=?utf-8?q?p=C3=BC.png?="\n\n'
    "iVBORw0KGgoAAAANSUhEUgAAAAYAAAAL\niVBORw==\n"
)
_MAIL = "Content-Type: message/rfc822\n\nFrom: li@example.org\nSubject: Inside\n\nWords.\n"
_REPORT = (
    "Content-Type: message/delivery-status\n\nReporting-MTA: dns; mx.example.org\n\nStatus: 5.1.1\nAction: failed\n"
)


def _of(kind: str, boundary: str, *parts: str) -> str:
    inner = "".join(f"--{boundary}\n{part}" for part in parts)
    return f'Content-Type: multipart/{kind}; boundary="{boundary}"\n\n{inner}--{boundary}--\n'


SEEDS = tuple(
    (_HEAD + body).encode()
    for body in (
        _PLAIN,
        _HTML,
        "Content-Type: text/plain; charset=iso-2022-jp\n\n\x1b$B$O$$\x1b(B\n",
        "Content-Type: text/plain; charset=gb2312\nContent-Transfer-Encoding: base64\n\nxOO6ww==\n",
        _of("alternative", "b", _PLAIN, _HTML),
        _of("mixed", "b", _of("alternative", "c", _PLAIN, _HTML), _FILE, _MAIL),
        _of("report; report-type=delivery-status", "b", _PLAIN, _REPORT, _MAIL),
        _of("signed", "b", _of("related", "c", _HTML, _FILE), "Content-Type: application/pgp-signature\n\nx\n"),
    )
)
"""Made-up messages of the common kinds."""


def mutated(seeds: Sequence[bytes], seed: int, count: int) -> Iterator[bytes]:
    """So many spoilt messages, the same ones for the same `seed`."""
    chance = random.Random(seed)
    for _ in range(count):
        raw = bytearray(chance.choice(seeds))
        for _ in range(chance.randint(1, 12)):
            _spoil(raw, chance, seeds)
        yield bytes(raw)


def _spoil(raw: bytearray, chance: random.Random, seeds: Sequence[bytes]) -> None:
    place = chance.randrange(len(raw) + 1)
    way = chance.randrange(6)
    if way == 0:  # a bit
        raw[place : place + 1] = bytes([chance.randrange(256)])
    elif way == 1:  # bytes lost, and others there
        raw[place : place + chance.randint(0, 8)] = chance.choice(_CRUMBS)
    elif way == 2:  # a piece lost, or all that comes after
        del raw[place : place + chance.choice((20, 200, len(raw)))]
    elif way == 3:  # a piece doubled, or many times there
        piece = bytes(raw[place : place + chance.randint(1, 60)])
        raw[place:place] = piece * chance.choice((1, 1, 2, 50))
    elif way == 4:  # a piece of another message
        other = chance.choice(seeds)
        begin = chance.randrange(len(other))
        raw[place:place] = other[begin : begin + chance.randint(1, 300)]
    else:  # line ends
        raw[:] = raw.replace(b"\n", chance.choice((b"\r\n", b"\r", b"\n\n", b" \n")), chance.randint(1, 20))
