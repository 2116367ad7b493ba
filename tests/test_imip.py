"""What calendar programs answer by mail is read, whichever they are; what nobody can read is nothing."""

import time
from dataclasses import replace
from email.message import Message

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from tests.imip_mails import REPLIES, STAMP, UID, calendar, crlf, google, mail, multi, part
from tests.test_events import MEETING, ORGANIZER, SAM
from tidings.mailer import events
from tidings.mailer.compose import alternative
from tidings.mailer.imip import CalendarAnswer, read
from tidings.mailer.parse import parse
from tidings.mailer.parsed import ParsedMessage
from tidings.mailer.tolerant import read_message
from tidings.mailer.worker import ParseWorker
from tidings.settings import LimitSettings

YES = CalendarAnswer(
    method="REPLY",
    uid=UID,
    sequence=0,
    attendee="sam@example.org",
    name="Sam Fox",
    answer="yes",
    delegated_to=[],
    delegated_from=[],
    sent_by="",
    comment="",
    stamp=STAMP,
    recurrence_id="",
)


def answers(raw: bytes) -> list[CalendarAnswer]:
    return read(read_message(raw))


def of_object(data: bytes, kind: str = "text/calendar; charset=utf-8; method=REPLY") -> list[CalendarAnswer]:
    return answers(mail(part(kind, data, "base64")))


@pytest.mark.parametrize("name", REPLIES)
def test_what_a_program_answers_is_read(name: str) -> None:
    reply = REPLIES[name]
    assert answers(reply.raw) == [msgspec.structs.replace(YES, **reply.expected)]


@pytest.mark.parametrize("name", REPLIES)
def test_a_parsed_message_has_the_answer_also_with_bare_line_feeds(name: str) -> None:
    reply = REPLIES[name]
    expected = [msgspec.structs.replace(YES, **reply.expected)]
    assert parse(reply.raw, LimitSettings()).calendar == expected
    assert parse(reply.raw.replace(b"\r\n", b"\n"), LimitSettings()).calendar == expected


def test_an_answer_comes_out_of_the_process_that_reads_mail() -> None:
    worker = ParseWorker(LimitSettings())
    assert worker.parse(google()).calendar == [YES]
    worker.close()


def test_a_message_that_was_kept_before_there_were_answers_has_none() -> None:
    stored = msgspec.to_builtins(parse(google(), LimitSettings()))
    del stored["calendar"]
    assert msgspec.convert(stored, ParsedMessage).calendar == []


def test_a_mail_without_a_calendar_has_none() -> None:
    assert answers(mail(part("text/plain", b"yes, I come\r\n"))) == []


# --- which object, which guest ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("cancelled", [False, True])
def test_our_own_invitation_is_read_back(cancelled: bool) -> None:
    event = replace(MEETING, cancelled=cancelled, sequence=4)
    guest = replace(SAM, answer="maybe")
    data = events.invitation(event, organizer=ORGANIZER, guest=guest)
    raw = alternative({"From": ORGANIZER[1], "Message-ID": "<a@b>"}, text="a", html="b", calendar=data)
    (found,) = answers(raw)
    assert found.method == ("CANCEL" if cancelled else "REQUEST")
    assert (found.uid, found.sequence, found.attendee, found.answer) == (MEETING.uid, 4, "sam@example.org", "maybe")
    assert found.stamp == int(MEETING.stamp.timestamp()) * 1_000_000


@pytest.mark.parametrize("kind", ["rfc822", "delivery-status", "global"])
def test_an_object_in_a_mail_inside_the_mail_is_not_the_senders(kind: str) -> None:
    inside = b"Content-Type: message/%s\r\n\r\n" % kind.encode() + google()
    assert answers(mail(multi("mixed", part("text/plain", b"see below\r\n"), inside))) == []


def test_two_objects_are_two_answers_and_the_same_one_twice_is_one() -> None:
    one = part("text/calendar; method=REPLY", calendar("x", "ATTENDEE;PARTSTAT=ACCEPTED:mailto:sam@example.org"))
    other = part("application/ics", calendar("x", "ATTENDEE:mailto:sam@example.org", uid="b"), "base64")
    assert [found.uid for found in answers(mail(multi("mixed", one, other, one, other)))] == [UID, "b"]


def test_of_a_reply_with_several_who_answered_by_a_stranger_it_cannot_be_told_who() -> None:
    both = "ATTENDEE;PARTSTAT=ACCEPTED:mailto:ana@example.org\nATTENDEE;PARTSTAT=DECLINED:mailto:raj@example.org"
    (found,) = of_object(calendar("x", both))
    assert (found.attendee, found.answer) == ("", "")


def test_of_a_reply_by_a_stranger_it_is_the_only_one_who_answered() -> None:
    both = "ATTENDEE;PARTSTAT=NEEDS-ACTION:mailto:ana@example.org\nATTENDEE;PARTSTAT=DECLINED:mailto:raj@example.org"
    (found,) = of_object(calendar("x", both))
    assert (found.attendee, found.answer) == ("raj@example.org", "no")


