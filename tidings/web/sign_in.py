"""Signing in by a mailed link, signing out, and a person's own page.

A link is used by the button behind it, never by opening it: mail scanners open links. Nothing that is answered tells
whether an address is known here.
"""

import re
from collections.abc import Callable

from sqlalchemy import Connection
from starlette.background import BackgroundTask
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tidings.communities import directory, sessions
from tidings.tokens import hashed
from tidings.web.door import COOKIE, Door, Reader, Visit
from tidings.web.pages import Pages, with_query

# (connection in a write transaction, key, recipient, subject, text) -> whether it was written
SendNotice = Callable[[Connection, str, str, str, str], bool]

_OWN_PATH = re.compile(r"/(?![/\\])[^\\\x00-\x20\x7f]{0,1000}")
# Not no-referrer: browsers would then send the form with `Origin: null`. This one names the origin and never the path.
_NO_PATH_TOLD = {"Referrer-Policy": "strict-origin"}
_ADDRESS_LENGTH = 320


def own_path(text: str) -> str:
    """A path of this site to go to, or `/` for anything else (acceptance: `//x`, `javascript:`, another host)."""
    return text if _OWN_PATH.fullmatch(text) else "/"


class SignInPages:
    """Sign-in, sign-out and `/me/` of one site."""

    def __init__(self, door: Door, pages: Pages, send_notice: SendNotice) -> None:
        self._door = door
        self._pages = pages
        self._send_notice = send_notice

    def routes(self) -> list[Route]:
        """The pages and what their buttons do."""
        return [
            self._door.anyone("/sign-in", self._ask),
            self._door.anyone("/sign-in", self._send, method="POST"),
            self._door.anyone("/sign-in/{token}", self._link),
            self._door.anyone("/sign-in/{token}", self._use, method="POST"),
            self._door.signed_in("/sign-out", self._sign_out, method="POST"),
            self._door.signed_in("/me/", self._me),
        ]

    def _ask(self, visit: Visit) -> Response:
        return self._page(visit, "sign_in.html", next=own_path(visit.query("next")))

    def _send(self, visit: Visit) -> Response:
        email = visit.form.get("email", "").strip()[:_ADDRESS_LENGTH]
        page = self._page(visit, "sign_in_sent.html")
        # After the answer, so that it takes as long for an address that is not known.
        page.background = BackgroundTask(self._mail_link, email, own_path(visit.form.get("next", "")))
        return page

    def _mail_link(self, email: str, going_to: str) -> None:
        site = self._door.settings.site
        with self._door.database.read() as connection:
            if not self._door.is_known(connection, email):
                return
        with self._door.database.write() as connection:
            token = sessions.new_link(connection, email, self._door.clock.now())
            if token is None:
                return
            query = {"next": going_to if going_to != "/" else ""}
            link = site.base_url.rstrip("/") + with_query(f"/sign-in/{token}", query)
            text = (
                f"Open this link and press the button to sign in to {site.name}:\n\n{link}\n\n"
                "It works once, within 72 hours. If you did not ask for it, do nothing.\n"
            )
            key = f"sign-in-{hashed(token).hex()[:32]}"
            self._send_notice(connection, key, email, f"Your sign-in link for {site.name}", text)

    def _link(self, visit: Visit) -> Response:
        token = visit.request.path_params["token"]
        return self._page(visit, "sign_in_link.html", token=token, next=own_path(visit.query("next")))

    def _use(self, visit: Visit) -> Response:
        now = self._door.clock.now()
        with self._door.database.write() as connection:
            email = sessions.use_link(connection, visit.request.path_params["token"], now)
            session = sessions.open_session(connection, email, now) if email else ""
        if not session:
            return self._page(visit, "sign_in_failed.html", status=400)
        answer = RedirectResponse(own_path(visit.form.get("next", "")), status_code=303)
        answer.set_cookie(
            COOKIE,
            session,
            max_age=int(sessions.SESSION_LIFE.total_seconds()),
            httponly=True,
            samesite="lax",
            secure=self._door.settings.site.base_url.startswith("https://"),
        )
        return answer

    def _sign_out(self, visit: Visit, _reader: Reader) -> Response:
        with self._door.database.write() as connection:
            sessions.close_session(connection, visit.request.cookies[COOKIE])
        answer = RedirectResponse("/", status_code=303)
        answer.delete_cookie(COOKIE)
        return answer

    def _me(self, visit: Visit, reader: Reader) -> Response:
        memberships = [
            (community, member, self._door.tokens.leave(member.membership_id))
            for community in directory.communities_of(visit.connection, reader.email)
            if (member := directory.member_by_address(visit.connection, community.id, reader.email))
        ]
        return self._pages.render("me.html", reader=reader, memberships=memberships)

    def _page(self, visit: Visit, template: str, *, status: int = 200, **values: str) -> Response:
        page = self._pages.render(template, status=status, reader=visit.reader, **values)
        page.headers.update(_NO_PATH_TOLD)
        return page
