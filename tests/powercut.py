"""A site under load that is recorded call by call, and its folder as power cuts around each acknowledgement leave it.

`record` makes the recording, `images` the folders, and `survive` says whether one has all that was answered with 250,
is whole, and goes on to archive and deliver. Either engine: the folder is that of the SQLite files, or of a whole
PostgreSQL cluster, which is started on each image and does its own recovery.
"""

import os
import random
import shutil
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
from sqlalchemy import select

from tests import postgres
from tests.crashing import CrashingSite, smtp_port
from tests.disk import STRACE, Call, Disk, Image, Keep, calls
from tests.invariants import archived, copies, must_be_sound, must_be_whole, same
from tests.running import wait_until
from tests.smtp_sink import SmtpSink
from tests.sockets import free_port
from tidings.app import Site, open_site
from tidings.clock import FixedClock
from tidings.database.tables import delivery, outbox, post, spool
from tidings.mailer.worker import ParseWorker
from tidings.settings import Settings

_ANSWER = b"250 2.0.0 Accepted"
_MESSAGE_ID = b"\r\nMessage-ID: <"
_AROUND = 2  # cuts between an acknowledgement and the one before, beside that at itself
_KEEPS: tuple[Keep, ...] = ("synced", "everything", "some")


@dataclass(frozen=True)
class Cluster:
    """A small PostgreSQL cluster, whose files lie in the folder `data`."""

    data: Path
    port: int

    @property
    def url(self) -> str:
        """Its only database."""
        return f"postgresql+psycopg://tidings@127.0.0.1:{self.port}/postgres"

    def make(self) -> None:
        """A new one, which checkpoints often and writes little by itself."""
        _own(self.data.parent)
        self._run("initdb", "-A", "trust", "-U", "tidings", "-k", "--wal-segsize=1", "-D", str(self.data))
        with (self.data / "postgresql.conf").open("a") as settings:
            settings.write(
                f"port = {self.port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{self.data.parent}'\n"
                "shared_buffers = 8MB\nmax_wal_size = 4MB\nmin_wal_size = 2MB\nautovacuum = off\njit = off\n"
                "max_connections = 20\nmax_wal_senders = 0\nwal_level = minimal\nlogging_collector = off\n"
            )

    def start_command(self) -> list[str]:
        """What starts it, and ends when it answers."""
        log = str(self.data.parent / "log")
        return postgres.command("pg_ctl", "start", "-w", "-s", "-D", str(self.data), "-l", log)

    def start(self) -> None:
        """Start it; recovery first, where it was cut off. Raises AssertionError, with what it wrote last."""
        log = self.data.parent / "log"
        done = subprocess.run(self.start_command(), check=False, stdout=subprocess.DEVNULL, cwd=self.data.parent)
        assert done.returncode == 0, log.read_text()[-2000:]

    def stop(self, mode: str = "immediate") -> None:
        """Stop it, by default as a crash does."""
        self._run("pg_ctl", "stop", "-m", mode, "-s", "-D", str(self.data))

    def _run(self, *line: str) -> None:
        subprocess.run(postgres.command(*line), check=True, stdout=subprocess.DEVNULL, cwd=self.data.parent)


def _own(path: Path) -> None:
    if os.geteuid() == 0:
        shutil.chown(path, "postgres", "postgres")


@dataclass(frozen=True, kw_only=True)
class Recording:
    """What a served site was sent and did, and what was in its folder before."""

    root: Path
    base: Path
    log: Path
    settings: Settings
    cluster: Cluster | None
    readers: list[str]
    sent: dict[str, bytes]  # the raw messages by their bare Message-ID
    taken: set[tuple[str, str]]  # the copies that the smart host had: Message-ID and recipient


def record(folder: Path, messages: int, seed: int, *, with_postgres: bool) -> Recording:
    """Send so many messages to a new site in `folder`, some at a time, and let it archive and deliver each lot."""
    root, base, log, data = folder / "site", folder / "base", folder / "calls", folder / "cluster" / "data"
    root.mkdir()
    cluster = None
    if with_postgres:
        data.parent.mkdir()
        cluster = Cluster(data, free_port())
        cluster.make()
        cluster.start()
    with CrashingSite(root, seed, url=cluster.url if cluster else "") as site:
        if cluster:
            cluster.stop("fast")
        os.sync()
        watched = data if cluster else root
        subprocess.run(["cp", "-a", str(watched), str(base)], check=True)
        with _served(site, cluster, log) as port:
            while len(site.tally.posts) < messages:
                for sender in site.start_senders(port, 2):
                    sender.join()
                wait_until(site.rests, "the end of the load", 120)
        sent = {one.message_id: one.raw.replace(b"\r\n..", b"\r\n.") for one in site.tally.posts}
        return Recording(
            root=watched,
            base=base,
            log=log,
            settings=site.settings(),
            cluster=cluster,
            readers=site.readers,
            sent=sent,
            taken=set(copies(site.sink.messages, sent)),
        )


