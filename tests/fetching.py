"""A fetcher over a test's database and server, for communities that exist by name alone."""

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from tests.running import wait_until
from tidings.clock import FixedClock
from tidings.database.engine import Database
from tidings.mailer import mailboxes
from tidings.mailer.addresses import read_recipient
from tidings.mailer.imap_in import Fetcher
from tidings.mailer.imap_session import Timing
from tidings.mailer.spool import Entry, Spool
from tidings.settings import ImapSettings

NOW = datetime(2026, 10, 14, 9, 0, tzinfo=UTC)
DOMAIN = "lists.example.org"
COMMUNITIES = ("open", "pump")
MAX_SIZE = 200_000
QUICK = Timing(connect=5, answer=5, idle=5, pause=0.01, first_wait=0.01, longest_wait=0.04, refused_wait=600, retry=0)
"""No waiting but for what is refused."""


def knows(address: str) -> bool:
    """Whether an address is one of the communities', with a token that is not `bad`."""
    recipient = read_recipient(address)
    return (
        recipient is not None
        and recipient.community in COMMUNITIES
        and recipient.domain == DOMAIN
        and recipient.token != "bad"
    )


def post_address(name: str) -> str | None:
    """The address that posts to a community, or None where there is none of that name."""
    return f"{name}@{DOMAIN}" if name in COMMUNITIES else None


def mailbox(port: int, user: str = "pump@lists.example.org", **more: Any) -> ImapSettings:
    """The settings of a mailbox of this machine."""
    plain = ImapSettings(host="127.0.0.1", port=port, tls="none", user=user, poll=0)
    return msgspec.structs.replace(plain, **more)


def fetcher(
    database: Database,
    settings: ImapSettings,
    *,
    password: str = "secret",
    timing: Timing = QUICK,
    max_size: int = MAX_SIZE,
    knows: Callable[[str], bool] = knows,
    context: ssl.SSLContext | None = None,
) -> Fetcher:
    """A fetcher that keeps its mail in `database`."""
    return Fetcher(
        settings,
        password=password,
        spool_database=database,
        knows=knows,
        post_address=post_address,
        clock=FixedClock(NOW + timedelta(minutes=1)),
        max_size=max_size,
        timing=timing,
        context=context,
    )


@contextmanager
def running(made: Fetcher) -> Iterator[Fetcher]:
    """A fetcher in its thread, until the block ends."""
    made.start()
    try:
        yield made
    finally:
        made.stop()
        # The thread ends on its own after `stop`; a test that leaves it behind would hide that it does not.
        wait_until(lambda: not _thread(made), "the end of the fetcher's thread")


def _thread(made: Fetcher) -> bool:
    return any(thread.name == f"imap {made.status.name}" for thread in threading.enumerate())


def mail(number: int, body: str = "Hello", *, to: str = "pump@lists.example.org", header: str = "") -> bytes:
    """A message that differs from those of other numbers."""
    return (
        f"{header}From: Ana <ana@example.org>\r\nTo: {to}\r\nSubject: Mail {number}\r\n"
        f"Message-ID: <mail{number}@example.org>\r\n\r\n{body} {number}\r\n"
    ).encode()


def spooled(database: Database) -> list[bytes]:
    """The messages that wait in the spool, oldest first."""
    return [one.raw for one in Spool(database).waiting(10_000)]


def held(database: Database) -> list[Entry]:
    """The messages that are held."""
    return Spool(database).listing("held")


def troubles(database: Database) -> list[mailboxes.Trouble]:
    """What could not be fetched or kept."""
    with database.read() as connection:
        return mailboxes.troubles(connection)
