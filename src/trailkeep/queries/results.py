"""What a saved query says of its rows, held against the columns that its result has."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Literal

from trailkeep.config.detections import SEVERITIES
from trailkeep.queries.meaning import PRINCIPAL

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trailkeep.queries.front_matter import SavedQuery
    from trailkeep.queries.header import FrontMatter

ColumnType = Literal["time", "text", "texts", "count", "other"]
"""What the rules tell apart of a column's type."""

WHO = ("principal_id", "user_id", "actor_id")
"""The columns that can say who acted; the first of them that there is does."""

_WORDS: dict[ColumnType, str] = {
    "time": "TIMESTAMP",
    "text": "VARCHAR",
    "texts": "VARCHAR[]",
    "count": "BIGINT",
    "other": "anything",
}
_TYPES: dict[str, ColumnType] = {
    **dict.fromkeys(WHO, "text"),
    **dict.fromkeys(("recorded_at", "first_at", "last_at"), "time"),
    **dict.fromkeys(("id", "source_ip", "user_agent", "outcome"), "text"),
    **dict.fromkeys(("event_ids", "source_ips", "user_agents"), "texts"),
    "events": "count",
}
"""The columns that become parts of a finding, and their types."""


def check_result(saved: SavedQuery, front: FrontMatter, columns: Mapping[str, ColumnType]) -> None:
    """Note where the front matter and the result's columns do not agree."""
    if saved.columns:
        _check_explained(saved, front, list(columns))
    if saved.finding is not None and saved.severity is not None:
        _check_finding(saved, front, columns)
    for index, each in enumerate(saved.next):
        for name, column in each.parameters.items():
            if column not in columns:
                front.problem(("next", index, "params", name), *_no_column(column, columns))


def check_severity(saved: SavedQuery, front: FrontMatter) -> None:
    """Note a severity without the form of its findings, and the reverse."""
    if saved.severity in SEVERITIES and "finding" not in front.keys:
        hint = 'Add a table [finding] with summary = "..." and key = ["id"], or remove the severity.'
        front.problem(("severity",), "a row is a finding, and nothing says how to tell of it", hint)
    if saved.finding is not None and "severity" not in front.keys:
        hint = "Add severity = ..., or remove the table."
        front.problem(("finding",), "a query without a severity has no findings", hint)


def check_next(saved: SavedQuery, front: FrontMatter, find: Callable[[str], SavedQuery | str]) -> None:
    """Note pivots to queries that are not there or cannot be asked so; `find` gives the query, or what is wrong."""
    for index, each in enumerate(saved.next):
        query = find(each.query)
        if isinstance(query, str):
            front.problem(("next", index, "query"), query)
            continue
        for name in each.parameters:
            if name not in query.parameters:
                there = ", ".join(query.parameters)
                front.problem(
                    ("next", index, "params", name), f"{each.query} has no parameter {name!r}", f"It has: {there}."
                )
        for name, parameter in query.parameters.items():
            if parameter.required and name not in each.parameters:
                hint = f'Add params = {{ {name} = "column" }}: {parameter.wanted}.'
                front.problem(("next", index), f"{each.query} cannot be asked without {name}", hint)


def _check_explained(saved: SavedQuery, front: FrontMatter, columns: list[str]) -> None:
    """The columns are explained in their order, all of them and no other."""
    said = list(saved.columns)
    for name in said:
        if name not in columns:
            front.problem(("columns", name), *_no_column(name, columns))
    unsaid = [name for name in columns if name not in saved.columns and name not in front.columns]
    if unsaid:
        hint = "Add what each says, in an analyst's words."
        front.problem(("columns",), f"of the result's columns {_listed(unsaid)} not explained", hint)
    there = [name for name in columns if name in saved.columns]
    for name, wanted in zip([name for name in said if name in columns], there, strict=True):
        if name != wanted:
            hint = f"The order is: {', '.join(columns)}."
            front.problem(("columns", name), f"{name} stands where the result has {wanted}", hint)
            return


def _check_finding(saved: SavedQuery, front: FrontMatter, columns: Mapping[str, ColumnType]) -> None:
    """A row has all that a finding tells: who, when, which events, from where."""
    assert saved.finding is not None

    def missing(what: str, wanted: str) -> None:
        front.problem(("finding",), f"the rows do not say {what}", f"Select {wanted}; docs/sql.md lists the columns.")

    if not any(name in columns for name in WHO):
        missing("who acted", "principal_id, user_id or actor_id, which may be NULL")
    if "recorded_at" not in columns and not {"first_at", "last_at"} <= columns.keys():
        missing("when it was", "recorded_at, or first_at and last_at")
    if "id" not in columns and "event_ids" not in columns:
        missing("which events they are made of", "id, or event_ids in the order of recorded_at, id")
    if "recorded_at" not in columns and "first_at" in columns and "events" not in columns:
        missing("how many events they are made of", "count(*) AS events")
    for name, wanted in _TYPES.items():
        if columns.get(name, wanted) != wanted:
            front.problem(("finding",), f"{name} is not {_WORDS[wanted]}", f"A finding takes it as {_WORDS[wanted]}.")
    for index, name in enumerate(saved.finding.key):
        if name not in columns:
            front.problem(("finding", "key", index), *_no_column(name, columns))
    for name in saved.finding.placeholders:
        if name not in columns and name != PRINCIPAL:
            front.problem(("finding", "summary"), *_no_column(name, columns))


def _no_column(name: str, columns: Mapping[str, ColumnType] | list[str]) -> tuple[str, str]:
    near = difflib.get_close_matches(name, columns, n=1)
    guess = f"Did you mean {near[0]}? " if near else ""
    return f"the result has no column {name!r}", f"{guess}It has: {', '.join(columns)}."


def _listed(names: list[str]) -> str:
    return f"{', '.join(names)} {'is' if len(names) == 1 else 'are'}"
