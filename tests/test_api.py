"""Every answer is a page or a named failure, every passing failure is tried again, and the key goes nowhere else."""

from __future__ import annotations

import json
import ssl
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import httpx
import pytest
import stamina

from trailkeep.api import Client, Pacer, Page, Stopped
from trailkeep.api.pace import LONGEST_PAUSE_SECONDS, SLOWEST_RATE
from trailkeep.errors import (
    AuthenticationFailed,
    NotOffered,
    PermissionDenied,
    RemoteError,
    RemoteUnavailable,
    RequestRefused,
    TokenRefused,
)
from trailkeep.streams import Stream
from trailkeep.timespan import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SECRET = "11111111-2222-4333-8444-555555555555"
STREAM = Stream(organization_id="0c8f1d5e-6a5b-4d0a-9a53-2f1de1b7c0a4", kind="system", region="fr-par")
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
SPAN = Span(NOW - timedelta(hours=1), NOW)
EMPTY = b'{"events":[]}'
CERTIFICATE = Path(__file__).parent / "fixtures" / "tls" / "loopback.pem"
"""A key and its self-signed certificate for localhost, valid for a hundred years."""


class Hurried(threading.Event):
    """A stop that nobody waits for; remembers how long somebody would have."""

    def __init__(self) -> None:
        super().__init__()
        self.waits: list[float] = []

    def wait(self, timeout: float | None = None) -> bool:
        if timeout:
            self.waits.append(timeout)
        return self.is_set()

    def clock(self) -> float:
        return 1000.0 + sum(self.waits)


Answer = httpx.Response | Exception


