"""Held posts: who hears of them and when, what moderators decide by mail and by command, and what senders are told."""

import email
import re
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from email.message import EmailMessage, Message
from email.policy import default

import pytest
from sqlalchemy import select

from tests.running import ADMIN, message
from tests.small_site import (
    ANA,
    BERLIN,
    LI,
    PUMP,
    SAM,
    Program,
    SmallSite,
    any_site,
    from_ana,
    makings,
    small_site,
)
from tidings.communities import directory, joining, senders
from tidings.database import tables
from tidings.errors import NotFoundError
from tidings.intake import moderation, rulings
from tidings.intake.desk import Choice, Desk
from tidings.intake.rulings import Ruling, UnclearError
from tidings.mailer.spool import Accepted

FIXTURES = (any_site, makings, small_site)
MO, OWEN, GUEST = "mo@example.org", "owen@example.org", "guest@example.net"


def settle_roles(site: SmallSite, posting: str = "screened") -> None:
    """Let Mo moderate and Owen own the community, and hold what strangers write."""
    with site.site.database.write() as connection:
        now = site.clock.now()
        for email_of, role in ((MO, "moderator"), (OWEN, "owner"), ("lea@example.org", "leader")):
            joining.add_member(connection, community="pump", email=email_of, role=role, delivery="none", now=now)
        joining.set_community(connection, "pump", {"posting": posting}, now)


@pytest.fixture
def site(small_site: SmallSite) -> SmallSite:
    """A screened community with moderators, on SQLite."""
    settle_roles(small_site)
    return small_site


@pytest.fixture
def either(any_site: SmallSite) -> SmallSite:
    """A screened community with moderators, on each engine in turn."""
    settle_roles(any_site)
    return any_site


def guest(number: int, text: str = "May I ask something?\n", sender: str = GUEST, **fields: str) -> EmailMessage:
    """A post by somebody who is no member."""
    return message(sender, PUMP, f"Question {number}", text, f"{number}@example.net", **fields)


def mails(site: SmallSite, to: str = "") -> list[Message]:
    """The notices in the outbox, oldest first; only those to one address where that is given."""
    query = (
        select(tables.outbox.c.raw, tables.delivery.c.recipient)
        .join_from(tables.outbox, tables.delivery, tables.delivery.c.outbox_id == tables.outbox.c.id)
        .where(tables.outbox.c.kind == "notice")
        .order_by(tables.outbox.c.id)
    )
    with site.site.database.read() as connection:
        rows = connection.execute(query).all()
    return [email.message_from_bytes(raw, policy=default) for raw, recipient in rows if not to or recipient == to]


def text_of(mail: Message) -> str:
    return str(mail.get_content()).replace("\r\n", "\n")  # type: ignore[attr-defined]


def address_of(mail: Message) -> str:
    """The address that a plain reply to a mail goes to."""
    return email.utils.parseaddr(str(mail["From"]))[1]


def item_addresses(mail: Message) -> list[str]:
    """The address under each post of a notice."""
    return re.findall(r"To decide: (\S+@\S+)", text_of(mail))


def reply(site: SmallSite, to: str, text: str, sender: str = MO, **fields: str) -> str:
    """A moderator answers; the decision about that mail."""
    made = message(sender, to, "Re: To decide", text, f"reply{site.count('decision')}@example.org", **fields)
    key = site.take_in(made, to)
    with site.site.database.read() as connection:
        query = select(tables.decision.c.reason).where(tables.decision.c.spool_key == key)
        return str(connection.execute(query).scalar_one())


def due(site: SmallSite) -> int:
    """Write the notices that are due."""
    parts = site.site.parts()
    return moderation.tell_due(site.site.database, site.site.spool, parts, site.clock.now())


def held(site: SmallSite) -> list[str | None]:
    return [entry.message_id for entry in site.site.spool.listing("held")]


def posted(site: SmallSite) -> list[str]:
    return list(site.shown())


# --- who is told, and when -------------------------------------------------------------------------------------------


def test_moderators_and_owners_hear_at_once_of_the_first_held_post_of_a_day_and_nobody_else(either: SmallSite) -> None:
    either.take_in(guest(1))
    assert [str(mail["To"]) for mail in mails(either)] == [MO, OWEN]
    mail = mails(either, MO)[0]
    assert mail["Subject"] == "To decide: 1 post to Pump team"
    text = text_of(mail)
    assert re.search(rf"\n#1 from {GUEST}\n   Subject: Question 1\n   Came: Wed 14 Oct 09:00, 2\d\d B\n", text)
    assert f"Why it waits: {GUEST} is not a member of pump, so a moderator looks at it first." in text
    assert "May I ask something?" not in text
    assert re.fullmatch(r"pump\+confirm\.[a-z2-7]{26}@lists\.example\.org", address_of(mail))
    assert (mail["Auto-Submitted"], mail["From"].addresses[0].display_name) == ("auto-generated", "Pump team")


