"""Making a segment's index from its rows."""

from __future__ import annotations

import sys
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from trailkeep.pivots.file import LONG, Description, Lists, Unusable, encode
from trailkeep.pivots.hashing import Hasher
from trailkeep.pivots.kinds import FORMAT
from trailkeep.pivots.occurrences import BLOCK_ROWS, stretches_of

if TYPE_CHECKING:
    from pathlib import Path

    from trailkeep.pivots.occurrences import Stretches

_MOST = 0xFFFF
"""A stretch with more occurrences stands as several with the same times."""
_LONGEST = 1 << 48


def make(
    path: Path,
    *,
    archive_id: str,
    sha256: str,
    table: str,
    rows: int,
    start: int,
    block_rows: int = BLOCK_ROWS,
) -> bytes:
    """The content of the index of the segment at `path`, the same whenever it is made.

    Raises ArrowException and OSError for what cannot be read, and Unusable for rows that cannot be indexed.
    """
    if sys.byteorder != "little":
        raise Unusable("numbers are written in another order here")
    found = stretches_of(path, table, Hasher(archive_id), block_rows)
    lists: dict[str, Lists] = {}
    body = bytearray()
    for kind in sorted(found):
        at = len(body)
        singles, stretches = _parted(found[kind], start)
        body += _list_of(*singles[:2])
        body += _list_of(*stretches)
        lists[kind] = Lists(at, len(singles[0]), len(stretches[0]))
    described = Description(
        format=FORMAT, archive_id=archive_id, sha256=sha256, table=table, rows=rows, start=start, kinds=lists
    )
    return encode(described, bytes(body))


_Columns = tuple[pa.Array, pa.Array, pa.Array, pa.Array]
"""Hashes, first times, the time from there to the last, and how many."""


def _parted(found: Stretches, start: int) -> tuple[_Columns, _Columns]:
    """What occurs once, and the others, by times after `start`. Raises Unusable where these are too long."""
    first, length = pc.subtract(found.first, start), pc.subtract(found.last, found.first)
    for times in (first, length):
        extent = pc.min_max(times)
        if extent["min"].as_py() < 0 or extent["max"].as_py() >= _LONGEST:
            raise Unusable("its rows are not in its span, or that is too long")
    once = pc.equal(found.count, pa.scalar(1, pa.int64()))
    columns = (found.keys, first, length, found.count)
    singles, others = (tuple(column.filter(mask) for column in columns) for mask in (once, pc.invert(once)))
    while len(others[3]) and pc.max(others[3]).as_py() > _MOST:
        others = _split(others)
    return singles, others  # type: ignore[return-value] # mypy does not count the elements


def _split(stretches: tuple[pa.Array, ...]) -> tuple[pa.Array, ...]:
    """The same, with what occurs too often twice: as often as can be, and the rest."""
    counts = stretches[3]
    too_often = pc.greater(counts, pa.scalar(_MOST, pa.int64()))
    more = tuple(column.filter(too_often) for column in stretches)
    rest = pc.subtract(more[3], pa.scalar(_MOST, pa.int64()))
    most = pc.min_element_wise(counts, pa.scalar(_MOST, pa.int64()))
    joined = [pa.concat_arrays(pair) for pair in zip((*stretches[:3], most), (*more[:3], rest), strict=True)]
    order = pc.sort_indices(joined[0])
    return tuple(column.take(order) for column in joined)


def _list_of(keys: pa.Array, first: pa.Array, *lengths_and_counts: pa.Array) -> bytes:
    """The bytes of a list, column by column."""
    if len(keys) >= LONG:
        counted = pc.value_counts(pc.shift_right(keys, 48))
        counts: dict[Any, Any] = dict(zip(counted.field(0).to_pylist(), counted.field(1).to_pylist(), strict=True))
        bounds = [0, *accumulate(counts.get(byte, 0) for byte in range(256))]
        begin = _bytes_of(pa.array(bounds, pa.uint32()))
    else:
        begin = _bytes_of(_part(keys, 48, pa.uint8()))
    parts = [begin, _bytes_of(_part(keys, 16, pa.uint32())), _bytes_of(_part(keys, 0, pa.uint16()))]
    for times in (first, *lengths_and_counts[:1]):
        unsigned = times.cast(pa.uint64())
        parts += [_bytes_of(_part(unsigned, 0, pa.uint32())), _bytes_of(_part(unsigned, 32, pa.uint16()))]
    parts += [_bytes_of(counts.cast(pa.uint16())) for counts in lengths_and_counts[1:]]
    return b"".join(parts)


def _part(numbers: pa.Array, shift: int, kind: pa.DataType) -> pa.Array:
    """Some bits of each number, from bit `shift` on, as many as the type has."""
    mask = pa.scalar((1 << kind.bit_width) - 1, pa.uint64())
    return pc.bit_wise_and(pc.shift_right(numbers, pa.scalar(shift, pa.uint64())), mask).cast(kind)


def _bytes_of(numbers: pa.Array) -> bytes:
    content, width = numbers.buffers()[1], numbers.type.bit_width // 8
    if content is None:
        return b""
    return memoryview(content)[numbers.offset * width : (numbers.offset + len(numbers)) * width].tobytes()
