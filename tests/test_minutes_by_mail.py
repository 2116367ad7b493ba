"""Minutes by mail: who may write them, what becomes of their lines, and what the scribe is told."""

from datetime import date, datetime, timedelta

import pytest
from sqlalchemy import select

from tests.letterbox import SAM, Sent
from tests.meeting_mail import AFTER, MEETING, RAJ, Met
from tests.small_site import ANA, BERLIN, LI, SmallSite, any_site, from_ana, makings, small_site
from tidings.archive import cards, read
from tidings.communities import joining, rota
from tidings.database import tables
from tidings.digests.meetings import diary, topics

FIXTURES = (any_site, makings, small_site)
QUESTION = "grease@example.org"
ROOT = "meeting.pump.1.20261020@lists.example.org"


class Noted(Met):
    """Everybody has the agenda of two topics and a question; Li is the scribe, and the meeting is over."""

    def __init__(self, site: SmallSite, sessions: tuple[str, ...] = ("14:00",)) -> None:
        super().__init__(site, sessions)
        self.propose("topic: Seals (10 min)\ntopic: Stock\n")
        site.take_in(from_ana("Grease", "Which grease is for line 3?\n", QUESTION))
        with site.site.database.write() as connection:
            topics.propose(
                connection,
                series_id=self.series_id,
                meeting_id=self.meeting().id,
                title="Grease",
                message_id=QUESTION,
                now=site.clock.now(),
                kind="question",
                state="open",
            )
        self.give("scribe", LI)
        self.send_agendas()
        site.clock.set(MEETING - timedelta(hours=12))  # at which the night shift has begun
        assert site.site.run_due().failed == 0
        site.clock.set(AFTER)

    def minutes(self, text: str, who: str = LI, block: str = "") -> list[Sent]:
        """Write minutes in a reply to the agenda; `{Seals}` stands for the number of that topic there."""
        numbers = {name: f"#{self.number(who, 'topic', name)}" for name in ("Seals", "Stock", "Grease")}
        return self.answer(who, text.format(**numbers), block)

    def waiting(self) -> set[str]:
        """The addresses of those for whom the meeting waits."""
        section, membership, period = tables.edition_section.c, tables.membership.c, tables.period.c
        with self.site.site.database.read() as connection:
            query = select(tables.address.c.email).join(tables.membership, membership.address_id == tables.address.c.id)
            query = query.join(tables.edition_section, section.membership_id == membership.id)
            query = query.join(tables.period, period.id == section.period_id)
            query = query.where(section.state == "waiting", period.meeting_id == self.meeting().id)
            return set(connection.execute(query).scalars())

    def lines(self) -> list[tuple[str, str, int | None]]:
        return [(one.kind, one.text, one.topic_id) for one in self.cards()]

    def topic_id(self, title: str) -> int:
        with self.site.site.database.read() as connection:
            states = ("open", "offered", "done", "dropped")
            found = [
                one
                for number in (1, 2)
                for one in topics.of_meeting(connection, self.meeting(number).id, states)
                if one.title == title
            ]
        return found[0].id

    def state(self, title: str) -> str:
        with self.site.site.database.read() as connection:
            found = topics.by_id(connection, self.topic_id(title))
        assert found is not None
        return found.state


@pytest.fixture
def box(small_site: SmallSite) -> Noted:
    return Noted(small_site)


@pytest.fixture
def any_box(any_site: SmallSite) -> Noted:
    """On each engine in turn."""
    return Noted(any_site)


TEXT = """\
Hello,

{Seals} Seals
decision: grey grease
action: @raj order spares by Fri

Three failed in October.

{Stock}
carry:

{Grease}
answer: the green one, it is on the drum

note: Zoe will come to the next one.
"""


