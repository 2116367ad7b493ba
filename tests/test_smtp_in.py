"""The SMTP listener as a mail server meets it: what is offered, what 250 means, and who is refused with which words."""

import ast
import asyncio
import inspect
import re
import textwrap
from collections.abc import Iterator
from pathlib import Path

import aiosmtpd.lmtp
import aiosmtpd.smtp
import pytest
from sqlalchemy import text

from tests.raw_smtp import NOW, OPEN, PUMP, Listening, Wire, mail, running, shared, visitor, wire
from tests.running import wait_until
from tests.smtp_sink import CERTIFICATE
from tidings.communities import joining
from tidings.database.engine import Database
from tidings.errors import SettingsError
from tidings.mailer import reply_codes
from tidings.mailer.spool import Accepted, GroupCommit, Spool
from tidings.mailer.strict import Connection, in_our_words

FIXTURES = (running, shared, visitor, wire)


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    made = tmp_path / "chain.pem"
    made.write_text(CERTIFICATE)
    return made


# --- what is offered -------------------------------------------------------------------------------------------------


def test_the_greeting_offers_what_is_true(visitor: Wire) -> None:
    assert visitor.greeting.split("\n") == [
        "250-lists.example.org",
        "250-SIZE 25000000",
        "250-8BITMIME",
        "250-SMTPUTF8",
        "250-PIPELINING",
        "250-ENHANCEDSTATUSCODES",
        "250 HELP",
    ]


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("HELO client.example.org", "250 lists.example.org"),  # RFC 2034 2: these have no enhanced code
        ("NOOP", reply_codes.S250_OK),
        ("NOOP anything", reply_codes.S250_OK),
        ("RSET", reply_codes.S250_OK),
        ("RSET all", reply_codes.S501_BAD_ARGUMENTS),
        ("HELP", reply_codes.S214_HELP),
        ("HELP MAIL", reply_codes.S214_HELP),
        ("VRFY <pump@lists.example.org>", reply_codes.S252_NOT_VERIFIED),
        ("VRFY", reply_codes.S501_BAD_ARGUMENTS),
        ("VRFY <<", reply_codes.S502_NOT_DONE),
        ("EXPN pump", reply_codes.S502_NOT_DONE),
        ("EHLO", reply_codes.S501_BAD_ARGUMENTS),
        ("AUTH PLAIN AGEAYg==", reply_codes.S503_NO_AUTH),
        ("STARTTLS", reply_codes.S454_NO_TLS),
        ("BDAT 10 LAST", reply_codes.S500_UNKNOWN_COMMAND),
        ("", reply_codes.S500_UNKNOWN_COMMAND),
        ("mail from:<ana@example.org>", reply_codes.S250_SENDER),
        ("MAIL FROM: <ana@example.org>  BODY=8BITMIME SIZE=100", reply_codes.S250_SENDER),
        ("MAIL FROM:<>", reply_codes.S250_SENDER),
        ("MAIL FROM:ana@example.org", reply_codes.S250_SENDER),
        ('MAIL FROM:<"ana <x> b"@example.org>', reply_codes.S250_SENDER),
        ("MAIL FROM:<ana@example.org> BODY=BINARYMIME", reply_codes.S501_BAD_ARGUMENTS),
        ("MAIL FROM:<ana@example.org> SIZE=many", reply_codes.S501_BAD_ARGUMENTS),
        ("MAIL FROM:<ana@example.org> SIZE=\N{SUPERSCRIPT TWO}", reply_codes.S501_BAD_ARGUMENTS),
        ("MAIL FROM:<ana@example.org> SMTPUTF8=yes", reply_codes.S501_BAD_ARGUMENTS),
        ("MAIL FROM:<ana@example.org> RET=HDRS", reply_codes.S555_UNKNOWN_PARAMETER),
        ("MAIL FROM:<ana@example.org>SIZE=100", reply_codes.S501_BAD_SENDER),
        ("MAIL FROM:<ana@example.org", reply_codes.S501_BAD_SENDER),
        ("MAIL FROM:<a <b> c@example.org>", reply_codes.S501_BAD_SENDER),
        ('MAIL FROM:<"ana@example.org>', reply_codes.S501_BAD_SENDER),
        ("MAIL FROM:<@relay.example.org:ana@example.org>", reply_codes.S501_BAD_SENDER),
        ("MAIL ana@example.org", reply_codes.S501_BAD_ARGUMENTS),
        ("MAIL", reply_codes.S501_BAD_ARGUMENTS),
        ("RCPT TO:<pump@lists.example.org>", reply_codes.S503_BAD_SEQUENCE),
        ("QUIT now", reply_codes.S501_BAD_ARGUMENTS),
        ("QUIT", reply_codes.S221_GOODBYE),
    ],
)
def test_a_command_is_answered_with_an_enhanced_code(visitor: Wire, command: str, reply: str) -> None:
    assert visitor.say(command) == reply


