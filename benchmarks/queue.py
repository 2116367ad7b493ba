"""What the outbox costs a copy, however much waits in it, and what a post to 100,000 members takes.

The rows of members and of what waits are written straight into the tables; claiming, recording and queuing are the
program's own.
"""

import contextlib
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from msgspec.structs import replace
from sqlalchemy import Connection, insert, select

from tidings.app import open_site
from tidings.communities import joining
from tidings.database import tables
from tidings.database.engine import Database
from tidings.mailer import outbox
from tidings.settings import DatabaseSettings, Settings, SiteSettings

_NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
_LEASE = timedelta(minutes=15)
_BATCH = 200
_BATCHES = 100
_ROWS = 20_000  # written at a time
_SECONDS = 2.0


def costs(folder: Path, *waiting: int) -> list[float]:
    """Microseconds of CPU for a copy that is claimed and recorded, with each of these numbers of deliveries waiting.

    A site for each, and a batch of each in turn, so that a machine that becomes slower meanwhile does so for all. As
    many as were claimed are put behind the others again, which does not count.
    """
    with contextlib.ExitStack() as stack:
        databases = [_queue(folder / str(many), many, stack) for many in waiting]
        for database in databases:
            _send(database)  # what the first costs more is not what is measured
        seconds = [0.0] * len(databases)
        for number in range(_BATCHES):
            for place, database in enumerate(databases):
                began = time.process_time()
                _send(database)
                seconds[place] += time.process_time() - began
                fill(database, _BATCH, first=waiting[place] + number * _BATCH)
    return [each / _BATCHES / _BATCH * 1e6 for each in seconds]


def _queue(folder: Path, waiting: int, stack: contextlib.ExitStack) -> Database:
    site = open_site(Settings(site=SiteSettings(data_dir=str(folder))))
    stack.callback(site.close)
    with site.database.write() as connection:
        _post(connection)
        mail = {"community_id": 1, "post_id": 1, "kind": "post", "mail_from": "bench@lists.example.org"}
        connection.execute(insert(tables.outbox).values(**mail, created_at=_NOW))
    fill(site.database, waiting)
    return site.database


def _send(database: Database) -> None:
    """Claim a batch, and record that it was sent."""
    with database.write() as connection:
        batch = outbox.claim(connection, _NOW, _BATCH, _LEASE)
        outcomes = [outbox.Outcome(claimed=one, result="sent", reply="250 2.0.0 taken") for one in batch]
        outbox.record(connection, outcomes, _NOW)
    if len(batch) < _BATCH:
        raise RuntimeError(f"{len(batch)} were claimed, not {_BATCH}")


def fill(database: Database, waiting: int, membership_id: int | None = None, first: int = 0) -> None:
    """So many more deliveries of the first mail in the outbox, all due, to that member; their numbers from `first`."""
    end = first + waiting
    for begin in range(first, end, _ROWS):
        numbers = range(begin, min(begin + _ROWS, end))
        rows = [{**_delivery(number), "membership_id": membership_id} for number in numbers]
        with database.write() as connection:
            connection.execute(insert(tables.delivery), rows)


def queuing(folder: Path, members: int, url: str = "") -> float:
    """Seconds until a post to so many members is in the outbox, committed; on SQLite, or in the database of a URL."""
    settings = Settings(site=SiteSettings(data_dir=str(folder)))
    if url:
        settings = replace(settings, database=DatabaseSettings(url=url))
    site = open_site(settings)
    with site.database.write() as connection:
        _post(connection)
        add_members(connection, members)
    began = time.monotonic()
    with site.database.write() as connection:
        queued = outbox.add_post(connection, community_id=1, post_id=1, mail_from="bench@lists.example.org", now=_NOW)
    seconds = time.monotonic() - began
    site.close()
    if queued != members:
        raise RuntimeError(f"{queued} of {members} copies were queued")
    return seconds


def add_members(connection: Connection, members: int, prefix: str = "many") -> None:
    """So many members of the first community, who get each post."""
    first = 1 + (connection.execute(select(tables.person.c.id).order_by(tables.person.c.id.desc())).scalar() or 0)
    numbers = range(first, first + members)
    address = 1 + (connection.execute(select(tables.address.c.id).order_by(tables.address.c.id.desc())).scalar() or 0)
    for begin in range(0, members, _ROWS):
        part = numbers[begin : begin + _ROWS]
        connection.execute(insert(tables.person), [{"id": one, "name": "", "created_at": _NOW} for one in part])
        emails = [f"{prefix}{one}@example.org" for one in part]
        shift = address - first
        connection.execute(
            insert(tables.address),
            [
                {"id": one + shift, "person_id": one, "email": email, "email_key": email}
                for one, email in zip(part, emails, strict=True)
            ],
        )
        row = {"community_id": 1, "role": "member", "delivery": "each", "cursor": 0, "joined_at": _NOW}
        connection.execute(
            insert(tables.membership), [{**row, "person_id": one, "address_id": one + shift} for one in part]
        )


def write_key(path: Path) -> None:
    """A new RSA key of 2,048 bits."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    form, plain = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    path.write_bytes(key.private_bytes(serialization.Encoding.PEM, form, plain))


def signatures() -> float:
    """RSA-2048 signatures a second by OpenSSL, one after the other."""
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    done, began = 0, time.monotonic()
    while time.monotonic() - began < _SECONDS:
        key.sign(b"x" * 32, padding.PKCS1v15(), hashes.SHA256())
        done += 1
    return done / (time.monotonic() - began)


def _post(connection: Connection) -> None:
    """A community with one post."""
    joining.add_community(connection, name="bench", title="Bench", zone="UTC", now=_NOW)
    connection.execute(insert(tables.blob).values(hash=b"h" * 32, size=0, data=b""))
    connection.execute(
        insert(tables.post).values(
            community_id=1,
            number=1,
            message_id="one@example.org",
            content_hash=b"h" * 32,
            blob_hash=b"h" * 32,
            thread_id=1,
            subject="",
            author_name="",
            author_email="",
            recipients="",
            date=_NOW,
            received_at=_NOW,
            text="",
            folds="[]",
            via="smtp",
        )
    )


def _delivery(number: int) -> dict[str, object]:
    return {
        "outbox_id": 1,
        "recipient": f"many{number}@example.org",
        "state": "queued",
        "attempts": 0,
        "due_at": _NOW,
        "changed_at": _NOW,
    }
