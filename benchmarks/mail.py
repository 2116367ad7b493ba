"""Mail to measure with: made up from a seed, or real mail of a corpus made fit to be sent.

The same seed gives the same bytes. No word of it comes from real mail.
"""

import base64
import random
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

LIST = "bench@lists.example.org"
AUTHORS = 40
_START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
_NEW_THREAD = 0.19  # 5,000 messages make about 950 threads
_WITH_HTML = 0.25
_WITH_FILE = 0.05
_COMMON = (
    "the a of to and in is it that we on for was with as at this but not are be have from or had by they which you "
    "one were all there been if will more when who so no out up into than them then now only some could these two may "
    "other do first any my over such our even most after also where before must through back much well down should "
    "because each just those people how too little state good very make still own see work long here between both "
    "under never same another know while last might us great old since against right used take three pump seal valve "
    "line shift night day bearing pressure oil water heat motor belt gauge filter tank pipe joint bolt torque leak "
    "noise start stop test check part order stock drawing manual alarm sensor cable fuse panel reading limit report "
    "crew plant area tool crane spare repair replace measure clean loose worn cracked dry wet hot cold fast slow"
)
_SYLLABLES = "ba ce di fo gu ha ke li mo nu pa re si to vu wa ze bri cra dul fen gor hal jin kol mar nes pol quo ram"


@dataclass(frozen=True, kw_only=True)
class Made:
    """One message, ready to be sent: CRLF line ends, and an id that no other has."""

    message_id: str
    author: str
    mark: str  # a word that only this message has
    raw: bytes


@dataclass(frozen=True, kw_only=True)
class _Before:
    """What a reply needs of the message that it answers."""

    message_id: str
    references: str
    subject: str
    author: str
    text: str


def authors() -> list[str]:
    """The addresses that write."""
    return [f"writer{number}@example.org" for number in range(AUTHORS)]


def threaded(count: int, seed: int = 1) -> Iterator[Made]:
    """Messages of some kB in threads, parents before replies, replies with their quotes; some HTML, some files."""
    chance = random.Random(seed)
    vocabulary = word_list(chance)
    recent: list[_Before] = []
    for number in range(count):
        above = (
            None
            if not recent or chance.random() < _NEW_THREAD
            else recent[-1 - int(chance.random() ** 2 * len(recent))]
        )
        made, before = _message(chance, vocabulary, number, seed, above)
        recent = [*recent[-300:], before]
        yield made


def plain(count: int, size: int, seed: int = 1) -> Iterator[Made]:
    """Messages of exactly `size` bytes, each a thread of its own."""
    chance = random.Random(seed)
    vocabulary = word_list(chance)
    for number in range(count):
        mark = _mark(seed, number)
        message_id = f"{mark}@example.org"
        author = chance.choice(authors())
        head = _head(message_id, author, f"{_subject(chance, vocabulary)} {mark}", number, "text/plain; charset=utf-8")
        text = _text(chance, vocabulary, size).replace("\n", "\r\n")[: size - len(head) - 3].rstrip("\r")
        text = text.ljust(size - len(head) - 2, ".") + "\r\n"
        yield Made(message_id=message_id, author=author, mark=mark, raw=(head + text).encode())


def as_mbox(messages: Sequence[Made]) -> bytes:
    """The messages as an mboxrd."""
    entries = []
    for made in messages:
        body = re.sub(rb"(?m)^(>*From )", rb">\1", made.raw.replace(b"\r\n", b"\n"))
        entries.append(b"From %s Mon Mar  2 08:00:00 2026\n" % made.author.encode() + body + b"\n")
    return b"".join(entries)


def real(raws: Sequence[bytes], count: int) -> Iterator[Made]:
    """Real mail as if its people had just written it: without the marks of the list that it went through."""
    seen: set[bytes] = set()
    for raw in raws:
        head, _, body = re.sub(rb"\r\n?|\n", b"\r\n", raw.replace(b"\0", b"")).partition(b"\r\n\r\n")
        head = _FIELDS_OF_LISTS.sub(b"", head + b"\r\n")
        message_id, subject = _ID.search(head), _SUBJECT.search(head)
        if message_id is None or subject is None or message_id[1] in seen or _FROM_A_PROGRAM.search(head):
            continue
        seen.add(message_id[1])
        mark = _mark(9, len(seen))
        marked = b"".join((head[: subject.end()], b" ", mark.encode(), head[subject.end() :], b"\r\n", body, b"\r\n"))
        name = message_id[1].decode("ascii", "replace")
        yield Made(message_id=name, author="writer@example.org", mark=mark, raw=marked)
        if len(seen) == count:
            return


_ID = re.compile(rb"(?im)^message-id:\s*<([^<>\s]{3,200}@[^<>\s]{1,200})>[ \t]*\r$")
_FROM_A_PROGRAM = re.compile(rb"(?im)^from:.*(?:mailer-daemon|postmaster|no-?reply)@")  # held, by design
_SUBJECT = re.compile(rb"(?im)^subject:")
_FIELDS_OF_LISTS = re.compile(
    rb"(?im)^(?:list-[a-z-]+|precedence|auto-submitted|sender|errors-to|x-loop|x-mailing-list|x-beenthere|return-path"
    rb"|received|dkim-signature|arc-[a-z-]+):.*\r\n(?:[ \t].*\r\n)*"
)


