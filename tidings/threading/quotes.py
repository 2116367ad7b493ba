"""What of a text its author wrote, and what is quoted or signature: marked to be folded, never taken away.

It goes by whole lines of plain text; which mail was quoted, and HTML, are not its matter. The time is linear in the
text: of a line no more than its first 300 characters are looked at.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby, islice

from tidings.threading import headings, signatures

_LOOKED_AT = 300
_ATTRIBUTION_LINES = 3
_DASHES_MOST = 15  # lines of a signature that begins with `--` and no blank: the line has other uses
_FOOTER_MOST = 12
_FOOTER_WITHIN = 3  # lines below its rule, the list is named
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
_INDENT = 3  # columns, from the heading
_INDENTED_LINES = 2  # or more show that a mail is quoted by indenting it; one may be a paragraph's first

_QUOTED = re.compile(r"[ \t]{0,3}>")
_WROTE = re.compile(
    r"(?i)\b(?:wrote|writes|said|schrieb|schreibt|a écrit|écrit|escribió|escribio|escreveu|scritto|scrive|schreef|"
    r"geschreven|skrev|skriver|kirjoitti|napisał|napsal|napísal|написал|написала|написав|писал|писала|пишет|пише|kirjoittaa|scrisse|yazdı|írta|scris)\b"
    r"|(?<=>)wrote|写道|書きました|작성"
)
_OPENS = re.compile(
    r"(?i)[\"'*_\- ]{0,8}(?:on|am|le|el|il|op|den|em|at|dnia|w dniu|dne|på|pe|pada|vào)(?=[\W\d])"
    r"|\d{1,4}[-/. 年]"
)
_WRAPPED = re.compile(r"> ?(?:wrote|writes|schrieb|a écrit|escribió|escreveu|ha scritto|schreef|skrev|napisał|написал)")
_NAMED_ADDRESS = re.compile(r"[^<>:,.;!?]{0,60}<[^<> ]{1,120}@[^<>]{1,120}>")
_MAY_BEGIN = re.compile(r"\W{0,8}\w.{0,200}(?:\d|<)")
_DATED = re.compile(r"\d{1,2}[:.h]\d\d|\b(?:19|20)\d\d\b")
_DATED_ADDRESS = re.compile(r"(?:19|20)\d\d\s?[-/.年][^<]{1,120}<[^<>]{1,120}>\s?:?$")
# Gmail in Russian and Ukrainian has no verb: "вт, 5 мар. 2024 г. в 09:07, NAME <ADDRESS>:".
_NO_VERB = re.compile(r"[^<>]{1,40}\b(?:19|20)\d\d[^<>]{1,20}\d{1,2}:\d\d[^<>]{1,80}<[^<>@]{1,120}@[^<>]{1,120}>\s?:$")
_GMAIL_BARE = re.compile(
    r"\d{4}-\d\d-\d\d \d{1,2}:\d\d GMT[+-]\d\d:\d\d .{2,80}$"
)  # older Gmail, its address lost on the way
_LOST_LINK = re.compile(r"> ?(?:wrote|schrieb|a écrit|escribió|escreveu|ha scritto|schreef|skrev) ?:$")
_DIFF = re.compile(r"@@ -\d|diff --git |\+\+\+ ")
_FOOTER_RULE = re.compile(r"_{20,}[ \t]*$")
_FOOTER = re.compile(r"(?i)mailing list|unsubscribe|listinfo|@lists?\.|abmelden|désabonner")


@dataclass(frozen=True)
class Fold:
    """A run of whole lines to fold: half-open character offsets, and "quote" or "signature"."""

    start: int
    end: int
    kind: str


def fold(text: str, *, forwarded: bool = False) -> tuple[Fold, ...]:
    """The quoted blocks and signatures of a text (LF line ends), ascending and disjoint; none if nothing were left.

    `forwarded` says that the subject calls it a mail that is passed on: then what stands below a header block is kept.
    """
    lines = text.split("\n")
    heads = [line[: _LOOKED_AT + 1] for line in lines]
    kinds = _quoted(heads)
    _mark_warning(heads, kinds)
    _mark_tail(heads, kinds, forwarded=forwarded)
    _mark_attributions(heads, kinds)
    _join_quotes(heads, kinds)
    _mark_signatures(heads, kinds)
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
    """The kinds of the lines as far as their marks tell; an address that was wrapped before its `>` is no mark."""
    kinds, before = [], ""
    for head in heads:
        wrapped = "<" in before[before.rfind(">") + 1 :] and (head.startswith(">:") or _WRAPPED.match(head))
        kinds.append("quote" if _QUOTED.match(head) and not (wrapped or _LOST_LINK.match(head)) else "")
        before = head
    return kinds


def _mark_tail(heads: list[str], kinds: list[str], *, forwarded: bool) -> None:
    """Mark a quote without marks, to the end: from "Original Message", a header block, or an attribution.

    Where none of the author's words stand above it, or they say that they go on inside it, what follows may be theirs:
    then only the heading is marked. A mail that is passed on is content, and so is one that begins with a header block.
    An attribution counts after the last mark only, since a person may write one.
    """
    last_quoted = max((place for place, kind in enumerate(kinds) if kind), default=-1)
    own, past = False, 0
    inside: bool | None = None
    for place, head in enumerate(heads):
        if place < past or kinds[place] or _blank(head):
            continue
        passed_on = headings.is_forwarded(head)
        if passed_on or ((forwarded or not own) and headings.block(heads, place)):
            if passed_on and not own:
                past = place + _forward_heading(heads, place)
                kinds[place:past] = ["quote"] * (past - place)
            return
        count = _heading(heads, place, after_marks=place > last_quoted)
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


def _heading(heads: list[str], place: int, *, after_marks: bool) -> int:
    """How many lines from `place` on stand above a quoted mail; 0 for none."""
    if headings.is_original(heads[place]):
        following = next((at for at in range(place + 1, min(place + 4, len(heads))) if not _blank(heads[at])), place)
        count = headings.block(heads, following) if following > place else 0
        return following - place + count if count else 1
    return headings.block(heads, place) or (after_marks and _begins_attribution(heads, place)) or 0


def _forward_heading(heads: list[str], place: int) -> int:
    begin = place
    if headings.is_forwarded(heads[place]):
        begin = next((at for at in range(place + 1, min(place + 4, len(heads))) if not _blank(heads[at])), place)
    return begin - place + (headings.block(heads, begin) if begin < len(heads) else 0)


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
            return count if signatures.is_rule(above) else 0
    return 0


def _begins_attribution(heads: list[str], place: int) -> int:
    """How many lines from `place` on are an attribution; 0 for none."""
    if not _MAY_BEGIN.match(heads[place]):
        return 0
    for count in range(1, _ATTRIBUTION_LINES + 1):
        text = _joined(heads, place, count)
        if _is_dated(text) or _is_named(text):
            return count
    following = heads[place + 1] if place + 1 < len(heads) else ""
    if _GMAIL_BARE.match(heads[place].rstrip()) and _blank(following):
        return 1
    return _lost_link(heads, place)


def _lost_link(heads: list[str], place: int) -> int:
    """The lines of an attribution whose address was a link that became lines of its own, as HTML made text has it."""
    if not (_OPENS.match(heads[place]) and _DATED.search(heads[place])):
        return 0
    lines = [at for at in range(place + 1, min(place + 6, len(heads))) if not _blank(heads[at])][:3]
    if len(lines) == 3 and heads[lines[0]].strip() == "<" and _LOST_LINK.match(heads[lines[2]].strip()):
        return lines[2] + 1 - place
    return 0


def _mark_attributions(heads: list[str], kinds: list[str]) -> None:
    for place, kind in enumerate(kinds):
        if kind and place and not kinds[place - 1]:
            last = place - 1
            while last > place - 1 - _BLANKS_MOST and last > 0 and _blank(heads[last]):
                last -= 1
            first = last + 1 - (0 if kinds[last] else _attribution_before(heads, last, near=place - last <= 2))
            if first <= last:
                kinds[first:place] = ["quote"] * (place - first)


def _attribution_before(heads: list[str], last: int, *, near: bool) -> int:
    """How many lines, the last of them at `last`, are the attribution of the quote that comes next; 0 for none."""
    counts = range(1, min(_ATTRIBUTION_LINES, last + 1) + 1)
    for is_one in (_is_dated, _is_named):
        for count in counts:
            if is_one(_joined(heads, last - count + 1, count)):
                return count
    return int(near and _short_attribution(heads[last].strip()))


def _joined(heads: list[str], place: int, count: int) -> str:
    """The `count` lines from `place` on in one, where they may be one attribution; else nothing."""
    lines = heads[place : place + count]
    if len(lines) < count or not _ends_attribution(lines[-1]):
        return ""
    if any(_blank(line) or len(line) > _LOOKED_AT or line.rstrip().endswith(":") for line in lines[:-1]):
        return ""
    return " ".join(line.strip() for line in lines)


def _is_dated(joined: str) -> bool:
    """Whether a text is an attribution like "On DATE, NAME wrote:"."""
    if not _WROTE.search(joined):
        return bool(_DATED_ADDRESS.match(joined) or _NO_VERB.match(joined.rstrip()))
    return bool(_OPENS.match(joined) and _DATED.search(joined))


def _is_named(joined: str) -> bool:
    """Whether a text is an attribution like "NAME <ADDRESS> wrote:"."""
    return bool(_NAMED_ADDRESS.match(joined) and _WROTE.search(joined))


def _ends_attribution(line: str) -> bool:
    bare = line.rstrip()
    return bare.rstrip("*_ ").endswith((":", "：")) or bare.endswith((" ----", ">"))


def _short_attribution(line: str) -> bool:
    """Whether a line is one like "Ann Example wrote:"; a longer sentence is the author's own."""
    wrote = _WROTE.search(line[:_LOOKED_AT])
    if not wrote or not _ends_attribution(line):
        return False
    return "@" in line or bool(_DATED.search(line)) or len(line[: wrote.start()].split()) <= 3


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


