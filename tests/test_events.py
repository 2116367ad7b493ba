"""iCalendar objects of ours: what two independent readers see in them, and hostile words that stay words."""

import re
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import cache
from itertools import count
from zoneinfo import ZoneInfo

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.calendars import READERS, Seen
from tidings.mailer.events import EVENTS, Event, Guest, feed, invitation

ORGANIZER = ("Pump makers", "pump+meeting@lists.example.org")
SAM = Guest(name="Sam", email="sam@example.org")
MEETING = Event(
    uid="pump-12@lists.example.org",
    sequence=0,
    stamp=datetime(2026, 10, 1, 8, 30, tzinfo=UTC),
    start=datetime(2026, 10, 21, 13, 0, tzinfo=UTC),
    end=datetime(2026, 10, 21, 14, 0, tzinfo=UTC),
    zone="Europe/Berlin",
    title="Weekly hour",
    description="1. Seals\n2. Cold starts",
    place="Room 3",
    url="https://lists.example.org/c/pump/",
)
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "Australia/Lord_Howe", "Europe/Dublin", "Africa/Cairo")
Reader = Callable[[bytes], list[Seen]]
readers = pytest.mark.parametrize("read", READERS.values(), ids=READERS)
_numbers = count()


def lines(raw: bytes) -> list[str]:
    """Content lines, unfolded."""
    return raw.replace(b"\r\n ", b"").decode().split("\r\n")


def elsewhere(raw: bytes, zone: str) -> bytes:
    """With a zone of a name that nobody knows, so that a reader has the VTIMEZONE and nothing else."""
    return raw.replace(zone.encode(), f"Nowhere/Number-{next(_numbers)}".encode())


def names(raw: bytes) -> list[str]:
    return [re.split("[:;]", line)[0] for line in lines(raw)]


# --- what is in it ---------------------------------------------------------------------------------------------------


@readers
def test_an_invitation_says_what_when_where_and_who(read: Reader) -> None:
    assert read(invitation(MEETING, organizer=ORGANIZER, guest=SAM)) == [
        Seen(
            method="REQUEST",
            uid="pump-12@lists.example.org",
            sequence=0,
            title="Weekly hour",
            description="1. Seals\n2. Cold starts",
            place="Room 3",
            url="https://lists.example.org/c/pump/",
            start=MEETING.start,
            end=MEETING.end,
            status="CONFIRMED",
            organizer=("Pump makers", "mailto:pump+meeting@lists.example.org"),
            guests=(("Sam", "mailto:sam@example.org", "NEEDS-ACTION"),),
        )
    ]


def test_an_invitation_asks_for_an_answer_and_takes_the_time() -> None:
    found = lines(invitation(MEETING, organizer=ORGANIZER, guest=SAM))
    (guest,) = (line for line in found if line.startswith("ATTENDEE"))
    assert {"RSVP=TRUE", "ROLE=REQ-PARTICIPANT", "CUTYPE=INDIVIDUAL"} < set(re.split("[;:]", guest))
    assert {"TRANSP:OPAQUE", "DTSTAMP:20261001T083000Z", "LAST-MODIFIED:20261001T083000Z", "VERSION:2.0"} < set(found)
    assert any(line.startswith("PRODID:-//Tidings//") for line in found)
    assert "DTSTART;TZID=Europe/Berlin:20261021T150000" in found


@pytest.mark.parametrize(
    ("answer", "partstat"), [("", "NEEDS-ACTION"), ("yes", "ACCEPTED"), ("no", "DECLINED"), ("maybe", "TENTATIVE")]
)
@readers
def test_an_invitation_says_what_the_guest_has_answered(read: Reader, answer: str, partstat: str) -> None:
    guest = Guest(name="Sam", email="sam@example.org", answer=answer)
    assert read(invitation(MEETING, organizer=ORGANIZER, guest=guest))[0].guests[0][2] == partstat


