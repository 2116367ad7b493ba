"""A real Postfix in front of Tidings and behind it: a post goes all the way, and refusals reach those they are for."""

import email
import os
import re
import smtplib
import socket
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from email.message import EmailMessage
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec
import pytest
from sqlalchemy import select

from tests.house import ROOT
from tests.postfix import NEEDS_ROOT, Postfix
from tests.running import RunningSite, message, settings_for, wait_until
from tests.signing import MadeUpDns, Signer
from tests.small_site import Program
from tests.smtp_sink import Received, SmtpSink
from tidings.archive import read
from tidings.communities import directory, joining
from tidings.database import tables
from tidings.mailer.verify import verify
from tidings.operations import neighbours
from tidings.settings import Settings, parse

NOW = datetime(2026, 10, 14, 9, 0, tzinfo=ZoneInfo("Europe/Berlin"))
PUMP = "pump@lists.example.org"
ANA, LI = "ana@example.org", "li@example.org"
needs_postfix = pytest.mark.needs("postfix")
pytestmark = pytest.mark.slow


@dataclass(frozen=True, kw_only=True)
class Neighbours:
    """A Postfix that hands mail of the communities over to `lmtp_port`, and all other mail to `sink`."""

    postfix: Postfix
    sink: SmtpSink
    lmtp_port: int

    def site(self, folder: Path) -> RunningSite:
        """A site between the two, with Ana and Li in its community `pump`."""
        settings = in_front(settings_for(folder), self.lmtp_port)
        delivery = msgspec.structs.replace(settings.delivery, host="127.0.0.1", port=self.postfix.port)
        running = RunningSite(msgspec.structs.replace(settings, delivery=delivery), NOW)
        with running.site.database.write() as connection:
            now = running.clock.now()
            joining.add_community(connection, name="pump", title="Pump team", zone="Europe/Berlin", now=now)
            for person, name in ((ANA, "Ana"), (LI, "Li")):
                joining.add_member(connection, community="pump", email=person, name=name, now=now)
        return running

    def send(self, made: EmailMessage | bytes, to: list[str], sender: str = ANA, options: tuple[str, ...] = ()) -> None:
        """Bring a message to Postfix, as any server outside does."""
        raw = made if isinstance(made, bytes) else made.as_bytes().replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
        with self.postfix.smtp() as client:
            client.sendmail(sender, to, raw, list(options))

    def received(self, recipient: str, count: int = 1, *, reports: bool = False) -> list[Received]:
        """What `recipient` gets of list mail, or of Postfix's reports, once there are `count`."""

        def found() -> list[Received]:
            return [one for one in self.sink.messages if recipient in one.recipients and (not one.mail_from) is reports]

        wait_until(
            lambda: len(found()) >= count, f"{count} mails for {recipient}; the log of Postfix:\n{self.postfix.log}"
        )
        return found()


@contextmanager
def kept_port() -> Iterator[int]:
    """A port that nothing else gets until the block ends, and that sites may listen at one after the other."""
    with socket.socket() as keeper:
        # Both sides say that they share it; as long as this one does not listen, the other may.
        keeper.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        keeper.bind(("127.0.0.1", 0))
        yield keeper.getsockname()[1]


def in_front(settings: Settings, port: int) -> Settings:
    """These settings with a listener for a Postfix in front."""
    smtp = msgspec.structs.replace(
        settings.smtp,
        listen=f"127.0.0.1:{port}",
        protocol="lmtp",
        trusted=["127.0.0.1"],
        authserv_id="mx.example.org",
        max_size=300_000,
    )
    return msgspec.structs.replace(settings, smtp=smtp)


@contextmanager
def neighbours_for(communities: Sequence[str] = (), *, shared: bool = False, more: str = "") -> Iterator[Neighbours]:
    """A Postfix with what is printed for these communities, `more` in main.cf, and a sink for all other mail."""
    if os.geteuid() != 0:
        (pytest.fail if os.environ.get("CI") == "true" else pytest.skip)(NEEDS_ROOT)
    with kept_port() as port, SmtpSink() as sink:
        lines = neighbours.postfix(in_front(Settings(), port), communities, shared=shared)
        main = f"{lines.main}relayhost = [127.0.0.1]:{sink.port}\n{more}"
        with Postfix(main=main, master=lines.master) as postfix:
            yield Neighbours(postfix=postfix, sink=sink, lmtp_port=port)
            assert postfix.complaints() == []


