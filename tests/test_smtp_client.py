"""Our side of SMTP, over real sockets: to a recording server, and to servers that do as few do."""

import contextlib
import os
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import pytest

from tests.postfix import NEEDS_ROOT, Postfix
from tests.smtp_sink import CERTIFICATE, CUT, STALL, SmtpSink
from tests.sockets import free_port
from tidings.mailer import smtp_client
from tidings.mailer.smtp_client import SmtpTransport
from tidings.mailer.smtp_session import Answer, Letter

SENDER = "pump+b.k3dq7x@lists.example.org"
RAW = b"Subject: A seal\r\nMessage-ID: <one@example.org>\r\n\r\nIt leaks.\r\n"


def transport(sink: SmtpSink, **values: Any) -> SmtpTransport:
    settings: dict[str, Any] = {"host": "127.0.0.1", "port": sink.port, "name": "lists.example.org", "timeout": 10.0}
    return SmtpTransport(**settings | values)


@pytest.fixture
def sink() -> Iterator[SmtpSink]:
    with SmtpSink() as sink:
        yield sink


@pytest.fixture
def client(sink: SmtpSink) -> Iterator[SmtpTransport]:
    client = transport(sink)
    yield client
    client.close()


def to(*recipients: str, mail_from: str = SENDER, data: bytes = RAW, head: bytes = b"") -> list[Letter]:
    return [Letter(mail_from, recipient, data, head) for recipient in recipients]


def members(count: int) -> list[Letter]:
    """Letters that differ in all that can differ."""
    return [
        Letter(f"pump+b.{n}@lists.example.org", f"m{n}@example.org", RAW, b"X-Own: %d\r\n" % n) for n in range(count)
    ]


def sent(client: SmtpTransport, letters: list[Letter]) -> list[Answer]:
    """The answers to the letters that were tried: with one session the first ones."""
    answers = client.send(letters)
    tried = [answer for answer in answers if answer is not None]
    assert len(answers) == len(letters) and list(answers[: len(tried)]) == tried
    return tried


def send_all(client: SmtpTransport, letters: list[Letter]) -> list[Answer]:
    """Send until every letter was tried, whatever is answered."""
    answers: list[Answer] = []
    while len(answers) < len(letters):
        answers += sent(client, letters[len(answers) :])
    return answers


def verbs(sink: SmtpSink) -> list[str]:
    return [line[:4].upper() for line in sink.commands]


# --- one letter behind the other -------------------------------------------------------------------------------------


def test_every_letter_has_its_own_envelope_and_its_own_lines_in_front_of_the_same_bytes(
    sink: SmtpSink, client: SmtpTransport
) -> None:
    assert [answer.accepted for answer in sent(client, members(5))] == [True] * 5
    assert [(got.mail_from, got.recipients, got.data) for got in sink.messages] == [
        (letter.mail_from, (letter.recipient,), letter.head + RAW) for letter in members(5)
    ]
    assert sink.connections == 1


class OddServer:
    """A server of one connection that does what `talk` does."""

    def __init__(self, talk: Callable[[socket.socket], None]) -> None:
        self._talk = talk
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._run)

    def __enter__(self) -> "OddServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._thread.join(20)
        self._listener.close()

    def _run(self) -> None:
        link, _ = self._listener.accept()
        link.settimeout(10)
        with link, contextlib.suppress(OSError):
            self._talk(link)


def until(link: socket.socket, end: bytes) -> bytes:
    """What comes, up to an end that is there."""
    came = b""
    while not came.endswith(end):
        data = link.recv(1 << 16)
        if not data:
            break
        came += data
    return came


def hello(link: socket.socket, extensions: bytes = b"PIPELINING") -> None:
    link.sendall(b"220 odd.example.org\r\n")
    until(link, b"\r\n")
    link.sendall(b"250-odd.example.org\r\n250 " + extensions + b"\r\n")


