"""The thread that sends what is in the outbox, by a courier and its sessions to the smart host.

It starts, waits, wakes and stops; what the courier does with a batch is its own matter.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import closing
from datetime import datetime

from sqlalchemy import Connection

from tidings.clock import Clock
from tidings.database.engine import Database
from tidings.mailer import outbox
from tidings.mailer.courier import Assembler, Courier, Mail, Office, OnRefused, ReturnPath, Round, Transport
from tidings.mailer.maildir import MaildirTransport
from tidings.mailer.outbox import Claimed
from tidings.mailer.smtp_client import SmtpTransport
from tidings.settings import DeliverySettings, Settings

log = logging.getLogger(__name__)

_POLL = 2.0  # seconds between looks for what has become due
_PAUSE = 15.0  # seconds before a smart host that cannot be reached is tried again


def open_transport(settings: Settings) -> Transport:
    """A transport as the settings want it: to the smart host, or to a Maildir where none is set.

    Raises SettingsError where the password cannot be read.
    """
    delivery = settings.delivery
    if not delivery.host:
        return MaildirTransport(settings.path(delivery.maildir))
    return SmtpTransport(
        host=delivery.host,
        port=delivery.port,
        name=settings.site.domain,
        connections=delivery.connections,
        tls=delivery.tls,
        user=delivery.user,
        password=settings.secret("delivery.password_file", delivery.password_file) if delivery.user else "",
        timeout=delivery.timeout,
    )


class Deliverer:
    """Sends what is due, by a thread of its own or by `run_once` in the caller's."""

    def __init__(
        self,
        *,
        database: Database,
        settings: DeliverySettings,
        clock: Clock,
        open_transport: Callable[[], Transport],
        assemblers: Mapping[str, Assembler],
        return_path: ReturnPath,
        on_refused: OnRefused | None = None,
    ) -> None:
        """`assemblers` make the mail of a delivery by its kind, with a reader's connection; a notice brings its own.

        `return_path` is asked for each copy that is not to have the null return path, with the day in UTC. `on_refused`
        is told of each recipient that the smart host refused for good, in the transaction that records it.
        """
        self._settings, self._clock, self._open = settings, clock, open_transport
        self._stopping = threading.Event()
        self._office = Office(
            database=database,
            settings=settings,
            assemblers={"notice": _notice, **assemblers},
            return_path=return_path,
            on_refused=on_refused,
            stopping=self._stopping,
        )
        self._thread: threading.Thread | None = None
        self._nudged = threading.Condition()
        self._nudges = 0

    def start(self) -> None:
        """Start the thread."""
        self._stopping.clear()
        self._thread = threading.Thread(target=self._work, name="deliver", daemon=True)
        self._thread.start()

    def wake(self) -> None:
        """Say that something was put into the outbox; it is looked at at once."""
        with self._nudged:
            self._nudges += 1
            self._nudged.notify_all()

    def stop(self, timeout: float | None = None) -> None:
        """Send no more; returns when what is under way has ended, or after `timeout` seconds without it."""
        self._stopping.set()
        self.wake()
        if self._thread:
            self._thread.join(timeout)
            self._thread = None

    def run_once(self, now: datetime | None = None) -> int:
        """Try all that is due at `now` (by default the clock's) in the calling thread; returns how many were tried.

        It ends early where the smart host cannot be reached: the rest stays due.
        """
        with closing(self._open()) as transport:
            courier = Courier(self._office, transport, self._clock.now if now is None else lambda: now)
            try:
                while courier.run() is Round.BUSY:
                    pass
            finally:
                courier.finish()
        return courier.tried

    def _work(self) -> None:
        with closing(self._open()) as transport:
            courier = Courier(self._office, transport, self._clock.now)
            while not self._stopping.is_set():
                seen = self._nudges
                came_to = _safely(courier.run)
                if came_to is not Round.BUSY:
                    _safely(courier.finish)  # nothing is left unrecorded over a pause
                if came_to is Round.IDLE:
                    self._wait(seen, transport)
                elif came_to is not Round.BUSY:
                    self._stopping.wait(_PAUSE)
            _safely(courier.finish)

    def _wait(self, seen: int, transport: Transport) -> None:
        with self._nudged:
            nudged = self._nudged.wait_for(lambda: self._nudges != seen, _POLL)
        if not nudged:
            transport.close()  # an idle session is closed by the other side sooner or later
            self._office.kept.clear()


def _safely(step: Callable[[], Round | None]) -> Round | None:
    """A worker outlives whatever fails in it; None then."""
    try:
        return step()
    except Exception:
        log.exception("delivery: a worker failed; it goes on after a pause")
        return None


def _notice(connection: Connection, claimed: Claimed) -> Mail:
    return Mail(data=outbox.raw(connection, claimed.outbox_id))
