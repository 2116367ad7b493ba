"""What may be posted: each rule alone, the order in which they are asked, and the settings of a community for them."""

import smtplib
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import func, select

from tests.running import RunningSite, message, settings_for, wait_until
from tests.signing import MadeUpDns, Signer
from tests.small_site import ANA, LI, PUMP, WEDNESDAY, SmallSite, any_site, from_ana, makings, small_site
from tidings.communities import directory, joining, policy, senders
from tidings.communities.directory import Community, Sender
from tidings.communities.entries import parse_size, show_size
from tidings.communities.policy import DOOR_RULES, POSTING, POSTING_RULES, RELEASED_RULES, Facts, Verdict, decide
from tidings.database import tables
from tidings.errors import UsageError
from tidings.mailer import reply_codes
from tidings.mailer.spool import Accepted

FIXTURES = (any_site, makings, small_site)
MEMBER = Sender(membership_id=1, role="member")


def pump(**changes: Any) -> Community:
    """A community of members only."""
    usual: dict[str, Any] = dict.fromkeys(one.name for one in fields(Community))
    plain = {"name": "pump", "posting": "members", "signed_only": False, "archived": False, "newcomer_posts": 0}
    return Community(**usual | plain | changes)


def facts(**changes: Any) -> Facts:
    """A member of a members' community who writes by hand."""
    usual: dict[str, Any] = {
        "community": pump(),
        "sender": MEMBER,
        "author_email": ANA,
        "join_address": "pump+subscribe@lists.example.org",
        "owner_address": "pump+owner@lists.example.org",
        "size": 3_000,
    }
    return Facts(**usual | changes)


def changed(*changes: dict[str, Any]) -> Facts:
    """The usual facts with several changes, those of the community and the sender put together."""
    found = facts()
    for change in changes:
        for name, value in change.items():
            new: Any = replace(getattr(found, name), **value) if isinstance(value, dict) else value
            found = replace(found, **{name: new})
    return found


# What each rule objects to, by its name.
OBJECTS: dict[str, tuple[dict[str, Any], str, str]] = {
    "own_loop": ({"own_loop": True}, "discard", "X-Tidings-Loop"),
    "community_archived": ({"community": {"archived": True}}, "reject", "pump is closed"),
    "banned_sender": ({"sender": {"rule": "ban"}}, "reject", f"{ANA} may not write to pump."),
    "too_large": ({"community": {"max_size": 2_000}}, "reject", "It has 3 kB, and pump takes mail of up to 2 kB."),
    "written_by_a_program": (
        {"automatic": "Auto-Submitted: auto-replied"},
        "hold",
        "An automatic mail (Auto-Submitted: auto-replied).",
    ),
    "without_an_author": ({"author_email": "nobody"}, "hold", "no From address"),
    "not_a_member": ({"sender": {"role": ""}}, "reject", f"{ANA} is not a member's address"),
    "not_a_leader": ({"community": {"posting": "announce"}}, "reject", "Only the leaders write to pump."),
    "stranger_screened": (
        {"community": {"posting": "screened"}, "sender": {"role": ""}},
        "hold",
        "is not a member of pump, so a moderator looks at it first.",
    ),
    "everything_moderated": ({"community": {"posting": "moderated"}}, "hold", "looks at each post to pump first"),
    "newcomer": ({"sender": {"held_posts": 1}}, "hold", "the first posts of a new member"),
    "too_much_attached": (
        {"community": {"max_attachments": 0}, "attachments": 20_000},
        "hold",
        "Files of 20 kB came with it, and pump takes no files.",
    ),
    "not_signed": (
        {"community": {"signed_only": True}, "unsigned": "no signature"},
        "hold",
        f"Nothing proves that {ANA} sent it (no signature).",
    ),
    "storm": ({"storm": lambda: "40 posts came to its thread."}, "hold", "It rests until a moderator has looked."),
}
# Some speak of what others speak of, too: a stranger is refused where members post, and held where all are screened.
ALSO = {("not_a_member", "stranger_screened"), ("not_a_leader", "stranger_screened")}


