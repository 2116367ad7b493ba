"""The pages of meetings: what stands on them for whom, and a member's link to their calendar."""

import re
from collections.abc import Iterator
from datetime import timedelta
from html import unescape

import pytest
from playwright.sync_api import Browser as Chromium
from sqlalchemy import func, select, update

from tests import digest_site, meeting_site
from tests.chromium import chromium, served
from tests.meeting_site import FIRST, NOW, Team
from tests.web_site import ADMIN, Browser, WebSite
from tidings.database import tables
from tidings.database.engine import Database
from tidings.digests.meetings import diary, roles, series, topics
from tidings.web.door import COOKIE

KIM, RAJ, SAM, ANA, LI = (f"{name}@example.org" for name in ("kim", "raj", "sam", "ana", "li"))
LIST = "/c/pump/meetings/"
PAGE = f"{LIST}hour/2026-10-13/"
NEXT = f"{LIST}hour/2026-10-20/"
DAY = timedelta(days=1)


class House:
    """The pump team a day before its first meeting."""

    def __init__(self, database: Database, **values: str) -> None:
        with database.write() as connection:
            self.team: Team = meeting_site.team(connection, **values)
            meeting_site.prepared(connection, self.team)
        self.site = WebSite(database)
        self.site.clock.set(FIRST - DAY)

    def hold(self) -> None:
        """Let the first meeting be held, and another day pass."""
        with self.site.database.write() as connection:
            meeting_site.held(connection, self.team)
        self.site.clock.set(FIRST + DAY)

    def text(self, reader: str, path: str) -> str:
        """What a page says, without its markup, each piece of a line apart."""
        answer = self.site.client(reader).get(path)
        assert answer.status_code == 200, path
        main = answer.text.split("<main", 1)[1]
        return " ".join(unescape(re.sub(r"<[^>]+>", " ", main)).split())


@pytest.fixture
def house(sqlite_database: Database) -> House:
    return House(sqlite_database)


def in_order(text: str, *parts: str) -> bool:
    """Whether the text has all of these, one behind the other."""
    at = 0
    for part in parts:
        at = text.find(part, at)
        if at < 0:
            return False
        at += len(part)
    return True


# --- all meetings ----------------------------------------------------------------------------------------------------


def test_meetings_to_come_say_when_and_who_does_what(house: House) -> None:
    text = house.text(RAJ, LIST)
    assert in_order(
        text,
        "To come",
        "Tue 13 Oct 2026, 14:00 –15:00",
        "Tue 13 Oct 2026, 22:00 –23:00",
        "Room 2",
        "Discussion leader: Raj Patel",
        "Host: Ana Lindgren",
        "Scribe: Li",
        "3 people come",
        "Tue 20 Oct 2026, 14:00 –15:00",
    )
    assert "Past" not in text


def test_times_are_those_of_the_readers_zone_which_is_named(house: House) -> None:
    assert in_order(house.text(ANA, LIST), "13 Oct 2026, 21:00 –22:00", "Wed 14 Oct 2026, 05:00", "Asia/Tokyo")
    assert "Times are those of Asia/Tokyo." in house.text(ANA, PAGE)
    assert "Times are those of Europe/Berlin, which is your zone." in house.text(RAJ, LIST)


def test_who_has_no_known_zone_reads_that_of_each_series(house: House) -> None:
    assert "Times are those of Europe/Berlin." in house.text(LI, LIST)
    with house.site.database.write() as connection:
        meeting_site.hour(connection, house.team.pump, ("09:00",), name="asia", title="Asia", zone="Asia/Kolkata")
    for reader in (LI, ADMIN):
        text = house.text(reader, LIST)
        assert in_order(text, "13 Oct 2026, 09:00 –10:00 Asia/Kolkata", "22:00 –23:00 Europe/Berlin")
        assert "Times are those of the zone that each meeting names." in text


