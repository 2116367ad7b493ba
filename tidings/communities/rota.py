"""Who works when: crews walking repeating patterns of shifts in wall-clock time, and the only writer of their tables.

It does not say when a person sleeps or is mailed (digests.schedule does).
"""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import TypeVar

from sqlalchemy import Connection, insert, select

from tidings.clock import zone as zone_named
from tidings.communities.entries import choice, line, parse_wall_time
from tidings.communities.patterns import KNOWN_PATTERNS as KNOWN_PATTERNS
from tidings.communities.patterns import ShiftTimes
from tidings.database import tables
from tidings.errors import NotFoundError, UsageError

OFF = "O"
_DAY = timedelta(days=1)
_NAME_LENGTH = 64
_CYCLE_LENGTH = 400  # more than a year of days


@dataclass(frozen=True, kw_only=True)
class Shift:
    """One span of work, [start, end), in the rota's zone."""

    start: datetime
    end: datetime
    letter: str

    @property
    def length(self) -> timedelta:
        """The time that passes, which on the night of a clock change is not what the wall clock says."""
        return self.end.astimezone(UTC) - self.start.astimezone(UTC)


class Roster:
    """One crew's walk through its cycle, from its start date on. It does not change."""

    def __init__(self, *, zone: str, shifts: ShiftTimes, cycle: str, start_date: date) -> None:
        """`zone` is an IANA name, `cycle` a letter a day of which the first is worked on `start_date`; O is off."""
        self.zone = zone_named(zone)
        self.times = {letter: (_clock(starts), _clock(ends)) for letter, (starts, ends) in shifts.items()}
        self.cycle = cycle
        self.start_date = start_date

    def shifts(self, first_day: date, days: int) -> list[Shift]:
        """The shifts that begin on the `days` local dates from `first_day`, in their order."""
        return list(self._walk(first_day, days))

    def next_start(self, after: datetime) -> Shift | None:
        """The first shift that starts after that moment (aware); None where the cycle is all off."""
        # From the day before, since a gap in the clock can push a start past midnight; over two cycles, since it can
        # swallow the only shift of one.
        first_day = max(self._local_date(after) - _DAY, self.start_date)
        moment = after.astimezone(UTC)  # two times of one zone would be compared by the wall clock
        return next((shift for shift in self._walk(first_day, 2 * len(self.cycle) + 2) if shift.start > moment), None)

    def at(self, moment: datetime) -> Shift | None:
        """The shift on duty at that moment (aware); where two overlap, the one that began last."""
        instant = moment.astimezone(UTC)
        near = self.shifts(self._local_date(moment) - _DAY, 2)
        return next((shift for shift in reversed(near) if shift.start <= instant < shift.end), None)

    def _local_date(self, moment: datetime) -> date:
        return moment.astimezone(self.zone).date()

    def _walk(self, first_day: date, days: int) -> Iterator[Shift]:
        for day in (first_day + n * _DAY for n in range(days)):
            since_start = (day - self.start_date).days
            letter = self.cycle[since_start % len(self.cycle)]
            if since_start < 0 or letter == OFF:
                continue
            starts, ends = self.times[letter]
            start, end = self._instant(day, starts), self._instant(day if ends > starts else day + _DAY, ends)
            if start < end:  # else the clock's gap has swallowed it
                yield Shift(start=start.astimezone(self.zone), end=end.astimezone(self.zone), letter=letter)

    def _instant(self, day: date, clock: time) -> datetime:
        """In UTC: a time that the clock shows twice is the first of the two, one that it skips is an hour later."""
        return datetime.combine(day, clock, self.zone).astimezone(UTC)


def _clock(text: str) -> time:
    return time.fromisoformat(text)


# --- the tables ------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Rota:
    """Shift times in a zone, and one or more cycles by name."""

    id: int
    name: str
    zone: str
    shifts: ShiftTimes
    patterns: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Crew:
    """People who walk one cycle of a rota from a date on."""

    id: int
    name: str
    rota: str
    pattern: str
    cycle: str
    start_date: date


