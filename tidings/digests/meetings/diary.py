"""The diary: the meetings of each series and their sittings, planned ahead, moved and cancelled; their only writer.

A meeting keeps the day that its rhythm gave it as its name, also where it was moved; times are wall-clock times of the
series' zone. Who is told of a change is for invites.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta

from sqlalchemy import Connection, Row, bindparam, func, insert, select, update

from tidings.clock import zone as zone_named
from tidings.communities.entries import line
from tidings.database import tables
from tidings.database.tables import Moment
from tidings.digests import schedule
from tidings.digests.meetings import formats, rhythm
from tidings.digests.meetings import series as all_series
from tidings.digests.meetings.series import Series, Session
from tidings.errors import NotFoundError, UsageError

AHEAD = timedelta(days=35)
"""How far ahead meetings are planned; the next one is, however far away."""

INVITED = timedelta(days=10)
"""How long before a meeting its agenda may go out: there is a shift in it for whoever has a week off."""

AFTERWARDS = timedelta(hours=24)
"""How long after the last session the scribe may say what was reached, before the rest goes on the next agenda."""

_YEARS = timedelta(days=3660)
_DAY = timedelta(days=1)
_PLACE_LENGTH = 300
_meeting, _sitting = tables.meeting.c, tables.sitting.c
_starts = select(func.min(_sitting.starts_at)).where(_sitting.meeting_id == _meeting.id).scalar_subquery()
_last_starts = select(func.max(_sitting.starts_at)).where(_sitting.meeting_id == _meeting.id).scalar_subquery()
# Built once: it is asked of each community in each transaction of editions.
_COMING = (
    select(_meeting.series_id, _meeting.id)
    .join_from(tables.meeting, tables.series, tables.series.c.id == _meeting.series_id)
    .where(tables.series.c.community_id == bindparam("community"), tables.series.c.ended_at.is_(None))
    .where(_last_starts > bindparam("now", type_=Moment), _meeting.cancelled_at.is_(None))
    .order_by(tables.series.c.name, _starts, _meeting.number)
)


@dataclass(frozen=True, kw_only=True)
class Sitting:
    """A session of one meeting; all moments are UTC. `sequence` is that of its calendar object (RFC 5545 3.8.7.4)."""

    id: int
    session: Session
    starts_at: datetime
    ends_at: datetime
    place: str
    sequence: int
    changed_at: datetime


@dataclass(frozen=True, kw_only=True)
class Meeting:
    """One meeting of a series, with its sittings in time; all moments are UTC."""

    id: int
    series: Series
    number: int
    day: date
    invites_at: datetime
    invited_at: datetime | None
    input_until: datetime
    final_at: datetime | None
    closes_at: datetime
    closed_at: datetime | None
    cancelled_at: datetime | None
    sittings: tuple[Sitting, ...]

    @property
    def starts_at(self) -> datetime:
        """When its first session begins."""
        return self.sittings[0].starts_at

    @property
    def ends_at(self) -> datetime:
        """When its last session is over."""
        return max(one.ends_at for one in self.sittings)

    def sitting(self, sitting_id: int | None) -> Sitting:
        """The sitting with that id; the first where it is none of these."""
        return next((one for one in self.sittings if one.id == sitting_id), self.sittings[0])


# --- reads -----------------------------------------------------------------------------------------------------------


def by_id(connection: Connection, meeting_id: int) -> Meeting:
    """The meeting with that id. Raises NotFoundError."""
    found = _read(connection, connection.execute(select(tables.meeting).where(_meeting.id == meeting_id)).all())
    if not found:
        raise NotFoundError(f"There is no meeting with the id {meeting_id}.")
    return found[0]


def of_series(connection: Connection, series_id: int) -> list[Meeting]:
    """All meetings of a series, the first one first."""
    query = select(tables.meeting).where(_meeting.series_id == series_id).order_by(_meeting.number)
    return _read(connection, connection.execute(query).all())


def on_day(connection: Connection, series_id: int, day: date) -> Meeting | None:
    """The meeting of a series that its rhythm gave that day; None where there is none."""
    query = select(tables.meeting).where(_meeting.series_id == series_id, _meeting.day == day.isoformat())
    found = _read(connection, connection.execute(query).all())
    return found[0] if found else None


def held_on(connection: Connection, series: Series, day: date) -> Meeting | None:
    """The meeting of which a session is held on that day of the series' zone, wherever its rhythm had it; or None."""
    zone = zone_named(series.zone)
    found = of_series(connection, series.id)
    return next((m for m in found if any(one.starts_at.astimezone(zone).date() == day for one in m.sittings)), None)


