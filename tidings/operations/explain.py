"""Says what was decided about a message and why, from what is stored; for `tidings why`.

It decides nothing and changes nothing.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, select

from tidings.communities import directory
from tidings.database.tables import decision, edition, edition_section, item, node, outbox, post
from tidings.mailer import outbox as outbox_store
from tidings.mailer.spool import Spool


@dataclass(frozen=True, kw_only=True)
class Step:
    """One thing that happened to a message."""

    at: datetime | None
    what: str
    detail: str


def why(connection: Connection, spool: Spool, message_id: str, email: str | None = None) -> list[Step]:
    """All that is known of a message by its bare id; with `email`, also why that member got it or did not."""
    steps = [*_spooled(spool, message_id), *_decided(connection, message_id)]
    where = (post.c.message_id == message_id) | (post.c.sent_id == message_id)
    for row in connection.execute(select(post).where(where)).mappings():
        steps += _archived(connection, row["id"], row["community_id"])
        steps += _told(connection, row["id"], row["community_id"], row["number"], email)
    return steps


def _spooled(spool: Spool, message_id: str) -> Iterator[Step]:
    for entry in spool.listing():
        if entry.message_id == message_id:
            detail = entry.reason or (entry.traceback or "").strip().rpartition("\n")[2]
            yield Step(at=entry.received_at, what=entry.state, detail=f"{detail} (key {entry.key[:8]})")


def _decided(connection: Connection, message_id: str) -> Iterator[Step]:
    query = select(decision).where(decision.c.message_id == message_id).order_by(decision.c.id)
    for row in connection.execute(query).mappings():
        sender = row["mail_from"] or "the null return path"
        yield Step(at=row["received_at"], what="received", detail=f"from {sender} for {row['recipient']}")
        yield Step(at=row["decided_at"], what=row["verdict"], detail=row["reason"])


def _archived(connection: Connection, post_id: int, community_id: int) -> Iterator[Step]:
    row = connection.execute(select(post).where(post.c.id == post_id)).mappings().one()
    community = directory.community_by_id(connection, community_id)
    kept = "" if row["sent_id"] is None else f"; it came with the id {row['sent_id'] or '(none)'}"
    yield Step(
        at=row["received_at"],
        what="archived",
        detail=f"number {row['number']} of {community.name}, by {row['via']}{kept}",
    )
    placed = connection.execute(select(node).where(node.c.post_id == post_id)).mappings().one()
    parent = select(node.c.message_id).where(node.c.id == placed["parent_id"])
    above = connection.execute(parent).scalar()
    detail = f"a reply to {above} ({placed['why']})" if above else "it begins a thread"
    if placed["why"] == "ghost":
        detail = f"a reply to {above}, which was never seen"
    yield Step(at=None, what="placed", detail=detail)


def _told(connection: Connection, post_id: int, community_id: int, number: int, email: str | None) -> Iterator[Step]:
    copies = outbox_store.history(connection, post_id=post_id, email=email)
    for copy in copies:
        detail = f"to {copy.recipient}: {copy.state} after {copy.attempts} attempts; {copy.reply or 'not tried yet'}"
        yield Step(at=copy.changed_at, what="copy", detail=detail)
    if email is None:
        return
    member = directory.member_by_address(connection, community_id, email)
    if member is None:
        yield Step(at=None, what="member", detail=f"{email} is not a member")
        return
    if not copies:
        yield Step(at=None, what="member", detail=f"{email} gets this community as: {member.delivery}")
    yield from _digests(connection, member, post_id, number)


def _digests(connection: Connection, member: directory.Member, post_id: int, number: int) -> Iterator[Step]:
    told = (
        select(edition, edition_section.c.after)
        .join(edition_section, edition_section.c.edition_id == edition.c.id)
        .where(edition_section.c.membership_id == member.membership_id)
        .order_by(edition.c.id)
    )
    for row in connection.execute(told).mappings():
        query = (
            select(item.c.number)
            .join(edition_section, edition_section.c.id == item.c.section_id)
            .where(edition_section.c.edition_id == row["id"], item.c.post_id == post_id)
        )
        found = connection.execute(query).scalar()
        if found is not None:
            state = _delivered(connection, row["id"])
            yield Step(at=row["composed_at"], what="digest", detail=f"item {found} of “{row['subject']}”, {state}")
    if member.delivery in ("weekly", "daily") and number > member.cursor:
        yield Step(at=None, what="digest", detail="not told yet; the next one tells it")


def _delivered(connection: Connection, edition_id: int) -> str:
    query = select(outbox.c.id).where(outbox.c.edition_id == edition_id)
    if connection.execute(query).first() is None:
        return "not in the outbox"
    return ", ".join(step.state for step in outbox_store.history(connection, edition_id=edition_id))
