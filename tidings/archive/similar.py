"""Finds threads of the same community that began like a given one: "seen before?".

What a thread began with is its first post's subject and own prose. Words of it that are rare in the text index name a
few threads, whose first posts are then compared with it: the cosine of their words by rarity (Salton and Buckley,
"Term-weighting approaches in automatic text retrieval", 1988). What is not alike enough is not told: nothing is better
than noise. Newer ones are not preferred. It does not ask who may read: what it finds is of the same community.
"""

import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from math import log, sqrt
from typing import Any

from sqlalchemy import Boolean, Connection, Integer, Row, TextClause, TextualSelect, column, text

from tidings.archive.prose import prose
from tidings.archive.read import Folded, Post, own_text
from tidings.archive.terms import terms
from tidings.archive.text_index import folds
from tidings.database.tables import post as post_table
from tidings.threading.likeness import base_subject

_ASKED = 16  # words of the first post that the index is asked for
_CHOSEN = 8  # of these, the rarest that others have too
_COMMON = 200  # a word that so many posts of the site have finds nothing
_HITS = 300  # posts that are looked up for the chosen words
_COMPARED = 5  # threads
_LOOKED_AT = 1_000  # characters of a first post: what it is about stands before
_IN_SUBJECT = 2.0  # what a word in the subject counts; one in the text counts up to 1
_ALIKE = 0.31  # the least cosine; found by reading what was offered on real lists, see docs/decisions
_SHARED = 0.15  # the least part of the subject, by rarity, that is in the other's

# A list as rows, and what a row holds.
_EACH = {
    "sqlite": ("json_each(:asked) t", "t.value"),
    "postgresql": ("json_array_elements_text(CAST(:asked AS json)) AS t(value)", "t.value"),
}
# Not the recipients, where the list's own name always stands. `terms` gives letters and digits only.
_HIT = {
    "sqlite": """i.post_text MATCH '{subject text} : "' || t.value || '"'""",
    "postgresql": "i.words @@ CAST('''' || t.value || '''\\:AD' AS tsquery)",
}
_POST = post_table.c
_COUNT, _ANSWERED = column("posts", Integer), column("answered", Boolean)


def _count(dialect: str) -> TextClause:
    rows, word = _EACH[dialect]
    hits = f"SELECT 1 FROM post_text i WHERE {_HIT[dialect]} LIMIT {_COMMON}"  # noqa: S608  (all of it stands here)
    return text(f"SELECT {word}, (SELECT count(*) FROM ({hits}) h), (SELECT max(id) FROM post) FROM {rows}")  # noqa: S608


def _find(dialect: str) -> TextClause:
    rows, word = _EACH[dialect]
    # CROSS JOIN keeps SQLite's order: the words, their posts in the index, the posts.
    return text(
        f"SELECT {word}, p.thread_id FROM {rows} CROSS JOIN post_text i CROSS JOIN post p"  # noqa: S608
        f" WHERE {_HIT[dialect]} AND p.id = i.rowid AND p.community_id = :community"
    )


def _first(dialect: str) -> TextualSelect:
    rows, thread = _EACH[dialect]
    # The plus keeps SQLite from walking the whole community by date.
    of_thread = "FROM post q WHERE q.community_id = p.community_id AND q.thread_id = p.thread_id"
    return text(
        f"SELECT p.thread_id, p.message_id, p.subject, p.date, substr(p.text, 1, {2 * _LOOKED_AT}) AS text, p.folds,"  # noqa: S608
        f" (SELECT count(*) {of_thread}) AS posts,"
        f" EXISTS (SELECT 1 {of_thread} AND q.author_email <> p.author_email) AS answered"
        f" FROM {rows} CROSS JOIN post p WHERE p.id = (SELECT f.id FROM post f WHERE f.community_id = :community"
        f" AND f.thread_id = CAST({thread} AS BIGINT) ORDER BY +f.date, f.message_id LIMIT 1)"
    ).columns(_POST.thread_id, _POST.message_id, _POST.subject, _POST.date, _POST.text, _POST.folds, _COUNT, _ANSWERED)


_COUNTS = {dialect: _count(dialect) for dialect in _HIT}
_FINDS = {dialect: _find(dialect) for dialect in _HIT}
_FIRSTS = {dialect: _first(dialect) for dialect in _HIT}


@dataclass(frozen=True, kw_only=True)
class Similar:
    """A thread that began alike: its first post, how many it has, and whether another than its author wrote in it."""

    thread_id: int
    message_id: str
    subject: str
    date: datetime
    posts: int
    answered: bool


@dataclass(frozen=True, kw_only=True)
class _Part:
    """The beginning of a post's text."""

    text: str
    folds: tuple[tuple[int, int, str], ...]


@dataclass(frozen=True, kw_only=True)
class _Words:
    """The words of a post's subject, and how often each is in its text."""

    subject: frozenset[str]
    text: Mapping[str, int]

    @property
    def all(self) -> set[str]:
        return {*self.subject, *self.text}

    def weight(self, word: str) -> float:
        count = self.text.get(word, 0)
        return _IN_SUBJECT * (word in self.subject) + count / (count + 1)


