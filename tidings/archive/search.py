"""Searches the archive with a small query language; no query is wrong, and none can reach the database's own language.

    pump seal          both words, anywhere       "dry run"           the phrase
    from:maria         author                     to:night            recipients
    subject:seal       subject                    tag:pump            in the [tags] of the subject
    after:2026-03      from the 1st of March on   before:2026-04-15   up to the end of the 14th (UTC)
    has:attachment     with at least one file     -weekend            not this

Words are those of `terms`: without case, accents and endings. It does not ask who may read: the caller names the
communities.
"""

import re
import typing
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import merge
from typing import Any, Literal

from sqlalchemy import ColumnElement, Connection, Row, Select, cast, column, func, literal_column, not_, select, table
from sqlalchemy import bindparam as bind
from sqlalchemy.dialects.postgresql import TSQUERY

from tidings.archive.read import POSTS, Post, as_post, pieces
from tidings.archive.terms import GAP, NO_LANGUAGE, Phrase, located, phrase, tag, terms
from tidings.archive.text_index import COLUMNS, folds, unquoted
from tidings.database.tables import community as community_table
from tidings.database.tables import post as post_table
from tidings.errors import UsageError

Sort = Literal["newest", "relevance"]
MOST_TERMS = 32
CANDIDATES = 1000
"""How many of the newest hits are looked at for the most relevant."""

_HALVED = timedelta(days=730)  # a post so much older than the newest hit counts half
_IN_SUBJECT = 1.5  # what a term in the subject counts; one in the text counts up to 1
_USUAL_WORDS = 200  # of a post
_SNIPPET = 200
_LEAD = 60  # characters shown before the word that was found
_LOOKED_AT = (600, 3_000, 30_000)  # characters of a post, for a snippet: the next where there was nothing in these
_DOTS = "…"  # where a snippet was cut

# A second minus is no negation: people look for `--force`.
_TERM = re.compile(r'(-(?!-))?(?:(from|to|subject|tag|after|before|has):)?("[^"]*"?|\S+)', re.IGNORECASE)
_DATE = re.compile(r"(\d{4})(?:-(\d\d?))?(?:-(\d\d?))?", re.ASCII)
_COLUMNS = {"from": "author", "to": "recipients", "subject": "subject", "": ""}
_WEIGHTS = dict(zip(COLUMNS, "ABCD", strict=True))
_POST = post_table.c
_INDEX = table("post_text", column("rowid"), column("words"))
_ASKED: ColumnElement[Any] = cast(bind("asked"), TSQUERY)
_IS_HIT: dict[str, ColumnElement[bool]] = {
    "sqlite": literal_column("post_text").op("MATCH", is_comparison=True)(bind("asked")),
    "postgresql": _INDEX.c.words.op("@@", is_comparison=True)(_ASKED),
}
_AND = {"sqlite": " AND ", "postgresql": " & "}
_OR = {"sqlite": " OR ", "postgresql": " | "}
_EVERY = {"sqlite": f'"{GAP}"', "postgresql": ""}
_NOT = {"sqlite": " NOT ", "postgresql": " & !"}
_LANGUAGES = (
    select(community_table.c.language).where(community_table.c.id.in_(bind("communities", expanding=True))).distinct()
)


class _Asks:
    """The statements that ask for the same of posts, made once: with words, by engine, and without."""

    def __init__(self, posts: Select[Any]) -> None:
        within = posts.where(_POST.community_id.in_(bind("communities", expanding=True)))
        within = within.limit(bind("many")).offset(bind("skip"))
        self.all = within.order_by(_POST.id.desc())
        # Newest first: an engine stops as soon as it has a page.
        hits = within.join(_INDEX, _INDEX.c.rowid == _POST.id).order_by(_INDEX.c.rowid.desc())
        self.found = {dialect: hits.where(is_hit) for dialect, is_hit in _IS_HIT.items()}


_PAGE = _Asks(POSTS)
# Not the text's end: what a post is about stands before.
_CANDIDATES = _Asks(
    select(_POST.id, _POST.date, _POST.subject, func.substr(_POST.text, 1, 2_000).label("text"), _POST.folds)
)


def sort_order(text_of: str) -> Sort:
    """The order of that name. Raises UsageError."""
    for known in typing.get_args(Sort):
        if text_of == known:
            return known  # type: ignore[no-any-return]
    raise UsageError(f"There is no order {text_of!r}; say newest or relevance.")


@dataclass(frozen=True, kw_only=True)
class Hit:
    """A post that was found; `snippet` is at most 200 characters of it, and `marks` is what was looked for therein."""

    post: Post
    snippet: str
    marks: tuple[tuple[int, int], ...]  # (start, end), half open, in order, apart


