"""Which lines of a reply are those of the digest that it answers, and beside which of its items the others stand.

It knows the digest by its words, so that it needs no marks of a mail program, and finds lines that were wrapped anew.
It reads no database, and decides neither where a reply goes nor whether it may. The time is bounded: of a reply no more
than the first 2,000 lines are compared.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tidings.mailer.own_tokens import ADDRESS, without_tokens
from tidings.threading import signatures
from tidings.threading.quotes import Fold, fold, shown

_LINES = 2_000
_LINE_LENGTH = 1_000
# So many lines on end, with so many words, are the digest and no coincidence.
_RUN, _RUN_WORDS = 3, 12

OUTSIDE = 0
"""Where a line stands that belongs to the digest and to none of its items."""
_UNSURE = -1  # the digest's, of several items

_HEADING = re.compile(r"[\s>*•·_|-]{0,40}#([0-9]{1,3})(?![\w.-])")
_LINK = re.compile(
    r"<?(?:mailto:|https?://)[^\s<>]{1,2000}>?|<?(?:mailto:)?\[(?:address|link) removed\](?:\?[^\s<>]*)?>?"
)
_WORD = re.compile(r"\w+")
_MARKED = re.compile(r"[ \t]{0,3}>")
# What may stand above an answer and says nothing of its own.
_OPENING = re.compile(
    r"(?i)(?:hi|hello|hey|dear|thanks?|hallo|liebe[rs]?|moin|guten|servus|danke|hola|buen[oa]s|gracias|bonjour|salut|merci)"
    r"\b[^.?!\n]{0,40}[,.:!]?$|[^.?!\n]{0,60}\b(?:inline|below|unten|ci-dessous|abajo|debajo)\b[^\n]{0,20}$"
    r"|[^.?!\n]{1,40}[,:]$"
)
_CLOSING = re.compile(
    r"(?i)(?:(?:mit )?(?:freundliche|viele|beste|liebe|schöne)n? grüßen?|(?:best|kind|warm)? ?regards|best wishes"
    r"|cheers|(?:un )?(?:cordial )?saludos?|atentamente|(?:bien )?cordialement|bien à vous)\b[^\n]{0,20}"
    r"(?:\n[^\n]{0,60}){0,4}$"
)
_CLOCK = re.compile(r"[^:\n]{2,20}:[^\n]{0,60}\b[0-9]{1,2}[:.][0-9]{2}\b")  # "Sent: 19 October 2026 08:00"


def is_opening(text: str) -> bool:
    """Whether a text is no more than a greeting, or says that the answer stands further down."""
    return _OPENING.fullmatch(text.strip()) is not None


def says_nothing(text: str) -> bool:
    """Whether a text is no more than what stands above and below many a mail."""
    return is_opening(text) or _CLOSING.fullmatch(text.strip()) is not None


@dataclass(frozen=True, kw_only=True)
class Sent:
    """The words of a digest: those of each item by its number, and those outside all items."""

    items: Mapping[int, str]
    outside: str

    def where(self, line: str) -> int | None:
        """Of which item a line is, OUTSIDE, or below that where several have it; None: it is not the digest's."""
        words = _words(line[:_LINE_LENGTH])
        if not words.strip():
            return _UNSURE if line.strip() else None
        found = _HEADING.match(line)
        if found and words in self.items.get(int(found[1]), ""):
            return int(found[1])
        found_in = [number for number, text in self.items.items() if words in text]
        found_in += [OUTSIDE] if words in self.outside else []
        if len(found_in) > 1:
            return _UNSURE
        return found_in[0] if found_in else None


def sent(text: str, html: str, tokens: Mapping[int, str]) -> Sent:
    """The words of a digest that was sent as `text` and as `html` (made text), `tokens` being those of its items.

    In the text an item ends with its reply address; in the other what stands outside all items is known by its words.
    """
    areas: dict[int, list[str]] = {number: [] for number in (OUTSIDE, *tokens)}
    for number, line in _divided(text, tokens):
        areas[number].append(line)
    outside = _words(" ".join(areas[OUTSIDE]))
    for number, line in _divided(html, tokens):
        areas[OUTSIDE if _words(line) in outside else number].append(line)
    items = {number: _words(" ".join(lines)) for number, lines in areas.items() if number != OUTSIDE}
    return Sent(items=items, outside=_words(" ".join(areas[OUTSIDE])))