def test_a_text_and_the_next_envelope_come_before_the_text_is_answered() -> None:
    came: list[bytes] = []

    def talk(link: socket.socket) -> None:
        hello(link)
        for replies in (b"", b"250 taken\r\n", b"250 taken\r\n"):
            came.append(until(link, b"DATA\r\n"))
            link.sendall(replies + b"250 a\r\n250 b\r\n354 c\r\n")
        came.append(until(link, b"\r\n.\r\n"))
        link.sendall(b"250 taken\r\n")

    with OddServer(talk) as server:
        client = SmtpTransport(host="127.0.0.1", port=server.port, name="lists.example.org", timeout=5.0)
        answers = sent(client, members(3))
    client.close()
    assert [answer.accepted for answer in answers] == [True] * 3
    shapes = [re.sub(rb"(?s)X-Own.*?\r\n\.\r\n", b"TEXT ", part) for part in came]
    assert [re.sub(rb":[^\r]*\r\n|\r\n", b" ", part) for part in shapes] == [
        b"MAIL FROM RCPT TO DATA ",
        b"TEXT MAIL FROM RCPT TO DATA ",
        b"TEXT MAIL FROM RCPT TO DATA ",
        b"TEXT ",
    ]


def test_without_pipelining_each_command_waits_for_the_answer_to_the_one_before() -> None:
    with SmtpSink(extensions=()) as sink:
        sink.on("RCPT", "550 5.1.1 nobody", match="<m1@")
        client = transport(sink)
        answers = sent(client, members(3))
        client.close()
    assert not sink.pipelined
    assert [(answer.accepted, answer.refused) for answer in answers] == [(True, False), (False, True), (True, False)]
    said = [["MAIL", "RCPT", "DATA"], ["MAIL", "RCPT", "RSET"], ["MAIL", "RCPT", "DATA"]]
    assert verbs(sink) == ["EHLO", *chain.from_iterable(said), "QUIT"]


@pytest.mark.parametrize("extensions", [("PIPELINING",), ()])
@pytest.mark.parametrize("reply", ["550 5.1.1 nobody", "451 4.2.0 later"])
def test_a_letter_that_is_refused_does_not_disturb_the_next(extensions: tuple[str, ...], reply: str) -> None:
    with SmtpSink(extensions) as sink:
        for number in (3, 4, 200):
            sink.on("RCPT", reply, match=f"<m{number}@")
        client = transport(sink)
        answers = send_all(client, members(300))
        client.close()
    assert [place for place, answer in enumerate(answers) if not answer.accepted] == [3, 4, 200]
    assert {str(answers[place]) for place in (3, 4, 200)} == {reply}
    assert [got.data for got in sink.messages] == [
        letter.head + RAW for place, letter in enumerate(members(300)) if place not in (3, 4, 200)
    ]
    assert sink.connections == 1


def test_where_the_recipient_is_refused_but_data_is_answered_354_a_lone_dot_is_sent(
    sink: SmtpSink, client: SmtpTransport
) -> None:
    sink.on("RCPT", "550 5.1.1 nobody", times=1)
    sink.on("DATA", "354 go on")
    answers = sent(client, members(2))
    assert answers[0].refused and answers[1].accepted
    assert [message.recipients for message in sink.messages] == [("m1@example.org",)]
    assert sink.connections == 1


@pytest.mark.parametrize(("step", "tried"), [("MAIL", 1), ("DATA", 1), ("END", 2)])
def test_trouble_stops_what_was_not_begun_and_the_session_goes_on(
    sink: SmtpSink, client: SmtpTransport, step: str, tried: int
) -> None:
    sink.on(step, "554 5.7.1 we do not want this", times=1)
    letters = members(4)
    answers = sent(client, letters)
    assert len(answers) == tried and answers[0].trouble and str(answers[0]) == "554 5.7.1 we do not want this"
    assert all(answer.accepted for answer in send_all(client, letters[tried:]))
    assert [got.recipients[0] for got in sink.messages] == [letter.recipient for letter in letters[1:]]
    assert sink.connections == 1


def test_a_slow_host_gives_the_caller_a_say_after_a_while(
    sink: SmtpSink, client: SmtpTransport, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp_client, "_LONGEST", 0.0)
    assert len(sent(client, members(4))) == 1
    assert len(sink.messages) == 1


