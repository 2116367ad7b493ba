"""A digest or an agenda before it is sent: what a member would be told, printed and not stored.

It writes nothing; what is told is for drafts, and the reply addresses in it are refused.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from msgspec import structs
from sqlalchemy import Connection, func
from sqlalchemy import select as query

from tidings.communities import directory, rosters
from tidings.communities.directory import Community, Member
from tidings.communities.roster import Roster
from tidings.database import tables
from tidings.digests import gather, history, render, rhythms, schedule
from tidings.digests.agendas import Agendas
from tidings.digests.drafts import News, Part, heading_of, tell
from tidings.digests.layouts import draft
from tidings.digests.meetings import invites
from tidings.digests.meetings.diary import Meeting
from tidings.digests.stored import Entry, Section
from tidings.digests.weeks import Weeks
from tidings.errors import NotFoundError
from tidings.settings import SiteSettings
from tidings.tokens import Tokens

_NO_KEY = Tokens(bytes(32))  # mints what is shown and never answered


@dataclass(frozen=True, kw_only=True)
class Preview:
    """What a member would be told now, and when an edition is due to them; nothing of it is stored."""

    subject: str
    text: str
    html: str
    raw: bytes
    due_at: datetime


def preview(connection: Connection, community: str, email: str, at: datetime, *, site: SiteSettings) -> Preview:
    """The edition of one community as a member would have it at `at`; its addresses are refused.

    To one who gets each post or none it shows what was posted since the last weekly cut-off. Raises NotFoundError for
    an unknown community, and for somebody who is not a member.
    """
    found = directory.community(connection, community)
    member = _member(connection, found, email)
    if member.delivery not in ("weekly", "daily"):
        member = structs.replace(member, delivery="weekly", cursor=_last_up_to(connection, found))
    roster = rosters.of_person(connection, member.person_id)
    weeks = Weeks(at)
    told = tell(
        connection,
        found,
        member,
        reader=gather.Readers(connection, [member.person_id]).of(member),
        roster=roster,
        weeks=weeks,
        agendas=Agendas(connection, at, site=site, weeks=weeks),
        rhythm=member.delivery,
        up_to=found.last_number,
        before=history.Past(connection, [member.person_id]).of(found, member),
        site=site,
    )
    part = told or _part(found, member, roster, member.delivery, (), site)
    return _printed(connection, part, weeks, at, _next_due(found, member, roster, at, site), site)


def agenda_preview(
    connection: Connection, found: Community, meeting: Meeting, email: str, at: datetime, *, site: SiteSettings
) -> Preview:
    """The agenda of a meeting as a member would have it at `at`; its addresses are refused, and no calendar answers it.

    Raises NotFoundError for somebody who is not a member, and where the meeting is over.
    """
    member = _member(connection, found, email)
    roster = rosters.of_person(connection, member.person_id)
    reader = gather.Readers(connection, [member.person_id]).of(member)
    weeks = Weeks(at)
    said = Agendas(connection, at, site=site, weeks=weeks).entries(found, meeting.id, member, reader, roster)
    if not said:
        raise NotFoundError(f"The meeting of {meeting.day} is over; no agenda of it goes out any more.")
    part = _part(found, member, roster, rhythms.AGENDA, said, site)
    due = invites.due(connection, found, meeting, member, at, site=site)
    return _printed(connection, part, weeks, at, due, site)


def _member(connection: Connection, found: Community, email: str) -> Member:
    member = directory.member_by_address(connection, found.id, email)
    if member is None:
        raise NotFoundError(f"{email!r} is not a member of {found.name!r}.")
    return member


def _part(
    found: Community,
    member: Member,
    roster: Roster | None,
    rhythm: str,
    said: Sequence[Entry],
    site: SiteSettings,
) -> Part:
    return Part(
        member=member,
        community=found,
        zone=schedule.zone_of(member, roster, site.zone),
        news=News(heading=heading_of(found, member, roster, rhythm), entries=tuple(said)),
    )


def _printed(
    connection: Connection, part: Part, weeks: Weeks, at: datetime, due_at: datetime, site: SiteSettings
) -> Preview:
    printed = draft([part], at, site, weeks).printed
    printed = replace(printed, subject=printed.words.say("[Preview] %(subject)s", subject=printed.subject))

    def page(kind: str) -> str:
        return render.page(printed, kind, site=site, tokens=_NO_KEY, token=_refused, preview=True)

    return Preview(
        subject=printed.subject,
        text=page("txt"),
        html=page("html"),
        raw=render.message(
            printed,
            site=site,
            tokens=_NO_KEY,
            token=_refused,
            enclosed=render.posts_in(connection, printed, site),
            preview=True,
        ),
        due_at=due_at,
    )


def _refused(_section: Section, _entry: Entry) -> str:
    return render.PREVIEW


def _last_up_to(connection: Connection, community: Community) -> int:
    period = tables.period.c
    last = query(func.max(period.up_to)).where(period.community_id == community.id, period.rhythm == "weekly")
    return connection.execute(last).scalar() or 0


def _next_due(
    community: Community, member: Member, roster: Roster | None, at: datetime, site: SiteSettings
) -> datetime:
    """When the edition of the next cut-off goes out."""
    weekday = None if member.delivery == "daily" else community.cut_off_weekday
    cut_off = schedule.next_at(weekday, community.cut_off_time, community.zone, at)
    return schedule.due(member, roster, cut_off, site.zone)
