"""Which member of a community is meant by a name or an address that somebody wrote."""

from collections.abc import Callable, Sequence

from sqlalchemy import Connection

from tidings.communities import directory
from tidings.communities.directory import Member
from tidings.mailer.plain_lines import fold

_LENGTH = 200


class Names:
    """The members of one community by what they may be called, read when the first is looked for."""

    def __init__(self, connection: Connection, community_id: int) -> None:
        self._connection, self._community_id = connection, community_id
        self._members: Sequence[Member] | None = None

    def find(self, said: str) -> Member | None:
        """The one member who is meant: by address, by the whole name, else by a part of it that nobody else has."""
        wanted = fold(said[:_LENGTH].strip().lstrip("@"))
        if not wanted:
            return None
        if "@" in wanted:
            return directory.member_by_address(self._connection, self._community_id, said.strip().lstrip("@"))
        if self._members is None:
            self._members = directory.members(self._connection, self._community_id)
        for reading in _READINGS:
            found = [one for one in self._members if wanted in reading(one)]
            if found:
                return found[0] if len(found) == 1 else None
        return None


def _whole(member: Member) -> Sequence[str]:
    return [fold(member.name)]


def _first(member: Member) -> Sequence[str]:
    return fold(member.name).split()[:1]


def _parts(member: Member) -> Sequence[str]:
    return fold(member.name).split()


def _local(member: Member) -> Sequence[str]:
    return [fold(member.email.partition("@")[0])]


_READINGS: Sequence[Callable[[Member], Sequence[str]]] = (_whole, _first, _parts, _local)
