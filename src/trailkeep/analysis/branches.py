"""Which branches of the view ``first_seen`` a query can have rows of: planning all costs more than most answers."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from trailkeep.queries.tree import conjuncts, definition, kind_of, side_of, sources, syntax_tree, where

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from trailkeep.queries.tree import Node, Source

_VIEW = "first_seen"
_COLUMNS = ("subject_type", "dimension")
_PARTS_OF_A_TABLE = frozenset({"this", "db", "alias"})
"""What a table's mention may consist of: not what makes other rows of it, or other columns, before conditions hold."""
_KINDS = frozenset({"", "INNER", "CROSS", "SEMI", "ANTI"})
"""Those of joins by conditions alone. One by position, or by what is nearest, sees rows that no condition leaves."""


@lru_cache(maxsize=256)
def branches_of(sql: str) -> frozenset[tuple[str, str]] | None:
    """The pairs of a kind of subject and a dimension that the query's conditions leave; None for all of them.

    Only conditions that compare the view's own columns with texts count, and only where they must hold for every row
    that is taken from it. What is not understood leaves all.
    """
    from sqlglot import exp

    from trailkeep.catalog.first_seen import DIMENSIONS

    tree = syntax_tree(sql)
    if tree is None:
        return None
    wanted: set[tuple[str, str]] = set()
    for table in tree.find_all(exp.Table):
        if table.name.lower() != _VIEW or definition(table) is not None:
            continue
        select = table.find_ancestor(exp.Select)
        source = next((each for each in sources(select) if each.node is table), None) if select is not None else None
        if source is None or not _is_plain(table) or not _joins_by_conditions(select):
            return None
        left = [_left(list(_terms(select, source)), source.name, column) for column in _COLUMNS]
        wanted |= {
            (subject, dimension)
            for subject, dimensions in DIMENSIONS.items()
            for dimension in dimensions
            if all(values is None or value in values for values, value in zip(left, (subject, dimension), strict=True))
        }
    return frozenset(wanted) or None


def _is_plain(table: Node) -> bool:
    """Whether it is the view's own rows and columns that conditions are about: not sampled, pivoted or renamed."""
    alias = table.args.get("alias")
    written = {name for name, value in table.args.items() if value}
    return written <= _PARTS_OF_A_TABLE and not (alias is not None and alias.args.get("columns"))


def _joins_by_conditions(select: Node) -> bool:
    """Whether a row that no condition leaves has no part in what becomes of the others."""
    joins = select.args.get("joins") or ()
    return not select.args.get("sample") and all(_is_by_conditions(join) for join in joins)


def _is_by_conditions(join: Node) -> bool:
    return not join.args.get("method") and kind_of(join) in _KINDS


def _terms(select: Node, source: Source) -> Iterator[Node]:
    """What must hold for a row of the source to be of any use."""
    join = source.join
    kind = "" if join is None else kind_of(join)
    outer = {side_of(each) for each in select.args.get("joins") or ()} & {"RIGHT", "FULL"}
    # What stands to the right of a SEMI or ANTI JOIN cannot be named in WHERE: the same name is another's column.
    if not outer and kind not in ("SEMI", "ANTI"):
        yield from where(select)
    if join is not None and side_of(join) in ("", "LEFT") and kind in ("", "INNER", "SEMI"):
        yield from conjuncts(join.args.get("on"))


def _left(terms: Iterable[Node], name: str, column: str) -> set[str] | None:
    """The texts that the conditions leave of a column; None for any."""
    from sqlglot import exp

    def is_it(node: Node) -> bool:
        return isinstance(node, exp.Column) and node.name.lower() == column and node.table.lower() in (name, "")

    left: set[str] | None = None
    for term in terms:
        texts: set[str] | None = None
        if isinstance(term, exp.EQ):
            for one, other in ((term.this, term.expression), (term.expression, term.this)):
                if is_it(one) and isinstance(other, exp.Literal) and other.is_string:
                    texts = {other.this}
        elif isinstance(term, exp.In) and is_it(term.this) and _are_texts(term.expressions):
            texts = {each.this for each in term.expressions}
        if texts is not None:
            left = texts if left is None else left & texts
    return left


def _are_texts(nodes: list[Node]) -> bool:
    from sqlglot import exp

    return bool(nodes) and all(isinstance(each, exp.Literal) and each.is_string for each in nodes)
