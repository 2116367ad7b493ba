"""Periods and editions: made once, due in time, every post told to every reader once, whatever fails or runs twice."""

import logging
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from email import message_from_bytes
from typing import Any

import msgspec
import pytest
from sqlalchemy import Connection, func, insert, select, update

from tests import digest_site, seed
from tests.digest_site import CUT_OFF, SITE, START, WEEK
from tidings import jobs
from tidings.communities import directory, joining, rota
from tidings.communities.directory import Community, Member
from tidings.database import tables
from tidings.database.engine import Database
from tidings.digests import drafts, editions, gather, periods, plans, render, stored, telling
from tidings.digests.fragments import BLOCKS, Cover, Span
from tidings.jobs import Done
from tidings.mailer import outbox

MONDAY = CUT_OFF + timedelta(hours=14)  # 08:00 in Berlin
NOTHING = Done(periods=0, editions=0, quiet=0, failed=0)


def run(database: Database, now: Any) -> Done:
    return jobs.run_due(database, now, site=SITE)


def sections(database: Database) -> list[tuple[str, str]]:
    """(address of the member, state) of every section, in their order."""
    section = tables.edition_section.c
    with database.read() as connection:
        rows = connection.execute(
            select(tables.address.c.email, section.state)
            .join_from(tables.edition_section, tables.membership, tables.membership.c.id == section.membership_id)
            .join(tables.address, tables.address.c.id == tables.membership.c.address_id)
            .order_by(section.id)
        )
        return [(email, state) for email, state in rows]


def count(connection: Connection, table: Any) -> int:
    return connection.execute(select(func.count()).select_from(table)).scalar_one()


def told(database: Database) -> Iterator[tuple[str, list[int], int]]:
    """For each edition in its order: recipient, the archive numbers of its items, and how many more it counts."""
    with database.read() as connection:
        rows = connection.execute(
            select(tables.edition.c.id, tables.edition.c.recipient, tables.item.c.block, tables.fragment.c.data)
            .join_from(tables.item, tables.edition_section, tables.edition_section.c.id == tables.item.c.section_id)
            .join(tables.fragment, tables.fragment.c.id == tables.item.c.fragment_id)
            .join(tables.edition, tables.edition.c.id == tables.edition_section.c.edition_id)
            .order_by(tables.edition.c.id, tables.item.c.number)
        ).all()
    found: dict[int, tuple[str, list[int], int]] = {}
    for edition_id, recipient, block, fragment in rows:
        item = msgspec.json.decode(fragment, type=BLOCKS[block])
        _, numbers, _ = found.setdefault(edition_id, (recipient, [], 0))
        numbers += getattr(item, "numbers", ())
        if isinstance(item, Cover):
            found[edition_id] = (recipient, numbers, sum(heading.more_posts for heading in item.headings))
    yield from found.values()


@pytest.fixture
def pump(database: Database) -> int:
    """A community with one weekly member and one post; its id."""
    with database.write() as connection:
        made = digest_site.community(connection)
        digest_site.member(connection, "sam@example.org")
        digest_site.post(connection, made.id)
    return made.id


# --- periods ---------------------------------------------------------------------------------------------------------


@pytest.mark.usefixtures("pump")
def test_a_period_is_made_at_its_cut_off_and_not_before(database: Database) -> None:
    assert run(database, CUT_OFF - timedelta(seconds=1)) == NOTHING
    assert run(database, CUT_OFF) == Done(periods=1, editions=0, quiet=0, failed=0)
    assert sections(database) == [("sam@example.org", "waiting")]


@pytest.mark.usefixtures("pump")
def test_a_second_run_makes_nothing_and_sends_nothing(database: Database) -> None:
    run(database, CUT_OFF)
    assert run(database, CUT_OFF) == NOTHING
    assert run(database, MONDAY) == Done(periods=0, editions=1, quiet=0, failed=0)
    assert run(database, MONDAY) == NOTHING
    with database.read() as connection:
        assert [count(connection, table) for table in (tables.edition, tables.outbox, tables.delivery)] == [1, 1, 1]


