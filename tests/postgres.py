"""A PostgreSQL server for one test run: made, started on a free port, thrown away."""

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from threading import Thread
from typing import Any

import psycopg
from sqlalchemy import text

from tests.programs import program
from tests.sockets import free_port
from tidings.database.engine import Database
from tidings.database.migrate import migrate

_STARTS = 5
_TABLES = "SELECT tablename FROM pg_tables WHERE schemaname = 'public' AND tablename NOT LIKE '%schema_version'"
_VERSIONS = "SELECT a.version_num, b.version_num FROM schema_version a, spool_schema_version b"


class Postgres:
    """A running server with a template database that has the schema."""

    def __init__(self) -> None:
        # In memory where that is to be had: most of the time of a new database is spent waiting for the disk.
        memory = Path("/dev/shm")
        self._folder = Path(tempfile.mkdtemp(prefix="tidings-postgres-", dir=memory if memory.is_dir() else None))
        self._numbers = count(1)
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(self._folder, "postgres")
        self._run("initdb", "-N", "-A", "trust", "-U", "tidings", "-D", str(self._folder / "data"))
        self._start()
        self._execute("CREATE DATABASE schema_of_release")
        made = Database(self._url("schema_of_release"))
        migrate(made, "site")
        migrate(made, "spool")
        made.close()
        with self._link("schema_of_release") as link:
            self._new_schema = {row[0] for row in link.execute(_TABLES)}, link.execute(_VERSIONS).fetchone()
        self._free: list[str] = []

    def _start(self) -> None:
        """Start the server on a free port, or another one where somebody else took that in the meantime."""
        log = self._folder / "log"
        for _ in range(_STARTS):
            self._port = free_port()
            options = f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._folder}"
            start = ("start", "-w", "-s", "-D", str(self._folder / "data"), "-o", options, "-l", str(log))
            with contextlib.suppress(subprocess.CalledProcessError):
                self._run("pg_ctl", *start)
                return
        raise AssertionError(f"PostgreSQL does not start:\n{log.read_text()}")

    @contextmanager
    def database(self) -> Iterator[str]:
        """The URL of a database with the schema and nothing in it, until the block ends."""
        name = self._free.pop() if self._free else self._new()
        yield self._url(name)
        if self._emptied(name):
            self._free.append(name)

    def _new(self) -> str:
        name = f"test_{next(self._numbers)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE schema_of_release")
        return name

    def _emptied(self, name: str) -> bool:
        """Whether a database is as new again: to empty one is much quicker than to make one."""
        try:
            with self._link(name) as link:
                link.execute("SET lock_timeout = '2s'")
                tables = [row[0] for row in link.execute(_TABLES)]
                filled = [one for one in tables if link.execute(f"SELECT EXISTS (SELECT FROM {one})").fetchone()[0]]
                if filled:
                    link.execute(f"TRUNCATE {', '.join(filled)} RESTART IDENTITY CASCADE")
                link.execute(f"ALTER DATABASE {name} RESET ALL")
                return (set(tables), link.execute(_VERSIONS).fetchone()) == self._new_schema
        except psycopg.Error:
            return False

    def stop(self) -> None:
        """Stop the server and remove its files."""
        self._run("pg_ctl", "stop", "-m", "immediate", "-s", "-D", str(self._folder / "data"))
        shutil.rmtree(self._folder, ignore_errors=True)

    def _url(self, name: str) -> str:
        return f"postgresql+psycopg://tidings@127.0.0.1:{self._port}/{name}"

    def _link(self, name: str) -> psycopg.Connection[tuple[Any, ...]]:
        return psycopg.connect(host="127.0.0.1", port=self._port, user="tidings", dbname=name, autocommit=True)

    def _execute(self, statement: str) -> None:
        with self._link("postgres") as link:
            link.execute(statement)

    def _run(self, name: str, *arguments: str) -> None:
        subprocess.run(command(name, *arguments), check=True, stdout=subprocess.DEVNULL, cwd=self._folder)


def wait_for_a_lock(database: Database, other: Thread) -> None:
    """Wait until the thread waits for what a transaction of this one has locked, or is done; on SQLite all who write
    wait for each other anyway."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    while database.dialect == "postgresql" and other.is_alive():
        with database.read() as connection:
            if connection.execute(text(query)).scalar_one():
                return


def command(name: str, *arguments: str) -> list[str]:
    """The command line of one of PostgreSQL's programs, which refuse to run as root."""
    binary = program("postgres")
    assert binary is not None
    as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    return [*as_user, str(Path(binary).parent / name), *arguments]