@pytest.mark.needs("postfix")
@pytest.mark.skipif(os.geteuid() != 0, reason=NEEDS_ROOT)
def test_a_real_server_that_refuses_unasked_pipelining_takes_every_letter(sink: SmtpSink) -> None:
    rules = "check_recipient_access inline:{m7@example.org=REJECT}, permit"
    main = (
        f"relayhost = [127.0.0.1]:{sink.port}\nmynetworks = 127.0.0.0/8\n"
        f"smtpd_data_restrictions = reject_unauth_pipelining\nsmtpd_recipient_restrictions = {rules}\n"
    )
    with Postfix(main=main) as postfix:
        client = SmtpTransport(host="127.0.0.1", port=postfix.port, name="lists.example.org", timeout=20.0)
        answers = send_all(client, members(20))
        client.close()
        assert [place for place, answer in enumerate(answers) if not answer.accepted] == [7] and answers[7].refused
        came = {got.recipients[0]: got.mail_from for got in sink.wait_for(19)}
    assert came == {letter.recipient: letter.mail_from for letter in members(20) if "m7@" not in letter.recipient}


# --- several sessions -------------------------------------------------------------------------------------------------


def test_many_letters_go_over_as_many_sessions_as_are_allowed_and_few_over_one(sink: SmtpSink) -> None:
    client = transport(sink, connections=4)
    assert len(sent(client, members(9))) == 9 and sink.connections == 1
    assert all(answer.accepted for answer in client.send(members(200)) if answer) and sink.connections == 4
    client.close()
    assert len(sink.messages) == 209 and len({got.mail_from for got in sink.messages}) == 200
    assert verbs(sink).count("QUIT") == 4


def test_each_answer_belongs_to_its_letter_however_many_sessions_there_are(sink: SmtpSink) -> None:
    for number in range(0, 200, 7):
        sink.on("RCPT", f"550 5.1.1 no m{number}", match=f"<m{number}@")
    client = transport(sink, connections=4)
    answers = client.send(members(200))
    client.close()
    assert [str(answer) for answer in answers] == [
        f"550 5.1.1 no m{number}" if number % 7 == 0 else "250 2.0.0 taken" for number in range(200)
    ]


@pytest.mark.parametrize("reply", ["421 4.7.0 too many connections", CUT, STALL])
def test_a_host_that_lets_us_have_two_sessions_gets_all_over_two(sink: SmtpSink, reply: str) -> None:
    client = transport(sink, connections=4, timeout=0.2)
    sent(client, members(20))
    sink.on("BANNER", reply)
    assert all(answer is not None and answer.accepted for answer in client.send(members(100)))
    assert sink.connections == 3  # the third was not let in, and no fourth was tried
    assert all(answer is not None and answer.accepted for answer in client.send(members(100)))
    assert sink.connections == 3
    client.close()


@pytest.mark.parametrize("reply", ["421 4.7.0 enough for one connection", CUT])
def test_sessions_that_are_closed_under_way_leave_no_letter_behind(sink: SmtpSink, reply: str) -> None:
    sink.on("RCPT", reply, after=7)
    client = transport(sink, connections=4)
    assert all(answer is not None and answer.accepted for answer in client.send(members(100)))
    client.close()
    assert len(sink.messages) == 100 and len(set(sink.recipients())) == 100


def test_one_session_that_stalls_does_not_hold_up_the_others(sink: SmtpSink) -> None:
    sink.on("END", STALL, times=1)
    client = transport(sink, connections=4, end_timeout=0.3)
    answers = client.send(members(200))
    client.close()
    bad = [answer for answer in answers if answer is not None and not answer.accepted]
    assert [(answer.code, answer.step) for answer in bad] == [(0, "end")]
    assert sum(answer is not None for answer in answers) == len(sink.messages) + 1
    assert len(sink.messages) > 100


def test_trouble_on_one_session_lets_the_others_end_what_they_have_begun(sink: SmtpSink) -> None:
    sink.on("END", "554 5.7.1 no", match=".", times=1, first=True)
    client = transport(sink, connections=4)
    answers = client.send(members(200))
    tried = [answer for answer in answers if answer is not None]
    assert sum(answer.trouble for answer in tried) == 1 and len(tried) <= 8
    assert len(sink.messages) == len(tried) - 1
    client.close()


# --- sessions --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reply", ["421 4.4.2 idle for too long", CUT])
@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
def test_a_session_that_the_host_closed_while_idle_is_opened_again(
    sink: SmtpSink, client: SmtpTransport, step: str, reply: str
) -> None:
    sent(client, to("a@example.org"))
    sink.on(step, reply, times=1)
    assert [answer.accepted for answer in sent(client, to("b@example.org"))] == [True]
    assert sink.connections == 2 and sink.recipients() == ["a@example.org", "b@example.org"]


