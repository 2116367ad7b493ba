"""Leaving a community by the link in its mail: GET shows a button, POST leaves (RFC 8058).

It asks for no sign-in, since the token names the membership; leaving twice changes nothing.
"""

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from tidings.communities import directory, joining
from tidings.tokens import BadTokenError
from tidings.web.door import Door, Visit
from tidings.web.pages import Pages


class LeavePages:
    """`/u/TOKEN` of one site."""

    def __init__(self, door: Door, pages: Pages) -> None:
        self._door = door
        self._pages = pages

    def routes(self) -> list[Route]:
        """The page, and its button, which mail programs press too."""
        return [
            self._door.anyone("/u/{token}", self._show),
            self._door.anyone("/u/{token}", self._leave, method="POST", from_anywhere=True),
        ]

    def _show(self, visit: Visit) -> Response:
        member = directory.member(visit.connection, self._membership(visit))
        if member is None:
            return self._pages.render("left.html", reader=visit.reader)
        community = directory.community_by_id(visit.connection, member.community_id)
        return self._pages.render("leave.html", reader=visit.reader, community=community, email=_hinted(member.email))

    def _leave(self, visit: Visit) -> Response:
        membership_id = self._membership(visit)
        with self._door.database.write() as connection:
            joining.remove_member(connection, membership_id=membership_id, now=self._door.clock.now())
        return self._pages.render("left.html", reader=visit.reader)

    def _membership(self, visit: Visit) -> int:
        try:
            return self._door.tokens.read_leave(visit.request.path_params["token"])
        except (BadTokenError, ValueError) as error:
            raise HTTPException(404) from error


def _hinted(email: str) -> str:
    """Enough of an address for its owner: the link may have been forwarded to somebody else."""
    local, _, domain = email.rpartition("@")
    return f"{local[:1]}…@{domain}"
