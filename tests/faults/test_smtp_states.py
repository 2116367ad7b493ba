"""The order of SMTP and LMTP commands, held to the model over 100,000 random talks.

The seed is printed; `TIDINGS_SEED` sets it, so that a failure can be tried again. `TIDINGS_TALKS` sets how many.
"""

import os
import random

import pytest

from tests.smtp_states import random_talks
from tidings.database.engine import Database

TALKS = int(os.environ.get("TIDINGS_TALKS", "100000"))
SEED = int(os.environ.get("TIDINGS_SEED", "0")) or random.randrange(1, 1_000_000)


@pytest.mark.faults
@pytest.mark.acceptance(9)
@pytest.mark.parametrize("protocol", ["smtp", "lmtp"])
def test_the_state_machine_is_that_of_the_model(sqlite_database: Database, protocol: str) -> None:
    print(f"TIDINGS_SEED={SEED}")
    sent = random_talks(sqlite_database, protocol, SEED, TALKS // 2)
    print(f"{sent} commands")
    assert sent >= 12 * (TALKS // 2)
