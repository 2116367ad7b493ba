"""Turns the text of mail into markup: links, folded quotes, safe names; everything that is not ours is escaped last.

Mail is hostile: whatever runs here is linear in the text, and no expression goes back over what it has read.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup, escape

from tidings.archive.read import Attachment, Folded, pieces

# Characters that turn the direction of what follows (Unicode TR 9): in a name or a link they only deceive.
_TURNING = "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"
_URL = re.compile(rf"https?://[^\s<>\"'`\x00-\x20\x7f-\x9f{_TURNING}]{{1,2000}}", re.IGNORECASE)
_UNSEEN = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
_UNSEEN_IN_LINE = re.compile(rf"[\x00-\x20\x7f-\x9f\u2028\u2029\ud800-\udfff\ufffe\uffff{_TURNING}]+")
# Of a text that is ASCII, where this takes a tenth of the time.
_WITHOUT_UNSEEN = dict.fromkeys((*range(0x09), *range(0x0B, 0x20), 0x7F))
_AFTER_URL = ".,;:!?*_"
# What only makes sense in columns: patches, and lines with gaps inside.
_PATCH = re.compile(r"^(?:diff --git |@@ -|\+\+\+ |--- [ab]/)", re.MULTILINE)
_IN_PATCHES = ("@@ -", "diff --git ", "+++ ", "--- ")  # a look for these takes a tenth of the time
_GAP = re.compile(r"^.*\S(?:[ ]{3}|\t)", re.MULTILINE)
_GAPS_OF_A_TABLE = 3
_NAME_LENGTH = 150

# What a reader is told of a part that no page can show, by its type (RFC 2046; RFC 8551; RFC 3156; TNEF is Outlook's).
_TOLD = {
    "application/pkcs7-signature": "Signed (S/MIME); the signature was not checked.",
    "application/x-pkcs7-signature": "Signed (S/MIME); the signature was not checked.",
    "application/pgp-signature": "Signed (PGP); the signature was not checked.",
    "application/pkcs7-mime": "Sealed (S/MIME): what is inside cannot be read here.",
    "application/x-pkcs7-mime": "Sealed (S/MIME): what is inside cannot be read here.",
    "application/pgp-encrypted": "Encrypted (PGP): it cannot be read here.",
    "application/ms-tnef": "Some of it is packed in Outlook's own format (winmail.dat) and cannot be read here.",
    "application/vnd.ms-tnef": "Some of it is packed in Outlook's own format (winmail.dat) and cannot be read here.",
    "message/partial": "A piece of a larger message; the pieces are not put together here.",
    "message/rfc822": "A forwarded message is attached.",
    "text/calendar": "A calendar entry is attached.",
}
_TOLD_OF_TEXT = (
    ("-----BEGIN PGP MESSAGE-----", "Encrypted (PGP): it cannot be read here."),
    ("-----BEGIN PGP SIGNED MESSAGE-----", "Signed (PGP); the signature was not checked."),
)


@dataclass(frozen=True, kw_only=True)
class Piece:
    """A part of a post as a page shows it; `summary` stands on the fold, and is empty for what the author wrote."""

    summary: str
    body: Markup


def line(text: str) -> str:
    """A subject or a name on one line, without characters that do not show or turn the text around."""
    if text.isprintable() and "  " not in text:  # most texts: nothing to be replaced is printable but spaces
        return text.strip()
    return _UNSEEN_IN_LINE.sub(" ", text).strip()


def block(text: str) -> str:
    """A text of several lines without control characters; line ends are LF."""
    text = text.replace("\r\n", "\n")
    return text.translate(_WITHOUT_UNSEEN) if text.isascii() else _UNSEEN.sub("", text)


def post_pieces(post: Folded) -> list[Piece]:
    """The text of a post, what is folded marked so, without the empty lines at the ends of each part."""
    return [
        Piece(summary="" if kind == "own" else _summary(kind, text), body=linked(text))
        for kind, text in ((kind, block(part).strip("\n").rstrip()) for kind, part in pieces(post))
        if text.strip()
    ]


def notes(text: str, files: Sequence[Attachment]) -> list[str]:
    """What a reader should know of a post besides its text, each thing once."""
    told = [_TOLD[kind] for kind in (file.content_type.lower() for file in files) if kind in _TOLD]
    told += [note for begin, note in _TOLD_OF_TEXT if text.startswith(begin) or f"\n{begin}" in text]
    return list(dict.fromkeys(told))


def _summary(kind: str, text: str) -> str:
    count = text.count("\n") + 1
    lines = "1 line" if count == 1 else f"{count} lines"
    return f"Signature, {lines}" if kind == "signature" else f"Quoted text, {lines}"


def linked(text: str) -> Markup:
    """The text, escaped, with http and https addresses made links."""
    if "://" not in text:  # most texts; the search below takes as long as all else that is done with them
        return escape(text)
    return Markup("".join(_linked(text)))  # noqa: S704  (each part was escaped)


def marked(text: str, marks: Sequence[tuple[int, int]]) -> Markup:
    """A text on one line, escaped, in which the parts from start to end are marked; they come in order, apart."""
    return Markup("".join(_marked(text, marks)))  # noqa: S704  (each part was escaped)


def _marked(text: str, marks: Sequence[tuple[int, int]]) -> Iterator[str]:
    at = 0
    for start, end in marks:
        yield escape(_UNSEEN_IN_LINE.sub(" ", text[at:start]))
        yield f"<mark>{escape(_UNSEEN_IN_LINE.sub(' ', text[start:end]))}</mark>"
        at = end
    yield escape(_UNSEEN_IN_LINE.sub(" ", text[at:]))


def _linked(text: str) -> Iterator[str]:
    at = 0
    for match in _URL.finditer(text):
        url = _without_tail(match[0])
        yield escape(text[at : match.start()])
        shown = escape(url)
        yield f'<a href="{shown}" rel="nofollow noopener noreferrer">{shown}</a>'
        at = match.start() + len(url)
    yield escape(text[at:])


def _without_tail(url: str) -> str:
    """The address without the punctuation of the sentence around it; a bracket that it opened itself is its own."""
    url = url.rstrip(_AFTER_URL)
    for opening, closing in ("()", "[]"):
        extra = url.count(closing) - url.count(opening)
        tail = len(url) - len(url.rstrip(closing))
        if extra > 0 and tail:
            url = url[: -min(extra, tail)].rstrip(_AFTER_URL)
    return url


def is_columns(post: Folded) -> bool:
    """Whether a post is to be shown with letters of one width: it holds a patch or a table."""
    if any(sign in post.text for sign in _IN_PATCHES) and _PATCH.search(post.text):
        return True
    if "   " not in post.text and "\t" not in post.text:
        return False
    gaps = (match for match, _ in zip(_GAP.finditer(post.text), range(_GAPS_OF_A_TABLE), strict=False))
    return sum(1 for _ in gaps) == _GAPS_OF_A_TABLE


def reply_subject(subject: str) -> str:
    """The subject of an answer (RFC 5322 3.6.5)."""
    plain = line(subject)
    return plain if plain[:3].lower() == "re:" else f"Re: {plain}"


def file_name(name: str) -> str:
    """A file's name for a page and for a download: no folders, nothing unseen, not too long."""
    bare = line(re.split(r"[/\\]", name)[-1]).strip(". ")
    if len(bare) > _NAME_LENGTH:
        stem, dot, ending = bare.rpartition(".")
        bare = f"{(stem or ending)[: _NAME_LENGTH - 20]}{dot}{ending[:19]}" if stem else bare[:_NAME_LENGTH]
    return bare or "file"


def file_size(size: int) -> str:
    """A size for people: 12 B, 3.4 kB, 1.2 MB."""
    if size < 1000:
        return f"{size} B"
    return f"{size / 1000:.1f} kB" if size < 1_000_000 else f"{size / 1_000_000:.1f} MB"
