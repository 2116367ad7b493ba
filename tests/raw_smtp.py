"""A client that says exactly the bytes it is told to, and a listener of a test's own with a real spool behind it."""

import asyncio
import shutil
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future
from datetime import datetime
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo

import pytest

from tidings.clock import FixedClock
from tidings.communities import joining
from tidings.communities.directory import Directory
from tidings.database.engine import Database
from tidings.mailer.door import Door
from tidings.mailer.smtp_in import Listener
from tidings.mailer.spool import GroupCommit, Spool, Spooled
from tidings.settings import LimitSettings, Settings, SiteSettings, SmtpSettings
from tidings.tokens import Tokens

NOW = datetime(2026, 10, 14, 9, 0, tzinfo=ZoneInfo("Europe/Berlin"))
PUMP, OPEN = "pump@lists.example.org", "open@lists.example.org"
_PATIENCE = 20.0


class Wire:
    """One connection, and what the listener says on it."""

    def __init__(self, port: int, source: str = "127.0.0.1") -> None:
        """`source` is any address of 127.0.0.0/8, so that one machine can be many."""
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=_PATIENCE, source_address=(source, 0))
        self._reader = self.socket.makefile("rb")

    def reply(self) -> str:
        """One reply, its lines joined; empty where the connection is closed."""
        lines = []
        while True:
            try:
                line = self._reader.readline().decode().rstrip("\r\n")
            except ConnectionResetError:
                line = ""
            lines.append(line)
            if line[3:4] != "-":
                return "\n".join(lines)

    def send(self, data: bytes | str) -> None:
        """Bytes as they are, text as one line."""
        self.socket.sendall(data if isinstance(data, bytes) else data.encode() + b"\r\n")

    def say(self, data: bytes | str) -> str:
        """Send, and give the next reply."""
        self.send(data)
        return self.reply()

    def open(self, hello: str = "EHLO") -> Self:
        """Read the greeting, and greet."""
        assert self.reply().startswith("220 lists.example.org")
        self.greeting = self.say(f"{hello} client.example.org")
        return self

    def begin(self, sender: str = "ana@example.org", *to: str) -> Self:
        """All of a transaction up to the 354."""
        assert self.say(f"MAIL FROM:<{sender}>").startswith("250")
        for one in to or (PUMP,):
            assert self.say(f"RCPT TO:<{one}>").startswith("250")
        assert self.say("DATA").startswith("354")
        return self

    def data(self, content: bytes, sender: str = "ana@example.org", to: str = PUMP) -> str:
        """The reply to a whole message."""
        return self.begin(sender, to).say(content + b".\r\n")

    def start_tls(self) -> Self:
        """Go on inside TLS, whoever the listener claims to be."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        self._reader.close()
        self.socket = context.wrap_socket(self.socket)
        self._reader = self.socket.makefile("rb")
        return self

    def closed(self) -> bool:
        """Whether the listener says no more."""
        return self.reply() == ""

    def close(self) -> None:
        """Hang up."""
        self._reader.close()
        self.socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def mail(header: str = "", body: str = "Hello", sender: str = "ana@example.org") -> bytes:
    """A small message."""
    return f"From: {sender}\r\nMessage-ID: <1@example.org>\r\n{header}\r\n{body}\r\n".encode()


class Listening:
    """A listener in a thread of its own, with two communities: pump is for members, of whom ana is one; open for all.

    It runs until the block ends.
    """

    def __init__(self, database: Database, *, site: Mapping[str, Any] | None = None, **smtp: Any) -> None:
        """`site` and `smtp` are settings that are not as usual."""
        self.settings = Settings(
            site=SiteSettings(**(site or {})), smtp=SmtpSettings(**smtp), limits=LimitSettings(header_bytes=4096)
        )
        self.database = database
        self.spool = Spool(database)
        self.clock = FixedClock(NOW)
        self.tokens = Tokens(b"k" * 32)
        door = Door(Directory(database), self.tokens, self.settings)
        self.listener = Listener(door=door, spool=self, clock=self.clock, settings=self.settings)
        self.before_commit: Callable[[], None] = lambda: None
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> Self:
        with self.database.write() as connection:
            joining.add_community(connection, name="pump", title="Pump", zone="UTC", now=NOW)
            joining.add_community(connection, name="open", title="Open", zone="UTC", posting="open", now=NOW)
            joining.add_member(connection, community="pump", email="ana@example.org", now=NOW)
        self._thread.start()
        assert self._started.wait(_PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self.begin_stop().result(_PATIENCE)
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(_PATIENCE)
        assert not self._thread.is_alive(), "the listener did not end"

    def begin_stop(self) -> "Future[None]":
        """Stop the listener, as SIGTERM does; the result comes when that is done."""
        return asyncio.run_coroutine_threadsafe(self.listener.stop(), self._loop)

    async def append(self, messages: Any) -> None:
        """Commit, as the listener asks."""
        self.before_commit()
        await self._group.append(messages)

    async def _run(self) -> None:
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        self._group = GroupCommit(self.spool)
        await self.listener.start("127.0.0.1", 0)
        self._started.set()
        await self._ending.wait()
        await asyncio.to_thread(self._group.close)

    @property
    def hello(self) -> str:
        """How this listener is greeted."""
        return "LHLO" if self.settings.smtp.protocol == "lmtp" else "EHLO"

    def wire(self, source: str = "127.0.0.1") -> Wire:
        """A client that has not yet read anything."""
        return Wire(self.listener.port, source)

    def open(self, source: str = "127.0.0.1") -> Wire:
        """A client that has greeted."""
        return self.wire(source).open(self.hello)

    def spooled(self) -> list[Spooled]:
        """What was accepted."""
        return self.spool.waiting(1000)

    def raws(self) -> list[bytes]:
        """The messages that were accepted, as they are stored."""
        return [one.raw for one in self.spooled()]

    def change(self, name: str, **changes: str) -> None:
        """Change a community, as a command would."""
        with self.database.write() as connection:
            joining.set_community(connection, name, changes, NOW)


# --- fixtures, for those who import them -----------------------------------------------------------------------------


@pytest.fixture
def running(sqlite_database: Database) -> Iterator[Listening]:
    with Listening(sqlite_database) as listening:
        yield listening


@pytest.fixture
def wire(running: Listening) -> Iterator[Wire]:
    with running.open() as made:
        yield made


@pytest.fixture(scope="module")
def shared(_migrated_sqlite: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Listening]:
    """One listener for all that leaves nothing behind."""
    path = shutil.copy(_migrated_sqlite, tmp_path_factory.mktemp("shared"))
    database = Database(f"sqlite:///{path}")
    with Listening(database) as listening:
        yield listening
    database.close()


@pytest.fixture
def visitor(shared: Listening) -> Iterator[Wire]:
    with shared.open() as made:
        yield made
