"""What quiet hours held of one community, as one section that tells every word of it.

It cuts no post: what would make the mail too long goes out as copies, and so does a post that is alone. What its
readers chose to hear is settled when copies are queued (mailer.outbox).
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection, bindparam

from tidings.archive import read
from tidings.archive.read import Post
from tidings.communities import directory, joining
from tidings.communities.directory import Member, email_key
from tidings.communities.rosters import Rosters
from tidings.database import tables
from tidings.digests import names, rhythms, schedule
from tidings.digests.drafts import News, Part, heading_of
from tidings.digests.fragments import YOU, Attached, Conversation, Timing, Told
from tidings.digests.stored import Entry
from tidings.mailer import held
from tidings.settings import SiteSettings

LENGTH = 15_000
"""Bytes of the posts of a bundle, in UTF-8: encoded they are at most three times as many, so that none is clipped."""

THREADS = 20

_TIMING = {
    "off": Timing(comes="between shifts"),
    "asleep": Timing(comes="awake"),
}

_BY_ID = read.POSTS.where(tables.post.c.id.in_(bindparam("ids", expanding=True))).order_by(tables.post.c.number)


def bundle(connection: Connection, member: Member, now: datetime, site: SiteSettings) -> Part | None:
    """What is held for a member, told together, but for what has to go out as copies; None where that is all of it."""
    rows = connection.execute(_BY_ID, {"ids": held.posts(connection, member.membership_id)})
    together = _fitting([read.as_post(row) for row in rows]) if _may_have(member, now) else []
    if len(together) > 1:
        held.told_together(connection, member.membership_id, [post.id for post in together], now)
    held.let_go(connection, [member.membership_id], now)
    return _part(connection, member, together, site) if len(together) > 1 else None


def _may_have(member: Member, now: datetime) -> bool:
    """Whether mail goes to the member at all; else the copies are let go, and dropped with the reason."""
    return member.delivery != "none" and not member.is_paused(now) and member.stopped_at is None


def _fitting(posts: Iterable[Post]) -> list[Post]:
    """Those that one mail has room for, in their order."""
    fits: list[Post] = []
    threads: set[int] = set()
    room = LENGTH
    for post in posts:
        length = len(_own_words(post).encode())
        if length <= room and len(threads | {post.thread_id}) <= THREADS:
            room -= length
            threads.add(post.thread_id)
            fits.append(post)
    return fits


def _part(connection: Connection, member: Member, posts: Sequence[Post], site: SiteSettings) -> Part:
    community = directory.community_by_id(connection, member.community_id)
    roster = Rosters(connection).of(member.person_id, member.crew_id)
    return Part(
        member=member,
        community=community,
        zone=schedule.zone_of(member, roster, site.zone),
        news=News(
            heading=replace(heading_of(community, member, roster, rhythms.HELD), timing=_TIMING.get(member.quiet, "")),
            entries=tuple(_entries(connection, member, posts)),
            whole=True,
        ),
    )


def _entries(connection: Connection, member: Member, posts: Sequence[Post]) -> Iterator[Entry]:
    """One entry for each thread; a reply to it answers the last post."""
    mine = frozenset(map(email_key, joining.addresses(connection, member.person_id)))
    files = read.attachments(connection, [post.id for post in posts])
    by_thread: dict[int, list[Post]] = {}
    for post in posts:
        by_thread.setdefault(post.thread_id, []).append(post)
    for found in by_thread.values():
        told = tuple(Told(author=_author(post, mine), date=post.date, text=_own_words(post)) for post in found)
        attached = [file for post in found for file in files.get(post.id, ())]
        title, last = names.title(found[0].subject), found[-1]
        conversation = Conversation(
            title=title,
            posts=len(found),
            authors=tuple(dict.fromkeys(one.author for one in told)),
            numbers=tuple(post.number for post in found),
            link=last.message_id,
            opening=None,
            told=told,
            lines=(),
            more=0,
            attached=tuple(Attached(name=names.file_name(one.filename), size=one.size) for one in attached),
        )
        yield Entry(
            number=0,
            block="conversation",
            fragment=conversation,
            subject=f"Re: {title}",
            answers=last.message_id,
            post_id=last.id,
        )


def _author(post: Post, mine: frozenset[str]) -> str:
    is_own = email_key(post.author_email) in mine
    return YOU if is_own else names.author(post.author_name, post.author_email)


def _own_words(post: Post) -> str:
    """What the author wrote, paragraphs kept; all of a post in which nothing is theirs, such as a mail passed on."""
    own = "\n\n".join(piece.strip() for kind, piece in read.pieces(post) if kind == "own" and piece.strip())
    return own or post.text.strip() or "(no words)"
