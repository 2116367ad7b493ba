"""IMAP mailboxes on servers that do wrong: what is lost (nothing), what is doubled (nothing), and how long it takes."""

import logging
import random
import socket
import ssl
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import text

from tests.fetching import (
    MAX_SIZE,
    QUICK,
    fetcher,
    held,
    knows,
    mail,
    mailbox,
    running,
    spooled,
    troubles,
)
from tests.hostile_imap import ALL, CUT, STALL, HostileImap
from tests.running import wait_until
from tests.smtp_sink import CERTIFICATE
from tidings.database.engine import Database
from tidings.errors import SettingsError
from tidings.mailer.imap_in import Patience
from tidings.mailer.imap_session import DeniedError, LoginCutError, LostError, RefusedError, Timing

pytestmark = pytest.mark.slow


@pytest.fixture
def server() -> Iterator[HostileImap]:
    with HostileImap() as made:
        yield made


def timing(**changes: float) -> Timing:
    return Timing(**{name: getattr(QUICK, name) for name in Timing.__dataclass_fields__} | changes)


# --- marked only when kept --------------------------------------------------------------------------------------------


@pytest.mark.acceptance(98, 99)
def test_what_was_kept_but_not_moved_is_moved_by_the_next_session_and_not_kept_again(
    database: Database, server: HostileImap
) -> None:
    server.add(mail(1), mail(2))
    server.on("MOVE", CUT, times=1)
    made = fetcher(database, mailbox(server.port, move_to="Done"))
    with pytest.raises(LostError):
        made.run_once()
    assert spooled(database) == [mail(1), mail(2)]
    server.add(mail(3))
    assert made.run_once() == 1
    assert server.folders["Done"] == [mail(1), mail(2), mail(3)]
    assert spooled(database) == [mail(1), mail(2), mail(3)]


@pytest.mark.acceptance(98, 99)
def test_what_was_kept_but_not_flagged_is_flagged_by_the_next_session(database: Database, server: HostileImap) -> None:
    server.add(mail(1))
    server.on("STORE", CUT, times=1)
    made = fetcher(database, mailbox(server.port))
    with pytest.raises(LostError):
        made.run_once()
    assert made.run_once() == 0
    assert server.flags == {1: {r"\Seen"}}
    assert spooled(database) == [mail(1)]


@pytest.mark.acceptance(99)
def test_nothing_is_marked_while_the_spool_takes_nothing_and_all_of_it_comes_later(
    database: Database, server: HostileImap
) -> None:
    server.add(mail(1), mail(2))
    with database.write() as connection:
        connection.execute(text("ALTER TABLE spool RENAME TO spool_elsewhere"))
    with running(fetcher(database, mailbox(server.port, move_to="Done"), timing=timing(retry=0.2))):
        wait_until(lambda: len(troubles(database)) == 2, "two failures")
        assert server.count("UID MOVE") == server.count("UID STORE") == 0
        with database.write() as connection:
            connection.execute(text("ALTER TABLE spool_elsewhere RENAME TO spool"))
        wait_until(lambda: len(spooled(database)) == 2, "the mail")
        wait_until(lambda: sorted(server.folders.get("Done", [])) == [mail(1), mail(2)], "the move")
    assert troubles(database) == []


@pytest.mark.acceptance(99)
def test_a_message_that_we_fail_on_is_left_unflagged_and_tried_again_while_others_go_on(
    sqlite_database: Database, server: HostileImap, caplog: pytest.LogCaptureFixture
) -> None:
    fails = [True]

    def knows_at_times(address: str) -> bool:
        if address.startswith("open") and fails:
            fails.pop()
            raise ValueError("a bug of ours")
        return knows(address)

    server.on("FETCH", "TAG NO not as a batch", match=",", times=1)
    server.add(mail(1), mail(2, to="open@lists.example.org"), mail(3))
    made = fetcher(sqlite_database, mailbox(server.port), knows=knows_at_times)
    made.run_once()
    assert spooled(sqlite_database) == [mail(1), mail(3)]
    assert server.flags == {1: {r"\Seen"}, 2: set(), 3: {r"\Seen"}}
    assert "a bug of ours" in caplog.text
    made.run_once()
    assert spooled(sqlite_database) == [mail(1), mail(3), mail(2, to="open@lists.example.org")]
    assert server.flags[2] == {r"\Seen"}


def test_mail_that_cannot_be_moved_is_kept_once_and_does_not_hold_up_the_rest(
    sqlite_database: Database, server: HostileImap, caplog: pytest.LogCaptureFixture
) -> None:
    server.add(mail(1))
    server.on("MOVE", "TAG NO [OVERQUOTA] full")
    made = fetcher(sqlite_database, mailbox(server.port, move_to="Done"))
    made.run_once()
    assert "1 messages cannot be marked as done: move failed: [OVERQUOTA] full" in caplog.text
    server.add(mail(2))
    made.run_once()
    assert spooled(sqlite_database) == [mail(1), mail(2)]
    server.forget()
    assert made.run_once() == 0
    assert server.folders["Done"] == [mail(1), mail(2)]


# --- moving without MOVE ----------------------------------------------------------------------------------------------


