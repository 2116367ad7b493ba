"""A site in a folder where nothing listens: mail is imported or taken in when a test says so, and commands run inside.

The parts are the real ones, the parser's own process too; only the clock stands where the test sets it.
"""

import contextlib
import functools
import io
import json
import shutil
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path
from typing import Any, Self
from unittest.mock import patch
from zoneinfo import ZoneInfo

import pytest
import typer.main
from sqlalchemy import func, select

from tests.running import message, settings_for
from tidings import cli
from tidings.app import Site, open_site
from tidings.archive import mbox, read, search
from tidings.clock import FixedClock
from tidings.communities import directory, joining
from tidings.database import tables
from tidings.mailer.spool import Accepted
from tidings.mailer.worker import ParseWorker
from tidings.operations import check, explain
from tidings.operations.compare import compare
from tidings.operations.importing import Importer, ImportVerdict
from tidings.settings import LimitSettings
from tidings.threading import nodes
from tidings.threading.tree import arrange

BERLIN = ZoneInfo("Europe/Berlin")
# Wednesday; the cut-off is Sunday 18 October 18:00 in Berlin.
WEDNESDAY = datetime(2026, 10, 14, 9, 0, tzinfo=BERLIN)
PUMP = "pump@lists.example.org"
ANA, LI, SAM = "ana@example.org", "li@example.org", "sam@example.org"


@dataclass(frozen=True, kw_only=True)
class Makings:
    """What small sites share: one parser process, and a folder with the files of a site in which nothing is yet."""

    worker: ParseWorker
    blank: Path


class SmallSite:
    """A site with the community `pump`: Ana and Li get each post, Sam a weekly digest on Mondays at 8."""

    def __init__(self, folder: Path, makings: Makings, database: str = "", at: datetime = WEDNESDAY) -> None:
        self.makings = makings
        self.worker = makings.worker
        self.clock = FixedClock(at)
        shutil.copytree(makings.blank, folder, dirs_exist_ok=True)
        self.site: Site = open_site(settings_for(folder, database=database), self.clock)
        with self.site.database.write() as connection:
            now = self.clock.now()
            joining.add_community(connection, name="pump", title="Pump team", zone="Europe/Berlin", now=now)
            for email, name, delivery in ((ANA, "Ana", "each"), (LI, "Li", "each"), (SAM, "Sam", "weekly")):
                joining.add_member(connection, community="pump", email=email, name=name, delivery=delivery, now=now)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.site.close()

    # --- mail in -----------------------------------------------------------------------------------------------------

    def importer(self, community: str = "pump", *, dry_run: bool = False, wanted: str = "") -> Importer:
        return Importer(
            database=self.site.database,
            spool=self.site.spool,
            worker=self.worker,
            community=self.community(community),
            clock=self.clock,
            settings=self.site.settings,
            tokens=self.site.tokens,
            wanted=wanted,
            dry_run=dry_run,
        )

    def import_file(self, path: Path, *, dry_run: bool = False, wanted: str = "") -> list[ImportVerdict]:
        return list(self.importer(dry_run=dry_run, wanted=wanted).run(mbox.read(path)))

    def import_raws(self, raws: Iterable[bytes], *, dry_run: bool = False) -> list[ImportVerdict]:
        """Import messages as an mbox's entries."""
        return list(self.importer(dry_run=dry_run).run(as_entries(*raws)))

    def take_in(self, made: EmailMessage, to: str = PUMP, sender: str | None = None) -> str:
        """Let a message come by SMTP and be decided; its key in the spool."""
        sender = str(made["From"]) if sender is None else sender
        raw = made.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        now = self.clock.now()
        accepted = Accepted(mail_from=sender, recipient=to, peer="test", via="smtp", received_at=now, raw=raw)
        (key,) = self.site.spool.append([accepted])
        self.drain()
        return key

    def drain(self) -> None:
        intake = self.site.intake(self.worker)
        intake.drain()
        intake.close()

    # --- what is there -----------------------------------------------------------------------------------------------

    def community(self, name: str = "pump") -> directory.Community:
        with self.site.database.read() as connection:
            return directory.community(connection, name)

    def count(self, table: str) -> int:
        with self.site.database.read() as connection:
            return connection.execute(select(func.count()).select_from(tables.metadata.tables[table])).scalar_one()

    def tree(self) -> dict[str, tuple[str | None, int, str]]:
        """Each post's parent, depth and why, by its Message-ID."""
        with self.site.database.read() as connection:
            return {
                one.node.message_id: (one.parent and one.parent.message_id, one.depth, one.node.why)
                for thread in nodes.all_threads(connection, self.community().id)
                for one in arrange(thread)
            }

    def found(self, query: str) -> list[str]:
        with self.site.database.read() as connection:
            return [hit.post.message_id for hit in search.search(connection, [self.community().id], query)]

    def shown(self) -> dict[str, tuple[Any, ...]]:
        """What is shown of each post, and where, by its Message-ID."""
        with self.site.database.read() as connection:
            found = read.newest(connection, self.community().id, 1000)
            attached = read.attachments(connection, [one.id for one in found])
            return {
                one.message_id: (
                    *(one.number, one.subject, one.author_name, one.author_email, one.recipients, one.date, one.text),
                    *(one.folds, attached.get(one.id)),
                    [other.message_id for other in read.thread(connection, one.community_id, one.thread_id)],
                )
                for one in found
            }

    def raws(self) -> list[bytes]:
        with self.site.database.read() as connection:
            return [one.raw for one in read.raw_posts(connection, self.community().id, limit=1000)]

    def why(self, message_id: str, email: str | None = None) -> list[str]:
        with self.site.database.read() as connection:
            steps = explain.why(connection, self.site.spool, message_id, email)
        return [f"{step.what}: {step.detail}" for step in steps]

    def problems(self) -> list[tuple[str, str]]:
        """What a look at the raw bytes finds, and whether posts are in threads and in search."""
        return [(one.message_id, one.problem) for one in check.check(self.site.database)]

    def differences(self) -> list[tuple[str, str]]:
        """What is other than a rebuild would make it."""
        return [(one.message_id, one.problem) for one in compare(self.site.database, self.worker, self.site.settings)]

    def rebuild(self, what: check.What = "all") -> list[int]:
        return list(check.rebuild(self.site.database, self.worker, self.site.settings, what))