def test_minutes_are_one_post_in_the_meetings_thread_and_cards_by_topic(any_box: Noted) -> None:
    posts = any_box.site.count("post")
    (told,) = any_box.minutes(TEXT)
    assert any_box.site.count("post") == posts + 1
    fields, body = any_box.copies()[-1]
    assert fields["Subject"] == "Minutes: Pump hour meeting, Tue 20 Oct 14:00"
    assert fields["In-Reply-To"] == f"<{ROOT}>"
    assert "decision: grey grease" in (body or "")
    seals, grease = any_box.topic_id("Seals"), any_box.topic_id("Grease")
    assert any_box.lines() == [
        ("decision", "grey grease", seals),
        ("action", "order spares", seals),
        ("note", "Three failed in October.", seals),
        ("answer", "the green one, it is on the drum", grease),
        ("note", "Zoe will come to the next one.", grease),
    ]
    (action,) = [one for one in any_box.cards() if one.kind == "action"]
    assert (action.owner_id, action.due_on) == (any_box.present(RAJ).person_id, date(2026, 10, 23))
    assert action.remind_at == datetime(2026, 10, 22, 0, 0, tzinfo=BERLIN)
    for said in ("1 decision", "2 notes", "1 answer", "Raj Patel by Fri 23 Oct 2026: order spares"):
        assert said in told.text
    assert "goes on the next agenda: Stock" in told.text
    assert "Not understood" not in told.text
    assert any_box.site.differences() == []


def test_what_was_carried_goes_on_the_next_agenda_and_what_was_reached_does_not(any_box: Noted) -> None:
    any_box.minutes(TEXT)
    assert [any_box.state(title) for title in ("Seals", "Stock", "Grease")] == ["done", "open", "done"]
    any_box.site.clock.set(MEETING + timedelta(days=2))
    assert any_box.site.site.run_due().failed == 0
    assert any_box.titles(2) == ["Stock"]


def test_an_answer_closes_the_question_that_was_on_the_agenda(any_box: Noted) -> None:
    with any_box.site.site.database.read() as connection:
        asked = read.post(connection, any_box.site.community().id, QUESTION)
        assert asked is not None
        assert cards.answered(connection, [asked.thread_id]) == frozenset()
    any_box.minutes(TEXT)
    (answer,) = [one for one in any_box.cards() if one.kind == "answer"]
    assert answer.about_id == asked.id
    with any_box.site.site.database.read() as connection:
        minutes = read.post_by_id(connection, answer.post_id)
        assert minutes is not None
        assert cards.answered(connection, [asked.thread_id, minutes.thread_id]) == {asked.thread_id}


def test_the_same_minutes_again_double_nothing_and_tell_nobody(any_box: Noted) -> None:
    address = any_box.address(LI)
    raw = any_box.mail(address, "decision: grey grease\n", LI, "Re: the agenda")
    assert len(any_box.take_in(raw, address)) == 1
    assert any_box.take_in(raw, address) == []
    assert any_box.why()[0] == "duplicate"
    assert len(any_box.cards()) == 1


def test_more_minutes_add_their_lines(box: Noted) -> None:
    box.minutes("decision: grey grease\n")
    box.minutes("decision: grey grease, from Monday on\naction: Ana: tell line 3\n", block="meeting")
    assert [text for _, text, _ in box.lines()] == ["grey grease", "grey grease, from Monday on", "tell line 3"]


@pytest.mark.parametrize(
    ("who", "role"), [(LI, None), (SAM, "lead"), (SAM, "host"), (RAJ, None)], ids=["scribe", "lead", "host", "leader"]
)
def test_minutes_are_for_who_has_a_role_or_leads(box: Noted, who: str, role: str | None) -> None:
    if role:
        box.give(role, who)  # type: ignore[arg-type]
    box.minutes("decision: grey grease\n", who)
    assert [text for _, text, _ in box.lines()] == ["grey grease"]


