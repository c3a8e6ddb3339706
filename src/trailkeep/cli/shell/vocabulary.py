"""The names that completion offers: tables, columns, macros, functions, keywords and saved queries."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

KEYWORDS = (
    "SELECT", "DISTINCT", "FROM", "WHERE", "GROUP BY", "HAVING", "ORDER BY", "LIMIT", "OFFSET", "QUALIFY", "WITH",
    "RECURSIVE", "AS", "ON", "USING", "JOIN", "LEFT JOIN", "RIGHT JOIN", "FULL JOIN", "CROSS JOIN", "SEMI JOIN",
    "ANTI JOIN", "ASOF JOIN", "LATERAL", "UNION", "UNION ALL", "INTERSECT", "EXCEPT", "AND", "OR", "NOT", "IN",
    "EXISTS", "BETWEEN", "LIKE", "ILIKE", "IS NULL", "IS NOT NULL", "IS DISTINCT FROM", "IS NOT DISTINCT FROM", "CASE",
    "WHEN", "THEN", "ELSE", "END", "ASC", "DESC", "NULLS FIRST", "NULLS LAST", "OVER", "PARTITION BY", "ROWS BETWEEN",
    "RANGE BETWEEN", "UNBOUNDED PRECEDING", "CURRENT ROW", "FILTER", "WITHIN GROUP", "CAST", "TRY_CAST", "INTERVAL",
    "DATE", "TIMESTAMP", "TRUE", "FALSE", "NULL", "EXCLUDE", "REPLACE", "COLUMNS", "LAMBDA", "VALUES", "PIVOT",
    "UNPIVOT", "DESCRIBE", "SUMMARIZE", "SHOW TABLES", "EXPLAIN", "EXPLAIN ANALYZE", "USING SAMPLE", "ALL",
)  # fmt: skip
"""The words of a SELECT: the engine knows some five hundred, most of them for what may not run here."""

_PLAIN = re.compile(r"[a-z][a-z0-9_]*")
_OF_NO_USE = ("collate_", "icu_", "pg_", "has_", "inet_", "st_", "variant_", "json_serialize_", "json_deserialize_")
"""Functions that begin so are half of all, and none of them says anything about an archive."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Named:
    """Something with a name, and what a menu says beside it."""

    name: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Vocabulary:
    """What can be written; it is the same for every archive."""

    tables: Mapping[str, tuple[Named, ...]]
    """The columns of every table and view, by its name in lower case."""
    table_notes: Mapping[str, str] = field(default_factory=dict)
    macros: tuple[Named, ...] = ()
    functions: tuple[Named, ...] = ()

    def columns_of(self, table: str) -> list[str]:
        """The names of a table's columns; none for a table that is not known."""
        return [column.name for column in self.tables.get(table, ())]


def of_schema(functions: tuple[Named, ...] = ()) -> Vocabulary:
    """The archive's tables, columns and macros, from the one schema module, and these functions of the engine."""
    from trailkeep.schema.macros import MACROS
    from trailkeep.schema.relations import RELATIONS

    return Vocabulary(
        tables={
            relation.name: tuple(Named(name=column.name, note=column.type) for column in relation.columns)
            for relation in RELATIONS.values()
        },
        table_notes={relation.name: relation.description for relation in RELATIONS.values()},
        macros=tuple(Named(name=macro.name, note=macro.signature) for macro in MACROS.values()),
        functions=functions,
    )


def engine_functions() -> tuple[Named, ...]:
    """The engine's functions that the guard allows, with their parameters; imports the engine and asks it once."""
    import duckdb

    from trailkeep import guard

    with duckdb.connect(":memory:", config={"python_enable_replacements": False, "threads": 1}) as connection:
        connection.execute("SET enable_external_access=false")
        rows = connection.execute(
            "SELECT function_name, any_value(array_to_string(parameters, ', ') ORDER BY len(parameters)) "
            "FROM duckdb_functions() WHERE function_type IN ('scalar', 'aggregate', 'macro', 'window') "
            "GROUP BY function_name ORDER BY function_name"
        ).fetchall()
    return tuple(
        Named(name=name, note=f"({parameters or ''})")
        for name, parameters in rows
        if _PLAIN.fullmatch(name) and not name.startswith(_OF_NO_USE) and guard.allows_function(name)
    )
