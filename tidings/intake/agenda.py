"""Mail to `+agenda`: answers of calendar programs, topics for the next meeting, and words and minutes without an item.

Whoever writes there has no reply address of their own, so From alone changes little: see deeds.NEED_PROOF.
"""

from sqlalchemy import Connection

from tidings.communities import directory
from tidings.communities.directory import Member
from tidings.digests.meetings import coming
from tidings.digests.meetings.diary import Meeting
from tidings.intake import letters
from tidings.intake.calendar_replies import CalendarReplies, is_for
from tidings.intake.case import Case, Parts
from tidings.intake.decisions import Decision
from tidings.intake.meeting_people import is_banned
from tidings.intake.meeting_words import MeetingWords
from tidings.intake.minutes import Minutes
from tidings.intake.proposals import Proposals
from tidings.mailer import topics


class AgendaMail:
    """Takes mail to the agenda in."""

    def __init__(
        self,
        parts: Parts,
        *,
        calendars: CalendarReplies,
        words: MeetingWords,
        proposals: Proposals,
        minutes: Minutes,
    ) -> None:
        self._parts = parts
        self._calendars = calendars
        self._words = words
        self._proposals = proposals
        self._minutes = minutes

    def handle(self, connection: Connection, case: Case) -> Decision:
        """A mail to the agenda of a community."""
        if is_for(case.message.calendar):
            return self._calendars.take(connection, case)
        now, text = self._parts.clock.now(), case.own_words
        member = self._member(connection, case)
        if member is not None:
            last = coming.last_meeting(connection, case.community, case.message.subject, now)
            if last and (decided := self._minutes.take(connection, case, member, last, text, {})):
                return decided
        meeting = coming.next_meeting(connection, case.community, case.message.subject, now)
        if member is not None and meeting is not None:
            said = text if text.strip() else case.message.subject
            if decided := self._word(connection, case, member, meeting, said):
                return decided
        found = topics.topics(case.message.subject, text)
        if found:
            return self._proposals.take(connection, case, found, meeting)
        return self._empty(connection, case, member)

    def _member(self, connection: Connection, case: Case) -> Member | None:
        """The member whose words count here; None where only the rules for posts look at the mail."""
        if case.automatic or case.is_own_loop or case.community.archived:
            return None
        if is_banned(connection, case):
            return None
        return directory.member_by_address(connection, case.community.id, case.message.author_email)

    def _word(self, connection: Connection, case: Case, member: Member, meeting: Meeting, text: str) -> Decision | None:
        said = self._words.read(connection, member, text)
        if said is None:
            return None
        if case.spooled.released:
            return case.decided("accept", "Words about a meeting, which are not posted.")
        return self._words.take(connection, case, member, said, ("meeting", meeting.id), {})

    def _empty(self, connection: Connection, case: Case, member: Member | None) -> Decision:
        """A mail that says nothing: a member is told what can be written there."""
        if member is None:
            return case.decided("discard", "It says nothing.")
        self._words.tell(connection, case, member, [letters.AGENDA_HELP])
        return case.decided("discard", "It says nothing; the member was told what can be written there.")
