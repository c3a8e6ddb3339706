"""The walk over the engine's own syntax tree, which refuses every kind of query node that is not known."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trailkeep.guard.allowed import NAMED_BY_TEXT, TABLE_FUNCTIONS, check_function, check_table_name, refused
from trailkeep.guard.parsing import syntax_tree

if TYPE_CHECKING:
    from collections.abc import Iterator

    import duckdb

_QUERY_NODES = frozenset({"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"})

_PLAIN_TABLE_FUNCTIONS = frozenset(
    "generate_series generate_subscripts json_each json_tree range repeat repeat_row unnest".split()
)
"""Table functions that tell nothing of what tables there are."""


@dataclass(slots=True)
class Named:
    """What a syntax tree names."""

    tables: set[str] = field(default_factory=set)
    common: set[str] = field(default_factory=set)
    functions: set[str] = field(default_factory=set)
    asks_what_there_is: bool = False
    whole_rows: bool = False
    """Whether it takes columns that it does not name: a star, COLUMNS, a NATURAL JOIN, a column's number or alias."""
    columns: set[str] = field(default_factory=set)
    """The last parts of the names of columns, in lower case."""
    references: set[str] = field(default_factory=set)
    """The names under which it knows its tables, in lower case."""

    @property
    def rows_of_tables(self) -> bool:
        """Whether it takes a table's row as one value."""
        return bool(self.columns & self.references)


def check_tree(sql: str, parser: duckdb.DuckDBPyConnection) -> Named:
    """Walk the engine's syntax tree; return what it names."""
    named = Named()
    for node in _nodes(syntax_tree(sql, parser)):
        _check_node(node, named)
    return named


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every object of a JSON value; without recursion, since the depth is an attacker's choice."""
    waiting = [tree]
    while waiting:
        value = waiting.pop()
        if isinstance(value, dict):
            yield value
            waiting.extend(value.values())
        elif isinstance(value, list):
            waiting.extend(value)


def _check_node(node: dict[str, Any], named: Named) -> None:
    if isinstance(expressions := node.get("cte_map"), dict):
        named.common.update(str(entry.get("key")) for entry in expressions.get("map") or [])
    kind = node.get("type")
    if not isinstance(kind, str):
        return
    _note_columns(node, named)
    if kind.endswith("_NODE") and kind not in _QUERY_NODES:
        what = kind.removesuffix("_NODE").removesuffix("_QUERY").replace("_", " ")
        raise refused(f"it holds a {what} inside a query")
    if kind in {"BASE_TABLE", "SHOW_REF"}:
        path = [str(part) for part in node.get("qualified_name", {}).get("path", [])]
        names = [*path, *(str(node.get(key) or "") for key in ("table_name", "schema_name", "catalog_name"))]
        check_table_name(path or names[:1], [name for name in names if name])
        named.tables.update(name.strip('"') for name in names if name)
        named.asks_what_there_is |= kind == "SHOW_REF"
    elif kind == "TABLE_FUNCTION":
        name = _function_name(node.get("function") or {})
        named.asks_what_there_is |= name not in _PLAIN_TABLE_FUNCTIONS
        named.functions.add(name)
        if name not in TABLE_FUNCTIONS:
            check_function(name)
            raise refused(
                f"the table function {name} is not allowed",
                "Query the archive's tables; `SHOW TABLES` lists them.",
            )
        if name in NAMED_BY_TEXT:
            _check_named_by_text(name, (node.get("function") or {}).get("arguments") or [])
    elif kind == "FUNCTION" and not node.get("is_operator"):
        name = _function_name(node)
        named.functions.add(name)
        if name not in TABLE_FUNCTIONS:
            check_function(name)


def _note_columns(node: dict[str, Any], named: Named) -> None:
    """Note what a node says of the columns that are taken."""
    kind = node.get("type")
    if kind == "COLUMN_REF":
        # Of several parts the last is the column, or a field of it; a row as one value has no field after it.
        named.columns.update(str(part).lower() for part in (node.get("column_names") or [])[-1:])
    elif kind in {"STAR", "POSITIONAL_REFERENCE", "PIVOT"} or node.get("ref_type") == "NATURAL":
        named.whole_rows = True
    elif kind == "BASE_TABLE" and node.get("column_name_alias"):
        named.whole_rows = True  # FROM events AS e(a, b, c) gives its columns other names
    if kind in {"BASE_TABLE", "SUBQUERY"}:
        named.references.update(str(node.get(key) or "").lower() for key in ("alias", "table_name"))
        named.references.update(str(part).lower() for part in node.get("qualified_name", {}).get("path", []))


def _function_name(node: dict[str, Any]) -> str:
    return str(node.get("function_name") or "").lower()


def _check_named_by_text(name: str, arguments: list[dict[str, Any]]) -> None:
    """The table must be named plainly: what is put together could be a file's name."""
    told = next((each for each in arguments if each.get("name") == "source"), arguments[0] if arguments else {})
    table = told.get("expression") or {}
    literal = table.get("literal") or {}
    if table.get("type") == "COLUMN_REF":
        names = [str(part) for part in table.get("column_names") or []]
    elif literal.get("kind") == "STRING":
        names = [str(literal.get("text"))]
    else:
        raise refused(f"{name} wants the name of a table", f"Write it as it is: {name}('events').")
    check_table_name(names, names)
