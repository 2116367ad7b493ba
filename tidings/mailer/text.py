"""From a parsed message to what is shown of it: one text, and the list of its attachments.

It walks the parts, chooses between alternatives and decodes; it does not parse raw bytes, fold quotes or keep anything.
It is run in the worker process (worker.py), and raises nothing but MessageTooComplexError.
"""

import hashlib
import mimetypes
from collections.abc import Iterable
from dataclasses import dataclass
from email.message import Message
from email.policy import Compat32
from functools import cached_property

from tidings.errors import MessageTooComplexError
from tidings.mailer import html_text, part_fields
from tidings.mailer.charsets import clean, decode, decode_header_text, readable
from tidings.mailer.part_fields import NAME_MOST, field_value, parameter, safe_name
from tidings.mailer.tolerant import decoded_bytes

_SHOWN_INLINE = frozenset(["text/plain", "text/html", "text/x-patch", "text/x-diff", "text/markdown"])
_PATCHES = (".patch", ".diff")
_TYPES = mimetypes.MimeTypes()  # the built-in ones: the same on every machine


@dataclass(frozen=True, kw_only=True)
class Part:
    """A part that is offered for download."""

    position: int
    """Which part of the message, as `Message.walk` counts them from 0."""
    filename: str
    content_type: str
    size: int
    """Bytes, decoded; of a mail inside the mail as it stands there."""
    sha256: bytes
    """Of the decoded bytes; empty for a mail inside the mail."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """What a reader sees of a message."""

    text: str
    attachments: tuple[Part, ...]
    has_html: bool
    """Whether its author wrote HTML too."""
    notes: tuple[str, ...]
    """What a reader should know besides: that the text was cut, or cannot be read because it is encrypted."""


@dataclass(frozen=True, kw_only=True)
class _Place:
    """Where a part stands: how deep, in a mail that is passed on, beside the root of a multipart/related (RFC 2387)."""

    depth: int
    forwarded: bool
    beside: bool

    def inside(self, node: "_Node", number: int) -> "_Place":
        """The place of a node's child."""
        return _Place(
            depth=self.depth + 1,
            forwarded=self.forwarded or node.is_message,
            beside=self.beside or (number > 0 and node.content_type == "multipart/related"),
        )


class _Node:
    """A part, where it stands, and what becomes of it: "text", "attachment", or "" for nothing."""

    def __init__(self, part: Message, place: "_Place", position: int, *, follows: bool) -> None:
        self.part = part
        self.depth = place.depth
        self.position = position
        self.content_type = part_fields.content_type(part)
        self.disposition = part_fields.disposition(part)
        self.filename = part_fields.filename(part)
        self.end = position + 1  # the position after the last part inside
        self.role = "" if place.forwarded else self._role(follows, place.beside)

    @cached_property
    def text(self) -> str:
        """What is shown of it. Made when it is asked for: most HTML stands beside a plain text and is not shown."""
        return _text(self)

    @property
    def is_message(self) -> bool:
        return self.content_type.startswith("message/")

    def _role(self, follows: bool, beside: bool) -> str:
        """What becomes of it; `follows` says that there is a text before it, `beside` that it belongs to one."""
        if self.is_message:
            return "attachment"
        if self.part.is_multipart():
            return ""
        broken = self.content_type.startswith("multipart/")  # no boundary was found: it is shown as it stands
        # RFC 8621 4.1.4: a text with a name, or in a multipart/related, that is not the first, is a file. A patch is to
        # be read.
        file = follows and (self.filename or beside) and self.content_type in ("text/plain", "text/html")
        if (self.content_type in _SHOWN_INLINE or broken) and self.disposition != "attachment":
            return "attachment" if file and not self.filename.lower().endswith(_PATCHES) else "text"
        return "attachment"


