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
    quality_invites,
    quality_lists,
    quality_mutations,
    quality_orders,
    quality_replies,
    quality_stalwart,
    quality_threads,
)
from benchmarks.report import Figure, conclude, print_table


def figures(corpus: Path) -> Iterator[list[Figure]]:
    """The figures of each list, of folders of single messages, of replies, bounces, invitations and automatic mail."""
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
    yield list(quality_invites.figures(corpus))
    with tempfile.TemporaryDirectory() as folder:
        yield list(quality_automated.figures(corpus, Path(folder)))


def _replies(corpus: Path) -> Iterator[Figure]:
    """How well quotes are folded, for each set, and how much of what people wrote is hidden over all of them."""
    sets = quality_replies.measure(corpus)
    for name, counts in sets.items():
        bodies, exact = max(counts["bodies"], 1), counts["exact"]
        least, floor = quality_replies.WANTED[name], quality_replies.REACHED[name]
        value = f"{exact} of {bodies} exact; {counts['as_labelled']} as labelled, {counts['alike']} alike"
        goal = f"at least {least:.0%}"
        yield _towards(
            f"replies/{name}", "visible replies", value, goal, f"{floor}", exact >= least * bodies, exact >= floor
        )
    hidden, words = (sum(one[key] for one in sets.values()) for key in ("author_words_hidden", "author_words"))
    share = hidden / max(words, 1)
    yield Figure(
        of="replies",
        what="the author's words hidden",
        value=f"{hidden} of {words} ({share:.2%})",
        wanted=f"under {quality_replies.HIDDEN_MOST:.1%}",
        ok=share < quality_replies.HIDDEN_MOST,
    )


def _towards(of: str, what: str, value: str, goal: str, floor: str, reached: bool, kept: bool) -> Figure:
    """A figure with a goal: where that is not reached it says so, and fails only if it is worse than before."""
    wanted = goal if reached else f"{goal}: not reached; {floor} before"
    return Figure(of=of, what=what, value=value, wanted=wanted, ok=True if reached else None if kept else False)


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
