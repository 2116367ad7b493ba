"""Rotas, their patterns and the crews that walk them: read from what people type, and the only writer of their tables.

What a crew works on a day is roster's to say, and what is worked instead is in changes.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any, TypeVar

from sqlalchemy import Connection, delete, insert, select, update

from tidings.clock import zone as zone_named
from tidings.communities import patterns
from tidings.communities.entries import choice, line, parse_date
from tidings.communities.roster import ShiftTimes
from tidings.database import tables
from tidings.errors import NotFoundError, UsageError

_NAME_LENGTH = 64


@dataclass(frozen=True, kw_only=True)
class Rota:
    """Shift times in a zone, and cycles by name; one whose shifts come from a calendar is empty."""

    id: int
    name: str
    zone: str
    shifts: ShiftTimes
    patterns: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Crew:
    """People who walk one cycle of a rota from a date on; it is empty where they work a calendar."""

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
            shifts=shift_times(connection, row.id),
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


def shift_times(connection: Connection, rota_id: int) -> dict[str, tuple[str, str]]:
    """The times of each letter of a rota."""
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
    """A new rota in an IANA zone; what `pattern` and `shifts` may be, `patterns.parse` says. Raises UsageError."""
    times, cycles = patterns.parse(pattern, shifts)
    rota_id = _insert_rota(connection, name, zone, times)
    for called, cycle in cycles.items():
        add_pattern(connection, rota_id, called, cycle)
    return rota_by_name(connection, name.strip())


def add_bare_rota(connection: Connection, *, name: str, zone: str, shifts: str = "") -> Rota:
    """A new rota without a pattern, for calendars. Raises UsageError."""
    _insert_rota(connection, name, zone, patterns.parse_shifts(shifts) if shifts.strip() else {})
    return rota_by_name(connection, name.strip())


def _insert_rota(connection: Connection, name: str, zone: str, times: ShiftTimes) -> int:
    row = {"name": _new_name(name, "rota", rotas(connection)), "zone": zone_named(zone).key}
    rota_id: int = connection.execute(insert(tables.rota).values(row).returning(tables.rota.c.id)).scalar_one()
    _insert_times(connection, rota_id, times)
    return rota_id


def _new_name(name: str, what: str, there: Sequence[Rota | Crew]) -> str:
    name = line(name, f"{what}'s name", _NAME_LENGTH)
    if any(one.name == name for one in there):
        raise UsageError(f"There is a {what} {name!r} already; take another name.")
    return name


def _insert_times(connection: Connection, rota_id: int, times: ShiftTimes) -> None:
    for letter, (starts, ends) in times.items():
        values = {"rota_id": rota_id, "letter": letter, "starts": starts, "ends": ends}
        connection.execute(insert(tables.rota_shift).values(values))


def add_pattern(connection: Connection, rota_id: int, name: str, cycle: str) -> int:
    """One more pattern of a rota; its id. Raises UsageError where the name cannot be one."""
    values = {"rota_id": rota_id, "name": line(name, "pattern's name", _NAME_LENGTH), "cycle": cycle}
    table = tables.rota_pattern
    pattern_id: int = connection.execute(insert(table).values(values).returning(table.c.id)).scalar_one()
    return pattern_id


def set_rota(connection: Connection, name: str, changes: Mapping[str, str]) -> Rota:
    """The rota after changes of its zone, its shifts and its patterns.

    `shifts` stand in place of those that were; `pattern` is `B=DDNNOOOO`, which changes the pattern B or adds it.
    Raises NotFoundError and UsageError.
    """
    found = rota_by_name(connection, name)
    for key in changes:
        choice(key, ("zone", "shifts", "pattern"), "setting")
    times = patterns.parse_shifts(changes["shifts"]) if "shifts" in changes else found.shifts
    cycles = {**found.patterns, **(patterns.parse_cycles(changes["pattern"]) if "pattern" in changes else {})}
    for cycle in filter(None, cycles.values()):  # a calendar has none
        patterns.check_cycle(cycle, times)
    if "zone" in changes:
        zone = zone_named(changes["zone"]).key
        connection.execute(update(tables.rota).where(tables.rota.c.id == found.id).values(zone=zone))
    if "shifts" in changes:
        connection.execute(delete(tables.rota_shift).where(tables.rota_shift.c.rota_id == found.id))
        _insert_times(connection, found.id, times)
    _set_patterns(connection, found, cycles)
    return rota_by_name(connection, name)


def _set_patterns(connection: Connection, was: Rota, cycles: Mapping[str, str]) -> None:
    for called, cycle in cycles.items():
        if called not in was.patterns:
            add_pattern(connection, was.id, called, cycle)
        elif cycle != was.patterns[called]:
            if not was.patterns[called]:
                raise UsageError(f"The shifts of {called!r} come from a calendar; take another name for the pattern.")
            row = (tables.rota_pattern.c.rota_id == was.id) & (tables.rota_pattern.c.name == called)
            connection.execute(update(tables.rota_pattern).where(row).values(cycle=cycle))


def add_crew(connection: Connection, *, name: str, rota: str, start_date: date, pattern: str | None = None) -> Crew:
    """A new crew, which works the first letter of its pattern on `start_date` and nothing before it.

    A rota of several patterns needs one named. Raises NotFoundError (rota) and UsageError.
    """
    name = _new_name(name, "crew", crews(connection))
    pattern_id = _pattern_id(connection, rota, pattern)
    values = {"name": name, "pattern_id": pattern_id, "start_date": start_date.isoformat()}
    connection.execute(insert(tables.crew).values(values))
    return _named(crews(connection), name, "crew")


def set_crew(connection: Connection, name: str, changes: Mapping[str, str]) -> Crew:
    """The crew after changes of its name, pattern and start (a date). Raises NotFoundError and UsageError."""
    found = _named(crews(connection), name, "crew")
    values: dict[str, Any] = {}
    for key, text in changes.items():
        match choice(key, ("name", "pattern", "start"), "setting"):
            case "name":
                others = [crew for crew in crews(connection) if crew.id != found.id]
                values["name"] = _new_name(text, "crew", others)
            case "pattern":
                values["pattern_id"] = _pattern_id(connection, found.rota, text)
            case "start":
                values["start_date"] = parse_date(text).isoformat()
    if values:
        connection.execute(update(tables.crew).where(tables.crew.c.id == found.id).values(values))
    return next(crew for crew in crews(connection) if crew.id == found.id)


def _pattern_id(connection: Connection, rota: str, pattern: str | None) -> int:
    walked = rota_by_name(connection, rota)
    if pattern is None and len(walked.patterns) > 1:
        raise UsageError(f"The rota {rota!r} has several patterns; name one of {', '.join(walked.patterns)}.")
    called = next(iter(walked.patterns), "") if pattern is None else pattern
    choice(called, walked.patterns, "pattern")
    table = tables.rota_pattern
    query = select(table.c.id).where(table.c.rota_id == walked.id, table.c.name == called)
    pattern_id: int = connection.execute(query).scalar_one()
    return pattern_id
