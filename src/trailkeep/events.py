"""From an event's bytes to its row: what identifies it, the typed columns, and whether two versions say the same.

The fast way reads an event as a typed struct. An event that does not fit (an ill-typed field, a lone surrogate, nesting
beyond a parser's stack) goes the slow way, alone: each field that can be read is, each other one is null, and ``raw``
keeps the bytes. Which way an event goes depends on its own bytes only.
"""

from __future__ import annotations

import json
from array import array
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from itertools import accumulate, chain
from operator import attrgetter
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

import msgspec
import pyarrow as pa
import pyarrow.compute as pc

from trailkeep import jsonscan
from trailkeep.schema import EVENT_TABLES, RESOURCE, TIMESTAMP
from trailkeep.timespan import parse_moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from trailkeep.schema import Table
    from trailkeep.streams import Kind

_T = TypeVar("_T")
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_PLAIN_TIME = r"^(19[7-9]|2[01]\d)\d-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?Z$"
"""Times that Arrow reads as `parse_moment` does; it takes others too, which would depend on a row's neighbours."""
_MICROSECOND = timedelta(microseconds=1)
_EVENTS_AT_ONCE = 5_000
_NULL = msgspec.Raw(b"null")
_ABSENT = msgspec.Raw(b"")


class Arrival(NamedTuple):
    """An event as it arrived: its bytes, and what identifies it and puts it in order."""

    raw: bytes
    id: str
    recorded_at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Reject:
    """Something among the events that is not a JSON object with an id and a time."""

    raw: bytes
    reason: str


class _Identity(msgspec.Struct, gc=False):
    id: str
    recorded_at: str


class _Principal(msgspec.Struct, gc=False):
    id: str | None = None


class _Resource(msgspec.Struct, gc=False):
    id: str | None = None
    type: str | None = None
    name: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    deleted_at: str | None = None
    info: str | None = msgspec.field(name="", default=None)
    """JSON text of ``<type>_info``, whose key varies: it is filled in afterwards."""


class _InfoOnly(msgspec.Struct, gc=False):
    resources: list[dict[str, msgspec.Raw]] = []


class _Event(msgspec.Struct, gc=False):
    """Every field that becomes a column, of all kinds; a field that a kind does not have is absent."""

    locality: str | None = None
    project_id: str | None = None
    principal: _Principal | None = None
    source_ip: str | None = None
    user_agent: str | None = None
    product_name: str | None = None
    service_name: str | None = None
    method_name: str | None = None
    request_id: str | None = None
    status_code: int | None = None
    request_body: msgspec.Raw = _NULL
    resources: list[_Resource] | None = None
    result: str | None = None
    failure_reason: str | None = None
    country_code: str | None = None
    method: str | None = None
    origin: str | None = None
    mfa_type: str | None = None
    source: str | None = None
    system_name: str | None = None
    kind: str | None = None


class _LogIdentity(msgspec.Struct, gc=False):
    id: str
    recorded_at: str = msgspec.field(name="created_at")


class _Log(msgspec.Struct, gc=False):
    """A record of IAM's log; the fields have the names of their columns."""

    source_ip: str | None = msgspec.field(name="ip", default=None)
    user_agent: str | None = None
    action: str | None = None
    bearer_id: str | None = None
    resource_type: str | None = None
    resource_id: str | None = None


_identity_decoder = msgspec.json.Decoder(_Identity)
_log_identity_decoder = msgspec.json.Decoder(_LogIdentity)
_event_decoder = msgspec.json.Decoder(_Event)
_log_decoder = msgspec.json.Decoder(_Log)
_info_decoder = msgspec.json.Decoder(_InfoOnly)
_TEXT_FIELDS = tuple(
    name for name in _Event.__struct_fields__ if name not in {"principal", "status_code", "request_body", "resources"}
)
_LOG_FIELDS = dict(zip(_Log.__struct_fields__, _Log.__struct_encode_fields__, strict=True))
"""The columns of a record of IAM's log, and the names that they have in its JSON."""
_UNFIT = (msgspec.MsgspecError, UnicodeDecodeError, RecursionError)


def identify(raws: Iterable[bytes | msgspec.Raw], kind: Kind = "api") -> tuple[list[Arrival], list[Reject]]:
    """Tell events from what is none, and read each event's id and time."""
    decode = (_log_identity_decoder if kind == "iam" else _identity_decoder).decode
    arrivals: list[Arrival] = []
    rejects: list[Reject] = []
    for item in raws:
        raw = bytes(item)
        try:
            if not raw.isascii():
                raw.decode()
            identity = decode(raw)
            arrival = Arrival(raw, identity.id, parse_moment(identity.recorded_at))
        except (*_UNFIT, ValueError):
            arrival = Arrival(raw, "", _EPOCH)
        if not arrival.id:
            try:
                arrival = _identify_slowly(raw, _time_field(kind))
            except ValueError as error:
                rejects.append(Reject(raw=raw, reason=str(error)))
                continue
        arrivals.append(arrival)
    return arrivals, rejects


