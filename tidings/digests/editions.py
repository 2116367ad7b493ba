"""Periods, editions and items: made at the cut-off, composed and frozen when due; the only writer of their tables.

It neither prints (render) nor sends (mailer.outbox). Of others' rows it moves `community.last_period_at` and
`membership.cursor`. A member's window is archive numbers (cursor, up_to]: a post is told once, whatever the clock did.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any, Literal

from sqlalchemy import Connection, bindparam, func, insert, update
from sqlalchemy import select as query

from tidings.communities import directory, rosters
from tidings.communities.directory import Community, Member
from tidings.communities.rosters import Rosters
from tidings.database import tables
from tidings.digests import render, schedule, shelf
from tidings.digests.drafts import Draft, Part, draft, tell
from tidings.digests.render import Entry
from tidings.mailer import outbox
from tidings.settings import SiteSettings

LATE = timedelta(hours=1)
"""An edition that is this late does not wake a member who sleeps by now; it waits until they are up."""

Rhythm = Literal["weekly", "daily"]
Result = Literal["composed", "quiet", "dropped", "asleep", "none"]

_STATES = ("waiting", "composed", "quiet", "dropped")
_community, _period, _section, _edition = (
    tables.community.c,
    tables.period.c,
    tables.edition_section.c,
    tables.edition.c,
)


# --- periods ---------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Behind:
    """A community in which cut-offs passed since its last periods were made: the newest of each rhythm."""

    community: Community
    cut_offs: Mapping[Rhythm, datetime]


def behind(connection: Connection, now: datetime) -> list[Behind]:
    """The communities whose periods are to be made; archived ones have none."""
    communities = directory.communities(connection)
    created: dict[int, datetime] = dict(connection.execute(query(_community.id, _community.created_at)).all())
    return [
        Behind(community=one, cut_offs=passed)
        for one in communities
        # The very `last_period_at` that `_take` compares: one read apart from it could be that of another moment.
        if not one.archived and (passed := _passed(one, one.last_period_at or created[one.id], now))
    ]


def _passed(community: Community, since: datetime, now: datetime) -> dict[Rhythm, datetime]:
    weekdays: dict[Rhythm, int | None] = {"weekly": community.cut_off_weekday, "daily": None}
    passed = {
        rhythm: [*schedule.cut_offs(weekday, community.cut_off_time, community.zone, since, now)]
        for rhythm, weekday in weekdays.items()
    }
    # Of the cut-offs missed while nothing ran, only the newest makes a period: what was missed is told once.
    return {rhythm: moments[-1] for rhythm, moments in passed.items() if moments}


def make_periods(connection: Connection, late: Behind, now: datetime, *, site: SiteSettings) -> int:
    """Make a community's periods, each with a waiting section for each of its members; returns how many.

    A second run, or another process at the same moment, makes none twice.
    """
    up_to = _take(connection, late.community, now)
    if up_to is None:
        return 0
    return sum(_make_period(connection, late.community, *one, up_to, site=site) for one in late.cut_offs.items())


def _take(connection: Connection, community: Community, now: datetime) -> int | None:
    """The newest archive number, if periods of the community are ours to make; posts of lower numbers are all there."""
    was = community.last_period_at
    unchanged = _community.last_period_at.is_(None) if was is None else _community.last_period_at == was
    return connection.execute(
        update(tables.community)
        .where(_community.id == community.id, unchanged)
        .values(last_period_at=now)
        .returning(_community.last_number)
    ).scalar_one_or_none()


def _make_period(
    connection: Connection, community: Community, rhythm: Rhythm, cut_off: datetime, up_to: int, *, site: SiteSettings
) -> bool:
    """Whether a period was made: a daily one only where somebody wants it."""
    members = [one for one in directory.members(connection, community.id) if one.delivery == rhythm]
    if rhythm == "daily" and not members:
        return False
    number = query(func.coalesce(func.max(_period.number), 0) + 1).where(
        _period.community_id == community.id, _period.rhythm == rhythm
    )
    values = {"community_id": community.id, "rhythm": rhythm, "up_to": up_to, "cut_off_at": cut_off}
    row = insert(tables.period).values(number=number.scalar_subquery(), **values).returning(_period.id)
    period_id = connection.execute(row).scalar_one()
    due = _Due(connection, site)
    sections = [
        {
            "person_id": member.person_id,
            "community_id": community.id,
            "period_id": period_id,
            "membership_id": member.membership_id,
            "state": "waiting",
            "due_at": due(member, cut_off),
        }
        for member in members
    ]
    if sections:
        connection.execute(insert(tables.edition_section), sections)
    return True


class _Due:
    """Due times, worked out once for members who keep the same hours."""

    def __init__(self, connection: Connection, site: SiteSettings) -> None:
        self._site = site
        self._rosters = Rosters(connection)
        self._known: dict[tuple[object, ...], datetime] = {}

    def __call__(self, member: Member, cut_off: datetime) -> datetime:
        roster = self._rosters.of(member.person_id, member.crew_id)
        key = (cut_off, member.delivery, roster, member.zone, member.digest_weekday, member.digest_time)
        if key not in self._known:
            self._known[key] = schedule.due(member, roster, cut_off, self._site.zone)
        return self._known[key]


def replan(connection: Connection, now: datetime, *, site: SiteSettings) -> int:
    """Work out anew when waiting sections are due, after a rota, a crew or a member's hours changed.

    Returns how many moved. What is due by now stays due.
    """
    waiting = connection.execute(
        query(_section.id, _section.membership_id, _section.due_at, _period.cut_off_at)
        .join_from(tables.edition_section, tables.period, _period.id == _section.period_id)
        .where(_section.state == "waiting", _section.due_at > now)
    ).all()
    due = _Due(connection, site)
    moved = []
    for section_id, membership_id, due_at, cut_off in waiting:
        member = directory.member(connection, membership_id)
        if member and (new := due(member, cut_off)) != due_at:
            moved.append({"section": section_id, "new_due": new})
    if moved:
        statement = update(tables.edition_section).where(
            _section.id == bindparam("section"), _section.state == "waiting"
        )
        connection.execute(statement.values(due_at=bindparam("new_due")), moved)
    return len(moved)


def send_now(connection: Connection, community: str, now: datetime, *, site: SiteSettings) -> int:
    """End the periods of a community now; all its waiting sections are due. Returns how many. Raises NotFoundError."""
    found = directory.community(connection, community)
    taken = update(tables.community).where(_community.id == found.id).values(last_period_at=now)
    up_to = connection.execute(taken.returning(_community.last_number)).scalar_one()
    rhythms: tuple[Rhythm, ...] = ("weekly", "daily")
    for rhythm in rhythms:
        _make_period(connection, found, rhythm, now, up_to, site=site)
    waiting = update(tables.edition_section).where(_section.community_id == found.id, _section.state == "waiting")
    return connection.execute(waiting.values(due_at=now)).rowcount


# --- editions --------------------------------------------------------------------------------------------------------


def due_people(connection: Connection, now: datetime, limit: int) -> list[int]:
    """Up to `limit` people who have something due, those who wait longest first."""
    statement = (
        query(_section.person_id)
        .where(_section.state == "waiting", _section.due_at <= now)
        .group_by(_section.person_id)
        .order_by(func.min(_section.due_at), _section.person_id)
        .limit(limit)
    )
    return list(connection.execute(statement).scalars())


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
    parts = {one.member.membership_id: (one, section_id) for one, section_id in found if isinstance(one, Part)}
    # Mail of a community goes to the address that the member gave for it.
    for recipient in sorted({one.member.email for one, _ in parts.values()}):
        made = draft([one for one, _ in parts.values() if one.member.email == recipient], now, site)
        _write_edition(connection, made, {key: section_id for key, (_, section_id) in parts.items()}, now, site)
    if parts:
        return "composed"
    return "quiet" if any(one == "quiet" for one, _ in found) else "dropped"


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
    rhythm: str


def _waiting(connection: Connection, person_id: int, now: datetime) -> list[_Waiting]:
    """What is due to the person, by community and then from the oldest period to the newest."""
    columns = (
        _section.id,
        _section.community_id,
        _section.membership_id,
        _section.due_at,
        _period.up_to,
        _period.rhythm,
    )
    rows = connection.execute(
        query(*columns)
        .join_from(tables.edition_section, tables.period, _period.id == _section.period_id)
        .where(_section.person_id == person_id, _section.state == "waiting", _section.due_at <= now)
        .order_by(_section.community_id, _period.up_to, _period.cut_off_at, _section.id)
    )
    return [_Waiting(**row) for row in rows.mappings()]


def _let_sleep(connection: Connection, waiting: Sequence[_Waiting], now: datetime) -> bool:
    """Whether all of it was put off, since it is late and the person sleeps after a night shift."""
    member = directory.member(connection, waiting[0].membership_id)
    if member is None or member.crew_id is None or max(row.due_at for row in waiting) > now - LATE:
        return False
    risen = schedule.wake(rosters.of_person(connection, member.person_id), now)
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
) -> tuple[Part | Literal["quiet", "dropped"], int]:
    """What the waiting sections of one community tell, or how they end without; and the id of the one that tells it.

    That is the newest, whose window holds those of the older ones.
    """
    *older, newest = rows
    _close(connection, [row.id for row in older], "dropped")
    member = directory.member(connection, newest.membership_id)
    if member is None or not _wants(member, now) or newest.up_to < member.cursor:
        _close(connection, [newest.id], "dropped")
        return "dropped", newest.id
    community = directory.community_by_id(connection, newest.community_id)
    told = tell(connection, community, member, rhythm=newest.rhythm, up_to=newest.up_to, now=now, site=site)
    _move_cursor(connection, member, newest.up_to)
    if told is None:
        _close(connection, [newest.id], "quiet")
    return told or "quiet", newest.id


def _wants(member: Member, now: datetime) -> bool:
    """Whether the member is to be told now; who paused, or whose mail comes back, is told later of all since."""
    paused = member.paused_until is not None and member.paused_until > now
    return member.delivery in ("weekly", "daily") and not paused and member.stopped_at is None


def _move_cursor(connection: Connection, member: Member, up_to: int) -> None:
    told_to = tables.membership.c.id == member.membership_id
    connection.execute(update(tables.membership).where(told_to).values(cursor=up_to))


def _write_edition(
    connection: Connection, made: Draft, section_ids: Mapping[int, int], now: datetime, site: SiteSettings
) -> None:
    """Freeze a draft: its edition, items and outbox row; `section_ids` by membership."""
    printed, member = made.printed, made.parts[0].member
    ids = [section_ids[section.membership_id] for section in printed.sections]
    due_at = query(func.min(_section.due_at)).where(_section.id.in_(ids)).scalar_subquery()
    values = {
        "person_id": member.person_id,
        "message_id": printed.message_id,
        "recipient": printed.recipient,
        "subject": printed.subject,
        "zone": printed.zone,
        "composed_at": now,
    }
    edition = insert(tables.edition).values(due_at=due_at, **values).returning(_edition.id)
    edition_id = connection.execute(edition).scalar_one()
    for position, (one, section) in enumerate(zip(made.parts, printed.sections, strict=True)):
        row = update(tables.edition_section).where(_section.id == ids[position])
        told = {"edition_id": edition_id, "after": one.member.cursor, "position": position}
        connection.execute(row.values(state="composed", **told))
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


# --- reads -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A period and how many of its sections are in each state; `next_due` is of those that wait."""

    community: str
    rhythm: str
    number: int
    cut_off_at: datetime
    up_to: int
    next_due: datetime | None
    waiting: int
    composed: int
    quiet: int
    dropped: int


