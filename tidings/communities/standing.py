"""How each address stands: what came back from it, when mail to it stops, and how it goes on.

The writer of `bounce` and `bounce_wave`, and of what an address says of its stop. It reads no bounce and sends nothing.

An address scores once a day, 4 for a permanent failure and 1 for a temporary one. Where the days of `bounces.days` come
to `bounces.stop_at`, mail to it stops until its reader says that it works. Where many addresses come back at once the
fault is taken for ours: a wave begins, the last day's failures no longer count and what they stopped goes on. A wave
lasts 24 hours or until an admin ends it, and nothing counts meanwhile; if it has not passed by then, what comes back
after it begins the next.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection, bindparam, case, exists, func, insert, or_, select, text, update

from tidings.communities import confirmations
from tidings.communities.directory import email_key
from tidings.database import tables
from tidings.settings import BounceSettings

PERMANENT, TEMPORARY = 4, 1  # what a day of failures scores
WAVE = timedelta(hours=24)
_REASON_LENGTH = 500
_STATUS_LENGTH = 16
_PROBES_AT_A_TIME = 500

_address, _bounce, _wave = tables.address.c, tables.bounce.c, tables.bounce_wave.c
_membership, _delivery, _outbox = tables.membership.c, tables.delivery.c, tables.outbox.c


@dataclass(frozen=True, kw_only=True)
class Failure:
    """Why a mail did not reach an address; `status` as in RFC 3463, or empty."""

    permanent: bool
    status: str
    reason: str  # what the other side wrote
    about_message: bool  # it says nothing of the address: policy, content, size


@dataclass(frozen=True, kw_only=True)
class Wave:
    """A time in which so much comes back that nothing of it counts; `ends_at` is to come while it lasts."""

    started_at: datetime
    ends_at: datetime
    reason: str
    went_on: tuple[str, ...] = ()  # the addresses that had been stopped on its account


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What a failure did: whether it counts, the score of the address, whether it stopped it, the wave it began."""

    counts: bool
    score: int
    stopped: bool = False
    began: Wave | None = None


@dataclass(frozen=True, kw_only=True)
class Address:
    """An address and its stop, where mail to it is stopped."""

    id: int
    email: str
    stopped_at: datetime | None
    stopped_why: str | None
    probes: int  # mails that asked since whether it works again
    probe_due_at: datetime | None


@dataclass(frozen=True, kw_only=True)
class Day:
    """The failures of one address on one day, the weightiest speaking for all."""

    day: str  # ISO, in UTC
    permanent: bool
    counted: bool
    status: str
    reason: str
    received_at: datetime  # of the last


_ADDRESSES = select(
    _address.id, _address.email, _address.stopped_at, _address.stopped_why, _address.probes, _address.probe_due_at
)
_BY_EMAIL = _ADDRESSES.where(_address.email_key == bindparam("email"))
_BY_ID = _ADDRESSES.where(_address.id == bindparam("wanted"))
_DAYS = select(
    _bounce.day, _bounce.permanent, _bounce.counted, _bounce.status, _bounce.reason, _bounce.received_at
).where(_bounce.address_id == bindparam("address"))
_ONE_DAY = _DAYS.where(_bounce.day == bindparam("on"))
_ADD = insert(tables.bounce)
_CHANGE = update(tables.bounce).where(_bounce.address_id == bindparam("address"), _bounce.day == bindparam("on"))
_SCORE = select(func.sum(case((_bounce.permanent, PERMANENT), else_=TEMPORARY))).where(
    _bounce.address_id == bindparam("address"), _bounce.counted, _bounce.day > bindparam("before")
)
_LASTING = select(_wave.started_at, _wave.ended_at, _wave.reason).where(_wave.ended_at > bindparam("now"))
_LAST_END = select(func.max(_wave.ended_at))
_SINCE = bindparam("since", type_=_bounce.received_at.type)
_IN_WINDOW = (_bounce.day >= bindparam("since_day"), _bounce.received_at > _SINCE)
# Probes of what was stopped before come back too, and say nothing new.
_CAME_BACK = (
    select(func.count(_bounce.address_id.distinct()))
    .join(tables.address, _address.id == _bounce.address_id)
    .where(*_IN_WINDOW, or_(_address.stopped_at.is_(None), _address.stopped_at > _SINCE))
)
# Ids grow with time, so that the youngest mail before the window is found from the end, and the rest by its index. Not
# more recipients are counted than decide.
_BEFORE = (
    select(_outbox.id)
    .where(_outbox.created_at <= bindparam("mailed_since", type_=_outbox.created_at.type))
    .order_by(_outbox.id.desc())
    .limit(1)
    .scalar_subquery()
)
_MAILED = select(func.count()).select_from(
    select(_delivery.recipient)
    .where(_delivery.outbox_id > func.coalesce(_BEFORE, 0), _delivery.state.in_(("sent", "failed")))
    .distinct()
    .limit(bindparam("enough"))
    .subquery()
)
_JOINED = select(_membership.community_id).where(
    _membership.person_id == _address.person_id,
    _membership.address_id == _address.id,
    _membership.left_at.is_(None),
)


