"""The workers that send: over real sockets to a recording server, with a clock that stands still."""

import logging
import re
import threading
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

import pytest
from sqlalchemy import Connection, select, update

from tests import seed
from tests.running import settings_for, wait_until
from tests.smtp_sink import CUT, STALL, SmtpSink
from tests.sockets import free_port
from tidings.app import open_site
from tidings.archive import read
from tidings.clock import FixedClock
from tidings.communities import joining
from tidings.database import tables
from tidings.database.engine import Database
from tidings.database.tables import delivery, membership
from tidings.errors import SettingsError
from tidings.mailer import compose, courier, deliver, outbox
from tidings.mailer.addresses import ListAddress, read_recipient
from tidings.mailer.courier import Mail
from tidings.mailer.deliver import Deliverer, open_transport
from tidings.mailer.maildir import MaildirTransport
from tidings.mailer.outbox import Claimed
from tidings.mailer.smtp_client import SmtpTransport
from tidings.mailer.smtp_session import Answer, Letter
from tidings.settings import DeliverySettings, RouteSettings, Settings, SiteSettings

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
PUMP = "pump@lists.example.org"
RAW = b"Subject: A seal\r\nMessage-ID: <one@example.org>\r\n\r\nIt leaks.\r\n"


@pytest.fixture
def sink() -> Iterator[SmtpSink]:
    with SmtpSink() as sink:
        yield sink


@pytest.fixture
def clock() -> FixedClock:
    return FixedClock(NOW)


class OneByOne(SmtpTransport):
    """As with a slow host: one letter a call, and something happens behind each."""

    def __init__(self, behind: Callable[[], None], **values: Any) -> None:
        super().__init__(**values)
        self._behind = behind

    def send(self, letters: Sequence[Letter]) -> list[Answer | None]:
        answers = super().send(letters[:1])
        self._behind()
        return answers + [None] * (len(letters) - 1)


def raw_of(connection: Connection, claimed: Claimed) -> Mail:
    assert claimed.post_id is not None
    return Mail(data=read.raw(connection, claimed.post_id))


def return_path(claimed: Claimed, today: date) -> str:
    name, _, domain = claimed.mail_from.partition("@")
    return f"{name}+b.{claimed.delivery_id}.{today:%m%d}@{domain}"


def deliverer(
    database: Database,
    sink: SmtpSink,
    clock: FixedClock,
    assemble: courier.Assembler = raw_of,
    *,
    timeout: float = 10.0,
    on_refused: courier.OnRefused | None = None,
    behind: Callable[[], None] | None = None,
    **settings: Any,
) -> Deliverer:
    values: dict[str, Any] = {"host": "127.0.0.1", "port": sink.port, "name": "lists.example.org"}
    values |= {"timeout": timeout, "end_timeout": timeout, "connections": settings.setdefault("connections", 1)}
    return Deliverer(
        database=database,
        settings=DeliverySettings(**settings),
        clock=clock,
        open_transport=lambda _: OneByOne(behind, **values) if behind else SmtpTransport(**values),
        assemblers={"post": assemble},
        return_path=return_path,
        on_refused=on_refused,
    )


def add_posts(database: Database, *raws: bytes, members: int = 3) -> list[int]:
    """Posts of one community, put out to its members; their ids."""
    with database.write() as connection:
        community_id = seed.community(connection)
        for number in range(members):
            seed.member(connection, community_id, f"m{number}@example.org")
        ids = []
        for raw in raws:
            post_id = seed.post(connection, community_id, raw=raw).id
            assert post_id is not None
            outbox.add_post(connection, community_id=community_id, post_id=post_id, mail_from=PUMP, now=NOW)
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


def names(sink: SmtpSink) -> list[str]:
    """Who got something, in the order of sending: m0, m1."""
    return [message.recipients[0].partition("@")[0] for message in sink.messages]


