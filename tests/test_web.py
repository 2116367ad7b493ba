"""The pages: who may see which, what a form needs to be taken, and what mail of any kind becomes in a page."""

import base64
import mailbox
import re
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit
from xml.etree import ElementTree

import pytest
from lxml.html import document_fromstring
from starlette.routing import Route

from tests import feeds, meeting_site, seed
from tests.web_site import ADMIN, BASE_URL, Browser, WebSite
from tidings.communities import calendar_links, directory, standing
from tidings.database.engine import Database
from tidings.mailer.spool import Accepted
from tidings.web import markup
from tidings.web.sign_in import own_path

MEMBER, OTHER, STRANGER = "olu@example.org", "other@example.org", "stranger@example.org"


class House:
    """A site with two communities, a thread with a file, and one member of each."""

    def __init__(self, database: Database) -> None:
        with database.write() as connection:
            self.pump = seed.community(connection, "pump", description="All about pumps")
            self.valve = seed.community(connection, "valve")
            self.membership = seed.member(connection, self.pump, MEMBER)
            seed.member(connection, self.valve, OTHER, delivery="weekly")
            raw = (
                b"Message-ID: <root@example.org>\r\nMIME-Version: 1.0\r\n"
                b"Content-Type: multipart/mixed; boundary=x\r\n\r\n"
                b"--x\r\nContent-Type: text/plain\r\n\r\nThe seal leaks.\r\n--x\r\nContent-Type: image/svg+xml\r\n"
                b"Content-Transfer-Encoding: base64\r\n\r\nPHN2Zy8+\r\n--x\r\n"
                b"Content-Type: message/rfc822\r\n\r\nFrom: Ann Example <ann@example.org>\r\n"
                b"Subject: Old <b>seals</b>\r\nDate: Tue, 5 Mar 2024 09:07:00 +0100\r\n\r\n"
                b"They held.\r\n\r\nBob wrote:\r\n> Do they hold?\r\n--x--\r\n"
            )
            files = (
                (2, "../../plan\u202egpj.svg", "image/svg+xml", 6),
                (3, "forwarded message: Old seals", "message/rfc822", 40),
                (7, "gone.txt", "text/plain", 9),
                (8, "gone.eml", "message/rfc822", 9),
            )
            self.root = seed.post(connection, self.pump, message_id="root@example.org", raw=raw, attachments=files)
            text = "Use the blue one: https://example.org/a?b=1&c=2.\n> The seal leaks.\n> Again.\n-- \nOlu\n"
            folds = ((49, 76, "quote"), (76, 84, "signature"))
            self.reply = seed.post(
                connection,
                self.pump,
                message_id="re/ply@example.org",
                parent=self.root,
                subject="Re: A seal that leaks",
                author=("Olu Ade", MEMBER),
                text=text,
                folds=folds,
            )
            address = standing.address_at(connection, MEMBER)
            assert address is not None
            meeting_site.hour(connection, directory.community(connection, "pump"))
            self.calendar = calendar_links.new_link(connection, self.membership, seed.START)
            self.back = standing.ask_back(connection, address.id, email=MEMBER, now=seed.START + timedelta(days=9))
        self.site = WebSite(database)

    def path(self, address: str) -> str:
        """An address of `_ROUTES` with tokens that are good."""
        leave = self.site.tokens.leave(self.membership)
        return address.replace("LEAVE", leave).replace("BACK", self.back).replace("CALENDAR", self.calendar)


@pytest.fixture
def house(sqlite_database: Database) -> House:
    return House(sqlite_database)


def _form_token(client: Browser) -> str:
    found = re.search(r'name="form_token" value="([^"]+)"', client.get("/me/").text)
    assert found
    return found[1]


# --- who may see what -------------------------------------------------------------------------------------------------

