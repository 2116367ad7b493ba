"""What `place` is told of the posts that are stored, read by as many processes as there are cores where they are many.

Of each no more than the header is parsed: what its text is like, what is stored of it tells. It writes nothing.
"""

import multiprocessing
import os
import signal
import threading
from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass

import msgspec

from tidings.archive.text_index import folds
from tidings.database.engine import Database
from tidings.errors import MessageTooComplexError, StorageError
from tidings.mailer.parse import Relations, relations
from tidings.operations.rereading import Row, arrival, batches, raw_of
from tidings.settings import LimitSettings, Settings
from tidings.threading.place import Arrival

FEW = 10_000
"""Archive numbers that are read before other processes would have begun."""

_SPAN = 200  # archive numbers that are read in one go
_AHEAD = 3  # of these for each process: none waits for work, and little waits to be placed

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[Arrival]).decode


def arrivals(
    database: Database, community_id: int, settings: Settings, after: int, up_to: int
) -> Iterator[tuple[int, list[Arrival]]]:
    """The posts of a community behind an archive number and up to another, some at a time, each time with the last one.

    Raises StorageError where a process that reads them is killed.
    """
    spans = [(start, min(start + _SPAN, up_to)) for start in range(after, up_to, _SPAN)]
    if up_to - after < FEW:
        yield from ((last, _read(database, settings, community_id, start, last)) for start, last in spans)
        return
    cores = len(os.sched_getaffinity(0))
    pool = ProcessPoolExecutor(
        cores, multiprocessing.get_context("spawn"), initializer=_begin, initargs=(database, settings)
    )
    waiting: deque[tuple[int, Future[bytes]]] = deque()
    try:
        for start, last in spans:
            waiting.append((last, pool.submit(_packed, community_id, start, last)))
            if len(waiting) > _AHEAD * cores:
                yield _taken(waiting)
        while waiting:
            yield _taken(waiting)
    except BrokenProcessPool as error:
        raise StorageError("A process that reads posts was killed. Is there memory for it? Say it again.") from error
    finally:
        pool.shutdown(cancel_futures=True)


def _taken(waiting: deque[tuple[int, Future[bytes]]]) -> tuple[int, list[Arrival]]:
    last, asked = waiting.popleft()
    return last, _decode(asked.result())


def _read(database: Database, settings: Settings, community_id: int, after: int, up_to: int) -> list[Arrival]:
    return [
        arrival(row, _related(row, settings.limits), settings)
        for batch in batches(database, community_id, after, up_to)
        for row in batch
    ]


# --- in a process of its own -----------------------------------------------------------------------------------------

_given: tuple[Database, Settings]


def _begin(database: Database, settings: Settings) -> None:
    global _given
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # whoever asked ends us
    threading.Thread(target=_end_with_parent, daemon=True).start()
    _given = database, settings


def _end_with_parent() -> None:
    """Go when the program that asks is killed: our siblings hold its pipe open, so nothing else would tell."""
    parent = multiprocessing.parent_process()
    assert parent is not None
    parent.join()
    os._exit(1)


def _packed(community_id: int, after: int, up_to: int) -> bytes:
    return _encode(_read(*_given, community_id, after, up_to))


# --- of one post -----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Related:
    """A post as it is stored, with what its header says of others: all that its place depends on."""

    subject: str
    author_email: str
    recipients: str
    text: str
    folds: Sequence[tuple[int, int, str]]
    in_reply_to: str
    references: str
    thread_index: str
    list_ids: list[str]


def _related(row: Row, limits: LimitSettings) -> _Related | None:
    """None where its bytes cannot be read any more."""
    raw = raw_of(row)
    try:
        return None if raw is None else _as_stored(row, relations(raw, limits))
    except MessageTooComplexError:
        return None


def _as_stored(row: Row, said: Relations) -> _Related:
    return _Related(
        subject=row.subject,
        author_email=row.author_email,
        recipients=row.recipients,
        text=row.text,
        folds=folds(row.folds),
        **msgspec.structs.asdict(said),
    )
