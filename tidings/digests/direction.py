"""Members' words kept apart from ours, so that words from right to left turn nothing that stands around them; pure.

A piece stands between the marks of an isolate (Unicode Standard Annex 9) until it is printed: in HTML it becomes a bdi
element, in plain text the marks stay only where it has something from right to left.
"""

import re

BEGIN, END = "\u2068", "\u2069"
"""FIRST STRONG ISOLATE and POP DIRECTIONAL ISOLATE."""

_PIECE = re.compile(f"{BEGIN}([^{BEGIN}{END}]*){END}")
_TURNING = re.compile("[\u202a-\u202e\u2066-\u2069]")
# The blocks of scripts that are written from right to left, Hebrew to Arabic Extended-A, presentation forms included.
_RIGHT_TO_LEFT = re.compile(
    "[\u0590-\u08ff\ufb1d-\ufdcf\ufdf0-\ufdff\ufe70-\ufefc\U00010800-\U00010fff\U0001e800-\U0001efff]"
)


def apart(text: str) -> str:
    """A piece of members' words, marked; what in it would turn the direction itself is left out."""
    return f"{BEGIN}{unmarked(text)}{END}" if text else ""


def unmarked(text: str) -> str:
    """A text without marks of direction, for where a whole element is a piece (`dir="auto"`)."""
    return _TURNING.sub("", text)


def in_text(printed: str) -> str:
    """What was printed as plain text, marked only where it is needed."""
    return _PIECE.sub(lambda piece: piece[0] if _RIGHT_TO_LEFT.search(piece[1]) else piece[1], printed)


def in_html(printed: str) -> str:
    """What was printed as HTML, with elements for marks."""
    return printed.replace(BEGIN, "<bdi>").replace(END, "</bdi>")
