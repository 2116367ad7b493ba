"""Where the author's words end: signatures, footers of lists, disclaimers, phones' lines; and gateways' warnings above.

It marks them among the lines of a text; what one line is, `signatures` says, and quotes are not its matter.
"""

import re
from itertools import islice

from tidings.threading import signatures

_LOOKED_AT = 300
_DASHES_MOST = 15  # lines of a signature that begins with `--` and no blank: the line has other uses
_FOOTER_MOST = 12
_FOOTER_WITHIN = 3  # lines below its rule, the list is named
_BLANKS_MOST = 5  # lines between a disclaimer and its rule
_DIFF = ("@@ -", "diff --git ", "+++ ")
_FOOTER_RULE = re.compile(r"_{20,}[ \t]*$")
_FOOTER = re.compile(r"(?i)mailing list|unsubscribe|listinfo|@lists?\.|abmelden|désabonner")


def mark(heads: list[str], kinds: list[str]) -> None:
    """Mark signatures, footers of lists and disclaimers to their ends, and "Sent from my ..." as the last of own lines.

    It goes from the last line up, so that each of them ends where the one below it begins.
    """
    # In a diff, `-- ` may be a removed line; only the last one can be the signature.
    in_diff = any(head.startswith(_DIFF) for head in heads)
    end, below, found_below, patch = len(heads), 0, False, False
    for place in range(len(heads) - 1, -1, -1):
        if kinds[place]:
            end, below, patch = place, 0, False
            continue
        if _blank(heads[place]):
            continue
        below += 1
        patch = patch or heads[place].startswith(_DIFF)
        # Nor is a patch part of a signature: somebody put it below their own.
        if _begins_signature(heads, place, end, below) and not patch and not (in_diff and found_below):
            found_below = True
            kinds[place:end] = ["signature"] * (end - place)
            end, below = place, 0
            continue
        if below == 1 and _is_last(heads, place, end):
            begin, stop = place, place + 1
        elif _begins_paragraph(heads, place) and _is_disclaimer(heads, place, end):
            begin, stop = _rule_above(heads, kinds, place), end
            if begin == place and not signatures.begins_with_title(heads[place]):
                continue
        elif not patch and below <= _FOOTER_MOST and _is_closing(heads, place, end):
            begin, stop = place, end
        else:
            continue
        kinds[begin:stop] = ["signature"] * (stop - begin)
        end, below = begin, 0


def _is_last(heads: list[str], place: int, end: int) -> bool:
    """Whether the last of somebody's own lines is none of their words."""
    line = heads[place].strip()
    after_blank = place > 0 and _blank(heads[place - 1])
    return (
        signatures.is_sent_from(line)
        or (after_blank and signatures.is_name(line))
        or (line == "\u1427" or (place + 1 <= end and bool(_FOOTER_RULE.match(line))))
    )


def _begins_paragraph(heads: list[str], place: int) -> bool:
    return place == 0 or _blank(heads[place - 1]) or signatures.is_rule(heads[place - 1])


def _rule_above(heads: list[str], kinds: list[str], place: int) -> int:
    """Where the rule and the title above a disclaimer begin; `place` where no rule sets it off from what is above.

    Its words alone do not tell it from somebody's own on who may read what, and all that is below would go with them;
    nor does a title on a line of its own, which may be a heading of theirs.
    """
    start, ruled = place, False
    for at in range(place - 1, max(place - _BLANKS_MOST, 0) - 1, -1):
        rule, title = signatures.is_rule(heads[at]), signatures.is_title(heads[at])
        if kinds[at] or not (rule or title or _blank(heads[at])):
            break
        start, ruled = at if rule or title else start, ruled or rule
    return start if ruled else place


def _is_closing(heads: list[str], place: int, end: int) -> bool:
    """Whether a line is "Thanks," or the like, and the rule of a signature stands right below it."""
    return place + 1 < end and signatures.is_rule(heads[place + 1]) and signatures.is_closing(heads[place])


def _is_disclaimer(heads: list[str], place: int, end: int) -> bool:
    """Whether the paragraph at `place`, with what follows it, is a disclaimer."""
    return signatures.is_disclaimer(" ".join(heads[place : min(end, place + 3)])[:_LOOKED_AT])


def mark_warning(heads: list[str], kinds: list[str]) -> None:
    """Mark the warning that a company's gateway put above all else."""
    first = next((place for place, head in enumerate(heads) if not _blank(head)), None)
    if first is not None and not kinds[first] and signatures.is_warning(heads[first][:_LOOKED_AT]):
        kinds[first] = "signature"


def _begins_signature(heads: list[str], place: int, end: int, below: int) -> bool:
    """Whether the line at `place` begins a signature that runs to `end`; `below` counts its lines but blank ones."""
    head = heads[place]
    if head[:1] not in ("-", "_"):
        return False
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


def _blank(line: str) -> bool:
    return not line or line.isspace()
