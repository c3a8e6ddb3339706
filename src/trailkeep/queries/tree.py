"""A query's syntax tree as the checks of saved queries read it: its selects, their sources and conditions."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlglot import exp

Node = Any
"""A node of sqlglot's tree, which has no types that a checker could follow."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One thing that is wrong with SQL."""

    offset: int
    """Where, in characters from the beginning of the text."""
    message: str
    hint: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """One thing that a SELECT reads rows from."""

    name: str
    """What its columns are qualified with, in lower case."""
    node: Node
    join: Node | None
    """The join that brings it in; None for the first."""


def syntax_tree(sql: str) -> exp.Expression | None:
    """The tree of one statement, or None where sqlglot cannot read it."""
    import sqlglot
    from sqlglot import exp
    from sqlglot.errors import SqlglotError

    logging.getLogger("sqlglot").setLevel(logging.CRITICAL)  # it talks on stderr about what it cannot parse
    try:
        tree: Any = sqlglot.parse_one(sql, dialect="duckdb")
    except (SqlglotError, RecursionError):
        return None
    return None if tree is None or any(isinstance(node, exp.Command) for node in tree.walk()) else tree


def offset_of(node: Node) -> int:
    """Where a node, or the first part of it that has a place, begins in the text; 0 where none has one."""
    starts = [part.meta["start"] for part in node.walk() if "start" in part.meta]
    return min(starts, default=0)


def sources(select: Node) -> list[Source]:
    """What a SELECT reads directly, in the order in which it is written."""
    found = []
    if (first := select.args.get("from_")) is not None:
        found.append(Source(name=_name(first.this), node=first.this, join=None))
    found += [Source(name=_name(join.this), node=join.this, join=join) for join in select.args.get("joins") or ()]
    return found


def _name(node: Node) -> str:
    return str(node.alias_or_name).lower()


def definition(table: Node) -> Node | None:
    """The common table expression that a table's name means, or None where it is a table of the archive."""
    if table.args.get("db"):
        return None
    name, below, node = table.name.lower(), {id(table)}, table.parent
    while node is not None:
        if (with_ := node.args.get("with_")) is not None:
            for each in with_.expressions:
                # An expression sees those before it, and itself only where it is recursive.
                own = id(each) in below
                if own and not with_.args.get("recursive"):
                    break
                if each.alias.lower() == name:
                    return each
                if own:
                    break
        below.add(id(node))
        node = node.parent
    return None


def conjuncts(condition: Node | None) -> Iterator[Node]:
    """The terms that must all hold for a condition to hold."""
    from sqlglot import exp

    waiting = [] if condition is None else [condition]
    while waiting:
        node = waiting.pop()
        if isinstance(node, exp.Paren):
            waiting.append(node.this)
        elif isinstance(node, exp.And):
            waiting += [node.this, node.expression]
        else:
            yield node


def where(select: Node) -> Iterator[Node]:
    """The terms of a SELECT's WHERE."""
    clause = select.args.get("where")
    return conjuncts(clause.this if clause is not None else None)


def side_of(join: Node) -> str:
    """LEFT, RIGHT, FULL, or nothing for a join that keeps only what matches."""
    return str(join.args.get("side") or "").upper()


def kind_of(join: Node) -> str:
    """SEMI, ANTI, CROSS, INNER, POSITIONAL, or nothing."""
    return str(join.args.get("kind") or join.args.get("method") or "").upper()
