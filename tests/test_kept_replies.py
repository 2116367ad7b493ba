"""Replies that do not say which item they answer, or that look quoted: asked about, kept, and posted on an answer."""

from datetime import timedelta

import pytest
from sqlalchemy import select

from tests.letterbox import SAM, Sent
from tests.small_site import LI, any_site, makings, small_site
from tests.test_item_replies import Digested, any_box, box
from tidings.communities import joining
from tidings.database import tables
from tidings.digests import kept
from tidings.operations.erase import Erasure, find

FIXTURES = (any_site, makings, small_site, any_box, box)
WORDS = "It held for three nights."


def asked(box: Digested, text: str = WORDS) -> Sent:
    """The question that an unclear reply to the whole digest brings."""
    (question,) = box.answer("", text)
    assert question.subject.startswith("Which one?")
    return question


def posts(box: Digested, subject: str) -> list[tuple[str, str]]:
    """Message-ID and text of the replies in the thread of a subject."""
    with box.site.site.database.read() as connection:
        post = tables.post.c
        wanted = select(post.message_id, post.text).where(post.subject == f"Re: {subject}").order_by(post.number)
        return [(bare, text) for bare, text in connection.execute(wanted)]


@pytest.mark.parametrize("answer", ["#{0}", "{0}", "{0}:", "{0}.\n\nSam"])
def test_a_number_alone_posts_what_was_kept(any_box: Digested, answer: str) -> None:
    question = asked(any_box)
    assert (question.to, any_box.site.count("post")) == (SAM, 2)
    assert question.sender == any_box.address("")
    number = any_box.number("Seal")
    assert f"\n#{number} Seal\n   {any_box.address('Seal')}\n" in question.text
    assert any_box.reply(question, answer.format(number)) == []
    ((message_id, text),) = posts(any_box, "Seal")
    assert (message_id, text) == ("1.w@example.org", WORDS)
    assert any_box.site.tree()[message_id][0] == "seal@example.org"
    assert WORDS.encode() in any_box.site.raws()[-1]
    assert any_box.site.count("kept_reply") == 0
    assert any(line.startswith("accept: It does not say which") for line in any_box.site.why(message_id))
    assert any("A reply to item" in line for line in any_box.site.why(message_id))


def test_an_empty_mail_to_an_item_posts_what_was_kept_once(box: Digested) -> None:
    asked(box)
    assert box.answer("Stock", "") == []
    assert [text for _, text in posts(box, "Stock")] == [WORDS]
    (told,) = box.answer("Stock", "")
    assert "no words of its own" in told.text
    assert len(posts(box, "Stock")) == 1


def test_the_question_is_due_at_once(box: Digested) -> None:
    asked(box)
    with box.site.site.database.read() as connection:
        due = (
            connection.execute(select(tables.delivery.c.due_at).order_by(tables.delivery.c.id.desc())).scalars().first()
        )
    assert due == box.site.clock.now()


def test_what_was_kept_is_forgotten_after_two_weeks(any_box: Digested) -> None:
    question = asked(any_box)
    any_box.site.clock.advance(timedelta(days=13))
    any_box.site.site.run_due()
    assert any_box.site.count("kept_reply") == 1
    any_box.site.clock.advance(timedelta(days=1))
    any_box.site.site.run_due()
    assert any_box.site.count("kept_reply") == 0
    any_box.answers()
    (told,) = any_box.reply(question, f"#{any_box.number('Seal')}")
    assert "no words of its own" in told.text
    assert any_box.site.count("post") == 2


def test_a_number_that_the_digest_does_not_have_is_asked_again_and_not_kept(box: Digested) -> None:
    question = asked(box)
    (again,) = box.reply(question, "#40")
    assert "The digest that you answered has no item #40." in again.text
    assert box.reply(again, f"{box.number('Seal')}") == []
    assert [text for _, text in posts(box, "Seal")] == [WORDS]


def test_which_of_two_kept_replies_is_meant_is_not_guessed(box: Digested) -> None:
    question = asked(box)
    asked(box, "We have four left.")
    (told,) = box.reply(question, f"#{box.number('Seal')}")
    assert "More than one of your replies" in told.text
    assert box.site.count("post") == 2


