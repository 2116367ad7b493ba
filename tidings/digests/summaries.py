"""What a language model wrote of conversations, and which periods it is still to be asked of; the only writer of both.

A summary is found by the community and the very posts that it was made of: once one of them changes, or is gone, there
is none. It asks nobody (summarise does).
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection, bindparam, delete, func, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from tidings.database import tables
from tidings.digests.week import Thread

LIFE = timedelta(weeks=4)
"""How long a summary is kept."""

_NEW = timedelta(days=7)  # of older periods nothing is asked
_AGAIN = timedelta(minutes=10)  # after a try that failed, or that nobody finished
_TRIES = 5  # of a period
_AT_ONCE = 100  # periods of one look
_summary, _turn, _period = tables.summary.c, tables.summary_turn.c, tables.period.c
_FIND = select(_summary.text).where(
    _summary.community_id == bindparam("community"), _summary.posts_hash == bindparam("mark")
)
_ADD_SUMMARY = {
    "sqlite": sqlite.insert(tables.summary).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(tables.summary).on_conflict_do_nothing(),
}
_ADD_TURN = {
    "sqlite": sqlite.insert(tables.summary_turn).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(tables.summary_turn).on_conflict_do_nothing(),
}


# --- what was written ------------------------------------------------------------------------------------------------


def _mark(thread: Thread) -> bytes:
    """What the summary of a thread is known by: its new posts, by number and text."""
    made = hashlib.sha256()
    for post in thread.fresh:
        text = post.text.encode("utf-8", "surrogatepass")
        made.update(b"%d %d " % (post.number, len(text)) + text)
    return made.digest()


def find(connection: Connection, community_id: int, thread: Thread) -> str | None:
    """What was written of the new posts of a thread; empty where nothing of it was of use, None where nothing was."""
    return connection.execute(_FIND, {"community": community_id, "mark": _mark(thread)}).scalar()


def keep(connection: Connection, community_id: int, thread: Thread, text: str, now: datetime) -> None:
    """Keep what was written of a thread; where another process was quicker, its words stay."""
    values = {"community_id": community_id, "posts_hash": _mark(thread), "text": text, "made_at": now}
    connection.execute(_ADD_SUMMARY[connection.dialect.name], values)


def forget(connection: Connection) -> None:
    """Throw away all that was written."""
    connection.execute(delete(tables.summary))


def is_empty(connection: Connection) -> bool:
    """Whether nothing is kept."""
    return connection.execute(select(_summary.made_at).limit(1)).first() is None


# --- turns -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Turn:
    """A period of whose conversations a model is to be asked, and how often that was tried."""

    period_id: int
    community_id: int
    up_to: int
    tries: int


def due(connection: Connection, now: datetime) -> list[Turn]:
    """The periods whose turn it is, the oldest first."""
    rows = connection.execute(
        select(
            _period.id.label("period_id"),
            _period.community_id,
            _period.up_to,
            func.coalesce(_turn.tries, 0).label("tries"),
        )
        .join_from(tables.period, tables.summary_turn, _turn.period_id == _period.id, isouter=True)
        .where(_period.cut_off_at > now - _NEW, or_(_turn.period_id.is_(None), _turn.due_at <= now))
        .order_by(_period.id)
        .limit(_AT_ONCE)
    )
    return [Turn(**row) for row in rows.mappings()]


def claim(connection: Connection, turn: Turn, now: datetime) -> bool:
    """Whether the turn is ours: nobody else has it for ten minutes, unless `end` says when the next is."""
    first = {"period_id": turn.period_id, "tries": 0, "due_at": now}
    connection.execute(_ADD_TURN[connection.dialect.name], first)
    connection.execute(delete(tables.summary).where(_summary.made_at < now - LIFE))
    tries = turn.tries + 1
    taken = (
        update(tables.summary_turn)
        .where(_turn.period_id == turn.period_id, _turn.tries == turn.tries)
        .values(tries=tries, due_at=now + _AGAIN if tries < _TRIES else None)
    )
    return connection.execute(taken).rowcount == 1


def end(connection: Connection, turn: Turn, again: datetime | None) -> None:
    """Say when the period's next turn is, of those that are left to it; None: all was asked."""
    mine = update(tables.summary_turn).where(_turn.period_id == turn.period_id, _turn.tries == turn.tries + 1)
    connection.execute(mine.where(_turn.due_at.is_not(None)).values(due_at=again))


def put_off(connection: Connection, turns: Sequence[Turn], now: datetime) -> None:
    """Let these wait as after a try that failed, without counting one: the model does not answer."""
    if turns:
        first = [{"period_id": one.period_id, "tries": 0, "due_at": now} for one in turns]
        connection.execute(_ADD_TURN[connection.dialect.name], first)
        waiting = update(tables.summary_turn).where(_turn.period_id.in_([one.period_id for one in turns]))
        connection.execute(waiting.where(_turn.due_at <= now).values(due_at=now + _AGAIN))


def window(connection: Connection, turn: Turn) -> tuple[int, int] | None:
    """What is new to most of those who wait for the period: archive numbers (after, up_to]; None where nobody waits."""
    section, member = tables.edition_section.c, tables.membership.c
    cursors = (
        select(member.cursor)
        .join_from(tables.edition_section, tables.membership, member.id == section.membership_id)
        .where(section.state == "waiting", section.period_id == turn.period_id)
        .group_by(member.cursor)
        .order_by(func.count().desc(), member.cursor)
    )
    after = connection.execute(cursors.limit(1)).scalar()
    return None if after is None else (after, turn.up_to)
