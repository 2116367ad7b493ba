"""Feeds of shifts: imported, asked for again once a day, their errors kept and shown, the last good shifts in force."""

import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import Connection

from tests import digest_site
from tests.digest_site import CUT_OFF, SITE
from tests.feeds import Feed, calendar, event, serving
from tidings.communities import calendars, changes, rosters, rota
from tidings.communities.calendars import Brought, Target
from tidings.communities.feed import Question
from tidings.database.engine import Database
from tidings.digests import periods, plans
from tidings.errors import UsageError

NOW = datetime(2026, 3, 27, 12, tzinfo=UTC)
DAY = timedelta(days=1)
BERLIN = ";TZID=Europe/Berlin:"
NIGHT = event(BERLIN + "20260328T190000", BERLIN + "20260329T070000")
LATER = event(BERLIN + "20260330T190000", BERLIN + "20260331T070000", uid="2")


@pytest.fixture
def served() -> Iterator[Feed]:
    with serving() as one:
        one.body = calendar(NIGHT)
        yield one


class Told:
    """Who wants to know of changed shifts."""

    def __init__(self) -> None:
        self.times = 0

    def __call__(self, connection: Connection) -> None:
        self.times += 1


def bring_in(database: Database, source: str, now: datetime = NOW, **values: str) -> Brought:
    to = Target(**{"rota": "plant", "crew": "B"} | values)
    return calendars.bring_in(
        database, source=source, to=to, default_zone="Europe/Berlin", now=now, changed=lambda _connection: None
    )


def shifts(database: Database, crew: str = "B") -> list[str]:
    with database.read() as connection:
        found = rosters.named(connection, crew=crew).shifts(date(2026, 3, 20), 30)
    return [
        f"{one.start:%d %H:%M}-{one.end:%d %H:%M} {one.letter} {one.length / timedelta(hours=1):g}" for one in found
    ]


def kept(database: Database) -> calendars.Calendar:
    with database.read() as connection:
        [found] = calendars.listing(connection)
    return found


# --- imported --------------------------------------------------------------------------------------------------------


def test_a_crew_works_what_its_feed_says(database: Database, served: Feed) -> None:
    found = bring_in(database, served.address)
    assert (found.shifts, found.calendar) == (1, kept(database))
    assert (found.calendar.rota, found.calendar.pattern, found.calendar.source) == ("plant", "B", served.address)
    assert (found.calendar.checked_at, found.calendar.read_at, found.calendar.error) == (NOW, NOW, None)
    assert shifts(database) == ["28 19:00-29 07:00 Night 11"]


def test_the_roster_of_a_calendar_answers_what_that_of_a_cycle_does(database: Database, served: Feed) -> None:
    served.body = calendar(NIGHT, LATER)
    bring_in(database, served.address)
    with database.read() as connection:
        roster = rosters.named(connection, crew="B")
    first, second = roster.shifts(date(2026, 3, 1), 60)
    assert roster.at(first.start) == roster.at(first.end - timedelta(minutes=1)) == first
    assert roster.at(first.end) is None
    assert roster.next_start(NOW) == first
    assert roster.next_start(first.start) == second
    assert roster.next_start(second.start) is None


def test_a_week_on_call_is_on_duty_to_its_end(database: Database, served: Feed) -> None:
    served.body = calendar(event(BERLIN + "20260330T080000", BERLIN + "20260406T080000", title="On call"))
    bring_in(database, served.address)
    with database.read() as connection:
        roster = rosters.named(connection, crew="B")
    assert roster.at(datetime(2026, 4, 6, 5, 59, tzinfo=UTC)) is not None
    assert roster.at(datetime(2026, 4, 6, 6, tzinfo=UTC)) is None


def test_changes_are_laid_over_a_calendar_too(database: Database, served: Feed) -> None:
    served.body = calendar(NIGHT, LATER)
    bring_in(database, served.address, shifts="D=07:00-19:00")
    swaps = (("2026-03-28", "O", ""), ("2026-03-30", "D", ""))
    with database.write() as connection:
        for day, letter, only in swaps:
            on = date.fromisoformat(day)
            changes.add(connection, scope="crew", name="B", first_day=on, last_day=on, days=letter, only=only)
    assert shifts(database) == ["30 07:00-30 19:00 D 12"]


