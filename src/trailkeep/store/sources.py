"""The rows of several segments in their table's order, read within a bounded memory and compared with the ledger."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from heapq import heappop, heappush
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.parquet as pq

from trailkeep import seal
from trailkeep.errors import ArchiveDamaged, StoreError
from trailkeep.store.recovery import matches
from trailkeep.store.segments import raw_digests
from trailkeep.timespan import parse_moment

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from trailkeep.schema import Table

BATCH_ROWS = 4096
"""Rows that are read from a file at once, at most."""

HELD_BYTES = 12 * 1024**2
"""Of the files that are read at once, rows that were read and not yet written take about so much together."""

BUFFER_BYTES = 16 * 1024
"""A column is read by so much at a time, and not at once for a whole row group."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_MODULUS = 1 << 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file to be merged: where it lies, and what the ledger says of it."""

    path: Path
    record: seal.FileRecord


class Multiset:
    """What tells two collections of events apart, whatever their order: their number, and the sum of their digests."""

    def __init__(self) -> None:
        self._count = 0
        self._sum = 0

    def add(self, digests: Sequence[bytes]) -> None:
        """Take in the digest of each event's ``raw``."""
        self._count += len(digests)
        self._sum = (self._sum + sum(int.from_bytes(digest, "big") for digest in digests)) % _MODULUS

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Multiset) and (self._count, self._sum) == (other._count, other._sum)

    __hash__ = None  # type: ignore[assignment]


class Reader:
    """The rows of one source, batch by batch, in its order; it is opened when its first rows are needed.

    Moments are microseconds since the epoch.
    """

    def __init__(self, table: Table, source: Source, read: Multiset, share: int) -> None:
        self.first = (parse_moment(source.record.first) - EPOCH) // timedelta(microseconds=1)
        """The first row's moment."""
        self.ended = False
        """Whether all rows were read."""
        self._table = table
        self._source = source
        self._read = read
        self._share = share
        """How many bytes of rows it may hold."""
        self._rows: pa.Table | None = None
        self._moments = memoryview(b"").cast("q")
        """Of the rows."""
        self._taken = 0
        """So many of the rows were handed over."""
        self._digests = seal.EventDigests()
        self._batches: Iterator[pa.RecordBatch] | None = None
        self._file: pq.ParquetFile | None = None

    @property
    def is_empty(self) -> bool:
        """Whether no row is held."""
        return self._taken == len(self._moments)

    @property
    def last(self) -> int:
        """The moment of the last row that is held: whatever is still to be read is at it or later."""
        return self._moments[-1]

    def read_on(self) -> None:
        """Hold the next rows, too, or have ended: then all of them have been compared with the ledger."""
        record = self._source.record
        try:
            if self._batches is None:
                self._batches = self._open()
            batch = next(self._batches, None)
        except (pa.ArrowException, OSError) as error:
            raise ArchiveDamaged(f"{record.path} cannot be read: {error}") from error
        if batch is None:
            self._end()
            return
        rows = pa.Table.from_batches([batch])
        if "raw" in rows.schema.names:
            digests = list(raw_digests(rows["raw"]))
            self._read.add(digests)
            self._digests.add(digests)
        rows = rows.select(self._table.arrow_schema.names).cast(self._table.arrow_schema)
        if self._rows is not None and not self.is_empty:
            rows = pa.concat_tables([self._rows.slice(self._taken), rows])
        moments = rows[self._table.time].cast(pa.timestamp("us")).cast(pa.int64()).combine_chunks()
        [_validity, content] = moments.buffers()
        self._moments = memoryview(content or b"").cast("q")[moments.offset : moments.offset + len(moments)]
        self._rows, self._taken = rows, 0

    def take_before(self, edge: int | None) -> pa.Table | None:
        """Hand over the rows before `edge`, or all of them; None where there are none."""
        start, end = self._taken, len(self._moments)
        if edge is not None:
            end = bisect_left(self._moments, edge, start)
        if self._rows is None or start == end:
            return None
        taken = self._rows.slice(start, end - start)
        self._taken = end
        if self.is_empty:
            self._rows = None
        return taken

    def close(self) -> None:
        """Close the file, wherever the reading ended."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _open(self) -> Iterator[pa.RecordBatch]:
        source = self._source
        if not matches(source.path, source.record):
            raise ArchiveDamaged(
                f"{source.record.path} is not what the ledger says, so it is not merged with others",
                hint="Run `trailkeep repair --from DIR` with a copy of the archive.",
            )
        self._file = pq.ParquetFile(
            source.path, page_checksum_verification=True, pre_buffer=False, buffer_size=BUFFER_BYTES
        )
        if unknown := sorted(set(self._file.schema_arrow.names) ^ set(self._table.arrow_schema.names)):
            raise StoreError(
                f"{source.record.path} is not merged: this version has other columns ({', '.join(unknown)})",
                hint="Use the version of Trailkeep that wrote it, or a later one.",
            )
        return self._file.iter_batches(batch_size=self._batch_rows(self._file.metadata), use_threads=False)

    def _batch_rows(self, metadata: pq.FileMetaData) -> int:
        """How many rows are read at once: two such batches may be held."""
        groups = range(metadata.num_row_groups)
        sizes = [
            metadata.row_group(group).total_byte_size // max(1, metadata.row_group(group).num_rows) for group in groups
        ]
        return max(1, min(BATCH_ROWS, self._share // 2 // max(1, *sizes, 1)))

    def _end(self) -> None:
        self.ended = True
        self.close()
        expected = self._source.record.events_digest
        if expected is not None and self._digests.hexdigest() != expected:
            raise ArchiveDamaged(f"{self._source.record.path}: its events are not those that the ledger vouches for")
        self._digests = seal.EventDigests()


def most_at_once(sources: Sequence[Source]) -> int:
    """How many of the files have a moment in common, at most."""
    ends: list[datetime] = []
    most = 0
    for source in sorted(sources, key=lambda each: parse_moment(each.record.first)):
        first = parse_moment(source.record.first)
        while ends and ends[0] < first:
            heappop(ends)
        heappush(ends, parse_moment(source.record.last))
        most = max(most, len(ends))
    return most


def in_order(table: Table, readers: Sequence[Reader]) -> Iterator[pa.Table]:
    """The rows of all readers in the table's order: each time those that nothing still to be read can precede.

    A reader is opened when the others have come to its first moment, so that of many files that follow each other
    few are open at once.
    """
    waiting = sorted(readers, key=lambda reader: reader.first)
    reading: list[Reader] = []
    while waiting or reading:
        for reader in reading:
            if reader.is_empty and not reader.ended:
                reader.read_on()
        reading = [reader for reader in reading if not reader.is_empty]
        edge = min((reader.last for reader in reading if not reader.ended), default=None)
        # Without an edge nothing more comes from the files that are open, but it may from the one that waits.
        if waiting and (edge is None or waiting[0].first <= edge):
            reading.append(waiting.pop(0))
            continue
        ready = [rows for reader in reading if (rows := reader.take_before(edge)) is not None]
        if ready:
            yield pa.concat_tables(ready).sort_by([(name, "ascending") for name in table.order])
            continue
        # Nothing but rows of one moment: more of it may follow.
        for reader in reading:
            if not reader.ended and reader.last == edge:
                reader.read_on()