# --- what came back --------------------------------------------------------------------------------------------------


def came_back(
    connection: Connection,
    address_id: int,
    failure: Failure,
    *,
    now: datetime,
    settings: BounceSettings,
    community_id: int | None = None,
) -> Counted:
    """Write down that a mail did not reach the address, and stop mail to it where that was once too often.

    What is about the message, and what comes in a wave, is kept and scores nothing.
    """
    _one_at_a_time(connection)
    lasting = wave(connection, now)
    counts = lasting is None and not failure.about_message
    _keep(connection, address_id, failure, counts, now, community_id)
    began = _begin_wave(connection, now, settings) if lasting is None else None
    counts = counts and began is None
    came_to = score(connection, address_id, now=now, settings=settings)
    stops = counts and came_to >= settings.stop_at and _stop(connection, address_id, failure, now, settings)
    return Counted(counts=counts, score=came_to, stopped=stops, began=began)


def _one_at_a_time(connection: Connection) -> None:
    # Processes that count beside each other would each begin the wave. On SQLite the writer is alone anyway.
    if connection.dialect.name == "postgresql":
        connection.execute(text("LOCK TABLE bounce IN SHARE ROW EXCLUSIVE MODE"))


def _keep(
    connection: Connection, address_id: int, failure: Failure, counts: bool, now: datetime, community_id: int | None
) -> None:
    """One row an address and day: what counts stays before what does not, then permanent before temporary."""
    key = {"address": address_id, "on": _day(now)}
    values: dict[str, Any] = {
        "permanent": failure.permanent,
        "counted": counts,
        "status": _line(failure.status, _STATUS_LENGTH),
        "reason": _line(failure.reason, _REASON_LENGTH),
        "community_id": community_id,
    }
    before = connection.execute(_ONE_DAY, key).first()
    if before is None:
        row = {"address_id": address_id, "day": _day(now), "received_at": now}
        connection.execute(_ADD, row | values)
    elif (before.counted, before.permanent) > (counts, failure.permanent):
        connection.execute(_CHANGE.values(received_at=now), key)
    else:
        connection.execute(_CHANGE.values(received_at=now, **values), key)


def score(connection: Connection, address_id: int, *, now: datetime, settings: BounceSettings) -> int:
    """What the failures of the last `settings.days` days come to."""
    before = _day(now - timedelta(days=settings.days))
    return int(connection.execute(_SCORE, {"address": address_id, "before": before}).scalar() or 0)


def _stop(connection: Connection, address_id: int, failure: Failure, now: datetime, settings: BounceSettings) -> bool:
    """Whether mail to the address, which ends now, went on until now."""
    why = _line(f"{failure.status} {failure.reason}".strip(), _REASON_LENGTH)
    first = now + timedelta(days=settings.probe_days) if settings.probes else None
    stop = (
        update(tables.address)
        .where(_address.id == address_id, _address.stopped_at.is_(None))
        .values(stopped_at=now, stopped_why=why, probes=0, probe_due_at=first)
    )
    return connection.execute(stop).rowcount == 1


def _day(moment: datetime) -> str:
    return moment.astimezone(UTC).date().isoformat()


def _line(said: str, length: int) -> str:
    """Foreign text as the database takes it: valid, without NUL, on one line, not too long."""
    return " ".join(said.encode("utf-8", "replace").decode().replace("\0", " ").split())[:length]


# --- waves -----------------------------------------------------------------------------------------------------------


def wave(connection: Connection, now: datetime) -> Wave | None:
    """The wave that lasts now, or None."""
    row = connection.execute(_LASTING, {"now": now}).first()
    return None if row is None else Wave(started_at=row.started_at, ends_at=row.ended_at, reason=row.reason)


def end_wave(connection: Connection, now: datetime) -> bool:
    """Whether a wave, which an admin ends now, lasted until now; what came back before stays uncounted."""
    ended = update(tables.bounce_wave).where(_wave.ended_at > now).values(ended_at=now)
    return connection.execute(ended).rowcount > 0


def _begin_wave(connection: Connection, now: datetime, settings: BounceSettings) -> Wave | None:
    """The wave that begins, where so much came back within a day, or since the last wave's end if that was later."""
    since = max(now - WAVE, connection.execute(_LAST_END).scalar() or now - WAVE)
    window = {"since": since, "since_day": _day(since)}
    many = connection.execute(_CAME_BACK, window).scalar_one()
    if many < settings.wave_least:
        return None
    enough = many * 100 // settings.wave_percent + 1  # of so many mailed, `many` are too few
    mailed = connection.execute(_MAILED, {"mailed_since": now - WAVE, "enough": enough}).scalar_one()
    if mailed >= enough:
        return None
    connection.execute(update(tables.bounce).where(*_IN_WINDOW).values(counted=False), window)
    reason = f"Mail to {many} addresses came back within a day, in which {mailed} were mailed."
    row = {"started_at": now, "ended_at": now + WAVE, "reason": reason}
    connection.execute(insert(tables.bounce_wave).values(row))
    went_on = _go_on(connection, _address.stopped_at > since)
    return Wave(started_at=now, ends_at=now + WAVE, reason=reason, went_on=tuple(sorted(went_on)))


