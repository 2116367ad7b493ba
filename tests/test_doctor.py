"""`tidings doctor`: what a site needs is tried on real servers, and whatever is wrong is named with what to type."""

import re
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import dns.message
import dns.rcode
import dns.resolver
import dns.rrset
import pytest
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from msgspec.structs import replace
from sqlalchemy import Connection, text

from tests import feeds
from tests.dovecot import Dovecot
from tests.fake_model import fake_model
from tests.hostile_imap import HostileImap
from tests.house import ROOT
from tests.running import RunningSite, settings_for
from tests.signing import MadeUpDns, Signer, rsa_key
from tests.small_site import ANA, LI, WEDNESDAY, Makings, Program, SmallSite, any_site, from_ana, makings, small_site
from tests.smtp_sink import CERTIFICATE, STALL, SmtpSink
from tests.sockets import free_port
from tidings.clock import FixedClock
from tidings.communities import joining, standing
from tidings.communities.directory import Member
from tidings.database import engine, tables
from tidings.mailer import resolver
from tidings.mailer.resolver import SystemDns
from tidings.mailer.spool import Accepted
from tidings.operations import doctor
from tidings.operations.doctor import CHECKS, Check, Finding, examine, machine
from tidings.operations.doctor.site import Result

FIXTURES = (makings, small_site, any_site)
DOMAIN = "lists.example.org"
DKIM = f"tidings._domainkey.{DOMAIN}"
SIGNER = Signer(domain=DOMAIN, selector="tidings")
SITE = '[site]\nadmins = ["admin@example.org"]\nbase_url = "https://tidings.example.org"\n'
OF_DATABASE = {check.name for check in CHECKS if check.reads == "database"}


def good_dns(**more: Any) -> MadeUpDns:
    """The DNS of a domain that has all it needs."""
    records = {DOMAIN: [b"v=spf1 mx ~all"], f"_dmarc.{DOMAIN}": [b"v=DMARC1; p=none"], **SIGNER.record()}
    return MadeUpDns(records, hosts={DOMAIN: ["mail.example.org"]}, **more)


def examined(site: SmallSite, more: str = "", *, own: str = SITE, dns: Any = None, **how: Any) -> list[Finding]:
    """What the doctor finds of a site; each failure has to say what to do, and what is well nothing."""
    folder = Path(site.site.settings.site.data_dir)
    database = site.site.settings.database.url
    listen = "" if "[smtp]" in more else f'[smtp]\nlisten = "127.0.0.1:{free_port()}"\n'
    stored = "" if "[database]" in more else f'[database]\nurl = "{database}"\n'
    (folder / "tidings.toml").write_text(f"{own}{stored}{listen}{more}")
    found = list(examine(folder / "tidings.toml", clock=site.clock, dns=dns or good_dns(), **how))
    for one in found:
        assert one.todo or one.state != "failed", one
        assert not one.todo or one.state != "ok", one
        assert "Traceback" not in one.detail
        assert not re.search(r"[\r\n]|\.\.$", one.detail + one.todo), "a line each"
    return found


def finding(check: str, site: SmallSite, more: str = "", **how: Any) -> Finding:
    """What one check says of a site."""
    (found,) = [one for one in examined(site, more, **how) if one.check == check]
    return found


def said(check: str, site: SmallSite, more: str = "", **how: Any) -> tuple[str, str]:
    """The state that one check finds, and in which words."""
    found = finding(check, site, more, **how)
    return found.state, f"{found.detail} {found.todo}".strip()


def own_pump(connection: Connection, site: SmallSite) -> Member:
    """Make Ana an owner."""
    now = site.clock.now()
    return joining.set_member(connection, community="pump", email=ANA, changes={"role": "owner"}, now=now)


def key_file(site: SmallSite, key: RSAPrivateKey | None = None, name: str = "dkim.pem") -> str:
    """Settings of a key that signs; it lies in the site's folder."""
    pem = (key or rsa_key()).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (Path(site.site.settings.site.data_dir) / name).write_bytes(pem)
    return f'[dkim]\nkey_file = "{name}"\n'


def smart_host(port: int, **more: str) -> str:
    """Settings of a smart host."""
    lines = [f'{name} = "{value}"\n' for name, value in more.items()]
    return f'[delivery]\nhost = "127.0.0.1"\nport = {port}\n{"".join(lines)}'


@pytest.fixture
def trust() -> ssl.SSLContext:
    """A context that trusts the sink's certificate."""
    return ssl.create_default_context(cadata=CERTIFICATE[CERTIFICATE.index("-----BEGIN CERT") :])


@pytest.fixture
def serving(tmp_path: Path) -> ssl.SSLContext:
    """A context that serves with that certificate."""
    (tmp_path / "sink.pem").write_text(CERTIFICATE)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "sink.pem")
    return context


@pytest.fixture(scope="module")
def dovecot() -> Iterator[Dovecot]:
    with Dovecot() as server:
        yield server


# --- the whole -------------------------------------------------------------------------------------------------------


