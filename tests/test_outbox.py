"""Mail to be sent: who gets it, who holds it, what became of it. On both engines."""

import threading
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Literal

import pytest
from sqlalchemy import Connection, event, func, insert, select, update

from tests import seed
from tests.running import wait_until
from tidings.communities import joining
from tidings.database import tables
from tidings.database.engine import Database
from tidings.errors import NotFoundError
from tidings.mailer import outbox
from tidings.mailer.outbox import Claimed, Count, NewEdition, Outcome

NOW = datetime(2026, 3, 2, 8, 0, tzinfo=UTC)
LEASE = timedelta(minutes=15)
PUMP = "pump@lists.example.org"


@pytest.fixture
def connection(database: Database) -> Iterator[Connection]:
    with database.write() as connection:
        yield connection


def a_post(connection: Connection, members: int = 3, **values: Any) -> tuple[int, int]:
    """A community with members, and a post in its outbox; their ids."""
    community_id = seed.community(connection)
    for number in range(members):
        seed.member(connection, community_id, f"member{number}@example.org")
    post_id = seed.post(connection, community_id).id
    assert post_id is not None
    assert add(connection, community_id, post_id, **values) == members
    return community_id, post_id


def add(connection: Connection, community_id: int, post_id: int, now: datetime = NOW, **values: Any) -> int:
    return outbox.add_post(connection, community_id=community_id, post_id=post_id, mail_from=PUMP, now=now, **values)


def claim(connection: Connection, now: datetime = NOW, limit: int = 100) -> list[Claimed]:
    return outbox.claim(connection, now, limit, LEASE)


def record(
    connection: Connection, claimed: list[Claimed], result: Literal["sent", "retry", "failed"], now: datetime = NOW
) -> None:
    outbox.record(connection, [Outcome(claimed=one, result=result, reply="said") for one in claimed], now)


def states(connection: Connection) -> dict[str, str]:
    rows = connection.execute(select(tables.delivery.c.recipient, tables.delivery.c.state))
    return {row.recipient: row.state for row in rows}


def choose(connection: Connection, membership_id: int, message_id: str, choice: str) -> None:
    row = {"membership_id": membership_id, "message_id": message_id, "choice": choice, "created_at": NOW}
    connection.execute(insert(tables.thread_choice).values(row))


def test_a_post_goes_to_each_member_who_wants_every_post_and_to_nobody_else(connection: Connection) -> None:
    community_id, post_id = a_post(connection)
    seed.member(connection, community_id, "weekly@example.org", delivery="weekly")
    seed.member(connection, community_id, "paused@example.org", delivery="none")
    seed.member(connection, community_id, "left@example.org", left_at=NOW)
    seed.member(connection, seed.community(connection, "valve"), "other@example.org")
    assert add(connection, community_id, post_id) == 3
    assert sorted(states(connection)) == ["member0@example.org", "member1@example.org", "member2@example.org"]


def test_who_paused_is_left_out_until_the_pause_is_over(connection: Connection) -> None:
    community_id, post_id = a_post(connection, 1)
    seed.member(connection, community_id, "paused@example.org", paused_until=NOW + timedelta(microseconds=1))
    seed.member(connection, community_id, "back@example.org", paused_until=NOW)
    assert add(connection, community_id, post_id) == 2
    assert sorted(states(connection)) == ["back@example.org", "member0@example.org"]


def test_whose_address_was_stopped_is_left_out(connection: Connection) -> None:
    community_id, post_id = a_post(connection, 2)
    stopped = tables.address.c.email == "member1@example.org"
    connection.execute(update(tables.address).where(stopped).values(stopped_at=NOW))
    assert add(connection, community_id, post_id) == 1


def test_an_author_gets_their_own_post_unless_they_want_no_such_copies(connection: Connection) -> None:
    community_id, post_id = a_post(connection)
    assert add(connection, community_id, post_id, author="member1@example.org") == 3
    change(connection, "member1@example.org", "own-posts", "no")
    assert add(connection, community_id, post_id, author="member1@example.org") == 2
    assert add(connection, community_id, post_id, author="member2@example.org") == 3


