"""A served site that is killed again and again under load, and what must hold of it afterwards.

Senders do as mail servers do: what was not answered with 250 is sent again to the next life of the site.
"""

import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Self

from sqlalchemy import Select, func, or_, select

from tests.invariants import archived, copies, must_be_sound, must_be_whole, same
from tests.running import wait_until
from tests.smtp_sink import SmtpSink
from tidings.app import Site, open_site
from tidings.clock import FixedClock
from tidings.communities import joining
from tidings.database import tables
from tidings.database.engine import Database
from tidings.settings import Settings, parse

PUMP = "pump@lists.example.org"
BATCH = 10  # letters for each connection of delivery: what one crash may send twice is that of all connections
_SENDERS = 4
_DRAINING = 600.0  # seconds for what hundreds of kills left in the spool


@dataclass
class Post:
    """One message, and what its sender was told."""

    message_id: str
    raw: bytes
    answered: bool = False
    tries: int = 0


@dataclass
class Tally:
    """What a run of kills came to."""

    kills: int = 0
    sent_again: int = 0  # messages that were sent before, and not answered then
    duplicates: int = 0  # of these, those that were there already: the kill came between commit and answer
    twice: int = 0  # copies that a reader got more than once
    posts: list[Post] = field(default_factory=list)


class Life:
    """One life of the served site: from its start to its kill."""

    def __init__(self, config: Path, *options: str) -> None:
        line = [sys.executable, "-m", "tidings.cli", "-c", str(config), "serve", *options]
        self._process = subprocess.Popen(line, stdout=subprocess.PIPE, stderr=subprocess.PIPE)

    def port(self) -> int:
        """The SMTP port, once the site is ready."""
        assert self._process.stdout is not None
        return smtp_port(self._process.stdout.readline())

    def memory(self, what: str) -> int:
        """Bytes that the site's own process has (`VmRSS`), or had at most (`VmHWM`)."""
        status = Path(f"/proc/{self._process.pid}/status").read_text()
        return int(status.partition(f"{what}:")[2].split()[0]) * 1024

    def forget_peak(self) -> None:
        """Count `VmHWM` from now on."""
        Path(f"/proc/{self._process.pid}/clear_refs").write_text("5")

    def end(self, how: signal.Signals) -> bytes:
        """Send a signal and wait for the end of the site and of its parser; what it wrote to standard error."""
        tasks = Path(f"/proc/{self._process.pid}/task")
        children = [int(child) for task in tasks.iterdir() for child in (task / "children").read_text().split()]
        self._process.send_signal(how)
        _, errors = self._process.communicate(timeout=30)
        wait_until(lambda: not any(map(_runs, children)), "the end of the parser")
        return errors


def smtp_port(line: bytes) -> int:
    """The port in the line that `tidings serve` prints when it is ready."""
    assert line.startswith(b"ready"), line
    return int(line.partition(b'"smtp": ')[2].partition(b",")[0])


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


class _Sender(threading.Thread):
    """A mail server with some messages; it ends where the other side is gone."""

    def __init__(self, port: int, posts: Sequence[Post]) -> None:
        super().__init__(name="sender")
        self._port, self._posts = port, posts

    def run(self) -> None:
        try:
            with socket.create_connection(("127.0.0.1", self._port), 10) as wire, wire.makefile("rb") as replies:
                self._send_all(wire, replies)
        except (OSError, EOFError):
            return

    def _send_all(self, wire: socket.socket, replies: BinaryIO) -> None:
        assert _reply(replies).startswith(b"220")
        wire.sendall(b"EHLO sender.example.org\r\n")
        _reply(replies)
        for post in self._posts:
            post.tries += 1
            wire.sendall(b"MAIL FROM:<ana@example.org>\r\nRCPT TO:<%s>\r\nDATA\r\n" % PUMP.encode())
            answers = [_reply(replies) for _ in range(3)]
            assert answers[-1].startswith(b"354"), answers
            wire.sendall(post.raw + b".\r\n")
            answer = _reply(replies)
            assert answer.startswith(b"250"), answer
            post.answered = True


def _reply(replies: BinaryIO) -> bytes:
    while line := replies.readline():
        if line[3:4] != b"-":
            return line
    raise EOFError