@pytest.mark.parametrize("reply", ["421 4.7.0 enough for one connection", CUT])
@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA"])
@pytest.mark.acceptance(67)
def test_a_host_that_closes_after_so_many_letters_gets_the_others_in_new_sessions(
    sink: SmtpSink, client: SmtpTransport, step: str, reply: str
) -> None:
    sink.on(step, reply, after=2)
    assert [answer.accepted for answer in sent(client, members(5))] == [True] * 5
    assert sink.connections == 3 and len(set(sink.recipients())) == len(sink.messages) == 5


@pytest.mark.parametrize(("reply", "code"), [("421 4.7.0 busy", 421), (CUT, 0)])
@pytest.mark.parametrize("step", ["MAIL", "RCPT", "DATA", "END"])
def test_a_host_that_closes_a_new_session_at_once_is_trouble_and_never_the_recipients_fault(
    sink: SmtpSink, client: SmtpTransport, step: str, reply: str, code: int
) -> None:
    sink.on(step, reply)
    (answer,) = sent(client, members(3))
    assert answer.trouble and not answer.refused and answer.code == code
    assert sink.connections == 1 and sink.messages == []


@pytest.mark.acceptance(70)
def test_a_cut_behind_the_final_dot_is_told_as_unknown_and_the_letter_is_not_sent_again_unasked(
    sink: SmtpSink, client: SmtpTransport
) -> None:
    sink.on("END", CUT, after=1)
    answers = sent(client, members(4))
    assert [answer.accepted for answer in answers] == [True, False]
    assert (answers[1].code, answers[1].step, answers[1].trouble) == (0, "end", True)
    # The third one's envelope was on its way already; its text was not, so it is as new.
    assert sink.recipients() == ["m0@example.org"] and sum(verb == "DATA" for verb in verbs(sink)) == 2


@pytest.mark.acceptance(69)
@pytest.mark.parametrize("step", ["BANNER", "EHLO", "MAIL", "RCPT", "DATA", "END"])
def test_a_host_that_says_nothing_is_given_up_in_time(sink: SmtpSink, step: str) -> None:
    client = transport(sink, timeout=0.1, end_timeout=0.1)
    sink.on(step, STALL, times=1)
    (answer,) = sent(client, members(2))
    assert answer.trouble and "timed out" in answer.text
    assert answer.step == {"BANNER": "connect", "EHLO": "connect"}.get(step, step.lower())
    assert all(again.accepted for again in send_all(client, members(2)))
    client.close()


def test_a_host_that_drips_an_answer_is_given_up_in_time() -> None:
    def talk(link: socket.socket) -> None:
        hello(link)
        until(link, b"DATA\r\n")
        pause = threading.Event()
        while True:
            link.sendall(b"2")
            pause.wait(0.05)

    with OddServer(talk) as server:
        client = SmtpTransport(host="127.0.0.1", port=server.port, name="x", timeout=0.2, end_timeout=0.2)
        (answer,) = sent(client, members(1))
    assert (answer.code, answer.step) == (0, "mail") and re.search("too long|timed out", answer.text)


@pytest.mark.parametrize("said", [b"HTTP/1.1 400 Bad Request\r\n", b"250-" + b"x" * 200_000, b"250-x\r\n" * 20_000])
def test_what_is_no_answer_ends_the_session(said: bytes) -> None:
    def talk(link: socket.socket) -> None:
        hello(link)
        until(link, b"DATA\r\n")
        link.sendall(said)
        until(link, b"never")

    with OddServer(talk) as server:
        client = SmtpTransport(host="127.0.0.1", port=server.port, name="x", timeout=5.0)
        (answer,) = sent(client, members(1))
    assert answer.trouble and (answer.code, answer.step) == (0, "mail") and len(answer.text) <= 510


def test_answers_may_come_in_any_pieces() -> None:
    def talk(link: socket.socket) -> None:
        hello(link)
        until(link, b"DATA\r\n")
        for byte in b"250-a\r\n250 b\r\n250 c\r\n354 d\r\n":
            link.sendall(bytes([byte]))
        until(link, b"\r\n.\r\n")
        link.sendall(b"250-2.0.0 taken\n250 as 4711\n")

    with OddServer(talk) as server:
        client = SmtpTransport(host="127.0.0.1", port=server.port, name="x", timeout=5.0)
        assert sent(client, members(1)) == [Answer(250, "2.0.0 taken as 4711", "end")]
        client.close()


