"""The fields of an event that become columns, read as a typed struct, or one by one where the event does not fit it.

Which way an event goes changes nothing in what is read of it.
"""

from __future__ import annotations

import contextlib
import re
from functools import lru_cache
from operator import attrgetter
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec

from trailkeep import jsonscan
from trailkeep.events.values import MOST_LEVELS, UNFIT, integer_or_none, members_or_none, safe_json, text_or_none

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from trailkeep.streams import Kind

MOST_TYPES = 64
"""Of so many types of resources the parser is told the name of what describes them; of others it hands over all."""

_T = TypeVar("_T")
_NULL = msgspec.Raw(b"null")
_ABSENT = msgspec.Raw(b"")
_INFO = b'_info"'
_INFO_FIELD = "_info"
_PLAIN_TYPE = re.compile(r"[a-z0-9_]{1,64}")


class Principal(msgspec.Struct, gc=False):
    """Who called."""

    id: str | None = None


class Resource(msgspec.Struct, gc=False):
    """What was acted on. The fields stand as the API sends them: the parser looks for each where the last one ended."""

    id: str | None = None
    type: str | None = None
    created_at: str | None = None
    updated_at: str | None = None
    deleted_at: str | None = None
    name: str | None = None
    info: msgspec.Raw = msgspec.field(name="", default=_ABSENT)
    """``<type>_info``, whose key varies: it is filled in afterwards."""


class ApiEvent(msgspec.Struct, gc=False):
    """The fields of an api event; their names are those of the columns, but for the principal's id."""

    locality: str | None = None
    principal: Principal | None = None
    project_id: str | None = None
    source_ip: str | None = None
    user_agent: str | None = None
    product_name: str | None = None
    service_name: str | None = None
    method_name: str | None = None
    request_id: str | None = None
    request_body: msgspec.Raw = _NULL
    status_code: int | None = None
    resources: list[Resource] | None = None


class AuthenticationEvent(msgspec.Struct, gc=False):
    """The fields of an authentication event."""

    source_ip: str | None = None
    user_agent: str | None = None
    result: str | None = None
    failure_reason: str | None = None
    country_code: str | None = None
    method: str | None = None
    origin: str | None = None
    mfa_type: str | None = None
    resources: list[Resource] | None = None


class SystemEvent(msgspec.Struct, gc=False):
    """The fields of a system event."""

    locality: str | None = None
    project_id: str | None = None
    product_name: str | None = None
    source: str | None = None
    system_name: str | None = None
    kind: str | None = None
    resources: list[Resource] | None = None


class Log(msgspec.Struct, gc=False):
    """A record of IAM's log; the fields have the names of their columns."""

    source_ip: str | None = msgspec.field(name="ip", default=None)
    user_agent: str | None = None
    action: str | None = None
    bearer_id: str | None = None
    resource_type: str | None = None
    resource_id: str | None = None


class _InfoOnly(msgspec.Struct, gc=False):
    resources: list[dict[str, msgspec.Raw]] = []


Event = ApiEvent | AuthenticationEvent | SystemEvent
STRUCTS: dict[Kind, type[Event]] = {"api": ApiEvent, "authentication": AuthenticationEvent, "system": SystemEvent}
"""What an event of each kind is read as; those of IAM are a `Log`."""
_log_decoder = msgspec.json.Decoder(Log)
_info_decoder = msgspec.json.Decoder(_InfoOnly)
LOG_FIELDS = dict(zip(Log.__struct_fields__, Log.__struct_encode_fields__, strict=True))
"""The columns of a record of IAM's log, and the names that they have in its JSON."""