def test_without_move_messages_are_copied_and_expunged_by_uid(sqlite_database: Database) -> None:
    with HostileImap(("IMAP4rev1", "UIDPLUS")) as server:
        server.add(mail(1), mail(2))
        server.flags[2].add(r"\Deleted")  # by a person, after it was fetched at the latest
        server.on("FETCH", "TAG NO no", match="2 (")
        fetcher(sqlite_database, mailbox(server.port, move_to="Done")).run_once()
        assert server.folders["Done"] == [mail(1)]
        assert server.messages == {2: mail(2)}
        assert server.count("UID EXPUNGE 1") == 1


def test_without_uidplus_nothing_is_expunged_while_others_have_marked_something_as_deleted(
    sqlite_database: Database,
) -> None:
    with HostileImap(("IMAP4rev1",)) as server:
        server.add(mail(1), mail(2))
        server.flags[2].add(r"\Deleted")
        server.on("FETCH", "TAG NO no", match="2 (", times=2)
        made = fetcher(sqlite_database, mailbox(server.port, move_to="Done"))
        made.run_once()
        assert (set(server.messages), server.count("EXPUNGE")) == ({1, 2}, 0)
        assert made.run_once() == 1
        assert (server.messages, server.folders["Done"]) == ({1: mail(1), 2: mail(2)}, [mail(1), mail(2)])
        server.add(mail(3))
        del server.messages[1], server.flags[1], server.messages[2], server.flags[2]
        made.run_once()
        assert (server.messages, server.folders["Done"][2:]) == ({}, [mail(3)])


# --- UIDs that begin anew ---------------------------------------------------------------------------------------------


@pytest.mark.acceptance(100)
@pytest.mark.parametrize("validity", [2, 1], ids=["another UIDVALIDITY", "the same, UIDNEXT falls"])
def test_a_folder_that_is_numbered_anew_is_read_again_and_gives_nothing_twice(
    database: Database, server: HostileImap, validity: int
) -> None:
    made = fetcher(database, mailbox(server.port))
    server.add(*(mail(number) for number in range(5)))
    assert made.run_once() == 5
    for uid in (1, 2, 3):
        del server.messages[uid], server.flags[uid]
    server.recreate(validity)
    server.add(mail(9))
    assert made.run_once() == 1
    assert spooled(database) == [*(mail(number) for number in range(5)), mail(9)]
    assert all(flags == {r"\Seen"} for flags in server.flags.values())
    assert made.run_once() == 0


@pytest.mark.acceptance(100)
def test_without_uidvalidity_every_session_reads_all_and_keeps_what_is_new(
    database: Database, server: HostileImap
) -> None:
    server.uid_validity = server.uid_next = None
    made = fetcher(database, mailbox(server.port))
    server.add(mail(1))
    assert made.run_once() == 1
    server.recreate(None)
    server.add(mail(2))
    assert made.run_once() == 1
    assert made.run_once() == 0
    assert spooled(database) == [mail(1), mail(2)]


@pytest.mark.acceptance(100)
def test_trouble_with_uids_of_before_is_forgotten_and_the_message_tried_anew(
    sqlite_database: Database, server: HostileImap
) -> None:
    server.add(mail(1))
    server.on("FETCH", "TAG NO no")
    made = fetcher(sqlite_database, mailbox(server.port))
    for _ in range(3):
        made.run_once()
    assert [one.given_up for one in troubles(sqlite_database)] == [True]
    server.forget()
    assert made.run_once() == 0
    server.recreate(7)
    assert made.run_once() == 1
    assert troubles(sqlite_database) == []


@pytest.mark.parametrize("said", ["UIDVALIDITY 99999999999999999999", "UIDVALIDITY x", "UIDNEXT"])
def test_uids_that_cannot_be_end_the_session(sqlite_database: Database, server: HostileImap, said: str) -> None:
    server.on("SELECT", f"* OK [{said}] so there\r\nTAG OK selected")
    with pytest.raises(LostError):
        fetcher(sqlite_database, mailbox(server.port)).run_once()


# --- sessions that are lost -------------------------------------------------------------------------------------------


@pytest.mark.acceptance(101)
def test_a_session_that_is_cut_while_it_waits_is_opened_again(sqlite_database: Database, server: HostileImap) -> None:
    with running(fetcher(sqlite_database, mailbox(server.port))):
        wait_until(lambda: server.idling() == 1, "the wait for news")
        server.cut()
        wait_until(lambda: server.connections >= 2 and server.idling() == 1, "another session")
        server.add(mail(1))
        wait_until(lambda: spooled(sqlite_database) == [mail(1)], "the mail")


@pytest.mark.acceptance(101)
def test_a_dead_connection_is_no_busy_loop(sqlite_database: Database, server: HostileImap) -> None:
    """idle_check answers nothing at once, for ever, once the other side has gone."""
    with running(
        fetcher(sqlite_database, mailbox(server.port), timing=timing(first_wait=600, longest_wait=600))
    ) as made:
        wait_until(lambda: server.idling() == 1, "the wait for news")
        server.cut()
        wait_until(lambda: made.status.error != "", "its failure")
        assert "EOF" in made.status.error or "Broken pipe" in made.status.error or "reset" in made.status.error
        assert server.connections == 1