def _divided(text: str, tokens: Mapping[int, str]) -> list[tuple[int, str]]:
    """Each line with the number of its item. Numbers go up, so that one in somebody's words begins no item."""
    found, area, last = [], OUTSIDE, OUTSIDE
    for line in text.split("\n"):
        heading = _HEADING.match(line)
        number = int(heading[1]) if heading else OUTSIDE
        if number in tokens and number > last:
            area = last = number
        found.append((area, without_tokens(line)))
        if area != OUTSIDE and tokens[area] in line:
            area = OUTSIDE
    return found


def _words(text: str) -> str:
    """The words of a text with one blank around each, so that what is inside another text can be found in it."""
    return f" {' '.join(_WORD.findall(_LINK.sub(' ', text).casefold()))} "


# --- a reply ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Segment:
    """Words of the sender that stand together, and the item whose quote is above them; None: nothing is."""

    text: str
    item: int | None


@dataclass(frozen=True, kw_only=True)
class Reply:
    """A reply without the digest.

    `quoted` are the items of which it quotes something, `last` says that its only words stand below all that is quoted,
    and `hidden` is what it has besides the digest where all of it looks quoted.
    """

    segments: tuple[Segment, ...]
    quoted: frozenset[int] = frozenset()
    last: bool = False
    hidden: str = ""

    @property
    def text(self) -> str:
        """What the sender wrote."""
        return "\n\n".join(one.text for one in self.segments)

    @property
    def said(self) -> str:
        """What the sender wrote, without a greeting that stands elsewhere than the words."""
        return "\n\n".join(one.text for one in self._said)

    @property
    def _said(self) -> list[Segment]:
        return [one for one in self.segments if not says_nothing(one.text)]

    def beside(self, numbers: Collection[int]) -> int | None:
        """The one item beside whose quote the words stand, of a digest with the items `numbers`; None: it is not said.

        Below a digest that was quoted whole, as many programs put a reply, words stand beside no item.
        """
        if len(self.quoted) == 1 and self._said:
            return next(iter(self.quoted))
        places = {one.item for one in self._said}
        if len(places) != 1 or (self.last and self.quoted >= set(numbers)):
            return None
        return places.pop() or None


def plain(text: str) -> Reply:
    """A reply that quotes nothing."""
    return Reply(segments=(Segment(text=text.strip(), item=None),) if text.strip() else ())


def is_plain(text: str, folds: Sequence[Fold]) -> bool:
    """Whether a text is too short to have anything of a digest, and has no mark of a quote."""
    lines = [line for line in text.split("\n", _RUN)[:_RUN] if line.strip()]
    return not folds and text.count("\n", 0, -1) < _RUN - 1 and not any(_MARKED.match(line) for line in lines)


def read(text: str, folds: Sequence[Fold], digest: Sent) -> Reply:
    """What somebody wrote in answer to a digest; `folds` is what of the text is quoted by its marks."""
    lines = text.split("\n")
    kinds = _kinds(lines, folds or _all_of_it(text))
    compared = [digest.where(line) for line in lines[:_LINES]]
    places = [*compared, *[None] * (len(lines) - len(compared))]
    _mark_rests(lines, kinds, digest)
    _mark_runs(lines, kinds, places)
    _mark_around(lines, kinds)
    own = "\n".join(line for line, kind in zip(lines, kinds, strict=True) if not kind)
    if not own.strip() or says_nothing(own):
        _open_inside(lines, kinds, places)
    return _reply(lines, kinds, places)


def _all_of_it(text: str) -> Sequence[Fold]:
    """The whole text as quoted, where it would be if a word stood above it: nothing is folded that leaves nothing."""
    above = "x\n\n"
    if shown(above + text, fold(above + text)) != above.strip():
        return ()
    return (Fold(0, len(text), "quote"),)


def _kinds(lines: Sequence[str], folds: Sequence[Fold]) -> list[str]:
    """Of each line how it is folded, empty where it is not."""
    kinds, at, waiting = [], 0, list(reversed(folds))
    for line in lines:
        while waiting and waiting[-1].end <= at:
            waiting.pop()
        kinds.append(waiting[-1].kind if waiting and waiting[-1].start <= at else "")
        at += len(line) + 1
    return kinds


