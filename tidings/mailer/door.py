"""Who and what is let in while the sender is still there to be told: recipients, and a message by a scan of its header.

It parses nothing but the one From field, reads no body, and stores nothing.
"""

import logging
import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import getaddresses

from tidings.communities import confirmations, directory
from tidings.communities.policy import AGENDA_DOOR_RULES, DOOR_RULES, Facts, decide
from tidings.mailer import reply_codes
from tidings.mailer.addresses import Addresses, Recipient, host_of, read_recipient
from tidings.mailer.guests import Guesses
from tidings.settings import Settings
from tidings.tokens import BadTokenError, Tokens

log = logging.getLogger(__name__)
_HEADER_END = re.compile(rb"\r\n\r\n")
_RECEIVED = re.compile(rb"^received:", re.IGNORECASE | re.MULTILINE)
_FROM = re.compile(rb"^from[ \t]*:((?:[^\r\n]*\r\n[ \t])*[^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_FROM_LIMIT = 4096
_WITH_TOKEN = ("reply", "confirm", "bounce")


@dataclass(frozen=True, kw_only=True)
class Admitted:
    """A recipient that RCPT accepted."""

    address: str
    recipient: Recipient
    community: directory.Community


@dataclass(frozen=True)
class Refused:
    """The SMTP reply that refuses."""

    reply: str


class Door:
    """What one site lets in."""

    def __init__(self, communities: directory.Directory, tokens: Tokens, settings: Settings) -> None:
        self._communities = communities
        self._tokens = tokens
        self._settings = settings
        self._addresses = Addresses(settings.site)
        self._addresses = Addresses(settings.site)
        self._guesses = Guesses(settings.smtp.max_guesses)

    def recipient(self, address: str, *, now: datetime, asker: str) -> Admitted | Refused:
        """Whether RCPT of `address` is accepted: a community's address, with a token of ours where it has one.

        `asker` is whoever is to blame for a wrong token; after too many of them it is sent away with 421.
        """
        recipient = read_recipient(address)
        community = self._communities.find(recipient.community) if recipient else None
        if recipient is None or community is None or recipient.domain != self._domain(community):
            return Refused(self._unknown(address))
        if recipient.purpose in _WITH_TOKEN:
            refusal = self._token_refusal(recipient, asker, now)
            if refusal:
                return Refused(refusal)
        return Admitted(address=address, recipient=recipient, community=community)

    def message(self, admitted: Sequence[Admitted], content: bytes) -> list[str | None]:
        """For each of `admitted` the reply that refuses the message, or None where it is taken."""
        end = _HEADER_END.search(content, 0, self._settings.limits.header_bytes + 4)
        header = content[: end.start() if end else self._settings.limits.header_bytes]
        if len(_RECEIVED.findall(header)) > self._settings.smtp.max_received:
            return [reply_codes.S554_TOO_MANY_HOPS] * len(admitted)
        author = _author(header)
        return [self._refusal(one, author, len(content)) for one in admitted]

    def _domain(self, community: directory.Community) -> str:
        return community.domain or self._settings.site.domain

    def _unknown(self, address: str) -> str:
        host = host_of(address)
        here = host == self._settings.site.domain or self._communities.has_domain(host)
        return reply_codes.S550_NO_SUCH_ADDRESS if here else reply_codes.S550_RELAY_DENIED

    def _token_refusal(self, recipient: Recipient, asker: str, now: datetime) -> str | None:
        if self._guesses.spent(asker, now):
            return reply_codes.S421_TOO_MANY_GUESSES
        try:
            return None if self._is_live(recipient, now) else reply_codes.S550_NO_SUCH_ADDRESS
        except BadTokenError:
            self._guesses.add(asker, now)
        if not self._guesses.spent(asker, now):
            return reply_codes.S550_NO_SUCH_ADDRESS
        log.warning("%s tried too many wrong tokens and is sent away for an hour.", asker)
        return reply_codes.S421_TOO_MANY_GUESSES

    def _is_live(self, recipient: Recipient, now: datetime) -> bool:
        """Whether a token still stands for something. Raises BadTokenError where it is none of ours."""
        if recipient.purpose == "bounce":
            return not self._tokens.read_return_path(recipient.token).expired(now)
        if recipient.purpose == "reply":
            self._tokens.read_item(recipient.token)  # what came too late is held, with the reason
            return True
        with self._communities.read() as connection:
            if not confirmations.known(connection, recipient.token):
                raise BadTokenError("no confirmation that we asked for")
        return True

    def _refusal(self, admitted: Admitted, author: str, size: int) -> str | None:
        rules = {"post": DOOR_RULES, "agenda": AGENDA_DOOR_RULES}.get(admitted.recipient.purpose)
        if rules is None or not author:
            return None  # intake decides: a token routes, and a From that cannot be read here is held there
        verdict = decide(self._facts(admitted.community, author, size), rules)
        if verdict.kind == "reject":
            # What is kept of a community may be a second old, and the refusal is final.
            community = self._communities.find(admitted.community.name, fresh=True) or admitted.community
            verdict = decide(self._facts(community, author, size), rules)
        return reply_codes.refused(verdict.status, verdict.said) if verdict.kind == "reject" else None

    def _facts(self, community: directory.Community, author: str, size: int) -> Facts:
        address = self._addresses.of(community)
        return Facts(
            community=community,
            sender=self._communities.sender(community.id, author),
            author_email=author,
            join_address=address.detail("subscribe"),
            owner_address=address.detail("owner"),
            size=size,
        )


def _author(header: bytes) -> str:
    """The From address, or nothing where there is not exactly one field and address to read."""
    fields = _FROM.findall(header)
    if len(fields) != 1:
        return ""
    # Cut before it is parsed: a long one of quote marks costs structured parsers minutes.
    try:
        found = getaddresses([fields[0][:_FROM_LIMIT].decode("utf-8", "replace")])
    except RecursionError:  # comments in comments; the parser's process is where such a message may fail
        return ""
    return found[0][1] if len(found) == 1 else ""
