"""Erases a person: their posts become tombstones, and name, address and quoted words go from everything that is stored.

Threads stay whole. Of all modules only this one writes in every table, since a person may stand in any of them
(docs/decisions/0016-erase-sweeps-every-table.md). What in a text is theirs is redaction's to say.
"""

import zlib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

import msgspec
from sqlalchemy import (
    Connection,
    LargeBinary,
    String,
    Table,
    bindparam,
    cast,
    delete,
    func,
    insert,
    literal,
    or_,
    select,
    true,
    update,
)

from tidings.archive import read, store, text_index
from tidings.clock import Clock
from tidings.communities.directory import email_key
from tidings.database import tables
from tidings.database.engine import Database
from tidings.intake.filing import as_item_reply
from tidings.mailer.parsed import ParsedMessage
from tidings.mailer.worker import ParseWorker, Readable
from tidings.operations.redaction import ERASED, TOLD, Redactor, Words, tombstone
from tidings.settings import Settings
from tidings.tokens import Tokens

_BATCH = 100  # posts read at once
_WRITTEN = 25  # posts written in one transaction: others wait for the writer no longer than a blink
_SWEPT = 500  # rows read at once
_RAW = frozenset({"raw", "from_line"})  # of the columns of bytes, those that hold mail
# Kept as they are: keys and hashes, the archive's own rows (which `_posts` goes through), and what an erasure leaves.
_NOT_SWEPT = frozenset({"blob", "attachment", "site_value", "erasure", "erased_mark"})
# The largest tables, and what of them was not made anew with the posts; it is looked for by the database.
_LARGE = {"post": ("message_id", "sent_id", "answers"), "node": ("message_id",)}
_LAST = (tables.post, tables.node, tables.address, tables.person)
_YOU = frozenset({"you"})  # what readers are called in their own editions
_encode = msgspec.json.Encoder().encode


class Parts(Protocol):
    """What of a site an erasure goes through."""

    @property
    def database(self) -> Database: ...
    @property
    def spool_database(self) -> Database: ...
    @property
    def tokens(self) -> Tokens: ...
    @property
    def clock(self) -> Clock: ...
    @property
    def settings(self) -> Settings: ...


@dataclass(frozen=True, kw_only=True)
class Person:
    """Whom an erasure is of: addresses in lower case, names as they were written."""

    emails: tuple[str, ...]
    names: tuple[str, ...]
    person_ids: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class Report:
    """What was found, by kind, and what is left to do."""

    person: Person
    counts: Mapping[str, int]
    todo: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class _Post:
    id: int
    community_id: int
    message_id: str
    author_email: str
    subject: str
    text: str
    answers: str | None
    from_line: bytes | None
    content_hash: bytes
    received_at: datetime
    data: bytes
    language: str  # of its community


@dataclass(frozen=True, kw_only=True)
class _Change:
    """Other bytes for a post; `own` where it is the person's."""

    post: _Post
    raw: bytes
    own: bool
    message_id: str


_POST = tables.post.c
_POSTS = (
    select(
        *(_POST[name] for name in _Post.__dataclass_fields__ if name not in ("data", "language")),
        tables.blob.c.data,
        tables.community.c.language,
    )
    .join(tables.blob, tables.blob.c.hash == _POST.blob_hash)
    .join(tables.community, tables.community.c.id == _POST.community_id)
    .where(_POST.id > bindparam("after"))
    .order_by(_POST.id)
    .limit(_BATCH)
)


def find(connection: Connection, email: str) -> Person:
    """Everything that an address leads to: the other addresses of its person, and the names on their mail."""
    address, person = tables.address.c, tables.person.c
    ids = connection.execute(select(address.person_id).where(address.email_key == email_key(email))).scalars().all()
    emails = {email.lower()}
    emails.update(connection.execute(select(address.email_key).where(address.person_id.in_(ids))).scalars())
    named = list(connection.execute(select(person.name).where(person.id.in_(ids))).scalars())
    named += connection.execute(
        select(_POST.author_name).where(func.lower(_POST.author_email).in_(emails)).distinct()
    ).scalars()
    names = {name.strip(): None for name in named if name.strip() and "@" not in name and name != ERASED}
    return Person(emails=tuple(sorted(emails)), names=tuple(names), person_ids=tuple(ids))


