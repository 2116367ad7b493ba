"""Editions: who is due, and what each is told in which mail; the only writer of what became of a section.

It stores no edition (freeze), neither prints (render) nor sends (mailer.outbox), and makes no period (periods does). Of
others' rows it moves `membership.cursor`. A member's window is archive numbers (cursor, up_to]: a post is told once,
whatever the clock did.
"""

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Literal, NamedTuple

from msgspec.structs import replace
from sqlalchemy import Connection, bindparam, tuple_, update
from sqlalchemy import select as query

from tidings.communities import directory
from tidings.communities.directory import Member
from tidings.communities.roster import Roster
from tidings.communities.rosters import Rosters
from tidings.database import tables
from tidings.database.many import Many
from tidings.database.tables import Moment
from tidings.digests import bundles, freeze, gather, history, rhythms, schedule
from tidings.digests.agendas import Agendas
from tidings.digests.drafts import News, Part, heading_of, tell
from tidings.digests.freeze import Made, Told
from tidings.digests.layouts import draft
from tidings.digests.plans import WAITING
from tidings.digests.stored import Entry
from tidings.digests.weeks import Weeks
from tidings.mailer import held
from tidings.settings import SiteSettings

LATE = timedelta(hours=1)
"""An edition that is this late does not wake a member who sleeps by now; it waits until they are up."""

Result = Literal["composed", "quiet", "dropped", "asleep", "none"]

_period, _section = tables.period.c, tables.edition_section.c
# Built once: building a statement costs more than running it.
_LOCK = (
    query(tables.person.c.id)
    .where(tables.person.c.id.in_(bindparam("people", expanding=True)))
    .with_for_update(skip_locked=True, key_share=True)
)
_WAITING = (
    query(
        _section.person_id,
        _section.id,
        _section.community_id,
        _section.membership_id,
        _section.due_at,
        _period.up_to,
        _period.cut_off_at,
        _period.rhythm,
        _period.meeting_id,
    )
    .join_from(tables.edition_section, tables.period, _period.id == _section.period_id)
    .where(
        _section.person_id.in_(bindparam("people", expanding=True)),
        WAITING,
        _section.due_at <= bindparam("now", type_=Moment),
    )
    .order_by(_section.community_id, _period.up_to, _period.cut_off_at, _section.id)
)
_MOVE_CURSOR = Many(
    update(tables.membership).where(tables.membership.c.id == bindparam("told_to")).values(cursor=bindparam("up_to")),
    *("up_to", "told_to"),
)
_CLOSE = update(tables.edition_section).where(_section.id == bindparam("section")).values(state=bindparam("became"))


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


class _Waiting(NamedTuple):
    """A section that is due."""

    id: int
    community_id: int
    membership_id: int
    due_at: datetime
    up_to: int
    cut_off_at: datetime
    rhythm: str
    meeting_id: int | None


