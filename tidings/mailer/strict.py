"""One connection of the listener: aiosmtpd's protocol, made strict about line ends, lengths, time, order and replies.

It asks its house for a place and its handler what to do with commands and messages; it knows no community and stores
nothing. aiosmtpd keeps the streams and TLS and takes the commands apart. Its loop over command lines and its reader of
DATA are replaced: they take bare LFs for line ends, close after no number of errors, and read a message line by line.
"""

import asyncio
import re
import ssl
from collections.abc import Sequence
from typing import Protocol

from aiosmtpd.lmtp import LMTP
from aiosmtpd.smtp import SMTP, Envelope, TLSSetupException

from tidings.mailer import reply_codes
from tidings.settings import Settings

FIRST_COMMAND = 60.0  # seconds: whoever connects has something to say
SLOWEST = 1_000  # bytes a second, on the whole, of a message that takes longer than the timeout
BIG_WAIT = 60.0  # seconds that a big message waits for its turn; senders wait for three minutes (RFC 5321 4.5.3.2.5)
_CHUNK = 65_536
_PIPELINED = 65_536  # bytes of replies that may wait for the commands that came with theirs
_END_OF_DATA = b"\r\n.\r\n"
_GO_ON = "354 End data with <CR><LF>.<CR><LF>"
_CONTROL = re.compile(rb"[\x00-\x08\x0a-\x1f\x7f]")
# A path in angle brackets, or without them as people type it; spaces and brackets only inside quotes.
_QUOTED = r'"(?:[^"\\\x00-\x1f\x7f]|\\[^\x00-\x1f\x7f])*+"'
_PATH = re.compile(rf"<((?:{_QUOTED}|[^\"<>\s\x00-\x1f\x7f])*+)>|((?:{_QUOTED}|[^\"<>\s\x00-\x1f\x7f])++)")
_IDLE = frozenset(("HELO", "EHLO", "LHLO", "NOOP", "RSET", "VRFY", "HELP", "EXPN"))
_HTTP = frozenset(("GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH", "PRI"))
_TLS_HELLO = b"\x16"

# The library's replies in our words, by their text or else by their number (RFC 2034: each but a greeting has a code).
_OUR_WORDS = {
    "250 OK": reply_codes.S250_OK,
    "220 Ready to start TLS": reply_codes.S220_STARTTLS,
    "221": reply_codes.S221_GOODBYE,
    "252": reply_codes.S252_NOT_VERIFIED,
    "454": reply_codes.S454_NO_TLS,
    "500": reply_codes.S500_UNKNOWN_COMMAND,
    "501": reply_codes.S501_BAD_ARGUMENTS,
    "502": reply_codes.S502_NOT_DONE,
    "503": reply_codes.S503_BAD_SEQUENCE,
    "552": reply_codes.S552_TOO_BIG,
    "555": reply_codes.S555_UNKNOWN_PARAMETER,
}
_BAD_ADDRESS = {"MAIL": reply_codes.S501_BAD_SENDER, "RCPT": reply_codes.S501_BAD_RECIPIENT}
_AT_ONCE = ("220", "221", "354")  # the client or the library goes on only after these


class House(Protocol):
    """What the connections of one listener have in common."""

    settings: Settings
    loop: asyncio.AbstractEventLoop
    tls: ssl.SSLContext | None
    closing: bool
    big_messages: asyncio.Semaphore

    def let_in(self, connection: "Connection", peer: str) -> str | None:
        """Take a connection in, or say the reply that refuses it."""
        ...

    def let_out(self, connection: "Connection", peer: str) -> None:
        """Forget a connection that was let in."""
        ...

    def trusts(self, peer: str) -> bool:
        """Whether that is one of our own servers in front."""
        ...


class Handler(Protocol):
    """What aiosmtpd calls for commands (`handle_...`), and what is called for a message."""

    def new_envelope(self) -> Envelope:
        """That of the next transaction."""
        ...

    async def take(self, connection: "Connection", content: bytes) -> list[str]:
        """The reply for each recipient of the envelope, in their order."""
        ...

    async def handle_exception(self, error: Exception) -> str:
        """The reply to what a bug of ours kept from being done."""
        ...


