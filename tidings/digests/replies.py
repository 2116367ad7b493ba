"""Where a reply to a digest goes: from the token of its address, a number in it or what it quotes, to the posts that it
answers.

It reads the database and writes nothing; whether the sender may post there is for intake to decide.
"""

from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, bindparam
from sqlalchemy import select as query

from tidings.archive import read
from tidings.database import tables
from tidings.digests import kept, numbered, quoted, render, stored
from tidings.digests.quoted import Reply, Sent
from tidings.digests.stored import Entry, Printed, Section
from tidings.errors import TidingsError
from tidings.mailer import html_text, text
from tidings.mailer.tolerant import read_message
from tidings.settings import SiteSettings
from tidings.threading import nodes
from tidings.tokens import BadTokenError, Tokens

_CHAIN = 100  # message ids of a References field: the first, and the last of the rest


class UnroutableError(TidingsError):
    """The reply cannot be put anywhere; `ask` is what to ask its sender, empty where nothing is to be asked."""

    def __init__(self, message: str, ask: str = "") -> None:
        super().__init__(message)
        self.ask = ask


@dataclass(frozen=True, kw_only=True)
class Item:
    """An item of an edition, with whose it is; number 0 is the edition as a whole.

    `expired` says that the year of the address is over which named it.
    """

    id: int
    number: int
    post_id: int | None
    message_id: str | None
    subject: str
    block: str
    about_id: int | None
    community_id: int
    membership_id: int
    edition_id: int
    expired: bool = False

    @property
    def is_whole(self) -> bool:
        """Whether it stands for the edition as a whole."""
        return self.number == 0


@dataclass(frozen=True, kw_only=True)
class Routed:
    """The item that a reply answers, or a part of one, and the sender's own text.

    `answers` is the Message-ID (bare) that it answers, `references` the chain down to it, oldest first. `post_id` is
    None where no post is answered; what of a meeting is, `block` and `about_id` say (stored.Entry).
    """

    community_id: int
    membership_id: int
    edition_id: int
    item_id: int
    number: int
    post_id: int | None
    block: str
    about_id: int | None
    answers: str
    references: tuple[str, ...]
    subject: str
    text: str


def item_at(connection: Connection, token: str, tokens: Tokens, now: datetime) -> Item:
    """The item that the token of a reply address stands for.

    Raises UnroutableError for a token that is not ours, and an item that is gone.
    """
    if token == render.PREVIEW:
        raise UnroutableError("This address was shown in a preview, which takes no mail.")
    try:
        said = tokens.read_item(token)
    except BadTokenError as error:
        raise UnroutableError("This reply address is none of ours.") from error
    item = _find(connection, said.item_id, expired=said.expired(now))
    if item is None or item.membership_id != said.membership_id:
        raise UnroutableError("The item of this reply address is gone.")
    return item


def sent(connection: Connection, item: Item, tokens: Tokens, site: SiteSettings) -> Sent:
    """The words of the edition that the item is of, as they were sent."""
    edition = stored.load(connection, item.edition_id)
    token = render.item_tokens(edition, tokens)
    # Text and HTML, whatever its format: the words of its items are in both, and posts that came with it are quotes.
    message = read_message(render.message(replace(edition, format="html"), site=site, tokens=tokens, token=token))
    return quoted.sent(
        text.display(message).text,
        html_text.to_text("".join(text.html_sources(message))),
        {entry.number: token(section, entry) for section, entry in _entries(edition)},
    )