def following(connection: Connection, series_id: int, now: datetime, *, cancelled: bool = False) -> Meeting | None:
    """The first meeting of a series of which a session has not begun; None where none is planned."""
    query = select(tables.meeting).where(_meeting.series_id == series_id, _last_starts > now)
    query = query.order_by(_starts, _meeting.number)
    query = query if cancelled else query.where(_meeting.cancelled_at.is_(None))
    found = _read(connection, connection.execute(query.limit(1)).all())
    return found[0] if found else None


def coming(connection: Connection, community_id: int, now: datetime) -> list[int]:
    """The ids of the meetings that `following` gives, of each series of a community that goes on, by its name."""
    found: dict[int, int] = {}
    for series_id, meeting_id in connection.execute(_COMING, {"community": community_id, "now": now}):
        found.setdefault(series_id, meeting_id)
    return list(found.values())


def before(connection: Connection, meeting: Meeting) -> Meeting | None:
    """The last meeting of the same series that was held before this one; None where it is the first."""
    query = select(tables.meeting).where(_meeting.series_id == meeting.series.id, _meeting.cancelled_at.is_(None))
    # Not by number: where a rhythm changed or a meeting was moved, numbers are not in time.
    query = query.where(_starts < meeting.starts_at).order_by(_starts.desc(), _meeting.number.desc()).limit(1)
    found = _read(connection, connection.execute(query).all())
    return found[0] if found else None


def running(connection: Connection, series_id: int, now: datetime) -> Meeting | None:
    """The meeting that began last and is not closed: that which minutes are of; None where there is none."""
    query = select(tables.meeting).where(_meeting.series_id == series_id, _starts <= now)
    query = query.where(_meeting.cancelled_at.is_(None), _meeting.closed_at.is_(None))
    query = query.order_by(_starts.desc(), _meeting.number.desc()).limit(1)
    found = _read(connection, connection.execute(query).all())
    return found[0] if found else None


def due(connection: Connection, now: datetime) -> list[Meeting]:
    """The meetings with which something is to be done by now: agendas to be sent, a last one, or what is left over."""
    query = select(tables.meeting).where(
        _meeting.closed_at.is_(None),
        (_meeting.closes_at <= now)
        | (_meeting.invited_at.is_(None) & (_meeting.invites_at <= now))
        | (_meeting.final_at.is_(None) & (_meeting.input_until <= now)),
    )
    return _read(connection, connection.execute(query.order_by(_meeting.closes_at, _meeting.id)).all())


def _read(connection: Connection, rows: Sequence[Row[tuple[object, ...]]]) -> list[Meeting]:
    known: dict[int, Series] = {}
    for row in rows:
        if row.series_id not in known:
            known[row.series_id] = all_series.by_id(connection, row.series_id)
    sittings = _sittings(connection, known.values(), [row.id for row in rows])
    return [
        Meeting(
            id=row.id,
            series=known[row.series_id],
            number=row.number,
            day=date.fromisoformat(row.day),
            invites_at=row.invites_at,
            invited_at=row.invited_at,
            input_until=row.input_until,
            final_at=row.final_at,
            closes_at=row.closes_at,
            closed_at=row.closed_at,
            cancelled_at=row.cancelled_at,
            sittings=tuple(sittings[row.id]),
        )
        for row in rows
    ]


def _sittings(connection: Connection, series: Iterable[Series], meeting_ids: Sequence[int]) -> dict[int, list[Sitting]]:
    sessions = {session.id: session for one in series for session in one.sessions}
    found: dict[int, list[Sitting]] = {}
    query = select(tables.sitting).where(_sitting.meeting_id.in_(meeting_ids))
    for row in connection.execute(query.order_by(_sitting.starts_at, _sitting.id)):
        sitting = Sitting(
            id=row.id,
            session=sessions[row.session_id],
            starts_at=row.starts_at,
            ends_at=row.ends_at,
            place=row.place,
            sequence=row.sequence,
            changed_at=row.changed_at,
        )
        found.setdefault(row.meeting_id, []).append(sitting)
    return found


