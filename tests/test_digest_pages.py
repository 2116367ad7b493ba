"""The page of a community's digests: whose next one it shows to whom, as of which moment, and what it never does."""

import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape

import pytest
from sqlalchemy import func, select, update

from tests import digest_site
from tests.chromium import chromium, served
from tests.digest_site import CUT_OFF
from tests.web_site import ADMIN, WebSite
from tidings import jobs
from tidings.communities import joining
from tidings.database import tables
from tidings.database.engine import Database
from tidings.web.door import COOKIE

SAM, ANA, KIM = "sam@example.org", "ana@example.org", "kim@example.org"
PAGE = "/c/pump/digests/"


def the_site(database: Database) -> WebSite:
    """A week of the pump team; Sam works nights, Kim leads, Ana gets each post."""
    with database.write() as connection:
        digest_site.a_full_week(connection)
        digest_site.member(connection, ANA, delivery="each")
        digest_site.member(connection, KIM, role="leader")
    site = WebSite(database)
    site.clock.set(CUT_OFF - timedelta(days=1))
    return site


@pytest.fixture
def site(sqlite_database: Database) -> WebSite:
    return the_site(sqlite_database)


def asked(site: WebSite, reader: str, query: str = "", page: str = "") -> str:
    answer = site.client(reader).get(f"{PAGE}{page}{query}")
    assert answer.status_code == 200
    return unescape(answer.text)


def moves(text: str) -> dict[str, str]:
    """The buttons that lead to other moments, by what they say."""
    return {label: address for address, label in re.findall(r'<a class="button" href="([^"]+)">([^<]+)</a>', text)}


# --- who may see whose -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("reader", [ADMIN, KIM])
def test_who_leads_a_community_sees_the_next_digest_of_any_member(site: WebSite, reader: str) -> None:
    text = asked(site, reader, f"?member={SAM}")
    assert "To <bdi>sam@example.org</bdi>" in text
    assert "Ana answered you" in text or "Ana asked you" in text
    assert '<option value="ana@example.org">' in text
    assert "FOR YOU" in text
    assert "<h1><bdi>Pump team</bdi> weekly</h1>" in re.sub(
        r" style=\"[^\"]*\"", "", asked(site, reader, f"?member={SAM}", "html")
    )


@pytest.mark.parametrize("page", ["", "html"])
def test_a_member_sees_their_own_whoever_is_asked_for(site: WebSite, page: str) -> None:
    client = site.client(SAM)
    own, asked_for_another = (client.get(f"{PAGE}{page}{query}").text for query in ("", f"?member={KIM}"))
    assert asked_for_another == own
    assert "Sam Okafor" in own
    assert "Kim" not in own


def test_a_member_is_offered_nobody_else_and_no_periods(site: WebSite) -> None:
    text = asked(site, SAM)
    assert "Your next digest" in text or "What your next digest says" in text
    assert ANA not in text.replace("mailto:", "")
    assert "<h2>Periods</h2>" not in text


def test_an_owner_leads_and_a_moderator_does_not(site: WebSite) -> None:
    for role, leads in (("owner", True), ("moderator", False), ("member", False), ("leader", True)):
        with site.database.write() as connection:
            joining.set_member(connection, community="pump", email=KIM, changes={"role": role}, now=digest_site.START)
        assert ("<h2>Periods</h2>" in asked(site, KIM)) == leads, role


def test_who_leads_one_community_sees_nothing_of_another(site: WebSite) -> None:
    with site.database.write() as connection:
        digest_site.community(connection, "valve", "Valves")
        digest_site.member(connection, "tom@example.org", "valve", role="owner")
    assert site.client("tom@example.org").get(f"{PAGE}?member={SAM}").status_code == 404
    assert "Nobody in this community has that address." in asked(site, KIM, "?member=tom@example.org"), (
        "who is in another is nobody here"
    )


# --- at which moment -------------------------------------------------------------------------------------------------


def test_the_buttons_lead_to_a_day_a_week_the_cut_off_and_the_next_shift(site: WebSite) -> None:
    # On Saturday; the cut-off is on Sunday at 18:00, and Sam's next shift begins on Monday at 19:00.
    text = asked(site, KIM, f"?member={SAM}&at=2026-10-10T16:00")
    assert moves(text) == {
        "Now": ".?member=sam%40example.org",
        "+1 day": ".?member=sam%40example.org&at=2026-10-11T16%3A00",
        "+1 week": ".?member=sam%40example.org&at=2026-10-17T16%3A00",
        "Next cut-off": ".?member=sam%40example.org&at=2026-10-11T18%3A00",
        "Next shift": ".?member=sam%40example.org&at=2026-10-12T19%3A00",
    }
    later = asked(site, KIM, moves(text)["Next cut-off"].removeprefix("."))
    assert moves(later)["Next cut-off"].endswith("at=2026-10-18T18%3A00")


def test_the_digest_is_that_of_the_moment(site: WebSite) -> None:
    # A question is open after 48 hours, and a meeting of Tuesday is over on Wednesday.
    text = {at: asked(site, KIM, f"?member={SAM}&at={at}") for at in ("2026-10-12T17:00", "2026-10-14T17:00")}
    assert "Tue 13 Oct 14:00" in text["2026-10-12T17:00"]
    assert "Tue 20 Oct 14:00" in text["2026-10-14T17:00"]