def rotas(connection: Connection) -> list[Rota]:
    """All rotas by name."""
    query = select(tables.rota.c.id, tables.rota.c.name, tables.rota.c.zone).order_by(tables.rota.c.name)
    return [
        Rota(
            id=row.id,
            name=row.name,
            zone=row.zone,
            shifts=_shift_times(connection, row.id),
            patterns=_patterns(connection, row.id),
        )
        for row in connection.execute(query)
    ]


def rota_by_name(connection: Connection, name: str) -> Rota:
    """The rota of that name. Raises NotFoundError, which names the nearest."""
    return _named(rotas(connection), name, "rota")


def crews(connection: Connection) -> list[Crew]:
    """All crews by name."""
    crew, pattern, rota = tables.crew, tables.rota_pattern, tables.rota
    query = (
        select(crew.c.id, crew.c.name, rota.c.name, pattern.c.name, pattern.c.cycle, crew.c.start_date)
        .join_from(crew, pattern, pattern.c.id == crew.c.pattern_id)
        .join(rota, rota.c.id == pattern.c.rota_id)
        .order_by(crew.c.name)
    )
    return [
        Crew(id=id_, name=name, rota=of, pattern=walks, cycle=cycle, start_date=date.fromisoformat(start))
        for id_, name, of, walks, cycle, start in connection.execute(query)
    ]


def crew_by_name(connection: Connection, name: str) -> int:
    """The id of the crew of that name. Raises NotFoundError, which names the nearest."""
    return _named(crews(connection), name, "crew").id


def roster(connection: Connection, crew_id: int) -> Roster:
    """The walk of the crew with that id. Raises NotFoundError."""
    crew, pattern, rota = tables.crew, tables.rota_pattern, tables.rota
    row = connection.execute(
        select(rota.c.id, rota.c.zone, pattern.c.cycle, crew.c.start_date)
        .join_from(crew, pattern, pattern.c.id == crew.c.pattern_id)
        .join(rota, rota.c.id == pattern.c.rota_id)
        .where(crew.c.id == crew_id)
    ).first()
    if row is None:
        raise NotFoundError(f"There is no crew with the id {crew_id}.")
    start_date = date.fromisoformat(row.start_date)
    return Roster(zone=row.zone, shifts=_shift_times(connection, row.id), cycle=row.cycle, start_date=start_date)


def _shift_times(connection: Connection, rota_id: int) -> dict[str, tuple[str, str]]:
    table = tables.rota_shift
    query = select(table.c.letter, table.c.starts, table.c.ends).where(table.c.rota_id == rota_id)
    return {row.letter: (row.starts, row.ends) for row in connection.execute(query.order_by(table.c.starts))}


def _patterns(connection: Connection, rota_id: int) -> dict[str, str]:
    table = tables.rota_pattern
    query = select(table.c.name, table.c.cycle).where(table.c.rota_id == rota_id).order_by(table.c.id)
    return {row.name: row.cycle for row in connection.execute(query)}


_Thing = TypeVar("_Thing", Rota, Crew)


def _named(things: list[_Thing], name: str, what: str) -> _Thing:
    by_name = {thing.name: thing for thing in things}
    try:
        return by_name[choice(name, by_name, what)]
    except UsageError as error:
        raise NotFoundError(str(error)) from None


