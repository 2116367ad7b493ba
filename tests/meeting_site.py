"""Made-up meetings for tests: the pump team's hour on Tuesdays in two sessions, with an agenda, roles and minutes."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta

from sqlalchemy import Connection, select

from tests import digest_site, seed
from tidings.archive import cards
from tidings.communities.directory import Community, Member
from tidings.database import tables
from tidings.digests.meetings import attendance, diary, roles, series, topics
from tidings.digests.meetings.agenda import message_id
from tidings.digests.meetings.diary import Meeting
from tidings.digests.meetings.series import Series
from tidings.digests.meetings.topics import Topic

TOKYO, BERLIN = "Asia/Tokyo", "Europe/Berlin"
NOW = datetime(2026, 10, 10, 10, 0, tzinfo=UTC)
"""A Saturday; the first meeting is on Tuesday 13 October 2026 at 14:00 in Berlin, 12:00 UTC."""

FIRST = datetime(2026, 10, 13, 12, 0, tzinfo=UTC)
DOMAIN = digest_site.SITE.domain


def hour(
    connection: Connection,
    community: Community,
    sessions: Sequence[str] = ("14:00",),
    *,
    name: str = "hour",
    title: str = "Pump hour",
    **values: str,
) -> Series:
    """A weekly series from Tuesday 13 October 2026 on, planned ahead of NOW; `sessions` as `series.parse_session`."""
    found = series.add(
        connection,
        community,
        name=name,
        title=title,
        first_day=date(2026, 10, 13),
        sessions=[series.parse_session(text) for text in sessions],
        now=NOW,
        place=values.pop("place", "Room 2"),
        **values,
    )
    diary.plan_ahead(connection, found, NOW)
    return found


def meetings(connection: Connection, found: Series) -> list[Meeting]:
    """The meetings of a series, the first one first."""
    return diary.of_series(connection, found.id)


def topic(
    connection: Connection,
    community: Community,
    meeting: Meeting,
    title: str,
    *,
    by: Member,
    text: str = "",
    lead: Member | None = None,
    minutes: int | None = None,
    at: datetime = NOW,
) -> Topic:
    """A topic that a mail of a member proposed."""
    post = seed.post(
        connection, community.id, subject=title, author=(by.name, by.email), text=text or f"{title}?\n", date=at
    )
    found = topics.propose(
        connection,
        series_id=meeting.series.id,
        meeting_id=meeting.id,
        title=title,
        text=text,
        minutes=minutes,
        message_id=post.message_id,
        person_id=by.person_id,
        now=at,
    )
    assert found is not None
    if lead:
        topics.lead(connection, found.id, lead.person_id)
    return found


def write(
    connection: Connection,
    community: Community,
    under: str,
    text: str,
    *,
    by: Member,
    at: datetime = NOW + timedelta(hours=1),
) -> seed.Seeded:
    """A post of a member under the message with that id, be it one that nobody has seen."""
    return seed.post(
        connection,
        community.id,
        parent=_node(connection, community.id, under),
        subject="Re: a topic",
        author=(by.name, by.email),
        text=text,
        date=at,
    )


def _node(connection: Connection, community_id: int, message_id: str) -> seed.Seeded:
    """The post with that id, else a ghost of it."""
    node = tables.node.c
    query = select(node.id, node.thread_id, node.post_id).where(node.community_id == community_id)
    row = connection.execute(query.where(node.message_id == message_id)).first()
    if row is None:
        return seed.ghost(connection, community_id, message_id)
    return seed.Seeded(id=row.post_id, node_id=row.id, thread_id=row.thread_id, number=0, message_id=message_id)


def minutes(
    connection: Connection,
    community: Community,
    meeting: Meeting,
    lines: Sequence[tuple[cards.Kind, str, dict[str, object]]],
    *,
    by: Member,
    at: datetime,
) -> seed.Seeded:
    """Minutes that a member's post says: lines of a kind and a text, with what else `cards.add` takes."""
    post = write(connection, community, message_id(community, meeting, DOMAIN), "Minutes.\n", by=by, at=at)
    assert post.id is not None
    for position, (kind, text, more) in enumerate(lines):
        cards.add(
            connection,
            community_id=community.id,
            kind=kind,
            post_id=post.id,
            text=text,
            position=position,
            meeting_id=meeting.id,
            person_id=by.person_id,
            now=at,
            **more,  # type: ignore[arg-type]
        )
    return post


def says(connection: Connection, meeting: Meeting, member: Member, answer: attendance.Answer, **values: object) -> None:
    """What a member says of whether they come."""
    attendance.say(
        connection,
        meeting_id=meeting.id,
        answer=answer,
        email=member.email,
        member=member,
        now=NOW,
        **values,  # type: ignore[arg-type]
    )


def gives(connection: Connection, meeting: Meeting, role: roles.Role, member: Member) -> None:
    """A role in a meeting for a member."""
    roles.give(connection, meeting, role, member, NOW)


