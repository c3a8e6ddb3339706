"""One request to the API: sent, paced, retried, and its answer or its failure named."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, Self, TypeVar

import msgspec
import stamina

from trailkeep import __version__, jsonscan
from trailkeep.api.failures import Failures, MayPass, unsendable
from trailkeep.api.listing import Listing, split_listing
from trailkeep.api.wire import Broken, Unsendable, open_wire
from trailkeep.errors import RemoteUnavailable
from trailkeep.timespan import format_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from types import TracebackType

    import httpx

    from trailkeep.api.pacer import Pacer
    from trailkeep.api.wire import Answer
    from trailkeep.streams import Kind, Stream
    from trailkeep.timespan import Span

_T = TypeVar("_T")

PAGE_SIZE = 100
RETRIES = 7
"""Further tries after a failure that may pass, with growing pauses: about half a minute in all."""
FIRST_PAUSE_SECONDS = 0.25
LONGEST_PAUSE_SECONDS = 16.0
REFUSALS = 100
"""How often one request may be told to come back later (429, or 503 with Retry-After) before it counts as failed."""

_PATHS: dict[Kind, str] = {
    "api": "/audit-trail/v1alpha1/regions/{region}/events",
    "authentication": "/audit-trail/v1alpha1/regions/{region}/authentication-events",
    "system": "/audit-trail/v1alpha1/regions/{region}/system-events",
    "iam": "/iam/v1alpha1/logs",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """One answered page of events, and how it was got."""

    events: list[msgspec.Raw] | list[bytes]
    """Each event's bytes, as the API sent them."""
    next_token: str | None
    """None on the last page; also on a page that was asked for by its number, which does not say whether it is."""
    status: int
    bytes: int
    """Length of the body."""
    sha256: str
    """SHA-256 of the body, in hexadecimal."""
    request_id: str | None
    server_date: datetime | None
    received_at: datetime
    attempts: int
    total: int | None = None
    """How many records the query has, where the answer counts them."""
    waited_seconds: float = 0.0
    """How long the request that was answered had to wait for its turn."""


class _Body(msgspec.Struct):
    events: list[msgspec.Raw]
    next_page_token: msgspec.Raw = msgspec.Raw(b"null")


class _NumberedBody(msgspec.Struct):
    logs: list[msgspec.Raw]
    total_count: int | None = None


_decoder = msgspec.json.Decoder(_Body)
_numbered_decoder = msgspec.json.Decoder(_NumberedBody)

# Retries are no news: a run tells how often it asked. Without this they would be logged to stderr.
stamina.instrumentation.set_on_retry_hooks([])


@dataclass(slots=True)
class _Tries:
    sent: int = 0
    refused: int = 0
    waited_seconds: float = 0.0
    """How long the last one waited for its turn."""


