"""The candidate hours of a weekly meeting: read from what people type, and the moments at which each begins; pure.

Who is on shift then is reach's to say, and which hour is best is choices'.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta

from tidings.clock import zone
from tidings.communities.entries import choice, parse_wall_time
from tidings.digests import schedule
from tidings.errors import UsageError

LENGTH = timedelta(hours=1)
"""A meeting is an hour long."""

DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
BY_DEFAULT = "Mon-Sun 06:00-21:00"

_MOST = 168  # every hour of a week
_WEEK = timedelta(days=7)
_SATURDAY = 5
_HOUR, _NOON, _DAY = 60, 720, 1440  # minutes


@dataclass(frozen=True, kw_only=True, order=True)
class Slot:
    """An hour of the week at which a meeting might begin: a weekday (0 is Monday) and a time of day, HH:MM."""

    weekday: int
    time: str

    def __str__(self) -> str:
        return f"{DAYS[self.weekday]} {self.time}"

    @property
    def minutes(self) -> int:
        """From the beginning of the week on, by the clock."""
        return self.weekday * _DAY + _minutes(self.time)

    @property
    def handiness(self) -> tuple[bool, int, int]:
        """The lower, the rather people meet then if all else is equal: no weekend, near noon, early in the week."""
        return self.weekday >= _SATURDAY, abs(_minutes(self.time) - _NOON), self.weekday


def parse(texts: Iterable[str]) -> list[Slot]:
    """The slots, in the order of the week, that were typed as `Mon-Fri 08:00-17:00`, `Tue,Thu 14:00` or `Sun 9:30`.

    From the first time of day to the last there is one each hour. Raises UsageError.
    """
    found = sorted({slot for text in texts for slot in _parse(text)})
    if len(found) > _MOST:
        raise UsageError(f"There are {len(found)} hours to choose from; give at most {_MOST}.")
    return found


def _parse(text: str) -> Iterator[Slot]:
    days, _, times = text.strip().partition(" ")
    if not times:
        raise UsageError(f"{text!r} is no day and hour; write 'Tue 14:00', 'Tue,Thu 14:00' or 'Mon-Fri 08:00-17:00'.")
    first, _, last = times.partition("-")
    begins = _minutes(parse_wall_time(first))
    ends = _minutes(parse_wall_time(last)) if last else begins
    if ends < begins:
        raise UsageError(f"{times!r} ends before it begins; give two: 22:00-23:00 and, of the next day, 00:00-05:00.")
    for weekday in _weekdays(days):
        for minutes in range(begins, ends + 1, _HOUR):
            yield Slot(weekday=weekday, time=f"{minutes // _HOUR:02}:{minutes % _HOUR:02}")


def _weekdays(text: str) -> Iterator[int]:
    for part in text.split(","):
        first, _, last = part.partition("-")
        begins = _weekday(first)
        count = (_weekday(last) - begins) % 7 if last else 0  # Fri-Mon goes over the end of the week
        yield from ((begins + number) % 7 for number in range(count + 1))


def _weekday(text: str) -> int:
    return DAYS.index(choice(text.strip().title()[:3], DAYS, "weekday"))


def _minutes(wall: str) -> int:
    moment = time.fromisoformat(wall)
    return moment.hour * _HOUR + moment.minute


def begins(slots: Sequence[Slot], zone_name: str, first: date, weeks: int) -> list[list[datetime]]:
    """Of each slot the moments (UTC) at which it begins in the `weeks` weeks from the Monday `first` on."""
    mondays = [datetime.combine(first + number * _WEEK, time(), zone(zone_name)) for number in range(weeks)]
    return [[schedule.next_at(slot.weekday, slot.time, zone_name, monday) for monday in mondays] for slot in slots]
