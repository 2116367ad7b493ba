"""What of a text its author wrote, and what is quoted or signature: marked to be folded, never taken away.

It goes by whole lines of plain text; which mail was quoted, and HTML, are not its matter. The time is linear in the
text: of a line no more than its first 300 characters are looked at.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from tidings.threading import attributions, endings, headings, signatures

_LOOKED_AT = 300
_BLANKS_MOST = 5  # lines between a full attribution and its quote; a short one stands nearer

# The author says that more of theirs stands between the lines of the quote, as is usual in Outlook.
_ANSWERED_IN_IT = re.compile(
    r"(?i)\b(?:see|answer(?:s|ed)?|comment(?:s|ed)?|repl(?:y|ies|ied)|respon(?:se|ses|ded)|remarks?)\b.{0,20}"
    r"\b(?:in-?line\b|in (?:red|blue|green|bold|the text)\b)"
    r"|\b(?:my|some|our) (?:answers?|comments?|replies|responses?|remarks?)\b.{0,20}\bbelow\b"
    r"|\b(?:antworten?|kommentare?|anmerkungen?)\b.{0,20}\b(?:im text|unten|in rot|in blau)\b"
    r"|\b(?:réponses?|commentaires?)\b.{0,20}(?:dans le texte|ci-dessous|en rouge|en bleu)\b"
    r"|\b(?:respuestas?|comentarios?)\b.{0,20}\b(?:abajo|en el texto|en rojo|en azul)\b"
    r"|\b(?:antwoord(?:en)?|opmerkingen)\b.{0,20}\b(?:hieronder|in de tekst|in rood|in blauw)\b"
)
# So robots say that they have marked the lines that matter.
_OWN_MARKS = re.compile(r"(?i)\b(?:prefixed|marked) (?:by|with) [\"'`]?>")
_INDENT = 3  # columns, from the heading
_INDENTED_LINES = 2  # or more show that a mail is quoted by indenting it; one may be a paragraph's first

_QUOTED = re.compile(r"[ \t]{0,3}>")
_MARK_WITHIN = 4  # characters


@dataclass(frozen=True)
class Fold:
    """A run of whole lines to fold: half-open character offsets, and "quote" or "signature"."""

    start: int
    end: int
    kind: str


def fold(text: str, *, forwarded: bool = False, answers: bool = True) -> tuple[Fold, ...]:
    """The quoted blocks and signatures of a text (LF line ends), ascending and disjoint; none if nothing were left.

    `forwarded` says that the subject calls it a mail that is passed on: then what stands below a header block is kept,
    and so is a mail with marks that is headed as passed on. `answers` says that it may answer another mail: where it
    does not, the marks are its author's own, as around what a program printed, until an attribution says otherwise.
    """
    lines = text.split("\n")
    heads = [line[: _LOOKED_AT + 1] for line in lines]
    kinds = _quoted(heads)
    _keep_own_marks(heads, kinds, answers=answers)
    if forwarded:
        _keep_forwarded(heads, kinds)
    endings.mark_warning(heads, kinds)
    _mark_tail(heads, kinds, forwarded=forwarded)
    _mark_attributions(heads, kinds)
    _join_quotes(heads, kinds)
    endings.mark(heads, kinds)
    for wanted in ({"quote", "signature"}, {"quote"}, {"signature"}):
        kept = [kind if kind in wanted else "" for kind in kinds]
        if any(not kind and not _blank(line) for line, kind in zip(lines, kept, strict=True)):
            return _folds(lines, kept)
    return ()


def shown(text: str, folds: Sequence[Fold]) -> str:
    """What is left of the text without its folds, white space around it stripped."""
    pieces, after = [], 0
    for part in folds:
        pieces.append(text[after : part.start])
        after = part.end
    return "".join([*pieces, text[after:]]).strip()


def _blank(line: str) -> bool:
    return not line or line.isspace()


def _folds(lines: list[str], kinds: list[str]) -> tuple[Fold, ...]:
    folds, start = [], 0
    last = len(lines) - 1
    numbered = enumerate(zip(lines, kinds, strict=True))
    for kind, run in groupby(numbered, key=lambda item: item[1][1]):
        # Every line but the last has its LF, which belongs to it.
        length = sum(len(line) + (number < last) for number, (line, _) in run)
        if kind and length:
            folds.append(Fold(start, start + length, kind))
        start += length
    return tuple(folds)


def _quoted(heads: list[str]) -> list[str]:
    """The kinds of the lines as far as their marks tell; `>` is none where it ends an address or a link above it."""
    kinds = ["quote" if ">" in head[:_MARK_WITHIN] and _QUOTED.match(head) else "" for head in heads]
    for place, head in enumerate(heads):
        if head[:1] != ">":
            continue
        above = heads[place - 1] if place else ""
        marked = place > 0 and kinds[place - 1]
        if attributions.goes_on(above, head) or (not marked and attributions.opens_link(above)):
            kinds[place] = ""
    return kinds


def _keep_own_marks(heads: list[str], kinds: list[str], *, answers: bool) -> None:
    """Take the mark off lines that quote nobody, down to the first block that an attribution stands above."""
    last, told, within = -1, False, False  # the line above that has words; whether they say whose the marks are
    for place, head in enumerate(heads):
        if not kinds[place]:
            told = told or (">" in head and bool(_OWN_MARKS.search(head)))
            last = last if _blank(head) else place
            within = False
            continue
        near = not within and last >= 0 and place - last <= _BLANKS_MOST
        if near and attributions.before(heads, last, near=place - last <= 2):
            return
        within = True
        if told or not answers:
            kinds[place] = ""


def _keep_forwarded(heads: list[str], kinds: list[str]) -> None:
    """Take the mark off a mail that is passed on, which Apple's programs quote; what it quotes itself has two.

    Below an attribution it is a quote like any other.
    """
    last, within, kept = -1, False, False  # the line above that has words; in a block; which is such a mail
    for place, head in enumerate(heads):
        if kinds[place]:
            bare = head.lstrip(" \t")[1:].lstrip(" \t")
            if bare and not within:
                within = True
                near = last >= 0 and place - last <= _BLANKS_MOST
                kept = headings.is_forwarded(head) and not (near and attributions.before(heads, last, near=True))
            if kept and bare[:1] != ">":
                kinds[place] = ""
        else:
            within = kept = False
            last = last if _blank(head) else place


def _mark_tail(heads: list[str], kinds: list[str], *, forwarded: bool) -> None:
    """Mark a quote without marks, to the end: from "Original Message", a header block, or an attribution.

    Where none of the author's words stand above it, or they say that they go on inside it, what follows may be theirs:
    then only the heading is marked. A mail that is passed on is content, and so is one that begins with a header block.
    An attribution counts after the last mark only, since a person may write one.
    """
    named = attributions.all_below(heads, kinds)
    own, past = False, 0
    inside: bool | None = None
    for place, head in enumerate(heads):
        if place < past or kinds[place] or _blank(head):
            continue
        if place not in named and not headings.may_be_one(head):
            own = own or not signatures.is_rule(head)
            continue
        passed_on = headings.is_forwarded(head)
        kept = forwarded if own else not headings.is_original(head)
        if passed_on or (kept and _block(heads, place)):
            if passed_on and not own:
                past = place + _forward_heading(heads, place)
                kinds[place:past] = ["quote"] * (past - place)
            return
        count = _heading(heads, place) or named.get(place, 0)
        if count and own:
            begin, past = place - _rule_above(heads, place), place + count
            if inside is None:  # looked for once, and only where it matters
                inside = _says_inside(heads, kinds, place)
            if not inside and not _marks_follow(heads, kinds, past):
                past = _indented_to(heads, place, past)
            kinds[begin:past] = ["quote"] * (past - begin)
            continue
        if count:
            past = place + count
            kinds[place:past] = ["quote"] * count
        else:
            own = own or not signatures.is_rule(head)


def _says_inside(heads: list[str], kinds: list[str], place: int) -> bool:
    """Whether the author says above a line that more of theirs stands inside the quote."""
    return any(_ANSWERED_IN_IT.search(heads[at][:_LOOKED_AT]) for at in range(place) if not kinds[at])


def _heading(heads: list[str], place: int) -> int:
    """How many lines from `place` on are a program's heading of a quoted mail; 0 for none."""
    count = _block(heads, place)
    if count or not headings.is_original(heads[place]):
        return count
    following = _next(heads, place)
    count = attributions.begins(heads, following) if following > place else 0
    return following - place + count if count else 1


