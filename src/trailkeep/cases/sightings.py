"""Objects of the directory as a case writes them: as the API gives them, with the time at which they were seen."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from trailkeep.cases.events import ORGANIZATION
from trailkeep.cases.model import Sighting
from trailkeep.cases.moments import WANTED, as_sent, moment
from trailkeep.directory import RESOURCES, read_object

if TYPE_CHECKING:
    from trailkeep.cases.events import Fail

BEFORE_ALL = datetime(2025, 1, 1, tzinfo=UTC)
"""When an object was seen that does not say it."""

_BESIDE = ("at", "gone", "region", "organization")


def sighting_of(written: dict[str, Any], fail: Fail) -> Sighting:
    """What one element of ``directory`` means. Raises what `fail` makes."""
    lists = [key for key in written if key not in _BESIDE]
    if len(lists) != 1 or lists[0] not in RESOURCES:
        hint = f"Write {{users: {{id: alice, ...}}, at: ...}}; the lists are {', '.join(RESOURCES)}."
        raise fail(lists[0] if lists else "", "an object of the directory belongs to one of its lists", hint)
    (resource,) = lists
    value = written[resource]
    if not isinstance(value, dict):
        raise fail(resource, "an object is a mapping: its JSON as the API gives it")
    fields = dict(value)
    rules = fields.pop("rules", []) if resource == "policies" else None
    if rules is not None and not (isinstance(rules, list) and all(isinstance(rule, dict) for rule in rules)):
        raise fail(resource, "the rules of a policy are a list of mappings")
    for name in ("created_at", "updated_at", "last_login_at", "expires_at"):
        if fields.get(name) is not None:
            try:
                fields[name] = as_sent(fields[name])
            except ValueError:
                raise fail(resource, f"{name}: {fields[name]!r} is no time", f"Write {WANTED}.") from None
    at = BEFORE_ALL
    if "at" in written:
        try:
            at = moment(written["at"])
        except ValueError:
            raise fail("at", f"{written['at']!r} is no time", f"Write {WANTED}.") from None
    region = written.get("region", "fr-par") if resource == "products" else None
    raw = json.dumps(fields).encode()
    try:
        read_object(resource, raw, region=region)
    except ValueError as error:
        raise fail(resource, f"this cannot be one of {resource}: {error}") from None
    return Sighting(
        resource=resource,
        at=at,
        raw=raw,
        rules=None if rules is None else tuple(json.dumps(rule).encode() for rule in rules),
        region=region,
        gone=written.get("gone") is True,
        organization_id=str(written.get("organization", ORGANIZATION)),
    )
