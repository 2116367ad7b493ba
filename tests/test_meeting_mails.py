"""A meeting in a digest of any format: whoever reads text only gets it too, and nothing else in the mail moves."""

from collections.abc import Callable
from email import message_from_bytes, policy
from email.message import EmailMessage

import pytest

from tests.test_digest_lint import HTML, TEXT
from tests.test_events import MEETING, ORGANIZER, SAM
from tidings.digests.lint import lint
from tidings.mailer import compose, digest_mail, events
from tidings.mailer.imip import read
from tidings.mailer.tolerant import read_message

FIELDS = {"From": "pump@lists.example.org", "Subject": "Agenda", "Message-ID": "<1@lists.example.org>"}
POST = b"From: ana@example.org\r\nSubject: Seals\r\n\r\nWords.\r\n"
INVITATION = events.invitation(MEETING, organizer=ORGANIZER, guest=SAM)
FORMATS: dict[str, Callable[[bytes | None], bytes]] = {
    "html": lambda calendar: compose.alternative(FIELDS, text=TEXT, html=HTML, calendar=calendar),
    "text": lambda calendar: digest_mail.text_alone(FIELDS, TEXT, calendar),
    "mime": lambda calendar: digest_mail.with_posts(FIELDS, TEXT, [POST, POST], calendar),
    "mime, no posts": lambda calendar: digest_mail.with_posts(FIELDS, TEXT, [], calendar),
    "plain": lambda calendar: digest_mail.in_words(FIELDS, TEXT, ["Words."], "Pump", calendar),
}
formats = pytest.mark.parametrize("make", FORMATS.values(), ids=FORMATS)


def parsed(raw: bytes) -> EmailMessage:
    message = message_from_bytes(raw, policy=policy.default)
    assert isinstance(message, EmailMessage)
    return message


def kinds(raw: bytes) -> list[str]:
    return [part.get_content_type() for part in parsed(raw).walk() if not part.is_multipart()]


@formats
def test_every_format_carries_the_meeting_as_it_is(make: Callable[[bytes | None], bytes]) -> None:
    (part,) = [one for one in parsed(make(INVITATION)).walk() if one.get_content_type() == "text/calendar"]
    assert part.get_payload(decode=True) == INVITATION
    assert part.get_param("method") == "REQUEST"


@formats
def test_the_meeting_is_an_alternative_to_the_text_and_stands_last(make: Callable[[bytes | None], bytes]) -> None:
    (both,) = [one for one in parsed(make(INVITATION)).walk() if one.get_content_type() == "multipart/alternative"]
    inside = [one.get_content_type() for one in both.iter_parts()]
    assert (inside[0], inside[-1]) == ("text/plain", "text/calendar")
    assert both["Content-Transfer-Encoding"] in (None, "7bit")


@formats
def test_the_words_are_the_same_with_a_meeting_and_without(make: Callable[[bytes | None], bytes]) -> None:
    bodies = [parsed(make(calendar)).get_body(("plain",)) for calendar in (None, INVITATION)]
    assert bodies[0] is not None and bodies[1] is not None
    assert bodies[0].get_content() == bodies[1].get_content()
    without = kinds(make(None))
    assert sorted([*without, "text/calendar"]) == sorted(kinds(make(INVITATION)))


@formats
def test_nothing_is_wrong_with_a_digest_that_has_a_meeting(make: Callable[[bytes | None], bytes]) -> None:
    assert lint(make(INVITATION)) == lint(make(None)) == []


@formats
def test_a_calendar_program_reads_it_there(make: Callable[[bytes | None], bytes]) -> None:
    (found,) = read(read_message(make(INVITATION)))
    assert (found.method, found.uid, found.attendee) == ("REQUEST", MEETING.uid, SAM.email)


@formats
def test_the_same_arguments_give_the_same_bytes(make: Callable[[bytes | None], bytes]) -> None:
    assert make(INVITATION) == make(INVITATION)
    assert max(map(len, make(INVITATION).split(b"\r\n"))) <= 998
