"""The pipeline: every message is decided once, poison goes to the shunt, and the loop goes on."""

from collections.abc import Iterator
from datetime import datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select, text
from sqlalchemy.exc import OperationalError

from tests.running import message, settings_for
from tidings.app import Site, open_site
from tidings.clock import FixedClock
from tidings.communities import joining
from tidings.database import engine, tables
from tidings.database.engine import Database
from tidings.errors import NotFoundError
from tidings.intake.pipeline import Intake
from tidings.mailer import outbox
from tidings.mailer.spool import Accepted
from tidings.operations import explain

NOW = datetime(2026, 10, 14, 9, 0, tzinfo=ZoneInfo("Europe/Berlin"))
PUMP = "pump@lists.example.org"
ANA, LI = "ana@example.org", "li@example.org"


class Pipeline:
    """A site whose intake runs when the test says so."""

    def __init__(self, site: Site, clock: FixedClock, intake: Intake) -> None:
        self.site = site
        self.clock = clock
        self.intake = intake

    def accept(self, raw: bytes, to: str = PUMP, sender: str = ANA) -> str:
        accepted = Accepted(
            mail_from=sender, recipient=to, peer="test", via="smtp", received_at=self.clock.now(), raw=raw
        )
        return self.site.spool.append([accepted])[0]

    def take_in(self, raw: bytes, to: str = PUMP, sender: str = ANA) -> tuple[str, str]:
        """Verdict and reason of one message."""
        key = self.accept(raw, to, sender)
        self.intake.drain()
        return self.decision(key)

    def decision(self, key: str) -> tuple[str, str]:
        with self.site.database.read() as connection:
            wanted = tables.decision.c.spool_key == key
            row = connection.execute(select(tables.decision).where(wanted)).mappings().one()
            return row["verdict"], row["reason"]

    def count(self, table: str) -> int:
        with self.site.database.read() as connection:
            return connection.execute(select(func.count()).select_from(tables.metadata.tables[table])).scalar_one()

    def break_archive(self) -> None:
        self._run("ALTER TABLE post RENAME COLUMN subject TO gone")

    def mend_archive(self) -> None:
        self._run("ALTER TABLE post RENAME COLUMN gone TO subject")

    def _run(self, statement: str) -> None:
        with self.site.database.write() as connection:
            connection.execute(text(statement))


@pytest.fixture(params=["sqlite", pytest.param("postgresql", marks=pytest.mark.needs("postgres"))])
def pipeline(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Pipeline]:
    url = "" if request.param == "sqlite" else request.getfixturevalue("postgres_url")
    clock = FixedClock(NOW)
    site = open_site(settings_for(tmp_path, database=url), clock)
    with site.database.write() as connection:
        joining.add_community(connection, name="pump", title="Pump", zone="UTC", now=NOW)
        for email in (ANA, LI):
            joining.add_member(connection, community="pump", email=email, now=NOW)
    worker = site.worker()
    intake = site.intake(worker)
    yield Pipeline(site, clock, intake)
    intake.close()
    worker.close()
    site.close()


def raw(message_id: str = "1@example.org", sender: str = ANA, text: str = "Hello.\n", **fields: str) -> bytes:
    return message(sender, PUMP, "Hello", text, message_id, **fields).as_bytes()


def test_an_accepted_message_is_archived_and_put_out_in_one_go(pipeline: Pipeline) -> None:
    verdict, reason = pipeline.take_in(raw())
    assert (verdict, reason) == ("accept", "From a member. Archived as number 1, 2 copies queued.")
    assert [pipeline.count(name) for name in ("post", "node", "outbox", "delivery")] == [1, 1, 1, 2]
    assert pipeline.site.spool.counts() == {"waiting": 0, "held": 0, "shunted": 0}


def test_poison_goes_to_the_shunt_with_its_traceback_and_the_others_go_on(pipeline: Pipeline) -> None:
    pipeline.break_archive()
    poison = pipeline.accept(raw("poison@example.org"))
    waiting = pipeline.accept(raw("away@example.org", Auto_Submitted="auto-replied"))
    pipeline.intake.drain()
    (entry,) = pipeline.site.spool.listing("shunted")
    assert entry.key == poison
    assert "Traceback" in entry.traceback
    assert "subject" in entry.traceback
    assert pipeline.decision(waiting)[0] == "hold"
    assert pipeline.count("outbox") == 0, "nothing half is left of the poison"

    pipeline.mend_archive()
    pipeline.site.spool.retry(poison)
    pipeline.intake.drain()
    assert pipeline.decision(poison)[0] == "accept"
    assert pipeline.site.spool.listing("shunted") == []


