"""Who is told of what an import could not read: moderators, in one mail. On both engines."""

import email
from datetime import timedelta
from email.message import Message
from email.policy import default

import pytest
from sqlalchemy import select

from tests.small_site import ANA, LI, SmallSite, any_site, from_ana, makings, small_site
from tests.test_import_export import SEAL, TOO_COMPLEX
from tidings.communities import joining
from tidings.database import tables

FIXTURES = (any_site, makings, small_site)
LATER = timedelta(hours=1)


def notices(site: SmallSite, beginning: str = "unreadable-") -> list[tuple[str, Message]]:
    """To whom, and what."""
    query = (
        select(tables.delivery.c.recipient, tables.outbox.c.raw)
        .join(tables.outbox, tables.outbox.c.id == tables.delivery.c.outbox_id)
        .where(tables.outbox.c.notice_key.startswith(beginning))
        .order_by(tables.delivery.c.recipient)
    )
    with site.site.database.read() as connection:
        rows = connection.execute(query).all()
    return [(recipient, email.message_from_bytes(raw, policy=default)) for recipient, raw in rows]


@pytest.fixture
def moderated(any_site: SmallSite) -> SmallSite:
    """A site whose community Ana and Li moderate."""
    with any_site.site.database.write() as connection:
        for who in (ANA, LI):
            changes, now = {"role": "moderator"}, any_site.clock.now()
            joining.set_member(connection, community="pump", email=who, changes=changes, now=now)
    return any_site


def many(count: int) -> list[bytes]:
    return [TOO_COMPLEX + b"%d\n" % number for number in range(count)]


def test_moderators_get_one_mail_about_all_that_an_import_held(moderated: SmallSite) -> None:
    moderated.import_raws([SEAL, *many(120)])
    moderated.site.run_due()
    assert notices(moderated) == [], "the import may go on"
    moderated.clock.set(moderated.clock.now() + LATER)
    for _ in range(2):
        moderated.site.run_due()
    (ana, told), (li, _) = notices(moderated)
    assert (ana, li) == (ANA, LI)
    assert told["Subject"] == "An import into Pump team holds 120 messages"
    assert "\n   120  It has more than 1000 header fields.\n" in told.get_content().replace("\r\n", "\n")
    moderated.import_raws([SEAL, *many(120)])
    moderated.site.run_due()
    assert len(notices(moderated)) == 2, "a repeated import holds nothing new"


def test_what_an_import_holds_is_not_asked_about_one_by_one(moderated: SmallSite) -> None:
    moderated.import_raws(many(3))
    moderated.clock.set(moderated.clock.now() + LATER)
    moderated.site.run_due()
    assert notices(moderated, "held-") == []


def test_what_an_import_holds_is_listed_for_its_community_and_found_by_its_id(small_site: SmallSite) -> None:
    raw = TOO_COMPLEX.replace(b"X-Field", b"Message-ID: <odd@example.org>\nX-Field", 1)
    small_site.import_raws([raw])
    (held,) = small_site.site.spool.listing("held", "pump")
    assert (held.via, held.message_id, held.community) == ("import", "odd@example.org", "pump")
    assert any("header fields" in step for step in small_site.why("odd@example.org"))


def test_once_all_of_it_is_decided_nobody_is_told(moderated: SmallSite) -> None:
    moderated.import_raws(many(2))
    for entry in moderated.site.spool.listing("held"):
        moderated.site.desk().discard(entry.key)
    moderated.clock.set(moderated.clock.now() + LATER)
    moderated.site.run_due()
    assert notices(moderated) == []


def test_posts_that_wait_are_still_asked_about_beside_it(moderated: SmallSite) -> None:
    with moderated.site.database.write() as connection:
        joining.set_community(connection, "pump", {"posting": "screened"}, moderated.clock.now())
    moderated.import_raws(many(60))
    stranger = from_ana("Offer", "Seals.\n", "offer@example.org")
    stranger.replace_header("From", "stranger@example.org")
    moderated.take_in(stranger)
    (_, told), _ = notices(moderated, "held-")
    assert told["Subject"] == "To decide: 1 post to Pump team"
