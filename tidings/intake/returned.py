"""What comes back counts for the address that its return path names; whoever is stopped by it is asked, and goes on.

The return path and not the report says whose address it is: behind a forwarding a report names another. It reads no
bounce (mailer.bounces does) and counts nothing itself (communities.standing does).
"""

import logging
from datetime import datetime

from sqlalchemy import Connection

from tidings.communities import directory, standing
from tidings.communities.confirmations import Confirmation
from tidings.communities.directory import email_key
from tidings.communities.standing import Address, Counted, Failure, Wave
from tidings.database.engine import Database
from tidings.intake import stop_letters
from tidings.intake.case import Case, Parts
from tidings.intake.decisions import Decision
from tidings.intake.letters import Letter
from tidings.mailer import outbox
from tidings.mailer.bounce_reasons import Said, judge
from tidings.mailer.parsed import Reading
from tidings.tokens import BadTokenError

log = logging.getLogger(__name__)

_NO_READING = Reading(kind="none")


class Returned:
    """Takes in what comes back, by mail or as the smart host's refusal, and what follows from it."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def handle(self, connection: Connection, case: Case) -> Decision:
        """Mail to a return path; what cannot be read as a bounce waits for an admin and counts for nobody."""
        if case.spooled.released:
            return case.decided("discard", "A person looked at it; nothing follows from mail to a return path.")
        try:
            token = self._parts.tokens.read_return_path(case.recipient.token)
        except BadTokenError:
            return case.decided("hold", "The return path that it came to is none of ours.")
        if token.expired(case.spooled.received_at):
            return case.decided("hold", "The return path that it came to is more than two weeks old.")
        reading = case.message.returned or _NO_READING
        if reading.kind != "bounce" or not reading.returned:
            return _no_bounce(case, reading)
        delivery = outbox.delivery_by_id(connection, token.delivery_id)
        if delivery is None:
            return case.decided("hold", "The delivery that it is about is not known any more.")
        address = standing.address_at(connection, delivery.recipient)
        if address is None:
            return case.decided("discard", f"{delivery.recipient} is nobody's address here any more.")
        failure = _failure(reading, address.email)
        counted = self._count(connection, address, failure, self._parts.clock.now(), delivery.community_id)
        return case.decided("accept", self._account(address, failure, counted))

    def refused(
        self, connection: Connection, recipient: str, reply: str, now: datetime, community_id: int | None = None
    ) -> None:
        """Count what the smart host said when it refused `recipient` for good; `reply` is its code and text.

        What such an answer means is judged as in a bounce: a policy counts for nobody, a full mailbox not for good.
        """
        address = standing.address_at(connection, recipient)
        if address is not None:
            said = Said(f"{reply} (in reply to RCPT TO)")
            judged = judge(action="failed", status="", diagnostic=said, texts=())
            failure = Failure(
                # RFC 3463 3.3: a mailbox that is disabled, said for good by whoever has it
                permanent=judged.permanent or judged.status == "5.2.1",
                status=judged.status,
                reason=reply,
                about_message=judged.about_message,
            )
            self._count(connection, address, failure, now, community_id)

    def come_back(self, connection: Connection, case: Case, confirmation: Confirmation) -> Decision:
        """A plain answer to a mail that asked whether an address works: it does."""
        now, email = self._parts.clock.now(), confirmation.email
        if case.message.returned and case.message.returned.kind != "none":
            return case.decided("discard", "No person answered: it is a bounce or an automatic mail.")
        if standing.bring_back_by(connection, case.recipient.token, now):
            self._answer(connection, case, email, stop_letters.goes_on(email), unproved=False)
            return case.decided("accept", f"Mail to {email} goes on.")
        asked = standing.asked_back(connection, case.recipient.token, now)
        if asked is None or asked[0].stopped_at is None:
            return case.decided("discard", f"Mail to {email} goes on already.")
        letter = stop_letters.too_late(email, case.community.title, case.address.detail("owner"))
        self._answer(connection, case, email, letter, unproved=True)
        return case.decided("discard", f"The reply came too late: mail to {email} is still stopped.")

    # --- what follows from a failure ---------------------------------------------------------------------------------

    def _count(
        self, connection: Connection, address: Address, failure: Failure, now: datetime, community_id: int | None
    ) -> Counted:
        settings = self._parts.settings.bounces
        counted = standing.came_back(
            connection, address.id, failure, now=now, settings=settings, community_id=community_id
        )
        if counted.began:
            self._alert(connection, counted.began)
        if counted.stopped:
            self._tell_owners(connection, address, failure, now)
        return counted

    def _account(self, address: Address, failure: Failure, counted: Counted) -> str:
        """What was done about a failure, for `why`."""
        what = f"{'A permanent' if failure.permanent else 'A temporary'} failure ({failure.status or 'no status'})"
        if failure.about_message:
            return f"{what} of the message and not of {address.email}: it does not count."
        if not counted.counts:
            return f"{what} of {address.email}. It came in a wave, so it does not count."
        score = f"{what} of {address.email}: its score is {counted.score} of {self._parts.settings.bounces.stop_at}."
        if counted.stopped:
            return f"{score} Mail to it is stopped."
        return f"{score} It was stopped before." if address.stopped_at else score

    def _alert(self, connection: Connection, wave: Wave) -> None:
        """Tell the admins that the fault is taken for ours."""
        log.error("bounces: a wave. %s", wave.reason)
        for email in self._parts.settings.site.admins:
            self._send(connection, f"wave-{_stamp(wave.started_at)}-{email}", email, stop_letters.wave(wave))

    def _tell_owners(self, connection: Connection, address: Address, failure: Failure, now: datetime) -> None:
        """Tell the owners of its communities, or the admins where these have none, that mail to an address stopped."""
        parts, titles = self._parts, _titles(connection, address)
        admins = [email for email in parts.settings.site.admins if email_key(email) != email_key(address.email)]
        for owner in standing.owners_of(connection, address.id) or (admins if titles else []):
            link = _link(parts, standing.ask_back(connection, address.id, email=owner, now=now))
            letter = stop_letters.stopped(address, failure.status, titles, parts.settings.bounces, link)
            self._send(connection, f"stopped-{address.id}-{_stamp(now)}-{owner}", owner, letter)

    def _answer(self, connection: Connection, case: Case, email: str, letter: Letter, *, unproved: bool) -> None:
        answers = case.message.message_id or None
        self._send(connection, f"return-{case.spooled.key}", email, letter, answers=answers, unproved=unproved)

    def _send(
        self,
        connection: Connection,
        key: str,
        recipient: str,
        letter: Letter,
        *,
        answers: str | None = None,
        unproved: bool = False,
    ) -> None:
        self._parts.notices.send(
            connection,
            key=key,
            recipient=recipient,
            subject=letter.subject,
            text=letter.text,
            now=self._parts.clock.now(),
            answers=answers,
            unproved=unproved,
        )


def probe_due(database: Database, parts: Parts, now: datetime) -> int:
    """Ask the stopped addresses whose time has come whether they work again; returns how many were asked.

    What fails is logged and tried again at the next run. Any number of processes may do so at once.
    """
    with database.read() as connection:
        due = standing.probes_due(connection, now)
    asked = 0
    for address in due:
        try:
            with database.write() as connection:
                asked += _probe(connection, parts, address, now)
        except Exception:
            log.exception("Address %d could not be asked whether it works again; it is tried again.", address.id)
    return asked


def _probe(connection: Connection, parts: Parts, address: Address, now: datetime) -> bool:
    """Whether the address was asked by us; another process may have been faster, or it came back meanwhile."""
    if not standing.take_probe(connection, address, now, parts.settings.bounces):
        return False
    community = directory.community_by_id(connection, standing.communities_of(connection, address.id)[0])
    token = standing.ask_back(connection, address.id, email=address.email, now=now, community_id=community.id)
    titles = _titles(connection, address)
    letter = stop_letters.probe(address, titles, parts.settings.bounces, _link(parts, token))
    own = parts.addresses.of(community)
    assert address.stopped_at is not None
    return parts.notices.send(
        connection,
        key=f"probe-{address.id}-{_stamp(address.stopped_at)}-{address.probes + 1}",
        recipient=address.email,
        subject=letter.subject,
        text=letter.text,
        now=now,
        community_id=community.id,
        sender=own.token("confirm", token),
        name=community.title,
        mail_from=own.post,  # a return path, unlike other notices: whether it comes back is what is asked
    )


def _no_bounce(case: Case, reading: Reading) -> Decision:
    if reading.kind == "bounce":
        return case.decided("hold", "It is a bounce, but does not say what of. It counts for nobody.")
    if reading.kind == "delayed":
        return case.decided("discard", "Only late: the mail system that wrote it still tries.")
    from_a_system = case.message.author_email.lower().startswith(("mailer-daemon@", "postmaster@"))
    if (reading.kind == "automatic" or case.message.automatic) and not from_a_system:
        return case.decided("discard", f"An automatic answer and no bounce ({case.automatic or 'a report'}).")
    if automatic := case.automatic:
        return case.decided("hold", f"It may be a bounce ({automatic}), but we cannot read it. It counts for nobody.")
    return case.decided("hold", "A person wrote to a return path.")


def _failure(reading: Reading, email: str) -> Failure:
    """What a bounce says: of this address, or else of the first, since it came to this one's return path."""
    named = [one for one in reading.returned if one.address.lower() == email.lower()]
    one = (named or reading.returned)[0]
    return Failure(permanent=one.permanent, status=one.status, reason=one.reason, about_message=one.about_message)


def _titles(connection: Connection, address: Address) -> str:
    joined = standing.communities_of(connection, address.id)
    return ", ".join(directory.community_by_id(connection, one).title for one in joined)


def _link(parts: Parts, token: str) -> str:
    return f"{parts.settings.site.base_url.rstrip('/')}/back/{token}"


def _stamp(moment: datetime) -> str:
    """A moment in the key of a notice: the next stop of the same address is told again."""
    return f"{moment.timestamp():.6f}"