def posts(connection: Connection) -> int:
    """How many posts an erasure goes through: all of them twice."""
    return 2 * int(connection.execute(select(func.count()).select_from(tables.post)).scalar_one())


@dataclass(kw_only=True)
class Erasure:
    """One erasure; without `act` it only looks. It may be repeated, and goes on where it was cut off."""

    site: Parts
    worker: ParseWorker
    person: Person
    act: bool
    counts: Counter[str] = field(default_factory=Counter)

    @property
    def _databases(self) -> Sequence[Database]:
        return tuple(dict.fromkeys((self.site.database, self.site.spool_database)))

    def run(self) -> Iterator[int]:
        """Yields how many posts were gone through so far; `report` says what was found."""
        # Their own posts tell what the copies of their words are, and the nodes which ids hold an address: those come
        # last, so that an erasure that was cut off can be done again.
        redactor, subjects = self._learn()
        done = 0
        for done in self._posts(redactor, subjects, own=False):
            yield done
        self._rows(redactor)
        for database in self._databases:
            self._sweep(database, redactor)
        for more in self._posts(redactor, subjects, own=True):
            yield done + more
        with self._writing(self.site.database) as connection:
            self._person(connection, self.person.person_ids)
        for table in _LAST:
            self._sweep_table(self.site.database, table, redactor)
        if self.act:
            self._note()

    def report(self) -> Report:
        """What was found and done."""
        todo = []
        if {email_key(admin) for admin in self.site.settings.site.admins} & set(self.person.emails):
            todo.append("The settings name the address under site.admins: take it out there.")
        if self.act:
            text_index.compact(self.site.database)
            for database in self._databases:
                if not database.scrub():
                    todo.append("Old pages are still in use by another process: stop the site and erase once more.")
        found = {name: many for name, many in self.counts.items() if many}
        return Report(person=self.person, counts=found, todo=tuple(dict.fromkeys(todo)))

    # --- what they wrote ---------------------------------------------------------------------------------------------

    def _learn(self) -> tuple[Redactor, dict[int, str]]:
        """What takes them out, and the subject that each post of theirs keeps."""
        words, titles, subjects = Words(), set[str](), dict[int, str]()
        own = func.lower(_POST.author_email).in_(self.person.emails)
        with self.site.database.read() as connection:
            for row in connection.execute(read.POSTS.where(own)):
                found = read.as_post(row)
                words.learn("\n".join(piece for kind, piece in read.pieces(found) if kind in ("own", "signature")))
                subjects[found.id] = self._subject(connection, found, own)
                if subjects[found.id] == ERASED:
                    titles.add(found.subject)
            ids = {old: self._new_id(old) for old in self._ids(connection)}
        redactor = Redactor(self.person.emails, self.person.names, words, titles=titles, ids=ids)
        return redactor, {post_id: redactor.line(subject) for post_id, subject in subjects.items()}

    def _subject(self, connection: Connection, found: read.Post, own: Any) -> str:
        """The subject that a post of theirs keeps: that of its thread, where somebody else wrote under it too."""
        others = select(_POST.subject).where(
            _POST.community_id == found.community_id, _POST.thread_id == found.thread_id, ~own
        )
        base = _base(found.subject)
        shared = any(_base(subject) == base for subject in connection.execute(others).scalars())
        return found.subject if shared else ERASED

    def _new_id(self, old: str) -> str:
        """A message id in the place of one that holds an address; without the site's key it tells nothing."""
        return f"{self.site.tokens.mark(old.encode())[:12].hex()}@erased.invalid"

    def _ids(self, connection: Connection) -> list[str]:
        """The message ids that hold one of their addresses."""
        node = tables.node.c
        found: set[str] = set()
        for email in self.person.emails:
            found.update(connection.execute(select(node.message_id).where(_holds(node.message_id, email))).scalars())
        return sorted(found)

    # --- posts -------------------------------------------------------------------------------------------------------

    def _posts(self, redactor: Redactor, subjects: Mapping[int, str], *, own: bool) -> Iterator[int]:
        after, done = 0, 0
        while True:
            with self.site.database.read() as connection:
                batch = [_Post(**row._mapping) for row in connection.execute(_POSTS, {"after": after})]
            if not batch:
                return
            those = [post for post in batch if own == (post.author_email.lower() in redactor.emails)]
            changes = [change for post in those if (change := self._change(post, redactor, subjects, own=own))]
            self.counts["posts of theirs" if own else "posts of others that name or quote them"] += len(changes)
            if self.act:
                for start in range(0, len(changes), _WRITTEN):
                    self._exchange(changes[start : start + _WRITTEN], redactor)
            after, done = batch[-1].id, done + len(batch)
            yield done

    def _change(self, post: _Post, redactor: Redactor, subjects: Mapping[int, str], *, own: bool) -> _Change | None:
        try:
            raw = zlib.decompress(post.data)
        except zlib.error:  # damaged; `tidings check` names it
            raw = b""
        made = tombstone(raw, redactor, subjects.get(post.id, ERASED)) if own else redactor.raw(raw)
        message_id = redactor.line(post.message_id)
        beside = f"{post.message_id}\n{(post.from_line or b'').decode('latin-1')}"
        if made == raw and redactor.line(beside) == beside and redactor.text(post.text) == post.text:
            return None
        return _Change(post=post, raw=made, own=own, message_id=message_id)

    def _exchange(self, changes: Sequence[_Change], redactor: Redactor) -> None:
        outcomes = list(self.worker.parse_many([change.raw for change in changes]))
        now, writes = self.site.clock.now(), store.Writes()
        with self.site.database.write() as connection:
            for change, outcome in zip(changes, outcomes, strict=True):
                if not isinstance(outcome, Readable):
                    raise AssertionError(f"unreachable: what was made of post {change.post.id} cannot be read")
                message = _as_archived(change, outcome.message, redactor)
                store.exchange(connection, change.post.id, change.raw, message.content_hash, change.message_id)
                post, language = change.post, change.post.language
                store.refresh(connection, post.id, message, post.received_at, writes, language=language)
                # The old content is known again, and so is not imported once more.
                _mark(connection, [self.site.tokens.mark(change.post.content_hash)], now)
            writes.flush(connection)

    # --- everything else ---------------------------------------------------------------------------------------------

    def _rows(self, redactor: Redactor) -> None:
        """What is theirs as a whole: it goes, or stays without them where others refer to it."""
        emails, people = sorted(redactor.emails), list(self.person.person_ids)
        address, member = tables.address, tables.membership
        addresses = select(address.c.id).where(address.c.person_id.in_(people))
        members = select(member.c.id).where(member.c.person_id.in_(people))
        gone = {
            "sessions and links": ((tables.session, "email_key"), (tables.sign_in_link, "email_key")),
            "questions by mail": ((tables.confirmation, "email"),),
            "rules about the sender": ((tables.sender_rule, "email_key"),),
            "notices counted": ((tables.notice_count, "email_key"),),
        }
        with self._writing(self.site.database) as connection:
            for what, those in gone.items():
                for table, column in those:
                    self._delete(connection, what, table, func.lower(table.c[column]).in_(emails))
            # They are in other words than theirs, by which nobody would know what is of them.
            self._delete(connection, "summaries by a model", tables.summary, true())
            self._delete(connection, "bounces", tables.bounce, tables.bounce.c.address_id.in_(addresses))
            self._delete(connection, "choices", tables.thread_choice, tables.thread_choice.c.membership_id.in_(members))
            self._delete(
                connection, "replies that wait", tables.kept_reply, tables.kept_reply.c.membership_id.in_(members)
            )
            self._mail_out(connection, emails)
        with self._writing(self.site.spool_database) as connection:
            spool = tables.spool
            theirs = func.lower(spool.c.mail_from).in_(emails) | func.lower(spool.c.author).in_(emails)
            self._delete(connection, "mail that waits, is held or shunted", spool, theirs)

    def _mail_out(self, connection: Connection, emails: Sequence[str]) -> None:
        """What is queued of theirs or to them is not sent; what was sent names them no more."""
        delivery, outbox = tables.delivery, tables.outbox
        of_theirs = select(outbox.c.id).where(
            outbox.c.post_id.in_(select(_POST.id).where(func.lower(_POST.author_email).in_(emails)))
        )
        to_them = func.lower(delivery.c.recipient).in_(emails)
        queued = delivery.c.state.in_(("queued", "held"))
        stop = {"state": "dropped", "reply": "erased", "claim": None, "claimed_until": None}
        self._update(
            connection, "copies that are not sent", delivery, queued & delivery.c.outbox_id.in_(of_theirs), stop
        )
        self._update(connection, "copies that are not sent", delivery, queued & to_them, stop)
        # A mail has each recipient once: several addresses of one person stay apart.
        nobody = {"recipient": _nobody(delivery.c.id)}
        self._update(connection, "copies to them", delivery, to_them, nobody)
        self._update(connection, "", outbox, outbox.c.id.in_(of_theirs), {"body": None})
        named = [_holds(outbox.c.notice_key, email) for email in emails]
        for one in named:
            self._update(connection, "", outbox, one, {"notice_key": None})

    def _person(self, connection: Connection, people: Collection[int]) -> None:
        person, address, member = tables.person, tables.address, tables.membership
        now = self.site.clock.now()
        nothing = dict.fromkeys(("zone", "crew_id", "digest_weekday", "digest_time")) | {"digest_at": "shift"}
        self._update(connection, "people", person, person.c.id.in_(people), {"name": ERASED, **nothing})
        change = tables.rota_change
        self._delete(connection, "changes of their shifts", change, change.c.person_id.in_(people))
        self._meetings(connection, people)
        self._update(
            connection,
            "memberships",
            member,
            member.c.person_id.in_(people) & member.c.left_at.is_(None),
            {"left_at": now, "delivery": "none", "role": "member"},
        )
        nobody = _nobody(address.c.id)
        values = {"email": nobody, "email_key": nobody, "stopped_at": now, "stopped_why": ERASED, "probe_due_at": None}
        self._update(connection, "addresses", address, address.c.person_id.in_(people), values)

    def _meetings(self, connection: Connection, people: Collection[int]) -> None:
        """What they said of meetings goes; a topic of theirs stays by its title, which is that of a thread."""
        topic, member = tables.topic, tables.membership
        self._update(connection, "topics", topic, topic.c.person_id.in_(people), {"text": "", "person_id": None})
        self._update(connection, "", topic, topic.c.lead_id.in_(people), {"lead_id": None})
        for table in (tables.attendance, tables.willing, tables.duty, tables.topic_second):
            self._delete(connection, "answers and offers at meetings", table, table.c.person_id.in_(people))
        mine = select(member.c.id).where(member.c.person_id.in_(people))
        feed = tables.feed_token
        self._delete(connection, "links of their calendar", feed, feed.c.membership_id.in_(mine))

    def _delete(self, connection: Connection, what: str, table: Table, where: Any) -> None:
        self._count(connection, what, table, where)
        if self.act:
            connection.execute(delete(table).where(where))

    def _update(self, connection: Connection, what: str, table: Table, where: Any, values: Mapping[str, Any]) -> None:
        self._count(connection, what, table, where)
        if self.act:
            connection.execute(update(table).where(where).values(dict(values)))

    def _count(self, connection: Connection, what: str, table: Table, where: Any) -> None:
        if what:
            self.counts[what] += connection.execute(select(func.count()).select_from(table).where(where)).scalar_one()

    def _writing(self, database: Database) -> Any:
        return database.write() if self.act else database.read()

    def _sweep(self, database: Database, redactor: Redactor) -> None:
        """Go through every text that is stored anywhere: also in tables that this module has never heard of."""
        on_sqlite = database.dialect == "sqlite"
        site = database is self.site.database
        for table in (*(tables.metadata.sorted_tables if site else ()), *self._spool_tables(site, on_sqlite)):
            if table.name not in _NOT_SWEPT and table not in _LAST:
                self._sweep_table(database, table, redactor)

    @staticmethod
    def _spool_tables(site: bool, on_sqlite: bool) -> Sequence[Table]:
        return tables.spool_metadata.sorted_tables if not (site and on_sqlite) else ()

    def _sweep_table(self, database: Database, table: Table, redactor: Redactor) -> None:
        swept = [column for column in table.c if _is_swept(column, _LARGE.get(table.name))]
        if not swept:
            return
        key = list(table.primary_key) or list(table.c)
        theirs = self._own_fragments() if table is tables.fragment else frozenset()
        asked = select(table)
        if table.name in _LARGE:
            asked = asked.where(or_(*(_holds(column, email) for column in swept for email in self.person.emails)))
        with database.read() as connection:
            rows = connection.execution_options(yield_per=_SWEPT).execute(asked)
            wrong = [
                ([row[column.name] for column in key], changed)
                for row in rows.mappings()
                if (changed := _redacted(row, swept, redactor, _YOU if row.get("id") in theirs else ()))
            ]
        self.counts[f"rows of {table.name}"] += len(wrong)
        if not self.act:
            return
        for start in range(0, len(wrong), _WRITTEN):
            with database.write() as connection:
                for values, changed in wrong[start : start + _WRITTEN]:
                    where = [column.is_(value) if value is None else column == value
                             for column, value in zip(key, values, strict=True)]  # fmt: skip
                    connection.execute(update(table).where(*where).values(changed))

    def _own_fragments(self) -> Collection[int]:
        """What their own editions tell, in which they are called `you`."""
        section, item = tables.edition_section.c, tables.item.c
        with self.site.database.read() as connection:
            own = select(item.fragment_id).join(tables.edition_section, section.id == item.section_id)
            return frozenset(connection.execute(own.where(section.person_id.in_(self.person.person_ids))).scalars())

    def _note(self) -> None:
        now = self.site.clock.now()
        counts = _encode({name: many for name, many in self.counts.items() if many}).decode()
        with self.site.database.write() as connection:
            connection.execute(insert(tables.erasure).values(erased_at=now, counts=counts))
            _mark(connection, [self.site.tokens.mark(email.encode()) for email in self.person.emails], now)