@pytest.mark.usefixtures("pump")
def test_a_period_that_another_process_made_meanwhile_is_not_made_again(database: Database) -> None:
    with database.read() as connection:
        [late] = periods.behind(connection, CUT_OFF)
    with database.write() as connection:
        assert periods.make_periods(connection, late, CUT_OFF, site=SITE) == 1
        assert periods.make_periods(connection, late, CUT_OFF, site=SITE) == 0
    assert sections(database) == [("sam@example.org", "waiting")]


@pytest.mark.acceptance(90)
@pytest.mark.parametrize("down", [timedelta(hours=1), timedelta(days=3), timedelta(weeks=4)])
def test_after_downtime_what_was_missed_is_sent_once(database: Database, pump: int, down: timedelta) -> None:
    with database.write() as connection:
        late = digest_site.post(connection, pump, date=CUT_OFF + timedelta(minutes=10))
    assert run(database, MONDAY + down).periods == 1
    run(database, MONDAY + down + timedelta(days=1))
    assert [sorted(numbers) for _, numbers, _ in told(database)] == [[1, late.number]]


@pytest.mark.acceptance(92)
@pytest.mark.usefixtures("pump")
def test_a_clock_that_goes_back_sends_nothing_again(database: Database) -> None:
    run(database, MONDAY)
    for back in (timedelta(hours=1), timedelta(days=1), timedelta(days=3650)):
        assert run(database, MONDAY - back) == NOTHING
    assert run(database, MONDAY) == NOTHING


@pytest.mark.acceptance(95)
def test_a_post_of_the_cut_off_second_and_one_numbered_late_are_each_in_one_period(
    database: Database, pump: int
) -> None:
    with database.write() as connection:
        digest_site.post(connection, pump, date=CUT_OFF)
    run(database, CUT_OFF)
    with database.write() as connection:  # held before the cut-off, released after it
        digest_site.post(connection, pump, date=CUT_OFF - timedelta(days=1))
    run(database, MONDAY)
    run(database, MONDAY + WEEK)
    assert [sorted(numbers) for _, numbers, _ in told(database)] == [[1, 2], [3]]


def test_a_daily_period_is_made_only_where_somebody_wants_it(database: Database, pump: int) -> None:
    assert run(database, CUT_OFF - timedelta(days=1)) == NOTHING
    with database.write() as connection:
        digest_site.member(connection, "day@example.org", delivery="daily")
        digest_site.post(connection, pump)
    assert run(database, CUT_OFF).periods == 2
    assert run(database, CUT_OFF + timedelta(days=1)).periods == 1
    with database.read() as connection:
        assert [(one.rhythm, one.number) for one in periods.listing(connection, pump)] == [
            ("daily", 2),
            ("daily", 1),
            ("weekly", 1),
        ]


@pytest.mark.usefixtures("pump")
def test_an_archived_community_makes_no_periods(database: Database) -> None:
    with database.write() as connection:
        joining.archive_community(connection, "pump", START)
    assert run(database, MONDAY) == NOTHING


def test_a_new_cut_off_neither_repeats_nor_leaves_out_a_post(database: Database, pump: int) -> None:
    run(database, MONDAY)
    with database.write() as connection:
        joining.set_community(connection, "pump", {"cut-off": "Wed 12:00"}, MONDAY)
        digest_site.post(connection, pump)
    run(database, MONDAY + WEEK)
    assert [numbers for _, numbers, _ in told(database)] == [[1], [2]]


# --- due -------------------------------------------------------------------------------------------------------------


def test_a_night_crew_has_its_edition_at_the_start_of_its_shift(database: Database, pump: int) -> None:
    with database.write() as connection:
        crew = digest_site.crew(connection)  # Monday to Thursday 19:00
        digest_site.member(connection, "night@example.org", crew=crew)
        digest_site.post(connection, pump)
    shift = CUT_OFF + timedelta(days=1, hours=1)
    run(database, shift - timedelta(seconds=1))
    assert ("night@example.org", "waiting") in sections(database)
    assert run(database, shift).editions == 1
    with database.read() as connection:
        due_at = select(tables.edition.c.due_at).where(tables.edition.c.recipient == "night@example.org")
        assert connection.execute(due_at).scalar_one() == shift


