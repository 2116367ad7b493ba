"""Ten thousand messages that were spoilt by chance: each is read and shown, or refused as too complex.

The seed is printed; `TIDINGS_SEED` sets it, so that a failure can be tried again. `TIDINGS_MUTATIONS` sets how many.
"""

import os
import random
import resource

import pytest

from tests.mutations import SEEDS, mutated
from tests.surviving import survive

COUNT = int(os.environ.get("TIDINGS_MUTATIONS", "10000"))
SEED = int(os.environ.get("TIDINGS_SEED", "0")) or random.randrange(1, 1_000_000)
MEMORY = 100_000  # kB


@pytest.mark.faults
@pytest.mark.acceptance(32)
def test_ten_thousand_spoilt_messages_are_read_and_shown_within_the_limits() -> None:
    print(f"TIDINGS_SEED={SEED}")
    for raw in SEEDS:  # what is loaded once is there now
        survive(raw)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number, raw in enumerate(mutated(SEEDS, seed=SEED, count=COUNT)):
        try:
            survive(raw)
        except Exception as error:
            error.add_note(f"message {number}: {raw!r}")
            raise
    grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
    print(f"{COUNT} messages, {grown} kB more memory")
    assert grown < MEMORY
