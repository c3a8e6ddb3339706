"""What a finding says to people: its sentence, and the commands that tell more. Events' strings are in both."""

from __future__ import annotations

import shlex
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from trailkeep.hostile import one_line
from trailkeep.queries.leading import as_given
from trailkeep.timespan import format_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trailkeep.queries import Next, SavedQuery

MAX_SUMMARY_CHARACTERS = 600
MAX_VALUE_CHARACTERS = 120
"""What is longer is cut, and ends with an ellipsis."""

MAX_LISTED = 5
"""How many values of a list a sentence names."""

UNKNOWN = "unknown"

_BEFORE = timedelta(days=7)
"""How long before a finding the commands begin to look, where nothing else is said."""


def summary(saved: SavedQuery, row: Mapping[str, Any], actor_id: str | None, actor_name: str | None) -> str:
    """One sentence with the facts of a row, on one line, its control characters shown as escapes."""
    assert saved.finding is not None
    values = {
        name: shown(row.get(name)) if name in row else principal(actor_id, actor_name)
        for name in saved.finding.placeholders
    }
    return _cut(saved.finding.filled(values), MAX_SUMMARY_CHARACTERS)


def principal(actor_id: str | None, actor_name: str | None) -> str:
    """Who acted: the name and the id."""
    if actor_id is None:
        return "somebody unknown"
    identifier = shown(actor_id)
    return f"{shown(actor_name)} ({identifier})" if actor_name else identifier


def shown(value: Any) -> str:
    """A value of a row as a sentence has it."""
    if value is None or value == "":
        return UNKNOWN
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, datetime):
        moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
        return f"{format_time(moment)[:19].replace('T', ' ')}Z"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, timedelta):
        return length(value)
    if isinstance(value, list | tuple):
        named = [shown(each) for each in value[:MAX_LISTED]]
        more = [f"and {len(value) - MAX_LISTED} more"] if len(value) > MAX_LISTED else []
        return ", ".join([*named, *more]) or "none"
    return _cut(one_line(str(value)), MAX_VALUE_CHARACTERS)


def length(value: timedelta) -> str:
    """A length of time in days, hours, minutes and seconds, those of them that it has."""
    rest, sign = (abs(value), "-" if value < timedelta(0) else "")
    seconds = rest.days * 86_400 + rest.seconds
    parts = [(seconds // 86_400, "d"), (seconds // 3_600 % 24, "h"), (seconds // 60 % 60, "m"), (seconds % 60, "s")]
    return sign + (" ".join(f"{count}{unit}" for count, unit in parts if count) or "0s")


def commands(
    saved: SavedQuery, row: Mapping[str, Any], first_seen: datetime, queries: Mapping[str, SavedQuery]
) -> list[str]:
    """The commands that lead on from a row, quoted for a shell, in their order.

    One that needs a value which the row has not, or which cannot stand in a command, is left out.
    """
    found = (_command(each, row, first_seen, queries.get(each.query)) for each in saved.next)
    return list(dict.fromkeys(each for each in found if each is not None))


def _command(leading: Next, row: Mapping[str, Any], first_seen: datetime, query: SavedQuery | None) -> str | None:
    times: list[str] = []
    given: list[str] = []
    for name, column in leading.parameters.items():
        parameter = query.parameters.get(name) if query else None
        value = as_given(row.get(column), parameter)
        if value is None:
            return None
        if name in ("since", "until"):
            times += [f"--{name}", shlex.quote(value)]
        else:
            given += ["-p", shlex.quote(f"{name}={value}")]
    if "since" not in leading.parameters:
        times = ["--since", f"{format_time(first_seen - _BEFORE)[:10]}", *times]
    return " ".join(["trailkeep", "query", shlex.quote(query.name if query else leading.query), *times, *given])


def _cut(text: str, length: int) -> str:
    return text if len(text) <= length else f"{text[: length - 1]}…"
