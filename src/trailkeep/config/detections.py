"""How detections are tuned: the tables ``[detections.NAME]`` of trailkeep.toml."""

from __future__ import annotations

import re
import tomllib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from trailkeep.errors import ConfigError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

TABLE = "detections"

SEVERITIES = ("info", "low", "medium", "high", "critical")

_OWN = {"enabled": bool, "severity": str}
"""The keys that are not parameters."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Tuning:
    """One table ``[detections.NAME]``; which detection and which parameters it means is seen when they are read."""

    name: str
    enabled: bool = True
    severity: str | None = None
    """None for the query's own."""
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """As TOML has them, by name."""
    folder: Path | None = None
    """Where files that values name (``@FILE``) are relative to."""
    where: str = ""
    """FILE:LINE of the table, for errors."""
    places: Mapping[str, str] = field(default_factory=dict)
    """FILE:LINE of each key."""


def read_tunings(tables: object, where: Callable[[str | None, str | None], str], folder: Path) -> dict[str, Tuning]:
    """The tables below ``[detections]``, by name; `where` gives FILE:LINE of a table and of a key in it.

    Raises ConfigError, and never repeats a value.
    """
    if not isinstance(tables, dict):
        raise ConfigError(f'{where(None, None)}: detections is a set of tables, [detections."stage/name"]')
    return {name: _tuning(name, table, where, folder) for name, table in tables.items()}


def _tuning(name: str, table: object, where: Callable[[str | None, str | None], str], folder: Path) -> Tuning:
    at = where(name, None)
    if not isinstance(table, dict):
        raise ConfigError(
            f"{at}: a detection is tuned in a table of its own",
            hint='Write [detections."stage/name"], and what is to be different below it.',
        )
    places = {key: where(name, key) for key in table}
    for key, value in table.items():
        if key in _OWN and type(value) is not _OWN[key]:
            wanted = "true or false" if _OWN[key] is bool else f"one of {', '.join(SEVERITIES)}, in quotes"
            raise ConfigError(f"{places[key]}: {key} must be {wanted}")
    severity = table.get("severity")
    if severity is not None and severity not in SEVERITIES:
        raise ConfigError(f"{places['severity']}: severity must be one of {', '.join(SEVERITIES)}, in quotes")
    return Tuning(
        name=name,
        enabled=table.get("enabled", True),
        severity=severity,
        parameters={key: value for key, value in table.items() if key not in _OWN},
        folder=folder,
        where=at,
        places=places,
    )


def line_of(lines: Sequence[str], table: str, name: str, key: str | None) -> int | None:
    """The line (from 1) on which ``[table.name]`` or a key in it begins; None where it is written in another way.

    A line counts only where everything before it is a whole document, so that it is not inside a value.
    """
    in_table = False
    start = None if key is None else re.compile(rf"\s*(['\"]?){re.escape(key)}\1\s*[.=]")
    for number, line in enumerate(lines, start=1):
        if line.lstrip().startswith("["):
            if (header := _header(line)) is not None and _is_whole(lines[: number - 1]):
                in_table = header == {table: {name: {}}}
                if in_table and start is None:
                    return number
        elif in_table and start is not None and start.match(line) and _is_whole(lines[: number - 1]):
            return number
    return None


def _header(line: str) -> dict[str, Any] | None:
    try:
        return tomllib.loads(line)
    except (ValueError, RecursionError):
        return None


def _is_whole(lines: Sequence[str]) -> bool:
    return _header("\n".join(lines)) is not None