def display(message: Message, *, limit: int = 1_000_000, parts: int = 1_000, depth: int = 50) -> Shown:
    """What is shown of a message (compat32): its text, at most `limit` characters, fit for UTF-8, with LF line ends.

    Raises MessageTooComplexError where it has more than `parts` parts or nests them more than `depth` deep.
    """
    nodes = _walk(message, parts, depth)
    has_html = any(map(_is_html, nodes))
    for node in reversed(nodes):
        if node.content_type == "multipart/alternative":
            _choose(nodes, node)
    texts = [node.text.strip("\n") for node in nodes if node.role == "text" and node.text.strip()]
    text = "\n\n".join(texts) or _around(nodes)
    attachments = tuple(_attachment(nodes, node) for node in nodes if node.role == "attachment")
    notes = _notes(nodes, text, limit)
    return Shown(text=text[:limit], attachments=attachments, has_html=has_html, notes=notes)


def _around(nodes: list[_Node]) -> str:
    """What stands around the parts of a message of which no part is shown: its boundaries are wrong, not its words."""
    if any(node.role == "attachment" for node in nodes):
        return ""
    pieces = [piece for node in nodes for piece in (node.part.preamble, node.part.epilogue) if piece and piece.strip()]
    return _trimmed(clean(readable("\n\n".join(pieces)))).strip("\n")


def html_sources(message: Message, *, parts: int = 1_000, depth: int = 50) -> tuple[str, ...]:
    """The HTML of each of the message's own HTML texts, as it stands, the same once. Raises as `display`."""
    nodes = filter(_is_html, _walk(message, parts, depth))
    found = (clean(decode(decoded_bytes(node.part), parameter(node.part, "charset"))) for node in nodes)
    return tuple(dict.fromkeys(found))


def _is_html(node: _Node) -> bool:
    return node.role == "text" and node.content_type == "text/html"


def parts_by_content_id(message: Message, *, parts: int = 1_000, depth: int = 50) -> dict[str, Message]:
    """The parts that a Content-ID (RFC 2392) names, by it without `<>`; the first of each. Raises as `display`."""
    found: dict[str, Message] = {}
    for node in _walk(message, parts, depth):
        if named := field_value(node.part, "content-id").strip().strip("<>"):
            found.setdefault(named, node.part)
    return found


def part_bytes(message: Message, position: int, *, parts: int = 1_000, depth: int = 50) -> bytes | None:
    """The decoded bytes of a part, or the mail inside the mail; None where it is not there. Raises as `display`."""
    nodes = _walk(message, parts, depth)
    if not 0 <= position < len(nodes):
        return None
    return _bytes(nodes[position].part)


def _bytes(part: Message) -> bytes:
    inner = part.get_payload() if part.is_multipart() else None
    if not isinstance(inner, list):
        return decoded_bytes(part)
    return b"".join(one.as_bytes(policy=_AS_IT_STANDS) for one in inner if isinstance(one, Message))


class _AsItStands(Compat32):
    """Writes fields as they were read: to fold them anew takes a second for a megabyte, and changes them."""

    def fold_binary(self, name: str, value: str) -> bytes:
        lines = value.replace("\r\n", "\n").replace("\r", "\n")
        return f"{name}: {lines}\n".encode("utf-8", "surrogateescape")


_AS_IT_STANDS = _AsItStands()


def _walk(message: Message, parts: int, depth: int) -> list[_Node]:
    """All parts, depth first, without recursion: a sender decides how deep they are nested."""
    nodes: list[_Node] = []
    waiting = [(message, _Place(depth=0, forwarded=False, beside=False))]
    follows = False
    while waiting:
        part, place = waiting.pop()
        if len(nodes) >= parts:
            raise MessageTooComplexError(f"It has too many parts: more than {parts}.")
        if place.depth > depth:
            raise MessageTooComplexError(f"Its parts are nested too deep: more than {depth} levels.")
        node = _Node(part, place, len(nodes), follows=follows)
        nodes.append(node)
        follows = follows or node.role == "text"
        inner = part.get_payload() if part.is_multipart() else []
        inside = [one for one in inner if isinstance(one, Message)] if isinstance(inner, list) else []
        waiting += reversed([(one, place.inside(node, number)) for number, one in enumerate(inside)])
    _set_ends(nodes)
    return nodes


def _set_ends(nodes: list[_Node]) -> None:
    open_nodes: list[_Node] = []
    for node in nodes:
        while open_nodes and open_nodes[-1].depth >= node.depth:
            open_nodes.pop().end = node.position
        open_nodes.append(node)
    for node in open_nodes:
        node.end = len(nodes)