# --- writes ----------------------------------------------------------------------------------------------------------


def plan_ahead(connection: Connection, series: Series, now: datetime) -> int:
    """Plan the meetings of a series that are to come, up to AHEAD and the next one at least; returns how many are new.

    A day that has a meeting gets no second one, whoever plans. A series that has ended gets none. It is to be looked at
    again when the next session begins, and within a day.
    """
    # Two processes would take one number: the row of the series is locked, and only then read.
    connection.execute(select(tables.series.c.id).where(tables.series.c.id == series.id).with_for_update())
    series = all_series.by_id(connection, series.id)
    number = connection.execute(select(func.max(_meeting.number)).where(_meeting.series_id == series.id)).scalar() or 0
    new = _unplanned(connection, series, now)
    for place, day in enumerate(new, number + 1):
        _add(connection, series, place, day, now)
    coming = select(func.min(_sitting.starts_at)).join(tables.meeting, _meeting.id == _sitting.meeting_id)
    begins = connection.execute(coming.where(_meeting.series_id == series.id, _sitting.starts_at > now)).scalar()
    all_series.look_again(connection, series.id, min(now + _DAY, begins or now + _DAY))
    return len(new)


def _unplanned(connection: Connection, series: Series, now: datetime) -> list[date]:
    """The days of which a meeting is still to be planned."""
    if series.ended_at is not None:
        return []
    query = select(_meeting.day, _meeting.cancelled_at, _last_starts.label("starts_at"))
    rows = connection.execute(query.where(_meeting.series_id == series.id)).all()
    past = {row.day for row in rows if row.cancelled_at is not None or row.starts_at <= now}
    taken = {row.day for row in rows}
    return [day for day in _days(series, now, past) if day.isoformat() not in taken]


def _days(series: Series, now: datetime, past: Collection[str]) -> list[date]:
    """The days of the meetings that have not begun: those up to AHEAD, and the first that is none of `past`."""
    first = series.sessions[0]
    today = now.astimezone(zone_named(series.zone)).date()

    def to_come(until: date) -> list[date]:
        found = rhythm.days(series.rhythm, series.first_day, today - timedelta(days=first.day), until)
        return [day for day in found if _times(series, first, day)[0] > now]

    near = to_come(today + AHEAD)
    if any(day.isoformat() not in past for day in near):
        return near
    far = [day for day in to_come(max(today, series.first_day) + _YEARS) if day.isoformat() not in past]
    return [*near, *far[:1]]


def _times(series: Series, session: Session, day: date) -> tuple[datetime, datetime]:
    start = schedule.wall(day + timedelta(days=session.day), session.starts, series.zone)
    return start, start + timedelta(minutes=formats.minutes(series.blocks))


def _add(connection: Connection, series: Series, number: int, day: date, now: datetime) -> None:
    times = [(session, *_times(series, session, day)) for session in series.sessions]
    first, last = min(start for _, start, _ in times), max(end for _, _, end in times)
    values = {"series_id": series.id, "number": number, "day": day.isoformat(), **_deadlines(series, first, last)}
    meeting_id = connection.execute(insert(tables.meeting).values(values).returning(_meeting.id)).scalar_one()
    rows = [
        {
            "meeting_id": meeting_id,
            "session_id": session.id,
            "starts_at": start,
            "ends_at": end,
            "place": session.place or series.place,
            "sequence": 0,
            "changed_at": now,
        }
        for session, start, end in times
    ]
    connection.execute(insert(tables.sitting), rows)


def _deadlines(series: Series, first: datetime, last: datetime) -> dict[str, datetime]:
    """What is to be done when, of a meeting whose first session begins at `first` and whose last ends at `last`."""
    return {
        "invites_at": first - INVITED,
        "input_until": first - timedelta(hours=series.notice),
        "closes_at": last + AFTERWARDS,
    }


