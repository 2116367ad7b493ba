"""The commands of meetings: what a leader types, what they print, and what is refused with the reason."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from tests import meeting_site
from tests.meeting_site import DOMAIN, NOW
from tests.small_site import Program, makings
from tests.test_rota_commands import empty
from tidings.clock import FixedClock
from tidings.communities import directory
from tidings.database.engine import Database
from tidings.digests.meetings import agenda, diary, series, topics
from tidings.digests.meetings.diary import Meeting

FIXTURES = (makings, empty)
PUMP = "pump@lists.example.org"
ANA, LI, SAM, RAJ = (f"{name}@example.org" for name in ("ana", "li", "sam", "raj"))
TUESDAY, NEXT = "2026-10-13", "2026-10-20"


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> FixedClock:
    """The clock of every command: a Saturday at noon in Berlin."""
    made = FixedClock(NOW)
    monkeypatch.setattr("tidings.app.SystemClock", lambda: made)
    return made


@pytest.fixture
def tidings(empty: Program, clock: FixedClock) -> Program:
    """The program on a site with the pump team: Ana and Li of crew C, Sam of crew D, and Raj of none."""
    empty("community", "add", PUMP, "--name", "Pump team", "--zone", "Europe/Berlin")
    empty(
        "rota",
        "add",
        "plant",
        "--pattern",
        "C=DDDDOOO",
        "--pattern",
        "D=NNNNOOO",
        "--shifts",
        "D=07:00-19:00,N=19:00-07:00",
    )
    for crew in "CD":
        empty("crew", "add", crew, "--rota", "plant", "--pattern", crew, "--start", "2026-10-05")
    for email, crew in ((ANA, "C"), (LI, "C"), (SAM, "D"), (RAJ, "")):
        empty("member", "add", "pump", email, "--name", email[:3].title().rstrip("@"), "--crew", crew)
    return empty


@pytest.fixture
def hour(tidings: Program) -> Program:
    """The same with a weekly hour, at 14:00 and at 22:00 for crew D."""
    sessions = ("--at", "14:00", "--session", "22:00=D")
    tidings("meeting", "add", "pump", "--name", "hour", "--on", "Tue", *sessions, "--place", "Room 2")
    return tidings


@pytest.fixture
def rows(hour: Program) -> Iterator[Database]:
    """The database of the site."""
    database = Database(f"sqlite:///{hour.config.parent / 'tidings.db'}")
    yield database
    database.close()


def shown(tidings: Program, *words: str) -> list[tuple[int, str, str]]:
    """The items of an agenda as `show` has them."""
    items = tidings("meeting", "show", "pump", *words, "--json").json["items"]
    return [(one["number"], one["title"], one["state"]) for one in items]


def first(database: Database) -> Meeting:
    with database.read() as connection:
        pump = directory.community(connection, "pump")
        return diary.of_series(connection, series.named(connection, pump, "hour").id)[0]


# --- series ----------------------------------------------------------------------------------------------------------


def test_a_series_that_is_added_has_its_meetings_planned_at_once(tidings: Program) -> None:
    made = tidings(
        *("meeting", "add", "pump", "--name", "guild", "--title", "Pump guild", "--on", "2026-10-13", "--at", "9:30=C"),
        *("--session", "+1 22:00=D", "--session", "12:00", "--repeats", "FREQ=MONTHLY;BYDAY=2TU", "--place", "Hall 1"),
        *("--zone", "America/New_York", "--format", "10 Round; 40 Cases", "--notice", "6", "--json"),
    ).json
    assert {
        key: made[key] for key in ("name", "title", "rhythm", "first_day", "zone", "notice", "place", "format")
    } == {
        "name": "guild",
        "title": "Pump guild",
        "rhythm": "FREQ=MONTHLY;BYDAY=2TU",
        "first_day": TUESDAY,
        "zone": "America/New_York",
        "notice": 6,
        "place": "Hall 1",
        "format": "own",
    }
    assert made["blocks"] == [{"minutes": 10, "title": "Round"}, {"minutes": 40, "title": "Cases"}]
    assert [(one["day"], one["starts"], one["crews"]) for one in made["sessions"]] == [
        (0, "09:30", ["C"]),
        (0, "12:00", []),
        (1, "22:00", ["D"]),
    ]
    assert [one["day"] for one in made["meetings"]] == [TUESDAY, "2026-11-10"]
    [begins, *_] = [one["starts_at"] for one in made["meetings"][1]["sessions"]]
    assert begins == "2026-11-10T09:30:00-05:00"


def test_series_are_listed_with_their_rhythm_and_what_is_to_come(hour: Program, clock: FixedClock) -> None:
    hour("meeting", "add", "pump", "--name", "board", "--on", "2027-03-01", "--at", "10:00", "--repeats", "once")
    listed = hour("meeting", "list", "pump").text
    assert "hour: Pump team, weekly from Tue 2026-10-13, 14:00, 22:00 for D (Europe/Berlin)" in listed
    assert "board: Pump team, once from Mon 2027-03-01, 10:00 (Europe/Berlin)" in listed
    assert listed.count("planned") == 11
    assert listed.index("2026-10-13  1") < listed.index("2026-11-10  2") < listed.index("2027-03-01  1")
    meetings = {one["name"]: one["meetings"] for one in hour("meeting", "list", "pump", "--json").lines}
    assert {name: len(found) for name, found in meetings.items()} == {"board": 1, "hour": 5}
    clock.set(datetime.fromisoformat(meetings["hour"][0]["sessions"][0]["starts_at"]))
    assert [one["state"] for one in hour("meeting", "list", "pump", "--json").lines[1]["meetings"][:2]] == [
        "begun",
        "planned",
    ]


def test_a_community_without_meetings_says_so(tidings: Program) -> None:
    assert "tidings meeting add" in tidings("meeting", "list", "pump").text
    assert tidings("meeting", "list", "pump", "--json").lines == []
    assert "pump has no meetings" in tidings("meeting", "show", "pump", status=1).err


@pytest.mark.parametrize(
    ("options", "status", "why"),
    [
        (["--on", "Tue", "--at", "noon"], 2, "no time of day"),
        (["--on", "soon", "--at", "14:00"], 2, "no day"),
        (["--on", "2026-10-01", "--at", "14:00", "--repeats", "once"], 2, "No meeting of it would be to come"),
        (["--on", "Tue", "--at", "14:00", "--repeats", "FREQ=SECONDLY"], 2, "no rhythm"),
        (["--on", "Tue", "--at", "14:00=X"], 1, "crew"),
        (["--on", "Tue", "--at", "14:00", "--session", "14:00"], 2, "same time"),
        (["--on", "Tue", "--at", "14:00", "--zone", "Mars"], 2, "no time zone"),
        (["--on", "Tue", "--at", "14:00", "--notice", "0"], 2, "no notice"),
        (["--on", "Tue", "--at", "14:00", "--format", "lecture"], 2, "no format"),
        (["--on", "2126-01-01", "--at", "14:00"], 2, "within ten years"),
    ],
)
def test_a_series_that_cannot_be_is_refused_and_leaves_nothing(
    tidings: Program, options: list[str], status: int, why: str
) -> None:
    assert why in tidings("meeting", "add", "pump", "--name", "hour", *options, status=status).err
    assert tidings("meeting", "list", "pump", "--json").lines == []


def test_a_series_is_changed_and_planned_anew_where_its_rhythm_is(hour: Program) -> None:
    hour("meeting", "set", "pump", "title=Pump guild", "notice=4")
    changed = hour("meeting", "set", "pump", "hour", "repeats=FREQ=WEEKLY;BYDAY=TU,TH", "--json").json
    assert (changed["title"], changed["notice"], changed["rhythm"]) == ("Pump guild", 4, "FREQ=WEEKLY;BYDAY=TU,TH")
    days = [one["day"] for one in changed["meetings"]]
    assert {TUESDAY, "2026-10-15", "2026-10-22"} <= set(days)
    assert "did you mean 'title'" in hour("meeting", "set", "pump", "titel=x", status=2).err
    assert "no KEY=VALUE" in hour("meeting", "set", "pump", "hour", "weekly", status=2).err


def test_a_series_that_ends_is_cancelled_and_listed_no_more(hour: Program) -> None:
    assert "hour has ended; 5 meetings are cancelled." in hour("meeting", "end", "pump").text
    assert hour("meeting", "list", "pump", "--json").lines == []
    assert "has no meetings" in hour("meeting", "end", "pump", status=1).err


def test_of_several_series_one_is_named(hour: Program) -> None:
    hour("meeting", "add", "pump", "--name", "board", "--on", "Wed", "--at", "10:00")
    for words in (["show", "pump"], ["cancel", "pump", TUESDAY], ["topic", "pump", "add", "Stock"], ["end", "pump"]):
        assert "name one of board, hour" in hour("meeting", *words, status=1).err
    assert hour("meeting", "show", "pump", "board", "--json").json["day"] == "2026-10-14"
    assert "did you mean 'board'" in hour("meeting", "show", "pump", "bord", status=1).err
    hour("meeting", "topic", "pump", "board", "add", "Stock")
    assert shown(hour, "board") == [(1, "Stock", "open")]
    assert shown(hour, "hour") == []


# --- one meeting -----------------------------------------------------------------------------------------------------


def test_an_agenda_is_shown_as_a_table_with_all_that_is_known_of_it(hour: Program, rows: Database) -> None:
    _prepare(rows)
    hour("meeting", "role", "pump", ANA, "--role", "lead")
    hour("meeting", "role", "pump", LI, "--role", "scribe", "--for", TUESDAY)
    text = hour("meeting", "show", "pump").text
    lines = [" ".join(line.split()) for line in text.splitlines()]
    assert "hour 2026-10-13 1 Tue 2026-10-13 14:00 15:00 Room 2 planned" in lines
    assert "hour 2026-10-13 2 Tue 2026-10-13 22:00 23:00 Room 2 planned" in lines
    at = lines.index("15 input by a discussion leader")
    assert lines[at : at + 6] == [
        "15 input by a discussion leader",
        "1 10 Seal failures Ana Raj 1 1",
        "30 discussion, and what members need",
        "2 25 Spare stock Li",
        "3 10 question: Which gauge? Sam no time",
        "15 other needs, and planning the next meeting",
    ]
    assert "lead: nobody yet; willing: Ana (0 times)" in lines
    assert "scribe: Li (once within a year); willing: nobody" in lines
    assert "session 1: 2 yes (1 of C, 1 guest), 1 no (1 of no crew)" in lines
    assert "session 2: 1 maybe (1 of D)" in lines
    assert "input #1: Li: Ours too." in lines
    assert "input: Raj: I may be late." in lines


def test_an_agenda_as_json_has_every_word(hour: Program, rows: Database) -> None:
    _prepare(rows)
    found = hour("meeting", "show", "pump", "hour", "--day", TUESDAY, "--json").json
    assert (found["series"], found["day"], found["number"], found["state"]) == ("hour", TUESDAY, 1, "planned")
    assert found["input_until"] == "2026-10-12T20:00:00+02:00"
    assert [(one["number"], one["crews"]) for one in found["sessions"]] == [(1, []), (2, ["D"])]
    seals, stock, gauge = found["items"]
    assert (seals["proposed_by"], seals["led_by"], seals["seconds"], seals["block"]) == ("Ana", "Raj", 1, 1)
    assert [(one["author"], one["text"]) for one in seals["inputs"]] == [("Li", "Ours too.")]
    assert (stock["minutes"], stock["fits"], gauge["kind"], gauge["fits"]) == (25, True, "question", False)
    assert {(one["session"], one["name"], one["crew"], one["guest"], one["answer"]) for one in found["coming"]} == {
        (1, "Ana", "C", False, "yes"),
        (1, "Eve", None, True, "yes"),
        (1, "Raj", None, False, "no"),
        (2, "Sam", "D", False, "maybe"),
    }
    assert [one["text"] for one in found["inputs"]] == ["I may be late."]


def test_what_came_of_a_meeting_is_shown_by_session(hour: Program, rows: Database, clock: FixedClock) -> None:
    _prepare(rows)
    meeting = first(rows)
    clock.set(meeting.sittings[1].ends_at)
    with rows.write() as connection:
        pump = directory.community(connection, "pump")
        people = {one.name: one for one in directory.members(connection, pump.id)}
        [seals, *_] = topics.of_meeting(connection, meeting.id)
        topics.settle(connection, seals.id, "done")
        action = ("action", "Order springs.", {"topic_id": seals.id, "owner_id": people["Raj"].person_id})
        night = meeting.sittings[1].starts_at
        meeting_site.minutes(connection, pump, meeting, [action], by=people["Li"], at=meeting.starts_at)  # type: ignore[list-item]
        meeting_site.minutes(connection, pump, meeting, [("note", "Six came.", {})], by=people["Sam"], at=night)
        meeting_site.write(connection, pump, seals.message_id, "Line 5, too.", by=people["Ana"], at=night)
    lines = hour("meeting", "show", "pump", "--day", TUESDAY).text.splitlines()
    assert "minutes of session 1 #1: action: Order springs. @Raj" in lines
    assert "minutes of session 2: note: Six came." in lines
    assert "added #1: Ana: Line 5, too." in lines
    found = hour("meeting", "show", "pump", "--day", TUESDAY, "--json").json
    assert found["state"] == "over"
    assert [(one["kind"], one["owner"], one["session"]) for one in found["items"][0]["results"]] == [
        ("action", "Raj", 1)
    ]
    assert [(one["text"], one["session"]) for one in found["results"]] == [("Six came.", 2)]
    assert [one["text"] for one in found["items"][0]["added"]] == ["Line 5, too."]
    assert hour("meeting", "show", "pump", "--json").json["day"] == NEXT


def _prepare(database: Database) -> None:
    """The first meeting with an agenda, answers and who comes."""
    with database.write() as connection:
        pump = directory.community(connection, "pump")
        people = {one.name: one for one in directory.members(connection, pump.id)}
        meeting = diary.of_series(connection, series.named(connection, pump).id)[0]
        seals = meeting_site.topic(connection, pump, meeting, "Seal failures", by=people["Ana"], lead=people["Raj"])
        meeting_site.topic(connection, pump, meeting, "Spare stock", by=people["Li"], minutes=25)
        topics.second(connection, seals.id, people["Sam"].person_id, NOW)
        asked = {"series_id": meeting.series.id, "meeting_id": meeting.id, "message_id": "gauge@example.org"}
        person_id = people["Sam"].person_id
        topics.propose(connection, title="Which gauge?", kind="question", person_id=person_id, now=NOW, **asked)
        meeting_site.write(connection, pump, seals.message_id, "Ours too.", by=people["Li"])
        root = agenda.message_id(pump, meeting, DOMAIN)
        meeting_site.write(connection, pump, root, "I may be late.", by=people["Raj"])
        for name, answer in (("Ana", "yes"), ("Raj", "no"), ("Sam", "maybe")):
            meeting_site.says(connection, meeting, people[name], answer)  # type: ignore[arg-type]
        guest = {"meeting_id": meeting.id, "email": "eve@elsewhere.example", "name": "Eve", "now": NOW}
        meeting_site.attendance.say(connection, answer="yes", **guest)  # type: ignore[arg-type]


def test_a_meeting_is_moved_in_time_and_place_and_found_by_either_day(hour: Program) -> None:
    moved = hour("meeting", "move", "pump", TUESDAY, "--to", "2026-10-15 15:30", "--session", "1", "--json").json
    assert [(one["starts_at"], one["state"]) for one in moved["sessions"]] == [
        ("2026-10-13T22:00:00+02:00", "planned"),
        ("2026-10-15T15:30:00+02:00", "moved"),
    ]
    for day in (TUESDAY, "2026-10-15"):
        assert hour("meeting", "show", "pump", "--day", day, "--json").json["day"] == TUESDAY
    text = hour("meeting", "move", "pump", "hour", "2026-10-15", "--place", "Hall 1", "--session", "2").text
    assert "Hall 1" in text
    assert hour("meeting", "show", "pump", "--json").json["state"] == "moved"


@pytest.mark.parametrize(
    ("words", "status", "why"),
    [
        ([TUESDAY], 2, "Say where it is moved"),
        ([TUESDAY, "--to", "2026-10-15 15:00"], 2, "2 sessions; say which"),
        ([TUESDAY, "--to", "2026-10-15 15:00", "--session", "3"], 2, "no session 3"),
        ([TUESDAY, "--to", "2026-10-01 15:00", "--session", "1"], 2, "into the past"),
        ([TUESDAY, "--to", "Thursday", "--session", "1"], 2, "no ISO 8601 time"),
        (["2026-10-14", "--to", "2026-10-15 15:00"], 1, "no meeting on 2026-10-14; there is 2026-10-13, 2026-10-20"),
        (["Tuesday", "--to", "2026-10-15 15:00"], 2, "no date"),
        (["the", "hour", TUESDAY, "--place", "x"], 2, "a series, where there are several, and a DATE"),
    ],
)
def test_a_move_that_cannot_be_is_refused(hour: Program, words: list[str], status: int, why: str) -> None:
    assert why in hour("meeting", "move", "pump", *words, status=status).err


def test_a_cancelled_meeting_stays_listed_and_is_changed_no_more(hour: Program) -> None:
    gone = hour("meeting", "cancel", "pump", TUESDAY, "--json").json
    assert (gone["series"], gone["day"], gone["state"]) == ("hour", TUESDAY, "cancelled")
    assert "is cancelled" in hour("meeting", "cancel", "pump", "hour", TUESDAY, status=2).err
    assert "is cancelled" in hour("meeting", "topic", "pump", "add", "Stock", "--day", TUESDAY, status=2).err
    role = ("--role", "lead", "--for", TUESDAY)
    assert "is cancelled" in hour("meeting", "role", "pump", ANA, *role, status=2).err
    assert "cancelled" in hour("meeting", "list", "pump").text
    assert hour("meeting", "show", "pump", "--json").json["day"] == NEXT


def test_what_was_on_the_agenda_of_a_cancelled_meeting_goes_on_the_next_one(hour: Program) -> None:
    hour("meeting", "topic", "pump", "add", "Stock")
    hour("meeting", "cancel", "pump", TUESDAY)
    hour("run-due", "--at", NOW.isoformat())
    assert shown(hour) == [(1, "Stock", "open")]
    assert hour("meeting", "show", "pump", "--json").json["items"][0]["carried"] == 1


def test_an_agenda_is_previewed_as_a_member_would_have_it(hour: Program, tmp_path: Path) -> None:
    hour("meeting", "topic", "pump", "add", "Seal failures", "--by", LI)
    made = hour("agenda", "preview", "pump", ANA, "--json").json
    assert "Seal failures" in made["text"]
    text = hour(
        "agenda", "preview", "pump", "hour", SAM, "--eml", tmp_path / "a.eml", "--html", tmp_path / "a.html"
    ).text
    assert text.startswith("Subject: ")
    assert "22:00" in text
    assert b"Seal failures" in (tmp_path / "a.eml").read_bytes()
    assert "Seal failures" in (tmp_path / "a.html").read_text()
    assert "Seal failures" not in hour("agenda", "preview", "pump", ANA, "--day", NEXT).text
    assert (
        "is over" in hour("agenda", "preview", "pump", ANA, "--day", TUESDAY, "--at", "2026-10-14T12:00", status=1).err
    )
    assert "not a member" in hour("agenda", "preview", "pump", "eve@example.org", status=1).err


# --- roles -----------------------------------------------------------------------------------------------------------


def test_people_say_that_they_are_willing_and_that_they_are_not(hour: Program) -> None:
    hour("meeting", "role", "pump", ANA, "--role", "lead")
    said = hour("meeting", "role", "pump", "hour", LI, "--role", "scribe", "--json").lines
    assert said == [{"role": "lead", "name": "Ana", "load": 0}, {"role": "scribe", "name": "Li", "load": 0}]
    hour("meeting", "role", "pump", ANA, "--role", "lead")
    assert hour("meeting", "role", "pump", ANA, "--role", "lead", "--not", "--json").lines == said[1:]
    assert "did not say" in hour("meeting", "role", "pump", ANA, "--role", "lead", "--not", status=1).err


def test_a_role_at_one_meeting_is_given_and_taken_away(hour: Program) -> None:
    def has() -> list[tuple[str, str]]:
        found = hour("meeting", "show", "pump", "--day", TUESDAY, "--json").json["roles"]
        return [(one["role"], one["name"]) for one in found]

    hour("meeting", "role", "pump", ANA, "--role", "lead", "--for", TUESDAY)
    assert has() == [("lead", "Ana")]
    away = ("--role", "lead", "--for", TUESDAY, "--not")
    assert "does not have that role" in hour("meeting", "role", "pump", LI, *away, status=1).err
    assert "Nobody else is willing" in hour("meeting", "role", "pump", ANA, *away, status=1).err
    hour("meeting", "role", "pump", RAJ, "--role", "lead")
    hour("meeting", "role", "pump", ANA, *away)
    assert has() == [("lead", "Raj")]
    hour("meeting", "role", "pump", LI, "--role", "lead", "--for", TUESDAY)
    assert has() == [("lead", "Li")]
    assert hour("meeting", "show", "pump", "--day", NEXT, "--json").json["roles"] == []


def test_a_role_that_cannot_be_is_refused(hour: Program) -> None:
    assert "no role 'cook'" in hour("meeting", "role", "pump", ANA, "--role", "cook", status=2).err
    assert "not a member of pump" in hour("meeting", "role", "pump", "eve@example.org", "--role", "lead", status=1).err
    wrong = ("--role", "lead", "--for", "2026-10-14")
    assert "no meeting on 2026-10-14" in hour("meeting", "role", "pump", ANA, *wrong, status=1).err


# --- topics ----------------------------------------------------------------------------------------------------------


def test_topics_are_added_ordered_timed_and_dropped_by_the_numbers_that_are_shown(hour: Program) -> None:
    made = hour("meeting", "topic", "pump", "add", "Seal failures", "--by", ANA, "--minutes", "20", "--json").lines
    assert [(one["title"], one["minutes"], one["proposed_by"]) for one in made] == [("Seal failures", 20, "Ana")]
    hour("meeting", "topic", "pump", "add", "Stock")
    assert "Oil" in hour("meeting", "topic", "pump", "hour", "add", "Oil").text
    assert [title for _, title, _ in shown(hour)] == ["Seal failures", "Stock", "Oil"]
    hour("meeting", "topic", "pump", "order", "3", "#2")
    assert [title for _, title, _ in shown(hour)] == ["Oil", "Stock", "Seal failures"]
    timed = hour("meeting", "topic", "pump", "time", "1", "5", "--json").lines
    assert (timed[0]["number"], timed[0]["title"], timed[0]["minutes"]) == (1, "Oil", 5)
    hour("meeting", "topic", "pump", "drop", "2")
    assert [title for _, title, _ in shown(hour)] == ["Oil", "Seal failures"]


def test_a_topic_is_added_to_the_meeting_of_a_day(hour: Program) -> None:
    hour("meeting", "topic", "pump", "add", "Stock", "--day", NEXT)
    assert (shown(hour), shown(hour, "--day", NEXT)) == ([], [(1, "Stock", "open")])


def test_what_is_done_is_changed_no_more(hour: Program, rows: Database) -> None:
    hour("meeting", "topic", "pump", "add", "Stock")
    meeting = first(rows)
    with rows.write() as connection:
        [stock] = topics.of_meeting(connection, meeting.id)
        topics.settle(connection, stock.id, "done")
    assert "has come to it already: Stock" in hour("meeting", "topic", "pump", "drop", "1", status=2).err
    assert shown(hour) == [(1, "Stock", "done")]


def test_a_full_agenda_takes_no_more(hour: Program, rows: Database) -> None:
    meeting = first(rows)
    asked = {"series_id": meeting.series.id, "meeting_id": meeting.id, "now": NOW}
    with rows.write() as connection:
        for number in range(topics.MOST):
            topics.propose(connection, title=f"{number}", message_id=f"{number}@example.org", **asked)
    assert "has 100 topics already" in hour("meeting", "topic", "pump", "add", "Stock", status=1).err


@pytest.mark.parametrize(
    ("words", "status", "why"),
    [
        (["add"], 2, "After add write a TITLE"),
        (["add", "Stock", "Oil"], 2, "After add write a TITLE"),
        (["add", " "], 2, "title is empty"),
        (["add", "x" * 121], 2, "longer than 120"),
        (["add", "two\nlines"], 2, "line break"),
        (["drop", "2"], 2, "'2' is no item of the agenda, which has 1"),
        (["drop", "0"], 2, "no item"),
        (["drop", "first"], 2, "no item"),
        (["order"], 2, "After order write NUMBERS"),
        (["time", "1"], 2, "After time write a NUMBER and MINUTES"),
        (["time", "1", "0"], 2, "no number of minutes from 1 to 1440"),
        (["time", "1", "long"], 2, "no number of minutes"),
        (["remove", "1"], 2, "Say what is done: add a TITLE, drop a NUMBER"),
        (["hour"], 2, "Say what is done"),
        (["hour", "drop", "7"], 2, "no item"),
        (["add", "Stock", "--day", "2026-10-14"], 1, "no meeting on 2026-10-14"),
        (["add", "Stock", "--by", "eve@example.org"], 1, "not a member"),
    ],
)
def test_what_cannot_be_done_to_an_agenda_is_refused(hour: Program, words: list[str], status: int, why: str) -> None:
    hour("meeting", "topic", "pump", "add", "Seals")
    assert why in hour("meeting", "topic", "pump", *words, status=status).err
    assert shown(hour) == [(1, "Seals", "open")]


def test_a_series_that_is_called_as_what_is_done_is_named_before_it(hour: Program) -> None:
    hour("meeting", "add", "pump", "--name", "order", "--on", "Wed", "--at", "10:00")
    hour("meeting", "topic", "pump", "order", "add", "Stock")
    assert shown(hour, "order") == [(1, "Stock", "open")]


def test_where_no_meeting_is_to_come_a_day_is_needed(tidings: Program, clock: FixedClock) -> None:
    tidings("meeting", "add", "pump", "--name", "board", "--on", TUESDAY, "--at", "10:00", "--repeats", "once")
    clock.advance(timedelta(days=10))
    assert "no meeting to come; name one with its day" in tidings("meeting", "show", "pump", status=1).err
    assert tidings("meeting", "show", "pump", "--day", TUESDAY, "--json").json["state"] == "over"
    assert "there is none to come" in tidings("meeting", "cancel", "pump", NEXT, status=1).err