def _choose(nodes: list[_Node], alternative: _Node) -> None:
    """Keep the text of one kind (RFC 2046 5.1.4): plain text unless it is blank, else HTML, else any.

    Several of that kind are no alternatives (RFC 8621 4.1.4): some servers put a list's footer there.
    """
    children = []
    place = alternative.position + 1
    while place < alternative.end:
        children.append(nodes[place : nodes[place].end])
        place = nodes[place].end
    for wanted in (("text/plain",), ("text/html",), tuple(_SHOWN_INLINE)):
        chosen: dict[str, int] = {}  # by their text, so that the same is shown once
        for number, child in enumerate(children):
            texts = [node for node in child if node.role == "text"]
            if any(node.content_type in wanted and node.text.strip() for node in texts):
                chosen.setdefault("\n".join(filter(None, (node.text.strip() for node in texts))), number)
        if chosen:
            kept = set(chosen.values())
            _drop_texts(child for number, child in enumerate(children) if number not in kept)
            return


def _drop_texts(children: Iterable[list[_Node]]) -> None:
    for child in children:
        for node in child:
            if node.role == "text":
                node.role = ""


def _text(node: _Node) -> str:
    text = clean(decode(decoded_bytes(node.part), parameter(node.part, "charset")))
    if node.content_type == "text/html":
        return _trimmed(clean(html_text.to_text(text)))
    if node.content_type == "text/plain" and parameter(node.part, "format").lower() == "flowed":
        text = _unflowed(text, delete_space=parameter(node.part, "delsp").lower() == "yes")
    return _trimmed(text)


def _trimmed(text: str) -> str:
    """Without white space at line ends, but for that of the signature separator."""
    return "\n".join(line if line == "-- " else line.rstrip() for line in text.split("\n"))


def _unflowed(text: str, *, delete_space: bool) -> str:
    """A format=flowed text with its paragraphs on one line each (RFC 3676 4).

    A line that flows into an empty one ends all the same: many programs leave a space behind the last of a paragraph.
    """
    lines: list[str] = []
    pieces: list[str] = []  # of the paragraph that is being read
    depth = 0
    for raw in text.split("\n"):
        bare = raw.lstrip(">")
        quoted, line = len(raw) - len(bare), bare.removeprefix(" ")
        if pieces and (quoted != depth or line in ("", "-- ")):
            lines.append("".join(pieces))
            pieces = []
        if not pieces:
            pieces = ["> " * quoted if line else ">" * quoted]
            depth = quoted
        flows = line.endswith(" ") and line != "-- "
        pieces.append(line[:-1] if flows and delete_space else line)
        if not flows:
            lines.append("".join(pieces))
            pieces = []
    return "\n".join([*lines, "".join(pieces)] if pieces else lines)


def _notes(nodes: list[_Node], text: str, limit: int) -> tuple[str, ...]:
    notes = []
    if len(text) > limit:
        notes.append(f"The text was cut after {limit} characters.")
    encrypted = ("multipart/encrypted", "application/pkcs7-mime", "application/x-pkcs7-mime")
    if not text and any(node.content_type in encrypted for node in nodes):
        notes.append("The message is encrypted or sealed; its text is in an attachment.")
    return tuple(notes)


def _attachment(nodes: list[_Node], node: _Node) -> Part:
    content = _bytes(node.part)
    return Part(
        position=node.position,
        filename=node.filename or part_fields.location_name(node.part) or _made_up_name(nodes, node),
        content_type=node.content_type,
        size=len(content),
        sha256=b"" if node.is_message else hashlib.sha256(content).digest(),
    )


def _made_up_name(nodes: list[_Node], node: _Node) -> str:
    if node.content_type == "message/rfc822" and node.end > node.position + 1:
        subject = decode_header_text(field_value(nodes[node.position + 1].part, "subject"))
        return ("forwarded message: " + (safe_name(subject) or "no subject"))[:NAME_MOST]
    return f"part-{node.position}{_TYPES.guess_extension(node.content_type, strict=False) or '.bin'}"
