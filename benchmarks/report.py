"""What a measurement says: one figure beside what is wanted of it, and a table of many.

It measures nothing.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, kw_only=True)
class Figure:
    """One measure; `ok` is None where nothing is wanted of it."""

    of: str  # what was measured on: a list, a folder, a machine
    what: str
    value: str
    wanted: str = ""
    ok: bool | None = None


def checked(of: str, what: str, value: object, wanted: object) -> Figure:
    """A figure that is right when it is exactly the wanted one."""
    return Figure(of=of, what=what, value=str(value), wanted=str(wanted), ok=value == wanted)


def print_table(title: str, figures: Sequence[Figure]) -> None:
    """Print figures, those that are not as wanted marked."""
    table = Table("on", "measure", "value", "wanted", "", title=title, title_justify="left", box=None, pad_edge=False)
    for figure in figures:
        mark = {None: "", True: "ok", False: "[bold red]FAILED[/]"}[figure.ok]
        table.add_row(figure.of, figure.what, figure.value, figure.wanted, mark)
    Console(width=140).print(table)


_BEGIN, _END = "<!-- begin: written by --markdown -->", "<!-- end -->"


def write_markdown(page: Path, about: str, figures: Sequence[Figure]) -> None:
    """Put a table of the figures, under a line about them, between the two marks of a page. Raises ValueError."""
    before, begin, rest = page.read_text(encoding="utf-8").partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise ValueError(f"{page} has no marks {_BEGIN} and {_END}")
    rows = [f"| {one.of} | {one.what} | {one.value} | {one.wanted} |" for one in figures]
    table = "\n".join(["| on | measure | value | wanted |", "|---|---|---|---|", *rows])
    page.write_text(f"{before}{_BEGIN}\n{about}\n\n{table}\n{_END}{after}", encoding="utf-8")


def conclude(figures: Sequence[Figure]) -> int:
    """Print `N passed, N failed`; returns the exit status of the program."""
    failed = sum(figure.ok is False for figure in figures)
    print(f"{sum(figure.ok is True for figure in figures)} passed, {failed} failed")
    return 1 if failed else 0
