"""One pass over a raw message: what Tidings wants to know of it, as one frozen value.

The standard library's compat32 parser runs once; addresses and dates are read by mail-parser, which does it better,
without its view on the whole message, which takes four times as long. It runs in the worker process (worker.py), since
a message may hang or grow whatever reads it. It decides nothing.
"""

import hashlib
import re
from collections.abc import Collection, Mapping
from datetime import UTC, datetime
from email.message import Message
from email.parser import BytesHeaderParser
from email.policy import compat32
from email.utils import parsedate_to_datetime
from functools import lru_cache
from itertools import pairwise

import msgspec
from mailparser.dates import parse_mail_date
from mailparser.utils import get_addresses

from tidings.errors import MessageTooComplexError
from tidings.mailer import archivers, imip
from tidings.mailer.automatic import sign_of_a_program
from tidings.mailer.bounces import read_bounce
from tidings.mailer.charsets import clean, decode, decode_header_text, multibyte
from tidings.mailer.own_tokens import without_tokens
from tidings.mailer.parsed import ParsedMessage
from tidings.mailer.part_fields import parameter
from tidings.mailer.text import display
from tidings.mailer.tolerant import as_now_written, read_message
from tidings.mailer.urgency import is_urgent
from tidings.settings import LimitSettings
from tidings.threading.headings import is_forward
from tidings.threading.likeness import base_subject, conversation_index, is_child
from tidings.threading.parents import one_message_id
from tidings.threading.quotes import Fold, fold

_HASHED_FIELDS = (
    "from",
    "to",
    "cc",
    "date",
    "subject",
    "in-reply-to",
    "content-type",
    "content-transfer-encoding",
)
_STRUCTURED_LIMIT = 4096  # of what structured parsing gets to see (acceptance 21)
_VEILED = "=\ue0f2?"  # what begins no encoded word
_ID_LIMIT = 250  # octets; longer ones break URLs and other programs
_LIST_ID = re.compile(r"<([^<>\s]{1,255})>\s*$")
_EMAIL_LIMIT = 320  # octets: RFC 5321 4.5.3.1
_HEADERS = BytesHeaderParser()
_FIELD_START = re.compile(rb"^[!-9;-~]+[ \t]*:", re.MULTILINE)
_STRICT_START = re.compile(r"^([!-9;-~]+):", re.MULTILINE)  # RFC 5322 2.2
_RELATED = frozenset({"in-reply-to", "references", "thread-index", "list-id"})


class Relations(msgspec.Struct, frozen=True, kw_only=True):
    """What the header of a message says of other messages; as in a ParsedMessage."""

    in_reply_to: str
    references: str
    thread_index: str
    list_ids: list[str]


def parse(raw: bytes, limits: LimitSettings, *, bounce: bool = False) -> ParsedMessage:
    """Read a raw message, as a `bounce` too where it may be one.

    Raises MessageTooComplexError past a limit; never for being malformed.
    """
    _check_header(raw[: _header_end(raw)], limits)
    try:
        message: Message = read_message(raw)
        written = _fields(message)
        fields = archivers.restored(written)
        shown = display(message, limit=limits.text_bytes, parts=limits.parts, depth=limits.depth)
        author_name, author_email = _author(fields)
        text = without_tokens(shown.text)
        subject = without_tokens(decode_header_text(_first(fields, "subject")))
        return ParsedMessage(
            **msgspec.structs.asdict(_relations(fields)),
            message_id=_message_id(fields),
            subject=subject,
            author_name=clean(author_name),
            author_email=clean(author_email)[:_EMAIL_LIMIT],
            recipients=clean(_recipients(fields)),
            date=_date(fields),
            text=text,
            folds=[(one.start, one.end, one.kind) for one in _folds(text, subject, fields)],
            attachments=[
                (part.position, part.filename, part.content_type, part.size, part.sha256) for part in shown.attachments
            ],
            has_html=shown.has_html,
            content_hash=_content_hash(raw, written),
            automatic=sign_of_a_program(fields, subject, author_email),
            loop_marks=[mark.strip().lower() for mark in fields.get("x-tidings-loop", [])],
            urgent=is_urgent(fields, subject),
            returned=read_bounce(raw) if bounce else None,
            calendar=imip.read(message),
        )
    except RecursionError as error:
        raise MessageTooComplexError(f"Its parts are nested more than {limits.depth} deep.") from error


