"""What the rows of a segment hold: for each value the stretches of rows in which it occurs, with first, last and count.

A stretch is a part of a segment in which a value occurs at least once in every so many rows: whoever looks for it
reads the stretch. Since rows are sorted by time, a stretch is a span of time, and needs no numbers of row groups:
engines leave out the row groups outside of it by their statistics.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from trailkeep.pivots.file import Unusable
from trailkeep.pivots.kinds import COLUMNS, LOGIN_USER, RESOURCE_IDS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from trailkeep.pivots.hashing import Hasher

BLOCK_ROWS = 8192
"""Occurrences in one block of rows, or in blocks beside each other, are one stretch."""

_BATCH_BLOCKS = 8
_UNIQUE = "request_id"
"""The column whose values hardly repeat."""
_LOGIN_TYPES = ("iam_user", "account_user")


@dataclass(frozen=True, slots=True)
class Stretches:
    """Stretches of values, each list as long as the others; times are microseconds since the epoch."""

    keys: pa.Array
    blocks: pa.Array
    """The block in which each begins. It is short enough to be taken for the one in which it ends, too."""
    first: pa.Array
    last: pa.Array
    count: pa.Array


def stretches_of(path: Path, table: str, hasher: Hasher, block_rows: int = BLOCK_ROWS) -> dict[str, Stretches]:
    """The stretches of a segment, by kind, sorted by the hash, which is the key.

    Raises ArrowException and OSError for a file that cannot be read, and Unusable for one whose rows are in no order.
    """
    parts: dict[str, list[Stretches]] = {kind: [] for kind in COLUMNS[table].values()}
    start, latest = 0, None
    for rows in batches(path, table, _BATCH_BLOCKS * block_rows):
        times = rows["recorded_at"].cast(pa.int64())
        # Or else a stretch's first row and last one would not say when it is.
        if times.null_count or not _rises(times, latest):
            raise Unusable("its rows are not sorted by time")
        latest = times[-1] if len(times) else latest
        for column, kind in COLUMNS[table].items():
            values, where = _held(rows, column)
            if len(values):
                parts[kind].append(_of_batch(values, where, times, pc.divide(pc.add(where, start), block_rows), hasher))
        start += rows.num_rows
    return {kind: _joined(each) for kind, each in parts.items() if each}


def _rises(times: pa.Array, after: pa.Scalar | None) -> bool:
    if len(times) and after is not None and times[0].as_py() < after.as_py():
        return False
    return not pc.any(pc.less(times[1:], times[:-1])).as_py()


def columns_of(table: str) -> list[str]:
    """The paths of the columns of a table's files that are indexed."""
    paths = {
        RESOURCE_IDS: ["resources.list.element.id"],
        LOGIN_USER: ["resources.list.element.id", "resources.list.element.type"],
    }
    return ["recorded_at", *(path for column in COLUMNS[table] for path in paths.get(column, [column]))]


def values_of(rows: pa.RecordBatch, column: str) -> tuple[pa.Array, pa.Array | None]:
    """The values of a column, and the row of each where they are not one a row; there may be nulls among them."""
    if column not in (RESOURCE_IDS, LOGIN_USER):
        return rows[column], None
    resources = rows["resources"]
    where = pc.list_parent_indices(resources).cast(pa.int64())
    flat = pc.list_flatten(resources)
    ids = pc.struct_field(flat, "id")
    if column == RESOURCE_IDS:
        return ids, where
    is_user = pc.is_in(pc.struct_field(flat, "type"), value_set=pa.array(_LOGIN_TYPES, pa.string()))
    users = pc.and_(is_user, pc.is_valid(ids))
    ids, where = ids.filter(users), where.filter(users)
    # The first of each row, as the macro login_user takes it.
    is_first = pa.concat_arrays([pa.array([True]), pc.not_equal(where[1:], where[:-1])]) if len(where) else users[:0]
    return ids.filter(is_first), where.filter(is_first)


def batches(path: Path, table: str, most_rows: int) -> Iterator[pa.RecordBatch]:
    """The rows of a segment with what is indexed of them, in batches of at most so many."""
    paths = columns_of(table)
    plain = [name for name in paths if "." not in name and name not in ("recorded_at", _UNIQUE)]
    with pq.ParquetFile(path, read_dictionary=plain, page_checksum_verification=True, pre_buffer=False) as file:
        yield from file.iter_batches(batch_size=most_rows, columns=paths, use_threads=False)


