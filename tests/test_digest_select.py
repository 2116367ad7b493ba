"""What of a week a reader is told: each post in one block, each block with its cap, nothing that was muted."""

import random
from dataclasses import replace

import pytest

from tests.digest_week import SAM, asking, fresh, result, thread
from tidings.digests import select
from tidings.digests.history import Window
from tidings.digests.week import STRANGER, Fresh, Reader, Thread, Week, names_of

NAMES = SAM.called | {
    word for name in ("Eva", "Nia") for word in names_of([f"{name.lower()}@example.org"], f"{name} W")
}


def week(*threads: Thread, **values: object) -> Week:
    return Week(threads=threads, **{"names": NAMES, **values})  # type: ignore[arg-type]


def numbers(chosen: select.Chosen) -> list[int]:
    """The archive numbers of all that is told or titled."""
    return [
        *(one.post.number for one in chosen.for_you),
        *(one.said.number for one in chosen.settled),
        *(one.asked.number for one in chosen.unanswered if one.new),
        *(
            post.number
            for thread in (*(one for one, _ in chosen.conversations), *chosen.titles)
            for post in thread.fresh
        ),
    ]


# --- for you ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("post", "concern"),
    [
        (fresh(1, answers="Sam"), "reply"),
        (fresh(1, "Ask @sam, he knows."), "mention"),
        (fresh(1, "Ask @sam.okafor."), "mention"),
        (fresh(1, "I saw it with Sam\nOkafor."), "mention"),
        (fresh(1, "Write to (sam@example.org)."), "mention"),
        (fresh(1, "Sam and Okafor are two people."), None),
        (fresh(1, "The same okafor@elsewhere.example."), None),
        (fresh(1, "I am Sam Okafor.", author="Sam"), None),
        (fresh(1, "I answer myself.", author="Sam", answers="Sam"), None),
        (fresh(1, answers="Raj"), None),
    ],
)
def test_what_answers_or_names_the_reader_is_for_them(post: Fresh, concern: str | None) -> None:
    chosen = select.choose(week(thread(post)), SAM)
    assert [one.concern for one in chosen.for_you] == ([concern] if concern else [])
    assert numbers(chosen) == [1]


def test_a_question_is_for_those_who_answered_such_questions_before() -> None:
    post = fresh(1, "Why does it leak?")
    assert select.choose(week(thread(post, question=asking(post, "Sam"))), SAM).for_you[0].concern == "field"
    assert select.choose(week(thread(post, question=asking(post, "Raj"))), SAM).for_you == ()


def test_five_posts_are_for_the_reader_replies_first_and_the_rest_is_told_elsewhere() -> None:
    mentions = [thread(fresh(number, "@sam?")) for number in range(1, 5)]
    replies = [thread(fresh(number, answers="Sam")) for number in range(5, 8)]
    chosen = select.choose(week(*mentions, *replies), SAM)
    assert [one.post.number for one in chosen.for_you] == [5, 6, 7, 1, 2]
    assert sorted(numbers(chosen)) == list(range(1, 8))


def test_of_a_thread_only_the_posts_that_no_other_block_tells_are_a_conversation() -> None:
    chosen = select.choose(week(thread(fresh(1), fresh(2, answers="Sam"), fresh(3))), SAM)
    assert [[post.number for post in one.fresh] for one, _ in chosen.conversations] == [[1, 3]]
    assert select.choose(week(thread(fresh(1, answers="Sam"))), SAM).conversations == ()


def test_nothing_of_a_muted_thread_is_told_but_its_posts_are_counted() -> None:
    posts = fresh(1, "Why, @sam?"), fresh(2, answers="Sam")
    muted = replace(SAM, muted=frozenset({1}))
    told = week(
        thread(*posts, question=asking(posts[0], "Sam")), unanswered=(asking(posts[0]),), settled=(result(posts[1], 1),)
    )
    chosen = select.choose(told, muted)
    assert numbers(chosen) == []
    assert (chosen.muted_posts, chosen.new) == (2, False)


# --- settled and open ------------------------------------------------------------------------------------------------


def test_what_was_settled_is_told_once_five_at_most() -> None:
    posts = [fresh(number) for number in range(1, 8)]
    chosen = select.choose(week(*map(thread, posts), settled=tuple(map(result, posts))), SAM)
    assert [one.said.number for one in chosen.settled] == [1, 2, 3, 4, 5]
    assert [one.fresh[0].number for one, _ in chosen.conversations] == [7, 6]


def test_three_open_questions_of_others_are_told_the_oldest_first() -> None:
    asked = [fresh(number, "Why?", author="Sam" if number == 2 else "Ana") for number in range(1, 7)]
    told = week(*map(thread, asked[4:]), unanswered=tuple(asking(post, new=post.number > 4) for post in asked))
    chosen = select.choose(told, SAM)
    assert [one.asked.number for one in chosen.unanswered] == [1, 3, 4]
    assert sorted(numbers(chosen)) == [5, 6]


def test_a_question_that_stands_among_the_open_ones_is_no_conversation_too() -> None:
    post = fresh(1, "Why?")
    chosen = select.choose(week(thread(post, question=asking(post)), unanswered=(asking(post),)), SAM)
    assert (len(chosen.unanswered), chosen.conversations, chosen.new) == (1, (), True)


def test_an_open_question_of_which_the_reader_was_told_before_is_nothing_new() -> None:
    assert not select.choose(week(unanswered=(asking(fresh(1, "Why?"), new=False),)), SAM).new


