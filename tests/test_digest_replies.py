"""Replies to a digest: each lands at the post of its item, or nowhere with a question that says what to do."""

from dataclasses import replace
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import select

from tests import digest_site, seed
from tests.digest_site import CUT_OFF, SITE, TOKENS
from tidings import jobs
from tidings.database import tables
from tidings.database.engine import Database
from tidings.digests import numbered, quoted, replies
from tidings.digests.replies import Routed, UnroutableError
from tidings.settings import SiteSettings
from tidings.tokens import Tokens

SHIFT = CUT_OFF + timedelta(days=1, hours=1)


@pytest.fixture
def sent(database: Database) -> Database:
    """A site in which Sam of the night crew was sent the edition of a week."""
    with database.write() as connection:
        digest_site.a_week(connection)
    jobs.run_due(database, SHIFT, site=SITE)
    return database


def token(database: Database, number: int, **changes: int) -> str:
    """The token of an item's reply address in the newest edition."""
    item, section = tables.item.c, tables.edition_section.c
    with database.read() as connection:
        row = connection.execute(
            select(item.id, section.membership_id)
            .join_from(tables.item, tables.edition_section, section.id == item.section_id)
            .where(item.number == number)
            .order_by(item.id.desc())
        ).first()
    assert row is not None
    facts = {"item_id": row.id, "membership_id": row.membership_id} | changes
    return TOKENS.item(facts["item_id"], facts["membership_id"], SHIFT.date())


def route_all(database: Database, token: str, text: str) -> tuple[Routed, ...]:
    with database.read() as connection:
        item = replies.item_at(connection, token, TOKENS, SHIFT)
        return replies.route(connection, item, quoted.plain(text), tokens=TOKENS, site=SiteSettings())


def route(database: Database, token: str, text: str = "Yes, it held.") -> Routed:
    (routed,) = route_all(database, token, text)
    return routed


def refusal(database: Database, token: str, text: str = "Yes, it held.") -> UnroutableError:
    with pytest.raises(UnroutableError) as caught:
        route(database, token, text)
    return caught.value


def test_a_reply_to_an_item_answers_the_last_post_that_was_shown_of_it(sent: Database) -> None:
    routed = route(sent, token(sent, 2))
    assert routed.answers == "4.1@example.org"  # Sam's own, the newest of the thread
    assert routed.references == ("1.1@example.org", "2.1@example.org", "3.1@example.org", "4.1@example.org")
    assert (routed.subject, routed.text, routed.number) == ("Re: Seal on line 3", "Yes, it held.", 2)
    with sent.read() as connection:
        post = select(tables.post.c.id).where(tables.post.c.message_id == routed.answers)
        assert routed.post_id == connection.execute(post).scalar_one()


def test_no_two_items_of_an_edition_answer_the_same_message(sent: Database) -> None:
    answered = [route(sent, token(sent, number)).answers for number in range(1, 12)]
    assert len(set(answered)) == 11


def test_all_replies_to_one_meeting_answer_one_message(sent: Database) -> None:
    routed = route(sent, token(sent, 1))
    assert routed.answers == "meeting.pump.1.20261013@lists.example.org"
    assert routed.references == (routed.answers,)
    assert routed.post_id is None
    assert routed.subject == "Pump team meeting, Tue 13 Oct 14:00"


def test_a_token_works_in_capital_letters(sent: Database) -> None:
    assert route(sent, token(sent, 2).upper()).number == 2


def test_a_ghost_in_the_thread_is_named_among_the_references(database: Database) -> None:
    with database.write() as connection:
        pump = digest_site.community(connection)
        digest_site.member(connection, "sam@example.org")
        unseen = seed.ghost(connection, pump.id, "unseen@example.org")
        digest_site.post(connection, pump.id, parent=unseen)
    jobs.run_due(database, SHIFT, site=SITE)
    assert route(database, token(database, 1)).references == ("unseen@example.org", "1.1@example.org")


def test_a_deep_thread_gives_its_first_and_its_last_hundred_references(database: Database) -> None:
    with database.write() as connection:
        pump = digest_site.community(connection)
        digest_site.member(connection, "sam@example.org")
        last = None
        for _ in range(150):
            last = digest_site.post(connection, pump.id, parent=last)
    jobs.run_due(database, SHIFT, site=SITE)
    references = route(database, token(database, 1)).references
    assert len(references) == 100
    assert (references[0], references[1], references[-1]) == (
        "1.1@example.org",
        "52.1@example.org",
        "150.1@example.org",
    )


# --- replies to the edition as a whole -------------------------------------------------------------------------------