@pytest.fixture(scope="module")
def one_postfix() -> Iterator[Neighbours]:
    """A Postfix for the tests of this file, set up by nothing but what `tidings config postfix` prints."""
    with neighbours_for() as made:
        yield made


@pytest.fixture
def around(one_postfix: Neighbours) -> Neighbours:
    """The neighbours, with nothing in the sink."""
    one_postfix.sink.messages.clear()
    one_postfix.sink.forget()
    return one_postfix


def post(subject: str, message_id: str, text: str = "The new one.\n", sender: str = ANA) -> EmailMessage:
    return message(sender, PUMP, subject, text, message_id)


def archived(running: RunningSite) -> list[bytes]:
    """The raw bytes of what is in the archive of `pump`."""
    with running.site.database.read() as connection:
        community = directory.community(connection, "pump")
        return [one.raw for one in read.raw_posts(connection, community.id, limit=100)]


# --- all the way -----------------------------------------------------------------------------------------------------


@needs_postfix
def test_a_post_goes_through_postfix_to_tidings_and_through_postfix_to_the_members(
    around: Neighbours, tmp_path: Path
) -> None:
    with around.site(tmp_path):
        around.send(post("Seal leaks", "leak@example.org"), [PUMP])
        (mail,) = around.received(LI)
    copy = email.message_from_bytes(mail.data)
    assert copy["Message-ID"] == "<leak@example.org>"
    assert copy["List-Id"] is not None
    assert "The new one." in str(copy.get_payload())
    hops = copy.get_all("Received") or []
    assert "by mx.example.org (Postfix) with ESMTP" in " ".join(hops[0].split())
    assert around.postfix.waiting() == []


@needs_postfix
def test_bytes_come_through_as_they_were_signed(around: Neighbours, tmp_path: Path) -> None:
    signer = Signer()
    made = post("Seal leaks", "signed@example.org").as_bytes().replace(b"\n", b"\r\n")
    # 8-bit text, a line that Postfix would break by itself, and lines that begin with dots.
    body = "Die Dichtung näßt.\r\n".encode() + b"x" * 5_000 + b"\r\n.\r\n..\r\n"
    raw = signer.sign(made.replace(b"7bit", b"8bit").replace(b"The new one.\r\n", body), NOW, canonical="simple/simple")
    with around.site(tmp_path) as running:
        around.send(raw, [PUMP], options=("BODY=8BITMIME",))
        wait_until(lambda: len(archived(running)) == 1, "the post")
        (kept,) = archived(running)
    assert kept.endswith(raw)
    assert verify(kept, "example.org", dns=MadeUpDns(signer.record()), now=NOW).aligned


@needs_postfix
def test_addresses_and_fields_in_utf_8_come_through(around: Neighbours, tmp_path: Path) -> None:
    with around.site(tmp_path) as running:
        with running.site.database.write() as connection:
            joining.set_community(connection, "pump", {"posting": "open"}, running.clock.now())
        raw = "From: Jörg <jörg@example.org>\r\nSubject: Grüße\r\nMessage-ID: <u@example.org>\r\n\r\nHallo\r\n"
        with around.postfix.smtp() as client:
            client.ehlo()
            client.mail("jörg@example.org", ["SMTPUTF8"])
            assert client.rcpt(PUMP)[0] == 250
            assert client.data(raw.encode())[0] == 250
        (mail,) = around.received(LI)
    assert "\r\nSubject: Grüße\r\n".encode() in mail.data
    assert "jörg@example.org".encode() in mail.data


@needs_postfix
def test_a_copy_leaves_postfix_as_tidings_made_it(around: Neighbours, tmp_path: Path) -> None:
    made = post("Seal leaks", "bare@example.org")
    made["Cc"] = "bob"  # to which Postfix would put a domain of its own
    with around.site(tmp_path):
        around.send(made, [PUMP])
        (mail,) = around.received(LI)
    copy = email.message_from_bytes(mail.data)
    assert copy["Cc"] == "bob"
    assert copy["Date"] is None  # nor does it say when


