"""The second parser, sqlglot, which may only tighten."""

from __future__ import annotations

import re

from trailkeep.guard.allowed import (
    FORBIDDEN_FUNCTIONS,
    FORBIDDEN_PREFIXES,
    FORBIDDEN_SUFFIXES,
    TABLE_FUNCTIONS,
    WRITING_WORDS,
    check_function,
    check_table_name,
    refused,
)

_SECOND_OPINION = rf"""
    \b(?: {"|".join(sorted(WRITING_WORDS | FORBIDDEN_FUNCTIONS))} | replace\s+into )\b
    | \b(?: {"|".join(FORBIDDEN_PREFIXES)} ) | (?: {"|".join(FORBIDDEN_SUFFIXES)} )\b
    | \b(?: pivot | unpivot | describe | desc | show | summarize | explain )\b
    | ["`\\\\] | \$\w*\$ | [^\x00-\x7f]  # quoted names, dollar quoting, other letters
    # a text that may stand for a file:
    | (?: \b(?: from | join | table | using | in | as ) | [,(] | \*/ | --[^\n]*\n )\s*[a-z]?'
    """
"""Where sqlglot may object: nothing that it refuses can be written without one of these, wherever its and the engine's
parser think that strings and comments begin and end."""


def may_be_objected_to(sql: str) -> bool:
    """Whether sqlglot could refuse what the engine's own syntax tree has passed."""
    return re.search(_SECOND_OPINION, sql, re.IGNORECASE | re.VERBOSE) is not None


def check_with_sqlglot(sql: str, *, is_pivot: bool) -> bool:
    """Whether sqlglot could read the statement; it has nothing against it then."""
    import logging

    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)  # it talks on stderr about what it cannot parse
    try:
        statements = sqlglot.parse(sql, dialect="duckdb")
        nodes = [node for statement in statements if statement is not None for node in statement.walk()]
    except (SqlglotError, RecursionError):
        nodes = [exp.Command()]  # what it cannot read it has no opinion on
    writing = (exp.Insert, exp.Update, exp.Delete, exp.Merge, exp.Copy, exp.Create, exp.Drop, exp.Alter, exp.Attach)
    for node in nodes:
        if isinstance(node, writing):
            raise refused(f"it holds a {type(node).__name__.upper()}")
        if isinstance(node, exp.Func):
            name = (node.name if isinstance(node, exp.Anonymous) else node.sql_name()).lower()
            if name not in TABLE_FUNCTIONS:
                check_function(name)
        elif isinstance(node, exp.Table) and node.name:
            parts = [part for part in (node.catalog, node.db, node.name) if part]
            check_table_name(parts, parts)
            if is_pivot and isinstance(node.this, exp.Func) and node.name.lower() not in TABLE_FUNCTIONS:
                raise refused(f"the table function {node.name} is not allowed")
    return not any(isinstance(node, exp.Command) for node in nodes)
