"""What a digest looks like: the same items and addresses as text and as HTML, on paper as in the golden files."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from html.parser import HTMLParser
from pathlib import Path
from typing import Any, Literal
from urllib.parse import parse_qs, unquote, urlsplit

import pytest
from playwright.sync_api import Browser, sync_playwright
from sqlalchemy import func, select

from tests import digest_site
from tests.digest_site import CUT_OFF, SITE, TOKENS
from tests.programs import program
from tidings import jobs
from tidings.communities import directory, joining, rosters
from tidings.database import tables
from tidings.database.engine import Database
from tidings.digests import agendas, layouts, previews, render
from tidings.digests.fragments import Meeting
from tidings.digests.week import Reader
from tidings.digests.weeks import Weeks
from tidings.errors import NotFoundError
from tidings.mailer.addresses import is_edition_id, read_recipient

GOLDEN = Path(__file__).parent / "golden"
SHIFT = CUT_OFF + timedelta(days=1, hours=1)  # the night crew's, Monday 19:00
_VOID = {"meta", "br", "hr", "img", "link", "input"}


def the_digest(database: Database, language: str = "none") -> EmailMessage:
    """The edition of a week in which there is something for every block."""
    with database.write() as connection:
        digest_site.a_full_week(connection)
        told = {"community": "pump", "email": "sam@example.org", "changes": {"language": language}}
        joining.set_member(connection, **told, now=SHIFT)
    jobs.run_due(database, SHIFT, site=SITE)
    return assembled(database)


def assembled(database: Database, edition_id: int = 1) -> EmailMessage:
    with database.read() as connection:
        raw = render.assemble(connection, edition_id, site=SITE, tokens=TOKENS)
    return message_from_bytes(raw, policy=policy.default)  # type: ignore[return-value]


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    switches = "--no-sandbox --disable-gpu --disable-quic --no-first-run --disable-background-networking"
    with sync_playwright() as play:
        made = play.chromium.launch(executable_path=program("chromium"), args=switches.split())
        yield made
        made.close()


def looked_at(browser: Browser, html: str, scheme: Literal["light", "dark"], question: str) -> Any:
    """What a browser answers about a page on a phone."""
    with browser.new_context(viewport={"width": 360, "height": 740}, color_scheme=scheme) as context:
        page = context.new_page()
        page.set_content(html)
        return page.evaluate(question)


def text_of(digest: EmailMessage) -> str:
    return part_of(digest, "plain")


def html_of(digest: EmailMessage) -> str:
    return part_of(digest, "html")


def part_of(digest: EmailMessage, kind: Literal["plain", "html"]) -> str:
    part = digest.get_body((kind,))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


class Page(HTMLParser):
    """Elements, links and visible text of a page, and whether its elements are closed in their order."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.links: list[str] = []
        self.words: list[str] = []
        self._open: list[str] = []
        self.feed(html)
        self.close()
        assert self._open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        named = {name: value or "" for name, value in attrs}
        self.elements.append((tag, named))
        if tag == "a":
            self.links.append(named["href"])
        if tag not in _VOID:
            self._open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data.split()


