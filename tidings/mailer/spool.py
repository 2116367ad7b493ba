"""The spool: accepted bytes not yet processed, and what of them waits for a person (held, shunted).

The only writer of the table `spool`, which on SQLite is a file of its own, so that accepting never waits for anything
else. One row is one message to one recipient. It does not look into a message.
"""

import asyncio
import secrets
import threading
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

from sqlalchemy import Connection, bindparam, delete, func, insert, or_, select, update

from tidings.database.engine import Database
from tidings.database.tables import spool
from tidings.errors import NotFoundError

State = Literal["waiting", "held", "shunted"]
CLAIM = timedelta(minutes=30)
"""How long a message is one person's to decide on."""

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
    """An accepted message with its key in the spool; `released` means that a person, `decided_by`, said: accept it."""

    key: str
    mail_from: str
    recipient: str
    peer: str  # who handed it over
    via: str
    received_at: datetime
    released: bool
    decided_by: str | None
    raw: bytes


@dataclass(frozen=True, kw_only=True)
class Entry:
    """What lists of held and shunted mail show."""

    key: str
    state: State
    via: str
    received_at: datetime
    mail_from: str
    recipient: str
    message_id: str | None
    subject: str | None
    author: str | None
    community: str | None
    reason: str | None
    traceback: str | None
    size: int  # bytes


_INSERT = insert(spool)
_WAITING = (
    select(
        spool.c.key,
        spool.c.mail_from,
        spool.c.recipient,
        spool.c.peer,
        spool.c.via,
        spool.c.received_at,
        spool.c.released,
        spool.c.claimed_by.label("decided_by"),
        spool.c.raw,
    )
    .where(spool.c.key.in_(bindparam("keys", expanding=True)))
    .order_by(spool.c.id)
)
_SIZE = func.length(spool.c.raw).label("size")
_ENTRY = tuple(_SIZE if name == "size" else spool.c[name] for name in Entry.__dataclass_fields__)
_SIZES = (
    select(spool.c.key, func.length(spool.c.raw))
    .where(spool.c.state == "waiting")
    .order_by(spool.c.id)
    .limit(bindparam("many"))
)


def keep(
    connection: Connection,
    messages: Sequence[Accepted],
    *,
    state: State = "waiting",
    reason: str | None = None,
    message_id: str | None = None,
    subject: str | None = None,
    author: str | None = None,
    community: str | None = None,
) -> list[str]:
    """Keep messages in the caller's transaction; returns their keys, in their order.

    They are accepted when that is committed. The last four are what lists of held mail show.
    """
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
            "message_id": message_id,
            "subject": subject,
            "author": author,
            "community": community,
            "raw": message.raw,
        }
        for message in messages
    ]
    connection.execute(_INSERT, rows)
    return [str(row["key"]) for row in rows]


class Spool:
    """The spool of one site."""

    def __init__(self, database: Database) -> None:
        self._database = database

    def append(
        self,
        messages: Sequence[Accepted],
        state: State = "waiting",
        reason: str | None = None,
        *,
        message_id: str | None = None,
        community: str | None = None,
    ) -> list[str]:
        """Keep messages, in one committed and fsynced transaction; returns their keys, in their order."""
        with self._database.write() as connection:
            return keep(connection, messages, state=state, reason=reason, message_id=message_id, community=community)

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

    def hold(
        self,
        key: str,
        reason: str,
        *,
        message_id: str | None = None,
        subject: str | None = None,
        author: str | None = None,
        community: str | None = None,
    ) -> None:
        """Let a message wait for a person's decision; `author` is its From address, `community` the name of one."""
        self._set(
            key,
            state="held",
            reason=reason,
            message_id=message_id,
            subject=subject,
            author=author,
            community=community,
        )

    def shunt(self, key: str, traceback: str) -> None:
        """Put a message aside that we failed on."""
        self._set(key, state="shunted", traceback=traceback)

    def retry(self, key: str) -> None:
        """Process a shunted message again. Raises NotFoundError."""
        self._set(key, state="waiting", traceback=None)

    def claim(self, keys: Sequence[str], by: str, now: datetime, states: Sequence[State] = ("held",)) -> list[Entry]:
        """Those of these messages, in one of the states, on which for half an hour nobody but `by` may decide.

        The others are gone, or somebody else's for now: `claimant` says so.
        """
        claimed = (
            update(spool)
            .where(spool.c.key.in_(list(keys)), spool.c.state.in_(states))
            .where(or_(spool.c.claimed_until.is_(None), spool.c.claimed_until <= now, spool.c.claimed_by == by))
            .values(claimed_by=by, claimed_until=now + CLAIM)
            .returning(*_ENTRY)
        )
        with self._database.write() as connection:
            found = {row.key: Entry(**row._mapping) for row in connection.execute(claimed)}
        return [found[key] for key in keys if key in found]

    def claimant(self, key: str, now: datetime) -> str | None:
        """Who decides on a message now, or None."""
        query = select(spool.c.claimed_by).where(spool.c.key == key, spool.c.claimed_until > now)
        with self._database.read() as connection:
            return connection.execute(query).scalar()

    def release(self, keys: Sequence[str], by: str) -> None:
        """Accept held messages in somebody's name: they are processed past the rules that held them."""
        accepted = (
            update(spool)
            .where(spool.c.key.in_(list(keys)), spool.c.state == "held")
            .values(state="waiting", reason=None, released=True, claimed_by=by, claimed_until=None)
        )
        with self._database.write() as connection:
            connection.execute(accepted)

    def drop(self, keys: Sequence[str]) -> None:
        """Forget held and shunted messages; what was decided stands elsewhere."""
        with self._database.write() as connection:
            connection.execute(delete(spool).where(spool.c.key.in_(list(keys)), spool.c.state != "waiting"))

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

    def listing(self, state: str | None = None, community: str | None = None) -> list[Entry]:
        """Messages in a state, or in any, oldest first, without their bytes; `community` is the name of one."""
        query = select(*_ENTRY).order_by(spool.c.id)
        if state:
            query = query.where(spool.c.state == state)
        if community:
            query = query.where(spool.c.community == community)
        with self._database.read() as connection:
            return [Entry(**row._mapping) for row in connection.execute(query)]

    def held_for(self) -> list[str]:
        """The names of the communities for which something is held."""
        query = select(spool.c.community).where(spool.c.state == "held", spool.c.community.is_not(None)).distinct()
        with self._database.read() as connection:
            return list(connection.execute(query).scalars())

    def held_by_imports(self) -> dict[str, datetime]:
        """The communities, by name, for which imports hold something, with the moment of the newest."""
        query = (
            select(spool.c.community, func.max(spool.c.received_at).label("newest"))
            .where(spool.c.state == "held", spool.c.via == "import", spool.c.community.is_not(None))
            .group_by(spool.c.community)
        )
        with self._database.read() as connection:
            return {row.community: row.newest for row in connection.execute(query)}

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
