"""A quarter of weekly meetings, played on a clock that is set: four crews in two zones, what their members mail, what
they get.

Mail goes in by the real pipeline, the real job runs at every moment at which something is due. Beside the site stands
what the test itself knows: what was proposed, written and noted when, and where each topic should be.
"""

import email
import email.policy
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from email.message import EmailMessage
from email.utils import format_datetime
from functools import partial
from pathlib import Path
from zoneinfo import ZoneInfo

from sqlalchemy import bindparam, func, select

from tests.calendars import Seen, by_icalendar
from tests.letterbox import Letterbox
from tests.meeting_mail import AGENDA, RAJ, Met
from tests.small_site import BERLIN, Makings, SmallSite
from tidings.communities import joining, rota
from tidings.communities.directory import Member
from tidings.communities.roster import Roster
from tidings.communities.rosters import Rosters
from tidings.database import tables
from tidings.digests import fragments, render, schedule, stored
from tidings.digests.meetings import diary, roles, series, topics
from tidings.digests.meetings.diary import Meeting
from tidings.digests.meetings.topics import Topic
from tidings.digests.stored import Entry, Printed

SYDNEY = ZoneInfo("Australia/Sydney")
START = datetime(2026, 9, 11, 9, 0, tzinfo=BERLIN)
"""A Friday, eleven days before the first meeting."""

FIRST_DAY = date(2026, 9, 22)
FIRST, SECOND = "14:00", "05:00"
"""When the two sessions begin, in Berlin: that of the crews there, and on the day after that of those in Sydney."""

PUMP = "pump@lists.example.org"
NOTICE = timedelta(hours=18)
HOUR = timedelta(hours=1)
DAY = timedelta(days=1)

