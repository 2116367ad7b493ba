"""What a member's editions of one community told so far: since when, what was quiet, what a return makes up for.

It reads periods and sections, and changes none.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta

import msgspec
from sqlalchemy import Connection, bindparam
from sqlalchemy import select as query

from tidings.clock import zone
from tidings.communities.directory import Community, Member
from tidings.database import tables
from tidings.digests import rhythms
from tidings.digests.fragments import Span

AWAY = 7
"""Days by which a missed period is older than the newest one where an edition is a return."""

_RHYTHMS = {"weekly": timedelta(days=7), "daily": timedelta(days=1)}
_section, _period = tables.edition_section.c, tables.period.c
_before = tables.period.alias("before")
_membership = tables.membership.c
_OF_DIGESTS = _period.rhythm.in_(rhythms.DIGESTS)
# By membership the period that its newest edition told; the index of sections ends with the period.
_LAST = query(
    _membership.id,
    query(_section.period_id)
    .join_from(tables.edition_section, tables.period, _period.id == _section.period_id)
    .where(_section.person_id == _membership.person_id, _section.community_id == _membership.community_id)
    .where(_section.membership_id == _membership.id, _section.state == "composed", _OF_DIGESTS)
    .order_by(_section.period_id.desc())
    .limit(1)
    .scalar_subquery(),
).where(_membership.person_id.in_(bindparam("people", expanding=True)))
_SINCE = (
    query(
        _section.membership_id,
        _section.period_id,
        _section.state,
        _period.cut_off_at,
        _period.up_to,
        _period.rhythm,
        _before.c.cut_off_at.label("before"),
    )
    .join_from(tables.edition_section, tables.period, _period.id == _section.period_id)
    .outerjoin(
        _before,
        (_before.c.community_id == _period.community_id)
        & (_before.c.rhythm == _period.rhythm)
        & (_before.c.number == _period.number - 1),
    )
    .where(_section.person_id.in_(bindparam("people", expanding=True)), _OF_DIGESTS)
    .where(
        (_section.period_id >= bindparam("since")) | _section.membership_id.in_(bindparam("untold", expanding=True)),
    )
    .order_by(_period.cut_off_at, _period.id)
)


class Window(msgspec.Struct, frozen=True, kw_only=True):
    """The archive numbers (after, up_to] of one week of a return: `this week`, `last week`, `earlier`."""

    label: str
    after: int
    up_to: int


class History(msgspec.Struct, frozen=True, kw_only=True):
    """Where a member stands; `since` is the cut-off of the last edition, `quiet` what was quiet after it, oldest first.

    `windows`, the newest first, are those of a return and hold all that is to be told; of any other edition there are
    none.
    """

    since: datetime | None = None
    quiet: tuple[Span, ...] = ()
    windows: tuple[Window, ...] = ()


class _Period(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A period of which a member had a section; `began_at` is the cut-off before it."""

    state: str
    cut_off_at: datetime
    up_to: int
    began_at: datetime


class Past:
    """What editions told some people so far, read once for all their communities."""

    def __init__(self, connection: Connection, people: Sequence[int]) -> None:
        last: dict[int, int | None] = dict(connection.execute(_LAST, {"people": people}).all())
        values = {
            "people": people,
            "since": min((period for period in last.values() if period is not None), default=0),
            "untold": [membership_id for membership_id, period in last.items() if period is None],
        }
        self._periods: dict[int, list[_Period]] = {}
        self._told: dict[int, datetime] = {}
        for membership_id, period_id, state, cut_off_at, up_to, rhythm, before in connection.execute(
            _SINCE, values
        ).all():
            if period_id == last.get(membership_id):
                self._told[membership_id] = cut_off_at
            began_at = before or cut_off_at - _RHYTHMS[rhythm]
            one = _Period(state=state, cut_off_at=cut_off_at, up_to=up_to, began_at=began_at)
            self._periods.setdefault(membership_id, []).append(one)

    def of(self, community: Community, member: Member, up_to: datetime | None = None) -> History:
        """What was told before the period that ended at `up_to`, which is to be told now; None: before any to come."""
        told, periods = self._told.get(member.membership_id), self._periods.get(member.membership_id, ())
        after = [one for one in periods if told is None or one.cut_off_at > told]
        after = [one for one in after if up_to is None or one.cut_off_at <= up_to]
        quiet = [one for one in after if one.state == "quiet"]
        last = quiet[-1].cut_off_at if quiet else told
        missed = [one for one in after if (last is None or one.cut_off_at > last) and one.up_to >= member.cursor]
        return History(
            since=told,
            quiet=tuple(_joined(quiet)),
            windows=() if up_to is None else tuple(_windows(community, member, missed)),
        )


def _joined(periods: Sequence[_Period]) -> Iterator[Span]:
    """The times of these periods, those that follow on each other as one."""
    begin = end = None
    for one in periods:
        if begin is not None and end is not None and one.began_at > end:
            yield Span(begin=begin, end=end)
            begin = None
        begin, end = begin or one.began_at, one.cut_off_at
    if begin is not None and end is not None:
        yield Span(begin=begin, end=end)


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
