"""`tidings simulate`: weeks on a copy of a site, every mail that would go out as a file, and nothing else touched."""

import shutil
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from sqlalchemy import func, select

from tests import digest_site
from tests.small_site import Makings, Program, makings
from tidings.app import open_site
from tidings.archive import mbox
from tidings.clock import FixedClock
from tidings.database import tables
from tidings.database.engine import Database
from tidings.errors import UsageError
from tidings.operations import rehearsal
from tidings.operations.rehearsal.playing import coming
from tidings.settings import Settings, example, load

FIXTURES = (makings,)
SUNDAY = datetime(2026, 10, 4, 10, 0, tzinfo=UTC)


@pytest.fixture
def tidings(tmp_path: Path, makings: Makings) -> Program:
    """The program on a site with a night crew of one, and one who gets each post."""
    shutil.copytree(makings.blank, tmp_path / "site")
    made = Program(tmp_path / "site" / "tidings.toml")
    made.config.write_text(example({"admins": ["admin@example.org"]}))
    site = open_site(load(made.config), FixedClock(SUNDAY))
    with site.database.write() as connection:
        digest_site.community(connection, "seals", "Seals")
        digest_site.member(connection, "nia@example.org", "seals", crew=digest_site.crew(connection))
        digest_site.member(connection, "eva@example.org", "seals", delivery="each")
    site.close()
    return made


@pytest.fixture
def old_mail(tmp_path: Path) -> Path:
    """Three messages of years ago, a week apart, the first on a Tuesday."""
    path = tmp_path / "old.mbox"
    with path.open("wb") as file:
        for week in range(3):
            date = datetime(2019, 3, 5, 9, 30, tzinfo=UTC) + timedelta(weeks=week)
            raw = (
                f"From: Li <li@example.org>\nTo: seals@lists.example.org\nSubject: Seal {week}\n"
                f"Date: {date:%a, %d %b %Y %H:%M:%S +0000}\nMessage-ID: <old{week}@example.org>\n\n"
                f"It leaks in week {week}.\n"
            )
            file.write(mbox.entry(raw.encode(), from_line=None, sender="li@example.org", date=date))
    return path


def test_weeks_are_played_on_a_copy_and_each_mail_is_a_file(tidings: Program, old_mail: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["--weeks", "2", "--from", str(old_mail), "--community", "seals", "--at", "2026-10-05T08:30"]
    made = tidings("simulate", *words, "--out", out, "--json").json
    assert made == {"weeks": 2, "posts": 2, "left_out": 0, "mails": 3}
    mails = [message_from_bytes(path.read_bytes(), policy=policy.default) for path in sorted(out.glob("*.eml"))]
    assert [(mail["X-Envelope-To"], mail["Subject"]) for mail in mails] == [
        ("eva@example.org", "Seal 0"),
        ("nia@example.org", "Seals weekly: 1 new post"),
        ("eva@example.org", "Seal 1"),
    ]
    page = (out / "index.html").read_text(encoding="utf-8")
    assert page.count("Tue 06 Oct 11:30") == page.count("Mon 12 Oct 19:00") == page.count("Tue 13 Oct 11:30") == 1
    assert "It leaks in week 0." in (out / "00002.html").read_text(encoding="utf-8")
    with Database(f"sqlite:///{tidings.config.parent / 'tidings.db'}").read() as connection:
        for table in (tables.post, tables.period, tables.outbox):
            assert connection.execute(select(func.count()).select_from(table)).scalar_one() == 0


def test_what_is_not_in_the_weeks_does_not_come_and_all_keep_their_weekdays(old_mail: Path, makings: Makings) -> None:
    worker = makings.worker
    found, unreadable = coming(worker, mbox.read(old_mail), SUNDAY, SUNDAY + timedelta(weeks=2))
    first = datetime(2026, 10, 6, 9, 30, tzinfo=UTC)
    assert [one.at for one in found] == [first, first + timedelta(weeks=1)]
    assert [one.message.date for one in found] == [one.at for one in found]
    assert unreadable == 0


def test_mails_are_kept_in_a_new_folder_only(tidings: Program, tmp_path: Path) -> None:
    (tmp_path / "used").mkdir()
    (tmp_path / "used" / "file").touch()
    ran = tidings("simulate", "--weeks", "1", "--out", tmp_path / "used", "--at", "2026-10-06", status=2)
    assert "is not empty" in ran.err


def test_a_rehearsal_begins_after_what_the_site_has_done(tidings: Program, tmp_path: Path) -> None:
    ran = tidings("simulate", "--weeks", "1", "--out", tmp_path / "x", "--at", "2020-01-05", status=2)
    assert "begins after that" in ran.err


@pytest.mark.needs("postgres")
def test_a_site_on_postgresql_is_not_copied(postgres_database: Database, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="on SQLite"):
        rehearsal.copied(Settings(), postgres_database, tmp_path)
