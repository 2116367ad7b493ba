"""Who works when, pure: shifts of a repeating cycle or of a calendar, and the days on which another one is worked.

It reads no clock and no database (rosters does), and does not say when a person sleeps or is mailed (digests.schedule
does).
"""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Protocol
from zoneinfo import ZoneInfo

from tidings.clock import zone as zone_named

ShiftTimes = Mapping[str, tuple[str, str]]
"""By shift letter: when it starts and when it ends, HH:MM of the wall clock; one that ends at or before its start ends
the next day."""

OFF = "O"
AS_EVER = "x"
"""In a change: the day is worked as it would be without the change."""

LONGEST = timedelta(days=7)
"""No shift of a calendar is longer: a week on call is the longest that rotas have."""

_DAY = timedelta(days=1)
_SEARCH = 1100  # days; three years, so that parental leave is looked past


@dataclass(frozen=True, kw_only=True)
class Shift:
    """One span of work, [start, end), in the rota's zone; `letter` is the title where it came from a calendar."""

    start: datetime
    end: datetime
    letter: str

    @property
    def length(self) -> timedelta:
        """The time that passes, which on the night of a clock change is not what the wall clock says."""
        return self.end.astimezone(UTC) - self.start.astimezone(UTC)


@dataclass(frozen=True, kw_only=True)
class Change:
    """Days on which something else is worked: holidays, leave, swaps, the days off of a part-timer.

    `days` is a letter a day from `first_day` on, repeated until `last_day` (None: for good): that of a shift, O for
    off or x for as ever. `only` names the shifts that it takes away or replaces; empty: all of them.
    """

    first_day: date
    last_day: date | None
    days: str
    only: str = ""

    def on(self, day: date, letter: str) -> str:
        """The letter that is worked on `day` in place of `letter`."""
        if day < self.first_day or (self.last_day is not None and day > self.last_day):
            return letter
        if self.only and letter not in set(self.only):
            return letter
        mark = self.days[(day - self.first_day).days % len(self.days)]
        return letter if mark == AS_EVER else mark


Span = tuple[datetime, datetime, str]
"""A shift of a calendar: its start and end (both UTC) and its title."""


class Walk(Protocol):
    """What is worked on each local date, before any change."""

    @property
    def reach(self) -> timedelta:
        """No shift is longer."""
        ...

    @property
    def first_day(self) -> date:
        """Nothing is worked before it."""
        ...

    @property
    def repeats(self) -> int | None:
        """After how many days it is the same again; None: never."""
        ...

    def letters(self, day: date) -> Sequence[str]:
        """What begins on that date."""
        ...

    def spans(self, day: date, letter: str) -> Iterable[tuple[datetime, datetime]]:
        """The start and end (UTC) of what is called so and begins on that date; nothing where it has no such shift."""
        ...


class Cycle:
    """A letter a day from a date on, repeated."""

    reach = _DAY

    def __init__(self, *, zone: ZoneInfo, shifts: ShiftTimes, cycle: str, start_date: date) -> None:
        self.zone = zone
        self.times = {letter: (_clock(starts), _clock(ends)) for letter, (starts, ends) in shifts.items()}
        self.cycle = cycle
        self.first_day = start_date
        self.repeats = (cycle * 2).find(cycle, 1)  # a pattern may be written down more than once

    def letters(self, day: date) -> Sequence[str]:
        """The letter of that date; off before the first day."""
        since_start = (day - self.first_day).days
        return OFF if since_start < 0 else self.cycle[since_start % len(self.cycle)]

    def spans(self, day: date, letter: str) -> Iterator[tuple[datetime, datetime]]:
        """The span of the shift; none where the clock's gap swallows it, or the rota has no such shift."""
        if letter in self.times:
            starts, ends = self.times[letter]
            yield self._instant(day, starts), self._instant(day if ends > starts else day + _DAY, ends)

    def _instant(self, day: date, clock: time) -> datetime:
        """In UTC: a time that the clock shows twice is the first of the two, one that it skips is an hour later."""
        return datetime.combine(day, clock, self.zone).astimezone(UTC)