@pytest.mark.acceptance(101)
def test_a_server_that_falls_silent_is_given_up_and_asked_anew(sqlite_database: Database, server: HostileImap) -> None:
    """As when a router forgot the connection: nothing comes, and nothing says so."""
    server.on("DONE", STALL, times=1)
    server.add(mail(1))
    made = fetcher(sqlite_database, mailbox(server.port), timing=timing(idle=0.05, answer=0.2))
    with running(made):
        wait_until(lambda: server.connections >= 2, "another session")
        server.add(mail(2))
        wait_until(lambda: spooled(sqlite_database) == [mail(1), mail(2)], "the mail")


@pytest.mark.acceptance(101)
@pytest.mark.parametrize("step", ["GREETING", "CAPABILITY", "SELECT", "SEARCH", "FETCH", "STORE", "NOOP"])
def test_a_bye_at_any_step_is_followed_by_another_session(
    sqlite_database: Database, server: HostileImap, step: str
) -> None:
    server.add(mail(1))
    server.on(step, "* BYE too many connections", times=1)
    with running(fetcher(sqlite_database, mailbox(server.port), timing=timing(idle=0.05))):
        wait_until(lambda: server.connections >= 2 and bool(server.flags[1]), "the mail, by another session")
    assert spooled(sqlite_database) == [mail(1)]


@pytest.mark.acceptance(101)
def test_a_bye_while_it_waits_is_followed_by_another_session(sqlite_database: Database, server: HostileImap) -> None:
    with running(fetcher(sqlite_database, mailbox(server.port))):
        wait_until(lambda: server.idling() == 1, "the wait for news")
        server.tell("* BYE idle for too long")
        server.cut()
        wait_until(lambda: server.connections >= 2 and server.idling() == 1, "another session")


@pytest.mark.acceptance(101)
def test_the_wait_is_renewed_well_within_what_servers_allow(sqlite_database: Database, server: HostileImap) -> None:
    assert Timing().idle < 9 * 60
    with running(fetcher(sqlite_database, mailbox(server.port), timing=timing(idle=0.05))):
        wait_until(lambda: server.count("IDLE") >= 3, "the third wait")
    assert server.connections == 1


@pytest.mark.acceptance(101)
def test_without_idle_the_server_is_asked_again_and_again(sqlite_database: Database) -> None:
    with HostileImap(("IMAP4rev1", "AUTH=PLAIN")) as server:
        with running(fetcher(sqlite_database, mailbox(server.port))) as made:
            wait_until(lambda: made.status.last_success is not None, "the first look")
            server.add(mail(1))
            wait_until(lambda: spooled(sqlite_database) == [mail(1)], "the mail")
        assert (server.connections, server.count("IDLE")) == (1, 0)


@pytest.mark.acceptance(101)
def test_where_idle_is_offered_and_refused_the_server_is_asked_instead(
    sqlite_database: Database, server: HostileImap
) -> None:
    server.on("IDLE", "TAG NO not today")
    with running(fetcher(sqlite_database, mailbox(server.port))):
        wait_until(lambda: server.connections == 2 and server.count("NOOP") >= 1, "the second session's second look")
        server.add(mail(1))
        wait_until(lambda: spooled(sqlite_database) == [mail(1)], "the mail")
    assert (server.connections, server.count("IDLE")) == (2, 1)


@pytest.mark.acceptance(101)
def test_the_wait_between_sessions_doubles_to_a_minute_and_is_short_again_after_a_long_session() -> None:
    patience = Patience(timing=Timing())
    lost = LostError("cut")
    assert [patience.after(lost, 0.1) for _ in range(8)] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert patience.after(lost, 59.0) == 60
    assert patience.after(lost, 3600.0) == 1


def test_a_server_that_tells_of_news_without_end_is_asked_once_a_pause(
    sqlite_database: Database, server: HostileImap
) -> None:
    assert Timing().pause == 1.0
    server.on("IDLE", "+ idling\r\n* 1 EXISTS")
    server.on("DONE", "TAG OK done")
    with running(fetcher(sqlite_database, mailbox(server.port), timing=timing(pause=600))) as made:
        wait_until(lambda: made.status.last_success is not None and server.count("NOOP") == 1, "the first look")
        assert server.count("IDLE") == 1


def test_mail_that_comes_while_other_mail_is_fetched_is_not_left_until_the_next_news(
    sqlite_database: Database, server: HostileImap
) -> None:
    def adds(link: socket.socket, tag: bytes) -> None:
        server.add(mail(2))
        link.sendall(b"* 2 EXISTS\r\n" + tag + b" OK done\r\n")

    server.add(mail(1))
    server.on("STORE", adds, times=1)
    with running(fetcher(sqlite_database, mailbox(server.port), timing=timing(idle=600))):
        wait_until(lambda: spooled(sqlite_database) == [mail(1), mail(2)], "the second mail")


