"""The command line: every command, what it prints for people and as JSON, and the exit status that says how it went."""

import json
import os
import re
import shutil
import signal
import smtplib
import subprocess
import sys
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import typer
from sqlalchemy import delete

from tests.feeds import calendar, event
from tests.running import message
from tests.small_site import Makings, Program, makings, run
from tests.test_import_export import GOOD, TOO_COMPLEX, as_mbox
from tidings import cli
from tidings.app import Site, open_site
from tidings.communities import sessions, standing
from tidings.database import tables
from tidings.digests import editions
from tidings.mailer.spool import Accepted
from tidings.settings import example, load

FIXTURES = (makings,)
SHIFTS = calendar(event(";VALUE=DATE:20200101"))
ROTAS = json.loads((Path(__file__).parent / "data" / "rotas.json").read_text())
OLD = [raw.replace(b"2026", b"2020") for raw in GOOD]  # before any clock that runs this
PUMP, ANA, LI, SAM = "pump@lists.example.org", "ana@example.org", "li@example.org", "sam@example.org"


def _tuesday_after_the_next_cut_off() -> datetime:
    """A moment at which the digests of the Sunday before are due to everybody."""
    day = datetime.now(UTC).replace(hour=12, minute=0, second=0, microsecond=0) + timedelta(days=8)
    return day + timedelta(days=(1 - day.weekday()) % 7)


SOON = _tuesday_after_the_next_cut_off().isoformat()
LATER = (_tuesday_after_the_next_cut_off() + timedelta(days=14)).isoformat()

# --- a small life ----------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def life(tmp_path_factory: pytest.TempPathFactory, makings: Makings) -> Path:
    """The folder of a site in which something of everything is; tests work on copies of it."""
    folder = tmp_path_factory.mktemp("life") / "site"
    tidings = Program(folder / "tidings.toml")
    assert run(["init", str(folder), "--yes", "--admin", "admin@example.org"]).status == 0
    tidings("community", "add", PUMP, "--name", "Pump team", "--zone", "Europe/Berlin")
    tidings("rota", "add", "plant", "--pattern", "dupont")
    tidings("crew", "add", "B", "--rota", "plant", "--pattern", "B", "--start", ROTAS["start"])
    tidings("rota", "holiday", "plant", "2020-01-01", "--note", "New Year")
    (folder / "office.ics").write_bytes(SHIFTS)
    tidings("rota", "import", folder / "office.ics", "--crew", "A1")
    tidings("member", "add", "pump", ANA, "--name", "Ana", "--role", "owner")
    tidings("member", "add", "pump", LI, "--name", "Li", "--crew", "B")
    tidings("community", "sender", "pump", "guest@example.net", "allow")
    tidings("member", "add", "pump", SAM, "--name", "Sam", "--delivery", "weekly", "--zone", "America/St_Johns")
    (folder / "old.mbox").write_bytes(as_mbox(*OLD, TOO_COMPLEX))
    tidings("import", "pump", folder / "old.mbox")
    site = open_site(load(tidings.config))
    _receive(site, makings, "Spare stock", "Are two seals left?\n", "stock@example.org")
    _receive(site, makings, "Away", "I am away.\n", "away@example.org", Auto_Submitted="auto-replied")
    (shunted,) = site.spool.append([_accepted(b"Subject: poison\r\n\r\nx\r\n")], state="shunted")
    site.spool.shunt(shunted, "Traceback (most recent call last):\nValueError: poison")
    assert tidings("run-due", "--at", SOON, "--json").json["editions"] == 1
    _receive(site, makings, "Grease", "Which grease for the cold store?\n", "grease@example.org")
    site.close()
    tidings("thread", "split", "pump", "grease@example.org")
    return folder


def _accepted(raw: bytes) -> Accepted:
    now = datetime.now(UTC)
    return Accepted(mail_from=ANA, recipient=PUMP, peer="test", via="smtp", received_at=now, raw=raw)


def _receive(site: Site, makings: Makings, subject: str, text: str, message_id: str, **fields: str) -> None:
    raw = message(ANA, PUMP, subject, text, message_id, **fields).as_bytes().replace(b"\n", b"\r\n")
    site.spool.append([_accepted(raw)])
    intake = site.intake(makings.worker)
    intake.drain()
    intake.close()


@pytest.fixture
def tidings(life: Path, tmp_path: Path) -> Program:
    """The program on a copy of that site."""
    shutil.copytree(life, tmp_path / "site")
    return Program(tmp_path / "site" / "tidings.toml")


@pytest.fixture
def empty(tmp_path: Path, makings: Makings) -> Program:
    """The program on a site in which nothing is."""
    shutil.copytree(makings.blank, tmp_path / "site")
    (tmp_path / "site" / "tidings.toml").write_text(example({"admins": ["admin@example.org"]}))
    return Program(tmp_path / "site" / "tidings.toml")


def key(tidings: Program, state: str) -> str:
    """The key of the first message in a state."""
    return str(tidings("hold" if state == "held" else "shunt", "list", "--json").lines[0]["key"])


# --- every command, for programs and for people ----------------------------------------------------------------------