def _mark_signatures(heads: list[str], kinds: list[str]) -> None:
    """Mark what stands below a `-- ` line or a list's footer rule, and "Sent from my ..." as the last of own lines."""
    # In a diff, `-- ` may be a removed line; only the last one can be the signature.
    in_diff = any(_DIFF.match(head) for head in heads)
    end, below, found_below, patch = len(heads), 0, False, False
    for place in range(len(heads) - 1, -1, -1):
        if kinds[place]:
            end, below, patch = place, 0, False
            continue
        if _blank(heads[place]):
            continue
        below += 1
        patch = patch or bool(_DIFF.match(heads[place]))
        # Nor is a patch part of a signature: somebody put it below their own.
        if _begins_signature(heads, place, end, below) and not patch and not (in_diff and found_below):
            found_below = True
            kinds[place:end] = ["signature"] * (end - place)
            end, below = place, 0
        elif below == 1 and _is_last(heads, place, end):
            kinds[place] = "signature"
            end, below = place, 0
        elif (place == 0 or _blank(heads[place - 1])) and _is_disclaimer(heads, place, end):
            kinds[place:end] = ["signature"] * (end - place)
            end, below = place, 0


def _is_last(heads: list[str], place: int, end: int) -> bool:
    """Whether the last of somebody's own lines is none of their words."""
    line = heads[place].strip()
    after_blank = place > 0 and _blank(heads[place - 1])
    return (
        signatures.is_sent_from(line)
        or (after_blank and signatures.is_name(line))
        or (line == "\u1427" or (place + 1 <= end and bool(_FOOTER_RULE.match(line))))
    )