@pytest.mark.parametrize("answer", [b"+ idling\r\n* 1 EXISTS\r\n", b"* 1 EXISTS\r\n+ idling\r\n"])
def test_mail_that_the_server_tells_of_with_its_consent_to_wait_ends_the_wait(
    sqlite_database: Database, server: HostileImap, answer: bytes
) -> None:
    def adds(link: socket.socket, _tag: bytes) -> None:
        server.add(mail(1))
        link.sendall(answer)

    server.on("IDLE", adds, times=1)
    with running(fetcher(sqlite_database, mailbox(server.port), timing=timing(idle=600))):
        wait_until(lambda: spooled(sqlite_database) == [mail(1)], "the mail")
    assert server.connections == 1


def test_mail_that_the_server_tells_of_with_its_list_is_looked_for_at_once(
    sqlite_database: Database, server: HostileImap
) -> None:
    def adds(link: socket.socket, tag: bytes) -> None:
        server.add(mail(1))
        link.sendall(b"* SEARCH\r\n* 1 EXISTS\r\n" + tag + b" OK done\r\n")

    server.on("SEARCH", adds, times=1)
    server.on("IDLE", "+ idling")  # and it tells of nothing twice
    with running(fetcher(sqlite_database, mailbox(server.port), timing=timing(idle=600))):
        wait_until(lambda: spooled(sqlite_database) == [mail(1)], "the mail")


@pytest.mark.parametrize("step", ["GREETING", "AUTHENTICATE", "SELECT", "FETCH", "IDLE", "NOOP"])
def test_stopping_does_not_wait_for_the_server(sqlite_database: Database, server: HostileImap, step: str) -> None:
    server.add(mail(1))
    server.on(step, STALL)
    made = fetcher(
        sqlite_database,
        mailbox(server.port),
        timing=timing(connect=600, answer=600, idle=0.01 if step == "NOOP" else 600),
    )
    with running(made):
        if step == "GREETING":
            wait_until(lambda: server.connections == 1 and server._open, "the connection")
        else:
            wait_until(lambda: server.count(step) + server.count(f"UID {step}") >= 1, step)
        began = time.monotonic()
    assert time.monotonic() - began < 4
    assert troubles(sqlite_database) == [], "that we stopped is not the message's fault"


# --- poison -----------------------------------------------------------------------------------------------------------


def _nothing(link: socket.socket, tag: bytes) -> None:
    link.sendall(tag + b" OK done\r\n")


POISON: dict[str, str | Callable[[socket.socket, bytes], None]] = {
    "refused": "TAG NO [SERVERBUG] cannot read that",
    "not understood": "* 2 FETCH (UID 2 BODY[] \r\nTAG OK done",
    "nothing given": _nothing,
    "no bytes": "* 2 FETCH (UID 2 BODY[] NIL)\r\nTAG OK done",
    "literal too short": "* 2 FETCH (UID 2 BODY[] {4}\r\nFrom: ana@example.org\r\n\r\nbody\r\n)\r\nTAG OK done",
    "literal of 2 GB": "* 2 FETCH (UID 2 BODY[] {2147483648}\r\nFrom: ana@example.org",
    "literal of no end": f"* 2 FETCH (UID 2 BODY[] {{{'9' * 5000}}}",
    "cut": CUT,
    "closed": "* BYE we crashed",
}


@pytest.mark.acceptance(102)
@pytest.mark.parametrize("reply", POISON.values(), ids=POISON.keys())
def test_poison_is_tried_three_times_and_left_where_it_is_while_others_go_on(
    sqlite_database: Database,
    server: HostileImap,
    reply: str | Callable[[socket.socket, bytes], None],
    caplog: pytest.LogCaptureFixture,
) -> None:
    server.add(mail(1), mail(2), mail(3))
    server.on("FETCH", CUT, match="1,2,3 (BODY")
    server.on("FETCH", reply, match=" 2 (BODY")
    with running(fetcher(sqlite_database, mailbox(server.port, move_to="Done"))):
        wait_until(lambda: [one.given_up for one in troubles(sqlite_database)] == [True], "the last try")
        wait_until(lambda: server.folders.get("Done", []) == [mail(1), mail(3)], "the others")
        server.add(mail(4))
        wait_until(lambda: len(server.folders["Done"]) == 3, "the next one")
    assert spooled(sqlite_database) == [mail(1), mail(3), mail(4)]
    assert server.messages == {2: mail(2)}, "its bytes are kept where they are"
    assert server.count("UID FETCH 2 (BODY") == 3
    [trouble] = troubles(sqlite_database)
    assert (trouble.uid, trouble.tries, trouble.mailbox) == (2, 3, "pump@lists.example.org@127.0.0.1/INBOX")
    assert trouble.error != ""
    assert caplog.text.count("UID 2 is left where it is") == 1


@pytest.mark.acceptance(102)
def test_a_message_with_a_literal_that_is_too_long_is_left_alone_when_the_server_falls_silent(
    sqlite_database: Database, server: HostileImap
) -> None:
    server.add(mail(1), mail(2))
    server.on(
        "FETCH",
        "* 1 FETCH (UID 1 BODY[] {9000}\r\nFrom: ana@example.org\r\n\r\nbody\r\n)\r\nTAG OK done",
        match="1 (BODY",
    )
    server.on("FETCH", CUT, match="1,2 (BODY")
    made = fetcher(sqlite_database, mailbox(server.port), timing=timing(answer=0.1))
    with running(made):
        wait_until(lambda: [one.given_up for one in troubles(sqlite_database)] == [True], "the last try")
        wait_until(lambda: spooled(sqlite_database) == [mail(2)], "the other one")


