"""A site that runs for a test: real listener, pages and delivery to a recording server, with a clock to set."""

import asyncio
import smtplib
import threading
import time
from collections.abc import Callable, Collection
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Self

import httpx

from tests.smtp_sink import SmtpSink
from tidings.app import Site, open_site
from tidings.clock import FixedClock
from tidings.communities import sessions
from tidings.mailer.resolver import Dns
from tidings.serving import Ports, Server
from tidings.settings import Settings, parse
from tidings.web.door import COOKIE

_PATIENCE = 20.0  # seconds until a condition that never comes fails the test
ADMIN = "admin@example.org"


def settings_for(folder: Path, sink: SmtpSink | None = None, more: str = "", database: str = "") -> Settings:
    """Settings of a site in `folder` that delivers to `sink`, on free ports."""
    delivery = f'[delivery]\nhost = "127.0.0.1"\nport = {sink.port}\n' if sink else ""
    url = f'[database]\nurl = "{database}"\n' if database else ""
    return parse(
        f'[site]\ndata_dir = "{folder}"\nadmins = ["{ADMIN}"]\n{url}[smtp]\nlisten = "127.0.0.1:0"\n'
        f'[web]\nlisten = "127.0.0.1:0"\n{delivery}{more}'
    )


class RunningSite:
    """A site whose parts run in a thread of their own until the block ends."""

    def __init__(
        self,
        settings: Settings,
        at: datetime,
        parts: Collection[str] = ("smtp", "web", "worker"),
        dns: Dns | None = None,
    ) -> None:
        self.clock = FixedClock(at)
        self.site: Site = open_site(settings, self.clock, dns)
        self.ports: Ports
        self._parts = parts
        self._started = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(_PATIENCE)
        if self._error:
            raise self._error
        return self

    def __exit__(self, *_: object) -> None:
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(_PATIENCE)
        assert not self._thread.is_alive(), "the site did not end"
        self.site.close()

    def _run(self) -> None:
        asyncio.run(self._serve())

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._ending = asyncio.Event()
        self.server = Server(self.site, self.site.web(), self._parts)
        try:
            self.ports = await self.server.start()
        except BaseException as error:
            self._error = error
            self._started.set()
            return
        self._started.set()
        await self._ending.wait()
        await self.server.stop()

    def smtp(self) -> smtplib.SMTP:
        """A client that is connected to the listener."""
        return smtplib.SMTP("127.0.0.1", self.ports.smtp, "client.example.org", timeout=_PATIENCE)

    def post(self, message: EmailMessage, sender: str | None = None, to: str | None = None) -> None:
        """Send a message as its author's mail program would."""
        with self.smtp() as client:
            client.send_message(message, sender or str(message["From"]), to or str(message["To"]))

    def web(self, email: str | None = None) -> httpx.Client:
        """A browser, signed in as `email` where that is given."""
        client = httpx.Client(base_url=f"http://127.0.0.1:{self.ports.web}", timeout=_PATIENCE)
        if email:
            with self.site.database.write() as connection:
                client.cookies.set(COOKIE, sessions.open_session(connection, email, self.clock.now()))
        return client

    def settled(self) -> bool:
        """Whether nothing waits in the spool."""
        return self.site.spool.counts()["waiting"] == 0


def wait_until(condition: Callable[[], bool], what: str, patience: float = _PATIENCE) -> None:
    """Return as soon as `condition` holds; fails, naming `what`, when it does not within `patience` seconds."""
    end = time.monotonic() + patience
    pause = threading.Event()
    while not condition():
        assert time.monotonic() < end, f"never came: {what}"
        pause.wait(0.005)


def message(sender: str, to: str, subject: str, text: str, message_id: str, **fields: str) -> EmailMessage:
    """A plain message; `fields` by their names with `_` for `-`."""
    made = EmailMessage()
    made["From"], made["To"], made["Subject"] = sender, to, subject
    made["Message-ID"] = f"<{message_id}>"
    for name, value in fields.items():
        made[name.replace("_", "-")] = value
    made.set_content(text)
    return made
