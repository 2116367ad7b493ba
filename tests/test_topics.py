"""Topics of agendas: their order, what is only offered, what is carried over, and that none is lost or doubled."""

import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta

import pytest
from sqlalchemy import Connection, func, select

from tests import digest_site, meeting_site
from tests.meeting_site import NOW
from tidings.communities.directory import Member
from tidings.database import tables
from tidings.database.engine import Database
from tidings.digests.meetings import topics
from tidings.digests.meetings.diary import Meeting
from tidings.digests.meetings.topics import REACHED, State, Topic

MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class Board:
    """The agendas of the pump team's meetings."""

    connection: Connection
    meetings: list[Meeting]
    people: list[Member]

    def propose(self, title: str, on: int = 0, **values: object) -> Topic:
        """A topic as a mail of that title proposes it, on the agenda of the first meeting or another."""
        found = self.try_to_propose(title, on, **values)
        assert found is not None
        return found

    def try_to_propose(self, title: str, on: int = 0, **values: object) -> Topic | None:
        meeting = self.meetings[on]
        asked = {"message_id": f"{title}@example.org", "now": NOW, "person_id": self.people[0].person_id, **values}
        return topics.propose(
            self.connection,
            series_id=meeting.series.id,
            meeting_id=meeting.id,
            title=title,
            **asked,  # type: ignore[arg-type]
        )

    def second(self, topic: Topic, *people: int) -> None:
        for number in people:
            topics.second(self.connection, topic.id, self.people[number].person_id, NOW)

    def on(self, number: int, *states: State) -> list[str]:
        """The titles on an agenda, in their order."""
        found = topics.of_meeting(self.connection, self.meetings[number].id, states or topics.ON_THE_AGENDA)
        return [one.title for one in found]

    def carry(self, number: int) -> int:
        return topics.carry(self.connection, self.meetings[number].id, self.meetings[number + 1].id)

    def now(self, topic: Topic) -> Topic:
        found = topics.by_id(self.connection, topic.id)
        assert found is not None
        return found


@pytest.fixture
def board(database: Database) -> Iterator[Board]:
    with database.write() as connection:
        pump = digest_site.community(connection)
        people = [digest_site.member(connection, f"{name}@example.org") for name in ("ana", "li", "sam", "raj")]
        series = meeting_site.hour(connection, pump)
        yield Board(connection=connection, meetings=meeting_site.meetings(connection, series), people=people)


# --- order -----------------------------------------------------------------------------------------------------------


def test_what_many_second_comes_first_then_what_was_carried_then_the_older(board: Board) -> None:
    stock = board.propose("stock", now=NOW + 2 * MINUTE)
    leak = board.propose("leak", now=NOW + MINUTE)
    board.propose("gauges", now=NOW)
    assert board.on(0) == ["gauges", "leak", "stock"]
    board.second(stock, 1)
    assert board.on(0) == ["stock", "gauges", "leak"]
    board.second(leak, 1, 2)
    assert board.on(0) == ["leak", "stock", "gauges"]
    assert topics.unsecond(board.connection, leak.id, board.people[1].person_id)
    assert not topics.unsecond(board.connection, leak.id, board.people[1].person_id)
    assert board.on(0) == ["leak", "stock", "gauges"]  # one second each: the older one
    board.carry(0)
    board.propose("oil", on=1, now=NOW - MINUTE)
    assert board.on(1) == ["leak", "stock", "gauges", "oil"]


def test_what_a_leader_placed_comes_first_whatever_others_want(board: Board) -> None:
    first, second, third, fourth = (board.propose(one, now=NOW + n * MINUTE) for n, one in enumerate("abcd"))
    board.second(first, 1, 2, 3)
    topics.order(board.connection, [fourth.id, third.id])
    assert board.on(0) == ["d", "c", "a", "b"]
    topics.order(board.connection, [second.id])
    assert board.on(0) == ["b", "d", "c", "a"]
    topics.order(board.connection, [third.id, second.id])
    assert board.on(0) == ["c", "b", "d", "a"]


def test_placing_topics_leaves_other_agendas_as_they_are(board: Board) -> None:
    here, there = board.propose("here"), board.propose("there", on=1)
    topics.order(board.connection, [there.id])
    topics.order(board.connection, [here.id])
    assert (board.now(here).position, board.now(there).position) == (1, 1)
    topics.order(board.connection, [])


# --- offered, seconded, led ------------------------------------------------------------------------------------------


