"""Our side of SMTP: one reused, pipelined session to the smart host that carries letters one behind the other.

It knows no database and decides no retry. It never sends in the clear what was to be encrypted, and raises for no
trouble of the network: that too is an answer.
"""

import re
import smtplib
import socket
import ssl
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal

Step = Literal["connect", "mail", "rcpt", "data", "end"]
Reply = tuple[int, bytes]

_ENVELOPE: tuple[Step, ...] = ("mail", "rcpt", "data")
_LONGEST = 1.0  # seconds after which `send` begins no other letter
_JOINED = 1 << 16  # bytes up to which what is written at once is copied together first
_REPLY_LIMIT = 1 << 16  # bytes of one reply
_TEXT_LIMIT = 500
_ADDRESS = re.compile(r"[^\x00-\x20\x7f<>]+@[^\x00-\x20\x7f<>@]+")


@dataclass(frozen=True, slots=True)
class Letter:
    """One message to one recipient, with CR LF line ends only.

    `data` may be one object for many letters: what is made of it is then made once. `head` is whole header lines of
    this letter alone, which go in front of it.
    """

    mail_from: str  # empty: the null return path
    recipient: str
    data: bytes
    head: bytes = b""


@dataclass(frozen=True, slots=True)
class Answer:
    """What the smart host said about one letter, and at which step; `end` is after the final dot.

    `code` is 0 where no answer came; then `text` says what happened.
    """

    code: int
    text: str
    step: Step = "end"

    @property
    def accepted(self) -> bool:
        """The smart host has the letter."""
        return self.step == "end" and _good(self.code)

    @property
    def refused(self) -> bool:
        """The smart host will never take the letter for this recipient."""
        return self.step == "rcpt" and 500 <= self.code < 600

    @property
    def trouble(self) -> bool:
        """It may be about us, the message or the host, and so about other letters too (421: the host closes)."""
        return not self.accepted and (self.step != "rcpt" or self.code in (0, 421))

    def __str__(self) -> str:
        return f"{self.code} {self.text}" if self.code else self.text


_NO_SENDER = Answer(553, "5.1.7 not sent: the return path is no mail address", "mail")
_NO_ADDRESS = Answer(553, "5.1.3 not asked: this is no mail address", "rcpt")
_NO_UTF8 = Answer(553, "5.6.7 not asked: the smart host takes ASCII addresses only", "rcpt")  # RFC 6531 3.5


class SmtpTransport:
    """Sends by one session to the smart host, opened when needed and reused; for one thread."""

    def __init__(
        self,
        *,
        host: str,
        port: int,
        name: str,
        tls: Literal["none", "starttls", "tls"] = "none",
        user: str = "",
        password: str = "",
        timeout: float = 120.0,
        end_timeout: float = 600.0,
        context: ssl.SSLContext | None = None,
    ) -> None:
        """`name` is what we call ourselves in EHLO; `timeout` in seconds is for an answer.

        `end_timeout` is for the body and the answer to it (RFC 5321 4.5.3.2.6: ten minutes). `context` replaces the
        system's trust.
        """
        self._host, self._port, self._name, self._tls = host, port, name, tls
        self._user, self._password = user, password
        self._timeout, self._end_timeout = timeout, end_timeout
        self._context = context
        self._session: _Session | None = None

    def send(self, letters: Sequence[Letter]) -> list[Answer]:
        """Send letters in their order. Returns the answers to those that were tried: the first ones, at least one.

        It stops early after a second, and behind a letter whose answer is trouble, so that the caller can judge what is
        still worth trying.
        """
        until = time.monotonic() + _LONGEST
        answers: list[Answer] = []
        while self._found_closed(letters, answers, until):
            pass
        return answers

    def close(self) -> None:
        """End the session politely, if there is one."""
        if session := self._session:
            self._session = None
            session.end()

    def _found_closed(self, letters: Sequence[Letter], answers: list[Answer], until: float) -> bool:
        """Send what has no answer yet; returns whether that is to be gone on with in a new session.

        A host closes a session that was idle for too long, or has carried as many letters as it likes. The next letter
        is no worse for it, as long as its text was not sent.
        """
        try:
            self._session = session = self._session or self._open()
        except OSError as error:
            answers.append(_failure(error, "connect"))
            return False
        try:
            session.carry(islice(letters, len(answers), None), answers, until)
        except OSError as error:
            session.close()
            self._session = None
            if session.used and session.step != "end" and not isinstance(error, TimeoutError):
                return len(answers) < len(letters)
            if len(answers) < len(letters):
                answers.append(_failure(error, session.step))
        return False

    def _open(self) -> "_Session":
        if self._tls != "none" and self._context is None:
            self._context = ssl.create_default_context()  # which reads all certificates that this machine trusts
        session = _Session(
            host=self._host,
            port=self._port,
            name=self._name,
            timeout=self._timeout,
            end_timeout=self._end_timeout,
            context=self._context if self._tls == "tls" else None,
        )
        try:
            if self._tls == "starttls" and self._context:
                session.encrypt(self._context)
            session.ehlo_or_helo_if_needed()
            if self._user:
                session.login(self._user, self._password)
        except OSError:
            session.close()
            raise
        return session


