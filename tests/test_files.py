"""The same file in several posts of a community is found by its content, on both engines."""

from sqlalchemy import update

from tests import seed
from tidings.archive import files, read
from tidings.database import tables
from tidings.database.engine import Database

PLAN = (1, "plan.pdf", "application/pdf", 900)
LOG = (2, "log.txt", "text/plain", 12)


def test_each_file_names_the_first_other_posts_with_it(database: Database) -> None:
    with database.write() as connection:
        pump, valve = seed.community(connection), seed.community(connection, "valve")
        names = [f"{number}@example.org" for number in range(6)]
        for name in names:
            seed.post(connection, pump, message_id=name, attachments=(PLAN, LOG) if name == names[3] else (PLAN,))
        seed.post(connection, pump, message_id="twice@example.org", attachments=(PLAN, (2, *PLAN[1:])))
        seed.post(connection, valve, message_id=names[0], attachments=(PLAN, LOG))
    with database.read() as connection:
        asked = read.post(connection, pump, names[3])
        assert asked
        found = {one.filename: one.also_in for one in files.described(connection, asked)}
        assert found == {"plan.pdf": tuple(names[:3]), "log.txt": ()}


def test_what_has_no_hash_yet_is_in_no_other_post(database: Database) -> None:
    with database.write() as connection:
        pump = seed.community(connection)
        for name in ("one@example.org", "two@example.org"):
            seed.post(connection, pump, message_id=name, attachments=(PLAN,))
        connection.execute(update(tables.attachment).values(hash=None))
    with database.read() as connection:
        asked = read.post(connection, pump, "one@example.org")
        assert asked
        assert [one.also_in for one in files.described(connection, asked)] == [()]
