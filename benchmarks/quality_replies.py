"""How well quotes are folded, counted on bodies with a known reply: `python -m benchmarks.quality_replies CORPUS`.

It counts and prints; what the figures must be is the caller's matter. The rules of comparison are the corpus README's.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tidings.threading import quotes

Case = tuple[str, str, str]  # name, text, the reply that is to be seen


def measure(corpus: Path) -> dict[str, dict[str, int]]:
    """For each set: bodies, those whose visible reply is exactly the expected one, the author's words, those hidden.

    A word is hidden where the expected reply has it and what is shown has not; `words_left_over` counts the reverse.
    """
    return {name: _counts(list(cases)) for name, cases in _sets(corpus).items()}


def missed(corpus: Path, name: str) -> list[str]:
    """The names of the bodies of one set whose visible reply is not exactly the expected one."""
    return [case for case, text, reply in _sets(corpus)[name] if _seen(text) != reply]


def _sets(corpus: Path) -> dict[str, Iterator[Case]]:
    folder = corpus / "replies"
    return {
        "email_reply_trimmer": _trimmer(folder / "email_reply_trimmer"),
        "email_reply_parser": _replies(folder / "email_reply_parser", "reply"),
        "mail_parser_reply": _replies(folder / "mail_parser_reply", "latest_reply"),
    }


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n")


def _trimmer(folder: Path) -> Iterator[Case]:
    for path in sorted(folder.glob("*.trimmed.txt")):
        name = path.name.removesuffix(".trimmed.txt")
        yield name, _text(folder / f"{name}.input.txt"), _text(path).strip()


def _replies(folder: Path, key: str) -> Iterator[Case]:
    for name, expected in sorted(json.loads((folder / "expected.json").read_text()).items()):
        reply = expected.get(key, expected.get("fragment_0"))
        if reply is not None:
            yield name, _text(folder / name), reply.replace("\r\n", "\n").strip()


def _seen(text: str) -> str:
    return quotes.shown(text, quotes.fold(text))


def _words(text: str) -> Counter[str]:
    return Counter(re.findall(r"\w+", text))


def _counts(cases: list[Case]) -> dict[str, int]:
    pairs = [(_seen(text), reply) for _, text, reply in cases]
    return {
        "bodies": len(pairs),
        "exact": sum(seen == reply for seen, reply in pairs),
        "author_words": sum(_words(reply).total() for _, reply in pairs),
        "author_words_hidden": sum((_words(reply) - _words(seen)).total() for seen, reply in pairs),
        "words_left_over": sum((_words(seen) - _words(reply)).total() for seen, reply in pairs),
    }


def main(corpus: str) -> None:
    """Print the counts as a table."""
    rows = measure(Path(corpus))
    table = Table("set", *next(iter(rows.values())))
    for name, counts in rows.items():
        table.add_row(name, *map(str, counts.values()))
    Console().print(table)


if __name__ == "__main__":
    main(sys.argv[1])
