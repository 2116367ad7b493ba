"""Placing: any order of arrival gives one tree, on the SQL side and the one in memory alike."""

import random
from base64 import b64encode
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from itertools import permutations

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import update

from tests import seed
from tidings.database import tables
from tidings.database.engine import Database
from tidings.threading import nodes as stored
from tidings.threading.joins import WINDOW, Near
from tidings.threading.likeness import Likeness, likeness, packed, unpacked
from tidings.threading.mending import changes
from tidings.threading.parents import Candidate, candidates, message_ids, one_message_id
from tidings.threading.place import Arrival, By, MemoryNodes, Node, Nodes, place
from tidings.threading.tree import arrange

START = datetime(2026, 10, 1, tzinfo=UTC)


def arrival(number: int, name: str, *parents: str) -> Arrival:
    return Arrival(
        message_id=name,
        post_id=number + 1,
        date=START + timedelta(minutes=number),
        candidates=tuple(Candidate(parent, "references") for parent in parents),
    )


def arrivals(*lines: str) -> list[Arrival]:
    """'reply parent grandparent' a line, in the order of their dates."""
    return [arrival(number, *line.split()) for number, line in enumerate(lines)]


def shape(all_nodes: list[Node]) -> list[tuple[str, int, str | None, str]]:
    """The tree without numbers: each message, its depth, its parent, and who is in its thread."""
    threads: dict[int, list[str]] = {}
    for node in all_nodes:
        threads.setdefault(node.thread_id, []).append(node.message_id)
    members = {thread_id: " ".join(sorted(names)) for thread_id, names in threads.items()}
    return [
        (b.node.message_id, b.depth, b.parent and b.parent.message_id, members[b.node.thread_id])
        for b in arrange(all_nodes)
    ]


def tree(messages: list[Arrival], nodes: MemoryNodes | None = None) -> list[tuple[str, int, str | None, str]]:
    nodes = nodes or MemoryNodes()
    for message in messages:
        place(nodes, message)
    return shape(list(nodes.nodes.values()))


def outline(messages: list[Arrival]) -> list[str]:
    return ["  " * depth + name for name, depth, _, _ in tree(messages)]


def test_a_reply_stands_under_its_parent_and_siblings_by_date() -> None:
    assert outline(arrivals("root", "b root", "c root", "d b root")) == ["root", "  b", "    d", "  c"]


def test_a_late_parent_heals_the_thread() -> None:
    late = arrivals("root", "middle root", "leaf middle root")
    assert outline([late[0], late[2]]) == ["root", "  leaf"]
    assert outline([late[0], late[2], late[1]]) == ["root", "  middle", "    leaf"]


def test_replies_to_a_message_never_seen_are_one_thread_under_its_ghost() -> None:
    found = tree(arrivals("a ghost", "b ghost"))
    assert [(name, depth, parent) for name, depth, parent, _ in found] == [("a", 0, None), ("b", 0, None)]
    assert found[0][3] == found[1][3] == "a b ghost"


def test_a_message_that_joins_two_threads_makes_them_one() -> None:
    joined = arrivals("a", "b", "c a b")
    assert {members for *_, members in tree(joined)} == {"a b c"}


def test_every_join_has_its_reason() -> None:
    nodes = MemoryNodes()
    place(nodes, arrival(0, "root"))
    ghostly = place(nodes, arrival(1, "orphan", "unseen"))
    reply = place(nodes, Arrival(message_id="r", post_id=9, date=START, candidates=(Candidate("root", "in-reply-to"),)))
    assert (ghostly.node.why, reply.node.why) == ("ghost", "in-reply-to")


@pytest.mark.acceptance(25)
def test_loops_and_self_references_end_and_lose_nothing() -> None:
    looped = arrivals("a c", "b a", "c b", "d d c")
    shapes = {str(tree(random.Random(seed).sample(looped, 4))) for seed in range(24)}
    assert len(shapes) == 1
    assert outline(looped) == ["a", "  b", "    c", "      d"]


@pytest.mark.acceptance(25)
def test_a_chain_of_100000_replies_is_arranged_without_recursion() -> None:
    chain = [arrival(0, "m0"), *(arrival(n, f"m{n}", f"m{n - 1}") for n in range(1, 100_000))]
    found = tree(chain)
    assert (found[-1][0], found[-1][1]) == ("m99999", 99_999)


@st.composite
def mailboxes(draw: st.DrawFn) -> list[Arrival]:
    size = draw(st.integers(1, 9))
    names = [f"m{n}" for n in range(size)]
    refs = st.lists(st.sampled_from([*names, "g1", "g2"]), max_size=4, unique=True)
    return [arrival(n, name, *(ref for ref in draw(refs) if ref != name)) for n, name in enumerate(names)]


