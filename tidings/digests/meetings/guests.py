"""Which session of a meeting a member is asked to; pure."""

from tidings.communities.roster import Roster
from tidings.digests.meetings.diary import Meeting, Sitting


def for_member(meeting: Meeting, crew_id: int | None, roster: Roster | None) -> Sitting:
    """The session that names their crew; else the first of the others in which they are on shift; else the first."""
    named = next((one for one in meeting.sittings if crew_id in one.session.crew_ids), None)
    if named is not None:
        return named
    free = [one for one in meeting.sittings if not one.session.crew_ids] or list(meeting.sittings)
    return next((one for one in free if roster and roster.at(one.starts_at)), free[0])
