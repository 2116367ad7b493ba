"""The pages as a browser shows them: on a phone, in the dark, without scripts, and with the worst mail there is."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

import pytest
from playwright.sync_api import Browser, Page

from tests import seed
from tests.chromium import chromium, served
from tests.web_site import ADMIN, WebSite
from tidings.database.engine import Database
from tidings.database.migrate import migrate
from tidings.mailer.spool import Accepted
from tidings.web.door import COOKIE

pytestmark = [pytest.mark.slow, pytest.mark.needs("chromium")]

_PHONE, _DESKTOP = (360, 740), (1200, 900)
_FOREIGN = "script, iframe, object, embed, img, svg, style, base, meta[http-equiv], link[href^='//']"
# Subjects, names, file names, texts, searches: whatever mail or an address can carry into a page.
_HOSTILE = [
    "<script>alert(1)</script>",
    '"><script>alert(1)</script>',
    "</title><script>alert(1)</script>",
    "</textarea><img src=x onerror=alert(1)>",
    "' onmouseover='alert(1)",
    '" autofocus onfocus="alert(1)',
    'http://x"onmouseover="alert(1)',
    "http://x'onmouseover='alert(1)",
    "https://example.org/<svg/onload=alert(1)>",
    "javascript:alert(1)",
    "data:text/html,<script>alert(1)</script>",
    "{{7*7}} {% raw %} ${7*7}",
    "<!--<script>",
    "]]><script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "\u202e<script>\u2028alert(1)\u0000</script>",
    "<style>*{background:url(http://127.0.0.1:1/x)}</style><link rel=stylesheet href=//x><base href=//x>",
    "<a href=javascript:alert(1)>x</a><form action=//x><iframe src=//x></iframe><meta http-equiv=refresh content=0>",
]


@dataclass(frozen=True, kw_only=True)
class _Served:
    site: WebSite
    address: str
    paths: tuple[str, ...]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with chromium() as running:
        yield running


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[_Served]:
    """A site with ordinary and hostile mail, and the paths of all kinds of pages."""
    database = Database(f"sqlite:///{tmp_path_factory.mktemp('pages') / 'site.db'}")
    migrate(database, "site")
    migrate(database, "spool")
    asked = _write_mail(database)
    site = WebSite(database)
    site.spool.append(
        [_accepted(hostile) for hostile in _HOSTILE], state="held", reason="From somebody who is no member"
    )
    shunted = site.spool.append([_accepted("Night report")])[0]
    site.spool.shunt(shunted, "Traceback (most recent call last):\n" + "  a line that is long " * 20)
    with served(site.app) as address:
        yield _Served(
            site=site,
            address=address,
            paths=(
                "/",
                "/c/pump/",
                f"/c/pump/m/{asked}/",
                "/c/pump/search?q=seal",
                "/me/",
                "/admin/",
                "/sign-in",
                f"/u/{site.tokens.leave(1)}",
                "/nosuch",
            ),
        )
    database.close()


def _accepted(name: str) -> Accepted:
    sender = f"{name}@example.org"
    at = seed.START
    return Accepted(mail_from=sender, recipient=name, peer="127.0.0.1", via="smtp", received_at=at, raw=b"x")


def _write_mail(database: Database) -> str:
    with database.write() as connection:
        pump = seed.community(
            connection, "pump", title="Pumps and seals", description="What we learn about pumps, on every shift."
        )
        seed.community(connection, "valve", title="Valves")
        seed.member(connection, pump, ADMIN)
        seed.post(
            connection,
            pump,
            subject="A blue seal for pump 4?",
            text="The seal of pump 4 leaks, 20 ml in an hour. Has anybody tried the blue one that stands 120 °C?\n",
            author=("Jo Brandt", "jo@example.org"),
            date=seed.START - timedelta(days=300),
        )
        complaint = (
            "Hello all,\n\nthe seal of pump 4 leaks again, the third time since January. We took 40 ml in an hour "
            "at 6 bar.\n\nHas anybody tried the blue one? The maker says it stands 120 °C: "
            "https://example.org/seals/a-very-long-path/that-does-not-break?with=a&query=that-is-long-as-well\n\n"
        )
        signature = "-- \nMaria Lindgren\nNight crew, hall 3\n"
        first = seed.post(
            connection,
            pump,
            subject="Seal of pump 4 leaks again",
            text=complaint + signature,
            folds=((len(complaint), len(complaint) + len(signature), "signature"),),
            attachments=(
                (1, "seal of pump 4, seen from below.jpg", "image/jpeg", 1_240_000),
                (2, "log.txt", "text/plain", 812),
            ),
        )
        quoted = "> Has anybody tried the blue one?\n> The maker says it stands 120 °C.\n"
        second = seed.post(
            connection,
            pump,
            parent=first,
            subject="Re: Seal of pump 4 leaks again",
            author=("Olu Ade", "olu@example.org"),
            text=quoted + "\nWe did, on pump 2. It held for eleven weeks, then we changed it at the planned stop. "
            "I would do it again, but with new bolts.\n",
            folds=((0, len(quoted), "quote"),),
        )
        third = seed.post(
            connection,
            pump,
            parent=second,
            subject="Bolts (was: Seal of pump 4)",
            author=("Agnieszka Wiśniewska-Brzęczyszczykiewicz", "agnieszka@example.org"),
            text="size   torque   holds\nM8     25 Nm    yes\nM10    49 Nm    yes\nM12    85 Nm    no\n"
            + "x" * 400
            + "\n",
        )
        parent = third
        for number in range(8):
            parent = seed.post(
                connection,
                pump,
                parent=parent,
                subject="Re: Bolts",
                author=(f"Crew {number}", f"crew{number}@example.org"),
                text=f"Step {number}: turned them by a quarter, and looked at them after a day.\n",
                date=seed.START + timedelta(days=1, hours=number),
            )
        for number, hostile in enumerate(_HOSTILE):
            parent = seed.post(
                connection,
                pump,
                parent=parent if number % 2 else None,
                subject=hostile,
                author=(hostile, f"{hostile}@example.org"),
                recipients=hostile,
                text=f"seal {hostile}\n> {hostile}\n",
                folds=((len(hostile) + 6, 2 * len(hostile) + 9, "quote"),),
                attachments=((1, hostile, hostile, 9),),
                date=seed.START - timedelta(days=2),
            )
        return second.message_id


@contextmanager
def _page(browser: Browser, pages: _Served, size: tuple[int, int], scheme: str = "light") -> Iterator[Page]:
    """An empty page of a browser without JavaScript in which an admin is signed in."""
    context = browser.new_context(
        viewport={"width": size[0], "height": size[1]}, color_scheme=scheme, java_script_enabled=False, locale="en-GB"
    )
    context.add_cookies([{"name": COOKIE, "value": pages.site.session(ADMIN), "url": pages.address}])
    yield context.new_page()
    context.close()


def test_no_page_scrolls_sideways_on_a_phone(browser: Browser, pages: _Served) -> None:
    with _page(browser, pages, _PHONE) as page:
        for path in pages.paths:
            page.goto(pages.address + path)
            page.eval_on_selector_all("details", "all => all.forEach(one => one.open = true)")
            assert page.evaluate("document.scrollingElement.scrollWidth") <= _PHONE[0], path


def test_what_is_to_be_tapped_is_large_enough(browser: Browser, pages: _Served) -> None:
    # Not links inside what people wrote, nor in lists whose whole entries are the target.
    script = """all => all.filter(one => !one.closest('.text') && !one.matches('.skip') && !one.matches('.threads *'))
        .map(one => [one.outerHTML.slice(0, 80), one.getBoundingClientRect().height])"""
    with _page(browser, pages, _PHONE) as page:
        for path in pages.paths:
            page.goto(pages.address + path)
            for shown, height in page.eval_on_selector_all("a, button, summary, input:not([type=hidden])", script):
                assert height >= 43.5, (path, shown)


# Relative luminance and contrast as WCAG 2.2 has them, against the nearest background that is painted.
_CONTRASTS = """all => {
    const parts = colour => colour.match(/[\\d.]+/g).map(Number)
    const light = colour => parts(colour).slice(0, 3).map(v => v / 255)
        .map(v => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
        .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0)
    const painted = one => {
        for (; one; one = one.parentElement) {
            const colour = getComputedStyle(one).backgroundColor
            if ((parts(colour)[3] ?? 1) > 0) return colour
        }
        return 'rgb(255, 255, 255)'
    }
    return all.filter(one => [...one.childNodes].some(n => n.nodeType === 3 && n.data.trim()))
        .filter(one => one.getClientRects().length)
        .map(one => {
            const [a, b] = [light(getComputedStyle(one).color), light(painted(one))].sort((x, y) => y - x)
            return [(a + 0.05) / (b + 0.05), one.outerHTML.slice(0, 80)]
        })
}"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_contrast(browser: Browser, pages: _Served, scheme: str) -> None:
    with _page(browser, pages, _PHONE, scheme) as page:
        for path in pages.paths:
            page.goto(pages.address + path)
            contrasts = page.eval_on_selector_all("body *", _CONTRASTS)
            assert min(contrasts)[0] >= 4.5, (path, min(contrasts))
            background = page.evaluate("getComputedStyle(document.documentElement).backgroundColor")
            assert (int(background[4:].split(",")[0]) < 100) == (scheme == "dark")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_long_thread_is_told_in_short_above_and_similar_ones_are_named_below(
    browser: Browser, pages: _Served, scheme: str
) -> None:
    with _page(browser, pages, _PHONE, scheme) as page:
        page.goto(pages.address + pages.paths[2])
        short, thread, seen = (page.locator(name).bounding_box() for name in (".short", ".thread", ".seen"))
        assert short and thread and seen
        assert short["y"] + short["height"] < thread["y"] < thread["y"] + thread["height"] < seen["y"]
        assert short["height"] < _PHONE[1]
        page.click(".short a >> nth=-1")
        author = page.locator(".short a bdi").last.inner_text()
        assert page.locator("article:target h2").inner_text() == author
        page.click(".seen h3 a")
        assert page.locator("h1").inner_text() == "A blue seal for pump 4?"


