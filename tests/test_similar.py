"""Threads that began alike: found by rare words on both engines, in one community, or not told at all."""

from datetime import timedelta

import pytest
from sqlalchemy import Connection

from tests import seed
from tidings.archive import read
from tidings.archive.similar import Similar, similar
from tidings.communities import directory
from tidings.database.engine import Database
from tidings.digests import telling
from tidings.digests.hints import Hints
from tidings.digests.week import Fresh, Question

# What a community also speaks of, so that no word is rare because little was written.
_OTHERS = (
    ("Rota for October", "The rota for October is in the canteen. Please look whether your shifts are right."),
    ("New torque wrench", "We have a new torque wrench in the store. It is for the flanges of line two only."),
    ("Cold in the control room", "The heating of the control room is out. Somebody comes to look at it tomorrow."),
    (
        "Filter of the compressor",
        "I changed the filter of the compressor and it was black. How often do you change it?",
    ),
    ("Parking behind the hall", "Please do not park behind the hall, the fire brigade needs the way in at all times."),
)
_LEAK = "The shaft seal of the feed pump leaks at 2.5 bar since the bearing was changed. Which seal fits there?"
_AGAIN = "Since yesterday the shaft seal of our feed pump leaks as well, at about 3 bar. What seal did you take?"


def _community(database: Database, name: str = "pump", **values: object) -> int:
    with database.write() as connection:
        community = seed.community(connection, name, **({"language": "english"} | values))
        for subject, text in _OTHERS * 5:
            seed.post(connection, community, subject=subject, text=text)
    return community


def _seen(database: Database, community: int, message_id: str, language: str = "english") -> list[Similar]:
    with database.read() as connection:
        first = read.post(connection, community, message_id)
        assert first is not None
        return similar(connection, first, language=language)


def _answer(database: Database, community: int, message_id: str) -> str | None:
    with database.read() as connection:
        return _answer_in(connection, community, message_id)


def _answer_in(connection: Connection, community: int, message_id: str) -> str | None:
    first = read.post(connection, community, message_id)
    assert first is not None
    text = read.own_text(first)
    if not telling.is_question(text):
        return None
    asked = Fresh(
        id=first.id,
        number=first.number,
        message_id=message_id,
        author=first.author_name,
        author_key=first.author_email,
        date=first.date,
        text=text,
    )
    question = Question(thread_id=first.thread_id, title=first.subject, asked=asked, new=True)
    seen = Hints(connection, directory.community_by_id(connection, community))(question, first).seen
    return seen.link if seen else None


def test_a_thread_that_began_alike_is_found_with_its_date_and_posts(database: Database) -> None:
    pump = _community(database)
    with database.write() as connection:
        old = seed.post(connection, pump, message_id="old", subject="Shaft seal leaks", text=_LEAK)
        seed.post(connection, pump, parent=old, author=("Jo", "jo@example.org"), text="The carbon one fits.")
        seed.post(connection, pump, message_id="new", subject="Re: [Pump] Leak at the shaft seal", text=_AGAIN)
    assert _seen(database, pump, "new") == [
        Similar(
            thread_id=old.thread_id,
            message_id="old",
            subject="Shaft seal leaks",
            date=seed.START + timedelta(hours=old.number),
            posts=2,
            answered=True,
        )
    ]


def test_where_nothing_is_alike_nothing_is_told(database: Database) -> None:
    pump = _community(database)
    with database.write() as connection:
        seed.post(connection, pump, message_id="new", subject="Valve of line seven", text="It sticks when it is cold.")
        seed.post(connection, pump, message_id="empty", subject="", text="")
    assert _seen(database, pump, "new") == _seen(database, pump, "empty") == []


def test_what_shares_common_words_only_is_not_alike(database: Database) -> None:
    pump = _community(database)
    with database.write() as connection:
        for number in range(6):
            seed.post(connection, pump, subject="A question", text=f"Number {number} of the questions of the day.")
        seed.post(connection, pump, message_id="a", subject="A question", text="Is the way to the hall open tomorrow?")
        seed.post(connection, pump, message_id="b", subject="A question", text="Does the canteen have soup on Friday?")
    assert _seen(database, pump, "a") == []


def test_another_community_is_not_looked_at(database: Database) -> None:
    pump, valve = _community(database), _community(database, "valve")
    with database.write() as connection:
        seed.post(connection, valve, message_id="theirs", subject="Shaft seal leaks", text=_LEAK)
        seed.post(connection, pump, message_id="ours", subject="Shaft seal leaks", text=_AGAIN)
    assert _seen(database, pump, "ours") == []


