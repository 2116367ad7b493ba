"""What comes back: only a key of ours makes it count, once a day, and nobody is stopped without a way back."""

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from pathlib import Path

import pytest
from sqlalchemy import func, select

from tests.running import ADMIN, RunningSite, message, settings_for, wait_until
from tests.smtp_sink import SmtpSink
from tidings.app import Site, open_site
from tidings.clock import FixedClock
from tidings.communities import confirmations, directory, joining, standing
from tidings.database import tables
from tidings.intake.returned import Returned, probe_due
from tidings.mailer.door import Refused
from tidings.mailer.spool import Accepted
from tidings.settings import Settings
from tidings.tokens import Tokens

NOW = datetime(2026, 10, 14, 9, 0, tzinfo=UTC)
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
PUMP = "pump@lists.example.org"
ANA, LI, OWNER = "ana@example.org", "li@example.org", "owner@example.org"

GONE = ("5.1.1", "smtp; 550 5.1.1 <{}>: Recipient address rejected: User unknown")
FULL = ("4.2.2", "smtp; 452 4.2.2 The email account that you tried to reach is over quota")
BLOCKED = ("5.7.1", "smtp; 550 5.7.1 Service unavailable, client host [192.0.2.7] blocked using a block list")
REJECTED = ("5.7.26", "smtp; 550 5.7.26 Unauthenticated email is not accepted due to the domain's DMARC policy")


def report(email: str, said: tuple[str, str] = GONE, action: str = "failed", charset: str = "utf-8") -> bytes:
    """A report as RFC 3464 has it."""
    status, diagnostic = said
    return (
        f"From: MAILER-DAEMON@mx.example.org (Mail Delivery System)\r\nSubject: Undelivered Mail Returned to Sender\r\n"
        f"Auto-Submitted: auto-replied\r\nMessage-ID: <{email}.{status}@mx.example.org>\r\nMIME-Version: 1.0\r\n"
        'Content-Type: multipart/report; report-type=delivery-status; boundary="b"\r\n\r\n'
        f"--b\r\nContent-Type: text/plain; charset={charset}\r\n\r\nYour message could not be delivered.\r\n\r\n"
        "--b\r\nContent-Type: message/delivery-status\r\n\r\nReporting-MTA: dns; mx.example.org\r\n\r\n"
        f"Final-Recipient: rfc822; {email}\r\nAction: {action}\r\nStatus: {status}\r\n"
        f"Diagnostic-Code: {diagnostic.format(email)}\r\n\r\n"
        "--b\r\nContent-Type: text/rfc822-headers\r\n\r\nSubject: Hello\r\n--b--\r\n"
    ).encode()


def house_in(settings: Settings, members: Sequence[str] = (ANA, LI)) -> "House":
    """A new site whose clock stands at NOW."""
    clock = FixedClock(NOW)
    return House(open_site(settings, clock), clock, members)