def as_entries(*raws: bytes) -> list[mbox.Entry]:
    """Messages as those of an mbox."""
    return [
        mbox.Entry(raw=raw, from_line=b"From x", source=f"made:{number}", envelope_date=None, offset=number)
        for number, raw in enumerate(raws, 1)
    ]


@pytest.fixture(scope="session")
def makings(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Makings]:
    """What all small sites of a module share."""
    blank = tmp_path_factory.mktemp("blank")
    open_site(settings_for(blank)).close()
    worker = ParseWorker(LimitSettings())
    yield Makings(worker=worker, blank=blank)
    worker.close()


@pytest.fixture
def small_site(tmp_path: Path, makings: Makings) -> Iterator[SmallSite]:
    """A small site on SQLite."""
    with SmallSite(tmp_path, makings) as made:
        yield made


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgres"))])
def any_site(request: pytest.FixtureRequest, tmp_path: Path, makings: Makings) -> Iterator[SmallSite]:
    """A small site, on each engine in turn."""
    url = "" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    with SmallSite(tmp_path, makings, url) as made:
        yield made


# --- commands --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class Ran:
    """What a command gave back."""

    status: int
    out: bytes
    err: str

    @property
    def text(self) -> str:
        return self.out.decode()

    @property
    def json(self) -> Any:
        """The one JSON document that was printed."""
        return json.loads(self.out)

    @property
    def lines(self) -> list[Any]:
        """The JSON lines that were printed."""
        return [json.loads(line) for line in self.out.splitlines()]


class Program:
    """`tidings -c CONFIG ...` inside this process: the same entry, arguments and exit status."""

    def __init__(self, config: Path) -> None:
        self.config = config

    def __call__(self, *words: str | Path, stdin: bytes = b"", status: int = 0) -> Ran:
        """Run a command; fails where its exit status is not `status`."""
        ran = run(["-c", str(self.config), *map(str, words)], stdin)
        assert ran.status == status, f"{' '.join(map(str, words))}: {ran.status}\n{ran.text}\n{ran.err}"
        return ran


# The commands are the same at every call; a process of its own would make them anew, which takes most of its time.
_made_once = functools.cache(typer.main.get_command)


def run(arguments: Sequence[str], stdin: bytes = b"") -> Ran:
    """Run the program as its entry point does."""
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8", write_through=True)
    err = io.StringIO()
    given = io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8")
    status: Any = 0
    with contextlib.ExitStack() as stack:
        stack.enter_context(contextlib.redirect_stdout(out))
        stack.enter_context(contextlib.redirect_stderr(err))
        stack.enter_context(patch.object(sys, "argv", ["tidings", *arguments]))
        stack.enter_context(patch.object(sys, "stdin", given))
        stack.enter_context(patch.object(typer.main, "get_command", _made_once))
        try:
            cli.main()
        except SystemExit as ended:
            status = ended.code or 0
    out.flush()
    return Ran(status=status, out=out.buffer.getvalue(), err=err.getvalue())  # type: ignore[attr-defined]


def from_ana(subject: str, text: str, message_id: str, **fields: str) -> EmailMessage:
    """A post by Ana."""
    return message(ANA, PUMP, subject, text, message_id, **fields)
