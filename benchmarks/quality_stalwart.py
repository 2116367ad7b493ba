"""Whether the text that is shown of odd mail is the text that another parser, stalwart's, finds in it.

Where the two choose differently on purpose a difference counts as one all the same; it is said of what kind each is.
docs/decisions/0021 says why Tidings chooses as it does.
"""

import json
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.report import Figure
from tidings.errors import MessageTooComplexError
from tidings.mailer import html_text
from tidings.mailer.text import display
from tidings.mailer.tolerant import read_message

WANTED = 0.95
FLOOR = 0.84  # what it was when it was last looked at: less is a failure
SAME, LETTERS, MORE, OTHER = "the same", "letters that it could not read", "more, with all of its text", "others"


def figures(corpus: Path) -> Iterator[Figure]:
    """The share of the messages of malformed/stalwart of which the same text is shown, and what differs in the rest."""
    expected = sorted((corpus / "malformed" / "stalwart").glob("*.json"))
    if not expected:
        return
    kinds = Counter(kind(shown_text(file.with_suffix(".eml").read_bytes()), _read(file)) for file in expected)
    share = kinds[SAME] / len(expected)
    yield Figure(
        of="malformed/stalwart",
        what="same text as stalwart's parser finds",
        value=f"{share:.1%} of {len(expected)}",
        wanted=f"{WANTED:.0%}: not reached; {FLOOR:.0%} before" if share < WANTED else f"{WANTED:.0%}",
        ok=True if share >= WANTED else None if share >= FLOOR else False,
    )
    value = ", ".join(f"{kinds[one]} {one}" for one in (LETTERS, MORE, OTHER))
    yield Figure(of="malformed/stalwart", what="what differs", value=value)
    all_of_it = (len(expected) - kinds[OTHER]) / len(expected)
    yield Figure(of="malformed/stalwart", what="all text that it finds is shown", value=f"{all_of_it:.1%}")


def kind(shown: str, expected: Mapping[str, Any]) -> str:
    """How a text that is shown compares with what that parser found.

    "More" is mostly text of parts that are cut off, of which that parser makes attachments.
    """
    found, wanted = words(shown), words(expected_text(expected))
    if found == wanted:
        return SAME
    if len(found) == len(wanted) and all(map(_alike, found, wanted)):
        return LETTERS
    rest = iter(found)
    return MORE if all(any(_alike(word, one) for word in rest) for one in wanted) else OTHER


def shown_text(raw: bytes) -> str:
    """What is shown of a message; nothing where it passes a limit."""
    try:
        return display(read_message(raw)).text
    except MessageTooComplexError:
        return ""


def _alike(word: str, wanted: str) -> bool:
    if "\ufffd" not in wanted:
        return word == wanted
    return len(word) == len(wanted) and all(
        ours == theirs or theirs == "\ufffd" for ours, theirs in zip(word, wanted, strict=True)
    )


def words(text: str) -> list[str]:
    """The text's words: line ends, white space and how `>` are spaced are not compared."""
    return text.replace("\0", "").replace(">", "> ").split()


def expected_text(expected: Mapping[str, Any]) -> str:
    """The text that such a file names, HTML as we show it."""
    parts: Sequence[Mapping[str, Any]] = expected["parts"]
    texts = []
    for number in expected["text_body"]:
        body = parts[number]["body"]
        if "Text" in body:
            texts.append(body["Text"])
        elif "Html" in body:
            texts.append(html_text.to_text(body["Html"]))
    return "\n\n".join(texts)


def _read(file: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found
