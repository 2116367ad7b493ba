"""What it takes to find who is due among a million sections that wait, and to make and to plan the periods of many.

People, memberships and sections are written by set-based statements; finding, making and planning are the program's.
"""

import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, insert, text

from tidings.app import open_site
from tidings.communities import joining, rota
from tidings.database import tables
from tidings.database.engine import Database
from tidings.digests import editions, periods, plans
from tidings.settings import DatabaseSettings, Settings, SiteSettings

_SITE = SiteSettings()
_START = datetime(2026, 10, 5, 8, 0, tzinfo=UTC)
_CUT_OFF = datetime(2026, 10, 11, 16, 0, tzinfo=UTC)  # Sunday 18:00 in Berlin
_COMMUNITIES = 10
_BATCH = 500  # as jobs takes them
_TIMES = 50
_SERIES = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < :many) "
_PEOPLE = (
    # A tenth each in four crews, the others at hours of their own; ids as they are counted.
    "INSERT INTO person (id, name, crew_id, digest_at, digest_weekday, digest_time, created_at) " + _SERIES + "SELECT "
    "i, 'Reader', CASE WHEN i % 10 < 4 THEN i % 10 + 1 END, CASE WHEN i % 10 < 4 THEN 'shift' ELSE 'day' END, "
    "CASE WHEN i % 10 >= 4 THEN i % 7 END, CASE WHEN i % 10 >= 4 THEN '08:' || (10 + i % 50) END, 0 FROM n",
    "INSERT INTO address (id, person_id, email, email_key) " + _SERIES + "SELECT "
    "i, i, 'reader' || i || '@example.org', 'reader' || i || '@example.org' FROM n",
    "INSERT INTO membership (community_id, person_id, address_id, role, delivery, cursor, joined_at) SELECT "
    "community.id, person.id, person.id, 'member', 'weekly', 0, 0 FROM community CROSS JOIN person ORDER BY 2, 1",
)
# Due in the week after the cut-off, a microsecond apart so that each moment is another.
_SECTIONS = (
    "INSERT INTO edition_section (person_id, community_id, period_id, membership_id, state, due_at) SELECT "
    "person_id, community_id, community_id, id, 'waiting', :begin + id * :apart FROM membership"
)


@dataclass(frozen=True, kw_only=True)
class Found:
    """Milliseconds to find who is due: of the sections that wait none, a thousand, or all; and a page far behind."""

    waiting: int
    none: float
    few: float
    all: float
    behind: float


@dataclass(frozen=True, kw_only=True)
class Planned:
    """Seconds of CPU to make the periods of ten communities and to plan all their sections anew."""

    sections: int
    made: float
    planned: float


def finding(folder: Path, people: int = 100_000, url: str = "") -> Found:
    """How long it takes to find what is due among ten sections of each of so many people, the median of some times."""
    site = open_site(_settings(folder, url))
    with site.database.write() as connection:
        fill(connection, people)
        for community_id in range(1, _COMMUNITIES + 1):
            row = {"community_id": community_id, "rhythm": "weekly", "number": 1, "up_to": 0, "cut_off_at": _CUT_OFF}
            connection.execute(insert(tables.period).values(id=community_id, **row))
        begin = (_CUT_OFF - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
        connection.execute(text(_SECTIONS), {"begin": begin, "apart": 1_000})
    with site.database.write() as connection:
        connection.execute(text("ANALYZE"))
    waiting = people * _COMMUNITIES
    late = _CUT_OFF + timedelta(days=7)
    with site.database.read() as connection:
        far = editions.Due(_CUT_OFF + timedelta(milliseconds=waiting // 2), 0, 0)
        found = Found(
            waiting=waiting,
            none=_milliseconds(lambda: editions.due(connection, _CUT_OFF, _BATCH)),
            few=_milliseconds(lambda: editions.due(connection, _CUT_OFF + timedelta(seconds=1), _BATCH)),
            all=_milliseconds(lambda: editions.due(connection, late, _BATCH)),
            behind=_milliseconds(lambda: editions.due(connection, late, _BATCH, far)),
        )
    site.close()
    return found


def planning(folder: Path, people: int = 10_000, url: str = "") -> Planned:
    """What it takes to make the periods of ten communities with so many members each, and to plan them anew."""
    site = open_site(_settings(folder, url))
    with site.database.write() as connection:
        fill(connection, people)
    began = time.process_time()
    sections = _make(site.database)
    made = time.process_time() - began
    with site.database.write() as connection:
        connection.execute(text("UPDATE person SET crew_id = crew_id % 4 + 1 WHERE crew_id IS NOT NULL"))
    began = time.process_time()
    with site.database.write() as connection:
        plans.replan(connection, _CUT_OFF, site=_SITE)
    planned = time.process_time() - began
    site.close()
    return Planned(sections=sections, made=made, planned=planned)


def _make(database: Database) -> int:
    """Make the periods as the program does, a transaction for each community; how many sections they have."""
    with database.read() as connection:
        behind = periods.behind(connection, _CUT_OFF)
    for late in behind:
        with database.write() as connection:
            periods.make_periods(connection, late, _CUT_OFF, site=_SITE)
    with database.read() as connection:
        return int(connection.execute(text("SELECT count(*) FROM edition_section")).scalar_one())


def _settings(folder: Path, url: str) -> Settings:
    site = SiteSettings(data_dir=str(folder))
    return Settings(site=site, database=DatabaseSettings(url=url)) if url else Settings(site=site)


def fill(connection: Connection, people: int) -> None:
    """Ten communities with so many people in each, a tenth of them in each of four crews."""
    for number in range(_COMMUNITIES):
        name = f"c{number}"
        joining.add_community(connection, name=name, title=name, zone="Europe/Berlin", now=_START)
    rota.add_rota(
        connection, name="plant", zone="Europe/Berlin", pattern="DDNNOOOO", shifts="D=07:00-19:00,N=19:00-07:00"
    )
    for number in range(4):
        day = (_START + timedelta(days=2 * number)).date()
        rota.add_crew(connection, name=f"crew {number}", rota="plant", start_date=day)
    for statement in _PEOPLE:
        connection.execute(text(statement), {"many": people} if ":many" in statement else {})


def _milliseconds(step: Callable[[], object]) -> float:
    times = []
    for _ in range(_TIMES):
        began = time.perf_counter()
        step()
        times.append((time.perf_counter() - began) * 1000)
    return statistics.median(times)
