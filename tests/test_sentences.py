"""What counts as a sentence of a member, and what a line may hold."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.archive.prose import prose
from tidings.archive.sentences import prose_sentences, sentences

# Lines that are prose, lines that are none, and what parts paragraphs.
LINES = ("Hi Ana,", "The pump leaks.", "Why? It is new.", "- a torch", "", " ", "\t", "$ make", "x = 1;", "---", "Bye")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hi all,\n\nIt leaks. Why?\n\nThanks, Ana\n", ["It leaks.", "Why?"]),
        ("Hi all, it leaks", ["Hi all, it leaks"]),
        ("Dr. Weiss knows, e.g. the valve. Ask him.", ["Dr. Weiss knows, e.g. the valve.", "Ask him."]),
        ("Ask St. John. He has it.", ["Ask St. John.", "He has it."]),
        ("I said no. Pump No. 7 leaks.", ["I said no.", "Pump No. 7 leaks."]),
        ("At 2.5 bar it\nweeps... then stops.", ["At 2.5 bar it weeps... then stops."]),
        ("Bring:\n- gloves\n- a torch\n", ["Bring:", "- gloves", "- a torch"]),
        ("تسرب الزيت؟ نعم. منذ الأحد.", ["تسرب الزيت؟", "نعم.", "منذ الأحد."]),
        ("漏れます。なぜ？わかりません。", ["漏れます。", "なぜ？", "わかりません。"]),
        ("one\u202eeno\x07 two", ["oneeno two"]),
        ("", []),
    ],
)
def test_sentences_are_cut_at_their_ends(text: str, expected: list[str]) -> None:
    assert list(sentences(text)) == expected


def test_a_text_without_end_is_cut_in_time_and_to_length() -> None:
    for text in ("A. " * 50_000, "x" * 100_000, "\n" * 100_000, "hi " * 50_000, "word " * 50_000):
        assert all(len(sentence) <= 300 for sentence in sentences(text))


@given(st.lists(st.sampled_from(LINES), max_size=12).map("\n".join))
def test_sentences_of_prose_that_are_read_one_by_one_are_those_of_all_its_prose(text: str) -> None:
    assert list(prose_sentences(text)) == list(sentences(prose(text)))
