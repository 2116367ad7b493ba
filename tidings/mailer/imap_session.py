"""Our side of IMAP (RFC 9051): one session on one folder, bounded in the bytes and the time that an answer may take.

It knows no database and decides no retry. It never signs in in the clear where that was to be encrypted.
"""

import contextlib
import imaplib
import socket
import ssl
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from imapclient import DELETED, SEEN, IMAPClient, SocketTimeout
from imapclient.exceptions import (
    CapabilityError,
    IMAPClientAbortError,
    IMAPClientError,
    IMAPClientReadOnlyError,
    LoginError,
    ProtocolError,
)
from imapclient.imap4 import IMAP4WithTimeout
from imapclient.tls import IMAP4_TLS, create_default_context

from tidings.settings import ImapSettings

_LINES = 1_000_000  # bytes of an answer, apart from messages
_LIST_LINES = 4_000_000  # of one that lists UIDs: about half a million of them
_FIRST_LINES = 65_536  # of those before anybody is signed in
_SLOWEST = 16_384  # bytes a second: a message that comes more slowly is given up
_STRIDE = 500  # UIDs of one command
_FAREWELL = 5.0  # seconds that a polite end may take
_UID_END = 1 << 32
_WORDS_LIMIT = 300
# A refusal with one of these is the server's own trouble: RFC 9051 7.1.
_PASSING = ("[UNAVAILABLE]", "[INUSE]", "[LIMIT]", "[SERVERBUG]")


class LostError(Exception):
    """The session is over: it was cut, took too long, or the server said what cannot be understood."""


class LoginCutError(LostError):
    """The session was lost during sign-in: some servers answer a wrong password like that."""


class DeniedError(Exception):
    """The server would not do what it was asked; the session goes on."""


class RefusedError(Exception):
    """The server lets us not in, or not at the folder, until a person has done something."""


@dataclass(frozen=True, kw_only=True)
class Timing:
    """How long, in seconds."""

    connect: float = 20.0
    answer: float = 60.0  # without a byte of it
    # RFC 9051 6.3.13 asks for less than 29 minutes; servers and routers on the way forget a silent session sooner.
    idle: float = 480.0
    pause: float = 1.0  # between two looks, at least: no server can make us spin
    first_wait: float = 1.0  # after a lost session, doubled each time
    longest_wait: float = 60.0
    refused_wait: float = 930.0  # four tries an hour lock no account
    retry: float = 60.0  # between the tries of one message, while others go on


@dataclass(frozen=True, kw_only=True)
class Folder:
    """What the server says of a folder; 0 and None: nothing."""

    uid_validity: int
    uid_next: int | None


class _Meter(imaplib.IMAP4):
    """imaplib with bounded reading: its own takes whatever comes, as long as it comes."""

    def __init__(self, connected: Callable[[socket.socket], None], *where: Any) -> None:
        self._connected = connected
        self._buffer = bytearray()
        self._source: socket.socket | None = None
        self.allow(lines=_FIRST_LINES, literals=0, seconds=Timing.answer)
        super().__init__(*where)

    def allow(self, *, lines: int, literals: int, seconds: float) -> None:
        """How much may be read from now on."""
        self._lines, self._literals, self._until = lines, literals, time.monotonic() + seconds
        # imaplib keeps all that nobody asked for, as long as the session lasts.
        self.untagged_responses: dict[str, list[Any]] = {}

    def open(self, host: str = "", port: int = 143, timeout: float | None = None) -> None:
        super().open(host, port, timeout)
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._connected(self.sock)

    def readline(self) -> bytes:
        self._check_source()
        start = 0
        while (end := self._buffer.find(b"\n", start)) < 0:
            start = len(self._buffer)
            if start > self._lines:
                raise self.abort("the server sends more than was asked for")
            self._more()
        self._lines -= end + 1
        return self._taken(end + 1)

    def read(self, size: int) -> bytes:
        self._literals -= size
        if self._literals < 0:
            raise self.abort(f"the server announces {size} bytes, more than are taken")
        while len(self._buffer) < size:
            self._more()
        return self._taken(size)

    @property
    def has_unread(self) -> bool:
        return bool(self._buffer)

    def _taken(self, size: int) -> bytes:
        with memoryview(self._buffer) as view:
            data = bytes(view[:size])
        del self._buffer[:size]
        if self._lines < 0:
            raise self.abort("the server sends more than was asked for")
        return data

    def _check_source(self) -> None:
        """After STARTTLS: what came before it in the clear may be anybody's word."""
        if self._source is not self.sock and self._buffer:
            raise self.abort("something was said before encryption began, to be read after it")
        self._source = self.sock

    def _more(self) -> None:
        if time.monotonic() > self._until:
            raise self.abort("the answer took too long")
        data = self.sock.recv(65_536)
        if not data:
            raise self.abort("EOF: the server closed the connection")
        self._buffer += data


