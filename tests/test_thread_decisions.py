"""What people decide of threads holds for any order of arrival and through a rebuild, and undone it leaves no trace."""

import random
from datetime import timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, event, select

from tests import seed
from tests.running import message
from tests.small_site import ANA, LI, PUMP, SAM, SmallSite, any_site, makings, small_site
from tests.test_threading import ASKED, START, arrivals, like, shape, spoken, talk
from tidings.database import tables
from tidings.database.engine import Database
from tidings.errors import NotFoundError, UsageError
from tidings.operations import threads
from tidings.threading import decisions
from tidings.threading import nodes as stored
from tidings.threading.decided import Decision, decided
from tidings.threading.mending import changes
from tidings.threading.place import Arrival, MemoryNodes, Node, place

FIXTURES = (any_site, makings, small_site)


def split(name: str) -> Decision:
    return Decision(kind="split", message_id=name)


def attach(name: str, parent: str) -> Decision:
    return Decision(kind="attach", message_id=name, parent_message_id=parent)


def look(nodes: list[Node]) -> list[str]:
    """The tree without numbers, and why each stands where it does."""
    return sorted([*map(str, shape(nodes)), *(f"{node.message_id}: {node.why}" for node in nodes)])


def in_memory(messages: list[Arrival], *made: Decision) -> list[Node]:
    nodes = MemoryNodes()
    for one in messages:
        place(nodes, one)
    return list(decided(nodes.nodes.values(), {one.message_id: one for one in made}).values())


def outline(messages: list[Arrival], *made: Decision) -> dict[str, list[str]]:
    """The threads, each by what it begins with."""
    found: dict[int, list[str]] = {}
    nodes = in_memory(messages, *made)
    thread_ids = {node.message_id: node.thread_id for node in nodes}
    for name, depth, _, _ in shape(nodes):
        found.setdefault(thread_ids[name], []).append("  " * depth + name)
    return {lines[0]: lines[1:] for lines in found.values()}


# --- what a decision does --------------------------------------------------------------------------------------------

TALK = arrivals("root", "a root", "b a root", "c b a root", "other", "d other")


def test_what_is_split_begins_a_thread_with_all_that_stands_under_it() -> None:
    assert outline(TALK, split("b")) == {"root": ["  a"], "b": ["  c"], "other": ["  d"]}


def test_what_is_attached_brings_all_that_stands_under_it() -> None:
    assert outline(TALK, attach("b", "d")) == {"root": ["  a"], "other": ["  d", "    b", "      c"]}
    assert outline(TALK, attach("c", "root"))["root"] == ["  a", "    b", "  c"]
    assert list(outline(TALK, attach("b", "never seen"))) == ["root", "other"]


def test_what_was_decided_lower_down_goes_before_what_was_decided_above() -> None:
    assert outline(TALK, attach("a", "d"), split("c")) == {"root": [], "other": ["  d", "    a", "      b"], "c": []}


def test_a_guess_follows_what_it_was_joined_to() -> None:
    guessed = [ASKED, spoken(1, "reply", like("Re: Seal leaks", "li@x", "ana@x")), *arrivals("x", "asked x")[:1]]
    assert outline(guessed, attach("asked", "x")) == {"x": ["  asked", "    reply"]}
    assert outline(guessed, split("reply")) == {"asked": [], "reply": [], "x": []}


def test_a_loop_that_decisions_make_is_cut_at_what_nobody_decided() -> None:
    looped = arrivals("a", "b a", "c b")
    assert outline(looped, attach("a", "c")) == {"b": ["  c", "    a"]}
    assert list(map(len, outline(looped, attach("a", "c"), attach("b", "a"), attach("c", "b")).values())) == [2]


# --- any order, either side ------------------------------------------------------------------------------------------


@st.composite
def judged(draw: st.DrawFn) -> tuple[list[Arrival], list[Decision]]:
    messages = draw(talk())
    names = st.sampled_from([*(one.message_id for one in messages), "g1", "g2"])
    many = st.lists(st.one_of(st.builds(split, names), st.builds(attach, names, names)), max_size=4)
    return messages, [one for one in draw(many) if one.message_id != one.parent_message_id]


@settings(max_examples=200, deadline=None)
@given(judged(), st.randoms(use_true_random=False))
def test_decisions_hold_for_any_order_of_arrival(
    given: tuple[list[Arrival], list[Decision]], chance: random.Random
) -> None:
    messages, made = given
    assert look(in_memory(chance.sample(messages, len(messages)), *made)) == look(in_memory(messages, *made))


