"""Calendars of rotas: shifts that were read from an iCalendar file or feed; the only writer of their tables.

A calendar is a pattern of a rota, which a crew works in place of a cycle. What was read last stays in force until a
newer reading succeeds. It fetches and reads nothing itself (feed does).
"""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, Select, delete, insert, select, update

from tidings.clock import zone as zone_named
from tidings.communities import feed, rota
from tidings.communities.feed import Answer, Question
from tidings.communities.patterns import parse_shifts
from tidings.communities.roster import ShiftTimes
from tidings.database import tables
from tidings.database.engine import Database
from tidings.errors import UsageError

EVERY = timedelta(days=1)
"""How long a feed is left alone after it was asked for, whatever it answered."""

_BACK = timedelta(days=14)  # that far back shifts are read too: who sleeps, and what was last week, is known
_AT_ONCE = 5  # feeds of one run: each may take half a minute
_URL_LENGTH = 2_000

_calendar, _shift = tables.calendar.c, tables.calendar_shift.c

Changed = Callable[[Connection], object]
"""Told in the transaction in which shifts changed, so that what waits for them is planned anew."""


@dataclass(frozen=True, kw_only=True)
class Calendar:
    """A calendar: of which pattern of which rota, where from, and how the last try to read it went."""

    id: int
    rota: str
    pattern: str
    source: str
    checked_at: datetime
    read_at: datetime
    error: str | None
    left_out: str


@dataclass(frozen=True, kw_only=True)
class Target:
    """Who is to work a calendar: a crew of a rota, and where there is no such rota yet, its zone and shift times."""

    rota: str
    crew: str
    zone: str = ""
    shifts: str = ""


@dataclass(frozen=True, kw_only=True)
class Brought:
    """A calendar that was read, and how many shifts are in it."""

    calendar: Calendar
    shifts: int


def listing(connection: Connection) -> list[Calendar]:
    """All calendars by rota and pattern."""
    return [Calendar(**row) for row in connection.execute(_all().order_by("rota", "pattern")).mappings()]


def _all() -> Select[int, str, str, str, datetime, datetime, str | None, str]:
    rota_, pattern = tables.rota.c, tables.rota_pattern.c
    return (
        select(
            _calendar.id,
            rota_.name.label("rota"),
            pattern.name.label("pattern"),
            _calendar.source,
            _calendar.checked_at,
            _calendar.read_at,
            _calendar.error,
            _calendar.left_out,
        )
        .join_from(tables.calendar, tables.rota_pattern, pattern.id == _calendar.pattern_id)
        .join(tables.rota, rota_.id == pattern.rota_id)
    )


def bring_in(
    database: Database, *, source: str, to: Target, default_zone: str, now: datetime, changed: Changed
) -> Brought:
    """Let a crew work what the calendar at `source`, a URL or a file, says; in place of its calendar where it has one.

    Nothing is written unless the calendar can be read. Raises UsageError.
    """
    with database.read() as connection:
        there = next((one for one in rota.rotas(connection) if one.name == to.rota), None)
    if there and (to.shifts or to.zone not in ("", there.zone)):
        raise UsageError(f"There is a rota {to.rota!r} already, with its own zone and shifts; leave these out.")
    zone = there.zone if there else to.zone or default_zone
    times = there.shifts if there else parse_shifts(to.shifts) if to.shifts else {}
    answer = _ask(source, zone, times, now)
    if answer.error:
        raise UsageError(f"Cannot read {source}: {answer.error}")
    with database.write() as connection:
        if not there:
            rota.add_bare_rota(connection, name=to.rota, zone=zone, shifts=to.shifts)
        calendar_id = _calendar_of(connection, to, source, now)
        if _write(connection, calendar_id, answer, now):
            changed(connection)
        return Brought(calendar=_get(connection, calendar_id), shifts=len(answer.spans))


