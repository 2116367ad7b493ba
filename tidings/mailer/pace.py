"""How fast each domain takes mail: learnt from the smart host's answers, kept only for domains that are in trouble.

The only writer of the table `destination`. It neither claims nor sends: a courier asks it for each letter whether its
domain may be tried now or at which moment, and hands back what the answers said.
"""

import re
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import Connection, Row, bindparam, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from tidings.database.tables import destination
from tidings.mailer.smtp_session import Answer

FIRST_PAUSE = timedelta(minutes=1)
LONGEST_PAUSE = timedelta(minutes=30)
LEAST_PAUSE = timedelta(seconds=1)  # a domain that needs less needs none
IN_A_ROW = 5
"""Letters of a domain, one behind the other, that are put off before it rests."""

_UNUSED = timedelta(days=1)  # then what was learnt is forgotten
_CATCH_UP = timedelta(seconds=10)  # moments of the pace that nobody used are lost after that: no burst after a rest
_MILLISECOND = timedelta(milliseconds=1)
_MAILBOX = re.compile(r"4\.2\.\d")  # RFC 3463 3.3: about one mailbox


@dataclass(frozen=True, kw_only=True)
class Destination:
    """A domain in trouble: since when, how long to wait between letters, when the next may go, and what was said."""

    domain: str
    since: datetime
    pause: timedelta
    next_at: datetime
    changed_at: datetime
    said: str


# Built once, like those of the outbox: they run with every claim.
_ALL = select(destination).order_by(destination.c.domain)
# In one order, and before any row of it is written: workers on PostgreSQL wait for each other and never in a circle.
_ALL_HELD = _ALL.with_for_update()
_MOVE = update(destination).where(destination.c.domain == bindparam("of")).values(next_at=bindparam("to"))
_FORGET = delete(destination).where(destination.c.domain == bindparam("of"))
_FORGET_ALL = delete(destination)


def domain_of(recipient: str) -> str:
    """The domain of an address, as it is compared."""
    return recipient.rpartition("@")[2].lower()


def listing(connection: Connection) -> list[Destination]:
    """The domains that are in trouble, by name."""
    return [_destination(row) for row in connection.execute(_ALL)]


def forget_all(connection: Connection) -> None:
    """Let every domain be tried at full speed; what is still in trouble is learnt anew."""
    connection.execute(_FORGET_ALL)


class Slots:
    """When letters may be tried, as one transaction hands the moments out; by `slots`."""

    def __init__(self, known: Mapping[str, Destination], now: datetime) -> None:
        self._known, self._now = known, now
        self._next: dict[str, datetime] = {}
        self.moved: dict[str, datetime] = {}  # the domains of which letters are tried now, and when the next may go

    @property
    def domains(self) -> frozenset[str]:
        """The domains that are in trouble."""
        return frozenset(self._known)

    def of(self, domain: str) -> datetime | None:
        """When one more letter for the domain may be tried; None: now."""
        known = self._known.get(domain)
        if known is None:
            return None
        slot = self._next.get(domain, max(known.next_at, self._now - _CATCH_UP))
        self._next[domain] = slot + known.pause
        if slot <= self._now:
            self.moved[domain] = slot + known.pause
            return None
        return min(slot, self._now + LONGEST_PAUSE)

    def why(self, domain: str) -> str:
        """Why a letter for the domain has to wait."""
        return f"not tried: {domain} takes little or no mail now: {self._known[domain].said}"


@contextmanager
def slots(connection: Connection, now: datetime) -> Iterator[Slots]:
    """Hand out moments in this transaction; which of them were used up is written at its end.

    Where no domain is in trouble it costs one look at an empty table.
    """
    known = {row.domain: _destination(row) for row in connection.execute(_ALL_HELD)}
    stale = [name for name, one in known.items() if max(one.changed_at, one.next_at) <= now - _UNUSED]
    if stale:
        connection.execute(_FORGET, [{"of": name} for name in stale])
    given = Slots({name: one for name, one in known.items() if name not in stale}, now)
    yield given
    if given.moved:
        connection.execute(_MOVE, [{"of": name, "to": at} for name, at in given.moved.items()])


