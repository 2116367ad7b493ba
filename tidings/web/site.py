"""Builds the web application of a site: its routes, the headers of every reply, and the pages for what is not there.

It keeps no state; whoever builds it passes all that it needs.
"""

from collections.abc import Awaitable, Callable, Sequence

from sqlalchemy import text
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from tidings.clock import Clock, zone
from tidings.database.engine import Database
from tidings.settings import Settings
from tidings.tokens import Tokens
from tidings.web.admin_pages import AdminPages, Spool
from tidings.web.archive_pages import ArchivePages
from tidings.web.calendar_feeds import CalendarFeeds
from tidings.web.come_back import ComeBackPages
from tidings.web.digest_pages import DigestPages
from tidings.web.door import Door, Reader, Visit
from tidings.web.leave import LeavePages
from tidings.web.meeting_pages import MeetingPages
from tidings.web.pages import HEADERS, ICON, STYLE, Pages
from tidings.web.sign_in import SendNotice, SignInPages, own_path

_STATIC = {"Cache-Control": "public, max-age=31536000, immutable"}  # their addresses carry their version
_TITLES = {403: "Not allowed", 404: "Not found", 405: "Not possible", 413: "Too large"}


def build(
    *,
    database: Database,
    settings: Settings,
    clock: Clock,
    tokens: Tokens,
    send_notice: SendNotice,
    spool: Spool,
    extra_routes: Sequence[BaseRoute] = (),
) -> Starlette:
    """The web application; `extra_routes` come first and get the same headers unless they set their own.

    `send_notice(connection, key, recipient, subject, text)` writes a mail into the outbox inside the given transaction.
    """
    # Only where the demo's pages are there too: `serve` serves a demo without them.
    demo = settings.site.demo and bool(extra_routes)
    pages = Pages(site_name=settings.site.name, zone=zone(settings.site.zone), demo=demo)
    door = Door(database=database, settings=settings, clock=clock, tokens=tokens)
    errors = _ErrorPages(door, pages)
    return Starlette(
        routes=[
            *extra_routes,
            Route("/static/style.css", _static(STYLE, "text/css; charset=utf-8")),
            Route("/static/icon.svg", _static(ICON, "image/svg+xml")),
            door.anyone("/healthz", _health),
            *SignInPages(door, pages, send_notice).routes(),
            *LeavePages(door, pages).routes(),
            *ComeBackPages(door, pages).routes(),
            *AdminPages(door, pages, spool).routes(),
            *DigestPages(door, pages).routes(),
            *MeetingPages(door, pages).routes(),
            *CalendarFeeds(door).routes(),
            *ArchivePages(door, pages).routes(),
        ],
        middleware=[Middleware(_Headers)],
        exception_handlers={HTTPException: errors.refused, Exception: errors.failed},
    )


def _health(visit: Visit) -> Response:
    visit.connection.execute(text("SELECT 1"))
    return PlainTextResponse("ok")


def _static(content: bytes, media_type: str) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(_request: Request) -> Response:
        return Response(content, media_type=media_type, headers=_STATIC)

    return endpoint


class _Headers:
    """Adds the headers of every reply, where its page has not set its own."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        await self._app(scope, receive, with_headers)


class _ErrorPages:
    """What is shown in place of a page."""

    def __init__(self, door: Door, pages: Pages) -> None:
        self._door = door
        self._pages = pages

    async def refused(self, request: Request, error: Exception) -> Response:
        """The page of a 404 or 403; whoever is not signed in may do so and come back."""
        assert isinstance(error, HTTPException)
        reader = await run_in_threadpool(self._reader, request)
        path = request.url.path + (f"?{request.url.query}" if request.url.query else "")
        return self._pages.render(
            "error.html",
            status=error.status_code,
            reader=reader,
            title=_TITLES.get(error.status_code, "Refused"),
            # The standard text of a code says nothing to a person; only what we wrote ourselves is shown.
            reason=error.detail if error.status_code == 403 else "",
            next=own_path(path) if reader is None and error.status_code == 404 and request.method != "POST" else "",
        )

    async def failed(self, _request: Request, _error: Exception) -> Response:
        """A bug of ours: the log has it, the reader sees none of it."""
        page = self._pages.render(
            "error.html", status=500, reader=None, title="Something went wrong", reason="It is in the log.", next=""
        )
        page.headers.update(HEADERS)  # outside of what adds them to other replies
        return page

    def _reader(self, request: Request) -> Reader | None:
        with self._door.database.read() as connection:
            return self._door.reader(request, connection)
