"""What is remembered of a message so that those without header fields find their thread: subject, people, lines, index.

It reads values that were parsed already; who joins whom is for `joins` to say.
"""

import base64
import binascii
import re
from collections.abc import Collection, Iterable, Sequence
from hashlib import blake2b
from zlib import crc32

import msgspec

# How mail programs mark a reply, in lower case; a forwarded message (Fwd, WG) is none.
_REPLY = re.compile(
    r"\s*(?:re|aw|antw|antwort|sv|vs|vá|vast|res|rsp|odp|ynt|rif|r|ref|bls|atb|hs|na|ang|επ|σχετ|ответ|отв|на|відп"
    r"|回复|回覆|答复|答覆|返信|답장|회신|הועבר|رد)\s?(?:\[\d{1,4}\]|\(\d{1,4}\)|\^\d{1,4})?\s?[:：]",
    re.IGNORECASE,
)
_TAG = re.compile(r"\s*\[([^\[\]]{1,60})\]")
_FIRST_ONES = 20  # prefixes and tags that are looked at
_WAS = re.compile(r"\s[(\[]was:?\s[^()\[\]]{0,300}[)\]]\s*$", re.IGNORECASE)
_ADDRESS = re.compile(r"[^\s<>,;:\"()@]{1,64}@[^\s<>,;:\"()@]{1,255}")
_PEOPLE_MOST, _LINES_MOST, _LINE_LEAST = 30, 24, 12
_HEADER_BYTES, _GUID, _BLOCK = 22, slice(6, 22), 5  # of Outlook's Thread-Index (MS-OXOMSG 2.2.1.3)


class Likeness(msgspec.Struct, frozen=True, kw_only=True, array_like=True):
    """What a message has in common with others, in hashes; keys are None where nothing can be told by them."""

    subject: int | None
    is_reply: bool
    author: int | None
    people: frozenset[int]
    own: frozenset[int]  # lines of its author
    quoted: frozenset[int]
    conversation: int | None
    index: bytes


packed = msgspec.msgpack.Encoder().encode
"""A likeness in a tenth of the memory that its sets take; one and the same may be packed in several ways."""
unpacked = msgspec.msgpack.Decoder(Likeness).decode


def base_subject(subject: str) -> tuple[str, bool]:
    """A subject without reply prefixes and tags of lists, in lower case, and whether it had a reply prefix.

    A tag with a digit or a patch's stays, since it tells messages apart: [PATCH v2 3/5], [Bug 12].
    """
    rest, kept, is_reply = subject[:500], "", False
    for _ in range(_FIRST_ONES):
        if found := _REPLY.match(rest):
            is_reply = True
        elif found := _TAG.match(rest):
            tag = found[1].lower()
            if any(letter.isdigit() for letter in tag) or "patch" in tag or "rfc" in tag:
                kept += f"[{tag}] "
        else:
            break
        rest = rest[found.end() :]
    rest = _WAS.sub("", rest)
    return " ".join(f"{kept}{rest}".lower().split()), is_reply


def conversation_index(field: str) -> bytes:
    """The bytes of a Thread-Index field; empty where it is none."""
    try:
        index = base64.b64decode("".join(field.split())[:4000], validate=True)
    except (binascii.Error, ValueError):
        return b""
    return index if len(index) >= _HEADER_BYTES and (len(index) - _HEADER_BYTES) % _BLOCK == 0 else b""


def is_child(index: bytes) -> bool:
    """Whether a Thread-Index is that of a reply."""
    return len(index) > _HEADER_BYTES


def likeness(
    *,
    subject: str,
    author: str,
    recipients: str,
    text: str,
    folds: Sequence[tuple[int, int, str]],
    thread_index: str,
    lists: Collection[str],
) -> Likeness:
    """The likeness of a message; an address that is a list's (its List-Id with `@` for a dot) is nobody."""
    base, is_reply = base_subject(subject)
    index = conversation_index(thread_index)
    people = {found.lower() for found in _ADDRESS.findall(recipients[:20_000])[:_PEOPLE_MOST]}
    nobody = {one for one in {author.lower(), *people} if one.replace("@", ".") in lists}
    quoted, own, after = [], [], 0
    for start, end, kind in folds:
        own.append(text[after:start])
        if kind == "quote":
            quoted.append(text[start:end])
        after = end
    own.append(text[after:])
    return Likeness(
        subject=_key(base) if base else None,
        is_reply=is_reply,
        author=crc32(author.lower().encode()) if author and author.lower() not in nobody else None,
        people=frozenset(crc32(one.encode()) for one in people - nobody),
        own=_lines(own),
        quoted=_lines(quoted) if is_reply else frozenset(),
        conversation=_key(index[_GUID].hex()) if index else None,
        index=index,
    )


def _key(text: str) -> int:
    return int.from_bytes(blake2b(text.encode("utf-8", "replace"), digest_size=8).digest(), "big", signed=True)


def _lines(texts: Iterable[str]) -> frozenset[int]:
    """The first long lines of some texts, without their quote marks."""
    found: set[int] = set()
    for text in texts:
        for line in text[:20_000].split("\n"):
            if len(line) < _LINE_LEAST:
                continue
            bare = line[:300].lstrip("> \t").rstrip()
            if "  " in bare or not bare.isprintable():  # most lines have single spaces, and no other white space
                bare = " ".join(bare.split())
            if len(bare) >= _LINE_LEAST:
                found.add(crc32(bare.lower().encode("utf-8", "replace")))
                if len(found) == _LINES_MOST:
                    return frozenset(found)
    return frozenset(found)
