"""The agenda of a meeting as it stands: its topics by block, what was written under each, who does what, its minutes.

It writes nothing. What is written about a topic is what its thread has besides the post that it began with: before the
meeting it stands under the topic, from the meeting on until the next cut-off it is added to the minutes.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime

from sqlalchemy import Connection, select

from tidings.archive import cards, read
from tidings.archive.cards import Card
from tidings.archive.read import Post
from tidings.communities.directory import Community, email_key
from tidings.database import tables
from tidings.digests import names, schedule
from tidings.digests.meetings import attendance, diary, formats, roles, topics
from tidings.digests.meetings.attendance import Said
from tidings.digests.meetings.diary import Meeting
from tidings.digests.meetings.roles import Duty
from tidings.digests.meetings.topics import Topic

_node, _post, _person = tables.node.c, tables.post.c, tables.person.c


@dataclass(frozen=True, kw_only=True)
class Input:
    """What somebody wrote about a topic, or about the meeting; `author_key` as directory.email_key gives it."""

    post_id: int
    number: int
    message_id: str
    author: str
    author_key: str
    date: datetime
    text: str


@dataclass(frozen=True, kw_only=True)
class Note:
    """A line of the minutes; `sitting_id` is that of the session at which, or after which, it was written."""

    card_id: int
    kind: cards.Kind
    text: str
    owner_id: int | None
    owner: str
    due_on: date | None
    done: bool
    sitting_id: int


@dataclass(frozen=True, kw_only=True)
class Item:
    """A topic on the agenda; `block` is its place among the blocks, `fits` whether there is time for it."""

    topic: Topic
    proposer: str
    leader: str
    block: int
    fits: bool
    inputs: tuple[Input, ...]
    late: tuple[Input, ...]
    notes: tuple[Note, ...]


@dataclass(frozen=True, kw_only=True)
class Agenda:
    """The agenda of one meeting; `inputs` and `notes` are those under none of its items.

    `last` is the meeting before it, with what came of it; of that one `last` is None.
    """

    meeting: Meeting
    message_id: str
    items: tuple[Item, ...]
    duties: tuple[Duty, ...]
    said: tuple[Said, ...]
    inputs: tuple[Input, ...]
    late: tuple[Input, ...]
    notes: tuple[Note, ...]
    last: "Agenda | None" = None

    @property
    def results(self) -> list[Note]:
        """Every line of the minutes, those under items first."""
        return [*(note for item in self.items for note in item.notes), *self.notes]

    @property
    def additions(self) -> list[Input]:
        """What was added to the minutes by those who were not there."""
        return [*(one for item in self.items for one in item.late), *self.late]


def message_id(community: Community, meeting: Meeting, domain: str) -> str:
    """The bare Message-ID that all answers to one meeting reply to, so that they make one thread."""
    return f"meeting.{community.name}.{meeting.series.id}.{meeting.day:%Y%m%d}@{domain}"


def topic_message_id(community: Community, topic_id: str, domain: str) -> str:
    """A bare Message-ID for a topic that no post proposed: its thread begins with the first reply."""
    return f"topic.{community.name}.{topic_id}@{domain}"


def read_agenda(connection: Connection, community: Community, meeting: Meeting, *, domain: str) -> Agenda:
    """The agenda of a meeting and what came of the one before it; `domain` is the site's."""
    last = diary.before(connection, meeting)
    return _agenda(
        connection, community, meeting, domain, _agenda(connection, community, last, domain, None) if last else None
    )


def _agenda(connection: Connection, community: Community, meeting: Meeting, domain: str, last: Agenda | None) -> Agenda:
    found = topics.of_meeting(connection, meeting.id, topics.REACHED)
    mine = message_id(community, meeting, domain)
    noted = cards.of_meeting(connection, meeting.id)
    written = _written(connection, community.id, [mine, *(topic.message_id for topic in found)])
    people = _names(connection, _people(found, noted))
    notes = _notes(connection, meeting, noted, people)
    minutes = {card.post_id for card in noted}
    until = schedule.next_at(community.cut_off_weekday, community.cut_off_time, community.zone, meeting.ends_at)

    def before(root: str) -> tuple[Input, ...]:
        return tuple(_input(one) for one in written[root] if one.received_at < meeting.starts_at)

    def late(root: str) -> tuple[Input, ...]:
        since = [one for one in written[root] if meeting.starts_at <= one.received_at <= until]
        return tuple(_input(one) for one in since if one.id not in minutes)

    placed = _placed(meeting, found)
    return Agenda(
        meeting=meeting,
        message_id=mine,
        items=tuple(
            Item(
                topic=topic,
                proposer=people.get(topic.person_id, ""),
                leader=people.get(topic.lead_id, ""),
                block=block,
                fits=fits,
                inputs=before(topic.message_id),
                late=late(topic.message_id),
                notes=tuple(note for of, note in notes if of == topic.id),
            )
            for topic, block, fits in placed
        ),
        duties=tuple(roles.of_meeting(connection, meeting)),
        said=tuple(attendance.of_meeting(connection, meeting.id)),
        inputs=before(mine),
        late=late(mine),
        notes=tuple(note for of, note in notes if of not in {topic.id for topic in found}),
        last=last,
    )