def test_an_edition_that_is_late_does_not_wake_who_sleeps_after_a_night(database: Database) -> None:
    with database.write() as connection:
        made = digest_site.community(connection)
        digest_site.member(connection, "night@example.org", crew=digest_site.crew(connection))
        digest_site.post(connection, made.id)
    asleep = CUT_OFF + timedelta(days=1, hours=18)  # Tuesday 12:00, off the night at 07:00
    assert run(database, asleep) == Done(periods=1, editions=0, quiet=0, failed=0)
    assert run(database, CUT_OFF + timedelta(days=1, hours=22, seconds=-1)) == NOTHING
    assert run(database, CUT_OFF + timedelta(days=1, hours=22)).editions == 1


def test_a_changed_rota_moves_what_still_waits(database: Database) -> None:
    with database.write() as connection:
        made = digest_site.community(connection)
        digest_site.member(connection, "sam@example.org", crew=digest_site.crew(connection))
        digest_site.post(connection, made.id)
    run(database, CUT_OFF)
    with database.write() as connection:
        rota.add_crew(connection, name="late", rota="night", start_date=START.date() + timedelta(days=8))
        joining.set_member(connection, community="pump", email="sam@example.org", changes={"crew": "late"}, now=CUT_OFF)
        assert plans.replan(connection, CUT_OFF, site=SITE) == 1
        assert plans.replan(connection, CUT_OFF, site=SITE) == 0
    assert run(database, CUT_OFF + timedelta(days=1, hours=1)) == NOTHING  # the old crew's Monday
    assert run(database, CUT_OFF + timedelta(days=2, hours=1)).editions == 1


@pytest.mark.usefixtures("pump")
def test_sending_now_ends_the_period_and_the_next_cut_off_tells_only_what_came_after(database: Database) -> None:
    with database.write() as connection:
        found = directory.community(connection, "pump")
        assert periods.send_now(connection, "pump", START + timedelta(days=1), site=SITE) == 1
    assert run(database, START + timedelta(days=1)) == Done(periods=0, editions=1, quiet=0, failed=0)
    with database.write() as connection:
        digest_site.post(connection, found.id)
    run(database, MONDAY)
    assert [numbers for _, numbers, _ in told(database)] == [[1], [2]]


@pytest.mark.usefixtures("pump")
def test_sending_now_takes_what_waits_already_into_the_same_mail(database: Database) -> None:
    run(database, CUT_OFF)
    with database.write() as connection:
        assert periods.send_now(connection, "pump", CUT_OFF + timedelta(hours=1), site=SITE) == 2
    assert run(database, CUT_OFF + timedelta(hours=1)).editions == 1
    assert [state for _, state in sections(database)] == ["dropped", "composed"]
    assert [numbers for _, numbers, _ in told(database)] == [[1]]


@pytest.mark.parametrize(
    ("chosen", "hours"),
    [
        ("shift", 25),  # after the cut-off: Monday 19:00
        ("shift-end", 36.75),  # Tuesday 06:45
        ("day-off 18:00", 120),  # Friday
        ("Wed 12:30", 70),  # asleep until Wednesday 16:00
    ],
)
def test_an_edition_goes_out_at_the_time_that_its_reader_chose(database: Database, chosen: str, hours: float) -> None:
    with database.write() as connection:
        made = digest_site.community(connection)
        digest_site.member(connection, "sam@example.org", crew=digest_site.crew(connection), digest=chosen)
        digest_site.post(connection, made.id)
    run(database, CUT_OFF)
    moment = CUT_OFF + timedelta(hours=hours)
    assert run(database, moment - timedelta(seconds=1)).editions == 0
    assert run(database, moment).editions == 1


