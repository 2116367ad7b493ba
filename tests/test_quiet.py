"""Quiet hours: posts that wait while a member is off shift or asleep, and what becomes of them then."""

import email
import random
import re
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from email.message import Message
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import func, select, update

from tests import digest_site
from tests.digest_site import START
from tests.running import RunningSite, message, settings_for
from tests.small_site import ANA, BERLIN, LI, PUMP, SmallSite, any_site, from_ana, makings
from tests.smtp_sink import SmtpSink
from tidings import jobs
from tidings.app import Site
from tidings.communities import directory, joining, rota
from tidings.database import tables
from tidings.database.engine import Database
from tidings.digests import plans, render
from tidings.digests import quiet as quiet_hours
from tidings.digests.fragments import Conversation
from tidings.jobs import Done
from tidings.mailer import outbox, urgency

# On Wednesday Li comes off a night at 07:00, sleeps until 16:00 and is at work again at 19:00.
NINE, FOUR, SEVEN = (datetime(2026, 10, 14, hour, 0, tzinfo=BERLIN) for hour in (9, 16, 19))
NOON = NINE + timedelta(hours=3)
SECOND = timedelta(seconds=1)
FIXTURES = (any_site, makings)


def change(site: Site, email: str, now: datetime, **changes: str) -> None:
    """Change a member as the command does."""
    with site.database.write() as connection:
        made = joining.set_member(connection, community="pump", email=email, changes=changes, now=now)
        plans.replan(connection, now, site=site.settings.site, person_id=made.person_id)


def add_crew(site: Site, pattern: str = "NNNNOOO") -> None:
    with site.database.write() as connection:
        rota.add_rota(
            connection, name="night", zone="Europe/Berlin", pattern=pattern, shifts="D=07:00-19:00,N=19:00-07:00"
        )
        rota.add_crew(connection, name="night", rota="night", start_date=date(2026, 10, 12))


@pytest.fixture
def site(any_site: SmallSite) -> SmallSite:
    """Ana and Li get each post; Li works nights and has quiet hours between shifts."""
    add_crew(any_site.site)
    change(any_site.site, LI, NINE, crew="night", quiet="off")
    return any_site


def post(site: SmallSite, at: datetime, subject: str = "Seal", text: str = "It leaks.\n", **fields: str) -> str:
    """A post by Ana at a moment; its Message-ID."""
    site.clock.set(at)
    bare = f"{site.count('post') + 1}@example.org"
    site.take_in(from_ana(subject, text, bare, **fields))
    return bare


def copies(site: SmallSite, email: str = LI) -> list[tuple[str, str, datetime]]:
    """(kind, state, due time) of all that is or was to go to somebody, in the order in which it was queued."""
    delivery, mail = tables.delivery.c, tables.outbox.c
    query = (
        select(mail.kind, delivery.state, delivery.due_at)
        .join_from(tables.delivery, tables.outbox, mail.id == delivery.outbox_id)
        .where(delivery.recipient == email)
        .order_by(delivery.id)
    )
    with site.site.database.read() as connection:
        return [(kind, state, due.astimezone(BERLIN)) for kind, state, due in connection.execute(query)]


def run(site: SmallSite, now: datetime) -> Done:
    site.clock.set(now)
    return site.site.run_due()


def edition(site: SmallSite) -> str:
    """The text of the newest edition."""
    with site.site.database.read() as connection:
        newest = connection.execute(select(func.max(tables.edition.c.id))).scalar_one()
        tokens, settings = site.site.tokens, site.site.settings.site
        parsed = email.message_from_bytes(render.assemble(connection, newest, site=settings, tokens=tokens))
    return str(parsed["Subject"]) + "\n" + body(parsed)


def body(mail: Message) -> str:
    text = next(part for part in mail.walk() if part.get_content_type() == "text/plain")
    return str(text.get_payload(decode=True).decode())


# --- held and let go -------------------------------------------------------------------------------------------------


def test_a_post_between_shifts_waits_and_goes_out_as_it_is_when_the_shift_starts(site: SmallSite) -> None:
    post(site, NOON)
    assert copies(site) == [("post", "held", SEVEN)]
    assert copies(site, ANA) == [("post", "queued", NOON)]
    run(site, SEVEN - SECOND)
    assert copies(site) == [("post", "held", SEVEN)]
    run(site, SEVEN)
    assert copies(site) == [("post", "queued", SEVEN)]
    assert site.count("edition") == 0


