"""The pipeline: spooled bytes -> parse -> decide -> place -> archive -> outbox, in one transaction a message.

The only writer of `decision`, which makes it idempotent: a spool key that was decided is not taken in twice. A message
that we fail on goes to the shunt with its traceback, and the loop goes on. It talks to no network.
"""

import logging
import traceback
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from datetime import datetime

import msgspec
from sqlalchemy import Connection, bindparam, delete, insert, select

from tidings.archive import store
from tidings.clock import Clock
from tidings.communities import directory
from tidings.communities.policy import Facts, Verdict, decide
from tidings.database.engine import Database, is_outage
from tidings.database.tables import decision as decision_table
from tidings.digests import replies
from tidings.errors import NotFoundError
from tidings.mailer import compose, outbox
from tidings.mailer.addresses import Recipient, is_edition_id, read_recipient
from tidings.mailer.notices import Notices
from tidings.mailer.parse import ParsedMessage, claimed_id
from tidings.mailer.spool import Entry, Spool, Spooled
from tidings.mailer.worker import Outcome, ParseWorker, Unreadable
from tidings.settings import Settings
from tidings.threading.nodes import SqlNodes
from tidings.threading.parents import candidates
from tidings.threading.place import Arrival, place
from tidings.threading.quotes import Fold, shown
from tidings.tokens import Tokens

log = logging.getLogger(__name__)
BATCH = 50

_VERDICTS = select(decision_table.c.spool_key, decision_table.c.verdict, decision_table.c.reason).where(
    decision_table.c.spool_key.in_(bindparam("keys", expanding=True))
)
_DECIDE = insert(decision_table)
_UNDECIDE = delete(decision_table).where(decision_table.c.spool_key == bindparam("key"))


@dataclass(frozen=True, kw_only=True)
class Decision:
    """What was decided about one message to one recipient."""

    verdict: str  # accept, duplicate, hold, discard
    reason: str
    community_id: int | None = None
    message_id: str | None = None
    subject: str | None = None
    post_id: int | None = None


@dataclass(frozen=True, kw_only=True)
class _Case:
    """A message that was parsed, and whom it is for."""

    spooled: Spooled
    message: ParsedMessage
    recipient: Recipient
    community: directory.Community
    writes: store.Writes  # of the batch's transaction

    def decided(
        self, verdict: str, reason: str, *, message_id: str | None = None, post_id: int | None = None
    ) -> Decision:
        return Decision(
            verdict=verdict,
            reason=reason,
            community_id=self.community.id,
            message_id=message_id or self.message.message_id or None,
            subject=self.message.subject,
            post_id=post_id,
        )


def file_message(
    connection: Connection,
    community_id: int,
    message: ParsedMessage,
    raw: bytes,
    *,
    settings: Settings,
    received_at: datetime,
    via: str,
    writes: store.Writes,
    from_line: bytes | None = None,
    answers: str | None = None,
) -> store.Stored | store.Known:
    """Store a message and place it in its thread: what arrival and import have in common; `writes` is to be flushed.

    `answers` is the id that a reply token names. What is known already is left as it is.
    """
    domain = settings.site.domain
    known = store.known(connection, community_id, message, domain)
    if isinstance(known, store.Known):
        return known
    stored = store.add(
        connection,
        community_id,
        message,
        raw,
        message_id=known,
        received_at=received_at,
        via=via,
        writes=writes,
        from_line=from_line,
        answers=answers,
    )
    arrival = arrival_of(
        message, settings, message_id=stored.message_id, post_id=stored.post_id, date=stored.date, answers=answers
    )
    placed = place(SqlNodes(connection, community_id), arrival)
    store.settle(connection, community_id, stored.post_id, placed.node.thread_id, placed.merged, writes)
    return stored


def arrival_of(
    message: ParsedMessage, settings: Settings, *, message_id: str, post_id: int, date: datetime, answers: str | None
) -> Arrival:
    """What `place` wants to know of a stored message; `answers` is the id that a reply token named."""
    return Arrival(
        message_id=message_id,
        post_id=post_id,
        date=date,
        candidates=candidates(
            message_id=message_id,
            in_reply_to=message.in_reply_to,
            references=message.references,
            answers=answers,
            never=lambda bare: is_edition_id(bare, settings.site.domain),
            limit=settings.limits.references,
        ),
    )


def as_item_reply(message: ParsedMessage, text: str, subject: str) -> ParsedMessage:
    """A reply to an item as it is archived: the member's own words under the thread's subject, none of the digest."""
    return msgspec.structs.replace(message, text=text, folds=[], subject=subject)


