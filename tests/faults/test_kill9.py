"""`tidings serve` killed at random moments under load, by SIGKILL: nothing lost, nothing stored twice.

The seed is printed; `TIDINGS_SEED` sets it, so that a failure can be tried again. `TIDINGS_KILLS` sets how many.
"""

import os
import random
from pathlib import Path

import pytest

from tests.crashing import CrashingSite

KILLS = int(os.environ.get("TIDINGS_KILLS", "0"))
SEED = int(os.environ.get("TIDINGS_SEED", "0")) or random.randrange(1, 1_000_000)


def storm(site: CrashingSite, kills: int) -> None:
    """Kill the site so often, let it finish, and say what came of it."""
    print(f"TIDINGS_SEED={SEED}")
    for _ in range(kills):
        site.kill()
    site.finish()
    tally = site.tally
    print(
        f"{tally.kills} kills, {len(tally.posts)} messages, {tally.sent_again} sent again, "
        f"{tally.duplicates} of them were there already, "
        f"{tally.twice} copies came twice (at most {site.most_twice})"
    )


@pytest.mark.faults
@pytest.mark.acceptance(14)
@pytest.mark.acceptance(71)
def test_what_was_acknowledged_is_archived_once_and_delivered_whenever_the_site_is_killed(tmp_path: Path) -> None:
    kills = KILLS or 100
    with CrashingSite(tmp_path, SEED) as site:
        storm(site, kills)
    assert len(site.tally.posts) > 10 * kills
    assert site.tally.duplicates, "no kill came between the commit and the answer: more load is needed"


@pytest.mark.faults
@pytest.mark.acceptance(71)
def test_kills_while_eight_connections_send_lose_nothing_and_send_no_more_twice_than_was_under_way(
    tmp_path: Path,
) -> None:
    with CrashingSite(tmp_path, SEED, connections=8, readers=12) as site:
        storm(site, KILLS or 300)
    assert site.tally.twice, "no kill came while copies were under way: more load is needed"