@needs_postfix
def test_what_a_members_server_refuses_comes_back_through_postfix_and_counts_for_that_member(
    around: Neighbours, tmp_path: Path
) -> None:
    around.sink.on("RCPT", "550 5.1.1 No such user", match=LI)
    counted = select(tables.address.c.email, tables.bounce.c.status, tables.bounce.c.permanent).join_from(
        tables.bounce, tables.address
    )
    with around.site(tmp_path) as running:
        around.send(post("Seal leaks", "dead@example.org"), [PUMP])
        around.received(ANA)

        def bounces() -> list[tuple[str, str, bool]]:
            with running.site.database.read() as connection:
                return [tuple(row) for row in connection.execute(counted)]

        wait_until(lambda: bool(bounces()), "the report")
        assert bounces() == [(LI, "5.1.1", True)]
    assert [one for one in around.sink.messages if not one.mail_from] == []


# --- refusals --------------------------------------------------------------------------------------------------------


@needs_postfix
@pytest.mark.parametrize("address", ["valve@lists.example.org", f"pump+r.{'a' * 34}@lists.example.org"])
def test_who_does_not_exist_is_refused_before_the_message(around: Neighbours, tmp_path: Path, address: str) -> None:
    with around.site(tmp_path) as running:
        with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
            around.send(post("Hello", "h@example.org"), [address])
        assert running.settled()
    code, text = refused.value.recipients[address]
    assert code == 550
    assert b"5.1.1" in text
    assert around.sink.messages == []


@needs_postfix
@pytest.mark.acceptance(15)
def test_each_recipient_has_a_reply_of_its_own(around: Neighbours, tmp_path: Path) -> None:
    guest = "guest@example.org"
    with around.site(tmp_path) as running:
        with running.site.database.write() as connection:
            now = running.clock.now()
            joining.add_community(connection, name="open", title="Open", zone="UTC", posting="open", now=now)
            joining.add_member(connection, community="open", email=LI, name="Li", now=now)
        around.send(post("Hello", "g@example.org", sender=guest), [PUMP, "open@lists.example.org"], sender=guest)
        (copy,) = around.received(LI)
        (mail,) = around.received(guest, reports=True)
        assert archived(running) == []
    assert b"open.lists.example.org" in copy.data
    report = mail.data.decode()
    assert "Final-Recipient: rfc822; pump@lists.example.org" in report
    assert "open@lists.example.org" not in re.findall(r"Final-Recipient: rfc822; (\S+)", report)
    assert re.search(r"Status: 5\.7\.\d", report)


@needs_postfix
def test_while_tidings_is_away_postfix_keeps_the_mail(around: Neighbours, tmp_path: Path) -> None:
    with around.site(tmp_path):
        around.send(post("First", "first@example.org"), [PUMP])
        around.received(LI)
    around.send(post("Second", "second@example.org"), [PUMP])
    wait_until(lambda: "status=deferred" in around.postfix.log, "a try that failed")
    with pytest.raises(smtplib.SMTPRecipientsRefused) as refused:
        around.send(post("Hello", "asked@example.org"), ["pump-owner@lists.example.org"])
    assert [code for code, _ in refused.value.recipients.values()] == [450]
    running = RunningSite(in_front(settings_for(tmp_path), around.lmtp_port), NOW)
    with running:
        around.postfix.flush()
        wait_until(lambda: len(archived(running)) == 2, "the second post")
    wait_until(lambda: around.postfix.waiting() == [], "an empty queue")


