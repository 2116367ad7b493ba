"""What of a week an edition tells: which threads, which of their sentences, what is only counted; pure.

It reads no database (gather does) and formats nothing (render does). The classes here are what is stored of an item and
printed again at every delivery.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Literal

from tidings.archive.sentences import clean as clean  # drafts too takes these two from here
from tidings.archive.sentences import sentences
from tidings.archive.sentences import shorten as shorten
from tidings.clock import zone
from tidings.communities.directory import Community
from tidings.communities.rota import Roster
from tidings.digests import schedule

CONVERSATIONS = 7
TITLES = 10
WORDS = 120
"""Words of one conversation that are told in its members' own sentences."""

_LINES = 8  # one-line posts of a conversation; more are counted
_CANDIDATES = 40  # posts of a conversation, the newest, whose sentences are looked at
_LINE_LENGTH = 60
_NAME_LENGTH = 40
_TITLE_LENGTH = 120

YOU = "you"
"""What readers are called in their own edition."""

Duty = Literal["", "night", "shift", "sleep", "off"]

# --- what select is given --------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Attached:
    """A file that came with a post; `size` is in bytes."""

    name: str
    size: int


@dataclass(frozen=True, kw_only=True)
class Fresh:
    """A post that is new to the reader; `text` is what its author wrote, `own` says that this is the reader."""

    id: int
    number: int
    message_id: str
    author: str
    own: bool
    date: datetime
    text: str


@dataclass(frozen=True, kw_only=True)
class Opening:
    """The first post of a thread that is not new to the reader."""

    author: str
    date: datetime
    sentence: str


@dataclass(frozen=True, kw_only=True)
class Thread:
    """A thread with what is new in it, by archive number; `own` says that the reader wrote in it.

    `followed` says that the reader asked to be told of it.
    """

    title: str
    posts: int
    first: int  # id of its first post
    own: bool
    fresh: tuple[Fresh, ...]
    followed: bool = False
    opening: Opening | None = None
    attached: tuple[Attached, ...] = ()


# --- what select gives: the fragments of items -----------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Told:
    """A post and what is told of it."""

    author: str
    date: datetime
    text: str


@dataclass(frozen=True, kw_only=True)
class Conversation:
    """A thread that is told: some sentences, a line for each further post, `more` posts that are only counted.

    `numbers` are the archive numbers of all its new posts, `link` the message id of the last.
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


@dataclass(frozen=True, kw_only=True)
class Title:
    """A thread of which only the title is told."""

    title: str
    posts: int
    authors: tuple[str, ...]
    numbers: tuple[int, ...]
    link: str


@dataclass(frozen=True, kw_only=True)
class Meeting:
    """The next meeting and whether the reader is at work then; `duty_start` and `duty_end` are of that shift."""

    start: datetime
    place: str
    duty: Duty
    duty_start: datetime | None = None
    duty_end: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What is told of a community: threads that are counted only are `more_threads` with `more_posts`.

    `muted_posts` are in threads that the reader wants to hear nothing of. `answers` has, for each conversation and then
    each title, the id of its last new post.
    """

    conversations: tuple[Conversation, ...]
    titles: tuple[Title, ...]
    answers: tuple[int, ...]
    more_threads: int
    more_posts: int
    muted_posts: int


@dataclass(frozen=True, kw_only=True)
class Heading:
    """What stands over and under a section; up to the cut-off `quiet` nothing was new and nothing was sent."""

    title: str
    rhythm: str
    timing: str
    since: datetime | None
    quiet: datetime | None
    more_threads: int
    more_posts: int
    muted_posts: int = 0  # of what was frozen before there were any


@dataclass(frozen=True, kw_only=True)
class Cover:
    """The edition as a whole, kept as its item 0, with the headings of its sections in their order."""

    reader: str
    preheader: str
    headings: tuple[Heading, ...]


Fragment = Cover | Meeting | Conversation | Title
BLOCKS: dict[str, type[Fragment]] = {
    "edition": Cover,
    "meeting": Meeting,
    "conversation": Conversation,
    "title": Title,
}
"""What is stored of an item, by its block."""


# --- threads ---------------------------------------------------------------------------------------------------------


def rank(threads: Sequence[Thread]) -> list[Thread]:
    """The threads as they are told: followed ones, the reader's own, those in which many wrote, then the newest.

    Where all that is new is the reader's own words, a thread comes last.
    """
    return sorted(threads, key=_weight, reverse=True)


def _weight(thread: Thread) -> tuple[bool, bool, bool, int, int]:
    others = {post.author for post in thread.fresh if not post.own}
    return bool(others), thread.followed, thread.own, len(others), thread.fresh[-1].number


def choose(ranked: Sequence[Thread], muted: int = 0) -> Chosen:
    """What is told of the threads, which stand in their order, beside `muted` posts that are only counted."""
    end = CONVERSATIONS + TITLES
    told, titled, counted = ranked[:CONVERSATIONS], ranked[CONVERSATIONS:end], ranked[end:]
    return Chosen(
        conversations=tuple(map(conversation, told)),
        titles=tuple(map(_title, titled)),
        answers=tuple(thread.fresh[-1].id for thread in (*told, *titled)),
        more_threads=len(counted),
        more_posts=sum(len(thread.fresh) for thread in counted),
        muted_posts=muted,
    )