def test_more_held_posts_wait_for_the_next_morning_and_are_told_together(either: SmallSite) -> None:
    either.take_in(guest(1))
    for number in (2, 3):
        either.clock.advance(timedelta(hours=2))
        either.take_in(guest(number))
    assert len(mails(either, MO)) == 1
    either.clock.set(datetime(2026, 10, 15, 7, 59, tzinfo=BERLIN))
    assert due(either) == 0, "not before eight in the zone of the community"
    either.clock.set(datetime(2026, 10, 15, 8, 0, tzinfo=BERLIN))
    assert due(either) == 2
    assert due(either) == 0, "a second run writes none"
    assert mails(either, MO)[1]["Subject"] == "To decide: 3 posts to Pump team"
    either.take_in(guest(4))
    either.clock.set(datetime(2026, 10, 15, 20, 0, tzinfo=BERLIN))
    assert due(either) == 0
    assert len(mails(either, MO)) == 2, "one a day"


def test_nobody_is_told_of_nothing(site: SmallSite) -> None:
    site.site.desk().discard(site.take_in(guest(1)))
    site.clock.set(datetime(2026, 10, 15, 8, 0, tzinfo=BERLIN))
    assert due(site) == 0


def test_the_admins_are_told_where_a_community_has_no_moderator(small_site: SmallSite) -> None:
    with small_site.site.database.write() as connection:
        joining.set_community(connection, "pump", {"posting": "screened"}, small_site.clock.now())
    small_site.take_in(guest(1))
    (mail,) = mails(small_site)
    assert mail["To"] == ADMIN
    assert reply(small_site, address_of(mail), "accept\n", ADMIN).startswith(f"{ADMIN} decided about held posts.")
    assert posted(small_site) == ["1@example.net"]


def test_a_moderator_who_is_away_is_not_asked(site: SmallSite) -> None:
    with site.site.database.write() as connection:
        pump = site.community().id
        mo = directory.member_by_address(connection, pump, MO)
        assert mo is not None
        joining.pause(connection, membership_id=mo.membership_id, until=site.clock.now() + timedelta(days=3))
    site.take_in(guest(1))
    assert [str(mail["To"]) for mail in mails(site)] == [OWEN]


def test_what_a_program_wrote_is_told_in_the_morning_and_not_at_once(site: SmallSite) -> None:
    site.take_in(guest(1, Auto_Submitted="auto-replied"))
    assert mails(site) == []
    site.clock.set(datetime(2026, 10, 15, 9, 0, tzinfo=BERLIN))
    assert due(site) == 2
    assert "Why it waits: An automatic mail (Auto-Submitted: auto-replied)." in text_of(mails(site, MO)[0])


def test_mail_to_other_addresses_is_no_post_to_decide_about(site: SmallSite) -> None:
    site.take_in(guest(1, Auto_Submitted="auto-replied"), "pump+owner@lists.example.org")
    site.clock.set(datetime(2026, 10, 15, 9, 0, tzinfo=BERLIN))
    assert held(site) == ["1@example.net"]
    assert due(site) == 0


@pytest.mark.acceptance(40)
def test_ten_thousand_held_posts_are_one_notice_with_fifty_and_the_count(site: SmallSite) -> None:
    now = site.clock.now()
    row = {"state": "held", "mail_from": GUEST, "recipient": PUMP, "peer": "", "via": "smtp", "received_at": now}
    row |= {"reason": "A stranger.", "author": GUEST, "community": "pump", "subject": "Buy", "raw": b"x"}
    with site.site.spool_database.write() as connection:
        rows = [row | {"key": f"{number:032}"} for number in range(10_000)]
        connection.execute(tables.spool.insert(), rows)
    assert due(site) == 2
    site.take_in(guest(1))
    (mail,) = mails(site, MO)
    text = text_of(mail)
    assert mail["Subject"] == "To decide: 10000 posts to Pump team"
    assert len(item_addresses(mail)) == 50
    assert "And 9950 more." in text
    assert len(mail.as_bytes()) < 40_000


