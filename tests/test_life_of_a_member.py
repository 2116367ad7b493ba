"""The life of a member by mail alone: joins, posts, reads, pauses, mutes, moves house and leaves, over real sockets.

Both sides are mail: what the member does goes to the listener, and what is told is read from the server that takes our
mail. Only the clock is pushed from outside.
"""

import email
import email.policy
import re
from collections.abc import Iterator
from datetime import datetime, timedelta
from email.message import EmailMessage
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import select

from tests.running import RunningSite, message, settings_for, wait_until
from tests.smtp_sink import SmtpSink
from tidings.communities import joining
from tidings.database import tables
from tidings.jobs import Done

BERLIN = ZoneInfo("Europe/Berlin")
WEDNESDAY = datetime(2026, 10, 14, 9, 0, tzinfo=BERLIN)
PUMP = "pump@lists.example.org"
ANA, NOOR, NEW = "ana@example.org", "noor@example.org", "noor@example.net"


class Person:
    """Somebody with a mail program: writes to the site, and reads in order what comes."""

    def __init__(self, running: RunningSite, sink: SmtpSink, name: str, address: str) -> None:
        self._running, self._sink, self._name = running, sink, name
        self.address = address
        self._read = 0

    def write(self, to: str, subject: str = "", text: str = "", **fields: str) -> str:
        """Send a mail; returns its Message-ID. It is taken in when this returns."""
        bare = f"{self._name}.{self._running.clock.now().timestamp():.0f}.{len(subject)}.{len(text)}@example.org"
        sender = f"{self._name.title()} <{self.address}>"
        self._running.post(message(sender, to, subject, text, bare, **fields), self.address)
        wait_until(self._running.settled, "an empty spool")
        return bare

    def reply(self, to: EmailMessage, text: str = "") -> None:
        """Answer a mail, quoting it below."""
        quoted = "\n".join(f"> {line}" for line in text_of(to).splitlines())
        body = f"{text}\n\nOn {to['Date']}, {to['From']} wrote:\n{quoted}\n"
        answers = str(to["Message-ID"])
        self.write(to["From"].addresses[0].addr_spec, f"Re: {to['Subject']}", body, In_Reply_To=answers)

    def next(self) -> EmailMessage:
        """The next mail that comes."""
        wait_until(lambda: len(self._mail()) > self._read, f"a mail to {self.address}")
        self._read += 1
        found = email.message_from_bytes(self._mail()[self._read - 1], policy=email.policy.default)
        assert isinstance(found, EmailMessage)
        return found

    def unread(self) -> int:
        """How many mails came that were not read yet; all that was to be sent is sent before they are counted."""
        wait_until(self._all_sent, "an empty outbox")
        return len(self._mail()) - self._read

    def _all_sent(self) -> bool:
        with self._running.site.database.read() as connection:
            return (
                connection.execute(select(tables.delivery.c.id).where(tables.delivery.c.state == "queued")).first()
                is None
            )

    def moves_to(self, address: str) -> None:
        """Read another mailbox from now on."""
        self.address, self._read = address, 0

    def _mail(self) -> list[bytes]:
        return [one.data for one in self._sink.messages if self.address in one.recipients]


