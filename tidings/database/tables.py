"""The schema: SQLAlchemy Core tables, the same on SQLite and PostgreSQL; only the text index differs.

Who writes which table stands in docs/design.md ("Who writes what"). Moments are whole microseconds since 1970 in UTC,
so that both engines compare and keep them alike. The spool has a MetaData of its own because on SQLite it is a file of
its own.
"""

from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Dialect,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
    event,
    text,
)
from sqlalchemy.schema import DDL
from sqlalchemy.types import TypeDecorator

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)


class Moment(TypeDecorator[datetime]):
    """An aware datetime, kept as whole microseconds since 1970 in UTC."""

    impl = BigInteger
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> int | None:
        return None if value is None else microseconds(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> datetime | None:
        return None if value is None else _EPOCH + timedelta(microseconds=value)


def microseconds(moment: datetime) -> int:
    """A moment as it is kept, for statements that translate no values (database.many)."""
    return (moment - _EPOCH) // _MICROSECOND


# SQLite hands out row ids only for INTEGER PRIMARY KEY; PostgreSQL wants 64 bits.
Id = BigInteger().with_variant(Integer, "sqlite")

_NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
metadata = MetaData(naming_convention=_NAMES)
spool_metadata = MetaData(naming_convention=_NAMES)


def _id() -> Column[int]:
    return Column("id", Id, primary_key=True)


def _ref(name: str, target: str, *, nullable: bool = False, index: bool = False) -> Column[int]:
    return Column(name, Id, ForeignKey(f"{target}.id"), nullable=nullable, index=index)


# What a site remembers of itself: its secret key, the demo's clock offset.
site_value = Table(
    "site_value", metadata, Column("key", String(64), primary_key=True), Column("value", LargeBinary, nullable=False)
)

# --- communities ----------------------------------------------------------------------------------------

rota = Table(
    "rota",
    metadata,
    _id(),
    Column("name", String(64), nullable=False, unique=True),
    Column("zone", String(64), nullable=False),
)
rota_shift = Table(
    "rota_shift",
    metadata,
    _ref("rota_id", "rota"),
    Column("letter", String(1), nullable=False),
    Column("starts", String(5), nullable=False),  # wall clock, HH:MM
    Column("ends", String(5), nullable=False),  # at or before `starts`: it ends the next day
    UniqueConstraint("rota_id", "letter"),
)
rota_pattern = Table(
    "rota_pattern",
    metadata,
    _id(),
    _ref("rota_id", "rota"),
    Column("name", String(64), nullable=False),
    Column("cycle", Text, nullable=False),  # a letter a day, O is off; empty: the shifts are those of a calendar
    UniqueConstraint("rota_id", "name"),
)
crew = Table(
    "crew",
    metadata,
    _id(),
    Column("name", String(64), nullable=False, unique=True),
    _ref("pattern_id", "rota_pattern"),
    Column("start_date", String(10), nullable=False),  # ISO date of the cycle's first letter
)
person = Table(
    "person",
    metadata,
    _id(),
    Column("name", Text, nullable=False),
    Column("zone", String(64)),  # null: the site's
    Column("language", String(8)),  # communities.languages.NAMES; null: the community's
    _ref("crew_id", "crew", nullable=True, index=True),
    Column("digest_at", String(8), nullable=False, server_default="shift"),  # communities.digest_times.At
    Column("digest_weekday", Integer),  # 0 is Monday; null where `digest_at` names no day
    Column("digest_time", String(5)),  # wall clock, HH:MM
    Column(
        "one_mail", Boolean, nullable=False, server_default=text("true")
    ),  # for all communities that are due at once
    Column("format", String(8), nullable=False, server_default="html"),  # of digests: communities.joining.FORMATS
    Column("created_at", Moment, nullable=False),
)
# Days on which something else is worked: of all crews of a rota, of one crew or of one person.
rota_change = Table(
    "rota_change",
    metadata,
    _id(),
    _ref("rota_id", "rota", nullable=True, index=True),
    _ref("crew_id", "crew", nullable=True, index=True),
    _ref("person_id", "person", nullable=True, index=True),
    Column("first_day", String(10), nullable=False),  # ISO dates of the rota's zone
    Column("last_day", String(10)),  # null: for good
    Column("days", Text, nullable=False),  # a letter a day from the first, repeated: O is off, x as ever
    Column("only", String(26), nullable=False),  # the letters that it touches; empty: all
    Column("note", Text, nullable=False),
)
# A pattern whose shifts are those of an iCalendar file or feed.
calendar = Table(
    "calendar",
    metadata,
    _id(),
    Column("pattern_id", Id, ForeignKey("rota_pattern.id"), nullable=False, unique=True),
    Column("source", Text, nullable=False),  # a URL, or the path of a file that was read once
    Column("checked_at", Moment, nullable=False),  # when it was last asked for, with success or not
    Column("read_at", Moment, nullable=False),  # when its shifts were read
    Column("error", Text),  # why the last try failed; null: it did not
    Column("left_out", Text, nullable=False),  # what stands in it and is no shift, in words
)
calendar_shift = Table(
    "calendar_shift",
    metadata,
    _ref("calendar_id", "calendar", index=True),
    Column("starts_at", Moment, nullable=False),
    Column("ends_at", Moment, nullable=False),
    Column("title", String(64), nullable=False),
)
address = Table(
    "address",
    metadata,
    _id(),
    _ref("person_id", "person", index=True),
    Column("email", String(320), nullable=False),  # as it was written, domain in lower case
    Column("email_key", String(320), nullable=False, unique=True),  # all in lower case: what look-ups compare
    Column("stopped_at", Moment),  # no mail goes there since: too much of it came back
    Column("stopped_why", Text),
    Column("probes", Integer, nullable=False, server_default="0"),  # mails that asked since whether it works again
    Column("probe_due_at", Moment),
    Index(
        "ix_address_probe",
        "probe_due_at",
        sqlite_where=text("probe_due_at IS NOT NULL"),
        postgresql_where=text("probe_due_at IS NOT NULL"),
    ),
)
community = Table(
    "community",
    metadata,
    _id(),
    Column("name", String(24), nullable=False, unique=True),  # the local part of its address
    Column("domain", String(255)),  # of its address, where that is a mailbox elsewhere; null: the site's
    Column("title", Text, nullable=False),
    Column("description", Text, nullable=False, server_default=""),
    Column("zone", String(64), nullable=False),
    Column("language", String(16), nullable=False, server_default="english"),  # communities.joining.LANGUAGES
    Column("posting", String(16), nullable=False, server_default="members"),  # communities.policy.POSTING
    Column("replies", String(8), nullable=False, server_default="list"),  # whom a reply to a post is for: list, author
    Column("subject_prefix", Text, nullable=False, server_default=""),  # of copies; empty: none
    Column("footer", Text, nullable=False, server_default=""),  # of copies, with its placeholders; empty: none
    Column("newcomer_posts", Integer, nullable=False, server_default="0"),  # how many posts of a new member are held
    Column("max_size", BigInteger),  # bytes of a message; null: the site's limit
    Column("max_attachments", BigInteger),  # bytes of all attachments; 0: none are taken; null: no limit of its own
    Column("signed_only", Boolean, nullable=False, server_default=text("false")),  # hold what no aligned DKIM proves
    Column("cut_off_weekday", Integer, nullable=False, server_default="6"),
    Column("cut_off_time", String(5), nullable=False, server_default="18:00"),
    Column("last_number", BigInteger, nullable=False, server_default="0"),  # the newest archive number
    Column("last_period_at", Moment),  # up to when periods were made
    Column("urgent", Integer, nullable=False, server_default="1"),  # posts of a sender in 24 hours that quiet lets by
    Column("archived_at", Moment),
    Column("created_at", Moment, nullable=False),
)
membership = Table(
    "membership",
    metadata,
    _id(),
    _ref("community_id", "community"),
    _ref("person_id", "person", index=True),
    _ref("address_id", "address"),  # where this community's mail goes
    Column("role", String(16), nullable=False),  # member, moderator, leader, owner
    Column("delivery", String(8), nullable=False),  # each, daily, weekly, none
    Column("cursor", BigInteger, nullable=False),  # told up to this archive number
    Column("held_posts", Integer, nullable=False, server_default="0"),  # how many more of its posts are held
    Column("paused_until", Moment),  # no mail before that
    Column("own_posts", Boolean, nullable=False, server_default=text("true")),  # are sent their own posts too
    Column("also_named", Boolean, nullable=False, server_default=text("false")),  # a copy also where To or Cc has them
    Column("quiet", String(8), nullable=False, server_default="none"),  # communities.joining.QUIET
    # The quiet hours that are now or come next: in [quiet_from, quiet_until) copies are held, and until asleep_until
    # urgent ones too. They are looked at anew once they are over.
    Column("quiet_from", Moment),
    Column("quiet_until", Moment),
    Column("asleep_until", Moment),
    Column("joined_at", Moment, nullable=False),
    Column("left_at", Moment),
    UniqueConstraint("community_id", "person_id"),
    Index("ix_membership_community_delivery", "community_id", "delivery"),
    Index("ix_membership_joined", "community_id", "joined_at"),
    Index(
        "ix_membership_quiet",
        "quiet_until",
        sqlite_where=text("quiet_until IS NOT NULL"),
        postgresql_where=text("quiet_until IS NOT NULL"),
    ),
)
# Which threads a member wants less or more of. The thread is named by a post in it: threads merge and are rebuilt.
thread_choice = Table(
    "thread_choice",
    metadata,
    _ref("membership_id", "membership"),
    Column("message_id", Text, nullable=False),
    Column("choice", String(8), nullable=False),  # mute, follow
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("membership_id", "message_id"),
    Index("ix_thread_choice_message", "message_id"),
)
# What a moderator said of an address, member or not, once and for all.
sender_rule = Table(
    "sender_rule",
    metadata,
    _ref("community_id", "community"),
    Column("email_key", String(320), nullable=False),
    Column("rule", String(8), nullable=False),  # allow, ban
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("community_id", "email_key"),
)
# What was asked for by mail and waits for a yes from the address that it was sent to: one use, 72 hours, stored hashed.
confirmation = Table(
    "confirmation",
    metadata,
    Column("token_hash", LargeBinary(32), primary_key=True),
    Column("purpose", String(16), nullable=False),  # communities.confirmations.Purpose
    _ref("community_id", "community", nullable=True),
    Column("email", String(320), nullable=False),  # where the token was sent
    Column("request", Text, nullable=False),  # JSON: what is done on a yes
    Column("created_at", Moment, nullable=False),
    Column("used_at", Moment),
    Index("ix_confirmation_created_at", "created_at"),
)
# One row for an address and a day on which mail to it came back: a day counts once.
bounce = Table(
    "bounce",
    metadata,
    _id(),
    _ref("address_id", "address"),
    _ref("community_id", "community", nullable=True),
    Column("day", String(10), nullable=False),  # ISO date in UTC
    Column("permanent", Boolean, nullable=False),
    Column("counted", Boolean, nullable=False),  # false: in a wave, or about the message and not the address
    Column("status", String(16), nullable=False),  # RFC 3463
    Column("reason", Text, nullable=False),
    Column("received_at", Moment, nullable=False),
    UniqueConstraint("address_id", "day"),
    Index("ix_bounce_day", "day"),
)
# So much came back at once that the fault is ours: while a wave lasts, no bounce counts.
bounce_wave = Table(
    "bounce_wave",
    metadata,
    _id(),
    Column("started_at", Moment, nullable=False),
    Column("ended_at", Moment),
    Column("reason", Text, nullable=False),
)
# Stored hashed, good until it is revoked: whoever has it reads the calendar of a community, or of one member's.
feed_token = Table(
    "feed_token",
    metadata,
    Column("token_hash", LargeBinary(32), primary_key=True),
    _ref("membership_id", "membership", index=True),
    Column("created_at", Moment, nullable=False),
)
sign_in_link = Table(  # one use, 72 hours; stored hashed
    "sign_in_link",
    metadata,
    Column("token_hash", LargeBinary(32), primary_key=True),
    Column("email_key", String(320), nullable=False, index=True),
    Column("created_at", Moment, nullable=False),
    Column("used_at", Moment),
)
session = Table(
    "session",
    metadata,
    Column("token_hash", LargeBinary(32), primary_key=True),
    Column("email_key", String(320), nullable=False),
    Column("created_at", Moment, nullable=False),
)

# --- threading ------------------------------------------------------------------------------------------

node = Table(
    "node",
    metadata,
    _id(),
    _ref("community_id", "community"),
    Column("message_id", Text, nullable=False),
    Column("thread_id", Id, nullable=False),  # the id of one of the thread's nodes
    Column("whole_id", Id),  # the thread as it were without what people decided, where that is another or they did
    Column("parent_id", Id),
    Column("parent_rank", Integer),  # which of its candidates the parent is; null: a root
    Column("why", String(16), nullable=False),  # root, ghost, person, reply-token, in-reply-to, references, ...
    Column("date", Moment),
    Column("post_id", Id),  # null: a ghost
    Column(
        "kin_id", Id, nullable=False, server_default="0"
    ),  # what header fields alone hold together: the id of one of its nodes
    Column("header_id", Id),  # the parent by header fields
    Column("header_why", String(16), nullable=False, server_default="root"),
    Column("index_id", Id),  # the parent by Thread-Index, should header fields name none that was seen
    Column("subject_id", Id),  # the parent by subject, should that fail too
    Column("turn", BigInteger),  # its place in time among those of the same subject
    Column("subject_key", BigInteger),  # a hash of the subject without prefixes; null: it has none
    Column("conversation_key", BigInteger),  # a hash of what Thread-Index names; null: it has none
    Column("likeness", LargeBinary),  # MessagePack: threading.likeness
    UniqueConstraint("community_id", "message_id"),
    Index("ix_node_thread", "community_id", "thread_id"),
    Index("ix_node_parent", "parent_id"),
    Index(
        "ix_node_whole",
        "whole_id",
        sqlite_where=text("whole_id IS NOT NULL"),
        postgresql_where=text("whole_id IS NOT NULL"),
    ),
    Index("ix_node_subject", "community_id", "subject_key", "turn"),
    Index("ix_node_conversation", "community_id", "conversation_key", "turn"),
)
# A node that would rather have this ghost as its parent, should the ghost ever be seen.
node_wish = Table(
    "node_wish",
    metadata,
    _ref("ghost_id", "node"),
    _ref("node_id", "node", index=True),
    Column("rank", Integer, nullable=False),
    Column("why", String(16), nullable=False),
    UniqueConstraint("ghost_id", "node_id"),
)
# What people said of threads. Messages are named by their ids, since nodes are made anew.
thread_decision = Table(
    "thread_decision",
    metadata,
    _id(),
    _ref("community_id", "community"),
    Column("kind", String(8), nullable=False),  # split, attach
    Column("message_id", Text, nullable=False),
    Column("parent_message_id", Text),  # attach: what it is a reply to
    Column("created_at", Moment, nullable=False),
    Column("by", Text, nullable=False),
    Column("undone_at", Moment),
    Index("ix_thread_decision_message", "community_id", "message_id"),
)

# --- archive --------------------------------------------------------------------------------------------

blob = Table(
    "blob",
    metadata,
    Column("hash", LargeBinary(32), primary_key=True),  # SHA-256 of the raw bytes
    Column("size", BigInteger, nullable=False),  # of the raw bytes
    Column("data", LargeBinary, nullable=False),  # zlib (RFC 1950)
)
post = Table(
    "post",
    metadata,
    _id(),
    _ref("community_id", "community"),
    Column("number", BigInteger, nullable=False),  # the archive number
    Column("message_id", Text, nullable=False),  # without <>
    Column("sent_id", Text),  # the id it came with, where that could not be kept
    Column("answers", Text),  # the message id that a reply token named: only the token's own mail says so
    Column("content_hash", LargeBinary(32), nullable=False),
    # Deferred: the blobs of a batch are written together, after its posts. Indexed (below), since each blob that comes
    # late is checked against the posts that wait for it.
    Column(
        "blob_hash", LargeBinary(32), ForeignKey("blob.hash", deferrable=True, initially="DEFERRED"), nullable=False
    ),
    Column("thread_id", Id, nullable=False),  # copied from its node: pages list threads without a join
    Column("subject", Text, nullable=False),
    Column("author_name", Text, nullable=False),
    Column("author_email", String(320), nullable=False),
    Column("recipients", Text, nullable=False),  # To and Cc as shown, for to: searches
    Column("date", Moment, nullable=False),  # the Date field where it can be believed, else received_at
    Column("received_at", Moment, nullable=False),
    Column("text", Text, nullable=False),  # what is shown, quotes and all
    Column("folds", Text, nullable=False),  # JSON [[start, end, kind], ...]: what of it is folded
    Column("via", String(8), nullable=False),  # smtp, import
    Column("from_line", LargeBinary),  # of the mbox it came from
    Column("attachments", Integer, nullable=False, server_default="0"),
    Column("has_html", Boolean, nullable=False, server_default=text("true")),  # true too where nobody looked yet
    UniqueConstraint("community_id", "number"),
    UniqueConstraint("community_id", "message_id"),
    Index("ix_post_blob", "blob_hash"),
    Index("ix_post_thread", "community_id", "thread_id"),
    Index("ix_post_date", "community_id", "date"),
    sqlite_autoincrement=True,  # the text index refers to it: an id never comes back
)
attachment = Table(
    "attachment",
    metadata,
    _ref("post_id", "post"),
    Column("position", Integer, nullable=False),  # which MIME part, counted depth first from 0
    Column("filename", Text, nullable=False),
    Column("content_type", Text, nullable=False),
    Column("size", BigInteger, nullable=False),
    Column("hash", LargeBinary(32)),  # SHA-256 of what it decodes to; null for a mail, and where nobody looked yet
    UniqueConstraint("post_id", "position"),
    Index("ix_attachment_hash", "hash", "post_id"),
)
# What a community learned, as a post of it says: for digests, later for the pages of knowledge.
card = Table(
    "card",
    metadata,
    _id(),
    _ref("community_id", "community"),
    Column("kind", String(8), nullable=False),  # archive.cards.Kind
    _ref("post_id", "post"),  # the post that says it
    _ref("about_id", "post", nullable=True),  # the post that it is about: the answer, the practice that was used
    Column("position", Integer, nullable=False, server_default="0"),  # among those of the kind that the post says
    _ref("person_id", "person", nullable=True),  # who said it
    Column("text", Text, nullable=False),  # in a line or a few
    _ref("meeting_id", "meeting", nullable=True, index=True),  # where minutes say it
    _ref("topic_id", "topic", nullable=True, index=True),  # under which of its topics
    # Of an action alone.
    _ref("owner_id", "person", nullable=True, index=True),
    Column("due_on", String(10)),  # ISO date in the community's zone; null: no day was named
    Column("done_at", Moment),
    Column("remind_at", Moment),  # when its owner is reminded
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("post_id", "kind", "position"),
    Index("ix_card_community", "community_id", "kind"),
    Index(
        "ix_card_remind",
        "remind_at",
        sqlite_where=text("remind_at IS NOT NULL"),
        postgresql_where=text("remind_at IS NOT NULL"),
    ),
)

# --- mail out -------------------------------------------------------------------------------------------

outbox = Table(
    "outbox",
    metadata,
    _id(),
    Column("kind", String(8), nullable=False),  # post, edition, notice
    _ref("community_id", "community", nullable=True),
    _ref("post_id", "post", nullable=True, index=True),
    Column("edition_id", Id, index=True),
    Column("notice_key", Text, unique=True),  # a notice is written once per key
    Column("mail_from", String(320), nullable=False),  # return path; empty: the null return path
    Column("fields", Text),  # JSON: header fields that replace the post's own
    Column("body", Text),  # the text that replaces the post's own (a digest reply without the digest)
    Column("raw", LargeBinary),  # a notice's bytes
    Column("retracted_at", Moment),  # no copy that was not sent by then is
    Column("urgent", Boolean, nullable=False, server_default=text("false")),  # quiet hours did not hold it
    Column("created_at", Moment, nullable=False),
    Index(
        "ix_outbox_urgent",
        "community_id",
        "created_at",
        sqlite_where=text("urgent"),
        postgresql_where=text("urgent"),
    ),
)
delivery = Table(
    "delivery",
    metadata,
    _id(),
    _ref("outbox_id", "outbox"),
    _ref("membership_id", "membership", nullable=True, index=True),
    Column("recipient", String(320), nullable=False),
    Column("route", String(64), nullable=False, server_default=""),  # which smart host; empty: the default one
    Column("state", String(8), nullable=False),  # queued, sent, failed, dropped; held and bundled: digests.quiet
    Column("attempts", Integer, nullable=False),
    Column("due_at", Moment, nullable=False),
    Column("claim", String(32)),  # the fence: only its holder may write the outcome
    Column("claimed_until", Moment),
    Column("reply", Text),  # what the smart host said last
    Column("changed_at", Moment, nullable=False),
    UniqueConstraint("outbox_id", "recipient"),
    Index(
        "ix_delivery_queued",
        "route",
        "due_at",
        sqlite_where=text("state = 'queued'"),
        postgresql_where=text("state = 'queued'"),
    ),
    Index(
        "ix_delivery_failed",
        "changed_at",
        sqlite_where=text("state = 'failed'"),
        postgresql_where=text("state = 'failed'"),
    ),
    Index(
        "ix_delivery_held",
        "membership_id",
        sqlite_where=text("state = 'held'"),
        postgresql_where=text("state = 'held'"),
    ),
)

# A domain that is in trouble: it put off so much that its letters are sent one by one. No row: it takes all.
destination = Table(
    "destination",
    metadata,
    Column("domain", String(255), primary_key=True),  # in lower case
    Column("since", Moment, nullable=False),
    Column("pause", BigInteger, nullable=False),  # milliseconds between letters
    Column("next_at", Moment, nullable=False),  # when the next letter may be tried
    Column("changed_at", Moment, nullable=False),
    Column("said", Text, nullable=False),  # what the smart host said when it went to rest
)
# Which route carries mail to a domain, as the settings had it when the deliverer last started.
route_domain = Table(
    "route_domain",
    metadata,
    Column("domain", String(255), primary_key=True),  # in lower case
    Column("route", String(64), nullable=False),
)

# How many notices an address was sent on a day that anybody might have asked for in its name.
notice_count = Table(
    "notice_count",
    metadata,
    Column("email_key", String(320), primary_key=True),
    Column("day", String(10), primary_key=True),  # ISO date in UTC
    Column("many", Integer, nullable=False),
)

# --- digests --------------------------------------------------------------------------------------------

period = Table(
    "period",
    metadata,
    _id(),
    _ref("community_id", "community"),
    # weekly, daily; each: what quiet hours held; agenda: of a meeting; remind: of duties and actions
    Column("rhythm", String(8), nullable=False),
    Column("number", BigInteger, nullable=False),
    Column("up_to", BigInteger, nullable=False),  # archive number
    Column("cut_off_at", Moment, nullable=False),
    _ref("meeting_id", "meeting", nullable=True, index=True),  # of an agenda
    UniqueConstraint("community_id", "rhythm", "number"),
)
edition = Table(
    "edition",
    metadata,
    _id(),
    _ref("person_id", "person", index=True),
    Column("message_id", Text, nullable=False, unique=True),
    Column("recipient", String(320), nullable=False),
    Column("subject", Text, nullable=False),
    Column("zone", String(64), nullable=False),
    Column("language", String(8), nullable=False, server_default="en"),
    Column("format", String(8), nullable=False, server_default="html"),  # the reader's at that time
    Column("due_at", Moment, nullable=False),
    Column("composed_at", Moment, nullable=False),
)
# One row for each member of a period, made at its cut-off: when it is due, and what became of it.
edition_section = Table(
    "edition_section",
    metadata,
    _id(),
    _ref("person_id", "person"),
    _ref("community_id", "community"),
    _ref("period_id", "period"),
    _ref("membership_id", "membership"),
    _ref("edition_id", "edition", nullable=True, index=True),
    Column("state", String(8), nullable=False),  # waiting, composed, quiet, dropped
    Column("due_at", Moment, nullable=False),
    Column("after", BigInteger),  # the cursor when it was composed
    Column("position", Integer),  # in the edition
    Column("windows", Text),  # JSON, of a return: digests.history.Window by window; null of any other
    UniqueConstraint("person_id", "community_id", "period_id"),
    Index(
        "ix_edition_section_waiting",
        "due_at",
        "id",
        sqlite_where=text("state = 'waiting'"),
        postgresql_where=text("state = 'waiting'"),
    ),
)
# What is printed of an item: the same row for all who are told the same.
fragment = Table(
    "fragment",
    metadata,
    _id(),
    Column("hash", LargeBinary(32), nullable=False, unique=True),  # SHA-256 of the data when it was made
    Column("data", Text, nullable=False),  # JSON: digests.fragments
)
# What a language model wrote of the new posts of a conversation; empty where nothing of it could be used.
summary = Table(
    "summary",
    metadata,
    Column("community_id", Id, ForeignKey("community.id"), primary_key=True),
    Column("posts_hash", LargeBinary(32), primary_key=True),  # of their numbers and texts: digests.summaries
    Column("text", Text, nullable=False),
    Column("made_at", Moment, nullable=False),
)
# A period of whose conversations a model is asked, or was.
summary_turn = Table(
    "summary_turn",
    metadata,
    Column("period_id", Id, ForeignKey("period.id"), primary_key=True),
    Column("tries", Integer, nullable=False),  # also the fence: who counts one up has the turn
    Column("due_at", Moment),  # null: all was asked, or it was tried often enough
)
item = Table(
    "item",
    metadata,
    _id(),
    _ref("section_id", "edition_section"),
    Column("number", Integer, nullable=False),  # as printed; 0 is the edition as a whole
    Column("block", String(16), nullable=False),  # digests.fragments.BLOCKS
    _ref("post_id", "post", nullable=True),  # the last post shown: what a reply answers
    Column("message_id", Text),  # what a reply answers where there is no post (a meeting)
    Column("about_id", Id),  # of the blocks of meetings: the id of the meeting, topic, duty or action
    Column("subject", Text, nullable=False),  # of a reply
    _ref("fragment_id", "fragment", index=True),
    UniqueConstraint("section_id", "number"),
)
# A reply to a digest that waits for a word of its sender: which item is meant, or that all of it is.
kept_reply = Table(
    "kept_reply",
    metadata,
    _id(),
    _ref("edition_id", "edition"),
    _ref("membership_id", "membership", index=True),
    _ref("item_id", "item", nullable=True),  # null: which one it answers was asked
    Column("content_hash", LargeBinary(32), nullable=False),
    Column("message", Text, nullable=False),  # JSON: mailer.parse.ParsedMessage, its text being what would be posted
    Column("raw", LargeBinary, nullable=False),
    Column("via", String(8), nullable=False),
    Column("received_at", Moment, nullable=False),
    Column("expires_at", Moment, nullable=False, index=True),
    UniqueConstraint("edition_id", "content_hash"),
)

# --- meetings -------------------------------------------------------------------------------------------

series = Table(
    "series",
    metadata,
    _id(),
    _ref("community_id", "community"),
    Column("name", String(64), nullable=False),
    Column("title", Text, nullable=False),
    Column("rhythm", Text, nullable=False),  # a rule of RFC 5545 3.3.10, of days alone; empty: once
    Column("first_day", String(10), nullable=False),  # ISO date in `zone`
    Column("zone", String(64), nullable=False),
    Column("format", String(16), nullable=False),  # digests.meetings.formats.NAMES
    Column("blocks", Text, nullable=False),  # JSON [[minutes, title], ...] of a format of its own; else empty
    Column("place", Text, nullable=False),  # or a link; empty: none
    Column("notice", Integer, nullable=False),  # hours before a session until which input stands under its items
    Column("plan_at", Moment, nullable=False),  # when it is looked at next for meetings that are to be planned
    Column("ended_at", Moment),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("community_id", "name"),
    Index(
        "ix_series_plan",
        "plan_at",
        sqlite_where=text("ended_at IS NULL"),
        postgresql_where=text("ended_at IS NULL"),
    ),
)
# When each meeting of a series is held: once, or several times for crews who cannot come together.
series_session = Table(
    "series_session",
    metadata,
    _id(),
    _ref("series_id", "series"),
    Column("position", Integer, nullable=False),  # in time; 0 is the first
    Column("day", Integer, nullable=False),  # how many days after the meeting's
    Column("starts", String(5), nullable=False),  # wall clock, HH:MM
    Column("place", Text, nullable=False),  # empty: the series'
    UniqueConstraint("series_id", "position"),
)
# Whom a session is for; a crew that none names comes to the one in which it is on shift, else to the first.
session_crew = Table(
    "session_crew",
    metadata,
    _ref("session_id", "series_session"),
    _ref("crew_id", "crew"),
    UniqueConstraint("session_id", "crew_id"),
)
meeting = Table(
    "meeting",
    metadata,
    _id(),
    _ref("series_id", "series"),
    Column("number", Integer, nullable=False),  # in its series, from 1
    Column("day", String(10), nullable=False),  # ISO date that the rhythm gives, also where it was moved
    Column("invites_at", Moment, nullable=False),  # from when on agendas go out
    Column("invited_at", Moment),  # when their sections were made
    Column("input_until", Moment, nullable=False),  # when its leaders are sent what stands under its items
    Column("final_at", Moment),  # when the sections of that were made
    Column("closes_at", Moment, nullable=False),  # what was not reached by then goes on the next agenda
    Column("closed_at", Moment),
    Column("cancelled_at", Moment),
    UniqueConstraint("series_id", "day"),
    UniqueConstraint("series_id", "number"),
    Index(
        "ix_meeting_open",
        "closes_at",
        sqlite_where=text("closed_at IS NULL"),
        postgresql_where=text("closed_at IS NULL"),
    ),
)
# A session of one meeting: what calendars call an event.
sitting = Table(
    "sitting",
    metadata,
    _id(),
    _ref("meeting_id", "meeting"),
    _ref("session_id", "series_session"),
    Column("starts_at", Moment, nullable=False),
    Column("ends_at", Moment, nullable=False),
    Column("place", Text, nullable=False),
    Column("sequence", Integer, nullable=False),  # RFC 5545 3.8.7.4: one more with each change that was told
    Column("changed_at", Moment, nullable=False),
    UniqueConstraint("meeting_id", "session_id"),
)
# An item of an agenda. Its discussion is a thread: what is written there is printed under it.
topic = Table(
    "topic",
    metadata,
    _id(),
    _ref("series_id", "series"),
    _ref("meeting_id", "meeting", index=True),  # on whose agenda it stands
    Column("kind", String(8), nullable=False),  # digests.meetings.topics.Kind
    Column("state", String(12), nullable=False),  # digests.meetings.topics.State
    Column("title", Text, nullable=False),
    Column("text", Text, nullable=False),
    Column("minutes", Integer),
    _ref("person_id", "person", nullable=True),  # who proposed it
    _ref("lead_id", "person", nullable=True),  # who offered to lead it
    Column("message_id", Text, nullable=False),  # of the post that its thread begins with, or one of ours
    Column("position", Integer),  # where a leader put it; null: by how many second it
    Column("carried", Integer, nullable=False, server_default="0"),  # from how many agendas
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("series_id", "message_id"),
)
topic_second = Table(
    "topic_second",
    metadata,
    _ref("topic_id", "topic"),
    _ref("person_id", "person"),
    Column("created_at", Moment, nullable=False),
    UniqueConstraint("topic_id", "person_id"),
)
# Who is willing to lead, host or take notes, and who does so when.
willing = Table(
    "willing",
    metadata,
    _ref("series_id", "series"),
    _ref("person_id", "person"),
    Column("role", String(8), nullable=False),  # digests.meetings.roles.ROLES
    Column("since", Moment, nullable=False),
    UniqueConstraint("series_id", "person_id", "role"),
)
duty = Table(
    "duty",
    metadata,
    _id(),
    _ref("meeting_id", "meeting"),
    Column("role", String(8), nullable=False),
    _ref("person_id", "person", index=True),
    Column("state", String(8), nullable=False),  # has, swapped: gave it to somebody else
    Column("since", Moment, nullable=False),
    Column("remind_at", Moment),  # when they are told
    UniqueConstraint("meeting_id", "role", "person_id"),
    Index(
        "ix_duty_remind",
        "remind_at",
        sqlite_where=text("remind_at IS NOT NULL"),
        postgresql_where=text("remind_at IS NOT NULL"),
    ),
)
# Who comes, of members and of guests whom nobody asked: the last that each said.
attendance = Table(
    "attendance",
    metadata,
    _id(),
    _ref("meeting_id", "meeting"),
    _ref("sitting_id", "sitting", nullable=True),  # null: said by mail of the meeting that they were asked to
    _ref("person_id", "person", nullable=True, index=True),  # null: a guest
    Column("email_key", String(320), nullable=False),
    Column("name", Text, nullable=False),
    Column("answer", String(12), nullable=False),  # yes, no, maybe, delegated
    Column("comment", Text, nullable=False),
    Column("for_key", String(320)),  # the address of who sent them in their place
    Column("sequence", Integer, nullable=False),  # of the invitation that was answered
    Column("said_at", Moment, nullable=False),
    UniqueConstraint("meeting_id", "email_key"),
)

# --- intake ---------------------------------------------------------------------------------------------

# What was decided about each message that came in, for `tidings why` and so that none is taken in twice.
decision = Table(
    "decision",
    metadata,
    _id(),
    Column("spool_key", String(32), nullable=False, unique=True),
    _ref("community_id", "community", nullable=True),
    Column("recipient", String(320), nullable=False),
    Column("mail_from", String(320), nullable=False),
    Column("message_id", Text, index=True),
    Column("verdict", String(16), nullable=False),  # accept, duplicate, hold, reject, discard
    Column("reason", Text, nullable=False),
    _ref("post_id", "post", nullable=True),
    Column("received_at", Moment, nullable=False),
    Column("decided_at", Moment, nullable=False),
)

# --- erased people --------------------------------------------------------------------------------------

# That somebody was erased, and how much of what; nothing of the person.
erasure = Table(
    "erasure",
    metadata,
    _id(),
    Column("erased_at", Moment, nullable=False),
    Column("counts", Text, nullable=False),  # JSON
)
# By what an import knows that it would bring back what was erased: tokens.mark of an address, or of a content hash.
erased_mark = Table(
    "erased_mark",
    metadata,
    Column("mark", LargeBinary(32), primary_key=True),
    Column("erased_at", Moment, nullable=False),
)

spool = Table(
    "spool",
    spool_metadata,
    _id(),
    Column("key", String(32), nullable=False, unique=True),  # random: a spool file made anew never repeats one
    Column("state", String(8), nullable=False),  # waiting, held, shunted
    Column("mail_from", String(320), nullable=False),
    Column("recipient", String(320), nullable=False),
    Column("peer", Text, nullable=False),
    Column("via", String(8), nullable=False),
    Column("received_at", Moment, nullable=False),
    Column("released", Boolean, nullable=False, server_default=text("false")),  # a person said: accept
    Column("reason", Text),  # why it is held
    Column("traceback", Text),  # why it is shunted
    Column("message_id", Text),
    Column("subject", Text),
    Column("author", String(320)),  # the From address of what is held, as it was written
    Column("community", String(24)),  # for which it is held
    Column("claimed_by", String(320)),  # a moderator is looking at it
    Column("claimed_until", Moment),
    Column("raw", LargeBinary, nullable=False),
    Index("ix_spool_state", "state", "id"),
    sqlite_autoincrement=True,
)
# How far an IMAP folder was read. It is written in the transaction that spools its messages.
mailbox = Table(
    "mailbox",
    spool_metadata,
    Column("name", String(255), primary_key=True),  # USER@HOST/FOLDER
    Column("uid_validity", BigInteger, nullable=False),  # RFC 9051 2.3.1.1
    Column("last_uid", BigInteger, nullable=False),
)
# Every message that came from a folder, so that a folder whose UIDs began anew gives none twice.
mailbox_message = Table(
    "mailbox_message",
    spool_metadata,
    Column("mailbox", String(255), primary_key=True),
    Column("hash", LargeBinary(32), primary_key=True),  # SHA-256 of the message with CR LF line ends
    Column("fetched_at", Moment, nullable=False),
)
# A message that could not be fetched or kept: tried three times, then left where it is for a person.
mailbox_trouble = Table(
    "mailbox_trouble",
    spool_metadata,
    Column("mailbox", String(255), primary_key=True),
    Column("uid_validity", BigInteger, primary_key=True),
    Column("uid", BigInteger, primary_key=True),
    Column("tries", Integer, nullable=False),
    Column("error", Text, nullable=False),
)

# --- the text index, each engine's own ------------------------------------------------------------------

TEXT_INDEX = {
    # Contents stay in `post`; the index holds words only, as archive.terms makes them: the engines' parsers do nothing.
    "sqlite": (
        "CREATE VIRTUAL TABLE post_text USING fts5(subject, author, recipients, text, content='', "
        "contentless_delete=1, tokenize=\"ascii tokenchars '_'\")",
    ),
    "postgresql": (
        "CREATE TABLE post_text (rowid BIGINT PRIMARY KEY, words TSVECTOR NOT NULL)",
        "CREATE INDEX ix_post_text ON post_text USING gin (words)",
    ),
}
"""Statements that make the index of `archive.search`, by dialect."""

for _dialect, _statements in TEXT_INDEX.items():
    for _statement in _statements:
        _ddl = DDL(_statement).execute_if(dialect=_dialect)  # type: ignore[no-untyped-call]
        event.listen(post, "after_create", _ddl)