@dataclass
class Api:
    """Answers in turn; the last one for ever."""

    answers: list[Answer]
    stop: Hurried = field(default_factory=Hurried)
    requests: list[httpx.Request] = field(default_factory=list)

    def __call__(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        answer = self.answers[min(len(self.requests), len(self.answers)) - 1]
        if isinstance(answer, Exception):
            raise answer
        return httpx.Response(answer.status_code, headers=answer.headers, content=answer.content)

    def client(self, base_url: str = "https://api.example", retries: int = 3) -> Client:
        return Client(
            base_url=base_url,
            secret_key=SECRET,
            organization_id=STREAM.organization_id,
            clock=lambda: NOW,
            pacer=Pacer(self.stop, clock=self.stop.clock),
            retries=retries,
            transport=httpx.MockTransport(self),
        )

    def page(self, token: str | None = None, **more: Any) -> Page:
        with self.client() as client:
            return client.page(STREAM, SPAN, token, **more)


def ok(body: bytes = EMPTY, **headers: str) -> httpx.Response:
    return httpx.Response(200, content=body, headers={name.replace("_", "-"): text for name, text in headers.items()})


def error(status: int, body: bytes = b'{"message":"no", "type":"t"}', **headers: str) -> httpx.Response:
    return httpx.Response(
        status, content=body, headers={name.replace("_", "-"): text for name, text in headers.items()}
    )


@pytest.fixture(autouse=True)
def _no_pauses() -> Iterator[None]:
    with stamina.set_testing(True, attempts=4, cap=True):
        yield


# What is asked, and what is made of an answer


def test_a_page_is_asked_with_explicit_bounds_oldest_first() -> None:
    api = Api([ok()])
    api.page("tok en&", size=7)
    (request,) = api.requests
    assert request.method == "GET"
    assert request.url.path == "/audit-trail/v1alpha1/regions/fr-par/system-events"
    assert dict(request.url.params) == {
        "organization_id": STREAM.organization_id,
        "recorded_after": "2026-03-01T11:00:00.000000Z",
        "recorded_before": "2026-03-01T12:00:00.000000Z",
        "order_by": "recorded_at_asc",
        "page_size": "7",
        "page_token": "tok en&",
    }
    assert request.headers["X-Auth-Token"] == SECRET


@pytest.mark.parametrize(
    "answer",
    [
        error(400, json.dumps({"message": f"your X-Auth-Token: {SECRET}."}).encode()),
        error(400, json.dumps({"message": "x" * 470 + SECRET}).encode()),
        error(401, json.dumps({"message": SECRET.upper()}).encode()),
        error(403, json.dumps({"message": "", "details": [{"token": SECRET}]}).encode()),
        error(404, json.dumps({"message": SECRET}).encode()),
        error(418, json.dumps({"message": SECRET}).encode()),
        error(503, json.dumps({"message": SECRET}).encode()),
        error(307, Location=f"https://other.example/?token={SECRET}"),
        httpx.RemoteProtocolError(f"illegal header line: X-Auth-Token {SECRET}"),
    ],
)
def test_an_answer_that_repeats_the_secret_key_is_told_without_it(answer: Answer) -> None:
    with pytest.raises(RemoteError) as caught:
        Api([answer]).page()
    told = f"{caught.value} {caught.value.hint}"
    assert SECRET[:8] not in told.lower()
    assert "[secret key]" in told


def test_what_is_kept_of_an_answer_is_kept_without_the_secret_key() -> None:
    assert Api([ok(X_Request_Id=f"for {SECRET}")]).page().request_id == "for [secret key]"
    assert Api([ok(X_Request_Id="one")]).page().request_id == "one"
    assert Api([ok()]).page().request_id is None


def test_an_answer_is_described() -> None:
    body = b'{"events":[{"id":"a"}, 5 ],"next_page_token":"t"}'
    page = Api([error(500), ok(body, Date="Sun, 01 Mar 2026 11:59:58 GMT", X_Request_Id="r")]).page()
    assert [bytes(each) for each in page.events] == [b'{"id":"a"}', b"5"]
    assert (page.next_token, page.status, page.bytes, page.attempts) == ("t", 200, len(body), 2)
    assert (page.request_id, page.server_date) == ("r", NOW - timedelta(seconds=2))
    assert page.received_at == NOW


@pytest.mark.parametrize("last", [b"{}", b'{"next_page_token":null}', b'{"next_page_token":""}'])
def test_the_last_page_has_no_token_null_or_an_empty_one(last: bytes) -> None:
    body = b'{"events":[],' + last[1:] if len(last) > 2 else EMPTY
    assert Api([ok(body)]).page().next_token is None


@pytest.mark.parametrize(
    "odd",
    [rb'{"x":"\ud800"}', b'{"x":' + b"[" * 5000 + b"]" * 5000 + b"}", b'"\x01"', b'{"n":' + b"9" * 5000 + b"}", b"NaN"],
)
def test_events_beyond_a_strict_parser_come_through_verbatim(odd: bytes) -> None:
    page = Api([ok(b'{"events":[{"id":"a"},' + odd + rb',"\udc00"],"next_page_token":"t"}')]).page()
    assert [bytes(each) for each in page.events] == [b'{"id":"a"}', odd, rb'"\udc00"']
    assert page.next_token == "t"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{}",
        b"[]",
        b"null",
        b'{"events":null}',
        b'{"events":{}}',
        b'{"events":"[]"}',
        b'{"message":"ok"}',
        b"<html><body>200 OK</body></html>",
        b'{"events":[',
        b'{"events":[]',
        b'{"events":[{"id":"a"},{"id"',
        b'{"events":[{"id":"a"}{"id":"b"}]}',
        b'{"events":[{"id":"a"},nul]}',
        b'{"events":[]}{"events":[]}',
        b'{"events":[],"next_page_token":5.0}',
        b'{"events":[],"next_page_token":1e3}',
        b'{"events":[],"next_page_token":NaN}',
        b'{"events":[],"next_page_token":05}',
        b'{"events":[],"next_page_token":[5]}',
        b'{"events":[],"next_page_token":' + b"[" * 5000 + b"]" * 5000 + b"}",
        b'{"events":[],"next_page_token":"a\nb"}',
        b'{"events":[],"next_page_token":{"a":1}}',
        b'{"events":[],"next_page_token":false}',
        rb'{"events":[],"next_page_token":"\ud800"}',
    ],
)
def test_what_is_no_page_is_never_taken_for_an_empty_or_a_last_one(body: bytes) -> None:
    api = Api([ok(body)])
    with pytest.raises(RemoteUnavailable, match="what is not a page of events"):
        api.page()
    assert len(api.requests) == 4
    assert Api([ok(body), ok()]).page().attempts == 2


@pytest.mark.parametrize("events", [b"[]", rb'["\ud800"]'])
@pytest.mark.parametrize("digits", ["5", "0", "-1", "-0", "9007199254740993", "1" + "0" * 5000])
def test_a_token_may_be_an_integer_whose_digits_are_sent_back_as_they_stand(digits: str, events: bytes) -> None:
    api = Api([ok(b'{"events":%b,"next_page_token": %b }' % (events, digits.encode())), ok()])
    token = api.page().next_token
    assert token == digits
    api.page(token)
    assert api.requests[1].url.params["page_token"] == digits