@pytest.mark.acceptance(102)
def test_what_was_given_up_is_tried_once_more_when_the_program_starts_anew(
    database: Database, server: HostileImap
) -> None:
    server.add(mail(1), mail(2, body="x" * MAX_SIZE))
    server.on("FETCH", "TAG NO no", match=" 1 (BODY")
    for _ in range(3):
        fetcher(database, mailbox(server.port)).run_once()
    assert [one.given_up for one in troubles(database)] == [True, True]
    made = fetcher(database, mailbox(server.port))
    made.run_once()
    made.run_once()
    assert server.count("UID FETCH 1 (BODY") == 4 + 1, "once as one of two"
    server.forget()
    assert fetcher(database, mailbox(server.port), max_size=2 * MAX_SIZE).run_once() == 2
    assert troubles(database) == []


@pytest.mark.acceptance(102)
def test_a_message_that_is_too_big_is_not_even_fetched(
    database: Database, server: HostileImap, caplog: pytest.LogCaptureFixture
) -> None:
    big = mail(2, body="x" * MAX_SIZE)
    server.add(mail(1), big, mail(3))
    made = fetcher(database, mailbox(server.port, move_to="Done"))
    assert made.run_once() == 2
    assert made.run_once() == 0
    assert [line for line in server.commands if "BODY" in line] == ["UID FETCH 1,3 (BODY.PEEK[])"]
    assert server.messages == {2: big}
    [trouble] = troubles(database)
    assert trouble.error == f"It has {len(big)} bytes, and {MAX_SIZE} are the most that is taken."
    assert trouble.given_up
    assert caplog.text.count("UID 2 is left where it is") == 1


@pytest.mark.acceptance(102)
def test_a_server_that_lies_about_sizes_gets_no_more_than_the_limit(
    sqlite_database: Database, server: HostileImap
) -> None:
    server.add(mail(1, body="x" * MAX_SIZE), mail(2, body="x" * 100_000))
    server.on(
        "FETCH", "* 1 FETCH (UID 1 RFC822.SIZE 10)\r\n* 2 FETCH (UID 2 RFC822.SIZE 10)\r\nTAG OK done", match="SIZE"
    )
    with running(fetcher(sqlite_database, mailbox(server.port))):
        wait_until(lambda: [one.given_up for one in troubles(sqlite_database)] == [True], "the last try")
        wait_until(lambda: spooled(sqlite_database) == [mail(2, body="x" * 100_000)], "the other one")
    assert "more than are taken" in troubles(sqlite_database)[0].error


@pytest.mark.acceptance(102)
def test_poison_without_uidvalidity_does_not_hold_up_the_rest_either(
    sqlite_database: Database, server: HostileImap
) -> None:
    server.uid_validity = server.uid_next = None
    server.add(mail(1), mail(2), mail(3))
    server.on("FETCH", CUT, match="1,2,3 (BODY")
    server.on("FETCH", CUT, match=" 2 (BODY")
    with running(fetcher(sqlite_database, mailbox(server.port))):
        wait_until(lambda: [one.given_up for one in troubles(sqlite_database)] == [True], "the last try")
        wait_until(lambda: spooled(sqlite_database) == [mail(1), mail(3)], "the others")


@pytest.mark.acceptance(102)
def test_trouble_with_a_message_that_a_person_took_away_is_over(sqlite_database: Database, server: HostileImap) -> None:
    server.add(mail(1))
    server.on("FETCH", "TAG NO no")
    made = fetcher(sqlite_database, mailbox(server.port))
    made.run_once()
    assert [one.tries for one in troubles(sqlite_database)] == [1]
    del server.messages[1], server.flags[1]
    made.run_once()
    assert troubles(sqlite_database) == []


def test_a_message_that_goes_away_before_it_is_fetched_is_no_trouble(
    sqlite_database: Database, server: HostileImap
) -> None:
    def goes(link: socket.socket, tag: bytes) -> None:
        link.sendall(
            b"* 1 FETCH (UID 1 RFC822.SIZE 99)\r\n* 2 FETCH (UID 2 RFC822.SIZE 99)\r\n" + tag + b" OK done\r\n"
        )
        del server.messages[1], server.flags[1]

    server.add(mail(1), mail(2))
    server.on("FETCH", goes, match="SIZE", times=1)
    assert fetcher(sqlite_database, mailbox(server.port)).run_once() == 1
    assert (spooled(sqlite_database), troubles(sqlite_database)) == ([mail(2)], [])


# --- refusals ---------------------------------------------------------------------------------------------------------


