"""What a member's editions of one community told so far: since when, what was quiet, what a return makes up for.

It reads periods and sections, and changes none.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, Connection, and_
from sqlalchemy import select as query

from tidings.clock import zone
from tidings.communities.directory import Community, Member
from tidings.database import tables

AWAY = 7
"""Days by which a missed period is older than the newest one where an edition is a return."""

_RHYTHMS = {"weekly": timedelta(days=7), "daily": timedelta(days=1)}
_PERIODS = ("weekly", "daily")
_section, _period = tables.edition_section.c, tables.period.c
_before = tables.period.alias("before")


@dataclass(frozen=True, kw_only=True)
class Quiet:
    """A time, from one cut-off to another, in which nothing was to be told and nothing was sent."""

    begin: datetime
    end: datetime


@dataclass(frozen=True, kw_only=True)
class Window:
    """The archive numbers (after, up_to] of one week of a return: `this week`, `last week`, `earlier`."""

    label: str
    after: int
    up_to: int


@dataclass(frozen=True, kw_only=True)
class History:
    """Where a member stands; `since` is the cut-off of the last edition, `quiet` what was quiet after it, oldest first.

    `windows`, the newest first, are those of a return and hold all that is to be told; of any other edition there are
    none.
    """

    since: datetime | None = None
    quiet: tuple[Quiet, ...] = ()
    windows: tuple[Window, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Period:
    """A period of which a member had a section; `began_at` is the cut-off before it."""

    state: str
    cut_off_at: datetime
    up_to: int
    began_at: datetime


def read(connection: Connection, community: Community, member: Member, up_to: datetime | None = None) -> History:
    """What was told before the period whose cut-off is `up_to`, which is to be told now; None: before any to come."""
    told = _last(connection, member, "composed")
    after = [one for one in _periods(connection, member, told) if up_to is None or one.cut_off_at <= up_to]
    quiet = [one for one in after if one.state == "quiet"]
    last = quiet[-1].cut_off_at if quiet else told
    missed = [one for one in after if (last is None or one.cut_off_at > last) and one.up_to >= member.cursor]
    return History(
        since=told,
        quiet=tuple(_joined(quiet)),
        windows=() if up_to is None else tuple(_windows(community, member, missed)),
    )


def _last(connection: Connection, member: Member, state: str) -> datetime | None:
    """The newest cut-off whose section came to that."""
    found = (
        query(_period.cut_off_at)
        .join_from(tables.edition_section, tables.period, _period.id == _section.period_id)
        .where(_of(member), _section.state == state)
        .order_by(_period.cut_off_at.desc())
        .limit(1)
    )
    moment: datetime | None = connection.execute(found).scalar()
    return moment


def _of(member: Member) -> ColumnElement[bool]:
    # The person and the community too: they begin the index.
    ours = and_(_section.person_id == member.person_id, _section.community_id == member.community_id)
    return and_(ours, _section.membership_id == member.membership_id, _period.rhythm.in_(_PERIODS))


def _periods(connection: Connection, member: Member, told: datetime | None) -> list[_Period]:
    """The periods after that cut-off, oldest first."""
    columns = (_section.state, _period.cut_off_at, _period.up_to, _period.rhythm, _before.c.cut_off_at.label("before"))
    found = (
        query(*columns)
        .join_from(tables.edition_section, tables.period, _period.id == _section.period_id)
        .outerjoin(
            _before,
            (_before.c.community_id == _period.community_id)
            & (_before.c.rhythm == _period.rhythm)
            & (_before.c.number == _period.number - 1),
        )
        .where(_of(member))
        .order_by(_period.cut_off_at, _period.id)
    )
    rows = connection.execute(found if told is None else found.where(_period.cut_off_at > told))
    return [
        _Period(state=state, cut_off_at=end, up_to=up_to, began_at=before or end - _RHYTHMS[rhythm])
        for state, end, up_to, rhythm, before in rows
    ]


def _joined(periods: Sequence[_Period]) -> Iterator[Quiet]:
    """The times of these periods, those that follow on each other as one."""
    begin = end = None
    for one in periods:
        if begin is not None and end is not None and one.began_at > end:
            yield Quiet(begin=begin, end=end)
            begin = None
        begin, end = begin or one.began_at, one.cut_off_at
    if begin is not None and end is not None:
        yield Quiet(begin=begin, end=end)


def _windows(community: Community, member: Member, periods: Sequence[_Period]) -> Iterator[Window]:
    """What is to be told, by weeks before the newest cut-off; nothing where no period as old as AWAY was missed.

    Days are those of the community's calendar: a week in which the clock changes has seven of them too.
    """
    days = [one.cut_off_at.astimezone(zone(community.zone)).date() for one in periods]
    if not days or (days[-1] - days[0]).days < AWAY:
        return
    end = periods[-1].up_to
    for label, weeks in (("this week", 1), ("last week", 2), ("earlier", None)):
        ends = [
            one.up_to
            for one, day in zip(periods, days, strict=True)
            if weeks is not None and (days[-1] - day).days >= 7 * weeks
        ]
        begin = max([member.cursor, *ends[-1:]])
        if begin < end:
            yield Window(label=label, after=begin, up_to=end)
            end = begin
