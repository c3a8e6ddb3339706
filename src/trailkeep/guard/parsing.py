"""What the engine's own parser says of a text, on a connection that runs none of it."""

from __future__ import annotations

import json
import re
import threading
from functools import cache
from typing import TYPE_CHECKING, Any

from trailkeep.errors import QueryError
from trailkeep.guard.allowed import refused
from trailkeep.guard.places import located, place_of

if TYPE_CHECKING:
    import duckdb

MAX_SQL_CHARACTERS = 1_000_000
"""The longest text that is parsed at all."""

MAX_BRACKET_DEPTH = 250
"""The deepest nesting of brackets: some hundred thousand nested subqueries crash the engine's parser."""

_SYNTAX_HINT = "Correct the SQL at the place shown; `trailkeep queries show NAME` prints queries that work."

_PARSING = threading.Lock()
"""Held while the parser's connection is used: statements may be checked on several threads."""


@cache
def own_parser() -> duckdb.DuckDBPyConnection:
    """A connection that is only asked to parse: nothing is ever run on it but functions over SQL text."""
    import duckdb

    connection = duckdb.connect(":memory:", config={"python_enable_replacements": False, "threads": 1})
    connection.execute("SET enable_external_access=false")
    connection.execute("SET lock_configuration=true")
    return connection


def check_size(sql: str) -> None:
    """Refuse a text that is too long or too deep for the engine's parser, or no text at all."""
    if len(sql) > MAX_SQL_CHARACTERS:
        raise refused(
            f"it has {len(sql)} characters, more than {MAX_SQL_CHARACTERS}", "Bind long lists as parameters instead."
        )
    if "\x00" in sql:
        raise refused("it holds a NUL character")
    try:
        sql.encode()
    except UnicodeEncodeError:
        raise refused("it is not valid Unicode", "Save the SQL as UTF-8.") from None
    depth = 0
    for bracket in re.findall(r"[()\[\]{}]", sql):
        depth += 1 if bracket in "([{" else -1
        if depth > MAX_BRACKET_DEPTH:
            raise _too_deep()


def _too_deep() -> QueryError:
    return refused("it is nested too deeply", "Break it up with common table expressions: WITH name AS (...).")


def one_statement(sql: str, source: str | None, parser: duckdb.DuckDBPyConnection) -> tuple[str, frozenset[str], str]:
    """Type, parameters and text of the one statement in `sql`."""
    import duckdb

    try:
        with _PARSING:
            statements = parser.extract_statements(sql)
        kinds = [str(statement.type).rpartition(".")[2] for statement in statements]
    except duckdb.Error as error:
        message = str(error)
        where = located(source, place_of(sql, message))
        first = message.removeprefix("Parser Error: ").split("\n")[0]
        if "expression depth limit" in message:
            raise _too_deep() from error
        raise QueryError(f"{where}{first}", hint=_SYNTAX_HINT) from error
    except (ValueError, RuntimeError) as error:  # a type of statement that the Python client has no name for
        raise refused("its type of statement is not known") from error
    if not statements:
        raise refused("there is no statement in it", "Write a SELECT.")
    if len(statements) > 1:
        raise refused(f"it holds {len(statements)} statements")
    return kinds[0], frozenset(statements[0].named_parameters), statements[0].query


def syntax_tree(sql: str, parser: duckdb.DuckDBPyConnection) -> dict[str, Any]:
    """The engine's syntax tree of `sql`, as it writes it in JSON; raises QueryError where it has none."""
    import duckdb

    try:
        with _PARSING:
            row = parser.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchone()
        tree: dict[str, Any] = json.loads(row[0]) if row else {"error": True}
    except RecursionError:
        raise _too_deep() from None
    except (duckdb.Error, ValueError) as error:
        raise refused("the engine cannot describe it") from error
    if tree.get("error"):
        raise refused(f"the engine cannot describe it: {tree.get('error_message', 'no reason given')}")
    return tree
