"""An event of a case as the JSON in which the API would send it."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from trailkeep.cases.model import CaseEvent
from trailkeep.cases.moments import WANTED, as_sent, length
from trailkeep.streams import GLOBAL, Kind, Stream
from trailkeep.timespan import format_time, parse_moment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Protocol

    from trailkeep.errors import UsageError

    class Fail(Protocol):
        """Makes the error about one key: what is wrong, and what to write."""

        def __call__(self, key: str, message: str, hint: str | None = None) -> UsageError:
            """The error, to be raised."""


ORGANIZATION = "11111111-1111-4111-8111-111111111111"
"""The Organization of all that does not name another."""

MAX_TIMES = 50_000
"""How often an event may be repeated."""

_SAFE = re.compile(r"[A-Za-z0-9_-]{1,64}")
_REGION = re.compile(r"[a-z]{2,8}-[a-z]{2,8}")
_COMMON = ("id", "at", "ip", "agent", "organization", "locality", "region", "project", "resources", "more", "repeat")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Form:
    """How the events of one kind are written."""

    kind: Kind
    fields: dict[str, str]
    """The keys of a case, and the fields of the JSON that they become as they are; ``@`` is handled on its own."""
    defaults: dict[str, Any]

    @property
    def keys(self) -> tuple[str, ...]:
        """Every key that such an event may have."""
        return tuple(dict.fromkeys((*self.fields, *_COMMON)))


_WHENCE = {"ip": "source_ip", "agent": "user_agent"}
_DEFAULT_WHENCE = {"ip": "192.0.2.1", "agent": "scaleway-cli"}

FORMS: dict[str, _Form] = {
    "api": _Form(
        kind="api",
        fields={
            "api": "method_name",
            "by": "@principal",
            "status": "status_code",
            "product": "product_name",
            "service": "service_name",
            "request": "request_id",
            "body": "request_body",
            **_WHENCE,
        },
        defaults={"by": "alice", "status": 200, "product": "iam", **_DEFAULT_WHENCE},
    ),
    "login": _Form(
        kind="authentication",
        fields={
            "login": "result",
            "user": "@user",
            "country": "country_code",
            "method": "method",
            "mfa": "mfa_type",
            "origin": "origin",
            "reason": "failure_reason",
            **_WHENCE,
        },
        defaults={"user": "alice", **_DEFAULT_WHENCE},
    ),
    "system": _Form(
        kind="system",
        fields={"system": "kind", "name": "system_name", "source": "source", "product": "product_name"},
        defaults={},
    ),
    "iam": _Form(
        kind="iam",
        fields={"iam": "action", "by": "bearer_id", "ip": "ip", "agent": "user_agent", "resource": "@resource"},
        defaults={"by": "alice", **_DEFAULT_WHENCE},
    ),
}
"""How each kind of event is written, by the key that says which it is."""


def events_of(written: dict[str, Any], fail: Fail) -> Iterator[CaseEvent]:
    """The event that `written` means, or the several where it is repeated. Raises what `fail` makes."""
    form = _form_of(written, fail)
    values = {**form.defaults, **written}
    identifier, at = values.get("id"), values.get("at")
    if not isinstance(identifier, str) or not identifier:
        raise fail("id", "an event has no id", 'An id is a text: {id: e1, ...}, "1" in quotes.')
    try:
        sent = as_sent(at)
    except ValueError:
        raise fail("at", f"{at!r} is no time", f"Write {WANTED}.") from None
    region = _region(form, values, fail)
    organization_id = values.get("organization", ORGANIZATION)
    if not isinstance(organization_id, str) or not _SAFE.fullmatch(organization_id):
        raise fail("organization", "this cannot be an Organization's id", "Write letters, digits and dashes.")
    stream = Stream(organization_id=organization_id, kind=form.kind, region=region)
    event: dict[str, Any] = {"id": identifier, "created_at" if form.kind == "iam" else "recorded_at": sent}
    event |= {"organization_id": organization_id, **_fields(form, values, region, fail)}
    more = values.get("more") or {}
    if not isinstance(more, dict):
        raise fail("more", "more must be a mapping: the JSON that is merged into the event")
    for number, moved in _repeats(values.get("repeat"), fail):
        own = dict(event)
        if number:
            own["id"] = f"{identifier}.{number}"
        if moved:
            own["created_at" if form.kind == "iam" else "recorded_at"] = format_time(parse_moment(sent) + moved)
        yield CaseEvent(id=own["id"], stream=stream, raw=json.dumps(_merged(own, more)).encode())


def _form_of(written: dict[str, Any], fail: Fail) -> _Form:
    kinds = [name for name in FORMS if name in written]
    if "iam" in kinds and len(kinds) > 1:
        kinds.remove("iam")
    if len(kinds) != 1:
        raise fail("", "an event is one of api, login, system, iam", "Write {id: e1, api: CreateAPIKey, at: ...}.")
    form = FORMS[kinds[0]]
    if unknown := [key for key in written if key not in form.keys]:
        raise fail(unknown[0], f"unknown key {unknown[0]!r}", f"Known are: {', '.join(form.keys)}.")
    return form


def _region(form: _Form, values: dict[str, Any], fail: Fail) -> str:
    """The region that the event is listed in: as said, else where its locality lies."""
    if form.kind == "iam":
        return GLOBAL
    locality = values.get("locality")
    found = _REGION.match(locality) if isinstance(locality, str) else None
    region = values.get("region") or (found[0] if found else "fr-par")
    if not isinstance(region, str) or not _REGION.fullmatch(region):
        raise fail("region", f"{region!r} is no region such as fr-par")
    return region


def _fields(form: _Form, values: dict[str, Any], region: str, fail: Fail) -> dict[str, Any]:
    """The event's own fields; what is null is absent, as in the API's answers."""
    fields: dict[str, Any] = {}
    for key, name in form.fields.items():
        value = values.get(key)
        if value is not None and not name.startswith("@"):
            fields[name] = value
    if form.kind == "iam":
        return fields | _log_resource(values.get("resource"), fail)
    if form.kind == "api":
        if (principal := values.get("by")) is not None:
            fields["principal"] = {"id": principal}
        if "service" not in values and isinstance(product := values.get("product"), str):
            fields["service_name"] = f"scaleway.{product.replace('-', '_')}.v1.Api"
    locality = values.get("locality", region)
    if form.kind != "authentication" and locality is not None:
        fields["locality"] = locality
    if values.get("project") is not None:
        fields["project_id"] = values["project"]
    resources = _resources(values.get("resources"), fail)
    if form.kind == "authentication" and "resources" not in values and (user := values.get("user")) is not None:
        resources = [{"id": user, "type": "iam_user", "name": user}]
    return fields | {"resources": resources}


def _resources(written: Any, fail: Fail) -> list[dict[str, Any]]:
    if written is None:
        return []
    if not isinstance(written, list) or not all(isinstance(each, dict) for each in written):
        raise fail("resources", "resources must be a list of mappings", "Write [{type: iam_user, id: bob, name: bob}].")
    return [_resource(each, fail) for each in written]


def _resource(written: dict[str, Any], fail: Fail) -> dict[str, Any]:
    resource = {key: value for key, value in written.items() if value is not None}
    if "info" in resource:
        resource[f"{resource.get('type')}_info"] = resource.pop("info")
    for name in ("created_at", "updated_at", "deleted_at"):
        if name in resource:
            try:
                resource[name] = as_sent(resource[name])
            except ValueError:
                raise fail("resources", f"{name}: {resource[name]!r} is no time", f"Write {WANTED}.") from None
    return resource


def _log_resource(written: Any, fail: Fail) -> dict[str, Any]:
    if written is None:
        return {}
    if not isinstance(written, dict) or not written.keys() <= {"type", "id"}:
        raise fail("resource", "a resource of IAM's log has a type and an id", "Write {type: api_key, id: SCWK1}.")
    return {f"resource_{key}": value for key, value in written.items()}


def _repeats(written: Any, fail: Fail) -> Iterator[tuple[int, timedelta]]:
    """The number of each time, and how much later it is; a single 0 where nothing is repeated."""
    if written is None:
        yield 0, timedelta()
        return
    times = written.get("times") if isinstance(written, dict) else None
    try:
        every = length(written.get("every", "0s")) if isinstance(written, dict) else timedelta()
    except ValueError:
        times = None
    if not isinstance(times, int) or isinstance(times, bool) or written.keys() - {"times", "every"}:
        raise fail("repeat", "this is no repetition", "Write {times: 21, every: 10s}.")
    if not 1 <= times <= MAX_TIMES:
        raise fail("repeat", f"an event can be repeated 1 to {MAX_TIMES} times")
    for number in range(times):
        yield number + 1, number * every


def _merged(event: dict[str, Any], more: dict[str, Any]) -> dict[str, Any]:
    merged = dict(event)
    for key, value in more.items():
        known = merged.get(key)
        merged[key] = _merged(known, value) if isinstance(known, dict) and isinstance(value, dict) else value
    return merged
