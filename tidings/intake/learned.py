"""What a reply to an item says was learned: that a practice was used, or that the question is answered.

It finds it out; who keeps it is passed in.
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection

from tidings.archive import read
from tidings.communities import directory
from tidings.communities.directory import Member
from tidings.digests.replies import Routed
from tidings.mailer.item_words import Meaning, meaning


@dataclass(frozen=True, kw_only=True)
class Learned:
    """That `person_id` says so in the post `post_id`, in answer to the post `about_id`; `text` are their words."""

    kind: Meaning
    community_id: int
    post_id: int
    about_id: int
    person_id: int
    text: str
    at: datetime


Learn = Callable[[Connection, Learned], None]
"""Keeps what was learned, in the transaction of the post."""


def nothing(_connection: Connection, _learned: Learned) -> None:
    """Keeps nothing: for a site without cards."""


def from_reply(connection: Connection, routed: Routed, author: Member, post_id: int, at: datetime) -> Learned | None:
    """What was learned from a post that answers an item; that a question is answered is for its opener to say."""
    kind = meaning(routed.text)
    if kind is None or routed.post_id is None or (kind == "answer" and not _opened(connection, routed, author)):
        return None
    return Learned(
        kind=kind,
        community_id=routed.community_id,
        post_id=post_id,
        about_id=routed.post_id,
        person_id=author.person_id,
        text=routed.text,
        at=at,
    )


def _opened(connection: Connection, routed: Routed, author: Member) -> bool:
    """Whether a member, by any of their addresses, began the thread."""
    first = read.post(connection, routed.community_id, routed.references[0])
    opener = directory.member_by_address(connection, routed.community_id, first.author_email) if first else None
    return opener is not None and opener.membership_id == author.membership_id
