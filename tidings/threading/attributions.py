"""The lines that say whose mail is quoted below them: "On DATE, NAME wrote:" as programs write it in many languages.

It finds them; what is then folded is not its matter. Each look is at the first 300 characters of a few lines.
"""

import re
from collections.abc import Sequence
from itertools import pairwise

LOOKED_AT = 300
_LINES = 3
_LOST_LINK_LINES = 6
# Words before the verb: "I asked ann@example.org about it, and this is what she wrote:" is a sentence.
_WORDS_MOST, _WORDS_WITH_ADDRESS = 3, 8
_WORDS_BETWEEN = 2  # an address and the verb: "<ann@example.org> ezt írta:"

_WROTE = re.compile(
    r"(?i)\b(?:wrote|writes|said|schrieb|schreibt|a écrit|écrit|escribió|escribio|escreveu|scritto|scrive|schreef|"
    r"geschreven|skrev|skriver|kirjoitti|napisał|pisze|napsal|napísal|написал|написала|написав|писал|писала|пишет|пише|"
    r"kirjoittaa|scrisse|yazdı|írta|scris|έγραψε|đã viết)\b"
    r"|(?<=>)wrote|写道|寫道|書きました|작성"
)
_LAST_VERBS = "wrote|schrieb|a écrit|escribió|escreveu|ha scritto|schreef|skrev"  # of those that programs put last
_SENT = re.compile(r"> sent\s?:$")
_OPENS = re.compile(
    r"(?i)[\"'*_\- ]{0,8}(?:on|am|le|el|il|in data (?:\w{3,9} )?\d{1,2}\b|op|den|em|at|dnia|w dniu|dne|på|pe|pada|vào|"
    r"την|στις)(?=[\W\d])"
    r"|\d{1,4}[-/. 年]"
)
# "Thanks. On Wed, Apr 4, 2012 at 3:59 PM, Bob wrote:" has the author's words; in "Bob> On Wed, ..." Bob is a mark.
_OPENS_WITHIN = re.compile(
    r".{0,200}?\w[^\w>]{0,8}(?<=\s)(?:On|Am|Le|El|Il|In data|Op|Den|Em|W dniu|Dnia|Dne|På|Vào)\s"
    r"[^<>:]{0,30}?\d"
)
_ENDS_A_SENTENCE = re.compile(r"(?: [^\W\d_]{2,20}|:\d\d)[.!?…]$")
_NAMED_ADDRESS = re.compile(r"[^<>:,.;!?]{0,60}<[^<> ]{1,120}@[^<>]{1,120}>")
_MAY_BEGIN = re.compile(r"\W{0,8}\w.{0,200}(?:\d|<)")
_DATED = re.compile(r"\d{1,2}[:.h]\d\d|\b(?:19|20)\d\d\b")
# A day without year and time, "Dec 9" or "4/4/12", is enough where an address and the verb follow.
_MONTH = (
    r"(?:jan|f[eé][bv]|m[aä]r|mrt|a[pbv]r|ma[ijy]|mei|ju[nl]|jui|au?g|ago|aoû|sep|set|o[ckt]t|out|nov|d[eé][czs])"
    r"[^\W\d_]{0,7}"
)
_DAY_AND_ADDRESS = re.compile(
    rf"(?i).{{0,30}}\b(?:\d{{1,2}}\.? (?:de )?{_MONTH}|{_MONTH}\.? \d{{1,2}}|\d{{1,2}}/\d{{1,2}}/\d\d)\b"
    rf"[^<>]{{0,80}}<[^<>@\s]{{1,120}}@[^<>\s]{{1,120}}> (?:{_LAST_VERBS})\s?:$"
)
_NO_VERB = re.compile(
    # "2024-03-05 09:07 GMT+01:00 NAME <ADDRESS>:", and an iPhone's in Japanese.
    r"(?:19|20)\d\d\s?[-/.年][^<]{1,120}<[^<>]{1,120}>(?:\s?の(?:メッセージ|メール))?\s?[:：]?$"
    # Gmail in Russian and Ukrainian has no verb: "вт, 5 мар. 2024 г. в 09:07, NAME <ADDRESS>:"; no sentence above it.
    r"|(?![^\d<>]{1,40}[.!?…] [^\W\d_])[^<>]{1,40}\b(?:19|20)\d\d[^<>]{1,20}\d{1,2}:\d\d[^<>]{1,80}"
    r"<[^<>@]{1,120}@[^<>]{1,120}>\s?:$"
    # "05.03.2024, 09.07, NAME <ADDRESS>:"
    r"|\d{1,2}[./-]\d{1,2}[./-](?:19|20)\d\d,? \d{1,2}\.\d\d\b[^<>]{1,80}<[^<>@\s]{1,120}@[^<>\s]{1,120}>\s?:$"
    # "09:07 AM, March 5, 2024, NAME <ADDRESS>:"
    r"|\d{1,2}:\d\d(?: ?[AaPp]\.?[Mm]\.?)?, (?:[^\W\d_]{3,10} \d{1,2}|\d{1,2}\.? [^\W\d_]{3,10}),? (?:19|20)\d\d,"
    r"[^<>]{1,80}<[^<>@\s]{1,120}@[^<>\s]{1,120}>\s?:$"
)
# A sentence may begin so too, but programs write the time.
_CHINESE = re.compile(r"[在于於] ?(?:19|20)\d\d\s?[-/.年].{1,30}\d{1,2}:\d\d.{0,160}(?:写道|寫道)\s?[:：]$")
_GMAIL_BARE = re.compile(
    r"\d{4}-\d\d-\d\d \d{1,2}:\d\d GMT[+-]\d\d:\d\d .{2,80}$"
)  # older Gmail, its address lost on the way
_LOST_LINK = re.compile(rf"> ?(?:{_LAST_VERBS}) ?:$")
_WRAPPED = re.compile(rf"> ?(?:{_LAST_VERBS}|writes|napisał|написал)")
_OPEN_LINK = re.compile(r"<(?:https?://|www\.|mailto:)[^\s<>]{1,250}$")
_BARE = tuple(f"> {verb}" for verb in _LAST_VERBS.split("|"))  # Zoho's, as plain text has them
_RULED = re.compile(rf" (?:{_LAST_VERBS}) ?-{{4,20}}$")
_LAST = frozenset(":：>-*_ \t\u00a0")  # the last character of a line that may end one