def test_several_crews_of_one_rota_have_a_feed_each(database: Database, served: Feed) -> None:
    bring_in(database, served.address)
    served.body = calendar(LATER)
    bring_in(database, served.address, crew="C")
    assert (shifts(database), shifts(database, "C")) == (["28 19:00-29 07:00 Night 11"], ["30 19:00-31 07:00 Night 12"])
    with database.read() as connection:
        [found] = rota.rotas(connection)
    assert found.patterns == {"B": "", "C": ""}


def test_a_crew_beside_those_of_a_cycle_may_have_a_feed(database: Database, served: Feed) -> None:
    with database.write() as connection:
        rota.add_rota(connection, name="plant", zone="Asia/Kolkata", pattern="dupont")
    served.body = calendar(event(":20260328T190000", ":20260329T070000"))
    with pytest.raises(UsageError, match="has a pattern 'B'"):
        bring_in(database, served.address)
    bring_in(database, served.address, crew="E")
    assert shifts(database, "E") == ["28 19:00-29 07:00 Night 12"]


def test_a_file_is_read_once_and_can_be_imported_again(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "b.ics"
    file.write_bytes(calendar(NIGHT))
    bring_in(database, str(file))
    file.write_bytes(calendar(LATER))
    calendars.refresh_due(database, NOW + 2 * DAY, Told())
    assert shifts(database) == ["28 19:00-29 07:00 Night 11"]
    bring_in(database, str(file))
    assert shifts(database) == ["30 19:00-31 07:00 Night 12"]


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"status": 404}, "The server answered 404 Not Found"),
        ({"status": 503, "reason": "\x1b[31m" + "x" * 9_000}, "The server answered 503 .31mx{200,299}$"),
        ({"status": 302, "location": "file:///etc/hosts"}, "answered 302 .* not allowed"),
        ({"status": 302, "location": "ftp://127.0.0.1/x.ics"}, "neither http nor https"),
        ({"body": b"<html>"}, "no iCalendar file"),
        ({"body": calendar(NIGHT) + b" " * 1_000_000}, "longer than 1 MB"),
    ],
)
def test_a_feed_that_cannot_be_read_is_refused_and_leaves_nothing(
    sqlite_database: Database, served: Feed, values: dict[str, object], says: str
) -> None:
    for name, value in values.items():
        setattr(served, name, value)
    with pytest.raises(UsageError, match=says):
        bring_in(sqlite_database, served.address)
    with sqlite_database.read() as connection:
        assert rota.rotas(connection) == []


@pytest.mark.parametrize(
    ("source", "values", "says"),
    [
        ("http://127.0.0.1:1/x.ics", {}, "cannot be reached"),
        ("/nowhere/x.ics", {}, "No such file"),
        ("ftp://127.0.0.1/x.ics", {}, "No such file"),
        ("http://127.0.0.1/" + "x" * 2000, {}, "longer than 2000"),
        ("{feed}", {"zone": "Berlin"}, "no time zone"),
        ("{feed}", {"shifts": "D"}, "is no shift"),
        ("{feed}", {"crew": " "}, "name is empty"),
    ],
)
def test_what_cannot_be_imported_is_refused_with_the_reason(
    sqlite_database: Database, served: Feed, source: str, values: dict[str, str], says: str
) -> None:
    with pytest.raises(UsageError, match=says):
        bring_in(sqlite_database, source.replace("{feed}", served.address), **values)
    with sqlite_database.read() as connection:
        assert rota.rotas(connection) == []


def test_a_rota_that_is_there_keeps_its_zone(sqlite_database: Database, served: Feed) -> None:
    bring_in(sqlite_database, served.address)
    for values in ({"zone": "Asia/Kolkata"}, {"shifts": "D=07:00-19:00"}):
        with pytest.raises(UsageError, match="leave these out"):
            bring_in(sqlite_database, served.address, **values)
    bring_in(sqlite_database, served.address, zone="Europe/Berlin")


