"""Builds every part of a site from its settings, and runs them together; the only place that knows them all.

It does nothing itself that a part could do.
"""

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

from sqlalchemy import Connection, select
from starlette.applications import Starlette
from starlette.routing import BaseRoute

from tidings import jobs
from tidings.archive import read
from tidings.clock import Clock, ShiftedClock, SystemClock
from tidings.communities.directory import Directory
from tidings.database.engine import Database
from tidings.database.migrate import migrate
from tidings.database.tables import site_value
from tidings.digests import render
from tidings.intake import Desk, Intake
from tidings.mailer import compose
from tidings.mailer.deliver import Deliverer, open_transport
from tidings.mailer.door import Door
from tidings.mailer.notices import Notices
from tidings.mailer.outbox import Claimed
from tidings.mailer.spool import Spool
from tidings.mailer.worker import ParseWorker
from tidings.settings import Settings
from tidings.tokens import Tokens
from tidings.web import site as web

_SECRET = "secret"  # noqa: S105  (the name of the row, not the key)
_OFFSET = "clock_offset"  # seconds, of a demo's clock


@dataclass(frozen=True, kw_only=True)
class Site:
    """The parts of one site that hold state; the methods build those that work on them."""

    settings: Settings
    database: Database
    spool_database: Database
    spool: Spool
    clock: Clock
    tokens: Tokens
    communities: Directory
    notices: Notices

    def worker(self) -> ParseWorker:
        """A parser process, started when it is first needed."""
        return ParseWorker(self.settings.limits)

    def intake(self, worker: ParseWorker) -> Intake:
        """The pipeline from the spool to the outbox."""
        return Intake(
            database=self.database,
            spool=self.spool,
            worker=worker,
            communities=self.communities,
            notices=self.notices,
            tokens=self.tokens,
            clock=self.clock,
            settings=self.settings,
        )

    def desk(self) -> Desk:
        """What a person does with mail that waits."""
        return Desk(database=self.database, spool=self.spool, clock=self.clock)

    def door(self) -> Door:
        """Who and what the SMTP listener lets in."""
        return Door(self.communities, self.tokens, self.settings)

    def deliverer(self) -> Deliverer:
        """The workers that send what is in the outbox."""
        return Deliverer(
            database=self.database,
            settings=self.settings.delivery,
            clock=self.clock,
            open_transport=lambda: open_transport(self.settings),
            assemblers={"post": self._post_copy, "edition": self._edition},
        )

    def web(self, extra_routes: Sequence[BaseRoute] = ()) -> Starlette:
        """The pages."""

        def send_notice(connection: Connection, key: str, recipient: str, subject: str, text: str) -> bool:
            now = self.clock.now()
            return self.notices.send(connection, key=key, recipient=recipient, subject=subject, text=text, now=now)

        return web.build(
            database=self.database,
            settings=self.settings,
            clock=self.clock,
            tokens=self.tokens,
            send_notice=send_notice,
            spool=self.desk(),
            extra_routes=extra_routes,
        )

    def run_due(self) -> jobs.Done:
        """Do all that is due by the site's clock, once."""
        return jobs.run_due(self.database, self.clock.now(), site=self.settings.site)

    def _edition(self, connection: Connection, claimed: Claimed) -> bytes:
        assert claimed.edition_id is not None
        return render.assemble(connection, claimed.edition_id, site=self.settings.site, tokens=self.tokens)

    def _post_copy(self, connection: Connection, claimed: Claimed) -> bytes:
        assert claimed.post_id is not None
        source = read.copy_source(connection, claimed.post_id)
        facts = compose.CopyFacts(
            community=source.community,
            title=source.title,
            domain=self.settings.site.domain,
            base_url=self.settings.site.base_url,
            message_id=source.message_id,
            fields=claimed.fields or {},
            body=claimed.body,
        )
        return compose.list_copy(source.raw, facts)

    def close(self) -> None:
        """Close the databases."""
        self.database.close()
        if self.spool_database is not self.database:
            self.spool_database.close()


def open_site(settings: Settings, clock: Clock | None = None) -> Site:
    """Open a site, checked and migrated.

    Raises SettingsError, and StorageError where a database cannot be used safely.
    """
    folder = Path(settings.site.data_dir)
    folder.mkdir(parents=True, exist_ok=True)
    database = Database(settings.database.url, folder=folder)
    # A file of its own on SQLite, so that accepting waits for nothing else; on PostgreSQL a plain table.
    spool_database = Database("sqlite:///spool.db", folder=folder) if database.dialect == "sqlite" else database
    for one in {database, spool_database}:
        one.check()
    migrate(database, "site")
    migrate(spool_database, "spool")
    with database.write() as connection:
        key = _value(connection, _SECRET)
        if key is None:
            key = secrets.token_bytes(32)
            connection.execute(site_value.insert().values(key=_SECRET, value=key))
    if clock is None:
        clock = ShiftedClock(lambda: clock_offset(database)) if settings.site.demo else SystemClock()
    return Site(
        settings=settings,
        database=database,
        spool_database=spool_database,
        spool=Spool(spool_database),
        clock=clock,
        tokens=Tokens(key),
        communities=Directory(database),
        notices=Notices(settings),
    )


def clock_offset(database: Database) -> timedelta:
    """How far the clock of a demo is ahead: a row, so that every process of the demo reads it."""
    with database.read() as connection:
        value = _value(connection, _OFFSET)
    return timedelta(seconds=int(value or b"0"))


def push_clock(database: Database, by: timedelta) -> None:
    """Push the clock of a demo forward."""
    offset = str(int((clock_offset(database) + by).total_seconds())).encode()
    with database.write() as connection:
        connection.execute(site_value.delete().where(site_value.c.key == _OFFSET))
        connection.execute(site_value.insert().values(key=_OFFSET, value=offset))


def _value(connection: Connection, key: str) -> bytes | None:
    found = connection.execute(select(site_value.c.value).where(site_value.c.key == key)).scalar()
    return None if found is None else bytes(found)
