"""Who is in the demo, and what each of them is doing at a moment; it only reads."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from babel.dates import format_datetime
from sqlalchemy import Connection

from tidings.communities import directory, rosters, rota
from tidings.communities.roster import Roster, Shift
from tidings.digests import schedule

_HOW = {"each": "every post", "daily": "a daily digest", "weekly": "a weekly digest", "none": "no mail"}


@dataclass(frozen=True, kw_only=True)
class Person:
    """Somebody who can be signed in as; `facts` says in a few words what they are."""

    email: str
    name: str
    facts: str
    writes: bool  # as a member


@dataclass(frozen=True, kw_only=True)
class Crew:
    """A crew and what it is doing."""

    name: str
    doing: str


def everybody(connection: Connection, admins: Sequence[str]) -> list[Person]:
    """The members of all communities by name, then the admins."""
    crews = {rota.crew_by_name(connection, one.name): one.name for one in rota.crews(connection)}
    found: dict[str, Person] = {}
    for community in directory.communities(connection):
        for member in directory.members(connection, community.id):
            crew = f"crew {crews[member.crew_id]}, " if member.crew_id else ""
            before = f"{found[member.email].facts}; " if member.email in found else crew
            facts = f"{before}{community.title}: {_HOW[member.delivery]}"
            found[member.email] = Person(email=member.email, name=member.name, facts=facts, writes=True)
    by_name = sorted(found.values(), key=lambda one: one.name.casefold())
    return [*by_name, *(Person(email=email, name="Admin", facts="sees everything", writes=False) for email in admins)]


def crews(connection: Connection, now: datetime) -> list[Crew]:
    """What each crew is doing at `now`."""
    return [
        Crew(name=one.name, doing=_doing(rosters.of_crew(connection, rota.crew_by_name(connection, one.name)), now))
        for one in rota.crews(connection)
    ]


def _doing(roster: Roster, now: datetime) -> str:
    shift = roster.at(now)
    if shift:
        return f"on {_kind(shift)} until {shift.end:%H:%M}"
    doing = "asleep after a night shift" if schedule.slept_off(roster, now) else "off"
    following = roster.next_start(now)
    return f"{doing}, {_kind(following)} from {moment(following.start)}" if following else doing


def _kind(shift: Shift) -> str:
    return "nights" if schedule.is_night(shift) else "days"


def moment(local: datetime) -> str:
    """`Sunday 18 Oct, 19:00`, of a moment in the zone that is to be shown."""
    return format_datetime(local, "EEEE d MMM, HH:mm", tzinfo=local.tzinfo, locale="en")