COMMUNITY = {
    *("id", "name", "title", "description", "zone", "posting", "cut_off_weekday", "cut_off_time", "archived"),
    *("last_number", "last_period_at"),
    *("domain", "language", "newcomer_posts", "max_size", "max_attachments", "signed_only", "replies"),
    *("subject_prefix", "footer", "urgent"),
}
MEMBER = {
    *("membership_id", "community_id", "person_id", "name", "email", "role", "delivery", "cursor", "zone", "crew_id"),
    *(
        "language",
        "digest_at",
        "one_mail",
        "format",
        "quiet",
        "digest_weekday",
        "digest_time",
        "held_posts",
        "own_posts",
        "also_named",
        "paused_until",
        "stopped_at",
    ),
}
WAITING = {
    *("key", "state", "via", "received_at", "mail_from", "recipient", "message_id", "subject", "reason", "traceback"),
    *("author", "community", "size"),
}
CHANGE = {"id", "scope", "name", "first_day", "last_day", "days", "only", "note"}
CALENDAR = {"id", "rota", "pattern", "source", "checked_at", "read_at", "error", "left_out"}
ROTA = {"id", "name", "zone", "shifts", "patterns"}
CREW = {"id", "name", "rota", "pattern", "cycle", "start_date"}
PERIOD = {
    *("community", "rhythm", "number", "cut_off_at", "up_to", "next_due"),
    *("waiting", "composed", "quiet", "dropped"),
}
DONE = {"periods", "editions", "quiet", "failed", "notices"}
IMPORTED = {"stored", "duplicate", "held", "refused"}
BRANCH = {"message_id", "parent", "thread", "subject", "date", "author", "why"}
HIT = {"message_id", "thread", "subject", "date", "author", "snippet"}
SAID = {"kind", "message_id", "parent_message_id"}
OFFER = {"message_id", "subject", "author", "date", "parent", "parent_subject"}
KEPT = SAID | {"id", "created_at", "by", "undone_at"}
SHOWN = {"message_id", "number", "subject", "author", "date", "text", "folded", "attachments"}
PLAN = {
    *("community", "zone", "first", "weeks", "repeats", "crews", "crewless", "slots"),
    *("current", "best", "pair", "rotation", "rotation_pays"),
}
PREVIEW = {"subject", "text", "html", "due_at"}

# The words behind each command, whether it prints one object, lines of them or a list, and their keys.
COMMANDS: dict[str, tuple[tuple[str, ...], str, set[str]]] = {
    "community add": (("valves", "--name", "Valves"), "object", COMMUNITY),
    "community list": ((), "lines", COMMUNITY),
    "community show": (("pump",), "object", COMMUNITY | {"members"}),
    "community set": (("pump", "cut-off=Fri 12:00"), "object", COMMUNITY),
    "community archive": (("pump",), "object", COMMUNITY),
    "community sender": (("pump", "guest@example.net", "ban"), "object", {"email", "rule"}),
    "community senders": (("pump",), "lines", {"email", "rule", "created_at"}),
    "member add": (("pump", "raj@example.org"), "object", MEMBER),
    "member list": (("pump",), "lines", MEMBER),
    "member show": (("pump", SAM), "object", MEMBER | {"told_in", "timing", "next_due", "quiet_from", "quiet_until"}),
    "member set": (("pump", LI, "delivery=none"), "object", MEMBER),
    "member remove": (("pump", LI), "object", MEMBER),
    "member import": (("pump", "{csv}"), "lines", {"row", "email", "verdict", "reason"}),
    "rota add": (("other", "--pattern", "DNOO", "--shifts", "D=07:00-19:00,N=19:00-07:00"), "object", ROTA),
    "rota set": (("plant", "zone=Asia/Kolkata", "pattern=E=DDOO"), "object", ROTA),
    "rota list": ((), "lines", ROTA),
    "rota import": (("{ics}", "--zone", "Europe/Berlin"), "object", CALENDAR | {"shifts"}),
    "rota calendars": ((), "lines", CALENDAR),
    "rota holiday": (("plant", "2026-12-25", "--only", "D", "--note", "Christmas"), "object", CHANGE),
    "rota swap": (("2026-12-24", "N", "--crew", "B"), "object", CHANGE),
    "rota leave": ((LI, "--from", "2026-07-01", "--until", "2026-07-14"), "object", CHANGE),
    "rota part-time": ((LI, "--from", "2026-07-01", "--weekdays", "Mon,Tue"), "object", CHANGE),
    "rota changes": ((), "lines", CHANGE),
    "rota undo": (("1",), "object", CHANGE),
    "rota show": (("B",), "list", {"start", "end", "shift"}),
    "crew add": (("C", "--rota", "plant", "--pattern", "C", "--start", "2026-01-05"), "object", CREW),
    "crew set": (("B", "start=2026-01-06"), "object", CREW),
    "crew list": ((), "lines", CREW),
    "meeting plan": (("pump",), "object", PLAN),
    "import": (("pump", "{mbox}"), "object", IMPORTED),
    "export": (("pump", "--mbox", "{new}"), "object", {"written"}),
    "tree": (("pump",), "lines", BRANCH),
    "thread split": (("pump", "answer@example.org"), "lines", SAID),
    "thread attach": (("pump", "stock@example.org", "seal@example.org"), "lines", SAID),
    "thread merge": (("pump", "stock@example.org", "seal@example.org"), "lines", SAID),
    "thread undo": (("pump", "grease@example.org"), "lines", KEPT),
    "thread list": (("pump",), "lines", KEPT),
    "thread offers": (("pump",), "lines", OFFER),
    "show": (("answer@example.org",), "object", SHOWN),
    "fold": ((), "object", {"reply", "folded", "signature"}),
    "search": (("pump", "seal"), "lines", HIT),
    "digest preview": (("pump", SAM), "object", PREVIEW),
    "digest send": (("pump",), "object", DONE),
    "digest list": (("pump",), "lines", PERIOD),
    "hold list": ((), "lines", WAITING),
    "hold accept": (("{held}",), "object", WAITING),
    "hold reject": (("{held}", "--reason", "Too long"), "object", WAITING),
    "hold discard": (("{held}",), "object", WAITING),
    "shunt list": ((), "lines", WAITING),
    "shunt show": (("{shunted}",), "object", WAITING),
    "shunt retry": (("{shunted}",), "object", WAITING),
    "shunt discard": (("{shunted}",), "object", WAITING),
    "queue": ((), "lines", {"state", "route", "domain", "count"}),
    "retract": (("stock@example.org",), "object", {"dropped"}),
    "why": (("stock@example.org",), "list", {"at", "what", "detail"}),
    "run-due": (("--at", SOON), "object", DONE),
    "rebuild": ((), "object", {"posts"}),
}
SILENT = {
    *("community set", "community archive", "community sender", "member set", "member remove"),
    *("rota set", "rota undo", "crew set"),
    *("hold accept", "hold reject", "hold discard", "shunt retry", "shunt discard"),
}
TESTED_BELOW = {
    "init",
    "serve",
    "check",
    "config example",
    "stopped list",
    "stopped back",
    "stopped end-wave",
    "mailbox troubles",
}
TESTED_ELSEWHERE = {
    *("demo", "bounce", "digest lint", "simulate", "config postfix", "doctor", "erase"),
    *("meeting add", "meeting list", "meeting show", "meeting set", "meeting move", "meeting cancel", "meeting end"),
    *("meeting role", "meeting topic", "agenda preview"),
}


