"""JSON: one array of objects, or one object a line."""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

from trailkeep.cli.results.values import json_lines, plain

if TYPE_CHECKING:
    import pyarrow as pa


class JsonWriter:
    """Objects with the columns as keys, in their order; null is ``null``, and integers keep every digit."""

    def __init__(self, sink: BinaryIO, schema: pa.Schema, *, lines: bool) -> None:
        self._sink = sink
        self._names = schema.names
        self._lines = lines
        self._any = False

    def write(self, batch: pa.RecordBatch) -> None:
        """Write some rows."""
        if not batch.num_rows:
            return
        columns = [plain(column) for column in batch.columns]
        text = json_lines([dict(zip(self._names, row, strict=True)) for row in zip(*columns, strict=True)])
        if not self._lines:
            text = (b",\n" if self._any else b"[\n") + text[:-1].replace(b"\n", b",\n")
        self._sink.write(text)
        self._any = True

    def close(self) -> None:
        """Close the array."""
        if not self._lines:
            self._sink.write(b"\n]\n" if self._any else b"[]\n")
