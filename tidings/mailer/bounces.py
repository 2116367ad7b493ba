"""Reads a bounce: whom a message did not reach, whether for good, and whether that says anything about the person.

A report as RFC 3464 has it is read first, then what the mail system wrote for people (bounce_texts.py), and at last
flufl.bounce is asked. What a refusal means is bounce_reasons.py's matter. It knows no members and no return paths, and
counts nothing.
"""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.message import Message

from flufl.bounce import all_failures

from tidings.mailer import html_text
from tidings.mailer.bounce_reasons import Said, judge
from tidings.mailer.bounce_texts import Named, Notice, addresses, named, said_of
from tidings.mailer.charsets import clean, decode, decode_header_text, readable
from tidings.mailer.parsed import Reading, Returned
from tidings.mailer.tolerant import read_message

# What a bounce says stands before the message that it returns, so little of it needs to be read.
_MOST = 256 * 1024  # bytes of the message, and characters of its texts
_PARTS_MOST = 50
_RECIPIENTS_MOST = 1_000
_FIELD_MOST = 4_096
_REASON_MOST = 300


@dataclass(frozen=True, kw_only=True)
class _Entry:
    """The fields of one recipient in a report (RFC 3464 2.3)."""

    address: str
    action: str = ""
    status: str = ""
    diagnostic: str = ""


@dataclass(kw_only=True)
class _Parts:
    """What stands in the parts of a message, up to the message that it returns."""

    plain: list[str] = field(default_factory=list)
    html: list[str] = field(default_factory=list)
    statuses: list[str] = field(default_factory=list)
    returned: str = ""
    other_report: bool = False


def read_bounce(raw: bytes) -> Reading:
    """Read a raw message, whoever sent it; never raises for what is in it. Of large ones the first 256 KB count."""
    data = raw[:_MOST].replace(b"\r\n", b"\n").replace(b"\r", b"\n").lstrip(b"\n")
    try:
        message = read_message(data)
    except RecursionError:  # the standard library's parser on parts that are nested too deep
        return Reading(kind="none")
    parts = _parts(message)
    return _reading(_notice(message, parts), parts)


def _reading(notice: Notice, parts: _Parts) -> Reading:
    if parts.other_report:
        return Reading(kind="automatic")
    if not (notice.sender or notice.readers):  # RFC 5322 3.6: no mail system sends that
        return Reading(kind="none")
    if entries := _entries_anywhere(notice, parts):
        return _of_report(entries, notice)
    if notice.is_bounce and (found := named(notice) or _named_by_flufl(notice)):
        whole = Said(notice.text)
        returned = tuple(_returned(_Entry(address=one.address), one, whole) for one in found)
        return Reading(kind="delayed" if notice.is_delay else "bounce", returned=returned)
    program = notice.is_bounce or notice.is_program
    return Reading(kind="automatic" if program else "none")


def _of_report(entries: Sequence[_Entry], notice: Notice) -> Reading:
    failed = {entry.address.lower(): entry for entry in entries if not _reached(entry)}
    said = said_of(notice, failed)
    whole = Said(notice.text)
    returned = tuple(_returned(entry, said.get(address), whole) for address, entry in failed.items())
    if not returned:
        return Reading(kind="automatic")
    late = all(entry.action == "delayed" for entry in failed.values())
    return Reading(kind="delayed" if late else "bounce", returned=returned)


def _reached(entry: _Entry) -> bool:
    return entry.action in ("delivered", "relayed", "expanded", "deliverable") or entry.status.startswith("2")


def _returned(entry: _Entry, said: Named | None, whole: Said) -> Returned:
    texts = [Said(said.own), Said(said.rest), whole] if said else [whole]
    kind = _DIAGNOSTIC_TYPE.match(entry.diagnostic)
    diagnostic = Said(entry.diagnostic[kind.end() :] if kind else entry.diagnostic)
    of_program = kind is not None and kind[1].lower() == "x-unix"
    judgement = judge(
        action=entry.action, status=entry.status, diagnostic=diagnostic, texts=texts, of_program=of_program
    )
    return Returned(
        address=entry.address,
        permanent=judgement.permanent,
        status=judgement.status,
        reason=(diagnostic.text or judgement.reason)[:_REASON_MOST],
        about_message=judgement.about_message,
    )


# --- parts -----------------------------------------------------------------------------------------------------------

