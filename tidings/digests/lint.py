"""Looks at a digest as a reader's program gets it, and names what a reader could trip over; pure.

It judges the message alone: size, headings, links, colours in light and in dark, and that both parts tell the same; of
a digest without HTML its text, and how many posts stand in it. It does not know what the edition should have told.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from email import message_from_bytes, policy
from email.message import EmailMessage, MIMEPart
from html.parser import HTMLParser
from itertools import pairwise
from urllib.parse import unquote, urlsplit

from tidings.digests.columns import COLUMNS, width

HTML_LIMIT = 80_000
"""Bytes of the encoded HTML part: mail programs cut what is longer than about 100 kB."""

POSTS = 200
"""In the digest itself, for who chose such a format."""

TAP = 44
"""Pixels of what a thumb meets (WCAG 2.2, 2.5.5)."""

_TEXT_CONTRAST = 4.5  # WCAG 2.2, 1.4.3
_EDGE_CONTRAST = 3.0  # WCAG 2.2, 1.4.11
_TYPES = ("text/plain", "multipart/alternative", "multipart/mixed")
_AFTER_PREAMBLE, _BETWEEN = "-" * 70, "-" * 30  # RFC 1153
_SCREENS = {"light": (255, 255, 255), "dark": (0, 0, 0)}
_WIDTH = 600
_READABLE = 16
_EMPTY_WORDS = frozenset({"here", "click here", "link", "this link", "more", "read more"})
_VOID = frozenset({"br", "hr", "img", "meta", "link", "input"})
_FOREIGN = frozenset({"script", "iframe", "object", "embed", "form", "video", "audio", "svg"})
_ITEM = re.compile(r"^#(\d+) ", re.MULTILINE)
_TEXT_ADDRESS = re.compile(r"^ {3}\S+(?:\u00a0:)? (\S+@\S+)$", re.MULTILINE)  # French has a space before a colon
_NUMBERED = re.compile(r"#(\d+)\b")
_UNBROKEN = re.compile(r"\S*(?:@|://)\S*$")
_COLOUR = re.compile(r"#([0-9a-f]{6}|[0-9a-f]{3})\b", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Finding:
    """Something that is wrong, by the check that found it."""

    check: str
    detail: str


def lint(raw: bytes) -> list[Finding]:
    """What is wrong with a digest of any format; empty where nothing is. Raises ValueError where it is none."""
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    text, html = message.get_body(("plain",)), message.get_body(("html",))
    if text is None or message.get_content_type() not in _TYPES:
        raise ValueError(f"This is no digest: it needs a text part, alone or in one of {', '.join(_TYPES[1:])}.")
    lines = text.get_content().splitlines()
    without_html = html is None and message.get_body(("calendar",)) is not None  # a text, and a meeting beside it
    if message.get_content_type() != "multipart/alternative" or without_html:
        return _without_html(message, lines)
    if html is None:
        raise ValueError("This is no digest: there is no HTML beside its text.")
    page = _Page()
    page.feed(html.get_content())
    page.close()
    return [
        *_size(html),
        *_headings(page),
        *_links(page),
        *_page(page),
        *_colours(page),
        *_lines(lines),
        *_both("\n".join(lines), page),
    ]


def _without_html(message: EmailMessage, lines: Sequence[str]) -> list[Finding]:
    """What is wrong with a text alone, one with the posts attached (RFC 2046 5.1.5), or one with them below (1153)."""
    own = lines[: lines.index(_AFTER_PREAMBLE)] if _AFTER_PREAMBLE in lines else lines
    numbers, addresses = _items("\n".join(own))
    if not addresses:
        raise ValueError("This is no digest: no item has a reply address, and there is no HTML.")
    found = [*_lines(own), *_numbering(numbers)]
    if len(numbers) != len(addresses):
        found.append(Finding(check="parts", detail="There are items without a reply address."))
    attached = message.get_content_type() == "multipart/mixed"
    posts = _attached(message) if attached else lines[len(own) :].count(_BETWEEN)
    if posts > POSTS:
        found.append(Finding(check="size", detail=f"There are {posts} posts in it; {POSTS} is the most."))
    return found


def _attached(message: EmailMessage) -> int:
    """How many mails are in the multipart/digest of a message."""
    digests = (part for part in message.iter_parts() if part.get_content_type() == "multipart/digest")
    return sum(part.get_content_type() == "message/rfc822" for digest in digests for part in digest.iter_parts())


# --- the HTML part ---------------------------------------------------------------------------------------------------


@dataclass
class _Element:
    name: str
    attributes: dict[str, str]
    style: dict[str, str]
    words: str = ""


class _Page(HTMLParser):
    """The elements of a page in their order, with the words in each; it keeps no tree."""

    def __init__(self) -> None:
        super().__init__()
        self.elements: list[_Element] = []
        self._open: list[_Element] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in attrs}
        element = _Element(tag, attributes, _declarations(attributes.get("style", "")))
        self.elements.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_endtag(self, tag: str) -> None:
        while self._open and self._open.pop().name != tag:
            pass

    def handle_data(self, data: str) -> None:
        for element in self._open[-8:]:  # as deep as a heading or a link is from its words
            element.words += data

    def all(self, *names: str) -> list[_Element]:
        """The elements of these names."""
        return [element for element in self.elements if element.name in names]


def _declarations(style: str) -> dict[str, str]:
    pairs = (part.partition(":") for part in style.split(";") if ":" in part)
    return {name.strip().lower(): value.strip() for name, _, value in pairs}


def _size(html: MIMEPart) -> Iterator[Finding]:
    encoded = len(html.as_bytes())
    if encoded > HTML_LIMIT:
        yield Finding(check="size", detail=f"The HTML part is {encoded} bytes; mail programs cut past {HTML_LIMIT}.")


def _headings(page: _Page) -> Iterator[Finding]:
    levels = [int(element.name[1]) for element in page.all("h1", "h2", "h3", "h4", "h5", "h6")]
    if levels.count(1) != 1 or levels[:1] != [1]:
        yield Finding(check="headings", detail="It needs one h1, before all other headings.")
    for before, level in pairwise(levels):
        if level > before + 1:
            yield Finding(check="headings", detail=f"An h{level} follows an h{before}; a level is left out.")
    if any(level > 3 for level in levels):
        yield Finding(check="headings", detail="There are headings below h3.")
    if any(not element.words.strip() for element in page.all("h1", "h2", "h3")):
        yield Finding(check="headings", detail="A heading is empty.")


def _links(page: _Page) -> Iterator[Finding]:
    for link in page.all("a"):
        words, target = " ".join(link.words.split()), link.attributes.get("href", "")
        if not words or words.lower() in _EMPTY_WORDS or "://" in words:
            yield Finding(check="links", detail=f"A link to {target} says {words!r}, which says not where it leads.")
        if urlsplit(target).scheme not in ("http", "https", "mailto"):
            yield Finding(check="links", detail=f"A link leads to {target!r}.")
        height = _pixels(link.style.get("min-height", ""))
        if height < TAP or not link.style.get("display", "").endswith("block"):
            yield Finding(check="tap", detail=f"The link {words!r} is lower than {TAP} pixels.")


def _page(page: _Page) -> Iterator[Finding]:
    if not any(element.attributes.get("lang") for element in page.all("html")):
        yield Finding(check="language", detail="The html element has no lang.")
    metas = {element.attributes.get("name", "") for element in page.all("meta")}
    for name in ("viewport", "color-scheme"):
        if name not in metas:
            yield Finding(check="phone", detail=f"There is no meta {name}.")
    for element in page.all(*_FOREIGN, "img", "link", "table"):
        yield Finding(check="content", detail=f"There is a {element.name} element.")
    for element in page.elements:
        if "url(" in element.attributes.get("style", ""):
            yield Finding(check="content", detail=f"The style of a {element.name} loads something.")
        if any(name.startswith("on") for name in element.attributes):
            yield Finding(check="content", detail=f"A {element.name} element has a script.")
    body = page.all("body")
    if not body or _pixels(body[0].style.get("font", "") or body[0].style.get("font-size", "")) < _READABLE:
        yield Finding(check="phone", detail=f"The text of the page is smaller than {_READABLE} pixels.")
    widths = [_pixels(element.style[name]) for element in page.elements for name in ("width",) if name in element.style]
    if any(width > _WIDTH for width in widths):
        yield Finding(check="phone", detail=f"Something is wider than {_WIDTH} pixels.")


def _pixels(value: str) -> float:
    found = re.search(r"(\d{1,6}(?:\.\d{1,6})?)px", value)
    return float(found[1]) if found else 0.0


# --- colours ---------------------------------------------------------------------------------------------------------


def _colours(page: _Page) -> Iterator[Finding]:
    """Colours that are set must stand out on a white and on a black screen: programs turn only one of the two."""
    for element in page.elements:
        for name, value in element.style.items():
            least = _TEXT_CONTRAST if name == "color" else _EDGE_CONTRAST
            for colour in _COLOUR.findall(value):
                for screen, ground in _SCREENS.items():
                    if (found := contrast(_rgb(colour), ground)) < least:
                        detail = f"The {name} #{colour} of a {element.name} has a contrast of {found:.1f} in {screen}."
                        yield Finding(check="contrast", detail=detail)
        if any(name.startswith("background") for name in element.style):
            yield Finding(check="contrast", detail=f"A {element.name} sets a background, which programs turn or drop.")


def _rgb(colour: str) -> tuple[int, int, int]:
    whole = colour if len(colour) == 6 else "".join(2 * digit for digit in colour)
    return int(whole[:2], 16), int(whole[2:4], 16), int(whole[4:], 16)


def contrast(one: tuple[int, int, int], other: tuple[int, int, int]) -> float:
    """The contrast ratio of two sRGB colours, from 1 to 21 (WCAG 2.2, "contrast ratio")."""
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def _luminance(colour: tuple[int, int, int]) -> float:
    linear = [part / 255 / 12.92 if part / 255 <= 0.04045 else ((part / 255 + 0.055) / 1.055) ** 2.4 for part in colour]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


# --- the text part, and both -----------------------------------------------------------------------------------------


def _lines(lines: Sequence[str]) -> Iterator[Finding]:
    for number, line in enumerate(lines, 1):
        if (taken := width(line)) > COLUMNS and not _UNBROKEN.search(line):
            yield Finding(check="columns", detail=f"Line {number} of the text is {taken} columns wide.")


def _both(text: str, page: _Page) -> Iterator[Finding]:
    """Whether both parts have the same items with the same addresses."""
    links = [link for link in page.all("a") if link.attributes.get("href", "").startswith("mailto:")]
    # A link with a word in it (yes, no, done) is one more of its item.
    replies = [link for link in links if "&body=" not in link.attributes["href"]]
    there = [(_number(link.words), unquote(urlsplit(link.attributes["href"]).path)) for link in replies]
    numbers, addresses = _items(text)
    here = list(zip(numbers, addresses, strict=False))
    if len(numbers) != len(addresses) or here != there:
        missing = sorted({number for number, _ in there} ^ set(numbers))
        detail = f"only one part has the items {missing}" if missing else "their addresses or their order differ"
        yield Finding(check="parts", detail=f"Text and HTML do not tell the same: {detail}.")
    yield from _numbering(numbers)


def _items(text: str) -> tuple[list[int], list[str]]:
    """The numbers of the items of a text, and their addresses."""
    return [int(number) for number in _ITEM.findall(text)], _TEXT_ADDRESS.findall(text)


def _numbering(numbers: Sequence[int]) -> Iterator[Finding]:
    if numbers != list(range(1, len(numbers) + 1)):
        yield Finding(check="parts", detail="The items are not numbered through.")


def _number(words: str) -> int:
    found = _NUMBERED.search(words)
    return int(found[1]) if found else 0
