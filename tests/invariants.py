"""What must hold of a site that was cut off: all that was answered is there, once and whole, and nothing is damaged.

For either engine. It kills nothing and sends nothing.
"""

import zlib
from collections.abc import Iterable, Mapping

from sqlalchemy import Connection, Executable, func, select, text

from tests.smtp_sink import Received
from tidings.app import Site
from tidings.database import tables
from tidings.operations.check import check


def must_be_whole(site: Site, readers: int) -> None:
    """Whatever is stored is stored wholly: each post with its place, index, decision and copies for all readers."""
    with site.database.read() as connection:
        posts = _ids(connection, select(tables.post.c.id))
        seen = select(tables.node.c.post_id).where(tables.node.c.post_id.is_not(None))
        accepted = select(tables.decision.c.post_id).where(tables.decision.c.verdict == "accept")
        copies = connection.execute(select(func.count()).select_from(tables.delivery)).scalar_one()
        same("posts with a place", _ids(connection, seen), posts)
        same("posts with an outbox row", _ids(connection, select(tables.outbox.c.post_id)), posts)
        same("posts with a decision", _ids(connection, accepted), posts)
        same("posts in the index", _ids(connection, text("SELECT rowid FROM post_text")), posts)
        same("deliveries", copies, readers * len(posts))
        same("numbers", _ids(connection, select(tables.post.c.number)), list(range(1, len(posts) + 1)))
        same("last number", connection.execute(select(tables.community.c.last_number)).scalar_one(), len(posts))


def must_be_sound(site: Site) -> None:
    """Neither the database nor `tidings check` finds damage."""
    for database in {site.database, site.spool_database} if site.database.dialect == "sqlite" else ():
        with database.read() as connection:
            same("damage", connection.exec_driver_sql("PRAGMA integrity_check").scalar_one(), "ok")
            same("broken references", connection.exec_driver_sql("PRAGMA foreign_key_check").all(), [])
    same("findings of check", list(check(site.database)), [])


def archived(site: Site) -> list[tuple[str, bytes]]:
    """The bare Message-ID and the raw bytes of every post."""
    raw = select(tables.post.c.message_id, tables.blob.c.data)
    with site.database.read() as connection:
        rows = connection.execute(raw.join(tables.blob, tables.blob.c.hash == tables.post.c.blob_hash))
        return [(message_id, zlib.decompress(data)) for message_id, data in rows]


def copies(received: Iterable[Received], sent: Mapping[str, bytes]) -> list[tuple[str, str]]:
    """Message-ID and recipient of each copy that a smart host took; their bodies are those of the raw messages."""
    found = []
    for one in received:
        head, _, body = one.data.partition(b"\r\n\r\n")
        message_id = head.partition(b"\r\nMessage-ID: <")[2].partition(b">")[0].decode()
        same(f"the body of {message_id}", body, sent[message_id].partition(b"\r\n\r\n")[2])
        found += [(message_id, recipient) for recipient in one.recipients]
    return found


def same(what: str, found: object, wanted: object) -> None:
    """Fail, in few words, where they differ."""
    assert found == wanted, f"{what}: {str(found)[:500]} is not {str(wanted)[:500]}"


def _ids(connection: Connection, statement: Executable) -> list[int]:
    return sorted(connection.execute(statement).scalars())
