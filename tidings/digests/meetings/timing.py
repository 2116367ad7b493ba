"""When a member is told of a meeting: at a shift start before it, or with their digest where that is nearer; pure."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from tidings.clock import zone
from tidings.communities.directory import Community, Member
from tidings.communities.roster import Roster
from tidings.digests import schedule
from tidings.digests.meetings.diary import INVITED, Sitting

_DAY = timedelta(days=1)
_MORNING = "08:00"


def agenda_due(
    member: Member,
    roster: Roster | None,
    community: Community,
    sitting: Sitting,
    *,
    notice: timedelta,
    now: datetime,
    site_zone: str,
) -> datetime:
    """When (UTC) the agenda of a sitting goes to a member, from `now` on.

    That is the last moment at which input is still printed under its items, of those at which one of the member's
    shifts starts or a digest comes to them; else the last of these before the sitting, and for whoever has none the day
    before, at their hour. What was planned too late for any goes out now, unless they sleep.
    """
    opens, until = sitting.starts_at - INVITED, sitting.starts_at - notice
    found = _moments(member, roster, community, sitting, (opens, until), site_zone)
    moments = [one for one in found if one >= now]
    in_time = [one for one in moments if one <= until]
    late = [one for one in moments if one < sitting.starts_at]
    if in_time or late:
        return max(in_time or late)
    return schedule.wake(roster, max(now, _day_before(member, roster, until, site_zone)))


def _moments(
    member: Member,
    roster: Roster | None,
    community: Community,
    sitting: Sitting,
    window: tuple[datetime, datetime],
    site_zone: str,
) -> Iterator[datetime]:
    """When mail comes to a member anyway in the days before a sitting; `window` ends when input does."""
    opens, until = window
    if roster is not None and schedule.by_shift(member):
        first = opens.astimezone(roster.zone).date()
        for shift in roster.shifts(first, (sitting.starts_at - opens).days + 2):
            yield shift.start.astimezone(UTC)
    else:
        yield _day_before(member, roster, until, site_zone)
    if member.delivery in ("weekly", "daily"):
        weekday = None if member.delivery == "daily" else community.cut_off_weekday
        cut_offs = schedule.cut_offs(weekday, community.cut_off_time, community.zone, opens, sitting.starts_at)
        yield from (schedule.due(member, roster, one, site_zone) for one in cut_offs)


def _day_before(member: Member, roster: Roster | None, until: datetime, site_zone: str) -> datetime:
    """The last time by `until` when it is the member's hour, or when they are up again where they sleep then."""
    zone_name = schedule.zone_of(member, roster, site_zone)
    today = until.astimezone(zone(zone_name)).date()
    hours = (schedule.wall(today - n * _DAY, member.digest_time or _MORNING, zone_name) for n in range(3))
    return next(moment for hour in hours if (moment := schedule.wake(roster, hour)) <= until)


def soon(roster: Roster | None, now: datetime, before: datetime) -> datetime:
    """When (UTC) a member is told what cannot wait: now if at work, else at the next shift start `before` then.

    Where none starts by then it is now as well, once they are awake.
    """
    if roster is None or roster.at(now):
        return now
    following = roster.next_start(now)
    start = following.start.astimezone(UTC) if following else None
    return start if start is not None and start < before else schedule.wake(roster, now)