def commands() -> set[str]:
    """Every command of the program."""

    def walk(command: Any, words: tuple[str, ...]) -> Iterator[str]:
        for name, inner in getattr(command, "commands", {}).items():
            yield from walk(inner, (*words, name))
        if not hasattr(command, "commands"):
            yield " ".join(words)

    return set(walk(typer.main.get_command(cli.app), ()))


def test_every_command_is_tried_here() -> None:
    assert commands() == set(COMMANDS) | TESTED_BELOW | TESTED_ELSEWHERE


def words_of(command: str, tidings: Program) -> list[str]:
    folder = tidings.config.parent
    (folder / "people.csv").write_text("email,name\nraj@example.org,Raj\n")
    (folder / "desk.ics").write_bytes(SHIFTS)
    given = {
        "csv": str(folder / "people.csv"),
        "ics": str(folder / "desk.ics"),
        "mbox": str(folder / "old.mbox"),
        "new": str(folder / "new.mbox"),
    }
    words = [*command.split(), *COMMANDS[command][0]]
    if "{held}" in words or "{shunted}" in words:
        given |= {state: key(tidings, state) for state in ("held", "shunted")}
    return [word.format(**given) for word in words]


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_prints_json_with_the_documented_keys(command: str, tidings: Program) -> None:
    _, kind, keys = COMMANDS[command]
    ran = tidings(*words_of(command, tidings), "--json", stdin=b"Yes.\n\n-- \nAna\n")
    assert ran.err == ""
    found = ran.lines if kind == "lines" else ran.json if kind == "list" else [ran.json]
    assert found, "something is there to be printed"
    for one in found:
        assert set(one) == keys


@pytest.mark.parametrize("command", COMMANDS)
def test_a_command_prints_words_for_people(command: str, tidings: Program) -> None:
    ran = tidings(*words_of(command, tidings), stdin=b"Yes.\n\n-- \nAna\n")
    assert ran.err == ""
    assert not ran.text.startswith(("{", "["))
    assert bool(ran.out) != (command in SILENT)


# --- what some of them say -------------------------------------------------------------------------------------------


def test_the_tree_has_bare_ids_a_parent_or_null_and_the_reason(tidings: Program) -> None:
    lines = {line["message_id"]: line for line in tidings("tree", "pump", "--json").lines}
    assert lines["answer@example.org"] == {
        "message_id": "answer@example.org",
        "parent": "seal@example.org",
        "thread": "seal@example.org",
        "subject": "Re: Seal leaks at start-up",
        "date": "2020-03-02T08:00:00+00:00",
        "author": "Li",
        "why": "in-reply-to",
    }
    assert lines["seal@example.org"]["parent"] is None
    assert lines["later@example.org"]["thread"] == "seal@example.org"
    assert lines["aside@example.org"]["parent"] is None, "its parent was never seen"
    assert lines["aside@example.org"]["thread"] == lines["orphan@example.org"]["thread"] == "orphan@example.org"
    assert "\n  2020-03-02 Li: Re: Seal leaks at start-up\n" in tidings("tree", "pump").text


def test_a_post_is_shown_with_what_is_folded_and_attached(tidings: Program) -> None:
    answer = tidings("show", "<answer@example.org>", "--json").json
    assert answer["text"] == "The new one."
    assert answer["folded"] == ["On Monday, Ana wrote:\n> Which seal is on line 3?"]
    later = tidings("show", "later@example.org", "--json").json
    (attached,) = later["attachments"]
    assert (later["subject"], later["text"]) == ("Pumpenräder", "Die Räder sind da.")
    assert (attached["filename"], attached["content_type"], attached["size"]) == ("wheels.csv", "text/csv", 4)
    assert (len(bytes.fromhex(attached["sha256"])), attached["also_in"]) == (32, [])
    people = tidings("show", "later@example.org").text
    assert "[attached: wheels.csv, 4 bytes]" in people
    assert "[folded: 2 lines]" in tidings("show", "answer@example.org").text


