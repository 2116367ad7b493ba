"""Writes the words of posts into the text index that `search` asks.

It holds no text of its own: the rows of `post` are the truth, and the index can be made anew from them.
"""

import re
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from tidings.database.engine import Database

# PostgreSQL refuses a tsvector above 1 MB, positions and all; so many characters stay below it in every script.
_MOST_CHARACTERS = 200_000
_BETWEEN_WORDS = re.compile(r"[\W_]+")

_INSERT = {
    "sqlite": text(
        "INSERT INTO post_text (rowid, subject, author, recipients, text)"
        " VALUES (:post_id, :subject, :author, :recipients, :text)"
    ),
    "postgresql": text(
        "INSERT INTO post_text (rowid, subject, author, recipients, text)"
        " VALUES (:post_id, to_tsvector('simple', :subject), to_tsvector('simple', :author),"
        " to_tsvector('simple', :recipients), to_tsvector('simple', :text))"
    ),
}
_PAGES = 200  # of the index that are merged in one transaction
_MERGE = text("INSERT INTO post_text (post_text, rank) VALUES ('merge', :pages)")
_CHANGES = text("SELECT total_changes()")
_DELETE = text("DELETE FROM post_text WHERE rowid = :post_id")


@dataclass(frozen=True, kw_only=True)
class IndexRow:
    """What is found of a post: `author` is name and address, `text` what is shown, quotes and all."""

    post_id: int
    subject: str
    author: str
    recipients: str
    text: str


def clean(text_of: str) -> str:
    """The text without lone surrogates, which neither engine takes."""
    return text_of if text_of.isascii() else text_of.encode("utf-8", "replace").decode()


def words(words_of: str) -> str:
    """The words of a text with single spaces between them, without case and accents, as SQLite's unicode61 sees them.

    PostgreSQL would keep addresses, host names and hyphenated words whole; this way both engines find the same.
    """
    if words_of.isascii():
        plain = words_of.lower()
    else:
        parts = unicodedata.normalize("NFKD", words_of.casefold())
        plain = "".join(character for character in parts if not unicodedata.combining(character))
    return _BETWEEN_WORDS.sub(" ", plain).strip()


def index_rows(connection: Connection, rows: Sequence[IndexRow]) -> None:
    """Index posts that are not indexed yet."""
    if not rows:
        return
    dialect = connection.dialect.name
    prepare = words if dialect == "postgresql" else clean
    connection.execute(
        _INSERT[dialect],
        [
            {
                "post_id": row.post_id,
                "subject": prepare(row.subject[:_MOST_CHARACTERS]),
                "author": prepare(row.author[:_MOST_CHARACTERS]),
                "recipients": prepare(row.recipients[:_MOST_CHARACTERS]),
                "text": prepare(row.text[:_MOST_CHARACTERS] if dialect == "postgresql" else row.text),
            }
            for row in rows
        ],
    )


def index_row(connection: Connection, post_id: int, *, subject: str, author: str, recipients: str, text: str) -> None:
    """Index one post that is not indexed yet."""
    row = IndexRow(post_id=post_id, subject=subject, author=author, recipients=recipients, text=text)
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
