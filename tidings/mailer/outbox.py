"""Mail to be sent: the outbox and its deliveries, each with its state, its next due time and its claim.

The only writer of the tables `outbox` and `delivery`. It neither assembles nor sends; whoever sends claims first and
records after, in transactions of its own. A claim is a lease with a fence: only who holds it may write the outcome.
"""

import json
import random
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal

from sqlalchemy import (
    Connection,
    bindparam,
    func,
    insert,
    literal_column,
    or_,
    select,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite

from tidings.database.tables import address, delivery, membership, outbox
from tidings.tokens import random_token

Kind = Literal["post", "edition", "notice"]
Result = Literal["sent", "retry", "failed", "dropped"]

FIRST_RETRY = timedelta(minutes=5)
LAST_RETRY = timedelta(hours=4)
GIVE_UP_AFTER = timedelta(days=5)
GONE = "the member left or paused before it was sent"

# A literal, not a bound value: only so do both engines see that the partial index of queued deliveries serves.
_QUEUED = delivery.c.state == literal_column("'queued'")


@dataclass(frozen=True, kw_only=True, slots=True)
class Claimed:
    """One delivery that the caller now holds, with what is to be sent."""

    delivery_id: int
    claim: str  # the fence
    outbox_id: int
    kind: Kind
    community_id: int | None
    post_id: int | None
    edition_id: int | None
    raw: bytes | None  # a notice's bytes
    mail_from: str
    fields: Mapping[str, str | None] | None
    body: str | None
    recipient: str
    membership_id: int | None
    attempts: int  # that were made before
    created_at: datetime


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What became of one delivery: `sent`, `retry` (`failed` if it is too old), `failed`, or `dropped` as unwanted."""

    claimed: Claimed
    result: Result
    reply: str  # what the smart host said, or why it was not asked


@dataclass(frozen=True, kw_only=True)
class Count:
    """How many deliveries to one domain are in one state."""

    state: str
    domain: str
    count: int


@dataclass(frozen=True, kw_only=True)
class Step:
    """The delivery of one mail to one recipient, as `tidings why` tells it."""

    kind: Kind
    recipient: str
    state: str  # queued, sent, failed, dropped
    attempts: int
    due_at: datetime
    changed_at: datetime
    reply: str | None


# Built once, like what stands below: building a statement costs more than running it.
_ADD_MESSAGE = insert(outbox).returning(outbox.c.id)
_ADD_DELIVERY = insert(delivery)
_NEW_COLUMNS = ("outbox_id", "state", "attempts", "due_at", "changed_at")
_TO_EACH = (
    insert(delivery)
    .from_select(
        ["membership_id", "recipient", *_NEW_COLUMNS],
        select(
            membership.c.id,
            address.c.email,
            *(bindparam(name, type_=delivery.c[name].type) for name in _NEW_COLUMNS),
        )
        .join(address, address.c.id == membership.c.address_id)
        .where(
            membership.c.community_id == bindparam("in_community"),
            membership.c.delivery == "each",
            membership.c.left_at.is_(None),
        ),
    )
    .execution_options(preserve_rowcount=True)
)
_GONE = select(membership.c.id).where(
    membership.c.id.in_(bindparam("ids", expanding=True)),
    or_(membership.c.left_at.is_not(None), membership.c.delivery == "none"),
)


def add_post(
    connection: Connection,
    *,
    community_id: int,
    post_id: int,
    mail_from: str,
    now: datetime,
    fields: Mapping[str, str | None] | None = None,
    body: str | None = None,
) -> int:
    """Put a post out to every member who gets each one; returns how many those are."""
    outbox_id = _add_message(
        connection,
        kind="post",
        community_id=community_id,
        post_id=post_id,
        mail_from=mail_from,
        fields=None if fields is None else json.dumps(dict(fields)),
        body=body,
        created_at=now,
    )
    return connection.execute(_TO_EACH, {"in_community": community_id, **_new(outbox_id, now)}).rowcount


def add_edition(
    connection: Connection,
    *,
    edition_id: int,
    recipient: str,
    membership_id: int | None,
    community_id: int | None,
    mail_from: str,
    now: datetime,
) -> None:
    """Put an edition out to its reader; it is dropped if that membership ends before it is sent."""
    outbox_id = _add_message(
        connection,
        kind="edition",
        community_id=community_id,
        edition_id=edition_id,
        mail_from=mail_from,
        created_at=now,
    )
    _add_delivery(connection, outbox_id, recipient, membership_id, now)


def add_notice(
    connection: Connection, *, key: str, recipient: str, raw: bytes, now: datetime, community_id: int | None = None
) -> bool:
    """Put a notice out, with the null return path (RFC 3834 3.3); False where one with that key was written before."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = (
        dialect.insert(outbox)
        .values(kind="notice", notice_key=key, community_id=community_id, mail_from="", raw=raw, created_at=now)
        .on_conflict_do_nothing(index_elements=["notice_key"])
        .returning(outbox.c.id)
    )
    outbox_id = connection.execute(statement).scalar_one_or_none()
    if outbox_id is None:
        return False
    _add_delivery(connection, outbox_id, recipient, None, now)
    return True