@pytest.mark.acceptance(103)
@pytest.mark.parametrize(
    "reply",
    ["", "TAG NO [ALERT] Application-specific password required", "TAG BAD [EXPIRED] change it", "* PREAUTH hello"],
    ids=["wrong password", "second factor", "expired password", "no sign-in wanted"],
)
def test_a_refused_sign_in_is_told_once_and_tried_four_times_an_hour(
    sqlite_database: Database, server: HostileImap, reply: str, caplog: pytest.LogCaptureFixture
) -> None:
    if reply:
        server.on("GREETING" if "PREAUTH" in reply else "AUTHENTICATE", reply)
    assert 60 * 60 / Timing().refused_wait < 4
    made = fetcher(sqlite_database, mailbox(server.port), password="wrong", timing=timing(refused_wait=0.01))
    with running(made):
        wait_until(lambda: server.connections >= 4, "the fourth try")
        wait_until(lambda: made.status.needs_person, "its status")
    assert [record.levelname for record in caplog.records if record.name.startswith("tidings")] == ["ERROR"]
    assert "refuses the sign-in of pump@lists.example.org" in made.status.error
    assert "wrong" not in caplog.text.replace("AUTHENTICATIONFAILED] wrong", ""), "no password in the log"


@pytest.mark.acceptance(103)
def test_a_refused_sign_in_is_not_tried_again_before_its_time(sqlite_database: Database, server: HostileImap) -> None:
    made = fetcher(sqlite_database, mailbox(server.port), password="wrong", timing=timing(refused_wait=600))
    with running(made):
        wait_until(lambda: made.status.needs_person, "its status")
    assert len(server.sign_ins) == 1


@pytest.mark.acceptance(103)
def test_a_server_that_hangs_up_on_wrong_passwords_is_not_asked_each_minute(
    sqlite_database: Database, server: HostileImap
) -> None:
    server.on("AUTHENTICATE", CUT)
    with running(fetcher(sqlite_database, mailbox(server.port), timing=timing(refused_wait=600))):
        wait_until(lambda: len(server.sign_ins) == 3, "the third try")
    patience = Patience(timing=Timing())
    assert [patience.after(LoginCutError("cut"), 0.1) for _ in range(4)] == [1, 2, 930, 930]
    assert patience.after(LostError("unreachable"), 0.1) == 4


@pytest.mark.acceptance(103)
def test_a_server_that_has_trouble_with_signing_in_is_no_refusal(
    sqlite_database: Database, server: HostileImap
) -> None:
    server.on("AUTHENTICATE", "TAG NO [UNAVAILABLE] the directory is down", times=2)
    with running(fetcher(sqlite_database, mailbox(server.port))) as made:
        wait_until(lambda: made.status.last_success is not None, "the third try")
    assert (len(server.sign_ins), made.status.error) == (3, "")


@pytest.mark.acceptance(103)
def test_a_password_that_is_right_again_ends_the_alert(
    sqlite_database: Database, server: HostileImap, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "tidings")
    server.on("AUTHENTICATE", "TAG NO [AUTHENTICATIONFAILED] wrong", times=1)
    with running(fetcher(sqlite_database, mailbox(server.port), timing=timing(refused_wait=0.05))) as made:
        wait_until(lambda: made.status.last_success is not None, "success")
    assert (made.status.error, made.status.failing_since, made.status.needs_person) == ("", None, False)
    assert caplog.text.count("all is well again") == 1


def _certificate(folder: Path, expired: bool) -> Path:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "imap.example.org")])
    end = datetime.now(UTC) + timedelta(days=-1 if expired else 10)
    made = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(end - timedelta(days=20))
        .not_valid_after(end)
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    file = folder / "imap.pem"
    file.write_bytes(
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
        + made.public_bytes(serialization.Encoding.PEM)
    )
    return file


def _contexts(certificate: Path) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    theirs = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    theirs.load_cert_chain(certificate)
    return theirs, ssl.create_default_context(cafile=str(certificate))


@pytest.mark.acceptance(103)
@pytest.mark.parametrize("tls", ["tls", "starttls"])
def test_an_expired_certificate_is_a_refusal_and_no_password_is_sent(
    sqlite_database: Database, tmp_path: Path, tls: str
) -> None:
    theirs, ours = _contexts(_certificate(tmp_path, expired=True))
    with HostileImap((*ALL, "STARTTLS"), context=theirs, tls=tls == "tls") as server:
        box = mailbox(server.port, host="localhost", tls=tls)
        with pytest.raises(RefusedError, match="certificate is not good: certificate has expired"):
            fetcher(sqlite_database, box, context=ours).run_once()
        assert server.sign_ins == []


@pytest.mark.parametrize("tls", ["tls", "starttls"])
def test_mail_is_fetched_over_tls(sqlite_database: Database, tmp_path: Path, tls: str) -> None:
    theirs, ours = _contexts(_certificate(tmp_path, expired=False))
    with HostileImap((*ALL, "STARTTLS"), context=theirs, tls=tls == "tls") as server:
        server.add(mail(1))
        box = mailbox(server.port, host="localhost", tls=tls)
        with running(fetcher(sqlite_database, box, context=ours)):
            wait_until(lambda: server.idling() == 1, "the wait for news")
            server.add(mail(2))
            wait_until(lambda: spooled(sqlite_database) == [mail(1), mail(2)], "the mail")
        with pytest.raises(RefusedError, match="not good: IP address mismatch"):
            fetcher(sqlite_database, mailbox(server.port, host="127.0.0.1", tls=tls), context=ours).run_once()


