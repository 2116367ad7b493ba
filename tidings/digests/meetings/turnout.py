"""Who comes to which session of a meeting, with the crew of each: what was said, put beside whom each is asked with.

It writes nothing (attendance does).
"""

from collections import Counter
from dataclasses import dataclass

from sqlalchemy import Connection

from tidings.communities import directory, rota
from tidings.communities.rosters import Rosters
from tidings.digests import names
from tidings.digests.meetings import attendance
from tidings.digests.meetings.attendance import Answer
from tidings.digests.meetings.diary import Meeting, Sitting
from tidings.digests.meetings.guests import for_member


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody who said whether they come; `crew` is None for who has none, `guest` who was not asked."""

    name: str
    answer: Answer
    comment: str
    crew: str | None
    guest: bool


@dataclass(frozen=True, kw_only=True)
class Turnout:
    """Those who answered for one session, by name."""

    sitting: Sitting
    people: tuple[Person, ...]

    def who(self, answer: Answer) -> list[Person]:
        """Those who said that."""
        return [one for one in self.people if one.answer == answer]

    def crews(self, answer: Answer) -> list[tuple[str, int]]:
        """How many of each crew said that, by its name; members who are in none come last, under an empty one."""
        counted = Counter(one.crew or "" for one in self.who(answer) if not one.guest)
        return sorted(counted.items(), key=lambda of: (not of[0], of[0]))

    def guests(self, answer: Answer) -> int:
        """How many guests said that."""
        return sum(one.guest for one in self.who(answer))


def read(connection: Connection, meeting: Meeting) -> list[Turnout]:
    """What was said of each session of a meeting; who named none is counted in the one that they are asked to.

    Who has left the community since is not counted.
    """
    members = {one.person_id: one for one in directory.members(connection, meeting.series.community_id)}
    crews = {one.id: one.name for one in rota.crews(connection)}
    rosters = Rosters(connection)
    found: dict[int, list[Person]] = {one.id: [] for one in meeting.sittings}
    for said in attendance.of_meeting(connection, meeting.id):
        member = members.get(said.person_id) if said.person_id is not None else None
        if said.person_id is not None and member is None:
            continue
        if said.sitting_id in found or member is None:
            sitting = meeting.sitting(said.sitting_id)
        else:
            sitting = for_member(meeting, member.crew_id, rosters.of(member.person_id, member.crew_id))
        person = Person(
            name=names.author(said.name, said.email_key),
            answer=said.answer,
            comment=said.comment,
            crew=crews.get(member.crew_id) if member and member.crew_id is not None else None,
            guest=member is None,
        )
        found[sitting.id].append(person)
    return [
        Turnout(sitting=one, people=tuple(sorted(found[one.id], key=lambda person: person.name.casefold())))
        for one in meeting.sittings
    ]
