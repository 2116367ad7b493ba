"""Mail that was put off for too long is told to the owners of its community: one report a day.

It decides nothing about members: what a server puts off is no bounce.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import groupby

from sqlalchemy import Connection

from tidings.communities import directory
from tidings.database.engine import Database
from tidings.intake.case import Parts
from tidings.mailer import outbox
from tidings.mailer.outbox import GivenUp

LISTED = 50
"""Addresses of one report; more are counted."""

_DAY = timedelta(days=1)
_DAYS = 3  # that are looked back on: a site may have stood still


def tell_due(database: Database, parts: Parts, now: datetime) -> int:
    """Write the reports of the days (in UTC) that are over; returns how many. A second run writes none."""
    today = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return sum(_tell(database, parts, today - back * _DAY, now) for back in range(_DAYS, 0, -1))


def _tell(database: Database, parts: Parts, day: datetime, now: datetime) -> int:
    """Write the reports of one day, all in one transaction: where the first is, the others are."""
    with database.read() as connection:
        if outbox.has_notice(connection, _key(day, 0)):
            return 0
        give_up_after = timedelta(hours=parts.settings.delivery.give_up_after)
        given_up = outbox.given_up(connection, day, day + _DAY, give_up_after=give_up_after)
        reports = [
            report
            for community_id, found in groupby(given_up, lambda one: one.community_id)
            for report in _reports(connection, parts, community_id, list(found))
        ]
    if not reports:
        return 0
    with database.write() as connection:
        return sum(
            parts.notices.send(
                connection,
                key=_key(day, number),
                recipient=recipient,
                subject=subject,
                text=text,
                now=now,
                community_id=community_id,
            )
            for number, (community_id, recipient, subject, text) in enumerate(reports)
        )


def _key(day: datetime, number: int) -> str:
    return f"undelivered-{day.date()}-{number}"


def _reports(
    connection: Connection, parts: Parts, community_id: int | None, given_up: Sequence[GivenUp]
) -> Iterator[tuple[int | None, str, str, str]]:
    """What is told of one community, to each of its owners, else to the site's admins."""
    title, owners = parts.settings.site.name, []
    if community_id is not None:
        title = directory.community_by_id(connection, community_id).title
        everybody = directory.members(connection, community_id)
        owners = [one.email for one in everybody if one.role == "owner" and one.stopped_at is None]
    mails = sum(one.count for one in given_up)
    subject = f"Not delivered: {mails} {'mail' if mails == 1 else 'mails'} of {title}"
    text = _text(given_up, parts.settings.delivery.give_up_after)
    for recipient in owners or parts.settings.site.admins:
        yield community_id, recipient, subject, text


def _text(given_up: Sequence[GivenUp], hours: int) -> str:
    time = f"{hours // 24} days" if hours % 24 == 0 and hours > 24 else f"{hours} hours"
    items = [f"{one.recipient} ({one.count}): {one.reply}\n" for one in given_up[:LISTED]]
    more = len(given_up) - LISTED
    return "\n".join(
        [
            f"What follows was put off again and again, and given up after {time}. It is not",
            "sent again; the archive has it. Nobody's mail was stopped for it. Behind each",
            "address stands how many mails it did not get, and what was said last.",
            "",
            *items,
            *([f"And {more} more addresses."] if more > 0 else []),
        ]
    )
