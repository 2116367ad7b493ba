"""A recording SMTP server for tests and benchmarks: light, on a free port, and as unhelpful as its rules say.

One thread a connection; commands that came together are answered together. It checks nothing: what is sent is what is
recorded.
"""

import contextlib
import re
import socket
import ssl
import threading
from dataclasses import dataclass, field
from typing import Self

CUT = "cut"
"""A rule's reply: close the connection without a word; what was answered before goes out."""
STALL = "stall"
"""A rule's reply: say nothing until the other side gives up."""

# Of 127.0.0.1, signed by itself, good from 2020 to 2119, and trusted by nobody but tests; key and certificate.
CERTIFICATE = """\
-----BEGIN PRIVATE KEY-----
MIGHAgEAMBMGByqGSM49AgEGCCqGSM49AwEHBG0wawIBAQQgOjdLuPUjadEzRGq6
3m2Wk7y3l8W9/Tc1o40iz53rnLChRANCAAQqvBcJWFo4HimUGeblNhwBYZ+oAanT
p7OJ1iwxDyMhAb3P15bbE17+mLuosFnxZmPU6O+EmAi9r8Oz+pjrohsF
-----END PRIVATE KEY-----
-----BEGIN CERTIFICATE-----
MIIBajCCARCgAwIBAgIBATAKBggqhkjOPQQDAjAbMRkwFwYDVQQDDBBzaW5rLmV4
YW1wbGUub3JnMCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAwWjAbMRkw
FwYDVQQDDBBzaW5rLmV4YW1wbGUub3JnMFkwEwYHKoZIzj0CAQYIKoZIzj0DAQcD
QgAEKrwXCVhaOB4plBnm5TYcAWGfqAGp06ezidYsMQ8jIQG9z9eW2xNe/pi7qLBZ
8WZj1OjvhJgIva/Ds/qY66IbBaNDMEEwDwYDVR0RBAgwBocEfwAAATAPBgNVHRMB
Af8EBTADAQH/MB0GA1UdDgQWBBTGr4Ak7YQlffdbl7d4w5YQkMk8ITAKBggqhkjO
PQQDAgNIADBFAiB2XFZLEih9GVWiuNeKpol5wG0mC73fv6tMgIalRBAGDwIhALUz
gwqIcoDfdcaoltxijfE8XA9OT4TtLEXD0YDOVpUl
-----END CERTIFICATE-----
"""

_ADDRESS = re.compile(rb"<([^>]*)>")


@dataclass(frozen=True)
class Received:
    """One message that was taken, with dots and the final dot undone."""

    mail_from: str
    recipients: tuple[str, ...]
    data: bytes


@dataclass
class _Rule:
    reply: str
    match: bytes | None
    after: int
    times: int | None
    first: bool = False
    said: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fires(self, line: bytes, taken: int) -> bool:
        if taken < self.after or (self.match is not None and self.match not in line):
            return False
        with self.lock:
            if self.times is None:
                return True
            self.times -= 1
            return self.times >= 0


class SmtpSink:
    """`with SmtpSink() as sink:` listens at 127.0.0.1:sink.port; `sink.messages` are in order of their ends."""

    def __init__(
        self,
        extensions: tuple[str, ...] = ("PIPELINING", "8BITMIME", "SMTPUTF8", "SIZE 100000000"),
        *,
        context: ssl.SSLContext | None = None,
        tls: bool = False,
    ) -> None:
        """`context` is for STARTTLS, which is offered where it is among the extensions; `tls` uses it at once."""
        self.messages: list[Received] = []
        self.connections = 0
        self.commands: list[str] = []  # all but message text, over all connections
        self.pipelined = False  # whether any command came before the one in front of it was answered
        self._context = context
        self._tls = tls
        self._hello = [b"250-sink.example.org", *(b"250-" + name.encode() for name in extensions)]
        self._hello[-1] = b"250 " + self._hello[-1][4:]
        self._rules: dict[str, list[_Rule]] = {}
        self._taken = threading.Condition()
        self._closing = threading.Event()
        self._open: set[socket.socket] = set()
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=256)
        self.port: int = self._listener.getsockname()[1]

    def on(
        self,
        step: str,
        reply: str,
        *,
        match: str | None = None,
        after: int = 0,
        times: int | None = None,
        first: bool = False,
    ) -> None:
        """Answer `reply` at a step: BANNER, EHLO, MAIL, RCPT, DATA, END (the final dot) or any other verb.

        Only lines that hold `match`, only once `after` messages of the connection were taken, and only `times` times. A
        reply of 421 closes the connection; CUT and STALL say nothing. The first rule that fires counts. Before one that
        is to come `first` has been sent, nobody else is answered at that step.
        """
        rule = _Rule(reply, None if match is None else match.encode(), after, times, first)
        self._rules.setdefault(step, []).append(rule)

    def forget(self) -> None:
        """Drop all rules: be helpful again."""
        self._rules = {}

    def wait_for(self, count: int, timeout: float = 10.0) -> list[Received]:
        """The messages, once there are `count`; raises TimeoutError where they do not come in `timeout` seconds."""
        with self._taken:
            if not self._taken.wait_for(lambda: len(self.messages) >= count, timeout):
                raise TimeoutError(f"{len(self.messages)} of {count} messages came")
            return list(self.messages)

    def recipients(self) -> list[str]:
        """Everyone who got something, once for each message, sorted."""
        return sorted(recipient for message in self.messages for recipient in message.recipients)

    def close(self) -> None:
        """Stop listening and close every connection."""
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        for link in list(self._open):
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)
        for thread in threading.enumerate():
            if thread.name == f"sink-{self.port}":
                thread.join(5)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name=f"sink-{self.port}", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                link, _ = self._listener.accept()
            except OSError:
                return
            self.connections += 1
            link.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._open.add(link)
            threading.Thread(target=self._serve, args=(link,), name=f"sink-{self.port}", daemon=True).start()

    def _serve(self, link: socket.socket) -> None:
        with contextlib.suppress(OSError, _GoneError):
            _Conversation(self, link).run()
        self._open.discard(link)
        link.close()

    def _reply(self, step: str, line: bytes, taken: int, usual: bytes) -> tuple[bytes, _Rule | None]:
        for rule in self._rules.get(step, ()):
            if rule.fires(line, taken):
                return rule.reply.encode(), rule
            if rule.first:
                rule.said.wait(10)
        return usual, None

    def _take(self, message: Received) -> None:
        with self._taken:
            self.messages.append(message)
            self._taken.notify_all()


