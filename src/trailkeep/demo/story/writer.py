"""Events as the bytes in which the API would serve them."""

from __future__ import annotations

import json
from datetime import date, timedelta
from typing import TYPE_CHECKING, Literal

from trailkeep.demo.story.products import SERVICES

if TYPE_CHECKING:
    from collections.abc import Sequence
    from random import Random

    from trailkeep.demo.story.model import Record, Stream

SECOND = 10**9
MINUTE = 60 * SECOND
HOUR = 60 * MINUTE
DAY = 24 * HOUR

_OF_DAY = [f"T{hour:02}:{minute:02}:{second:02}." for hour in range(24) for minute in range(60) for second in range(60)]

# Two serializations occur in real answers: the fields in the order of their definition with ", " between
# them, and sorted keys without a space.
_DEFINED = json.JSONEncoder(ensure_ascii=False, separators=(", ", ":")).encode
_SORTED = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"), sort_keys=True).encode

_LEGACY = frozenset({"instance"})
"""Products with random ids (UUIDv4) and six decimals; the others have UUIDv7 and nine."""
_SORTED_KEYS = frozenset({"baremetal", "apple-silicon"})

_IAM_LOGGED = {
    "CreateAPIKey": ("created", "api_key"),
    "UpdateAPIKey": ("updated", "api_key"),
    "DeleteAPIKey": ("deleted", "api_key"),
    "CreateApplication": ("created", "application"),
    "CreateUser": ("created", "user"),
    "LockUser": ("updated", "user"),
    "CreateGroup": ("created", "group"),
    "AddGroupMember": ("updated", "group"),
    "CreatePolicy": ("created", "policy"),
    "UpdatePolicy": ("updated", "policy"),
    "DeletePolicy": ("deleted", "policy"),
    "LockMember": ("updated", "user"),
    "UnlockMember": ("updated", "user"),
    "DeleteUser": ("deleted", "user"),
    "RemoveGroupMember": ("updated", "group"),
    "AddGroupMembers": ("updated", "group"),
    "SetGroupMembers": ("updated", "group"),
    "DeleteApplication": ("deleted", "application"),
    "SetRules": ("updated", "policy"),
}


def uuid4(rng: Random) -> str:
    """A random UUID (version 4)."""
    text = f"{rng.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-{'89ab'[int(text[16], 16) & 3]}{text[17:20]}-{text[20:]}"


def uuid7(rng: Random, ns: int) -> str:
    """A UUID that begins with its time in milliseconds (version 7)."""
    text = f"{ns // 1_000_000:012x}{rng.getrandbits(76):019x}"
    return f"{text[:8]}-{text[8:12]}-7{text[12:15]}-{'89ab'[int(text[15], 16) & 3]}{text[16:19]}-{text[19:]}"


def _date_text(day: int) -> str:
    """The date of a day counted from 1970, ``YYYY-MM-DD``."""
    return (date(1970, 1, 1) + timedelta(days=day)).isoformat()


