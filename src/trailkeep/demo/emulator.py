"""The Audit Trail, IAM and Account APIs as a WSGI application, with faults on demand."""

from __future__ import annotations

import json
import time
import uuid
from dataclasses import dataclass
from datetime import timedelta
from email.utils import formatdate
from hashlib import blake2b
from random import Random
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, cast
from urllib.parse import parse_qsl

from trailkeep.demo import answers, logs, paging
from trailkeep.demo.answers import Answer, Refusal, json_answer
from trailkeep.demo.directory import ALERT_RULES, Directory, list_answer
from trailkeep.demo.faults import Faults, Injector
from trailkeep.demo.timeline import nanoseconds_of, recorded_at_of
from trailkeep.demo.trail import PageRequest, Trail
from trailkeep.demo.wire import WIRE, Wire, WireFault

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime
    from wsgiref.types import StartResponse, WSGIEnvironment

    from trailkeep.demo.story import Organization
    from trailkeep.demo.trail import Kind

ORGANIZATION_ID = "0c8f1d5e-6a5b-4d0a-9a53-2f1de1b7c0a4"
"""The Organization of an emulator that was not given one."""
SECRET_KEY = "5ca1ab1e-0000-4000-8000-7261696c6b70"  # noqa: S105 - opens nothing but this emulator
ACCESS_KEY = "SCWDEMO0TRAILKEEP000"
REGIONS = ("fr-par", "nl-ams", "pl-waw")

_STREAMS = {
    "events": "api",
    "authentication-events": "authentication",
    "system-events": "system",
    "combined-events": "combined",
}
_AUDIT_TRAIL = "/audit-trail/v1alpha1/regions/"
_LOGS = "/iam/v1alpha1/logs"


@dataclass(slots=True, kw_only=True)
class Request:
    """One request as the emulator saw it; `status` and `seconds` are set when the answer is ready."""

    number: int
    """From 1, in the order in which requests began; again from 1 after `Emulator.requests` was cleared."""
    method: str
    path: str
    query: dict[str, str]
    with_key: bool
    """Whether an X-Auth-Token came along; never its value."""
    in_flight: int
    """How many requests were being answered when this one began, itself among them."""
    status: int = 0
    """0 until answered, and for a connection reset before any byte."""
    seconds: float = 0.0
    faults: tuple[str, ...] = ()
    """The names of the faults that struck, sorted."""