class _Rarity(dict[str, float]):
    """How rare each word is that the index was asked for: the logarithm of the site's posts over those that have it.

    Any other word is taken for one of the rarer half.
    """

    def __init__(self, counts: Mapping[str, int], posts: int) -> None:
        super().__init__({word: log(max(1.0, posts / max(1, many))) for word, many in counts.items()})
        self.rare = 0.42 * log(posts)

    def __missing__(self, word: str) -> float:
        return self.rare + 1.0


def similar(connection: Connection, first: Post, *, language: str, limit: int = 3) -> list[Similar]:
    """At most `limit` threads that began like the one that `first` began, the most alike first; of one title, one.

    `language` is the community's.
    """
    ours = _words(first.subject, first, language)
    asked = sorted(ours.all, key=lambda word: (-ours.weight(word), word))[:_ASKED]
    counted = connection.execute(_COUNTS[connection.dialect.name], {"asked": json.dumps(asked)}).all()
    counts = {word: many for word, many, _ in counted}
    rarity = _Rarity(counts, max((posts for _, _, posts in counted), default=1))
    threads = _candidates(connection, first, _chosen(ours, counts, rarity), ours, rarity)
    found: dict[frozenset[str], tuple[float, Similar]] = {}
    for other, theirs in _first_posts(connection, first.community_id, threads, language):
        alike = _alike(ours, theirs, rarity)
        known = found.get(theirs.subject)
        if alike >= _ALIKE and (known is None or known[1].posts < other.posts):
            found[theirs.subject] = alike, other
    best = sorted(found.values(), key=lambda each: (-each[0], each[1].thread_id))
    return [other for _, other in best[:limit]]


def begun(connection: Connection, community_id: int, threads: Sequence[int]) -> list[Similar]:
    """These threads of a community as they are now, in the order given; one that is there no more is not in it."""
    rows = _rows(connection, community_id, threads) if threads else ()
    found = {row.thread_id: _similar(row) for row in rows}
    return [found[thread_id] for thread_id in threads if thread_id in found]


def _words(subject: str, shown: Folded, language: str) -> _Words:
    base, _ = base_subject(subject)
    untagged = base.rpartition("] ")[2] if base.startswith("[") else base
    return _Words(
        subject=frozenset(_counting(terms(untagged, language))),
        text=Counter(_counting(terms(prose(own_text(shown)[: 2 * _LOOKED_AT])[:_LOOKED_AT], language))),
    )


def _counting(words: Iterable[str]) -> Iterator[str]:
    """Without single letters and short numbers; two letters are a word where a script has no spaces."""
    return (word for word in words if len(word) > 2 or (len(word) == 2 and not word.isdigit()))


def _chosen(ours: _Words, counts: Mapping[str, int], rarity: _Rarity) -> list[str]:
    """The words that say most and that others have too, as many as the index may be asked for."""
    left = _HITS
    chosen: list[str] = []
    for word in sorted(counts, key=lambda word: (-ours.weight(word) * rarity[word], word)):
        if 1 < counts[word] < _COMMON and counts[word] <= left and len(chosen) < _CHOSEN:
            chosen.append(word)
            left -= counts[word]
    return chosen


def _candidates(connection: Connection, first: Post, chosen: Sequence[str], ours: _Words, rarity: _Rarity) -> list[int]:
    """The threads that have most of the chosen words, by what these say."""
    values = {"asked": json.dumps(chosen), "community": first.community_id}
    hits = set(connection.execute(_FINDS[connection.dialect.name], values)) if chosen else set()
    said: dict[int, float] = defaultdict(float)
    for word, thread_id in sorted(hits):
        said[thread_id] += ours.weight(word) * rarity[word]
    said.pop(first.thread_id, None)
    return sorted(said, key=lambda thread_id: (-said[thread_id], thread_id))[:_COMPARED]


def _first_posts(
    connection: Connection, community_id: int, threads: Sequence[int], language: str
) -> list[tuple[Similar, _Words]]:
    """The threads, each with the words of its first post."""
    return [
        (_similar(row), _words(row.subject, _Part(text=row.text, folds=folds(row.folds)), language))
        for row in _rows(connection, community_id, threads)
    ]


def _rows(connection: Connection, community_id: int, threads: Sequence[int]) -> Iterable[Row[Any]]:
    values = {"asked": json.dumps(threads), "community": community_id}
    return connection.execute(_FIRSTS[connection.dialect.name], values)


def _similar(row: Row[Any]) -> Similar:
    return Similar(
        thread_id=row.thread_id,
        message_id=row.message_id,
        subject=row.subject,
        date=row.date,
        posts=row.posts,
        answered=row.answered,
    )


def _alike(ours: _Words, theirs: _Words, rarity: _Rarity) -> float:
    """The cosine of two posts' words by rarity; 0 where they share no rare one, or too little of the subject."""
    shared = sorted(rarity.keys() & theirs.all)
    subject = sum(rarity[word] for word in sorted(ours.subject))
    of_subject = sum(rarity[word] for word in shared if word in ours.subject and word in theirs.subject)
    if max(map(rarity.__getitem__, shared), default=0.0) < rarity.rare or of_subject < _SHARED * subject:
        return 0.0
    common = sum(ours.weight(word) * theirs.weight(word) * rarity[word] ** 2 for word in shared)
    return common / (_length(ours, rarity) * _length(theirs, rarity) or 1.0)


def _length(words: _Words, rarity: _Rarity) -> float:
    return sqrt(sum((words.weight(word) * rarity[word]) ** 2 for word in sorted(words.all)))
