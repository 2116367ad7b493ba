"""Reads the rosters of crews and of people: what their pattern or calendar says, with the changes laid over it.

It writes nothing; rota, changes and calendars do.
"""

from collections.abc import Sequence
from datetime import date
from typing import Any

from sqlalchemy import Connection, Row, select

from tidings.communities import changes, rota
from tidings.communities.roster import Roster, Span
from tidings.database import tables
from tidings.errors import NotFoundError, UsageError


def of_crew(connection: Connection, crew_id: int) -> Roster:
    """The roster of the crew with that id, with the rota's and the crew's own changes. Raises NotFoundError."""
    return _roster(connection, crew_id, None)


def of_person(connection: Connection, person_id: int) -> Roster | None:
    """The roster of the person with that id: their crew's, with their own changes too; None where they have no crew."""
    query = select(tables.person.c.crew_id).where(tables.person.c.id == person_id)
    crew_id = connection.execute(query).scalar()
    return None if crew_id is None else _roster(connection, crew_id, person_id)


def named(connection: Connection, *, crew: str = "", email: str = "") -> Roster:
    """The roster of the crew of that name, or of the person with that address. Raises NotFoundError and UsageError."""
    if bool(crew) == bool(email):
        raise UsageError("Name a crew, or a person with --member.")
    if crew:
        return of_crew(connection, rota.crew_by_name(connection, crew))
    found = of_person(connection, changes.person_at(connection, email).id)
    if found is None:
        raise NotFoundError(f"{email} is in no crew; their editions come by weekday and hour.")
    return found


class Rosters:
    """The rosters of many people, each read once: who has no changes of their own shares that of the crew."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._changed = changes.people(connection)
        self._read: dict[tuple[int, int | None], Roster] = {}

    def of(self, person_id: int, crew_id: int | None) -> Roster | None:
        """The roster of a person in that crew; None where it is none."""
        if crew_id is None:
            return None
        own = person_id if person_id in self._changed else None
        if (crew_id, own) not in self._read:
            self._read[crew_id, own] = _roster(self._connection, crew_id, own)
        return self._read[crew_id, own]


def _roster(connection: Connection, crew_id: int, person_id: int | None) -> Roster:
    crew, pattern, of, calendar = tables.crew.c, tables.rota_pattern.c, tables.rota.c, tables.calendar.c
    row = connection.execute(
        select(of.id, of.zone, pattern.cycle, crew.start_date, calendar.id.label("calendar_id"))
        .join_from(tables.crew, tables.rota_pattern, pattern.id == crew.pattern_id)
        .join(tables.rota, of.id == pattern.rota_id)
        .outerjoin(tables.calendar, calendar.pattern_id == pattern.id)
        .where(crew.id == crew_id)
    ).first()
    if row is None:
        raise NotFoundError(f"There is no crew with the id {crew_id}.")
    return Roster(
        zone=row.zone,
        shifts=rota.shift_times(connection, row.id),
        cycle=row.cycle,
        start_date=date.fromisoformat(row.start_date),
        calendar=_spans(connection, row),
        changes=changes.over(connection, rota_id=row.id, crew_id=crew_id, person_id=person_id),
    )


def _spans(connection: Connection, row: Row[*tuple[Any, ...]]) -> Sequence[Span] | None:
    if row.calendar_id is None:
        return None
    shift = tables.calendar_shift.c
    query = select(shift.starts_at, shift.ends_at, shift.title).where(shift.calendar_id == row.calendar_id)
    return [(starts, ends, title) for starts, ends, title in connection.execute(query)]
