"""The one way to a page: who asks, whether they may, and whether a form was sent from a page of ours.

Every route is made by `Door`, so that none can forget to ask. Whoever may not see a page gets the same 404 as for one
that is not there. It shows nothing itself.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from sqlalchemy import Connection
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tidings.clock import Clock
from tidings.communities import directory, sessions
from tidings.communities.directory import Community
from tidings.database.engine import Database
from tidings.errors import NotFoundError
from tidings.settings import Settings
from tidings.tokens import Tokens, hashed

COOKIE = "tidings"
FORM_FIELD = "form_token"
_FORM_BYTES = 65_536
_FORM_FIELDS = 100


@dataclass(frozen=True, kw_only=True)
class Reader:
    """Who is signed in: the address in lower case, and the hidden field of the forms on their pages."""

    email: str
    admin: bool
    form_token: str


@dataclass(frozen=True, kw_only=True)
class Visit:
    """One request with a reader of the database; `form` is what a POST sent."""

    request: Request
    connection: Connection
    reader: Reader | None
    form: Mapping[str, str]

    def query(self, name: str) -> str:
        """A value of the address, or an empty text."""
        return self.request.query_params.get(name, "")


Page = Callable[[Visit], Response]
ReaderPage = Callable[[Visit, Reader], Response]
CommunityPage = Callable[[Visit, Community], Response]


class Door:
    """Makes the routes of one site."""

    def __init__(self, *, database: Database, settings: Settings, clock: Clock, tokens: Tokens) -> None:
        self.database = database
        self.settings = settings
        self.clock = clock
        self.tokens = tokens
        self._admins = {directory.email_key(email) for email in settings.site.admins}

    def anyone(self, path: str, page: Page, *, method: str = "GET", from_anywhere: bool = False) -> Route:
        """A page for everybody; a POST from another site is refused unless it may come `from_anywhere`."""

        def enter(visit: Visit) -> Response:
            if method == "POST" and not from_anywhere:
                self._check_origin(visit.request)
            return page(visit)

        return self._route(path, enter, method)

    def signed_in(self, path: str, page: ReaderPage, *, method: str = "GET") -> Route:
        """A page for whoever is signed in; a POST needs the hidden field of their session."""
        return self._for_readers(path, page, method, lambda _reader: True)

    def admin(self, path: str, page: ReaderPage, *, method: str = "GET") -> Route:
        """A page for the site's admins."""
        return self._for_readers(path, page, method, lambda reader: reader.admin)

    def community(self, path: str, page: CommunityPage, *, method: str = "GET") -> Route:
        """A page of the community that the path names, below `/c/NAME`; for its members and for admins.

        A POST needs the hidden field of their session.
        """

        def enter(visit: Visit) -> Response:
            reader = self._known(visit)
            name = visit.request.path_params["name"]
            for found in self._candidates(visit.connection, reader, name):
                if found.name == name:
                    if method == "POST":
                        self._check_form(visit)
                    return page(visit, found)
            raise HTTPException(404)

        return self._route("/c/{name}" + path, enter, method)

    def visible(self, visit: Visit) -> list[Community]:
        """The communities that whoever asks may see, by name."""
        if visit.reader is None:
            return []
        if visit.reader.admin:
            return directory.communities(visit.connection)
        return directory.communities_of(visit.connection, visit.reader.email)

    def reader(self, request: Request, connection: Connection) -> Reader | None:
        """Who is signed in, or None."""
        token = request.cookies.get(COOKIE, "")
        email = sessions.session_email(connection, token, self.clock.now()) if token else None
        if email is None:
            return None
        return Reader(email=email, admin=email in self._admins, form_token=self.tokens.form(hashed(token)))

    def is_known(self, connection: Connection, email: str) -> bool:
        """Whether the address is an admin's or a member's."""
        return directory.email_key(email) in self._admins or bool(directory.communities_of(connection, email))

    def _for_readers(self, path: str, page: ReaderPage, method: str, may: Callable[[Reader], bool]) -> Route:
        def enter(visit: Visit) -> Response:
            reader = self._known(visit)
            if not may(reader):
                raise HTTPException(404)
            if method == "POST":
                self._check_form(visit)
            return page(visit, reader)

        return self._route(path, enter, method)

    def _candidates(self, connection: Connection, reader: Reader, name: str) -> list[Community]:
        if not reader.admin:
            return directory.communities_of(connection, reader.email)
        try:
            return [directory.community(connection, name)]
        except NotFoundError:
            return []

    def _known(self, visit: Visit) -> Reader:
        # Before anything is looked up, so that a stranger cannot tell by time what there is.
        if visit.reader is None:
            raise HTTPException(404)
        return visit.reader

    def _check_origin(self, request: Request) -> None:
        """Refuse a form that a page of another site sent; browsers name the origin of every POST."""
        origin = request.headers.get("origin")
        # Behind a proxy the Host may be another than the public name: either is ours.
        own = {request.headers.get("host", ""), urlsplit(self.settings.site.base_url).netloc}
        if origin is not None and urlsplit(origin).netloc not in own - {""}:
            raise HTTPException(403, "This form was sent from another site.")

    def _check_form(self, visit: Visit) -> None:
        self._check_origin(visit.request)
        session = hashed(visit.request.cookies[COOKIE])
        sent = visit.form.get(FORM_FIELD, "")
        if not sent.isascii() or not self.tokens.is_form(sent, session):
            raise HTTPException(403, "This form is not one of your session; load its page again.")

    def _route(self, path: str, enter: Page, method: str) -> Route:
        def serve(request: Request, form: Mapping[str, str]) -> Response:
            with self.database.read() as connection:
                reader = self.reader(request, connection)
                return enter(Visit(request=request, connection=connection, reader=reader, form=form))

        async def endpoint(request: Request) -> Response:
            form = _form(await request.body()) if method == "POST" else {}
            return await run_in_threadpool(serve, request, form)

        return Route(path, endpoint, methods=[method], max_body_size=_FORM_BYTES)


def _form(body: bytes) -> dict[str, str]:
    """The fields of a form; what is no form has none."""
    try:
        fields: list[tuple[Any, Any]] = parse_qsl(body.decode("ascii"), max_num_fields=_FORM_FIELDS)
    except ValueError:
        return {}
    return dict(fields)
