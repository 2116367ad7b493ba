"""Asks an address whether it was meant, before anything is done in its name: mails that a reply confirms, with limits.

It does nothing of what is asked for. Whom nobody here knows is asked so seldom that nobody is bombed with our mail.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Connection, select

from tidings.communities import confirmations
from tidings.communities.confirmations import Purpose
from tidings.communities.directory import Community, Directory, Member, email_key
from tidings.communities.entries import parse_email
from tidings.database import tables
from tidings.errors import UsageError
from tidings.intake import letters
from tidings.intake.case import Parts
from tidings.intake.letters import Letter
from tidings.mailer.addresses import Addresses, host_of, read_recipient

_QUESTIONS_A_DAY = 3
"""How many questions an address that is nobody's here may be sent a day, however many communities are asked for."""


def is_list_address(email: str, communities: Directory, addresses: Addresses) -> bool:
    """Whether mail to `email` comes to a community of this site: such an address is no member's (it would loop)."""
    local = email.rpartition("@")[0].strip().lower()
    name, *rest = re.split("[+-]", local, maxsplit=1)
    found = communities.find(name)
    if found is None or host_of(email) != addresses.of(found).domain:
        return False
    # Whatever follows a plus reaches the community's mailbox; behind a hyphen it may be a person's own address.
    return not rest or local[len(name)] == "+" or read_recipient(email) is not None


def mailbox(email: str) -> str:
    """What addresses that may be of one mailbox have in common: no case, no dots, nothing behind a plus."""
    local, _, domain = email_key(email).rpartition("@")
    return f"{local.partition('+')[0].replace('.', '')}@{domain}"


class Asking:
    """Sends the questions of one site, and what is told to whom nobody here knows."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def answerable(self, email: str) -> str | None:
        """The address as it is kept; None where it is no address, or one of ours, that no mail of ours may go to."""
        try:
            found = parse_email(email)
        except UsageError:
            return None
        host, communities = host_of(found), self._parts.communities
        # Asked first, since a name that is not known is looked for afresh each time.
        may_be_ours = host == self._parts.settings.site.domain or communities.has_domain(host)
        return None if may_be_ours and is_list_address(found, communities, self._parts.addresses) else found

    def ask(
        self,
        connection: Connection,
        community: Community,
        letter: Letter,
        *,
        purpose: Purpose,
        email: str,
        key: str,
        request: Mapping[str, Any] | None = None,
    ) -> bool:
        """Send the question; False where one with that key, or enough for a day, went there: then none is open."""
        now = self._parts.clock.now()
        with connection.begin_nested() as attempt:  # so that what is not sent leaves no token behind
            token = confirmations.ask(
                connection, purpose=purpose, email=email, now=now, community_id=community.id, request=request
            )
            sent = self._parts.notices.send(
                connection,
                key=key,
                recipient=email,
                subject=letter.subject,
                text=letter.text,
                now=now,
                community_id=community.id,
                sender=self._parts.addresses.of(community).token("confirm", token),
                name=community.title,
                unproved=True,
            )
            if not sent:
                attempt.rollback()
        return sent

    def ask_stranger(
        self,
        connection: Connection,
        community: Community,
        letter: Letter,
        *,
        purpose: Purpose,
        email: str,
        request: Mapping[str, Any] | None = None,
    ) -> bool:
        """Send the question to an address that is nobody's here yet.

        False where its mailbox was asked today by this community, or often enough by others.
        """
        key = _free_key(connection, community.id, email, self._parts.clock.now())
        if key is None:
            return False
        return self.ask(connection, community, letter, purpose=purpose, email=email, key=key, request=request)

    def ask_to_leave(self, connection: Connection, community: Community, member: Member) -> bool:
        """Ask a member at the address on record whether to leave; False where that, or enough, was asked today."""
        parts, now = self._parts, self._parts.clock.now()
        link = f"{parts.settings.site.base_url.rstrip('/')}/u/{parts.tokens.leave(member.membership_id)}"
        return self.ask(
            connection,
            community,
            letters.leave_question(community, link),
            purpose="leave",
            email=member.email,
            key=f"leave-{member.membership_id}-{_day(now)}",  # one a day, whoever asks for it
            request={"membership_id": member.membership_id},
        )

    def tell_stranger(self, connection: Connection, community: Community, letter: Letter, email: str) -> bool:
        """Tell something to an address that is nobody's here: one mail a day to a mailbox, whoever asks for it."""
        now = self._parts.clock.now()
        return self._parts.notices.send(
            connection,
            key=f"told-{_day(now)}-{mailbox(email)}",
            recipient=email,
            subject=letter.subject,
            text=letter.text,
            now=now,
            community_id=community.id,
            sender=self._parts.addresses.of(community).detail("help"),
            name=community.title,
            unproved=True,
        )


def _free_key(connection: Connection, community_id: int, email: str, now: datetime) -> str | None:
    """The key of one more question today; None where there were enough. The unique keys are what counts them."""
    keys = [f"asked-{_day(now)}-{number}-{mailbox(email)}" for number in range(_QUESTIONS_A_DAY)]
    sent = tables.outbox.c
    used = connection.execute(select(sent.notice_key, sent.community_id).where(sent.notice_key.in_(keys))).all()
    if any(row.community_id == community_id for row in used):
        return None
    return next((key for key in keys if all(row.notice_key != key for row in used)), None)


def _day(now: datetime) -> str:
    return now.astimezone(UTC).date().isoformat()
