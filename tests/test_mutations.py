"""Mail that was spoilt by chance is read and shown, or refused as too complex: nothing else is raised."""

import pytest

from tests.mutations import SEEDS, mutated
from tests.surviving import survive


@pytest.mark.acceptance(32)
def test_spoilt_mail_is_read_and_shown_within_the_limits() -> None:
    for number, raw in enumerate(mutated(SEEDS, seed=32, count=200)):
        try:
            survive(raw)
        except Exception as error:
            error.add_note(f"message {number}: {raw!r}")
            raise