def test_past_meetings_say_what_came_of_them_and_are_read_page_by_page(house: House) -> None:
    house.hold()
    text = house.text(RAJ, LIST)
    assert in_order(text, "To come", "Tue 20 Oct 2026", "Past", "Tue 13 Oct 2026", "1 decision 1 action 1 answer")
    with house.site.database.write() as connection:
        for week in range(1, 30):
            now = NOW + timedelta(weeks=week)
            diary.plan_ahead(connection, house.team.series, now)
    house.site.clock.set(FIRST + timedelta(weeks=30))
    seen: list[str] = []
    path = LIST
    while path:
        page = house.site.client(RAJ).get(path).text
        seen += re.findall(r'<h3><a href="/c/pump/meetings/hour/([\d-]+)/"', page.split("<h2>Past</h2>")[-1])
        older = re.search(r'rel="next" href="([^"]+)"', page)
        path = older[1] if older else ""
    assert seen[-1] == "2026-10-13"
    assert seen == sorted(set(seen), reverse=True)
    assert len(seen) == 30


def test_a_cancelled_meeting_says_so_and_one_that_goes_on_too(house: House) -> None:
    with house.site.database.write() as connection:
        diary.cancel(connection, house.team.meeting(connection, 1), NOW)
    house.site.clock.set(FIRST + timedelta(minutes=10))
    text = house.text(RAJ, LIST)
    assert in_order(text, "Tue 13 Oct 2026", "Going on", "Tue 20 Oct 2026", "Cancelled.", "Tue 27 Oct 2026")
    assert "Cancelled. What was on its agenda goes on the next one." in house.text(RAJ, NEXT)


def test_a_community_without_meetings_says_so(sqlite_database: Database) -> None:
    with sqlite_database.write() as connection:
        digest_site.community(connection)
        digest_site.member(connection, RAJ)
    page = WebSite(sqlite_database).client(RAJ).get(LIST).text
    assert "No meeting is planned." in page
    assert "<h2>Past</h2>" not in page


@pytest.mark.parametrize("before", ["yesterday", "2026-13-01", "0001-01-01", "9999-12-31", "'"])
def test_any_day_may_be_asked_for(house: House, before: str) -> None:
    assert house.site.client(RAJ).get(f"{LIST}?before={before}").status_code == 200


# --- one meeting -----------------------------------------------------------------------------------------------------


def test_the_agenda_stands_by_blocks_with_what_was_written_under_each_item(house: House) -> None:
    text = house.text(RAJ, PAGE)
    assert in_order(
        text,
        "Agenda",
        "15 min: input by a discussion leader",
        "Seal failures, what we learned",
        "led by Raj Patel",
        "We changed eleven seals since January.",
        "Sam Okafor , Sat 10 Oct 2026, 13:00",
        "it was the spring, not the seal",
        "Ana Lindgren , Sat 10 Oct 2026, 14:00",
        "30 min: discussion, and what members need",
        "Spare stock",
        "proposed by Li 10 min 1 other wants it",
        "Vibration at start-up",
        "Lamps for the gauges",
        "If there is time",
        "proposed by Sam Okafor",
        "15 min: other needs, and planning the next meeting",
        "Written about the meeting",
        "I may be ten minutes late.",
    )
    assert "Minutes" not in text


def test_an_item_leads_to_its_thread_and_the_thread_to_its_meeting(house: House) -> None:
    client = house.site.client(RAJ)
    page = client.get(PAGE).text
    thread = re.search(r'<h4><a href="([^"]+)"><bdi>Seal failures', page)
    post = re.search(r'<a href="([^"]+)"><span><bdi>Sam Okafor</bdi>', page)
    assert thread
    assert post
    for path in (thread[1], post[1]):
        shown = client.get(path).text
        assert f'<a href="{PAGE}"><span>On the agenda of <bdi>Pump hour</bdi>, Tue 13 Oct 2026</span></a>' in shown
    assert "it was the spring, not the seal" in client.get(post[1]).text


