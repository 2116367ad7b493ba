"""The pictures that HTML mail brings along (RFC 2392, `cid:`), put into the HTML that was made harmless.

It takes the picture's bytes from the same message, so that nothing is ever loaded; other pictures go, and so does what
only calls itself one.
"""

import base64
import html
import re
from email.message import Message
from urllib.parse import unquote_to_bytes

from tidings.mailer.text import parts_by_content_id
from tidings.mailer.tolerant import decoded_bytes

_PICTURE_MOST = 2_000_000  # bytes
_TOGETHER_MOST = 8_000_000  # as often as each is shown
_BEGINS = {  # what a browser may draw that can hold neither script nor address, by its first bytes
    "image/png": re.compile(rb"\x89PNG\r\n\x1a\n"),
    "image/jpeg": re.compile(rb"\xff\xd8\xff"),
    "image/gif": re.compile(rb"GIF8[79]a"),
    "image/webp": re.compile(rb"RIFF....WEBP", re.DOTALL),
}
# As the sanitizer writes it: every value in double quotes, and none has an angle bracket (`attribute`).
_IMG = re.compile(r'<img((?: [a-z]{1,10}="[^"<>]*")*)>')
_ATTRIBUTE = re.compile(r' ([a-z]{1,10})="([^"<>]*)"')


def attribute(tag: str, name: str, value: str) -> str | None:
    """What the sanitizer is to keep of an attribute of `img`; other tags keep all but addresses of pictures."""
    is_inside = value[:4].lower() == "cid:"
    if tag != "img":
        return None if is_inside else value
    if name == "src":
        return value if is_inside and not re.search(r"[<>]", value) else None
    return value.replace("<", "").replace(">", "")


def with_pictures(source: str, message: Message, *, parts: int, depth: int) -> str:
    """The harmless HTML with each picture of the message in its place, as far as their size allows."""
    if "<img" not in source:
        return source
    inside = parts_by_content_id(message, parts=parts, depth=depth)
    drawn: dict[str, str] = {}
    left = _TOGETHER_MOST

    def tag(found: re.Match[str]) -> str:
        nonlocal left
        values = {name: html.unescape(value) for name, value in _ATTRIBUTE.findall(found[1])}
        named = unquote_to_bytes(values.get("src", "")[4:]).decode("utf-8", "replace")
        if named in inside and named not in drawn:
            drawn[named] = _drawn(decoded_bytes(inside[named]))
        address = drawn.get(named, "")
        if not address or len(address) > left:
            return ""
        left -= len(address)
        return f'<img src="{address}" alt="{html.escape(values.get("alt", ""))}">'

    return _IMG.sub(tag, source)


def _drawn(data: bytes) -> str:
    """A picture as an address that holds it (RFC 2397); empty where it is none, or too big."""
    if len(data) > _PICTURE_MOST:
        return ""
    kind = next((kind for kind, begin in _BEGINS.items() if begin.match(data)), "")
    return f"data:{kind};base64,{base64.b64encode(data).decode()}" if kind else ""
