"""Text with a delimiter between cells: CSV, and the tables of Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, BinaryIO

from trailkeep.cli.diagnostics import visible
from trailkeep.cli.results.values import cells

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    import pyarrow as pa

_TO_QUOTE = re.compile(r'[,"\r\n]|^\s|\s$|^$')
_MARKDOWN = re.compile(r"[\\`*_\[\]|#~!]")

LONE_NULL = "NULL"
"""Null where it is the only cell of its line: an empty line is no row to most who read CSV."""

_ENDS_CELL = r"[;\t\r\n\v\f\x85\u2028\u2029]"
"""What ends a cell for a spreadsheet that splits elsewhere than at commas, or takes no notice of quotation marks."""
_BLANK = r"[ \"'\x00-\x08\x0e-\x1f\x7f-\x84\x86-\xa0\u200b-\u200f\u202a-\u202e\u2060-\u2069\u3000\ufeff]*"
"""What a spreadsheet may drop before it looks at a cell's first character; the ends of cells are not among it, so that
no character is looked at twice."""
_FORMULA = "[=+\\-@\u2212\ufe62\ufe63\ufe66\ufe6b\uff0b\uff0d\uff1d\uff20]"
"""What a formula begins with, and its full-width and small forms, which some spreadsheets take for the same."""
_STARTS_FORMULA = re.compile(rf"^(?=[\t\r\n])|(?:^|(?<={_ENDS_CELL}))(?={_BLANK}{_FORMULA})")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?")


class CsvWriter:
    """RFC 4180 with line feeds, UTF-8, a header; null is an empty cell and the empty string is ``""``.

    In a result of one column null is ``NULL`` without quotation marks, and the text NULL has them.
    """

    def __init__(
        self, sink: BinaryIO, schema: pa.Schema, *, visible_controls: bool = False, spreadsheet_safe: bool = False
    ) -> None:
        self._sink = sink
        self._visible_controls = visible_controls
        """For a terminal: control characters shown as escapes. A file keeps every byte."""
        self._spreadsheet_safe = spreadsheet_safe
        self._null = LONE_NULL if len(schema) == 1 else ""
        self._write_lines([schema.names])

    def write(self, batch: pa.RecordBatch) -> None:
        """Write some rows."""
        self._write_lines(zip(*(cells(column) for column in batch.columns), strict=True))

    def close(self) -> None:
        """Nothing comes after the last row."""

    def _write_lines(self, rows: Iterable[Sequence[str | None]]) -> None:
        null = self._null
        if self._spreadsheet_safe:
            rows = ([None if text is None else without_formula(text) for text in row] for row in rows)
        text = "".join(",".join([_csv_cell(text, null) for text in row]) + "\n" for row in rows)
        if self._visible_controls:
            text = visible(text)
        self._sink.write(encoded(text))


class MarkdownWriter:
    """A table of GitHub's Markdown; what values hold is text, never markup or HTML."""

    def __init__(self, sink: BinaryIO, schema: pa.Schema) -> None:
        self._sink = sink
        self._write_rows([[_markdown_cell(name) for name in schema.names], ["---"] * len(schema.names)])

    def write(self, batch: pa.RecordBatch) -> None:
        """Write some rows."""
        columns = [[_markdown_cell(text) for text in cells(column)] for column in batch.columns]
        self._write_rows(zip(*columns, strict=True))

    def close(self) -> None:
        """Nothing comes after the last row."""

    def _write_rows(self, rows: Iterable[Iterable[str]]) -> None:
        self._sink.write(encoded("".join(f"| {' | '.join(row)} |\n" for row in rows)))


def encoded(text: str) -> bytes:
    """UTF-8; what cannot be encoded is shown as an escape."""
    return text.encode(errors="backslashreplace")


def without_formula(text: str) -> str:
    """The text with an apostrophe before whatever a spreadsheet would take for the beginning of a formula.

    That is at its beginning, and after a character that ends a cell for a spreadsheet that splits elsewhere than at
    commas: at semicolons, as in much of Europe, or at tabs. Numbers stay numbers. What was there cannot be told any
    more from a text that had the apostrophe before.
    """
    return text if _NUMBER.fullmatch(text) else _STARTS_FORMULA.sub("'", text)


def _csv_cell(text: str | None, null: str) -> str:
    if text is None:
        return null
    return '"' + text.replace('"', '""') + '"' if _TO_QUOTE.search(text) or text == null else text


def _markdown_cell(text: str | None) -> str:
    """Null is an empty cell, and the empty string is two quotation marks."""
    if text is None:
        return ""
    if text == "":
        return '""'
    escaped = _MARKDOWN.sub(lambda match: "\\" + match[0], text)
    escaped = escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return visible(escaped).replace("\r\n", "<br>").replace("\n", "<br>").replace("\t", " ")