def test_who_stands_in_to_or_cc_by_any_address_gets_a_copy_only_if_they_ask(connection: Connection) -> None:
    community_id, post_id = a_post(connection)
    person_id = connection.execute(
        select(tables.address.c.person_id).where(tables.address.c.email_key == "member2@example.org")
    ).scalar_one()
    joining.add_address(connection, person_id=person_id, email="second@example.org")
    named = ["member1@example.org", "second@example.org", "stranger@example.org"]
    assert add(connection, community_id, post_id, named=named) == 1
    change(connection, "member1@example.org", "also-named", "yes")
    assert add(connection, community_id, post_id, named=named) == 2


def change(connection: Connection, email: str, key: str, text: str) -> None:
    joining.set_member(connection, community="pump", email=email, changes={key: text}, now=NOW)


@pytest.mark.acceptance(74)
def test_of_a_post_that_was_taken_back_and_of_an_archived_community_nothing_more_is_sent(
    connection: Connection,
) -> None:
    community_id, post_id = a_post(connection)
    (first, *_) = claim(connection, limit=1)
    record(connection, [first], "sent")
    message_id = connection.execute(select(tables.post.c.message_id).where(tables.post.c.id == post_id)).scalar_one()
    assert outbox.retract(connection, message_id, NOW) == 2
    with pytest.raises(NotFoundError, match="tidings why"):
        outbox.retract(connection, "no.such@example.org", NOW)
    assert (claim(connection), sorted(states(connection).values())) == ([], ["dropped", "dropped", "sent"])
    assert outbox.retracted(connection, [first.outbox_id, 999]) == {first.outbox_id}
    other = seed.post(connection, community_id).id
    assert other is not None
    assert add(connection, community_id, other) == 3
    joining.archive_community(connection, "pump", NOW)
    assert claim(connection) == []


def test_who_muted_the_thread_is_left_out_of_it_and_of_no_other(connection: Connection) -> None:
    community_id = seed.community(connection)
    muter, follower, mute_elsewhere = (
        seed.member(connection, community_id, f"{name}@example.org") for name in ("muter", "follower", "elsewhere")
    )
    first = seed.post(connection, community_id, message_id="first@example.org")
    reply = seed.post(connection, community_id, parent=first)
    ghost = seed.ghost(connection, community_id, "unseen@example.org", reply)
    below_ghost = seed.post(connection, community_id, parent=ghost)
    other = seed.post(connection, community_id, message_id="other@example.org")
    choose(connection, muter, reply.message_id, "mute")
    choose(connection, follower, reply.message_id, "follow")
    choose(connection, mute_elsewhere, other.message_id, "mute")

    def told(post: seed.Seeded) -> list[str]:
        assert post.id is not None
        outbox_id = select(func.max(tables.outbox.c.id)).scalar_subquery()
        add(connection, community_id, post.id)
        recipient = select(tables.delivery.c.recipient).where(tables.delivery.c.outbox_id == outbox_id)
        return sorted(email.partition("@")[0] for email in connection.execute(recipient).scalars())

    assert told(first) == told(reply) == told(below_ghost) == ["elsewhere", "follower"]
    assert told(other) == ["follower", "muter"]
    choose(connection, follower, ghost.message_id, "mute")
    assert told(below_ghost) == ["elsewhere"]


def test_a_thread_that_is_muted_in_one_community_is_heard_in_another(connection: Connection) -> None:
    here, there = seed.community(connection, "pump"), seed.community(connection, "valve")
    for community_id in (here, there):
        choose(
            connection, seed.member(connection, community_id, f"{community_id}@example.org"), "x@example.org", "mute"
        )
    post_id = seed.post(connection, here, message_id="x@example.org").id
    assert post_id is not None
    assert add(connection, here, post_id) == 0
    listener = seed.member(connection, here, "listener@example.org")
    choose(connection, listener, "y@example.org", "mute")
    seed.post(connection, there, message_id="y@example.org")
    assert add(connection, here, post_id) == 1


