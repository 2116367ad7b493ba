"""Calendars of meetings: what a calendar program reads of them, when it has to read them again, and who may."""

from collections.abc import Callable
from datetime import UTC, timedelta
from email.utils import parsedate_to_datetime

import httpx
import pytest
from icalendar import Calendar, Component
from sqlalchemy import select, update

from tests import digest_site, meeting_site
from tests.calendars import READERS, Seen
from tests.meeting_site import FIRST, NOW
from tests.test_meeting_pages import ADMIN, ANA, DAY, KIM, LI, LIST, PAGE, RAJ, SAM, House, made
from tidings.communities import joining
from tidings.database import tables
from tidings.database.engine import Database
from tidings.digests.meetings import diary, series
from tidings.tokens import hashed
from tidings.web import calendar_feeds

ALL = "/c/pump/meetings.ics"
WEEK = timedelta(weeks=1)


@pytest.fixture
def house(sqlite_database: Database) -> House:
    return House(sqlite_database)


def own(house: House, reader: str) -> str:
    return made(house.site.client(reader))


def asked(house: House, path: str, reader: str | None = None, **headers: str) -> httpx.Response:
    return house.site.client(reader).get(path, headers={name.replace("_", "-"): text for name, text in headers.items()})


def events(answer: httpx.Response) -> list[Component]:
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/calendar")
    return Calendar.from_ical(answer.content).walk("VEVENT")


def starts(found: list[Component]) -> list[str]:
    """When each event begins, in UTC."""
    return [f"{one['DTSTART'].dt.astimezone(UTC):%d %b %H:%M}" for one in found]


# --- what is in them -------------------------------------------------------------------------------------------------


def test_a_community_has_every_session_of_every_meeting(house: House) -> None:
    found = events(asked(house, ALL, KIM))
    assert len(found) == 2 * 5
    assert starts(found)[:3] == ["13 Oct 12:00", "13 Oct 20:00", "20 Oct 12:00"]
    first = found[0]
    assert first["SUMMARY"] == "Pump hour, session 1 of 2"
    assert "- Seal failures, what we learned (led by Raj Patel)" in first["DESCRIPTION"]
    assert "pump+agenda@lists.example.org" in first["DESCRIPTION"]
    assert first["URL"] == f"http://tidings.example.org{PAGE}"
    assert first["DTSTART"].params["TZID"] == "Europe/Berlin"
    assert len({one["UID"] for one in found}) == len(found)
    assert Calendar.from_ical(asked(house, ALL, KIM).content)["METHOD"] == "PUBLISH"


@pytest.mark.parametrize("read", READERS.values(), ids=READERS)
def test_two_readers_see_the_same_hours_also_after_the_clocks_changed(
    house: House, read: Callable[[bytes], list[Seen]]
) -> None:
    seen = read(asked(house, ALL, KIM).content)
    assert [f"{one.start.astimezone(UTC):%d %b %H:%M}" for one in seen[2:6]] == [
        "20 Oct 12:00",
        "20 Oct 20:00",
        "27 Oct 13:00",
        "27 Oct 21:00",
    ]


def test_a_member_has_the_session_that_they_are_asked_to(house: House) -> None:
    day, night, none = (starts(events(asked(house, own(house, reader)))) for reader in (RAJ, SAM, LI))
    assert day[:2] == ["13 Oct 12:00", "20 Oct 12:00"]
    assert night[:2] == ["13 Oct 20:00", "20 Oct 20:00"]
    assert none == day
    assert len(day) == len(night) == 5


def test_a_member_who_chose_another_session_has_that_one(house: House) -> None:
    with house.site.database.write() as connection:
        meeting = house.team.meeting(connection)
        second = meeting.sittings[1].id
        meeting_site.says(connection, meeting, house.team.raj, "yes", sitting_id=second, sequence=1)
    assert starts(events(asked(house, own(house, RAJ))))[:2] == ["13 Oct 20:00", "20 Oct 12:00"]


