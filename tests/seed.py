"""Rows for tests that only read: communities, members and posts, written straight into the tables.

What it writes is consistent (node, blob, post, attachments, index), but it went through no mail:
tests of the way in do not use it.
"""

import hashlib
import json
import zlib
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, insert, select, update

from tidings.archive import text_index
from tidings.database import tables

START = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)


@dataclass(frozen=True, kw_only=True)
class Seeded:
    """A post that was written, or a ghost where `id` is None."""

    id: int | None
    node_id: int
    thread_id: int
    number: int
    message_id: str


def community(connection: Connection, name: str = "pump", **values: object) -> int:
    """A community; its id."""
    row = {"name": name, "title": f"{name.title()} people", "zone": "Europe/Berlin", "created_at": START} | values
    return connection.execute(insert(tables.community).values(row)).inserted_primary_key[0]


def member(connection: Connection, community_id: int, email: str, **values: object) -> int:
    """A person with one address, and a membership; its id."""
    person = connection.execute(
        insert(tables.person).values(name=values.pop("name", email.split("@")[0].title()), created_at=START)
    ).inserted_primary_key[0]
    address = connection.execute(
        insert(tables.address).values(person_id=person, email=email, email_key=email.lower())
    ).inserted_primary_key[0]
    row = {"role": "member", "delivery": "each", "cursor": 0, "joined_at": START, "left_at": None} | values
    return connection.execute(
        insert(tables.membership).values(community_id=community_id, person_id=person, address_id=address, **row)
    ).inserted_primary_key[0]


def post(
    connection: Connection,
    community_id: int,
    *,
    message_id: str | None = None,
    parent: Seeded | None = None,
    subject: str = "A seal that leaks",
    author: tuple[str, str] = ("Maria Lindgren", "maria@example.org"),
    recipients: str = "pump@lists.example.org",
    text: str = "The seal of pump 4 leaks again.\n",
    folds: tuple[tuple[int, int, str], ...] = (),
    date: datetime | None = None,
    raw: bytes | None = None,
    via: str = "smtp",
    attachments: tuple[tuple[int, str, str, int], ...] = (),
    from_line: bytes | None = None,
    why: str | None = None,
    has_html: bool = False,
) -> Seeded:
    """A post under `parent`; attachments are (position, filename, content type, size): the same name and size are the
    same file."""
    number = connection.execute(
        update(tables.community)
        .where(tables.community.c.id == community_id)
        .values(last_number=tables.community.c.last_number + 1)
        .returning(tables.community.c.last_number)
    ).scalar_one()
    message_id = message_id or f"{number}.{community_id}@example.org"
    date = date or START + timedelta(hours=number)
    node_id, thread_id = _node(connection, community_id, message_id, parent, why, date)
    if raw is None:
        raw = f"Message-ID: <{message_id}>\r\nSubject: A subject\r\n\r\n".encode() + text.encode("utf-8", "replace")
    row = {
        "community_id": community_id,
        "number": number,
        "message_id": message_id,
        "content_hash": hashlib.sha256(raw).digest(),
        "blob_hash": _blob(connection, raw),
        "thread_id": thread_id,
        "subject": subject,
        "author_name": author[0],
        "author_email": author[1],
        "recipients": recipients,
        "date": date,
        "received_at": date,
        "text": text,
        "folds": json.dumps(folds),
        "via": via,
        "from_line": from_line,
        "attachments": len(attachments),
        "has_html": has_html,
    }
    post_id = connection.execute(insert(tables.post).values(row)).inserted_primary_key[0]
    connection.execute(update(tables.node).where(tables.node.c.id == node_id).values(post_id=post_id))
    for position, filename, content_type, size in attachments:
        connection.execute(
            insert(tables.attachment).values(
                post_id=post_id,
                position=position,
                filename=filename,
                content_type=content_type,
                size=size,
                hash=hashlib.sha256(f"{filename} {size}".encode()).digest(),
            )
        )
    row = text_index.IndexRow(
        post_id=post_id,
        language=connection.execute(select(tables.community.c.language).filter_by(id=community_id)).scalar_one(),
        subject=subject,
        author=" ".join(author),
        recipients=recipients,
        text=text,
        folds=folds,
        files=[filename for _, filename, _, _ in attachments],
    )
    text_index.index_row(connection, row)
    return Seeded(id=post_id, node_id=node_id, thread_id=thread_id, number=number, message_id=message_id)


def found(connection: Connection, community_id: int, message_id: str) -> Seeded:
    """A post that was written before, to put others under it."""
    node, post = tables.node.c, tables.post.c
    row = connection.execute(
        select(post.id, node.id.label("node_id"), node.thread_id, post.number, post.message_id)
        .join(tables.post, post.id == node.post_id)
        .where(node.community_id == community_id, node.message_id == message_id)
    ).one()
    return Seeded(**row._mapping)


def ghost(connection: Connection, community_id: int, message_id: str, parent: Seeded | None = None) -> Seeded:
    """A message that is referred to but was never seen."""
    node_id, thread_id = _node(connection, community_id, message_id, parent, "ghost", None)
    return Seeded(id=None, node_id=node_id, thread_id=thread_id, number=0, message_id=message_id)


def _node(
    connection: Connection,
    community_id: int,
    message_id: str,
    parent: Seeded | None,
    why: str | None,
    date: datetime | None,
) -> tuple[int, int]:
    node_id = connection.execute(
        insert(tables.node).values(
            community_id=community_id,
            message_id=message_id,
            thread_id=parent.thread_id if parent else 0,
            parent_id=parent.node_id if parent else None,
            parent_rank=0 if parent else None,
            why=why or ("in-reply-to" if parent else "root"),
            date=date,
        )
    ).inserted_primary_key[0]
    thread_id = parent.thread_id if parent else node_id
    connection.execute(update(tables.node).where(tables.node.c.id == node_id).values(thread_id=thread_id))
    return node_id, thread_id


def _blob(connection: Connection, raw: bytes) -> bytes:
    digest = hashlib.sha256(raw).digest()
    if connection.execute(select(tables.blob.c.size).where(tables.blob.c.hash == digest)).first() is None:
        connection.execute(insert(tables.blob).values(hash=digest, size=len(raw), data=zlib.compress(raw)))
    return digest
