"""One part of a stored message, a mail inside it, or its HTML made harmless, read in a process that can be killed.

What a sender wrote can hang or grow whatever parses it, so the pages never do. It neither stores nor serves anything.
"""

import logging
import resource
import subprocess
import sys
import threading
from email.message import Message
from typing import TYPE_CHECKING

import msgspec
import nh3

from tidings.mailer import pictures, text
from tidings.mailer.own_tokens import without_tokens
from tidings.mailer.tolerant import read_message
from tidings.settings import LimitSettings

if TYPE_CHECKING:
    from tidings.mailer.parsed import ParsedMessage

log = logging.getLogger(__name__)
_AT_ONCE = 2  # processes: each may take the memory of a parser
_WALL_FACTOR = 6  # as for the parser (worker.py)
_ABSENT = 3  # exit status
_HTML, _MAIL = "html", "mail "
# fmt: off
_TAGS = frozenset([
    "a", "abbr", "b", "bdi", "bdo", "blockquote", "br", "caption", "center", "cite", "code", "dd", "del", "dfn",
    "div", "dl", "dt", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr", "i", "img", "ins", "kbd", "li", "mark", "ol",
    "p", "pre", "q", "s", "samp", "small", "span", "strike", "strong", "sub", "sup", "table", "tbody", "td",
    "tfoot", "th", "thead", "tr", "tt", "u", "ul", "var",
])
_DROPPED = frozenset([
    "script", "style", "title", "head", "template", "noscript", "iframe", "object", "svg", "math", "textarea",
    "select",
])
# fmt: on
# Neither style, background nor class: nothing is left that could load or cover anything. A picture's address stays for
# `pictures` to put one of the message's own in its place.
_ATTRIBUTES = {
    "a": {"href"},
    "img": {"src", "alt"},
    "td": {"colspan", "rowspan", "align"},
    "th": {"colspan", "rowspan", "align"},
    "ol": {"start"},
    "*": {"dir", "lang"},
}


class Extractor:
    """Asks such a process, a few at a time; for any number of threads."""

    def __init__(self, limits: LimitSettings) -> None:
        self._limits = limits
        self._turn = threading.BoundedSemaphore(_AT_ONCE)

    def part(self, raw: bytes, position: int) -> bytes | None:
        """The decoded bytes of a part, counted depth first from 0; None where it is not there or cannot be read."""
        return self._ask(raw, str(position))

    def html(self, raw: bytes) -> str | None:
        """The message's own HTML, of several texts one below the other, without anything that runs or loads.

        None where it has none that can be read.
        """
        found = self._ask(raw, _HTML)
        return None if found is None else found.decode("utf-8", "replace")

    def mail(self, raw: bytes, position: int) -> "ParsedMessage | None":
        """The mail that is a part of the message, as it would be read by itself; None where there is none."""
        found = self._ask(raw, f"{_MAIL}{position}")
        if found is None:
            return None
        from tidings.mailer.parsed import ParsedMessage

        return msgspec.json.decode(found, type=ParsedMessage)

    def _ask(self, raw: bytes, what: str) -> bytes | None:
        limits = msgspec.json.encode(self._limits).decode()
        with self._turn:
            try:
                done = subprocess.run(  # noqa: S603  (our own module)
                    [sys.executable, "-m", "tidings.mailer.extract", what, limits],
                    input=raw,
                    capture_output=True,
                    check=False,
                    timeout=self._limits.parse_seconds * _WALL_FACTOR,
                )
            except subprocess.TimeoutExpired:
                log.warning("reading %s of a message took too long", what)
                return None
        if done.returncode not in (0, _ABSENT):
            log.warning("reading %s of a message failed with status %s", what, done.returncode)
        return done.stdout if done.returncode == 0 else None


def harmless(source: str) -> str:
    """HTML with what is for reading only: links to the web and to addresses stay, nothing loads, nothing runs.

    Tags of pictures stay too, but with no other address than one inside the message.
    """
    return nh3.clean(
        source,
        tags=set(_TAGS),
        clean_content_tags=set(_DROPPED),
        attributes={tag: set(names) for tag, names in _ATTRIBUTES.items()},
        attribute_filter=pictures.attribute,
        url_schemes={"http", "https", "mailto", "cid"},
        url_relative="deny",
        link_rel="noopener noreferrer nofollow",
        strip_comments=True,
    )


def _found(raw: bytes, what: str, limits: LimitSettings) -> bytes | None:
    message = read_message(raw)
    if what.startswith(_MAIL):
        return _mail(message, int(what.removeprefix(_MAIL)), limits)
    if what != _HTML:
        part = text.part_bytes(message, int(what), parts=limits.parts, depth=limits.depth)
        return None if part is None else _without_tokens(part)
    sources = text.html_sources(message, parts=limits.parts, depth=limits.depth)
    if not sources:
        return None
    safe, left = [], limits.text_bytes
    for source in sources:  # each by itself, so that what one leaves open hides nothing of the next
        # First, since it writes the tokens plainly; and again, since what it gives is shown but for the pictures' tags.
        safe.append(harmless(without_tokens(harmless(source[:left]))))
        left = max(left - len(source), 0)
    return pictures.with_pictures(
        "<hr>".join(filter(None, safe)), message, parts=limits.parts, depth=limits.depth
    ).encode()


def _mail(message: Message, position: int, limits: LimitSettings) -> bytes | None:
    """The mail inside, parsed with the limits of one that came by itself, as JSON."""
    # Imported here because it is heavy, and files are asked for more often.
    from tidings.mailer.parse import parse

    inside = text.part_bytes(message, position, parts=limits.parts, depth=limits.depth)
    return msgspec.json.encode(parse(inside, limits)) if inside else None


def _without_tokens(part: bytes) -> bytes:
    """A part that is text, such as a digest forwarded as an attachment, without our tokens; other parts as they are."""
    if b"\0" in part:
        return part
    return without_tokens(part.decode("latin-1")).encode("latin-1")


def main() -> int:
    """The process itself: what to find and the limits as arguments, the message on standard input."""
    limits = msgspec.json.decode(sys.argv[2], type=LimitSettings)
    memory = limits.parse_megabytes * 1_000_000
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (limits.parse_seconds + 1, limits.parse_seconds + 1))
    found = _found(sys.stdin.buffer.read(), sys.argv[1], limits)
    if found is None:
        return _ABSENT
    sys.stdout.buffer.write(found)
    return 0


if __name__ == "__main__":
    sys.exit(main())
