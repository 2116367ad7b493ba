"""`tidings serve` killed by SIGKILL at one system call after the other, from accepting to sending, by strace.

At each write and sync of the threads that accept, archive and send, at each send to a sender or to the smart host, and
at each connection that is opened. `TIDINGS_SWEEP` sets how many kills there are in all that fired (2,000 for a full
run), `TIDINGS_SEED` the seed, which is printed for each site.
"""

import os
import random
from pathlib import Path

import pytest

from tests.lives import Calls
from tests.sweeping import sweep

KILLS = int(os.environ.get("TIDINGS_SWEEP", "200"))
SEED = int(os.environ.get("TIDINGS_SEED", "0")) or random.randrange(1, 1_000_000)
A_SITE = 50  # kills of one site: what is checked after each grows with its archive
SHARES = {
    ("spool", "pwrite64"): 0.1,
    ("spool", "fsync"): 0.05,
    ("intake", "pwrite64"): 0.2,
    ("intake", "fsync"): 0.1,
    ("deliver", "pwrite64"): 0.2,
    ("deliver", "fsync"): 0.1,
    ("deliver", "connect"): 0.05,
    ("deliver", "sendto"): 0.1,
    ("MainThread", "sendto"): 0.1,
}


@pytest.mark.faults
@pytest.mark.needs("strace")
@pytest.mark.acceptance(63)
@pytest.mark.parametrize(("thread", "call"), SHARES)
def test_nothing_is_lost_or_stored_twice_at_whatever_call_the_site_is_killed(
    thread: str, call: str, tmp_path: Path
) -> None:
    kills = round(KILLS * SHARES[thread, call])
    for begin in range(0, kills, A_SITE):
        seed = SEED + begin
        print(f"TIDINGS_SEED={seed}")
        folder = tmp_path / str(begin)
        folder.mkdir()
        site, swept = sweep(folder, Calls(thread=thread, call=call), min(A_SITE, kills - begin), seed)
        tally = site.tally
        print(
            f"{call} of {thread}: {len(swept.fired)} kills at {len(set(swept.fired))} of {swept.last} calls, "
            f"{len(swept.missed)} did not fire; {len(tally.posts)} messages, {tally.sent_again} sent again, "
            f"{tally.duplicates} were there already, {tally.twice} copies came twice (at most {site.most_twice})",
            flush=True,
        )
