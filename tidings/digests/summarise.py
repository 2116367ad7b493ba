"""Asks the model of the settings about the conversations of new periods, ahead of the editions that tell them.

Each conversation is asked about once, for all readers, and never inside a transaction. What fails or hangs costs the
editions a bounded time and the model's words, nothing else: they are told in the members' own.
"""

import logging
import time
from collections.abc import Callable
from datetime import datetime

from tidings.communities import directory
from tidings.database.engine import Database
from tidings.digests import gather, model, prompt, select, summaries
from tidings.digests.model import Answer, Question
from tidings.digests.summaries import Turn
from tidings.digests.week import Reader, Thread
from tidings.errors import SettingsError
from tidings.settings import Settings

SECONDS = 40.0
"""After how long nothing more is asked in one run; an answer that is due by then is still waited for."""

_ANYBODY = Reader(keys=frozenset())

_log = logging.getLogger(__name__)


def summarise_due(
    database: Database,
    now: datetime,
    *,
    settings: Settings,
    stopping: Callable[[], bool] = lambda: False,
    timer: Callable[[], float] = time.monotonic,
) -> None:
    """Ask about the periods whose turn it is; what SECONDS, by the `timer`, leave no time for is asked at the next run.

    Where no model is set, what one wrote before is thrown away. Once it is `stopping`, no answer is waited for.
    """
    if settings.summary.provider == "extractive":
        _forget(database)
        return
    until = timer() + SECONDS

    def is_over() -> bool:
        return stopping() or timer() >= until

    def ask(thread: Thread) -> Answer:
        return _asked(settings, thread, stopping)

    with database.read() as connection:
        turns = summaries.due(connection, now)
    for place, turn in enumerate(turns):
        if is_over():
            return
        with database.write() as connection:
            claimed = summaries.claim(connection, turn, now)
        if claimed and not _take(database, turn, now, ask, is_over):
            with database.write() as connection:
                summaries.put_off(connection, turns[place + 1 :], now)
            return


def _forget(database: Database) -> None:
    with database.read() as connection:
        if summaries.is_empty(connection):
            return
    with database.write() as connection:
        summaries.forget(connection)


def _take(
    database: Database,
    turn: Turn,
    now: datetime,
    ask: Callable[[Thread], Answer],
    is_over: Callable[[], bool],
) -> bool:
    """Take a turn; whether the model answered. Where it did not, the turn comes again by itself."""
    again = None
    for thread in _unasked(database, turn, now):
        if is_over():
            again = now
            break
        answer = ask(thread)
        if answer.error:
            _log.warning("The model wrote no summary: %s", answer.error)
            return False
        with database.write() as connection:
            summaries.keep(connection, turn.community_id, thread, prompt.plain(answer.text), now)
    with database.write() as connection:
        summaries.end(connection, turn, again)
    return True


def _unasked(database: Database, turn: Turn, now: datetime) -> list[Thread]:
    """The conversations of the period that are long, and of which nothing is kept."""
    with database.read() as connection:
        window = summaries.window(connection, turn)
        if window is None:
            return []
        community = directory.community_by_id(connection, turn.community_id)
        # What a reader is told who has no part in any of it: most are.
        chosen = select.choose(gather.week(connection, community, *window, now), _ANYBODY)
        return [
            thread
            for thread, _ in chosen.conversations
            if prompt.is_long(thread) and summaries.find(connection, community.id, thread) is None
        ]


def _asked(settings: Settings, thread: Thread, is_over: Callable[[], bool]) -> Answer:
    summary = settings.summary
    try:
        key = settings.secret("summary.key_file", summary.key_file) if summary.key_file else ""
    except SettingsError as error:
        return Answer(error=str(error))
    question = Question(
        url=summary.url, model=summary.model, key=key, instructions=prompt.INSTRUCTIONS, text=prompt.text(thread)
    )
    return model.ask(question, summary.timeout, is_over)
