"""Agendas as they stand: what was written is under its item, once, what came of a meeting is by session, and what has
no time is said so."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta

import pytest
from sqlalchemy import Connection, select, update

from tests import digest_site, meeting_site, seed
from tests.meeting_site import DOMAIN, NOW
from tests.seed import Seeded
from tidings.communities import joining
from tidings.communities.directory import Community, Member
from tidings.database import tables
from tidings.database.engine import Database
from tidings.digests.meetings import agenda, attendance, diary, roles, topics
from tidings.digests.meetings.agenda import Agenda, Input, Item
from tidings.digests.meetings.diary import Meeting
from tidings.digests.meetings.series import Series
from tidings.digests.meetings.topics import Topic

HOUR, DAY, WEEK = timedelta(hours=1), timedelta(days=1), timedelta(days=7)
BEGINS = datetime(2026, 10, 13, 12, 0, tzinfo=UTC)
"""The first session of the first meeting; the second begins eight hours later."""

CUT_OFF = datetime(2026, 10, 18, 16, 0, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Table:
    """The pump team with its Tuesday meeting in two sessions."""

    connection: Connection
    pump: Community
    series: Series
    people: dict[str, Member]
    proposed: list[str] = field(default_factory=list)

    def meeting(self, number: int = 0) -> Meeting:
        return meeting_site.meetings(self.connection, self.series)[number]

    def topic(self, title: str, *, on: int = 0, by: str = "ana", lead: str = "", **values: object) -> Topic:
        """A topic that a mail proposed; the later ones come later."""
        self.proposed.append(title)
        return meeting_site.topic(
            self.connection,
            self.pump,
            self.meeting(on),
            title,
            by=self.people[by],
            lead=self.people[lead] if lead else None,
            at=NOW + timedelta(minutes=len(self.proposed)),
            **values,  # type: ignore[arg-type]
        )

    def write(self, under: Topic | str, text: str, at: datetime = NOW + HOUR, by: str = "li") -> Seeded:
        message_id = under if isinstance(under, str) else under.message_id
        return meeting_site.write(self.connection, self.pump, message_id, text, by=self.people[by], at=at)

    def minutes(self, *lines: object, at: datetime, by: str = "sam", on: int = 0) -> Seeded:
        """Lines of minutes, each a kind, a text and what else a card has."""
        return meeting_site.minutes(
            self.connection,
            self.pump,
            self.meeting(on),
            lines,  # type: ignore[arg-type]
            by=self.people[by],
            at=at,
        )

    def root(self, number: int = 0) -> str:
        return agenda.message_id(self.pump, self.meeting(number), DOMAIN)

    def carry(self) -> int:
        return topics.carry(self.connection, self.meeting(0).id, self.meeting(1).id)

    def read(self, number: int = 0) -> Agenda:
        return agenda.read_agenda(self.connection, self.pump, self.meeting(number), domain=DOMAIN)


def table_of(connection: Connection, **values: str) -> Table:
    pump = digest_site.community(connection)
    people = {name: digest_site.member(connection, f"{name}@example.org") for name in ("ana", "li", "sam", "raj")}
    series = meeting_site.hour(connection, pump, ("14:00", "22:00"), **values)
    return Table(connection=connection, pump=pump, series=series, people=people)


@pytest.fixture
def table(database: Database) -> Iterator[Table]:
    with database.write() as connection:
        yield table_of(connection)


def titles(found: Agenda) -> list[tuple[str, int, bool]]:
    """Of each item, its block and whether it fits."""
    return [(one.topic.title, one.block, one.fits) for one in found.items]


def item(found: Agenda, title: str) -> Item:
    return next(one for one in found.items if one.topic.title == title)


def texts(found: tuple[Input, ...] | list[Input]) -> list[str]:
    return [one.text for one in found]


# --- blocks ----------------------------------------------------------------------------------------------------------


def test_what_is_led_is_the_structured_input_and_all_else_is_discussed(table: Table) -> None:
    table.topic("stock", minutes=10)
    table.topic("leak", lead="raj", minutes=40)
    table.topic("oil", lead="li", minutes=20)
    assert titles(table.read()) == [("leak", 0, True), ("stock", 1, True), ("oil", 1, True)]


def test_where_nobody_leads_the_structured_input_is_empty(table: Table) -> None:
    table.topic("stock")
    assert titles(table.read()) == [("stock", 1, True)]


@pytest.mark.parametrize(
    ("minutes", "fits"),
    [
        ([10, 10, 10], [True, True, True]),
        ([10, 10, 10, 10], [True, True, True, False]),
        ([20, 20, 10], [True, False, True]),
        ([None, None, None, None], [True, True, True, False]),
        # What is too long alone has the whole of the block, and what comes after it waits.
        ([45, 10], [True, False]),
        ([10, 45, 20], [True, False, True]),
    ],
)
def test_what_there_is_no_time_for_is_said_so(table: Table, minutes: list[int | None], fits: list[bool]) -> None:
    for number, many in enumerate(minutes):
        table.topic(f"topic {number}", minutes=many)
    assert [one.fits for one in table.read().items] == fits


def test_in_an_open_space_all_talks_have_a_place(database: Database) -> None:
    with database.write() as connection:
        table = table_of(connection, format_="open-space")
        for number in range(9):
            table.topic(f"talk {number}", lead="raj" if number == 3 else "")
        found = table.read()
        assert {(one.block, one.fits) for one in found.items} == {(1, True)}
        assert agenda.open_space(found.meeting)


def test_in_a_format_of_its_own_topics_stand_in_its_longest_block(database: Database) -> None:
    with database.write() as connection:
        table = table_of(connection, format_="10 Round; 40 Cases; 10 Next")
        table.topic("leak", lead="raj")
        table.topic("stock", minutes=30)
        table.topic("oil")
        assert titles(table.read()) == [("leak", 1, True), ("stock", 1, True), ("oil", 1, False)]


# --- what was written ------------------------------------------------------------------------------------------------


def test_what_is_written_before_the_meeting_stands_under_its_item(table: Table) -> None:
    leak, stock = table.topic("leak", text="It leaks."), table.topic("stock")
    table.write(leak, "Ours too.", by="li")
    answer = table.write(stock, "Twelve are left.", by="raj", at=BEGINS - timedelta(minutes=1))
    table.write(answer.message_id, "Eleven.", by="sam", at=BEGINS - timedelta(seconds=1))
    table.write(table.root(), "I may be late.", by="sam")
    found = table.read()
    assert texts(item(found, "leak").inputs) == ["Ours too."]
    assert texts(item(found, "stock").inputs) == ["Twelve are left.", "Eleven."]
    assert texts(found.inputs) == ["I may be late."]
    assert found.additions == []
    [one] = item(found, "leak").inputs
    assert (one.author, one.author_key, one.date) == ("Li", "li@example.org", NOW + HOUR)


def test_only_what_they_wrote_themselves_stands_there(table: Table) -> None:
    leak = table.topic("leak")
    quote = "On Saturday Ana wrote:\n> It leaks.\n"
    parent = seed.found(table.connection, table.pump.id, leak.message_id)
    text, folds = f"{quote}\nOurs too.\n", ((0, len(quote), "quote"),)
    seed.post(table.connection, table.pump.id, parent=parent, text=text, folds=folds, date=NOW + HOUR)
    assert texts(item(table.read(), "leak").inputs) == ["Ours too."]


def test_what_is_written_from_the_meeting_to_the_next_cut_off_is_added_to_its_minutes(table: Table) -> None:
    leak = table.topic("leak")
    topics.settle(table.connection, leak.id, "done")
    for text, at in (
        ("before", BEGINS - timedelta(seconds=1)),
        ("as it begins", BEGINS),
        ("between the sessions", BEGINS + 4 * HOUR),
        ("two days later", BEGINS + 2 * DAY),
        ("at the cut-off", CUT_OFF),
        ("after it", CUT_OFF + timedelta(seconds=1)),
    ):
        table.write(leak, text, at=at)
        table.write(table.root(), f"{text}, too", at=at)
    found = table.read()
    late = ["as it begins", "between the sessions", "two days later", "at the cut-off"]
    assert (texts(item(found, "leak").inputs), texts(found.inputs)) == (["before"], ["before, too"])
    assert texts(item(found, "leak").late) == late
    assert texts(found.late) == [f"{text}, too" for text in late]
    assert texts(found.additions) == [*late, *(f"{text}, too" for text in late)]


def test_a_topic_that_no_post_proposed_has_what_was_written_to_its_address(table: Table) -> None:
    message_id = agenda.topic_message_id(table.pump, "7", DOMAIN)
    values = {"series_id": table.series.id, "meeting_id": table.meeting().id, "message_id": message_id, "now": NOW}
    assert topics.propose(table.connection, title="leak", **values) is not None
    assert texts(item(table.read(), "leak").inputs) == []
    first = table.write(message_id, "Ours too.")
    table.write(first.message_id, "And ours.")
    assert texts(item(table.read(), "leak").inputs) == ["Ours too.", "And ours."]


def test_a_topic_that_was_proposed_in_an_answer_to_the_agenda_is_an_item_and_no_input(table: Table) -> None:
    general = table.write(table.root(), "I may be late.")
    post = table.write(table.root(), "topic: stock")
    values = {"series_id": table.series.id, "meeting_id": table.meeting().id, "now": NOW}
    assert topics.propose(table.connection, title="stock", message_id=post.message_id, **values) is not None
    table.write(post.message_id, "Twelve are left.")
    table.write(general.message_id, "We wait.")
    found = table.read()
    assert texts(item(found, "stock").inputs) == ["Twelve are left."]
    assert texts(found.inputs) == ["I may be late.", "We wait."]


def test_of_two_topics_in_one_thread_each_has_what_is_below_it(table: Table) -> None:
    leak = table.topic("leak")
    ours = table.write(leak, "Ours too. And we have no stock.")
    values = {"series_id": table.series.id, "meeting_id": table.meeting().id, "now": NOW}
    assert topics.propose(table.connection, title="stock", message_id=ours.message_id, **values) is not None
    table.write(ours.message_id, "Twelve are left.")
    table.write(leak, "Where exactly?")
    found = table.read()
    assert texts(item(found, "leak").inputs) == ["Where exactly?"]
    assert texts(item(found, "stock").inputs) == ["Twelve are left."]


def test_a_question_in_the_midst_of_a_thread_has_its_answers_and_nothing_that_stands_above(table: Table) -> None:
    first = digest_site.post(table.connection, table.pump.id, "We changed the seals.", subject="Seals")
    question = table.write(first.message_id, "Which ones?")
    table.write(first.message_id, "Well done.")
    table.write(question.message_id, "The grey ones.")
    values = {"series_id": table.series.id, "meeting_id": table.meeting().id, "now": NOW, "kind": "question"}
    assert topics.propose(table.connection, title="Seals", message_id=question.message_id, **values) is not None
    assert texts(item(table.read(), "Seals").inputs) == ["The grey ones."]


def test_what_joined_the_thread_of_a_topic_below_nothing_known_stands_under_it(table: Table) -> None:
    leak = table.topic("leak")
    strays = seed.post(table.connection, table.pump.id, text="Ours too.", date=NOW + HOUR)
    thread_id = seed.found(table.connection, table.pump.id, leak.message_id).thread_id
    _join(table.connection, strays, thread_id)
    assert texts(item(table.read(), "leak").inputs) == ["Ours too."]


def test_replies_that_go_round_in_a_loop_are_read_once(table: Table) -> None:
    leak = table.topic("leak")
    one = seed.post(table.connection, table.pump.id, text="One.", date=NOW + HOUR)
    two = seed.post(table.connection, table.pump.id, text="Two.", parent=one, date=NOW + HOUR)
    thread_id = seed.found(table.connection, table.pump.id, leak.message_id).thread_id
    for post in (one, two):
        _join(table.connection, post, thread_id)
    node = tables.node.c
    table.connection.execute(update(tables.node).where(node.id == one.node_id).values(parent_id=two.node_id))
    assert sorted(texts(item(table.read(), "leak").inputs)) == ["One.", "Two."]


def _join(connection: Connection, post: Seeded, thread_id: int) -> None:
    connection.execute(update(tables.node).where(tables.node.c.id == post.node_id).values(thread_id=thread_id))
    connection.execute(update(tables.post).where(tables.post.c.id == post.id).values(thread_id=thread_id))


def test_every_input_of_a_busy_week_is_under_its_item_once(table: Table) -> None:
    expected: dict[str, list[str]] = {}
    for number in range(8):
        topic = table.topic(f"topic {number}")
        under: Topic | str = topic
        for answer in range(number):
            text = f"answer {answer} to {number}"
            post = table.write(under, text)
            under = post.message_id if answer % 2 else topic
            expected.setdefault(topic.title, []).append(text)
    digest_site.post(table.connection, table.pump.id, "Something else.")
    found = table.read()
    assert {one.topic.title: texts(one.inputs) for one in found.items if one.inputs} == expected
    assert found.inputs == ()


# --- minutes ---------------------------------------------------------------------------------------------------------


def test_minutes_are_under_their_item_by_session_and_are_no_addition(table: Table) -> None:
    leak = table.topic("leak")
    topics.settle(table.connection, leak.id, "done")
    action = ("action", "Order springs.", {"topic_id": leak.id, "owner_id": table.people["raj"].person_id})
    table.minutes(
        ("decision", "Grey seals only.", {"topic_id": leak.id}),
        (*action[:2], {**action[2], "due_on": date(2026, 10, 16)}),
        ("note", "Eight were there.", {}),
        at=BEGINS + HOUR,
    )
    table.minutes(("decision", "Two spare ones.", {"topic_id": leak.id}), at=BEGINS + 9 * HOUR, by="li")
    table.write(table.root(), "Thank you.", at=BEGINS + 10 * HOUR)
    found = table.read()
    day, night = found.meeting.sittings
    assert [(one.kind, one.text, one.sitting_id) for one in item(found, "leak").notes] == [
        ("decision", "Grey seals only.", day.id),
        ("action", "Order springs.", day.id),
        ("decision", "Two spare ones.", night.id),
    ]
    assert [(one.text, one.sitting_id) for one in found.notes] == [("Eight were there.", day.id)]
    assert [one.text for one in found.results] == [
        "Grey seals only.",
        "Order springs.",
        "Two spare ones.",
        "Eight were there.",
    ]
    done = item(found, "leak").notes[1]
    assert (done.owner, done.owner_id, done.due_on, done.done) == (
        "Raj",
        table.people["raj"].person_id,
        date(2026, 10, 16),
        False,
    )
    assert texts(found.additions) == ["Thank you."]


def test_minutes_that_stand_in_the_thread_of_a_topic_are_no_input_of_the_next_meeting(table: Table) -> None:
    leak = table.topic("leak")
    table.write(leak, "Ours too.", by="li")
    post = table.write(leak, "carry: we had no time\n", at=BEGINS + HOUR, by="sam")
    _card(table, post, "We had no time.", leak)
    assert texts(item(table.read(), "leak").late) == []
    table.carry()
    assert texts(item(table.read(1), "leak").inputs) == ["Ours too."]


def _card(table: Table, post: Seeded, text: str, topic: Topic) -> None:
    assert post.id is not None
    meeting_site.cards.add(
        table.connection,
        community_id=table.pump.id,
        kind="note",
        post_id=post.id,
        text=text,
        meeting_id=table.meeting().id,
        topic_id=topic.id,
        now=NOW,
    )


# --- carried over ----------------------------------------------------------------------------------------------------


def test_what_was_written_under_a_topic_goes_with_it_to_the_next_agenda(table: Table) -> None:
    done, leak = table.topic("done"), table.topic("leak")
    table.write(leak, "Before the first.", by="li")
    table.write(leak, "After the first.", at=BEGINS + DAY, by="raj")
    table.write(leak, "After the cut-off.", at=CUT_OFF + HOUR, by="raj")
    table.write(done, "About what was done.", by="li")
    topics.settle(table.connection, done.id, "done")
    assert table.carry() == 1
    before, after = table.read(0), table.read(1)
    assert [one.topic.title for one in before.items] == ["done"]
    assert texts(before.items[0].inputs) == ["About what was done."]
    assert texts(item(after, "leak").inputs) == ["Before the first.", "After the first.", "After the cut-off."]
    assert (before.inputs, before.late, after.inputs) == ((), (), ())
    assert after.last == before
    assert after.last is not None
    assert after.last.last is None


def test_what_was_proposed_in_an_answer_to_an_agenda_and_carried_is_no_addition_to_its_minutes(table: Table) -> None:
    post = table.write(table.root(), "topic: stock")
    values = {"series_id": table.series.id, "meeting_id": table.meeting().id, "now": NOW}
    assert topics.propose(table.connection, title="stock", message_id=post.message_id, **values) is not None
    table.write(post.message_id, "Twelve are left.", at=BEGINS + DAY)
    table.carry()
    before, after = table.read(0), table.read(1)
    assert (before.inputs, before.late) == ((), ())
    assert texts(item(after, "stock").inputs) == ["Twelve are left."]


def test_a_note_about_what_was_carried_stays_in_the_minutes_of_its_meeting(table: Table) -> None:
    leak = table.topic("leak")
    table.minutes(("note", "No time.", {"topic_id": leak.id}), at=BEGINS + HOUR)
    table.carry()
    before, after = table.read(0), table.read(1)
    assert [one.text for one in before.notes] == ["No time."]
    assert item(after, "leak").notes == ()


def test_the_meeting_before_is_the_last_that_was_held(table: Table) -> None:
    diary.cancel(table.connection, table.meeting(1), NOW)
    found = table.read(2)
    assert found.last is not None
    assert found.last.meeting == table.meeting(0)
    assert table.read(0).last is None


# --- people ----------------------------------------------------------------------------------------------------------


def test_an_item_says_who_proposed_and_who_leads_it_also_where_they_left(table: Table) -> None:
    table.topic("leak", by="ana", lead="raj")
    person = tables.person.c
    raj, ana = table.people["raj"], table.people["ana"]
    table.connection.execute(update(tables.person).where(person.id == raj.person_id).values(name=""))
    joining.remove_member(table.connection, membership_id=ana.membership_id, now=NOW)
    found = item(table.read(), "leak")
    assert (found.proposer, found.leader) == ("Ana", "raj")


def test_an_agenda_says_who_does_what_and_who_comes(table: Table) -> None:
    meeting_site.gives(table.connection, table.meeting(), "scribe", table.people["sam"])
    meeting_site.gives(table.connection, table.meeting(), "lead", table.people["raj"])
    meeting_site.says(table.connection, table.meeting(), table.people["li"], "yes")
    found = table.read()
    assert [(one.role, one.name) for one in found.duties] == [("lead", "Raj"), ("scribe", "Sam")]
    assert list(found.duties) == roles.of_meeting(table.connection, table.meeting())
    assert list(found.said) == attendance.of_meeting(table.connection, table.meeting().id)


def test_the_ids_of_meetings_and_topics_are_those_of_no_other(table: Table) -> None:
    other = meeting_site.hour(table.connection, table.pump, name="other")
    meetings = [*meeting_site.meetings(table.connection, table.series), *meeting_site.meetings(table.connection, other)]
    ids = {agenda.message_id(table.pump, one, DOMAIN) for one in meetings}
    assert len(ids) == len(meetings)
    assert table.root() == f"meeting.pump.{table.series.id}.20261013@{DOMAIN}"


def test_an_agenda_is_read_by_who_may_only_read(database: Database) -> None:
    with database.write() as connection:
        table = table_of(connection)
        table.topic("leak")
        meeting = table.meeting()
    with database.read() as connection:
        found = agenda.read_agenda(connection, table.pump, meeting, domain=DOMAIN)
        assert [one.topic.title for one in found.items] == ["leak"]
        assert connection.execute(select(tables.topic.c.id)).scalars().all() == [found.items[0].topic.id]