def _mark_rests(lines: Sequence[str], kinds: list[str], digest: Sent) -> None:
    """Mark what a program wrapped a quoted line into, without a mark: with the line above it is one of the digest's."""
    for at in range(1, min(len(lines), _LINES)):
        is_below = kinds[at - 1] == "quote" and not kinds[at] and lines[at - 1].strip() and lines[at].strip()
        if is_below and digest.where(f"{lines[at - 1]} {lines[at]}") is not None:
            kinds[at] = "quote"


def _mark_runs(lines: Sequence[str], kinds: list[str], places: Sequence[int | None]) -> None:
    """Mark as quoted what is the digest's for several lines on end, though no mark of a program says so."""
    own = [at for at, kind in enumerate(kinds) if not kind and lines[at].strip()]
    ends = [0, *(n for n in range(1, len(own)) if _breaks(places, own[n - 1], own[n])), len(own)]
    for begin, end in pairwise(ends):
        run = own[begin:end]
        if not run or places[run[0]] is None:
            continue
        if len(run) >= _RUN and sum(len(lines[at].split()) for at in run) >= _RUN_WORDS:
            kinds[run[0] : run[-1] + 1] = ["quote"] * (run[-1] + 1 - run[0])


def _mark_around(lines: Sequence[str], kinds: list[str]) -> None:
    """Mark what programs put around a quote: their own line, and a heading that lost its address or its order."""
    below, near = "", False  # how what stands below a line is folded, and whether right below
    for at in range(len(lines) - 1, -1, -1):
        line = lines[at][:_LINE_LENGTH].strip()
        if not line:
            near = False
        elif kinds[at]:
            below, near = kinds[at], True
        elif below == "quote" and (ADDRESS in line or (near and _CLOCK.match(line))):
            kinds[at], near = "quote", True
        elif signatures.is_sent_from(line):
            kinds[at] = "signature"
        else:
            below = ""


def _breaks(places: Sequence[int | None], before: int, at: int) -> bool:
    return (places[before] is None) != (places[at] is None)


def _open_inside(lines: Sequence[str], kinds: list[str], places: Sequence[int | None]) -> None:
    """Unfold what somebody wrote between the lines of a digest that has no marks, as is usual in Outlook."""
    bare = [
        at for at, kind in enumerate(kinds) if kind == "quote" and lines[at].strip() and not _MARKED.match(lines[at])
    ]
    ours = [at for at in bare if places[at] is not None]
    between = [at for at in bare if places[at] is None and ours and ours[0] < at < ours[-1]]
    if len(between) * 2 > len(ours):  # not the digest, or one that is beyond recognition
        return
    for at in between:
        kinds[at] = ""


def _reply(lines: Sequence[str], kinds: Sequence[str], places: Sequence[int | None]) -> Reply:
    segments: list[tuple[list[str], int | None]] = []
    quoted: set[int] = set()
    item, fresh, last_quoted, first_own = None, True, -1, len(lines)
    for at, (line, kind, place) in enumerate(zip(lines, kinds, places, strict=True)):
        if kind == "quote":
            fresh, last_quoted = True, at if line.strip() else last_quoted
            if place is not None and place >= OUTSIDE:
                item = place
                quoted.add(place)
        elif not kind and (line.strip() or not fresh):
            if fresh:
                segments.append(([], item))
                fresh = False
            first_own = min(first_own, at)
            segments[-1][0].append(line)
    said = tuple(Segment(text=text, item=item) for block, item in segments if (text := "\n".join(block).strip()))
    return Reply(
        segments=said,
        quoted=frozenset(quoted - {OUTSIDE}),
        last=bool(quoted) and first_own > last_quoted,
        hidden="" if said else _besides(lines, kinds, places),
    )


def _besides(lines: Sequence[str], kinds: Sequence[str], places: Sequence[int | None]) -> str:
    """What a text that is quoted as a whole has besides the digest; what stands above that is its heading."""
    first = next((at + 1 for at, place in enumerate(places) if place is not None), 0)
    kept = (
        line
        for line, kind, place in zip(lines[first:], kinds[first:], places[first:], strict=True)
        if kind != "signature" and place is None
    )
    return "\n".join(kept).strip()
