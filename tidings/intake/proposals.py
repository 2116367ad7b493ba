"""Topics that are proposed by mail: each is a post, by the rules for any post, and stands on the agenda of a meeting.

Nothing is on an agenda that is not posted: a held proposal gets there when somebody lets it in. Who proposed is told
what became of it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection

from tidings.communities import directory
from tidings.communities.directory import Member
from tidings.digests.meetings import agenda
from tidings.digests.meetings import topics as agendas
from tidings.digests.meetings.diary import Meeting
from tidings.digests.quoted import is_opening
from tidings.intake import letters
from tidings.intake.answering import answer
from tidings.intake.case import Case, Parts
from tidings.intake.decisions import Decision
from tidings.intake.filing import as_item_reply
from tidings.intake.meeting_people import when
from tidings.intake.posting import Posting
from tidings.mailer import topics
from tidings.mailer.parsed import ParsedMessage
from tidings.mailer.topics import Topic

_FULL = "The agenda is full, so it is on none; it was posted."
_NONE_PLANNED = "No meeting is planned, so it is on no agenda; it was posted."


@dataclass(frozen=True, kw_only=True)
class _Opening:
    """How a topic is archived: under an id of ours, so that it begins a thread whatever its mail answered."""

    answers: str
    subject: str
    references: tuple[str, ...] = ()


class Proposals:
    """Takes the topics of one site in."""

    def __init__(self, parts: Parts, posting: Posting) -> None:
        self._parts = parts
        self._posting = posting

    def lines(self, connection: Connection, case: Case, text: str, meeting: Meeting | None) -> Decision | None:
        """Take in the `topic: ...` lines of a text, with what stands above the first; None: they name none."""
        found = [one for one in topics.topics("", text) if not topics.has_topics(one.title)]
        if not found:
            return None
        above = text_above(text)
        if above and not is_opening(above):
            found[0] = Topic(title=found[0].title, text=f"{above}\n\n{found[0].text}".strip(), minutes=found[0].minutes)
        return self.take(connection, case, found, meeting)

    def take(self, connection: Connection, case: Case, found: Sequence[Topic], meeting: Meeting | None) -> Decision:
        """Post each topic, and put it on the agenda of a meeting; None: no meeting is planned."""
        author = directory.member_by_address(connection, case.community.id, case.message.author_email)
        decided: list[Decision] = []
        told: list[str] = []
        for place, topic in enumerate(found, 1):
            message = _as_topic(case.message, topic, part=place if place > 1 else None)
            one = self._posting.submit(
                connection, case, message, self._opening(case, message), "A topic for a meeting."
            )
            decided.append(one)
            if one.verdict in ("accept", "duplicate") and one.message_id is not None:
                told += self._list(connection, case, topic, one, author, meeting)
        if author and told and not case.automatic:
            self._tell(connection, case, author, told)
        return case.together(decided)

    def _opening(self, case: Case, message: ParsedMessage) -> _Opening:
        domain = self._parts.settings.site.domain
        answers = agenda.topic_message_id(case.community, message.content_hash.hex()[:24], domain)
        return _Opening(answers=answers, subject=message.subject)

    def _list(
        self,
        connection: Connection,
        case: Case,
        topic: Topic,
        posted: Decision,
        author: Member | None,
        meeting: Meeting | None,
    ) -> list[str]:
        """Put a topic that was posted on the agenda; returns what is told of it."""
        message_id = posted.message_id or ""
        if posted.verdict == "duplicate" and agendas.by_message(connection, case.community.id, message_id):
            return []  # sent twice: what became of it since stays
        if meeting is None:
            return [f"{topic.title}\n{_NONE_PLANNED}"]
        listed = agendas.propose(
            connection,
            series_id=meeting.series.id,
            meeting_id=meeting.id,
            title=topic.title,
            text=topic.text,
            minutes=topic.minutes,
            message_id=message_id,
            person_id=author.person_id if author else None,
            now=self._parts.clock.now(),
        )
        if listed is None:
            return [f"{topic.title}\n{_FULL}"]
        if author is None:
            return []
        return [f"{topic.title}\nis on the agenda of {when(self._parts, connection, author, meeting)}."]

    def _tell(self, connection: Connection, case: Case, author: Member, told: Sequence[str]) -> None:
        letter = letters.meeting_told(case.community, case.address, told)
        answer(connection, self._parts, case, letter, to=author.email, key=f"topics-{case.spooled.key}")


def text_above(text: str) -> str:
    """What stands above the first topic line of a text."""
    lines = text.split("\n")
    first = next((place for place, line in enumerate(lines) if topics.has_topics(line)), len(lines))
    return "\n".join(lines[:first]).strip()


def _as_topic(message: ParsedMessage, topic: Topic, part: int | None) -> ParsedMessage:
    """A topic as it is archived: its own words alone."""
    return as_item_reply(message, f"{topic.text or topic.title}\n", topic.title, part=part)
