"""Writes iCalendar objects (RFC 5545): an invitation to one guest (RFC 5546), and a feed of a community's meetings.

What people wrote is escaped, cut and folded, so that no text of theirs becomes a property. Whom to invite and when is
not its matter, nor the mail around it (compose.alternative); the same arguments give the same bytes.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import lru_cache
from itertools import islice
from typing import Literal
from urllib.parse import quote
from zoneinfo import ZoneInfo

from icalendar import Calendar, Component, Timezone, vCalAddress, vDuration, vText
from icalendar import Event as Entry
from icalendar.parser import Contentline

EVENTS = 500
"""No more events are written into one feed."""

_PRODUCT = "-//Tidings//Tidings meetings//EN"
_REFRESH = timedelta(hours=6)  # how often a program should fetch a feed
_LINE_MOST = 250  # characters of a title, a place, and the name of a feed
_NAME_MOST = 100
_TEXT_MOST = 4_000
_UID_MOST = 250
_URL_MOST = 2_000
_URL = re.compile(r"https?://[!-~]+")
# What may stand in a mailto: address as it is. RFC 6068 2 would have `&`, `=` and `;` encoded too; programs answer to
# what is written here, and few of them decode it.
_ADDRESS_SAFE = "!$&'*+-=_~.@"
# Controls, line ends of all kinds, and lone surrogates.
_CONTROL = re.compile(r"[\0-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_CONTROL_BUT_LF = re.compile(r"[\0-\x09\x0b-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")
_FOLD_AT = 75  # octets: RFC 5545 3.1
_PARTSTAT = {"": "NEEDS-ACTION", "yes": "ACCEPTED", "no": "DECLINED", "maybe": "TENTATIVE"}
_DAY = timedelta(days=1)
_UTC_NAMES = frozenset({"UTC", "Etc/UTC", "Etc/UCT", "Etc/Universal", "Etc/Zulu", "UCT", "Universal", "Zulu"})


@dataclass(frozen=True, kw_only=True)
class Guest:
    """Who is invited, and what they have answered so far; "" is not yet."""

    name: str
    email: str
    answer: Literal["", "yes", "no", "maybe"] = ""


@dataclass(frozen=True, kw_only=True)
class Event:
    """A meeting as calendars see it."""

    uid: str
    """The same for as long as it is the same meeting, wherever it is moved to."""
    sequence: int
    """0 at first, one more for each change that guests have to know of (RFC 5545 3.8.7.4)."""
    stamp: datetime
    """When it was last changed, in UTC."""
    start: datetime
    """In UTC, as the end."""
    end: datetime
    zone: str
    """The IANA zone whose wall clock it keeps."""
    title: str
    description: str
    place: str
    url: str
    """A page on it; empty where there is none."""
    cancelled: bool = False
    tentative: bool = False
    """Whether it is not sure yet, for whoever's calendar it is in (RFC 5545 3.8.1.11)."""


class _Text(vText):
    """A text, escaped to the letter of RFC 5545 3.3.11: the library makes a line end of a `\\N` that somebody wrote."""

    def to_ical(self) -> bytes:
        escaped = self.replace("\\", r"\\").replace(";", r"\;").replace(",", r"\,")
        return escaped.replace("\n", r"\n").encode()


def invitation(event: Event, *, organizer: tuple[str, str], guest: Guest) -> bytes:
    """An event for one guest: METHOD is REQUEST, or CANCEL where it is cancelled (RFC 5546 3.2.2, 3.2.5).

    `organizer` is a name and the address that answers go to. Raises KeyError or ValueError for a zone that is unknown.
    """
    guests = _bytes([_attendee(guest, asked=not event.cancelled)])
    before, end, behind = _without_guests(event, organizer).rpartition(b"END:VEVENT\r\n")
    return before + guests + end + behind


@lru_cache(maxsize=16)  # a meeting is told to many at a time
def _without_guests(event: Event, organizer: tuple[str, str]) -> bytes:
    calendar = _calendar("CANCEL" if event.cancelled else "REQUEST", [event])
    calendar.add_component(_entry(event, organizer))
    return _bytes(calendar.content_lines())


def feed(name: str, events: Iterable[Event], *, organizer: tuple[str, str]) -> bytes:
    """A calendar called `name` of the first `EVENTS` events, without guests (RFC 5546 3.2.1; RFC 7986 5.1, 5.7).

    `organizer` and what it raises are as for `invitation`.
    """
    kept = list(islice(events, EVENTS))
    calendar = _calendar("PUBLISH", kept)
    title = _Text(_line(name, _LINE_MOST))
    calendar.add("name", title, encode=False)
    calendar.add("x-wr-calname", title, encode=False)
    calendar.add("refresh-interval", vDuration(_REFRESH, params={"VALUE": "DURATION"}), encode=False)
    calendar.add("x-published-ttl", vDuration(_REFRESH), encode=False)
    for event in kept:
        calendar.add_component(_entry(event, organizer))
    return _bytes(calendar.content_lines())


