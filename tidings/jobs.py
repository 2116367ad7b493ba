"""Does what is due: periods whose cut-off passed, meetings, the end of quiet hours, editions whose time has come.

It keeps no state and knows no timer: who wakes it passes the time in, and any number of processes may do so at once.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice

from tidings.database.engine import Database
from tidings.digests import editions, periods, quiet
from tidings.digests.editions import Due
from tidings.digests.meetings import conduct
from tidings.digests.weeks import Weeks
from tidings.settings import SiteSettings

_BATCH = 500
_AT_ONCE = 50  # people whose editions are composed in one transaction: others wait for the writer no longer than that

_log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Done:
    """What one run did: periods made, people who were sent an edition, people for whom nothing was new, failures.

    `notices` counts the mails that chores wrote.
    """

    periods: int
    editions: int
    quiet: int
    failed: int
    notices: int = 0


Chore = Callable[[datetime], int]
"""Does what is due at a moment and says how many mails it wrote; done twice, it writes none the second time."""


def run_due(
    database: Database,
    now: datetime,
    *,
    site: SiteSettings,
    ahead: Mapping[str, Chore] | None = None,
    chores: Mapping[str, Chore] | None = None,
) -> Done:
    """Do all that is due at `now`, once; `chores` are done by their names, after the editions, those `ahead` before.

    What fails is logged, stops nothing else and is tried again at the next run.
    """
    made, failed = _make_periods(database, now, site)
    failed += _end_quiet_hours(database, now) + conduct.run_due(database, now, site=site)
    early, unready = _do(ahead or {}, now)
    results = _compose_all(database, now, site)
    notices, broken = _do(chores or {}, now)
    return Done(
        periods=made,
        editions=results["composed"],
        quiet=results["quiet"],
        failed=failed + results["failed"] + len(unready) + len(broken),
        notices=early + notices,
    )


def _do(chores: Mapping[str, Chore], now: datetime) -> tuple[int, list[str]]:
    """How many mails the chores wrote, and which of them failed."""
    notices, broken = 0, []
    for name, chore in chores.items():
        try:
            notices += chore(now)
        except Exception:
            _log.exception("The %s could not be written; it is tried again.", name)
            broken.append(name)
    return notices, broken


def _make_periods(database: Database, now: datetime, site: SiteSettings) -> tuple[int, int]:
    """How many periods were made, and in how many communities that failed."""
    with database.read() as connection:
        behind = periods.behind(connection, now)
    made = failed = 0
    for late in behind:
        try:
            with database.write() as connection:
                made += periods.make_periods(connection, late, now, site=site)
        except Exception:
            _log.exception("The period of %s could not be made; it is tried again.", late.community.name)
            failed += 1
    return made, failed


def _end_quiet_hours(database: Database, now: datetime) -> int:
    """How many times that failed: 0 or 1."""
    try:
        busy = True
        while busy:
            with database.write() as connection:
                busy = bool(quiet.end(connection, now))
    except Exception:
        _log.exception("What quiet hours held could not be let go; it is tried again.")
        return 1
    return 0


def _due_people(database: Database, now: datetime) -> Iterator[int]:
    """The people who have something due, each once, those who wait longest first."""
    seen: set[int] = set()
    last: Due | None = None
    while True:
        with database.read() as connection:
            found = editions.due(connection, now, _BATCH, last)
        if not found:
            return
        last = found[-1]
        for one in found:
            if one.person_id not in seen:
                seen.add(one.person_id)
                yield one.person_id


def _compose_all(database: Database, now: datetime, site: SiteSettings) -> Counter[str]:
    """Compose what is due to everybody, some people in one transaction; how many came to each result."""
    results: Counter[str] = Counter()
    people, weeks = _due_people(database, now), Weeks(now)
    while some := list(islice(people, _AT_ONCE)):
        try:
            results.update(_compose(database, some, now, site, weeks))
        except Exception:  # whose fault it is shows when each is by itself
            weeks = Weeks(now)
            results.update(_one_by_one(database, some, now, site, weeks))
    return results


def _one_by_one(
    database: Database, people: Iterable[int], now: datetime, site: SiteSettings, weeks: Weeks
) -> Iterator[str]:
    for person_id in people:
        try:
            yield from _compose(database, [person_id], now, site, weeks)
        except Exception:
            _log.exception("The edition of person %d could not be composed; it is tried again.", person_id)
            yield "failed"


def _compose(database: Database, people: Sequence[int], now: datetime, site: SiteSettings, weeks: Weeks) -> list[str]:
    with database.write() as connection:
        return list(editions.Composer(connection, now, site=site, weeks=weeks).compose(people))
