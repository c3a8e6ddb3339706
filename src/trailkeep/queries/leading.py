"""From a row to the next query: what is written on the command line for it."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from trailkeep.hostile import one_line
from trailkeep.queries.parameters import STANDARD, item_type
from trailkeep.timespan import format_age, format_time

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trailkeep.queries.meaning import Next
    from trailkeep.queries.parameters import Parameter

LONGEST_VALUE = 2_000
"""A longer value is not written out."""


def arguments(leading: Next, row: Mapping[str, Any] | None = None, parameters: Mapping[str, Parameter] = {}) -> str:
    """The query's name and its parameters as they follow ``trailkeep query``.

    They are filled from `row`; what it does not have, or what cannot stand in a command, is the column's name in angle
    brackets. `parameters` are those of the query that it leads to, as far as they are known.
    """
    words = [leading.query]
    for name, column in leading.parameters.items():
        value = None if row is None else as_given(row.get(column), parameters.get(name))
        written = f"<{column}>" if value is None else shlex.quote(value)
        words.append(f"--{name} {written}" if name in STANDARD else f"-p {name}={written}")
    return " ".join(words)


def as_given(value: Any, parameter: Parameter | None) -> str | None:
    """A value of a row as it is given for a parameter; None where it cannot be."""
    is_list = parameter is not None and item_type(parameter.type) is not None
    if isinstance(value, list | tuple):
        texts = [text for each in value if (text := as_given(each, None))]
        if not texts or (is_list and any("," in text for text in texts)):
            return None
        written = ",".join(texts) if is_list else texts[0]
    elif isinstance(value, datetime):
        written = format_time(value.replace(tzinfo=UTC) if value.tzinfo is None else value)
    elif isinstance(value, timedelta):
        written = format_age(value)
    elif value is None or value == "":
        return None
    else:
        written = str(value)
    if one_line(written) != written or len(written) > LONGEST_VALUE:
        return None
    # A list that begins with an @ is a file.
    return f"@{written}" if is_list and written.startswith("@") else written