@pytest.mark.acceptance(94)
def test_a_new_zone_in_the_week_moves_the_next_cut_off_and_none_before_it(database: Database, pump: int) -> None:
    run(database, CUT_OFF)
    with database.write() as connection:
        joining.set_community(connection, "pump", {"zone": "America/Chicago"}, CUT_OFF + timedelta(days=3))
    for hours in range(0, 15 * 24, 3):
        run(database, CUT_OFF + timedelta(days=1, hours=hours))
    with database.read() as connection:
        found = [one.cut_off_at for one in periods.listing(connection, pump)]
    chicago = timedelta(hours=7)  # behind Berlin; its own clock changes a week later
    assert found == [CUT_OFF + 2 * WEEK + chicago, CUT_OFF + WEEK + chicago, CUT_OFF]


@pytest.mark.acceptance(94)
def test_a_cut_off_that_was_not_seen_to_yet_is_seen_to_before_it_changes(database: Database, pump: int) -> None:
    wednesday = CUT_OFF + timedelta(days=3)
    with database.write() as connection:
        assert periods.catch_up(connection, "pump", wednesday, site=SITE) == 1
        joining.set_community(connection, "pump", {"cut-off": "Tue 12:00"}, wednesday)
    run(database, wednesday)
    with database.read() as connection:
        assert [one.cut_off_at for one in periods.listing(connection, pump)] == [CUT_OFF]