@readers
def test_a_cancellation_keeps_the_uid_and_asks_nothing(read: Reader) -> None:
    raw = invitation(replace(MEETING, cancelled=True, sequence=2), organizer=ORGANIZER, guest=SAM)
    (seen,) = read(raw)
    assert (seen.method, seen.status, seen.uid, seen.sequence) == ("CANCEL", "CANCELLED", MEETING.uid, 2)
    assert b"RSVP" not in raw


@pytest.mark.parametrize(
    "url", ["", "javascript:alert(1)", "https://a b", "https://x\r\nX:1", "https://x/" + "a" * 3000]
)
def test_what_is_no_page_and_what_is_empty_is_left_out(url: str) -> None:
    raw = invitation(replace(MEETING, url=url, description="", place=""), organizer=ORGANIZER, guest=SAM)
    assert not {"URL", "DESCRIPTION", "LOCATION", "X"} & set(names(raw))


def test_the_same_event_gives_the_same_bytes_and_only_the_guest_differs_between_two() -> None:
    one = invitation(MEETING, organizer=ORGANIZER, guest=SAM)
    other = invitation(MEETING, organizer=ORGANIZER, guest=replace(SAM, email="ana@example.org"))
    assert one == invitation(replace(MEETING), organizer=ORGANIZER, guest=SAM)
    assert one != other
    assert one.replace(b"sam@", b"ana@") == other


# --- time ------------------------------------------------------------------------------------------------------------


@cache
def clock_changes(zone: str) -> list[datetime]:
    """The hours of 2026 and 2027 in which the clocks of a zone change."""
    hours = [datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=number) for number in range(2 * 8760)]
    at = ZoneInfo(zone)
    return [
        one for one in hours if one.astimezone(at).utcoffset() != (one + timedelta(hours=1)).astimezone(at).utcoffset()
    ]


@pytest.mark.parametrize("zone", ZONES)
@readers
def test_a_meeting_is_at_its_hour_around_every_change_of_the_clocks(read: Reader, zone: str) -> None:
    for change in clock_changes(zone) or [MEETING.start]:
        for minutes in range(-180, 181, 15):
            start = change + timedelta(minutes=minutes)
            event = replace(MEETING, zone=zone, start=start, end=start + timedelta(minutes=90))
            (seen,) = read(elsewhere(invitation(event, organizer=ORGANIZER, guest=SAM), zone))
            assert (seen.start, seen.end) == (event.start, event.end)


@settings(deadline=None)
@given(
    zone=st.sampled_from(ZONES),
    minute=st.integers(0, 6 * 365 * 24 * 60),
    length=st.integers(5, 3 * 24 * 60),
)
def test_any_meeting_is_at_its_hour_for_both_readers(zone: str, minute: int, length: int) -> None:
    start = datetime(2025, 1, 1, tzinfo=UTC) + timedelta(minutes=minute)
    event = replace(MEETING, zone=zone, start=start, end=start + timedelta(minutes=length))
    raw = invitation(event, organizer=ORGANIZER, guest=SAM)
    for read in READERS.values():
        (seen,) = read(elsewhere(raw, zone))
        assert (seen.start, seen.end) == (event.start, event.end)


def test_the_second_of_two_equal_hours_is_written_in_utc() -> None:
    start = datetime(2026, 10, 25, 1, 30, tzinfo=UTC)  # 2:30 for the second time
    event = replace(MEETING, start=start, end=start + timedelta(hours=1))
    found = lines(invitation(event, organizer=ORGANIZER, guest=SAM))
    assert "DTSTART:20261025T013000Z" in found
    assert "BEGIN:VTIMEZONE" not in found


def test_utc_needs_no_zone() -> None:
    raw = invitation(replace(MEETING, zone="UTC"), organizer=ORGANIZER, guest=SAM)
    assert b"DTSTART:20261021T130000Z\r\n" in raw
    assert b"VTIMEZONE" not in raw


