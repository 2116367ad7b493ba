"""Whether the text that is shown of odd mail is the text that another parser, stalwart's, finds in it.

Its tree and its letters are taken as they are, with two exceptions that are no reading of its. Which parts are text is
what RFC 8621 4.1.4 says of that tree: its own list is the same, but that it leaves out each part with
`is_encoding_problem`, as one is that is cut off, and the RFC knows no such rule. And a letter that it could not read
(U+FFFD) may be any: it says nothing of what stands there. How many its own list makes the same is printed too.

Where the two choose differently on purpose a difference counts as one all the same; it is said of what kind each is.
docs/decisions/0022 says why Tidings chooses as it does.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks import jmap
from benchmarks.report import Figure
from tidings.errors import MessageTooComplexError
from tidings.mailer import html_text
from tidings.mailer.text import display
from tidings.mailer.tolerant import read_message

WANTED = 0.95
FLOOR = 0.93  # what it was when it was last looked at: less is a failure
_UNREAD = "\ufffd"
SAME, MORE, OTHER = "the same", "more, with all of its text", "others"


def figures(corpus: Path) -> Iterator[Figure]:
    """The share of the messages of malformed/stalwart of which the same text is shown, and what differs in the rest."""
    expected = sorted((corpus / "malformed" / "stalwart").glob("*.json"))
    if not expected:
        return
    pairs = [(shown_text(file.with_suffix(".eml").read_bytes()), _read(file)) for file in expected]
    kinds = Counter(kind(shown, expected_text(read, jmap.text_body(read["parts"]))) for shown, read in pairs)
    share = kinds[SAME] / len(expected)
    yield Figure(
        of="malformed/stalwart",
        what="same text parts as stalwart's parser finds",
        value=f"{share:.1%} of {len(expected)}",
        wanted=f"{WANTED:.0%}: not reached; {FLOOR:.0%} before" if share < WANTED else f"{WANTED:.0%}",
        ok=True if share >= WANTED else None if share >= FLOOR else False,
    )
    value = ", ".join(f"{kinds[one]} {one}" for one in (MORE, OTHER))
    yield Figure(of="malformed/stalwart", what="what differs", value=value)
    own = sum(words(shown) == words(expected_text(read, read["text_body"])) for shown, read in pairs)
    value = f"{own / len(expected):.1%}"
    yield Figure(of="malformed/stalwart", what="by its own list of text parts, and letter by letter", value=value)


def kind(shown: str, expected: str) -> str:
    """How a text that is shown compares with what that parser found."""
    found, wanted = words(shown), words(expected)
    if _alike(found, wanted):
        return SAME
    rest = iter(found)
    return MORE if all(any(_is_word(word, one) for word in rest) for one in wanted) else OTHER


def shown_text(raw: bytes) -> str:
    """What is shown of a message; nothing where it passes a limit."""
    try:
        return display(read_message(raw)).text
    except MessageTooComplexError:
        return ""


def _alike(found: Sequence[str], wanted: Sequence[str]) -> bool:
    """Whether the words are the same; one of which no letter could be read may be no word."""
    read = [word for word in wanted if word.strip(_UNREAD)]
    return any(len(found) == len(words) and all(map(_is_word, found, words)) for words in (wanted, read))


def _is_word(word: str, wanted: str) -> bool:
    if _UNREAD not in wanted:
        return word == wanted
    return len(word) == len(wanted) and all(
        ours == theirs or theirs == _UNREAD for ours, theirs in zip(word, wanted, strict=True)
    )


def words(text: str) -> list[str]:
    """The text's words: line ends, white space and how `>` are spaced are not compared."""
    return text.replace("\0", "").replace(">", "> ").split()


def expected_text(expected: Mapping[str, Any], numbers: Sequence[int]) -> str:
    """The text of the parts of those numbers, HTML as we show it, pictures left out."""
    texts = []
    for part in (expected["parts"][number] for number in numbers):
        body = part["body"]
        written = body.get("Html", body.get("Text", ""))
        kind = jmap.content_type(part)
        if "Html" in body or kind == "text/html":
            texts.append(html_text.to_text(written))
        elif kind.startswith(("text/", "multipart/")):  # a multipart without parts is text to it
            texts.append(written)
    return "\n\n".join(texts)


def _read(file: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found
