"""Series and agendas as commands print them: lines and tables for people, documents for programs; pure.

Times are those of the series' zone.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from tidings.archive.sentences import clean, shorten
from tidings.clock import zone
from tidings.digests.meetings import rhythm
from tidings.digests.meetings.agenda import Agenda, Input, Item, Note
from tidings.digests.meetings.diary import Meeting, Sitting
from tidings.digests.meetings.roles import ROLES, Role
from tidings.digests.meetings.series import Series, Session
from tidings.digests.meetings.turnout import Turnout

_TEXT = 100  # characters of what somebody wrote, in a line
_ANSWERS = ("yes", "maybe", "no", "delegated")

Crews = Mapping[int, str]
"""The names of crews, by id."""


@dataclass(frozen=True, kw_only=True)
class Willing:
    """Who would have a role, and how often they had it within a year."""

    role: Role
    name: str
    load: int


# --- series ----------------------------------------------------------------------------------------------------------


def series_line(series: Series, crews: Crews) -> str:
    """A series in a line: what it is called, when it is and where."""
    sessions = ", ".join(_session(one, crews) for one in series.sessions)
    when = f"{rhythm.shown(series.rhythm)} from {series.first_day:%a %Y-%m-%d}, {sessions} ({series.zone})"
    minutes = "+".join(str(block.minutes) for block in series.blocks)
    what = f"{series.format} of {minutes} minutes, input until {series.notice} hours before"
    ended = [f"ended {_wall(series, series.ended_at)}"] if series.ended_at else []
    return "; ".join([f"{series.name}: {series.title}, {when}", what, *filter(None, [series.place]), *ended])


def _session(session: Session, crews: Crews) -> str:
    day = f"+{session.day} " if session.day else ""
    named = ",".join(_crews(session, crews))
    return f"{day}{session.starts}" + (f" for {named}" if named else "")


def _crews(session: Session, crews: Crews) -> list[str]:
    return [crews[one] for one in session.crew_ids if one in crews]


def series_document(series: Series, meetings: Iterable[Meeting], crews: Crews, now: datetime) -> dict[str, Any]:
    """A series and some of its meetings."""
    kept = ("name", "title", "rhythm", "first_day", "zone", "format", "place", "notice", "ended_at")
    return {
        **{name: getattr(series, name) for name in kept},
        "blocks": [{"minutes": block.minutes, "title": block.title} for block in series.blocks],
        "sessions": [
            {"day": one.day, "starts": one.starts, "place": one.place, "crews": _crews(one, crews)}
            for one in series.sessions
        ],
        "meetings": [meeting_document(one, crews, now) for one in meetings],
    }


MEETING_HEADINGS = ("series", "day", "session", "begins", "ends", "place", "state")


def meeting_cells(meeting: Meeting, now: datetime) -> Iterator[list[str]]:
    """A line of a table for each session of a meeting."""
    for number, one in enumerate(meeting.sittings, 1):
        begins, ends = _wall(meeting.series, one.starts_at), _wall(meeting.series, one.ends_at)[-5:]
        name = meeting.series.name
        yield [name, f"{meeting.day}", f"{number}", begins, ends, one.place, state(meeting, now, one)]


def state(meeting: Meeting, now: datetime, sitting: Sitting | None = None) -> str:
    """How far a meeting, or a session of it, is: planned, moved, begun, over, closed or cancelled."""
    starts, ends = (sitting or meeting).starts_at, (sitting or meeting).ends_at
    if meeting.cancelled_at is not None:
        return "cancelled"
    if starts <= now:
        return "begun" if now < ends else "over" if meeting.closed_at is None else "closed"
    return "moved" if any(one.sequence for one in ([sitting] if sitting else meeting.sittings)) else "planned"


def meeting_document(meeting: Meeting, crews: Crews, now: datetime) -> dict[str, Any]:
    """A meeting without its agenda."""
    local = zone(meeting.series.zone)
    return {
        "day": meeting.day,
        "number": meeting.number,
        "state": state(meeting, now),
        "input_until": meeting.input_until.astimezone(local),
        "sessions": [
            {
                "number": number,
                "starts_at": one.starts_at.astimezone(local),
                "ends_at": one.ends_at.astimezone(local),
                "place": one.place,
                "crews": _crews(one.session, crews),
                "state": state(meeting, now, one),
            }
            for number, one in enumerate(meeting.sittings, 1)
        ],
    }


# --- an agenda, for people -------------------------------------------------------------------------------------------

ITEM_HEADINGS = ("#", "minutes", "topic", "proposed by", "led by", "seconds", "carried", "input", "state")


def item_cells(agenda: Agenda) -> Iterator[list[str]]:
    """The blocks of an agenda, with their items below them; items are numbered through."""
    empty = [""] * (len(ITEM_HEADINGS) - 3)
    for place, block in enumerate(agenda.meeting.series.blocks):
        yield ["", f"{block.minutes}", block.title, *empty]
        for number, item in enumerate(agenda.items, 1):
            if item.block == place:
                yield _item(number, item)


def _item(number: int, item: Item) -> list[str]:
    topic = item.topic
    counts = [str(count) if count else "" for count in (len(topic.seconds), topic.carried, len(item.inputs))]
    told = topic.state if topic.state != "open" else "" if item.fits else "no time"
    title = f"  {clean(topic.title)}" if topic.kind == "topic" else f"  {topic.kind}: {clean(topic.title)}"
    return [f"{number}", f"  {topic.takes}", title, item.proposer, item.leader, *counts, told]


def sentences(agenda: Agenda, willing: Sequence[Willing], turnout: Sequence[Turnout]) -> Iterator[str]:
    """What else is known of a meeting: who does what, who comes, what was written, and what came of it."""
    has = {one.role: one for one in agenda.duties}
    for role in ROLES:
        duty = has.get(role)
        others = [f"{one.name} ({_times(one.load)})" for one in willing if one.role == role]
        who = f"{duty.name} ({_times(duty.load)} within a year)" if duty else "nobody yet"
        yield f"{role}: {who}; willing: {', '.join(others) or 'nobody'}"
    for number, one in enumerate(turnout, 1):
        yield f"session {number}: {_comes(one)}"
    titles = {note.card_id: number for number, item in enumerate(agenda.items, 1) for note in item.notes}
    sittings = {one.id: number for number, one in enumerate(agenda.meeting.sittings, 1)}
    for note in agenda.results:
        yield f"minutes of session {sittings[note.sitting_id]}{_about(titles.get(note.card_id))}: {_note(note)}"
    numbered = list(enumerate(agenda.items, 1))
    for what, found in (
        ("input", [(number, one) for number, item in numbered for one in item.inputs]),
        ("input", [(None, one) for one in agenda.inputs]),
        ("added", [(number, one) for number, item in numbered for one in item.late]),
        ("added", [(None, one) for one in agenda.late]),
    ):
        for place, one_input in found:
            yield f"{what}{_about(place)}: {one_input.author}: {shorten(clean(one_input.text), _TEXT)}"


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count} times"


def _about(number: int | None) -> str:
    return "" if number is None else f" #{number}"


def _comes(turnout: Turnout) -> str:
    """How many said what, by crew: `2 yes (1 of A, 1 of no crew), 1 no (1 guest)`."""
    told = []
    for answer in _ANSWERS:
        found = [one for one in turnout.people if one.answer == answer]
        if found:
            crews = [one.crew or "no crew" for one in found if not one.guest]
            parts = [f"{crews.count(crew)} of {crew}" for crew in sorted(set(crews))]
            guests = len(found) - len(crews)
            parts += [f"{guests} guest{'s' if guests > 1 else ''}"] if guests else []
            told.append(f"{len(found)} {answer} ({', '.join(parts)})")
    return ", ".join(told) or "nobody has answered yet"


def _note(note: Note) -> str:
    more = [f"@{note.owner}" if note.owner else "", f"by {note.due_on}" if note.due_on else "", "done" * note.done]
    return " ".join(filter(None, [f"{note.kind}: {shorten(clean(note.text), _TEXT)}", *more]))


# --- an agenda, for programs -----------------------------------------------------------------------------------------


def document(
    agenda: Agenda, willing: Sequence[Willing], turnout: Sequence[Turnout], crews: Crews, now: datetime
) -> dict[str, Any]:
    """All that is known of a meeting; items are numbered as in the table."""
    meeting = agenda.meeting
    return {
        "series": meeting.series.name,
        "title": meeting.series.title,
        "zone": meeting.series.zone,
        **meeting_document(meeting, crews, now),
        "blocks": [{"minutes": block.minutes, "title": block.title} for block in meeting.series.blocks],
        "items": [item_document(agenda, number, item) for number, item in enumerate(agenda.items, 1)],
        "roles": [{"role": one.role, "name": one.name, "load": one.load} for one in agenda.duties],
        "willing": [asdict(one) for one in willing],
        "coming": [
            {"session": number, "name": one.name, "crew": one.crew, "guest": one.guest, "answer": one.answer}
            for number, of in enumerate(turnout, 1)
            for one in of.people
        ],
        "results": [_note_document(agenda, note) for note in agenda.notes],
        "inputs": [_input_document(one) for one in agenda.inputs],
        "added": [_input_document(one) for one in agenda.late],
    }


def item_document(agenda: Agenda, number: int, item: Item) -> dict[str, Any]:
    """An item of an agenda; `number` is its place in the table."""
    topic = item.topic
    return {
        "number": number,
        "title": topic.title,
        "kind": topic.kind,
        "state": topic.state,
        "block": item.block + 1,
        "fits": item.fits,
        "minutes": topic.takes,
        "proposed_by": item.proposer,
        "led_by": item.leader,
        "seconds": len(topic.seconds),
        "carried": topic.carried,
        "text": topic.text,
        "message_id": topic.message_id,
        "inputs": [_input_document(one) for one in item.inputs],
        "added": [_input_document(one) for one in item.late],
        "results": [_note_document(agenda, note) for note in item.notes],
    }


def _input_document(one: Input) -> dict[str, Any]:
    return {"author": one.author, "date": one.date, "text": one.text, "message_id": one.message_id}


def _note_document(agenda: Agenda, note: Note) -> dict[str, Any]:
    sittings = [one.id for one in agenda.meeting.sittings]
    kept = ("kind", "text", "owner", "due_on", "done")
    return {**{name: getattr(note, name) for name in kept}, "session": sittings.index(note.sitting_id) + 1}


def _wall(series: Series, moment: datetime) -> str:
    return f"{moment.astimezone(zone(series.zone)):%a %Y-%m-%d %H:%M}"
