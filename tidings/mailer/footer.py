"""Puts a footer under the body of a message, by adding bytes only.

It decodes nothing of what was written and encodes none of it anew: where no text can be put behind the body, the body
becomes the first of two parts, byte for byte, so that signatures inside it hold. It neither knows what a footer says
nor reads the rest of a header.
"""

import binascii
import codecs
import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

_FIELD_MOST = 4096  # octets of a field that is read; longer ones are odd
_LINE_LIMIT = 998  # RFC 5322 2.1.1: must
_WORD = r"[!#-'*+.0-9A-Z^-~-]++"  # RFC 2045 5.1: a token
_SPACE = r"[ \t\r\n]*+"
_TYPE = re.compile(f"({_WORD}/{_WORD}){_SPACE}")
_PARAMETER = re.compile(rf';{_SPACE}(?:({_WORD}){_SPACE}={_SPACE}({_WORD}|"(?:[^"\\]|\\.)*+"){_SPACE})?+', re.DOTALL)
# RFC 2046 5.1.1 has fewer characters; mail has these.
_BOUNDARY = re.compile(r"[ -~]{0,199}[!-~]")
_PRINTED = "".join(map(chr, range(32, 127))) + "\r\n"
# What is no longer true of a body that was added to.
_MEASURES = frozenset({"content-length", "content-md5"})
_PLAIN_ENCODINGS = ("7bit", "8bit")


@dataclass(frozen=True, kw_only=True)
class Footed:
    """What became of a message: the fields of it that are `kept`, in their order, what is to be added, and the body."""

    kept: list[tuple[str, bytes]]
    add: Sequence[tuple[str, str]] = ()
    body: bytes


@dataclass(frozen=True, kw_only=True)
class _Content:
    """What the Content fields say, in lower case; `kind` is empty where they are not plainly one thing."""

    kind: str  # text/plain
    parameters: Mapping[str, str] = field(default_factory=dict)
    encoding: str = "7bit"


def under(fields: Sequence[tuple[str, bytes]], body: bytes, text: str, part: bytes) -> Footed:
    """A message (lower-case name and bytes of each field, all line ends CR LF) with the footer `text` under it.

    `part` is the same footer as a MIME part. Whatever cannot plainly take one or the other is wrapped.
    """
    content = _content(fields)
    new, add, left_out = None, [], _MEASURES
    if content.kind == "text/plain":
        new = _appended(content, body, text)
        if new is not None and content.encoding == "7bit" and not new[len(body) :].isascii():
            add, left_out = [("Content-Transfer-Encoding", "8bit")], left_out | {"content-transfer-encoding"}
    elif content.kind == "multipart/mixed" and content.encoding in (*_PLAIN_ENCODINGS, "binary"):
        new = _inserted(content.parameters.get("boundary", ""), body, part)
    if new is None:
        return _wrapped(fields, content, body, part)
    return Footed(kept=[one for one in fields if one[0] not in left_out], add=add, body=new)


def _content(fields: Sequence[tuple[str, bytes]]) -> _Content:
    odd = _Content(kind="")
    found: dict[str, str] = {}
    for name, part in fields:
        if name in ("content-type", "content-transfer-encoding", "content-disposition"):
            if name in found or len(part) > _FIELD_MOST:
                return odd  # one program reads the first, another the last
            found[name] = part.partition(b":")[2].decode("latin-1").strip(" \t\r\n")
    kind, parameters = _typed(found.get("content-type", "text/plain"))
    encoding = found.get("content-transfer-encoding", "7bit").lower()
    shown = found.get("content-disposition", "inline").partition(";")[0].strip(" \t\r\n").lower()
    if shown != "inline" or "name" in parameters:
        return odd  # a file, which is somebody's as it is
    return _Content(kind=kind, parameters=parameters, encoding=encoding)


def _typed(value: str) -> tuple[str, dict[str, str]]:
    """Type and parameters, names in lower case; an empty type for what is not plainly one (RFC 2231 is not read)."""
    start = _TYPE.match(value)
    at = start.end() if start else 0
    parameters: dict[str, str] = {}
    while found := _PARAMETER.match(value, at):
        at = found.end()
        if found[1] is None:  # a semicolon with nothing behind it
            continue
        name = found[1].lower()
        if name in parameters or "*" in name:
            return "", {}
        quoted = found[2].startswith('"')
        parameters[name] = re.sub(r"\\(.)", r"\1", found[2][1:-1], flags=re.DOTALL) if quoted else found[2]
    return (start[1].lower(), parameters) if start and at == len(value) else ("", {})


