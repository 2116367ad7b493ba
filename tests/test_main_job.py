"""The main job over real sockets: mail in, threads, copies out, a digest at a night shift's start, a reply to it."""

import email
import re
import smtplib
from datetime import date, datetime, timedelta
from email.message import Message
from email.utils import format_datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from tests import digest_site
from tests.running import ADMIN, RunningSite, message, settings_for, wait_until
from tests.smtp_sink import Received, SmtpSink
from tidings.communities import directory, joining, rota
from tidings.mailer import outbox

BERLIN = ZoneInfo("Europe/Berlin")
# Wednesday; the cut-off is Sunday 18 October 18:00, and crew B's next shift after it begins on Monday night at 19:00.
WEDNESDAY = datetime(2026, 10, 14, 9, 0, tzinfo=BERLIN)
PUMP = "pump@lists.example.org"
ANA, LI, SAM = "ana@example.org", "li@example.org", "sam@example.org"


def make_community(running: RunningSite) -> None:
    with running.site.database.write() as connection:
        now = running.clock.now()
        joining.add_community(connection, name="pump", title="Pump team", zone="Europe/Berlin", now=now)
        # Near enough for the digest to name it, and too far away for its agenda.
        first = datetime(2026, 10, 27, 8, 0, tzinfo=BERLIN)
        digest_site.weekly(connection, directory.community(connection, "pump"), "Mon 14:00", first)
        rota.add_rota(
            connection,
            name="plant",
            zone="Europe/Berlin",
            pattern="DDNNOOOO",
            shifts="D=07:00-19:00,N=19:00-07:00",
        )
        # From Saturday 17 October: two days, then Monday and Tuesday nights.
        rota.add_crew(connection, name="B", rota="plant", start_date=date(2026, 10, 17))
        for person, name in ((ANA, "Ana"), (LI, "Li")):
            joining.add_member(connection, community="pump", email=person, name=name, now=now)
        joining.add_member(connection, community="pump", email=SAM, name="Sam", delivery="weekly", crew="B", now=now)


def _date(minutes: int) -> str:
    return format_datetime(WEDNESDAY + timedelta(minutes=minutes - 60))


def parts(received: Received) -> tuple[Message, str, str]:
    """A received edition with its text and its HTML."""
    parsed = email.message_from_bytes(received.data)
    text, html = parsed.get_payload()
    return parsed, text.get_payload(decode=True).decode(), html.get_payload(decode=True).decode()


def reply_addresses(text: str) -> list[str]:
    return re.findall(r"pump\+r\.[a-z2-7]{34}@lists\.example\.org", text)


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgres"))])
def database_url(request: pytest.FixtureRequest) -> str:
    """The site's default database, and one on PostgreSQL."""
    return "" if request.param == "sqlite" else request.getfixturevalue("postgres_url")


