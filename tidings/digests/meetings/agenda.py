"""The agenda of a meeting as it stands: its topics by block, what was written under each, who does what, its minutes.

It writes nothing. What is written about a topic is what its thread has besides the post that it began with: before the
meeting it stands under the topic, from the meeting on until the next cut-off it is added to the minutes.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import Any

from sqlalchemy import Connection, Row, select

from tidings.archive import cards, read
from tidings.archive.cards import Card
from tidings.archive.read import Post
from tidings.communities.directory import Community, email_key
from tidings.database import tables
from tidings.digests import names, schedule
from tidings.digests.meetings import attendance, diary, formats, roles, topics
from tidings.digests.meetings.attendance import Said
from tidings.digests.meetings.diary import Meeting
from tidings.digests.meetings.people import called
from tidings.digests.meetings.roles import Duty
from tidings.digests.meetings.topics import Topic

_node, _post, _card, _topic = tables.node.c, tables.post.c, tables.card.c, tables.topic.c

_Written = Mapping[str, Sequence[Post]]


@dataclass(frozen=True, kw_only=True)
class Input:
    """What somebody wrote about a topic, or about the meeting; `author_key` as directory.email_key gives it."""

    post_id: int
    number: int
    message_id: str
    author: str
    author_key: str
    date: datetime
    received_at: datetime
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

    @property
    def unprinted(self) -> list[Input]:
        """What came too late for the agenda that members had, before the meeting or after it, as it came in."""
        before = [*(one for item in self.items for one in item.inputs), *self.inputs]
        since = [one for one in before if one.received_at > self.meeting.input_until]
        return sorted([*since, *self.additions], key=lambda one: one.number)


def message_id(community: Community, meeting: Meeting, domain: str) -> str:
    """The bare Message-ID that all answers to one meeting reply to, so that they make one thread."""
    return f"meeting.{community.name}.{meeting.series.id}.{meeting.day:%Y%m%d}@{domain}"


def added_until(community: Community, meeting: Meeting) -> datetime:
    """Until when (UTC) what is written about a meeting is added to its minutes: the next cut-off."""
    return schedule.next_at(community.cut_off_weekday, community.cut_off_time, community.zone, meeting.ends_at)


def topic_message_id(community: Community, topic_id: str, domain: str) -> str:
    """A bare Message-ID for a topic that no post proposed: its thread begins with the first reply."""
    return f"topic.{community.name}.{topic_id}@{domain}"


def read_agenda(connection: Connection, community: Community, meeting: Meeting, *, domain: str) -> Agenda:
    """The agenda of a meeting and what came of the one before it; `domain` is the site's."""
    last = diary.before(connection, meeting)
    return _agenda(
        connection, community, meeting, domain, _agenda(connection, community, last, domain, None) if last else None
    )


def outline(connection: Connection, community: Community, meeting: Meeting, *, domain: str) -> Agenda:
    """What is on an agenda and who has which role, without what anybody wrote or said: all that calendars are told."""
    found = topics.of_meeting(connection, meeting.id, topics.REACHED)
    people = called(connection, community.id, _people(found, ()))
    items = [_item(people, *placed) for placed in _placed(meeting, found)]
    return Agenda(
        meeting=meeting,
        message_id=message_id(community, meeting, domain),
        items=tuple(items),
        duties=tuple(roles.of_meeting(connection, meeting)),
        said=(),
        inputs=(),
        late=(),
        notes=(),
    )