def test_other_resources_come_as_json() -> None:
    with Api([ok(b"not json"), ok(b'{"users":[1]}')]).client() as client:
        assert client.json("/iam/v1alpha1/users", {"page": "1"}) == {"users": [1]}


# Failures by their name


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        (400, RequestRefused),
        (401, AuthenticationFailed),
        (403, PermissionDenied),
        (404, NotOffered),
        (405, RequestRefused),
        (409, RequestRefused),
        (410, RequestRefused),
        (422, RequestRefused),
        (501, NotOffered),
        (301, RequestRefused),
        (307, RequestRefused),
        (600, RemoteUnavailable),
    ],
)
def test_an_answer_that_will_stay_is_named_at_once(status: int, kind: type[RemoteError]) -> None:
    api = Api([error(status)])
    with pytest.raises(RemoteError) as raised:
        api.page()
    assert type(raised.value) is kind
    if kind is not RemoteUnavailable:
        assert len(api.requests) == 1
        assert str(status) in raised.value.message or kind is RequestRefused


@pytest.mark.parametrize("status", [101, 201, 204, 206, 408, 425, 500, 502, 503, 504, 520])
def test_an_answer_that_may_pass_is_asked_again(status: int) -> None:
    html = b"<html>oops</html>"
    assert Api([error(status, html), error(status), ok()]).page().attempts == 3
    api = Api([error(status, html)])
    with pytest.raises(RemoteUnavailable, match=f"it answered {status}, also after 4 tries"):
        api.page()
    assert len(api.requests) == 4


def test_fewer_retries_can_be_asked_for() -> None:
    api = Api([error(500)])
    with pytest.raises(RemoteUnavailable):
        api.page(retries=1)
    assert len(api.requests) == 2


@pytest.mark.parametrize(
    "failure",
    [
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout(""),
        httpx.ReadTimeout("slow"),
        httpx.ReadError("reset"),
        httpx.RemoteProtocolError("cut off"),
        httpx.DecodingError("not gzip"),
    ],
)
def test_a_broken_connection_is_tried_again(failure: Exception) -> None:
    assert Api([failure, ok()]).page().attempts == 2
    with pytest.raises(RemoteUnavailable, match=type(failure).__name__):
        Api([failure]).page()


@pytest.mark.parametrize("status", [400, 404, 410, 422, 501])
def test_a_refusal_of_a_request_with_a_token_is_about_the_token(status: int) -> None:
    with pytest.raises(TokenRefused):
        Api([error(status)]).page("token")


@pytest.mark.parametrize(("status", "kind"), [(401, AuthenticationFailed), (403, PermissionDenied)])
def test_a_refused_key_is_that_also_with_a_token(status: int, kind: type[RemoteError]) -> None:
    with pytest.raises(kind):
        Api([error(status)]).page("token")


def test_the_hints_say_what_to_do() -> None:
    with pytest.raises(PermissionDenied) as denied:
        Api([error(403, b'{"message":"insufficient permissions","details":[{"resource":"audit_trail_event"}]}')]).page()
    assert "AuditTrailReadOnly at Organization scope" in str(denied.value.hint)
    assert "audit_trail_event" in denied.value.message
    with pytest.raises(AuthenticationFailed) as refused:
        Api([error(401)]).page()
    assert "SCW_SECRET_KEY" in str(refused.value.hint)


@pytest.mark.parametrize(
    "body", [b"\xff", b"[" * 10_000, b"[1]", b'{"message":5}', b'{"message":"' + b"x" * 9000 + b'"}']
)
def test_an_error_with_any_body_is_named(body: bytes) -> None:
    with pytest.raises(RequestRefused) as raised:
        Api([error(400, body)]).page()
    assert len(raised.value.message) < 1000


@pytest.mark.parametrize("url", ["ftp://api.example", "api.example", "http://", "https://[::1"])
def test_what_is_no_web_address_is_refused(url: str) -> None:
    with pytest.raises((RequestRefused, RemoteUnavailable, ValueError)):
        Client(
            base_url=url,
            secret_key=SECRET,
            organization_id="o",
            clock=lambda: NOW,
            pacer=Pacer(Hurried(), clock=lambda: 0.0),
            retries=0,
        ).page(STREAM, SPAN)


