"""A week of a community as anybody sees it, and who reads it: what select is given.

It reads no database (gather does). Authors are compared by keys, which are as communities.directory.email_key gives
them.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
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
    """What a thread came to, as the post `said` has it; `author` is who is told of it, with `text`.

    An action has who owns it, with the keys of their addresses, and the day on which it is due.
    """

    card_id: int
    outcome: Outcome
    thread_id: int
    title: str
    said: Fresh
    author: str
    author_key: str
    text: str
    owner: str = ""
    owner_keys: frozenset[str] = frozenset()
    due: date | None = None


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
    """What is new in a community, as anybody sees it; `unanswered` has the oldest question first.

    `names` are the words by which its readers may be called: no other is looked for in what was written.
    """

    names: frozenset[str] = frozenset()
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
    def naming(self) -> Mapping[str, Sequence[Place]]:
        """By name, in lower case, the new posts that have it as a word."""
        found: dict[str, list[Place]] = {}
        for thread in self.threads:
            for post in thread.fresh:
                words = {word.strip("\"'(),;:.!?<>[]") for word in set(post.text.casefold().split())}
                for word in words & self.names:
                    found.setdefault(word, []).append((thread, post))
        return found

    @cached_property
    def _people(self) -> frozenset[str]:
        """The keys of all whose week is another than everybody's: who wrote what is told, was answered, or may know."""
        found = set(self.answering)
        for thread in self.threads:
            found |= {*thread.authors, thread.opening_key, *(post.author_key for post in thread.fresh)}
            found |= thread.question.experts if thread.question else set()
        for question in self.unanswered:
            found |= {question.asked.author_key, *question.experts}
        for result in self.settled:
            found |= {result.author_key, result.said.author_key, *result.owner_keys}
        return frozenset(found)

    @cached_property
    def _thread_ids(self) -> frozenset[int]:
        found = {thread.id for thread in self.threads} | {question.thread_id for question in self.unanswered}
        return frozenset(found | {result.thread_id for result in self.settled})

    def is_strange_to(self, reader: "Reader") -> bool:
        """Whether the reader has no part in it, so that they are told what every stranger to it is told.

        They wrote nothing in it, nobody turned to them or named them, and they follow and mute none of its threads.
        """
        return (
            self._people.isdisjoint(reader.keys)
            and self._thread_ids.isdisjoint(reader.muted)
            and self._thread_ids.isdisjoint(reader.followed)
            and self.naming.keys().isdisjoint(reader.called)
        )


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

    @cached_property
    def called(self) -> frozenset[str]:
        """The words by which a post may name the reader (`names_of`)."""
        return frozenset(names_of(self.keys, self.name))


def names_of(keys: Collection[str], name: str) -> set[str]:
    """The words by which a post may name a person: their addresses, `@` and a handle, their last name.

    The last name names them only as the end of their whole name.
    """
    names = name.casefold().split()
    handles = {f"@{key.partition('@')[0]}" for key in keys} | {f"@{name}" for name in names[:1]}
    return {*handles, *keys, *names[1:][-1:]}


STRANGER = Reader(keys=frozenset())
"""Who has no part in any week."""