def _placed(meeting: Meeting, found: Sequence[Topic]) -> list[tuple[Topic, int, bool]]:
    """The topics in their order, each with its block and whether there is time for it.

    The first that somebody leads is the structured input of a format that has some; what a meeting came to stays where
    its order has it.
    """
    blocks = meeting.series.blocks
    led = next((place for place, block in enumerate(blocks) if block.holds == "led"), None)
    rest = next(place for place, block in enumerate(blocks) if block.holds == "topics")
    first = next((topic for topic in found if topic.lead_id is not None), None) if led is not None else None
    left = blocks[rest].minutes
    placed: list[tuple[Topic, int, bool]] = []
    for topic in found:
        if topic is first and led is not None:
            placed.append((topic, led, True))
        else:
            left -= topic.takes
            placed.append((topic, rest, left >= 0))
    return sorted(placed, key=lambda one: one[1])


def open_space(meeting: Meeting) -> bool:
    """Whether its talks are held side by side, so that all that is proposed has a place."""
    return meeting.series.blocks == formats.OPEN_SPACE


# --- what was written ------------------------------------------------------------------------------------------------


def _written(connection: Connection, community_id: int, roots: Iterable[str]) -> dict[str, list[Post]]:
    """By root, the posts of its thread besides the root itself, as they came in."""
    found: dict[str, list[Post]] = {root: [] for root in roots}
    threads = connection.execute(
        select(_node.message_id, _node.thread_id).where(
            _node.community_id == community_id, _node.message_id.in_(list(found))
        )
    ).all()
    by_thread: dict[int, list[str]] = {}
    for root, thread_id in threads:
        by_thread.setdefault(thread_id, []).append(root)
    if not by_thread:
        return found
    query = read.POSTS.where(_post.community_id == community_id, _post.thread_id.in_(list(by_thread)))
    for post in map(read.as_post, connection.execute(query.order_by(_post.number))):
        for root in by_thread[post.thread_id]:
            if post.message_id != root:
                found[root].append(post)
    return found


def _input(post: Post) -> Input:
    return Input(
        post_id=post.id,
        number=post.number,
        message_id=post.message_id,
        author=names.author(post.author_name, post.author_email),
        author_key=email_key(post.author_email),
        date=post.date,
        text=read.own_text(post).strip(),
    )


def _people(found: Iterable[Topic], noted: Iterable[Card]) -> set[int]:
    people = {one for topic in found for one in (topic.person_id, topic.lead_id)}
    return {one for one in people | {card.owner_id for card in noted} if one is not None}


def _names(connection: Connection, people: Iterable[int]) -> Mapping[int | None, str]:
    query = select(_person.id, _person.name).where(_person.id.in_(list(people)))
    return {person_id: names.author(name, "") for person_id, name in connection.execute(query)}


def _notes(
    connection: Connection, meeting: Meeting, noted: Sequence[Card], people: Mapping[int | None, str]
) -> list[tuple[int | None, Note]]:
    """The lines of the minutes, each with the topic that it stands under."""
    query = select(_post.id, _post.received_at).where(_post.id.in_({card.post_id for card in noted}))
    received: dict[int, datetime] = dict(connection.execute(query).all())
    return [
        (
            card.topic_id,
            Note(
                card_id=card.id,
                kind=card.kind,
                text=card.text,
                owner_id=card.owner_id,
                owner=people.get(card.owner_id, ""),
                due_on=card.due_on,
                done=card.done_at is not None,
                sitting_id=diary.at(meeting, received[card.post_id]).id,
            ),
        )
        for card in noted
    ]