@pytest.mark.acceptance(40)
def test_a_flood_of_spam_that_is_held_is_one_notice_to_each_moderator_and_none_to_anybody_else(site: SmallSite) -> None:
    now = site.clock.now()
    raws = [guest(number, sender=f"victim{number}@example.net").as_bytes() for number in range(120)]
    spam = [
        Accepted(mail_from=GUEST, recipient=PUMP, peer="test", via="smtp", received_at=now, raw=raw) for raw in raws
    ]
    site.site.spool.append(spam)
    site.drain()
    assert site.site.spool.counts()["held"] == 120
    assert [str(mail["To"]) for mail in mails(site)] == [MO, OWEN]


# --- decisions by reply ----------------------------------------------------------------------------------------------


def next_morning(site: SmallSite) -> Message:
    """Mo's notice of the next morning."""
    site.clock.set(datetime(2026, 10, 15, 8, 0, tzinfo=BERLIN))
    due(site)
    return mails(site, MO)[-1]


def test_a_reply_decides_about_each_post_with_a_line(either: SmallSite) -> None:
    for number in range(1, 5):
        either.take_in(guest(number))
    mail = next_morning(either)
    quoted = "".join(f"> {line}\n" for line in text_of(mail).splitlines())
    written = "Good morning,\n\n#1 accept\n#2 reject It is too long,\nplease cut it.\n\n#3 discard\n\nBest, Mo\n\n"
    reply(either, address_of(mail), f"{written}Mo wrote:\n{quoted}")
    assert posted(either) == ["1@example.net"]
    assert held(either) == ["4@example.net"], "what is not mentioned goes on waiting"
    assert either.why("1@example.net")[1] == f"accept: Released by {MO}. Archived as number 1, 2 copies queued."
    reason = f"It was held: {GUEST} is not a member of pump, so a moderator looks at it first."
    assert either.why("2@example.net")[-1] == f"reject: Rejected by {MO}: It is too long, please cut it. {reason}"
    assert either.why("3@example.net")[-1] == f"discard: Discarded by {MO}. {reason}"
    said = text_of(mails(either, MO)[-1])
    assert said.startswith(f"#1 from {GUEST}: Released by {MO}.\n#2 from {GUEST}: Rejected by {MO}: It is too long")


def test_at_the_address_of_one_post_the_word_is_enough(site: SmallSite) -> None:
    for number in (1, 2):
        site.take_in(guest(number))
    first, second = item_addresses(next_morning(site))
    reply(site, second, "Discard.\n\n> #2 from somebody\n")
    assert held(site) == ["1@example.net"]
    reply(site, first, "reject\n")
    assert held(site) == []
    assert "The moderator gave no reason." in text_of(mails(site, GUEST)[0])


def test_all_is_for_the_posts_without_a_line_of_their_own(site: SmallSite) -> None:
    for number in range(1, 4):
        site.take_in(guest(number))
    reply(site, address_of(next_morning(site)), "#2 accept\nall discard\nAll the best, Mo\n")
    assert posted(site) == ["2@example.net"]
    assert held(site) == []


def test_a_reply_that_is_not_understood_does_nothing_and_may_be_sent_again(site: SmallSite) -> None:
    for number in (1, 2):
        site.take_in(guest(number))
    address = address_of(next_morning(site))
    before = len(mails(site))
    for text, says in (
        ("#1 acept\n#2 discard\n", "It says “acept” about #1."),
        ("Thank you!\n", "It does not say what to do."),
        ("#3 accept\n", "There is no #3 in the mail that it answers."),
        ("#1 accept\n#1 discard\n", "It says two things about #1."),
    ):
        assert says in reply(site, address, text)
        assert held(site) == ["1@example.net", "2@example.net"]
    told = mails(site)[before:]
    assert {str(mail["To"]) for mail in told} == {MO}
    assert "   accept          it is posted\n" in text_of(told[0])
    reply(site, address, "all accept\n")
    assert held(site) == []


def test_moderators_who_write_nonsense_all_day_are_answered_a_few_times(site: SmallSite) -> None:
    site.take_in(guest(1))
    address = address_of(mails(site, MO)[0])
    for _ in range(8):
        reply(site, address, "What?\n")
    assert len(mails(site, MO)) == 1 + site.site.settings.limits.notices_per_day


@pytest.mark.acceptance(35, 60)
def test_an_out_of_office_decides_nothing_and_is_not_answered(site: SmallSite) -> None:
    site.take_in(guest(1))
    (mail,) = mails(site, MO)
    reply(site, address_of(mail), "accept\n", Auto_Submitted="auto-replied")
    reply(site, item_addresses(mail)[0], "accept\n", Precedence="bulk")
    assert held(site) == ["1@example.net"]
    assert len(mails(site, MO)) == 1


