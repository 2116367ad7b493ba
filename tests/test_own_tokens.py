"""Our own links and addresses with tokens are seen nowhere in the archive, however a member passes our mail on."""

import re
from datetime import datetime, timedelta
from email import message_from_bytes, policy
from email.message import EmailMessage
from urllib.parse import quote

import pytest

from tests.small_site import ANA, BERLIN, Program, SmallSite, from_ana, makings, small_site
from tests.web_site import Browser
from tidings.communities import sessions
from tidings.digests import render
from tidings.mailer.own_tokens import without_tokens
from tidings.tokens import Tokens
from tidings.web.door import COOKIE

FIXTURES = (makings, small_site)
MONDAY = datetime(2026, 10, 19, 8, 0, tzinfo=BERLIN)
TOKENS = Tokens(b"a key of thirty-two bytes, made up")
LEAVE = TOKENS.leave(7)
ITEM = TOKENS.item(3, 7, MONDAY.date())
RETURN = TOKENS.return_path(5, MONDAY.date())
RANDOM = "hzqn55bhtvedfrfma3bek5mw6i"  # as random_token makes them; the same in every process, for the names of tests
SITE = "https://tidings.example.org"


@pytest.mark.parametrize(
    ("text", "left"),
    [
        (f"Leave: {SITE}/u/{LEAVE}", "Leave: [link removed]"),
        (f"<{SITE}/back/{RANDOM}>", "<[link removed]>"),
        (f"これ{SITE}/sign-in/{RANDOM}?to=%2Fc%2Fpumpを", "これ[link removed]を"),
        (f"   reply: pump+r.{ITEM}@lists.example.org", "   reply: [address removed]"),
        (f"   reply: PUMP-R.{ITEM.upper()}@LISTS.EXAMPLE.ORG", "   reply: [address removed]"),
        (f"(mailto:pump%2Br.{ITEM}@lists.example.org?subject=Re)", "([address removed])"),
        (f"pump+b.{RETURN}@lists.example.org wrote:", "[address removed] wrote:"),
        (f"pump+confirm.{RANDOM}@lists.example.org", "[address removed]"),
        # A gateway that checks links, and programs that break lines.
        (f"https://gate.example.com/?url={quote(f'{SITE}/u/{LEAVE}', safe='')}&data=1", "[link removed]"),
        (f"https://gate.example.com/?url={quote(quote(f'{SITE}/u/{LEAVE}', safe=''))}", "[link removed]"),
        (f"> {SITE}/u/{LEAVE[:9]}\n> > {LEAVE[9:]}\nmine", "> [link removed]\nmine"),
        (f"> {SITE}/\n> u/{LEAVE}\n", f"> {SITE}/\n> [link removed]\n"),
        (f"{SITE}/u/{LEAVE[:20]}=\r\n{LEAVE[20:]} x", "[link removed] x"),
    ],
)
@pytest.mark.acceptance(118)
def test_links_and_addresses_with_tokens_are_cut(text: str, left: str) -> None:
    assert without_tokens(text) == left


@pytest.mark.parametrize(
    "text",
    [
        f"{SITE}/c/pump/m/a@example.org/ and {SITE}/me/",
        f"{SITE}/menu/{LEAVE} {SITE}/u/{LEAVE}x {SITE}/u/ann",
        f"pump+owner@lists.example.org, r.{LEAVE} and mr.example@example.org",
        "for r.\nthe long line that follows is nobodys token",
    ],
)
def test_all_else_stays(text: str) -> None:
    assert without_tokens(text) == text


class Passed:
    """A site where Sam's digest was quoted, forwarded, and attached to a post of Ana's."""

    def __init__(self, site: SmallSite) -> None:
        self.site = site
        site.take_in(from_ana("Seal", "Which seal is on line 3?\n", "seal@example.org"))
        site.clock.set(MONDAY)
        assert site.site.run_due().editions == 1
        raw = self.digest(1)
        text, html = (str(part.get_payload(decode=True), "utf-8") for part in raw.walk() if not part.is_multipart())
        self.tokens = set(re.findall(r"(?:/u/|(?:\+|%2B)r\.)([a-z2-7]{24,})", text + html))
        quoted = "".join(f"> {line}\n" for line in text.splitlines())
        site.take_in(from_ana("Re: Pump", f"Zebra.\n\nSam wrote:\n{quoted}", "quoted@example.org"))
        forward = from_ana("Fwd: Pump", f"---- Forwarded message ----\nFrom: x\n\n{text}", "forward@example.org")
        forward.add_alternative(html, subtype="html")
        site.take_in(forward)
        only_html = from_ana("Fwd: Pump again", "", "html@example.org")
        only_html.set_content(html, subtype="html")
        site.take_in(only_html)
        attached = from_ana("Look", "See the zebra.\n", "attached@example.org")
        attached.add_attachment(raw)
        site.take_in(attached)

    def digest(self, edition_id: int) -> EmailMessage:
        with self.site.site.database.read() as connection:
            settings = self.site.site.settings.site
            raw = render.assemble(connection, edition_id, site=settings, tokens=self.site.site.tokens)
        return message_from_bytes(raw, policy=policy.default)  # type: ignore[return-value]

    def held_by(self, text: str) -> list[str]:
        return [token for token in self.tokens if token in text.lower()]


@pytest.fixture
def passed(small_site: SmallSite) -> Passed:
    return Passed(small_site)


IDS = ("quoted@example.org", "forward@example.org", "html@example.org", "attached@example.org")


@pytest.mark.acceptance(118)
def test_no_page_shows_a_token_of_a_mail_that_was_passed_on(passed: Passed) -> None:
    site = passed.site.site
    with site.database.write() as connection:
        session = sessions.open_session(connection, ANA, site.clock.now())
    client = Browser(site.web(), site.settings.site.base_url, {COOKIE: session})
    pages = [f"/c/pump/m/{one}/" for one in IDS] + [f"/c/pump/m/{one}/html" for one in IDS[1:3]]
    pages += ["/c/pump/m/attached@example.org/attachment/2", "/c/pump/search?q=zebra", "/c/pump/atom.xml"]
    for path in pages:
        answer = client.get(path)
        assert (path, answer.status_code, passed.held_by(answer.text)) == (path, 200, [])
    assert len(passed.tokens) == 2
    assert "removed]" in client.get(pages[0]).text


@pytest.mark.acceptance(118)
def test_neither_the_index_nor_a_command_nor_the_next_digest_has_one(passed: Passed) -> None:
    small = passed.site
    assert set(small.found("zebra")) == {"quoted@example.org", "attached@example.org"}
    assert [found for token in passed.tokens if (found := small.found(token))] == []
    config = small.site.settings.path("tidings.toml")
    config.write_text("", encoding="utf-8")
    program = Program(config)
    for message_id in IDS:
        shown = program("show", message_id, "--json").text
        assert passed.held_by(shown) == []
    assert passed.held_by(program("show", "quoted@example.org", "--raw").text) != []
    small.clock.set(MONDAY + timedelta(days=7))
    assert small.site.run_due().editions == 1
    told = passed.digest(2).get_body(("plain",))
    assert told is not None
    own = next(token for token in passed.tokens if len(token) == 24)  # Sam's, who gets this digest too
    assert passed.held_by(told.get_content()) == [own]


def test_a_rebuild_finds_what_the_intake_found(passed: Passed) -> None:
    before = passed.site.shown()
    passed.site.rebuild()
    assert passed.site.shown() == before