def relations(raw: bytes, limits: LimitSettings) -> Relations:
    """Read what a raw message says of others, in a fraction of the time that `parse` takes.

    Raises MessageTooComplexError past a limit of the header.
    """
    header = raw[: _header_end(raw)]
    _check_header(header, limits)
    fields = _plain_fields(header, _RELATED | archivers.READ)
    return _relations(archivers.restored(fields or _fields(_HEADERS.parsebytes(as_now_written(header)))))


def _plain_fields(header: bytes, wanted: Collection[str]) -> dict[str, list[str]]:
    """What `_fields` has of a header block, where all of it is ASCII and nothing in it is odd; else nothing.

    Of those that are not wanted it has the names, and no values.
    """
    if not header.isascii() or header.count(b"\r") != header.count(b"\r\n"):
        return {}
    text = header.decode("ascii")
    starts = [(found.start(), found[1].lower()) for found in _STRICT_START.finditer(text)]
    # RFC 5322 2.2.3: a line that begins no field and goes on with none is odd.
    if not starts or starts[0][0] or len(starts) + text.count("\n ") + text.count("\n\t") != text.count("\n") + 1:
        return {}
    found: dict[str, list[str]] = {}
    for (start, name), (end, _) in pairwise([*starts, (len(text), "")]):
        value = compat32.header_source_parse([text[start:end]])[1] if name in wanted else ""
        found.setdefault(name, []).append(value)
    return found


def looks_like_a_message(data: bytes) -> bool:
    """Whether these bytes begin with a header field, and not with somebody's plain text."""
    return _FIELD_START.match(data.lstrip(b"\r\n")) is not None and b"\n\n" in data.replace(b"\r\n", b"\n")


def _check_header(header: bytes, limits: LimitSettings) -> None:
    """A linear look at the header block before anything structured reads it."""
    if len(header) > limits.header_bytes:
        raise MessageTooComplexError(f"Its header block is larger than {limits.header_bytes} bytes.")
    if len(header) <= limits.field_bytes and header.count(b"\n") < limits.fields:
        return  # most headers: as a whole within what one field, and as many lines, may have
    starts = [match.start() for match in _FIELD_START.finditer(header)]
    if len(starts) > limits.fields:
        raise MessageTooComplexError(f"It has more than {limits.fields} header fields.")
    ends_of_fields = [*starts[1:], len(header)]
    if any(end - start > limits.field_bytes for start, end in zip(starts, ends_of_fields, strict=False)):
        raise MessageTooComplexError(f"A header field is larger than {limits.field_bytes} bytes.")


def _fields(message: Message) -> dict[str, list[str]]:
    """The values of the fields by lower-case name, 8-bit bytes read as UTF-8 or else as windows-1252.

    Who writes the body in a charset of China, Japan or Korea does not write windows-1252 above it.
    """
    charset = parameter(message, "charset")
    found: dict[str, list[str]] = {}
    for name, value in message.raw_items():
        found.setdefault(name.lower(), []).append(_readable(str(value), charset))
    return found


def _readable(value: str, charset: str) -> str:
    if value.isascii():
        return value
    data = value.encode("utf-8", "surrogateescape")
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError:
        return decode(data, charset if multibyte(charset) else "windows-1252")


def _folds(text: str, subject: str, fields: Mapping[str, list[str]]) -> tuple[Fold, ...]:
    forwarded = is_forward(subject)
    named = any(_first(fields, name).strip() for name in ("in-reply-to", "references"))
    alike = base_subject(subject)[1] or is_child(conversation_index(_first(fields, "thread-index")))
    return fold(text, forwarded=forwarded, answers=forwarded or named or alike)


