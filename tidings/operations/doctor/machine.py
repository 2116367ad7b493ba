"""Checks of the machine that a site runs on: databases, disk, clock, and the address of the listener."""

import errno
import shutil
import socket
from datetime import timedelta

from sqlalchemy import select
from sqlalchemy.exc import DBAPIError

from tidings.clock import zone
from tidings.database.migrate import HEADS, revision
from tidings.database.tables import decision
from tidings.mailer.strict import Connection, LmtpConnection
from tidings.operations.doctor.site import Result, Site, words
from tidings.settings import host_port

_NO_SPACE = 200_000_000  # bytes that must be free
_LITTLE_SPACE = 2_000_000_000
_SKEW = timedelta(minutes=1)  # between the clocks of two machines
_ANY_OTHER = "`tidings community list`"  # any command but ours makes and migrates the database


def database(site: Site) -> Result:
    """Both databases open, lose nothing that was committed, and are at this release's schema."""
    if not site.folder.is_dir():
        return Result("failed", f"There is no folder {site.folder}.", f"`mkdir -p {site.folder}`")
    path = site.databases[0].path
    if path and not path.exists():
        detail = f"There is no database {path} yet, so nothing in it was looked at."
        return Result("warning", detail, f"{_ANY_OTHER}, as any other command, makes it.")
    try:
        for one in set(site.databases):
            one.check()
        found = [revision(one, schema) for one, schema in zip(site.databases, HEADS, strict=True)]
        engine = _engine(site)
    except DBAPIError as error:
        todo = f"See database.url in the settings, and whether you may write in {site.folder}."
        return Result("failed", f"The database cannot be opened: {words(error)}.", todo)
    return _of_schema(found) or Result("ok", f"{engine}, at this release's schema {found[0]}.")


def _of_schema(found: list[str | None]) -> Result | None:
    """What is to be said where a database is not at this release's schema."""
    heads = list(HEADS.values())
    if found == heads:
        return None
    if not any(found):
        return Result("warning", "Nothing is in the database yet.", f"{_ANY_OTHER}, as any other command, begins it.")
    at = ", ".join(f"{schema} at {one or 'nothing'}" for schema, one in zip(HEADS, found, strict=True))
    detail = f"The schema is that of another release ({at}; this one's is {', '.join(heads)})."
    if any((one or "") > head for one, head in zip(found, heads, strict=True)):
        return Result("failed", detail, "Use the newer Tidings that made it.")
    return Result("failed", detail, f"End an older `tidings serve`, then {_ANY_OTHER}: any other command migrates it.")


def _engine(site: Site) -> str:
    with site.read() as connection:
        if site.databases[0].path is None:
            return f"PostgreSQL {connection.exec_driver_sql('SHOW server_version').scalar_one()}"
        version = connection.exec_driver_sql("SELECT sqlite_version()").scalar_one()
        mode = connection.exec_driver_sql("PRAGMA journal_mode").scalar_one()
        return f"SQLite {version}, journal mode {mode}"


def spool(site: Site) -> Result:
    """Mail that comes in can be written."""
    database = site.databases[1]
    try:
        with database.write() as connection:  # nothing is written: on SQLite beginning is enough to be refused
            shown = "PRAGMA query_only" if database.path else "SHOW transaction_read_only"
            read_only = connection.exec_driver_sql(shown).scalar_one() in (1, "on")
    except DBAPIError as error:
        todo = f"See whether the user that runs Tidings may write in {site.folder}, and who else holds it."
        return Result("failed", f"Mail that comes in cannot be kept: {words(error)}.", todo)
    if read_only:
        return Result("failed", "The database takes no writes.", "Name the primary server in database.url.")
    return Result("ok", "Mail that comes in can be kept.")


def disk(site: Site) -> Result | None:
    """There is room for what comes."""
    if not site.folder.is_dir():
        return None  # said of the database
    free = shutil.disk_usage(site.folder).free
    detail = f"{free / 1e9:.1f} GB are free in {site.folder}."
    if free < _LITTLE_SPACE:
        return Result("failed" if free < _NO_SPACE else "warning", detail, f"Make room: `du -h -d 1 {site.folder}`.")
    return Result("ok", detail)


def clock(site: Site) -> Result:
    """The clock does not stand before what was done already."""
    now, name = site.clock.now(), site.settings.site.zone
    told = f"It is {now.astimezone(zone(name)):%Y-%m-%d %H:%M} in {name}"
    with site.read() as connection:
        newest = connection.execute(select(decision.c.decided_at).order_by(decision.c.id.desc()).limit(1)).scalar()
    # A demo's mail is decided on by a clock of its own, which is ahead of the machine's.
    if newest and now < newest - _SKEW and not site.settings.site.demo:
        detail = f"{told}, but mail was decided on at {newest.astimezone(zone(name)):%Y-%m-%d %H:%M}."
        return Result("failed", detail, "`timedatectl set-ntp true` sets this machine's clock.")
    return Result("ok", f"{told}.")


def listener(site: Site) -> Result:
    """Its address is free, or answered by us."""
    listen = site.settings.smtp.listen
    host, port = host_port(listen)
    if not port:
        return Result("warning", "The listener takes another port at each start.", "Set a port in smtp.listen.")
    try:
        socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET).close()
    except OSError as error:
        # Whether a low port is taken is not said to those who may not have it.
        taken = error.errno in (errno.EADDRINUSE, errno.EACCES) and _answered(site, host, port)
        todo = "Set an address of this machine and a port from 1024 on in smtp.listen."
        return taken or Result("failed", f"{listen} cannot be had: {words(error)}.", todo)
    return Result("ok", f"{listen} is free; `tidings serve` does not run.")


def _answered(site: Site, host: str, port: int) -> Result | None:
    """What is to be said of whoever listens there; None where nobody does."""
    smtp = site.settings.smtp
    try:
        with socket.create_connection((host or "localhost", port), site.patience) as link, link.makefile("rb") as lines:
            banner = lines.readline(512).decode("ascii", "replace").strip()
            link.sendall(b"QUIT\r\n")
    except ConnectionRefusedError:
        return None
    except OSError as error:
        return Result("failed", f"What listens at {smtp.listen} does not answer: {words(error)}.", "End it.")
    greetings = {"smtp": Connection.greeting, "lmtp": LmtpConnection.greeting}
    if banner == f"220 {site.domain} {greetings[smtp.protocol]}":
        return Result("ok", f"`tidings serve` answers at {smtp.listen} by {smtp.protocol.upper()}.")
    if banner in {f"220 {site.domain} {greeting}" for greeting in greetings.values()}:
        detail = f"`tidings serve` does not speak {smtp.protocol.upper()} at {smtp.listen}, as the settings say now."
        return Result("failed", detail, "End `tidings serve` and start it anew.")
    if banner.startswith("421 "):  # as we, and others, say who have too many connections
        return Result("warning", f"What listens at {smtp.listen} takes nobody in now: {banner}.", "Try again.")
    detail = f"Another program answers at {smtp.listen}: {banner[:100]!r}."
    return Result("failed", detail, "End it, or set another port in smtp.listen.")
