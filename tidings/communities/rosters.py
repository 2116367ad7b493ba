"""Reads the rosters of people, each once for all who share it.

What a roster says is for `rota`, and what follows from it for the digests.
"""

from sqlalchemy import Connection

from tidings.communities import rota
from tidings.communities.rota import Roster


class Rosters:
    """The rosters of many people, for as long as one transaction."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._read: dict[int, Roster] = {}

    def of(self, _person_id: int, crew_id: int | None) -> Roster | None:
        """The roster of a person in that crew; None where it is none."""
        if crew_id is None:
            return None
        if crew_id not in self._read:
            self._read[crew_id] = rota.roster(self._connection, crew_id)
        return self._read[crew_id]
