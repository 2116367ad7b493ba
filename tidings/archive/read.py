"""Reads the archive: posts, raw bytes, attachments, threads as they are shown, and what is new since an archive number.

It writes nothing and searches nothing, and it does not ask whether the reader may see what it gives.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol
from zlib import decompress

import msgspec
from sqlalchemy import Connection, Row, Select, bindparam, func, or_, select

from tidings.database.tables import attachment as attachment_table
from tidings.database.tables import blob as blob_table
from tidings.database.tables import community as community_table
from tidings.database.tables import post as post_table
from tidings.errors import NotFoundError
from tidings.threading import nodes
from tidings.threading.tree import arrange


class Folded(Protocol):
    """A text, and what of it is folded: (start, end, kind), half open, in order."""

    @property
    def text(self) -> str: ...
    @property
    def folds(self) -> Sequence[tuple[int, int, str]]: ...


@dataclass(frozen=True, kw_only=True)
class Post:
    """A message of the archive as it is shown; message ids stand without `<>`."""

    id: int
    community_id: int
    number: int  # of the archive, from 1 on
    message_id: str
    sent_id: str | None  # the id it came with, where that could not be kept
    thread_id: int
    subject: str
    author_name: str
    author_email: str
    recipients: str
    date: datetime
    received_at: datetime
    text: str
    folds: tuple[tuple[int, int, str], ...]  # (start, end, kind) in `text`, half open, in order
    via: str
    attachments: int
    has_html: bool


@dataclass(frozen=True, kw_only=True)
class ThreadPost(Post):
    """A post in its thread, and why it stands there."""

    depth: int  # 0: no post above it
    parent: str | None  # message id of the nearest post above it
    why: str


@dataclass(frozen=True, kw_only=True)
class ThreadRoot:
    """The first post of a thread, as a list of threads shows it."""

    message_id: str
    subject: str
    author_name: str
    author_email: str
    date: datetime


@dataclass(frozen=True, kw_only=True)
class ThreadSummary:
    """A thread in a list of threads; `authors` in the order of their first posts."""

    thread_id: int
    root: ThreadRoot
    posts: int
    last_date: datetime
    authors: tuple[str, ...]


@dataclass(frozen=True, kw_only=True)
class Attachment:
    """A part of a message that is not its text; `position` counts MIME parts depth first from 0, `size` is in bytes.

    `sha256` is that of its content; None for a mail inside the mail, and for what came before hashes were kept.
    """

    position: int
    filename: str
    content_type: str
    size: int
    sha256: bytes | None


@dataclass(frozen=True, kw_only=True)
class CopySource:
    """A message as it was received, with its author, and title and settings of its community."""

    message_id: str
    raw: bytes
    title: str
    replies: str  # whom a reply is for
    subject_prefix: str
    footer: str
    author_name: str
    author_email: str


@dataclass(frozen=True, kw_only=True)
class RawPost:
    """A message as it was received, with what an mbox needs to know of it."""

    number: int
    message_id: str
    raw: bytes
    from_line: bytes | None
    sender: str
    date: datetime


_POST = post_table.c
_COLUMNS = (
    _POST.id,
    _POST.community_id,
    _POST.number,
    _POST.message_id,
    _POST.sent_id,
    _POST.thread_id,
    _POST.subject,
    _POST.author_name,
    _POST.author_email,
    _POST.recipients,
    _POST.date,
    _POST.received_at,
    _POST.text,
    _POST.folds,
    _POST.via,
    _POST.attachments,
    _POST.has_html,
)
_NAMES = tuple(column.name for column in _COLUMNS)
# Built once: building a statement costs more than running it.
POSTS: Select[*tuple[Any, ...]] = select(*_COLUMNS)
_IN_COMMUNITY = _POST.community_id == bindparam("community")
_BY_MESSAGE_ID = POSTS.where(_IN_COMMUNITY, _POST.message_id == bindparam("message_id"))
_BY_ID = POSTS.where(_POST.id == bindparam("post"))
_OF_THREAD = POSTS.where(_IN_COMMUNITY, _POST.thread_id == bindparam("thread"))
_TOLD = (
    POSTS.where(_IN_COMMUNITY, _POST.number > bindparam("after"), _POST.number <= bindparam("up_to"))
    .where(_POST.via != "import")
    .order_by(_POST.number)
)
_NEWEST = POSTS.where(_IN_COMMUNITY).order_by(_POST.date.desc(), _POST.id.desc()).limit(bindparam("many"))
_RAW = (
    select(blob_table.c.data)
    .join(post_table, _POST.blob_hash == blob_table.c.hash)
    .where(_POST.id == bindparam("post"))
)
_COPY_SOURCE = (
    select(
        _POST.message_id,
        _POST.author_name,
        _POST.author_email,
        blob_table.c.data,
        community_table.c.title,
        community_table.c.replies,
        community_table.c.subject_prefix,
        community_table.c.footer,
    )
    .join(blob_table, _POST.blob_hash == blob_table.c.hash)
    .join(community_table, community_table.c.id == _POST.community_id)
    .where(_POST.id == bindparam("post"))
)
_RAWS = (
    select(_POST.number, _POST.message_id, blob_table.c.data, _POST.from_line, _POST.author_email, _POST.date)
    .join(blob_table, _POST.blob_hash == blob_table.c.hash)
    .where(_IN_COMMUNITY, _POST.number > bindparam("after"))
    .order_by(_POST.number)
    .limit(bindparam("many"))
)
_ATTACHMENTS = (
    select(
        attachment_table.c.post_id,
        attachment_table.c.position,
        attachment_table.c.filename,
        attachment_table.c.content_type,
        attachment_table.c.size,
        attachment_table.c.hash,
    )
    .where(attachment_table.c.post_id.in_(bindparam("posts", expanding=True)))
    .order_by(attachment_table.c.post_id, attachment_table.c.position)
)
_ACTIVITY = (
    select(_POST.date, _POST.thread_id)
    .where(_IN_COMMUNITY)
    .order_by(_POST.date.desc(), _POST.thread_id.desc())
    .limit(bindparam("many"))
)
_OLDER_ACTIVITY = _ACTIVITY.where(
    or_(
        _POST.date < bindparam("date"),
        (_POST.date == bindparam("date")) & (_POST.thread_id < bindparam("thread")),
    ),
    _POST.date <= bindparam("date"),  # said again alone, so that the index is entered there
)
_OF_THREADS = (_IN_COMMUNITY, _POST.thread_id.in_(bindparam("threads", expanding=True)))
_LAST_DATES_OF = select(
    community_table.c.id,
    # By community one step in the index; as a GROUP BY it would read every post's entry.
    select(func.max(_POST.date)).where(_POST.community_id == community_table.c.id).scalar_subquery(),
).where(community_table.c.id.in_(bindparam("communities", expanding=True)))
_LAST_DATES = select(_POST.thread_id, func.max(_POST.date)).where(*_OF_THREADS).group_by(_POST.thread_id)
_AUTHORS = (
    select(_POST.thread_id, _POST.author_name, _POST.author_email, func.count(), func.max(_POST.date))
    .where(*_OF_THREADS)
    .group_by(_POST.thread_id, _POST.author_name, _POST.author_email)
    .order_by(_POST.thread_id, func.min(_POST.date), _POST.author_email)
)
_RANKED = (
    select(
        _POST.thread_id,
        _POST.message_id,
        _POST.subject,
        _POST.author_name,
        _POST.author_email,
        _POST.date,
        func.row_number().over(partition_by=_POST.thread_id, order_by=(_POST.date, _POST.message_id)).label("place"),
    )
    .where(*_OF_THREADS)
    .subquery()
)
_FIRST_POSTS = select(_RANKED).where(_RANKED.c.place == 1)
_FOLDS = msgspec.json.Decoder(tuple[tuple[int, int, str], ...])


def as_post(row: Row[*tuple[Any, ...]]) -> Post:
    """The post in a row of `POSTS`; a row may have more columns behind."""
    return Post(**_fields(row))


def _fields(row: Row[*tuple[Any, ...]]) -> dict[str, Any]:
    fields: dict[str, Any] = dict(zip(_NAMES, row, strict=False))
    fields["folds"] = _FOLDS.decode(fields["folds"])
    return fields


def pieces(shown: Folded) -> Iterator[tuple[str, str]]:
    """The text of a post in its order as (kind, piece): `own` for what the author wrote, else the kind of the fold."""
    at = 0
    for start, end, kind in shown.folds:
        if start > at:
            yield "own", shown.text[at:start]
        if end > max(start, at):
            yield kind, shown.text[max(start, at) : end]
        at = max(at, end)
    if at < len(shown.text):
        yield "own", shown.text[at:]


def own_text(shown: Folded) -> str:
    """What the author of a post wrote: no quotes, no signature."""
    return "\n\n".join(piece for kind, piece in pieces(shown) if kind == "own")


def post(connection: Connection, community_id: int, message_id: str) -> Post | None:
    """The post of a community that has this message id (without `<>`), or None."""
    row = connection.execute(_BY_MESSAGE_ID, {"community": community_id, "message_id": message_id}).first()
    return None if row is None else as_post(row)


def post_by_id(connection: Connection, post_id: int) -> Post | None:
    """The post with this id, or None."""
    row = connection.execute(_BY_ID, {"post": post_id}).first()
    return None if row is None else as_post(row)


def known(connection: Connection, community_id: int, message_ids: Iterable[str]) -> frozenset[str]:
    """Which of these message ids are those of posts of a community."""
    query = select(_POST.message_id).where(_POST.community_id == community_id, _POST.message_id.in_(list(message_ids)))
    return frozenset(connection.execute(query).scalars())


def anywhere(connection: Connection, message_id: str) -> Post | None:
    """The first post of any community with this message id, or that came with it; or None."""
    same = or_(_POST.message_id == message_id, _POST.sent_id == message_id)
    row = connection.execute(POSTS.where(same).order_by(_POST.id)).first()
    return None if row is None else as_post(row)


def headings(connection: Connection, community_id: int) -> dict[int, tuple[str, str]]:
    """Subject and author of every post of a community, by post id."""
    rows = connection.execute(
        select(_POST.id, _POST.subject, _POST.author_name).where(_POST.community_id == community_id)
    )
    return {post_id: (subject, author) for post_id, subject, author in rows}


def raw(connection: Connection, post_id: int) -> bytes:
    """A post's bytes as they were received. Raises NotFoundError where there is no such post."""
    data = connection.execute(_RAW, {"post": post_id}).scalar()
    if data is None:
        raise NotFoundError(f"There is no post {post_id} in the archive.")
    return decompress(data)


