"""Reads the program's source for what it imports and which tables it writes; the rules stand in test_house.

It runs nothing of what it reads. An import inside a function counts like any other, and so does one for types only.
"""

import ast
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parent.parent
_TABLES = "tidings.database.tables"
_VERB = re.compile(r"(?:^|_)(insert|update|delete|upsert)(?:_|$)")
_SQL = re.compile(
    r"\b(?:(INSERT)\s+(?:OR\s+\w+\s+)?INTO|(DELETE)\s+FROM)\s+(\w+)|\b(UPDATE)\s+(\w+)\s+SET\s+(.*)", re.DOTALL
)
_SET_COLUMN = re.compile(r"(?:^|,)\s*(\w+)\s*=(?!=)")


@dataclass(frozen=True, kw_only=True)
class Write:
    """One statement that changes a table."""

    module: str
    line: int
    verb: str
    table: str | None  # None: the source does not say which
    columns: frozenset[str] | None  # of an update; None: the source does not say which


def modules(folder: Path = ROOT / "tidings") -> dict[str, str]:
    """The source of every module of the program, by dotted name."""
    found = {}
    for path in sorted(folder.rglob("*.py")):
        parts = path.relative_to(folder.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path.read_text(encoding="utf-8")
    return found


def imports(sources: Mapping[str, str]) -> dict[str, dict[str, int]]:
    """What each module imports of the others, with the line."""
    packages = {name.rpartition(".")[0] for name in sources}
    return {
        name: {target: line for target, line in _imported(name, source, name in packages, sources) if target != name}
        for name, source in sources.items()
    }


def _imported(name: str, source: str, is_package: bool, known: Mapping[str, str]) -> Iterator[tuple[str, int]]:
    for found in ast.walk(ast.parse(source, name)):
        for target in _targets(found, name if is_package else name.rpartition(".")[0]):
            while target and target not in known:  # a name in a module stands for the module
                target = target.rpartition(".")[0]
            if target:
                yield target, getattr(found, "lineno", 0)


def _targets(found: ast.AST, package: str) -> list[str]:
    if isinstance(found, ast.Import):
        return [alias.name for alias in found.names]
    if isinstance(found, ast.ImportFrom):
        above = package.split(".")[: len(package.split(".")) - found.level + 1] if found.level else []
        base = ".".join([*above, *([found.module] if found.module else [])])
        return [f"{base}.{alias.name}" for alias in found.names]
    if isinstance(found, ast.Call) and _last_name(found.func) in {"import_module", "__import__"}:
        return [str(argument.value) for argument in found.args if isinstance(argument, ast.Constant)]
    return []


def circles(graph: Mapping[str, Iterable[str]]) -> list[list[str]]:
    """The groups of modules that import each other in a circle."""
    reach = {name: reachable(graph, name) for name in graph}
    groups = {
        tuple(sorted(other for other in reach[name] if name in reach[other])) for name in graph if name in reach[name]
    }
    return [list(group) for group in sorted(groups)]


def reachable(graph: Mapping[str, Iterable[str]], start: str) -> set[str]:
    """Every module that `start` imports, and what those import, and so on."""
    seen: set[str] = set()
    waiting = list(graph[start])
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += graph[name]
    return seen


def writes(module: str, source: str, tables: Iterable[str]) -> list[Write]:
    """Every statement of a module that inserts into, updates or deletes from one of `tables`."""
    reader = _WriteReader(module=module, tables=frozenset(tables))
    reader.visit(ast.parse(source, module))
    return reader.found


@dataclass(kw_only=True)
class _WriteReader(ast.NodeVisitor):
    module: str
    tables: frozenset[str]
    found: list[Write] = field(default_factory=list)
    named: dict[str, str] = field(default_factory=dict)  # a name of the module -> the table
    table_modules: set[str] = field(default_factory=lambda: {_TABLES})
    sqlalchemy: set[str] = field(default_factory=set)  # names that come from SQLAlchemy

    def visit_Import(self, node: ast.Import) -> None:
        for alias in node.names:
            if alias.name == _TABLES and alias.asname:
                self.table_modules.add(alias.asname)
            elif alias.name.split(".")[0] == "sqlalchemy":
                self.sqlalchemy.add((alias.asname or alias.name).split(".")[0])

    def visit_ImportFrom(self, node: ast.ImportFrom) -> None:
        for alias in node.names:
            name = alias.asname or alias.name
            if node.module == _TABLES and alias.name in self.tables:
                self.named[name] = alias.name
            elif f"{node.module}.{alias.name}" == _TABLES:
                self.table_modules.add(name)
            elif (node.module or "").split(".")[0] == "sqlalchemy":
                self.sqlalchemy.add(name)

    def visit_Assign(self, node: ast.Assign) -> None:
        for target in node.targets:
            self._name(target, node.value)
        self.generic_visit(node)

    def _name(self, target: ast.expr, value: ast.expr) -> None:
        if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple):
            for one, its in zip(target.elts, value.elts, strict=False):
                self._name(one, its)
        elif isinstance(target, ast.Name) and (table := self._table(value)):
            self.named[target.id] = table

    def visit_Expr(self, node: ast.Expr) -> None:
        if not _is_text(node.value):  # a docstring may speak of SQL
            self.generic_visit(node)

    def visit_Constant(self, node: ast.Constant) -> None:
        for match in _SQL.finditer(node.value) if isinstance(node.value, str) else ():
            table = match[3] or match[5]
            if table in self.tables:
                settings = re.split(r"\b(?:WHERE|RETURNING|FROM)\b", match[6] or "")[0]
                columns = frozenset(_SET_COLUMN.findall(settings)) or None
                self._add(node, (match[1] or match[2] or match[4]).lower(), table, columns)

    def visit_Call(self, node: ast.Call) -> None:
        if (verb := _VERB.search(_last_name(node.func))) and (table := self._written(node)):
            self._add(node, verb[1], table, self._columns(node))
        elif verb and node.args and self._is_sqlalchemy(node.func):
            self._add(node, verb[1], None, None)
        self.generic_visit(node)

    def _written(self, node: ast.Call) -> str | None:
        of_method = self._table(node.func.value) if isinstance(node.func, ast.Attribute) else None
        return of_method or next(filter(None, map(self._table, node.args)), None)

    def _columns(self, node: ast.Call) -> frozenset[str] | None:
        """The columns that the chain `update(...).where(...).values(...)` around `node` names."""
        names: set[str] = set()
        chain: ast.AST = node
        while isinstance(outer := getattr(chain, "outer", None), ast.Attribute | ast.Call):
            if isinstance(outer, ast.Call) and _last_name(outer.func) == "values":
                if outer.args or any(word.arg is None for word in outer.keywords):
                    return None
                names |= {word.arg for word in outer.keywords if word.arg}
            chain = outer
        return frozenset(names) or None

    def generic_visit(self, node: ast.AST) -> None:
        if isinstance(node, ast.Call):
            node.func.outer = node  # type: ignore[attr-defined]
        elif isinstance(node, ast.Attribute):
            node.value.outer = node  # type: ignore[attr-defined]
        super().generic_visit(node)

    def _table(self, expression: ast.expr) -> str | None:
        if isinstance(expression, ast.Name):
            return self.named.get(expression.id)
        if isinstance(expression, ast.Attribute) and ast.unparse(expression.value) in self.table_modules:
            return expression.attr if expression.attr in self.tables else None
        return None

    def _is_sqlalchemy(self, function: ast.expr) -> bool:
        while isinstance(function, ast.Attribute):
            function = function.value
        return isinstance(function, ast.Name) and function.id in self.sqlalchemy

    def _add(self, node: ast.expr, verb: str, table: str | None, columns: frozenset[str] | None) -> None:
        self.found.append(
            Write(
                module=self.module,
                line=node.lineno,
                verb=verb,
                table=table,
                columns=columns if verb == "update" else None,
            )
        )


def _last_name(function: ast.expr) -> str:
    if isinstance(function, ast.Attribute):
        return function.attr
    return function.id if isinstance(function, ast.Name) else ""


def _is_text(node: ast.expr) -> bool:
    return isinstance(node, ast.Constant) and isinstance(node.value, str)