# For every route: an address that exists, and which of these get it: nobody, a member of another community, a member,
# an admin.
_EVERYBODY, _SIGNED_IN, _MEMBERS, _ADMINS = "1111", "0111", "0011", "0001"
_ROUTES = {
    ("GET", "/static/style.css"): ("/static/style.css", _EVERYBODY),
    ("GET", "/static/icon.svg"): ("/static/icon.svg", _EVERYBODY),
    ("GET", "/healthz"): ("/healthz", _EVERYBODY),
    ("GET", "/"): ("/", _EVERYBODY),
    ("GET", "/sign-in"): ("/sign-in", _EVERYBODY),
    ("GET", "/sign-in/{token}"): ("/sign-in/anything", _EVERYBODY),
    ("GET", "/u/{token}"): ("/u/LEAVE", _EVERYBODY),
    ("GET", "/back/{token}"): ("/back/BACK", _EVERYBODY),
    ("GET", "/me/"): ("/me/", _SIGNED_IN),
    ("GET", "/admin/"): ("/admin/", _ADMINS),
    ("GET", "/c/{name}/"): ("/c/pump/", _MEMBERS),
    ("GET", "/c/{name}/search"): ("/c/pump/search?q=seal", _MEMBERS),
    ("GET", "/c/{name}/atom.xml"): ("/c/pump/atom.xml", _MEMBERS),
    ("GET", "/c/{name}/mbox"): ("/c/pump/mbox", _MEMBERS),
    ("GET", "/c/{name}/digests/"): ("/c/pump/digests/", _MEMBERS),
    ("GET", "/c/{name}/digests/html"): (f"/c/pump/digests/html?member={MEMBER}", _MEMBERS),
    ("GET", "/c/{name}/meetings/"): ("/c/pump/meetings/", _MEMBERS),
    ("GET", "/c/{name}/meetings/{series:path}/{day}/"): ("/c/pump/meetings/hour/2026-10-13/", _MEMBERS),
    ("GET", "/c/{name}/meetings.ics"): ("/c/pump/meetings.ics", _MEMBERS),
    ("GET", "/f/{token}/meetings.ics"): ("/f/CALENDAR/meetings.ics", _EVERYBODY),
    ("GET", "/c/{name}/m/{message_id:path}/"): ("/c/pump/m/root@example.org/", _MEMBERS),
    ("GET", "/c/{name}/m/{message_id:path}/raw"): ("/c/pump/m/root@example.org/raw", _MEMBERS),
    ("GET", "/c/{name}/m/{message_id:path}/html"): ("/c/pump/m/root@example.org/html", _MEMBERS),
    ("GET", "/c/{name}/m/{message_id:path}/attachment/{position:int}"): (
        "/c/pump/m/root@example.org/attachment/2",
        _MEMBERS,
    ),
    ("GET", "/c/{name}/m/{message_id:path}/attachment/{position:int}/text"): (
        "/c/pump/m/root@example.org/attachment/3/text",
        _MEMBERS,
    ),
}
_POSTS = {
    "/sign-in",
    "/sign-in/{token}",
    "/sign-out",
    "/u/{token}",
    "/back/{token}",
    "/admin/spool/{key}/{action}",
    "/c/{name}/meetings/calendar",
    "/c/{name}/meetings/calendar/revoke",
}


@pytest.mark.acceptance(107)
def test_every_route_is_open_to_those_named_and_to_others_as_if_it_were_not_there(database: Database) -> None:
    house = House(database)
    routes = [route for route in house.site.app.routes if isinstance(route, Route)]
    gets = {("GET", route.path) for route in routes if "GET" in (route.methods or ())}
    assert gets == set(_ROUTES)
    assert {route.path for route in routes if "POST" in (route.methods or ())} == _POSTS
    assert len(routes) == len(house.site.app.routes)
    clients = [house.site.client(email) for email in (None, OTHER, MEMBER, ADMIN)]
    for (_, path), (address, allowed) in _ROUTES.items():
        answers = [client.get(house.path(address)).status_code for client in clients]
        assert answers == [200 if cell == "1" else 404 for cell in allowed], path


@pytest.mark.acceptance(108)
def test_a_hidden_community_looks_like_one_that_is_not_there(house: House) -> None:
    for email in (None, OTHER):
        client = house.site.client(email)
        for path in ("/", "/m/root@example.org/", "/search?q=seal", "/mbox"):
            hidden, missing = client.get(f"/c/pump{path}"), client.get(f"/c/nosuch{path}")
            assert (hidden.status_code, missing.status_code) == (404, 404)
            assert hidden.text.replace("pump", "nosuch") == missing.text
    assert "pump" not in house.site.client(OTHER).get("/").text.lower()


def test_a_post_is_not_shown_under_another_community(house: House) -> None:
    assert house.site.client(ADMIN).get("/c/valve/m/root@example.org/").status_code == 404


def test_who_has_left_sees_no_more(house: House) -> None:
    client = house.site.client(MEMBER)
    assert client.get("/c/pump/").status_code == 200
    client.post(f"/u/{house.site.tokens.leave(house.membership)}")
    assert client.get("/c/pump/").status_code == 404


def test_a_404_offers_sign_in_to_strangers_and_comes_back(house: House) -> None:
    page = house.site.client().get("/c/pump/search?q=a%20b").text
    link = re.search(r'href="(/sign-in\?next=[^"]+)"', page)
    assert link and parse_qs(urlsplit(link[1]).query)["next"] == ["/c/pump/search?q=a%20b"]
    assert "/sign-in?" not in house.site.client(OTHER).get("/c/pump/").text


# --- headers ----------------------------------------------------------------------------------------------------------


@pytest.mark.acceptance(111)
@pytest.mark.parametrize("path", ["/", "/c/pump/", "/nosuch", "/static/style.css", "/healthz", "/c/pump/mbox", "/u/zz"])
def test_every_reply_forbids_scripts_sniffing_and_frames(house: House, path: str) -> None:
    headers = house.site.client(MEMBER).get(path).headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'none'" in headers["content-security-policy"]
    assert "script" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "same-origin"


