"""Our side of SMTP: one reused, pipelined session to the smart host, with a result for each recipient.

It knows no database and decides no retry. It never sends in the clear what was to be encrypted, and raises for no
trouble of the network: that too is an answer.
"""

import re
import smtplib
import socket
import ssl
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

Step = Literal["connect", "mail", "rcpt", "data", "end"]
Reply = tuple[int, bytes]

# Commands sent before replies are read: more could fill both ends' buffers and halt them (RFC 2920 3.1).
_STRIDE = 128
_TEXT_LIMIT = 500
_ADDRESS = re.compile(r"[^\x00-\x20\x7f<>]+@[^\x00-\x20\x7f<>@]+")


@dataclass(frozen=True, slots=True)
class Answer:
    """What the smart host said about one recipient, and at which step; `end` is after the final dot.

    `code` is 0 where no answer came; then `text` says what happened.
    """

    code: int
    text: str
    step: Step = "end"

    @property
    def accepted(self) -> bool:
        """The smart host has the message for this recipient."""
        return self.step == "end" and _good(self.code)

    @property
    def refused(self) -> bool:
        """The smart host will never take mail for this recipient."""
        return self.step == "rcpt" and 500 <= self.code < 600

    def __str__(self) -> str:
        return f"{self.code} {self.text}" if self.code else self.text


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
        self._context = context or ssl.create_default_context()
        self._session: _Session | None = None

    def send(self, mail_from: str, recipients: Sequence[str], data: bytes) -> dict[str, Answer]:
        """One transaction; `data` has CR LF line ends only. Returns an answer for each recipient."""
        if mail_from and not _ADDRESS.fullmatch(mail_from):
            return dict.fromkeys(recipients, Answer(553, "5.1.7 not sent: the return path is no mail address", "mail"))
        answers = {one: _NO_ADDRESS for one in recipients if not _ADDRESS.fullmatch(one)}
        good = [recipient for recipient in recipients if recipient not in answers]
        if good:
            reused = self._session is not None
            sent = self._attempt(mail_from, good, data)
            if reused and self._session is None and all(answer.step == "mail" for answer in sent.values()):
                sent = self._attempt(mail_from, good, data)  # the host had closed the idle session; nothing was sent
            answers.update(sent)
        return answers

    def close(self) -> None:
        """End the session politely, if there is one."""
        if session := self._session:
            self._session = None
            session.end()

    def _attempt(self, mail_from: str, recipients: Sequence[str], data: bytes) -> dict[str, Answer]:
        answers: dict[str, Answer] = {}
        step: Step = "connect"
        try:
            session = self._session or self._open()
            self._session, step = session, "mail"
            session.transact(mail_from, recipients, data, answers)
        except OSError as error:
            if self._session:
                step = self._session.step
                self._session.close()
                self._session = None
            failure = _failure(error, step)
            for recipient in recipients:
                answers.setdefault(recipient, failure)
        return answers

    def _open(self) -> "_Session":
        session = _Session(
            host=self._host,
            port=self._port,
            name=self._name,
            timeout=self._timeout,
            end_timeout=self._end_timeout,
            context=self._context if self._tls == "tls" else None,
        )
        try:
            if self._tls == "starttls":
                session.starttls(context=self._context)  # raises where it is not offered
            session.ehlo_or_helo_if_needed()
            if self._user:
                session.login(self._user, self._password)
        except OSError:
            session.close()
            raise
        return session


