"""Series of meetings: what is typed is checked, sessions and formats are kept as they were said, and changes hold."""

from datetime import UTC, date, datetime

import pytest

from tests import digest_site
from tidings.communities import joining
from tidings.communities.directory import Community
from tidings.communities.entries import parse_day
from tidings.database.engine import Database
from tidings.digests.meetings import formats, series
from tidings.digests.meetings.formats import Block
from tidings.digests.meetings.series import NewSession, Series, parse_session
from tidings.errors import NotFoundError, UsageError

NOW = datetime(2026, 10, 10, 10, 0, tzinfo=UTC)
TUESDAY = date(2026, 10, 13)


def add(database: Database, community: Community, *sessions: str, **values: object) -> Series:
    asked = {"name": "hour", "first_day": TUESDAY, "now": NOW, **values}
    times = [parse_session(one) for one in sessions or ("14:00",)]
    with database.write() as connection:
        return series.add(connection, community, sessions=times, **asked)  # type: ignore[arg-type]


def change(database: Database, found: Series, **changes: str) -> Series:
    with database.write() as connection:
        return series.change(connection, found, changes)


@pytest.fixture
def pump(database: Database) -> Community:
    with database.write() as connection:
        for crew, pattern in (("C", "DDDDOOO"), ("D", "NNNNOOO"), ("E", "OOOODDD")):
            digest_site.crew(connection, crew, pattern)
        return digest_site.community(connection)


# --- what is kept ----------------------------------------------------------------------------------------------------


def test_a_series_has_the_title_and_the_zone_of_its_community_unless_it_says_otherwise(
    database: Database, pump: Community
) -> None:
    plain = add(database, pump)
    assert (plain.title, plain.zone, plain.rhythm, plain.format) == (
        "Pump team",
        "Europe/Berlin",
        "FREQ=WEEKLY",
        "hour",
    )
    assert (plain.notice, plain.place, plain.first_day, plain.ended_at) == (18, "", TUESDAY, None)
    assert [(one.day, one.starts, one.crew_ids) for one in plain.sessions] == [(0, "14:00", ())]
    own = add(
        database,
        pump,
        name="guild",
        title="Pump guild",
        zone="America/New_York",
        repeats="FREQ=MONTHLY;BYDAY=1TU",
        place="Room 2",
        notice=4,
        format_="open-space",
    )
    assert (own.title, own.zone, own.rhythm) == ("Pump guild", "America/New_York", "FREQ=MONTHLY;BYDAY=1TU")
    assert (own.notice, own.place, own.blocks) == (4, "Room 2", formats.OPEN_SPACE)
    with database.read() as connection:
        assert series.of_community(connection, pump.id) == [own, plain]
        assert series.by_id(connection, own.id) == own
        assert series.due(connection, NOW) == [plain, own]


def test_sessions_stand_in_time_each_with_its_day_place_and_crews(database: Database, pump: Community) -> None:
    found = add(database, pump, "+1 06:30=E", "22:00=D", "14:00=C")
    with database.read() as connection:
        crew_ids = {one: series.rota.crew_by_name(connection, one) for one in "CDE"}
    assert [(one.position, one.day, one.starts, one.crew_ids) for one in found.sessions] == [
        (0, 0, "14:00", (crew_ids["C"],)),
        (1, 0, "22:00", (crew_ids["D"],)),
        (2, 1, "06:30", (crew_ids["E"],)),
    ]


@pytest.mark.parametrize(
    ("text", "session"),
    [
        ("14:00", NewSession(starts="14:00")),
        (" 7:05 ", NewSession(starts="07:05")),
        ("+1 22:00=C,D", NewSession(starts="22:00", day=1, crews=("C", "D"))),
        ("22:00= night shift , D,", NewSession(starts="22:00", crews=("night shift", "D"))),
        ("+6 00:00=", NewSession(starts="00:00", day=6)),
    ],
)
def test_a_session_is_a_time_with_its_day_and_crews(text: str, session: NewSession) -> None:
    assert parse_session(text) == session


@pytest.mark.parametrize("text", ["", "noon", "24:00", "+7 14:00", "-1 14:00", "1 14:00", "+x 14:00", "+1", "=C"])
def test_what_is_no_session_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        parse_session(text)


@pytest.mark.parametrize(
    ("text", "day"),
    [("Tue", "2026-10-13"), ("sunday", "2026-10-11"), ("SAT", "2026-10-10"), ("2026-12-01", "2026-12-01")],
)
def test_the_first_day_is_a_date_or_the_next_weekday_of_that_name(text: str, day: str) -> None:
    assert parse_day(text, NOW.date()).isoformat() == day


# --- what is refused -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("values", "why"),
    [
        ({"name": "  "}, "name of a series is empty"),
        ({"name": "x" * 65}, "longer than 64"),
        ({"name": "two\nlines"}, "line break"),
        ({"title": "x" * 121}, "longer than 120"),
        ({"place": "Room\r\nATTENDEE:mailto:eve@example.org"}, "line break"),
        ({"zone": "Berlin"}, "no time zone"),
        ({"repeats": "FREQ=SECONDLY"}, "no rhythm"),
        ({"format_": "closed-space"}, "no format"),
        ({"notice": 0}, "no notice"),
        ({"notice": 24 * 7 + 1}, "no notice"),
        ({"first_day": date(2126, 1, 1)}, "within ten years"),
        ({"first_day": date(1926, 1, 1)}, "within ten years"),
        ({"first_day": date.max}, "within ten years"),
    ],
)
def test_what_cannot_be_is_refused_and_leaves_nothing(
    sqlite_database: Database, values: dict[str, object], why: str
) -> None:
    with sqlite_database.write() as connection:
        pump = digest_site.community(connection)
    with pytest.raises(UsageError, match=why):
        add(sqlite_database, pump, **values)
    with sqlite_database.read() as connection:
        assert series.of_community(connection, pump.id, ended=True) == []


