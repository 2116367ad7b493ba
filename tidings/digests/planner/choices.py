"""The best of the candidate hours: one a week, two sessions a week, and one that moves from week to week; pure.

What is best: a single hour reaches the most members, added up over the weeks. Two sessions, and a rotation, are to be
fair: the fewest members are never reached, then the fewest in one week only, then in two, and so on. So whoever is
reached least often comes first, and somebody on leave does not hide how the others fare. A member on shift at both
sessions of a week is reached once. Between equals it is the hour that people are used to, then the handiest.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from heapq import nlargest
from itertools import combinations
from operator import add, mul, or_
from typing import Any

from tidings.digests.planner.reach import Reach
from tidings.digests.planner.slots import Slot

_Fairness = tuple[int, ...]
_Ways = dict[tuple[int, ...], tuple[Slot, ...]]
"""Sequences of slots, by how often each group is reached."""

# How many ways through the weeks are followed at once, and how many counts they hold in all.
_WAYS, _COUNTS = 1_000, 100_000
_FEWEST_WAYS = 20


@dataclass(frozen=True, kw_only=True)
class Choice:
    """A way to meet: the sessions of each week, and in how many weeks each group of the reach is reached.

    `exact` says that there is no better one; else not all were tried.
    """

    sessions: tuple[tuple[Slot, ...], ...]
    counts: tuple[int, ...]
    exact: bool = True


class Choices:
    """What can be chosen from one reach, which does not change."""

    def __init__(self, reach: Reach, candidates: Iterable[Slot], had: Slot | None = None) -> None:
        """`candidates` are of the reach's slots; `had` is the one that people are used to."""
        self._weeks = reach.weeks
        self._sizes = [len(group.emails) for group in reach.groups]
        self._columns = {
            slot: tuple(group.on_shift[number] for group in reach.groups) for number, slot in enumerate(reach.slots)
        }
        # Hours that reach the same members in the same weeks are one; the handiest stands for them.
        by_column: dict[tuple[int, ...], Slot] = {}
        for slot in sorted(candidates, key=lambda slot: (slot != had, slot.handiness)):
            by_column.setdefault(self._columns[slot], slot)
        self._apart = list(by_column.values())
        self.reachable = tuple(map(any, zip(*by_column, strict=True)))
        """Of each group, whether it is on shift at any of the candidates."""

    def every_week(self, *slots: Slot) -> Choice:
        """To meet at these slots of the reach, one or more, every week."""
        masks: Iterable[int] = self._columns[slots[0]]
        for slot in slots[1:]:
            masks = map(or_, masks, self._columns[slot])
        counts = tuple(map(int.bit_count, masks))
        return Choice(sessions=(tuple(sorted(slots)),) * self._weeks, counts=counts)

    def single(self) -> Choice | None:
        """The hour that reaches the most, of these the fairest; None where nobody is on shift at any."""
        return self._best(self._singles(), key=lambda choice: (self._reached(choice), self.fairness(choice)))

    def fairest(self) -> Choice | None:
        """The fairest hour, if it is to be the same every week; None as above."""
        return self._best(self._singles(), key=self.fairness)

    def pair(self) -> Choice | None:
        """The fairest two sessions a week; None where a second one brings nobody more."""
        pairs = (self.every_week(*both) for both in combinations(self._apart, 2))
        pair, alone = self._best(pairs, key=self.fairness), self.fairest()
        return pair if pair and alone and self.fairness(pair) > self.fairness(alone) else None

    def rotation(self) -> Choice | None:
        """The fairest sequence of hours, one a week; None where nobody is on shift at any."""
        if not any(self.reachable):
            return None
        # Where two ways reach everybody equally often, what follows is the same for both: one is followed.
        ways: _Ways = {(0,) * len(self._sizes): ()}
        exact = True
        for week in range(self._weeks):
            ways, all_kept = self._onwards(ways, week)
            exact = exact and all_kept
        counts, way = max(ways.items(), key=lambda one: self._evenness(one[0]))
        return Choice(sessions=tuple((slot,) for slot in way), counts=counts, exact=exact)

    def _onwards(self, ways: _Ways, week: int) -> tuple[_Ways, bool]:
        """The ways a week on, and whether they are all; else the most even of them."""
        steps = self._steps(week)
        longer: _Ways = {}
        for counts, way in ways.items():
            for reached, slot in steps:
                longer.setdefault(tuple(map(add, counts, reached)), (*way, slot))
        most = min(_WAYS, max(_FEWEST_WAYS, _COUNTS // len(self._sizes)))
        if len(longer) <= most:
            return longer, True
        return dict(nlargest(most, longer.items(), key=lambda one: self._evenness(one[0]))), False

    def fairness(self, choice: Choice) -> _Fairness:
        """What is the higher the fairer a choice is."""
        return self._evenness(choice.counts)

    def _evenness(self, counts: Iterable[int]) -> _Fairness:
        """How many members are never reached, reached in one week, in two and so on, as negative numbers."""
        members = [0] * (self._weeks + 1)
        for count, size in zip(counts, self._sizes, strict=True):
            members[count] -= size
        return tuple(members)

    def _reached(self, choice: Choice) -> int:
        return sum(map(mul, choice.counts, self._sizes))

    def _singles(self) -> Iterable[Choice]:
        return map(self.every_week, self._apart)

    def _best(self, choices: Iterable[Choice], key: Callable[[Choice], Any]) -> Choice | None:
        return max(choices, key=key, default=None) if any(self.reachable) else None

    def _steps(self, week: int) -> list[tuple[tuple[int, ...], Slot]]:
        """Whom (1) each hour of that week reaches and whom (0) not, but for hours that reach fewer of the same."""
        found: dict[int, Slot] = {}
        for slot in self._apart:
            reached = sum((mask >> week & 1) << number for number, mask in enumerate(self._columns[slot]))
            found.setdefault(reached, slot)
        best = [one for one in found if not any(one != other and one | other == other for other in found)]
        numbers = range(len(self._sizes))
        return [(tuple(one >> number & 1 for number in numbers), found[one]) for one in best]