def test_the_main_job(tmp_path: Path, database_url: str) -> None:
    with SmtpSink() as sink, RunningSite(settings_for(tmp_path, sink, database=database_url), WEDNESDAY) as running:
        make_community(running)

        # Members write; a reply comes before its parent.
        leak = message(
            ANA, PUMP, "Seal leaks at start-up", "Which seal is on line 3?\n", "leak@example.org", Date=_date(0)
        )
        answer = message(
            LI,
            PUMP,
            "Re: Seal leaks at start-up",
            "The new one.\n\nOn Wed, Ana wrote:\n> Which seal is on line 3?\n",
            "answer@example.org",
            In_Reply_To="<leak@example.org>",
            References="<leak@example.org>",
            Date=_date(20),
        )
        stock = message(ANA, PUMP, "Spare stock", "Are there two seals left?\n", "stock@example.org")
        for one in (answer, leak, stock):
            running.post(one)

        # Who wants each post has a copy of their own, with its body untouched and its list fields.
        copies: dict[str, list[Received]] = {}
        for received in sink.wait_for(6):
            copies.setdefault(email.message_from_bytes(received.data)["Message-ID"], []).append(received)
        assert {len(each) for each in copies.values()} == {2}
        leak_copies = copies["<leak@example.org>"]
        assert sorted(received.recipients for received in leak_copies) == [(ANA,), (LI,)]
        assert all(re.fullmatch(r"pump\+b\.[a-z2-7]{29}@lists\.example\.org", one.mail_from) for one in leak_copies)
        assert len({one.mail_from for one in leak_copies}) == 2
        received = leak_copies[0]
        parsed = email.message_from_bytes(received.data)
        assert received.data.partition(b"\r\n\r\n")[2] == b"Which seal is on line 3?\r\n"
        assert parsed["List-Id"] == '"Pump team" <pump.lists.example.org>'
        assert parsed["List-Post"] == f"<mailto:{PUMP}>"
        assert parsed["From"] == ANA
        assert parsed["Archived-At"].endswith("/c/pump/m/leak@example.org/>")
        assert {"List-Unsubscribe", "List-Archive", "Precedence"} <= set(parsed.keys())

        # Nothing is due before the cut-off, nor between it and the night shift.
        sunday = datetime(2026, 10, 18, 18, 0, tzinfo=BERLIN)
        shift = datetime(2026, 10, 19, 19, 0, tzinfo=BERLIN)
        for moment in (sunday - timedelta(minutes=1), sunday, shift - timedelta(minutes=1)):
            running.clock.set(moment)
            assert running.server.run_due().editions == 0
        running.clock.set(shift)
        assert running.server.run_due().editions == 1

        # The digest: the same items and addresses in both parts, the meeting in the reader's shift.
        edition, text, html = parts(sink.wait_for(7)[6])
        assert edition["To"] == SAM or SAM in edition["To"]
        assert re.findall(r"^#(\d)", text, re.MULTILINE) == ["1", "2", "3"]
        addresses = reply_addresses(text)
        assert len(addresses) == 3
        assert [address for address in addresses if address in html] == addresses
        assert "You are at work then" in text
        assert "Which seal is on line 3?" in text
        assert text.count("Which seal is on line 3?") == 1, "the quote of it is not told again"

        # Sam answers item 2 from the phone, quoting the digest; the token routes it into the thread of item 2.
        subject_of_2 = re.search(r"^#2 (.*)", text, re.MULTILINE)
        assert subject_of_2 is not None
        wanted = {"Seal": "answer@example.org", "Spare": "stock@example.org"}
        parent = next(bare for word, bare in wanted.items() if word in subject_of_2[1])
        quoted = "\n".join(f"> {line}" for line in text.splitlines())
        reply = message(
            SAM,
            addresses[1],
            f"Re: {edition['Subject']}",
            f"Yes, I fitted it on Friday.\n\nOn Mon, 19 Oct 2026 at 19:02, {edition['From']}\nwrote:\n{quoted}\n",
            "fitted@example.org",
            In_Reply_To=str(edition["Message-ID"]),
            References=str(edition["Message-ID"]),
        )
        running.post(reply)
        copy = email.message_from_bytes(sink.wait_for(9)[7].data)
        assert copy["In-Reply-To"] == f"<{parent}>"
        assert copy["Subject"].startswith("Re: ") and "weekly" not in copy["Subject"]
        assert copy["To"] == PUMP
        assert copy.get_payload(decode=True).decode().strip() == "Yes, I fitted it on Friday."
        assert b"+r." not in sink.messages[7].data

        # It stands in that thread, in the tree and on the page that members and admins see, and nobody else.
        with running.web(ADMIN) as admin, running.web() as stranger:
            page = f"/c/pump/m/{parent}/"
            assert "I fitted it on Friday." in admin.get(page).text
            assert "PUMP TEAM WEEKLY" not in admin.get(page).text
            assert admin.get("/c/pump/search", params={"q": "fitted"}).text.count("fitted@example.org") >= 1
            assert stranger.get(page).status_code == 404
        steps = _why(running, "fitted@example.org")
        assert any("reply-token" in step for step in steps)
        assert any(f"a reply to {parent}" in step for step in steps)

        # What was done is not done again.
        assert running.server.run_due().editions == 0
        wait_until(running.settled, "an empty spool")
        assert len(sink.messages) == 9


def _why(running: RunningSite, message_id: str) -> list[str]:
    from tidings.operations import explain

    with running.site.database.read() as connection:
        return [step.detail for step in explain.why(connection, running.site.spool, message_id)]


def refusal(running: RunningSite, sender: str, to: str, **fields: str) -> tuple[int, str]:
    one = message(sender, to, "Hello", "Hello\n", "hello@example.org", **fields)
    with running.smtp() as client, pytest.raises(smtplib.SMTPException) as caught:
        client.send_message(one, sender, to)
    error = caught.value
    if isinstance(error, smtplib.SMTPRecipientsRefused):
        code, text = error.recipients[to]
        return code, text.decode()
    assert isinstance(error, smtplib.SMTPResponseException)
    return error.smtp_code, error.smtp_error.decode()


def test_what_policy_refuses_is_refused_while_the_sender_is_there(tmp_path: Path) -> None:
    with SmtpSink() as sink, RunningSite(settings_for(tmp_path, sink), WEDNESDAY) as running:
        make_community(running)
        assert refusal(running, ANA, "nosuch@lists.example.org")[0] == 550
        assert refusal(running, ANA, "someone@elsewhere.example.org") == (550, "5.7.1 We do not relay")
        code, text = refusal(running, "stranger@example.org", PUMP)
        assert (code, text[:5]) == (550, "5.7.2")
        forged = f"pump+r.{'a' * 34}@lists.example.org"
        assert refusal(running, SAM, forged) == (550, "5.1.1 There is no such address here")
        with running.site.database.write() as connection:
            joining.archive_community(connection, "pump", running.clock.now())
        assert refusal(running, ANA, PUMP)[1].startswith("5.2.1")
        assert running.site.spool.counts() == {"waiting": 0, "held": 0, "shunted": 0}
        assert sink.messages == []


