"""Editions and items: composed and frozen when due; the only writer of their tables, and of what became of a section.

It neither prints (render) nor sends (mailer.outbox), and makes no period (periods does). Of others' rows it moves
`membership.cursor`. A member's window is archive numbers (cursor, up_to]: a post is told once, whatever the clock did.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Literal, NamedTuple

import msgspec
from sqlalchemy import Connection, bindparam, insert, tuple_, update
from sqlalchemy import select as query

from tidings.communities import directory
from tidings.communities.directory import Member
from tidings.communities.rosters import Rosters
from tidings.communities.rota import Roster
from tidings.database import tables
from tidings.database.tables import Moment
from tidings.digests import bundles, gather, history, render, schedule, shelf
from tidings.digests.drafts import Draft, Part, draft, tell
from tidings.digests.history import Window
from tidings.digests.plans import WAITING
from tidings.digests.render import Entry, Printed
from tidings.digests.weeks import Weeks
from tidings.mailer import held, outbox
from tidings.settings import SiteSettings

LATE = timedelta(hours=1)
"""An edition that is this late does not wake a member who sleeps by now; it waits until they are up."""

Result = Literal["composed", "quiet", "dropped", "asleep", "none"]

_period, _section, _edition = tables.period.c, tables.edition_section.c, tables.edition.c
# Built once: building a statement costs more than running it.
_LOCK = (
    query(tables.person.c.id)
    .where(tables.person.c.id == bindparam("person"))
    .with_for_update(skip_locked=True, key_share=True)
)
_WAITING = (
    query(
        _section.id,
        _section.community_id,
        _section.membership_id,
        _section.due_at,
        _period.up_to,
        _period.cut_off_at,
        _period.rhythm,
    )
    .join_from(tables.edition_section, tables.period, _period.id == _section.period_id)
    .where(_section.person_id == bindparam("person"), WAITING, _section.due_at <= bindparam("now", type_=Moment))
    .order_by(_section.community_id, _period.up_to, _period.cut_off_at, _section.id)
)
_MOVE_CURSOR = (
    update(tables.membership).where(tables.membership.c.id == bindparam("told_to")).values(cursor=bindparam("up_to"))
)
_ADD_EDITION = insert(tables.edition).returning(_edition.id)
_COMPOSED = (
    update(tables.edition_section)
    .where(_section.id == bindparam("section"))
    .values(
        state="composed",
        edition_id=bindparam("edition"),
        after=bindparam("told_after"),
        position=bindparam("place"),
        windows=bindparam("weeks"),
    )
)


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


@dataclass(frozen=True, kw_only=True)
class _Told:
    """What a section tells."""

    section_id: int
    due_at: datetime
    part: Part
    windows: tuple[Window, ...] = ()


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


class Composer:
    """Composes editions in one transaction of the caller's; what they have in common is read once."""

    def __init__(self, connection: Connection, now: datetime, *, site: SiteSettings, weeks: Weeks) -> None:
        """`weeks` are those of the moment `now`, and may serve many transactions."""
        self._connection, self._now, self._site, self._weeks = connection, now, site, weeks
        self._rosters = Rosters(connection)

    def compose_for(self, person_id: int) -> Result:
        """Compose all that is due to a person into one edition: items, cursors and outbox row.

        `quiet`: nothing was new; `dropped`: the person no longer wants it; `asleep`: it was late and waits for the end
        of their sleep; `none`: nothing was due, or another process is at it.
        """
        connection, now = self._connection, self._now
        if not _locked(connection, person_id):
            return "none"
        waiting = _waiting(connection, person_id, now)
        if not waiting:
            return "none"
        members = directory.members_by_id(connection, {row.membership_id for row in waiting})
        if self._let_sleep(waiting, members):
            return "asleep"
        found = self._told(person_id, waiting, members)
        told = [one for one in found if isinstance(one, _Told)]
        for mail in _mails(told):
            _write_edition(connection, draft([one.part for one in mail], now, self._site), mail, now, self._site)
        if told:
            return "composed"
        return "quiet" if "quiet" in found else "dropped"

    def _let_sleep(self, waiting: Sequence[_Waiting], members: Mapping[int, Member]) -> bool:
        """Whether all of it was put off, since it is late and the person sleeps after a night shift."""
        member = members.get(waiting[0].membership_id)
        if member is None or member.crew_id is None or max(row.due_at for row in waiting) > self._now - LATE:
            return False
        risen = schedule.wake(self._roster(member), self._now)
        if risen > self._now:
            put_off = update(tables.edition_section).where(_section.id.in_([row.id for row in waiting]))
            self._connection.execute(put_off.values(due_at=risen))
        return risen > self._now

    def _roster(self, member: Member) -> Roster | None:
        return self._rosters.of(member.person_id, member.crew_id)

    def _told(
        self, person_id: int, waiting: Sequence[_Waiting], members: Mapping[int, Member]
    ) -> list[_Told | Literal["quiet", "dropped"]]:
        """What is told of each community, or how its sections end without; the cursors are moved."""
        readers, past = gather.Readers(self._connection, person_id), history.Past(self._connection, person_id)
        return [
            self._part(list(rows), members, readers, past)
            for _, rows in groupby(waiting, key=lambda row: row.community_id)
        ]

    def _part(
        self,
        rows: Sequence[_Waiting],
        members: Mapping[int, Member],
        readers: gather.Readers,
        past: history.Past,
    ) -> _Told | Literal["quiet", "dropped"]:
        """What the waiting sections of one community tell, or how they end without.

        It is told by the newest, whose window holds those of the older ones.
        """
        connection, now = self._connection, self._now
        *older, newest = rows
        _close(connection, [row.id for row in older], "dropped")
        if newest.rhythm != "each" and any(row.rhythm == "each" for row in older):
            held.let_go(connection, [newest.membership_id], now)  # turned to digests between the two
        member = members.get(newest.membership_id)
        if newest.rhythm == "each":
            return self._bundle(newest, member)
        if member is None or not _wants(member, now) or newest.up_to < member.cursor:
            _close(connection, [newest.id], "dropped")
            return "dropped"
        community = self._weeks.community(connection, newest.community_id)
        before = past.of(community, member, newest.cut_off_at)
        part = tell(
            connection,
            community,
            member,
            rhythm=newest.rhythm,
            up_to=newest.up_to,
            before=before,
            reader=readers.of(member),
            roster=self._roster(member),
            weeks=self._weeks,
            now=now,
            site=self._site,
        )
        connection.execute(_MOVE_CURSOR, {"told_to": member.membership_id, "up_to": newest.up_to})
        if part is None:
            _close(connection, [newest.id], "quiet")
            return "quiet"
        return _Told(section_id=newest.id, due_at=newest.due_at, part=part, windows=before.windows)

    def _bundle(self, row: _Waiting, member: Member | None) -> _Told | Literal["dropped"]:
        """What quiet hours held, as one section; none where it goes out as the copies that it is."""
        part = bundles.bundle(self._connection, member, self._now, self._site) if member else None
        if part is None:
            _close(self._connection, [row.id], "dropped")
            return "dropped"
        return _Told(section_id=row.id, due_at=row.due_at, part=part)


