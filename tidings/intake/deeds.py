"""What members ask for about a meeting, each with what it is about: as mail says it, and as it waits for a yes.

It does nothing of it (meeting_words does).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection

from tidings.archive import cards
from tidings.archive.cards import Card
from tidings.digests.meetings import diary, roles, topics
from tidings.digests.meetings.diary import Meeting
from tidings.digests.meetings.roles import Duty
from tidings.digests.meetings.topics import Topic
from tidings.digests.replies import Item
from tidings.errors import NotFoundError
from tidings.mailer.agenda_words import AgendaWord

_ACTION = re.compile(r"topic\.[^.]{1,24}\.action\.([0-9]{1,9})@")

BLOCKS = frozenset(("meeting", "topic", "recap", "turn", "action"))
"""The blocks of an edition whose items are about a meeting."""

OF_LEADERS = frozenset(("drop", "order", "time", "place", "move", "cancel", "restore"))
"""What only those do who lead the community or the meeting."""

NEED_PROOF = OF_LEADERS | {"swap", "withdraw"}
"""What From alone is not enough for; at a reply address of their own, members swap and withdraw as they like."""


# What a word at an item may be about; any other is a post there.
_AT: Mapping[str, frozenset[str]] = {
    "meeting": frozenset(
        ("yes", "no", "maybe", "lead", "host", "scribe", "second", "swap", "withdraw", "done", *OF_LEADERS)
    ),
    "topic": frozenset(("lead", "host", "scribe", "second", "swap", "withdraw", "done", "drop", "time")),
    "turn": frozenset(("yes", "no", "maybe", "lead", "host", "scribe", "swap", "withdraw")),
    "action": frozenset(("done",)),
    "recap": frozenset(),
}
WANTS_A_NUMBER = {
    "second": "Write the number of the topic that you second, like this: #2 +1",
    "drop": "Write the number of the topic, like this: drop #3",
    "time": "Write the number of the topic and its minutes, like this: #2 20 min",
    "done": "Write the number of the action that is done, like this: #4 done",
}
_NO_NUMBERS = "The numbers are those of an agenda that you were sent: reply to it, and write them there."
GONE = "This is on no agenda any more, so nothing was done."


@dataclass(frozen=True, kw_only=True)
class Deed:
    """A word, and the item that it is about, by block and id; `topic_ids` is the order that one asks for."""

    verb: str
    block: str
    about_id: int
    argument: str = ""
    line: str = ""
    topic_ids: tuple[int, ...] = ()

    def as_json(self) -> Mapping[str, Any]:
        """It as it is kept until somebody says yes."""
        return asdict(self)

    @classmethod
    def from_json(cls, kept: Mapping[str, Any]) -> "Deed":
        """What was kept."""
        return cls(**{**kept, "topic_ids": tuple(kept["topic_ids"])})


@dataclass(frozen=True, kw_only=True)
class About:
    """What an item of an agenda is about; a duty is None where somebody else has it by now."""

    block: str
    meeting: Meeting
    topic: Topic | None = None
    duty: Duty | None = None
    card: Card | None = None


def about(connection: Connection, block: str, about_id: int | None) -> About | None:
    """What an item stands for as things are now; None where that is gone."""
    try:
        return _about(connection, block, about_id or 0)
    except NotFoundError:
        return None


def _about(connection: Connection, block: str, about_id: int) -> About | None:
    match block:
        case "meeting" | "recap":
            return About(block=block, meeting=diary.by_id(connection, about_id))
        case "topic":
            topic = topics.by_id(connection, about_id)
            if topic is None:
                return None
            card = cards.by_id(connection, _action_of(topic))
            return About(block=block, meeting=diary.by_id(connection, topic.meeting_id), topic=topic, card=card)
        case "turn":
            meeting = diary.by_id(connection, roles.meeting_of(connection, about_id) or 0)
            duty = next((one for one in roles.of_meeting(connection, meeting) if one.id == about_id), None)
            return About(block=block, meeting=meeting, duty=duty)
        case "action":
            card = cards.by_id(connection, about_id)
            if card is None or card.meeting_id is None:
                return None
            return About(block=block, meeting=diary.by_id(connection, card.meeting_id), card=card)
        case _:
            return None


def _action_of(topic: Topic) -> int:
    """The id of the action that is offered as a topic (agenda.topic_message_id); 0: it is none."""
    found = _ACTION.match(topic.message_id)
    return int(found[1]) if found else 0


def resolve(
    said: Sequence[AgendaWord], at: tuple[str, int | None] | None, numbers: Mapping[int, Item]
) -> list[Deed] | str | None:
    """The words with what each is about; None where one of them is none there, a text where it names what is not.

    `at` is the block and id of what the mail was sent to, None where that is no one item; `numbers` has the items of
    the edition that it answers.
    """
    found: list[Deed] = []
    for word in said:
        target = at
        if word.item is not None:
            if word.item not in numbers:
                return f"There is no #{word.item} there." if numbers else _NO_NUMBERS
            item = numbers[word.item]
            target = item.block, item.about_id
        if target is None or target[1] is None or target[0] not in BLOCKS or word.verb not in _AT[target[0]]:
            return None
        if target[0] == "meeting" and word.verb in WANTS_A_NUMBER:
            return WANTS_A_NUMBER[word.verb] if numbers else _NO_NUMBERS
        ordered: list[int] = []
        if word.verb == "order":
            for number in map(int, word.argument.split()):
                item_ = numbers.get(number)
                if item_ is None or item_.block != "topic" or item_.about_id is None:
                    return f"#{number} is no topic of that agenda." if numbers else _NO_NUMBERS
                ordered.append(item_.about_id)
        found.append(
            Deed(
                verb=word.verb,
                block=target[0],
                about_id=target[1],
                argument=word.argument,
                line=word.line,
                topic_ids=tuple(ordered),
            )
        )
    return found