def test_a_host_that_cannot_be_reached_costs_one_letter_one_try() -> None:
    nowhere = SmtpTransport(host="127.0.0.1", port=free_port(), name="lists.example.org", timeout=1.0)
    assert sent(nowhere, members(3)) == [Answer(0, "connect: Connection refused", "connect")]


def test_a_host_that_knows_no_ehlo_still_takes_mail(sink: SmtpSink, client: SmtpTransport) -> None:
    sink.on("EHLO", "502 5.5.1 what?")
    assert sent(client, to("a@example.org"))[0].accepted
    assert f"MAIL FROM:<{SENDER}>" in sink.commands


def test_a_mistake_of_ours_leaves_no_session_behind_that_waits_for_something_else(sink: SmtpSink) -> None:
    client = transport(sink, connections=2)
    no_letter: Any = None
    with pytest.raises(AttributeError):
        client.send([*members(30), no_letter, *members(30)])
    assert [answer is not None and answer.accepted for answer in client.send(members(30))] == [True] * 30
    assert sink.connections == 4
    client.close()


# --- what is said ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "address", ["a@example.org\r\nRCPT TO:<x@example.org", "a b@example.org", "a", "", "<a@b>", "\udc80@x"]
)
def test_an_address_that_is_none_never_reaches_the_wire(sink: SmtpSink, client: SmtpTransport, address: str) -> None:
    answers = sent(client, to("good@example.org", address, "fine@example.org"))
    assert [(answer.accepted, answer.refused) for answer in answers] == [(True, False), (False, True), (True, False)]
    assert sink.recipients() == ["fine@example.org", "good@example.org"]
    (answer,) = sent(client, to("good@example.org", "fine@example.org", mail_from="a@example.org>\r\nRSET"))
    assert answer.trouble and (answer.code, answer.step) == (553, "mail")
    assert len(sink.messages) == 2 and "RSET" not in verbs(sink)


def test_an_address_beyond_ascii_needs_a_host_that_takes_it(sink: SmtpSink, client: SmtpTransport) -> None:
    assert sent(client, to("jörg@example.org"))[0].accepted
    assert next(line for line in sink.commands if line.startswith("MAIL")).endswith(" SMTPUTF8")
    with SmtpSink(extensions=("PIPELINING",)) as plain:
        other = transport(plain)
        answers = sent(other, to("a@example.org", "jörg@example.org", "b@example.org"))
        other.close()
    assert [answer.refused for answer in answers] == [False, True, False]
    assert plain.recipients() == ["a@example.org", "b@example.org"]


def test_size_and_eight_bit_text_are_announced_for_each_letter(sink: SmtpSink, client: SmtpTransport) -> None:
    text = "Subject: x\r\n\r\nDichtung hält\r\n".encode()
    sent(client, [*to("a@example.org"), *to("b@example.org", data=text, head=b"X-Own: 1\r\n"), *to("c@example.org")])
    assert [line for line in sink.commands if line.startswith("MAIL")] == [
        f"MAIL FROM:<{SENDER}> SIZE={len(RAW)}",
        f"MAIL FROM:<{SENDER}> SIZE={len(text) + 10} BODY=8BITMIME",
        f"MAIL FROM:<{SENDER}> SIZE={len(RAW)}",
    ]


@pytest.mark.acceptance(3)
@pytest.mark.parametrize("data", [b"", b".", b".\r\n", b"..\r\n.\r\n", b"a\r\n.b\r\n..c\r\n.", b"x: y\r\n\r\n.\r\nz"])
def test_dots_at_line_starts_come_out_as_they_went_in(sink: SmtpSink, client: SmtpTransport, data: bytes) -> None:
    letters = to("a@example.org", "b@example.org", data=data)
    assert all(answer.accepted for answer in sent(client, letters))
    assert {got.data for got in sink.messages} == {data if not data or data.endswith(b"\r\n") else data + b"\r\n"}
    assert len(sink.messages) == 2


def test_a_large_letter_goes_out_whole(sink: SmtpSink, client: SmtpTransport) -> None:
    data = b"Subject: large\r\n\r\n" + b".line of a large letter\r\n" * 100_000
    assert all(
        answer.accepted for answer in sent(client, to("a@example.org", "b@example.org", data=data, head=b"X: 1\r\n"))
    )
    assert [got.data == b"X: 1\r\n" + data for got in sink.messages] == [True, True]


