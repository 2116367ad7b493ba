"""What counts as a word for search: without case and accents, stemmed, and two by two where a script has no spaces.

What is indexed and what is asked go through it alike, so that no engine's own idea of a word matters. It knows no
database.
"""

import re
import threading
import unicodedata
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import lru_cache, partial

import Stemmer

NO_LANGUAGE = "none"
GAP = "_"
"""Stands between words that no phrase reaches across; no word is written so."""

_LONGEST = 64  # characters of a word that count
_MOST_WORDS = 64  # words of a phrase that count
# Scripts without spaces between words, and Korean, whose particles hang on the word: letters and their marks only.
_UNSPACED = (
    "\u0e01-\u0e3a\u0e40-\u0e4e\u0e81-\u0ece\u1000-\u103f\u1780-\u17d3"  # Thai, Lao, Burmese, Khmer
    "\u2e80-\u2fd5\u3005-\u3007\u3041-\u3096\u3099\u309a\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3105-\u312f"
    "\u3131-\u318e\u31a0-\u31bf\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97f\uac00-\ud7ff\uf900-\ufaff"
    "\U00020000-\U0003ffff"
)
_WORD = re.compile(rf"[{_UNSPACED}]+|[^\W_{_UNSPACED}]+")
_IS_UNSPACED = re.compile(rf"[{_UNSPACED}]")
# As it is written, with its accents as characters of their own.
_WRITTEN = re.compile(rf"[{_UNSPACED}]+|(?:[^\W_{_UNSPACED}]|[\u0300-\u036f])+")
_TAG = re.compile(r"\[([^\[\]]{1,60})\]")
# These make another letter, and are no accents: the voicing of kana, and the breve of й.
_VOICING = {"\u3099", "\u309a"}
_SHORT_I = ("и\u0306", "й")

# What stands between the words of a text that is ASCII: split so, it takes a fraction of the time.
_BETWEEN = {code: " " for code in range(128) if not chr(code).isalnum()}
_KEPT = 10_000  # stems of each language, for each thread

_stems = threading.local()  # a stemmer is not to be shared


@dataclass(frozen=True, kw_only=True)
class Phrase:
    """Words to be found next to each other; where it is `open`, the last is only the beginning of a word."""

    words: tuple[str, ...]
    open: bool = False


def terms(text: str, language: str) -> list[str]:
    """The words of a text in their order.

    A run of a script without spaces gives every two neighbours, and at its end the last character, so that each
    character begins a word.
    """
    stem = _of(language).__getitem__
    if text.isascii():
        return _of_ascii(text.lower(), stem)
    # No word reaches across a line, and most lines are ASCII where the text is not: the others take ten times as long.
    return [word for line in text.split("\n") for word in _of_line(line, stem)]


def _of_ascii(folded: str, stem: Callable[[str], str]) -> list[str]:
    return list(map(stem, folded.translate(_BETWEEN).split()))


def _of_line(line: str, stem: Callable[[str], str]) -> list[str]:
    folded = _fold(line)
    if folded.isascii():
        return _of_ascii(folded, stem)
    found: list[str] = []
    for word in _WORD.findall(folded):
        if _IS_UNSPACED.match(word):
            found += (word[at : at + 2] for at in range(len(word)))
        else:
            found.append(stem(word))
    return found


def phrase(text: str, language: str) -> Phrase | None:
    """What a text asks for, its first 64 words; None where it has no word."""
    found = terms(text[: _MOST_WORDS * _LONGEST], language)
    if not found:
        return None
    is_open = len(found[-1]) == 1 and _IS_UNSPACED.match(found[-1]) is not None
    if is_open and len(found) > 1 and len(found[-2]) == 2 and _IS_UNSPACED.match(found[-2]):
        # The end of a longer run, which in a text may go on.
        del found[-1]
        is_open = False
    return Phrase(words=tuple(found[:_MOST_WORDS]), open=is_open and len(found) <= _MOST_WORDS)


def tags(subject: str) -> list[str]:
    """The words of the [tags] of a subject, as `tag` writes them, a gap before each tag."""
    found: list[str] = []
    for inside in _TAG.findall(subject):
        found += (GAP, *tag(inside))
    return found


def tag(text: str) -> list[str]:
    """The words of a tag: not stemmed, and unlike any other word."""
    return [f"tag_{word}" for word in terms(text, NO_LANGUAGE)]


def located(text: str, language: str) -> tuple[list[str], Callable[[int], tuple[int, int]]]:
    """The words of a text as `terms` has them, and what tells where the one of a number from 0 stands: (start, end)."""
    if text.isascii():
        spaced = text.translate(_BETWEEN)
        return terms(text, language), partial(_place, spaced)
    placed = list(_placed(text, language))
    return [word for word, _, _ in placed], lambda number: placed[number][1:]


def _place(spaced: str, number: int) -> tuple[int, int]:
    """Where the word of that number stands in a text that has only spaces between its words."""
    rest = spaced.split(None, number)[-1]
    start = len(spaced) - len(rest)
    return start, start + len(rest.split(None, 1)[0])


def _placed(text: str, language: str) -> Iterator[tuple[str, int, int]]:
    for written in _WRITTEN.finditer(text):
        start, end = written.span()
        found = _terms_of_one(written[0], language)
        # Of a run without spaces each word has its own place, unless folding changed its length.
        in_step = _IS_UNSPACED.match(written[0]) is not None and len(found) == end - start
        for at, word in enumerate(found):
            yield (word, start + at, start + at + len(word)) if in_step else (word, start, end)


@lru_cache(maxsize=20_000)
def _terms_of_one(written: str, language: str) -> tuple[str, ...]:
    return tuple(terms(written, language))


def _fold(text: str) -> str:
    if text.isascii():
        return text.lower()
    parts = unicodedata.normalize("NFKD", text).casefold().replace(*_SHORT_I)
    marks = {character for character in set(parts) if unicodedata.combining(character)} - _VOICING
    return unicodedata.normalize("NFC", parts.translate({ord(mark): None for mark in marks}) if marks else parts)


class _Stems(dict[str, str]):
    """The stems of words, kept: mail repeats itself."""

    def __init__(self, language: str) -> None:
        known = language in Stemmer.algorithms()
        self._stem: Callable[[str], str] = Stemmer.Stemmer(language, 0).stemWord if known else str

    def __missing__(self, word: str) -> str:
        stem = self._stem(word[:_LONGEST])
        if len(word) <= _LONGEST:
            if len(self) >= _KEPT:
                self.clear()
            self[word] = stem
        return stem


def _of(language: str) -> _Stems:
    found: dict[str, _Stems] = vars(_stems).setdefault("by_language", {})
    if language not in found:
        found[language] = _Stems(language)
    return found[language]
