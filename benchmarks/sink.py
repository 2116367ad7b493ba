"""A mail server in a process of its own that takes all at once and remembers who got what: `python -m benchmarks.sink`.

As light as can be, so that what is measured is the sender. It prints its port; each line on its standard input is
answered with a line of JSON.
"""

import asyncio
import contextlib
import json
import re
import subprocess
import sys
import time
from collections import Counter
from typing import Any, Self

_ID = re.compile(rb"(?im)^message-id:\s*<([^<>]+)>")
_ADDRESS = re.compile(rb"<([^>]*)>")
_LEAVE = re.compile(rb"(?i)^list-unsubscribe:[^\r]*/u/(\w+)>", re.MULTILINE)
_TOP = 1_200  # bytes of a message that are kept: the lines of one copy alone stand there, a signature too
_HELLO = b"250-sink.example.org\r\n250-PIPELINING\r\n250-8BITMIME\r\n250-SMTPUTF8\r\n250 SIZE 100000000\r\n"


class Taken:
    """What came, over all connections."""

    def __init__(self) -> None:
        self.copies: list[tuple[bytes, list[bytes]]] = []
        self.tops: list[tuple[bytes, bytes]] = []  # return path and first lines of each
        self.recipients = 0
        self.last = 0.0

    def add(self, mail_from: bytes, head: bytes, recipients: list[bytes]) -> None:
        found = _ID.search(head)
        self.copies.append((found[1] if found else b"", recipients))
        self.tops.append((mail_from, head[:_TOP]))
        self.recipients += len(recipients)
        self.last = time.monotonic()

    def answer(self, ask: str) -> dict[str, Any]:
        """Counts; asked for `all`, also of what was different: copies, return paths, links to leave by."""
        counts = {"recipients": self.recipients, "transactions": len(self.copies), "last": self.last}
        if ask == "all":
            each = Counter((message_id, one) for message_id, recipients in self.copies for one in recipients)
            counts |= {"different": len(each), "twice": sum(count > 1 for count in each.values())}
            counts |= {"messages": len({message_id for message_id, _ in each})}
            links = {found[1] for _, top in self.tops if (found := _LEAVE.search(top))}
            counts |= {"paths": len({mail_from for mail_from, _ in self.tops}), "links": len(links)}
        return {**counts, "cpu": time.process_time()}


class _Talk(asyncio.Protocol):
    def __init__(self, taken: Taken) -> None:
        self._taken = taken
        self._buffer = bytearray()
        self._mail_from = b""
        self._recipients: list[bytes] = []
        self._in_text = False
        self._searched = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        transport.write(b"220 sink.example.org ESMTP\r\n")

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        answers: list[bytes] = []
        while self._text(answers) if self._in_text else self._commands(answers):
            pass
        if answers:
            self._transport.write(b"".join(answers))

    def _commands(self, answers: list[bytes]) -> bool:
        """Answer one command; whether there may be more to do."""
        end = self._buffer.find(b"\r\n")
        if end < 0:
            return False
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 2]
        verb = line[:4].upper()
        if verb == b"RCPT":
            found = _ADDRESS.search(line)
            self._recipients.append(found[1] if found else b"")
            answers.append(b"250 2.1.5 fine\r\n")
        elif verb == b"DATA":
            self._in_text, self._searched = True, 0
            answers.append(b"354 go on\r\n")
        elif verb == b"EHLO":
            answers.append(_HELLO)
        elif verb == b"QUIT":
            self._transport.write(b"".join(answers) + b"221 2.0.0 bye\r\n")
            answers.clear()
            self._transport.close()
        else:
            self._mail_from, self._recipients = line, []
            answers.append(b"250 2.0.0 fine\r\n")
        return True

    def _text(self, answers: list[bytes]) -> bool:
        end = self._buffer.find(b"\r\n.\r\n", self._searched)
        if end < 0:
            self._searched = max(0, len(self._buffer) - 4)
            return False
        self._taken.add(self._mail_from, bytes(self._buffer[: min(end + 2, 16_384)]), self._recipients)
        del self._buffer[: end + 5]
        self._in_text, self._recipients = False, []
        answers.append(b"250 2.0.0 taken\r\n")
        return True


async def _serve() -> None:
    taken = Taken()
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: _Talk(taken), "127.0.0.1", 0, backlog=256)
    print(server.sockets[0].getsockname()[1], flush=True)
    ended = loop.create_future()

    def asked() -> None:
        line = sys.stdin.readline()
        if line:
            print(json.dumps(taken.answer(line.strip())), flush=True)
        else:
            loop.remove_reader(sys.stdin.fileno())
            ended.set_result(None)

    loop.add_reader(sys.stdin.fileno(), asked)
    await ended


class Sink:
    """The process, as the measuring program sees it."""

    def __enter__(self) -> Self:
        line = [sys.executable, "-m", "benchmarks.sink"]
        self._process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=10)

    def ask(self, what: str = "counts") -> dict[str, Any]:
        """What the process answers: see `Taken.answer`."""
        assert self._process.stdin is not None and self._process.stdout is not None
        print(what, file=self._process.stdin, flush=True)
        answer: dict[str, Any] = json.loads(self._process.stdout.readline())
        return answer


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve())