def test_what_a_member_said_is_in_the_title_and_the_status(house: House) -> None:
    told = {
        reader: (one["SUMMARY"], one["STATUS"])
        for reader in (RAJ, ANA, KIM, LI)
        for one in events(asked(house, own(house, reader)))[:1]
    }
    assert told == {
        RAJ: ("Pump hour, session 1 of 2", "CONFIRMED"),
        ANA: ("Pump hour, session 2 of 2 (maybe)", "TENTATIVE"),
        KIM: ("Pump hour, session 1 of 2 (you are not coming)", "CONFIRMED"),
        LI: ("Pump hour, session 1 of 2 (do you come?)", "TENTATIVE"),
    }
    house.site.clock.set(FIRST + DAY)
    assert events(asked(house, own(house, LI)))[0]["SUMMARY"] == "Pump hour, session 1 of 2", "it is over"


def test_a_calendar_names_nobody_but_who_has_a_role_and_proposed_what(house: House) -> None:
    for reader in (RAJ, KIM):
        for one in events(asked(house, own(house, reader))):
            assert "ATTENDEE" not in one
            assert "Visitor" not in one["DESCRIPTION"]


def test_it_is_in_the_members_language_and_that_of_a_community_in_its_own(house: House) -> None:
    with house.site.database.write() as connection:
        joining.set_member(connection, community="pump", email=LI, changes={"language": "de"}, now=NOW)
        joining.set_community(connection, "pump", {"language": "french"}, NOW)
    german, french = (events(asked(house, path, RAJ))[0] for path in (own(house, LI), ALL))
    assert german["SUMMARY"] == "Pump hour, Runde 1 von 2 (kommst du?)"
    assert "Zum Antworten" in german["DESCRIPTION"]
    assert french["SUMMARY"] == "Pump hour, séance 1 sur 2"


def test_a_moved_meeting_is_the_same_event_and_a_cancelled_one_stays_as_cancelled(house: House) -> None:
    link = own(house, RAJ)
    was = events(asked(house, link))
    with house.site.database.write() as connection:
        meeting = house.team.meeting(connection)
        diary.move(connection, meeting, meeting.sittings[0], FIRST + 2 * DAY, NOW + DAY)
        diary.cancel(connection, house.team.meeting(connection, 1), NOW + DAY)
    now = {str(one["UID"]): one for one in events(asked(house, link))}
    assert now.keys() == {str(one["UID"]) for one in was}
    moved, cancelled = now[str(was[0]["UID"])], now[str(was[1]["UID"])]
    assert starts([moved]) == ["15 Oct 12:00"]
    assert (moved["SEQUENCE"], cancelled["SEQUENCE"]) == (1, 1)
    assert cancelled["STATUS"] == "CANCELLED"
    assert cancelled["SUMMARY"] == "Pump hour, session 1 of 2"


def test_what_is_long_over_is_left_out_and_an_ended_series_stays(house: House) -> None:
    with house.site.database.write() as connection:
        series.end(connection, house.team.series.id, NOW)
    house.site.clock.set(FIRST + calendar_feeds.KEPT)
    assert len(events(asked(house, ALL, KIM))) == 2 * 5
    house.site.clock.set(FIRST + calendar_feeds.KEPT + DAY)
    assert len(events(asked(house, ALL, KIM))) == 2 * 4
    house.site.clock.set(FIRST + 2 * calendar_feeds.KEPT)
    empty = asked(house, ALL, KIM)
    assert events(empty) == []
    assert "last-modified" not in empty.headers


def test_a_member_has_the_meetings_of_the_community_that_the_link_is_of(house: House) -> None:
    with house.site.database.write() as connection:
        valve = digest_site.community(connection, "valve", "Valves")
        digest_site.member(connection, RAJ, "valve")
        meeting_site.hour(connection, valve, ("09:00",), title="Valve hour")
    assert {str(one["SUMMARY"])[:10] for one in events(asked(house, own(house, RAJ)))} == {"Pump hour,"}
    assert {str(one["SUMMARY"]) for one in events(asked(house, "/c/valve/meetings.ics", RAJ))} == {"Valve hour"}


# --- reading them again ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("whose", ["all", "own"])
def test_what_has_not_changed_is_not_sent_again(house: House, whose: str) -> None:
    path = ALL if whose == "all" else own(house, RAJ)
    first = asked(house, path, RAJ)
    tag = first.headers["etag"]
    for sent in (tag, f"W/{tag}", f'"other", {tag}', "*"):
        again = asked(house, path, RAJ, If_None_Match=sent)
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
    assert asked(house, path, RAJ, If_None_Match='"other"').status_code == 200
    assert house.site.client(RAJ).head(path).headers["etag"] == tag