def test_what_is_claimed_says_all_that_is_needed_to_send_it(connection: Connection) -> None:
    community_id, post_id = a_post(connection, 1, fields={"Subject": "Re: x", "To": None}, body="New words")
    (one,) = claim(connection)
    assert (one.kind, one.community_id, one.post_id, one.edition_id) == ("post", community_id, post_id, None)
    assert (one.recipient, one.mail_from, one.body) == ("member0@example.org", PUMP, "New words")
    assert one.fields == {"Subject": "Re: x", "To": None}
    assert (one.attempts, one.created_at) == (0, NOW)
    assert one.membership_id is not None


def test_an_edition_goes_to_its_reader(connection: Connection) -> None:
    community_id = seed.community(connection)
    membership_id = seed.member(connection, community_id, "sam@example.org", delivery="weekly")
    edition = NewEdition(
        edition_id=7,
        recipient="sam@example.org",
        membership_id=membership_id,
        community_id=community_id,
        mail_from=PUMP,
    )
    outbox.add_editions(connection, [edition], NOW)
    (one,) = claim(connection)
    assert (one.kind, one.edition_id, one.recipient) == ("edition", 7, "sam@example.org")
    assert [step.kind for step in outbox.history(connection, edition_id=7)] == ["edition"]


def test_a_notice_is_written_once_per_key_and_has_the_null_return_path(connection: Connection) -> None:
    values: dict[str, Any] = {"key": "welcome-1", "recipient": "sam@example.org", "raw": b"Hello", "now": NOW}
    assert outbox.add_notice(connection, **values) is True
    assert outbox.add_notice(connection, **values | {"raw": b"Again"}) is False
    (one,) = claim(connection)
    assert (one.kind, one.mail_from, one.recipient) == ("notice", "", "sam@example.org")
    assert outbox.raw(connection, one.outbox_id) == b"Hello"


def test_a_mail_that_tries_an_address_has_a_return_path(connection: Connection) -> None:
    outbox.add_notice(connection, key="probe-1", recipient="sam@example.org", raw=b"Hello", now=NOW, mail_from=PUMP)
    (one,) = claim(connection)
    assert (one.kind, one.mail_from) == ("notice", PUMP)


def test_the_oldest_come_first_and_those_of_one_mail_stay_together(connection: Connection) -> None:
    community_id, post_id = a_post(connection)
    add(connection, community_id, post_id, now=NOW - timedelta(hours=1))
    add(connection, community_id, post_id, now=NOW - timedelta(minutes=1))
    ids = [one.outbox_id for one in claim(connection, limit=7)]
    assert ids == [2, 2, 2, 3, 3, 3, 1]


def test_what_is_claimed_is_nobody_elses_until_the_lease_ends(connection: Connection) -> None:
    a_post(connection, 3)
    first, second = claim(connection, limit=2), claim(connection)
    assert len(first) == 2 and len(second) == 1
    assert not {one.recipient for one in first} & {one.recipient for one in second}
    assert claim(connection, NOW + LEASE - timedelta(seconds=1)) == []
    assert not outbox.waiting(connection, NOW + LEASE - timedelta(seconds=1))
    again = claim(connection, NOW + LEASE)
    assert len(again) == 3
    assert {one.claim for one in again}.isdisjoint({one.claim for one in first + second})


def test_who_lost_the_lease_cannot_write_the_outcome(connection: Connection) -> None:
    a_post(connection, 1)
    stale = claim(connection)
    fresh = claim(connection, NOW + LEASE)
    record(connection, stale, "failed")
    assert set(states(connection).values()) == {"queued"}
    assert outbox.renew(connection, stale, NOW + LEASE, LEASE) == set()
    assert outbox.renew(connection, fresh, NOW + 2 * LEASE, LEASE) == {fresh[0].delivery_id}
    assert claim(connection, NOW + 3 * LEASE - timedelta(seconds=1)) == []
    record(connection, fresh, "sent")
    assert set(states(connection).values()) == {"sent"}


