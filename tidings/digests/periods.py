"""Periods: made at the cut-off of a community, with a section that waits for each of its members.

It composes nothing (editions does), stores no row itself (sections does) and knows no hour of a member (plans does). Of
others' rows it moves `community.last_period_at`. A period's window ends at an archive number, so that a post is told
once, whatever the clock did.
"""

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, func, update
from sqlalchemy import select as query

from tidings.communities import directory
from tidings.communities.directory import Community
from tidings.database import tables
from tidings.digests import rhythms, schedule, sections
from tidings.digests.plans import Plans
from tidings.settings import SiteSettings

_FARTHEST = timedelta(days=8)
"""How far ahead of the clock the last periods may be; farther, they were made by a clock that was wrong."""

_STATES = ("waiting", "composed", "quiet", "dropped")
_community, _period, _section = tables.community.c, tables.period.c, tables.edition_section.c

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Behind:
    """A community in which cut-offs passed since its last periods were made: the newest of each rhythm."""

    community: Community
    cut_offs: Mapping[rhythms.Digest, datetime]


def behind(connection: Connection, now: datetime) -> list[Behind]:
    """The communities whose periods are to be made; archived ones have none."""
    communities = [one for one in directory.communities(connection) if not one.archived]
    created: dict[int, datetime] = dict(connection.execute(query(_community.id, _community.created_at)).all())
    # The very `last_period_at` that `_take` compares: one read apart from it could be that of another moment.
    found = ((one, one.last_period_at or created[one.id]) for one in communities)
    return [
        Behind(community=one, cut_offs=passed)
        for one, since in found
        if (passed := _passed(one, since, now)) or _is_ahead(one, since, now)
    ]


def _is_ahead(community: Community, since: datetime, now: datetime) -> bool:
    """Whether a clock that had been far ahead made the last periods, so that none would be made for as long.

    A clock that went back a little is waited for: it makes no period twice.
    """
    if since <= now + _FARTHEST:
        return False
    _log.warning("The last periods of %s are of %s; is the clock right? They begin anew now.", community.name, since)
    return True


def _passed(community: Community, since: datetime, now: datetime) -> dict[rhythms.Digest, datetime]:
    weekdays: dict[rhythms.Digest, int | None] = {"weekly": community.cut_off_weekday, "daily": None}
    passed = {
        rhythm: [*schedule.cut_offs(weekday, community.cut_off_time, community.zone, since, now)]
        for rhythm, weekday in weekdays.items()
    }
    # Of the cut-offs missed while nothing ran, only the newest makes a period: what was missed is told once.
    return {rhythm: moments[-1] for rhythm, moments in passed.items() if moments}


def catch_up(connection: Connection, community: str, now: datetime, *, site: SiteSettings) -> int:
    """Make the periods of one community that are due, before its rhythm changes; returns how many."""
    late = [one for one in behind(connection, now) if one.community.name == community]
    return sum(make_periods(connection, one, now, site=site) for one in late)


def make_periods(connection: Connection, late: Behind, now: datetime, *, site: SiteSettings) -> int:
    """Make a community's periods, each with a waiting section for each of its members; returns how many.

    A second run, or another process at the same moment, makes none twice.
    """
    up_to = _take(connection, late.community, now)
    if up_to is None:
        return 0
    return sum(_make_period(connection, late.community, *one, up_to, now, site=site) for one in late.cut_offs.items())


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
    connection: Connection,
    community: Community,
    rhythm: rhythms.Digest,
    cut_off: datetime,
    up_to: int,
    now: datetime,
    *,
    site: SiteSettings,
) -> bool:
    """Whether a period was made: a daily one only where somebody wants it, and none that there is already."""
    of_rhythm = (_period.community_id == community.id, _period.rhythm == rhythm)
    # What a clock that was wrong for a while forgot. Periods that are yet to come were made by one, too.
    later = query(_period.id).where(*of_rhythm, _period.cut_off_at.between(cut_off, now))
    if connection.execute(later.limit(1)).first():
        return False
    members = directory.members(connection, community.id, rhythm)
    if rhythm == "daily" and not members:
        return False
    plans = Plans(connection, site)
    due = [(member, plans.due(member, cut_off)) for member in members]
    sections.add_period(connection, community.id, rhythm, cut_off, due, up_to=up_to)
    return True


def send_now(connection: Connection, community: str, now: datetime, *, site: SiteSettings) -> int:
    """End the periods of a community now; all its digests that wait are due. Returns how many. Raises NotFoundError."""
    found = directory.community(connection, community)
    taken = update(tables.community).where(_community.id == found.id).values(last_period_at=now)
    up_to = connection.execute(taken.returning(_community.last_number)).scalar_one()
    for rhythm in rhythms.DIGESTS:
        _make_period(connection, found, rhythm, now, up_to, now, site=site)
    of_digests = query(_period.id).where(_period.community_id == found.id, _period.rhythm.in_(rhythms.DIGESTS))
    waiting = update(tables.edition_section).where(_section.state == "waiting", _section.period_id.in_(of_digests))
    return connection.execute(waiting.values(due_at=now)).rowcount


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
