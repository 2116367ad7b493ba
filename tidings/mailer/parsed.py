"""What is known of a message once it was parsed: the values that the worker process gives back.

Whoever takes them loads none of what reads messages.
"""

import re
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

import msgspec

from tidings.mailer.imip import CalendarAnswer

_CLAIMED_ID = re.compile(rb"^message-id:[ \t]*<([!-;=?-~]{3,250})>", re.IGNORECASE | re.MULTILINE)
_CLAIMED_ID_WITHIN = 1_000_000  # bytes


@dataclass(frozen=True, kw_only=True)
class Returned:
    """A recipient that a message did not reach, or not yet."""

    address: str
    """As the failing system names it: behind a forwarding it may be another one than we wrote to."""
    permanent: bool
    """The mailbox or its domain is not there, has moved or takes no mail at all; Sisimai calls that a hard bounce.

    Not so a full or a closed mailbox, and not what is about the message, however firmly it is refused. Nor a "user
    unknown" that has no code for it (5.1.1) and is not said in answer to RCPT: so answer the filters of several
    carriers, after DATA. What is delayed is never permanent.
    """
    status: str
    """RFC 3463, such as "5.1.1"; empty where none is named."""
    reason: str
    """What the failing system said, on one line of at most 300 characters."""
    about_message: bool
    """It was refused for policy, reputation, content, size or pace: never to be counted against a member."""


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a message is; `returned` is empty but for "bounce" and "delayed"."""

    kind: Literal["bounce", "delayed", "automatic", "none"]
    """"delayed": the mail system goes on trying. "automatic": a program's message that returns nothing."""
    returned: tuple[Returned, ...] = ()


class ParsedMessage(msgspec.Struct, frozen=True, kw_only=True):
    """A message as Tidings sees it. Ids are bare; `message_id` is empty where there is none that is legal."""

    message_id: str
    in_reply_to: str
    references: str
    thread_index: str = ""  # Outlook's field (MS-OXOMSG 2.2.1.3)
    subject: str
    author_name: str
    author_email: str
    recipients: str
    date: datetime | None
    text: str
    folds: list[tuple[int, int, str]]
    attachments: list[tuple[int, str, str, int, bytes]]  # position, filename, content type, size in bytes, SHA-256
    has_html: bool = False
    content_hash: bytes
    automatic: str  # how a program gave itself away as the sender; empty: a person wrote
    loop_marks: list[str]  # the communities that this message has been through
    list_ids: list[str] = []  # the lists, ours and others' (RFC 2919), in lower case and without <>
    urgent: bool = False  # the author says so
    returned: Reading | None = None  # what it says as a bounce, where that was asked
    calendar: list[CalendarAnswer] = []  # what its calendar parts say (RFC 6047)


def claimed_id(raw: bytes) -> str | None:
    """The bare Message-ID that stands at the start of a message which cannot be parsed, so that `why` can find it."""
    found = _CLAIMED_ID.search(raw[:_CLAIMED_ID_WITHIN])
    return found[1].decode() if found else None
