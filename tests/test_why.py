"""Why: what became of a message, step by step, and why a member got it or did not."""

from datetime import datetime, timedelta

import pytest
from sqlalchemy import delete, select

from tests.running import message
from tests.small_site import ANA, BERLIN, LI, PUMP, SAM, SmallSite, any_site, from_ana, makings, small_site
from tests.test_import_export import GOOD, SAME_ID, SEAL
from tidings.communities import directory, joining
from tidings.database import tables
from tidings.mailer import outbox

FIXTURES = (any_site, makings, small_site)
MONDAY = datetime(2026, 10, 19, 8, 0, tzinfo=BERLIN)


def post(site: SmallSite, message_id: str = "seal@example.org", **fields: str) -> None:
    site.take_in(from_ana("Seal", "It leaks.\n", message_id, **fields))


# --- what was decided ------------------------------------------------------------------------------------------------


def test_an_accepted_post_was_received_accepted_archived_placed_and_copied(any_site: SmallSite) -> None:
    post(any_site)
    assert any_site.why("seal@example.org") == [
        f"received: from {ANA} for {PUMP}",
        "accept: From a member. Archived as number 1, 2 copies queued.",
        "archived: number 1 of pump, by smtp",
        "placed: it begins a thread",
        f"copy: to {ANA}: queued, attempt 0; not tried yet",
        f"copy: to {LI}: queued, attempt 0; not tried yet",
    ]


def test_a_reply_stands_under_its_parent_for_a_reason(small_site: SmallSite) -> None:
    post(small_site)
    post(small_site, "answer@example.org", In_Reply_To="<seal@example.org>")
    post(small_site, "later@example.org", References="<x@example.org> <seal@example.org>")
    post(small_site, "orphan@example.org", In_Reply_To="<lost@example.org>")
    placed = {
        name: next(step for step in small_site.why(f"{name}@example.org") if step.startswith("placed"))
        for name in ("answer", "later", "orphan")
    }
    assert placed == {
        "answer": "placed: a reply to seal@example.org (in-reply-to)",
        "later": "placed: a reply to seal@example.org (references)",
        "orphan": "placed: a reply to lost@example.org, which was never seen",
    }


def test_a_duplicate_says_so_and_is_no_second_post(small_site: SmallSite) -> None:
    post(small_site, Date="Wed, 14 Oct 2026 08:59:00 +0200")
    post(small_site, Date="Wed, 14 Oct 2026 08:59:00 +0200")
    steps = small_site.why("seal@example.org")
    assert steps.count(f"received: from {ANA} for {PUMP}") == 2
    assert "duplicate: It is in the archive already." in steps
    assert sum(step.startswith("archived") for step in steps) == 1


def test_a_post_under_an_id_of_ours_is_found_by_that_and_by_the_one_it_came_with(small_site: SmallSite) -> None:
    post(small_site)
    small_site.take_in(from_ana("Seal", "Quite another thing.\n", "seal@example.org"))
    (ours,) = small_site.tree().keys() - {"seal@example.org"}
    own = small_site.why(ours)
    assert "archived: number 2 of pump, by smtp; it came with the id seal@example.org" in own
    assert any("Its Message-ID could not be kept (seal@example.org)." in step for step in own)
    both = small_site.why("seal@example.org")
    assert set(own) < set(both)
    assert "archived: number 1 of pump, by smtp" in both


def test_held_mail_says_why_it_waits_and_with_which_key(small_site: SmallSite) -> None:
    key = small_site.take_in(from_ana("Away", "I am away.\n", "away@example.org", Auto_Submitted="auto-replied"))
    assert small_site.why("away@example.org") == [
        f"held: An automatic mail (Auto-Submitted: auto-replied). (key {key[:8]})",
        f"received: from {ANA} for {PUMP}",
        "hold: An automatic mail (Auto-Submitted: auto-replied).",
    ]

    small_site.site.desk().release(key)
    small_site.drain()
    assert "accept: Released by a person. Archived as number 1, 2 copies queued." in small_site.why("away@example.org")
    assert not any(step.startswith("held") for step in small_site.why("away@example.org"))