def goes_on(above: str, line: str) -> bool:
    """Whether a line that begins with `>` is the rest of an attribution whose address was wrapped, and no quote."""
    if _LOST_LINK.match(line):
        return True
    return "<" in above[above.rfind(">") + 1 :] and bool(line.startswith(">:") or _WRAPPED.match(line))


def opens_link(line: str) -> bool:
    """Whether a line ends inside a link that began with `<`: the `>` that begins the next one ends it."""
    at = line.rfind("<")
    return at >= 0 and len(line) <= LOOKED_AT and bool(_OPEN_LINK.match(line[at:]))


def before(heads: Sequence[str], last: int, *, near: bool) -> int:
    """How many lines, the last of them at `last`, are the attribution of the quote that comes next; 0 for none."""
    counts = range(1, min(_LINES, last + 1) + 1)
    for is_one in (_is_dated, _is_named):
        for count in counts:
            if is_one(_joined(heads, last - count + 1, count)):
                return count
    return int(near and _is_short(heads[last].strip()))


def all_below(heads: Sequence[str], kinds: Sequence[str]) -> dict[int, int]:
    """The attributions below the last mark, as (first line: lines).

    Where several stand one below another and the last quotes nothing, whose words stand between them is in doubt: then
    there are none.
    """
    since = max((place for place, kind in enumerate(kinds) if kind), default=-1) + 1
    found = {place: count for place in _places(heads, since) if (count := begins(heads, place))}
    if not found:
        return found
    end = max(place + count for place, count in found.items())
    quotes_nothing = not any(head.strip() for head in heads[end:])
    return {} if quotes_nothing and len(_apart(found)) > 1 else found


def _apart(found: dict[int, int]) -> list[int]:
    """The first lines of those attributions that no other has a line in common with."""
    firsts, past = [], 0
    for place, count in found.items():
        if place >= past:
            firsts.append(place)
            past = place + count
    return firsts


def _places(heads: Sequence[str], since: int) -> list[int]:
    """The lines from `since` on at which an attribution can begin: of most texts few are worth a closer look."""
    places: dict[int, None] = {}
    for at in range(since, len(heads)):
        head = heads[at]
        if (head[-1:] in _LAST and _ends_one(head)) or head.endswith(_BARE):
            above = _LOST_LINK_LINES if head.lstrip()[:1] == ">" else _LINES
            places.update(dict.fromkeys(range(max(since, at + 1 - above), at + 1)))
        elif "GMT" in head:
            places[at] = None
    return sorted(places)