def test_a_post_reaches_every_member_by_a_return_path_of_their_own(
    database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    (post_id,) = add_posts(database, RAW)
    assert deliverer(database, sink, clock).run_once() == 3
    assert [(got.mail_from, got.recipients, got.data) for got in sink.messages] == [
        (f"pump+b.{number + 1}.0302@lists.example.org", (f"m{number}@example.org",), RAW) for number in range(3)
    ]
    step = history(database, post_id, "m1@example.org")
    assert (step.state, step.reply, step.attempts) == ("sent", "250 2.0.0 taken", 1)


def test_a_second_run_sends_nothing(sqlite_database: Database, sink: SmtpSink, clock: FixedClock) -> None:
    add_posts(sqlite_database, RAW)
    worker = deliverer(sqlite_database, sink, clock)
    assert (worker.run_once(), worker.run_once()) == (3, 0)
    assert len(sink.messages) == 3


def test_a_notice_goes_out_as_it_was_written_by_the_null_return_path_or_by_that_of_a_community(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    probe = b"Subject: Does it work again?\r\n\r\n"
    with sqlite_database.write() as connection:
        outbox.add_notice(connection, key="k", recipient="sam@example.org", raw=RAW, now=NOW)
        outbox.add_notice(connection, key="p", recipient="ana@example.org", raw=probe, now=NOW, mail_from=PUMP)
    deliverer(sqlite_database, sink, clock).run_once()
    assert [(got.mail_from, got.recipients, got.data) for got in sink.messages] == [
        ("", ("sam@example.org",), RAW),
        ("pump+b.2.0302@lists.example.org", ("ana@example.org",), probe),
    ]
    assert sink.commands[1].startswith("MAIL FROM:<>")


def test_a_post_is_assembled_once_however_many_batches_it_takes_and_each_copy_has_its_own_lines(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    made: list[int] = []

    def assemble(connection: Connection, claimed: Claimed) -> Mail:
        made.append(claimed.outbox_id)
        return Mail(data=raw_of(connection, claimed).data, head=lambda one: b"X-Own: %d\r\n" % one.delivery_id)

    add_posts(sqlite_database, RAW, members=25)
    with sqlite_database.read() as connection:
        rows = connection.execute(select(delivery.c.recipient, delivery.c.id)).all()
    deliverer(sqlite_database, sink, clock, assemble, recipients=10).run_once()
    assert made == [1]
    assert {got.recipients[0]: got.data for got in sink.messages} == {
        email: b"X-Own: %d\r\n" % delivery_id + RAW for email, delivery_id in rows
    }


@pytest.mark.parametrize("connections", [1, 2])
def test_a_batch_has_no_more_letters_for_each_connection_than_the_settings_say(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock, connections: int
) -> None:
    add_posts(sqlite_database, RAW, members=5 * connections)
    held: list[int] = []

    def behind() -> None:
        with sqlite_database.read() as connection:
            held.append(len(connection.execute(select(delivery.c.id).where(delivery.c.claim.is_not(None))).all()))

    deliverer(sqlite_database, sink, clock, behind=behind, recipients=2, connections=connections).run_once()
    assert held == [2 * connections] * 4 * connections + [connections] * connections


# --- several smart hosts ---------------------------------------------------------------------------------------------


def routed(database: Database, clock: FixedClock, near: int, far: int | None, **values: Any) -> Deliverer:
    """Mail to far.example.net goes to the port `far`, if that is one, and all other to `near`."""
    route = RouteSettings(name="far", domains=["far.example.net"], host="127.0.0.1", port=far or 1)
    settings = Settings(
        delivery=DeliverySettings(host="127.0.0.1", port=near, **values), route=[] if far is None else [route]
    )
    return Deliverer(
        database=database,
        settings=settings.delivery,
        routes=settings.route,
        clock=clock,
        open_transport=partial(open_transport, settings),
        assemblers={"post": raw_of},
        return_path=return_path,
    )


def add_far_and_near(database: Database, members: int = 3) -> int:
    """A post to as many members here as there."""
    with database.write() as connection:
        community_id = seed.community(connection)
        for number in range(members):
            for domain in ("example.org", "far.example.net"):
                seed.member(connection, community_id, f"m{number}@{domain}")
        post_id = seed.post(connection, community_id, raw=RAW).id
        assert post_id is not None
        outbox.add_post(connection, community_id=community_id, post_id=post_id, mail_from=PUMP, now=NOW)
    return post_id


def domains(sink: SmtpSink) -> list[str]:
    return sorted(email.partition("@")[2] for email in sink.recipients())


@pytest.fixture
def far() -> Iterator[SmtpSink]:
    with SmtpSink() as sink:
        yield sink


def test_each_domain_is_served_by_the_smart_host_of_its_route(
    database: Database, sink: SmtpSink, far: SmtpSink, clock: FixedClock
) -> None:
    add_far_and_near(database)  # queued before there was a route
    worker = routed(database, clock, sink.port, far.port)
    assert worker.run_once() == 6
    with database.write() as connection:
        outbox.add_notice(connection, key="k", recipient="ana@Far.example.net", raw=RAW, now=NOW)
    assert (worker.run_once(), worker.run_once()) == (1, 0)
    assert domains(sink) == ["example.org"] * 3 and domains(far) == ["Far.example.net", *["far.example.net"] * 3]
    assert states(database) == {"sent": 7}


def test_what_waits_for_a_route_that_the_settings_no_longer_have_goes_to_the_default_host(
    database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    post_id = add_far_and_near(database)
    assert routed(database, clock, sink.port, free_port()).run_once() == 4
    assert domains(sink) == ["example.org"] * 3 and states(database) == {"sent": 3, "queued": 3}
    assert history(database, post_id, "m0@far.example.net").reply == "connect: Connection refused"
    clock.advance(timedelta(minutes=6))
    routed(database, clock, sink.port, None).run_once()
    assert states(database) == {"sent": 6} and domains(sink) == ["example.org"] * 3 + ["far.example.net"] * 3


@pytest.mark.acceptance(75)
def test_a_smart_host_that_is_down_stops_no_other(sqlite_database: Database, far: SmtpSink, clock: FixedClock) -> None:
    add_far_and_near(sqlite_database)
    assert routed(sqlite_database, clock, free_port(), far.port).run_once() == 4
    assert domains(far) == ["far.example.net"] * 3 and states(sqlite_database) == {"sent": 3, "queued": 3}


@pytest.mark.acceptance(69, 75)
@pytest.mark.parametrize("step", ["BANNER", "END"])
@pytest.mark.parametrize("near_stalls", [True, False])
def test_a_smart_host_that_stalls_delays_no_mail_of_another(
    database: Database, sink: SmtpSink, far: SmtpSink, clock: FixedClock, step: str, near_stalls: bool
) -> None:
    stalling, well = (sink, far) if near_stalls else (far, sink)
    stalling.on(step, STALL)
    worker = routed(database, clock, sink.port, far.port)
    worker.start()
    for number in range(2):
        add_notices_far_and_near(database, number)
        worker.wake()
        assert len(well.wait_for(3 * (number + 1))) == 3 * (number + 1)
    stalling.close()  # or the worker would wait two minutes for it
    worker.stop()
    assert stalling.messages == [] and states(database) == {"sent": 6, "queued": 6}


def add_notices_far_and_near(database: Database, number: int) -> None:
    """Three notices here and three there."""
    with database.write() as connection:
        for key in range(6):
            email = f"m{key}@{'far.example.net' if key % 2 else 'example.org'}"
            outbox.add_notice(connection, key=f"{number} {key}", recipient=email, raw=RAW, now=NOW)


def test_a_site_takes_its_routes_from_the_settings(tmp_path: Path, sink: SmtpSink, clock: FixedClock) -> None:
    (tmp_path / "password").write_text("secret\n")
    with SmtpSink(("PIPELINING", "AUTH PLAIN")) as far:
        route = f'name = "far"\ndomains = ["far.example.net"]\nhost = "127.0.0.1"\nport = {far.port}\n'
        signed_in = 'user = "tidings"\npassword_file = "password"\n'
        site = open_site(settings_for(tmp_path, sink, f"[[route]]\n{route}{signed_in}"), clock)
        with site.database.write() as connection:
            for email in ("ana@example.org", "olu@far.example.net"):
                outbox.add_notice(connection, key=email, recipient=email, raw=RAW, now=NOW)
        assert site.deliverer().run_once() == 2
        site.close()
    assert (sink.recipients(), far.recipients()) == (["ana@example.org"], ["olu@far.example.net"])
    assert "AUTH PLAIN AHRpZGluZ3MAc2VjcmV0" in far.commands and "AUTH" not in str(sink.commands)


def test_a_route_whose_password_cannot_be_read_is_told_before_anything_is_sent(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    add_far_and_near(sqlite_database)
    worker = routed(sqlite_database, clock, sink.port, None, user="tidings", password_file="absent")
    for run in (worker.start, worker.run_once):
        with pytest.raises(SettingsError, match="password_file"):
            run()
    worker.stop()
    assert sink.connections == 0


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

    def assemble(connection: Connection, claimed: Claimed) -> Mail:
        facts = compose.CopyFacts(
            address=ListAddress(name="pump", domain="lists.example.org"),
            title="Pump people",
            base_url="https://tidings.example.org",
            message_id=f"{claimed.post_id}@example.org",
        )
        copies = compose.list_copies(raw_of(connection, claimed).data, facts)
        made.append(copies.data)
        return Mail(data=copies.data, head=lambda one: copies.head("a" * one.delivery_id))

    add_posts(sqlite_database, *odd_messages(), members=2)
    deliverer(sqlite_database, sink, clock, assemble).run_once()
    assert len(sink.messages) == 2 * len(made) == 2 * len(odd_messages())
    for place, message in enumerate(sink.messages):
        own, _, rest = message.data.partition(b"One-Click\r\n")
        copy = made[place // 2]
        assert own.startswith(b"List-Unsubscribe: <https://tidings.example.org/u/" + b"a" * (place + 1) + b">")
        assert rest == (copy if copy.endswith(b"\r\n") else copy + b"\r\n")
        assert not re.search(rb"\r(?!\n)|(?<!\r)\n", message.data)
    assert states(sqlite_database) == {"sent": 2 * len(made)}


def test_what_an_assembler_made_with_bare_line_ends_is_mended(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    add_posts(sqlite_database, b"Subject: x\n\na\rb\n.\n", members=1)
    deliverer(sqlite_database, sink, clock).run_once()
    assert sink.messages[0].data == b"Subject: x\r\n\r\na\r\nb\r\n.\r\n"


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
    assert names(sink)[-3:] == ["m11", "m22", "m33"]
    assert states(database) == {"sent": 99, "failed": 1}
    assert len(sink.recipients()) == len(set(sink.recipients())) == 99


@pytest.mark.acceptance(67)
def test_a_host_that_takes_two_at_a_time_gets_the_rest_later_and_nobody_is_blamed(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    blamed: list[str] = []
    add_posts(sqlite_database, RAW, members=5)
    sink.on("RCPT", "452 4.5.3 too many recipients", after=2)
    worker = deliverer(
        sqlite_database, sink, clock, on_refused=lambda connection, one, answer: blamed.append(one.recipient)
    )
    for sent in (2, 4, 5):
        worker.run_once()
        assert states(sqlite_database).get("sent") == sent
        clock.advance(timedelta(hours=1))
    assert sorted(names(sink)) == ["m0", "m1", "m2", "m3", "m4"] and blamed == []


@pytest.mark.acceptance(67)
@pytest.mark.parametrize("reply", ["421 4.7.0 busy", CUT])
def test_a_host_that_closes_at_each_recipient_gets_all_again_later_and_nobody_is_blamed(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock, reply: str
) -> None:
    blamed: list[str] = []
    add_posts(sqlite_database, RAW, members=5)
    sink.on("RCPT", reply)
    worker = deliverer(
        sqlite_database, sink, clock, on_refused=lambda connection, one, answer: blamed.append(one.recipient)
    )
    worker.run_once()
    assert states(sqlite_database) == {"queued": 5} and sink.messages == [] and blamed == []
    assert sink.connections == 2  # two strikes, and the others were not tried
    sink.forget()
    clock.advance(timedelta(minutes=6))
    worker.run_once()
    assert states(sqlite_database) == {"sent": 5} and len(sink.messages) == 5


@pytest.mark.acceptance(67)
@pytest.mark.parametrize("reply", ["421 4.7.0 enough", CUT])
def test_a_host_that_closes_after_two_letters_gets_the_others_in_new_sessions(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock, reply: str
) -> None:
    add_posts(sqlite_database, RAW, members=5)
    sink.on("RCPT", reply, after=2)
    deliverer(sqlite_database, sink, clock).run_once()
    assert states(sqlite_database) == {"sent": 5} and len(sink.messages) == 5 and sink.connections == 3


def test_452_for_everyone_is_no_reason_to_ask_again_at_once(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    add_posts(sqlite_database, RAW)
    sink.on("RCPT", "452 4.2.2 mailbox full")
    deliverer(sqlite_database, sink, clock).run_once()
    assert states(sqlite_database) == {"queued": 3}
    assert sum(line.startswith("MAIL") for line in sink.commands) == 3


@pytest.mark.acceptance(68)
@pytest.mark.parametrize(("step", "tried"), [("MAIL", 1), ("DATA", 2), ("END", 2)])
def test_a_refusal_of_us_or_of_the_message_is_never_the_members_fault(
    sqlite_database: Database,
    sink: SmtpSink,
    clock: FixedClock,
    step: str,
    tried: int,
    caplog: pytest.LogCaptureFixture,
) -> None:
    (post_id,) = add_posts(sqlite_database, RAW, members=4)
    sink.on(step, "554 5.7.1 we do not want this")
    worker = deliverer(sqlite_database, sink, clock)
    worker.run_once()
    assert states(sqlite_database) == {"queued": 4}
    replies = [history(sqlite_database, post_id, f"m{number}@example.org").reply for number in range(4)]
    assert replies[:tried] == ["554 5.7.1 we do not want this"] * tried
    assert replies[tried:] == ["not tried after 554 5.7.1 we do not want this"] * (4 - tried)
    assert caplog.text.count("554 5.7.1 we do not want this") == 1
    assert sum(line.startswith("MAIL") for line in sink.commands) == tried
    sink.forget()
    clock.advance(timedelta(minutes=6))
    worker.run_once()
    assert states(sqlite_database) == {"sent": 4}


def test_one_letter_that_is_refused_for_its_content_does_not_hold_up_the_others(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    add_posts(sqlite_database, RAW, members=6)
    sink.on("END", "552 5.2.2 over quota", after=1, times=1)
    sink.on("END", "552 5.2.2 over quota", after=3, times=1)
    deliverer(sqlite_database, sink, clock).run_once()
    assert states(sqlite_database) == {"sent": 4, "queued": 2}


@pytest.mark.acceptance(68)
def test_a_community_whose_return_paths_are_refused_is_left_alone_while_others_go_on(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock, caplog: pytest.LogCaptureFixture
) -> None:
    add_posts(sqlite_database, RAW, RAW, RAW, members=2)
    with sqlite_database.write() as connection:
        outbox.add_notice(connection, key="k", recipient="sam@example.org", raw=RAW, now=NOW)
    sink.on("MAIL", "550 5.7.1 you are blocked", match="pump+b.")
    deliverer(sqlite_database, sink, clock).run_once()
    assert sum("pump+b." in line for line in sink.commands) == 1
    assert states(sqlite_database) == {"queued": 6, "sent": 1}
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_who_was_refused_for_good_is_told_with_the_answer_in_the_transaction_that_records_it(
    database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    told: list[tuple[str, str, str | None]] = []

    def on_refused(connection: Connection, one: Claimed, answer: Answer) -> None:
        state = connection.execute(select(delivery.c.state).where(delivery.c.id == one.delivery_id)).scalar()
        told.append((one.recipient, str(answer), state))

    add_posts(database, RAW, members=6)
    sink.on("RCPT", "550 5.1.1 nobody here", match="<m1@")
    sink.on("RCPT", "550 5.7.1 not from you", match="<m2@")
    sink.on("RCPT", "450 4.2.1 later", match="<m3@")
    sink.on("END", "554 5.7.1 spam", after=2, times=1)
    deliverer(database, sink, clock, on_refused=on_refused).run_once()
    assert told == [
        ("m1@example.org", "550 5.1.1 nobody here", "failed"),
        ("m2@example.org", "550 5.7.1 not from you", "failed"),
    ]
    assert states(database) == {"sent": 2, "failed": 2, "queued": 2}


def test_a_failure_to_note_a_refusal_undoes_neither_the_record_nor_another_note(
    database: Database, sink: SmtpSink, clock: FixedClock, caplog: pytest.LogCaptureFixture
) -> None:
    def on_refused(connection: Connection, one: Claimed, answer: Answer) -> None:
        stop = update(tables.address).where(tables.address.c.email == one.recipient)
        connection.execute(stop.values(stopped_at=NOW))
        if one.recipient == "m0@example.org":
            raise LookupError("no such thing")

    add_posts(database, RAW)
    sink.on("RCPT", "550 5.1.1 nobody here", match="<m0@")
    sink.on("RCPT", "550 5.1.1 nobody here", match="<m1@")
    deliverer(database, sink, clock, on_refused=on_refused).run_once()
    assert states(database) == {"sent": 1, "failed": 2} and "LookupError" in caplog.text
    with database.read() as connection:
        stopped = select(tables.address.c.email).where(tables.address.c.stopped_at.is_not(None))
        assert connection.execute(stopped).scalars().all() == ["m1@example.org"]


@pytest.mark.acceptance(69)
@pytest.mark.parametrize("step", ["BANNER", "EHLO", "MAIL", "RCPT", "DATA", "END"])
def test_a_host_that_stalls_is_given_up_in_time_and_asked_again_later(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock, step: str
) -> None:
    (post_id,) = add_posts(sqlite_database, RAW)
    sink.on(step, STALL, times=1)
    worker = deliverer(sqlite_database, sink, clock, timeout=0.1)
    worker.run_once()
    # Where no session opened, nobody else was tried, and nobody of a domain that rests; else it was the one letter.
    alone = step not in ("BANNER", "EHLO", "RCPT")
    assert states(sqlite_database) == ({"queued": 1, "sent": 2} if alone else {"queued": 3})
    assert "timed out" in (history(sqlite_database, post_id, "m0@example.org").reply or "")
    for _ in range(3 if step == "RCPT" else 1):  # a domain that rested is tried letter by letter
        clock.advance(timedelta(minutes=6))
        worker.run_once()
    assert states(sqlite_database) == {"sent": 3} and len(sink.messages) == 3


def test_a_mail_that_stalls_twice_waits_and_does_not_hold_up_the_next(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    add_posts(sqlite_database, RAW, b"Subject: next\r\n\r\n", members=4)
    sink.on("DATA", STALL, times=2)
    deliverer(sqlite_database, sink, clock, timeout=0.1).run_once()
    assert states(sqlite_database) == {"queued": 4, "sent": 4}
    assert {message.data for message in sink.messages} == {b"Subject: next\r\n\r\n"}


@pytest.mark.acceptance(70)
def test_mail_whose_outcome_is_unknown_is_sent_again_and_told(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock, caplog: pytest.LogCaptureFixture
) -> None:
    (post_id,) = add_posts(sqlite_database, RAW, members=4)
    sink.on("RCPT", "550 5.1.1 nobody", match="<m3@")
    sink.on("END", CUT, times=1)
    worker = deliverer(sqlite_database, sink, clock)
    worker.run_once()
    assert states(sqlite_database) == {"queued": 1, "sent": 2, "failed": 1}
    assert "may be sent twice" in caplog.text
    assert (history(sqlite_database, post_id, "m0@example.org").reply or "").startswith("end: ")
    clock.advance(timedelta(minutes=6))
    assert worker.run_once() == 1
    assert sink.messages[-1].data == RAW and names(sink) == ["m1", "m2", "m0"]
    assert states(sqlite_database) == {"sent": 3, "failed": 1}


def test_a_host_that_cannot_be_reached_costs_one_try_and_the_rest_stays_due(
    sqlite_database: Database, clock: FixedClock
) -> None:
    add_posts(sqlite_database, RAW, RAW, RAW)
    nowhere = SmtpTransport(host="127.0.0.1", port=free_port(), name="lists.example.org", timeout=1.0)
    worker = Deliverer(
        database=sqlite_database,
        settings=DeliverySettings(connections=1),
        clock=clock,
        open_transport=lambda _: nowhere,
        assemblers={"post": raw_of},
        return_path=return_path,
    )
    assert worker.run_once() == 1
    with sqlite_database.read() as connection:
        rows = connection.execute(select(delivery.c.attempts, delivery.c.claim, delivery.c.reply)).all()
    assert [row.attempts for row in rows] == [1, 0, 0, 0, 0, 0, 0, 0, 0]
    assert {row.claim for row in rows} == {None} and rows[0].reply == "connect: Connection refused"


@pytest.mark.acceptance(73)
def test_two_workers_on_one_queue_send_nothing_twice(database: Database, sink: SmtpSink, clock: FixedClock) -> None:
    posts = [b"Subject: %d\r\n\r\nx\r\n" % number for number in range(20)]
    add_posts(database, *posts, members=10)
    workers = [deliverer(database, sink, clock, connections=2, recipients=7) for _ in range(3)]
    for worker in workers:
        worker.start()
        worker.wake()
    sink.wait_for(200)
    for worker in workers:
        worker.stop()
    pairs = [(message.data, message.recipients) for message in sink.messages]
    assert len(pairs) == len(set(pairs)) == 200
    assert states(database) == {"sent": 200}


def test_waking_makes_an_idle_worker_look_at_once(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(deliver, "_POLL", 3600.0)
    worker = deliverer(sqlite_database, sink, clock)
    worker.start()
    add_posts(sqlite_database, RAW)
    worker.wake()
    sink.wait_for(3)
    worker.stop()
    assert states(sqlite_database) == {"sent": 3}


def stop_meanwhile(worker: Deliverer, reached: threading.Event, go_on: threading.Event) -> None:
    """Stop a worker that has reached something and waits there."""
    worker.start()
    assert reached.wait(10)
    worker.stop(timeout=0)
    go_on.set()
    for thread in threading.enumerate():
        if thread.name == "deliver":
            thread.join(10)


def test_stopping_ends_with_the_letter_that_is_under_way_and_gives_back_the_rest(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    add_posts(sqlite_database, RAW, RAW)
    sent, go_on = threading.Event(), threading.Event()

    def behind() -> None:
        sent.set()
        assert go_on.wait(10)

    stop_meanwhile(deliverer(sqlite_database, sink, clock, behind=behind), sent, go_on)
    assert states(sqlite_database) == {"sent": 1, "queued": 5} and names(sink) == ["m0"]
    with sqlite_database.read() as connection:
        assert outbox.waiting(connection, NOW)


def test_a_worker_that_is_stopped_while_it_assembles_sends_nothing(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    add_posts(sqlite_database, RAW)
    assembling, go_on = threading.Event(), threading.Event()

    def assemble(connection: Connection, claimed: Claimed) -> Mail:
        assembling.set()
        assert go_on.wait(10)
        return raw_of(connection, claimed)

    stop_meanwhile(deliverer(sqlite_database, sink, clock, assemble), assembling, go_on)
    assert states(sqlite_database) == {"queued": 3} and sink.messages == []
    with sqlite_database.read() as connection:
        assert outbox.waiting(connection, NOW)


@pytest.mark.acceptance(74)
def test_who_leaves_pauses_or_is_stopped_while_a_batch_is_on_its_way_gets_no_more_of_it(
    database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    _, second = add_posts(database, b"Subject: first\r\n\r\n", b"Subject: second\r\n\r\n", members=4)

    def behind() -> None:
        clock.advance(timedelta(seconds=2))
        if len(sink.messages) == 1:
            first = sink.messages[0].recipients[0]  # an engine queues copies in the order that it likes
            emails.sort(key=lambda email: email != first)
            with database.write() as writer:
                ids: dict[str, int] = dict(writer.execute(by_email).all())
                joining.remove_member(writer, membership_id=ids[emails[0]], now=NOW)
                pause = {"paused_until": NOW + timedelta(days=7)}
                writer.execute(update(membership).where(membership.c.id == ids[emails[1]]).values(pause))
                stopped = tables.address.c.email == emails[2]
                writer.execute(update(tables.address).where(stopped).values(stopped_at=NOW))

    emails = [f"m{number}@example.org" for number in range(4)]
    by_email = select(tables.address.c.email, membership.c.id).join(membership)
    deliverer(database, sink, clock, behind=behind).run_once()
    assert [(got.data[9:14], got.recipients[0]) for got in sink.messages] == [
        (b"first", emails[0]),
        (b"first", emails[3]),
        (b"secon", emails[3]),
    ]
    assert states(database) == {"sent": 3, "dropped": 5}
    assert [history(database, second, email).reply for email in emails[:3]] == [
        "the member left before it was sent",
        "the member paused before it was sent",
        "mail to the address was stopped before it was sent: too much of it came back",
    ]


@pytest.mark.acceptance(72)
def test_a_worker_that_slept_longer_than_its_lease_sends_nothing_that_others_took(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    add_posts(sqlite_database, b"Subject: first\r\n\r\n", b"Subject: second\r\n\r\n", members=2)
    taken: list[Claimed] = []

    def behind() -> None:
        clock.advance(timedelta(hours=1))
        with sqlite_database.write() as other:
            taken.extend(outbox.claim(other, clock.now(), 10, timedelta(minutes=15)))

    deliverer(sqlite_database, sink, clock, behind=behind).run_once()
    assert len(taken) == 4
    assert names(sink) == ["m0"]
    assert states(sqlite_database) == {"queued": 4}


@pytest.mark.acceptance(72)
def test_a_worker_that_slept_while_it_assembled_sends_nothing_that_others_took(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    add_posts(sqlite_database, RAW)

    def assemble(connection: Connection, claimed: Claimed) -> Mail:
        clock.advance(timedelta(hours=1))
        with sqlite_database.write() as other:
            outbox.claim(other, clock.now(), 10, timedelta(minutes=15))
        return raw_of(connection, claimed)

    deliverer(sqlite_database, sink, clock, assemble).run_once()
    assert sink.messages == [] and states(sqlite_database) == {"queued": 3}


@pytest.mark.acceptance(72)
def test_a_slow_batch_keeps_its_lease(sqlite_database: Database, sink: SmtpSink, clock: FixedClock) -> None:
    add_posts(sqlite_database, *(b"Subject: %d\r\n\r\n" % number for number in range(5)), members=2)

    def nobody_else_gets_any() -> None:
        clock.advance(timedelta(minutes=10))
        with sqlite_database.write() as other:
            assert outbox.claim(other, clock.now(), 10, timedelta(minutes=15)) == []

    def assemble(connection: Connection, claimed: Claimed) -> Mail:
        nobody_else_gets_any()
        return raw_of(connection, claimed)

    deliverer(sqlite_database, sink, clock, assemble, behind=nobody_else_gets_any).run_once()
    assert states(sqlite_database) == {"sent": 10}


class Everything:
    """A host that takes all at once, and keeps nothing."""

    def __init__(self) -> None:
        self.letters = 0

    def send(self, letters: Sequence[Letter]) -> list[Answer]:
        self.letters += len(letters)
        return [Answer(250, "2.0.0 taken")] * len(letters)

    def close(self) -> None:
        pass


def test_the_memory_of_sending_does_not_grow_with_the_number_of_recipients(
    sqlite_database: Database, clock: FixedClock
) -> None:
    host = Everything()
    worker = Deliverer(
        database=sqlite_database,
        settings=DeliverySettings(),
        clock=clock,
        open_transport=lambda _: host,
        assemblers={"post": raw_of},
        return_path=return_path,
    )
    add_posts(sqlite_database, RAW, members=3_300)
    worker.run_once(NOW - timedelta(days=1))  # nothing is due: what is made once is there now

    def peak(sent: int) -> int:
        tracemalloc.start()
        while host.letters < sent:
            worker.run_once()
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size

    with sqlite_database.write() as connection:
        connection.execute(update(delivery).where(delivery.c.id > 300).values(due_at=NOW + timedelta(minutes=1)))
    small = peak(300)
    clock.advance(timedelta(minutes=1))
    assert peak(3_300) < 1.5 * small
    assert states(sqlite_database) == {"sent": 3_300}


def test_large_mails_are_not_all_in_memory_at_once(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    seen: list[int] = []

    def assemble(connection: Connection, claimed: Claimed) -> Mail:
        seen.append(len(sink.messages))
        return Mail(data=b"Subject: large\r\n\r\n" + b"x" * 3_000_000 + b"\r\n")

    add_posts(sqlite_database, *(b"Subject: %d\r\n\r\n" % number for number in range(6)), members=1)
    deliverer(sqlite_database, sink, clock, assemble).run_once()
    assert seen == [0, 0, 2, 2, 4, 4]
    assert states(sqlite_database) == {"sent": 6}


def test_a_mail_that_cannot_be_assembled_waits_alone(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock, caplog: pytest.LogCaptureFixture
) -> None:
    bad, good = add_posts(sqlite_database, b"Subject: bad\r\n\r\n", RAW)

    def assemble(connection: Connection, claimed: Claimed) -> Mail:
        if claimed.post_id == bad:
            raise LookupError("the blob is gone")
        return raw_of(connection, claimed)

    deliverer(sqlite_database, sink, clock, assemble).run_once()
    step = history(sqlite_database, bad, "m0@example.org")
    assert (step.state, step.reply) == ("queued", "could not be assembled: LookupError: the blob is gone")
    assert step.due_at > NOW and "LookupError" in caplog.text
    assert history(sqlite_database, good, "m0@example.org").state == "sent"
    assert caplog.text.count("LookupError: the blob is gone") == 1  # tried once, whoever it is for


def test_a_copy_whose_own_lines_cannot_be_made_waits(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock, caplog: pytest.LogCaptureFixture
) -> None:
    bad, _ = add_posts(sqlite_database, b"Subject: bad\r\n\r\n", RAW)

    def assemble(connection: Connection, claimed: Claimed) -> Mail:
        def head(one: Claimed) -> bytes:
            if one.post_id == bad:
                raise ValueError("no token")
            return b"X-Own: 1\r\n"

        return Mail(data=raw_of(connection, claimed).data, head=head)

    deliverer(sqlite_database, sink, clock, assemble).run_once()
    assert history(sqlite_database, bad, "m1@example.org").reply == "could not be assembled: ValueError: no token"
    assert states(sqlite_database) == {"queued": 3, "sent": 3} and "ValueError" in caplog.text


def test_a_worker_outlives_a_database_that_fails_once(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_posts(sqlite_database, RAW)
    monkeypatch.setattr(deliver, "_PAUSE", 0.0)
    waiting, failures = outbox.waiting, [RuntimeError("disk I/O error")]

    def fail_once(connection: Connection, now: datetime, route: str) -> bool:
        if failures:
            raise failures.pop()
        return waiting(connection, now, route)

    monkeypatch.setattr(outbox, "waiting", fail_once)
    worker = deliverer(sqlite_database, sink, clock)
    worker.start()
    sink.wait_for(3)
    worker.stop()
    assert states(sqlite_database) == {"sent": 3}


def test_what_was_sent_is_recorded_once_the_database_is_back(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    add_posts(sqlite_database, RAW)
    monkeypatch.setattr(deliver, "_PAUSE", 0.0)
    record, failures = outbox.record, [RuntimeError("database is locked")] * 3

    def fail_thrice(connection: Connection, outcomes: Sequence[outbox.Outcome], *rest: Any, **values: Any) -> None:
        if outcomes and failures:
            raise failures.pop()
        record(connection, outcomes, *rest, **values)

    monkeypatch.setattr(outbox, "record", fail_thrice)
    worker = deliverer(sqlite_database, sink, clock)
    worker.start()
    wait_until(lambda: states(sqlite_database) == {"sent": 3}, "the record")
    worker.stop()
    assert len(sink.messages) == 3


def test_without_a_host_mail_is_written_to_a_maildir(
    sqlite_database: Database, clock: FixedClock, tmp_path: Path
) -> None:
    add_posts(sqlite_database, RAW, members=2)
    settings = Settings(site=SiteSettings(data_dir=str(tmp_path)))
    worker = Deliverer(
        database=sqlite_database,
        settings=settings.delivery,
        clock=clock,
        open_transport=partial(open_transport, settings),
        assemblers={"post": lambda *those: Mail(data=raw_of(*those).data, head=lambda one: b"X-Own: 1\r\n")},
        return_path=return_path,
    )
    worker.run_once()
    files = sorted(path.read_bytes() for path in (tmp_path / "outbox" / "new").iterdir())
    assert files == [
        b"Return-Path: <pump+b.%d.0302@lists.example.org>\r\nX-Envelope-To: m%d@example.org\r\nX-Own: 1\r\n"
        % (number + 1, number)
        + RAW
        for number in range(2)
    ]
    assert list((tmp_path / "outbox" / "tmp").iterdir()) == []
    assert states(sqlite_database) == {"sent": 2}


def test_a_maildir_that_cannot_be_written_is_tried_again(tmp_path: Path) -> None:
    (tmp_path / "outbox").write_text("a file in its place")
    (answer,) = MaildirTransport(tmp_path / "outbox").send([Letter(PUMP, "a@example.org", RAW)])
    assert (answer.code, answer.step) == (0, "connect") and "cannot be written" in answer.text


def test_a_user_signs_in_with_the_password_in_the_file(tmp_path: Path) -> None:
    (tmp_path / "password").write_text("secret\n")
    with SmtpSink(("PIPELINING", "AUTH PLAIN")) as sink:
        delivery = DeliverySettings(host="127.0.0.1", port=sink.port, user="tidings", password_file="password")
        client = open_transport(Settings(site=SiteSettings(data_dir=str(tmp_path)), delivery=delivery))
        assert client.send([Letter(PUMP, "a@example.org", RAW)]) == [Answer(250, "2.0.0 taken")]
        client.close()
        assert "AUTH PLAIN AHRpZGluZ3MAc2VjcmV0" in sink.commands


def test_a_password_that_cannot_be_read_is_a_settings_error(tmp_path: Path) -> None:
    delivery = DeliverySettings(host="127.0.0.1", user="tidings", password_file="absent")
    with pytest.raises(SettingsError, match="password_file"):
        open_transport(Settings(site=SiteSettings(data_dir=str(tmp_path)), delivery=delivery))


@pytest.mark.parametrize("mail_from", [PUMP, "pump+owner@lists.example.org"])  # what 0.1 left in the outbox
def test_every_copy_of_a_site_leads_back_to_its_delivery_and_its_member(
    tmp_path: Path, sink: SmtpSink, clock: FixedClock, mail_from: str
) -> None:
    site = open_site(settings_for(tmp_path, sink), clock)
    with site.database.write() as connection:
        community_id = seed.community(connection)
        members = [seed.member(connection, community_id, f"m{number}@example.org") for number in range(3)]
        post_id = seed.post(connection, community_id, raw=RAW).id
        assert post_id is not None
        outbox.add_post(connection, community_id=community_id, post_id=post_id, mail_from=mail_from, now=NOW)
    site.deliverer().run_once()
    found = []
    with site.database.read() as connection:
        for got in sink.messages:
            came_back = read_recipient(got.mail_from)
            assert came_back is not None and (came_back.purpose, came_back.community) == ("bounce", "pump")
            token = site.tokens.read_return_path(came_back.token)
            assert token.day == NOW.date() and not token.expired(NOW)
            addressee = outbox.delivery_by_id(connection, token.delivery_id)
            assert addressee is not None and addressee.recipient == got.recipients[0]
            link = re.search(rb"^List-Unsubscribe: <http://127.0.0.1:8080/u/([a-z2-7]+)>,", got.data)
            assert link is not None and site.tokens.read_leave(link[1].decode()) == addressee.membership_id
            found.append(addressee.membership_id)
    site.close()
    assert found == members