def test_a_thread_that_is_on_no_agenda_says_nothing_of_meetings(house: House) -> None:
    with house.site.database.write() as connection:
        digest_site.post(connection, house.team.pump.id, message_id="plain@example.org")
    assert "On the agenda" not in house.site.client(RAJ).get("/c/pump/m/plain@example.org/").text


def test_an_item_that_no_post_began_leads_to_the_first_one_that_was_written(house: House) -> None:
    with house.site.database.write() as connection:
        meeting = house.team.meeting(connection)
        values = {"series_id": meeting.series.id, "meeting_id": meeting.id, "now": NOW}
        for title in ("Silent", "Spoken"):
            topics.propose(connection, title=title, message_id=f"topic.{title.lower()}@lists.example.org", **values)
        under = "topic.spoken@lists.example.org"
        post = meeting_site.write(connection, house.team.pump, under, "Something.\n", by=house.team.li)
    page = house.site.client(RAJ).get(PAGE).text
    assert f'<h4><a href="/c/pump/m/{post.message_id}/"><bdi>Spoken</bdi></a></h4>' in page
    assert "<h4><bdi>Silent</bdi></h4>" in page
    assert "On the agenda of" in house.site.client(RAJ).get(f"/c/pump/m/{post.message_id}/").text


def test_mail_that_a_page_offers_to_write_stands_under_its_item(house: House) -> None:
    page = unescape(house.site.client(RAJ).get(PAGE).text)
    with house.site.database.read() as connection:
        (seals, *_) = topics.of_meeting(connection, house.team.meeting(connection).id)
    quoted = f"In-Reply-To=%3C{seals.message_id.replace('@', '%40')}%3E"
    assert f"mailto:pump@lists.example.org?{quoted}&Subject=" in page
    assert "mailto:pump+agenda@lists.example.org?Subject=topic%3A%20" in page


def test_roles_are_told_with_how_often_who_has_one_had_it(house: House) -> None:
    with house.site.database.write() as connection:
        meeting_site.gives(connection, house.team.meeting(connection, 1), "lead", house.team.raj)
    text = house.text(KIM, NEXT)
    assert "Discussion leader: Raj Patel 2 times within a year" in text
    assert "Host: Ana Lindgren 1 time within a year" in house.text(KIM, PAGE)


def test_who_comes_is_counted_by_crew_for_each_session(house: House) -> None:
    text = house.text(KIM, PAGE)
    assert in_order(
        text,
        "Who comes",
        "Session 1, Tue 13 Oct 2026, 14:00",
        "2 come: 1 of day , 1 guest",
        "A Visitor , Raj Patel ( ten minutes late )",
        "1 does not come: 1 without a crew",
        "Kim",
        "Session 2, Tue 13 Oct 2026, 22:00",
        "1 comes: 1 of night",
        "Sam Okafor",
        "1 comes perhaps: 1 of night",
        "Ana Lindgren",
    )
    assert "visitor@elsewhere.example" not in text


def test_who_has_left_is_not_counted_and_who_chose_a_session_is_counted_there(house: House) -> None:
    with house.site.database.write() as connection:
        meeting = house.team.meeting(connection)
        second = meeting.sittings[1].id
        meeting_site.says(connection, meeting, house.team.raj, "yes", sitting_id=second, sequence=1)
        digest_site.joining.remove_member(connection, membership_id=house.team.sam.membership_id, now=NOW)
    text = house.text(KIM, PAGE)
    assert in_order(text, "1 comes: 1 guest", "Session 2, Tue 13 Oct 2026, 22:00", "1 comes: 1 of day", "Raj Patel")
    assert "Sam Okafor , " not in text.split("Who comes")[1]


