"""What a member of the demo can answer, and the message that their mail program would send.

It sends nothing: a message goes through the SMTP listener like any other.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from email import message_from_bytes
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from email.utils import make_msgid

from sqlalchemy import Connection, select

from tidings.archive import read
from tidings.archive.read import Post
from tidings.clock import zone
from tidings.communities import directory
from tidings.communities.directory import Community
from tidings.database.tables import edition
from tidings.digests import render, stored
from tidings.errors import NotFoundError
from tidings.mailer.addresses import Addresses
from tidings.operations.demo.people import moment
from tidings.operations.demo.story import attribution
from tidings.settings import Settings
from tidings.tokens import Tokens

_EDITIONS = 12
_POSTS = 15


@dataclass(frozen=True, kw_only=True)
class Answerable:
    """Something that a member can write to; `key` names it in a form, `group` is what it stands under there.

    `subject` is empty where the member has to say it. `answers` is a bare Message-ID, `post_id` says whose post has it,
    and `quoted` gives the line above a quote and what a mail program would quote.
    """

    key: str
    label: str
    group: str
    address: str
    subject: str = ""
    answers: str = ""
    post_id: int | None = None
    quoted: Callable[[], tuple[str, str]] | None = None


def item_key(item_id: int) -> str:
    """The key of an item of a digest."""
    return f"item-{item_id}"


def post_key(post_id: int) -> str:
    """The key of a post."""
    return f"post-{post_id}"


class Answers:
    """What people of one site can answer."""

    def __init__(self, settings: Settings, tokens: Tokens) -> None:
        self._site = settings.site
        self._tokens = tokens
        self._zone = zone(settings.site.zone)

    def of(self, connection: Connection, email: str) -> list[Answerable]:
        """All that a member can write to: items of their digests, the newest digest first, then posts, then anew."""
        joined = directory.communities_of(connection, email)
        return [
            *self._items(connection, email),
            *(one for community in joined for one in self._posts(connection, community)),
            *(self._new(community) for community in joined),
        ]

    def find(self, connection: Connection, email: str, key: str) -> Answerable:
        """One of these, by its key. Raises NotFoundError."""
        for one in self.of(connection, email):
            if one.key == key:
                return one
        raise NotFoundError(f"{email} cannot answer {key!r}.")

    def message(
        self, connection: Connection, sender: Address, to: Answerable, *, subject: str, text: str, now: datetime
    ) -> EmailMessage:
        """The message (RFC 5322) that answers `to`; `subject` is used where it has none of its own."""
        message = EmailMessage(policy=SMTP)
        message["From"] = sender
        message["To"] = Address(addr_spec=to.address)
        message["Subject"] = " ".join((to.subject or subject).split())
        message["Date"] = now.astimezone(self._zone).replace(microsecond=0)
        message["Message-ID"] = make_msgid(domain=sender.domain)
        if to.answers:
            message["In-Reply-To"] = f"<{to.answers}>"
            message["References"] = " ".join([*_references(connection, to.post_id), f"<{to.answers}>"])
        lines = text.splitlines()
        if to.quoted:
            above, quoted = to.quoted()
            lines += ["", above, *(f"> {line}".rstrip() for line in quoted.rstrip().splitlines())]
        message.set_content("\n".join(lines) + "\n")
        return message

    def _items(self, connection: Connection, email: str) -> Iterator[Answerable]:
        newest = select(edition.c.id).where(edition.c.recipient == email).order_by(edition.c.id.desc())
        for edition_id in connection.execute(newest.limit(_EDITIONS)).scalars().all():
            printed = stored.load(connection, edition_id)
            for section in printed.sections:
                for entry in sorted(section.entries, key=lambda one: one.number == 0):
                    yield self._of_item(printed, section, entry)

    def _of_item(self, printed: stored.Printed, section: stored.Section, entry: stored.Entry) -> Answerable:
        token = render.item_tokens(printed, self._tokens)
        at = printed.composed_at.astimezone(self._zone)
        heading = section.heading

        def quoted() -> tuple[str, str]:
            text = render.page(printed, "txt", site=self._site, tokens=self._tokens, token=token)
            return attribution(f"{heading.title} {heading.rhythm}", at), text

        # The Reply button of an item opens an empty mail; whoever answers the whole digest quotes it.
        whole = entry.number == 0
        return Answerable(
            key=item_key(entry.item_id or 0),
            label="The whole digest; begin with a number, like #2" if whole else f"#{entry.number} {_bare(entry)}",
            group=f"Digest of {moment(at)}",
            address=render.address_of(section, self._site).token("r", token(section, entry)),
            subject=f"Re: {printed.subject}" if whole else entry.subject,
            answers=printed.message_id if whole else entry.answers or "",
            quoted=quoted if whole else None,
        )

    def _posts(self, connection: Connection, community: Community) -> Iterator[Answerable]:
        for post in read.newest(connection, community.id, _POSTS):
            yield self._of_post(community, post)

    def _of_post(self, community: Community, post: Post) -> Answerable:
        at = post.date.astimezone(self._zone)
        return Answerable(
            key=post_key(post.id),
            label=f"{post.author_name}, {moment(at)}: {post.subject}",
            group=f"Posts of {community.title}",
            address=Addresses(self._site).of(community).post,
            subject=post.subject if post.subject.lower().startswith("re:") else f"Re: {post.subject}",
            answers=post.message_id,
            post_id=post.id,
            quoted=lambda: (attribution(post.author_name, at), post.text),
        )

    def _new(self, community: Community) -> Answerable:
        return Answerable(
            key=f"new-{community.name}",
            label=f"A new post to {community.title}",
            group="Something new",
            address=Addresses(self._site).of(community).post,
        )


def _bare(entry: stored.Entry) -> str:
    return entry.subject.removeprefix("Re: ")


def _references(connection: Connection, post_id: int | None) -> list[str]:
    """The References of a post, to which its answer adds the post itself (RFC 5322 3.6.4)."""
    if post_id is None:
        return []
    return str(message_from_bytes(read.raw(connection, post_id)).get("References", "")).split()
