"""A served site that is killed at one system call after the other, the n-th of its kind that some thread makes.

Messages are accepted, archived and sent out in each life; what it did not come to is left for the next ones.
"""

import random
import threading
from dataclasses import dataclass, field
from itertools import cycle
from pathlib import Path

from tests.crashing import CrashingSite
from tests.lives import BornLife, Calls, Cradle
from tests.running import wait_until

_NEW = 2  # messages for each sender in a life
_QUIET = 120.0  # seconds that a life has for all that is waiting


@dataclass
class Swept:
    """What came of one site: kills that fired, by the number of the call, and lives in which there was none of it."""

    calls: Calls
    last: int  # how many of them there are in an undisturbed life
    fired: list[int] = field(default_factory=list)
    missed: list[int] = field(default_factory=list)


def sweep(folder: Path, calls: Calls, kills: int, seed: int) -> tuple[CrashingSite, Swept]:
    """Kill a new site so often at one of these calls, then let it finish and check all; they come in random order."""
    with CrashingSite(folder, seed) as site, Cradle(site.config) as cradle:
        log = folder / "calls"
        _live(site, cradle.watched(calls, log))
        swept = Swept(calls=calls, last=log.read_text(errors="replace").count(f"{calls.call}("))
        assert swept.last, f"there are no such calls: {calls}"
        numbers = list(range(1, swept.last + 1))
        random.Random(seed).shuffle(numbers)
        for number in cycle(numbers):
            if len(swept.fired) == kills:
                break
            fired = _live(site, cradle.doomed(calls, number))
            (swept.fired if fired else swept.missed).append(number)
            site.tally.kills += 1
            assert len(swept.missed) < 2 * kills, f"few of these calls come: {swept}"
        site.finish()
    return site, swept


def _live(site: CrashingSite, life: BornLife) -> bool:
    """One life under load, until its fate or until nothing is left to do; whether it was its fate."""
    senders: list[threading.Thread] = []
    try:
        if port := life.port():
            senders = [*site.start_senders(port, _NEW)]
            site.must_be_whole()
            wait_until(
                lambda: life.over() or (not any(map(threading.Thread.is_alive, senders)) and site.rests()),
                "the end of the load",
                _QUIET,
            )
        return life.over()
    finally:
        life.end()
        for sender in senders:
            sender.join()
