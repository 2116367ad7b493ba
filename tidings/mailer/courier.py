"""One worker's way: claim a batch, address its letters, send them, record what became of each.

It decides neither who gets what (outbox) nor how it looks (the assemblers that are passed in). Nothing is sent inside a
database transaction, so a crash between sending and recording sends again what one batch held.
"""

import logging
import threading
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime, timedelta
from enum import Enum
from typing import Protocol

from sqlalchemy import Connection

from tidings.database.engine import Database
from tidings.mailer import compose, outbox, pace
from tidings.mailer.outbox import Claimed, Outcome, Wait
from tidings.mailer.pace import Lessons, Slots, Streaks, domain_of
from tidings.mailer.smtp_session import Answer, Letter
from tidings.settings import DeliverySettings

log = logging.getLogger(__name__)

_LEASE = timedelta(minutes=15)  # beside the time for five answers: longer than any letter takes (smtp_client)
_RENEW_AFTER = timedelta(minutes=1)
_ASK_AFTER = timedelta(seconds=1)  # before it is asked again who wants no more mail
_RECORD_AFTER = 1.0  # seconds: a slow host's answers are not kept in memory for longer
_STRIKES = 2  # letters of a mail, one behind the other, whose answers are trouble, before the others wait
_PUT_BACK = 2_000  # deliveries that have to wait for their domains, in one transaction: others want to write too
_AHEAD = 10_000  # deliveries that are looked through at once for more of such a domain
_AT_ONCE = 4_000_000  # bytes of mails that letters are made of at a time, or one mail
_KEPT = 8  # mails that are kept as they were assembled
_KEPT_BYTES = 8_000_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Mail:
    """A mail as it was assembled, once for all who get it.

    `head` makes the header lines that only one copy has, which stand in front of `data`: with CR LF line ends, and
    quickly, since it is asked for each copy. `sign` is given them and makes the field on top of them while other copies
    are sent: it is waited for when this one's turn has come.
    """

    data: bytes
    head: Callable[[Claimed], bytes] | None = None
    sign: Callable[[bytes], Callable[[], bytes]] | None = None


Assembler = Callable[[Connection, Claimed], Mail]
ReturnPath = Callable[[Claimed, date], str]
OnRefused = Callable[[Connection, Claimed, Answer], None]


class Transport(Protocol):
    """Carries letters; each courier has its own."""

    def send(self, letters: Sequence[Letter]) -> Sequence[Answer | None]:
        """Send letters; the answer to each, None where it was not tried."""
        ...

    def close(self) -> None:
        """Let go of any connection; the next `send` opens one anew."""
        ...


class Round(Enum):
    """What a look at the outbox came to."""

    IDLE = "nothing was due"
    BUSY = "something was tried"
    DOWN = "the smart host could not be reached"


class Kept:
    """The posts that were assembled last, by outbox id, for all couriers: one to 10,000 members is assembled once."""

    def __init__(self) -> None:
        self._mails: OrderedDict[int, Mail] = OrderedDict()
        self._lock = threading.Lock()

    def get(self, outbox_id: int) -> Mail | None:
        """The mail, if it is still here."""
        return self._mails.get(outbox_id)

    def put(self, outbox_id: int, mail: Mail) -> None:
        """Keep a mail, and let go of the oldest where they are too many; never of this one."""
        with self._lock:
            self._mails[outbox_id] = mail
            while len(self._mails) > 1 and (len(self._mails) > _KEPT or self._size() > _KEPT_BYTES):
                self._mails.popitem(last=False)

    def clear(self) -> None:
        """Let go of all."""
        with self._lock:
            self._mails.clear()

    def _size(self) -> int:
        return sum(len(mail.data) for mail in self._mails.values())


@dataclass(frozen=True, kw_only=True)
class Office:
    """What the couriers of one site share; the moment is the clock's."""

    database: Database
    settings: DeliverySettings
    assemblers: Mapping[str, Assembler]
    return_path: ReturnPath
    on_refused: OnRefused | None
    stopping: threading.Event
    kept: Kept = field(default_factory=Kept)
    streaks: Streaks = field(default_factory=Streaks)


@dataclass(frozen=True, kw_only=True)
class Route:
    """What one courier carries, and by how many sessions at a time; the default smart host's has no name."""

    name: str = ""
    connections: int


