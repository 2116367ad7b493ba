"""A small IMAP server for tests that does wrong what it is told to do wrong; Dovecot is too polite for that.

One thread a connection. It has one folder that matters, INBOX, and keeps what is moved elsewhere.
"""

import base64
import contextlib
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Self

CUT = "cut"
"""A rule's reply: close the connection without a word."""
STALL = "stall"
"""A rule's reply: say nothing until the other side gives up."""
Reply = str | bytes | Callable[[socket.socket, bytes], None]

ALL = ("IMAP4rev1", "AUTH=PLAIN", "IDLE", "MOVE", "UIDPLUS")


@dataclass
class _Rule:
    reply: Reply
    match: bytes
    times: int | None
    lock: threading.Lock = field(default_factory=threading.Lock)

    def fires(self, line: bytes) -> bool:
        if self.match not in line:
            return False
        with self.lock:
            if self.times is None:
                return True
            self.times -= 1
            return self.times >= 0


class HostileImap:
    """`with HostileImap() as server:` listens at 127.0.0.1:server.port; the password is `secret`."""

    def __init__(
        self, capabilities: tuple[str, ...] = ALL, *, context: ssl.SSLContext | None = None, tls: bool = False
    ) -> None:
        """`context` is for STARTTLS, which is offered where it is among the capabilities; `tls` uses it at once."""
        self.capabilities = " ".join(capabilities)
        self.uid_validity: int | None = 1
        self.uid_next: int | None = 1
        self.messages: dict[int, bytes] = {}
        self.flags: dict[int, set[str]] = {}
        self.folders: dict[str, list[bytes]] = {}  # others, once made, and what was put there
        self.commands: list[str] = []  # of all connections, without their tags
        self.sign_ins: list[float] = []  # when each was tried, by time.monotonic()
        self.connections = 0
        self._context, self._tls = context, tls
        self._rules: dict[str, list[_Rule]] = {}
        self._lock = threading.RLock()
        self._closing = threading.Event()
        self._open: dict[socket.socket, bool] = {}  # whether each idles
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.port: int = self._listener.getsockname()[1]

    def on(self, step: str, reply: Reply, *, match: str = "", times: int | None = None) -> None:
        """Answer `reply` to a command, or to GREETING or DONE, instead of obeying it.

        A text is a line, in which TAG stands for the command's tag; bytes are sent as they are, and a function may do
        what it likes to the socket. Only lines that hold `match`, and only `times` times. The first rule counts.
        """
        self._rules.setdefault(step, []).append(_Rule(reply, match.encode(), times))

    def forget(self) -> None:
        """Drop all rules: be polite again."""
        self._rules = {}

    def add(self, *messages: bytes) -> list[int]:
        """Put messages into the inbox, and tell whoever idles; returns their UIDs."""
        with self._lock:
            uids = []
            for message in messages:
                uid = max([*self.messages, (self.uid_next or 1) - 1]) + 1
                self.messages[uid], self.flags[uid] = message, set()
                self.uid_next = None if self.uid_next is None else uid + 1
                uids.append(uid)
            self.tell(f"* {len(self.messages)} EXISTS")
        return uids

    def recreate(self, uid_validity: int | None) -> None:
        """Number the messages anew, from 1, under another UIDVALIDITY or the same."""
        with self._lock:
            old = list(self.messages.values())
            self.messages, self.flags, self.uid_validity, self.uid_next = {}, {}, uid_validity, 1
        self.add(*old)

    def tell(self, line: str) -> None:
        """Say something to whoever idles."""
        for link in [link for link, idles in list(self._open.items()) if idles]:
            with contextlib.suppress(OSError):
                link.sendall(line.encode() + b"\r\n")

    def idling(self) -> int:
        """How many connections idle."""
        return sum(self._open.values())

    def count(self, command: str) -> int:
        """How often a command came that begins so."""
        return sum(line.startswith(command) for line in self.commands)

    def close(self) -> None:
        """Stop listening and close every connection."""
        self._closing.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        self.cut()
        for thread in threading.enumerate():
            if thread.name == f"imap-{self.port}":
                thread.join(5)

    def cut(self) -> None:
        """Close every connection without a word."""
        for link in list(self._open):
            with contextlib.suppress(OSError):
                socket.socket.shutdown(link, socket.SHUT_RDWR)

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, name=f"imap-{self.port}", daemon=True).start()
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
            threading.Thread(target=self._serve, args=(link,), name=f"imap-{self.port}", daemon=True).start()

    def _serve(self, link: socket.socket) -> None:
        talk = _Conversation(self, link)
        with contextlib.suppress(OSError, _GoneError):
            talk.run()
        self._open.pop(talk.link, None)
        talk.link.close()

    def _rule(self, step: str, line: bytes) -> Reply | None:
        return next((rule.reply for rule in self._rules.get(step, ()) if rule.fires(line)), None)