def test_folded_text_opens_without_javascript(browser: Browser, pages: _Served) -> None:
    with _page(browser, pages, _PHONE) as page:
        page.goto(pages.address + pages.paths[2])
        quoted = page.locator("details .text", has_text="Has anybody tried the blue one?")
        assert not quoted.is_visible()
        page.get_by_text("Quoted text, 2 lines", exact=True).click()
        assert quoted.is_visible()


def test_a_permalink_shows_the_post_that_was_asked_for(browser: Browser, pages: _Served) -> None:
    with _page(browser, pages, _PHONE) as page:
        page.goto(pages.address + pages.paths[2])
        asked = page.locator("article.asked")
        assert asked.get_by_role("heading").text_content() == "Olu Ade"
        box = asked.bounding_box()
        assert box is not None and -1 <= box["y"] < _PHONE[1] / 2  # scrolled to, though it is not the first


@pytest.mark.acceptance(110)
@pytest.mark.acceptance(114)
def test_nothing_that_mail_holds_becomes_markup_or_a_request(browser: Browser, pages: _Served) -> None:
    with pages.site.database.read() as connection:
        found = connection.exec_driver_sql("SELECT message_id FROM post WHERE subject LIKE '%alert%'").scalars().all()
    paths = {*pages.paths, *(f"/c/pump/m/{message_id}/" for message_id in found)}
    paths |= {f"/c/pump/search?q={hostile}" for hostile in ("%22><script>alert(1)</script>", "seal <img onerror=x>")}
    asked: list[str] = []
    with _page(browser, pages, _DESKTOP) as page:
        page.on("request", lambda request: asked.append(request.url))
        for path in sorted(paths):
            page.goto(pages.address + path)
            _check_markup(page, path)
    assert found
    assert all(url.startswith(pages.address) for url in asked)