def test_mail_that_a_person_threw_away_says_so(small_site: SmallSite) -> None:
    stranger = message("x@example.org", PUMP, "Buy", "Buy!\n", "buy@example.org")
    key = small_site.take_in(stranger)
    small_site.site.desk().discard(key)
    reason = "Only members may write to pump, and x@example.org is not a member's address."
    assert small_site.why("buy@example.org") == [
        f"received: from x@example.org for {PUMP}",
        f"discard: Discarded by a person. It was held: {reason}",
    ]


@pytest.mark.acceptance(33)
def test_our_own_copy_that_came_back_was_discarded(small_site: SmallSite) -> None:
    post(small_site, "loop@example.org", X_Tidings_Loop=PUMP)
    assert small_site.why("loop@example.org")[-1] == "discard: Our own copy came back to us (X-Tidings-Loop)."
    assert small_site.count("post") == 0


def test_imported_mail_was_never_received(small_site: SmallSite) -> None:
    small_site.import_raws([SEAL])
    assert small_site.why("seal@example.org") == [
        "archived: number 1 of pump, by import",
        "placed: it begins a thread",
    ]


def test_a_post_that_lost_its_place_is_still_explained(small_site: SmallSite) -> None:
    post(small_site)
    with small_site.site.database.write() as connection:
        connection.execute(delete(tables.node))
    assert "placed: it stands in no thread; `tidings rebuild threads` mends that" in small_site.why("seal@example.org")


def test_a_message_in_two_communities_is_told_of_both(small_site: SmallSite) -> None:
    with small_site.site.database.write() as connection:
        now = small_site.clock.now()
        joining.add_community(connection, name="valves", title="Valves", zone="UTC", now=now)
        joining.add_member(connection, community="valves", email=ANA, now=now)
    both = from_ana("Seal", "Which seal?\n", "seal@example.org")
    small_site.take_in(both)
    small_site.take_in(both, to="valves@lists.example.org")
    archived = [step for step in small_site.why("seal@example.org") if step.startswith("archived")]
    assert archived == ["archived: number 1 of pump, by smtp", "archived: number 1 of valves, by smtp"]


def test_of_a_message_that_never_came_nothing_is_known(small_site: SmallSite) -> None:
    post(small_site)
    assert small_site.why("never@example.org", ANA) == []


# --- why a member got it, or not -------------------------------------------------------------------------------------


def test_who_gets_each_post_got_a_copy_with_its_outcome(small_site: SmallSite) -> None:
    post(small_site)
    with small_site.site.database.write() as connection:
        now = small_site.clock.now()
        claimed = outbox.claim(connection, now, 10, timedelta(minutes=15))
        to_li = next(one for one in claimed if one.recipient == LI)
        outbox.record(connection, [outbox.Outcome(claimed=to_li, result="sent", reply="250 2.0.0 taken")], now)
    steps = small_site.why("seal@example.org", "LI@Example.org")
    assert steps[-1] == f"copy: to {LI}: sent, attempt 1; 250 2.0.0 taken"
    assert not any(ANA in step for step in steps if step.startswith("copy"))


def test_who_is_no_member_is_told_that(small_site: SmallSite) -> None:
    post(small_site)
    assert small_site.why("seal@example.org", "x@example.org")[-1] == "member: x@example.org is not a member"


def test_who_wants_no_mail_is_told_that(small_site: SmallSite) -> None:
    with small_site.site.database.write() as connection:
        now = small_site.clock.now()
        joining.set_member(connection, community="pump", email=LI, changes={"delivery": "none"}, now=now)
    post(small_site)
    assert small_site.why("seal@example.org", LI)[-1] == f"member: {LI} gets this community as: none"


def test_who_stands_in_cc_by_another_address_of_theirs_has_it_already_and_is_told_that(small_site: SmallSite) -> None:
    with small_site.site.database.write() as connection:
        member = directory.member_by_address(connection, directory.community(connection, "pump").id, LI)
        assert member is not None
        joining.add_address(connection, person_id=member.person_id, email="second@example.org")
    post(small_site, Cc='"Wen, Li" <Second@example.org>')
    why = small_site.why("seal@example.org", LI)
    assert why[-1] == "member: it has them in To or Cc; `also-named=yes` sends such posts too"
    assert not any(step.startswith("copy") for step in why)