class Emulator:
    """A WSGI application; thread-safe, and every part of it may be changed between two requests.

    `directory` and `products` are the live lists behind the IAM, Account and products calls. The application
    sleeps for latency. A reset or a cut body needs `serve`; in plain WSGI use it raises `WireFault` instead,
    and a slow body sleeps before its first byte.
    """

    def __init__(
        self,
        organization: Organization | None = None,
        *,
        clock: Callable[[], datetime],
        faults: Faults | None = None,
        secret_key: str = SECRET_KEY,
        access_key: str = ACCESS_KEY,
        seed: int = 0,
        regions: tuple[str, ...] = REGIONS,
        organization_id: str = ORGANIZATION_ID,
    ) -> None:
        self.clock = clock
        self.secret_key = secret_key
        self.access_key = access_key
        self.organization_id = organization.organization_id if organization else organization_id
        self.regions = organization.regions if organization else regions
        self.directory = Directory.of(organization)
        self.products: dict[str, list[dict[str, Any]]] = {
            region: list(organization.products[region]) if organization else [] for region in self.regions
        }
        self.requests: list[Request] = []
        self._seed = seed
        self._lock = Lock()
        self._in_flight = 0
        self._trail = Trail(self.regions, seed)
        if organization:
            self._trail.load(organization.events, organization.times)
            for log in reversed(organization.logs):
                self.add("iam", logs.REGION, log)
        self.faults = faults or Faults()

    # What a test changes and asks

    @property
    def faults(self) -> Faults:
        """What goes wrong; assigning starts the ordinals of every `When` again."""
        return self._faults

    @faults.setter
    def faults(self, faults: Faults) -> None:
        with self._lock:
            self._faults = faults
            self._injector = Injector(faults, self._seed)
            self._bucket = (faults.requests_per_second or 0.0, time.monotonic())

    def add(
        self,
        kind: Kind,
        region: str,
        raw: bytes | Mapping[str, Any],
        visible_at: datetime | None = None,
        *,
        recorded_at: datetime | None = None,
    ) -> bytes:
        """Put an event into a stream and return its bytes; bytes are served as they are, whatever they hold.

        Its place is at `recorded_at`, or at the time it carries, or at the clock's now. Before `visible_at` no
        answer has it.
        """
        body = raw if isinstance(raw, bytes) else _json(raw)
        place = None if recorded_at is None else nanoseconds_of(recorded_at)
        if place is None:
            place = recorded_at_of(body)
        if place is None:
            place = nanoseconds_of(self.clock())
        hidden_until = None if visible_at is None else nanoseconds_of(visible_at)
        self._trail.add(kind, region, body, place, visible_at=hidden_until)
        return body

    def load(self, events: Mapping[tuple[Kind, str], Sequence[tuple[int, bytes]]]) -> None:
        """Fill empty streams with many events at once, each with its time in nanoseconds since 1970."""
        self._trail.load(
            {stream: [raw for _time, raw in rows] for stream, rows in events.items()},
            {stream: [time for time, _raw in rows] for stream, rows in events.items()},
        )

    def replace(self, kind: Kind, region: str, event_id: str, raw: bytes | Mapping[str, Any]) -> bytes:
        """Give a visible event other content in its place; raises KeyError where no event has this id."""
        body = raw if isinstance(raw, bytes) else _json(raw)
        self._trail.replace(kind, region, event_id, body)
        return body

    def remove(self, kind: Kind, region: str, event_id: str) -> None:
        """Forget a visible event; raises KeyError where none has this id."""
        self._trail.remove(kind, region, event_id)

    def truth(self, kind: str, region: str) -> list[bytes]:
        """Every event visible and within retention now, oldest first; `kind` may also be ``combined``.

        IAM's log is of the kind ``iam`` and the region ``global``.
        """
        now = nanoseconds_of(self.clock())
        since = logs.oldest(now, self.faults) if kind == "iam" else now - paging.RETENTION
        return self._trail.truth(kind, region, now, since=since)

    # The WSGI application

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        request, struck = self._begin(environ)
        began = time.monotonic()
        try:
            if "latency" in struck:
                time.sleep(self.faults.latency_seconds)
            try:
                answer = self._answer(request, environ, struck)
            except Refusal as refusal:
                answer = refusal.answer
            answer = self._damaged(answer, struck)
            self._put_on_wire(environ, struck, answer)
            request.status = 0 if self._resets_before_headers(struck) else answer.status
        finally:
            request.seconds = time.monotonic() - began
            with self._lock:
                self._in_flight -= 1
        start_response(
            f"{answer.status} {answers.REASONS.get(answer.status, 'Unknown')}",
            self._headers(answer, request.number, struck),
        )
        return [answer.body]

    def _begin(self, environ: WSGIEnvironment) -> tuple[Request, frozenset[str]]:
        path = environ.get("PATH_INFO", "/")
        with self._lock:
            self._in_flight += 1
            struck = self._injector.strike(path)
            request = Request(
                number=len(self.requests) + 1,
                method=environ.get("REQUEST_METHOD", "GET"),
                path=path,
                query=dict(parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)),
                with_key="HTTP_X_AUTH_TOKEN" in environ,
                in_flight=self._in_flight,
                faults=tuple(sorted(struck)),
            )
            self.requests.append(request)
        return request, struck

    def _answer(self, request: Request, environ: WSGIEnvironment, struck: frozenset[str]) -> Answer:
        """The answer before anything damages it; raises Refusal."""
        self._refuse_by_fault(request, environ, struck)
        if request.method != "GET":
            raise answers.unknown_method()
        if environ.get("HTTP_X_AUTH_TOKEN", "") != self.secret_key:
            reason = "not_found" if request.with_key else "invalid_argument"
            raise answers.denied_authentication(cast('Literal["not_found", "invalid_argument"]', reason))
        if request.path.startswith(_AUDIT_TRAIL):
            return self._audit_trail(request, struck)
        if request.path == _LOGS:
            return self._iam_log(request, struck)
        return self.directory.answer(
            request.path,
            request.query,
            organization_id=self.organization_id,
            denied={*self.faults.denied_permissions, *self.faults.denied_lists},
        )

    def _refuse_by_fault(self, request: Request, environ: WSGIEnvironment, struck: frozenset[str]) -> None:
        """Raise the refusal that a fault wants, if one does."""
        faults = self.faults
        if "redirect" in struck:
            query = environ.get("QUERY_STRING", "")
            location = f"{faults.redirect_to}{request.path}{'?' if query else ''}{query}"
            raise Refusal(Answer(status=307, body=b"", headers={"Location": location}))
        if "server_error" in struck:
            pick = Random(f"{self._seed}/{request.number}").choice(faults.server_error_statuses)
            retry_after = self._retry_after(faults.retry_after_seconds) if pick == 503 else None
            raise answers.gateway_error(pick, retry_after)
        if "rate_limit" in struck:
            raise answers.too_many_requests(self._retry_after(faults.retry_after_seconds))
        wait = self._wait_for_bucket()
        if wait > 0:
            request.faults = (*request.faults, "requests_per_second")
            raise answers.too_many_requests(self._retry_after(int(wait) + 1))
        if "revoked_key" in struck:
            raise answers.denied_authentication("not_found")

    def _wait_for_bucket(self) -> float:
        """Take one token from the bucket; the seconds until there will be one, or 0 when it was there."""
        per_second = self.faults.requests_per_second
        if per_second is None:
            return 0.0
        with self._lock:
            level, filled_at = self._bucket
            now = time.monotonic()
            level = min(max(per_second, 1.0), level + (now - filled_at) * per_second)
            taken = level >= 1
            self._bucket = (level - taken, now)
        return 0.0 if taken else (1 - level) / per_second

    def _retry_after(self, seconds: int) -> str | None:
        if self.faults.retry_after == "none":
            return None
        if self.faults.retry_after == "seconds":
            return str(seconds)
        return _http_date(self.clock() + self.faults.clock_skew + timedelta(seconds=seconds))

    # The Audit Trail

    def _audit_trail(self, request: Request, struck: frozenset[str]) -> Answer:
        region, _, name = request.path.removeprefix(_AUDIT_TRAIL).partition("/")
        faults = self.faults
        if region not in self.regions or region in faults.absent_regions:
            raise answers.not_found("region", region)
        if name in faults.absent_streams or f"{region}/{name}" in faults.absent_streams:
            raise answers.unknown_method()
        if name == "custom-alert-rules":
            raise answers.unknown_method()
        if name not in {*_STREAMS, "products", "export-jobs", "alert-rules", "last-events-overview"}:
            raise answers.not_found("path", request.path)
        organization_id = paging.checked_organization(request.query)
        if "AuditTrailReadOnly" in faults.denied_permissions or organization_id != self.organization_id:
            raise answers.permission_denied("audit_trail_event", "read")
        if name in _STREAMS:
            body = self._trail.page(
                region,
                _STREAMS[name],
                PageRequest(path=request.path, query=request.query, number=request.number),
                now=nanoseconds_of(self.clock()),
                faults=faults,
                struck=struck,
            )
            return Answer(status=200, body=body)
        if name == "products":
            rows = self.products[region]
            return json_answer({"products": rows, "total_count": len(rows)})
        if name == "last-events-overview":
            newest = [json.loads(raw) for raw in reversed(self.truth("api", region)[-5:])]
            return json_answer({"last_events": newest})
        if name == "alert-rules":
            return list_answer("alert_rules", ALERT_RULES, request.query)
        return list_answer("export_jobs", self.directory.export_jobs.get(region, []), request.query)

    def _iam_log(self, request: Request, struck: frozenset[str]) -> Answer:
        if "logs" in self.faults.absent_streams:
            raise answers.unknown_method()
        organization_id = paging.checked_organization(request.query)
        denied = {*self.faults.denied_permissions, *self.faults.denied_lists}
        if denied & {"IAMReadOnly", "logs"} or organization_id != self.organization_id:
            raise answers.permission_denied("log", "read")
        body = self._trail.log_page(
            PageRequest(path=request.path, query=request.query, number=request.number),
            now=nanoseconds_of(self.clock()),
            faults=self.faults,
            struck=struck,
        )
        return Answer(status=200, body=body)

    # The answer's bytes

    def _damaged(self, answer: Answer, struck: frozenset[str]) -> Answer:
        if answer.status != 200:
            return answer
        if "not_a_page" in struck:
            return json_answer({"message": "ok"})
        if "wrong_total_count" in struck:
            value = json.loads(answer.body)
            return json_answer({**value, "total_count": value.get("total_count", 0) + 1})
        if "sorted_keys" in struck:
            value = json.loads(answer.body)
            return Answer(status=200, body=json.dumps(value, sort_keys=True, indent=1).encode())
        if "invalid_json" in struck:
            return Answer(status=200, body=answer.body[: max(1, len(answer.body) // 2)])
        return answer

    def _resets_before_headers(self, struck: frozenset[str]) -> bool:
        return "reset" in struck and self.faults.reset_after_bytes == 0

    def _put_on_wire(self, environ: WSGIEnvironment, struck: frozenset[str], answer: Answer) -> None:
        """Tell `serve` how this answer is to leave, or do the nearest thing where nobody listens."""
        if not struck & {"reset", "truncate", "slow_body"}:
            return
        faults = self.faults
        offered = environ.get(WIRE)
        wire = offered if isinstance(offered, Wire) else None
        if "slow_body" in struck:
            if wire:
                wire.slow_seconds = faults.slow_body_seconds
            else:
                time.sleep(faults.slow_body_seconds)
        if not struck & {"reset", "truncate"}:
            return
        if wire is None:
            raise WireFault("the emulator breaks this connection")
        if "reset" in struck:
            wire.reset_after_bytes = min(faults.reset_after_bytes, len(answer.body))
        else:
            wire.cut = faults.truncate_form

    def _headers(self, answer: Answer, number: int, struck: frozenset[str]) -> list[tuple[str, str]]:
        digest = blake2b(f"{self._seed}/request/{number}".encode(), digest_size=16).digest()
        headers = [
            ("Content-Length", str(len(answer.body))),
            ("Content-Type", answer.content_type),
            ("Server", "Scaleway API Gateway (demo)"),
            ("X-Request-Id", str(uuid.UUID(bytes=digest, version=4))),
            *answer.headers.items(),
        ]
        if "no_date" not in struck:
            headers.append(("Date", _http_date(self.clock() + self.faults.clock_skew)))
        return headers


def _http_date(moment: datetime) -> str:
    return formatdate(moment.timestamp(), usegmt=True)


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
