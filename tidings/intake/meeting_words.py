"""Words that members write about a meeting: has them done, asks first where that is needed, and tells what was done.

Nothing is posted for a word. What only leaders do takes a signature of their domain, or a yes to a question that is
mailed to them. Which words there are is for mailer.agenda_words; what is done, for member_deeds and leader_deeds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import getaddresses
from typing import Protocol

from sqlalchemy import Connection

from tidings.communities import directory
from tidings.communities.confirmations import Confirmation
from tidings.communities.directory import Community, Member
from tidings.digests.replies import Item
from tidings.errors import UsageError
from tidings.intake import decisions, leader_deeds, letters
from tidings.intake.answering import answer
from tidings.intake.asking import Asking
from tidings.intake.case import Case, Parts
from tidings.intake.decisions import Decision
from tidings.intake.deeds import GONE, NEED_PROOF, OF_LEADERS, Deed, about, resolve
from tidings.intake.meeting_people import leads, today
from tidings.intake.member_deeds import MemberDeeds
from tidings.mailer import agenda_words
from tidings.mailer.addresses import read_recipient
from tidings.mailer.agenda_words import AgendaWord
from tidings.mailer.commands import Problem

Said = Sequence[AgendaWord] | Problem

_ONLY_LEADERS = "Only who leads the community or the meeting can do that, so nothing was done: {line}"


class Yes(Protocol):
    """What looks at an answer to a question: the decision where it is no yes, or too late; the token is used up."""

    def __call__(self, connection: Connection, case: Case, confirmation: Confirmation) -> Decision | None: ...


@dataclass
class _Done:
    """What came of the words of one mail."""

    told: list[str] = field(default_factory=list)
    asked: list[Deed] = field(default_factory=list)


class MeetingWords:
    """Does the words of one site."""

    def __init__(self, parts: Parts, asking: Asking) -> None:
        self._parts = parts
        self._asking = asking
        self._own = MemberDeeds(parts)

    def read(self, connection: Connection, owner: Member, text: str) -> Said | None:
        """The words that a text of this member is; None where it is prose."""
        return agenda_words.read(text, today(self._parts, connection, owner))

    def take(
        self,
        connection: Connection,
        case: Case,
        owner: Member,
        said: Said,
        at: tuple[str, int | None] | None,
        numbers: Mapping[int, Item],
    ) -> Decision | None:
        """Do what a mail says; None where it says something of an item that is no word there, so that it is a post.

        `at` is the block and id of what it was sent to, None where that is no one meeting; `numbers` has the items of
        the edition that it answers.
        """
        if isinstance(said, Problem):
            self.tell(connection, case, owner, [said.hint])
            return case.decided("accept", "It asks for something that cannot be read; the member was told.")
        found = resolve(said, at, numbers)
        if found is None:
            return None
        if isinstance(found, str):
            self.tell(connection, case, owner, [found])
            return case.decided("accept", "It names no item that there is; the member was told.")
        done = _Done()
        for deed in found:
            self._take_one(connection, case, owner, deed, done)
        if done.asked:
            done.told += self._ask(connection, case, owner, done.asked)
        if done.told:
            self.tell(connection, case, owner, done.told)
        verbs = ", ".join(dict.fromkeys(one.verb for one in found))
        asked = " The member was asked to confirm what only leaders do." if done.asked else ""
        return case.decided("accept", f"Words about a meeting: {verbs}.{asked} Nothing was posted.")

    def confirmed(self, connection: Connection, case: Case, confirmation: Confirmation, yes: Yes) -> Decision:
        """The yes of a member in whose name a meeting was to be changed."""
        if refused := yes(connection, case, confirmation):
            return refused
        owner = directory.member(connection, confirmation.request["membership_id"])
        if owner is None:
            return case.decided("discard", "The member has left since.")
        deeds = [Deed.from_json(one) for one in confirmation.request["deeds"]]
        told = [self._do(connection, case.community, owner, deed) for deed in deeds]
        letter = letters.meeting_told(case.community, case.address, told)
        answer(connection, self._parts, case, letter, to=owner.email, key=f"agenda-done-{case.spooled.key}")
        return case.decided("accept", f"Confirmed: {', '.join(one.verb for one in deeds)}.")

    def tell(self, connection: Connection, case: Case, owner: Member, told: Sequence[str]) -> None:
        """Tell the member what was done."""
        token = case.recipient.token
        item = case.address.token("r", token) if token else case.address.detail("agenda")
        letter = letters.word_done(case.community, "\n\n".join(told), item)
        answer(connection, self._parts, case, letter, to=owner.email, key=f"word-{case.spooled.key}")

    # --- who may -----------------------------------------------------------------------------------------------------

    def _take_one(self, connection: Connection, case: Case, owner: Member, deed: Deed, done: _Done) -> None:
        found = about(connection, deed.block, deed.about_id)
        if found is None:
            done.told.append(GONE)
        elif deed.verb in OF_LEADERS and not leads(connection, owner, found.meeting):
            done.told.append(_ONLY_LEADERS.format(line=deed.line))
        elif self._needs_a_yes(case, deed) and not self._is_proved(connection, case):
            done.asked.append(deed)
        else:
            done.told.append(self._do(connection, case.community, owner, deed))

    @staticmethod
    def _needs_a_yes(case: Case, deed: Deed) -> bool:
        return deed.verb in (OF_LEADERS if case.recipient.purpose == "reply" else NEED_PROOF)

    @staticmethod
    def _is_proved(connection: Connection, case: Case) -> bool:
        """Whether a signature says that the member wrote this, to us, and it is not sent again by somebody else."""
        message = case.message
        if not case.proof.aligned or not message.message_id:
            return False
        named = [read_recipient(email) for _, email in getaddresses([message.recipients])]
        return case.recipient in named and not decisions.seen_before(connection, message.message_id, case.spooled.key)

    def _ask(self, connection: Connection, case: Case, owner: Member, deeds: Sequence[Deed]) -> list[str]:
        """Ask whether it was meant; returns what is to be told besides."""
        sent = self._asking.ask(
            connection,
            case.community,
            letters.agenda_question(case.community, [one.line for one in deeds]),
            purpose="agenda",
            email=owner.email,
            key=f"agenda-{case.spooled.key}",
            request={"membership_id": owner.membership_id, "deeds": [one.as_json() for one in deeds]},
        )
        return [] if sent else ["Nothing was changed: you were asked often enough today. Please write again tomorrow."]

    # --- what is done ------------------------------------------------------------------------------------------------

    def _do(self, connection: Connection, community: Community, owner: Member, deed: Deed) -> str:
        """Do it; returns what is told of it, also what could not be done and why."""
        found = about(connection, deed.block, deed.about_id)
        if found is None:
            return GONE
        try:
            if deed.verb in OF_LEADERS:
                if not leads(connection, owner, found.meeting):
                    return _ONLY_LEADERS.format(line=deed.line)
                return leader_deeds.do(connection, self._parts, owner, found, deed)
            return self._own.do(connection, community, owner, found, deed)
        except UsageError as error:
            return f"Nothing was changed: {error}"
