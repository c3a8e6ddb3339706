"""Results as bytes: one module per family of formats, all of them streams."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, BinaryIO, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterable

    import pyarrow as pa


class ResultFormat(StrEnum):
    """How a result is written."""

    TABLE = "table"
    CSV = "csv"
    JSON = "json"
    NDJSON = "ndjson"
    PARQUET = "parquet"
    ARROW = "arrow"
    MARKDOWN = "markdown"


SUFFIXES = {
    ".csv": ResultFormat.CSV,
    ".json": ResultFormat.JSON,
    ".ndjson": ResultFormat.NDJSON,
    ".jsonl": ResultFormat.NDJSON,
    ".parquet": ResultFormat.PARQUET,
    ".arrow": ResultFormat.ARROW,
    ".feather": ResultFormat.ARROW,
    ".md": ResultFormat.MARKDOWN,
}
"""The format that a file's name asks for."""

BINARY = {ResultFormat.PARQUET: "Parquet", ResultFormat.ARROW: "Arrow"}
"""What is not for a terminal, by the name that people know it by."""


class Naming(Protocol):
    """Knows names for ids."""

    def shown(self, texts: Iterable[str]) -> dict[str, str]:
        """Each of the texts that is an id with a name as ``name (id)``."""


class ResultWriter(Protocol):
    """Writes one result; `close` writes what comes after the last row, and leaves the sink open."""

    def write(self, batch: pa.RecordBatch) -> None:
        """Write some rows."""

    def close(self) -> None:
        """Write the end."""


def writer_for(
    form: ResultFormat,
    sink: BinaryIO,
    schema: pa.Schema,
    *,
    width: int | None = None,
    terminal: bool = False,
    full: bool = False,
    vertical: bool = False,
    names: Naming | None = None,
    spreadsheet_safe: bool = False,
) -> ResultWriter:
    """The writer of a format to `sink`.

    `width` is the terminal's, where one shows the result: a table is laid out to fit it. With `full` a table leaves
    nothing out, with `vertical` it shows one row at a time, with `names` it has these beside ids; `spreadsheet_safe` is
    for CSV that a spreadsheet opens.
    """
    match form:
        case ResultFormat.CSV:
            from trailkeep.cli.results.delimited import CsvWriter

            return CsvWriter(sink, schema, visible_controls=terminal, spreadsheet_safe=spreadsheet_safe)
        case ResultFormat.MARKDOWN:
            from trailkeep.cli.results.delimited import MarkdownWriter

            return MarkdownWriter(sink, schema)
        case ResultFormat.JSON | ResultFormat.NDJSON:
            from trailkeep.cli.results.json_text import JsonWriter

            return JsonWriter(sink, schema, lines=form is ResultFormat.NDJSON)
        case ResultFormat.PARQUET:
            from trailkeep.cli.results.parquet import ParquetWriter

            return ParquetWriter(sink, schema)
        case ResultFormat.ARROW:
            from trailkeep.cli.results.arrow import ArrowWriter

            return ArrowWriter(sink, schema)
        case ResultFormat.TABLE if vertical:
            from trailkeep.cli.results.vertical import VerticalWriter

            return VerticalWriter(sink, schema, width=width, names=names)
        case ResultFormat.TABLE:
            from trailkeep.cli.results.table import TableWriter

            return TableWriter(sink, schema, width=width, terminal=terminal, full=full, names=names)
