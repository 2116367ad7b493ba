"""Lines of plain text by the columns that they take on a screen; pure.

Chinese, Japanese and Korean characters are two columns wide (Unicode Standard Annex 11), accents and marks none.
"""

import re
import unicodedata
from collections.abc import Iterator
from functools import lru_cache

from tidings.digests.direction import BEGIN, END

COLUMNS = 72

_SPACES = re.compile(r"[ \t\n\r\f\v]+")  # no-break spaces are none
# Chinese and Japanese have no spaces: a line may end beside any of their characters (UAX 14), but not before what
# closes and not behind what opens.
_IDEOGRAPHS = "\u2e80-\ua4cf\uf900-\ufaff\ufe30-\ufe4f\uff01-\uff60\U00020000-\U0003fffd"
_OPENS, _CLOSES = "「『（［｛〈《【〔(", "」』）］｝〉》】〕)、。，．：；！？,.:;!?ーっゃゅょッャュョ々…"
_MAY_END = re.compile(f"(?:(?<=[{_IDEOGRAPHS}])|(?=[{_IDEOGRAPHS}]))(?<![{_OPENS}{BEGIN}])(?![{_CLOSES}{END}])")


def width(text: str) -> int:
    """How many columns a text takes."""
    return len(text) if text.isascii() else sum(map(_columns, text))


@lru_cache(maxsize=4_096)
def _columns(char: str) -> int:
    category = unicodedata.category(char)
    if category in ("Mn", "Me", "Cf"):
        return 0
    # Python takes the unassigned for wide, and so the noncharacters that stand for an item's number (render).
    return 2 if unicodedata.east_asian_width(char) in "WF" and category != "Cn" else 1


def wrap(text: str, first: str = "", rest: str = "") -> str:
    """`text` in lines of 72 columns that begin with `first` and then `rest`; addresses and links are never broken.

    A piece that is kept apart is so in each of its lines, since every line has a direction of its own.
    """
    return "\n".join(_kept_apart(_lines(text, first, rest), len(rest)))


def _lines(text: str, first: str, rest: str) -> Iterator[str]:
    line, room = first, COLUMNS - width(first)
    begun = False
    for gap, piece in _pieces(text):
        wide = width(piece)
        if begun and wide + len(gap) > room:
            yield line
            line, room, gap = rest, COLUMNS - width(rest), ""
        gap = gap if begun else ""
        line, room, begun = line + gap + piece, room - len(gap) - wide, True
    if begun:
        yield line


def _pieces(text: str) -> Iterator[tuple[str, str]]:
    """What a line never breaks, each with the space before it."""
    for word in filter(None, _SPACES.split(text)):
        gap = " "
        for piece in [word] if word.isascii() else filter(None, _MAY_END.split(word)):
            yield gap, piece
            gap = ""


def _kept_apart(lines: Iterator[str], indent: int) -> Iterator[str]:
    begun = False
    for line in lines:
        line = line[:indent] + BEGIN + line[indent:] if begun else line
        begun = line.rfind(BEGIN) > line.rfind(END)
        yield line + END if begun else line
