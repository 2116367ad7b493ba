"""Broken MIME read as it was meant: boundaries that are badly written, transfer encodings that are badly undone.

It looks at one message and raises nothing of its own. Which parts are shown, and in which charset, is not its matter.
"""

import base64
import binascii
import codecs
import re
from email import message_from_bytes
from email.message import Message
from itertools import groupby
from typing import Any

from tidings.mailer import delimiters

_FIELD_MOST = 4096  # characters of a field that are looked at
_FOLD = re.compile(r"\r?\n")
# A line that neither begins a field (RFC 5322 2.2) nor goes on with one, right above a field that mail has.
_NO_FIELD = rb"^(?![!-9;-~]*+[ \t]*+:|[ \t]|From )[^\r\n]++\r?\n"
_USUAL = (
    rb"(?i:(?:arc|content|list|resent|x)-[a-z0-9-]{1,60}|authentication-results|auto-submitted|b?cc|comments|date"
    rb"|delivered-to|dkim-signature|envelope-to|errors-to|from|importance|in-reply-to|keywords|message-id|mime-version"
    rb"|organization|precedence|priority|received|received-spf|references|reply-to|return-path|sender|status|subject"
    rb"|thread-index|thread-topic|to|user-agent)[ \t]*+:"
)
_STRAY = re.compile(rb"(?m)%b(?=%b)" % (_NO_FIELD, _USUAL))
_STRAY_LEFT = re.compile(rb"(?m)%b" % _NO_FIELD)
_ONLY_ONCE = re.compile(rb"(?im)^(from|to|date|subject|message-id)[ \t]*+:")  # RFC 5322 3.6
_OLD_SPACE = re.compile(rb"^([!-9;-~]++)[ \t]++:", re.MULTILINE)
# RFC 2046 5.1.1 allows 70 characters; a `;` before it is missing where Python does not find it.
_BOUNDARY = re.compile(r"""(?i)\bboundary\s{0,9}=\s{0,9}(?:"([^"\r\n]{1,200})"|([^\s";,]{1,200}))""")
# Some programs write a space or an underscore for the hyphen of one, or one into the other.
_ENCODING = re.compile(r"(?i)[\s\"']{0,80}(?:(quoted[ _-]?printable)|base[ _-]?64)(?![a-z0-9-])")
_SOFT_BREAK = re.compile(rb"=[ \t]++(?=\r?\n|\Z)")
_LETTERS = re.compile(rb"[A-Za-z0-9+/]+")
_PIECES = re.compile(rb"=+(?:[ \t][^\r\n]*)?")
_ONLY_BASE64 = re.compile(rb"[A-Za-z0-9+/=\r\n]*")
_BASE64_LINE = re.compile(rb"[A-Za-z0-9+/]++={0,2}")
_LAST_LINE = re.compile(rb"[A-Za-z0-9+/]++={1,2}(?:[ \t].*)?")
_FULL_LINE = 40  # letters: no word is so long


class Mail(Message):
    """A compat32 message that finds its parts although the boundary is folded, or no `;` stands before it.

    None of its bytes are read by a charset that it names: Python has codecs that raise whatever they are asked.
    """

    def get_payload(self, i: Any = None, decode: Any = False) -> Any:
        """The payload, as `Message.get_payload`, but with the surrogates that stand for its 8-bit bytes."""
        if decode or i is not None:
            return super().get_payload(i, decode)
        return self._payload  # type: ignore[attr-defined]

    def get_boundary(self, failobj: Any = None) -> Any:
        """The boundary, as `Message.get_boundary`."""
        try:
            found = super().get_boundary()
        except TypeError:  # Python's own: RFC 2231 pieces with and without a number
            found = None
        except ValueError:  # RFC 2231 with a charset that is none
            pieces = self.get_param("boundary")
            found = pieces[2] if isinstance(pieces, tuple) else None
        if found is not None and "\ufffd" not in found:
            return _FOLD.sub("", found)
        # As it was sent: Python makes U+FFFD of its bytes that are not ASCII, but not of those of a delimiter.
        written = next((str(value) for name, value in self.raw_items() if name.lower() == "content-type"), "")
        bare = _BOUNDARY.search(written[:_FIELD_MOST])
        return (bare[1] or bare[2]) if bare else failobj


def read_message(raw: bytes) -> Message:
    """Parse a raw message, as the standard library does but for the boundaries and for old ways to write a field."""
    message = message_from_bytes(as_now_written(raw), _class=Mail)
    delimiters.mend(message)
    return message


