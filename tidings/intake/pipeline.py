"""The pipeline: spooled bytes -> parse -> decide -> place -> archive -> outbox, a batch in one transaction.

It is idempotent: a spool key that was decided is not taken in twice. A message that we fail on goes to the shunt with
its traceback, and the loop goes on. What a mail means is for the handlers of its address; it talks to no network.
"""

import logging
import time
import traceback
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from sqlalchemy import Connection

from tidings.archive import store
from tidings.database.engine import Database, is_outage
from tidings.intake import decisions, moderation
from tidings.intake.agenda import AgendaMail
from tidings.intake.agenda_replies import AgendaReplies
from tidings.intake.asking import Asking
from tidings.intake.calendar_replies import CalendarReplies
from tidings.intake.case import Case, Handler, Parts
from tidings.intake.confirm import Confirm
from tidings.intake.decisions import Decision
from tidings.intake.desk import Desk
from tidings.intake.item_replies import ItemReplies
from tidings.intake.meeting_words import MeetingWords
from tidings.intake.membership import Membership
from tidings.intake.minutes import Minutes
from tidings.intake.owners import Owners
from tidings.intake.posting import Posting
from tidings.intake.proof import NOT_ASKED, prove
from tidings.intake.proposals import Proposals
from tidings.intake.returned import Returned
from tidings.mailer.addresses import Purpose, read_recipient
from tidings.mailer.parsed import claimed_id
from tidings.mailer.spool import Spool, Spooled
from tidings.mailer.verify import Proof
from tidings.mailer.worker import Outcome, ParseWorker, Unreadable

log = logging.getLogger(__name__)
BATCH = 50
_PROVING = 10.0  # seconds a batch may wait for others' name servers; what is not proved by then goes without


@dataclass(frozen=True, kw_only=True)
class _Read:
    """A message that was read, and what was found of its sender, before it is decided."""

    spooled: Spooled
    outcome: Outcome
    proof: Proof


@dataclass(frozen=True, kw_only=True)
class _Decided:
    """A batch that was decided: each message with its verdict, and what is done once that is committed."""

    messages: list[tuple[Spooled, Decision]]
    later: list[Callable[[], None]]


