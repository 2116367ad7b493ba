"""When: cut-offs, due times, sleep after nights, the next meeting; all wall-clock time in IANA zones, pure.

It reads no clock and no database. Wall time in the gap of a DST night is taken forward, in its fold it is the first of
the two, so that each comes once.
"""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta

from tidings.clock import zone
from tidings.communities.directory import Community, Member
from tidings.communities.rota import Roster, Shift

SLEEP = timedelta(hours=9)
"""How long nobody is mailed after the end of a night shift."""

WEEKDAYS = ("Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday")

FIRST_DAY = date(2020, 1, 1)
_DAY = timedelta(days=1)
_MONDAY = 0
_MORNING = "08:00"
_DEEP_NIGHT = time(3)


def cut_offs(weekday: int | None, at: str, zone_name: str, after: datetime, until: datetime) -> Iterator[datetime]:
    """Moments (UTC) in (after, until] when it is `at` (HH:MM) on the weekday (0 is Monday; None: every day) there."""
    last = after
    for day in _days(after.astimezone(zone(zone_name)).date() - _DAY):
        moment = _moment(day, at, zone_name)
        if moment > until:
            return
        # `> last`: where a zone skips a whole day, two dates fall on one moment.
        if moment > last and weekday in (None, day.weekday()):
            yield moment
            last = moment


def next_at(weekday: int | None, at: str, zone_name: str, start: datetime) -> datetime:
    """The first moment (UTC) at or after `start` when it is `at` (HH:MM) on the weekday (None: any day) in the zone."""
    for day in _days(start.astimezone(zone(zone_name)).date() - _DAY):
        moment = _moment(day, at, zone_name)
        if moment >= start and weekday in (None, day.weekday()):
            return moment
    raise AssertionError("the days ended")


def zone_of(member: Member, roster: Roster | None, site_zone: str) -> str:
    """The zone a member reads times in: their own, else their rota's, else the site's."""
    return member.zone or (roster.zone.key if roster else site_zone)


def due(member: Member, roster: Roster | None, cut_off: datetime, site_zone: str) -> datetime:
    """When (UTC) the edition of the period that ended at `cut_off` goes to the member.

    At the start of the first shift after it; or, where no crew is known or the member named a day, at the member's
    weekday (a daily member: any day) and hour, which waits while the member sleeps after a night shift.
    """
    first = roster.next_start(cut_off) if roster and by_shift(member) else None
    if first is not None:
        return first.start.astimezone(UTC)
    weekday = None if member.delivery == "daily" else _named(member)
    moment = next_at(weekday, member.digest_time or _MORNING, zone_of(member, roster, site_zone), cut_off)
    return wake(roster, moment)


def by_shift(member: Member) -> bool:
    """Whether the member wants editions at shift starts: a crew is known and no day was named."""
    return member.crew_id is not None and member.digest_weekday is None


def _named(member: Member) -> int:
    return _MONDAY if member.digest_weekday is None else member.digest_weekday


def timing(member: Member, roster: Roster | None, community: Community) -> str:
    """The sentence that tells a member when their editions come."""
    day = "every day" if member.delivery == "daily" else f"on {WEEKDAYS[_named(member)]}s"
    if roster is None or not by_shift(member):
        return f"It comes {day} at {member.digest_time or _MORNING}."
    weekday = "" if member.delivery == "daily" else f"{WEEKDAYS[community.cut_off_weekday]} "
    return f"It comes when your first shift after {weekday}{community.cut_off_time} ({community.zone}) starts."


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


def _days(first: date) -> Iterator[date]:
    while True:
        yield first
        first += _DAY


def _moment(day: date, at: str, zone_name: str) -> datetime:
    # fold=0 is what the module promises: forward out of a gap, the first of a fold (PEP 495).
    return datetime.combine(day, time.fromisoformat(at), zone(zone_name)).astimezone(UTC)
