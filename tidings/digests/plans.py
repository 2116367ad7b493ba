"""When waiting sections are due: worked out for many members at once, and anew after what it hangs on has changed.

The hours themselves are for schedule to say; who changes a rota, a crew or a member asks for a new plan.
"""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, bindparam, func, literal_column, update
from sqlalchemy import select as query

from tidings.communities import directory, languages
from tidings.communities.directory import Community, Member
from tidings.communities.roster import Roster
from tidings.communities.rosters import Rosters
from tidings.database import tables
from tidings.digests import quiet, rhythms, schedule
from tidings.digests.meetings import diary, invites, series
from tidings.digests.words import Words
from tidings.settings import SiteSettings

_section, _period = tables.edition_section.c, tables.period.c
# A literal, not a bound value: only so does SQLite see that the partial index of waiting sections serves.
WAITING = _section.state == literal_column("'waiting'")
_MOVE = (
    update(tables.edition_section)
    .where(_section.id == bindparam("section"), WAITING)
    .values(due_at=bindparam("new_due"))
)


class Plans:
    """Due times, worked out once for members who keep the same hours; for as long as one transaction."""

    def __init__(self, connection: Connection, site: SiteSettings) -> None:
        self._rosters = Rosters(connection)
        self._site = site
        self._known: dict[tuple[object, ...], datetime] = {}

    def due(self, member: Member, cut_off: datetime) -> datetime:
        """When (UTC) the section of the period that ended at `cut_off` is due to the member."""
        roster = self.roster(member)
        hours = (member.digest_at, member.digest_weekday, member.digest_time, member.delivery, member.zone)
        key = (cut_off, roster, *hours)
        if key not in self._known:
            self._known[key] = schedule.due(member, roster, cut_off, self._site.zone)
        return self._known[key]

    def roster(self, member: Member) -> Roster | None:
        """The roster that the member walks; None where none is known."""
        return self._rosters.of(member.person_id, member.crew_id)


def replan(connection: Connection, now: datetime, *, site: SiteSettings, person_id: int | None = None) -> int:
    """Work out anew when waiting sections are due and when it is quiet, of one person or of everybody.

    Returns how many sections moved. What is due by now stays due. A person who turned to mail is invited to what the
    others are.
    """
    quiet.replan(connection, now, person_id)
    mine = [] if person_id is None else [_section.person_id == person_id]
    waiting = connection.execute(
        query(_section.id, _section.membership_id, _section.due_at, _period.cut_off_at)
        .join_from(tables.edition_section, tables.period, _period.id == _section.period_id)
        .where(WAITING, _section.due_at > now, _period.rhythm.in_(rhythms.DIGESTS), *mine)
    ).all()
    members = directory.members_by_id(connection, {row.membership_id for row in waiting})
    plans = Plans(connection, site)
    moved = [
        {"section": section_id, "new_due": due}
        for section_id, membership_id, due_at, cut_off in waiting
        if (member := members.get(membership_id)) and (due := plans.due(member, cut_off)) != due_at
    ]
    if moved:
        connection.execute(_MOVE, moved)
    if person_id is not None:
        _invite(connection, now, site, person_id)
    return len(moved) + _replan_agendas(connection, now, site)


def _invite(connection: Connection, now: datetime, site: SiteSettings, person_id: int) -> None:
    """Let the agendas that others have, or wait for, wait for a person too who asked for no mail until now."""
    membership, address = tables.membership.c, tables.address.c
    mine = query(membership.community_id).join(tables.address, address.id == membership.address_id)
    for community_id in connection.execute(mine.where(address.person_id == person_id)).scalars().all():
        for one in series.of_community(connection, community_id):
            meeting = diary.following(connection, one.id, now)
            if meeting is not None and meeting.invited_at is not None:
                community = directory.community_by_id(connection, community_id)
                invites.invite(connection, community, meeting, now, site=site)


def _replan_agendas(connection: Connection, now: datetime, site: SiteSettings) -> int:
    """Work out anew when the agendas that wait are due, of all meetings to come; returns how many moved."""
    waiting = query(_period.meeting_id).join(tables.edition_section, _section.period_id == _period.id)
    ids = waiting.where(WAITING, _section.due_at > now, _period.meeting_id.is_not(None)).distinct()
    moved = 0
    for meeting_id in connection.execute(ids).scalars().all():
        meeting = diary.by_id(connection, meeting_id)
        community = directory.community_by_id(connection, meeting.series.community_id)
        moved += invites.replan(connection, community, meeting, now, site=site)
    return moved


@dataclass(frozen=True, kw_only=True)
class Outlook:
    """How mail of a community comes to a member: when, in English words and as moments, and in which language."""

    told_in: str  # the code of a language
    timing: str
    next_due: datetime | None
    quiet_from: datetime | None
    quiet_until: datetime | None


def outlook(
    connection: Connection, community: Community, member: Member, now: datetime, *, site: SiteSettings
) -> Outlook:
    """When mail comes, as it stands now: the digest that waits, or else that of the next cut-off."""
    plans = Plans(connection, site)
    roster = plans.roster(member)
    words = Words(language="en", zone=site.zone, year=now.year)
    hours = schedule.quiet_hours(roster, member.quiet, now) if member.delivery == "each" else None
    by_digest = member.delivery in ("weekly", "daily")
    return Outlook(
        told_in=languages.read_by(member.language, community.language),
        timing=words.comes(schedule.timing(member, roster, community)) if by_digest else "",
        next_due=_next_due(connection, plans, community, member, now) if by_digest else None,
        quiet_from=hours.begin if hours else None,
        quiet_until=hours.end if hours else None,
    )


def _next_due(connection: Connection, plans: Plans, community: Community, member: Member, now: datetime) -> datetime:
    ours = (_section.person_id == member.person_id, _section.community_id == community.id)
    sections = query(func.min(_section.due_at)).join(tables.period, _period.id == _section.period_id)
    of_digests = sections.where(WAITING, *ours, _period.rhythm.in_(rhythms.DIGESTS))
    waiting: datetime | None = connection.execute(of_digests).scalar()
    if waiting is not None:
        return waiting
    weekday = None if member.delivery == "daily" else community.cut_off_weekday
    return plans.due(member, schedule.next_at(weekday, community.cut_off_time, community.zone, now))
