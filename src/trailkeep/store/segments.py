"""Segments: one sorted Arrow table as the bytes of one Parquet file, and rows read back from one."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trailkeep import seal
from trailkeep.errors import ArchiveDamaged, StoreError
from trailkeep.store.encoding import ROW_GROUP_ROWS, parquet_options
from trailkeep.timespan import Span, format_time

if TYPE_CHECKING:
    from collections.abc import Container, Iterator, Sequence
    from pathlib import Path

    from trailkeep.schema import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """The bytes of one segment, with what the ledger says about it."""

    content: bytes | memoryview
    sha256: str
    rows: int
    first: datetime
    last: datetime
    events_digest: str | None

    def record(self, path: str) -> seal.FileRecord:
        """What the ledger keeps of it once it lies at `path`."""
        return seal.FileRecord(
            path=path,
            bytes=len(self.content),
            sha256=self.sha256,
            rows=self.rows,
            first=format_time(self.first),
            last=format_time(self.last),
            events_digest=self.events_digest,
        )


def build_segment(table: Table, rows: pa.Table) -> Segment:
    """Sort `rows`, which has the table's columns and at least one row, and write them as Parquet bytes."""
    if not _is_sorted(table, rows):
        rows = rows.sort_by([(name, "ascending") for name in table.order])
    sink = pa.BufferOutputStream()
    names = rows.schema.names
    pq.write_table(rows, sink, row_group_size=ROW_GROUP_ROWS, **parquet_options(table))
    content = memoryview(sink.getvalue())
    extent = pc.min_max(rows[table.time])
    return Segment(
        content=content,
        sha256=hashlib.sha256(content).hexdigest(),
        rows=rows.num_rows,
        first=utc(extent["min"]),
        last=utc(extent["max"]),
        events_digest=seal.events_digest(raw_digests(rows["raw"])) if "raw" in names else None,
    )


def raw_digests(raw: pa.ChunkedArray) -> Iterator[bytes]:
    """SHA-256 of every value's bytes, without making a Python string of any."""
    for chunk in raw.chunks:
        _validity, offsets_buffer, content_buffer = chunk.buffers()
        if offsets_buffer is None or content_buffer is None:
            continue
        offsets = memoryview(offsets_buffer).cast("i")[chunk.offset : chunk.offset + len(chunk) + 1].tolist()
        content = memoryview(content_buffer)
        sha256 = hashlib.sha256
        for start, end in pairwise(offsets):
            yield sha256(content[start:end]).digest()


def read_segment(path: Path, columns: Sequence[str], span: Span | None = None) -> pa.Table:
    """Some columns of the rows of a segment inside `span`, in the segment's order.

    Page checksums are checked. Raises ArchiveDamaged, with the file's name, for what cannot be read.
    """
    filters = None
    if span is not None:
        recorded_at = pc.field("recorded_at")
        # The column has no zone: a moment is compared as the UTC time that it stands for.
        filters = (recorded_at >= _naive(span.start)) & (recorded_at < _naive(span.end))
    try:
        return pq.read_table(
            path, columns=list(columns), filters=filters, partitioning=None, page_checksum_verification=True
        )
    except (pa.ArrowException, OSError) as error:
        raise ArchiveDamaged(
            f"{path} cannot be read: {error}",
            hint="Restore the file from a copy of the archive; its SHA-256 is in the ledger.",
        ) from error


def held_versions(
    path: Path, span: Span, ids: Container[str], kinds: Container[str] | None = None
) -> Iterator[tuple[str, bytes]]:
    """The id and the bytes of every row inside `span` whose id is among `ids`, in the segment's order.

    With `kinds` only rows of these kinds of streams. Of the bytes only those row groups are read that hold such a row:
    they are most of a segment. Page checksums are checked. Raises ArchiveDamaged, with the file's name, for what cannot
    be read.
    """
    told = ["id"] if kinds is None else ["id", "kind"]
    try:
        with pq.ParquetFile(path, page_checksum_verification=True, pre_buffer=False) as file:
            for number in _row_groups_inside(file, span):
                rows = file.read_row_group(number, columns=[*told, "recorded_at"])
                inside = pc.indices_nonzero(is_inside(rows["recorded_at"], span))
                found = zip(inside.to_pylist(), *(rows[name].take(inside).to_pylist() for name in told), strict=True)
                wanted = [each for each in found if each[1] in ids and (kinds is None or each[2] in kinds)]
                if wanted:
                    raws = file.read_row_group(number, columns=["raw"])["raw"]
                    for index, identifier, *_kind in wanted:
                        yield identifier, raws[index].as_py().encode()
    except (pa.ArrowException, OSError) as error:
        raise ArchiveDamaged(
            f"{path} cannot be read: {error}",
            hint="Restore the file from a copy of the archive; its SHA-256 is in the ledger.",
        ) from error