@pytest.mark.acceptance(92)
def test_a_clock_that_was_years_ahead_and_is_right_again_makes_periods_again(
    database: Database, pump: int, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        run(database, CUT_OFF + timedelta(days=3650))
    assert run(database, MONDAY) == NOTHING
    assert "is the clock right?" in caplog.text
    with database.write() as connection:
        digest_site.post(connection, pump)
    for week in (1, 2):
        run(database, MONDAY + week * WEEK + timedelta(hours=1))
    assert [numbers for _, numbers, _ in told(database)] == [[1], [2]]


@pytest.mark.acceptance(92)
@pytest.mark.parametrize("back", [timedelta(hours=1), timedelta(days=1)])
def test_a_clock_set_back_in_the_minute_of_the_cut_off_makes_no_second_period(
    database: Database, pump: int, back: timedelta
) -> None:
    run(database, CUT_OFF)
    for minutes in range(0, int(back.total_seconds() // 60) + 30, 10):
        run(database, CUT_OFF - back + timedelta(minutes=minutes))
    with database.read() as connection:
        assert len(periods.listing(connection, pump)) == 1


def test_who_wants_a_mail_for_each_community_gets_them_apart(database: Database, pump: int) -> None:
    with database.write() as connection:
        ward = digest_site.community(connection, "ward", "A ward")
        digest_site.member(connection, "sam@example.org", "ward")
        for made in (pump, ward.id):
            digest_site.post(connection, made)
        changes = {"one-mail": "no"}
        joining.set_member(connection, community="ward", email="sam@example.org", changes=changes, now=START)
    run(database, MONDAY)
    with database.read() as connection:
        subjects = (
            connection.execute(select(tables.edition.c.subject).order_by(tables.edition.c.subject)).scalars().all()
        )
    assert subjects == ["A ward weekly: 1 new post", "Pump team weekly: 2 new posts"]


def test_more_people_than_one_look_finds_are_all_composed_for_and_failures_stop_none(
    database: Database, pump: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    with database.write() as connection:
        for number in range(7):
            digest_site.member(connection, f"reader{number}@example.org")
        digest_site.post(connection, pump)
    tell = editions.tell

    def breaks(connection: Connection, community: Community, member: Member, **values: Any) -> Any:
        if member.person_id % 2:
            raise ValueError("made to fail")
        return tell(connection, community, member, **values)

    monkeypatch.setattr(jobs, "_BATCH", 2)
    monkeypatch.setattr(editions, "tell", breaks)
    done = run(database, MONDAY)
    assert (done.editions, done.failed) == (4, 4)
    monkeypatch.setattr(editions, "tell", tell)
    assert run(database, MONDAY).editions == 4


# --- who gets what ---------------------------------------------------------------------------------------------------


def test_a_week_in_which_nothing_is_new_sends_nothing_and_the_next_one_says_so(database: Database, pump: int) -> None:
    run(database, MONDAY)
    assert run(database, MONDAY + WEEK) == Done(periods=1, editions=0, quiet=1, failed=0)
    with database.write() as connection:
        digest_site.post(connection, pump)
    run(database, MONDAY + 2 * WEEK + timedelta(hours=1))  # the clock has changed: 08:00 is an hour later in UTC
    with database.read() as connection:
        assert count(connection, tables.edition) == 2
        cover = (
            select(tables.fragment.c.data)
            .join(tables.item)
            .where(tables.item.c.number == 0)
            .order_by(tables.item.c.id.desc())
        )
        heading = msgspec.json.decode(connection.execute(cover).scalars().first(), type=Cover).headings[0]
    assert (heading.since, heading.quiet) == (CUT_OFF, (Span(begin=CUT_OFF, end=CUT_OFF + WEEK),))


def test_what_was_imported_is_never_told(database: Database, pump: int) -> None:
    with database.write() as connection:
        digest_site.post(connection, pump, via="import")
        digest_site.member(connection, "new@example.org")
        digest_site.post(connection, pump, via="import")
    assert run(database, MONDAY) == Done(periods=1, editions=1, quiet=1, failed=0)
    assert [(recipient, numbers) for recipient, numbers, _ in told(database)] == [("sam@example.org", [1])]


@pytest.mark.parametrize("change", ["left", "each", "none"])
def test_who_left_or_turned_to_another_delivery_is_not_sent_what_waited(
    database: Database, pump: int, change: str
) -> None:
    run(database, CUT_OFF)
    with database.write() as connection:
        member = directory.members(connection, pump)[0]
        if change == "left":
            joining.remove_member(connection, membership_id=member.membership_id, now=CUT_OFF)
        else:
            changes = {"delivery": change}
            joining.set_member(connection, community="pump", email=member.email, changes=changes, now=CUT_OFF)
    assert run(database, MONDAY) == NOTHING
    assert sections(database) == [("sam@example.org", "dropped")]


def test_a_member_who_turns_from_weekly_to_daily_is_told_each_post_once(database: Database, pump: int) -> None:
    run(database, CUT_OFF)
    with database.write() as connection:
        changes = {"delivery": "daily"}
        joining.set_member(connection, community="pump", email="sam@example.org", changes=changes, now=CUT_OFF)
        digest_site.post(connection, pump)
    for day in range(4):
        run(database, MONDAY + timedelta(days=day))
    assert [numbers for _, numbers, _ in told(database)] == [[1], [2]]


def test_several_communities_that_are_due_come_in_one_mail_numbered_through(database: Database, pump: int) -> None:
    with database.write() as connection:
        ward = digest_site.community(connection, "ward", "A ward")
        digest_site.member(connection, "sam@example.org", "ward")
        digest_site.post(connection, ward.id, subject="Lifts")
        digest_site.post(connection, pump, subject="Seals", text="It is tight.")
    assert run(database, MONDAY).editions == 1
    with database.read() as connection:
        rows = connection.execute(
            select(tables.edition_section.c.community_id, tables.item.c.number)
            .join_from(tables.item, tables.edition_section, tables.edition_section.c.id == tables.item.c.section_id)
            .order_by(tables.item.c.number)
        ).all()
        subject = connection.execute(select(tables.edition.c.subject)).scalar_one()
    assert [tuple(row) for row in rows] == [(ward.id, 0), (ward.id, 1), (pump, 2), (pump, 3)]
    assert subject == "A ward +1 weekly: 3 new posts"


def test_communities_that_write_to_different_addresses_of_a_person_are_not_mixed(database: Database, pump: int) -> None:
    with database.write() as connection:
        ward = digest_site.community(connection, "ward", "A ward")
        member = digest_site.member(connection, "sam@example.org", "ward")
        digest_site.post(connection, ward.id)
        other = {"person_id": member.person_id, "email": "sam@ward.example.org", "email_key": "sam@ward.example.org"}
        address = connection.execute(tables.address.insert().values(other)).inserted_primary_key[0]
        mine = tables.membership.c.id == member.membership_id
        connection.execute(update(tables.membership).where(mine).values(address_id=address))
    run(database, MONDAY)
    assert [(recipient, numbers) for recipient, numbers, _ in told(database)] == [
        ("sam@example.org", [1]),
        ("sam@ward.example.org", [1]),
    ]


# --- failures and company --------------------------------------------------------------------------------------------


@pytest.mark.acceptance(97)
def test_one_edition_that_fails_stops_no_other_and_is_tried_again(
    database: Database, pump: int, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    with database.write() as connection:
        digest_site.member(connection, "ana@example.org")
        digest_site.post(connection, pump)
    tell = drafts.tell

    def breaks(connection: Connection, community: Any, member: Any, **values: Any) -> Any:
        if member.email == "ana@example.org":
            raise ValueError("made to fail")
        return tell(connection, community, member, **values)

    monkeypatch.setattr(editions, "tell", breaks)
    with caplog.at_level(logging.ERROR):
        assert run(database, MONDAY) == Done(periods=1, editions=1, quiet=0, failed=1)
    assert "made to fail" in caplog.text
    monkeypatch.setattr(editions, "tell", tell)
    assert run(database, MONDAY) == Done(periods=0, editions=1, quiet=0, failed=0)


@pytest.mark.acceptance(89)
def test_a_failure_before_the_commit_leaves_nothing_and_the_next_run_makes_one_edition(
    database: Database, pump: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    def breaks(*_values: Any, **_named: Any) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(outbox, "add_editions", breaks)
        assert run(database, MONDAY).failed == 1
    with database.read() as connection:
        assert [count(connection, table) for table in (tables.edition, tables.item, tables.outbox)] == [0, 0, 0]
        assert directory.members(connection, pump)[0].cursor == 0
    assert run(database, MONDAY).editions == 1
    assert [numbers for _, numbers, _ in told(database)] == [[1]]


@pytest.mark.acceptance(93)
def test_two_runs_at_once_give_one_edition_each(database: Database, pump: int) -> None:
    with database.write() as connection:
        for number in range(12):
            digest_site.member(connection, f"reader{number}@example.org")
        digest_site.post(connection, pump)
    with ThreadPoolExecutor(4) as pool:
        done = list(pool.map(lambda _: run(database, MONDAY), range(4)))
    assert sum(one.periods for one in done) == 1
    assert sum(one.editions for one in done) == 13
    assert [one.failed for one in done] == [0, 0, 0, 0]
    recipients = [recipient for recipient, _, _ in told(database)]
    assert len(recipients) == len(set(recipients)) == 13


# --- every post once -------------------------------------------------------------------------------------------------


def test_over_28_days_every_member_is_told_every_post_once(sqlite_database: Database) -> None:
    database, chance = sqlite_database, random.Random(28)
    with database.write() as connection:
        pump = digest_site.community(connection, meeting="Tue 14:00")
        night = digest_site.crew(connection)
        day = digest_site.crew(connection, "day", "DDDDDOO")
        emails = {
            digest_site.member(connection, f"{name}@example.org", **values).email
            for name, values in {
                "weekly": {},
                "daily": {"delivery": "daily"},
                "night": {"crew": night},
                "day": {"crew": day, "delivery": "daily"},
                "sunday": {"digest": "Sun 18:00"},
                "sleeper": {"crew": night, "digest": "Wed 09:00"},
                "chicago": {"zone": "America/Chicago", "digest": "Fri 23:59"},
            }.items()
        }
    threads: list[seed.Seeded] = []
    now, end = START, START + timedelta(days=28)
    while now < end:
        now += timedelta(minutes=chance.choice([5, 60, 200, 3000]))  # the last is downtime
        with database.write() as connection:
            for _ in range(chance.choice([0, 1, 3, 40])):
                parent = chance.choice([*threads[-30:], None])
                author = chance.choice(["ana", "raj", "night", "weekly"])
                made = digest_site.post(connection, pump.id, parent=parent, author=author, date=now)
                threads.append(made)
        run(database, now)
    for days in range(1, 16):
        run(database, end + timedelta(days=days))
    for email in emails:
        mine = [(numbers, more) for recipient, numbers, more in told(database) if recipient == email]
        printed = [number for numbers, _ in mine for number in numbers]
        assert len(printed) == len(set(printed))
        assert len(printed) + sum(more for _, more in mine) == len(threads)
        begin = 0
        for numbers, more in mine:  # what is only counted lies in the same window as what is printed
            assert all(begin < number <= begin + len(numbers) + more for number in numbers)
            begin += len(numbers) + more


def test_a_week_of_500_threads_is_told_titled_or_counted_in_an_html_part_of_80_kb(sqlite_database: Database) -> None:
    database = sqlite_database
    text = "漏れは始動時に起こります。原因はまだわかりません。" * 40  # every character nine bytes when it is encoded
    with database.write() as connection:
        for name in ("pump", "valve", "pipe"):
            team = digest_site.community(connection, name, name.title())
            digest_site.member(connection, "sam@example.org", name)
            roots = [digest_site.post(connection, team.id, text, date=START, subject=text[:12]) for _ in range(500)]
            for number in range(250):
                author, parent = f"a{number % 9}", roots[number % 25]
                digest_site.post(connection, team.id, text, date=START, author=author, parent=parent)
    run(database, MONDAY)
    [(_, numbers, more)] = told(database)
    assert len(numbers) + more == 3 * 750
    with database.read() as connection:
        raw = render.assemble(connection, 1, site=SITE, tokens=digest_site.TOKENS)
        blocks = connection.execute(select(tables.item.c.block)).scalars().all()
    assert 0 < blocks.count("conversation") < 21  # the last were shortened
    html = list(message_from_bytes(raw).walk())[2]
    assert html.get_content_type() == "text/html"
    assert 40_000 < len(html.get_payload()) <= 80_000


def test_no_edition_tells_more_than_nine_hundred_words_of_members(sqlite_database: Database) -> None:
    with sqlite_database.write() as connection:
        text = (
            "The seal of the second pump leaks whenever the water is colder than ten degrees. Our night shift "
            "changed all bearings in March, and since then nobody has heard that whistling noise again. Could the "
            "gauge be read from below if somebody mounted a lamp beside the ladder? Spare gaskets lie in the "
            "third drawer of the grey cupboard behind the workshop door. The supplier wrote that deliveries take "
            "six weeks because their foundry burned down. We should agree who writes the report before the "
            "inspector visits us on Thursday. Vibration was measured at three points, and only the motor's foot "
            "exceeded what the manual allows. After cleaning the filter twice, pressure stayed constant for a "
            "whole weekend without any alarm. "
        )
        for name in ("pump", "valve", "pipe"):
            team = digest_site.community(connection, name, name.title())
            digest_site.member(connection, "sam@example.org", name)
            for number in range(8):
                digest_site.post(connection, team.id, text, subject=f"Matter {number}")
    run(sqlite_database, MONDAY)
    with sqlite_database.read() as connection:
        edition = stored.load(connection, 1)
    words = [telling.words(entry.fragment) for section in edition.sections for entry in section.entries]
    assert 700 < sum(words) <= 900
    assert all("conversation" in {entry.block for entry in section.entries} for section in edition.sections)


# --- what a week has -------------------------------------------------------------------------------------------------


def test_a_question_that_was_sent_again_is_asked_once(sqlite_database: Database) -> None:
    with sqlite_database.write() as connection:
        pump = digest_site.community(connection)
        for subject, author in (("Noise", "ana"), ("noise", "ana"), ("Noise", "raj"), ("Smoke", "ana")):
            digest_site.post(connection, pump.id, "Who heard it?", subject=subject, author=author)
        week = gather.week(connection, pump, 0, 4, START + timedelta(days=4))
    assert [one.asked.number for one in week.unanswered] == [1, 3, 4]
    assert len(week.threads) == 4


def test_signatures_are_no_files_of_a_thread(sqlite_database: Database) -> None:
    files = ((1, "plan.pdf", "application/pdf", 900), (2, "signature.asc", "application/pgp-signature", 800))
    with sqlite_database.write() as connection:
        pump = digest_site.community(connection)
        digest_site.post(connection, pump.id, attachments=files)
        [thread] = gather.week(connection, pump, 0, 1, MONDAY).threads
    assert [file.name for _, file in thread.attached] == ["plan.pdf"]


# --- listing ---------------------------------------------------------------------------------------------------------


def test_the_listing_counts_sections_by_state_and_names_the_next_due_time(database: Database, pump: int) -> None:
    with database.write() as connection:
        digest_site.member(connection, "tue@example.org", digest="Tue 08:00")
        digest_site.post(connection, pump)
    run(database, MONDAY)
    with database.read() as connection:
        [period] = periods.listing(connection)
        assert periods.listing(connection, pump + 1) == []
    assert (period.community, period.rhythm, period.number, period.up_to) == ("pump", "weekly", 1, 2)
    assert (period.waiting, period.composed, period.quiet, period.dropped) == (1, 1, 0, 0)
    assert (period.cut_off_at, period.next_due) == (CUT_OFF, MONDAY + timedelta(days=1))


# --- what the reader wants -------------------------------------------------------------------------------------------


def choose(connection: Connection, membership_id: int, message_id: str, choice: str) -> None:
    row = {"membership_id": membership_id, "message_id": message_id, "choice": choice, "created_at": CUT_OFF}
    connection.execute(insert(tables.thread_choice).values(row))


def test_a_muted_thread_is_counted_and_not_told(database: Database) -> None:
    with database.write() as connection:
        pump = digest_site.community(connection)
        sam = digest_site.member(connection, "sam@example.org")
        first = digest_site.post(connection, pump.id, subject="Noise")
        digest_site.post(connection, pump.id, subject="Re: Noise", parent=first)
        other = digest_site.post(connection, pump.id, subject="Seal")
        choose(connection, sam.membership_id, first.message_id, "mute")
    run(database, MONDAY)
    [(_, numbers, _)] = told(database)
    assert numbers == [other.number]
    with database.read() as connection:
        edition = stored.load(connection, connection.execute(select(tables.edition.c.id)).scalar_one())
        text = render.page(edition, "txt", site=SITE, tokens=digest_site.TOKENS, token=lambda *_: "x")
        html = render.page(edition, "html", site=SITE, tokens=digest_site.TOKENS, token=lambda *_: "x")
    assert "2 more posts are in threads that you muted." in text
    assert "2 more posts are in threads that you muted." in html


def test_where_all_that_is_new_is_muted_nothing_is_sent(database: Database) -> None:
    with database.write() as connection:
        pump = digest_site.community(connection)
        sam = digest_site.member(connection, "sam@example.org")
        choose(connection, sam.membership_id, digest_site.post(connection, pump.id).message_id, "mute")
    assert run(database, MONDAY).quiet == 1


def test_a_followed_thread_comes_first(database: Database) -> None:
    with database.write() as connection:
        pump = digest_site.community(connection)
        sam = digest_site.member(connection, "sam@example.org")
        old = digest_site.post(connection, pump.id, subject="Old")
        new = digest_site.post(connection, pump.id, subject="New")
        choose(connection, sam.membership_id, old.message_id, "follow")
    run(database, MONDAY)
    assert [numbers for _, numbers, _ in told(database)] == [[old.number, new.number]]


@pytest.mark.parametrize("why", ["paused", "stopped"])
def test_who_gets_no_mail_now_is_told_later_of_all_since(database: Database, pump: int, why: str) -> None:
    membership, address = tables.membership, tables.address

    def mail_again(connection: Connection, moment: datetime | None) -> None:
        column = membership.c.paused_until if why == "paused" else address.c.stopped_at
        connection.execute(update(column.table).values({column: moment}))

    with database.write() as connection:
        mail_again(connection, MONDAY + timedelta(days=1))
    assert run(database, MONDAY).editions == 0
    assert sections(database) == [("sam@example.org", "dropped")]
    with database.write() as connection:
        mail_again(connection, None)
        later = digest_site.post(connection, pump, date=MONDAY + timedelta(hours=2))
    run(database, MONDAY + digest_site.WEEK)
    assert [sorted(numbers) for _, numbers, _ in told(database)] == [[1, later.number]]