def test_several_are_told_in_one_mail_with_all_of_their_words(site: SmallSite) -> None:
    paragraphs = "It leaks at start-up.\n\nThe spring is new.\n"
    post(site, NOON, "Seal", paragraphs)
    post(site, NOON + timedelta(minutes=1), "Re: Seal", "Which one?\n", In_Reply_To="<1@example.org>")
    post(site, NOON + timedelta(minutes=2), "Spare stock", "Two are left.\n")
    assert run(site, SEVEN) == Done(periods=0, editions=1, quiet=0, failed=0)
    assert copies(site) == [*[("post", "bundled", SEVEN)] * 3, ("edition", "queued", SEVEN)]
    text = edition(site)
    assert text.startswith("Pump team catch-up: 3 new posts")
    assert re.findall(r"^#(\d) (Seal|Spare stock)", text, re.MULTILINE) == [("1", "Seal"), ("2", "Spare stock")]
    for words in ("It leaks at start-up.", "The spring is new.", "Which one?", "Two are left."):
        assert " ".join(text.split()).count(words) == 1
    assert "and get each message. What comes between your shifts waits" in " ".join(text.split())
    assert len(re.findall(r"reply: pump\+r\.", text)) == 2
    assert run(site, SEVEN + timedelta(minutes=1)).editions == 0
    assert len(copies(site)) == 4


def test_who_wants_posts_in_the_mail_itself_has_those_that_were_held(site: SmallSite) -> None:
    change(site.site, LI, NINE, format="mime")
    held = [post(site, NOON, "Seal"), post(site, NOON + timedelta(minutes=1), "Stock")]
    run(site, SEVEN)
    with site.site.database.read() as connection:
        raw = render.assemble(connection, 1, site=site.site.settings.site, tokens=site.site.tokens)
    whole = email.message_from_bytes(raw)
    assert whole.get_content_type() == "multipart/mixed"
    mails = [part.get_payload(0) for part in whole.walk() if part.get_content_type() == "message/rfc822"]
    assert [str(mail["Message-ID"]) for mail in mails] == [f"<{one}>" for one in held]


def test_at_work_a_post_goes_out_at_once_and_after_the_shift_it_waits_again(site: SmallSite) -> None:
    run(site, SEVEN)
    post(site, SEVEN + timedelta(hours=1))
    post(site, SEVEN + timedelta(hours=12))  # the shift ends at that moment
    thursday = SEVEN + timedelta(days=1)
    assert copies(site) == [("post", "queued", SEVEN + timedelta(hours=1)), ("post", "held", thursday)]


def test_a_member_who_sleeps_only_gets_what_came_meanwhile_once_up(site: SmallSite) -> None:
    change(site.site, LI, NINE, quiet="asleep")
    post(site, NOON)
    post(site, FOUR - SECOND)
    assert run(site, FOUR - SECOND).editions == 0
    assert run(site, FOUR).editions == 1
    post(site, FOUR + SECOND)
    assert [state for _, state, _ in copies(site)] == ["bundled", "bundled", "queued", "queued"]


def test_the_first_post_after_the_quiet_hours_needs_no_run_to_go_out(site: SmallSite) -> None:
    post(site, SEVEN)
    assert copies(site) == [("post", "queued", SEVEN)]


def test_what_was_held_over_days_of_downtime_is_told_once(site: SmallSite) -> None:
    post(site, NOON)
    post(site, NOON)
    saturday = SEVEN + timedelta(days=3)
    assert run(site, saturday).editions == 1
    assert run(site, saturday).editions == 0
    with site.site.database.read() as connection:
        member = tables.membership.c
        found = connection.execute(select(member.quiet_from, member.quiet_until).where(member.quiet == "off")).one()
    assert (found.quiet_from, found.quiet_until) == (saturday, datetime(2026, 10, 19, 19, 0, tzinfo=BERLIN))


def test_two_processes_that_let_go_at_once_tell_it_once(site: SmallSite) -> None:
    post(site, NOON)
    post(site, NOON)
    site.clock.set(SEVEN)
    with ThreadPoolExecutor(3) as pool:
        done = list(pool.map(lambda _: site.site.run_due(), range(3)))
    assert sum(one.editions for one in done) == 1
    assert [one.failed for one in done] == [0, 0, 0]
    assert [kind for kind, _, _ in copies(site)] == ["post", "post", "edition"]


def test_what_would_make_one_mail_too_long_goes_out_as_copies_beside_it(site: SmallSite) -> None:
    for _ in range(3):
        post(site, NOON, text="word " * 1_400 + "\n")
    assert run(site, SEVEN).editions == 1
    assert [(kind, state) for kind, state, _ in copies(site)] == [
        ("post", "bundled"),
        ("post", "bundled"),
        ("post", "queued"),
        ("edition", "queued"),
    ]