# --- the golden edition ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["txt", "html"])
def test_an_edition_is_printed_as_in_the_golden_file(
    sqlite_database: Database, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(layouts, "random_token", lambda: "aaaaaaaaaaaaaaaaaaaaaaaaaa")
    digest = the_digest(sqlite_database)
    printed = text_of(digest) if kind == "txt" else html_of(digest)
    assert printed == (GOLDEN / f"digest.{kind}").read_text(encoding="utf-8")


# --- text and HTML ---------------------------------------------------------------------------------------------------


def text_items(text: str) -> list[tuple[int, str]]:
    """(number, reply address) of the items of a text part."""
    found = re.findall(r"^#(\d+) .*?^   reply: (\S+)$", text, re.MULTILINE | re.DOTALL)
    return [(int(number), address) for number, address in found]


def html_items(html: str) -> list[tuple[int, str]]:
    found = re.findall(r'<a class="reply" href="mailto:([^"?]+)\?[^"]*"[^>]*>Reply to #(\d+)</a>', html)
    return [(int(number), unquote(address)) for address, number in found]


def test_text_and_html_have_the_same_items_and_addresses(sqlite_database: Database) -> None:
    digest = the_digest(sqlite_database)
    items = text_items(text_of(digest))
    assert [number for number, _ in items] == list(range(1, 18))
    assert html_items(html_of(digest)) == items


def test_no_two_items_share_an_address_and_each_address_is_that_of_its_item(sqlite_database: Database) -> None:
    digest = the_digest(sqlite_database)
    items = text_items(text_of(digest))
    whole = digest["From"].addresses[0].addr_spec
    addresses = [whole, *(address for _, address in items)]
    assert len(set(addresses)) == len(addresses) == 18
    for number, address in [(0, whole), *items]:
        recipient = read_recipient(address)
        assert recipient is not None
        with sqlite_database.read() as connection:
            item = tables.item.c.id == TOKENS.read_item(recipient.token).item_id
            assert connection.execute(select(tables.item.c.number).where(item)).scalar_one() == number


def test_a_reply_link_has_the_subject_and_the_message_it_answers(sqlite_database: Database) -> None:
    links = [link for link in Page(html_of(the_digest(sqlite_database))).links if link.startswith("mailto:")]
    seal, _, meeting = (parse_qs(urlsplit(link).query) for link in links[:3])
    assert meeting["subject"] == ["Pump team meeting, Tue 13 Oct 14:00"]
    assert meeting["In-Reply-To"] == ["<meeting.pump.1.20261013@lists.example.org>"]
    assert seal["subject"] == ["Re: Seal on line 3"]
    assert seal["In-Reply-To"] == ["<6.1@example.org>"]


def test_every_sentence_of_the_text_is_in_the_html(sqlite_database: Database) -> None:
    digest = the_digest(sqlite_database)
    shown = " ".join(Page(html_of(digest)).words)
    for line in (
        "Did the new seal hold on line 3?",
        "Alarm 7 & alarm <12>",
        "Room 2, or dial 4711",
        "line-1 pressure.csv",
    ):
        assert line in " ".join(text_of(digest).split())
        assert line in shown


def test_what_members_quoted_or_signed_is_not_printed(sqlite_database: Database) -> None:
    text = text_of(the_digest(sqlite_database))
    assert "On Saturday Li wrote" not in text
    assert "Best regards" not in text
    assert "Hello Ana" not in text


# --- the HTML part ---------------------------------------------------------------------------------------------------


def test_the_html_is_one_column_of_real_elements_and_fetches_nothing(sqlite_database: Database) -> None:
    html = html_of(the_digest(sqlite_database))
    page = Page(html)
    names = [name for name, _ in page.elements]
    assert not {"table", "img", "script", "link", "iframe", "svg", "style"} & set(names)
    assert ("html", "en") in [(name, values.get("lang")) for name, values in page.elements]
    assert {"h1", "h2", "h3", "ul", "li"} <= set(names)
    assert "url(" not in html
    assert "@import" not in html
    assert ("meta", {"name": "color-scheme", "content": "light dark"}) in page.elements
    assert "max-width: 600px" in html
    assert re.search(r'<a class="reply"[^>]*min-height: 44px', html)


def test_no_colour_is_set_that_a_dark_screen_could_not_turn(sqlite_database: Database) -> None:
    styles = " ".join(values.get("style", "") for _, values in Page(html_of(the_digest(sqlite_database))).elements)
    assert not re.search(r"(?:^|[;\s])(?:background[a-z-]*|color)\s*:", styles)


def test_what_members_write_is_never_markup(sqlite_database: Database) -> None:
    with sqlite_database.write() as connection:
        pump = digest_site.community(connection, title="<b>Pump</b> & 'team'")
        digest_site.member(connection, "sam@example.org", name='"><script>alert(1)</script>')
        digest_site.post(
            connection, pump.id, '<img src=x onerror="alert(1)"> {{ 7*7 }}', subject='"><script>alert(2)</script>'
        )
    jobs.run_due(sqlite_database, SHIFT, site=SITE)
    html = html_of(assembled(sqlite_database))
    page = Page(html)
    assert {"script", "img", "b"}.isdisjoint(name for name, _ in page.elements)
    assert not [name for _, values in page.elements for name in values if name.startswith("on")]
    assert "{{ 7*7 }}" in html


@pytest.mark.needs("chromium")
def test_it_fits_a_phone_and_every_link_is_a_thumb_high(sqlite_database: Database, browser: Browser) -> None:
    question = """[
        document.documentElement.scrollWidth,
        getComputedStyle(document.querySelector('.item p:not(.facts)')).fontSize,
        Math.min(...[...document.querySelectorAll('a')].map(a => a.getBoundingClientRect().height)),
    ]"""
    width, size, lowest = looked_at(browser, html_of(the_digest(sqlite_database)), "light", question)
    assert (width, size) == (360, "16px")
    assert lowest >= 44


@pytest.mark.needs("chromium")
def test_words_stand_out_in_light_and_in_dark(sqlite_database: Database, browser: Browser) -> None:
    html, question = html_of(the_digest(sqlite_database)), "getComputedStyle(document.querySelector('.item p')).color"
    assert looked_at(browser, html, "light", question) == "rgb(0, 0, 0)"
    assert looked_at(browser, html, "dark", question) == "rgb(255, 255, 255)"


# --- the message -----------------------------------------------------------------------------------------------------


def test_an_edition_has_the_same_bytes_at_every_delivery(sqlite_database: Database) -> None:
    the_digest(sqlite_database)
    with sqlite_database.write() as connection:
        first = render.assemble(connection, 1, site=SITE, tokens=TOKENS)
        joining.set_community(connection, "pump", {"title": "Renamed"}, SHIFT)
        joining.set_member(
            connection, community="pump", email="sam@example.org", changes={"zone": "Asia/Tokyo"}, now=SHIFT
        )
        assert render.assemble(connection, 1, site=SITE, tokens=TOKENS) == first


@pytest.mark.parametrize("changes", [{}, {"language": "de"}, {"zone": "Asia/Tokyo"}, {"format": "text"}])
def test_who_is_told_the_same_has_an_edition_of_their_own(sqlite_database: Database, changes: dict[str, str]) -> None:
    monday = CUT_OFF + timedelta(hours=14)
    with sqlite_database.write() as connection:
        made = digest_site.community(connection)
        for name in ("sam", "nia", "somebody-with-a-name-that-takes-much-room-where-they-are-greeted"):
            digest_site.member(connection, f"{name}@example.org")
        for text in ("The seal leaks again.", "Which bearing did you take?"):
            digest_site.post(connection, made.id, text)
        if changes:
            joining.set_member(connection, community="pump", email="nia@example.org", changes=changes, now=monday)
    jobs.run_due(sqlite_database, CUT_OFF + timedelta(days=2), site=SITE)
    with sqlite_database.read() as connection:
        members = {one.email: one for one in directory.members(connection, made.id)}
    tokens: set[str] = set()
    for edition_id in (1, 2, 3):
        mail = assembled(sqlite_database, edition_id)
        member = members.pop(mail["To"].addresses[0].addr_spec)
        for part in [mail] if mail.get_content_maintype() == "text" else list(mail.iter_parts()):
            shown = part.get_content()
            assert member.name[:40] in shown.replace("\n", " ")
            assert "The seal leaks again." in shown
            assert "Which bearing did you take?" in shown
            found = set(re.findall(r"pump(?:\+|%2B|&#43;)r\.([a-z2-7]+)(?:@|%40)", shown))
            assert {TOKENS.read_item(one).membership_id for one in found} == {member.membership_id}
            assert len(found) == 2
            tokens |= found
    assert len(tokens) == 6


def test_the_header_says_who_it_is_for_and_how_to_leave(sqlite_database: Database) -> None:
    digest = the_digest(sqlite_database)
    assert digest["From"] == digest["Reply-To"]
    assert digest["From"].addresses[0].display_name == "Pump team weekly"
    assert digest["To"] == "Sam Okafor <sam@example.org>"
    assert digest["Subject"] == "Pump team weekly: 2 for you, meeting Tue 14:00"
    assert digest["Date"].datetime == SHIFT
    assert digest["List-Id"] == "<pump.lists.example.org>"
    assert digest["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    leave = re.fullmatch(r"<https://tidings\.example\.org/u/(\w+)>", digest["List-Unsubscribe"])
    assert leave
    assert TOKENS.read_leave(leave[1]) == 1
    assert (digest["Precedence"], digest["Auto-Submitted"]) == ("list", "auto-generated")
    assert is_edition_id(digest["Message-ID"].strip("<>"), SITE.domain)
    assert digest.get_content_type() == "multipart/alternative"


def test_an_edition_that_is_not_there_cannot_be_assembled(sqlite_database: Database) -> None:
    with sqlite_database.read() as connection, pytest.raises(NotFoundError):
        render.assemble(connection, 7, site=SITE, tokens=TOKENS)


def test_no_line_of_the_text_part_is_longer_than_72_columns_but_for_addresses_and_links(
    sqlite_database: Database,
) -> None:
    for line in text_of(the_digest(sqlite_database)).splitlines():
        assert len(line) <= 72 or re.search(r"\S+@\S+$|https://\S+$", line), line


def test_a_subject_keeps_to_sixty_characters(sqlite_database: Database) -> None:
    with sqlite_database.write() as connection:
        title = "Maintenance of pumps, valves and pipes in the northern halls"
        pump = digest_site.community(connection, title=title, meeting="Tue 14:00")
        digest_site.member(connection, "sam@example.org")
        digest_site.post(connection, pump.id)
    jobs.run_due(sqlite_database, SHIFT, site=SITE)
    subject = assembled(sqlite_database)["Subject"]
    assert len(subject) <= 60
    assert subject == "Maintenance of pumps, valves and... weekly: 1 new post"


# --- previews --------------------------------------------------------------------------------------------------------


def test_a_preview_writes_nothing_says_what_it_is_and_has_addresses_that_are_refused(sqlite_database: Database) -> None:
    with sqlite_database.write() as connection:
        digest_site.a_full_week(connection)
    with sqlite_database.read() as connection:  # which refuses to write
        shown = previews.preview(connection, "pump", "sam@example.org", SHIFT, site=SITE)
        assert connection.execute(select(func.count()).select_from(tables.edition)).scalar_one() == 0
    digest = message_from_bytes(shown.raw, policy=policy.default)
    assert digest["Subject"] == shown.subject == "[Preview] Pump team weekly: 2 for you, meeting Tue 14:00"
    assert "THIS IS A PREVIEW" in shown.text
    assert "This is a preview" in shown.html
    assert {address for _, address in text_items(shown.text)} == {"pump+r.preview@lists.example.org"}
    assert len(html_items(shown.html)) == 17
    assert shown.due_at == datetime(2026, 10, 19, 17, 0, tzinfo=UTC)


def test_a_preview_of_nothing_new_says_that_no_mail_would_be_sent(sqlite_database: Database) -> None:
    with sqlite_database.write() as connection:
        digest_site.community(connection)
        digest_site.member(connection, "sam@example.org")
        shown = previews.preview(connection, "pump", "sam@example.org", SHIFT, site=SITE)
    assert "Nothing is new: no mail would be sent." in shown.text
    assert "Nothing is new: no mail would be sent." in shown.html


def test_who_gets_each_post_previews_the_week(sqlite_database: Database) -> None:
    with sqlite_database.write() as connection:
        pump = digest_site.community(connection)
        digest_site.post(connection, pump.id)
        digest_site.member(connection, "ana@example.org", delivery="each")
        shown = previews.preview(connection, "pump", "ana@example.org", SHIFT, site=SITE)
        assert "1 new post" in shown.subject
        with pytest.raises(NotFoundError):
            previews.preview(connection, "pump", "nobody@example.org", SHIFT, site=SITE)


# --- the meeting ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("cycle", "duty"),
    [("ON", "sleep"), ("D", "shift"), ("OOOD", "off"), ("NO", "off")],
)
def test_the_meeting_says_what_the_readers_roster_has_then(sqlite_database: Database, cycle: str, duty: str) -> None:
    with sqlite_database.write() as connection:
        pump = digest_site.community(connection, meeting="Tue 14:00")
        digest_site.crew(connection, pattern=cycle, start="2026-10-11")
        sam = digest_site.member(connection, "sam@example.org", crew="night")
        found = agendas.Agendas(connection, CUT_OFF, site=SITE, weeks=Weeks(CUT_OFF))
        roster = rosters.of_person(connection, sam.person_id)
        entry = found.next_meeting(pump, sam, Reader(keys=frozenset()), roster)
    assert entry is not None
    assert isinstance(entry.fragment, Meeting)
    assert entry.fragment.start == datetime(2026, 10, 13, 12, 0, tzinfo=UTC)
    assert entry.fragment.duty == duty
