"""Which meeting is meant by a mail that names none: the next one of its community."""

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy import Connection

from tidings.communities.directory import Community
from tidings.digests.meetings import diary, series
from tidings.digests.meetings.diary import Meeting
from tidings.digests.meetings.series import Series
from tidings.mailer.plain_lines import fold


def next_meeting(connection: Connection, community: Community, subject: str, now: datetime) -> Meeting | None:
    """The next meeting of the series that a subject names, else the first of all; None where none is planned."""
    found = (diary.following(connection, one.id, now) for one in _meant(connection, community, subject))
    return min((one for one in found if one), key=lambda one: (one.starts_at, one.id), default=None)


def last_meeting(connection: Connection, community: Community, subject: str, now: datetime) -> Meeting | None:
    """The meeting, of those that minutes may still be of, that began last; None where there is none."""
    found = (diary.running(connection, one.id, now) for one in _meant(connection, community, subject))
    return max((one for one in found if one), key=lambda one: (one.starts_at, one.id), default=None)


def _meant(connection: Connection, community: Community, subject: str) -> Sequence[Series]:
    """The series that a subject names by title or name; all where it names none."""
    known = series.of_community(connection, community.id)
    said = f" {fold(subject)} "
    named = [one for one in known if any(f" {fold(name)} " in said for name in (one.name, one.title) if name)]
    return named or known