@pytest.mark.acceptance(55)
def test_an_address_decides_once_and_for_three_days(site: SmallSite) -> None:
    for number in (1, 2):
        site.take_in(guest(number))
    mail = next_morning(site)
    reply(site, address_of(mail), "#1 accept\n")
    assert "was answered before" in reply(site, address_of(mail), "#2 accept\n")
    assert held(site) == ["2@example.net"]
    site.clock.advance(timedelta(hours=73))
    assert "more than three days old" in reply(site, item_addresses(mail)[1], "accept\n")
    assert held(site) == ["2@example.net"]


@pytest.mark.acceptance(49)
def test_a_mail_in_a_moderators_name_without_a_token_decides_nothing(site: SmallSite) -> None:
    site.take_in(guest(1))
    reply(site, "pump+confirm.aaaaaaaaaaaaaaaaaaaaaaaaaa@lists.example.org", "accept\n")
    reply(site, "pump+command@lists.example.org", "#1 accept\n")
    assert "1@example.net" in held(site)
    assert posted(site) == []


def test_who_moderates_no_more_decides_nothing(site: SmallSite) -> None:
    site.take_in(guest(1))
    address = address_of(mails(site, MO)[0])
    with site.site.database.write() as connection:
        joining.set_member(connection, community="pump", email=MO, changes={"role": "member"}, now=site.clock.now())
    assert f"{MO} is no moderator of Pump team any more." in reply(site, address, "accept\n")
    assert held(site) == ["1@example.net"]


def test_the_second_moderator_is_told_who_decided_what(either: SmallSite) -> None:
    either.take_in(guest(1))
    of_mo, of_owen = (address_of(mails(either, one)[0]) for one in (MO, OWEN))
    reply(either, of_mo, "discard\n")
    reply(either, of_owen, "accept\n", OWEN)
    assert posted(either) == []
    assert text_of(mails(either, OWEN)[-1]).startswith(f"#1: It was decided already: Discarded by {MO}.")


def test_of_two_replies_in_one_batch_the_first_decides(either: SmallSite) -> None:
    either.take_in(guest(1))
    replies = [(address_of(mails(either, one)[0]), one, word) for one, word in ((OWEN, "accept"), (MO, "discard"))]
    now = either.clock.now()
    either.site.spool.append(
        [
            Accepted(
                mail_from=sender,
                recipient=to,
                peer="test",
                via="smtp",
                received_at=now,
                raw=message(sender, to, "Re:", word, f"{word}@example.org").as_bytes(),
            )
            for to, sender, word in replies
        ]
    )
    either.drain()
    assert posted(either) == ["1@example.net"]
    assert f"#1: {OWEN} is deciding about it." in text_of(mails(either, MO)[-1])


def test_a_decision_in_a_batch_that_fails_is_still_made_once(either: SmallSite) -> None:
    either.take_in(guest(1))
    address = address_of(mails(either, MO)[0])
    poison, now = from_ana("Poison", "x\n", "poison@example.org"), either.clock.now()
    either.site.spool.append(
        [
            Accepted(mail_from=sender, recipient=to, peer="test", via="smtp", received_at=now, raw=made.as_bytes())
            for made, sender, to in (
                (message(MO, address, "Re:", "discard", "decide@example.org"), MO, address),
                (poison, ANA, PUMP),
            )
        ]
    )
    with either.site.database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE post RENAME COLUMN subject TO gone")
    either.drain()
    with either.site.database.write() as connection:
        connection.exec_driver_sql("ALTER TABLE post RENAME COLUMN gone TO subject")
    assert either.site.spool.counts() == {"waiting": 0, "held": 0, "shunted": 1}
    assert text_of(mails(either, MO)[-1]).startswith(f"#1 from {GUEST}: Discarded by {MO}.")
    assert len(mails(either, MO)) == 2


# --- what is said of a sender once and for all -----------------------------------------------------------------------


def test_whom_a_moderator_allows_is_posted_now_and_from_then_on(either: SmallSite) -> None:
    either.take_in(guest(1))
    reply(either, address_of(mails(either, MO)[0]), "allow\n")
    either.take_in(guest(2))
    assert set(posted(either)) == {"1@example.net", "2@example.net"}
    assert either.why("2@example.net")[1].startswith("accept: A moderator allowed this address.")
    assert f"{GUEST} is allowed from now on." in text_of(mails(either, MO)[-1])


def test_whom_a_moderator_bans_is_discarded_now_and_refused_from_then_on(site: SmallSite) -> None:
    site.take_in(guest(1))
    reply(site, address_of(mails(site, MO)[0]), "ban\n")
    site.take_in(guest(2))
    assert held(site) == posted(site) == []
    assert site.why("2@example.net")[-1] == f"discard: {GUEST} may not write to pump."
    assert mails(site, GUEST) == []