def test_a_bug_shows_no_text_of_the_exception(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_arguments: object, **_values: object) -> None:
        raise RuntimeError("a secret")

    monkeypatch.setattr(directory, "communities_of", broken)
    answer = house.site.client(MEMBER).get("/")
    assert (answer.status_code, "secret" in answer.text) == (500, False)
    assert "default-src 'none'" in answer.headers["content-security-policy"]


# --- signing in -------------------------------------------------------------------------------------------------------


def _link(house: House, email: str, going_to: str = "/c/pump/") -> str:
    house.site.client().post("/sign-in", data={"email": email, "next": going_to})
    found = re.search(r"http://\S+", house.site.notices[-1].text)
    assert found
    return found[0].removeprefix(BASE_URL)


@pytest.mark.acceptance(116)
def test_a_mailed_link_signs_in_once_by_its_button_and_not_by_opening_it(house: House) -> None:
    link = _link(house, MEMBER.upper())
    client = house.site.client()
    for _ in range(3):  # a scanner opens it
        page = client.get(link)
        assert page.status_code == 200
        assert page.headers["referrer-policy"] == "strict-origin"
        assert client.cookies == {}
    button = urlsplit(link).path
    answer = client.post(button, data={"next": "/c/pump/"})
    assert (answer.status_code, answer.headers["location"]) == (303, "/c/pump/")
    assert "HttpOnly" in answer.headers["set-cookie"] and "SameSite=lax" in answer.headers["set-cookie"]
    assert "Secure" not in answer.headers["set-cookie"]
    assert client.get("/c/pump/").status_code == 200
    assert house.site.client().post(button).status_code == 400


def test_the_cookie_is_for_https_only_where_the_site_is(sqlite_database: Database) -> None:
    site = WebSite(sqlite_database, base_url="https://tidings.example.org")
    client = site.client()
    client.post("/sign-in", data={"email": ADMIN})
    token = re.search(r"/sign-in/(\w+)", site.notices[0].text)
    assert token
    assert "Secure" in client.post(f"/sign-in/{token[1]}").headers["set-cookie"]


def test_a_known_and_an_unknown_address_get_the_same_answer(house: House) -> None:
    client = house.site.client()
    known = client.post("/sign-in", data={"email": MEMBER})
    assert [notice.recipient for notice in house.site.notices] == [MEMBER]
    unknown = client.post("/sign-in", data={"email": STRANGER})
    assert (known.status_code, known.text) == (unknown.status_code, unknown.text)
    assert len(house.site.notices) == 1
    for email in ("", "\0", "x" * 5000, "a\r\nBcc: b@example.org"):
        assert client.post("/sign-in", data={"email": email}).text == known.text
    assert len(house.site.notices) == 1


def test_whoever_asks_on_does_not_fill_a_mailbox(house: House) -> None:
    for _ in range(20):
        house.site.client().post("/sign-in", data={"email": MEMBER})
    assert len(house.site.notices) == 5


@pytest.mark.acceptance(113)
@pytest.mark.parametrize(
    "hostile",
    ["//evil.example.org", "https://evil.example.org", "javascript:alert(1)", "data:x", "/\\evil", "/a\\b", "x"],
)
def test_next_leads_only_to_pages_of_this_site(house: House, hostile: str) -> None:
    assert own_path(hostile) == "/"
    link = _link(house, MEMBER, hostile)
    assert "evil" not in link
    answer = house.site.client().post(urlsplit(link).path, data={"next": hostile})
    assert answer.headers["location"] == "/"


@pytest.mark.acceptance(113)
def test_links_in_mail_do_not_trust_the_host_header(house: House) -> None:
    house.site.client().post("/sign-in", data={"email": MEMBER}, headers={"Host": "evil.example.org"})
    assert "evil" not in house.site.notices[0].text


@pytest.mark.acceptance(116)
def test_signing_out_ends_the_session(house: House) -> None:
    client = house.site.client(MEMBER)
    cookies = dict(client.cookies)
    assert client.post("/sign-out", data={"form_token": _form_token(client)}).status_code == 303
    again = Browser(house.site.app, BASE_URL, cookies)
    assert again.get("/me/").status_code == 404


# --- forms ------------------------------------------------------------------------------------------------------------