class House:
    """A site whose mail comes back when the test says so: Ana and Li are members, and there is an owner."""

    def __init__(self, site: Site, clock: FixedClock, members: Sequence[str] = (ANA, LI)) -> None:
        self.site, self.clock = site, clock
        self.returned = Returned(site.parts())
        with site.database.write() as connection:
            joining.add_community(connection, name="pump", title="Pump people", zone="UTC", now=NOW)
            joining.add_member(connection, community="pump", email=OWNER, role="owner", delivery="none", now=NOW)
            for email in members:
                joining.add_member(connection, community="pump", email=email, now=NOW)
        self.worker = site.worker()
        self.intake = site.intake(self.worker)

    def close(self) -> None:
        self.intake.close()
        self.worker.close()
        self.site.close()

    def accept(self, raw: bytes, to: str, sender: str = "") -> str:
        accepted = Accepted(
            mail_from=sender, recipient=to, peer="test", via="smtp", received_at=self.clock.now(), raw=raw
        )
        return self.site.spool.append([accepted])[0]

    def take_in(self, raw: bytes, to: str, sender: str = "") -> tuple[str, str]:
        """Verdict and reason of one message."""
        key = self.accept(raw, to, sender)
        self.intake.drain()
        with self.site.database.read() as connection:
            found = select(tables.decision.c.verdict, tables.decision.c.reason).where(
                tables.decision.c.spool_key == key
            )
            return tuple(connection.execute(found).one())

    def post(self) -> None:
        """A post of Ana's, put out to all members."""
        number = self.count("post") + 1
        raw = message(ANA, PUMP, f"Hello {number}", "The seal leaks.\n", f"{number}@example.org").as_bytes()
        assert self.take_in(raw, PUMP, ANA)[0] == "accept"

    def return_path(self, email: str = LI, tokens: Tokens | None = None, on: date | None = None) -> str:
        """The return path of the newest mail to an address."""
        newest = select(func.max(tables.delivery.c.id)).where(tables.delivery.c.recipient == email)
        with self.site.database.read() as connection:
            delivery_id = connection.execute(newest).scalar_one()
        token = (tokens or self.site.tokens).return_path(delivery_id, on or self.clock.now().date())
        return f"pump+b.{token}@lists.example.org"

    def comes_back(self, email: str = LI, said: tuple[str, str] = GONE) -> tuple[str, str]:
        return self.take_in(report(email, said), self.return_path(email))

    def stop(self, email: str = LI) -> None:
        """Let mail to an address come back until it is stopped."""
        for _ in range(3):
            self.post()
            self.comes_back(email)
            self.clock.advance(DAY)
        self.clock.advance(-DAY)
        assert self.stopped() == [email]

    def address(self, email: str = LI) -> standing.Address:
        with self.site.database.read() as connection:
            found = standing.address_at(connection, email)
        assert found is not None
        return found

    def score(self, email: str = LI) -> int:
        with self.site.database.read() as connection:
            settings = self.site.settings.bounces
            return standing.score(connection, self.address(email).id, now=self.clock.now(), settings=settings)

    def stopped(self) -> list[str]:
        with self.site.database.read() as connection:
            return [one.email for one in standing.stopped(connection)]

    def count(self, table: str) -> int:
        with self.site.database.read() as connection:
            return connection.execute(select(func.count()).select_from(tables.metadata.tables[table])).scalar_one()

    def notices(self, email: str) -> list[EmailMessage]:
        """What the system wrote to an address."""
        written = (
            select(tables.outbox.c.raw)
            .join(tables.delivery, tables.delivery.c.outbox_id == tables.outbox.c.id)
            .where(tables.outbox.c.kind == "notice", tables.delivery.c.recipient == email)
            .order_by(tables.outbox.c.id)
        )
        with self.site.database.read() as connection:
            raws = connection.execute(written).scalars().all()
        return [message_from_bytes(raw, policy=policy.default) for raw in raws]

    def probe(self) -> int:
        return probe_due(self.site.database, self.site.parts(), self.clock.now())


def token_in(mail: EmailMessage) -> str:
    """The token of the link in a mail."""
    found = re.search(r"/back/([a-z2-7]+)\s", mail.get_content())
    assert found
    return found[1]


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgres"))])
def house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[House]:
    url = "" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    made = house_in(settings_for(tmp_path, database=url))
    yield made
    made.close()


# --- what a bounce counts for ----------------------------------------------------------------------------------------

FREE_TEXT = (
    "From: Mail Delivery Subsystem <MAILER-DAEMON@mx.example.org>\r\nSubject: Returned mail: see transcript\r\n\r\n"
    f"   ----- The following addresses had permanent fatal errors -----\r\n<{LI}>\r\n"
    "    (reason: 550 5.1.1 User unknown)\r\n\r\n   ----- Transcript of session follows -----\r\n"
    f"550 5.1.1 <{LI}>... User unknown\r\n"
).encode()
WRAPPED = (
    b"From: MAILER-DAEMON@mx.example.org\r\nSubject: Undelivered Mail\r\nMIME-Version: 1.0\r\n"
    b'Content-Type: multipart/mixed; boundary="o"\r\n\r\n--o\r\nContent-Type: text/plain\r\n\r\nScanned.\r\n--o\r\n'
    + report(LI)[report(LI).index(b"Content-Type: multipart/report") :]
    + b"--o--\r\n"
)


