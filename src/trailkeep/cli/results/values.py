"""Values of Arrow columns as plain Python, and as the text of one cell.

Plain is what JSON can say: None, bool, int, float, Decimal, str, list and dict. What JSON cannot say is text: times are
RFC 3339 in UTC with a ``Z``, lengths of time ISO 8601, bytes hexadecimal, NaN and the infinities their names.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any

from trailkeep.analysis.plain import PlainColumn

if TYPE_CHECKING:
    from collections.abc import Callable

    import msgspec

# A short answer needs neither msgspec nor Arrow: they are loaded where a column needs them.

_INT64_MAX, _INT32_MAX = 2**63 - 1, 2**31 - 1

_HIDDEN = re.compile(rb"\x7f|\xc2[\x80-\x9f]|\xe2\x80[\xa8-\xae]|\xe2\x81[\xa6-\xa9]")
"""DEL, the C1 controls, line separators and direction marks, as UTF-8; JSON itself escapes what is below a space."""


def plain(column: Any) -> list[Any]:
    """The values of a column as plain Python."""
    if isinstance(column, PlainColumn):
        return column.to_pylist()
    kind = column.type
    for matches, convert in _conversions():
        if matches(kind):
            return convert(column)
    values: list[Any] = column.to_pylist()
    return values


def cells(column: Any) -> list[str | None]:
    """The values of a column, each as the text of one cell; None for null."""
    return [value if value is None or isinstance(value, str) else cell(value) for value in plain(column)]


def cell(value: Any) -> str:
    """A plain value that is not null as the text of one cell."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, Decimal):
        return format(value, "f")
    if isinstance(value, (list, dict)):
        return json_bytes(value).decode()
    return str(value)


def json_bytes(value: Any) -> bytes:
    """Compact JSON of a plain value: valid UTF-8, with every character that a terminal might obey escaped."""
    return escape_hidden(_encoder().encode(value))


def json_lines(rows: list[Any]) -> bytes:
    """One line of compact JSON for each of `rows`."""
    return escape_hidden(_encoder().encode_lines(rows))


@cache
def _encoder() -> msgspec.json.Encoder:
    import msgspec

    return msgspec.json.Encoder(decimal_format="number")


def escape_hidden(text: bytes) -> bytes:
    """JSON text with the characters that JSON allows raw, and terminals obey, escaped. They stand in strings only."""
    return _HIDDEN.sub(lambda match: b"\\u%04x" % ord(match[0].decode()), text)


def _floats(column: Any) -> list[Any]:
    return [value if value is None or math.isfinite(value) else _name_of(value) for value in column.to_pylist()]


def _short_floats(column: Any) -> list[Any]:
    """The shortest number that reads as the same 32 bits: 0.1, and not 0.10000000149011612."""
    import pyarrow as pa

    shortest = column.cast(pa.string()).to_pylist()
    return [
        _name_of(value) if value is not None and not math.isfinite(value) else None if text is None else float(text)
        for value, text in zip(column.to_pylist(), shortest, strict=True)
    ]