def test_what_was_held_comes_in_one_mail_with_a_digest_that_is_due_then(site: SmallSite) -> None:
    monday = datetime(2026, 10, 19, 19, 0, tzinfo=BERLIN)
    now = site.clock.now()
    with site.site.database.write() as connection:
        joining.add_community(connection, name="ward", title="Ward", zone="Europe/Berlin", now=now)
        joining.add_member(connection, community="ward", email=LI, delivery="weekly", now=now)
        joining.add_member(connection, community="ward", email=ANA, now=now)
    run(site, NOON + timedelta(days=2))  # off shift until Monday
    site.take_in(message(ANA, "ward@lists.example.org", "Beds", "Four.\n", "w@example.org"), "ward@lists.example.org")
    post(site, NOON + timedelta(days=2))
    post(site, NOON + timedelta(days=3))
    assert run(site, monday).editions == 2  # Sam's weekly one too
    assert [kind for kind, _, _ in copies(site)].count("edition") == 1
    text = edition(site)
    assert text.startswith("Pump team +1 catch-up: 3 new posts")
    assert "WARD" in text and "Four." in text


def test_a_failure_while_letting_go_loses_nothing_and_the_next_run_tells_it_once(
    site: SmallSite, monkeypatch: pytest.MonkeyPatch
) -> None:
    post(site, NOON)
    post(site, NOON)

    def breaks(*_values: object) -> None:
        raise RuntimeError("killed")

    with monkeypatch.context() as patch:
        patch.setattr(quiet_hours, "_set_hours", breaks)
        assert run(site, SEVEN).failed == 1
    assert [state for _, state, _ in copies(site)] == ["held", "held"]
    with monkeypatch.context() as patch:
        patch.setattr(outbox, "add_editions", breaks)
        assert run(site, SEVEN).failed == 1
    assert [state for _, state, _ in copies(site)] == ["held", "held"]
    assert run(site, SEVEN).editions == 1
    assert [state for _, state, _ in copies(site)] == ["bundled", "bundled", "queued"]


def test_over_28_days_every_member_gets_every_post_once(database: Database) -> None:
    chance = random.Random(24)
    with database.write() as connection:
        pump = digest_site.community(connection)
        for name, pattern in (("nights", "NNNNOOO"), ("mixed", "DDNNOOOO"), ("split", "DOND")):
            digest_site.crew(connection, name, pattern)
            for kind in ("off", "asleep"):
                who = f"{name}.{kind}@example.org"
                digest_site.member(connection, who, crew=name, delivery="each")
                joining.set_member(connection, community="pump", email=who, changes={"quiet": kind}, now=START)
        plans.replan(connection, START, site=digest_site.SITE)
    now, number = START, 0
    while now < START + timedelta(days=28):
        now += timedelta(minutes=chance.choice([10, 60, 200, 3000]))  # the last is downtime
        with database.write() as connection:
            for _ in range(chance.choice([0, 1, 4])):
                number += 1
                made = digest_site.post(connection, pump.id, date=now)
                assert made.id is not None
                outbox.add_post(
                    connection, community_id=pump.id, post_id=made.id, mail_from=PUMP, now=now, urgent=number % 7 == 0
                )
        if chance.random() < 0.8:
            jobs.run_due(database, now, site=digest_site.SITE)
    jobs.run_due(database, now + timedelta(days=4), site=digest_site.SITE)
    jobs.run_due(database, now + timedelta(days=8), site=digest_site.SITE)
    told: dict[str, list[int]] = {}
    delivery, mail, item = tables.delivery.c, tables.outbox.c, tables.item.c
    with database.read() as connection:
        copied = select(delivery.recipient, tables.post.c.number).join_from(tables.delivery, tables.outbox)
        copied = copied.join(tables.post, tables.post.c.id == mail.post_id).where(delivery.state == "queued")
        for who, one in connection.execute(copied):
            told.setdefault(who, []).append(one)
        bundled = select(tables.edition.c.recipient, tables.fragment.c.data).join_from(
            tables.item, tables.edition_section
        )
        bundled = bundled.join(tables.fragment, tables.fragment.c.id == item.fragment_id)
        bundled = bundled.join(tables.edition, tables.edition.c.id == tables.edition_section.c.edition_id)
        for who, fragment in connection.execute(bundled.where(item.block == "conversation")):
            told.setdefault(who, []).extend(msgspec.json.decode(fragment, type=Conversation).numbers)
        assert connection.execute(select(func.count()).where(delivery.state == "held")).scalar_one() == 0
    assert number > 100
    assert len(told) == 6
    assert all(sorted(numbers) == list(range(1, number + 1)) for numbers in told.values())


