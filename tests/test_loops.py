"""Loops and backscatter: what is automatic is neither posted nor answered, and what goes round in circles ends."""

import email
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from email.message import Message
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from msgspec.structs import replace
from sqlalchemy import select

from tests.running import message, settings_for
from tests.small_site import ANA, LI, PUMP, Makings, SmallSite, makings, small_site
from tidings.app import Site, open_site
from tidings.clock import FixedClock
from tidings.communities import joining
from tidings.database import tables
from tidings.mailer.door import Admitted
from tidings.mailer.spool import Accepted
from tidings.mailer.worker import ParseWorker

FIXTURES = (makings, small_site)
NOW = datetime(2026, 10, 14, 9, 0, tzinfo=ZoneInfo("Europe/Berlin"))


class World:
    """Some sites, each with a domain of its own, that carry mail to each other and to nobody else."""

    def __init__(self, folder: Path, worker: ParseWorker, *domains: str) -> None:
        self.clock = FixedClock(NOW)
        self.sites: dict[str, Site] = {}
        self._worker = worker
        for domain in domains:
            settings = settings_for(folder / domain)
            settings = replace(settings, site=replace(settings.site, domain=domain))
            self.sites[domain] = open_site(settings, self.clock)
            with self.sites[domain].database.write() as connection:
                joining.add_community(connection, name="pump", title="Pumps", zone="UTC", posting="open", now=NOW)

    def close(self) -> None:
        for site in self.sites.values():
            site.close()

    def receive(self, mail_from: str, recipient: str, raw: bytes) -> None:
        """As the listener of the site does."""
        site = self.sites[recipient.rpartition("@")[2]]
        door, now = site.door(), self.clock.now()
        admitted = door.recipient(recipient, now=now, asker="test")
        if isinstance(admitted, Admitted) and door.message([admitted], raw) == [None]:
            accepted = Accepted(mail_from=mail_from, recipient=recipient, peer="", via="smtp", received_at=now, raw=raw)
            site.spool.append([accepted])
            intake = site.intake(self._worker)
            intake.drain()
            intake.close()

    def lap(self) -> list[tuple[str, str, Message]]:
        """Deliver what all sites have to send: return path, recipient and message of each mail that went out."""
        sent = []
        for site in self.sites.values():
            site.run_due()
            site.deliverer().run_once()
            for path in sorted((site.settings.path("outbox") / "new").glob("*")):
                sent.append(_opened(path))
        for mail_from, recipient, parsed in sent:
            if recipient.rpartition("@")[2] in self.sites:
                self.receive(mail_from, recipient, parsed.as_bytes().replace(b"\n", b"\r\n"))
        return sent

    def force(self, domain: str, email: str) -> None:
        """A membership that no command would make."""
        with self.sites[domain].database.write() as connection:
            joining.add_member(connection, community="pump", email="placeholder@example.org", now=NOW)
            key = {"email": email, "email_key": email}
            changed = tables.address.update().where(tables.address.c.email == "placeholder@example.org")
            connection.execute(changed.values(**key))

    def posts(self, domain: str) -> int:
        with self.sites[domain].database.read() as connection:
            return len(connection.execute(select(tables.post.c.id)).all())


def _opened(path: Path) -> tuple[str, str, Message]:
    parsed = email.message_from_bytes(path.read_bytes().replace(b"\r\n", b"\n"))
    path.unlink()
    mail_from = parsed["Return-Path"].strip("<>")
    recipient = parsed["X-Envelope-To"]
    del parsed["Return-Path"], parsed["X-Envelope-To"]
    return mail_from, recipient, parsed


A, B = "a.example.org", "b.example.org"


@pytest.fixture
def world(tmp_path: Path, makings: Makings) -> Iterator[World]:
    made = World(tmp_path, makings.worker, A, B)
    yield made
    made.close()


# --- our own copies --------------------------------------------------------------------------------------------------


@pytest.mark.acceptance(33)
@pytest.mark.parametrize(
    "mark",
    [
        {"X_Tidings_Loop": PUMP},
        {"List_Id": '"Pump team" <pump.lists.example.org>'},
        {"LIST_ID": "<PUMP.lists.example.org>"},
    ],
)
def test_our_own_copy_that_comes_back_is_dropped_and_why_says_so(
    small_site: SmallSite, mark: Mapping[str, str]
) -> None:
    small_site.take_in(message(ANA, PUMP, "Seal", "It leaks.\n", "seal@example.org", **mark))
    assert small_site.why("seal@example.org")[-1].startswith("discard: Our own copy came back to us")
    assert [small_site.count(table) for table in ("post", "outbox")] == [0, 0]


@pytest.mark.acceptance(33)
def test_a_copy_of_another_list_is_not_taken_for_ours(small_site: SmallSite) -> None:
    small_site.take_in(
        message(ANA, PUMP, "Seal", "It leaks.\n", "seal@example.org", List_Id="<pump.lists.example.net>")
    )
    assert small_site.count("post") == 1


# --- automatic mail --------------------------------------------------------------------------------------------------

AUTOMATIC: dict[str, tuple[str, dict[str, str]]] = {
    "auto-replied": (LI, {"Auto_Submitted": "auto-replied"}),
    "auto-generated": (LI, {"Auto_Submitted": "Auto-Generated; rejected"}),
    "bulk": (LI, {"Precedence": "bulk"}),
    "junk": (LI, {"Precedence": "Junk"}),
    "list": (LI, {"Precedence": "list"}),
    "null sender": ("", {}),
    "an older mark": (LI, {"X_Autoreply": "yes"}),
}
DETAILS = ("", "+subscribe", "+unsubscribe", "+help", "+command", "+owner", "-request")


