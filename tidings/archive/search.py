"""Searches the archive with a small query language; no query is wrong, and none can reach the database's own language.

    pump seal          both words, anywhere       "dry run"           the phrase
    from:maria         author                     to:night            recipients
    subject:seal       subject                    -weekend            not this
    after:2026-03      from the 1st of March on   before:2026-04-15   up to the end of the 14th (UTC)
    has:attachment     with at least one file

It does not ask who may read: the caller names the communities.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, column, func, literal_column, not_, select, table, text
from sqlalchemy import bindparam as bind

from tidings.archive.read import POSTS, Post, as_post, pieces
from tidings.archive.text_index import clean, words
from tidings.database.tables import post as post_table

MOST_TERMS = 32
_SNIPPET = 200
_LEAD = 60  # characters shown before the word that was found

# A second minus is no negation: people look for `--force`.
_TERM = re.compile(r'(-(?!-))?(?:(from|to|subject|after|before|has):)?("[^"]*"?|\S+)', re.IGNORECASE)
_WORD = re.compile(r"[^\W_]")
_DATE = re.compile(r"(\d{4})(?:-(\d\d?))?(?:-(\d\d?))?", re.ASCII)
_COLUMNS = {"from": "author", "to": "recipients", "subject": "subject", "": ""}
_POST = post_table.c
_INDEX = table("post_text", column("rowid"), column("subject"), column("author"), column("recipients"), column("text"))


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A post that was found; `snippet` is at most 200 characters of it, around what was looked for."""

    post: Post
    snippet: str


@dataclass(frozen=True, kw_only=True)
class _Term:
    """One word or phrase; `column` is empty where it may stand anywhere."""

    column: str
    phrase: str
    negative: bool


@dataclass(frozen=True, kw_only=True)
class _Query:
    terms: tuple[_Term, ...]
    conditions: tuple[ColumnElement[bool], ...]

    @property
    def wanted(self) -> list[_Term]:
        return [term for term in self.terms if not term.negative]

    @property
    def unwanted(self) -> list[_Term]:
        return [term for term in self.terms if term.negative]


def search(
    connection: Connection, community_ids: Sequence[int], query: str, *, limit: int = 50, offset: int = 0
) -> list[Hit]:
    """The posts of some communities that fit a query, the newest in the archive first; none for an empty query.

    More than 32 terms are not looked at.
    """
    parsed = _parse(query)
    if not community_ids or not (parsed.terms or parsed.conditions):
        return []
    statement = POSTS.where(_POST.community_id.in_(community_ids), *parsed.conditions)
    matching = _on_sqlite if connection.dialect.name == "sqlite" else _on_postgresql
    rows = connection.execute(matching(statement, parsed).limit(limit).offset(max(offset, 0)))
    looked_for = _pattern(parsed.wanted)
    return [Hit(post=found, snippet=_snippet(found, looked_for)) for found in map(as_post, rows)]


def _parse(query: str) -> _Query:
    terms: list[_Term] = []
    conditions: list[ColumnElement[bool]] = []
    for number, match in enumerate(_TERM.finditer(clean(query).replace("\0", " "))):
        if number == MOST_TERMS:
            break
        minus, field, value = match[1], (match[2] or "").lower(), match[3]
        condition = _condition(field, value.strip('"'))
        if condition is not None:
            conditions.append(not_(condition) if minus else condition)
        elif _WORD.search(value):
            phrase = value if field in _COLUMNS else f"{field} {value}"
            terms.append(_Term(column=_COLUMNS.get(field, ""), phrase=phrase.replace('"', " "), negative=bool(minus)))
    return _Query(terms=tuple(terms), conditions=tuple(conditions))


def _condition(field: str, value: str) -> ColumnElement[bool] | None:
    """What a field asks of the post itself; None where the term is to be taken as words."""
    if field == "has" and value.lower() in ("attachment", "attachments"):
        return _POST.attachments > 0
    if field in ("after", "before") and (day := _day(value)):
        return _POST.date >= day if field == "after" else _POST.date < day
    return None