def test_what_is_offered_comes_last_until_somebody_seconds_it(board: Board) -> None:
    question = board.propose("question", kind="question", state="offered", now=NOW - MINUTE)
    board.propose("topic")
    topics.order(board.connection, [question.id])
    assert board.on(0) == ["topic", "question"]
    assert (question.kind, question.state) == ("question", "offered")
    board.second(question, 1)
    assert board.now(question).state == "open"
    assert board.on(0) == ["question", "topic"]


def test_a_person_seconds_a_topic_once(board: Board) -> None:
    topic, li = board.propose("topic"), board.people[1].person_id
    assert topics.second(board.connection, topic.id, li, NOW)
    assert not topics.second(board.connection, topic.id, li, NOW)
    assert board.now(topic).seconds == {li}


def test_whoever_offers_to_lead_what_is_offered_puts_it_on_the_agenda(board: Board) -> None:
    question, li = board.propose("question", kind="question", state="offered"), board.people[1].person_id
    topics.lead(board.connection, question.id, None)
    assert board.now(question).state == "offered"
    topics.lead(board.connection, question.id, li)
    assert (board.now(question).state, board.now(question).lead_id) == ("open", li)
    topics.lead(board.connection, question.id, None)
    assert (board.now(question).state, board.now(question).lead_id) == ("open", None)


def test_what_is_offered_is_on_the_agenda_once_somebody_proposes_it(board: Board) -> None:
    board.propose("question", kind="question", state="offered")
    assert board.propose("question").state == "open"
    assert board.propose("question", state="offered").state == "open"
    assert board.on(0) == ["question"]


# --- proposed --------------------------------------------------------------------------------------------------------


def test_a_mail_that_comes_twice_proposes_one_topic(board: Board) -> None:
    first = board.propose("leak", minutes=20, text="It leaks.")
    board.second(first, 1)
    assert board.propose("leak", on=1, minutes=5, text="It leaks again.") == board.now(first)
    assert (board.on(0), board.on(1)) == (["leak"], [])


def test_a_topic_is_kept_as_it_was_said_within_bounds(board: Board) -> None:
    topic = board.propose("x" * 200, text="y" * 20_000, minutes=45, message_id="1@example.org")
    assert (len(topic.title), len(topic.text), topic.minutes, topic.takes) == (120, 10_000, 45, 45)
    for minutes in (None, 0, -5, 100_000):
        found = board.propose("short", minutes=minutes, message_id=f"{minutes}@example.org")
        assert (found.minutes, found.takes) == (None, topics.MINUTES)
    topics.give_time(board.connection, topic.id, 25)
    topics.give_time(board.connection, topic.id, 0)
    assert board.now(topic).takes == 25


def test_a_topic_is_found_by_its_message_in_its_own_community(board: Board) -> None:
    topic = board.propose("leak")
    other = digest_site.community(board.connection, "valve", "Valves")
    community_id = board.meetings[0].series.community_id
    assert topics.by_message(board.connection, community_id, "leak@example.org") == topic
    assert topics.by_message(board.connection, community_id, "other@example.org") is None
    assert topics.by_message(board.connection, other.id, "leak@example.org") is None
    assert topics.by_id(board.connection, 4711) is None


def test_a_full_agenda_takes_no_more_but_what_is_carried(board: Board) -> None:
    for number in range(topics.MOST - 1):
        board.propose(f"topic {number}")
    gone = board.propose("gone")
    assert board.try_to_propose("one more") is None
    assert board.try_to_propose("offered", state="offered") is None
    topics.settle(board.connection, gone.id, "withdrawn")
    last = board.propose("one more")
    assert board.try_to_propose("gone") is None  # proposed again, there is no room
    assert board.now(gone).state == "withdrawn"
    topics.settle(board.connection, last.id, "dropped")
    assert board.propose("gone").state == "open"
    board.propose("next", on=1)
    assert board.carry(0) == topics.MOST
    assert len(board.on(1)) == topics.MOST + 1
    assert board.try_to_propose("none", on=1) is None


# --- withdrawn, dropped, done ----------------------------------------------------------------------------------------


def test_what_is_withdrawn_is_on_no_agenda_and_may_be_proposed_again(board: Board) -> None:
    topic = board.propose("leak")
    topics.order(board.connection, [topic.id])
    topics.settle(board.connection, topic.id, "withdrawn")
    assert board.on(0) == board.on(0, *REACHED) == []
    again = board.propose("leak", on=1)
    assert (again.id, again.state, again.position) == (topic.id, "open", None)
    assert (board.on(0), board.on(1)) == ([], ["leak"])


