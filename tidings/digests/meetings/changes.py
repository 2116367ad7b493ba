"""Changes of meetings that were told already: moved, cancelled, restored, ended; who was told is told again.

What stands in the diary is for diary, when each member is told for invites.
"""

from datetime import datetime

from sqlalchemy import Connection

from tidings.communities import directory
from tidings.digests.meetings import diary, invites
from tidings.digests.meetings.diary import Meeting, Sitting
from tidings.digests.meetings.series import Series
from tidings.settings import SiteSettings


def move(
    connection: Connection,
    meeting: Meeting,
    sitting: Sitting,
    start: datetime | None,
    now: datetime,
    *,
    site: SiteSettings,
    place: str = "",
) -> Meeting:
    """The meeting after one of its sittings was moved to `start` (UTC), to another place, or both. Raises UsageError.

    A move to where it is changes nothing, and nobody is told of it.
    """
    moved = diary.move(connection, meeting, sitting, start, now, place=place)
    return moved if moved == meeting else _told(connection, moved, now, site)


def cancel(connection: Connection, meeting: Meeting, now: datetime, *, site: SiteSettings) -> Meeting:
    """The meeting after it was cancelled: what is on its agenda goes on the next one. Raises UsageError."""
    return _told(connection, diary.cancel(connection, meeting, now), now, site)


def restore(connection: Connection, meeting: Meeting, now: datetime, *, site: SiteSettings) -> Meeting:
    """The meeting after it was found to take place after all. Raises UsageError."""
    return _told(connection, diary.restore(connection, meeting, now), now, site)


def end(connection: Connection, series: Series, now: datetime, *, site: SiteSettings) -> list[Meeting]:
    """The meetings that are cancelled since their series ends: all that have not begun."""
    return [_told(connection, one, now, site) for one in diary.end(connection, series, now)]


def _told(connection: Connection, meeting: Meeting, now: datetime, site: SiteSettings) -> Meeting:
    community = directory.community_by_id(connection, meeting.series.community_id)
    invites.tell_again(connection, community, meeting, now, site=site)
    return meeting