def test_every_rule_is_tried_below() -> None:
    assert [rule.__name__ for rule in POSTING_RULES] == list(OBJECTS)
    assert set(DOOR_RULES) <= set(POSTING_RULES)
    assert set(RELEASED_RULES) <= set(POSTING_RULES)


@pytest.mark.parametrize("name", OBJECTS)
def test_a_rule_alone_objects_to_its_own_matter_and_to_no_other(name: str) -> None:
    rule = getattr(policy, name)
    changes, kind, reason = OBJECTS[name]
    objection = rule(changed(changes))
    assert objection is not None
    assert objection.kind == kind
    assert reason in objection.reason
    for other, (changes, _, _) in OBJECTS.items():
        if other != name and (name, other) not in ALSO:
            assert rule(changed(changes)) is None, other
    assert rule(facts()) is None


def test_a_sentence_is_given_for_every_decision() -> None:
    found = [decide(facts()), decide(changed({"community": {"posting": "open"}, "sender": {"role": ""}}))]
    found += [decide(changed(changes)) for changes, _, _ in OBJECTS.values()]
    for verdict in found:
        assert verdict.said.endswith((".", ")."))
        assert len(verdict.reason) < 200


def test_the_first_rule_that_objects_decides() -> None:
    """With several matters wrong at once, taking them away one by one shows the order of the tuple."""
    together = [name for name in OBJECTS if name not in ("not_a_leader", "stranger_screened", "everything_moderated")]
    while together:
        verdict = decide(changed(*(OBJECTS[name][0] for name in together)))
        first = together.pop(0)
        assert verdict.kind == OBJECTS[first][1], first
        if first != "not_a_member":
            assert OBJECTS[first][2].replace(ANA, "nobody") in verdict.reason.replace(ANA, "nobody"), first
    assert decide(facts()).kind == "accept"


# --- who may post ----------------------------------------------------------------------------------------------------

SENDERS = {
    "stranger": Sender(),
    "member": MEMBER,
    "leader": Sender(membership_id=1, role="leader"),
    "moderator": Sender(membership_id=1, role="moderator"),
    "owner": Sender(membership_id=1, role="owner"),
    "allowed": Sender(rule="allow"),
    "banned": Sender(membership_id=1, role="member", rule="ban"),
}
#                      stranger  member    leader    moderator owner     allowed   banned
MAY_POST = {
    "members":   ("reject", "accept", "accept", "accept", "accept", "accept", "reject"),
    "open":      ("accept", "accept", "accept", "accept", "accept", "accept", "reject"),
    "screened":  ("hold",   "accept", "accept", "accept", "accept", "accept", "reject"),
    "moderated": ("hold",   "hold",   "accept", "accept", "accept", "accept", "reject"),
    "announce":  ("reject", "reject", "accept", "accept", "accept", "accept", "reject"),
}  # fmt: skip


@pytest.mark.parametrize("posting", POSTING)
def test_who_may_post_is_said_by_the_kind_of_posting(posting: str) -> None:
    of = facts(community=pump(posting=posting))
    found = tuple(decide(replace(of, sender=sender)).kind for sender in SENDERS.values())
    assert found == MAY_POST[posting]


def test_why_a_post_is_accepted_is_said() -> None:
    in_open = facts(community=pump(posting="open"))
    assert decide(facts()) == Verdict(kind="accept", reason="From a member.")
    assert decide(replace(in_open, sender=Sender())).reason == "The community is open to all."
    assert decide(replace(in_open, sender=SENDERS["allowed"])).reason == "A moderator allowed this address."


def test_a_loop_is_dropped_even_where_the_community_is_closed() -> None:
    assert decide(facts(own_loop=True, community=pump(archived=True), sender=Sender())).kind == "discard"


def test_an_automatic_mail_of_a_stranger_is_held_and_not_answered_with_a_refusal() -> None:
    assert decide(facts(automatic="null return path", sender=Sender())).kind == "hold"


