"""Rows of the event tables that many statements are to read, read once from the files into one temporary table each.

Nothing about an answer changes with it: the view of an event table is that temporary table, which holds every row of a
span, and the files for what lies before and after. The temporary table holds only the columns that the statements read,
which the engine itself says of each; should it be wrong about one, the statement fails and does not answer wrongly.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol

from trailkeep import schema
from trailkeep.catalog import views
from trailkeep.catalog.quoting import name_of, quote
from trailkeep.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    import duckdb

    from trailkeep.store import LiveFile
    from trailkeep.timespan import Span

DATABASE = "shared"
"""The name of the database with the temporary tables."""

FILE = "shared.duckdb"
"""Its file, in the connection's folder for temporary files: beyond the memory limit its rows are on disk."""

NOT_LOADED = "this column was not loaded"
"""What the error says that a column raises which no statement was thought to read."""

FIRST_SEEN = "main.first_seen"
"""The view over the whole history: each of its branches that a statement reads is worked out once for all."""

_FILES_AT_ONCE = 32
_SCANS = frozenset({"SEQ_SCAN", "TABLE_SCAN", "INDEX_SCAN"})
_BRANCH = re.compile(r"parts\.first_seen_(\d+)")
_CONSTANT = re.compile(r"'(\w+)' AS (subject_type|dimension)")
_WORD = re.compile(r"\w+")
_Placed = list[tuple[str, "LiveFile"]]


class Listener(Protocol):
    """Hears how the reading goes on."""

    def begin(self, step: str, total: int) -> None:
        """A step of so many parts begins."""

    def advance(self, count: int) -> None:
        """So many more parts of it are done."""


class Silent:
    """A listener that does nothing."""

    def begin(self, step: str, total: int) -> None:
        """Say nothing."""

    def advance(self, count: int) -> None:
        """Say nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SharedScan:
    """What is to be read once."""

    span: Span
    columns: Mapping[str, frozenset[str]]
    """By the event table's name, the columns that the statements read of it."""
    branches: frozenset[int] = frozenset()
    """The branches of `FIRST_SEEN` that the statements read, by their numbers."""
    listener: Listener = field(default_factory=Silent)

    def attach(self, connection: duckdb.DuckDBPyConnection, folder: Path) -> None:
        """Make the database for the rows; this comes before the connection is closed against files."""
        connection.execute(f"ATTACH {quote(str(folder / FILE))} AS {DATABASE}")
        # The engine makes it with what the umask leaves, and there is no row in it yet.
        (folder / FILE).chmod(0o600)

    def begin(self, placed: Mapping[str, _Placed]) -> None:
        """Tell the listener how many rows there are to read."""
        total = sum(
            file.record.rows for name in self.columns for _path, file in placed.get(name, ()) if file.touches(self.span)
        )
        self.listener.begin("reading", total)

    def load(
        self,
        connection: duckdb.DuckDBPyConnection,
        table: schema.Table,
        placed: _Placed,
        parts_of: Callable[[schema.Table, _Placed], list[str]],
        check_stopped: Callable[[], None],
    ) -> None:
        """Create the view of `table` over its rows in the span, read now, and its files for all others."""
        name = f"{DATABASE}.main.{name_of(table.name)}"
        columns = [each for each in _columns(table) if each in self.columns[table.name] or each == table.time]
        selected = ", ".join(map(name_of, columns))
        inside = sorted(
            (each for each in placed if each[1].touches(self.span)),
            key=lambda each: (each[1].first, each[1].record.path),
        )
        empty = views.selection_of(table, [])
        # No transaction around it all: rows of one that was large could not be seen afterwards (DuckDB 2.0.0).
        connection.execute(f"CREATE TABLE {name} AS SELECT {selected} FROM ({empty})")  # noqa: S608 - quoted
        bounds = f"{table.time} >= {_moment(self.span.start)} AND {table.time} < {_moment(self.span.end)}"
        total = 0
        for start in range(0, len(inside), _FILES_AT_ONCE):
            check_stopped()
            files = inside[start : start + _FILES_AT_ONCE]
            rows = views.selection_of(table, parts_of(table, files))
            insert = f"INSERT INTO {name} SELECT {selected} FROM ({rows}) WHERE {bounds}"  # noqa: S608 - quoted
            total += _one_number(connection, insert)
            self.listener.advance(sum(file.record.rows for _path, file in files))
        whole = sum(file.record.rows for _path, file in inside if file.first in self.span and file.last in self.span)
        held = _one_number(connection, f"SELECT count(*) FROM {name} WHERE {bounds}")  # noqa: S608 - quoted
        if not whole <= total == held:
            raise StoreError(f"of {total} rows of {table.name} that were read in common {held} are there")
        connection.execute(self._view(table, name, frozenset(columns), placed, parts_of))

    def create_first_seen(
        self, connection: duckdb.DuckDBPyConnection, statement: str, check_stopped: Callable[[], None]
    ) -> None:
        """Create the view of `statement`, the branches that are read worked out now."""
        heading, branches = _branches(statement)
        self.listener.begin("first seen", len(self.branches))
        for number in sorted(self.branches):
            check_stopped()
            name = f"{DATABASE}.main.first_seen_{number}"
            made = _one_number(connection, f"CREATE TABLE {name} AS {branches[number]}")
            held = _one_number(connection, f"SELECT count(*) FROM {name}")  # noqa: S608 - our own name
            if made != held:
                raise StoreError(f"of {made} rows of first_seen {held} are there")
            branches[number] = f"SELECT * FROM {name}"  # noqa: S608 - our own name
            self.listener.advance(1)
        connection.execute(heading + " UNION ALL ".join(branches))

    def _view(
        self,
        table: schema.Table,
        name: str,
        loaded: frozenset[str],
        placed: _Placed,
        parts_of: Callable[[schema.Table, _Placed], list[str]],
    ) -> str:
        types = _types(table)
        selected = ", ".join(
            name_of(column)
            if column in loaded
            # Made of a row's value, so that it is not worked out while the statement is only planned.
            else f"CAST(error('{NOT_LOADED}: {column}' || {table.time}) AS {types[column]}) AS {name_of(column)}"
            for column in types
        )
        parts = [f"SELECT {selected} FROM {name}"]  # noqa: S608 - the schema's own names
        before = [each for each in placed if each[1].first < self.span.start]
        after = [each for each in placed if each[1].last >= self.span.end]
        for files, bound in (
            (before, f"{table.time} < {_moment(self.span.start)}"),
            (after, f"{table.time} >= {_moment(self.span.end)}"),
        ):
            if files:
                rows = views.selection_of(table, parts_of(table, files))
                parts.append(f"SELECT * FROM ({rows}) WHERE {bound}")  # noqa: S608 - quoted
        return views.view_of(table, parts, span=None)


