"""Whether a query gives the same answer each time: nothing of the clock, of chance, or of the engine's own order."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trailkeep.queries.tree import Finding, Node, offset_of

if TYPE_CHECKING:
    from collections.abc import Iterator

_CLOCK = frozenset(
    "now current_timestamp current_date current_time localtime localtimestamp today get_current_time"
    " get_current_timestamp transaction_timestamp current_localtime current_localtimestamp".split()
)
_CHANCE = frozenset("random rand uuid gen_random_uuid uuidv4 uuidv7".split())
_UNORDERED = frozenset("array_agg list group_concat string_agg listagg first last any_value arbitrary".split())
_SORTING = frozenset("array_sort sort_array list_sort list_reverse_sort array_reverse_sort".split())
_OF_AN_ORDER = frozenset("row_number lag lead first_value last_value nth_value ntile first last".split())


def unrepeatable(tree: Node) -> list[Finding]:
    """Every place where two runs over the same rows may differ."""
    return sorted(_all(tree), key=lambda finding: finding.offset)


def _all(tree: Node) -> Iterator[Finding]:
    from sqlglot import exp

    for node in tree.walk():
        if isinstance(node, exp.TableSample):
            yield Finding(offset=offset_of(node.parent), message="a sample is another one each time")
        elif isinstance(node, exp.Limit) and not _is_sorted(node.parent) and not _is_whole(node.parent):
            yield Finding(
                offset=offset_of(node.parent),
                message="LIMIT without ORDER BY keeps whichever rows come first",
                hint="Add an ORDER BY to the same SELECT.",
            )
        elif isinstance(node, exp.Func):
            name = _name(node)
            if name in _CLOCK:
                yield Finding(
                    offset=_place(node), message=f"{name} is another moment each time", hint="Use $until instead."
                )
            elif name in _CHANCE:
                yield Finding(offset=_place(node), message=f"{name} is another value each time")
            else:
                yield from _order_sensitive(node, name)


def _order_sensitive(node: Node, name: str) -> Iterator[Finding]:
    from sqlglot import exp

    window = node.find_ancestor(exp.Window, exp.Select)
    if isinstance(window, exp.Window) and any(each is node for each in window.this.walk()):
        ordered = window.args.get("order") is not None or window.args.get("alias") is not None
        if name in _OF_AN_ORDER | _UNORDERED and not ordered:
            yield Finding(offset=_place(node), message=f"{name} over a window without ORDER BY takes any order")
    elif name in _UNORDERED and node.find(exp.Order) is None and not _in_sorting(node):
        hint = {"first": "min", "last": "max", "any_value": "min", "arbitrary": "min"}.get(name)
        yield Finding(
            offset=_place(node),
            message=f"{name} without ORDER BY takes the rows in any order",
            hint=f"Write {hint}(...), or add ORDER BY inside the brackets."
            if hint
            else "Add ORDER BY inside the brackets, or sort the list: list_sort(list(...)).",
        )


def _in_sorting(node: Node) -> bool:
    from sqlglot import exp

    parent = node.parent
    while isinstance(parent, exp.Func | exp.Filter | exp.Distinct):
        if isinstance(parent, exp.Func) and _name(parent) in _SORTING:
            return True
        parent = parent.parent
    return False


def _is_sorted(query: Node) -> bool:
    return query.args.get("order") is not None


def _is_whole(query: Node) -> bool:
    """Whether a LIMIT keeps nothing or everything: LIMIT 0."""
    limit = query.args["limit"].args.get("expression") if query.args.get("limit") is not None else None
    return limit is not None and limit.name == "0"


def _name(node: Node) -> str:
    from sqlglot import exp

    return (node.name if isinstance(node, exp.Anonymous) else node.sql_name()).lower()


def _place(node: Node) -> int:
    """A function's own place where it is known, else that of what is nearest around it."""
    here = node
    while here is not None:
        if found := offset_of(here):
            return found
        here = here.parent
    return 0
