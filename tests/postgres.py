"""A PostgreSQL server for one test run: made, started on a free port, thrown away."""

import os
import shutil
import subprocess
import tempfile
from itertools import count
from pathlib import Path

from tests.programs import program
from tests.sockets import free_port
from tidings.database.engine import Database
from tidings.database.migrate import migrate


class Postgres:
    """A running server with a template database that has the schema."""

    def __init__(self) -> None:
        binary = program("postgres")
        assert binary is not None
        self._programs = Path(binary).parent
        # In memory where that is to be had: most of the time of a new database is spent waiting for the disk.
        memory = Path("/dev/shm")
        self._folder = Path(tempfile.mkdtemp(prefix="tidings-postgres-", dir=memory if memory.is_dir() else None))
        self._port = free_port()
        self._numbers = count(1)
        if os.geteuid() == 0:  # PostgreSQL refuses to run as root
            shutil.chown(self._folder, "postgres")
        self._run("initdb", "-N", "-A", "trust", "-U", "tidings", "-D", str(self._folder / "data"))
        options = f"-p {self._port} -c listen_addresses=127.0.0.1 -c unix_socket_directories={self._folder}"
        self._run(
            "pg_ctl",
            "start",
            "-w",
            "-s",
            "-D",
            str(self._folder / "data"),
            "-o",
            options,
            "-l",
            str(self._folder / "log"),
        )
        self._execute("CREATE DATABASE schema_of_release")
        made = Database(self._url("schema_of_release"))
        migrate(made, "site")
        migrate(made, "spool")
        made.close()

    def new_database(self) -> str:
        """The URL of a fresh database with the schema."""
        name = f"test_{next(self._numbers)}"
        self._execute(f"CREATE DATABASE {name} TEMPLATE schema_of_release")
        return self._url(name)

    def empty_database(self) -> str:
        """The URL of a fresh database with nothing in it."""
        name = f"empty_{next(self._numbers)}"
        self._execute(f"CREATE DATABASE {name}")
        return self._url(name)

    def stop(self) -> None:
        """Stop the server and remove its files."""
        self._run("pg_ctl", "stop", "-m", "immediate", "-s", "-D", str(self._folder / "data"))
        shutil.rmtree(self._folder, ignore_errors=True)

    def _url(self, name: str) -> str:
        return f"postgresql+psycopg://tidings@127.0.0.1:{self._port}/{name}"

    def _execute(self, statement: str) -> None:
        import psycopg

        with psycopg.connect(
            host="127.0.0.1", port=self._port, user="tidings", dbname="postgres", autocommit=True
        ) as link:
            link.execute(statement)

    def _run(self, name: str, *arguments: str) -> None:
        as_user = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        subprocess.run(
            [*as_user, str(self._programs / name), *arguments], check=True, stdout=subprocess.DEVNULL, cwd=self._folder
        )