class _PlainMeter(_Meter, IMAP4WithTimeout):  # type: ignore[misc]
    pass


class _TlsMeter(_Meter, IMAP4_TLS):  # type: ignore[misc]
    pass


class _Client(IMAPClient):  # type: ignore[misc]
    """imapclient over a meter."""

    def __init__(self, connected: Callable[[socket.socket], None], host: str, port: int, **more: Any) -> None:
        self._connected = connected
        super().__init__(host, port, **more)
        self._imap.debug = 0  # imapclient sets 5, at which imaplib formats every message for a log that nobody reads

    def _create_IMAP4(self) -> _Meter:  # noqa: N802  (imapclient's name)
        if self.ssl:
            return _TlsMeter(self._connected, self.host, self.port, self.ssl_context, self._timeout.connect)
        return _PlainMeter(self._connected, self.host, self.port, self._timeout.connect)

    def allow(self, *, lines: int, literals: int, seconds: float) -> None:
        """How much the next answers may come to."""
        self._imap.allow(lines=lines, literals=literals, seconds=seconds)

    def idle(self) -> None:
        """Begin to wait for news: imapclient takes those that come before the server's consent for a refusal."""
        tag = self._idle_tag = self._imap._command("IDLE")
        while self._imap._get_response() is not None:
            if answer := self._imap.tagged_commands[tag]:
                raise IMAPClientError(f"IDLE: {answer}")

    @property
    def has_news(self) -> bool:
        """Whether something came with the last answer; no look at the socket shows that."""
        return self.told_of_more or self._imap.has_unread

    @property
    def told_of_more(self) -> bool:
        """Whether the last answer said by the way that there are other messages now."""
        return "EXISTS" in self._imap.untagged_responses


