"""Opens a copy of a site and plays weeks on it; every mail that would go out is kept as a file.

What is played, and how the mails are kept, is operations.rehearsal's. The site itself is only read.
"""

import contextlib
import tempfile
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from sqlalchemy import func, select

from tidings.app import Site, open_site
from tidings.archive.mbox import Entry
from tidings.clock import FixedClock
from tidings.communities import directory
from tidings.communities.directory import Community
from tidings.database import tables
from tidings.database.engine import Database
from tidings.errors import UsageError
from tidings.operations import rehearsal
from tidings.operations.rehearsal.letters import Letters
from tidings.operations.rehearsal.playing import Stage, coming, play


@dataclass(frozen=True, kw_only=True)
class Rehearsed:
    """What a rehearsal came to; `left_out` were not readable, or there already."""

    weeks: int
    posts: int
    left_out: int
    mails: int


def rehearse(
    site: Site,
    out: Path,
    *,
    weeks: int,
    community: str = "",
    entries: Iterable[Entry] = (),
    begins: datetime,
    each_week: Callable[[], object] = lambda: None,
    at_end: Callable[[Database], object] = lambda _: None,
) -> Rehearsed:
    """Play so many weeks from `begins` on; `entries` come in to the community as posts, on their own weekdays.

    `at_end` is given the database of the copy before it is gone.

    Raises UsageError where `out` is not empty, the site is not on SQLite, it is not clear which community is meant, or
    `begins` is before something that the site has done: it would not do it again.
    """
    _check_moment(site, begins)
    to = _community(site, community) if community or entries else None
    rehearsal.empty_folder(out)
    with tempfile.TemporaryDirectory(prefix="tidings-") as folder, contextlib.ExitStack() as stack:
        clock = FixedClock(begins)
        copy = open_site(rehearsal.copied(site.settings, site.database, Path(folder)), clock)
        stack.callback(copy.close)
        worker = stack.enter_context(contextlib.closing(copy.worker()))
        letters = Letters(copy.settings.path(copy.settings.delivery.maildir), out, clock)
        deliverer = copy.deliverer()

        def deliver() -> None:
            deliverer.run_once()
            letters.collect()

        stage = Stage(
            settings=copy.settings,
            database=copy.database,
            clock=clock,
            worker=worker,
            run_due=copy.run_due,
            deliver=deliver,
        )
        ends = begins + timedelta(weeks=weeks)
        mail, unreadable = coming(worker, entries, begins, ends)
        played = play(stage, to, mail, ends, each_week)
        title = f"A rehearsal of {weeks} week{'' if weeks == 1 else 's'}: {copy.settings.site.name}"
        letters.write_page(title, copy.settings.site.zone)
        at_end(copy.database)
    return Rehearsed(weeks=weeks, posts=played.posts, left_out=played.left_out + unreadable, mails=len(letters.kept))


def _check_moment(site: Site, begins: datetime) -> None:
    community = tables.community.c
    done = func.max(func.coalesce(community.last_period_at, community.created_at))
    with site.database.read() as connection:
        last: datetime | None = connection.execute(select(done)).scalar()
    if last is not None and begins < last:
        raise UsageError(f"The site has digests up to {last:%Y-%m-%dT%H:%M} UTC; a rehearsal begins after that.")


def _community(site: Site, name: str) -> Community:
    with site.database.read() as connection:
        if name:
            return directory.community(connection, name)
        found = [one for one in directory.communities(connection) if not one.archived]
    if len(found) != 1:
        raise UsageError("Say with --community which community the mail comes in to.")
    return found[0]
