"""Who is in which community: the reads of communities, people, addresses and memberships.

It changes nothing (joining does), and it knows neither a mail domain nor what anyone may do (policy does).
"""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from email.utils import getaddresses
from typing import Any

import msgspec
from sqlalchemy import Connection, CursorResult, ScalarSelect, bindparam, func, literal, or_, select, true

from tidings.database import tables
from tidings.database.engine import Database
from tidings.errors import NotFoundError

_NAMES_SHOWN = 20
_AT_ONCE = 500  # ids of one statement
_CACHE_SECONDS = 1.0


@dataclass(frozen=True, kw_only=True)
class Community:
    """One list: its address, its rhythm, and how far its archive has come."""

    id: int
    name: str
    domain: str | None  # of its address, where that is not the site's
    title: str
    description: str
    zone: str
    language: str  # what its people write; for search, and for digests to who chose no language
    posting: str
    replies: str  # whom a plain reply to a post reaches: list, author
    subject_prefix: str  # what every copy's Subject has in it; empty: nothing is added
    footer: str  # under every copy, with {title}, {address} and {post}; empty: none
    newcomer_posts: int  # how many posts of a new member are held
    max_size: int | None  # bytes of a message; None: the site's limit
    max_attachments: int | None  # bytes of all attachments; None: no limit of its own
    signed_only: bool
    cut_off_weekday: int
    cut_off_time: str
    last_number: int
    last_period_at: datetime | None
    urgent: int  # how many posts of a sender in 24 hours pass by quiet hours
    archived: bool