def test_raw_bytes_are_shown_as_they_came(tidings: Program) -> None:
    assert tidings("show", "later@example.org", "--raw").out == OLD[2]
    assert tidings("shunt", "show", key(tidings, "shunted"), "--raw").out == b"Subject: poison\r\n\r\nx\r\n"
    assert "ValueError: poison" in tidings("shunt", "show", key(tidings, "shunted")).text


def test_a_message_or_a_plain_text_is_folded(tidings: Program, tmp_path: Path) -> None:
    text = "The new one.\n\nOn Monday, Ana wrote:\n> Which seal?\n\n-- \nLi\n"
    expected = {"reply": "The new one.", "folded": ["On Monday, Ana wrote:\n> Which seal?"], "signature": "-- \nLi"}
    assert tidings("fold", "--json", stdin=text.encode()).json == expected
    (tmp_path / "one.eml").write_bytes(message(LI, PUMP, "Re: Seal", text, "x@example.org").as_bytes())
    assert tidings("fold", tmp_path / "one.eml", "--json").json == expected
    assert (
        tidings("fold", stdin=text.encode()).text
        == "The new one.\n\n[folded quote: 2 lines]\n\n[folded signature: 2 lines]\n"
    )


def test_what_was_passed_on_is_not_folded(tidings: Program, tmp_path: Path) -> None:
    text = "See below.\n\nFrom: Ana\nSent: Monday\nTo: Li\nSubject: Seal\n\nIt leaks.\n"
    for subject, reply in (("Re: Seal", "See below."), ("Fwd: Seal", text.strip())):
        (tmp_path / "one.eml").write_bytes(message(LI, PUMP, subject, text, "x@example.org").as_bytes())
        assert tidings("fold", tmp_path / "one.eml", "--json").json["reply"] == reply


def test_search_narrows_and_says_in_which_thread(tidings: Program) -> None:
    found = tidings("search", "pump", "has:attachment", "from:sam", "--json").lines
    assert [(hit["message_id"], hit["thread"]) for hit in found] == [("later@example.org", "seal@example.org")]
    assert len(tidings("search", "pump", "seal", "--limit", "1", "--json").lines) == 1
    assert tidings("search", "pump", '"', "--json").out == b""
    assert tidings("search", "pump", "nowhere").text == "Nothing found.\n"
    assert len(tidings("search", "pump", "seal", "--sort", "relevance", "--json").lines) > 1


@pytest.mark.parametrize("rota", ["dupont", "continental"])
def test_a_crews_shifts_are_those_of_the_given_spans_over_both_clock_changes(rota: str, empty: Program) -> None:
    empty("rota", "add", "plant", "--pattern", rota, "--zone", ROTAS["zone"])
    for crew in "ABCD":
        empty("crew", "add", crew, "--rota", "plant", "--pattern", crew, "--start", ROTAS["start"])
        for season, first in (("spring", "2026-03-27"), ("autumn", "2026-10-23")):
            shown = empty("rota", "show", crew, "--from", first, "--days", "4", "--json").json
            spans = [[one["shift"], _utc(one["start"]), _utc(one["end"])] for one in shown]
            assert spans == [span[:3] for span in ROTAS["rotas"][rota]["utc"][season][crew]]
            for one in shown:
                assert set(one) == {"start", "end", "shift"}
                assert re.search(r"T\d\d:00:00\+0[12]:00$", one["start"]), "wall-clock time with its offset"


def _utc(text: str) -> str:
    return f"{datetime.fromisoformat(text).astimezone(UTC):%Y-%m-%dT%H:%MZ}"


def test_a_rota_is_shown_from_today_and_the_clock_says_when_that_is(tidings: Program) -> None:
    shown = tidings("rota", "show", "B", "--days", "1", "--at", "2026-03-30T04:00", "--json").json
    assert shown == [{"start": "2026-03-30T07:00:00+02:00", "end": "2026-03-30T19:00:00+02:00", "shift": "D"}]
    assert tidings("rota", "show", "B", "--from", "2026-03-27", "--days", "1", "--json").json == []
    assert tidings("rota", "show", "B", "--from", "2026-03-27", "--days", "1").text == "No shift in that time.\n"


def test_members_come_go_and_change(tidings: Program, tmp_path: Path) -> None:
    tidings("member", "set", "pump", LI, "delivery=weekly", "digest=Mon 06:30", "crew=none", "name=Li Wei")
    (li,) = [one for one in tidings("member", "list", "pump", "--json").lines if one["email"] == LI]
    assert (li["name"], li["delivery"], li["crew_id"]) == ("Li Wei", "weekly", None)
    assert (li["digest_weekday"], li["digest_time"]) == (0, "06:30")
    tidings("member", "set", "pump", LI, "digest=day-off 09:00", "crew=B", "one-mail=no", "quiet=asleep")
    li = tidings("member", "show", "pump", LI, "--json").json
    assert (li["language"], li["told_in"]) == (None, "en")
    assert (li["digest_at"], li["digest_time"], li["one_mail"], li["quiet"]) == ("off", "09:00", False, "asleep")
    assert li["timing"] == "It comes at 09:00 on your first day off after Sunday 18:00 (Europe/Berlin)."
    assert li["next_due"] and li["quiet_from"] is None, "quiet hours are for who gets each post"
    tidings("member", "set", "pump", LI, "delivery=each", "language=deutsch")
    li = tidings("member", "show", "pump", LI, "--json").json
    assert li["quiet_until"] and li["next_due"] is None
    assert (li["language"], li["told_in"]) == ("de", "de")
    assert "nobody@example.org is not a member" in tidings("member", "show", "pump", "nobody@example.org", status=1).err
    tidings("member", "remove", "pump", LI)
    (tmp_path / "people.csv").write_text(
        f"email,name,delivery,language\n{LI},Li,daily,es\n{ANA},,,\nno address,,,\nx@example.org,X,x,\n"
    )
    rows = tidings("member", "import", "pump", tmp_path / "people.csv", "--json").lines
    assert [row["verdict"] for row in rows] == ["added", "already a member", "refused", "refused"]
    assert [row["row"] for row in rows] == [1, 2, 3, 4]
    assert "'no address' is no e-mail address" in rows[2]["reason"]
    listed = tidings("member", "list", "pump", "--json").lines
    assert {one["email"]: one["language"] for one in listed} == {ANA: None, LI: "es", SAM: None}
    assert {one["email"]: one["delivery"] for one in listed} == {ANA: "each", LI: "daily", SAM: "weekly"}