# --- text/plain ------------------------------------------------------------------------------------------------------


def _appended(content: _Content, body: bytes, text: str) -> bytes | None:
    """The body with the text behind it, or None where its encoding or charset cannot have that."""
    flowed = content.parameters.get("format", "").lower() == "flowed"
    lines = [_stuffed(line) if flowed else line for line in text.split("\n")]
    data = _in_charset("\r\n".join(lines), content.parameters.get("charset", "us-ascii"), content.encoding, body)
    if data is None:
        return None
    if content.encoding == "quoted-printable":
        data = binascii.b2a_qp(data.replace(b"\r\n", b"\n")).replace(b"\n", b"\r\n")
        above = _with_line_end(body, soft=True)
    elif content.encoding in _PLAIN_ENCODINGS and max(map(len, data.split(b"\r\n"))) <= _LINE_LIMIT:
        above = _with_line_end(body, soft=False)
    else:
        return None
    # A last line with a space at its end would flow into the footer (RFC 3676 4.1): an empty line ends it.
    return above + (b"\r\n" if flowed and above else b"") + data


def _stuffed(line: str) -> str:
    """RFC 3676 4.4."""
    return " " + line if line.startswith((" ", ">", "From ")) else line


def _with_line_end(body: bytes, *, soft: bool) -> bytes:
    if body and not body.endswith(b"\r\n"):
        body += b"\r\n"
    # `soft`: the line end behind "=" is none (RFC 2045 6.7), so that a second one is needed.
    last = body[body.rfind(b"\r\n", 0, -2) + 1 :] if soft else b""
    return body + b"\r\n" if last.rstrip(b" \t\r\n").endswith(b"=") else body


def _in_charset(text: str, charset: str, encoding: str, body: bytes) -> bytes | None:
    """The text's bytes in a charset in which plain ASCII stands for itself, and can stand behind that body."""
    try:
        if _PRINTED.encode(charset) != _PRINTED.encode("ascii"):
            return None
        if codecs.lookup(charset).name.startswith("iso2022"):
            # The last escape sequence has to be the one back to ASCII, which can be seen in plain bytes only.
            last = body.rfind(b"\x1b")
            if encoding == "quoted-printable" or (last >= 0 and not body.startswith(b"\x1b(B", last)):
                return None
        return text.encode(charset)
    except (LookupError, ValueError):  # an unknown charset, or a letter that it does not have
        return None


# --- parts -----------------------------------------------------------------------------------------------------------


def _inserted(boundary: str, body: bytes, part: bytes) -> bytes | None:
    """A multipart body with one part more, or None where its delimiters are not plain to see (RFC 2046 5.1.1)."""
    if not _BOUNDARY.fullmatch(boundary):
        return None
    line = b"--" + boundary.encode()
    found = [
        (one.start(), one[1].rstrip(b" \t")) for one in re.finditer(b"^" + re.escape(line) + rb"([^\r]*+)", body, re.M)
    ]
    # The first one opens, the last one closes, and none is of another boundary that only begins like this one.
    if len(found) < 2 or found[-1][1] != b"--" or any(rest for _, rest in found[:-1]):
        return None
    at = found[-1][0]
    return body[:at] + line + b"\r\n" + part + b"\r\n" + body[at:]


def _wrapped(fields: Sequence[tuple[str, bytes]], content: _Content, body: bytes, part: bytes) -> Footed:
    own = b"".join(value for name, value in fields if name.startswith("content-"))
    if own and not own.endswith(b"\r\n"):
        own += b"\r\n"
    # No body can hold a digest of itself.
    boundary = "=_" + hashlib.sha256(own + b"\r\n" + body).hexdigest()[:32]
    line = f"--{boundary}".encode()
    new = b"\r\n".join([line, own + b"\r\n" + body, line, part, line + b"--", b""])
    add = [("Content-Type", f'multipart/mixed; boundary="{boundary}"')]
    if content.encoding == "binary" or not body.isascii():  # RFC 2045 6.4: what holds it says so too
        add.append(("Content-Transfer-Encoding", "binary" if content.encoding == "binary" else "8bit"))
    if all(name != "mime-version" for name, _ in fields):
        add.insert(0, ("MIME-Version", "1.0"))
    return Footed(kept=[one for one in fields if not one[0].startswith("content-")], add=add, body=new)
