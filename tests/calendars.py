"""Two readers of iCalendar that know nothing of each other: the icalendar library, and vobject."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import vobject
from icalendar import Calendar


@dataclass(frozen=True, kw_only=True)
class Seen:
    """An event as a reader saw it; times in UTC, "" for what is not there."""

    method: str
    uid: str
    sequence: int
    title: str
    description: str
    place: str
    url: str
    start: datetime
    end: datetime
    status: str
    organizer: tuple[str, str]  # name and address
    guests: tuple[tuple[str, str, str], ...]  # name, address, PARTSTAT


def by_icalendar(raw: bytes) -> list[Seen]:
    """The events of an object, by the library that also writes ours."""
    calendar = Calendar.from_ical(raw)
    assert not calendar.errors
    return [_of_icalendar(str(calendar["METHOD"]), event) for event in calendar.walk("VEVENT")]


def _of_icalendar(method: str, event: Any) -> Seen:
    assert not event.errors
    guests = event.get("ATTENDEE", [])
    return Seen(
        method=method,
        uid=str(event["UID"]),
        sequence=int(event["SEQUENCE"]),
        title=str(event["SUMMARY"]),
        description=str(event.get("DESCRIPTION", "")),
        place=str(event.get("LOCATION", "")),
        url=str(event.get("URL", "")),
        start=event["DTSTART"].dt.astimezone(UTC),
        end=event["DTEND"].dt.astimezone(UTC),
        status=str(event["STATUS"]),
        organizer=(event["ORGANIZER"].params.get("CN", ""), str(event["ORGANIZER"])),
        guests=tuple(
            (one.params.get("CN", ""), str(one), one.params["PARTSTAT"])
            for one in (guests if isinstance(guests, list) else [guests])
        ),
    )


def by_vobject(raw: bytes) -> list[Seen]:
    """The events of an object, by a library with a parser of its own."""
    # It keeps what it read of a zone first, and takes that for all that are called so.
    known = vars(vobject.icalendar)["__tzidMap"]
    for name in known.keys() - {"UTC"}:
        del known[name]
    calendar = vobject.readOne(raw.decode())
    return [_of_vobject(calendar.method.value, event) for event in calendar.contents.get("vevent", [])]


def _of_vobject(method: str, event: Any) -> Seen:
    def text(name: str) -> str:
        return event.contents[name][0].value if name in event.contents else ""

    def name(line: Any) -> str:
        return line.params.get("CN", [""])[0].replace("^^", "^")  # it does not know RFC 6868

    return Seen(
        method=method,
        uid=text("uid"),
        sequence=int(text("sequence")),
        title=text("summary"),
        description=text("description"),
        place=text("location"),
        url=text("url"),
        start=event.dtstart.value.astimezone(UTC),
        end=event.dtend.value.astimezone(UTC),
        status=text("status"),
        organizer=(name(event.organizer), event.organizer.value),
        guests=tuple((name(one), one.value, one.params["PARTSTAT"][0]) for one in event.contents.get("attendee", [])),
    )


READERS: dict[str, Callable[[bytes], list[Seen]]] = {"icalendar": by_icalendar, "vobject": by_vobject}
