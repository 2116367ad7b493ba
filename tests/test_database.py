"""The schema and the engine: migrations give what tables.py says, and an unsafe database is refused."""

from contextlib import closing
from pathlib import Path

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect, text

from tests.running import settings_for
from tidings.app import open_site
from tidings.archive import text_index
from tidings.archive.search import search
from tidings.database import migrate as migrations
from tidings.database import tables
from tidings.database.engine import Database, check_sqlite_version
from tidings.errors import SettingsError, StorageError


@pytest.mark.parametrize("schema", ["site", "spool"])
def test_all_migrations_give_the_schema_of_tables(database: Database, schema: str) -> None:
    metadata = {"site": tables.metadata, "spool": tables.spool_metadata}
    other = metadata["spool" if schema == "site" else "site"]

    def wanted(name, kind, parent_names):
        return not (
            kind == "table" and (name in other.tables or name.startswith("post_text") or "schema_version" in name)
        )

    with database.read() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": wanted, "compare_type": True})
        assert compare_metadata(context, metadata[schema]) == []
        assert inspect(connection).has_table("post_text")


@pytest.mark.parametrize("schema", ["site", "spool"])
def test_heads_named_in_code_are_those_of_the_scripts(schema: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(migrations._FOLDER / schema))
    config.set_main_option("path_separator", "os")
    assert ScriptDirectory.from_config(config).get_heads() == [migrations.HEADS[schema]]


def test_migrating_twice_changes_nothing(database: Database) -> None:
    migrations.migrate(database, "site")
    assert migrations.revision(database, "site") == migrations.HEADS["site"]


