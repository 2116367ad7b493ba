"""The SMTP and LMTP listener: what a connection asks is answered by the door, and what it brings goes to the spool.

250 is answered only after the raw bytes and the envelope are committed and fsynced. It decides nothing: the door does,
and intake after it. How a connection is to behave is `strict`'s matter.
"""

import asyncio
import logging
import ssl
from dataclasses import dataclass, field
from typing import Protocol

from aiosmtpd.smtp import Envelope, Session

from tidings.clock import Clock
from tidings.database.engine import is_full
from tidings.errors import SettingsError
from tidings.mailer import reply_codes
from tidings.mailer.addresses import Recipient
from tidings.mailer.door import Admitted, Door, Refused
from tidings.mailer.guests import Guests, home
from tidings.mailer.spool import Accepted
from tidings.mailer.strict import Connection, LmtpConnection
from tidings.settings import Settings

log = logging.getLogger(__name__)
_ADDRESS_LIMIT = 254  # octets: RFC 5321 4.5.3.1.3 less the angle brackets
_IDLE = 10.0  # seconds without a command after which a connection gives way where all places are taken
_FINISH = 5.0  # seconds that a message has to come to its end when the listener stops
_NULL = "<>"  # the null return path as aiosmtpd has it, for which an empty one is none


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
    """What aiosmtpd calls for each command, and `strict` for each message."""

    def __init__(self, listener: "Listener") -> None:
        self._listener = listener

    def new_envelope(self) -> Envelope:
        """An empty one."""
        return _Taken()

    async def handle_EHLO(  # noqa: N802  (aiosmtpd's name)
        self, server: Connection, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        offered = [line for line in responses if not line.startswith("250-AUTH")]
        return [*offered[:-1], "250-PIPELINING", "250-ENHANCEDSTATUSCODES", offered[-1]]

    async def handle_MAIL(  # noqa: N802
        self, server: Connection, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        if refusal := _refused_address(address, reply_codes.S501_BAD_SENDER, envelope):
            return refusal
        envelope.mail_from = address
        envelope.mail_options.extend(options)
        return reply_codes.S250_SENDER

    async def handle_RCPT(  # noqa: N802
        self, server: Connection, session: Session, envelope: Envelope, address: str, options: list[str]
    ) -> str:
        assert isinstance(envelope, _Taken)
        listener = self._listener
        if len(envelope.rcpt_tos) >= listener.settings.smtp.max_recipients:
            return reply_codes.S452_TOO_MANY_RECIPIENTS
        if address == _NULL:
            return reply_codes.S501_BAD_RECIPIENT
        if refusal := _refused_address(address, reply_codes.S501_BAD_RECIPIENT, envelope):
            return refusal
        # Behind a server of ours are many; the sender's name is what tells them apart.
        asker = f"{envelope.mail_from} by {server.peer}" if server.trusted else home(server.peer)
        answer = listener.door.recipient(address, now=listener.clock.now(), asker=asker)
        if isinstance(answer, Refused):
            return answer.reply
        envelope.rcpt_tos.append(address)
        envelope.admitted.append(answer)
        return reply_codes.S250_RECIPIENT

    async def take(self, connection: Connection, content: bytes) -> list[str]:
        """The reply for each recipient; what is taken for any is committed then."""
        envelope = connection.envelope
        assert isinstance(envelope, _Taken)
        try:
            return await self._take(connection, envelope, content)
        except Exception as error:
            return [await self.handle_exception(error)] * len(envelope.admitted)

    async def _take(self, connection: Connection, envelope: _Taken, content: bytes) -> list[str]:
        refusals = self._listener.door.message(envelope.admitted, content)
        if None in refusals:
            now = self._listener.clock.now()
            messages = [
                Accepted(
                    mail_from="" if envelope.mail_from == _NULL else envelope.mail_from or "",
                    recipient=address,
                    peer=connection.peer,
                    via=self._listener.settings.smtp.protocol,
                    received_at=now,
                    raw=content,
                )
                for address in _taken(envelope.admitted, refusals, one_reply=connection.one_reply)
            ]
            # The client's hanging up cancels this coroutine, but never a commit that is under way.
            await asyncio.shield(self._listener.append(messages))
        return [refusal or reply_codes.S250_ACCEPTED for refusal in refusals]

    async def handle_exception(self, error: Exception) -> str:
        """The reply to a bug of ours, which is logged; aiosmtpd's own loses the mail and tells secrets."""
        log.error("A bug while receiving mail; the sender is asked to try again.", exc_info=error)
        return reply_codes.S452_NO_SPACE if is_full(error) else reply_codes.S451_LOCAL_ERROR


def _refused_address(address: str, refusal: str, envelope: Envelope) -> str | None:
    try:
        octets = len(address.encode())
    except UnicodeEncodeError:  # bytes that were no UTF-8 came as lone surrogates
        return refusal
    if octets > _ADDRESS_LIMIT or not address.isprintable() or address.startswith("@"):  # with a source route
        return refusal
    return None if address.isascii() or envelope.smtp_utf8 else reply_codes.S553_NEEDS_SMTPUTF8


def _taken(admitted: list[Admitted], refusals: list[str | None], *, one_reply: bool) -> list[str]:
    """The recipients that a message is stored for, each once.

    Where one reply stands for all, that is all of them: intake holds what the door would have refused, since nobody is
    told otherwise.
    """
    found: dict[Recipient, str] = {}
    for one, refusal in zip(admitted, refusals, strict=True):
        if one_reply or refusal is None:
            found.setdefault(one.recipient, one.address)
    return list(found.values())


class Listener:
    """The listener of one site; `start` and `stop` it in the same event loop."""

    def __init__(self, *, door: Door, spool: Append, clock: Clock, settings: Settings) -> None:
        """Raises SettingsError where `smtp.trusted` names no network."""
        self.door = door
        self.clock = clock
        self.settings = settings
        self.guests = Guests(settings.smtp)
        self.connections: set[Connection] = set()
        self.big_messages = asyncio.Semaphore(settings.smtp.max_big)
        self.loop: asyncio.AbstractEventLoop
        self.tls: ssl.SSLContext | None = None
        self.closing = False
        self.port = 0
        self.committing = 0
        self._spool = spool
        self._server: asyncio.Server | None = None

    async def start(self, host: str, port: int) -> None:
        """Listen; `self.port` then says on which port.

        Raises OSError where the port is taken, SettingsError where the certificate cannot be used.
        """
        self.loop = asyncio.get_running_loop()
        self.tls = _tls_context(self.settings)
        handler = _Handler(self)
        kind = LmtpConnection if self.settings.smtp.protocol == "lmtp" else Connection
        self._server = await self.loop.create_server(lambda: kind(self, handler), host, port, backlog=512)
        self.port = self._server.sockets[0].getsockname()[1]

    async def append(self, messages: list[Accepted]) -> None:
        """Commit; counted, so that `stop` lets it finish."""
        self.committing += 1
        try:
            await self._spool.append(messages)
        finally:
            self.committing -= 1

    def let_in(self, connection: Connection, peer: str) -> str | None:
        """Take a connection in, or say the reply that refuses it."""
        if self.closing:
            return reply_codes.S421_SHUTTING_DOWN
        if self.guests.too_many(peer) or (self.guests.full and not self._make_room()):
            return reply_codes.S421_TOO_MANY_CONNECTIONS
        self.guests.come(peer)
        self.connections.add(connection)
        return None

    def let_out(self, connection: Connection, peer: str) -> None:
        """Forget a connection that was let in."""
        self.guests.go(peer)
        self.connections.discard(connection)

    def trusts(self, peer: str) -> bool:
        """Whether that is one of our own servers in front."""
        return self.guests.trusts(peer)

    def _make_room(self) -> bool:
        """Send away whoever has done nothing for the longest; False where nobody is idle."""
        idle = [one for one in self.connections if one.idle_for() > _IDLE and not one.trusted]
        if idle:
            max(idle, key=Connection.idle_for).end(reply_codes.S421_MAKE_ROOM)
        return bool(idle)

    async def stop(self) -> None:
        """Take no more connections and commands, let messages that come in and commits end, say 421 to the others."""
        if self._server is None:
            return
        self._server.close()
        self.closing = True
        until = self.loop.time() + _FINISH
        for connection in list(self.connections):
            if not connection.busy:
                connection.end(reply_codes.S421_SHUTTING_DOWN)
        while (self.committing or any(one.busy for one in self.connections)) and self.loop.time() < until:
            await asyncio.sleep(0.01)
        for connection in list(self.connections):
            connection.end(reply_codes.S421_SHUTTING_DOWN)


def _tls_context(settings: Settings) -> ssl.SSLContext | None:
    """What STARTTLS needs; None where no certificate is set. Raises SettingsError where it cannot be used."""
    smtp = settings.smtp
    if not smtp.tls_cert_file:
        return None
    cert, key = settings.path(smtp.tls_cert_file), settings.path(smtp.tls_key_file or smtp.tls_cert_file)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(cert, key, password="")  # not asked for on a terminal
    except OSError as error:
        raise SettingsError(
            f"smtp.tls_cert_file: {cert} with the key in {key} cannot be used: {error.strerror or error}."
        ) from error
    return context