def _mails(told: Iterable[_Told]) -> Iterator[list[_Told]]:
    """What goes into one mail each: all, by the address that it goes to, or each community by itself if so chosen."""

    def mail(one: _Told) -> tuple[str, int]:
        member = one.part.member
        return member.email, 0 if member.one_mail else member.community_id

    for _, together in groupby(sorted(told, key=mail), key=mail):
        yield list(together)


def _locked(connection: Connection, person_id: int) -> bool:
    """Whether the person is ours until the commit: two processes never compose for one person at a time."""
    return connection.execute(_LOCK, {"person": person_id}).first() is not None


def _waiting(connection: Connection, person_id: int, now: datetime) -> list[_Waiting]:
    """What is due to the person, by community and then from the oldest period to the newest."""
    rows = connection.execute(_WAITING, {"person": person_id, "now": now})
    return [_Waiting(**row) for row in rows.mappings()]


def _close(connection: Connection, section_ids: Sequence[int], state: str) -> None:
    if section_ids:
        closed = update(tables.edition_section).where(_section.id.in_(section_ids))
        connection.execute(closed.values(state=state))


def _wants(member: Member, now: datetime) -> bool:
    """Whether the member is to be told now; who paused, or whose mail comes back, is told later of all since."""
    paused = member.paused_until is not None and member.paused_until > now
    return member.delivery in ("weekly", "daily") and not paused and member.stopped_at is None


def _write_edition(
    connection: Connection, made: Draft, told: Iterable[_Told], now: datetime, site: SiteSettings
) -> None:
    """Freeze a draft of what is `told`: its edition, items and outbox row."""
    printed, member = made.printed, made.parts[0].member
    by_membership = {one.part.member.membership_id: one for one in told}
    of = [by_membership[section.membership_id] for section in printed.sections]
    edition_id = connection.execute(_ADD_EDITION, _edition_row(printed, member, of, now)).scalar_one()
    connection.execute(_COMPOSED, [_section_row(edition_id, place, one) for place, one in enumerate(of)])
    entries = [
        (one.section_id, entry) for one, section in zip(of, printed.sections, strict=True) for entry in section.entries
    ]
    fragment_ids = shelf.put(connection, [entry.fragment for _, entry in entries])
    items = [_item(*entry, fragment_id) for entry, fragment_id in zip(entries, fragment_ids, strict=True)]
    connection.execute(insert(tables.item), items)
    outbox.add_edition(
        connection,
        edition_id=edition_id,
        recipient=printed.recipient,
        # An edition of several communities still goes out when its reader leaves one of them.
        membership_id=member.membership_id if len(of) == 1 else None,
        community_id=member.community_id,
        mail_from=render.address_of(printed.sections[0], site).post,
        now=now,
    )


def _edition_row(printed: Printed, member: Member, of: Sequence[_Told], now: datetime) -> dict[str, Any]:
    return {
        "person_id": member.person_id,
        "message_id": printed.message_id,
        "recipient": printed.recipient,
        "subject": printed.subject,
        "zone": printed.zone,
        "composed_at": now,
        "due_at": min(one.due_at for one in of),
    }


def _section_row(edition_id: int, place: int, told: _Told) -> dict[str, Any]:
    part = told.part
    return {
        "section": told.section_id,
        "edition": edition_id,
        # A bundle is no window of archive numbers: what was urgent in between has left before.
        "told_after": None if part.heading.rhythm == bundles.RHYTHM else part.member.cursor,
        "place": place,
        "weeks": msgspec.json.encode(told.windows).decode() if told.windows else None,
    }


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
