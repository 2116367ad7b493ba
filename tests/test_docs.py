"""The docs say what the program does: every setting, command, page, table and reply stands in them, and no other."""

import re
import subprocess
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
from starlette.routing import Route

import tidings
from docs.generate import pages
from tests.house import ROOT, modules
from tests.test_house import WRITERS
from tidings.settings import Settings, keys, tables
from tidings.web.site import build

DOCS = ROOT / "docs"
# The plan speaks of commands that are still to come, the changelog of those that are gone.
_OTHER_TIMES = {"design.md", "CHANGELOG.md"}


def _page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def _tracked() -> list[Path]:
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        check=True,
        capture_output=True,
        text=True,
    )
    return [path for name in listed.stdout.split("\0") if name and (path := ROOT / name).is_file()]


def _prose() -> list[Path]:
    return [path for path in _tracked() if path.suffix == ".md"]


# --- settings and replies --------------------------------------------------------------------------------------------


def _page_id(value: object) -> str | None:
    return value.name if isinstance(value, Path) else ""


@pytest.mark.parametrize(("path", "text"), pages().items(), ids=_page_id)
def test_a_page_made_from_the_code_is_up_to_date(path: Path, text: str) -> None:
    assert path.read_text(encoding="utf-8") == text, "run `make docs`"


def test_the_settings_page_says_every_key_with_its_default_and_docs() -> None:
    page = _page("settings.md")
    for key in keys():
        assert f"## {tables()[key.table].heading}\n" in page
        assert re.search(rf"^\| `{key.name}` \| `.*` \| {re.escape(key.doc)} \|$", page, re.MULTILINE), key
        assert key.doc.endswith("."), f"{key.table}.{key.name}: docs are a sentence"


# --- commands --------------------------------------------------------------------------------------------------------


