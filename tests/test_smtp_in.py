"""The SMTP listener over a raw socket: what 250 means, and what is refused with which words."""

import asyncio
import socket
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from sqlalchemy import text

from tests.running import RunningSite, settings_for, wait_until
from tidings.communities import joining
from tidings.mailer import reply_codes
from tidings.mailer.spool import Accepted, GroupCommit, Spool
from tidings.settings import Settings

NOW = datetime(2026, 10, 14, 9, 0, tzinfo=ZoneInfo("Europe/Berlin"))


class Wire:
    """A client that says exactly what it is told to."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._reader = self.socket.makefile("rb")

    def reply(self) -> str:
        """One reply, its lines joined."""
        lines = []
        while True:
            line = self._reader.readline().decode().rstrip("\r\n")
            lines.append(line)
            if line[3:4] != "-":
                return "\n".join(lines)

    def say(self, data: bytes | str) -> str:
        self.socket.sendall(data if isinstance(data, bytes) else data.encode() + b"\r\n")
        return self.reply()

    def open(self) -> "Wire":
        assert self.reply().startswith("220 lists.example.org")
        self.greeting = self.say("EHLO client.example.org")
        return self

    def data(self, content: bytes, sender: str = "ana@example.org", to: str = "pump@lists.example.org") -> str:
        """The reply to a whole message."""
        assert self.say(f"MAIL FROM:<{sender}>").startswith("250")
        assert self.say(f"RCPT TO:<{to}>").startswith("250")
        assert self.say("DATA").startswith("354")
        return self.say(content + b".\r\n")

    def close(self) -> None:
        self._reader.close()
        self.socket.close()


def mail(header: str = "", body: str = "Hello", sender: str = "ana@example.org") -> bytes:
    return f"From: {sender}\r\nMessage-ID: <1@example.org>\r\n{header}\r\n{body}\r\n".encode()


@pytest.fixture
def running(tmp_path: Path) -> Iterator[RunningSite]:
    """A site that only takes mail in."""
    more = "[limits]\nheader_bytes = 4096\n"
    settings = settings_for(tmp_path, more=more)
    with RunningSite(settings, NOW, parts=("smtp",)) as site:
        with site.site.database.write() as connection:
            joining.add_community(connection, name="pump", title="Pump", zone="UTC", now=NOW)
            joining.add_community(connection, name="open", title="Open", zone="UTC", posting="open", now=NOW)
            joining.add_member(connection, community="pump", email="ana@example.org", now=NOW)
        yield site


@pytest.fixture
def wire(running: RunningSite) -> Iterator[Wire]:
    made = Wire(running.ports.smtp).open()
    yield made
    made.close()


def with_smtp(settings: Settings, **changes: int) -> Settings:
    return msgspec.structs.replace(settings, smtp=msgspec.structs.replace(settings.smtp, **changes))


def spooled(running: RunningSite) -> list[bytes]:
    return [one.raw for one in running.site.spool.waiting(1000)]


def test_the_greeting_offers_what_is_true(wire: Wire) -> None:
    offered = {line[4:].split()[0] for line in wire.greeting.split("\n")}
    assert {"SIZE", "8BITMIME", "SMTPUTF8", "PIPELINING"} <= offered
    assert "ENHANCEDSTATUSCODES" not in offered, "not while a reply such as this has none"
    assert wire.say("DATA") == "503 Error: need RCPT command"


def test_250_means_that_the_bytes_are_committed(wire: Wire, running: RunningSite) -> None:
    assert wire.data(mail()) == reply_codes.S250_ACCEPTED
    assert spooled(running) == [mail()]


def test_dots_are_unstuffed(wire: Wire, running: RunningSite) -> None:
    wire.data(mail(body="..\r\n..leading"))
    assert spooled(running)[0].endswith(b"\r\n.\r\n.leading\r\n")


@pytest.mark.acceptance(7)
def test_what_is_not_here_is_refused_at_rcpt(wire: Wire) -> None:
    wire.say("MAIL FROM:<ana@example.org>")
    for address in ("nosuch", "pump+nosuch", "pump+r.abc", '"x@elsewhere.example.org"', "pump%elsewhere.example.org"):
        assert wire.say(f"RCPT TO:<{address}@lists.example.org>") == reply_codes.S550_NO_SUCH_ADDRESS, address
    assert wire.say("RCPT TO:<someone@elsewhere.example.org>") == reply_codes.S550_RELAY_DENIED
    assert wire.say("RCPT TO:<PUMP@LISTS.example.ORG>").startswith("250")


def test_mail_to_two_communities_is_taken_for_each(wire: Wire, running: RunningSite) -> None:
    wire.say("MAIL FROM:<ana@example.org>")
    for name in ("pump", "open"):
        wire.say(f"RCPT TO:<{name}@lists.example.org>")
    wire.say("DATA")
    assert wire.say(mail() + b".\r\n") == reply_codes.S250_ACCEPTED
    assert [one.recipient for one in running.site.spool.waiting(9)] == [
        "pump@lists.example.org",
        "open@lists.example.org",
    ]


@pytest.mark.acceptance(38)
def test_a_stranger_is_refused_by_a_community_of_members_only(wire: Wire, running: RunningSite) -> None:
    assert wire.data(mail(sender="x@example.org")) == reply_codes.S550_COMMUNITY_CLOSED
    assert wire.data(mail(sender="x@example.org"), to="open@lists.example.org") == reply_codes.S250_ACCEPTED
    assert wire.data(mail(sender="Ana <ANA@example.org>")) == reply_codes.S250_ACCEPTED
    assert len(spooled(running)) == 2


def test_an_archived_community_says_so(wire: Wire, running: RunningSite) -> None:
    with running.site.database.write() as connection:
        joining.archive_community(connection, "pump", NOW)
    assert wire.data(mail()) == reply_codes.community_archived("pump")


@pytest.mark.acceptance(8)
def test_a_sender_that_no_address_can_be_is_refused_and_utf8_needs_its_extension(wire: Wire) -> None:
    assert wire.say("MAIL FROM:<jürgen@example.org>".encode() + b"\r\n") == reply_codes.S553_NEEDS_SMTPUTF8
    assert wire.say(b"MAIL FROM:<j\xfcrgen@example.org> SMTPUTF8\r\n") == reply_codes.S501_BAD_SENDER
    assert wire.say(f"MAIL FROM:<{'a' * 300}@example.org>") == reply_codes.S501_BAD_SENDER
    assert wire.say("MAIL FROM:<jürgen@example.org> SMTPUTF8".encode() + b"\r\n") == reply_codes.S250_SENDER


@pytest.mark.acceptance(34)
def test_more_than_30_received_fields_are_a_loop(wire: Wire) -> None:
    assert wire.data(mail("Received: from a by b\r\n" * 30)) == reply_codes.S250_ACCEPTED
    assert wire.data(mail("Received: from a by b\r\n" * 31)) == reply_codes.S554_TOO_MANY_HOPS


@pytest.mark.acceptance(5)
def test_a_message_that_says_it_is_too_big_is_refused_at_mail(wire: Wire) -> None:
    assert wire.say("MAIL FROM:<ana@example.org> SIZE=25000001") == reply_codes.S552_TOO_BIG


@pytest.mark.acceptance(5)
def test_a_message_that_is_too_big_is_refused_after_data_and_nothing_is_kept(tmp_path: Path) -> None:
    settings = with_smtp(settings_for(tmp_path), max_size=2048)
    with RunningSite(settings, NOW, parts=("smtp",)) as running:
        with running.site.database.write() as connection:
            joining.add_community(connection, name="open", title="Open", zone="UTC", posting="open", now=NOW)
        wire = Wire(running.ports.smtp).open()
        assert wire.data(mail(body="x" * 3000), to="open@lists.example.org") == reply_codes.S552_TOO_BIG
        assert wire.data(mail(), to="open@lists.example.org") == reply_codes.S250_ACCEPTED
        wire.close()
        assert spooled(running) == [mail()]


@pytest.mark.acceptance(1)
@pytest.mark.acceptance(2)
@pytest.mark.parametrize("ending", [b"\n.\n", b"\n.\r\n", b"\r\n.\n", b"\r.\r", b"\r\n.\r", b"\0.\r\n", b"\r\r\n.\r\n"])
def test_bare_line_ends_never_make_two_messages(wire: Wire, running: RunningSite, ending: bytes) -> None:
    smuggled = (
        b"MAIL FROM:<x@example.org>\r\nRCPT TO:<pump@lists.example.org>\r\nDATA\r\nFrom: x@example.org\r\n\r\nx\r\n"
    )
    assert wire.data(mail() + ending + smuggled) == reply_codes.S550_BARE_LINE_ENDS
    assert wire.reply() == "", "the connection is closed"
    assert spooled(running) == []


@pytest.mark.acceptance(6)
def test_the_101st_recipient_is_told_to_come_again(wire: Wire) -> None:
    wire.say("MAIL FROM:<ana@example.org>")
    replies = [wire.say("RCPT TO:<pump@lists.example.org>") for _ in range(101)]
    assert replies[:100] == [reply_codes.S250_RECIPIENT] * 100
    assert replies[100] == reply_codes.S452_TOO_MANY_RECIPIENTS


def test_a_long_body_line_is_taken(wire: Wire, running: RunningSite) -> None:
    assert wire.data(mail(body="x" * 60_000)) == reply_codes.S250_ACCEPTED
    assert len(spooled(running)[0]) > 60_000


def test_a_bug_of_ours_asks_the_sender_to_try_again_and_tells_nothing(wire: Wire, running: RunningSite) -> None:
    with running.site.spool_database.write() as connection:
        connection.execute(text("ALTER TABLE spool RENAME TO gone"))
    assert wire.data(mail()) == reply_codes.S451_LOCAL_ERROR
    with running.site.spool_database.write() as connection:
        connection.execute(text("ALTER TABLE gone RENAME TO spool"))
    assert wire.data(mail()) == reply_codes.S250_ACCEPTED


@pytest.mark.acceptance(11)
def test_one_connection_too_many_is_told_so_and_the_next_is_served(tmp_path: Path) -> None:
    settings = with_smtp(settings_for(tmp_path), max_connections=2)
    with RunningSite(settings, NOW, parts=("smtp",)) as running:
        first, second = Wire(running.ports.smtp).open(), Wire(running.ports.smtp).open()
        third = Wire(running.ports.smtp)
        assert third.reply() == reply_codes.S421_TOO_MANY_CONNECTIONS
        third.close()
        first.close()

        def served() -> bool:
            another = Wire(running.ports.smtp)
            answer = another.reply()
            another.close()
            return answer.startswith("220")

        wait_until(served, "a free place")
        second.close()


@pytest.mark.acceptance(13)
def test_a_client_that_vanishes_inside_data_leaves_nothing(wire: Wire, running: RunningSite) -> None:
    wire.say("MAIL FROM:<ana@example.org>")
    wire.say("RCPT TO:<pump@lists.example.org>")
    wire.say("DATA")
    wire.socket.sendall(mail())
    wire.close()
    other = Wire(running.ports.smtp).open()
    assert other.data(mail(body="Another")) == reply_codes.S250_ACCEPTED
    other.close()
    assert spooled(running) == [mail(body="Another")]


@pytest.mark.acceptance(13)
def test_a_client_that_vanishes_after_the_final_dot_is_stored_once(running: RunningSite) -> None:
    wire = Wire(running.ports.smtp).open()
    wire.say("MAIL FROM:<ana@example.org>")
    wire.say("RCPT TO:<pump@lists.example.org>")
    wire.say("DATA")
    with running.site.spool_database.write():  # the commit waits for us, the client for nobody
        wire.socket.sendall(mail() + b".\r\n")
        wait_until(lambda: running.server.listener.committing == 1, "the commit to begin")
        wire.close()
        wait_until(lambda: not running.server.listener.connections, "the connection to be lost")
    wait_until(lambda: spooled(running) == [mail()], "the message")


@pytest.mark.acceptance(16)
def test_ending_answers_what_is_committed_and_sends_the_others_away(tmp_path: Path) -> None:
    with RunningSite(settings_for(tmp_path), NOW, parts=("smtp",)) as running:
        wire = Wire(running.ports.smtp).open()
    assert wire.reply() == reply_codes.S421_SHUTTING_DOWN
    wire.close()


def test_many_connections_share_one_commit(sqlite_database) -> None:
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