# By first name: delivery, crew and what else is chosen. Those with a crew are of four crews, three of each.
MEMBERS: dict[str, tuple[str, str | None, dict[str, str]]] = {
    "abe": ("weekly", "A", {}),
    "ada": ("each", "A", {}),
    "alf": ("daily", "A", {}),
    "bea": ("weekly", "B", {"language": "de"}),
    "bob": ("daily", "B", {}),
    "bo": ("weekly", "B", {"digest": "Wed 17:00"}),
    "cat": ("weekly", "C", {}),
    "cai": ("each", "C", {"language": "fr"}),
    "cleo": ("daily", "C", {}),
    "dan": ("weekly", "D", {}),
    "dee": ("each", "D", {"language": "es"}),
    "dov": ("weekly", "D", {}),
    "raj": ("each", None, {"role": "leader"}),
    "tess": ("daily", None, {"zone": "Australia/Sydney"}),
}
NEWCOMER = "eva"
WILLING = ("abe", "ada", "bea", "bob", "cat", "cai", "dan", "dee")


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How many meetings, which of them is moved and which cancelled, and before which one somebody joins."""

    meetings: int = 13
    moved: int = 5
    cancelled: int = 9
    joined: int = 8


@dataclass(kw_only=True)
class Proposed:
    """A topic as the test knows it: since when it is on the agenda of which meeting; `word` is in its title only."""

    word: str
    by: str
    message_id: str = ""
    on: list[tuple[datetime, int]] = field(default_factory=list)
    done_at: datetime | None = None
    withdrawn_at: datetime | None = None

    def meeting_at(self, moment: datetime) -> int:
        """The number of the meeting whose agenda it is on; 0: of none."""
        if self.withdrawn_at is not None and self.withdrawn_at <= moment:
            return 0
        return next((number for since, number in reversed(self.on) if since <= moment), 0)


@dataclass(frozen=True, kw_only=True)
class Written:
    """What a member wrote about a topic; `word` is in its text only."""

    word: str
    topic: Proposed
    by: str
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Line:
    """A line of minutes; `word` is in its text only."""

    word: str
    kind: str
    meeting: int
    at: datetime
    owner: str = ""
    due: date | None = None


@dataclass(frozen=True, kw_only=True)
class Mail:
    """An edition that went out; `event` is the session in its calendar object."""

    id: int
    to: str
    at: datetime
    printed: Printed
    raw: bytes
    event: Seen | None
    meeting_id: int | None  # of the meeting that it tells of

    @property
    def entries(self) -> list[Entry]:
        return [entry for section in self.printed.sections for entry in section.entries]

    def of(self, block: str) -> list[Entry]:
        """Its items of a block."""
        return [one for one in self.entries if one.block == block]

    @property
    def agenda(self) -> fragments.Meeting | None:
        """The meeting whose agenda it is."""
        return next((one for one in self._meetings() if one.invitation is not None), None)

    def _meetings(self) -> Iterator[fragments.Meeting]:
        return (one.fragment for one in self.of("meeting") if isinstance(one.fragment, fragments.Meeting))

    @property
    def text(self) -> str:
        """What a reader of text reads."""
        body = parsed(self.raw).get_body(("plain",))
        assert body is not None
        return str(body.get_content())

    @property
    def html(self) -> str:
        body = parsed(self.raw).get_body(("html",))
        assert body is not None
        return str(body.get_content())


def parsed(raw: bytes) -> EmailMessage:
    message = email.message_from_bytes(raw, policy=email.policy.default)
    assert isinstance(message, EmailMessage)
    return message


def _event(raw: bytes) -> Seen | None:
    found = [one for one in parsed(raw).walk() if one.get_content_type() == "text/calendar"]
    if not found:
        return None
    (seen,) = by_icalendar(bytes(found[0].get_payload(decode=True)))
    return seen


class Quarter(Met):
    """The community of the quarter, its letterbox, and what the test knows of it."""

    def __init__(self, folder: Path, makings: Makings, plan: Plan, database: str = "") -> None:
        Letterbox.__init__(self, SmallSite(folder, makings, database, START))
        self.plan = plan
        self.proposed: list[Proposed] = []
        self.written: list[Written] = []
        self.lines: list[Line] = []
        self.mails: list[Mail] = []
        self.runs = 0
        self._todo: list[tuple[datetime, int, Callable[[], None]]] = []
        self._seen = 0
        self.changed: dict[int, datetime] = {}  # when a meeting was moved or cancelled, by number
        self.joined_at: datetime | None = None
        self._people()

    def _people(self) -> None:
        now = self.site.clock.now()
        with self.site.site.database.write() as connection:
            for name, zone, crews in (("north", "Europe/Berlin", "AB"), ("south", "Australia/Sydney", "CD")):
                rota.add_rota(connection, name=name, zone=zone, pattern="dupont")
                for crew in crews:
                    rota.add_crew(connection, name=crew, rota=name, pattern=crew, start_date=date(2026, 8, 31))
            for name, (delivery, of_crew, more) in MEMBERS.items():
                values = {key: more[key] for key in more if key == "role"}
                made = {"name": name.title(), "delivery": delivery, "crew": of_crew, "now": now, **values}
                joining.add_member(connection, community="pump", email=address(name), **made)  # type: ignore[arg-type]
                changes = {key: text for key, text in more.items() if key != "role"}
                if changes:
                    joining.set_member(connection, community="pump", email=address(name), changes=changes, now=now)
            found = series.add(
                connection,
                self.site.community(),
                name="hour",
                title="Pump hour",
                first_day=FIRST_DAY,
                sessions=[series.parse_session(f"{FIRST}=A,B"), series.parse_session(f"+1 {SECOND}=C,D")],
                now=now,
                place="Workshop 2",
            )
        self.series_id = found.id

    # --- time --------------------------------------------------------------------------------------------------------

    def at(self, moment: datetime, do: Callable[[], None]) -> None:
        """Let something be done at a moment, in the order in which it was asked for."""
        self._todo.append((moment.astimezone(UTC), len(self._todo), do))

    def play(self, until: datetime) -> None:
        """Let time pass: what is to be done is done; the job runs after it, and at each moment that it waits for."""
        while True:
            self._todo.sort(key=lambda one: one[:2])
            moment = min([one[0] for one in self._todo[:1]] + list(self._due()), default=until)
            if moment > until:
                break
            now = self.site.clock.now().astimezone(UTC)
            assert moment >= now or self.runs == 0, f"something has been due since {moment} and was not done by {now}"
            if moment > now:
                self.site.clock.set(moment)
            while self._todo and self._todo[0][0] <= moment:
                self._todo.pop(0)[2]()
            self._run()
        self.site.clock.set(until)

    def _run(self) -> None:
        done = self.site.site.run_due()
        assert done.failed == 0
        self.runs += 1
        self._read_mail()

    def _due(self) -> Iterator[datetime]:
        """When the job has something to do next."""
        section, meeting, card = tables.edition_section.c, tables.meeting.c, tables.card.c
        with self.site.site.database.read() as connection:
            for query in (
                select(func.min(section.due_at)).where(section.state == "waiting"),
                select(func.min(meeting.invites_at)).where(meeting.invited_at.is_(None), meeting.closed_at.is_(None)),
                select(func.min(meeting.input_until)).where(meeting.final_at.is_(None), meeting.closed_at.is_(None)),
                select(func.min(meeting.closes_at)).where(meeting.closed_at.is_(None)),
                select(func.min(card.remind_at)).where(card.owner_id.is_not(None), card.due_on.is_not(None)),
            ):
                found = connection.execute(query).scalar()
                if found is not None:
                    yield found
        now = self.site.clock.now().astimezone(UTC)
        yield schedule.next_at(None, self.site.community().cut_off_time, "Europe/Berlin", now + timedelta(seconds=1))

    def _read_mail(self) -> None:
        site = self.site.site
        edition, item, section = tables.edition.c, tables.item.c, tables.edition_section.c
        about = (
            select(item.about_id)
            .join_from(tables.item, tables.edition_section, section.id == item.section_id)
            .where(section.edition_id == bindparam("edition"), item.block == "meeting")
        )
        with site.database.read() as connection:
            query = select(edition.id, edition.recipient, edition.composed_at).where(edition.id > self._seen)
            for row in connection.execute(query.order_by(edition.id)).all():
                raw = render.assemble(connection, row.id, site=site.settings.site, tokens=site.tokens)
                self.mails.append(
                    Mail(
                        id=row.id,
                        to=row.recipient.partition("@")[0],
                        at=row.composed_at.astimezone(UTC),
                        printed=stored.load(connection, row.id),
                        raw=raw,
                        event=_event(raw),
                        meeting_id=connection.execute(about, {"edition": row.id}).scalar(),
                    )
                )
                self._seen = row.id

    # --- what members do ---------------------------------------------------------------------------------------------

    def mail(self, to: str, text: str = "", sender: str = RAJ, subject: str = "", **fields: str) -> bytes:
        fields.setdefault("Date", format_datetime(self.site.clock.now()))
        return super().mail(to, text, sender, subject, **fields)

    def proposes(self, who: str, minutes: int) -> None:
        """A member proposes a topic."""
        word = f"Topic{len(self.proposed) + 1:02d}"
        now = self.site.clock.now().astimezone(UTC)
        self.propose(f"What do we do about it? {who.title()} asks.\n", f"{word} ({minutes} min)", address(who))
        made = Proposed(word=word, by=who, on=[(now, self.following(now))])
        made.message_id = next(one.message_id for one in self.all_topics() if one.title == word)
        self.proposed.append(made)

    def writes(self, who: str, topic: Proposed, *, plainly: bool = False) -> None:
        """A member writes about a topic: to the address under it in their newest agenda, or as a reply to its post."""
        word = f"Input{len(self.written) + 1:03d}"
        self.written.append(Written(word=word, topic=topic, by=who, at=self.site.clock.now().astimezone(UTC)))
        text = f"{word} is what {who.title()} saw on line 3.\n"
        if plainly or not self.number(address(who), "topic", topic.word):
            made = {"In_Reply_To": f"<{topic.message_id}>"}
            self.write(PUMP, text, address(who), f"Re: {topic.word}", **made)
        else:
            self.answer(address(who), text, "topic", topic.word)
        assert self.why()[0] == "accept", self.why()

    def notes(self, who: str, meeting: int, done: list[Proposed], carried: list[Proposed], owner: str) -> None:
        """A member writes minutes: a decision under each topic that is done, an action under one, what is carried."""
        now = self.site.clock.now().astimezone(UTC)
        due = (now + 10 * DAY).date()
        said: list[str] = []
        for place, topic in enumerate(done):
            said.append(f"#{self.number(address(who), 'topic', topic.word)}")
            said.append(f"decision: {self._line('decision', meeting)} is what we do.")
            if place == 0:
                word = self._line("action", meeting, owner, due)
                said.append(f"action: @{owner} by {due:%a} {due.day} {due:%b}: {word} is to be ordered")
            said.append("")
            topic.done_at = now
        said += [f"carry: #{self.number(address(who), 'topic', topic.word)}" for topic in carried]
        self.answer(address(who), "\n".join(said) + "\n", "meeting")
        assert self.why()[0] == "accept", self.why()

    def _line(self, kind: str, meeting: int, owner: str = "", due: date | None = None) -> str:
        word = f"{kind.title()}{len(self.lines) + 1:03d}"
        now = self.site.clock.now().astimezone(UTC)
        self.lines.append(Line(word=word, kind=kind, meeting=meeting, at=now, owner=owner, due=due))
        return word

    # --- what the test knows -----------------------------------------------------------------------------------------

    def starts(self, number: int) -> tuple[datetime, datetime]:
        """When the sessions of a meeting begin (UTC), by the wall clock of Berlin and what was moved."""
        moved = number == self.plan.moved and self.changed.get(number, datetime.max.replace(tzinfo=UTC)) <= self._now()
        day = FIRST_DAY + (number - 1) * 7 * DAY
        first = _berlin(day, "16:00" if moved else FIRST)
        return first, _berlin(day + DAY, SECOND)

    def _now(self) -> datetime:
        return self.site.clock.now().astimezone(UTC)

    def is_cancelled(self, number: int) -> bool:
        """Whether a meeting is cancelled by now."""
        return number == self.plan.cancelled and number in self.changed

    def following(self, moment: datetime) -> int:
        """The number of the first meeting of which a session has not begun."""
        return next(n for n in range(1, 100) if self.starts(n)[1] > moment and not self.is_cancelled(n))

    def topics_on(self, number: int, moment: datetime, *, done: bool = False) -> list[Proposed]:
        """The topics on the agenda of a meeting, those too that it came to if they are asked for."""
        found = [one for one in self.proposed if one.meeting_at(moment) == number]
        return [one for one in found if done or one.done_at is None or one.done_at > moment]

    def carry(self, number: int) -> None:
        """Put what a meeting did not come to on the next agenda, as the test knows it."""
        now = self._now()
        for topic in self.topics_on(number, now):
            topic.on.append((now, self.following(now)))

    def all_topics(self) -> list[Topic]:
        """Every topic of the series that the site knows, but those that were only offered."""
        with self.site.site.database.read() as connection:
            query = select(tables.topic.c.id).where(tables.topic.c.kind == "topic")
            ids = connection.execute(query.order_by(tables.topic.c.id)).scalars().all()
            found = [topics.by_id(connection, one) for one in ids]
        return [one for one in found if one is not None]

    def all_meetings(self) -> list[Meeting]:
        with self.site.site.database.read() as connection:
            return diary.of_series(connection, self.series_id)

    def held(self, number: int) -> dict[str, str]:
        """Who has which role in a meeting, by first name."""
        with self.site.site.database.read() as connection:
            found = roles.of_meeting(connection, self.meeting(number))
        return {one.role: one.name.lower() for one in found}

    def roster(self, name: str) -> Roster | None:
        """The shifts of a member."""
        member = self.present(address(name))
        with self.site.site.database.read() as connection:
            return Rosters(connection).of(member.person_id, member.crew_id)

    def members(self) -> dict[str, Member]:
        """Everybody by first name."""
        names = [*MEMBERS, "ana", "li", "sam", *([NEWCOMER] if self.joined_at else [])]
        return {name: self.present(address(name)) for name in names}

    def agendas(self, number: int, to: str) -> list[Mail]:
        """The mails that told a member of a meeting with an invitation, the first one first."""
        meeting = self.meeting(number)
        return [one for one in self.mails if one.to == to and one.agenda and one.meeting_id == meeting.id]


def address(name: str) -> str:
    """The address of a member."""
    return f"{name}@example.org"


def _berlin(day: date, at: str) -> datetime:
    hour, minute = map(int, at.split(":"))
    return datetime(day.year, day.month, day.day, hour, minute, tzinfo=BERLIN).astimezone(UTC)


# --- the play --------------------------------------------------------------------------------------------------------


def play(quarter: Quarter) -> None:
    """What happens in the quarter."""
    plan = quarter.plan
    quarter.at(START, lambda: None)  # the job plans the meetings
    for place, who in enumerate(WILLING):
        for role in roles.ROLES:
            quarter.at(START + HOUR + timedelta(minutes=place), partial(_offers, quarter, who, role))
    for number in range(1, plan.meetings + 1):
        _week(quarter, number)
    _change(quarter)
    end = quarter.starts(plan.meetings)[1] + 3 * DAY
    quarter.play(end)


def _offers(quarter: Quarter, who: str, role: str) -> None:
    quarter.write(AGENDA, role, address(who))
    assert quarter.why()[0] == "accept", quarter.why()


def _week(quarter: Quarter, number: int) -> None:
    """What members write about one meeting."""
    first, second = quarter.starts(number)
    first += 2 * HOUR if number == quarter.plan.moved else timedelta()
    close = second + HOUR + DAY
    names = [*MEMBERS, "ana", "li", "sam"]

    def who(place: int) -> str:
        return names[(number * 5 + place) % len(names)]

    def on() -> list[Proposed]:
        return quarter.topics_on(number, quarter._now())

    def write(place: int, topic: int, *, plainly: bool = False) -> None:
        if found := on():
            quarter.writes(who(place), found[topic % len(found)], plainly=plainly)

    def write_late(place: int) -> None:
        if found := quarter.topics_on(number, quarter._now(), done=True):
            quarter.writes(who(place), found[0])

    quarter.at(first - 5 * DAY, lambda: quarter.proposes(who(0), 20))
    quarter.at(first - 5 * DAY + HOUR, lambda: quarter.proposes(who(1), 15))
    quarter.at(first - 4 * DAY, lambda: write(2, 0))
    quarter.at(first - 30 * HOUR, lambda: write(3, 1))
    quarter.at(first - 26 * HOUR, lambda: write(4, 0, plainly=True))
    quarter.at(first - 22 * HOUR, lambda: _comes(quarter, number))
    quarter.at(first - 10 * HOUR, lambda: write(5, 0))
    if number == 6:
        quarter.at(first - 40 * HOUR, lambda: _withdraws(quarter, number))
    if number == 7:
        quarter.at(first - 3 * DAY, lambda: _swaps(quarter, number))
    if number != quarter.plan.cancelled:
        if number % 4:
            quarter.at(first + HOUR + timedelta(minutes=10), lambda: _first_minutes(quarter, number))
            quarter.at(second + HOUR + timedelta(minutes=10), lambda: _second_minutes(quarter, number))
        quarter.at(first + 10 * HOUR, lambda: write_late(6))
        quarter.at(close, lambda: quarter.carry(number))
        quarter.at(first + 2 * DAY, lambda: write_late(7))
        quarter.at(first + 6 * DAY, lambda: write_late(8))


def _comes(quarter: Quarter, number: int) -> None:
    """One says yes by mail, one by calendar, where they have the agenda."""
    if quarter.is_cancelled(number):
        return
    for name, do in (("cat", "mail"), ("dee", "calendar")):
        if quarter.agendas(number, name):
            if do == "mail":
                quarter.answer(address(name), "yes", "meeting")
            else:
                event = quarter.agendas(number, name)[-1].event
                assert event is not None
                quarter.accept(address(name), uid=event.uid, sequence=event.sequence, stamp=_stamp(quarter))
            assert quarter.why()[0] == "accept", quarter.why()


def _stamp(quarter: Quarter) -> str:
    return f"{quarter._now():%Y%m%dT%H%M%SZ}"


def _first_minutes(quarter: Quarter, number: int) -> None:
    scribe = quarter.held(number)["scribe"]
    known = [one for one in quarter.topics_on(number, quarter._now()) if _has(quarter, scribe, one)]
    quarter.notes(scribe, number, known[:1], known[1:2], "bea" if number % 2 else "dan")


def _second_minutes(quarter: Quarter, number: int) -> None:
    known = [one for one in quarter.topics_on(number, quarter._now()) if _has(quarter, "raj", one)]
    if known and number % 2:
        quarter.notes("raj", number, known[-1:], [], "bob")


def _has(quarter: Quarter, who: str, topic: Proposed) -> bool:
    """Whether the newest agenda of a member has the topic."""
    newest = [one for one in quarter.mails if one.to == who and one.agenda][-1]
    return any(topic.word in one.subject for one in newest.of("topic"))


def _withdraws(quarter: Quarter, number: int) -> None:
    topic = quarter.topics_on(number, quarter._now())[-1]
    quarter.signed(AGENDA, "withdraw", sender=address(topic.by))
    if quarter.number(address(topic.by), "topic", topic.word):
        quarter.answer(address(topic.by), "withdraw", "topic", topic.word)
        topic.withdrawn_at = quarter._now()


def _swaps(quarter: Quarter, number: int) -> None:
    leader = quarter.held(number)["lead"]
    quarter.signed(AGENDA, "swap", sender=address(leader))
    assert quarter.held(number)["lead"] != leader


def _change(quarter: Quarter) -> None:
    """A leader moves one meeting and cancels another, by mail; somebody joins."""
    plan = quarter.plan

    def move() -> None:
        day = FIRST_DAY + (plan.moved - 1) * 7 * DAY
        quarter.signed(AGENDA, f"move to {day:%a} {day.day} {day:%b} 16:00", sender=RAJ)
        assert quarter.why()[0] == "accept", quarter.why()
        quarter.changed[plan.moved] = quarter._now()

    def cancel() -> None:
        (question,) = quarter.write(AGENDA, "cancel", RAJ)
        quarter.reply(question, "yes")
        quarter.changed[plan.cancelled] = quarter._now()
        quarter.carry(plan.cancelled)

    def join() -> None:
        with quarter.site.site.database.write() as connection:
            made = {"name": "Eva", "delivery": "weekly", "crew": "B", "now": quarter._now()}
            joining.add_member(connection, community="pump", email=address(NEWCOMER), **made)  # type: ignore[arg-type]
        quarter.joined_at = quarter._now()

    quarter.at(quarter.starts(plan.moved)[0] - 3 * DAY, move)
    quarter.at(quarter.starts(plan.cancelled)[0] - 3 * DAY + timedelta(minutes=1), cancel)
    if plan.joined <= plan.meetings:
        quarter.at(quarter.starts(plan.joined)[0] - 4 * DAY, join)
