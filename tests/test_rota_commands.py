"""The commands of rotas and crews: what a leader types, and what `tidings rota show` says of it."""

import shutil
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest

from tests.feeds import calendar, event, serving
from tests.small_site import Makings, Program, makings, run
from tidings.settings import example

FIXTURES = (makings,)
START = "2026-01-05"
PUMP, ANA, LI = "pump@lists.example.org", "ana@example.org", "li@example.org"


@pytest.fixture
def empty(tmp_path: Path, makings: Makings) -> Program:
    """The program on a site in which nothing is."""
    shutil.copytree(makings.blank, tmp_path / "site")
    (tmp_path / "site" / "tidings.toml").write_text(example({"admins": ["admin@example.org"]}))
    return Program(tmp_path / "site" / "tidings.toml")


@pytest.fixture
def shifts(empty: Program) -> Program:
    """The program on a site with a DuPont rota, whose crew B Li is in."""
    empty("community", "add", PUMP, "--name", "Pump team")
    empty("rota", "add", "plant", "--pattern", "DuPont", "--zone", "Europe/Berlin")
    empty("crew", "add", "B", "--rota", "plant", "--pattern", "B", "--start", START)
    empty("member", "add", "pump", LI, "--crew", "B")
    return empty


def _week(tidings: Program, *whose: str, first: str = "2026-01-05") -> str:
    """A letter a day."""
    shown = tidings("rota", "show", *whose, "--from", first, "--days", "7", "--json").json
    worked = {one["start"][:10]: one["shift"] for one in shown}
    days = [date.fromisoformat(first) + timedelta(days=number) for number in range(7)]
    return "".join(worked.get(day.isoformat(), "O") for day in days)


def test_a_persons_shifts_are_those_of_the_crew_with_what_was_said_of_both(shifts: Program) -> None:
    assert _week(shifts, "B") == _week(shifts, "--member", LI) == "DDDONNN"
    shifts("rota", "holiday", "plant", "2026-01-05", "--note", "holiday")
    swapped = shifts("rota", "swap", "2026-01-08", "D", "--crew", "B", "--json").json
    shifts("rota", "leave", LI, "--from", "2026-01-06", "--until", "2026-01-07")
    shifts("rota", "part-time", LI, "--from", "2026-01-05", "--days", "xxxxxxO")
    assert (_week(shifts, "B"), _week(shifts, "--member", LI)) == ("ODDDNNN", "OOODNNO")
    shifts("rota", "undo", str(swapped["id"]))
    assert (_week(shifts, "B"), _week(shifts, "--member", LI)) == ("ODDONNN", "OOOONNO")
    assert [one["note"] for one in shifts("rota", "changes", "--json").lines] == ["holiday", "", ""]


def test_a_rota_may_have_several_patterns_and_its_crews_one_each(empty: Program) -> None:
    times = "E=06:00-14:00,L=14:00-22:00"
    made = empty(
        "rota", "add", "shop", "--pattern", "early=EEEEEOO", "--pattern", "late=LLLLLOO", "--shifts", times, "--json"
    )
    assert made.json["patterns"] == {"early": "EEEEEOO", "late": "LLLLLOO"}
    for name in ("early", "late"):
        empty("crew", "add", name, "--rota", "shop", "--pattern", name, "--start", "2026-01-05")
    assert (_week(empty, "early"), _week(empty, "late")) == ("EEEEEOO", "LLLLLOO")
    empty("crew", "set", "late", "pattern=early", "start=2026-01-06")
    empty("rota", "set", "shop", "pattern=early=EEOOOOO")
    assert (_week(empty, "early"), _week(empty, "late")) == ("EEOOOOO", "OEEOOOO")
    empty("rota", "set", "shop", "zone=Asia/Kolkata", "shifts=E=05:00-13:00,L=13:00-21:00")
    assert empty("rota", "show", "early", "--from", "2026-01-05", "--days", "1", "--json").json == [
        {"start": "2026-01-05T05:00:00+05:30", "end": "2026-01-05T13:00:00+05:30", "shift": "E"}
    ]


def test_a_table_of_shifts_has_weekday_times_and_the_hours_of_a_clock_change(shifts: Program) -> None:
    shifts("crew", "add", "C", "--rota", "plant", "--pattern", "C", "--start", START)
    table = shifts("rota", "show", "C", "--from", "2026-03-27", "--days", "2").text
    assert [line.split() for line in table.splitlines()] == [
        ["day", "shift", "from", "until", "hours"],
        ["Fri", "2026-03-27", "N", "19:00", "07:00", "Sat", "12"],
        ["Sat", "2026-03-28", "N", "19:00", "07:00", "Sun", "11"],
    ]


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("show",), "Name a crew"),
        (("show", "B", "--member", LI), "Name a crew"),
        (("show", "--member", ANA), "Nobody here has the address"),
        (("swap", "2026-01-05", "N"), "--crew, or a person with --member"),
        (("swap", "2026-01-05", "X", "--crew", "B"), "no shift 'X'"),
        (("part-time", LI, "--from", "2026-01-05"), "Give the days"),
        (("leave", LI, "--from", "tomorrow"), "'tomorrow' is no date"),
        (("set", "plant", "shifts=D=07:00-19:00"), "N, which has no times"),
        (("set", "plant", "colour=red"), "no setting 'colour'"),
        (("undo", "7"), "There is no change 7"),
        (("import", "nowhere.ics"), "Cannot read nowhere.ics: No such file"),
    ],
)
def test_what_cannot_be_said_of_a_rota_is_refused_with_what_to_write(
    shifts: Program, words: tuple[str, ...], says: str
) -> None:
    ran = run(["-c", str(shifts.config), "rota", *words])
    assert ran.status != 0
    assert says in ran.err
    assert _week(shifts, "B") == "DDDONNN"


def test_a_feed_that_fails_is_told_by_the_crews_shifts_and_the_list(empty: Program) -> None:
    now = datetime.now(UTC)
    with serving() as served:
        served.body = calendar(event(f":{now:%Y%m%dT060000Z}", f":{now:%Y%m%dT140000Z}", title="Early"))
        assert empty("rota", "import", served.address, "--name", "office", "--json").json["shifts"] == 1
        served.status = 500
        empty("run-due", "--at", (now + timedelta(hours=25)).isoformat())
        assert served.asked == 2
    shown = empty("rota", "show", "office", "--from", f"{now:%Y-%m-%d}").text
    assert "Early" in shown
    assert "The calendar of office is that of" in shown
    [listed] = empty("rota", "calendars", "--json").lines
    assert listed["error"] == "The server answered 500 Internal Server Error."
