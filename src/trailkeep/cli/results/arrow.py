"""Arrow's IPC file: the result's own types, to be mapped into memory by pandas, Polars and others.

A file and not a stream: its footer says that it is whole, where a stream that was cut between two batches reads as a
shorter result without an error. It is written in one pass all the same, so it can go through a pipe.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO, cast

import pyarrow as pa

from trailkeep.cli.results.regrouped import Regrouped

if TYPE_CHECKING:
    from io import IOBase


class ArrowWriter:
    """A record batch for each group of rows, without compression."""

    def __init__(self, sink: BinaryIO, schema: pa.Schema) -> None:
        self._schema = pa.schema([field.with_type(_in_utc(field.type)) for field in schema])
        # A file holds one dictionary for each column, whatever the batches came with.
        options = pa.ipc.IpcWriteOptions(unify_dictionaries=True)
        self._writer = pa.ipc.new_file(pa.PythonFile(cast("IOBase", sink), mode="w"), self._schema, options=options)
        self._groups = Regrouped(self._schema)

    def write(self, batch: pa.RecordBatch) -> None:
        """Write some rows."""
        columns = [
            column if column.type == field.type else column.cast(field.type)
            for column, field in zip(batch.columns, self._schema, strict=True)
        ]
        for group in self._groups.add(pa.record_batch(columns, schema=self._schema)):
            self._writer.write_batch(blanked(group))

    def close(self) -> None:
        """Write the rows that wait, and the footer."""
        for group in self._groups.rest():
            self._writer.write_batch(blanked(group))
        self._writer.close()


def _in_utc(kind: pa.DataType) -> pa.DataType:
    return pa.timestamp(kind.unit, "UTC") if pa.types.is_timestamp(kind) and kind.tz is not None else kind


def blanked(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The rows with zeros where values are null.

    What the engine leaves there is whatever was in its memory; it would be written with the rest, and handed on.
    """
    return batch.take(pa.array(range(batch.num_rows), pa.int64()))
