"""Merging segments: the rows of several, in order, in files of a bounded size, within a bounded memory."""

from __future__ import annotations

import contextlib
import hashlib
import io
import os
from concurrent.futures import ThreadPoolExecutor, wait
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trailkeep import seal
from trailkeep.errors import ArchiveDamaged, StoreError
from trailkeep.memory import return_free_memory
from trailkeep.store import layout
from trailkeep.store.disk import SEGMENT_MODE
from trailkeep.store.encoding import ROW_GROUP_ROWS, parquet_options
from trailkeep.store.segments import raw_digests, utc
from trailkeep.store.sources import (
    BATCH_ROWS,
    BUFFER_BYTES,
    HELD_BYTES,
    Multiset,
    Reader,
    Source,
    in_order,
    most_at_once,
)
from trailkeep.timespan import format_time, parse_moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from concurrent.futures import Future
    from datetime import datetime
    from pathlib import Path

    from trailkeep.schema import Table
    from trailkeep.store.disk import Disk

MOST_BYTES = 512 * 1024**2
"""A file ends after the row group with which it has grown to this."""

MOST_OPEN = 8
"""So many files are read at once, each of which takes some 4 MB beside its rows. Where more of them overlap in time, as
those of a first sync may, some are merged with each other first."""

LAST_ROWS = 1024
"""The last row group has no more rows than twice this: the next sync reads the newest hour again, to find what it holds
already, and a row group is the least that it can read."""

WORTH_A_LAST = 4
"""In files of fewer times as many rows, what it takes to describe one more row group would tell."""

GROUP_BYTES = 128 * 1024**2
"""A row group of very long events has fewer rows, so that it takes no more memory than this."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Merge:
    """Files of one partition of one table that are to become one, or as few as fit.

    Rows keep their ``ledger_seq``; nothing is added, changed or left out, which `write` proves before it returns.
    """

    table: Table
    partition: Mapping[str, str]
    sources: tuple[Source, ...]
    most_bytes: int = MOST_BYTES
    most_open: int = MOST_OPEN
    group_bytes: int = GROUP_BYTES
    lasting: bool = False
    """Whether the files are to stay as they are from now on, and so are worth more time."""

    def write(self, disk: Disk, staging: Path, first_index: int) -> list[seal.FileRecord]:
        """Write the merged files into `staging`, durably, under their staged names from `first_index` on.

        Raises ArchiveDamaged where a source is not what the ledger says, or what was written is not what was read;
        StoreError where a source has columns that this version does not know.
        """
        before = staging / f"before-{first_index}"
        sources = self.sources
        while most_at_once(sources) > self.most_open:
            fewer = replace(self, lasting=False)._in_fewer(sources, disk, before / str(len(sources)))
            if len(fewer) >= len(sources):
                break  # full files of one and the same moment
            sources = fewer
        records = self._write(sources, disk, staging, first_index)
        disk.remove_tree(before)
        return records

    def _in_fewer(self, sources: Sequence[Source], disk: Disk, folder: Path) -> tuple[Source, ...]:
        """The same rows in fewer files, in `folder`."""
        disk.make_directory(folder)
        by_first = sorted(sources, key=lambda source: parse_moment(source.record.first))
        found: list[Source] = []
        for start in range(0, len(by_first), self.most_open):
            for record in self._write(by_first[start : start + self.most_open], disk, folder, len(found)):
                path = folder / layout.staged_name(len(found), record.path)
                found.append(Source(path=path, record=record))
        return tuple(found)

    def _write(self, sources: Sequence[Source], disk: Disk, staging: Path, first_index: int) -> list[seal.FileRecord]:
        read = Multiset()
        files = _Files(self, disk, staging, first_index)
        # Compressing leaves the interpreter alone, so that a second processor does it while the next rows are read.
        with ThreadPoolExecutor(max_workers=1, thread_name_prefix="merging") as aside:
            under_way: Future[None] | None = None
            try:
                for rows, group_rows in self._chunks(sources, read):
                    if under_way is not None:
                        under_way.result()
                    under_way = aside.submit(files.write, rows, group_rows)
                    del rows
                if under_way is not None:
                    under_way.result()
                files.close()
            except BaseException:
                if under_way is not None:
                    wait([under_way])
                files.give_up()
                raise
        records = files.records
        if read != files.written or sum(each.rows for each in records) != sum(each.record.rows for each in sources):
            raise ArchiveDamaged(f"merging {len(sources)} files of {self.table.name} would have changed their rows")
        return records

    def _chunks(self, sources: Sequence[Source], read: Multiset) -> Iterator[tuple[pa.Table, int]]:
        """All rows in the table's order, in chunks that belong into one file, with how long their row groups are."""
        waiting: list[pa.Table] = []
        rows_waiting = bytes_waiting = 0
        share = HELD_BYTES // max(1, most_at_once(sources))
        readers = [Reader(self.table, source, read, share) for source in sources]
        try:
            for rows in in_order(self.table, readers):
                waiting.append(rows)
                rows_waiting += rows.num_rows
                bytes_waiting += rows.nbytes
                while rows_waiting >= ROW_GROUP_ROWS or bytes_waiting >= self.group_bytes:
                    whole = pa.concat_tables(waiting)
                    waiting = [whole.slice(ROW_GROUP_ROWS)]
                    rows_waiting, bytes_waiting = waiting[0].num_rows, waiting[0].nbytes
                    # Handed over, not kept: the next rows are read while these are written.
                    full = [whole.slice(0, ROW_GROUP_ROWS)]
                    del whole
                    yield full.pop(), ROW_GROUP_ROWS
            if rows_waiting:
                rest = rows_waiting - LAST_ROWS
                if rest < LAST_ROWS or sum(each.record.rows for each in sources) < WORTH_A_LAST * LAST_ROWS:
                    rest = rows_waiting
                yield pa.concat_tables(waiting), rest
        finally:
            for reader in readers:
                reader.close()


