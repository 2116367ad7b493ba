"""Power cuts at each acknowledgement and around it: what was answered with 250 is there, and is archived and delivered.

`TIDINGS_IMAGES` sets how many folders as a power cut could have left them are opened, for each engine (2,000 for a full
run); `TIDINGS_SEED` the seed, which is printed.
"""

import os
import random
import shutil
import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from tests.powercut import images, record, survive
from tests.smtp_sink import SmtpSink
from tidings.mailer.worker import ParseWorker

SEED = int(os.environ.get("TIDINGS_SEED", "0")) or random.randrange(1, 1_000_000)
IMAGES = {"sqlite": 300, "postgresql": 100}
A_MESSAGE = 5  # images at least: some of those around an acknowledgement are the same as around another


@pytest.fixture
def folder() -> Iterator[Path]:
    """One in memory, where that is to be had: each image is written anew, and nothing of it has to last."""
    memory = Path("/dev/shm")
    made = Path(tempfile.mkdtemp(prefix="tidings-power-", dir=memory if memory.is_dir() else None))
    made.chmod(0o755)  # PostgreSQL may run as another user
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.mark.faults
@pytest.mark.needs("strace")
@pytest.mark.acceptance(64)
@pytest.mark.parametrize("engine", ["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgres"))])
def test_what_was_acknowledged_survives_a_power_cut_at_any_moment(folder: Path, engine: str) -> None:
    print(f"TIDINGS_SEED={SEED}")
    wanted = int(os.environ.get("TIDINGS_IMAGES", "0")) or IMAGES[engine]
    recording = record(folder, wanted // A_MESSAGE, SEED, with_postgres=engine == "postgresql")
    opened: Counter[str] = Counter()
    with SmtpSink() as sink, closing(ParseWorker(recording.settings.limits)) as worker:
        for cut in images(recording, SEED):
            try:
                survive(recording, cut, worker, sink)
            except Exception as error:
                error.add_note(f"after {cut.at} calls, with {cut.keep} of what was not synced")
                raise
            opened[cut.keep] += 1
            if opened.total() % 100 == 0:
                print(f"{opened.total()} images", flush=True)
    print(f"{engine}: {len(recording.sent)} messages; images with what was not synced: {dict(opened)}")
    assert opened.total() >= wanted