@pytest.mark.acceptance(43)
@pytest.mark.parametrize(
    ("raw", "score"),
    [
        (report(LI), 4),
        (report(LI, FULL), 1),
        (FREE_TEXT, 4),
        (WRAPPED, 4),
        (report(LI, charset="x-no-such"), 4),
        (report("li.at.another@elsewhere.example.org"), 4),
    ],
    ids=["5.x", "4.x", "free text", "inside a multipart", "wrong charset", "behind a forwarding"],
)
def test_a_bounce_counts_for_the_address_of_its_return_path(house: House, raw: bytes, score: int) -> None:
    house.post()
    verdict, reason = house.take_in(raw, house.return_path())
    assert (verdict, f"score is {score} of 12" in reason) == ("accept", True)
    assert house.score() == score
    assert house.count("bounce") == 1


@pytest.mark.acceptance(43)
@pytest.mark.parametrize(
    "raw",
    [
        b"From: MAILER-DAEMON@mx.example.org\r\nSubject: Hm\r\n\r\nSomething is not as it was.\r\n",
        b"\xff\xfe\x00From: \x00",
        b"",
        b"".join(b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n" % (n, n) for n in range(2_000)),
    ],
    ids=["no known text", "no text at all", "nothing", "2000 parts deep"],
)
def test_what_cannot_be_read_as_a_bounce_waits_for_an_admin_and_counts_for_nobody(house: House, raw: bytes) -> None:
    house.post()
    assert house.take_in(raw, house.return_path())[0] == "hold"
    assert [house.count("bounce"), house.score()] == [0, 0]
    (held,) = house.site.spool.listing("held")
    assert house.site.spool.raw(held.key) == raw, "it is kept as it came"


def test_an_automatic_answer_to_a_return_path_is_dropped_with_the_reason(house: House) -> None:
    house.post()
    away = message(LI, PUMP, "Out of office", "I am away until Monday.\n", "1@x", Auto_Submitted="auto-replied")
    verdict, reason = house.take_in(away.as_bytes(), house.return_path())
    assert verdict == "discard"
    assert "An automatic answer and no bounce" in reason
    assert house.count("bounce") == 0


def test_a_warning_that_mail_is_late_does_not_count(house: House) -> None:
    house.post()
    verdict, _ = house.take_in(report(LI, ("4.4.1", "smtp; 421 timed out"), "delayed"), house.return_path())
    assert verdict == "discard"
    assert house.count("bounce") == 0


def test_what_a_person_writes_to_a_return_path_waits_until_a_person_looked_at_it(house: House) -> None:
    house.post()
    raw = message(LI, PUMP, "Re: Hello", "Which seal?\n", "1@x").as_bytes()
    key = house.accept(raw, house.return_path(), LI)
    house.intake.drain()
    (held,) = house.site.spool.listing("held")
    assert (held.key, held.reason) == (key, "A person wrote to a return path.")
    house.site.desk().release(key)
    house.intake.drain()
    assert house.site.spool.listing("held") == []


def test_a_bounce_of_mail_to_somebody_who_is_no_member_is_dropped(house: House) -> None:
    house.post()
    with house.site.database.write() as connection:
        recipient = tables.delivery.c.recipient
        connection.execute(tables.delivery.update().where(recipient == LI).values(recipient="gone@example.org"))
    assert house.take_in(report(LI), house.return_path("gone@example.org"))[0] == "discard"


def test_a_bounce_of_a_delivery_that_is_not_known_waits_for_an_admin(house: House) -> None:
    token = house.site.tokens.return_path(2**48 - 1, NOW.date())
    assert house.take_in(report(LI), f"pump+b.{token}@lists.example.org")[0] == "hold"


# --- only with our key -----------------------------------------------------------------------------------------------


def forged_paths(house: House) -> dict[str, str]:
    """Return paths that are not good, by what is wrong with them."""
    good = house.return_path()
    token = good.partition("+b.")[2].partition("@")[0]
    altered = ("a" if token[0] != "a" else "b") + token[1:]
    return {
        "made up": "pump+b.aaaaaaaaaaaaaaaaaaaaaaaaaaaaa@lists.example.org",
        "none": "pump+b.@lists.example.org",
        "altered": good.replace(token, altered),
        "of another key": house.return_path(tokens=Tokens(b"x" * 32)),
        "of another purpose": f"pump+b.{house.site.tokens.item(1, 1, NOW.date())}@lists.example.org",
        "expired": house.return_path(on=NOW.date() - 15 * DAY),
    }


@pytest.mark.acceptance(42)
def test_a_return_path_that_is_not_ours_or_expired_is_refused_at_rcpt(tmp_path: Path) -> None:
    with RunningSite(settings_for(tmp_path), NOW) as running:
        house = House(running.site, running.clock)
        running.post(message(LI, PUMP, "Hello", "Text.\n", "1@example.org"))
        wait_until(running.settled, "the post is taken in")
        for what, address in forged_paths(house).items():
            with running.smtp() as client:
                client.ehlo()
                client.mail("")
                code, said = client.rcpt(address)
                assert (code, said.startswith(b"5.1.1")) == (550, True), what
        assert house.count("bounce") == 0
        last_day = house.return_path(on=NOW.date() - 14 * DAY)
        with running.smtp() as client:
            client.sendmail("", last_day.upper(), report(LI))
        wait_until(running.settled, "the bounce is taken in")
        assert house.score() == 4


@pytest.mark.acceptance(42)
@pytest.mark.acceptance(44)
def test_forged_bounces_that_came_past_the_door_are_held_and_change_nothing(house: House) -> None:
    house.post()
    addresses = [*forged_paths(house).values(), PUMP, "pump+owner@lists.example.org"]
    # No session to refuse in: a mailbox. The last day counts, for a forged token as for a good one.
    assert [house.take_in(report(LI), address)[0] for address in addresses] == ["hold"] * len(addresses)
    assert [house.count("bounce"), house.score()] == [0, 0]


@pytest.mark.acceptance(44)
def test_a_thousand_forged_bounces_without_a_key_leave_the_score_as_it_is(house: House) -> None:
    house.post()
    door = house.site.door()
    forger = Tokens(b"x" * 32)
    for number in range(1_000):
        address = house.return_path(tokens=forger, on=NOW.date() - timedelta(days=number % 14))
        assert isinstance(door.recipient(address, now=NOW, asker=f"192.0.2.{number}"), Refused)
    assert [house.count("bounce"), house.score()] == [0, 0]
    assert not isinstance(door.recipient(house.return_path(), now=NOW, asker="192.0.2.1000"), Refused)


# --- policy, days, waves ---------------------------------------------------------------------------------------------


@pytest.mark.acceptance(45)
def test_a_post_that_is_refused_everywhere_by_policy_raises_no_score(house: House) -> None:
    for _ in range(4):
        house.post()
        for email, said in ((ANA, REJECTED), (LI, BLOCKED)):
            assert "of the message and not of" in house.comes_back(email, said)[1]
            with house.site.database.write() as connection:
                house.returned.refused(connection, email, "550 5.7.1 rejected by policy", house.clock.now())
        house.clock.advance(DAY)
    assert [house.score(ANA), house.score(LI), house.stopped()] == [0, 0, []]
    assert house.count("bounce") == 8, "they are kept"


@pytest.mark.acceptance(46)
def test_twenty_bounces_on_one_day_count_once(house: House) -> None:
    for _ in range(20):
        house.post()
        house.comes_back()
    assert [house.score(), house.stopped()] == [4, []]


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ("550 5.1.1 <li@example.org>: Recipient address rejected: User unknown in local recipient table", 4),
        ("550 User unknown", 4),
        ("553 5.1.3 not asked: this is no mail address", 4),
        ("550 5.2.1 The email account that you tried to reach is disabled", 4),
        ("552 5.2.2 Mailbox full", 1),
        ("554 5.7.1 <li@example.org>: Relay access denied", 0),
        ("553 5.6.7 not asked: the smart host takes ASCII addresses only", 0),
        ("552 5.3.4 Message size exceeds fixed limit", 0),
    ],
)
def test_a_refusal_by_the_smart_host_counts_where_it_is_about_the_address(house: House, reply: str, score: int) -> None:
    with house.site.database.write() as connection:
        for email in (LI, "stranger@example.org"):
            house.returned.refused(connection, email, reply, house.clock.now())
    assert [house.score(), house.count("bounce")] == [score, 1]