def test_a_message_without_an_author_is_held_in_an_open_community_too() -> None:
    assert decide(facts(community=pump(posting="open"), sender=Sender(), author_email="undisclosed")).kind == "hold"


def test_what_a_program_wrote_is_never_posted_unseen_whoever_was_allowed() -> None:
    assert decide(facts(automatic="Precedence: bulk", sender=SENDERS["allowed"])).kind == "hold"


def test_who_leads_is_held_neither_as_a_newcomer_nor_in_a_storm() -> None:
    leader = Sender(membership_id=1, role="leader", held_posts=2)
    hot = changed(OBJECTS["storm"][0])
    assert decide(replace(hot, sender=leader)).kind == "accept"
    assert decide(hot).kind == "hold"


def test_a_thread_is_not_looked_at_for_what_another_rule_holds() -> None:
    def never() -> str:
        raise AssertionError

    assert decide(facts(community=pump(posting="moderated"), storm=never)).kind == "hold"


def test_sizes_up_to_the_limit_are_taken() -> None:
    at_limit = pump(max_size=3_000, max_attachments=1_000)
    assert decide(facts(community=at_limit, attachments=1_000)).kind == "accept"
    assert decide(facts(community=at_limit, size=3_001)).status == "5.3.4"
    more = decide(facts(community=at_limit, attachments=1_001))
    assert more.reason == "Files of 1 kB came with it, and pump takes files of up to 1 kB."


def test_who_is_banned_is_discarded_and_who_is_no_member_held_where_it_is_too_late_to_refuse() -> None:
    assert decide(facts(sender=SENDERS["banned"])).late == "discard"
    assert decide(facts(sender=Sender())).late == "hold"


# --- at the door -----------------------------------------------------------------------------------------------------


def test_the_door_refuses_only_what_can_be_told_from_the_header_and_the_size() -> None:
    names = ["community_archived", "banned_sender", "too_large", "not_a_member", "not_a_leader"]
    assert [rule.__name__ for rule in DOOR_RULES] == names
    for name, (changes, kind, _) in OBJECTS.items():
        assert decide(changed(changes), DOOR_RULES).kind == ("reject" if name in names else "accept"), name
        assert (kind == "reject") == (name in names)


@pytest.mark.parametrize(
    ("changes", "reply"),
    [
        ({"community": pump(archived=True)}, "550 5.2.1 The community pump is closed and takes no more mail."),
        (
            {"sender": SENDERS["banned"]},
            f"550 5.7.1 {ANA} may not write to pump. To ask why, write to pump+owner@lists.example.org.",
        ),
        (
            {"size": 6_200_000, "community": pump(max_size=5_000_000)},
            "552 5.3.4 It has 6.2 MB, and pump takes mail of up to 5 MB. Leave files out, or send a link to them.",
        ),
        (
            {"sender": Sender()},
            f"550 5.7.2 Only members may write to pump, and {ANA} is not a member's address. To join, write to "
            "pump+subscribe@lists.example.org; to reach a person, to pump+owner@lists.example.org.",
        ),
        (
            {"community": pump(posting="announce")},
            "550 5.7.2 Only the leaders write to pump. To reach them, write to pump+owner@lists.example.org.",
        ),
    ],
)
def test_a_refusal_says_in_plain_words_why_and_what_to_do(changes: dict[str, Any], reply: str) -> None:
    verdict = decide(facts(**changes), DOOR_RULES)
    assert reply_codes.refused(verdict.status, verdict.said) == reply


def test_a_refusal_fits_into_a_reply_line_however_long_the_author_is() -> None:
    long = facts(sender=Sender(), author_email="ü" * 300 + "@example.org", owner_address="o" * 64 + "@example.org")
    verdict = decide(long, DOOR_RULES)
    assert len(reply_codes.refused(verdict.status, verdict.said)) <= 510  # RFC 5321 4.5.3.1.5, less the CR LF


