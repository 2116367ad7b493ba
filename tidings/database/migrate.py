"""Brings a database to the schema of this release, from nothing or from any earlier one.

The site's tables and the spool's have a history each, because on SQLite the spool is a file of its own.
"""

from pathlib import Path
from typing import Literal

from sqlalchemy import inspect, text

from tidings.database.engine import Database
from tidings.errors import StorageError

Schema = Literal["site", "spool"]
# The newest revision of each history; a test holds them against the scripts, so that a start need not load Alembic.
HEADS: dict[Schema, str] = {"site": "0019", "spool": "0002"}
VERSION_TABLES: dict[Schema, str] = {"site": "schema_version", "spool": "spool_schema_version"}
_FOLDER = Path(__file__).parent / "migrations"


def revision(database: Database, schema: Schema) -> str | None:
    """The revision that `database` is at, or None where it is empty."""
    with database.read() as connection:
        if not inspect(connection).has_table(VERSION_TABLES[schema]):
            return None
        return connection.execute(text(f"SELECT version_num FROM {VERSION_TABLES[schema]}")).scalar()  # noqa: S608


def migrate(database: Database, schema: Schema) -> None:
    """Bring `database` to this release's schema, in one transaction on one connection.

    Raises StorageError where the database was made by a newer release.
    """
    if revision(database, schema) == HEADS[schema]:
        return
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", str(_FOLDER / schema))
    config.set_main_option("path_separator", "os")
    found = revision(database, schema)
    try:
        ScriptDirectory.from_config(config).get_revision(found or "base")
    except CommandError as error:
        raise StorageError(
            f"The {schema} schema is at {found!r}, which this release does not know; use a newer Tidings."
        ) from error
    with database.write() as connection:
        config.attributes["connection"] = connection
        config.attributes["version_table"] = VERSION_TABLES[schema]
        command.upgrade(config, "head")