# The pace


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"Retry_After": "7"}, 7.0),
        ({"Retry_After": "0"}, 0.0),
        ({"Retry_After": "Sun, 01 Mar 2026 12:00:09 GMT"}, 9.0),
        # The date is on the API's clock, which is an hour ahead of ours.
        ({"Retry_After": "Sun, 01 Mar 2026 13:00:09 GMT", "Date": "Sun, 01 Mar 2026 13:00:00 GMT"}, 9.0),
        ({"Retry_After": "Sun, 01 Mar 2026 11:00:00 GMT"}, 0.0),
        ({"Retry_After": "99999999"}, LONGEST_PAUSE_SECONDS),
        ({"Retry_After": "9" * 400}, LONGEST_PAUSE_SECONDS),
        ({}, 1.0),
        ({"Retry_After": "soon"}, 1.0),
        ({"Retry_After": "-5"}, 1.0),
        ({"Retry_After": "1.5"}, 1.0),
        ({"Retry_After": "Sun, 01 Mar 2026 12:00:09 +99999999999999"}, 1.0),
    ],
)
def test_retry_after_is_honoured_in_both_forms(headers: dict[str, str], seconds: float) -> None:
    api = Api([error(429, **headers), ok()])
    assert api.page().attempts == 2
    assert sum(api.stop.waits) == pytest.approx(seconds, abs=0.01)


@pytest.mark.parametrize("header", ["²", "Sun, 99 Foo 2026", "", "Fri, 31 Dec 9999 23:00:00 -2300"])
def test_odd_headers_are_no_failure(header: str) -> None:
    refused = httpx.Response(429, headers=[(b"Retry-After", header.encode("latin-1"))])
    answered = httpx.Response(200, content=EMPTY, headers=[(b"Date", header.encode("latin-1"))])
    assert Api([refused, answered]).page().server_date is None


def test_a_503_with_retry_after_slows_and_one_without_is_a_failure() -> None:
    api = Api([error(503, Retry_After="3"), ok()])
    api.page()
    assert sum(api.stop.waits) == pytest.approx(3.0)
    api = Api([error(503), ok()])
    api.page()
    assert api.stop.waits == []


def test_refusals_do_not_use_up_the_retries_but_have_a_limit_of_their_own() -> None:
    assert Api([error(429)] * 50 + [ok()]).page().attempts == 51
    api = Api([error(429)])
    with pytest.raises(RemoteUnavailable, match="it still answers 429"):
        api.page()
    assert 100 < len(api.requests) < 110


def test_a_pace_that_leads_past_the_patience_ends_the_asking() -> None:
    stop = Hurried()
    pacer = Pacer(stop, clock=stop.clock, patience_seconds=500)
    pacer.refused(pacer.wait(), 300)
    pacer.refused(pacer.wait(), 300.0)
    at = stop.clock()
    with pytest.raises(RemoteUnavailable):
        pacer.wait()
    assert stop.clock() < at + 100, "what is too late is not waited for"


def test_a_refusal_before_any_answer_pauses_and_sets_no_pace() -> None:
    stop = Hurried()
    pacer = Pacer(stop, clock=stop.clock)
    pacer.refused(pacer.wait(), 2.0)
    pacer.wait()
    assert stop.waits == [2.0]
    assert pacer.rate is None


def test_the_pace_falls_below_what_was_borne_and_rises_again() -> None:
    stop = Hurried()
    pacer = Pacer(stop, clock=stop.clock)
    for _ in range(20):
        asked_at = pacer.wait()
        stop.wait(0.1)
        pacer.answered()
    pacer.refused(asked_at, 0.0)
    assert pacer.rate is not None
    assert 4 < pacer.rate < 10
    lowered = pacer.rate
    pacer.refused(asked_at - 1, 0.0)
    assert pacer.rate == lowered
    for _ in range(100):
        pacer.wait()
        pacer.answered()
    assert pacer.rate > 10
    for _ in range(200):
        pacer.refused(pacer.wait(), 0.0)
    assert pacer.rate == pytest.approx(SLOWEST_RATE)


def test_waiting_ends_when_the_run_is_stopped() -> None:
    api = Api([error(429, Retry_After="300")])
    api.stop.set()
    with pytest.raises(Stopped):
        api.page()
    assert api.requests == []
    stop = threading.Event()
    pacer = Pacer(stop)
    pacer.refused(pacer.wait(), 60.0)
    threading.Timer(0.05, stop.set).start()
    began = time.monotonic()
    with pytest.raises(Stopped):
        pacer.wait()
    assert time.monotonic() - began < 10


