"""Reads for one reader what an edition may tell: the new posts by thread, with what select has to know of each.

It chooses nothing beyond select's own rules and writes nothing.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, bindparam
from sqlalchemy import select as query

from tidings.archive import read
from tidings.communities import rota
from tidings.communities.directory import Community, Member, email_key
from tidings.communities.rota import Roster
from tidings.database import tables
from tidings.digests import select

_CHUNK = 500  # threads of one statement

_POST = tables.post.c
_OF_THREADS = (
    query(_POST.id, _POST.thread_id, _POST.number, _POST.date, _POST.author_email, _POST.subject)
    .where(_POST.community_id == bindparam("community"), _POST.number <= bindparam("up_to"))
    .where(_POST.thread_id.in_(bindparam("threads", expanding=True)))
    .order_by(_POST.thread_id, _POST.date, _POST.number)
)


_CHOICE, _NODE = tables.thread_choice.c, tables.node.c
_CHOICES = (
    query(_NODE.thread_id, _CHOICE.choice)
    .join_from(tables.thread_choice, tables.membership, tables.membership.c.id == _CHOICE.membership_id)
    .join(
        tables.node,
        (_NODE.community_id == tables.membership.c.community_id) & (_NODE.message_id == _CHOICE.message_id),
    )
    .where(_CHOICE.membership_id == bindparam("membership"))
)


@dataclass(frozen=True, kw_only=True)
class Reader:
    """A member with what tells their own posts apart, and their roster."""

    member: Member
    addresses: frozenset[str]  # as email_key gives them
    roster: Roster | None
    muted: frozenset[int]  # thread ids
    followed: frozenset[int]


@dataclass(frozen=True, kw_only=True)
class _Before:
    """What is known of a thread beside its new posts."""

    title: str
    posts: int
    first: int  # post id
    authors: frozenset[str]


def reader(connection: Connection, member: Member) -> Reader:
    """The member as the reader of an edition."""
    mine = query(tables.address.c.email_key).where(tables.address.c.person_id == member.person_id)
    roster = rota.roster(connection, member.crew_id) if member.crew_id is not None else None
    wanted = connection.execute(_CHOICES, {"membership": member.membership_id}).all()
    return Reader(
        member=member,
        addresses=frozenset(connection.execute(mine).scalars()),
        roster=roster,
        muted=frozenset(thread for thread, choice in wanted if choice == "mute"),
        followed=frozenset(thread for thread, choice in wanted if choice == "follow"),
    )


def chosen(
    connection: Connection, community: Community, reader: Reader, after: int, up_to: int
) -> select.Chosen | None:
    """What the reader is told of the posts with archive numbers in (after, up_to]; None where none is to be told."""
    posts = read.told_between(connection, community.id, after, up_to)
    if not posts:
        return None
    told = [post for post in posts if post.thread_id not in reader.muted]
    if not told:
        return None
    ranked = select.rank(list(_threads(connection, community, reader, told, up_to)))
    shown = [_filled(connection, thread, reader) for thread in ranked[: select.CONVERSATIONS]]
    return select.choose([*shown, *ranked[select.CONVERSATIONS :]], muted=len(posts) - len(told))


def _threads(
    connection: Connection, community: Community, reader: Reader, posts: Sequence[read.Post], up_to: int
) -> Iterator[select.Thread]:
    by_thread: dict[int, list[select.Fresh]] = {}
    for post in posts:
        by_thread.setdefault(post.thread_id, []).append(_fresh(post, reader))
    before = _before(connection, community.id, list(by_thread), up_to)
    for thread_id, fresh in by_thread.items():
        known = before[thread_id]
        yield select.Thread(
            title=known.title,
            posts=known.posts,
            first=known.first,
            own=not known.authors.isdisjoint(reader.addresses),
            followed=thread_id in reader.followed,
            # As they were written: a reply may have come in before what it answers.
            fresh=tuple(sorted(fresh, key=lambda post: (post.date, post.id))),
        )


def _filled(connection: Connection, thread: select.Thread, reader: Reader) -> select.Thread:
    """The thread with what only a conversation shows: how it began, and its new attachments."""
    new = [post.id for post in thread.fresh]
    files = read.attachments(connection, new).values()
    return replace(
        thread,
        opening=None if thread.first in new else _opening(connection, thread.first, reader),
        attached=tuple(
            select.Attached(name=select.file_name(file.filename), size=file.size) for found in files for file in found
        ),
    )


def _opening(connection: Connection, post_id: int, reader: Reader) -> select.Opening | None:
    post = read.post_by_id(connection, post_id)
    if post is None:
        return None
    first = _fresh(post, reader)
    return select.Opening(author=select.who(first), date=first.date, sentence=select.opening_line(first.text))


def _before(connection: Connection, community_id: int, thread_ids: Sequence[int], up_to: int) -> dict[int, _Before]:
    rows: dict[int, list[tuple[int, str, str]]] = {}
    for start in range(0, len(thread_ids), _CHUNK):
        values = {"community": community_id, "up_to": up_to, "threads": thread_ids[start : start + _CHUNK]}
        for post_id, thread_id, _number, _date, author, subject in connection.execute(_OF_THREADS, values):
            rows.setdefault(thread_id, []).append((post_id, author, subject))
    return {
        thread_id: _Before(
            title=select.title(found[0][2]),
            posts=len(found),
            first=found[0][0],
            authors=frozenset(email_key(author) for _, author, _ in found),
        )
        for thread_id, found in rows.items()
    }


def _fresh(post: read.Post, reader: Reader) -> select.Fresh:
    return select.Fresh(
        id=post.id,
        number=post.number,
        message_id=post.message_id,
        author=select.author(post.author_name, post.author_email),
        own=email_key(post.author_email) in reader.addresses,
        date=post.date,
        text=_own_words(post),
    )


def _own_words(post: read.Post) -> str:
    return "\n\n".join(piece for kind, piece in read.pieces(post) if kind == "own")
