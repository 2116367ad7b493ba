"""Builds every part of a site from its settings, and runs them together; the only place that knows them all.

It does nothing itself that a part could do.
"""

import logging
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from sqlalchemy import Connection, select

from tidings.clock import Clock, ShiftedClock, SystemClock
from tidings.communities.directory import Directory
from tidings.database.engine import Database
from tidings.database.migrate import migrate
from tidings.database.tables import site_value
from tidings.mailer.notices import Notices
from tidings.mailer.resolver import Dns, SystemDns
from tidings.mailer.spool import Spool
from tidings.mailer.worker import ParseWorker
from tidings.settings import Settings
from tidings.tokens import Tokens

if TYPE_CHECKING:  # a command loads what it uses, and most use little
    from starlette.applications import Starlette
    from starlette.routing import BaseRoute

    from tidings import jobs
    from tidings.intake.case import Parts
    from tidings.intake.desk import Desk
    from tidings.intake.pipeline import Intake
    from tidings.mailer.deliver import Deliverer
    from tidings.mailer.door import Door
    from tidings.mailer.imap_in import Fetcher
    from tidings.mailer.outbox import Claimed
    from tidings.mailer.sign import DkimKey
    from tidings.mailer.smtp_session import Answer

log = logging.getLogger(__name__)
_SECRET = "secret"  # noqa: S105  (the name of the row, not the key)
_FILL_INDEX = "fill_index"  # there while a migration left the text index without some of the posts
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
    dns: Dns
    closing: list[Callable[[], None]] = field(default_factory=list)  # what is to be done when the site is closed

    def worker(self) -> ParseWorker:
        """A parser process, started when it is first needed."""
        return ParseWorker(self.settings.limits)

    def intake(self, worker: ParseWorker) -> "Intake":
        """The pipeline from the spool to the outbox."""
        from tidings.intake.pipeline import Intake

        return Intake(
            database=self.database,
            spool=self.spool,
            worker=worker,
            parts=self.parts(),
        )

    def parts(self) -> "Parts":
        """What the handlers of mail use."""
        from tidings.intake.case import Parts

        return Parts(
            communities=self.communities,
            notices=self.notices,
            tokens=self.tokens,
            clock=self.clock,
            settings=self.settings,
            dns=self.dns,
        )

    def desk(self) -> "Desk":
        """What a person does with mail that waits."""
        from tidings.intake.desk import Desk

        return Desk(database=self.database, spool=self.spool, parts=self.parts())

    def door(self) -> "Door":
        """Who and what the SMTP listener lets in."""
        from tidings.mailer.door import Door

        return Door(self.communities, self.tokens, self.settings)

    def deliverer(self) -> "Deliverer":
        """The workers that send what is in the outbox. Raises SettingsError where the key that signs cannot be read."""
        from tidings.mailer.deliver import Deliverer, open_transport
        from tidings.mailer.dmarc import Policies
        from tidings.outgoing import Outgoing

        outgoing = Outgoing(
            settings=self.settings,
            tokens=self.tokens,
            clock=self.clock,
            policies=Policies(self.dns, self.clock),
            key=_key(self.settings),
        )
        self.closing.append(outgoing.close)
        return Deliverer(
            database=self.database,
            settings=self.settings.delivery,
            routes=self.settings.route,
            clock=self.clock,
            open_transport=partial(open_transport, self.settings),
            assemblers=outgoing.assemblers,
            return_path=outgoing.return_path,
            on_refused=self._refused,
        )

    def is_list_address(self, email: str) -> bool:
        """Whether that is an address of one of the communities: it would loop as a member's."""
        from tidings.intake import asking
        from tidings.mailer.addresses import Addresses

        return asking.is_list_address(email, self.communities, Addresses(self.settings.site))

    def fetchers(self, on_commit: Callable[[], None]) -> "list[Fetcher]":
        """What fetches the mail of the mailboxes in the settings, one each. Raises SettingsError."""
        from tidings.mailer.addresses import Addresses
        from tidings.mailer.door import Admitted
        from tidings.mailer.imap_in import Fetcher

        door, addresses = self.door(), Addresses(self.settings.site)

        def knows(address: str) -> bool:
            # Nobody asks here whom it would help to be sent away; each address stands for itself.
            return isinstance(door.recipient(address, now=self.clock.now(), asker=address), Admitted)

        def post_address(name: str) -> str | None:
            community = self.communities.find(name)
            return addresses.of(community).post if community else None

        return [
            Fetcher(
                mailbox,
                password=self.settings.secret("imap.password_file", mailbox.password_file),
                spool_database=self.spool_database,
                knows=knows,
                post_address=post_address,
                clock=self.clock,
                max_size=self.settings.smtp.max_size,
                on_commit=on_commit,
            )
            for mailbox in self.settings.imap
        ]

    def web(self, extra_routes: "Sequence[BaseRoute]" = ()) -> "Starlette":
        """The pages."""
        from tidings.web import site as web

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

    def run_due(self, stopping: Callable[[], bool] = lambda: False) -> "jobs.Done":
        """Do all that is due by the site's clock, once; what may be left for later is, once it is `stopping`."""
        from tidings import jobs
        from tidings.digests import kept
        from tidings.intake import moderation, returned, undelivered, unreadable

        parts = self.parts()
        chores = {
            "notices to moderators": lambda now: moderation.tell_due(self.database, self.spool, parts, now),
            "notices of what imports held": lambda now: unreadable.tell_due(self.database, self.spool, parts, now),
            "questions to addresses that were stopped": lambda now: returned.probe_due(self.database, parts, now),
            "reports of mail that was given up": lambda now: undelivered.tell_due(self.database, parts, now),
            "calendars of rotas": self._refresh_calendars,
            "replies that nobody asks for any more": lambda now: kept.forget_due(self.database, now),
        }
        ahead = {"summaries of conversations": lambda now: self._ask_model(now, stopping)}
        return jobs.run_due(self.database, self.clock.now(), site=self.settings.site, ahead=ahead, chores=chores)

    def replan(self, connection: Connection, now: datetime, *, person_id: int | None = None) -> int:
        """Let what waits go out when rotas and choices say now, after one of them changed; how many editions moved.

        It is done for one person or for everybody.
        """
        from tidings.digests import plans

        return plans.replan(connection, now, site=self.settings.site, person_id=person_id)

    def _ask_model(self, now: datetime, stopping: Callable[[], bool]) -> int:
        from tidings.digests import summarise

        summarise.summarise_due(self.database, now, settings=self.settings, stopping=stopping)
        return 0

    def _refresh_calendars(self, now: datetime) -> int:
        from tidings.communities import calendars

        calendars.refresh_due(self.database, now, lambda connection: self.replan(connection, now))
        return 0

    def _refused(self, connection: Connection, claimed: "Claimed", answer: "Answer") -> None:
        from tidings.intake import returned

        refused = returned.Returned(self.parts()).refused
        refused(connection, claimed.recipient, str(answer), self.clock.now(), claimed.community_id)

    def close(self) -> None:
        """End what signs, and close the databases."""
        while self.closing:
            self.closing.pop()()
        self.database.close()
        if self.spool_database is not self.database:
            self.spool_database.close()


