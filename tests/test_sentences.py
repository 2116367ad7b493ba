"""What counts as a sentence of a member, and what a line may hold."""

import pytest

from tidings.archive.sentences import sentences


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