def test_minutes_stand_by_session_with_owners_and_days_and_what_was_carried_and_added(house: House) -> None:
    house.hold()
    text = house.text(RAJ, PAGE)
    assert in_order(
        text,
        "Minutes",
        "Session 1, Tue 13 Oct 2026, 14:00",
        "Decided: Stiffer springs on lines 1 to 4.",
        "on Seal failures, what we learned",
        "To do: Order twelve springs.",
        "Raj Patel by Fri 16 Oct 2026 not done yet",
        "Answered: Two pumps are in the store of hall 3.",
        "on Spare stock",
        "Session 2, Tue 13 Oct 2026, 22:00",
        "Noted: The night crew agrees",
        "Carried over",
        "Vibration at start-up",
        "to Tue 20 Oct 2026",
        "Lamps for the gauges",
        "Added by those who were not there",
        "On Seal failures, what we learned",
        "line 5 has the old spring, too",
        "As Li wrote them",
        "Agenda",
    )
    assert "line 5" not in text.split("Agenda")[1], "what was added afterwards is in the minutes only"
    assert in_order(house.text(RAJ, NEXT), "Vibration at start-up", "carried over 1 time")


def test_what_is_carried_on_and_on_is_told_by_every_meeting_that_it_was_on(database: Database) -> None:
    house = House(database)
    house.hold()
    with database.write() as connection:
        first, second, third, fourth = (house.team.meeting(connection, number) for number in range(4))
        between = meeting_site.topic(connection, house.team.pump, second, "Later", by=house.team.li, at=FIRST + 2 * DAY)
        diary.cancel(connection, second, NOW + DAY)
        topics.carry(connection, second.id, third.id)
        late = meeting_site.topic(connection, house.team.pump, third, "New", by=house.team.li, at=FIRST + 9 * DAY)
        topics.carry(connection, third.id, fourth.id)
        told = {
            meeting.number: [(one.title, one.meeting_id) for one in topics.carried_from(connection, meeting.id)]
            for meeting in (first, second, third, fourth)
        }
    old = [("Vibration at start-up", fourth.id), ("Lamps for the gauges", fourth.id)]
    new = [(one.title, fourth.id) for one in (between, late)]
    assert told == {1: old, 2: [], 3: [*old, *new], 4: []}


def test_an_action_that_is_done_says_so(house: House) -> None:
    house.hold()
    with house.site.database.write() as connection:
        connection.execute(update(tables.card).where(tables.card.c.kind == "action").values(done_at=FIRST + DAY))
    assert "Raj Patel by Fri 16 Oct 2026 done on Seal failures" in house.text(RAJ, PAGE)


def test_what_a_session_noted_is_read_while_the_next_one_is_to_come(house: House) -> None:
    house.hold()
    house.site.clock.set(FIRST + timedelta(hours=2))
    text = house.text(RAJ, PAGE)
    assert in_order(text, "Agenda", "Minutes", "Session 1", "Decided: Stiffer springs", "Who comes")


def test_minutes_may_be_added_to_by_mail_until_the_cut_off(house: House) -> None:
    house.hold()
    assert "Add to it by mail" in house.text(RAJ, PAGE)
    house.site.clock.set(FIRST + 6 * DAY)
    text = house.text(RAJ, PAGE)
    assert "by mail" not in text


def test_a_moved_meeting_keeps_its_address_and_shows_its_new_time_and_place(house: House) -> None:
    with house.site.database.write() as connection:
        meeting = house.team.meeting(connection)
        place = "https://meet.example.org/pump"
        diary.move(connection, meeting, meeting.sittings[0], FIRST + 2 * DAY, NOW, place=place)
    page = house.site.client(RAJ).get(PAGE).text
    assert "Thu 15 Oct 2026, 14:00" in page
    assert f'<a href="{place}" rel="nofollow noopener noreferrer">' in page


def test_a_meeting_leads_to_the_one_before_and_the_one_after(house: House) -> None:
    page = house.site.client(RAJ).get(NEXT).text
    assert f'rel="prev" href="{PAGE}">Tue 13 Oct 2026</a>' in page
    assert f'rel="next" href="{LIST}hour/2026-10-27/">Tue 27 Oct 2026</a>' in page
    assert 'rel="prev"' not in house.site.client(RAJ).get(PAGE).text


