"""Stores posts: raw bytes once per content, the row that is shown, attachments and the text index.

The only writer of `post`, `blob` and `attachment`. It decides neither what is posted nor where in a thread it stands.
"""

import hashlib
import zlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol

import msgspec
from sqlalchemy import Connection, bindparam, delete, insert, select, update
from sqlalchemy.dialects import postgresql, sqlite

from tidings.archive.text_index import IndexRow, index_rows, unindex
from tidings.database.tables import attachment as attachment_table
from tidings.database.tables import blob as blob_table
from tidings.database.tables import community as community_table
from tidings.database.tables import post as post_table

_LEVEL = 1  # of zlib: on mail, a higher one costs three times the time and saves a tenth of the space
_FUTURE = timedelta(days=1)  # how far ahead a Date field may be and still be believed
_encode = msgspec.json.Encoder().encode


class Incoming(Protocol):
    """What the archive needs to know of a message; ids are bare, `message_id` empty where there is none."""

    @property
    def message_id(self) -> str: ...
    @property
    def subject(self) -> str: ...
    @property
    def author_name(self) -> str: ...
    @property
    def author_email(self) -> str: ...
    @property
    def recipients(self) -> str: ...
    @property
    def date(self) -> datetime | None: ...
    @property
    def text(self) -> str: ...
    @property
    def folds(self) -> list[tuple[int, int, str]]: ...
    @property
    def attachments(self) -> list[tuple[int, str, str, int, bytes]]: ...
    @property
    def has_html(self) -> bool: ...
    @property
    def content_hash(self) -> bytes: ...


class Blob(NamedTuple):
    """Raw bytes as they are kept: their SHA-256, how many there are, and those bytes compressed."""

    hash: bytes
    size: int
    data: bytes


@dataclass(frozen=True, kw_only=True)
class Known:
    """A post that is there already with the same id and content."""

    post_id: int
    message_id: str


@dataclass(frozen=True, kw_only=True)
class Stored:
    """A new post. `sent_id` is the id that it came with, where that could not be kept."""

    post_id: int
    number: int
    message_id: str
    sent_id: str | None
    date: datetime


_BY_ID = select(post_table.c.message_id, post_table.c.id, post_table.c.content_hash).where(
    post_table.c.community_id == bindparam("community"),
    post_table.c.message_id.in_(bindparam("wanted", expanding=True)),
)
_NUMBER = (
    update(community_table)
    .where(community_table.c.id == bindparam("community"))
    .values(last_number=community_table.c.last_number + bindparam("many"))
    .returning(community_table.c.last_number, community_table.c.language)
)
_BLOB = {
    "sqlite": sqlite.insert(blob_table).on_conflict_do_nothing(),
    "postgresql": postgresql.insert(blob_table).on_conflict_do_nothing(),
}
_POST = insert(post_table).returning(post_table.c.id)
_BLOB_OF = select(post_table.c.blob_hash).where(post_table.c.id == bindparam("post"))
_DATA = select(blob_table.c.data).where(blob_table.c.hash == bindparam("hash"))
_ATTACHMENT = insert(attachment_table)
_THREAD = update(post_table).where(post_table.c.id == bindparam("post")).values(thread_id=bindparam("thread"))


class Writes:
    """Rows that posts of one transaction bring along and that nobody reads before its end: written together by `flush`.

    A statement for many rows costs little more than one for a single row.
    """

    def __init__(self) -> None:
        self.blobs: list[dict[str, object]] = []
        self.threads: list[dict[str, int]] = []
        self.attachments: list[dict[str, object]] = []
        self.index: list[IndexRow] = []

    def flush(self, connection: Connection) -> None:
        """Write what was gathered; to be called before the transaction ends."""
        if self.blobs:
            connection.execute(_BLOB[connection.dialect.name], self.blobs)
        if self.threads:
            connection.execute(_THREAD, self.threads)
        if self.attachments:
            connection.execute(_ATTACHMENT, self.attachments)
        index_rows(connection, self.index)
        for rows in (self.blobs, self.threads, self.attachments, self.index):
            rows.clear()


def packed(raw: bytes) -> Blob:
    """Raw bytes made ready to be kept."""
    return Blob(hashlib.sha256(raw).digest(), len(raw), zlib.compress(raw, _LEVEL))