class CrashingSite:
    """A site in a folder with its recording smart host, driven by one seed."""

    def __init__(self, folder: Path, seed: int, *, connections: int = 2, readers: int = 3, url: str = "") -> None:
        """`url` is that of its database, where that is not a file in the folder."""
        self._folder = folder
        self._database = f'[database]\nurl = "{url}"\n' if url else ""
        self._chance = random.Random(seed)
        self._connections = connections
        self.readers = ["ana@example.org", *(f"reader{number}@example.org" for number in range(1, readers))]
        self.tally = Tally()

    def __enter__(self) -> Self:
        self.sink = SmtpSink().__enter__()
        self.config = self._folder / "tidings.toml"
        self.config.write_text(
            f'[site]\ndata_dir = "{self._folder}"\n[smtp]\nlisten = "127.0.0.1:0"\n[web]\nlisten = "127.0.0.1:0"\n'
            f'{self._database}[delivery]\nhost = "127.0.0.1"\nport = {self.sink.port}\n'
            f"connections = {self._connections}\nrecipients = {BATCH}\n"
            # The whole load is one conversation of minutes: none of it is to be held.
            "[limits]\nstorm_posts = 1000000\n"
        )
        site = self._open()
        now = site.clock.now()
        with site.database.write() as connection:
            joining.add_community(connection, name="pump", title="Pump", zone="UTC", now=now)
            for email in self.readers:
                joining.add_member(connection, community="pump", email=email, now=now)
        site.close()
        return self

    def __exit__(self, *_: object) -> None:
        self.sink.close()

    def kill(self) -> None:
        """One life: some load, and SIGKILL at any moment from the start of the program on."""
        life = Life(self.config)
        try:
            if self._chance.random() < 0.1:  # before it is ready
                time.sleep(self._chance.uniform(0, 0.8))
                return
            senders = self.start_senders(life.port(), self._chance.randint(0, 15))
            # As often while mail comes in as while it is archived and delivered.
            until = time.monotonic() + self._chance.uniform(0, self._chance.choice((0.1, 0.6)))
            self.must_be_whole()
            time.sleep(max(0.0, until - time.monotonic()))
        finally:
            life.end(signal.SIGKILL)
            self.tally.kills += 1
        for sender in senders:
            sender.join()

    def finish(self) -> None:
        """One more life in which all is sent, archived and delivered; then check that nothing is lost or doubled."""
        life = Life(self.config)
        try:
            for sender in self.start_senders(life.port(), 5):
                sender.join()
            site = self._open()
            wait_until(
                lambda: site.spool.counts() == {"waiting": 0, "held": 0, "shunted": 0}, "an empty spool", _DRAINING
            )
            site.close()
        finally:
            errors = life.end(signal.SIGTERM)
        assert errors == b""
        # What a killed worker had claimed is another's when its lease has run out.
        site = self._open(FixedClock(datetime.now(UTC) + timedelta(days=1)))
        site.deliverer().run_once()
        self.must_be_whole()
        self._must_be_complete(site)
        site.close()

    def start_senders(self, port: int, new: int) -> list[_Sender]:
        """Each with what it was not told about, and as many as `new` new messages."""
        waiting = [post for post in self.tally.posts if not post.answered]
        self.tally.sent_again += sum(post.tries > 0 for post in waiting)
        made = [self._post() for _ in range(_SENDERS * new)]
        self.tally.posts += made
        posts = waiting + made
        senders = [_Sender(port, posts[number::_SENDERS]) for number in range(_SENDERS)]
        for sender in senders:
            sender.start()
        return senders

    def _post(self) -> Post:
        number = len(self.tally.posts) + self._chance.randrange(1 << 40) * 1_000_000
        message_id = f"post{number}@example.org"
        above = self._chance.choice(self.tally.posts).message_id if self.tally.posts and number % 3 else ""
        fields = f"In-Reply-To: <{above}>\r\n" if above else ""
        words = "".join(f"{self._chance.random()} word\r\n" for _ in range(self._chance.randrange(200)))
        head = (
            f"From: ana@example.org\r\nTo: {PUMP}\r\nSubject: Post {number}\r\nMessage-ID: <{message_id}>\r\n{fields}"
        )
        return Post(message_id, f"{head}\r\n{words}.\r\n..{number}\r\n".replace("\r\n.", "\r\n..").encode())

    def rests(self) -> bool:
        """Whether nothing waits in the spool, and in the outbox nothing but what a killed worker had claimed."""
        free = or_(tables.delivery.c.claimed_until.is_(None), tables.delivery.c.claimed_until < datetime.now(UTC))
        due = select(tables.delivery.c.id).where(tables.delivery.c.state == "queued", free)
        url = self.settings().database.url
        spool = "sqlite:///spool.db" if url.startswith("sqlite") else url
        return not (self._any(spool, select(tables.spool.c.id)) or self._any(url, due))

    def _any(self, url: str, query: Select[int]) -> bool:
        # By a connection that is gone at once: it would be the one that a killed site's log is emptied by.
        with closing(Database(url, folder=self._folder)) as database, database.read() as connection:
            return connection.execute(query.limit(1)).first() is not None

    def must_be_whole(self) -> None:
        """See `invariants`."""
        with closing(self._open()) as site:
            must_be_whole(site, len(self.readers))

    def _must_be_complete(self, site: Site) -> None:
        sent = {post.message_id: post.raw.replace(b"\r\n..", b"\r\n.") for post in self.tally.posts}
        same("messages without an answer", [post.message_id for post in self.tally.posts if not post.answered], [])
        stored = archived(site)
        same("posts", len(stored), len(sent))
        same("bytes", dict(stored), sent)
        with site.database.read() as connection:
            again = select(func.count()).where(tables.decision.c.verdict == "duplicate")
            self.tally.duplicates = connection.execute(again).scalar_one()
        must_be_sound(site)
        taken = Counter(copies(self.sink.messages, sent))
        same("copies", set(taken), {(message_id, reader) for message_id in sent for reader in self.readers})
        self.tally.twice = sum(count - 1 for count in taken.values())
        assert self.tally.twice <= self.most_twice, f"{self.tally.twice} copies came twice"

    @property
    def most_twice(self) -> int:
        """How many copies may have come twice: what was under way at each kill."""
        return self.tally.kills * self._connections * BATCH

    def settings(self) -> Settings:
        """Those of the site."""
        return parse(self.config.read_text())

    def _open(self, clock: FixedClock | None = None) -> Site:
        return open_site(self.settings(), clock)
