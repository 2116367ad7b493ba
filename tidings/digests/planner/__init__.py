"""The planner of meetings: when to meet so that those who work in shifts are reached, from the rosters of a community.

It reads and changes nothing: a plan is a proposal, and `tidings meeting add` takes it up.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection

from tidings.clock import zone
from tidings.communities import directory, rota
from tidings.communities.directory import Community
from tidings.communities.rosters import Rosters
from tidings.digests.meetings import series
from tidings.digests.planner.choices import Choice, Choices
from tidings.digests.planner.reach import Reach, Worker, measure
from tidings.digests.planner.slots import Slot
from tidings.errors import UsageError

LONGEST = 12
"""Weeks that are looked at unless more are asked for."""

_YEARS = range(1900, 3000)


@dataclass(frozen=True, kw_only=True)
class Plan:
    """Who is on shift at each candidate hour, and what is proposed.

    `first` is a Monday, `repeats` after how many weeks the shifts are the same again (None: never), `crewless` are the
    members whose hours nobody knows; they are not counted. `reachable` says of each group of the reach whether it is on
    shift at any of the hours. Where nobody is, nothing is proposed.
    """

    community: Community
    first: date
    repeats: int | None
    reach: Reach
    crewless: tuple[str, ...]
    reachable: tuple[bool, ...]
    current: Choice | None  # the community's meeting as it is set
    best: Choice | None
    pair: Choice | None
    rotation: Choice | None
    rotation_pays: bool  # it is fairer than one fixed hour can be

    @property
    def weeks(self) -> int:
        """How many weeks were looked at."""
        return self.reach.weeks


def plan(
    connection: Connection,
    name: str,
    slots: Sequence[Slot],
    now: datetime,
    *,
    day: date | None = None,
    weeks: int | None = None,
) -> Plan:
    """The plan of the community of that name, from the week of `day` on, or from the next Monday.

    Without `weeks`: until the shifts repeat, and a rotation can come to each crew; at most LONGEST.
    Raises NotFoundError and UsageError.
    """
    community = directory.community(connection, name)
    first = _first_week(day, now, community.zone)
    workers, crewless = _people(connection, community)
    repeats, had = _repeats(workers), _meets_at(connection, community)
    reach = measure(
        workers,
        sorted({*slots, *([had] if had else [])}),
        zone=community.zone,
        first=first,
        weeks=weeks or _weeks(repeats, len({worker.crew for worker in workers})),
    )
    choices = Choices(reach, slots, had)
    rotation, fixed = choices.rotation(), choices.fairest()
    return Plan(
        community=community,
        first=first,
        repeats=repeats,
        reach=reach,
        crewless=tuple(crewless),
        reachable=choices.reachable,
        current=choices.every_week(had) if had else None,
        best=choices.single(),
        pair=choices.pair(),
        rotation=rotation,
        rotation_pays=bool(rotation and fixed and choices.fairness(rotation) > choices.fairness(fixed)),
    )


def _first_week(day: date | None, now: datetime, zone_name: str) -> date:
    """The Monday of the week of `day`, or the first Monday from today (of the zone) on."""
    if (day or now).year not in _YEARS:
        raise UsageError(f"{day or now:%Y-%m-%d} is too far away to plan; write a date like 2026-10-14.")
    if day:
        return day - timedelta(days=day.weekday())
    today = now.astimezone(zone(zone_name)).date()
    return today + timedelta(days=-today.weekday() % 7)


def _people(connection: Connection, community: Community) -> tuple[list[Worker], list[str]]:
    """The members who are in a crew, and the addresses of those who are not."""
    rosters = Rosters(connection)
    crews = {crew.id: crew.name for crew in rota.crews(connection)}
    workers, crewless = [], []
    for member in directory.members(connection, community.id):
        roster = rosters.of(member.person_id, member.crew_id)
        if roster is None or member.crew_id is None:
            crewless.append(member.email)
        else:
            workers.append(Worker(email=member.email, crew=crews[member.crew_id], roster=roster))
    return workers, crewless


def _repeats(workers: Sequence[Worker]) -> int | None:
    days = {worker.roster.repeats for worker in workers}
    return None if None in days else math.lcm(7, *(one for one in days if one)) // 7


def _weeks(repeats: int | None, crews: int) -> int:
    once = min(repeats or LONGEST, LONGEST)
    rounds = min(-(-crews // once), LONGEST // once)
    return once * max(1, rounds)


def _meets_at(connection: Connection, community: Community) -> Slot | None:
    """The hour of the first session of its first series, which need not be a candidate; None where it has none."""
    found = series.of_community(connection, community.id)
    if not found:
        return None
    first = found[0].sessions[0]
    return Slot(weekday=(found[0].first_day.weekday() + first.day) % 7, time=first.starts)