@settings(max_examples=100, deadline=None)
@given(mailboxes(), st.randoms(use_true_random=False))
def test_any_order_of_arrival_gives_one_tree(messages: list[Arrival], chance: random.Random) -> None:
    shuffled = list(messages)
    chance.shuffle(shuffled)
    assert tree(shuffled) == tree(messages)
    assert sorted(name for name, *_ in tree(messages)) == sorted(m.message_id for m in messages)


def _sql_tree(database: Database, messages: list[Arrival]) -> object:
    with database.write() as connection:
        community = seed.community(connection, name="pump")
        sql: Nodes = stored.SqlNodes(connection, community)
        for message in messages:
            place(sql, message)
        found = [node for thread in stored.all_threads(connection, community) for node in thread]
        connection.rollback()
    return shape(found)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=mailboxes())
def test_the_sql_side_and_the_one_in_memory_are_equal(database: Database, messages: list[Arrival]) -> None:
    assert sorted(map(str, _sql_tree(database, messages))) == sorted(map(str, tree(messages)))


def test_stored_nodes_are_brought_to_those_made_anew_in_memory_and_what_is_right_is_not_written(
    database: Database,
) -> None:
    messages = arrivals("a", "b a", "d c b a", "x y", "c b a")
    nodes = MemoryNodes()
    expected = tree(messages, nodes)
    with database.write() as connection:
        community = seed.community(connection, name="pump")
        # What stands there is of quite other messages, two of which nobody needs and which refer to each other.
        sql = stored.SqlNodes(connection, community)
        for arrival in arrivals("b x", "x b", "q p", "p q", "c q"):
            place(sql, arrival)
        rounds = 0
        while wanted := list(changes(nodes, stored.stored(connection, community))):
            stored.mend(connection, community, wanted)
            rounds += 1
            assert rounds < 10
        found = [node for thread in stored.all_threads(connection, community) for node in thread]
    assert sorted(map(str, shape(found))) == sorted(map(str, expected))
    assert len(found) == len(nodes.nodes)


# --- joins without header fields ---


def like(subject: str, author: str, to: str = "", text: str = "", quote: str = "", index: str = "") -> Likeness:
    folds = [(len(text), len(text) + len(quote), "quote")] if quote else []
    return likeness(
        subject=subject, author=author, recipients=to, text=text + quote, folds=folds, thread_index=index, lists=["l.x"]
    )


def spoken(number: int, name: str, alike: Likeness, *parents: str) -> Arrival:
    return replace(arrival(number, name, *parents), like=alike)


ASKED = spoken(0, "asked", like("[pump] Seal leaks", "ana@x", "l@x", "The seal of pump four leaks again."))


def _why(*messages: Arrival) -> dict[str, str]:
    nodes = MemoryNodes()
    for message in messages:
        place(nodes, message)
    return {node.message_id: node.why for node in nodes.nodes.values()}


def test_a_likeness_that_was_packed_in_another_order_is_not_written_again(database: Database) -> None:
    alike = like("Seal leaks", "ana@x", "li@x, bo@x, kim@x", "The seal of pump four leaks again.")
    # As sets come: in the order of a process's own hashes.
    turned = [
        list(reversed(list(one))) if isinstance(one, frozenset) else one for one in msgspec.structs.astuple(alike)
    ]
    other = msgspec.msgpack.encode(turned)
    assert other != packed(alike)
    assert unpacked(other) == alike
    made = MemoryNodes()
    place(made, spoken(0, "asked", alike))
    with database.write() as connection:
        community = seed.community(connection, name="pump")
        place(stored.SqlNodes(connection, community), spoken(0, "asked", alike))
        connection.execute(update(tables.node).values(likeness=other))
        assert list(changes(made, stored.stored(connection, community))) == []
        another = packed(like("Seal leaks", "ana@x", "li@x"))
        connection.execute(update(tables.node).values(likeness=another))
        (change,) = changes(made, stored.stored(connection, community))
        assert change.after is not None
        assert change.after.like == packed(alike)
        connection.rollback()


def test_a_reply_by_subject_needs_a_prefix_and_people_or_a_quote_and_comes_soon() -> None:
    def joins(alike: Likeness, day: int = 1) -> bool:
        return _why(ASKED, replace(spoken(1, "b", alike), date=START + timedelta(days=day)))["b"] == "subject"

    assert joins(like("AW: [Pump] Seal leaks", "li@x", "Ana <ana@x>, l@x"))
    assert joins(like("Re[2]: Seal leaks", "li@x", "l@x", "Yes.", "> The seal of pump four leaks again."))
    assert not joins(like("Seal leaks", "li@x", "ana@x"))
    assert not joins(like("Re: Seal leaks", "li@x", "l@x", "Other words, and not a quote."))
    assert not joins(like("Re: [PATCH 2/3] Seal leaks", "li@x", "ana@x"))
    assert not joins(like("Re: Seal leaks", "li@x", "ana@x"), day=31)
    assert not joins(like("Re: Seal leaks", "l@x", "ana@l.x"))


