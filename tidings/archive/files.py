"""The same file in several posts: which others of a community have an attachment of the same content.

It reads hashes, not bytes, and does not ask whether the reader may see what it gives.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, select

from tidings.archive import read
from tidings.database.tables import attachment, post

_LOOKED_AT = 200  # posts of all communities with a file, the oldest first
OTHERS_MOST = 3  # other posts with a file that are named
_FILES_MOST = 50  # hashes that are looked for, each by itself: in the index a few steps


@dataclass(frozen=True, kw_only=True)
class Holder:
    """A post that has the file."""

    post_id: int
    message_id: str
    author_name: str
    date: datetime


@dataclass(frozen=True, kw_only=True)
class Described(read.Attachment):
    """An attachment, and the ids of the first other posts that have the same file."""

    also_in: tuple[str, ...]


# The first in the index, so that the limit ends it: a picture below somebody's name is in every post of theirs.
_FIRST = (
    select(attachment.c.post_id)
    .where(attachment.c.hash == bindparam("hash"))
    .distinct()
    .order_by(attachment.c.post_id)
    .limit(_LOOKED_AT)
    .subquery()
)
_HOLDERS = (
    select(post.c.id, post.c.message_id, post.c.author_name, post.c.date)
    .join(_FIRST, _FIRST.c.post_id == post.c.id)
    .where(post.c.community_id == bindparam("community"))
    .order_by(post.c.id)
    .limit(bindparam("many"))
)


def holders(connection: Connection, community_id: int, listed: Iterable[read.Attachment]) -> dict[bytes, list[Holder]]:
    """The first posts of the community with each file, by its hash and in their order: one more than are named.

    The first 50 files are looked for, among the 200 oldest posts of all communities that have one.
    """
    found = {}
    hashes = dict.fromkeys(one.sha256 for one in listed if one.sha256)
    for one in list(hashes)[:_FILES_MOST]:
        rows = connection.execute(_HOLDERS, {"hash": one, "community": community_id, "many": OTHERS_MOST + 1})
        found[one] = [
            Holder(post_id=post_id, message_id=bare, author_name=name, date=date) for post_id, bare, name, date in rows
        ]
    return found


def others(post_id: int, file: read.Attachment, found: Mapping[bytes, list[Holder]]) -> list[Holder]:
    """The first posts besides this one that have the same file, as `holders` found them."""
    return [one for one in found.get(file.sha256 or b"", []) if one.post_id != post_id][:OTHERS_MOST]


def described(connection: Connection, shown: read.Post) -> list[Described]:
    """The attachments of a post, each with where else it is."""
    listed = read.attachments(connection, [shown.id]).get(shown.id, [])
    found = holders(connection, shown.community_id, listed)
    return [
        Described(**vars(file), also_in=tuple(one.message_id for one in others(shown.id, file, found)))
        for file in listed
    ]