class _Reader:
    """Reads events that fit their struct, and with them what describes resources of the types that it knows."""

    def __init__(self, kind: Kind, types: tuple[str, ...] = ()) -> None:
        self.types = types
        self._fields = {each: f"info_{number}" for number, each in enumerate(types)}
        infos = [
            (name, msgspec.Raw, msgspec.field(name=each + _INFO_FIELD, default=_ABSENT))
            for each, name in self._fields.items()
        ]
        self.decode = _decoder(kind, infos, known_only=False)
        """One event without what describes its resources. Raises one of `UNFIT`."""
        self.decode_known = _decoder(kind, infos, known_only=True)
        """The same, but where a resource has a field that is not known this raises, too."""
        self.expects_known = True
        """Whether that is worth trying: until an event has had a field that cannot be learned."""
        self._descriptions = attrgetter("info", *self._fields.values())
        self._none = self._descriptions(_struct_of_resource(infos, known_only=False)())

    def find_infos(self, events: Sequence[Event], raws: Sequence[bytes], *, known_only: bool = False) -> list[int]:
        """Put what describes each resource in its place; where more may stand than was found, tell which events.

        With `known_only` no resource has a field that is not known.
        """
        field_of = self._fields.get
        unclear: list[int] = []
        for index, event in enumerate(events):
            for resource in event.resources or ():
                field = field_of(resource.type)  # type: ignore[arg-type]
                if field is not None and (info := getattr(resource, field)) is not _ABSENT:
                    resource.info = info
                    continue
                if known_only:
                    is_clear = self._descriptions(resource) == self._none
                else:
                    # A key may be written with escapes.
                    is_clear = _INFO not in raws[index] and b"\\" not in raws[index]
                if not is_clear:
                    unclear.append(index)
                    break
                resource.info = _ABSENT  # it is something else where a key has no letters
        return unclear


def _decoder(kind: Kind, infos: list[Any], *, known_only: bool) -> Callable[[bytes], Any]:
    resource = _struct_of_resource(infos, known_only=known_only)
    resources = ("resources", list[resource] | None, None)  # type: ignore[valid-type] # it is made just now
    event: Any = msgspec.defstruct("Event", [resources], bases=(STRUCTS[kind],), gc=False)
    return msgspec.json.Decoder(event).decode


def _struct_of_resource(infos: list[Any], *, known_only: bool) -> Any:
    return msgspec.defstruct("Resource", infos, bases=(Resource,), gc=False, forbid_unknown_fields=known_only)


_readers: dict[Kind, _Reader] = {kind: _Reader(kind) for kind in STRUCTS}
"""Each grows with the types that come; what it reads does not depend on them."""


def read_events(kind: Kind, raws: Sequence[bytes]) -> list[Event]:
    """The fields of each event; `trailkeep.events.identify` has taken each for one."""
    reader = _readers[kind]
    events, known_only = _decode_all(reader, raws)
    if events is None:
        return [read_event(kind, raw) for raw in raws]
    types: set[str] = set()
    for index in reader.find_infos(events, raws, known_only=known_only):
        try:
            types |= _fill_infos(events[index].resources or (), raws[index])
        except UNFIT:
            events[index] = read_slowly(kind, raws[index])
    for index, raw in enumerate(raws):
        # The parser has taken each, so what is opened is closed.
        if len(raw) > 2 * MOST_LEVELS and jsonscan.is_nested_deeper(raw, MOST_LEVELS):
            events[index] = read_slowly(kind, raw)
    if not known_only and not _get_to_know(kind, types):
        reader.expects_known = False
    return events


def _decode_all(reader: _Reader, raws: Sequence[bytes]) -> tuple[list[Event] | None, bool]:
    """All events, or None where one does not fit; and whether their resources have known fields only."""
    if reader.expects_known:
        with contextlib.suppress(*UNFIT):
            return list(map(reader.decode_known, raws)), True
    try:
        return list(map(reader.decode, raws)), False
    except UNFIT:
        return None, False


def read_event(kind: Kind, raw: bytes) -> Event:
    """The fields of one event."""
    if jsonscan.is_nested_deeper(raw, MOST_LEVELS):
        return read_slowly(kind, raw)
    reader = _readers[kind]
    try:
        event: Event = reader.decode(raw)
        if reader.find_infos([event], [raw]):
            _fill_infos(event.resources or (), raw)
    except UNFIT:
        return read_slowly(kind, raw)
    return event


