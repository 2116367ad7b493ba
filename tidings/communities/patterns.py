"""The rota patterns that plants and hospitals know by name: their shift times and each crew's cycle.

A cycle is one letter a day from the crew's start date, repeated; O is off. The crews of a pattern start on one date.
"""

from collections.abc import Mapping
from typing import NamedTuple

ShiftTimes = Mapping[str, tuple[str, str]]
"""By shift letter: when it starts and when it ends, HH:MM of the wall clock; one that ends at or before its start ends
the next day."""


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