def _name_of(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return "Infinity" if value > 0 else "-Infinity"


def _decimals(column: Any) -> list[Any]:
    if column.type.scale == 0:
        return [None if value is None else int(value) for value in column.to_pylist()]
    values: list[Any] = column.to_pylist()
    return values


def _timestamps(column: Any) -> list[Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    unit = column.type.unit
    naive = column.cast(pa.timestamp(unit)) if column.type.tz else column
    written = pc.strftime(naive, format="%Y-%m-%dT%H:%M:%SZ").to_pylist()
    return _with_infinities(written, naive.cast(pa.int64()), _INT64_MAX)


def _dates(column: Any) -> list[Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    return _with_infinities(pc.strftime(column, format="%Y-%m-%d").to_pylist(), column.cast(pa.int32()), _INT32_MAX)


def _with_infinities(written: list[Any], numbers: Any, infinite: int) -> list[Any]:
    """The engine stands for infinity with the largest number, and for its opposite with that number's negative."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pc.any(pc.equal(pc.abs(numbers), pa.scalar(infinite, numbers.type))).as_py():
        return written
    names = {infinite: "infinity", -infinite: "-infinity"}
    return [names.get(number, text) for number, text in zip(numbers.to_pylist(), written, strict=True)]


def _times(column: Any) -> list[Any]:
    import pyarrow as pa

    written: list[Any] = column.cast(pa.string()).to_pylist()
    return written


def _intervals(column: Any) -> list[Any]:
    return [None if value is None else iso_duration(*value) for value in column.to_pylist()]


def iso_duration(months: int, days: int, nanoseconds: int) -> str:
    """A length of time as ISO 8601, each part with its own sign, since months have no fixed length."""
    sign = "-" if nanoseconds < 0 else ""
    seconds, fraction = divmod(abs(nanoseconds), 10**9)
    parts = [f"{number}{unit}" for number, unit in ((months, "M"), (days, "D")) if number]
    if nanoseconds:
        decimals = f".{fraction:09d}".rstrip("0") if fraction else ""
        parts.append(f"T{sign}{seconds}{decimals}S")
    return "P" + ("".join(parts) or "T0S")


def _durations(column: Any) -> list[Any]:
    import pyarrow as pa

    factor = {"s": 10**9, "ms": 10**6, "us": 1000, "ns": 1}[column.type.unit]
    numbers = column.cast(pa.int64()).to_pylist()
    return [None if number is None else iso_duration(0, 0, number * factor) for number in numbers]


def _bignums(column: Any) -> list[Any]:
    """The engine's own form: three bytes of sign and length, then the magnitude, all inverted where it is negative."""
    return [None if value is None else _bignum(value) for value in column.storage.to_pylist()]


def _bignum(stored: bytes) -> int:
    if stored[0] & 0x80:
        return int.from_bytes(stored[3:], "big")
    return -int.from_bytes(bytes(byte ^ 0xFF for byte in stored[3:]), "big")


def _binaries(column: Any) -> list[Any]:
    return [None if value is None else value.hex() for value in column.to_pylist()]


def _lists(column: Any) -> list[Any]:
    import pyarrow.compute as pc

    values = iter(plain(column.flatten()))
    lengths = pc.list_value_length(column).to_pylist()
    return [None if length is None else [next(values) for _ in range(length)] for length in lengths]


def _structs(column: Any) -> list[Any]:
    names = [field.name for field in column.type]
    rows = zip(*map(plain, column.flatten()), strict=True) if names else iter([()] * len(column))
    return [
        dict(zip(names, row, strict=True)) if valid else None
        for row, valid in zip(rows, column.is_valid().to_pylist(), strict=True)
    ]


def _maps(column: Any) -> list[Any]:
    import pyarrow as pa

    column = column.take(pa.array(range(len(column)), pa.int64()))  # keys and items know nothing of a slice
    keys, items = plain(column.keys), plain(column.items)
    bounds, valid = column.offsets.to_pylist(), column.is_valid().to_pylist()
    return [
        _map(list(zip(keys[start:end], items[start:end], strict=True))) if present else None
        for start, end, present in zip(bounds, bounds[1:], valid, strict=False)
    ]


def _map(pairs: list[tuple[Any, Any]]) -> Any:
    """An object where the keys are text, else a list of pairs."""
    if all(isinstance(key, str) for key, _ in pairs):
        return dict(pairs)
    return [{"key": key, "value": value} for key, value in pairs]


def _unions(column: Any) -> list[Any]:
    import pyarrow as pa

    values: list[Any] = []
    for scalar in column:
        member = scalar.value
        values.append(None if member is None or not member.is_valid else plain(pa.array([member], member.type))[0])
    return values


@cache
def _conversions() -> tuple[tuple[Callable[[Any], bool], Callable[[Any], list[Any]]], ...]:
    """What a type's values are read with, the first that matches."""
    import pyarrow as pa

    return (
        (pa.types.is_float32, _short_floats),
        (pa.types.is_floating, _floats),
        (pa.types.is_decimal, _decimals),
        (pa.types.is_timestamp, _timestamps),
        (pa.types.is_date, _dates),
        (pa.types.is_time, _times),
        (pa.types.is_interval, _intervals),
        (pa.types.is_duration, _durations),
        (lambda kind: pa.types.is_binary(kind) or pa.types.is_large_binary(kind), _binaries),
        (pa.types.is_fixed_size_binary, _binaries),
        (pa.types.is_dictionary, lambda column: plain(column.dictionary_decode())),
        (pa.types.is_map, _maps),
        (lambda kind: pa.types.is_list(kind) or pa.types.is_large_list(kind), _lists),
        (pa.types.is_fixed_size_list, _lists),
        (pa.types.is_struct, _structs),
        (pa.types.is_union, _unions),
        (lambda kind: isinstance(kind, pa.OpaqueType) and kind.type_name == "bignum", _bignums),
        (lambda kind: isinstance(kind, pa.BaseExtensionType), lambda column: plain(column.storage)),
    )