def _held(rows: pa.RecordBatch, column: str) -> tuple[pa.Array, pa.Array]:
    """The values of a column that are not null, and the row of each; a value stands once in each row.

    They are coded where they are likely to repeat.
    """
    values, where = values_of(rows, column)
    if where is None:
        where = pa.arange(0, rows.num_rows)  # type: ignore[attr-defined] # newer than the stubs
    if values.null_count:
        held = pc.is_valid(values)
        values, where = values.filter(held), where.filter(held)
    if column == _UNIQUE:
        return values, where
    codes = values if isinstance(values, pa.DictionaryArray) else values.dictionary_encode()
    if column == RESOURCE_IDS and pc.any(pc.equal(where[1:], where[:-1])).as_py():
        return _once_a_row(codes, where)
    return codes, where


def _once_a_row(codes: pa.DictionaryArray, where: pa.Array) -> tuple[pa.DictionaryArray, pa.Array]:
    """Leave out a value that stands in the same row before."""
    marks = pc.add(pc.multiply(where, len(codes.dictionary)), codes.indices.cast(pa.int64()))
    order = pc.sort_indices(marks)
    in_order = marks.take(order)
    fresh = pa.concat_arrays([pa.array([True]), pc.not_equal(in_order[1:], in_order[:-1])])
    kept = order.filter(fresh)
    return codes.take(kept), where.take(kept)


def _of_batch(values: pa.Array, where: pa.Array, times: pa.Array, blocks: pa.Array, hasher: Hasher) -> Stretches:
    """The stretches of one batch of values, each in a row and in a block; none is longer than a block."""
    moments = times.take(where)
    each = pa.repeat(pa.scalar(1, pa.int64()), len(values))
    if not isinstance(values, pa.DictionaryArray):
        return Stretches(hasher.of_all(values), blocks, moments, moments, each)
    hashes = hasher.of_all(values.dictionary)
    if len(values.dictionary) == len(values):
        return Stretches(hashes.take(values.indices), blocks, moments, moments, each)
    marks = pc.add(pc.multiply(values.indices.cast(pa.int64()), _BATCH_BLOCKS + 1), pc.subtract(blocks, blocks[0]))
    order = pc.sort_indices(marks)
    moments = moments.take(order)
    found = _runs(Stretches(marks.take(order), blocks.take(order), moments, moments, each), 0)
    found_codes = pc.divide(found.keys, _BATCH_BLOCKS + 1)
    return Stretches(hashes.take(found_codes), found.blocks, found.first, found.last, found.count)


def _joined(parts: list[Stretches]) -> Stretches:
    """All stretches, sorted by the key, those of neighbouring blocks made one."""
    names = ("keys", "blocks", "first", "last", "count")
    if len(parts) > 1:
        keys, blocks, first, last, count = (pa.concat_arrays([getattr(part, name) for part in parts]) for name in names)
    else:
        keys, blocks, first, last, count = (getattr(parts[0], name) for name in names)
    order = pc.sort_indices(keys)
    in_order = Stretches(keys.take(order), blocks.take(order), first.take(order), last.take(order), count.take(order))
    return _runs(in_order, 1)


def _runs(found: Stretches, gap: int) -> Stretches:
    """What stands beside each other with the same key, in blocks at most `gap` apart, as one."""
    if len(found.keys) < 2:
        return found
    apart = pc.greater(pc.subtract(found.blocks[1:], found.blocks[:-1]), pa.scalar(gap, pa.int64()))
    begins = pc.or_(pc.not_equal(found.keys[1:], found.keys[:-1]), apart)
    starts = pa.concat_arrays([pa.array([0], pa.uint64()), pc.add(pc.indices_nonzero(begins), 1).cast(pa.uint64())])
    if len(starts) == len(found.keys):
        return found
    ends = pa.concat_arrays(
        [pc.subtract(starts[1:], 1).cast(pa.uint64()), pa.array([len(found.keys) - 1], pa.uint64())]
    )
    total = pc.cumulative_sum(found.count)
    count = pc.add(pc.subtract(total.take(ends), total.take(starts)), found.count.take(starts))
    return Stretches(
        found.keys.take(starts), found.blocks.take(starts), found.first.take(starts), found.last.take(ends), count
    )
