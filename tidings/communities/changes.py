"""Days on which something else is worked than a rota says: holidays, leave, swaps, part-time; the only writer of them.

What a change does to a roster is roster's; it does not know when mail is due either, so whoever changes something plans
anew (digests.plans.replan).
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, Row, delete, func, insert, or_, select

from tidings.communities import rota
from tidings.communities.directory import email_key
from tidings.communities.entries import choice, line
from tidings.communities.roster import AS_EVER, OFF, Change
from tidings.database import tables
from tidings.errors import NotFoundError, UsageError

Scope = Literal["rota", "crew", "member"]

_CHANGE = tables.rota_change.c
_OWNERS = {"rota": _CHANGE.rota_id, "crew": _CHANGE.crew_id, "member": _CHANGE.person_id}
_MOST = 400  # changes of one rota, crew or person
_LONGEST = 400  # letters
_NOTE_LENGTH = 200
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_FOREVER = date.max.toordinal()


@dataclass(frozen=True, kw_only=True)
class Listed:
    """A change, whose it is (`name` of the rota or crew, or the member's address), and what it is for."""

    id: int
    scope: Scope
    name: str
    first_day: date
    last_day: date | None
    days: str
    only: str
    note: str


def add(
    connection: Connection,
    *,
    scope: Scope,
    name: str,
    first_day: date,
    last_day: date | None,
    days: str = OFF,
    only: str = "",
    note: str = "",
) -> Listed:
    """Lay a change over the shifts of a rota, a crew or a member, whom `name` names (the member by an address).

    The other values are those of roster.Change. Raises NotFoundError (whom) and UsageError.
    """
    owner_id, shifts = _owner(connection, scope, name)
    if last_day is not None and last_day < first_day:
        raise UsageError(f"The last day {last_day} is before the first, {first_day}.")
    if not days or len(days) > _LONGEST:
        raise UsageError(f"Write 1 to {_LONGEST} letters for the days that repeat.")
    _check_letters(days, {*shifts, OFF, AS_EVER})
    _check_letters(only, shifts)
    if _count(connection, scope, owner_id) >= _MOST:
        raise UsageError(f"{name} has {_MOST} changes; undo old ones first (`tidings rota changes`).")
    values: dict[str, Any] = {
        _OWNERS[scope].name: owner_id,
        "first_day": first_day.isoformat(),
        "last_day": last_day.isoformat() if last_day else None,
        "days": days,
        "only": "".join(sorted(set(only))),
        "note": line(note, "note", _NOTE_LENGTH) if note.strip() else "",
    }
    made = connection.execute(insert(tables.rota_change).values(values).returning(_CHANGE.id)).scalar_one()
    return next(one for one in listing(connection) if one.id == made)


def _owner(connection: Connection, scope: Scope, name: str) -> tuple[int, Collection[str]]:
    """The id of whom the change is, and the letters of the shifts that they may work."""
    if scope == "rota":
        found = rota.rota_by_name(connection, name)
        return found.id, found.shifts
    crews = {crew.id: crew for crew in rota.crews(connection)}
    if scope == "crew":
        crew_id = rota.crew_by_name(connection, name)
        return crew_id, rota.rota_by_name(connection, crews[crew_id].rota).shifts
    person = person_at(connection, name)
    if person.crew_id is None:
        raise UsageError(f"{name} is in no crew and has no shifts to change; `tidings member set` takes a crew.")
    return person.id, rota.rota_by_name(connection, crews[person.crew_id].rota).shifts


def person_at(connection: Connection, email: str) -> Row[*tuple[Any, ...]]:
    """The id and the crew_id of the person who has the address. Raises NotFoundError."""
    person, address = tables.person, tables.address
    found = connection.execute(
        select(person.c.id, person.c.crew_id)
        .join_from(address, person, person.c.id == address.c.person_id)
        .where(address.c.email_key == email_key(email))
    ).first()
    if found is None:
        raise NotFoundError(f"Nobody here has the address {email!r}.")
    return found


def _check_letters(letters: str, known: Collection[str]) -> None:
    for letter in letters:
        choice(letter, sorted(known), "shift")


def _count(connection: Connection, scope: Scope, owner_id: int) -> int:
    query = select(func.count()).select_from(tables.rota_change).where(_OWNERS[scope] == owner_id)
    return connection.execute(query).scalar_one()


def part_time(first_day: date, weekdays: str) -> str:
    """The letters, from `first_day` on, of somebody who works on these weekdays only: `Mon,Tue,Wed`.

    Raises UsageError.
    """
    worked = {choice(word.strip().title()[:3], _DAYS, "weekday") for word in weekdays.split(",")}
    if len(worked) == len(_DAYS):
        raise UsageError("All seven weekdays are no part-time; name those that are worked.")
    week = [first_day + timedelta(days=number) for number in range(7)]
    return "".join(AS_EVER if _DAYS[day.weekday()] in worked else OFF for day in week)


def parse_days(text: str) -> str:
    """The letters of somebody who works a part of the crew's days: `xxxxOOOO`, x as the crew, O off. Raises UsageError.

    Letters of shifts may stand among them.
    """
    if not re.fullmatch(rf"[A-Z{AS_EVER}]+", text.strip()):
        raise UsageError(f"{text!r} are no days; write a letter for each: x as the crew works, O off (xxxxOOOO).")
    return text.strip()


def remove(connection: Connection, change_id: int) -> Listed:
    """Take a change back; what it was. Raises NotFoundError."""
    found = next((one for one in listing(connection) if one.id == change_id), None)
    if found is None:
        raise NotFoundError(f"There is no change {change_id}; `tidings rota changes` lists them.")
    connection.execute(delete(tables.rota_change).where(_CHANGE.id == change_id))
    return found


def listing(connection: Connection) -> list[Listed]:
    """All changes by their first day."""
    rota_, crew, address = tables.rota, tables.crew, tables.address
    # Whoever has several addresses is named by the first.
    email = select(func.min(address.c.email)).where(address.c.person_id == _CHANGE.person_id).scalar_subquery()
    query = (
        select(tables.rota_change, rota_.c.name.label("rota"), crew.c.name.label("crew"), email.label("email"))
        .outerjoin(rota_, rota_.c.id == _CHANGE.rota_id)
        .outerjoin(crew, crew.c.id == _CHANGE.crew_id)
        .order_by(_CHANGE.first_day, _CHANGE.id)
    )
    return [_listed(row) for row in connection.execute(query)]


def _listed(row: Row[*tuple[Any, ...]]) -> Listed:
    scope: Scope = "rota" if row.rota else "crew" if row.crew else "member"
    change = _change(row)
    return Listed(
        id=row.id,
        scope=scope,
        name=row.rota or row.crew or row.email,
        first_day=change.first_day,
        last_day=change.last_day,
        days=row.days,
        only=row.only,
        note=row.note,
    )


def over(connection: Connection, *, rota_id: int, crew_id: int, person_id: int | None = None) -> list[Change]:
    """What is laid over the shifts of a crew, or of a person in it, the last over all others.

    The narrower is over the wider: a person's over the crew's over the rota's, and of one owner the shorter over the
    longer, so that one day of work stands in a fortnight of leave.
    """
    owners = [_CHANGE.rota_id == rota_id, _CHANGE.crew_id == crew_id]
    if person_id is not None:
        owners.append(_CHANGE.person_id == person_id)
    rows = connection.execute(select(tables.rota_change).where(or_(*owners)).order_by(_CHANGE.id)).all()
    return [_change(row) for row in sorted(rows, key=_breadth)]


def people(connection: Connection) -> frozenset[int]:
    """The ids of the people who have changes of their own."""
    return frozenset(connection.execute(select(_CHANGE.person_id).where(_CHANGE.person_id.is_not(None))).scalars())


def _breadth(row: Row[*tuple[Any, ...]]) -> tuple[int, int]:
    scope = 0 if row.rota_id is not None else 1 if row.crew_id is not None else 2
    change = _change(row)
    return scope, -((change.last_day.toordinal() if change.last_day else _FOREVER) - change.first_day.toordinal())


def _change(row: Row[*tuple[Any, ...]]) -> Change:
    return Change(
        first_day=date.fromisoformat(row.first_day),
        last_day=date.fromisoformat(row.last_day) if row.last_day else None,
        days=row.days,
        only=row.only,
    )