def test_who_leads_is_never_banned_for_what_somebody_wrote_in_their_name(site: SmallSite) -> None:
    with site.site.database.write() as connection:
        changes = {"max-attachments": "0"}
        joining.set_community(connection, "pump", changes, site.clock.now())
    forged = guest(1, sender=OWEN)
    forged.add_attachment(b"x", maintype="application", subtype="pdf", filename="x.pdf")
    site.take_in(forged)
    reply(site, address_of(mails(site, MO)[0]), "ban\n")
    assert f"{OWEN} leads the community and is not banned" in text_of(mails(site, MO)[-1])
    assert held(site) == []
    with site.site.database.read() as connection:
        assert senders.rules(connection, site.community().id) == []


# --- what the sender is told -----------------------------------------------------------------------------------------


def moderate_all(site: SmallSite) -> None:
    with site.site.database.write() as connection:
        joining.set_community(connection, "pump", {"posting": "moderated"}, site.clock.now())


def test_a_member_hears_that_a_post_waits_and_that_it_is_out(either: SmallSite) -> None:
    moderate_all(either)
    key = either.take_in(from_ana("Seal", "It leaks.\n", "seal@example.org"))
    (waits,) = mails(either, ANA)
    assert waits["Subject"] == "Your post to Pump team waits"
    assert waits["In-Reply-To"] == "<seal@example.org>"
    assert address_of(waits) == "pump+owner@lists.example.org"
    assert text_of(waits) == (
        "Your mail of Wed 14 Oct 09:00 to Pump team waits until a moderator has looked at it.\n\n"
        "Why: A moderator looks at each post to pump first.\n\nThere is nothing you need to do.\n"
    )
    either.site.desk().release(key)
    assert mails(either, ANA)[1]["Subject"] == "Your post to Pump team is out"


def test_a_member_hears_why_a_post_was_not_accepted(site: SmallSite) -> None:
    moderate_all(site)
    site.take_in(from_ana("Seal", "It leaks.\n", "seal@example.org"))
    reply(site, address_of(mails(site, MO)[0]), "reject Please say which seal.\n")
    _, told = mails(site, ANA)
    assert told["Subject"] == "Your post to Pump team was not accepted"
    assert "The moderator wrote: Please say which seal.\n" in text_of(told)
    assert told["Auto-Submitted"] == "auto-replied"


def test_a_discarded_post_is_not_spoken_of(site: SmallSite) -> None:
    moderate_all(site)
    site.site.desk().discard(site.take_in(from_ana("Seal", "It leaks.\n", "seal@example.org")))
    assert len(mails(site, ANA)) == 1


@pytest.mark.acceptance(38)
def test_a_stranger_hears_nothing_but_what_a_moderator_writes_to_them(site: SmallSite) -> None:
    for number in (1, 2):
        site.take_in(guest(number))
    assert mails(site, GUEST) == []
    first, second = item_addresses(next_morning(site))
    reply(site, first, "accept\n")
    assert mails(site, GUEST) == []
    reply(site, second, "reject Please join first.\n")
    (told,) = mails(site, GUEST)
    assert "The moderator wrote: Please join first.\n" in text_of(told)
    assert "Question 2" not in told.as_string(), "nothing of a mail that anybody may have written goes out again"


@pytest.mark.acceptance(38)
@pytest.mark.parametrize("posting", ["members", "announce"])
def test_where_strangers_are_refused_one_that_came_another_way_is_held_and_hears_nothing(
    small_site: SmallSite, posting: str
) -> None:
    settle_roles(small_site, posting)
    small_site.take_in(guest(1))
    assert held(small_site) == ["1@example.net"]
    assert mails(small_site, GUEST) == []


@pytest.mark.acceptance(35)
@pytest.mark.parametrize(
    "fields",
    [
        {"Auto_Submitted": "auto-replied"},
        {"Precedence": "bulk"},
        {"List_Id": "Other list <other.example.net>"},
        {"List_Unsubscribe": "<mailto:leave@example.net>"},
    ],
)
def test_a_program_or_a_list_is_told_neither_that_it_waits_nor_that_it_was_rejected(
    site: SmallSite, fields: dict[str, str]
) -> None:
    moderate_all(site)
    key = site.take_in(from_ana("Seal", "It leaks.\n", "seal@example.org", **fields))
    site.site.desk().decide([key], Choice(verdict="reject", reason="No lists."))
    assert mails(site, ANA) == []


@pytest.mark.acceptance(35)
def test_the_null_return_path_is_never_answered(site: SmallSite) -> None:
    key = site.take_in(from_ana("Seal", "It leaks.\n", "seal@example.org"), sender="")
    site.site.desk().decide([key], Choice(verdict="reject", reason="No."))
    assert mails(site, ANA) == []


