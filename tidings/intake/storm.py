"""How hot the thread runs that a message answers: how many posts came to it within the last minutes.

It decides nothing and changes nothing; what an import brought does not count, for nobody was mailed of it.
"""

from collections.abc import Sequence
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, func, select

from tidings.database.tables import node, post

_ANSWERED = node.alias("answered")
# Nodes, since posts of this very transaction have no thread yet; the newest, since a thread may be years long.
_NEWEST = (
    select(node.c.post_id)
    .where(
        node.c.community_id == bindparam("community"),
        node.c.thread_id.in_(
            select(_ANSWERED.c.thread_id).where(
                _ANSWERED.c.community_id == bindparam("community"),
                _ANSWERED.c.message_id.in_(bindparam("answers", expanding=True)),
            )
        ),
        node.c.post_id.is_not(None),
    )
    .order_by(node.c.id.desc())
    .limit(bindparam("most"))
)
_COUNT = (
    select(func.count())
    .select_from(post)
    .where(post.c.id.in_(_NEWEST.scalar_subquery()), post.c.received_at > bindparam("since"), post.c.via != "import")
)


def rages(
    connection: Connection, community_id: int, answers: Sequence[str], *, most: int, within: timedelta, now: datetime
) -> bool:
    """Whether `most` posts came within that time to the thread of one of these ids, which a message answers."""
    if not answers:
        return False
    asked = {"community": community_id, "answers": list(answers), "most": most, "since": now - within}
    return connection.execute(_COUNT, asked).scalar_one() >= most