_TYPE = re.compile(r"\s{0,80}([\w.+-]{1,80}/[\w.+-]{1,80})")
_CHARSET = re.compile(r"(?i)charset\s{0,9}=\s{0,9}[\"']?([\w.:+-]{1,40})")
_ABOUT_DELIVERY = re.compile(
    r"(?is)\s{0,80}multipart/report(?!.{0,400}report-type)|.{0,400}report-type\s{0,9}=\s{0,9}\"?delivery-status"
)
_STATUS_PARTS = ("message/delivery-status", "message/global-delivery-status")  # RFC 3464, RFC 6533
_RETURNED_PARTS = ("message/rfc822", "message/global", "message/rfc822-headers", "message/global-headers")
_RETURNED_HEADERS = ("text/rfc822-headers", "text/rfc822-header")
# Complaints (RFC 5965), that a mail was displayed (RFC 8098), and how TLS went (RFC 8460).
_OTHER_REPORTS = ("message/feedback-report", "message/disposition-notification", "application/tlsrpt")


def _parts(message: Message) -> _Parts:
    found = _Parts()
    waiting = [message]
    for _ in range(_PARTS_MOST):
        if not waiting or found.returned:
            break
        part = waiting.pop()
        kind = _content_type(part)
        if kind in _STATUS_PARTS:
            found.statuses.append(_status_text(part))
        elif kind in _RETURNED_PARTS or kind in _RETURNED_HEADERS:
            found.returned = _returned_header(part)
        elif kind.startswith(_OTHER_REPORTS):
            found.other_report = True
        elif part.is_multipart():
            waiting += reversed(_inside(part))
        elif kind == "text/html":
            found.html.append(clean(html_text.to_text(_text(part), links=False)))
        elif kind.startswith(("text/", "multipart/")):  # a multipart without its boundary is read as it stands
            found.plain.append(_text(part))
    return found


def _inside(part: Message) -> list[Message]:
    inner = part.get_payload()
    return [one for one in inner if isinstance(one, Message)] if isinstance(inner, list) else []


def _notice(message: Message, parts: _Parts) -> Notice:
    plain = [text for text in parts.plain if text.strip()]
    return Notice(
        sender=decode_header_text(_field(message, "from")),
        readers=decode_header_text(_field(message, "to")),
        subject=decode_header_text(_field(message, "subject")),
        failed=_field(message, "x-failed-recipients"),
        null_path=_field(message, "return-path").strip() == "<>",
        automatic=_field(message, "auto-submitted").strip().lower() not in ("", "no"),
        report=_ABOUT_DELIVERY.match(_field(message, "content-type")) is not None,
        whole="\n".join(plain or parts.html)[:_MOST],
        returned=parts.returned,
    )


def _content_type(part: Message) -> str:
    kind = _TYPE.match(_field(part, "content-type"))
    return kind[1].lower() if kind else part.get_default_type()


def _field(part: Message, name: str) -> str:
    """The first field of that name as it stands, or nothing."""
    for key, value in part.raw_items():
        if key.lower() == name:
            return readable(str(value)[:_FIELD_MOST])
    return ""


def _text(part: Message) -> str:
    payload = part.get_payload(decode=True)
    data = payload if isinstance(payload, bytes) else b""
    charset = _CHARSET.search(_field(part, "content-type"))
    # The escapes of ISO-2022-JP give it away, whatever the part says of its charset.
    return clean(decode(data, "iso-2022-jp" if b"\x1b$" in data else charset[1] if charset else ""))


def _status_text(part: Message) -> str:
    """A report as one text again: the standard library makes a message of each of its blocks."""
    lines: list[str] = []
    for block in _inside(part):
        lines += [f"{name}: {value}" for name, value in block.raw_items()]
        lines += [_text(block), ""]
    return clean(readable("\n".join(lines))) if lines else _text(part)


def _returned_header(part: Message) -> str:
    """The header of a returned message; never empty, so that it is known to be there."""
    lines = [f"{name}: {value}" for one in _inside(part)[:1] for name, value in one.raw_items()]
    return readable("\n".join(lines)) or _text(part).partition("\n\n")[0] or "\n"


# --- the fields of a report ------------------------------------------------------------------------------------------

_LINE = re.compile(r"(?:> ?){0,3}\s{0,8}([A-Za-z][A-Za-z0-9-]{1,60})\s{0,8}:(.*)")
_RECIPIENT_FIELDS = ("final-recipient", "original-recipient", "x-actual-recipient")
_ONCE_A_RECIPIENT = ("final-recipient", "action", "status")
_STATUS = re.compile(r"(?<![\d.])([245]\.\d{1,3}\.\d{1,3})(?![\d.])")
_WORD = re.compile(r"\s{0,80}([A-Za-z]{1,40})")
_DIAGNOSTIC_TYPE = re.compile(r"\s{0,9}([A-Za-z][\w.-]{0,60});")
# RFC 6533 has addresses beyond ASCII here.
_WIDE_ADDRESS = re.compile(
    r"(?:\"[^\"\\\n]{1,64}\"|(?<![^\s<>()\[\],;:\"@\\])[^\s<>()\[\],;:\"@\\]{1,128})@[\w-][\w.-]{0,253}\w"
)
_JSON_RECIPIENTS = re.compile(r"\"bouncedRecipients\"\s{0,9}:\s{0,9}\[([^\]]{0,100000})\]")
_JSON_OBJECT = re.compile(r"\{([^{}]{0,4000})\}")
_JSON_FIELD = re.compile(r"\"(emailAddress|action|status|diagnosticCode)\"\s{0,9}:\s{0,9}\"([^\"]{0,2000})")


