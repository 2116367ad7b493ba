"""The posts that stand in a digest itself, where its reader chose such a format, and no more than a mail can bear.

A reader who left a community since has none of its posts. Which numbers a digest tells of is frozen in it; this reads
posts only, and writes nothing.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from sqlalchemy import Connection, bindparam
from sqlalchemy import select as query

from tidings.archive import read
from tidings.communities import directory
from tidings.communities.directory import Community
from tidings.database import tables
from tidings.digests.lint import POSTS
from tidings.mailer import enclosed
from tidings.mailer.addresses import Addresses, post_page
from tidings.settings import SiteSettings

SIZE = 5_000_000
"""Bytes of the posts of one digest, as they are encoded."""

FORMATS = ("mime", "plain")
"""In which posts are enclosed."""

_AT_ONCE = 500  # numbers of one statement
_BASE64 = 78 / 57  # bytes that one byte of text is at most, encoded
_POST = tables.post.c
_SIZES = (
    query(_POST.number, _POST.id, tables.blob.c.size)
    .join(tables.blob, tables.blob.c.hash == _POST.blob_hash)
    .where(_POST.community_id == bindparam("community"), _POST.number.in_(bindparam("numbers", expanding=True)))
)


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The archive numbers of which a section tells, titles or counts the posts."""

    membership_id: int
    numbers: Sequence[int]


@dataclass(frozen=True, kw_only=True)
class Enclosures:
    """The posts as they are to be enclosed, and of each membership how many there was no room for."""

    posts: tuple[bytes, ...] = ()
    left_out: Mapping[int, int] = field(default_factory=dict)


NOTHING_ENCLOSED = Enclosures()


class _Mail:
    """What is in a mail already, and how much room is left."""

    def __init__(self, kind: str) -> None:
        self.posts: list[bytes] = []
        self._kind = kind
        self._room = SIZE

    def may_hold(self, size: int) -> bool:
        """Whether a post of so many bytes is worth to be read."""
        return len(self.posts) < POSTS and (self._kind == "plain" or size <= self._room)

    def take(self, post: enclosed.Post) -> bool:
        """Whether the post is in the mail now."""
        try:
            made = enclosed.whole(post) if self._kind == "mime" else enclosed.in_words(post).encode()
        except ValueError:  # no header block can be made of it
            return False
        cost = len(made) if self._kind == "mime" else round(len(made) * _BASE64)
        if cost > self._room:
            return False
        self._room -= cost
        self.posts.append(made)
        return True


def enclose(connection: Connection, sections: Sequence[Wanted], kind: str, site: SiteSettings) -> Enclosures:
    """The posts of these sections, each section's by number, in a format of FORMATS."""
    mail = _Mail(kind)
    left_out: dict[int, int] = {}
    for section in sections:
        member = directory.member(connection, section.membership_id)
        if member is None:
            continue
        community = directory.community_by_id(connection, member.community_id)
        missing = [
            post_id
            for post_id, size in _listed(connection, community.id, section.numbers)
            if not mail.may_hold(size) or not mail.take(_post(connection, community, post_id, site))
        ]
        if missing:
            left_out[section.membership_id] = len(missing)
    return Enclosures(posts=tuple(mail.posts), left_out=left_out)


def _listed(connection: Connection, community_id: int, numbers: Sequence[int]) -> list[tuple[int, int]]:
    """The id and the size of each post, by number; those that are gone are not among them."""
    ordered = sorted(set(numbers))
    rows: list[tuple[int, int, int]] = []
    for start in range(0, len(ordered), _AT_ONCE):
        some = {"community": community_id, "numbers": ordered[start : start + _AT_ONCE]}
        rows += [(number, post_id, size) for number, post_id, size in connection.execute(_SIZES, some)]
    return [(post_id, size) for _, post_id, size in sorted(rows)]


def _post(connection: Connection, community: Community, post_id: int, site: SiteSettings) -> enclosed.Post:
    post = read.post_by_id(connection, post_id)
    assert post is not None
    address = Addresses(site).of(community)
    return enclosed.Post(
        raw=read.raw(connection, post_id),
        message_id=post.message_id,
        words=read.own_text(post).strip() or post.text,
        page=post_page(site.base_url, community.name, post.message_id),
        reply_to=address.post if community.replies == "list" else "",
        domains=frozenset({address.domain, site.domain}),
    )