def test_words_that_were_quoted_or_signed_make_no_likeness(database: Database) -> None:
    pump = _community(database)
    quoted = f"Who has the key of the crane?\n{_LEAK}\n"
    with database.write() as connection:
        seed.post(connection, pump, message_id="old", subject="Shaft seal leaks", text=_LEAK)
        fold = (quoted.index(_LEAK), len(quoted), "quote")
        seed.post(
            connection, pump, message_id="new", subject="Keys of crane, hall, seal store", text=quoted, folds=(fold,)
        )
    assert _seen(database, pump, "new") == []


def test_the_older_is_offered_as_well_as_the_newer_and_the_more_alike_comes_first(database: Database) -> None:
    pump = _community(database)
    with database.write() as connection:
        seed.post(
            connection, pump, message_id="far", subject="Feed pump leaks", text="The flange of the feed pump leaks."
        )
        seed.post(connection, pump, message_id="asked", subject="Shaft seal of the feed pump leaks", text=_LEAK)
        seed.post(connection, pump, message_id="near", subject="Leak at the shaft seal of a feed pump", text=_AGAIN)
    assert [found.message_id for found in _seen(database, pump, "asked")] == ["near", "far"]


def test_of_threads_with_one_title_that_with_most_posts_is_offered(database: Database) -> None:
    pump = _community(database)
    with database.write() as connection:
        seed.post(connection, pump, subject="[PATCH v1] Shaft seal leaks", text=_LEAK)
        long = seed.post(connection, pump, message_id="long", subject="[PATCH v2] Shaft seal leaks", text=_LEAK)
        seed.post(connection, pump, parent=long, text="Thanks.")
        seed.post(connection, pump, subject="[PATCH v3] Shaft seal leaks", text=_LEAK)
        seed.post(connection, pump, message_id="asked", subject="[PATCH v4] Shaft seal leaks", text=_LEAK)
    assert [found.message_id for found in _seen(database, pump, "asked")] == ["long"]


@pytest.mark.parametrize(
    ("language", "old", "new"),
    [("german", "Dichtungen der Speisepumpen", "Dichtung der Speisepumpe"), ("none", "漏れる軸", "軸が漏れる軸")],
)
def test_words_are_those_of_the_text_index_in_any_script(database: Database, language: str, old: str, new: str) -> None:
    pump = _community(database, language=language)
    with database.write() as connection:
        seed.post(connection, pump, message_id="old", subject=old, text="")
        seed.post(connection, pump, message_id="new", subject=new, text="")
    assert [found.message_id for found in _seen(database, pump, "new", language)] == ["old"]


def test_a_question_gets_the_older_thread_that_was_answered_and_no_other(database: Database) -> None:
    pump = _community(database)
    later = seed.START + timedelta(days=90)
    with database.write() as connection:
        alone = seed.post(connection, pump, subject="Shaft seal leaks", text=_LEAK)
        seed.post(connection, pump, parent=alone, text="Nobody?")
        asked = seed.post(connection, pump, message_id="q", subject="Leak at the shaft seal", text=_AGAIN, date=later)
        assert _answer_in(connection, pump, "q") is None
        old = seed.post(connection, pump, message_id="old", subject="Seal of the feed pump leaks", text=_LEAK)
        seed.post(connection, pump, parent=old, author=("Jo", "jo@example.org"), text="The carbon one fits.")
    assert _answer(database, pump, "q") == "old"
    with database.write() as connection:
        seed.post(connection, pump, parent=asked, author=("Jo", "jo@example.org"), text="See the old one.")
    assert _answer(database, pump, "old") is None  # the newer one cannot have helped


def test_what_asks_nothing_gets_no_answer(database: Database) -> None:
    pump = _community(database)
    asked = "> Which seal?\nThe shaft seal of our feed pump leaks as well, at 3 bar.\n"
    with database.write() as connection:
        old = seed.post(connection, pump, message_id="old", subject="Shaft seal leaks", text=_LEAK)
        seed.post(connection, pump, parent=old, author=("Jo", "jo@example.org"), text="The carbon one fits.")
        seed.post(connection, pump, message_id="new", subject="Shaft seal", text=asked, folds=((0, 14, "quote"),))
    assert [found.message_id for found in _seen(database, pump, "new")] == ["old"]
    assert _answer(database, pump, "new") is None


def test_a_word_that_most_posts_have_costs_no_more_than_its_bound(database: Database) -> None:
    with database.write() as connection:
        pump = seed.community(connection, language="english")
        for _ in range(250):
            seed.post(connection, pump, subject="Status", text="All quiet on line two.")
        seed.post(connection, pump, message_id="new", subject="Status", text="All quiet on line two.")
    assert _seen(database, pump, "new") == []
