"""What calendar programs answer to the invitation to a meeting (iTIP, RFC 5546, by mail as RFC 6047 says).

The person who answers must have sent the mail. Such mail is never answered, since programs write it, and never posted.
"""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from tidings.communities import directory
from tidings.communities.directory import Member, email_key
from tidings.digests.meetings import attendance, diary, uids
from tidings.digests.meetings.attendance import Answer
from tidings.digests.meetings.diary import Meeting, Sitting
from tidings.intake.asking import Asking
from tidings.intake.case import Case, Parts
from tidings.intake.decisions import Decision
from tidings.intake.meeting_people import is_banned
from tidings.mailer.imip import CalendarAnswer

_OF_GUESTS = ("REPLY", "COUNTER")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CalendarReplies:
    """Takes answers of calendar programs in."""

    def __init__(self, parts: Parts, asking: Asking) -> None:
        self._parts = parts
        self._asking = asking

    def take(self, connection: Connection, case: Case) -> Decision:
        """Note what a mail with calendar objects says of who comes; what is no answer to us is held."""
        if case.is_own_loop:
            return case.decided("discard", "Our own copy came back to us (X-Tidings-Loop).")
        if is_banned(connection, case):
            return case.decided("discard", "A moderator banned the sender.")
        answers = [one for one in case.message.calendar if one.method in _OF_GUESTS]
        if not answers:
            methods = ", ".join(dict.fromkeys(one.method or "none" for one in case.message.calendar))
            return case.decided("hold", f"A calendar object that is no answer to a meeting here (method {methods}).")
        if forged := next((one for one in answers if not self._is_of_sender(connection, case, one)), None):
            who = forged.attendee or "nobody who can be told"
            return case.decided("hold", f"It answers for {who}, who did not send it.")
        said = [self._note(connection, case, one) for one in answers]
        noted = any(kept for kept, _ in said)
        return case.decided("accept" if noted else "discard", " ".join(reason for _, reason in said))

    @staticmethod
    def _is_of_sender(connection: Connection, case: Case, answer: CalendarAnswer) -> bool:
        """Whether From is who answers, by any address of theirs, or who answers for them (SENT-BY)."""
        author, community_id = case.message.author_email, case.community.id
        if "@" not in author or "@" not in answer.attendee:
            return False
        if email_key(author) in (email_key(answer.attendee), email_key(answer.sent_by)):
            return True
        sender = directory.member_by_address(connection, community_id, author)
        guest = directory.member_by_address(connection, community_id, answer.attendee)
        return sender is not None and guest is not None and sender.person_id == guest.person_id

    def _note(self, connection: Connection, case: Case, answer: CalendarAnswer) -> tuple[bool, str]:
        """Whether an answer was kept, and what is said of it."""
        now = self._parts.clock.now()
        found = _asked_to(connection, case, answer.uid, self._parts.settings.site.domain)
        if found is None:
            return False, f"It answers no meeting of {case.community.name}."
        meeting, sitting = found
        if meeting.cancelled_at is not None:
            return False, f"The meeting of {meeting.day} is cancelled."
        if sitting.ends_at <= now:
            return False, f"The meeting of {meeting.day} is over."
        said: Answer | None = "maybe" if answer.method == "COUNTER" else _ANSWERS.get(answer.answer)
        if said is None:
            return False, "It says neither yes nor no."
        member = directory.member_by_address(connection, case.community.id, answer.attendee)
        if member is None and self._asking.answerable(answer.attendee) is None:
            return False, "It is of no address that can be asked."
        kept = attendance.say(
            connection,
            meeting_id=meeting.id,
            answer=said,
            email=answer.attendee,
            member=member,
            sitting_id=sitting.id,
            name=answer.name,
            comment=answer.comment,
            for_email=next(iter(answer.delegated_from), ""),
            # No answer is to a later invitation than was sent, nor of a later time than now.
            sequence=min(answer.sequence, sitting.sequence),
            said_at=_said_at(answer, now),
            now=now,
        )
        who = "A member" if member else "A guest whom nobody asked"
        if not kept:
            return (
                False,
                f"{who} said {said} to the meeting of {meeting.day}; a newer answer is known, or no room left.",
            )
        if said == "delegated":
            self._note_delegate(connection, case, answer, (meeting, sitting), member)
        return True, f"{who} said {said} to the meeting of {meeting.day}."

    def _note_delegate(
        self,
        connection: Connection,
        case: Case,
        answer: CalendarAnswer,
        asked: tuple[Meeting, Sitting],
        member: Member | None,
    ) -> None:
        """Note whom a guest sends in their place, as one who may come until they say so themselves."""
        email = self._asking.answerable(next(iter(answer.delegated_to), ""))
        if email is None:
            return
        meeting, sitting = asked
        delegate = directory.member_by_address(connection, case.community.id, email)
        keys = {email_key(email), email_key(delegate.email) if delegate else ""}
        if any(one.email_key in keys for one in attendance.of_meeting(connection, meeting.id)):
            return
        now = self._parts.clock.now()
        attendance.say(
            connection,
            meeting_id=meeting.id,
            answer="maybe",
            email=email,
            member=delegate,
            sitting_id=sitting.id,
            for_email=member.email if member else answer.attendee,
            sequence=0,
            said_at=_said_at(answer, now),
            now=now,
        )


_ANSWERS: dict[str, Answer] = {"yes": "yes", "no": "no", "maybe": "maybe", "delegated": "delegated"}


def is_for(answers: Sequence[CalendarAnswer]) -> bool:
    """Whether a mail is one of a calendar program: it has an event that says what is to be done with it."""
    return any(one.method for one in answers)


def _asked_to(connection: Connection, case: Case, uid: str, domain: str) -> tuple[Meeting, Sitting] | None:
    """The session that an invitation of ours was to; None where it is of another community, or none of ours."""
    named = uids.read(uid, domain)
    if named is None or named.community != case.community.name:
        return None
    meeting = diary.on_day(connection, named.series_id, named.day)
    if meeting is None or meeting.series.community_id != case.community.id:
        return None
    sitting = next((one for one in meeting.sittings if one.session.id == named.session_id), None)
    return (meeting, sitting) if sitting else None


def _said_at(answer: CalendarAnswer, now: datetime) -> datetime:
    return now if answer.stamp is None else min(_EPOCH + timedelta(microseconds=answer.stamp), now)