class Intake:
    """The pipeline of one site; one thread at a time runs it."""

    def __init__(
        self,
        *,
        database: Database,
        spool: Spool,
        worker: ParseWorker,
        communities: directory.Directory,
        notices: Notices,
        tokens: Tokens,
        clock: Clock,
        settings: Settings,
    ) -> None:
        self._database = database
        self._spool = spool
        self._worker = worker
        self._communities = communities
        self._notices = notices
        self._tokens = tokens
        self._clock = clock
        self._settings = settings
        self._ahead = ThreadPoolExecutor(1, "parse")
        self._next: Future[list[tuple[Spooled, Outcome]]] | None = None

    def run_once(self) -> int:
        """Take in one batch of what waits, and parse the next meanwhile; returns how many messages were settled."""
        ahead, self._next = self._next, None
        # What was looked for ahead may have come since.
        batch = (ahead.result() if ahead else []) or self._parsed(frozenset())
        if not batch:
            return 0
        self._next = self._ahead.submit(self._parsed, frozenset(spooled.key for spooled, _ in batch))
        self._settle(batch)
        return len(batch)

    def drain(self) -> int:
        """Take in all that waits; returns how many messages that were."""
        return sum(iter(self.run_once, 0))

    def close(self) -> None:
        """End; what waits is taken in at the next start."""
        self._ahead.shutdown(cancel_futures=True)

    def _parsed(self, besides: frozenset[str]) -> list[tuple[Spooled, Outcome]]:
        waiting = self._spool.waiting(BATCH, besides)
        return list(zip(waiting, self._worker.parse_many([spooled.raw for spooled in waiting]), strict=True))

    def _settle(self, batch: Sequence[tuple[Spooled, Outcome]]) -> None:
        """Decide a batch in one transaction; where one message breaks it, each in its own."""
        try:
            self._keep(self._decide_all(batch))
        except Exception as error:
            if is_outage(error):
                raise
            log.exception("A batch of %d failed; its messages are taken in one by one.", len(batch))
            for one in batch:
                self._settle_alone(one)

    def _settle_alone(self, one: tuple[Spooled, Outcome]) -> None:
        try:
            self._keep(self._decide_all([one]))
        except Exception as error:
            if is_outage(error):  # nothing is wrong with the message: it waits until the database is back
                raise
            log.exception("A message failed and is shunted; `tidings shunt list` shows it.")
            self._spool.shunt(one[0].key, traceback.format_exc())

    def _decide_all(self, batch: Sequence[tuple[Spooled, Outcome]]) -> list[tuple[Spooled, Decision]]:
        with self._database.write() as connection:
            known = connection.execute(_VERDICTS, {"keys": [spooled.key for spooled, _ in batch]})
            before = {key: Decision(verdict=verdict, reason=reason) for key, verdict, reason in known}
            decisions = []
            rows = []
            writes = store.Writes()
            for spooled, outcome in batch:
                earlier = before.get(spooled.key)
                if earlier and spooled.released and earlier.verdict == "hold":
                    connection.execute(_UNDECIDE, {"key": spooled.key})
                    earlier = None
                decided = earlier or self._decide(connection, spooled, outcome, writes)
                if earlier is None:
                    rows.append(self._row(spooled, decided))
                decisions.append((spooled, decided))
            writes.flush(connection)
            if rows:
                connection.execute(_DECIDE, rows)
            return decisions

    def _keep(self, decisions: Sequence[tuple[Spooled, Decision]]) -> None:
        """Let the spool follow what is committed: a crash before this is healed by the verdicts that are found."""
        for spooled, decided in decisions:
            if decided.verdict == "hold":
                self._spool.hold(spooled.key, decided.reason, message_id=decided.message_id, subject=decided.subject)
        self._spool.done([spooled.key for spooled, decided in decisions if decided.verdict != "hold"])

    def _row(self, spooled: Spooled, decided: Decision) -> dict[str, object]:
        return {
            "spool_key": spooled.key,
            "community_id": decided.community_id,
            "recipient": spooled.recipient,
            "mail_from": spooled.mail_from,
            "message_id": decided.message_id,
            "verdict": decided.verdict,
            "reason": decided.reason,
            "post_id": decided.post_id,
            "received_at": spooled.received_at,
            "decided_at": self._clock.now(),
        }

    def _decide(self, connection: Connection, spooled: Spooled, outcome: Outcome, writes: store.Writes) -> Decision:
        recipient = read_recipient(spooled.recipient, self._settings.site.domain)
        community = self._communities.find(recipient.community) if recipient else None
        if recipient is None or community is None:
            return Decision(verdict="hold", reason=f"There is no community at {spooled.recipient} any more.")
        if isinstance(outcome, Unreadable):
            message_id = claimed_id(spooled.raw)
            return Decision(verdict="hold", reason=outcome.reason, community_id=community.id, message_id=message_id)
        case = _Case(spooled=spooled, message=outcome.message, recipient=recipient, community=community, writes=writes)
        handle = {"post": self._post, "reply": self._reply, "owner": self._forward, "unsubscribe": self._leave}
        return handle[recipient.purpose](connection, case)

    def _verdict(self, case: _Case) -> Verdict:
        message, community = case.message, case.community
        return decide(
            Facts(
                community=community.name,
                posting=community.posting,
                archived=community.archived,
                author_email=message.author_email,
                is_member=self._communities.is_member(community.id, message.author_email),
                automatic=_automatic(case),
                own_loop=f"{community.name}@{self._settings.site.domain}" in message.loop_marks,
            )
        )

    def _post(self, connection: Connection, case: _Case) -> Decision:
        verdict = self._verdict(case)
        # A person who released it has seen it; only our own loop and a closed community still stand against it.
        if verdict.kind == "hold" and case.spooled.released:
            verdict = Verdict(kind="accept", reason="Released by a person.")
        if verdict.kind == "reject" and case.spooled.released and not case.community.archived:
            verdict = Verdict(kind="accept", reason="Released by a person.")
        if verdict.kind != "accept":
            # The sender cannot be refused any more (250 was said), so a person decides.
            return case.decided("discard" if verdict.kind == "discard" else "hold", verdict.reason)
        return self._publish(connection, case, case.message, verdict.reason)

    def _publish(
        self,
        connection: Connection,
        case: _Case,
        message: ParsedMessage,
        reason: str,
        routed: replies.Routed | None = None,
    ) -> Decision:
        """Archive a post and put it out to its members, in the caller's transaction."""
        filed = file_message(
            connection,
            case.community.id,
            message,
            case.spooled.raw,
            settings=self._settings,
            received_at=case.spooled.received_at,
            via=case.spooled.via,
            writes=case.writes,
            answers=routed.answers if routed else None,
        )
        if isinstance(filed, store.Known):
            return case.decided(
                "duplicate", "It is in the archive already.", message_id=filed.message_id, post_id=filed.post_id
            )
        if case.spooled.via == "import":  # import is not arrival, also when a person lets it in later
            reason = f"{reason} Archived as number {filed.number}; nobody is mailed."
            return case.decided("accept", reason, message_id=filed.message_id, post_id=filed.post_id)
        copies = outbox.add_post(
            connection,
            community_id=case.community.id,
            post_id=filed.post_id,
            mail_from=f"{case.community.name}+owner@{self._settings.site.domain}",
            now=self._clock.now(),
            fields=self._thread_fields(case, routed) if routed else None,
            # A reply to a digest quotes it, and with it the reader's own reply addresses.
            body=message.text if routed and not message.attachments else None,
        )
        flag = f" Its Message-ID could not be kept ({filed.sent_id or 'none'})." if filed.sent_id is not None else ""
        return case.decided(
            "accept",
            f"{reason} Archived as number {filed.number}, {copies} copies queued.{flag}",
            message_id=filed.message_id,
            post_id=filed.post_id,
        )

    def _thread_fields(self, case: _Case, routed: replies.Routed) -> dict[str, str | None]:
        """The header fields by which a reply to an item joins the thread in everybody's mail program."""
        chain = " ".join(f"<{message_id}>" for message_id in routed.references)
        return {
            "In-Reply-To": f"<{routed.answers}>",
            "References": chain,
            "Subject": routed.subject,
            "To": f"{case.community.name}@{self._settings.site.domain}",
            "Cc": None,
            "Thread-Index": None,
            "Thread-Topic": None,
        }

    def _reply(self, connection: Connection, case: _Case) -> Decision:
        """A reply to an item of a digest: the token routes it, From says whether it may go there."""
        now = self._clock.now()
        own = shown(case.message.text, tuple(Fold(*fold) for fold in case.message.folds))
        try:
            routed = replies.route(connection, case.recipient.token, self._tokens, now=now, text=own)
        except replies.UnroutableError as error:
            if error.ask and not _automatic(case):
                self._ask_which(connection, case, error.ask)
            return case.decided("hold", str(error))
        objection = self._reply_objection(connection, case, routed, own)
        if objection:
            return case.decided("hold", objection)
        message = as_item_reply(case.message, routed.text, routed.subject)
        return self._publish(connection, case, message, f"A reply to item {routed.number} of a digest.", routed)

    def _reply_objection(self, connection: Connection, case: _Case, routed: replies.Routed, own: str) -> str:
        if automatic := _automatic(case):
            return f"An automatic mail ({automatic})."
        if case.spooled.released:
            return ""
        if case.community.archived:
            return f"The community {case.community.name} is closed and takes no more mail."
        if routed.expired:
            return "The reply address is more than a year old."
        author = directory.member_by_address(connection, case.community.id, case.message.author_email)
        if author is None or author.membership_id != routed.membership_id:
            return f"{case.message.author_email or 'Nobody'} wrote to the reply address of another member."
        return "" if routed.text.strip() or case.message.attachments else "It says nothing new: all of it is quoted."

    def _ask_which(self, connection: Connection, case: _Case, text: str) -> None:
        """Ask the member whose edition it was, and nobody else, which item was meant."""
        author = directory.member_by_address(connection, case.community.id, case.message.author_email)
        if author is not None:
            self._notices.send(
                connection,
                key=f"which-{case.spooled.key}",
                recipient=author.email,
                subject=f"Which one? Re: {case.message.subject}"[:200],
                text=text,
                now=self._clock.now(),
                community_id=case.community.id,
                answers=case.message.message_id or None,
            )

    def _forward(self, connection: Connection, case: _Case) -> Decision:
        """Mail to the owners goes to them; automatic mail and bounces wait where an admin sees them."""
        if automatic := _automatic(case):
            return case.decided("hold", f"An automatic mail to the owners ({automatic}).")
        owners = [one.email for one in directory.members(connection, case.community.id) if one.role == "owner"]
        recipients = owners or self._settings.site.admins
        mark = f"{case.community.name}@{self._settings.site.domain}"
        if mark in case.message.loop_marks:
            return case.decided("discard", "Our own copy came back to us (X-Tidings-Loop).")
        copy = compose.splice(case.spooled.raw, remove=[compose.LOOP_FIELD], add=[(compose.LOOP_FIELD, mark)])
        for email in recipients:
            key = f"owner-{case.spooled.key}-{email}"
            outbox.add_notice(connection, key=key, recipient=email, raw=copy, now=self._clock.now())
        if not recipients:
            return case.decided("hold", "The community has no owner and the site no admin to pass it on to.")
        return case.decided("accept", f"Passed on to {len(recipients)} owners.")

    def _leave(self, connection: Connection, case: _Case) -> Decision:
        """From is no authority: the member gets a link at the address that we have; its page has the button."""
        if automatic := _automatic(case):
            return case.decided("discard", f"An automatic mail to the leave address ({automatic}).")
        member = directory.member_by_address(connection, case.community.id, case.message.author_email)
        if member is None:
            return case.decided("discard", "Not from a member: nobody to take out, and nobody is told.")
        now = self._clock.now()
        link = f"{self._settings.site.base_url.rstrip('/')}/u/{self._tokens.leave(member.membership_id)}"
        self._notices.send(
            connection,
            key=f"leave-{member.membership_id}-{now.date()}",  # one a day, whoever asks for it
            recipient=member.email,
            subject=f"Leave {case.community.title}?",
            text=f"Somebody, we hope you, asked to take you out of {case.community.title}.\n\n"
            f"To leave, open this page and press the button:\n{link}\n\nTo stay, do nothing.\n",
            now=now,
            community_id=case.community.id,
        )
        return case.decided("accept", "The member was sent a link to leave by.")


