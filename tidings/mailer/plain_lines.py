"""The lines that somebody wrote in a mail's text: without quotes, bullets, bold marks and what closes the mail.

It knows no word of any kind of line; it makes texts comparable and presentable.
"""

import re
import unicodedata
from collections.abc import Iterator, Sequence
from itertools import islice

from tidings.threading import signatures

LINES = 2_000
"""How many lines of a text are looked at."""

LINE_LENGTH = 4_000
"""How much of a line is looked at, in characters."""

_CLOSING_LINES, _CLOSING_WORDS = 6, 8
_MARKS = re.compile(r"(?:[-*•·–—‣◦▪]\s{1,8}|o\s{2,8})?(?:\[[ xX]?\]\s{0,4})?[*_]{0,3}")
_BULLET = re.compile(r"[-*•·–—+‣◦▪]\s")
_UMLAUT = re.compile(r"([aou])e")
# Besides line ends: what turns the direction of all that follows has no place in a title (UAX 9).
_NEVER = ("Cc", "Cs", "Zl", "Zp")
_TURNS = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_LETTERS = {"’": "'", "‘": "'", "´": "'", "`": "'", "ø": "o", "\ufe0f": "", "№": "#"}
_SKINS = range(0x1F3FB, 0x1F400)  # tones of a hand


def own(text: str) -> list[str]:
    """The lines above a signature's mark, of which those that are quoted are empty."""
    lines = []
    for line in islice(_split(text), LINES):
        if line.rstrip() == "--":
            break
        bare = line[:LINE_LENGTH].rstrip()
        lines.append("" if bare.lstrip().startswith(">") else bare)
    return lines


def without_closing(lines: Sequence[str]) -> list[str]:
    """The lines without those at the end that close a mail: a phone's own line, and regards with a name below."""
    end = len(lines)
    while (closed := _closed(lines, end)) < end:
        end = closed
    return list(lines[:end])


def bare(line: str) -> str:
    """A line without the bullet and the bold marks around it."""
    stripped = line.strip()
    return stripped[_marks_end(stripped) :].rstrip("*_ \t")


def is_bullet(line: str) -> bool:
    """Whether a line stands in a list."""
    return _BULLET.match(line.lstrip()) is not None


def indent(line: str) -> int:
    """How far a line is from the left, in characters."""
    return len(line) - len(line.lstrip())


def fold(text: str) -> str:
    """A text to compare: lower case, no accents, `ü` and `ue` alike, straight apostrophes, single blanks."""
    letters = "".join(_LETTERS.get(one, one) for one in text if ord(one) not in _SKINS).casefold()
    plain = "".join(one for one in unicodedata.normalize("NFKD", letters) if not unicodedata.combining(one))
    return _UMLAUT.sub(r"\1", " ".join(plain.split()))


def spellings(word: str) -> set[str]:
    """A word with its accents, without them, and with umlauts as two letters."""
    sharp = word.replace("ß", "ss")
    without = "".join(one for one in unicodedata.normalize("NFKD", sharp) if not unicodedata.combining(one))
    return {word, sharp, without, re.sub("[äöü]", lambda found: unicodedata.normalize("NFD", found[0])[0] + "e", sharp)}


def clean(text: str, *, lines: bool = False) -> str:
    """A text without control characters and with single blanks; with `lines` its line ends stay."""
    if lines:
        return re.sub(r"\n{3,}", "\n\n", "\n".join(clean(one) for one in _split(text))).strip()
    kept = (" " if unicodedata.category(one) in _NEVER else one for one in text if one not in _TURNS)
    return " ".join("".join(kept).split())


def cut(text: str, longest: int) -> str:
    """A text of at most that many characters, cut at a word where it is longer."""
    if len(text) <= longest:
        return text
    short = text[: longest - 1]
    words = short.rpartition(" ")[0] if text[longest - 1] != " " else short
    return f"{(words or short).rstrip(' ,;:')}…"


def _closed(lines: Sequence[str], end: int) -> int:
    """Where the lines before `end` end without one more thing that closes a mail."""
    while end and (not (last := lines[end - 1]).strip() or signatures.is_sent_from(last) or signatures.is_name(last)):
        end -= 1
    below = 0
    for at in range(end - 1, -1, -1):
        if lines[at].strip() and signatures.is_closing(lines[at]):
            return at
        below += bool(lines[at].strip())
        if below > _CLOSING_LINES or len(lines[at].split()) > _CLOSING_WORDS:
            break
    return end


def _split(text: str) -> Iterator[str]:
    return iter(text.replace("\r\n", "\n").replace("\r", "\n").split("\n"))


def _marks_end(stripped: str) -> int:
    found = _MARKS.match(stripped)
    return found.end() if found else 0
