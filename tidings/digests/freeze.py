"""Freezes editions as they were composed: rows, items and mail; the only writer of editions and their items.

What they tell was decided before (drafts), and they are printed from these rows at every delivery (render).
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec
from sqlalchemy import Connection, bindparam, insert, update

from tidings.database import tables
from tidings.database.many import Many
from tidings.digests import render, shelf
from tidings.digests.drafts import Part
from tidings.digests.history import Window
from tidings.digests.layouts import Draft
from tidings.digests.stored import Entry
from tidings.mailer import outbox
from tidings.mailer.outbox import NewEdition
from tidings.settings import SiteSettings

# Built once: building a statement costs more than running it.
_EDITION = insert(tables.edition).returning(tables.edition.c.message_id, tables.edition.c.id)
_COMPOSED = Many(
    update(tables.edition_section)
    .where(tables.edition_section.c.id == bindparam("section"))
    .values(
        state="composed",
        edition_id=bindparam("edition"),
        after=bindparam("told_after"),
        position=bindparam("place"),
        windows=bindparam("weeks"),
    ),
    *("edition", "told_after", "place", "weeks", "section"),
)
_ITEM = Many(
    insert(tables.item), "section_id", "number", "block", "post_id", "message_id", "about_id", "subject", "fragment_id"
)


class Told(msgspec.Struct, frozen=True, kw_only=True):
    """What a section tells; `is_window` says that it goes through archive numbers, which a bundle does not.

    `with_it` are further sections of the member in the same community, of meetings, that it tells too.
    """

    section_id: int
    with_it: tuple[int, ...] = ()
    due_at: datetime
    part: Part
    windows: tuple[Window, ...] = ()
    is_window: bool = True


class Made(msgspec.Struct, frozen=True, kw_only=True):
    """An edition that is not stored yet, and what its sections tell by membership."""

    draft: Draft
    told: Mapping[int, Told]

    @property
    def sections(self) -> list[Told]:
        """What is told, in the order of the edition."""
        return [self.told[section.membership_id] for section in self.draft.printed.sections]


def write(connection: Connection, made: Sequence[Made], now: datetime, *, site: SiteSettings) -> None:
    """Store editions, with their items and outbox rows, in the caller's transaction."""
    if not made:
        return
    # By their Message-IDs: rows that come back in their order are inserted one by one.
    ids: dict[str, int] = dict(connection.execute(_EDITION, [_edition(one, now) for one in made]).all())
    pairs = [(ids[one.draft.printed.message_id], one) for one in made]
    _COMPOSED.execute(connection, [row for edition_id, one in pairs for row in _sections(edition_id, one)])
    entries = [pair for one in made for pair in _entries(one)]
    fragment_ids = shelf.put(connection, [entry.fragment for _, entry in entries])
    _ITEM.execute(connection, [_item(*pair, of) for pair, of in zip(entries, fragment_ids, strict=True)])
    outbox.add_editions(connection, [_mail(edition_id, one, site) for edition_id, one in pairs], now)


def _edition(one: Made, now: datetime) -> dict[str, Any]:
    printed = one.draft.printed
    return {
        "person_id": one.draft.parts[0].member.person_id,
        "message_id": printed.message_id,
        "recipient": printed.recipient,
        "subject": printed.subject,
        "zone": printed.zone,
        "language": printed.language,
        "format": printed.format,
        "composed_at": now,
        "due_at": min(told.due_at for told in one.sections),
    }


def _sections(edition_id: int, one: Made) -> list[tuple[int | str | None, ...]]:
    rows: list[tuple[int | str | None, ...]] = [
        (
            edition_id,
            told.part.member.cursor if told.is_window else None,
            place,
            msgspec.json.encode(told.windows).decode() if told.windows else None,
            told.section_id,
        )
        for place, told in enumerate(one.sections)
    ]
    with_it = (section_id for told in one.sections for section_id in told.with_it)
    return rows + [(edition_id, None, None, None, section_id) for section_id in with_it]


def _entries(one: Made) -> list[tuple[int, Entry]]:
    """The items, each with the id of its section."""
    sections = zip(one.sections, one.draft.printed.sections, strict=True)
    return [(told.section_id, entry) for told, section in sections for entry in section.entries]


def _item(section_id: int, entry: Entry, fragment_id: int) -> tuple[int | str | None, ...]:
    answers = None if entry.post_id else entry.answers
    return section_id, entry.number, entry.block, entry.post_id, answers, entry.about_id, entry.subject, fragment_id


def _mail(edition_id: int, one: Made, site: SiteSettings) -> NewEdition:
    printed, member = one.draft.printed, one.draft.parts[0].member
    return NewEdition(
        edition_id=edition_id,
        recipient=printed.recipient,
        # An edition of several communities still goes out when its reader leaves one of them.
        membership_id=member.membership_id if len(printed.sections) == 1 else None,
        community_id=member.community_id,
        mail_from=render.address_of(printed.sections[0], site).post,
    )
