"""Reads a week of a community from the archive, once for all who are told the same; and who reads.

It chooses nothing (select) and writes nothing. A week holds for the moment at which it was read.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import TypeVar

from sqlalchemy import Connection, bindparam, exists
from sqlalchemy import select as query

from tidings.archive import cards, read
from tidings.communities.directory import Community, Member, email_key
from tidings.database import tables
from tidings.digests import names, telling
from tidings.digests.fragments import Attached, Opening
from tidings.digests.hints import Hints
from tidings.digests.meetings import topics
from tidings.digests.week import Fresh, Question, Reader, Result, Thread, Week, names_of

OPEN_AFTER = timedelta(hours=48)
"""How long a question waits for an answer before digests say that it still has none."""

OPEN_FOR = timedelta(days=28)
"""How old a question may be of which digests still say so."""

_Thing = TypeVar("_Thing", int, str)
_CHUNK = 500  # threads or posts of one statement
# They say nothing to a reader (RFC 3156, RFC 8551).
_SIGNATURES = ("application/pgp-signature", "application/pkcs7-signature", "application/x-pkcs7-signature")
_ASKED = 200  # first posts that are looked at for questions, the oldest first

_POST, _NODE = tables.post.c, tables.node.c
_OF_THREADS = (
    query(_POST.id, _POST.thread_id, _POST.author_email, _POST.subject)
    .where(_POST.community_id == bindparam("community"), _POST.number <= bindparam("up_to"))
    .where(_POST.thread_id.in_(bindparam("threads", expanding=True)))
    .order_by(_POST.thread_id, _POST.date, _POST.number)
)
_parent, _answered = tables.node.alias("parent"), tables.post.alias("answered")
_ANSWERS = (
    query(_NODE.post_id, _answered.c.author_email)
    .join_from(tables.node, _parent, _parent.c.id == _NODE.parent_id)
    .join(_answered, _answered.c.id == _parent.c.post_id)
    .where(_NODE.community_id == bindparam("community"))
    .where(_NODE.message_id.in_(bindparam("messages", expanding=True)))
)
_other = tables.post.alias("other")
_ALONE = (
    read.POSTS.where(_POST.community_id == bindparam("community"), _POST.number <= bindparam("up_to"))
    .where(_POST.via != "import", _POST.date > bindparam("oldest"), _POST.date <= bindparam("newest"))
    .where(
        ~exists().where(
            _other.c.community_id == _POST.community_id,
            _other.c.thread_id == _POST.thread_id,
            # Somebody else's, or the author's own that came before.
            (_other.c.author_email != _POST.author_email)
            | (_other.c.date < _POST.date)
            | ((_other.c.date == _POST.date) & (_other.c.id < _POST.id)),
        )
    )
    .order_by(_POST.date, _POST.id)
    .limit(_ASKED)
)
_CHOICE = tables.thread_choice.c
_CHOICES = (
    query(_CHOICE.membership_id, _NODE.thread_id, _CHOICE.choice)
    .join_from(tables.thread_choice, tables.membership, tables.membership.c.id == _CHOICE.membership_id)
    .join(
        tables.node,
        (_NODE.community_id == tables.membership.c.community_id) & (_NODE.message_id == _CHOICE.message_id),
    )
    .where(tables.membership.c.person_id.in_(bindparam("people", expanding=True)))
)
_KEYS = query(tables.address.c.person_id, tables.address.c.email_key).where(
    tables.address.c.person_id.in_(bindparam("people", expanding=True))
)

_OF_MEMBERS = (
    query(tables.person.c.name, tables.address.c.email_key)
    .join_from(tables.membership, tables.person, tables.person.c.id == tables.membership.c.person_id)
    .join(tables.address, tables.address.c.person_id == tables.person.c.id)
    .where(tables.membership.c.community_id == bindparam("community"), tables.membership.c.left_at.is_(None))
)


# --- who reads -------------------------------------------------------------------------------------------------------


class Readers:
    """Some people as the readers of their communities."""

    def __init__(self, connection: Connection, people: Sequence[int]) -> None:
        self._keys: dict[int, set[str]] = {}
        for person_id, key in connection.execute(_KEYS, {"people": people}):
            self._keys.setdefault(person_id, set()).add(key)
        self._readers: dict[int, Reader] = {}  # of those communities where they chose nothing
        self._wanted: dict[tuple[int, str], set[int]] = {}
        for membership_id, thread_id, choice in connection.execute(_CHOICES, {"people": people}):
            self._wanted.setdefault((membership_id, choice), set()).add(thread_id)

    def of(self, member: Member) -> Reader:
        """The reader of one community."""
        muted, followed = (self._wanted.get((member.membership_id, choice)) for choice in ("mute", "follow"))
        of = member.person_id
        if of not in self._readers:
            self._readers[of] = Reader(keys=frozenset(self._keys.get(of, ())), name=member.name)
        reader = self._readers[of]
        if not muted and not followed:
            return reader
        return replace(reader, muted=frozenset(muted or ()), followed=frozenset(followed or ()))


# --- a week ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Known:
    """What is known of a thread beside its new posts."""

    title: str
    posts: int
    first: int  # post id
    authors: frozenset[str]


def names_of_members(connection: Connection, community_id: int) -> frozenset[str]:
    """By which words the members of a community may be named."""
    rows = connection.execute(_OF_MEMBERS, {"community": community_id})
    return frozenset(word for name, key in rows for word in names_of((key,), name))


def week(
    connection: Connection,
    community: Community,
    after: int,
    up_to: int,
    now: datetime,
    names: frozenset[str] = frozenset(),
) -> Week:
    """The archive numbers in (after, up_to], and which questions are open at `now`; what was imported is never told.

    `names` are those of its readers that are looked for in what was written.
    """
    posts = read.told_between(connection, community.id, after, up_to)
    found = _threads(connection, community.id, posts, up_to)
    hint = Hints(connection, community)
    first = {post.id: post for post in posts}
    return Week(
        names=names,
        threads=tuple(
            replace(one, question=hint(one.question, first[one.question.asked.id])) if one.question else one
            for one in found
        ),
        unanswered=tuple(_unanswered(connection, community.id, after, up_to, now, hint)),
        settled=tuple(_settled(connection, community.id, posts, found)),
    )


def _threads(connection: Connection, community_id: int, posts: Sequence[read.Post], up_to: int) -> list[Thread]:
    answers = _answers(connection, community_id, posts)
    by_thread: dict[int, list[Fresh]] = {}
    for post in posts:
        by_thread.setdefault(post.thread_id, []).append(_fresh(post, answers.get(post.id, "")))
    known = _known(connection, community_id, list(by_thread), up_to)
    new = {post.id for post in posts}
    openings = _posts(connection, [one.first for one in known.values() if one.first not in new])
    files = _files(connection, posts)
    return [
        _thread(thread_id, fresh, known[thread_id], openings.get(known[thread_id].first), files)
        for thread_id, fresh in by_thread.items()
    ]


def _thread(
    thread_id: int,
    fresh: Iterable[Fresh],
    known: _Known,
    opening: read.Post | None,
    files: dict[int, list[Attached]],
) -> Thread:
    # As they were written: a reply may have come in before what it answers.
    told = tuple(sorted(fresh, key=lambda post: (post.date, post.id)))
    first = _fresh(opening) if opening else None
    return Thread(
        id=thread_id,
        title=known.title,
        posts=known.posts,
        authors=known.authors,
        fresh=told,
        opening=_opening(first) if first else None,
        opening_key=first.author_key if first else "",
        attached=tuple((post.number, file) for post in told for file in files.get(post.id, ())),
        question=_question(thread_id, known, told[0]) if first is None else None,
    )


def _opening(first: Fresh) -> Opening:
    return Opening(author=first.author, date=first.date, sentence=telling.opening_line(first.text))


def _question(thread_id: int, known: _Known, asked: Fresh) -> Question | None:
    """The question of a thread that began in this week, if it is one that nobody else has written to."""
    if known.first != asked.id or known.authors != {asked.author_key} or not telling.is_question(asked.text):
        return None
    return Question(thread_id=thread_id, title=known.title, asked=asked, new=True)


def _answers(connection: Connection, community_id: int, posts: Sequence[read.Post]) -> dict[int, str]:
    """By post, the key of the author whom it answers."""
    found: dict[int, str] = {}
    for some in _chunks([post.message_id for post in posts]):
        rows = connection.execute(_ANSWERS, {"community": community_id, "messages": some})
        found.update((post_id, email_key(author)) for post_id, author in rows if post_id is not None)
    return found


def _known(connection: Connection, community_id: int, thread_ids: Sequence[int], up_to: int) -> dict[int, _Known]:
    rows: dict[int, list[tuple[int, str, str]]] = {}
    for some in _chunks(thread_ids):
        values = {"community": community_id, "up_to": up_to, "threads": some}
        for post_id, thread_id, author, subject in connection.execute(_OF_THREADS, values):
            rows.setdefault(thread_id, []).append((post_id, author, subject))
    return {
        thread_id: _Known(
            title=names.title(found[0][2]),
            posts=len(found),
            first=found[0][0],
            authors=frozenset(email_key(author) for _, author, _ in found),
        )
        for thread_id, found in rows.items()
    }


def _posts(connection: Connection, post_ids: Sequence[int]) -> dict[int, read.Post]:
    return {
        post.id: post
        for some in _chunks(post_ids)
        for post in map(read.as_post, connection.execute(read.POSTS.where(_POST.id.in_(some))))
    }


def _files(connection: Connection, posts: Sequence[read.Post]) -> dict[int, list[Attached]]:
    wanted = [post.id for post in posts if post.attachments]
    return {
        post_id: [
            Attached(name=names.file_name(file.filename), size=file.size)
            for file in files
            if file.content_type not in _SIGNATURES
        ]
        for some in _chunks(wanted)
        for post_id, files in read.attachments(connection, some).items()
    }


def _chunks(things: Sequence[_Thing]) -> Iterator[Sequence[_Thing]]:
    return (things[start : start + _CHUNK] for start in range(0, len(things), _CHUNK))


# --- open and settled ------------------------------------------------------------------------------------------------


def _unanswered(
    connection: Connection, community_id: int, after: int, up_to: int, now: datetime, hint: Hints
) -> Iterator[Question]:
    for post in open_questions(connection, community_id, up_to, now):
        title = names.title(post.subject)
        question = Question(thread_id=post.thread_id, title=title, asked=_fresh(post), new=post.number > after)
        yield hint(question, post)


def open_questions(connection: Connection, community_id: int, up_to: int, now: datetime) -> Iterator[read.Post]:
    """The posts of a community up to an archive number that ask something, and that nobody else wrote to, by age.

    Who sent one again has not asked twice: the first of them stands for all.
    """
    window = {"oldest": now - OPEN_FOR, "newest": now - OPEN_AFTER}
    rows = connection.execute(_ALONE, {"community": community_id, "up_to": up_to, **window})
    alone = [read.as_post(row) for row in rows]
    done = cards.answered(connection, [post.thread_id for post in alone])
    seen: set[tuple[str, str]] = set()
    for post in alone:
        of = email_key(post.author_email), names.title(post.subject).casefold()
        if post.thread_id not in done and of not in seen and telling.is_question(read.own_text(post)):
            seen.add(of)
            yield post


def _settled(
    connection: Connection, community_id: int, posts: Sequence[read.Post], threads: Iterable[Thread]
) -> Iterator[Result]:
    if not posts:
        return
    said = {fresh.id: (thread, fresh) for thread in threads for fresh in thread.fresh}
    told = cards.said_between(connection, community_id, posts[0].number - 1, posts[-1].number)
    about = _posts(connection, [card.about_id for card in told if card.about_id is not None])
    titles = topics.titles(connection, [card.topic_id for card in told if card.topic_id is not None])
    owners = _owners(connection, [card.owner_id for card in told if card.owner_id is not None])
    for card in told:
        if card.kind != "note" and card.post_id in said:
            thread, fresh = said[card.post_id]
            # Of an answer that a meeting found, the post that it is about is the question.
            is_answer = card.kind == "answer" and card.meeting_id is None and card.about_id in about
            of = _fresh(about[card.about_id or 0]) if is_answer else fresh
            owner, keys = owners.get(card.owner_id or 0, ("", frozenset()))
            yield Result(
                card_id=card.id,
                outcome=card.kind,
                thread_id=thread.id,
                title=titles.get(card.topic_id or 0, thread.title),
                said=fresh,
                author=of.author,
                author_key=of.author_key,
                text=card.text or of.text,
                owner=owner,
                owner_keys=keys,
                due=card.due_on,
            )


def _owners(connection: Connection, person_ids: Sequence[int]) -> dict[int, tuple[str, frozenset[str]]]:
    """By person, what they are called and the keys of their addresses."""
    person, address = tables.person.c, tables.address.c
    rows = query(person.id, person.name, address.email_key).join(tables.address, address.person_id == person.id)
    found: dict[int, tuple[str, frozenset[str]]] = {}
    for person_id, name, key in connection.execute(rows.where(person.id.in_(person_ids))):
        _, keys = found.get(person_id, ("", frozenset()))
        found[person_id] = names.author(name, key), keys | {key}
    return found


def _fresh(post: read.Post, answers: str = "") -> Fresh:
    return Fresh(
        id=post.id,
        number=post.number,
        message_id=post.message_id,
        author=names.author(post.author_name, post.author_email),
        author_key=email_key(post.author_email),
        answers=answers,
        date=post.date,
        text=read.own_text(post),
    )
