"""Commands by mail: each line is read as one of few things, or as nothing; and no text makes the reader fail."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tidings.mailer import commands
from tidings.mailer.commands import Command, Problem, is_plain, read, read_word

TODAY = date(2026, 10, 14)
UNKNOWN = Problem(hint="")


def one(text: str, today: date = TODAY) -> Command | Problem:
    (found,) = read(text, today)
    return found


def hint(text: str) -> str:
    found = one(text)
    assert isinstance(found, Problem)
    return found.hint


@pytest.mark.parametrize(
    ("text", "verb", "argument"),
    [
        ("help", "help", ""),
        ("  HELP.  ", "help", ""),
        ("which", "which", ""),
        ("Search   pump  seal", "search", "pump seal"),
        ('search from:ana "dry run" -weekend', "search", 'from:ana "dry run" -weekend'),
        ("get 12", "get", "12"),
        ("get #12, 3 012", "get", "12, 3"),
        ("pause", "pause", ""),
        ("Pause!", "pause", ""),
        ("resume", "resume", ""),
        ("Own-posts NO.", "own-posts", "no"),
        ("also-named yes", "also-named", "yes"),
        ("delivery Weekly", "delivery", "weekly"),
        ("crew B", "crew", "B"),
        ("crew none", "crew", "none"),
        ("zone Europe/Paris", "zone", "Europe/Paris"),
        ("zone america/new_york", "zone", "America/New_York"),
        ("zone utc", "zone", "UTC"),
        ("zone NONE", "zone", "none"),
        ("digest mon 8:00", "digest", "Mon 08:00"),
        ("digest Sunday 18:30", "digest", "Sun 18:30"),
        ("digest shift", "digest", "shift"),
        ("digest Shift-End.", "digest", "shift-end"),
        ("digest day-off", "digest", "day-off"),
        ("digest day-off 9:30", "digest", "day-off 09:30"),
        ("quiet off", "quiet", "off"),
        ("Quiet Asleep!", "quiet", "asleep"),
        ("one-mail no", "one-mail", "no"),
        ("name Ana-Maria O\u2019Neill", "name", "Ana-Maria O\u2019Neill"),
        ("name Dr. J.R. Weiss (Ward 5)", "name", "Dr. J.R. Weiss (Ward 5)"),
        ("address <Ana@EXAMPLE.org>", "address", "Ana@example.org"),
        ("also ana@example.org", "also", "ana@example.org"),
        ("forget ana@example.org", "forget", "ana@example.org"),
        ("subscribe", "subscribe", ""),
        ("join", "subscribe", ""),
        ("leave", "leave", ""),
        ("Unsubscribe.", "leave", ""),
    ],
)
def test_each_command_is_read_in_any_case_into_one_spelling(text: str, verb: str, argument: str) -> None:
    found = one(text)
    assert found == Command(verb=verb, argument=argument)  # type: ignore[arg-type]
    assert one(found.line) == found, "it is asked again in that spelling"


@pytest.mark.parametrize(
    ("text", "day"),
    [
        ("3 Nov", "2026-11-03"),
        ("3 November", "2026-11-03"),
        ("3. nov", "2026-11-03"),
        ("3rd Nov.", "2026-11-03"),
        ("3Nov", "2026-11-03"),
        ("Nov 3", "2026-11-03"),
        ("November 3rd, 2027", "2027-11-03"),
        ("3 Nov 2027", "2027-11-03"),
        ("2026-11-03", "2026-11-03"),
        ("2026-11-3.", "2026-11-03"),
        ("15 Oct", "2026-10-15"),
        ("14 Oct", "2027-10-14"),
        ("1 Jan", "2027-01-01"),
        ("sept 1", "2027-09-01"),
        ("29 Feb", "2028-02-29"),
    ],
)
def test_a_pause_ends_on_the_next_day_that_is_written_so(text: str, day: str) -> None:
    found = one(f"pause until {text}")
    assert found == Command(verb="pause", argument=day)
    assert isinstance(found, Command)
    assert one(found.line) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "tomorrow",
        "35 Nov",
        "3 Nobember",
        "03/11",
        "3.11.",
        "2026-10-14",
        "2020-01-01",
        "31 Feb",
        "3 Nov 9999",
        "2026-13-01",
        "3 ma 1",
        "0 Jan",
        "3 Nov 0000",
        "٣ Nov",
        "3 Nov 20 26",
    ],
)
def test_a_day_that_cannot_be_is_answered_with_one_that_can(text: str) -> None:
    assert "pause until 3 Nov" in hint(f"pause until {text}")


@pytest.mark.parametrize(
    "text",
    [
        "pause 4 Nov",
        "search",
        "search ...",
        "get",
        "get one",
        "get 1, 2, 3, 4, 5, 6",
        "get -1",
        "delivery",
        "crew",
        "delivery hourly",
        "zone",
        "zone Mars",
        "zone ../../etc/passwd",
        "zone /etc/passwd",
        "digest",
        "digest noon",
        "digest shift 8:00",
        "digest day-off noon",
        "quiet",
        "quiet always",
        "one-mail maybe",
        "name",
        "name 42",
        "name a@b",
        "name evil.com",
        "name http://x",
        "name www",
        "name =?utf-8?q?=0D=0A?=",
        "name " + "x" * 81,
        "address",
        "address ana",
        "also a@b@c",
        "forget аna@example.org",
        "mute",
        "follow",
    ],
)
def test_a_command_that_cannot_be_done_is_answered_by_what_to_write_and_never_repeated(text: str) -> None:
    said = hint(text)
    assert said
    argument = text.partition(" ")[2]
    assert not argument or len(argument) < 4 or argument not in said


@pytest.mark.acceptance(54)
@pytest.mark.parametrize(
    "text",
    [
        "help ../../../etc/passwd",
        "help me",
        "help %2e%2e",
        "help $(id)",
        "help {{7*7}}",
        "help \x00",
        "which pump",
        "hello",
        "resume now please",
        "leave ../x",
        "- leave",
        "Keep",
        "hеlp",
        "x" * 10000,
        "search " + "x" * 10000,
        "name " + "n" * 10000,
        "pause" + " " * 500 + "until 3 Nov and more of it" * 40,
    ],
)
def test_what_is_no_command_is_unknown(text: str) -> None:
    assert one(text) == UNKNOWN


@pytest.mark.acceptance(53)
def test_the_first_ten_lines_count_and_empty_ones_do_not() -> None:
    text = "\n\n".join(["hello"] * 9 + ["which", "leave"])
    assert read(text, TODAY) == [UNKNOWN] * 9 + [Command(verb="which")]


@pytest.mark.acceptance(53)
def test_quoted_lines_and_what_stands_below_a_signature_mark_are_no_lines() -> None:
    assert read("> leave\n  > leave\nwhich\n>leave\n-- \nleave\n", TODAY) == [Command(verb="which")]
    assert read("which\n--\nleave", TODAY) == [Command(verb="which")]
    assert read("", TODAY) == []


@given(st.text(max_size=200))
def test_any_text_is_read_without_an_error(text: str) -> None:
    for found in [*read(text, TODAY), read_word(text, TODAY)]:
        assert found is None or isinstance(found, Command | Problem)


@given(st.sampled_from([*sorted(commands.READING), "pause until", "get", "zone", "digest", "name", "also"]), st.text())
def test_any_argument_is_read_without_an_error(verb: str, text: str) -> None:
    for found in read(f"{verb} {text}", TODAY):
        assert isinstance(found, Problem) or one(found.line) == found


# --- plain text ------------------------------------------------------------------------------------------------------


@pytest.mark.acceptance(53)
@pytest.mark.parametrize(
    ("raw", "plain"),
    [
        (b"From: a@b\r\n\r\nleave\r\n", True),
        (b"Content-Type: text/plain; charset=utf-8\r\n\r\nleave", True),
        (b"content-type:\r\n\tTEXT/PLAIN\r\n\r\nleave", True),
        (b"Content-Type: multipart/alternative; boundary=x\r\n\r\n--x\r\nContent-Type: text/plain\r\n\r\nleave", True),
        (b"Content-Type: text/html\r\n\r\n<p>leave", False),
        (b"Content-Type: multipart/mixed; boundary=x\r\n\r\n--x\r\nContent-Type: text/html\r\n\r\nleave", False),
    ],
)
def test_mail_that_is_html_alone_is_told_from_plain_text(raw: bytes, plain: bool) -> None:
    assert is_plain(raw) is plain


# --- one word --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("mute", Command(verb="mute")),
        ("Mute.\n\nThanks\nSam", Command(verb="mute")),
        ("FOLLOW!", Command(verb="follow")),
        ("pause", Command(verb="pause")),
        ("Resume", Command(verb="resume")),
        ("Unsubscribe", Command(verb="leave")),
        ("pause until 3 Nov", Command(verb="pause", argument="2026-11-03")),
        ("Pause until 3 November.\n\nSam", Command(verb="pause", argument="2026-11-03")),
    ],
)
def test_one_word_is_a_command(text: str, found: Command) -> None:
    assert read_word(text, TODAY) == found


@pytest.mark.parametrize(
    "text",
    [
        "",
        "Mute the alarm first.",
        "Follow the blue line",
        "pause until the seal is fixed",
        "pause the pump",
        "resume at 8",
        "yes",
        "no",
        "used: the new seal",
        "leave it to me",
        "help",
        "It holds.\nmute",
        "mute\n\nBut the alarm must still be heard",
    ],
)
def test_more_than_the_word_is_a_post(text: str) -> None:
    assert read_word(text, TODAY) is None


def test_a_pause_until_a_day_that_cannot_be_is_no_post() -> None:
    assert isinstance(read_word("pause until 35 Nov", TODAY), Problem)
