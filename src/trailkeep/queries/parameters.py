"""The parameters of a query: their types, and the values that are bound from what a user wrote."""

from __future__ import annotations

import difflib
import ipaddress
import math
import re
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from trailkeep.errors import UsageError
from trailkeep.queries.files import read_list
from trailkeep.queries.indicators import indicator
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
    """A key of `TYPES`, ``list[...]`` of one, or ``ioc_file``."""
    description: str = ""
    default: Any = None
    required: bool = False
    folder: Path | None = None
    """The folder of the query's file, where files that the default names lie."""

    @property
    def wanted(self) -> str:
        """What a value must look like, in words."""
        item = item_type(self.type)
        if self.type == IOC_FILE:
            return f"the path of a file with one indicator a line, each {TYPES[INDICATOR].wanted}"
        if item:
            return f"a list of values with commas between, or @FILE with one a line, each {TYPES[item].wanted}"
        return TYPES[self.type].wanted


@dataclass(frozen=True, slots=True, kw_only=True)
class _Type:
    wanted: str
    read: Callable[[Any, datetime], Any]
    """Takes what a user or a file wrote and the present time; raises ValueError."""
    sample: Any
    """A value as it is bound, to try a query with."""


IOC_FILE, INDICATOR = "ioc_file", "indicator"

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
    if name == IOC_FILE:
        return INDICATOR
    match = _LIST.fullmatch(name)
    return match[1] if match else None


def sample(parameter: Parameter) -> Any:
    """A value that the parameter could have, to try a query with."""
    item = item_type(parameter.type)
    return [TYPES[item].sample] if item else TYPES[parameter.type].sample


def read(parameter: Parameter, written: Any, now: datetime) -> Any:
    """The value to bind for what was `written` on the command line, in Python or in a file.

    A list is written with commas, as ``@FILE`` or as a `Path`: one value a line, the path relative to the working
    directory; ``@@`` begins a text with one ``@``. Raises UsageError that says what is wanted, of a file's value with
    FILE:LINE.
    """
    if written is None:
        return None
    item = item_type(parameter.type)
    if item is not None and (path := _file_of(parameter, written)) is not None:
        return _from_file(parameter, item, path, now)
    try:
        if item is None:
            return TYPES[parameter.type].read(written, now)
        parts = written.replace("@@", "@", 1).split(",") if _is_escaped(written) else written
        parts = parts.split(",") if isinstance(parts, str) else list(parts)
        cleaned = [part.strip() if isinstance(part, str) else part for part in parts]
        return [TYPES[item].read(part, now) for part in cleaned if part != ""]
    except (ValueError, TypeError, OverflowError):
        raise UsageError(
            f"the parameter {parameter.name} cannot be {written!r}", hint=f"It wants {parameter.wanted}."
        ) from None


def read_default(parameter: Parameter, now: datetime) -> Any:
    """The value of the parameter's default. A file that it names must lie beside the query's file or below.

    Raises UsageError.
    """
    item = item_type(parameter.type)
    path = _file_of(parameter, parameter.default) if item else None
    if item is None or path is None:
        return read(parameter, parameter.default, now)
    folder = (parameter.folder or Path()).resolve()
    whole = (folder / path).resolve()
    if path.is_absolute() or not whole.is_relative_to(folder):
        raise UsageError(
            f"the default of {parameter.name} names a file outside of the query's folder: {path}",
            hint="A query's own files lie beside it or below; give others with -p.",
        )
    return _from_file(parameter, item, whole, now)


def names_file(parameter: Parameter) -> bool:
    """Whether the parameter's default is a file, which is read only when the query runs."""
    return item_type(parameter.type) is not None and _file_of(parameter, parameter.default) is not None


def _is_escaped(written: Any) -> bool:
    return isinstance(written, str) and written.startswith("@@")


def _file_of(parameter: Parameter, written: Any) -> Path | None:
    """The file that `written` names, for a list; None where it holds the values themselves."""
    if isinstance(written, Path):
        return written
    if not isinstance(written, str) or _is_escaped(written):
        return None
    if written.startswith("@"):
        return Path(written[1:])
    return Path(written) if parameter.type == IOC_FILE else None