def test_the_community_and_the_readers_own_page_lead_to_the_meetings(house: House) -> None:
    client = house.site.client(RAJ)
    for path in ("/c/pump/", "/me/"):
        assert f'<a href="{LIST}">Meetings</a>' in client.get(path).text


def test_a_series_of_any_name_has_a_page_also_when_it_has_ended(house: House) -> None:
    with house.site.database.write() as connection:
        one = meeting_site.hour(connection, house.team.pump, name="night & day/hour?", title="Odd")
        series.end(connection, one.id, NOW)
    path = re.search(r'href="([^"]+night[^"]+/2026-10-13/)"', house.site.client(RAJ).get(LIST).text)
    assert path
    assert "<h1><bdi>Odd</bdi></h1>" in house.site.client(RAJ).get(unescape(path[1])).text


@pytest.mark.parametrize("path", ["hour/2026-10-14/", "nosuch/2026-10-13/", "hour/today/", "hour/20261013/", "/hour/"])
def test_a_meeting_that_is_not_there_is_not_found(house: House, path: str) -> None:
    assert house.site.client(RAJ).get(LIST + path).status_code == 404


def test_a_meeting_is_not_shown_under_another_community(house: House) -> None:
    with house.site.database.write() as connection:
        digest_site.community(connection, "valve", "Valves")
        digest_site.member(connection, RAJ, "valve")
        digest_site.member(connection, "tom@example.org", "valve")
    assert house.site.client(RAJ).get(PAGE.replace("pump", "valve")).status_code == 404
    for path in (LIST, PAGE, "/c/pump/meetings.ics"):
        assert house.site.client("tom@example.org").get(path).status_code == 404
        assert house.site.client().get(path).status_code == 404


def test_what_members_write_and_are_called_is_never_markup(house: House) -> None:
    house.hold()
    hostile = '"><script>alert(1)</script>\u202e{{ 7 * 7 }}'
    with house.site.database.write() as connection:
        for table, names in (
            (tables.person, ("name",)),
            (tables.crew, ()),
            (tables.topic, ("title", "text")),
            (tables.series, ("title",)),
            (tables.sitting, ("place",)),
            (tables.post, ("author_name", "subject", "text")),
            (tables.card, ("text",)),
            (tables.attendance, ("name", "comment")),
        ):
            if names:
                connection.execute(update(table).values(dict.fromkeys(names, hostile)))
    for path in (LIST, PAGE, NEXT):
        page = house.site.client(RAJ).get(path).text
        assert "alert(1)" in page
        assert "<script" not in page
        assert ">49<" not in page


# --- a member's link -------------------------------------------------------------------------------------------------


def token(client: Browser) -> str:
    found = re.search(r'name="form_token" value="([^"]+)"', client.get("/me/").text)
    assert found
    return found[1]


def made(client: Browser) -> str:
    """The path of a new link, as its page shows it."""
    answer = client.post(f"{LIST}calendar", data={"form_token": token(client)})
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    (link,) = set(re.findall(r"http://tidings\.example\.org(/f/[a-z2-7]{20,}/meetings\.ics)", answer.text))
    return link


def test_a_member_makes_a_link_and_is_shown_it_once(house: House) -> None:
    client = house.site.client(SAM)
    assert "Make my link" in client.get(LIST).text
    link = made(client)
    assert house.site.client().get(link).status_code == 200
    page = client.get(LIST).text
    assert "Make a new link" in page
    assert "/f/" not in page


def test_a_new_link_ends_the_one_before_and_revoking_ends_it_without_another(house: House) -> None:
    client = house.site.client(SAM)
    old = made(client)
    new = made(client)
    anybody = house.site.client()
    assert [anybody.get(path).status_code for path in (old, new)] == [404, 200]
    others = made(house.site.client(RAJ))
    answer = client.post(f"{LIST}calendar/revoke", data={"form_token": token(client)})
    assert (answer.status_code, answer.headers["location"]) == (303, LIST)
    assert [anybody.get(path).status_code for path in (new, others)] == [404, 200]
    assert "Make my link" in client.get(LIST).text


