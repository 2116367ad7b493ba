"""The workers that send what is in the outbox: claim, assemble, send, record.

They decide neither who gets what (outbox) nor how it looks (the assemblers that are passed in). Nothing is sent
inside a database transaction, so a crash between sending and recording sends again what one batch held, at most
`recipients` deliveries a worker.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from enum import Enum
from itertools import count, groupby
from pathlib import Path
from typing import Protocol

from sqlalchemy import Connection

from tidings.clock import Clock
from tidings.database.engine import Database
from tidings.errors import SettingsError
from tidings.mailer import compose, outbox
from tidings.mailer.outbox import Claimed, Outcome
from tidings.mailer.smtp_client import Answer, SmtpTransport
from tidings.settings import DeliverySettings, Settings

log = logging.getLogger(__name__)

Assembler = Callable[[Connection, Claimed], bytes]

_LEASE = timedelta(minutes=15)  # beside the time for five answers: longer than any transaction takes (smtp_client)
_RENEW_AFTER = timedelta(minutes=1)
_RECORD_AFTER = 1.0  # seconds: a slow host's answers are not kept in memory for longer
_POLL = 2.0  # seconds between looks for what has become due
_PAUSE = 15.0  # seconds before a smart host that cannot be reached is tried again


class Transport(Protocol):
    """Carries one message to several recipients; each worker has its own."""

    def send(self, mail_from: str, recipients: Sequence[str], data: bytes) -> dict[str, Answer]:
        """One transaction: an answer for each recipient, whatever happens. `data` has CR LF line ends only."""
        ...

    def close(self) -> None:
        """Let go of any connection; the next `send` opens one anew."""
        ...


class MaildirTransport:
    """Writes mail to a Maildir, one file per message, with its envelope as fields on top."""

    _numbers = count(1)

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def send(self, mail_from: str, recipients: Sequence[str], data: bytes) -> dict[str, Answer]:
        """Write the message; it is on the disk before anyone can see it."""
        try:
            envelope = [("Return-Path", f"<{mail_from}>"), ("X-Envelope-To", ", ".join(recipients))]
            names = [name for name, _ in envelope]
            self._write(compose.splice(data, remove=names, add=envelope))
        except (OSError, ValueError) as error:
            return dict.fromkeys(recipients, Answer(0, f"the Maildir cannot be written: {error}", "connect"))
        return dict.fromkeys(recipients, Answer(250, "written to the Maildir"))

    def close(self) -> None:
        """Nothing is kept open."""

    def _write(self, data: bytes) -> None:
        for name in ("tmp", "new", "cur"):
            (self._folder / name).mkdir(parents=True, exist_ok=True)
        name = f"{time.time_ns()}.P{os.getpid()}Q{next(self._numbers)}.tidings"
        with (self._folder / "tmp" / name).open("xb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        (self._folder / "tmp" / name).rename(self._folder / "new" / name)
        new = os.open(self._folder / "new", os.O_RDONLY)
        try:
            os.fsync(new)
        finally:
            os.close(new)


def open_transport(settings: Settings) -> Transport:
    """A transport as the settings want it: to the smart host, or to a Maildir where none is set.

    Raises SettingsError where the password cannot be read.
    """
    delivery = settings.delivery
    if not delivery.host:
        return MaildirTransport(settings.path(delivery.maildir))
    return SmtpTransport(
        host=delivery.host,
        port=delivery.port,
        name=settings.site.domain,
        tls=delivery.tls,
        user=delivery.user,
        password=_password(settings) if delivery.user else "",
        timeout=delivery.timeout,
    )


def _password(settings: Settings) -> str:
    path = settings.path(settings.delivery.password_file)
    try:
        return path.read_text(encoding="utf-8").partition("\n")[0].strip()
    except OSError as error:
        raise SettingsError(f"Cannot read delivery.password_file {path}: {error.strerror}.") from error


class _Round(Enum):
    """What a look at the outbox came to."""

    IDLE = "nothing was due"
    BUSY = "something was tried"
    DOWN = "the smart host could not be reached"


class Deliverer:
    """Sends what is due, by `settings.connections` threads or by `run_once` in the caller's."""

    def __init__(
        self,
        *,
        database: Database,
        settings: DeliverySettings,
        clock: Clock,
        open_transport: Callable[[], Transport],
        assemblers: Mapping[str, Assembler],
    ) -> None:
        """`assemblers` make a delivery's bytes by its kind, with a reader's connection; a notice brings its own."""
        self._database, self._settings, self._clock = database, settings, clock
        self._open = open_transport
        self._assemblers = {"notice": _notice_bytes, **assemblers}
        self._threads: list[threading.Thread] = []
        self._stopping = threading.Event()
        self._nudged = threading.Condition()
        self._nudges = 0

    def start(self) -> None:
        """Start the worker threads."""
        self._stopping.clear()
        for number in range(self._settings.connections):
            thread = threading.Thread(target=self._work, name=f"deliver-{number}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def wake(self) -> None:
        """Say that something was put into the outbox; workers look at once."""
        with self._nudged:
            self._nudges += 1
            self._nudged.notify_all()

    def stop(self, timeout: float | None = None) -> None:
        """Send no more; returns when running transactions have ended, or after `timeout` seconds without them."""
        self._stopping.set()
        self.wake()
        for thread in self._threads:
            thread.join(timeout)
        self._threads.clear()

    def run_once(self, now: datetime | None = None) -> int:
        """Try all that is due at `now` (by default the clock's) in the calling thread; returns how many were tried.

        It ends early where the smart host cannot be reached: the rest stays due.
        """
        moment = self._clock.now if now is None else lambda: now
        transport = self._open()
        tried = 0
        try:
            while True:
                batch = _Batch(self, transport, moment)
                if batch.run() is not _Round.BUSY:
                    return tried + batch.tried
                tried += batch.tried
        finally:
            transport.close()

    def _work(self) -> None:
        transport = self._open()
        while not self._stopping.is_set():
            seen = self._nudges
            try:
                came_to = _Batch(self, transport, self._clock.now).run()
            except Exception:
                log.exception("delivery: a worker failed; it goes on after a pause")
                came_to = _Round.DOWN
            if came_to is _Round.DOWN:
                self._stopping.wait(_PAUSE)
            elif came_to is _Round.IDLE:
                self._wait(seen, transport)
        transport.close()

    def _wait(self, seen: int, transport: Transport) -> None:
        with self._nudged:
            nudged = self._nudged.wait_for(lambda: self._nudges != seen, _POLL)
        if not nudged:
            transport.close()  # an idle session is closed by the other side sooner or later


class _Batch:
    """One claimed batch on its way: what was sent of it, and what is still to be recorded."""

    def __init__(self, deliverer: Deliverer, transport: Transport, moment: Callable[[], datetime]) -> None:
        self._database, self._settings = deliverer._database, deliverer._settings
        self._assemblers, self._stopping = deliverer._assemblers, deliverer._stopping
        self._transport, self._moment = transport, moment
        self._lease = _LEASE + 5 * timedelta(seconds=self._settings.timeout)
        self._outcomes: list[Outcome] = []
        self._recorded = time.monotonic()
        self._held_at = moment()
        self._down = False
        self._blocked: dict[str, Answer] = {}  # return paths that the host will not hear of
        self.tried = 0

    def run(self) -> _Round:
        """Claim a batch and bring it to its end."""
        with self._database.read() as connection:
            if not outbox.waiting(connection, self._held_at):
                return _Round.IDLE
        with self._database.write() as connection:
            batch = outbox.claim(connection, self._held_at, self._settings.recipients, self._lease)
        if not batch:
            return _Round.IDLE
        try:
            left = self._send_all(batch)
        finally:
            self._record()
        if left:
            with self._database.write() as connection:
                outbox.release(connection, left)
        return _Round.DOWN if self._down else _Round.BUSY

    def _send_all(self, batch: Sequence[Claimed]) -> list[Claimed]:
        """Send a batch, mail by mail; returns what was not tried, because we stop or the host is down."""
        left = list(batch)
        for group in _mails(batch):
            if self._stopping.is_set() or self._down:
                break
            held = self._still_held(left)
            left = [one for one in left if one.outbox_id != group[0].outbox_id]
            if mail := [one for one in group if one.delivery_id in held]:
                self._send(mail)
            if time.monotonic() - self._recorded > _RECORD_AFTER:
                self._record()
        return left

    def _still_held(self, left: Sequence[Claimed]) -> set[int]:
        """Which of these are still ours: a worker that slept longer than its lease must not send what others took."""
        now = self._moment()
        if now - self._held_at < _RENEW_AFTER:
            return {one.delivery_id for one in left}
        self._record()  # what was sent is not renewed: nobody must take it for unsent
        self._held_at = now
        with self._database.write() as connection:
            return outbox.renew(connection, left, now, self._lease)

    def _send(self, mail: Sequence[Claimed]) -> None:
        self.tried += len(mail)
        first = mail[0]
        if blocked := self._blocked.get(first.mail_from):
            self._note(mail, "retry", f"not tried after {blocked}")
            return
        try:
            with self._database.read() as connection:
                # Asked again, since the mails before this one may have taken a while.
                gone = outbox.gone(connection, [one.membership_id for one in mail])
                data = compose.crlf(self._assemblers[first.kind](connection, first))
        except Exception as error:
            log.exception("delivery: %s %s could not be assembled", first.kind, first.outbox_id)
            self._note(mail, "retry", f"could not be assembled: {type(error).__name__}: {error}")
            return
        self._note([one for one in mail if one.membership_id in gone], "dropped", outbox.GONE)
        if wanted := [one for one in mail if one.membership_id not in gone]:
            answers = self._answers(first.mail_from, [one.recipient for one in wanted], data)
            self._outcomes += [_outcome(one, answers[one.recipient]) for one in wanted]
            self._tell(first, answers.values())

    def _note(self, mail: Sequence[Claimed], result: outbox.Result, reply: str) -> None:
        self._outcomes += [Outcome(claimed=one, result=result, reply=reply) for one in mail]

    def _answers(self, mail_from: str, recipients: list[str], data: bytes) -> dict[str, Answer]:
        answers: dict[str, Answer] = {}
        while True:
            sent = self._transport.send(mail_from, recipients, data)
            answers.update(sent)
            # RFC 5321 4.5.3.1.10: 452 may mean "enough for this transaction"; another takes the rest while that helps.
            later = [one for one in recipients if sent[one].step == "rcpt" and sent[one].code == 452]
            if not later or not any(answer.accepted for answer in sent.values()):
                return answers
            recipients = later

    def _tell(self, mail: Claimed, answers: Iterable[Answer]) -> None:
        """Log what is nobody's fault but the route's or the message's, once a mail."""
        what = f"{mail.kind} {mail.outbox_id}"
        for answer in {answer for answer in answers if not answer.accepted and answer.step != "rcpt"}:
            self._down = self._down or answer.step == "connect"
            if answer.step == "mail" and answer.code >= 500:
                self._blocked[mail.mail_from] = answer
                log.error("delivery: the smart host refuses us as the sender of %s: %s", what, answer)
            elif answer.step == "end" and answer.code == 0:
                log.warning("delivery: outcome of %s unknown, it may be sent twice: %s", what, answer)
            else:
                log.warning("delivery: %s not taken at %s: %s", what, answer.step, answer)

    def _record(self) -> None:
        give_up_after = timedelta(hours=self._settings.give_up_after)
        self._recorded = time.monotonic()
        if self._outcomes:
            with self._database.write() as connection:
                outbox.record(connection, self._outcomes, self._moment(), give_up_after=give_up_after)
            self._outcomes = []


def _mails(batch: Sequence[Claimed]) -> Iterator[list[Claimed]]:
    for _, group in groupby(batch, key=lambda one: one.outbox_id):
        yield list(group)


def _outcome(claimed: Claimed, answer: Answer) -> Outcome:
    """A refusal at MAIL or DATA is about us or the message, never about the recipient: it is tried again."""
    if answer.accepted:
        return Outcome(claimed=claimed, result="sent", reply=str(answer))
    return Outcome(claimed=claimed, result="failed" if answer.refused else "retry", reply=str(answer))


def _notice_bytes(_: Connection, claimed: Claimed) -> bytes:
    assert claimed.raw is not None
    return claimed.raw