@pytest.mark.parametrize("at", ["yesterday", "9999-12-31T23:59", "0001-01-01T00:00", "2026-13-01", "x" * 500])
def test_a_moment_that_cannot_be_is_said_to_be_none(site: WebSite, at: str) -> None:
    assert "so this is how it stands now." in asked(site, KIM, f"?member={SAM}&at={at}")


def test_it_says_when_the_next_one_is_due_be_it_one_that_waits(site: WebSite) -> None:
    jobs.run_due(site.database, CUT_OFF, site=digest_site.SITE)
    site.clock.set(CUT_OFF + timedelta(hours=1))
    words = {
        at: " ".join(re.sub(r"<[^>]+>", " ", asked(site, KIM, f"?member={SAM}{at}")).split())
        for at in ("", "&at=2026-10-12T20:00")
    }
    assert "is due on 12 Oct 2026, 19:00 , as text and HTML." in words[""]
    assert "is due on 19 Oct 2026, 19:00 , as text and HTML." in words["&at=2026-10-12T20:00"]


def test_to_who_gets_each_post_it_says_so(site: WebSite) -> None:
    assert "who gets no digests: this is what a weekly one would say" in asked(site, ANA)


# --- what it does not do ---------------------------------------------------------------------------------------------


def test_looking_writes_nothing_and_the_addresses_are_refused(site: WebSite) -> None:
    written = [tables.edition, tables.item, tables.period, tables.outbox, tables.fragment, tables.edition_section]

    def counts() -> list[int]:
        with site.database.read() as connection:
            cursors = select(func.sum(tables.membership.c.cursor))
            found = [select(func.count()).select_from(one) for one in written]
            return [connection.execute(one).scalar_one() for one in (*found, cursors)]

    before = counts()
    for page in ("", "html"):
        text = asked(site, KIM, f"?member={SAM}&at=2026-10-12T17:00", page)
        assert set(re.findall(r"pump\+r\.(\w+)@", text)) == {"preview"}
    assert counts() == before
    for path in (PAGE, f"{PAGE}html"):
        assert site.client(KIM).post(path).status_code == 405


def test_what_is_in_the_frame_runs_and_loads_nothing(site: WebSite) -> None:
    page, frame = (site.client(KIM).get(f"{PAGE}{name}?member={SAM}") for name in ("", "html"))
    assert "frame-src 'self'" in page.headers["content-security-policy"]
    assert "default-src 'none'" in page.headers["content-security-policy"]
    policy = frame.headers["content-security-policy"]
    assert "sandbox" in policy and "default-src 'none'" in policy and "script" not in policy
    assert "allow-scripts" not in page.text


def test_what_members_are_called_is_never_markup(site: WebSite) -> None:
    hostile = '"><script>alert(1)</script>'
    with site.database.write() as connection:
        connection.execute(update(tables.person).values(name=hostile))
        connection.execute(update(tables.post).values(subject=hostile))
    for page in ("", "html"):
        assert "<script" not in site.client(KIM).get(f"{PAGE}{page}?member={SAM}").text


def test_the_periods_are_listed_with_what_became_of_them(site: WebSite) -> None:
    jobs.run_due(site.database, CUT_OFF + timedelta(days=2), site=digest_site.SITE)
    site.clock.set(CUT_OFF + timedelta(days=2))
    text = " ".join(re.sub(r"<[^>]+>", " ", asked(site, KIM)).split())
    assert "Week 1, up to 11 Oct 2026, 18:00 2 digests sent 0 waiting" in text


# --- in a browser ----------------------------------------------------------------------------------------------------


@pytest.fixture
def address(site: WebSite) -> Iterator[str]:
    with served(site.app) as found:
        yield found


@pytest.mark.slow
@pytest.mark.needs("chromium")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_fits_a_phone_and_the_digest_is_seen_in_its_frame(site: WebSite, address: str, scheme: str) -> None:
    with chromium() as browser:
        context = browser.new_context(
            viewport={"width": 360, "height": 740}, color_scheme=scheme, java_script_enabled=False
        )
        context.add_cookies([{"name": COOKIE, "value": site.session(KIM), "url": address}])
        page = context.new_page()
        asked_for: list[str] = []
        page.on("request", lambda request: asked_for.append(request.url))
        page.goto(f"{address}{PAGE}?member={SAM}")
        assert page.evaluate("document.scrollingElement.scrollWidth") <= 360
        small = "all => all.map(one => one.getBoundingClientRect().height).filter(height => height < 43.5)"
        assert page.eval_on_selector_all("a:not(.skip), button, input:not([type=hidden])", small) == []
        frame = page.frame_locator("iframe.edition")
        assert frame.locator("h1").inner_text() == "Pump team weekly"
        assert "Ana" in frame.locator("body").inner_text()
        page.get_by_role("link", name="Next shift").click()
        assert page.locator("#at").input_value() == "2026-10-12T19:00"
        assert all(url.startswith(address) for url in asked_for)
        context.close()
