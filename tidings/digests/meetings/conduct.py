"""Does what is due for meetings: plans them, sends for agendas, gives roles, and carries over what was not reached.

It keeps no state: any number of processes may do so at once, and each thing is done once (diary.mark). What members are
told is composed later, when it is due to them.
"""

import logging
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta

from sqlalchemy import Connection

from tidings.archive import cards, read
from tidings.archive.cards import Card
from tidings.communities import directory
from tidings.communities.directory import Community
from tidings.database.engine import Database
from tidings.digests import gather, names
from tidings.digests.meetings import agenda, diary, invites, reminders, roles, series, topics
from tidings.digests.meetings.diary import Meeting
from tidings.digests.meetings.series import Series
from tidings.settings import SiteSettings

QUESTIONS = 3
"""Unanswered questions that are offered as topics of one meeting, the oldest first."""

ACTIONS = 3
"""Actions that should be done and are not, of which the same is true."""

Work = Callable[[Connection], object]
"""Something to be done in a transaction of its own."""

_log = logging.getLogger(__name__)


def run_due(database: Database, now: datetime, *, site: SiteSettings) -> int:
    """Do what is due for all meetings by `now`; returns how many things failed, which are logged and tried again."""
    with database.read() as connection:
        work = [(f"series {one.name}", _planning(one, now)) for one in series.due(connection, now)]
        newcomers = invites.newcomers(connection, now)
        due = diary.due(connection, now)
        reminded = reminders.is_due(connection, now)
    work += [(f"agenda of meeting {one} for who joined", _joined(one, now, site)) for one in newcomers]
    work += [(f"meeting of {one.day} of the series {one.series.name}", _doing(one, now, site)) for one in due]
    if reminded:
        work.append(("reminders of meetings", lambda connection: reminders.send_due(connection, now)))
    return sum(not _done(database, name, do) for name, do in work)


def _done(database: Database, name: str, do: Work) -> bool:
    try:
        with database.write() as connection:
            do(connection)
    except Exception:
        _log.exception("The %s could not be seen to; it is tried again.", name)
        return False
    return True


def _planning(found: Series, now: datetime) -> Work:
    return lambda connection: diary.plan_ahead(connection, found, now)


def _joined(meeting_id: int, now: datetime, site: SiteSettings) -> Work:
    def invite(connection: Connection) -> None:
        meeting = diary.by_id(connection, meeting_id)
        community = directory.community_by_id(connection, meeting.series.community_id)
        invites.invite(connection, community, meeting, now, site=site)

    return invite


def _doing(found: Meeting, now: datetime, site: SiteSettings) -> Work:
    def do(connection: Connection) -> None:
        meeting = diary.by_id(connection, found.id)
        community = directory.community_by_id(connection, meeting.series.community_id)
        if meeting.invites_at <= now < meeting.ends_at and meeting.cancelled_at is None:
            _open(connection, community, meeting, now, site)
        if meeting.input_until <= now and diary.mark(connection, meeting, "final_at", now):
            _finish(connection, community, meeting, now, site)
        if meeting.closes_at <= now and diary.mark(connection, meeting, "closed_at", now):
            _close(connection, meeting, now)

    return do


def _open(connection: Connection, community: Community, meeting: Meeting, now: datetime, site: SiteSettings) -> None:
    """Open the agenda: offer what is open, give the roles, and let it wait for everybody."""
    if diary.mark(connection, meeting, "invited_at", now):
        _offer(connection, community, meeting, now, site)
        following = diary.following(connection, meeting.series.id, now)
        if following is not None and following.id == meeting.id:  # else once the one before is over
            roles.fill(connection, meeting, now)
        invites.invite(connection, community, meeting, now, site=site)


def _finish(connection: Connection, community: Community, meeting: Meeting, now: datetime, site: SiteSettings) -> None:
    """Let those who lead have the agenda as it stands; who took a role and left since is replaced."""
    if meeting.cancelled_at is None and now < meeting.starts_at:
        roles.fill(connection, meeting, now)
        invites.invite_leaders(connection, community, meeting, now, site=site)


def _close(connection: Connection, meeting: Meeting, now: datetime) -> None:
    """Put what was not reached on the agenda of the next meeting, where there is one to come, and give its roles."""
    diary.plan_ahead(connection, series.by_id(connection, meeting.series.id), now)
    following = diary.following(connection, meeting.series.id, now)
    if following is not None and following.id != meeting.id:
        topics.carry(connection, meeting.id, following.id)
        if following.invited_at is not None:
            roles.fill(connection, following, now)


# --- what is offered -------------------------------------------------------------------------------------------------


def _offer(connection: Connection, community: Community, meeting: Meeting, now: datetime, site: SiteSettings) -> None:
    """Offer what waits for somebody: questions that nobody answered, and actions that are not done."""
    for post in list(gather.open_questions(connection, community.id, community.last_number, now))[:QUESTIONS]:
        topics.propose(
            connection,
            series_id=meeting.series.id,
            meeting_id=meeting.id,
            kind="question",
            state="offered",
            title=names.title(post.subject),
            text=read.own_text(post),
            message_id=post.message_id,
            now=now,
        )
    for card in list(_overdue(connection, community, meeting, now))[:ACTIONS]:
        topics.propose(
            connection,
            series_id=meeting.series.id,
            meeting_id=meeting.id,
            kind="action",
            state="offered",
            title=card.text,
            person_id=card.owner_id,
            message_id=agenda.topic_message_id(community, f"action.{card.id}", site.domain),
            now=now,
        )


def _overdue(connection: Connection, community: Community, meeting: Meeting, now: datetime) -> Iterator[Card]:
    """The actions that should be done by the day of the meeting; those without a day, once they are a fortnight old."""
    for card in cards.open_actions(connection, community.id):
        old = card.created_at <= now - timedelta(days=14)
        if card.due_on <= meeting.day if card.due_on is not None else old:
            yield card
