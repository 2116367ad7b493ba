"""Copies that quiet hours hold: counted, let go, or told together in one mail; it changes no other deliveries.

They are queued as `held` (outbox); when a member's quiet hours are over is for digests.quiet to say.
"""

from collections.abc import Collection
from datetime import datetime

from sqlalchemy import Connection, bindparam, func, literal_column, select, update

from tidings.database.tables import Moment, delivery, outbox

TOLD_TOGETHER = "it was told in one mail with what else quiet hours held"

# A literal, not a bound value: only so do both engines see that the partial index of held deliveries serves.
_HELD = delivery.c.state == literal_column("'held'")
_NOW = bindparam("now", type_=Moment)
_OF = delivery.c.membership_id.in_(bindparam("memberships", expanding=True))
_COUNTS = select(delivery.c.membership_id, func.count()).where(_HELD, _OF).group_by(delivery.c.membership_id)
_LET_GO = update(delivery).where(_HELD, _OF).values(state="queued", due_at=_NOW, changed_at=_NOW)
_POSTS = (
    select(outbox.c.post_id)
    .join(delivery, delivery.c.outbox_id == outbox.c.id)
    .where(_HELD, delivery.c.membership_id == bindparam("membership"))
    .order_by(outbox.c.id)
)
_TOGETHER = (
    update(delivery)
    .where(
        _HELD,
        delivery.c.membership_id == bindparam("membership"),
        delivery.c.outbox_id.in_(select(outbox.c.id).where(outbox.c.post_id.in_(bindparam("posts", expanding=True)))),
    )
    .values(state="bundled", reply=TOLD_TOGETHER, changed_at=_NOW)
)


def counts(connection: Connection, membership_ids: Collection[int]) -> dict[int, int]:
    """How many copies are held for each of these memberships; who has none is not in it."""
    counted: dict[int, int] = dict(connection.execute(_COUNTS, {"memberships": list(membership_ids)}).all())
    return counted


def let_go(connection: Connection, membership_ids: Collection[int], now: datetime) -> None:
    """Send what is held for these memberships, each post in a mail of its own."""
    connection.execute(_LET_GO, {"memberships": list(membership_ids), "now": now})


def posts(connection: Connection, membership_id: int) -> list[int]:
    """The ids of the posts that are held for a membership, oldest first."""
    return list(connection.execute(_POSTS, {"membership": membership_id}).scalars())


def told_together(connection: Connection, membership_id: int, post_ids: Collection[int], now: datetime) -> None:
    """Note that these posts are told in one mail, so that no copy of them goes out."""
    connection.execute(_TOGETHER, {"membership": membership_id, "posts": list(post_ids), "now": now})
