"""Lists of values as Arrow arrays, exact in every case."""

from __future__ import annotations

from array import array
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from trailkeep.schema import TIMESTAMP
from trailkeep.timespan import parse_moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLAIN_TIME = r"^(19[7-9]|2[01]\d)\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$"
"""Times that Arrow reads as `parse_moment` does; it takes others too, which would depend on a row's neighbours."""
_MICROSECOND = timedelta(microseconds=1)


def moments_to_arrow(moments: Iterable[datetime]) -> pa.Array:
    """UTC moments as a column of `trailkeep.schema.TIMESTAMP`, exact to the microsecond."""
    return pa.array(list(moments), TIMESTAMP)


def raw_to_arrow(raws: Sequence[bytes]) -> pa.Array:
    """A string column of these bytes, which must be UTF-8, built from one buffer."""
    offsets = array("i", accumulate(map(len, raws), initial=0))
    return pa.StringArray.from_buffers(len(raws), pa.py_buffer(offsets), pa.py_buffer(b"".join(raws)))


def texts_to_arrow(values: Sequence[str | None]) -> pa.Array:
    """A string column, null for every empty string: what is absent is null, however the API says so."""
    return _null_where(pa.array(values, pa.string()), "")


def json_to_arrow(texts: Sequence[bytes]) -> pa.Array:
    """A string column of JSON texts, which must be UTF-8; null for JSON's null and for no text."""
    return _null_where(_null_where(pa.array(texts, pa.string()), "null"), "")


def int32_to_arrow(numbers: Sequence[int | None]) -> pa.Array:
    """An int32 column, null for what is beyond."""
    try:
        return pa.array(numbers, pa.int32())
    except (pa.ArrowInvalid, OverflowError):
        fitting = (None if number is None or not -(2**31) <= number < 2**31 else number for number in numbers)
        return pa.array(fitting, pa.int32())


def times_to_arrow(values: Sequence[str | None]) -> pa.Array:
    """A column of the times that RFC 3339 texts tell, null for other texts."""
    texts = pa.array(values, pa.string())
    if pc.all(pc.match_substring_regex(texts, _PLAIN_TIME)).as_py():
        with suppress(pa.ArrowInvalid):
            moments = texts.cast(pa.timestamp("ns", tz="UTC"))
            return moments.cast(pa.timestamp("us", tz="UTC"), safe=False).cast(TIMESTAMP)
    return pa.array([_microseconds(value) for value in values], pa.int64()).view(TIMESTAMP)


def _microseconds(value: str | None) -> int | None:
    try:
        return (parse_moment(value) - _EPOCH) // _MICROSECOND if value else None
    except ValueError:
        return None


def _null_where(values: Any, text: str) -> pa.Array:
    same = pc.equal(values, pa.scalar(text))
    if pc.any(same).as_py():
        values = pc.if_else(same, pa.scalar(None, pa.string()), values)
    column: pa.Array = values
    return column
