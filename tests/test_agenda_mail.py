"""Mail to +agenda: topics for the next meeting, by the rules for any post, and words without an item."""

from datetime import date, timedelta

import pytest

from tests.letterbox import NOOR, SAM
from tests.meeting_mail import AFTER, AGENDA, RAJ, Met
from tests.small_site import ANA, LI, SmallSite, any_site, makings, small_site
from tidings.communities import joining, senders
from tidings.digests.meetings import diary, series, topics
from tidings.mailer.addresses import read_recipient
from tidings.mailer.door import Admitted, Refused

FIXTURES = (any_site, makings, small_site)


@pytest.fixture
def box(small_site: SmallSite) -> Met:
    return Met(small_site)


@pytest.fixture
def any_box(any_site: SmallSite) -> Met:
    """On each engine in turn."""
    return Met(any_site)


# --- the address -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", [AGENDA, "pump-agenda@lists.example.org", "Pump+Agenda@Lists.Example.org"])
def test_the_address_is_taken_at_the_door_in_both_spellings(box: Met, address: str) -> None:
    found = read_recipient(address)
    assert found is not None
    assert found.purpose == "agenda"
    assert isinstance(box.site.site.door().recipient(address, now=box.site.clock.now(), asker="x"), Admitted)


def test_a_closed_community_and_a_banned_sender_are_refused_at_the_door_and_guests_are_not(box: Met) -> None:
    door = box.site.site.door()
    with box.site.site.database.write() as connection:
        senders.set_rule(connection, box.site.community().id, "spam@example.org", "ban", box.site.clock.now())

    def said(sender: str) -> str | None:
        admitted = door.recipient(AGENDA, now=box.site.clock.now(), asker="x")
        assert not isinstance(admitted, Refused)
        return door.message([admitted], box.mail(AGENDA, "A topic", sender))[0]

    assert said(NOOR) is said(ANA) is None
    assert (said("spam@example.org") or "").startswith("550 5.7.1")
    with box.site.site.database.write() as connection:
        joining.archive_community(connection, "pump", box.site.clock.now())
    box.site.clock.advance(timedelta(seconds=10))
    assert (said(ANA) or "").startswith("55")


# --- topics ----------------------------------------------------------------------------------------------------------


def test_a_mail_is_a_topic_a_post_and_told_to_its_sender(any_box: Met) -> None:
    (told,) = any_box.propose("Three failed in October.\n", "Seal failures (20 min)")
    (topic,) = any_box.topics()
    assert (topic.title, topic.text, topic.minutes) == ("Seal failures", "Three failed in October.", 20)
    assert topic.person_id == any_box.present(ANA).person_id
    assert any_box.site.count("post") == 1
    ((fields, body),) = any_box.copies()
    assert (fields["Subject"], fields["To"], fields["In-Reply-To"]) == ("Seal failures", "pump@lists.example.org", None)
    assert body == "Three failed in October.\n"
    assert (told.to, told.sender) == (ANA, "pump+command@lists.example.org")
    assert "Seal failures\nis on the agenda of Pump hour, Tue 20 Oct 2026 14:00 (Europe/Berlin)." in told.text


def test_the_date_is_told_in_the_zone_of_the_member(box: Met) -> None:
    with box.site.site.database.write() as connection:
        changes = {"zone": "America/Denver"}
        joining.set_member(connection, community="pump", email=ANA, changes=changes, now=box.site.clock.now())
    (told,) = box.propose("Three failed.", "Seal failures")
    assert "Tue 20 Oct 2026 06:00 (America/Denver)" in told.text


def test_several_topics_of_one_mail_are_posts_of_their_own(any_box: Met) -> None:
    text = "Hi all,\n\ntopic: Seal failures\nThree failed.\n\ntopic: Night stock (10 min)\nNobody can get in.\n"
    (told,) = any_box.propose(text, "For Tuesday")
    assert any_box.titles() == ["Seal failures", "Night stock"]
    assert [fields["Subject"] for fields, _ in any_box.copies()] == ["Seal failures", "Night stock"]
    assert [body for _, body in any_box.copies()] == ["Three failed.\n", "Nobody can get in.\n"]
    assert told.text.count("is on the agenda of") == 2
    assert len({one.message_id for one in any_box.topics()}) == 2
    assert any_box.site.differences() == []
    shown = any_box.site.shown()
    any_box.site.rebuild()
    assert (any_box.site.shown(), any_box.site.problems()) == (shown, [])


