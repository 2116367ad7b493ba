"""Whether real mail that was spoilt by chance is read and shown all the same, each message in time.

How it is spoilt, and what must hold of it then, is what the tests have for made-up mail.
"""

from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks.quality_files import FOLDERS
from benchmarks.report import Figure, checked
from tests.mutations import mutated
from tests.surviving import survive

COUNT = 10_000
_SEED = 32
_SIZE_MOST = 100_000  # bytes of a message that is spoilt: larger ones would only take longer


def figures(corpus: Path) -> Iterator[Figure]:
    """How many of ten thousand spoilt messages raised something."""
    files = [file for name in FOLDERS for file in sorted((corpus / name).rglob("*")) if file.is_file()]
    seeds = [file.read_bytes() for file in files if file.suffix != ".json" and 0 < file.stat().st_size <= _SIZE_MOST]
    if not seeds:
        return
    raised: Counter[str] = Counter()
    for raw in mutated(seeds, _SEED, COUNT):
        try:
            survive(raw)
        except Exception as error:  # the figure is how many there are
            raised[type(error).__name__] += 1
    kinds = ", ".join(sorted(raised)) or "nothing"
    yield Figure(of="spoilt mail", what=f"raised by any of {COUNT}, seed {_SEED}", value=kinds)
    yield checked("spoilt mail", "messages that raised, or took more than 2 s", sum(raised.values()), 0)
