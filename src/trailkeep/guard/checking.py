"""The verdict over a SQL text, from all layers."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from trailkeep.errors import QueryError
from trailkeep.guard.allowed import refused
from trailkeep.guard.parsing import check_size, one_statement, own_parser
from trailkeep.guard.second import check_with_sqlglot, may_be_objected_to
from trailkeep.guard.tree import check_tree
from trailkeep.guard.words import check_files, check_words

if TYPE_CHECKING:
    import duckdb

_ASKS_NAMES = re.compile(r"actor_(?:name|type)", re.IGNORECASE)

_BLANK = r"(?:\s|/\*.*?\*/|--[^\n]*\n)*"

_EXPLAIN_WORDS = rf"explain\b{_BLANK}(?P<analyze>analyze\b|analyse\b)?{_BLANK}"

_EXPLAIN = re.compile(rf"{_EXPLAIN_WORDS}(?:\((?P<options>[a-z_,\s]*)\){_BLANK}(?=\S))?", re.IGNORECASE | re.DOTALL)

_EXPLAIN_PLAIN = re.compile(_EXPLAIN_WORDS, re.IGNORECASE | re.DOTALL)

_EXPLAIN_OPTIONS = frozenset({"analyze", "format", "json", "text", "html", "graphviz", "mermaid", "yaml", "default"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Statement:
    """SQL that may run."""

    sql: str
    """What to run; an EXPLAIN is written anew around the text that was checked."""
    parameters: frozenset[str]
    """The names, in lower case as written, that must be bound."""
    tables: frozenset[str] | None
    """The tables named, common table expressions included; None where the engine does not say (PIVOT)."""
    common: frozenset[str] = frozenset()
    """The names of the common table expressions."""
    functions: frozenset[str] = frozenset()
    """The functions named, in lower case; meaningless where `tables` is None."""
    is_select: bool = False
    """Whether it is one SELECT, and neither an EXPLAIN nor a PIVOT that the engine makes several statements of."""
    asks_what_there_is: bool = False
    """Whether the answer may depend on what tables there are, as that of SHOW TABLES does."""
    asks_names: bool = True
    """Whether the answer may depend on who acted: on ``actor_name`` or ``actor_type`` of the events."""
    select: str | None = None
    """The text of the one SELECT that it is or explains; None for a PIVOT that the engine makes several statements of.
    """


_KEPT, _KEPT_CHARACTERS = 256, 100_000

_ACCEPTED: dict[str, Statement] = {}
"""What was accepted of late: a saved query that is asked again with other values is not parsed again."""


def check(sql: str, *, source: str | None = None, parser: duckdb.DuckDBPyConnection | None = None) -> Statement:
    """The statement of `sql` if it may run; `source` is the file it was read from.

    A connection that the caller has anyway can be the `parser`: nothing of `sql` is run on it.

    Raises QueryError, with a hint, for everything else; the message begins with the place where there is one.
    """
    statement = _ACCEPTED.get(sql)
    if statement is not None:
        return statement
    try:
        statement = _check(sql, source, parser or own_parser())
    except QueryError as error:
        if source is None or error.message.startswith(f"{source}:"):
            raise
        raise QueryError(f"{source}: {error.message}", hint=error.hint) from error
    if len(sql) <= _KEPT_CHARACTERS:
        if len(_ACCEPTED) >= _KEPT:
            _ACCEPTED.clear()
        _ACCEPTED[sql] = statement
    return statement


def _check(sql: str, source: str | None, parser: duckdb.DuckDBPyConnection) -> Statement:
    check_size(sql)
    kind, parameters, text = one_statement(sql, source, parser)
    if kind == "EXPLAIN":
        return _check_explain(text, source, parser)
    # The text stays as it was given, comments before it included: places in errors count from its beginning.
    if kind == "MULTI":
        words = check_words(sql)
        if not check_with_sqlglot(sql, is_pivot=True):
            check_files(words)
        return Statement(sql=sql, parameters=parameters, tables=None, asks_what_there_is=True)
    if kind != "SELECT":
        raise refused(f"this is a {kind.replace('_', ' ')} statement")
    named = check_tree(sql, parser)
    if may_be_objected_to(sql):
        check_with_sqlglot(sql, is_pivot=False)
    return Statement(
        sql=sql,
        parameters=parameters,
        tables=frozenset(named.tables),
        common=frozenset(named.common),
        functions=frozenset(named.functions),
        is_select=True,
        select=sql,
        asks_what_there_is=named.asks_what_there_is,
        asks_names=named.whole_rows or named.rows_of_tables or names_actors(sql),
    )


def names_actors(sql: str) -> bool:
    """Whether `sql` names who acted, by the columns ``actor_name`` or ``actor_type``."""
    return _ASKS_NAMES.search(sql) is not None


def _check_explain(sql: str, source: str | None, parser: duckdb.DuckDBPyConnection) -> Statement:
    """An EXPLAIN of a SELECT that may run, rebuilt around the checked text so that nothing else can be explained."""
    body = _without_leading_comments(sql)
    match = _EXPLAIN.match(body)
    if match is None:
        raise refused("its EXPLAIN could not be read")
    options = set((match["options"] or "").lower().replace(",", " ").split())
    if not options <= _EXPLAIN_OPTIONS:
        match = _EXPLAIN_PLAIN.match(body)
        assert match is not None
        options = set()
    kind, _, text = one_statement(body[match.end() :], source, parser)
    if kind != "SELECT":
        raise refused(f"it explains a {kind.replace('_', ' ')} statement", "EXPLAIN takes one SELECT.")
    inner = _check(text, source, parser)
    analyze = "ANALYZE " if match["analyze"] or "analyze" in options else ""
    formats = sorted(options - {"analyze", "format"})
    form = f"(FORMAT {formats[0]}) " if "format" in options and len(formats) == 1 else ""
    if form and analyze:
        analyze, form = "", f"(ANALYZE, FORMAT {formats[0]}) "
    return replace(inner, is_select=False, sql=f"EXPLAIN {analyze}{form}{inner.sql}")


def _without_leading_comments(sql: str) -> str:
    import duckdb

    for offset, kind in duckdb.tokenize(sql):
        if kind != duckdb.token_type.comment:
            # The tokenizer counts bytes.
            return sql.encode()[offset:].decode()
    return sql
