"""The numbers of items with which lines of a reply begin, and the text that belongs to each.

It knows no digest: which numbers there are is for others to say.
"""

import re
from dataclasses import dataclass

from tidings.digests.quoted import is_opening

_NUMBER = re.compile(r"\s*(?:#([0-9]{1,3})(?![\w.-])[:.)]?|([0-9]{1,3}):(?=\s|$))\s*")
_ALONE = re.compile(r"\s*#?\s?([0-9]{1,3})[.:)!]?\s*")
_WORDS_BELOW = 4  # of a name or thanks under a number


@dataclass(frozen=True, kw_only=True)
class Numbered:
    """The text that stands under the number of an item."""

    number: int
    text: str


def split(text: str) -> list[Numbered]:
    """The texts of a reply by their numbers, in their order; none where it does not begin with a number.

    A number begins a line, as `#3` or `3:` (but not as the time `3:30`), all of a reply in one of the two ways. A
    greeting may stand above the first; it belongs to none.
    """
    blocks: list[tuple[int, list[str]]] = [(0, [])]  # what stands above the first has no number
    way: int | None = None
    for line in text.strip().split("\n"):
        found = _NUMBER.match(line)
        if found and way in (None, found.lastindex):
            way = found.lastindex
            blocks.append((int(found[way or 1]), [line[found.end() :]]))
        else:
            blocks[-1][1].append(line)
    texts: dict[int, list[str]] = {}
    for number, lines in blocks[1:]:
        texts.setdefault(number, []).append("\n".join(lines).strip())
    opening = "\n".join(blocks[0][1]).strip()
    if opening and not is_opening(opening):
        return []
    return [Numbered(number=number, text="\n\n".join(found).strip()) for number, found in texts.items()]


def without(text: str, number: int) -> str:
    """The text without that number, where it begins with it."""
    found = _NUMBER.match(text)
    return text[found.end() :] if found and int(found[1] or found[2]) == number else text


def alone(text: str) -> int | None:
    """The number of an item, where a text says no more than that; a name or thanks may stand below."""
    first, *below = [line for line in text.split("\n") if line.strip()] or [""]
    found = _ALONE.fullmatch(first[:20])
    return int(found[1]) if found and sum(len(line.split()) for line in below) <= _WORDS_BELOW else None
