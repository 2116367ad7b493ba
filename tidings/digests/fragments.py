"""What an edition tells, item by item: the values that are stored when it is composed and printed at every delivery.

It chooses nothing (select) and prints nothing (render). Readers who are told the same have the same fragment: it is
stored once, and printed once for each language. Who reads is called YOU in a fragment of their own. What was made of a
fragment is kept by the object itself: fragments are not compared by what they hold (`eq=False`).
"""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from tidings.mailer.events import Event

YOU = "you"
"""What readers are called in their own edition."""

Duty = Literal["", "night", "shift", "sleep", "off"]
Concern = Literal["reply", "mention", "field"]
Outcome = Literal["answer", "decision", "used", "action"]
Comes = Literal["day", "shift", "end", "off", "between shifts", "awake"]


@dataclass(frozen=True, kw_only=True)
class Attached:
    """A file that came with a post; `size` is in bytes."""

    name: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Opening:
    """The first post of a thread that is not new to the reader."""

    author: str
    date: datetime
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Seen:
    """An older thread of the archive that resembles a question; `link` is the message id of its first post."""

    title: str
    date: datetime
    link: str


@dataclass(frozen=True, kw_only=True)
class Span:
    """From one moment to another."""

    begin: datetime
    end: datetime


@dataclass(frozen=True, kw_only=True)
class Told:
    """A post and what is told of it; empty lines between paragraphs."""

    author: str
    date: datetime
    text: str


@dataclass(frozen=True, kw_only=True, eq=False)
class Personal:
    """A post that concerns the reader: it answers or names them, or asks in a field in which they answered before."""

    concern: Concern
    title: str
    post: Told
    numbers: tuple[int, ...]
    link: str
    seen: Seen | None = None


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A topic in a list of them, with who leads it, or else who proposed it."""

    title: str
    who: str


@dataclass(frozen=True, kw_only=True)
class Slot:
    """Some minutes of a meeting, and which topics are for them."""

    minutes: int
    title: str  # of the formats that all know, a sentence of the catalog
    topics: tuple[Listed, ...] = ()
    more: int = 0


@dataclass(frozen=True, kw_only=True)
class Held:
    """A role in a meeting; `load` is how often who has it had it within a year."""

    role: str
    name: str
    load: int


Answer = Literal["", "yes", "no", "maybe"]


@dataclass(frozen=True, kw_only=True)
class Invitation:
    """What a reader's calendar is told, and what they said so far."""

    event: Event
    answer: Answer


@dataclass(frozen=True, kw_only=True, eq=False)
class Meeting:
    """The next meeting and whether the reader is at work then; `duty_start` and `duty_end` are of that shift.

    Its `title` is empty where it is that of the community. What is written of the meeting itself are its `inputs`, of
    which `earlier` ones are only counted; that and what is written of its items is printed `until` then. `others` are
    the sessions that the reader is not asked to, `roles` those that somebody has, YOU among them. `change` says that it
    was `moved`, `cancelled`, that it was `noted` what an earlier session came to, or that no input is printed any more
    (`final`).
    """

    start: datetime
    place: str
    duty: Duty
    duty_start: datetime | None = None
    duty_end: datetime | None = None
    end: datetime | None = None
    title: str = ""
    slots: tuple[Slot, ...] = ()
    until: datetime | None = None
    others: tuple[Span, ...] = ()
    roles: tuple[Held, ...] = ()
    coming: int = 0
    answer: Answer = ""
    change: str = ""
    inputs: tuple[Told, ...] = ()
    earlier: int = 0
    invitation: Invitation | None = None


@dataclass(frozen=True, kw_only=True)
class Noted:
    """A line of minutes: a decision, an action with its owner and day, an answer or a note."""

    kind: str
    text: str
    owner: str = ""
    due: date | None = None
    done: bool = False


@dataclass(frozen=True, kw_only=True, eq=False)
class Topic:
    """An item of an agenda, with what was written about it; `earlier` inputs are only counted.

    `offered`: nobody asked for it yet. `noted` is what an earlier session of the meeting came to.
    """

    title: str
    kind: str
    who: str
    led: bool
    minutes: int
    seconds: int
    carried: int
    fits: bool
    offered: bool
    text: str
    inputs: tuple[Told, ...]
    earlier: int
    noted: tuple[Noted, ...]