def test_what_somebody_withdrew_is_not_offered_again(board: Board) -> None:
    topic = board.propose("question", kind="question", state="offered")
    topics.settle(board.connection, topic.id, "withdrawn")
    assert board.propose("question", on=1, kind="question", state="offered").state == "withdrawn"
    assert board.on(1) == []
    assert board.propose("question", on=1).state == "open"


def test_a_question_that_nobody_seconded_is_offered_again(board: Board) -> None:
    board.propose("question", kind="question", state="offered")
    assert board.carry(0) == 0
    assert (board.on(0), board.on(1)) == ([], [])
    again = board.propose("question", on=1, kind="question", state="offered")
    assert (again.state, again.carried) == ("offered", 0)
    assert board.on(1) == ["question"]


def test_what_a_meeting_came_to_is_not_offered_again_but_may_be_proposed(board: Board) -> None:
    """Its thread may well be a question that nobody has written to."""
    topic = board.propose("done")
    topics.settle(board.connection, topic.id, "done")
    assert board.propose("done", on=1, kind="question", state="offered").state == "done"
    assert (board.on(0, *REACHED), board.on(1)) == (["done"], [])
    assert board.propose("done", on=1).state == "open"
    assert board.on(1) == ["done"]


def test_what_a_meeting_came_to_stays_on_its_agenda(board: Board) -> None:
    done, left = board.propose("done"), board.propose("left")
    topics.settle(board.connection, done.id, "done")
    assert board.carry(0) == 1
    assert (board.on(0, *REACHED), board.on(1, *REACHED)) == (["done"], ["left"])
    assert (board.now(done).carried, board.now(left).carried) == (0, 1)


# --- carried over ----------------------------------------------------------------------------------------------------


def test_what_is_carried_keeps_who_wants_it_but_not_its_place(board: Board) -> None:
    topic = board.propose("leak")
    board.second(topic, 1, 2)
    topics.lead(board.connection, topic.id, board.people[3].person_id)
    topics.order(board.connection, [topic.id])
    assert board.carry(0) == 1
    carried = board.now(topic)
    assert (len(carried.seconds), carried.lead_id, carried.position, carried.carried) == (
        2,
        board.people[3].person_id,
        None,
        1,
    )


def test_carrying_twice_carries_once(board: Board) -> None:
    topic = board.propose("leak")
    assert [board.carry(0), board.carry(0)] == [1, 0]
    assert board.now(topic).carried == 1


@pytest.mark.parametrize("seed", range(3))
def test_over_a_month_of_meetings_every_topic_is_neither_lost_nor_doubled(board: Board, seed: int) -> None:
    chance = random.Random(seed)
    expected: dict[str, State] = {}
    for number in range(4):
        for _ in range(chance.randint(1, 6)):
            title = f"topic {len(expected)}"
            state: State = chance.choice(("open", "offered"))
            topic = board.propose(title, on=number, state=state)
            if state == "offered" and chance.random() < 0.5:
                board.second(topic, 1)
                state = "open"
            expected[title] = state
        for title in board.on(number, "open"):
            settled: State = chance.choice(("open", "open", "done", "withdrawn"))
            expected[title] = settled
            [topic] = [
                one for one in topics.of_meeting(board.connection, board.meetings[number].id) if one.title == title
            ]
            topics.settle(board.connection, topic.id, settled)
        many = list(expected.values()).count("open")
        expected = {title: "dropped" if state == "offered" else state for title, state in expected.items()}
        assert board.carry(number) == many
    rows = board.connection.execute(select(tables.topic.c.title, tables.topic.c.state)).all()
    assert sorted(map(tuple, rows)) == sorted(expected.items())
    assert sorted(board.on(4)) == sorted(title for title, state in expected.items() if state == "open")
    assert [board.on(number) for number in range(4)] == [[], [], [], []]


def test_seconds_are_those_of_each_topic(board: Board) -> None:
    first, second = board.propose("first"), board.propose("second")
    board.second(first, 1, 2)
    board.second(second, 2, 3)
    found = {one.title: one.seconds for one in topics.of_meeting(board.connection, board.meetings[0].id)}
    ids = [one.person_id for one in board.people]
    assert found == {"first": {ids[1], ids[2]}, "second": {ids[2], ids[3]}}
    assert board.connection.execute(select(func.count()).select_from(tables.topic_second)).scalar_one() == 4
