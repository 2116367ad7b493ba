"""The admin's page: what waits in the spool and the outbox, calendars that fail, buttons for held and shunted mail.

What the buttons do is the spool's matter.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tidings.communities import calendars
from tidings.errors import NotFoundError
from tidings.mailer import outbox
from tidings.web.door import Door, Reader, Visit
from tidings.web.pages import Pages

_SHOWN = 100  # of each kind: a flood of spam must not make the page too large to use


class SpoolEntry(Protocol):
    """A held or shunted message."""

    @property
    def key(self) -> str: ...
    @property
    def received_at(self) -> datetime: ...
    @property
    def mail_from(self) -> str: ...
    @property
    def recipient(self) -> str: ...
    @property
    def subject(self) -> str | None: ...
    @property
    def message_id(self) -> str | None: ...
    @property
    def reason(self) -> str | None: ...
    @property
    def traceback(self) -> str | None: ...


class Spool(Protocol):
    """What the admin's page asks of the spool; the last three raise NotFoundError for a key that is gone."""

    def counts(self) -> Mapping[str, int]:
        """How many messages are in each state."""
        ...

    def listing(self, state: str) -> Sequence[SpoolEntry]:
        """The messages in a state, oldest first."""
        ...

    def retry(self, key: str) -> object:
        """Process a shunted message again."""
        ...

    def release(self, key: str) -> object:
        """Accept a held message."""
        ...

    def discard(self, key: str) -> object:
        """Throw a held or shunted message away."""
        ...


class AdminPages:
    """The admin's page of one site."""

    def __init__(self, door: Door, pages: Pages, spool: Spool) -> None:
        self._door = door
        self._pages = pages
        self._spool = spool
        self._actions = {"retry": spool.retry, "release": spool.release, "discard": spool.discard}

    def routes(self) -> list[Route]:
        """The page and what its buttons do."""
        return [
            self._door.admin("/admin/", self._overview),
            self._door.admin("/admin/spool/{key}/{action}", self._act, method="POST"),
        ]

    def _overview(self, visit: Visit, reader: Reader) -> Response:
        return self._pages.render(
            "admin.html",
            reader=reader,
            spool=self._spool.counts(),
            outbox=_by_state(outbox.counts(visit.connection)),
            held=self._spool.listing("held")[:_SHOWN],
            shunted=self._spool.listing("shunted")[:_SHOWN],
            most=_SHOWN,
            calendars=[one for one in calendars.listing(visit.connection) if one.error],
        )

    def _act(self, visit: Visit, _reader: Reader) -> Response:
        act = self._actions.get(visit.request.path_params["action"])
        if act is None:
            raise HTTPException(404)
        try:
            act(visit.request.path_params["key"])
        except NotFoundError as error:
            raise HTTPException(404) from error
        return RedirectResponse("/admin/", status_code=303)


def _by_state(counts: Sequence[outbox.Count]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for found in counts:
        totals[found.state] = totals.get(found.state, 0) + found.count
    return totals