@settings(max_examples=200, deadline=None)
@given(talk())
def test_without_decisions_all_is_as_it_was_placed(messages: list[Arrival]) -> None:
    nodes = MemoryNodes()
    for one in messages:
        place(nodes, one)
    assert decided(nodes.nodes.values(), {}) == nodes.nodes


def everything(connection: Connection, community: int) -> list[Node]:
    return [node for thread in stored.all_threads(connection, community) for node in thread]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(judged(), st.randoms(use_true_random=False))
def test_what_is_stored_follows_arrivals_decisions_and_their_undoing(
    database: Database, given: tuple[list[Arrival], list[Decision]], chance: random.Random
) -> None:
    messages, made = given
    steps: list[Arrival | Decision | str] = [*chance.sample(messages, len(messages))]
    for one in made:
        steps.insert(chance.randrange(len(steps) + 1), one)
    for one in chance.sample(made, len(made) // 2):
        steps.append(one.message_id)
    came: list[Arrival] = []
    with database.write() as connection:
        community = seed.community(connection)
        arrivals: decisions.Arrivals | None = None
        for number, step in enumerate(steps):
            if not isinstance(step, Arrival):
                arrivals = None
            if isinstance(step, Arrival):
                came.append(step)
                # As in a transaction of one message, of several, and of several that were looked up together.
                if arrivals is None or chance.random() < 0.3:
                    arrivals = decisions.Arrivals(connection, community)
                    arrivals.expect(one.message_id for one in chance.sample(messages, len(messages) // 2))
                arrivals.place(step)
            elif isinstance(step, Decision):
                decisions.decide(connection, community, [step], by="Ana", now=START + timedelta(hours=number))
            else:
                decisions.undo(connection, community, step, START)
            standing = [one for one in decisions.listing(connection, community) if one.undone_at is None]
            expected = look(in_memory(came, *standing))
            assert look(everything(connection, community)) == expected, step
        nodes = MemoryNodes()
        for message_ in came:
            place(nodes, message_)
        while wanted := list(changes(nodes, stored.stored(connection, community))):
            stored.mend(connection, community, wanted)
        decisions.lay_all(connection, community)
        assert look(everything(connection, community)) == expected
        connection.rollback()


def test_threads_that_merge_are_found_by_an_index_whatever_was_decided(sqlite_database: Database) -> None:
    asked: list[tuple[str, object]] = []
    with sqlite_database.write() as connection:
        event.listen(connection, "before_cursor_execute", lambda *given: asked.append((given[2], given[3])))
        nodes = stored.SqlNodes(connection, 1)
        nodes.merge([1, 2], 3)
        nodes.merge_kin([4], 3, 9)
        nodes.members([1, 2])
        plans = [connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {said}", with_) for said, with_ in list(asked)]  # type: ignore[arg-type]
        steps = [row[3] for plan in plans for row in plan if row[3].startswith(("SEARCH", "SCAN"))]
    assert len(steps) == 6
    assert all("ix_node_thread (community_id=? AND thread_id=?)" in one or "ix_node_whole" in one for one in steps)


# --- in an archive ---------------------------------------------------------------------------------------------------


def threads_of_posts(site: SmallSite) -> set[str]:
    """Which posts name one thread, as pages and digests read it."""
    with site.site.database.read() as connection:
        rows = connection.execute(select(tables.post.c.thread_id, tables.post.c.message_id)).all()
    names = [sorted(bare.split("@")[0] for at, bare in rows if at == thread) for thread in {at for at, _ in rows}]
    return {" ".join(found) for found in names}


def fill(site: SmallSite) -> None:
    for author, subject, name, parent in (
        (ANA, "Seal", "seal", ""),
        (LI, "Re: Seal", "answer", "seal"),
        (SAM, "Bearings, by the way", "hijack", "answer"),
        (ANA, "Re: Bearings", "more", "hijack"),
        (LI, "Grease", "grease", "lost"),
    ):
        fields = {"In_Reply_To": f"<{parent}@example.org>"} if parent else {}
        site.take_in(message(author, PUMP, subject, f"Of {name}.\n", f"{name}@example.org", **fields))
    assert threads_of_posts(site) == {"answer hijack more seal", "grease"}


def say(site: SmallSite, what: str, *names: str) -> object:
    with site.site.database.write() as connection:
        ids = [f"{name}@example.org" for name in names]
        more = {} if what == "undo" else {"by": "Ana"}
        return getattr(threads, what)(connection, site.community().id, *ids, now=site.clock.now(), **more)


def test_posts_follow_and_nothing_is_lost_by_a_rebuild(any_site: SmallSite) -> None:
    fill(any_site)
    before = any_site.tree(), any_site.shown()
    say(any_site, "split", "hijack")
    assert threads_of_posts(any_site) == {"answer seal", "hijack more", "grease"}
    assert any_site.tree()["hijack@example.org"] == (None, 0, "person")
    assert "placed: it begins a thread (person)" in any_site.why("hijack@example.org")
    say(any_site, "merge", "grease", "more")
    assert threads_of_posts(any_site) == {"answer seal", "grease hijack more"}
    late = message(SAM, PUMP, "Re: Grease", "Yes.\n", "late@example.org", In_Reply_To="<lost@example.org>")
    any_site.take_in(late)
    both = message(SAM, PUMP, "Re: Seal", "Of two.\n", "both@example.org", In_Reply_To="<more@example.org>")
    both["References"] = "<seal@example.org> <more@example.org>"
    any_site.take_in(both)
    decided_on = {"answer seal", "both grease hijack late more"}
    assert threads_of_posts(any_site) == decided_on
    assert any_site.problems() == []
    tree = any_site.tree()
    any_site.rebuild("threads")
    assert (any_site.tree(), threads_of_posts(any_site), any_site.problems()) == (tree, decided_on, [])
    say(any_site, "undo", "grease")
    say(any_site, "undo", "hijack")
    assert threads_of_posts(any_site) == {"answer both hijack more seal", "grease late"}
    assert {name: at for name, at in any_site.tree().items() if name in before[0]} == before[0]
    assert any_site.problems() == []


def test_what_cannot_be_is_refused_and_changes_nothing(small_site: SmallSite) -> None:
    fill(small_site)
    tree = small_site.tree()
    for what, names, error, said in (
        ("attach", ("seal", "more"), UsageError, "stands under seal@example.org"),
        ("attach", ("seal", "seal"), UsageError, "cannot be a reply to itself"),
        ("merge", ("seal", "more"), UsageError, "are in one thread already"),
        ("split", ("nothing",), NotFoundError, "no post with the Message-ID nothing@example.org"),
        ("attach", ("seal", "lost"), NotFoundError, "no post with the Message-ID lost@example.org"),
        ("undo", ("seal",), NotFoundError, "Nothing that stands was decided of seal@example.org"),
    ):
        with pytest.raises(error, match=said):
            say(small_site, what, *names)
    assert small_site.tree() == tree
    assert small_site.count("thread_decision") == 0


def test_the_last_decision_that_stands_counts(small_site: SmallSite) -> None:
    fill(small_site)
    say(small_site, "split", "hijack")
    say(small_site, "attach", "hijack", "grease")
    assert threads_of_posts(small_site) == {"answer seal", "grease hijack more"}
    say(small_site, "undo", "hijack")
    assert threads_of_posts(small_site) == {"answer seal", "hijack more", "grease"}
    say(small_site, "undo", "hijack")
    assert threads_of_posts(small_site) == {"answer hijack more seal", "grease"}


def test_a_reply_about_something_else_that_quotes_nothing_is_offered_for_splitting(small_site: SmallSite) -> None:
    fill(small_site)
    for name, subject, text in (
        ("quoting", "Valves", "On Monday, Ana wrote:\n> Of seal.\n\nWhich valve?\n"),
        ("near", "The seal of pump 4", "It leaks.\n"),
        ("patch", "[PATCH 1/2] Rotor", "It turns.\n"),
        ("named", "Rotor (was: Seal)", "It turns.\n"),
    ):
        small_site.take_in(message(SAM, PUMP, subject, text, f"{name}@x.org", In_Reply_To="<seal@example.org>"))
    with small_site.site.database.read() as connection:
        (offer,) = threads.offers(connection, small_site.community().id)
    assert (offer.message_id, offer.subject, offer.author) == ("hijack@example.org", "Bearings, by the way", SAM)
    assert (offer.parent, offer.parent_subject) == ("answer@example.org", "Re: Seal")
    say(small_site, "attach", "hijack", "answer")
    with small_site.site.database.read() as connection:
        assert list(threads.offers(connection, small_site.community().id)) == []
