"""Lists of values as Arrow arrays, exact in every case."""

from __future__ import annotations

import re
from array import array
from collections.abc import Collection
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from trailkeep.schema import TIMESTAMP
from trailkeep.timespan import parse_moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from msgspec import Raw

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLAIN_YEAR = r"^(19[7-9]|2[01]\d)\d-"
_PLAIN_TIME = _PLAIN_YEAR + r"\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$"
"""Times that Arrow reads as `parse_moment` does; it takes others too, which would depend on a row's neighbours."""
_DIGITS = bytes.maketrans(b"123456789", b"000000000")
_SHAPES = {20: b"0000-00-00T00:00:00Z"} | {21 + n: b"0000-00-00T00:00:00." + b"0" * n + b"Z" for n in range(1, 10)}
"""What such times are once each digit is a 0, by their length."""
_MICROSECOND = timedelta(microseconds=1)


def moments_to_arrow(moments: Iterable[datetime]) -> pa.Array:
    """UTC moments as a column of `trailkeep.schema.TIMESTAMP`, exact to the microsecond."""
    return pa.array(list(moments), TIMESTAMP)


class Raws(Collection[bytes]):
    """The bytes of several events, one after the other in one buffer."""

    __slots__ = ("content", "offsets")

    def __init__(self, raws: Sequence[bytes | Raw]) -> None:
        self.content = b"".join(raws)
        self.offsets = array("i", accumulate(map(len, raws), initial=0))

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def __iter__(self) -> Iterator[bytes]:
        content = self.content
        return (content[start:end] for start, end in pairwise(self.offsets))

    def __contains__(self, raw: object) -> bool:
        return any(each == raw for each in self)

    def __getitem__(self, index: int) -> bytes:
        return self.content[self.offsets[index] : self.offsets[index + 1]]

    def to_arrow(self) -> pa.Array:
        """A string column of them, which must be UTF-8, without a copy."""
        return pa.StringArray.from_buffers(len(self), pa.py_buffer(self.offsets), pa.py_buffer(self.content))


def raw_to_arrow(raws: Sequence[bytes | Raw]) -> pa.Array:
    """A string column of these bytes, which must be UTF-8, built from one buffer."""
    return Raws(raws).to_arrow()


def texts_to_arrow(values: Sequence[str | None]) -> pa.Array:
    """A string column, null for every empty string: what is absent is null, however the API says so."""
    return _null_where(pa.array(values, pa.string()), "")


def json_to_arrow(texts: Sequence[bytes | Raw]) -> pa.Array:
    """A string column of JSON texts, which must be UTF-8; null for JSON's null and for no text."""
    return _null_where(_null_where(raw_to_arrow(texts), "null"), "")


def int32_to_arrow(numbers: Sequence[int | None]) -> pa.Array:
    """An int32 column, null for what is beyond."""
    try:
        return pa.array(numbers, pa.int32())
    except (pa.ArrowInvalid, OverflowError):
        fitting = (None if number is None or not -(2**31) <= number < 2**31 else number for number in numbers)
        return pa.array(fitting, pa.int32())


def times_to_arrow(values: Sequence[str | None]) -> pa.Array:
    """A column of the times that RFC 3339 texts tell, null for other texts."""
    told = list(filter(None, values))
    if not told:
        return pa.nulls(len(values), TIMESTAMP)
    texts = pa.array(values, pa.string())
    if len(told) + texts.null_count == len(values) and _are_plain(told, texts):
        with suppress(pa.ArrowInvalid):
            moments = texts.cast(pa.timestamp("ns", tz="UTC"))
            return moments.cast(pa.timestamp("us", tz="UTC"), safe=False).cast(TIMESTAMP)
    return pa.array([_microseconds(value) for value in values], pa.int64()).view(TIMESTAMP)


def _are_plain(told: Sequence[str], texts: pa.Array) -> bool:
    """Whether Arrow reads all that is told in the texts as `parse_moment` does."""
    shapes = [_SHAPES.get(length) for length in set(map(len, told))]
    if len(shapes) != 1 or shapes[0] is None:
        return bool(pc.all(pc.match_substring_regex(texts, _PLAIN_TIME)).as_py())
    # Nearly always they have one length: then one comparison of all of them is quicker than a pattern for each.
    extent = pc.min_max(texts)
    return "".join(told).encode().translate(_DIGITS) == shapes[0] * len(told) and all(
        re.match(_PLAIN_YEAR, extent[end].as_py()) for end in ("min", "max")
    )


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
