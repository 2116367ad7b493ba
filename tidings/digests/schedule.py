"""When: cut-offs, due times, sleep after nights, the next meeting; all wall-clock time in IANA zones, pure.

It reads no clock and no database. Wall time in the gap of a DST night is taken forward, in its fold it is the first of
the two, so that each comes once.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta

from tidings.clock import zone
from tidings.communities import digest_times
from tidings.communities.directory import Community, Member
from tidings.communities.roster import Roster, Shift
from tidings.digests.fragments import Timing

SLEEP = timedelta(hours=9)
"""How long nobody is mailed after the end of a night shift."""

BEFORE_THE_END = timedelta(minutes=digest_times.BEFORE_THE_END)

_DAY = timedelta(days=1)
_INSTANT = timedelta(microseconds=1)
_MONDAY = 0
_MORNING = "08:00"
_DEEP_NIGHT = time(3)
_DAYS_TO_A_DAY_OFF = 62


def cut_offs(weekday: int | None, at: str, zone_name: str, after: datetime, until: datetime) -> Iterator[datetime]:
    """Moments (UTC) in (after, until] when it is `at` (HH:MM) on the weekday (0 is Monday; None: every day) there."""
    last = after
    for day in _days(after.astimezone(zone(zone_name)).date() - _DAY):
        moment = wall(day, at, zone_name)
        if moment > until:
            return
        # `> last`: where a zone skips a whole day, two dates fall on one moment.
        if moment > last and weekday in (None, day.weekday()):
            yield moment
            last = moment


def next_at(weekday: int | None, at: str, zone_name: str, start: datetime) -> datetime:
    """The first moment (UTC) at or after `start` when it is `at` (HH:MM) on the weekday (None: any day) in the zone."""
    for day in _days(start.astimezone(zone(zone_name)).date() - _DAY):
        moment = wall(day, at, zone_name)
        if moment >= start and weekday in (None, day.weekday()):
            return moment
    raise AssertionError("the days ended")


def zone_of(member: Member, roster: Roster | None, site_zone: str) -> str:
    """The zone a member reads times in: their own, else their rota's, else the site's."""
    return member.zone or (roster.zone.key if roster else site_zone)


def due(member: Member, roster: Roster | None, cut_off: datetime, site_zone: str) -> datetime:
    """When (UTC) the edition of the period that ended at `cut_off` goes to the member.

    With a roster, as the member chose: when the first shift after it starts, shortly before that shift ends, or on the
    first day off. Else, and where the member named a day, at their weekday (a daily member: any day) and hour. Neither
    an hour nor a day off falls into the sleep after a night shift.
    """
    moment = _by_shift(member, roster, cut_off, site_zone) if roster and by_shift(member) else None
    if moment is not None:
        return moment
    weekday = None if member.delivery == "daily" else _named(member)
    moment = next_at(weekday, member.digest_time or _MORNING, zone_of(member, roster, site_zone), cut_off)
    return wake(roster, moment)


def by_shift(member: Member) -> bool:
    """Whether the member's editions follow their shifts: they named no day of the week."""
    return member.digest_at != "day"


def _by_shift(member: Member, roster: Roster, cut_off: datetime, site_zone: str) -> datetime | None:
    """The moment in a member's shifts; None where there are none to come."""
    if member.digest_at == "off":
        free = _day_off(member, roster, cut_off, zone_of(member, roster, site_zone))
        if free is not None:
            return free
    first = roster.next_start(cut_off)
    if first is None:
        return None
    start, end = first.start.astimezone(UTC), first.end.astimezone(UTC)
    return max(start, end - BEFORE_THE_END) if member.digest_at == "end" else start


def _day_off(member: Member, roster: Roster, cut_off: datetime, zone_name: str) -> datetime | None:
    """The member's hour of the first day after the cut-off on which no shift begins; None where none is near.

    Where a night shift reaches into that day, it is once the member is up again.
    """
    today = cut_off.astimezone(zone(zone_name)).date()
    works = {shift.start.date() for shift in roster.shifts(today - _DAY, _DAYS_TO_A_DAY_OFF)}
    for day in (today + n * _DAY for n in range(_DAYS_TO_A_DAY_OFF - 1)):
        moment = wall(day, member.digest_time or _MORNING, zone_name)
        if day not in works and moment > cut_off:
            shift = roster.at(moment)
            return wake(roster, shift.end.astimezone(UTC) if shift else moment)
    return None