def test_what_is_given_back_can_be_claimed_at_once(connection: Connection) -> None:
    a_post(connection, 2)
    outbox.release(connection, claim(connection))
    assert len(claim(connection)) == 2


def test_what_was_sent_or_refused_is_done_with(connection: Connection) -> None:
    a_post(connection, 2)
    sent, failed = claim(connection)
    record(connection, [sent], "sent")
    record(connection, [failed], "failed")
    assert sorted(states(connection).values()) == ["failed", "sent"]
    assert claim(connection, NOW + timedelta(days=30)) == []


def test_retries_wait_five_minutes_then_twice_as_long_up_to_four_hours(connection: Connection) -> None:
    a_post(connection, 1)
    now, waits = NOW, []
    for _ in range(9):
        record(connection, claim(connection, now), "retry", now)
        due_at = connection.execute(select(tables.delivery.c.due_at)).scalar_one()
        assert claim(connection, due_at - timedelta(microseconds=1)) == []
        waits.append((due_at - now) / timedelta(minutes=1))
        now = due_at
    for wait, wanted in zip(waits, (5, 10, 20, 40, 80, 160, 240, 240, 240), strict=True):
        assert wanted * 0.9 <= wait <= wanted * 1.1
    assert connection.execute(select(tables.delivery.c.attempts)).scalar_one() == 9


def test_recipients_that_failed_together_are_retried_together(connection: Connection) -> None:
    a_post(connection, 5)
    record(connection, claim(connection), "retry")
    assert len(set(connection.execute(select(tables.delivery.c.due_at)).scalars())) == 1


def test_a_retry_of_too_old_a_mail_has_failed(connection: Connection) -> None:
    a_post(connection, 1)
    later = NOW + outbox.GIVE_UP_AFTER
    record(connection, claim(connection, later), "retry", later)
    assert set(states(connection).values()) == {"queued"}
    later += timedelta(hours=5)
    record(connection, claim(connection, later), "retry", later)
    assert set(states(connection).values()) == {"failed"}


@pytest.mark.acceptance(74)
def test_mail_for_a_member_who_wants_none_any_more_is_dropped_with_the_reason(connection: Connection) -> None:
    _, post_id = a_post(connection, 6)
    ids = list(connection.execute(select(tables.membership.c.id).order_by(tables.membership.c.id)).scalars())
    joining.remove_member(connection, membership_id=ids[0], now=NOW)
    for membership_id, values in (
        (ids[1], {"delivery": "none"}),
        (ids[2], {"paused_until": NOW + timedelta(days=1)}),
        (ids[3], {"paused_until": NOW}),
    ):
        connection.execute(update(tables.membership).where(tables.membership.c.id == membership_id).values(values))
    stopped = tables.address.c.email == "member4@example.org"
    connection.execute(update(tables.address).where(stopped).values(stopped_at=NOW))
    assert outbox.gone(connection, [*ids, None], NOW) == outbox.gone(connection, ids[:5], NOW)
    assert [one.recipient for one in claim(connection)] == ["member3@example.org", "member5@example.org"]
    assert [(step.state, step.reply) for step in outbox.history(connection, post_id=post_id)] == [
        ("dropped", "the member left before it was sent"),
        ("dropped", "the member turned mail off before it was sent"),
        ("dropped", "the member paused before it was sent"),
        ("queued", None),
        ("dropped", "mail to the address was stopped before it was sent: too much of it came back"),
        ("queued", None),
    ]


def test_a_delivery_tells_whom_it_was_for_whatever_became_of_it(connection: Connection) -> None:
    community_id, _ = a_post(connection, 1)
    outbox.add_notice(connection, key="x", recipient="sam@example.org", raw=b"", now=NOW, community_id=community_id)
    post, notice = claim(connection)
    record(connection, [post], "sent")
    connection.execute(update(tables.membership).values(left_at=NOW))
    wanted = outbox.Addressee(post.membership_id, "member0@example.org", community_id, "post")
    assert outbox.delivery_by_id(connection, post.delivery_id) == wanted
    wanted = outbox.Addressee(None, "sam@example.org", community_id, "notice")
    assert outbox.delivery_by_id(connection, notice.delivery_id) == wanted
    assert outbox.delivery_by_id(connection, notice.delivery_id + 1) is None