# --- changes of mind and of rota -------------------------------------------------------------------------------------


@pytest.mark.parametrize("changes", [{"quiet": "none"}, {"crew": "none"}, {"delivery": "weekly"}])
def test_what_is_held_goes_out_as_soon_as_it_is_not_quiet_any_more(site: SmallSite, changes: dict[str, str]) -> None:
    post(site, NOON)
    change(site.site, LI, FOUR, **changes)
    assert copies(site) == [("post", "queued", FOUR)]


def test_several_that_are_held_are_told_at_the_next_run_after_a_change(site: SmallSite) -> None:
    post(site, NOON)
    post(site, NOON)
    change(site.site, LI, FOUR, quiet="none")
    assert run(site, FOUR).editions == 1
    assert [state for _, state, _ in copies(site)] == ["bundled", "bundled", "queued"]


def test_a_new_crew_moves_the_end_of_the_quiet_hours(site: SmallSite) -> None:
    post(site, NOON)
    with site.site.database.write() as connection:
        rota.add_crew(connection, name="later", rota="night", start_date=date(2026, 10, 15))
    change(site.site, LI, FOUR, crew="later")
    run(site, SEVEN)
    assert [state for _, state, _ in copies(site)] == ["held"]
    run(site, SEVEN + timedelta(days=1))
    assert [state for _, state, _ in copies(site)] == ["queued"]


@pytest.mark.parametrize(("what", "why"), [("left", "left"), ("paused", "paused"), ("none", "turned mail off")])
def test_who_wants_no_mail_any_more_is_not_sent_what_was_held(site: SmallSite, what: str, why: str) -> None:
    post(site, NOON)
    post(site, NOON)
    with site.site.database.write() as connection:
        found = directory.member_by_address(connection, site.community().id, LI)
        assert found is not None
        if what == "left":
            joining.remove_member(connection, membership_id=found.membership_id, now=FOUR)
        elif what == "paused":
            joining.pause(connection, membership_id=found.membership_id, until=SEVEN + timedelta(days=1))
        else:
            joining.set_member(connection, community="pump", email=LI, changes={"delivery": "none"}, now=FOUR)
    assert run(site, SEVEN).editions == 0
    with site.site.database.write() as connection:
        outbox.claim(connection, SEVEN, 10, timedelta(minutes=5))
        said = select(tables.delivery.c.reply).where(tables.delivery.c.recipient == LI)
        assert all(why in reply for reply in connection.execute(said).scalars())


def test_who_comes_back_has_no_quiet_hours_of_before(site: SmallSite) -> None:
    with site.site.database.write() as connection:
        found = directory.member_by_address(connection, site.community().id, LI)
        assert found is not None
        joining.remove_member(connection, membership_id=found.membership_id, now=NINE)
        joining.add_member(connection, community="pump", email=LI, now=NINE)
    post(site, NOON)
    assert copies(site) == [("post", "queued", NOON)]


def test_a_post_that_is_taken_back_is_not_told_later(site: SmallSite) -> None:
    bare = post(site, NOON)
    post(site, NOON, "Spare stock")
    with site.site.database.write() as connection:
        assert outbox.retract(connection, bare, FOUR) == 2
    run(site, SEVEN)
    assert [state for _, state, _ in copies(site)] == ["dropped", "queued"]


def test_a_member_without_a_crew_has_no_quiet_hours(site: SmallSite) -> None:
    change(site.site, LI, NINE, crew="none")
    post(site, NOON)
    assert copies(site) == [("post", "queued", NOON)]


def test_why_says_that_a_copy_is_held_and_that_it_was_told_with_others(site: SmallSite) -> None:
    bare = post(site, NOON)
    post(site, NOON)
    assert f"copy: to {LI}: held, attempt 0; quiet hours hold it" in site.why(bare, LI)
    run(site, SEVEN)
    together = "it was told in one mail with what else quiet hours held"
    assert f"copy: to {LI}: bundled, attempt 0; {together}" in site.why(bare, LI)


