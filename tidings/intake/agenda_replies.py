"""Replies to what an edition tells of meetings: minutes, words and proposals in them; all else is a post as anywhere.

How a reply finds its item is for digests.replies; this looks only at what it says.
"""

from collections.abc import Mapping

from sqlalchemy import Connection

from tidings.communities.directory import Member
from tidings.digests import numbered, replies
from tidings.digests.meetings import diary
from tidings.digests.meetings.diary import Meeting
from tidings.digests.replies import Item, Routed
from tidings.intake.case import Case, Parts
from tidings.intake.decisions import Decision
from tidings.intake.deeds import BLOCKS, about
from tidings.intake.meeting_people import is_banned
from tidings.intake.meeting_words import MeetingWords
from tidings.intake.minutes import Minutes
from tidings.intake.proposals import Proposals
from tidings.mailer.commands import Problem
from tidings.mailer.topics import has_topics

_OF_MINUTES = ("meeting", "turn", "recap")


class AgendaReplies:
    """Looks at replies of members to what they were told of meetings."""

    def __init__(self, parts: Parts, words: MeetingWords, proposals: Proposals, minutes: Minutes) -> None:
        self._parts = parts
        self._words = words
        self._proposals = proposals
        self._minutes = minutes

    def whole(self, connection: Connection, case: Case, owner: Member, item: Item, text: str) -> Decision | None:
        """What a reply to a whole edition says of a meeting in it; None where that is for its items to see."""
        items = replies.numbered_items(connection, item.edition_id)
        here = {number: one for number, one in items.items() if one.community_id == case.community.id}
        meetings = [one for one in here.values() if one.block == "meeting"]
        main = meetings[0] if len(meetings) == 1 else None
        meeting = _meeting(connection, main) if main else None
        said_of = (items.get(one.number) for one in numbered.split(text))
        if meeting and all(one is None or one.block in BLOCKS for one in said_of):
            decided = self._minutes.take(connection, case, owner, meeting, text, here)
            if decided:
                return decided
        is_agenda = main is not None and all(one.block in BLOCKS for one in items.values())
        at = (main.block, main.about_id) if main and is_agenda else None
        if decided := self._word(connection, case, owner, text, at, here):
            return decided
        if meeting and is_agenda and has_topics(text) and not numbered.split(text):
            return self._proposals.lines(connection, case, text, self._next(connection, meeting))
        return None

    def one(self, connection: Connection, case: Case, owner: Member, routed: Routed) -> Decision | None:
        """What a reply to one item of a meeting says; None where it is a post."""
        if routed.block not in BLOCKS:
            return None
        found = about(connection, routed.block, routed.about_id)
        if found is None:
            return None
        items = replies.numbered_items(connection, routed.edition_id)
        here = {number: one for number, one in items.items() if one.community_id == case.community.id}
        if routed.block in _OF_MINUTES and (
            decided := self._minutes.take(connection, case, owner, found.meeting, routed.text, here)
        ):
            return decided
        if decided := self._word(connection, case, owner, routed.text, (routed.block, routed.about_id), here):
            return decided
        if has_topics(routed.text):
            return self._proposals.lines(connection, case, routed.text, self._next(connection, found.meeting))
        return None

    def _word(
        self,
        connection: Connection,
        case: Case,
        owner: Member,
        text: str,
        at: tuple[str, int | None] | None,
        numbers: Mapping[int, Item],
    ) -> Decision | None:
        if not any(one.block in BLOCKS for one in numbers.values()):
            return None
        said = self._words.read(connection, owner, text)
        if said is None or (at is None and isinstance(said, Problem)):
            return None
        if is_banned(connection, case):
            return case.decided("discard", "A moderator banned the sender.")
        if case.spooled.released:
            return case.decided("accept", "Words about a meeting, which are not posted.")
        return self._words.take(connection, case, owner, said, at, numbers)

    def _next(self, connection: Connection, meeting: Meeting) -> Meeting | None:
        """The meeting on whose agenda a proposal goes that answers that of `meeting`."""
        now = self._parts.clock.now()
        if meeting.cancelled_at is None and meeting.sittings[-1].starts_at > now:
            return meeting
        return diary.following(connection, meeting.series.id, now)


def _meeting(connection: Connection, item: Item) -> Meeting | None:
    found = about(connection, item.block, item.about_id)
    return found.meeting if found else None
