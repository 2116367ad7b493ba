"""What a moderator's reply says: a line for each number, or one word where the mail was about one post.

It looks nothing up and decides nothing. Where a line cannot be understood nothing is done at all: no slip of the finger
may discard a post.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Literal, cast

from tidings.errors import TidingsError

Word = Literal["accept", "reject", "discard", "allow", "ban"]
WORDS: tuple[Word, ...] = ("accept", "reject", "discard", "allow", "ban")
OPENING = "To decide: "
"""What a notice to moderators begins with: from there on a reply is no reply, but a quote that nobody marked."""

_LINES = 200
_REASON_LENGTH = 500
_OWN = re.compile(rf"{OPENING}[0-9]|#[0-9]+ from ")
_WORD = r"(?P<word>[a-z]+)\b[\s:.,!-]*(?P<reason>.*)"
_NUMBERED = re.compile(rf"#\s?(?P<number>[0-9]{{1,4}})\b[\s:.)-]*{_WORD}", re.IGNORECASE)
_ALL = re.compile(rf"all\b[\s:.)-]*{_WORD}", re.IGNORECASE)
_BARE = re.compile(_WORD, re.IGNORECASE)


class UnclearError(TidingsError):
    """The reply cannot be understood; the message says what of it."""


@dataclass(frozen=True, kw_only=True)
class Ruling:
    """What a moderator wants done about the post with that number; the `reason` is for its sender."""

    number: int
    word: Word
    reason: str = ""


_ALL_OTHERS = -1  # stands for a number


def read(text: str, numbers: Collection[int]) -> list[Ruling]:
    """The rulings in a reply to a notice whose posts have these `numbers`, from 1. Raises UnclearError."""
    found: dict[int, Ruling] = {}
    for ruling in _rulings(text, only=next(iter(numbers)) if len(numbers) == 1 else None):
        if ruling.number in found:
            raise UnclearError(f"It says two things about {_called(ruling.number)}.")
        if ruling.number not in {_ALL_OTHERS, *numbers}:
            raise UnclearError(f"There is no #{ruling.number} in the mail that it answers.")
        found[ruling.number] = ruling
    if not found:
        raise UnclearError("It does not say what to do.")
    if others := found.pop(_ALL_OTHERS, None):
        found = {number: replace(others, number=number) for number in numbers} | found
    return sorted(found.values(), key=lambda ruling: ruling.number)


def _rulings(text: str, only: int | None) -> list[Ruling]:
    """The lines that rule, in their order; lines after a rejection, up to an empty one, are more of its reason."""
    found: list[Ruling] = []
    goes_on = False
    for line in map(str.strip, text.splitlines()[:_LINES]):
        if _OWN.match(line):
            break
        ruling = _ruling(line, only)
        if ruling:
            found.append(ruling)
        elif goes_on and line:
            found[-1] = replace(found[-1], reason=f"{found[-1].reason} {line}".strip()[:_REASON_LENGTH])
        goes_on = bool(line and found) and found[-1].word == "reject" and (goes_on or ruling is not None)
    return found


def _ruling(line: str, only: int | None) -> Ruling | None:
    """What a line rules; None for one that is about something else. `only` is the number where there is one post."""
    if numbered := _NUMBERED.fullmatch(line):
        if numbered["word"].lower() not in WORDS:
            raise UnclearError(f"It says “{numbered['word'][:20]}” about #{numbered['number']}.")
        return _made(numbered, int(numbered["number"]))
    if (for_all := _ALL.fullmatch(line)) and for_all["word"].lower() in WORDS:  # and not: All the best
        return _made(for_all, _ALL_OTHERS)
    bare = _BARE.fullmatch(line) if only is not None else None
    if only is None or bare is None or bare["word"].lower() not in WORDS:
        return None
    # Allow me to ask who this is: a sentence is no ruling.
    return _made(bare, only) if bare["word"].lower() == "reject" or not bare["reason"] else None


def _made(found: re.Match[str], number: int) -> Ruling:
    word = cast("Word", found["word"].lower())
    reason = found["reason"].strip()[:_REASON_LENGTH] if word == "reject" else ""
    return Ruling(number=number, word=word, reason=reason)


def _called(number: int) -> str:
    return "all the others" if number == _ALL_OTHERS else f"#{number}"
