"""The archive as it was received, as an mbox or a Maildir.

It exports raw bytes only; what is derived from them is not in it.
"""

from collections.abc import Iterator
from pathlib import Path

from tidings.archive import mbox, read
from tidings.archive.read import RawPost
from tidings.database.engine import Database

_BATCH = 100


def posts(database: Database, community_id: int) -> Iterator[RawPost]:
    """Every message of a community by archive number, a few at a time in memory."""
    after = 0
    while True:
        with database.read() as connection:
            batch = read.raw_posts(connection, community_id, after=after, limit=_BATCH)
        if not batch:
            return
        yield from batch
        after = batch[-1].number


def to_mbox(database: Database, community_id: int, path: Path) -> Iterator[int]:
    """Write an mbox (mboxrd), byte for byte for what came from an mbox; yields the number of each message written.

    The file is complete or not there at all.
    """
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        for post in posts(database, community_id):
            file.write(mbox.entry(post.raw, from_line=post.from_line, sender=post.sender, date=post.date))
            yield post.number
    part.replace(path)


def to_maildir(database: Database, community_id: int, folder: Path) -> Iterator[int]:
    """Write a Maildir, byte for byte; a repeated export overwrites and doubles nothing."""
    for post in posts(database, community_id):
        mbox.write_maildir(folder, post.raw, mbox.maildir_name(post.number, post.raw))
        yield post.number
