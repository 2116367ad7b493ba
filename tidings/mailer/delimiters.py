"""Delimiters of a multipart that Python passes over, so that what is below them stands as text: found again.

It changes the tree of one parsed message, a few parts of it at most. What delimiters Python finds is not its matter.
"""

import re
from collections.abc import Mapping, Sequence
from email import message_from_string
from email.errors import StartBoundaryNotFoundDefect
from email.message import Message

_BOUNDARIES_MOST = 8  # of a message are looked for; a program nests three or four
_PIECES_MOST = 1_000
# The field of a part below it, or the end, tells a delimiter from words about one.
_BELOW_JOINED = r"(?:[ \t]{0,80}\r?\n(?=[Cc]ontent-)|--\s*\Z)"
_FIELD = r"[Cc]ontent-[!-9;-~]{1,60}[ \t]{0,80}:"
_BEGINS_PART = re.compile(_FIELD)
_OTHER_DELIMITER = re.compile(rf"(?m)^--(\S[^\r\n]{{0,199}})\r?\n(?={_FIELD})")


def mend(message: Message) -> None:
    """Make parts of what stands below delimiters that are too long, begin no line, or come after their multipart's end.

    A boundary is to be compared with the beginning of a line only (RFC 2046 5.1.1), but Python compares the whole line:
    that is made up for where it finds none. And where an outer delimiter has ended an inner multipart, as it must (RFC
    2046 5.1.2), the inner one's own delimiters may go on below; so may those of a multipart below its close delimiter.
    A program that forgets the line end before a delimiter writes it behind the last words of a part.
    """
    named: list[str] = []
    found: dict[Message, dict[Message, list[Message]]] = {}  # of a multipart, the parts that come behind one of its own
    waiting: list[tuple[Message, Message | None, str]] = [(message, None, "")]
    while waiting:
        part, parent, around = waiting.pop()
        payload = part.get_payload()
        if isinstance(payload, list):
            boundary = _name(part, named)
            payload += _split_epilogue(part, boundary)
            waiting += [(one, part, boundary) for one in reversed(payload) if isinstance(one, Message)]
        elif any(isinstance(defect, StartBoundaryNotFoundDefect) for defect in part.defects):
            _name(part, named)
            _split_own(part)
        elif parent is not None and (pieces := _split_leaf(part, around, named)):
            found.setdefault(parent, {})[part] = pieces
    for parent, behind in found.items():
        _put_behind(parent, behind)


def _name(part: Message, named: list[str]) -> str:
    boundary: str = part.get_boundary() or ""
    if boundary and boundary not in named and len(named) < _BOUNDARIES_MOST:
        named.append(boundary)
    return boundary


def _split_own(part: Message) -> None:
    """Give a multipart without parts those whose delimiters only begin with its boundary, or are all of another one."""
    boundary, payload = part.get_boundary(), _payload(part)
    if not boundary:
        return
    if f"--{boundary}" in payload:
        before, *pieces = _pieces(payload, rf"--{re.escape(boundary)}[^\r\n]{{0,200}}")
    elif first := _OTHER_DELIMITER.search(payload):
        before, *pieces = _pieces(payload, rf"--{re.escape(first[1].rstrip())}(?:--)?[ \t]*")
        if len(pieces) < 2:  # a delimiter that stands there once may be of a text about mail
            return
    else:
        return
    if pieces:
        part.preamble = before
        part.set_payload([message_from_string(piece, _class=type(part)) for piece in pieces])


def _split_epilogue(part: Message, boundary: str) -> list[Message]:
    """Leave a multipart the epilogue above the first part that stands in it; returns the parts."""
    epilogue = part.epilogue or ""
    if not boundary or f"--{boundary}" not in epilogue:
        return []
    above, *pieces = _pieces(epilogue, f"--{re.escape(boundary)}(?:--)?[ \t]*")
    found = [message_from_string(piece, _class=type(part)) for piece in pieces if _BEGINS_PART.match(piece)]
    if found:
        part.epilogue = above
    return found


def _split_leaf(part: Message, around: str, named: list[str]) -> list[Message]:
    """Leave a text what stands above delimiters; returns the parts below them.

    They are those of the multipart `around` it that begin no line, and those of an ended one that do.
    """
    own, *below = _split_joined(_payload(part), around)
    own, *pieces = _split_ended(own, named)
    if pieces or below:
        part.set_payload(own)
    return [message_from_string(piece, _class=type(part)) for piece in (*pieces, *filter(None, below))]


def _split_joined(payload: str, boundary: str) -> list[str]:
    if not boundary or f"--{boundary}" not in payload:
        return [payload]
    return re.split(f"--{re.escape(boundary)}{_BELOW_JOINED}", payload, maxsplit=_PIECES_MOST)


def _split_ended(payload: str, named: list[str]) -> list[str]:
    found = [boundary for boundary in named if f"--{boundary}" in payload] if len(named) > 1 else []
    return _pieces(payload, f"--(?:{'|'.join(map(re.escape, found))})(?:--)?[ \t]*") if found else [payload]


def _put_behind(parent: Message, behind: Mapping[Message, Sequence[Message]]) -> None:
    """Put parts behind those of a multipart; all at once, since one by one takes time by the square of their number."""
    parts = parent.get_payload()
    if isinstance(parts, list):
        parts[:] = [one for part in parts if isinstance(part, Message) for one in (part, *behind.get(part, ()))]


def _payload(part: Message) -> str:
    """The text of a part as it was sent; get_payload() would read its 8-bit bytes in some charset."""
    payload = part._payload  # type: ignore[attr-defined]
    return payload if isinstance(payload, str) else ""


def _pieces(payload: str, delimiter: str) -> list[str]:
    """The text between lines that are delimiters, which the line end before each belongs to."""
    return re.split(rf"(?m)(?:\r?\n)?^{delimiter}(?:\r?\n|\Z)", payload, maxsplit=_PIECES_MOST)