@dataclass(frozen=True, kw_only=True)
class _Term:
    """A word or phrase, as each of the languages writes it; `column` is empty where it may stand anywhere."""

    column: str
    phrases: tuple[Phrase, ...]
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
    connection: Connection,
    community_ids: Sequence[int],
    query: str,
    *,
    sort: Sort = "newest",
    limit: int = 50,
    offset: int = 0,
) -> list[Hit]:
    """The posts of some communities that fit a query; none for an empty query.

    They come as the archive got them, the newest first, or by how well they fit and how new they are; then only the
    1,000 newest are looked at. More than 32 terms are not looked at.
    """
    if not community_ids:
        return []
    languages = sorted(connection.execute(_LANGUAGES, {"communities": list(community_ids)}).scalars())
    parsed = _parse(query, languages)
    if not (parsed.terms or parsed.conditions):
        return []
    offset = max(offset, 0)
    if sort == "relevance" and parsed.wanted:
        page = _most_relevant(connection, community_ids, parsed, languages)[offset : offset + limit]
        by_id = {row.id: as_post(row) for row in connection.execute(POSTS.where(_POST.id.in_(page)))}
        posts = [by_id[post_id] for post_id in page]
    else:
        posts = [as_post(row) for row in _ask(connection, _PAGE, parsed, community_ids, many=limit, skip=offset)]
    finder = _Finder(parsed.wanted, languages)
    return [_hit(found, finder) for found in posts]


def _most_relevant(
    connection: Connection, communities: Sequence[int], query: _Query, languages: Sequence[str]
) -> list[int]:
    """The ids of the newest hits, those first that fit best.

    Counted here and not by the engines, of which SQLite's would read every hit there is, however many are wanted.
    """
    rows = _ask(connection, _CANDIDATES, query, communities, many=CANDIDATES, skip=0)
    newest = max((row.date for row in rows), default=None)

    def rank(row: Row[Any]) -> tuple[float, int]:
        fit = max(_fit(row, query.wanted, language) for language in languages)
        return -fit / (1 + (newest - row.date) / _HALVED), -row.id

    return [row.id for row in sorted(rows, key=rank)]


def _fit(row: Row[Any], wanted: Sequence[_Term], language: str) -> float:
    """How well a post fits: how often each term stands in it, each time for less (as in BM25), and in the subject."""
    subject = terms(row.subject, language)
    words = [word for part in unquoted(row.text, folds(row.folds)) for word in terms(part, language)]
    slowness = 0.3 + 0.9 * len(words) / _USUAL_WORDS
    score = 0.01  # for who is found by the author only, newer ones come first
    for term in wanted:
        for one in term.phrases:
            if term.column in ("", "subject"):
                score += _IN_SUBJECT * (_count(one, subject) > 0)
            if not term.column:
                count = _count(one, words)
                score += count / (count + slowness)
    return score


def _count(one: Phrase, words: list[str]) -> int:
    if one.open:
        return sum(_fits(one, words[at : at + len(one.words)]) for at in range(len(words)))
    if len(one.words) == 1:
        return words.count(one.words[0])
    return sum(_fits(one, words[at : at + len(one.words)]) for at in _all(one.words[0], words))


def _parse(query: str, languages: Sequence[str]) -> _Query:
    found: list[_Term] = []
    conditions: list[ColumnElement[bool]] = []
    for number, match in enumerate(_TERM.finditer(query.replace("\0", " "))):
        if number == MOST_TERMS:
            break
        minus, field, value = match[1], (match[2] or "").lower(), match[3].replace('"', " ").strip()
        condition = _condition(field, value)
        if condition is not None:
            conditions.append(not_(condition) if minus else condition)
        elif phrases := _phrases(field, value, languages):
            at = "subject" if field == "tag" else _COLUMNS.get(field, "")
            found.append(_Term(column=at, phrases=phrases, negative=bool(minus)))
    return _Query(terms=tuple(dict.fromkeys(found)), conditions=tuple(conditions))


def _phrases(field: str, value: str, languages: Sequence[str]) -> tuple[Phrase, ...]:
    """What a term looks for, in each language once; nothing where it has no word."""
    if field == "tag":
        words = tag(value)[:MOST_TERMS]
        return (Phrase(words=tuple(words)),) if words else ()
    asked = value if field in _COLUMNS else f"{field} {value}" if phrase(value, NO_LANGUAGE) else ""
    found = (phrase(asked, language) for language in languages)
    return tuple(dict.fromkeys(each for each in found if each is not None))


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


def _ask(connection: Connection, asks: _Asks, query: _Query, communities: Sequence[int], **page: int) -> list[Row[Any]]:
    """The rows of what fits a query, newest first; `page` is how `many` of them, behind how many (`skip`)."""
    values = {"communities": list(communities), **page}
    if not query.terms:
        return list(connection.execute(asks.all.where(*query.conditions), values).all())
    dialect = connection.dialect.name
    found = asks.found[dialect]
    if query.conditions:
        found = found.where(*query.conditions)
    return list(connection.execute(found, values | {"asked": _asked(query, dialect)}).all())