def _relations(fields: Mapping[str, list[str]]) -> Relations:
    return Relations(
        in_reply_to=_first(fields, "in-reply-to"),
        references=" ".join(fields.get("references", [])),
        thread_index=_first(fields, "thread-index"),
        list_ids=[found[1].lower() for value in fields.get("list-id", []) if (found := _LIST_ID.search(value))],
    )


def _mailboxes(fields: Mapping[str, list[str]], name: str) -> tuple[tuple[str, str], ...]:
    """The (name, address) pairs of a field of addresses, cut to what structured parsing may see."""
    values = fields.get(name, [])
    # Several To are one list (RFC 5322 3.6 allows one, mail has more); of several From the first counts.
    value = ", ".join(values) if name in ("to", "cc") else next(iter(values), "")
    # mail-parser would decode words in quotes not at all, and others by any codec that they name: we do that.
    return _mailboxes_in(value[:_STRUCTURED_LIMIT].replace("=?", _VEILED))


@lru_cache(maxsize=500)  # mail repeats itself: of three fields two were there before
def _mailboxes_in(field: str) -> tuple[tuple[str, str], ...]:
    # A name that only repeats the address is none.
    found = get_addresses(field, decode_names=True)
    return tuple(
        (_unveiled(name) if name != email else "", email.replace(_VEILED, "=?")) for name, email in found if email
    )


def _author(fields: Mapping[str, list[str]]) -> tuple[str, str]:
    """Name and address of the first author who has an address; the address as it was written.

    Where none has one the name may stand alone, unless an address is in it that could not be read.
    """
    authors = ((name or email, email) for name, email in _mailboxes(fields, "from") if "@" in email)
    name = decode_header_text(_first(fields, "from")).partition("<")[0].strip(' "')
    return next(authors, (name if "@" not in name else "", ""))


def _unveiled(name: str) -> str:
    return decode_header_text(name.replace(_VEILED, "=?"))


def _date(fields: Mapping[str, list[str]]) -> datetime | None:
    written = _first(fields, "date")
    moment: datetime | None = parse_mail_date(written[:_STRUCTURED_LIMIT]).value
    if moment is not None:
        return moment
    try:  # a Date without a zone (RFC 5322 4.3): taken as UTC
        moment = parsedate_to_datetime(written)
    except (ValueError, OverflowError, IndexError):
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _first(fields: Mapping[str, list[str]], name: str) -> str:
    return fields.get(name, [""])[0]


def _message_id(fields: Mapping[str, list[str]]) -> str:
    """The bare Message-ID, or nothing where there is not exactly one that can live in addresses and URLs."""
    values = fields.get("message-id", [])
    bare = one_message_id(values[0]) if len(values) == 1 else None
    legal = bare is not None and bare.isascii() and bare.isprintable() and 3 <= len(bare) <= _ID_LIMIT and "@" in bare
    return bare if bare is not None and legal else ""


def _recipients(fields: Mapping[str, list[str]]) -> str:
    people = (*_mailboxes(fields, "to"), *_mailboxes(fields, "cc"))
    return ", ".join(f"{name} <{email}>" if name else email for name, email in people)


def _content_hash(raw: bytes, fields: dict[str, list[str]]) -> bytes:
    """What makes two copies of a message the same one: who, when, to whom, about what, and the body as it was sent.

    Trace fields, list fields and line ends differ between copies, so they are left out. The body is not decoded: of a
    message that cannot be decoded nothing would be left to tell it from others.
    """
    digest = hashlib.sha256()
    for name in _HASHED_FIELDS:
        digest.update(" ".join(" ".join(fields.get(name, [])).split()).encode("utf-8", "replace") + b"\0")
    end = _header_end(raw)
    body = raw if end == len(raw) else raw[end:]  # without an end of its header it may be all header or all body
    digest.update(body.replace(b"\r\n", b"\n").replace(b"\r", b"\n").strip())
    return digest.digest()


def _header_end(raw: bytes) -> int:
    """Where the header block ends, in bytes; the whole length where no empty line ends it."""
    return min((at for at in (raw.find(b"\r\n\r\n"), raw.find(b"\n\n")) if at >= 0), default=len(raw))
