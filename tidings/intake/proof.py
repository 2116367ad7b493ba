"""Asks whether the From domain of a message really sent it, before the transaction in which it is decided.

Looking up keys talks to the network, which no transaction may wait for. What a proof allows is for the handlers to say.
"""

from tidings.intake.case import Parts
from tidings.mailer.addresses import Purpose, read_recipient
from tidings.mailer.guests import Networks
from tidings.mailer.spool import Spooled
from tidings.mailer.verify import Proof, trusted_result, verify

NOT_ASKED = Proof(aligned=False, how="nobody asked for a proof")
_COMMANDS: frozenset[Purpose] = frozenset({"subscribe", "unsubscribe", "command"})


def prove(parts: Parts, spooled: Spooled, author_email: str) -> Proof:
    """Whether `author_email`'s domain vouches for the message; only asked where something hangs on it."""
    recipient = read_recipient(spooled.recipient)
    community = parts.communities.find(recipient.community) if recipient else None
    if recipient is None or community is None or "@" not in author_email:
        return NOT_ASKED
    is_command = recipient.purpose in _COMMANDS
    if not is_command and not (recipient.purpose in ("post", "reply") and community.signed_only):
        return NOT_ASKED
    return _proof(parts, spooled, author_email.rpartition("@")[2], fresh=is_command)


def _proof(parts: Parts, spooled: Spooled, domain: str, *, fresh: bool) -> Proof:
    now, smtp = parts.clock.now(), parts.settings.smtp
    if smtp.authserv_id and spooled.peer in Networks(smtp.trusted, "smtp.trusted"):
        found = trusted_result(spooled.raw, domain, authserv_id=smtp.authserv_id, now=now, fresh=fresh)
        if found is not None and found.aligned:
            return found
    return verify(spooled.raw, domain, dns=parts.dns, now=now, fresh=fresh)
