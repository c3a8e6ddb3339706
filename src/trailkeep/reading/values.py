"""Python's values as the parameters of a query."""

from __future__ import annotations

import ipaddress
import os
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any
from uuid import UUID

from trailkeep.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from trailkeep.queries import Parameter

_AS_TEXT = (
    UUID,
    ipaddress.IPv4Address,
    ipaddress.IPv6Address,
    ipaddress.IPv4Network,
    ipaddress.IPv6Network,
    ipaddress.IPv4Interface,
    ipaddress.IPv6Interface,
)
_LISTING = ("to_pylist", "to_list", "tolist")
"""What the arrays of pyarrow, Polars, pandas and numpy call it to become a list."""
_LARGEST = 2**127 - 1


def utc(moment: datetime) -> datetime:
    """An aware moment in UTC; one without a zone is taken to be UTC."""
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC)


def plain(name: str, value: Any) -> Any:
    """`value` as the engine takes it: times in UTC without a zone, ids and addresses as text, arrays as lists.

    Raises UsageError for what cannot be the value of a parameter.
    """
    try:
        return _plain(value)
    except (ValueError, TypeError, OverflowError) as error:
        reason = f": {error}" if str(error) else ""
        raise UsageError(
            f"the parameter {name} cannot be a {type(value).__module__}.{type(value).__qualname__}{reason}",
            hint="Give text, a number, a truth value, a time, a UUID, an IP address or network, or a list of these.",
        ) from None


def asked_time(name: str, value: Any, now: datetime) -> str | datetime | None:
    """`since` or `until`: a time, or a timedelta as an age before `now`; text is read as on the command line."""
    asked = _moment(name, plain(name, value), now)
    if asked is not None and not isinstance(asked, str | datetime):
        raise UsageError(
            f"{name} cannot be {value!r}", hint="Give a datetime, a date, a timedelta as an age, or text such as '90d'."
        )
    return asked


def for_saved(declared: Mapping[str, Parameter], given: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """Values for a saved query's parameters; which of them fit their types is said where they are bound."""
    return {name: _for_parameter(declared.get(name), name, value, now) for name, value in given.items()}


def lower_names(given: Mapping[str, Any]) -> dict[str, Any]:
    """The values by their names in lower case, as SQL reads names. Raises UsageError for one that is given twice."""
    lowered: dict[str, Any] = {}
    for name, value in given.items():
        if not isinstance(name, str):
            raise UsageError(f"{name!r} is not the name of a parameter", hint="Write $name in the SQL.")
        if name.lower() in lowered:
            raise UsageError(f"the parameter {name.lower()} is given twice", hint="Names in SQL have no case.")
        lowered[name.lower()] = value
    return lowered


def _for_parameter(parameter: Parameter | None, name: str, value: Any, now: datetime) -> Any:
    kind = parameter.type if parameter else ""
    if isinstance(value, os.PathLike) and kind.startswith("list["):
        return f"@{os.fspath(value)}"
    known = plain(name, value)
    if "timestamp" not in kind:
        return known
    return [_moment(name, each, now) for each in known] if isinstance(known, list) else _moment(name, known, now)


def _moment(name: str, value: Any, now: datetime) -> Any:
    """A date's first moment, and an age's moment."""
    if isinstance(value, timedelta):
        try:
            return now - value
        except OverflowError:
            raise UsageError(f"the parameter {name} cannot be {value}: that is longer than time itself") from None
    if isinstance(value, date) and not isinstance(value, datetime):
        return datetime.combine(value, time(), UTC)
    return value


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | bytes | Decimal):
        return value
    if isinstance(value, str):
        value.encode()
        return str(value)
    if isinstance(value, int):
        if abs(int(value)) > _LARGEST:
            raise ValueError("it has more than 128 bits")
        return int(value)
    if isinstance(value, float):
        return float(value)
    if isinstance(value, datetime):
        return _naive(value)
    if isinstance(value, date):
        return date(value.year, value.month, value.day)
    if isinstance(value, timedelta):
        return timedelta(days=value.days, seconds=value.seconds, microseconds=value.microseconds)
    if isinstance(value, _AS_TEXT):
        return str(value)
    if isinstance(value, set | frozenset):
        return sorted((_plain(each) for each in value), key=repr)
    if isinstance(value, list | tuple | range):
        return [_plain(each) for each in value]
    return _foreign(value)


def _naive(moment: datetime) -> datetime | None:
    """Python's own datetime: that of pandas counts nanoseconds, and has a value that is no time."""
    if moment != moment:  # NaT alone is unequal to itself
        return None
    known = utc(moment)
    return datetime(  # noqa: DTZ001 - as the archive's columns are
        known.year, known.month, known.day, known.hour, known.minute, known.second, known.microsecond
    )


def _foreign(value: Any) -> Any:
    """A value of numpy, pandas, Polars or pyarrow, without importing any of them."""
    if type(value).__name__ == "NAType":
        return None
    if hasattr(value, "as_py"):
        return _plain(value.as_py())
    if getattr(value, "shape", None) == () and hasattr(value, "item"):
        if getattr(value.dtype, "kind", "") in "mM":
            value = value.astype(f"{'datetime' if value.dtype.kind == 'M' else 'timedelta'}64[us]")
        item = value.item()
        if type(item) is type(value):
            raise TypeError
        return _plain(item)
    for method in _LISTING:
        if hasattr(value, method):
            return [_plain(each) for each in getattr(value, method)()]
    raise TypeError
