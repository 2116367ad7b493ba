"""Whether Tidings is right on real mail: `python -m benchmarks.quality CORPUS`, or `make quality CORPUS=...`.

It measures no speed. No text and no address of the corpus is printed. Exit status 1 where a figure is not as wanted.
"""

import gzip
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from benchmarks import (
    quality_automated,
    quality_bounces,
    quality_files,
    quality_lists,
    quality_mutations,
    quality_orders,
    quality_replies,
    quality_stalwart,
    quality_threads,
)
from benchmarks.report import Figure, conclude, print_table


def figures(corpus: Path) -> Iterator[list[Figure]]:
    """The figures of each list, of the folders of single messages, of replies, of bounces and of automatic mail."""
    for name, path, parents in quality_lists.lists(corpus):
        with tempfile.TemporaryDirectory() as folder:
            yield quality_lists.measure(name, path, parents, Path(folder))
        with tempfile.TemporaryDirectory() as folder:
            raws = quality_lists.messages(gzip.decompress(path.read_bytes()))
            yield quality_orders.measure(name, raws, Path(folder))
    yield list(quality_threads.figures(corpus))
    for name in quality_files.FOLDERS:
        if (corpus / name).is_dir():
            with tempfile.TemporaryDirectory() as folder:
                yield quality_files.measure(name, corpus / name, Path(folder))
    yield list(quality_stalwart.figures(corpus))
    yield list(quality_mutations.figures(corpus))
    yield list(_replies(corpus))
    yield list(quality_bounces.figures(corpus))
    with tempfile.TemporaryDirectory() as folder:
        yield list(quality_automated.figures(corpus, Path(folder)))


def _replies(corpus: Path) -> Iterator[Figure]:
    """How well quotes are folded, for each set, and how much of what people wrote is hidden over all of them."""
    sets = quality_replies.measure(corpus)
    for name, counts in sets.items():
        value = f"{counts['exact']} of {counts['bodies']} exact"
        wanted = f"at least {quality_replies.WANTED[name]:.0%}"
        good = counts["exact"] >= quality_replies.WANTED[name] * counts["bodies"]
        yield Figure(of=f"replies/{name}", what="visible replies", value=value, wanted=wanted, ok=good)
    hidden = sum(one["author_words_hidden"] for one in sets.values())
    share = hidden / max(sum(one["author_words"] for one in sets.values()), 1)
    wanted = f"under {quality_replies.HIDDEN_MOST:.1%}"
    good = share < quality_replies.HIDDEN_MOST
    yield Figure(of="replies", what="the author's words hidden", value=f"{share:.2%}", wanted=wanted, ok=good)


def main(corpus: str) -> int:
    """Print each group of figures as soon as it is there; returns the exit status."""
    began = time.monotonic()
    every: list[Figure] = []
    for group in figures(Path(corpus)):
        print_table("", group)
        every += group
    if not every:
        print(f"Nothing was measured: {corpus} has no lists.")
        return 1
    print(f"{time.monotonic() - began:.0f} seconds")
    return conclude(every)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