# --- the urgent lane -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("subject", ["[urgent] Gas in hall 3", "URGENT: gas in hall 3"])
def test_an_urgent_post_passes_by_who_is_off_shift_and_waits_for_who_sleeps(site: SmallSite, subject: str) -> None:
    post(site, NOON, subject)
    assert copies(site) == [("post", "queued", FOUR)]
    evening = FOUR + timedelta(hours=1)
    with site.site.database.write() as connection:
        connection.execute(update(tables.outbox).values(created_at=NOON - timedelta(days=2)))
    post(site, evening, subject)
    assert copies(site)[1:] == [("post", "queued", evening)]


@pytest.mark.parametrize(
    ("urgent", "expected"),
    [
        ("", ["queued", "held", "held", "held"]),
        ("3", ["queued", "queued", "queued", "held"]),
        ("0", ["held", "held", "held", "held"]),
    ],
)
def test_a_sender_has_one_urgent_post_in_24_hours_or_as_many_as_the_community_says(
    site: SmallSite, urgent: str, expected: list[str]
) -> None:
    if urgent:
        with site.site.database.write() as connection:
            joining.set_community(connection, "pump", {"urgent": urgent}, NINE)
    for minute in range(4):
        post(site, FOUR + timedelta(hours=1, minutes=minute), "[urgent] Gas")
    assert [state for _, state, _ in copies(site)] == expected


def test_the_urgent_posts_of_the_day_before_do_not_count(site: SmallSite) -> None:
    evening = FOUR + timedelta(hours=1)
    post(site, evening, "[urgent] Gas")
    run(site, evening + timedelta(hours=14))  # Thursday at 07:00
    post(site, evening + timedelta(days=1), "[urgent] Gas")
    assert [state for _, state, _ in copies(site)] == ["queued", "queued"]


def test_nobody_but_a_member_is_urgent(site: SmallSite) -> None:
    with site.site.database.write() as connection:
        joining.set_community(connection, "pump", {"posting": "open"}, NINE)
    site.clock.set(FOUR)
    site.take_in(message("stranger@example.org", PUMP, "[urgent] Buy", "Now.\n", "s@example.org"))
    assert copies(site)[0][1] == "held"


@pytest.mark.parametrize(
    ("fields", "subject", "urgent"),
    [
        ({}, "[Urgent] Gas", True),
        ({}, "urgent : Gas", True),
        ({}, "Urgently needed: seals", False),
        ({}, "Re: [urgent] Gas", False),
        ({"importance": ["High"]}, "Gas", True),
        ({"priority": ["urgent"]}, "Gas", True),
        ({"x-priority": ["1 (Highest)"]}, "Gas", True),
        ({"x-priority": ["3"]}, "Gas", False),
        ({"importance": ["low"]}, "Gas", False),
        ({"importance": ["high"], "in-reply-to": ["<a@example.org>"]}, "Re: Gas", False),
        ({"importance": []}, "", False),
    ],
)
def test_how_an_author_says_that_it_is_urgent(fields: dict[str, list[str]], subject: str, urgent: bool) -> None:
    assert urgency.is_urgent(fields, subject) is urgent


# --- over the wire ---------------------------------------------------------------------------------------------------


def test_a_nurse_off_a_night_answers_one_of_two_held_posts_at_the_start_of_the_next(tmp_path: Path) -> None:
    with SmtpSink() as sink, RunningSite(settings_for(tmp_path, sink), NINE) as running:
        with running.site.database.write() as connection:
            joining.add_community(connection, name="pump", title="Pump team", zone="Europe/Berlin", now=NINE)
            for person in (ANA, LI):
                joining.add_member(connection, community="pump", email=person, name=person[:3].title(), now=NINE)
        add_crew(running.site)
        change(running.site, LI, NINE, crew="night", quiet="off")
        for number, subject in enumerate(("Seal", "Spare stock")):
            running.post(message(ANA, PUMP, subject, f"Post {number}.\n", f"{number}@example.org"))
        assert {received.recipients for received in sink.wait_for(2)} == {(ANA,)}

        running.clock.set(SEVEN)
        assert running.server.run_due().editions == 1
        bundle = email.message_from_bytes(sink.wait_for(3)[2].data)
        assert bundle["Subject"] == "Pump team catch-up: 2 new posts"
        addresses = re.findall(r"pump\+r\.[a-z2-7]{34}@lists\.example\.org", body(bundle))
        running.post(message(LI, addresses[1], f"Re: {bundle['Subject']}", "I have two.\n", "two@example.org"))
        copy = email.message_from_bytes(sink.wait_for(5)[3].data)
        assert (copy["In-Reply-To"], copy["Subject"]) == ("<1@example.org>", "Re: Spare stock")