@pytest.mark.parametrize(
    ("command", "reply"),
    [
        ("RCPT TO:<>", reply_codes.S501_BAD_RECIPIENT),
        ("RCPT TO:<<pump@lists.example.org>", reply_codes.S501_BAD_RECIPIENT),
        ("RCPT TO:<pump@lists.example.org> NOTIFY=NEVER", reply_codes.S555_UNKNOWN_PARAMETER),
        ("RCPT pump@lists.example.org", reply_codes.S501_BAD_ARGUMENTS),
        ("RCPT", reply_codes.S501_BAD_ARGUMENTS),
        ("DATA now", reply_codes.S503_BAD_SEQUENCE),
    ],
)
def test_a_command_after_mail_is_answered_with_an_enhanced_code(visitor: Wire, command: str, reply: str) -> None:
    visitor.say("MAIL FROM:<ana@example.org>")
    assert visitor.say(command) == reply


def test_data_takes_no_argument(visitor: Wire) -> None:
    visitor.say("MAIL FROM:<ana@example.org>")
    visitor.say(f"RCPT TO:<{PUMP}>")
    assert visitor.say("DATA now") == reply_codes.S501_BAD_ARGUMENTS
    assert visitor.say("DATA").startswith("354")


def test_after_helo_there_are_no_parameters(running: Listening) -> None:
    with running.wire() as wire:
        wire.reply()
        assert wire.say("HELO client.example.org") == "250 lists.example.org"
        assert wire.say("MAIL FROM:<ana@example.org> SIZE=100") == reply_codes.S501_BAD_ARGUMENTS
        assert wire.say("MAIL FROM:<ana@example.org>") == reply_codes.S250_SENDER
        assert wire.say(f"RCPT TO:<{PUMP}> X=1") == reply_codes.S501_BAD_ARGUMENTS


def _library_replies() -> Iterator[str]:
    """What the methods of aiosmtpd that are left to it push, with any name where a value is filled in."""
    ours = {*vars(Connection)} - {"smtp_STARTTLS"}  # which ends in the library's
    for kind in (aiosmtpd.smtp.SMTP, aiosmtpd.lmtp.LMTP):
        for name, method in inspect.getmembers(kind, inspect.iscoroutinefunction):
            if name in ours or name.startswith(("auth_", "_auth", "challenge")) or name == "check_auth_needed":
                continue
            yield from _pushed(ast.parse(textwrap.dedent(inspect.getsource(method))))