def _block(heads: list[str], place: int) -> int:
    """How many lines from `place` on are a header block, with its title in whatever language; 0 for none."""
    titled = headings.is_original(heads[place]) or headings.is_title(heads[place])
    begin = _next(heads, place) if titled else place
    count = headings.block(heads, begin)
    return begin - place + count if count else 0


def _next(heads: list[str], place: int) -> int:
    """The first of the three lines below `place` that has words; `place` where none has."""
    return next((at for at in range(place + 1, min(place + 4, len(heads))) if not _blank(heads[at])), place)


def _forward_heading(heads: list[str], place: int) -> int:
    begin = _next(heads, place) if headings.is_forwarded(heads[place]) else place
    return begin - place + headings.block(heads, begin)


def _marks_follow(heads: list[str], kinds: list[str], past: int) -> bool:
    """Whether the mail below a heading has marks: then answers may stand between them."""
    following = range(past, min(past + _BLANKS_MOST, len(heads)))
    return next((bool(kinds[place]) for place in following if not _blank(heads[place])), False)


def _indented_to(heads: list[str], place: int, past: int) -> int:
    """Where the mail ends that has no marks and stands below a heading: at the end of all, or of what is indented.

    Whose words stand below an indented mail is in doubt.
    """
    margin = len(heads[place]) - len(heads[place].lstrip()) + _INDENT
    lines = (at for at in range(past, len(heads)) if not _blank(heads[at]))
    less = ((seen, at) for seen, at in enumerate(lines) if not heads[at][:margin].isspace())
    seen, at = next(less, (0, len(heads)))
    return at if seen >= _INDENTED_LINES else len(heads)


def _rule_above(heads: list[str], place: int) -> int:
    """How many lines up to `place` are a rule and the blanks below it."""
    for count in range(1, min(_BLANKS_MOST, place) + 1):
        above = heads[place - count]
        if not _blank(above):
            return count if signatures.is_break(above) else 0
    return 0


def _mark_attributions(heads: list[str], kinds: list[str]) -> None:
    for place, kind in enumerate(kinds):
        if kind and place and not kinds[place - 1]:
            last = place - 1
            while last > place - 1 - _BLANKS_MOST and last > 0 and _blank(heads[last]):
                last -= 1
            first = last + 1 - (0 if kinds[last] else attributions.before(heads, last, near=place - last <= 2))
            if first <= last:
                kinds[first:place] = ["quote"] * (place - first)


def _join_quotes(heads: list[str], kinds: list[str]) -> None:
    """Mark the blank lines between two quoted blocks too."""
    since: int | None = None
    for place, kind in enumerate(kinds):
        if kind:
            if since is not None:
                kinds[since:place] = ["quote"] * (place - since)
            since = place + 1
        elif not _blank(heads[place]):
            since = None
