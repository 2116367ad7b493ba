"""Membership by mail: joining, leaving, help and the commands of members; each change takes a yes of whom it concerns.

A yes is a reply to a question that was mailed to the address on record, or a fresh signature of the member's domain.
From alone is no authority. It posts nothing; what a command does, member_commands knows.
"""

import re
from collections.abc import Sequence
from email.utils import getaddresses

from sqlalchemy import Connection

from tidings.communities import confirmations, directory, joining
from tidings.communities.confirmations import Confirmation
from tidings.communities.directory import Member, email_key
from tidings.errors import UsageError
from tidings.intake import decisions, letters
from tidings.intake.answering import answer
from tidings.intake.asking import Asking
from tidings.intake.case import Case, Parts
from tidings.intake.decisions import Decision
from tidings.intake.letters import Letter
from tidings.intake.member_commands import MemberCommands
from tidings.mailer import commands
from tidings.mailer.addresses import read_recipient
from tidings.mailer.commands import READING, Command, Problem

# How a reply begins that is no yes, in some of the languages of mail programs.
_NO = re.compile(r"\W{0,3}(?:no|nope|nein|non|nee|nei|nej|nie|não|нет)\b(?! (?:problem|worries|doubt))", re.IGNORECASE)
# And one to a question whether to get mail: somebody who did not ask is angry, and must not get more.
_STOP = re.compile(
    r"\W{0,3}(?:stop|unsubscribe|remove|leave me|spam|not me|(?:i )?(?:never|did ?n[o'’]t|didnt|do ?n[o'’]t|dont)) ?\b",
    re.IGNORECASE,
)

Asked = Sequence[Command | Problem]


