"""What people are called in what is told of meetings: their names, else what stands before the @ of an address."""

from collections.abc import Collection, Mapping

from sqlalchemy import Connection, and_, select

from tidings.database import tables
from tidings.digests import names

_person, _membership, _address = tables.person.c, tables.membership.c, tables.address.c


def called(connection: Connection, community_id: int, person_ids: Collection[int]) -> Mapping[int, str]:
    """By person, what they are called in a community, also where they left it."""
    mine = and_(_membership.person_id == _person.id, _membership.community_id == community_id)
    rows = connection.execute(
        select(_person.id, _person.name, _address.email)
        .join_from(tables.person, tables.membership, mine, isouter=True)
        .join(tables.address, _address.id == _membership.address_id, isouter=True)
        .where(_person.id.in_(list(person_ids)))
    )
    return {person_id: names.author(name, email or "") for person_id, name, email in rows}
