"""Whether a query reads every event table between two moments that are parameters."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trailkeep.queries.tree import Finding, Node, conjuncts, definition, kind_of, offset_of, side_of, where

if TYPE_CHECKING:
    from collections.abc import Iterator
    from collections.abc import Set as AbstractSet

_OF_EVENTS = frozenset({"events", "event_resources", "revisions", "logins", "grants", "creations"})
"""The views of which each row is an event."""

_TIME = "recorded_at"
_HINT = f"The SELECT that names the table needs {_TIME} >= $since AND {_TIME} < $until in its WHERE."


def event_tables() -> frozenset[str]:
    """The tables and views that grow with the years, each with a column ``recorded_at``."""
    from trailkeep.schema import EVENT_TABLES

    return _OF_EVENTS | {table.name for table in EVENT_TABLES.values()}


def unbounded(tree: Node, moments: AbstractSet[str]) -> list[Finding]:
    """Every place where an event table is read without both bounds; `moments` are the parameters that are times.

    The rule: the SELECT that names the table says ``recorded_at >=`` and ``recorded_at <`` of it, each with an
    expression over such a parameter, among the terms of its WHERE that all must hold, or in the ON of a join that
    drops the table's other rows.
    """
    from sqlglot import exp

    found, growing = [], event_tables()
    for table in tree.find_all(exp.Table):
        if table.name.lower() not in growing or definition(table) is not None:
            continue
        select = table.find_ancestor(exp.Select)
        # Without a qualifier the name is the table's: the engine refuses one that two sources have.
        names = {table.alias_or_name.lower(), ""}
        message = _missing(list(_terms(table, select)), names, moments) if select else "it is read as a whole"
        if message:
            found.append(
                Finding(offset=offset_of(table), message=f"{table.name} is not bounded in time: {message}", hint=_HINT)
            )
    return found


def reads_events(tree: Node) -> Finding | None:
    """The first event table that a query names, and its place; None where it names none."""
    from sqlglot import exp

    growing = event_tables()
    for table in tree.find_all(exp.Table):
        if table.name.lower() in growing and definition(table) is None:
            return Finding(offset=offset_of(table), message=table.name)
    return None


def _terms(table: Node, select: Node) -> Iterator[Node]:
    """The conditions that every row of the table that is kept must meet."""
    yield from where(select)
    for join in select.args.get("joins") or ():
        brings = any(node is table for node in join.this.walk())
        side, kind = side_of(join), kind_of(join)
        if (brings and side in {"", "LEFT"}) or (not brings and side == "" and kind in {"", "INNER", "SEMI"}):
            yield from conjuncts(join.args.get("on"))


def _missing(terms: list[Node], names: set[str], moments: AbstractSet[str]) -> str | None:
    """What is wrong with the bounds, or None where both are there."""
    from sqlglot import exp

    found: set[str] = set()
    for term in terms:
        if isinstance(term, exp.Between) and _is_time(term.this, names):
            return "BETWEEN counts the end too"
        if not isinstance(term, exp.GTE | exp.GT | exp.LTE | exp.LT):
            continue
        kind = type(term).__name__
        left, right = term.this, term.expression
        if _is_time(right, names):
            left, right = right, left
            kind = {"GTE": "LTE", "GT": "LT", "LTE": "GTE", "LT": "GT"}[kind]
        if _is_time(left, names) and _is_moment(right, moments):
            found.add(kind)
    if {"GTE", "LT"} <= found:
        return None
    if "GTE" not in found and "GT" in found:
        return f"{_TIME} > leaves out the first moment"
    if "LT" not in found and "LTE" in found:
        return f"{_TIME} <= counts the end too"
    bounds = [f"{_TIME} {sign}" for sign, kind in ((">= $since", "GTE"), ("< $until", "LT")) if kind not in found]
    return f"there is no {' and no '.join(bounds)}"


def _is_time(node: Node, names: set[str]) -> bool:
    from sqlglot import exp

    return isinstance(node, exp.Column) and node.name.lower() == _TIME and node.table.lower() in names


def _is_moment(node: Node, moments: AbstractSet[str]) -> bool:
    """Whether an expression is made of a time parameter and of no column."""
    from sqlglot import exp

    named = {str(each.this).lower() for each in node.find_all(exp.Placeholder)}
    return bool(named & moments) and node.find(exp.Column, exp.Query) is None
