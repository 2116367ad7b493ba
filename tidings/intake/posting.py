"""Posts: decided by policy, archived in their thread, and put out to the members.

It decides nothing that policy does not, and files what is accepted as an import does (filing).
"""

from dataclasses import replace
from datetime import timedelta
from typing import Protocol

from sqlalchemy import Connection

from tidings.archive import store
from tidings.communities import directory, joining
from tidings.communities.entries import show_size
from tidings.communities.policy import POSTING_RULES, RELEASED_RULES, Facts, Verdict, decide
from tidings.intake import storm, waiting
from tidings.intake.case import Case, Parts
from tidings.intake.decisions import Decision
from tidings.intake.filing import Filing
from tidings.mailer import outbox
from tidings.mailer.addresses import post_page
from tidings.mailer.parsed import ParsedMessage
from tidings.threading.parents import candidates


class Route(Protocol):
    """Where a post goes that is not archived under the header that it came with.

    `answers` is the bare id under which it stands, `references` the chain down to it, as copies show it: none where it
    begins a thread in mail programs.
    """

    @property
    def answers(self) -> str: ...
    @property
    def references(self) -> tuple[str, ...]: ...
    @property
    def subject(self) -> str: ...


_URGENT_WITHIN = timedelta(hours=24)


class Posting:
    """Takes posts in."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def post(self, connection: Connection, case: Case) -> Decision:
        """Take in a mail to the address that posts."""
        return self.submit(connection, case, case.message)

    def submit(
        self,
        connection: Connection,
        case: Case,
        message: ParsedMessage,
        routed: Route | None = None,
        reason: str = "",
    ) -> Decision:
        """Decide a post by the rules of its community, and publish it where nothing stands against it.

        `message` is what is archived; a `reason` for accepting it stands for the one that the rules give.
        """
        released = case.spooled.released
        sender = directory.sender(connection, case.community.id, message.author_email)
        facts = self._facts(connection, case, message, sender, routed)
        verdict = decide(facts, RELEASED_RULES if released else POSTING_RULES)
        if verdict.kind != "accept":
            return self._put_aside(connection, case, verdict, known=bool(sender.role) or case.proof.aligned)
        if released:
            reason = f"{reason} Released by {case.spooled.decided_by or 'a person'}.".strip()
        urgent = self._passes_by_quiet_hours(connection, case, message, sender)
        decided = self.publish(connection, case, message, reason or verdict.reason, routed, urgent=urgent)
        if decided.verdict == "accept" and sender.membership_id is not None and sender.held_posts:
            joining.passed(connection, sender.membership_id)
        return decided

    def _put_aside(self, connection: Connection, case: Case, verdict: Verdict, *, known: bool) -> Decision:
        """Hold a post, or discard it; its sender cannot be refused any more, since 250 was said.

        Who is `known`, a member or proved, is told that it waits; of anybody else From may be forged.
        """
        if "discard" in (verdict.kind, verdict.late):
            return case.decided("discard", verdict.reason)
        if known:
            waiting.tell_it_waits(connection, self._parts, case, verdict.reason)
        return replace(case.decided("hold", verdict.reason), at_once=not case.automatic)

    def publish(
        self,
        connection: Connection,
        case: Case,
        message: ParsedMessage,
        reason: str,
        routed: Route | None = None,
        *,
        urgent: bool = False,
    ) -> Decision:
        """Archive a post and put it out to its members, in the caller's transaction."""
        filed = Filing(connection, case.community.id, self._parts.settings, case.writes).file(
            message,
            store.packed(case.spooled.raw),
            received_at=case.spooled.received_at,
            via=case.spooled.via,
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
            mail_from=case.address.post,
            now=self._parts.clock.now(),
            author=directory.email_key(message.author_email),
            named=directory.email_keys(message.recipients),
            urgent=urgent,
            fields=_thread_fields(case, routed) if routed else None,
            # A reply to a digest quotes it, and with it the reader's own reply addresses.
            body=self._body(case, message, filed.message_id) if routed else None,
        )
        now = " Urgent: quiet hours do not hold it." if urgent else ""
        flag = f" Its Message-ID could not be kept ({filed.sent_id or 'none'})." if filed.sent_id is not None else ""
        return case.decided(
            "accept",
            f"{reason} Archived as number {filed.number}, {copies} copies queued.{now}{flag}",
            message_id=filed.message_id,
            post_id=filed.post_id,
        )

    def _body(self, case: Case, message: ParsedMessage, message_id: str) -> str:
        """What the copies of a reply to an item say: its own words, and where its files are."""
        if not message.attachments:
            return message.text
        files = [f"- {name} ({show_size(size)})" for _, name, _, size, _ in message.attachments]
        link = post_page(self._parts.settings.site.base_url, case.community.name, message_id)
        return "\n".join([message.text, "", "Attached, in the archive:", *files, link]).lstrip()

    def _passes_by_quiet_hours(
        self, connection: Connection, case: Case, message: ParsedMessage, sender: directory.Sender
    ) -> bool:
        """Whether a member says that it is urgent, and has not said so too often in this community of late."""
        if not message.urgent or sender.membership_id is None or case.community.urgent == 0:
            return False
        since = self._parts.clock.now() - _URGENT_WITHIN
        author = directory.email_key(message.author_email)
        return outbox.urgent_posts(connection, case.community.id, author, since) < case.community.urgent

    def _facts(
        self,
        connection: Connection,
        case: Case,
        message: ParsedMessage,
        sender: directory.Sender,
        routed: Route | None,
    ) -> Facts:
        return Facts(
            community=case.community,
            sender=sender,
            author_email=message.author_email,
            join_address=case.address.detail("subscribe"),
            owner_address=case.address.detail("owner"),
            size=len(case.spooled.raw),
            attachments=sum(size for _, _, _, size, _ in message.attachments),
            automatic=case.automatic,
            own_loop=case.is_own_loop,
            unsigned="" if case.proof.aligned else case.proof.how,
            storm=lambda: self._storm(connection, case, message, routed),
        )

    def _storm(self, connection: Connection, case: Case, message: ParsedMessage, routed: Route | None) -> str:
        """How hot the thread runs that a message answers; empty where it does not."""
        limits, answers = self._parts.settings.limits, routed.answers if routed else None
        found = candidates(
            message_id=message.message_id,
            in_reply_to=message.in_reply_to,
            references=message.references,
            answers=answers,
            limit=limits.references,
        )
        most, minutes = limits.storm_posts, limits.storm_minutes
        within = timedelta(minutes=minutes)
        ids = [one.message_id for one in found]
        if not storm.rages(connection, case.community.id, ids, most=most, within=within, now=self._parts.clock.now()):
            return ""
        return f"{most} posts came to its thread within {minutes} minutes."


def _thread_fields(case: Case, routed: Route) -> dict[str, str | None]:
    """The header fields by which a post joins or begins its thread in everybody's mail program."""
    chain = " ".join(f"<{message_id}>" for message_id in routed.references)
    return {
        "In-Reply-To": f"<{routed.answers}>" if chain else None,
        "References": chain or None,
        "Subject": routed.subject,
        "To": case.address.post,
        "Cc": None,
        "Thread-Index": None,
        "Thread-Topic": None,
    }
