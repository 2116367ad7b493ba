"""Which parts of a message are the text that a reader is shown, by the algorithm of RFC 8621 section 4.1.4 (JMAP).

The message is one that stalwart's parser has read (`parts` of its JSON); how we read it is not looked at.
"""

from collections.abc import Mapping, Sequence
from typing import Any

_Part = Mapping[str, Any]


def text_body(parts: Sequence[_Part]) -> list[int]:
    """The numbers of the parts of `textBody`: plain text, HTML where that is all there is, and pictures among them."""
    body = _Body(parts)
    body.add([0], "mixed", in_alternative=False, text=True, html=True)
    return body.text


def content_type(part: _Part) -> str:
    """The type in lower case; plain text where none is named, unless it is a mail in a digest (RFC 2046 5.1.5)."""
    if "Message" in part["body"]:
        return "message/rfc822"
    found = _field(part, "content_type")
    return f"{found['c_type']}/{found['c_subtype'] or ''}".lower() if found else "text/plain"


class _Body:
    def __init__(self, parts: Sequence[_Part]) -> None:
        self._parts = parts
        self.text: list[int] = []
        self._html: list[int] = []

    def add(self, numbers: Sequence[int], subtype: str, *, in_alternative: bool, text: bool, html: bool) -> None:
        """Add the parts of a multipart of that subtype; `text` and `html` say which bodies are still added to."""
        texts, htmls = len(self.text), len(self._html)
        for place, number in enumerate(numbers):
            kind, inner = content_type(self._parts[number]), self._parts[number]["body"]
            if kind.startswith("multipart/") and "Multipart" in inner:
                below = kind.partition("/")[2]
                within = in_alternative or below == "alternative"
                self.add(inner["Multipart"], below, in_alternative=within, text=text, html=html)
            elif not _is_inline(self._parts[number], kind, place, subtype):
                continue
            elif subtype == "alternative":
                self._put(number, text=text and kind == "text/plain", html=html and kind == "text/html")
            else:
                # In an alternative of several parts each, one text decides which body its multipart belongs to.
                html = html and not (in_alternative and kind == "text/plain")
                text = text and not (in_alternative and kind == "text/html")
                self._put(number, text=text, html=html)
        if subtype == "alternative" and text and html and len(self.text) == texts:
            self.text += self._html[htmls:]

    def _put(self, number: int, *, text: bool, html: bool) -> None:
        self.text += [number] if text else []
        self._html += [number] if html else []


def _is_inline(part: _Part, kind: str, place: int, subtype: str) -> bool:
    """Whether a part is shown with the text, and no attachment."""
    disposition = _field(part, "content_disposition")
    if disposition.get("c_type", "").lower() == "attachment":
        return False
    seen = kind.startswith(("image/", "audio/", "video/"))
    if not seen and kind not in ("text/plain", "text/html"):
        return False
    named = _attribute(disposition, "filename") or _attribute(_field(part, "content_type"), "name")
    return place == 0 or (subtype != "related" and (seen or not named))


def _field(part: _Part, name: str) -> Mapping[str, Any]:
    """A structured field: the last of its name, as that parser takes it."""
    values = [one["value"] for one in part["headers"] if one["name"] == name]
    found: Mapping[str, Any] = next((one["ContentType"] for one in reversed(values) if "ContentType" in one), {})
    return found


def _attribute(field: Mapping[str, Any], name: str) -> str:
    attributes: Sequence[Mapping[str, str]] = field.get("attributes") or []
    return next((one["value"] for one in attributes if one["name"].lower() == name), "")