@pytest.mark.parametrize("path", [f"{LIST}calendar", f"{LIST}calendar/revoke"])
def test_a_link_is_made_and_revoked_by_the_members_own_form_only(house: House, path: str) -> None:
    link = made(house.site.client(SAM))
    client = house.site.client(SAM)
    own, evil = token(client), {"Origin": "https://evil.example.org"}
    assert client.get(path).status_code in (404, 405)
    assert client.post(path).status_code == 403
    assert client.post(path, data={"form_token": token(house.site.client(RAJ))}).status_code == 403
    assert client.post(path, data={"form_token": own}, headers=evil).status_code == 403
    admin = house.site.client(ADMIN)
    assert admin.post(path, data={"form_token": token(admin)}).status_code == 404
    assert house.site.client().post(path, data={"form_token": own}).status_code == 404
    with house.site.database.read() as connection:
        assert connection.execute(select(func.count()).select_from(tables.feed_token)).scalar_one() == 1
    assert house.site.client().get(link).status_code == 200


def test_an_admin_who_is_no_member_is_offered_no_link(house: House) -> None:
    page = house.site.client(ADMIN).get(LIST).text
    assert "You are not in this community." in page
    assert "/meetings/calendar" not in page


def test_looking_changes_nothing(house: House) -> None:
    house.hold()
    link = made(house.site.client(RAJ))

    def counts() -> list[int]:
        with house.site.database.read() as connection:
            every = [select(func.count()).select_from(table) for table in tables.metadata.tables.values()]
            return [connection.execute(one).scalar_one() for one in every]

    client = house.site.client(RAJ)
    before = counts()
    for path in (LIST, PAGE, NEXT, "/c/pump/meetings.ics", link):
        assert client.get(path).status_code == 200
        assert client.head(path).status_code == 200
    assert counts() == before


def test_roles_that_nobody_has_and_answers_that_nobody_gave_are_no_trouble(house: House) -> None:
    with house.site.database.write() as connection:
        meeting = house.team.meeting(connection, 2)
        assert roles.of_meeting(connection, meeting) == []
    text = house.text(RAJ, f"{LIST}hour/2026-10-27/")
    assert in_order(text, "Nobody leads one yet.", "Nothing more yet.", "Nobody has said.")
    assert "Who does what" not in text


# --- in a browser ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def browser() -> Iterator[Chromium]:
    with chromium() as found:
        yield found


@pytest.mark.slow
@pytest.mark.needs("chromium")
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_they_fit_a_phone_in_both_schemes(sqlite_database: Database, browser: Chromium, scheme: str) -> None:
    house = House(sqlite_database, place="https://meet.example.org/" + "a-very-long-name-of-a-room-" * 4)
    house.hold()
    own = "all => all.filter(one => !one.closest('.text'))"  # not what people wrote
    small = f"{own}.map(one => [one.getBoundingClientRect().height, one.outerHTML])"
    with served(house.site.app) as address:
        context = browser.new_context(
            viewport={"width": 360, "height": 740}, color_scheme=scheme, java_script_enabled=False
        )
        context.add_cookies([{"name": COOKIE, "value": house.site.session(RAJ), "url": address}])
        page = context.new_page()
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        for path in (LIST, PAGE, NEXT):
            page.goto(address + path)
            assert page.evaluate("document.scrollingElement.scrollWidth") <= 360, path
            found = page.eval_on_selector_all("a:not(.skip), button, input:not([type=hidden])", small)
            assert [html for height, html in found if height < 43.5] == [], path
        page.goto(address + LIST)
        page.get_by_role("button", name="Make my link").click()
        link = page.locator(".secret code").inner_text()
        assert page.evaluate("document.scrollingElement.scrollWidth") <= 360
        assert context.request.get(address + link.removeprefix(house.site.base_url)).status == 200
        assert all(url.startswith(address) for url in asked)
        context.close()
