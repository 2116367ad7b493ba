"""An edition as it is stored and printed: its sections and their entries, and how it is read back from its rows.

It prints nothing (render) and writes nothing (freeze). What each edition has dozens of is a struct: a dataclass takes
ten times as long to make. None of them is part of a circle, so the garbage collector need not know them (`gc=False`).
"""

from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import NamedTuple

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, bindparam, func, select

from tidings.clock import zone
from tidings.database import tables
from tidings.digests import shelf
from tidings.digests.fragments import Cover, Fragment, Heading
from tidings.digests.words import Words, words
from tidings.errors import NotFoundError


class Entry(msgspec.Struct, frozen=True, kw_only=True, eq=False, gc=False):
    """A numbered item; `answers` is the Message-ID (bare) that a reply answers, `item_id` None while it is a draft.

    `about_id` is the id of what an item of a meeting is about: the meeting, a topic, a duty or an action. Entries are
    not compared by what they hold, as fragments are not.
    """

    number: int
    block: str
    fragment: Fragment
    subject: str
    answers: str | None = None
    post_id: int | None = None
    item_id: int | None = None
    about_id: int | None = None

    def numbered(self, number: int) -> "Entry":
        """The same with that number."""
        return replace(self, number=number)


class Section(msgspec.Struct, frozen=True, kw_only=True, gc=False):
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
    language: str = "en"
    format: str = "html"  # communities.joining.FORMATS

    @cached_property
    def words(self) -> Words:
        """How its reader is spoken to."""
        return words(self.language, self.zone, self.composed_at.astimezone(zone(self.zone)).year)


class _Of(NamedTuple):
    """The section of an item: its community with its domain, and whose it is."""

    community: str
    domain: str | None
    membership_id: int


_item_row, _section_row = tables.item.c, tables.edition_section.c
# Built once: building a statement costs more than running it.
_EDITION = select(tables.edition).where(tables.edition.c.id == bindparam("edition"))
_ITEMS = (
    select(
        *(_item_row.section_id, _item_row.id, _item_row.number, _item_row.block, _item_row.subject, _item_row.post_id),
        *(func.coalesce(tables.post.c.message_id, _item_row.message_id), tables.fragment.c.data),
        *(tables.community.c.name, tables.community.c.domain, _section_row.membership_id),
    )
    .join_from(tables.item, tables.edition_section, _section_row.id == _item_row.section_id)
    .join(tables.fragment, tables.fragment.c.id == _item_row.fragment_id)
    .join(tables.community, tables.community.c.id == _section_row.community_id)
    .outerjoin(tables.post, tables.post.c.id == _item_row.post_id)
    .where(_section_row.edition_id == bindparam("edition"))
    .order_by(_item_row.number)
)


def load(connection: Connection, edition_id: int) -> Printed:
    """A stored edition. Raises NotFoundError."""
    row = connection.execute(_EDITION, {"edition": edition_id}).first()
    if row is None:
        raise NotFoundError(f"There is no edition {edition_id}.")
    by_section = _entries(connection, edition_id)
    cover = next(iter(by_section.values()))[0].fragment
    assert isinstance(cover, Cover)
    return Printed(
        subject=row.subject,
        zone=row.zone,
        language=row.language,
        format=row.format,
        recipient=row.recipient,
        message_id=row.message_id,
        composed_at=row.composed_at,
        cover=cover,
        sections=tuple(
            Section(
                community=of.community,
                domain=of.domain,
                membership_id=of.membership_id,
                heading=heading,
                entries=tuple(found),
            )
            for heading, (of, found) in zip(cover.headings, by_section.items(), strict=True)
        ),
    )


def _entries(connection: Connection, edition_id: int) -> dict[_Of, list[Entry]]:
    """The items of an edition by number, by their sections."""
    found: dict[_Of, list[Entry]] = {}
    entries: list[Entry] = []
    last: int | None = None
    rows = connection.execute(_ITEMS, {"edition": edition_id}).all()
    for section_id, item_id, number, block, subject, post_id, answers, data, *of in rows:
        if section_id != last:
            last, entries = section_id, found.setdefault(_Of(*of), [])
        entries.append(
            Entry(
                number=number,
                block=block,
                fragment=shelf.read(block, data),
                subject=subject,
                answers=answers,
                post_id=post_id,
                item_id=item_id,
            )
        )
    return found
