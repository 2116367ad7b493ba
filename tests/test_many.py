"""Rows that are written together say what they would say one by one, on both engines."""

from sqlalchemy import bindparam, insert, select, update

from tidings.database import tables
from tidings.database.engine import Database
from tidings.database.many import Many

FRAGMENT = tables.fragment.c


def test_rows_are_inserted_and_changed_by_values_in_the_order_of_their_names(database: Database) -> None:
    add = Many(insert(tables.fragment), "data", "hash")
    change = Many(
        update(tables.fragment).where(FRAGMENT.hash == bindparam("of")).values(data=bindparam("told") + "!"),
        "told",
        "of",
    )
    fixed = Many(update(tables.fragment).where(FRAGMENT.hash == bindparam("of")).values(data="%s: the same"), "of")
    with database.write() as connection:
        add.execute(connection, [("one", b"1"), ("two", b"2"), ("three", b"3")])
        change.execute(connection, [("uno", b"1"), ("dos", b"2")])
        fixed.execute(connection, [(b"3",)])
        rows = connection.execute(select(FRAGMENT.hash, FRAGMENT.data).order_by(FRAGMENT.hash)).all()
    assert [(bytes(key), data) for key, data in rows] == [(b"1", "uno!"), (b"2", "dos!"), (b"3", "%s: the same")]