@pytest.mark.acceptance(35)
@pytest.mark.parametrize("kind", AUTOMATIC)
def test_automatic_mail_is_never_posted_and_never_answered_at_any_address(small_site: SmallSite, kind: str) -> None:
    sender, fields = AUTOMATIC[kind]
    for number, detail in enumerate(DETAILS):
        to = f"pump{detail}@lists.example.org"
        made = message(LI, to, "Out of office", "help\n", f"{number}@example.org", **fields)
        small_site.take_in(made, to, sender)
    assert small_site.count("post") == 0
    assert _notices_to(small_site, LI) == []


def _notices_to(site: SmallSite, recipient: str) -> list[str]:
    with site.site.database.read() as connection:
        wanted = (
            select(tables.outbox.c.notice_key).join(tables.delivery).where(tables.delivery.c.recipient == recipient)
        )
        return list(connection.execute(wanted).scalars())


# --- circles ---------------------------------------------------------------------------------------------------------


@pytest.mark.acceptance(36)
def test_two_lists_that_are_members_of_each_other_post_a_mail_once_each_at_most(world: World) -> None:
    for here, there in ((A, B), (B, A)):
        world.force(here, f"pump@{there}")
    one = message(ANA, f"pump@{A}", "Seal", "It leaks.\n", "seal@example.org")
    world.receive(ANA, f"pump@{A}", one.as_bytes().replace(b"\n", b"\r\n"))
    laps = 0
    while sent := world.lap():
        laps += 1
        assert laps <= 2, [(recipient, str(parsed["Subject"])) for _, recipient, parsed in sent]
    assert world.posts(A) == 1
    assert world.posts(B) <= 1


@pytest.mark.acceptance(36)
@pytest.mark.parametrize("detail", ["", "+owner", "-request", "+b.aaaa", "+subscribe"])
def test_a_list_that_is_its_own_member_posts_a_mail_once(world: World, detail: str) -> None:
    world.force(A, f"pump{detail}@{A}")
    one = message(ANA, f"pump@{A}", "Seal", "It leaks.\n", "seal@example.org")
    world.receive(ANA, f"pump@{A}", one.as_bytes().replace(b"\n", b"\r\n"))
    laps = sum(1 for _ in iter(world.lap, []))
    assert laps <= 2
    assert world.posts(A) == 1


@pytest.mark.acceptance(37)
def test_two_sites_do_not_go_on_answering_each_other(world: World) -> None:
    """For an hour each asks the other for everything that is answered, and their answers come back to them."""
    mails: list[tuple[str, Message]] = []
    for minute in range(0, 60, 10):
        world.clock.set(NOW + timedelta(minutes=minute))
        for number, detail in enumerate(("subscribe", "help", "command", "unsubscribe")):
            asking = message(f"pump@{B}", f"pump+{detail}@{A}", "x", "which\n", f"{minute}.{number}@b.example.org")
            world.receive(f"pump@{B}", f"pump+{detail}@{A}", asking.as_bytes().replace(b"\n", b"\r\n"))
        for _ in range(5):
            mails += [(recipient, parsed) for _, recipient, parsed in world.lap()]
    answers = [parsed for recipient, parsed in mails if recipient == f"pump@{B}"]
    assert len(answers) <= world.sites[A].settings.limits.notices_per_day
    assert [recipient for recipient, _ in mails if recipient.endswith(f"@{A}")] == [], "an answer was answered"


# --- what goes out by itself -----------------------------------------------------------------------------------------


@pytest.mark.acceptance(39)
def test_every_notice_has_the_null_return_path_and_says_that_it_is_automatic(world: World) -> None:
    for number, detail in enumerate(("subscribe", "help", "command", "unsubscribe")):
        asking = message(ANA, f"pump+{detail}@{A}", "x", "nonsense\n", f"{number}@example.org")
        world.receive(ANA, f"pump+{detail}@{A}", asking.as_bytes().replace(b"\n", b"\r\n"))
    sent = world.lap()
    assert len(sent) >= 2
    for mail_from, recipient, parsed in sent:
        assert (mail_from, recipient) == ("", ANA)
        assert parsed["Auto-Submitted"].startswith("auto-")
        assert parsed["To"] == ANA


@pytest.mark.acceptance(39)
def test_whoever_forges_an_address_all_day_has_it_sent_a_few_notices_only(world: World) -> None:
    details = ("subscribe", "help", "command", "unsubscribe")
    sent = 0
    for number in range(60):
        detail = details[number % 4]
        asking = message(ANA, f"pump+{detail}@{A}", f"{number}", "which\n", f"{number}@example.org")
        world.receive(ANA, f"pump+{detail}@{A}", asking.as_bytes().replace(b"\n", b"\r\n"))
        sent += len(world.lap())
    assert sent <= world.sites[A].settings.limits.notices_per_day
    world.clock.set(NOW + timedelta(days=1))
    again = message(ANA, f"pump+help@{A}", "help", "help\n", "again@example.org")
    world.receive(ANA, f"pump+help@{A}", again.as_bytes().replace(b"\n", b"\r\n"))
    assert len(world.lap()) == 1, "another day, another answer"