def text_of(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body is not None
    return str(body.get_content()).replace("\r\n", "\n")


def address_under(text: str, subject: str) -> str:
    """The reply address that is printed under the item about `subject`."""
    found = re.search(rf"^#\d+ {subject}.*?(pump\+r\.[a-z2-7]+@\S+)", text, re.MULTILINE | re.DOTALL)
    assert found is not None, text
    return found[1]


class Life:
    """Ana, who was there before, and Noor, who comes and goes."""

    def __init__(self, running: RunningSite, sink: SmtpSink) -> None:
        self.running, self.sink = running, sink
        self.ana = Person(running, sink, "ana", ANA)
        self.noor = Person(running, sink, "noor", NOOR)
        with running.site.database.write() as connection:
            now = running.clock.now()
            joining.add_community(connection, name="pump", title="Pump team", zone="Europe/Berlin", now=now)
            joining.add_member(connection, community="pump", email=ANA, name="Ana", now=now)

    def monday(self, weeks: int) -> int:
        """Let it be a Monday at 8; returns how many digests that brings."""
        self.running.clock.set(datetime(2026, 10, 19, 8, 0, tzinfo=BERLIN) + timedelta(weeks=weeks))
        done = self.running.server.run_due()
        assert isinstance(done, Done)
        return done.editions


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgres"))])
def life(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Life]:
    url = "" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    with SmtpSink() as sink, RunningSite(settings_for(tmp_path, sink, database=url), WEDNESDAY) as running:
        yield Life(running, sink)


def test_the_life_of_a_member_by_mail_alone(life: Life) -> None:
    ana, noor = life.ana, life.noor

    # Noor asks to join, is asked back, and says yes by replying.
    noor.write("pump+subscribe@lists.example.org", "hello")
    question = noor.next()
    assert question["Subject"] == "Join Pump team?"
    noor.reply(question)
    welcome = noor.next()
    assert welcome["Subject"] == "Welcome to Pump team"

    # She posts, and everybody gets it.
    noor.write(PUMP, "Grey washers", "Has anyone tried the grey washers?\n")
    assert ana.next()["Subject"] == noor.next()["Subject"] == "Grey washers"

    # She would rather have a mail a week, and says so by answering the welcome.
    noor.reply(welcome, "delivery weekly")
    question = noor.next()
    assert "- one mail a week" in text_of(question)
    noor.reply(question)
    assert "From now on you get one mail a week" in text_of(noor.next())
    seal = ana.write(PUMP, "Seal leaks", "Which seal is on line 3?\n")
    stock = ana.write(PUMP, "Spare stock", "Are there two seals left?\n")
    assert noor.unread() == 0

    # On Monday she reads the digest, and mutes a conversation from within it.
    assert life.monday(0) == 1
    digest = text_of(noor.next())
    assert "Which seal is on line 3?" in digest
    assert "Are there two seals left?" in digest
    noor.write(address_under(digest, "Seal leaks"), "Re: Seal leaks", "Mute\n\nNoor\n")
    assert "You hear no more of this conversation:\nSeal leaks" in text_of(noor.next())

    # She goes on holiday, and gets nothing until she is back.
    noor.write(address_under(digest, "Spare stock"), "Re: Spare stock", "pause until 3 Nov")
    assert "until Tue 3 Nov 2026" in text_of(noor.next())
    ana.write(PUMP, "Re: Seal leaks", "The grey one, line 3.\n", In_Reply_To=f"<{seal}>")
    ana.write(PUMP, "Re: Spare stock", "Two, in the crib.\n", In_Reply_To=f"<{stock}>")
    assert life.monday(1) == 0
    assert noor.unread() == 0

    # She is back early, and reads what she missed, but not what she muted.
    noor.write("pump+command@lists.example.org", "", "resume\n")
    noor.reply(noor.next())
    assert "The pause is over" in text_of(noor.next())
    assert life.monday(2) == 1
    digest = text_of(noor.next())
    assert "Two, in the crib." in digest
    assert "The grey one, line 3." not in digest

    # She moves to another address: the old one says yes, then the new one.
    noor.write("pump-request@lists.example.org", f"address {NEW}")
    noor.reply(noor.next())
    assert f"We sent a mail to {NEW}" in text_of(noor.next())
    old = noor.address
    noor.moves_to(NEW)
    noor.reply(noor.next())
    assert f"now goes to\n{NEW}" in text_of(noor.next())
    noor.write(PUMP, "From my new address", "It works.\n")
    assert [ana.next()["Subject"] for _ in range(5)][-1] == "From my new address"
    told = [one for one in life.sink.messages if old in one.recipients][-1]
    assert b"your mail goes to another address" in told.data

    # She leaves, and hears no more.
    noor.write("pump+unsubscribe@lists.example.org", "")
    noor.reply(noor.next())
    assert noor.next()["Subject"] == "You have left Pump team"
    ana.write(PUMP, "Are you there?", "Noor?\n")
    assert life.monday(3) == 0
    assert noor.unread() == 0
    assert life.running.site.spool.counts() == {"waiting": 0, "held": 0, "shunted": 0}
