"""`tidings serve` killed at a hundred random moments under load, by SIGKILL: nothing lost, nothing stored twice.

The seed is printed; `TIDINGS_SEED` sets it, so that a failure can be tried again. `TIDINGS_KILLS` sets how many.
"""

import os
import random
from pathlib import Path

import pytest

from tests.crashing import BATCH, CONNECTIONS, CrashingSite

KILLS = int(os.environ.get("TIDINGS_KILLS", "100"))
SEED = int(os.environ.get("TIDINGS_SEED", "0")) or random.randrange(1, 1_000_000)


@pytest.mark.faults
@pytest.mark.acceptance(14)
@pytest.mark.acceptance(71)
def test_what_was_acknowledged_is_archived_once_and_delivered_whenever_the_site_is_killed(tmp_path: Path) -> None:
    print(f"TIDINGS_SEED={SEED}")
    with CrashingSite(tmp_path, SEED) as site:
        for _ in range(KILLS):
            site.kill()
        site.finish()
    tally = site.tally
    print(
        f"{tally.kills} kills, {len(tally.posts)} messages, {tally.sent_again} sent again, "
        f"{tally.duplicates} of them were there already, "
        f"{tally.twice} copies came twice (at most {KILLS * CONNECTIONS * BATCH})"
    )
    assert len(tally.posts) > 10 * KILLS
    assert tally.duplicates, "no kill came between the commit and the answer: more load is needed"
