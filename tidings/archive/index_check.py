"""Holds the text index against the words that posts have: what was damaged on the disk is not what was written.

It reads only. SQLite's index can be read by its words alone, not by post, so all of it is read at the end.
"""

from collections.abc import Iterator, Sequence
from contextlib import closing
from typing import Any

from sqlalchemy import text

from tidings.archive.text_index import COLUMNS, IndexRow, indexed, vector
from tidings.database.engine import Database, SqliteError

_DIFFERS = text(
    "SELECT made.id FROM unnest(CAST(:ids AS BIGINT[]), CAST(:words AS TEXT[])) AS made (id, words)"
    " LEFT JOIN post_text ON post_text.rowid = made.id"
    " WHERE post_text.words IS DISTINCT FROM CAST(made.words AS TSVECTOR)"
)
_NUMBERS = {name.encode(): number for number, name in enumerate(COLUMNS)}
_64_BITS = (1 << 64) - 1


class IndexCheck:
    """One look at the index: `expect` is told every post, `differing` says at the end which are not indexed so."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._sums: dict[int, int] = {}  # by post: what its words come to, each with its column and its place
        self._differing: list[int] = []

    def expect(self, rows: Sequence[IndexRow]) -> None:
        """The words that these posts are to have."""
        if self._database.dialect == "sqlite":
            for row in rows:
                self._sums[row.post_id] = _sum(indexed(row))
            return
        values = {"ids": [row.post_id for row in rows], "words": [vector(*indexed(row)) for row in rows]}
        with self._database.read() as connection:
            self._differing += connection.execute(_DIFFERS, values).scalars()

    def differing(self) -> list[int]:
        """The posts that are indexed otherwise. Raises DamagedIndexError where the index cannot be read to its end."""
        if self._database.dialect != "sqlite":
            return sorted(self._differing)
        for post_id, mark in _instances(self._database):
            if post_id in self._sums:  # else it came since
                self._sums[post_id] = (self._sums[post_id] - mark) & _64_BITS
        return sorted(post_id for post_id, left in self._sums.items() if left)


class DamagedIndexError(Exception):
    """The text index is damaged as a whole."""


def is_sound(database: Database) -> bool:
    """Whether the index can be read, and holds the words of posts only. On PostgreSQL it is a table like any other."""
    if database.dialect != "sqlite":
        return True
    with closing(_opened(database)) as connection:
        try:
            (found,) = connection.execute("PRAGMA integrity_check('post_text')").fetchone()
            strange = "SELECT EXISTS (SELECT * FROM words WHERE col IS NULL OR doc NOT IN (SELECT id FROM post))"
            return found == b"ok" and not connection.execute(strange).fetchone()[0]
        except SqliteError:
            return False


def _instances(database: Database) -> Iterator[tuple[int, int]]:
    """Every word of the index, as its post and its mark."""
    if not is_sound(database):
        raise DamagedIndexError
    with closing(_opened(database)) as connection:
        for term, post_id, column, place in connection.execute("SELECT term, doc, col, offset FROM words"):
            if column not in _NUMBERS:
                raise DamagedIndexError
            yield post_id, _mark(term, _NUMBERS[column], place)


def _opened(database: Database) -> Any:
    connection = database.connect()
    connection.text_factory = bytes  # what is damaged need not be UTF-8
    connection.execute("CREATE VIRTUAL TABLE temp.words USING fts5vocab('main', 'post_text', 'instance')")
    return connection


def _sum(columns: Sequence[Sequence[str]]) -> int:
    marks = (
        _mark(word.encode(), number, place) for number, words in enumerate(columns) for place, word in enumerate(words)
    )
    return sum(marks) & _64_BITS


def _mark(term: bytes, column: int, place: int) -> int:
    return hash((term, column, place))