def erased_before(connection: Connection, tokens: Tokens, messages: Sequence[ParsedMessage]) -> list[datetime | None]:
    """When what each message is, or who wrote it, was erased; None for what was not."""
    marks = [(tokens.mark(one.content_hash), tokens.mark(email_key(one.author_email).encode())) for one in messages]
    table = tables.erased_mark.c
    asked = select(table.mark, table.erased_at).where(table.mark.in_({mark for pair in marks for mark in pair}))
    known = {bytes(mark): moment for mark, moment in connection.execute(asked)}
    return [known.get(content) or known.get(author) for content, author in marks]


def _as_archived(change: _Change, message: ParsedMessage, redactor: Redactor) -> ParsedMessage:
    post = change.post
    if post.answers is None:
        return message
    # A reply to an item has its text from when it came.
    text = TOLD + "\n" if change.own else redactor.text(post.text)
    return as_item_reply(message, text, redactor.line(post.subject))


def _mark(connection: Connection, marks: Sequence[bytes], now: datetime) -> None:
    table = tables.erased_mark
    known = set(map(bytes, connection.execute(select(table.c.mark).where(table.c.mark.in_(marks))).scalars()))
    rows = [{"mark": mark, "erased_at": now} for mark in dict.fromkeys(marks) if mark not in known]
    if rows:
        connection.execute(insert(table), rows)


