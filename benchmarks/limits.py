"""What this machine can do at most, by programs that do nothing else: what the figures of Tidings are compared with."""

import asyncio
import email
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import product
from pathlib import Path

from aiosmtpd.smtp import SMTP, Envelope, Session

from benchmarks.load import Load, Mail
from benchmarks.mail import Made
from benchmarks.sink import Sink
from tidings.database.engine import Database

_SECONDS = 2.0
_PAUSE = 0.05  # seconds between two samples
_AT_ONCE = 20  # parses of a sample
# As many bytes as the header lines of a list take.
_OWN = (
    b"List-Unsubscribe: <http://127.0.0.1:8080/u/%024d>,\r\n <mailto:bench+unsubscribe@lists.example.org>\r\n"
    b"List-Unsubscribe-Post: List-Unsubscribe=One-Click\r\n"
)
_LIST = b"X-List: " + b"x" * 350 + b"\r\n"


def commits(folder: Path) -> float:
    """Fsynced commits of one row a second, on the SQLite and with the pragmas of the program."""
    database = Database(f"sqlite:///{folder / 'commits.db'}")
    with database.write() as connection:
        connection.exec_driver_sql("CREATE TABLE row (id INTEGER PRIMARY KEY, data BLOB)")
    with database.read() as connection:  # a bare connection with the same pragmas, without what SQLAlchemy costs
        raw = connection.connection.driver_connection
        assert raw is not None
        raw.execute("ROLLBACK")  # of the transaction of the reader: here each row has its own
        raw.execute("PRAGMA query_only=OFF")
        done, began = 0, time.monotonic()
        while time.monotonic() - began < _SECONDS:
            raw.execute("INSERT INTO row (data) VALUES (?)", (b"x" * 100,))
            done += 1
        rate = done / (time.monotonic() - began)
    database.close()
    return rate


def parsing(raws: Sequence[bytes]) -> float:
    """Messages a second that the standard library's compat32 parser reads, and nothing else."""
    done, began = 0, time.monotonic()
    while time.monotonic() - began < _SECONDS:
        email.message_from_bytes(raws[done % len(raws)])
        done += 1
    return done / (time.monotonic() - began)


class Beside:
    """What the compat32 parser did in a thread of its own while something was measured: parses and seconds of CPU.

    How fast a machine is changes from one moment to the next where others use it too, and CPU time with it.
    """

    def __init__(self) -> None:
        self.parses, self.seconds = 0, 0.0

    @property
    def rate(self) -> float:
        """Parses in a second of CPU."""
        return self.parses / self.seconds


@contextmanager
def beside(raws: Sequence[bytes]) -> Iterator[Beside]:
    """Parse a few messages now and then, for as long as the block runs; it must measure itself by `time.thread_time`.

    These are as fast as `parsing` is at that time, less what others leave in the caches.
    """
    found, over = Beside(), threading.Event()

    def sample() -> None:
        while not over.wait(_PAUSE):
            began = time.thread_time()
            for number in range(found.parses, found.parses + _AT_ONCE):
                email.message_from_bytes(raws[number % len(raws)])
            found.parses, found.seconds = found.parses + _AT_ONCE, found.seconds + time.thread_time() - began

    thread = threading.Thread(target=sample)
    thread.start()
    try:
        yield found
    finally:
        over.set()
        thread.join()


def sending(mails: Sequence[Mail], connections: int, folder: Path) -> float:
    """Recipients a second from the bare client to the sink."""
    with Sink() as sink:
        result = Load(sink.port, connections, mails, folder).result()
        taken = sink.ask()
    return float(taken["recipients"] / (taken["last"] - result["began"]))


def personal(messages: Sequence[Made], members: int) -> list[Mail]:
    """The copies of some posts as a list would send them, with made-up tokens: what `sending` is to compare with."""
    return [
        (f"bench+b.{number:029}@lists.example.org", [f"reader{member}@example.org"], _OWN % member + _LIST + made.raw)
        for number, (made, member) in enumerate(product(messages, range(members)))
    ]


def accepting(mails: Sequence[Mail], connections: int, folder: Path) -> float:
    """Messages a second that an aiosmtpd takes which stores nothing."""
    server = subprocess.Popen(
        [sys.executable, "-m", "benchmarks.limits"], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert server.stdout is not None
    result = Load(int(server.stdout.readline()), connections, mails, folder).result()
    server.communicate()
    return float(len(mails) / (result["ended"] - result["began"]))


class _Nothing:
    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        return "250 2.0.0 forgotten"


async def _serve() -> None:
    loop = asyncio.get_running_loop()
    server = await loop.create_server(
        lambda: SMTP(_Nothing(), hostname="limit.example.org", loop=loop), "127.0.0.1", 0, backlog=512
    )
    print(server.sockets[0].getsockname()[1], flush=True)
    await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    asyncio.run(_serve())