# --- refreshed -------------------------------------------------------------------------------------------------------


def test_a_feed_is_asked_for_again_once_a_day_and_changes_are_told(database: Database, served: Feed) -> None:
    bring_in(database, served.address)
    told = Told()
    calendars.refresh_due(database, NOW + DAY - timedelta(seconds=1), told)
    assert served.asked == 1
    calendars.refresh_due(database, NOW + DAY, told)
    calendars.refresh_due(database, NOW + DAY, told)
    assert (served.asked, told.times) == (2, 0), "nothing changed"
    assert kept(database).read_at == NOW + DAY
    served.body = calendar(LATER)
    calendars.refresh_due(database, NOW + 2 * DAY, told)
    assert (served.asked, told.times) == (3, 1)
    assert shifts(database) == ["30 19:00-31 07:00 Night 12"]


@pytest.mark.parametrize("body", [b"<html>", b""])
def test_a_feed_that_fails_keeps_its_shifts_and_its_error_until_it_is_well(
    database: Database, served: Feed, body: bytes
) -> None:
    bring_in(database, served.address)
    served.body = body
    told = Told()
    calendars.refresh_due(database, NOW + DAY, told)
    found = kept(database)
    assert "no iCalendar file" in str(found.error)
    assert (found.checked_at, found.read_at, told.times) == (NOW + DAY, NOW, 0)
    assert shifts(database) == ["28 19:00-29 07:00 Night 11"]
    calendars.refresh_due(database, NOW + DAY + timedelta(hours=23), told)
    assert served.asked == 2, "a feed that fails is left alone for a day too"
    served.body = calendar(NIGHT, LATER)
    calendars.refresh_due(database, NOW + 2 * DAY, told)
    assert (kept(database).error, told.times, len(shifts(database))) == (None, 1, 2)


def test_a_server_that_says_nothing_is_given_up(
    sqlite_database: Database, served: Feed, monkeypatch: pytest.MonkeyPatch
) -> None:
    bring_in(sqlite_database, served.address)
    served.drips = True
    monkeypatch.setattr("tidings.communities.feed._SECONDS", 2)
    calendars.refresh_due(sqlite_database, NOW + DAY, Told())
    assert kept(sqlite_database).error == "It was not there and read within 2 seconds."


def test_a_process_that_reads_a_feed_ends_by_itself_where_nobody_is_left_to_end_it() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}/"
        asked = msgspec.json.encode(Question(url=url, zone="UTC", shifts={}, first_day=NOW.date()))
        program = "from tidings.communities import feed; feed._LIFE = 1; feed.main()"
        ended = subprocess.run([sys.executable, "-c", program], input=asked, capture_output=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (-signal.SIGALRM, b"", b"")


def test_a_feed_that_another_process_took_is_not_asked_for_twice(database: Database, served: Feed) -> None:
    bring_in(database, served.address)
    found = kept(database)
    for _ in range(2):
        calendars.refresh(database, found.id, NOW + DAY, Told())
    assert served.asked == 2


def test_a_refreshed_feed_moves_the_editions_that_wait(database: Database, served: Feed) -> None:
    served.body = calendar(event(BERLIN + "20261012T190000", BERLIN + "20261013T070000"))
    with database.write() as connection:
        made = digest_site.community(connection)
        digest_site.post(connection, made.id)
    bring_in(database, served.address, now=CUT_OFF - DAY)
    with database.write() as connection:
        digest_site.member(connection, "sam@example.org", crew="B")
        for late in periods.behind(connection, CUT_OFF):
            periods.make_periods(connection, late, CUT_OFF, site=SITE)
    served.body = calendar(event(BERLIN + "20261014T190000", BERLIN + "20261015T070000"))
    calendars.refresh_due(database, CUT_OFF, lambda connection: plans.replan(connection, CUT_OFF, site=SITE))
    with database.read() as connection:
        [period] = periods.listing(connection)
    assert period.next_due == datetime(2026, 10, 14, 17, tzinfo=UTC)
