"""The topics of agendas: proposed, seconded, led, withdrawn, carried over; the only writer of their two tables.

A topic stands on one agenda at a time. What is written about it is the thread that its post begins: this keeps nothing
of that. Who may change whose topic is not decided here.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, Row, bindparam, delete, func, insert, select, update

from tidings.database import tables

Kind = Literal["topic", "question", "action"]
State = Literal["open", "offered", "done", "withdrawn", "dropped"]
"""`offered`: nobody asked for it, it is on the agenda if somebody seconds it; `done`: a meeting came to it."""

ON_THE_AGENDA: tuple[State, ...] = ("open", "offered")
REACHED: tuple[State, ...] = ("open", "offered", "done")

MINUTES = 10
"""How long a topic is thought to take that does not say so."""

MOST = 100
"""Topics of one agenda; what is proposed beyond them is refused."""

TITLE_LENGTH = 120
"""Characters of a title; more are not kept."""

MINUTES_MOST = 24 * 60
"""No topic takes longer."""

_TEXT_LENGTH = 10_000
_MINUTES = range(1, MINUTES_MOST + 1)

_topic, _second = tables.topic.c, tables.topic_second.c
# Asked for each page of a thread: building the statement costs more than running it.
_OF_THREAD = (
    select(tables.topic)
    .join(tables.series, tables.series.c.id == _topic.series_id)
    .join(
        tables.node,
        (tables.node.c.community_id == bindparam("community")) & (tables.node.c.message_id == _topic.message_id),
    )
    .where(tables.series.c.community_id == bindparam("community"), tables.node.c.thread_id == bindparam("thread"))
    .order_by(_topic.id)
)


@dataclass(frozen=True, kw_only=True)
class Topic:
    """Something on an agenda; `message_id` (bare) is that of the post with which its thread begins.

    `person_id` proposed it, `lead_id` offered to lead it; `carried` counts the agendas that it was on before.
    """

    id: int
    series_id: int
    meeting_id: int
    kind: Kind
    state: State
    title: str
    text: str
    minutes: int | None
    person_id: int | None
    lead_id: int | None
    message_id: str
    position: int | None
    carried: int
    created_at: datetime
    seconds: frozenset[int]  # person ids

    @property
    def takes(self) -> int:
        """How many minutes it is thought to take."""
        return self.minutes or MINUTES


# --- reads -----------------------------------------------------------------------------------------------------------


def of_meeting(connection: Connection, meeting_id: int, states: Collection[State] = ON_THE_AGENDA) -> list[Topic]:
    """The topics of an agenda in their order.

    Those that a leader placed come first, then those that many second, then the older ones; what is offered comes last.
    """
    query = select(tables.topic).where(_topic.meeting_id == meeting_id, _topic.state.in_(states))
    return sorted(_read(connection, connection.execute(query).all()), key=_place)


def _place(topic: Topic) -> tuple[object, ...]:
    first = topic.position is None, topic.position or 0
    return topic.state == "offered", *first, -len(topic.seconds), -topic.carried, topic.created_at, topic.id


def by_id(connection: Connection, topic_id: int) -> Topic | None:
    """The topic with that id; None where there is none."""
    found = _read(connection, connection.execute(select(tables.topic).where(_topic.id == topic_id)).all())
    return found[0] if found else None


def by_message(connection: Connection, community_id: int, message_id: str) -> Topic | None:
    """The topic whose thread begins with that message (bare id), of any series of the community."""
    query = (
        select(tables.topic)
        .join(tables.series, tables.series.c.id == _topic.series_id)
        .where(tables.series.c.community_id == community_id, _topic.message_id == message_id)
        .order_by(_topic.id.desc())
        .limit(1)
    )
    found = _read(connection, connection.execute(query).all())
    return found[0] if found else None


def titles(connection: Connection, topic_ids: Collection[int]) -> dict[int, str]:
    """The titles of some topics, by their ids."""
    query = select(_topic.id, _topic.title).where(_topic.id.in_(list(topic_ids)))
    return dict(connection.execute(query).all())


def of_thread(connection: Connection, community_id: int, thread_id: int) -> list[Topic]:
    """The topics whose discussion is a thread, of any series, the first one first; few threads have any."""
    found = connection.execute(_OF_THREAD, {"community": community_id, "thread": thread_id})
    return _read(connection, found.all())


def carried_from(connection: Connection, meeting_id: int) -> list[Topic]:
    """What was on the agenda of a meeting, was not reached, and stands on a later one since.

    Each topic knows on how many agendas it was before, so it was on that of every meeting that was held since then.
    """
    was, on, between = tables.meeting.alias("was").c, tables.meeting.alias("on").c, tables.meeting.alias("between").c
    begun = select(func.max(tables.sitting.c.starts_at)).where(tables.sitting.c.meeting_id == was.id)
    held = select(func.count()).where(
        between.series_id == was.series_id,
        between.cancelled_at.is_(None),
        between.number >= was.number,
        between.number < on.number,
    )
    query = (
        select(tables.topic)
        .where(was.id == meeting_id, was.cancelled_at.is_(None))
        .where(on.id == _topic.meeting_id, on.series_id == was.series_id, on.number > was.number)
        .where(_topic.created_at <= begun.scalar_subquery(), _topic.carried >= held.scalar_subquery())
        .order_by(_topic.id)
    )
    return _read(connection, connection.execute(query).all())


def _read(connection: Connection, rows: Sequence[Row[tuple[object, ...]]]) -> list[Topic]:
    if not rows:
        return []
    seconds: dict[int, set[int]] = {}
    query = select(_second.topic_id, _second.person_id).where(_second.topic_id.in_([row.id for row in rows]))
    for topic_id, person_id in connection.execute(query):
        seconds.setdefault(topic_id, set()).add(person_id)
    return [Topic(**row._asdict(), seconds=frozenset(seconds.get(row.id, ()))) for row in rows]


# --- writes ----------------------------------------------------------------------------------------------------------


def propose(
    connection: Connection,
    *,
    series_id: int,
    meeting_id: int,
    title: str,
    message_id: str,
    now: datetime,
    text: str = "",
    minutes: int | None = None,
    person_id: int | None = None,
    kind: Kind = "topic",
    state: State = "open",
) -> Topic | None:
    """Put something on an agenda; what stands on one already, by its message, is left there.

    None where the agenda is full.
    """
    known = select(_topic.id).where(_topic.series_id == series_id, _topic.message_id == message_id)
    topic_id = connection.execute(known).scalar()
    if topic_id is not None:
        return _come_back(connection, topic_id, meeting_id, state)
    if _is_full(connection, meeting_id):
        return None
    values = {
        "series_id": series_id,
        "meeting_id": meeting_id,
        "kind": kind,
        "state": state,
        "title": title[:TITLE_LENGTH],
        "text": text[:_TEXT_LENGTH],
        "minutes": minutes if minutes in _MINUTES else None,
        "person_id": person_id,
        "message_id": message_id,
        "created_at": now,
    }
    topic_id = connection.execute(insert(tables.topic).values(values).returning(_topic.id)).scalar_one()
    return by_id(connection, topic_id)


def _is_full(connection: Connection, meeting_id: int) -> bool:
    many = select(func.count()).where(_topic.meeting_id == meeting_id, _topic.state.in_(ON_THE_AGENDA))
    return connection.execute(many).scalar_one() >= MOST


def _come_back(connection: Connection, topic_id: int, meeting_id: int, state: State) -> Topic | None:
    """The topic after it came back to an agenda, where it is on none; None where that is full.

    A question is offered again that nobody seconded the last time, but not what somebody withdrew or a meeting came to:
    that has to be proposed again. What was only offered is on the agenda once it is proposed.
    """
    found = by_id(connection, topic_id)
    assert found is not None
    mine = update(tables.topic).where(_topic.id == topic_id)
    if found.state == "offered" and state == "open":
        connection.execute(mine.values(state=state))
    elif found.state == "dropped" or (found.state in ("withdrawn", "done") and state == "open"):
        if _is_full(connection, meeting_id):
            return None
        connection.execute(mine.values(meeting_id=meeting_id, state=state, position=None))
    return by_id(connection, topic_id)


def second(connection: Connection, topic_id: int, person_id: int, now: datetime) -> bool:
    """Note that a person wants a topic too, which puts on the agenda what was offered; False where they did before."""
    known = select(_second.topic_id).where(_second.topic_id == topic_id, _second.person_id == person_id)
    if connection.execute(known).first():
        return False
    connection.execute(insert(tables.topic_second).values(topic_id=topic_id, person_id=person_id, created_at=now))
    taken_up = update(tables.topic).where(_topic.id == topic_id, _topic.state == "offered")
    connection.execute(taken_up.values(state="open"))
    return True


def unsecond(connection: Connection, topic_id: int, person_id: int) -> bool:
    """Take a second back; False where there was none."""
    gone = delete(tables.topic_second).where(_second.topic_id == topic_id, _second.person_id == person_id)
    return bool(connection.execute(gone).rowcount)


def lead(connection: Connection, topic_id: int, person_id: int | None) -> None:
    """Let a person lead a topic, who offered that; None: nobody. What was offered is on the agenda by that."""
    connection.execute(update(tables.topic).where(_topic.id == topic_id).values(lead_id=person_id))
    taken_up = update(tables.topic).where(_topic.id == topic_id, _topic.state == "offered", _topic.lead_id.is_not(None))
    connection.execute(taken_up.values(state="open"))


def settle(connection: Connection, topic_id: int, state: State) -> None:
    """Let a topic be done, withdrawn, dropped, or open again."""
    connection.execute(update(tables.topic).where(_topic.id == topic_id).values(state=state))


def give_time(connection: Connection, topic_id: int, minutes: int) -> None:
    """Say how long a topic takes."""
    if minutes in _MINUTES:
        connection.execute(update(tables.topic).where(_topic.id == topic_id).values(minutes=minutes))


def order(connection: Connection, topic_ids: Sequence[int]) -> None:
    """Place topics in this order, before those that are not named."""
    agendas = select(_topic.meeting_id).where(_topic.id.in_(topic_ids))
    others = update(tables.topic).where(_topic.meeting_id.in_(agendas), _topic.position.is_not(None))
    connection.execute(others.values(position=_topic.position + len(topic_ids)))
    for place, topic_id in enumerate(topic_ids, 1):
        connection.execute(update(tables.topic).where(_topic.id == topic_id).values(position=place))


def carry(connection: Connection, meeting_id: int, to: int) -> int:
    """Put what was not reached on another meeting's agenda, and drop what was only offered; returns how many went.

    What was carried is on no other agenda any more, so a second run carries nothing.
    """
    mine = update(tables.topic).where(_topic.meeting_id == meeting_id)
    connection.execute(mine.where(_topic.state == "offered").values(state="dropped"))
    moved = mine.where(_topic.state == "open").values(meeting_id=to, carried=_topic.carried + 1, position=None)
    return connection.execute(moved).rowcount