@pytest.mark.parametrize("text", ["#3 It held.", "#3: It held.", "3: It held.", "\n  #3\n\nIt held.", "3:\nIt held."])
def test_a_number_at_the_start_names_the_item_and_is_taken_out(sent: Database, text: str) -> None:
    routed = route(sent, token(sent, 0), text)
    assert replace(routed, text="") == replace(route(sent, token(sent, 3)), text="")
    assert routed.text == "It held."


@pytest.mark.parametrize("text", ["It held.", "3:30 is better for me.", "#3rd try", "3.1 bar", "Re #3: it held", ""])
def test_without_a_number_nothing_is_routed_and_the_member_is_asked_which(sent: Database, text: str) -> None:
    error = refusal(sent, token(sent, 0), text)
    assert "does not say which item" in error.ask
    for number in range(1, 12):
        assert f"pump+r.{token(sent, number)}@lists.example.org" in error.ask
    assert f"r.{token(sent, 0)}@" not in error.ask
    assert "#2 Seal on line 3" in error.ask


def test_a_number_that_the_digest_does_not_have_is_asked_about(sent: Database) -> None:
    assert "has no item #40" in refusal(sent, token(sent, 0), "#40 It held.").ask


def test_several_numbers_make_a_part_each_and_their_texts_are_not_mixed(sent: Database) -> None:
    parts = route_all(sent, token(sent, 0), "Hello all,\n#2 It held.\n\nTwo nights now.\n\n#3 I have the lamp.\n#2 Sam")
    assert [(one.number, one.text) for one in parts] == [
        (2, "It held.\n\nTwo nights now.\n\nSam"),
        (3, "I have the lamp."),
    ]
    assert [one.answers for one in parts] == [route(sent, token(sent, number)).answers for number in (2, 3)]


@pytest.mark.parametrize("text", ["#2 It held.\n#40 Which one?", "I agree with both of you on this.\n#2 It held."])
def test_nothing_of_a_reply_is_routed_where_one_part_cannot_be(sent: Database, text: str) -> None:
    assert refusal(sent, token(sent, 0), text).ask


def test_a_list_under_a_number_is_no_second_item(sent: Database) -> None:
    routed = route(sent, token(sent, 0), "#2 Bring:\n1: gloves\n3: a torch")
    assert (routed.number, routed.text) == (2, "Bring:\n1: gloves\n3: a torch")


def test_a_number_of_another_community_goes_there(database: Database) -> None:
    with database.write() as connection:
        made = [digest_site.community(connection, *one) for one in (("pump", "A pump team"), ("ward", "Ward 5"))]
        for community in made:
            digest_site.member(connection, "sam@example.org", community.name)
            digest_site.post(connection, community.id)
    jobs.run_due(database, SHIFT, site=SITE)
    parts = route_all(database, token(database, 0), "#1 It held.\n#2 Here too.")
    assert [one.community_id for one in parts] == [community.id for community in made]


def test_the_number_of_the_item_itself_is_taken_out_and_another_is_left(sent: Database) -> None:
    assert route(sent, token(sent, 2), "#2 It held.").text == "It held."
    assert route(sent, token(sent, 2), "#4 is the pump I mean.").text == "#4 is the pump I mean."


# --- tokens that do not route ----------------------------------------------------------------------------------------


def test_an_address_of_a_year_ago_is_routed_and_said_to_have_expired(sent: Database) -> None:
    with sent.read() as connection:
        for days in (365, 366):
            item = replies.item_at(connection, token(sent, 2), TOKENS, SHIFT + timedelta(days=days))
            assert item.expired == (days == 366)


def test_the_address_of_a_preview_is_refused_with_the_reason(sent: Database) -> None:
    assert "preview" in str(refusal(sent, "preview"))


def test_a_token_that_was_not_made_here_is_refused(sent: Database) -> None:
    good = token(sent, 2)
    forged = Tokens(b"another key").item(1, 1, SHIFT.date())
    for bad in ("", "x", good[:-1], good[:-1] + ("a" if good[-1] != "a" else "b"), forged):
        error = refusal(sent, bad)
        assert (str(error), error.ask) == ("This reply address is none of ours.", "")


def test_the_token_of_an_item_that_is_gone_or_anothers_is_refused(sent: Database) -> None:
    assert "gone" in str(refusal(sent, token(sent, 2, item_id=99_999)))
    assert "gone" in str(refusal(sent, token(sent, 2, membership_id=99)))


@given(st.text(max_size=60))
def test_a_number_is_read_from_any_text_without_an_error(text: str) -> None:
    for one in numbered.split(text):
        assert str(one.number) in text
