"""Requests of the API's client over plain connections: kept, counted, unpacked, and never showing the key."""

from __future__ import annotations

import gzip
import socket
import ssl
import threading
import time
import zlib
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from trailkeep.api.wire import Broken, Connections, Unsendable, _Httpx, open_wire

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

CERTIFICATE = Path(__file__).parent / "fixtures" / "tls" / "loopback.pem"
SECRET = "11111111-2222-4333-8444-555555555555"
HEADERS = {"X-Auth-Token": SECRET, "User-Agent": "t"}
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nX-Some: a\r\n\r\n{}"


PAUSE_SECONDS = 0.05


class Listening:
    """A server that answers the requests of each connection in turn with given bytes, and then closes it.

    An answer in parts is sent with a pause before each further one.
    """

    def __init__(self, *connections: Sequence[bytes | Sequence[bytes]]) -> None:
        self.requests: list[bytes] = []
        self.accepted = 0
        self._connections = connections
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()

    def _serve(self) -> None:
        for answers in self._connections:
            try:
                connection, _address = self._listener.accept()
            except OSError:
                return
            self.accepted += 1
            with connection:
                for answer in answers:
                    got = b""
                    while not got.endswith(b"\r\n\r\n"):
                        if not (more := connection.recv(65536)):
                            break
                        got += more
                    self.requests.append(got)
                    with suppress(OSError):  # who asked has hung up
                        self._send(connection, [answer] if isinstance(answer, bytes) else answer)

    def _send(self, connection: socket.socket, parts: Sequence[bytes]) -> None:
        for number, part in enumerate(parts):
            if number:
                time.sleep(PAUSE_SECONDS)
            connection.sendall(part)

    def close(self) -> None:
        self._listener.close()


@contextmanager
def served(
    *connections: Sequence[bytes | Sequence[bytes]], through: type = Connections, **options: Any
) -> Iterator[tuple[Listening, Any]]:
    with closing(Listening(*connections)) as listening:
        url = listening.url if through is Connections else listening.url.replace("//", "//user@")
        with closing(wire_to(url, **options)) as wire:
            assert type(wire) is through
            yield listening, wire


def wire_to(url: str, headers: dict[str, str] = HEADERS, connections: int = 4, **options: Any) -> Any:
    return open_wire(url, headers, insecure=False, connections=connections, transport=None, **options)


def answer(body: bytes, *headers: str) -> bytes:
    lines = ["HTTP/1.1 200 OK", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def test_one_connection_is_used_again_and_again() -> None:
    with served([OK] * 5) as (listening, wire):
        for number in range(5):
            got = wire.get("/a", {"n": str(number), "x": "a b&c"})
            assert (got.status_code, got.content, got.headers.get("x-SOME", "")) == (200, b"{}", "a")
        assert listening.accepted == 1
    lines = listening.requests[3].split(b"\r\n")
    assert lines[0] == b"GET /a?n=3&x=a+b%26c HTTP/1.1"
    assert f"X-Auth-Token: {SECRET}".encode() in lines


def test_a_path_of_the_address_goes_before_that_of_the_request() -> None:
    with closing(Listening([OK])) as listening, closing(wire_to(listening.url + "/behind")) as wire:
        wire.get("/a", {})
    assert listening.requests[0].startswith(b"GET /behind/a HTTP/1.1\r\n")


def test_a_connection_that_the_other_side_has_closed_is_not_asked() -> None:
    with served([OK], [OK], [OK]) as (listening, wire):
        for _ in range(3):
            assert wire.get("/a", {}).content == b"{}"
            for connection in wire._idle:
                connection.sock.recv(1, socket.MSG_PEEK)
        assert listening.accepted == 3


def test_a_connection_that_is_to_be_closed_is_not_kept() -> None:
    closing_answer = answer(b"{}", "Connection: close")
    with served([closing_answer], [closing_answer]) as (listening, wire):
        wire.get("/a", {})
        wire.get("/a", {})
        assert listening.accepted == 2


@pytest.mark.parametrize(
    ("coding", "pack"),
    [
        ("gzip", gzip.compress),
        ("X-GZIP", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda body: zlib.compress(body, wbits=-15)),
        ("identity", bytes),
        ("gzip, identity", gzip.compress),
        ("deflate, gzip", lambda body: gzip.compress(zlib.compress(body))),
    ],
)
def test_a_packed_body_is_unpacked(coding: str, pack: Callable[[bytes], bytes]) -> None:
    body = b'{"events":[]}' * 5000
    with served([answer(pack(body), f"Content-Encoding: {coding}")]) as (_listening, wire):
        assert wire.get("/a", {}).content == body


def test_a_body_in_chunks_is_put_together() -> None:
    chunked = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n[1\r\n2\r\n,2\r\n1;x=y\r\n]\r\n0\r\n\r\n"
    with served([chunked, OK]) as (listening, wire):
        assert wire.get("/a", {}).json() == [1, 2]
        wire.get("/a", {})
        assert listening.accepted == 1


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nContent-Length: 999999999999999999999\r\n\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n{}",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n{}",
        b"SSH-2.0-OpenSSH_9.6\r\n\r\n",
        b"HTTP/1.1 99999 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 100_000 + b"\r\n\r\n",
        answer(b"not gzip", "Content-Encoding: gzip"),
        answer(gzip.compress(b"x" * 5000, mtime=0)[:-9], "Content-Encoding: gzip"),
        answer(b"{}", "Content-Encoding: br"),
    ],
)
def test_what_is_no_whole_answer_is_broken_and_its_connection_is_not_used_again(bad: bytes) -> None:
    with served([bad], [OK]) as (listening, wire):
        with pytest.raises(Broken) as broken:
            wire.get("/a", {})
        assert SECRET not in f"{broken.value!r}{broken.value.__cause__!r}"
        assert wire.get("/a", {}).content == b"{}"
        assert listening.accepted == 2