def test_of_anybody_else_it_is_a_post(box: Noted) -> None:
    posts = box.site.count("post")
    box.minutes("decision: grey grease\n", ANA, "meeting")
    assert (box.lines(), box.site.count("post")) == ([], posts + 1)
    box.answer(LI, "decision: grey grease\n", "meeting", sender=ANA)
    assert box.why()[0] == "hold"
    assert box.lines() == []


def test_before_the_meeting_and_after_a_cancelled_one_there_are_no_minutes(box: Noted) -> None:
    box.site.clock.set(MEETING - timedelta(hours=1))
    box.minutes("decision: grey grease\n", block="meeting")
    assert box.lines() == []
    with box.site.site.database.write() as connection:
        diary.cancel(connection, box.meeting(), box.site.clock.now())
    box.site.clock.set(AFTER)
    box.minutes("decision: grey grease\n", block="meeting")
    assert box.lines() == []


def test_what_was_not_understood_is_told_and_kept_as_text(box: Noted) -> None:
    (told,) = box.minutes("action: @zoe order spares by Fri\n\n#99\ndecision: grey grease\n")
    assert [(text, topic) for _, text, topic in box.lines()] == [("zoe: order spares", None), ("grey grease", None)]
    assert box.cards()[0].owner_id is None
    assert box.cards()[0].remind_at is None
    assert "no one member who is called zoe" in told.text
    assert "#99 is no topic" in told.text


def test_an_owner_is_known_by_first_name_name_or_address_and_two_of_a_name_are_none(box: Noted) -> None:
    with box.site.site.database.write() as connection:
        made = {"name": "Ana Silva", "delivery": "each"}
        joining.add_member(connection, community="pump", email="asilva@example.org", now=AFTER, **made)
    box.minutes("action: @Raj one\naction: Raj Patel to two\naction: sam@example.org three\naction: @Ana four\n")
    owners = [one.owner_id for one in box.cards()]
    raj, sam = box.present(RAJ).person_id, box.present(SAM).person_id
    assert owners[:3] == [raj, raj, sam]
    assert owners[3] == box.present(ANA).person_id, "whose whole name it is"
    box.minutes("action: @Silva five\n")
    assert box.cards()[-1].owner_id == box.present("asilva@example.org").person_id


def test_held_minutes_are_cards_once_they_are_let_in(any_box: Noted) -> None:
    with any_box.site.site.database.write() as connection:
        joining.set_community(connection, "pump", {"posting": "moderated"}, any_box.site.clock.now())
    any_box.site.site.communities.find("pump", fresh=True)  # on PostgreSQL what is known may be a second old
    any_box.minutes("decision: grey grease\n")
    assert any_box.why()[0] == "hold"
    assert any_box.lines() == []
    (held,) = any_box.site.site.spool.listing("held")
    any_box.site.site.desk().release(held.key)
    any_box.site.drain()
    assert any_box.lines() == [("decision", "grey grease", None)]


def test_what_one_session_noted_waits_for_those_who_come_to_a_later_one(small_site: SmallSite) -> None:
    with small_site.site.database.write() as connection:
        rota.add_rota(connection, name="late", zone="Europe/Berlin", pattern="N", shifts="N=21:00-05:00")
        rota.add_crew(connection, name="late", rota="late", start_date=date(2026, 10, 5))
        changes = {"crew": "late"}
        joining.set_member(connection, community="pump", email=SAM, changes=changes, now=small_site.clock.now())
    box = Noted(small_site, ("14:00", "22:00=late"))
    before = box.waiting()
    box.minutes("decision: grey grease\n")
    assert (before, box.waiting()) == (set(), {SAM})


def test_minutes_are_added_to_until_the_cut_off_by_who_was_not_there(box: Noted) -> None:
    box.minutes(TEXT)
    box.answer(SAM, "Ours is the red one.", "topic", "Seals")
    found = box.agenda()
    (seals,) = [one for one in found.items if one.topic.title == "Seals"]
    assert [one.text for one in seals.late] == ["Ours is the red one."]
    assert found.late == ()
