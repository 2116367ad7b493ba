"""The pages of the archive: communities, threads, a post in its thread, search, the feed and the mailbox.

They only read, and who may read was asked at the door.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import quote

from markupsafe import Markup
from sqlalchemy import Connection
from starlette.exceptions import HTTPException
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from tidings.archive import mbox, read
from tidings.archive.files import Holder, holders, others
from tidings.archive.read import Attachment, Post, ThreadPost, ThreadSummary
from tidings.archive.search import Sort, search
from tidings.communities.directory import Community
from tidings.digests.meetings import calendar, diary, topics
from tidings.digests.meetings.diary import Meeting
from tidings.mailer.addresses import Addresses
from tidings.mailer.extract import Extractor
from tidings.web import markup
from tidings.web.door import Door, Visit
from tidings.web.overview import Overviews
from tidings.web.pages import Pages, with_query

_THREADS = 40
_HITS = 20
_FEED = 50
_MBOX_BATCH = 50
_DEEPEST = 6
_MAIL = "message/rfc822"
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# What a browser may save under its own type; anything else, and above all what could hold a script, is bytes.
_SAFE_TYPES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "text/plain", "application/pdf"})

# A second lock behind the sanitizer: no font, frame, form or script, no picture but those that stand in the page,
# and an origin that is not ours.
_HTML_POLICY = (
    "default-src 'none'; {pictures}style-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "sandbox allow-top-navigation-by-user-activation"
)


class ArchivePages:
    """The archive's pages of one site."""

    def __init__(self, door: Door, pages: Pages) -> None:
        self._door = door
        self._pages = pages
        self._overviews = Overviews()
        self._extractor = Extractor(door.settings.limits)
        self._addresses = Addresses(door.settings.site)
        self._base_url = door.settings.site.base_url.rstrip("/")

    def routes(self) -> list[Route]:
        """Every route; a post's own path comes last, since a message id may hold a slash."""
        at_post = "/m/{message_id:path}"
        return [
            self._door.anyone("/", self._communities),
            self._door.community("/", self._threads),
            self._door.community("/search", self._search),
            self._door.community("/atom.xml", self._feed),
            self._door.community("/mbox", self._mbox),
            self._door.community(at_post + "/attachment/{position:int}", self._attachment),
            self._door.community(at_post + "/attachment/{position:int}/text", self._forwarded),
            self._door.community(at_post + "/raw", self._raw),
            self._door.community(at_post + "/html", self._html),
            self._door.community(at_post + "/", self._post),
        ]

    def _communities(self, visit: Visit) -> Response:
        visible = self._door.visible(visit)
        dates = read.last_dates(visit.connection, [community.id for community in visible])
        addresses = {community.id: self._addresses.of(community).post for community in visible}
        return self._pages.render(
            "communities.html", reader=visit.reader, communities=visible, dates=dates, addresses=addresses
        )

    def _threads(self, visit: Visit, community: Community) -> Response:
        before = _cursor(visit.query("before"))
        # One more than is shown says whether there is an older page.
        found = read.threads(visit.connection, community.id, limit=_THREADS + 1, before=before)
        shown = found[:_THREADS]
        return self._pages.render(
            "threads.html",
            reader=visit.reader,
            community=community,
            address=self._addresses.of(community).post,
            threads=shown,
            newest=before is None,
            older=_cursor_text(shown[-1]) if len(found) > _THREADS else "",
        )

    def _post(self, visit: Visit, community: Community) -> Response:
        asked = self._asked(visit, community)
        posts = read.thread(visit.connection, community.id, asked.thread_id)
        files = read.attachments(visit.connection, [post.id for post in posts if post.attachments])
        above = {post.message_id: post for post in posts}
        replies = self._replies(community, posts)
        same = holders(visit.connection, community.id, (file for listed in files.values() for file in listed))
        title = markup.line(posts[0].subject) or "(no subject)"
        return self._pages.render(
            "thread.html",
            reader=visit.reader,
            community=community,
            title=title,
            asked=asked.number,
            people=len({post.author_email for post in posts}),
            short=self._overviews.in_short(posts, community.language),
            posts=[_shown(post, replies[post.message_id], above, files, same, title) for post in posts],
            seen=self._overviews.seen(visit.connection, posts, community),
            agendas=_agendas(visit.connection, community, asked.thread_id),
        )

    def _raw(self, visit: Visit, community: Community) -> Response:
        raw = read.raw(visit.connection, self._asked(visit, community).id)
        return Response(raw, media_type="text/plain; charset=utf-8")

    def _html(self, visit: Visit, community: Community) -> Response:
        asked = self._asked(visit, community)
        body = self._extractor.html(read.raw(visit.connection, asked.id))
        answer = self._pages.render(
            "html_post.html",
            community=community,
            post=asked,
            title=markup.line(asked.subject) or "(no subject)",
            body=Markup(body) if body else "",  # noqa: S704  (harmless: its extractor sanitizes last)
        )
        pictures = "img-src data:; " if body and 'src="data:' in body else ""
        answer.headers["Content-Security-Policy"] = _HTML_POLICY.format(pictures=pictures)
        return answer

    def _attachment(self, visit: Visit, community: Community) -> Response:
        asked, listed = self._listed(visit, community)
        data = self._extractor.part(read.raw(visit.connection, asked.id), listed.position)
        if data is None:
            raise HTTPException(404)
        safe = listed.content_type.lower() in _SAFE_TYPES
        name = quote(markup.file_name(listed.filename), safe="")
        return Response(
            data,
            # The type alone: a charset that the sender claims is not ours to repeat.
            headers={
                "Content-Type": listed.content_type.lower() if safe else "application/octet-stream",
                "Content-Disposition": f"attachment; filename*=UTF-8''{name}",
                "Content-Security-Policy": "default-src 'none'; sandbox",
            },
        )

    def _forwarded(self, visit: Visit, community: Community) -> Response:
        """A mail that is attached, as text: what was passed on is to be read."""
        asked, listed = self._listed(visit, community)
        if listed.content_type != _MAIL:
            raise HTTPException(404)
        mail = self._extractor.mail(read.raw(visit.connection, asked.id), listed.position)
        if mail is None:
            raise HTTPException(404)
        return self._pages.render(
            "forwarded.html",
            reader=visit.reader,
            community=community,
            post=asked,
            position=listed.position,
            title=markup.line(mail.subject) or "(no subject)",
            mail=mail,
            pieces=markup.post_pieces(mail),
            columns=markup.is_columns(mail),
        )

    def _listed(self, visit: Visit, community: Community) -> tuple[Post, Attachment]:
        """The post and the one of its attachments that are asked for."""
        asked = self._asked(visit, community)
        position = visit.request.path_params["position"]
        files = read.attachments(visit.connection, [asked.id]).get(asked.id, [])
        listed = next((file for file in files if file.position == position), None)
        if listed is None:
            raise HTTPException(404)
        return asked, listed

    def _search(self, visit: Visit, community: Community) -> Response:
        query = visit.query("q")
        page = _page_number(visit.query("page"))
        sort: Sort = "relevance" if visit.query("sort") == "relevance" else "newest"
        hits = search(visit.connection, [community.id], query, sort=sort, limit=_HITS + 1, offset=(page - 1) * _HITS)
        # The order that needs no saying is not said.
        asked = {"q": query} | ({"sort": sort} if sort != "newest" else {})
        return self._pages.render(
            "search.html",
            reader=visit.reader,
            community=community,
            query=markup.line(query),
            hits=hits[:_HITS],
            page=page,
            sort=sort,
            other=with_query("search", {"q": query, "sort": "relevance" if sort == "newest" else ""}),
            later=with_query("search", asked | {"page": str(page - 1)}) if page > 1 else "",
            older=with_query("search", asked | {"page": str(page + 1)}) if len(hits) > _HITS else "",
        )

    def _feed(self, visit: Visit, community: Community) -> Response:
        posts = read.newest(visit.connection, community.id, _FEED)
        return self._pages.feed(
            "feed.xml",
            community=community,
            home=f"{self._base_url}/c/{community.name}/",
            base_url=self._base_url,
            # RFC 4287 4.2.15: a feed that nobody wrote to yet has a date all the same.
            updated=max((post.received_at for post in posts), default=_EPOCH),
            posts=posts,
        )

    def _mbox(self, _visit: Visit, community: Community) -> Response:
        return StreamingResponse(
            self._mbox_entries(community.id),
            media_type="application/mbox",
            headers={"Content-Disposition": f'attachment; filename="{community.name}.mbox"'},
        )

    def _mbox_entries(self, community_id: int) -> Iterator[bytes]:
        """The archive in batches, each with a reader of its own: a slow download holds up nobody."""
        after = 0
        while True:
            with self._door.database.read() as connection:
                batch = read.raw_posts(connection, community_id, after=after, limit=_MBOX_BATCH)
            for post in batch:
                yield mbox.entry(post.raw, from_line=post.from_line, sender=post.sender, date=post.date)
            if not batch:
                return
            after = batch[-1].number

    def _asked(self, visit: Visit, community: Community) -> Post:
        found = read.post(visit.connection, community.id, visit.request.path_params["message_id"])
        if found is None:
            raise HTTPException(404)
        return found

    def _replies(self, community: Community, posts: Sequence[ThreadPost]) -> Mapping[str, str]:
        """RFC 6068: by the id of each post, a new mail to the community that stands under it."""
        to = self._addresses.of(community).post
        # Quoting is slow: the subjects of a thread are mostly one, and ids mostly have but this sign to be quoted.
        subjects = {one: quote(markup.reply_subject(one), safe="") for one in {post.subject for post in posts}}
        ids = {post.message_id: quote(post.message_id, safe="@").replace("@", "%40") for post in posts}
        return {
            post.message_id: f"mailto:{to}?In-Reply-To=%3C{ids[post.message_id]}%3E&Subject={subjects[post.subject]}"
            for post in posts
        }