def word_list(chance: random.Random) -> list[str]:
    """Common words often, made-up ones by a long tail."""
    syllables = _SYLLABLES.split()
    rare = ["".join(chance.choices(syllables, k=chance.randint(2, 4))) for _ in range(4_000)]
    return [*_COMMON.split() * 60, *rare[:400] * 5, *rare]


def _mark(seed: int, number: int) -> str:
    return f"mark{seed}n{number}"


def _message(
    chance: random.Random, vocabulary: Sequence[str], number: int, seed: int, above: _Before | None
) -> tuple[Made, _Before]:
    mark = _mark(seed, number)
    message_id = f"{mark}@example.org"
    author = chance.choice(authors())
    own = _text(chance, vocabulary, chance.choice((300, 700, 1_200, 2_500))) + f"{mark}\n"
    if above is None:
        subject, references, text = _subject(chance, vocabulary), "", own
        fields = ""
    else:
        subject = above.subject if above.subject.startswith("Re: ") else f"Re: {above.subject}"
        references = f"{above.references} <{above.message_id}>".strip()
        quoted = "".join(f"> {line}\n" for line in above.text.splitlines()[:40])
        text = f"{own}\nOn Tue, 3 Mar 2026 at 09:15, {above.author} wrote:\n\n{quoted}"
        folded = "\r\n ".join(references.split()[-20:])
        fields = f"In-Reply-To: <{above.message_id}>\r\nReferences: {folded}\r\n"
    if chance.random() < 0.3:
        text += f"\n-- \n{author.split('@')[0].title()}\nMaintenance, north plant\n"
    raw = _whole(chance, message_id, author, subject, number, fields, text)
    before = _Before(message_id=message_id, references=references, subject=subject, author=author, text=text)
    return Made(message_id=message_id, author=author, mark=mark, raw=raw), before


def _whole(
    chance: random.Random, message_id: str, author: str, subject: str, number: int, fields: str, text: str
) -> bytes:
    if chance.random() >= _WITH_HTML + _WITH_FILE:
        head = _head(message_id, author, subject, number, "text/plain; charset=utf-8", fields)
        return head.encode() + text.replace("\n", "\r\n").encode()
    boundary = f"part{number}"
    parts = [("text/plain; charset=utf-8", text)]
    if chance.random() < _WITH_HTML / (_WITH_HTML + _WITH_FILE):
        kind = "alternative"
        paragraphs = "".join(f"<p style='margin:0'>{part}</p>\n" for part in text.replace(">", "&gt;").split("\n\n"))
        parts.append(("text/html; charset=utf-8", f"<html><body><div dir='ltr'>{paragraphs}</div></body></html>\n"))
    else:
        kind = "mixed"
        data = base64.encodebytes(chance.randbytes(chance.randint(2_000, 12_000))).decode()
        parts.append(("image/png; name=photo.png\nContent-Transfer-Encoding: base64", data))
    head = _head(message_id, author, subject, number, f'multipart/{kind}; boundary="{boundary}"', fields)
    body = "".join(f"--{boundary}\nContent-Type: {content}\n\n{inside}\n" for content, inside in parts)
    return head.encode() + f"{body}--{boundary}--\n".replace("\n", "\r\n").encode()


def _head(message_id: str, author: str, subject: str, number: int, content: str, fields: str = "") -> str:
    date = format_datetime(_START + timedelta(minutes=7 * number))
    hops = "".join(
        f"Received: from relay{hop}.example.org (relay{hop}.example.org [192.0.2.{hop}])\r\n"
        f"\tby mx{hop}.example.org with ESMTPS id q{number}x{hop};\r\n\t{date}\r\n"
        for hop in range(3)
    )
    return (
        f"{hops}From: {author.split('@')[0].title()} <{author}>\r\nTo: {LIST}\r\nSubject: {subject}\r\nDate: {date}\r\n"
        f"Message-ID: <{message_id}>\r\n{fields}MIME-Version: 1.0\r\nUser-Agent: Made-up/1.0\r\n"
        f"Content-Type: {content}\r\n\r\n"
    )


def _subject(chance: random.Random, vocabulary: Sequence[str]) -> str:
    return " ".join(chance.choices(vocabulary, k=chance.randint(3, 7))).capitalize()


def _text(chance: random.Random, vocabulary: Sequence[str], size: int) -> str:
    lines: list[str] = []
    length = 0
    while length < size:
        line = " ".join(chance.choices(vocabulary, k=chance.randint(6, 13)))
        # A blank line now and then: paragraphs.
        lines.append(line + ("." if chance.random() < 0.3 else "") + ("\n" if chance.random() < 0.2 else ""))
        length += len(line) + 1
    return "\n".join(lines) + "\n"
