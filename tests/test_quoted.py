"""A reply without the digest that it answers, which is known by its words, with and without a program's marks."""

import time
from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.digest_site import TOKENS
from tidings.digests import quoted
from tidings.digests.quoted import Reply, Sent
from tidings.mailer.own_tokens import without_tokens
from tidings.threading.quotes import fold

NAMES = {number: TOKENS.item(number, 1, date(2026, 10, 19)) for number in (1, 2, 3)}
DIGEST = f"""\
PUMP TEAM WEEKLY - for Sam
To answer, write to the address under an item.

#1 Seal on line 3 (2 new posts: Ana, Raj)
   * Ana, Mon 5 Oct: Did the new seal hold on line 3? We changed ours in
     March, and it was the spring, not the seal.
   reply: pump+r.{NAMES[1]}@lists.example.org

#2 Spare stock (1 new post: Li)
   * Li, Mon 5 Oct: Are there two seals left, as #3 on the old list says?
   reply: pump+r.{NAMES[2]}@lists.example.org

#3 Lamp over the north door (1 new post: Tom)
   reply: pump+r.{NAMES[3]}@lists.example.org

WHY YOU GET THIS
You are a member of Pump team and chose one mail a week.
  Archive: https://tidings.example.org/c/pump/
"""
SENT: Sent = quoted.sent(DIGEST, DIGEST, NAMES)
LINES = without_tokens(DIGEST).split("\n")  # as the parser gives it


def read(text: str) -> Reply:
    return quoted.read(text, fold(text), SENT)


def quote(first: int, last: int, mark: str = "> ") -> str:
    return "\n".join(mark + line for line in LINES[first:last])


def test_each_line_of_a_digest_is_known_by_its_words() -> None:
    where = [SENT.where(line) for line in LINES if line.strip()]
    assert where == [0, 0, 1, 1, 1, -1, 2, 2, -1, 3, -1, 0, 0, 0]
    assert SENT.where("Did the new seal hold") == 1
    assert SENT.where("> > it was the  SPRING,") == 1
    assert SENT.where("It held.") is None


@pytest.mark.parametrize("mark", ["> ", ">", "", "| ", "    "])
def test_nothing_of_a_digest_is_left_however_it_is_marked(mark: str) -> None:
    assert read(f"It held.\n\n{quote(0, 17, mark)}\n").text == "It held."
    assert read(f"{quote(0, 17, mark)}\n\nIt held.\n").text == "It held."
    assert read(f"{quote(0, 17, mark)}\n").text == ""


def test_words_are_beside_the_item_above_them() -> None:
    for number, end in ((1, 7), (2, 11), (3, 14)):
        assert read(f"{quote(0, end)}\n\nIt held.\n\n{quote(end, 17)}\n").beside(NAMES) == number
    assert read(f"{quote(0, 11)}\nYes, two.\n").beside(NAMES) == 2, "what follows was cut off"


def test_where_one_item_alone_is_quoted_words_above_and_below_it_are_for_it() -> None:
    for text in (f"It held.\n\n{quote(3, 7)}", f"{quote(3, 7)}\nIt held.", f"Ja.\n\n{quote(4, 5)}\n\nIt held."):
        assert read(text).beside(NAMES) == 1


def test_words_beside_two_items_or_none_are_for_no_item() -> None:
    both = f"{quote(0, 7)}\nIt held.\n{quote(7, 11)}\nYes, two.\n{quote(11, 17)}\n"
    assert [(one.text, one.item) for one in read(both).segments] == [("It held.", 1), ("Yes, two.", 2)]
    above_and_inside = f"I agree with you all.\n\n{quote(0, 7)}\nIt held.\n{quote(7, 17)}\n"
    for text in (both, above_and_inside, f"It held.\n\n{quote(0, 17)}\n", f"{quote(0, 17)}\n\nIt held.\n", "It held."):
        assert read(text).beside(NAMES) is None


def test_words_below_a_digest_that_was_quoted_without_its_foot_are_for_no_item() -> None:
    assert read(f"{quote(0, 14)}\n\nIt held.\n").beside(NAMES) is None


@pytest.mark.parametrize(
    "opening", ["Hi all,", "Hallo zusammen,", "See my answer below.", "Bonjour,", "Best regards\nSam"]
)
def test_a_greeting_above_is_no_other_answer(opening: str) -> None:
    reply = read(f"{opening}\n\n{quote(0, 7)}\n\nIt held.\n\n{quote(7, 17)}\n")
    assert (reply.beside(NAMES), reply.said) == (1, "It held.")


def test_words_between_the_lines_of_a_digest_without_marks_are_found() -> None:
    head = "From: Pump team weekly\nSent: Monday\nTo: Sam\nSubject: weekly\n\n"
    text = f"{head}{quote(0, 7, '')}\nIt held.\n{quote(7, 17, '')}\n"
    assert (read(text).text, read(text).beside(NAMES)) == ("It held.", 1)


def test_a_few_words_that_the_digest_has_too_are_the_senders_own() -> None:
    for text in (
        "Spare stock",
        "Did the new seal hold on line 3?",
        "#1 Seal on line 3\nIt held.",
        "You are a member\nNo.",
    ):
        assert read(text).text == text


def test_only_a_short_text_without_marks_is_not_compared_with_the_digest() -> None:
    for text in ("It held.", "It held.\n\n", "It held.\nSince Monday.", ""):
        assert quoted.is_plain(text, fold(text))
    for text in ("> It held.", "It held.\n> Seal", "It held.\n\nSent from my iPhone", "A\nb\nc", quote(0, 17, "")):
        assert not quoted.is_plain(text, fold(text))


@given(
    st.lists(
        st.sampled_from([*LINES, "It held.", "> It held.", "", "-- ", "On Mon, 5 Oct 2026, X <x@y.example> wrote:"])
    )
)
def test_any_mix_is_read_and_all_words_are_the_senders_or_the_digests(lines: list[str]) -> None:
    reply = read("\n".join(lines))
    reply.beside(NAMES)
    assert set(reply.text.split("\n")) <= {line.strip() for line in lines} | set(lines) | {""}


def test_a_long_reply_takes_linear_time() -> None:
    def seconds(many: int) -> float:
        text = "\n".join(f"Line {number} of a long list of seals that are worn." for number in range(many))
        begun = time.process_time()
        assert read(text).text == text
        return time.process_time() - begun

    small, large = min(seconds(2_000) for _ in range(3)), seconds(20_000)
    assert large < 20 * small + 0.2