@pytest.mark.acceptance(109)
def test_a_form_needs_the_token_of_its_own_session_and_no_foreign_origin(house: House) -> None:
    key = house.site.spool.append([_accepted()], state="held", reason="From a stranger")[0]
    admin = house.site.client(ADMIN)
    token, foreign = _form_token(admin), _form_token(house.site.client(ADMIN))
    path = f"/admin/spool/{key}/release"
    evil, own = {"Origin": "https://evil.example.org"}, {"Origin": BASE_URL}
    assert admin.post(path).status_code == 403
    assert admin.post(path, data={"form_token": foreign}).status_code == 403
    assert admin.post(path, data={"form_token": "é"}).status_code == 403
    assert admin.post(f"{path}?form_token={token}").status_code == 403
    assert admin.post(path, data={"form_token": token}, headers=evil).status_code == 403
    assert admin.post(path, data={"form_token": token}, headers={"Origin": "null"}).status_code == 403
    assert house.site.client(MEMBER).post(path, data={"form_token": token}).status_code == 404
    assert house.site.client().post(path, data={"form_token": token}).status_code == 404
    assert house.site.spool.counts()["held"] == 1
    assert admin.post(path, data={"form_token": token}, headers=own).status_code == 303
    assert house.site.spool.counts()["waiting"] == 1


@pytest.mark.acceptance(109)
@pytest.mark.parametrize("path", ["/sign-in", "/sign-in/anything"])
def test_sign_in_forms_of_other_sites_are_refused(house: House, path: str) -> None:
    answer = house.site.client().post(path, data={"email": MEMBER}, headers={"Origin": "https://evil.example.org"})
    assert answer.status_code == 403
    assert house.site.notices == []


@pytest.mark.acceptance(56)
def test_no_get_and_no_head_changes_anything(house: House) -> None:
    house.site.spool.append([_accepted()], state="held", reason="From a stranger")
    client = house.site.client(ADMIN)
    with house.site.database.read() as connection:
        before = connection.exec_driver_sql("PRAGMA data_version").scalar_one()
        for address, _ in _ROUTES.values():
            client.get(house.path(address))
            client.head(house.path(address))
        connection.rollback()
        assert connection.exec_driver_sql("PRAGMA data_version").scalar_one() == before


def test_a_form_of_no_sensible_size_is_refused(house: House) -> None:
    assert house.site.client().post("/sign-in", data={"email": "x" * 100_000}).status_code == 413


# --- leaving ----------------------------------------------------------------------------------------------------------


@pytest.mark.acceptance(56)
def test_one_click_leaves_once_without_cookie_or_redirect(house: House) -> None:
    path = f"/u/{house.site.tokens.leave(house.membership)}"
    client = house.site.client()
    page = client.get(path)
    assert "Leave" in page.text and MEMBER not in page.text
    for _ in range(2):
        answer = client.post(
            path, data={"List-Unsubscribe": "One-Click"}, headers={"Origin": "https://mail.example.org"}
        )
        assert answer.status_code == 200
        with house.site.database.read() as connection:
            assert directory.member(connection, house.membership) is None
    assert "You have left" in client.get(path).text


@pytest.mark.parametrize("token", ["x", "aaaaaaaaaaaaaaaaaaaaaaaa", "é", "%00"])
def test_a_leave_link_that_is_not_ours_is_not_there(house: House, token: str) -> None:
    assert house.site.client().get(f"/u/{token}").status_code == 404
    assert house.site.client().post(f"/u/{token}").status_code == 404


# --- the archive ------------------------------------------------------------------------------------------------------


def test_a_post_is_shown_in_its_thread_with_folds_links_and_a_reply_by_mail(house: House) -> None:
    page = house.site.client(MEMBER).get("/c/pump/m/re%2Fply@example.org/").text
    assert '<a href="https://example.org/a?b=1&amp;c=2" rel=' in page
    assert "<summary>Quoted text, 2 lines</summary>" in page
    assert "<summary>Signature, 2 lines</summary>" in page
    assert 'id="p2" class="post asked"' in page and 'href="#p1">Parent' in page
    mailto = re.findall(r'href="mailto:([^"]+)"', page)[1]
    address, _, fields = mailto.replace("&amp;", "&").partition("?")
    assert address == "pump@lists.example.org"
    assert parse_qs(fields) == {"In-Reply-To": ["<re/ply@example.org>"], "Subject": ["Re: A seal that leaks"]}
    assert "plan gpj.svg" in page and "../" not in page


def test_raw_is_the_message_as_it_came_and_never_a_page(house: House) -> None:
    answer = house.site.client(MEMBER).get("/c/pump/m/root@example.org/raw")
    assert answer.headers["content-type"] == "text/plain; charset=utf-8"
    assert answer.content.startswith(b"Message-ID: <root@example.org>\r\n")
    assert house.site.client(MEMBER).get("/c/pump/m/re%2Fply@example.org/raw").status_code == 200