class Session:
    """One session, for one thread; only `cut` is for others."""

    def __init__(
        self, mailbox: ImapSettings, password: str, timing: Timing, context: ssl.SSLContext | None = None
    ) -> None:
        """`context` replaces the system's trust."""
        self._mailbox, self._password, self._timing = mailbox, password, timing
        self._context = context or create_default_context()
        self._socket: socket.socket | None = None
        self._client: Any = None
        self.was_cut = False
        self.has_idle = False

    def open(self) -> Folder:
        """Connect, sign in and select the folder. Raises LostError, RefusedError."""
        self._connect()
        self._sign_in()
        return self._select()

    def close(self) -> None:
        """End politely where that is quick."""
        client, self._client = self._client, None
        if client is None:
            return
        with contextlib.suppress(Exception):
            if not self.was_cut:
                client.allow(lines=_LINES, literals=0, seconds=_FAREWELL)
                client.socket().settimeout(_FAREWELL)
                client.logout()
        with contextlib.suppress(OSError):
            client.shutdown()

    def abandon(self) -> None:
        """End without a word."""
        self.was_cut = True
        self.close()

    def cut(self) -> None:
        """End from another thread: whatever waits for the server stops waiting."""
        self.was_cut = True
        if self._socket is not None:
            with contextlib.suppress(OSError):
                # Not SSLSocket's own, which forgets the encryption while the other thread may be writing.
                socket.socket.shutdown(self._socket, socket.SHUT_RDWR)

    def uids(self, first: int, last: int | None = None, *also: str) -> list[int]:
        """The UIDs from `first` to `last`, of those messages that have these search keys also; ascending."""
        return self._search("UID", f"{first}:{last or '*'}", *also, least=first)

    def still_there(self, uids: Sequence[int]) -> set[int]:
        """Those of `uids` that are in the folder."""
        found: set[int] = set()
        for some in _strides(uids):
            found.update(self._search("UID", ",".join(map(str, some))))
        return found

    def sizes(self, uids: Sequence[int]) -> dict[int, int]:
        """The sizes of messages in bytes, as the server says."""
        with self._asking():
            answer = self._client.fetch(uids, ["RFC822.SIZE"])
        sizes = {uid: items.get(b"RFC822.SIZE") for uid, items in answer.items()}
        return {uid: size for uid, size in sizes.items() if isinstance(size, int)}

    def bodies(self, uids: Sequence[int], most: int) -> dict[int, bytes]:
        """Messages, by UID, `most` bytes in all, without marking them as seen."""
        with self._asking(literals=most):
            answer = self._client.fetch(uids, ["BODY.PEEK[]"])
        bodies = {uid: items.get(b"BODY[]") for uid, items in answer.items()}
        return {uid: body for uid, body in bodies.items() if isinstance(body, bytes)}

    def mark_done(self, uids: Sequence[int]) -> None:
        """Move messages to the folder for that, or flag them as seen where there is none. Raises DeniedError."""
        for some in _strides(uids):
            if not self._mailbox.move_to:
                with self._asking():
                    self._client.add_flags(some, [SEEN], silent=True)
                continue
            try:
                self._move(some)
            except DeniedError:  # most likely the folder is not there: TRYCREATE, RFC 9051 7.1
                with contextlib.suppress(DeniedError):
                    self._make_folder()
                self._move(some)

    def look_again(self) -> bool:
        """Whether the server told of other messages while it answered the last search."""
        told: bool = self._client.told_of_more
        return told

    def idle(self, seconds: float) -> None:
        """Wait until the server tells of something, `seconds` at most. Raises DeniedError where it does not do that."""
        with self._asking(seconds=seconds + self._timing.answer):
            self._client.idle()
            # It gives nothing, at once, where the connection is dead, which the next command finds out.
            self._client.idle_check(timeout=0 if self._client.has_news else seconds)
            self._client.idle_done()

    def noop(self) -> None:
        """Ask for nothing: servers tell of new messages, and a dead connection is found."""
        with self._asking():
            self._client.noop()

    def _connect(self) -> None:
        box, timing = self._mailbox, self._timing
        try:
            self._client = _Client(
                self._has_connected,
                box.host,
                box.port,
                ssl=box.tls == "tls",
                ssl_context=self._context,
                timeout=SocketTimeout(connect=timing.connect, read=timing.answer),
            )
            if box.tls == "starttls":
                self._client.starttls(self._context)
                self._has_connected(self._client.socket())
        except ssl.SSLCertVerificationError as error:
            raise RefusedError(f"its certificate is not good: {error.verify_message}") from error
        except CapabilityError as error:
            raise RefusedError("it does not offer STARTTLS, and nothing is sent in the clear") from error
        except Exception as error:  # whatever a server does here, it is tried again
            raise LostError(_words(error)) from error

    def _has_connected(self, made: socket.socket) -> None:
        self._socket = made
        if self.was_cut:
            self.cut()

    def _sign_in(self) -> None:
        client, box = self._client, self._mailbox
        client.allow(lines=_FIRST_LINES, literals=0, seconds=self._timing.answer)
        try:
            # It takes any character, while LOGIN takes ASCII.
            if client.has_capability("AUTH=PLAIN"):
                client.plain_login(box.user, self._password)
            else:
                client.login(_quoted(box.user), self._password)
            self.has_idle = client.has_capability("IDLE")
            self._has_move, self._has_uidplus = client.has_capability("MOVE"), client.has_capability("UIDPLUS")
        except LoginError as error:
            if isinstance(error.__context__, IMAPClientAbortError):
                raise LoginCutError(f"sign-in: {_words(error)}") from error
            if any(code in str(error).upper() for code in _PASSING):
                raise LostError(f"sign-in: {_words(error)}") from error
            raise RefusedError(f"it refuses the sign-in of {box.user}: {_words(error)}") from error
        except UnicodeEncodeError as error:
            raise RefusedError("it takes ASCII only, and the user name or the password has other characters") from error
        except Exception as error:
            raise LoginCutError(f"sign-in: {_words(error)}") from error

    def _select(self) -> Folder:
        name = self._mailbox.folder
        try:
            with self._asking():
                answer = self._client.select_folder(name)
        except LostError as error:
            if isinstance(error.__cause__, IMAPClientReadOnlyError):
                raise RefusedError(f"the folder {name} may only be read, so nothing can be marked in it") from error
            raise
        except DeniedError as error:
            raise RefusedError(f"the folder {name} cannot be opened: {error}") from error
        uid_validity, uid_next = answer.get(b"UIDVALIDITY", 0), answer.get(b"UIDNEXT")
        if not 0 <= uid_validity < _UID_END:
            raise LostError(f"UIDVALIDITY {uid_validity} cannot be")
        return Folder(uid_validity=uid_validity, uid_next=uid_next)

    def _search(self, *keys: str, least: int = 1) -> list[int]:
        with self._asking(lines=_LIST_LINES):
            found = sorted(set(self._client.search(list(keys))))
        # `n:*` has the last message even where its UID is below n: RFC 9051 9, seq-range.
        found = [uid for uid in found if uid >= least]
        if found and found[-1] >= _UID_END:
            raise LostError(f"UID {found[-1]} cannot be")
        return found

    def _move(self, uids: Sequence[int]) -> None:
        """RFC 9051 6.4.8, or what that section says to do without it."""
        target = self._mailbox.move_to
        if self._has_move:
            with self._asking():
                self._client.move(uids, target)
            return
        with self._asking():
            self._client.copy(uids, target)
        with self._asking():
            self._client.add_flags(uids, [DELETED], silent=True)
        if self._has_uidplus:
            with self._asking():
                self._client.uid_expunge(uids)
        # EXPUNGE without UIDs removes whatever anybody marked as deleted, so only where that is ours alone.
        elif set(self._search("DELETED")) <= set(uids):
            with self._asking():
                self._client.expunge()

    def _make_folder(self) -> None:
        with self._asking():
            self._client.create_folder(self._mailbox.move_to)
        with self._asking():
            self._client.subscribe_folder(self._mailbox.move_to)

    @contextlib.contextmanager
    def _asking(self, *, lines: int = _LINES, literals: int = 0, seconds: float | None = None) -> Iterator[None]:
        """Bounds the answer to one command, and sorts what goes wrong."""
        allowed = seconds or self._timing.answer + literals / _SLOWEST
        self._client.allow(lines=lines, literals=literals, seconds=allowed)
        try:
            yield
        except (IMAPClientAbortError, ProtocolError) as error:
            raise LostError(_words(error)) from error
        except IMAPClientError as error:
            raise DeniedError(_words(error)) from error
        except Exception as error:  # the network's, or what imapclient makes of an answer that is none
            raise LostError(_words(error)) from error


def _strides(uids: Sequence[int]) -> Iterator[Sequence[int]]:
    for start in range(0, len(uids), _STRIDE):
        yield uids[start : start + _STRIDE]


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


def _words(error: Exception) -> str:
    """What an error says, in one printable line: it may be the server's own words."""
    text = "".join(one if one.isprintable() else " " for one in str(error)) or type(error).__name__
    return " ".join(text[:_WORDS_LIMIT].split())
