"""The pages of a community's meetings: which there are, what stands on one's agenda, and what came of it.

They only read, but for a member's own link to their calendar, which a button makes and another revokes.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from functools import partial
from urllib.parse import quote, urlencode

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tidings.archive import cards, read
from tidings.archive.read import Post
from tidings.communities import calendar_links, directory, rosters, rota
from tidings.communities.directory import Community, Member
from tidings.digests import schedule
from tidings.digests.meetings import agenda, attendance, calendar, diary, roles, series, topics, turnout
from tidings.digests.meetings.agenda import Agenda, Item, Note
from tidings.digests.meetings.diary import Meeting
from tidings.digests.meetings.roles import Duty
from tidings.digests.meetings.topics import Topic
from tidings.mailer.addresses import Addresses
from tidings.web import markup
from tidings.web.door import Door, Visit
from tidings.web.pages import Pages, post_path

_PAST = 20
_NO_STORE = {"Cache-Control": "no-store"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """A meeting in a list: who has which role of one to come and how many come, what one that was came to."""

    meeting: Meeting
    zone: str
    duties: Sequence[Duty]
    coming: int
    results: Mapping[str, int]


@dataclass(frozen=True, kw_only=True)
class Shown:
    """An item of an agenda on its page: the place of its thread, empty where nothing was written, and how to write."""

    item: Item
    path: str
    write: str


class MeetingPages:
    """`/c/NAME/meetings/` of one site."""

    def __init__(self, door: Door, pages: Pages) -> None:
        self._door = door
        self._pages = pages
        self._site = door.settings.site
        self._addresses = Addresses(self._site)

    def routes(self) -> list[Route]:
        """The pages and what their buttons do; a series' name may hold a slash."""
        return [
            self._door.community("/meetings/", self._meetings),
            self._door.community("/meetings/calendar", self._make_link, method="POST"),
            self._door.community("/meetings/calendar/revoke", self._revoke_link, method="POST"),
            self._door.community("/meetings/{series:path}/{day}/", self._meeting),
        ]

    # --- all of them -------------------------------------------------------------------------------------------------

    def _meetings(self, visit: Visit, community: Community) -> Response:
        connection, now = visit.connection, self._door.clock.now()
        member = self._member(visit, community)
        zone = self._zone(connection, member)
        every = [
            meeting
            for one in series.of_community(connection, community.id, ended=True)
            for meeting in diary.of_series(connection, one.id)
        ]
        every.sort(key=lambda one: (one.starts_at, one.id))
        before = _day(visit.query("before"))
        coming = [one for one in every if one.ends_at > now and before is None]
        over = [one for one in every if one.ends_at <= now and (before is None or one.day < before)]
        over.sort(key=lambda one: (one.day, one.starts_at), reverse=True)
        past = _whole_days(over, _PAST)
        return self._pages.render(
            "meetings.html",
            reader=visit.reader,
            community=community,
            coming=[self._to_come(connection, one, zone) for one in coming],
            past=[self._over(connection, one, zone) for one in past],
            newest=before is None,
            older=past[-1].day.isoformat() if len(past) < len(over) else "",
            zone=zone,
            zones={zone or one.series.zone for one in [*coming, *past]} or {zone or community.zone},
            path=partial(calendar.page, "", community.name),
            now=now,
            member=member,
            link_made=calendar_links.made_at(connection, member.membership_id) if member else None,
            propose=self._propose(community),
        )

    def _to_come(self, connection: Connection, meeting: Meeting, zone: str) -> Row:
        said = attendance.counts(attendance.of_meeting(connection, meeting.id))
        return Row(
            meeting=meeting,
            zone=zone or meeting.series.zone,
            duties=roles.of_meeting(connection, meeting),
            coming=said["yes"],
            results={},
        )

    def _over(self, connection: Connection, meeting: Meeting, zone: str) -> Row:
        results: Counter[str] = Counter(card.kind for card in cards.of_meeting(connection, meeting.id))
        return Row(meeting=meeting, zone=zone or meeting.series.zone, duties=(), coming=0, results=results)

    # --- one of them -------------------------------------------------------------------------------------------------

    def _meeting(self, visit: Visit, community: Community) -> Response:
        connection, now = visit.connection, self._door.clock.now()
        every, place = self._asked(visit, community)
        meeting = every[place]
        stands = agenda.read_agenda(connection, community, meeting, domain=self._site.domain)
        archived = read.known(connection, community.id, [item.topic.message_id for item in stands.items])
        return self._pages.render(
            "meeting.html",
            reader=visit.reader,
            community=community,
            agenda=stands,
            meeting=meeting,
            zone=self._zone(connection, self._member(visit, community)) or meeting.series.zone,
            crews={one.id: one.name for one in rota.crews(connection)},
            items=[self._shown(community, one, archived) for one in stands.items],
            turnout=turnout.read(connection, meeting),
            noted=_by_session(stands),
            written=_minutes(connection, meeting),
            carried=self._carried(connection, meeting),
            before=every[place - 1] if place else None,
            after=every[place + 1] if place + 1 < len(every) else None,
            path=partial(calendar.page, "", community.name),
            now=now,
            open_=meeting.cancelled_at is None and now <= agenda.added_until(community, meeting),
            propose=self._propose(community),
            write=self._mailto(community, stands.message_id, meeting.series.title),
        )

    def _asked(self, visit: Visit, community: Community) -> tuple[list[Meeting], int]:
        """The meetings of the series that is asked for, and the place of the one among them."""
        wanted, day = visit.request.path_params["series"], visit.request.path_params["day"]
        for one in series.of_community(visit.connection, community.id, ended=True):
            if one.name == wanted:
                every = diary.of_series(visit.connection, one.id)
                for place, meeting in enumerate(every):
                    if meeting.day.isoformat() == day:
                        return every, place
        raise HTTPException(404)

    def _shown(self, community: Community, item: Item, archived: frozenset[str]) -> Shown:
        root = item.topic.message_id
        first = root if root in archived else next((one.message_id for one in (*item.inputs, *item.late)), "")
        return Shown(
            item=item,
            path=post_path(community.name, first) if first else "",
            write=self._mailto(community, root, item.topic.title),
        )

    def _carried(self, connection: Connection, meeting: Meeting) -> list[tuple[Topic, Meeting]]:
        """What went on with a later meeting, each with the one on whose agenda it stands now."""
        found = topics.carried_from(connection, meeting.id)
        return [(topic, diary.by_id(connection, topic.meeting_id)) for topic in found]

    # --- a member's calendar -----------------------------------------------------------------------------------------

    def _make_link(self, visit: Visit, community: Community) -> Response:
        member = self._member(visit, community)
        if member is None:  # an admin who is in the community by no more than that
            raise HTTPException(404)
        with self._door.database.write() as connection:
            token = calendar_links.new_link(connection, member.membership_id, self._door.clock.now())
        page = self._pages.render(
            "calendar_link.html",
            reader=visit.reader,
            community=community,
            address=f"{self._site.base_url.rstrip('/')}/f/{token}/meetings.ics",
        )
        page.headers.update(_NO_STORE)
        return page

    def _revoke_link(self, visit: Visit, community: Community) -> Response:
        member = self._member(visit, community)
        if member is None:
            raise HTTPException(404)
        with self._door.database.write() as connection:
            calendar_links.revoke(connection, member.membership_id)
        return RedirectResponse(f"/c/{community.name}/meetings/", status_code=303)

    # --- who reads, and where links lead -----------------------------------------------------------------------------

    def _member(self, visit: Visit, community: Community) -> Member | None:
        assert visit.reader is not None
        return directory.member_by_address(visit.connection, community.id, visit.reader.email)

    def _zone(self, connection: Connection, member: Member | None) -> str:
        """The zone of whoever reads: their own, else that of their shifts; empty where neither is known."""
        if member is None:
            return ""
        return schedule.zone_of(member, rosters.of_person(connection, member.person_id), "")

    def _propose(self, community: Community) -> str:
        return f"mailto:{self._addresses.of(community).detail('agenda')}?" + _fields({"Subject": "topic: "})

    def _mailto(self, community: Community, message_id: str, title: str) -> str:
        """RFC 6068: a new mail to the community that stands in the thread with that root."""
        fields = {"In-Reply-To": f"<{message_id}>", "Subject": markup.reply_subject(title)}
        return f"mailto:{self._addresses.of(community).post}?" + _fields(fields)