class Member(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """A person in one community; `email` is where this community's mail goes, `cursor` how far digests have told."""

    membership_id: int
    community_id: int
    person_id: int
    name: str
    email: str
    role: str
    delivery: str
    cursor: int
    held_posts: int  # how many more of its posts are held
    own_posts: bool  # are sent their own posts too
    also_named: bool  # are sent a copy also where To or Cc has them
    paused_until: datetime | None
    stopped_at: datetime | None  # no mail goes to the address since
    zone: str | None
    language: str | None  # what they are told in; None: their community's
    crew_id: int | None
    digest_at: str  # communities.digest_times.At
    digest_weekday: int | None
    digest_time: str | None
    one_mail: bool  # for all communities that are due at once
    format: str  # of digests: html, text, mime, plain
    quiet: str  # when copies are held: none, asleep, off

    def is_paused(self, now: datetime) -> bool:
        """Whether no mail goes to them now because they asked for that."""
        return self.paused_until is not None and self.paused_until > now


@dataclass(frozen=True, kw_only=True)
class Sender:
    """Whoever writes to a community from some address: a member or not, and what a moderator said of them."""

    membership_id: int | None = None
    role: str = ""  # of a member; empty: no member
    held_posts: int = 0
    rule: str = ""  # allow, ban; empty: nobody said anything


_community = tables.community.c
_membership = tables.membership.c
_address = tables.address.c
_other_address = tables.address.alias("other_address")
_person = tables.person.c
_sender_rule = tables.sender_rule.c

_COMMUNITIES = select(
    _community.id,
    _community.name,
    _community.domain,
    _community.title,
    _community.description,
    _community.zone,
    _community.language,
    _community.posting,
    _community.replies,
    _community.subject_prefix,
    _community.footer,
    _community.newcomer_posts,
    _community.max_size,
    _community.max_attachments,
    _community.signed_only,
    _community.cut_off_weekday,
    _community.cut_off_time,
    _community.last_number,
    _community.last_period_at,
    _community.urgent,
    _community.archived_at.is_not(None).label("archived"),
).order_by(_community.name)

_MEMBERS = (
    select(
        _membership.id.label("membership_id"),
        _membership.community_id,
        _membership.person_id,
        _person.name,
        _address.email,
        _membership.role,
        _membership.delivery,
        _membership.cursor,
        _membership.held_posts,
        _membership.own_posts,
        _membership.also_named,
        _membership.paused_until,
        _address.stopped_at,
        _person.zone,
        _person.language,
        _person.crew_id,
        _person.digest_at,
        _person.digest_weekday,
        _person.digest_time,
        _person.one_mail,
        _person.format,
        _membership.quiet,
    )
    .join_from(tables.membership, tables.person, _person.id == _membership.person_id)
    .join(tables.address, _address.id == _membership.address_id)
    .where(_membership.left_at.is_(None))
)


# Built once: they are asked for each page or message.
_BY_NAME = _COMMUNITIES.where(_community.name == bindparam("wanted"))
_BY_IDS = _MEMBERS.where(_membership.id.in_(bindparam("ids", expanding=True)))
_PERSON_AT = select(_address.person_id).where(_address.email_key == bindparam("email")).scalar_subquery()
_MEMBER_AT = _MEMBERS.where(_membership.community_id == bindparam("community"), _membership.person_id == _PERSON_AT)
# What was said of one address of a person holds for all of them.
_ADDRESSES_OF_SENDER = (
    select(_other_address.c.email_key)
    .join_from(tables.address, _other_address, _other_address.c.person_id == _address.person_id)
    .where(_address.email_key == bindparam("email"))
)
_RULE = (
    select(_sender_rule.rule)
    .where(
        _sender_rule.community_id == bindparam("community"),
        or_(_sender_rule.email_key == bindparam("email"), _sender_rule.email_key.in_(_ADDRESSES_OF_SENDER)),
    )
    .order_by(_sender_rule.rule.desc())  # a ban before an allowance
    .limit(1)
)
_ANYBODY = select(literal("").label("anybody")).subquery()  # a row also for who is no member
_MEMBERSHIP = (
    select(_membership.id, _membership.role, _membership.held_posts)
    .where(
        _membership.community_id == bindparam("community"),
        _membership.left_at.is_(None),
        _membership.person_id == _PERSON_AT,
    )
    .subquery()
)
_SENDER = select(
    _MEMBERSHIP.c.id.label("membership_id"),
    func.coalesce(_MEMBERSHIP.c.role, "").label("role"),
    func.coalesce(_MEMBERSHIP.c.held_posts, 0).label("held_posts"),
    func.coalesce(_RULE.scalar_subquery(), "").label("rule"),
).select_from(_ANYBODY.outerjoin(_MEMBERSHIP, true()))


def email_key(email: str) -> str:
    """An address as look-ups compare it: stripped and in lower case; any text is taken and none raises.

    Only ASCII letters are folded, so that no look-alike (the Kelvin sign for a k) becomes a member's address.
    """
    data = email.encode("utf-8", "backslashreplace").strip().lower()
    return data.replace(b"\0", b"\\0").decode()  # PostgreSQL refuses NUL in text


def email_keys(people: str) -> frozenset[str]:
    """What look-ups compare of each address in a To or Cc field as it is shown."""
    return frozenset(email_key(email) for _, email in getaddresses([people]) if email)


def communities(connection: Connection) -> list[Community]:
    """All communities by name, archived ones too."""
    return [Community(**row._asdict()) for row in connection.execute(_COMMUNITIES)]


def community(connection: Connection, name: str) -> Community:
    """The community called `name`, in any case. Raises NotFoundError, which says what there is."""
    row = connection.execute(_BY_NAME, {"wanted": email_key(name)}).first()
    if row is None:
        raise NotFoundError(f"There is no community {name!r}; {_what_there_is(connection)}")
    return Community(**row._asdict())


def _what_there_is(connection: Connection) -> str:
    query = select(_community.name).order_by(_community.name).limit(_NAMES_SHOWN + 1)
    names = connection.execute(query).scalars().all()
    if not names:
        return "add the first one with `tidings community add`."
    more = ", ..." if len(names) > _NAMES_SHOWN else ""
    return f"there is {', '.join(names[:_NAMES_SHOWN])}{more}."


def community_by_id(connection: Connection, community_id: int) -> Community:
    """The community with that id. Raises NotFoundError."""
    row = connection.execute(_COMMUNITIES.where(_community.id == community_id)).first()
    if row is None:
        raise NotFoundError(f"There is no community with the id {community_id}.")
    return Community(**row._asdict())


def members(connection: Connection, community_id: int, delivery: str | None = None) -> list[Member]:
    """All who are in the community now, by address; with a `delivery` only those who are told that way."""
    query = _MEMBERS.where(_membership.community_id == community_id).order_by(_address.email_key)
    if delivery is not None:
        query = query.where(_membership.delivery == delivery)
    return list(_as_members(connection.execute(query)))


def members_by_id(connection: Connection, membership_ids: Collection[int]) -> dict[int, Member]:
    """The members with these memberships, by the id of each; those that were left are not among them."""
    found: dict[int, Member] = {}
    ids = list(membership_ids)
    for start in range(0, len(ids), _AT_ONCE):
        rows = connection.execute(_BY_IDS, {"ids": ids[start : start + _AT_ONCE]})
        found |= {one.membership_id: one for one in _as_members(rows)}
    return found


def _as_members(rows: CursorResult[Any]) -> Iterator[Member]:
    names = tuple(rows.keys())
    return (Member(**dict(zip(names, row, strict=True))) for row in rows.all())


def member(connection: Connection, membership_id: int) -> Member | None:
    """The member with that membership; None where there is none or it was left."""
    row = connection.execute(_MEMBERS.where(_membership.id == membership_id)).first()
    return None if row is None else Member(**row._asdict())


def _person_at(email: str) -> ScalarSelect[int]:
    """The id of the person who has the address, as a subquery."""
    return select(_address.person_id).where(_address.email_key == email_key(email)).scalar_subquery()


def member_by_address(connection: Connection, community_id: int, email: str) -> Member | None:
    """The member of the community who has this address, be it the delivery address or another; None otherwise."""
    row = connection.execute(_MEMBER_AT, {"community": community_id, "email": email_key(email)}).first()
    return None if row is None else Member(**row._asdict())


def sender(connection: Connection, community_id: int, email: str) -> Sender:
    """Who writes to the community from this address."""
    row = connection.execute(_SENDER, {"community": community_id, "email": email_key(email)}).one()
    return Sender(**row._asdict())


def communities_of(connection: Connection, email: str) -> list[Community]:
    """The communities that the person with this address is in now, by name, archived ones too."""
    joined = select(_membership.community_id).where(
        _membership.person_id == _person_at(email), _membership.left_at.is_(None)
    )
    return [Community(**row._asdict()) for row in connection.execute(_COMMUNITIES.where(_community.id.in_(joined)))]


class Directory:
    """Communities by local part, kept in memory for the RCPT of every message; safe to use from any thread.

    On SQLite an answer is as fresh as the last commit; on PostgreSQL, where asking costs a query, it may be a second
    old. A name that is not known is always looked for afresh, since the 550 for it would be final.
    """

    def __init__(self, database: Database, monotonic: Callable[[], float] = time.monotonic) -> None:
        """`monotonic` gives seconds, for the age of what is kept."""
        self._database = database
        self._monotonic = monotonic
        # Replaced whole, so that no lock is needed.
        self._kept: tuple[float, dict[str, Community]] | None = None
        self._senders: tuple[float, dict[tuple[int, str], Sender]] = (-1.0, {})

    def find(self, local_name: str, *, fresh: bool = False) -> Community | None:
        """The community whose address has this local part, in any case; an archived one is found and says so.

        `fresh` asks the database: for a refusal that would be final.
        """
        name = email_key(local_name)
        mark = self._mark()  # taken before loading: what is committed in between is loaded the next time
        kept = self._kept
        if kept is not None and name in kept[1] and self._is_fresh(kept[0], mark) and not fresh:
            return kept[1][name]
        return self._load(mark).get(name)

    def has_domain(self, domain: str) -> bool:
        """Whether a community has this mail domain of its own; as fresh as what `find` last gave."""
        found = self._kept[1] if self._kept else self._load(self._mark())
        return any(one.domain == domain for one in found.values())

    def read(self) -> AbstractContextManager[Connection]:
        """A reader of the database that these are in."""
        return self._database.read()

    def sender(self, community_id: int, email: str) -> Sender:
        """Who writes from the address; that a member may write is as old as what `find` last gave."""
        mark = self._kept[0] if self._kept else self._mark()
        kept = self._senders
        if kept[0] != mark:
            kept = self._senders = (mark, {})
        key = (community_id, email_key(email))
        found = kept[1].get(key)
        # A stranger may have joined just now, or a ban have been lifted, and the 550 would be final.
        if found is None or not found.role or found.rule == "ban":
            with self._database.read() as connection:
                found = kept[1][key] = sender(connection, community_id, email)
        return found

    def _mark(self) -> float:
        return self._database.version() if self._database.dialect == "sqlite" else self._monotonic()

    def _is_fresh(self, kept: float, mark: float) -> bool:
        return kept == mark if self._database.dialect == "sqlite" else mark - kept < _CACHE_SECONDS

    def _load(self, mark: float) -> dict[str, Community]:
        with self._database.read() as connection:
            found = {one.name: one for one in communities(connection)}
        self._kept = (mark, found)
        return found