# One red dot, and the mail that brings it.
_DOT = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAIAAACQd1PeAAAADElEQVR4nGP4z8AAAAMBAQDJ/pLvAAAAAElFTkSuQmCC"
_PICTURED = (
    "Message-ID: <dot@example.org>\nContent-Type: multipart/related; boundary=b\n\n--b\nContent-Type: text/html\n\n"
    '<p>A dot: <img src="cid:dot" alt="red"><img src="http://127.0.0.1:1/no.png"></p>\n--b\nContent-Type: image/png\n'
    f"Content-ID: <dot>\nContent-Transfer-Encoding: base64\n\n{_DOT}\n--b\nContent-Type: message/rfc822\n\n"
    f"Subject: {'very-long-' * 30}\n\nWords.\n--b--\n"
)


@pytest.mark.acceptance(114)
def test_a_picture_of_the_mail_is_drawn_though_nothing_may_load(browser: Browser, pages: _Served) -> None:
    with pages.site.database.write() as connection:
        (pump,) = connection.exec_driver_sql("SELECT id FROM community WHERE name = 'pump'").one()
        files = ((2, "dot.png", "image/png", 69), (3, "old.eml", "message/rfc822", 9))
        seed.post(connection, pump, message_id="dot@example.org", raw=_PICTURED.encode(), attachments=files)
    asked: list[str] = []
    with _page(browser, pages, _PHONE) as page:
        page.on("request", lambda request: asked.append(request.url))
        page.goto(f"{pages.address}/c/pump/m/dot@example.org/html")
        assert page.eval_on_selector_all("img", "all => all.map(one => one.naturalWidth)") == [1]
        page.goto(f"{pages.address}/c/pump/m/dot@example.org/attachment/3/text")
        assert page.evaluate("document.scrollingElement.scrollWidth") <= _PHONE[0]
        save = page.get_by_role("link", name="Save it as a file").bounding_box()
        assert save is not None
        assert save["height"] >= 43.5
    assert [url for url in asked if not url.startswith((pages.address, "data:"))] == []


