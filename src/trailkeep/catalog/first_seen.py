"""The text of the view ``first_seen``: since when each principal, Project and Organization is known with what.

Every pair of a kind of subject and a dimension is a branch of its own with both as constants: the engine drops the
branches that a condition on them rules out, and reads only the columns of the others. A NULL is no value: an event
without an address, or without a principal, has no row for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Collection

_API = "SELECT {columns}, recorded_at, is_success(status_code) AS succeeded FROM main.api_events"
_LOGINS = "SELECT {columns}, recorded_at, succeeded FROM main.logins"
_COUNTED = (
    "min(recorded_at) AS first_at, max(recorded_at) AS last_at, count(*) AS events,"
    " min(recorded_at) FILTER (succeeded) AS first_success_at"
)
_COUNTED_AGAIN = (
    "min(first_at) AS first_at, max(last_at) AS last_at, CAST(sum(events) AS BIGINT) AS events,"
    " min(first_success_at) AS first_success_at"
)
_ACTIVITY = "''"

_SUBJECTS = {
    "principal": ("principal_id", "user_id"),
    "project": ("project_id", None),
    "organization": ("organization_id", "organization_id"),
}
"""What names a subject in a call, and in a login; a login is in no Project."""

_VALUES = {
    "activity": (_ACTIVITY, _ACTIVITY),
    "address": ("source_ip", "source_ip"),
    "agent": ("user_agent", "user_agent"),
    "locality": ("locality", None),
    "product": ("product_name", None),
    "method": ("method_name", None),
    "country": (None, "country_code"),
}
"""What names the value of a dimension in a call, and in a login."""

_MADE_OF = {"network": ("address", "ip_network"), "family": ("agent", "user_agent_family")}
"""Dimensions whose values are worked out from another's, once for each value and not for each event."""

DIMENSIONS = {
    "principal": (*("activity", "address", "network", "agent", "family", "locality", "product", "method", "country"),),
    "project": ("activity", "locality", "product", "method"),
    "organization": ("activity", "network", "agent", "locality", "product", "method", "country"),
}
"""The dimensions of each kind of subject."""


def _rows(subject: str, dimension: str) -> str:
    """The events of a branch: whose they are, the value, when, and whether they succeeded."""
    parts = []
    for template, of_subject, value in zip((_API, _LOGINS), _SUBJECTS[subject], _VALUES[dimension], strict=True):
        if of_subject is not None and value is not None:
            columns = f"organization_id, {of_subject} AS subject_id, {value} AS value"
            parts.append(template.format(columns=columns))
    return " UNION ALL ".join(parts)


def _branch(subject: str, dimension: str) -> str:
    named = f"organization_id, '{subject}' AS subject_type, subject_id, '{dimension}' AS dimension, value"
    grouped = "GROUP BY organization_id, subject_id, value"
    held = "subject_id IS NOT NULL AND value IS NOT NULL"
    source, worked_out = _MADE_OF.get(dimension, (dimension, None))
    counted = f"{_COUNTED} FROM ({_rows(subject, source)}) WHERE {held} {grouped}"
    if worked_out is None:
        return f"SELECT {named}, {counted}"
    values = f"SELECT organization_id, subject_id, value, {counted}"
    again = (
        f"SELECT organization_id, subject_id, {worked_out}(value) AS value,"  # noqa: S608 - our own text
        f" first_at, last_at, events, first_success_at FROM ({values})"
    )
    return f"SELECT {named}, {_COUNTED_AGAIN} FROM ({again}) WHERE value IS NOT NULL {grouped}"  # noqa: S608


def first_seen(branches: Collection[tuple[str, str]]) -> str:
    """The statement that creates the view with these of its branches, at least one."""
    return "CREATE VIEW main.first_seen AS\n" + "\nUNION ALL\n".join(
        _branch(subject, dimension)
        for subject, dimensions in DIMENSIONS.items()
        for dimension in dimensions
        if (subject, dimension) in branches
    )


FIRST_SEEN = first_seen([(subject, each) for subject, dimensions in DIMENSIONS.items() for each in dimensions])
