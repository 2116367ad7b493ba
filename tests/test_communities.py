"""Communities and their members: found by any address, joined once, told from when they joined."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import func, insert, select, update
from sqlalchemy.exc import OperationalError

from tidings.communities import directory, joining, rota
from tidings.communities.directory import Directory, Member, email_key
from tidings.communities.entries import parse_email, parse_wall_time, parse_weekday_time
from tidings.database import tables
from tidings.database.engine import Database
from tidings.errors import NotFoundError, UsageError

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
PUMP: dict[str, Any] = {"name": "pump", "title": "Pump people", "zone": "Europe/Berlin", "now": NOW}


@pytest.fixture
def site(database: Database) -> Database:
    """A site with the community pump, on each engine in turn."""
    with database.write() as connection:
        joining.add_community(connection, **PUMP)
    return database


@pytest.fixture
def sqlite_site(sqlite_database: Database) -> Database:
    """A site with the community pump, for what is decided before any row is asked for."""
    with sqlite_database.write() as connection:
        joining.add_community(connection, **PUMP)
    return sqlite_database


def add(site: Database, email: str = "ana@example.org", **values: Any) -> Member:
    with site.write() as connection:
        return joining.add_member(connection, **{"community": "pump", "email": email, "now": NOW} | values)


def change(site: Database, email: str = "ana@example.org", **changes: str) -> Member:
    with site.write() as connection:
        return joining.set_member(connection, community="pump", email=email, changes=changes, now=NOW)


def remove(site: Database, member: Member) -> bool:
    with site.write() as connection:
        return joining.remove_member(connection, membership_id=member.membership_id, now=NOW)


def posts_until(site: Database, number: int) -> None:
    with site.write() as connection:
        connection.execute(update(tables.community).values(last_number=number))


def emails(site: Database) -> list[str]:
    with site.read() as connection:
        pump = directory.community(connection, "pump")
        return [member.email for member in directory.members(connection, pump.id)]


# --- communities -----------------------------------------------------------------------------------------------------


def test_a_new_community_has_the_usual_rhythm(site: Database) -> None:
    with site.read() as connection:
        pump = directory.community(connection, " PUMP ")
        assert directory.community_by_id(connection, pump.id) == pump
        assert directory.communities(connection) == [pump]
    assert (pump.name, pump.title, pump.zone, pump.posting) == ("pump", "Pump people", "Europe/Berlin", "members")
    assert (pump.cut_off_weekday, pump.cut_off_time) == (6, "18:00")
    assert (pump.last_number, pump.last_period_at, pump.archived) == (0, None, False)


@pytest.mark.parametrize("name", ["p", "4x4", "pump.team_2", "a" * 24])
def test_a_community_name_may_be_any_start_of_an_address(sqlite_database: Database, name: str) -> None:
    with sqlite_database.write() as connection:
        assert joining.add_community(connection, **PUMP | {"name": name}).name == name


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"name": ""}, "lower-case letters"),
        ({"name": "Pump"}, "lower-case letters"),
        ({"name": "a" * 25}, "longer than 24"),
        ({"name": "pump-team"}, "part a name from what follows"),
        ({"name": "pump+team"}, "part a name from what follows"),
        ({"name": ".pump"}, "cannot be the start"),
        ({"name": "pump."}, "cannot be the start"),
        ({"name": "pump..team"}, "cannot be the start"),
        ({"name": "pümp"}, "cannot be the start"),
        ({"name": "pump\n"}, "cannot be the start"),
        ({"name": "postmaster"}, "RFC 5321 4.5.1"),
        ({"name": "noreply"}, "automatic sender"),
        ({"name": "owner"}, "own addresses end in"),
        ({"name": "bounces"}, "own addresses end in"),
        ({"title": " "}, "title is empty"),
        ({"title": "a\nBcc: b"}, "on one line"),
        ({"title": "x" * 201}, "longer than 200"),
        ({"zone": "CEST"}, "Europe/Berlin"),
        ({"posting": "member"}, "did you mean 'members'"),
        ({"description": "two\rlines"}, "on one line"),
    ],
)
def test_a_community_that_cannot_be_is_refused_with_what_to_write(
    sqlite_database: Database, changes: dict[str, str], says: str
) -> None:
    with sqlite_database.write() as connection:
        with pytest.raises(UsageError, match=says):
            joining.add_community(connection, **PUMP | changes)
        assert directory.communities(connection) == []


def test_a_community_name_is_taken_once(site: Database) -> None:
    with site.write() as connection, pytest.raises(UsageError, match="already"):
        joining.add_community(connection, **PUMP)


def test_a_community_that_is_not_there_is_named_with_those_that_are(database: Database) -> None:
    with database.write() as connection:
        with pytest.raises(NotFoundError, match="`tidings community add`"):
            directory.community(connection, "pump")
        for number in range(21):
            joining.add_community(connection, **PUMP | {"name": f"c{number:02}"})
        with pytest.raises(NotFoundError, match=r"'pump'; there is c00, .*c19, \.\.\.\.$"):
            directory.community(connection, "pump")
        with pytest.raises(NotFoundError, match="id 99"):
            directory.community_by_id(connection, 99)


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"title": "Pumps"}, {"title": "Pumps"}),
        ({"description": "All pumps"}, {"description": "All pumps"}),
        ({"description": ""}, {"description": ""}),
        ({"zone": "America/Chicago"}, {"zone": "America/Chicago", "last_period_at": NOW}),
        ({"posting": "open"}, {"posting": "open"}),
        ({"cut-off": "Sat 6:30"}, {"cut_off_weekday": 5, "cut_off_time": "06:30", "last_period_at": NOW}),
        ({"urgent": "0"}, {"urgent": 0}),
        ({"subject-prefix": " [Pümpe] "}, {"subject_prefix": "[Pümpe]"}),
        ({"subject-prefix": " "}, {"subject_prefix": ""}),
        ({"footer": "\r\n{title} \r\n\r\n  {post}\n"}, {"footer": "{title}\n\n  {post}"}),
        ({"footer": "\n"}, {"footer": ""}),
    ],
)
def test_a_setting_of_a_community_changes_that_and_nothing_else(
    sqlite_site: Database, change: dict[str, str], expected: dict[str, Any]
) -> None:
    with sqlite_site.write() as connection:
        before = vars(directory.community(connection, "pump"))
        after = vars(joining.set_community(connection, "pump", change, NOW))
    assert after == before | expected


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"cutoff": "Sun 18:00"}, "no setting 'cutoff'; did you mean 'cut-off'"),
        ({"name": "pumps"}, "no setting 'name'"),
        ({"title": "Pumps", "cut-off": "18:00"}, "write them like 'Sun 18:00'"),
        ({"zone": ""}, "no time zone"),
        ({"subject-prefix": "[Pump]\r\nBcc: x@example.org"}, "The subject prefix .* holds a line break"),
        ({"subject-prefix": "x" * 41}, "longer than 40"),
        ({"footer": "a\0b"}, "The footer .* holds a line break or a control"),
        ({"footer": "a\rb"}, "The footer .* holds a line break or a control"),
        ({"footer": "a\n" * 1001}, "longer than 2000"),
    ],
)
def test_settings_that_cannot_be_change_nothing(sqlite_site: Database, changes: dict[str, str], says: str) -> None:
    with sqlite_site.write() as connection:
        before = directory.community(connection, "pump")
        with pytest.raises(UsageError, match=says):
            joining.set_community(connection, "pump", changes, NOW)
        assert directory.community(connection, "pump") == before


def test_an_archived_community_stays_as_it_is(site: Database) -> None:
    add(site)
    with site.write() as connection:
        joining.archive_community(connection, "pump", NOW)
        assert joining.archive_community(connection, "pump", NOW + timedelta(days=1)).archived
        assert connection.execute(select(tables.community.c.archived_at)).scalar_one() == NOW
        assert [one.name for one in directory.communities_of(connection, "ana@example.org")] == ["pump"]
        with pytest.raises(UsageError, match="archived"):
            joining.set_community(connection, "pump", {"title": "Pumps"}, NOW)
        with pytest.raises(UsageError, match="archived"):
            joining.add_member(connection, community="pump", email="raj@example.org", now=NOW)
        with pytest.raises(UsageError, match="already"):
            joining.add_community(connection, **PUMP)


# --- members ---------------------------------------------------------------------------------------------------------


def test_a_new_member_is_found_by_address_in_any_case(site: Database) -> None:
    ana = add(site, "Ana.Lind@Example.ORG", name="Ana Lind", role="leader", delivery="weekly", zone="Asia/Tokyo")
    assert (ana.name, ana.email, ana.role, ana.delivery) == ("Ana Lind", "Ana.Lind@example.org", "leader", "weekly")
    assert (ana.zone, ana.crew_id, ana.digest_weekday, ana.digest_time) == ("Asia/Tokyo", None, None, None)
    with site.read() as connection:
        assert directory.member(connection, ana.membership_id) == ana
        assert directory.member_by_address(connection, ana.community_id, " ANA.LIND@example.org\n") == ana
        assert directory.member_by_address(connection, ana.community_id, "lind@example.org") is None


def test_a_person_is_found_by_every_address_and_mailed_at_one(site: Database) -> None:
    ana = add(site)
    with site.write() as connection:
        other = {"person_id": ana.person_id, "email": "ana@work.example.org", "email_key": "ana@work.example.org"}
        connection.execute(insert(tables.address).values(other))
    with site.read() as connection:
        found = directory.member_by_address(connection, ana.community_id, "ana@work.example.org")
        [pump] = directory.communities_of(connection, "ana@work.example.org")
    assert found == ana
    assert (ana.email, pump.name) == ("ana@example.org", "pump")
    assert add(site, "ana@work.example.org") == ana


@pytest.mark.parametrize(
    "email", ["mi\u212ae@example.org", "mike@example.org\0", "m\udcefke@example.org", "", "m" * 9999]
)
def test_a_look_alike_or_broken_address_is_nobody(site: Database, email: str) -> None:
    mike = add(site, "mike@example.org")
    assert email_key(email) != email_key(mike.email)
    with site.read() as connection:
        assert directory.member_by_address(connection, mike.community_id, email) is None
        assert directory.communities_of(connection, email) == []


def test_members_are_listed_by_address_without_those_who_left(site: Database) -> None:
    add(site, "raj@example.org")
    add(site, "Li@example.org")
    gone = add(site, "ana@example.org")
    assert remove(site, gone)
    assert emails(site) == ["Li@example.org", "raj@example.org"]
    with site.read() as connection:
        assert directory.member(connection, gone.membership_id) is None
        assert directory.communities_of(connection, "ana@example.org") == []


def test_leaving_twice_is_leaving_once(site: Database) -> None:
    ana = add(site)
    assert [remove(site, ana), remove(site, ana)] == [True, False]


def test_a_member_is_told_from_the_number_at_which_they_joined(site: Database) -> None:
    posts_until(site, 7)
    assert add(site, delivery="weekly").cursor == 7


@pytest.mark.needs("postgres")
def test_nobody_joins_while_a_post_takes_its_number(postgres_database: Database) -> None:
    with postgres_database.write() as connection:
        joining.add_community(connection, **PUMP)
    with postgres_database.write() as posting:
        posting.execute(update(tables.community).values(last_number=1))
        with pytest.raises(OperationalError, match="lock timeout"), postgres_database.write() as connection:
            connection.exec_driver_sql("SET LOCAL lock_timeout = '20ms'")
            joining.add_member(connection, community="pump", email="ana@example.org", now=NOW)


def test_joining_again_changes_nothing_for_a_member(site: Database) -> None:
    ana = add(site, role="owner", delivery="weekly")
    posts_until(site, 7)
    assert add(site, "ANA@example.org") == ana


def test_who_comes_back_is_the_same_person_told_from_now(site: Database) -> None:
    ana = add(site, name="Ana", role="moderator", delivery="weekly", zone="Asia/Tokyo")
    remove(site, ana)
    posts_until(site, 9)
    back = add(site, delivery="daily")
    assert (back.membership_id, back.person_id, back.name, back.zone) == (
        ana.membership_id,
        ana.person_id,
        "Ana",
        "Asia/Tokyo",
    )
    assert (back.role, back.delivery, back.cursor) == ("member", "daily", 9)


def test_one_person_joins_two_communities(site: Database) -> None:
    with site.write() as connection:
        joining.add_community(connection, **PUMP | {"name": "bearing"})
    first, second = add(site, name="Ana"), add(site, community="bearing", zone="Asia/Tokyo")
    assert (second.person_id, second.name, second.zone) == (first.person_id, "Ana", "Asia/Tokyo")
    with site.read() as connection:
        assert [one.name for one in directory.communities_of(connection, "ana@example.org")] == ["bearing", "pump"]


@pytest.mark.parametrize(
    ("before", "after", "cursor"),
    [
        ("each", "weekly", 7),
        ("each", "daily", 7),
        ("none", "weekly", 7),
        ("weekly", "daily", 0),
        ("daily", "weekly", 0),
        ("weekly", "weekly", 0),
        ("weekly", "each", 0),
        ("each", "none", 0),
    ],
)
def test_only_who_turns_to_digests_starts_at_the_current_number(
    sqlite_site: Database, before: str, after: str, cursor: int
) -> None:
    add(sqlite_site, delivery=before)
    posts_until(sqlite_site, 7)
    changed = change(sqlite_site, delivery=after)
    assert (changed.delivery, changed.cursor) == (after, cursor)


def test_settings_of_a_member_are_changed_and_taken_away(site: Database) -> None:
    with site.write() as connection:
        rota.add_rota(connection, name="plant", zone="Europe/Berlin", pattern="dupont")
        crew = rota.add_crew(connection, name="Blue", rota="plant", pattern="B", start_date=NOW.date())
    add(site)
    ana = change(site, "ANA@example.org", name="Ana", role="owner", crew="Blue", zone="Asia/Tokyo", digest="Mon 8:00")
    assert (ana.name, ana.role, ana.crew_id, ana.zone) == ("Ana", "owner", crew.id, "Asia/Tokyo")
    assert (ana.digest_weekday, ana.digest_time) == (0, "08:00")
    ana = change(site, crew="none", zone="", digest="shift")
    assert (ana.crew_id, ana.zone, ana.digest_weekday, ana.digest_time) == (None, None, None, None)
    assert (ana.name, ana.role) == ("Ana", "owner")


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"role": "boss"}, "no role 'boss'"),
        ({"role": "owner", "delivery": "week"}, "did you mean 'weekly'"),
        ({"role": "owner", "digest": "Mo 8"}, "or a day like 'Mon 08:00'"),
        ({"crew": "Blue"}, "no crew 'Blue'"),
        ({"zone": "Tokyo"}, "no time zone 'Tokyo'"),
        ({"name": ""}, "name is empty"),
        ({"cursor": "0"}, "no setting 'cursor'; .*name, role, delivery, crew, zone, language, digest"),
    ],
)
def test_a_member_setting_that_cannot_be_changes_nothing(
    sqlite_site: Database, changes: dict[str, str], says: str
) -> None:
    ana = add(sqlite_site, name="Ana")
    with pytest.raises((UsageError, NotFoundError), match=says):
        change(sqlite_site, **{"zone": "Asia/Tokyo"} | changes)
    with sqlite_site.read() as connection:
        assert directory.member(connection, ana.membership_id) == ana


def test_who_is_no_member_cannot_be_changed(site: Database) -> None:
    with pytest.raises(NotFoundError, match="not a member of 'pump'; `tidings member list pump`"):
        change(site, "raj@example.org", role="owner")


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"email": "ana"}, "no e-mail address"),
        ({"community": "pomp"}, "no community 'pomp'"),
        ({"role": "boss"}, "no role"),
        ({"delivery": "hourly"}, "no delivery"),
        ({"crew": "Blue"}, "no crew"),
        ({"zone": "Tokyo"}, "no time zone"),
        ({"name": "Ana\r\nBcc: x"}, "on one line"),
    ],
)
def test_a_member_who_cannot_be_leaves_nothing_behind(sqlite_site: Database, values: dict[str, str], says: str) -> None:
    with sqlite_site.write() as connection:
        with pytest.raises((UsageError, NotFoundError), match=says):
            joining.add_member(connection, **{"community": "pump", "email": "ana@example.org", "now": NOW} | values)
        for table in (tables.person, tables.address, tables.membership):
            assert connection.execute(select(func.count()).select_from(table)).scalar_one() == 0


# --- import ----------------------------------------------------------------------------------------------------------


def imported(site: Database, *rows: Mapping[Any, Any]) -> list[tuple[int, str, str]]:
    with site.write() as connection:
        verdicts = joining.import_members(connection, community="pump", rows=rows, now=NOW)
    return [(one.row, one.email, f"{one.verdict}: {one.reason}" if one.reason else one.verdict) for one in verdicts]


def test_each_row_gets_a_verdict_and_a_bad_one_stops_no_other(site: Database) -> None:
    add(site)
    verdicts = imported(
        site,
        {"email": " raj@example.org ", "name": "Raj", "role": "", "delivery": "weekly", "crew": "", "zone": None},
        {"email": "ANA@example.org", "name": "Another"},
        {"email": "li@example.org", "name": "Li", "crew": "Bleu"},
        {"email": "", "name": "Nobody"},
        {"email": "wu@example.org", "name": "Wu", None: ["Jr."]},
        {"email": "Raj@example.org"},
        {"email": "joy@example.org"},
    )
    assert [(row, email, verdict.partition(":")[0]) for row, email, verdict in verdicts] == [
        (1, "raj@example.org", "added"),
        (2, "ANA@example.org", "already a member"),
        (3, "li@example.org", "refused"),
        (4, "", "refused"),
        (5, "wu@example.org", "refused"),
        (6, "Raj@example.org", "already a member"),
        (7, "joy@example.org", "added"),
    ]
    assert "no crew 'Bleu'" in verdicts[2][2]
    assert "no e-mail address" in verdicts[3][2]
    assert "more cells" in verdicts[4][2]
    assert emails(site) == ["ana@example.org", "joy@example.org", "raj@example.org"]


def test_a_column_that_is_not_known_refuses_the_file_with_the_nearest_name(site: Database) -> None:
    with pytest.raises(UsageError, match="no column 'e-mail'; did you mean 'email'"):
        imported(site, {"email": "raj@example.org"}, {"e-mail": "li@example.org"})
    assert emails(site) == []


# --- what people type ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "expected"),
    [("Sun 18:00", (6, "18:00")), (" mon  7:05 ", (0, "07:05")), ("WEDNESDAY 00:00", (2, "00:00"))],
)
def test_a_weekday_and_time_are_read(text: str, expected: tuple[int, str]) -> None:
    assert parse_weekday_time(text) == expected


@pytest.mark.parametrize("text", ["", "Sun", "18:00", "Sun 24:00", "Sun 18:60", "Sun 18", "Son 18:00", "Sun ١٨:٠٠"])
def test_what_is_no_weekday_and_time_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="write"):
        parse_weekday_time(text)


def test_a_time_of_day_is_two_digits_each() -> None:
    assert [parse_wall_time(text) for text in ("7:00", "07:00", "23:59")] == ["07:00", "07:00", "23:59"]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Ana.Lind@Example.ORG", "Ana.Lind@example.org"),
        ("  o'neil+lists@sub.example.org\n", "o'neil+lists@sub.example.org"),
        ("root@localhost", "root@localhost"),
        ("a@xn--bcher-kva.example.org", "a@xn--bcher-kva.example.org"),
        ("a" * 64 + "@example.org", "a" * 64 + "@example.org"),
    ],
)
def test_an_address_is_taken_with_its_domain_in_lower_case(text: str, expected: str) -> None:
    assert parse_email(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "ana",
        "@example.org",
        "ana@",
        "a@b@example.org",
        "ana lind@example.org",
        "ana@example..org",
        ".ana@example.org",
        "ana@-example.org",
        "ana@example.org\r\nBcc: b@example.org",
        "Ana <ana@example.org>",
        "ana@exämple.org",
        "ana@example.org,raj@example.org",
        "a" * 65 + "@example.org",
        "a@" + "b" * 250 + ".org",
    ],
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match=r"write|too long"):
        parse_email(text)


# --- the directory ---------------------------------------------------------------------------------------------------


class Seconds:
    """A monotonic clock that stands still until it is moved."""

    now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_community_is_found_as_soon_as_it_is_made(database: Database) -> None:
    found = Directory(database, Seconds())
    assert found.find("pump") is None
    with database.write() as connection:
        joining.add_community(connection, **PUMP)
    pump = found.find("Pump")
    assert pump is not None
    assert pump.title == "Pump people"
    assert found.find("pump\udc80\0") is None


def test_a_change_is_seen_at_once_on_sqlite_and_after_a_second_on_postgresql(site: Database) -> None:
    seconds = Seconds()
    found = Directory(site, seconds)
    before = found.find("pump")
    with site.write() as connection:
        joining.archive_community(connection, "pump", NOW)
    assert before is not None
    assert not before.archived
    soon = found.find("pump")
    seconds.now += 1
    later = found.find("pump")
    assert soon is not None
    assert later is not None
    assert (soon.archived, later.archived) == (site.dialect == "sqlite", True)


def test_a_directory_asks_for_no_row_while_nothing_changes(site: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    found = Directory(site, Seconds())
    first = found.find("pump")
    monkeypatch.setattr(directory, "communities", lambda connection: pytest.fail("asked again"))
    assert found.find("PUMP") is first
