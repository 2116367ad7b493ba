"""Prints an edition: its stored items as text and as HTML, and the message that carries both.

It chooses nothing (select) and writes nothing (editions): the same edition gives the same bytes at every delivery.
"""

import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime as mail_date
from email.utils import formataddr
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import quote

import css_inline
import msgspec
from babel.dates import format_datetime
from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape
from sqlalchemy import Connection
from sqlalchemy import select as query

from tidings.clock import zone
from tidings.database import tables
from tidings.digests.select import BLOCKS, Attached, Conversation, Cover, Fragment, Heading, Meeting, Title
from tidings.errors import NotFoundError
from tidings.mailer import compose
from tidings.mailer.addresses import Addresses, ListAddress
from tidings.settings import SiteSettings
from tidings.tokens import Tokens

PREVIEW = "preview"
"""Stands where the token of a reply address would, in an edition that was never sent."""

_COLUMNS = 72
_NAMES = 4
_FILES = 3
_LOCALE = "en"
_INLINER = css_inline.CSSInliner(load_remote_stylesheets=False)


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A numbered item; `answers` is the Message-ID (bare) that a reply answers, `item_id` None while it is a draft."""

    number: int
    block: str
    fragment: Fragment
    subject: str
    answers: str | None = None
    post_id: int | None = None
    item_id: int | None = None


@dataclass(frozen=True, kw_only=True)
class Section:
    """The entries of one community."""

    community: str  # its name
    domain: str | None  # of its address, where that is not the site's
    membership_id: int
    heading: Heading
    entries: tuple[Entry, ...]


@dataclass(frozen=True, kw_only=True)
class Printed:
    """An edition as it is printed; the first entry of the first section is its cover."""

    subject: str
    zone: str
    recipient: str
    message_id: str
    composed_at: datetime
    cover: Cover
    sections: tuple[Section, ...]


Local = Callable[[Section, Entry], str]
"""Gives the token of an entry's reply address."""


# --- from the database -----------------------------------------------------------------------------------------------


def assemble(connection: Connection, edition_id: int, *, site: SiteSettings, tokens: Tokens) -> bytes:
    """The bytes of an edition, the same every time. Raises NotFoundError where there is none with that id."""
    edition = load(connection, edition_id)
    return message(edition, site=site, tokens=tokens, token=item_tokens(edition, tokens))


def item_tokens(edition: Printed, tokens: Tokens) -> Local:
    """The tokens of a stored edition: minted of the day it was composed, and so the same every time."""
    day = edition.composed_at.astimezone(UTC).date()
    return lambda section, entry: tokens.item(entry.item_id or 0, section.membership_id, day)


def load(connection: Connection, edition_id: int) -> Printed:
    """A stored edition. Raises NotFoundError."""
    row = connection.execute(query(tables.edition).where(tables.edition.c.id == edition_id)).first()
    if row is None:
        raise NotFoundError(f"There is no edition {edition_id}.")
    entries = _entries(connection, edition_id)
    cover = entries[0][1].fragment
    assert isinstance(cover, Cover)
    by_section: dict[tuple[int, str, str | None, int], list[Entry]] = {}
    for section, entry in entries:
        by_section.setdefault(section, []).append(entry)
    return Printed(
        subject=row.subject,
        zone=row.zone,
        recipient=row.recipient,
        message_id=row.message_id,
        composed_at=row.composed_at,
        cover=cover,
        sections=tuple(
            Section(community=name, domain=domain, membership_id=member, heading=heading, entries=tuple(found))
            for heading, ((_, name, domain, member), found) in zip(cover.headings, by_section.items(), strict=True)
        ),
    )