class _Trouble:
    """What the answers to a batch say of the letters that are still to be tried."""

    def __init__(self) -> None:
        self.down = False
        self._blocked: dict[str, Answer] = {}  # communities whose return paths the host will not hear of
        self._strikes: dict[int, int] = {}  # of a mail, one behind the other
        self._put_off: dict[int, str] = {}  # mails that are not tried again, and why
        self._told: set[tuple[int, Answer]] = set()

    def not_now(self, one: Claimed) -> str:
        """Why a delivery is not worth trying now; empty: it is."""
        blocked = self._blocked.get(one.mail_from)
        return f"not tried after {blocked}" if blocked else self._put_off.get(one.outbox_id, "")

    def put_off(self, one: Claimed, why: str) -> None:
        """Try no other delivery of the same mail."""
        self._put_off[one.outbox_id] = why

    def learn(self, one: Claimed, answer: Answer) -> None:
        """Judge by an answer, and log what is nobody's fault but the route's or ours."""
        if not answer.trouble:
            self._strikes.pop(one.outbox_id, None)
            return
        if answer.step == "connect":
            self.down = True
        elif answer.step == "mail" and answer.code >= 500:
            self._blocked[one.mail_from] = answer
        else:
            self._strikes[one.outbox_id] = strikes = self._strikes.get(one.outbox_id, 0) + 1
            if strikes >= _STRIKES:
                self.put_off(one, f"not tried after {answer}")
        if (one.outbox_id, answer) not in self._told:
            self._told.add((one.outbox_id, answer))
            _tell(one, answer)


def _tell(one: Claimed, answer: Answer) -> None:
    what = f"{one.kind} {one.outbox_id}"
    if answer.step == "mail" and answer.code >= 500:
        log.error("delivery: the smart host refuses us as the sender of %s: %s", what, answer)
    elif answer.step == "end" and answer.code == 0:
        log.warning("delivery: outcome of %s unknown, it may be sent twice: %s", what, answer)
    else:
        log.warning("delivery: %s not taken at %s: %s", what, answer.step, answer)


