"""What an edition is told of the member's past: returns by weeks, quiet times, since when."""

from collections.abc import Sequence
from datetime import datetime, timedelta

import msgspec
import pytest
from sqlalchemy import select, update

from tests import digest_site
from tests.digest_site import CUT_OFF, SITE, WEEK
from tidings import jobs
from tidings.communities import directory
from tidings.communities.directory import Community
from tidings.database import tables
from tidings.database.engine import Database
from tidings.digests import history
from tidings.digests.fragments import Span
from tidings.digests.history import History, Window

MORNING = timedelta(hours=15)  # after the cut-off: 09:00 in Berlin, or 08:00 after the clock changed
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)  # by which a cut-off is later in UTC after 25 October


@pytest.fixture
def pump(database: Database) -> Community:
    """A community with one weekly member, Sam."""
    with database.write() as connection:
        made = digest_site.community(connection)
        digest_site.member(connection, "sam@example.org")
    return made


def post(database: Database, community: Community) -> None:
    with database.write() as connection:
        digest_site.post(connection, community.id)


def pause(database: Database, until: datetime | None) -> None:
    with database.write() as connection:
        connection.execute(update(tables.membership).values(paused_until=until))


def windows(database: Database) -> Sequence[list[tuple[str, int, int]] | None]:
    """Of each section that was composed: its windows as (label, after, up to), newest first."""
    section = tables.edition_section.c
    query = select(section.windows).where(section.state == "composed").order_by(section.id)
    with database.read() as connection:
        found = connection.execute(query).scalars().all()
    return [one and [(w.label, w.after, w.up_to) for w in msgspec.json.decode(one, type=list[Window])] for one in found]


def read(database: Database, community: Community) -> History:
    with database.read() as connection:
        member = directory.members(connection, community.id)[0]
        return history.Past(connection, [member.person_id]).of(community, member)


# --- returns ---------------------------------------------------------------------------------------------------------


def test_an_edition_of_one_week_is_no_return(database: Database, pump: Community) -> None:
    for week in range(2):
        post(database, pump)
        jobs.run_due(database, CUT_OFF + week * WEEK + MORNING, site=SITE)
    assert windows(database) == [None, None]


def test_after_a_pause_one_return_covers_what_was_missed_by_weeks(database: Database, pump: Community) -> None:
    pause(database, CUT_OFF + 3 * WEEK)
    for week in range(4):
        post(database, pump)
        done = jobs.run_due(database, CUT_OFF + week * WEEK + MORNING + HOUR, site=SITE)
        assert done.editions == (week == 3)
    assert windows(database) == [[("this week", 3, 4), ("last week", 2, 3), ("earlier", 0, 2)]]


def test_who_has_no_shift_for_two_weeks_gets_one_return_when_the_next_begins(database: Database) -> None:
    with database.write() as connection:
        pump = digest_site.community(connection)
        crew = digest_site.crew(connection, "long", "DDDDDDD" + "O" * 16 + "DDDDD")  # off from 12 to 27 October
        digest_site.member(connection, "sam@example.org", crew=crew)
    back = datetime.fromisoformat("2026-10-28T06:00+00:00")  # 07:00 in Berlin
    for days in range(15):
        post(database, pump)
        assert (
            jobs.run_due(database, CUT_OFF + days * DAY + (HOUR if days == 14 else 0 * HOUR), site=SITE).editions == 0
        )
    assert jobs.run_due(database, back - timedelta(seconds=1), site=SITE).editions == 0
    assert jobs.run_due(database, back, site=SITE).editions == 1
    assert windows(database) == [[("this week", 8, 15), ("last week", 1, 8), ("earlier", 0, 1)]]


def test_a_daily_member_who_is_off_for_a_few_days_gets_no_return_and_after_a_week_does(
    database: Database, pump: Community
) -> None:
    with database.write() as connection:
        connection.execute(update(tables.membership).values(delivery="daily"))
    pause(database, CUT_OFF + 4 * DAY)
    for day in range(5):
        post(database, pump)
        jobs.run_due(database, CUT_OFF + day * DAY + MORNING, site=SITE)
    pause(database, CUT_OFF + 12 * DAY)
    for day in range(5, 14):
        post(database, pump)
        jobs.run_due(database, CUT_OFF + day * DAY + MORNING, site=SITE)
    after_four_days, after_eight, *_ = windows(database)
    assert after_four_days is None
    assert after_eight == [("this week", 6, 13), ("last week", 5, 6)]


def test_a_week_in_which_the_clock_changes_is_a_week_too(database: Database, pump: Community) -> None:
    spring = datetime.fromisoformat("2027-03-21T17:00+00:00")  # the next cut-off is 167 hours later
    jobs.run_due(database, spring - WEEK + MORNING, site=SITE)
    pause(database, spring + MORNING + HOUR)
    for moment in (spring + MORNING, spring + WEEK + MORNING):
        post(database, pump)
        jobs.run_due(database, moment, site=SITE)
    assert windows(database) == [[("this week", 1, 2), ("last week", 0, 1)]]


# --- quiet times -----------------------------------------------------------------------------------------------------


def test_quiet_weeks_that_follow_each_other_are_one_time_and_others_are_apart(
    database: Database, pump: Community
) -> None:
    post(database, pump)
    for week in range(3):
        jobs.run_due(database, CUT_OFF + week * WEEK + MORNING, site=SITE)
    found = read(database, pump)
    assert found.since == CUT_OFF
    assert found.quiet == (Span(begin=CUT_OFF, end=CUT_OFF + 2 * WEEK + HOUR),)
    pause(database, CUT_OFF + 4 * WEEK)
    jobs.run_due(database, CUT_OFF + 3 * WEEK + MORNING, site=SITE)  # dropped: neither told nor quiet
    for week in (4, 5):
        jobs.run_due(database, CUT_OFF + week * WEEK + MORNING, site=SITE)
    assert read(database, pump).quiet == (
        Span(begin=CUT_OFF, end=CUT_OFF + 2 * WEEK + HOUR),
        Span(begin=CUT_OFF + 3 * WEEK + HOUR, end=CUT_OFF + 5 * WEEK + HOUR),
    )


def test_the_first_quiet_week_of_a_community_has_seven_days(database: Database, pump: Community) -> None:
    jobs.run_due(database, CUT_OFF + MORNING, site=SITE)
    assert read(database, pump) == History(quiet=(Span(begin=CUT_OFF - WEEK, end=CUT_OFF),))


def test_after_an_edition_nothing_is_quiet_any_more(database: Database, pump: Community) -> None:
    jobs.run_due(database, CUT_OFF + MORNING, site=SITE)
    post(database, pump)
    jobs.run_due(database, CUT_OFF + WEEK + MORNING, site=SITE)
    assert read(database, pump) == History(since=CUT_OFF + WEEK)