@pytest.mark.acceptance(47)
def test_when_a_third_comes_back_at_once_the_admins_are_told_and_nobody_is_stopped(tmp_path: Path) -> None:
    members = [f"member{number}@example.org" for number in range(40)]
    with SmtpSink() as sink:
        house = house_in(settings_for(tmp_path, sink), [ANA, *members])
        for _ in range(2):  # before, a few a day came back for good: one day more and they would be stopped
            for email in members[:12]:
                if members.index(email) % 6 == 0:
                    house.clock.advance(DAY)
                    house.post()
                    house.site.deliverer().run_once()
                house.comes_back(email)
        assert {house.score(email) for email in members[:12]} == {8}
        house.clock.advance(DAY)
        house.post()
        house.site.deliverer().run_once()
        verdicts = [house.comes_back(email, BLOCKED if place % 2 else GONE) for place, email in enumerate(members[:12])]
        assert [verdict for verdict, _ in verdicts] == ["accept"] * 12
        assert house.stopped() == []
        assert {house.score(email) for email in members[:12]} == {8}
        (alert,) = house.notices(ADMIN)
        assert alert["Subject"] == "Much of our mail comes back"
        assert "Mail to 10 addresses came back within a day, in which 41 were mailed." in alert.get_content()
        assert "15 October" not in alert.get_content()
        assert "It came in a wave" in verdicts[-2][1]
        house.close()