def test_where_nothing_is_new_open_questions_concern_who_follows_them_or_answered_such_before() -> None:
    mine, followed, other = (fresh(number, "Why?") for number in (1, 2, 3))
    quiet = week(unanswered=(asking(mine, "Sam", new=False), asking(followed, new=False), asking(other, new=False)))
    reader = replace(SAM, followed=frozenset({2}))
    assert [one.asked.number for one in select.concerned(quiet, reader)] == [1, 2]


# --- threads ---------------------------------------------------------------------------------------------------------


def test_followed_and_own_threads_come_first_then_those_of_many_people_then_the_newest() -> None:
    followed = thread(fresh(1))
    mine = thread(fresh(2), authors=frozenset({"ana@example.org", "sam@example.org"}))
    many = thread(fresh(3, author="Li"), fresh(4, author="Raj"))
    newest, older = thread(fresh(9)), thread(fresh(8))
    only_me = thread(fresh(10, author="Sam"))
    threads = [older, only_me, newest, many, mine, followed]
    reader = replace(SAM, followed=frozenset({1}))
    assert select.rank(threads, reader) == [followed, mine, many, newest, older, only_me]


def test_seven_threads_are_told_ten_titled_and_the_others_counted() -> None:
    threads = [thread(fresh(number), fresh(100 + number)) for number in range(1, 21)]
    chosen = select.choose(week(*threads), SAM)
    assert (len(chosen.conversations), len(chosen.titles)) == (7, 10)
    assert (chosen.more_threads, chosen.more_posts) == (3, 6)


def test_who_was_away_is_told_less_of_each_week_the_newest_first() -> None:
    windows = (
        Window(label="this week", after=100, up_to=200),
        Window(label="last week", after=20, up_to=100),
        Window(label="earlier", after=0, up_to=20),
    )
    threads = [thread(fresh(number)) for number in (1, 30, 31, *range(111, 125))]
    mine = thread(fresh(40, author="Raj"), authors=frozenset({"raj@example.org", "sam@example.org"}))
    chosen = select.choose(week(*threads, mine), SAM, windows)
    told = [(one.fresh[0].number, label) for one, label in chosen.conversations]
    assert told == [*((number, "this week") for number in (124, 123, 122, 121)), (40, "last week")]
    assert (len(chosen.titles), chosen.more_threads) == (8, 5)


# --- strangers -------------------------------------------------------------------------------------------------------


def test_who_has_no_part_in_a_week_is_told_what_all_strangers_are_told() -> None:
    chance = random.Random(6)
    people = ("Ana", "Raj", "Li", "Sam", "Eva")
    words = ("It leaks.", "Ask @sam.", "Sam Okafor knows.", "Write to sam@example.org.", "Does it leak?")
    strange = 0
    for _ in range(400):
        posts = [
            fresh(
                number,
                chance.choice(words[:2] * 3 + words),
                chance.choice(people[:3] * 3 + people),
                answers=chance.choice(("", "", "Raj", *people)),
            )
            for number in range(1, chance.randrange(3, 9))
        ]
        threads = [thread(*posts[:2], opening_key=chance.choice(("", "ana@example.org", "sam@example.org")))]
        threads += [
            thread(post, question=chance.choice((None, asking(post, chance.choice(people))))) for post in posts[2:]
        ]
        made = week(*threads, unanswered=(asking(posts[0], chance.choice(people)),), settled=(result(posts[-1]),))
        for name in ("Sam", "Eva", "Nia"):
            one = Reader(
                keys=frozenset({f"{name.lower()}@example.org"}),
                name=f"{name} Okafor",
                muted=frozenset({1} if chance.random() < 0.1 else ()),
                followed=frozenset({posts[0].number} if chance.random() < 0.1 else ()),
            )
            if made.is_strange_to(one):
                strange += 1
                assert select.choose(made, one) == select.choose(made, STRANGER)
                assert select.concerned(made, one) == select.concerned(made, STRANGER) == []
    assert 50 < strange < 1_100


@pytest.mark.parametrize(
    "part",
    [
        week(thread(fresh(1, author="Sam"))),
        week(thread(fresh(1, answers="Sam"))),
        week(thread(fresh(1), authors=frozenset({"sam.okafor@example.org"}))),
        week(thread(fresh(1), opening_key="sam@example.org")),
        week(thread(fresh(1, "Ask @sam, he knows."))),
        week(thread(fresh(1, "Okafor knows."))),
        week(thread(fresh(1), question=asking(fresh(1), "Sam"))),
        week(unanswered=(asking(fresh(1), "Sam"),)),
        week(unanswered=(asking(fresh(1, author="Sam")),)),
        week(settled=(result(fresh(1, author="Sam")),)),
    ],
)
def test_no_week_is_strange_to_who_has_a_part_in_it(part: Week) -> None:
    assert not part.is_strange_to(SAM)
    assert part.is_strange_to(Reader(keys=frozenset({"nia@example.org"}), name="Nia Weiss"))


def test_no_week_is_strange_to_who_mutes_or_follows_a_thread_of_it() -> None:
    told = week(thread(fresh(1)), unanswered=(asking(fresh(2)),), settled=(result(fresh(3)),))
    nia = Reader(keys=frozenset({"nia@example.org"}))
    for number in (1, 2, 3):
        assert not told.is_strange_to(replace(nia, muted=frozenset({number})))
        assert not told.is_strange_to(replace(nia, followed=frozenset({number})))
    assert told.is_strange_to(replace(nia, muted=frozenset({4}), followed=frozenset({5})))