def test_a_batch_that_is_dropped_whole_does_not_hide_the_next(connection: Connection) -> None:
    community_id, post_id = a_post(connection, 4)
    connection.execute(update(tables.membership).values(left_at=NOW))
    seed.member(connection, community_id, "new@example.org")
    add(connection, community_id, post_id)
    assert [one.recipient for one in claim(connection, limit=2)] == ["new@example.org"]
    assert claim(connection, limit=2) == []


def test_a_member_who_turned_to_the_digest_still_gets_what_was_queued_before(connection: Connection) -> None:
    a_post(connection, 1)
    connection.execute(update(tables.membership).values(delivery="weekly"))
    assert len(claim(connection)) == 1


def test_the_queue_is_counted_by_state_and_domain(connection: Connection) -> None:
    community_id, post_id = a_post(connection, 3)
    record(connection, claim(connection, limit=1), "sent")
    seed.member(connection, community_id, "sam@Other.example.org")
    add(connection, community_id, post_id)
    assert outbox.counts(connection) == [
        Count(state="queued", route="", domain="example.org", count=5),
        Count(state="queued", route="", domain="other.example.org", count=1),
        Count(state="sent", route="", domain="example.org", count=1),
    ]


FAR = {"far.example.net": "far"}


def routes(connection: Connection) -> dict[str, str]:
    rows = connection.execute(select(tables.delivery.c.recipient, tables.delivery.c.route))
    return {row.recipient: row.route for row in rows}


def test_each_delivery_has_the_route_of_its_recipients_domain(connection: Connection) -> None:
    assert outbox.set_routes(connection, {**FAR, "example.org": "near"}) == 0
    community_id, post_id = a_post(connection, 1)
    for email in ("b@FAR.example.net", '"far.example.net@x"@example.org', "c@sub.far.example.net", "d@example.net"):
        seed.member(connection, community_id, email)
    add(connection, community_id, post_id)
    outbox.add_notice(connection, key="1", recipient='"x@y"@Far.Example.net', raw=b"", now=NOW)
    outbox.add_notice(connection, key="2", recipient="e@elsewhere.example.net", raw=b"", now=NOW)
    whose = {"community_id": community_id, "membership_id": None, "mail_from": PUMP}
    outbox.add_editions(connection, [NewEdition(edition_id=1, recipient="f@far.example.net", **whose)], NOW)
    assert routes(connection) == {
        "member0@example.org": "near",
        "b@FAR.example.net": "far",
        '"far.example.net@x"@example.org': "near",
        "c@sub.far.example.net": "",
        "d@example.net": "",
        '"x@y"@Far.Example.net': "far",
        "e@elsewhere.example.net": "",
        "f@far.example.net": "far",
    }
    assert {(one.domain, one.route) for one in outbox.counts(connection) if one.route} == {
        ("example.org", "near"),
        ("far.example.net", "far"),
    }


def test_a_route_is_given_its_own_deliveries_and_no_others(connection: Connection) -> None:
    outbox.set_routes(connection, FAR)
    a_post(connection, 2)
    assert outbox.waiting(connection, NOW) and not outbox.waiting(connection, NOW, "far")
    outbox.add_notice(connection, key="1", recipient="a@far.example.net", raw=b"", now=NOW)
    assert outbox.waiting(connection, NOW, "far")
    assert [one.recipient for one in outbox.claim(connection, NOW, 100, LEASE, "far")] == ["a@far.example.net"]
    assert len(claim(connection)) == 2
    assert not outbox.waiting(connection, NOW) and not outbox.waiting(connection, NOW, "far")