class Composer:
    """Composes editions in one transaction of the caller's; what they have in common is read once."""

    def __init__(self, connection: Connection, now: datetime, *, site: SiteSettings, weeks: Weeks) -> None:
        """`weeks` are those of the moment `now`, and may serve many transactions."""
        self._connection, self._now, self._site, self._weeks = connection, now, site, weeks
        self._rosters = Rosters(connection)
        self._agendas = Agendas(connection, now, site=site, weeks=weeks)
        self._closed: list[dict[str, object]] = []
        self._moved: list[tuple[int, int]] = []

    def compose(self, people: Sequence[int]) -> list[Result]:
        """Compose all that is due to each person into one edition: items, cursors and outbox row; what that came to.

        `quiet`: nothing was new; `dropped`: the person no longer wants it; `asleep`: it was late and waits for the end
        of their sleep; `none`: nothing was due, or another process is at it.
        """
        connection = self._connection
        locked = set(connection.execute(_LOCK, {"people": people}).scalars())
        waiting = _waiting(connection, locked, self._now)
        ids = {row.membership_id for rows in waiting.values() for row in rows}
        members = directory.members_by_id(connection, ids)
        readers, past = gather.Readers(connection, list(waiting)), history.Past(connection, list(waiting))
        results, made = [], list[Made]()
        for person_id in people:
            result, mails = self._compose(waiting.get(person_id, ()), members, readers, past)
            results.append(result)
            made += mails
        if self._closed:
            connection.execute(_CLOSE, self._closed)
        if self._moved:
            _MOVE_CURSOR.execute(connection, self._moved)
        freeze.write(connection, made, self._now, site=self._site)
        return results

    def _compose(
        self,
        waiting: Sequence[_Waiting],
        members: Mapping[int, Member],
        readers: gather.Readers,
        past: history.Past,
    ) -> tuple[Result, list[Made]]:
        """What is due to one person, as the mails that tell it."""
        if not waiting:
            return "none", []
        if self._let_sleep(waiting, members.get(waiting[0].membership_id)):
            return "asleep", []
        found = [
            self._part(list(rows), members, readers, past)
            for _, rows in groupby(waiting, key=lambda row: row.community_id)
        ]
        told = [one for one in found if isinstance(one, Told)]
        if told:
            return "composed", [self._made(mail) for mail in _mails(told)]
        return ("quiet" if "quiet" in found else "dropped"), []

    def _made(self, mail: Sequence[Told]) -> Made:
        made = draft([one.part for one in mail], self._now, self._site, self._weeks)
        return Made(draft=made, told={one.part.member.membership_id: one for one in mail})

    def _let_sleep(self, waiting: Sequence[_Waiting], member: Member | None) -> bool:
        """Whether all of it was put off, since it is late and the person sleeps after a night shift."""
        if member is None or member.crew_id is None or max(row.due_at for row in waiting) > self._now - LATE:
            return False
        risen = schedule.wake(self._roster(member), self._now)
        if risen > self._now:
            put_off = update(tables.edition_section).where(_section.id.in_([row.id for row in waiting]))
            self._connection.execute(put_off.values(due_at=risen))
        return risen > self._now

    def _roster(self, member: Member) -> Roster | None:
        return self._rosters.of(member.person_id, member.crew_id)

    def _close(self, rows: Iterable[_Waiting], state: Literal["quiet", "dropped"]) -> None:
        self._closed += [{"section": row.id, "became": state} for row in rows]

    def _part(
        self,
        rows: Sequence[_Waiting],
        members: Mapping[int, Member],
        readers: gather.Readers,
        past: history.Past,
    ) -> Told | Literal["quiet", "dropped"]:
        """What the waiting sections of one community tell, or how they end without.

        What is said of meetings is told by a digest that is due with it.
        """
        meeting = [row for row in rows if row.rhythm in rhythms.OF_MEETINGS]
        posts = [row for row in rows if row.rhythm not in rhythms.OF_MEETINGS]
        said = self._of_meetings(meeting, members, readers) if meeting else []
        told = self._of_posts(posts, members, readers, past, said) if posts else "dropped"
        if not said:
            self._close(meeting, "dropped")
            return told
        if isinstance(told, Told):
            return replace(told, with_it=tuple(row.id for row in meeting))
        return self._meeting_alone(meeting, said, members)

    def _of_meetings(
        self, rows: Sequence[_Waiting], members: Mapping[int, Member], readers: gather.Readers
    ) -> list[Entry]:
        """The items that meetings have for a member; none for who is to get no mail now."""
        member = members.get(rows[0].membership_id)
        if member is None or not _may_be_told(member, self._now):
            return []
        community = self._weeks.community(self._connection, member.community_id)
        reader, roster = readers.of(member), self._roster(member)
        ids = dict.fromkeys(row.meeting_id for row in rows if row.meeting_id is not None)
        said = [
            entry
            for meeting_id in ids
            for entry in self._agendas.entries(community, meeting_id, member, reader, roster)
        ]
        reminded = any(row.rhythm == rhythms.REMINDER for row in rows)
        reminder = self._agendas.reminder(community, member, roster) if reminded else []
        return list({(one.block, one.about_id): one for one in [*reminder, *said]}.values())

    def _meeting_alone(self, rows: Sequence[_Waiting], said: Sequence[Entry], members: Mapping[int, Member]) -> Told:
        member = members[rows[0].membership_id]
        community = self._weeks.community(self._connection, member.community_id)
        roster = self._roster(member)
        rhythm = next((row.rhythm for row in rows if row.rhythm != rhythms.REMINDER), rhythms.REMINDER)
        part = Part(
            member=member,
            community=community,
            zone=schedule.zone_of(member, roster, self._site.zone),
            news=News(heading=heading_of(community, member, roster, rhythm), entries=tuple(said), whole=True),
        )
        first, *more = rows
        with_it = tuple(row.id for row in more)
        return Told(section_id=first.id, with_it=with_it, due_at=first.due_at, part=part, is_window=False)

    def _of_posts(
        self,
        rows: Sequence[_Waiting],
        members: Mapping[int, Member],
        readers: gather.Readers,
        past: history.Past,
        said: Sequence[Entry],
    ) -> Told | Literal["quiet", "dropped"]:
        """What the waiting sections of posts tell, with what is `said` of meetings; or how they end without.

        It is told by the newest, whose window holds those of the older ones.
        """
        *older, newest = rows
        self._close(older, "dropped")
        if newest.rhythm != rhythms.HELD and any(row.rhythm == rhythms.HELD for row in older):
            held.let_go(self._connection, [newest.membership_id], self._now)  # turned to digests between the two
        member = members.get(newest.membership_id)
        if newest.rhythm == rhythms.HELD:
            return self._bundle(newest, member, said)
        if member is None or not _wants(member, self._now) or newest.up_to < member.cursor:
            self._close([newest], "dropped")
            return "dropped"
        community = self._weeks.community(self._connection, newest.community_id)
        before = past.of(community, member, newest.cut_off_at)
        part = tell(
            self._connection,
            community,
            member,
            rhythm=newest.rhythm,
            up_to=newest.up_to,
            before=before,
            reader=readers.of(member),
            roster=self._roster(member),
            weeks=self._weeks,
            agendas=self._agendas,
            said=said,
            site=self._site,
        )
        self._moved.append((newest.up_to, member.membership_id))
        if part is None:
            self._close([newest], "quiet")
            return "quiet"
        return Told(section_id=newest.id, due_at=newest.due_at, part=part, windows=before.windows)

    def _bundle(self, row: _Waiting, member: Member | None, said: Sequence[Entry]) -> Told | Literal["dropped"]:
        """What quiet hours held, as one section; none where it goes out as the copies that it is."""
        part = bundles.bundle(self._connection, member, self._now, self._site) if member else None
        if part is None:
            self._close([row], "dropped")
            return "dropped"
        # What was urgent in between has left before.
        part = replace(part, news=replace(part.news, entries=(*said, *part.news.entries)))
        return Told(section_id=row.id, due_at=row.due_at, part=part, is_window=False)


def _mails(told: Iterable[Told]) -> Iterator[list[Told]]:
    """What goes into one mail each: all, by the address that it goes to, or each community by itself if so chosen."""

    def mail(one: Told) -> tuple[str, int]:
        member = one.part.member
        return member.email, 0 if member.one_mail else member.community_id

    for _, together in groupby(sorted(told, key=mail), key=mail):
        yield list(together)


def _waiting(connection: Connection, people: Collection[int], now: datetime) -> dict[int, list[_Waiting]]:
    """What is due by person, in their order by community and then from the oldest period to the newest."""
    found: dict[int, list[_Waiting]] = {}
    for row in connection.execute(_WAITING, {"people": list(people), "now": now}):
        person_id, *values = row
        found.setdefault(person_id, []).append(_Waiting(*values))
    return found


def _wants(member: Member, now: datetime) -> bool:
    """Whether the member is to be told now; who paused, or whose mail comes back, is told later of all since."""
    return member.delivery in ("weekly", "daily") and _may_be_told(member, now)


def _may_be_told(member: Member, now: datetime) -> bool:
    """Whether any mail of a community goes to the member now."""
    return member.delivery != "none" and not member.is_paused(now) and member.stopped_at is None