class Intake:
    """The pipeline of one site; one thread at a time runs it."""

    def __init__(
        self,
        *,
        database: Database,
        spool: Spool,
        worker: ParseWorker,
        parts: Parts,
    ) -> None:
        self._database = database
        self._spool = spool
        self._worker = worker
        self._parts = parts
        self._handlers = _handlers(parts, Desk(database=database, spool=spool, parts=parts))
        self._to_tell: set[str] = set()  # communities for which something is held that moderators hear of at once
        self._ahead = ThreadPoolExecutor(1, "parse")
        self._next: Future[list[_Read]] | None = None

    def run_once(self) -> int:
        """Take in one batch of what waits, and parse the next meanwhile; returns how many messages were settled."""
        ahead, self._next = self._next, None
        # What was looked for ahead may have come since.
        batch = (ahead.result() if ahead else []) or self._read(frozenset())
        if not batch:
            return 0
        self._next = self._ahead.submit(self._read, frozenset(one.spooled.key for one in batch))
        self._settle(batch)
        self._tell_moderators()
        return len(batch)

    def drain(self) -> int:
        """Take in all that waits; returns how many messages that were."""
        return sum(iter(self.run_once, 0))

    def close(self) -> None:
        """End; what waits is taken in at the next start."""
        self._ahead.shutdown(cancel_futures=True)

    def _read(self, besides: frozenset[str]) -> list[_Read]:
        """The next batch, parsed and proved: neither is done inside a transaction."""
        waiting = self._spool.waiting(BATCH, besides)
        bounces = {place for place, spooled in enumerate(waiting) if _may_be_a_bounce(spooled)}
        outcomes = self._worker.parse_many([spooled.raw for spooled in waiting], bounces)
        until = time.monotonic() + _PROVING
        return [
            _Read(spooled=spooled, outcome=outcome, proof=self._proof(spooled, outcome, until))
            for spooled, outcome in zip(waiting, outcomes, strict=True)
        ]

    def _proof(self, spooled: Spooled, outcome: Outcome, until: float) -> Proof:
        if isinstance(outcome, Unreadable) or time.monotonic() > until:
            return NOT_ASKED
        return prove(self._parts, spooled, outcome.message)

    def _settle(self, batch: Sequence[_Read]) -> None:
        """Decide a batch in one transaction; where one message breaks it, each in its own."""
        try:
            self._keep(self._decide_all(batch))
        except Exception as error:
            if is_outage(error):
                raise
            log.exception("A batch of %d failed; its messages are taken in one by one.", len(batch))
            for one in batch:
                self._settle_alone(one)

    def _settle_alone(self, one: _Read) -> None:
        try:
            self._keep(self._decide_all([one]))
        except Exception as error:
            if is_outage(error):  # nothing is wrong with the message: it waits until the database is back
                raise
            log.exception("A message failed and is shunted; `tidings shunt list` shows it.")
            self._spool.shunt(one.spooled.key, traceback.format_exc())

    def _decide_all(self, batch: Sequence[_Read]) -> _Decided:
        with self._database.write() as connection:
            before = decisions.before(connection, [one.spooled.key for one in batch])
            found = _Decided(messages=[], later=[])
            rows = []
            writes = store.Writes()
            for one in batch:
                decided = before.get(one.spooled.key)
                if decided and decided.verdict == "hold":  # released, or not held any more when we were killed
                    decisions.forget(connection, one.spooled.key)
                    decided = None
                if decided is None:
                    decided = self._decide(connection, one, writes, found.later)
                    rows.append(decisions.row(one.spooled, decided, self._parts.clock.now()))
                found.messages.append((one.spooled, decided))
            writes.flush(connection)
            decisions.add(connection, rows)
            return found

    def _keep(self, decided: _Decided) -> None:
        """Let the spool follow what is committed: a crash before this is healed by the verdicts that are found."""
        for spooled, one in decided.messages:
            if one.verdict == "hold":
                self._spool.hold(
                    spooled.key,
                    one.reason,
                    message_id=one.message_id,
                    subject=one.subject,
                    author=one.author,
                    community=one.community,
                )
        self._spool.done([spooled.key for spooled, one in decided.messages if one.verdict != "hold"])
        self._to_tell |= {one.community for _, one in decided.messages if one.at_once and one.community}
        for do in decided.later:
            do()

    def _tell_moderators(self) -> None:
        """Tell moderators of what is held, where it is the first today; what fails is told with the day's notice."""
        names, self._to_tell = self._to_tell, set()
        for community in filter(None, map(self._parts.communities.find, names)):
            try:
                moderation.tell(self._database, self._spool, self._parts, community, self._parts.clock.now())
            except Exception:
                log.exception("The moderators of %s could not be told at once what is held.", community.name)

    def _decide(
        self, connection: Connection, read: _Read, writes: store.Writes, later: list[Callable[[], None]]
    ) -> Decision:
        spooled, outcome = read.spooled, read.outcome
        recipient = read_recipient(spooled.recipient)
        community = self._parts.communities.find(recipient.community) if recipient else None
        if recipient is None or community is None:
            return Decision(verdict="hold", reason=f"There is no community at {spooled.recipient} any more.")
        if isinstance(outcome, Unreadable):
            return Decision(
                verdict="hold",
                reason=outcome.reason,
                community_id=community.id,
                community=community.name,
                message_id=claimed_id(spooled.raw),
            )
        case = Case(
            spooled=spooled,
            message=outcome.message,
            recipient=recipient,
            community=community,
            address=self._parts.addresses.of(community),
            writes=writes,
            proof=read.proof,
            later=later,
        )
        return self._handlers[recipient.purpose](connection, case)


def _may_be_a_bounce(spooled: Spooled) -> bool:
    """Whether it came to a return path, or to an address that mail comes from and that a reply decides at."""
    recipient = read_recipient(spooled.recipient)
    return recipient is not None and recipient.purpose in ("bounce", "confirm")


def _handlers(parts: Parts, desk: Desk) -> Mapping[Purpose, Handler]:
    """What handles the mail to each kind of address."""
    posting = Posting(parts)
    membership = Membership(parts)
    returned = Returned(parts)
    asking = Asking(parts)
    words, proposals, minutes = MeetingWords(parts, asking), Proposals(parts, posting), Minutes(parts, posting)
    agenda = AgendaMail(
        parts, calendars=CalendarReplies(parts, asking), words=words, proposals=proposals, minutes=minutes
    )
    confirm = Confirm(
        {
            "join": membership.join,
            "leave": membership.leave,
            "commands": membership.commands,
            "address": membership.address,
            "moderate": moderation.Moderation(parts, desk).handle,
            "return": returned.come_back,
            "agenda": partial(words.confirmed, yes=membership.no_yes),
        }
    )
    return {
        "post": posting.post,
        "reply": ItemReplies(parts, posting, AgendaReplies(parts, words, proposals, minutes)).handle,
        "agenda": agenda.handle,
        "owner": Owners(parts).forward,
        "subscribe": membership.subscribe,
        "unsubscribe": membership.unsubscribe,
        "help": membership.help,
        "command": membership.command,
        "confirm": confirm.handle,
        "bounce": returned.handle,
    }