def listing(connection: Connection, community_id: int | None = None, limit: int = 50) -> list[Listed]:
    """The newest periods, of one community or of all, the newest first."""
    periods = (
        query(tables.period, _community.name)
        .join(tables.community, _community.id == _period.community_id)
        .order_by(_period.cut_off_at.desc(), _period.id.desc())
        .limit(limit)
    )
    rows = connection.execute(
        periods if community_id is None else periods.where(_period.community_id == community_id)
    ).all()
    states = _states(connection, [row.id for row in rows])
    return [
        Listed(
            community=row.name,
            rhythm=row.rhythm,
            number=row.number,
            cut_off_at=row.cut_off_at,
            up_to=row.up_to,
            next_due=states.get((row.id, "waiting"), (0, None))[1],
            **{state: states.get((row.id, state), (0, None))[0] for state in _STATES},
        )
        for row in rows
    ]


def _states(connection: Connection, period_ids: Sequence[int]) -> dict[tuple[int, str], tuple[int, datetime]]:
    """By period and state: how many sections, and the first due time of them."""
    counted = (
        query(_section.period_id, _section.state, func.count(), func.min(_section.due_at))
        .where(_section.period_id.in_(period_ids))
        .group_by(_section.period_id, _section.state)
    )
    return {(period_id, state): (count, due) for period_id, state, count, due in connection.execute(counted)}