def test_a_message_that_was_decided_is_not_taken_in_again_after_a_crash(pipeline: Pipeline) -> None:
    key = pipeline.accept(raw())
    (spooled,) = pipeline.site.spool.waiting(10)
    pipeline.intake.drain()
    with pipeline.site.spool_database.write() as connection:  # as if we had died before the spool forgot it
        connection.execute(
            tables.spool.insert().values(
                key=key,
                state="waiting",
                mail_from=ANA,
                recipient=PUMP,
                peer="",
                via="smtp",
                received_at=NOW,
                raw=spooled.raw,
            )
        )
    assert pipeline.intake.drain() == 1
    assert [pipeline.count(name) for name in ("post", "decision", "delivery")] == [1, 1, 2]
    assert pipeline.site.spool.counts()["waiting"] == 0


def test_a_message_that_was_held_before_a_crash_is_held_after_it(pipeline: Pipeline) -> None:
    key = pipeline.accept(raw(Auto_Submitted="auto-replied"))
    pipeline.intake.drain()
    pipeline.site.spool.retry(key)  # state `waiting` again, as before the spool followed
    pipeline.intake.drain()
    assert [entry.key for entry in pipeline.site.spool.listing("held")] == [key]
    assert pipeline.count("post") == 0


@pytest.mark.acceptance(33)
def test_our_own_copy_that_comes_back_is_dropped_and_why_shows_it(pipeline: Pipeline) -> None:
    verdict, reason = pipeline.take_in(raw(X_Tidings_Loop=PUMP))
    assert (verdict, reason) == ("discard", "Our own copy came back to us (X-Tidings-Loop).")
    with pipeline.site.database.read() as connection:
        steps = explain.why(connection, pipeline.site.spool, "1@example.org")
    assert [step.what for step in steps] == ["received", "discard"]
    assert pipeline.take_in(raw("2@example.org", X_Tidings_Loop="other@lists.example.org"))[0] == "accept"


def test_a_message_past_a_limit_is_held_with_the_reason_and_kept(pipeline: Pipeline) -> None:
    big = raw().replace(b"Subject:", b"X-Big: " + b"y" * 70_000 + b"\nSubject:")
    verdict, reason = pipeline.take_in(big)
    assert verdict == "hold"
    assert "65536" in reason
    (held,) = pipeline.site.spool.listing("held")
    assert pipeline.site.spool.raw(held.key) == big
    with pipeline.site.database.read() as connection:
        steps = explain.why(connection, pipeline.site.spool, "1@example.org")
    assert [step.what for step in steps] == ["held", "received", "hold"]


def test_who_is_no_member_when_it_is_taken_in_waits_for_a_person(pipeline: Pipeline) -> None:
    key = pipeline.accept(raw(sender="stranger@example.org"))
    pipeline.intake.drain()
    (held,) = pipeline.site.spool.listing("held")
    assert "stranger@example.org is not a member" in held.reason
    pipeline.site.desk().release(key)
    pipeline.intake.drain()
    assert pipeline.decision(key) == ("accept", "Released by a person. Archived as number 1, 2 copies queued.")


def test_an_import_that_was_held_and_is_released_is_mailed_to_nobody(pipeline: Pipeline) -> None:
    accepted = Accepted(mail_from="", recipient=PUMP, peer="old.mbox", via="import", received_at=NOW, raw=raw())
    (key,) = pipeline.site.spool.append([accepted], state="held", reason="It could not be read then.")
    pipeline.site.desk().release(key)
    pipeline.intake.drain()
    assert pipeline.decision(key) == ("accept", "Released by a person. Archived as number 1; nobody is mailed.")
    assert [pipeline.count(name) for name in ("post", "outbox")] == [1, 0]


def test_what_a_person_discards_is_gone_and_why_says_so(pipeline: Pipeline) -> None:
    key = pipeline.accept(raw(Auto_Submitted="auto-replied"))
    pipeline.intake.drain()
    pipeline.site.desk().discard(key)
    assert pipeline.site.spool.listing() == []
    assert pipeline.decision(key)[0] == "discard"
    assert "Discarded by a person" in pipeline.decision(key)[1]
    with pytest.raises(NotFoundError):
        pipeline.site.desk().discard(key)