def copy_source(connection: Connection, post_id: int) -> CopySource:
    """What the copies of a post are made from. Raises NotFoundError where there is no such post."""
    row = connection.execute(_COPY_SOURCE, {"post": post_id}).first()
    if row is None:
        raise NotFoundError(f"There is no post {post_id} in the archive.")
    return CopySource(
        message_id=row.message_id,
        raw=decompress(row.data),
        title=row.title,
        replies=row.replies,
        subject_prefix=row.subject_prefix,
        footer=row.footer,
        author_name=row.author_name,
        author_email=row.author_email,
    )


def raw_posts(connection: Connection, community_id: int, *, after: int = 0, limit: int = 100) -> list[RawPost]:
    """At most `limit` messages of a community as received, by archive number, from the one behind `after` on."""
    rows = connection.execute(_RAWS, {"community": community_id, "after": after, "many": limit})
    return [
        RawPost(number=number, message_id=bare, raw=decompress(data), from_line=from_line, sender=sender, date=date)
        for number, bare, data, from_line, sender, date in rows
    ]


def attachments(connection: Connection, post_ids: Iterable[int]) -> dict[int, list[Attachment]]:
    """The attachments of some posts by post id, in the order of their parts; a post without any is not in it."""
    found: dict[int, list[Attachment]] = {}
    wanted = list(post_ids)
    if not wanted:
        return found
    for post_id, position, filename, content_type, size, sha256 in connection.execute(_ATTACHMENTS, {"posts": wanted}):
        made = Attachment(position=position, filename=filename, content_type=content_type, size=size, sha256=sha256)
        found.setdefault(post_id, []).append(made)
    return found