def test_a_communitys_settings_are_set_and_it_is_closed(tidings: Program) -> None:
    tidings("community", "set", "pump", "posting=open", "cut-off=Fri 12:00", "title=Pumps")
    shown = tidings("community", "show", "pump", "--json").json
    assert (shown["posting"], shown["cut_off_weekday"], shown["cut_off_time"]) == ("open", 4, "12:00")
    assert (shown["cut_off_weekday"], shown["cut_off_time"], shown["title"]) == (4, "12:00", "Pumps")
    assert (shown["members"], shown["archived"], shown["last_number"]) == (3, False, 7)
    tidings("community", "archive", "pump")
    assert tidings("community", "list", "--json").lines[0]["archived"] is True


def test_import_writes_a_verdict_for_every_message(empty: Program, tmp_path: Path) -> None:
    empty("community", "add", "pump", "--name", "Pump")
    mail, log = tmp_path / "old.mbox", tmp_path / "verdicts.jsonl"
    mail.write_bytes(as_mbox(*OLD, OLD[0], TOO_COMPLEX, b"\n"))
    counts = {"stored": 5, "duplicate": 1, "held": 1, "refused": 1}
    assert empty("import", "pump", mail, "--dry-run", "--json").json == counts
    assert empty("tree", "pump", "--json").out == b""
    assert empty("import", "pump", mail, "--verdicts", log, "--json").json == counts
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["verdict"] for line in lines] == ["stored"] * 5 + ["duplicate", "held", "refused"]
    assert lines[0] == {
        "source": f"{mail}:1",
        "verdict": "stored",
        "reason": "",
        "message_id": "seal@example.org",
        "read_as": "mbox",
        "offset": len(as_mbox(OLD[0])),
    }
    assert all(line["reason"] for line in lines[5:])
    assert lines[-1]["offset"] == mail.stat().st_size
    again = empty("import", "pump", mail).text
    assert again == "stored: 0\nduplicate: 6\nheld: 1\nrefused: 1\n"
    assert len(empty("hold", "list", "--json").lines) == 1


def test_what_was_exported_is_what_was_imported(empty: Program, tmp_path: Path) -> None:
    empty("community", "add", "pump", "--name", "Pump")
    mail, out, folder = tmp_path / "old.mbox", tmp_path / "new.mbox", tmp_path / "Maildir"
    mail.write_bytes(as_mbox(*OLD))
    empty("import", "pump", mail)
    assert empty("export", "pump", "--mbox", out, "--json").json == {"written": 5}
    assert out.read_bytes() == mail.read_bytes()
    assert empty("export", "pump", "--maildir", folder, "--json").json == {"written": 5}
    assert [file.read_bytes() for file in sorted((folder / "new").iterdir())] == OLD


def test_a_digest_is_previewed_without_a_trace_and_then_sent(tidings: Program, tmp_path: Path) -> None:
    eml, html = tmp_path / "digest.eml", tmp_path / "digest.html"
    before = tidings("digest", "list", "--json").lines
    preview = tidings("digest", "preview", "pump", SAM, "--eml", eml, "--html", html, "--at", SOON, "--json").json
    assert "Which grease for the cold store?" in preview["text"]
    assert preview["text"].count("Are two seals left?") == 1, "he was told of it already, and it has no answer yet"
    assert html.read_text() == preview["html"]
    assert b"\r\nTo: " in eml.read_bytes()
    assert tidings("digest", "preview", "pump", SAM, "--at", SOON).text.startswith(f"Subject: {preview['subject']}\n")
    assert tidings("digest", "list", "--json").lines == before

    assert tidings("digest", "send", "pump", "--json").json["editions"] == 1
    after = tidings("digest", "list", "pump", "--json").lines
    assert len(after) == len(before) + 1
    assert after[0]["composed"] == 1 or after[1]["composed"] == 1
    assert tidings("why", "grease@example.org", SAM).text.count("item 1 of") == 1
    assert tidings("digest", "send", "pump", "--json").json["editions"] == 0, "nobody is told twice"


def test_run_due_does_what_is_due_once(tidings: Program) -> None:
    assert tidings("run-due", "--at", LATER, "--json").json == {
        "periods": 1,
        "editions": 1,
        "quiet": 0,
        "failed": 0,
        "notices": 1,  # to the moderator: something is held
    }
    assert tidings("run-due", "--at", LATER).text == "periods: 0\neditions: 0\nquiet: 0\nfailed: 0\nnotices: 0\n"


