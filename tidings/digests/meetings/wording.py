"""What the blocks, roles and topics of a meeting are called in a reader's language; pure.

What a community called blocks of its own, and what members wrote, stays as it is, kept apart (direction).
"""

from typing import Protocol

from tidings.archive.sentences import clean
from tidings.digests.direction import apart
from tidings.digests.meetings.agenda import Item
from tidings.digests.words import Words


class Block(Protocol):
    """Some minutes of a meeting."""

    @property
    def minutes(self) -> int: ...
    @property
    def title(self) -> str: ...


def block(words: Words, found: Block) -> str:
    """`15 min: input by a discussion leader`."""
    titles = {
        "input by a discussion leader": words.say("input by a discussion leader"),
        "discussion, and what members need": words.say("discussion, and what members need"),
        "other needs, and planning the next meeting": words.say("other needs, and planning the next meeting"),
        "topics are proposed": words.say("topics are proposed"),
        "talks side by side, by who proposed them": words.say("talks side by side, by who proposed them"),
        "what each talk found, and the next meeting": words.say("what each talk found, and the next meeting"),
    }
    title = titles.get(found.title) or apart(clean(found.title))
    return words.say("%(minutes)s min: %(block)s", minutes=found.minutes, block=title)


def role(words: Words, found: str, who: str) -> str:
    """`Discussion leader: Raj`; `who` as it is printed."""
    return {
        "lead": words.say("Discussion leader: %(name)s", name=who),
        "host": words.say("Host: %(name)s", name=who),
        "scribe": words.say("Scribe: %(name)s", name=who),
    }[found]


def topic(words: Words, item: Item) -> str:
    """`Seal failures (led by Raj, if there is time)`."""
    title = apart(clean(item.topic.title))
    more = [words.say("led by %(name)s", name=apart(item.leader))] if item.leader else []
    if item.topic.state == "offered":
        more.append(words.say("if somebody wants it"))
    elif not item.fits:
        more.append(words.say("if there is time"))
    return words.say("%(topic)s (%(more)s)", topic=title, more=", ".join(more)) if more else title
