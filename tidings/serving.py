"""Runs the parts of a site in one process until it is told to stop.

It builds nothing that `app` builds, and does no part's work.
"""

import asyncio
import contextlib
import ctypes
import gc
import logging
import shutil
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Collection, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import uvicorn
from apscheduler.schedulers.asyncio import AsyncIOScheduler
from starlette.applications import Starlette

from tidings.app import Site, open_site, push_clock
from tidings.clock import FixedClock, zone
from tidings.errors import TidingsError
from tidings.intake.pipeline import Intake
from tidings.mailer.deliver import Deliverer
from tidings.mailer.smtp_in import Listener
from tidings.mailer.spool import GroupCommit
from tidings.operations import demo
from tidings.operations.demo import making
from tidings.operations.demo.controls import Controls
from tidings.operations.demo.pages import TEMPLATES, DemoPages
from tidings.operations.demo.sent import Sent
from tidings.settings import Settings, host_port
from tidings.web.door import Door
from tidings.web.pages import Pages

log = logging.getLogger(__name__)

PARTS = ("smtp", "imap", "web", "worker", "scheduler")
_TICK = 15  # seconds between looks at what is due
_IDLE = 1.0  # seconds between looks at the spool: commands and other processes write there too
_BURST = 5.0  # seconds for which intake lets accepting go first
_QUIET = 0.05  # seconds without a commit that end a burst
_TURN = 0.0005  # seconds of the interpreter for a thread that others wait behind: theirs are short
_STOP = 10.0  # seconds that ending may take
_MMAP_THRESHOLD, _LARGE = -3, 1_000_000  # M_MMAP_THRESHOLD of mallopt(3), and the bytes of a block


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Where a running site is reached; 0: that part does not run here."""

    smtp: int
    web: int


class IntakeLoop:
    """Runs intake in a thread of its own: at once when something was accepted, and never in the way of a burst."""

    def __init__(self, intake: Intake, on_progress: Callable[[], None]) -> None:
        self._intake = intake
        self._on_progress = on_progress
        self._accepted = threading.Event()
        self._stopping = threading.Event()
        self._last_accept = 0.0
        self._thread = threading.Thread(target=self._run, name="intake")

    def start(self) -> None:
        """Begin with what waits in the spool."""
        self._thread.start()

    def accepted(self) -> None:
        """Say that something was committed to the spool."""
        self._last_accept = time.monotonic()
        self._accepted.set()

    def stop(self) -> None:
        """End after the batch that runs."""
        self._stopping.set()
        self._accepted.set()
        self._thread.join()
        self._intake.close()

    def _run(self) -> None:
        while not self._stopping.is_set():
            self._accepted.clear()
            try:
                settled = self._intake.run_once()
            except Exception:
                log.exception("Intake failed; what waits is tried again.")
                settled = 0
            if settled:
                self._on_progress()
                self._let_burst_pass()
            else:
                self._accepted.wait(_IDLE)

    def _let_burst_pass(self) -> None:
        """Accepting has the sender waiting, intake has nobody: while a burst lasts, the interpreter is accepting's."""
        until = time.monotonic() + _BURST
        while time.monotonic() < until and time.monotonic() - self._last_accept < _QUIET:
            if self._stopping.wait(_QUIET):
                return


class _WebServer(uvicorn.Server):
    """uvicorn without signal handlers of its own: the process has one for all parts."""

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Server:
    """The running parts of one site, inside one event loop."""

    def __init__(self, site: Site, web: Starlette, parts: Collection[str] = PARTS) -> None:
        self.site = site
        self.deliverer: Deliverer = site.deliverer()
        self._web = web
        self._parts = frozenset(parts)
        self._stopping = threading.Event()
        self._stack = contextlib.AsyncExitStack()

    async def start(self) -> Ports:
        """Start the parts; raises OSError where an address is taken, and then nothing runs."""
        async with contextlib.AsyncExitStack() as stack:
            loop = self._start_worker(stack) if "worker" in self._parts else None
            smtp = await self._start_smtp(stack, loop) if "smtp" in self._parts else 0
            if "imap" in self._parts:
                self._start_imap(stack, loop)
            web = await self._start_web(stack) if "web" in self._parts else 0
            if "scheduler" in self._parts:
                self._start_scheduler(stack)
            self._stack = stack.pop_all()
        return Ports(smtp=smtp, web=web)

    async def stop(self) -> None:
        """Stop the parts, last started first; what is under way is finished."""
        await self._stack.aclose()

    def run_due(self) -> object:
        """Do what is due by the site's clock, and let it be sent."""
        done = self.site.run_due(self._stopping.is_set)
        self.deliverer.wake()
        return done

    def _start_worker(self, stack: contextlib.AsyncExitStack) -> IntakeLoop:
        worker = self.site.worker()
        stack.callback(worker.close)
        self.deliverer.start()
        stack.callback(self.deliverer.stop, _STOP)
        loop = IntakeLoop(self.site.intake(worker), self.deliverer.wake)
        loop.start()
        stack.push_async_callback(asyncio.to_thread, loop.stop)
        return loop

    async def _start_smtp(self, stack: contextlib.AsyncExitStack, loop: IntakeLoop | None) -> int:
        group = GroupCommit(self.site.spool, on_commit=loop.accepted if loop else None)
        stack.push_async_callback(asyncio.to_thread, group.close)
        site = self.site
        self.listener = Listener(door=site.door(), spool=group, clock=site.clock, settings=site.settings)
        await self.listener.start(*host_port(site.settings.smtp.listen))
        stack.push_async_callback(self.listener.stop)
        return self.listener.port

    def _start_imap(self, stack: contextlib.AsyncExitStack, loop: IntakeLoop | None) -> None:
        for fetcher in self.site.fetchers(loop.accepted if loop else lambda: None):
            fetcher.start()
            stack.push_async_callback(asyncio.to_thread, fetcher.stop)

    async def _start_web(self, stack: contextlib.AsyncExitStack) -> int:
        host, port = host_port(self.site.settings.web.listen)
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        # Named as TCP, since asyncio sets TCP_NODELAY only then, and without it each page waits for a delayed ACK.
        listening = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listening.bind((host, port))
        # Whoever connects before uvicorn's first look waits: `ready` is said as soon as this returns.
        listening.listen()
        config = uvicorn.Config(self._web, lifespan="off", log_config=None, access_log=False, server_header=False)
        server = _WebServer(config)
        task = asyncio.create_task(server.serve(sockets=[listening]))

        async def end() -> None:
            server.should_exit = True
            await task

        stack.push_async_callback(end)
        return int(listening.getsockname()[1])

    def _start_scheduler(self, stack: contextlib.AsyncExitStack) -> None:
        # It holds no state: due times are columns, and it only wakes whoever reads them.
        scheduler = AsyncIOScheduler()
        runner = ThreadPoolExecutor(1, "due")
        loop = asyncio.get_running_loop()

        async def tick() -> None:
            try:
                await loop.run_in_executor(runner, self.run_due)
            except Exception:
                log.exception("What is due could not be done; it is tried again.")

        scheduler.add_job(tick, "interval", seconds=_TICK, max_instances=1, coalesce=True, misfire_grace_time=None)
        loop.call_soon(lambda: asyncio.ensure_future(tick()))
        scheduler.start()
        stack.callback(runner.shutdown)
        stack.callback(self._stopping.set)
        stack.callback(scheduler.shutdown, wait=False)