def move(
    connection: Connection,
    meeting: Meeting,
    sitting: Sitting,
    start: datetime | None,
    now: datetime,
    *,
    place: str = "",
) -> Meeting:
    """The meeting after one of its sittings was moved to `start` (UTC), to another place, or both.

    Whoever leads it has the last agenda anew where input ends later than it did. Raises UsageError where the meeting is
    cancelled or that session has begun, or would in the past.
    """
    _check_open(meeting, now)
    starts = sitting.starts_at if start is None else start
    place = line(place, "place", _PLACE_LENGTH) if place.strip() else sitting.place
    if sitting.starts_at <= now:
        raise UsageError(f"The meeting of {meeting.day} has begun.")
    if starts <= now:
        raise UsageError("A meeting cannot be moved into the past.")
    if (starts, place) == (sitting.starts_at, sitting.place):
        return meeting
    ends = starts + (sitting.ends_at - sitting.starts_at)
    values = {"starts_at": starts, "ends_at": ends, "place": place}
    changed = {"sequence": _sitting.sequence + 1, "changed_at": now}
    connection.execute(update(tables.sitting).where(_sitting.id == sitting.id).values(**values, **changed))
    after = by_id(connection, meeting.id)
    deadlines = _deadlines(after.series, after.starts_at, after.ends_at)
    anew = {"final_at": None} if deadlines["input_until"] > now else {}
    connection.execute(update(tables.meeting).where(_meeting.id == meeting.id).values(**deadlines, **anew))
    all_series.look_again(connection, meeting.series.id, now)
    return by_id(connection, meeting.id)


def cancel(connection: Connection, meeting: Meeting, now: datetime) -> Meeting:
    """The meeting after it was cancelled: what is on its agenda goes on the next one. Raises UsageError."""
    _check_open(meeting, now)
    raised = {"sequence": _sitting.sequence + 1, "changed_at": now}
    connection.execute(update(tables.sitting).where(_sitting.meeting_id == meeting.id).values(raised))
    values = {"cancelled_at": now, "closes_at": now}
    connection.execute(update(tables.meeting).where(_meeting.id == meeting.id).values(values))
    all_series.look_again(connection, meeting.series.id, now)
    return by_id(connection, meeting.id)


def restore(connection: Connection, meeting: Meeting, now: datetime) -> Meeting:
    """The meeting after it was found to take place after all; what went from its agenda stays on the next one.

    Raises UsageError where it is not cancelled, or would have begun.
    """
    if meeting.cancelled_at is None:
        raise UsageError(f"The meeting of {meeting.day} is not cancelled.")
    if meeting.starts_at <= now:
        raise UsageError(f"The meeting of {meeting.day} would have begun.")
    raised = {"sequence": _sitting.sequence + 1, "changed_at": now}
    connection.execute(update(tables.sitting).where(_sitting.meeting_id == meeting.id).values(raised))
    values = {"cancelled_at": None, "closed_at": None, **_deadlines(meeting.series, meeting.starts_at, meeting.ends_at)}
    connection.execute(update(tables.meeting).where(_meeting.id == meeting.id).values(values))
    all_series.look_again(connection, meeting.series.id, now)
    return by_id(connection, meeting.id)


def _check_open(meeting: Meeting, now: datetime) -> None:
    if meeting.cancelled_at is not None:
        raise UsageError(f"The meeting of {meeting.day} is cancelled.")
    if meeting.ends_at <= now:
        raise UsageError(f"The meeting of {meeting.day} is over.")


def mark(connection: Connection, meeting: Meeting, done: str, now: datetime) -> bool:
    """Note that `invited_at`, `final_at` or `closed_at` is now; False where another process was first."""
    column = _meeting[done]
    marked = update(tables.meeting).where(_meeting.id == meeting.id, column.is_(None)).values({done: now})
    return bool(connection.execute(marked).rowcount)


def end(connection: Connection, series: Series, now: datetime) -> list[Meeting]:
    """The meetings that are cancelled since their series ends: all that have not begun."""
    all_series.end(connection, series.id, now)
    coming = [one for one in of_series(connection, series.id) if one.cancelled_at is None and one.starts_at > now]
    return [cancel(connection, one, now) for one in coming]


def at(meeting: Meeting, moment: datetime) -> Sitting:
    """The sitting that began last by that moment; the first where none has begun."""
    begun = [one for one in meeting.sittings if one.starts_at <= moment]
    return begun[-1] if begun else meeting.sittings[0]