def open_site(settings: Settings, clock: Clock | None = None, dns: Dns | None = None) -> Site:
    """Open a site, checked and migrated; `dns` replaces this machine's resolvers.

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
        unfilled = _value(connection, _FILL_INDEX) is not None
    if unfilled:
        _fill_index(database)
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
        dns=dns or SystemDns(),
    )


def _fill_index(database: Database) -> None:
    """Index what a migration left unindexed, a batch for each transaction: mail goes on, and it may be cut off."""
    from tidings.archive import text_index

    log.warning("Making the text index anew; this happens once.")
    after: int | None = 0
    while after is not None:
        with database.write() as connection:
            # The row is locked, so that of two processes that start one waits for the other.
            locked = select(site_value.c.key).where(site_value.c.key == _FILL_INDEX).with_for_update()
            if connection.execute(locked).first() is None:
                return
            after = text_index.fill(connection, after)
            if after is None:
                connection.execute(site_value.delete().where(site_value.c.key == _FILL_INDEX))


def _key(settings: Settings) -> "DkimKey | None":
    dkim = settings.dkim
    if not dkim.key_file:
        return None
    from tidings.mailer.sign import load_key

    return load_key(settings.path(dkim.key_file), domain=dkim.domain or settings.site.domain, selector=dkim.selector)


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