class Desk:
    """What a person does with mail that waits: list it, release, retry or discard it, so that `why` can tell."""

    def __init__(self, *, database: Database, spool: Spool, clock: Clock) -> None:
        self._database = database
        self._spool = spool
        self._clock = clock

    def counts(self) -> dict[str, int]:
        """How many messages are in each state."""
        return self._spool.counts()

    def listing(self, state: str) -> list[Entry]:
        """The messages in a state, oldest first."""
        return self._spool.listing(state)

    def release(self, key: str) -> None:
        """Accept a held message. Raises NotFoundError."""
        self._spool.release(key)

    def retry(self, key: str) -> None:
        """Take a shunted message in again. Raises NotFoundError."""
        self._spool.retry(key)

    def discard(self, key: str) -> None:
        """Throw a held or shunted message away. Raises NotFoundError."""
        found = next((entry for entry in self._spool.listing() if entry.key == key and entry.state != "waiting"), None)
        if found is None:
            raise NotFoundError(f"No message that waits for a person has the key {key!r}.")
        with self._database.write() as connection:
            connection.execute(_UNDECIDE, {"key": key})
            connection.execute(
                _DECIDE,
                {
                    "spool_key": key,
                    "recipient": found.recipient,
                    "mail_from": found.mail_from,
                    "message_id": found.message_id,
                    "verdict": "discard",
                    "reason": f"Discarded by a person. It was {found.state}: {found.reason or 'we failed on it'}",
                    "received_at": found.received_at,
                    "decided_at": self._clock.now(),
                },
            )
        self._spool.done([key])


def _automatic(case: _Case) -> str:
    """How it shows that a program sent this; empty where a person did."""
    if not case.spooled.mail_from:
        return "null return path"
    if case.message.author_email.lower().startswith(("mailer-daemon@", "postmaster@")):
        return f"from {case.message.author_email}"
    return case.message.automatic
