"""Whether the text that is shown of odd mail is the text that another parser, stalwart's, finds in it.

Where the two choose differently on purpose a difference counts as one all the same; a second figure leaves out what
that parser itself calls broken.
"""

import json
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


def figures(corpus: Path) -> Iterator[Figure]:
    """The share of the messages of malformed/stalwart of which the same text is shown."""
    expected = sorted((corpus / "malformed" / "stalwart").glob("*.json"))
    if not expected:
        return
    pairs = [(shown_text(file.with_suffix(".eml").read_bytes()), _read(file)) for file in expected]
    share = sum(words(shown) == words(expected_text(one)) for shown, one in pairs) / len(pairs)
    yield Figure(
        of="malformed/stalwart",
        what="same text as stalwart's parser finds",
        value=f"{share:.1%} of {len(pairs)}",
        wanted=f"{WANTED:.0%}, not reached; never under {FLOOR:.0%}" if share < WANTED else f"{WANTED:.0%}",
        ok=share >= FLOOR,
    )
    lenient = sum(same_but_for_the_broken(shown, one) for shown, one in pairs) / len(pairs)
    yield Figure(of="malformed/stalwart", what="the same, but for what it calls broken itself", value=f"{lenient:.1%}")


def shown_text(raw: bytes) -> str:
    """What is shown of a message; nothing where it passes a limit."""
    try:
        return display(read_message(raw)).text
    except MessageTooComplexError:
        return ""


def same_but_for_the_broken(shown: str, expected: Mapping[str, Any]) -> bool:
    """Whether the words are the same where that parser could read them.

    It makes attachments of texts that are cut off, which we show, and U+FFFD of letters that we may read.
    """
    broken = [
        number
        for number in expected["attachments"]
        if expected["parts"][number]["is_encoding_problem"] and "Text" in expected["parts"][number]["body"]
    ]
    return any(
        len(wanted) == len(found) and all(map(_alike, found, wanted))
        for found in [words(shown)]
        for wanted in [words(expected_text(expected)), words(expected_text(expected, broken))]
    )


def _alike(word: str, wanted: str) -> bool:
    if "\ufffd" not in wanted:
        return word == wanted
    return len(word) == len(wanted) and all(
        ours == theirs or theirs == "\ufffd" for ours, theirs in zip(word, wanted, strict=True)
    )


def words(text: str) -> list[str]:
    """The text's words: line ends, white space and how `>` are spaced are not compared."""
    return text.replace("\0", "").replace(">", "> ").split()


def expected_text(expected: Mapping[str, Any], more: Sequence[int] = ()) -> str:
    """The text that such a file names, HTML as we show it, with that of `more` parts."""
    parts: Sequence[Mapping[str, Any]] = expected["parts"]
    texts = []
    for number in [*expected["text_body"], *more]:
        body = parts[number]["body"]
        if "Text" in body:
            texts.append(body["Text"])
        elif "Html" in body:
            texts.append(html_text.to_text(body["Html"]))
    return "\n\n".join(texts)


def _read(file: Path) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
    return found
