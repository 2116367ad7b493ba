"""What many tests need: databases on both engines, and a site on SQLite with real sockets.

Programs that are not installed are named at the end of the run; with CI=true an absent one is a failure.
"""

import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.postgres import Postgres
from tests.programs import missing_programs
from tidings.database.engine import Database
from tidings.database.migrate import migrate

_LEFT_OUT: dict[str, int] = {}


def pytest_runtest_setup(item: pytest.Item) -> None:
    for marker in item.iter_markers("needs"):
        for program in missing_programs(*marker.args):
            if os.environ.get("CI") == "true":
                pytest.fail(f"{program} is not installed; `make deps` installs it", pytrace=False)
            _LEFT_OUT[program] = _LEFT_OUT.get(program, 0) + 1
            pytest.skip(f"{program} is not installed; `make deps` installs it")


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for program, count in sorted(_LEFT_OUT.items()):
        terminalreporter.write_line(f"LEFT OUT: {count} tests that need {program}; `make deps` installs it.", red=True)


@pytest.fixture(scope="session")
def _migrated_sqlite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A migrated, empty SQLite file, made once a run; tests work on copies."""
    path = tmp_path_factory.mktemp("schema") / "site.db"
    database = Database(f"sqlite:///{path}")
    migrate(database, "site")
    migrate(database, "spool")
    database.close()
    return path


@pytest.fixture
def sqlite_database(_migrated_sqlite: Path, tmp_path: Path) -> Iterator[Database]:
    """An empty site database (the spool's table is in the same file) on SQLite."""
    path = tmp_path / "site.db"
    shutil.copy(_migrated_sqlite, path)
    database = Database(f"sqlite:///{path}")
    yield database
    database.close()


@pytest.fixture(scope="session")
def postgres() -> Iterator[Postgres]:
    """A PostgreSQL server of this run's own."""
    server = Postgres()
    yield server
    server.stop()


@pytest.fixture
def postgres_url(postgres: Postgres) -> Iterator[str]:
    """The URL of an empty site database on PostgreSQL."""
    with postgres.database() as url:
        yield url


@pytest.fixture
def postgres_database(postgres_url: str) -> Iterator[Database]:
    """An empty site database on PostgreSQL."""
    database = Database(postgres_url)
    yield database
    database.close()


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgres"))])
def database(request: pytest.FixtureRequest) -> Database:
    """An empty, migrated site database, on each engine in turn: what every test of a store uses."""
    name = "sqlite_database" if request.param == "sqlite" else "postgres_database"
    return request.getfixturevalue(name)
