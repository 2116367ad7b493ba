"""The pace of each domain: what is learnt from answers, who waits for it and who does not. On both engines."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

import pytest
from sqlalchemy import event, func, insert, select

from tests import seed
from tests.smtp_sink import STALL, SmtpSink
from tests.test_deliver import NOW, PUMP, RAW, clock, deliverer, names, sink, states
from tidings.clock import FixedClock
from tidings.database import tables
from tidings.database.engine import Database
from tidings.database.tables import delivery, destination
from tidings.mailer import outbox, pace
from tidings.mailer.pace import Destination, Slots
from tidings.mailer.smtp_session import Answer

FIXTURES = (clock, sink)
MINUTE = timedelta(minutes=1)
DEAD = "dead.example.net"
NO_ANSWER = "451 4.4.1 no answer from dead.example.net"


def queue(
    database: Database, domain: str, many: int, *, due_at: datetime = NOW, created_at: datetime = NOW, prefix: str = "m"
) -> None:
    """Put a post out to `many` addresses of a domain."""
    with database.write() as connection:
        found = connection.execute(select(tables.post.c.id, tables.post.c.community_id)).first()
        if found is None:
            community_id = seed.community(connection)
            post_id = seed.post(connection, community_id, raw=RAW).id
        else:
            post_id, community_id = found
        mail = {"kind": "post", "community_id": community_id, "post_id": post_id, "mail_from": PUMP}
        added = connection.execute(insert(tables.outbox).values(**mail, created_at=created_at))
        row = {"state": "queued", "attempts": 0, "due_at": due_at, "changed_at": created_at}
        row |= {"outbox_id": added.inserted_primary_key[0]}
        recipients = (f"{prefix}{number}@{domain}" for number in range(many))
        connection.execute(insert(delivery), [row | {"recipient": recipient} for recipient in recipients])


def paced(database: Database) -> dict[str, Destination]:
    with database.read() as connection:
        return {one.domain: one for one in pace.listing(connection)}


def at_domain(database: Database, domain: str, state: str) -> int:
    with database.read() as connection:
        found = {(one.state, one.domain): one.count for one in outbox.counts(connection)}
    return found.get((state, domain), 0)


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """What the writer is told meanwhile."""
    told: list[str] = []

    def keep(_: object, __: object, statement: str, *___: object) -> None:
        told.append(statement)

    event.listen(database._writer, "before_cursor_execute", keep)
    yield told
    event.remove(database._writer, "before_cursor_execute", keep)


# --- others are not delayed ------------------------------------------------------------------------------------------


@pytest.mark.acceptance(75)
def test_a_dead_domain_with_thousands_of_letters_in_front_delays_nobody(
    database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    queue(database, DEAD, 5_000, due_at=NOW - timedelta(hours=1))
    queue(database, "example.org", 300)
    sink.on("RCPT", NO_ANSWER, match=f"@{DEAD}")
    worker = deliverer(database, sink, clock, recipients=200)
    with statements(database) as told:
        worker.run_once()
    asked = sum(line.startswith("RCPT") and DEAD in line for line in sink.commands)
    assert at_domain(database, "example.org", "sent") == 300
    assert asked <= 200  # one batch, whose letters were under way
    claims = sum("due AS" in line for line in told)
    assert claims <= 8 and len(told) <= 8 * claims  # four claims without the dead one
    with database.read() as connection:
        what = (func.sum(delivery.c.attempts), func.min(delivery.c.due_at), func.max(delivery.c.due_at))
        attempts, soonest, latest = connection.execute(select(*what).where(delivery.c.state == "queued")).one()
    assert (attempts, soonest, latest) == (asked, NOW + MINUTE, NOW + timedelta(minutes=30))
    assert paced(database)[DEAD].pause == MINUTE
    # Nothing of it is due now, so nobody looks at it again; then it is tried with one letter, whatever else is due.
    with statements(database) as told:
        assert worker.run_once() == 0
    assert not any("due AS" in line for line in told)
    clock.advance(MINUTE)
    assert worker.run_once() == 1
    assert (paced(database)[DEAD].pause, paced(database)[DEAD].next_at) == (2 * MINUTE, NOW + 3 * MINUTE)


@pytest.mark.acceptance(75)
def test_many_domains_that_rest_with_few_letters_each_cost_few_claims(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    row = {"since": NOW, "pause": 600_000, "next_at": NOW + MINUTE, "changed_at": NOW, "said": NO_ANSWER}
    with sqlite_database.write() as connection:
        connection.execute(insert(destination), [row | {"domain": f"d{number}.example"} for number in range(60)])
    for number in range(60):
        queue(sqlite_database, f"d{number}.example", 10)
        queue(sqlite_database, "example.org", 3 if number % 2 else 20)
    worker = deliverer(sqlite_database, sink, clock, recipients=50)
    with statements(sqlite_database) as told:
        worker.run_once()
    assert states(sqlite_database) == {"queued": 600, "sent": 690} and len(sink.messages) == 690
    assert sum("due AS" in line for line in told) <= 2 * 1_290 / 50 + 5


def test_where_no_domain_is_in_trouble_a_claim_costs_one_look_at_an_empty_table(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    queue(sqlite_database, "example.org", 30)
    worker = deliverer(sqlite_database, sink, clock, recipients=10)
    with statements(sqlite_database) as told:
        worker.run_once()
    about = [line.split()[0] for line in told if "destination" in line]
    assert about == ["SELECT"] * 4 and states(sqlite_database) == {"sent": 30}


@pytest.mark.acceptance(69)
def test_a_domain_at_which_the_host_stalls_rests_after_one_letter_and_others_are_tried_at_once(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    queue(sqlite_database, DEAD, 10, due_at=NOW - MINUTE)
    queue(sqlite_database, "example.org", 10)
    sink.on("RCPT", STALL, match=f"@{DEAD}")
    deliverer(sqlite_database, sink, clock, timeout=0.1).run_once()
    assert sum(line.startswith("RCPT") and DEAD in line for line in sink.commands) == 1
    assert at_domain(sqlite_database, "example.org", "sent") == 10
    assert at_domain(sqlite_database, DEAD, "queued") == 10
    assert "timed out" in paced(sqlite_database)[DEAD].said


@pytest.mark.parametrize("reply", ["451 4.7.1 slow down", "452 4.5.3 too many", "450 busy"])
def test_letters_of_a_batch_whose_domain_went_to_rest_are_not_tried_and_wait_for_their_turn(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock, reply: str
) -> None:
    queue(sqlite_database, DEAD, 12)
    sink.on("RCPT", reply)
    worker = deliverer(sqlite_database, sink, clock, behind=lambda: None)  # one letter a call
    assert worker.run_once() == pace.IN_A_ROW
    with sqlite_database.read() as connection:
        columns = (delivery.c.due_at, delivery.c.attempts, delivery.c.claim, delivery.c.reply)
        rows = connection.execute(select(*columns).where(delivery.c.attempts == 0).order_by(delivery.c.id)).all()
    assert [row.due_at for row in rows] == [NOW + number * MINUTE for number in range(1, 8)]
    assert {row.claim for row in rows} == {None}
    assert {row.reply for row in rows} == {f"not tried: {DEAD} takes little or no mail now: {reply}"}


# --- what is learnt --------------------------------------------------------------------------------------------------


def test_what_is_about_one_mailbox_says_nothing_of_its_domain(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    queue(sqlite_database, "example.org", 20)
    sink.on("RCPT", "452 4.2.2 mailbox full")
    deliverer(sqlite_database, sink, clock).run_once()
    assert states(sqlite_database) == {"queued": 20} and paced(sqlite_database) == {}


def test_a_domain_rests_only_where_nothing_is_taken_in_between(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    queue(sqlite_database, "example.org", 9)
    for number in (0, 1, 2, 3, 5, 6, 7, 8):
        sink.on("RCPT", "451 4.7.1 slow down", match=f"<m{number}@")
    deliverer(sqlite_database, sink, clock).run_once()
    assert names(sink) == ["m4"] and paced(sqlite_database) == {}


@pytest.mark.parametrize("taken", ["250 2.1.5 fine", "550 5.1.1 nobody here"])
def test_the_pause_doubles_with_each_failure_and_halves_with_each_answer_until_it_is_forgotten(
    database: Database, sink: SmtpSink, clock: FixedClock, taken: str
) -> None:
    queue(database, DEAD, 50)
    sink.on("RCPT", NO_ANSWER)
    worker = deliverer(database, sink, clock, recipients=5)
    worker.run_once()
    pauses = []
    for _ in range(7):
        one = paced(database)[DEAD]
        pauses.append(one.pause / MINUTE)
        clock.set(one.next_at)
        assert worker.run_once() == 1  # whatever else of it is due
    assert pauses == [1, 2, 4, 8, 16, 30, 30]
    assert paced(database)[DEAD].since == NOW
    sink.forget()
    sink.on("RCPT", taken)
    pauses = []
    while one := paced(database).get(DEAD):
        pauses.append(one.pause / timedelta(seconds=1))
        clock.advance(timedelta(minutes=31))
        worker.run_once()
    assert pauses[:4] == [1800, 900, 450, 225] and 1 <= pauses[-1] < 10
    clock.advance(timedelta(hours=5))
    worker.run_once()
    assert states(database) == {"sent" if taken.startswith("2") else "failed": 50}


def test_as_many_letters_go_as_the_pace_allows_and_no_burst_after_a_rest() -> None:
    def tried(pause: timedelta, late: timedelta) -> list[datetime | None]:
        known = Destination(
            domain=DEAD, since=NOW, pause=pause, next_at=NOW - late, changed_at=NOW, said="451 4.7.1 slow down"
        )
        slots = Slots({DEAD: known}, NOW)
        assert slots.of("example.org") is None
        given = [slots.of(DEAD) for _ in range(14)]
        now = given.count(None)
        assert given[now:] == sorted(one for one in given if one)
        assert slots.moved == ({DEAD: given[now]} if now else {})
        return [None] * now + given[now : now + 2]

    second = timedelta(seconds=1)
    assert tried(2 * second, timedelta(0)) == [None, NOW + 2 * second, NOW + 4 * second]
    assert tried(2 * second, 5 * second) == [None] * 3 + [NOW + second, NOW + 3 * second]
    assert tried(2 * second, timedelta(hours=1)) == [None] * 6 + [NOW + 2 * second, NOW + 4 * second]
    assert tried(MINUTE, timedelta(hours=1)) == [None, NOW + 50 * second, NOW + 110 * second]
    assert tried(20 * MINUTE, -MINUTE) == [NOW + MINUTE, NOW + 21 * MINUTE]
    assert tried(30 * MINUTE, -30 * MINUTE) == [NOW + 30 * MINUTE] * 2  # never further ahead


def test_what_was_learnt_and_not_used_for_a_day_is_forgotten(
    sqlite_database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    queue(sqlite_database, DEAD, 5)
    sink.on("RCPT", NO_ANSWER)
    deliverer(sqlite_database, sink, clock).run_once()
    assert set(paced(sqlite_database)) == {DEAD}
    sink.forget()
    for passed, left in ((timedelta(hours=23), {DEAD}), (timedelta(hours=2), set())):
        clock.advance(passed)
        with sqlite_database.write() as connection, pace.slots(connection, clock.now()) as slots:
            assert slots.domains == left
        assert set(paced(sqlite_database)) == left


# --- several workers -------------------------------------------------------------------------------------------------


@pytest.mark.needs("postgres")
def test_two_workers_on_postgresql_share_the_pace(
    postgres_database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    queue(postgres_database, DEAD, 40)
    sink.on("RCPT", NO_ANSWER)
    one, other = (deliverer(postgres_database, sink, clock, recipients=20) for _ in range(2))
    one.run_once()
    assert other.run_once() == 0  # it has learnt nothing itself
    clock.advance(MINUTE)
    tried = [other.run_once(), one.run_once()]
    assert tried == [1, 0] and paced(postgres_database)[DEAD].pause == 2 * MINUTE


@pytest.mark.needs("postgres")
def test_workers_that_claim_at_the_same_time_give_a_moment_away_once(postgres_database: Database) -> None:
    with postgres_database.write() as connection:
        row = {"since": NOW, "pause": 60_000, "next_at": NOW, "changed_at": NOW, "said": NO_ANSWER}
        connection.execute(insert(destination), [row | {"domain": name} for name in (DEAD, "a.example", "z.example")])
    given: list[datetime | None] = []
    begin = threading.Barrier(4)

    def ask() -> None:
        begin.wait(10)
        with postgres_database.write() as connection, pace.slots(connection, NOW) as slots:
            given.append(slots.of(DEAD))

    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert sorted(given, key=str) == [NOW + MINUTE] * 3 + [None]


# --- how long ---------------------------------------------------------------------------------------------------------


@pytest.mark.acceptance(65)
@pytest.mark.parametrize(("days", "state"), [(3, "sent"), (6, "failed")])
def test_mail_that_is_put_off_for_days_is_tried_again_and_delivered_or_given_up(
    database: Database, sink: SmtpSink, clock: FixedClock, days: int, state: str
) -> None:
    queue(database, DEAD, 1)
    sink.on("RCPT", NO_ANSWER)
    worker = deliverer(database, sink, clock)
    waits = []
    while clock.now() < NOW + timedelta(days=days) and states(database) == {"queued": 1}:
        before = clock.now()
        assert worker.run_once() == 1
        with database.read() as connection:
            clock.set(connection.execute(select(delivery.c.due_at)).scalar_one())
        waits.append((clock.now() - before) / MINUTE)
    assert all(wanted * 0.9 <= wait <= wanted * 1.1 for wait, wanted in zip(waits, (5, 10, 20, 40, 80), strict=False))
    assert all(216 <= wait <= 264 for wait in waits[6:-1])
    sink.forget()
    worker.run_once()
    assert states(database) == {state: 1} and len(sink.messages) == (state == "sent")


def test_what_rests_and_is_too_old_has_failed_with_the_reason(
    database: Database, sink: SmtpSink, clock: FixedClock
) -> None:
    queue(database, DEAD, 5)
    sink.on("RCPT", NO_ANSWER)
    worker = deliverer(database, sink, clock)
    worker.run_once()
    old = NOW - outbox.GIVE_UP_AFTER - MINUTE
    queue(database, DEAD, 3, created_at=old, prefix="old")
    assert worker.run_once() == 0
    with database.read() as connection:
        failed = select(delivery.c.reply, delivery.c.attempts).where(delivery.c.state == "failed")
        rows = connection.execute(failed).all()
    assert rows == [(f"not tried: {DEAD} takes little or no mail now: {NO_ANSWER}", 0)] * 3
    assert at_domain(database, DEAD, "queued") == 5


# --- the judge -------------------------------------------------------------------------------------------------------


def test_only_an_answer_about_the_recipient_is_about_the_domain() -> None:
    judged = [
        pace._judge(answer)
        for answer in (
            Answer(250, "2.0.0 taken"),
            Answer(550, "5.1.1 nobody here", "rcpt"),
            Answer(450, "4.2.1 later", "rcpt"),
            Answer(451, "4.3.0 later", "rcpt"),
            Answer(421, "4.7.0 too many", "rcpt"),
            Answer(0, "rcpt: Connection reset by peer", "rcpt"),
            Answer(0, "rcpt: timed out", "rcpt"),
            Answer(0, "mail: timed out", "mail"),
            Answer(451, "4.3.0 later", "data"),
            Answer(554, "5.7.1 spam", "end"),
        )
    ]
    assert judged == ["good", "good", "nothing", "bad", "bad", "bad", "late", "nothing", "nothing", "nothing"]