def test_what_is_written_to_a_topic_stands_under_it_and_under_no_other(box: Met) -> None:
    box.propose("topic: Seals\ntopic: Stock\n")
    seals, stock = box.topics()
    for number, topic in enumerate((seals, stock)):
        made = box.mail("pump@lists.example.org", f"Input {number}", LI, "Re: x", In_Reply_To=f"<{topic.message_id}>")
        box.take_in(made, "pump@lists.example.org")
    assert [[one.text for one in item.inputs] for item in box.agenda().items] == [["Input 0"], ["Input 1"]]


def test_a_mail_that_answers_something_begins_a_thread_of_its_own(box: Met) -> None:
    box.write("pump@lists.example.org", "Does it leak?", ANA, "Seal")
    box.propose("Let us look at it together.", "Re: Seal", In_Reply_To="<1.w@example.org>")
    (item,) = box.agenda().items
    assert item.topic.title == "Seal"
    assert item.inputs == ()
    assert len({depth for _, depth, _ in box.site.tree().values()}) <= 2
    with box.site.site.database.read() as connection:
        assert connection.exec_driver_sql("select count(distinct thread_id) from post").scalar() == 2
    assert box.site.differences() == []
    box.site.rebuild()
    assert box.agenda().items[0].inputs == ()


def test_the_same_mail_again_changes_nothing_of_what_became_of_its_topic(any_box: Met) -> None:
    raw = any_box.mail(AGENDA, "Three failed.", ANA, "Seals")
    any_box.take_in(raw, AGENDA)
    (topic,) = any_box.topics()
    with any_box.site.site.database.write() as connection:
        topics.settle(connection, topic.id, "withdrawn")
    assert any_box.take_in(raw, AGENDA) == []
    assert any_box.why()[0] == "duplicate"
    assert (any_box.titles(), any_box.site.count("post"), any_box.site.count("topic")) == ([], 1, 1)


def test_a_mail_to_both_addresses_is_one_post_and_one_topic(box: Met) -> None:
    raw = box.mail(AGENDA, "Three failed.", ANA, "Seals", Cc="pump@lists.example.org")
    for address in ("pump@lists.example.org", AGENDA):
        box.take_in(raw, address)
    assert (box.titles(), box.site.count("post")) == (["Seals"], 1)


def test_a_held_proposal_is_on_no_agenda_until_it_is_let_in(any_box: Met) -> None:
    with any_box.site.site.database.write() as connection:
        joining.set_community(connection, "pump", {"posting": "moderated"}, any_box.site.clock.now())
    any_box.propose("topic: Seals\ntopic: Stock\n")
    assert any_box.why()[0] == "hold"
    assert (any_box.topics(), any_box.site.count("post")) == ([], 0)
    (held,) = any_box.site.site.spool.listing("held")
    any_box.site.site.desk().release(held.key)
    any_box.site.drain()
    assert any_box.titles() == ["Seals", "Stock"]
    assert any_box.site.count("post") == 2


def test_held_proposals_are_in_the_notice_to_moderators(box: Met) -> None:
    with box.site.site.database.write() as connection:
        joining.set_community(connection, "pump", {"posting": "moderated"}, box.site.clock.now())
        made = {"name": "Mo", "delivery": "each", "role": "moderator"}
        joining.add_member(connection, community="pump", email="mo@example.org", now=box.site.clock.now(), **made)
    told = {one.to: one for one in box.propose("Three failed.", "Seals")}
    assert "Seals" in told["mo@example.org"].text