def test_the_method_inside_counts_and_not_that_of_the_part() -> None:
    data = calendar("x", "ATTENDEE;PARTSTAT=ACCEPTED:mailto:sam@example.org", method="METHOD:PUBLISH\n")
    assert [one.method for one in of_object(data)] == ["PUBLISH"]


def test_the_method_may_stand_behind_the_event() -> None:
    data = calendar("x", "ATTENDEE;PARTSTAT=ACCEPTED:mailto:sam@example.org", method="")
    data = data.replace(b"END:VCALENDAR", b"METHOD:COUNTER\r\nEND:VCALENDAR")
    assert [one.method for one in of_object(data)] == ["COUNTER"]


@pytest.mark.parametrize(
    ("line", "address"),
    [
        ("ATTENDEE:mailto:A.B+c@Example.org", "A.B+c@Example.org"),
        ("ATTENDEE:MAILTO: a@example.org ", "a@example.org"),
        ("ATTENDEE:a@example.org", "a@example.org"),
        ("ATTENDEE:mailto:mailto:a@example.org", "a@example.org"),
        ('ATTENDEE;SENT-BY="mailto:b@example.org":urn:x', "urn:x"),
        ("ATTENDEE:mailto:a%20b@example.org", "a%20b@example.org"),
        ("ATTENDEE:mailto:%FF@example.org", "%FF@example.org"),
        ("ATTENDEE:" + "a" * 400 + "@example.org", ""),
        ("ATTENDEE", ""),
        ("ATTENDEE:", ""),
        ('ATTENDEE;CN="unclosed;PARTSTAT=ACCEPTED:mailto:a@example.org', "a@example.org"),
    ],
)
def test_an_address_stands_as_it_was_written(line: str, address: str) -> None:
    assert [one.attendee for one in of_object(calendar("x", line))] == [address]


@pytest.mark.parametrize(
    ("stamp", "microseconds"),
    [
        ("DTSTAMP:20261011T090000Z", STAMP),
        ("DTSTAMP:20261011T090000", STAMP),
        ("DTSTAMP;TZID=UTC:20261011T090000", STAMP),
        ("DTSTAMP:2026-10-11T09:00:00Z", STAMP),
        ("DTSTAMP;TZID=Europe/Berlin:20261011T090000", None),
        ("DTSTAMP:20261011", None),
        ("DTSTAMP:20261399T990000Z", None),
        ("DTSTAMP:00000101T000000Z", None),
        ("LAST-MODIFIED:20261011T090000Z", STAMP),
        ("", None),
    ],
)
def test_a_stamp_is_in_utc_or_none(stamp: str, microseconds: int | None) -> None:
    assert [one.stamp for one in of_object(calendar("x", "ATTENDEE:a@x", stamp=stamp))] == [microseconds]


@pytest.mark.parametrize(
    ("sequence", "number"), [("7", 7), ("", 0), ("-1", 0), ("x", 0), ("1.5", 1), ("9" * 400, 999_999_999)]
)
def test_a_sequence_is_a_number(sequence: str, number: int) -> None:
    data = calendar("x", "ATTENDEE:a@x", sequence=f"SEQUENCE:{sequence}\n")
    assert [one.sequence for one in of_object(data)] == [number]


def test_our_own_tokens_are_cut_from_a_comment() -> None:
    token = "pump+r." + "a2" * 17 + "@lists.example.org"
    (found,) = of_object(calendar("x", "ATTENDEE:a@x", more=f"COMMENT:write to {token}\n"))
    assert found.comment == "write to [address removed]"


# --- hostile and broken ----------------------------------------------------------------------------------------------

_ONE = calendar("x", "ATTENDEE;PARTSTAT=ACCEPTED:mailto:sam@example.org")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\x00" * 100,
        b"BEGIN:VCALENDAR\r\n",
        b"END:VEVENT\r\nEND:VCALENDAR\r\n" * 100,
        b"BEGIN:VEVENT\r\nUID:x\r\nATTENDEE:mailto:a@x",  # cut off
        _ONE[: _ONE.index(b"END:VEVENT")],
        b"not a calendar at all",
        _ONE.replace(b"VEVENT", b"VTODO"),
    ],
)
def test_what_is_no_whole_event_is_nothing(data: bytes) -> None:
    assert of_object(data) == []


def test_winmail_dat_is_nothing() -> None:
    assert of_object(b"\x78\x9f\x3e\x22" + _ONE, 'application/ms-tnef; name="winmail.dat"') == []


def test_no_more_than_ten_events_are_read() -> None:
    data = b"".join(calendar("x", "ATTENDEE:a@x", uid=f"u{number}") for number in range(30))
    assert [one.uid for one in of_object(data)] == [f"u{number}" for number in range(10)]


