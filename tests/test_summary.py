"""The key sentences of a thread: members' own, the telling ones, never code, within their bounds."""

import subprocess
import sys

import pytest

from tests.house import ROOT
from tidings.archive.prose import is_telling, prose
from tidings.archive.summary import POSTS, Picked, Said, count_words, key_sentences

SEAL = (
    "Hi all,\n\nThe shaft seal of pump 4 leaks again since the night shift.\nDoes anybody know which seal fits?\n"
    "We had rain.\n",
    "Thanks for asking, Ana.\n\nThe canteen has soup on Friday.\n",
    "The shaft seal that fits pump 4 is the carbon one, not the ceramic one.\nI have two carbon seals in the store.\n",
    "Thank you so much for that!\n\nThe carbon seal fits, and pump 4 does not leak any more.\n",
)


def told(*texts: str, **limits: int) -> list[Picked]:
    return key_sentences([Said(number=at, text=text) for at, text in enumerate(texts, 1)], language="english", **limits)


def picked(*texts: str, **limits: int) -> list[tuple[int, str]]:
    return [(of.number, sentence) for of in told(*texts, **limits) for sentence in of.sentences]


def test_the_question_and_what_answers_it_are_picked_before_what_no_other_post_speaks_of() -> None:
    assert picked(*SEAL, most=3, each=1) == [
        (1, "The shaft seal of pump 4 leaks again since the night shift."),
        (3, "The shaft seal that fits pump 4 is the carbon one, not the ceramic one."),
        (4, "The carbon seal fits, and pump 4 does not leak any more."),
    ]


def test_a_sentence_that_shares_rare_words_with_many_comes_before_one_that_stands_alone() -> None:
    texts = (
        "The valve on line two sticks when it is cold.",
        "Nobody who was here on that day has been able to say anything about it to us so far.",
        "My valve sticks as well, and grease did not help in the cold.",
        "The park beside our canteen was full of people and of their dogs and children last Sunday.",
    )
    assert [number for number, _ in picked(*texts, most=2)] == [1, 3]


def test_what_is_picked_says_which_sentence_of_which_post_it_is_in_their_order() -> None:
    assert told(SEAL[0], SEAL[1], words=16)[0] == Picked(
        number=1,
        sentences=("The shaft seal of pump 4 leaks again since the night shift.",),
        places=(0,),
        many=3,
    )
    whole = told(SEAL[0])
    assert [(of.places, of.many) for of in whole] == [((0, 1), 3)]
    assert whole[0].sentences[1] == "Does anybody know which seal fits?"


@pytest.mark.parametrize("words", [0, 5, 20, 60, 120])
def test_no_more_words_are_picked_than_are_asked_for(words: int) -> None:
    many = [f"The seal number {at} of the pump leaks. {SEAL[at % 4]}" for at in range(30)]
    assert sum(count_words(sentence) for _, sentence in picked(*many, words=words)) <= words


def test_the_same_posts_give_the_same_sentences_in_every_process() -> None:
    # Sets of words have another order in each process.
    source = "from tests.test_summary import SEAL, picked; print(picked(*SEAL * 9, words=80))"
    outputs = {
        subprocess.run(
            [sys.executable, "-c", source],
            env={"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("1", "2", "3")
    }
    assert len(outputs) == 1


def test_of_a_long_thread_the_first_post_and_the_newest_are_looked_at() -> None:
    texts = [f"The filter of machine number {at} was changed today." for at in range(1, 3 * POSTS)]
    numbers = {number for number, _ in picked(*texts, words=5_000)}
    assert numbers <= {1, *range(3 * POSTS - POSTS, 3 * POSTS)}


def test_what_says_the_same_is_picked_once_and_what_stands_in_several_posts_never() -> None:
    disclaimer = "This mail is meant for whom it is addressed to and may hold secrets of the pump."
    again = "The shaft seal of pump 4 leaks again since the night shift, folks."
    found = [sentence for _, sentence in picked(f"{SEAL[0]}\n\n{disclaimer}", f"{again}\n\n{disclaimer}")]
    assert disclaimer not in found
    assert len([sentence for sentence in found if "leaks again" in sentence]) == 1


def test_thanks_come_last() -> None:
    found = picked("Thanks for the report about the pump.", "Please close the valve of the pump first.", most=1)
    assert [number for number, _ in found] == [2]


def test_a_thread_without_prose_has_no_key_sentences() -> None:
    assert told() == told("") == told("+1", "ok", "https://example.org/a/b", "") == []


def test_scripts_without_spaces_are_told_too() -> None:
    texts = (
        "ポンプ4のシールが夜勤からまた漏れています。どのシールが合いますか？",
        "カーボンのシールがポンプ4に合います。",
    )
    assert {number for number, _ in picked(*texts)} == {1, 2}


@pytest.mark.parametrize(
    "line",
    [
        "-\treturn old;",
        "+       return pump_open(pump, flags);",
        "$ systemctl restart pump-control now please",
        "root@pump4:~# make the pump run again now",
        "[   12.345678] pump0: link is down and will not come up",
        "mdadm: cannot open the device because it is busy",
        "Traceback (most recent call last):",
        '  File "/usr/lib/pump.py", line 236, in open_it',
        "at org.example.Pump.open(Pump.java:12)",
        "https://example.org/a/very/long/path?that=goes&on=and",
        "for (i = 0; i < pumps; i++) {",
        "if pump.state == closed then open the pump",
        "Name      State     Pressure in the line",
        "Signed-off-by: Ana Perez <ana@example.org>",
        "/dev/md0 /dev/md1 /dev/md2 /dev/md3",
        "Ian> Does that answer change if it is cold?",
    ],
)
def test_code_output_patches_and_addresses_are_no_sentences(line: str) -> None:
    assert not any(is_telling(part) for part in prose(f"{line}\n").split("\n"))
    assert [
        sentence
        for _, sentence in picked(f"The pump stopped in the night.\n\n{line}\n\nIt has been running again since noon.")
    ] == [
        "The pump stopped in the night.",
        "It has been running again since noon.",
    ]


def test_what_follows_a_patch_is_part_of_it() -> None:
    patch = "The pump must stop first.\n---\n pump.c | 2 +-\n\ndiff --git a/p b/p\nThe pump runs as it did.\n"
    assert prose(patch).strip() == "The pump must stop first."
    assert prose("One rule was drawn here.\n---\nAnd the text goes on.\n").endswith("And the text goes on.\n")


@pytest.mark.parametrize("text", ["A. " * 50_000, "x" * 200_000, "\n" * 200_000, "word " * 50_000, "> a b\n" * 40_000])
def test_long_posts_are_read_in_bounded_time(text: str) -> None:
    assert len(picked(*[text] * 200)) <= 150