def _commands() -> dict[str, Any]:
    """Every command of the program that does something, by its words after `tidings`."""
    import typer

    def walk(command: Any, words: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
        if inner := getattr(command, "commands", None):
            for name, one in inner.items():
                yield from walk(one, (*words, name))
        if words and (not inner or getattr(command, "invoke_without_command", False)):
            yield " ".join(words), command

    return dict(walk(typer.main.get_command(import_module("tidings.cli").app), ()))


def _sections(page: str) -> dict[str, str]:
    """The sections of a page by the words of their headings' `tidings ...`."""
    parts = re.split(r"^## .*?`tidings ([a-z-]+)`.*$", page, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def test_every_command_and_option_stands_in_the_commands_page() -> None:
    sections = _sections(_page("commands.md"))
    missing = []
    for words, command in _commands().items():
        section = sections.get(words.split()[0], "")
        missing += [f"tidings {words}"] if f"`tidings {words}" not in section else []
        options = [max(one.opts, key=len) for one in command.params if one.param_type_name == "option"]
        shared = {"--help", "--json", "--config"}  # said once, at the top of the page
        missing += [f"tidings {words} {one}" for one in options if one not in shared and one not in section]
    assert "\n".join(missing) == ""


def test_the_docs_name_no_command_that_is_not_there() -> None:
    known = set(_commands())
    groups = {words.split()[0] for words in known if " " in words}
    unknown = set()
    for path in _prose():
        if path.name in _OTHER_TIMES:
            continue
        for first, second in re.findall(
            r"`tidings ([a-z][a-z-]*)(?: ([a-z][a-z-]*))?", path.read_text(encoding="utf-8")
        ):
            words = f"{first} {second}" if first in groups and second else first
            if words not in known | groups:
                unknown.add(f"{path.name}: tidings {words}")
    assert "\n".join(sorted(unknown)) == ""


# --- pages -----------------------------------------------------------------------------------------------------------


def _routes() -> set[str]:
    """The path of every page, as the docs write it: `/c/NAME/`."""
    unused: Any = Mock()  # making the routes uses none of it
    made = build(
        database=unused, settings=Settings(), clock=unused, tokens=unused, send_notice=unused, spool=unused
    ).routes
    return {
        re.sub(r"\{(\w+)(?::\w+)?\}", lambda one: one[1].upper().replace("_", "-"), route.path)
        for route in made
        if isinstance(route, Route)
    }


def test_every_address_of_the_pages_stands_in_the_docs() -> None:
    routes = _routes()
    assert "/healthz" in routes
    page = _page("urls.md")
    assert "\n".join(sorted(path for path in routes if f"`{path}`" not in page)) == ""


def test_the_docs_name_no_address_that_is_not_there() -> None:
    rows = re.findall(r"^\| `(/[^` ]*)`", _page("urls.md"), re.MULTILINE)
    assert "\n".join(sorted(set(rows) - _routes())) == ""


# --- tables, RFCs, decisions -----------------------------------------------------------------------------------------


def test_the_data_page_says_of_every_table_who_writes_it() -> None:
    rows = dict(re.findall(r"^\| `(\w+)` \|[^|]*\|[^|]*\| ([^|]*) \|", _page("data.md"), re.MULTILINE))
    assert set(rows) == set(WRITERS)
    for table, writers in WRITERS.items():
        assert all(f"`{writer}`" in rows[table] for writer in writers), table


def test_the_rfc_page_names_modules_that_exist() -> None:
    rows = re.findall(r"^\| (\d+) \| [^|]* \| (\w+) \| ([^|]*)\|", _page("rfc.md"), re.MULTILINE)
    known = {name.removeprefix("tidings.") for name in modules()}
    assert len(rows) > 10
    for number, done, places in rows:
        named = re.findall(r"`([\w.]+)`", places)
        assert done in {"yes", "partial", "no"}, number
        assert set(named) - known == set(), number
        assert bool(named) == (done != "no"), number


def test_the_rfc_page_has_every_rfc_that_the_source_cites() -> None:
    cited = {number for source in modules().values() for number in re.findall(r"\bRFC (\d+)", source)}
    assert "5322" in cited
    assert cited - set(re.findall(r"^\| (\d+) \|", _page("rfc.md"), re.MULTILINE)) == set()


def test_every_decision_is_numbered_and_listed() -> None:
    found = sorted(path.name for path in (DOCS / "decisions").glob("*.md") if path.name != "README.md")
    assert [int(name[:4]) for name in found] == list(range(1, len(found) + 1))
    listed = _page("decisions/README.md")
    assert [name for name in found if f"({name})" not in listed] == []


# --- all pages -------------------------------------------------------------------------------------------------------


def _anchors(path: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", path.read_text(encoding="utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}


def test_links_between_pages_lead_somewhere() -> None:
    broken = []
    for path in _prose():
        for link in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
            name, _, anchor = link.partition("#")
            target = path.parent / name if name else path
            if re.match(r"[a-z]+:", link):
                continue
            if not target.exists() or (anchor and anchor not in _anchors(target)):
                broken.append(f"{path.relative_to(ROOT)}: {link}")
    assert "\n".join(broken) == ""


def test_every_page_of_the_docs_is_reached_from_the_readme() -> None:
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    assert [path.name for path in DOCS.glob("*.md") if f"(docs/{path.name})" not in readme] == []


def test_no_file_names_a_place_of_one_machine() -> None:
    place = re.compile(r"(?<![\w.-])/(?:work|root|tmp|home)/|--(?:index-url|extra-index-url|find-links|trusted-host)")
    found = [
        f"{path.relative_to(ROOT)}: {line.strip()}"
        for path in _tracked()
        if path.suffix not in {".png", ".gz"}
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines()
        if place.search(line)
    ]
    assert "\n".join(found) == ""


def test_the_locks_name_no_place_to_fetch_from() -> None:
    for lock in ROOT.glob("*.lock"):
        assert not re.search(r"://|^-", lock.read_text(encoding="utf-8"), re.MULTILINE), lock.name


def test_the_changelog_begins_with_this_version() -> None:
    first = re.search(r"^## (\d+\.\d+\.\d+)", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), re.MULTILINE)
    assert first is not None
    assert first[1] == tidings.__version__
    assert f'version = "{first[1]}"' in (ROOT / "pyproject.toml").read_text(encoding="utf-8")