@pytest.mark.parametrize("zone", ZONES)
def test_a_zone_is_a_few_lines(zone: str) -> None:
    raw = invitation(replace(MEETING, zone=zone), organizer=ORGANIZER, guest=SAM)
    begin, end = raw.index(b"BEGIN:VTIMEZONE"), raw.index(b"END:VTIMEZONE")
    assert end - begin < 400


@pytest.mark.parametrize("zone", ["Nowhere/At-All", "Europe/Berlin\r\nX-A:1", "../../etc/passwd", ""])
def test_an_unknown_zone_is_refused(zone: str) -> None:
    with pytest.raises((KeyError, ValueError)):
        invitation(replace(MEETING, zone=zone), organizer=ORGANIZER, guest=SAM)


# --- feeds -----------------------------------------------------------------------------------------------------------


@readers
def test_a_feed_has_its_name_and_every_event_at_its_hour_without_guests(read: Reader) -> None:
    events = [
        replace(MEETING, uid=f"{number}@example.org", start=start, end=start + timedelta(hours=1), zone=zone)
        for number, (start, zone) in enumerate(
            (MEETING.start + timedelta(weeks=week), zone) for week in range(52) for zone in ZONES[:2]
        )
    ]
    raw = feed("Pump makers; all, of them", events, organizer=ORGANIZER)
    assert "X-WR-CALNAME:Pump makers\\; all\\, of them" in lines(raw)
    assert "NAME:Pump makers\\; all\\, of them" in lines(raw)
    assert {"METHOD:PUBLISH", "REFRESH-INTERVAL;VALUE=DURATION:PT6H", "X-PUBLISHED-TTL:PT6H"} < set(lines(raw))
    for zone in ZONES[:2]:
        raw = elsewhere(raw, zone)
    assert [(one.uid, one.start, one.end, one.guests) for one in read(raw)] == [
        (one.uid, one.start, one.end, ()) for one in events
    ]


@readers
def test_a_cancelled_meeting_is_cancelled_in_a_feed(read: Reader) -> None:
    seen = read(feed("x", [MEETING, replace(MEETING, uid="b", cancelled=True)], organizer=ORGANIZER))
    assert [one.status for one in seen] == ["CONFIRMED", "CANCELLED"]


def test_a_feed_of_nothing_is_a_calendar() -> None:
    assert names(feed("x", [], organizer=ORGANIZER)).count("BEGIN") == 1


@pytest.mark.acceptance(62)
def test_ten_thousand_long_events_are_cut_to_five_hundred_within_a_second() -> None:
    long = replace(MEETING, description="ä, " * 4_000)
    events = (replace(long, uid=f"{number}@example.org") for number in range(10_000))
    began = time.process_time()
    raw = feed("x", events, organizer=ORGANIZER)
    assert time.process_time() - began < 1
    assert raw.count(b"BEGIN:VEVENT") == EVENTS == 500


# --- words of strangers ----------------------------------------------------------------------------------------------