HOSTILE_HTML = """<html><head><title>t</title><style>@import url(http://trap.example/)</style></head>
<body background="http://trap.example/b" onload="alert(1)"><p style="background:url(//trap.example/c)">
Check the <b>seal</b>.
<img src="http://trap.example/p.gif"><img src="cid:1@example.org"><svg><script>alert(2)</script></svg>
<a href="https://example.org/a?b=1&amp;c=2" onclick="x()">plan</a> <a href="javascript:alert(3)">bad</a>
<a href="data:text/html,x">data</a> <a href="/sign-out">own</a>
<form action="http://trap.example/f"><input><button>go</button></form><iframe src="http://trap.example/i"></iframe>
<object data="http://trap.example/o"></object><video src="http://trap.example/v"></video>
<math><mtext><table><mglyph><style><img src=x onerror=alert(4)></style></table></mtext></math>
<base href="http://trap.example/"><meta http-equiv="refresh" content="0;url=http://trap.example/m"></body></html>"""


@pytest.mark.acceptance(31)
@pytest.mark.parametrize(
    ("kind", "text", "note"),
    [
        ("application/pkcs7-signature", "", "Signed (S/MIME); the signature was not checked."),
        ("application/pgp-encrypted", "", "Encrypted (PGP): it cannot be read here."),
        ("application/ms-tnef", "", "packed in Outlook"),
        ("text/plain", "-----BEGIN PGP MESSAGE-----\nabc", "Encrypted (PGP): it cannot be read here."),
    ],
)
def test_what_cannot_be_read_or_was_not_checked_is_said_in_words(house: House, kind: str, text: str, note: str) -> None:
    files = ((1, "part", kind, 6),)
    with house.site.database.write() as connection:
        seed.post(connection, house.pump, message_id="odd@example.org", text=text or "See it.", attachments=files)
    page = document_fromstring(house.site.client(MEMBER).get("/c/pump/m/odd@example.org/").text)
    assert note in page.text_content()


@pytest.mark.acceptance(110)
@pytest.mark.acceptance(111)
@pytest.mark.acceptance(114)
def test_html_mail_is_shown_without_anything_that_runs_or_loads(house: House) -> None:
    raw = b"Message-ID: <html@example.org>\r\nContent-Type: text/html\r\n\r\n" + HOSTILE_HTML.encode()
    with house.site.database.write() as connection:
        seed.post(connection, house.pump, message_id="html@example.org", raw=raw, subject="<script>alert(0)</script>")
    answer = house.site.client(MEMBER).get("/c/pump/m/html@example.org/html")
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "sandbox" in policy
    assert "allow-scripts" not in policy
    assert "allow-same-origin" not in policy
    assert "img-src" not in policy
    page = document_fromstring(answer.text)
    found = {element.tag for element in page.iter()}
    assert not found & {"script", "img", "svg", "math", "iframe", "object", "form", "video", "base", "input", "button"}
    assert "trap.example" not in answer.text
    names = {name for element in page.iter() for name in element.attrib}
    assert not {name for name in names if name.startswith("on") or name in ("style", "src", "background")}
    links = [element.get("href") for element in page.iter("a")]
    assert links == ["/c/pump/m/html@example.org/", "https://example.org/a?b=1&c=2", None, None, None]
    assert "<b>seal</b>" in answer.text


def test_pictures_that_came_with_the_mail_are_shown_in_its_html(house: House) -> None:
    png = base64.b64encode(b"\x89PNG\r\n\x1a\n seal").decode()
    html = '<p>See <img src="cid:seal%40example.org" alt="the seal"><img src="cid:page@example.org"><img src="cid:no">'
    raw = (
        f"Message-ID: <seen@example.org>\nContent-Type: multipart/related; boundary=b\n\n"
        f"--b\nContent-Type: text/html\n\n{html}\n"
        f"--b\nContent-Type: image/png\nContent-ID: <seal@example.org>\nContent-Transfer-Encoding: base64\n\n{png}\n"
        "--b\nContent-Type: image/png\nContent-ID: <page@example.org>\n\n<script>alert(1)</script>\n--b--\n"
    ).encode()
    with house.site.database.write() as connection:
        seed.post(connection, house.pump, message_id="seen@example.org", raw=raw, has_html=True)
    answer = house.site.client(MEMBER).get("/c/pump/m/seen@example.org/html")
    pictures = [dict(element.attrib) for element in document_fromstring(answer.text).iter("img")]
    assert pictures == [{"src": f"data:image/png;base64,{png}", "alt": "the seal"}]
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'; img-src data:; style-src 'self';" in policy
    assert "sandbox" in policy


def test_html_is_offered_where_there_is_some(house: House) -> None:
    with house.site.database.write() as connection:
        seed.post(connection, house.pump, message_id="html@example.org", has_html=True)
    client = house.site.client(MEMBER)
    assert "Show as HTML" in client.get("/c/pump/m/html@example.org/").text
    assert "Show as HTML" not in client.get("/c/pump/m/root@example.org/").text