def test_the_same_mail_is_kept_once_and_of_many_only_some(box: Digested) -> None:
    raw = box.mail(box.address(""), WORDS, SAM)
    for _ in range(2):
        assert len(box.take_in(raw, box.address(""))) == 1
    assert box.site.count("kept_reply") == 1
    for number in range(25):
        box.answer("", f"{WORDS} For the time number {number}.")
    assert box.site.count("kept_reply") == 20
    assert box.why()[0] == "hold"


def test_only_the_reader_of_a_digest_is_asked(box: Digested) -> None:
    for sender in (LI, "stranger@example.org"):
        assert box.answer("", WORDS, sender) == []
        assert box.why() == ("hold", f"{sender} wrote to the reply address of another member.")
    assert box.answer("", WORDS, Auto_Submitted="auto-replied") == []
    assert box.why()[0] == "hold"
    asked(box)
    assert box.answer("", f"#{box.number('Seal')}", LI) == []
    assert box.site.count("post") == 2
    assert box.site.count("kept_reply") == 1


def test_in_a_moderated_community_who_decides_is_shown_the_words_and_posts_them(box: Digested) -> None:
    with box.site.site.database.write() as connection:
        joining.set_community(connection, "pump", {"posting": "moderated"}, box.site.clock.now())
    box.reply(asked(box), f"#{box.number('Seal')}")
    (held,) = box.site.site.spool.listing("held")
    assert held.reason is not None
    assert held.reason.endswith(f"Its words came before: {WORDS}")
    box.site.site.desk().release(held.key)
    box.site.drain()
    assert posts(box, "Seal") == [("1.w@example.org", WORDS)]
    assert box.site.count("kept_reply") == 0


def test_where_posts_must_be_signed_nothing_unproved_is_kept(box: Digested) -> None:
    with box.site.site.database.write() as connection:
        joining.set_community(connection, "pump", {"signed-only": "yes"}, box.site.clock.now())
    assert box.answer("", WORDS) == []
    assert box.why()[0] == "hold"
    assert box.site.count("kept_reply") == 0


def test_an_erasure_takes_what_was_kept(any_box: Digested) -> None:
    asked(any_box)
    site = any_box.site.site
    with site.database.read() as connection:
        person = find(connection, SAM)
    erasure = Erasure(site=site, worker=any_box.site.worker, person=person, act=True)
    for _ in erasure.run():
        pass
    assert erasure.report().counts["replies that wait"] == 1
    assert any_box.site.count("kept_reply") == 0


# --- all of it quoted ------------------------------------------------------------------------------------------------

QUOTED = "> Two seals are left, in the second drawer.\n> I put a third one beside them.\n"


def test_the_sender_of_a_reply_that_only_quotes_the_digest_is_told(box: Digested) -> None:
    (told,) = box.answer("Seal", f"On Mon, 19 Oct 2026 at 08:00, Pump team weekly wrote:\n{quote_of(box)}")
    assert (told.to, told.subject) == (SAM, "Pump team: your reply was not posted")
    assert "no words of its own" in told.text
    assert box.why() == ("discard", "It says nothing new: all of it is quoted. The member was told.")
    assert box.site.count("kept_reply") == 0


def test_a_program_that_quotes_is_told_nothing(box: Digested) -> None:
    assert box.answer("Seal", quote_of(box), Auto_Submitted="auto-replied") == []


def test_what_looks_quoted_and_is_not_the_digest_is_posted_by_keep_all(any_box: Digested) -> None:
    (told,) = any_box.answer("Stock", QUOTED)
    assert "keep all" in told.text
    assert any_box.site.count("post") == 2
    assert any_box.reply(told, "Keep all.") == []
    assert [text for _, text in posts(any_box, "Stock")] == [QUOTED.strip()]
    (told,) = any_box.answer("Stock", "alles behalten")
    assert "Nothing of yours waits here" in told.text


def quote_of(box: Digested) -> str:
    """The digest as a quote, without what stands above it."""
    return "".join(f"> {line}\n" for line in box.printed().splitlines())


def test_forgetting_is_asked_for_often_and_writes_only_where_something_is_old(box: Digested) -> None:
    asked(box)
    database, now = box.site.site.database, box.site.clock.now()
    assert kept.forget_due(database, now) == 0
    assert box.site.count("kept_reply") == 1
    assert kept.forget_due(database, now + kept.LIFE) == 0
    assert box.site.count("kept_reply") == 0
