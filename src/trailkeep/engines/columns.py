"""The columns that Spark gives as those that DuckDB gives: other types for the same values, and no other values."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from trailkeep.engines.portable import Untranslatable

if TYPE_CHECKING:
    import pyarrow as pa

_DAY_MICROSECONDS = 86_400_000_000


def without_zones(frame: Any) -> Any:
    """A frame with every time without a zone, as the archive's are; all of them are UTC."""
    names = [f"c{place}" for place in range(len(frame.columns))]
    renamed = frame.toDF(*names)
    casts = [
        f"CAST(`{field.name}` AS {_without_zone(field.dataType)}) AS `{field.name}`" for field in renamed.schema.fields
    ]
    return renamed.selectExpr(*casts) if any("timestamp" in cast.lower() for cast in casts) else renamed


def _without_zone(kind: Any) -> str:
    text: str = kind.simpleString()
    # timestamp_ntz has no zone already.
    return text.replace("timestamp_ntz", "\0").replace("timestamp", "timestamp_ntz").replace("\0", "timestamp_ntz")


def as_expected(rows: pa.Table, expected: pa.Schema) -> pa.Table:
    """`rows` with the names and types of `expected`. Raises Untranslatable where the values are of another kind."""
    import pyarrow as pa

    if rows.num_columns != len(expected):
        raise Untranslatable(f"Spark gives {rows.num_columns} columns, and DuckDB {len(expected)}")
    made = []
    for column, field in zip(rows.columns, expected, strict=True):
        try:
            made.append(_as_type(column.combine_chunks(), field.type))
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError, _Other) as error:
            reason = f"the column {field.name} is {column.type} in Spark, and {field.type} in DuckDB"
            raise Untranslatable(reason) from error
    names = [field.name for field in expected]
    return pa.table(made, schema=pa.schema([(name, array.type) for name, array in zip(names, made, strict=True)]))


class _Other(Exception):
    """The values are of another kind."""


def _as_type(array: Any, wanted: Any) -> Any:
    import pyarrow as pa

    kinds = pa.types
    if isinstance(array, pa.ChunkedArray):
        array = pa.concat_arrays(array.chunks) if array.num_chunks else pa.array([], array.type)
    given = array.type
    if given == wanted and not kinds.is_nested(given):
        return array
    if kinds.is_null(given) or array.null_count == len(array):
        return pa.array([None] * len(array), wanted)
    if kinds.is_interval(wanted) and kinds.is_duration(given):
        return _intervals(array)
    if _is_number(given) and _is_number(wanted):
        return array.cast(wanted, safe=True)
    if _is_list(given) and _is_list(wanted):
        # A slice of a list keeps the values around it.
        values = _as_type(array.flatten(), wanted.value_type)
        offsets = _offsets(array)
        return pa.ListArray.from_arrays(offsets, values, type=wanted, mask=array.is_null())
    if kinds.is_struct(given) and kinds.is_struct(wanted) and given.num_fields == wanted.num_fields:
        parts = [_as_type(part, field.type) for part, field in zip(array.flatten(), wanted, strict=True)]
        return pa.StructArray.from_arrays(parts, fields=list(wanted), mask=array.is_null())
    same = (kinds.is_timestamp, kinds.is_date, _is_text, kinds.is_boolean, _is_binary, kinds.is_time)
    if any(family(given) and family(wanted) for family in same) or (
        kinds.is_date(given) and kinds.is_timestamp(wanted)
    ):
        return array.cast(wanted, safe=True)
    if kinds.is_timestamp(given) and kinds.is_date(wanted):
        return array.cast(wanted, safe=True)
    raise _Other


def _offsets(array: Any) -> Any:
    import pyarrow as pa
    import pyarrow.compute as pc

    lengths = pc.fill_null(pc.list_value_length(array), 0)
    ends = pc.cumulative_sum(lengths)
    return pa.concat_arrays([pa.array([0], ends.type), ends]).cast(pa.int32())


def _intervals(array: Any) -> Any:
    """Lengths of time as days and the rest, which is how DuckDB gives the difference of two times."""
    import pyarrow as pa

    made: list[tuple[int, int, int] | None] = []
    for value in array.cast(pa.duration("us")).cast(pa.int64()).to_pylist():
        if value is None:
            made.append(None)
            continue
        sign = -1 if value < 0 else 1
        days, rest = divmod(abs(value), _DAY_MICROSECONDS)
        made.append((0, sign * days, sign * rest * 1_000))
    return pa.array(made, pa.month_day_nano_interval())


def _is_number(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))


def _is_binary(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind))


def _is_list(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_list(kind) or pa.types.is_large_list(kind))
