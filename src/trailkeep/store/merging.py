"""Merging segments: the rows of several, in order, in files of a bounded size, within a bounded memory."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trailkeep import seal
from trailkeep.errors import ArchiveDamaged, StoreError
from trailkeep.store import layout
from trailkeep.store.disk import SEGMENT_MODE
from trailkeep.store.encoding import ROW_GROUP_ROWS, parquet_options
from trailkeep.store.recovery import matches
from trailkeep.store.segments import raw_digests, utc
from trailkeep.timespan import format_time, parse_moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path

    from trailkeep.schema import Table
    from trailkeep.store.disk import Disk

MOST_BYTES = 512 * 1024**2
"""A file ends after the row group with which it has grown to this."""

_BATCH_ROWS = 4096
"""Rows that are read from a file at once."""

_MODULUS = 1 << 256


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A file to be merged: where it lies, and what the ledger says of it."""

    path: Path
    record: seal.FileRecord


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """Files of one partition of one table that are to become one, or as few as fit.

    Rows keep their ``ledger_seq``; nothing is added, changed or left out, which `write` proves before it returns.
    """

    table: Table
    partition: Mapping[str, str]
    sources: tuple[Source, ...]
    most_bytes: int = MOST_BYTES
    lasting: bool = False
    """Whether the files are to stay as they are from now on, and so are worth more time."""

    def write(self, disk: Disk, staging: Path, first_index: int) -> list[seal.FileRecord]:
        """Write the merged files into `staging`, durably, under their staged names from `first_index` on.

        Raises ArchiveDamaged where a source is not what the ledger says, or what was written is not what was read;
        StoreError where a source has columns that this version does not know.
        """
        read, written = _Multiset(), _Multiset()
        records: list[seal.FileRecord] = []
        output: _Output | None = None
        try:
            for rows in self._chunks(read):
                output = output or self._output(disk, staging / f"merged-{first_index + len(records)}")
                output.write(rows)
                if output.size >= self.most_bytes:
                    records.append(output.close(self.partition, staging, first_index + len(records), written))
                    output = None
            if output is not None:
                records.append(output.close(self.partition, staging, first_index + len(records), written))
        except BaseException:
            if output is not None:
                output.give_up()
            raise
        if read != written or sum(record.rows for record in records) != sum(each.record.rows for each in self.sources):
            raise ArchiveDamaged(
                f"merging {len(self.sources)} files of {self.table.name} would have changed their rows"
            )
        return records

    def _output(self, disk: Disk, path: Path) -> _Output:
        return _Output(self.table, disk, path, parquet_options(self.table, lasting=self.lasting))

    def _chunks(self, read: _Multiset) -> Iterator[pa.Table]:
        """All rows in the table's order, in chunks of a row group each but for the last."""
        waiting: list[pa.Table] = []
        count = 0
        readers = [_Reader(self.table, source, read) for source in self.sources]
        try:
            for rows in _in_order(self.table, readers):
                waiting.append(rows)
                count += rows.num_rows
                while count >= ROW_GROUP_ROWS:
                    whole = pa.concat_tables(waiting)
                    yield whole.slice(0, ROW_GROUP_ROWS).combine_chunks()
                    waiting = [whole.slice(ROW_GROUP_ROWS)]
                    count -= ROW_GROUP_ROWS
            if count:
                yield pa.concat_tables(waiting).combine_chunks()
        finally:
            for reader in readers:
                reader.close()


class _Multiset:
    """What tells two collections of events apart, whatever their order: their number, and the sum of their digests."""

    def __init__(self) -> None:
        self._count = 0
        self._sum = 0

    def add(self, digests: Sequence[bytes]) -> None:
        """Take in the digest of each event's ``raw``."""
        self._count += len(digests)
        self._sum = (self._sum + sum(int.from_bytes(digest, "big") for digest in digests)) % _MODULUS

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Multiset) and (self._count, self._sum) == (other._count, other._sum)

    __hash__ = None  # type: ignore[assignment]