def test_held_and_shunted_mail_is_accepted_taken_in_again_or_thrown_away(tidings: Program) -> None:
    held = tidings("hold", "list", "--json").lines
    assert [one["message_id"] for one in held] == [None, "away@example.org"]
    assert "An automatic mail (Auto-Submitted: auto-replied)." in tidings("hold", "list").text
    tidings("hold", "accept", held[1]["key"])
    tidings("hold", "discard", held[0]["key"][:6])
    assert tidings("hold", "list").text == "Nothing is held.\n"
    tidings("shunt", "retry", key(tidings, "shunted"))
    assert tidings("shunt", "list").text == "Nothing is shunted.\n"


def test_a_stopped_address_is_listed_and_brought_back(tidings: Program) -> None:
    assert tidings("stopped", "list").text == "No address is stopped.\n"
    assert "is not stopped" in tidings("stopped", "back", LI, status=1).err
    assert "no wave" in tidings("stopped", "end-wave", status=1).err
    site = open_site(load(tidings.config))
    failure = standing.Failure(permanent=True, status="5.1.1", reason="No such user", about_message=False)
    with site.database.write() as connection:
        found = standing.address_at(connection, LI)
        assert found is not None
        for day in range(3):
            moment = datetime.now(UTC) - timedelta(days=day)
            standing.came_back(connection, found.id, failure, now=moment, settings=site.settings.bounces)
    site.close()
    (stopped,) = tidings("stopped", "list", "--json").lines
    assert (stopped["email"], stopped["probes"]) == (LI, 0)
    assert LI in tidings("stopped", "list").text
    assert tidings("stopped", "back", LI, "--json").json["stopped_at"] is None
    assert tidings("stopped", "list", "--json").lines == []


def test_what_could_not_be_fetched_is_listed(tidings: Program) -> None:
    assert tidings("mailbox", "troubles").text == "All that came was fetched.\n"
    site = open_site(load(tidings.config))
    with site.spool_database.write() as connection:
        row = {"mailbox": "pump@mail.example/INBOX", "uid_validity": 1, "uid": 7, "tries": 3, "error": "too large"}
        connection.execute(tables.mailbox_trouble.insert().values(row))
    site.close()
    (found,) = tidings("mailbox", "troubles", "--json").lines
    assert (found["uid"], found["error"], found["given_up"]) == (7, "too large", True)


@pytest.mark.acceptance(36)
def test_no_address_of_a_community_becomes_a_member(tidings: Program) -> None:
    assert "round in circles" in tidings("member", "add", "pump", "pump-request@lists.example.org", status=2).err
    rows = tidings.config.parent / "rows.csv"
    rows.write_text("email\npump+owner@lists.example.org\nraj@example.org\n")
    verdicts = tidings("member", "import", "pump", rows, "--json").lines
    assert [one["verdict"] for one in verdicts] == ["refused", "added"]


def test_a_wave_of_bounces_is_ended(tidings: Program) -> None:
    site = open_site(load(tidings.config))
    now = datetime.now(UTC)
    with site.database.write() as connection:
        wave = {"started_at": now, "ended_at": now + timedelta(days=1), "reason": "Ten came back at once."}
        connection.execute(tables.bounce_wave.insert().values(wave))
    site.close()
    assert "Ten came back at once." in tidings("stopped", "list").text
    assert set(tidings("stopped", "end-wave", "--json").json) == {"ended_at"}
    assert "wave" not in tidings("stopped", "list").text


def test_the_queue_counts_and_makes_all_that_waits_due(tidings: Program) -> None:
    counted = tidings("queue", "--json").lines
    # With the notice about what the import held.
    assert counted == [{"state": "queued", "route": "", "domain": "example.org", "count": 7}]
    assert tidings("queue", "--retry", "--json").lines == counted
    site = open_site(load(tidings.config))
    with site.database.read() as connection:
        latest = connection.execute(tables.delivery.select().order_by(tables.delivery.c.due_at.desc())).first()
    site.close()
    assert latest is not None
    assert latest.due_at <= datetime.now(UTC), "the edition of a fortnight hence too"


def test_the_queue_names_the_domains_that_are_sent_little_and_a_retry_forgets_them(tidings: Program) -> None:
    assert tidings("queue", "--paced").text == "No domain is sent less.\n"
    site = open_site(load(tidings.config))
    now = datetime.now(UTC)
    row = {"domain": "example.net", "since": now, "pause": 90_000, "next_at": now, "changed_at": now}
    with site.database.write() as connection:
        connection.execute(tables.destination.insert().values(row | {"said": "451 4.7.1 slow down"}))
    site.close()
    (paced,) = tidings("queue", "--paced", "--json").lines
    assert paced == {
        **{name: now.isoformat() for name in ("since", "next_at", "changed_at")},
        "domain": "example.net",
        "pause": 90.0,
        "said": "451 4.7.1 slow down",
    }
    assert "451 4.7.1 slow down" in tidings("queue").text
    assert {line["domain"] for line in tidings("queue", "--json").lines} == {"example.org"}
    tidings("queue", "--retry")
    assert tidings("queue", "--paced", "--json").lines == []


def test_why_says_it_for_a_member_too(tidings: Program) -> None:
    steps = tidings("why", "<stock@example.org>", SAM, "--json").json
    assert [step["what"] for step in steps] == ["received", "accept", "archived", "placed", "member", "digest"]
    assert "stock@example.org" not in steps[-1]["detail"]
    assert re.search(r"archived +number 6 of pump, by smtp", tidings("why", "stock@example.org").text)