class Connection(SMTP):
    """One SMTP connection."""

    line_length_limit = _CHUNK
    greeting = "ESMTP Tidings"
    one_reply = True  # to the final dot, for all recipients

    def __init__(self, house: House, handler: Handler) -> None:
        self._house = house
        self._smtp = house.settings.smtp
        self.peer, self.trusted = "", False
        self._is_in = False
        self._ended = False
        self._replies = bytearray()
        self._verb = ""
        self._line_goes_on = False
        self._errors, self._idle = 0, -1  # the first greeting is no idling
        self._received = 0  # bytes
        self._heard = self._since = house.loop.time()
        self._in_data = self._at_work = self._has_turn = False
        super().__init__(
            handler,
            data_size_limit=self._smtp.max_size,
            enable_SMTPUTF8=True,
            hostname=house.settings.site.domain,
            ident=self.greeting,
            tls_context=house.tls,
            timeout=self._smtp.timeout,
            loop=house.loop,
        )

    def _create_envelope(self) -> Envelope:
        envelope: Envelope = self.event_handler.new_envelope()
        return envelope

    # --- coming and going --------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin, or go on inside TLS."""
        if not self._is_in:
            self.peer = str((transport.get_extra_info("peername") or [""])[0])
            refusal = self._house.let_in(self, self.peer)
            if refusal:
                assert isinstance(transport, asyncio.WriteTransport)
                transport.write(refusal.encode() + b"\r\n")
                transport.close()
                return
            self._is_in, self.trusted = True, self._house.trusts(self.peer)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        """Forget it; a commit that is under way goes on."""
        if self._is_in:
            self._is_in = False
            self._house.let_out(self, self.peer)
            super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        """Take bytes in."""
        if not self._is_in or self._ended:
            return
        if not self._verb and data.startswith(_TLS_HELLO):
            self.end(reply_codes.S500_NO_MAIL)
            return
        self._received += len(data)
        self._heard = self.loop.time()
        super().data_received(data)

    def eof_received(self) -> bool | None:
        """The client is done, whatever it may have wanted to hear."""
        return super().eof_received() if self._is_in else False

    def end(self, reply: str) -> None:
        """Say a last reply, and close."""
        if self.transport is None or self._ended:
            return
        self._ended = True
        assert isinstance(self.transport, asyncio.WriteTransport)
        self.transport.write(bytes(self._replies) + reply.encode() + b"\r\n")
        self.transport.close()

    @property
    def busy(self) -> bool:
        """Whether a message is coming in or being stored."""
        return self._in_data

    def idle_for(self) -> float:
        """Seconds since it was given anything to do, where it has not even named a recipient; else 0."""
        if self._in_data or (self.envelope is not None and self.envelope.rcpt_tos):
            return 0.0
        return self.loop.time() - self._since

    # --- time --------------------------------------------------------------------------------------------------------

    def _reset_timeout(self, duration: float | None = None) -> None:
        # The library makes a timer for each command; one that looks when the time is up is enough.
        if self._timeout_handle is None:
            self._timeout_handle = self.loop.call_at(self._until(), self._timeout_cb)

    def _timeout_cb(self) -> None:
        if self._until() > self.loop.time():
            self._timeout_handle = self.loop.call_at(self._until(), self._timeout_cb)
        elif self.transport is not None:
            self.end(reply_codes.S421_TIMED_OUT)
            assert isinstance(self.transport, asyncio.WriteTransport)
            if self.transport.get_write_buffer_size():  # it does not even read
                self.transport.abort()

    def _until(self) -> float:
        """When the patience with the client ends, by the loop's clock.

        A command line has to be whole by then: no dripped byte puts it off. A message has to keep coming.
        """
        patience = float(self._smtp.timeout)
        if self._at_work:
            return self.loop.time() + patience
        if self._in_data:
            return min(self._heard + patience, self._since + patience + self._received / SLOWEST)
        return self._since + (patience if self._verb else min(patience, FIRST_COMMAND))

    # --- replies -----------------------------------------------------------------------------------------------------

    async def push(self, status: str) -> None:  # type: ignore[override]  # bytes are for AUTH only
        """Reply, in our words, together with the replies to the other commands of the same batch (RFC 2920 3.2)."""
        reply = in_our_words(status, self._verb)
        if reply.startswith("421"):
            self.end(reply)
            return
        if reply.startswith("5"):
            self._errors += 1
        self._replies += reply.encode() + b"\r\n"
        if reply.startswith(_AT_ONCE) or len(self._replies) > _PIPELINED:
            await self._flush()

    async def _flush(self) -> None:
        if self._replies:
            replies, self._replies = bytes(self._replies), bytearray()
            self._writer.write(replies)
            await self._writer.drain()

    # --- commands ----------------------------------------------------------------------------------------------------

    async def _handle_client(self) -> None:
        try:
            await self.push(f"220 {self.hostname} {self.greeting}")
            while not self._ended:
                await self._answer(await self._next_line())
        except TLSSetupException as error:
            # The handshake failed, so nobody else tells us that the connection is gone.
            assert self.transport is not None
            self.transport.close()
            self.connection_lost(error)
        except (ConnectionError, EOFError):
            pass  # the client went first
        finally:
            self._writer.close()

    async def _next_line(self) -> bytes:
        """The next command line, or as much of it as there is up to a bare LF or our limit: the rest is passed over."""
        while True:
            if b"\n" not in self._reader._buffer:  # type: ignore[attr-defined]
                await self._flush()
                if not self._line_goes_on:
                    self._since = self.loop.time()
            try:
                line: bytes = await self._reader.readuntil(b"\n")
            except asyncio.LimitOverrunError as overrun:
                line = await self._reader.readexactly(overrun.consumed - 1)  # its last byte may be the CR of a CRLF
            passed_over, self._line_goes_on = self._line_goes_on, not line.endswith(b"\r\n")
            if not passed_over:
                return line

    async def _answer(self, line: bytes) -> None:
        verb, _, argument = line.removesuffix(b"\r\n").partition(b" ")
        self._verb = verb.upper().decode("ascii", "replace")
        try:
            await self._obey(line, argument.strip())
        except (ConnectionError, EOFError, TLSSetupException):
            raise
        except Exception as error:
            # How much was read is not known any more, and the rest of a message must not be taken for commands.
            self.end(await self.event_handler.handle_exception(error))
        if self._errors >= self._smtp.max_errors:
            self.end(reply_codes.S421_TOO_MANY_ERRORS)
        elif self._idle >= self._smtp.max_idle_commands:
            self.end(reply_codes.S421_TOO_IDLE)
        elif self._house.closing:
            self.end(reply_codes.S421_SHUTTING_DOWN)

    async def _obey(self, line: bytes, argument: bytes) -> None:
        method = self._smtp_methods.get(self._verb)
        self._idle += self._verb in _IDLE
        if self._verb in _HTTP:
            self.end(reply_codes.S500_NO_MAIL)
        elif len(line) > self._smtp.max_command:
            await self.push(reply_codes.S500_COMMAND_TOO_LONG)
        elif self._line_goes_on or _CONTROL.search(line, 0, len(line) - 2):
            await self.push(_BAD_ADDRESS.get(self._verb, reply_codes.S500_BAD_COMMAND_LINE))
        elif method is None:
            await self.push(reply_codes.S500_UNKNOWN_COMMAND)
        else:
            await method(argument.decode("utf-8", "surrogateescape") or None)

    def _getaddr(self, arg: str) -> tuple[str | None, str | None]:
        """The address and the parameters behind it; `<>` for the null path, None where it is no path at all."""
        found = _PATH.match(arg)
        if found is None:
            return None, None
        address, parameters = found[1] if found[2] is None else found[2], arg[found.end() :]
        if parameters and not parameters.startswith(" "):
            return None, None
        return address or "<>", parameters

    def _getparams(self, params: Sequence[str]) -> dict[str, str | bool] | None:
        # The library takes digits of any script, and of any number, for a SIZE, and fails when it counts with them.
        if not all(param.isascii() and len(param) <= 64 for param in params):
            return None
        found: dict[str, str | bool] | None = super()._getparams(params)
        return found

    async def smtp_STARTTLS(self, arg: str | None) -> None:  # noqa: N802  (aiosmtpd's name)
        """RFC 3207: once. What was sent behind it in the clear is thrown away when the handshake is done."""
        if self._tls_protocol:
            await self.push(reply_codes.S503_TLS_ALREADY)
            return
        self._line_goes_on = False
        await super().smtp_STARTTLS(arg)

    async def smtp_AUTH(self, arg: str | None) -> None:  # noqa: N802
        """Not offered."""
        await self.push(reply_codes.S503_NO_AUTH)

    async def smtp_HELP(self, arg: str | None) -> None:  # noqa: N802
        """One answer to all questions."""
        await self.push(reply_codes.S214_HELP)

    # --- messages ----------------------------------------------------------------------------------------------------

    async def smtp_DATA(self, arg: str | None) -> None:  # noqa: N802
        """Read a message to its true end, and answer for each recipient what became of it."""
        assert self.envelope is not None
        if not self.envelope.rcpt_tos:
            await self.push(reply_codes.S503_BAD_SEQUENCE)
            return
        if arg:
            await self.push(reply_codes.S501_BAD_ARGUMENTS)
            return
        await self.push(_GO_ON)
        self._received, self._since = 0, self.loop.time()
        self._in_data = True
        try:
            await self._take_message()
        finally:
            self._in_data = self._at_work = False
            self._give_turn_back()

    async def _take_message(self) -> None:
        assert self.envelope is not None
        content, fault = await self._content()
        self._at_work = True
        if fault:
            replies = [fault] * len(self.envelope.rcpt_tos)
        else:
            replies = await self.event_handler.take(self, content)
            self._idle = 0
        self.envelope = self._create_envelope()
        if self.one_reply:  # it is taken where it is for any of them
            reply = next((reply for reply in replies if reply.startswith("2")), replies[0])
        else:  # RFC 2033 4.2: in the order of the recipients
            reply = "\r\n".join(replies)
        if fault == reply_codes.S550_BARE_LINE_ENDS:
            # Whoever ends lines like that may have hidden commands in the message: nothing more is read from there.
            self.end(reply)
        else:
            await self.push(reply)

    async def _content(self) -> tuple[bytes, str]:
        """The message without its transparency (RFC 5321 4.5.2), or the reply that refuses it; read to its end."""
        # The CRLF that ended DATA begins the end mark of an empty message, and a first line with a dot is like others.
        self._reader._buffer[:0] = b"\r\n"  # type: ignore[attr-defined]
        parts: list[bytes] = []
        size, fault, ended = 0, "", False
        while not ended:
            try:
                part: bytes = (await self._reader.readuntil(_END_OF_DATA))[:-3]
                ended = True
            except asyncio.LimitOverrunError as overrun:
                part = await self._reader.readexactly(overrun.consumed)
            size += len(part)
            fault = fault or await self._refuse_size(size)
            if fault:
                parts.clear()  # memory stays flat, whatever else comes
            else:
                parts.append(part)
        if fault:
            return b"", fault
        content = b"".join(parts)
        parts.clear()
        content = content.replace(b"\r\n.", b"\r\n")
        return self._checked(content[2:])

    async def _refuse_size(self, size: int) -> str:
        # With its transparency a message may be a third longer than it is.
        if size > self._smtp.max_size // 3 * 4 + _CHUNK:
            return reply_codes.S552_TOO_BIG
        if size > self._smtp.big_message and not self._has_turn and not await self._wait_for_turn():
            return reply_codes.S452_BUSY
        return ""

    def _checked(self, content: bytes) -> tuple[bytes, str]:
        # Counting is linear and in C: as many CRs and LFs as CRLFs means that none stands alone.
        pairs = content.count(b"\r\n")
        if content.count(b"\r") != pairs or content.count(b"\n") != pairs:
            if self._smtp.line_ends != "normalise" or not self.trusted:
                return b"", reply_codes.S550_BARE_LINE_ENDS
            content = content.replace(b"\r\n", b"\n").replace(b"\r", b"\n").replace(b"\n", b"\r\n")
        if b"\0" in content:
            return b"", reply_codes.S550_BARE_LINE_ENDS
        if len(content) > self._smtp.max_size:
            return b"", reply_codes.S552_TOO_BIG
        if _has_longer_line(content, self._smtp.max_line):
            return b"", reply_codes.S500_LINE_TOO_LONG
        return content, ""

    async def _wait_for_turn(self) -> bool:
        began = self.loop.time()
        self._at_work = True
        try:
            async with asyncio.timeout(BIG_WAIT):
                await self._house.big_messages.acquire()
            self._has_turn = True
        except TimeoutError:
            return False
        finally:
            self._at_work = False
            self._heard = self.loop.time()
            self._since += self._heard - began  # that time was ours, not the sender's
        return True

    def _give_turn_back(self) -> None:
        if self._has_turn:
            self._has_turn = False
            self._house.big_messages.release()


class LmtpConnection(Connection, LMTP):
    """One LMTP connection (RFC 2033): LHLO instead of EHLO, and a reply to the final dot for each recipient."""

    greeting = "LMTP Tidings"
    one_reply = False


def in_our_words(status: str, verb: str) -> str:
    """A reply of the library to the command `verb` as one of ours; what is ours, or greets, is left as it is."""
    if status.startswith("553 5.1.3"):
        return _BAD_ADDRESS.get(verb, reply_codes.S501_BAD_ARGUMENTS)
    if status[5:6] == ".":
        return status
    return _OUR_WORDS.get(status) or _OUR_WORDS.get(status[:3], status)


def _has_longer_line(content: bytes, limit: int) -> bool:
    """Whether a line has more octets than `limit` with its CRLF; looks at a few places of a message only."""
    start = 0
    while len(content) - start > limit:
        end = content.rfind(b"\n", start, start + limit)
        if end < 0:
            return True
        start = end + 1
    return False