# --- learning --------------------------------------------------------------------------------------------------------


class Streaks:
    """How many letters of each domain were put off, one behind the other; for all couriers of a process."""

    def __init__(self) -> None:
        self._counts: dict[str, int] = {}
        self._lock = threading.Lock()

    def one_more(self, domain: str) -> int:
        """Count one more; returns how many they are."""
        with self._lock:
            self._counts[domain] = count = self._counts.get(domain, 0) + 1
        return count

    def end(self, domain: str) -> None:
        """Begin anew."""
        if domain in self._counts:
            with self._lock:
                self._counts.pop(domain, None)


@dataclass(frozen=True, kw_only=True)
class _Lesson:
    """What the answers of one round said of a domain: that it must rest (`said`), and how often it took mail after."""

    said: str = ""
    taken: int = 0


class Lessons:
    """What the answers since the last record said of domains; for one courier."""

    def __init__(self, streaks: Streaks) -> None:
        self._streaks = streaks
        self._lessons: dict[str, _Lesson] = {}
        self.known: frozenset[str] = frozenset()  # the domains that were in trouble when letters were claimed

    def hear(self, domain: str, answer: Answer) -> bool:
        """Learn from one answer; whether the domain must rest from now on."""
        judged = _judge(answer)
        if judged == "good":
            self._streaks.end(domain)
            lesson = self._lessons.get(domain)
            if lesson or domain in self.known:
                lesson = lesson or _Lesson()
                self._lessons[domain] = replace(lesson, taken=lesson.taken + 1)
            return False
        if judged == "nothing":
            return False
        enough = self._streaks.one_more(domain) >= IN_A_ROW
        if not (enough or judged == "late" or domain in self.known):
            return False
        self._streaks.end(domain)
        self._lessons[domain] = _Lesson(said=str(answer))
        return True

    def write(self, connection: Connection, now: datetime) -> None:
        """Write what was learnt."""
        if not self._lessons:
            return
        known = {row.domain: _destination(row) for row in connection.execute(_ALL_HELD)}
        for domain, lesson in sorted(self._lessons.items()):
            before = known.get(domain)
            after = _after(lesson, domain, before, now)
            if after is not None:
                _keep(connection, after)
            elif before is not None:
                connection.execute(_FORGET, {"of": domain})

    def forget(self) -> None:
        """What was written; after the commit."""
        self._lessons = {}


def _judge(answer: Answer) -> Literal["good", "late", "bad", "nothing"]:
    """What an answer says of the recipient's domain. Only the one to RCPT is about it; others are about us.

    That somebody is refused for good shows as well that the domain answers. A cut connection or `421` may be the
    host's own: it counts like any other temporary failure.
    """
    if answer.accepted or answer.refused:
        return "good"
    if answer.step != "rcpt" or _MAILBOX.match(answer.text):
        return "nothing"
    return "late" if answer.timed_out else "bad"


def _after(lesson: _Lesson, domain: str, before: Destination | None, now: datetime) -> Destination | None:
    """A domain as it stands after a round; None where it is in no trouble."""
    at = before
    if lesson.said:
        pause = min(2 * before.pause, LONGEST_PAUSE) if before else FIRST_PAUSE
        since = before.since if before else now
        at = Destination(domain=domain, since=since, pause=pause, next_at=now + pause, changed_at=now, said=lesson.said)
    if at is None:
        return None
    pause = at.pause / (1 << min(lesson.taken, 30))
    if pause < LEAST_PAUSE:
        return None
    return replace(at, pause=pause, next_at=min(at.next_at, now + pause), changed_at=now)


def _destination(row: Row[Any]) -> Destination:
    values = row._asdict()
    return Destination(**values | {"pause": values["pause"] * _MILLISECOND})


def _keep(connection: Connection, one: Destination) -> None:
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    values = vars(one) | {"pause": one.pause // _MILLISECOND}
    statement = dialect.insert(destination).values(values)
    connection.execute(statement.on_conflict_do_update(index_elements=["domain"], set_=values))
