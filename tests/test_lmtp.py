"""LMTP: what differs from SMTP, above all a reply for each recipient that is true of it (RFC 2033)."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import text

from tests.dying import Dying
from tests.raw_smtp import NOW, OPEN, PUMP, Listening, Wire, mail
from tests.running import RunningSite, wait_until
from tidings.communities import joining
from tidings.database.engine import Database
from tidings.mailer import reply_codes
from tidings.settings import load

ACCEPTED = reply_codes.S250_ACCEPTED
SMALL, OWNER = "small@lists.example.org", "pump+owner@lists.example.org"


@pytest.fixture
def running(sqlite_database: Database) -> Iterator[Listening]:
    with Listening(sqlite_database, protocol="lmtp", max_size=100_000) as listening:
        with sqlite_database.write() as connection:
            add_small(connection)
        yield listening


def add_small(connection) -> None:
    joining.add_community(connection, name="small", title="Small", zone="UTC", posting="open", now=NOW)
    joining.set_community(connection, "small", {"max-size": "20 kB"}, NOW)


@pytest.fixture
def wire(running: Listening) -> Iterator[Wire]:
    with running.open() as made:
        yield made


def replies(wire: Wire, content: bytes, *to: str, sender: str = "ana@example.org") -> list[str]:
    """What is said of a message for each of its recipients."""
    wire.begin(sender, *to).send(content + b".\r\n")
    return [wire.reply() for _ in to]


def test_lmtp_is_greeted_by_lhlo_only(running: Listening) -> None:
    with running.wire() as wire:
        assert wire.reply() == "220 lists.example.org LMTP Tidings"
        assert wire.say("EHLO client.example.org") == reply_codes.S500_UNKNOWN_COMMAND
        assert wire.say("HELO client.example.org") == reply_codes.S500_UNKNOWN_COMMAND
        assert wire.say("MAIL FROM:<ana@example.org>") == reply_codes.S503_BAD_SEQUENCE
        offered = wire.say("LHLO client.example.org").split("\n")
        # RFC 2033 5: PIPELINING and ENHANCEDSTATUSCODES are a must.
        assert {"250-SIZE 100000", "250-8BITMIME", "250-SMTPUTF8", "250-PIPELINING"} <= set(offered)
        assert "250-ENHANCEDSTATUSCODES" in offered
        assert wire.data(mail()) == ACCEPTED
        assert wire.say("QUIT") == reply_codes.S221_GOODBYE


def test_smtp_is_not_greeted_by_lhlo(sqlite_database: Database) -> None:
    with Listening(sqlite_database) as running, running.open() as wire:
        assert wire.say("LHLO client.example.org") == reply_codes.S500_UNKNOWN_COMMAND


@pytest.mark.acceptance(15)
def test_of_three_recipients_each_is_told_what_became_of_its_own(wire: Wire, running: Listening) -> None:
    said = replies(wire, mail(body="x" * 30_000), PUMP, SMALL, OPEN)
    assert said[0] == said[2] == ACCEPTED
    assert said[1].startswith("552 5.3.4 It has 3")
    assert [(one.recipient, one.via) for one in running.spooled()] == [(PUMP, "lmtp"), (OPEN, "lmtp")]
    assert replies(wire, mail(sender="x@example.org"), OPEN, PUMP, SMALL)[1].startswith("550 5.7.2 Only members")
    assert [one.recipient for one in running.spooled()][2:] == [OPEN, SMALL]


@pytest.mark.acceptance(15)
def test_only_recipients_that_rcpt_accepted_are_answered(wire: Wire, running: Listening) -> None:
    wire.send(
        f"MAIL FROM:<ana@example.org>\r\nRCPT TO:<{PUMP}>\r\nRCPT TO:<nosuch@lists.example.org>\r\nRCPT TO:<{OPEN}>"
    )
    assert [wire.reply()[:3] for _ in range(4)] == ["250", "250", "550", "250"]
    wire.say("DATA")
    wire.send(mail() + b".\r\nNOOP\r\n")
    assert [wire.reply() for _ in range(3)] == [ACCEPTED, ACCEPTED, reply_codes.S250_OK]


def test_a_recipient_that_was_named_twice_is_answered_twice_and_kept_once(wire: Wire, running: Listening) -> None:
    assert replies(wire, mail(), PUMP, PUMP.upper(), OWNER) == [ACCEPTED] * 3
    assert [one.recipient for one in running.spooled()] == [PUMP, OWNER]


def test_where_nobody_takes_it_nothing_is_kept(wire: Wire, running: Listening) -> None:
    said = replies(wire, mail(body="x" * 30_000, sender="x@example.org"), PUMP, SMALL)
    assert [one[:9] for one in said] == ["550 5.7.2", "552 5.3.4"]
    assert running.spooled() == []


def test_what_is_wrong_with_the_whole_message_is_said_to_each(
    wire: Wire, running: Listening, caplog: pytest.LogCaptureFixture
) -> None:
    assert replies(wire, b"x\r\n" * 40_000, PUMP, OPEN) == [reply_codes.S552_TOO_BIG] * 2
    assert replies(wire, mail("Received: x\r\n" * 31), PUMP, OWNER) == [reply_codes.S554_TOO_MANY_HOPS] * 2
    with running.database.write() as connection:
        connection.execute(text("ALTER TABLE spool RENAME TO gone"))
    assert replies(wire, mail(), PUMP, OPEN) == [reply_codes.S451_LOCAL_ERROR] * 2
    with running.database.write() as connection:
        connection.execute(text("ALTER TABLE gone RENAME TO spool"))
    assert replies(wire, b"a\nb\r\n", PUMP, OPEN) == [reply_codes.S550_BARE_LINE_ENDS] * 2
    assert wire.closed()
    assert running.spooled() == []


@pytest.mark.slow
@pytest.mark.parametrize(
    "protocol",
    [pytest.param("smtp", marks=pytest.mark.acceptance(14)), pytest.param("lmtp", marks=pytest.mark.acceptance(15))],
)
def test_killed_after_the_commit_and_before_the_replies_it_has_one_copy_when_asked_again(
    tmp_path: Path, protocol: str
) -> None:
    config = tmp_path / "tidings.toml"
    config.write_text(f'[smtp]\nlisten = "127.0.0.1:0"\nprotocol = "{protocol}"\n[web]\nlisten = "127.0.0.1:0"\n')
    recipients = [PUMP, SMALL, OPEN]
    running = RunningSite(load(config), NOW, parts=("smtp", "worker"))
    with running.site.database.write() as connection:
        joining.add_community(connection, name="pump", title="Pump", zone="UTC", posting="open", now=NOW)
        joining.add_community(connection, name="open", title="Open", zone="UTC", posting="open", now=NOW)
        add_small(connection)
    content = mail(body="x" * 30_000)
    hello = "LHLO" if protocol == "lmtp" else "EHLO"
    dying = Dying(config)
    with Wire(dying.port).open(hello) as wire:
        wire.begin("ana@example.org", *recipients).send(content + b".\r\n")
        assert wire.closed(), "no reply for any recipient"
    assert dying.died()
    kept = [PUMP, OPEN] if protocol == "lmtp" else recipients
    assert [one.recipient for one in running.site.spool.waiting(9)] == kept
    with running:
        with Wire(running.ports.smtp).open(hello) as wire:
            wire.begin("ana@example.org", *recipients).send(content + b".\r\n")
            codes = [wire.reply()[:9] for _ in (recipients if protocol == "lmtp" else [1])]
            assert codes == (["250 2.0.0", "552 5.3.4", "250 2.0.0"] if protocol == "lmtp" else ["250 2.0.0"])
        wait_until(running.settled, "an empty spool")
        with running.site.database.read() as connection:
            posts = connection.execute(text("SELECT c.name FROM post p JOIN community c ON c.id = p.community_id"))
            assert sorted(posts.scalars()) == ["open", "pump"]