def test_a_stranger_who_answers_a_forwarded_digest_is_held(tmp_path: Path) -> None:
    with SmtpSink() as sink, RunningSite(settings_for(tmp_path, sink), WEDNESDAY) as running:
        make_community(running)
        running.post(message(ANA, PUMP, "Seal", "Which seal?\n", "seal@example.org"))
        sink.wait_for(2)
        running.clock.set(datetime(2026, 10, 19, 19, 0, tzinfo=BERLIN))
        running.server.run_due()
        _, text, _ = parts(sink.wait_for(3)[2])
        running.post(message(LI, reply_addresses(text)[1], "Re: digest", "Me too.\n", "li@example.org"))
        wait_until(lambda: running.site.spool.counts()["held"] == 1, "a held message")
        (held,) = running.site.spool.listing("held")
        assert held.reason == f"{LI} wrote to the reply address of another member."

        # A person who has read it lets it through, and it goes where the token says.
        running.site.desk().release(held.key)
        copy = email.message_from_bytes(sink.wait_for(4)[3].data)
        assert copy["In-Reply-To"] == "<seal@example.org>"


def test_the_same_message_again_is_one_post_and_goes_out_once(tmp_path: Path) -> None:
    with SmtpSink() as sink, RunningSite(settings_for(tmp_path, sink), WEDNESDAY) as running:
        make_community(running)
        one = message(ANA, PUMP, "Seal", "Which seal?\n", "seal@example.org")
        running.post(one)
        running.post(one)
        last = message(ANA, PUMP, "Last", "Last.\n", "last@example.org")
        running.post(last)
        sink.wait_for(4)
        wait_until(running.settled, "an empty spool")
        ids = [email.message_from_bytes(got.data)["Message-ID"] for got in sink.messages]
        assert sorted(ids) == ["<last@example.org>"] * 2 + ["<seal@example.org>"] * 2
        assert "It is in the archive already." in _why(running, "seal@example.org")


@pytest.mark.acceptance(24)
def test_another_message_with_a_used_id_is_kept_under_an_id_of_ours(tmp_path: Path) -> None:
    with SmtpSink() as sink, RunningSite(settings_for(tmp_path, sink), WEDNESDAY) as running:
        make_community(running)
        running.post(message(ANA, PUMP, "Seal", "Which seal?\n", "seal@example.org"))
        running.post(message(LI, PUMP, "Seal", "Quite another thing.\n", "seal@example.org"))
        ids = {email.message_from_bytes(got.data)["Message-ID"] for got in sink.wait_for(4)}
        (ours,) = ids - {"<seal@example.org>"}
        assert re.fullmatch(r"<[0-9a-f]{32}@lists\.example\.org>", ours)
        assert any("could not be kept" in step for step in _why(running, ours.strip("<>")))


def test_a_member_who_writes_to_the_leave_address_gets_a_link_and_nobody_else_does(tmp_path: Path) -> None:
    with SmtpSink() as sink, RunningSite(settings_for(tmp_path, sink), WEDNESDAY) as running:
        make_community(running)
        leave = "pump+unsubscribe@lists.example.org"
        running.post(message("stranger@example.org", leave, "x", "x\n", "x@example.org"))
        running.post(message(LI, leave, "leave", "leave\n", "leave@example.org"))
        (notice,) = sink.wait_for(1)
        wait_until(running.settled, "an empty spool")
        assert (notice.mail_from, notice.recipients) == ("", (LI,))
        parsed = email.message_from_bytes(notice.data)
        assert parsed["Auto-Submitted"] == "auto-generated"
        link = re.search(r"/u/[a-z2-7]+", parsed.get_payload(decode=True).decode())
        assert link is not None
        with running.web() as browser:
            assert "<form" in browser.get(link[0]).text
            assert _is_member(running, LI), "a GET changes nothing"
            assert browser.post(link[0]).status_code == 200
        assert not _is_member(running, LI)
        assert len(sink.messages) == 1


def _is_member(running: RunningSite, person: str) -> bool:
    from tidings.communities import directory

    with running.site.database.read() as connection:
        community = directory.community(connection, "pump")
        return directory.member_by_address(connection, community.id, person) is not None


def test_automatic_mail_is_held_and_never_answered(tmp_path: Path) -> None:
    with SmtpSink() as sink, RunningSite(settings_for(tmp_path, sink), WEDNESDAY) as running:
        make_community(running)
        vacation = message(ANA, PUMP, "Away", "I am away.\n", "away@example.org", Auto_Submitted="auto-replied")
        running.post(vacation)
        wait_until(lambda: running.site.spool.counts()["held"] == 1, "a held message")
        with running.site.database.read() as connection:
            assert outbox.counts(connection) == []
        assert sink.messages == []


def test_with_no_smart_host_mail_is_written_to_a_maildir(tmp_path: Path) -> None:
    with RunningSite(settings_for(tmp_path), WEDNESDAY) as running:
        make_community(running)
        running.post(message(ANA, PUMP, "Seal", "Which seal?\n", "seal@example.org"))
        new = tmp_path / "outbox" / "new"
        wait_until(lambda: new.is_dir() and len(list(new.iterdir())) == 2, "a file for each copy in the Maildir")
        for written in new.iterdir():
            assert b"\nMessage-ID: <seal@example.org>" in written.read_bytes().replace(b"\r\n", b"\n")