def test_a_site_with_all_it_needs_is_ok_throughout(
    any_site: SmallSite, trust: ssl.SSLContext, serving: ssl.SSLContext
) -> None:
    with any_site.site.database.write() as connection:
        own_pump(connection, any_site)
    with SmtpSink(context=serving, tls=True) as sink:
        more = smart_host(sink.port, tls="tls") + key_file(any_site)
        found = examined(any_site, more, context=trust)
    assert [one for one in found if one.state != "ok"] == []
    rare = ("smart host of a route", "mailbox", "plus-addressing", "summaries")
    expected = [check.name for check in CHECKS if check.name not in rare]
    assert [one.check for one in found] == ["settings", "database", *expected]


def test_settings_that_cannot_be_read_are_all_that_is_said(tmp_path: Path) -> None:
    config = tmp_path / "tidings.toml"
    clock, dns = FixedClock(WEDNESDAY), MadeUpDns()
    (found,) = examine(config, clock=clock, dns=dns)
    assert (found.check, found.state) == ("settings", "failed")
    assert "tidings init" in found.detail and "tidings config example" in found.todo
    config.write_text('[site]\nzone = "Mars"\n')
    (found,) = examine(config, clock=clock, dns=dns)
    assert "site.zone" in found.detail


def test_a_check_that_breaks_has_failed_with_its_error(
    small_site: SmallSite, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def breaks(_: object) -> Result:
        raise ZeroDivisionError("by\nnothing")

    monkeypatch.setattr(doctor, "CHECKS", (Check(name="bug", run=breaks), *CHECKS[-1:]))
    with caplog.at_level("DEBUG", doctor.__name__):
        found = examined(small_site)
    assert [one.check for one in found] == ["settings", "database", "bug", "failed deliveries"], "the others go on"
    assert found[2].detail == "The check broke: ZeroDivisionError: by nothing."
    assert "TIDINGS_LOG=DEBUG" in found[2].todo
    assert "ZeroDivisionError" in caplog.text, "the log has where it happened"


def test_no_check_is_waited_for_longer_than_it_may_take(small_site: SmallSite, monkeypatch: pytest.MonkeyPatch) -> None:
    over = threading.Event()

    def hangs(_: object) -> None:
        over.wait(60)

    monkeypatch.setattr(doctor, "CHECKS", (Check(name="slow", run=hangs), *CHECKS[-1:]))
    found = examined(small_site, seconds=1)
    over.set()
    assert [(one.check, one.state) for one in found[2:]] == [("slow", "failed"), ("failed deliveries", "ok")]
    assert found[2].detail == "It took longer than 1 seconds."


def test_every_check_stands_in_the_commands_page() -> None:
    page = (ROOT / "docs" / "commands.md").read_text(encoding="utf-8")
    assert [check.name for check in CHECKS if f"`{check.name}`" not in page] == []


# --- this machine ----------------------------------------------------------------------------------------------------


def test_a_database_that_is_not_made_yet_is_not_made_by_looking(tmp_path: Path, makings: Makings) -> None:
    config = tmp_path / "tidings.toml"
    config.write_text(f'[smtp]\nlisten = "127.0.0.1:{free_port()}"\n')
    with SmallSite(tmp_path / "other", makings) as other:
        found = {one.check: one for one in examine(config, clock=other.clock, dns=good_dns())}
    assert found["database"].state == "warning"
    assert "tidings community list" in found["database"].todo
    assert not OF_DATABASE & set(found)
    assert not list(tmp_path.glob("*.db"))
    assert found["disk"].state == "ok"


def test_a_folder_that_is_not_there_is_named_and_not_made(small_site: SmallSite) -> None:
    found = examined(small_site, own='[site]\ndata_dir = "gone"\n')
    (database,) = [one for one in found if one.check == "database"]
    assert database.state == "failed"
    assert re.fullmatch(r"`mkdir -p .*gone`", database.todo)
    assert not {"spool", "disk", "clock"} & {one.check for one in found}
    assert not (Path(small_site.site.settings.site.data_dir) / "gone").exists()


@pytest.mark.parametrize(
    ("at", "todo"), [("0001", "End an older `tidings serve`"), ("9999", "Use the newer Tidings"), (None, "begins it")]
)
def test_a_database_of_another_release_is_told_apart_and_not_read(
    any_site: SmallSite, at: str | None, todo: str
) -> None:
    for database, table in (
        (any_site.site.database, "schema_version"),
        (any_site.site.spool_database, "spool_schema_version"),
    ):
        with database.write() as connection:
            connection.execute(text(f"DELETE FROM {table}"))
            if at:
                connection.execute(text(f"INSERT INTO {table} VALUES (:at)"), {"at": at})
    found = {one.check: one for one in examined(any_site)}
    assert found["database"].state == ("failed" if at else "warning")
    assert todo in found["database"].todo
    assert not OF_DATABASE & set(found)


def test_a_file_that_is_no_database_and_a_server_that_is_not_there_are_named(small_site: SmallSite) -> None:
    (Path(small_site.site.settings.site.data_dir) / "other.db").write_bytes(b"Dear all, " * 1000)
    state, words = said("database", small_site, '[database]\nurl = "sqlite:///other.db"\n')
    assert state == "failed" and "file is not a database" in words and "database.url" in words
    url = f"postgresql+psycopg://tidings:hunter2@127.0.0.1:{free_port()}/tidings"
    state, words = said("database", small_site, f'[database]\nurl = "{url}"\n')
    assert state == "failed" and "refused" in words and "hunter2" not in words
    state, words = said("database", small_site, '[database]\nurl = "mysql://127.0.0.1/x"\n')
    assert state == "failed" and "sqlite and postgresql" in words


@pytest.mark.needs("postgres")
def test_a_server_that_takes_no_writes_is_named(tmp_path: Path, makings: Makings, postgres_url: str) -> None:
    with SmallSite(tmp_path, makings, postgres_url) as site:
        assert said("spool", site) == ("ok", "Mail that comes in can be kept.")
        with site.site.database.write() as connection:
            name = connection.execute(text("SELECT current_database()")).scalar_one()
            connection.execute(text(f"ALTER DATABASE {name} SET default_transaction_read_only = on"))
        state, words = said("spool", site)
    assert (state, words.partition(" Name")[0]) == ("failed", "The database takes no writes.")


def test_a_spool_that_somebody_else_holds_is_named(small_site: SmallSite, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(engine, "BUSY_MILLISECONDS", 20)
    with small_site.site.spool_database.write():
        state, words = said("spool", small_site)
    assert state == "failed" and "database is locked" in words


def test_a_disk_that_fills_is_a_warning_before_it_is_a_failure(
    small_site: SmallSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(machine, "_LITTLE_SPACE", 1)
    assert finding("disk", small_site).state == "ok"
    monkeypatch.setattr(machine, "_LITTLE_SPACE", 1 << 80)
    assert finding("disk", small_site).state == "warning"
    monkeypatch.setattr(machine, "_NO_SPACE", 1 << 80)
    assert finding("disk", small_site).state == "failed"


def test_a_clock_before_what_was_done_is_wrong_but_for_a_demo(any_site: SmallSite) -> None:
    assert said("clock", any_site) == ("ok", "It is 2026-10-14 09:00 in Europe/Berlin.")
    any_site.take_in(from_ana("A seal", "It leaks.\n", "seal@example.org"))
    any_site.clock.advance(timedelta(seconds=-30))
    assert finding("clock", any_site).state == "ok", "two machines are never quite of one mind"
    any_site.clock.advance(timedelta(days=-1))
    state, words = said("clock", any_site)
    assert state == "failed" and "2026-10-13 08:59" in words and "decided on at 2026-10-14 09:00" in words
    assert finding("clock", any_site, own=f"{SITE}demo = true\n").state == "ok"


def test_the_address_of_the_listener_is_free_or_ours(small_site: SmallSite, tmp_path: Path) -> None:
    state, words = said("listener", small_site)
    assert state == "ok" and "is free" in words
    for protocol, other in (("smtp", "lmtp"), ("lmtp", "smtp")):
        folder = tmp_path / protocol
        folder.mkdir()
        more = f'protocol = "{protocol}"\n'
        settings = settings_for(folder)
        settings = replace(settings, smtp=replace(settings.smtp, protocol=protocol))
        with RunningSite(settings, WEDNESDAY, parts=("smtp",)) as running:
            listen = f'[smtp]\nlisten = "127.0.0.1:{running.ports.smtp}"\n'
            state, words = said("listener", small_site, listen + more)
            assert state == "ok" and protocol.upper() in words
            state, words = said("listener", small_site, f'{listen}protocol = "{other}"\n')
            assert state == "failed" and "start it anew" in words
            own = f'{SITE}domain = "lists.example.net"\n'
            state, words = said("listener", small_site, listen + more, own=own)
            assert state == "failed" and "Another program" in words, "another site is another program"


def test_a_listener_that_is_full_is_a_warning(small_site: SmallSite, tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    settings = settings_for(tmp_path / "full")
    settings = replace(settings, smtp=replace(settings.smtp, max_connections=1))
    with RunningSite(settings, WEDNESDAY, parts=("smtp",)) as running, running.smtp():
        state, words = said("listener", small_site, f'[smtp]\nlisten = "127.0.0.1:{running.ports.smtp}"\n')
    assert state == "warning" and "takes nobody in now: 421" in words


def test_another_program_at_the_address_of_the_listener_is_named_by_its_words(small_site: SmallSite) -> None:
    with SmtpSink() as sink:
        state, words = said("listener", small_site, f'[smtp]\nlisten = "127.0.0.1:{sink.port}"\n')
        assert state == "failed" and "'220 sink.example.org ESMTP'" in words
        sink.on("BANNER", STALL)
        state, words = said("listener", small_site, f'[smtp]\nlisten = "127.0.0.1:{sink.port}"\n', seconds=1)
        assert state == "failed" and "does not answer" in words


def test_an_address_that_this_machine_has_not_is_named(small_site: SmallSite) -> None:
    state, words = said("listener", small_site, '[smtp]\nlisten = "192.0.2.1:8025"\n')
    assert state == "failed" and "an address of this machine" in words
    assert finding("listener", small_site, '[smtp]\nlisten = "127.0.0.1:0"\n').state == "warning"
    assert finding("listener", small_site, '[smtp]\nlisten = "8025"\n').state == "failed"


# --- the smart host --------------------------------------------------------------------------------------------------

OFFERED = ("PIPELINING", "8BITMIME", "SIZE 100000000")


@pytest.mark.parametrize("tls", ["none", "try", "starttls", "tls"])
def test_a_smart_host_is_signed_in_at_and_left_without_a_mail(
    small_site: SmallSite, tls: str, trust: ssl.SSLContext, serving: ssl.SSLContext, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("secret\n")
    with SmtpSink((*OFFERED, "AUTH PLAIN", "STARTTLS"), context=serving, tls=tls == "tls") as sink:
        more = smart_host(sink.port, tls=tls, user="tidings", password_file="password")
        state, words = said("smart host", small_site, more, context=trust)
    assert (state, "as tidings" in words) == ("ok", True)
    verbs = [command.split()[0].upper() for command in sink.commands]
    assert verbs == [*(["EHLO", "STARTTLS"] if tls in ("try", "starttls") else []), "EHLO", "AUTH", "RSET", "QUIT"]
    assert sink.messages == []


@pytest.mark.parametrize("tls", ["try", "starttls", "tls"])
def test_a_certificate_that_is_not_good_is_no_smart_host(
    small_site: SmallSite, tls: str, serving: ssl.SSLContext, tmp_path: Path
) -> None:
    (tmp_path / "password").write_text("secret\n")
    with SmtpSink((*OFFERED, "AUTH PLAIN", "STARTTLS"), context=serving, tls=tls == "tls") as sink:
        more = smart_host(sink.port, tls=tls, user="tidings", password_file="password")
        state, words = said("smart host", small_site, more)
    assert state == "failed" and "its certificate is not good: self-signed certificate" in words
    assert "name in its certificate" in words
    assert not any(command.startswith("AUTH") for command in sink.commands)


def test_each_trouble_with_a_smart_host_says_which_setting_it_is(small_site: SmallSite, tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\n")
    signed_in = {"user": "tidings", "password_file": "password"}
    with SmtpSink((*OFFERED, "AUTH PLAIN")) as sink:
        sink.on("AUTH", "535 5.7.8 Wrong.")
        cases = {
            "delivery.user": smart_host(sink.port, **signed_in),
            "delivery.tls, ": smart_host(sink.port, tls="starttls"),
            'delivery.tls to "starttls"': smart_host(sink.port, tls="tls"),
            "delivery.host and": smart_host(free_port()),
            "delivery.password_file": smart_host(sink.port, user="tidings", password_file="none"),
        }
        for setting, more in cases.items():
            state, words = said("smart host", small_site, more)
            assert state == "failed" and setting in words, words
            assert "secret" not in words
        assert "535 5.7.8 Wrong" in said("smart host", small_site, cases["delivery.user"])[1]
    assert said("smart host", small_site)[0] == "warning", "mail is written to a Maildir"


def test_the_smart_host_of_each_route_is_tried(small_site: SmallSite) -> None:
    with SmtpSink(OFFERED) as well, SmtpSink(OFFERED[1:]) as slow:
        ports = {"well": well.port, "slow": slow.port, "down": free_port()}
        more = "".join(
            f'[[route]]\nname = "{name}"\ndomains = ["{name}.example"]\ntls = "try"\n'
            f'host = "127.0.0.1"\nport = {port}\n'
            for name, port in ports.items()
        )
        found = [one for one in examined(small_site, more) if one.check == "smart host of a route"]
    assert [one.state for one in found] == ["ok", "warning", "failed"]
    assert found[0].detail.startswith(f"well at 127.0.0.1:{well.port} lets us in in the clear and offers PIPELINING")
    assert "does not offer PIPELINING" in found[1].detail and "route.host" in found[1].todo
    assert found[2].detail.startswith("down at 127.0.0.1:")
    assert found[2].todo.startswith("Set route.host and route.port")


def test_a_smart_host_that_says_nothing_is_given_up(small_site: SmallSite) -> None:
    with SmtpSink() as sink:
        sink.on("EHLO", STALL)
        state, words = said("smart host", small_site, smart_host(sink.port), seconds=1)
    assert state == "failed" and "timed out" in words


@pytest.mark.parametrize(
    ("offered", "words"),
    [
        (OFFERED[:2], "does not offer SIZE:"),
        (OFFERED[1:], "does not offer PIPELINING:"),
        ((), "does not offer PIPELINING, SIZE, 8BITMIME:"),
        ((*OFFERED[:2], "SIZE 25000000"), "smtp.max_size = 24934464"),
        ((*OFFERED[:2], "SIZE 25065536"), ""),
        ((*OFFERED[:2], "SIZE"), ""),
        ((*OFFERED[:2], "SIZE 0"), ""),
    ],
)
def test_what_a_smart_host_does_not_offer_is_a_warning(
    small_site: SmallSite, offered: tuple[str, ...], words: str
) -> None:
    with SmtpSink(offered) as sink:
        state, told = said("smart host", small_site, smart_host(sink.port))
    assert state == ("warning" if words else "ok")
    assert words in told


# --- mailboxes -------------------------------------------------------------------------------------------------------


def mailbox(port: int, user: str = "pump.team@mail.example.org", **more: str) -> str:
    """Settings of a mailbox."""
    values = {"host": "127.0.0.1", "tls": "none", "user": user, "password_file": "box", **more}
    return f"[[imap]]\nport = {port}\n" + "".join(f'{name} = "{value}"\n' for name, value in values.items())


@pytest.fixture
def with_box(small_site: SmallSite, tmp_path: Path) -> SmallSite:
    """A small site with the password of a mailbox."""
    (tmp_path / "box").write_text("secret\n")
    return small_site


@pytest.mark.needs("dovecot")
def test_a_mailbox_lets_us_in_and_has_its_folder(with_box: SmallSite, dovecot: Dovecot) -> None:
    user = "pump.team@mail.example.org"
    dovecot.append(user, b"Subject: x\r\n\r\nx\r\n")
    state, words = said("mailbox", with_box, mailbox(dovecot.imap_port))
    assert (state, words.partition(" lets us in ")[2]) == ("ok", "and has the folder INBOX; it offers IDLE and MOVE.")
    assert dovecot.unseen(user) == 1, "nothing is marked"
    state, words = said("mailbox", with_box, mailbox(dovecot.imap_port, folder="Lists"))
    assert state == "failed" and "the folder Lists cannot be opened" in words and "[[imap]]" in words


@pytest.mark.needs("dovecot")
def test_each_mailbox_is_tried_on_its_own(with_box: SmallSite, dovecot: Dovecot, tmp_path: Path) -> None:
    (tmp_path / "wrong").write_text("guess\n")
    boxes = [
        mailbox(dovecot.imap_port, "valves@mail.example.org", password_file="wrong"),
        mailbox(dovecot.imap_port),
        mailbox(free_port(), "gears@mail.example.org"),
        mailbox(dovecot.imap_port, "pipes@mail.example.org", password_file="none"),
    ]
    found = [one for one in examined(with_box, "".join(boxes)) if one.check == "mailbox"]
    assert [one.state for one in found] == ["failed", "ok", "failed", "failed"]
    assert "it refuses the sign-in of valves@mail.example.org" in found[0].detail
    assert "cannot be reached" in found[2].detail and "gears@mail.example.org" in found[2].detail
    assert "imap.password_file" in found[3].detail
    assert not any("guess" in one.detail for one in found)


@pytest.mark.parametrize(
    ("capabilities", "missing"),
    [
        (("IMAP4rev1", "AUTH=PLAIN", "MOVE", "UIDPLUS"), "IDLE."),
        (("IMAP4rev1", "AUTH=PLAIN", "IDLE"), "MOVE."),
        (("IMAP4rev1",), "IDLE and MOVE."),
    ],
)
def test_what_a_mailbox_does_not_offer_is_a_warning(
    with_box: SmallSite, capabilities: tuple[str, ...], missing: str
) -> None:
    with HostileImap(capabilities) as server:
        state, words = said("mailbox", with_box, mailbox(server.port))
    assert state == "warning" and f"does not offer {missing}" in words


def test_a_mailbox_server_that_says_nothing_is_given_up(with_box: SmallSite) -> None:
    with HostileImap() as server:
        server.on("GREETING", "stall")
        state, words = said("mailbox", with_box, mailbox(server.port), seconds=1)
    assert state == "failed" and "timed out" in words


def test_a_model_that_answers_is_good_and_another_a_warning_since_digests_do_without(small_site: SmallSite) -> None:
    with fake_model(text="Yes.") as fake:
        settings = f'[summary]\nprovider = "openai"\nurl = "{fake.url}"\nmodel = "small"\n'
        assert said("summaries", small_site, settings) == ("ok", f"The model small at {fake.url} answers.")
        assert fake.asked[0].body["messages"][1]["content"] == "Are you there?"
        fake.status = 401
        state, words = said("summaries", small_site, settings)
        assert state == "warning" and "It answered 401 Unauthorized. Digests are told in the members' own" in words
        fake.status, fake.text = 200, ""
        assert "It answered nothing." in said("summaries", small_site, settings)[1]
        state, words = said("summaries", small_site, f'{settings}key_file = "none"\n')
        assert state == "failed" and "Cannot read summary.key_file" in words


def test_plus_addressing_is_explained_with_the_address_to_write_to(with_box: SmallSite) -> None:
    boxes = mailbox(free_port()) + mailbox(free_port(), "box7", community="pump")
    state, words = said("plus-addressing", with_box, boxes)
    assert (state, re.findall(r"\S+@[a-z.]+[a-z]", words)) == (
        "ok",
        ["pump+test@lists.example.org", "pump.team+test@mail.example.org"],
    )
    _, words = said("plus-addressing", with_box, boxes, own=f'{SITE}separator = "-"\n')
    assert "pump.team-test@" in words


# --- the DNS ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("hosts", "state", "words"),
    [
        (["a.example.org", "b.example.org"], "ok", "a.example.org, b.example.org"),
        ([], "failed", f"{DOMAIN}. MX 10 HOST."),
        ([""], "failed", "takes no mail"),
    ],
)
def test_the_domain_has_a_host_for_its_mail(small_site: SmallSite, hosts: list[str], state: str, words: str) -> None:
    found, told = said("MX", small_site, dns=MadeUpDns(hosts={DOMAIN: hosts}))
    assert found == state and words in told


@pytest.mark.parametrize(
    ("records", "state", "words"),
    [
        ([b"v=spf1 mx -all"], "ok", "v=spf1 mx -all"),
        ([b"V=SPF1"], "ok", "V=SPF1"),
        ([b"google-site-verification=x", b"v=spf1 mx -all"], "ok", ""),
        ([], "failed", f'{DOMAIN}. TXT "v=spf1 mx ~all"'),
        ([b"v=spf10 mx -all", b"spf2.0/pra", b"\xff"], "failed", "no SPF record"),
        ([b"v=spf1 mx -all", b"v=spf1 include:spf.provider.example ~all"], "failed", "Join them"),
    ],
)
def test_the_domain_has_one_spf_record(small_site: SmallSite, records: list[bytes], state: str, words: str) -> None:
    found, told = said("SPF", small_site, dns=MadeUpDns({DOMAIN: records}))
    assert found == state and words in told


@pytest.mark.parametrize(
    ("records", "state", "words"),
    [
        ({DOMAIN: [b"v=DMARC1; p=reject"]}, "ok", f"_dmarc.{DOMAIN}: v=DMARC1; p=reject"),
        ({"example.org": [b"v=DMARC1;p=none"]}, "ok", "_dmarc.example.org: "),
        ({"org": [b"v=DMARC1; p=none"]}, "failed", "no DMARC record"),
        ({DOMAIN: [b"p=none; v=DMARC1"]}, "failed", f'_dmarc.{DOMAIN}. TXT "v=DMARC1; p=none"'),
        ({DOMAIN: [b"v=DMARC1; p=none"] * 2}, "failed", "2 DMARC records"),
    ],
)
def test_the_domain_or_one_above_it_has_a_dmarc_record(
    small_site: SmallSite, records: dict[str, list[bytes]], state: str, words: str
) -> None:
    dns = MadeUpDns({f"_dmarc.{name}": texts for name, texts in records.items()})
    found, told = said("DMARC", small_site, dns=dns)
    assert found == state and words in told


def record_to_set(todo: str) -> tuple[str, bytes]:
    """The record that the doctor says is to be set, as the DNS would have it."""
    name, strings = todo.removeprefix("Set in the DNS: ").split(". TXT ")
    found = re.findall(r'"([^"]*)"', strings)
    assert all(len(one) <= 255 for one in found) and strings == " ".join(f'"{one}"' for one in found)
    return name, "".join(found).encode()


def test_a_dkim_record_that_is_missing_is_printed_and_good_once_it_is_set(small_site: SmallSite) -> None:
    more = key_file(small_site)
    missing = finding("DKIM", small_site, more, dns=MadeUpDns())
    assert (missing.state, missing.detail) == ("failed", f"{DKIM} has no TXT record.")
    name, record = record_to_set(missing.todo)
    assert {name: [record]} == SIGNER.record()
    assert finding("DKIM", small_site, more, dns=MadeUpDns({name: [record]})).state == "ok"


def test_the_dkim_record_is_that_of_the_settings(small_site: SmallSite) -> None:
    more = key_file(small_site, name="other.pem") + 'domain = "example.net"\nselector = "s2"\n'
    assert record_to_set(finding("DKIM", small_site, more).todo)[0] == "s2._domainkey.example.net"
    signer = Signer(domain="example.net", selector="s2")
    assert finding("DKIM", small_site, more, dns=MadeUpDns(signer.record())).state == "ok"


@pytest.mark.parametrize(
    ("signer", "tags", "times"),
    [
        (Signer(domain=DOMAIN, selector="tidings", key=rsa_key(1024)), {}, 1),
        (SIGNER, {"p": ""}, 1),
        (SIGNER, {"p": "MII"}, 1),
        (SIGNER, {"t": "y"}, 1),
        (SIGNER, {"h": "sha1"}, 1),
        (SIGNER, {"k": "ed25519"}, 1),
        (SIGNER, {}, 2),
    ],
)
def test_a_dkim_record_by_which_our_mail_is_not_good_has_failed(
    small_site: SmallSite, signer: Signer, tags: dict[str, str], times: int
) -> None:
    dns = MadeUpDns({name: texts * times for name, texts in signer.record(**tags).items()})
    found = finding("DKIM", small_site, key_file(small_site), dns=dns)
    assert found.state == "failed"
    name, record = record_to_set(found.todo)
    assert {name: [record]} == SIGNER.record()


def test_a_dkim_record_that_is_written_otherwise_is_as_good(small_site: SmallSite) -> None:
    (name, (record,)) = SIGNER.record(s="email", n="ours").popitem()
    spaced = record.replace(b"; ", b" ;\t").replace(b"p=MII", b"p= MII ")
    assert finding("DKIM", small_site, key_file(small_site), dns=MadeUpDns({name: [spaced]})).state == "ok"


def test_without_a_key_the_doctor_says_how_to_make_one(small_site: SmallSite) -> None:
    state, words = said("DKIM", small_site)
    assert state == "warning" and re.search(r"`openssl genrsa -out \S+/dkim\.pem 2048`", words)
    state, words = said("DKIM", small_site, '[dkim]\nkey_file = "none.pem"\n')
    assert state == "failed" and "openssl genrsa -out none.pem 2048" in words


@pytest.mark.parametrize(
    ("check", "name"), [("MX", DOMAIN), ("SPF", DOMAIN), ("DKIM", DKIM), ("DMARC", f"_dmarc.{DOMAIN}")]
)
def test_a_dns_that_does_not_answer_is_not_taken_for_an_empty_one(small_site: SmallSite, check: str, name: str) -> None:
    state, words = said(check, small_site, key_file(small_site), dns=good_dns(silent={name}))
    assert state == "failed" and f"no answer for {name}" in words and "/etc/resolv.conf" in words


def test_the_domain_of_a_demo_is_not_looked_up(small_site: SmallSite) -> None:
    dns = good_dns()
    found = {one.check for one in examined(small_site, own=f"{SITE}demo = true\n", dns=dns)}
    assert not {"MX", "SPF", "DKIM", "DMARC"} & found
    assert dns.asked == []


@contextmanager
def name_server() -> Iterator[SystemDns]:
    """A DNS server with three names, and what asks it."""
    answers = {"lists.example.org.": ("20 b.example.org.", "5 a.example.org."), "null.example.org.": ("0 .",)}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        link.bind(("127.0.0.1", 0))

        def serve() -> None:
            while (received := link.recvfrom(4096))[0] != b"end":
                query = dns.message.from_wire(received[0])
                answer, name = dns.message.make_response(query), str(query.question[0].name)
                if name in answers:
                    answer.answer.append(dns.rrset.from_text(name, 60, "IN", "MX", *answers[name]))
                elif name != "bare.example.org.":
                    answer.set_rcode(dns.rcode.SERVFAIL if name == "lost.example.org." else dns.rcode.NXDOMAIN)
                link.sendto(answer.to_wire(), received[1])

        def make_resolver() -> dns.resolver.Resolver:
            made = dns.resolver.Resolver(configure=False)
            made.nameservers, made.port = ["127.0.0.1"], link.getsockname()[1]
            return made

        thread = threading.Thread(target=serve)
        thread.start()
        yield SystemDns(make_resolver)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
            other.sendto(b"end", link.getsockname())
        thread.join()


def test_the_hosts_of_a_domain_come_in_the_order_of_their_preference() -> None:
    with name_server() as asked:
        assert asked.mx("lists.example.org") == ["a.example.org", "b.example.org"]
        assert asked.mx("null.example.org") == [""]
        assert asked.mx("bare.example.org") == asked.mx("nobody.example.org") == []
        with pytest.raises(TimeoutError):
            asked.mx("lost.example.org")


# --- what a person has to see to -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("url", "sends", "state"),
    [
        ("https://tidings.example.org", True, "ok"),
        ("http://tidings.example.org", False, "warning"),
        ("http://localhost:8080", False, "ok"),
        ("http://127.0.0.1:8080", False, "ok"),
        ("http://[::1]:8080/", False, "ok"),
        ("http://127.0.0.1:8080", True, "warning"),
        ("tidings.example.org", False, "failed"),
        ("https://", False, "failed"),
        ("ftp://tidings.example.org", False, "failed"),
        ("http://[::1", False, "failed"),
    ],
)
def test_the_pages_are_where_members_can_open_them(small_site: SmallSite, url: str, sends: bool, state: str) -> None:
    more = smart_host(free_port()) if sends else ""
    assert finding("pages", small_site, more, own=f'[site]\nbase_url = "{url}"\n').state == state


def test_somebody_reads_what_is_written_to_the_owners(any_site: SmallSite) -> None:
    alone = '[site]\nbase_url = "https://tidings.example.org"\n'
    now = any_site.clock.now()
    with any_site.site.database.write() as connection:
        joining.add_community(connection, name="old", title="Old", zone="UTC", now=now)
        joining.archive_community(connection, "old", now)
    assert said("admins", any_site, own=alone)[0] == "failed"
    state, words = said("owners", any_site, own=alone)
    assert state == "failed" and "the owners of pump." in words
    assert "`tidings member add pump EMAIL --role owner`" in words
    assert said("admins", any_site) == ("ok", "admin@example.org.")
    assert said("owners", any_site) == ("ok", "Mail to the owners of pump goes to the site's admins.")
    with any_site.site.database.write() as connection:
        joined = own_pump(connection, any_site)
    assert finding("owners", any_site, own=alone).state == "ok"
    with any_site.site.database.write() as connection:
        joining.remove_member(connection, membership_id=joined.membership_id, now=now)
    assert finding("owners", any_site, own=alone).state == "failed", "an owner who left is none"
    with any_site.site.database.write() as connection:
        joining.archive_community(connection, "pump", now)
    assert finding("owners", any_site).state == "warning", "no community is left"


def test_stopped_addresses_and_a_wave_are_told(any_site: SmallSite) -> None:
    assert said("stopped addresses", any_site) == ("ok", "Mail to no address is stopped.")
    now = any_site.clock.now()
    failure = standing.Failure(permanent=True, status="5.1.1", reason="No such user", about_message=False)
    with any_site.site.database.write() as connection:
        found = standing.address_at(connection, LI)
        assert found is not None
        for day in range(3):
            moment = now - timedelta(days=day)
            standing.came_back(connection, found.id, failure, now=moment, settings=any_site.site.settings.bounces)
    state, words = said("stopped addresses", any_site)
    assert state == "warning" and words.startswith("Mail to 1 ") and "`tidings stopped list`" in words
    with any_site.site.database.write() as connection:
        wave = {"started_at": now, "ended_at": now + timedelta(days=1), "reason": "Ten came back at once."}
        connection.execute(tables.bounce_wave.insert().values(wave))
    state, words = said("stopped addresses", any_site)
    assert state == "warning" and "Ten came back at once." in words and "`tidings stopped end-wave`" in words


def test_a_calendar_that_cannot_be_read_is_told(any_site: SmallSite) -> None:
    assert said("calendars", any_site) == ("ok", "No crew has one.")
    feeds.broken(any_site.site.database, any_site.clock.now())
    state, words = said("calendars", any_site)
    assert state == "warning" and "The server answered 500" in words and "`tidings rota calendars`" in words


def test_mail_that_waits_is_a_warning_and_mail_that_we_failed_on_a_failure(any_site: SmallSite) -> None:
    assert finding("held mail", any_site).state == finding("shunted mail", any_site).state == "ok"
    any_site.take_in(from_ana("Away", "I am away.\n", "away@example.org", Auto_Submitted="auto-replied"))
    state, words = said("held mail", any_site)
    assert state == "warning" and words.startswith("1 ") and "`tidings hold list`" in words
    accepted = Accepted(
        mail_from=ANA,
        recipient="pump@lists.example.org",
        peer="test",
        via="smtp",
        received_at=any_site.clock.now(),
        raw=b"Subject: poison\r\n\r\nx\r\n",
    )
    (key,) = any_site.site.spool.append([accepted])
    any_site.site.spool.shunt(key, "ValueError: poison")
    state, words = said("shunted mail", any_site)
    assert state == "failed" and words.startswith("Tidings failed on 1 ") and "`tidings shunt list`" in words


def test_deliveries_that_failed_are_told_for_a_day_with_the_commonest_reason(any_site: SmallSite) -> None:
    assert said("failed deliveries", any_site) == ("ok", "None since a day ago.")
    any_site.take_in(from_ana("A seal", "It leaks.\n", "seal@example.org"))
    now = any_site.clock.now()
    with any_site.site.database.write() as connection:
        (outbox_id,) = connection.execute(tables.delivery.select().limit(1)).one()[1:2]
        connection.execute(tables.delivery.update().values(state="sent"))
        common = {"attempts": 1, "due_at": now, "changed_at": now, "outbox_id": outbox_id, "state": "failed"}
        replies = ["550 5.1.1 No such user", "550 5.7.1 Not from you", "550 5.7.1 Not from you"]
        rows = [common | {"recipient": f"x{at}@example.org", "reply": reply} for at, reply in enumerate(replies)]
        connection.execute(tables.delivery.insert(), rows)
    state, words = said("failed deliveries", any_site)
    assert state == "warning" and words.startswith("3 since a day ago, most often: 550 5.7.1 Not from you")
    any_site.clock.advance(timedelta(hours=25))
    assert finding("failed deliveries", any_site).state == "ok"


# --- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def program(small_site: SmallSite, monkeypatch: pytest.MonkeyPatch) -> Program:
    """The program on a site whose files are there, and whose DNS is good."""
    monkeypatch.setattr(resolver, "SystemDns", good_dns)
    examined(small_site)
    return Program(Path(small_site.site.settings.site.data_dir) / "tidings.toml")


def test_the_command_prints_a_list_for_programs(program: Program) -> None:
    found = program("doctor", "--json").json
    assert all(set(one) == {"check", "state", "detail", "todo"} for one in found)
    assert found[0] == {"check": "settings", "state": "ok", "detail": f"{program.config} can be read.", "todo": ""}
    assert {one["state"] for one in found} == {"ok", "warning"}


def test_the_command_prints_a_line_for_each_check_and_under_it_what_to_type(program: Program) -> None:
    lines = program("doctor").text.splitlines()
    assert lines[0] == f"ok       settings: {program.config} can be read."
    at = next(at for at, line in enumerate(lines) if line.startswith("warning  smart host: None is set"))
    assert lines[at + 1] == "         -> Set host in [delivery]."


def test_the_command_ends_with_status_1_where_something_failed(program: Program) -> None:
    program.config.write_text(program.config.read_text().replace('admins = ["admin@example.org"]', ""))
    assert "failed   admins: The site has no admin." in program("doctor", status=1).text
    assert program("doctor", "--json", status=1).json[-1]["check"] == "failed deliveries"
    program.config.write_text("[sit]\n")
    ran = program("doctor", status=1)
    assert "did you mean 'site'?" in ran.text and ran.err == ""
