"""Sentences: a text of a member cut at their ends, in any language, and lines made of what can be seen; pure.

Which sentences are told, and of whose posts, is not decided here.
"""

import re
from collections.abc import Iterable, Iterator

from tidings.archive.prose import prose_blocks

QUESTION_MARKS = ("?", "？", "؟")
"""What a question ends with: in most scripts, in Chinese and Japanese, in Arabic."""

_SENTENCE_WORDS = 40
_SENTENCE_LENGTH = 300
_TEXT_LENGTH = 20_000  # characters of a post that are looked at

_PARAGRAPH = re.compile(r"\n\s*\n|\n(?=\s*(?:[-*•]|\d{1,2}[.)])\s)")
# After the stop (and what closes with it) a space and what may begin a sentence; CJK stops need no space.
_STOP = re.compile(r"[.!?…؟۔][\"'”’)\]]*\s+(?=[^\sa-z])|[。！？]")
# A stop that ends none: after these words, with the end of what stands before it and the beginning of what follows.
_ABBREVIATED = re.compile(
    r"(?:^|[\s(])(?:(?:e\.g|i\.e|z\.B|approx|vs|Dr|Mr|Mrs|Ms|St|Prof|[A-Z])\. .?|(?:no|nr|fig)\. \d)$", re.IGNORECASE
)
_GREETING = re.compile(
    r"(?:hi|hello|hey|dear|good (?:morning|evening|afternoon)|hallo|moin|liebe|hola|bonjour)"
    r"(?:(?: [\w.&-]+){0,4}[,!:]|(?: [\w.&-]+){0,2})",
    re.IGNORECASE,
)
_CLOSING = re.compile(
    r"(?:(?:many )?thanks|thank you|thx|cheers|best|(?:best |kind |warm )?(?:regards|wishes)|br|vg|lg|mfg"
    r"|(?:viele )?grüße)(?: in advance| and regards)?[,.!]*(?:\s+[\w.]+){0,2}",
    re.IGNORECASE,
)
# Controls, noncharacters, and the marks that turn the direction of what follows: a name must not rewrite the line it
# stands in.
_UNSEEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff\ud800-\udfff"
    "\ufdd0-\ufdef\ufffe\uffff]"
)


def sentences(text: str) -> Iterator[str]:
    """The sentences of a text in their order, without greeting and closing, each bounded in length."""
    return _sentences(_PARAGRAPH.split(text[:_TEXT_LENGTH]))


def prose_sentences(text: str) -> Iterator[str]:
    """The sentences of the prose of a text, as `sentences(prose(text))`; read no further than they are asked for."""
    return _sentences(paragraph for block in prose_blocks(text) for paragraph in _PARAGRAPH.split(block))


def _sentences(paragraphs: Iterable[str]) -> Iterator[str]:
    for number, paragraph in enumerate(paragraphs):
        paragraph = _without_greeting(paragraph) if number == 0 else paragraph
        words = clean(paragraph)
        if words and not _CLOSING.fullmatch(words):
            yield from (shorten(_few_words(sentence), _SENTENCE_LENGTH) for sentence in _stops(words))


def _without_greeting(paragraph: str) -> str:
    first, _, rest = paragraph.strip().partition("\n")
    return rest if _GREETING.fullmatch(first.strip()) else paragraph


def _stops(paragraph: str) -> Iterator[str]:
    begin = 0
    for stop in _STOP.finditer(paragraph):
        sentence = paragraph[begin : stop.end()].strip()
        if sentence and not _ABBREVIATED.search(f"{sentence[-12:]} {paragraph[stop.end() : stop.end() + 1]}"):
            yield sentence
            begin = stop.end()
    if paragraph[begin:].strip():
        yield paragraph[begin:].strip()


def _few_words(sentence: str) -> str:
    words = sentence.split(" ")
    return sentence if len(words) <= _SENTENCE_WORDS else " ".join(words[:_SENTENCE_WORDS]) + " ..."


def clean(text: str) -> str:
    """One line of what can be seen, its spaces single."""
    return " ".join(_UNSEEN.sub("", text).split())


def shorten(text: str, length: int) -> str:
    """`text`, or as many of its words as fit into `length` characters with `...`."""
    if len(text) <= length:
        return text
    room = text[: length - 3]
    return (room.rpartition(" ")[0] or room).rstrip(" ,;:.") + "..."