def _row_groups_inside(file: pq.ParquetFile, span: Span) -> list[int]:
    """The row groups that may have a row inside `span`, by their statistics."""
    metadata = file.metadata
    column = metadata.schema.names.index("recorded_at")
    found: list[int] = []
    for number in range(metadata.num_row_groups):
        told: Any = metadata.row_group(number).column(column).statistics
        is_known = told is not None and told.has_min_max
        if not is_known or (told.min < _without_zone(span.end) and told.max >= _without_zone(span.start)):
            found.append(number)
    return found


def is_inside(moments: pa.ChunkedArray, span: Span) -> Any:
    """Whether each moment is inside `span`, as a column."""
    return pc.and_(pc.greater_equal(moments, _naive(span.start)), pc.less(moments, _naive(span.end)))


def rows_from(table: Table, path: Path, moment: datetime | None) -> pa.Table:
    """The rows of a segment at or after `moment`, or all of them, with all their columns, in the segment's order.

    Raises ArchiveDamaged for what cannot be read, and StoreError for columns that this version does not know: they
    would be lost.
    """
    try:
        rows = pq.read_table(
            path,
            filters=None if moment is None else pc.field(table.time) >= _naive(moment),
            partitioning=None,
            page_checksum_verification=True,
        )
    except (pa.ArrowException, OSError) as error:
        raise ArchiveDamaged(f"{path} cannot be read: {error}") from error
    if unknown := sorted(set(rows.schema.names) ^ set(table.arrow_schema.names)):
        raise StoreError(
            f"{path} cannot be written again: this version has other columns ({', '.join(unknown)})",
            hint="Use the version of Trailkeep that wrote it, or a later one.",
        )
    return rows


def digests_around(table: Table, path: Path, moment: datetime) -> tuple[list[bytes], list[bytes]]:
    """The digest of each ``raw`` of a segment: of the rows before `moment`, and of those at or after it.

    Raises ArchiveDamaged for what cannot be read.
    """
    before: list[bytes] = []
    after: list[bytes] = []
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            for batch in file.iter_batches(columns=[table.time, "raw"]):
                earlier = pc.less(batch[table.time], _naive(moment)).to_pylist()
                for is_earlier, digest in zip(earlier, raw_digests(pa.chunked_array([batch["raw"]])), strict=True):
                    (before if is_earlier else after).append(digest)
    except (pa.ArrowException, OSError) as error:
        raise ArchiveDamaged(f"{path} cannot be read: {error}") from error
    return before, after


def _is_sorted(table: Table, rows: pa.Table) -> bool:
    """Whether the rows stand in the table's order. Pages arrive so, and sorting costs more than writing."""
    tied: Any = pa.scalar(value=True)
    for name in table.order:
        former, latter = rows[name][:-1], rows[name][1:]
        if pc.any(pc.and_(tied, pc.greater(former, latter))).as_py():
            return False
        tied = pc.and_(tied, pc.equal(former, latter))
        if not pc.any(tied).as_py():
            return True
    return True


def _naive(moment: datetime) -> pa.Scalar:
    return pa.scalar(_without_zone(moment), pa.timestamp("us"))


def _without_zone(moment: datetime) -> datetime:
    """A moment, which is of UTC, as columns have it."""
    return moment.replace(tzinfo=None)


def utc(value: pa.Scalar) -> datetime:
    """A moment of a column, which has no zone, as the UTC time that it stands for."""
    moment: datetime = value.as_py()
    return moment.replace(tzinfo=UTC)
