"""Editions and items: composed and frozen when due; the only writer of their tables, and of what became of a section.

It neither prints (render) nor sends (mailer.outbox), and makes no period (periods does). Of others' rows it moves
`membership.cursor`. A member's window is archive numbers (cursor, up_to]: a post is told once, whatever the clock did.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Literal, NamedTuple

import msgspec
from sqlalchemy import Connection, func, insert, tuple_, update
from sqlalchemy import select as query

from tidings.communities import directory
from tidings.communities.directory import Member
from tidings.communities.rosters import Rosters
from tidings.database import tables
from tidings.digests import bundles, history, render, schedule, shelf
from tidings.digests.drafts import Draft, Part, draft, tell
from tidings.digests.history import Window
from tidings.digests.plans import WAITING
from tidings.digests.render import Entry
from tidings.mailer import held, outbox
from tidings.settings import SiteSettings

LATE = timedelta(hours=1)
"""An edition that is this late does not wake a member who sleeps by now; it waits until they are up."""

Result = Literal["composed", "quiet", "dropped", "asleep", "none"]

_period, _section, _edition = tables.period.c, tables.edition_section.c, tables.edition.c


class Due(NamedTuple):
    """A section that is due, by where it stands among all that are."""

    due_at: datetime
    section_id: int
    person_id: int


def due(connection: Connection, now: datetime, limit: int, after: Due | None = None) -> list[Due]:
    """Up to `limit` sections that are due, those that wait longest first, from behind the one `after`.

    It costs the same however many wait, and however many of them are due.
    """
    statement = (
        query(_section.due_at, _section.id, _section.person_id)
        .where(WAITING, _section.due_at <= now)
        .order_by(_section.due_at, _section.id)
        .limit(limit)
    )
    if after is not None:
        statement = statement.where(tuple_(_section.due_at, _section.id) > (after.due_at, after.section_id))
    return [Due(*row) for row in connection.execute(statement)]


def compose_for(connection: Connection, person_id: int, now: datetime, *, site: SiteSettings) -> Result:
    """Compose all that is due to a person into one edition, in the caller's transaction: items, cursors and outbox row.

    `quiet`: nothing was new; `dropped`: the person no longer wants it; `asleep`: it was late and waits for the end of
    their sleep; `none`: nothing was due, or another process is at it.
    """
    if not _locked(connection, person_id):
        return "none"
    waiting = _waiting(connection, person_id, now)
    if not waiting:
        return "none"
    if _let_sleep(connection, waiting, now):
        return "asleep"
    found = [_part(connection, list(rows), now, site) for _, rows in groupby(waiting, key=lambda row: row.community_id)]
    told = [one for one in found if isinstance(one, _Told)]
    for mail in _mails(told):
        _write_edition(connection, draft([one.part for one in mail], now, site), mail, now, site)
    if told:
        return "composed"
    return "quiet" if "quiet" in found else "dropped"


@dataclass(frozen=True, kw_only=True)
class _Told:
    """What a section tells."""

    section_id: int
    part: Part
    windows: tuple[Window, ...] = ()


def _mails(told: Iterable[_Told]) -> Iterator[list[_Told]]:
    """What goes into one mail each: all, by the address that it goes to, or each community by itself if so chosen."""

    def mail(one: _Told) -> tuple[str, int]:
        member = one.part.member
        return member.email, 0 if member.one_mail else member.community_id

    for _, together in groupby(sorted(told, key=mail), key=mail):
        yield list(together)


def _locked(connection: Connection, person_id: int) -> bool:
    """Whether the person is ours until the commit: two processes never compose for one person at a time."""
    person = query(tables.person.c.id).where(tables.person.c.id == person_id)
    return connection.execute(person.with_for_update(skip_locked=True, key_share=True)).first() is not None


@dataclass(frozen=True, kw_only=True)
class _Waiting:
    """A section that is due."""

    id: int
    community_id: int
    membership_id: int
    due_at: datetime
    up_to: int
    cut_off_at: datetime
    rhythm: str


def _waiting(connection: Connection, person_id: int, now: datetime) -> list[_Waiting]:
    """What is due to the person, by community and then from the oldest period to the newest."""
    columns = (
        _section.id,
        _section.community_id,
        _section.membership_id,
        _section.due_at,
        _period.up_to,
        _period.cut_off_at,
        _period.rhythm,
    )
    rows = connection.execute(
        query(*columns)
        .join_from(tables.edition_section, tables.period, _period.id == _section.period_id)
        .where(_section.person_id == person_id, WAITING, _section.due_at <= now)
        .order_by(_section.community_id, _period.up_to, _period.cut_off_at, _section.id)
    )
    return [_Waiting(**row) for row in rows.mappings()]


def _let_sleep(connection: Connection, waiting: Sequence[_Waiting], now: datetime) -> bool:
    """Whether all of it was put off, since it is late and the person sleeps after a night shift."""
    member = directory.member(connection, waiting[0].membership_id)
    if member is None or member.crew_id is None or max(row.due_at for row in waiting) > now - LATE:
        return False
    risen = schedule.wake(Rosters(connection).of(member.person_id, member.crew_id), now)
    if risen > now:
        put_off = update(tables.edition_section).where(_section.id.in_([row.id for row in waiting]))
        connection.execute(put_off.values(due_at=risen))
    return risen > now


def _close(connection: Connection, section_ids: Sequence[int], state: str) -> None:
    if section_ids:
        closed = update(tables.edition_section).where(_section.id.in_(section_ids))
        connection.execute(closed.values(state=state))


def _part(
    connection: Connection, rows: Sequence[_Waiting], now: datetime, site: SiteSettings
) -> _Told | Literal["quiet", "dropped"]:
    """What the waiting sections of one community tell, or how they end without.

    It is told by the newest, whose window holds those of the older ones.
    """
    *older, newest = rows
    _close(connection, [row.id for row in older], "dropped")
    if newest.rhythm != "each" and any(row.rhythm == "each" for row in older):
        held.let_go(connection, [newest.membership_id], now)  # turned to digests between the two
    member = directory.member(connection, newest.membership_id)
    if newest.rhythm == "each":
        return _bundle(connection, newest, member, now, site)
    if member is None or not _wants(member, now) or newest.up_to < member.cursor:
        _close(connection, [newest.id], "dropped")
        return "dropped"
    community = directory.community_by_id(connection, newest.community_id)
    before = history.read(connection, community, member, newest.cut_off_at)
    rhythm, up_to = newest.rhythm, newest.up_to
    part = tell(connection, community, member, rhythm=rhythm, up_to=up_to, before=before, now=now, site=site)
    _move_cursor(connection, member, newest.up_to)
    if part is None:
        _close(connection, [newest.id], "quiet")
        return "quiet"
    return _Told(section_id=newest.id, part=part, windows=before.windows)


def _bundle(
    connection: Connection, row: _Waiting, member: Member | None, now: datetime, site: SiteSettings
) -> _Told | Literal["dropped"]:
    """What quiet hours held, as one section; none where it goes out as the copies that it is."""
    part = bundles.bundle(connection, member, now, site) if member else None
    if part is None:
        _close(connection, [row.id], "dropped")
        return "dropped"
    return _Told(section_id=row.id, part=part)


def _wants(member: Member, now: datetime) -> bool:
    """Whether the member is to be told now; who paused, or whose mail comes back, is told later of all since."""
    paused = member.paused_until is not None and member.paused_until > now
    return member.delivery in ("weekly", "daily") and not paused and member.stopped_at is None


def _move_cursor(connection: Connection, member: Member, up_to: int) -> None:
    told_to = tables.membership.c.id == member.membership_id
    connection.execute(update(tables.membership).where(told_to).values(cursor=up_to))


def _write_edition(
    connection: Connection, made: Draft, told: Iterable[_Told], now: datetime, site: SiteSettings
) -> None:
    """Freeze a draft of what is `told`: its edition, items and outbox row."""
    printed, member = made.printed, made.parts[0].member
    by_membership = {one.part.member.membership_id: one for one in told}
    of = [by_membership[section.membership_id] for section in printed.sections]
    ids = [one.section_id for one in of]
    due_at = query(func.min(_section.due_at)).where(_section.id.in_(ids)).scalar_subquery()
    values = {
        "person_id": member.person_id,
        "message_id": printed.message_id,
        "recipient": printed.recipient,
        "subject": printed.subject,
        "zone": printed.zone,
        "format": printed.format,
        "composed_at": now,
    }
    edition = insert(tables.edition).values(due_at=due_at, **values).returning(_edition.id)
    edition_id = connection.execute(edition).scalar_one()
    for position, (one, section) in enumerate(zip(made.parts, printed.sections, strict=True)):
        row = update(tables.edition_section).where(_section.id == ids[position])
        # A bundle is no window of archive numbers: what was urgent in between has left before.
        after = None if one.heading.rhythm == bundles.RHYTHM else one.member.cursor
        windows = msgspec.json.encode(of[position].windows).decode() if of[position].windows else None
        values = {"edition_id": edition_id, "after": after, "position": position, "windows": windows}
        connection.execute(row.values(state="composed", **values))
        fragment_ids = shelf.put(connection, [entry.fragment for entry in section.entries])
        items = [
            _item(ids[position], entry, fragment_id)
            for entry, fragment_id in zip(section.entries, fragment_ids, strict=True)
        ]
        connection.execute(insert(tables.item), items)
    outbox.add_edition(
        connection,
        edition_id=edition_id,
        recipient=printed.recipient,
        # An edition of several communities still goes out when its reader leaves one of them.
        membership_id=member.membership_id if len(ids) == 1 else None,
        community_id=member.community_id,
        mail_from=render.address_of(printed.sections[0], site).post,
        now=now,
    )


def _item(section_id: int, entry: Entry, fragment_id: int) -> dict[str, Any]:
    return {
        "section_id": section_id,
        "number": entry.number,
        "block": entry.block,
        "post_id": entry.post_id,
        "message_id": None if entry.post_id else entry.answers,
        "subject": entry.subject,
        "fragment_id": fragment_id,
    }