def as_now_written(raw: bytes) -> bytes:
    """A message whose own fields have no white space before their colons, which RFC 5322 4.5 says must be understood.

    Nor has it the mark that editors put before UTF-8, nor a line among its fields that is none. Python takes a line
    like that, and all fields below it, for the text.
    """
    raw = raw.removeprefix(codecs.BOM_UTF8)
    end = min((at for at in (raw.find(b"\r\n\r\n"), raw.find(b"\n\n")) if at >= 0), default=len(raw))
    header = written = raw[:end]
    if b" :" in header or b"\t:" in header:
        header = _OLD_SPACE.sub(rb"\1:", header)
    if header[:1] not in (b"\r", b"\n") and _STRAY.search(header):  # with an empty line above it, it is a text
        header = _without_stray_lines(header)
    return raw if header == written else header + raw[end:]


def _without_stray_lines(header: bytes) -> bytes:
    """A header block without the lines that are no fields, unless a text with no empty line above it may begin there.

    In a text there are more such lines, or fields once more that a header has but once.
    """
    kept = _STRAY.sub(b"", header)
    names = [name.lower() for name in _ONLY_ONCE.findall(kept)]
    return header if _STRAY_LEFT.search(kept + b"\n") or len(names) > len(set(names)) else kept


def decoded_bytes(part: Message) -> bytes:
    """A part's bytes; as they stand where their transfer encoding cannot be undone, none for a multipart."""
    # get_payload() would already have read 8-bit bytes in some charset.
    payload = part._payload  # type: ignore[attr-defined]
    if not isinstance(payload, str):
        return b""
    found = _ENCODING.match(str(part.get("content-transfer-encoding", ""))[:_FIELD_MOST])
    if found is None:
        decoded = part.get_payload(decode=True)
        return decoded if isinstance(decoded, bytes) else b""
    if found[1]:
        # RFC 2045 6.7 (3): white space at the end of a line was added on the way.
        return binascii.a2b_qp(_SOFT_BREAK.sub(b"=", payload.encode("utf-8", "surrogateescape")))
    return _from_base64(payload.encode("utf-8", "surrogateescape"))


def from_base64(data: bytes) -> bytes:
    """What base64 stands for: characters that are none of its own are passed over, and so is a letter too many.

    Pieces that were encoded one by one, and so end in `=` each, are all read; words behind one on its line are not.
    Where letters are missing, the line that they were in is lost and no other.
    """
    try:
        return binascii.a2b_base64(data.translate(None, b" \t\r\n"), strict_mode=True)
    except binascii.Error:
        return b"".join(map(_piece, _PIECES.split(data)))


def _piece(data: bytes) -> bytes:
    letters = b"".join(_LETTERS.findall(data))
    if len(letters) % 4 == 0 or data.count(b"\n") < 2:
        return _from_letters(letters)
    lines = list(filter(None, (b"".join(_LETTERS.findall(line)) for line in data.splitlines())))
    broken = [line for line in lines[:-1] if len(line) % 4]
    if not broken or 2 * len(broken) > len(lines):
        return _from_letters(letters)
    # Lines of whole fours stand for themselves. Of others, those that follow each other may be one that was broken.
    runs = [(whole, list(run)) for whole, run in groupby(lines, key=lambda line: len(line) % 4 == 0)]
    last = len(runs) - 1
    kept = (run for number, (whole, run) in enumerate(runs) if whole or len(run) > 1 or number == last)
    return b"".join(_from_letters(b"".join(run)) for run in kept)


def _from_letters(letters: bytes) -> bytes:
    if len(letters) % 4 == 1:
        letters = letters[:-1]
    return base64.b64decode(letters + b"=" * (-len(letters) % 4))


def _from_base64(data: bytes) -> bytes:
    """A body in base64 with the plain text that a list's server has put below it; or one that is no base64 at all."""
    if _ONLY_BASE64.fullmatch(data):
        return from_base64(data)
    lines = data.splitlines(keepends=True)
    end = _end_of_base64(lines)
    if not end:
        strange = len(data.translate(None, _ALPHABET))
        return data if strange * 20 > len(data) else from_base64(data)
    # RFC 2045 6.8: whatever is strange among the encoded lines is passed over.
    return from_base64(b"".join(lines[:end])) + b"".join(lines[end:])


_ALPHABET = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/=\r\n"


def _end_of_base64(lines: list[bytes]) -> int:
    """How many lines stand before those that are no longer encoded: after the last full one and the rest of its text.

    Lines that are spoilt in few places still count as encoded, since full ones come after them.
    """
    for number in range(len(lines), 0, -1):
        line = lines[number - 1].strip()
        if _LAST_LINE.fullmatch(line):
            return number
        if len(line) >= _FULL_LINE and _BASE64_LINE.fullmatch(line):
            below = lines[number].strip() if number < len(lines) else b""
            return number + 1 if _BASE64_LINE.fullmatch(below) else number
    return 0
