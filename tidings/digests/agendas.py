"""What members are told of meetings: an agenda item by item, the next meeting in a digest, what they have to do.

Each is made once for all who are told the same. It writes nothing; how it is printed is for render, and what stands on
an agenda for meetings.agenda.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection

from tidings.archive import cards
from tidings.archive.sentences import clean, prose_sentences, sentences, shorten
from tidings.archive.summary import count_words
from tidings.communities import languages
from tidings.communities.directory import Community, Member
from tidings.communities.roster import Roster
from tidings.digests import schedule
from tidings.digests.direction import apart, in_text
from tidings.digests.fragments import (
    YOU,
    Answer,
    Duty,
    Held,
    Invitation,
    Listed,
    Meeting,
    Noted,
    Recap,
    Slot,
    Span,
    Task,
    Told,
    Topic,
    Turn,
)
from tidings.digests.meetings import agenda, attendance, calendar, diary, roles
from tidings.digests.meetings.agenda import Agenda, Input, Item, Note
from tidings.digests.meetings.diary import Sitting
from tidings.digests.meetings.guests import for_member
from tidings.digests.stored import Entry
from tidings.digests.week import Reader
from tidings.digests.weeks import Weeks
from tidings.digests.words import Words
from tidings.settings import SiteSettings

_TEXT_WORDS = 60  # of what a topic is about
_INPUT_WORDS = 80  # of what one member wrote under it
_INPUTS = 5  # under one topic; the newest, earlier ones are counted
_ADDED = 5  # additions to the minutes of the meeting before
_NOTES = 12  # lines of minutes in a recap
_LISTED = 3  # topics of a block in a digest
_TITLE_LENGTH = 60
_LINE_LENGTH = 200
_FAR = timedelta(days=14)
"""A meeting that is farther away is in no digest yet."""


@dataclass(frozen=True, kw_only=True)
class _Guest:
    """A member as the guest of one meeting."""

    member: Member
    reader: Reader
    roster: Roster | None
    sitting: Sitting


class Agendas:
    """The agendas of one transaction, each read once: a meeting that was cancelled since is told by the next."""

    def __init__(self, connection: Connection, now: datetime, *, site: SiteSettings, weeks: Weeks) -> None:
        """`weeks` may serve many transactions of the same moment."""
        self._connection, self._now, self._site, self._weeks = connection, now, site, weeks
        self._read: dict[int, Agenda] = {}
        self._versions: dict[int, int] = {}  # a hash of what was read, so that what was made of it is made anew
        self._subjects: dict[int, str] = {}
        self._duties: dict[tuple[Roster | None, datetime], tuple[Duty, datetime | None, datetime | None]] = {}
        self._following: dict[int, Sequence[int]] = {}
        self._actions: dict[int, Sequence[cards.Card]] = {}

    # --- entries -----------------------------------------------------------------------------------------------------

    def entries(
        self, community: Community, meeting_id: int, member: Member, reader: Reader, roster: Roster | None
    ) -> list[Entry]:
        """The agenda of a meeting as one member has it; empty where it is over, and so not to be told any more."""
        found = self._agenda(community, meeting_id)
        guest = _guest(found, member, reader, roster)
        if guest.sitting.ends_at <= self._now or (found.meeting.closed_at is not None and not _cancelled(found)):
            return []
        if _cancelled(found):
            return [self._meeting(community, found, guest, whole=True)]
        mine = [*self._turns(community, found, guest), *self._tasks(community, member)]
        topics = [self._topic(community, one, guest) for one in found.items]
        return [
            *mine,
            self._meeting(community, found, guest, whole=True),
            *topics,
            *self._recap(community, found, guest),
        ]

    def next_meeting(self, community: Community, member: Member, reader: Reader, roster: Roster | None) -> Entry | None:
        """The next meeting of a community that a member is asked to, for a digest; None where none is near."""
        found = [self._agenda(community, one) for one in self._coming(community)]
        guests = [(one, _guest(one, member, reader, roster)) for one in found]
        near = [(one, guest) for one, guest in guests if self._now < guest.sitting.starts_at < self._now + _FAR]
        if not near:
            return None
        return self._meeting(community, *min(near, key=lambda one: one[1].sitting.starts_at), whole=False)

    def tasks(self, community: Community, member: Member) -> list[Entry]:
        """The actions that a member has to do."""
        return list(self._tasks(community, member))

    def reminder(self, community: Community, member: Member, roster: Roster | None) -> list[Entry]:
        """The duties that a member has in meetings to come, and their actions."""
        turns: list[Entry] = []
        for meeting_id in self._coming(community):
            found = self._agenda(community, meeting_id)
            held = [duty for duty in found.duties if duty.person_id == member.person_id]
            sitting = for_member(found.meeting, member.crew_id, roster)
            turns += [self._turn(community, found, duty, sitting) for duty in held]
        return [*turns, *self._tasks(community, member)]

    # --- what is read ------------------------------------------------------------------------------------------------

    def _agenda(self, community: Community, meeting_id: int) -> Agenda:
        if meeting_id not in self._read:
            meeting = diary.by_id(self._connection, meeting_id)
            domain = self._site.domain
            found = agenda.read_agenda(self._connection, community, meeting, domain=domain)
            self._read[meeting_id], self._versions[meeting_id] = found, hash(found)
        return self._read[meeting_id]

    def _coming(self, community: Community) -> Sequence[int]:
        """The meetings of a community that come next, one of each series."""
        if community.id not in self._following:
            self._following[community.id] = diary.coming(self._connection, community.id, self._now)
        return self._following[community.id]

    def _subject(self, community: Community, meeting: diary.Meeting) -> str:
        if meeting.id not in self._subjects:
            self._subjects[meeting.id] = subject(community, meeting)
        return self._subjects[meeting.id]

    def _duty(self, guest: _Guest) -> tuple[Duty, datetime | None, datetime | None]:
        """Who walks one roster is at work at the same hours."""
        key = guest.roster, guest.sitting.starts_at
        if key not in self._duties:
            self._duties[key] = _duty(*key)
        return self._duties[key]

    # --- the meeting -------------------------------------------------------------------------------------------------

    def _meeting(self, community: Community, found: Agenda, guest: _Guest, *, whole: bool) -> Entry:
        """The meeting itself; `whole` with what a calendar is told, and the titles of all its topics."""
        duty, start, end = self._duty(guest)
        answer = _answer(found, guest.member)
        me = guest.member.person_id
        mine = (
            frozenset(held.id for held in found.duties if held.person_id == me),
            frozenset(one.topic.id for one in found.items if me in (one.topic.lead_id, one.topic.person_id)),
            frozenset(one.author_key for one in found.inputs) & guest.reader.keys,
        )
        version = self._versions[found.meeting.id]
        key = (found.meeting.id, "meeting", version, whole, guest.sitting.id, duty, start, end, answer, mine)
        fragment = self._weeks.once(
            (community.id, *key), lambda: self._meeting_made(community, found, guest, (duty, start, end), whole=whole)
        )
        return Entry(
            number=0,
            block="meeting",
            fragment=fragment,
            subject=self._subject(community, found.meeting),
            answers=found.message_id,
            about_id=found.meeting.id,
        )

    def _meeting_made(
        self,
        community: Community,
        found: Agenda,
        guest: _Guest,
        at_work: tuple[Duty, datetime | None, datetime | None],
        *,
        whole: bool,
    ) -> Meeting:
        meeting, sitting = found.meeting, guest.sitting
        duty, duty_start, duty_end = at_work
        answer = _answer(found, guest.member)
        inputs = found.inputs[-_INPUTS:] if whole else ()
        return Meeting(
            start=sitting.starts_at,
            end=sitting.ends_at,
            place=clean(sitting.place),
            duty=duty,
            duty_start=duty_start,
            duty_end=duty_end,
            title=clean(meeting.series.title) if meeting.series.title != community.title else "",
            slots=_slots(found, guest, many=len(found.items) if whole else _LISTED),
            until=meeting.input_until if self._now < meeting.input_until else None,
            others=tuple(
                Span(begin=one.starts_at, end=one.ends_at) for one in meeting.sittings if one.id != sitting.id
            ),
            roles=tuple(
                Held(role=one.role, name=YOU if one.person_id == guest.member.person_id else one.name, load=one.load)
                for one in found.duties
            ),
            coming=attendance.counts(found.said)["yes"],
            answer=answer,
            change=_change(found, sitting, self._now),
            inputs=tuple(_told(one, guest) for one in inputs),
            earlier=len(found.inputs) - len(inputs) if whole else 0,
            invitation=Invitation(event=calendar.event(community, found, sitting, site=self._site), answer=answer)
            if whole
            else None,
        )

    # --- topics and what came of the last meeting --------------------------------------------------------------------

    def _topic(self, community: Community, item: Item, guest: _Guest) -> Entry:
        topic = item.topic
        mine = (
            guest.member.person_id in (topic.person_id, topic.lead_id),
            frozenset(one.author_key for one in item.inputs) & guest.reader.keys,
            frozenset(one.card_id for one in item.notes if one.owner_id == guest.member.person_id),
        )
        key = (community.id, "topic", topic.id, self._versions[topic.meeting_id], mine)
        return Entry(
            number=0,
            block="topic",
            fragment=self._weeks.once(key, lambda: _topic_made(item, guest)),
            subject=f"Re: {topic.title}",
            answers=topic.message_id,
            about_id=topic.id,
        )

    def _recap(self, community: Community, found: Agenda, guest: _Guest) -> Iterator[Entry]:
        last = found.last
        if last is None or last.meeting.starts_at > self._now or not (last.results or last.unprinted):
            return
        me = guest.member.person_id
        mine = (
            frozenset(one.author_key for one in last.unprinted) & guest.reader.keys,
            frozenset(note.card_id for note in last.results if note.owner_id == me),
        )
        there = for_member(last.meeting, guest.member.crew_id, guest.roster)
        key = (community.id, "recap", self._versions[found.meeting.id], there.id, mine)
        yield Entry(
            number=0,
            block="recap",
            fragment=self._weeks.once(key, lambda: _recap_made(found, last, guest, there)),
            subject=self._subject(community, last.meeting),
            answers=last.message_id,
            about_id=last.meeting.id,
        )

    # --- what is the reader's own ------------------------------------------------------------------------------------

    def _turns(self, community: Community, found: Agenda, guest: _Guest) -> list[Entry]:
        mine = [duty for duty in found.duties if duty.person_id == guest.member.person_id]
        return [self._turn(community, found, duty, guest.sitting) for duty in mine]

    def _turn(self, community: Community, found: Agenda, duty: roles.Duty, sitting: Sitting) -> Entry:
        turn = Turn(
            role=duty.role,
            title=clean(found.meeting.series.title),
            start=sitting.starts_at,
            load=duty.load,
        )
        return Entry(
            number=0,
            block="turn",
            fragment=turn,
            subject=self._subject(community, found.meeting),
            answers=found.message_id,
            about_id=duty.id,
        )

    def _tasks(self, community: Community, member: Member) -> Iterator[Entry]:
        if community.id not in self._actions:
            self._actions[community.id] = cards.open_actions(self._connection, community.id)
        for card in self._actions[community.id]:
            if card.owner_id == member.person_id and card.meeting_id is not None:
                found = self._agenda(community, card.meeting_id)
                yield Entry(
                    number=0,
                    block="action",
                    fragment=Task(
                        text=shorten(clean(card.text), _LINE_LENGTH), due=card.due_on, decided=found.meeting.starts_at
                    ),
                    subject=self._subject(community, found.meeting),
                    answers=found.message_id,
                    about_id=card.id,
                )


def subject(community: Community, meeting: diary.Meeting) -> str:
    """The subject of all answers to one meeting: in the community's language and the series' zone, the same for all.

    It says the day that its rhythm gave it, which stays when it is moved.
    """
    language = languages.read_by(None, community.language)
    start = schedule.wall(meeting.day, meeting.series.sessions[0].starts, meeting.series.zone)
    words = Words(language=language, zone=meeting.series.zone, year=meeting.day.year)
    title = apart(clean(meeting.series.title))
    return in_text(words.say("%(community)s meeting, %(time)s", community=title, time=words.full(start)))


# --- pure ------------------------------------------------------------------------------------------------------------


def _guest(found: Agenda, member: Member, reader: Reader, roster: Roster | None) -> _Guest:
    return _Guest(
        member=member, reader=reader, roster=roster, sitting=for_member(found.meeting, member.crew_id, roster)
    )


def _cancelled(found: Agenda) -> bool:
    return found.meeting.cancelled_at is not None


def _answer(found: Agenda, member: Member) -> Answer:
    said = next((one.answer for one in found.said if one.person_id == member.person_id), None)
    return "no" if said == "delegated" else said or ""


def _change(found: Agenda, sitting: Sitting, now: datetime) -> str:
    """What is to be said first of a meeting."""
    if _cancelled(found):
        return "cancelled"
    if any(one.starts_at <= now for one in found.meeting.sittings) and found.results:
        return "noted"
    if sitting.sequence:
        return "moved"
    return "final" if now >= found.meeting.input_until else ""


def _duty(roster: Roster | None, start: datetime) -> tuple[Duty, datetime | None, datetime | None]:
    """Whether the reader is at work at that moment, and from when to when the shift is that says so."""
    if roster is None:
        return "", None, None
    shift, night = roster.at(start), schedule.slept_off(roster, start)
    of = shift or night
    if of is None:
        return "off", None, None
    duty: Duty = "sleep" if shift is None else "night" if schedule.is_night(of) else "shift"
    return duty, of.start.astimezone(UTC), of.end.astimezone(UTC)


def concerns(meeting: Meeting) -> bool:
    """Whether the reader can be there, as far as their rota says: they are neither off shift then nor asleep."""
    return meeting.duty not in ("off", "sleep")


def _slots(found: Agenda, guest: _Guest, *, many: int) -> tuple[Slot, ...]:
    """The blocks of the meeting with the titles of their topics; what is only offered is not among them."""
    slots: list[Slot] = []
    for place, block in enumerate(found.meeting.series.blocks):
        there = [one for one in found.items if one.block == place and one.topic.state == "open"]
        listed = tuple(
            Listed(title=shorten(clean(one.topic.title), _TITLE_LENGTH), who=_who(one, guest)) for one in there[:many]
        )
        slots.append(Slot(minutes=block.minutes, title=block.title, topics=listed, more=max(len(there) - many, 0)))
    return tuple(slots)


def _who(item: Item, guest: _Guest) -> str:
    """Who leads a topic, or else proposed it."""
    person_id = item.topic.lead_id or item.topic.person_id
    return YOU if person_id == guest.member.person_id else item.leader or item.proposer


def _topic_made(item: Item, guest: _Guest) -> Topic:
    topic = item.topic
    newest = item.inputs[-_INPUTS:]
    return Topic(
        title=shorten(clean(topic.title), 2 * _TITLE_LENGTH),
        kind=topic.kind,
        who=_who(item, guest),
        led=topic.lead_id is not None,
        minutes=topic.takes,
        seconds=len(topic.seconds),
        carried=topic.carried,
        fits=item.fits,
        offered=topic.state == "offered",
        text=_few(topic.text, _TEXT_WORDS),
        inputs=tuple(_told(one, guest) for one in newest),
        earlier=len(item.inputs) - len(newest),
        noted=tuple(_noted(one, guest) for one in item.notes),
    )


def _recap_made(found: Agenda, last: Agenda, guest: _Guest, there: Sitting) -> Recap:
    results = [one for one in last.results if one.kind != "note"]
    return Recap(
        start=there.starts_at,
        noted=tuple(_noted(one, guest) for one in results[:_NOTES]),
        added=tuple(_told(one, guest) for one in last.unprinted[-_ADDED:]),
        more=max(len(results) - _NOTES, 0) + max(len(last.unprinted) - _ADDED, 0),
        carried=sum(one.topic.carried > 0 for one in found.items),
    )


def _told(one: Input, guest: _Guest) -> Told:
    author = YOU if one.author_key in guest.reader.keys else one.author
    return Told(author=author, date=one.date, text=_few(one.text, _INPUT_WORDS))


def _noted(note: Note, guest: _Guest) -> Noted:
    owner = YOU if note.owner_id == guest.member.person_id else note.owner
    return Noted(
        kind=note.kind, text=shorten(clean(note.text), _LINE_LENGTH), owner=owner, due=note.due_on, done=note.done
    )


def _few(text: str, words: int) -> str:
    """The first sentences of a text, at most so many words; one sentence at least."""
    kept: list[str] = []
    for sentence in list(prose_sentences(text)) or sentences(text):
        if kept and count_words(sentence) > words:
            break
        kept.append(sentence)
        words -= count_words(sentence)
    return " ".join(kept)
