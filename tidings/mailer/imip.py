"""Reads what calendar programs answer by mail (iMIP, RFC 6047): who says yes or no to which event.

It is lenient with what programs write, looks at one message and expands no recurrence. Who may answer, and whether a
reply is older than another, is not its matter. It is run in the worker process (worker.py), and raises nothing.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import Message
from urllib.parse import unquote

import msgspec

from tidings.mailer.charsets import clean, decode, readable
from tidings.mailer.own_tokens import without_tokens
from tidings.mailer.part_fields import content_type, field_value, filename, parameter
from tidings.mailer.tolerant import decoded_bytes

_BYTES_MOST = 1_000_000  # of one calendar part, decoded
_PARTS_MOST = 1_000
_ANSWERS_MOST = 10
_PEOPLE_MOST = 1_000  # attendees of one event that are looked at
_LINE_MOST = 8_192  # characters of one content line
_UID_MOST = 1_000
_ADDRESS_MOST = 320  # octets: RFC 5321 4.5.3.1
_NAME_MOST = 200
_COMMENT_MOST = 2_000
_DELEGATES_MOST = 10
_TYPES = frozenset(["text/calendar", "application/ics", "text/x-vcalendar", "application/calendar", "text/ics"])
_ENDINGS = (".ics", ".vcs")
_WIDE = ("utf-16", "utf-32", "utf16", "utf32", "ucs-2")
_BOMS = (b"\xff\xfe", b"\xfe\xff")
_ANSWERS = {
    "ACCEPTED": "yes",
    "CONFIRMED": "yes",  # vCalendar 1.0, as STATUS
    "DECLINED": "no",
    "TENTATIVE": "maybe",
    "DELEGATED": "delegated",
}
_BY_GUESTS = frozenset(["REPLY", "COUNTER", "REFRESH"])  # RFC 5546 1.4
_KEPT = frozenset(["UID", "SEQUENCE", "ATTENDEE", "COMMENT", "DTSTAMP", "LAST-MODIFIED", "RECURRENCE-ID"])
_NAME = re.compile(r"[ \t]?([A-Za-z-]{1,40})(?=[;:])")
_QUOTED = re.compile(r'"[^"]*"')
_LISTED = re.compile(r'"([^"]*)"|([^",]+)')
_METHOD = re.compile(r"[A-Z-]{1,40}")
_NUMBER = re.compile(r"\d{1,9}")
_MOMENT = re.compile(r"(\d{8})T(\d{6})Z?", re.IGNORECASE)
_ESCAPE = re.compile(r"\\(.)")
_CARET = re.compile(r"\^([n'^])")  # RFC 6868
_ANGLES = re.compile(r"([^<>]{0,200})<([^<>]{1,400})>")
_ADDRESS = re.compile(r"""[^\s<>"',;:()]{1,64}@[^\s<>"',;:()]{1,255}""")
_FIELD_MOST = 4_096
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


class CalendarAnswer(msgspec.Struct, frozen=True):
    """One event of a calendar object in a mail, and what it says of one guest."""

    method: str
    """REPLY, REQUEST, COUNTER, CANCEL, PUBLISH, ... in capitals, as inside the object; the MIME parameter where there
    is none inside; else empty."""
    uid: str
    sequence: int
    attendee: str
    """The address as it was written, without mailto:. Of an answer it is the guest who answers: who sent the mail,
    where several are named. Empty where nobody is, or it cannot be told who."""
    name: str
    answer: str
    """yes, no, maybe, delegated; empty: no answer yet, or one that is unknown."""
    delegated_to: list[str]
    delegated_from: list[str]
    sent_by: str
    """Who answers in the guest's name (SENT-BY, RFC 5545 3.2.18)."""
    comment: str
    stamp: int | None
    """When the answer was made, in microseconds UTC."""
    recurrence_id: str
    """Which event of a series, as it stands there without its zone."""


@dataclass(frozen=True, kw_only=True)
class _Person:
    address: str = ""
    name: str = ""
    answer: str = ""
    delegated_to: Sequence[str] = ()
    delegated_from: Sequence[str] = ()
    sent_by: str = ""
    comment: str = ""


@dataclass(kw_only=True)
class _Calendar:
    method: str = ""
    events: list[dict[str, list[str]]] = field(default_factory=list)


def read(message: Message) -> list[CalendarAnswer]:
    """The events in the calendar parts of a message, at most 10; one that stands there twice counts once.

    A mail inside the mail is not looked into: what it answers was answered by another. What cannot be read is left out.
    """
    found: dict[tuple[str, str, int, str, str], CalendarAnswer] = {}
    parts = list(_calendar_parts(message))
    senders = _senders(message) if parts else frozenset()
    for part in parts:
        for one in _answers(part, senders):
            found.setdefault((one.method, one.uid, one.sequence, one.attendee, one.recurrence_id), one)
            if len(found) == _ANSWERS_MOST:
                return list(found.values())
    return list(found.values())


def _calendar_parts(message: Message) -> Iterator[Message]:
    waiting = [message]
    for _ in range(_PARTS_MOST):
        if not waiting:
            return
        part = waiting.pop()
        kind = content_type(part)
        if kind.startswith("message/"):
            continue
        if part.is_multipart():
            inner = part.get_payload()
            waiting += reversed([one for one in inner if isinstance(one, Message)] if isinstance(inner, list) else [])
        elif kind in _TYPES or (not kind.startswith("multipart/") and filename(part).lower().endswith(_ENDINGS)):
            yield part


def _senders(message: Message) -> frozenset[str]:
    """The addresses that the mail may be from, in lower case."""
    values = (readable(field_value(message, name)) for name in ("from", "sender", "reply-to"))
    return frozenset(found.lower() for value in values for found in _ADDRESS.findall(value))


def _answers(part: Message, senders: Collection[str]) -> Iterator[CalendarAnswer]:
    data = decoded_bytes(part)
    if len(data) > _BYTES_MOST:
        return
    outside = _method(parameter(part, "method"))
    for calendar in _calendars(_text(data, parameter(part, "charset"))):
        for event in calendar.events:
            yield _answer(event, calendar.method or outside, senders)


def _text(data: bytes, charset: str) -> str:
    """The object as text, one content line on each line; empty lines between them are dropped.

    Lines are unfolded while they are bytes: many programs fold in the middle of a character (RFC 5545 3.1).
    """
    if data.startswith(_BOMS) or charset.lower().startswith(_WIDE):
        data, charset = decode(data, "utf-16" if data.startswith(_BOMS) else charset).encode("utf-8", "replace"), ""
    data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    data = re.sub(rb"\n{2,}", b"\n", data).replace(b"\n ", b"").replace(b"\n\t", b"")
    return clean(decode(data, charset))


def _calendars(text: str) -> Iterator[_Calendar]:
    """The calendars in a text with those events that are whole; of these only the lines that matter."""
    calendar = _Calendar()
    event: dict[str, list[str]] | None = None
    inner = 0  # how many components deep inside the event, or beside it
    for line in text.split("\n"):
        start = _NAME.match(line)
        if start is None or len(line) > _LINE_MOST:
            continue
        name, what = start[1].upper(), line[start.end() + 1 :].strip().upper()
        if name == "BEGIN":
            if what == "VCALENDAR":
                yield calendar
                calendar, event, inner = _Calendar(), None, 0
            elif what == "VEVENT":
                event, inner = {}, 0
            else:
                inner += 1
        elif name == "END":
            if what != "VEVENT":
                inner = max(inner - 1, 0)
            elif event is not None and len(calendar.events) < _ANSWERS_MOST:
                calendar.events.append(event)
            event = None if what in ("VEVENT", "VCALENDAR") else event
        elif inner:
            continue
        elif event is None:
            if name == "METHOD":
                calendar.method = calendar.method or _method(what)
        elif name in _KEPT and len(event.setdefault(name, [])) < _PEOPLE_MOST:
            event[name].append(line[start.end() :])
    yield calendar


def _method(text: str) -> str:
    found = _METHOD.fullmatch(text.strip().upper())
    return found[0] if found else ""


def _answer(event: dict[str, list[str]], method: str, senders: Collection[str]) -> CalendarAnswer:
    people = [_person(line) for line in event.get("ATTENDEE", [])]
    person = _who(people, senders, answers=method in _BY_GUESTS) or _Person()
    comments = [_unescaped(_split(line)[1]).strip() for line in event.get("COMMENT", [])[:_ANSWERS_MOST]]
    number = _NUMBER.match(_first(event, "SEQUENCE"))
    return CalendarAnswer(
        method=method,
        uid=_unescaped(_first(event, "UID"))[:_UID_MOST],
        sequence=int(number[0]) if number else 0,
        attendee=person.address,
        name=person.name,
        answer=person.answer,
        delegated_to=list(person.delegated_to),
        delegated_from=list(person.delegated_from),
        sent_by=person.sent_by,
        comment=without_tokens("\n".join(dict.fromkeys(filter(None, comments))) or person.comment)[:_COMMENT_MOST],
        stamp=_moment(event.get("DTSTAMP", [])) or _moment(event.get("LAST-MODIFIED", [])),
        recurrence_id=_first(event, "RECURRENCE-ID")[:64],
    )


def _who(people: Sequence[_Person], senders: Collection[str], *, answers: bool) -> _Person | None:
    """The guest whom it is about. Some programs name all guests in a reply, and of a delegation both are named."""
    of_sender = [one for one in people if one.address.lower() in senders]
    of_sender = of_sender or [one for one in people if one.sent_by.lower() in senders]
    if of_sender:
        return of_sender[0]
    said = [one for one in people if one.answer not in ("", "delegated")] or [one for one in people if one.answer]
    for choice in (people, said if answers else ()):
        if len(choice) == 1:
            return choice[0]
    return None


def _person(line: str) -> _Person:
    written, value = _split(line, address=True)
    address = _address(value)
    if "@" not in address and "@" in written.get("EMAIL", ""):  # RFC 7986 6.2
        address = _address(written["EMAIL"].strip('"'))
    name = _parameter(written.get("CN", ""))
    if not name and (angles := _ANGLES.search(value)):  # vCalendar 1.0
        name = angles[1].strip(' "')
    # vCalendar 1.0 has STATUS for it, with spaces.
    said = _parameter(written.get("PARTSTAT") or written.get("STATUS", "")).upper()
    return _Person(
        address=address,
        name=name.rstrip("\\")[:_NAME_MOST],
        answer=_ANSWERS.get(said, ""),
        delegated_to=_addresses(written.get("DELEGATED-TO", "")),
        delegated_from=_addresses(written.get("DELEGATED-FROM", "")),
        sent_by=next(iter(_addresses(written.get("SENT-BY", ""))), ""),
        comment=_unescaped(_parameter(written.get("X-RESPONSE-COMMENT", ""))).strip(),  # Google
    )


def _split(line: str, *, address: bool = False) -> tuple[dict[str, str], str]:
    """The parameters of a content line behind its name, as they stand there, and its value; `address`: a mail address.

    A colon in a parameter should be inside quotes (RFC 5545 3.2). Where it is not, an address still shows where it is.
    """
    masked = _QUOTED.sub(lambda found: "_" * len(found[0]), line)
    at = masked.lower().rfind(":mailto:") if address else -1
    if at < 0:
        at = masked.find(":")
    parameters: dict[str, str] = {}
    begin = 0
    for piece in masked[:at].split(";"):
        name, _, value = line[begin : begin + len(piece)].partition("=")
        parameters.setdefault(name.strip().upper(), value.strip())
        begin += len(piece) + 1
    return parameters, line[at + 1 :].strip()


def _first(event: dict[str, list[str]], name: str) -> str:
    return _split(event[name][0])[1] if event.get(name) else ""


def _parameter(value: str) -> str:
    """The text of a parameter that has one value; some programs escape a comma in it."""
    bare = value.strip().strip('"').replace("\\,", ",")
    return " ".join(_CARET.sub(lambda found: {"n": "\n", "'": '"', "^": "^"}[found[1]], bare).split())


def _addresses(value: str) -> list[str]:
    found = (_address(quoted or bare) for quoted, bare in _LISTED.findall(value))
    return [one for one in found if one][:_DELEGATES_MOST]


def _address(value: str) -> str:
    """A calendar address without mailto:, its percent-encoded letters decoded where they are not ASCII (RFC 6068 2)."""
    angles = _ANGLES.search(value)
    bare = (angles[2] if angles else value).strip(" \"'<>")
    while bare[:7].lower() == "mailto:":
        bare = bare[7:].strip()
    if re.search(r"%[89A-Fa-f][0-9A-Fa-f]", bare):
        decoded = unquote(bare, errors="replace")
        bare = decoded if "\ufffd" not in decoded and decoded.isprintable() else bare
    return bare if len(bare) <= _ADDRESS_MOST else ""


def _unescaped(text: str) -> str:
    """A TEXT value (RFC 5545 3.3.11)."""
    return _ESCAPE.sub(lambda found: "\n" if found[1] in "nN" else found[1], text)


def _moment(lines: Sequence[str]) -> int | None:
    """A date with time in UTC (RFC 5545 3.3.5), in microseconds; None where that cannot be told."""
    written, value = _split(lines[0]) if lines else ({}, "")
    found = _MOMENT.fullmatch(re.sub(r"[-:]", "", value[:40]))
    if found is None or written.get("TZID", "UTC").strip('"').upper() not in ("UTC", "GMT", "ETC/UTC"):
        return None
    try:
        moment = datetime.strptime(found[1] + found[2], "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return None
    return (moment - _EPOCH) // timedelta(microseconds=1)