@pytest.mark.acceptance(38)
def test_what_policy_refuses_is_refused_in_the_session_and_nobody_is_mailed(tmp_path: Path) -> None:
    with RunningSite(settings_for(tmp_path), WEDNESDAY) as running:
        with running.site.database.write() as connection:
            now = running.clock.now()
            for name, posting in (("pump", "members"), ("news", "announce")):
                joining.add_community(connection, name=name, title=name, zone="UTC", posting=posting, now=now)
                joining.add_member(connection, community=name, email=ANA, now=now)
                joining.add_member(connection, community=name, email=LI, role="leader", now=now)
            joining.set_community(connection, "pump", {"max-size": "10 kB"}, now)
            senders.set_rule(connection, directory.community(connection, "news").id, "spam@example.org", "ban", now)
        for sender, name, text, code in (
            ("forged@example.org", "pump", "Hello", "5.7.2 Only members may write to pump"),
            (ANA, "pump", "long\n" * 3_000, "5.3.4 It has "),
            (ANA, "news", "Hello", "5.7.2 Only the leaders write to news. To reach them, write to news+owner@"),
            ("spam@example.org", "news", "Hello", "5.7.1 spam@example.org may not write to news."),
        ):
            with pytest.raises(smtplib.SMTPDataError) as refused:
                running.post(message(sender, f"{name}@lists.example.org", "Hello", text, "x@example.org"))
            assert refused.value.smtp_error.decode().startswith(code)
        running.post(message(LI, "news@lists.example.org", "News", "The plant stops.\n", "news@example.org"))
        wait_until(running.settled, "an empty spool")
        with running.site.database.read() as connection:
            assert connection.execute(select(func.count()).select_from(tables.outbox)).scalar_one() == 1


# --- settings of a community -----------------------------------------------------------------------------------------


def change(site: SmallSite, **changes: str) -> Community:
    """Set what is said of posting, `_` for `-`."""
    pairs = {key.replace("_", "-"): value for key, value in changes.items()}
    with site.site.database.write() as connection:
        return joining.set_community(connection, "pump", pairs, site.clock.now())


def test_what_may_be_posted_is_set_in_plain_words(small_site: SmallSite) -> None:
    words = {"posting": "announce", "newcomers": "3", "max_size": "5 MB", "max_attachments": "0", "signed_only": "yes"}
    found = change(small_site, **words)
    assert (found.posting, found.newcomer_posts, found.max_size, found.max_attachments, found.signed_only) == (
        *("announce", 3, 5_000_000, 0),
        True,
    )
    found = change(small_site, newcomers="0", max_size="", max_attachments=" ", signed_only="no")
    assert (found.newcomer_posts, found.max_size, found.max_attachments, found.signed_only) == (0, None, None, False)


@pytest.mark.parametrize(
    ("key", "value", "says"),
    [
        ("posting", "all", "There is no posting 'all'"),
        ("newcomers", "-1", "from 0 to 99"),
        ("newcomers", "many", "from 0 to 99"),
        ("max_size", "5 GB", "is no size"),
        ("max_size", "0", "No mail is as small as '0'"),
        ("max_attachments", "some", "is no size"),
        ("signed_only", "maybe", "There is no answer 'maybe'"),
    ],
)
def test_a_rule_of_posting_that_cannot_be_is_refused(small_site: SmallSite, key: str, value: str, says: str) -> None:
    with pytest.raises(UsageError, match=says):
        change(small_site, **{key: value})


@pytest.mark.parametrize(
    ("text", "size", "shown"),
    [
        *(("0", 0, "0 B"), ("300", 300, "300 B"), ("300 B", 300, "300 B"), ("500 kB", 500_000, "500 kB")),
        *(("1.5MB", 1_500_000, "1.5 MB"), (" 5 mb ", 5_000_000, "5 MB"), ("999.9 kB", 999_900, "999.9 kB")),
    ],
)
def test_a_size_is_read_as_people_write_it_and_shown_so_that_it_can_be_read(text: str, size: int, shown: str) -> None:
    assert parse_size(text) == size
    assert show_size(size) == shown
    assert parse_size(shown) == size