class Client:
    """Asks the API on behalf of one Organization. Threads may share it; the secret stays inside."""

    def __init__(
        self,
        *,
        base_url: str,
        secret_key: str,
        organization_id: str,
        clock: Callable[[], datetime],
        pacer: Pacer,
        insecure: bool = False,
        connections: int = 8,
        retries: int = RETRIES,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.organization_id = organization_id
        self.base_url = base_url.rstrip("/")
        self.retries = retries
        self._clock = clock
        self._pacer = pacer
        self._failures = Failures(self.base_url, secret_key)
        try:
            self._wire = open_wire(
                self.base_url,
                {
                    "X-Auth-Token": secret_key,
                    "Accept": "application/json",
                    "User-Agent": f"trailkeep/{__version__}",
                },
                insecure=insecure,
                connections=connections,
                transport=transport,
            )
        except Unsendable as error:
            raise unsendable(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._wire.close()

    def page(
        self,
        stream: Stream,
        bounds: Span,
        token: str | None = None,
        *,
        size: int = PAGE_SIZE,
        retries: int | None = None,
    ) -> Page:
        """One page of a stream's events between `bounds`, oldest first.

        A `token` is what the page before gave; in IAM's log it is the page's number, from 1. Whether the API counts the
        bounds themselves is not known: ask a little wider than needed. Raises a RemoteError by what went wrong,
        TokenRefused for a page token that is no longer taken, and Stopped.
        """
        numbered = stream.kind == "iam"
        time = "created" if numbered else "recorded"
        parameters = {
            "organization_id": stream.organization_id,
            f"{time}_after": format_time(bounds.start),
            f"{time}_before": format_time(bounds.end),
            "order_by": f"{time}_at_asc",
            "page_size": str(size),
        }
        if numbered:
            parameters["page"] = token or "1"
        elif token is not None:
            parameters["page_token"] = token
        path = _PATHS[stream.kind].format(region=stream.region)

        def read(response: Answer, tries: _Tries) -> Page:
            body = response.content
            total: int | None = None
            next_token: str | None = None
            events: list[msgspec.Raw] | list[bytes]
            if numbered:
                events, total = split_numbered_body(body)
            else:
                events, next_token = split_body(body)
            return Page(
                events=events,
                next_token=next_token,
                total=total,
                status=response.status_code,
                bytes=len(body),
                sha256=hashlib.sha256(body).hexdigest(),
                request_id=self._failures.shown(response.headers.get("X-Request-Id")),
                server_date=server_date(response),
                received_at=self._clock(),
                attempts=tries.sent,
                waited_seconds=tries.waited_seconds,
            )

        return self._ask(path, parameters, read, retries=retries, goes_on=token is not None)

    def json(self, path: str, parameters: Mapping[str, str] | None = None, *, retries: int | None = None) -> Any:
        """Another resource of the API, decoded. Raises like `page`."""

        def read(response: Answer, _tries: _Tries) -> Any:
            try:
                return json.loads(response.content)
            except (ValueError, RecursionError) as error:
                raise MayPass("it answered what is not JSON") from error

        return self._ask(path, dict(parameters or {}), read, retries=retries)

    def listing(self, path: str, key: str, parameters: Mapping[str, str], *, retries: int | None = None) -> Listing:
        """One page of the list that stands under `key` in the answers of `path`. Raises like `page`."""

        def read(response: Answer, _tries: _Tries) -> Listing:
            try:
                elements, total = split_listing(response.content, key)
            except ValueError as error:
                raise MayPass(f"it answered what is not a list of {key} ({error})") from error
            return Listing(elements=elements, total=total, server_date=server_date(response), received_at=self._clock())

        return self._ask(path, parameters, read, retries=retries)

    def _ask(
        self,
        path: str,
        parameters: Mapping[str, str],
        read: Callable[[Answer, _Tries], _T],
        *,
        retries: int | None,
        goes_on: bool = False,
    ) -> _T:
        """Send until an answer has been read in full: a cut-off body shows only when it is decoded.

        With `goes_on` the request is for a further page, so that its refusal is the token's.
        """
        tries = _Tries()
        try:
            for attempt in stamina.retry_context(
                on=MayPass,
                attempts=1 + (self.retries if retries is None else retries),
                timeout=None,
                wait_initial=FIRST_PAUSE_SECONDS,
                wait_max=LONGEST_PAUSE_SECONDS,
                wait_jitter=FIRST_PAUSE_SECONDS,
            ):
                with attempt:
                    return read(self._send(path, parameters, tries, goes_on=goes_on), tries)
        except MayPass as failure:
            raise RemoteUnavailable(
                f"{self.base_url}{path}: {failure}, also after {tries.sent} tries",
                hint="Run the command again later; what was read in full is kept.",
            ) from failure
        raise AssertionError("a retry ends with an answer or with an error")

    def _send(self, path: str, parameters: Mapping[str, str], tries: _Tries, *, goes_on: bool) -> Answer:
        """One answer with status 200, waiting as often as the API says that it is asked too much."""
        while True:
            came_at = self._pacer.now()
            asked_at = self._pacer.wait()
            tries.sent += 1
            tries.waited_seconds = asked_at - came_at
            try:
                response = self._wire.get(path, parameters)
            except Unsendable as error:
                self._pacer.failed()
                raise unsendable(error) from error
            except Broken as error:
                self._pacer.failed()
                raise self._failures.broken(error) from error
            retry_after = _retry_after_seconds(response, self._clock())
            if response.status_code == 429 or (response.status_code == 503 and retry_after is not None):
                self._pacer.refused(asked_at, retry_after)
                tries.refused += 1
                if tries.refused > REFUSALS:
                    raise MayPass(f"it still answers {response.status_code}")
                continue
            self._pacer.answered(asked_at)
            if response.status_code != 200:
                raise self._failures.refusal(response, path, token=goes_on)
            return response


def split_body(body: bytes) -> tuple[list[msgspec.Raw] | list[bytes], str | None]:
    """The events of a page, each verbatim, and the next page's token, None on the last page.

    A body without an array of events is never taken for an empty page. Raises a failure that may pass.
    """
    try:
        page = _decoder.decode(body)
        return page.events, _token(bytes(page.next_page_token))
    except (msgspec.MsgspecError, ValueError, RecursionError):
        pass
    try:
        fields = jsonscan.members(body)
        events = jsonscan.elements(fields.get("events", b""))
        token = _token(fields.get("next_page_token", b"null"))
        for event in events:
            _check_json(event)
    except (ValueError, RecursionError) as error:
        raise MayPass(f"it answered what is not a page of events ({error})") from error
    return events, token


def split_numbered_body(body: bytes) -> tuple[list[msgspec.Raw] | list[bytes], int | None]:
    """The records of a page of IAM's log, each verbatim, and how many the query has in all, None where it is not said.

    A body without an array of records is never taken for an empty page. Raises a failure that may pass.
    """
    try:
        page = _numbered_decoder.decode(body)
        return page.logs, page.total_count
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        pass
    try:
        fields = jsonscan.members(body)
        logs = jsonscan.elements(fields.get("logs", b""))
        for log in logs:
            _check_json(log)
    except ValueError as error:
        raise MayPass(f"it answered what is not a page of IAM's log ({error})") from error
    text = fields.get("total_count", b"").strip(b'"')
    return logs, int(text) if text.isdigit() and len(text) < 20 else None


def server_date(response: Answer) -> datetime | None:
    """The API's clock, to the second, or None where the answer does not tell."""
    return _http_date(response.headers.get("Date", ""))


def _http_date(text: str) -> datetime | None:
    try:
        moment = parsedate_to_datetime(text)
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def _token(text: bytes) -> str | None:
    """The next page's token, an integer's digits as they stand.

    Raises ValueError for what is none: a page with it is not to be taken for the last.
    """
    token = json.loads(text, parse_int=str)
    if token is None or token == "":
        return None
    if not isinstance(token, str):
        raise ValueError("its next_page_token is neither a string nor an integer")
    token.encode()  # a lone surrogate could not be sent back
    return token


def _check_json(text: bytes) -> None:
    """Raise ValueError for what no parser would take; depth and lone surrogates are not the API's mistakes."""
    try:
        # Numbers are left as text: Python converts no integer of more than 4300 digits.
        json.loads(text, strict=False, parse_int=str, parse_float=str)
    except RecursionError:
        return


def _retry_after_seconds(response: Answer, now: datetime) -> float | None:
    text = response.headers.get("Retry-After", "").strip()
    if not text:
        return None
    if text.isascii() and text.isdigit():
        return float(text)
    moment = _http_date(text)
    if moment is None:
        return None
    # The date is on the API's clock; ours may be an hour off.
    base = server_date(response) or now
    return max(0.0, (moment - base) / timedelta(seconds=1))
