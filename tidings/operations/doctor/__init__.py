"""The doctor: tries what a site needs, one small check after the other, and says what to type where it is not there.

It mends nothing, makes no database and sends no mail: a session with another server ends before anything is handed
over. What is checked, and in which order, stands in CHECKS.
"""

import contextlib
import logging
import ssl
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

from tidings.clock import Clock
from tidings.errors import SettingsError, TidingsError
from tidings.mailer.resolver import Dns
from tidings.operations.doctor import machine, names, servers, upkeep
from tidings.operations.doctor.site import Result, Site, State, words
from tidings.settings import load

log = logging.getLogger(__name__)

SECONDS = 10.0
"""How long one check may take."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """What one check found, and what to type where it is not well."""

    check: str
    state: State
    detail: str
    todo: str


@dataclass(frozen=True, kw_only=True)
class Check:
    """A check by its name. It is given the site, and gives None where it has nothing to say of it.

    `reads` says where it makes sense: `database` where that can be used, `domain` where it is no demo's, which is made
    up, and `mailbox` and `route` once for each, which it is given too.
    """

    name: str
    run: Callable[..., Result | None]
    reads: Literal["settings", "database", "domain", "mailbox", "route"] = "settings"


CHECKS = (
    Check(name="spool", run=machine.spool, reads="database"),
    Check(name="disk", run=machine.disk),
    Check(name="clock", run=machine.clock, reads="database"),
    Check(name="listener", run=machine.listener),
    Check(name="smart host", run=servers.smart_host),
    Check(name="smart host of a route", run=servers.smart_host_of, reads="route"),
    Check(name="mailbox", run=servers.mailbox, reads="mailbox"),
    Check(name="plus-addressing", run=servers.plus_addressing),
    Check(name="summaries", run=servers.summaries),
    Check(name="MX", run=names.mx, reads="domain"),
    Check(name="SPF", run=names.spf, reads="domain"),
    Check(name="DKIM", run=names.dkim, reads="domain"),
    Check(name="DMARC", run=names.dmarc, reads="domain"),
    Check(name="pages", run=upkeep.pages),
    Check(name="admins", run=upkeep.admins),
    Check(name="owners", run=upkeep.owners, reads="database"),
    Check(name="stopped addresses", run=upkeep.stopped, reads="database"),
    Check(name="calendars", run=upkeep.calendars, reads="database"),
    Check(name="held mail", run=upkeep.held, reads="database"),
    Check(name="shunted mail", run=upkeep.shunted, reads="database"),
    Check(name="failed deliveries", run=upkeep.failed_deliveries, reads="database"),
)
"""What is tried, in this order, behind the settings and the database."""


def examine(
    config: Path, *, clock: Clock, dns: Dns, context: ssl.SSLContext | None = None, seconds: float = SECONDS
) -> Iterator[Finding]:
    """What every check finds about the site of the settings `config`, in the order of CHECKS; none raises.

    `context` replaces the system's trust in certificates, `seconds` is how long each check may take.
    """
    try:
        settings = load(config)
    except SettingsError as error:
        todo = "Mend that; `tidings config example` prints every key."
        yield Finding(check="settings", state="failed", detail=str(error), todo=todo)
        return
    yield Finding(check="settings", state="ok", detail=f"{config} can be read.", todo="")
    site = Site(settings=settings, clock=clock, dns=dns, context=context, seconds=seconds)
    with contextlib.closing(site):
        # First and alone: the others read nothing from a database that cannot be used.
        (database,) = _tried([("database", partial(machine.database, site))], seconds)
        yield database
        yield from _tried(_planned(site, usable=database.state == "ok"), seconds)


Call = tuple[str, Callable[[], Result | None]]


def _planned(site: Site, *, usable: bool) -> Iterator[Call]:
    makes_sense = {"settings": True, "database": usable, "domain": not site.settings.site.demo}
    of_each: dict[str, Sequence[object]] = {"mailbox": site.settings.imap, "route": site.settings.route}
    for check in CHECKS:
        if check.reads in of_each:
            yield from ((check.name, partial(check.run, site, one)) for one in of_each[check.reads])
        elif makes_sense[check.reads]:
            yield check.name, partial(check.run, site)


def _tried(calls: Iterable[Call], seconds: float) -> Iterator[Finding]:
    """Run checks side by side, each in a thread that is left alone when its time is over."""
    until = time.monotonic() + seconds
    for name, future in [(name, _started(name, call)) for name, call in calls]:
        try:
            result = future.result(max(0.0, until - time.monotonic()))
        except TimeoutError:
            result = Result(
                "failed",
                f"It took longer than {seconds:g} seconds.",
                "See whether the server that it asks runs, and whether a firewall stands between.",
            )
        if result:
            yield Finding(check=name, **result._asdict())


def _started(name: str, call: Callable[[], Result | None]) -> Future[Result | None]:
    future: Future[Result | None] = Future()
    thread = threading.Thread(target=lambda: future.set_result(_outcome(name, call)), name=name, daemon=True)
    thread.start()
    return future


def _outcome(name: str, call: Callable[[], Result | None]) -> Result | None:
    """What a check says; one that breaks has failed with its error."""
    try:
        return call()
    except TidingsError as error:
        return Result("failed", str(error), "Mend that, then try again.")
    except TimeoutError as error:  # of the DNS: the checks themselves say what they make of other servers' silence
        return Result("failed", f"{error}.", "See whether the name servers in /etc/resolv.conf answer.")
    except Exception as error:
        log.debug("The check %r broke.", name, exc_info=True)
        where = "Mend that; `TIDINGS_LOG=DEBUG tidings doctor` shows where it happened."
        return Result("failed", f"The check broke: {type(error).__name__}: {words(error)}.", where)