def _from_file(parameter: Parameter, item: str, path: Path, now: datetime) -> list[Any]:
    values = []
    try:
        lines = read_list(path)
    except UsageError as error:
        raise UsageError(
            error.message, hint=error.hint or f"The parameter {parameter.name} wants {parameter.wanted}."
        ) from error
    for line, written in lines:
        try:
            values.append(TYPES[item].read(written, now))
        except (ValueError, TypeError, OverflowError):
            raise UsageError(
                f"{path}:{line}: {written!r} cannot be used for the parameter {parameter.name}",
                hint=f"Each line wants {TYPES[item].wanted}.",
            ) from None
    if parameter.type == IOC_FILE and not values:
        raise UsageError(
            f"{path}: there is no indicator in it", hint=f"The parameter {parameter.name} wants {parameter.wanted}."
        )
    return values


def bind(declared: Mapping[str, Parameter], given: Mapping[str, Any], now: datetime) -> dict[str, Any]:
    """The value of every declared parameter: as given, else its default, else None; lists in files are read here.

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
        bound[name] = read(parameter, given[name], now) if name in given else read_default(parameter, now)
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
    elif isinstance(written, date):
        moment = datetime(written.year, written.month, written.day, tzinfo=UTC)
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


def _id(written: Any, _now: datetime) -> str:
    text = str(written) if isinstance(written, UUID) else _string(written).strip()
    if not text:
        raise ValueError
    return text


def _ip(written: Any, _now: datetime) -> str:
    return str(ipaddress.ip_address(written if not isinstance(written, str) else written.strip()))


def _cidr(written: Any, _now: datetime) -> str:
    network = ipaddress.ip_network(written if not isinstance(written, str) else written.strip(), strict=False)
    if isinstance(written, int):
        raise ValueError
    return str(network)


def _indicator(written: Any, _now: datetime) -> str:
    own = (UUID, ipaddress.IPv4Address, ipaddress.IPv6Address, ipaddress.IPv4Network, ipaddress.IPv6Network)
    return indicator(str(written) if isinstance(written, own) else _string(written))


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
        wanted="a time: 2026-01-31T12:00:00Z, 2026-01-31, or an age such as 90d, 12h, 30m",
        read=_timestamp,
        sample=datetime(2026, 1, 31),  # noqa: DTZ001 - the columns have no zone
    ),
    "duration": _Type(wanted="a length of time such as 90d, 12h, 30m", read=_duration, sample=timedelta(hours=1)),
    "integer": _Type(wanted="a whole number", read=_integer, sample=1),
    "number": _Type(wanted="a number", read=_number, sample=0.5),
    "text": _Type(wanted="text", read=_text, sample="text"),
    "uuid": _Type(
        wanted="a UUID such as 6170692e-7363-616c-6577-61792e636f6d",
        read=_uuid,
        sample="6170692e-7363-616c-6577-61792e636f6d",
    ),
    "principal": _Type(
        wanted="a user or an application: an id, a name, an e-mail address, or an access key for whose it is",
        read=_id,
        sample="6170692e-7363-616c-6577-61792e636f6d",
    ),
    "project": _Type(wanted="a Project: its id or name", read=_id, sample="6170692e-7363-616c-6577-61792e636f6d"),
    "resource": _Type(wanted="a resource: its id or name", read=_id, sample="6170692e-7363-616c-6577-61792e636f6d"),
    "ip": _Type(wanted="an IP address such as 192.0.2.1 or 2001:db8::1", read=_ip, sample="192.0.2.1"),
    "cidr": _Type(
        wanted="an IP address or a network such as 192.0.2.0/24 or 2001:db8::/32", read=_cidr, sample="192.0.2.0/24"
    ),
    "boolean": _Type(wanted="true or false", read=_boolean, sample=True),
    INDICATOR: _Type(
        wanted="an IP address, a network, an id, or a text such as a part of a user agent; 192.0.2[.]1 is read too",
        read=_indicator,
        sample="192.0.2.1",
    ),
}
"""Every type of a parameter's value."""