def _entries_anywhere(notice: Notice, parts: _Parts) -> list[_Entry]:
    """The recipients of a report, also of one whose parts were lost on the way so that it stands in the text."""
    entries = [entry for text in parts.statuses for entry in _entries(text)]
    if not entries and notice.is_bounce:
        entries = list(_entries(notice.text))
    if not entries and notice.is_program:
        entries = list(_entries_of_amazon(notice.text))
    return entries[:_RECIPIENTS_MOST]


def _entries(text: str) -> Iterator[_Entry]:
    for fields in _groups(text):
        found = [one for name in _RECIPIENT_FIELDS if (one := _recipient(fields.get(name, "")))]
        if not found:
            continue
        action = _WORD.match(fields.get("action", ""))
        status = _STATUS.search(fields.get("status", ""))
        yield _Entry(
            # A name without a domain is what the last system on the way made of an address.
            address=next((one for one in found if "." in one.rpartition("@")[2]), found[0]),
            action=action[1].lower() if action else "",
            status=status[1] if status else "",
            diagnostic=f"{fields.get('diagnostic-code', '')} {_category(fields)}".strip(),
        )


def _groups(text: str) -> Iterator[dict[str, str]]:
    """The fields by recipient, names in lower case: a blank line or a second Final-Recipient begins the next one."""
    fields: dict[str, str] = {}
    last = ""
    for line in text.split("\n"):
        match = None if line[:1] in (" ", "\t") and last else _LINE.match(line[:_FIELD_MOST])
        name = match[1].lower() if match else ""
        if not line.strip("> \t") or (name in _ONCE_A_RECIPIENT and name in fields):
            yield fields
            fields, last = {}, ""
        if match:
            last = name
            fields.setdefault(name, match[2].strip())
        elif last:
            fields[last] = f"{fields[last]} {line.strip()}"[:_FIELD_MOST]
    yield fields


def _recipient(value: str) -> str:
    """The address of `rfc822; ...`, or of no type; the last one where a route stands before it (RFC 5321 F.2)."""
    _, semicolon, rest = value.partition(";")
    found = _WIDE_ADDRESS.findall(rest if semicolon else value)
    return str(found[-1]) if found else ""


def _category(fields: Mapping[str, str]) -> str:
    """What PowerMTA made of the refusal, in brackets: `(bad-mailbox)`."""
    found = re.match(r"[a-z]+-[a-z-]+", fields.get("x-powermta-bouncecategory", "")[:40])
    return f"({found[0]})" if found else ""


def _entries_of_amazon(text: str) -> Iterator[_Entry]:
    """The recipients in a notification of Amazon SES, which is JSON, or JSON in the JSON of Amazon SNS."""
    for listed in _JSON_RECIPIENTS.findall(text.replace("\\", "")):
        for one in _JSON_OBJECT.findall(listed):
            fields = dict(_JSON_FIELD.findall(one))
            if address := _recipient(fields.get("emailAddress", "")):
                yield _Entry(
                    address=address,
                    action=fields.get("action", ""),
                    status=fields.get("status", ""),
                    diagnostic=fields.get("diagnosticCode", ""),
                )


# --- flufl.bounce ----------------------------------------------------------------------------------------------------

# Several of its patterns take time by the square of a line's length.
_FLUFL_LINES = 300
_FLUFL_LINE = 120


def _named_by_flufl(notice: Notice) -> list[Named]:
    """Whom flufl.bounce finds in the text: it knows the forms of systems that are rare by now."""
    message = Message()
    message["From"] = "mailer-daemon"  # without one it fails with an IndexError
    text = "\n".join(line[:_FLUFL_LINE] for line in notice.lines[:_FLUFL_LINES])
    message.set_payload(text.encode("ascii", "replace").decode("ascii"))
    temporary, permanent = all_failures(message)
    found = {one for data in temporary | permanent for one in addresses(data.decode("ascii", "replace"))[:1]}
    return [Named(address=one) for one in sorted(found)]