class _Files:
    """The merged files, one after the other, and what was read back of them."""

    def __init__(self, merge: Merge, disk: Disk, staging: Path, first_index: int) -> None:
        self.records: list[seal.FileRecord] = []
        self.written = Multiset()
        self._merge = merge
        self._disk = disk
        self._staging = staging
        self._first_index = first_index
        self._output: _Output | None = None

    def write(self, rows: pa.Table, group_rows: int) -> None:
        """Add rows, in row groups of so many; the file ends with it where that makes it large enough."""
        if self._output is None:
            table = self._merge.table
            options = parquet_options(table, lasting=self._merge.lasting)
            self._output = _Output(table, self._disk, self._staging / f"merged-{self._index}", options)
        self._output.write(rows.combine_chunks(), group_rows)
        return_free_memory()
        if self._output.size >= self._merge.most_bytes:
            self.close()

    def close(self) -> None:
        """End the file under way, if there is one."""
        if self._output is not None:
            self.records.append(self._output.close(self._merge.partition, self._staging, self._index, self.written))
            self._output = None

    def give_up(self) -> None:
        """Let go of the file under way."""
        if self._output is not None:
            self._output.give_up()

    @property
    def _index(self) -> int:
        return self._first_index + len(self.records)


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

    def write(self, rows: pa.Table, group_rows: int) -> None:
        """Add rows that follow those before, in row groups of so many."""
        self._writer.write_table(rows, row_group_size=group_rows)
        extent = pc.min_max(rows[self._table.time])
        self._first = self._first or utc(extent["min"])
        self._last = utc(extent["max"])
        self._rows += rows.num_rows

    def close(self, partition: Mapping[str, str], staging: Path, index: int, written: Multiset) -> seal.FileRecord:
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

    def _read_back(self, path: Path, written: Multiset) -> str | None:
        if "raw" not in self._table.arrow_schema.names:
            return None
        whole = seal.EventDigests()
        with pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False, buffer_size=BUFFER_BYTES) as file:
            for batch in file.iter_batches(batch_size=BATCH_ROWS, columns=["raw"], use_threads=False):
                digests = [*raw_digests(pa.chunked_array([batch["raw"]]))]
                written.add(digests)
                whole.add(digests)
        return whole.hexdigest()

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
