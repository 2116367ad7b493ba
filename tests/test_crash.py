"""Killed under load: the small version of tests/faults/test_kill9.py, so that every change is tried."""

from pathlib import Path

import pytest

from tests.crashing import CrashingSite

pytestmark = pytest.mark.slow


@pytest.mark.acceptance(71)
def test_a_site_that_is_killed_three_times_loses_nothing_and_stores_nothing_twice(tmp_path: Path) -> None:
    with CrashingSite(tmp_path, seed=71) as site:
        for _ in range(3):
            site.kill()
        site.finish()
        assert len(site.tally.posts) > 20