class Calendar:
    """Shifts that were read from a calendar, each as it stands there."""

    reach = LONGEST
    repeats = None

    def __init__(self, *, spans: Sequence[Span], times: Cycle) -> None:
        """`times` says in which zone, from which day on, and when a shift is that a change names by its letter."""
        self._by_day: dict[date, list[Span]] = {}
        for span in sorted(spans):
            self._by_day.setdefault(span[0].astimezone(times.zone).date(), []).append(span)
        self._times = times
        self.first_day = times.first_day

    def letters(self, day: date) -> Sequence[str]:
        """The titles of what begins on that date, each once; off where nothing does."""
        return list(dict.fromkeys(title for _, _, title in self._by_day.get(day, ()))) or OFF

    def spans(self, day: date, letter: str) -> Iterable[tuple[datetime, datetime]]:
        """The spans of that title; where there is none, that of the rota's shift of this letter."""
        found = [(start, end) for start, end, title in self._by_day.get(day, ()) if title == letter]
        return found or self._times.spans(day, letter)


class Roster:
    """A crew's or a person's walk through time, with their changes. It does not change."""

    def __init__(
        self,
        *,
        zone: str,
        shifts: ShiftTimes,
        cycle: str,
        start_date: date,
        calendar: Sequence[Span] | None = None,
        changes: Iterable[Change] = (),
    ) -> None:
        """`zone` is an IANA name, `cycle` a letter a day of which the first is worked on `start_date`; O is off.

        A `calendar` is worked in place of the cycle. Of `changes` a later one is laid over an earlier one.
        """
        self.zone = zone_named(zone)
        times = Cycle(zone=self.zone, shifts=shifts, cycle=cycle, start_date=start_date)
        self.walk: Walk = times if calendar is None else Calendar(spans=calendar, times=times)
        self.changes = tuple(changes)

    @property
    def repeats(self) -> int | None:
        """After how many days the shifts are the same again, but for changes that end; None: never."""
        lasting = [len(change.days) for change in self.changes if change.last_day is None]
        return None if self.walk.repeats is None else math.lcm(self.walk.repeats, *lasting)

    def shifts(self, first_day: date, days: int) -> list[Shift]:
        """The shifts that begin on the `days` local dates from `first_day`, in their order."""
        return list(self._shifts(first_day, days))

    def next_start(self, after: datetime) -> Shift | None:
        """The first shift that starts after that moment (aware); None where none does within three years."""
        # From the day before, since a gap in the clock can push a start past midnight.
        first_day = max(self._local_date(after) - _DAY, self.walk.first_day)
        moment = after.astimezone(UTC)  # two times of one zone would be compared by the wall clock
        return next((shift for shift in self._shifts(first_day, _SEARCH) if shift.start > moment), None)

    def at(self, moment: datetime) -> Shift | None:
        """The shift on duty at that moment (aware); where two overlap, the one that began last."""
        instant = moment.astimezone(UTC)
        back = self.walk.reach.days
        near = self.shifts(self._local_date(moment) - back * _DAY, back + 1)
        return next((shift for shift in reversed(near) if shift.start <= instant < shift.end), None)

    def letter(self, day: date, letter: str) -> str:
        """What is worked on `day` in place of `letter`, by the changes."""
        for change in self.changes:
            changed = change.on(day, letter)
            # Who came from another crew may have swapped for a shift that this rota has not: it says nothing here.
            if changed == OFF or any(self.walk.spans(day, changed)):
                letter = changed
        return letter

    def _local_date(self, moment: datetime) -> date:
        return moment.astimezone(self.zone).date()

    def _shifts(self, first_day: date, days: int) -> Iterator[Shift]:
        for day in _dates(max(first_day, self.walk.first_day), first_day, days):
            worked = dict.fromkeys(self.letter(day, letter) for letter in self.walk.letters(day))
            worked.pop(OFF, None)
            spans = [(start, end, letter) for letter in worked for start, end in self.walk.spans(day, letter)]
            for start, end, letter in sorted(spans):
                if start < end:  # else the clock's gap has swallowed it
                    yield Shift(start=start.astimezone(self.zone), end=end.astimezone(self.zone), letter=letter)


def _dates(first: date, asked: date, days: int) -> Iterator[date]:
    """The dates from `first` on that are among the `days` from `asked`; none lies past the end of time."""
    numbers = range(first.toordinal(), min(asked.toordinal() + days, date.max.toordinal()))
    return map(date.fromordinal, numbers)


def _clock(text: str) -> time:
    return time.fromisoformat(text)