def _check_markup(page: Page, path: str) -> None:
    foreign = page.eval_on_selector_all(_FOREIGN, "all => all.map(one => one.outerHTML)")
    attributes = page.eval_on_selector_all("*", "all => all.flatMap(one => one.getAttributeNames())")
    schemes = page.eval_on_selector_all("a[href]", "all => all.map(one => one.protocol)")
    actions = page.eval_on_selector_all("form[action]", "all => all.map(one => one.getAttribute('action'))")
    assert foreign == [], path
    assert [name for name in attributes if name.startswith("on")] == [], path
    assert set(schemes) <= {"http:", "https:", "mailto:"}, path
    assert all(action.startswith("/") for action in actions), path


def test_signing_in_works_in_a_browser(browser: Browser, pages: _Served) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(pages.address + "/c/pump/")
    page.get_by_role("main").get_by_role("link", name="Sign in").click()
    page.get_by_label("Your e-mail address").fill(ADMIN)
    page.get_by_role("button", name="Send me a link").click()
    page.wait_for_url(pages.address + "/sign-in")
    page.get_by_role("heading", name="Look at your mail").wait_for()
    for _ in range(1000):  # the mail is written behind the answer
        if pages.site.notices:
            break
        page.goto(pages.address)
    link = next(word for word in pages.site.notices[-1].text.split() if "/sign-in/" in word)
    page.goto(pages.address + link.removeprefix(pages.site.base_url))
    page.get_by_role("button", name="Sign in").click()
    page.get_by_role("heading", name="Pumps and seals").wait_for()
    page.get_by_role("button", name="Sign out").click()
    page.get_by_role("main").get_by_role("link", name="Sign in").wait_for()
    context.close()