_TEXT = st.text(st.characters(exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=200).map(str.strip)
_SEVERAL = st.lists(_TEXT, max_size=4).map("\n".join).map(str.strip)


@example(title="C:\\New\\next \\\\N \\;\\,", place="\\", name="a^nb^'^^", text="\\n\n\\N\n\\\\n")
@example(title="^\\" * 90, place=";" * 200, name="^" * 100, text="é" * 40 + "\\" * 100)
@example(title="😀" * 100, place="日本語" * 60, name="“Sam” ;:,=", text="a" * 74 + "\n" + "b" * 75)
@settings(deadline=None)
@given(title=_TEXT, place=_TEXT, name=_TEXT.map(lambda text: text[:100].strip()), text=_SEVERAL)
def test_any_text_comes_back_the_same_from_both_readers(title: str, place: str, name: str, text: str) -> None:
    event = replace(MEETING, title=title, place=place, description=text)
    raw = invitation(event, organizer=(name, ORGANIZER[1]), guest=replace(SAM, name=name))
    # RFC 5545 has no way to write the one in a name, and not all programs read the other there.
    shown = name.replace('"', "'").replace("\\", "/")
    for read in READERS.values():
        (seen,) = read(raw)
        assert (seen.title, seen.place, seen.description) == (title, place, text)
        assert (seen.organizer[0], seen.guests[0][0]) == (shown, shown)


@pytest.mark.acceptance(62)
@settings(deadline=None)
@given(text=st.text(max_size=300))
@example(text="x\r\nATTENDEE:mailto:eve@example.org")
@example(text='x":mailto:eve@example.org\r\nATTENDEE;CN="')
@example(text="x\nEND:VEVENT\nBEGIN:VEVENT")
@example(text="x\x85\u2028\u2029\x0b\x0c\x1c\x1dATTENDEE:mailto:eve@example.org")
@example(text="\ud800\0\x7f")
def test_no_text_makes_a_property_or_a_guest(text: str) -> None:
    event = replace(MEETING, uid=f"u{text}", title=text, description=text, place=text, url=text)
    raw = invitation(
        event, organizer=(text, f"{text}@example.org"), guest=Guest(name=text, email=f"{text}@example.org")
    )
    plain = invitation(MEETING, organizer=ORGANIZER, guest=SAM)
    missing = {"DESCRIPTION", "LOCATION", "URL"}
    assert [one for one in names(raw) if one not in missing] == [one for one in names(plain) if one not in missing]
    for read in READERS.values():
        assert len(read(raw)[0].guests) == 1


@pytest.mark.acceptance(62)
@settings(deadline=None)
@given(text=st.text(max_size=400))
@example(text="ä" * 400)
@example(text="a" + "ä" * 400)
@example(text="\\" * 399 + "😀")
def test_lines_end_in_crlf_and_are_folded_at_75_octets_and_never_in_a_character(text: str) -> None:
    raw = invitation(replace(MEETING, title=text, description=text), organizer=(text, "a@example.org"), guest=SAM)
    assert raw.endswith(b"END:VCALENDAR\r\n")
    for line in raw.removesuffix(b"\r\n").split(b"\r\n"):
        assert b"\n" not in line
        assert b"\r" not in line
        assert 0 < len(line) <= 75
        line.decode()  # raises where a character was cut


@pytest.mark.acceptance(62)
@readers
def test_a_summary_of_ten_kilobytes_is_cut(read: Reader) -> None:
    event = replace(MEETING, title="s" * 10_000, place="p" * 10_000, description="d" * 100_000)
    (seen,) = read(invitation(event, organizer=("o" * 10_000, "a@example.org"), guest=replace(SAM, name="n" * 10_000)))
    assert [len(one) for one in (seen.title, seen.place, seen.description)] == [250, 250, 4000]
    assert len(seen.guests[0][0]) == len(seen.organizer[0]) == 100
    assert seen.title.endswith("s…")


@pytest.mark.parametrize(
    ("email", "written"),
    [
        ("sam+a=b.c@example.org", "mailto:sam+a=b.c@example.org"),
        ("größe@example.org", "mailto:gr%C3%B6%C3%9Fe@example.org"),
        ("a;b:c,d e@example.org", "mailto:a%3Bb%3Ac%2Cd%20e@example.org"),
        ("a\r\nATTENDEE:b@example.org", "mailto:a%0D%0AATTENDEE%3Ab@example.org"),
    ],
)
def test_an_address_is_ascii_whatever_is_in_it(email: str, written: str) -> None:
    raw = invitation(MEETING, organizer=("", email), guest=Guest(name="", email=email))
    assert f"ORGANIZER:{written}" in lines(raw)
    assert any(line.startswith("ATTENDEE") and line.endswith(f"TRUE:{written}") for line in lines(raw))