@dataclass(frozen=True, kw_only=True)
class Team:
    """The pump team: the crew `day` is asked to 14:00, the crew `night` to 22:00; Ana lives by Tokyo's clock."""

    pump: Community
    series: Series
    kim: Member  # leads the community, and has no crew
    raj: Member  # day
    sam: Member  # night
    ana: Member  # night
    li: Member  # no crew

    def meeting(self, connection: Connection, number: int = 0) -> Meeting:
        """A meeting of the series as it is now, counted from 0."""
        return meetings(connection, self.series)[number]


def team(connection: Connection, sessions: Sequence[str] = ("14:00=day", "22:00=night"), **values: str) -> Team:
    """The pump team with its weekly meeting."""
    pump = digest_site.community(connection)
    digest_site.crew(connection, "day", "DDDDOOO")
    digest_site.crew(connection, "night", "NNNNOOO")
    people = {
        "kim": {"role": "leader"},
        "raj": {"name": "Raj Patel", "crew": "day"},
        "sam": {"name": "Sam Okafor", "crew": "night"},
        "ana": {"name": "Ana Lindgren", "crew": "night", "zone": TOKYO},
        "li": {},
    }
    members = {name: digest_site.member(connection, f"{name}@example.org", **of) for name, of in people.items()}
    return Team(pump=pump, series=hour(connection, pump, sessions, **values), **members)


def prepared(connection: Connection, found: Team) -> None:
    """The first meeting, with an agenda, what was written under it, who does what and who comes."""
    meeting = found.meeting(connection)
    pump, kim, raj, sam, ana, li = found.pump, found.kim, found.raj, found.sam, found.ana, found.li
    seals = topic(connection, pump, meeting, "Seal failures, what we learned", by=raj, lead=raj, text=_SEALS)
    stock = topic(connection, pump, meeting, "Spare stock", by=li, minutes=10, at=NOW + timedelta(minutes=5))
    topic(connection, pump, meeting, "Vibration at start-up", by=ana, minutes=15, at=NOW + timedelta(minutes=10))
    topic(connection, pump, meeting, "Lamps for the gauges", by=sam, at=NOW + timedelta(minutes=15))
    topics.second(connection, stock.id, kim.person_id, NOW)
    write(
        connection,
        pump,
        seals.message_id,
        "On line 3 it was the spring, not the seal. See\n"
        "https://example.org/springs/a-long-path-that-does-not-break?with=a&query=that-is-long\n",
        by=sam,
    )
    write(connection, pump, seals.message_id, "I have photos of both.\n", by=ana, at=NOW + timedelta(hours=2))
    write(connection, pump, message_id(pump, meeting, DOMAIN), "I may be ten minutes late.\n", by=li)
    gives(connection, meeting, "lead", raj)
    gives(connection, meeting, "host", ana)
    gives(connection, meeting, "scribe", li)
    says(connection, meeting, raj, "yes", comment="ten minutes late")
    says(connection, meeting, sam, "yes")
    says(connection, meeting, ana, "maybe")
    says(connection, meeting, kim, "no")
    attendance.say(
        connection, meeting_id=meeting.id, answer="yes", email="visitor@elsewhere.example", name="A Visitor", now=NOW
    )


def held(connection: Connection, found: Team) -> None:
    """What came of the first meeting, in both of its sessions, and what was added afterwards."""
    meeting = found.meeting(connection)
    by_title = {one.title: one for one in topics.of_meeting(connection, meeting.id)}
    seals, stock = by_title["Seal failures, what we learned"], by_title["Spare stock"]
    day, night = (one.starts_at for one in meeting.sittings)
    minutes(
        connection,
        found.pump,
        meeting,
        [
            ("decision", "Stiffer springs on lines 1 to 4.", {"topic_id": seals.id}),
            (
                "action",
                "Order twelve springs.",
                {"topic_id": seals.id, "owner_id": found.raj.person_id, "due_on": date(2026, 10, 16)},
            ),
            ("answer", "Two pumps are in the store of hall 3.", {"topic_id": stock.id}),
        ],
        by=found.li,
        at=day + timedelta(minutes=50),
    )
    minutes(
        connection,
        found.pump,
        meeting,
        [("note", "The night crew agrees, and wants a spare set.", {})],
        by=found.sam,
        at=night + timedelta(minutes=50),
    )
    write(
        connection,
        found.pump,
        seals.message_id,
        "I was not there: line 5 has the old spring, too.\n",
        by=found.ana,
        at=night + timedelta(hours=9),
    )
    for one in (seals, stock):
        topics.settle(connection, one.id, "done")
    topics.carry(connection, meeting.id, found.meeting(connection, 1).id)


_SEALS = "We changed eleven seals since January. What I would like to know is whether the springs were to blame.\n"