# --- how mail goes on ------------------------------------------------------------------------------------------------


def bring_back(connection: Connection, address_id: int) -> bool:
    """Whether mail to the address, which goes on now, was stopped; its days stay written down and no longer count."""
    if not _go_on(connection, _address.id == address_id):
        return False
    connection.execute(update(tables.bounce).where(_bounce.address_id == address_id).values(counted=False))
    return True


def _go_on(connection: Connection, which: Any) -> Sequence[str]:
    goes_on = (
        update(tables.address)
        .where(_address.stopped_at.is_not(None), which)
        .values(stopped_at=None, stopped_why=None, probes=0, probe_due_at=None)
        .returning(_address.email)
    )
    return connection.execute(goes_on).scalars().all()


def ask_back(
    connection: Connection, address_id: int, *, email: str, now: datetime, community_id: int | None = None
) -> str:
    """A token that brings the address back, once and for 72 hours; it is to be sent to `email` and nowhere else."""
    return confirmations.ask(
        connection,
        purpose="return",
        email=email,
        now=now,
        community_id=community_id,
        request={"address": address_id},
    )


def asked_back(connection: Connection, token: str, now: datetime) -> tuple[Address, bool] | None:
    """The address that a token of `ask_back` is about, and whether it may still be used; None: it is none."""
    found = confirmations.find(connection, token)
    if found is None or found.purpose != "return":
        return None
    one = address(connection, found.request["address"])
    return None if one is None else (one, found.good(now))


def bring_back_by(connection: Connection, token: str, now: datetime) -> bool:
    """Bring the address of a good token back and use the token up; False where it is not good any more."""
    asked = asked_back(connection, token, now)
    if asked is None or not confirmations.use(connection, token, now):
        return False
    bring_back(connection, asked[0].id)
    return True


# --- probes: mails that ask whether an address works again -----------------------------------------------------------


def probes_due(connection: Connection, now: datetime) -> list[Address]:
    """The stopped addresses that are to be asked now, of those that mail would go to."""
    due = _ADDRESSES.where(
        _address.probe_due_at <= now, _address.stopped_at.is_not(None), exists(_JOINED.correlate(tables.address))
    )
    rows = connection.execute(due.order_by(_address.probe_due_at, _address.id).limit(_PROBES_AT_A_TIME))
    return [Address(**row) for row in rows.mappings()]


def take_probe(connection: Connection, due: Address, now: datetime, settings: BounceSettings) -> bool:
    """Whether this probe, which is the next after `due.probes`, is the caller's to send; the following is set down.

    It is not where another process took it, the address came back, or the settings ask for fewer by now.
    """
    number = due.probes + 1
    following = now + timedelta(days=settings.probe_days) if number < settings.probes else None
    taken = (
        update(tables.address)
        .where(_address.id == due.id, _address.stopped_at == due.stopped_at, _address.probe_due_at == due.probe_due_at)
        .values(probes=min(number, settings.probes), probe_due_at=following)
    )
    return connection.execute(taken).rowcount == 1 and number <= settings.probes


# --- reads -----------------------------------------------------------------------------------------------------------


def address(connection: Connection, address_id: int) -> Address | None:
    """The address with that id."""
    row = connection.execute(_BY_ID, {"wanted": address_id}).mappings().first()
    return None if row is None else Address(**row)


def address_at(connection: Connection, email: str) -> Address | None:
    """The address of a person, however it is written; None where we know none like it."""
    row = connection.execute(_BY_EMAIL, {"email": email_key(email)}).mappings().first()
    return None if row is None else Address(**row)


def stopped(connection: Connection) -> list[Address]:
    """Every address that mail is stopped to, the last stopped first."""
    query = _ADDRESSES.where(_address.stopped_at.is_not(None)).order_by(_address.stopped_at.desc(), _address.id)
    return [Address(**row) for row in connection.execute(query).mappings()]


def history(connection: Connection, address_id: int) -> list[Day]:
    """All days on which mail to the address failed, the last first."""
    query = _DAYS.order_by(_bounce.day.desc())
    return [Day(**row) for row in connection.execute(query, {"address": address_id}).mappings()]


def communities_of(connection: Connection, address_id: int) -> list[int]:
    """The ids of the communities whose mail goes to the address."""
    query = _JOINED.where(_address.id == address_id).order_by(_membership.community_id)
    return list(connection.execute(query).scalars())


def owners_of(connection: Connection, address_id: int) -> list[str]:
    """Where the owners of these communities are reached, but for the address itself and others that are stopped."""
    owners = (
        select(_address.email)
        .distinct()
        .join(tables.membership, _membership.address_id == _address.id)
        .where(
            _membership.community_id.in_(communities_of(connection, address_id)),
            _membership.role == "owner",
            _membership.left_at.is_(None),
            _address.stopped_at.is_(None),
            _address.id != address_id,
        )
    )
    return sorted(connection.execute(owners).scalars())
