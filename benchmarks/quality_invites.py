"""Whether calendar objects in mail are read right: `python -m benchmarks.quality_invites CORPUS` names the misses.

What is expected is the icalendar library's reading, as the corpus README says; ours shares no code with it. The figures
are printed by benchmarks.quality.
"""

import json
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.report import Figure
from tidings.mailer.imip import CalendarAnswer, read
from tidings.mailer.tolerant import read_message

_AS_MAIL = b"Content-Type: text/calendar; charset=utf-8\nContent-Transfer-Encoding: 8bit\n\n"
_SAID = {"ACCEPTED": "yes", "DECLINED": "no", "TENTATIVE": "maybe", "DELEGATED": "delegated"}
_FIRST_OF_SEVERAL = re.compile(r"\[vText\(b'([^']*)'")
_MOST = 10  # events that are read of one mail


@dataclass(frozen=True, kw_only=True)
class Event:
    """What the library read of one event."""

    method: str
    uid: str
    sequence: int
    people: tuple[tuple[str, str], ...]
    """The address of each attendee in lower case, and the answer."""

    def is_that_of(self, answer: CalendarAnswer) -> bool:
        """Whether this is the event of an answer of ours."""
        return (self.method, self.uid, self.sequence) == (answer.method, answer.uid, answer.sequence)

    def has_guest_of(self, answer: CalendarAnswer) -> bool:
        """Whether the guest of an answer is one of this event's, and said so; none is right only among several."""
        if not answer.attendee:
            return len(self.people) != 1
        return (answer.attendee.lower(), answer.answer) in self.people


@dataclass(frozen=True, kw_only=True)
class Case:
    """A file of the corpus: what was read, or the name of what was raised, and what is expected."""

    name: str
    found: list[CalendarAnswer]
    expected: list[Event]
    error: str
    seconds: float

    @property
    def alike(self) -> list[bool]:
        """For each expected event whether it was read with its method, uid and sequence."""
        return [any(map(event.is_that_of, self.found)) for event in self.expected]

    @property
    def guests_alike(self) -> list[bool]:
        """For each event that was, whether the guest is right."""
        pairs = ((event, [one for one in self.found if event.is_that_of(one)]) for event in self.expected)
        return [any(map(event.has_guest_of, ours)) for event, ours in pairs if ours]


def cases(corpus: Path) -> Iterator[Case]:
    """Every file of the corpus."""
    folder = corpus / "invites"
    for name, known in sorted(json.loads((folder / "expected.json").read_text()).items()):
        raw = (folder / name).read_bytes()
        message = read_message(raw if name.endswith(".eml") else _AS_MAIL + raw)
        found, error, began = [], "", time.perf_counter()
        try:
            found = read(message)
        except Exception as problem:
            error = type(problem).__name__
        seconds = time.perf_counter() - began
        yield Case(name=name, found=found, expected=_events(known)[:_MOST], error=error, seconds=seconds)


def _events(known: dict[str, Any]) -> list[Event]:
    """The events of a file in their order, each once."""
    parts = known.get("calendar_parts", [{"ics": known.get("ics", []), "method_param": None}])
    found: dict[Event, None] = {}
    for part in parts:
        calendars = part["ics"] if isinstance(part["ics"], list) else []  # where the library refuses it: an error
        for calendar in calendars:
            method = (calendar["method"] or part["method_param"] or "").upper()
            for one in calendar["components"]:
                if one["type"] == "VEVENT":
                    found[_event(method, one)] = None
    return list(found)


def _event(method: str, one: dict[str, Any]) -> Event:
    uid = one.get("uid") or ""
    several = _FIRST_OF_SEVERAL.match(uid)
    people = ((who["address"].lower(), _SAID.get(who["partstat"] or "", "")) for who in one.get("attendees", []))
    return Event(
        method=method,
        uid=several[1] if several else uid,
        sequence=one.get("sequence") or 0,
        people=tuple(people),
    )


def figures(corpus: Path) -> Iterator[Figure]:
    """How many are read, how many alike, and how long the slowest takes."""
    if not (corpus / "invites").is_dir():
        return
    every = list(cases(corpus))
    failed = sum(bool(case.error) for case in every)
    yield Figure(of="invites", what="files that raise", value=f"{failed} of {len(every)}", wanted="0", ok=failed == 0)
    yield _share(
        "events read with the same method, uid and sequence", [one for case in every for one in case.alike], 0.98
    )
    guests = [one for case in every for one in case.guests_alike]
    yield _share("of these with the same guest and answer", guests, 0.98)
    slowest = max(case.seconds for case in every)
    yield Figure(of="invites", what="the slowest file", value=f"{slowest * 1000:.0f} ms")


def _share(what: str, right: list[bool], wanted: float) -> Figure:
    share = sum(right) / max(len(right), 1)
    value = f"{sum(right)} of {len(right)}, {share:.1%}"
    return Figure(of="invites", what=what, value=value, wanted=f"at least {wanted:.0%}", ok=share >= wanted)


def main(corpus: str) -> None:
    """Print the files that are not read alike, and what is read where the library reads nothing."""
    for case in cases(Path(corpus)):
        if case.error or not all(case.alike) or not all(case.guests_alike):
            print(f"{case.name}: {case.error or 'read otherwise'}")
        elif len(case.found) > len(case.expected):
            print(f"{case.name}: {len(case.found)} events, {len(case.expected)} expected")


if __name__ == "__main__":
    main(sys.argv[1])
