"""A plan as a picture: a week of hours for the whole community and for each crew, the darker the more are reached.

The numbers stand in the cells, so that no colour has to be told from another. It is SVG, readable on light and dark.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined, Template

from tidings.digests.planner import Plan
from tidings.digests.planner.choices import Choice
from tidings.digests.planner.slots import DAYS, Slot

# In the units of the picture, which are pixels unless it is scaled.
_CELL_WIDTH, _CELL_HEIGHT = 46, 20
_TIMES_WIDTH, _HEAD_HEIGHT = 48, 52
_MARGIN = 16
_TOP, _BELOW = 64, 40
_ABREAST = 3
_NARROWEST = 640


@dataclass(frozen=True, kw_only=True)
class Cell:
    """An hour in a panel: what stands in it, what it says when it is pointed at, and from 0 to 1 how dark it is."""

    x: int
    y: int
    label: str
    title: str
    shade: float
    marked: bool = False


@dataclass(frozen=True, kw_only=True)
class Panel:
    """A week of hours; `days` are places from the left, `times` from the top."""

    x: int
    y: int
    title: str
    days: Sequence[tuple[int, str]]
    times: Sequence[tuple[int, str]]
    cells: Sequence[Cell]


def svg(plan: Plan) -> str:
    """The picture as a document of its own."""
    layout = _Layout(plan)
    panels = list(layout.panels())
    abreast = min(_ABREAST, len(panels))
    rows = -(-len(panels) // _ABREAST)
    return _template().render(
        plan=plan,
        panels=panels,
        width=max(_NARROWEST, _MARGIN + abreast * layout.panel_width),
        height=_TOP + rows * layout.panel_height + _BELOW,
        cell_width=_CELL_WIDTH,
        cell_height=_CELL_HEIGHT,
        marks=[(letter, name) for letter, name, choice in _choices(plan) if choice],
    )


class _Layout:
    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self._days = sorted({slot.weekday for slot in plan.reach.slots})
        self._times = sorted({slot.time for slot in plan.reach.slots})
        self.panel_width = _TIMES_WIDTH + len(self._days) * _CELL_WIDTH + _MARGIN
        self.panel_height = _HEAD_HEIGHT + len(self._times) * _CELL_HEIGHT + _MARGIN

    def panels(self) -> Iterator[Panel]:
        """That of all, then one for each crew."""
        crews, weeks = self._plan.reach.crews, self._plan.weeks
        yield self._panel(
            0, "All: members on shift in an average week", [self._of_all(s) for s in self._plan.reach.slots]
        )
        for number, (crew, size) in enumerate(crews.items(), 1):
            title = f"{crew} ({size}): weeks on shift, of {weeks}"
            yield self._panel(number, title, [self._of_crew(slot, crew, size) for slot in self._plan.reach.slots])

    def _panel(self, number: int, title: str, cells: Sequence[Cell]) -> Panel:
        return Panel(
            x=_MARGIN + number % _ABREAST * self.panel_width,
            y=_TOP + number // _ABREAST * self.panel_height,
            title=title,
            days=[(_TIMES_WIDTH + place * _CELL_WIDTH, DAYS[day]) for place, day in enumerate(self._days)],
            times=[(_HEAD_HEIGHT + place * _CELL_HEIGHT, time) for place, time in enumerate(self._times)],
            cells=cells,
        )

    def _of_all(self, slot: Slot) -> Cell:
        reach = self._plan.reach
        reached = sum(sum(reach.per_week(slot, crew)) for crew in reach.crews)
        members = sum(reach.crews.values())
        average = f"{round(reached / reach.weeks, 1):g}"
        marks = "".join(letter for letter, _, choice in _choices(self._plan) if choice and _has(choice, slot))
        title = f"{slot}: {average} of {members} members in an average week"
        return self._cell(slot, f"{average} {marks}".strip(), title, reached / max(1, members * reach.weeks), bool(marks))

    def _of_crew(self, slot: Slot, crew: str, size: int) -> Cell:
        on_shift = self._plan.reach.per_week(slot, crew)
        weeks = sum(map(bool, on_shift))
        title = f"{slot}: {crew}, {max(on_shift)} of {size} members, {weeks} of {len(on_shift)} weeks"
        return self._cell(slot, str(weeks or "-"), title, sum(on_shift) / (size * len(on_shift)))

    def _cell(self, slot: Slot, label: str, title: str, shade: float, marked: bool = False) -> Cell:
        return Cell(
            x=_TIMES_WIDTH + self._days.index(slot.weekday) * _CELL_WIDTH,
            y=_HEAD_HEIGHT + self._times.index(slot.time) * _CELL_HEIGHT,
            label=label,
            title=title,
            shade=round(shade, 2),
            marked=marked,
        )


def _choices(plan: Plan) -> Iterator[tuple[str, str, Choice | None]]:
    yield "n", "the meeting now", plan.current
    yield "b", "best hour", plan.best
    yield "p", "best two sessions", plan.pair
    yield "r", "in the rotation", plan.rotation


def _has(choice: Choice, slot: Slot) -> bool:
    return any(slot in week for week in choice.sessions)


@cache
def _template() -> Template:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    return environment.get_template("heatmap.svg")
