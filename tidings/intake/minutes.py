"""The minutes of a meeting as its scribe mails them: one post in the meeting's thread, and its lines as cards.

Which lines there are is for mailer.minutes; when an action's owner is reminded, for who looks at the cards.
"""

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from sqlalchemy import Connection

from tidings.archive import cards, read
from tidings.communities.directory import Community, Member
from tidings.communities.policy import LEADING
from tidings.digests import agendas
from tidings.digests.meetings import agenda, invites, reminders, topics
from tidings.digests.meetings.diary import Meeting
from tidings.digests.meetings.named import Names
from tidings.digests.meetings.topics import Topic
from tidings.digests.replies import Item
from tidings.intake import letters
from tidings.intake.answering import answer
from tidings.intake.case import Case, Parts
from tidings.intake.decisions import Decision
from tidings.intake.filing import as_item_reply
from tidings.intake.meeting_people import called, duties, today, when
from tidings.intake.posting import Posting
from tidings.mailer import minutes
from tidings.mailer.minutes import Line

_COUNTED = {"decision": "decision", "answer": "answer", "note": "note"}


@dataclass(frozen=True, kw_only=True)
class _Thread:
    """Where minutes stand: in the thread of all that is written to the meeting."""

    answers: str
    subject: str

    @property
    def references(self) -> tuple[str, ...]:
        return (self.answers,)


@dataclass(frozen=True, kw_only=True)
class _Kept:
    """A line as it is kept, with who is to do it and the topic it stands under; `unknown` was not understood of it."""

    line: Line
    text: str
    owner: Member | None
    topic: Topic | None
    unknown: str


class Minutes:
    """Takes the minutes of one site in."""

    def __init__(self, parts: Parts, posting: Posting) -> None:
        self._parts = parts
        self._posting = posting

    def take(
        self,
        connection: Connection,
        case: Case,
        owner: Member,
        meeting: Meeting,
        text: str,
        numbers: Mapping[int, Item],
    ) -> Decision | None:
        """Post the minutes in a text and keep its lines; None where it has none, or is not of who may write them.

        `numbers` has the items of the edition that it answers.
        """
        if not self._may_write(connection, owner, meeting):
            return None
        found = minutes.read(text, today(self._parts, connection, owner))
        if found is None:
            return None
        thread = self._thread(case.community, meeting)
        message = as_item_reply(case.message, text, thread.subject)
        decided = self._posting.submit(connection, case, message, thread, "The minutes of a meeting.")
        if decided.verdict in ("accept", "duplicate") and decided.post_id is not None:
            kept = list(self._understood(connection, case.community, meeting, found.lines, numbers))
            if self._keep(connection, case.community, owner, meeting, decided.post_id, kept):
                self._tell(connection, case, owner, meeting, kept)
        return decided

    def _may_write(self, connection: Connection, owner: Member, meeting: Meeting) -> bool:
        """Whether it has begun, and the member leads the community or has a role there."""
        if meeting.cancelled_at is not None or meeting.starts_at > self._parts.clock.now():
            return False
        return owner.role in LEADING or bool(duties(connection, owner, meeting))

    def _thread(self, community: Community, meeting: Meeting) -> _Thread:
        answers = agenda.message_id(community, meeting, self._parts.settings.site.domain)
        return _Thread(answers=answers, subject=f"Minutes: {agendas.subject(community, meeting)}")

    # --- what the lines mean -----------------------------------------------------------------------------------------

    def _understood(
        self,
        connection: Connection,
        community: Community,
        meeting: Meeting,
        lines: Sequence[Line],
        numbers: Mapping[int, Item],
    ) -> Iterator[_Kept]:
        names = Names(connection, community.id)
        for line in lines:
            topic, unknown = _topic(connection, meeting, line.item, numbers)
            owner = names.find(line.owner) if line.owner else None
            text = line.text
            if line.owner and owner is None:
                text = f"{line.owner}: {text}"
                unknown += f" We know no one member who is called {line.owner}; the name stands in the text."
            yield _Kept(line=line, text=text, owner=owner, topic=topic, unknown=unknown.strip())

    # --- what is kept ------------------------------------------------------------------------------------------------

    def _keep(
        self,
        connection: Connection,
        community: Community,
        owner: Member,
        meeting: Meeting,
        post_id: int,
        kept: Sequence[_Kept],
    ) -> bool:
        """Keep the lines as cards, and settle the topics that were come to; False where all was known already."""
        places: Counter[str] = Counter()
        new = [self._card(connection, community, owner, meeting, post_id, one, places) for one in kept]
        if any(one.line.kind != "carry" for one in kept) and not any(new):
            return False
        self._settle(connection, kept)
        now = self._parts.clock.now()
        if any(one.starts_at > now for one in meeting.sittings):
            invites.tell_later_sessions(connection, community, meeting, now, site=self._parts.settings.site)
        return True

    def _card(
        self,
        connection: Connection,
        community: Community,
        owner: Member,
        meeting: Meeting,
        post_id: int,
        one: _Kept,
        places: Counter[str],
    ) -> bool:
        line, now = one.line, self._parts.clock.now()
        if line.kind == "carry":
            return False
        places[line.kind] += 1
        return cards.add(
            connection,
            community_id=community.id,
            kind=cast("cards.Kind", line.kind),
            post_id=post_id,
            about_id=_asked(connection, community, one) if line.kind == "answer" else None,
            person_id=owner.person_id,
            text=one.text,
            position=places[line.kind] - 1,
            meeting_id=meeting.id,
            topic_id=one.topic.id if one.topic else None,
            owner_id=one.owner.person_id if one.owner else None,
            due_on=line.due,
            remind_at=reminders.of_action(community, line.due, now) if one.owner else None,
            now=now,
        )

    @staticmethod
    def _settle(connection: Connection, kept: Sequence[_Kept]) -> None:
        """What was carried stays open, every other topic under which something stands is done."""
        carried = {one.topic.id for one in kept if one.topic and one.line.kind == "carry"}
        for topic_id in {one.topic.id for one in kept if one.topic} - carried:
            topics.settle(connection, topic_id, "done")
        for topic_id in carried:
            topics.settle(connection, topic_id, "open")

    # --- what is told ------------------------------------------------------------------------------------------------

    def _tell(self, connection: Connection, case: Case, owner: Member, meeting: Meeting, kept: Sequence[_Kept]) -> None:
        told = [f"The minutes of {when(self._parts, connection, owner, meeting)} are posted. We understood:"]
        told.append("\n".join(_summary(kept)))
        if unknown := list(dict.fromkeys(one.unknown for one in kept if one.unknown)):
            told.append("\n".join(["Not understood:", *(f"- {one}" for one in unknown)]))
        told.append("To add something or to put it right, reply to the agenda again with lines of that kind.")
        letter = letters.meeting_told(case.community, case.address, told)
        answer(connection, self._parts, case, letter, to=owner.email, key=f"minutes-{case.spooled.key}")


