"""A plan as a picture: a week of hours for the whole community and for each crew, the stronger the more are reached.

The numbers stand in the cells, with a stroke for each week in which somebody is on shift, so that no colour has to be
told from another. It is SVG, readable on light and dark.
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
_CELL_WIDTH, _CELL_HEIGHT = 56, 24
_TIMES_WIDTH, _HEAD_HEIGHT = 48, 52
_MARGIN = 16
_TOP, _BELOW = 64, 60
_ABREAST = 3
_NARROWEST = 640


@dataclass(frozen=True, kw_only=True)
class Cell:
    """An hour in a panel: what stands in it, what it says when it is pointed at, and from 0 to 1 how strong it is.

    `marks` are letters of what is proposed, `strokes` the path of the strokes at its foot.
    """

    x: int
    y: int
    label: str
    title: str
    shade: float
    marks: str = ""
    strokes: str = ""


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
        reached, members = sum(sum(reach.per_week(slot, crew)) for crew in reach.crews), sum(reach.crews.values())
        average = f"{reached / reach.weeks:.3g}"
        return Cell(
            x=self._x(slot),
            y=self._y(slot),
            label=average,
            title=f"{slot}: {average} of {members} members in an average week",
            shade=_share(reached, members * reach.weeks),
            marks="".join(letter for letter, _, choice in _choices(self._plan) if choice and _has(choice, slot)),
        )

    def _of_crew(self, slot: Slot, crew: str, size: int) -> Cell:
        on_shift = self._plan.reach.per_week(slot, crew)
        weeks = [number for number, members in enumerate(on_shift) if members]
        named = f"{max(on_shift)} of {size} members, weeks {', '.join(str(week + 1) for week in weeks)}"
        return Cell(
            x=self._x(slot),
            y=self._y(slot),
            label=str(len(weeks) or "-"),
            title=f"{slot}, {crew}: {named if weeks else 'nobody'}",
            shade=_share(sum(on_shift), size * len(on_shift)),
            strokes=_strokes(weeks, len(on_shift)),
        )

    def _x(self, slot: Slot) -> int:
        return _TIMES_WIDTH + self._days.index(slot.weekday) * _CELL_WIDTH

    def _y(self, slot: Slot) -> int:
        return _HEAD_HEIGHT + self._times.index(slot.time) * _CELL_HEIGHT


def _share(part: int, whole: int) -> float:
    return round(part / whole, 2) if whole else 0


def _strokes(weeks: Sequence[int], of: int) -> str:
    """The path of a stroke for each of the weeks, side by side at the foot of a cell."""
    step = _CELL_WIDTH / of
    return "".join(f"M{week * step + step / 8:.1f} {_CELL_HEIGHT - 4}h{step * 3 / 4:.1f}" for week in weeks)


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
