"""Whether a query's ORDER BY decides the place of every row, so that the same rows always make the same bytes.

An order is total where it names

* all columns of the result (``ORDER BY ALL``, or one by one): rows that tie are then alike; or
* a key of the rows: of each table that is read its key (`row_keys.KEYS`), of grouped rows what they are grouped by.
  What follows from the keys is counted: columns of a row whose key is named, and what a join makes equal to them.

A result of one row, such as ``SELECT count(*)``, needs none.
"""

from __future__ import annotations

from trailkeep.queries.row_keys import Memory, is_one_row
from trailkeep.queries.tree import Finding, Node, offset_of

_HINT = "End it with what tells rows apart, such as id or all that is grouped by; or write ORDER BY ALL."


def unordered(tree: Node) -> list[Finding]:
    """What keeps the outermost ORDER BY from being total; nothing where it is."""
    from sqlglot import exp

    query = tree
    while isinstance(query, exp.Subquery) and query.args.get("order") is None:
        query = query.this
    if isinstance(query, exp.Select) and is_one_row(query):
        return []
    order = query.args.get("order")
    if order is None:
        return [Finding(offset=_body(query), message="the rows have no order", hint=f"Add an ORDER BY. {_HINT}")]
    terms = [ordered.this for ordered in order.expressions]
    known = Memory()
    if _is_all(terms) or _names_all(known.outputs(query), terms):
        return []
    if isinstance(query, exp.Select) and known.rows(query).decided_by(terms):
        return []
    message = "the ORDER BY does not decide the place of every row"
    return [Finding(offset=offset_of(order), message=message, hint=_HINT)]


def _body(query: Node) -> int:
    """Where a query's own text begins, behind its common table expressions."""
    parts = [part for key, value in query.args.items() if key != "with_" for part in _nodes(value)]
    starts = [part.meta["start"] for node in parts for part in node.walk() if "start" in part.meta]
    return min(starts, default=offset_of(query))


def _nodes(value: Node) -> list[Node]:
    return [each for each in (value if isinstance(value, list) else [value]) if hasattr(each, "walk")]


def _is_all(terms: list[Node]) -> bool:
    return len(terms) == 1 and type(terms[0]).__name__ == "Var" and terms[0].name.upper() == "ALL"


def _names_all(columns: list[str] | None, terms: list[Node]) -> bool:
    """Whether the order names every column of the result."""
    if columns is None:
        return False
    named = {name for term in terms if (name := _output_of(term, columns)) is not None}
    return named == set(columns) and len(set(columns)) == len(columns)


def _output_of(term: Node, columns: list[str]) -> str | None:
    from sqlglot import exp

    if isinstance(term, exp.Literal) and not term.is_string and term.name.isdigit():
        place = int(term.name) - 1
        return columns[place] if place < len(columns) else None
    return term.name.lower() if isinstance(term, exp.Column) else None
