"""The parser's process: it answers in order, and a message that kills it costs nobody else anything."""

import subprocess
import sys
from email.message import EmailMessage

import msgspec
import pytest

from tidings.errors import MessageTooComplexError
from tidings.mailer.worker import _QUESTION, ParseWorker, Readable, Unreadable
from tidings.settings import LimitSettings


def raw(number: int, body: str = "Text.") -> bytes:
    return f"From: a@example.org\r\nSubject: {number}\r\nMessage-ID: <{number}@x>\r\n\r\n{body}\r\n".encode()


@pytest.fixture
def worker():
    made = ParseWorker(LimitSettings())
    yield made
    made.close()


def test_messages_are_answered_in_their_order_whatever_their_size(worker: ParseWorker) -> None:
    raws = [raw(number, "word " * (50_000 if number % 7 == 0 else 3)) for number in range(60)]
    outcomes = list(worker.parse_many(raws))
    assert [outcome.message.subject for outcome in outcomes] == [str(number) for number in range(60)]


def test_a_caller_who_stops_early_does_not_shift_the_next_answers(worker: ParseWorker) -> None:
    for outcome in worker.parse_many([raw(1), raw(2), raw(3)]):
        assert outcome.message.subject == "1"
        break
    assert worker.parse(raw(9)).subject == "9"


@pytest.mark.acceptance(86)
def test_a_worker_that_is_killed_is_started_anew(worker: ParseWorker) -> None:
    worker.parse(raw(1))
    worker._process.kill()
    # So much that it is still being fed when the worker is found dead.
    outcomes = list(worker.parse_many([raw(number, "word " * 50_000) for number in range(2, 9)]))
    assert isinstance(outcomes[0], Unreadable)
    assert "status -9" in outcomes[0].reason
    assert [outcome.message.subject for outcome in outcomes[1:]] == [str(number) for number in range(3, 9)]


def test_a_worker_whose_site_was_killed_ends_without_a_word() -> None:
    limits = msgspec.json.encode(LimitSettings()).decode()
    line = [sys.executable, "-m", "tidings.mailer.worker", limits]
    with subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as orphan:
        orphan.stdout.close()
        orphan.stdin.write(_QUESTION.pack(len(raw(1)), False) + raw(1))
        orphan.stdin.close()
        assert orphan.stderr.read() == b""


@pytest.mark.acceptance(19)
def test_a_message_that_takes_too_long_is_given_up_and_the_next_goes_on() -> None:
    worker = ParseWorker(LimitSettings(parse_seconds=1, parts=1_000_000_000, depth=1_000_000, header_bytes=1 << 30))
    slow = b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 1_500_000
    outcomes = list(worker.parse_many([raw(1), slow, raw(3)]))
    worker.close()
    assert [type(outcome) for outcome in outcomes] == [Readable, Unreadable, Readable]
    assert "more than 1 seconds" in outcomes[1].reason


@pytest.mark.acceptance(19)
def test_a_message_that_needs_too_much_memory_is_given_up_and_the_next_goes_on() -> None:
    worker = ParseWorker(LimitSettings(parse_megabytes=200))
    outcomes = list(worker.parse_many([b"From: a@example.org\r\n\r\n" + b"x\n" * 12_000_000, raw(2)]))
    worker.close()
    assert [type(outcome) for outcome in outcomes] == [Unreadable, Readable]
    assert "200 MB" in outcomes[0].reason


def bounce(number: int) -> bytes:
    return (
        f"From: MAILER-DAEMON@mx.example.org\r\nSubject: {number}\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        "--b\r\nContent-Type: text/plain\r\n\r\nNot delivered.\r\n\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.org\r\n\r\n"
        f"Final-Recipient: rfc822; {number}@example.org\r\nAction: failed\r\nStatus: 5.1.1\r\n\r\n--b--\r\n"
    ).encode()


def test_only_what_may_be_a_bounce_is_read_as_one(worker: ParseWorker) -> None:
    outcomes = list(worker.parse_many([bounce(0), bounce(1), raw(2), raw(3)], bounces={1, 3}))
    assert [outcome.message.subject for outcome in outcomes] == ["0", "1", "2", "3"]
    readings = [outcome.message.returned for outcome in outcomes]
    assert readings[0] is None
    assert readings[2] is None
    assert readings[1] is not None
    assert readings[3] is not None
    assert [(one.address, one.status) for one in readings[1].returned] == [("1@example.org", "5.1.1")]
    assert (readings[3].kind, readings[3].returned) == ("none", ())


def test_what_may_be_a_bounce_is_still_known_after_a_worker_died(worker: ParseWorker) -> None:
    worker.parse(raw(1))
    worker._process.kill()
    outcomes = list(worker.parse_many([bounce(number) for number in range(4)], bounces={2}))
    assert isinstance(outcomes[0], Unreadable)
    assert [outcome.message.returned is not None for outcome in outcomes[1:]] == [False, True, False]


def nested(depth: int) -> bytes:
    head = "".join(f"Content-Type: multipart/mixed; boundary=b{level}\r\n\r\n--b{level}\r\n" for level in range(depth))
    return head.encode() + b"\r\nHello\r\n"


@pytest.mark.acceptance(17)
@pytest.mark.acceptance(18)
@pytest.mark.acceptance(21)
@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (nested(2_000), "deep"),
        (nested(60), "too deep"),
        (b"Content-Type: multipart/mixed; boundary=b\r\n\r\n" + b"--b\r\n\r\nx\r\n" * 10_000, "1000"),
        (b"X: " + b"y" * 70_000 + b"\r\n\r\n", "65536 bytes"),
        (b"X: y\r\n" * 1_001 + b"\r\n", "1000 header fields"),
        (b"X: y\r\n " * 40_000 + b"\r\n\r\n", "262144 bytes"),
    ],
    ids=["2000 deep", "60 deep", "10,000 parts", "a long field", "many fields", "a long header"],
)
def test_a_message_past_a_limit_is_unreadable_and_says_which(worker: ParseWorker, message: bytes, reason: str) -> None:
    with pytest.raises(MessageTooComplexError, match=reason):
        worker.parse(message)
    assert worker.parse(raw(1)).subject == "1"


def test_an_ordinary_message_with_an_attachment_comes_through(worker: ParseWorker) -> None:
    message = EmailMessage()
    message["From"], message["To"], message["Subject"] = (
        "Ana <a@example.org>",
        "pump@lists.example.org",
        "Ventil prüfen",
    )
    message["Date"] = "Wed, 14 Oct 2026 09:00:00 +0200"
    message["Message-ID"] = "<1@example.org>"
    message.set_content("Bitte prüfen.\n\n-- \nAna\n")
    message.add_attachment(b"a,b\n1,2\n", maintype="text", subtype="csv", filename="values.csv")
    parsed = worker.parse(message.as_bytes())
    assert (parsed.author_name, parsed.author_email, parsed.subject) == ("Ana", "a@example.org", "Ventil prüfen")
    assert parsed.date is not None
    assert parsed.date.isoformat() == "2026-10-14T07:00:00+00:00"
    assert parsed.text.startswith("Bitte prüfen.")
    assert [kind for _, _, kind in parsed.folds] == ["signature"]
    assert [(*one[:4], len(one[4])) for one in parsed.attachments] == [(2, "values.csv", "text/csv", 8, 32)]