def begins(heads: Sequence[str], place: int) -> int:
    """How many lines from `place` on are an attribution; 0 for none."""
    if not _MAY_BEGIN.match(heads[place]):
        return 0
    for count in range(1, _LINES + 1):
        text = _joined(heads, place, count)
        if _is_dated(text) or _is_named(text):
            return count
    following = heads[place + 1] if place + 1 < len(heads) else ""
    if _GMAIL_BARE.match(heads[place].rstrip()) and not following.strip():
        return 1
    return _lost_link(heads, place)


def _lost_link(heads: Sequence[str], place: int) -> int:
    """The lines of an attribution whose address was a link that became lines of its own, as HTML made text has it."""
    if not (_OPENS.match(heads[place]) and _DATED.search(heads[place])):
        return 0
    lines = [at for at in range(place + 1, min(place + _LOST_LINK_LINES, len(heads))) if heads[at].strip()][:3]
    if len(lines) == 3 and heads[lines[0]].strip() == "<" and _LOST_LINK.match(heads[lines[2]].strip()):
        return lines[2] + 1 - place
    return 0


def _joined(heads: Sequence[str], place: int, count: int) -> str:
    """The `count` lines from `place` on in one, where they may be one attribution; else nothing."""
    lines = heads[place : place + count]
    if len(lines) < count or not (_ends_one(lines[-1]) or _ends_bare(heads, place + count - 1)):
        return ""
    if not all(_may_go_on(line, below) for line, below in pairwise(lines)):
        return ""
    return " ".join(line.strip() for line in lines)


def _may_go_on(line: str, below: str) -> bool:
    """Whether an attribution that has a line may have the one below too: the author's sentence may stand above it."""
    bare = line.rstrip()
    if not bare or len(line) > LOOKED_AT or bare.endswith(":"):
        return False
    return not (below.lstrip()[:1].isalpha() and _ENDS_A_SENTENCE.search(bare[-24:]))


def _is_dated(joined: str) -> bool:
    """Whether a text is an attribution like "On DATE, NAME wrote:"."""
    if not _WROTE.search(joined) and not _SENT.search(joined):
        return bool(_NO_VERB.match(joined.rstrip()))
    if _OPENS.match(joined) and (_DATED.search(joined) or _DAY_AND_ADDRESS.match(joined)):
        return not _OPENS_WITHIN.match(joined)
    return bool(_CHINESE.match(joined))


def _is_named(joined: str) -> bool:
    """Whether a text is an attribution like "NAME <ADDRESS> wrote:"; what more stands before the verb is a date."""
    named = _NAMED_ADDRESS.match(joined)
    wrote = _WROTE.search(joined, named.end()) if named else None
    if not named or not wrote or not _ends_one(joined):
        return False
    between = joined[named.end() : wrote.start()]
    is_one = len(between.split()) <= _WORDS_BETWEEN or _DATED.search(between)
    return bool(is_one) and not _OPENS_WITHIN.match(joined)


def _ends_one(line: str) -> bool:
    bare = line.rstrip()
    if bare.rstrip("*_ ").endswith((":", "：")) or bare.endswith((" ----", ">")):
        return True
    return bare.endswith("----") and bool(_RULED.search(bare[-50:]))


def _ends_bare(heads: Sequence[str], last: int) -> bool:
    """Whether a line ends with an address and a verb, and nothing of a sentence that they may begin is below it."""
    below = heads[last + 1].strip() if last + 1 < len(heads) else ""
    return heads[last].rstrip().endswith(_BARE) and below[:1] in ("", ">")


def _is_short(line: str) -> bool:
    """Whether a line is one like "Ann Example wrote:"; a longer sentence is the author's own."""
    wrote = _WROTE.search(line[:LOOKED_AT])
    if not wrote or not _ends_one(line):
        return False
    words = len(line[: wrote.start()].split())
    is_one = words <= (_WORDS_WITH_ADDRESS if "@" in line else _WORDS_MOST) or _DATED.search(line)
    return bool(is_one) and not _OPENS_WITHIN.match(line[:LOOKED_AT])
