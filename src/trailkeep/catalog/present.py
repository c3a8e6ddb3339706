"""Whether a statement may be planned as if the present time had no zone: only then ``now()`` cuts the list of files.

The times of events have no zone, and what is to be compared with a time that has one is cast first: the engine does not
push that through a view. In UTC, which all connections are in, both are the same moment. But a function may take the
one otherwise than the other, or tell them apart. So it is planned in that way only where each present time, less or
more an interval, is compared with ``recorded_at`` and nothing else is done with it.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterator

NAMED = re.compile(r"\bnow\b|current_timestamp|transaction_timestamp", re.IGNORECASE)
"""Without this in its text a statement has nothing of the kind."""

FUNCTIONS = ("now", "get_current_timestamp", "transaction_timestamp")
"""What gives the present time with a zone."""

_COLUMN = "recorded_at"
_TYPES = frozenset({"TIMESTAMP", "DATE"})
_PARTS = frozenset({"second", "minute", "hour", "day", "month", "year"})
_INTERVAL = re.compile(r"to_(?:microseconds|milliseconds|seconds|minutes|hours|days|weeks|months|quarters|years)")
_ONE_UNIT = re.compile(
    r"[0-9]{1,9} (?:microsecond|millisecond|second|minute|hour|day|week|month|year)s?", re.IGNORECASE
)
_UNCLEAR = re.compile(r"columns|from_json.*|json_transform.*|unnest")
"""What makes columns whose names are in no text."""

_Node = Any


def may_lose_its_zone(tree: str) -> bool:
    """Whether it makes no difference, by a statement's `tree` as the engine writes it in JSON."""
    try:
        told = json.loads(tree)
        return not told.get("error", True) and _names_are_clear(told) and _is_compared(told["statements"])
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return False


def _names_are_clear(node: _Node) -> bool:
    """Whether `_COLUMN` is nothing but a column that is read: nothing else is called so."""
    if isinstance(node, str):
        return _COLUMN not in node.lower()
    if isinstance(node, list):
        return all(map(_names_are_clear, node))
    if not isinstance(node, dict):
        return True
    kind = node.get("class")
    if kind == "LAMBDA" and _COLUMN in json.dumps(node).lower():
        return False
    if (kind == "FUNCTION" and _UNCLEAR.fullmatch(_function(node))) or (kind == "STAR" and node.get("columns")):
        return False
    return all(
        _names_are_clear(value)
        for key, value in node.items()
        if not (kind == "COLUMN_REF" and key in ("column_names", "qualified_name"))
    )


def _is_compared(node: _Node) -> bool:
    """Whether every present time in it is only compared."""
    if isinstance(node, list):
        return all(map(_is_compared, node))
    if not isinstance(node, dict):
        return True
    kind = node.get("class")
    if kind == "FUNCTION" and _function(node) in FUNCTIONS:
        return False
    if kind == "COMPARISON":
        sides = (node["left"], node["right"])
        if any(map(_is_present, sides)) and any(map(_is_time, sides)):
            return True
    if kind == "BETWEEN" and _is_time(node["input"]) and _is_present(node["lower"]) and _is_present(node["upper"]):
        return True
    return all(map(_is_compared, node.values()))


def _is_time(node: _Node) -> bool:
    """Whether that is the time of an event, or its day."""
    if node.get("class") == "CAST" and _type(node) == "DATE" and not node["try_cast"]:
        node = node["child"]
    return bool(node.get("class") == "COLUMN_REF" and node["column_names"][-1].lower() == _COLUMN)


def _is_present(node: _Node) -> bool:
    """Whether that is the present time, less or more an interval, or the beginning of its day or the like."""
    kind = node.get("class")
    if kind == "CAST":
        return _type(node) in _TYPES and not node["try_cast"] and _is_present(node["child"])
    if kind != "FUNCTION":
        return False
    name, given = _function(node), _arguments(node)
    if name in FUNCTIONS:
        return not given
    if len(given) != 2:
        return False
    if name in ("+", "-"):
        return _is_present(given[0]) and _is_interval(given[1])
    if name == "date_trunc":
        part = given[0].get("literal") or {}
        return part.get("kind") == "STRING" and part.get("text") in _PARTS and _is_present(given[1])
    return False


def _is_interval(node: _Node) -> bool:
    """Whether that is an interval of one unit, constant but for parameters.

    Of several units the engine subtracts the days before the months where there is a zone, and else after them.
    """
    if any(each.get("class") in ("COLUMN_REF", "SUBQUERY") or _function(each) in FUNCTIONS for each in _all_of(node)):
        return False
    if node.get("class") == "CAST":
        text = str((node["child"].get("literal") or {}).get("text")).lower()
        return _type(node) == "INTERVAL" and _ONE_UNIT.fullmatch(text) is not None
    return node.get("class") == "FUNCTION" and _INTERVAL.fullmatch(_function(node)) is not None


def _function(node: _Node) -> str:
    return str(node.get("function_name", "")).lower()


def _arguments(node: _Node) -> list[_Node]:
    return [each["expression"] for each in node["arguments"]]


def _type(node: _Node) -> str:
    return str(node["type_expr"]["type_name"]).upper()


def _all_of(node: _Node) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
    for each in node.values() if isinstance(node, dict) else node if isinstance(node, list) else ():
        yield from _all_of(each)
