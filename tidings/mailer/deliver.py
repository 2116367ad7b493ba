"""The threads that send what is in the outbox, one for each route, by a courier and its sessions to a smart host.

They start, wait, wake and stop; what a courier does with a batch is its own matter. No route waits for another: a smart
host that is down or stalls delays nobody else's mail.
"""

import logging
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from datetime import datetime

from sqlalchemy import Connection

from tidings.clock import Clock
from tidings.database.engine import Database
from tidings.mailer import outbox
from tidings.mailer.courier import Assembler, Courier, Mail, Office, OnRefused, ReturnPath, Round, Route, Transport
from tidings.mailer.maildir import MaildirTransport
from tidings.mailer.outbox import Claimed
from tidings.mailer.smtp_client import SmtpTransport
from tidings.settings import DeliverySettings, RouteSettings, Settings

log = logging.getLogger(__name__)

_POLL = 2.0  # seconds between looks for what has become due
_PAUSE = 15.0  # seconds before a smart host that cannot be reached is tried again


def open_transport(settings: Settings, route: RouteSettings | None = None) -> Transport:
    """A transport as the settings want it: to the smart host, a route's own, or to a Maildir where none is set.

    Raises SettingsError where the password cannot be read.
    """
    delivery = settings.delivery
    if route is None and not delivery.host:
        return MaildirTransport(settings.path(delivery.maildir))
    host, table = (delivery, "delivery") if route is None else (route, "route")
    return SmtpTransport(
        host=host.host,
        port=host.port,
        name=settings.site.domain,
        connections=host.connections,
        tls=host.tls,
        user=host.user,
        password=settings.secret(f"{table}.password_file", host.password_file) if host.user else "",
        timeout=delivery.timeout,
    )


class Deliverer:
    """Sends what is due, by a thread for each route or by `run_once` in the caller's."""

    def __init__(
        self,
        *,
        database: Database,
        settings: DeliverySettings,
        routes: Sequence[RouteSettings] = (),
        clock: Clock,
        open_transport: Callable[[RouteSettings | None], Transport],
        assemblers: Mapping[str, Assembler],
        return_path: ReturnPath,
        on_refused: OnRefused | None = None,
    ) -> None:
        """`assemblers` make the mail of a delivery by its kind, with a reader's connection; a notice brings its own.

        `open_transport` is asked once for each of the `routes`, and with None for the default smart host.
        `return_path` is asked for each copy that is not to have the null return path, with the day in UTC. `on_refused`
        is told of each recipient that the smart host refused for good, in the transaction that records it.
        """
        self._database, self._clock, self._open = database, clock, open_transport
        self._hosts: dict[Route, RouteSettings | None] = {Route(connections=settings.connections): None}
        self._hosts |= {Route(name=route.name, connections=route.connections): route for route in routes}
        self._stopping = threading.Event()
        self._office = Office(
            database=database,
            settings=settings,
            assemblers={"notice": _notice, **assemblers},
            return_path=return_path,
            on_refused=on_refused,
            stopping=self._stopping,
        )
        self._threads: list[threading.Thread] = []
        self._busy: set[Route] = set()
        self._nudged = threading.Condition()
        self._nudges = 0

    def start(self) -> None:
        """Route what is queued, and start the threads. Raises SettingsError where a password cannot be read."""
        self._stopping.clear()
        for route, transport in self._opened():
            name = f"deliver {route.name}".rstrip()
            self._threads.append(threading.Thread(target=self._work, args=(route, transport), name=name, daemon=True))
            self._threads[-1].start()

    def wake(self) -> None:
        """Say that something was put into the outbox; it is looked at at once."""
        with self._nudged:
            self._nudges += 1
            self._nudged.notify_all()

    def stop(self, timeout: float | None = None) -> None:
        """Send no more; returns when what is under way has ended, or after `timeout` seconds without it."""
        self._stopping.set()
        self.wake()
        until = None if timeout is None else time.monotonic() + timeout
        for thread in self._threads:
            thread.join(None if until is None else max(0.0, until - time.monotonic()))
        self._threads = []

    def run_once(self, now: datetime | None = None) -> int:
        """Try all that is due at `now` (by default the clock's) in the calling thread; returns how many were tried.

        One route comes after the other, and ends early where its smart host cannot be reached: its rest stays due.
        Raises SettingsError where a password cannot be read.
        """
        moment = self._clock.now if now is None else lambda: now
        tried = 0
        for route, transport in self._opened():
            with closing(transport):
                courier = Courier(self._office, route, transport, moment)
                try:
                    while courier.run() is Round.BUSY:
                        pass
                finally:
                    courier.finish()
            tried += courier.tried
        return tried

    def _opened(self) -> list[tuple[Route, Transport]]:
        """A transport for each route, once all that is queued has one of these."""
        opened = [(route, self._open(host)) for route, host in self._hosts.items()]
        domains = {domain: host.name for host in self._hosts.values() if host for domain in host.domains}
        with self._database.write() as connection:
            moved = outbox.set_routes(connection, domains)
        if moved:
            log.info("delivery: %d deliveries that were queued go by another route now", moved)
        return opened

    def _work(self, route: Route, transport: Transport) -> None:
        with closing(transport):
            courier = Courier(self._office, route, transport, self._clock.now)
            while not self._stopping.is_set():
                seen = self._nudges
                came_to = _safely(courier.run)
                if came_to is Round.BUSY:
                    self._busy.add(route)
                    continue
                self._busy.discard(route)
                _safely(courier.finish)  # nothing is left unrecorded over a pause
                if came_to is Round.IDLE:
                    self._wait(seen, transport)
                else:
                    self._stopping.wait(_PAUSE)
            _safely(courier.finish)

    def _wait(self, seen: int, transport: Transport) -> None:
        with self._nudged:
            nudged = self._nudged.wait_for(lambda: self._nudges != seen, _POLL)
        if not nudged:
            transport.close()  # an idle session is closed by the other side sooner or later
            if not self._busy:
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
