"""Key sentences of a thread, in its members' own words; pure, and the same for the same posts.

By TextRank (Mihalcea and Tarau, "TextRank: Bringing Order into Texts", EMNLP 2004, section 4): sentences vote for those
they share words with, and votes of those with many votes count more. A shared word counts by its rarity in the thread,
as in BM25 (Barrios et al., "Variations of the Similarity Function of TextRank", 2016, section 3), which does without
lists of stop words. First sentences and questions weigh more. It makes no sentence of its own, and what is no prose
(`prose`) is never picked.
"""

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, combinations, islice, repeat
from math import log, sqrt
from operator import mul, sub
from typing import TypeVar

from tidings.archive.prose import is_telling
from tidings.archive.sentences import QUESTION_MARKS, prose_sentences
from tidings.archive.terms import terms

_Post = TypeVar("_Post")

WORDS = 120
POSTS = 40
"""How many posts are looked at, the newest; the first beside them, for it says what the thread is about."""

SENTENCES = 100
"""How many sentences are compared; where posts have more, each gives its first."""

_CHARACTERS = 80_000  # of all posts that are looked at, as many of each
_OF_POST = 25  # sentences of a post that are looked at, the first
_DAMPING = 0.85  # as in the paper
_ROUNDS = 15  # at most
_SETTLED = 0.02  # no rank changes by more
_FIRST = 2.0  # what the first sentence of a post weighs
_QUESTION = 1.5
_OPENING = 1.5  # what a sentence of the thread's first post weighs
_BROKEN = 0.35  # a sentence without its end: it was too long, or goes on in what is no prose
_COURTEOUS = 0.3  # thanks
_USUAL_WORDS = 18  # of a sentence; shorter ones weigh less
_ALIKE = 0.6  # of the rarer words in common: the second says nothing new
_COMMON = 8  # a word that stands in one of so many sentences joins none
_FEW = 3  # a word that stands in no more sentences is never common

_AFTER_STOP = "\"'”’)]*_ "
_STOPS = (".", "!", "…", "。", "！")
_THANKS = re.compile(
    r"(?:many |ok,? |vielen )?(?:thanks|thank you|thx|danke?|merci|gracias|obrigad[oa]|grazie|bedankt|tack)\b",
    re.IGNORECASE,
)


@dataclass(frozen=True, kw_only=True)
class Said:
    """A post by its archive number, with what its author wrote and nobody else (`read.pieces`, "own")."""

    number: int
    text: str


@dataclass(frozen=True, kw_only=True)
class Picked:
    """Sentences of one post; `places` says which of its first `many` sentences they are, counted from 0."""

    number: int
    sentences: tuple[str, ...]
    places: tuple[int, ...]
    many: int


@dataclass(frozen=True, kw_only=True)
class _Sentence:
    post: int  # its place in what is looked at
    place: int
    text: str
    words: frozenset[str]
    weight: float


def key_sentences(
    posts: Sequence[Said], *, language: str, words: int = WORDS, most: int = SENTENCES, each: int = SENTENCES
) -> list[Picked]:
    """The most telling sentences of a thread's posts, which come oldest first; the result too, without those of none.

    At most `words` words (in scripts without spaces six letters are one), `most` sentences and `each` of one post.
    `language` is the community's (`terms`).
    """
    posts = looked_at(posts)
    said = [_OfPost(post, len(posts)) for post in posts]
    told = _sentences(said, language)
    chosen: dict[int, list[int]] = defaultdict(list)
    for sentence in _chosen(told, _ranks(told), words, most, each):
        chosen[sentence.post].append(sentence.place)
    return [_picked(posts[post], said[post], sorted(places)) for post, places in sorted(chosen.items())]


def sentences_at(posts: Sequence[Said], places: Mapping[int, Sequence[int]]) -> list[Picked]:
    """What `key_sentences` picked of the same posts, again, by its `places` for the number of each post."""
    posts = looked_at(posts)
    return [_picked(post, _OfPost(post, len(posts)), places[post.number]) for post in posts if places.get(post.number)]


def looked_at(posts: Sequence[_Post]) -> Sequence[_Post]:
    """Those of a thread's posts, which come oldest first, that are looked at for key sentences."""
    return [*posts[:1], *posts[max(1, len(posts) - POSTS) :]]


