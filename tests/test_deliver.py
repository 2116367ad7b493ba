"""The workers that send: over real sockets to a recording server, with a clock that stands still."""

import logging
import re
import ssl
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import Connection, select

from tests import seed
from tests.smtp_sink import CERTIFICATE, CUT, STALL, SmtpSink
from tests.sockets import free_port
from tidings.archive import read
from tidings.clock import FixedClock
from tidings.communities import joining
from tidings.database.engine import Database
from tidings.database.tables import delivery, membership
from tidings.errors import SettingsError
from tidings.mailer import compose, deliver, outbox
from tidings.mailer.deliver import Deliverer, MaildirTransport, open_transport
from tidings.mailer.outbox import Claimed
from tidings.mailer.smtp_client import Answer, SmtpTransport
from tidings.settings import DeliverySettings, Settings, SiteSettings

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
OWNER = "pump+owner@lists.example.org"
RAW = b"Subject: A seal\r\nMessage-ID: <one@example.org>\r\n\r\nIt leaks.\r\n"


@pytest.fixture
def sink() -> Iterator[SmtpSink]:
    with SmtpSink() as sink:
        yield sink


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


def transport(sink: SmtpSink, **values: Any) -> SmtpTransport:
    settings: dict[str, Any] = {"host": "127.0.0.1", "port": sink.port, "name": "lists.example.org", "timeout": 10.0}
    return SmtpTransport(**settings | values)


@pytest.fixture
def client(sink: SmtpSink) -> Iterator[SmtpTransport]:
    client = transport(sink)
    yield client
    client.close()


def raw_of(connection: Connection, claimed: Claimed) -> bytes:
    assert claimed.post_id is not None
    return read.raw(connection, claimed.post_id)


def deliverer(
    database: Database,
    sink: SmtpSink,
    clock: FixedClock,
    assemble: Callable[[Connection, Claimed], bytes] = raw_of,
    *,
    timeout: float = 10.0,
    **settings: Any,
) -> Deliverer:
    return Deliverer(
        database=database,
        settings=DeliverySettings(**settings),
        clock=clock,
        open_transport=lambda: transport(sink, timeout=timeout, end_timeout=timeout),
        assemblers={"post": assemble},
    )


def add_posts(database: Database, *raws: bytes, members: int = 3, mail_from: str = OWNER) -> list[int]:
    """Posts of one community, put out to its members; their ids."""
    with database.write() as connection:
        community_id = seed.community(connection)
        for number in range(members):
            seed.member(connection, community_id, f"m{number}@example.org")
        ids = []
        for raw in raws:
            post_id = seed.post(connection, community_id, raw=raw).id
            assert post_id is not None
            outbox.add_post(connection, community_id=community_id, post_id=post_id, mail_from=mail_from, now=NOW)
            ids.append(post_id)
    return ids


def states(database: Database) -> dict[str, int]:
    counted: dict[str, int] = {}
    with database.read() as connection:
        for state in connection.execute(select(delivery.c.state)).scalars():
            counted[state] = counted.get(state, 0) + 1
    return counted


def history(database: Database, post_id: int, email: str) -> outbox.Step:
    with database.read() as connection:
        (step,) = outbox.history(connection, post_id=post_id, email=email)
    return step


def test_a_post_reaches_every_member_in_one_transaction(database: Database, sink: SmtpSink, clock: FixedClock) -> None:
    (post_id,) = add_posts(database, RAW)
    assert deliverer(database, sink, clock).run_once() == 3
    (message,) = sink.messages
    assert message.mail_from == OWNER and message.data == RAW
    assert message.recipients == ("m0@example.org", "m1@example.org", "m2@example.org")
    step = history(database, post_id, "m1@example.org")
    assert (step.state, step.reply, step.attempts) == ("sent", "250 2.0.0 taken", 1)


def test_a_second_run_sends_nothing(sqlite_database: Database, sink: SmtpSink, clock: FixedClock) -> None:
    add_posts(sqlite_database, RAW)
    worker = deliverer(sqlite_database, sink, clock)
    assert (worker.run_once(), worker.run_once()) == (3, 0)
    assert len(sink.messages) == 1