def _is_disclaimer(heads: list[str], place: int, end: int) -> bool:
    """Whether the paragraph at `place`, with what follows it, is a disclaimer."""
    return signatures.is_disclaimer(" ".join(heads[place : min(end, place + 3)])[:_LOOKED_AT])


def _mark_warning(heads: list[str], kinds: list[str]) -> None:
    """Mark the warning that a company's gateway put above all else."""
    first = next((place for place, head in enumerate(heads) if not _blank(head)), None)
    if first is not None and not kinds[first] and signatures.is_warning(heads[first][:_LOOKED_AT]):
        kinds[first] = "signature"


def _begins_signature(heads: list[str], place: int, end: int, below: int) -> bool:
    """Whether the line at `place` begins a signature that runs to `end`; `below` counts its lines but blank ones."""
    head = heads[place]
    if head.rstrip() == "--":
        # Some programs begin each line of what they print with dashes.
        in_output = any(
            line.startswith("-- ") and not _blank(line[2:]) for line in heads[max(place - 1, 0) : place + 2]
        )
        return head.startswith("-- ") or (below <= _DASHES_MOST and not in_output)
    if not _FOOTER_RULE.match(head) or below > _FOOTER_MOST:
        return False
    following = (line for line in heads[place + 1 : min(end, place + 2 * _FOOTER_MOST)] if not _blank(line))
    return any(_FOOTER.search(line) for line in islice(following, _FOOTER_WITHIN))
