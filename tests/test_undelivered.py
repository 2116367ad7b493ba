"""Mail that was given up: who is told of it, once a day. On both engines."""

import email
from datetime import UTC, datetime, timedelta
from email.message import Message
from email.policy import default

import pytest
from sqlalchemy import insert, select

from tests.running import ADMIN
from tests.small_site import SmallSite, any_site, makings, small_site
from tidings.communities import joining
from tidings.database import tables
from tidings.intake import undelivered
from tidings.mailer import outbox
from tidings.mailer.outbox import Outcome

FIXTURES = (any_site, makings, small_site)
OWEN = "owen@example.org"
SAID = "451 4.4.1 no answer from dead.example.net"
FIVE_DAYS = timedelta(days=5, minutes=1)


def give_up(site: SmallSite, kind: str, *recipients: str, age: timedelta = FIVE_DAYS, pump: bool = True) -> None:
    """Let mail of that age fail now, as a courier that was put off records it."""
    now = site.clock.now()
    with site.site.database.write() as connection:
        mail = {"kind": kind, "mail_from": "", "created_at": now - age}
        mail |= {"community_id": site.community().id if pump else None}
        mail_id = connection.execute(insert(tables.outbox).values(mail)).inserted_primary_key[0]
        row = {"outbox_id": mail_id, "state": "queued", "attempts": 30, "due_at": now, "changed_at": now}
        connection.execute(insert(tables.delivery), [row | {"recipient": one} for one in recipients])
        claimed = outbox.claim(connection, now, 1000, timedelta(minutes=15))
        outcomes = [Outcome(claimed=one, result="retry", reply=SAID) for one in claimed]
        outbox.record(connection, outcomes, now)


def reports(site: SmallSite) -> list[tuple[str, Message]]:
    """To whom, and what."""
    query = (
        select(tables.delivery.c.recipient, tables.outbox.c.raw)
        .join(tables.outbox, tables.outbox.c.id == tables.delivery.c.outbox_id)
        .where(tables.outbox.c.notice_key.startswith("undelivered-"))
        .order_by(tables.outbox.c.id)
    )
    with site.site.database.read() as connection:
        rows = connection.execute(query).all()
    return [(recipient, email.message_from_bytes(raw, policy=default)) for recipient, raw in rows]


@pytest.fixture
def either(any_site: SmallSite) -> SmallSite:
    """A site whose community has an owner, at noon."""
    any_site.clock.set(datetime(2026, 10, 14, 12, 0, tzinfo=UTC))
    with any_site.site.database.write() as connection:
        now = any_site.clock.now()
        joining.add_member(connection, community="pump", email=OWEN, role="owner", delivery="none", now=now)
    return any_site


@pytest.mark.acceptance(65)
def test_owners_get_one_report_a_day_of_what_was_given_up(either: SmallSite) -> None:
    give_up(either, "post", "sam@dead.example.net", "li@dead.example.net")
    give_up(either, "post", "sam@dead.example.net")
    give_up(either, "post", "ana@dead.example.net", age=timedelta(days=4))  # goes on
    assert either.site.run_due().notices == 0 and reports(either) == []  # the day is not over
    either.clock.advance(timedelta(hours=12))
    assert [either.site.run_due().notices for _ in range(2)] == [1, 0]
    ((recipient, report),) = reports(either)
    assert (recipient, report["Subject"]) == (OWEN, "Not delivered: 3 mails of Pump team")
    text = str(report.get_payload()).replace("\r\n", "\n")
    assert f"li@dead.example.net (1): {SAID}\n" in text and f"sam@dead.example.net (2): {SAID}\n" in text
    assert "given up after 5 days" in text and "ana@" not in text
    give_up(either, "post", "sam@dead.example.net")
    either.clock.advance(timedelta(days=2))
    assert either.site.run_due().notices == 1 and len(reports(either)) == 2


def test_admins_are_told_where_nobody_owns_it_and_nobody_is_told_of_notices(small_site: SmallSite) -> None:
    give_up(small_site, "notice", "sam@dead.example.net")
    small_site.clock.advance(timedelta(days=1))
    assert small_site.site.run_due().notices == 0
    give_up(small_site, "edition", "li@dead.example.net", pump=False)
    give_up(small_site, "post", *(f"m{number}@dead.example.net" for number in range(undelivered.LISTED + 2)))
    small_site.clock.advance(timedelta(days=1))
    assert small_site.site.run_due().notices == 2
    (_, whole), (_, pump) = sorted(reports(small_site), key=lambda one: str(one[1]["Subject"]))
    assert {recipient for recipient, _ in reports(small_site)} == {ADMIN}
    told = [str(whole["Subject"]), str(pump["Subject"])]
    assert "Not delivered: 52 mails of Pump team" in told and any(
        one.startswith("Not delivered: 1 mail of") for one in told
    )
    assert any("And 2 more addresses." in one.get_payload() for one in (whole, pump))
