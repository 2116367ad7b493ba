"""Which lines and sentences of a post are prose: not code, patches, shell output, tables, logs or addresses.

It looks at shapes and knows no language, of people or of machines; each look is at one line.
"""

import re
from collections.abc import Iterator

_LOOKED_AT = 5_000  # characters of a post
_LINE_MOST = 1_000  # longer lines are paragraphs that nobody wrapped
_FEW_WORDS = 4  # fewer say nothing of their own
_FEW_UNSPACED = 8  # the same in letters, where a script has no spaces
_WORDLIKE = 0.75  # of the tokens of a sentence
_LETTERS = 0.7  # of what is not white space in a line

# From here on a mail is a patch: git format-patch's scissors with its diffstat or diff behind, a diff without them.
_DIFF = re.compile(r"^(?:diff --git |Index: \S|@@ -\d|--- \S.*\n\+\+\+ \S)", re.MULTILINE)
_DIFFSTAT = re.compile(r"^---\n(?:\n| \S[^\n|]*\|)", re.MULTILINE)
_IN_PATCHES = ("---", "@@ -", "diff --git ", "Index: ")  # a look for these takes a tenth of the time
# Prompts, log stamps, comment and diff marks, frames of a traceback, trailers.
_NO_PROSE = re.compile(
    r"\s*(?:[$%#|+>]\s|\+|>>>|\[[\d. ]+\]|\[\w+\]\s|\d{4}-\d\d-\d\d[T ]|\w{3} [\d ]\d \d\d:\d\d:\d\d"
    r"|[a-z][\w./+-]*:\s|\w{1,12}>\s|at \S+\(|File \"|Traceback |#include|[\w.-]+@[\w.-]+[:#$%~]|//|/\*|\*/"
    r"|(?:[A-Z]\w*(?:-\w+)+|Cc|Fixes|Link|From|To|Subject|Date):\s)"
)
_ENDS_CODE = (";", "{", "}", "\\", "=", "|")
_CODE_TOKENS = frozenset(["=", "==", "!=", "+=", "=>", "->", "&&", "||", "::", "|", "{", "}", ":="])
_NO_LETTERS = bytes(code for code in range(128) if not chr(code).isalpha())
_COLUMNS = re.compile(r"\S(?: {3,}|\t+)\S")
_WORD = re.compile(r"[\"'“”‘’«»(\[*_]*[^\W\d_]+(?:['’./-][^\W\d_]+)*[\"'“”‘’«»)\]*_.,:;!?…]*")
_EMPTY_LINES = re.compile(r"\n\s*\n")
_UNSPACED = re.compile(r"[\u0e01-\u0e4e\u3041-\u30ff\u3400-\u9fff\uac00-\ud7ff]")


def prose(text: str) -> str:
    """The text with an empty line in the place of lines that are no prose, and without a patch at its end."""
    return _prose_of(_looked_at(text))


def prose_blocks(text: str) -> Iterator[str]:
    """The prose between the empty lines of a text, in its order; read no further than it is asked for."""
    return map(_prose_of, _EMPTY_LINES.split(_looked_at(text)))


def _looked_at(text: str) -> str:
    return _without_patch(text[:_LOOKED_AT].replace("\r\n", "\n"))


def _prose_of(block: str) -> str:
    return "\n".join(line if _is_prose(line) else "" for line in block.split("\n"))


def _without_patch(text: str) -> str:
    if not any(sign in text for sign in _IN_PATCHES):
        return text
    starts = [found.start() for found in (_DIFF.search(text), _DIFFSTAT.search(text)) if found]
    return text[: min(starts)] if starts else text


def _is_prose(line: str) -> bool:
    tokens = line.split()
    if not tokens or len(line) > _LINE_MOST:
        return True
    if _NO_PROSE.match(line) or tokens[-1].endswith(_ENDS_CODE) or not _CODE_TOKENS.isdisjoint(tokens):
        return False
    # A look for the gap first: most lines have none, and the search takes as long as all else that is asked of a line.
    if ("   " in line or "\t" in line) and _COLUMNS.search(line):
        return False
    return _count_letters(line) >= _LETTERS * len("".join(tokens))


def _count_letters(line: str) -> int:
    # Of a line that is ASCII, where this takes a tenth of the time.
    return len(line.encode().translate(None, _NO_LETTERS)) if line.isascii() else sum(map(str.isalpha, line))


def is_telling(sentence: str) -> bool:
    """Whether a sentence says something by itself: enough of it is words, and they are not an address or a path."""
    tokens = sentence.split()
    words = sum(1 for token in tokens if token.isalpha() or _WORD.fullmatch(token))
    if len(_UNSPACED.findall(sentence)) >= _FEW_UNSPACED:
        return True
    return words >= _FEW_WORDS and words >= _WORDLIKE * len(tokens)
