"""What the rows of a saved query mean: its columns in words, the finding that a row is, and where to go from a row."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trailkeep.queries.header import known_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trailkeep.queries.header import Form, FrontMatter
    from trailkeep.queries.toml_places import Path as Place

PRINCIPAL = "principal"
"""The placeholder for the actor's name and id, whichever column has the actor."""

_PLACEHOLDER = re.compile(r"\{(\w+)\}")
_NAME = re.compile(r"[a-z][a-z0-9_]*")
_QUERY = re.compile(r"[a-z0-9][a-z0-9_-]*(/[a-z0-9][a-z0-9_-]*)?")

_FINDING_KEYS: dict[str, Form] = {"summary": "text", "key": "texts"}
_NEXT_KEYS: dict[str, Form] = {"query": "text", "why": "text", "params": "table"}


@dataclass(frozen=True, slots=True, kw_only=True)
class FindingForm:
    """How a row becomes a finding."""

    summary: str
    """One sentence with the facts; ``{column}`` stands for the row's value, ``{principal}`` for who acted."""
    key: tuple[str, ...]
    """The columns that tell one finding from another, whatever span was asked."""

    @property
    def placeholders(self) -> tuple[str, ...]:
        """The columns that the summary names, and `PRINCIPAL` where it does, each once, in its order."""
        return tuple(dict.fromkeys(_PLACEHOLDER.findall(self.summary)))

    def filled(self, values: Mapping[str, str]) -> str:
        """The summary with these texts in place of the placeholders; a text is never read for placeholders again."""
        return _PLACEHOLDER.sub(lambda match: values.get(match[1], match[0]), self.summary)


@dataclass(frozen=True, slots=True, kw_only=True)
class Next:
    """A query to go to from a row."""

    query: str
    """Its full name, or the last part of it where only one has it."""
    why: str
    """What it tells."""
    parameters: Mapping[str, str]
    """By the name of its parameter, the column of this query that has the value."""


def read_columns(written: dict[str, Any], front: FrontMatter) -> dict[str, str]:
    """The columns with what they mean, in the order in which they are declared."""
    columns: dict[str, str] = {}
    for name, meaning in written.items():
        if not isinstance(meaning, str) or not meaning.strip():
            front.problem(("columns", name), f"the column {name} is not explained", f'Write {name} = "What it says."')
        else:
            columns[name] = " ".join(meaning.split())
    return columns


def read_finding(written: dict[str, Any], front: FrontMatter) -> FindingForm | None:
    """The finding that a row is, where it is well said."""
    before = len(front.problems)
    known = known_keys(written, _FINDING_KEYS, front, ("finding",))
    summary = " ".join(known.get("summary", "").split())
    if not summary and "summary" not in written.keys() - known.keys():
        front.problem(("finding", "summary"), "the finding has no summary", 'Write summary = "{principal} did ...".')
    if stray := re.search(r"[{}]", _PLACEHOLDER.sub("", summary)):
        hint = "Braces enclose the name of a column, or principal: {source_ip}."
        front.problem(("finding", "summary"), f"a {stray[0]} of the summary encloses no name", hint)
    key = known.get("key", [])
    if not key and "key" not in written.keys() - known.keys():
        hint = 'Name the columns that tell one finding from another: key = ["id"].'
        front.problem(("finding", "key"), "the finding has no key", hint)
    for index, column in enumerate(key):
        if column in key[:index]:
            front.problem(("finding", "key", index), f"{column!r} is in the key twice")
    return FindingForm(summary=summary, key=tuple(key)) if len(front.problems) == before else None


def read_next(written: list[dict[str, Any]], front: FrontMatter) -> tuple[Next, ...]:
    """The queries to go to, those that are well said."""
    found = (_one_next(table, ("next", index), front) for index, table in enumerate(written))
    return tuple(each for each in found if each is not None)


def _one_next(written: dict[str, Any], place: Place, front: FrontMatter) -> Next | None:
    before = len(front.problems)
    known = known_keys(written, _NEXT_KEYS, front, place)
    for name in ("query", "why"):
        if not known.get(name, "").strip() and name not in written.keys() - known.keys():
            front.problem((*place, name), f"a [[next]] has no {name}", 'Write query = "stage/name" and why = "...".')
    query = known.get("query", "")
    if query.strip() and not _QUERY.fullmatch(query):
        front.problem((*place, "query"), f"{query!r} is not the name of a query, such as scope/principal-timeline")
    parameters = known.get("params", {})
    for name, column in parameters.items():
        if not _NAME.fullmatch(name) or not isinstance(column, str) or not column:
            hint = "Write the other query's parameter = the column of this one, as text."
            front.problem((*place, "params", name), f"{name!r} is not given a column", hint)
    if len(front.problems) > before:
        return None
    return Next(query=query, why=" ".join(known["why"].split()), parameters=dict(parameters))