class _GoneError(Exception):
    """The conversation is over."""


class _Conversation:
    def __init__(self, sink: SmtpSink, link: socket.socket) -> None:
        self._sink, self._link = sink, link
        if sink._tls and sink._context:
            self._link = sink._context.wrap_socket(link, server_side=True)
        self._buffer = b""
        self._out: list[bytes] = []
        self._mail_from: bytes | None = None
        self._recipients: list[str] = []
        self._messages = 0  # that were taken

    def run(self) -> None:
        try:
            self._talk()
        finally:
            self._link.close()  # another than the listener gave, once TLS is wrapped around it

    def _talk(self) -> None:
        self._say("BANNER", b"", b"220 sink.example.org ESMTP")
        while True:
            end = self._buffer.rfind(b"\r\n")
            if end < 0:
                self._receive()
                continue
            lines, self._buffer = self._buffer[:end].split(b"\r\n"), self._buffer[end + 2 :]
            self._sink.pipelined = self._sink.pipelined or len(lines) > 1
            for place, line in enumerate(lines):
                if self._command(line):
                    # What follows DATA is text, whether or not it came with it.
                    rest = b"".join(later + b"\r\n" for later in lines[place + 1 :])
                    self._buffer = rest + self._buffer
                    self._text()
                    break

    def _flush(self) -> None:
        if self._out:
            self._link.sendall(b"\r\n".join(self._out) + b"\r\n")
            self._out.clear()

    def _receive(self) -> None:
        self._flush()
        data = self._link.recv(1 << 18)
        if not data:
            raise _GoneError
        self._buffer += data

    def _say(self, step: str, line: bytes, usual: bytes) -> bool:
        """Answer; whether the answer is a good one."""
        reply, rule = self._sink._reply(step, line, self._messages, usual) if self._sink._rules else (usual, None)
        if reply in (CUT.encode(), STALL.encode()):
            self._flush()
            if reply == STALL.encode():
                self._sink._closing.wait(60)
            raise _GoneError
        self._out.append(reply)
        if rule is not None and rule.first:
            self._flush()
            rule.said.set()
        if reply.startswith(b"421"):
            self._flush()
            raise _GoneError
        return reply[:1] in (b"2", b"3")

    def _command(self, line: bytes) -> bool:
        """Answer one command; whether message text follows."""
        self._sink.commands.append(line.decode("utf-8", "replace"))
        verb = line[:4].upper()
        if verb == b"RCPT":
            self._rcpt(line)
        elif verb == b"MAIL":
            self._reset()
            if self._say("MAIL", line, b"250 2.1.0 fine"):
                found = _ADDRESS.search(line)
                self._mail_from = found[1] if found else b""
        elif verb == b"DATA":
            return self._say("DATA", line, b"354 go on" if self._recipients else b"503 5.5.1 no recipients")
        else:
            self._other(verb.decode("ascii", "replace"), line)
        return False

    def _rcpt(self, line: bytes) -> None:
        usual = b"503 5.5.1 no MAIL" if self._mail_from is None else b"250 2.1.5 fine"
        if self._say("RCPT", line, usual):
            found = _ADDRESS.search(line)
            self._recipients.append(found[1].decode() if found else "")

    def _text(self) -> None:
        # A leading CR LF makes an empty text end like any other, and a dot on the first line look like any other.
        self._buffer = b"\r\n" + self._buffer
        seen = 0
        while (end := self._buffer.find(b"\r\n.\r\n", seen)) < 0:
            seen = max(0, len(self._buffer) - 4)
            self._receive()
        text, self._buffer = self._buffer[: end + 2], self._buffer[end + 5 :]
        if self._say("END", b".", b"250 2.0.0 taken") and self._recipients:
            self._messages += 1
            data = text.replace(b"\r\n.", b"\r\n")[2:]
            self._sink._take(Received((self._mail_from or b"").decode(), tuple(self._recipients), data))
        self._reset()

    def _other(self, verb: str, line: bytes) -> None:
        if verb in ("RSET", "NOOP"):
            if verb == "RSET":
                self._reset()
            self._say(verb, line, b"250 2.0.0 fine")
        elif verb in ("EHLO", "HELO"):
            self._say(verb, line, b"\r\n".join(self._sink._hello) if verb == "EHLO" else b"250 fine")
        elif verb == "AUTH":
            self._say(verb, line, b"235 2.7.0 welcome")
        elif verb == "STAR" and self._sink._context is not None:
            self._say(verb, line, b"220 2.0.0 go on")
            self._link.sendall(self._out.pop() + b"\r\n")
            self._link = self._sink._context.wrap_socket(self._link, server_side=True)
        elif verb == "QUIT":
            self._link.sendall(b"221 2.0.0 bye\r\n")
            raise _GoneError
        else:
            self._say(verb, line, b"500 5.5.2 what?")

    def _reset(self) -> None:
        self._mail_from, self._recipients = None, []