def add_rota(connection: Connection, *, name: str, zone: str, pattern: str, shifts: str = "") -> Rota:
    """A new rota in an IANA zone.

    `pattern` is a cycle such as `DDNNOOOO` (it is then the one pattern `main`) or the name of a known one (patterns A,
    B, C, D); `shifts` is `D=07:00-19:00,N=19:00-07:00`, and may be empty for a known one. Raises UsageError.
    """
    name = line(name, "rota's name", _NAME_LENGTH)
    if any(rota.name == name for rota in rotas(connection)):
        raise UsageError(f"There is a rota {name!r} already; take another name.")
    times, cycles = _pattern(pattern, shifts)
    for cycle in cycles.values():
        _check_cycle(cycle, times)
    row = {"name": name, "zone": zone_named(zone).key}
    rota_id = connection.execute(insert(tables.rota).values(row).returning(tables.rota.c.id)).scalar_one()
    for letter, (starts, ends) in times.items():
        values = {"rota_id": rota_id, "letter": letter, "starts": starts, "ends": ends}
        connection.execute(insert(tables.rota_shift).values(values))
    for called, cycle in cycles.items():
        connection.execute(insert(tables.rota_pattern).values(rota_id=rota_id, name=called, cycle=cycle))
    return rota_by_name(connection, name)


def _pattern(pattern: str, shifts: str) -> tuple[ShiftTimes, Mapping[str, str]]:
    """The shift times and the cycles by name that were asked for."""
    known = KNOWN_PATTERNS.get(pattern.strip().lower())
    if known:
        return (parse_shifts(shifts) if shifts.strip() else known.shifts), known.cycles
    if not re.fullmatch(r"[A-Z]+", pattern.strip()):
        raise UsageError(
            f"{pattern!r} is no pattern; write a letter a day such as DDNNOOOO (O is off) or one of "
            f"{', '.join(KNOWN_PATTERNS)}."
        )
    return parse_shifts(shifts), {"main": pattern.strip()}


def _check_cycle(cycle: str, times: ShiftTimes) -> None:
    missing = sorted(set(cycle) - set(times) - {OFF})
    if missing:
        raise UsageError(
            f"The pattern has {missing[0]}, which has no times; add {missing[0]}=07:00-19:00 to the shifts."
        )
    if set(cycle) == {OFF}:
        raise UsageError(f"The pattern {cycle!r} has no day of work (O is off); write a letter a day such as DDNNOOOO.")
    if len(cycle) > _CYCLE_LENGTH:
        raise UsageError(f"The pattern is longer than {_CYCLE_LENGTH} days; write the part that repeats.")


def parse_shifts(text: str) -> dict[str, tuple[str, str]]:
    """Shift times by letter, from `D=07:00-19:00,N=19:00-07:00`. Raises UsageError."""
    times: dict[str, tuple[str, str]] = {}
    for part in text.split(","):
        found = re.fullmatch(r"([A-Z])=([0-9:]+)-([0-9:]+)", part.strip())
        if not found:
            raise UsageError(f"{part.strip()!r} is no shift; write shifts like D=07:00-19:00,N=19:00-07:00.")
        letter, starts, ends = found.groups()
        if letter == OFF or letter in times:
            why = "means off" if letter == OFF else "stands twice"
            raise UsageError(f"{letter} {why} in the shifts {text!r}; take another letter.")
        times[letter] = (parse_wall_time(starts), parse_wall_time(ends))
    return times


def add_crew(connection: Connection, *, name: str, rota: str, start_date: date, pattern: str | None = None) -> Crew:
    """A new crew, which works the first letter of its pattern on `start_date` and nothing before it.

    A rota of several patterns needs one named. Raises NotFoundError (rota) and UsageError.
    """
    name = line(name, "crew's name", _NAME_LENGTH)
    if any(crew.name == name for crew in crews(connection)):
        raise UsageError(f"There is a crew {name!r} already; take another name.")
    walked = rota_by_name(connection, rota)
    if pattern is None and len(walked.patterns) > 1:
        raise UsageError(f"The rota {rota!r} has several patterns; name one of {', '.join(walked.patterns)}.")
    called = choice(pattern, walked.patterns, "pattern") if pattern is not None else next(iter(walked.patterns))
    table = tables.rota_pattern
    pattern_id = connection.execute(select(table.c.id).where(table.c.rota_id == walked.id, table.c.name == called))
    values = {"name": name, "pattern_id": pattern_id.scalar_one(), "start_date": start_date.isoformat()}
    connection.execute(insert(tables.crew).values(values))
    return next(crew for crew in crews(connection) if crew.name == name)
