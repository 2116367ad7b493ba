"""Moderation by mail: one notice a day with all that waits, and the decisions that moderators reply.

A token is the credential, and good once. What is decided, and how, is for the desk; this only asks and reads.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime, time

from sqlalchemy import Connection, select

from tidings.clock import zone
from tidings.communities import confirmations, directory
from tidings.communities.confirmations import Confirmation
from tidings.communities.directory import Community, email_key
from tidings.communities.entries import show_size
from tidings.communities.policy import MODERATING
from tidings.database.engine import Database
from tidings.database.tables import outbox
from tidings.errors import NotFoundError
from tidings.intake import rulings
from tidings.intake.answering import answer
from tidings.intake.case import Case, Parts
from tidings.intake.decisions import Decision
from tidings.intake.desk import Choice, Desk
from tidings.intake.letters import Letter
from tidings.intake.rulings import Ruling, UnclearError, Word
from tidings.mailer.addresses import read_recipient
from tidings.mailer.spool import Entry, Spool

LISTED = 50
"""Held posts of one notice; more are counted."""

_HOUR = time(8)  # of the day's notice, in the zone of the community
_SUBJECT_SHOWN = 100
_CHOICES: Mapping[Word, Choice] = {
    "accept": Choice(verdict="accept"),
    "reject": Choice(verdict="reject"),
    "discard": Choice(verdict="discard"),
    "allow": Choice(verdict="accept", rule="allow"),
    "ban": Choice(verdict="discard", rule="ban"),
}
_HOW = """\
Reply to this mail with a line for each post, the number first ("#1 accept"):

   accept          it is posted
   reject REASON   it is not posted, and its sender is told the reason
   discard         it is thrown away, and nobody is told (for spam)
   allow           it is posted, now and whatever else its sender writes
   ban             it is thrown away, and its sender is refused from now on

"all discard" is for all posts that have no line of their own. A word alone does
where you write to the address under a post. What you do not decide goes on waiting.
"""


# --- who is asked, and when ------------------------------------------------------------------------------------------


def moderators(connection: Connection, parts: Parts, community: Community, now: datetime) -> list[str]:
    """Where the notices about a community's held posts go: to its moderators and owners, else to the site's admins."""
    found = [
        one.email
        for one in directory.members(connection, community.id)
        if one.role in MODERATING and one.stopped_at is None and not one.is_paused(now)
    ]
    return found or list(parts.settings.site.admins)


def tell_due(database: Database, spool: Spool, parts: Parts, now: datetime) -> int:
    """Write the day's notices of all communities where it is time; returns how many. A second run writes none."""
    written = 0
    for name in spool.held_for():
        community = parts.communities.find(name)
        if community is not None and now.astimezone(zone(community.zone)).time() >= _HOUR:
            written += tell(database, spool, parts, community, now)
    return written


def tell(database: Database, spool: Spool, parts: Parts, community: Community, now: datetime) -> int:
    """Tell each moderator who was not told today of all that is held for a community; returns how many were."""
    with database.read() as connection:
        asked = {_key(community, email, now): email for email in moderators(connection, parts, community, now)}
        told = set(connection.execute(select(outbox.c.notice_key).where(outbox.c.notice_key.in_(asked))).scalars())
    held = [entry for entry in spool.listing("held", community.name) if _is_post(entry)] if asked.keys() - told else []
    if not held:
        return 0
    with database.write() as connection:
        return sum(
            _write(connection, parts, community, held, key, email, now)
            for key, email in asked.items()
            if key not in told
        )


def _key(community: Community, email: str, now: datetime) -> str:
    """Of the one notice to a moderator on a day of the community's zone."""
    return f"held-{community.id}-{now.astimezone(zone(community.zone)).date()}-{email_key(email)}"


def _is_post(entry: Entry) -> bool:
    """Whether it waits to be posted; other mail that waits, such as a bounce, is an admin's matter.

    So is what an import could not read, of which there may be thousands; `unreadable` tells of it.
    """
    recipient = read_recipient(entry.recipient)
    return recipient is not None and recipient.purpose in ("post", "reply", "agenda") and entry.via != "import"


# --- the notice ------------------------------------------------------------------------------------------------------


