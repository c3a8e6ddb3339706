"""A script for the DuckDB command line: the archive's tables, views and macros over exactly its live files."""

from __future__ import annotations

import re
from datetime import datetime
from typing import TYPE_CHECKING

from trailkeep import schema
from trailkeep.catalog import macros, people, views
from trailkeep.catalog.addresses import nothing_known
from trailkeep.catalog.ledger_rows import ledger_table
from trailkeep.catalog.quoting import name_of, quote
from trailkeep.coverage import coverage_tables
from trailkeep.geo import FUNCTIONS

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from trailkeep.connect.live import LiveArchive
    from trailkeep.store import Ledger

ROWS_OF_VALUES = 500
"""Rows that one INSERT holds."""

_CREATE = re.compile(r"\s*CREATE (?=VIEW|MACRO)")
_UNSAFE = re.compile(r"[\x00-\x1f\x7f]+")


def duckdb_script(live: LiveArchive, ledger: Ledger, now: datetime) -> str:
    """SQL for ``duckdb -init``; it may be run again in the same database. `now` is what gaps are told by."""
    statements = ["SET TimeZone = 'UTC'", "CREATE SCHEMA IF NOT EXISTS parts"]
    statements += [_again(macro) for macro in (*macros.statements(), *map(nothing_known, FUNCTIONS))]
    statements += [
        _again(
            views.table_view(
                each.table,
                in_place=[file.path for file in each.in_place],
                apart=[(file.path, file.partition) for file in each.apart],
                span=None,
            )
        )
        for each in live.tables
    ]
    statements += map(_again, (people.EVENT_NAMES, *views.OF_VIEWS.values()))
    for name, rows in {"ledger": ledger_table(ledger), **coverage_tables(ledger, now)}.items():
        statements += _table(name, rows)
    said = f"-- The archive {str(live.path)!a} at head {live.head}, for duckdb -init. Reads its live files only.\n"
    return said + "".join(f"{statement.strip()};\n" for statement in statements)


def _again(statement: str) -> str:
    """The statement, so that it replaces what a database has of that name."""
    return _CREATE.sub("CREATE OR REPLACE ", statement, count=1)


def _table(name: str, rows: pa.Table) -> Iterator[str]:
    columns = ", ".join(f"{name_of(field.name)} {schema.engine_type(field.type)}" for field in rows.schema)
    yield f"CREATE OR REPLACE TABLE {name_of(name)} ({columns})"
    for start in range(0, rows.num_rows, ROWS_OF_VALUES):
        values = ",\n".join(
            f"({', '.join(map(_literal, row.values()))})" for row in rows.slice(start, ROWS_OF_VALUES).to_pylist()
        )
        yield f"INSERT INTO {name_of(name)} VALUES\n{values}"


def _literal(value: object) -> str:
    """A value as SQL; control characters, which a ledger of a stranger may hold, stand as their numbers."""
    if value is None:
        return "NULL"
    if isinstance(value, datetime):
        return f"TIMESTAMP {quote(value.isoformat(sep=' '))}"
    if isinstance(value, str):
        pieces = _UNSAFE.sub(lambda found: "".join(f"' || chr({ord(each)}) || '" for each in found[0]), quote(value))
        return f"({pieces})" if pieces != quote(value) else pieces
    return str(value)
