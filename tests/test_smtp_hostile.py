"""Hostile and broken clients over a raw socket: part A of the acceptance list, line by line."""

import signal
import socket
import threading
import time
import tracemalloc
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from itertools import count
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.crashing import Life
from tests.raw_smtp import NOW, OPEN, PUMP, Listening, Wire, mail, running, shared, visitor, wire
from tests.running import RunningSite, settings_for, wait_until
from tests.smtp_sink import CERTIFICATE, SmtpSink
from tests.smtp_states import random_talks
from tidings.app import open_site
from tidings.communities import joining
from tidings.database.engine import Database
from tidings.errors import SettingsError
from tidings.mailer import reply_codes, smtp_in, strict
from tidings.settings import load

FIXTURES = (running, shared, visitor, wire)

SMUGGLED = b"MAIL FROM:<x@example.org>\r\nRCPT TO:<%s>\r\nDATA\r\nFrom: x@example.org\r\n\r\nx\r\n" % OPEN.encode()


# --- line ends -------------------------------------------------------------------------------------------------------


@pytest.mark.acceptance(1)
@pytest.mark.parametrize(
    "ending",
    [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r.\r\n", b"\r\n.\r", b"\0.\r\n", b"\r\n\0.\r\n", b"\r\r\n.\r\n"],
)
def test_no_other_end_of_data_than_the_true_one_makes_two_messages(
    visitor: Wire, shared: Listening, ending: bytes
) -> None:
    assert visitor.data(mail() + ending + SMUGGLED) == reply_codes.S550_BARE_LINE_ENDS
    assert visitor.closed()
    assert shared.raws() == []


@pytest.mark.acceptance(1)
def test_commands_behind_a_message_with_bare_line_ends_are_not_read(wire: Wire, running: Listening) -> None:
    wire.begin("ana@example.org", OPEN)
    wire.send(mail() + b"\n.\n.\r\n" + SMUGGLED + b".\r\n")
    assert wire.reply() == reply_codes.S550_BARE_LINE_ENDS
    assert wire.closed()
    assert running.raws() == []


@pytest.mark.acceptance(2)
@pytest.mark.parametrize("bare", [b"a\nb", b"a\rb", b"a\r\r\nb", b"a\n\r\nb", b"\n", b"\r"])
def test_a_bare_cr_or_lf_is_refused(visitor: Wire, shared: Listening, bare: bytes) -> None:
    assert visitor.data(mail() + bare + b"\r\n", to=OPEN) == reply_codes.S550_BARE_LINE_ENDS
    assert visitor.closed()
    assert shared.raws() == []


@pytest.mark.acceptance(2)
def test_a_trusted_server_may_have_its_line_ends_made_good_before_the_message_is_stored(
    sqlite_database: Database,
) -> None:
    with Listening(sqlite_database, line_ends="normalise", trusted=["127.0.0.1", "2001:db8::/32"]) as running:
        with running.open() as wire:
            assert wire.data(b"a\nb\rc\r\r\nd\n.\ne\r\n", to=OPEN) == reply_codes.S250_ACCEPTED
            assert wire.data(b"a\0b\r\n", to=OPEN) == reply_codes.S550_BARE_LINE_ENDS
        with running.open("127.0.0.2") as other:
            assert other.data(b"a\nb\r\n", to=OPEN) == reply_codes.S550_BARE_LINE_ENDS
        assert running.raws() == [b"a\r\nb\r\nc\r\n\r\nd\r\n.\r\ne\r\n"]


def test_a_trusted_network_that_is_none_is_named_at_the_start(sqlite_database: Database) -> None:
    with pytest.raises(SettingsError, match=r"smtp.trusted: 'mail.example.org' is no address"):
        Listening(sqlite_database, trusted=["mail.example.org"])


@pytest.mark.slow
@pytest.mark.acceptance(3)
def test_what_was_accepted_goes_out_as_it_came_in_and_as_often(tmp_path: Path) -> None:
    bodies = [
        b".\r\n", b"..\r\n.\r\n", b"a\r\n.\r\n\r\n..b\r\n", b"\r\n.\r\n", b"x" * 5_000 + b"\r\n.y\r\n",
        b"a\r\n.\nb\r\n", b"a\n.\r\nb\r\n", b"a\r.\rb\r\n", b"\r\n.\r\r\n", b"a\0\r\n",
    ]  # fmt: skip
    with SmtpSink() as sink, RunningSite(settings_for(tmp_path, sink), NOW, parts=("smtp", "worker")) as running:
        with running.site.database.write() as connection:
            joining.add_community(connection, name="open", title="Open", zone="UTC", posting="open", now=NOW)
            joining.add_member(connection, community="open", email="li@example.org", delivery="each", now=NOW)
        taken = []
        for number, body in enumerate(bodies * 2):
            raw = mail("Subject: x\r\n").replace(b"<1@", b"<%d@" % number).replace(b"Hello\r\n", body)
            with Wire(running.ports.smtp).open() as wire:
                if wire.begin("ana@example.org", OPEN).say(raw.replace(b"\r\n.", b"\r\n..") + b".\r\n")[:3] == "250":
                    taken.append(body)
        assert len(taken) == 10
        wait_until(lambda: len(sink.messages) == len(taken), "a copy of each")
        sent = [message.data.partition(b"\r\n\r\n")[2] for message in sink.messages]
        assert sorted(sent) == sorted(taken)


# --- lengths ---------------------------------------------------------------------------------------------------------


@pytest.mark.acceptance(4)
def test_a_command_line_has_a_limit(visitor: Wire) -> None:
    assert visitor.say("NOOP ".ljust(2_046, "x")) == reply_codes.S250_OK
    assert visitor.say("NOOP ".ljust(2_047, "x")) == reply_codes.S500_COMMAND_TOO_LONG
    assert visitor.say("NOOP") == reply_codes.S250_OK


@pytest.mark.acceptance(4)
def test_an_endless_command_line_is_refused_once_and_passed_over(wire: Wire, running: Listening) -> None:
    with flat_memory():
        for _ in range(320):
            wire.send(b"x" * 65_536)
        assert wire.say(b"\r\nNOOP\r\n") == reply_codes.S500_COMMAND_TOO_LONG
    assert wire.reply() == reply_codes.S250_OK


@pytest.mark.acceptance(4)
def test_a_line_of_a_message_has_a_limit_that_real_mail_does_not_meet(wire: Wire, running: Listening) -> None:
    for length, reply in ((65_534, reply_codes.S250_ACCEPTED), (65_535, reply_codes.S500_LINE_TOO_LONG)):
        assert wire.data(b"a\r\n" + b"x" * length + b"\r\nb\r\n", to=OPEN) == reply
        assert wire.data(b"x" * length + b"\r\n", to=OPEN) == reply
    assert len(running.raws()) == 2


class flat_memory:  # noqa: N801
    """Fails where the block ever took more than 2 MB."""

    def __enter__(self) -> None:
        tracemalloc.start()

    def __exit__(self, *_: object) -> None:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 2_000_000


@pytest.mark.acceptance(4)
@pytest.mark.acceptance(5)
def test_a_message_that_lied_about_its_size_is_refused_at_its_end_and_nothing_is_kept(
    sqlite_database: Database,
) -> None:
    with Listening(sqlite_database, max_size=50_000) as running, running.open() as wire:
        with flat_memory():
            assert wire.say("MAIL FROM:<ana@example.org> SIZE=1000") == reply_codes.S250_SENDER
            wire.say(f"RCPT TO:<{OPEN}>")
            wire.say("DATA")
            for _ in range(320):
                wire.send(b"12345678901234\r\n" * 4_096)
            assert wire.say(b".\r\n") == reply_codes.S552_TOO_BIG
        assert wire.data(b"1234567\r\n" * 5_556, to=OPEN) == reply_codes.S552_TOO_BIG, "4 bytes too many"
        assert wire.data(b".....678\r\n" * 5_000, to=OPEN) == reply_codes.S250_ACCEPTED, "dots of transparency are none"
        assert [len(raw) for raw in running.raws()] == [45_000]


@pytest.mark.acceptance(5)
def test_a_message_that_says_it_is_too_big_is_refused_at_mail(visitor: Wire) -> None:
    assert visitor.say("MAIL FROM:<ana@example.org> SIZE=25000001") == reply_codes.S552_TOO_BIG
    assert visitor.say("MAIL FROM:<ana@example.org> SIZE=" + "9" * 60) == reply_codes.S501_BAD_ARGUMENTS
    assert visitor.say("MAIL FROM:<ana@example.org> SIZE=25000000") == reply_codes.S250_SENDER


@pytest.mark.acceptance(6)
def test_the_101st_recipient_is_told_to_come_again_and_the_first_100_go_on(wire: Wire, running: Listening) -> None:
    wire.say("MAIL FROM:<ana@example.org>")
    replies = [wire.say(f"RCPT TO:<{PUMP}>") for _ in range(150)]
    assert replies == [reply_codes.S250_RECIPIENT] * 100 + [reply_codes.S452_TOO_MANY_RECIPIENTS] * 50
    wire.say("DATA")
    assert wire.say(mail() + b".\r\n") == reply_codes.S250_ACCEPTED
    assert [one.recipient for one in running.spooled()] == [PUMP]


# --- addresses -------------------------------------------------------------------------------------------------------


@pytest.mark.acceptance(7)
@pytest.mark.parametrize(
    ("path", "reply"),
    [
        ("<nosuch@lists.example.org>", reply_codes.S550_NO_SUCH_ADDRESS),
        ("<pump+nosuch@lists.example.org>", reply_codes.S550_NO_SUCH_ADDRESS),
        ("<someone@elsewhere.example.org>", reply_codes.S550_RELAY_DENIED),
        ("<someone>", reply_codes.S550_RELAY_DENIED),
        ("<pump%elsewhere.example.org@lists.example.org>", reply_codes.S550_NO_SUCH_ADDRESS),
        ("<elsewhere.example.org!ana@lists.example.org>", reply_codes.S550_NO_SUCH_ADDRESS),
        ('<"pump"@lists.example.org>', reply_codes.S550_NO_SUCH_ADDRESS),
        ('<"ana@elsewhere.example.org"@lists.example.org>', reply_codes.S550_NO_SUCH_ADDRESS),
        ("<@lists.example.org:ana@elsewhere.example.org>", reply_codes.S501_BAD_RECIPIENT),
        ("<@elsewhere.example.org:pump@lists.example.org>", reply_codes.S501_BAD_RECIPIENT),
        ("<ana@elsewhere.example.org@lists.example.org>", reply_codes.S550_NO_SUCH_ADDRESS),
        ("<pump@lists.example.org@elsewhere.example.org>", reply_codes.S550_RELAY_DENIED),
        ("<pump@[127.0.0.1]>", reply_codes.S550_RELAY_DENIED),
    ],
)
def test_nothing_is_relayed(visitor: Wire, path: str, reply: str) -> None:
    visitor.say("MAIL FROM:<ana@example.org>")
    assert visitor.say(f"RCPT TO:{path}") == reply
    assert visitor.say("DATA") == reply_codes.S503_BAD_SEQUENCE


@pytest.mark.acceptance(8)
@pytest.mark.parametrize("bad", [b"\r", b"\n", b"\0", b"\x1b", b"\x7f", b"\xfc"])
def test_what_no_address_may_hold_is_refused_and_the_rest_of_the_line_is_no_command(visitor: Wire, bad: bytes) -> None:
    sender, recipient = reply_codes.S501_BAD_SENDER, reply_codes.S501_BAD_RECIPIENT
    assert visitor.say(b"MAIL FROM:<a%bNOOP@example.org>\r\n" % bad) == sender
    assert visitor.say(b"MAIL FROM:<a%bNOOP@example.org> SMTPUTF8\r\n" % bad) == sender
    assert visitor.say("MAIL FROM:<ana@example.org>") == reply_codes.S250_SENDER
    assert visitor.say(b"RCPT TO:<pump%bNOOP@lists.example.org>\r\n" % bad) == recipient
    assert visitor.say(f"RCPT TO:<{PUMP}>") == reply_codes.S250_RECIPIENT


@pytest.mark.acceptance(8)
@pytest.mark.parametrize(
    "line",
    [b"RCPT TO:<pump@lists.example.org>\n", b"RCPT TO:<pump@lists.example.org>\r\r\n"],
)
def test_a_command_ends_in_crlf_only(visitor: Wire, line: bytes) -> None:
    visitor.say("MAIL FROM:<ana@example.org>")
    assert visitor.say(line) == reply_codes.S501_BAD_RECIPIENT
    visitor.send("DATA" if line.endswith(b"\r\n") else "the rest of that line\r\nDATA")
    assert visitor.reply() == reply_codes.S503_BAD_SEQUENCE
    assert visitor.say(b"NOOP\n") == reply_codes.S500_BAD_COMMAND_LINE


@pytest.mark.acceptance(8)
def test_addresses_that_are_not_ascii_need_the_extension_and_true_utf8(visitor: Wire) -> None:
    assert visitor.say("MAIL FROM:<jürgen@example.org>") == reply_codes.S553_NEEDS_SMTPUTF8
    assert visitor.say(f"MAIL FROM:<{'a' * 300}@example.org>") == reply_codes.S501_BAD_SENDER
    assert visitor.say("MAIL FROM:<ana@example.org>") == reply_codes.S250_SENDER
    assert visitor.say("RCPT TO:<pümp@lists.example.org>") == reply_codes.S553_NEEDS_SMTPUTF8
    visitor.say("RSET")
    assert visitor.say("MAIL FROM:<jürgen@example.org> SMTPUTF8") == reply_codes.S250_SENDER
    assert visitor.say("RCPT TO:<pümp@lists.example.org>") == reply_codes.S550_NO_SUCH_ADDRESS
    assert visitor.say(b"RCPT TO:<p\xc3@lists.example.org>\r\n") == reply_codes.S501_BAD_RECIPIENT
    assert visitor.say(f"RCPT TO:<{PUMP}>") == reply_codes.S250_RECIPIENT


# --- order -----------------------------------------------------------------------------------------------------------


@pytest.mark.acceptance(9)
def test_commands_out_of_order_are_refused(visitor: Wire) -> None:
    out_of_order = reply_codes.S503_BAD_SEQUENCE
    assert visitor.say("DATA") == out_of_order
    assert visitor.say(f"RCPT TO:<{PUMP}>") == out_of_order
    assert visitor.say("MAIL FROM:<ana@example.org>") == reply_codes.S250_SENDER
    assert visitor.say("MAIL FROM:<ana@example.org>") == out_of_order
    assert visitor.say("DATA") == out_of_order
    assert visitor.say(f"RCPT TO:<{PUMP}>") == reply_codes.S250_RECIPIENT
    assert visitor.say("RSET") == reply_codes.S250_OK
    assert visitor.say("DATA") == out_of_order
    assert [visitor.say("AUTH PLAIN AGEAYg==")[:9] for _ in range(2)] == ["503 5.5.1"] * 2


@pytest.mark.acceptance(9)
def test_without_a_greeting_there_is_no_mail(shared: Listening) -> None:
    with shared.wire() as wire:
        wire.reply()
        assert wire.say("MAIL FROM:<ana@example.org>") == reply_codes.S503_BAD_SEQUENCE
        assert wire.say(f"RCPT TO:<{PUMP}>") == reply_codes.S503_BAD_SEQUENCE


@pytest.mark.acceptance(9)
@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
def test_the_state_machine_is_that_of_the_model(sqlite_database: Database, protocol: str) -> None:
    random_talks(sqlite_database, protocol, seed=9, talks=1_000)


# --- STARTTLS --------------------------------------------------------------------------------------------------------


@pytest.mark.acceptance(10)
@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
def test_what_is_sent_behind_starttls_in_the_clear_is_thrown_away(
    sqlite_database: Database, tmp_path: Path, protocol: str
) -> None:
    certificate = tmp_path / "chain.pem"
    certificate.write_text(CERTIFICATE)
    with Listening(sqlite_database, protocol=protocol, tls_cert_file=str(certificate)) as running:
        with running.open() as wire:
            wire.say("MAIL FROM:<ana@example.org>")
            injected = f"{running.hello} x\r\nMAIL FROM:<evil@example.org>\r\nRCPT TO:<{OPEN}>\r\nRCPT TO"
            assert wire.say(f"STARTTLS\r\n{injected}") == reply_codes.S220_STARTTLS
            wire.start_tls()
            assert wire.say(":\r\nNOOP") == reply_codes.S500_UNKNOWN_COMMAND, "nothing of it is left"
            assert wire.reply() == reply_codes.S250_OK
            for command in (f"RCPT TO:<{OPEN}>", "DATA", "MAIL FROM:<ana@example.org>"):
                assert wire.say(command) == reply_codes.S503_BAD_SEQUENCE, "a greeting is wanted again"
            wire.say(f"{running.hello} client.example.org")
            assert wire.data(mail(), to=OPEN) == reply_codes.S250_ACCEPTED
        assert [one.mail_from for one in running.spooled()] == ["ana@example.org"]


# --- too many, too slow ----------------------------------------------------------------------------------------------


@pytest.mark.acceptance(11)
def test_a_thousand_idle_connections_of_one_address_leave_room_for_others(running: Listening) -> None:
    idle = [running.wire("127.0.0.66") for _ in range(1_000)]
    greetings = [one.reply() for one in idle]
    assert greetings.count(reply_codes.S421_TOO_MANY_CONNECTIONS) == 980
    with running.open() as wire:
        assert wire.data(mail()) == reply_codes.S250_ACCEPTED
    for one in idle:
        one.close()
    wait_until(lambda: not running.listener.connections, "the end of all")
    with running.open("127.0.0.66") as wire:
        assert wire.data(mail()) == reply_codes.S250_ACCEPTED


@pytest.mark.acceptance(11)
def test_one_connection_too_many_is_told_so_and_the_next_is_served(sqlite_database: Database) -> None:
    with Listening(sqlite_database, max_connections=2) as running:
        with running.open(), running.open("127.0.0.2"), running.wire("127.0.0.3") as third:
            assert third.reply() == reply_codes.S421_TOO_MANY_CONNECTIONS
            assert third.closed()
        wait_until(lambda: not running.listener.connections, "a free place")
        with running.open("127.0.0.3") as wire:
            assert wire.data(mail()) == reply_codes.S250_ACCEPTED


@pytest.mark.acceptance(11)
def test_a_trusted_server_may_have_more_connections(sqlite_database: Database) -> None:
    trusted, other = "127.0.0.2", "127.0.0.9"
    with (
        Listening(sqlite_database, max_per_address=1, trusted=["127.0.0.0/30"]) as running,
        running.open(trusted),
        running.open(trusted),
        running.open(other),
        running.wire(other) as wire,
    ):
        assert wire.reply() == reply_codes.S421_TOO_MANY_CONNECTIONS


@pytest.mark.acceptance(11)
def test_where_all_places_are_taken_the_one_that_idles_longest_gives_way(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp_in, "_IDLE", 0.0)
    with (
        Listening(sqlite_database, max_connections=3, trusted=["127.0.0.2"]) as running,
        running.open("127.0.0.2"),
        running.open("127.0.0.3").begin() as busy,
        running.open("127.0.0.4") as idle,
        running.open("127.0.0.5") as wire,
    ):
        assert idle.reply() == reply_codes.S421_MAKE_ROOM
        assert idle.closed()
        assert wire.data(mail()) == reply_codes.S250_ACCEPTED
        assert busy.say(mail() + b".\r\n") == reply_codes.S250_ACCEPTED


@pytest.mark.acceptance(11)
@pytest.mark.parametrize("drip", [b"", b"N", b"MAIL FROM:<"], ids=["nothing", "a byte", "half a command"])
def test_who_does_not_come_to_the_end_of_a_command_is_sent_away(sqlite_database: Database, drip: bytes) -> None:
    with Listening(sqlite_database, timeout=0.3) as running, running.open() as wire:
        said = b""
        while drip and not said:  # byte by byte, which puts nothing off
            wire.send(drip)
            drip = drip[-1:]
            said = heard(wire, 0.02)
        assert (said.decode().rstrip() or wire.reply()) == reply_codes.S421_TIMED_OUT


def heard(wire: Wire, seconds: float) -> bytes:
    """What is said within a moment."""
    wire.socket.settimeout(seconds)
    try:
        return wire.socket.recv(1_000)
    except TimeoutError:
        return b""
    finally:
        wire.socket.settimeout(20)


@pytest.mark.acceptance(11)
def test_a_command_line_without_end_is_cut_however_fast_it_comes(sqlite_database: Database) -> None:
    with Listening(sqlite_database, timeout=0.3) as running, running.open() as wire:
        with pytest.raises(ConnectionError):
            while True:
                wire.send(b"x" * 65_536)
        wait_until(lambda: not running.listener.connections, "the end of the connection")


@pytest.mark.acceptance(11)
def test_who_says_nothing_at_all_is_sent_away_sooner(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strict, "FIRST_COMMAND", 0.1)
    with Listening(sqlite_database) as running, running.wire() as wire:
        assert wire.reply().startswith("220")
        assert wire.reply() == reply_codes.S421_TIMED_OUT
        assert wire.closed()


@pytest.mark.acceptance(11)
def test_a_message_that_drips_is_cut_and_one_that_flows_is_not(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strict, "SLOWEST", 50_000)
    with Listening(sqlite_database, timeout=1) as running, running.open() as slow, running.open() as steady:
        slow.begin()
        steady.begin("ana@example.org", OPEN)
        sent, said = 0, b""
        while not said or sent < 600_000:  # the steady one goes on for longer than the slow one was let
            steady.send(b"12345678\r\n" * 2_000)
            sent += 20_000
            if not said:
                slow.send(b"x\r\n")
            said = said or heard(slow, 0.05)
            assert heard(steady, 0.01) == b""
        assert said.decode().rstrip() == reply_codes.S421_TIMED_OUT
        steady.send(b".\r\n")
        assert steady.reply() == reply_codes.S250_ACCEPTED
        assert [len(raw) for raw in running.raws()] == [sent]


@pytest.mark.acceptance(11)
def test_who_does_not_read_is_cut(sqlite_database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    with Listening(sqlite_database, timeout=0.3, max_idle_commands=10_000_000) as running, running.open() as wire:
        wire.socket.settimeout(0.2)
        with pytest.raises((TimeoutError, ConnectionError)):
            while True:
                wire.send(b"HELP\r\n" * 10_000)
        wait_until(lambda: not running.listener.connections, "the end of the connection")


@pytest.mark.acceptance(12)
def test_twenty_errors_end_a_connection(visitor: Wire) -> None:
    assert [visitor.say("XYZZY") for _ in range(20)] == [reply_codes.S500_UNKNOWN_COMMAND] * 20
    assert visitor.reply() == reply_codes.S421_TOO_MANY_ERRORS
    assert visitor.closed()


@pytest.mark.acceptance(12)
@pytest.mark.parametrize("command", ["NOOP", "RSET", "VRFY <a@b>", "HELP", "EHLO x"])
def test_a_hundred_commands_that_do_nothing_end_a_connection(visitor: Wire, command: str) -> None:
    replies = [visitor.say(command)[:3] for _ in range(100)]
    assert set(replies) <= {"250", "252", "214"}
    assert visitor.reply() == reply_codes.S421_TOO_IDLE
    assert visitor.closed()


@pytest.mark.acceptance(12)
def test_commands_between_messages_do_not_add_up(wire: Wire) -> None:
    for _ in range(3):
        assert [wire.say("RSET") for _ in range(60)] == [reply_codes.S250_OK] * 60
        assert wire.data(mail()) == reply_codes.S250_ACCEPTED


# --- big messages ----------------------------------------------------------------------------------------------------

BIG = b"12345678\r\n" * 20_000


def test_one_big_message_too_many_waits_for_its_turn_and_small_ones_do_not(sqlite_database: Database) -> None:
    with (
        Listening(sqlite_database, big_message=100_000, max_big=1) as running,
        running.open() as first,
        running.open() as second,
        running.open() as third,
    ):
        first.begin("ana@example.org", OPEN).send(BIG)
        wait_until(running.listener.big_messages.locked, "the first to take the only turn")
        second.begin("ana@example.org", OPEN).send(BIG + b".\r\n")
        assert third.data(mail()) == reply_codes.S250_ACCEPTED
        assert len(running.raws()) == 1, "the second waits"
        assert first.say(b".\r\n") == reply_codes.S250_ACCEPTED
        assert second.reply() == reply_codes.S250_ACCEPTED
        assert running.raws() == [mail(), BIG, BIG]
        assert first.data(BIG, to=OPEN) == reply_codes.S250_ACCEPTED, "the turn was given back"


def test_a_big_message_that_waits_too_long_is_asked_to_come_again(
    sqlite_database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(strict, "BIG_WAIT", 0.05)
    with Listening(sqlite_database, big_message=100_000, max_big=1) as running, running.open() as second:
        with running.open() as first:
            first.begin("ana@example.org", OPEN).send(BIG)
            wait_until(running.listener.big_messages.locked, "the first to take the only turn")
            assert second.data(BIG, to=OPEN) == reply_codes.S452_BUSY
        wait_until(lambda: not running.listener.big_messages.locked(), "the turn of the one who hung up")
        assert second.data(BIG, to=OPEN) == reply_codes.S250_ACCEPTED
        assert running.raws() == [BIG]


@pytest.mark.slow
@pytest.mark.acceptance(20)
def test_a_message_just_under_the_limit_takes_the_listener_at_most_four_times_its_size(tmp_path: Path) -> None:
    size = 25_000_000
    config = tmp_path / "tidings.toml"
    config.write_text(f'[smtp]\nlisten = "127.0.0.1:0"\nmax_size = {size}\n[web]\nlisten = "127.0.0.1:0"\n')
    site = open_site(load(config))
    with site.database.write() as connection:
        joining.add_community(connection, name="open", title="Open", zone="UTC", posting="open", now=NOW)
    head = mail("Content-Type: image/png\r\nContent-Transfer-Encoding: base64\r\n", body="")
    raw = head + (b"A" * 76 + b"\r\n") * ((size - len(head)) // 78)
    life = Life(config, "--only", "smtp")
    try:
        with Wire(life.port()).open() as wire:
            assert wire.data(mail(), to=OPEN) == reply_codes.S250_ACCEPTED, "what is loaded once is there now"
            before = life.memory("VmRSS")
            life.forget_peak()
            assert wire.data(raw + b"A" * 100 + b"\r\n", to=OPEN) == reply_codes.S552_TOO_BIG
            assert wire.data(raw, to=OPEN) == reply_codes.S250_ACCEPTED
        grown = life.memory("VmHWM") - before
    finally:
        life.end(signal.SIGTERM)
    assert site.spool.counts()["waiting"] == 2
    site.close()
    assert grown <= 4 * len(raw), f"{grown / len(raw):.2f} times"


# --- going away ------------------------------------------------------------------------------------------------------


@pytest.mark.acceptance(13)
def test_a_client_that_vanishes_inside_data_leaves_nothing(running: Listening) -> None:
    with running.open() as wire:
        wire.begin().send(mail())
    with running.open() as other:
        assert other.data(mail(body="Another")) == reply_codes.S250_ACCEPTED
    wait_until(lambda: not running.listener.connections, "the end of both")
    assert running.raws() == [mail(body="Another")]


@pytest.mark.acceptance(13)
@pytest.mark.parametrize("how", ["close", "reset", "half"])
def test_a_client_that_vanishes_after_the_final_dot_is_stored_once(running: Listening, how: str) -> None:
    wire = running.open().begin()
    with running.database.write():  # the commit waits for us, the client for nobody
        wire.send(mail() + b".\r\n")
        wait_until(lambda: running.listener.committing == 1, "the commit to begin")
        if how == "reset":
            wire.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        if how == "half":
            wire.socket.shutdown(socket.SHUT_WR)
        else:
            wire.close()
        wait_until(lambda: not running.listener.connections, "the connection to be lost")
    wait_until(lambda: running.raws() == [mail()], "the message")
    wire.close()


@pytest.mark.acceptance(16)
def test_ending_sends_away_who_waits_and_lets_a_running_message_come_in(running: Listening) -> None:
    with running.open() as idle, running.open() as sending, running.open() as waiting:
        sending.begin().send(mail())
        waiting.say("MAIL FROM:<ana@example.org>")
        wait_until(lambda: any(one.busy for one in running.listener.connections), "the message to begin")
        ending = running.begin_stop()
        assert idle.reply() == waiting.reply() == reply_codes.S421_SHUTTING_DOWN
        with pytest.raises(ConnectionError):
            running.wire()
        sending.send(b".\r\nNOOP\r\n")
        assert sending.reply() == reply_codes.S250_ACCEPTED
        assert sending.reply() == reply_codes.S421_SHUTTING_DOWN
        assert sending.closed()
        ending.result(20)
        assert running.raws() == [mail()]


@pytest.mark.acceptance(16)
def test_ending_does_not_wait_for_a_message_that_does_not_end(
    running: Listening, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(smtp_in, "_FINISH", 0.1)
    with running.open() as wire:
        wire.begin().send(mail())
        wait_until(lambda: any(one.busy for one in running.listener.connections), "the message to begin")
        running.begin_stop().result(20)
        assert wire.reply() == reply_codes.S421_SHUTTING_DOWN
        assert wire.closed()
    assert running.raws() == []


@pytest.mark.slow
@pytest.mark.acceptance(16)
def test_a_site_that_is_told_to_end_under_load_loses_nothing_and_is_gone_in_ten_seconds(tmp_path: Path) -> None:
    config = tmp_path / "tidings.toml"
    config.write_text('[smtp]\nlisten = "127.0.0.1:0"\n[web]\nlisten = "127.0.0.1:0"\n')
    site = open_site(load(config))
    with site.database.write() as connection:
        joining.add_community(connection, name="open", title="Open", zone="UTC", posting="open", now=NOW)
    life = Life(config)
    port = life.port()
    senders = [_Sender(port, number) for number in range(4)]
    with Wire(port).open() as idle, Wire(port).open().begin("ana@example.org", OPEN) as sending:
        for sender in senders:
            sender.start()
        wait_until(lambda: all(sender.taken for sender in senders), "load")
        began = time.monotonic()
        with ThreadPoolExecutor() as pool:
            ended = pool.submit(life.end, signal.SIGTERM)
            assert idle.reply() == reply_codes.S421_SHUTTING_DOWN
            assert sending.say(mail().replace(b"<1@", b"<last@") + b".\r\n") == reply_codes.S250_ACCEPTED
            assert sending.reply() == reply_codes.S421_SHUTTING_DOWN
            assert ended.result() == b""
        assert time.monotonic() - began < 10
    for sender in senders:
        sender.join()
    with site.database.read() as connection:
        archived = set(connection.execute(text("SELECT message_id FROM post")).scalars())
    waiting = {one.raw.partition(b"<")[2].partition(b">")[0].decode() for one in site.spool.waiting(100_000)}
    site.close()
    taken = {"last@example.org"}.union(*(sender.taken for sender in senders))
    assert taken <= archived | waiting


class _Sender(threading.Thread):
    """Sends until it is sent away."""

    def __init__(self, port: int, number: int) -> None:
        super().__init__()
        self._port, self._number = port, number
        self.taken: set[str] = set()

    def run(self) -> None:
        with Wire(self._port).open() as wire:
            for number in count():
                name = f"{self._number}.{number}@example.org"
                try:
                    codes = [
                        wire.say(line)[:3] for line in ("MAIL FROM:<ana@example.org>", f"RCPT TO:<{OPEN}>", "DATA")
                    ]
                    if (
                        codes[-1] != "354"
                        or wire.say(mail().replace(b"1@example.org", name.encode()) + b".\r\n")[:3] != "250"
                    ):
                        return
                except OSError:
                    return
                self.taken.add(name)


# --- other protocols -------------------------------------------------------------------------------------------------


@pytest.mark.acceptance(16)
@pytest.mark.parametrize(
    "hello",
    [
        b"GET / HTTP/1.1\r\nHost: lists.example.org\r\n\r\n",
        b"POST / HTTP/1.1\r\nContent-Length: 200\r\n\r\nEHLO x\r\nMAIL FROM:<x@example.org>\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(range(1, 200)),
        b"\x16\x03\x01",
    ],
    ids=["GET", "POST", "HTTP/2", "TLS hello", "first bytes of TLS"],
)
def test_who_speaks_another_protocol_is_told_so_and_sent_away(shared: Listening, hello: bytes) -> None:
    with shared.wire() as wire:
        wire.reply()
        assert wire.say(hello) == reply_codes.S500_NO_MAIL
        assert wire.closed()


def test_a_message_may_begin_like_tls(running: Listening) -> None:
    with running.open() as wire:
        assert wire.data(b"\x16\x03\x01\r\n", to=OPEN) == reply_codes.S250_ACCEPTED


# --- guessing --------------------------------------------------------------------------------------------------------


def guess(running: Listening, wire: Wire, sender: str = "ana@example.org", token: str = "wrong") -> str:
    wire.say("RSET")
    assert wire.say(f"MAIL FROM:<{sender}>") == reply_codes.S250_SENDER
    return wire.say(f"RCPT TO:<pump+r.{token}@lists.example.org>")


def test_who_guesses_at_tokens_is_sent_away_for_an_hour(
    sqlite_database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    with Listening(sqlite_database, max_guesses=3) as running:
        good = running.tokens.item(1, 1, NOW.date())
        with running.open("127.0.0.7") as wire:
            assert [guess(running, wire) for _ in range(2)] == [reply_codes.S550_NO_SUCH_ADDRESS] * 2
            assert guess(running, wire) == reply_codes.S421_TOO_MANY_GUESSES
            assert wire.closed()
        assert "127.0.0.7 tried too many wrong tokens" in caplog.text
        with running.open("127.0.0.7") as wire:
            assert wire.data(mail()) == reply_codes.S250_ACCEPTED, "posts are no guesses"
            assert guess(running, wire, token=good) == reply_codes.S421_TOO_MANY_GUESSES
        with running.open("127.0.0.8") as other:
            assert guess(running, other, token=good) == reply_codes.S250_RECIPIENT
        running.clock.advance(timedelta(hours=1))
        with running.open("127.0.0.7") as wire:
            assert guess(running, wire, token=good) == reply_codes.S250_RECIPIENT


def test_behind_a_trusted_server_each_sender_guesses_alone(sqlite_database: Database) -> None:
    with Listening(sqlite_database, max_guesses=2, trusted=["127.0.0.1"]) as running, running.open() as wire:
        for sender in ("x@example.org", "y@example.org"):
            assert guess(running, wire, sender) == reply_codes.S550_NO_SUCH_ADDRESS
        assert guess(running, wire, "x@example.org") == reply_codes.S421_TOO_MANY_GUESSES