def test_a_new_topic_and_an_answer_are_new_and_the_date_alone_says_nothing_of_them(house: House) -> None:
    link = own(house, LI)
    first = asked(house, link)
    modified = first.headers["last-modified"]
    assert parsedate_to_datetime(modified) == NOW
    with house.site.database.write() as connection:
        meeting = house.team.meeting(connection)
        meeting_site.topic(connection, house.team.pump, meeting, "A new one", by=house.team.li)
    second = asked(house, link, If_None_Match=first.headers["etag"], If_Modified_Since=modified)
    assert "A new one" in events(second)[0]["DESCRIPTION"]
    assert "A new one" in events(asked(house, link, If_Modified_Since=modified))[0]["DESCRIPTION"]
    with house.site.database.write() as connection:
        meeting_site.says(connection, house.team.meeting(connection), house.team.li, "yes")
    assert events(asked(house, link, If_None_Match=second.headers["etag"]))[0]["STATUS"] == "CONFIRMED"


def test_a_date_of_the_newest_change_is_told(house: House) -> None:
    with house.site.database.write() as connection:
        meeting = house.team.meeting(connection, 3)
        diary.move(connection, meeting, meeting.sittings[0], FIRST + 4 * WEEK, NOW + timedelta(hours=3))
    answer = asked(house, ALL, RAJ)
    assert parsedate_to_datetime(answer.headers["last-modified"]) == NOW + timedelta(hours=3)


def test_the_same_calendar_has_the_same_bytes(house: House) -> None:
    link = own(house, RAJ)
    assert asked(house, link).content == asked(house, link).content
    assert asked(house, ALL, RAJ).content == asked(house, ALL, KIM).content


# --- who may ---------------------------------------------------------------------------------------------------------


def test_that_of_a_community_is_for_its_members_and_for_admins(house: House) -> None:
    assert [asked(house, ALL, reader).status_code for reader in (None, "tom@example.org", RAJ, ADMIN)] == [
        404,
        404,
        200,
        200,
    ]


@pytest.mark.parametrize("bad", ["", "x", "a" * 26, "é" * 26, "%00", "A" * 10_000, "..%2f", "'or'1'='1"])
def test_a_token_that_is_not_ours_is_not_there(house: House, bad: str) -> None:
    own(house, RAJ)
    assert asked(house, f"/f/{bad}/meetings.ics").status_code == 404


def test_who_has_left_has_no_calendar_any_more_and_who_is_paused_has(house: House) -> None:
    link = own(house, RAJ)
    with house.site.database.write() as connection:
        connection.execute(update(tables.membership).values(paused_until=NOW + 50 * DAY))
    assert asked(house, link).status_code == 200
    with house.site.database.write() as connection:
        joining.remove_member(connection, membership_id=house.team.raj.membership_id, now=NOW)
    assert asked(house, link).status_code == 404


def test_the_link_is_kept_hashed_only(house: House) -> None:
    secret = own(house, RAJ).split("/")[2]
    with house.site.database.read() as connection:
        (kept,) = connection.execute(select(tables.feed_token.c.token_hash)).scalars()
    assert kept == hashed(secret)
    assert secret.encode() not in kept


def test_a_link_reads_one_calendar_and_opens_nothing_else(house: House) -> None:
    client = house.site.client()
    link = own(house, RAJ)
    answer = client.get(link)
    assert "set-cookie" not in answer.headers
    assert client.get(LIST).status_code == 404
    assert client.post(link).status_code == 405
    assert answer.headers["cache-control"] == "private, no-cache"


def test_hostile_words_stay_words(house: House) -> None:
    hostile = "Seals\r\nATTENDEE:mailto:x@example.org\r\nBEGIN:VALARM\u2028; \\n,"
    with house.site.database.write() as connection:
        connection.execute(update(tables.topic).values(title=hostile))
        connection.execute(update(tables.sitting).values(place=hostile))
        connection.execute(update(tables.series).values(title=hostile))
        connection.execute(update(tables.community).values(title=hostile))
    found = Calendar.from_ical(asked(house, own(house, RAJ)).content)
    assert {one.name for one in found.walk()} == {"VCALENDAR", "VEVENT", "VTIMEZONE", "STANDARD", "DAYLIGHT"}
    assert all("ATTENDEE" not in one for one in found.walk("VEVENT"))
