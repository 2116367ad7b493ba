"""A site that is served by `tidings serve`, a process of its own, and what that costs.

It sends no mail and reads no page.
"""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from sqlalchemy import func, select

from benchmarks import queue
from tidings.app import open_site
from tidings.communities import directory, joining, sessions
from tidings.database import tables
from tidings.settings import load

ADMIN = "admin@example.org"
_TICKS = os.sysconf("SC_CLK_TCK")
_PROGRAM = (sys.executable, "-P", "-m", "tidings.cli")
WATCHED = "TIDINGS_BENCH_WHERE"
"""An environment variable: the folder for a report of each program's CPU, by function."""


@dataclass(frozen=True, kw_only=True)
class Memory:
    """What the processes have in memory, in MB: shared pages counted in part (PSS) or in each (RSS)."""

    pss: float
    rss: float


@dataclass(frozen=True, kw_only=True)
class Archive:
    """What is in the tables of a site."""

    posts: int
    different: int  # Message-IDs
    nodes: int  # that are seen
    indexed: int
    sent: int  # deliveries
    deliveries: int
    waiting: int  # in the spool, held and shunted ones too


class Served:
    """A site in a folder, made where there is none; `with` serves it."""

    def __init__(
        self, folder: Path, sink_port: int = 0, *, posting: str = "members", connections: int = 2, key: str = ""
    ) -> None:
        self.folder = folder
        self.config = folder / "tidings.toml"
        folder.mkdir(parents=True, exist_ok=True)
        host = f'[delivery]\nhost = "127.0.0.1"\nport = {sink_port}\nconnections = {connections}\n'
        delivery = host if sink_port else ""
        self.config.write_text(
            f'[site]\nadmins = ["{ADMIN}"]\n[smtp]\nlisten = "127.0.0.1:0"\n[web]\nlisten = "127.0.0.1:0"\n{delivery}'
            # The made-up threads of a whole year are sent within minutes.
            f'[limits]\nstorm_posts = 1000000\n[dkim]\nkey_file = "{key}"\n'
        )
        self.site = open_site(load(self.config))
        with self.site.database.write() as connection:
            now = self.site.clock.now()
            if not directory.communities(connection):
                joining.add_community(connection, name="bench", title="Bench", zone="UTC", posting=posting, now=now)
            self.session = sessions.open_session(connection, ADMIN, now)

    def add_members(self, emails: Sequence[str], delivery: str) -> None:
        """Members who are told in that way."""
        with self.site.database.write() as connection:
            now = self.site.clock.now()
            for email in emails:
                joining.add_member(connection, community="bench", email=email, delivery=delivery, now=now)

    def add_many(self, members: int) -> None:
        """Members who get each post, written in bulk."""
        with self.site.database.write() as connection:
            queue.add_members(connection, members, prefix="reader")

    def command(self, *arguments: object) -> list[str]:
        """The command line of a command on this site."""
        program, into = _PROGRAM, os.environ.get(WATCHED)
        if into:
            report = Path(into) / f"{self.folder.parent.name}-{self.folder.name}-{arguments[0]}.txt"
            program = (sys.executable, "-m", "benchmarks.where", str(report))
        return [*program, "-c", str(self.config), *map(str, arguments)]

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(self.command("serve"), stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        ready = self._process.stdout.readline()
        if not ready.startswith("ready "):
            raise RuntimeError("tidings serve did not start")
        ports = json.loads(ready.removeprefix("ready "))
        self.smtp, self.web = ports["smtp"], ports["web"]
        return self

    def __exit__(self, *_: object) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.communicate(timeout=60)
        self.close()

    def close(self) -> None:
        """Let go of the databases; where the site was served, that was done."""
        self.site.close()

    def cpu(self) -> float:
        """CPU seconds of the server's processes so far."""
        total = 0
        for process in self._processes():
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
            total += sum(map(int, fields[11:13]))  # utime and stime: fields 14 and 15 of proc(5)
        return total / _TICKS

    def memory(self) -> Memory:
        """What the server's processes have in memory."""
        totals = {"Pss": 0, "Rss": 0}
        for process in self._processes():
            for line in Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()[1:]:
                name, size = line.split(":")
                if name in totals:
                    totals[name] += int(size.split()[0])
        return Memory(pss=totals["Pss"] / 1024, rss=totals["Rss"] / 1024)

    def archive(self) -> Archive:
        """What is stored; read beside the server."""
        post, node, delivery = tables.post, tables.node, tables.delivery
        with self.site.database.read() as connection:
            counts = [
                connection.execute(statement).scalar_one()
                for statement in (
                    select(func.count()).select_from(post),
                    select(func.count(post.c.message_id.distinct())),
                    select(func.count()).select_from(node).where(node.c.post_id.is_not(None)),
                    select(func.count()).select_from(delivery).where(delivery.c.state == "sent"),
                    select(func.count()).select_from(delivery),
                )
            ]
            indexed = connection.exec_driver_sql("SELECT count(*) FROM post_text").scalar_one()
        waiting = sum(self.site.spool.counts().values())
        posts, different, nodes, sent, deliveries = counts
        return Archive(
            posts=posts,
            different=different,
            nodes=nodes,
            indexed=indexed,
            sent=sent,
            deliveries=deliveries,
            waiting=waiting,
        )

    def _processes(self) -> list[int]:
        found = [self._process.pid]
        for process in found:
            for task in Path(f"/proc/{process}/task").iterdir():
                found += map(int, (task / "children").read_text().split())
        return found
