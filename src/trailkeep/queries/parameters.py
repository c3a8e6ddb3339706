"""The parameters of a query: their types, and the values that are bound from what a user wrote."""

from __future__ import annotations

import difflib
import ipaddress
import math
import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any
from uuid import UUID

from trailkeep.errors import UsageError
from trailkeep.timespan import Span, parse_age, parse_time, span_or_none

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

_INTEGER = re.compile(r"[+-]?\d{1,19}")
_LIST = re.compile(r"list\[(\w+)\]")
_TRUE, _FALSE = frozenset({"true", "yes", "on", "1"}), frozenset({"false", "no", "off", "0"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameter:
    """One parameter that a query declares."""

    name: str
    type: str
    """A key of `TYPES`, or ``list[...]`` of one."""
    description: str = ""
    default: Any = None
    required: bool = False

    @property
    def wanted(self) -> str:
        """What a value must look like, in words."""
        item = item_type(self.type)
        return f"a list of values with commas between, each {TYPES[item].wanted}" if item else TYPES[self.type].wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class _Type:
    wanted: str
    read: Callable[[Any, datetime], Any]
    """Takes what a user or a file wrote and the present time; raises ValueError."""


STANDARD = {
    "since": Parameter(name="since", type="timestamp", default="90d", description="From this moment on."),
    "until": Parameter(name="until", type="timestamp", default="now", description="Before this moment."),
}
"""What every query can be asked with; a query's own declaration may give another default."""


def is_type(name: Any) -> bool:
    """Whether `name` is a type that a parameter can have."""
    return isinstance(name, str) and (item_type(name) or name) in TYPES


def item_type(name: str) -> str | None:
    """The type of a list's elements, or None where `name` is no list."""
    match = _LIST.fullmatch(name)
    return match[1] if match else None


def read(parameter: Parameter, written: Any, now: datetime) -> Any:
    """The value to bind for what was `written` on the command line, in Python or in a file.

    Raises UsageError that says what is wanted.
    """
    if written is None:
        return None
    item = item_type(parameter.type)
    try:
        if item is None:
            return TYPES[parameter.type].read(written, now)
        parts = written.split(",") if isinstance(written, str) else list(written)
        cleaned = [part.strip() if isinstance(part, str) else part for part in parts]
        return [TYPES[item].read(part, now) for part in cleaned if part != ""]
    except (ValueError, TypeError, OverflowError):
        raise UsageError(
            f"the parameter {parameter.name} cannot be {written!r}", hint=f"It wants {parameter.wanted}."
        ) from None


def bind(declared: Mapping[str, Parameter], given: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The value of every declared parameter: as given, else its default, else None.

    Raises UsageError for a parameter that is unknown, missing, or of the wrong type.
    """
    unknown = [name for name in given if name not in declared]
    if unknown:
        raise _unknown(unknown[0], declared)
    bound: dict[str, Any] = {}
    for name, parameter in declared.items():
        if name not in given and parameter.required:
            described = f" {parameter.description}" if parameter.description else ""
            raise UsageError(
                f"the parameter {name} is missing",
                hint=f"Add -p {name}=VALUE: {parameter.wanted}.{described}",
            )
        bound[name] = read(parameter, given.get(name, parameter.default), now)
    return bound


def time_span(bound: Mapping[str, Any]) -> Span:
    """The span that the bound `since` and `until` make. Raises UsageError where it holds no moment."""
    since, until = (bound[name].replace(tzinfo=UTC) for name in ("since", "until"))
    span = span_or_none(since, until)
    if span is None:
        raise UsageError(
            f"since ({_shown(since)}) is not before until ({_shown(until)})",
            hint="Correct --since or --until; both are UTC, and until is now where it is not given.",
        )
    return span


def _shown(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")


def _unknown(name: str, declared: Iterable[str]) -> UsageError:
    names = sorted(declared)
    near = difflib.get_close_matches(name, names, n=1)
    guess = f"Did you mean {near[0]}? " if near else ""
    return UsageError(f"there is no parameter {name!r}", hint=f"{guess}There is: {', '.join(names)}.")


def _timestamp(written: Any, now: datetime) -> datetime:
    """Without a zone, as the archive's columns are."""
    if isinstance(written, datetime):
        moment = written if written.tzinfo else written.replace(tzinfo=UTC)
    else:
        moment = parse_time(_string(written), now)
    return moment.astimezone(UTC).replace(tzinfo=None)


def _duration(written: Any, _now: datetime) -> timedelta:
    return written if isinstance(written, timedelta) else parse_age(_string(written))


def _integer(written: Any, _now: datetime) -> int:
    if isinstance(written, str) and _INTEGER.fullmatch(written.strip()):
        written = int(written)
    if isinstance(written, bool) or not isinstance(written, int) or not -(2**63) <= written < 2**63:
        raise ValueError
    return written


def _number(written: Any, _now: datetime) -> float:
    if isinstance(written, bool):
        raise ValueError
    number = float(written)
    if not math.isfinite(number):
        raise ValueError
    return number


def _text(written: Any, _now: datetime) -> str:
    return _string(written)


def _uuid(written: Any, _now: datetime) -> str:
    text = str(written) if isinstance(written, UUID) else _string(written).strip()
    parsed = str(UUID(text))
    if parsed.replace("-", "") != text.lower().replace("-", ""):
        raise ValueError
    return parsed


def _ip(written: Any, _now: datetime) -> str:
    return str(ipaddress.ip_address(written if not isinstance(written, str) else written.strip()))


def _cidr(written: Any, _now: datetime) -> str:
    network = ipaddress.ip_network(written if not isinstance(written, str) else written.strip(), strict=False)
    if isinstance(written, int):
        raise ValueError
    return str(network)


def _boolean(written: Any, _now: datetime) -> bool:
    if isinstance(written, bool):
        return written
    word = _string(written).strip().lower()
    if word not in _TRUE | _FALSE:
        raise ValueError
    return word in _TRUE


def _string(written: Any) -> str:
    if not isinstance(written, str):
        raise ValueError
    written.encode()  # a lone surrogate, from a command line that is no UTF-8, is an error like any other
    return written


TYPES: dict[str, _Type] = {
    "timestamp": _Type(
        wanted="a time: 2026-01-31T12:00:00Z, 2026-01-31, or an age such as 90d, 12h, 30m", read=_timestamp
    ),
    "duration": _Type(wanted="a length of time such as 90d, 12h, 30m", read=_duration),
    "integer": _Type(wanted="a whole number", read=_integer),
    "number": _Type(wanted="a number", read=_number),
    "text": _Type(wanted="text", read=_text),
    "uuid": _Type(wanted="a UUID such as 6170692e-7363-616c-6577-61792e636f6d", read=_uuid),
    "ip": _Type(wanted="an IP address such as 192.0.2.1 or 2001:db8::1", read=_ip),
    "cidr": _Type(wanted="an IP address or a network such as 192.0.2.0/24 or 2001:db8::/32", read=_cidr),
    "boolean": _Type(wanted="true or false", read=_boolean),
}
"""Every type of a parameter."""
