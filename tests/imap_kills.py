"""A fetcher in a process of its own, and a proxy in front of the IMAP server that kills it at a given command.

`python -m tests.imap_kills DATABASE PORT USER MOVE_TO` fetches once.
"""

import contextlib
import functools
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from tests.fetching import fetcher, mailbox
from tidings.database.engine import Database

Moment = Literal["before", "answered", "told"]


@dataclass(frozen=True, kw_only=True)
class Kill:
    """When: at the command with this number, before the server gets it, or when it has answered.

    `told`: the answer has also reached the fetcher, and so many seconds have passed.
    """

    command: int
    moment: Moment
    after: float = 0.0


class KillingProxy:
    """One session between a fetcher and the server at `port`, during which the fetcher is killed."""

    def __init__(self, port: int, kill: Kill | None) -> None:
        self._server_port, self._kill = port, kill
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.fired = False
        self.commands: list[bytes] = []
        self._process: subprocess.Popen[bytes] | None = None
        self._started = threading.Event()

    def fetch(self, database: Path, user: str, move_to: str) -> None:
        """Let a fetcher fetch once, or until it is killed."""
        port = str(self._listener.getsockname()[1])
        line = [sys.executable, "-m", "tests.imap_kills", str(database), port, user, move_to]
        self._process = subprocess.Popen(line)
        self._listener.settimeout(20)
        link, _ = self._listener.accept()
        server = socket.create_connection(("127.0.0.1", self._server_port))
        with link, server, contextlib.suppress(OSError):
            self._talk(link, server)
        status = self._process.wait(20)
        assert status == (-signal.SIGKILL if self.fired else 0), status

    def _talk(self, link: socket.socket, server: socket.socket) -> None:
        """Commands and answers take turns: the fetcher says nothing before it was answered."""
        link.sendall(_greeting(server))
        while command := _until(link, lambda data: data.endswith(b"\r\n")):
            self.commands.append(command)
            here = self._kill is not None and len(self.commands) == self._kill.command
            if here and self._kill and self._kill.moment == "before":
                self._end()
                return
            server.sendall(command)
            answer = _until(server, functools.partial(_is_whole, command))
            if here and self._kill and self._kill.moment == "answered":
                self._end()
                return
            link.sendall(answer)
            if here and self._kill:
                threading.Event().wait(self._kill.after)
                self._end()
                return

    def _end(self) -> None:
        assert self._process is not None
        self._process.kill()
        self._process.wait(20)
        self.fired = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()


def _greeting(server: socket.socket) -> bytes:
    return _until(server, lambda data: data.endswith(b"\r\n"))


def _until(link: socket.socket, whole: Callable[[bytes], bool]) -> bytes:
    data = b""
    while more := link.recv(65_536):
        data += more
        if whole(data):
            break
    return data


def _is_whole(command: bytes, data: bytes) -> bool:
    """Whether this is the whole answer: a line with the command's tag, or the consent to send more."""
    lines = data.split(b"\r\n")
    return data.endswith(b"\r\n") and (
        lines[-2].startswith((command.split()[0] + b" ", b"+")) or (b" " not in command and b" OK " in lines[-2])
    )


def main(database: str, port: str, user: str, move_to: str) -> None:
    """Fetch once."""
    fetcher(Database(f"sqlite:///{database}"), mailbox(int(port), user, move_to=move_to)).run_once()


if __name__ == "__main__":
    main(*sys.argv[1:])