def test_a_stranger_and_a_program_propose_nothing(box: Met) -> None:
    assert NOOR not in [one.to for one in box.propose("Buy seals.", "Cheap seals", NOOR)]
    assert box.why()[0] == "hold"
    assert box.propose("I am away.", "Away", ANA, Auto_Submitted="auto-replied") == []
    assert box.why()[0] == "hold"
    assert (box.site.count("topic"), box.site.count("post")) == (0, 0)


def test_a_banned_member_and_a_closed_community_propose_and_say_nothing(box: Met) -> None:
    with box.site.site.database.write() as connection:
        senders.set_rule(connection, box.site.community().id, ANA, "ban", box.site.clock.now())
    for text in ("Seals", "yes", "lead"):
        assert box.propose(text, "Seals") == []
        assert box.why()[0] == "discard"
    with box.site.site.database.write() as connection:
        joining.archive_community(connection, "pump", box.site.clock.now())
    box.site.clock.advance(timedelta(seconds=10))
    for text in ("Seals", "yes"):
        box.propose(text, "Seals", LI)
        assert box.why()[0] == "hold"
    assert (box.site.count("topic"), box.site.count("post"), box.said(), box.duties()) == (0, 0, {}, {})


def test_without_a_meeting_a_proposal_is_posted_and_its_sender_told(box: Met) -> None:
    with box.site.site.database.write() as connection:
        diary.end(connection, series.by_id(connection, box.series_id), box.site.clock.now())
    (told,) = box.propose("Three failed.", "Seals")
    assert "Seals\nNo meeting is planned" in told.text
    assert (box.site.count("post"), box.site.count("topic")) == (1, 0)


def test_of_several_series_the_named_one_is_meant_else_the_first_to_come(box: Met) -> None:
    now = box.site.clock.now()
    with box.site.site.database.write() as connection:
        community = box.site.community()
        sessions = [series.parse_session("09:00")]
        first_day = date(2026, 10, 22)
        made = series.add(
            connection, community, name="safety", title="Safety talk", first_day=first_day, sessions=sessions, now=now
        )
        diary.plan_ahead(connection, made, now)
    (told,) = box.propose("topic: Gloves\n", "For the safety talk")
    assert "Safety talk, Thu 22 Oct" in told.text
    (told,) = box.propose("Three failed.", "Seals")
    assert "Pump hour, Tue 20 Oct" in told.text


def test_an_empty_mail_is_answered_with_what_can_be_written(box: Met) -> None:
    (told,) = box.propose("")
    assert "topic: seal failures" in told.text
    assert (box.site.count("post"), box.site.count("topic")) == (0, 0)
    assert box.propose("", sender=NOOR) == []


# --- words -----------------------------------------------------------------------------------------------------------


def test_words_are_about_the_next_meeting(any_box: Met) -> None:
    (told,) = any_box.propose("yes", sender=SAM)
    assert any_box.said() == {SAM: ("yes", "")}
    assert "Pump hour, Tue 20 Oct 2026 14:00 (Europe/Berlin): we noted that you come." in told.text
    assert told.sender == "pump+command@lists.example.org"
    any_box.propose("I can lead", sender=SAM)
    assert any_box.duties() == {"lead": "Sam"}
    any_box.propose("", "no", sender=SAM)
    assert any_box.said() == {SAM: ("no", "")}
    assert (any_box.site.count("post"), any_box.site.count("topic")) == (0, 0)


def test_numbers_need_the_agenda_that_they_are_of(box: Met) -> None:
    (told,) = box.propose("#2 +1", sender=SAM)
    assert "The numbers are those of an agenda" in told.text
    assert box.site.count("post") == 0


def test_to_swap_without_a_reply_address_takes_a_yes(any_box: Met) -> None:
    for who in (ANA, LI):
        any_box.propose("I can lead", sender=who)
    assert any_box.duties() == {"lead": "Ana"}
    (question,) = any_box.propose("swap", sender=ANA)
    assert question.subject == "Pump team: was this you?"
    assert "- swap" in question.text
    assert any_box.duties() == {"lead": "Ana"}
    (told,) = any_box.reply(question)
    assert any_box.duties() == {"lead": "Li"}
    assert "Li will lead Pump hour, Tue 20 Oct 2026 14:00" in told.text
    any_box.reply(question)
    assert any_box.why()[0] == "discard"


