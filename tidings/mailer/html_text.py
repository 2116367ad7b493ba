"""An HTML body as plain text with `> ` before what it quotes, and links behind their words; not for rendering.

It fetches nothing, and lays out no tables: a row becomes a line, since padding cells to columns could cost any amount
of memory.
"""

import html
import re
from itertools import islice
from typing import Any

from tidings.threading.headings import is_forwarded

MOST = 1_000_000  # characters of HTML that are read

# Two characters that no mail has (they are removed first) stand for the begin and the end of a quote.
_OPEN, _CLOSE = "\ue0f0", "\ue0f1"
_MARKS = re.compile(f"[{_OPEN}{_CLOSE}]")
_DROPPED = ("script", "style", "head", "title", "template", "noscript", "object", "iframe", "svg")
_INDENTED = re.compile(r"(?i)border(?:-left)?\s{0,4}:\s{0,4}(?:none|0)")
_CLASS_MOST = 500
_CITED = re.compile(r"\b(?:gmail|protonmail|tutanota)_quote\b")
_ATTRIBUTION = re.compile(r"(?<![\w-])(?:gmail_attr|moz-cite-prefix)(?![\w-])")
_RULE = "_" * 32  # as Outlook writes it
_RULES_MOST = 1_000
_FIRST_TEXTS = 20  # pieces of an element that are looked at for its first words
_TAG = re.compile(r"<[^<>]{0,2000}>")
_UNREAD = re.compile(r"(?i)(</?(?:script|style|title)\b[^<>]{0,2000}>)")
_LINE_TAG = re.compile(r"(?i)<(?:br|p|div|tr|li|h[1-6])\b[^<>]{0,2000}>")


_WEB = re.compile(r"(?i)https?://(?:www\.)?")
_LINKS_MOST = 1_000
_LINK_MOST = 500  # characters; what is longer counts clicks
_LINK_NODES = 50  # elements of a link that are looked at for its words


def to_text(source: str, *, links: bool = True) -> str:
    """The text of an HTML document or fragment, of which at most `MOST` characters are read; never raises.

    With `links`, where a link leads stands behind its words, once, unless the words say it.
    """
    source = _MARKS.sub("", source[:MOST])
    try:
        return _with_marks(_rendered(source, links=links))
    except Exception:  # whatever libxml2 or inscriptis trip over (RecursionError too): a reader gets the bare words
        return _stripped(source)


def _rendered(source: str, *, links: bool) -> str:
    # Imported here because lxml is heavy and most mail does without.
    from inscriptis import Inscriptis
    from inscriptis.css_profiles import CSS_PROFILES
    from inscriptis.model.config import ParserConfig
    from lxml.html import HTMLParser, document_fromstring  # type: ignore[import-untyped]

    parser = HTMLParser(encoding="utf-8", remove_comments=True, remove_pis=True, huge_tree=True)
    tree = document_fromstring(source.encode("utf-8", "ignore"), parser=parser)
    _take_in(tree)
    _flatten(tree)
    if links:
        _write_out_links(tree)
    text: str = Inscriptis(tree, ParserConfig(css=CSS_PROFILES["strict"], display_links=False)).get_text()
    return text


def _take_in(tree: Any) -> None:
    """Put what stands behind `</html>` at the end of the document: libxml2 makes documents of their own of it."""
    for other in list(tree.itersiblings()):
        other.tag = "div"
        tree.append(other)


def _flatten(tree: Any) -> None:
    """Mark the quotes, draw the rules, turn rows into lines, and drop what is not for reading."""
    for element in list(tree.iter(*_DROPPED)):
        element.clear(keep_tail=True)
    for element in list(tree.iter("blockquote", "div", "p")):
        if _is_quote(element):
            _mark(element)
        element.tag = "div" if element.tag == "blockquote" else element.tag
    for element in list(islice(tree.iter("hr"), _RULES_MOST)):
        element.attrib.clear()  # Outlook's stand in their line, by a style
        element.tag, element.text = "div", _RULE
    for element in list(tree.iter("table", "tbody", "thead", "tfoot", "tr")):
        element.tag = "div"
    for element in list(tree.iter("td", "th")):
        element.tag = "span"
        if element.getnext() is not None:
            element.tail = "  "


def _is_quote(element: Any) -> bool:
    """Whether an element holds what another wrote, or says whose words the quote is that comes next.

    Of Gmail's and Thunderbird's containers only those are looked at that hold nothing else: an answer may stand between
    two quotes in the container around them. What Apple's programs pass on stands in a quote, and is to be read.
    """
    if element.tag != "blockquote":
        return bool(_ATTRIBUTION.search(element.get("class", "")[:_CLASS_MOST])) and not _is_passed_on(element)
    indented = _INDENTED.search(element.get("style", "")[:500])  # that is how some programs indent
    said = element.get("type", "").lower() == "cite" or _CITED.search(element.get("class", "")[:_CLASS_MOST])
    return bool(said or not indented) and not _is_passed_on(element)


def _is_passed_on(element: Any) -> bool:
    words = (piece.strip() for piece in islice(element.itertext(), _FIRST_TEXTS))
    return is_forwarded(next((piece for piece in words if piece), "")[:_CLASS_MOST])


def _write_out_links(tree: Any) -> None:
    seen: set[str] = set()
    for element in list(islice(tree.iter("a"), _LINKS_MOST)):
        link = "".join(element.get("href", "").split())
        words = _words(element)
        # Without words it is a picture's, or one that nobody is to see. Addresses of people are not written out.
        if len(link) > _LINK_MOST or not _WEB.match(link) or not words or link in seen:
            continue
        seen.add(link)
        if _bare(words) != _bare(link):
            added = element.makeelement("span")
            added.text = f" ({link})"
            element.append(added)


def _words(element: Any) -> str:
    """The words of a link; it looks at few elements, since links that stand in each other would take forever."""
    nodes = list(islice(element.iter(), _LINK_NODES))
    pieces = [(node.text or "") + (node.tail or "" if node is not element else "") for node in nodes]
    return "".join("".join(pieces).split())


def _bare(link: str) -> str:
    return _WEB.sub("", link, count=1).rstrip("/").lower()


def _mark(element: Any) -> None:
    first, last = element.makeelement("div"), element.makeelement("div")
    first.text, last.text = _OPEN, _CLOSE
    first.tail, element.text = element.text, None
    element.insert(0, first)
    element.append(last)


def _with_marks(text: str) -> str:
    """The rendered text with a `> ` for each quote that a line stands in, and at most one blank line in a row."""
    lines: list[str] = []
    depth = 0
    for line in text.split("\n"):
        opened, closed = line.count(_OPEN), line.count(_CLOSE)
        words = _MARKS.sub("", line).rstrip()
        depth += opened
        if words.strip() or not (opened or closed):
            quoted = ("> " * min(depth, 10) + (words.lstrip() if depth else words)).rstrip()
            if words.strip() or (lines and lines[-1].strip("> ")):
                lines.append(quoted)
        depth = max(depth - closed, 0)
    return "\n".join(lines).strip("\n")


def _stripped(source: str) -> str:
    """The words of the source with every tag taken for a space or a line end."""
    kept, unread = [], False
    for piece in _UNREAD.split(source):
        if _UNREAD.fullmatch(piece):
            unread = not piece.startswith("</")
        elif not unread:
            kept.append(piece)
    return html.unescape(_TAG.sub(" ", _LINE_TAG.sub("\n", "".join(kept))))
