"""What imports could not read, told to the moderators of its community: one mail, however much it is.

It is no part of the day's notice: nobody can decide about such mail by a reply.
"""

from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta

from tidings.communities.directory import Community, email_key
from tidings.database.engine import Database
from tidings.intake import moderation
from tidings.intake.case import Parts
from tidings.mailer import outbox
from tidings.mailer.spool import Entry, Spool

_OVER = timedelta(hours=1)  # without anything more being held, after which an import counts as over
_REASONS = 10  # of one mail


def tell_due(database: Database, spool: Spool, parts: Parts, now: datetime) -> int:
    """Write the notices about imports that are over; returns how many. A second run writes none."""
    due = {name: newest for name, newest in spool.held_by_imports().items() if newest + _OVER <= now}
    communities = {name: parts.communities.find(name) for name in due}
    return sum(
        _tell(database, spool, parts, community, due[name], now)
        for name, community in communities.items()
        if community is not None
    )


def _tell(database: Database, spool: Spool, parts: Parts, community: Community, newest: datetime, now: datetime) -> int:
    """Write to each moderator who was not told of that day's imports yet; returns how many those were."""
    with database.read() as connection:
        keys = {
            f"unreadable-{community.id}-{newest.date()}-{email_key(email)}": email
            for email in moderation.moderators(connection, parts, community, now)
        }
        untold = {key: email for key, email in keys.items() if not outbox.has_notice(connection, key)}
    if not untold:
        return 0
    held = [entry for entry in spool.listing("held", community.name) if entry.via == "import"]
    what = f"{len(held)} {'message' if len(held) == 1 else 'messages'}"
    with database.write() as connection:
        return sum(
            parts.notices.send(
                connection,
                key=key,
                recipient=email,
                subject=f"An import into {community.title} holds {what}",
                text=_text(held, what, community, parts.settings.site.base_url.rstrip("/")),
                now=now,
                community_id=community.id,
                name=community.title,
            )
            for key, email in untold.items()
        )


def _text(held: Sequence[Entry], what: str, community: Community, pages: str) -> str:
    reasons = Counter(entry.reason for entry in held).most_common()
    more = len(reasons) - _REASONS
    return "\n".join(
        [
            f"{what} of old mail could not be read, and stand nowhere in the archive of",
            f"{community.title}. They are kept as they came. Why, and how many:",
            "",
            *(f"{count:>6}  {reason}" for reason, count in reasons[:_REASONS]),
            *([f"        and {more} other reasons"] if more > 0 else []),
            "",
            f"An admin sees them at {pages}/admin/ and with: tidings hold list",
            "Where a limit of the settings was in the way, raise it, and import the same",
            "file again. What nobody needs: tidings hold discard KEY",
            "",
        ]
    )