def _get_to_know(kind: Kind, types: set[str]) -> bool:
    """Have resources of these types read in one go from now on; whether that changes anything."""
    known = _readers[kind].types
    new = sorted(each for each in types.difference(known) if _PLAIN_TYPE.fullmatch(each))
    if not new or len(known) >= MOST_TYPES:
        return False
    _readers[kind] = _Reader(kind, (*known, *new)[:MOST_TYPES])
    return True


def read_slowly(kind: Kind, raw: bytes) -> Event:
    """The fields of one event, each by itself: what can be read is, and the others are null."""
    fields = jsonscan.members(raw)
    struct = STRUCTS[kind]
    special = {"principal", "request_body", "status_code", "resources"}
    texts: dict[str, Any] = {
        name: text_or_none(fields.get(name)) for name in struct.__struct_fields__ if name not in special
    }
    event = struct(**texts)
    if isinstance(event, ApiEvent):
        event.principal = Principal(text_or_none(members_or_none(fields.get("principal")).get("id")))
        event.status_code = integer_or_none(fields.get("status_code"))
        if body := safe_json(fields.get("request_body")):
            event.request_body = msgspec.Raw(body)
    try:
        resources = jsonscan.elements(fields.get("resources", b""))
    except ValueError:
        resources = []
    event.resources = [_read_resource_slowly(resource) for resource in resources]
    return event


def read_log(raw: bytes) -> Log:
    """The fields of a record of IAM's log."""
    try:
        return _log_decoder.decode(raw)
    except UNFIT:
        fields = jsonscan.members(raw)
        return Log(**{name: text_or_none(fields.get(key)) for name, key in LOG_FIELDS.items()})


def _fill_infos(resources: Sequence[Resource], raw: bytes) -> set[str]:
    """Read what the type of each resource names; the types of those that have it.

    The strict parser has accepted the event, and so these parts of it.
    """
    infos: list[msgspec.Raw] = []
    first = resources[0].type
    if all(resource.type == first for resource in resources):
        # Nearly always: then the parser can be told the key, and need not hand over all others.
        infos = [each.info for each in _info_decoder_of(first).decode(raw).resources]
    if not infos or _ABSENT in infos:
        found = zip(resources, _info_decoder.decode(raw).resources, strict=True)
        infos = [_info_of(resource.type, fields) or _ABSENT for resource, fields in found]
    for resource, info in zip(resources, infos, strict=True):
        resource.info = info
    return {resource.type for resource in resources if resource.type and resource.info is not _ABSENT}


@lru_cache(maxsize=1024)
def _info_decoder_of(resource_type: str | None) -> msgspec.json.Decoder[Any]:
    key = msgspec.field(name=f"{resource_type}{_INFO_FIELD}", default=_ABSENT)
    resource = msgspec.defstruct("Resource", [("info", msgspec.Raw, key)], gc=False)
    return msgspec.json.Decoder(msgspec.defstruct("Event", [("resources", list[resource])], gc=False))  # type: ignore[valid-type]


def _read_resource_slowly(raw: bytes) -> Resource:
    fields = members_or_none(raw)
    texts: dict[str, Any] = {
        name: text_or_none(fields.get(name)) for name in Resource.__struct_fields__ if name != "info"
    }
    resource = Resource(**texts)
    if info := safe_json(_info_of(resource.type, fields)):
        resource.info = msgspec.Raw(info)
    return resource


def _info_of(resource_type: str | None, fields: Mapping[str, _T]) -> _T | None:
    """What stands under ``<type>_info``, or else under the first other key that ends like it."""
    name = f"{resource_type}{_INFO_FIELD}"
    if name in fields:
        return fields[name]
    others = [each for each in fields if each.endswith(_INFO_FIELD)]
    return fields[min(others)] if others else None