def _calendar_of(connection: Connection, to: Target, source: str, now: datetime) -> int:
    """The id of the calendar of the crew, which is made where there is none; its source is from now on this one."""
    there = next((one for one in listing(connection) if (one.rota, one.pattern) == (to.rota, to.crew)), None)
    if there:
        connection.execute(update(tables.calendar).where(_calendar.id == there.id).values(source=source))
        return there.id
    found = rota.rota_by_name(connection, to.rota)
    if to.crew in found.patterns:
        raise UsageError(f"The rota {to.rota!r} has a pattern {to.crew!r}; take another name for the crew.")
    pattern_id = rota.add_pattern(connection, found.id, to.crew, "")
    first_day = _first_day(found.zone, now)
    rota.add_crew(connection, name=to.crew, rota=to.rota, start_date=first_day, pattern=to.crew)
    values = {"pattern_id": pattern_id, "source": source, "checked_at": now, "read_at": now, "left_out": ""}
    made: int = connection.execute(insert(tables.calendar).values(values).returning(_calendar.id)).scalar_one()
    return made


def _ask(source: str, zone: str, shifts: ShiftTimes, now: datetime) -> Answer:
    url = source if feed.is_url(source) else ""
    if len(source) > _URL_LENGTH:
        return Answer(error=f"The address is longer than {_URL_LENGTH} characters.")
    data = b"" if url else _file(source)
    return feed.ask(Question(url=url, data=data, zone=zone, shifts=shifts, first_day=_first_day(zone, now)))


def _first_day(zone: str, now: datetime) -> date:
    return (now - _BACK).astimezone(zone_named(zone)).date()


def _file(source: str) -> bytes:
    try:
        with Path(source).open("rb") as file:
            raw = file.read(feed.SIZE + 1)
    except OSError as error:
        raise UsageError(f"Cannot read {source}: {error.strerror}.") from error
    if len(raw) > feed.SIZE:
        raise UsageError(f"{source} is longer than {feed.SIZE // 1_000_000} MB.")
    return raw


def refresh_due(database: Database, now: datetime, changed: Changed) -> None:
    """Ask again for the feeds that were last asked for a day ago, a few in one run; files stay as they were read."""
    with database.read() as connection:
        due = select(_calendar.id).where(_calendar.checked_at <= now - EVERY).order_by(_calendar.checked_at)
        ids = [one for one in connection.execute(due).scalars() if feed.is_url(_get(connection, one).source)]
    for calendar_id in ids[:_AT_ONCE]:
        refresh(database, calendar_id, now, changed)


def _get(connection: Connection, calendar_id: int) -> Calendar:
    return Calendar(**connection.execute(_all().where(_calendar.id == calendar_id)).mappings().one())


def refresh(database: Database, calendar_id: int, now: datetime, changed: Changed) -> None:
    """Ask for a feed, unless another process is at it; where that fails, its shifts stay and the error is kept."""
    with database.write() as connection:
        was = _get(connection, calendar_id)
        taken = update(tables.calendar).where(_calendar.id == calendar_id, _calendar.checked_at <= now - EVERY)
        if not connection.execute(taken.values(checked_at=now)).rowcount:
            return
        of = rota.rota_by_name(connection, was.rota)
    answer = _ask(was.source, of.zone, of.shifts, now)
    with database.write() as connection:
        if _write(connection, calendar_id, answer, now):
            changed(connection)


def _write(connection: Connection, calendar_id: int, answer: Answer, now: datetime) -> bool:
    """Keep what was answered; whether shifts changed by it."""
    mine = update(tables.calendar).where(_calendar.id == calendar_id)
    if answer.error:
        connection.execute(mine.values(checked_at=now, error=answer.error))
        return False
    connection.execute(mine.values(checked_at=now, read_at=now, error=None, left_out=answer.left_out))
    of_it = _shift.calendar_id == calendar_id
    query = select(_shift.starts_at, _shift.ends_at, _shift.title).where(of_it)
    if sorted(map(tuple, connection.execute(query))) == sorted(answer.spans):
        return False
    connection.execute(delete(tables.calendar_shift).where(of_it))
    if answer.spans:
        connection.execute(
            insert(tables.calendar_shift),
            [
                {"calendar_id": calendar_id, "starts_at": starts, "ends_at": ends, "title": title}
                for starts, ends, title in answer.spans
            ],
        )
    return True
