"""Which views and macros a statement needs, with all that they are made of."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

LEDGER = "ledger"
"""The table of the ledger's entries."""

EXTRA = frozenset({"coverage", "gaps", "streams"})
"""The tables that are given from outside, by name, so that they are made only where they are needed."""

_PART = re.compile(r"\b(?:main|parts)\.\w+")
_MACRO = re.compile(r"CREATE MACRO (\w+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Needs:
    """The tables and the functions that a statement names, in lower case."""

    tables: frozenset[str] = frozenset()
    functions: frozenset[str] = frozenset()
    names: bool = True
    """Whether who acted may be asked for: ``actor_name`` and ``actor_type``."""
    branches: frozenset[tuple[str, str]] | None = None
    """Those of ``first_seen`` that there can be rows of, by subject and dimension; None for all."""


def chosen_views(needs: Needs, texts: Mapping[str, str]) -> set[str]:
    """The full names of the views and tables that `needs` comes down to; `texts` are those of the views of views."""
    chosen: set[str] = set()
    waiting = [name if "." in name else f"main.{name}" for name in needs.tables]
    while waiting:
        name = waiting.pop()
        if name not in chosen:
            chosen.add(name)
            waiting.extend(_PART.findall(_body(texts[name])) if name in texts else ())
    return chosen


def chosen_macros(macros: Iterable[str], functions: Iterable[str], texts: Iterable[str]) -> list[str]:
    """Those of the statements `macros` that the `functions` are, or that the `texts` or other macros use, in order."""
    by_name = {match[1]: text for text in macros if (match := _MACRO.search(text))}
    chosen: set[str] = set()
    waiting = [*functions, *(word for text in texts for word in _words(text))]
    while waiting:
        name = waiting.pop()
        if name in by_name and name not in chosen:
            chosen.add(name)
            waiting.extend(_words(by_name[name]))
    return [text for name, text in by_name.items() if name in chosen]


def _body(text: str) -> str:
    """The text of a view after its own name."""
    return text.partition(" AS")[2]


def _words(text: str) -> set[str]:
    return set(re.findall(r"\w+", text))