def test_a_better_parent_that_comes_late_ends_a_join_and_the_threads_come_apart() -> None:
    first = spoken(1, "reply", like("Re: Seal leaks", "li@x", "ana@x"), "lost")
    below = spoken(2, "below", like("Re: Seal leaks", "sam@x", "li@x"), "reply")
    late = spoken(0, "lost", like("Bearings", "kim@x"))
    for order in permutations((ASKED, first, below, late)):
        assert [members for *_, members in tree(list(order))] == ["asked", *["below lost reply"] * 3], order
    assert _why(ASKED, first)["reply"] == "subject"


def test_thread_index_joins_the_nearest_index_that_it_extends() -> None:
    head, block = bytes([1, 2, 3, 4, 5, 6]) + bytes(range(16)), b"12345"
    lines = [b64encode(head + block * count).decode() for count in range(3)]
    messages = [spoken(n, f"m{n}", like(f"Topic {n}", f"p{n}@x", index=line)) for n, line in enumerate(lines)]
    for order in permutations(messages):
        assert [(name, parent) for name, _, parent, _ in tree(list(order))] == [
            ("m0", None),
            ("m1", "m0"),
            ("m2", "m1"),
        ]
    assert _why(*messages)["m2"] == "thread-index"


@st.composite
def talk(draw: st.DrawFn) -> list[Arrival]:
    alikes = st.builds(
        like,
        st.sampled_from(["Seal", "Re: Seal", "AW: Seal", "Other", "Re: Other"]),
        st.sampled_from(["ana@x", "li@x", "sam@x"]),
        st.sampled_from(["ana@x", "li@x", "l@x"]),
    )
    return [replace(message, like=draw(alikes)) for message in draw(mailboxes())]


@settings(max_examples=200, deadline=None)
@given(talk(), st.randoms(use_true_random=False))
def test_joins_by_subject_are_the_same_in_any_order(messages: list[Arrival], chance: random.Random) -> None:
    assert tree(chance.sample(messages, len(messages))) == tree(messages)


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(messages=talk())
def test_joins_by_subject_are_equal_on_the_sql_side(database: Database, messages: list[Arrival]) -> None:
    messages = messages[::2] + messages[1::2]
    assert sorted(map(str, _sql_tree(database, messages))) == sorted(map(str, tree(messages)))


def test_a_frequent_subject_costs_each_arrival_the_same() -> None:
    asked = [spoken(n, f"m{n}", like("Re: question" if n % 9 else "question", f"p{n}@x")) for n in range(3000)]
    random.Random(3).shuffle(asked)
    nodes = CountingNodes()
    for message in asked:
        place(nodes, message)
    assert nodes.looked_at <= len(asked) * 2 * WINDOW


class CountingNodes(MemoryNodes):
    """Counts the neighbours and members that placing looks at."""

    looked_at = 0

    def near(self, by: By, key: int, turn: int, many: int) -> list[Near]:
        found = super().near(by, key, turn, many)
        self.looked_at += len(found)
        return found

    def members(self, threads: Collection[int]) -> list[Node]:
        found = super().members(threads)
        self.looked_at += len(found)
        return found


# --- the header fields ---


def _parents(in_reply_to: str, references: str, **more: str) -> list[tuple[str, str]]:
    found = candidates(message_id="own@x", in_reply_to=in_reply_to, references=references, **more)
    return [(candidate.message_id, candidate.why) for candidate in found]


def test_a_strict_in_reply_to_comes_before_the_references() -> None:
    assert _parents("<b@x>", "<a@x> <b@x>") == [("b@x", "in-reply-to"), ("a@x", "references")]


def test_garbage_around_an_in_reply_to_makes_it_the_last_resort() -> None:
    field = 'Your message of "Mon" <z@x> <user@x>'
    assert _parents(field, "<a@x> y <b@x> n") == [("b@x", "references"), ("a@x", "references"), ("z@x", "loose")]


def test_the_reply_token_comes_first_and_an_edition_is_no_parent() -> None:
    found = candidates(
        message_id="own@x",
        in_reply_to="<edition.1@x>",
        references="<own@x>",
        answers="item@x",
        never=lambda bare: bare.startswith("edition."),
    )
    assert [(candidate.message_id, candidate.why) for candidate in found] == [("item@x", "reply-token")]


def test_folding_inside_an_id_is_no_part_of_it() -> None:
    assert message_ids("<a@x>\r\n\t<long.\r\n part@x> <truncated@x") == ["a@x", "long.part@x"]
    assert one_message_id(" <a@x> \r\n") == "a@x"
    assert one_message_id("<a@x> (sent)") is None


@pytest.mark.acceptance(25)
def test_ten_thousand_references_are_cut_to_the_last_ones() -> None:
    field = " ".join(f"<m{n}@x>" for n in range(10_000))
    found = _parents("", field)
    assert len(found) == 100
    assert found[0] == ("m9999@x", "references")
