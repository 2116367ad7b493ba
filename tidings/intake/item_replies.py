"""Replies to the items of a digest: the token routes, From says whether its owner wrote.

A reply of one word (mute, follow, pause, resume) is done and not posted; it can be taken back by another, so token and
From are enough for it. To leave takes a yes. Where a reply goes is for digests.replies to say; how it is published, for
posting.
"""

from sqlalchemy import Connection

from tidings.archive import read
from tidings.communities import choices, directory
from tidings.communities.choices import Choice
from tidings.communities.directory import Member
from tidings.digests import replies
from tidings.intake import letters
from tidings.intake.asking import Asking
from tidings.intake.case import Case, Parts
from tidings.intake.decisions import Decision
from tidings.intake.member_commands import MemberCommands
from tidings.intake.posting import Posting, as_item_reply
from tidings.mailer import commands
from tidings.mailer.commands import Command, Problem
from tidings.threading import nodes
from tidings.tokens import BadTokenError


class ItemReplies:
    """Takes replies to items in."""

    def __init__(self, parts: Parts, posting: Posting) -> None:
        self._parts = parts
        self._posting = posting
        self._asking = Asking(parts)
        self._commands = MemberCommands(parts, self._asking)

    def handle(self, connection: Connection, case: Case) -> Decision:
        """A reply to an item of a digest: the token routes it, From says whether it may go there."""
        now, own, parts = self._parts.clock.now(), case.own_words, self._parts
        owner = self._owner(connection, case)
        word = self._word(connection, owner, own)
        if owner and word and not _is_choice(word):  # of all mail: it needs no item to be named
            return self._about_mail(connection, case, owner, word)
        try:
            routed = replies.route(
                connection, case.recipient.token, parts.tokens, site=parts.settings.site, now=now, text=own
            )
        except replies.UnroutableError as error:
            if error.ask and not case.automatic:
                self._ask_which(connection, case, error.ask)
            return case.decided("hold", str(error))
        objection = self._reply_objection(connection, case, routed, own)
        if objection:
            return case.decided("hold", objection)
        word = self._word(connection, owner, routed.text)
        if owner and word:
            if _is_choice(word):
                return self._choose(connection, case, owner, word, routed)
            return self._about_mail(connection, case, owner, word)
        message = as_item_reply(case.message, routed.text, routed.subject)
        return self._posting.submit(connection, case, message, routed, f"A reply to item {routed.number} of a digest.")

    # --- one word ----------------------------------------------------------------------------------------------------

    def _owner(self, connection: Connection, case: Case) -> Member | None:
        """The member whose address this is, where they wrote; None for mail that can only be a post."""
        if case.automatic or case.spooled.released or case.community.archived:
            return None
        try:
            said = self._parts.tokens.read_item(case.recipient.token)
        except BadTokenError:
            return None
        author = directory.member_by_address(connection, case.community.id, case.message.author_email)
        is_theirs = author is not None and author.membership_id == said.membership_id
        return author if is_theirs and not said.expired(self._parts.clock.now()) else None

    def _word(self, connection: Connection, owner: Member | None, text: str) -> Command | Problem | None:
        return commands.read_word(text, self._commands.today(connection, owner)) if owner else None

    def _about_mail(self, connection: Connection, case: Case, owner: Member, word: Command | Problem) -> Decision:
        """Do a word that is about all mail: a pause, its end, or the wish to leave."""
        if isinstance(word, Problem):
            self._tell(connection, case, owner, word.hint)
            return case.decided("accept", "It asks for a pause that cannot be read; the member was told.")
        if word.verb == "leave":
            asked = self._asking.ask_to_leave(connection, case.community, owner)
            return case.decided("accept", f"The member was asked {'' if asked else 'before '}whether to leave.")
        done = self._commands.do(connection, case.community, owner, word)
        self._tell(connection, case, owner, done)
        return case.decided("accept", f"Done: {word.line}. Nothing was posted.")

    def _choose(
        self, connection: Connection, case: Case, owner: Member, word: Command | Problem, routed: replies.Routed
    ) -> Decision:
        """Mute or follow the thread of an item, whatever was chosen by another post of it before."""
        choice: Choice = "mute" if _is_muting(word) else "follow"
        post = read.post_by_id(connection, routed.post_id) if routed.post_id is not None else None
        if post is None:
            self._tell(connection, case, owner, letters.NO_CONVERSATION)
            return case.decided("accept", f"There is no conversation to {choice}; the member was told.")
        in_thread = {node.message_id for node in nodes.thread(connection, post.community_id, post.thread_id)}
        before = {one.message_id for one in choices.chosen(connection, owner.membership_id)}
        choices.forget(connection, owner.membership_id, before & in_thread)
        now = self._parts.clock.now()
        choices.choose(connection, owner.membership_id, post.message_id, choice, now)
        # Told once a day of each choice, however often it is made: the address may have been passed on.
        key = f"{choice}-{owner.membership_id}-{post.id}-{now.date()}"
        self._tell(connection, case, owner, letters.CHOSEN[choice].format(subject=post.subject), key=key)
        return case.decided("accept", f"Done: {choice} the thread of {post.message_id}. Nothing was posted.")

    def _tell(self, connection: Connection, case: Case, owner: Member, done: str, *, key: str = "") -> None:
        """Tell the member what was done."""
        letter = letters.word_done(case.community, done, case.address.token("r", case.recipient.token))
        self._parts.notices.send(
            connection,
            key=key or f"word-{case.spooled.key}",
            recipient=owner.email,
            subject=letter.subject,
            text=letter.text,
            now=self._parts.clock.now(),
            community_id=case.community.id,
            answers=case.message.message_id or None,
            sender=case.address.detail("command"),
            name=case.community.title,
            unproved=not key,
        )

    # --- posts -------------------------------------------------------------------------------------------------------

    def _reply_objection(self, connection: Connection, case: Case, routed: replies.Routed, own: str) -> str:
        if automatic := case.automatic:
            return f"An automatic mail ({automatic})."
        if case.spooled.released:
            return ""
        if case.community.archived:
            return f"The community {case.community.name} is closed and takes no more mail."
        if routed.expired:
            return "The reply address is more than a year old."
        author = directory.member_by_address(connection, case.community.id, case.message.author_email)
        if author is None or author.membership_id != routed.membership_id:
            return f"{case.message.author_email or 'Nobody'} wrote to the reply address of another member."
        return "" if routed.text.strip() or case.message.attachments else "It says nothing new: all of it is quoted."

    def _ask_which(self, connection: Connection, case: Case, text: str) -> None:
        """Ask the member whose edition it was, and nobody else, which item was meant."""
        author = directory.member_by_address(connection, case.community.id, case.message.author_email)
        if author is not None:
            self._parts.notices.send(
                connection,
                key=f"which-{case.spooled.key}",
                recipient=author.email,
                subject=f"Which one? Re: {case.message.subject}"[:200],
                text=text,
                now=self._parts.clock.now(),
                community_id=case.community.id,
                answers=case.message.message_id or None,
            )


def _is_choice(word: Command | Problem) -> bool:
    return isinstance(word, Command) and word.verb in ("mute", "follow")


def _is_muting(word: Command | Problem) -> bool:
    return isinstance(word, Command) and word.verb == "mute"