# --- stopped, asked, and back ----------------------------------------------------------------------------------------


def test_the_owners_are_told_once_that_an_address_is_stopped_and_how_it_comes_back(house: House) -> None:
    house.stop()
    house.comes_back()
    (told,) = house.notices(OWNER)
    assert told["Subject"] == f"Mail to {LI} is stopped"
    text = " ".join(told.get_content().split())
    assert "the last time because there is no such address" in text
    assert "Pump people" in text
    assert "User unknown" not in text, "what others wrote stays out of our mail"
    assert told["Auto-Submitted"] == "auto-generated"
    with house.site.database.write() as connection:
        assert standing.bring_back_by(connection, token_in(told), house.clock.now())
    assert house.stopped() == []
    house.stop()
    assert len(house.notices(OWNER)) == 2, "another stop is told again"


def test_where_a_community_has_no_owner_to_reach_the_admins_are_told(house: House) -> None:
    with house.site.database.write() as connection:
        joining.set_member(connection, community="pump", email=OWNER, changes={"role": "member"}, now=NOW)
    house.stop()
    assert [one["Subject"] for one in house.notices(ADMIN)] == [f"Mail to {LI} is stopped"]


def test_no_mail_goes_to_a_stopped_address_but_the_mail_that_asks(house: House) -> None:
    house.stop()
    before = house.count("delivery")
    house.post()
    assert house.count("delivery") == before + 1, "Ana gets it, Li does not"
    house.clock.advance(7 * DAY)
    assert house.probe() == 1
    assert house.notices(LI)


