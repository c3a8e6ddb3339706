"""Rows in groups whose bounds depend on the rows alone, so that the same result is the same bytes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator

GROUP_ROWS = 65_536
"""A group has at most so many rows,"""
GROUP_BYTES = 8 * 1024 * 1024
"""and ends with the piece that brings it to this size: rows may hold kilobytes each."""
PIECE_ROWS = 1_024
"""Rows are measured in pieces of this size. The engine's own batches are as its threads happened to make them."""


class Regrouped:
    """Takes batches as they come and gives tables of one group each."""

    def __init__(self, schema: pa.Schema) -> None:
        self._schema = schema
        self._waiting: list[pa.RecordBatch] = []
        self._waiting_rows = 0
        self._group: list[pa.RecordBatch] = []
        self._group_rows = 0
        self._group_bytes = 0

    def add(self, batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
        """Take some rows; the groups that are full now."""
        start = 0
        while start < batch.num_rows:
            taken = batch.slice(start, PIECE_ROWS - self._waiting_rows)
            start += taken.num_rows
            self._waiting.append(taken)
            self._waiting_rows += taken.num_rows
            if self._waiting_rows == PIECE_ROWS:
                yield from self._add_piece()

    def rest(self) -> Iterator[pa.RecordBatch]:
        """The last group."""
        if self._waiting:
            yield from self._add_piece()
        if self._group:
            yield self._grouped()

    def _add_piece(self) -> Iterator[pa.RecordBatch]:
        piece = _joined(self._waiting)
        self._waiting, self._waiting_rows = [], 0
        self._group.append(piece)
        self._group_rows += piece.num_rows
        self._group_bytes += piece.nbytes
        if self._group_rows >= GROUP_ROWS or self._group_bytes >= GROUP_BYTES:
            yield self._grouped()

    def _grouped(self) -> pa.RecordBatch:
        group = _joined(self._group)
        self._group, self._group_rows, self._group_bytes = [], 0, 0
        return group


def _joined(batches: list[pa.RecordBatch]) -> pa.RecordBatch:
    return batches[0] if len(batches) == 1 else pa.concat_batches(batches)  # type: ignore[attr-defined] # the stubs lack it
