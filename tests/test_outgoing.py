"""What goes out: every copy signed, From only changed where the author's domain forbids it, the archive as it was."""

import email
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from email.message import Message
from pathlib import Path
from zoneinfo import ZoneInfo

import dkim
import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.running import RunningSite, message, settings_for
from tests.signing import MadeUpDns, rsa_key
from tests.smtp_sink import Received, SmtpSink
from tidings.app import open_site
from tidings.archive import read
from tidings.communities import directory, joining
from tidings.errors import SettingsError
from tidings.mailer import compose
from tidings.mailer.sign import DkimKey

NOW = datetime(2026, 10, 14, 9, 0, tzinfo=ZoneInfo("Europe/Berlin"))
DOMAIN = "lists.example.org"
PUMP = f"pump@{DOMAIN}"
ANA, LI, SAM = "ana@strict.example.org", "li@example.org", "sam@example.org"
KEY = DkimKey(domain=DOMAIN, selector="tidings", key=rsa_key())
DNS = {
    f"tidings._domainkey.{DOMAIN}": [KEY.record.encode()],
    "_dmarc.strict.example.org": [b"v=DMARC1; p=reject"],
}


@pytest.fixture
def sink() -> Iterator[SmtpSink]:
    with SmtpSink() as made:
        yield made


@pytest.fixture
def running(tmp_path: Path, sink: SmtpSink) -> Iterator[RunningSite]:
    """A site that signs, with Ana of a strict domain, Li, and Sam who reads digests."""
    pem = rsa_key().private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "dkim.pem").write_bytes(pem)
    settings = settings_for(tmp_path, sink, more='[dkim]\nkey_file = "dkim.pem"\n')
    with RunningSite(settings, NOW, dns=MadeUpDns(dict(DNS))) as site:
        with site.site.database.write() as connection:
            joining.add_community(connection, name="pump", title="Pump team", zone="Europe/Berlin", now=NOW)
            for person, delivery in ((ANA, "each"), (LI, "each"), (SAM, "weekly")):
                name = person.split("@")[0].title()
                joining.add_member(
                    connection, community="pump", email=person, name=name, delivery=delivery, role="owner", now=NOW
                )
        yield site


def signed(received: Received) -> Message:
    """The message, whose signature of ours dkimpy finds good."""

    def txt(name: bytes, timeout: int = 5) -> bytes:
        return DNS[name.decode().rstrip(".")][0]

    assert dkim.verify(received.data, dnsfunc=txt)
    parsed = email.message_from_bytes(received.data)
    (signature,) = parsed.get_all("DKIM-Signature")
    assert f"d={DOMAIN}; s=tidings;" in signature
    return parsed


@pytest.mark.acceptance(56)
def test_every_copy_of_a_post_is_signed_and_its_leave_link_with_it(running: RunningSite, sink: SmtpSink) -> None:
    running.post(message(LI, PUMP, "Seal", "It leaks.\n", "seal@example.org"))
    copies = [signed(received) for received in sink.wait_for(2)]
    assert len({parsed["List-Unsubscribe"] for parsed in copies}) == 2
    for parsed in copies:
        names = "".join(parsed["DKIM-Signature"].split()).partition(";h=")[2].partition(";")[0].split(":")
        assert {"list-unsubscribe", "list-unsubscribe-post", "from", "subject", "message-id"} <= set(names)
        assert parsed["From"] == LI


@pytest.mark.acceptance(45)
def test_a_copy_of_an_author_of_a_strict_domain_is_the_communitys_and_the_archive_keeps_the_author(
    running: RunningSite, sink: SmtpSink
) -> None:
    made = message(f"Ana <{ANA}>", PUMP, "Seal", "It leaks.\n", "seal@example.org")
    running.post(made, ANA, PUMP)
    for received in sink.wait_for(2):
        parsed = signed(received)
        assert parsed["From"] == f"Ana via Pump team <{PUMP}>"
        assert parsed["Reply-To"] == PUMP
        assert ANA in parsed["Cc"]
    with running.site.database.read() as connection:
        (post,) = read.newest(connection, directory.community(connection, "pump").id, 10)
        assert (post.author_name, post.author_email) == ("Ana", ANA)
        assert f"From: Ana <{ANA}>".encode() in read.raw(connection, post.id)