@pytest.mark.acceptance(39)
def test_whose_name_is_forged_all_day_hears_of_it_a_few_times_only(site: SmallSite) -> None:
    moderate_all(site)
    for number in range(10):
        site.take_in(from_ana("Spam", "Buy.\n", f"{number}@example.org"))
    assert len(mails(site, ANA)) == site.site.settings.limits.notices_per_day


# --- a post that is let in -------------------------------------------------------------------------------------------


def test_a_post_that_is_released_after_the_cut_off_is_in_the_next_digest(either: SmallSite) -> None:
    key = either.take_in(guest(1))
    either.take_in(from_ana("Seal", "It leaks.\n", "seal@example.org"))
    either.clock.set(datetime(2026, 10, 19, 9, 0, tzinfo=BERLIN))
    either.site.run_due()
    either.site.desk().release(key)
    either.drain()
    assert either.shown()["1@example.net"][0] == 2, "it is numbered when it is let in"
    either.clock.set(datetime(2026, 10, 26, 9, 0, tzinfo=BERLIN))
    either.site.run_due()
    digests = [step for step in either.why("1@example.net", SAM) if step.startswith("digest")]
    assert len(digests) == 1
    assert digests[0].startswith("digest: item 1 of")


def test_a_moderated_community_holds_replies_to_digest_items_too(small_site: SmallSite) -> None:
    settle_roles(small_site, "moderated")
    small_site.take_in(message(OWEN, PUMP, "Seal", "Which seal?\n", "seal@example.org"))
    small_site.clock.set(datetime(2026, 10, 19, 9, 0, tzinfo=BERLIN))
    small_site.site.run_due()
    token = item_token(small_site)
    key = small_site.take_in(message(SAM, token, "Re: digest", "The new one.\n", "sam@example.org"), token)
    assert small_site.site.spool.entry(key, "held").reason == "A moderator looks at each post to pump first."
    small_site.site.desk().release(key)
    small_site.drain()
    assert small_site.tree()["sam@example.org"][0] == "seal@example.org"
    assert any(
        "A reply to item 1 of a digest. Released by a person." in step for step in small_site.why("sam@example.org")
    )


def item_token(site: SmallSite) -> str:
    """The reply address of the first item of Sam's digest."""
    with site.site.database.read() as connection:
        section = tables.edition_section
        item_id, membership_id = connection.execute(
            select(tables.item.c.id, section.c.membership_id)
            .join(section, section.c.id == tables.item.c.section_id)
            .where(tables.item.c.number == 1)
        ).one()
    token = site.site.tokens.item(item_id, membership_id, site.clock.now().date())
    return f"pump+r.{token}@lists.example.org"


# --- storms ----------------------------------------------------------------------------------------------------------


@pytest.mark.acceptance(41)
def test_a_storm_of_five_hundred_replies_rests_after_forty_and_nothing_is_lost(site: SmallSite) -> None:
    site.take_in(from_ana("Seal", "It leaks.\n", "seal@example.org"))
    for start in range(0, 500, 50):
        site.clock.advance(timedelta(seconds=30))
        storm(site, range(start, start + 50))
    assert site.count("post") == 40, "the first posts of the thread"
    assert site.site.spool.counts()["held"] == 461
    reason = "40 posts came to its thread within 10 minutes. It rests until a moderator has looked."
    assert {entry.reason for entry in site.site.spool.listing("held")} == {reason}
    assert len(mails(site, MO)) == 1
    site.site.desk().decide([one.key for one in site.site.spool.listing("held")], Choice(verdict="accept"))
    site.drain()
    assert site.count("post") == 501


def test_who_leads_may_calm_a_storm_and_other_threads_go_on(either: SmallSite) -> None:
    either.take_in(from_ana("Seal", "It leaks.\n", "seal@example.org"))
    parent = {"In_Reply_To": "<seal@example.org>"}
    storm(either, range(60))
    assert (either.count("post"), either.site.spool.counts()["held"]) == (40, 21)
    either.take_in(message(MO, PUMP, "Re: Seal", "Stop.\n", "stop@example.org", **parent))
    either.take_in(from_ana("Another", "Hello.\n", "another@example.org"))
    assert either.count("post") == 42
    either.clock.advance(timedelta(minutes=10))
    either.take_in(from_ana("Re: Seal", "Calm.\n", "calm@example.org", **parent))
    assert either.count("post") == 43, "when it is over the thread goes on"


