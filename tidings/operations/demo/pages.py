"""The demo's pages: its clock, every mail that was sent, a box to write from, and a button to sign in as anybody.

They exist in a demo only. No GET changes anything; a POST is taken from the demo's own pages only.
"""

import re
from datetime import datetime, timedelta
from email.headerregistry import Address
from itertools import groupby
from pathlib import Path
from typing import Any

from starlette.exceptions import HTTPException
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from tidings.archive import read
from tidings.clock import zone
from tidings.communities import directory, sessions
from tidings.communities.directory import email_key
from tidings.errors import NotFoundError, UsageError
from tidings.mailer.spool import Spool
from tidings.operations import explain
from tidings.operations.demo import due, people
from tidings.operations.demo.answers import Answers, item_key, post_key
from tidings.operations.demo.controls import Controls
from tidings.operations.demo.sent import Mail, Sent
from tidings.tokens import BadTokenError
from tidings.web.door import COOKIE, Door, Visit
from tidings.web.framed import MAY_FRAME, SANDBOX, framed
from tidings.web.pages import Pages, post_path, with_query
from tidings.web.sign_in import own_path

TEMPLATES = Path(__file__).with_name("templates")
_STYLE = (TEMPLATES / "demo.css").read_bytes()
_PUSHES = {
    "hour": ("+1 hour", timedelta(hours=1)),
    "6-hours": ("+6 hours", timedelta(hours=6)),
    "day": ("+1 day", timedelta(days=1)),
    "week": ("+1 week", timedelta(weeks=1)),
}
_SHOWN = 5  # mails on the first page
_LISTED = 50  # mails on a page of all
_PUSHED = 200  # mails that one push is said to have sent
_REPLY_LINK = re.compile(r'href="mailto:[^"+]+\+r\.([a-z2-7]+)@[^"]*"')


