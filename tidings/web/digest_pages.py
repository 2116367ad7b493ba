"""What digests of a community there were, and what the next one says: for who leads it of any member, else of oneself.

It shows previews, whose addresses take no mail, and writes nothing: a moment is chosen in the address of the page.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from tidings.clock import parse_moment, zone
from tidings.communities import directory, rosters
from tidings.communities.directory import Community, Member
from tidings.digests import periods, plans, previews, schedule
from tidings.errors import UsageError
from tidings.web.door import Door, Visit
from tidings.web.framed import MAY_FRAME, SANDBOX, framed
from tidings.web.pages import Pages, with_query

LEADS = ("leader", "owner")
"""The roles that may see what others would be told; a site's admins may, too."""

_FARTHEST = timedelta(days=400)  # from now: what a rota or a calendar may say beyond is of no use
_PERIODS = 12
_MEMBERS = 500  # that are offered to choose from; any other can be written
_MINUTE = timedelta(minutes=1)


@dataclass(frozen=True, kw_only=True)
class _Asked:
    """Whose digest is asked for, and at what moment; `problem` says what could not be read of the question."""

    leads: bool
    member: Member | None
    at: datetime
    problem: str = ""


class DigestPages:
    """`/c/NAME/digests/` of one site."""

    def __init__(self, door: Door, pages: Pages) -> None:
        self._door = door
        self._pages = pages
        self._site = door.settings.site

    def routes(self) -> list[Route]:
        """The page, and the HTML in its frame."""
        return [
            self._door.community("/digests/", self._digests),
            self._door.community("/digests/html", self._html),
        ]

    def _digests(self, visit: Visit, community: Community) -> Response:
        asked = self._asked(visit, community)
        preview = self._preview(visit.connection, community, asked)
        members = directory.members(visit.connection, community.id) if asked.leads else []
        page = self._pages.render(
            "digests.html",
            reader=visit.reader,
            community=community,
            asked=asked,
            local=self._local(asked.at),
            preview=preview,
            due=self._due(visit.connection, community, asked, preview),
            moves=self._moves(visit.connection, community, asked),
            html=self._address("html", asked, asked.at),
            members=members[:_MEMBERS],
            periods=periods.listing(visit.connection, community.id, _PERIODS) if asked.leads else [],
            sandbox=SANDBOX,
        )
        page.headers["Content-Security-Policy"] = MAY_FRAME
        return page

    def _html(self, visit: Visit, community: Community) -> Response:
        preview = self._preview(visit.connection, community, self._asked(visit, community))
        if preview is None:
            raise HTTPException(404)
        return framed(preview.html)

    def _preview(self, connection: Connection, community: Community, asked: _Asked) -> previews.Preview | None:
        if asked.member is None:
            return None
        return previews.preview(connection, community.name, asked.member.email, asked.at, site=self._site)

    def _due(
        self, connection: Connection, community: Community, asked: _Asked, preview: previews.Preview | None
    ) -> datetime | None:
        """When the next digest after that moment is due: one that waits already, else that of the next cut-off."""
        if preview is None or asked.member is None:
            return None
        waits = plans.outlook(connection, community, asked.member, asked.at, site=self._site).next_due
        return waits if waits is not None and waits >= asked.at else preview.due_at

    # --- what is asked for -------------------------------------------------------------------------------------------

    def _asked(self, visit: Visit, community: Community) -> _Asked:
        """Whose digest, and when; who does not lead the community is shown their own, whatever is asked."""
        assert visit.reader is not None
        own = directory.member_by_address(visit.connection, community.id, visit.reader.email)
        leads = visit.reader.admin or (own is not None and own.role in LEADS)
        at, problem = self._moment(visit.query("at"))
        wanted = visit.query("member").strip() if leads else ""
        member = directory.member_by_address(visit.connection, community.id, wanted) if wanted else own
        if wanted and member is None:
            problem = "Nobody in this community has that address."
        return _Asked(leads=leads, member=member, at=at, problem=problem)

    def _moment(self, text: str) -> tuple[datetime, str]:
        """The moment that is written, in the site's zone, else now; and what is wrong with it."""
        now = self._door.clock.now()
        if not text:
            return now, ""
        try:
            at = parse_moment(text, self._site.zone)
        except UsageError:
            return now, "That is no moment, so this is how it stands now."
        if abs(at - now) > _FARTHEST:
            return now, f"That is more than {_FARTHEST.days} days away, so this is how it stands now."
        return at, ""

    # --- where the buttons lead --------------------------------------------------------------------------------------

    def _moves(self, connection: Connection, community: Community, asked: _Asked) -> list[tuple[str, str]]:
        """The buttons that push the moment on: what each says, and its address."""
        moments = [("+1 day", asked.at + timedelta(days=1)), ("+1 week", asked.at + timedelta(weeks=1))]
        daily = asked.member is not None and asked.member.delivery == "daily"
        weekday = None if daily else community.cut_off_weekday
        cut_off = schedule.next_at(weekday, community.cut_off_time, community.zone, asked.at + _MINUTE)
        moments.append(("Next cut-off", cut_off))
        roster = rosters.of_person(connection, asked.member.person_id) if asked.member else None
        shift = roster.next_start(asked.at) if roster else None
        if shift is not None:
            moments.append(("Next shift", shift.start))
        return [("Now", self._address(".", asked, None))] + [
            (label, self._address(".", asked, moment)) for label, moment in moments
        ]

    def _address(self, page: str, asked: _Asked, at: datetime | None) -> str:
        member = asked.member.email if asked.leads and asked.member else ""
        return with_query(page, {"member": member, "at": self._local(at) if at else ""})

    def _local(self, moment: datetime) -> str:
        """A moment as a form has it: wall time of the site, to the minute."""
        return f"{moment.astimezone(zone(self._site.zone)):%Y-%m-%dT%H:%M}"
