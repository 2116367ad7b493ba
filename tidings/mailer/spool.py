"""The spool: accepted bytes not yet processed, and what of them waits for a person (held, shunted).

The only writer of the table `spool`, which on SQLite is a file of its own, so that accepting never waits for anything
else. One row is one message to one recipient. It does not look into a message.
"""

import asyncio
import secrets
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from sqlalchemy import Connection, bindparam, delete, func, insert, select, update

from tidings.database.engine import Database
from tidings.database.tables import spool
from tidings.errors import NotFoundError

State = Literal["waiting", "held", "shunted"]
_BATCH = 256
_BATCH_BYTES = 8_000_000


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """A message for one recipient, as it came in. `mail_from` is the return path, empty for the null one."""

    mail_from: str
    recipient: str
    peer: str
    via: str
    received_at: datetime
    raw: bytes


@dataclass(frozen=True, kw_only=True)
class Spooled:
    """An accepted message with its key in the spool; `released` means that a person said: accept it."""

    key: str
    mail_from: str
    recipient: str
    via: str
    received_at: datetime
    released: bool
    raw: bytes


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What lists of held and shunted mail show."""

    key: str
    state: State
    received_at: datetime
    mail_from: str
    recipient: str
    message_id: str | None
    subject: str | None
    reason: str | None
    traceback: str | None


_INSERT = insert(spool)
_WAITING = (
    select(
        spool.c.key,
        spool.c.mail_from,
        spool.c.recipient,
        spool.c.via,
        spool.c.received_at,
        spool.c.released,
        spool.c.raw,
    )
    .where(spool.c.key.in_(bindparam("keys", expanding=True)))
    .order_by(spool.c.id)
)
_SIZES = (
    select(spool.c.key, func.length(spool.c.raw))
    .where(spool.c.state == "waiting")
    .order_by(spool.c.id)
    .limit(bindparam("many"))
)


class Spool:
    """The spool of one site."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(self, messages: Sequence[Accepted], state: State = "waiting", reason: str | None = None) -> list[str]:
        """Keep messages, in one committed and fsynced transaction; returns their keys, in their order."""
        rows = [
            {
                "key": secrets.token_hex(16),
                "state": state,
                "mail_from": message.mail_from,
                "recipient": message.recipient,
                "peer": message.peer,
                "via": message.via,
                "received_at": message.received_at,
                "reason": reason,
                "raw": message.raw,
            }
            for message in messages
        ]
        with self._database.write() as connection:
            connection.execute(_INSERT, rows)
        return [str(row["key"]) for row in rows]

    def waiting(self, limit: int, besides: Collection[str] = ()) -> list[Spooled]:
        """The oldest messages that wait, besides those with these keys, and no more than memory is glad of."""
        keys: list[str] = []
        size = 0
        with self._database.read() as connection:
            for key, length in connection.execute(_SIZES, {"many": limit + len(besides)}):
                if key in besides:
                    continue
                size += length
                if len(keys) == limit or (keys and size > _BATCH_BYTES):
                    break
                keys.append(key)
            return [Spooled(**row._mapping) for row in connection.execute(_WAITING, {"keys": keys})]

    def done(self, keys: Sequence[str]) -> None:
        """Forget messages that are processed; what was decided stands elsewhere."""
        with self._database.write() as connection:
            connection.execute(delete(spool).where(spool.c.key.in_(list(keys))))

    def hold(self, key: str, reason: str, *, message_id: str | None = None, subject: str | None = None) -> None:
        """Let a message wait for a person's decision."""
        self._set(key, state="held", reason=reason, message_id=message_id, subject=subject)

    def shunt(self, key: str, traceback: str) -> None:
        """Put a message aside that we failed on."""
        self._set(key, state="shunted", traceback=traceback)

    def retry(self, key: str) -> None:
        """Process a shunted message again. Raises NotFoundError."""
        self._set(key, state="waiting", traceback=None)

    def release(self, key: str) -> None:
        """Accept a held message: it is processed past the rules that held it. Raises NotFoundError."""
        self._set(key, state="waiting", reason=None, released=True)

    def entry(self, key: str, state: State) -> Entry:
        """The message in this state whose key begins so. Raises NotFoundError where that is not exactly one."""
        found = [entry for entry in self.listing(state) if entry.key.startswith(key)] if key else []
        if len(found) != 1:
            command = "hold" if state == "held" else "shunt"
            raise NotFoundError(
                f"{len(found)} messages that are {state} have the key {key!r}; see `tidings {command} list`."
            )
        return found[0]

    def raw(self, key: str) -> bytes:
        """The bytes of one message. Raises NotFoundError."""
        with self._database.read() as connection:
            found = connection.execute(select(spool.c.raw).where(spool.c.key == key)).scalar()
        if found is None:
            raise NotFoundError(f"No message in the spool has the key {key!r}.")
        return bytes(found)

    def listing(self, state: str | None = None) -> list[Entry]:
        """Messages in a state, or in any, oldest first, without their bytes."""
        columns = [spool.c[name] for name in Entry.__dataclass_fields__]
        query = select(*columns).order_by(spool.c.id)
        with self._database.read() as connection:
            rows = connection.execute(query.where(spool.c.state == state) if state else query)
            return [Entry(**row._mapping) for row in rows]

    def counts(self) -> dict[str, int]:
        """How many messages are in each state."""
        with self._database.read() as connection:
            rows = connection.execute(select(spool.c.state, func.count().label("many")).group_by(spool.c.state))
            return {"waiting": 0, "held": 0, "shunted": 0} | {row.state: row.many for row in rows}

    def _set(self, key: str, **values: object) -> None:
        with self._database.write() as connection:
            _changed(connection, key, values)


