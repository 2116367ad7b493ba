"""Plays weeks of a site: old mail comes in as if it were new, and what falls due on the way is done and sent.

The parts are those of a copy; where its mail goes is their matter. Nothing here is asked whether somebody may post.
"""

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice

import msgspec

from tidings.archive import store
from tidings.archive.mbox import Entry
from tidings.clock import FixedClock
from tidings.communities.directory import Community, email_key, email_keys
from tidings.database.engine import Database
from tidings.intake.filing import Filing
from tidings.mailer import outbox
from tidings.mailer.addresses import Addresses
from tidings.mailer.parsed import ParsedMessage
from tidings.mailer.worker import Outcome, ParseWorker, Unreadable
from tidings.operations.demo import due
from tidings.settings import Settings

_PARSED = 200  # messages that are parsed at a time
_WEEK = timedelta(days=7)


@dataclass(frozen=True, kw_only=True)
class Stage:
    """The parts of the copy; `run_due` does what is due by its clock, `deliver` sends what is in its outbox."""

    settings: Settings
    database: Database
    clock: FixedClock
    worker: ParseWorker
    run_due: Callable[[], object]
    deliver: Callable[[], object]


@dataclass(frozen=True, kw_only=True)
class Coming:
    """A message and the moment (UTC) at which it comes in."""

    at: datetime
    raw: bytes
    message: ParsedMessage


@dataclass(frozen=True, kw_only=True)
class Played:
    """What came in: posts, and messages that did not become one (unreadable, or there already)."""

    posts: int
    left_out: int


def coming(worker: ParseWorker, entries: Iterable[Entry], begins: datetime, ends: datetime) -> tuple[list[Coming], int]:
    """The readable messages in the order of their dates, and how many are not readable.

    The oldest is moved by whole weeks into the first week after `begins`, the others as far, so that each keeps its
    weekday and hour; what then lies at or behind `ends` does not come.
    """
    dated, unreadable = [], 0
    for entry, outcome in _parsed(worker, entries):
        if isinstance(outcome, Unreadable):
            unreadable += 1
        elif date := outcome.message.date or entry.envelope_date:
            dated.append((date, entry.raw, outcome.message))
    dated.sort(key=lambda one: one[0])
    # Dates that are wrong by years would put all others far behind: the middle one tells in which week they are.
    first = next((date for date, _, _ in dated if _median(dated) - date < timedelta(days=366)), None)
    if first is None:
        return [], unreadable
    by = -((first - begins) // _WEEK) * _WEEK
    moved = [
        # Its own Date field is years old; what is told of it goes by when it comes.
        Coming(at=date + by, raw=raw, message=msgspec.structs.replace(message, date=date + by))
        for date, raw, message in dated
    ]
    return [one for one in moved if begins <= one.at < ends], unreadable


def _median(dated: Sequence[tuple[datetime, bytes, ParsedMessage]]) -> datetime:
    return dated[len(dated) // 2][0]


def _parsed(worker: ParseWorker, entries: Iterable[Entry]) -> Iterator[tuple[Entry, Outcome]]:
    source = iter(entries)
    while batch := list(islice(source, _PARSED)):
        yield from zip(batch, worker.parse_many([entry.raw for entry in batch]), strict=True)


def play(
    stage: Stage, community: Community | None, mail: Sequence[Coming], ends: datetime, each_week: Callable[[], object]
) -> Played:
    """Play until `ends`: `mail` comes in to the community; `each_week` is called as a week is over."""
    posts, over, waiting = 0, stage.clock.now() + _WEEK, deque(mail)
    for moment in due.moments(stage.database, stage.clock, ends):
        while community and waiting and waiting[0].at <= moment:
            posts += _take_in(stage, community, waiting.popleft())
        stage.clock.set(moment)
        stage.run_due()
        stage.deliver()
        while moment >= over:
            each_week()
            over += _WEEK
    return Played(posts=posts, left_out=len(mail) - posts)


def _take_in(stage: Stage, community: Community, one: Coming) -> bool:
    """Archive a message and put it out to its readers; False where it is there already."""
    writes = store.Writes()
    with stage.database.write() as connection:
        filing = Filing(connection, community.id, stage.settings, writes)
        filed = filing.file(one.message, store.packed(one.raw), received_at=one.at, via="smtp")
        writes.flush(connection)
        if isinstance(filed, store.Known):
            return False
        copies = outbox.add_post(
            connection,
            community_id=community.id,
            post_id=filed.post_id,
            mail_from=Addresses(stage.settings.site).of(community).post,
            now=one.at,
            author=email_key(one.message.author_email),
            named=email_keys(one.message.recipients),
        )
    if copies:
        stage.clock.set(one.at)
        stage.deliver()
    return True