@dataclass(frozen=True, kw_only=True, eq=False)
class Recap:
    """What came of the meeting before, and what was added to it by those who were not there."""

    start: datetime
    noted: tuple[Noted, ...]
    added: tuple[Told, ...]
    more: int
    carried: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Task:
    """An action that the reader has to do, from the minutes of a meeting."""

    text: str
    due: date | None
    decided: datetime


@dataclass(frozen=True, kw_only=True, eq=False)
class Turn:
    """A role that the reader has in a meeting to come."""

    role: str
    title: str
    start: datetime
    load: int


@dataclass(frozen=True, kw_only=True, eq=False)
class Settled:
    """What a thread came to: an answer that held, a decision, a practice that somebody used, or somebody's action."""

    outcome: Outcome
    title: str
    author: str
    text: str
    numbers: tuple[int, ...]
    link: str
    owner: str = ""
    due: date | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Unanswered:
    """A question that nobody else has written to; `numbers` is empty where it was told before."""

    title: str
    post: Told
    numbers: tuple[int, ...]
    link: str
    seen: Seen | None = None


@dataclass(frozen=True, kw_only=True, eq=False)
class Conversation:
    """A thread that is told: some sentences, a line for each further post, `more` posts that are only counted.

    `numbers` are the archive numbers of all its new posts, `link` the message id of the last. In the edition of who was
    away `week` says when that was: `this week`, `last week` or `earlier`. Where a language model wrote of them, its
    words are `written`, and no sentence is told.
    """

    title: str
    posts: int
    authors: tuple[str, ...]
    numbers: tuple[int, ...]
    link: str
    opening: Opening | None
    told: tuple[Told, ...]
    lines: tuple[Told, ...]
    more: int
    attached: tuple[Attached, ...]
    seen: Seen | None = None
    week: str = ""
    written: str = ""


@dataclass(frozen=True, kw_only=True, eq=False)
class Title:
    """A thread of which only the title is told."""

    title: str
    posts: int
    authors: tuple[str, ...]
    numbers: tuple[int, ...]
    link: str


@dataclass(frozen=True, kw_only=True)
class Timing:
    """When mail of a community comes: on a `day`, or by the reader's first shift after a cut-off.

    `weekday` (0 is Monday, None is every day) and `time` (HH:MM) are those of the day, or of the cut-off in its `zone`.
    A shift's `end` is told with the `minutes` before it, a day `off` with its `hour`. `between shifts` and `awake` are
    the ends of quiet hours.
    """

    comes: Comes
    weekday: int | None = None
    time: str = ""
    zone: str = ""
    hour: str = ""
    minutes: int = 0


@dataclass(frozen=True, kw_only=True)
class Heading:
    """What stands over and under a section; in the times that are `quiet` nothing was new and nothing was sent."""

    title: str
    rhythm: str
    timing: Timing | str  # a sentence in editions of before 0.2, and empty where there is none
    since: datetime | None
    quiet: tuple[Span, ...] | datetime | None  # a moment in editions of before 0.2: until then it was quiet
    more_threads: int
    more_posts: int
    muted_posts: int = 0  # of what was frozen before there were any
    more_numbers: tuple[int, ...] = ()  # of the posts in more_posts, where its reader's format has posts in it


@dataclass(frozen=True, kw_only=True)
class Cover:
    """The edition as a whole, kept as its item 0, with the headings of its sections in their order."""

    reader: str
    preheader: str
    headings: tuple[Heading, ...]


Fragment = Cover | Personal | Meeting | Topic | Recap | Task | Turn | Settled | Unanswered | Conversation | Title
BLOCKS: dict[str, type[Fragment]] = {
    "edition": Cover,
    "turn": Turn,
    "action": Task,
    "for-you": Personal,
    "meeting": Meeting,
    "topic": Topic,
    "recap": Recap,
    "settled": Settled,
    "unanswered": Unanswered,
    "conversation": Conversation,
    "title": Title,
}
"""What is stored of an item, by its block; in the order in which a section has them."""
