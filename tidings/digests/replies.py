"""Where a reply to a digest goes: from the token of its address, or a number at its start, to the post that it answers.

It reads the database and writes nothing; whether the sender may post there is for intake to decide.
"""

import re
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam
from sqlalchemy import select as query

from tidings.archive import read
from tidings.database import tables
from tidings.digests import render
from tidings.digests.render import Entry, Printed, Section
from tidings.errors import TidingsError
from tidings.settings import SiteSettings
from tidings.threading import nodes
from tidings.tokens import BadTokenError, Tokens

_CHAIN = 100  # message ids of a References field: the first, and the last of the rest

_NUMBER = re.compile(r"\s*(?:#([0-9]{1,3})(?![\w.-])[:.)]?|([0-9]{1,3}):(?=\s|$))[ \t]*")


class UnroutableError(TidingsError):
    """The reply cannot be put anywhere; `ask` is what to ask its sender, empty where nothing is to be asked."""

    def __init__(self, message: str, ask: str = "") -> None:
        super().__init__(message)
        self.ask = ask


@dataclass(frozen=True, kw_only=True)
class Routed:
    """The item that a reply answers, and the reply's own text.

    `answers` is the Message-ID (bare) that it answers, `references` the chain down to it, oldest first. `post_id` is
    None where a meeting is answered; `expired` says that the year of the address is over.
    """

    community_id: int
    membership_id: int
    edition_id: int
    number: int
    post_id: int | None
    answers: str
    references: tuple[str, ...]
    subject: str
    text: str
    expired: bool


def route(
    connection: Connection, token: str, tokens: Tokens, *, site: SiteSettings, now: datetime, text: str
) -> Routed:
    """The item that the token of a reply address stands for, `text` being what the sender wrote, without quotes.

    The token of an edition as a whole needs a number at the start of the text. Raises UnroutableError for a token that
    is not ours, an item that is gone, and where it is not said which item is meant.
    """
    if token == render.PREVIEW:
        raise UnroutableError("This address was shown in a preview, which takes no mail.")
    try:
        said = tokens.read_item(token)
    except BadTokenError as error:
        raise UnroutableError("This reply address is none of ours.") from error
    item = _find(connection, said.item_id)
    if item is None or item.membership_id != said.membership_id:
        raise UnroutableError("The item of this reply address is gone.")
    if item.number == 0:
        item = _numbered(connection, item, text, tokens, site)
    references = _chain(connection, item)
    if not references:
        raise UnroutableError("The post that this reply answers is gone.")
    return Routed(
        community_id=item.community_id,
        membership_id=item.membership_id,
        edition_id=item.edition_id,
        number=item.number,
        post_id=item.post_id,
        answers=references[-1],
        references=references,
        subject=item.subject,
        text=_without_number(text) if number_in(text) == item.number else text,
        expired=said.expired(now),
    )


def number_in(text: str) -> int | None:
    """The number with which a reply begins: `#3` or `3:` (but not a time such as `3:30`) in its first line."""
    found = _NUMBER.match(text)
    return int(found[1] or found[2]) if found else None


def which_one(edition: Printed, tokens: Tokens, reason: str, site: SiteSettings) -> str:
    """The text of a notice that asks which item was meant, with the address of each."""
    token = render.item_tokens(edition, tokens)
    lines = [reason, "", "Nothing was posted. Please send it again, to the address of the item that you mean:"]
    for section, entry in _entries(edition):
        lines += ["", f"#{entry.number} {entry.subject.removeprefix('Re: ')}"]
        lines.append("   " + render.address_of(section, site).token("r", token(section, entry)))
    return "\n".join(lines) + "\n"


def _entries(edition: Printed) -> list[tuple[Section, Entry]]:
    return [(section, entry) for section in edition.sections for entry in section.entries if entry.number]


def _numbers(text: str) -> set[int]:
    """The numbers at the starts of lines, written as the first of them is."""
    first, *more = (found for line in text.strip().splitlines() if (found := _NUMBER.match(line)))
    return {int(found[first.lastindex or 0]) for found in (first, *more) if found.lastindex == first.lastindex}


def _without_number(text: str) -> str:
    found = _NUMBER.match(text)
    return text[found.end() :].lstrip("\r\n") if found else text


# --- items -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, kw_only=True)
class _Item:
    """An item as it is stored, with whose it is."""

    number: int
    post_id: int | None
    message_id: str | None
    subject: str
    community_id: int
    membership_id: int
    edition_id: int


_item, _section = tables.item.c, tables.edition_section.c
_ITEM = (
    query(
        _item.number,
        _item.post_id,
        _item.message_id,
        _item.subject,
        _section.community_id,
        _section.membership_id,
        _section.edition_id,
    )
    .join_from(tables.item, tables.edition_section, _section.id == _item.section_id)
    .where(_item.id == bindparam("item"))
)


def _find(connection: Connection, item_id: int | None) -> _Item | None:
    row = connection.execute(_ITEM, {"item": item_id}).mappings().first()
    return None if row is None else _Item(**row)


def _numbered(connection: Connection, whole: _Item, text: str, tokens: Tokens, site: SiteSettings) -> _Item:
    """The item that a reply to an edition as a whole names at its start. Raises UnroutableError, which asks."""
    edition = render.load(connection, whole.edition_id)
    number = number_in(text)
    known = {entry.number: (section, entry) for section, entry in _entries(edition)}
    reason = ""
    if number is None:
        reason = "Your reply to a digest does not say which item it answers."
    elif number not in known:
        reason = f"The digest that you answered has no item #{number}."
    elif len(_numbers(text) & known.keys()) > 1:
        reason = "Your reply answers several items of a digest, and each needs a mail of its own."
    elif known[number][0].membership_id != whole.membership_id:
        reason = f"Item #{number} belongs to another community than the address that you wrote to."
    if number is None or reason:
        raise UnroutableError(reason, ask=which_one(edition, tokens, reason, site))
    found = _find(connection, known[number][1].item_id)
    assert found is not None  # it was loaded just now
    return found


def _chain(connection: Connection, item: _Item) -> tuple[str, ...]:
    """The Message-IDs from the thread's first message down to the one that is answered."""
    if item.post_id is None:
        return (item.message_id,) if item.message_id else ()
    post = read.post_by_id(connection, item.post_id)
    if post is None:
        return ()
    by_id = {node.id: node for node in nodes.thread(connection, post.community_id, post.thread_id)}
    node = next((one for one in by_id.values() if one.post_id == post.id), None)
    chain: list[str] = []
    while node is not None:
        chain.append(node.message_id)
        # Popped, so that a circle of nodes, should there ever be one, ends.
        node = by_id.pop(node.parent_id, None) if node.parent_id is not None else None
    chain.reverse()
    return tuple(chain[:1] + chain[1:][-(_CHAIN - 1) :])
