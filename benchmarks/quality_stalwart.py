"""Whether the text that is shown of odd mail is the text that another parser, stalwart's, finds in it.

Where the two choose differently on purpose docs/rfc.md says so; a difference counts as one all the same.
"""

import json
from collections.abc import Iterator, Mapping, Sequence
from email import message_from_bytes
from pathlib import Path
from typing import Any

from benchmarks.report import Figure
from tidings.errors import MessageTooComplexError
from tidings.mailer import html_text
from tidings.mailer.text import display

WANTED = 0.95
FLOOR = 0.73  # what it was when it was last looked at: less is a failure


def figures(corpus: Path) -> Iterator[Figure]:
    """The share of the messages of malformed/stalwart of which the same text is shown."""
    expected = sorted((corpus / "malformed" / "stalwart").glob("*.json"))
    if not expected:
        return
    same = [file.stem for file in expected if same_text(file.with_suffix(".eml").read_bytes(), _read(file))]
    share = len(same) / len(expected)
    yield Figure(
        of="malformed/stalwart",
        what="same text as stalwart's parser finds",
        value=f"{len(same)} of {len(expected)} ({share:.1%})",
        wanted=f"{WANTED:.0%}; at least {FLOOR:.1%}" if share < WANTED else f"at least {WANTED:.0%}",
        ok=share >= FLOOR,
    )


def same_text(raw: bytes, expected: Mapping[str, Any]) -> bool:
    """Whether a message shows the words that are expected, white space aside."""
    try:
        shown = display(message_from_bytes(raw)).text
    except MessageTooComplexError:
        return False
    return words(shown) == words(expected_text(expected))


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