def test_a_certificate_that_nobody_vouches_for_is_a_refusal(sqlite_database: Database, tmp_path: Path) -> None:
    file = tmp_path / "sink.pem"
    file.write_text(CERTIFICATE)
    theirs, _ = _contexts(file)
    with HostileImap(context=theirs, tls=True) as server:
        with pytest.raises(RefusedError, match="certificate is not good: self-signed"):
            fetcher(sqlite_database, mailbox(server.port, tls="tls")).run_once()
        assert server.sign_ins == []


def test_without_starttls_nothing_is_sent_in_the_clear(sqlite_database: Database, server: HostileImap) -> None:
    with pytest.raises(RefusedError, match="does not offer STARTTLS"):
        fetcher(sqlite_database, mailbox(server.port, tls="starttls")).run_once()
    assert server.sign_ins == []


def test_what_is_said_before_encryption_began_is_not_believed_after_it(
    sqlite_database: Database, tmp_path: Path
) -> None:
    theirs, ours = _contexts(_certificate(tmp_path, expired=False))

    def injects(link: socket.socket, tag: bytes) -> None:
        link.sendall(tag + b" OK begin\r\n* OK injected\r\n")
        with theirs.wrap_socket(link, server_side=True) as wrapped:
            wrapped.recv(100)

    with HostileImap((*ALL, "STARTTLS"), context=theirs) as server:
        server.on("STARTTLS", injects)
        with pytest.raises(LostError, match="said before encryption began"):
            fetcher(sqlite_database, mailbox(server.port, host="localhost", tls="starttls"), context=ours).run_once()
        assert server.sign_ins == []


@pytest.mark.parametrize(("capabilities", "password"), [(ALL, "pässword"), (("IMAP4rev1",), 'with "quotes" and \\')])
def test_any_password_arrives_as_it_is(sqlite_database: Database, capabilities: tuple[str, ...], password: str) -> None:
    with HostileImap(capabilities) as server:
        with pytest.raises(RefusedError, match="AUTHENTICATIONFAILED"):
            fetcher(sqlite_database, mailbox(server.port), password=password).run_once()
        sent = [line for line in server.commands if line.startswith(("LOGIN", "AUTH"))]
        assert sent in (["AUTHENTICATE PLAIN"], [r'LOGIN "pump@lists.example.org" "with \"quotes\" and \\"'])


def test_a_password_that_login_cannot_carry_is_a_refusal(sqlite_database: Database) -> None:
    with HostileImap(("IMAP4rev1",)) as server, pytest.raises(RefusedError, match="takes ASCII only"):
        fetcher(sqlite_database, mailbox(server.port), password="pässword").run_once()


@pytest.mark.parametrize(
    ("reply", "reason"),
    [
        ("TAG NO [NONEXISTENT] there is none", "cannot be opened"),
        ("* 0 EXISTS\r\nTAG OK [READ-ONLY] selected", "may only be read"),
    ],
)
def test_a_folder_that_cannot_be_used_needs_a_person(
    sqlite_database: Database, server: HostileImap, reply: str, reason: str
) -> None:
    server.on("SELECT", reply)
    with pytest.raises(RefusedError, match=reason):
        fetcher(sqlite_database, mailbox(server.port)).run_once()


def test_a_server_that_is_not_there_is_no_refusal_and_is_told_once(
    sqlite_database: Database, server: HostileImap, caplog: pytest.LogCaptureFixture
) -> None:
    server.close()
    patience = timing(first_wait=0.001, longest_wait=0.001)
    with running(fetcher(sqlite_database, mailbox(server.port), timing=patience)) as made:
        wait_until(lambda: made.status.error != "", "its status")
        seen = threading.Event()
        seen.wait(0.05)
    assert (made.status.needs_person, len(caplog.records)) == (False, 1)


# --- hostile answers --------------------------------------------------------------------------------------------------


