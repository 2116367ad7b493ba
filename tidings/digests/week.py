"""A week of a community as anybody sees it, and who reads it: what select is given.

It reads no database (gather does). Authors are compared by keys, which are as communities.directory.email_key gives
them.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property

from tidings.digests.fragments import Attached, Opening, Outcome, Seen

Place = tuple["Thread", "Fresh"]
"""A new post and its thread."""


@dataclass(frozen=True, kw_only=True)
class Fresh:
    """A post as it is told: `text` is what its author wrote, `answers` the key of whose post it answers."""

    id: int
    number: int
    message_id: str
    author: str
    author_key: str
    answers: str = ""
    date: datetime
    text: str


@dataclass(frozen=True, kw_only=True)
class Question:
    """A first post that asks something, to which nobody else has written.

    `seen` is an older thread that resembles it, `experts` are those who answered in such threads.
    """

    thread_id: int
    title: str
    asked: Fresh
    new: bool  # nobody was told of it before
    seen: Seen | None = None
    experts: frozenset[str] = frozenset()


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a thread came to, as the post `said` has it; `author` is who is told of it, with `text`."""

    outcome: Outcome
    thread_id: int
    title: str
    said: Fresh
    author: str
    author_key: str
    text: str


@dataclass(frozen=True, kw_only=True)
class Thread:
    """A thread with what is new in it, as it was written; `authors` are the keys of all who ever wrote in it."""

    id: int
    title: str
    posts: int
    authors: frozenset[str]
    fresh: tuple[Fresh, ...]
    opening: Opening | None = None
    opening_key: str = ""
    attached: tuple[tuple[int, Attached], ...] = ()  # with the archive number of its post
    question: Question | None = None


@dataclass(frozen=True, kw_only=True)
class Week:
    """What is new in a community, as anybody sees it; `unanswered` has the oldest question first."""

    threads: tuple[Thread, ...] = ()
    unanswered: tuple[Question, ...] = ()
    settled: tuple[Result, ...] = ()

    @cached_property
    def answering(self) -> Mapping[str, Sequence[Place]]:
        """By author, the new posts that answer them."""
        found: dict[str, list[Place]] = {}
        for thread in self.threads:
            for post in thread.fresh:
                if post.answers:
                    found.setdefault(post.answers, []).append((thread, post))
        return found

    @cached_property
    def words(self) -> Mapping[str, Sequence[Place]]:
        """By word, in lower case, the new posts that have it."""
        found: dict[str, list[Place]] = {}
        for thread in self.threads:
            for post in thread.fresh:
                for word in set(post.text.casefold().split()):
                    found.setdefault(word.strip("\"'(),;:.!?<>[]"), []).append((thread, post))
        return found


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Whom it is for: their addresses as email_key gives them, their name, and the threads they said something of."""

    keys: frozenset[str]
    name: str = ""
    muted: frozenset[int] = frozenset()
    followed: frozenset[int] = frozenset()

    def wrote(self, post: Fresh) -> bool:
        """Whether the post is the reader's own."""
        return post.author_key in self.keys