@pytest.mark.parametrize("engine", ["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgres"))])
def test_a_site_of_schema_0002_gets_its_text_index_anew_when_it_is_opened(
    tmp_path: Path, engine: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = request.getfixturevalue("postgres_url") if engine == "postgresql" else ""
    settings = settings_for(tmp_path, database=url)
    database = Database(settings.database.url, folder=tmp_path)
    _at_schema_0002(database)
    database.close()
    monkeypatch.setattr("tidings.archive.text_index._NOT_INDEXED", text_index._NOT_INDEXED.limit(2))
    for _ in range(2):  # the second time there is nothing to do
        with closing(open_site(settings)) as site, site.database.read() as connection:
            assert len(search(connection, [1], "leaking seals plan.pdf")) == 5
            assert search(connection, [1], "quoted") == []
            assert connection.execute(text("SELECT 1 FROM site_value WHERE key = 'fill_index'")).first() is None


def test_who_named_a_day_before_there_was_another_choice_keeps_it(database: Database) -> None:
    columns = {"1": ("0", "'08:00'"), "2": ("NULL", "NULL")}
    with database.write() as connection:
        _back_to(connection, "0010")
        for person, (weekday, time) in columns.items():
            row = f"VALUES ({person}, 'Sam', {weekday}, {time}, 0)"
            connection.execute(text(f"INSERT INTO person (id, name, digest_weekday, digest_time, created_at) {row}"))
    migrations.migrate(database, "site")
    with database.read() as connection:
        found = connection.execute(text("SELECT digest_at FROM person ORDER BY id")).scalars().all()
    assert found == ["day", "shift"]


def _back_to(connection: Connection, revision: str) -> None:
    """Make the schema that revision's, with nothing in it."""
    config = Config()
    config.set_main_option("script_location", str(migrations._FOLDER / "site"))
    config.set_main_option("path_separator", "os")
    if connection.dialect.name == "postgresql":
        connection.execute(text("DROP SCHEMA public CASCADE"))
        connection.execute(text("CREATE SCHEMA public"))
    else:
        for name in inspect(connection).get_table_names():
            connection.execute(text(f"DROP TABLE IF EXISTS {name}"))
    config.attributes |= {"connection": connection, "version_table": "schema_version"}
    command.upgrade(config, revision)


def _at_schema_0002(database: Database) -> None:
    """Make it so, with five posts."""
    with database.write() as connection:
        _back_to(connection, "0002")
        connection.execute(
            text("INSERT INTO community (id, name, title, zone, created_at) VALUES (1, 'pump', 'Pump', 'UTC', 0)")
        )
        blob = {"hash": b"h" * 32, "data": b""}
        connection.execute(text("INSERT INTO blob (hash, size, data) VALUES (:hash, 0, :data)"), blob)
        for number in range(1, 6):
            connection.execute(_POST_OF_0002, {"number": number, "hash": b"h" * 32})
            connection.execute(_FILE_OF_0002, {"number": number})


_POST_OF_0002 = text(
    "INSERT INTO post (id, community_id, number, message_id, content_hash, blob_hash, thread_id, subject, author_name, "
    "author_email, recipients, date, received_at, text, folds, via, attachments) VALUES (:number, 1, :number, :number "
    "|| '@example.org', :hash, :hash, 1, 'Pump', 'Ana', 'ana@example.org', '', 0, 0, '> quoted\nThe seal leaks.', "
    "'[[0, 9, \"quote\"]]', 'smtp', 1)"
)
_FILE_OF_0002 = text(
    "INSERT INTO attachment (post_id, position, filename, content_type, size) "
    "VALUES (:number, 1, 'plan.pdf', 'application/pdf', 9)"
)


def test_a_database_of_a_newer_release_is_refused(database: Database) -> None:
    with database.write() as connection:
        connection.execute(text("UPDATE schema_version SET version_num = '9999'"))
    with pytest.raises(StorageError, match="newer Tidings"):
        migrations.migrate(database, "site")


@pytest.mark.acceptance(80)
def test_every_sqlite_connection_is_wal_and_full(sqlite_database: Database) -> None:
    for use in (sqlite_database.read, sqlite_database.write):
        with use() as connection:
            assert connection.exec_driver_sql("PRAGMA journal_mode").scalar_one() == "wal"
            assert connection.exec_driver_sql("PRAGMA synchronous").scalar_one() == 2


@pytest.mark.parametrize("version", ["3.40.1", "3.44.5", "3.50.6", "3.51.2", "3.7.0"])
def test_an_sqlite_with_the_wal_reset_race_is_refused(version: str) -> None:
    with pytest.raises(StorageError, match="pysqlite3"):
        check_sqlite_version(version)


@pytest.mark.parametrize("version", ["3.44.6", "3.50.7", "3.51.3", "3.53.4", "4.0.0"])
def test_a_mended_sqlite_is_taken(version: str) -> None:
    check_sqlite_version(version)


def test_readers_cannot_write_on_sqlite(sqlite_database: Database) -> None:
    with sqlite_database.read() as connection, pytest.raises(Exception, match="readonly"):
        connection.execute(text("DELETE FROM post"))


@pytest.mark.needs("postgres")
@pytest.mark.acceptance(87)
def test_a_postgresql_that_may_lose_commits_is_refused(postgres_database: Database) -> None:
    postgres_database.check()
    with postgres_database.write() as connection:
        name = connection.exec_driver_sql("SELECT current_database()").scalar_one()
        connection.exec_driver_sql(f"ALTER DATABASE {name} SET synchronous_commit = off")
    postgres_database.close()
    with pytest.raises(StorageError, match="synchronous_commit"):
        postgres_database.check()


def test_an_unknown_engine_is_named() -> None:
    with pytest.raises(SettingsError, match="mysql"):
        Database("mysql://localhost/x")


def test_the_version_changes_when_anything_was_committed_whoever_reads_meanwhile(sqlite_database: Database) -> None:
    before = sqlite_database.version()
    assert sqlite_database.version() == before
    with sqlite_database.read() as reader:
        reader.execute(text("SELECT 1"))
        with sqlite_database.write() as connection:
            connection.execute(text("INSERT INTO site_value (key, value) VALUES ('k', x'00')"))
        assert sqlite_database.version() != before


def test_a_row_that_may_wait_for_another_is_found_by_an_index() -> None:
    waiting = [
        (table, key)
        for table in tables.metadata.tables.values()
        for key in table.foreign_key_constraints
        if key.deferrable
    ]
    assert waiting, "else this test and the index are not needed any more"
    for table, key in waiting:
        # SQLite looks for such rows whenever one that they may wait for is written: a scan would make it quadratic.
        assert any(list(index.columns)[: len(key.columns)] == list(key.columns) for index in table.indexes)
