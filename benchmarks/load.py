"""A mail client in a process of its own that sends as fast as it is let: `python -m benchmarks.load PORT COUNT FILE`.

It pipelines MAIL, RCPT and DATA (RFC 2920) on raw sockets, does nothing else that costs, and prints what came of it as
one line of JSON.
"""

import json
import selectors
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import msgspec

Mail = tuple[str, list[str], bytes]  # return path, recipients, message


class Load:
    """The process, as the measuring program sees it."""

    def __init__(self, port: int, connections: int, mails: Sequence[Mail], folder: Path) -> None:
        """Start it: it sends at once."""
        file = folder / f"load{port}.msgpack"
        file.write_bytes(msgspec.msgpack.encode(mails))
        line = [sys.executable, "-m", "benchmarks.load", str(port), str(connections), str(file)]
        self._process = subprocess.Popen(line, stdout=subprocess.PIPE, text=True)

    def result(self) -> dict[str, Any]:
        """When it began and ended (monotonic), replies to the final dot, seconds from dot to reply, CPU seconds."""
        out, _ = self._process.communicate()
        if self._process.returncode:
            raise RuntimeError("the client that sends mail failed")
        result: dict[str, Any] = json.loads(out)
        return result

    def running(self) -> bool:
        """Whether it still sends."""
        return self._process.poll() is None


class _Talk:
    """One connection: what it waits for, and the messages that are left to it."""

    def __init__(self, port: int, mails: Sequence[Mail]) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.replies: Counter[str] = Counter()
        self.seconds: list[float] = []
        self.began = 0.0
        self._mails = iter(mails)
        self._buffer = b""
        self._wanted = 1
        self._do: Callable[[list[bytes]], bool] = self._hello
        self._text = b""
        self._dot_at = 0.0

    def readable(self) -> bool:
        """Read what came; False when all is sent."""
        data = self.socket.recv(1 << 16)
        if not data:
            raise ConnectionError("the server closed the connection")
        self._buffer += data
        if not data.endswith(b"\n"):
            return True
        lines = [line for line in self._buffer.split(b"\r\n")[:-1] if line[3:4] != b"-"]
        if len(lines) < self._wanted:
            return True
        self._buffer = b""
        return self._do(lines)

    def _hello(self, _: list[bytes]) -> bool:
        self.socket.sendall(b"EHLO client.example.org\r\n")
        self._do = self._next
        return True

    def _next(self, _: list[bytes]) -> bool:
        self.began = self.began or time.monotonic()
        mail = next(self._mails, None)
        if mail is None:
            self.socket.sendall(b"QUIT\r\n")
            return False
        mail_from, recipients, raw = mail
        lines = [f"MAIL FROM:<{mail_from}>\r\n", *(f"RCPT TO:<{one}>\r\n" for one in recipients), "DATA\r\n"]
        self._text = raw.replace(b"\r\n.", b"\r\n..") + b".\r\n"
        self._wanted = len(lines)
        self._do = self._data
        self.socket.sendall("".join(lines).encode())
        return True

    def _data(self, lines: list[bytes]) -> bool:
        self._wanted = 1
        if not lines[-1].startswith(b"354"):
            self.replies[lines[-1].decode()] += 1
            return self._next(lines)
        self._do = self._answered
        self._dot_at = time.monotonic()
        self.socket.sendall(self._text)
        return True

    def _answered(self, lines: list[bytes]) -> bool:
        self.seconds.append(time.monotonic() - self._dot_at)
        self.replies[lines[0].decode()] += 1
        return self._next(lines)


def send(port: int, connections: int, mails: Sequence[Mail]) -> dict[str, Any]:
    """Send the messages, dealt out to so many connections; returns when each has its reply."""
    waiting = selectors.DefaultSelector()
    talks = [_Talk(port, mails[number::connections]) for number in range(connections)]
    for talk in talks:
        waiting.register(talk.socket, selectors.EVENT_READ, talk)
    while waiting.get_map():
        for key, _ in waiting.select():
            if not key.data.readable():
                waiting.unregister(key.fileobj)
    ended = time.monotonic()
    for talk in talks:
        talk.socket.close()
    seconds = sorted(second for talk in talks for second in talk.seconds)
    return {
        "began": min(talk.began for talk in talks),
        "ended": ended,
        "replies": dict(sum((talk.replies for talk in talks), Counter())),
        "p50": seconds[len(seconds) // 2],
        "p99": seconds[len(seconds) * 99 // 100],
        "cpu": time.process_time(),
    }


def main(port: str, connections: str, file: str) -> None:
    """Send the file's messages, and print what came of it."""
    mails = msgspec.msgpack.decode(Path(file).read_bytes(), type=list[Mail])
    before = time.process_time()
    result = send(int(port), int(connections), mails)
    print(json.dumps({**result, "cpu": result["cpu"] - before}))


if __name__ == "__main__":
    main(*sys.argv[1:])