def test_where_replies_are_for_the_author_they_reach_the_author(running: RunningSite, sink: SmtpSink) -> None:
    with running.site.database.write() as connection:
        joining.set_community(connection, "pump", {"replies": "author"}, NOW)
    running.post(message(ANA, PUMP, "Seal", "It leaks.\n", "seal@example.org"))
    running.post(message(LI, PUMP, "Grease", "Which?\n", "grease@example.org"))
    answers = {str(parsed["Message-ID"]): parsed["Reply-To"] for parsed in map(signed, sink.wait_for(4))}
    assert answers == {"<seal@example.org>": ANA, "<grease@example.org>": None}


@pytest.mark.acceptance(61)
def test_what_a_community_adds_is_signed_and_the_archive_keeps_the_post_as_sent(
    running: RunningSite, sink: SmtpSink
) -> None:
    changes = {"subject-prefix": "[Pump]", "footer": "Grüße von {title}\n{post}"}
    with running.site.database.write() as connection:
        joining.set_community(connection, "pump", changes, NOW)
    running.post(message(ANA, PUMP, "Seal", "It leaks.\n", "seal@example.org"), ANA)
    for received in sink.wait_for(2):
        parsed = signed(received)
        assert parsed["Subject"] == "[Pump] Seal"
        link = f"{running.site.settings.site.base_url}/c/pump/m/seal@example.org/"
        text = parsed.get_payload(decode=True).decode()
        assert text == "It leaks.\r\n" + "_" * 40 + f"\r\nGrüße von Pump team\r\n{link}\r\n"
        template = compose.splice(received.data, remove=["DKIM-Signature", *compose.OWN_FIELDS], add=[])
        # Read by the standard library, a copy has the fields of the template and three of its own.
        assert [*parsed.items()][3:] == email.message_from_bytes(template).items()
    with running.site.database.read() as connection:
        (post,) = read.newest(connection, directory.community(connection, "pump").id, 10)
        assert (post.subject, post.text) == ("Seal", "It leaks.")
        assert read.raw(connection, post.id).endswith(b"\r\n\r\nIt leaks.\r\n")


def test_no_copy_has_a_token_of_somebodys_address_in_its_header(running: RunningSite, sink: SmtpSink) -> None:
    tokens = running.site.tokens
    item, back = tokens.item(1, 1, NOW.date()), tokens.return_path(1, NOW.date())
    made = message(
        LI, PUMP, "Seal", "It leaks.\n", "seal@example.org", Cc=f"pump+r.{item}@{DOMAIN}, Raj <raj@example.org>"
    )
    made["Received"] = f"from x by y for <pump-r.{item.upper()}@{DOMAIN}>; Wed, 14 Oct 2026 07:00:00 +0000"
    made["Delivered-To"] = f"pump+b.{back}@{DOMAIN}"
    made["X-Original-To"] = f"pump+confirm.{tokens.leave(1)}@{DOMAIN}"
    running.post(made, LI, PUMP)
    for received in sink.wait_for(2):
        head = received.data.partition(b"\r\n\r\n")[0].lower()
        assert not any(token.encode() in head for token in (item, back))
        assert not re.search(rb"[+-](confirm|r|b)\.", head)
        parsed = signed(received)
        assert (parsed["To"], parsed["Cc"].replace("\r\n", "")) == (PUMP, f"{PUMP}, Raj <raj@example.org>")


def test_a_digest_and_a_notice_are_signed(running: RunningSite, sink: SmtpSink) -> None:
    running.post(message(LI, PUMP, "Seal", "It leaks.\n", "seal@example.org"))
    sink.wait_for(2)
    running.clock.set(NOW + timedelta(days=7))
    running.server.run_due()
    edition = signed(sink.wait_for(3)[2])
    assert SAM in edition["To"]
    running.post(message(LI, f"pump+help@{DOMAIN}", "help", "help\n", "help@example.org"))
    notice = signed(sink.wait_for(4)[3])
    assert notice["Auto-Submitted"] == "auto-replied"


def test_a_key_that_cannot_be_read_is_said_before_anything_is_sent(tmp_path: Path) -> None:
    site = open_site(settings_for(tmp_path, more='[dkim]\nkey_file = "gone.pem"\n'))
    with pytest.raises(SettingsError, match=r"dkim\.key_file"):
        site.deliverer()
    site.close()