# --- by mail ---------------------------------------------------------------------------------------------------------


def test_the_first_posts_of_a_new_member_are_held_until_so_many_were_accepted(any_site: SmallSite) -> None:
    change(any_site, newcomers="2")
    with any_site.site.database.write() as connection:
        new = joining.add_member(connection, community="pump", email="new@example.org", now=any_site.clock.now())
        assert new.held_posts == 2
    for left in (1, 0):
        key = any_site.take_in(message("new@example.org", PUMP, "Hello", "Hello.\n", f"{left}@example.org"))
        assert any_site.site.spool.entry(key, "held").reason == "A moderator looks at the first posts of a new member."
        any_site.site.desk().release(key)
        any_site.drain()
        with any_site.site.database.read() as connection:
            found = directory.member(connection, new.membership_id)
            assert found is not None
            assert found.held_posts == left
    any_site.take_in(message("new@example.org", PUMP, "Third", "Hello.\n", "third@example.org"))
    assert any_site.count("post") == 3
    any_site.take_in(from_ana("Old", "Hello.\n", "old@example.org"))
    assert any_site.count("post") == 4, "who was there before is no newcomer"


def test_what_was_discarded_does_not_make_a_newcomer_known(small_site: SmallSite) -> None:
    change(small_site, newcomers="1")
    with small_site.site.database.write() as connection:
        new = joining.add_member(connection, community="pump", email="new@example.org", now=small_site.clock.now())
    small_site.site.desk().discard(small_site.take_in(message("new@example.org", PUMP, "Spam", "Buy.\n", "1@x.org")))
    with small_site.site.database.read() as connection:
        found = directory.member(connection, new.membership_id)
        assert found is not None
        assert found.held_posts == 1


def test_a_community_that_wants_signatures_holds_what_nothing_vouches_for(small_site: SmallSite) -> None:
    signer = Signer()
    small_site.site = replace(small_site.site, dns=MadeUpDns(signer.record()))
    change(small_site, signed_only="yes")
    plain = from_ana("Seal", "The seal holds.\n", "plain@example.org", Date="Wed, 14 Oct 2026 08:59:00 +0200")
    held = small_site.take_in(plain)
    reason = small_site.site.spool.entry(held, "held").reason
    assert reason is not None
    assert reason.startswith(f"Nothing proves that {ANA} sent it (none of its 0 DKIM signatures")
    signed = from_ana("Seal", "The seal holds.\n", "signed@example.org", Date="Wed, 14 Oct 2026 08:59:00 +0200")
    raw = signer.sign(signed.as_bytes().replace(b"\n", b"\r\n"), small_site.clock.now())
    now = small_site.clock.now()
    accepted = Accepted(mail_from=ANA, recipient=PUMP, peer="test", via="smtp", received_at=now, raw=raw)
    small_site.site.spool.append([accepted])
    small_site.drain()
    assert list(small_site.tree()) == ["signed@example.org"]


def test_files_past_the_limit_are_held(small_site: SmallSite) -> None:
    change(small_site, max_attachments="20 kB")
    for size, held in ((20_000, 0), (20_001, 1)):
        post = from_ana("Plan", "See the plan.\n", f"{size}@example.org")
        post.add_attachment(b"x" * size, maintype="application", subtype="pdf", filename="plan.pdf")
        small_site.take_in(post)
        assert small_site.site.spool.counts()["held"] == held


def test_who_is_banned_is_discarded_where_no_door_refused_them(small_site: SmallSite) -> None:
    with small_site.site.database.write() as connection:
        senders.set_rule(connection, small_site.community().id, LI, "ban", small_site.clock.now())
    small_site.take_in(message(LI, PUMP, "Hello", "Hello.\n", "li@example.org"))
    assert small_site.why("li@example.org")[-1] == f"discard: {LI} may not write to pump."
    assert small_site.count("outbox") == 0, "neither they nor a moderator are bothered"
