"""Who is on shift at each candidate hour of some weeks; pure.

A member is reached by a meeting where they are at work for the whole of it, be it in one shift or in two that follow on
each other. Which hour is best is not decided here.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from functools import cached_property

from tidings.communities.roster import Roster
from tidings.digests.planner import slots as slots_module
from tidings.digests.planner.slots import LENGTH, Slot

Span = tuple[datetime, datetime]


@dataclass(frozen=True, kw_only=True)
class Worker:
    """A member who is in a crew."""

    email: str
    crew: str
    roster: Roster


@dataclass(frozen=True, kw_only=True)
class Group:
    """Members of one crew who are on shift at the same candidate hours of the same weeks.

    `on_shift` has a number for each slot, whose bit n says whether they are on shift then in week n.
    """

    crew: str
    emails: tuple[str, ...]
    on_shift: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Reach:
    """Who is on shift at the candidate hours (`slots`) of so many weeks."""

    slots: tuple[Slot, ...]
    weeks: int
    groups: tuple[Group, ...]

    @cached_property
    def of_crew(self) -> dict[str, list[Group]]:
        """The groups of each crew, by the crew's name."""
        found: dict[str, list[Group]] = {}
        for group in self.groups:
            found.setdefault(group.crew, []).append(group)
        return found

    @property
    def crews(self) -> dict[str, int]:
        """How many members each crew has, by name."""
        return {crew: sum(len(group.emails) for group in groups) for crew, groups in self.of_crew.items()}

    def per_week(self, slot: Slot, crew: str) -> list[int]:
        """How many members of the crew are on shift at one of the slots, week by week."""
        number = self.slots.index(slot)
        return [
            sum(len(group.emails) for group in self.of_crew[crew] if group.on_shift[number] >> week & 1)
            for week in range(self.weeks)
        ]


def measure(workers: Iterable[Worker], slots: Sequence[Slot], *, zone: str, first: date, weeks: int) -> Reach:
    """Who is on shift at the slots, in an IANA zone, of the weeks that begin with the Monday `first`."""
    begins = slots_module.begins(slots, zone, first, weeks)
    known: dict[int, tuple[int, ...]] = {}  # by roster, which most members of a crew share
    together: dict[tuple[str, tuple[int, ...]], list[str]] = {}
    for worker in workers:
        key = id(worker.roster)
        if key not in known:
            worked = _worked(worker.roster, first, weeks)
            known[key] = tuple(_weeks_on_shift(worked, of_slot) for of_slot in begins)
        together.setdefault((worker.crew, known[key]), []).append(worker.email)
    groups = [
        Group(crew=crew, emails=tuple(emails), on_shift=on_shift) for (crew, on_shift), emails in together.items()
    ]
    groups.sort(key=lambda group: (group.crew, group.emails))
    return Reach(slots=tuple(slots), weeks=weeks, groups=tuple(groups))


def _worked(roster: Roster, first: date, weeks: int) -> list[Span]:
    """The spans (UTC) of work without a break, in their order."""
    # A day more at both ends, since the meeting's zone may lie on the other side of the date line.
    before = roster.walk.reach.days + 1
    shifts = roster.shifts(first - timedelta(days=before), before + 7 * weeks + 2)
    spans: list[Span] = []
    for start, end in sorted((shift.start.astimezone(UTC), shift.end.astimezone(UTC)) for shift in shifts):
        if spans and start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], max(end, spans[-1][1]))
        else:
            spans.append((start, end))
    return spans


def _weeks_on_shift(worked: Sequence[Span], begins: Sequence[datetime]) -> int:
    found = 0
    for week, begin in enumerate(begins):
        number = bisect_right(worked, begin, key=lambda span: span[0])
        if number and begin + LENGTH <= worked[number - 1][1]:
            found |= 1 << week
    return found