async def serve(server: Server, ready: Callable[[Ports], None]) -> None:
    """Run the parts until SIGTERM or SIGINT; `ready` is called when all of them answer."""
    stopping = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    sys.setswitchinterval(_TURN)
    _give_large_blocks_back()
    ports = await server.start()
    # What was loaded stays. A look through all of it for cycles takes as long as three pages, and nothing goes on then.
    gc.freeze()
    try:
        ready(ports)
        await stopping.wait()
    finally:
        await server.stop()


def _give_large_blocks_back() -> None:
    """Tell the C library to return each large block at once: glibc keeps those of the size of the largest freed."""
    with contextlib.suppress(OSError, AttributeError):  # another C library has no such thing
        ctypes.CDLL(None).mallopt(_MMAP_THRESHOLD, _LARGE)


# --- the demo ---------------------------------------------------------------------------------------------------------


async def serve_demo(settings: Settings, say: Callable[[str], None]) -> None:
    """Serve a demo until SIGTERM or SIGINT, made first where it is new; `say` prints a line.

    Raises UsageError for a site that is no demo, TidingsError where its address cannot be had.
    """
    asked = settings.web.listen
    try:
        settings = demo.at_a_free_port(settings)
    except OSError as error:
        raise TidingsError(f"The demo cannot listen at {asked}: {error}.") from error
    if settings.web.listen != asked and not asked.endswith(":0"):
        say(f"{asked} is not free, so the demo takes another port.")
    if demo.is_new(settings):
        say("Making the site: nine people, two crews, four weeks of mail. This is done once.")
        make_demo(settings)
    with contextlib.closing(open_site(settings)) as site:
        await serve(demo_server(site), lambda _ports: say(demo.greeting(settings)))


def make_demo(settings: Settings) -> None:
    """Make the demo's site, in a folder beside its own: what was interrupted is made anew, never gone on with."""
    unfinished = demo.unfinished(settings)
    folder = Path(unfinished.site.data_dir)
    shutil.rmtree(folder, ignore_errors=True)
    clock = FixedClock(making.beginning(datetime.now(UTC)))
    begins = clock.now()
    site = open_site(unfinished, clock)
    with contextlib.closing(site), contextlib.closing(site.worker()) as worker:
        with contextlib.closing(site.intake(worker)) as intake:
            parts = making.Parts(
                settings=unfinished,
                database=site.database,
                spool=site.spool,
                clock=clock,
                tokens=site.tokens,
                worker=worker,
                intake=intake,
                run_due=site.run_due,
                deliver=site.deliverer().run_once,
            )
            making.make(parts, begins)
        push_clock(site.database, begins - datetime.now(UTC))
    folder.rename(settings.site.data_dir)


def demo_server(site: Site) -> Server:
    """The parts of a demo, with its own pages among the others."""
    settings = site.settings
    controls = Controls(
        settings=settings,
        database=site.database,
        spool=site.spool,
        clock=site.clock,
        push_clock=lambda by: push_clock(site.database, by),
        run_due=lambda: server.run_due(),
        smtp_port=lambda: server.listener.port,
    )
    pages = DemoPages(
        door=Door(database=site.database, settings=settings, clock=site.clock, tokens=site.tokens),
        pages=Pages(site_name=settings.site.name, zone=zone(settings.site.zone), demo=True, more=[TEMPLATES]),
        controls=controls,
        spool=site.spool,
        sent=Sent(settings.path(settings.delivery.maildir)),
    )
    server = Server(site, site.web(pages.routes()))
    return server