@pytest.mark.parametrize(
    ("sessions", "why"),
    [
        (["14:00", "14:00"], "same time"),
        (["14:00=C,C"], "named for two"),
        (["14:00=C", "22:00=C"], "named for two"),
        ([f"{hour:02}:00" for hour in range(7)], "6 at most"),
    ],
)
def test_sessions_that_cannot_be_are_refused(
    database: Database, pump: Community, sessions: list[str], why: str
) -> None:
    with pytest.raises(UsageError, match=why):
        add(database, pump, *sessions)
    with database.read() as connection:
        assert series.of_community(connection, pump.id) == []


def test_a_crew_that_is_not_there_and_a_name_that_is_are_refused(database: Database, pump: Community) -> None:
    with pytest.raises(NotFoundError, match="crew"):
        add(database, pump, "14:00=X")
    found = add(database, pump)
    with database.write() as connection:
        series.end(connection, found.id, NOW)
    with pytest.raises(UsageError, match="already"):
        add(database, pump)


# --- which one is meant ----------------------------------------------------------------------------------------------


def test_the_only_series_needs_no_name_and_of_several_one_is_named(database: Database, pump: Community) -> None:
    with database.read() as connection, pytest.raises(NotFoundError, match="tidings meeting add pump"):
        series.named(connection, pump)
    hour = add(database, pump)
    with database.read() as connection:
        assert series.named(connection, pump) == hour
        assert series.named(connection, pump, "hour") == hour
        with pytest.raises(NotFoundError, match="did you mean 'hour'"):
            series.named(connection, pump, "hours")
    guild = add(database, pump, name="guild")
    with database.read() as connection:
        assert series.named(connection, pump, "guild") == guild
        with pytest.raises(NotFoundError, match="name one of guild, hour"):
            series.named(connection, pump)


def test_a_series_that_ended_is_only_seen_by_who_asks_for_it(database: Database, pump: Community) -> None:
    hour, guild = add(database, pump), add(database, pump, name="guild")
    with database.write() as connection:
        series.end(connection, hour.id, NOW)
    with database.read() as connection:
        assert series.of_community(connection, pump.id) == [guild]
        assert [one.ended_at for one in series.of_community(connection, pump.id, ended=True)] == [None, NOW]
        assert series.due(connection, NOW) == [guild]
        assert series.named(connection, pump) == guild


def test_the_series_of_an_archived_community_do_not_go_on(database: Database, pump: Community) -> None:
    add(database, pump)
    with database.write() as connection:
        joining.archive_community(connection, "pump", NOW)
    with database.read() as connection:
        assert series.due(connection, NOW) == []


# --- changes and formats ---------------------------------------------------------------------------------------------


def test_a_series_changes_what_was_said_of_it_and_nothing_else(database: Database, pump: Community) -> None:
    found = add(database, pump, "14:00=C", place="Room 2")
    changed = change(database, found, title="Pump guild", place="", notice="4", format="open-space", repeats="monthly")
    assert (changed.title, changed.place, changed.notice) == ("Pump guild", "", 4)
    assert (changed.format, changed.rhythm) == ("open-space", "FREQ=MONTHLY")
    assert (changed.sessions, changed.first_day, changed.name) == (found.sessions, found.first_day, "hour")
    assert change(database, changed, repeats="once").rhythm == ""
    for wrong in ({"titel": "x"}, {"notice": "x"}, {"format": "x"}, {"repeats": "x"}, {"title": ""}):
        with pytest.raises(UsageError):
            change(database, changed, **wrong)


def test_a_format_of_its_own_is_kept_and_its_topics_stand_in_the_longest_block(
    database: Database, pump: Community
) -> None:
    found = add(database, pump, format_="10 Round; 40 min Cases; 10 Next")
    assert found.format == "own"
    assert found.blocks == (
        Block(minutes=10, title="Round"),
        Block(minutes=40, title="Cases", holds="topics"),
        Block(minutes=10, title="Next"),
    )
    assert change(database, found, format="hour").blocks == formats.HOUR


def test_of_two_blocks_that_are_as_long_the_first_holds_the_topics() -> None:
    kind, own = formats.parse("20 Übergabe; 20 Cases;")
    assert [(one.title, one.holds) for one in formats.blocks(kind, own)] == [("Übergabe", "topics"), ("Cases", "")]


@pytest.mark.parametrize("text", ["", "0 Nothing", "10", "10 Round; Cases", "1441 Long", "1 x;" * 21, "10 a\nb"])
def test_what_is_no_format_is_refused(text: str) -> None:
    with pytest.raises(UsageError):
        formats.parse(text)


def test_an_hour_is_an_hour() -> None:
    assert formats.minutes(formats.HOUR) == formats.minutes(formats.OPEN_SPACE) == 60
    assert [one.minutes for one in formats.HOUR] == [15, 30, 15]