@pytest.mark.acceptance(48)
def test_a_stopped_address_is_asked_three_times_each_with_a_return_path_of_its_own(tmp_path: Path) -> None:
    with SmtpSink() as sink:
        house = house_in(settings_for(tmp_path, sink))
        house.stop()
        house.site.deliverer().run_once()
        sink.messages.clear()
        asked = []
        for _ in range(60):
            house.clock.advance(DAY)
            if house.probe():
                asked.append(house.clock.now() - NOW)
                house.site.deliverer().run_once()
                assert "stopped before" in house.comes_back()[1], "a probe that comes back changes nothing"
        assert asked == [9 * DAY, 16 * DAY, 23 * DAY]
        assert [one.recipients for one in sink.messages] == [(LI,)] * 3
        paths = {one.mail_from for one in sink.messages}
        assert len(paths) == 3
        assert all(re.fullmatch(r"pump\+b\.[a-z2-7]{29}@lists\.example\.org", path) for path in paths)
        letters = [message_from_bytes(one.data, policy=policy.default) for one in sink.messages]
        ends = [letter.get_content().splitlines()[-1] for letter in letters]
        assert ends == [
            "To get none, do nothing. We ask 2 more times.",
            "To get none, do nothing. We ask once more.",
            "To get none, do nothing. We do not ask again.",
        ]
        assert house.stopped() == [LI]
        for letter in letters:
            assert letter["From"].addresses[0].username == f"pump+confirm.{confirm_token(letter)}"
            assert confirm_token(letter) == token_in(letter)
        house.close()


def confirm_token(mail: EmailMessage) -> str:
    return mail["From"].addresses[0].username.partition("+confirm.")[2]


def probe_of(house: House) -> EmailMessage:
    house.stop()
    house.clock.advance(7 * DAY)
    assert house.probe() == 1
    return house.notices(LI)[-1]


def reply_to(house: House, probe: EmailMessage, raw: bytes | None = None, sender: str = LI) -> tuple[str, str]:
    to = str(probe["From"].addresses[0].addr_spec)
    answer = message(LI, to, f"Re: {probe['Subject']}", "Yes.\n", f"re{house.count('decision')}@example.org")
    return house.take_in(raw or answer.as_bytes(), to, sender)


@pytest.mark.acceptance(48)
def test_a_plain_reply_to_the_mail_that_asks_brings_an_address_back(house: House) -> None:
    probe = probe_of(house)
    assert reply_to(house, probe) == ("accept", f"Mail to {LI} goes on.")
    assert house.stopped() == []
    assert house.notices(LI)[-1]["Subject"] == "Your mail goes on"
    assert reply_to(house, probe) == ("discard", f"Mail to {LI} goes on already.")
    house.post()
    house.comes_back()
    assert house.score() == 4
    with house.site.database.read() as connection:
        assert len(standing.history(connection, house.address().id)) == 4, "the days before are kept"


def test_a_reply_of_more_than_three_days_is_told_so_and_changes_nothing(house: House) -> None:
    probe = probe_of(house)
    house.clock.advance(confirmations.LIFE + HOUR)
    assert reply_to(house, probe)[0] == "discard"
    assert house.stopped() == [LI]
    assert "pump+owner@lists.example.org" in house.notices(LI)[-1].get_content()


def test_a_bounce_or_an_out_of_office_to_the_address_that_asks_brings_nobody_back(house: House) -> None:
    probe = probe_of(house)
    without_marks = report(LI).replace(b"Auto-Submitted: auto-replied\r\n", b"").replace(b"MAILER-DAEMON@", b"mail@")
    away = message(LI, "x@example.org", "Away", "Until Monday.\n", "1@x", Auto_Submitted="auto-replied").as_bytes()
    for raw, sender in ((report(LI), ""), (without_marks, "mail@mx.example.org"), (away, LI)):
        assert reply_to(house, probe, raw, sender)[0] != "accept"
        assert house.stopped() == [LI]
    assert reply_to(house, probe)[0] == "accept", "the token was not used up"


def test_a_probe_that_could_not_be_written_is_tried_again_and_stops_no_other(house: House, monkeypatch) -> None:
    house.stop()
    house.clock.advance(7 * DAY)
    with monkeypatch.context() as broken:
        broken.setattr(directory, "community_by_id", lambda *_: 1 / 0)
        assert house.probe() == 0
    assert house.probe() == 1
    assert house.probe() == 0