def test_what_is_queued_is_routed_anew_where_a_route_changed_and_only_then(connection: Connection) -> None:
    for key, email in enumerate(("sent@far.example.net", "a@Far.example.net", "b@near.example.net", "c@example.org")):
        outbox.add_notice(connection, key=str(key), recipient=email, raw=b"", now=NOW)
    record(connection, claim(connection, limit=1), "sent")
    assert outbox.set_routes(connection, FAR) == 1
    assert routes(connection) == {
        "sent@far.example.net": "",
        "a@Far.example.net": "far",
        "b@near.example.net": "",
        "c@example.org": "",
    }
    connection.execute(update(tables.delivery).where(tables.delivery.c.id == 4).values(route="looked at"))
    assert outbox.set_routes(connection, FAR) == 0
    assert routes(connection)["c@example.org"] == "looked at"
    assert outbox.set_routes(connection, {"far.example.net": "other", "near.example.net": "far"}) == 3
    assert [routes(connection)[email] for email in ("a@Far.example.net", "b@near.example.net")] == ["other", "far"]
    assert outbox.set_routes(connection, {}) == 2
    assert set(routes(connection).values()) == {""}


@pytest.mark.needs("postgres")
def test_on_postgresql_nothing_is_queued_for_a_route_that_is_just_going(postgres_database: Database) -> None:
    def change() -> None:
        with postgres_database.write() as other:
            outbox.set_routes(other, {})

    def waits_or_is_done() -> bool:
        with postgres_database.read() as reader:
            waits = reader.exec_driver_sql("SELECT count(*) FROM pg_locks WHERE NOT granted").scalar_one()
        return bool(waits) or not changing.is_alive()

    with postgres_database.write() as connection:
        outbox.set_routes(connection, FAR)
    changing = threading.Thread(target=change)
    with postgres_database.write() as connection:
        outbox.add_notice(connection, key="1", recipient="a@far.example.net", raw=b"", now=NOW)
        changing.start()
        wait_until(waits_or_is_done, "the change, or its wait")
    changing.join(10)
    with postgres_database.read() as connection:
        assert routes(connection) == {"a@far.example.net": ""}


def test_a_retry_by_hand_makes_what_waits_due(connection: Connection) -> None:
    a_post(connection, 3)
    record(connection, claim(connection, limit=1), "sent")
    record(connection, claim(connection), "retry")
    assert claim(connection) == []
    assert outbox.retry(connection, NOW) == 2
    assert len(claim(connection)) == 2


def test_what_is_due_first_for_a_domain_is_set_aside_and_nothing_else(connection: Connection) -> None:
    a_post(connection, 1)
    later, old = NOW + LEASE, NOW - outbox.GIVE_UP_AFTER - LEASE
    for created_at, due_at, recipients in (
        (
            NOW,
            NOW - 4 * LEASE,
            ["a@Slow_One.example", "b@slow_one.example", "c@slowxone.example", "d@x.slow_one.example"],
        ),
        (old, NOW - 3 * LEASE, ["e@slow_one.example"]),
        (NOW, NOW - 2 * LEASE, ["f@slow_one.example"]),
        (NOW, NOW - LEASE, ["g@slow_one.example"]),
    ):
        mail = connection.execute(insert(tables.outbox).values(kind="post", mail_from=PUMP, created_at=created_at))
        row = {"outbox_id": mail.inserted_primary_key[0], "state": "queued", "attempts": 0, "changed_at": NOW}
        row |= {"due_at": due_at}
        connection.execute(insert(tables.delivery), [row | {"recipient": one} for one in recipients])
    values = {"until": later, "why": "it rests", "many": 5}
    assert outbox.set_aside(connection, "slow_one.example", NOW, **values) == 3
    put_off = select(tables.delivery.c.recipient, tables.delivery.c.reply).where(tables.delivery.c.due_at == later)
    aside = [(f"{name}@slow_one.example", "it rests") for name in "abf"]
    assert [(one.lower(), why) for one, why in connection.execute(put_off.order_by(tables.delivery.c.id))] == aside
    assert {one.recipient[0] for one in claim(connection)} == set("cdegm")