def test_what_a_host_says_is_kept_on_one_line_without_control_characters(sink: SmtpSink, client: SmtpTransport) -> None:
    sink.on("RCPT", "550-5.1.1 \x1b[31mno\r\n550 5.1.1 " + "x" * 600)
    (answer,) = sent(client, to("a@example.org"))
    assert answer.text.isprintable() and answer.text.startswith("5.1.1  [31mno 5.1.1 xxx") and len(answer.text) == 500


# --- encryption and sign-in ------------------------------------------------------------------------------------------


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    path = tmp_path / "sink.pem"
    path.write_text(CERTIFICATE)
    return path


@pytest.fixture
def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.mark.acceptance(76)
@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_mail_goes_encrypted_to_a_host_that_we_trust_and_not_at_all_to_another(
    tls: Any, certificate: Path, server_context: ssl.SSLContext
) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))
    with SmtpSink(("PIPELINING", "STARTTLS"), context=server_context, tls=tls == "tls") as sink:
        for context, taken in ((trusting, 3), (None, 0)):
            client = transport(sink, tls=tls, context=context)
            answers = sent(client, members(3))
            client.close()
            assert sum(answer.accepted for answer in answers) == taken
        assert "certificate" in answers[0].text.lower() and answers[0].step == "connect"
        assert len(sink.messages) == 3


@pytest.mark.acceptance(76)
def test_nothing_goes_in_the_clear_where_encryption_was_asked_for_and_not_offered(sink: SmtpSink) -> None:
    client = transport(sink, tls="starttls", user="tidings", password="secret")
    (answer,) = sent(client, to("a@example.org"))
    assert answer.step == "connect" and "STARTTLS" in answer.text and not answer.accepted
    assert [line[:4] for line in sink.commands] == ["ehlo"]


@pytest.mark.acceptance(76)
def test_where_encryption_is_tried_mail_goes_encrypted_to_a_host_that_offers_it_and_else_in_the_clear(
    sink: SmtpSink, certificate: Path, server_context: ssl.SSLContext
) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))
    with SmtpSink(("PIPELINING", "STARTTLS"), context=server_context) as offering:
        for host, said in ((offering, ["ehlo", "STARTTLS", "ehlo"]), (sink, ["ehlo"])):
            client = transport(host, tls="try", context=trusting)
            assert all(answer.accepted for answer in sent(client, members(2)))
            client.close()
            assert [line.split()[0] for line in host.commands[: len(said)]] == said
            assert host.commands[len(said)].startswith("MAIL") and len(host.messages) == 2


@pytest.mark.acceptance(76)
@pytest.mark.parametrize("trouble", ["a bad certificate", "454 4.7.0 not now", CUT])
def test_where_encryption_is_offered_and_fails_nothing_goes_in_the_clear(
    trouble: str, certificate: Path, server_context: ssl.SSLContext
) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))
    with SmtpSink(("PIPELINING", "STARTTLS"), context=server_context) as sink:
        if trouble != "a bad certificate":
            sink.on("STAR", trouble)
        client = transport(sink, tls="try", context=None if trouble == "a bad certificate" else trusting)
        (answer,) = sent(client, to("a@example.org", "b@example.org"))
        client.close()
    assert answer.step == "connect" and not answer.accepted
    assert [line.split()[0] for line in sink.commands] == ["ehlo", "STARTTLS"] and sink.messages == []


def test_what_was_slipped_in_behind_the_answer_to_starttls_is_not_believed(
    certificate: Path, server_context: ssl.SSLContext
) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))
    with SmtpSink(("SIZE 1000", "STARTTLS"), context=server_context) as sink:
        sink.on("STAR", "220 2.0.0 go on\r\n250-evil.example.org\r\n250 AUTH PLAIN")
        client = transport(sink, tls="starttls", context=trusting)
        assert sent(client, to("a@example.org"))[0].accepted
        client.close()
    assert f"MAIL FROM:<{SENDER}> SIZE={len(RAW)}" in sink.commands


def test_a_refused_sign_in_is_tried_again_later() -> None:
    with SmtpSink(("PIPELINING", "AUTH PLAIN")) as sink:
        sink.on("AUTH", "535 5.7.8 wrong password")
        client = transport(sink, user="tidings", password="wrong")
        assert sent(client, to("a@example.org", "b@example.org")) == [Answer(535, "5.7.8 wrong password", "connect")]