def test_who_offers_several_roles_has_one_before_others_could_offer_and_the_others_once_nobody_did(box: Met) -> None:
    for role in ("lead", "host", "scribe"):
        (told,) = box.propose(role, sender=ANA)
    assert "You hear when it is your turn." in told.text
    assert box.duties() == {"lead": "Ana"}
    box.propose("host", sender=LI)
    box.propose("scribe", sender=LI)
    assert box.duties() == {"lead": "Ana", "host": "Li"}
    assert box.site.site.run_due().failed == 0  # it opens the agenda
    assert box.duties() in ({"lead": "Ana", "host": "Li", "scribe": who} for who in ("Ana", "Li"))


def test_a_signed_mail_swaps_at_once_and_a_copy_of_it_does_not(box: Met) -> None:
    for who in (ANA, LI, SAM):
        box.propose("I can lead", sender=who)
    raw = box.sign(box.mail(AGENDA, "swap with Sam", ANA))
    box.take_in(raw, AGENDA)
    assert box.duties() == {"lead": "Sam"}
    box.give("lead", ANA)
    box.take_in(raw, AGENDA)
    assert box.duties() == {"lead": "Ana"}
    assert box.open_questions() == 1


def test_leaders_words_of_a_leader_take_a_yes_and_of_others_nothing(any_box: Met) -> None:
    (told,) = any_box.propose("cancel the meeting", sender=ANA)
    assert "Only who leads" in told.text
    (question,) = any_box.propose("cancel the meeting", sender=RAJ)
    assert any_box.meeting().cancelled_at is None
    any_box.reply(question, "No, it was not me")
    assert any_box.meeting().cancelled_at is None
    (question,) = any_box.propose("cancel the meeting", sender=RAJ)
    (told,) = any_box.reply(question)
    assert any_box.meeting().cancelled_at is not None
    assert "It is cancelled" in told.text


def test_a_yes_of_the_day_after_the_next_three_comes_too_late(box: Met) -> None:
    (question,) = box.propose("cancel the meeting", sender=RAJ)
    box.site.clock.advance(timedelta(hours=73))
    box.reply(question)
    assert box.meeting().cancelled_at is None


def test_whoever_lost_the_role_meanwhile_changes_nothing_by_a_yes(box: Met) -> None:
    (question,) = box.propose("cancel the meeting", sender=RAJ)
    with box.site.site.database.write() as connection:
        joining.set_member(
            connection, community="pump", email=RAJ, changes={"role": "member"}, now=box.site.clock.now()
        )
    (told,) = box.reply(question)
    assert "Only who leads" in told.text
    assert box.meeting().cancelled_at is None


def test_no_key_is_looked_up_for_a_mail_that_changes_little(box: Met) -> None:
    asked = box.site.site.dns.asked  # type: ignore[attr-defined]
    box.take_in(box.sign(box.mail(AGENDA, "Three failed.", ANA, "Seals")), AGENDA)
    box.take_in(box.sign(box.mail(AGENDA, "yes", ANA)), AGENDA)
    assert asked == []
    box.take_in(box.sign(box.mail(AGENDA, "move to Wed 21 Oct 15:00", RAJ)), AGENDA)
    assert asked != []
    assert box.meeting().starts_at.isoformat() == "2026-10-21T13:00:00+00:00"


def test_a_mail_after_the_meeting_that_has_its_lines_is_minutes(box: Met) -> None:
    box.give("scribe", SAM)
    box.site.clock.set(AFTER)
    box.propose("decision: grey grease\naction: Ana to order spares\n", "Results", SAM)
    assert [(one.kind, one.text) for one in box.cards()] == [("decision", "grey grease"), ("action", "order spares")]
    box.propose("decision: red grease\n", "Results", LI)  # who had no role: a topic for the next one
    assert len(box.cards()) == 2
