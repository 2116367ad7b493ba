"""The writer of people, addresses, memberships and communities, but for the counters that archive and digests move.

It decides nothing about who may ask for a change (policy does), knows no mail domain, and tells nobody of what it did.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import Stemmer
from sqlalchemy import Connection, bindparam, insert, select, update

from tidings.clock import zone as zone_named
from tidings.communities import digest_times, languages
from tidings.communities.directory import Community, Member, community, email_key, member_by_address
from tidings.communities.entries import choice, line, lines, parse_email, parse_size, parse_weekday_time
from tidings.communities.policy import POSTING
from tidings.communities.rota import crew_by_name
from tidings.database import tables
from tidings.errors import NotFoundError, UsageError

REPLIES = ("list", "author")
ROLES = ("member", "moderator", "leader", "owner")
DELIVERIES = ("each", "daily", "weekly", "none")
LANGUAGES = (*Stemmer.algorithms(), "none")
"""Whose words search knows to belong together; with none, only a word itself is found."""

COLUMNS = ("email", "name", "role", "delivery", "crew", "zone", "language", "format")
"""Of a file of members to import."""

UNTIL_RESUMED = datetime(9999, 1, 1, tzinfo=UTC)
"""The end of a pause that has none."""

_TOLD_BY_DIGEST = ("daily", "weekly")
_NAME_OCTETS = 24  # so that NAME+b.TOKEN stays within the 64 octets of a local part (RFC 5321 4.5.3.1.1)
_TITLE_LENGTH, _TEXT_LENGTH = 200, 2000
_PREFIX_LENGTH = 40  # so that a line of a Subject has room for it, whatever its letters
_LEAST_SIZE = 10_000  # bytes that a community has to take: a header alone has some thousand
COPIES = ("own-posts", "also-named")
"""Which copies a member may choose to have or not: of their own posts, and of posts that name them in To or Cc."""
YES_OR_NO = (*COPIES, "one-mail")
"""What a member answers with yes or no; `one-mail` is for all communities whose digests are due at once."""
QUIET = ("none", "asleep", "off")
"""When copies to a member who gets each post are held: never, in the sleep after nights, or always between shifts."""
FORMATS = ("html", "text", "mime", "plain")
"""What a person's digests are: text with HTML, text alone, text with the posts as they came (RFC 2046 5.1.5), or text
with the words of the posts (RFC 1153)."""

# Of who comes back: the hours that they had were of another time.
_NEVER_QUIET = {"quiet": "none", "quiet_from": None, "quiet_until": None, "asleep_until": None}
_MEMBER_SETTINGS = ("name", "role", "delivery", "crew", "zone", "language", "digest", "format", "quiet", *YES_OR_NO)
_PLAIN_SETTINGS = ("title", "description", "zone", "language", "cut-off")
_RHYTHM = {"zone", "cut_off_weekday", "cut_off_time"}  # columns
_COPY_SETTINGS = ("subject-prefix", "footer")
_POSTING_SETTINGS = ("posting", "replies", "newcomers", "max-size", "max-attachments", "signed-only", "urgent")
_NOBODYS_NAMES = {
    "every mail domain must keep it for whoever runs the mail (RFC 5321 4.5.1, RFC 2142)": (
        "postmaster",
        "abuse",
        "hostmaster",
        "webmaster",
        "root",
    ),
    "mail programs take it for an automatic sender": ("noreply", "no.reply", "mailerdaemon", "mailer.daemon", "nobody"),
    "it is what a community's own addresses end in": (
        *("owner", "request", "bounce", "bounces", "subscribe", "unsubscribe"),
        *("join", "leave", "confirm", "command", "help", "agenda"),
    ),
}


@dataclass(frozen=True, kw_only=True)
class ImportVerdict:
    """What became of one row: `added`, `already a member`, or `refused` with the reason; rows count from 1."""

    row: int
    email: str
    verdict: str
    reason: str = ""


# --- communities -----------------------------------------------------------------------------------------------------


def add_community(
    connection: Connection,
    *,
    name: str,
    title: str,
    zone: str,
    now: datetime,
    description: str = "",
    posting: str = "members",
    domain: str | None = None,
) -> Community:
    """A new community; `name` is the local part of its address, `zone` an IANA name.

    `domain` is that of its address where that is a mailbox elsewhere, and not at the site's domain.

    Raises UsageError where a value cannot be or the name is taken, which an archived community's is too.
    """
    values = {
        "name": _community_name(name),
        "domain": _domain(domain) if domain else None,
        "title": line(title, "title", _TITLE_LENGTH),
        "zone": zone_named(zone).key,
        "description": _optional_line(description, "description") or "",
        "posting": choice(posting, POSTING, "posting"),
        "created_at": now,
    }
    found = select(tables.community.c.id).where(tables.community.c.name == values["name"])
    if connection.execute(found).first():
        raise UsageError(f"There is a community {name!r} already; take another name or change it with `community set`.")
    connection.execute(insert(tables.community).values(values))
    return community(connection, name)


def _community_name(name: str) -> str:
    if len(name) > _NAME_OCTETS:
        raise UsageError(f"The community name {name!r} is longer than {_NAME_OCTETS} characters; take a shorter one.")
    if not re.fullmatch(r"[a-z0-9][a-z0-9_]*(\.[a-z0-9_]+)*", name):
        raise UsageError(
            f"The community name {name!r} cannot be the start of an address; write lower-case letters, digits, '_', "
            "and '.' between them. '+' and '-' part a name from what follows it, as in pump+help."
        )
    for reason, names in _NOBODYS_NAMES.items():
        if name in names:
            raise UsageError(f"A community cannot be called {name!r}: {reason}. Take another name.")
    return name


def _domain(text: str) -> str:
    parse_email(f"x@{text}")  # the same rules as for that of a member's address
    return text.lower()


def _optional_line(text: str, what: str) -> str | None:
    return line(text, what, _TEXT_LENGTH) if text.strip() else None


def set_community(connection: Connection, name: str, changes: Mapping[str, str], now: datetime) -> Community:
    """The community after changes; docs/commands.md says of what, and how each is written.

    An empty size means that the site's limit holds. Periods that are due by the old cut-off are to be made before.
    Raises NotFoundError and UsageError; an archived community cannot be changed.
    """
    found = _open_community(connection, name)
    values: dict[str, Any] = {}
    for key, text in changes.items():
        values |= _community_change(key, text)
    if values.keys() & _RHYTHM:
        # The new cut-offs are those to come: one that was this week, had it been the cut-off then, is none.
        values["last_period_at"] = max(now, found.last_period_at or now)
    if values:
        connection.execute(update(tables.community).where(tables.community.c.id == found.id).values(values))
    return community(connection, name)


def _community_change(key: str, text: str) -> dict[str, Any]:
    match choice(key, (*_PLAIN_SETTINGS, *_COPY_SETTINGS, *_POSTING_SETTINGS), "setting"):
        case "title":
            return {"title": line(text, "title", _TITLE_LENGTH)}
        case "description":
            return {"description": _optional_line(text, "description") or ""}
        case "zone":
            return {"zone": zone_named(text).key}
        case "language":
            return {"language": choice(text, LANGUAGES, "language")}
        case "cut-off":
            weekday, time = parse_weekday_time(text)
            return {"cut_off_weekday": weekday, "cut_off_time": time}
        case "subject-prefix":
            return {"subject_prefix": line(text, "subject prefix", _PREFIX_LENGTH) if text.strip() else ""}
        case "footer":
            return {"footer": lines(text, "footer", _TEXT_LENGTH) if text.strip() else ""}
        case _:
            return _posting_change(key, text)


def _posting_change(key: str, text: str) -> dict[str, Any]:
    """A setting of what may be posted."""
    match key:
        case "posting":
            return {"posting": choice(text, POSTING, "posting")}
        case "replies":
            return {"replies": choice(text, REPLIES, "kind of replies")}
        case "newcomers" | "urgent":
            if not re.fullmatch(r"[0-9]{1,2}", text.strip()):
                raise UsageError(f"{text!r} is no number of posts; write one from 0 to 99.")
            return {"newcomer_posts" if key == "newcomers" else "urgent": int(text)}
        case "max-size":
            return {"max_size": _message_size(text) if text.strip() else None}
        case "max-attachments":
            return {"max_attachments": parse_size(text) if text.strip() else None}
        case _:
            return {"signed_only": choice(text, ("yes", "no"), "answer") == "yes"}


def _message_size(text: str) -> int:
    size = parse_size(text)
    if size < _LEAST_SIZE:
        raise UsageError(f"No mail is as small as {text!r}; write a size like 500 kB or 5 MB.")
    return size


def archive_community(connection: Connection, name: str, now: datetime) -> Community:
    """The community, closed for good: its archive stays. A second time changes nothing. Raises NotFoundError."""
    found = community(connection, name)
    connection.execute(
        update(tables.community)
        .where(tables.community.c.id == found.id, tables.community.c.archived_at.is_(None))
        .values(archived_at=now)
    )
    return community(connection, name)


def _open_community(connection: Connection, name: str) -> Community:
    found = community(connection, name)
    if found.archived:
        raise UsageError(f"The community {found.name!r} is archived; it cannot be changed.")
    return found


# --- people ----------------------------------------------------------------------------------------------------------


def add_member(
    connection: Connection,
    *,
    community: str,
    email: str,
    now: datetime,
    name: str = "",
    role: str = "member",
    delivery: str = "each",
    crew: str | None = None,
    zone: str | None = None,
    language: str | None = None,
    format: str | None = None,
) -> Member:
    """The person with this address as a member of the community of that name, made known where the address is new.

    Digests begin at what is posted from now on. Somebody who left comes back as asked; who is a member already stays
    as they are. A name, crew, zone, language or format that is given replaces the one that the person had. Raises
    NotFoundError (community, crew) and UsageError, both before anything is written.
    """
    joined = _open_community(connection, community)
    address = parse_email(email)
    choice(role, ROLES, "role")
    choice(delivery, DELIVERIES, "delivery")
    person: dict[str, Any] = {}
    given = (("name", name), ("crew", crew), ("zone", zone), ("language", language), ("format", format))
    for key, text in given:
        person |= _person_change(connection, key, text) if text else {}
    present = member_by_address(connection, joined.id, address)
    if present is not None:
        return present
    person_id, address_id = _person_at(connection, address, person, now)
    membership = {"address_id": address_id, "role": role, "delivery": delivery, "joined_at": now, "left_at": None}
    begins = {"cursor": _last_number(connection, joined.id), "held_posts": joined.newcomer_posts}
    _join(connection, joined.id, person_id, membership | begins | _NEVER_QUIET)
    return _present(connection, joined, address)


def _last_number(connection: Connection, community_id: int) -> int:
    # The row is locked until our commit (SQLite has one writer anyway), so that no post is numbered in between: a
    # member who changes how they are told is then told each post once, by copy or by digest.
    query = select(tables.community.c.last_number).where(tables.community.c.id == community_id).with_for_update()
    return int(connection.execute(query).scalar_one())


def _person_at(connection: Connection, address: str, values: dict[str, Any], now: datetime) -> tuple[int, int]:
    """The ids of the person who has the address, changed by `values`, and of the address; both made where it is new."""
    known = connection.execute(
        select(tables.address.c.person_id, tables.address.c.id).where(tables.address.c.email_key == email_key(address))
    ).first()
    if known:
        _change_person(connection, known.person_id, values)
        return known.person_id, known.id
    made = insert(tables.person).values({"name": "", "created_at": now} | values).returning(tables.person.c.id)
    person_id = connection.execute(made).scalar_one()
    row = {"person_id": person_id, "email": address, "email_key": email_key(address)}
    return person_id, connection.execute(insert(tables.address).values(row).returning(tables.address.c.id)).scalar_one()


def _change_person(connection: Connection, person_id: int, values: dict[str, Any]) -> None:
    if values:
        connection.execute(update(tables.person).where(tables.person.c.id == person_id).values(values))


def _join(connection: Connection, community_id: int, person_id: int, values: dict[str, Any]) -> None:
    table = tables.membership
    left = update(table).where(table.c.community_id == community_id, table.c.person_id == person_id).values(values)
    if connection.execute(left).rowcount == 0:
        connection.execute(insert(table).values({"community_id": community_id, "person_id": person_id} | values))


def _present(connection: Connection, joined: Community, email: str) -> Member:
    found = member_by_address(connection, joined.id, email)
    if found is None:
        raise NotFoundError(
            f"{email!r} is not a member of {joined.name!r}; `tidings member list {joined.name}` shows who is."
        )
    return found


def set_member(
    connection: Connection, *, community: str, email: str, changes: Mapping[str, str], now: datetime
) -> Member:
    """The member after changes of name, role, delivery, crew, zone, language, digest, format, quiet and YES_OR_NO.

    Empty or `none` takes a crew, a zone or a language away. Turning from each or none to daily or weekly starts at the
    current archive number. Raises NotFoundError and UsageError.
    """
    joined = _open_community(connection, community)
    found = _present(connection, joined, email)
    person: dict[str, Any] = {}
    membership: dict[str, Any] = {}
    for key, text in changes.items():
        if key in ("role", "delivery"):
            membership[key] = choice(text, ROLES if key == "role" else DELIVERIES, key)
        elif key == "quiet":
            membership[key] = choice(text, QUIET, "kind of quiet hours")
        elif key in COPIES:
            membership |= _yes_or_no(key, text)
        else:
            person |= _person_change(connection, key, text)
    if membership.get("delivery") in _TOLD_BY_DIGEST and found.delivery not in _TOLD_BY_DIGEST:
        membership["cursor"] = _last_number(connection, joined.id)
    _change_person(connection, found.person_id, person)
    if membership:
        table = tables.membership
        connection.execute(update(table).where(table.c.id == found.membership_id).values(membership))
    return _present(connection, joined, email)


def _person_change(connection: Connection, key: str, text: str) -> dict[str, Any]:
    away = text.strip() in ("", "none")
    match choice(key, _MEMBER_SETTINGS, "setting"):
        case "name":
            return {"name": line(text, "name", _TITLE_LENGTH)}
        case "crew":
            return {"crew_id": None if away else crew_by_name(connection, text)}
        case "zone":
            return {"zone": None if away else zone_named(text).key}
        case "language":
            return {"language": languages.parse(text)}
        case "one-mail":
            return _yes_or_no(key, text)
        case "format":
            return {"format": choice(text, FORMATS, "format")}
        case _:
            chosen = digest_times.parse(text)
            return {"digest_at": chosen.at, "digest_weekday": chosen.weekday, "digest_time": chosen.time}


def _yes_or_no(key: str, text: str) -> dict[str, bool]:
    return {key.replace("-", "_"): choice(text, ("yes", "no"), "answer") == "yes"}


def pause(connection: Connection, *, membership_id: int, until: datetime) -> None:
    """Let the member have no mail before `until`; UNTIL_RESUMED ends only when it is resumed."""
    _change_pause(connection, membership_id, until)


def resume(connection: Connection, *, membership_id: int) -> None:
    """Let the member have mail again."""
    _change_pause(connection, membership_id, None)


def _change_pause(connection: Connection, membership_id: int, until: datetime | None) -> None:
    table = tables.membership
    connection.execute(update(table).where(table.c.id == membership_id).values(paused_until=until))


_PASSED = (
    update(tables.membership)
    .where(tables.membership.c.id == bindparam("membership"), tables.membership.c.held_posts > 0)
    .values(held_posts=tables.membership.c.held_posts - 1)
)


def passed(connection: Connection, membership_id: int) -> None:
    """Note that a post of the member was accepted: of a new one, one fewer is held from now on."""
    connection.execute(_PASSED, {"membership": membership_id})


def remove_member(connection: Connection, *, membership_id: int, now: datetime) -> bool:
    """Whether the membership, now ended, was going on until now; ending it twice changes nothing."""
    table = tables.membership
    left = update(table).where(table.c.id == membership_id, table.c.left_at.is_(None)).values(left_at=now)
    return connection.execute(left).rowcount == 1


# --- addresses of a person -------------------------------------------------------------------------------------------


def addresses(connection: Connection, person_id: int) -> list[str]:
    """Every address of the person, as it was written, in their order."""
    table = tables.address.c
    query = select(table.email).where(table.person_id == person_id).order_by(table.email_key)
    return list(connection.execute(query).scalars())


def add_address(connection: Connection, *, person_id: int, email: str) -> str:
    """The address, from now on one of the person's; the caller knows that it is.

    One that somebody else had who is in no community any more changes hands. Raises UsageError where it is a member's.
    """
    wanted = parse_email(email)
    table = tables.address
    known = connection.execute(select(table.c.person_id).where(table.c.email_key == email_key(wanted))).scalar()
    if known is None:
        row = {"person_id": person_id, "email": wanted, "email_key": email_key(wanted)}
        connection.execute(insert(table).values(row))
    elif known != person_id:
        if _is_in_any(connection, known):
            raise UsageError(f"The address {wanted} is that of another member.")
        _give_address(connection, wanted, person_id)
    return wanted


def _is_in_any(connection: Connection, person_id: int) -> bool:
    member = tables.membership.c
    found = select(member.id).where(member.person_id == person_id, member.left_at.is_(None)).limit(1)
    return connection.execute(found).first() is not None


def _give_address(connection: Connection, email: str, person_id: int) -> None:
    table = tables.address
    connection.execute(update(table).where(table.c.email_key == email_key(email)).values(person_id=person_id))


def move_mail(connection: Connection, *, membership_id: int, email: str) -> list[str]:
    """Send the membership's mail to `email`, one of the person's addresses; returns the titles of its communities.

    Those are more than one where other mail of the person went to the same address. Raises NotFoundError.
    """
    table = tables.membership
    row = connection.execute(select(table.c.person_id, table.c.address_id).where(table.c.id == membership_id)).first()
    key = email_key(email)
    query = select(tables.address.c.id, tables.address.c.person_id).where(tables.address.c.email_key == key)
    to = connection.execute(query).first()
    if row is None or to is None or to.person_id != row.person_id:
        raise NotFoundError(f"{email!r} is no address of that member.")
    moved = update(table).where(table.c.person_id == row.person_id, table.c.address_id == row.address_id)
    connection.execute(moved.values(address_id=to.id))
    return _titles_at(connection, to.id)


def _titles_at(connection: Connection, address_id: int) -> list[str]:
    """The titles of the communities whose mail goes to the address."""
    member, title = tables.membership, tables.community.c.title
    query = (
        select(title)
        .join_from(member, tables.community, tables.community.c.id == member.c.community_id)
        .where(member.c.address_id == address_id, member.c.left_at.is_(None))
        .order_by(title)
    )
    return list(connection.execute(query).scalars())


def forget_address(connection: Connection, *, person_id: int, email: str, now: datetime) -> None:
    """Take an address from the person.

    What came back from it is still told of it, so it goes to a person without a name and not out of the database.
    Raises NotFoundError where it is not theirs, and UsageError where mail of a community goes there.
    """
    table = tables.address
    query = select(table.c.id).where(table.c.email_key == email_key(email), table.c.person_id == person_id)
    found = connection.execute(query).scalar()
    if found is None:
        raise NotFoundError(f"{email!r} is no address of that member.")
    if titles := _titles_at(connection, found):
        raise UsageError(f"The mail of {', '.join(titles)} goes to {email}.")
    made = insert(tables.person).values(name="", created_at=now).returning(tables.person.c.id)
    _give_address(connection, email, connection.execute(made).scalar_one())


# --- many at once ----------------------------------------------------------------------------------------------------


def import_members(
    connection: Connection,
    *,
    community: str,
    rows: Iterable[Mapping[str, Any]],
    now: datetime,
    is_ours: Callable[[str], bool] = lambda email: False,
) -> list[ImportVerdict]:
    """A verdict for each row of COLUMNS; only the email is needed.

    `is_ours` says which addresses are a community's, and so nobody's. A row that is refused stops no other. Raises
    NotFoundError and UsageError (a column that is not known).
    """
    joined = _open_community(connection, community)
    read = list(rows)
    for column in {column: None for row in read for column in row if column is not None}:
        choice(column, COLUMNS, "column")
    return [_import_row(connection, joined, number, row, now, is_ours) for number, row in enumerate(read, start=1)]


def _import_row(
    connection: Connection,
    joined: Community,
    number: int,
    row: Mapping[Any, Any],
    now: datetime,
    is_ours: Callable[[str], bool],
) -> ImportVerdict:
    given = {column: text.strip() for column, text in row.items() if column is not None and text and text.strip()}
    email = given.pop("email", "")
    try:
        if None in row:  # where csv.DictReader puts what stands beyond the last column
            raise UsageError("The row has more cells than there are columns; put a name with a comma in quotes.")
        if is_ours(parse_email(email)):
            raise UsageError(f"{email} is an address of a community here; mail to it would go round in circles.")
        if member_by_address(connection, joined.id, email):
            return ImportVerdict(row=number, email=email, verdict="already a member")
        add_member(connection, community=joined.name, email=email, now=now, **given)
    except (UsageError, NotFoundError) as error:
        return ImportVerdict(row=number, email=email, verdict="refused", reason=str(error))
    return ImportVerdict(row=number, email=email, verdict="added")