def thread(connection: Connection, community_id: int, thread_id: int) -> list[ThreadPost]:
    """The posts of a thread, depth first, siblings by date and then by message id; empty where there is no such thread.

    Ghosts are not shown: what stands under one stands at the ghost's depth.
    """
    rows = connection.execute(_OF_THREAD, {"community": community_id, "thread": thread_id}).all()
    by_id = {row.id: row for row in rows}
    return [
        ThreadPost(
            **_fields(by_id[branch.node.post_id]),
            depth=branch.depth,
            parent=branch.parent.message_id if branch.parent else None,
            why="loop" if branch.cut else branch.node.why,
        )
        for branch in arrange(nodes.thread(connection, community_id, thread_id))
        if branch.node.post_id in by_id
    ]


def newest(connection: Connection, community_id: int, limit: int) -> list[Post]:
    """The newest posts of a community by date, newest first."""
    return [as_post(row) for row in connection.execute(_NEWEST, {"community": community_id, "many": limit})]


def last_dates(connection: Connection, community_ids: Sequence[int]) -> dict[int, datetime]:
    """The date of the newest post of each community; one without posts is not in it."""
    rows = connection.execute(_LAST_DATES_OF, {"communities": list(community_ids)})
    return {community_id: last_date for community_id, last_date in rows if last_date}


