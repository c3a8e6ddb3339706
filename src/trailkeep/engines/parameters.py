"""The parameters of a query in other engines: their types, and the values as these engines take them."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

from trailkeep.engines.spark_times import duration_text
from trailkeep.queries.parameters import item_type

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trailkeep.queries import SavedQuery

_BY_CLASS: tuple[tuple[type, str], ...] = (
    (bool, "boolean"),
    (int, "integer"),
    (float, "number"),
    (datetime, "timestamp"),
    (timedelta, "duration"),
)
PLAIN = frozenset({"timestamp", "duration", "integer", "number", "boolean"})
"""The types that are not text."""


def types_of(saved: SavedQuery | None, bound: Mapping[str, Any]) -> dict[str, str]:
    """The type of every parameter by its name in lower case: as declared, else as its value is."""
    types = {name.lower(): _type_of(value) for name, value in bound.items()}
    if saved is not None:
        types |= {name.lower(): plain_type(parameter.type) for name, parameter in saved.parameters.items()}
    return types


def plain_type(declared: str) -> str:
    """A declared type as one of `PLAIN` or text, or a list of it."""
    if (item := item_type(declared)) is not None:
        return f"list[{plain_type(item)}]"
    return declared if declared in PLAIN else "text"


def _type_of(value: Any) -> str:
    if isinstance(value, (list, tuple)):
        return f"list[{_type_of(value[0]) if value else 'text'}]"
    return next((name for kind, name in _BY_CLASS if isinstance(value, kind)), "text")


def text_value(value: Any) -> Any:
    """A value with its times and lengths of time as the text that engines cast to them."""
    if isinstance(value, datetime):
        return value.isoformat(sep=" ", timespec="microseconds")
    if isinstance(value, timedelta):
        return duration_text(value)
    return value


def spark_value(value: Any, declared: str) -> Any:
    """A value to bind in Spark; the SQL casts it to its type."""
    if declared.startswith("list["):
        return [text_value(each) for each in value or []]
    return text_value(value)
