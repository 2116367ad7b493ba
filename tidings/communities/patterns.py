"""Rota patterns: those that plants and hospitals know by name, and those that are typed, read and checked.

It stores nothing (rota does). A cycle is one letter a day from the crew's start date, repeated; O is off. The crews of
a known pattern start on one date.
"""

import re
from collections.abc import Mapping
from typing import NamedTuple

from tidings.communities.entries import line, parse_wall_time
from tidings.communities.roster import OFF, ShiftTimes
from tidings.errors import UsageError

_CYCLE_LENGTH = 400  # more than a year of days
_CYCLES = 100  # of one rota
_NAME_LENGTH = 64


class KnownPattern(NamedTuple):
    """A pattern with the shift times it usually has; `cycles` is by crew letter."""

    shifts: ShiftTimes
    cycles: Mapping[str, str]


_TWELVE_HOURS = {"D": ("07:00", "19:00"), "N": ("19:00", "07:00")}

KNOWN_PATTERNS: Mapping[str, KnownPattern] = {
    # Four nights, three off, three days, one off, three nights, three off, four days, seven off.
    "dupont": KnownPattern(
        shifts=_TWELVE_HOURS,
        cycles={
            "A": "NNNNOOODDDONNNOOODDDDOOOOOOO",
            "B": "DDDONNNOOODDDDOOOOOOONNNNOOO",
            "C": "OOODDDDOOOOOOONNNNOOODDDONNN",
            "D": "OOOOOOONNNNOOODDDONNNOOODDDD",
        },
    ),
    # Two on, two off, three on, and every second weekend free; crews A and B always on days, C and D always on nights.
    "pitman-fixed": KnownPattern(
        shifts=_TWELVE_HOURS,
        cycles={
            "A": "DDOODDDOODDOOODDOODDDOODDOOO",
            "B": "OODDOOODDOODDDOODDOOODDOODDD",
            "C": "NNOONNNOONNOOONNOONNNOONNOOO",
            "D": "OONNOOONNOONNNOONNOOONNOONNN",
        },
    ),
    # As Pitman, but two weeks of days and then two of nights.
    "panama-slow": KnownPattern(
        shifts=_TWELVE_HOURS,
        cycles={
            "A": "DDOODDDOODDOOONNOONNNOONNOOO",
            "B": "OODDOOODDOODDDOONNOOONNOONNN",
            "C": "NNOONNNOONNOOODDOODDDOODDOOO",
            "D": "OONNOOONNOONNNOODDOOODDOODDD",
        },
    ),
    # Eight hours: two or three of each shift in turn.
    "continental": KnownPattern(
        shifts={"M": ("06:00", "14:00"), "A": ("14:00", "22:00"), "N": ("22:00", "06:00")},
        cycles={
            "A": "MMAANNNOOMMAAANNOOMMMAANNOOO",
            "B": "OOMMAAANNOOMMMAANNOOOMMAANNN",
            "C": "NNOOMMMAANNOOOMMAANNNOOMMAAA",
            "D": "AANNOOOMMAANNNOOMMAAANNOOMMM",
        },
    ),
    "four-on-four-off": KnownPattern(
        shifts=_TWELVE_HOURS,
        cycles={
            "A": "DDDDOOOONNNNOOOO",
            "B": "OOOONNNNOOOODDDD",
            "C": "NNNNOOOODDDDOOOO",
            "D": "OOOODDDDOOOONNNN",
        },
    ),
}

_ALSO = {
    "du-pont": "dupont",
    "pitman": "pitman-fixed",
    "2-2-3": "pitman-fixed",
    "panama": "panama-slow",
    "4-on-4-off": "four-on-four-off",
    "4on4off": "four-on-four-off",
    "4x4": "four-on-four-off",
}


def known_pattern(name: str) -> KnownPattern | None:
    """The pattern that people call so, in any case, with spaces or hyphens; None where there is none."""
    plain = re.sub(r"[\s_-]+", "-", name.strip().lower())
    return KNOWN_PATTERNS.get(_ALSO.get(plain, plain))


def parse(pattern: str, shifts: str) -> tuple[ShiftTimes, Mapping[str, str]]:
    """The shift times, and the cycles by name, that were typed.

    `pattern` is a cycle such as `DDNNOOOO` (it is then the one called `main`), several with their names
    (`early=MMMMMOO,late=AAAAAOO`), or the name of a known pattern (cycles A, B, C, D); `shifts` is
    `D=07:00-19:00,N=19:00-07:00`, and may be empty for a known one. Raises UsageError.
    """
    known = known_pattern(pattern)
    if known:
        times, cycles = (parse_shifts(shifts) if shifts.strip() else known.shifts), known.cycles
    else:
        cycles = parse_cycles(pattern)
        times = parse_shifts(shifts)
    for cycle in cycles.values():
        check_cycle(cycle, times)
    return times, cycles


def parse_cycles(text: str) -> Mapping[str, str]:
    """Cycles by name, from `early=MMMMMOO,late=AAAAAOO`, or the one `main` from `DDNNOOOO`. Raises UsageError."""
    cycles: dict[str, str] = {}
    for part in text.split(","):
        name, named, cycle = part.rpartition("=")
        name, cycle = line(name, "pattern's name", _NAME_LENGTH) if named else "main", cycle.strip()
        if not re.fullmatch(r"[A-Z]+", cycle):
            raise UsageError(
                f"{part.strip()!r} is no pattern; write a letter a day such as DDNNOOOO (O is off), several as "
                f"early=MMMMMOO,late=AAAAAOO, or one of {', '.join(KNOWN_PATTERNS)}."
            )
        if name in cycles:
            raise UsageError(f"The pattern {name!r} stands twice; give each a name of its own: A=DDOO,B=OODD.")
        cycles[name] = cycle
    if len(cycles) > _CYCLES:
        raise UsageError(f"There are more than {_CYCLES} patterns.")
    return cycles


def check_cycle(cycle: str, times: ShiftTimes) -> None:
    """Raises UsageError where a cycle cannot be walked with these times."""
    missing = sorted(set(cycle) - set(times) - {OFF})
    if missing:
        raise UsageError(
            f"The pattern has {missing[0]}, which has no times; add {missing[0]}=07:00-19:00 to the shifts."
        )
    if set(cycle) == {OFF}:
        raise UsageError(f"The pattern {cycle!r} has no day of work (O is off); write a letter a day such as DDNNOOOO.")
    if len(cycle) > _CYCLE_LENGTH:
        raise UsageError(f"The pattern is longer than {_CYCLE_LENGTH} days; write the part that repeats.")


def parse_shifts(text: str) -> dict[str, tuple[str, str]]:
    """Shift times by letter, from `D=07:00-19:00,N=19:00-07:00`. Raises UsageError."""
    times: dict[str, tuple[str, str]] = {}
    for part in text.split(","):
        found = re.fullmatch(r"([A-Z])=([0-9:]+)-([0-9:]+)", part.strip())
        if not found:
            raise UsageError(f"{part.strip()!r} is no shift; write shifts like D=07:00-19:00,N=19:00-07:00.")
        letter, starts, ends = found.groups()
        if letter == OFF or letter in times:
            why = "means off" if letter == OFF else "stands twice"
            raise UsageError(f"{letter} {why} in the shifts {text!r}; take another letter.")
        times[letter] = (parse_wall_time(starts), parse_wall_time(ends))
    return times