def _write(
    connection: Connection,
    parts: Parts,
    community: Community,
    held: Sequence[Entry],
    key: str,
    email: str,
    now: datetime,
) -> bool:
    """Write a moderator's notice of the day, with a token for all of it and one for each post."""
    address = parts.addresses.of(community)

    def token(posts: Mapping[int, Entry]) -> str:
        request = {str(number): entry.key for number, entry in posts.items()}
        made = confirmations.ask(
            connection, purpose="moderate", email=email, now=now, community_id=community.id, request=request
        )
        return address.token("confirm", made)

    listed = dict(enumerate(held[:LISTED], start=1))
    what = f"{len(held)} {'post' if len(held) == 1 else 'posts'} to {community.title}"
    items = [_item(number, entry, community, token({number: entry})) for number, entry in listed.items()]
    return parts.notices.send(
        connection,
        key=key,
        recipient=email,
        subject=f"To decide: {what}",
        text="\n".join([f"{rulings.OPENING}{what}.", "", _HOW, *items, *_more(community, len(held) - len(listed))]),
        now=now,
        community_id=community.id,
        sender=token(listed),
        name=community.title,
    )


def _item(number: int, entry: Entry, community: Community, address: str) -> str:
    came = entry.received_at.astimezone(zone(community.zone))
    subject = " ".join((entry.subject or "(none that can be read)").split())[:_SUBJECT_SHOWN]
    return (
        f"#{number} from {entry.author or 'nobody that can be read'}\n"
        f"   Subject: {subject}\n"
        f"   Came: {came:%a} {came.day} {came:%b %H:%M}, {show_size(entry.size)}\n"
        f"   Why it waits: {entry.reason}\n"
        f"   To decide: {address}\n"
    )


def _more(community: Community, count: int) -> list[str]:
    if not count:
        return []
    return [f"And {count} more. An admin can decide about all at once: tidings hold discard --all-of {community.name}"]


# --- the reply -------------------------------------------------------------------------------------------------------


class Moderation:
    """Takes in what moderators reply."""

    def __init__(self, parts: Parts, desk: Desk) -> None:
        self._parts = parts
        self._desk = desk

    def handle(self, connection: Connection, case: Case, asked: Confirmation) -> Decision:
        """A reply to a notice, or to the address of one of its posts."""
        now = self._parts.clock.now()
        if objection := self._objection(connection, case, asked, now):
            self._answer(connection, case, asked, f"Nothing was done. {objection}")
            return case.decided("discard", f"A moderator's reply that decides nothing. {objection}")
        keys = {int(number): key for number, key in asked.request.items()}
        try:
            ruled = rulings.read(case.own_words, keys)
        except UnclearError as error:
            self._answer(connection, case, asked, f"Nothing was done. {error}\n\n{_HOW}")
            return case.decided("discard", f"A moderator's reply that decides nothing. {error}")
        confirmations.use(connection, case.recipient.token, now)
        done = [self._rule(connection, case, asked.email, keys[ruling.number], ruling) for ruling in ruled]
        self._answer(connection, case, asked, "\n".join(done), proved=True)
        return case.decided("accept", f"{asked.email} decided about held posts. {' '.join(done)}")

    def _objection(self, connection: Connection, case: Case, asked: Confirmation, now: datetime) -> str:
        if asked.used_at is not None:
            return "The mail that you answered was answered before; each of its addresses is good for one reply."
        if not asked.good(now):
            return "The mail that you answered is more than three days old; answer a newer one."
        if email_key(asked.email) in map(email_key, self._parts.settings.site.admins):
            return ""
        if directory.sender(connection, case.community.id, asked.email).role not in MODERATING:
            return f"{asked.email} is no moderator of {case.community.title} any more."
        return ""

    def _rule(self, connection: Connection, case: Case, by: str, key: str, ruling: Ruling) -> str:
        """Decide about one post; returns what came of it, in a line."""
        known = _CHOICES[ruling.word]
        choice = Choice(verdict=known.verdict, rule=known.rule, by=by, reason=ruling.reason)
        try:
            settled = self._desk.settle(connection, key, choice)
        except NotFoundError as error:
            return f"#{ruling.number}: {error}"
        # The spool is another file: it may follow only what cannot be rolled back any more.
        case.later.append(lambda: self._desk.follow([key], choice))
        return f"#{ruling.number} from {settled.entry.author or 'nobody'}: {settled.said}"

    def _answer(
        self, connection: Connection, case: Case, asked: Confirmation, text: str, *, proved: bool = False
    ) -> None:
        """Tell the moderator, at the address that the token was sent to, what was done."""
        answer(
            connection,
            self._parts,
            case,
            Letter(subject=f"{case.community.title}: what you decided", text=f"{text}\n"),
            to=asked.email,
            key=f"ruled-{case.spooled.key}",
            sender=case.address.detail("owner"),
            unproved=not proved,
        )
