"""The archive as it is read: threads in order, lists of threads page by page, what is new, raw bytes as they came."""

from datetime import timedelta

import pytest
from sqlalchemy import update

from tests import seed
from tidings.archive import read
from tidings.database import tables
from tidings.database.engine import Database
from tidings.errors import NotFoundError


def _shape(posts: list[read.ThreadPost]) -> list[tuple[int, str, str | None]]:
    return [(post.depth, post.message_id, post.parent) for post in posts]


def test_a_post_is_found_by_its_message_id_in_its_own_community_only(database: Database) -> None:
    with database.write() as connection:
        pump, valve = seed.community(connection, "pump"), seed.community(connection, "valve")
        made = seed.post(connection, pump, message_id="one@example.org", text="Hi\n> you\n", folds=((3, 9, "quote"),))
    with database.read() as connection:
        found = read.post(connection, pump, "one@example.org")
        assert found == read.post_by_id(connection, made.id or 0)
        assert found is not None and found.folds == ((3, 9, "quote"),)
        assert list(read.pieces(found)) == [("own", "Hi\n"), ("quote", "> you\n")]
        assert read.post(connection, valve, "one@example.org") is None
        assert read.post_by_id(connection, 99) is None


def test_a_thread_is_read_depth_first_and_siblings_by_date(database: Database) -> None:
    with database.write() as connection:
        pump = seed.community(connection)
        root = seed.post(connection, pump, message_id="root")
        late = seed.post(connection, pump, message_id="late", parent=root, date=seed.START + timedelta(days=9))
        early = seed.post(connection, pump, message_id="early", parent=root)
        seed.post(connection, pump, message_id="under-late", parent=late)
        seed.post(connection, pump, message_id="under-early", parent=early)
        seed.post(connection, pump, message_id="elsewhere")
    with database.read() as connection:
        assert _shape(read.thread(connection, pump, root.thread_id)) == [
            (0, "root", None),
            (1, "early", "root"),
            (2, "under-early", "early"),
            (1, "late", "root"),
            (2, "under-late", "late"),
        ]
        assert read.thread(connection, pump, 12345) == []


def test_what_stands_under_a_ghost_stands_at_its_depth(database: Database) -> None:
    with database.write() as connection:
        pump = seed.community(connection)
        unseen_root = seed.ghost(connection, pump, "unseen-root")
        first = seed.post(connection, pump, message_id="first", parent=unseen_root)
        unseen = seed.ghost(connection, pump, "unseen", parent=first)
        seed.post(connection, pump, message_id="second", parent=unseen)
        seed.post(connection, pump, message_id="third", parent=unseen_root)
    with database.read() as connection:
        posts = read.thread(connection, pump, unseen_root.thread_id)
    assert _shape(posts) == [(0, "first", None), (1, "second", "first"), (0, "third", None)]


def test_threads_come_with_the_newest_activity_first_and_page_by_page(database: Database) -> None:
    with database.write() as connection:
        pump, other = seed.community(connection, "pump"), seed.community(connection, "valve")
        roots = [seed.post(connection, pump, subject=f"Topic {number}") for number in range(7)]
        seed.post(connection, other)
        seed.post(connection, pump, parent=roots[0], author=("Olu Ade", "olu@example.org"))
        for root in roots[1:3]:  # two threads whose newest posts are of the same moment
            seed.post(connection, pump, parent=root, date=seed.START + timedelta(days=3))
    order = [roots[number].thread_id for number in (2, 1, 0, 6, 5, 4, 3)]
    with database.read() as connection:
        listed = read.threads(connection, pump, limit=50)
        assert [summary.thread_id for summary in listed] == order
        pages, before = [], None
        while page := read.threads(connection, pump, limit=2, before=before):
            pages += page
            before = (page[-1].last_date, page[-1].thread_id)
        assert pages == listed
    first = listed[2]
    assert (first.posts, first.authors) == (2, ("Maria Lindgren", "Olu Ade"))
    assert first.root.subject == "Topic 0"
    assert first.last_date > first.root.date


def test_a_long_thread_does_not_hide_the_older_ones(database: Database) -> None:
    with database.write() as connection:
        pump = seed.community(connection)
        old = seed.post(connection, pump)
        long = seed.post(connection, pump)
        for _ in range(30):
            seed.post(connection, pump, parent=long)
    with database.read() as connection:
        found = [summary.thread_id for summary in read.threads(connection, pump, limit=2)]
    assert found == [long.thread_id, old.thread_id]


def test_what_is_new_is_told_by_archive_number_and_imports_never(database: Database) -> None:
    with database.write() as connection:
        pump = seed.community(connection)
        for number in range(1, 6):
            seed.post(connection, pump, via="import" if number == 3 else "smtp")
    with database.read() as connection:
        assert [post.number for post in read.told_between(connection, pump, 1, 4)] == [2, 4]
        assert read.told_between(connection, pump, 5, 5) == []


def test_raw_bytes_come_back_as_they_came(database: Database) -> None:
    raw = b"Subject: x\r\n\r\n\x00\xff bare \n and \r\n"
    with database.write() as connection:
        pump = seed.community(connection)
        made = seed.post(connection, pump, raw=raw, from_line=b"From olu@example.org Mon Mar  2 09:00:00 2026")
        seed.post(connection, pump)
    with database.read() as connection:
        assert read.raw(connection, made.id or 0) == raw
        first, second = read.raw_posts(connection, pump)
        assert (first.raw, first.from_line) == (raw, b"From olu@example.org Mon Mar  2 09:00:00 2026")
        assert read.raw_posts(connection, pump, after=first.number) == [second]
        with pytest.raises(NotFoundError, match="77"):
            read.raw(connection, 77)


def test_attachments_are_read_for_many_posts_at_once(database: Database) -> None:
    with database.write() as connection:
        pump = seed.community(connection)
        files = ((2, "seal.jpg", "image/jpeg", 900), (1, "log.txt", "text/plain", 12))
        made = seed.post(connection, pump, attachments=files)
        bare = seed.post(connection, pump)
    with database.read() as connection:
        found = read.attachments(connection, [made.id or 0, bare.id or 0])
        assert [part.filename for part in found.pop(made.id or 0)] == ["log.txt", "seal.jpg"]
        assert found == {}
        assert read.attachments(connection, []) == {}


def test_a_loop_of_references_is_shown_and_says_so(database: Database) -> None:
    with database.write() as connection:
        pump = seed.community(connection)
        first = seed.post(connection, pump, message_id="first")
        second = seed.post(connection, pump, message_id="second", parent=first)
        connection.execute(
            update(tables.node).where(tables.node.c.id == first.node_id).values(parent_id=second.node_id)
        )
    with database.read() as connection:
        posts = read.thread(connection, pump, first.thread_id)
    assert [(post.message_id, post.why) for post in posts] == [("first", "loop"), ("second", "in-reply-to")]
