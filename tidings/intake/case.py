"""What the handlers of intake have in common: the parts that they use, and the message that each is given.

It handles nothing itself.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from tidings.archive import store
from tidings.clock import Clock
from tidings.communities.directory import Community, Directory
from tidings.intake.decisions import Decision
from tidings.mailer.addresses import Addresses, ListAddress, Recipient
from tidings.mailer.notices import Notices
from tidings.mailer.parsed import ParsedMessage
from tidings.mailer.resolver import Dns
from tidings.mailer.spool import Spooled
from tidings.mailer.verify import Proof
from tidings.settings import Settings
from tidings.threading.quotes import Fold, shown
from tidings.tokens import Tokens


@dataclass(frozen=True, kw_only=True)
class Parts:
    """The parts of a site that handlers use."""

    communities: Directory
    notices: Notices
    tokens: Tokens
    clock: Clock
    settings: Settings
    dns: Dns

    @property
    def addresses(self) -> Addresses:
        """Writes the addresses of communities."""
        return Addresses(self.settings.site)


@dataclass(frozen=True, kw_only=True)
class Case:
    """A message that was parsed, and whom it is for."""

    spooled: Spooled
    message: ParsedMessage
    recipient: Recipient
    community: Community
    address: ListAddress  # of the community
    writes: store.Writes  # of the batch's transaction
    proof: Proof  # whether the From domain vouches for it, where something hangs on that
    later: list[Callable[[], None]]  # what is done once the batch is committed

    @property
    def automatic(self) -> str:
        """How it shows that a program sent this; empty where a person did."""
        return self.message.automatic if self.spooled.mail_from else "null return path"

    @property
    def is_own_loop(self) -> bool:
        """Whether our own copy came back: by our mark, or by our List-Id where the mark was lost on the way."""
        return self.address.post in self.message.loop_marks or self.address.list_id in self.message.list_ids

    @property
    def folds(self) -> tuple[Fold, ...]:
        """What of the text is quoted, or a signature."""
        return tuple(Fold(*fold) for fold in self.message.folds)

    @property
    def own_words(self) -> str:
        """What the sender wrote: the text without what of it is quoted."""
        return shown(self.message.text, self.folds)

    def decided(
        self, verdict: str, reason: str, *, message_id: str | None = None, post_id: int | None = None
    ) -> Decision:
        """A decision about this message."""
        return Decision(
            verdict=verdict,
            reason=reason,
            community_id=self.community.id,
            community=self.community.name,
            message_id=message_id or self.message.message_id or None,
            subject=self.message.subject,
            author=self.message.author_email or None,
            post_id=post_id,
        )

    def together(self, parts: Sequence[Decision]) -> Decision:
        """The decision about a mail of several parts: it is held where one is, and then comes again as a whole."""
        if len(parts) == 1:
            return parts[0]
        order = ("hold", "accept", "duplicate", "discard")
        leading = min(parts, key=lambda one: order.index(one.verdict))
        posted = next((one for one in parts if one.post_id is not None), leading)
        return replace(
            self.decided(leading.verdict, " ".join(one.reason for one in parts), message_id=posted.message_id),
            post_id=posted.post_id,
            at_once=any(one.at_once for one in parts),
        )


Handler = Callable[[Connection, Case], Decision]
"""Handles the mail to one kind of address, in the transaction of its batch, and writes all that follows."""