def _agenda(connection: Connection, community: Community, meeting: Meeting, domain: str, last: Agenda | None) -> Agenda:
    found = topics.of_meeting(connection, meeting.id, topics.REACHED)
    mine = message_id(community, meeting, domain)
    noted = cards.of_meeting(connection, meeting.id)
    written = _written(connection, community.id, meeting, [mine, *(topic.message_id for topic in found)])
    people = called(connection, community.id, _people(found, noted))
    notes = _notes(connection, meeting, noted, people)
    until = added_until(community, meeting)

    def before(root: str) -> tuple[Input, ...]:
        return tuple(_input(one) for one in written[root] if one.received_at < meeting.starts_at)

    def late(root: str) -> tuple[Input, ...]:
        since = [one for one in written[root] if meeting.starts_at <= one.received_at <= until]
        return tuple(_input(one) for one in since)

    placed = _placed(meeting, found)
    return Agenda(
        meeting=meeting,
        message_id=mine,
        items=tuple(
            replace(
                _item(people, topic, block, fits),
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


def _item(people: Mapping[int, str], topic: Topic, block: int, fits: bool) -> Item:
    """A topic at its place, of which nothing was written yet."""
    return Item(
        topic=topic,
        proposer=people.get(topic.person_id or 0, ""),
        leader=people.get(topic.lead_id or 0, ""),
        block=block,
        fits=fits,
        inputs=(),
        late=(),
        notes=(),
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
            continue
        # What is too long alone has all of the block: it would not fit the next time either.
        fits = open_space(meeting) or topic.takes <= left or left == blocks[rest].minutes
        left -= topic.takes if fits else 0
        placed.append((topic, rest, fits))
    return sorted(placed, key=lambda one: one[1])


def open_space(meeting: Meeting) -> bool:
    """Whether its talks are held side by side, so that all that is proposed has a place."""
    return meeting.series.blocks == formats.OPEN_SPACE


# --- what was written ------------------------------------------------------------------------------------------------


def _written(connection: Connection, community_id: int, meeting: Meeting, roots: Collection[str]) -> _Written:
    """By root, what was written below it, as it came in; of several above a post, it is below the nearest.

    Minutes are not among it, nor what belongs to a topic of the series that is on another agenda.
    """
    mine = select(_node.thread_id).where(_node.community_id == community_id, _node.message_id.in_(list(roots)))
    query = select(_node.id, _node.parent_id, _node.thread_id, _node.message_id)
    nodes = connection.execute(query.where(_node.community_id == community_id, _node.thread_id.in_(mine))).all()
    elsewhere = select(_topic.message_id).where(_topic.series_id == meeting.series.id)
    below = _below(nodes, {*roots, *connection.execute(elsewhere).scalars()})
    minutes = select(_card.post_id).where(_card.community_id == community_id, _card.meeting_id.is_not(None))
    posts = read.POSTS.where(_post.community_id == community_id, _post.thread_id.in_(mine), _post.id.not_in(minutes))
    found: dict[str, list[Post]] = {root: [] for root in roots}
    for post in map(read.as_post, connection.execute(posts.order_by(_post.number))):
        root = below.get(post.message_id)
        if root in found and root != post.message_id:
            found[root].append(post)
    return found


def _below(nodes: Sequence[Row[*tuple[Any, ...]]], roots: Collection[str]) -> Mapping[str, str]:
    """By message id, the root at or above each node of these threads.

    What is below none belongs to the root with which its thread begins, where that has no other.
    """
    by_id = {node.id: node for node in nodes}
    of_threads: dict[int, list[tuple[str, bool]]] = {}
    for node in nodes:
        if node.message_id in roots:
            of_threads.setdefault(node.thread_id, []).append((node.message_id, node.parent_id is None))
    known: dict[int, str] = {}
    for node in nodes:
        above, passed = node, {node.id}
        while above.id not in known and above.message_id not in roots:
            up = by_id.get(above.parent_id or 0)
            if up is None or up.id in passed:  # headers may make replies go round in a loop
                break
            above = up
            passed.add(above.id)
        root = above.message_id if above.message_id in roots else known.get(above.id, "")
        known |= dict.fromkeys(passed, root)
    first = {thread: only[0][0] for thread, only in of_threads.items() if len(only) == 1 and only[0][1]}
    return {node.message_id: known[node.id] or first.get(node.thread_id, "") for node in nodes}


def _input(post: Post) -> Input:
    return Input(
        post_id=post.id,
        number=post.number,
        message_id=post.message_id,
        author=names.author(post.author_name, post.author_email),
        author_key=email_key(post.author_email),
        date=post.date,
        received_at=post.received_at,
        text=read.own_text(post).strip(),
    )


def _people(found: Iterable[Topic], noted: Iterable[Card]) -> set[int]:
    people = {one for topic in found for one in (topic.person_id, topic.lead_id)}
    return {one for one in people | {card.owner_id for card in noted} if one is not None}


def _notes(
    connection: Connection, meeting: Meeting, noted: Sequence[Card], people: Mapping[int, str]
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
                owner=people.get(card.owner_id or 0, ""),
                due_on=card.due_on,
                done=card.done_at is not None,
                sitting_id=diary.at(meeting, received[card.post_id]).id,
            ),
        )
        for card in noted
    ]
