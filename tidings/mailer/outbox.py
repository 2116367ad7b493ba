"""Mail to be sent: the outbox and its deliveries, each with its state, its next due time and its claim.

The only writer of the tables `outbox` and `route_domain`, and of `delivery` but for what quiet hours hold (held). It
neither assembles nor sends; whoever sends claims first and records after, in transactions of its own. A claim is a
lease with a fence: only who holds it may write the outcome. A delivery has its route from the moment it is queued, so
that each smart host finds its own by an index.
"""

import json
import random
import re
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import chain
from typing import Any, Literal, NamedTuple

import msgspec
from sqlalchemy import (
    BigInteger,
    Boolean,
    Connection,
    Integer,
    String,
    and_,
    bindparam,
    case,
    delete,
    func,
    insert,
    literal_column,
    not_,
    or_,
    select,
    text,
    type_coerce,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from tidings.database.tables import (
    Moment,
    address,
    community,
    delivery,
    membership,
    node,
    outbox,
    post,
    route_domain,
    thread_choice,
)
from tidings.errors import NotFoundError
from tidings.tokens import random_token

Kind = Literal["post", "edition", "notice"]
Result = Literal["sent", "retry", "failed", "dropped"]

FIRST_RETRY = timedelta(minutes=5)
LAST_RETRY = timedelta(hours=4)
GIVE_UP_AFTER = timedelta(days=5)

RETRACTED = "the post was taken back before it was sent"

# A literal, not a bound value: only so do both engines see that the partial index of queued deliveries serves.
_QUEUED = delivery.c.state == literal_column("'queued'")
_NOW = bindparam("now", type_=Moment)


# Made for each copy: a dataclass of as many fields takes five times as long.
class Claimed(msgspec.Struct, frozen=True, kw_only=True):
    """One delivery that the caller now holds, with what is to be sent."""

    delivery_id: int
    claim: str  # the fence
    outbox_id: int
    kind: Kind
    community_id: int | None
    post_id: int | None
    edition_id: int | None
    mail_from: str  # whose return path it gets: a community's own address, or empty for the null return path
    fields: Mapping[str, str | None] | None
    body: str | None
    recipient: str
    membership_id: int | None
    attempts: int  # that were made before
    created_at: datetime


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one delivery: `sent`, `retry` (`failed` if it is too old), `failed`, or `dropped` as unwanted."""

    claimed: Claimed
    result: Result
    reply: str  # what the smart host said, or why it was not asked


class Wait(NamedTuple):
    """A delivery that was claimed and is not tried, because its domain takes too little mail now."""

    claimed: Claimed
    until: datetime
    why: str


class Addressee(NamedTuple):
    """Whom one delivery was for."""

    membership_id: int | None
    recipient: str
    community_id: int | None
    kind: Kind


@dataclass(frozen=True, kw_only=True)
class Count:
    """How many deliveries to one domain are in one state; `route` is empty for the default smart host."""

    state: str
    route: str
    domain: str
    count: int


@dataclass(frozen=True, kw_only=True)
class GivenUp:
    """How many mails to one recipient were given up as too old, and what was said last."""

    community_id: int | None
    recipient: str
    count: int
    reply: str


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


class _Domain(FunctionElement[str]):
    """What is behind the last @ of an address, in lower case; a local part may hold another (RFC 5321 4.1.2)."""

    name = "domain"
    type = String()
    inherit_cache = True


@compiles(_Domain)
def _cut(element: _Domain, compiler: SQLCompiler, **how: Any) -> str:
    email = compiler.process(element.clauses, **how)
    return f"lower(substr({email}, length(rtrim({email}, replace({email}, '@', ''))) + 1))"


@compiles(_Domain, "postgresql")
def _split(element: _Domain, compiler: SQLCompiler, **how: Any) -> str:
    return f"lower(split_part({compiler.process(element.clauses, **how)}, '@', -1))"  # in a tenth of the other's time


# Built once, like what stands below: building a statement costs more than running it.
_ADD_MESSAGE = insert(outbox).returning(outbox.c.id)
_ADD_EDITIONS = insert(outbox).returning(outbox.c.edition_id, outbox.c.id)
_ROUTE = func.coalesce(route_domain.c.route, literal_column("''"))  # behind an outer join
_ROUTE_TO = select(route_domain.c.route).where(route_domain.c.domain == bindparam("to_domain")).scalar_subquery()
_ADD_DELIVERY = insert(delivery).values(route=func.coalesce(_ROUTE_TO, literal_column("''")))
_NEW_COLUMNS = ("outbox_id", "attempts", "changed_at")
_URGENT = bindparam("urgent", type_=Boolean)
_ASLEEP = (membership.c.quiet_from <= _NOW) & (membership.c.asleep_until > _NOW)
_QUIET = (membership.c.quiet_from <= _NOW) & (membership.c.quiet_until > _NOW)
_HELD = and_(_QUIET, not_(_URGENT))
_OF_POST = node.alias("of_post")
# A muted thread is named by the id of any message in it.
_MUTERS = (
    select(thread_choice.c.membership_id)
    .join(node, node.c.message_id == thread_choice.c.message_id)
    .join(_OF_POST, (_OF_POST.c.community_id == node.c.community_id) & (_OF_POST.c.thread_id == node.c.thread_id))
    .join(post, (post.c.community_id == _OF_POST.c.community_id) & (post.c.message_id == _OF_POST.c.message_id))
    .where(post.c.id == bindparam("of_post"), thread_choice.c.choice == "mute")
)
# People, not addresses: who stands in Cc with one address is a member with another.
_AUTHOR = select(address.c.person_id).where(address.c.email_key == bindparam("author"))
_NAMED = select(address.c.person_id).where(address.c.email_key.in_(bindparam("named", expanding=True)))
# The address by a subquery and not by a join: a table that has grown since PostgreSQL counted its rows is taken for
# empty, and a join then goes through all addresses for each member. Materialized, so that each is looked up once.
_EMAIL = select(address.c.email).where(address.c.id == membership.c.address_id, address.c.stopped_at.is_(None))
_READER = (
    select(
        membership.c.id,
        _EMAIL.scalar_subquery().label("email"),
        case((_HELD, literal_column("'held'")), else_=literal_column("'queued'")).label("state"),
        case((_HELD, membership.c.quiet_until), (_URGENT & _ASLEEP, membership.c.asleep_until), else_=_NOW).label(
            "due"
        ),
    )
    .where(
        membership.c.community_id == bindparam("in_community"),
        membership.c.delivery == "each",
        membership.c.left_at.is_(None),
        or_(membership.c.paused_until.is_(None), membership.c.paused_until <= _NOW),
        membership.c.id.not_in(_MUTERS),
        or_(membership.c.own_posts, membership.c.person_id.not_in(_AUTHOR)),
        or_(membership.c.also_named, membership.c.person_id.not_in(_NAMED)),
    )
    .cte("reader")
    .prefix_with("MATERIALIZED")
)
_TO_EACH = (
    insert(delivery)
    .from_select(
        ["membership_id", "recipient", "route", "state", "due_at", *_NEW_COLUMNS],
        select(
            _READER.c.id,
            _READER.c.email,
            _ROUTE,
            _READER.c.state,
            _READER.c.due,
            *(bindparam(name, type_=delivery.c[name].type) for name in _NEW_COLUMNS),
        )
        .outerjoin(route_domain, route_domain.c.domain == _Domain(_READER.c.email))
        .where(_READER.c.email.is_not(None)),
    )
    .execution_options(preserve_rowcount=True)
)
_URGENT_POSTS = (
    select(func.count())
    .select_from(outbox)
    .join(post, post.c.id == outbox.c.post_id)
    .join(address, address.c.email_key == func.lower(post.c.author_email))
    .where(
        text("outbox.urgent"),  # as the partial index has it: a column would become `urgent = 1` on SQLite
        outbox.c.community_id == bindparam("in_community"),
        outbox.c.created_at > bindparam("since", type_=Moment),
        address.c.person_id.in_(_AUTHOR),
    )
)
# Why a member is sent nothing any more; the first that is true counts.
_NO_MORE = {
    "the member left before it was sent": membership.c.left_at.is_not(None),
    "the member turned mail off before it was sent": membership.c.delivery == "none",
    "the member paused before it was sent": membership.c.paused_until > _NOW,
    "mail to the address was stopped before it was sent: too much of it came back": address.c.stopped_at.is_not(None),
    "the community was archived before it was sent": community.c.archived_at.is_not(None),
}
_GONE = (
    select(membership.c.id, *_NO_MORE.values())
    .join(address, address.c.id == membership.c.address_id)
    .join(community, community.c.id == membership.c.community_id)
    .where(membership.c.id.in_(bindparam("ids", expanding=True)), or_(*_NO_MORE.values()))
)
_FREE = (
    _QUEUED,
    delivery.c.route == bindparam("by_route"),
    delivery.c.due_at <= _NOW,
    or_(delivery.c.claimed_until.is_(None), delivery.c.claimed_until <= _NOW),
)
_WAITING = select(delivery.c.id).where(*_FREE).limit(1)
# Rows of one mail have one due time and are side by side in the index, which gives this order: were it by id too,
# PostgreSQL would sort all that are due for each batch.
_DUE = (
    select(delivery.c.id)
    .where(*_FREE)
    .order_by(delivery.c.due_at)
    .limit(bindparam("many", type_=Integer))
    .with_for_update(skip_locked=True)  # SQLite has no such clause: there the writer is alone
    .cte("due")
)
_TAKE = (
    update(delivery)
    .where(delivery.c.id.in_(select(_DUE.c.id)))
    .values(claim=bindparam("fence"), claimed_until=bindparam("until"))
    .returning(
        type_coerce(delivery.c.due_at, BigInteger),  # to sort by, no more
        *(delivery.c[name] for name in ("id", "outbox_id", "membership_id", "recipient", "attempts", "claim")),
    )
)
_MESSAGE_COLUMNS = ("kind", "community_id", "post_id", "edition_id", "mail_from", "fields", "body", "created_at")
_MESSAGES = select(outbox.c.id.label("outbox_id"), *(outbox.c[name] for name in _MESSAGE_COLUMNS)).where(
    outbox.c.id.in_(bindparam("ids", expanding=True))
)
_RETRACTED = select(outbox.c.id).where(
    outbox.c.id.in_(bindparam("ids", expanding=True)), outbox.c.retracted_at.is_not(None)
)
_RAW = select(outbox.c.raw).where(outbox.c.id == bindparam("message"))
_DROP = (
    update(delivery)
    .where(delivery.c.id == bindparam("held"))
    .values(state="dropped", reply=bindparam("why"), claim=None, claimed_until=None, changed_at=_NOW)
)
_TRIED = (
    update(delivery)
    .where(delivery.c.id == bindparam("held"), delivery.c.claim == bindparam("fence"))
    .values(
        reply=bindparam("said"),
        attempts=delivery.c.attempts + literal_column("1"),
        changed_at=_NOW,
        claim=None,
        claimed_until=None,
    )
)
_LATER = (
    update(delivery)
    .where(delivery.c.id == bindparam("held"), delivery.c.claim == bindparam("fence"))
    .values(due_at=bindparam("due"), reply=bindparam("why"), claim=None, claimed_until=None)
)
_TOO_LATE = (
    update(delivery)
    .where(delivery.c.id == bindparam("held"), delivery.c.claim == bindparam("fence"))
    .values(state="failed", reply=bindparam("why"), changed_at=_NOW, claim=None, claimed_until=None)
)
# Of what is due only the first rows are looked at, so that it costs the same however many wait. What is too old is left
# to be claimed, which gives it up.
_AHEAD = (
    select(delivery.c.id, delivery.c.recipient)
    .join(outbox, outbox.c.id == delivery.c.outbox_id)
    .where(*_FREE, outbox.c.created_at >= bindparam("oldest", type_=Moment))
    .order_by(delivery.c.due_at)
    .limit(bindparam("many", type_=Integer))
    .with_for_update(of=delivery, skip_locked=True)
    .cte("ahead")
)
_OF_DOMAIN = func.lower(_AHEAD.c.recipient).like(bindparam("ending"), escape="\\")
_SET_ASIDE = (
    update(delivery)
    .where(delivery.c.id.in_(select(_AHEAD.c.id).where(_OF_DOMAIN)))
    .values(due_at=bindparam("due", type_=Moment), reply=bindparam("why"), claim=None, claimed_until=None)
    .execution_options(preserve_rowcount=True)
)
_DONE = _TRIED.values(state=bindparam("became"))
_AGAIN = _TRIED.values(due_at=bindparam("due"))
# By a join: a subquery in its place may read all routes, and cut each address, for each of them.
_NOW_BY = (
    select(delivery.c.id, _ROUTE.label("route"))
    .outerjoin(route_domain, route_domain.c.domain == _Domain(delivery.c.recipient))
    .where(_QUEUED)
    .subquery()
)
_REROUTE = (
    update(delivery)
    .where(delivery.c.id == _NOW_BY.c.id, delivery.c.route != _NOW_BY.c.route)
    .values(route=_NOW_BY.c.route)
)
_BY_ID = (
    select(delivery.c.membership_id, delivery.c.recipient, outbox.c.community_id, outbox.c.kind)
    .join(outbox, outbox.c.id == delivery.c.outbox_id)
    .where(delivery.c.id == bindparam("wanted"))
)


def add_post(
    connection: Connection,
    *,
    community_id: int,
    post_id: int,
    mail_from: str,
    now: datetime,
    author: str = "",
    named: Collection[str] = (),
    urgent: bool = False,
    fields: Mapping[str, str | None] | None = None,
    body: str | None = None,
) -> int:
    """Put a post, which has its place in a thread, out to every member who gets each one; returns how many those are.

    Left out are who paused, whose address is stopped, and who muted the thread; the `author` where they want no copy of
    their own posts; and, unless they asked for it, whoever is `named` in To or Cc (addresses in lower case).
    Copies to who has quiet hours now are held, but for an `urgent` post: it waits only for who sleeps after a night.
    `mail_from` is the community's own address: each copy gets a return path of its own there when it is sent.
    """
    outbox_id = _add_message(
        connection,
        kind="post",
        community_id=community_id,
        post_id=post_id,
        mail_from=mail_from,
        fields=None if fields is None else json.dumps(dict(fields)),
        body=body,
        urgent=urgent,
        created_at=now,
    )
    values = {
        "urgent": urgent,
        "in_community": community_id,
        "of_post": post_id,
        "author": author,
        "named": list(named),
        "now": now,
        **_new(outbox_id, now),
    }
    return connection.execute(_TO_EACH, values).rowcount


def urgent_posts(connection: Connection, community_id: int, author: str, since: datetime) -> int:
    """How many urgent posts of the person with that address (lower case) were put out to the community since then."""
    values = {"in_community": community_id, "author": author, "since": since}
    return int(connection.execute(_URGENT_POSTS, values).scalar_one())


class NewEdition(NamedTuple):
    """An edition that is to go out to its reader; it is dropped if that membership ends before it is sent."""

    edition_id: int
    recipient: str
    membership_id: int | None
    community_id: int | None
    mail_from: str


def add_editions(connection: Connection, editions: Sequence[NewEdition], now: datetime) -> None:
    """Put editions (one at least) out to their readers."""
    mails = [
        {
            "kind": "edition",
            "community_id": one.community_id,
            "edition_id": one.edition_id,
            "mail_from": one.mail_from,
            "created_at": now,
        }
        for one in editions
    ]
    # By their editions: rows that come back in their order are inserted one by one.
    ids: dict[int, int] = dict(connection.execute(_ADD_EDITIONS, mails).all())
    rows = [_addressed(ids[one.edition_id], one.recipient, one.membership_id, now) for one in editions]
    connection.execute(_ADD_DELIVERY, rows)


def add_notice(
    connection: Connection,
    *,
    key: str,
    recipient: str,
    raw: bytes,
    now: datetime,
    community_id: int | None = None,
    mail_from: str = "",
) -> bool:
    """Put a notice out; False where one with that key was written before.

    Its return path is the null one (RFC 3834 3.3) unless `mail_from` has the address of a community.
    """
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    statement = (
        dialect.insert(outbox)
        .values(kind="notice", notice_key=key, community_id=community_id, mail_from=mail_from, raw=raw, created_at=now)
        .on_conflict_do_nothing(index_elements=["notice_key"])
        .returning(outbox.c.id)
    )
    outbox_id = connection.execute(statement).scalar_one_or_none()
    if outbox_id is None:
        return False
    _add_delivery(connection, outbox_id, recipient, None, now)
    return True


def set_routes(connection: Connection, routes: Mapping[str, str]) -> int:
    """Which route carries mail to each of these domains; the default host has all others.

    Where that is not as it was, what is queued is routed anew; returns how many deliveries changed their route.
    """
    if connection.dialect.name == "postgresql":
        # Who looked a route up has committed then, and who is about to waits: nothing is queued for a route that was.
        connection.execute(text("LOCK TABLE route_domain IN ACCESS EXCLUSIVE MODE"))
    rows = connection.execute(select(route_domain.c.domain, route_domain.c.route))
    before = {row.domain: row.route for row in rows}
    if before == routes:
        return 0
    connection.execute(delete(route_domain))
    if routes:
        connection.execute(insert(route_domain), [{"domain": key, "route": route} for key, route in routes.items()])
    return connection.execute(_REROUTE).rowcount


def waiting(connection: Connection, now: datetime, route: str = "") -> bool:
    """Whether `claim` would find something; asked of a reader, it leaves the writer alone."""
    return connection.execute(_WAITING, {"now": now, "by_route": route}).first() is not None


def claim(connection: Connection, now: datetime, limit: int, lease: timedelta, route: str = "") -> list[Claimed]:
    """Up to `limit` due deliveries of a route, oldest first and those of one mail side by side, until `now + lease`.

    Deliveries to members who left or paused meanwhile, or whose address was stopped, are dropped on the way. Empty
    where nothing is due that nobody holds.
    """
    values = {"now": now, "many": limit, "until": now + lease, "by_route": route}
    while rows := connection.execute(_TAKE, {**values, "fence": random_token()}).all():
        no_more = gone(connection, [row.membership_id for row in rows], now)
        if dropped := [row for row in rows if row.membership_id in no_more]:
            drops = [{"held": row.id, "why": no_more[row.membership_id], "now": now} for row in dropped]
            connection.execute(_DROP, drops)
        if len(dropped) < len(rows):
            return _claimed(connection, sorted(row for row in rows if row.membership_id not in no_more))
    return []


def gone(connection: Connection, membership_ids: Iterable[int | None], now: datetime) -> dict[int | None, str]:
    """Which of these memberships no longer want mail, and why: they left or paused, or their address was stopped."""
    rows = connection.execute(_GONE, {"ids": list(set(membership_ids) - {None}), "now": now})
    return {row[0]: next(why for why, true in zip(_NO_MORE, row[1:], strict=True) if true) for row in rows}


def retract(connection: Connection, message_id: str, now: datetime) -> int:
    """Send no more copies of the post with that bare id, in any community; returns how many are not sent.

    Raises NotFoundError where no copies of such a post were ever to be sent.
    """
    of_post = select(outbox.c.id).join(post, post.c.id == outbox.c.post_id).where(post.c.message_id == message_id)
    ids = connection.execute(of_post).scalars().all()
    if not ids:
        raise NotFoundError(f"No copies of a post with the id {message_id} were to be sent; `tidings why` says more.")
    connection.execute(update(outbox).where(outbox.c.id.in_(ids)).values(retracted_at=now))
    statement = (
        update(delivery)
        .where(delivery.c.outbox_id.in_(ids), or_(_QUEUED, delivery.c.state == literal_column("'held'")))
        .values(state="dropped", reply=RETRACTED, claim=None, claimed_until=None, changed_at=now)
    )
    return connection.execute(statement).rowcount


def retracted(connection: Connection, outbox_ids: Collection[int]) -> set[int]:
    """Which of these mails were taken back."""
    return set(connection.execute(_RETRACTED, {"ids": list(outbox_ids)}).scalars())


def raw(connection: Connection, outbox_id: int) -> bytes:
    """The bytes of a notice."""
    return bytes(connection.execute(_RAW, {"message": outbox_id}).scalar_one())


def delivery_by_id(connection: Connection, delivery_id: int) -> Addressee | None:
    """Whom a delivery was for, whatever became of it; None where there is no such delivery."""
    row = connection.execute(_BY_ID, {"wanted": delivery_id}).first()
    return None if row is None else Addressee(*row)


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


def put_back(
    connection: Connection, waits: Sequence[Wait], now: datetime, *, give_up_after: timedelta = GIVE_UP_AFTER
) -> None:
    """Give back what has to wait, which counts as no attempt; what is older than `give_up_after` has failed."""
    later, too_late = [], []
    for one, until, why in waits:
        values = {"held": one.delivery_id, "fence": one.claim, "why": why}
        if now - one.created_at <= give_up_after:
            later.append(values | {"due": until})
        else:
            too_late.append(values | {"now": now})
    for statement, rows in ((_LATER, later), (_TOO_LATE, too_late)):
        if rows:
            connection.execute(statement, rows)


def set_aside(
    connection: Connection,
    domain: str,
    now: datetime,
    *,
    until: datetime,
    why: str,
    many: int,
    route: str = "",
    give_up_after: timedelta = GIVE_UP_AFTER,
) -> int:
    """Let what is due for a domain, among the `many` of a route that are due first, wait `until` then.

    Returns how many do.
    """
    escaped = re.sub(r"([\\%_])", r"\\\1", domain)
    values = {"by_route": route, "now": now, "oldest": now - give_up_after, "many": many, "ending": f"%@{escaped}"}
    return connection.execute(_SET_ASIDE, values | {"due": until, "why": why}).rowcount


def backoff(attempts: int) -> timedelta:
    """How long to wait after so many failed attempts, before jitter: 5 minutes, doubled each time, at most 4 hours."""
    return min(FIRST_RETRY * (1 << min(attempts - 1, 10)), LAST_RETRY)


def record(
    connection: Connection, outcomes: Sequence[Outcome], now: datetime, *, give_up_after: timedelta = GIVE_UP_AFTER
) -> None:
    """Write what became of claimed deliveries, and let go of them; those lost to another holder stay as they are.

    A retry of a mail older than `give_up_after` has failed.
    """
    # One draw for all: copies of one mail stay together, while failures of different moments drift apart.
    jitter = random.uniform(0.9, 1.1)  # noqa: S311  (no secret)
    done, again = [], []
    for outcome in outcomes:
        one, became = outcome.claimed, outcome.result
        values = {"held": one.delivery_id, "fence": one.claim, "said": outcome.reply, "now": now}
        if became == "retry" and now - one.created_at <= give_up_after:
            again.append(values | {"due": now + backoff(one.attempts + 1) * jitter})
        else:
            done.append(values | {"became": "failed" if became == "retry" else became})
    for statement, rows in ((_DONE, done), (_AGAIN, again)):
        if rows:
            connection.execute(statement, rows)


def counts(connection: Connection) -> list[Count]:
    """The deliveries by state, by route and by domain of the recipient."""
    grouped = (delivery.c.state, delivery.c.route, _Domain(delivery.c.recipient))
    statement = select(*grouped, func.count()).group_by(*grouped).order_by(*grouped)
    return [
        Count(state=state, route=route, domain=domain, count=count)
        for state, route, domain, count in connection.execute(statement)
    ]


def given_up(
    connection: Connection, since: datetime, until: datetime, *, give_up_after: timedelta = GIVE_UP_AFTER
) -> list[GivenUp]:
    """Whose posts and editions were given up as too old from `since` on and before `until`, by community."""
    age = type_coerce(delivery.c.changed_at, BigInteger) - type_coerce(outbox.c.created_at, BigInteger)
    grouped = (outbox.c.community_id, delivery.c.recipient)
    statement = (
        select(*grouped, func.count().label("count"), func.coalesce(func.max(delivery.c.reply), "").label("reply"))
        .join(outbox, outbox.c.id == delivery.c.outbox_id)
        .where(
            delivery.c.state == literal_column("'failed'"),
            delivery.c.changed_at >= since,
            delivery.c.changed_at < until,
            age > give_up_after // timedelta(microseconds=1),
            outbox.c.kind != "notice",
        )
        .group_by(*grouped)
        .order_by(*grouped)
    )
    return [GivenUp(**row) for row in connection.execute(statement).mappings()]


def has_notice(connection: Connection, key: str) -> bool:
    """Whether a notice with that key was written."""
    return connection.execute(select(outbox.c.id).where(outbox.c.notice_key == key)).first() is not None


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
    connection.execute(_ADD_DELIVERY, _addressed(outbox_id, recipient, membership_id, now))


def _addressed(outbox_id: int, recipient: str, membership_id: int | None, now: datetime) -> dict[str, Any]:
    domain = recipient.rpartition("@")[2].lower()
    return {"membership_id": membership_id, "recipient": recipient, "to_domain": domain, **_new(outbox_id, now)}


def _claimed(connection: Connection, rows: Sequence[Any]) -> list[Claimed]:
    messages = _messages(connection, {row.outbox_id for row in rows})
    grouped: dict[int, list[Claimed]] = {}  # by mail, in the order of their first ones
    for _, delivery_id, outbox_id, membership_id, recipient, attempts, fence in rows:
        one = Claimed(
            delivery_id=delivery_id,
            claim=fence,
            recipient=recipient,
            membership_id=membership_id,
            attempts=attempts,
            **messages[outbox_id],
        )
        grouped.setdefault(outbox_id, []).append(one)
    return list(chain.from_iterable(grouped.values()))


def _messages(connection: Connection, outbox_ids: Iterable[int]) -> dict[int, dict[str, Any]]:
    messages = {}
    for row in connection.execute(_MESSAGES, {"ids": list(outbox_ids)}).mappings():
        fields = None if row["fields"] is None else json.loads(row["fields"])
        messages[row["outbox_id"]] = {**row, "fields": fields}
    return messages