def storm(site: SmallSite, numbers: Sequence[int]) -> None:
    """Replies to one post by its members, one to each of the others."""
    parent = {"In_Reply_To": "<seal@example.org>"}
    raws = [
        message(
            (ANA, LI, SAM)[number % 3], PUMP, "Re: Seal", "Me too.\n", f"s{number}@example.org", **parent
        ).as_bytes()
        for number in numbers
    ]
    now = site.clock.now()
    site.site.spool.append(
        [Accepted(mail_from=ANA, recipient=PUMP, peer="test", via="smtp", received_at=now, raw=raw) for raw in raws]
    )
    site.drain()


def test_an_import_is_no_storm(small_site: SmallSite) -> None:
    parent = {"In_Reply_To": "<seal@example.org>"}
    old = [from_ana("Seal", "It leaks.\n", "seal@example.org").as_bytes()]
    old += [from_ana("Re: Seal", "Yes.\n", f"o{number}@example.org", **parent).as_bytes() for number in range(50)]
    small_site.import_raws(old)
    small_site.take_in(from_ana("Re: Seal", "It holds now.\n", "new@example.org", **parent))
    assert small_site.site.spool.counts()["held"] == 0


# --- one decision for each message -----------------------------------------------------------------------------------


def test_a_message_is_one_persons_to_decide_about_for_half_an_hour(either: SmallSite) -> None:
    key = either.take_in(guest(1))
    spool, now = either.site.spool, either.clock.now()
    (entry,) = spool.claim([key], MO, now)
    assert entry.key == key
    assert spool.claimant(key, now) == MO
    assert spool.claim([key], OWEN, now) == []
    assert [one.key for one in spool.claim([key], MO, now)] == [key]
    with pytest.raises(NotFoundError, match=f"{MO} is deciding about it"):
        either.site.desk().decide([key], Choice(verdict="discard", by=OWEN))
    either.clock.advance(timedelta(minutes=30))
    assert spool.claimant(key, either.clock.now()) is None
    either.site.desk().decide([key], Choice(verdict="discard", by=OWEN))
    with pytest.raises(NotFoundError, match=f"It was decided already: Discarded by {OWEN}"):
        either.site.desk().decide([key], Choice(verdict="accept", by=MO))


def test_who_comes_after_an_acceptance_is_told_of_it(site: SmallSite) -> None:
    key = site.take_in(guest(1))
    site.site.desk().decide([key], Choice(verdict="accept", by=MO))
    with pytest.raises(NotFoundError, match=f"^Released by {MO}"):
        site.site.desk().discard(key)
    site.drain()
    assert posted(site) == ["1@example.net"]
    with pytest.raises(NotFoundError, match=f"It was decided already: Released by {MO}. Archived as number 1"):
        site.site.desk().discard(key)
    with pytest.raises(NotFoundError, match="has the key 'nix'"):
        site.site.desk().release("nix")


def test_a_decision_that_was_not_followed_before_a_crash_is_made_again(either: SmallSite) -> None:
    key = either.take_in(guest(1))
    desk: Desk = either.site.desk()
    with either.site.database.write() as connection:
        desk.settle(connection, key, Choice(verdict="discard", by=MO))
    assert held(either) == ["1@example.net"], "as if we had died before the spool followed"
    either.clock.advance(timedelta(minutes=31))
    desk.decide([key], Choice(verdict="accept", by=OWEN))
    either.drain()
    assert posted(either) == ["1@example.net"]


def test_shunted_mail_is_thrown_away_but_not_accepted(site: SmallSite) -> None:
    key = site.take_in(guest(1))
    site.site.spool.shunt(key, "Traceback")
    with pytest.raises(NotFoundError):
        site.site.desk().release(key)
    site.site.desk().discard(key)
    assert site.site.spool.counts() == {"waiting": 0, "held": 0, "shunted": 0}


# --- commands --------------------------------------------------------------------------------------------------------


@pytest.fixture
def tidings(site: SmallSite) -> Iterator[Program]:
    """The program on the site, with three posts held."""
    for number in (1, 2, 3):
        site.take_in(guest(number))
    config = site.site.settings.path("tidings.toml")
    config.write_text('[site]\nadmins = ["admin@example.org"]\n', encoding="utf-8")
    yield Program(config)


def test_held_posts_are_decided_by_command(site: SmallSite, tidings: Program) -> None:
    keys = [entry.key for entry in site.site.spool.listing("held")]
    (line,) = tidings("hold", "reject", keys[0][:8], "--reason", "Too long", "--json").lines
    assert (line["key"], line["author"], line["community"]) == (keys[0], GUEST, "pump")
    assert site.why("1@example.net")[-1].startswith("reject: Rejected by an admin: Too long. It was held:")
    assert "The moderator wrote: Too long" in text_of(mails(site, GUEST)[0])
    assert tidings("hold", "accept", keys[1][:8], keys[2], "--allow").text == (
        f"Released by an admin. {GUEST} is allowed from now on.\n" * 2
    )
    site.drain()
    assert set(posted(site)) == {"2@example.net", "3@example.net"}