def conversation(thread: Thread) -> Conversation:
    """A thread with its most telling sentences: first sentences and questions, then what follows them."""
    said = {post.number: list(sentences(post.text)) for post in thread.fresh[-_CANDIDATES:]}
    picked = _pick(said)
    told = [_told(post, said[post.number], picked[post.number]) for post in thread.fresh if post.number in picked]
    further = [post for post in thread.fresh if post.number not in picked]
    lines = [_line(post) for post in further[-_LINES:]]
    return Conversation(
        title=thread.title,
        posts=thread.posts,
        authors=_authors(thread),
        numbers=tuple(post.number for post in thread.fresh),
        link=thread.fresh[-1].message_id,
        opening=thread.opening,
        told=tuple(told),
        lines=tuple(lines),
        more=len(further) - len(lines),
        attached=thread.attached,
    )


def _title(thread: Thread) -> Title:
    return Title(
        title=thread.title,
        posts=thread.posts,
        authors=_authors(thread),
        numbers=tuple(post.number for post in thread.fresh),
        link=thread.fresh[-1].message_id,
    )


def as_title(told: Conversation) -> Title:
    """A conversation of which only the title is told, for an edition that would be too large."""
    return Title(title=told.title, posts=told.posts, authors=told.authors, numbers=told.numbers, link=told.link)


def _authors(thread: Thread) -> tuple[str, ...]:
    return tuple(dict.fromkeys(who(post) for post in thread.fresh))


def who(post: Fresh) -> str:
    """The author of a post as the reader is told it."""
    return YOU if post.own else post.author


# --- sentences -------------------------------------------------------------------------------------------------------


def _pick(said: dict[int, list[str]]) -> dict[int, list[int]]:
    """By archive number, which sentences are told: at most WORDS words in all."""
    places = [(number, index) for number, found in said.items() for index in range(len(found))]
    places.sort(key=lambda place: _order(said[place[0]][place[1]], place[1]))  # stable: older posts first
    picked: dict[int, list[int]] = {}
    left = WORDS
    for number, index in places:
        words = _count(said[number][index])
        if words <= left:
            left -= words
            picked.setdefault(number, []).append(index)
    return {number: sorted(indexes) for number, indexes in picked.items()}


def _order(sentence: str, index: int) -> int:
    return 0 if index == 0 or sentence.endswith("?") else index


def _count(sentence: str) -> int:
    # Scripts without spaces: six characters stand for a word.
    return max(len(sentence.split()), len(sentence) // 12)


def _told(post: Fresh, said: list[str], picked: list[int]) -> Told:
    """The picked said in their order, with `...` where others were left out."""
    parts: list[str] = []
    for before, index in zip([-1, *picked], picked, strict=False):
        parts += ["..."] * (index > before + 1) + [said[index]]
    parts += ["..."] * (picked[-1] + 1 < len(said))
    return Told(author=who(post), date=post.date, text=" ".join(parts))


def _line(post: Fresh) -> Told:
    first = next(sentences(post.text), "(no words of its own)")
    return Told(author=who(post), date=post.date, text=shorten(first, _LINE_LENGTH))


def opening_line(text: str) -> str:
    """How a post begins, past the greeting, in one line; empty where it has no words."""
    return shorten(next(sentences(text), ""), _LINE_LENGTH)


# --- names and titles ------------------------------------------------------------------------------------------------

_PREFIX = re.compile(r"(?:(?:re|aw|sv|antw|fwd?|wg|tr|rv)(?:\[\d+\])?\s*:|\[[^\]]{1,40}\])\s*", re.IGNORECASE)


def title(subject: str) -> str:
    """A thread's title: its subject without reply prefixes and list tags."""
    bare = clean(subject)
    while (found := _PREFIX.match(bare)) and found.end() < len(bare):
        bare = bare[found.end() :]
    return shorten(bare, _TITLE_LENGTH) or "(no subject)"


def file_name(name: str) -> str:
    """What an attachment is called."""
    return shorten(clean(name), _NAME_LENGTH) or "(no name)"


def author(name: str, email: str) -> str:
    """What an author is called; an address is not told whole."""
    return shorten(clean(name).replace("@", " at ") or clean(email).partition("@")[0] or "(unknown)", _NAME_LENGTH)


# --- the meeting -----------------------------------------------------------------------------------------------------


def next_meeting(community: Community, roster: Roster | None, now: datetime) -> Meeting | None:
    """The first meeting after `now` and what the reader's roster says to it; None where the community has none."""
    if community.meeting_weekday is None or community.meeting_time is None:
        return None
    start = schedule.next_at(community.meeting_weekday, community.meeting_time, community.zone, now)
    place = clean(community.meeting_place or "")
    if roster is None:
        return Meeting(start=start, place=place, duty="")
    shift, night = roster.at(start), schedule.slept_off(roster, start)
    of = shift or night
    if of is None:
        return Meeting(start=start, place=place, duty="off")
    duty: Duty = "sleep" if shift is None else "night" if schedule.is_night(of) else "shift"
    return Meeting(
        start=start,
        place=place,
        duty=duty,
        duty_start=of.start.astimezone(UTC),
        duty_end=of.end.astimezone(UTC),
    )


def meeting_subject(community: Community, start: datetime) -> str:
    """The subject of all answers to one meeting: in the community's zone, so that it is the same for everybody."""
    wall = start.astimezone(zone(community.zone))
    return f"{clean(community.title)} meeting, {wall:%a} {wall.day} {wall:%b %H:%M}"


def meeting_id(community: Community, start: datetime, domain: str) -> str:
    """The bare Message-ID that all answers to one meeting reply to, so that they make one thread."""
    wall = start.astimezone(zone(community.zone))
    return f"meeting.{community.name}.{wall:%Y%m%dT%H%M}@{domain}"
