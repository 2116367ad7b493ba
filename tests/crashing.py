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
import zlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import BinaryIO, Self

from sqlalchemy import Connection, Executable, func, select, text

from tests.running import wait_until
from tests.smtp_sink import SmtpSink
from tidings.app import Site, open_site
from tidings.clock import FixedClock
from tidings.communities import joining
from tidings.database import tables
from tidings.operations.check import check
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
        line = self._process.stdout.readline()
        assert line.startswith(b"ready"), line
        return int(line.partition(b'"smtp": ')[2].partition(b",")[0])

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

    def __init__(self, folder: Path, seed: int, *, connections: int = 2, readers: int = 3) -> None:
        self._folder = folder
        self._chance = random.Random(seed)
        self._connections = connections
        self._readers = ["ana@example.org", *(f"reader{number}@example.org" for number in range(1, readers))]
        self.tally = Tally()

    def __enter__(self) -> Self:
        self._sink = SmtpSink().__enter__()
        self._config = self._folder / "tidings.toml"
        self._config.write_text(
            f'[site]\ndata_dir = "{self._folder}"\n[smtp]\nlisten = "127.0.0.1:0"\n[web]\nlisten = "127.0.0.1:0"\n'
            f'[delivery]\nhost = "127.0.0.1"\nport = {self._sink.port}\n'
            f"connections = {self._connections}\nrecipients = {BATCH}\n"
            # The whole load is one conversation of minutes: none of it is to be held.
            "[limits]\nstorm_posts = 1000000\n"
        )
        site = self._open()
        now = site.clock.now()
        with site.database.write() as connection:
            joining.add_community(connection, name="pump", title="Pump", zone="UTC", now=now)
            for email in self._readers:
                joining.add_member(connection, community="pump", email=email, now=now)
        site.close()
        return self

    def __exit__(self, *_: object) -> None:
        self._sink.close()

    def kill(self) -> None:
        """One life: some load, and SIGKILL at any moment from the start of the program on."""
        life = Life(self._config)
        try:
            if self._chance.random() < 0.1:  # before it is ready
                time.sleep(self._chance.uniform(0, 0.8))
                return
            senders = self._start_senders(life.port(), self._chance.randint(0, 15))
            # As often while mail comes in as while it is archived and delivered.
            until = time.monotonic() + self._chance.uniform(0, self._chance.choice((0.1, 0.6)))
            self._must_be_whole()
            time.sleep(max(0.0, until - time.monotonic()))
        finally:
            life.end(signal.SIGKILL)
            self.tally.kills += 1
        for sender in senders:
            sender.join()

    def finish(self) -> None:
        """One more life in which all is sent, archived and delivered; then check that nothing is lost or doubled."""
        life = Life(self._config)
        try:
            for sender in self._start_senders(life.port(), 5):
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
        self._must_be_whole()
        self._must_be_complete(site)
        site.close()

    def _start_senders(self, port: int, new: int) -> list[_Sender]:
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

    def _must_be_whole(self) -> None:
        """Whatever is stored is stored wholly: each post with its place, index, decision and copies for all readers."""
        site = self._open()
        with site.database.read() as connection:
            posts = _ids(connection, select(tables.post.c.id))
            seen = select(tables.node.c.post_id).where(tables.node.c.post_id.is_not(None))
            accepted = select(tables.decision.c.post_id).where(tables.decision.c.verdict == "accept")
            copies = connection.execute(select(func.count()).select_from(tables.delivery)).scalar_one()
            _same("posts with a place", _ids(connection, seen), posts)
            _same("posts with an outbox row", _ids(connection, select(tables.outbox.c.post_id)), posts)
            _same("posts with a decision", _ids(connection, accepted), posts)
            _same("posts in the index", _ids(connection, text("SELECT rowid FROM post_text")), posts)
            _same("deliveries", copies, len(self._readers) * len(posts))
            _same("numbers", _ids(connection, select(tables.post.c.number)), list(range(1, len(posts) + 1)))
            _same("last number", connection.execute(select(tables.community.c.last_number)).scalar_one(), len(posts))
        site.close()

    def _must_be_complete(self, site: Site) -> None:
        sent = {post.message_id: post.raw.replace(b"\r\n..", b"\r\n.") for post in self.tally.posts}
        _same("messages without an answer", [post.message_id for post in self.tally.posts if not post.answered], [])
        raw = select(tables.post.c.message_id, tables.blob.c.data)
        with site.database.read() as connection:
            rows = connection.execute(raw.join(tables.blob, tables.blob.c.hash == tables.post.c.blob_hash))
            stored = [(message_id, zlib.decompress(data)) for message_id, data in rows]
            _same("posts", len(stored), len(sent))
            _same("bytes", dict(stored), sent)
            again = select(func.count()).where(tables.decision.c.verdict == "duplicate")
            self.tally.duplicates = connection.execute(again).scalar_one()
            _same("damage", connection.exec_driver_sql("PRAGMA integrity_check").scalar_one(), "ok")
            _same("broken references", connection.exec_driver_sql("PRAGMA foreign_key_check").all(), [])
        _same("findings of check", list(check(site.database)), [])
        self._must_be_delivered(sent)

    def _must_be_delivered(self, sent: dict[str, bytes]) -> None:
        copies: Counter[tuple[str, str]] = Counter()
        for received in self._sink.messages:
            head, _, body = received.data.partition(b"\r\n\r\n")
            message_id = head.partition(b"\r\nMessage-ID: <")[2].partition(b">")[0].decode()
            _same(f"the body of {message_id}", body, sent[message_id].partition(b"\r\n\r\n")[2])
            copies.update((message_id, recipient) for recipient in received.recipients)
        _same("copies", set(copies), {(message_id, reader) for message_id in sent for reader in self._readers})
        self.tally.twice = sum(count - 1 for count in copies.values())
        assert self.tally.twice <= self.most_twice, f"{self.tally.twice} copies came twice"

    @property
    def most_twice(self) -> int:
        """How many copies may have come twice: what was under way at each kill."""
        return self.tally.kills * self._connections * BATCH

    def _settings(self) -> Settings:
        return parse(self._config.read_text())

    def _open(self, clock: FixedClock | None = None) -> Site:
        return open_site(self._settings(), clock)


def _ids(connection: Connection, statement: Executable) -> list[int]:
    return sorted(connection.execute(statement).scalars())


def _same(what: str, found: object, wanted: object) -> None:
    assert found == wanted, f"{what}: {str(found)[:500]} is not {str(wanted)[:500]}"