def test_check_is_silent_of_what_is_well_and_names_what_is_not(tidings: Program) -> None:
    assert tidings("check").text == "All is well.\n"
    assert tidings("check", "--json").out == b""
    site = open_site(load(tidings.config))
    with site.database.write() as connection:
        connection.execute(delete(tables.node_wish))
        connection.execute(delete(tables.node).where(tables.node.c.message_id == "stock@example.org"))
    site.close()
    (finding,) = tidings("check", "--json", status=1).lines
    assert set(finding) == {"community", "message_id", "problem"}
    assert finding["message_id"] == "stock@example.org"
    assert "stock@example.org" in tidings("check", status=1).text
    assert tidings("rebuild", "threads", "--json").json == {"posts": 7}
    assert tidings("check").text == "All is well.\n"


def test_an_example_of_the_settings_is_printed() -> None:
    assert run(["config", "example"]).out.decode() == example()


def test_help_names_every_command_and_what_it_takes() -> None:
    everything = run(["--help"])
    assert (everything.status, everything.err) == (0, "")
    for command in commands():
        assert re.search(rf"^  {command.split()[0]} +\S", everything.text, re.MULTILINE), command
    assert "--pattern" in run(["rota", "add", "--help"]).text


# --- exit status -----------------------------------------------------------------------------------------------------

REFUSED: list[tuple[str, str]] = [
    ("community show valves", "There is no community 'valves'; there is pump."),
    ("tree valves", "There is no community 'valves'"),
    ("member remove pump x@example.org", "x@example.org is not a member of pump."),
    ("member set pump x@example.org role=owner", "'x@example.org' is not a member of 'pump'"),
    ("member add pump x@example.org --crew C", "There is no crew 'C'; did you mean 'B'?"),
    ("rota show C", "There is no crew 'C'; did you mean 'B'?"),
    ("crew add C --rota plants --start 2026-01-05", "There is no rota 'plants'; did you mean 'plant'?"),
    ("show x@example.org", "No post has the Message-ID x@example.org."),
    ("why x@example.org", "Nothing is known of x@example.org"),
    ("hold accept zz", "0 messages that are held have the key 'zz'"),
    ("shunt discard zz", "0 messages that are shunted have the key 'zz'"),
    ("digest preview pump x@example.org", "'x@example.org' is not a member of 'pump'."),
    ("digest send valves", "There is no community 'valves'"),
    ("export pump --mbox {here}/no/folder/out.mbox", "No such file or directory"),
    ("import pump {here}/site/old.mbox --verdicts {here}/no/folder/v.jsonl", "No such file or directory"),
    ("digest preview pump sam@example.org --eml {here}/no/folder/x.eml", "No such file or directory"),
]
WRONG_USE: list[tuple[str, str]] = [
    ("community add Valves-2 --name V", "'valves-2' cannot be the start of an address"),
    ("community add valves@example.com --name V", "The communities of this site are at lists.example.org"),
    ("community add valves --name V --zone Mars", "There is no time zone 'Mars'"),
    ("community add valves --name V --posting all", "There is no posting 'all'"),
    ("community add valves", "Missing option '--name'"),
    ("community set pump posting", "'posting' is no KEY=VALUE."),
    ("community set pump cutoff=Sun", "did you mean 'cut-off'?"),
    ("member add pump ana", "'ana' is no e-mail address"),
    ("member add pump x@example.org --delivery monthly", "There is no delivery 'monthly'"),
    ("member import pump {here}/none.csv", "Cannot read"),
    ("rota add x --pattern DDX --shifts D=07:00-19:00", "The pattern has X, which has no times"),
    ("rota show B --from 1.5.2026", "'1.5.2026' is no date; write one like 2026-10-14."),
    ("rota show B --at noon", "'noon' is no ISO 8601 time"),
    ("rota show B --days 0", "Invalid value for '--days'"),
    ("run-due --at 2026-13-01", "'2026-13-01' is no ISO 8601 time"),
    ("import pump {here}/none.mbox", "There is no file or folder"),
    ("import pump {here}/site/tidings.db", "is no mbox, Maildir or .eml"),
    ("export pump", "Say --mbox FILE or --maildir FOLDER."),
    ("export pump --mbox {here}/a --maildir {here}/b", "Say --mbox FILE or --maildir FOLDER."),
    ("fold {here}/none.eml", "Cannot read"),
    ("search pump seal --limit 0", "Invalid value for '--limit'"),
    ("search pump seal --sort oldest", "There is no order 'oldest'"),
    ("rebuild thread", "say threads, index or all"),
    ("serve --only pop", "There is no part 'pop'; there are smtp, imap, web, worker, scheduler."),
    ("tree", "Missing argument 'community'"),
    ("tree pump --jsno", "No such option: --jsno"),
    ("forest pump", "No such command 'forest'"),
]


@pytest.mark.parametrize(
    ("status", "words", "reason"), [*((1, *row) for row in REFUSED), *((2, *row) for row in WRONG_USE)]
)
def test_what_is_refused_ends_with_its_status_and_the_reason_on_stderr(
    status: int, words: str, reason: str, tidings: Program, tmp_path: Path
) -> None:
    ran = tidings(*words.format(here=tmp_path).split(), status=status)
    assert reason in re.sub(r"\s+", " ", ran.err)
    assert "Traceback" not in ran.err
    assert ran.out == b""


def test_nothing_is_left_of_what_was_refused(tidings: Program, tmp_path: Path) -> None:
    before = tidings("community", "list", "--json").out, tidings("member", "list", "pump", "--json").out
    for words, _ in (*REFUSED[:9], *WRONG_USE[:10]):
        tidings(*words.format(here=tmp_path).split(), status=1 if (words, _) in REFUSED else 2)
    assert (tidings("community", "list", "--json").out, tidings("member", "list", "pump", "--json").out) == before