def _is_swept(column: Any, alone: Collection[str] | None) -> bool:
    if alone is not None:
        return column.name in alone
    if column.primary_key or column.foreign_keys:
        return False
    return isinstance(column.type, String) or (isinstance(column.type, LargeBinary) and column.name in _RAW)


def _redacted(row: Any, swept: Sequence[Any], redactor: Redactor, also: Collection[str]) -> dict[str, Any]:
    """The columns of a row in which they stand, without them."""
    changed = {}
    for column in swept:
        value = row[column.name]
        if value and (made := _without(value, redactor, also)) != value:
            changed[column.name] = made
    return changed


def _without(value: str | bytes, redactor: Redactor, also: Collection[str]) -> str | bytes:
    if not isinstance(value, str):
        return redactor.raw(bytes(value))
    if value[:1] in ("{", "["):
        try:
            decoded = msgspec.json.decode(value)
            made = redactor.value(decoded, also)
            return value if made == decoded else _encode(made).decode()
        except msgspec.DecodeError:
            pass  # it only begins so
    return redactor.text(value) if "\n" in value else redactor.cell(value)


def _holds(column: Any, text: str) -> Any:
    return func.lower(column).contains(text, autoescape=True)


def _nobody(key: Any) -> Any:
    """An address that no mail can go to, another for each row."""
    return literal("erased-").concat(cast(key, String)).concat("@erased.invalid")


def _base(subject: str) -> str:
    """A subject without what replies put before it."""
    while ":" in subject[:8]:
        subject = subject.partition(":")[2]
    return " ".join(subject.split()).casefold()