class _Session(smtplib.SMTP):
    """A session of the standard library, with transactions that are pipelined where the host offers it (RFC 2920)."""

    def __init__(
        self, *, host: str, port: int, name: str, timeout: float, end_timeout: float, context: ssl.SSLContext | None
    ) -> None:
        self.step: Step = "connect"
        self._wrap = context
        self._answer_timeout, self._end_timeout = timeout, end_timeout
        self._until = time.monotonic() + 2 * timeout
        super().__init__(host, port, local_hostname=name, timeout=timeout)

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock = socket.create_connection((host, port), timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._wrap.wrap_socket(sock, server_hostname=host) if self._wrap else sock

    def end(self) -> None:
        """Say QUIT, and wait no more than a second for the answer: nothing hangs on it."""
        self._until = time.monotonic() + 1
        try:
            self.quit()
        except OSError:
            self.close()

    def transact(self, mail_from: str, recipients: Sequence[str], data: bytes, answers: dict[str, Answer]) -> None:
        """Send one message; fills `answers`. Raises OSError where the session ended, with `step` saying when."""
        if not self.has_extn("smtputf8"):
            answers.update({one: _NO_UTF8 for one in recipients if not one.isascii()})
            recipients = [one for one in recipients if one.isascii()]
            if not recipients:
                return
        mail, *replies = self._envelope(self._commands(mail_from, recipients, data))
        if not _good(mail[0]):
            answers.update(dict.fromkeys(recipients, _answer(mail, "mail")))
        for recipient, reply in zip(recipients, replies, strict=False):  # fewer where MAIL was refused
            if not _good(reply[0]):
                answers.setdefault(recipient, _answer(reply, "rcpt"))
        accepted = [recipient for recipient in recipients if recipient not in answers]
        go = replies[len(recipients)] if len(replies) > len(recipients) else None
        if go is None or go[0] != 354:
            if go is not None:
                answers.update(dict.fromkeys(accepted, _answer(go, "data")))
            self.rset()
            return
        # RFC 2920 3.1: where no recipient was taken and DATA was answered 354 all the same, a lone dot ends it.
        reply = self._body(data if accepted else b"")
        answers.update(dict.fromkeys(accepted, _answer(reply, "end")))

    def getreply(self) -> Reply:
        """The next reply. Raises OSError where none comes in time, it is no reply, or it says that the host closes."""
        assert self.sock is not None
        left = self._until - time.monotonic()
        if left <= 0:
            self.close()
            raise TimeoutError("the transaction took too long")
        self.sock.settimeout(min(left, self.timeout))
        code, text = super().getreply()
        if code in (-1, 421):
            self.close()
            raise smtplib.SMTPResponseException(code, text)
        return code, text

    def _commands(self, mail_from: str, recipients: Sequence[str], data: bytes) -> list[bytes]:
        options = f" SIZE={len(data)}" if self.has_extn("size") else ""
        if not data.isascii() and self.has_extn("8bitmime"):
            options += " BODY=8BITMIME"
        if not all(map(str.isascii, (mail_from, *recipients))) and self.has_extn("smtputf8"):
            options += " SMTPUTF8"
        lines = [f"MAIL FROM:<{mail_from}>{options}\r\n", *(f"RCPT TO:<{recipient}>\r\n" for recipient in recipients)]
        return [*(line.encode() for line in lines), b"DATA\r\n"]

    def _envelope(self, commands: Sequence[bytes]) -> list[Reply]:
        """The replies to MAIL, to each RCPT and to DATA; those to commands that became pointless are left out."""
        self.step = "mail"
        # Twice the time of an answer for the whole: a host that drips must not outlast the lease.
        self._until = time.monotonic() + 2 * self._answer_timeout
        stride = _STRIDE if self.has_extn("pipelining") else 1
        replies: list[Reply] = []
        for start in range(0, len(commands), stride):
            group = commands[start : start + stride]
            if replies and (not _good(replies[0][0]) or (len(group) == 1 and _all_refused(commands, replies))):
                break
            self.send(b"".join(group))
            for place in range(start, start + len(group)):
                self.step = "mail" if place == 0 else "rcpt" if place < len(commands) - 1 else "data"
                replies.append(self.getreply())
        return replies

    def _body(self, data: bytes) -> Reply:
        self.step = "end"
        assert self.sock is not None
        self.timeout = self._end_timeout
        self._until = time.monotonic() + self._end_timeout
        try:
            self.sock.settimeout(self._end_timeout)
            self.send(_dotted(data))
            return self.getreply()
        finally:
            self.timeout = self._answer_timeout


def _dotted(data: bytes) -> bytes:
    """`data` with dots doubled at line starts, and the final dot (RFC 5321 4.5.2): one write with the body."""
    if data.startswith(b"."):
        data = b"." + data
    if b"\r\n." in data:
        data = data.replace(b"\r\n.", b"\r\n..")
    return data + (b".\r\n" if not data or data.endswith(b"\r\n") else b"\r\n.\r\n")


def _good(code: int) -> bool:
    return 200 <= code < 300


def _all_refused(commands: Sequence[bytes], replies: Sequence[Reply]) -> bool:
    """Only DATA is left, and nobody would get it."""
    return len(replies) == len(commands) - 1 and not any(_good(code) for code, _ in replies[1:])


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
    shown = text.decode("utf-8", "backslashreplace")
    return "".join(letter if letter.isprintable() else " " for letter in shown)[:_TEXT_LIMIT]
