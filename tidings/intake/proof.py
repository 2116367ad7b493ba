"""Asks whether the From domain of a message really sent it, before the transaction in which it is decided.

Looking up keys talks to the network, which no transaction may wait for. What a proof allows is for the handlers to say.
"""

from collections.abc import Mapping

from tidings.intake.case import Parts
from tidings.intake.deeds import NEED_PROOF, OF_LEADERS
from tidings.mailer import agenda_words
from tidings.mailer.addresses import Purpose, read_recipient
from tidings.mailer.guests import Networks
from tidings.mailer.parsed import ParsedMessage
from tidings.mailer.spool import Spooled
from tidings.mailer.verify import Proof, trusted_result, verify
from tidings.threading.quotes import Fold, shown

NOT_ASKED = Proof(aligned=False, how="nobody asked for a proof")
_COMMANDS: frozenset[Purpose] = frozenset({"subscribe", "unsubscribe", "command"})
# Whoever has a reply address of a member has been sent that member's mail.
_NEED_PROOF: Mapping[Purpose, frozenset[str]] = {"agenda": NEED_PROOF, "reply": OF_LEADERS}
_POSTS: frozenset[Purpose] = frozenset({"post", "reply", "agenda"})


def prove(parts: Parts, spooled: Spooled, message: ParsedMessage) -> Proof:
    """Whether the domain of the author vouches for the message; only asked where something hangs on it."""
    author_email = message.author_email
    recipient = read_recipient(spooled.recipient)
    community = parts.communities.find(recipient.community) if recipient else None
    if recipient is None or community is None or "@" not in author_email:
        return NOT_ASKED
    is_command = recipient.purpose in _COMMANDS or (
        recipient.purpose in _NEED_PROOF and _asks_for_more(parts, message, recipient.purpose)
    )
    if not is_command and not (recipient.purpose in _POSTS and community.signed_only):
        return NOT_ASKED
    return _proof(parts, spooled, author_email.rpartition("@")[2], fresh=is_command)


def _asks_for_more(parts: Parts, message: ParsedMessage, purpose: Purpose) -> bool:
    """Whether words about a meeting want a proof, as far as can be told before it is known what the mail answers."""
    own = shown(message.text, [Fold(*fold) for fold in message.folds])
    said = agenda_words.read(own, parts.clock.now().date())
    return isinstance(said, tuple) and any(word.verb in _NEED_PROOF[purpose] for word in said)


def _proof(parts: Parts, spooled: Spooled, domain: str, *, fresh: bool) -> Proof:
    now, smtp = parts.clock.now(), parts.settings.smtp
    if smtp.authserv_id and spooled.peer in Networks(smtp.trusted, "smtp.trusted"):
        found = trusted_result(spooled.raw, domain, authserv_id=smtp.authserv_id, now=now, fresh=fresh)
        if found is not None and found.aligned:
            return found
    return verify(spooled.raw, domain, dns=parts.dns, now=now, fresh=fresh)