def test_a_mail_that_is_attached_can_be_read_below_its_subject(house: House) -> None:
    client = house.site.client(MEMBER)
    path = "/c/pump/m/root@example.org/attachment/3/text"
    page = document_fromstring(client.get("/c/pump/m/root@example.org/").text)
    assert path in [unquote(link.get("href")) for link in page.iter("a")]
    shown = document_fromstring(client.get(path).text)
    assert shown.xpath("string(//h1)") == "Old <b>seals</b>"
    assert "Ann Example" in shown.xpath("string(//p[@class='facts'])")
    assert shown.xpath("string(//div[@class='body']/div)") == "They held."
    assert shown.xpath("string(//details/summary)") == "Quoted text, 2 lines"
    for other in (2, 7, 8, 9):
        assert client.get(f"/c/pump/m/root@example.org/attachment/{other}/text").status_code == 404


def test_where_else_a_file_is_stands_behind_its_name(house: House) -> None:
    files = ((1, "gone.txt", "text/plain", 9),)
    with house.site.database.write() as connection:
        for number in range(4):
            seed.post(connection, house.pump, message_id=f"same{number}@example.org", attachments=files)
        seed.post(connection, house.valve, message_id="hidden@example.org", attachments=files)
    page = document_fromstring(house.site.client(MEMBER).get("/c/pump/m/same1@example.org/").text)
    links = [unquote(link.get("href")) for link in page.xpath("//ul[@class='files']//a")]
    assert page.xpath("string(//ul[@class='files']//summary)") == "Also in other posts"
    assert links == [
        "/c/pump/m/same1@example.org/attachment/1",
        *(f"/c/pump/m/{name}@example.org/" for name in ("root", "same0", "same2")),
    ]


def test_a_post_without_html_says_so(house: House) -> None:
    assert "has no HTML" in house.site.client(MEMBER).get("/c/pump/m/root@example.org/html").text


@pytest.mark.acceptance(112)
def test_an_attachment_is_saved_and_never_opened_on_our_origin(house: House) -> None:
    client = house.site.client(MEMBER)
    answer = client.get("/c/pump/m/root@example.org/attachment/2")
    assert answer.content == b"<svg/>"
    assert answer.headers["content-type"] == "application/octet-stream"
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''plan%20gpj.svg"
    assert "sandbox" in answer.headers["content-security-policy"]
    # Not listed; listed, but not in the message.
    assert client.get("/c/pump/m/root@example.org/attachment/1").status_code == 404
    assert client.get("/c/pump/m/root@example.org/attachment/7").status_code == 404
    assert client.get(f"/c/pump/m/root@example.org/attachment/{'9' * 30}").status_code == 404


@pytest.mark.parametrize(
    ("name", "shown"),
    [
        ("../../etc/cron.d/x", "x"),
        ("C:\\a", "a"),
        ("", "file"),
        ("..", "file"),
        ("a\0b\r\nc", "a b c"),
        ("x" * 5000 + ".pdf", "x" * 130 + ".pdf"),
        ("." + "x" * 5000, "x" * 150),
        ("invoice\u202efdp.exe", "invoice fdp.exe"),
    ],
)
def test_no_file_name_of_mail_reaches_a_path(name: str, shown: str) -> None:
    assert markup.file_name(name) == shown


def test_threads_are_listed_page_by_page(house: House) -> None:
    with house.site.database.write() as connection:
        for number in range(60):
            seed.post(connection, house.pump, subject=f"Topic {number:02}")
    client = house.site.client(MEMBER)
    first = client.get("/c/pump/").text
    older = re.search(r'href="(/c/pump/\?before=[^"]+)"', first)
    assert older
    topics = re.findall(r"Topic \d\d|A seal that leaks", first + client.get(older[1]).text)
    assert topics == [f"Topic {number:02}" for number in range(59, -1, -1)] + ["A seal that leaks"]
    for nonsense in ("", "x", "-", "1-", "-1", "9" * 40 + "-1", "1-" + "9" * 40, "1-²"):
        assert "Topic 59" in client.get("/c/pump/", params={"before": nonsense}).text


def test_search_finds_and_pages(house: House) -> None:
    client = house.site.client(MEMBER)
    page = client.get("/c/pump/search", params={"q": "from:olu blue"}).text
    assert "/c/pump/m/re%2Fply@example.org/#p2" in page and "Use the <mark>blue</mark> one" in page
    assert "Nothing was found" in client.get("/c/pump/search?q=nothinglikethis").text
    assert "Nothing was found" not in client.get("/c/pump/search").text
    with house.site.database.write() as connection:
        for number in range(31):
            seed.post(connection, house.pump, subject=f"Gasket {number}")
    older = re.search(r'href="(search\?q=gasket&amp;page=2)"', client.get("/c/pump/search?q=gasket").text)
    assert older
    assert "Gasket 0<" in client.get("/c/pump/" + older[1].replace("&amp;", "&")).text
    assert client.get("/c/pump/search?q=gasket&page=999999").status_code == 200


