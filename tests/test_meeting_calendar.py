"""A session of a meeting as calendars see it: one name for ever, and the agenda in the language of its reader."""

from datetime import timedelta

import pytest
from icalendar import Calendar
from sqlalchemy import Connection

from tests import digest_site, meeting_site
from tests.digest_site import SITE
from tests.meeting_site import DOMAIN, FIRST, NOW
from tidings.communities.directory import Community
from tidings.database.engine import Database
from tidings.digests.meetings import agenda, calendar, diary, topics
from tidings.digests.meetings.diary import Meeting
from tidings.mailer.events import Event, feed


def the_team(
    connection: Connection, sessions: tuple[str, ...] = ("14:00",), **values: str
) -> tuple[Community, Meeting]:
    pump = digest_site.community(connection)
    meeting = meeting_site.meetings(connection, meeting_site.hour(connection, pump, sessions, **values))[0]
    return pump, meeting


def event(connection: Connection, pump: Community, meeting: Meeting, number: int = 0, language: str = "en") -> Event:
    stands = agenda.read_agenda(connection, pump, meeting, domain=DOMAIN)
    return calendar.event(pump, stands, meeting.sittings[number], site=SITE, language=language)


def test_a_session_is_told_with_the_agenda_and_how_to_answer(sqlite_database: Database) -> None:
    with sqlite_database.write() as connection:
        pump, meeting = the_team(connection)
        raj = digest_site.member(connection, "raj@example.org")
        ana = digest_site.member(connection, "ana@example.org")
        meeting_site.topic(connection, pump, meeting, "Spare stock", by=ana, minutes=25)
        meeting_site.topic(connection, pump, meeting, "Seal failures", by=ana, lead=raj)
        meeting_site.topic(connection, pump, meeting, "Lamps", by=ana, at=NOW + timedelta(hours=1))
        asked = meeting_site.topic(connection, pump, meeting, "Who has a gauge?", by=ana)
        topics.settle(connection, asked.id, "offered")
        meeting_site.gives(connection, meeting, "lead", raj)
        meeting_site.gives(connection, meeting, "scribe", ana)
        told = event(connection, pump, meeting)
    assert (told.start, told.end, told.zone) == (FIRST, FIRST + timedelta(hours=1), "Europe/Berlin")
    assert (told.title, told.place, told.cancelled, told.sequence) == ("Pump hour", "Room 2", False, 0)
    assert told.url == "https://tidings.example.org/c/pump/meetings/hour/2026-10-13/"
    assert told.description.splitlines() == [
        "15 min: input by a discussion leader",
        "- Seal failures (led by Raj)",
        "30 min: discussion, and what members need",
        "- Spare stock",
        "- Lamps (if there is time)",
        "- Who has a gauge? (if somebody wants it)",
        "15 min: other needs, and planning the next meeting",
        "",
        "Discussion leader: Raj",
        "Scribe: Ana",
        "",
        "To answer, reply to the mail with the agenda, or write to pump+agenda@lists.example.org: a topic, or what you "
        "think of one.",
    ]


def test_it_is_the_same_event_after_it_was_moved_and_after_it_was_cancelled(sqlite_database: Database) -> None:
    with sqlite_database.write() as connection:
        pump, meeting = the_team(connection)
        was = event(connection, pump, meeting)
        later = NOW + timedelta(hours=5)
        meeting = diary.move(connection, meeting, meeting.sittings[0], FIRST + timedelta(days=2), later, place="Hall 1")
        moved = event(connection, pump, meeting)
        meeting = diary.cancel(connection, meeting, later + timedelta(hours=1))
        gone = event(connection, pump, meeting)
    assert was.uid == moved.uid == gone.uid
    assert [one.sequence for one in (was, moved, gone)] == [0, 1, 2]
    assert (moved.start, moved.place, moved.stamp) == (FIRST + timedelta(days=2), "Hall 1", later)
    assert gone.cancelled
    assert gone.description == "This meeting is cancelled. What was on its agenda goes on the next one."
    assert was.url == gone.url


