"""When something will happen next: cut-offs, and digests and agendas that are due, so that a clock can go on to it.

It only reads; who sets the clock and does what is due is not its matter.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, select

from tidings.archive import read
from tidings.clock import Clock
from tidings.communities import directory
from tidings.database.engine import Database
from tidings.database.tables import edition_section, period, person
from tidings.digests import rhythms, schedule

DIGEST = "digest"

_CALLED = {rhythms.AGENDA: "agenda", rhythms.REMINDER: "reminder"}


@dataclass(frozen=True, kw_only=True)
class Waiting:
    """Mails that are due at one moment, and to whom; `what` they are: a digest, an agenda or a reminder."""

    at: datetime
    what: str
    names: tuple[str, ...]


def moments(database: Database, clock: Clock, until: datetime) -> Iterator[datetime]:
    """Each moment after the clock's when something is due, `until` last; whoever takes one sets the clock to it."""
    while (moment := _next(database, clock.now())) is not None and moment < until:
        yield moment
    yield until


def _next(database: Database, now: datetime) -> datetime | None:
    with database.read() as connection:
        found = [one.at for one in waiting(connection) if one.at > now]
        return min([*found, *(at for at, _ in cut_offs(connection, now))], default=None)


def waiting(connection: Connection) -> list[Waiting]:
    """The digests of cut-offs that have passed, and agendas of meetings to come, in the order in which they are due."""
    rows = connection.execute(
        select(edition_section.c.due_at, period.c.rhythm, person.c.name)
        .join(person, person.c.id == edition_section.c.person_id)
        .join(period, period.c.id == edition_section.c.period_id)
        .where(edition_section.c.state == "waiting")
        .order_by(edition_section.c.due_at, period.c.rhythm, person.c.name)
        .distinct()
    )
    found: dict[tuple[datetime, str], list[str]] = {}
    for at, rhythm, name in rows:
        found.setdefault((at, _CALLED.get(rhythm, DIGEST)), []).append(name)
    return [Waiting(at=at, what=what, names=tuple(names)) for (at, what), names in found.items()]


def cut_offs(connection: Connection, now: datetime) -> list[tuple[datetime, str]]:
    """The next weekly cut-off of each open community after `now`, with the community's title; the first one first."""
    found = [
        (schedule.next_at(one.cut_off_weekday, one.cut_off_time, one.zone, now + timedelta(seconds=1)), one.title)
        for one in directory.communities(connection)
        if not one.archived
    ]
    return sorted(found)


def something_to_tell(connection: Connection) -> bool:
    """Whether a digest will come without anything more being written."""
    if any(one.what == DIGEST for one in waiting(connection)):
        return True
    return any(
        read.told_between(connection, community.id, member.cursor, community.last_number)
        for community in directory.communities(connection)
        for member in directory.members(connection, community.id)
        if member.delivery in rhythms.DIGESTS and not community.archived
    )