def _calendar(method: str, events: Sequence[Event]) -> Component:
    """A calendar without its events, with the clock changes of their zones (RFC 5545 3.6.5)."""
    calendar = Calendar()
    for name, value in (("prodid", _PRODUCT), ("version", "2.0"), ("calscale", "GREGORIAN"), ("method", method)):
        calendar.add(name, value)
    days: dict[str, set[date]] = {}
    for event in events:
        found = days.setdefault(event.zone, set())
        if not _in_utc(event):
            found |= {moment.astimezone(ZoneInfo(event.zone)).date() for moment in (event.start, event.end)}
    for zone, when in days.items():
        if when:
            calendar.add_component(_zone(zone, min(when) - _DAY, max(when) + _DAY))
    return calendar


@lru_cache(maxsize=64)
def _zone(name: str, first: date, last: date) -> Component:
    """The clock changes of a zone between two days."""
    zone = Timezone.from_tzid(name, first_date=first, last_date=last)
    zone.pop("COMMENT", None)  # which days it is good for, in English
    return zone


def _in_utc(event: Event) -> bool:
    """Whether its times are written in UTC.

    Of an hour that the clocks go through twice, a local time means the first (RFC 5545 3.3.5), so no local time can say
    the second.
    """
    if event.zone in _UTC_NAMES:
        return True
    zone = ZoneInfo(event.zone)
    return any(moment.astimezone(zone).fold for moment in (event.start, event.end))


def _entry(event: Event, organizer: tuple[str, str]) -> Component:
    """The event without guests."""
    entry = Entry()
    entry.add("uid", _Text(_line(event.uid, _UID_MOST)), encode=False)
    entry.add("sequence", event.sequence)
    entry.add("dtstamp", event.stamp)
    entry.add("last-modified", event.stamp)
    for name, moment in (("dtstart", event.start), ("dtend", event.end)):
        entry.add(name, moment if _in_utc(event) else moment.astimezone(ZoneInfo(event.zone)))
    entry.add("summary", _Text(_line(event.title, _LINE_MOST)), encode=False)
    for name, text in (("description", _lines(event.description)), ("location", _line(event.place, _LINE_MOST))):
        if text:
            entry.add(name, _Text(text), encode=False)
    if len(event.url) <= _URL_MOST and _URL.fullmatch(event.url):
        entry.add("url", event.url)
    entry.add("status", "CANCELLED" if event.cancelled else "TENTATIVE" if event.tentative else "CONFIRMED")
    entry.add("transp", "OPAQUE")
    entry.add("organizer", _address(*organizer), encode=False)
    return entry


def _attendee(guest: Guest, *, asked: bool) -> str:
    address = _address(guest.name, guest.email)
    address.params.update({"CUTYPE": "INDIVIDUAL", "ROLE": "REQ-PARTICIPANT", "PARTSTAT": _PARTSTAT[guest.answer]})
    if asked:
        address.params["RSVP"] = "TRUE"
    return str(Contentline.from_parts("ATTENDEE", address.params, address))


def _address(name: str, email: str) -> vCalAddress:
    """A calendar address (RFC 5545 3.3.3): the letters of a mail address that are not ASCII percent-encoded."""
    address = vCalAddress("mailto:" + quote(email, safe=_ADDRESS_SAFE, errors="replace"))
    # RFC 6868 has a way to write a quotation mark, which many programs show as it stands. Some take a backslash before
    # the quotation mark that ends a name for an escape, which RFC 5545 has not there.
    if shown := _line(name, _NAME_MOST).replace('"', "'").replace("\\", "/"):
        address.params["CN"] = shown
    return address


def _line(text: str, most: int) -> str:
    """What somebody wrote, on one line, cut to so many characters."""
    return _cut(_CONTROL.sub(" ", text[: 10 * most]).strip(), most)


def _lines(text: str) -> str:
    """What somebody wrote on several lines, these ended by a line feed."""
    shown = text[: 2 * _TEXT_MOST].replace("\r\n", "\n").replace("\r", "\n")
    return _cut(_CONTROL_BUT_LF.sub(" ", shown).strip(), _TEXT_MOST)


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1].rstrip() + "…"


def _bytes(lines: Iterable[str]) -> bytes:
    """Content lines as they are sent. The library folds letter by letter, which takes seconds for a large feed."""
    return b"".join(_folded(line.encode()) for line in lines if line)


def _folded(line: bytes) -> bytes:
    pieces, start, most = [], 0, _FOLD_AT
    while len(line) - start > most:
        end = start + most
        # Neither in a character, nor in an escape: there are programs that unescape before they unfold.
        while line[end] & 0xC0 == 0x80:
            end -= 1
        end -= (end - start - len(line[start:end].rstrip(b"\\"))) % 2
        pieces.append(line[start:end])
        start, most = end, _FOLD_AT - 1
    return b"\r\n ".join([*pieces, line[start:]]) + b"\r\n"