class _OfPost:
    """The first sentences of a post, where so many posts are looked at; cut out only as far as they are asked for."""

    def __init__(self, post: Said, posts: int) -> None:
        self._known: list[str] = []
        self._further = islice(prose_sentences(post.text[: _CHARACTERS // posts]), _OF_POST)

    def first(self, many: int = _OF_POST) -> list[str]:
        """The first so many, or all of them."""
        self._known += islice(self._further, max(0, many - len(self._known)))
        return self._known[:many]


def _picked(post: Said, of_post: _OfPost, places: Sequence[int]) -> Picked:
    said = of_post.first()
    return Picked(
        number=post.number,
        sentences=tuple(said[place] for place in places),
        places=tuple(places),
        many=len(said),
    )


def count_words(sentence: str) -> int:
    """How many words a sentence has; in scripts without spaces its letters are counted by the dozen."""
    return max(len(sentence.split()), len(sentence) // 12)


def _sentences(said: Sequence[_OfPost], language: str) -> list[_Sentence]:
    """What is compared: from each post as many first ones as all of them have room for.

    What stands in several posts is no news of any of them, but a greeting, a name or a disclaimer.
    """
    so_far = accumulate(len(of_post.first()) for of_post in said)
    room = max(1, SENTENCES // len(said)) if any(many > SENTENCES for many in so_far) else SENTENCES
    compared = [of_post.first(room) for of_post in said]
    in_posts = Counter(text for of_post in compared for text in set(of_post))
    return [
        _Sentence(
            post=post,
            place=place,
            text=text,
            words=frozenset(word for word in terms(text, language) if len(word) > 1),
            weight=_weight(post, place, text),
        )
        for post, of_post in enumerate(compared)
        for place, text in enumerate(of_post)
        if in_posts[text] == 1 and is_telling(text)
    ]


def _weight(post: int, place: int, text: str) -> float:
    weight = sqrt(min(1.0, count_words(text) / _USUAL_WORDS))
    weight *= _OPENING if post == 0 else 1.0
    weight *= _FIRST if place == 0 else 1.0
    weight *= _COURTEOUS if _THANKS.match(text) else 1.0
    bare = text.rstrip(_AFTER_STOP)
    if bare.endswith(QUESTION_MARKS):
        return weight * _QUESTION
    return weight if bare.endswith(_STOPS) and not bare.endswith("...") else weight * _BROKEN


def _ranks(told: Sequence[_Sentence]) -> list[float]:
    """The rank of each sentence, 1 on average."""
    links = _links(told)
    given = {at: sum(of.values()) for at, of in links.items()}
    # What each gets of the ranks of those beside it: their places, and which part of each.
    gets = [
        (tuple(of), [weight / given[other] for other, weight in of.items()])
        for of in map(links.get, range(len(told)), repeat({}))
    ]
    ranks = [1.0] * len(told)
    for _ in range(_ROUNDS):
        before = ranks
        ranks = [
            1 - _DAMPING + _DAMPING * sum(map(mul, parts, map(before.__getitem__, others))) for others, parts in gets
        ]
        if max(map(abs, map(sub, ranks, before)), default=0) < _SETTLED:
            break
    return ranks


def _links(told: Sequence[_Sentence]) -> Mapping[int, Mapping[int, float]]:
    """How alike two sentences are: the words in common by their rarity, over the logarithms of the lengths."""
    places: dict[str, list[int]] = defaultdict(list)
    for at, sentence in enumerate(told):
        for word in sorted(sentence.words):  # in one order, so that sums of fractions come out the same
            places[word].append(at)
    usual = max(_FEW, len(told) / _COMMON)
    common: dict[tuple[int, int], float] = defaultdict(float)
    for at_word in places.values():
        if 1 < len(at_word) <= usual:
            rarity = log(1 + (len(told) - len(at_word) + 0.5) / (len(at_word) + 0.5))
            for pair in combinations(at_word, 2):
                common[pair] += rarity
    length = [log(len(sentence.words) + 1) for sentence in told]
    links: dict[int, dict[int, float]] = defaultdict(dict)
    for (one, other), weight in common.items():
        links[one][other] = links[other][one] = weight / (length[one] + length[other])
    return links


def _chosen(told: Sequence[_Sentence], ranks: Sequence[float], words: int, most: int, each: int) -> Iterable[_Sentence]:
    """The best that fit, none that says what another has said; the more a post was heard, the less its others weigh."""
    left = {at: rank * told[at].weight for at, rank in enumerate(ranks)}
    chosen: list[_Sentence] = []
    heard: Counter[int] = Counter()
    while left and len(chosen) < most:
        at = max(left, key=lambda at: (left[at] / (1 + heard[told[at].post]), -at))
        del left[at]
        sentence, long = told[at], count_words(told[at].text)
        if long <= words and heard[sentence.post] < each and not any(_alike(sentence, other) for other in chosen):
            chosen.append(sentence)
            heard[sentence.post] += 1
            words -= long
    return chosen


def _alike(one: _Sentence, other: _Sentence) -> bool:
    return len(one.words & other.words) > _ALIKE * min(len(one.words), len(other.words))
