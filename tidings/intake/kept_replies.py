"""Replies to a digest that cannot be posted as they are: what their sender is told, and what is kept for an answer.

Where it is not said which item is meant, the sender is asked, and a number or an empty mail to an item's address is the
answer. Where all of a reply looks quoted, `keep all` is. What becomes of the post then is not its matter.
"""

from dataclasses import replace

import msgspec
from sqlalchemy import Connection

from tidings.communities.directory import Member
from tidings.digests import kept, numbered
from tidings.digests.kept import Kept
from tidings.digests.replies import Item
from tidings.intake.answering import answer
from tidings.intake.case import Case, Parts
from tidings.intake.decisions import Decision
from tidings.intake.letters import Letter

_NOTHING_NEW = """\
Your mail has no words of its own: all of it stands in the mail that it answers. So
nothing was posted.

If you meant to say something, write it above the quoted text and send it again.
"""
_ALL_QUOTED = f"""\
All of your mail looks as if it were quoted from other mail. So nothing was posted.

If it is yours, and is to be posted as it stands, reply with just these words:

    keep all

It is kept for {kept.LIFE.days} days.
"""
_WHICH_OF_THEM = """\
More than one of your replies to this digest waits for a number, so we cannot tell
which of them you mean. Nothing was posted.

Please write again what you want to say, and begin it with the number of the item.
"""


class KeptReplies:
    """Keeps replies of one site, and finds them again."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    def ask_which(
        self, connection: Connection, case: Case, owner: Member, item: Item, text: str, question: str
    ) -> Decision:
        """Ask the member which item was meant, and keep the text until then; a number alone is not worth keeping."""
        if numbered.alone(text) is None and not self._keep(connection, case, item, text, None):
            return case.decided("hold", "It does not say which item it answers, and could not be kept for an answer.")
        self._tell(connection, case, owner, f"Which one? Re: {case.message.subject}"[:200], question)
        return case.decided("accept", "It does not say which item it answers; the member was asked. It waits for that.")

    def nothing_new(
        self, connection: Connection, case: Case, owner: Member, item: Item | None = None, hidden: str = ""
    ) -> Decision:
        """Tell the member that there was nothing to post; `hidden` is what only looks quoted, and is kept."""
        is_kept = item is not None and bool(hidden) and self._keep(connection, case, item, hidden, item.id)
        self._tell_not_posted(connection, case, owner, _ALL_QUOTED if is_kept else _NOTHING_NEW)
        if is_kept:
            return case.decided("accept", "All of it looks quoted; the member was told. It waits for `keep all`.")
        return case.decided("discard", "It says nothing new: all of it is quoted. The member was told.")

    def which_of_them(self, connection: Connection, case: Case, owner: Member) -> Decision:
        """Tell the member that it is not clear which reply is meant."""
        self._tell_not_posted(connection, case, owner, _WHICH_OF_THEM)
        return case.decided("discard", "Several replies wait for a number; the member was told.")

    def waiting(self, connection: Connection, item: Item, *, whole: bool) -> list[Kept]:
        """The replies that wait for the number of an item, or with `whole` for the word that all of one is meant."""
        wanted = item.id if whole else None
        now = self._parts.clock.now()
        return [one for one in kept.waiting(connection, item.edition_id, now) if one.item_id == wanted]

    def _keep(self, connection: Connection, case: Case, item: Item, text: str, item_id: int | None) -> bool:
        if case.spooled.released or (case.community.signed_only and not case.proof.aligned):
            return False  # a yes by mail that nothing proves would pass for a proof of the text
        return kept.keep(
            connection,
            edition_id=item.edition_id,
            membership_id=item.membership_id,
            item_id=item_id,
            message=msgspec.structs.replace(case.message, text=text, folds=[]),
            raw=case.spooled.raw,
            via=case.spooled.via,
            received_at=case.spooled.received_at,
            now=self._parts.clock.now(),
        )

    def _tell_not_posted(self, connection: Connection, case: Case, owner: Member, text: str) -> None:
        subject = f"{case.community.title}: your reply was not posted"
        self._tell(connection, case, owner, subject, text, few=True)

    def _tell(
        self, connection: Connection, case: Case, owner: Member, subject: str, text: str, *, few: bool = False
    ) -> None:
        """Write to the member, so that an answer comes to the address that they wrote to; `few`: not often a day."""
        answer(
            connection,
            self._parts,
            case,
            Letter(subject=subject, text=text),
            to=owner.email,
            key=f"reply-{case.spooled.key}",
            sender=case.address.token("r", case.recipient.token),
            unproved=few,
        )


def as_case(case: Case, one: Kept) -> Case:
    """The case of a reply that was kept until `case` came: with its own words and raw bytes."""
    spooled = replace(case.spooled, raw=one.raw, via=one.via, received_at=one.received_at)
    return replace(case, message=one.message, spooled=spooled)