# The key


class Handler(BaseHTTPRequestHandler):
    """Answers an empty page, or a redirect to wherever the server is told; remembers the keys it was shown."""

    server: Server

    def do_GET(self) -> None:
        self.server.keys.append(self.headers.get("X-Auth-Token"))
        self.send_response(307 if self.server.redirect_to else 200)
        if self.server.redirect_to:
            self.send_header("Location", self.server.redirect_to)
        self.send_header("Content-Length", str(len(EMPTY)))
        self.end_headers()
        self.wfile.write(EMPTY)

    def log_message(self, *_arguments: object) -> None:
        pass


class Server(ThreadingHTTPServer):
    """On loopback, with TLS or without."""

    daemon_threads = True

    def __init__(self, *, tls: bool) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.keys: list[str | None] = []
        self.redirect_to = ""
        if tls:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(CERTIFICATE)
            self.socket = context.wrap_socket(self.socket, server_side=True)
        threading.Thread(target=self.serve_forever, args=(0.02,), daemon=True).start()

    def handle_error(self, *_arguments: object) -> None:
        """A handshake that the client breaks off is what the test is about."""


@pytest.fixture
def server() -> Iterator[Callable[..., Server]]:
    made: list[Server] = []

    def make(*, tls: bool = False) -> Server:
        made.append(Server(tls=tls))
        return made[-1]

    yield make
    for each in made:
        each.shutdown()
        each.server_close()


def ask(url: str, **options: Any) -> Page:
    stop = Hurried()
    with Client(
        base_url=url,
        secret_key=SECRET,
        organization_id=STREAM.organization_id,
        clock=lambda: NOW,
        pacer=Pacer(stop, clock=stop.clock),
        **options,
    ) as client:
        return client.page(STREAM, SPAN)


def test_a_certificate_that_nobody_vouches_for_is_refused_at_once(server: Callable[..., Server]) -> None:
    listening = server(tls=True)
    with pytest.raises(RemoteUnavailable, match="its TLS certificate is not trusted") as raised:
        ask(f"https://127.0.0.1:{listening.server_port}")
    assert "SSL_CERT_FILE" in str(raised.value.hint)
    assert listening.keys == []


def test_insecure_takes_any_certificate(server: Callable[..., Server]) -> None:
    listening = server(tls=True)
    assert ask(f"https://127.0.0.1:{listening.server_port}", insecure=True).status == 200
    assert listening.keys == [SECRET]


def test_tls_to_a_server_without_it_fails_after_retries(server: Callable[..., Server]) -> None:
    listening = server()
    with pytest.raises(RemoteUnavailable, match="also after 2 tries"):
        ask(f"https://127.0.0.1:{listening.server_port}", retries=1)
    assert listening.keys == []


def test_a_redirect_does_not_take_the_key_along(server: Callable[..., Server]) -> None:
    here, elsewhere = server(), server()
    here.redirect_to = f"http://127.0.0.1:{elsewhere.server_port}/"
    with pytest.raises(RequestRefused, match=r"redirects to .http://127\.0\.0\.1:"):
        ask(f"http://127.0.0.1:{here.server_port}")
    assert len(here.keys) == 1
    assert elsewhere.keys == []


def test_a_proxy_of_the_environment_is_not_asked_for_this_machine(
    server: Callable[..., Server], monkeypatch: pytest.MonkeyPatch
) -> None:
    here, proxy = server(), server()
    for name in ("http_proxy", "HTTP_PROXY", "ALL_PROXY"):
        monkeypatch.setenv(name, f"http://127.0.0.1:{proxy.server_port}")
    monkeypatch.delenv("no_proxy", raising=False)
    monkeypatch.delenv("NO_PROXY", raising=False)
    ask(f"http://127.0.0.1:{here.server_port}")
    assert (len(here.keys), proxy.keys) == (1, [])


@pytest.mark.parametrize("status", [301, 400, 401, 403, 404, 429, 500, 501])
def test_no_failure_tells_the_key(status: int) -> None:
    with pytest.raises(RemoteError) as raised:
        Api([error(status, Location="https://elsewhere.example")]).page()
    shown: BaseException | None = raised.value
    while shown is not None:
        assert SECRET not in f"{shown!r} {shown} {vars(shown)}"
        shown = shown.__cause__ or shown.__context__
    with Api([ok()]).client() as client:
        assert SECRET not in repr(client)