class _Reader:
    """The rows of one source, batch by batch, in its order; it is opened when its first rows are needed."""

    def __init__(self, table: Table, source: Source, read: _Multiset) -> None:
        self.first = parse_moment(source.record.first).replace(tzinfo=None)
        """The first row's moment."""
        self.rows: pa.Table | None = None
        """Rows that were read and not yet taken."""
        self.ended = False
        """Whether all rows were read."""
        self._table = table
        self._source = source
        self._read = read
        self._digests: list[bytes] = []
        self._batches: Iterator[pa.RecordBatch] | None = None
        self._file: pq.ParquetFile | None = None

    @property
    def last(self) -> datetime:
        """The moment of the last row that is held: whatever is still to be read is at it or later."""
        if self.rows is None:
            raise ValueError("no row is held")
        moment: datetime = self.rows[self._table.time][-1].as_py()
        return moment

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
            self._digests += digests
        rows = rows.select(self._table.arrow_schema.names).cast(self._table.arrow_schema)
        self.rows = rows if self.rows is None else pa.concat_tables([self.rows, rows])

    def take_before(self, edge: datetime | None) -> pa.Table | None:
        """Hand over the rows before `edge`, or all of them; None where there are none."""
        if self.rows is None:
            return None
        count = self.rows.num_rows
        if edge is not None:
            moments = self.rows[self._table.time]
            count = _true(pc.less(moments, pa.scalar(edge, moments.type)))
        taken = self.rows.slice(0, count)
        self.rows = self.rows.slice(count) if count < self.rows.num_rows else None
        return taken if count else None

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
        self._file = pq.ParquetFile(source.path, page_checksum_verification=True, pre_buffer=False)
        if unknown := sorted(set(self._file.schema_arrow.names) ^ set(self._table.arrow_schema.names)):
            raise StoreError(
                f"{source.record.path} is not merged: this version has other columns ({', '.join(unknown)})",
                hint="Use the version of Trailkeep that wrote it, or a later one.",
            )
        return self._file.iter_batches(batch_size=_BATCH_ROWS, use_threads=False)

    def _end(self) -> None:
        self.ended = True
        self.close()
        expected = self._source.record.events_digest
        if expected is not None and seal.events_digest(self._digests) != expected:
            raise ArchiveDamaged(f"{self._source.record.path}: its events are not those that the ledger vouches for")
        self._digests = []


def _true(mask: pa.BooleanArray) -> int:
    count: int = pc.sum(mask.cast(pa.int64())).as_py()
    return count


def _in_order(table: Table, readers: Sequence[_Reader]) -> Iterator[pa.Table]:
    """The rows of all readers in the table's order: each time those that nothing still to be read can precede.

    A reader is opened when the others have come to its first moment, so that of many files that follow each other
    few are open at once.
    """
    waiting = sorted(readers, key=lambda reader: reader.first)
    reading: list[_Reader] = []
    while waiting or reading:
        for reader in reading:
            if reader.rows is None and not reader.ended:
                reader.read_on()
        reading = [reader for reader in reading if reader.rows is not None]
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


class _Output:
    """A merged file while it is written: under a name of its own until its content, and so its name, is known."""

    def __init__(self, table: Table, disk: Disk, path: Path, options: Mapping[str, Any]) -> None:
        self._disk = disk
        self._path = path
        self._descriptor = disk.create(path)
        self._sha256 = hashlib.sha256()
        self._rows = 0
        self._first: datetime | None = None
        self._last: datetime | None = None
        self._table = table
        self.size = 0
        self._writer = pq.ParquetWriter(pa.PythonFile(_Sink(self._append), mode="w"), table.arrow_schema, **options)

    def write(self, rows: pa.Table) -> None:
        """Add rows that follow those before, as a row group."""
        self._writer.write_table(rows, row_group_size=ROW_GROUP_ROWS)
        extent = pc.min_max(rows[self._table.time])
        self._first = self._first or utc(extent["min"])
        self._last = utc(extent["max"])
        self._rows += rows.num_rows

    def close(self, partition: Mapping[str, str], staging: Path, index: int, written: _Multiset) -> seal.FileRecord:
        """Make the file durable under its staged name, and read back what it holds."""
        self._writer.close()
        self._disk.set_mode(self._descriptor, SEGMENT_MODE)
        self._disk.sync_file(self._descriptor)
        os.close(self._descriptor)
        self._descriptor = -1
        digest = self._sha256.hexdigest()
        if self._first is None or self._last is None:
            raise ValueError("a file without rows")
        path = layout.segment_path(self._table.name, partition, self._first, self._last, digest)
        self._disk.rename(self._path, staging / layout.staged_name(index, path))
        return seal.FileRecord(
            path=path,
            bytes=self.size,
            sha256=digest,
            rows=self._rows,
            first=format_time(self._first),
            last=format_time(self._last),
            events_digest=self._read_back(staging / layout.staged_name(index, path), written),
        )

    def give_up(self) -> None:
        """Let go of the file; the staging folder is thrown away as a whole."""
        if self._descriptor >= 0:
            with contextlib.suppress(pa.ArrowException, OSError, StoreError):
                self._writer.close()
            with contextlib.suppress(OSError):
                os.close(self._descriptor)
            self._descriptor = -1

    def _read_back(self, path: Path, written: _Multiset) -> str | None:
        if "raw" not in self._table.arrow_schema.names:
            return None
        digests: list[bytes] = []
        with pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False) as file:
            for batch in file.iter_batches(batch_size=_BATCH_ROWS, columns=["raw"], use_threads=False):
                digests += raw_digests(pa.chunked_array([batch["raw"]]))
        written.add(digests)
        return seal.events_digest(digests)

    def _append(self, content: memoryview) -> int:
        size = len(content)
        self._sha256.update(content)
        self._disk.append_all(self._descriptor, content)
        self.size += size
        return size


class _Sink(io.RawIOBase):
    """A file object that hands on what is written to it."""

    def __init__(self, append: Callable[[memoryview], int]) -> None:
        super().__init__()
        self._append = append

    def writable(self) -> bool:
        return True

    def write(self, content: Any, /) -> int:
        return self._append(memoryview(content).cast("B"))