def _fields(fields: Mapping[str, str]) -> str:
    return urlencode(fields, quote_via=quote)


def _day(text: str) -> date | None:
    """The day from which on older meetings are asked for; None for what is no day."""
    try:
        return date.fromisoformat(text) if text else None
    except ValueError:
        return None


def _whole_days(found: Sequence[Meeting], most: int) -> list[Meeting]:
    """The first of them, and all of the last day: the next page goes on with the day before."""
    return [one for place, one in enumerate(found) if place < most or one.day == found[most - 1].day]


def _by_session(stands: Agenda) -> dict[int, list[tuple[Item | None, Note]]]:
    """By session, the lines of the minutes in the order of the agenda, each with the item that it is under."""
    found: dict[int, list[tuple[Item | None, Note]]] = {}
    for item in stands.items:
        for note in item.notes:
            found.setdefault(note.sitting_id, []).append((item, note))
    for note in stands.notes:
        found.setdefault(note.sitting_id, []).append((None, note))
    return found


def _minutes(connection: Connection, meeting: Meeting) -> list[Post]:
    """The posts that the minutes were taken from, in their order."""
    ids = dict.fromkeys(card.post_id for card in cards.of_meeting(connection, meeting.id))
    return [post for post_id in ids if (post := read.post_by_id(connection, post_id))]
