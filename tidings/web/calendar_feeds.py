"""Calendars of a community's meetings (RFC 5545): all of them, and for a member those sessions that they are asked to.

Who follows the link of a member signs in nowhere; making and revoking one is for the meetings' page.
"""

import hashlib
from collections.abc import Iterator
from datetime import datetime, timedelta
from email.utils import format_datetime

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from tidings.communities import calendar_links, directory, languages, rosters
from tidings.communities.directory import Community, Member
from tidings.digests.meetings import agenda, attendance, calendar, diary, series
from tidings.digests.meetings.agenda import Agenda
from tidings.digests.meetings.diary import Meeting
from tidings.digests.meetings.guests import for_member
from tidings.mailer.addresses import Addresses
from tidings.mailer.events import Event, feed
from tidings.web.door import Door, Visit

KEPT = timedelta(days=92)
"""How long a meeting that is over stays in calendars."""


class CalendarFeeds:
    """`/c/NAME/meetings.ics` and `/f/TOKEN/meetings.ics` of one site."""

    def __init__(self, door: Door) -> None:
        self._door = door
        self._site = door.settings.site

    def routes(self) -> list[Route]:
        """Both calendars."""
        return [
            self._door.community("/meetings.ics", self._all),
            self._door.anyone("/f/{token}/meetings.ics", self._of_member),
        ]

    def _all(self, visit: Visit, community: Community) -> Response:
        agendas = [
            self._agenda(visit.connection, community, meeting)
            for meeting in self._meetings(visit.connection, community)
        ]
        events = [
            calendar.event(community, stands, sitting, site=self._site)
            for stands in agendas
            for sitting in stands.meeting.sittings
        ]
        return self._answer(visit, community, events)

    def _of_member(self, visit: Visit) -> Response:
        membership_id = calendar_links.membership_of(visit.connection, visit.request.path_params["token"])
        member = directory.member(visit.connection, membership_id) if membership_id is not None else None
        if member is None:
            raise HTTPException(404)
        community = directory.community_by_id(visit.connection, member.community_id)
        return self._answer(visit, community, list(self._own(visit.connection, community, member)))

    def _own(self, connection: Connection, community: Community, member: Member) -> Iterator[Event]:
        """The session of each meeting that a member is asked to, or said that they come to."""
        language = languages.read_by(member.language, community.language)
        roster = rosters.of_person(connection, member.person_id)
        for meeting in self._meetings(connection, community):
            every = attendance.of_meeting(connection, meeting.id)
            said = next((one for one in every if one.person_id == member.person_id), None)
            asked = for_member(meeting, member.crew_id, roster)
            sitting = meeting.sitting(said.sitting_id) if said and said.sitting_id else asked
            stands = self._agenda(connection, community, meeting)
            told = calendar.event(community, stands, sitting, site=self._site, language=language)
            yield calendar.own(told, said.answer if said else "", language=language, now=self._now())

    def _meetings(self, connection: Connection, community: Community) -> list[Meeting]:
        """Those to come and those over not long ago, cancelled ones too, the first one first."""
        since = self._now() - KEPT
        every = (
            meeting
            for one in series.of_community(connection, community.id, ended=True)
            for meeting in diary.of_series(connection, one.id)
        )
        return sorted((one for one in every if one.ends_at >= since), key=lambda one: (one.starts_at, one.id))

    def _agenda(self, connection: Connection, community: Community, meeting: Meeting) -> Agenda:
        return agenda.outline(connection, community, meeting, domain=self._site.domain)

    def _answer(self, visit: Visit, community: Community, events: list[Event]) -> Response:
        organizer = (community.title, Addresses(self._site).of(community).detail("agenda"))
        body = feed(community.title, events, organizer=organizer)
        tag = f'"{hashlib.sha256(body).hexdigest()[:32]}"'
        headers = {"ETag": tag, "Content-Disposition": f'inline; filename="{community.name}.ics"'}
        if events:
            # Of the meetings, not of their agendas: so it is told, and only the tag says that nothing is new.
            headers["Last-Modified"] = format_datetime(max(event.stamp for event in events), usegmt=True)
        if _matches(visit.request.headers.get("if-none-match", ""), tag):
            return Response(status_code=304, headers=headers)
        return Response(body, media_type="text/calendar", headers=headers)

    def _now(self) -> datetime:
        return self._door.clock.now()


def _matches(sent: str, tag: str) -> bool:
    """Whether If-None-Match (RFC 9110 13.1.2) has the tag; a proxy that packs the answer makes it a weak one."""
    return sent.strip() == "*" or tag in (one.strip().removeprefix("W/") for one in sent.split(","))
