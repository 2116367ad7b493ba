"""One database: a writer and a few readers, on SQLite or PostgreSQL, checked before it is used.

It knows no table. A write is one short transaction; on SQLite it begins IMMEDIATE, so that two processes take turns and
neither finds out at its commit that it came too late.
"""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.pool import QueuePool

from tidings.errors import SettingsError, StorageError

try:
    # The standard library's SQLite is the system's, which may have the WAL-reset race.
    from pysqlite3 import dbapi2 as sqlite
except ImportError:  # no wheel for this machine: the version check below decides
    import sqlite3 as sqlite

SqliteError: type[Exception] = sqlite.DatabaseError
BUSY_MILLISECONDS = 5_000
_READERS = 4
_LOG_PAGES = 2_000  # of 4 kB, after which the log is copied into the file


def check_sqlite_version(version: str) -> None:
    """Raise StorageError where this SQLite may corrupt a WAL database (the WAL-reset race, fixed in 3.51.3)."""
    major, minor, patch = (int(part) for part in version.split("."))
    mended = {(3, 44): 6, (3, 50): 7}  # back-ports
    if (major, minor, patch) >= (3, 51, 3) or patch >= mended.get((major, minor), 1 << 30):
        return
    raise StorageError(
        f"SQLite {version} can corrupt a database that several connections write (the WAL-reset race). "
        "Install the package pysqlite3, or an SQLite of 3.51.3 or later."
    )


_FULL = ("disk is full", "No space left")
_OUTAGES = (*_FULL, "database is locked", "disk I/O error", "readonly database", "unable to open database")


def is_full(error: Exception) -> bool:
    """Whether an error says that there is no space left to write."""
    return isinstance(error, DBAPIError) and any(sign in str(error.orig) for sign in _FULL)


def is_outage(error: Exception) -> bool:
    """Whether an error says that the database cannot be used now, whatever it is asked to do."""
    if not isinstance(error, DBAPIError):
        return False
    lost = error.connection_invalidated or any(sign in str(error.orig) for sign in _OUTAGES)
    # PostgreSQL's operational errors are about the server (class 08, 53, 57); SQLite's are about anything.
    return lost or (isinstance(error, OperationalError) and type(error.orig).__module__.startswith("psycopg"))