def _topic(
    connection: Connection, meeting: Meeting, number: int | None, numbers: Mapping[int, Item]
) -> tuple[Topic | None, str]:
    """The topic that a number stands for, and what is told where it stands for none."""
    if number is None:
        return None, ""
    item = numbers.get(number)
    topic = topics.by_id(connection, item.about_id) if item and item.block == "topic" and item.about_id else None
    if topic is None or topic.series_id != meeting.series.id:
        return None, f"#{number} is no topic of the agenda that you answered, so what stands there is under none."
    return topic, ""


def _asked(connection: Connection, community: Community, one: _Kept) -> int | None:
    """The id of the post whose question an answer is to."""
    if one.topic is None or one.topic.kind != "question":
        return None
    post = read.post(connection, community.id, one.topic.message_id)
    return post.id if post else None


def _summary(kept: Sequence[_Kept]) -> Iterator[str]:
    counted = Counter(one.line.kind for one in kept)
    for kind, name in _COUNTED.items():
        if many := counted[cast("minutes.Kind", kind)]:
            yield f"- {many} {name}{'s' * (many > 1)}"
    actions = [one for one in kept if one.line.kind == "action"]
    if actions:
        yield f"- {len(actions)} action{'s' * (len(actions) > 1)}:"
    for one in actions:
        who = called(one.owner) if one.owner else "nobody"
        by = f" by {letters.day(one.line.due)}" if one.line.due else ""
        yield f"    {who}{by}: {one.text}"
    for one in kept:
        if one.line.kind == "carry":
            yield f"- goes on the next agenda: {one.topic.title if one.topic else one.text or 'what has no number'}"