def _day(value: str) -> datetime | None:
    """The first moment, in UTC, of a year, month or day."""
    match = _DATE.fullmatch(value)
    try:
        return datetime(int(match[1]), int(match[2] or 1), int(match[3] or 1), tzinfo=UTC) if match else None
    except ValueError:
        return None


def _on_sqlite(statement: Select[Any], query: _Query) -> Select[Any]:
    """Asks FTS5; ordered by the index's own rowid, it stops as soon as it has a page."""
    wanted = " AND ".join(map(_fts5, query.wanted))
    unwanted = " OR ".join(map(_fts5, query.unwanted))
    if wanted:
        match = f"({wanted}) NOT ({unwanted})" if unwanted else wanted
        return (
            statement.join(_INDEX, _INDEX.c.rowid == _POST.id)
            .where(text("post_text MATCH :match").bindparams(match=match))
            .order_by(_INDEX.c.rowid.desc())
        )
    if unwanted:
        # FTS5 knows no NOT without something to take it from.
        found = select(_INDEX.c.rowid).where(text("post_text MATCH :match").bindparams(match=unwanted))
        statement = statement.where(_POST.id.not_in(found))
    return statement.order_by(_POST.id.desc())


def _fts5(term: _Term) -> str:
    """A term as an FTS5 string, in which nothing has a meaning but the quote that the parser took out."""
    return f'{{{term.column}}} : "{term.phrase}"' if term.column else f'"{term.phrase}"'


def _on_postgresql(statement: Select[Any], query: _Query) -> Select[Any]:
    """Asks the tsvectors; every wanted term is asked of the whole, since that is what has the index."""
    whole: ColumnElement[Any] = literal_column(
        "(post_text.subject || post_text.author || post_text.recipients || post_text.text)"
    )
    for term in query.terms:
        asked = func.phraseto_tsquery(literal_column("'simple'"), bind(None, words(term.phrase)))
        found: ColumnElement[bool] = whole.op("@@")(asked)
        if term.column:
            found = and_(found, _INDEX.c[term.column].op("@@")(asked))
        statement = statement.where(not_(found) if term.negative else found)
    if query.terms:
        statement = statement.join(_INDEX, _INDEX.c.rowid == _POST.id)
    return statement.order_by(_POST.id.desc())


def _pattern(terms: Sequence[_Term]) -> re.Pattern[str] | None:
    """Finds the first of the terms in a text; linear, since the gaps between words are bounded."""
    phrases = [r"\W{1,8}".join(map(re.escape, re.findall(r"[^\W_]+", term.phrase))) for term in terms]
    return re.compile(rf"(?<!\w)(?:{'|'.join(phrases)})(?!\w)", re.IGNORECASE) if phrases else None


def _snippet(post: Post, looked_for: re.Pattern[str] | None) -> str:
    """What stands around the first find, in the author's own words where it is there; else how the post begins."""
    own = " ".join(piece for kind, piece in pieces(post) if kind == "own")
    for shown in (own, post.text):
        match = looked_for.search(shown) if looked_for else None
        if match:
            return _window(shown, max(0, match.start() - _LEAD))
    return _window(own if own.strip() else post.text, 0)


def _window(shown: str, start: int) -> str:
    """At most 200 characters from `start` on, cut between words, with white space as single spaces."""
    # Twice the room, because white space shrinks.
    part = " ".join(shown[start : start + 4 * _SNIPPET].split())
    if start > 0 and not shown[start - 1].isspace():
        part = part.partition(" ")[2] or part
    before = "… " if start > 0 else ""
    if len(before) + len(part) > _SNIPPET:
        part = part[: _SNIPPET - len(before) - 2]
        part = (part.rpartition(" ")[0] or part) + " …"
    return before + part
