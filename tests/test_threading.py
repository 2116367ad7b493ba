"""Placing: any order of arrival gives one tree, on the SQL side and the one in memory alike."""

import random
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests import seed
from tidings.database.engine import Database
from tidings.threading import nodes as stored
from tidings.threading.mending import changes
from tidings.threading.parents import Candidate, candidates, message_ids, one_message_id
from tidings.threading.place import Arrival, MemoryNodes, Node, Nodes, place
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
def test_a_chain_of_20000_replies_is_arranged_without_recursion() -> None:
    chain = [arrival(0, "m0"), *(arrival(n, f"m{n}", f"m{n - 1}") for n in range(1, 20_000))]
    found = tree(chain)
    assert (found[-1][0], found[-1][1]) == ("m19999", 19_999)


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
