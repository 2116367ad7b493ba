"""What intake asks of a member and a meeting: their zone and day, their session and roles, whether they lead."""

from datetime import date

from sqlalchemy import Connection

from tidings.clock import zone
from tidings.communities import directory
from tidings.communities.directory import Member
from tidings.communities.policy import LEADING
from tidings.communities.rosters import Rosters
from tidings.digests import schedule
from tidings.digests.meetings import guests, roles
from tidings.digests.meetings.diary import Meeting, Sitting
from tidings.digests.meetings.roles import Duty
from tidings.intake import letters
from tidings.intake.case import Case, Parts


def member_zone(parts: Parts, connection: Connection, member: Member) -> str:
    """The zone in which a member reads and writes times."""
    roster = Rosters(connection).of(member.person_id, member.crew_id)
    return schedule.zone_of(member, roster, parts.settings.site.zone)


def today(parts: Parts, connection: Connection, member: Member) -> date:
    """The day where a member is."""
    return parts.clock.now().astimezone(zone(member_zone(parts, connection, member))).date()


def sitting_of(connection: Connection, member: Member, meeting: Meeting) -> Sitting:
    """The session of a meeting that a member is asked to."""
    return guests.for_member(meeting, member.crew_id, Rosters(connection).of(member.person_id, member.crew_id))


def when(parts: Parts, connection: Connection, member: Member, meeting: Meeting) -> str:
    """A meeting and when it is, in the member's zone."""
    start = sitting_of(connection, member, meeting).starts_at
    return f"{meeting.series.title}, {letters.moment(start, member_zone(parts, connection, member))}"


def duties(connection: Connection, member: Member, meeting: Meeting) -> list[Duty]:
    """The roles that a member has in a meeting."""
    return [one for one in roles.of_meeting(connection, meeting) if one.person_id == member.person_id]


def leads(connection: Connection, member: Member, meeting: Meeting) -> bool:
    """Whether a member may change a meeting: who leads the community, or this meeting."""
    return member.role in LEADING or any(one.role == "lead" for one in duties(connection, member, meeting))


def called(member: Member) -> str:
    """What a member is called."""
    return member.name or member.email.partition("@")[0]


def name_of(duty: Duty) -> str:
    """What who has a role is called."""
    return duty.name or "Somebody else"


def is_banned(connection: Connection, case: Case) -> bool:
    """Whether a moderator banned who sent a mail."""
    return directory.sender(connection, case.community.id, case.message.author_email).rule == "ban"
