"""Series of meetings: their rhythm, format and sessions; the only writer of their three tables.

When each meeting is held is for diary; who may change a series is not decided here.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, insert, select, update

from tidings.clock import zone as zone_named
from tidings.communities import rota
from tidings.communities.directory import Community
from tidings.communities.entries import choice, line, parse_wall_time
from tidings.database import tables
from tidings.digests.meetings import formats, rhythm
from tidings.digests.meetings.formats import Block
from tidings.errors import NotFoundError, UsageError

NOTICE = 18
"""Hours before the first session until which input is printed under its items, unless a series says otherwise."""

SESSIONS = 6
"""No meeting has more sessions."""

_LENGTH = 64  # characters of a name
_TITLE_LENGTH = 120
_PLACE_LENGTH = 300
_FARTHEST = 6  # days that a session may be after its meeting's day
_YEARS = timedelta(days=3660)
_NOTICES = range(1, 24 * 7 + 1)

_series, _session, _crew = tables.series.c, tables.series_session.c, tables.session_crew.c


@dataclass(frozen=True, kw_only=True)
class Session:
    """When a meeting is held: `day` days after the day of the rhythm, at the wall-clock time `starts` (HH:MM).

    `crew_ids` are those that it is for; none: for all whom no other session names.
    """

    id: int
    position: int
    day: int
    starts: str
    place: str
    crew_ids: tuple[int, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Series:
    """A repeating meeting of a community; `notice` is in hours before the first session."""

    id: int
    community_id: int
    name: str
    title: str
    rhythm: str
    first_day: date
    zone: str
    format: str
    blocks: tuple[Block, ...]
    place: str
    notice: int
    ended_at: datetime | None
    sessions: tuple[Session, ...]


@dataclass(frozen=True, kw_only=True)
class NewSession:
    """A session as it is asked for, its crews by name."""

    starts: str
    day: int = 0
    place: str = ""
    crews: tuple[str, ...] = ()


def parse_session(text: str) -> NewSession:
    """A session, from `14:00`, `+1 22:00` (a day after the meeting's) or `22:00=C,D` (for crews). Raises UsageError."""
    when, _, crews = text.partition("=")
    day, _, starts = when.strip().rpartition(" ")
    if day and (not day.startswith("+") or not day[1:].isdecimal() or int(day[1:]) > _FARTHEST):
        raise UsageError(f"{day!r} is no day of a session; write +1 for the day after, up to +{_FARTHEST}.")
    names = tuple(name for part in crews.split(",") if (name := part.strip()))
    return NewSession(starts=parse_wall_time(starts), day=int(day[1:]) if day else 0, crews=names)


# --- reads -----------------------------------------------------------------------------------------------------------


def of_community(connection: Connection, community_id: int, *, ended: bool = False) -> list[Series]:
    """The series of a community by name; those that ended too where that is asked for."""
    query = select(tables.series).where(_series.community_id == community_id).order_by(_series.name)
    return _read(connection, query if ended else query.where(_series.ended_at.is_(None)))


def due(connection: Connection, now: datetime) -> list[Series]:
    """The series that are to be looked at by now and go on, of communities that are not archived."""
    community = tables.community.c
    query = (
        select(tables.series)
        .join(tables.community, community.id == _series.community_id)
        .where(_series.ended_at.is_(None), _series.plan_at <= now, community.archived_at.is_(None))
    )
    return _read(connection, query.order_by(_series.id))


def by_id(connection: Connection, series_id: int) -> Series:
    """The series with that id. Raises NotFoundError."""
    found = _read(connection, select(tables.series).where(_series.id == series_id))
    if not found:
        raise NotFoundError(f"There is no series of meetings with the id {series_id}.")
    return found[0]


def named(connection: Connection, community: Community, name: str = "") -> Series:
    """The series of that name; without a name the only one. Raises NotFoundError, which says what there is."""
    found = of_community(connection, community.id)
    if not name and len(found) == 1:
        return found[0]
    if not found:
        raise NotFoundError(f"{community.name} has no meetings; `tidings meeting add {community.name}` makes a series.")
    if not name:
        names = ", ".join(one.name for one in found)
        raise NotFoundError(f"{community.name} has several series of meetings; name one of {names}.")
    by_name = {one.name: one for one in found}
    try:
        return by_name[choice(name, by_name, "series")]
    except UsageError as error:
        raise NotFoundError(str(error)) from None


def _read(connection: Connection, query: Any) -> list[Series]:
    rows = connection.execute(query).all()
    sessions = _sessions(connection, [row.id for row in rows])
    return [
        Series(
            id=row.id,
            community_id=row.community_id,
            name=row.name,
            title=row.title,
            rhythm=row.rhythm,
            first_day=date.fromisoformat(row.first_day),
            zone=row.zone,
            format=row.format,
            blocks=formats.blocks(row.format, row.blocks),
            place=row.place,
            notice=row.notice,
            ended_at=row.ended_at,
            sessions=tuple(sessions.get(row.id, ())),
        )
        for row in rows
    ]


def _sessions(connection: Connection, series_ids: Sequence[int]) -> dict[int, list[Session]]:
    crews: dict[int, list[int]] = {}
    of = (
        select(_crew.session_id, _crew.crew_id)
        .join_from(tables.session_crew, tables.series_session, _session.id == _crew.session_id)
        .where(_session.series_id.in_(series_ids))
        .order_by(_crew.crew_id)
    )
    for session_id, crew_id in connection.execute(of):
        crews.setdefault(session_id, []).append(crew_id)
    found: dict[int, list[Session]] = {}
    query = select(tables.series_session).where(_session.series_id.in_(series_ids)).order_by(_session.position)
    for row in connection.execute(query):
        session = Session(
            id=row.id,
            position=row.position,
            day=row.day,
            starts=row.starts,
            place=row.place,
            crew_ids=tuple(crews.get(row.id, ())),
        )
        found.setdefault(row.series_id, []).append(session)
    return found


# --- writes ----------------------------------------------------------------------------------------------------------


def add(
    connection: Connection,
    community: Community,
    *,
    name: str,
    first_day: date,
    sessions: Sequence[NewSession],
    now: datetime,
    title: str = "",
    repeats: str = "weekly",
    zone: str = "",
    format_: str = "hour",
    place: str = "",
    notice: int = NOTICE,
) -> Series:
    """A new series of a community, held first on `first_day`; `repeats` as rhythm.parse takes it.

    Without a title it has that of the community, without a zone its zone. Raises UsageError and NotFoundError (a crew).
    """
    name = line(name, "name of a series", _LENGTH)
    if any(one.name == name for one in of_community(connection, community.id, ended=True)):
        raise UsageError(f"{community.name} has a series {name!r} already; take another name.")
    today = now.date()
    if not today - _YEARS <= first_day <= today + _YEARS:
        raise UsageError(f"The first day of a series is within ten years, not {first_day}.")
    kind, own = formats.parse(format_)
    values = {
        "community_id": community.id,
        "name": name,
        "title": line(title or community.title, "title", _TITLE_LENGTH),
        "rhythm": rhythm.parse(repeats, first_day),
        "first_day": first_day.isoformat(),
        "zone": zone_named(zone or community.zone).key,
        "format": kind,
        "blocks": own,
        "place": _place(place),
        "notice": _notice(str(notice)),
        "plan_at": now,
        "created_at": now,
    }
    series_id = connection.execute(insert(tables.series).values(values).returning(_series.id)).scalar_one()
    _add_sessions(connection, series_id, sessions)
    return by_id(connection, series_id)


def change(connection: Connection, found: Series, changes: Mapping[str, str]) -> Series:
    """The series after changes of `title`, `place`, `notice`, `format` and `repeats`.

    Meetings that were planned before keep their time. Raises UsageError.
    """
    values: dict[str, Any] = {}
    for key, text in changes.items():
        match choice(key, ("title", "place", "notice", "format", "repeats"), "setting"):
            case "title":
                values["title"] = line(text, "title", _TITLE_LENGTH)
            case "place":
                values["place"] = _place(text)
            case "notice":
                values["notice"] = _notice(text)
            case "format":
                values["format"], values["blocks"] = formats.parse(text)
            case "repeats":
                values |= {"rhythm": rhythm.parse(text, found.first_day), "plan_at": _series.created_at}  # at once
    if values:
        connection.execute(update(tables.series).where(_series.id == found.id).values(values))
    return by_id(connection, found.id)


def look_again(connection: Connection, series_id: int, at: datetime) -> None:
    """Set when a series is to be looked at next."""
    connection.execute(update(tables.series).where(_series.id == series_id).values(plan_at=at))


def end(connection: Connection, series_id: int, now: datetime) -> None:
    """Let a series end: no more meetings of it are planned."""
    connection.execute(update(tables.series).where(_series.id == series_id).values(ended_at=now))


def _add_sessions(connection: Connection, series_id: int, sessions: Sequence[NewSession]) -> None:
    if not 1 <= len(sessions) <= SESSIONS:
        raise UsageError(f"A meeting has one session at least and {SESSIONS} at most.")
    ordered = sorted(sessions, key=lambda one: (one.day, one.starts))
    if len({(one.day, one.starts) for one in ordered}) < len(ordered):
        raise UsageError("Two sessions of one meeting begin at the same time.")
    named: set[int] = set()
    for position, one in enumerate(ordered):
        values = {"series_id": series_id, "position": position, "day": one.day, "starts": one.starts}
        row = insert(tables.series_session).values(**values, place=_place(one.place)).returning(_session.id)
        session_id = connection.execute(row).scalar_one()
        crew_ids = [rota.crew_by_name(connection, crew) for crew in one.crews]
        if named & set(crew_ids) or len(set(crew_ids)) < len(crew_ids):
            raise UsageError("A crew comes to one session of a meeting; it is named for two.")
        named |= set(crew_ids)
        for crew_id in crew_ids:
            connection.execute(insert(tables.session_crew).values(session_id=session_id, crew_id=crew_id))


def _place(text: str) -> str:
    return line(text, "place", _PLACE_LENGTH) if text.strip() else ""


def _notice(text: str) -> int:
    if not text.strip().isdecimal() or int(text) not in _NOTICES:
        raise UsageError(f"{text!r} is no notice; write a number of hours from 1 to {_NOTICES[-1]}.")
    return int(text)