def own_id(content_hash: bytes, domain: str) -> str:
    """The id that a message gets from us, always the same: its own is missing, illegal or another message's."""
    return f"{content_hash.hex()[:32]}@{domain}"


class Ids:
    """The ids of a community's posts, and what stands under each, as far as one transaction asked for them."""

    def __init__(self, connection: Connection, community_id: int) -> None:
        self._connection, self._community_id = connection, community_id
        self._found: dict[str, tuple[int, bytes] | None] = {}  # None: no such post

    def expect(self, message_ids: Collection[str]) -> None:
        """Look these up together."""
        wanted = [one for one in message_ids if one not in self._found]
        if wanted:
            self._found.update(dict.fromkeys(wanted))
            for row in self._connection.execute(_BY_ID, {"community": self._community_id, "wanted": wanted}):
                self._found[row.message_id] = row.id, bytes(row.content_hash)

    def known(self, message: Incoming, domain: str) -> Known | str:
        """The post that this message is already, or the id under which it is to be stored.

        The same id with other content is another message: whoever sees an id could otherwise suppress the real post.
        """
        own = own_id(message.content_hash, domain)
        for message_id in filter(None, (message.message_id, own)):
            self.expect([message_id])
            found = self._found[message_id]
            if found is None:
                return message_id
            if found[1] == message.content_hash:
                return Known(post_id=found[0], message_id=message_id)
        # 128 bits of the content's own hash: the row can only be this content.
        raise AssertionError("unreachable: an id made from the content names other content")

    def add(self, message_id: str, post_id: int, content_hash: bytes) -> None:
        """Note a post that was stored just now."""
        self._found[message_id] = post_id, content_hash


class Numbers:
    """The next archive numbers of a community in one transaction, which others wait for: so they commit in order."""

    def __init__(self, connection: Connection, community_id: int) -> None:
        self._connection, self._community_id = connection, community_id
        self._left = range(0)
        self._language = ""

    def expect(self, many: int) -> None:
        """Take so many together; what is not needed of them must be given back."""
        self.give_back()
        self._take(many)

    def next(self) -> tuple[int, str]:
        """The next number, and the language of the community."""
        if not self._left:
            self._take(1)
        number, self._left = self._left[0], self._left[1:]
        return number, self._language

    def give_back(self) -> None:
        """Give back those that no post has."""
        if self._left:
            self._take(-len(self._left))

    def _take(self, many: int) -> None:
        values = {"community": self._community_id, "many": many}
        last, self._language = self._connection.execute(_NUMBER, values).one()
        self._left = range(last - many + 1, last + 1)


def add(
    connection: Connection,
    community_id: int,
    message: Incoming,
    blob: Blob,
    *,
    numbers: Numbers,
    message_id: str,
    received_at: datetime,
    via: str,
    writes: Writes,
    from_line: bytes | None = None,
    answers: str | None = None,
) -> Stored:
    """Store a message under `message_id` (from `Ids.known`) with the next archive number; `settle` gives its thread."""
    number, language = numbers.next()
    writes.blobs.append(blob._asdict())
    sent_id = message.message_id if message.message_id != message_id else None
    row = {
        "community_id": community_id,
        "number": number,
        "message_id": message_id,
        "sent_id": sent_id,
        "answers": answers,
        "content_hash": message.content_hash,
        "blob_hash": blob.hash,
        "thread_id": 0,
        "received_at": received_at,
        "via": via,
        "from_line": from_line,
        **derived(message, received_at),
    }
    post_id = connection.execute(_POST, row).scalar_one()
    writes.attachments += attachment_rows(post_id, message)
    writes.index.append(index_row(post_id, message, language))
    return Stored(
        post_id=post_id, number=number, message_id=message_id, sent_id=sent_id, date=believed_date(message, received_at)
    )


def believed_date(message: Incoming, received_at: datetime) -> datetime:
    """When a message was written: what its Date field says where that can be believed, else when it came."""
    date = message.date
    return date if date is not None and date <= received_at + _FUTURE and date.year >= 1970 else received_at