class Membership:
    """Takes in what members and strangers ask for by mail."""

    def __init__(self, parts: Parts) -> None:
        self._parts = parts
        self._asking = Asking(parts)
        self._commands = MemberCommands(parts, self._asking)

    # --- mail to an address that says what is wanted -----------------------------------------------------------------

    def subscribe(self, connection: Connection, case: Case) -> Decision:
        """Any mail to the join address: the sender is asked, whoever signed it, and told nothing of what it said."""
        if objection := self._objection(connection, case):
            return case.decided("discard", objection)
        member = self._member(connection, case)
        if member is not None:
            told = self._tell(connection, case, letters.already_member(case.community, case.address), member.email)
            return case.decided("accept", f"A member already{'' if told else ', who was told enough today'}.")
        email = self._asking.answerable(case.message.author_email)
        if email is None:
            return case.decided("discard", "From no address that can join: it cannot be read, or is a community's.")
        if case.community.archived:
            self._asking.tell_stranger(connection, case.community, letters.closed(case.community), email)
            return case.decided("discard", f"The community {case.community.name} is closed.")
        question = letters.join_question(case.community, case.address)
        if not self._asking.ask_stranger(connection, case.community, question, purpose="join", email=email):
            return case.decided("discard", "The address was asked often enough today.")
        return case.decided("accept", "The address was asked to confirm.")

    def unsubscribe(self, connection: Connection, case: Case) -> Decision:
        """Any mail to the leave address: the member is asked, and may reply or press the button of a page."""
        if automatic := case.automatic:
            return case.decided("discard", f"An automatic mail to the leave address ({automatic}).")
        member = self._member(connection, case)
        if member is None:
            return case.decided("discard", "Not from a member: nobody to take out, and nobody is told.")
        return self._ask_to_leave(connection, case, member)

    def help(self, connection: Connection, case: Case) -> Decision:
        """Any mail to the help address."""
        if objection := self._objection(connection, case):
            return case.decided("discard", objection)
        member = self._member(connection, case)
        if member is None:
            return self._help_stranger(connection, case)
        return self._answered(case, self._tell(connection, case, self._help(case), member.email))

    def command(self, connection: Connection, case: Case) -> Decision:
        """A mail with commands: what reads is answered to the address on record, what changes waits for a yes."""
        if objection := self._objection(connection, case):
            return case.decided("discard", objection)
        member = self._member(connection, case)
        asked, proved = self._asked(connection, case, member)
        if member is None:
            joins = any(isinstance(one, Command) and one.verb == "subscribe" for one in asked)
            return self.subscribe(connection, case) if joins else self._help_stranger(connection, case)
        if not asked:
            return self._not_understood(connection, case, member)
        if proved:
            return self._do_all(connection, case, member, asked, unproved=False)
        return self._ask_first(connection, case, member, asked)

    # --- a yes to a question -----------------------------------------------------------------------------------------

    def join(self, connection: Connection, case: Case, confirmation: Confirmation) -> Decision:
        """The yes of an address that is to join."""
        email, now = confirmation.email, self._parts.clock.now()
        if self._is_banned(connection, case, email):
            return case.decided("discard", "A moderator banned the sender.")
        if case.community.archived:
            self._tell(connection, case, letters.closed(case.community), email)
            return case.decided("discard", f"The community {case.community.name} is closed.")
        if self._asking.answerable(email) is None:
            return case.decided("discard", "The address is a community's by now.")
        if refused := self.no_yes(connection, case, confirmation):
            return refused
        known = directory.communities_of(connection, email)
        name = "" if known else self._own_name(case, email)
        joining.add_member(connection, community=case.community.name, email=email, name=name, now=now)
        letter = letters.welcome(case.community, case.address)
        self._tell(connection, case, letter, email, unproved=False)
        return case.decided("accept", f"{email} joined.")

    def leave(self, connection: Connection, case: Case, confirmation: Confirmation) -> Decision:
        """The yes of a member who is to leave."""
        if refused := self.no_yes(connection, case, confirmation):
            return refused
        now = self._parts.clock.now()
        joining.remove_member(connection, membership_id=confirmation.request["membership_id"], now=now)
        self._tell(connection, case, letters.left(case.community, case.address), confirmation.email, unproved=False)
        return case.decided("accept", f"{confirmation.email} left.")

    def commands(self, connection: Connection, case: Case, confirmation: Confirmation) -> Decision:
        """The yes of a member in whose name changes were asked for."""
        if refused := self.no_yes(connection, case, confirmation):
            return refused
        member = directory.member(connection, confirmation.request["membership_id"])
        if member is None:
            return case.decided("discard", "The member has left since.")
        today = self._commands.today(connection, member)
        asked = commands.read("\n".join(confirmation.request["lines"]), today)
        return self._do_all(connection, case, member, asked, unproved=False)

    def address(self, connection: Connection, case: Case, confirmation: Confirmation) -> Decision:
        """The yes of an address that is to be a member's."""
        if refused := self.no_yes(connection, case, confirmation):
            return refused
        email, verb = confirmation.email, confirmation.request["verb"]
        member = directory.member(connection, confirmation.request["membership_id"])
        if member is None:
            return case.decided("discard", "The member has left since.")
        try:
            if self._asking.answerable(email) is None:
                raise UsageError(f"{email} is the address of a community by now.")
            titles = self._commands.use_address(connection, member, verb, email)
        except UsageError as error:
            self._tell(connection, case, letters.address_taken(case.community, case.address), email)
            return case.decided("discard", str(error))
        self._tell(connection, case, letters.address_done(case.community, email, titles), email, unproved=False)
        if titles and email_key(member.email) != email_key(email):
            moved = letters.mail_moved(case.community, case.address, email, titles)
            self._tell(connection, case, moved, member.email, unproved=False)
        return case.decided("accept", f"{email} is now an address of the member ({verb}).")

    def no_yes(self, connection: Connection, case: Case, confirmation: Confirmation) -> Decision | None:
        """The decision about a reply that comes too late or says no; None for a yes. The token is used up.

        It serves the questions of others too.
        """
        from_them = email_key(case.message.author_email) == email_key(confirmation.email)
        if not confirmations.use(connection, case.recipient.token, self._parts.clock.now()):
            letter = letters.too_late(case.community, case.address)
            # Whoever else has the token learns nothing of it.
            told = from_them and self._tell(connection, case, letter, confirmation.email)
            return case.decided("discard", f"Confirmed before, or too late{'; they were told' if told else ''}.")
        if _says_no(case, wants_mail=confirmation.purpose != "leave"):
            if from_them:
                self._tell(connection, case, letters.said_no(case.community), confirmation.email)
            return case.decided("accept", "The reply begins with a no; nothing was done.")
        return None

    # --- commands ----------------------------------------------------------------------------------------------------

    def _asked(self, connection: Connection, case: Case, member: Member | None) -> tuple[Asked, bool]:
        """What a mail asks for, by its text or else its Subject, and whether it is proved that the member wrote it.

        Lines that are no commands are left out: greetings are among them.
        """
        today = self._commands.today(connection, member)
        text = case.own_words if commands.is_plain(case.spooled.raw) else ""
        if by_text := _meant(commands.read(text, today)):
            return by_text, self._is_proved(connection, case)
        # A Subject need not be signed, so it is never proved.
        return _meant(commands.read(case.message.subject, today)), False

    def _is_proved(self, connection: Connection, case: Case) -> bool:
        """Whether a signature says that the member wrote this, to us, and it is not sent again by somebody else."""
        message = case.message
        if not case.proof.aligned or not message.message_id:
            return False
        named = (read_recipient(email) for _, email in getaddresses([message.recipients]))
        to_us = any(one and (one.community, one.purpose) == (case.community.name, "command") for one in named)
        return to_us and not decisions.seen_before(connection, message.message_id, case.spooled.key)

    def _do_all(self, connection: Connection, case: Case, member: Member, asked: Asked, *, unproved: bool) -> Decision:
        """Do all that was asked for, in its order, and answer in one mail to the address that was on record before."""
        answers = []
        present: Member | None = member
        for one in asked:
            if present is None:  # they have left
                break
            if isinstance(one, Problem):
                answers.append(one.hint)
                continue
            answers.append(self._commands.do(connection, case.community, present, one))
            present = directory.member(connection, member.membership_id)
        letter = letters.answer(case.community, answers, more=present is not None)
        told = self._tell(connection, case, letter, member.email, unproved=unproved)
        return self._answered(case, told, done=[one.verb for one in asked if isinstance(one, Command)])

    def _ask_first(self, connection: Connection, case: Case, member: Member, asked: Asked) -> Decision:
        """Answer what only reads, and ask the member whether the rest is to be done."""
        changes = [one for one in asked if isinstance(one, Command) and one.verb not in READING]
        rest = [one for one in asked if one not in changes]
        decided = self._do_all(connection, case, member, rest, unproved=True) if rest else None
        if [one.verb for one in changes] == ["leave"]:
            return self._ask_to_leave(connection, case, member)
        if not changes:
            return decided or case.decided("discard", "Nothing was asked for.")
        sent = self._asking.ask(
            connection,
            case.community,
            letters.commands_question(case.community, changes),
            purpose="commands",
            email=member.email,
            key=f"commands-{case.spooled.key}",
            request={"membership_id": member.membership_id, "lines": [one.line for one in changes]},
        )
        verbs = ", ".join(one.verb for one in changes)
        if not sent:
            return case.decided("discard", f"Asked for: {verbs}. The member was asked often enough today.")
        return case.decided("accept", f"Asked for: {verbs}. Not proved, so the member was asked to confirm.")

    def _ask_to_leave(self, connection: Connection, case: Case, member: Member) -> Decision:
        if not self._asking.ask_to_leave(connection, case.community, member):
            return case.decided("discard", "The member was asked today whether to leave.")
        return case.decided("accept", "The member was asked whether to leave.")

    # --- answers -----------------------------------------------------------------------------------------------------

    def _help(self, case: Case, why: str = "") -> Letter:
        return letters.help_for_members(case.community, case.address, why=why)

    def _not_understood(self, connection: Connection, case: Case, member: Member) -> Decision:
        """Help, once a day, to a member whose mail asks for nothing that is known."""
        plain = commands.is_plain(case.spooled.raw)
        letter = self._help(case, letters.NOT_UNDERSTOOD if plain else letters.PLAIN_TEXT_ONLY)
        day = self._parts.clock.now().date()
        told = self._tell(connection, case, letter, member.email, key=f"help-{member.membership_id}-{day}")
        return case.decided("accept" if told else "discard", "Not understood; help was sent, once today.")

    def _help_stranger(self, connection: Connection, case: Case) -> Decision:
        email = self._asking.answerable(case.message.author_email)
        if email is None:
            return case.decided("discard", "From no address that can be answered.")
        letter = letters.help_for_strangers(case.community, case.address)
        return self._answered(case, self._asking.tell_stranger(connection, case.community, letter, email))

    def _tell(
        self,
        connection: Connection,
        case: Case,
        letter: Letter,
        email: str,
        *,
        key: str = "",
        unproved: bool = True,
    ) -> bool:
        """Mail a letter to somebody; an answer to it comes as commands. False where they were told enough."""
        return answer(
            connection,
            self._parts,
            case,
            letter,
            to=email,
            key=key or f"membership-{case.spooled.key}-{email_key(email)}",
            unproved=unproved,
        )

    def _answered(self, case: Case, told: bool, done: Sequence[str] = ()) -> Decision:
        what = f"Done: {', '.join(done)}. " if done else ""
        if not told:
            return case.decided("accept" if done else "discard", f"{what}They were told enough today.")
        return case.decided("accept", f"{what}Answered.")

    # --- the sender --------------------------------------------------------------------------------------------------

    def _member(self, connection: Connection, case: Case) -> Member | None:
        return directory.member_by_address(connection, case.community.id, case.message.author_email)

    def _objection(self, connection: Connection, case: Case) -> str:
        """Why a mail is not looked at; empty where it is."""
        if automatic := case.automatic:
            return f"An automatic mail ({automatic})."
        banned = self._is_banned(connection, case, case.message.author_email)
        return "A moderator banned the sender." if banned else ""

    def _is_banned(self, connection: Connection, case: Case, email: str) -> bool:
        return directory.sender(connection, case.community.id, email).rule == "ban"

    def _own_name(self, case: Case, email: str) -> str:
        """The name that somebody who joins writes with, where it is one."""
        if email_key(case.message.author_email) != email_key(email):
            return ""
        try:
            return commands.person_name(case.message.author_name)
        except UsageError:
            return ""


def _meant(read: Asked) -> Asked:
    return [one for one in read if isinstance(one, Command) or one.hint]


def _says_no(case: Case, *, wants_mail: bool) -> bool:
    """Whether what was written above the quote begins with a no; a greeting may stand before it."""
    if not case.message.folds and "\n>" in f"\n{case.message.text}":
        return False  # nothing but a quote
    lines = (line.strip() for line in case.own_words.split("\n") if line.strip())
    first = next((line for line in lines if not line.endswith(",") or "," in line[:-1]), "")
    if first.endswith(":"):  # "No dia 14/10/2026, NAME escreveu:"
        return False
    return _NO.match(first) is not None or (wants_mail and _STOP.match(first) is not None)