def _named(member: Member) -> int:
    return _MONDAY if member.digest_weekday is None else member.digest_weekday


def timing(member: Member, roster: Roster | None, community: Community) -> Timing:
    """When a member's editions come, as it is told."""
    daily, hour = member.delivery == "daily", member.digest_time or _MORNING
    if roster is None or not by_shift(member):
        return Timing(comes="day", weekday=None if daily else _named(member), time=hour)
    after = Timing(
        comes="shift",
        weekday=None if daily else community.cut_off_weekday,
        time=community.cut_off_time,
        zone=community.zone,
    )
    match member.digest_at:
        case "end":
            return replace(after, comes="end", minutes=digest_times.BEFORE_THE_END)
        case "off":
            return replace(after, comes="off", hour=hour)
        case _:
            return after


def is_night(shift: Shift) -> bool:
    """Whether the shift is a night shift: three in the morning lies in it."""
    nights = (datetime.combine(day, _DEEP_NIGHT, shift.start.tzinfo) for day in (shift.start.date(), shift.end.date()))
    return any(shift.start <= night < shift.end for night in nights)


def slept_off(roster: Roster, moment: datetime) -> Shift | None:
    """The night shift after which the member sleeps at `moment` (UTC); None where they are awake or at work."""
    if roster.at(moment):
        return None
    first = moment.astimezone(roster.zone).date() - 2 * _DAY
    # Sums are made in UTC: nine hours of sleep are nine hours in a DST night too.
    return next(
        (s for s in roster.shifts(first, 3) if is_night(s) and timedelta() <= moment - s.end.astimezone(UTC) < SLEEP),
        None,
    )


def wake(roster: Roster | None, moment: datetime) -> datetime:
    """`moment` (UTC), or where the member sleeps then after a night shift, the end of that sleep."""
    shift = slept_off(roster, moment) if roster else None
    if roster is None or shift is None:
        return moment
    risen = shift.end.astimezone(UTC) + SLEEP
    following = roster.next_start(moment)
    return min(risen, following.start.astimezone(UTC)) if following else risen


@dataclass(frozen=True, kw_only=True)
class QuietHours:
    """A time (UTC), [begin, end), in which copies to a member are held; until `risen` even urgent ones are."""

    begin: datetime
    end: datetime
    risen: datetime | None


def quiet_hours(roster: Roster | None, kind: str, now: datetime) -> QuietHours | None:
    """The quiet hours of a `kind` that are now or come next; None where there are none to come.

    `asleep`: the sleep after a night shift. `off`: from the end of a shift to the start of the next.
    """
    if roster is None or kind == "none":
        return None
    begin = _free(roster, now) if kind == "off" else _falls_asleep(roster, now)
    if begin is None:
        return None
    risen = wake(roster, begin)
    if kind == "asleep":
        return QuietHours(begin=begin, end=risen, risen=risen)
    following = roster.next_start(begin - _INSTANT)
    if following is None:
        return None
    return QuietHours(begin=begin, end=following.start.astimezone(UTC), risen=risen if risen > begin else None)


def _free(roster: Roster, now: datetime) -> datetime | None:
    """The first moment from `now` on at which the member is off shift; None where there is none near."""
    moment = now
    for _ in range(_DAYS_TO_A_DAY_OFF):
        shift = roster.at(moment)
        if shift is None:
            return moment
        moment = shift.end.astimezone(UTC)
    return None


def _falls_asleep(roster: Roster, now: datetime) -> datetime | None:
    """The first moment from `now` on at which the member sleeps after a night shift; None where there is none near."""
    if slept_off(roster, now):
        return now
    first = now.astimezone(roster.zone).date() - 2 * _DAY
    ends = (shift.end.astimezone(UTC) for shift in roster.shifts(first, _DAYS_TO_A_DAY_OFF) if is_night(shift))
    return next((end for end in ends if end > now and slept_off(roster, end)), None)


def _days(first: date) -> Iterator[date]:
    while True:
        yield first
        first += _DAY


def wall(day: date, at: str, zone_name: str) -> datetime:
    """The moment (UTC) when it is `at` (HH:MM) on that day in the zone."""
    # fold=0 is what the module promises: forward out of a gap, the first of a fold (PEP 495).
    return datetime.combine(day, time.fromisoformat(at), zone(zone_name)).astimezone(UTC)
