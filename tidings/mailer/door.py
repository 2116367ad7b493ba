"""Who and what is let in while the sender is still there to be told: recipients, and a message by a scan of its header.

It parses nothing but the one From field, reads no body, and stores nothing.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from email.utils import getaddresses

from tidings.communities import directory
from tidings.communities.policy import DOOR_RULES, Facts, decide
from tidings.mailer import reply_codes
from tidings.mailer.addresses import Recipient, is_here, read_recipient
from tidings.settings import Settings
from tidings.tokens import BadTokenError, Tokens

_HEADER_END = re.compile(rb"\r\n\r\n")
_RECEIVED = re.compile(rb"^received:", re.IGNORECASE | re.MULTILINE)
_FROM = re.compile(rb"^from[ \t]*:((?:[^\r\n]*\r\n[ \t])*[^\r\n]*)", re.IGNORECASE | re.MULTILINE)
_FROM_LIMIT = 4096


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

    def recipient(self, address: str) -> Admitted | Refused:
        """Whether RCPT of `address` is accepted: a community's address, with a token of ours where it has one."""
        domain = self._settings.site.domain
        if not is_here(address, domain):
            return Refused(reply_codes.S550_RELAY_DENIED)
        recipient = read_recipient(address, domain)
        community = self._communities.find(recipient.community) if recipient else None
        if recipient is None or community is None or not self._good_token(recipient):
            return Refused(reply_codes.S550_NO_SUCH_ADDRESS)
        return Admitted(address=address, recipient=recipient, community=community)

    def message(self, admitted: Sequence[Admitted], content: bytes) -> list[Admitted] | Refused:
        """For whom of `admitted` the message is taken; refused where that is nobody."""
        # Counting is linear and in C: as many CRs and LFs as CRLFs means that none stands alone.
        pairs = content.count(b"\r\n")
        if content.count(b"\r") != pairs or content.count(b"\n") != pairs or b"\0" in content:
            return Refused(reply_codes.S550_BARE_LINE_ENDS)
        end = _HEADER_END.search(content, 0, self._settings.limits.header_bytes + 4)
        header = content[: end.start() if end else self._settings.limits.header_bytes]
        if len(_RECEIVED.findall(header)) > self._settings.smtp.max_received:
            return Refused(reply_codes.S554_TOO_MANY_HOPS)
        author = _author(header)
        refusals = {one.address: self._refusal(one, author) for one in admitted}
        taken = [one for one in admitted if refusals[one.address] is None]
        return taken or Refused(next(reply for reply in refusals.values() if reply))

    def _refusal(self, admitted: Admitted, author: str) -> str | None:
        community = admitted.community
        if admitted.recipient.purpose != "post" or not author:
            return None  # intake decides: a token routes, and a From that cannot be read here is held there
        facts = Facts(
            community=community.name,
            posting=community.posting,
            archived=community.archived,
            author_email=author,
            is_member=community.posting != "members" or self._communities.is_member(community.id, author),
        )
        if decide(facts, DOOR_RULES).kind != "reject":
            return None
        return (
            reply_codes.community_archived(community.name) if community.archived else reply_codes.S550_COMMUNITY_CLOSED
        )

    def _good_token(self, recipient: Recipient) -> bool:
        if recipient.purpose != "reply":
            return True
        try:
            self._tokens.read_item(recipient.token)
        except BadTokenError:
            return False
        return True


def _author(header: bytes) -> str:
    """The From address, or nothing where there is not exactly one field and address to read."""
    fields = _FROM.findall(header)
    if len(fields) != 1:
        return ""
    # Cut before it is parsed: a long one of quote marks costs structured parsers minutes.
    found = getaddresses([fields[0][:_FROM_LIMIT].decode("utf-8", "replace")])
    return found[0][1] if len(found) == 1 else ""
