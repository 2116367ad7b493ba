"""Who is told of a meeting when: the agenda to every member, a last one to who leads, and again what has changed.

It makes the sections that wait; what each is told is composed when it is due (agendas). A member is in one waiting
section of a meeting at a time.
"""

from collections.abc import Callable, Iterable
from datetime import datetime

from sqlalchemy import Connection, bindparam, exists, func, select, update

from tidings.communities import directory
from tidings.communities.directory import Community, Member
from tidings.communities.roster import Roster
from tidings.communities.rosters import Rosters
from tidings.database import tables
from tidings.digests import rhythms, sections
from tidings.digests.meetings import attendance, roles, timing
from tidings.digests.meetings.diary import Meeting, Sitting
from tidings.digests.meetings.guests import for_member
from tidings.settings import SiteSettings

_section, _period, _membership = tables.edition_section.c, tables.period.c, tables.membership.c
_meeting, _sitting = tables.meeting.c, tables.sitting.c
_MINE = (
    select(_section.id, _section.membership_id, _section.state, _section.due_at)
    .join_from(tables.edition_section, tables.period, _period.id == _section.period_id)
    .where(_period.meeting_id == bindparam("meeting"))
    .order_by(_section.id)
)
_TOLD = (
    select(_section.membership_id, func.max(tables.edition.c.composed_at).label("at"))
    .join_from(tables.edition_section, tables.period, _period.id == _section.period_id)
    .join(tables.edition, tables.edition.c.id == _section.edition_id)
    .where(_period.meeting_id == bindparam("meeting"))
    .group_by(_section.membership_id)
)
_MOVE = update(tables.edition_section).where(_section.id == bindparam("section")).values(due_at=bindparam("new_due"))


def invite(connection: Connection, community: Community, meeting: Meeting, now: datetime, *, site: SiteSettings) -> int:
    """Let the agenda of a meeting wait for every member who has none yet; returns for how many.

    Whoever joins before the meeting has one too, so it may be called again.
    """
    there = {row.membership_id for row in connection.execute(_MINE, {"meeting": meeting.id})}
    members = [one for one in directory.members(connection, community.id) if one.delivery != "none"]
    new = [one for one in members if one.membership_id not in there]
    plan = _Plan(connection, community, meeting, now, site)
    if new:
        _wait(connection, community, meeting, now, ((one, plan.agenda(one)) for one in new))
    return len(new)


def newcomers(connection: Connection, now: datetime) -> list[int]:
    """The meetings to come whose agenda was let wait for everybody, and which somebody joined since; by their ids."""
    joined = (
        select(_meeting.id)
        .join_from(tables.meeting, tables.series, tables.series.c.id == _meeting.series_id)
        .join(tables.membership, _membership.community_id == tables.series.c.community_id)
        .where(_meeting.closed_at.is_(None), _meeting.cancelled_at.is_(None), _meeting.invited_at.is_not(None))
        .where(_membership.joined_at >= _meeting.invited_at, _membership.left_at.is_(None))
        .where(_membership.delivery != "none")
        .where(exists().where(_sitting.meeting_id == _meeting.id, _sitting.starts_at > now))
        .where(
            ~exists().where(
                _section.person_id == _membership.person_id,
                _section.membership_id == _membership.id,
                _section.period_id == _period.id,
                _period.meeting_id == _meeting.id,
            )
        )
    )
    return list(connection.execute(joined.distinct().order_by(_meeting.id)).scalars())


def invite_leaders(
    connection: Connection, community: Community, meeting: Meeting, now: datetime, *, site: SiteSettings
) -> int:
    """Let the last agenda wait for those who have a role in a meeting: with all that is printed under its items."""
    leading = {duty.person_id for duty in roles.of_meeting(connection, meeting)}
    return _tell(connection, community, meeting, now, lambda member: member.person_id in leading, site=site)


def tell_again(
    connection: Connection, community: Community, meeting: Meeting, now: datetime, *, site: SiteSettings
) -> int:
    """Let the change of a meeting, moved or cancelled, wait for everybody who was told of it; returns for how many.

    Who was not told yet is told at another time, if that changed; whose own session is as it was is not told again.
    """
    replan(connection, community, meeting, now, site=site)
    plan = _Plan(connection, community, meeting, now, site)
    rows = connection.execute(_TOLD, {"meeting": meeting.id})
    told: dict[int, datetime] = {row.membership_id: row.at for row in rows}

    def is_other_now(member: Member) -> bool:
        at = told.get(member.membership_id)
        return at is None or at <= plan.sitting(member).changed_at

    return _tell(connection, community, meeting, now, is_other_now, site=site)


