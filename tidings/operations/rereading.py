"""Posts read again from their raw bytes, a batch at a time, as they would be archived today.

It writes nothing; what becomes of what it finds is for `check`, `compare` and a rebuild.
"""

from collections.abc import Iterator
from datetime import datetime

import msgspec
from sqlalchemy import Connection, bindparam, func, select

from tidings.archive import store
from tidings.database.engine import Database
from tidings.database.tables import blob, post
from tidings.intake.filing import Related, arrival_of, as_item_reply
from tidings.mailer.parsed import ParsedMessage
from tidings.mailer.worker import ParseWorker, Readable
from tidings.settings import Settings
from tidings.threading.place import Arrival

ALL = 1 << 62
"""An archive number that no post will have."""

_BATCH = 200  # posts in memory at once


# Made for each post of a rebuild: a dataclass of as many fields takes ten times as long.
class Row(msgspec.Struct, frozen=True, kw_only=True):
    """A post as it is stored, with its blob; `data` is None where that is gone."""

    id: int
    number: int
    message_id: str
    subject: str
    author_email: str
    recipients: str
    text: str
    folds: str
    answers: str | None
    date: datetime
    received_at: datetime
    data: bytes | None
    blob_hash: bytes


_ROWS = (
    select(
        post.c.id,
        post.c.number,
        post.c.message_id,
        post.c.subject,
        post.c.author_email,
        post.c.recipients,
        post.c.text,
        post.c.folds,
        post.c.answers,
        post.c.date,
        post.c.received_at,
        blob.c.data,
        post.c.blob_hash,
    )
    .outerjoin(blob, blob.c.hash == post.c.blob_hash)
    .where(post.c.community_id == bindparam("community"))
    .where(post.c.number > bindparam("after"), post.c.number <= bindparam("up_to"))
    .order_by(post.c.number)
    .limit(_BATCH)
)


def raw_of(row: Row) -> bytes | None:
    """The raw bytes of a post; None where they are damaged or gone."""
    return None if row.data is None else store.unpacked(row.data, row.blob_hash)


def reread(batch: list[Row], worker: ParseWorker) -> list[tuple[Row, ParsedMessage | None]]:
    """Each post with its message; None where that cannot be read any more, and what is stored of it stays."""
    raws = [raw_of(row) for row in batch]
    outcomes = iter(list(worker.parse_many([raw for raw in raws if raw is not None])))
    return [
        (row, outcome.message if raw is not None and isinstance(outcome := next(outcomes), Readable) else None)
        for row, raw in zip(batch, raws, strict=True)
    ]


def arrival(row: Row, message: Related | None, settings: Settings) -> Arrival:
    """What `place` wants to know of a post; `message` is as it is archived."""
    if message is None:  # it could be read when it was stored; now it stands alone, and is not lost
        return Arrival(message_id=row.message_id, post_id=row.id, date=row.date, candidates=())
    date = store.believed_date(message, row.received_at) if isinstance(message, ParsedMessage) else row.date
    return arrival_of(message, settings, message_id=row.message_id, post_id=row.id, date=date, answers=row.answers)


def as_archived(row: Row, message: ParsedMessage) -> ParsedMessage:
    """A message as it stands in the archive."""
    if row.answers is None:
        return message
    # Which of its words were the member's own was decided when it came; the subject is its thread's.
    return as_item_reply(message, row.text, row.subject)


def batches(database: Database, community_id: int, after: int = 0, up_to: int = ALL) -> Iterator[list[Row]]:
    """The posts of a community after an archive number, and up to one, by their numbers."""
    while after < up_to:
        with database.read() as connection:
            rows = connection.execute(_ROWS, {"community": community_id, "after": after, "up_to": up_to}).all()
            batch = [Row(**dict(zip(Row.__struct_fields__, row, strict=True))) for row in rows]
        if not batch:
            return
        yield batch
        after = batch[-1].number


def newest(connection: Connection, community_id: int) -> int:
    """The newest archive number of a community."""
    found: int | None = connection.execute(
        select(func.max(post.c.number)).where(post.c.community_id == community_id)
    ).scalar()
    return found or 0