def settle(
    connection: Connection, community_id: int, post_id: int, thread_id: int, merged: Mapping[int, int], writes: Writes
) -> None:
    """Note the thread of a new post, and that other threads became one with it."""
    writes.threads.append({"post": post_id, "thread": thread_id})
    if merged:
        writes.flush(connection)  # posts of this very transaction may be in the threads that end
    for loser, into in merged.items():
        connection.execute(
            update(post_table)
            .where(post_table.c.community_id == community_id, post_table.c.thread_id == loser)
            .values(thread_id=into)
        )


def set_threads(connection: Connection, threads: Sequence[tuple[int, int]]) -> None:
    """Note the thread of each post, as (post id, thread id): after the threads of a community were made anew."""
    if threads:
        connection.execute(_THREAD, [{"post": post_id, "thread": thread_id} for post_id, thread_id in threads])


def refresh(
    connection: Connection, post_id: int, message: Incoming, received_at: datetime, writes: Writes, *, language: str
) -> None:
    """Make all that is derived from a post's raw bytes anew; number, ids and thread stay.

    `language` is that of its community.
    """
    connection.execute(update(post_table).where(post_table.c.id == post_id).values(derived(message, received_at)))
    connection.execute(delete(attachment_table).where(attachment_table.c.post_id == post_id))
    unindex(connection, post_id)
    writes.attachments += attachment_rows(post_id, message)
    writes.index.append(index_row(post_id, message, language))


def derived(message: Incoming, received_at: datetime) -> dict[str, object]:
    """The columns of a post that are made from its raw bytes."""
    return {
        "subject": message.subject,
        "author_name": message.author_name,
        "author_email": message.author_email,
        "recipients": message.recipients,
        "date": believed_date(message, received_at),
        "text": message.text,
        "folds": _encode(message.folds).decode(),
        "attachments": len(message.attachments),
        "has_html": message.has_html,
    }


def exchange(connection: Connection, post_id: int, raw: bytes, content_hash: bytes, message_id: str) -> None:
    """Put other raw bytes in the place of a post's, for an erasure alone; `refresh` makes the rest of it from them.

    The old bytes go where no post has them any more; `message_id` is the post's from now on.
    """
    old = connection.execute(_BLOB_OF, {"post": post_id}).scalar_one()
    blob = packed(raw)
    connection.execute(_BLOB[connection.dialect.name], [blob._asdict()])
    connection.execute(
        update(post_table)
        .where(post_table.c.id == post_id)
        .values(blob_hash=blob.hash, content_hash=content_hash, message_id=message_id, from_line=None)
    )
    unused = ~select(post_table.c.id).where(post_table.c.blob_hash == old).exists()
    connection.execute(delete(blob_table).where(blob_table.c.hash == old, unused))


def unpacked(data: bytes, blob_hash: bytes) -> bytes | None:
    """The raw bytes in a blob; None where they are not those that were stored."""
    try:
        raw = zlib.decompress(data)
    except zlib.error:
        return None
    return raw if hashlib.sha256(raw).digest() == blob_hash else None


def mend(connection: Connection, post_id: int, raw: bytes, writes: Writes) -> bool:
    """Put a post's raw bytes back where they are damaged, and `raw` is what they were; whether that was so."""
    writes.flush(connection)  # the post may be of this very transaction
    blob_hash = hashlib.sha256(raw).digest()
    if bytes(connection.execute(_BLOB_OF, {"post": post_id}).scalar_one()) != blob_hash:
        return False
    data = connection.execute(_DATA, {"hash": blob_hash}).scalar()
    if data is not None and unpacked(data, blob_hash) is not None:
        return False
    connection.execute(delete(blob_table).where(blob_table.c.hash == blob_hash))
    connection.execute(_BLOB[connection.dialect.name], [packed(raw)._asdict()])
    return True


def attachment_rows(post_id: int, message: Incoming) -> list[dict[str, object]]:
    """The rows of a post's attachments."""
    return [
        {
            "post_id": post_id,
            "position": position,
            "filename": filename,
            "content_type": content_type,
            "size": size,
            "hash": digest or None,
        }
        for position, filename, content_type, size, digest in message.attachments
    ]


def index_row(post_id: int, message: Incoming, language: str) -> IndexRow:
    """What is found of a post."""
    return IndexRow(
        post_id=post_id,
        language=language,
        subject=message.subject,
        author=f"{message.author_name} {message.author_email}",
        recipients=message.recipients,
        text=message.text,
        folds=message.folds,
        files=[filename for _, filename, _, _, _ in message.attachments],
    )
