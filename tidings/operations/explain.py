"""Says what was decided about a message and why, from what is stored; for `tidings why`.

It decides nothing and changes nothing.
"""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import Connection, RowMapping, func, select

from tidings.communities import directory, joining
from tidings.database.tables import decision, edition, edition_section, fragment, item, node, outbox, period, post
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
    for row in connection.execute(select(post).where(where).order_by(post.c.id)).mappings():
        steps += _archived(connection, row)
        steps += _told(connection, row, email)
    return steps


def _spooled(spool: Spool, message_id: str) -> Iterator[Step]:
    for entry in spool.listing():
        if entry.message_id == message_id:
            detail = entry.reason or (entry.traceback or "").strip().rpartition("\n")[2]
            yield Step(at=entry.received_at, what=entry.state, detail=f"{detail} (key {entry.key[:8]})")


def _decided(connection: Connection, message_id: str) -> Iterator[Step]:
    kept_as_ours = select(post.c.id).where(post.c.sent_id == message_id)
    about = (decision.c.message_id == message_id) | decision.c.post_id.in_(kept_as_ours)
    for row in connection.execute(select(decision).where(about).order_by(decision.c.id)).mappings():
        sender = row["mail_from"] or "the null return path"
        yield Step(at=row["received_at"], what="received", detail=f"from {sender} for {row['recipient']}")
        yield Step(at=row["decided_at"], what=row["verdict"], detail=row["reason"])


def _archived(connection: Connection, row: RowMapping) -> Iterator[Step]:
    community = directory.community_by_id(connection, row["community_id"])
    kept = "" if row["sent_id"] is None else f"; it came with the id {row['sent_id'] or '(none)'}"
    yield Step(
        at=row["received_at"],
        what="archived",
        detail=f"number {row['number']} of {community.name}, by {row['via']}{kept}",
    )
    placed = connection.execute(select(node).where(node.c.post_id == row["id"])).mappings().first()
    if placed is None:
        yield Step(at=None, what="placed", detail="it stands in no thread; `tidings rebuild threads` mends that")
        return
    parent = select(node.c.message_id).where(node.c.id == placed["parent_id"])
    above = connection.execute(parent).scalar()
    begins = "it begins a thread (person)" if placed["why"] == "person" else "it begins a thread"
    detail = f"a reply to {above} ({placed['why']})" if above else begins
    if placed["why"] == "ghost":
        detail = f"a reply to {above}, which was never seen"
    yield Step(at=None, what="placed", detail=detail)


def _told(connection: Connection, row: RowMapping, email: str | None) -> Iterator[Step]:
    copies = outbox_store.history(connection, post_id=row["id"], email=email)
    for copy in copies:
        state = copy.reply or ("quiet hours hold it" if copy.state == "held" else "not tried yet")
        detail = f"to {copy.recipient}: {copy.state}, attempt {copy.attempts}; {state}"
        yield Step(at=copy.changed_at, what="copy", detail=detail)
    if email is None:
        return
    member = directory.member_by_address(connection, row["community_id"], email)
    if member is None:
        yield Step(at=None, what="member", detail=f"{email} is not a member")
        return
    if not copies:
        yield Step(at=None, what="member", detail=f"{email} gets this community as: {member.delivery}")
        yield from _without_a_copy(row, member, joining.addresses(connection, member.person_id))
    if row["via"] == "import":
        yield Step(at=None, what="member", detail="it was imported: no copy was sent, and no digest tells of it")
        return
    yield from _digests(connection, member, row["number"])


def _without_a_copy(row: RowMapping, member: directory.Member, emails: Iterable[str]) -> Iterator[Step]:
    """Why a member, by any of their addresses, who gets each post got none of this one."""
    if member.delivery != "each":
        return
    keys = {directory.email_key(email) for email in emails}
    if not member.own_posts and directory.email_key(row["author_email"]) in keys:
        yield Step(at=None, what="member", detail="it is their own, of which they want no copy")
    if not member.also_named and keys & directory.email_keys(row["recipients"]):
        yield Step(at=None, what="member", detail="it has them in To or Cc; `also-named=yes` sends such posts too")


def _digests(connection: Connection, member: directory.Member, number: int) -> Iterator[Step]:
    told = (
        select(edition, edition_section.c.id.label("section_id"))
        .join(edition_section, edition_section.c.edition_id == edition.c.id)
        .join(period, period.c.id == edition_section.c.period_id)
        .where(edition_section.c.membership_id == member.membership_id)
        .where(edition_section.c.after < number, period.c.up_to >= number)
        .order_by(edition.c.id)
    )
    editions = connection.execute(told).mappings().all()
    for row in editions:
        where = _item_about(connection, row["section_id"], number)
        state = _delivered(connection, row["id"])
        yield Step(at=row["composed_at"], what="digest", detail=f"{where} “{row['subject']}”, {state}")
    if member.delivery in ("weekly", "daily") and not editions:
        yield _to_come(connection, member, number)


def _to_come(connection: Connection, member: directory.Member, number: int) -> Step:
    """When a post that no edition told is told, where it is."""
    if number <= member.cursor:
        return Step(at=None, what="digest", detail="it is older than what their digests tell")
    section = edition_section.c
    query = (
        select(func.min(section.due_at))
        .join_from(edition_section, period, period.c.id == section.period_id)
        .where(section.person_id == member.person_id, section.community_id == member.community_id)
        .where(section.state == "waiting", period.c.up_to >= number)
    )
    due = connection.execute(query).scalar()
    detail = "not told yet; the next one tells it" if due is None else "not told yet; the one that is due then tells it"
    return Step(at=due, what="digest", detail=detail)


def _item_about(connection: Connection, section_id: int, number: int) -> str:
    """Where a section tells of a post; a conversation is one item, whichever of its posts is asked for."""
    query = (
        select(item.c.number, fragment.c.data)
        .join(fragment, fragment.c.id == item.c.fragment_id)
        .where(item.c.section_id == section_id)
        .order_by(item.c.number)
    )
    for shown, data in connection.execute(query):
        if number in msgspec.json.decode(data).get("numbers", ()):
            return f"item {shown} of"
    return "only counted in"


def _delivered(connection: Connection, edition_id: int) -> str:
    query = select(outbox.c.id).where(outbox.c.edition_id == edition_id)
    if connection.execute(query).first() is None:
        return "not in the outbox"
    return ", ".join(step.state for step in outbox_store.history(connection, edition_id=edition_id))
