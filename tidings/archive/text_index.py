"""Writes the words of posts into the text index that `search` asks.

It holds no text of its own: the rows of `post` are the truth, and the index can be made anew from them. Both engines
get words that `terms` made, so that both find the same.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

import msgspec
from sqlalchemy import Connection, bindparam, column, select, table, text

from tidings.archive.terms import GAP, tags, terms
from tidings.database.engine import Database
from tidings.database.tables import attachment, community, post

COLUMNS = ("subject", "author", "recipients", "text")
"""Of the index; on PostgreSQL, which has one column for all of them, they are the weights A to D."""

# PostgreSQL refuses a tsvector above 1 MB, positions and all. In bytes, by column; in sum they stay below it.
_MOST = (50_000, 50_000, 200_000, 700_000)
_ABOUT_A_WORD = 5  # bytes that PostgreSQL needs beside its letters
_LAST_POSITION = 16_383  # of PostgreSQL: what comes later is found, but in no phrase
_WEIGHTS = ("A", "B", "C", "")
_BATCH = 500

_INSERT = {
    "sqlite": text(
        "INSERT INTO post_text (rowid, subject, author, recipients, text)"
        " VALUES (:post_id, :subject, :author, :recipients, :text)"
    ),
    "postgresql": text("INSERT INTO post_text (rowid, words) VALUES (:post_id, CAST(:words AS tsvector))"),
}
_PAGES = 200  # of the index that are merged in one transaction
_MERGE = text("INSERT INTO post_text (post_text, rank) VALUES ('merge', :pages)")
_CHANGES = text("SELECT total_changes()")
_CLEAR = {
    "sqlite": text("INSERT INTO post_text (post_text) VALUES ('delete-all')"),
    "postgresql": text("DELETE FROM post_text"),
}
_DELETE = text("DELETE FROM post_text WHERE rowid = :post_id")
_INDEX = table("post_text", column("rowid"))
_NOT_INDEXED = (
    select(
        post.c.id,
        community.c.language,
        post.c.subject,
        post.c.author_name,
        post.c.author_email,
        post.c.recipients,
        post.c.text,
        post.c.folds,
    )
    .join(community, community.c.id == post.c.community_id)
    .where(post.c.id > bindparam("after"), ~select(_INDEX.c.rowid).where(_INDEX.c.rowid == post.c.id).exists())
    .order_by(post.c.id)
    .limit(_BATCH)
)
_FILES = select(attachment.c.post_id, attachment.c.filename).where(
    attachment.c.post_id.in_(bindparam("posts", expanding=True))
)
folds = msgspec.json.Decoder(tuple[tuple[int, int, str], ...]).decode
"""The folds of a post, from its column."""


@dataclass(frozen=True, kw_only=True)
class IndexRow:
    """What is found of a post: `author` is name and address; of `text` not what `folds` call a quote."""

    post_id: int
    language: str
    subject: str
    author: str
    recipients: str
    text: str
    folds: Sequence[tuple[int, int, str]] = ()
    files: Sequence[str] = ()


def index_rows(connection: Connection, rows: Sequence[IndexRow]) -> None:
    """Index posts that are not indexed yet."""
    if not rows:
        return
    dialect = connection.dialect.name
    values = _vector if dialect == "postgresql" else _plain
    connection.execute(_INSERT[dialect], [{"post_id": row.post_id} | values(*indexed(row)) for row in rows])


def index_row(connection: Connection, row: IndexRow) -> None:
    """Index one post that is not indexed yet."""
    index_rows(connection, [row])


def unindex(connection: Connection, post_id: int) -> None:
    """Forget the words of a post; nothing happens where it is not indexed."""
    connection.execute(_DELETE, {"post_id": post_id})


def compact(database: Database) -> None:
    """Leave nothing in the index of what was unindexed: on SQLite it stays until the index's pieces are merged."""
    if database.dialect != "sqlite":
        return
    pages, changed = -_PAGES, 2  # below nought: first, all pieces are to be one
    # The documented sign of the end: a merge that changed fewer than two rows had nothing to do.
    while changed >= 2:
        with database.write() as connection:
            before = connection.execute(_CHANGES).scalar_one()
            connection.execute(_MERGE, {"pages": pages})
            pages, changed = _PAGES, connection.execute(_CHANGES).scalar_one() - before


def fill(connection: Connection, after: int) -> int | None:
    """Index the next posts with an id above `after` that are not indexed; the last one's id, or None at the end."""
    found = connection.execute(_NOT_INDEXED, {"after": after}).all()
    if not found:
        return None
    files: dict[int, list[str]] = {}
    for post_id, filename in connection.execute(_FILES, {"posts": [row.id for row in found]}):
        files.setdefault(post_id, []).append(filename)
    index_rows(
        connection,
        [
            IndexRow(
                post_id=row.id,
                language=row.language,
                subject=row.subject,
                author=f"{row.author_name} {row.author_email}",
                recipients=row.recipients,
                text=row.text,
                folds=folds(row.folds),
                files=files.get(row.id, ()),
            )
            for row in found
        ],
    )
    return int(found[-1].id)


def indexed(row: IndexRow) -> list[list[str]]:
    """The words of each column of the index, as many as it takes."""
    return list(map(_within, _words(row), _MOST))


def clear(connection: Connection) -> None:
    """Forget the words of every post, however damaged the index is."""
    connection.execute(_CLEAR[connection.dialect.name])


def _words(row: IndexRow) -> tuple[list[str], ...]:
    """The words of each column."""
    text_words: list[str] = []
    for part in (*unquoted(row.text, row.folds), *row.files):
        text_words += (GAP, *terms(part, row.language))
    return (
        terms(row.subject, row.language) + tags(row.subject),
        terms(row.author, row.language),
        terms(row.recipients, row.language),
        text_words,
    )


def unquoted(text_of: str, folds: Iterable[tuple[int, int, str]]) -> Iterator[str]:
    """What a text holds between its quotes."""
    at = 0
    for start, end, kind in folds:
        if kind == "quote":
            yield text_of[at:start]
            at = max(at, end)
    yield text_of[at:]


def _within(words: list[str], most: int) -> list[str]:
    """As many of the first words as the index takes."""
    letters = 4 * sum(map(len, words))  # bytes at the most
    if letters + _ABOUT_A_WORD * len(words) <= most:
        return words
    room = most
    for number, word in enumerate(words):
        room -= len(word.encode()) + _ABOUT_A_WORD
        if room < 0:
            return words[:number]
    return words


def _plain(*columns: list[str]) -> dict[str, str]:
    return {name: " ".join(words) for name, words in zip(COLUMNS, columns, strict=True)}


def _vector(*columns: list[str]) -> dict[str, str]:
    return {"words": vector(*columns)}


def vector(*columns: list[str]) -> str:
    """A tsvector as PostgreSQL writes it, which no parser of its own takes apart again."""
    entries: list[str] = []
    position = 0
    for weight, words in zip(_WEIGHTS, columns, strict=True):
        position += 1
        for word in words:
            position = min(position + 1, _LAST_POSITION)
            if word != GAP:
                entries.append(f"'{word}':{position}{weight}")
    return " ".join(entries)