def test_sessions_are_events_of_their_own_and_told_apart_by_their_titles(sqlite_database: Database) -> None:
    with sqlite_database.write() as connection:
        pump, meeting = the_team(connection, ("14:00", "+1 02:00"))
        first, second = (event(connection, pump, meeting, number) for number in (0, 1))
    assert first.title == "Pump hour, session 1 of 2"
    assert second.title == "Pump hour, session 2 of 2"
    assert second.start - first.start == timedelta(hours=12)
    assert first.uid != second.uid


def test_no_two_meetings_have_one_name(sqlite_database: Database) -> None:
    with sqlite_database.write() as connection:
        pump = digest_site.community(connection)
        found = [meeting_site.hour(connection, pump, ("14:00", "22:00"), name=name) for name in ("hour", "talk")]
        names = [
            calendar.uid(pump, meeting, sitting, DOMAIN)
            for one in found
            for meeting in meeting_site.meetings(connection, one)
            for sitting in meeting.sittings
        ]
    assert len(set(names)) == len(names) == 2 * 5 * 2


@pytest.mark.parametrize(
    ("language", "first"),
    [
        ("de", "15 Min.: Beitrag einer Diskussionsleitung"),
        ("es", "15 min: aportación de quien dirige el debate"),
        ("fr", "15 min : apport de qui mène la discussion"),
    ],
)
def test_it_is_told_in_the_language_that_is_asked_for(sqlite_database: Database, language: str, first: str) -> None:
    with sqlite_database.write() as connection:
        pump, meeting = the_team(connection)
        told = event(connection, pump, meeting, language=language)
    assert " ".join(told.description.splitlines()[0].split()) == first
    assert "pump+agenda@lists.example.org" in told.description


def test_a_community_is_told_in_its_own_language(sqlite_database: Database) -> None:
    with sqlite_database.write() as connection:
        pump = digest_site.community(connection, language="german")
        meeting = meeting_site.meetings(connection, meeting_site.hour(connection, pump, format_="open-space"))[0]
        stands = agenda.read_agenda(connection, pump, meeting, domain=DOMAIN)
        told = calendar.event(pump, stands, meeting.sittings[0], site=SITE)
    assert told.description.startswith("10 Min.: Themen werden vorgeschlagen\n")


def test_blocks_of_its_own_and_titles_stay_words(sqlite_database: Database) -> None:
    hostile = "Seals\nEND:VEVENT\N{RIGHT-TO-LEFT OVERRIDE}; \\n, \N{HEBREW LETTER ALEF}"
    with sqlite_database.write() as connection:
        pump, meeting = the_team(connection, format_="10 Round of all; 40 Cases")
        raj = digest_site.member(connection, "raj@example.org", name="Raj \N{HEBREW LETTER ALEF}; END:VEVENT")
        meeting_site.topic(connection, pump, meeting, hostile, by=raj, lead=raj)
        told = event(connection, pump, meeting)
    written = feed("Pump", [told], organizer=("Pump", "pump+agenda@lists.example.org"))
    (entry,) = Calendar.from_ical(written).walk("VEVENT")
    assert "10 min: Round of all\n40 min: Cases\n- " in entry["DESCRIPTION"]
    assert len(entry["DESCRIPTION"].splitlines()) == 5
    assert "\N{RIGHT-TO-LEFT OVERRIDE}" not in entry["DESCRIPTION"]


def test_the_page_of_a_series_with_any_name_is_one_path(sqlite_database: Database) -> None:
    with sqlite_database.write() as connection:
        _, meeting = the_team(connection, name="night & day/hour?")
    address = calendar.page("https://tidings.example.org/", "pump", meeting)
    assert address == "https://tidings.example.org/c/pump/meetings/night%20%26%20day%2Fhour%3F/2026-10-13/"