def route(
    connection: Connection, item: Item, reply: Reply, *, tokens: Tokens, site: SiteSettings
) -> tuple[Routed, ...]:
    """Where a reply goes that came to the address of `item`, in one part or more, each with its own text.

    To an edition as a whole it says so by numbers at the starts of lines, else by what it stands beside.
    Raises UnroutableError, which asks where it says neither; then nothing of it goes anywhere.
    """
    if not item.is_whole:
        return (routed(connection, item, numbered.without(reply.text, item.number).strip()),)
    edition = stored.load(connection, item.edition_id)
    known = {entry.number: entry for _, entry in _entries(edition)}
    parts = numbered.split(reply.text)
    if not parts and (beside := reply.beside(known)) in known:
        parts = [numbered.Numbered(number=beside or 0, text=reply.said)]
    reason = "" if parts else "Your reply to a digest does not say which item it answers."
    if unknown := next((one.number for one in parts if one.number not in known), None):
        reason = f"The digest that you answered has no item #{unknown}."
    if reason:
        raise UnroutableError(reason, ask=which_one(edition, tokens, reason, site))
    items = ((_find(connection, known[one.number].item_id), one.text) for one in parts)
    return tuple(routed(connection, found, own) for found, own in items if found is not None)


def named_alone(connection: Connection, item: Item, reply: Reply) -> Item | None:
    """The item that a reply names and says nothing else: by its number alone, or by an empty mail to its address."""
    if not item.is_whole:
        return None if numbered.without(reply.text, item.number).strip() else item
    number = numbered.alone(reply.text)
    if number is None:
        return None
    entries = _entries(stored.load(connection, item.edition_id))
    return next((_find(connection, entry.item_id) for _, entry in entries if entry.number == number), None)


def routed(connection: Connection, item: Item, own: str) -> Routed:
    """Where a reply to `item` goes, `own` being its text. Raises UnroutableError where the post is gone."""
    references = _chain(connection, item)
    if not references:
        raise UnroutableError("The post that this reply answers is gone.")
    return Routed(
        community_id=item.community_id,
        membership_id=item.membership_id,
        edition_id=item.edition_id,
        item_id=item.id,
        number=item.number,
        post_id=item.post_id,
        block=item.block,
        about_id=item.about_id,
        answers=references[-1],
        references=references,
        subject=item.subject,
        text=own,
    )


def which_one(edition: Printed, tokens: Tokens, reason: str, site: SiteSettings) -> str:
    """The text of a notice that asks which item was meant, with the address of each."""
    token = render.item_tokens(edition, tokens)
    lines = [
        *(reason, "", f"Nothing was posted. Your words are kept for {kept.LIFE.days} days. To have them posted, reply"),
        *("to this mail with just the number of the item that you mean, or send an empty", "mail to its address:"),
    ]
    for section, entry in _entries(edition):
        lines += ["", f"#{entry.number} {entry.subject.removeprefix('Re: ')}"]
        lines.append("   " + render.address_of(section, site).token("r", token(section, entry)))
    return "\n".join(lines) + "\n"


def _entries(edition: Printed) -> list[tuple[Section, Entry]]:
    return [(section, entry) for section in edition.sections for entry in section.entries if entry.number]


# --- items -----------------------------------------------------------------------------------------------------------


_item, _section = tables.item.c, tables.edition_section.c
_ITEMS = query(
    _item.id,
    _item.number,
    _item.post_id,
    _item.message_id,
    _item.subject,
    _item.block,
    _item.about_id,
    _section.community_id,
    _section.membership_id,
    _section.edition_id,
).join_from(tables.item, tables.edition_section, _section.id == _item.section_id)
_ITEM = _ITEMS.where(_item.id == bindparam("item"))
_OF_EDITION = _ITEMS.where(_section.edition_id == bindparam("edition"), _item.number > 0).order_by(_item.number)


def numbered_items(connection: Connection, edition_id: int) -> dict[int, Item]:
    """The items of an edition by their numbers."""
    rows = connection.execute(_OF_EDITION, {"edition": edition_id}).mappings()
    return {row["number"]: Item(**row) for row in rows}


def _find(connection: Connection, item_id: int | None, *, expired: bool = False) -> Item | None:
    row = connection.execute(_ITEM, {"item": item_id}).mappings().first()
    return None if row is None else Item(**row, expired=expired)


def _chain(connection: Connection, item: Item) -> tuple[str, ...]:
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
