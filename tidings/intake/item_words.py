"""Does what a one-word reply to an item of a digest asks for, and tells the member what was done.

Such a word is not posted. It can be taken back by another, so that the address and From are enough for it; to leave
takes a yes. Which words there are is for mailer.commands to say.
"""

from sqlalchemy import Connection

from tidings.archive import read
from tidings.communities import choices
from tidings.communities.choices import Choice
from tidings.communities.directory import Member
from tidings.digests.replies import Routed
from tidings.intake import letters
from tidings.intake.answering import answer
from tidings.intake.asking import Asking
from tidings.intake.case import Case, Parts
from tidings.intake.decisions import Decision
from tidings.intake.member_commands import MemberCommands
from tidings.mailer import commands
from tidings.mailer.commands import Command, Problem
from tidings.threading import nodes

Word = Command | Problem


class ItemWords:
    """Does the words of one site."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._asking = Asking(parts)
        self._commands = MemberCommands(parts, self._asking)

    def read(self, connection: Connection, owner: Member, text: str) -> Word | None:
        """The word that a reply of this member is; None where it is a post."""
        return commands.read_word(text, self._commands.today(connection, owner))

    def do(self, connection: Connection, case: Case, owner: Member, word: Word, routed: Routed | None) -> Decision:
        """Do a word at an item; `routed` may be None where the word is about all mail."""
        if routed is not None and is_choice(word):
            return self._choose(connection, case, owner, "mute" if _is(word, "mute") else "follow", routed)
        if isinstance(word, Problem):
            self.tell(connection, case, owner, word.hint)
            return case.decided("accept", "It asks for a pause that cannot be read; the member was told.")
        if word.verb == "leave":
            asked = self._asking.ask_to_leave(connection, case.community, owner)
            return case.decided("accept", f"The member was asked {'' if asked else 'before '}whether to leave.")
        done = self._commands.do(connection, case.community, owner, word)
        self.tell(connection, case, owner, done)
        return case.decided("accept", f"Done: {word.line}. Nothing was posted.")

    def _choose(self, connection: Connection, case: Case, owner: Member, choice: Choice, routed: Routed) -> Decision:
        """Mute or follow the thread of an item, whatever was chosen by another post of it before."""
        post = read.post_by_id(connection, routed.post_id) if routed.post_id is not None else None
        if post is None:
            self.tell(connection, case, owner, letters.NO_CONVERSATION)
            return case.decided("accept", f"There is no conversation to {choice}; the member was told.")
        in_thread = {node.message_id for node in nodes.thread(connection, post.community_id, post.thread_id)}
        before = {one.message_id for one in choices.chosen(connection, owner.membership_id)}
        choices.forget(connection, owner.membership_id, before & in_thread)
        now = self._parts.clock.now()
        choices.choose(connection, owner.membership_id, post.message_id, choice, now)
        # Told once a day of each choice, however often it is made: the address may have been passed on.
        key = f"{choice}-{owner.membership_id}-{post.id}-{now.date()}"
        self.tell(connection, case, owner, letters.CHOSEN[choice].format(subject=post.subject), key=key)
        return case.decided("accept", f"Done: {choice} the thread of {post.message_id}. Nothing was posted.")

    def tell(self, connection: Connection, case: Case, owner: Member, done: str, *, key: str = "") -> None:
        """Tell the member what was done; `key` where it is the same for several mails."""
        token = case.recipient.token
        item = case.address.token("r", token) if token else case.address.detail("agenda")
        letter = letters.word_done(case.community, done, item)
        answer(
            connection,
            self._parts,
            case,
            letter,
            to=owner.email,
            key=key or f"word-{case.spooled.key}",
            unproved=not key,
        )


def is_choice(word: Word) -> bool:
    """Whether a word says how much of one thread its sender wants to hear."""
    return _is(word, "mute") or _is(word, "follow")


def is_keep(word: Word | None) -> bool:
    """Whether a word says that a reply is to be posted whole."""
    return word is not None and _is(word, "keep")


def _is(word: Word, verb: str) -> bool:
    return isinstance(word, Command) and word.verb == verb