def test_a_search_by_relevance_marks_what_it_found_and_keeps_its_order_from_page_to_page(house: House) -> None:
    client = house.site.client(MEMBER)
    with house.site.database.write() as connection:
        for number in range(21):
            seed.post(connection, house.pump, subject=f"Part {number}", text="The <b>gaskets</b> \u202eleak & drip.")
    page = client.get("/c/pump/search?q=gasket&sort=relevance").text
    assert "&lt;b&gt;<mark>gaskets</mark>&lt;/b&gt; leak &amp; drip." in page.replace("  ", " ")
    assert '<input type="hidden" name="sort" value="relevance">' in page
    assert 'href="search?q=gasket"' in page and 'href="search?q=gasket&amp;sort=relevance&amp;page=2"' in page
    assert 'href="search?q=gasket&amp;sort=relevance"' in client.get("/c/pump/search?q=gasket&sort=nonsense").text


@pytest.mark.acceptance(115)
@pytest.mark.parametrize("query", ['"', "NEAR(", "col:x", "x" * 10_000, "%00", "<script>", "seal " * 1000])
def test_any_search_is_answered(house: House, query: str) -> None:
    answer = house.site.client(MEMBER).get("/c/pump/search", params={"q": unquote(query)})
    assert answer.status_code == 200


def test_the_feed_is_atom_with_the_newest_posts(house: House) -> None:
    with house.site.database.write() as connection:
        seed.post(connection, house.pump, subject="Bad \x00\x0b\ufffe ]]> & <b>", text="\x01 & <i>\n")
    atom = {"a": "http://www.w3.org/2005/Atom"}
    feed = ElementTree.fromstring(house.site.client(MEMBER).get("/c/pump/atom.xml").content)
    titles = [entry.findtext("a:title", namespaces=atom) for entry in feed.findall("a:entry", atom)]
    assert titles[1:] == ["Re: A seal that leaks", "A seal that leaks"]
    assert titles[0] is not None and titles[0].endswith("]]> & <b>")
    assert feed.findtext("a:updated", namespaces=atom)
    assert house.site.client(OTHER).get("/c/valve/atom.xml").status_code == 200  # without a post too


def test_the_mailbox_holds_every_message(house: House, tmp_path: Path) -> None:
    with house.site.database.write() as connection:
        for _ in range(60):
            seed.post(connection, house.pump, text="From here on\n")
    answer = house.site.client(MEMBER).get("/c/pump/mbox")
    assert answer.headers["content-disposition"] == 'attachment; filename="pump.mbox"'
    path = tmp_path / "pump.mbox"
    path.write_bytes(answer.content)
    box = mailbox.mbox(path)
    assert len(box) == 62
    assert box[0]["Message-ID"] == "<root@example.org>"
    box.close()


def test_my_page_shows_my_memberships_and_how_i_get_mail(house: House) -> None:
    page = house.site.client(OTHER).get("/me/").text
    assert "Valve people" in page and "a weekly digest" in page and "Pump people" not in page


# --- the admin's page -------------------------------------------------------------------------------------------------


def _accepted(recipient: str = "pump@lists.example.org") -> Accepted:
    return Accepted(
        mail_from=STRANGER, recipient=recipient, peer="127.0.0.1", via="smtp", received_at=seed.START, raw=b"x"
    )


def test_the_admin_sees_what_waits_and_decides(house: House) -> None:
    held, shunted, other = house.site.spool.append([_accepted(), _accepted("<b>@lists.example.org"), _accepted()])
    house.site.spool.hold(held, "From a stranger", subject="<script>alert(1)</script>")
    house.site.spool.shunt(shunted, "Traceback: <script>")
    client = house.site.client(ADMIN)
    page = client.get("/admin/").text
    assert "From a stranger" in page and "Traceback: &lt;script&gt;" in page and "<script" not in page
    token = {"form_token": _form_token(client)}
    assert client.post(f"/admin/spool/{shunted}/retry", data=token).status_code == 303
    assert client.post(f"/admin/spool/{held}/discard", data=token).status_code == 303
    assert house.site.spool.counts() == {"waiting": 2, "held": 0, "shunted": 0}
    assert client.post(f"/admin/spool/{held}/discard", data=token).status_code == 404
    assert client.post(f"/admin/spool/{other}/explode", data=token).status_code == 404


def test_the_admin_sees_which_calendars_cannot_be_read(house: House) -> None:
    client = house.site.client(ADMIN)
    assert "Calendars" not in client.get("/admin/").text
    feeds.broken(house.site.database, seed.START)
    page = client.get("/admin/").text
    assert "Calendars that cannot be read" in page and "The server answered 500 Internal Server Error." in page


def test_a_flood_of_held_mail_does_not_make_the_page_too_large(house: House) -> None:
    house.site.spool.append([_accepted()] * 150, state="held", reason="From a stranger")
    page = house.site.client(ADMIN).get("/admin/").text
    assert page.count(">Accept<") == 100 and "<dd>150</dd>" in page