class _GoneError(Exception):
    """The conversation is over."""


class _Conversation:
    def __init__(self, server: HostileImap, link: socket.socket) -> None:
        self._server, self.link = server, link
        self._buffer = b""
        self._known = 0  # how many messages the other side was told of
        self._idle_tag = b""

    def run(self) -> None:
        if self._server._tls and self._server._context:
            self.link = self._server._context.wrap_socket(self.link, server_side=True)
        self._server._open[self.link] = False
        if not self._obeyed("GREETING", b"", b"*"):
            self._say("* OK ready")
        while True:
            tag, _, rest = self._line().partition(b" ")
            self._server._open[self.link] = False
            if tag == b"DONE":
                tag, rest = self._idle_tag, tag
            self._server.commands.append(rest.decode("utf-8", "replace"))
            step = rest.upper().removeprefix(b"UID ").partition(b" ")[0].decode()
            if step == "IDLE":
                self._idle_tag = tag
            if step in ("LOGIN", "AUTHENTICATE"):
                self._server.sign_ins.append(time.monotonic())
            if not self._obeyed(step, rest, tag):
                getattr(self, f"_{step.lower()}", self._bad)(tag.decode(), rest.decode("utf-8", "replace"))

    def _obeyed(self, step: str, line: bytes, tag: bytes) -> bool:
        reply = self._server._rule(step, line)
        if reply is None:
            return False
        if reply == CUT:
            raise _GoneError
        if reply == STALL:
            while self.link.recv(65_536):
                pass
            raise _GoneError
        if callable(reply):
            reply(self.link, tag)
        else:
            data = reply if isinstance(reply, bytes) else reply.encode() + b"\r\n"
            self.link.sendall(data.replace(b"TAG", tag))
            if data.startswith(b"* BYE"):
                raise _GoneError
        return True

    def _line(self) -> bytes:
        while b"\r\n" not in self._buffer:
            data = self.link.recv(65_536)
            if not data:
                raise _GoneError
            self._buffer += data
        line, _, self._buffer = self._buffer.partition(b"\r\n")
        return line

    def _say(self, *lines: str) -> None:
        self.link.sendall("".join(line + "\r\n" for line in lines).encode())

    def _bad(self, tag: str, _line: str) -> None:
        self._say(f"{tag} BAD unknown")

    def _capability(self, tag: str, _line: str) -> None:
        self._say(f"* CAPABILITY {self._server.capabilities}", f"{tag} OK done")

    def _starttls(self, tag: str, _line: str) -> None:
        assert self._server._context
        self._say(f"{tag} OK begin")
        del self._server._open[self.link]
        self.link = self._server._context.wrap_socket(self.link, server_side=True)
        self._server._open[self.link] = False

    def _login(self, tag: str, line: str) -> None:
        self._judge(tag, line.endswith('"secret"'))

    def _authenticate(self, tag: str, _line: str) -> None:
        self._say("+ ")
        self._judge(tag, base64.b64decode(self._line()).endswith(b"\0secret"))

    def _judge(self, tag: str, good: bool) -> None:
        self._say(f"{tag} OK signed in" if good else f"{tag} NO [AUTHENTICATIONFAILED] wrong")

    def _select(self, tag: str, line: str) -> None:
        server = self._server
        if '"INBOX"' not in line:
            self._say(f"{tag} NO there is no such folder")
            return
        self._known = len(server.messages)
        self._say(f"* {self._known} EXISTS", "* 0 RECENT", r"* FLAGS (\Seen \Deleted)")
        if server.uid_validity is not None:
            self._say(f"* OK [UIDVALIDITY {server.uid_validity}] valid")
        if server.uid_next is not None:
            self._say(f"* OK [UIDNEXT {server.uid_next}] next")
        self._say(f"{tag} OK [READ-WRITE] selected")

    def _noop(self, tag: str, _line: str) -> None:
        self._say(*self._news(), f"{tag} OK done")

    def _search(self, tag: str, line: str) -> None:
        uids = (
            self._meant(line.split("UID ", 2)[2].split()[0]) if line.count("UID ") > 1 else list(self._server.messages)
        )
        flags = self._server.flags
        if "UNSEEN" in line:
            uids = [uid for uid in uids if r"\Seen" not in flags[uid]]
        if "DELETED" in line:
            uids = [uid for uid in uids if (r"\Deleted" in flags[uid]) != ("UNDELETED" in line)]
        self._say(f"* SEARCH {' '.join(map(str, uids))}".rstrip(), *self._news(), f"{tag} OK done")

    def _fetch(self, tag: str, line: str) -> None:
        uids = self._meant(line.split()[2])
        order = sorted(self._server.messages)
        for uid in uids:
            message, number = self._server.messages[uid], order.index(uid) + 1
            if "RFC822.SIZE" in line:
                self._say(f"* {number} FETCH (UID {uid} RFC822.SIZE {len(message)})")
            else:
                self.link.sendall(b"* %d FETCH (UID %d BODY[] {%d}\r\n%s)\r\n" % (number, uid, len(message), message))
        self._say(f"{tag} OK done")

    def _store(self, tag: str, line: str) -> None:
        for uid in self._meant(line.split()[2]):
            self._server.flags[uid].update(re.findall(r"\\\w+", line))
        self._say(f"{tag} OK done")

    def _create(self, tag: str, line: str) -> None:
        self._server.folders.setdefault(line.split('"')[1], [])
        self._say(f"{tag} OK made")

    def _subscribe(self, tag: str, _line: str) -> None:
        self._say(f"{tag} OK done")

    def _copy(self, tag: str, line: str, *, then_remove: bool = False) -> None:
        uids, folder = self._meant(line.split()[2]), line.split('"')[1]
        if folder not in self._server.folders:
            self._say(f"{tag} NO [TRYCREATE] there is no such folder")
            return
        self._server.folders[folder] += [self._server.messages[uid] for uid in uids]
        if then_remove:
            self._remove(uids)
        self._say(f"{tag} OK done")

    def _move(self, tag: str, line: str) -> None:
        self._copy(tag, line, then_remove=True)

    def _expunge(self, tag: str, line: str) -> None:
        uids = self._meant(line.split()[2]) if line.startswith("UID") else list(self._server.messages)
        self._remove([uid for uid in uids if r"\Deleted" in self._server.flags[uid]])
        self._say(f"{tag} OK done")

    def _idle(self, tag: str, _line: str) -> None:
        with self._server._lock:
            self._say("+ idling", *self._news())
            self._server._open[self.link] = True

    def _done(self, tag: str, _line: str) -> None:
        self._say(f"{tag} OK done")

    def _logout(self, tag: str, _line: str) -> None:
        self._say("* BYE", f"{tag} OK done")
        raise _GoneError

    def _remove(self, uids: list[int]) -> None:
        with self._server._lock:
            for uid in uids:
                del self._server.messages[uid], self._server.flags[uid]
            self._known = len(self._server.messages)

    def _news(self) -> list[str]:
        told, self._known = self._known, len(self._server.messages)
        return [f"* {self._known} EXISTS"] if self._known != told else []

    def _meant(self, sequence: str) -> list[int]:
        """The UIDs of the inbox that a sequence set means; `n:*` means the last one in any case."""
        there, found = sorted(self._server.messages), set()
        for part in sequence.split(","):
            first, colon, last = part.partition(":")
            low = int(first)
            high = (there[-1] if there else 0) if last == "*" else int(last) if colon else low
            found.update(uid for uid in there if min(low, high) <= uid <= max(low, high))
        return sorted(found)