def test_the_history_of_a_post_says_what_became_of_each_copy(connection: Connection) -> None:
    _, post_id = a_post(connection, 3)
    first, second, _ = claim(connection)
    record(connection, [first], "sent")
    record(connection, [second], "failed")
    steps = outbox.history(connection, post_id=post_id)
    assert [(step.recipient, step.state, step.attempts, step.reply) for step in steps] == [
        ("member0@example.org", "sent", 1, "said"),
        ("member1@example.org", "failed", 1, "said"),
        ("member2@example.org", "queued", 0, None),
    ]
    assert outbox.history(connection, post_id=post_id, email=" Member1@Example.org") == [steps[1]]
    assert outbox.history(connection, post_id=post_id + 1) == []


def test_looking_for_work_reads_the_index_of_what_is_queued(sqlite_database: Database) -> None:
    seen: list[str] = []
    with sqlite_database.write() as connection:
        a_post(connection, 1)
        raw: Any = connection.connection.dbapi_connection
        raw.set_trace_callback(seen.append)
        claim(connection)
        raw.set_trace_callback(None)
        statement = next(line for line in seen if line.startswith("WITH due"))
        plan = " ".join(row[3] for row in connection.exec_driver_sql("EXPLAIN QUERY PLAN " + statement))
    assert "ix_delivery_queued (route=? AND due_at<?)" in plan
    assert "SCAN delivery" not in plan and "TEMP B-TREE" not in plan


@pytest.mark.needs("postgres")
def test_looking_for_work_on_postgresql_sorts_nothing_however_much_is_due(postgres_database: Database) -> None:
    seen: list[tuple[str, Any]] = []

    def keep(_: object, __: object, statement: str, parameters: Any, *___: object) -> None:
        seen.append((statement, parameters))

    with postgres_database.write() as connection:
        a_post(connection, 1)
        row = {"outbox_id": 1, "state": "queued", "attempts": 0, "due_at": NOW, "changed_at": NOW}
        many = [row | {"recipient": f"x{n}@example.org", "route": "far" if n % 2 else ""} for n in range(6_000)]
        connection.execute(insert(tables.delivery), many)
        connection.exec_driver_sql("ANALYZE delivery")
        event.listen(connection, "before_cursor_execute", keep)
        assert len(claim(connection)) == 100
        event.remove(connection, "before_cursor_execute", keep)
        statement, parameters = next(one for one in seen if one[0].startswith("WITH due"))
        plan = "\n".join(row[0] for row in connection.exec_driver_sql("EXPLAIN " + statement, parameters))
    assert "ix_delivery_queued" in plan and "Sort" not in plan


@pytest.mark.needs("postgres")
def test_a_post_to_members_whom_postgresql_has_not_counted_yet_looks_each_up_once(postgres_database: Database) -> None:
    """As a table is counted while many rows of it are not committed: PostgreSQL takes it for empty until next time."""
    members = 1_500  # of fewer it may read all, which takes no longer
    with postgres_database.write() as connection:
        community_id = seed.community(connection)
        for number in range(members):
            seed.member(connection, community_id, f"member{number}@example.org")
        post_id = seed.post(connection, community_id).id
        assert post_id is not None
        with postgres_database.write() as other:
            other.exec_driver_sql("ANALYZE address, membership")
    with postgres_database.write() as connection:
        assert add(connection, community_id, post_id) == members
        read = connection.exec_driver_sql(
            "SELECT sum(idx_tup_fetch + seq_tup_read) FROM pg_stat_xact_user_tables WHERE relname = 'address'"
        ).scalar_one()
    assert read <= 2 * members, read


@pytest.mark.needs("postgres")
def test_two_workers_on_postgresql_never_take_the_same_delivery(postgres_database: Database) -> None:
    with postgres_database.write() as connection:
        a_post(connection, 10)
    with postgres_database.write() as one, postgres_database.write() as other:
        first, second = claim(one, limit=6), claim(other, limit=6)  # the first has not committed
    assert (len(first), len(second)) == (6, 4)
    assert not {held.delivery_id for held in first} & {held.delivery_id for held in second}
