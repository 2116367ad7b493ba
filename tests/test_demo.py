"""The demo as a visitor has it: made once, its clock pushed, its mail read, and written to as its members."""

import asyncio
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
import zlib
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from email import message_from_bytes, policy
from html import unescape
from pathlib import Path
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit
from zoneinfo import ZoneInfo

import httpx
import pytest
from sqlalchemy import func, select

from tests.chromium import chromium
from tests.house import ROOT
from tidings import settings as settings_module
from tidings.app import open_site
from tidings.archive import read
from tidings.communities import directory, joining, rosters, rota
from tidings.database import tables
from tidings.digests import schedule
from tidings.errors import UsageError
from tidings.operations import demo, explain
from tidings.operations.demo import chart, making
from tidings.operations.demo.story import Story
from tidings.serving import Ports, demo_server, make_demo, serve_demo
from tidings.settings import Settings

pytestmark = pytest.mark.slow

BERLIN = ZoneInfo("Europe/Berlin")
SAM, AYLIN, ANA, RAJ = "sam@example.org", "aylin@example.org", "ana@example.org", "raj@example.org"
_PATIENCE = 30.0


def _settings(folder: Path) -> Settings:
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "tidings.toml"
    config.write_text(demo.settings_text("127.0.0.1:0"), encoding="utf-8")
    return demo.at_a_free_port(settings_module.load(config))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a demo that was made and never served; tests work on copies."""
    folder = tmp_path_factory.mktemp("made")
    make_demo(_settings(folder))
    return folder


class Demo:
    """A demo that is served by a thread until the block ends, and a browser that looks at it."""

    def __init__(self, folder: Path) -> None:
        self.settings = _settings(folder)
        self.folder = Path(self.settings.site.data_dir)
        self.site = open_site(self.settings)
        self.browser = httpx.Client(base_url=self.settings.site.base_url, timeout=_PATIENCE, follow_redirects=True)
        self.ports: Ports
        self._started = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._serve()))

    def __enter__(self) -> Self:
        self._thread.start()
        assert self._started.wait(_PATIENCE)
        return self

    def __exit__(self, *_: object) -> None:
        self.browser.close()
        self._loop.call_soon_threadsafe(self._ending.set)
        self._thread.join(_PATIENCE)
        assert not self._thread.is_alive(), "the demo did not end"
        self.site.close()

    async def _serve(self) -> None:
        self._loop, self._ending = asyncio.get_running_loop(), asyncio.Event()
        server = demo_server(self.site)
        self.ports = await server.start()
        self._started.set()
        await self._ending.wait()
        await server.stop()

    def get(self, path: str, **options: Any) -> httpx.Response:
        """A page that must be there."""
        answer = self.browser.get(path, **options)
        assert answer.status_code == 200, path
        return answer

    def post(self, path: str, **form: str) -> httpx.Response:
        """Press a button, and go where it leads."""
        return self.browser.post(path, data=form)

    def sign_in(self, email: str, next_page: str = "/") -> httpx.Response:
        return self.post("/demo/sign-in", email=email, next=next_page)

    def answerable(self, email: str) -> dict[str, str]:
        """What the box offers a member: keys by label."""
        page = self.get("/demo/", params={"as": email}).text
        return {unescape(label): key for key, label in re.findall(r'<option value="([\w.-]+)">([^<]+)<', page)}

    def reply(self, email: str, label: str, text: str, subject: str = "") -> httpx.Response:
        """Answer what begins so in the box."""
        key = next(key for one, key in self.answerable(email).items() if one.startswith(label))
        return self.post("/demo/reply", **{"as": email, "to": key, "subject": subject, "text": text})

    def rows(self) -> dict[str, int]:
        """How many rows each table has, how far the clock was pushed, and how many mails there are."""
        found = {"mails": len(list((self.folder / "outbox" / "new").iterdir()))}
        for database, schema in (
            (self.site.database, tables.metadata),
            (self.site.spool_database, tables.spool_metadata),
        ):
            with database.read() as connection:
                for name, table in schema.tables.items():
                    found[name] = connection.execute(select(func.count()).select_from(table)).scalar_one()
        with self.site.database.read() as connection:
            offset = select(tables.site_value.c.value).where(tables.site_value.c.key == "clock_offset")
            found["offset"] = int(connection.execute(offset).scalar_one())
        return found

    def editions(self) -> list[Any]:
        with self.site.database.read() as connection:
            return list(connection.execute(select(tables.edition).order_by(tables.edition.c.id)))


@pytest.fixture
def running(made: Path, tmp_path: Path) -> Iterator[Demo]:
    shutil.copytree(made, tmp_path / "demo")
    with Demo(tmp_path / "demo") as one:
        yield one


# --- how it is made --------------------------------------------------------------------------------------------------


def test_the_demo_is_made_of_four_weeks_of_mail_that_end_before_its_clock(made: Path) -> None:
    with closing(open_site(_settings(made))) as site, site.database.read() as connection:
        now = site.clock.now()
        posts = connection.execute(select(tables.post)).all()
        assert len(posts) == 62
        assert len({post.thread_id for post in posts}) == 21
        assert now - timedelta(days=28) < min(post.date for post in posts) < now - timedelta(days=25)
        assert now - timedelta(hours=12) < max(post.received_at for post in posts) < now
        told = [post for post in posts if post.via != "import"]
        assert min(post.received_at for post in told) > now - timedelta(days=10)
        assert len(told) < len(posts) / 2 + 5
        assert {one.name for one in directory.communities(connection)} == {"pump", "safety"}
        assert site.spool.counts() == {"waiting": 0, "held": 0, "shunted": 0}
        assert connection.execute(select(tables.delivery.c.state).distinct()).scalars().all() == ["sent"]


def test_when_the_demo_begins_crew_b_is_about_to_work_nights_and_crew_a_is_off(made: Path) -> None:
    with closing(open_site(_settings(made))) as site, site.database.read() as connection:
        now = site.clock.now()
        crews = {name: rosters.of_crew(connection, rota.crew_by_name(connection, name)) for name in ("A", "B")}
        first = crews["B"].next_start(now)
        assert first is not None and schedule.is_night(first)
        assert first.start - now < timedelta(hours=2)
        assert crews["A"].at(first.start) is None


@pytest.mark.parametrize(
    ("now", "begins"),
    [
        (datetime(2026, 10, 18, 17, 39, tzinfo=BERLIN), datetime(2026, 10, 11, 17, 40, tzinfo=BERLIN)),
        (datetime(2026, 10, 18, 17, 40, tzinfo=BERLIN), datetime(2026, 10, 18, 17, 40, tzinfo=BERLIN)),
        (datetime(2026, 10, 24, 12, 0, tzinfo=BERLIN), datetime(2026, 10, 18, 17, 40, tzinfo=BERLIN)),
    ],
)
def test_the_demo_begins_late_on_the_last_sunday(now: datetime, begins: datetime) -> None:
    assert making.beginning(now.astimezone(UTC)) == begins


def test_the_mail_has_what_real_mail_has(made: Path) -> None:
    with closing(open_site(_settings(made))) as site, site.database.read() as connection:
        pump = directory.community(connection, "pump")
        posts = {post.subject: post for post in read.newest(connection, pump.id, 100)}
        raws = {subject: read.raw(connection, post.id) for subject, post in posts.items()}
        # A late one: the reply was there before what it answers, and stands below it all the same.
        thread = read.thread(connection, pump.id, posts["Torque for the gland bolts of P-118"].thread_id)
        assert [one.depth for one in thread] == [0, 1, 2]
        assert thread[0].number > thread[1].number
        cooling = posts["Kühlwasser am Lagerbock P-310: Größe der Düse?"]
        assert b"Subject: =?utf-8?" in raws[cooling.subject]
        assert cooling.author_name == "Jörg Müller"
        kinds = {fold[2] for post in posts.values() for fold in post.folds}
        assert kinds == {"quote", "signature"}
        files = [file for post in posts.values() for file in read.attachments(connection, [post.id]).get(post.id, [])]
        assert {file.content_type for file in files} <= {"text/csv", "image/png"}


def test_every_quote_in_the_story_is_of_the_mail_that_it_answers() -> None:
    story = Story(date(2026, 10, 18), "lists.example.org")
    texts = {}
    quoting = 0
    for letter in sorted(story.letters(), key=lambda one: message_from_bytes(one.raw)["References"] or ""):
        message = message_from_bytes(letter.raw, policy=policy.default)
        body = message.get_body(("plain",))
        assert body is not None
        text = str(body.get_content())
        assert "{" not in text
        texts[str(message["Message-ID"])] = _words(text)
    for letter in story.letters():
        message = message_from_bytes(letter.raw, policy=policy.default)
        body = message.get_body(("plain",))
        assert body is not None
        runs = re.findall(r"(?:^> .*\n)+", str(body.get_content()), re.MULTILINE)
        for run in runs:
            quoting += 1
            assert _words(run.replace("> ", "")) in texts[str(message["In-Reply-To"])], message["Message-ID"]
    assert quoting > 15


def _words(text: str) -> str:
    return " ".join(text.split())


def test_a_drawn_curve_is_a_whole_png() -> None:
    data = chart.png([1.0, 3.0, 2.0])
    assert data[:8] == b"\x89PNG\r\n\x1a\n"
    at, chunks = 8, {}
    while at < len(data):
        (length,) = struct.unpack(">I", data[at : at + 4])
        kind, body = data[at + 4 : at + 8], data[at + 8 : at + 8 + length]
        assert struct.unpack(">I", data[at + 8 + length : at + 12 + length])[0] == zlib.crc32(kind + body)
        chunks[kind] = body
        at += 12 + length
    width, height = struct.unpack(">2I", chunks[b"IHDR"][:8])
    pixels = zlib.decompress(chunks[b"IDAT"])
    assert len(pixels) == height * (width + 1)
    assert chunks[b"IEND"] == b""


def test_what_was_interrupted_is_made_anew(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    part = Path(demo.unfinished(settings).site.data_dir)
    part.mkdir()
    (part / "tidings.db").write_bytes(b"half a file")
    make_demo(settings)
    assert not demo.is_new(settings)
    assert not part.exists()


# --- the clock -------------------------------------------------------------------------------------------------------


def test_pushing_the_clock_sends_the_night_crews_digests_when_its_shift_starts(running: Demo) -> None:
    before = {edition.id for edition in running.editions()}
    page = running.post("/demo/clock", by="digest")
    new = [edition for edition in running.editions() if edition.id not in before]
    assert {edition.recipient for edition in new} == {SAM, AYLIN, "joerg@example.org"}
    for edition in new:
        local = edition.composed_at.astimezone(BERLIN)
        assert f"{local:%a %H:%M}" == "Sun 19:00"
    assert "Crew B</strong> is on nights" in page.text
    assert "What was sent meanwhile" in page.text
    assert page.text.count("for you, meeting Tue 14:00") == 3
    assert "to aylin@example.org" in page.text


def test_a_push_over_a_week_sends_everything_at_its_own_time(running: Demo) -> None:
    before = running.site.clock.now()
    running.post("/demo/clock", by="week")
    assert timedelta(days=7) <= running.site.clock.now() - before < timedelta(days=7, minutes=2)
    new = [edition for edition in running.editions() if edition.due_at > before]
    assert all(timedelta() <= edition.composed_at - edition.due_at < timedelta(seconds=5) for edition in new)
    digests = [edition for edition in new if " weekly: " in edition.subject]
    assert len(digests) == 6
    assert {f"{edition.composed_at.astimezone(BERLIN):%a %H:%M}" for edition in digests} == {"Sun 19:00", "Thu 19:00"}
    agendas = [edition for edition in new if " agenda: " in edition.subject]
    assert {edition.recipient for edition in agendas} >= {SAM, ANA, RAJ}
    assert len(new) == 15
    running.post("/demo/clock", by="6-hours")
    assert len(running.editions()) == len({(edition.recipient, edition.due_at) for edition in running.editions()})


def test_where_nothing_is_to_be_told_the_clock_stays_and_the_page_says_so(running: Demo) -> None:
    running.post("/demo/clock", by="digest")
    running.post("/demo/clock", by="digest")
    told = running.rows()
    page = running.post("/demo/clock", by="digest")
    assert "Nothing was written since the last digests" in page.text
    assert running.rows() == told
    running.reply(ANA, "A new post to Pump team", "Is the pump dry?", subject="P-301A")
    assert "What was sent meanwhile" in running.post("/demo/clock", by="digest").text


# --- the box ---------------------------------------------------------------------------------------------------------


def test_a_reply_to_an_item_lands_in_its_thread_and_why_says_so(running: Demo) -> None:
    running.post("/demo/clock", by="digest")
    said = running.reply(SAM, "#3 Seal leaks at start-up, line 3", "I read Li's line, it is good.")
    assert "A reply to item 3 of a digest. Archived as number" in said.text
    assert "(reply-token)" in said.text
    assert "3 copies queued" in said.text
    assert "of pump, by smtp" in said.text

    # Who is not signed in is led to the thread by a button, and then sees it there.
    path = re.search(r'name="next" value="([^"]+)"', said.text)
    assert path is not None
    thread = running.sign_in(SAM, unescape(path[1]))
    assert thread.status_code == 200
    assert "<bdi>Seal leaks at start-up, line 3</bdi></h1>" in thread.text
    assert "I read Li&#39;s line, it is good." in thread.text
    assert "See it in its thread</a>" in running.get(str(said.url)).text

    # And its copies went out.
    newest = running.get("/demo/mail/").text
    assert newest.index("Re: Seal leaks at start-up, line 3") < newest.index("Pump team weekly")


def test_a_reply_to_a_whole_digest_is_posted_by_its_number_without_the_digest(running: Demo) -> None:
    running.post("/demo/clock", by="digest")
    said = running.reply(SAM, "The whole digest", "#3 I read Li's line.")
    assert "A reply to item 3 of a digest. Archived as number" in said.text
    thread = running.sign_in(SAM, unescape(re.findall(r'name="next" value="([^"]+)"', said.text)[0]))
    assert "I read Li&#39;s line." in thread.text
    assert "PUMP TEAM WEEKLY" not in thread.text
    message_id = parse_qs(urlsplit(str(said.url)).query)["id"][0]
    with running.site.database.read() as connection:
        post = read.anywhere(connection, message_id)
        assert post is not None
        assert b"> PUMP TEAM WEEKLY" in read.raw(connection, post.id), "the mail quoted it, as mail programs do"


def test_a_reply_to_a_whole_digest_without_a_number_is_held_and_the_member_is_asked(running: Demo) -> None:
    running.post("/demo/clock", by="digest")
    said = running.reply(SAM, "The whole digest", "Yes, I did.")
    assert "does not say which item it answers" in said.text
    first = re.search(r'<a href="(/demo/mail/\d+)"', running.get("/demo/mail/").text)
    assert first is not None
    asked = running.get(first[1]).text
    assert "Which one?" in asked
    assert f"To {SAM}" in asked


def test_a_reply_to_a_post_keeps_its_chain_and_quotes_it(running: Demo) -> None:
    said = running.reply(ANA, "Aylin Demir, Sunday", "Thank you both.")
    assert "(in-reply-to)" in said.text
    with running.site.database.read() as connection:
        post = read.anywhere(connection, parse_qs(urlsplit(str(said.url)).query)["id"][0])
        assert post is not None
        raw = message_from_bytes(read.raw(connection, post.id))
    assert len(str(raw["References"]).split()) == 2
    assert str(raw["References"]).split()[-1] == raw["In-Reply-To"]
    assert [kind for _, kind in ((fold[0], fold[2]) for fold in post.folds)] == ["quote"]


def test_what_the_gateway_refuses_is_shown_with_its_answer(running: Demo) -> None:
    with running.site.database.write() as connection:
        joining.archive_community(connection, "safety", running.site.clock.now())
    page = running.reply(RAJ, "A new post to Safety circle", "Hello", subject="Goggles")
    assert "The site refused it" in page.text
    assert "550" in page.text


def test_nobody_can_answer_what_is_not_theirs(running: Demo) -> None:
    items = [key for label, key in running.answerable(AYLIN).items() if label.startswith("#1 ")]
    rows = running.rows()
    for email, key in ((SAM, items[0]), (ANA, "new-safety"), ("stranger@example.org", "new-pump"), (ANA, "nothing")):
        answer = running.post("/demo/reply", **{"as": email, "to": key, "text": "Hello", "subject": "Hello"})
        assert answer.status_code == 404
    assert running.rows() == rows


# --- signing in ------------------------------------------------------------------------------------------------------


def test_the_start_page_leads_to_the_demo_and_everybody_can_be_looked_at(running: Demo) -> None:
    assert 'href="/demo/"' in running.get("/").text
    assert "Safety circle" not in running.sign_in(SAM).text
    assert "Safety circle" in running.sign_in(AYLIN).text
    assert 'href="/admin/"' not in running.get("/").text
    admin = running.sign_in(demo.ADMIN)
    assert 'href="/admin/"' in admin.text and "Safety circle" in admin.text
    assert running.sign_in("stranger@example.org").status_code == 404


def test_signing_in_leads_nowhere_else(running: Demo) -> None:
    for bad in ("//elsewhere.example.org/", "https://elsewhere.example.org/", "javascript:alert(1)"):
        assert running.sign_in(SAM, bad).url.path == "/"


@pytest.mark.parametrize("path", ["/demo/clock", "/demo/reply", "/demo/sign-in"])
def test_a_form_of_another_site_is_refused_and_a_get_does_nothing(running: Demo, path: str) -> None:
    form = {"by": "day", "as": ANA, "to": "new-pump", "text": "Hello", "subject": "Hello", "email": ANA}
    rows = running.rows()
    for origin in ("http://elsewhere.example.org", "null"):
        assert running.browser.post(path, data=form, headers={"Origin": origin}).status_code == 403
    assert running.browser.get(path, params=form).status_code == 405
    assert running.rows() == rows
    own = {"Origin": running.settings.site.base_url}
    assert running.browser.post(path, data=form, headers=own).status_code == 200
    assert running.rows() != rows


# --- mail ------------------------------------------------------------------------------------------------------------


def test_every_mail_has_a_page_with_its_parts_and_no_script(running: Demo) -> None:
    running.post("/demo/clock", by="digest")
    count = running.rows()["mails"]
    digests = 0
    for number in range(1, count + 1):
        page = running.get(f"/demo/mail/{number}")
        html = running.browser.get(f"/demo/mail/{number}/html")
        assert '<h2 id="text">Text part</h2>' in page.text
        assert "<script" not in page.text + html.text
        assert "script-src" not in page.headers["Content-Security-Policy"] + html.headers["Content-Security-Policy"]
        assert page.headers["Content-Security-Policy"].startswith("default-src 'none'")
        if html.status_code == 404:
            assert "<iframe" not in page.text
            continue
        digests += 1
        assert html.headers["Content-Security-Policy"].startswith("default-src 'none'")
        assert "; sandbox" in html.headers["Content-Security-Policy"]
        assert re.search(r'<iframe [^>]*sandbox="[^"]*"', page.text)
        assert "allow-scripts" not in page.text + html.headers["Content-Security-Policy"]
        assert "allow-same-origin" not in page.text + html.headers["Content-Security-Policy"]
        assert 'href="mailto:pump+r.' not in html.text
    assert digests == 29
    assert running.browser.get(f"/demo/mail/{count + 1}").status_code == 404
    assert running.browser.get("/demo/mail/0").status_code == 404


def test_the_reply_buttons_of_a_digest_lead_to_the_box_with_their_item_chosen(running: Demo) -> None:
    running.post("/demo/clock", by="digest")
    number = next(
        number
        for number in range(running.rows()["mails"], 0, -1)
        if f"To {SAM}." in running.get(f"/demo/mail/{number}").text
    )
    html = running.get(f"/demo/mail/{number}/html").text
    link = re.search(r'href="([^"]+)"[^>]*>Reply to #3<', html)
    assert link is not None
    box = running.get(unescape(link[1])).text
    chosen = re.findall(r'<option value="[^"]+" selected>([^<]+)<', box)
    assert chosen[0].startswith("Sam Okafor")
    assert chosen[1] == "#3 Seal leaks at start-up, line 3"


def test_the_list_of_all_mail_has_pages(running: Demo) -> None:
    shown = re.findall(r'href="/demo/mail/(\d+)"', running.get("/demo/mail/").text)
    assert shown == sorted(shown, key=int, reverse=True)
    older = re.findall(r'href="/demo/mail/(\d+)"', running.get(f"/demo/mail/?before={shown[-1]}").text)
    oldest = re.findall(r'href="/demo/mail/(\d+)"', running.get(f"/demo/mail/?before={older[-1]}").text)
    assert len(shown) + len(older) + len(oldest) == running.rows()["mails"]
    assert set(shown).isdisjoint(older)
    assert re.findall(r'href="/demo/mail/(\d+)"', running.get("/demo/mail/?before=3").text) == ["2", "1"]
    assert running.get("/demo/mail/?before=1").status_code == 200
    for junk in ("x", "-1", "9" * 30, "²"):
        running.get("/demo/mail/", params={"before": junk})
        running.get("/demo/", params={"since": junk, "as": junk, "to": junk})


def test_looking_at_everything_changes_nothing(running: Demo) -> None:
    running.post("/demo/clock", by="digest")
    said = running.reply(SAM, "#2", "Hello")
    running.sign_in(demo.ADMIN)
    rows = running.rows()
    seen: set[str] = set()
    waiting = ["/", "/demo/", "/demo/mail/", f"/demo/?as={SAM}", str(said.url)]
    while waiting:
        path = waiting.pop().partition("#")[0]
        if path in seen:
            continue
        seen.add(path)
        answer = running.browser.get(path)
        assert answer.status_code == 200, path
        if answer.headers["Content-Type"].startswith("text/html"):
            found = [unescape(link) for link in re.findall(r'(?:href|src)="(/[^"]*|search[^"]*)"', answer.text)]
            waiting += [link for link in found if link.startswith("/")]
    assert len(seen) > 150
    assert running.rows() == rows


# --- starts, and what is no demo -------------------------------------------------------------------------------------


def test_a_second_start_goes_on_from_the_same_state(made: Path, tmp_path: Path) -> None:
    shutil.copytree(made, tmp_path / "demo")
    with Demo(tmp_path / "demo") as first:
        first.post("/demo/clock", by="digest")
        first.reply(SAM, "#3", "I was here.")
        rows, now = first.rows(), first.site.clock.now()
    with Demo(tmp_path / "demo") as second:
        assert not demo.is_new(second.settings)
        assert second.rows() == rows
        assert now <= second.site.clock.now() < now + timedelta(minutes=5)
        second.sign_in(SAM)
        assert "Seal leaks at start-up" in second.get("/c/pump/search?q=here").text


def test_a_taken_port_is_left_alone_and_links_lead_to_the_other(tmp_path: Path) -> None:
    settings = _settings(tmp_path)
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        found = demo.at_a_free_port(demo.listening_at(settings, address))
        assert found.web.listen != address
    assert found.site.base_url == f"http://{found.web.listen}"
    again = demo.at_a_free_port(found)
    assert again.web.listen == found.web.listen, "a free one is kept"
    assert demo.at_a_free_port(demo.listening_at(settings, "0.0.0.0:0")).site.base_url.startswith("http://127.0.0.1:")


def test_a_real_site_has_no_demo(tmp_path: Path) -> None:
    real = settings_module.parse(f'[site]\ndata_dir = "{tmp_path / "site"}"\n')
    with pytest.raises(UsageError, match="real site"):
        asyncio.run(serve_demo(real, lambda _line: None))
    assert not (tmp_path / "site").exists()
    with closing(open_site(real)) as site, pytest.raises(UsageError, match=r"site\.demo is false"):
        demo_server(site)


def test_the_command_makes_the_site_once_and_says_where_it_is(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        listen = f"127.0.0.1:{taken.getsockname()[1]}"
        first = _command(tmp_path / "new", listen)
        second = _command(tmp_path / "new", listen)
    assert first[0] == f"{listen} is not free, so the demo takes another port."
    assert first[1].startswith("Making the site")
    assert len(first) == 3
    assert second[0] == first[0]
    assert len(second) == 2
    assert f'listen = "{listen}"' in (tmp_path / "new" / "tidings.toml").read_text(encoding="utf-8")


def _command(folder: Path, listen: str) -> list[str]:
    """What `tidings demo` prints until it is there; its start page was looked at, and SIGTERM ended it."""
    command = [sys.executable, "-c", "from tidings.cli import main; main()", "demo", str(folder), "--listen", listen]
    lines = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            for line in process.stdout:
                lines.append(line.strip())
                if line.startswith("Open "):
                    break
            address = lines[-1].split()[1]
            assert 'href="/demo/"' in httpx.get(address, timeout=_PATIENCE).text
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(_PATIENCE) == 0
    return lines


def test_every_address_of_the_demo_stands_in_its_page_of_the_docs(running: Demo) -> None:
    page = (ROOT / "docs" / "demo.md").read_text(encoding="utf-8")
    routes = {route.path for route in demo_server(running.site)._web.routes if route.path.startswith("/demo/")}  # type: ignore[attr-defined]
    shown = {re.sub(r"\{(\w+)(?::\w+)?\}", lambda one: one[1].upper(), path) for path in routes}
    assert len(shown) > 5
    assert sorted(path for path in shown if f"`{path}`" not in page) == []


def test_why_of_the_command_and_of_the_page_are_the_same(running: Demo) -> None:
    said = running.reply(ANA, "A new post to Pump team", "Is the pump dry?", subject="P-301A")
    message_id = parse_qs(urlsplit(str(said.url)).query)["id"][0]
    with running.site.database.read() as connection:
        steps = explain.why(connection, running.site.spool, message_id)
    assert steps
    assert all(step.detail in unescape(said.text) for step in steps)


# --- in a browser ----------------------------------------------------------------------------------------------------


@pytest.mark.needs("chromium")
def test_a_visitor_pushes_the_clock_and_answers_from_within_the_digest(running: Demo) -> None:
    with chromium() as browser:
        page = browser.new_context(viewport={"width": 390, "height": 844}, java_script_enabled=False).new_page()
        page.goto(running.settings.site.base_url)
        page.get_by_role("main").get_by_role("link", name="To the demo").click()
        page.get_by_role("button", name="To the next digest").click()
        page.get_by_role("link", name="Pump team weekly").first.click()
        mail = page.frame_locator("iframe")
        mail.get_by_role("heading", name="Pump team weekly").wait_for()
        mail.get_by_role("link", name="Reply to #3").click()
        page.wait_for_url("**to=item-*")
        page.get_by_label("Text").fill("I read Li's line, it is good.")
        page.get_by_role("button", name="Send").click()
        page.get_by_role("button", name="See it in its thread").click()
        page.get_by_role("heading", name="Seal leaks at start-up, line 3").wait_for()
        assert page.get_by_text("I read Li's line, it is good.").is_visible()


@pytest.mark.needs("chromium")
def test_no_page_of_the_demo_is_wider_than_a_phone(running: Demo) -> None:
    running.post("/demo/clock", by="digest")
    said = running.reply(SAM, "#2", "Hello")
    count = running.rows()["mails"]
    paths = [
        "/",
        "/demo/",
        f"/demo/?as={SAM}",
        "/demo/mail/",
        *(f"/demo/mail/{n}" for n in range(count - 5, count + 1)),
    ]
    with chromium() as browser:
        page = browser.new_context(viewport={"width": 360, "height": 740}, color_scheme="dark").new_page()
        for path in (*paths, said.url.raw_path.decode()):
            page.goto(running.settings.site.base_url + path)
            assert page.evaluate("document.documentElement.scrollWidth") <= 360, path
