"""Mail that was stopped goes on by the link in the mail that asks: GET shows a button, POST does it.

It asks for no sign-in, since whoever has the link reads the mail of that address, or is an owner. Looking changes
nothing, and a second press nothing more.
"""

from dataclasses import replace

from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.routing import Route

from tidings.communities import standing
from tidings.web.door import Door, Visit
from tidings.web.pages import Pages


class ComeBackPages:
    """`/back/TOKEN` of one site."""

    def __init__(self, door: Door, pages: Pages) -> None:
        self._door = door
        self._pages = pages

    def routes(self) -> list[Route]:
        """The page, and its button."""
        return [
            self._door.anyone("/back/{token}", self._show),
            self._door.anyone("/back/{token}", self._come_back, method="POST"),
        ]

    def _show(self, visit: Visit) -> Response:
        token = visit.request.path_params["token"]
        asked = standing.asked_back(visit.connection, token, self._door.clock.now())
        if asked is None:
            raise HTTPException(404)
        address, good = asked
        state = "back" if address.stopped_at is None else "stopped" if good else "late"
        return self._pages.render("come_back.html", reader=visit.reader, email=address.email, state=state)

    def _come_back(self, visit: Visit) -> Response:
        with self._door.database.write() as connection:
            standing.bring_back_by(connection, visit.request.path_params["token"], self._door.clock.now())
        with self._door.database.read() as connection:
            return self._show(replace(visit, connection=connection))  # whose own may not see yet what was written