def to_rows(kind: Kind, arrivals: Sequence[Arrival]) -> pa.Table:
    """The rows of `arrivals`, in their order, with the columns of the kind's table but ``ledger_seq``."""
    # In parts: an event as Python objects takes three times the memory that it takes as a row.
    starts = range(0, max(len(arrivals), 1), _EVENTS_AT_ONCE)
    return pa.concat_tables([_to_rows(kind, arrivals[start : start + _EVENTS_AT_ONCE]) for start in starts])


def _to_rows(kind: Kind, arrivals: Sequence[Arrival]) -> pa.Table:
    table = EVENT_TABLES[kind]
    columns: dict[str, pa.Array] = {
        "id": pa.array([arrival.id for arrival in arrivals], pa.string()),
        "recorded_at": moments_to_arrow(arrival.recorded_at for arrival in arrivals),
        "raw": raw_to_arrow([arrival.raw for arrival in arrivals]),
        **(_log_columns(arrivals) if kind == "iam" else _event_columns(table, arrivals)),
    }
    names = [column.name for column in table.columns if column.name != "ledger_seq"]
    return pa.table({name: columns[name] for name in names})


def _log_columns(arrivals: Sequence[Arrival]) -> dict[str, pa.Array]:
    """What records of IAM's log say beside their ids and times."""
    logs = [_read_log(arrival.raw) for arrival in arrivals]
    return {name: _empty_as_null(pa.array(list(map(attrgetter(name), logs)), pa.string())) for name in _LOG_FIELDS}


def _event_columns(table: Table, arrivals: Sequence[Arrival]) -> dict[str, pa.Array]:
    """What events say beside their ids and times."""
    events = [_read(arrival.raw) for arrival in arrivals]
    columns: dict[str, pa.Array] = {"resources": _resources_to_arrow([event.resources or () for event in events])}
    for column in table.columns:
        if column.name in columns or column.name in ("id", "recorded_at", "raw", "ledger_seq"):
            continue
        if column.name == "principal_id":
            values: list[Any] = [event.principal.id if event.principal else None for event in events]
        elif column.name == "request_body":
            values = [_not_null(bytes(event.request_body)) for event in events]
        elif column.name == "status_code":
            values = [_int32_or_none(event.status_code) for event in events]
        else:
            values = list(map(attrgetter(column.name), events))
        columns[column.name] = _empty_as_null(pa.array(values, column.type))
    return columns


def same_content(one: bytes, other: bytes) -> bool:
    """Whether two versions of an event are the same JSON; the order of keys differs between the API's answers."""
    if one == other:
        return True
    try:
        return _canonical(one) == _canonical(other)
    except (ValueError, RecursionError):
        return False