def waiting(connection: Connection, now: datetime) -> bool:
    """Whether `claim` would find something; asked of a reader, it leaves the writer alone."""
    return connection.execute(select(delivery.c.id).where(*_free(now)).limit(1)).first() is not None


def claim(connection: Connection, now: datetime, limit: int, lease: timedelta) -> list[Claimed]:
    """Up to `limit` due deliveries, oldest first and those of one mail side by side, held until `now + lease`.

    Deliveries to members who left or paused meanwhile are dropped on the way. Empty where nothing is due that nobody
    holds.
    """
    while rows := _take(connection, now, limit, lease):
        left = gone(connection, [row.membership_id for row in rows])
        dropped = [row.id for row in rows if row.membership_id in left]
        if dropped:
            _drop(connection, dropped, now)
        if len(dropped) < len(rows):
            return _claimed(connection, [row for row in rows if row.membership_id not in left])
    return []


def gone(connection: Connection, membership_ids: Iterable[int | None]) -> set[int]:
    """Which of these memberships no longer want mail: they left or paused."""
    return set(connection.execute(_GONE, {"ids": list(set(membership_ids) - {None})}).scalars())


def renew(connection: Connection, claimed: Collection[Claimed], now: datetime, lease: timedelta) -> set[int]:
    """Hold `claimed` until `now + lease`; returns the ids of those still held: others may be sending the rest."""
    statement = (
        update(delivery)
        .where(delivery.c.id.in_([one.delivery_id for one in claimed]), _QUEUED)
        .where(delivery.c.claim.in_({one.claim for one in claimed}))
        .values(claimed_until=now + lease)
        .returning(delivery.c.id)
    )
    return set(connection.execute(statement).scalars())


def release(connection: Connection, claimed: Collection[Claimed]) -> None:
    """Give back what was claimed and not tried."""
    if claimed:
        statement = (
            update(delivery)
            .where(delivery.c.id == bindparam("held"), delivery.c.claim == bindparam("fence"))
            .values(claim=None, claimed_until=None)
        )
        connection.execute(statement, [{"held": one.delivery_id, "fence": one.claim} for one in claimed])


def backoff(attempts: int) -> timedelta:
    """How long to wait after so many failed attempts, before jitter: 5 minutes, doubled each time, at most 4 hours."""
    return min(FIRST_RETRY * (1 << min(attempts - 1, 10)), LAST_RETRY)


def record(
    connection: Connection, outcomes: Sequence[Outcome], now: datetime, *, give_up_after: timedelta = GIVE_UP_AFTER
) -> None:
    """Write what became of claimed deliveries, and let go of them; those lost to another holder stay as they are.

    A retry of a mail older than `give_up_after` has failed.
    """
    if not outcomes:
        return
    statement = (
        update(delivery)
        .where(delivery.c.id == bindparam("held"), delivery.c.claim == bindparam("fence"))
        .values(
            state=bindparam("new_state"),
            due_at=bindparam("new_due"),
            reply=bindparam("new_reply"),
            attempts=bindparam("new_attempts"),
            changed_at=now,
            claim=None,
            claimed_until=None,
        )
    )
    # One draw for all: recipients of one mail stay together, while failures of different moments drift apart.
    jitter = random.uniform(0.9, 1.1)  # noqa: S311  (no secret)
    connection.execute(statement, [_row(outcome, now, give_up_after, jitter) for outcome in outcomes])


def counts(connection: Connection) -> list[Count]:
    """The deliveries by state and by domain of the recipient."""
    position = func.strpos if connection.dialect.name == "postgresql" else func.instr
    recipient = delivery.c.recipient
    # Literals: a bound value in GROUP BY is another expression to PostgreSQL than the same in SELECT.
    at = position(recipient, literal_column("'@'")) + literal_column("1")
    domain = func.lower(func.substr(recipient, at))
    grouped = (delivery.c.state, domain)
    statement = select(*grouped, func.count()).group_by(*grouped).order_by(*grouped)
    return [Count(state=state, domain=name, count=count) for state, name, count in connection.execute(statement)]


def retry(connection: Connection, now: datetime) -> int:
    """Make every queued delivery due now; returns how many had to wait for later."""
    statement = update(delivery).where(_QUEUED, delivery.c.due_at > now).values(due_at=now)
    return connection.execute(statement).rowcount


