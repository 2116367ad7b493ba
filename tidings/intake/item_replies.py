"""Replies to the items of a digest: the token routes, From says whether its owner wrote.

A mail may answer several items: each part becomes a post of its own, or is a word that is done. Where a reply goes is
for digests.replies to say; what a word does, for item_words; how a post is published, for posting; what is kept until
its sender says more, for kept_replies.
"""

from dataclasses import replace

from sqlalchemy import Connection

from tidings.communities import directory
from tidings.communities.directory import Member
from tidings.digests import kept, quoted, replies
from tidings.digests.quoted import Reply
from tidings.digests.replies import Item, Routed
from tidings.intake import learned
from tidings.intake.agenda_replies import AgendaReplies
from tidings.intake.case import Case, Parts
from tidings.intake.decisions import Decision
from tidings.intake.filing import as_item_reply
from tidings.intake.item_words import ItemWords, is_choice, is_keep
from tidings.intake.kept_replies import KeptReplies, as_case
from tidings.intake.posting import Posting

_SHOWN = 500  # characters of a kept reply in the reason why it is held
_NOTHING_WAITS = "Nothing of yours waits here, so there was nothing to keep."


class ItemReplies:
    """Takes replies to items in."""

    def __init__(self, parts: Parts, posting: Posting, meetings: AgendaReplies) -> None:
        self._parts = parts
        self._posting = posting
        self._meetings = meetings
        self._words = ItemWords(parts)
        self._kept = KeptReplies(parts)

    def handle(self, connection: Connection, case: Case) -> Decision:
        """A reply to an item of a digest: the token routes it, From says whether it may go there."""
        parts = self._parts
        try:
            item = replies.item_at(connection, case.recipient.token, parts.tokens, parts.clock.now())
        except replies.UnroutableError as error:
            return case.decided("hold", str(error))
        author = directory.member_by_address(connection, case.community.id, case.message.author_email)
        owner = author if author and author.membership_id == item.membership_id else None
        if objection := _objection(case, item, owner):
            return case.decided("hold", objection)
        reply = self._read(connection, case, item)
        try:
            done = self._word_or_answer(connection, case, owner, item, reply) if owner else None
            return done or self._post(connection, case, owner, item, reply)
        except replies.UnroutableError as error:
            if error.ask and owner and not case.spooled.released:
                return self._kept.ask_which(connection, case, owner, item, reply.text, error.ask)
            return case.decided("hold", str(error))

    def _read(self, connection: Connection, case: Case, item: Item) -> Reply:
        """The reply without the digest; to compare the two is left out where there is nothing to be found."""
        text = case.message.text
        if not item.is_whole and quoted.is_plain(text, case.folds):
            return quoted.plain(text)
        return quoted.read(
            text, case.folds, replies.sent(connection, item, self._parts.tokens, self._parts.settings.site)
        )

    def _post(self, connection: Connection, case: Case, owner: Member | None, item: Item, reply: Reply) -> Decision:
        """Post a reply, or tell its sender that there is nothing to post. Raises UnroutableError."""
        if owner and not case.spooled.released and not reply.text and not case.message.attachments:
            hidden = "" if item.is_whole else reply.hidden
            return self._kept.nothing_new(connection, case, owner, item, hidden)
        parts = self._parts
        routes = replies.route(connection, item, reply, tokens=parts.tokens, site=parts.settings.site)
        return case.together([self._take(connection, case, one, first=one is routes[0]) for one in routes])

    def _take(self, connection: Connection, case: Case, routed: Routed, *, first: bool) -> Decision:
        """Take in the part of a mail that answers one item."""
        case = self._case_in(connection, case, routed.community_id)
        author = directory.member_by_address(connection, routed.community_id, case.message.author_email)
        owner = author if author and author.membership_id == routed.membership_id else None
        if owner and (decided := self._meetings.one(connection, case, owner, routed)):
            return decided
        if owner and (word := self._words.read(connection, owner, routed.text)):
            if case.spooled.released:
                return case.decided("accept", "A word to an item, which is not posted.")
            return self._words.do(connection, case, owner, word, routed)
        if owner and not routed.text and not case.message.attachments:
            return self._kept.nothing_new(connection, case, owner)
        message = as_item_reply(case.message, routed.text, routed.subject, part=None if first else routed.number)
        reason = f"A reply to item {routed.number} of a digest."
        decided = self._posting.submit(connection, case, message, routed, reason)
        if author and decided.verdict == "accept" and decided.post_id is not None:
            learned.note(connection, routed, author, decided.post_id, self._parts.clock.now())
        return decided

    def _case_in(self, connection: Connection, case: Case, community_id: int) -> Case:
        """The case in the community of an item: one digest may tell of several."""
        if community_id == case.community.id:
            return case
        community = directory.community_by_id(connection, community_id)
        return replace(case, community=community, address=self._parts.addresses.of(community))

    # --- words, and answers to what was asked ------------------------------------------------------------------------

    def _word_or_answer(
        self, connection: Connection, case: Case, owner: Member, item: Item, reply: Reply
    ) -> Decision | None:
        """Do the one word that a member's reply is, or post what was kept until this mail; None where it is a post."""
        if item.is_whole and (decided := self._meetings.whole(connection, case, owner, item, reply.text)):
            return decided
        word = self._words.read(connection, owner, reply.text)
        if is_keep(word):
            return self._post_kept(connection, case, owner, item, whole=True) or self._nothing_waits(
                connection, case, owner
            )
        if word and not is_choice(word) and not case.spooled.released:
            return self._words.do(connection, case, owner, word, None)  # about all mail: no item need be named
        named = None if case.message.attachments else replies.named_alone(connection, item, reply)
        return self._post_kept(connection, case, owner, named) if named else None

    def _post_kept(
        self, connection: Connection, case: Case, owner: Member, item: Item, *, whole: bool = False
    ) -> Decision | None:
        """Post to an item what waits for that; None where nothing does."""
        found = self._kept.waiting(connection, item, whole=whole)
        if len(found) > 1:
            return self._kept.which_of_them(connection, case, owner)
        if not found:
            return None
        routed = replies.routed(connection, item, found[0].message.text)
        decided = self._take(connection, as_case(case, found[0]), routed, first=True)
        if decided.verdict == "hold":  # whoever decides sees this mail, which has no more than a number
            return replace(decided, reason=f"{decided.reason} Its words came before: {routed.text[:_SHOWN]}")
        kept.forget(connection, found[0].id)
        return decided

    def _nothing_waits(self, connection: Connection, case: Case, owner: Member) -> Decision:
        self._words.tell(connection, case, owner, _NOTHING_WAITS)
        return case.decided("accept", "It asks to keep all of a reply, and none waits; the member was told.")


def _objection(case: Case, item: Item, owner: Member | None) -> str:
    """Why a reply is held; empty where nothing stands against it, or a person let it in."""
    if case.spooled.released:
        return ""
    if automatic := case.automatic:
        return f"An automatic mail ({automatic})."
    if case.community.archived:
        return f"The community {case.community.name} is closed and takes no more mail."
    if item.expired:
        return "The reply address is more than a year old."
    if owner is None:
        return f"{case.message.author_email or 'Nobody'} wrote to the reply address of another member."
    return ""
