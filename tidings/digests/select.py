"""What of a week an edition tells one reader: what concerns them, what was settled, what is open, which threads; pure.

It finds no words (telling does) and formats nothing (render does). A post stands in one block.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from tidings.digests.fragments import Concern
from tidings.digests.history import Window
from tidings.digests.week import Fresh, Place, Question, Reader, Result, Thread, Week

FOR_YOU = 5
SETTLED = 5
UNANSWERED = 3
CONVERSATIONS = 7
TITLES = 10
RETURN_CONVERSATIONS = 5
RETURN_TITLES = 8
"""Of the edition of who was away for a week or more: what they missed is told, but not at length."""


@dataclass(frozen=True, kw_only=True)
class Concerning:
    """A post that concerns the reader, and why."""

    concern: Concern
    thread: Thread
    post: Fresh


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """What is told of a week, block by block; of what is left over, threads and posts are counted."""

    for_you: tuple[Concerning, ...]
    settled: tuple[Result, ...]
    unanswered: tuple[Question, ...]
    conversations: tuple[tuple[Thread, str], ...]  # with its week, where the reader was away
    titles: tuple[Thread, ...]
    more_threads: int
    more_posts: int
    muted_posts: int
    more_numbers: tuple[int, ...] = ()

    @property
    def new(self) -> bool:
        """Whether any post is told or titled that nobody told the reader of before."""
        asked = any(question.new for question in self.unanswered)
        return bool(asked or self.for_you or self.settled or self.conversations or self.titles)


def choose(week: Week, reader: Reader, windows: Sequence[Window] = ()) -> Chosen:
    """What the reader is told of a week; `windows` are the weeks, the newest first, of one who was away."""
    threads = [thread for thread in week.threads if thread.id not in reader.muted]
    for_you = concerning(week, reader)[:FOR_YOU]
    told = {one.post.number for one in for_you}
    settled = [one for one in week.settled if one.said.number not in told and one.thread_id not in reader.muted]
    settled = settled[:SETTLED]
    told |= {one.said.number for one in settled}
    unanswered = [one for one in week.unanswered if one.asked.number not in told and _open_to(reader, one)]
    unanswered = unanswered[:UNANSWERED]
    told |= {one.asked.number for one in unanswered}
    ranked = rank([rest for thread in threads if (rest := _without(thread, told))], reader)
    many = RETURN_CONVERSATIONS if windows else CONVERSATIONS
    end = many + (RETURN_TITLES if windows else TITLES)
    counted = ranked[end:]
    return Chosen(
        for_you=tuple(for_you),
        settled=tuple(settled),
        unanswered=tuple(unanswered),
        conversations=tuple(_by_week(ranked[:many], windows)),
        titles=tuple(ranked[many:end]),
        more_threads=len(counted),
        more_posts=sum(len(thread.fresh) for thread in counted),
        more_numbers=tuple(post.number for thread in counted for post in thread.fresh),
        muted_posts=sum(len(thread.fresh) for thread in week.threads if thread.id in reader.muted),
    )


def _by_week(threads: Sequence[Thread], windows: Sequence[Window]) -> list[tuple[Thread, str]]:
    """The threads with the week of their newest post, the newest week first."""
    if not windows:
        return [(thread, "") for thread in threads]
    placed = [
        (place, thread, window.label)
        for thread in threads
        for place, window in enumerate(windows)
        if window.after < max(post.number for post in thread.fresh) <= window.up_to
    ]
    return [(thread, label) for _, thread, label in sorted(placed, key=lambda one: one[0])]


def concerned(week: Week, reader: Reader) -> list[Question]:
    """What is told where nothing is new: the open questions that the reader follows or may know the answer to."""
    theirs = (one for one in week.unanswered if one.thread_id in reader.followed or reader.keys & one.experts)
    return [one for one in theirs if _open_to(reader, one)][:UNANSWERED]


def _open_to(reader: Reader, question: Question) -> bool:
    return question.thread_id not in reader.muted and not reader.wrote(question.asked)


def _without(thread: Thread, told: set[int]) -> Thread | None:
    """The thread without the posts that another block tells; None where none is left."""
    if told.isdisjoint(post.number for post in thread.fresh):
        return thread
    left = tuple(post for post in thread.fresh if post.number not in told)
    files = tuple(file for file in thread.attached if file[0] not in told)
    return replace(thread, fresh=left, attached=files, question=None) if left else None


# --- what concerns the reader ----------------------------------------------------------------------------------------


def concerning(week: Week, reader: Reader) -> list[Concerning]:
    """The posts of others that answer the reader, that name them, and that ask in their field, in this order."""
    found: dict[int, Concerning] = {}
    settled = {one.said.number for one in week.settled}  # minutes name many; what they came to is told by itself
    by_concern: tuple[tuple[Concern, Iterator[Place]], ...] = (
        ("reply", _answering(week, reader)),
        ("mention", (place for place in _naming(week, reader) if place[1].number not in settled)),
        ("field", _asking(week, reader)),
    )
    for concern, places in by_concern:
        for thread, post in sorted(places, key=lambda place: place[1].number):
            if post.number not in found and not reader.wrote(post) and thread.id not in reader.muted:
                found[post.number] = Concerning(concern=concern, thread=thread, post=post)
    return list(found.values())


def _answering(week: Week, reader: Reader) -> Iterator[Place]:
    for key in reader.keys:
        yield from week.answering.get(key, ())


def _naming(week: Week, reader: Reader) -> Iterator[Place]:
    """Posts with the reader's whole name, or with `@` before their given name or the local part of their address."""
    names = reader.name.casefold().split()
    last = set(names[1:][-1:])  # a given name alone may be anybody's
    for word in reader.called - last:
        yield from week.naming.get(word, ())
    for word in last:
        for thread, post in week.naming.get(word, ()):
            if " ".join(names) in " ".join(post.text.casefold().split()):
                yield thread, post


def _asking(week: Week, reader: Reader) -> Iterator[Place]:
    for thread in week.threads:
        if thread.question and not reader.keys.isdisjoint(thread.question.experts):
            yield thread, thread.question.asked


# --- threads ---------------------------------------------------------------------------------------------------------


def rank(threads: Sequence[Thread], reader: Reader) -> list[Thread]:
    """The threads as they are told: followed ones, the reader's own, those in which many wrote, then the newest.

    Where all that is new is the reader's own words, a thread comes last.
    """

    def weight(thread: Thread) -> tuple[bool, bool, bool, int, int]:
        others = {post.author_key for post in thread.fresh} - reader.keys
        own = not thread.authors.isdisjoint(reader.keys)
        return bool(others), thread.id in reader.followed, own, len(others), thread.fresh[-1].number

    return sorted(threads, key=weight, reverse=True)