class Courier:
    """Carries batch after batch of one route by one transport; for one thread."""

    def __init__(self, office: Office, route: Route, transport: Transport, moment: Callable[[], datetime]) -> None:
        self._office, self._route, self._transport, self._moment = office, route.name, transport, moment
        self._database = office.database
        self._limit = office.settings.recipients * route.connections
        self._give_up_after = timedelta(hours=office.settings.give_up_after)
        self._lease = _LEASE + 5 * timedelta(seconds=office.settings.timeout)
        self._outcomes: list[Outcome] = []  # that are not recorded yet
        self._refused: list[tuple[Claimed, Answer]] = []
        self._resting: list[Claimed] = []  # whose domains went to rest before their turn, not given back yet
        self._lessons = Lessons(office.streaks)
        self._recorded = time.monotonic()
        self._held_at = self._asked_at = moment()
        self._trouble = _Trouble()
        self.tried = 0

    def run(self) -> Round:
        """Claim a batch and send it; what became of it is recorded with the next claim, or by `finish`."""
        batch = self._claim()
        if not batch:
            return Round.IDLE
        if left := self._send_all(batch):
            with self._database.write() as connection:
                outbox.release(connection, left)
        return Round.DOWN if self._trouble.down else Round.BUSY

    def finish(self) -> None:
        """Record what is not recorded yet."""
        self._recorded = time.monotonic()
        if self._outcomes:  # without one, nothing else is to be written
            with self._database.write() as connection:
                self._record(connection)
            self._forget()

    def _claim(self) -> list[Claimed]:
        """The next batch; the same transaction records what became of the last."""
        now = self._moment()
        if not self._outcomes:
            with self._database.read() as connection:
                if not outbox.waiting(connection, now, self._route):
                    return []
        batch: list[Claimed] = []
        more = True
        while more and not batch:
            with self._database.write() as connection:
                self._record(connection)
                batch, more = self._take(connection, now)
            self._forget()
            more = more and not self._office.stopping.is_set()
        self._recorded = time.monotonic()
        self._held_at = self._asked_at = now
        self._trouble = _Trouble()
        return batch

    def _take(self, connection: Connection, now: datetime) -> tuple[list[Claimed], bool]:
        """Claim what may be tried, and put back on the way what has to wait; whether there may be more behind it.

        A domain that rests may have any number of letters in front of the others: they are passed by in transactions
        of bounded size, since nobody else writes to SQLite meanwhile.
        """
        batch: list[Claimed] = []
        put_back, more = 0, True
        with pace.slots(connection, now) as slots:
            self._lessons.known = slots.domains
            while more and len(batch) <= self._limit / 2 and put_back < _PUT_BACK:
                claimed = outbox.claim(connection, now, self._limit - len(batch), self._lease, self._route)
                kept = self._put_back(connection, claimed, slots, now) if slots.domains else claimed
                put_back += len(claimed) - len(kept)
                more = len(kept) < len(claimed)
                batch += kept
                if len(kept) < len(claimed) / 2:
                    put_back += self._set_aside(connection, claimed, slots, now)
        return batch, more

    def _put_back(
        self, connection: Connection, claimed: Sequence[Claimed], slots: Slots, now: datetime
    ) -> list[Claimed]:
        """Give back those of `claimed` that have to wait for their domains; the others."""
        kept, waits = [], []
        for one in claimed:
            domain = domain_of(one.recipient)
            until = slots.of(domain)
            if until is None:
                kept.append(one)
            else:
                waits.append(Wait(one, until, slots.why(domain)))
        outbox.put_back(connection, waits, now, give_up_after=self._give_up_after)
        return kept

    def _set_aside(self, connection: Connection, claimed: Sequence[Claimed], slots: Slots, now: datetime) -> int:
        """Let what is behind `claimed` for the domain that most of it is for wait as well; returns how many do.

        It comes back together: the few that were claimed are enough to find out whether the domain takes mail again.
        """
        counted = Counter(domain_of(one.recipient) for one in claimed)
        domain = max(slots.domains, key=lambda name: counted[name])
        return outbox.set_aside(
            connection,
            domain,
            now,
            until=now + pace.LONGEST_PAUSE,
            why=slots.why(domain),
            many=_AHEAD,
            route=self._route,
            give_up_after=self._give_up_after,
        )

    def _send_all(self, batch: list[Claimed]) -> list[Claimed]:
        """Send a batch; returns what was not tried, because we stop or the host is down."""
        left = batch
        while left and not (self._office.stopping.is_set() or self._trouble.down):
            addressed, left = self._addressed(left)
            answers = self._send([letter for _, letter in addressed])
            untried = []
            resting: set[str] = set()
            for (one, _), answer in zip(addressed, answers, strict=True):
                if answer is None:
                    untried.append(one)
                else:
                    self._answered(one, answer)
                    if self._lessons.hear(domain_of(one.recipient), answer):
                        resting.add(domain_of(one.recipient))
            left = untried + left
            if resting:
                self._resting += [one for one in left if domain_of(one.recipient) in resting]
                left = [one for one in left if domain_of(one.recipient) not in resting]
            if time.monotonic() - self._recorded > _RECORD_AFTER:
                self.finish()
        return left

    def _send(self, letters: list[Letter]) -> Sequence[Answer | None]:
        if not letters or self._office.stopping.is_set():  # making them may have taken a while
            return [None] * len(letters)
        return self._transport.send(letters)

    def _addressed(self, left: list[Claimed]) -> tuple[list[tuple[Claimed, Letter]], list[Claimed]]:
        """Letters for the first of `left`, as many as may be in memory, and what is behind them."""
        mails, behind = self._mails(left)
        now = self._moment()
        everyone = [*(one for one, _ in mails), *behind]
        lost = self._lost(everyone, now)
        gone = self._gone(everyone, now)
        for one in everyone:
            if one.delivery_id in gone and one.delivery_id not in lost:
                self._note(one, "dropped", gone[one.delivery_id])
        wanted = {one.delivery_id for one in everyone} - gone.keys() - lost
        addressed = []
        for one, mail in mails:
            if one.delivery_id in wanted and (letter := self._letter(one, mail, now.date())):
                addressed.append((one, letter))
        return addressed, [one for one in behind if one.delivery_id in wanted]

    def _lost(self, left: Sequence[Claimed], now: datetime) -> set[int]:
        """Which of these are no longer ours: who slept longer than the lease must not send what others took."""
        if now - self._held_at < _RENEW_AFTER:
            return set()
        self.finish()  # what was sent is not renewed: nobody must take it for unsent
        self._held_at = now
        with self._database.write() as connection:
            return {one.delivery_id for one in left} - outbox.renew(connection, left, now, self._lease)

    def _gone(self, those: Sequence[Claimed], now: datetime) -> dict[int, str]:
        """Which of these are wanted no more, and why: asked again where what was sent before them took a while."""
        if now - self._asked_at < _ASK_AFTER:
            return {}
        self._asked_at = now
        with self._database.read() as connection:
            no_more = outbox.gone(connection, [one.membership_id for one in those], now)
            retracted = outbox.retracted(connection, {one.outbox_id for one in those})
        return {
            one.delivery_id: no_more.get(one.membership_id, outbox.RETRACTED)
            for one in those
            if one.membership_id in no_more or one.outbox_id in retracted
        }

    def _mails(self, left: list[Claimed]) -> tuple[list[tuple[Claimed, Mail]], list[Claimed]]:
        """The first of `left` with their mails, but for those that are not tried now, and what is behind them."""
        mails: list[tuple[Claimed, Mail]] = []
        size = 0
        for place, one in enumerate(left, 1):
            if why := self._trouble.not_now(one):
                self._note(one, "retry", why)
            elif kept := self._office.kept.get(one.outbox_id):
                mails.append((one, kept))
            elif made := self._assembled(one):
                mails.append((one, made))
                size += len(made.data)
                if size >= _AT_ONCE or self._moment() - self._held_at >= _RENEW_AFTER:
                    return mails, left[place:]
        return mails, []

    def _assembled(self, one: Claimed) -> Mail | None:
        try:
            with self._database.read() as connection:
                mail = self._office.assemblers[one.kind](connection, one)
            mail = replace(mail, data=compose.crlf(mail.data))
        except Exception as error:
            self._cannot_be_made(one, error)
            return None
        if one.kind == "post":  # mails of other kinds have one recipient each
            self._office.kept.put(one.outbox_id, mail)
        return mail

    def _letter(self, one: Claimed, mail: Mail, today: date) -> Letter | None:
        try:
            mail_from = self._office.return_path(one, today) if one.mail_from else ""
            head = mail.head(one) if mail.head else b""
            return Letter(mail_from, one.recipient, mail.data, head, mail.sign(head) if mail.sign else bytes)
        except Exception as error:
            self._cannot_be_made(one, error)
            return None

    def _cannot_be_made(self, one: Claimed, error: Exception) -> None:
        log.exception("delivery: %s %s could not be assembled", one.kind, one.outbox_id)
        why = f"could not be assembled: {type(error).__name__}: {error}"
        self._trouble.put_off(one, why)
        self._note(one, "retry", why)

    def _answered(self, one: Claimed, answer: Answer) -> None:
        """A refusal at MAIL or DATA is about us or the message, never about the recipient: it is tried again."""
        self._note(one, "sent" if answer.accepted else "failed" if answer.refused else "retry", str(answer))
        if answer.refused:
            self._refused.append((one, answer))
        self._trouble.learn(one, answer)

    def _note(self, one: Claimed, result: outbox.Result, reply: str) -> None:
        self.tried += 1
        self._outcomes.append(Outcome(claimed=one, result=result, reply=reply))

    def _record(self, connection: Connection) -> None:
        now = self._moment()
        outbox.record(connection, self._outcomes, now, give_up_after=self._give_up_after)
        for one, answer in self._refused if self._office.on_refused else ():
            self._tell_refused(connection, one, answer)
        self._lessons.write(connection, now)
        if self._resting:
            with pace.slots(connection, now) as slots:
                outbox.release(connection, self._put_back(connection, self._resting, slots, now))

    def _tell_refused(self, connection: Connection, one: Claimed, answer: Answer) -> None:
        assert self._office.on_refused is not None
        try:
            with connection.begin_nested():  # what fails there must not undo the record: all would be sent again
                self._office.on_refused(connection, one, answer)
        except Exception:
            log.exception("delivery: the refusal of delivery %s could not be noted", one.delivery_id)

    def _forget(self) -> None:
        """What was recorded; after the commit, so that a database that fails once loses none of it."""
        self._outcomes, self._refused, self._resting = [], [], []
        self._lessons.forget()