def test_who_wants_no_copy_of_their_own_posts_gets_none_and_is_told_that(small_site: SmallSite) -> None:
    with small_site.site.database.write() as connection:
        now = small_site.clock.now()
        joining.set_member(connection, community="pump", email=ANA, changes={"own-posts": "no"}, now=now)
    post(small_site)
    assert small_site.why("seal@example.org", ANA)[-1] == "member: it is their own, of which they want no copy"
    assert any(step.startswith(f"copy: to {LI}") for step in small_site.why("seal@example.org"))


def test_who_gets_a_digest_was_not_told_yet(small_site: SmallSite) -> None:
    post(small_site)
    assert small_site.why("seal@example.org", SAM)[-2:] == [
        f"member: {SAM} gets this community as: weekly",
        "digest: not told yet; the next one tells it",
    ]


def test_every_post_of_a_conversation_was_told_as_one_item_of_a_digest(any_site: SmallSite) -> None:
    post(any_site)
    post(any_site, "answer@example.org", In_Reply_To="<seal@example.org>")
    any_site.clock.set(MONDAY)
    any_site.site.run_due()
    with any_site.site.database.read() as connection:
        subject = connection.execute(select(tables.edition.c.subject)).scalar_one()
    told = f"digest: item 1 of “{subject}”, queued"
    for name in ("seal", "answer"):
        assert any_site.why(f"{name}@example.org", SAM)[-1] == told
    # Of what comes later that edition says nothing, nor the next one of what it told.
    post(any_site, "late@example.org")
    assert any_site.why("late@example.org", SAM)[-1] == "digest: not told yet; the next one tells it"
    any_site.clock.set(MONDAY + timedelta(days=6, hours=12))  # its cut-off has passed
    any_site.site.run_due()
    assert any_site.why("late@example.org", SAM)[-1] == "digest: not told yet; the one that is due then tells it"
    any_site.clock.set(MONDAY + timedelta(days=8))
    assert any_site.site.run_due().editions == 1
    assert [step for step in any_site.why("seal@example.org", SAM) if step.startswith("digest")] == [told]
    assert sum(step.startswith("digest: item 1 of") for step in any_site.why("late@example.org", SAM)) == 1


def test_what_found_no_room_in_a_digest_was_counted_in_it(small_site: SmallSite) -> None:
    for number in range(25):
        small_site.take_in(message(LI, PUMP, f"Matter {number}", f"It is {number}.\n", f"{number}@example.org"))
    small_site.clock.set(MONDAY)
    small_site.site.run_due()
    steps = [small_site.why(f"{number}@example.org", SAM)[-1] for number in range(25)]
    assert sum(step.startswith("digest: only counted in “") for step in steps) == 25 - 17
    assert {step.split(" of ")[0] for step in steps if "item" in step} == {f"digest: item {n}" for n in range(1, 18)}


def test_what_came_before_a_digest_was_wanted_is_never_told(small_site: SmallSite) -> None:
    post(small_site)
    with small_site.site.database.write() as connection:
        now = small_site.clock.now()
        joining.set_member(connection, community="pump", email=LI, changes={"delivery": "weekly"}, now=now)
        joining.add_member(connection, community="pump", email="new@example.org", delivery="daily", now=now)
    assert small_site.why("seal@example.org", "new@example.org")[-1] == (
        "digest: it is older than what their digests tell"
    )


def test_imported_mail_is_told_to_nobody_and_says_so(small_site: SmallSite) -> None:
    small_site.import_raws([*GOOD, SAME_ID])
    for email in (LI, SAM):
        steps = small_site.why("seal@example.org", email)
        assert steps[-1] == "member: it was imported: no copy was sent, and no digest tells of it"
        assert not any("not told yet" in step for step in steps)
