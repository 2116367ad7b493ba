"""In whose words a thread is told: its members' own, few, in their order, and never more than fit."""

from typing import Any

import pytest

from tests.digest_week import SAM, asking, fresh, result, thread
from tidings.archive import summary
from tidings.digests import names, telling
from tidings.digests.fragments import YOU, Conversation, Opening
from tidings.digests.select import Concerning
from tidings.digests.week import Fresh


def conversation(*posts: Fresh, **values: Any) -> Conversation:
    return telling.conversation(thread(*posts, **values), SAM, language="english")


def test_the_key_sentences_of_a_thread_are_told_and_what_is_left_out_is_marked() -> None:
    washed = [f"Bearing {number} was taken apart, cleaned, measured and put back." for number in range(20)]
    ana = fresh(1, " ".join(["The seal of pump four leaks at start-up.", *washed]))
    told = conversation(ana, fresh(2, "The seal shrinks when it is cold, so it leaks until it is warm.", author="Raj"))
    assert [post.author for post in told.told] == ["Ana", "Raj"]
    assert told.told[0].text.startswith("The seal of pump four leaks at start-up.")
    assert told.told[0].text.endswith(" ...")
    assert told.told[1].text.endswith("warm.")
    assert telling.words(told) <= summary.WORDS + 10  # with the marks of what was left out


def test_further_posts_have_a_line_each_and_past_eight_are_counted() -> None:
    told = conversation(*(fresh(number, f"It is number {number}.") for number in range(1, 31)))
    assert len(told.lines) == 8
    assert len(told.told) + len(told.lines) + told.more == len(told.numbers) == 30


def test_the_line_of_a_post_passes_over_words_that_say_nothing() -> None:
    posts = fresh(1, "The seal leaks."), fresh(2, "Looks good.\n\nIt is on line two."), fresh(3, "Looks good.")
    told = telling.conversation(thread(*posts), SAM, language="english", words=3)
    assert [post.text for post in told.lines[-2:]] == ["It is on line two.", "Looks good."]


def test_who_trails_off_gets_no_mark_behind_their_own() -> None:
    long = " ".join(f"Bearing {number} was measured and put back." for number in range(30))
    one = Concerning(
        concern="field", thread=thread(fresh(1)), post=fresh(1, f"It leaks when it is cold, so ... {long}")
    )
    assert "... ..." not in telling.personal(one, SAM).post.text


def test_thanks_under_a_trailer_give_it_no_line() -> None:
    told = conversation(
        fresh(1, "The seal leaks since the bearing was changed."),
        fresh(2, "Acked-by: Li <li@example.org>\n\nThanks,\nLi"),
    )
    assert (told.lines, told.more) == ((), 1)


def test_what_a_patch_asks_is_no_question() -> None:
    patch = "The pointer is checked now.\n---\n a.c | 2 +-\n\ndiff --git a/a.c b/a.c\n+ /* is it open? */\n"
    assert not telling.is_question(patch)
    assert telling.is_question(f"Is that right?\n{patch}")


def test_what_is_no_prose_is_counted_and_has_no_line() -> None:
    posts = fresh(1, "The seal leaks since the bearing was changed."), fresh(2, "Reviewed-by: Li <li@example.org>")
    told = conversation(*posts)
    assert (len(told.told), told.lines, told.more) == (1, (), 1)


def test_a_post_without_words_of_its_own_has_a_line_that_is_empty() -> None:
    told = conversation(fresh(1, "  \n\n"))
    assert [post.text for post in told.lines] == [""]


def test_a_thread_began_with_the_first_sentence_that_says_something() -> None:
    assert telling.opening_line("Hi.\n\nThe seal of pump four leaks. It is cold.") == "The seal of pump four leaks."
    assert telling.opening_line("It leaks.") == "It leaks."
    assert telling.opening_line("") == ""


def test_the_reader_is_you_wherever_they_stand() -> None:
    opening = Opening(author="Sam", date=fresh(1).date, sentence="It leaks")
    posts = fresh(2, "They hold since we have the new spring.", author="Sam"), fresh(3, "Good.")
    told = conversation(*posts, opening=opening, opening_key="sam@example.org")
    assert told.authors == (YOU, "Ana")
    assert [post.author for post in told.told] == [YOU]
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
    ("text", "asks"),
    [("It leaks. Why? Ask me.", True), ("漏れます。なぜ？", True), ("تسرب الزيت. لماذا؟", True), ("No.", False)],
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