def told_between(connection: Connection, community_id: int, after: int, up_to: int) -> list[Post]:
    """The posts whose archive number is in (after, up_to], in that order; what was imported is never told."""
    rows = connection.execute(_TOLD, {"community": community_id, "after": after, "up_to": up_to})
    return [as_post(row) for row in rows]


def threads(
    connection: Connection, community_id: int, *, limit: int, before: tuple[datetime, int] | None = None
) -> list[ThreadSummary]:
    """At most `limit` threads of a community, the one with the newest post first.

    `before` is (last_date, thread_id) of the last thread of the page before.
    """
    newest_ids: list[int] = []
    for batch in _thread_ids(connection, community_id, limit, before):
        newest_ids += batch
        if len(newest_ids) >= limit:
            break
    return _summaries(connection, community_id, newest_ids[:limit])


def _thread_ids(
    connection: Connection, community_id: int, limit: int, before: tuple[datetime, int] | None
) -> Iterator[list[int]]:
    """Threads by activity, in batches: posts are walked newest first, so that a page does not read all of them."""
    seen: set[int] = set()
    many, at = max(limit, 1) * 4, before
    while True:
        rows = _activity(connection, community_id, many, at)
        batch = [thread_id for thread_id in dict.fromkeys(row[1] for row in rows) if thread_id not in seen]
        seen.update(batch)
        if before is not None:
            batch = _not_newer(connection, community_id, batch, before)
        yield batch
        if len(rows) < many:
            return
        at, many = rows[-1], many * 2


def _activity(
    connection: Connection, community_id: int, many: int, at: tuple[datetime, int] | None
) -> list[tuple[datetime, int]]:
    values: dict[str, Any] = {"community": community_id, "many": many}
    if at is None:
        rows = connection.execute(_ACTIVITY, values)
    else:
        rows = connection.execute(_OLDER_ACTIVITY, values | {"date": at[0], "thread": at[1]})
    return [(date, thread_id) for date, thread_id in rows]


def _not_newer(
    connection: Connection, community_id: int, thread_ids: Sequence[int], before: tuple[datetime, int]
) -> list[int]:
    """Those that were not on a page before: a thread is met again at each of its older posts."""
    rows = connection.execute(_LAST_DATES, {"community": community_id, "threads": list(thread_ids)})
    last_dates = {row[0]: row[1] for row in rows}
    return [thread_id for thread_id in thread_ids if (last_dates[thread_id], thread_id) < before]


def _summaries(connection: Connection, community_id: int, thread_ids: Sequence[int]) -> list[ThreadSummary]:
    values = {"community": community_id, "threads": list(thread_ids)}
    roots = {
        row.thread_id: ThreadRoot(
            message_id=row.message_id,
            subject=row.subject,
            author_name=row.author_name,
            author_email=row.author_email,
            date=row.date,
        )
        for row in connection.execute(_FIRST_POSTS, values)
    }
    authors: dict[int, list[tuple[str, int, datetime]]] = {}
    for thread_id, name, email, count, last_date in connection.execute(_AUTHORS, values):
        authors.setdefault(thread_id, []).append((name or email, count, last_date))
    return [
        ThreadSummary(
            thread_id=thread_id,
            root=roots[thread_id],
            posts=sum(count for _, count, _ in authors[thread_id]),
            last_date=max(last_date for _, _, last_date in authors[thread_id]),
            authors=tuple(dict.fromkeys(name for name, _, _ in authors[thread_id])),
        )
        for thread_id in thread_ids
    ]
