"""A web application on a database of a test's own: the real pages, a real spool, and every notice kept in a list."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta

import httpx
from sqlalchemy import Connection
from starlette.applications import Starlette

from tests import seed
from tidings.clock import FixedClock
from tidings.communities import sessions
from tidings.communities.directory import Directory
from tidings.database.engine import Database
from tidings.intake.case import Parts
from tidings.intake.desk import Desk
from tidings.mailer.notices import Notices
from tidings.mailer.resolver import SystemDns
from tidings.mailer.spool import Spool
from tidings.settings import Settings, SiteSettings
from tidings.tokens import Tokens
from tidings.web import site
from tidings.web.door import COOKIE

ADMIN = "Admin@example.org"
BASE_URL = "http://tidings.example.org"


@dataclass(frozen=True, kw_only=True)
class Notice:
    """A mail that the pages asked to be sent."""

    key: str
    recipient: str
    subject: str
    text: str


class Browser:
    """Asks the application itself, one request at a time, and waits for what it does after the answer.

    It keeps cookies, follows no redirect, and gets a bug of ours as the answer that a real one would get.
    """

    def __init__(self, app: Starlette, base_url: str, cookies: Mapping[str, str]) -> None:
        self._app = app
        self._base_url = base_url
        self.cookies = dict(cookies)

    def get(self, path: str, **options: object) -> httpx.Response:
        """The answer to a GET."""
        return self._ask("GET", path, options)

    def head(self, path: str) -> httpx.Response:
        """The answer to a HEAD."""
        return self._ask("HEAD", path, {})

    def post(self, path: str, **options: object) -> httpx.Response:
        """The answer to a POST."""
        return self._ask("POST", path, options)

    def _ask(self, method: str, path: str, options: Mapping[str, object]) -> httpx.Response:
        return asyncio.run(self._answer(method, path, options))

    async def _answer(self, method: str, path: str, options: Mapping[str, object]) -> httpx.Response:
        transport = httpx.ASGITransport(self._app, raise_app_exceptions=False)
        async with httpx.AsyncClient(transport=transport, base_url=self._base_url, cookies=self.cookies) as client:
            answer = await client.request(method, path, **options)  # type: ignore[arg-type]
            self.cookies = dict(client.cookies)
            return answer


class WebSite:
    """The pages of one site; `clock` stands at nine days after the first seeded post."""

    def __init__(self, database: Database, *, base_url: str = BASE_URL, admins: Sequence[str] = (ADMIN,)) -> None:
        self.database = database
        self.notices: list[Notice] = []
        self.clock = FixedClock(seed.START + timedelta(days=9))
        self.tokens = Tokens(b"k" * 32)
        self.spool = Spool(database)
        self.base_url = base_url
        settings = Settings(site=SiteSettings(name="Night post", base_url=base_url, admins=list(admins)))
        parts = Parts(
            communities=Directory(database),
            notices=Notices(settings),
            tokens=self.tokens,
            clock=self.clock,
            settings=settings,
            dns=SystemDns(),
        )
        self.app = site.build(
            database=database,
            settings=settings,
            clock=self.clock,
            tokens=self.tokens,
            send_notice=self._keep,
            spool=Desk(database=database, spool=self.spool, parts=parts),
        )

    def _keep(self, _connection: Connection, key: str, recipient: str, subject: str, text: str) -> bool:
        self.notices.append(Notice(key=key, recipient=recipient, subject=subject, text=text))
        return True

    def session(self, email: str) -> str:
        """The cookie of a new session of `email`."""
        with self.database.write() as connection:
            return sessions.open_session(connection, email, self.clock.now())

    def client(self, email: str | None = None) -> Browser:
        """A browser, signed in as `email` or as nobody."""
        return Browser(self.app, self.base_url, {} if email is None else {COOKIE: self.session(email)})
