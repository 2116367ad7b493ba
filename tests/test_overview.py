"""What the page of a thread says of it as a whole is remembered, and is right all the same."""

import pytest
from sqlalchemy import select, update

from tests import seed
from tidings.archive import read
from tidings.archive.similar import Similar
from tidings.communities import directory
from tidings.database import tables
from tidings.database.engine import Database
from tidings.web import overview
from tidings.web.overview import Overviews

_LEAK = "The shaft seal of the feed pump leaks at 2.5 bar since the bearing was changed. Which seal fits there?"
_AGAIN = "Since yesterday the shaft seal of our feed pump leaks as well, at about 3 bar. What seal did you take?"
_TOOK = ("granite", "bronze", "silicone", "cork", "felt")


def _community(database: Database) -> int:
    with database.write() as connection:
        pump = seed.community(connection, language="english")
        for number in range(25):
            seed.post(connection, pump, subject="Night report", text=f"Nothing to report from night {number}.")
        return pump


def _two_leaks(database: Database) -> int:
    pump = _community(database)
    with database.write() as connection:
        seed.post(connection, pump, message_id="old@example.org", subject="Shaft seal leaks", text=_LEAK)
        seed.post(connection, pump, message_id="new@example.org", subject="Leak at the shaft seal", text=_AGAIN)
    return pump


def _seen(overviews: Overviews, database: Database, pump: int, message_id: str = "new@example.org") -> list[Similar]:
    with database.read() as connection:
        asked = read.post(connection, pump, message_id)
        assert asked is not None
        posts = read.thread(connection, pump, asked.thread_id)
        return overviews.seen(connection, posts, directory.community_by_id(connection, pump))


def _short(overviews: Overviews, database: Database, pump: int) -> list[tuple[int, str]]:
    with database.read() as connection:
        asked = read.post(connection, pump, "bolts@example.org")
        assert asked is not None
        posts = read.thread(connection, pump, asked.thread_id)
        return [(post.number, sentence) for post, sentence in overviews.in_short(posts, "english")]


def _bolts(database: Database) -> int:
    pump = _community(database)
    with database.write() as connection:
        asked = "The bolts of the flange on line two come loose. Who knows a better bolt?"
        first = seed.post(connection, pump, message_id="bolts@example.org", subject="Bolts", text=asked)
        for number, took in enumerate(_TOOK):
            seed.post(connection, pump, parent=first, text=f"On our flange of line {number} we took {took}.")
    return pump


def _again_by_sql(database: Database, pump: int, message_id: str, subject: str, text: str) -> None:
    """A post of a thread of its own, of which the community's number does not tell."""
    with database.write() as connection:
        last = select(tables.community.c.last_number).where(tables.community.c.id == pump)
        before = connection.execute(last).scalar_one()
        seed.post(connection, pump, message_id=message_id, subject=subject, text=text)
        connection.execute(update(tables.community).where(tables.community.c.id == pump).values(last_number=before))


def test_what_is_told_again_is_what_was_told(database: Database) -> None:
    pump, overviews = _two_leaks(database), Overviews()
    first = _seen(overviews, database, pump)
    assert [one.message_id for one in first] == ["old@example.org"]
    assert _seen(overviews, database, pump) == first == _seen(Overviews(), database, pump)


def test_key_sentences_are_told_again_as_they_were(database: Database) -> None:
    pump, overviews = _bolts(database), Overviews()
    first = _short(overviews, database, pump)
    assert len(first) > 1
    assert _short(overviews, database, pump) == first == _short(Overviews(), database, pump)


def test_title_and_posts_of_a_thread_seen_before_are_those_of_now(database: Database) -> None:
    pump, overviews = _two_leaks(database), Overviews()
    _seen(overviews, database, pump)
    with database.write() as connection:
        old = seed.found(connection, pump, "old@example.org")
        connection.execute(update(tables.post).where(tables.post.c.id == old.id).values(subject="(erased)"))
    (told,) = _seen(overviews, database, pump)
    assert told.subject == "(erased)"


def test_a_thread_that_is_there_no_more_is_not_told(database: Database) -> None:
    pump, overviews = _two_leaks(database), Overviews()
    _seen(overviews, database, pump)
    with database.write() as connection:
        old = seed.found(connection, pump, "old@example.org")
        connection.execute(update(tables.node).where(tables.node.c.id == old.node_id).values(thread_id=1))
        connection.execute(update(tables.post).where(tables.post.c.id == old.id).values(thread_id=1))
    assert _seen(overviews, database, pump) == []


def test_what_was_seen_before_is_looked_up_again_when_the_community_has_a_post(database: Database) -> None:
    pump, overviews = _two_leaks(database), Overviews()
    _seen(overviews, database, pump)
    _again_by_sql(database, pump, "third@example.org", "Shaft seal of the feed pump", _LEAK)
    assert [one.message_id for one in _seen(overviews, database, pump)] == ["old@example.org"], "not looked up"
    with database.write() as connection:
        values = {"last_number": tables.community.c.last_number + 1}
        connection.execute(update(tables.community).where(tables.community.c.id == pump).values(values))
    found = {one.message_id for one in _seen(overviews, database, pump)}
    assert found == {"old@example.org", "third@example.org"}


def test_key_sentences_are_those_of_the_words_that_stand_there_now(database: Database) -> None:
    pump, overviews = _bolts(database), Overviews()
    number, sentence = _short(overviews, database, pump)[1]
    with database.write() as connection:
        at = (tables.post.c.community_id == pump) & (tables.post.c.number == number)
        connection.execute(update(tables.post).where(at).values(text="(erased)"))
    told = _short(overviews, database, pump)
    assert sentence not in [each for _, each in told]
    assert number not in [each for each, _ in told]


def test_key_sentences_change_with_a_new_post_of_the_thread(database: Database) -> None:
    pump, overviews = _bolts(database), Overviews()
    before = _short(overviews, database, pump)
    with database.write() as connection:
        first = seed.found(connection, pump, "bolts@example.org")
        text = "The better bolt for a flange is of titanium: ours never came loose since we took titanium."
        seed.post(connection, pump, parent=first, text=text)
    after = _short(overviews, database, pump)
    assert after != before
    assert after == _short(Overviews(), database, pump)


def test_nobodys_words_are_remembered(database: Database) -> None:
    pump, overviews = _bolts(database), Overviews()
    with database.write() as connection:
        seed.post(connection, pump, message_id="old@example.org", subject="Shaft seal leaks", text=_LEAK)
        seed.post(connection, pump, message_id="new@example.org", subject="Leak at the shaft seal", text=_AGAIN)
    assert _short(overviews, database, pump)
    assert _seen(overviews, database, pump)
    kinds: set[type] = set()
    waiting: list[object] = [vars(part) for part in vars(overviews).values()]
    while waiting:
        one = waiting.pop()
        kinds.add(type(one))
        if isinstance(one, dict):
            waiting += [*one.values(), *(key for key in one if not isinstance(key, str))]
        elif isinstance(one, tuple):
            waiting += one
    assert {dict, tuple, int, bytes} <= kinds
    assert str not in kinds


def test_no_more_is_remembered_than_there_is_room_for(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overview, "_KEPT", 1)
    pump, overviews = _two_leaks(database), Overviews()
    _seen(overviews, database, pump)
    _again_by_sql(database, pump, "third@example.org", "Shaft seal of the feed pump", _LEAK)
    assert len(_seen(overviews, database, pump)) == 1, "remembered"
    _seen(overviews, database, pump, "old@example.org")
    assert len(_seen(overviews, database, pump)) == 2, "forgotten for the other"