def test_what_is_due_and_fails_ends_with_status_1(
    tidings: Program, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: object, **__: object) -> str:
        raise RuntimeError("a bug")

    monkeypatch.setattr(editions.Composer, "compose", fail)
    assert tidings("run-due", "--at", LATER, "--json", status=1).json["failed"] == 1
    assert "a bug" in caplog.text


def test_without_settings_the_reason_says_how_to_make_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("TIDINGS_CONFIG", raising=False)
    monkeypatch.chdir(tmp_path)
    ran = run(["community", "list"])
    assert ran.status == 1
    assert ran.err.startswith("tidings: Cannot read the settings tidings.toml: No such file")
    assert "tidings init" in ran.err


def test_a_key_of_the_settings_that_is_not_known_is_refused(tmp_path: Path) -> None:
    (tmp_path / "tidings.toml").write_text("[smtp]\nmaxsize = 5\n")
    ran = Program(tmp_path / "tidings.toml")("community", "list", status=1)
    assert "did you mean 'max_size'?" in ran.err


def test_a_database_that_cannot_be_reached_is_said_in_a_line(tmp_path: Path) -> None:
    from tests.sockets import free_port

    url = f"postgresql+psycopg://tidings@127.0.0.1:{free_port()}/tidings"
    (tmp_path / "tidings.toml").write_text(f'[database]\nurl = "{url}"\n')
    ran = Program(tmp_path / "tidings.toml")("community", "list", status=1)
    assert ran.err.startswith("tidings: Cannot open the database of the settings: ")
    assert "Traceback" not in ran.err


# --- init ------------------------------------------------------------------------------------------------------------


def test_init_writes_settings_and_a_database_and_prints_a_link_that_signs_in(tmp_path: Path) -> None:
    given = ["--name", "Plant", "--domain", "lists.example.net", "--base-url", "https://plant.example.net/"]
    ran = run(["init", str(tmp_path / "a" / "b"), "--yes", "--admin", "Ana@Example.org", *given])
    assert (ran.status, ran.err) == (0, "")
    settings = load(tmp_path / "a" / "b" / "tidings.toml")
    assert (settings.site.name, settings.site.domain, settings.site.admins) == (
        "Plant",
        "lists.example.net",
        ["Ana@example.org"],
    )
    assert (tmp_path / "a" / "b" / "tidings.db").exists()
    link = re.search(r"https://plant\.example\.net/sign-in/(\S+)", ran.text)
    assert link is not None
    site = open_site(settings)
    with site.database.write() as connection:
        assert sessions.use_link(connection, link[1], datetime.now(UTC)) == "ana@example.org"
    site.close()


def test_init_asks_five_things(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    ran = run(["init"], stdin=b"Plant\nlists.example.net\n\nAsia/Tokyo\nana@example.org\n")
    assert ran.status == 0
    assert ran.text.count("?") == 5
    settings = load(tmp_path / "tidings.toml")
    assert (settings.site.name, settings.site.zone, settings.site.admins) == (
        "Plant",
        "Asia/Tokyo",
        ["ana@example.org"],
    )
    assert settings.site.base_url == "http://127.0.0.1:8080"


@pytest.mark.parametrize(
    ("given", "status", "reason"),
    [
        (["--zone", "Mars"], 2, "There is no time zone 'Mars'"),
        (["--domain", "Not a domain"], 1, "is no domain name"),
        (["--admin", "ana"], 2, "'ana' is no e-mail address"),
    ],
)
def test_init_refuses_what_cannot_be_and_writes_nothing(
    given: list[str], status: int, reason: str, tmp_path: Path
) -> None:
    ran = run(["init", str(tmp_path / "site"), "--yes", *given])
    assert ran.status == status
    assert reason in ran.err
    assert not (tmp_path / "site").exists()


def test_init_overwrites_no_settings(tidings: Program) -> None:
    before = tidings.config.read_bytes()
    ran = run(["init", str(tidings.config.parent), "--yes"])
    assert ran.status == 2
    assert "is there already" in ran.err
    assert tidings.config.read_bytes() == before


# --- in a process of its own -----------------------------------------------------------------------------------------


def test_serve_says_when_it_is_ready_takes_mail_in_and_ends_at_sigterm(empty: Program) -> None:
    empty("community", "add", "pump", "--name", "Pump", "--posting", "open")
    text = empty.config.read_text()
    empty.config.write_text(re.sub(r'(listen = "127\.0\.0\.1):\d+', r"\1:0", text))
    process = subprocess.Popen(
        [sys.executable, "-m", "tidings.cli", "serve"],
        env=os.environ | {"TIDINGS_CONFIG": str(empty.config)},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        word, _, ports = process.stdout.readline().partition(" ")
        assert word == "ready"
        with smtplib.SMTP("127.0.0.1", json.loads(ports)["smtp"], timeout=20) as client:
            client.send_message(message(ANA, PUMP, "Seal", "Which?\n", "seal@example.org"))
        with urllib.request.urlopen(f"http://127.0.0.1:{json.loads(ports)['web']}/healthz", timeout=20) as answer:
            assert answer.status == 200
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 0
    finally:
        process.kill()
        process.stdout.close()
        process.wait()


def test_a_reader_that_has_seen_enough_is_no_failure_to_cry_about(tidings: Program) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    ran = subprocess.run(
        [sys.executable, "-m", "tidings.cli", "-c", str(tidings.config), "tree", "pump"],
        stdout=writing,
        stderr=subprocess.PIPE,
        check=False,
    )
    os.close(writing)
    assert (ran.returncode, ran.stderr) == (1, b"")