def tell_later_sessions(
    connection: Connection, community: Community, meeting: Meeting, now: datetime, *, site: SiteSettings
) -> int:
    """Put what one session noted in front of those who come to a later one; returns for how many it waits.

    They come who said so, and who is on shift then and did not say no.
    """
    said = {one.person_id: one.answer for one in attendance.of_meeting(connection, meeting.id) if one.person_id}
    plan = _Plan(connection, community, meeting, now, site)

    def comes(member: Member) -> bool:
        sitting = plan.sitting(member)
        if sitting.starts_at <= now or said.get(member.person_id) in ("no", "delegated"):
            return False
        roster = plan.roster(member)
        return member.person_id in said or (roster is not None and roster.at(sitting.starts_at) is not None)

    return _tell(connection, community, meeting, now, comes, site=site)


def replan(connection: Connection, community: Community, meeting: Meeting, now: datetime, *, site: SiteSettings) -> int:
    """Work out anew when agendas that wait are due, after a meeting or a rota has changed; returns how many moved."""
    plan = _Plan(connection, community, meeting, now, site)
    waiting = [
        row for row in connection.execute(_MINE, {"meeting": meeting.id}) if row.state == "waiting" and row.due_at > now
    ]
    members = directory.members_by_id(connection, [row.membership_id for row in waiting])
    moved = [
        {"section": row.id, "new_due": due}
        for row in waiting
        if (member := members.get(row.membership_id)) and (due := plan.agenda(member)) != row.due_at
    ]
    if moved:
        connection.execute(_MOVE, moved)
    return len(moved)


def due(
    connection: Connection, community: Community, meeting: Meeting, member: Member, now: datetime, *, site: SiteSettings
) -> datetime:
    """When the agenda of a meeting goes to a member, as it stands now."""
    return _Plan(connection, community, meeting, now, site).agenda(member)


def _tell(
    connection: Connection,
    community: Community,
    meeting: Meeting,
    now: datetime,
    wanted: Callable[[Member], bool],
    *,
    site: SiteSettings,
) -> int:
    """Let the meeting wait again for those wanted who were told of it, and for whom nothing of it waits."""
    states: dict[int, set[str]] = {}
    for row in connection.execute(_MINE, {"meeting": meeting.id}):
        states.setdefault(row.membership_id, set()).add(row.state)
    told = [one for one, found in states.items() if "composed" in found and "waiting" not in found]
    members = [one for one in directory.members_by_id(connection, told).values() if wanted(one)]
    plan = _Plan(connection, community, meeting, now, site)
    if members:
        ordered = sorted(members, key=lambda one: one.membership_id)
        _wait(connection, community, meeting, now, ((one, plan.soon(one)) for one in ordered))
    return len(members)


def _wait(
    connection: Connection,
    community: Community,
    meeting: Meeting,
    now: datetime,
    due: Iterable[tuple[Member, datetime]],
) -> None:
    sections.add_period(connection, community.id, rhythms.AGENDA, now, due, meeting_id=meeting.id)


class _Plan:
    """Due times of one meeting, worked out once for members who keep the same hours."""

    def __init__(
        self, connection: Connection, community: Community, meeting: Meeting, now: datetime, site: SiteSettings
    ) -> None:
        self._rosters = Rosters(connection)
        self._community, self._meeting, self._now, self._site = community, meeting, now, site
        self._known: dict[tuple[object, ...], datetime] = {}

    def roster(self, member: Member) -> Roster | None:
        """The roster that the member walks; None where none is known."""
        return self._rosters.of(member.person_id, member.crew_id)

    def sitting(self, member: Member) -> Sitting:
        """The session that the member is asked to."""
        return for_member(self._meeting, member.crew_id, self.roster(member))

    def agenda(self, member: Member) -> datetime:
        """When the agenda goes to the member."""
        roster, sitting = self.roster(member), self.sitting(member)
        hours = (member.digest_at, member.digest_weekday, member.digest_time, member.delivery, member.zone)
        key = (sitting.id, roster, *hours)
        if key not in self._known:
            self._known[key] = timing.agenda_due(
                member,
                roster,
                self._community,
                sitting,
                notice=sitting.starts_at - self._meeting.input_until,
                now=self._now,
                site_zone=self._site.zone,
            )
        return self._known[key]

    def soon(self, member: Member) -> datetime:
        """When the member is told what cannot wait."""
        return timing.soon(self.roster(member), self._now, self.sitting(member).starts_at)