def history(
    connection: Connection, *, post_id: int | None = None, edition_id: int | None = None, email: str | None = None
) -> list[Step]:
    """The deliveries of a post or of an edition, by recipient; with `email` only that one's."""
    wanted = outbox.c.post_id == post_id if post_id is not None else outbox.c.edition_id == edition_id
    columns = (delivery.c[name] for name in ("recipient", "state", "attempts", "due_at", "changed_at", "reply"))
    statement = (
        select(outbox.c.kind, *columns)
        .join(outbox, outbox.c.id == delivery.c.outbox_id)
        .where(wanted)
        .order_by(delivery.c.recipient, delivery.c.id)
    )
    if email is not None:
        statement = statement.where(func.lower(delivery.c.recipient) == email.strip().lower())
    return [Step(**row) for row in connection.execute(statement).mappings()]


def _add_message(connection: Connection, **values: Any) -> int:
    return int(connection.execute(_ADD_MESSAGE, values).scalar_one())


def _new(outbox_id: int, now: datetime) -> dict[str, Any]:
    """What a new delivery begins with."""
    return {"outbox_id": outbox_id, "state": "queued", "attempts": 0, "due_at": now, "changed_at": now}


def _add_delivery(
    connection: Connection, outbox_id: int, recipient: str, membership_id: int | None, now: datetime
) -> None:
    values = {"membership_id": membership_id, "recipient": recipient, **_new(outbox_id, now)}
    connection.execute(_ADD_DELIVERY, values)


def _free(now: datetime) -> tuple[Any, ...]:
    unheld = or_(delivery.c.claimed_until.is_(None), delivery.c.claimed_until <= now)
    return _QUEUED, delivery.c.due_at <= now, unheld


def _take(connection: Connection, now: datetime, limit: int, lease: timedelta) -> list[Any]:
    # Rows of one mail have one due time and neighbouring ids, so this order keeps them together, and the index gives
    # it.
    due = (
        select(delivery.c.id)
        .where(*_free(now))
        .order_by(delivery.c.due_at, delivery.c.id)
        .limit(limit)
        .with_for_update(skip_locked=True)  # SQLite has no such clause: there the writer is alone
        .cte("due")
    )
    columns = ("id", "outbox_id", "membership_id", "recipient", "attempts", "due_at", "claim")
    statement = (
        update(delivery)
        .where(delivery.c.id.in_(select(due.c.id)))
        .values(claim=random_token(), claimed_until=now + lease)
        .returning(*(delivery.c[name] for name in columns))
    )
    return sorted(connection.execute(statement), key=lambda row: (row.due_at, row.id))


def _drop(connection: Connection, delivery_ids: Collection[int], now: datetime) -> None:
    values = {"state": "dropped", "reply": GONE, "claim": None, "claimed_until": None, "changed_at": now}
    connection.execute(update(delivery).where(delivery.c.id.in_(delivery_ids)).values(values))


def _claimed(connection: Connection, rows: Sequence[Any]) -> list[Claimed]:
    messages = _messages(connection, {row.outbox_id for row in rows})
    order = {outbox_id: place for place, outbox_id in enumerate(dict.fromkeys(row.outbox_id for row in rows))}
    return [
        Claimed(
            delivery_id=row.id,
            claim=row.claim,
            recipient=row.recipient,
            membership_id=row.membership_id,
            attempts=row.attempts,
            **messages[row.outbox_id],
        )
        for row in sorted(rows, key=lambda row: order[row.outbox_id])
    ]


def _messages(connection: Connection, outbox_ids: Iterable[int]) -> dict[int, dict[str, Any]]:
    names = ("kind", "community_id", "post_id", "edition_id", "raw", "mail_from", "fields", "body", "created_at")
    columns = (outbox.c[name] for name in names)
    statement = select(outbox.c.id.label("outbox_id"), *columns).where(outbox.c.id.in_(outbox_ids))
    messages = {}
    for row in connection.execute(statement).mappings():
        fields = None if row["fields"] is None else json.loads(row["fields"])
        messages[row["outbox_id"]] = {**row, "fields": fields}
    return messages


def _row(outcome: Outcome, now: datetime, give_up_after: timedelta, jitter: float) -> dict[str, Any]:
    attempts = outcome.claimed.attempts + 1
    state: str = outcome.result
    due_at = now
    if outcome.result == "retry":
        due_at = now + backoff(attempts) * jitter
        state = "failed" if now - outcome.claimed.created_at > give_up_after else "queued"
    return {
        "held": outcome.claimed.delivery_id,
        "fence": outcome.claimed.claim,
        "new_state": state,
        "new_due": due_at,
        "new_reply": outcome.reply,
        "new_attempts": attempts,
    }
