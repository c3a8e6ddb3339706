"""An answer's first rows as text and as HTML, in which no value of an event can do anything."""

from __future__ import annotations

import html
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any

from trailkeep.hostile import visible

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

ROWS = 10
"""Rows that are shown."""

CELL_CHARACTERS = 32
"""How much of a value is shown in text."""

LINE_CHARACTERS = 120
"""How much of a row is shown in text."""

HTML_CELL_CHARACTERS = 200
"""How much of a value is shown in HTML."""


def as_text(title: str, rows: pa.Table) -> str:
    """The title and the rows as lines of fixed columns."""
    names = [_shortened(_one_line(name), CELL_CHARACTERS) for name in rows.column_names]
    body = [[_shortened(cell, CELL_CHARACTERS) for cell in row] for row in _cells(rows)]
    widths = [max(map(len, column)) for column in zip(names, *body, strict=True)]
    lines = ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)) for row in [names, *body]]
    return "\n".join([visible(title), *(_shortened(line.rstrip(), LINE_CHARACTERS) for line in lines)])


def as_html(title: str, rows: pa.Table) -> str:
    """The title and the rows as an HTML table; every character of a name or a value is text."""
    head = "".join(f"<th>{_escaped(_one_line(name))}</th>" for name in rows.column_names)
    body = "".join(f"<tr>{''.join(f'<td>{_escaped(cell)}</td>' for cell in row)}</tr>" for row in _cells(rows))
    return f"<p>{_escaped(visible(title))}</p><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _cells(rows: pa.Table) -> list[list[str]]:
    return [[_cell(column[index]) for column in rows.columns] for index in range(rows.num_rows)]


def _cell(scalar: pa.Scalar) -> str:
    return _one_line(_read(scalar))


def _read(scalar: pa.Scalar) -> str:
    import pyarrow as pa

    try:
        return _written(scalar.as_py())
    except (ValueError, OverflowError):  # a time, or something in a list, that Python cannot tell
        if isinstance(scalar, pa.ListScalar):
            elements: Iterable[Any] = scalar
            return "[" + ", ".join(_read(each) for each in elements) + "]"
        if isinstance(scalar, pa.StructScalar):
            return "{" + ", ".join(f"{key}: {_read(each)}" for key, each in scalar.items()) + "}"
        return f"{scalar.type} {getattr(scalar, 'value', '')}".rstrip()


def _written(value: Any) -> str:
    if value is None:
        return "NULL"
    if isinstance(value, str):
        return value or '""'
    if isinstance(value, datetime):
        return (value.astimezone(UTC).replace(tzinfo=None) if value.tzinfo else value).isoformat(sep=" ") + "Z"
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, list):
        return "[" + ", ".join(map(_written, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {_written(each)}" for key, each in value.items()) + "}"
    return str(value)


def _one_line(text: str) -> str:
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def _shortened(text: str, characters: int) -> str:
    return text if len(text) <= characters else text[: characters - 1] + "…"


def _escaped(text: str) -> str:
    # A notebook looks for formulas between dollars, and its library for them has had holes of its own.
    return html.escape(_shortened(text, HTML_CELL_CHARACTERS)).replace("$", "&#36;").replace("\\(", "&#92;(")