class _Session(smtplib.SMTP):
    """A session of the standard library whose letters are pipelined where the host offers it (RFC 2920).

    Then a letter costs one round trip: its text goes out in one write with the envelope of the next, which RFC 2920 3.1
    allows. So nothing waits for an acknowledgement that the other side's TCP delays.
    """

    def __init__(
        self, *, host: str, port: int, name: str, timeout: float, end_timeout: float, context: ssl.SSLContext | None
    ) -> None:
        self.step: Step = "connect"
        self.used = False  # whether it has answered for a letter
        self._wrap = context
        self._answer_timeout, self._end_timeout = timeout, end_timeout
        self._waits = timeout  # what the socket's timeout is set to
        self._until = time.monotonic() + 2 * timeout
        self._came, self._read = b"", 0  # what came, and how much of it was read
        self._body = _Body(b"")  # of the letter at hand
        self._text: tuple[bytes, ...] = ()  # what the host waits for since it answered DATA with 354
        super().__init__(host, port, local_hostname=name, timeout=timeout)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock = socket.create_connection((host, port), timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._wrap.wrap_socket(sock, server_hostname=host) if self._wrap else sock

    def encrypt(self, context: ssl.SSLContext) -> None:
        """STARTTLS; raises OSError where it is not offered. What came in the clear behind the answer is dropped."""
        self.starttls(context=context)
        self._came, self._read = b"", 0

    def end(self) -> None:
        """Say QUIT, and wait no more than a second for the answer: nothing hangs on it."""
        self._until = time.monotonic() + 1
        try:
            self.quit()
        except OSError:
            self.close()

    def carry(self, letters: Iterable[Letter], answers: list[Answer], until: float) -> None:
        """Send letters up to the moment `until`, or up to one whose answer is trouble; adds the answers, in order.

        Raises OSError where the session ended; `step` says when, for the first letter that has no answer.
        """
        for letter in letters:
            if objection := self._objection(letter):
                self._finish(answers)
                answers.append(objection)
            else:
                self._offer(letter, answers)
            if (answers and answers[-1].trouble) or time.monotonic() > until:
                break
        self._finish(answers)

    def getreply(self) -> Reply:
        """The next reply. Raises OSError where none comes in time, it is no reply, or it says that the host closes."""
        try:
            return self._next_reply()
        except OSError:
            self.close()  # by now: where the greeting fails, nobody else has the session
            raise

    def _next_reply(self) -> Reply:
        line = self._line()
        text = line[4:].strip()
        length = len(line)
        while line[3:4] == b"-" and length <= _REPLY_LIMIT:
            line = self._line()
            text += b"\n" + line[4:].strip()
            length += len(line)
        code = int(line[:3]) if line[:3].isdigit() and line[3:4] != b"-" else -1
        if code in (-1, 421):
            raise smtplib.SMTPResponseException(code, text)
        return code, text

    def _objection(self, letter: Letter) -> Answer | None:
        """Why a letter cannot even be offered."""
        if letter.mail_from and not _ADDRESS.fullmatch(letter.mail_from):
            return _NO_SENDER
        if not _ADDRESS.fullmatch(letter.recipient):
            return _NO_ADDRESS
        return None if letter.recipient.isascii() or self.has_extn("smtputf8") else _NO_UTF8

    def _offer(self, letter: Letter, answers: list[Answer]) -> None:
        """Send the text that is waited for, then an envelope: its answer if that is not taken, else its text waits."""
        if self._body.data is not letter.data:
            self._body = _Body(letter.data)
        commands = self._commands(letter)
        self.step = "end" if self._text else "mail"
        if self.has_extn("pipelining"):
            self._write(*self._text, *commands)
            self._hear(answers)
            replies = [self._reply("mail"), self._reply("rcpt"), self._reply("data")]
        else:
            self._finish(answers)
            replies = self._one_by_one(commands)
        for reply, step in zip(replies, _ENVELOPE, strict=False):  # fewer, where the rest became pointless
            if not _wanted(reply, step):
                answers.append(_answer(reply, step))
                self._take_back(replies[-1])
                return
        self._text = (letter.head, self._body.stuffed, self._body.ending)

    def _one_by_one(self, commands: Iterable[bytes]) -> list[Reply]:
        """The replies up to the first that makes the rest of an envelope pointless."""
        replies = []
        self._allow_envelope()
        for command, step in zip(commands, _ENVELOPE, strict=True):
            self.step = step
            self._write(command)
            replies.append(self.getreply())
            if not _wanted(replies[-1], step):
                break
        return replies

    def _take_back(self, last: Reply) -> None:
        """Be ready for the next envelope, behind one that was not taken as a whole."""
        self.used = True
        self.step = "mail"
        if last[0] == 354:
            # RFC 2920 3.1: where no recipient was taken and DATA was answered 354 all the same, a lone dot ends it.
            self._write(b".\r\n")
            self.getreply()
        else:
            self.rset()

    def _finish(self, answers: list[Answer]) -> None:
        """Send the text that is waited for, with no envelope behind it."""
        if self._text:
            self.step = "end"
            self._write(*self._text)
            self._hear(answers)

    def _hear(self, answers: list[Answer]) -> None:
        """Add the answer to the text that was sent, if there was one."""
        if self._text:
            answers.append(_answer(self._reply("end"), "end"))
            self._text = ()
            self.used = True
        self._allow_envelope()

    def _reply(self, step: Step) -> Reply:
        self.step = step
        return self.getreply()

    def _commands(self, letter: Letter) -> tuple[bytes, bytes, bytes]:
        options = f" SIZE={len(letter.head) + len(letter.data)}" if self.has_extn("size") else ""
        if not (self._body.ascii and letter.head.isascii()) and self.has_extn("8bitmime"):
            options += " BODY=8BITMIME"
        if not (letter.mail_from.isascii() and letter.recipient.isascii()) and self.has_extn("smtputf8"):
            options += " SMTPUTF8"
        mail, rcpt = f"MAIL FROM:<{letter.mail_from}>{options}\r\n", f"RCPT TO:<{letter.recipient}>\r\n"
        return mail.encode(), rcpt.encode(), b"DATA\r\n"

    def _allow_envelope(self) -> None:
        # Twice the time of an answer for the whole of it: a host that drips must not outlast the lease.
        self._until = time.monotonic() + 2 * self._answer_timeout

    def _write(self, *parts: bytes) -> None:
        assert self.sock is not None
        if self.step == "end":
            self._until = time.monotonic() + self._end_timeout
        self._wait_for(self._limit())
        if sum(map(len, parts)) <= _JOINED:
            self.sock.sendall(b"".join(parts))  # one segment, as a rule
        else:
            for part in parts:
                self.sock.sendall(part)

    def _line(self) -> bytes:
        while (end := self._came.find(b"\n", self._read)) < 0:
            self._receive()
        line = self._came[self._read : end]
        self._read = end + 1
        return line

    def _receive(self) -> None:
        assert self.sock is not None
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError("the transaction took too long")
        self._wait_for(min(left, self._limit()))
        data = self.sock.recv(_REPLY_LIMIT)
        if not data:
            raise smtplib.SMTPServerDisconnected("the smart host closed the connection")
        self._came, self._read = self._came[self._read :] + data, 0
        if len(self._came) > 2 * _REPLY_LIMIT:
            raise smtplib.SMTPResponseException(-1, "a reply without an end")

    def _limit(self) -> float:
        return self._end_timeout if self.step == "end" else self._answer_timeout

    def _wait_for(self, seconds: float) -> None:
        """Set the socket's timeout, which costs a call of the system, unless it is as good as that already."""
        assert self.sock is not None
        if not seconds <= self._waits <= 1.05 * seconds:
            self.sock.settimeout(seconds)
            self._waits = seconds


class _Body:
    """What is made of a message once for all letters that carry it."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.ascii = data.isascii()
        self.stuffed = data  # with dots doubled at line starts (RFC 5321 4.5.2)
        if data.startswith(b".") or b"\r\n." in data:
            self.stuffed = (b"." if data.startswith(b".") else b"") + data.replace(b"\r\n.", b"\r\n..")
        self.ending = b".\r\n" if not data or data.endswith(b"\r\n") else b"\r\n.\r\n"


def _wanted(reply: Reply, step: Step) -> bool:
    return reply[0] == 354 if step == "data" else _good(reply[0])


def _good(code: int) -> bool:
    return 200 <= code < 300


def _answer(reply: Reply, step: Step) -> Answer:
    return Answer(reply[0], _printable(reply[1]), step)


def _failure(error: Any, step: Step) -> Answer:
    if isinstance(error, smtplib.SMTPResponseException):
        text = error.smtp_error
        return Answer(max(error.smtp_code, 0), _printable(text if isinstance(text, bytes) else text.encode()), step)
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return Answer(0, f"{step}: {_printable(reason.encode())}", step)


def _printable(text: bytes) -> str:
    """What a host said, fit for a log and a page: one line, no control characters."""
    shown = text[: 4 * _TEXT_LIMIT].decode("utf-8", "backslashreplace")
    if not shown.isprintable():
        shown = "".join(letter if letter.isprintable() else " " for letter in shown)
    return shown[:_TEXT_LIMIT]