def test_a_notice_goes_out_as_it_was_written(sqlite_database: Database, sink: SmtpSink, clock: FixedClock) -> None:
    with sqlite_database.write() as connection:
        outbox.add_notice(connection, key="k", recipient="sam@example.org", raw=RAW, now=NOW)
    deliverer(sqlite_database, sink, clock).run_once()
    (message,) = sink.messages
    assert (message.mail_from, message.recipients, message.data) == ("", ("sam@example.org",), RAW)
    assert sink.commands[1].startswith("MAIL FROM:<>")


def test_a_transaction_has_no_more_recipients_than_the_settings_say(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    add_posts(sqlite_database, RAW, members=25)
    deliverer(sqlite_database, sink, clock, recipients=10).run_once()
    assert [len(message.recipients) for message in sink.messages] == [10, 10, 5]
    assert sink.connections == 1


def odd_messages() -> list[bytes]:
    random = Random(3)
    pieces = [
        b"\r\n",
        b"\n",
        b"\r",
        b".",
        b"..",
        b"\r\n.\r\n",
        b"\n.\n",
        b"\0",
        b"\xff\xfe",
        b"From ",
        b" ",
        b"a" * 999,
    ]
    made = [b"Subject: x\r\n\r\n" + b"".join(random.choices(pieces, k=random.randrange(40))) for _ in range(60)]
    return [*made, b"", b".", b"\r\n.\r\n", b"Subject: x\n\n.leading\n.\nlast line.", b".Subject: x\r\n\r\n.\r\n"]


@pytest.mark.acceptance(3)
def test_odd_bytes_come_out_one_for_one_with_dots_kept_and_no_bare_line_end(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    made: list[bytes] = []

    def assemble(connection: Connection, claimed: Claimed) -> bytes:
        copy = compose.CopyFacts(
            community="pump",
            title="Pump people",
            domain="lists.example.org",
            base_url="https://tidings.example.org",
            message_id=f"{claimed.post_id}@example.org",
        )
        made.append(compose.list_copy(raw_of(connection, claimed), copy))
        return made[-1]

    add_posts(sqlite_database, *odd_messages(), members=2)
    deliverer(sqlite_database, sink, clock, assemble).run_once()
    assert len(sink.messages) == len(made) == len(odd_messages())
    for message, copy in zip(sink.messages, made, strict=True):
        assert message.data == (copy if copy.endswith(b"\r\n") else copy + b"\r\n")
        assert not re.search(rb"\r(?!\n)|(?<!\r)\n", message.data)
    assert states(sqlite_database) == {"sent": 2 * len(made)}


def test_what_an_assembler_made_with_bare_line_ends_is_mended(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    add_posts(sqlite_database, b"Subject: x\n\na\rb\n.\n", members=1)
    deliverer(sqlite_database, sink, clock).run_once()
    assert sink.messages[0].data == b"Subject: x\r\n\r\na\r\nb\r\n.\r\n"


def test_commands_are_pipelined_where_the_host_offers_it(sink: SmtpSink, client: SmtpTransport) -> None:
    answers = client.send(OWNER, ["a@example.org", "b@example.org"], RAW)
    assert sink.pipelined and all(answer.accepted for answer in answers.values())


def test_commands_wait_for_their_answers_where_the_host_does_not_offer_pipelining() -> None:
    with SmtpSink(extensions=()) as sink:
        sink.on("RCPT", "550 5.1.1 nobody", match="a@")
        client = transport(sink)
        answers = client.send(OWNER, ["a@example.org", "b@example.org"], RAW)
        refused = client.send(OWNER, ["a@example.org"], RAW)
        client.close()
    assert not sink.pipelined
    assert (answers["a@example.org"].refused, answers["b@example.org"].accepted) == (True, True)
    assert refused["a@example.org"].refused and len(sink.messages) == 1
    assert [line.split(":")[0].upper() for line in sink.commands[-4:]] == ["MAIL FROM", "RCPT TO", "RSET", "QUIT"]


def test_more_recipients_than_one_burst_holds_are_answered_each(sink: SmtpSink, client: SmtpTransport) -> None:
    recipients = [f"m{number}@example.org" for number in range(300)]
    sink.on("RCPT", "550 5.1.1 nobody", match="m200@")
    answers = client.send(OWNER, recipients, RAW)
    assert [one for one in recipients if not answers[one].accepted] == ["m200@example.org"]
    assert len(sink.messages[0].recipients) == 299


def test_where_all_are_refused_but_data_is_answered_354_a_lone_dot_is_sent(
    sink: SmtpSink, client: SmtpTransport
) -> None:
    sink.on("RCPT", "550 5.1.1 nobody", times=1)
    sink.on("DATA", "354 go on")
    assert client.send(OWNER, ["a@example.org"], RAW)["a@example.org"].refused
    assert client.send(OWNER, ["b@example.org"], RAW)["b@example.org"].accepted
    assert [message.recipients for message in sink.messages] == [("b@example.org",)]
    assert sink.connections == 1


def test_one_session_carries_many_mails(sink: SmtpSink, client: SmtpTransport) -> None:
    sink.on("MAIL", "550 5.7.1 no", times=1)
    results = [client.send(OWNER, ["a@example.org"], RAW)["a@example.org"].accepted for _ in range(5)]
    assert results == [False, True, True, True, True]
    assert sink.connections == 1


@pytest.mark.parametrize("reply", ["421 4.4.2 idle for too long", CUT])
def test_a_session_that_the_host_closed_while_idle_is_opened_again(
    sink: SmtpSink, client: SmtpTransport, reply: str
) -> None:
    client.send(OWNER, ["a@example.org"], RAW)
    sink.on("MAIL", reply, times=1)
    assert client.send(OWNER, ["b@example.org"], RAW)["b@example.org"].accepted
    assert sink.connections == 2


def test_a_host_that_knows_no_ehlo_still_takes_mail(sink: SmtpSink, client: SmtpTransport) -> None:
    sink.on("EHLO", "502 5.5.1 what?")
    assert client.send(OWNER, ["a@example.org"], RAW)["a@example.org"].accepted
    assert "MAIL FROM:<pump+owner@lists.example.org>" in sink.commands


@pytest.mark.parametrize("address", ["a@example.org\r\nRCPT TO:<x@example.org", "a b@example.org", "a", "", "<a@b>"])
def test_an_address_that_is_none_never_reaches_the_wire(sink: SmtpSink, client: SmtpTransport, address: str) -> None:
    answers = client.send(OWNER, ["good@example.org", address], RAW)
    assert answers[address].refused and answers["good@example.org"].accepted
    assert sink.recipients() == ["good@example.org"]
    answer = client.send("a@example.org>\r\nRSET", ["good@example.org"], RAW)["good@example.org"]
    assert not answer.accepted and not answer.refused
    assert len(sink.messages) == 1


def test_an_address_beyond_ascii_needs_a_host_that_takes_it(sink: SmtpSink, client: SmtpTransport) -> None:
    assert client.send(OWNER, ["jörg@example.org"], RAW)["jörg@example.org"].accepted
    assert next(line for line in sink.commands if line.startswith("MAIL")).endswith(" SMTPUTF8")
    with SmtpSink(extensions=("PIPELINING",)) as plain:
        other = transport(plain)
        answers = other.send(OWNER, ["jörg@example.org", "a@example.org"], RAW)
        other.close()
    assert answers["jörg@example.org"].refused and answers["a@example.org"].accepted
    assert plain.recipients() == ["a@example.org"]


def test_eight_bit_text_is_announced(sink: SmtpSink, client: SmtpTransport) -> None:
    client.send(OWNER, ["a@example.org"], "Subject: x\r\n\r\nDichtung hält\r\n".encode())
    assert " BODY=8BITMIME" in next(line for line in sink.commands if line.startswith("MAIL"))


@pytest.mark.acceptance(66)
def test_one_refused_and_three_put_off_of_a_hundred_leave_the_others_alone(
    database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    (post_id,) = add_posts(database, RAW, members=100)
    sink.on("RCPT", "550 5.1.1 nobody here", match="<m7@")
    for number in (11, 22, 33):
        sink.on("RCPT", "451 4.2.0 later", match=f"<m{number}@")
    worker = deliverer(database, sink, clock)
    worker.run_once()
    assert states(database) == {"sent": 96, "failed": 1, "queued": 3}
    assert history(database, post_id, "m7@example.org").reply == "550 5.1.1 nobody here"
    sink.forget()
    clock.advance(timedelta(minutes=6))
    assert worker.run_once() == 3
    assert sink.messages[-1].recipients == ("m11@example.org", "m22@example.org", "m33@example.org")
    assert states(database) == {"sent": 99, "failed": 1}
    assert len(sink.recipients()) == len(set(sink.recipients())) == 99


@pytest.mark.acceptance(67)
def test_a_host_that_takes_two_at_a_time_gets_the_rest_in_further_transactions(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    add_posts(sqlite_database, RAW, members=5)
    sink.on("RCPT", "452 4.5.3 too many recipients", after=2)
    deliverer(sqlite_database, sink, clock).run_once()
    assert [len(message.recipients) for message in sink.messages] == [2, 2, 1]
    assert states(sqlite_database) == {"sent": 5}


@pytest.mark.acceptance(67)
@pytest.mark.parametrize("reply", ["421 4.7.0 busy", CUT])
def test_a_host_that_closes_after_two_recipients_gets_all_again_later_and_nobody_is_blamed(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock, reply: str
) -> None:
    add_posts(sqlite_database, RAW, members=5)
    sink.on("RCPT", reply, after=2, times=1)
    worker = deliverer(sqlite_database, sink, clock)
    worker.run_once()
    assert states(sqlite_database) == {"queued": 5} and sink.messages == []
    clock.advance(timedelta(minutes=6))
    worker.run_once()
    assert states(sqlite_database) == {"sent": 5} and len(sink.messages) == 1


def test_452_for_everyone_is_no_reason_to_ask_again_at_once(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    add_posts(sqlite_database, RAW)
    sink.on("RCPT", "452 4.2.2 mailbox full")
    deliverer(sqlite_database, sink, clock).run_once()
    assert states(sqlite_database) == {"queued": 3}
    assert sum(line.startswith("MAIL") for line in sink.commands) == 1


@pytest.mark.acceptance(68)
@pytest.mark.parametrize("step", ["MAIL", "DATA", "END"])
def test_a_refusal_of_us_or_of_the_message_is_never_the_members_fault(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock, step: str, caplog: pytest.LogCaptureFixture
) -> None:
    (post_id,) = add_posts(sqlite_database, RAW)
    sink.on(step, "554 5.7.1 we do not want this")
    worker = deliverer(sqlite_database, sink, clock)
    worker.run_once()
    assert states(sqlite_database) == {"queued": 3}
    assert history(sqlite_database, post_id, "m0@example.org").reply == "554 5.7.1 we do not want this"
    assert "554 5.7.1 we do not want this" in caplog.text
    sink.forget()
    clock.advance(timedelta(minutes=6))
    worker.run_once()
    assert states(sqlite_database) == {"sent": 3}


@pytest.mark.acceptance(68)
def test_a_return_path_that_is_refused_is_left_alone_while_others_go_on(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock, caplog: pytest.LogCaptureFixture
) -> None:
    add_posts(sqlite_database, RAW, RAW, RAW, members=2)
    with sqlite_database.write() as connection:
        outbox.add_notice(connection, key="k", recipient="sam@example.org", raw=RAW, now=NOW)
    sink.on("MAIL", "550 5.7.1 you are blocked", match=OWNER)
    deliverer(sqlite_database, sink, clock).run_once()
    assert sum(OWNER in line for line in sink.commands) == 1
    assert states(sqlite_database) == {"queued": 6, "sent": 1}
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


@pytest.mark.acceptance(69)
@pytest.mark.parametrize("step", ["BANNER", "EHLO", "MAIL", "RCPT", "DATA", "END"])
def test_a_host_that_stalls_is_given_up_in_time_and_asked_again_later(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock, step: str
) -> None:
    (post_id,) = add_posts(sqlite_database, RAW)
    sink.on(step, STALL, times=1)
    worker = deliverer(sqlite_database, sink, clock, timeout=0.1)
    worker.run_once()
    assert states(sqlite_database) == {"queued": 3}
    assert "timed out" in (history(sqlite_database, post_id, "m0@example.org").reply or "")
    clock.advance(timedelta(minutes=6))
    worker.run_once()
    assert states(sqlite_database) == {"sent": 3} and len(sink.messages) == 1


def test_a_stalled_mail_does_not_hold_up_the_next(sqlite_database: Database, sink: SmtpSink, clock: FixedClock) -> None:
    add_posts(sqlite_database, RAW, RAW)
    sink.on("DATA", STALL, times=1)
    deliverer(sqlite_database, sink, clock, timeout=0.1).run_once()
    assert states(sqlite_database) == {"queued": 3, "sent": 3}


@pytest.mark.acceptance(70)
def test_mail_whose_outcome_is_unknown_is_sent_again_and_told(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock, caplog: pytest.LogCaptureFixture
) -> None:
    (post_id,) = add_posts(sqlite_database, RAW, members=4)
    sink.on("RCPT", "550 5.1.1 nobody", match="<m3@")
    sink.on("END", CUT, times=1)
    worker = deliverer(sqlite_database, sink, clock)
    worker.run_once()
    assert states(sqlite_database) == {"queued": 3, "failed": 1}
    assert "may be sent twice" in caplog.text
    assert (history(sqlite_database, post_id, "m0@example.org").reply or "").startswith("end: ")
    clock.advance(timedelta(minutes=6))
    assert worker.run_once() == 3
    assert sink.messages[0].data == RAW and sink.messages[0].recipients == tuple(f"m{n}@example.org" for n in range(3))
    assert states(sqlite_database) == {"sent": 3, "failed": 1}


def test_a_host_that_cannot_be_reached_costs_one_try_and_the_rest_stays_due(
    sqlite_database: Database, clock: FixedClock
) -> None:
    add_posts(sqlite_database, RAW, RAW, RAW)
    nowhere = SmtpTransport(host="127.0.0.1", port=free_port(), name="lists.example.org", timeout=1.0)
    worker = Deliverer(
        database=sqlite_database,
        settings=DeliverySettings(),
        clock=clock,
        open_transport=lambda: nowhere,
        assemblers={"post": raw_of},
    )
    assert worker.run_once() == 3
    with sqlite_database.read() as connection:
        rows = connection.execute(select(delivery.c.attempts, delivery.c.claim, delivery.c.reply)).all()
    assert [row.attempts for row in rows] == [1, 1, 1, 0, 0, 0, 0, 0, 0]
    assert {row.claim for row in rows} == {None} and rows[0].reply == "connect: Connection refused"


@pytest.mark.acceptance(73)
def test_two_workers_on_one_queue_send_nothing_twice(database: Database, sink: SmtpSink, clock: FixedClock) -> None:
    posts = [b"Subject: %d\r\n\r\nx\r\n" % number for number in range(20)]
    add_posts(database, *posts, members=10)
    worker = deliverer(database, sink, clock, connections=4, recipients=7)
    worker.start()
    worker.wake()
    while sum(len(message.recipients) for message in sink.wait_for(len(sink.messages) + 1)) < 200:
        pass
    worker.stop()
    pairs = [(message.data, recipient) for message in sink.messages for recipient in message.recipients]
    assert len(pairs) == len(set(pairs)) == 200
    assert states(database) == {"sent": 200}


def test_waking_makes_idle_workers_look_at_once(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "_POLL", 3600.0)
    worker = deliverer(sqlite_database, sink, clock, connections=2)
    worker.start()
    add_posts(sqlite_database, RAW)
    worker.wake()
    sink.wait_for(1)
    worker.stop()
    assert states(sqlite_database) == {"sent": 3}


def test_stopping_ends_the_running_transaction_and_gives_back_the_rest(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    add_posts(sqlite_database, RAW, RAW)
    assembling, go_on = threading.Event(), threading.Event()

    def assemble(connection: Connection, claimed: Claimed) -> bytes:
        assembling.set()
        assert go_on.wait(10)
        return raw_of(connection, claimed)

    worker = deliverer(sqlite_database, sink, clock, assemble, connections=1)
    worker.start()
    assert assembling.wait(10)
    worker.stop(timeout=0)
    go_on.set()
    sink.wait_for(1)
    for thread in threading.enumerate():
        if thread.name.startswith("deliver-"):
            thread.join(10)
    assert states(sqlite_database) == {"sent": 3, "queued": 3} and len(sink.messages) == 1
    with sqlite_database.read() as connection:
        assert outbox.waiting(connection, NOW)


@pytest.mark.acceptance(74)
def test_a_member_who_leaves_while_a_batch_is_on_its_way_gets_no_more_of_it(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    add_posts(sqlite_database, b"Subject: first\r\n\r\n", b"Subject: second\r\n\r\n", members=2)

    def assemble(connection: Connection, claimed: Claimed) -> bytes:
        raw = raw_of(connection, claimed)
        if b"first" in raw:
            with sqlite_database.write() as writer:
                leaver = writer.execute(select(membership.c.id).order_by(membership.c.id)).scalars().first()
                assert leaver is not None
                joining.remove_member(writer, membership_id=leaver, now=NOW)
        return raw

    deliverer(sqlite_database, sink, clock, assemble).run_once()
    assert [message.recipients for message in sink.messages] == [
        ("m0@example.org", "m1@example.org"),
        ("m1@example.org",),
    ]
    assert states(sqlite_database) == {"sent": 3, "dropped": 1}


def test_a_worker_that_slept_longer_than_its_lease_sends_nothing_that_others_took(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    add_posts(sqlite_database, b"Subject: first\r\n\r\n", b"Subject: second\r\n\r\n", members=1)
    taken: list[Claimed] = []

    def assemble(connection: Connection, claimed: Claimed) -> bytes:
        clock.advance(timedelta(hours=1))
        with sqlite_database.write() as other:
            taken.extend(outbox.claim(other, clock.now(), 10, timedelta(minutes=15)))
        return raw_of(connection, claimed)

    deliverer(sqlite_database, sink, clock, assemble).run_once()
    assert len(taken) == 2
    assert [message.data for message in sink.messages] == [b"Subject: first\r\n\r\n"]
    assert states(sqlite_database) == {"queued": 2}


def test_a_slow_batch_keeps_its_lease(sqlite_database: Database, sink: SmtpSink, clock: FixedClock) -> None:
    add_posts(sqlite_database, *(b"Subject: %d\r\n\r\n" % number for number in range(5)), members=1)

    def assemble(connection: Connection, claimed: Claimed) -> bytes:
        clock.advance(timedelta(minutes=20))
        with sqlite_database.write() as other:
            assert outbox.claim(other, clock.now(), 10, timedelta(minutes=15)) == []
        return raw_of(connection, claimed)

    deliverer(sqlite_database, sink, clock, assemble).run_once()
    assert states(sqlite_database) == {"sent": 5}


def test_a_mail_that_cannot_be_assembled_waits_alone(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = add_posts(sqlite_database, b"Subject: bad\r\n\r\n", RAW)

    def assemble(connection: Connection, claimed: Claimed) -> bytes:
        if claimed.post_id == bad:
            raise LookupError("the blob is gone")
        return raw_of(connection, claimed)

    deliverer(sqlite_database, sink, clock, assemble).run_once()
    step = history(sqlite_database, bad, "m0@example.org")
    assert (step.state, step.reply) == ("queued", "could not be assembled: LookupError: the blob is gone")
    assert step.due_at > NOW and "LookupError" in caplog.text
    assert history(sqlite_database, good, "m0@example.org").state == "sent"


def test_a_worker_outlives_a_database_that_fails_once(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_posts(sqlite_database, RAW)
    monkeypatch.setattr(deliver, "_PAUSE", 0.0)
    waiting, failures = outbox.waiting, [RuntimeError("disk I/O error")]

    def fail_once(connection: Connection, now: datetime) -> bool:
        if failures:
            raise failures.pop()
        return waiting(connection, now)

    monkeypatch.setattr(outbox, "waiting", fail_once)
    worker = deliverer(sqlite_database, sink, clock, connections=1)
    worker.start()
    sink.wait_for(1)
    worker.stop()
    assert states(sqlite_database) == {"sent": 3}


def test_without_a_host_mail_is_written_to_a_maildir(
    sqlite_database: Database, clock: FixedClock, tmp_path: Path
) -> None:
    add_posts(sqlite_database, RAW, members=2)
    settings = Settings(site=SiteSettings(data_dir=str(tmp_path)))
    worker = Deliverer(
        database=sqlite_database,
        settings=settings.delivery,
        clock=clock,
        open_transport=lambda: open_transport(settings),
        assemblers={"post": raw_of},
    )
    worker.run_once()
    (file,) = (tmp_path / "outbox" / "new").iterdir()
    envelope = b"Return-Path: <pump+owner@lists.example.org>\r\nX-Envelope-To: m0@example.org, m1@example.org\r\n"
    assert file.read_bytes() == envelope + RAW
    assert list((tmp_path / "outbox" / "tmp").iterdir()) == []
    assert states(sqlite_database) == {"sent": 2}


def test_a_maildir_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "outbox").write_text("a file in its place")
    answer = MaildirTransport(tmp_path / "outbox").send(OWNER, ["a@example.org"], RAW)["a@example.org"]
    assert (answer.code, answer.step) == (0, "connect") and "cannot be written" in answer.text


@pytest.fixture
def certificate(tmp_path: Path) -> Path:
    path = tmp_path / "sink.pem"
    path.write_text(CERTIFICATE)
    return path


@pytest.fixture
def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    return context


@pytest.mark.parametrize("tls", ["starttls", "tls"])
def test_mail_goes_encrypted_to_a_host_that_we_trust_and_not_at_all_to_another(
    tls: Any, certificate: Path, server_context: ssl.SSLContext
) -> None:
    trusting = ssl.create_default_context(cafile=str(certificate))
    with SmtpSink(("PIPELINING", "STARTTLS"), context=server_context, tls=tls == "tls") as sink:
        for context, taken in ((trusting, True), (None, False)):
            client = transport(sink, tls=tls, context=context)
            answer = client.send(OWNER, ["a@example.org"], RAW)["a@example.org"]
            client.close()
            assert answer.accepted is taken
        assert "certificate" in answer.text.lower() and answer.step == "connect"
        assert len(sink.messages) == 1


def test_nothing_goes_in_the_clear_where_encryption_was_asked_for_and_not_offered(sink: SmtpSink) -> None:
    client = transport(sink, tls="starttls", user="tidings", password="secret")
    answer = client.send(OWNER, ["a@example.org"], RAW)["a@example.org"]
    assert answer.step == "connect" and "STARTTLS" in answer.text and not answer.accepted
    assert [line[:4] for line in sink.commands] == ["ehlo"]


def test_a_user_signs_in_with_the_password_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\n")
    with SmtpSink(("PIPELINING", "AUTH PLAIN")) as sink:
        delivery = DeliverySettings(host="127.0.0.1", port=sink.port, user="tidings", password_file="password")
        client = open_transport(Settings(site=SiteSettings(data_dir=str(tmp_path)), delivery=delivery))
        assert client.send(OWNER, ["a@example.org"], RAW)["a@example.org"].accepted
        client.close()
        assert "AUTH PLAIN AHRpZGluZ3MAc2VjcmV0" in sink.commands


def test_a_refused_sign_in_is_tried_again_later() -> None:
    with SmtpSink(("PIPELINING", "AUTH PLAIN")) as sink:
        sink.on("AUTH", "535 5.7.8 wrong password")
        client = transport(sink, user="tidings", password="wrong")
        assert client.send(OWNER, ["a@example.org"], RAW) == {
            "a@example.org": Answer(535, "5.7.8 wrong password", "connect")
        }


def test_a_password_that_cannot_be_read_is_a_settings_error(tmp_path: Path) -> None:
    delivery = DeliverySettings(host="127.0.0.1", user="tidings", password_file="absent")
    with pytest.raises(SettingsError, match="password_file"):
        open_transport(Settings(site=SiteSettings(data_dir=str(tmp_path)), delivery=delivery))


def test_what_a_host_says_is_kept_on_one_line_without_control_characters(sink: SmtpSink, client: SmtpTransport) -> None:
    sink.on("RCPT", "550-5.1.1 \x1b[31mno\r\n550 5.1.1 " + "x" * 600)
    answer = client.send(OWNER, ["a@example.org"], RAW)["a@example.org"]
    assert answer.text.isprintable() and answer.text.startswith("5.1.1  [31mno 5.1.1 xxx") and len(answer.text) == 500
