"""What a reply to an item says was learned: that a practice was used, or that the question is answered; kept as a card.

What the words are is for mailer.item_words to say, and what is told of a card, for the digests.
"""

from datetime import datetime

from sqlalchemy import Connection

from tidings.archive import cards, read
from tidings.communities import directory
from tidings.communities.directory import Member
from tidings.digests.replies import Routed
from tidings.mailer.item_words import meaning, without_word


def note(connection: Connection, routed: Routed, author: Member, post_id: int, now: datetime) -> None:
    """Keep what a post says that answers an item; that a question is answered is for its opener to say."""
    kind = meaning(routed.text)
    if kind is None or routed.post_id is None or (kind == "answer" and not _opened(connection, routed, author)):
        return
    cards.add(
        connection,
        community_id=routed.community_id,
        kind=kind,
        post_id=post_id,
        about_id=routed.post_id,
        person_id=author.person_id,
        # Of an answer, the post that it is about says it all.
        text=without_word(routed.text) if kind == "used" else "",
        now=now,
    )


def _opened(connection: Connection, routed: Routed, author: Member) -> bool:
    """Whether a member, by any of their addresses, began the thread."""
    first = read.post(connection, routed.community_id, routed.references[0])
    opener = directory.member_by_address(connection, routed.community_id, first.author_email) if first else None
    return opener is not None and opener.membership_id == author.membership_id
