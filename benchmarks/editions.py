"""What it takes to compose and to assemble the editions of many people in many communities: CPU and memory.

Everybody is in every community, and has an edition with a section of each. People are written by set-based statements;
posts are filed, editions composed and mails assembled by the program.
"""

import random
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage
from pathlib import Path

from sqlalchemy import select, text

from benchmarks import limits
from benchmarks.due import fill
from tidings import jobs
from tidings.app import Site, open_site
from tidings.archive import store
from tidings.communities import directory
from tidings.database import tables
from tidings.digests import render
from tidings.intake.filing import Filing
from tidings.mailer.parse import parse
from tidings.settings import LimitSettings, Settings, SiteSettings

_START = datetime(2026, 10, 5, 8, 0, tzinfo=UTC)
_DUE = datetime(2026, 10, 20, 16, 0, tzinfo=UTC)  # of everybody, after the cut-off on Sunday 11 October
_POSTS = 20  # of a week in each community, in nine threads
_WORDS = (
    *("the", "seal", "of", "pump", "line", "bearing", "leaks", "at", "start-up", "after", "ten", "minutes", "when"),
    *("it", "is", "cold", "and", "we", "changed", "spring", "in", "March", "because", "pressure", "was", "too", "high"),
    *(
        "so",
        "somebody",
        "from",
        "night",
        "shift",
        "measured",
        "again",
        "wrote",
        "down",
        "what",
        "valve",
        "did",
        "before",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Step:
    """What a step takes for one edition: CPU, and how many messages compat32 parses in as much at the same time."""

    milliseconds: float
    parses: float


@dataclass(frozen=True, kw_only=True)
class Composed:
    """Editions, and what each of the two steps takes; `memory` in bytes at the most, `size` of a mail."""

    editions: int
    composing: Step
    assembling: Step
    memory: int
    size: int


def measure(folder: Path, raws: Sequence[bytes], people: int = 10_000) -> Composed:
    """Compose an edition for each of so many people, then assemble all of them; `raws` are parsed beside it."""
    site = open_site(Settings(site=SiteSettings(data_dir=str(folder))))
    with site.database.write() as connection:
        fill(connection, people)
    _write(site)
    with site.database.write() as connection:
        connection.execute(text("UPDATE person SET digest_at = 'day', digest_weekday = 0, digest_time = '09:00'"))
    Path("/proc/self/clear_refs").write_text("5")  # count the peak of memory from here on
    with limits.beside(raws) as beside:
        began = time.thread_time()
        done = jobs.run_due(site.database, _DUE, site=site.settings.site)
        composing = _step(time.thread_time() - began, done.editions, beside)
    size = 0
    with limits.beside(raws) as beside, site.database.read() as connection:
        began = time.thread_time()
        editions = connection.execute(select(tables.edition.c.id)).scalars().all()
        for edition_id in editions:
            size += len(render.assemble(connection, edition_id, site=site.settings.site, tokens=site.tokens))
        assembling = _step(time.thread_time() - began, len(editions), beside)
    site.close()
    peak = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
    return Composed(
        editions=done.editions,
        composing=composing,
        assembling=assembling,
        memory=int(peak) * 1024,
        size=size // len(editions),
    )


def _step(seconds: float, editions: int, beside: limits.Beside) -> Step:
    return Step(milliseconds=seconds / editions * 1000, parses=seconds / editions * beside.rate)


def _write(site: Site) -> None:
    """The posts of a week in every community, some of them by members."""
    chance = random.Random(20)
    with site.database.write() as connection:
        for community in directory.communities(connection):
            writes, ids = store.Writes(), list[str]()
            filing = Filing(connection, community.id, site.settings, writes)
            for number in range(_POSTS):
                made = _post(chance, community.name, number, ids[-1] if number % 9 and ids else "")
                ids.append(str(made["Message-ID"]))
                raw = made.as_bytes()
                at = _START + timedelta(hours=number)
                filing.file(parse(raw, LimitSettings()), store.packed(raw), received_at=at, via="smtp")
            writes.flush(connection)


def _post(chance: random.Random, community: str, number: int, answers: str) -> EmailMessage:
    made = EmailMessage()
    author = chance.randrange(1, 200)
    made["From"] = f"Reader {author} <reader{author}@example.org>"
    made["To"] = f"{community}@lists.example.org"
    made["Subject"] = f"Re: matter {number}" if answers else f"Matter {number} of {community}"
    made["Message-ID"] = f"<{number}.{community}@example.org>"
    made["Date"] = _START + timedelta(hours=number)
    if answers:
        made["In-Reply-To"] = answers
    sentences = (" ".join(chance.choices(_WORDS, k=chance.randrange(6, 20))) for _ in range(chance.randrange(2, 10)))
    made.set_content(" ".join(f"{sentence.capitalize()}." for sentence in sentences))
    return made