@needs_postfix
def test_what_tidings_takes_is_small_enough_for_its_copies_and_what_is_larger_comes_back(
    around: Neighbours, tmp_path: Path
) -> None:
    def filled(size: int, message_id: str) -> bytes:
        head = post("Big", message_id, text="").as_bytes().replace(b"\n", b"\r\n")
        return head + (b"x" * 70 + b"\r\n") * ((size - len(head)) // 72)

    with around.site(tmp_path) as running:
        limit = running.site.settings.smtp.max_size
        around.send(filled(limit - 1_000, "large@example.org"), [PUMP])
        (copy,) = around.received(LI)
        assert len(copy.data) > limit - 1_000
        around.send(filled(limit + 1_000, "larger@example.org"), [PUMP])
        (report,) = around.received(ANA, reports=True)
        assert len(archived(running)) == 1
    assert b"Final-Recipient: rfc822; pump@lists.example.org" in report.data
    assert b"size" in report.data


@needs_postfix
@pytest.mark.acceptance(51)
def test_results_that_a_stranger_wrote_in_the_name_of_postfix_are_taken_away(
    around: Neighbours, tmp_path: Path
) -> None:
    forged = post("Hello", "ar@example.org").as_bytes().replace(b"\n", b"\r\n")
    for field in (
        b"Authentication-Results: mx.example.org; dkim=pass header.d=example.org",
        b"authentication-results :\r\n\tMX.example.org; dmarc=pass header.from=example.org",
        b"Authentication-Results: mx.other.example; dkim=pass header.d=example.org",
    ):
        forged = field + b"\r\n" + forged
    with around.site(tmp_path) as running:
        around.send(forged, [PUMP])
        wait_until(lambda: len(archived(running)) == 1, "the post")
        (kept,) = archived(running)
    assert re.findall(rb"(?i)authentication-results ?:\s*(\S+);", kept) == [b"mx.other.example"]


# --- a domain with other mailboxes -----------------------------------------------------------------------------------


@needs_postfix
def test_of_a_shared_domain_only_the_communities_are_for_tidings(tmp_path: Path) -> None:
    others = "mydestination = lists.example.org\nalias_maps = inline:{ anna=anna }\nlocal_transport = smtp:$relayhost\n"
    with neighbours_for(["pump", "valve"], shared=True, more=others) as around, around.site(tmp_path) as running:
        around.send(post("Hello", "s1@example.org"), [PUMP])
        around.received(LI)
        around.send(post("Hello", "s2@example.org"), ["anna@lists.example.org"])
        around.received("anna@lists.example.org")
        for address in ("nosuch", "pump+r.aaaa", "pump-nothing"):
            with pytest.raises(smtplib.SMTPRecipientsRefused):
                around.send(post("Hello", "s3@example.org"), [f"{address}@lists.example.org"])
        around.send(post("", "s4@example.org", text="help\n"), ["pump-request@lists.example.org"])
        wait_until(running.settled, "the request")
        assert len(archived(running)) == 1


# --- what is printed -------------------------------------------------------------------------------------------------


SETTINGS = """\
[site]
domain = "lists.example.org"
[smtp]
listen = "127.0.0.1:8025"
protocol = "lmtp"
trusted = ["127.0.0.1"]
authserv_id = "mx.example.org"
"""


def test_the_page_shows_the_settings_and_what_is_printed_for_them(tmp_path: Path) -> None:
    page = (ROOT / "docs" / "postfix.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```[a-z]*\n(.*?)^```$", page, re.MULTILINE | re.DOTALL)
    assert SETTINGS in blocks
    (tmp_path / "tidings.toml").write_text(SETTINGS, encoding="utf-8")
    program = Program(tmp_path / "tidings.toml")
    assert program("config", "postfix").text in blocks
    for name in ("pump", "valve"):
        program("community", "add", name, "--name", name)
    program("community", "add", "team@mail.example.org", "--name", "A mailbox elsewhere", "--mailbox")
    assert program("config", "postfix", "--shared").text in blocks


@pytest.mark.parametrize("smtp", ['protocol = "smtp"', 'protocol = "lmtp"\nlisten = "127.0.0.1:0"'])
def test_lines_for_a_listener_that_postfix_cannot_hand_over_to_are_refused(tmp_path: Path, smtp: str) -> None:
    (tmp_path / "tidings.toml").write_text(f"[smtp]\n{smtp}\n", encoding="utf-8")
    assert "LMTP" in Program(tmp_path / "tidings.toml")("config", "postfix", status=2).err


@pytest.mark.parametrize(
    ("listen", "hop"),
    [
        ("0.0.0.0:24", "inet:127.0.0.1:24"),
        ("[::]:24", "inet:[::1]:24"),
        ("[fd00::7]:24", "inet:[fd00::7]:24"),
        ("mail.example.org:24", "inet:mail.example.org:24"),
    ],
)
def test_mail_is_handed_over_where_the_listener_is_reached(listen: str, hop: str) -> None:
    lines = neighbours.postfix(parse(f'[smtp]\nlisten = "{listen}"\nprotocol = "lmtp"\n'), [])
    assert f"lists.example.org=tidings:{hop} }}" in lines.main


def test_limits_are_those_of_the_settings() -> None:
    smtp = 'protocol = "lmtp"\nmax_size = 1000000\nmax_recipients = 7\nmax_line = 5000\n'
    lines = neighbours.postfix(parse(f"[smtp]\n{smtp}"), [])
    assert "message_size_limit = 1065536\n" in lines.main
    assert "tidings_destination_recipient_limit = 7\n" in lines.main
    assert "-o lmtp_line_length_limit=5000\n" in lines.master
    assert "header_checks" not in lines.main  # no name to guard