@pytest.mark.acceptance(35)
@pytest.mark.parametrize("sender", ["", ANA])
def test_mail_of_a_program_is_never_posted_and_never_answered(pipeline: Pipeline, sender: str) -> None:
    author = "MAILER-DAEMON@example.org" if sender else ANA
    assert pipeline.take_in(raw(sender=author), sender=sender)[0] == "hold"
    assert pipeline.take_in(raw("2@x", sender=author), "pump+unsubscribe@lists.example.org", sender)[0] == "discard"
    assert pipeline.take_in(raw("3@x", sender=author), "pump+owner@lists.example.org", sender)[0] == "hold"
    assert [pipeline.count(name) for name in ("post", "outbox")] == [0, 0]


def test_mail_to_the_owners_goes_to_them_and_else_to_the_admins(pipeline: Pipeline) -> None:
    assert pipeline.take_in(raw(), "pump-owner@lists.example.org")[1] == "Passed on to 1 owners."
    with pipeline.site.database.write() as connection:
        changes = {"role": "owner"}
        joining.set_member(connection, community="pump", email=LI, changes=changes, now=NOW)
    pipeline.take_in(raw("2@example.org"), "pump+owner@lists.example.org")
    with pipeline.site.database.read() as connection:
        recipients = connection.execute(select(tables.delivery.c.recipient).order_by(tables.delivery.c.id)).scalars()
        assert list(recipients) == ["admin@example.org", LI]
    looped = raw("3@example.org", X_Tidings_Loop=PUMP)
    assert pipeline.take_in(looped, "pump+owner@lists.example.org")[0] == "discard"


def test_a_leave_link_goes_out_once_a_day_whoever_asks(pipeline: Pipeline) -> None:
    for number in range(3):
        pipeline.take_in(raw(f"{number}@example.org"), "pump+unsubscribe@lists.example.org")
    assert pipeline.count("outbox") == 1
    pipeline.clock.advance(timedelta(days=1))
    pipeline.take_in(raw("next@example.org"), "pump+unsubscribe@lists.example.org")
    assert pipeline.count("outbox") == 2


@pytest.mark.acceptance(23)
def test_a_message_without_an_id_gets_one_of_ours_which_is_always_the_same(pipeline: Pipeline) -> None:
    without = raw().replace(b"Message-ID: <1@example.org>\n", b"")
    verdict, reason = pipeline.take_in(without)
    assert verdict == "accept"
    assert "could not be kept (none)" in reason
    assert pipeline.take_in(without)[0] == "duplicate"


def test_copies_go_to_each_members_only_and_not_to_those_who_left(pipeline: Pipeline) -> None:
    with pipeline.site.database.write() as connection:
        for delivery in ("weekly", "daily", "none"):
            joining.add_member(
                connection, community="pump", email=f"{delivery}@example.org", delivery=delivery, now=NOW
            )
        gone = joining.add_member(connection, community="pump", email="gone@example.org", now=NOW)
        joining.remove_member(connection, membership_id=gone.membership_id, now=NOW)
    pipeline.take_in(raw())
    with pipeline.site.database.read() as connection:
        (post_id,) = connection.execute(select(tables.post.c.id)).scalars()
        assert {step.recipient for step in outbox.history(connection, post_id=post_id)} == {ANA, LI}


@pytest.mark.parametrize("pipeline", ["sqlite"], indirect=True)  # PostgreSQL locks rows, not the file
@pytest.mark.acceptance(81)
def test_while_the_database_is_locked_by_another_nothing_is_shunted(pipeline: Pipeline, monkeypatch) -> None:
    monkeypatch.setattr(engine, "BUSY_MILLISECONDS", 1)
    pipeline.site.database.close()
    key = pipeline.accept(raw())
    other = Database(f"sqlite:///{pipeline.site.database.path}")
    with other.write(), pytest.raises(OperationalError, match="locked"):
        pipeline.intake.drain()
    other.close()
    assert pipeline.site.spool.counts()["shunted"] == 0
    pipeline.intake.drain()
    assert pipeline.decision(key)[0] == "accept"


def test_big_messages_are_taken_in_few_at_a_time(pipeline: Pipeline) -> None:
    big = raw(text="word " * 1_000_000)
    for _ in range(3):
        pipeline.accept(big)
    assert len(pipeline.site.spool.waiting(50)) == 1
    small = [pipeline.accept(raw()) for _ in range(3)]
    keys = {one.key for one in pipeline.site.spool.waiting(50)}
    assert len(pipeline.site.spool.waiting(2, keys)) == 1
    assert not keys & set(small)
