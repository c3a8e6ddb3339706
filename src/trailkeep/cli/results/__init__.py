"""Results as bytes: one module per family of formats, all of them streams."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    import pyarrow as pa


class ResultFormat(StrEnum):
    """How a result is written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    NDJSON = "ndjson"
    PARQUET = "parquet"
    MARKDOWN = "markdown"


SUFFIXES = {
    ".csv": ResultFormat.CSV,
    ".json": ResultFormat.JSON,
    ".ndjson": ResultFormat.NDJSON,
    ".jsonl": ResultFormat.NDJSON,
    ".parquet": ResultFormat.PARQUET,
    ".md": ResultFormat.MARKDOWN,
}
"""The format that a file's name asks for."""


class ResultWriter(Protocol):
    """Writes one result; `close` writes what comes after the last row, and leaves the sink open."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Write some rows."""

    def close(self) -> None:
        """Write the end."""


def writer_for(
    form: ResultFormat, sink: BinaryIO, schema: pa.Schema, *, width: int | None = None, terminal: bool = False
) -> ResultWriter:
    """The writer of a format to `sink`; `width` is the terminal's where one shows a table."""
    match form:
        case ResultFormat.CSV:
            from trailkeep.cli.results.delimited import CsvWriter

            return CsvWriter(sink, schema, visible_controls=terminal)
        case ResultFormat.MARKDOWN:
            from trailkeep.cli.results.delimited import MarkdownWriter

            return MarkdownWriter(sink, schema)
        case ResultFormat.JSON | ResultFormat.NDJSON:
            from trailkeep.cli.results.json_text import JsonWriter

            return JsonWriter(sink, schema, lines=form is ResultFormat.NDJSON)
        case ResultFormat.PARQUET:
            from trailkeep.cli.results.parquet import ParquetWriter

            return ParquetWriter(sink, schema)
        case ResultFormat.TABLE:
            from trailkeep.cli.results.table import TableWriter

            return TableWriter(sink, schema, width=width, terminal=terminal)
