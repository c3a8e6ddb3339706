"""Parquet: zstd, with the types of the result."""

from __future__ import annotations

from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from trailkeep.cli.results.regrouped import Regrouped
from trailkeep.cli.results.values import cells


class ParquetWriter:
    """A row group for each group of rows; types that Parquet does not have become the text that CSV shows."""

    def __init__(self, sink: BinaryIO, schema: pa.Schema) -> None:
        self._schema = pa.schema([field.with_type(_storable(field.type)) for field in schema])
        self._writer = pq.ParquetWriter(sink, self._schema, compression="zstd", write_page_checksum=True)
        self._groups = Regrouped(self._schema)

    def write(self, batch: pa.RecordBatch) -> None:
        """Write some rows."""
        columns = [
            column if column.type == field.type else _as(column, field.type)
            for column, field in zip(batch.columns, self._schema, strict=True)
        ]
        for group in self._groups.add(pa.record_batch(columns, schema=self._schema)):
            self._write_group(group)

    def close(self) -> None:
        """Write the rows that wait, and the footer."""
        for group in self._groups.rest():
            self._write_group(group)
        self._writer.close()

    def _write_group(self, group: pa.RecordBatch) -> None:
        self._writer.write_table(pa.Table.from_batches([group], self._schema))


def _storable(kind: pa.DataType) -> pa.DataType:
    """The type itself where Parquet has it; text for lengths of time, unions and what the engine alone knows."""
    if pa.types.is_interval(kind) or pa.types.is_union(kind):
        return pa.string()
    if isinstance(kind, pa.BaseExtensionType):
        return pa.string()
    if pa.types.is_nested(kind) and any(
        _storable(kind.field(at).type) != kind.field(at).type for at in range(kind.num_fields)
    ):
        return pa.string()
    if pa.types.is_timestamp(kind) and kind.tz is not None:
        return pa.timestamp(kind.unit, "UTC")
    return kind


def _as(column: pa.Array, kind: pa.DataType) -> pa.Array:
    return pa.array(cells(column), pa.string()) if kind == pa.string() else column.cast(kind)