# --- text of mail -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "links"),
    [
        ("see https://example.org/a, then", ["https://example.org/a"]),
        ("(https://example.org/a_(b))", ["https://example.org/a_(b)"]),
        ("<http://example.org/?q=a&b=c>", ["http://example.org/?q=a&b=c"]),
        ('http://x"onmouseover=alert(1)', ["http://x"]),
        ("javascript:alert(1) ftp://x data:x", []),
        ("[1]: https://example.org/x].", ["https://example.org/x"]),
        ("http://example.org/\u202egpj.exe", ["http://example.org/"]),
    ],
)
def test_web_addresses_become_links(text: str, links: list[str]) -> None:
    shown = str(markup.linked(text))
    assert [link.replace("&amp;", "&") for link in re.findall(r'href="([^"]*)"', shown)] == links
    assert not re.search(r"<(?!/?a[ >])", shown)


def _slope(work: Callable[[int], object]) -> float:
    """How much longer twice the work takes: the least of some tries, since other programs run beside this one."""
    slopes = []
    for _ in range(8):
        seconds = []
        for times in (10_000, 20_000):
            start = time.process_time()
            work(times)
            seconds.append(time.process_time() - start)
        slopes.append(seconds[1] / max(seconds[0], 0.001))
        if slopes[-1] < 2.2:
            break
    return min(slopes)


@pytest.mark.parametrize(
    "piece", ["http://", "https://" + ")" * 50, "a" * 7 + "\t", "<" * 8, "   x", "(http://[[x)])]", "\u202e"]
)
def test_markup_takes_twice_as_long_for_twice_the_text(piece: str) -> None:
    def work(times: int) -> None:
        text = piece * times
        markup.linked(text)
        markup.line(text)
        markup.block(text)
        markup._GAP.search(text)

    assert _slope(work) < 2.5


def _thread_of(house: House, posts: int) -> str:
    """A thread about bolts, its first post a year old, and others; its path."""
    took = (
        "grease from <store> and they held",
        "longer ones, which made it worse",
        "a washer of spring steel",
        "glue",
        "none",
    )
    quote, signature = "> Who knows a better bolt?\n", "-- \nThe bolts of the flange are my signature.\n"
    with house.site.database.write() as connection:
        for number in range(12):
            seed.post(connection, house.pump, subject="Night report", text=f"Nothing to report from night {number}.\n")
        first = seed.post(
            connection,
            house.pump,
            message_id="bolts@example.org",
            subject="Bolts of the flange",
            text="The bolts of the flange on line two come loose. Who knows a better bolt?\n",
            date=seed.START - timedelta(days=365),
        )
        for number in range(posts - 1):
            own = f"On our flange of line {number} we took {took[number]}.\n"
            end = len(quote + own)
            seed.post(
                connection,
                house.pump,
                parent=first,
                author=(f"Crew <{number}>", f"crew{number}@example.org"),
                text=quote + own + signature,
                folds=((0, len(quote), "quote"), (end, end + len(signature), "signature")),
                date=seed.START - timedelta(days=300 - number),
            )
    return f"/c/pump/m/{first.message_id}/"


def test_a_thread_of_six_posts_is_told_in_short_with_links_to_the_posts(house: House) -> None:
    page = document_fromstring(house.site.client(MEMBER).get(_thread_of(house, 6)).text)
    (short,) = page.find_class("short")
    sentences = [sentence.text_content() for sentence in short.iter("q")]
    assert sentences[0] == "The bolts of the flange on line two come loose."
    assert len(sentences) == 3
    assert all(sentence.startswith("On our flange of line") for sentence in sentences[1:])
    for link in short.iter("a"):
        author = next(page.get_element_by_id(link.get("href")[1:]).iter("h2")).text_content()
        assert link.text_content().startswith(author)


def test_a_thread_of_five_posts_is_not_told_in_short(house: House) -> None:
    assert "In short" not in house.site.client(MEMBER).get(_thread_of(house, 5)).text


def test_similar_threads_are_named_under_a_thread_with_date_and_posts(house: House) -> None:
    old = _thread_of(house, 2)
    with house.site.database.write() as connection:
        for community in (house.pump, house.valve):
            seed.post(
                connection,
                community,
                message_id="new@example.org",
                subject="Loose bolts on a flange",
                text="Is there a better bolt for the flange on line two? Ours come loose.\n",
            )
    page = document_fromstring(house.site.client(MEMBER).get("/c/pump/m/new@example.org/").text)
    (seen,) = page.find_class("seen")
    assert [link.get("href") for link in seen.iter("a")] == [old]
    assert "2 posts" in seen.text_content()
    assert "2025" in seen.text_content()
    assert "Seen before?" not in house.site.client(OTHER).get("/c/valve/m/new@example.org/").text
