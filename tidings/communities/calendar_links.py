"""Links to the calendar of a membership, good until they are revoked; the only writer of the table `feed_token`.

A calendar program reads such a link for years and signs in nowhere, so the token in it is kept hashed only. What stands
in the calendar is for digests to say.
"""

from datetime import datetime

from sqlalchemy import Connection, delete, insert, select

from tidings.database import tables
from tidings.tokens import hashed, random_token

_feed = tables.feed_token.c


def new_link(connection: Connection, membership_id: int, now: datetime) -> str:
    """The token of a new link of a member; those that there were are good no more."""
    revoke(connection, membership_id)
    token = random_token()
    values = {"token_hash": hashed(token), "membership_id": membership_id, "created_at": now}
    connection.execute(insert(tables.feed_token).values(values))
    return token


def membership_of(connection: Connection, token: str) -> int | None:
    """The membership whose link this is; None where it was revoked or is none of ours."""
    if not token.isascii():
        return None
    return connection.execute(select(_feed.membership_id).where(_feed.token_hash == hashed(token))).scalar()


def made_at(connection: Connection, membership_id: int) -> datetime | None:
    """When the link of a member was made that is good now; None where there is none."""
    query = select(_feed.created_at).where(_feed.membership_id == membership_id)
    return connection.execute(query.order_by(_feed.created_at.desc()).limit(1)).scalar()


def revoke(connection: Connection, membership_id: int) -> bool:
    """Let the link of a member be good no more; False where there was none."""
    return bool(connection.execute(delete(tables.feed_token).where(_feed.membership_id == membership_id)).rowcount)