def _entries(connection: Connection, edition_id: int) -> list[tuple[tuple[int, str, str | None, int], Entry]]:
    """The items of an edition by number, each with (position, community, its domain, membership) of its section."""
    item, section, community = tables.item, tables.edition_section, tables.community.c
    columns = (section.c.position, section.c.membership_id, community.name, community.domain, tables.post.c.message_id)
    rows = connection.execute(
        query(item, *columns)
        .join_from(item, section, section.c.id == item.c.section_id)
        .join(tables.community, tables.community.c.id == section.c.community_id)
        .outerjoin(tables.post, tables.post.c.id == item.c.post_id)
        .where(section.c.edition_id == edition_id)
        .order_by(item.c.number)
    )
    found = []
    for row in rows.mappings():
        entry = Entry(
            number=row[item.c.number],
            block=row[item.c.block],
            fragment=msgspec.json.decode(row[item.c.fragment], type=BLOCKS[row[item.c.block]]),
            subject=row[item.c.subject],
            answers=row[tables.post.c.message_id] or row[item.c.message_id],
            post_id=row[item.c.post_id],
            item_id=row[item.c.id],
        )
        found.append(((row["position"], row["name"], row["domain"], row["membership_id"]), entry))
    return found


def address_of(section: Section, site: SiteSettings) -> ListAddress:
    """The addresses of the section's community."""
    return Addresses(site).named(section.community, section.domain)


# --- the message -----------------------------------------------------------------------------------------------------


def message(edition: Printed, *, site: SiteSettings, tokens: Tokens, token: Local, preview: bool = False) -> bytes:
    """The message that carries an edition, multipart/alternative (RFC 2046 5.1.4), one-click leaving by RFC 8058."""
    first = edition.sections[0]
    address = address_of(first, site)
    whole = Entry(number=0, block="edition", fragment=edition.cover, subject=edition.subject)
    whole = next((entry for entry in first.entries if entry.number == 0), whole)
    sender = formataddr((f"{first.heading.title} {first.heading.rhythm}", address.token("r", token(first, whole))))
    fields = {
        "From": sender,
        "To": formataddr((edition.cover.reader, edition.recipient)),
        "Reply-To": sender,
        "Subject": edition.subject,
        "Date": mail_date(edition.composed_at),
        "Message-ID": f"<{edition.message_id}>",
        "List-Id": f"<{address.name}.{address.domain}>",
        "List-Unsubscribe": f"<{_leave(first, site, tokens)}>",
        "List-Unsubscribe-Post": "List-Unsubscribe=One-Click",
        "List-Archive": f"<{_archive(first, site)}>",
        "Precedence": "list",
        "Auto-Submitted": "auto-generated",
        compose.LOOP_FIELD: address.post,
    }
    parts = {
        kind: page(edition, kind, site=site, tokens=tokens, token=token, preview=preview) for kind in ("txt", "html")
    }
    return compose.alternative(fields, text=parts["txt"], html=parts["html"])


def encoded_size(html: str) -> int:
    """How many bytes the HTML part is in a message, a few hundred for its header fields included."""
    return len(compose.alternative({"Message-ID": "<>"}, text="", html=html))


# --- the pages -------------------------------------------------------------------------------------------------------


def page(
    edition: Printed, kind: str, *, site: SiteSettings, tokens: Tokens, token: Local, preview: bool = False
) -> str:
    """An edition as text (`txt`, 72 columns) or as HTML (`html`, its CSS in the elements)."""

    def address(section: Section, entry: Entry) -> str:
        return address_of(section, site).token("r", token(section, entry))

    printed = _template(f"edition.{kind}").render(
        edition=edition,
        preview=preview,
        when=_Times(edition),
        address=address,
        mailto=lambda section, entry: _mailto(address(section, entry), entry),
        archive=lambda section: _archive(section, site),
        post_url=lambda section, link: f"{_archive(section, site)}m/{quote(link, safe='@')}/",
        leave=lambda section: _leave(section, site, tokens),
        base_url=site.base_url.rstrip("/"),
    )
    return _INLINER.inline(printed) if kind == "html" else printed