class Writer:
    """Collects events by stream; those outside ``begin <= time < end`` (nanoseconds) are dropped."""

    def __init__(self, organization_id: str, rng: Random, *, begin: int, end: int) -> None:
        self.organization_id = organization_id
        self.rng = rng
        self.begin = begin
        self.end = end
        self.written = 0
        self.logs: list[Record] = []
        self._rows: dict[Stream, list[tuple[int, bytes]]] = {}
        self._days: dict[int, str] = {}

    def time(self, ns: int, decimals: Literal[6, 9] = 6) -> str:
        """A time as the API writes it."""
        second, fraction = divmod(ns, SECOND)
        day, of_day = divmod(second, 86_400)
        text = self._days.get(day)
        if text is None:
            text = self._days[day] = _date_text(day)
        if decimals == 6:
            return f"{text}{_OF_DAY[of_day]}{fraction // 1000:06d}Z"
        return f"{text}{_OF_DAY[of_day]}{fraction:09d}Z"

    def resource(
        self,
        kind: str,
        resource_id: str,
        name: str | None,
        *,
        created: int | None = None,
        updated: int | None = None,
        deleted: int | None = None,
        facts: Record | None = None,
    ) -> Record:
        """A resource as events carry it; `facts` become ``<kind>_info``, which is absent without them."""
        record: Record = {
            "id": resource_id,
            "type": kind,
            "created_at": None if created is None else self.time(created),
            "updated_at": None if updated is None else self.time(updated),
            "deleted_at": None if deleted is None else self.time(deleted),
            "name": name,
        }
        if facts:
            record[f"{kind}_info"] = facts
        return record

    def api(
        self,
        ns: int,
        *,
        locality: str,
        product: str,
        method: str,
        principal: str,
        project: str | None = None,
        source_ip: str | None = None,
        user_agent: str | None = None,
        body: Record | None = None,
        status: int = 200,
        resources: Sequence[Record] = (),
    ) -> str:
        """Write one call of the API and return the event's id; what is None is absent from it."""
        rng = self.rng
        if product in _LEGACY:
            ns -= ns % 1000
            event_id, recorded_at = uuid4(rng), self.time(ns, 6)
        else:
            event_id, recorded_at = uuid7(rng, ns), self.time(ns, 9)
        # A frame of text around the parts that need escaping: half the time of encoding the whole event.
        optional = "" if project is None else f', "project_id":"{project}"'
        if source_ip is not None:
            optional += f', "source_ip":"{source_ip}"'
        if user_agent is not None:
            optional += f', "user_agent":{_DEFINED(user_agent)}'
        text = (
            f'{{"id":"{event_id}", "recorded_at":"{recorded_at}", "locality":"{locality}"'
            f', "principal":{{"id":"{principal}"}}, "organization_id":"{self.organization_id}"{optional}'
            f', "product_name":"{product}", "service_name":"{SERVICES[product]}", "method_name":"{method}"'
            f', "request_id":"{uuid4(rng)}", "request_body":{_DEFINED(body or {})}'
            f', "status_code":{status}, "resources":{_DEFINED(resources)}}}'
        )
        if product in _SORTED_KEYS:
            text = _SORTED(json.loads(text))
        self._keep(("api", locality[:6]), ns, text)
        if method in _IAM_LOGGED and status < 300 and resources:
            self._log(ns, method, principal, source_ip, user_agent, resources[0]["id"])
        return event_id

    def authentication(
        self,
        ns: int,
        *,
        user: Record,
        source_ip: str,
        user_agent: str,
        country_code: str | None,
        method: str,
        failure_reason: str | None = None,
        mfa: bool = False,
        origin: Literal["public_api", "admin_api"] = "public_api",
    ) -> str:
        """Write one attempt to log in and return the event's id; without `failure_reason` it succeeded."""
        event_id = uuid7(self.rng, ns)
        event: Record = {
            "id": event_id,
            "recorded_at": self.time(ns, 9),
            "organization_id": self.organization_id,
            "source_ip": source_ip,
            "user_agent": user_agent,
            "resources": [self.resource("iam_user", user["id"], user["username"])],
            "result": "failure" if failure_reason else "success",
        }
        if failure_reason:
            event["failure_reason"] = failure_reason
        if country_code:
            event["country_code"] = country_code
        event["method"] = method
        event["origin"] = origin
        if mfa:
            event["mfa_type"] = "totp"
        self._keep(("authentication", "fr-par"), ns, _DEFINED(event))
        return event_id

    def system(
        self,
        ns: int,
        *,
        locality: str,
        product: str,
        source: str,
        system_name: str,
        kind: Literal["cron", "notification"],
        project: str | None,
        resources: Sequence[Record] = (),
    ) -> str:
        """Write one thing that Scaleway itself did and return the event's id."""
        event_id = uuid7(self.rng, ns)
        event: Record = {
            "id": event_id,
            "recorded_at": self.time(ns, 9),
            "locality": locality,
            "organization_id": self.organization_id,
        }
        if project is not None:
            event["project_id"] = project
        event |= {
            "source": source,
            "system_name": system_name,
            "kind": kind,
            "product_name": product,
            "resources": list(resources),
        }
        self._keep(("system", locality[:6]), ns, _DEFINED(event))
        return event_id

    def finished(self, regions: Sequence[str]) -> tuple[dict[Stream, list[bytes]], dict[Stream, list[int]]]:
        """All events and all their times by stream, oldest first; every kind has every region."""
        events: dict[Stream, list[bytes]] = {}
        times: dict[Stream, list[int]] = {}
        for kind in ("api", "authentication", "system"):
            for region in regions:
                rows = self._rows.get((kind, region), [])
                rows.sort(key=lambda row: row[0])
                times[kind, region] = [ns for ns, _ in rows]
                events[kind, region] = [raw for _, raw in rows]
        return events, times

    def _keep(self, stream: Stream, ns: int, text: str) -> None:
        if self.begin <= ns < self.end:
            self._rows.setdefault(stream, []).append((ns, text.encode()))
            self.written += 1

    def _log(
        self,
        ns: int,
        method: str,
        principal: str,
        source_ip: str | None,
        user_agent: str | None,
        resource_id: str,
    ) -> None:
        if not self.begin <= ns < self.end:
            return
        action, resource_type = _IAM_LOGGED[method]
        self.logs.append(
            {
                "id": uuid4(self.rng),
                "created_at": self.time(ns),
                "ip": source_ip or "",
                "user_agent": user_agent or "",
                "action": action,
                "bearer_id": principal,
                "organization_id": self.organization_id,
                "resource_type": resource_type,
                "resource_id": resource_id,
            }
        )
