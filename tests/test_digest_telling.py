"""In whose words a thread is told: its members' own, few, in their order, and never more than fit."""

import pytest

from tests.digest_week import SAM, asking, fresh, result, thread
from tidings.digests import names, telling
from tidings.digests.fragments import YOU, Opening
from tidings.digests.select import Concerning


def test_first_sentences_and_questions_are_told_before_the_rest() -> None:
    filler = "This sentence has exactly nine words in all, no. " * 30
    ana = fresh(1, f"It leaks. {filler}Why does it leak? {filler}")
    told = telling.conversation(thread(ana, fresh(2, f"Ours too. {filler}", author="Raj")), SAM)
    assert [post.author for post in told.told] == ["Ana", "Raj"]
    assert told.told[0].text.startswith("It leaks. This")
    assert "... Why does it leak? ..." in told.told[0].text
    assert told.told[1].text.startswith("Ours too. This")
    words = sum(len(post.text.replace("...", "").split()) for post in told.told)
    assert 100 < words <= telling.WORDS
    assert telling.words(told) >= words


def test_further_posts_have_a_line_each_and_past_eight_are_counted() -> None:
    long = "Word " * 39 + "end. And more."
    told = telling.conversation(thread(*(fresh(number, long) for number in range(1, 31))), SAM)
    assert len(told.told) == 3
    assert [post.text[-3:] for post in told.lines] == ["..."] * 8
    assert (told.more, len(told.numbers)) == (19, 30)
    assert len(told.told) + len(told.lines) + told.more == 30


def test_a_post_without_words_of_its_own_has_a_line_that_is_empty() -> None:
    told = telling.conversation(thread(fresh(1, "  \n\n")), SAM)
    assert [post.text for post in told.lines] == [""]


def test_the_reader_is_you_wherever_they_stand() -> None:
    opening = Opening(author="Sam", date=fresh(1).date, sentence="It leaks")
    mine = thread(fresh(2, author="Sam"), fresh(3), opening=opening, opening_key="sam@example.org")
    told = telling.conversation(mine, SAM)
    assert told.authors == (YOU, "Ana")
    assert [post.author for post in told.told] == [YOU, "Ana"]
    assert told.opening is not None
    assert told.opening.author == YOU
    assert telling.settled(result(fresh(1, author="Sam")), SAM).author == YOU


def test_what_is_for_the_reader_is_told_with_its_question() -> None:
    filler = "This sentence has exactly nine words in all, no. " * 30
    post = fresh(1, f"It holds. {filler}Did yours?", answers="Sam")
    told = telling.personal(Concerning(concern="reply", thread=thread(post), post=post), SAM)
    assert told.post.text.startswith("It holds.")
    assert told.post.text.endswith("... Did yours?")
    assert telling.words(told) <= 90


def test_a_question_that_was_told_before_counts_no_post_again() -> None:
    post = fresh(1, "Why does it leak?")
    assert telling.unanswered(asking(post), SAM).numbers == (1,)
    assert telling.unanswered(asking(post, new=False), SAM).numbers == ()


@pytest.mark.parametrize(
    ("text", "asks"), [("It leaks. Why? Ask me.", True), ("漏れます。なぜ？", True), ("No.", False)]
)
def test_a_question_ends_as_one(text: str, asks: bool) -> None:
    assert telling.is_question(text) is asks


@pytest.mark.parametrize(
    ("subject", "title"),
    [
        ("Re: AW: [pump] Re[2]: Seal", "Seal"),
        ("Fwd: ", "Fwd:"),
        ("", "(no subject)"),
        ("Seal\r\nBcc: x", "Seal Bcc: x"),
        ("Reply: yes", "Reply: yes"),
    ],
)
def test_a_title_is_the_subject_without_what_programs_put_in_front(subject: str, title: str) -> None:
    assert names.title(subject) == title


def test_an_author_is_told_by_name_and_never_by_a_whole_address() -> None:
    assert names.author("Ana Pérez", "ana@example.org") == "Ana Pérez"
    assert names.author("", "ana@example.org") == "ana"
    assert names.author("ana@example.org", "ana@example.org") == "ana at example.org"