def _without_end(line: bytes, sent: list[int]) -> Callable[[socket.socket, bytes], None]:
    def send(link: socket.socket, _tag: bytes) -> None:
        while True:
            link.sendall(line * (65_536 // len(line) + 1))
            sent.append(65_536)

    return send


@pytest.mark.acceptance(105)
@pytest.mark.parametrize(
    ("step", "line"),
    [
        ("GREETING", b"* OK and\r\n"),
        ("CAPABILITY", b"* CAPABILITY\r\n"),
        ("AUTHENTICATE", b"+ more\r\n"),
        ("SELECT", b"* FLAGS (x)\r\n"),
        ("SEARCH", b"* SEARCH 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22 23 24 25 26 27 28 29 30\r\n"),
        ("SEARCH", b"1 "),
        ("FETCH", b"* 1 FETCH (FLAGS ())\r\n"),
        ("FETCH", b"x"),
        ("IDLE", b"* OK still here\r\n"),
    ],
)
def test_an_answer_without_end_is_cut_off(
    sqlite_database: Database, server: HostileImap, step: str, line: bytes
) -> None:
    sent: list[int] = []
    server.add(mail(1))
    server.on(step, _without_end(line, sent))
    with running(
        fetcher(sqlite_database, mailbox(server.port), timing=timing(first_wait=600, longest_wait=600, idle=0.01))
    ) as made:
        wait_until(lambda: made.status.error != "", "the end of the session")
    assert sum(sent) < 15_000_000, "what the buffers of two sockets hold is in it"
    assert server.connections == 1


@pytest.mark.acceptance(105)
def test_an_answer_that_drips_in_is_given_up(sqlite_database: Database, server: HostileImap) -> None:
    def drips(link: socket.socket, _tag: bytes) -> None:
        pause = threading.Event()
        while not pause.wait(0.01):
            link.sendall(b"*")

    server.on("SELECT", drips)
    began = time.monotonic()
    with pytest.raises(LostError, match="took too long"):
        fetcher(sqlite_database, mailbox(server.port), timing=timing(answer=0.3)).run_once()
    assert time.monotonic() - began < 3


@pytest.mark.acceptance(105)
@pytest.mark.parametrize("step", ["GREETING", "SELECT", "SEARCH", "STORE"])
def test_a_literal_where_none_was_asked_for_is_not_read(
    sqlite_database: Database, server: HostileImap, step: str
) -> None:
    server.add(mail(1))
    server.on(step, "* X {2147483647}\r\nxxxx")
    with pytest.raises(LostError, match="2147483647 bytes, more than are taken"):
        fetcher(sqlite_database, mailbox(server.port)).run_once()


@pytest.mark.slow
@pytest.mark.acceptance(105)
def test_mutilated_answers_end_in_a_lost_session_and_never_in_lost_or_doubled_mail(
    sqlite_database: Database, server: HostileImap
) -> None:
    chance = random.Random(105)
    good = {
        "CAPABILITY": b"* CAPABILITY IMAP4rev1 AUTH=PLAIN MOVE\r\nTAG OK done\r\n",
        "SELECT": b"* 1 EXISTS\r\n* OK [UIDVALIDITY 1] x\r\n* OK [UIDNEXT 2] x\r\nTAG OK [READ-WRITE] done\r\n",
        "SEARCH": b"* SEARCH 1\r\nTAG OK done\r\n",
        "FETCH": b"* 1 FETCH (UID 1 RFC822.SIZE 129 BODY[] {129}\r\n" + mail(1) + b")\r\nTAG OK done\r\n",
        "STORE": b"TAG OK done\r\n",
    }
    splinters = (b"", b"\r\n", b"{9}\r\n", b"(" * 3000, b'"', b"\0", b"\xff", b"99999999999", b" ", b"*", b"A1 NO")
    ends = 0
    for _ in range(150):
        step = chance.choice(list(good))
        data = bytearray(good[step])
        for _ in range(chance.choice((1, 1, 2, 8))):
            at = chance.randrange(len(data))
            data[at : at + chance.choice((0, 1, 1, 9))] = chance.choice(splinters)
        server.forget()
        server.recreate(1)
        if not server.messages:
            server.add(mail(1))
        server.on(step, bytes(data), times=1)
        try:
            fetcher(sqlite_database, mailbox(server.port), timing=timing(answer=0.05, connect=0.05)).run_once()
        except (LostError, DeniedError, RefusedError):
            ends += 1
    assert ends > 50
    server.forget()
    fetcher(sqlite_database, mailbox(server.port)).run_once()
    # A message whose bytes were changed on the way is another message, and nobody can know.
    whole = [raw for raw in spooled(sqlite_database) if raw == mail(1)]
    assert len(whole) == 1


@pytest.mark.acceptance(105)
@pytest.mark.parametrize("key", ["folder", "move_to"])
@pytest.mark.parametrize(
    "name", ["IN\rBOX", "IN\nBOX", 'IN"BOX', "IN\\BOX", "INBOX {5}", "IN\0BOX", "IN*", "IN%", "\x85"]
)
def test_folder_names_that_could_say_something_else_are_refused_before_the_wire(
    sqlite_database: Database, server: HostileImap, key: str, name: str
) -> None:
    with pytest.raises(SettingsError, match=f"imap.{key}"):
        fetcher(sqlite_database, mailbox(server.port, **{key: name}))
    assert server.connections == 0


def test_nothing_that_a_mail_says_is_said_to_the_server(sqlite_database: Database, server: HostileImap) -> None:
    server.add(mail(1, header="Message-ID: <a\r\n\tb{5}\r\n>\r\nX: TAG LOGOUT\r\n", to='"x" OR DELETED {9}'))
    fetcher(sqlite_database, mailbox(server.port)).run_once()
    assert len(held(sqlite_database)) == 1
    assert {line.split(" (")[0] for line in server.commands} == {
        "CAPABILITY",
        "AUTHENTICATE PLAIN",
        'SELECT "INBOX"',
        "UID SEARCH UID 1:*",
        "UID SEARCH UID 2:*",
        "UID FETCH 1",
        "UID STORE 1 +FLAGS.SILENT",
        "LOGOUT",
    }
