"""From the engine's plan of a statement to the conditions that hold for what it reads of each table.

The engine pushes conditions down to its scans: through views, subqueries, common table expressions, joins and unions,
with parameters bound and constants worked out. What it says at a scan must hold for every row that is of use there, by
its own rules and not by ours; here that text is only read. What is not understood is no condition, a scan without
conditions reads everything, and an operator that is not known makes the whole plan one that says nothing.

Only what stands at a scan is read. There the engine writes the scanned table's own names for columns, and constants
with their quotes doubled; farther up it writes whatever names the statement's author made up, as they are (DuckDB 2.0).
Even so the stand-ins for tables that are planned over have columns with names that nobody can guess (`Stand`), only
these are taken for columns, and a text with a lambda, whose parameters have names of the author's, is not read at all.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from trailkeep.catalog.conditions import EVERYTHING, RESOURCE, RESOURCE_IDS, Box, Boxes, Conditions, Texts, both, either

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

_SCANS = frozenset({"SEQ_SCAN", "TABLE_SCAN"})
_KNOWN = _SCANS | frozenset(
    "PROJECTION FILTER COLUMN_DATA_SCAN CTE CTE_SCAN REC_CTE REC_CTE_SCAN HASH_JOIN NESTED_LOOP_JOIN "
    "BLOCKWISE_NL_JOIN PIECEWISE_MERGE_JOIN IE_JOIN ASOF_JOIN CROSS_PRODUCT POSITIONAL_JOIN POSITIONAL_SCAN "
    "LEFT_DELIM_JOIN RIGHT_DELIM_JOIN DELIM_SCAN HASH_GROUP_BY PERFECT_HASH_GROUP_BY PARTITIONED_AGGREGATE "
    "UNGROUPED_AGGREGATE WINDOW STREAMING_WINDOW UNION UNNEST INOUT_FUNCTION ORDER_BY TOP_N LIMIT STREAMING_LIMIT "
    "STREAMING_SAMPLE RESERVOIR_SAMPLE EMPTY_RESULT DUMMY_SCAN EXPRESSION_SCAN PIVOT READ_PARQUET RANGE "
    "GENERATE_SERIES REPEAT REPEAT_ROW JSON_EACH JSON_TREE ARROW_SCAN".split()
)
"""The operators of which it is known that a plan shows all that lies below them."""

_TOKEN = re.compile(
    r"""
    (?P<text>'(?:[^']|'')*')
    | (?P<quoted>"(?:[^"]|"")*")
    | (?P<word>[A-Za-z_0-9.\#]+)
    | (?P<sign>::|<=|>=|<>|!=|&&|->>|->|[-+*/%=<>(){}\[\],;:~^|&!?@$])
    | (?P<line>\n)
    | (?P<blank>[^\S\n]+)
    """,
    re.VERBOSE,
)
_MOMENT = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]{1,6})?")
_SIGNS = frozenset({"=", "<", "<=", ">", ">="})
_IS_TRUE = ["IS", "NOT", "DISTINCT", "FROM", "true"]
_OF_LISTS = frozenset({"list_contains", "list_has", "array_contains", "array_has", "contains"})
_ANY_OF_LISTS = frozenset({"list_has_any", "array_has_any"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Stand:
    """What stands in for a table while a statement is planned: an empty one."""

    table: str
    """The stored table's name."""
    name: str
    """The stand-in's name, with its schema."""
    columns: Mapping[str, str]
    """By the names of its columns, those of the stored table's, and `RESOURCE_IDS`."""
    time: str
    """The stored table's column of the rows' time."""


class _Unreadable(Exception):
    """A text that is none that the engine writes, as far as it is known."""


def conditions_of(plan: str, stands: Sequence[Stand]) -> Conditions:
    """The conditions on each stand-in's table, from the physical `plan` as the engine writes it in JSON."""
    by_name = {stand.name: stand for stand in stands}
    found: dict[str, list[Boxes]] = {stand.table: [] for stand in stands}
    waiting: list[dict[str, Any]] = [*json.loads(plan)]
    while waiting:
        node = waiting.pop()
        kind, told = node.get("name"), node.get("extra_info") or {}
        if kind not in _KNOWN:
            return {}
        if kind in _SCANS:
            stand = by_name.get(str(told.get("Table", "")).replace('"', "").removeprefix("memory."))
            if stand is not None:
                filters = told.get("Filters") or ""
                # What spans lines, as a text with line ends does, is told as a list.
                text = "\n".join(filters) if isinstance(filters, list) else str(filters)
                found[stand.table].append(boxes_of(text, stand) if text else EVERYTHING)
        elif any(stand.name in str(told) for stand in stands):
            return {}
        waiting.extend(node.get("children") or ())
    return {table: either(boxes) for table, boxes in found.items()}


def boxes_of(text: str, stand: Stand) -> Boxes:
    """What a condition, or several with one a line, leaves of the table; everything where it is not understood."""
    try:
        left: Boxes = EVERYTHING
        for line in _split(_nested(_tokens(text)), "\n"):
            left = both(left, _boxes(line, stand))
    except _Unreadable:
        return EVERYTHING
    return left


_Node = Any
"""A token, or the list of those between two brackets, the brackets first and last."""


def _tokens(text: str) -> Iterator[str]:
    at = 0
    while at < len(text):
        match = _TOKEN.match(text, at)
        if match is None:
            raise _Unreadable
        at = match.end()
        if match.lastgroup == "quoted" or match[0] == "lambda":
            raise _Unreadable
        if match.lastgroup != "blank":
            yield match[0]


def _nested(tokens: Iterator[str]) -> list[_Node]:
    stack: list[list[_Node]] = [[]]
    for token in tokens:
        if token in ("(", "[", "{"):
            stack.append([token])
        elif token in (")", "]", "}"):
            closed = stack.pop()
            if not stack or closed[0] + token not in ("()", "[]", "{}"):
                raise _Unreadable
            stack[-1].append([*closed, token])
        else:
            stack[-1].append(token)
    if len(stack) != 1:
        raise _Unreadable
    return stack[0]


def _split(nodes: Sequence[_Node], word: str) -> list[list[_Node]]:
    """The parts between each `word`; none of them may be empty."""
    parts: list[list[_Node]] = [[]]
    for node in nodes:
        if node == word:
            parts.append([])
        else:
            parts[-1].append(node)
    if not all(parts):
        raise _Unreadable
    return parts


def _boxes(nodes: list[_Node], stand: Stand) -> Boxes:
    while nodes[:2] == ["optional", ":"]:
        # The scan may leave it out, since something above says it again; it holds all the same.
        nodes = nodes[2:]
    if not nodes:
        raise _Unreadable
    if len(nodes) == 1 and isinstance(nodes[0], list):
        return _boxes(nodes[0][1:-1], stand) if nodes[0][0] == "(" else EVERYTHING
    if "\n" in nodes:
        return EVERYTHING
    if len(nodes) >= 3 and nodes[1] == "BETWEEN":
        return _between(nodes, stand)
    if "OR" in nodes:
        if "AND" in nodes:
            return EVERYTHING
        return either([_boxes(part, stand) for part in _split(nodes, "OR")])
    if "AND" in nodes:
        if "BETWEEN" in nodes:
            return EVERYTHING
        left: Boxes = EVERYTHING
        for part in _split(nodes, "AND"):
            left = both(left, _boxes(part, stand))
        return left
    return _term(nodes, stand)


def _between(nodes: list[_Node], stand: Stand) -> Boxes:
    if nodes.count("AND") != 1 or "OR" in nodes:
        return EVERYTHING
    low, high = _split(nodes[2:], "AND")
    return both(_compared(nodes[0], ">=", low, stand), _compared(nodes[0], "<=", high, stand))


def _term(nodes: list[_Node], stand: Stand) -> Boxes:
    """One condition without AND and OR outside of brackets."""
    if len(nodes) == 2 and isinstance(nodes[0], str) and isinstance(nodes[1], list):
        return _called(nodes[0], nodes[1], stand)
    if nodes[1:] == _IS_TRUE:
        return _boxes(nodes[:1], stand) if isinstance(nodes[0], list) else EVERYTHING
    if len(nodes) == 3 and nodes[1] == "=" and _is_id_of(nodes[0], stand):
        return _among(RESOURCE_IDS, ["(", nodes[2], ")"], stand, of_list=True)
    if len(nodes) == 3 and nodes[1] == "IN" and isinstance(nodes[2], list) and nodes[2][0] == "(":
        if _is_id_of(nodes[0], stand):
            return _among(RESOURCE_IDS, nodes[2], stand, of_list=True)
        return _among(stand.columns.get(_name(nodes[0]), ""), nodes[2], stand, of_list=False)
    if len(nodes) == 3 and nodes[1] == "&&" and isinstance(nodes[2], list) and nodes[2][0] == "[":
        return _among(stand.columns.get(_name(nodes[0]), ""), nodes[2], stand, of_list=True)
    if len(nodes) >= 3 and isinstance(nodes[1], str) and nodes[1] in _SIGNS:
        return _compared(nodes[0], nodes[1], nodes[2:], stand)
    if len(nodes) == 4 and nodes[0] == "struct_extract" and nodes[2] == "=" and _is_id(nodes[1], stand):
        return _among(RESOURCE_IDS, ["(", nodes[3], ")"], stand, of_list=True)
    return EVERYTHING


def _is_id_of(node: _Node, stand: Stand) -> bool:
    """Whether that is a resource's id, as a scan names a field of a column."""
    name, dot, field = node.rpartition(".") if isinstance(node, str) else ("", "", "")
    return bool(dot) and field == "id" and stand.columns.get(name) == RESOURCE


def _is_id(arguments: _Node, stand: Stand) -> bool:
    """Whether that is what gives the id of a resource."""
    given = arguments[1:-1] if isinstance(arguments, list) else []
    return len(given) == 3 and given[1:] == [",", "'id'"] and stand.columns.get(_name(given[0])) == RESOURCE


def _called(function: str, arguments: list[_Node], stand: Stand) -> Boxes:
    given = arguments[1:-1]
    if arguments[0] != "(" or len(given) != 3 or given[1] != ",":
        return EVERYTHING
    column = stand.columns.get(_name(given[0]), "")
    if column != RESOURCE_IDS:
        return EVERYTHING
    if function in _OF_LISTS and isinstance(given[2], str):
        return _among(column, ["(", given[2], ")"], stand, of_list=True)
    if function in _ANY_OF_LISTS and isinstance(given[2], list) and given[2][0] == "[":
        return _among(column, given[2], stand, of_list=True)
    return EVERYTHING


def _among(column: str, bracket: list[_Node], stand: Stand, *, of_list: bool) -> Boxes:
    if not column or column == stand.time or (column == RESOURCE_IDS) is not of_list:
        return EVERYTHING
    values = [_constant(part) for part in _split(bracket[1:-1], ",")]
    if None in values:
        return EVERYTHING
    return (Box(texts={column: Texts(among=frozenset(each for each in values if each is not None))}),)


def _compared(node: _Node, sign: str, constant: list[_Node], stand: Stand) -> Boxes:
    column = stand.columns.get(_name(node), "")
    if not column or column in (RESOURCE_IDS, RESOURCE):
        return EVERYTHING
    if column == stand.time:
        return _timed(sign, constant)
    text = _constant(constant)
    if text is None:
        return EVERYTHING
    if sign == "=":
        return (Box(texts={column: Texts(among=frozenset({text}))}),)
    # With a NUL behind it, a text is the next one in order.
    bound = {
        ">=": Texts(least=text),
        ">": Texts(least=text + "\0"),
        "<": Texts(before=text),
        "<=": Texts(before=text + "\0"),
    }[sign]
    return (Box(texts={column: bound}),)


def _timed(sign: str, constant: list[_Node]) -> Boxes:
    if len(constant) != 3 or constant[1:] != ["::", "TIMESTAMP"] or (text := _constant(constant[:1])) is None:
        return EVERYTHING
    match = _MOMENT.fullmatch(text)
    if match is None:
        return EVERYTHING
    try:
        moment = datetime.fromisoformat(match[0]).replace(tzinfo=UTC)
        after = moment + timedelta(microseconds=1)
    except (ValueError, OverflowError):
        return EVERYTHING
    since = moment if sign in ("=", ">", ">=") else None
    until = None if sign in (">", ">=") else moment if sign == "<" else after
    return (Box(since=since, until=until),)


def _name(node: _Node) -> str:
    """The name that a token is; the empty text for what is none."""
    return node if isinstance(node, str) else ""


def _constant(nodes: Any) -> str | None:
    """The text that one token is as a constant; None where it is something else."""
    node = nodes[0] if isinstance(nodes, list) and len(nodes) == 1 else nodes
    if not isinstance(node, str) or not node.startswith("'"):
        return None
    if "\n" in node:
        # The engine tells a text by its lines, and leaves out those that are empty.
        return None
    return node[1:-1].replace("''", "'")
