"""What the sender of a held post is told: that it waits, and what became of it.

Programs and lists are told nothing. A stranger who is not proved hears of it only where a moderator chose to tell them:
nobody is mailed because somebody forged their address. It decides nothing.
"""

import re
from datetime import datetime

from sqlalchemy import Connection, select

from tidings.clock import zone
from tidings.communities.directory import Community
from tidings.communities.entries import parse_email
from tidings.database.tables import outbox
from tidings.errors import UsageError
from tidings.intake.case import Case, Parts
from tidings.mailer.spool import Entry

_HEADER_LIMIT = 262_144  # bytes
# RFC 3834 5, and the fields of list mail (RFC 2919, 2369); what continues a field begins with a blank.
_PROGRAM = re.compile(
    rb"^(?:auto-submitted[ \t]*:[ \t]*(?!no\b)|precedence[ \t]*:[ \t]*(?:bulk|junk|list)\b"
    rb"|list-(?:id|post|unsubscribe)[ \t]*:)",
    re.IGNORECASE | re.MULTILINE,
)
_PROGRAMS = ("mailer-daemon@", "postmaster@")


def tell_it_waits(connection: Connection, parts: Parts, case: Case, reason: str) -> None:
    """Tell the sender, unless it is a program or a list, that the post waits for a moderator."""
    author = case.message.author_email
    if case.automatic or not _is_person(case.spooled.mail_from, author, case.spooled.raw):
        return
    _tell(
        connection,
        parts,
        case.community,
        key=_key("waits", case.spooled.key),
        recipient=author,
        answers=case.message.message_id or None,
        subject=f"Your post to {case.community.title} waits",
        text=f"{_mail_of(case.spooled.received_at, case.community)} waits until a moderator has looked at it.\n\n"
        f"Why: {reason}\n\nThere is nothing you need to do.\n",
    )


def tell_accepted(connection: Connection, parts: Parts, community: Community, entry: Entry) -> None:
    """Tell the sender that the post is out now, where they were told that it waits."""
    if not _was_told(connection, entry.key):
        return
    _tell(
        connection,
        parts,
        community,
        key=_key("decided", entry.key),
        recipient=entry.author or "",
        answers=entry.message_id,
        subject=f"Your post to {community.title} is out",
        text=f"{_mail_of(entry.received_at, community)} was accepted and goes to the members now.\n",
    )


def tell_rejected(
    connection: Connection, parts: Parts, community: Community, entry: Entry, raw: bytes, reason: str
) -> None:
    """Tell the sender that a moderator did not accept the post; `raw` is the message."""
    if not _is_person(entry.mail_from, entry.author or "", raw):
        return
    why = f"The moderator wrote: {reason}" if reason else "The moderator gave no reason."
    _tell(
        connection,
        parts,
        community,
        key=_key("decided", entry.key),
        recipient=entry.author or "",
        answers=entry.message_id,
        subject=f"Your post to {community.title} was not accepted",
        text=f"{_mail_of(entry.received_at, community)} was not accepted by a moderator.\n\n{why}\n\n"
        "To ask, answer this mail: it goes to the people who run the community.\n",
    )


def _tell(
    connection: Connection,
    parts: Parts,
    community: Community,
    *,
    key: str,
    recipient: str,
    answers: str | None,
    subject: str,
    text: str,
) -> None:
    """Write a notice without a word of the mail that it answers: that may be of somebody who forged the sender."""
    try:
        to = parse_email(recipient)
    except UsageError:
        return
    parts.notices.send(
        connection,
        key=key,
        recipient=to,
        subject=subject,
        text=text,
        now=parts.clock.now(),
        community_id=community.id,
        answers=answers,
        sender=parts.addresses.of(community).detail("owner"),
        name=community.title,
        unproved=True,
    )


def _mail_of(moment: datetime, community: Community) -> str:
    local = moment.astimezone(zone(community.zone))
    return f"Your mail of {local:%a} {local.day} {local:%b %H:%M} to {community.title}"


def _is_person(mail_from: str, author: str, raw: bytes) -> bool:
    """Whether a mail may be answered: neither return path, author nor header say that a program or a list sent it."""
    if not mail_from or author.lower().startswith(_PROGRAMS):
        return False
    return _PROGRAM.search(raw[: _header_end(raw)]) is None


def _header_end(raw: bytes) -> int:
    ends = (raw.find(end, 0, _HEADER_LIMIT) for end in (b"\r\n\r\n", b"\n\n"))
    return min((at for at in ends if at >= 0), default=_HEADER_LIMIT)


def _key(about: str, spool_key: str) -> str:
    return f"{about}-{spool_key}"


def _was_told(connection: Connection, spool_key: str) -> bool:
    told = select(outbox.c.id).where(outbox.c.notice_key == _key("waits", spool_key))
    return connection.execute(told).first() is not None
