"""Whom a fetched message is for and who sent it: IMAP tells no envelope, so the header has to.

It reads the few fields that say so, and decides nothing about the message itself.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from email.parser import BytesHeaderParser
from email.policy import compat32
from email.utils import getaddresses

from tidings.mailer.addresses import host_of, read_recipient
from tidings.mailer.charsets import decode_header_text
from tidings.mailer.parsed import claimed_id
from tidings.mailer.tolerant import as_now_written
from tidings.settings import ImapSettings

_HEADER_LIMIT = 262_144  # bytes that are read
_FIELD_LIMIT = 65_536  # characters of one field that are read for addresses
_AUTHOR_LIMIT = 4_096
_ADDRESSES_LIMIT = 500  # of one message
_ADDRESS_LIMIT = 254  # octets: RFC 5321 4.5.3.1.3 less the angle brackets
_PATH = re.compile(r"[^\s<>@]+@[^\s<>@]+")


@dataclass(frozen=True, kw_only=True)
class Envelope:
    """What the header tells; `reason` says why nobody but a person can say whom it is for, else it is empty."""

    mail_from: str
    recipients: tuple[str, ...]
    reason: str
    message_id: str | None
    subject: str
    author: str


@dataclass(frozen=True, kw_only=True)
class Postbox:
    """What a mailbox's mail may be for.

    `knows` says whether an address is one of ours, with a token of ours where it has one; `post_address` gives the
    address that posts to the community with a name, None where there is no such community.
    """

    settings: ImapSettings
    knows: Callable[[str], bool]
    post_address: Callable[[str], str | None]

    def read(self, raw: bytes) -> Envelope:
        """The envelope of a message with CR LF line ends, however malformed."""
        header = raw[: _header_end(raw)]
        fields = _fields(header)
        recipients, reason = self._recipients(fields)
        author = _first_address(fields.get("from", [])[:1])
        return Envelope(
            mail_from=_mail_from(fields, author),
            recipients=recipients,
            reason=reason,
            message_id=claimed_id(header),
            subject=decode_header_text(fields.get("subject", [""])[0]),
            author=author,
        )

    def _recipients(self, fields: dict[str, list[str]]) -> tuple[tuple[str, ...], str]:
        told = _addresses(fields, [name.lower() for name in self.settings.recipient_headers])
        written = _addresses(fields, ["to", "cc"])
        ours = [address for address in dict.fromkeys([*told, *written]) if self._is_for_us(address)]
        first = next((address for address in ours if address in told), None)
        if first is not None:
            if _is_detail(first):
                return (first,), ""
            # Some servers tell the mailbox without the detail that the message was sent to.
            ours = [address for address in ours if _community(address) == _community(first)]
        if ours:
            return tuple(_chosen(ours)), ""
        return self._without_address([*told, *written])

    def _without_address(self, seen: Iterable[str]) -> tuple[tuple[str, ...], str]:
        for address in seen:
            if self._is_forged(address):
                return (), f"It was sent to {address}, whose token is not one of ours, or of something that is gone."
        name = self.settings.community
        if not name:
            return (), "None of the addresses in its header is one of ours."
        post = self.post_address(name)
        return ((post,), "") if post else ((), f"The mailbox's mail is for {name}, and there is no such community.")

    def _is_for_us(self, address: str) -> bool:
        wanted = self.settings.community
        recipient = read_recipient(address)
        return recipient is not None and wanted in ("", recipient.community) and self.knows(address)

    def _is_forged(self, address: str) -> bool:
        """Whether it is a detail of a community that exists: it is not ours, so its token is wrong."""
        recipient = read_recipient(address)
        if recipient is None or recipient.purpose == "post":
            return False
        post = self.post_address(recipient.community)
        return post is not None and host_of(post) == recipient.domain


def _chosen(ours: list[str]) -> list[str]:
    """Of each community its details, since they say more, else the address that posts."""
    detailed = {_community(address) for address in ours if _is_detail(address)}
    return [address for address in ours if _is_detail(address) or _community(address) not in detailed]


def _is_detail(address: str) -> bool:
    recipient = read_recipient(address)
    return recipient is not None and recipient.purpose != "post"


def _community(address: str) -> tuple[str, str]:
    recipient = read_recipient(address)
    return (recipient.community, recipient.domain) if recipient else ("", "")


def _header_end(raw: bytes) -> int:
    end = raw.find(b"\r\n\r\n", 0, _HEADER_LIMIT)
    return end + 2 if end >= 0 else _HEADER_LIMIT


def _fields(header: bytes) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for name, value in BytesHeaderParser(policy=compat32).parsebytes(as_now_written(header)).raw_items():
        found.setdefault(name.lower(), []).append(str(value))
    return found


def _addresses(fields: dict[str, list[str]], names: Iterable[str]) -> list[str]:
    """The addresses in these fields in lower case, in the order of `names`, each once."""
    values = [value[:_FIELD_LIMIT] for name in names for value in fields.get(name, [])][:_ADDRESSES_LIMIT]
    # Field by field: newer Pythons answer nothing at all where one of them is malformed.
    found = (email.strip().lower() for value in values for email in _read_addresses(value))
    return list(dict.fromkeys(email for email in found if "@" in email))[:_ADDRESSES_LIMIT]


def _first_address(values: list[str]) -> str:
    found = (email for value in values for email in _read_addresses(value[:_AUTHOR_LIMIT]))
    return next((email for email in found if _is_path(email)), "")


def _read_addresses(value: str) -> list[str]:
    try:
        return [email for _, email in getaddresses([value])]
    except RecursionError:  # comments in comments
        return []


def _mail_from(fields: dict[str, list[str]], author: str) -> str:
    """The Return-Path that the last server wrote (RFC 5321 4.4), `<>` being the null one; else the author."""
    path = fields.get("return-path", [""])[0].strip()
    if path == "<>":
        return ""
    path = path.removeprefix("<").removesuffix(">")
    return path if _is_path(path) else author


def _is_path(address: str) -> bool:
    return len(address) <= _ADDRESS_LIMIT and address.isprintable() and _PATH.fullmatch(address) is not None
