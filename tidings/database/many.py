"""Writes of many rows by one statement: for values that need no translation, and without what SQLAlchemy does for each.

That is most of what a row costs where there are dozens in each edition.
"""

from collections.abc import Sequence

from sqlalchemy import Connection, Insert, Update

Value = int | str | bytes | None


class Many:
    """A statement that is compiled once for each engine, and the names of the values that each row has for it."""

    def __init__(self, statement: Insert | Update, *names: str) -> None:
        self._statement, self._names = statement, names
        self._compiled: dict[str, tuple[str, list[str], dict[str, Value], bool]] = {}

    def execute(self, connection: Connection, rows: Sequence[tuple[Value, ...]]) -> None:
        """Run it for each of the rows (one at least), whose values are in the order of the names."""
        if connection.dialect.name not in self._compiled:
            self._compiled[connection.dialect.name] = self._compile(connection)
        sql, order, fixed, is_positional = self._compiled[connection.dialect.name]
        if not is_positional:
            connection.exec_driver_sql(sql, [fixed | dict(zip(self._names, row, strict=True)) for row in rows])
        elif order == list(self._names):
            connection.exec_driver_sql(sql, list(rows))
        else:
            places = [self._names.index(name) if name in self._names else len(self._names) for name in order]
            others = [fixed.get(name) for name in order]
            pairs = list(zip(places, others, strict=True))
            many = len(self._names)
            connection.exec_driver_sql(
                sql, [tuple([other if place == many else row[place] for place, other in pairs]) for row in rows]
            )

    def _compile(self, connection: Connection) -> tuple[str, list[str], dict[str, Value], bool]:
        """The text, the names in their order, what is the same in each row, and whether values go by their place."""
        compiled = self._statement.compile(dialect=connection.dialect, column_keys=list(self._names))
        fixed = {name: value for name, value in compiled.params.items() if name not in self._names}
        order = list(compiled.positiontup or ())
        return str(compiled), order, fixed, bool(order)
