"""One session to the smart host: opened step by step, then letters, whose answers are heard as they come.

It chooses no letter and judges no answer. Once it is open it waits for no answer: whoever has several sessions looks
which of them can be heard.
"""

import re
import smtplib
import socket
import ssl
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, Literal

Step = Literal["connect", "mail", "rcpt", "data", "end", "reset"]
Reply = tuple[int, bytes]

_JOINED = 1 << 16  # bytes up to which what is written at once is copied together first
_REPLY_LIMIT = 1 << 16  # bytes of one reply
_TEXT_LIMIT = 500
_ADDRESS = re.compile(r"[^\x00-\x20\x7f<>\ud800-\udfff]+@[^\x00-\x20\x7f<>@\ud800-\udfff]+")


@dataclass(frozen=True, slots=True)
class Letter:
    """One message to one recipient, with CR LF line ends only.

    `data` may be one object for many letters: what is made of it is then made once. `head` is whole header lines of
    this letter alone, which go in front of it, and `signature` makes those that go in front of these: it is asked for
    when the letter's turn has come, and may wait for them.
    """

    mail_from: str  # empty: the null return path
    recipient: str
    data: bytes
    head: bytes = b""
    signature: Callable[[], bytes] = bytes


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

    @property
    def timed_out(self) -> bool:
        """No answer came in time."""
        return self.code == 0 and self.text.endswith("timed out")  # also "Connection timed out", the system's own

    def __str__(self) -> str:
        return f"{self.code} {self.text}" if self.code else self.text


_NO_SENDER = Answer(553, "5.1.7 not sent: the return path is no mail address", "mail")
_NO_ADDRESS = Answer(553, "5.1.3 not asked: this is no mail address", "rcpt")
_NO_UTF8 = Answer(553, "5.6.7 not asked: the smart host takes ASCII addresses only", "rcpt")  # RFC 6531 3.5


