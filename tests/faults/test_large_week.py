"""A week of which nobody can read all: what it takes to tell it, and that nothing of it goes unmentioned."""

import os
import random
import resource
import subprocess
import sys
from datetime import timedelta
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import default
from pathlib import Path

import pytest
from sqlalchemy import Connection, select

from tests import digest_site, seed
from tests.digest_site import START
from tidings.app import open_site
from tidings.database import tables
from tidings.digests import render, stored
from tidings.digests.lint import HTML_LIMIT
from tidings.settings import parse

POSTS = 5_000
LINES = 170  # of a post, about 10 kB
SECONDS = 30  # of CPU
MEMORY = 200_000  # kB


@pytest.mark.faults
@pytest.mark.acceptance(96)
def test_a_week_of_fifty_megabytes_is_told_in_one_short_mail(tmp_path: Path) -> None:
    config = tmp_path / "tidings.toml"
    config.write_text(f'[site]\ndata_dir = "{tmp_path}"\n')
    site = open_site(parse(config.read_text()))
    with site.database.write() as connection:
        made = digest_site.community(connection)
        digest_site.member(connection, "sam@example.org")
        _fill(connection, made.id)

    line = [sys.executable, "-m", "tidings.cli", "-c", str(config), "run-due", "--at", "2026-10-13T18:00"]
    child = subprocess.Popen(line, preexec_fn=_limited)
    _, status, used = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    assert child.returncode == 0
    assert used.ru_maxrss < MEMORY

    with site.database.read() as connection:
        edition_id = connection.execute(select(tables.edition.c.id)).scalar_one()
        raw = render.assemble(connection, edition_id, site=site.settings.site, tokens=site.tokens)
        (section,) = stored.load(connection, edition_id).sections
    site.close()
    told = [number for entry in section.entries for number in getattr(entry.fragment, "numbers", ())]
    assert len(set(told)) == len(told) == POSTS - section.heading.more_posts
    html = BytesParser(EmailMessage, policy=default).parsebytes(raw).get_body(("html",))
    assert html is not None
    assert len(html.as_bytes()) < HTML_LIMIT
    assert "/c/pump/" in html.get_content()


def _limited() -> None:
    resource.setrlimit(resource.RLIMIT_CPU, (SECONDS, SECONDS))


def _fill(connection: Connection, community_id: int) -> None:
    """Posts of one week by 300 people, four of five of them replies."""
    chance = random.Random(96)
    words = ["".join(chance.choices("abcdefghijklmnopqrstuvwxyz", k=chance.randrange(2, 11))) for _ in range(20_000)]
    lines = [f"{' '.join(chance.choices(words, k=9)).capitalize()}." for _ in range(20_000)]
    posts: list[seed.Seeded] = []
    for number in range(POSTS):
        writer = number % 300
        posts.append(
            seed.post(
                connection,
                community_id,
                parent=chance.choice(posts[-200:]) if posts and chance.random() < 0.8 else None,
                author=(f"Writer {writer}", f"writer{writer}@example.org"),
                subject=f"Matter {number}",
                text="\n".join(chance.choices(lines, k=LINES)) + "\n",
                date=START + timedelta(seconds=80 * number),
            )
        )
