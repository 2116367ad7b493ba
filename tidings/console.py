"""What commands have in common: the site that the settings name, the options that many have, and how they print."""

from __future__ import annotations

import contextlib
import json
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, is_dataclass
from datetime import date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer
from msgspec import Struct, structs
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from tidings import settings as settings_module
from tidings.errors import StorageError, UsageError

if TYPE_CHECKING:
    from tidings.app import Site
    from tidings.clock import Clock
    from tidings.communities.directory import Community


@dataclass
class _Given:
    """What the options before the command say."""

    config: Path = Path("tidings.toml")


given = _Given()

Json = Annotated[bool, typer.Option("--json", help="Print JSON (lines where there are many).")]
At = Annotated[
    str | None, typer.Option("--at", metavar="TIME", help="What now is: ISO 8601, such as 2026-10-14T06:30.")
]


def group(name: str, text: str) -> typer.Typer:
    """A group of commands, `tidings NAME ...`."""
    return typer.Typer(name=name, help=text, no_args_is_help=True, rich_markup_mode=None)


@contextlib.contextmanager
def opened(at: str | None = None) -> Iterator[Site]:
    """The site of the settings, with its clock set to `at` where that is given."""
    from sqlalchemy.exc import OperationalError

    from tidings.app import open_site
    from tidings.clock import FixedClock, parse_moment

    chosen = settings_module.load(given.config)
    clock: Clock | None = FixedClock(parse_moment(at, chosen.site.zone)) if at else None
    try:
        site = open_site(chosen, clock)
    except OperationalError as error:
        raise StorageError(f"Cannot open the database of the settings: {error.orig}") from error
    try:
        yield site
    finally:
        site.close()


def plain(value: Any) -> Any:
    """A value as JSON has it: moments as ISO 8601, bytes left out."""
    if isinstance(value, datetime | date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return value.total_seconds()
    if is_dataclass(value) and not isinstance(value, type):
        return plain(asdict(value))
    if isinstance(value, Struct):
        return plain(structs.asdict(value))
    if isinstance(value, Mapping):
        return {key: plain(inner) for key, inner in value.items() if not isinstance(inner, bytes)}
    if isinstance(value, list | tuple):
        return [plain(inner) for inner in value]
    return value


def bytes_of(file: Path | None) -> bytes:
    """What a file holds, or standard input."""
    try:
        return file.read_bytes() if file else sys.stdin.buffer.read()
    except OSError as error:
        raise UsageError(f"Cannot read {file}: {error.strerror}.") from error


def print_json(value: Any) -> None:
    """One JSON document on a line."""
    typer.echo(json.dumps(plain(value), ensure_ascii=False))


def print_lines(values: Iterable[Any]) -> None:
    """A JSON document for each value, on lines."""
    for value in values:
        print_json(value)


def print_table(rows: Iterable[Any], columns: Sequence[str], empty: str) -> None:
    """Rows (objects or mappings) as a table with these of their fields; `empty` where there are none."""
    found = [plain(row) for row in rows]
    if not found:
        typer.echo(empty)
        return
    cells = [["" if row[column] is None else str(row[column]) for column in columns] for row in found]
    print_cells([column.replace("_", " ") for column in columns], cells)


def print_cells(headings: Sequence[str], lines: Iterable[Sequence[str]]) -> None:
    """A table of what is text already."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for heading in headings:
        table.add_column(escape(heading))
    for line in lines:
        table.add_row(*map(escape, line))
    Console(width=None if sys.stdout.isatty() else 200).print(table)


def print_object(value: Any, as_json: bool) -> None:
    """The fields of one thing, a line each."""
    if as_json:
        print_json(value)
        return
    for name, field in plain(value).items():
        typer.echo(f"{name.replace('_', ' ')}: {'' if field is None else field}")


def print_changed(value: Any, as_json: bool) -> None:
    """What a command changed: nothing for people, who said it themselves."""
    if as_json:
        print_json(value)


def print_rows(rows: Iterable[Any], columns: Sequence[str], empty: str, as_json: bool) -> None:
    """A table of these fields of many things, or JSON lines with all of their fields."""
    if as_json:
        print_lines(rows)
    else:
        print_table(rows, columns, empty)


def key_values(pairs: Sequence[str]) -> dict[str, str]:
    """KEY=VALUE arguments as a mapping. Raises UsageError."""
    for pair in pairs:
        if "=" not in pair:
            raise UsageError(f"{pair!r} is no KEY=VALUE.")
    return dict(pair.split("=", 1) for pair in pairs)


def community_named(site: Site, name: str) -> Community:
    """The community of that name. Raises NotFoundError."""
    from tidings.communities import directory

    with site.database.read() as connection:
        return directory.community(connection, name)
