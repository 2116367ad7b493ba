"""How well quotes are folded, counted on bodies with a known reply: `python -m benchmarks.quality_replies CORPUS`.

It counts and prints. The rules of comparison are the corpus README's.
"""

import json
import re
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from email import message_from_bytes
from pathlib import Path

from rich.console import Console
from rich.table import Table

from tidings.mailer.text import display
from tidings.threading import quotes

Case = tuple[str, str, list[str]]  # name, text, the replies of which one is to be seen; the last has no signature
WANTED = {"email_reply_trimmer": 0.90, "email_reply_parser": 0.90, "mail_parser_reply": 0.85}
REACHED = {"email_reply_trimmer": 58, "email_reply_parser": 9, "mail_parser_reply": 38}  # bodies; never fewer again
HIDDEN_MOST = 0.005  # of the author's words, over all sets
_HEADER = b"Content-Type: text/plain; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n"
_RULES_BELOW = re.compile(r"(?:\s{0,80}^[-_]{5,200}$)\Z", re.MULTILINE)


def measure(corpus: Path) -> dict[str, dict[str, int]]:
    """For each set: bodies, those whose visible reply is exactly the expected one, the author's words, those hidden.

    `exact`: what a page shows, but for white space around the whole. Of mail_parser_reply either `latest_reply`, which
    has the signature, or `body`, which has not, may be seen. Information only: `as_labelled` leaves white space at the
    ends of lines aside too, where no label of a set has any: whoever made them took it all away, and an indented
    command is shown as its author wrote it, as the other sets want it. `alike` also counts those where a rule below the
    reply is left aside, which two labels have and those of email_reply_parser for the same two bodies have not.

    A word is hidden where the expected reply without signature has it and what is shown has not; `words_left_over`
    counts the reverse. Words that a label has on lines with a quote's mark are not the author's.
    """
    return {name: _counts(list(cases)) for name, cases in _sets(corpus).items()}


def missed(corpus: Path, name: str) -> list[str]:
    """The names of the bodies of one set whose visible reply is not exactly the expected one."""
    return [case for case, text, replies in _sets(corpus)[name] if not _exact(text, replies)]


def _sets(corpus: Path) -> dict[str, Iterator[Case]]:
    folder = corpus / "replies"
    return {
        "email_reply_trimmer": _trimmer(folder / "email_reply_trimmer"),
        "email_reply_parser": _replies(folder / "email_reply_parser", "reply"),
        "mail_parser_reply": _labels(folder / "mail_parser_reply"),
    }


def _text(path: Path) -> str:
    return path.read_bytes().decode("utf-8", "replace").replace("\r\n", "\n")


def _trimmer(folder: Path) -> Iterator[Case]:
    for path in sorted(folder.glob("*.trimmed.txt")):
        name = path.name.removesuffix(".trimmed.txt")
        yield name, _text(folder / f"{name}.input.txt"), [_text(path).strip()]


def _replies(folder: Path, key: str) -> Iterator[Case]:
    for name, expected in sorted(json.loads((folder / "expected.json").read_text()).items()):
        reply = expected.get(key, expected.get("fragment_0"))
        if reply is not None:
            yield name, _text(folder / name), [reply.replace("\r\n", "\n").strip()]


def _labels(folder: Path) -> Iterator[Case]:
    """Labels with the signature (`latest_reply`) and without (`body`): either may be seen."""
    for name, expected in sorted(json.loads((folder / "expected.json").read_text()).items()):
        bodies = [one["body"] for one in expected["replies"][:1]]
        yield name, _text(folder / name), [expected["latest_reply"], *bodies]


def _seen(body: str) -> str:
    """What a reader sees of a body as a page shows it: without white space at line ends, as every text."""
    text = display(message_from_bytes(_HEADER + body.encode())).text
    return quotes.shown(text, quotes.fold(text))


def _words(text: str) -> Counter[str]:
    return Counter(re.findall(r"[^\W_]+", text))


def _own(reply: str) -> str:
    return "\n".join(line for line in reply.split("\n") if not line.startswith(">"))


def _lines(text: str) -> str:
    return "\n".join(line.strip() for line in text.split("\n")).strip()


def _bare(text: str) -> str:
    return _RULES_BELOW.sub("", _lines(text)).strip()


def _same(text: str, replies: list[str], but_for: Callable[[str], str]) -> bool:
    return but_for(_seen(text)) in {but_for(reply) for reply in replies}


def _exact(text: str, replies: list[str]) -> bool:
    return _same(text, replies, str.strip)


def _stripped(cases: list[Case]) -> bool:
    """Whether no label has white space at an end of a line; what stands around the whole is not asked."""
    return all(reply.strip() == _lines(reply) for _, _, replies in cases for reply in replies)


def _counts(cases: list[Case]) -> dict[str, int]:
    but_for = _lines if _stripped(cases) else str.strip
    pairs = [(_words(_seen(text)), _words(_own(replies[-1]))) for _, text, replies in cases]
    return {
        "bodies": len(cases),
        "exact": sum(_exact(text, replies) for _, text, replies in cases),
        "as_labelled": sum(_same(text, replies, but_for) for _, text, replies in cases),
        "alike": sum(_same(text, replies, _bare) for _, text, replies in cases),
        "author_words": sum(wanted.total() for _, wanted in pairs),
        "author_words_hidden": sum((wanted - seen).total() for seen, wanted in pairs),
        "words_left_over": sum((seen - wanted).total() for seen, wanted in pairs),
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