def _mailto(address: str, entry: Entry) -> str:
    """A mailto link (RFC 6068) with the subject, and with In-Reply-To, which some programs honour."""
    link = f"mailto:{quote(address, safe='@+')}?subject={quote(entry.subject, safe='')}"
    return link + (f"&In-Reply-To={quote(f'<{entry.answers}>', safe='')}" if entry.answers else "")


def _archive(section: Section, site: SiteSettings) -> str:
    return f"{site.base_url.rstrip('/')}/c/{section.community}/"


def _leave(section: Section, site: SiteSettings, tokens: Tokens) -> str:
    return f"{site.base_url.rstrip('/')}/u/{tokens.leave(section.membership_id)}"


class _Times:
    """Moments as an edition prints them, in the reader's zone."""

    def __init__(self, edition: Printed) -> None:
        self._zone = zone(edition.zone)
        self._year = edition.composed_at.astimezone(self._zone).year

    def _format(self, moment: datetime, pattern: str) -> str:
        local = moment.astimezone(self._zone)
        return format_datetime(local, pattern, tzinfo=self._zone, locale=_LOCALE)

    def day(self, moment: datetime) -> str:
        """`Tue 14 Oct`, with the year where it is another than the edition's."""
        same = moment.astimezone(self._zone).year == self._year
        return self._format(moment, "EEE d MMM" if same else "EEE d MMM y")

    def time(self, moment: datetime) -> str:
        """`14:00`."""
        return self._format(moment, "HH:mm")

    def full(self, moment: datetime) -> str:
        """`Tue 14 Oct 14:00`."""
        return f"{self.day(moment)} {self.time(moment)}"


def weekday_time(moment: datetime, zone_name: str) -> str:
    """`Tue 14:00` in a zone."""
    return format_datetime(moment.astimezone(zone(zone_name)), "EEE HH:mm", tzinfo=zone(zone_name), locale=_LOCALE)


@cache
def _template(name: str) -> Any:
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=select_autoescape(["html"]),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters.update(wrap=wrap, names=_names, files=_files, first_upper=_first_upper)
    environment.globals.update(fresh=_fresh, duty=_duty, more=_more)
    return environment.get_template(name)


# --- words -----------------------------------------------------------------------------------------------------------


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"


def _fresh(told: Conversation | Title) -> str:
    new = len(told.numbers)
    return _count(new, "new post") if told.posts <= new else f"{new} new of {told.posts}"


def _names(authors: Sequence[str]) -> str:
    more = [f"+{len(authors) - _NAMES}"] if len(authors) > _NAMES else []
    return ", ".join([*authors[:_NAMES], *more])


def _files(attached: Sequence[Attached]) -> str:
    more = [f"+{len(attached) - _FILES} more"] if len(attached) > _FILES else []
    return ", ".join([*(f"{file.name} ({_size(file.size)})" for file in attached[:_FILES]), *more])


def _size(size: int) -> str:
    return f"{max(round(size / 1_000), 1)} kB" if size < 1_000_000 else f"{size / 1_000_000:.1f} MB"


def _first_upper(text: str) -> str:
    return text[:1].upper() + text[1:]


def _more(heading: Heading) -> str:
    return f"+{_count(heading.more_threads, 'more conversation')} with {_count(heading.more_posts, 'new post')}"


def _duty(meeting: Meeting, when: _Times) -> str:
    if meeting.duty_start is None or meeting.duty_end is None:
        return "You are off shift then."
    shift = f"({when.time(meeting.duty_start)}-{when.time(meeting.duty_end)})"
    if meeting.duty == "sleep":
        return f"You are on nights then, off shift at {when.time(meeting.duty_end)}."
    return f"You are on nights then {shift}." if meeting.duty == "night" else f"You are at work then {shift}."


def wrap(text: str, first: str = "", rest: str = "") -> str:
    """`text` in lines of 72 columns that begin with `first` and then `rest`; addresses and links are never broken."""
    return textwrap.fill(
        text,
        _COLUMNS,
        initial_indent=first,
        subsequent_indent=rest,
        break_long_words=False,
        break_on_hyphens=False,
    )
