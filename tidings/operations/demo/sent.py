"""Every mail that the demo sent, read from the Maildir into which it was delivered; it changes nothing there."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.message import Message
from email.parser import BytesHeaderParser, BytesParser
from email.utils import getaddresses, parsedate_to_datetime
from functools import lru_cache
from pathlib import Path
from typing import cast

from tidings.errors import NotFoundError
from tidings.mailer.charsets import decode, decode_header_text
from tidings.mailer.text import display


@dataclass(frozen=True, kw_only=True)
class Summary:
    """A mail as lists show it; `number` counts from 1 in the order of sending, `recipients` are of the envelope."""

    number: int
    kind: str  # copy, digest, notice
    recipients: tuple[str, ...]
    sender: str
    subject: str
    date: datetime | None


@dataclass(frozen=True, kw_only=True)
class Mail:
    """One mail: its header fields as they can be read, and its parts; empty where it has no such part."""

    summary: Summary
    message_id: str  # bare
    fields: tuple[tuple[str, str], ...]
    text: str
    html: str


class Sent:
    """The Maildir of one demo. A mail's number stays, as long as no mail program takes mails out."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder

    def count(self) -> int:
        """How many mails there are."""
        return len(self._paths())

    def listing(self, *, after: int = 0, before: int | None = None, limit: int) -> list[Summary]:
        """The newest mails with `after` < number < `before`, the newest first."""
        paths = self._paths()
        last = len(paths) if before is None else min(before - 1, len(paths))
        return [_summary(paths[number - 1], number) for number in range(last, max(after, last - limit), -1)]

    def mail(self, number: int) -> Mail:
        """One mail. Raises NotFoundError."""
        paths = self._paths()
        if not 1 <= number <= len(paths):
            raise NotFoundError(f"There is no mail {number}.")
        message: Message = BytesParser().parsebytes(paths[number - 1].read_bytes())
        own = _without_posts(message)
        return Mail(
            summary=_summary(paths[number - 1], number),
            message_id=decode_header_text(message.get("Message-ID", "")).strip("<> "),
            fields=tuple((name, decode_header_text(value)) for name, value in message.items()),
            text=display(own).text,
            html=_html(own),
        )

    def _paths(self) -> list[Path]:
        # Their names begin with the moment of delivery; a mail program may have moved what it has shown to `cur`.
        found = (path for name in ("new", "cur") for path in _files(self._folder / name))
        return sorted(found, key=lambda path: _order(path.name))


def _files(folder: Path) -> Iterator[Path]:
    return folder.iterdir() if folder.is_dir() else iter(())


def _order(name: str) -> tuple[int, int]:
    """Moment and number of a delivery, from the name that MaildirTransport gives; others come first."""
    found = re.match(r"(\d+)\.P\d+Q(\d+)", name)
    return (int(found[1]), int(found[2])) if found else (0, 0)


@lru_cache(maxsize=1000)
def _summary(path: Path, number: int) -> Summary:
    with path.open("rb") as file:
        fields: Message = BytesHeaderParser().parse(file)
    to = getaddresses([decode_header_text(fields.get("X-Envelope-To", ""))])
    return Summary(
        number=number,
        kind=_kind(fields),
        recipients=tuple(address for _, address in to),
        sender=_name(decode_header_text(fields.get("From", ""))),
        subject=decode_header_text(fields.get("Subject", "")),
        date=_date(fields),
    )


def _kind(fields: Message) -> str:
    if "Auto-Submitted" not in fields:
        return "copy"
    return "digest" if "List-Id" in fields else "notice"


def _name(text: str) -> str:
    (name, address), *_ = [*getaddresses([text]), ("", "")]
    return name or address


def _date(fields: Message) -> datetime | None:
    try:
        date = parsedate_to_datetime(decode_header_text(fields.get("Date", "")))
    except ValueError:
        return None
    return date if date.tzinfo else date.replace(tzinfo=UTC)


def _without_posts(message: Message) -> Message:
    """The text of a digest that has the posts themselves behind it; any other mail as it is."""
    parts = message.get_payload() if message.get_content_type() == "multipart/mixed" else []
    found = [cast("Message", part) for part in parts] if isinstance(parts, list) else []
    return found[0] if any(part.get_content_type() == "multipart/digest" for part in found[1:2]) else message


def _html(message: Message) -> str:
    """The first HTML part."""
    for part in cast("Sequence[Message]", list(message.walk())):
        if part.get_content_type() == "text/html":
            return decode(cast("bytes", part.get_payload(decode=True)), part.get_content_charset("utf-8"))
    return ""