def _asked(query: _Query, dialect: str) -> str:
    """What is asked of the index."""
    write = _fts5 if dialect == "sqlite" else _tsquery
    # FTS5 knows no NOT without something to take it from: a gap stands in every post.
    asked = _AND[dialect].join(map(write, query.wanted)) or _EVERY[dialect]
    if not query.unwanted:
        return asked
    either = _OR[dialect].join(map(write, query.unwanted))
    return f"({asked}){_NOT[dialect]}({either})" if asked else f"!({either})"


def _fts5(term: _Term) -> str:
    """A term for FTS5; its strings hold letters, digits and `_` only."""
    asked = " OR ".join(f'"{" ".join(one.words)}"{" *" if one.open else ""}' for one in term.phrases)
    return f"({{{term.column}}} : ({asked}))" if term.column else f"({asked})"


def _tsquery(term: _Term) -> str:
    """A term as a tsquery is written; its strings hold letters, digits and `_` only."""
    weight = _WEIGHTS.get(term.column, "")
    asked = []
    for one in term.phrases:
        words = [f"'{word}':{weight}" for word in one.words]
        if one.open:
            words[-1] += "*"
        asked.append(" <-> ".join(words))
    return f"({' | '.join(f'({each})' for each in asked)})"


class _Finder:
    """Finds in a shown text what was looked for."""

    def __init__(self, wanted: Sequence[_Term], languages: Sequence[str]) -> None:
        self._languages = languages
        self._by_first: dict[str, list[Phrase]] = {}
        self._open: list[Phrase] = []
        for one in (one for term in wanted if not term.column for one in term.phrases):
            if one.open and len(one.words) == 1:
                self._open.append(one)
            else:
                self._by_first.setdefault(one.words[0], []).append(one)

    def first(self, shown: str) -> int | None:
        """Where the first find begins; mostly it is near the beginning, and the rest is not looked at."""
        for most in _LOOKED_AT:
            cut = shown.rfind(" ", 0, most) if most < len(shown) else len(shown)  # a part of a word is another word
            if found := next(self.find(shown[:cut] if cut > 0 else shown[:most]), None):
                return found[0]
            if most >= len(shown):
                break
        return None

    def find(self, shown: str) -> Iterator[tuple[int, int]]:
        """Where what was looked for stands: (start, end), in order, apart."""
        if not (self._by_first or self._open):
            return
        by_language = [self._places(shown, language) for language in self._languages]
        last = 0
        # One after the other as it is asked for: mostly only the first is.
        for start, end in merge(*by_language) if len(by_language) > 1 else by_language[0]:
            if end > last:
                yield max(start, last), end
                last = end

    def _places(self, shown: str, language: str) -> Iterator[tuple[int, int]]:
        words, place = located(shown, language)
        for number, count in sorted(self._fitting(words)):
            places = [place(at) for at in range(number, number + count)]
            yield places[0][0], max(end for _, end in places)

    def _fitting(self, words: Sequence[str]) -> Iterator[tuple[int, int]]:
        """Which words are looked for: (number of the first, how many)."""
        for first, phrases in self._by_first.items():
            for number in _all(first, words):
                for one in phrases:
                    if _fits(one, words[number : number + len(one.words)]):
                        yield number, len(one.words)
        for one in self._open:
            yield from ((number, 1) for number, word in enumerate(words) if word.startswith(one.words[0]))


def _all(word: str, words: Sequence[str]) -> Iterator[int]:
    """Where a word stands among others."""
    at = -1
    for _ in range(words.count(word)):
        at = words.index(word, at + 1)
        yield at


def _fits(one: Phrase, words: Sequence[str]) -> bool:
    if one.open:
        return len(words) == len(one.words) and (*words[:-1], words[-1][: len(one.words[-1])]) == one.words
    return tuple(words) == one.words


def _hit(post: Post, finder: _Finder) -> Hit:
    """What stands around the first find, in the author's own words where it is there; else how the post begins."""
    own = " ".join(piece for kind, piece in pieces(post) if kind == "own")
    for shown in dict.fromkeys((own, post.text)):
        first = finder.first(shown)
        if first is not None:
            snippet = _window(shown, max(0, first - _LEAD))
            break
    else:
        snippet = _window(own if own.strip() else post.text, 0)
    # Without its dots it mostly is ASCII, whose words are found in a fraction of the time.
    return Hit(post=post, snippet=snippet, marks=tuple(finder.find(snippet.replace(_DOTS, " "))))


def _window(shown: str, start: int) -> str:
    """At most 200 characters from `start` on, cut between words, with white space as single spaces."""
    # Twice the room, because white space shrinks.
    part = " ".join(shown[start : start + 4 * _SNIPPET].split())
    if start > 0 and not shown[start - 1].isspace():
        part = part.partition(" ")[2] or part
    before = f"{_DOTS} " if start > 0 else ""
    if len(before) + len(part) > _SNIPPET:
        part = part[: _SNIPPET - len(before) - 2]
        part = (part.rpartition(" ")[0] or part) + f" {_DOTS}"
    return before + part
