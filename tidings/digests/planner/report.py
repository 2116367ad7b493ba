"""A plan in words: a table and sentences for people, a document for programs. It computes nothing that is proposed.

A member-week is a member who is reached in a week.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from fractions import Fraction
from itertools import groupby
from typing import Any

from tidings.digests.planner import Plan
from tidings.digests.planner.choices import Choice
from tidings.digests.planner.slots import Slot

_WEEK = timedelta(days=7)
_NAMED = 8  # people or crews in a sentence


# --- for people -------------------------------------------------------------------------------------------------------


def table(plan: Plan) -> list[list[str]]:
    """A line for each stretch of hours that are alike, and first the headings: the hours and the crews."""
    crews = plan.reach.crews
    lines = [(slot, [_cell(plan, slot, crew, size) for crew, size in crews.items()]) for slot in plan.reach.slots]
    return [["hour", *crews], *([_span(alike), *alike[0][1]] for alike in _stretches(lines))]


_Line = tuple[Slot, list[str]]


def _cell(plan: Plan, slot: Slot, crew: str, size: int) -> str:
    on_shift = plan.reach.per_week(slot, crew)
    weeks = sum(map(bool, on_shift))
    return f"{max(on_shift)} of {size}, {weeks} of {plan.weeks} weeks" if weeks else "-"


def _stretches(lines: Sequence[_Line]) -> Iterator[list[_Line]]:
    """The lines of which each is an hour after the one before, and says the same, together."""

    def alike(numbered: tuple[int, _Line]) -> tuple[int, int, list[str]]:
        number, (slot, cells) = numbered
        return slot.weekday, slot.minutes - 60 * number, cells

    for _, group in groupby(enumerate(lines), key=alike):
        yield [line for _, line in group]


def _span(lines: Sequence[_Line]) -> str:
    first, last = lines[0][0], lines[-1][0]
    return f"{first}" if first == last else f"{first}-{last.time}"


def sentences(plan: Plan) -> Iterator[str]:
    """What was looked at, whom no hour reaches, and what is proposed."""
    if not plan.reach.groups:
        yield f"No member of {plan.community.title} is in a crew, so nobody knows who is on shift when."
        yield "Say who works when with `tidings rota add`, `tidings crew add` and `tidings member set`."
        return
    yield _looked_at(plan)
    if plan.crewless:
        yield f"In no crew, so that their hours are not known, and not counted: {_names(plan.crewless)}."
    if beyond := _beyond(plan):
        yield f"On shift at none of these hours: {beyond}."
    if plan.best is None:
        return
    if plan.current:
        yield f"The meeting as it is, {_sessions(plan.current)}, {_reaches(plan, plan.current)}."
    if plan.current and plan.current.sessions == plan.best.sessions:
        yield "No other hour reaches more."
    else:
        yield f"The hour that reaches the most, {_sessions(plan.best)}, {_reaches(plan, plan.best)}."
    yield _two(plan)
    yield from _rotation(plan)


def _looked_at(plan: Plan) -> str:
    count, last = sum(plan.reach.crews.values()), plan.first + plan.weeks * _WEEK - timedelta(days=1)
    again = "do not repeat" if plan.repeats is None else f"repeat after {_many(plan.repeats, 'week')}"
    people = f"{_many(count, 'member')} in {_many(len(plan.reach.crews), 'crew')}"
    when = f"{_many(plan.weeks, 'week')} from {plan.first} to {last}, {plan.community.zone}"
    return f"Looked at: {people}, {when}. Their shifts {again}."


def _two(plan: Plan) -> str:
    if plan.pair is None:
        return "A second session in the week reaches nobody more often."
    return f"The best two sessions a week, {_sessions(plan.pair)}, {_reaches(plan, plan.pair, 'reach')}."


def _rotation(plan: Plan) -> Iterator[str]:
    assert plan.rotation is not None
    found = "" if plan.rotation.exact else " (a better one is not ruled out)"
    yield f"A fair rotation{found} {_reaches(plan, plan.rotation)}:"
    for week, (slot,) in enumerate(plan.rotation.sessions):
        yield f"  week of {plan.first + week * _WEEK}: {slot}"
    if not plan.rotation_pays:
        yield "It is no fairer than one fixed hour can be."


def _reaches(plan: Plan, choice: Choice, verb: str = "reaches") -> str:
    """Whom a choice reaches, and how often; those whom no hour reaches are told of before."""
    can = [count for count, can in zip(choice.counts, plan.reachable, strict=True) if can]
    members = round(_reached(plan, choice) / plan.weeks, 1)
    often = f"{min(can)} of" if min(can) == max(can) else f"{min(can)} to {max(can)} of"
    said = f"{verb} {members:g} of {sum(plan.reach.crews.values())} members in an average week, "
    said += f"each in {often} {_many(plan.weeks, 'week')}"
    average = _averages(plan, choice)
    least = _least(average)
    return said if len(least) == len(average) else f"{said}, least often {_names(least)}"


def _sessions(choice: Choice) -> str:
    return " and ".join(map(str, choice.sessions[0]))


def _beyond(plan: Plan) -> str:
    """Who is on shift at none of the hours: whole crews by name, others by address."""
    out = [group for group, can in zip(plan.reach.groups, plan.reachable, strict=True) if not can]
    crews = [one.crew for one in out if len(one.emails) == plan.reach.crews[one.crew]]
    return _names([*crews, *(email for one in out if one.crew not in crews for email in one.emails)])


def _names(names: Sequence[str]) -> str:
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"


# --- what both are made of --------------------------------------------------------------------------------------------


def _reached(plan: Plan, choice: Choice) -> int:
    """Member-weeks."""
    return sum(count * len(group.emails) for count, group in zip(choice.counts, plan.reach.groups, strict=True))


def _averages(plan: Plan, choice: Choice) -> dict[str, Fraction]:
    """In how many weeks a member of each crew is reached on average, but for crews that no hour reaches."""
    weeks: dict[str, int] = {}
    for count, group, can in zip(choice.counts, plan.reach.groups, plan.reachable, strict=True):
        if can:
            weeks[group.crew] = weeks.get(group.crew, 0) + count * len(group.emails)
    return {crew: Fraction(reached, plan.reach.crews[crew]) for crew, reached in weeks.items()}


def _least(averages: Mapping[str, Fraction]) -> list[str]:
    return [crew for crew, average in averages.items() if average == min(averages.values())]


# --- for programs -----------------------------------------------------------------------------------------------------


def document(plan: Plan) -> dict[str, Any]:
    """The plan as JSON has it; docs/commands.md says what each key holds."""
    return {
        "community": plan.community.name,
        "zone": plan.community.zone,
        "first": plan.first,
        "weeks": plan.weeks,
        "repeats": plan.repeats,
        "crews": plan.reach.crews,
        "crewless": plan.crewless,
        "slots": [_slot(plan, slot) for slot in plan.reach.slots],
        "current": _choice(plan, plan.current),
        "best": _choice(plan, plan.best),
        "pair": _choice(plan, plan.pair),
        "rotation": _choice(plan, plan.rotation),
        "rotation_pays": plan.rotation_pays,
    }


def _slot(plan: Plan, slot: Slot) -> dict[str, Any]:
    on_shift = {crew: plan.reach.per_week(slot, crew) for crew in plan.reach.crews}
    return {"slot": str(slot), "reached": sum(map(sum, on_shift.values())), "on_shift": on_shift}


def _choice(plan: Plan, choice: Choice | None) -> dict[str, Any] | None:
    if choice is None:
        return None
    members = {
        email: count for count, group in zip(choice.counts, plan.reach.groups, strict=True) for email in group.emails
    }
    return {
        "sessions": [[str(slot) for slot in week] for week in choice.sessions],
        "reached": _reached(plan, choice),
        "members": members,
        "least_crews": _least(_averages(plan, choice)),
        "never": [email for email, count in members.items() if not count],
        "exact": choice.exact,
    }
