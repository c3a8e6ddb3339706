"""Text with a delimiter between cells: CSV, and the tables of Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, BinaryIO

from trailkeep.cli.diagnostics import visible
from trailkeep.cli.results.values import cells

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa

_TO_QUOTE = re.compile(r'[,"\r\n]|^\s|\s$|^$')
_MARKDOWN = re.compile(r"[\\`*_\[\]|#~!]")


class CsvWriter:
    """RFC 4180 with line feeds, UTF-8, a header; null is an empty cell and the empty string is ``""``."""

    def __init__(self, sink: BinaryIO, schema: pa.Schema, *, visible_controls: bool = False) -> None:
        self._sink = sink
        self._visible_controls = visible_controls
        """For a terminal: control characters shown as escapes. A file keeps every byte."""
        self._write_lines([schema.names])

    def write(self, batch: pa.RecordBatch) -> None:
        """Write some rows."""
        self._write_lines(zip(*(cells(column) for column in batch.columns), strict=True))

    def close(self) -> None:
        """Nothing comes after the last row."""

    def _write_lines(self, rows: Iterable[Iterable[str | None]]) -> None:
        text = "".join(",".join(map(_csv_cell, row)) + "\n" for row in rows)
        if self._visible_controls:
            text = visible(text)
        self._sink.write(text.encode())


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
        self._sink.write("".join(f"| {' | '.join(row)} |\n" for row in rows).encode())


def _csv_cell(text: str | None) -> str:
    if text is None:
        return ""
    return '"' + text.replace('"', '""') + '"' if _TO_QUOTE.search(text) else text


def _markdown_cell(text: str | None) -> str:
    """Null is an empty cell, and the empty string is two quotation marks."""
    if text is None:
        return ""
    if text == "":
        return '""'
    escaped = _MARKDOWN.sub(lambda match: "\\" + match[0], text)
    escaped = escaped.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return visible(escaped).replace("\r\n", "<br>").replace("\n", "<br>").replace("\t", " ")