def _shown(
    post: ThreadPost,
    reply: str,
    above: Mapping[str, ThreadPost],
    files: Mapping[int, list[Attachment]],
    same: Mapping[bytes, list[Holder]],
    title: str,
) -> Mapping[str, object]:
    """What the thread's page says of one post; its subject only where it is not that of the post above."""
    parent = above.get(post.parent) if post.parent else None
    subject = _base_subject(post.subject)
    is_new = subject and subject != _base_subject(parent.subject if parent else title)
    return {
        "post": post,
        "depth": min(post.depth, _DEEPEST),
        "pieces": markup.post_pieces(post),
        "columns": markup.is_columns(post),
        "files": [(file, others(post.id, file, same)) for file in files.get(post.id, [])],
        "notes": markup.notes(post.text, files.get(post.id, [])),
        "parent": parent.number if parent else None,
        "reply": reply,
        "new_subject": subject if is_new else "",
    }


def _agendas(connection: Connection, community: Community, thread_id: int) -> list[tuple[Meeting, str]]:
    """The meetings on whose agenda the thread stands, each with the path of its page."""
    found = [
        diary.by_id(connection, topic.meeting_id) for topic in topics.of_thread(connection, community.id, thread_id)
    ]
    return [(meeting, calendar.page("", community.name, meeting)) for meeting in found]


def _base_subject(subject: str) -> str:
    """A subject as threads compare it for showing: without the marks of an answer."""
    plain = markup.line(subject)
    while plain[:3].lower() in ("re:", "aw:", "sv:"):
        plain = plain[3:].lstrip()
    return plain


def _cursor_text(last: ThreadSummary) -> str:
    return f"{(last.last_date - _EPOCH) // timedelta(microseconds=1)}-{last.thread_id}"


def _cursor(text: str) -> tuple[datetime, int] | None:
    """Where the page before ended; None for the newest page and for what is no such place."""
    moment, _, thread_id = text.rpartition("-")
    try:
        if not (moment.isascii() and thread_id.isascii() and thread_id.isdecimal() and len(thread_id) < 19):
            return None
        return _EPOCH + timedelta(microseconds=int(moment)), int(thread_id)
    except (ValueError, OverflowError):
        return None


def _page_number(text: str) -> int:
    return int(text) if text.isascii() and text.isdecimal() and 0 < int(text[:4]) < 1000 and len(text) < 4 else 1