def test_an_object_of_more_than_a_megabyte_is_not_read() -> None:
    assert of_object(_ONE.replace(b"SUMMARY:", b"SUMMARY:" + b"\r\n x" * 250_000)) == []


_EVENT = b"BEGIN:VEVENT\r\n"


@pytest.mark.acceptance(62)
@pytest.mark.parametrize(
    "data",
    [
        _ONE.replace(b"UID", b"RRULE:FREQ=SECONDLY\r\nRDATE:" + b"20261011T090000Z," * 50_000 + b"\r\nUID"),
        _ONE.replace(b"UID", b"ATTENDEE;PARTSTAT=ACCEPTED:mailto:b@example.org\r\n" * 19_000 + b"UID"),
        _ONE.replace(b"UID", b'ATTENDEE;CN="' * 70_000 + b"\r\nUID"),
        _ONE.replace(b"UID", b"ATTENDEE" + b";A" * 450_000 + b":mailto:b@example.org\r\nUID"),
        _ONE.replace(b"UID", b"COMMENT:" + b"\\" * 900_000 + b"\r\nUID"),
        _ONE.replace(b"UID", b"\r\n" * 490_000 + b"UID"),
        _ONE.replace(b"UID", b"\r\n " * 330_000 + b"UID"),
        _ONE.replace(_EVENT, b"BEGIN:VALARM\r\n" * 60_000 + _EVENT),
        _EVENT * 70_000 + _ONE,
        b"BEGIN:VCALENDAR\r\n" * 55_000 + _ONE,
        b":" * 999_000,
        b"a;" * 499_000,
        b'"' * 999_000,
    ],
    ids=range(13),
)
def test_no_object_takes_a_second(data: bytes) -> None:
    began = time.process_time()
    found = of_object(data)
    assert time.process_time() - began < 1
    assert len(found) <= 10


@pytest.mark.acceptance(62)
def test_ten_thousand_parts_take_no_second() -> None:
    small = part("text/calendar", b"BEGIN:VCALENDAR\r\nEND:VCALENDAR\r\n")
    message = read_message(mail(multi("mixed", *[small] * 10_000)))
    began = time.process_time()
    assert read(message) == []
    assert time.process_time() - began < 1


def test_parts_that_are_nested_deep_are_read_without_recursion() -> None:
    message = inner = Message()
    for _ in range(900):
        inner["Content-Type"] = "multipart/mixed; boundary=a"
        following = Message()
        inner.attach(following)
        inner = following
    inner["Content-Type"] = "text/calendar"
    inner.set_payload(_ONE.decode())
    assert len(read(message)) == 1


def test_long_words_are_cut() -> None:
    long = "x" * 5_000
    data = calendar("x", f"ATTENDEE;CN={long};PARTSTAT=ACCEPTED:mailto:a@x", uid=long, more=f"COMMENT:{long}\n")
    (found,) = of_object(data)
    assert (len(found.name), len(found.uid), len(found.comment)) == (200, 1000, 2000)


@settings(deadline=None)
@given(data=st.binary(max_size=300))
@example(data=b"\xff\xfe\x00")
@example(data=b"\xff\xfe\x00\xd8")
def test_no_bytes_make_it_fail(data: bytes) -> None:
    for kind in ("text/calendar", "text/calendar; charset=utf-16", "application/octet-stream; name=a.ics"):
        of_object(data, kind)


_PIECES = st.sampled_from(
    [
        *(
            "BEGIN:VCALENDAR",
            "END:VCALENDAR",
            "BEGIN:VEVENT",
            "END:VEVENT",
            "BEGIN:VALARM",
            "END:VALARM",
            "METHOD:REPLY",
        ),
        *("ATTENDEE", "UID", "DTSTAMP", "SEQUENCE", "COMMENT", "RECURRENCE-ID", "PARTSTAT=ACCEPTED", "CN=", "mailto:"),
        *("DELEGATED-TO=", "SENT-BY=", "\n", "\n ", ":", ";", ",", '"', "\\", "^", "<", ">", "%C3", "@", "=", "ä", "a"),
    ]
)


@settings(deadline=None)
@given(pieces=st.lists(_PIECES, max_size=60))
def test_no_order_of_pieces_makes_it_fail(pieces: list[str]) -> None:
    of_object(crlf("BEGIN:VCALENDAR\nBEGIN:VEVENT\n" + "".join(pieces) + "\nEND:VEVENT\nEND:VCALENDAR"))


@settings(deadline=None)
@given(name=st.sampled_from(sorted(REPLIES)), place=st.integers(0, 2000), data=st.binary(max_size=6))
def test_no_damage_to_a_mail_makes_it_fail(name: str, place: int, data: bytes) -> None:
    raw = REPLIES[name].raw
    at = place % len(raw)
    answers(raw[:at] + data + raw[at + len(data) :])
    answers(raw[:at])