class Session(smtplib.SMTP):
    """A session of the standard library whose letters are pipelined where the host offers it (RFC 2920).

    Then a letter costs one round trip: its text goes out in one write with the envelope of the next, which RFC 2920 3.1
    allows. So nothing waits for an acknowledgement that the other side's TCP delays.
    """

    def __init__(
        self,
        *,
        host: str,
        port: int,
        name: str,
        opening: float,
        timeout: float,
        end_timeout: float,
        context: ssl.SSLContext | None,
    ) -> None:
        """Connect, and hear the greeting; `context` encrypts from the first byte. Raises OSError.

        In seconds: `opening` is for a step until the session is open, `timeout` for an answer to an envelope,
        `end_timeout` for a text and its answer.
        """
        self.used = False  # whether it has answered for a letter
        self.deadline = time.monotonic() + 2 * opening  # of the answer that is waited for
        self._wrap = context
        self._timeout, self._end_timeout = timeout, end_timeout
        self._waits = opening  # what the socket's timeout is set to
        self._came, self._read = b"", 0  # what came, and how much of it was read
        self._awaited: deque[Step] = deque()  # the steps whose replies are to come
        self._until = self.deadline  # of all of them together
        self._commands: deque[bytes] = deque()  # what is left of an envelope that is not pipelined
        self._offered: int | None = None  # the letter whose envelope is not answered
        self._carried: int | None = None  # the letter whose text is due, or not answered
        self._refusal: Answer | None = None  # of the letter that is offered
        self._body = _Body(b"")
        self._next_text: tuple[bytes, ...] = ()  # of the letter that is offered
        self._text: tuple[bytes, ...] = ()  # what the host waits for since it answered DATA with 354
        super().__init__(host, port, local_hostname=name, timeout=opening)
        assert self.sock is not None
        self.fileno = self.sock.fileno()  # which stays, also when the session is encrypted

    def _get_socket(self, host: str, port: int, timeout: float) -> socket.socket:
        sock = socket.create_connection((host, port), timeout)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return self._wrap.wrap_socket(sock, server_hostname=host) if self._wrap else sock

    # --- opening and closing: one step waits for the other ------------------------------------------------------------

    def offers_encryption(self) -> bool:
        """Whether the host offers STARTTLS (RFC 3207 4). Raises OSError."""
        self.ehlo_or_helo_if_needed()
        return self.has_extn("starttls")

    def encrypt(self, context: ssl.SSLContext) -> None:
        """STARTTLS; raises OSError where it is not offered. What came in the clear behind the answer is dropped."""
        self.starttls(context=context)
        self._came, self._read = b"", 0

    def getreply(self) -> Reply:
        """The next reply. Raises OSError where none comes in time, it is no reply, or it says that the host closes."""
        try:
            while (reply := self._next_reply()) is None:
                self._receive(self.deadline - time.monotonic())
        except OSError:
            self.close()  # by now: where the greeting fails, nobody else has the session
            raise
        return reply

    def end(self) -> None:
        """Say QUIT, and wait no more than a second for the answer: nothing hangs on it."""
        self.deadline = time.monotonic() + 1
        try:
            self.quit()
        except OSError:
            self.close()

    # --- letters ------------------------------------------------------------------------------------------------------

    @property
    def awaits(self) -> bool:
        """Whether there is something to hear, up to the `deadline`; if not, a letter can be offered."""
        return bool(self._awaited)

    @property
    def text_is_due(self) -> bool:
        """Whether the host waits for a text: it goes out with the next letter's envelope, or by `finish`."""
        return bool(self._text)

    @property
    def pipelined(self) -> bool:
        """Whether a letter can be offered while a text is due."""
        return self.has_extn("pipelining")

    def objection(self, letter: Letter) -> Answer | None:
        """Why a letter cannot even be offered."""
        if letter.mail_from and not _ADDRESS.fullmatch(letter.mail_from):
            return _NO_SENDER
        if not _ADDRESS.fullmatch(letter.recipient):
            return _NO_ADDRESS
        return None if letter.recipient.isascii() or self.has_extn("smtputf8") else _NO_UTF8

    def offer(self, place: int, letter: Letter) -> None:
        """Send the text that is due, and the envelope of a letter, called `place` in what is heard. Raises OSError."""
        if self._body.data is not letter.data:
            self._body = _Body(letter.data)
        self._offered, self._refusal = place, None
        head = letter.signature() + letter.head
        self._next_text = (head, self._body.stuffed, self._body.ending)
        commands = self._envelope(letter, head)
        if self.pipelined:
            self._await(*(("end",) if self._text else ()), "mail", "rcpt", "data")
            self._write(*self._take_text(), *commands)
        else:
            self._await("mail")
            self._commands.extend(commands[1:])
            self._write(commands[0])

    def finish(self) -> None:
        """Send the text that is due, with no envelope behind it. Raises OSError."""
        self._await("end")
        self._write(*self._take_text())

    def hear(self) -> Iterator[tuple[int, Answer]]:
        """Read what has come; the answers to letters that it gives. Raises OSError where the session has ended."""
        self._receive(max(1.0, self.deadline - time.monotonic()))  # something is there, if not a whole TLS record
        while self._awaited and (reply := self._next_reply()) is not None:
            step = self._awaited.popleft()
            if step == "end":
                assert self._carried is not None
                place, self._carried = self._carried, None
                self.used = True
                yield place, _answer(reply, "end")
            elif step != "reset":
                yield from self._enveloped(step, reply)
            self.deadline = min(self._until, time.monotonic() + self._limit())

    def left_behind(self, error: OSError) -> Iterator[tuple[int, Answer | None]]:
        """What the end of the session by `error` means for the letters in it; None: nothing, it is to be offered again.

        A host closes a session that was idle for too long, or has carried as many letters as it likes. The next letter
        is no worse for it, as long as its text was not sent.
        """
        unknown = self._carried is not None
        if self._carried is not None:
            yield self._carried, failure(error, "end")
        if self._offered is not None:
            closed = self.used and not isinstance(error, TimeoutError)
            yield self._offered, None if unknown or closed else failure(error, self._awaited[0])

    def _enveloped(self, step: Step, reply: Reply) -> Iterator[tuple[int, Answer]]:
        """Take the reply to a part of an envelope; behind the last one the text is due, or the letter is answered."""
        if self._refusal is None and not (reply[0] == 354 if step == "data" else _good(reply[0])):
            self._refusal = _answer(reply, step)
        if self._commands and self._refusal is None:
            self._awaited.append("rcpt" if step == "mail" else "data")
            self._write(self._commands.popleft())
        elif not self._awaited:
            yield from self._decided(reply)

    def _decided(self, last: Reply) -> Iterator[tuple[int, Answer]]:
        assert self._offered is not None
        place, self._offered = self._offered, None
        if self._refusal is None:
            self._carried, self._text = place, self._next_text
            return
        self.used = True
        yield place, self._refusal
        self._commands.clear()
        self._await("reset")
        # RFC 2920 3.1: where no recipient was taken and DATA was answered 354 all the same, a lone dot ends it.
        self._write(b".\r\n" if last[0] == 354 else b"RSET\r\n")

    def _envelope(self, letter: Letter, head: bytes) -> tuple[bytes, bytes, bytes]:
        options = f" SIZE={len(head) + len(letter.data)}" if self.has_extn("size") else ""
        if not (self._body.ascii and head.isascii()) and self.has_extn("8bitmime"):
            options += " BODY=8BITMIME"
        if not (letter.mail_from.isascii() and letter.recipient.isascii()) and self.has_extn("smtputf8"):
            options += " SMTPUTF8"
        mail, rcpt = f"MAIL FROM:<{letter.mail_from}>{options}\r\n", f"RCPT TO:<{letter.recipient}>\r\n"
        return mail.encode(), rcpt.encode(), b"DATA\r\n"

    def _take_text(self) -> tuple[bytes, ...]:
        text, self._text = self._text, ()
        return text

    # --- the wire -----------------------------------------------------------------------------------------------------

    def _await(self, *steps: Step) -> None:
        """Set the time for the replies to what is written now; a host that drips must not outlast a lease."""
        self._awaited.extend(steps)
        now = time.monotonic()
        self._until = now + 2 * self._timeout + (self._end_timeout if steps[0] == "end" else 0)
        self.deadline = min(self._until, now + self._limit())

    def _limit(self) -> float:
        """Seconds for the next reply."""
        return self._end_timeout if self._awaited and self._awaited[0] == "end" else self._timeout

    def _write(self, *parts: bytes) -> None:
        assert self.sock is not None
        self._wait_for(self._limit())
        if sum(map(len, parts)) <= _JOINED:
            self.sock.sendall(b"".join(parts))  # one segment, as a rule
        else:
            for part in parts:
                self.sock.sendall(part)

    def _receive(self, seconds: float) -> None:
        """Add what comes, at the latest after so many seconds, to what came."""
        assert self.sock is not None
        if seconds <= 0:
            raise TimeoutError("timed out")
        self._wait_for(seconds)
        data = self.sock.recv(_REPLY_LIMIT)
        if isinstance(self.sock, ssl.SSLSocket) and (more := self.sock.pending()):
            data += self.sock.recv(more)  # nobody who looks at the socket sees it
        if not data:
            raise smtplib.SMTPServerDisconnected("the smart host closed the connection")
        self._came, self._read = self._came[self._read :] + data, 0

    def _next_reply(self) -> Reply | None:
        """The next reply, if all of it came. Raises OSError where it is none, or says that the host closes."""
        start, text = self._read, b""
        while (end := self._came.find(b"\n", start)) >= 0 and end - self._read <= _REPLY_LIMIT:
            line, start = self._came[start:end], end + 1
            text = text + b"\n" + line[4:].strip() if text else line[4:].strip()
            if line[3:4] != b"-":
                self._read = start
                code = int(line[:3]) if line[:3].isdigit() else -1
                if code in (-1, 421):
                    raise smtplib.SMTPResponseException(code, text)
                return code, text
        if len(self._came) - self._read > _REPLY_LIMIT:
            raise smtplib.SMTPResponseException(-1, "a reply without an end")
        return None

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


def failure(error: Any, step: Step) -> Answer:
    """An error of the network as the answer to a letter."""
    if isinstance(error, smtplib.SMTPResponseException):
        said = error.smtp_error
        return Answer(max(error.smtp_code, 0), _printable(said if isinstance(said, bytes) else said.encode()), step)
    reason = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return Answer(0, f"{step}: {_printable(reason.encode())}", step)


def _good(code: int) -> bool:
    return 200 <= code < 300


def _answer(reply: Reply, step: Step) -> Answer:
    return Answer(reply[0], _printable(reply[1]), step)


def _printable(said: bytes) -> str:
    """What a host said, fit for a log and a page: one line, no control characters."""
    shown = said[: 4 * _TEXT_LIMIT].decode("utf-8", "backslashreplace")
    if not shown.isprintable():
        shown = "".join(letter if letter.isprintable() else " " for letter in shown)
    return shown[:_TEXT_LIMIT]