class DemoPages:
    """The pages of one demo."""

    def __init__(self, *, door: Door, pages: Pages, controls: Controls, spool: Spool, sent: Sent) -> None:
        """Raises UsageError for a site that is no demo."""
        if not door.settings.site.demo:
            raise UsageError("These pages are for a demo; this site is a real one (site.demo is false).")
        self._door = door
        self._pages = pages
        self._controls = controls
        self._spool = spool
        self._sent = sent
        self._zone = zone(door.settings.site.zone)
        self._answers = Answers(door.settings, door.tokens)

    def routes(self) -> list[Route]:
        """The pages and what their buttons do."""
        return [
            self._door.anyone("/demo/", self._start),
            self._door.anyone("/demo/clock", self._push, method="POST"),
            self._door.anyone("/demo/reply", self._reply, method="POST"),
            self._door.anyone("/demo/sign-in", self._sign_in, method="POST"),
            self._door.anyone("/demo/why", self._why),
            self._door.anyone("/demo/mail/", self._mails),
            self._door.anyone("/demo/mail/{number:int}", self._mail),
            self._door.anyone("/demo/mail/{number:int}/html", self._html),
            self._door.anyone("/demo/style.css", self._style),
        ]

    # --- the clock ---

    def _start(self, visit: Visit) -> Response:
        now = self._controls.clock.now()
        everybody = people.everybody(visit.connection, self._door.settings.site.admins)
        writer = next((one for one in everybody if one.writes and one.email == visit.query("as")), None)
        since = visit.query("since")
        pushed = since.isascii() and since.isdecimal() and len(since) < 10
        return self._render(
            visit,
            "demo.html",
            now=people.moment(now.astimezone(self._zone)),
            crews=people.crews(visit.connection, now),
            coming=self._coming(visit, now),
            pushes=[(key, label) for key, (label, _) in _PUSHES.items()],
            pushed=pushed,
            nothing=bool(visit.query("nothing")),
            mails=self._sent.listing(after=int(since), limit=_PUSHED) if pushed else self._sent.listing(limit=_SHOWN),
            count=self._sent.count(),
            everybody=everybody,
            writer=writer,
            groups=self._groups(visit, writer.email) if writer else [],
            chosen=visit.query("to"),
            refused=visit.query("refused"),
        )

    def _coming(self, visit: Visit, now: datetime) -> list[tuple[str, str]]:
        """What will happen next: when, and what."""
        found = [(at, f"cut-off of the week for {title}") for at, title in due.cut_offs(visit.connection, now)]
        for one in due.waiting(visit.connection):
            found.append((one.at, f"{one.what} to {', '.join(one.names)}"))
        return [(people.moment(at.astimezone(self._zone)), what) for at, what in sorted(found)]

    def _groups(self, visit: Visit, email: str) -> list[tuple[str, list[tuple[str, str]]]]:
        """What a member can answer, as the groups of a list to choose from."""
        found = groupby(self._answers.of(visit.connection, email), key=lambda one: one.group)
        return [(group, [(one.key, one.label) for one in ones]) for group, ones in found]

    def _push(self, visit: Visit) -> Response:
        before = self._sent.count()
        by = visit.form.get("by", "")
        if by in _PUSHES:
            self._controls.push(_PUSHES[by][1])
        elif by != "digest":
            raise HTTPException(404)
        elif not self._controls.push_to_next_digest():
            return _see("/demo/?nothing=1#clock")
        return _see(f"/demo/?since={before}#clock")

    # --- mail ---

    def _mails(self, visit: Visit) -> Response:
        text = visit.query("before")
        before = int(text) if text.isascii() and text.isdecimal() and len(text) < 10 else None
        mails = self._sent.listing(before=before, limit=_LISTED)
        older = mails[-1].number if mails and mails[-1].number > 1 else None
        return self._render(visit, "mails.html", mails=mails, count=self._sent.count(), before=before, older=older)

    def _mail(self, visit: Visit) -> Response:
        mail = self._found(visit)
        answering = self._answering(visit, mail)
        page = self._render(
            visit, "mail.html", mail=mail, answering=answering, count=self._sent.count(), sandbox=SANDBOX
        )
        page.headers["Content-Security-Policy"] = MAY_FRAME
        return page

    def _answering(self, visit: Visit, mail: Mail) -> list[tuple[str, str]]:
        """Where its recipients can answer this mail: the name of each, and the address of the box."""
        post = read.anywhere(visit.connection, mail.message_id) if mail.summary.kind == "copy" else None
        if mail.summary.kind == "notice":
            return []
        to = {"to": post_key(post.id)} if post else {}
        writers = {one.email: one.name for one in people.everybody(visit.connection, []) if one.writes}
        return [(writers[one], _box(one, **to)) for one in mail.summary.recipients if one in writers]

    def _html(self, visit: Visit) -> Response:
        html = self._found(visit).html
        if not html:
            raise HTTPException(404)
        # In a demo the Reply buttons of a digest lead to the box: no mail program here could reach their addresses.
        html = _REPLY_LINK.sub(lambda found: self._to_the_box(visit, found), html)
        return framed(html)

    def _to_the_box(self, visit: Visit, found: re.Match[str]) -> str:
        try:
            token = self._door.tokens.read_item(found[1])
        except BadTokenError:
            return found[0]
        member = directory.member(visit.connection, token.membership_id)
        if member is None:
            return found[0]
        return f'href="{_box(member.email, to=item_key(token.item_id))}"'.replace("&", "&amp;")

    def _found(self, visit: Visit) -> Mail:
        try:
            return self._sent.mail(visit.request.path_params["number"])
        except NotFoundError as error:
            raise HTTPException(404) from error

    # --- writing and signing in ---

    def _reply(self, visit: Visit) -> Response:
        email, form = visit.form.get("as", ""), visit.form
        writer = self._person(visit, email)
        try:
            to = self._answers.find(visit.connection, email, form.get("to", ""))
        except NotFoundError as error:
            raise HTTPException(404) from error
        message = self._answers.message(
            visit.connection,
            Address(writer.name, addr_spec=email),
            to,
            subject=form.get("subject", ""),
            text=form.get("text", ""),
            now=self._controls.clock.now(),
        )
        refused = self._controls.send(email, to.address, message)
        if refused:
            return _see(_box(email, to=to.key, refused=refused))
        return _see(with_query("/demo/why", {"id": str(message["Message-ID"]).strip("<>"), "as": email}))

    def _why(self, visit: Visit) -> Response:
        message_id = visit.query("id")
        post = read.anywhere(visit.connection, message_id)
        path = ""
        if post:
            path = post_path(directory.community_by_id(visit.connection, post.community_id).name, post.message_id)
        may_read = post and post.community_id in {one.id for one in self._door.visible(visit)}
        return self._render(
            visit,
            "why.html",
            message_id=message_id,
            steps=explain.why(visit.connection, self._spool, message_id),
            path=path,
            may_read=may_read,
            writer=next(
                (one for one in people.everybody(visit.connection, []) if one.email == visit.query("as")), None
            ),
        )

    def _sign_in(self, visit: Visit) -> Response:
        email = self._person(visit, visit.form.get("email", "")).email
        with self._door.database.write() as connection:
            session = sessions.open_session(connection, email_key(email), self._controls.clock.now())
        answer = _see(own_path(visit.form.get("next", "")))
        answer.set_cookie(COOKIE, session, httponly=True, samesite="lax")
        return answer

    def _person(self, visit: Visit, email: str) -> people.Person:
        everybody = people.everybody(visit.connection, self._door.settings.site.admins)
        found = next((one for one in everybody if one.email == email), None)
        if found is None:
            raise HTTPException(404)
        return found

    def _style(self, _visit: Visit) -> Response:
        return Response(_STYLE, media_type="text/css")

    def _render(self, visit: Visit, template: str, **values: Any) -> Response:
        return self._pages.render(template, reader=visit.reader, **values)


def _see(address: str) -> Response:
    """Go and look at another page, after a POST."""
    return RedirectResponse(address, status_code=303)


def _box(email: str, **query: str) -> str:
    """The address of the box to write from, as that member."""
    return with_query("/demo/", {"as": email, **query}) + "#reply"