def test_all_that_is_held_for_a_community_is_decided_by_one_command(site: SmallSite, tidings: Program) -> None:
    assert tidings("hold", "discard", "--all-of", "pump", "--ban").text == (
        f"Discarded by an admin. {GUEST} is banned from now on.\n" * 3
    )
    assert tidings("hold", "discard", "--all-of", "pump").text == "0 held messages.\n"
    assert held(site) == []
    assert site.count("decision") == 3


def test_a_command_says_about_what_it_decides(tidings: Program) -> None:
    says = "Say which: keys as `tidings hold list` shows them, or --all-of COMMUNITY."
    assert says in tidings("hold", "accept", status=2).err
    assert says in tidings("hold", "accept", "a", "--all-of", "pump", status=2).err
    assert "There is no community 'nix'" in tidings("hold", "discard", "--all-of", "nix", status=1).err


# --- how a reply is read ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "ruled"),
    [
        ("#1 accept", {1: "accept"}),
        ("# 2: Discard!", {2: "discard"}),
        ("#1. ACCEPT\n#2) ban", {1: "accept", 2: "ban"}),
        ("Hi,\n\n  #3 allow, she is new\n\nMo", {3: "allow"}),
        ("all accept", {1: "accept", 2: "accept", 3: "accept"}),
        ("All: discard\n#2 accept", {1: "discard", 2: "accept", 3: "discard"}),
        ("#1 reject too long", {1: "reject: too long"}),
        ("#1 reject: too long,\nplease cut\n\nMo\n#2 accept", {1: "reject: too long, please cut", 2: "accept"}),
        ("#1 reject\nsee above", {1: "reject: see above"}),
        ("#1 reject one\n#2 reject two", {1: "reject: one", 2: "reject: two"}),
        ("#1 accept\nTo decide: 3 posts to Pump team.\n#2 from a@b\nall discard", {1: "accept"}),
        ("#1 accept\n#2 from discard@example.org\n#3 discard", {1: "accept"}),
    ],
)
def test_lines_with_numbers_are_read(text: str, ruled: dict[int, str]) -> None:
    found = rulings.read(text, [1, 2, 3])
    assert {one.number: f"{one.word}: {one.reason}".removesuffix(": ") for one in found} == ruled


@pytest.mark.parametrize(
    "text",
    [
        *("", "accept", "Thank you", "#4 accept", "#1 acept", "#1 accept\n#1 discard", "all accept\nall discard"),
        *("All the best", "1 accept", "#1accept me", "#0 discard", "> #1 accept"),
    ],
)
def test_what_is_not_clear_rules_nothing(text: str) -> None:
    with pytest.raises(UnclearError):
        rulings.read(text, [1, 2, 3])


@pytest.mark.parametrize(
    ("text", "ruled"),
    [
        ("accept", Ruling(number=7, word="accept")),
        ("Hello,\n\nDiscard.\n", Ruling(number=7, word="discard")),
        ("reject too long", Ruling(number=7, word="reject", reason="too long")),
        ("#7 ban", Ruling(number=7, word="ban")),
        ("all allow", Ruling(number=7, word="allow")),
    ],
)
def test_a_word_alone_rules_where_there_is_one_post(text: str, ruled: Ruling) -> None:
    assert rulings.read(text, [7]) == [ruled]


@pytest.mark.parametrize("text", ["Allow me to ask who this is.", "Accept my thanks", "I would discard it"])
def test_a_sentence_that_begins_with_a_word_is_no_ruling(text: str) -> None:
    with pytest.raises(UnclearError):
        rulings.read(text, [7])


def test_a_reason_is_cut_and_a_long_text_is_not_read_to_its_end() -> None:
    (ruling,) = rulings.read("#1 reject " + "x" * 5_000, [1])
    assert len(ruling.reason) == 500
    with pytest.raises(UnclearError):
        rulings.read("\n" * 5_000 + "#1 accept", [1])


def test_the_notice_itself_rules_nothing_when_a_mail_program_quotes_it_without_a_mark(site: SmallSite) -> None:
    site.take_in(guest(1))
    text = text_of(mails(site, MO)[0])
    with pytest.raises(UnclearError):
        rulings.read(text, [1])
    assert rulings.read("discard\n\n" + text, [1]) == [Ruling(number=1, word="discard")]
