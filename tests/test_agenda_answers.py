"""Answers to an agenda: words at its items and in a reply to all of it, what is a post, and calendar programs."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.letterbox import NOOR, SAM
from tests.meeting_mail import AFTER, AGENDA, MEETING, RAJ, Met
from tests.small_site import ANA, LI, SmallSite, any_site, makings, small_site
from tidings.archive import cards
from tidings.communities import joining, senders
from tidings.communities.directory import email_key
from tidings.digests.meetings import diary, topics, uids

FIXTURES = (any_site, makings, small_site)


class Invited(Met):
    """Everybody has the agenda: Ana proposed two topics, and somebody asked a question that is offered."""

    def __init__(self, site: SmallSite) -> None:
        super().__init__(site)
        self.propose("topic: Seals (10 min)\nThree failed.\n\ntopic: Stock\n")
        with site.site.database.write() as connection:
            offered = topics.propose(
                connection,
                series_id=self.series_id,
                meeting_id=self.meeting().id,
                title="Which grease?",
                message_id="topic.pump.1@lists.example.org",
                now=site.clock.now(),
                kind="question",
                state="offered",
            )
        assert offered is not None
        self.send_agendas()


@pytest.fixture
def box(small_site: SmallSite) -> Invited:
    return Invited(small_site)


@pytest.fixture
def any_box(any_site: SmallSite) -> Invited:
    """On each engine in turn."""
    return Invited(any_site)


# --- who comes -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "answer"), [("Yes", "yes"), ("No, on nights\n\nLi", "no"), ("vielleicht", "maybe")])
def test_a_word_at_the_meeting_says_who_comes_and_is_not_posted(any_box: Invited, text: str, answer: str) -> None:
    posts = any_box.site.count("post")
    (told,) = any_box.answer(LI, text, "meeting")
    ((key, (said, _)),) = any_box.said().items()
    assert (key, said) == (LI, answer)
    assert "Pump hour, Tue 20 Oct 2026 14:00 (Europe/Berlin): we noted that you " in told.text
    assert any_box.address(LI, "meeting") in told.text
    assert any_box.site.count("post") == posts


def test_the_last_word_counts_and_a_reply_to_all_of_an_agenda_is_about_its_meeting(box: Invited) -> None:
    box.answer(LI, "yes", "meeting")
    box.site.clock.advance(timedelta(minutes=1))
    box.answer(LI, "no")
    assert box.said() == {LI: ("no", "")}
    (which,) = box.answer(SAM, "yes")  # in a digest that tells of posts too, it may be an answer to these
    assert which.subject.startswith("Which one?")
    box.reply(which, f"{box.number(SAM, 'meeting')}")
    assert box.said()[SAM] == ("yes", "")


def test_who_does_not_come_and_has_a_role_is_told_how_to_give_it_away(box: Invited) -> None:
    box.give("lead", LI)
    (told,) = box.answer(LI, "no", "meeting")
    assert "You still lead it." in told.text
    assert box.duties() == {"lead": "Li"}


def test_what_is_over_or_cancelled_has_nobody_to_come(box: Invited) -> None:
    address = box.address(LI, "meeting")
    with box.site.site.database.write() as connection:
        diary.cancel(connection, box.meeting(), box.site.clock.now())
    (told,) = box.write(address, "yes", LI)
    assert "it is cancelled" in told.text
    assert box.said() == {}


def test_a_meeting_that_is_over_has_nobody_to_come(box: Invited) -> None:
    box.site.clock.set(AFTER)
    (told,) = box.answer(LI, "yes", "meeting")
    assert "it is over" in told.text
    assert box.said() == {}


@pytest.mark.parametrize("word", ["pause", "mute", "resume"])
def test_the_words_of_all_items_go_on_working_at_a_meeting(box: Invited, word: str) -> None:
    posts = box.site.count("post")
    assert len(box.answer(LI, word, "meeting")) == 1
    assert (box.site.count("post"), box.said()) == (posts, {})


def test_a_yes_at_a_topic_is_an_answer_to_it(box: Invited) -> None:
    box.answer(LI, "Yes", "topic", "Stock")
    assert box.said() == {}
    (stock,) = [one for one in box.agenda().items if one.topic.title == "Stock"]
    assert [one.text for one in stock.inputs] == ["Yes"]


# --- the agenda ------------------------------------------------------------------------------------------------------


def test_a_second_by_number_and_by_address(any_box: Invited) -> None:
    number = any_box.number(LI, "topic", "Stock")
    (told,) = any_box.answer(LI, f"#{number} +1")
    assert "You second this topic: Stock" in told.text
    (told,) = any_box.answer(LI, "+1", "topic", "Stock")
    assert "already" in told.text
    any_box.answer(SAM, "seconded", "topic", "Stock")
    (stock,) = [one for one in any_box.topics() if one.title == "Stock"]
    assert stock.seconds == {any_box.present(LI).person_id, any_box.present(SAM).person_id}
    (told,) = any_box.answer(ANA, "+1", "topic", "Stock")
    assert "your own topic" in told.text


def test_a_second_puts_on_the_agenda_what_was_offered(box: Invited) -> None:
    box.answer(LI, "+1", "topic", "Which grease")
    assert {one.title: one.state for one in box.topics()}["Which grease?"] == "open"


def test_what_is_meant_is_asked_where_a_number_is_missing_or_wrong(box: Invited) -> None:
    (told,) = box.answer(LI, "+1", "meeting")
    assert "Write the number of the topic" in told.text
    (told,) = box.answer(LI, "#99 +1")
    assert "There is no #99 there." in told.text
    (told,) = box.answer(RAJ, "move to yesterday", "meeting")
    assert "move to Wed 21 Oct 15:00" in told.text


def test_offers_lead_a_topic_and_fill_the_roles_of_the_meeting(any_box: Invited) -> None:
    any_box.answer(LI, "I can lead", "topic", "Stock")
    any_box.answer(LI, "I'll host", "meeting")
    any_box.answer(SAM, "scribe", "meeting")
    (told,) = any_box.answer(ANA, "I take notes", "meeting")
    assert any_box.duties() == {"host": "Li", "scribe": "Sam"}
    assert "Sam does this time" in told.text
    (stock,) = [one for one in any_box.topics() if one.title == "Stock"]
    assert stock.lead_id == any_box.present(LI).person_id
    (told,) = any_box.answer(SAM, "lead", "topic", "Stock")
    assert "Somebody else leads" in told.text


def test_a_role_is_swapped_to_who_is_next_or_named_and_they_hear_of_it(any_box: Invited) -> None:
    any_box.answer(LI, "lead", "meeting")
    any_box.answer(SAM, "lead", "meeting")
    (told,) = any_box.answer(LI, "can't lead", "meeting")
    assert any_box.duties() == {"lead": "Sam"}
    assert "Sam will lead Pump hour, Tue 20 Oct 2026 14:00" in told.text
    any_box.answer(SAM, "swap with @ana", "meeting")
    assert any_box.duties() == {"lead": "Ana"}
    any_box.site.clock.advance(timedelta(minutes=1))
    any_box.site.site.run_due()
    any_box.answer(ANA, "swap with @li", "turn")
    assert any_box.duties() == {"lead": "Li"}
    (only,) = any_box.answer(SAM, "swap", "meeting")
    assert "you have no role there" in only.text


def test_nothing_is_swapped_with_whom_nobody_knows_or_where_nobody_is_willing(box: Invited) -> None:
    box.give("lead", LI)
    (told,) = box.answer(LI, "swap with @zoe", "meeting")
    assert "do not know which member" in told.text
    (told,) = box.answer(LI, "swap", "meeting")
    assert "Nobody else is willing" in told.text
    assert box.duties() == {"lead": "Li"}


def test_ones_own_topic_second_and_offer_are_taken_back_and_no_others(any_box: Invited) -> None:
    (told,) = any_box.answer(LI, "withdraw", "topic", "Seals")
    assert "you did not propose" in told.text
    any_box.answer(LI, "+1", "topic", "Seals")
    any_box.answer(LI, "withdraw", "topic", "Seals")
    assert all(not one.seconds for one in any_box.topics())
    any_box.answer(ANA, "withdraw", "topic", "Seals")
    assert any_box.titles() == ["Stock", "Which grease?"]
    any_box.answer(LI, "lead", "meeting")
    (told,) = any_box.answer(LI, "withdraw my offer", "meeting")
    assert "You still have a role this time" in told.text


def test_proposals_in_a_reply_go_on_the_agenda_and_what_is_above_is_posted_with_them(any_box: Invited) -> None:
    any_box.answer(LI, "Hi,\n\ntopic: Night stock (15 min)\nNobody can get in.\n")
    any_box.answer(SAM, "I shall be late.\n\ntopic: Lamps\n", "meeting")
    assert {"Night stock", "Lamps"} <= set(any_box.titles())
    (lamps,) = [one for one in any_box.topics() if one.title == "Lamps"]
    assert lamps.text == "I shall be late."
    assert any_box.agenda().inputs == ()
    assert any_box.site.problems() == []


@pytest.mark.parametrize("text", ["topic:", "topics:\n", "topic: (20 min)"])
def test_a_line_that_names_no_topic_is_a_post(box: Invited, text: str) -> None:
    topics_before, posts = box.titles(), box.site.count("post")
    box.answer(LI, text, "meeting")
    assert (box.titles(), box.site.count("post")) == (topics_before, posts + 1)


def test_a_proposal_that_answers_an_old_agenda_goes_on_the_next_one(box: Invited) -> None:
    box.site.clock.set(AFTER)
    box.answer(LI, "topic: Lamps\n", "meeting")
    assert box.titles(2) == ["Lamps"]


def test_all_else_is_a_post_under_its_item(any_box: Invited) -> None:
    any_box.answer(LI, "Ours failed too.", "topic", "Seals")
    any_box.answer(LI, "No, I think the seal is worn.", "meeting")
    any_box.answer(SAM, "The green one.", "topic", "Which grease")
    number = any_box.number(SAM, "topic", "Stock")
    any_box.answer(SAM, f"#{number} Two are left.")
    found = any_box.agenda()
    assert {one.topic.title: [said.text for said in one.inputs] for one in found.items} == {
        "Seals": ["Ours failed too."],
        "Stock": ["Two are left."],
        "Which grease?": ["The green one."],
    }
    assert [one.text for one in found.inputs] == ["No, I think the seal is worn."]
    assert any_box.site.differences() == []


# --- leaders ---------------------------------------------------------------------------------------------------------


def test_a_leader_is_asked_before_the_agenda_is_changed(any_box: Invited) -> None:
    seals, stock = (any_box.number(RAJ, "topic", about) for about in ("Seals", "Stock"))
    (question,) = any_box.answer(RAJ, f"order {stock} {seals}\n#{seals} 20 min\n")
    assert f"- order {stock} {seals}\n" in question.text
    assert any_box.titles()[:2] == ["Seals", "Stock"]
    any_box.reply(question)
    assert any_box.titles()[:2] == ["Stock", "Seals"]
    assert {one.title: one.minutes for one in any_box.topics()}["Seals"] == 20


def test_a_signed_mail_of_a_leader_changes_the_agenda_at_once(box: Invited) -> None:
    address, number = box.address(RAJ), box.number(RAJ, "topic", "Seals")
    (told,) = box.signed(address, f"drop #{number}", RAJ)
    assert "This is off the agenda: Seals" in told.text
    assert box.titles() == ["Stock", "Which grease?"]
    box.signed(box.address(RAJ, "meeting"), "place: room 4", RAJ)
    assert box.meeting().sittings[0].place == "room 4"
    box.signed(box.address(RAJ, "meeting"), "move to Wed 21 Oct 15:00", RAJ)
    assert box.meeting().starts_at == datetime(2026, 10, 21, 13, 0, tzinfo=UTC)
    box.signed(box.address(RAJ, "meeting"), "cancel the meeting", RAJ)
    assert box.meeting().cancelled_at is not None
    box.signed(box.address(RAJ, "meeting"), "restore the meeting", RAJ)
    assert box.meeting().cancelled_at is None
    assert box.meeting().sittings[0].sequence == 4


def test_who_leads_the_meeting_may_change_it_and_others_not(box: Invited) -> None:
    (told,) = box.signed(box.address(LI, "meeting"), "place: room 4", LI)
    assert "Only who leads" in told.text
    box.give("lead", LI)
    box.signed(box.address(LI, "meeting"), "place: room 4", LI)
    assert box.meeting().sittings[0].place == "room 4"


def test_what_cannot_be_is_said(box: Invited) -> None:
    (told,) = box.signed(box.address(RAJ, "meeting"), "restore the meeting", RAJ)
    assert "Nothing was changed: The meeting of 2026-10-20 is not cancelled." in told.text


def test_everybody_who_knew_of_a_meeting_is_told_that_it_moved(box: Invited) -> None:
    before = box.site.count("edition_section")
    box.signed(box.address(RAJ, "meeting"), "move to Wed 21 Oct 15:00", RAJ)
    assert box.site.count("edition_section") == before + 4


# --- actions ---------------------------------------------------------------------------------------------------------


def test_an_action_is_done_by_a_word_of_its_owner(any_box: Invited) -> None:
    any_box.give("scribe", RAJ)
    any_box.site.clock.set(AFTER)
    any_box.answer(RAJ, "action: @Li order spares\n")
    with any_box.site.site.database.read() as connection:
        (card,) = cards.open_actions(connection, any_box.site.community().id)
    assert card.owner_id == any_box.present(LI).person_id
    any_box.site.clock.set(MEETING + timedelta(days=6, hours=-6))
    any_box.send_agenda(2)
    (told,) = any_box.answer(LI, "done", "action")
    assert "This is done: order spares" in told.text
    with any_box.site.site.database.read() as connection:
        assert cards.open_actions(connection, any_box.site.community().id) == []
    (told,) = any_box.answer(LI, "done", "action")
    assert "already done" in told.text


# --- whose mail it is ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("word", ["yes", "+1", "lead", "swap", "drop #3", "topic: Mine"])
@pytest.mark.parametrize("sender", [ANA, NOOR])
def test_another_members_address_does_nothing(box: Invited, word: str, sender: str) -> None:
    before = box.agenda()
    box.answer(LI, word, "meeting", sender=sender)
    assert box.why()[0] == "hold"
    assert (box.agenda(), box.duties(), box.said()) == (before, {}, {})


def test_a_program_an_old_address_and_a_closed_community_do_nothing(box: Invited) -> None:
    address = box.address(LI, "meeting")
    box.write(address, "yes", LI, Auto_Submitted="auto-replied")
    assert box.why()[0] == "hold"
    box.site.clock.advance(timedelta(days=367))
    box.write(address, "yes", LI)
    assert box.why()[0] == "hold"
    with box.site.site.database.write() as connection:
        joining.archive_community(connection, "pump", box.site.clock.now())
    box.site.clock.advance(timedelta(seconds=10))
    box.write(address, "yes", LI)
    assert box.why()[0] == "hold"
    assert box.said() == {}


def test_an_offered_action_is_done_by_a_word_at_its_topic(box: Invited) -> None:
    box.give("scribe", RAJ)
    box.site.clock.set(AFTER)
    box.answer(RAJ, "action: @Li order spares by 23 Oct\n")
    for days in (6, 13):  # the third agenda is opened, and sent
        box.site.clock.set(MEETING + timedelta(days=days, hours=-6))
        assert box.site.site.run_due().failed == 0
    assert "order spares" in box.titles(3)
    (told,) = box.answer(ANA, "done", "topic", "order spares")
    assert "Only its owner" in told.text
    box.answer(LI, "done", "topic", "order spares")
    assert "order spares" not in box.titles(3)


def test_a_banned_member_says_nothing_of_a_meeting(box: Invited) -> None:
    with box.site.site.database.write() as connection:
        senders.set_rule(connection, box.site.community().id, LI, "ban", box.site.clock.now())
    assert box.answer(LI, "yes", "meeting") == []
    assert box.why()[0] == "discard"
    assert box.said() == {}


def test_a_held_word_that_a_person_releases_is_not_done(box: Invited) -> None:
    box.answer(LI, "yes", "meeting", Auto_Submitted="auto-replied")
    (held,) = box.site.site.spool.listing("held")
    box.site.site.desk().release(held.key)
    box.site.drain()
    assert box.said() == {}


# --- calendar programs -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("partstat", "answer"), [("ACCEPTED", "yes"), ("DECLINED", "no"), ("TENTATIVE", "maybe"), ("accepted", "yes")]
)
def test_the_answer_of_a_calendar_is_noted_and_neither_posted_nor_answered(
    any_box: Invited, partstat: str, answer: str
) -> None:
    posts = any_box.site.count("post")
    assert any_box.accept(SAM, partstat, more="COMMENT:Late by ten minutes\n") == []
    assert any_box.why() == ("accept", f"A member said {answer} to the meeting of 2026-10-20.")
    assert any_box.said() == {SAM: (answer, "Late by ten minutes")}
    assert any_box.site.count("post") == posts


def test_answers_count_by_time_wherever_they_come_from(box: Invited) -> None:
    box.accept(SAM, "DECLINED", stamp="20261019T053000Z")
    box.accept(SAM, "ACCEPTED", stamp="20261018T090000Z")  # which came late
    assert box.said()[SAM][0] == "no"
    box.answer(SAM, "yes", "meeting")
    assert box.said()[SAM][0] == "yes"
    box.accept(SAM, "DECLINED", stamp="20991018T090000Z", sequence=99)
    box.site.clock.advance(timedelta(minutes=1))
    box.answer(SAM, "maybe", "meeting")
    assert box.said()[SAM][0] == "maybe"


def test_any_address_of_a_member_is_theirs(box: Invited) -> None:
    with box.site.site.database.write() as connection:
        joining.add_address(connection, person_id=box.present(SAM).person_id, email="sam@example.net")
    box.accept(SAM, sender="sam@example.net")
    box.accept("sam@example.net", "DECLINED", sender=SAM, stamp="20261018T100000Z")
    assert box.said() == {SAM: ("no", "")}


def test_a_forged_answer_is_held(box: Invited) -> None:
    box.accept(SAM, sender="Noor <noor@example.org>")
    assert box.why() == ("hold", "It answers for sam@example.org, who did not send it.")
    box.accept(SAM, sender="ana@example.org")
    assert box.why()[0] == "hold"
    assert box.said() == {}


def test_who_is_sent_by_a_member_answers_for_them(box: Invited) -> None:
    box.accept(SAM, params=';SENT-BY="mailto:office@example.org"', sender="office@example.org")
    assert box.said() == {SAM: ("yes", "")}


def test_a_guest_whom_nobody_asked_is_noted_as_one(any_box: Invited) -> None:
    any_box.accept(NOOR, params=";CN=Noor Haddad")
    (said,) = any_box.all_said()
    assert (said.person_id, said.name, said.answer) == (None, "Noor Haddad", "yes")
    assert any_box.why()[1].startswith("A guest whom nobody asked said yes")


def test_a_delegate_is_a_guest_for_a_member_until_they_answer(any_box: Invited) -> None:
    any_box.accept(SAM, "DELEGATED", params=f';DELEGATED-TO="mailto:{NOOR}"')
    found = {one.email_key: one for one in any_box.all_said()}
    assert (found[SAM].answer, found[NOOR].answer, found[NOOR].for_key) == ("delegated", "maybe", SAM)
    any_box.accept(NOOR, params=f';DELEGATED-FROM="mailto:{SAM}"', stamp="20261018T100000Z")
    found = {one.email_key: one for one in any_box.all_said()}
    assert (found[NOOR].answer, found[NOOR].for_key) == ("yes", SAM)


def test_nobody_is_made_a_delegate_who_answered_already_nor_a_community(box: Invited) -> None:
    box.answer(ANA, "no", "meeting")
    box.accept(SAM, "DELEGATED", params=f';DELEGATED-TO="mailto:{ANA}"')
    box.accept(LI, "DELEGATED", params=f';DELEGATED-TO="mailto:{AGENDA}"')
    assert box.said() == {ANA: ("no", ""), SAM: ("delegated", ""), LI: ("delegated", "")}


def test_another_time_that_is_proposed_is_a_maybe_with_what_it_says(box: Invited) -> None:
    box.accept(SAM, "TENTATIVE", method="COUNTER", more="COMMENT:Could it be at 16:00?\n")
    assert box.said() == {SAM: ("maybe", "Could it be at 16:00?")}


@pytest.mark.parametrize("method", ["REQUEST", "CANCEL", "PUBLISH", "ADD"])
def test_what_is_no_answer_is_held(box: Invited, method: str) -> None:
    box.accept(SAM, method=method)
    assert box.why() == ("hold", f"A calendar object that is no answer to a meeting here (method {method}).")
    assert (box.said(), box.meeting().cancelled_at) == ({}, None)


@pytest.mark.parametrize(
    "uid",
    [
        "pump-12@lists.example.org",
        "meeting.other.1.20261020.1@lists.example.org",
        "meeting.pump.1.20261021.1@lists.example.org",
        "meeting.pump.1.20261020.99@lists.example.org",
        "meeting.pump.1.20269920.1@lists.example.org",
        "meeting.pump.1.20261020.1@example.org",
    ],
)
def test_an_answer_to_no_meeting_of_ours_is_told_and_not_kept(box: Invited, uid: str) -> None:
    assert box.accept(SAM, uid=uid) == []
    assert box.why() == ("discard", "It answers no meeting of pump.")
    assert box.said() == {}


def test_an_answer_to_a_meeting_that_is_over_or_cancelled_is_not_kept(box: Invited) -> None:
    with box.site.site.database.write() as connection:
        diary.cancel(connection, box.meeting(), box.site.clock.now())
    box.accept(SAM)
    assert box.why() == ("discard", "The meeting of 2026-10-20 is cancelled.")
    with box.site.site.database.write() as connection:
        diary.restore(connection, box.meeting(), box.site.clock.now())
    box.site.clock.set(AFTER)
    box.accept(SAM)
    assert box.why() == ("discard", "The meeting of 2026-10-20 is over.")
    assert box.said() == {}


def test_the_same_answer_again_changes_nothing_and_a_banned_one_is_not_noted(box: Invited) -> None:
    for _ in range(2):
        box.accept(SAM)
    with box.site.site.database.write() as connection:
        senders.set_rule(connection, box.site.community().id, NOOR, "ban", box.site.clock.now())
    box.accept(NOOR)
    assert box.why()[0] == "discard"
    assert box.said() == {SAM: ("yes", "")}


def test_a_uid_is_read_as_it_was_written_whatever_its_case(box: Invited) -> None:
    found = uids.read(box.uid().upper(), "lists.example.org")
    assert found is not None
    assert (found.community, found.series_id, f"{found.day}") == ("pump", box.series_id, "2026-10-20")
    assert uids.read("meeting.pump.1.20261020.1@lists.example.org.evil.example", "lists.example.org") is None
    assert email_key(SAM) == SAM