def create_first_seen_planned(connection: duckdb.DuckDBPyConnection, statement: str) -> None:
    """Create the view of `statement` over an empty table for each branch, so that a plan shows which it reads."""
    heading, branches = _branches(statement)
    constants = "SELECT * REPLACE ({}) FROM {}"
    parts = []
    for number, branch in enumerate(branches):
        connection.execute(f"CREATE TABLE parts.first_seen_{number} AS {branch}")
        # The constants stay constants, so that conditions on them rule branches out.
        named = ", ".join(f"'{match[1]}' AS {match[2]}" for match in _CONSTANT.finditer(branch))
        parts.append(constants.format(named, f"parts.first_seen_{number}"))
    connection.execute(heading + " UNION ALL ".join(parts))


def plan_scan(
    connection: duckdb.DuckDBPyConnection,
    statements: Sequence[tuple[str, Mapping[str, Any]]],
    span: Span,
    listener: Listener,
) -> SharedScan:
    """What these statements, with these parameters, read in common.

    `connection` has all tables that they name, empty. What the engine cannot plan reads nothing: it will fail by
    itself when it is run.
    """
    # What is known of empty tables would leave nothing of most plans.
    connection.execute("SET disabled_optimizers = 'statistics_propagation'")
    tables = {views.full_name(table): table for table in schema.EVENT_TABLES.values()}
    found: dict[str, set[str]] = {}
    branches: set[int] = set()

    def note(sql: str, parameters: Mapping[str, Any]) -> None:
        for name, words in _scans(connection, sql, parameters):
            if name in tables:
                found.setdefault(tables[name].name, set()).update(words & _types(tables[name]).keys())
            elif match := _BRANCH.fullmatch(name):
                branches.add(int(match[1]))

    for sql, parameters in statements:
        note(sql, parameters)
    texts = _branches(views.OF_VIEWS[FIRST_SEEN])[1] if branches else []
    for number in sorted(branches):
        note(texts[number], {})
    return SharedScan(
        span=span,
        columns={name: frozenset(columns) for name, columns in found.items()},
        branches=frozenset(branches),
        listener=listener,
    )


def _scans(
    connection: duckdb.DuckDBPyConnection, sql: str, parameters: Mapping[str, Any]
) -> Iterator[tuple[str, set[str]]]:
    """The tables that the plan of a statement scans, by schema and name, and the words that it says of each.

    Among the words are the columns that are taken from it, and those that conditions upon it are about.
    """
    import duckdb

    try:
        row = connection.execute(f"EXPLAIN (FORMAT json) {sql}", dict(parameters) or None).fetchone()
    except duckdb.Error:
        return
    for node in _nodes(json.loads(row[1]) if row else []):
        if node.get("name") in _SCANS:
            told = node.get("extra_info") or {}
            yield str(told.get("Table", "")).replace('"', "").removeprefix("memory."), set(_WORD.findall(str(told)))


def _branches(statement: str) -> tuple[str, list[str]]:
    """What a view's text begins with, and the selections that it is the union of."""
    heading, between, body = statement.partition(" AS\n")
    return heading + between, body.split("\nUNION ALL\n")


def _one_number(connection: duckdb.DuckDBPyConnection, sql: str) -> int:
    """The number that a statement gives."""
    row = connection.execute(sql).fetchone()
    return int(row[0]) if row else 0


def _nodes(plan: Sequence[dict[str, Any]]) -> Iterator[dict[str, Any]]:
    waiting = [*plan]
    while waiting:
        node = waiting.pop()
        yield node
        waiting.extend(node.get("children") or ())


def _columns(table: schema.Table) -> list[str]:
    return [*_types(table)]


def _types(table: schema.Table) -> dict[str, str]:
    """The columns of a table's view, with the engine's types."""
    typed = {column.name: schema.engine_type(column.type) for column in table.columns}
    return typed | dict.fromkeys(views.partition_columns(table), "VARCHAR")


def _moment(moment: Any) -> str:
    return f"TIMESTAMP {quote(moment.replace(tzinfo=None).isoformat(sep=' '))}"