def _changed(connection: Connection, key: str, values: dict[str, object]) -> None:
    if not connection.execute(update(spool).where(spool.c.key == key).values(values).returning(spool.c.id)).first():
        raise NotFoundError(f"No message in the spool has the key {key!r}.")


class GroupCommit:
    """Appends to the spool for many connections of one event loop, which share its commits.

    A commit takes about as long for 200 messages as for one; while one runs, the next gathers.
    """

    def __init__(self, spool: Spool, on_commit: Callable[[], None] | None = None) -> None:
        """`on_commit` is called after each commit, from the thread that commits."""
        self._spool = spool
        self._on_commit = on_commit
        self._loop = asyncio.get_running_loop()
        self._gathered = threading.Condition()
        self._pending: list[tuple[Sequence[Accepted], asyncio.Future[None]]] = []
        self._closed = False
        self._thread = threading.Thread(target=self._run, name="spool", daemon=True)
        self._thread.start()

    async def append(self, messages: Sequence[Accepted]) -> None:
        """Return when the messages are committed and fsynced; raises what the database raised."""
        done = self._loop.create_future()
        with self._gathered:
            self._pending.append((messages, done))
            self._gathered.notify()
        await done

    def close(self) -> None:
        """Commit what is pending and end."""
        with self._gathered:
            self._closed = True
            self._gathered.notify()
        self._thread.join()

    def _run(self) -> None:
        while True:
            with self._gathered:
                self._gathered.wait_for(lambda: self._pending or self._closed)
                batch, self._pending = self._pending[:_BATCH], self._pending[_BATCH:]
            if not batch:
                return
            error: Exception | None = None
            try:
                self._spool.append([message for messages, _ in batch for message in messages])
            except Exception as raised:
                error = raised
            if error is None and self._on_commit:
                self._on_commit()
            self._loop.call_soon_threadsafe(_settle, [done for _, done in batch], error)


def _settle(futures: Sequence[asyncio.Future[None]], error: Exception | None) -> None:
    for done in futures:
        if done.done():
            continue
        if error is None:
            done.set_result(None)
        else:
            done.set_exception(error)