@pytest.mark.parametrize("length", [0, 1, 1_048_576, 3_000_001])
def test_a_body_of_any_length_is_whole(length: int) -> None:
    body = bytes(range(256)) * (length // 256) + b"x" * (length % 256)
    with served([answer(body), answer(body, "Connection: close")]) as (_listening, wire):
        assert wire.get("/a", {}).content == body
        assert wire.get("/a", {}).content == body


EARLY_HINTS = b"HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n"
BOTH_WAYS = pytest.mark.parametrize("through", [Connections, _Httpx])


@BOTH_WAYS
@pytest.mark.parametrize(
    "interim",
    [EARLY_HINTS, b"HTTP/1.1 100 Continue\r\n\r\n" + EARLY_HINTS, EARLY_HINTS * 16, b"HTTP/1.1 199 X\r\n\r\n"],
)
def test_an_interim_answer_is_not_the_answer_whether_that_comes_at_once_or_later(interim: bytes, through: type) -> None:
    first, second = answer(b'{"for":"first"}'), answer(b'{"for":"second"}')
    with served([[interim, first], second, interim + first, second], through=through) as (listening, wire):
        for _ in range(2):
            assert wire.get("/first", {}).json() == {"for": "first"}
            assert wire.get("/second", {}).json() == {"for": "second"}
        assert listening.accepted == 1


def test_interim_answers_without_end_are_broken_off() -> None:
    with served([EARLY_HINTS * 17 + OK], [OK]) as (listening, wire):
        with pytest.raises(Broken, match="more than 16 interim answers, the last with 103"):
            wire.get("/a", {})
        assert wire.get("/a", {}).content == b"{}"
        assert listening.accepted == 2


@pytest.mark.parametrize(
    "odd",
    [
        b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 204 No Content\r\nContent-Length: 2\r\n\r\n{}",
        b"HTTP/1.1 304 Not Modified\r\nContent-Length: 2\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\nContent-Length: 40\r\n\r\n{}",
    ],
)
def test_a_connection_is_not_used_again_after_an_answer_whose_end_is_in_doubt(odd: bytes) -> None:
    with served([odd, OK], [OK]) as (listening, wire):
        wire.get("/a", {})
        assert wire.get("/b", {}).content == b"{}"
        assert listening.accepted == 2


@BOTH_WAYS
def test_an_answer_that_trickles_is_broken_off_at_a_deadline(through: type) -> None:
    # Who read to the end would be told that the body is cut off.
    head = b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n"
    with (
        served([[head, *[b" "] * 100]], through=through, answer_seconds=0.3) as (_listening, wire),
        pytest.raises(Broken, match="TimeoutError: "),
    ):
        wire.get("/a", {})


def test_headers_that_trickle_are_broken_off_at_a_deadline() -> None:
    with (
        served([[b"HTTP/1.1 200 OK\r\nX: ", *[b"y"] * 100]], answer_seconds=0.3) as (_listening, wire),
        pytest.raises(Broken, match="TimeoutError: "),
    ):
        wire.get("/a", {})


@BOTH_WAYS
def test_the_deadline_is_for_each_answer_anew(through: type) -> None:
    slow = [OK[:-2], b"{", b"}"]
    with served([slow] * 12, through=through, answer_seconds=20 * PAUSE_SECONDS) as (listening, wire):
        for _ in range(12):
            assert wire.get("/a", {}).content == b"{}"
        assert listening.accepted == 1


def test_a_body_without_a_length_ends_with_the_connection() -> None:
    with served([b"HTTP/1.1 200 OK\r\n\r\n[1]"], [OK]) as (listening, wire):
        assert wire.get("/a", {}).json() == [1]
        wire.get("/a", {})
        assert listening.accepted == 2


def test_nobody_there_is_broken() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    with pytest.raises(Broken, match="ConnectionRefusedError"):
        wire_to(url).get("/a", {})


def test_who_waits_hears_of_the_end() -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:
        wire = wire_to(f"http://127.0.0.1:{listener.getsockname()[1]}")
        failures: list[BaseException] = []

        def ask() -> None:
            try:
                wire.get("/a", {})
            except Broken as error:
                failures.append(error)

        asking = threading.Thread(target=ask)
        asking.start()
        connection, _address = listener.accept()
        with connection:
            connection.recv(65536)
            wire.close()
            asking.join(20)
    assert not asking.is_alive()
    assert len(failures) == 1
    with pytest.raises(Broken):
        wire.get("/a", {})


@pytest.mark.parametrize("secret", ["a\nb", "a\r\nX-Evil: 1", "é", "a\x00b", "a\x7f"])
def test_a_key_that_no_header_may_hold_is_refused_and_not_shown(secret: str) -> None:
    for url in ("http://127.0.0.1:9", "https://user@api.example"):
        with pytest.raises((Unsendable, Broken)) as refused:
            wire_to(url, {"X-Auth-Token": secret}).get("/a", {})
        shown = f"{refused.value!r}{refused.value}"
        assert secret not in shown
        assert repr(secret)[1:-1] not in shown


@pytest.mark.parametrize(
    ("url", "kind"),
    [
        ("http://127.0.0.1:9", Connections),
        ("http://[::1]:9/path", Connections),
        ("http://api.example", Connections),
        ("http://user:word@api.example", _Httpx),
        ("http://api.example?x=1", _Httpx),
        ("http://bücher.example", _Httpx),
        ("http://api.example/a b", _Httpx),
    ],
)
def test_only_what_leaves_no_question_goes_the_short_way(url: str, kind: type, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    with closing(wire_to(url)) as wire:
        assert type(wire) is kind


def test_where_there_is_a_proxy_the_world_outside_is_asked_through_httpx(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    with closing(wire_to("http://api.example")) as outside, closing(wire_to("http://127.0.0.1:9")) as here:
        assert isinstance(outside, _Httpx)
        assert isinstance(here, Connections)


def test_connections_with_tls_are_kept_too() -> None:
    """What TLS itself sends after the handshake is not taken for a connection's end."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(CERTIFICATE)
    accepted = []
    with closing(socket.create_server(("127.0.0.1", 0))) as listener:

        def serve() -> None:
            connection, _address = listener.accept()
            accepted.append(connection)
            with context.wrap_socket(connection, server_side=True) as secured:
                for _ in range(3):
                    secured.recv(65536)
                    secured.sendall(OK)

        threading.Thread(target=serve, daemon=True).start()
        url = f"https://127.0.0.1:{listener.getsockname()[1]}"
        with closing(open_wire(url, HEADERS, insecure=True, connections=1, transport=None)) as wire:
            assert isinstance(wire, Connections)
            for _ in range(3):
                assert wire.get("/a", {}).content == b"{}"
    assert len(accepted) == 1