def _pushed(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        for part in ast.walk(node) if isinstance(node, ast.Call | ast.Assign | ast.AugAssign) else ():
            if isinstance(part, ast.JoinedStr):
                yield "".join(str(one.value) if isinstance(one, ast.Constant) else "name" for one in part.values)
            elif isinstance(part, ast.Constant) and isinstance(part.value, str):
                yield part.value


@pytest.mark.parametrize("status", sorted({one for one in _library_replies() if re.match(r"[245]\d\d ", one)}))
def test_every_reply_of_the_library_that_can_be_given_has_a_word_of_ours(status: str) -> None:
    replies = {value for name, value in vars(reply_codes).items() if name.isupper()}
    # RFC 2034 3: all but the greeting and the replies to HELO and EHLO.
    assert in_our_words(status, "MAIL") in replies or status in ("250 {}", "250 HELP")


def test_the_library_was_looked_through() -> None:
    found = set(_library_replies())
    assert {"503 Error: nested MAIL command", "220 Ready to start TLS", "502 EXPN not implemented"} <= found
    assert len(found) > 25


# --- what is taken ---------------------------------------------------------------------------------------------------


def test_250_means_that_the_bytes_are_committed(wire: Wire, running: Listening) -> None:
    assert wire.data(mail()) == reply_codes.S250_ACCEPTED
    (one,) = running.spooled()
    assert (one.raw, one.mail_from, one.recipient, one.peer, one.via) == (
        mail(),
        "ana@example.org",
        PUMP,
        "127.0.0.1",
        "smtp",
    )
    assert one.received_at == NOW


def test_the_null_return_path_is_empty_in_the_spool(wire: Wire, running: Listening) -> None:
    assert wire.data(mail(), sender="", to="pump+subscribe@lists.example.org") == reply_codes.S250_ACCEPTED
    assert [one.mail_from for one in running.spooled()] == [""]


@pytest.mark.parametrize(
    ("sent", "stored"),
    [
        (b"", b""),
        (b"\r\n", b"\r\n"),
        (b"..\r\n", b".\r\n"),
        (b"x\r\n..\r\n..y\r\n", b"x\r\n.\r\n.y\r\n"),
        (b"...\r\n\r\n", b"..\r\n\r\n"),
        (
            b"x" * 70_000 + b"\r\n..y\r\n" + b"z" * 200_000 + b"\r\n",
            b"x" * 70_000 + b"\r\n.y\r\n" + b"z" * 200_000 + b"\r\n",
        ),
        (b"12345678\r\n" * 30_000, b"12345678\r\n" * 30_000),
    ],
    ids=["nothing", "an empty line", "a dot", "dots", "two dots", "long lines", "many lines"],
)
def test_transparency_is_undone_and_nothing_else_is_changed(
    sqlite_database: Database, sent: bytes, stored: bytes
) -> None:
    with Listening(sqlite_database, max_line=1_000_000) as running, running.open() as wire:
        assert wire.data(sent, to=OPEN) == reply_codes.S250_ACCEPTED
        assert wire.data(mail(), to=OPEN) == reply_codes.S250_ACCEPTED, "the end was found where it is"
        assert running.raws() == [stored, mail()]


def test_the_end_is_found_wherever_the_bytes_are_parted(wire: Wire, running: Listening) -> None:
    content = b"x" * 65_530 + b"\r\n..\r\n\r\n.\r\n"
    for size in (1, 65_533, 65_535, 65_537, 65_540):
        wire.begin("ana@example.org", OPEN)
        for start in range(0, len(content), size) if size > 1 else (0,):
            wire.send(content[start : start + size] if size > 1 else content)
        assert wire.reply() == reply_codes.S250_ACCEPTED
    assert running.raws() == [b"x" * 65_530 + b"\r\n.\r\n\r\n"] * 5


def test_commands_may_come_together_and_are_answered_in_order(wire: Wire, running: Listening) -> None:
    wire.send(f"MAIL FROM:<ana@example.org>\r\nRCPT TO:<nosuch@lists.example.org>\r\nRCPT TO:<{PUMP}>\r\nDATA")
    assert [wire.reply()[:3] for _ in range(4)] == ["250", "550", "250", "354"]
    wire.send(mail() + b".\r\nMAIL FROM:<ana@example.org>\r\nRSET\r\nQUIT\r\n")
    assert [wire.reply()[:3] for _ in range(4)] == ["250", "250", "250", "221"]
    assert wire.closed()
    assert running.raws() == [mail()]


def test_mail_to_two_communities_is_taken_for_each_and_once_for_one(wire: Wire, running: Listening) -> None:
    wire.begin(
        "ana@example.org", PUMP, OPEN, PUMP.upper(), "pump+owner@lists.example.org", "pump-owner@lists.example.org"
    )
    assert wire.say(mail() + b".\r\n") == reply_codes.S250_ACCEPTED
    assert [one.recipient for one in running.spooled()] == [PUMP, OPEN, "pump+owner@lists.example.org"]


@pytest.mark.acceptance(38)
def test_a_stranger_is_refused_by_a_community_of_members_only(wire: Wire, running: Listening) -> None:
    assert wire.data(mail(sender="x@example.org")).startswith("550 5.7.2 Only members may write to pump")
    assert wire.data(mail(sender="x@example.org"), to=OPEN) == reply_codes.S250_ACCEPTED
    assert wire.data(mail(sender="Ana <ANA@example.org>")) == reply_codes.S250_ACCEPTED
    assert len(running.spooled()) == 2


def test_what_one_of_two_communities_would_refuse_is_kept_for_both_since_nobody_is_told(
    wire: Wire, running: Listening
) -> None:
    wire.begin("x@example.org", PUMP, OPEN)
    assert wire.say(mail(sender="x@example.org") + b".\r\n") == reply_codes.S250_ACCEPTED
    assert [one.recipient for one in running.spooled()] == [PUMP, OPEN], "intake holds the first"


def test_an_archived_community_says_so(wire: Wire, running: Listening) -> None:
    with running.database.write() as connection:
        joining.archive_community(connection, "pump", NOW)
    assert wire.data(mail()) == "550 5.2.1 The community pump is closed and takes no more mail."


def test_a_community_that_opens_while_mail_is_on_its_way_takes_it(wire: Wire, running: Listening) -> None:
    wire.begin("x@example.org")
    running.change("pump", posting="open")
    assert wire.say(mail(sender="x@example.org") + b".\r\n") == reply_codes.S250_ACCEPTED


@pytest.mark.acceptance(34)
def test_more_than_30_received_fields_are_a_loop(wire: Wire) -> None:
    assert wire.data(mail("Received: from a by b\r\n" * 30)) == reply_codes.S250_ACCEPTED
    assert wire.data(mail("Received: from a by b\r\n" * 31)) == reply_codes.S554_TOO_MANY_HOPS


def test_a_bug_of_ours_asks_the_sender_to_try_again_and_tells_nothing(
    wire: Wire, running: Listening, caplog: pytest.LogCaptureFixture
) -> None:
    with running.database.write() as connection:
        connection.execute(text("ALTER TABLE spool RENAME TO gone"))
    assert wire.data(mail()) == reply_codes.S451_LOCAL_ERROR
    assert "A bug while receiving mail" in caplog.text
    with running.database.write() as connection:
        connection.execute(text("ALTER TABLE gone RENAME TO spool"))
    assert wire.data(mail()) == reply_codes.S250_ACCEPTED


def test_a_bug_at_a_command_ends_the_connection(
    wire: Wire, running: Listening, caplog: pytest.LogCaptureFixture
) -> None:
    with running.database.write() as connection:
        connection.execute(text("ALTER TABLE community RENAME TO gone"))
    wire.say("MAIL FROM:<ana@example.org>")
    assert wire.say(f"RCPT TO:<{PUMP}>") == reply_codes.S451_LOCAL_ERROR
    assert wire.closed()
    assert "A bug while receiving mail" in caplog.text


# --- STARTTLS --------------------------------------------------------------------------------------------------------


def test_a_message_comes_in_over_tls(sqlite_database: Database, certificate: Path) -> None:
    with Listening(sqlite_database, tls_cert_file=str(certificate)) as running, running.open() as wire:
        assert "250-STARTTLS" in wire.greeting.split("\n")
        assert wire.say("STARTTLS") == reply_codes.S220_STARTTLS
        wire.start_tls()
        offered = wire.say("EHLO client.example.org").split("\n")
        assert not any("STARTTLS" in line or "AUTH" in line for line in offered)
        assert wire.say("STARTTLS") == reply_codes.S503_TLS_ALREADY
        content = mail(body="x\r\n" * 100_000)
        assert wire.data(content, to=OPEN) == reply_codes.S250_ACCEPTED
        assert running.raws() == [content]
        assert wire.say("QUIT") == reply_codes.S221_GOODBYE
        assert wire.closed()
        wire.close()
        wait_until(lambda: not running.listener.connections, "the connection to be forgotten")


def test_a_handshake_that_fails_leaves_no_connection_behind(sqlite_database: Database, certificate: Path) -> None:
    with Listening(sqlite_database, tls_cert_file=str(certificate)) as running, running.open() as wire:
        assert wire.say("STARTTLS") == reply_codes.S220_STARTTLS
        wire.send("EHLO in.the.clear")
        wait_until(lambda: not running.listener.connections, "the connection to be forgotten")


def test_a_certificate_that_cannot_be_used_is_named_at_the_start(sqlite_database: Database, tmp_path: Path) -> None:
    for name, content in (("absent.pem", None), ("empty.pem", "")):
        if content is not None:
            (tmp_path / name).write_text(content)
        listening = Listening(sqlite_database, tls_cert_file=str(tmp_path / name))
        with pytest.raises(SettingsError, match=f"smtp.tls_cert_file: .*{name}"):
            asyncio.run(listening.listener.start("127.0.0.1", 0))


# --- commits ---------------------------------------------------------------------------------------------------------


def test_many_connections_share_one_commit(sqlite_database: Database) -> None:
    spool = Spool(sqlite_database)
    sizes = []
    append = spool.append

    def counting(messages, *rest):
        sizes.append(len(messages))
        return append(messages, *rest)

    spool.append = counting

    async def run() -> None:
        group = GroupCommit(spool)
        one = Accepted(mail_from="a@example.org", recipient="p@x", peer="", via="smtp", received_at=NOW, raw=b"x")
        with sqlite_database.write():  # the first commit waits, and the others gather behind it
            tasks = [asyncio.create_task(group.append([one])) for _ in range(50)]
            while not sizes:
                await asyncio.sleep(0)
        await asyncio.gather(*tasks)
        group.close()

    asyncio.run(run())
    assert sum(sizes) == 50
    assert len(sizes) <= 3
    assert len(spool.waiting(100)) == 50
