"""What a meeting is made of: blocks of minutes, and in which of them the topics of its agenda stand; pure."""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tidings.communities.entries import choice, line
from tidings.errors import UsageError

NAMES = ("hour", "open-space", "own")
"""The hour of input, discussion and other needs; Open Space, where members propose all; blocks of its own."""

Holds = Literal["", "led", "topics"]

_TITLE_LENGTH = 120
_LONGEST = 24 * 60
_MOST = 20
_BLOCK = re.compile(r"([0-9]{1,4})(?: ?min)? (.+)", re.DOTALL)


@dataclass(frozen=True, kw_only=True)
class Block:
    """Some minutes of a meeting; `holds` says of which topics they are: the one that is led, all others, or none."""

    minutes: int
    title: str
    holds: Holds = ""


HOUR = (
    Block(minutes=15, title="input by a discussion leader", holds="led"),
    Block(minutes=30, title="discussion, and what members need", holds="topics"),
    Block(minutes=15, title="other needs, and planning the next meeting"),
)
OPEN_SPACE = (
    Block(minutes=10, title="topics are proposed"),
    Block(minutes=40, title="talks side by side, by who proposed them", holds="topics"),
    Block(minutes=10, title="what each talk found, and the next meeting"),
)


def blocks(format_: str, own: str = "") -> tuple[Block, ...]:
    """The blocks of a format of NAMES; `own` as `write` gives them, for a format of its own."""
    match format_:
        case "open-space":
            return OPEN_SPACE
        case "own":
            return _with_topics([Block(minutes=minutes, title=title) for minutes, title in json.loads(own)])
        case _:
            return HOUR


def minutes(found: Sequence[Block]) -> int:
    """How long a meeting of these blocks is."""
    return sum(block.minutes for block in found)


def parse(text: str) -> tuple[str, str]:
    """A format of NAMES and its own blocks as they are kept: `hour`, `open-space`, or `10 Round; 40 Cases; 10 Next`.

    Raises UsageError.
    """
    if not text[:1].isdecimal():
        return choice(text.strip().lower(), NAMES[:2], "format"), ""
    found = [_block(part.strip()) for part in text.split(";") if part.strip()]
    if len(found) > _MOST or minutes(found) > _LONGEST:
        raise UsageError(f"A meeting has at most {_MOST} blocks and {_LONGEST} minutes.")
    return "own", json.dumps([[block.minutes, block.title] for block in found], ensure_ascii=False)


def _block(text: str) -> Block:
    found = _BLOCK.fullmatch(text)
    if found is None or int(found[1]) == 0:
        raise UsageError(f"{text!r} is no block of a meeting; write its minutes and its title, like 40 Cases.")
    return Block(minutes=int(found[1]), title=line(found[2], "title of a block", _TITLE_LENGTH))


def _with_topics(found: Sequence[Block]) -> tuple[Block, ...]:
    """The topics stand in the longest block, the first where two are as long."""
    place = max(range(len(found)), key=lambda number: (found[number].minutes, -number))
    return tuple(
        Block(minutes=block.minutes, title=block.title, holds="topics" if number == place else "")
        for number, block in enumerate(found)
    )