def moments_to_arrow(moments: Iterable[datetime]) -> pa.Array:
    """UTC moments as a column of `trailkeep.schema.TIMESTAMP`, exact to the microsecond."""
    return pa.array([(moment - _EPOCH) // _MICROSECOND for moment in moments], pa.int64()).view(TIMESTAMP)


def raw_to_arrow(raws: Sequence[bytes]) -> pa.Array:
    """A string column of these bytes, which must be UTF-8, built from one buffer."""
    offsets = array("i", accumulate(map(len, raws), initial=0))
    return pa.StringArray.from_buffers(len(raws), pa.py_buffer(offsets), pa.py_buffer(b"".join(raws)))


def _time_field(kind: Kind) -> str:
    """Where a record of this kind says when it was recorded."""
    return "created_at" if kind == "iam" else "recorded_at"


def _identify_slowly(raw: bytes, time_field: str) -> Arrival:
    """Read the id and the time of what the strict parser refuses. Raises ValueError saying what is missing."""
    try:
        raw.decode()
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    try:
        fields = jsonscan.members(raw)
    except ValueError as error:
        raise ValueError(f"it is not a JSON object: {error}") from None
    identifier = _text(fields.get("id"))
    if not identifier:
        raise ValueError("it has no id")
    recorded_at = _text(fields.get(time_field))
    if not recorded_at:
        raise ValueError(f"it has no {time_field}")
    try:
        return Arrival(raw, identifier, parse_moment(recorded_at))
    except ValueError:
        raise ValueError(f"its {time_field} is not an RFC 3339 time") from None


def _read_log(raw: bytes) -> _Log:
    try:
        return _log_decoder.decode(raw)
    except _UNFIT:
        fields = jsonscan.members(raw)
        return _Log(**{name: _text(fields.get(key)) for name, key in _LOG_FIELDS.items()})


def _read(raw: bytes) -> _Event:
    try:
        event = _event_decoder.decode(raw)
        if event.resources and b'_info"' in raw:
            _fill_infos(event.resources, raw)
    except _UNFIT:
        return _read_slowly(raw)
    return event


def _fill_infos(resources: list[_Resource], raw: bytes) -> None:
    """Read what the type of each resource names; the strict parser has accepted the event, and so these parts of it."""
    infos = None
    if len({resource.type for resource in resources}) == 1:
        # Nearly always: then the parser can be told the key, and need not hand over all others.
        infos = [each.info for each in _info_decoder_of(resources[0].type).decode(raw).resources]
        if _ABSENT in infos:
            infos = None
    if infos is None:
        found = zip(resources, _info_decoder.decode(raw).resources, strict=True)
        infos = [_info_of(resource.type, fields) or _NULL for resource, fields in found]
    for resource, info in zip(resources, infos, strict=True):
        text = str(info, "utf-8")
        resource.info = None if text == "null" else text


@lru_cache(maxsize=1024)
def _info_decoder_of(resource_type: str | None) -> msgspec.json.Decoder[Any]:
    key = msgspec.field(name=f"{resource_type}_info", default=_ABSENT)
    resource = msgspec.defstruct("Resource", [("info", msgspec.Raw, key)], gc=False)
    return msgspec.json.Decoder(msgspec.defstruct("Event", [("resources", list[resource])], gc=False))  # type: ignore[valid-type]


def _read_slowly(raw: bytes) -> _Event:
    fields = jsonscan.members(raw)
    event = _Event(**{name: _text(fields.get(name)) for name in _TEXT_FIELDS})  # type: ignore[arg-type]
    event.principal = _Principal(_text(_members_or_none(fields.get("principal")).get("id")))
    event.status_code = _integer(fields.get("status_code"))
    if body := _safe_json(fields.get("request_body")):
        event.request_body = msgspec.Raw(body)
    try:
        resources = jsonscan.elements(fields.get("resources", b""))
    except ValueError:
        resources = []
    event.resources = [_read_resource_slowly(resource) for resource in resources]
    return event


def _read_resource_slowly(raw: bytes) -> _Resource:
    fields = _members_or_none(raw)
    resource = _Resource(**{name: _text(fields.get(name)) for name in _Resource.__struct_fields__ if name != "info"})
    info = _safe_json(_info_of(resource.type, fields))
    resource.info = info.decode() if info else None
    return resource


def _info_of(resource_type: str | None, fields: Mapping[str, _T]) -> _T | None:
    """What stands under ``<type>_info``, or else under the first other key that ends like it."""
    name = f"{resource_type}_info"
    if name not in fields:
        name = min((each for each in fields if each.endswith("_info")), default="")
    return fields.get(name)


def _resources_to_arrow(lists: Sequence[Sequence[_Resource]]) -> pa.Array:
    flat = list(chain.from_iterable(lists))
    fields: list[pa.Array] = []
    for field in RESOURCE:
        values = list(map(attrgetter(field.name), flat))
        fields.append(_times(values) if field.type == TIMESTAMP else _empty_as_null(pa.array(values, field.type)))
    structs = pa.StructArray.from_arrays(fields, fields=list(RESOURCE))
    offsets = pa.array(accumulate(map(len, lists), initial=0), pa.int32())
    return pa.ListArray.from_arrays(offsets, structs)


def _times(values: list[str | None]) -> pa.Array:
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


def _int32_or_none(number: int | None) -> int | None:
    return number if number is not None and -(2**31) <= number < 2**31 else None


def _not_null(json_text: bytes) -> bytes | None:
    return None if json_text == b"null" else json_text


def _empty_as_null(values: pa.Array) -> pa.Array:
    """The column with null for every empty string: what is absent is null, however the API says so."""
    if not pa.types.is_string(values.type):
        return values
    empty = pc.equal(values, pa.scalar(""))
    return pc.if_else(empty, pa.scalar(None, pa.string()), values) if pc.any(empty).as_py() else values


def _safe_json(text: bytes | None) -> bytes | None:
    """JSON text that every parser takes, or None: what no parser reads stays in ``raw`` alone.

    DuckDB refuses a whole query for one malformed text, so one hostile event could blind every question.
    """
    if text is None or text == b"null":
        return None
    try:
        msgspec.json.decode(text)
        return bytes(text)
    except _UNFIT:
        pass
    try:
        value = json.loads(text, strict=False, parse_constant=lambda _name: None)
    except (ValueError, RecursionError):
        return None
    return _replace_surrogates(json.dumps(value, ensure_ascii=False)).encode()


def _text(value: bytes | None) -> str | None:
    """The string that a JSON value is, or None for another type, an empty string, or what cannot be read."""
    if value is None or not value.startswith(b'"'):
        return None
    try:
        text = json.loads(value, strict=False)
    except ValueError:
        return None
    return _replace_surrogates(text) if isinstance(text, str) else None


def _integer(value: bytes | None) -> int | None:
    try:
        number = json.loads(value or b"null")
    except (ValueError, RecursionError):
        return None
    return number if isinstance(number, int) and not isinstance(number, bool) else None


def _members_or_none(value: bytes | None) -> dict[str, bytes]:
    try:
        return jsonscan.members(value or b"")
    except ValueError:
        return {}


def _replace_surrogates(text: str) -> str:
    """Lone surrogates cannot be stored as text; each becomes U+FFFD, and ``raw`` keeps what it was."""
    return text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")


def _canonical(raw: bytes) -> str:
    return json.dumps(json.loads(raw, strict=False, parse_int=_number), sort_keys=True)


def _number(text: str) -> int | str:
    """An integer, or its digits where Python refuses to convert so many."""
    try:
        return int(text)
    except ValueError:
        return text