class Database:
    """Connections to one database; safe to use from any thread.

    `write()` gives the writer, one caller at a time on SQLite; `read()` gives a reader with a snapshot of its own.
    """

    def __init__(self, url: str, *, folder: Path | None = None) -> None:
        """Open `url`; a relative SQLite file lies in `folder`.

        Raises SettingsError for a URL of another engine, StorageError where the database cannot be used safely.
        """
        self._opened = url, folder
        self._turn = threading.Lock()
        self._watching = threading.Lock()
        self._watch: Any = None
        self._versions = count(1)
        try:
            parsed = make_url(url)
            self.dialect = parsed.get_backend_name()
        except Exception as error:
            raise SettingsError(f"database.url {url!r} is no database URL.") from error
        if self.dialect == "sqlite":
            name = parsed.database or ""
            path = (folder or Path()) / name
            path.parent.mkdir(parents=True, exist_ok=True)
            self.path: Path | None = path
            self._writer = _sqlite_engine(path, writer=True)
            self._reader = _sqlite_engine(path, writer=False)
        elif self.dialect == "postgresql":
            self.path = None
            self._writer = self._reader = create_engine(parsed, pool_size=_READERS + 4, pool_pre_ping=True)
        else:
            raise SettingsError(f"database.url names {self.dialect!r}; Tidings knows sqlite and postgresql+psycopg.")

    def __reduce__(self) -> tuple[Any, ...]:
        """What goes to another process is where the database is: it opens connections of its own."""
        url, folder = self._opened
        return partial(Database, url, folder=folder), ()

    @contextmanager
    def write(self) -> Iterator[Connection]:
        """One transaction, committed (with fsync) when the block ends and rolled back when it raises."""
        if self.dialect == "sqlite":
            with self._turn, self._writer.begin() as connection:
                connection.exec_driver_sql("BEGIN IMMEDIATE")
                yield connection
        else:
            with self._writer.begin() as connection:
                yield connection

    @contextmanager
    def read(self) -> Iterator[Connection]:
        """A reader; what others commit meanwhile is not seen. On SQLite it refuses to write."""
        with self._reader.connect() as connection:
            if self.dialect == "sqlite":
                connection.exec_driver_sql("BEGIN")
            yield connection

    def connect(self) -> Any:
        """A connection to the SQLite file that is shared with nobody; the caller closes it."""
        return _connect(self.path)

    def check(self) -> None:
        """Raise StorageError where an acknowledged commit could be lost."""
        with self.read() as connection:
            if self.dialect == "sqlite":
                check_sqlite_version(sqlite.sqlite_version)
                return
            for setting in ("fsync", "synchronous_commit", "full_page_writes"):
                answer = connection.exec_driver_sql(f"SHOW {setting}").scalar_one()
                if answer == "off":
                    raise StorageError(
                        f"PostgreSQL runs with {setting} = off and could lose acknowledged mail; set it on."
                    )

    def version(self) -> int:
        """A number that changes when anything was committed; on PostgreSQL it always changes."""
        if self.dialect != "sqlite":
            return next(self._versions)
        with self._watching:
            # A count of commits by others that can be compared on one and the same connection only.
            if self._watch is None:
                self._watch = _connect(self.path)
                _prepare_reader(self._watch, None)
            return int(self._watch.execute("PRAGMA data_version").fetchone()[0])

    def scrub(self) -> bool:
        """Leave nothing on the disk of what was deleted: pages written anew, SQLite's log emptied.

        False where another process still reads old pages. It writes the whole file anew, and others wait meanwhile.
        """
        if self.dialect != "sqlite":
            with self._writer.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
                connection.exec_driver_sql("VACUUM")
            return True
        with self._turn:
            connection = _connect(self.path)
            try:
                _prepare(connection)
                connection.execute("VACUUM")
                busy: int = connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
                return not busy
            except sqlite.OperationalError as error:
                if "locked" not in str(error):
                    raise
                return False
            finally:
                connection.close()

    def copy(self, path: Path) -> None:
        """Write all that is committed now to a new SQLite file; others go on meanwhile.

        Raises StorageError where the database is no SQLite file, or the copy cannot be written.
        """
        if self.dialect != "sqlite":
            raise StorageError("Only a site on SQLite can be copied to a file.")
        connection = _connect(self.path)
        try:
            connection.execute("VACUUM INTO ?", (str(path),))
        except sqlite.Error as error:
            raise StorageError(f"The copy {path} could not be written: {error}.") from error
        finally:
            connection.close()

    def close(self) -> None:
        """Close every connection that is not in use."""
        with self._watching:
            if self._watch is not None:
                self._watch.close()
                self._watch = None
        self._reader.dispose()
        self._writer.dispose()


def _connect(path: Path | None) -> Any:
    return sqlite.connect(str(path), isolation_level=None, check_same_thread=False, cached_statements=256)


def _sqlite_engine(path: Path, *, writer: bool) -> Engine:
    engine = create_engine(
        "sqlite://",
        module=sqlite,
        creator=lambda: _connect(path),
        poolclass=QueuePool,
        pool_size=1 if writer else _READERS,
        max_overflow=0 if writer else _READERS,
        pool_use_lifo=True,
    )
    # No event of the engine itself, such as "begin": each statement would look for its listeners, a fifth of its time.
    event.listen(engine, "connect", _prepare_writer if writer else _prepare_reader)
    return engine


def _prepare(connection: Any) -> None:
    # The answers are fetched and compared: an error in an unfetched PRAGMA passes silently (measured).
    ask = connection.cursor()
    ask.execute(f"PRAGMA busy_timeout={BUSY_MILLISECONDS}")
    if ask.execute("PRAGMA journal_mode=WAL").fetchone()[0] != "wal":
        raise StorageError("SQLite would not switch to WAL; is the file on a network file system?")
    ask.execute("PRAGMA synchronous=FULL")
    if ask.execute("PRAGMA synchronous").fetchone()[0] != 2:
        raise StorageError("SQLite would not switch to synchronous=FULL, without which acknowledged mail can be lost.")
    ask.execute("PRAGMA foreign_keys=ON")
    ask.execute("PRAGMA temp_store=MEMORY")


def _prepare_writer(connection: Any, _record: object) -> None:
    _prepare(connection)
    connection.execute("PRAGMA cache_size=-16000")
    # A page that stands in the log several times is copied once: with twice the log that is usual, a post in an archive
    # of a million costs 6 % less.
    connection.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}").fetchone()


def _prepare_reader(connection: Any, _record: object) -> None:
    _prepare(connection)
    connection.execute("PRAGMA cache_size=-4000")
    connection.execute("PRAGMA query_only=ON")