@contextmanager
def _served(site: CrashingSite, cluster: Cluster | None, log: Path) -> Iterator[int]:
    """The SMTP port of the served site, which strace watches from its start to its end, and the cluster with it."""
    line = [sys.executable, "-m", "tidings.cli", "-c", str(site.config), "serve"]
    if cluster:
        line = ["sh", "-c", '"$@" && exec ' + " ".join(line), "sh", *cluster.start_command()]
    with subprocess.Popen(["strace", *STRACE, "-o", str(log), *line], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            yield smtp_port(process.stdout.readline())
        finally:
            with log.open() as lines:  # of which the first is the site's own
                os.kill(int(next(lines).split()[0]), signal.SIGTERM)
            process.stdout.read()
            if cluster:
                cluster.stop()


@dataclass(frozen=True, kw_only=True)
class Cut:
    """One image: after how many calls the power failed, what had been answered by then, and what the folder holds."""

    at: int
    keep: Keep
    answered: frozenset[str]
    image: Image


def images(recording: Recording, seed: int) -> Iterator[Cut]:
    """At each acknowledgement and around it: all that is not synced lost, all of it there, and some of it."""
    chance = random.Random(seed)
    disk = Disk(recording.root, recording.base)
    around = _moments(recording, chance)
    under_way: dict[int, str] = {}  # by descriptor of a sender's connection
    answered: set[str] = set()
    for at, call in enumerate(calls(recording.log)):
        if told := _answered(call, under_way):
            answered.add(told)
        if at in around:
            for keep in _KEEPS:
                yield Cut(at=at, keep=keep, answered=frozenset(answered), image=disk.image(keep, chance))
        disk.note(call)


def _moments(recording: Recording, chance: random.Random) -> set[int]:
    under_way: dict[int, str] = {}
    moments: set[int] = set()
    last = 0
    for at, call in enumerate(calls(recording.log)):
        if _answered(call, under_way):
            moments |= {at, *(chance.randint(last, at) for _ in range(_AROUND))}
            last = at
    return moments


def _answered(call: Call, under_way: dict[int, str]) -> str | None:
    """The Message-ID of the message that this call begins to acknowledge, if it does."""
    if call.name not in ("recvfrom", "sendto") or not (strings := call.strings()):
        return None
    descriptor, data = call.file()[0], strings[0]
    if call.name == "recvfrom" and call.ends and _MESSAGE_ID in data:
        under_way[descriptor] = data.partition(_MESSAGE_ID)[2].partition(b">")[0].decode()
    if call.name == "sendto" and call.begins and data.startswith(_ANSWER):
        return under_way[descriptor]
    return None


def survive(recording: Recording, cut: Cut, worker: ParseWorker, sink: SmtpSink) -> None:
    """Open an image, beside what was recorded, and go on with it; what it sends goes to `sink`.

    Raises AssertionError, or what the site raises, where it is not as it must be.
    """
    folder = recording.root.parent / "image"
    shutil.rmtree(folder, ignore_errors=True)
    subprocess.run(["cp", "-a", str(recording.base), str(folder)], check=True)
    _lay_out(cut.image, folder)
    settings = _elsewhere(recording.settings, folder, sink.port)
    # What was claimed when the power failed is another's when its lease has run out.
    clock = FixedClock(datetime.now(UTC) + timedelta(days=1))
    with _started(recording.cluster, folder), closing(open_site(settings, clock)) as site:
        there = _acknowledged_is_there(site, recording, cut)
        must_be_whole(site, len(recording.readers))
        must_be_sound(site)
        told = _told(site)
        same("copies that nobody got", told - recording.taken, set())
        _go_on(site, worker)
        same("posts", sorted(message_id for message_id, _ in archived(site)), sorted(there))
        must_be_whole(site, len(recording.readers))
        told |= set(copies(sink.messages, recording.sent))
        same("copies", told, {(message_id, reader) for message_id in there for reader in recording.readers})
    sink.messages.clear()


def _lay_out(image: Image, folder: Path) -> None:
    for name, data in image.items():
        path = folder / name
        if data is None:
            path.unlink(missing_ok=True)
        else:
            path.write_bytes(data)
            _own(path)
    (folder / "postmaster.pid").unlink(missing_ok=True)  # of a server that the power cut ended


def _elsewhere(settings: Settings, folder: Path, port: int) -> Settings:
    site = msgspec.structs.replace(settings.site, data_dir=str(folder))
    return msgspec.structs.replace(settings, site=site, delivery=msgspec.structs.replace(settings.delivery, port=port))


@contextmanager
def _started(cluster: Cluster | None, folder: Path) -> Iterator[None]:
    if cluster is None:
        yield
        return
    cut_off = replace(cluster, data=folder)
    cut_off.start()
    try:
        yield
    finally:
        cut_off.stop()


def _acknowledged_is_there(site: Site, recording: Recording, cut: Cut) -> set[str]:
    """The ids of all messages in the archive or in the spool: those that were answered, once each, and as they came."""
    with site.spool_database.read() as connection:
        waiting = [bytes(raw) for raw in connection.execute(select(spool.c.raw)).scalars()]
    by_raw = {raw: message_id for message_id, raw in recording.sent.items()}
    same("strange mail in the spool", [raw for raw in waiting if raw not in by_raw], [])
    posts = archived(site)
    same("posts that came twice", [one for one, many in Counter(key for key, _ in posts).items() if many > 1], [])
    same("posts with other bytes", [key for key, raw in posts if recording.sent.get(key) != raw], [])
    there = {key for key, _ in posts} | {by_raw[raw] for raw in waiting}
    same("lost messages", cut.answered - there, set())
    return there


def _told(site: Site) -> set[tuple[str, str]]:
    """The copies that the site takes for sent."""
    sent = (
        select(post.c.message_id, delivery.c.recipient)
        .join(outbox, outbox.c.post_id == post.c.id)
        .join(delivery, delivery.c.outbox_id == outbox.c.id)
        .where(delivery.c.state == "sent")
    )
    with site.database.read() as connection:
        return {(message_id, recipient) for message_id, recipient in connection.execute(sent)}


def _go_on(site: Site, worker: ParseWorker) -> None:
    with closing(site.intake(worker)) as intake:
        while intake.run_once():
            pass
    same("the spool", site.spool.counts(), {"waiting": 0, "held": 0, "shunted": 0})
    site.deliverer().run_once()
