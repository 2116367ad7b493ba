"""The SMTP listener: a strict wrapper of aiosmtpd inside the program's own event loop.

250 is answered only after the raw bytes and the envelope are committed and fsynced. It decides nothing: the door does,
and intake after it.
"""

import asyncio
import contextlib
import logging
from dataclasses import dataclass, field
from typing import Any, AnyStr, Protocol

from aiosmtpd.smtp import SMTP, Envelope, Session

from tidings.clock import Clock
from tidings.database.engine import is_full
from tidings.mailer import reply_codes
from tidings.mailer.door import Admitted, Door, Refused
from tidings.mailer.spool import Accepted
from tidings.settings import Settings

log = logging.getLogger(__name__)
_ADDRESS_LIMIT = 254  # octets: RFC 5321 4.5.3.1.3 less the angle brackets


class Append(Protocol):
    """Where accepted messages are committed."""

    async def append(self, messages: list[Accepted]) -> None:
        """Return when they are committed and fsynced."""
        ...


@dataclass
class _Taken(Envelope):
    """The envelope of one transaction, with what the door said of its recipients."""

    admitted: list[Admitted] = field(default_factory=list)

    def __post_init__(self) -> None:
        Envelope.__init__(self)


class _Handler:
    """What aiosmtpd calls for each command."""

    def __init__(self, listener: "Listener") -> None:
        self._listener = listener

    async def handle_EHLO(  # noqa: N802  (aiosmtpd's name)
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        # ENHANCEDSTATUSCODES is not offered: RFC 2034 wants a code on every reply, and aiosmtpd's own have none.
        return [*responses[:-1], "250-PIPELINING", responses[-1]]

    async def handle_MAIL(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        address = address or ""
        if len(address) > _ADDRESS_LIMIT or not (address.isprintable() and _is_utf8(address)):
            return reply_codes.S501_BAD_SENDER
        if not address.isascii() and "SMTPUTF8" not in [option.upper() for option in options]:
            return reply_codes.S553_NEEDS_SMTPUTF8
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return reply_codes.S250_SENDER

    async def handle_RCPT(  # noqa: N802
        self, server: SMTP, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if len(envelope.rcpt_tos) >= self._listener.settings.smtp.max_recipients:
            return reply_codes.S452_TOO_MANY_RECIPIENTS
        answer = self._listener.door.recipient(address)
        if isinstance(answer, Refused):
            return answer.reply
        envelope.rcpt_tos.append(address)
        assert isinstance(envelope, _Taken)
        envelope.admitted.append(answer)
        return reply_codes.S250_RECIPIENT

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        try:
            return await self._take(server, session, envelope)
        except Exception as error:  # answered here, so that the transaction ends as after any other refusal
            return await self.handle_exception(error)

    async def _take(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope, _Taken) and isinstance(server, _Protocol)
        content: bytes = envelope.original_content or b""
        answer = self._listener.door.message(envelope.admitted, content)
        if isinstance(answer, Refused):
            # Whoever ends lines like that may have hidden commands in the message: nothing more is read from there.
            server.last_words = answer.reply == reply_codes.S550_BARE_LINE_ENDS
            return answer.reply
        now = self._listener.clock.now()
        messages = [
            Accepted(
                mail_from=envelope.mail_from or "",
                recipient=one.address,
                peer=str(session.peer[0] if session.peer else ""),
                via="smtp",
                received_at=now,
                raw=content,
            )
            for one in answer
        ]
        # The client's hanging up cancels this coroutine, but never a commit that is under way.
        await asyncio.shield(self._listener.append(messages))
        return reply_codes.S250_ACCEPTED

    async def handle_exception(self, error: Exception) -> str:
        # aiosmtpd's own answer is a permanent 500 with the exception's text: mail lost, secrets told.
        log.error("A bug while receiving mail; the sender is asked to try again.", exc_info=error)
        return reply_codes.S452_NO_SPACE if is_full(error) else reply_codes.S451_LOCAL_ERROR


def _is_utf8(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes that were none came as lone surrogates
        return False
    return True


class _Protocol(SMTP):
    """One connection."""

    # Real mail has longer lines than RFC 5321 4.5.3.1.6 allows, and a refusal would be permanent.
    line_length_limit = 65536

    def __init__(self, listener: "Listener", handler: _Handler) -> None:
        self._listener = listener
        self.last_words = False
        super().__init__(
            handler,
            data_size_limit=listener.settings.smtp.max_size,
            enable_SMTPUTF8=True,
            hostname=listener.settings.site.domain,
            ident="Tidings",
            timeout=listener.settings.smtp.timeout,
            loop=listener.loop,
        )

    async def push(self, status: AnyStr) -> None:
        """Send a reply, aiosmtpd's own about the size in our words; the last one closes the connection."""
        if isinstance(status, str) and status.startswith("552 "):
            await super().push(reply_codes.S552_TOO_BIG)
        else:
            await super().push(status)
        if self.last_words and self.transport is not None:
            self.transport.close()

    def _create_envelope(self) -> Envelope:
        return _Taken()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if len(self._listener.connections) >= self._listener.settings.smtp.max_connections:
            assert isinstance(transport, asyncio.WriteTransport)
            transport.write(reply_codes.S421_TOO_MANY_CONNECTIONS.encode() + b"\r\n")
            transport.close()
            self._refused = True
            return
        self._listener.connections.add(self)
        super().connection_made(transport)

    def connection_lost(self, error: Exception | None) -> None:
        if self in self._listener.connections:
            self._listener.connections.discard(self)
            super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        if self in self._listener.connections:
            # aiosmtpd does not reset it inside DATA, and a slow steady sender would be cut.
            self._reset_timeout()
            super().data_received(data)

    def eof_received(self) -> bool | None:
        return super().eof_received() if self in self._listener.connections else False

    async def shut_down(self) -> None:
        """Say that we are going, and close."""
        self.last_words = True
        if self.transport is not None:
            with contextlib.suppress(ConnectionError):  # the client went first
                await self.push(reply_codes.S421_SHUTTING_DOWN)


class Listener:
    """The listener of one site; `start` and `stop` it in the same event loop."""

    def __init__(self, *, door: Door, spool: Append, clock: Clock, settings: Settings) -> None:
        self.door = door
        self.clock = clock
        self.settings = settings
        self.connections: set[Any] = set()
        self.loop: asyncio.AbstractEventLoop
        self.port = 0
        self._spool = spool
        self._server: asyncio.Server | None = None
        self.committing = 0

    async def start(self, host: str, port: int) -> None:
        """Listen; `self.port` then says on which port. Raises OSError where the port is taken."""
        self.loop = asyncio.get_running_loop()
        handler = _Handler(self)
        self._server = await self.loop.create_server(lambda: _Protocol(self, handler), host, port, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]

    async def append(self, messages: list[Accepted]) -> None:
        """Commit; counted, so that `stop` lets it finish."""
        self.committing += 1
        try:
            await self._spool.append(messages)
        finally:
            self.committing -= 1

    async def stop(self) -> None:
        """Take no more connections, let running commits be answered, then close the others with 421."""
        if self._server is None:
            return
        self._server.close()
        while self.committing:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0)  # the answers to those commits are written before the farewell
        for connection in list(self.connections):
            await connection.shut_down()
