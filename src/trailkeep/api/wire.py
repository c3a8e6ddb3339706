"""How requests leave and answers come: over connections of the standard library, or through httpx.

For each page httpx takes 2 ms of processor, the standard library half a millisecond, and a sync asks for a thousand
pages in a few seconds. httpx does what needs more than a connection: proxies, and transports that a test brings.
"""

from __future__ import annotations

import contextlib
import functools
import http.client
import json
import re
import select
import socket
import sys
import threading
import time
import urllib.request
import zlib
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol
from urllib.parse import urlencode, urlsplit

from trailkeep.api.receiving import READ_TIMEOUT_SECONDS, Response, too_long

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    import httpx

CONNECT_TIMEOUT_SECONDS = 10.0
ANSWER_SECONDS = 120.0
"""How long one whole answer may take: each of its bytes may come in time, and the last one never."""

_ADDRESS = re.compile(r"https?://([A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?(/[!$-;=A-Z_a-z~%]*)?", re.ASCII)
"""Addresses that leave no question; whatever else there is, httpx reads, or says what is wrong with it."""
_LOOPBACK = ("localhost", "127.", "::1")
_MOST_AT_ONCE = 1024 * 1024
_CODINGS = {"gzip": zlib.MAX_WBITS | 16, "x-gzip": zlib.MAX_WBITS | 16, "deflate": zlib.MAX_WBITS}


class Headers(Protocol):
    """An answer's headers; their names in any case."""

    def get(self, name: str, default: str, /) -> str:
        """The first value of a header."""
        ...


class Answer(Protocol):
    """A whole answer."""

    @property
    def status_code(self) -> int:
        """The status, as a number."""
        ...

    @property
    def headers(self) -> Any:
        """Like `Headers`."""
        ...

    @property
    def content(self) -> bytes:
        """The body, unpacked."""
        ...

    def json(self) -> Any:
        """The body, decoded. Raises ValueError for what is no JSON, and RecursionError."""
        ...


class Unsendable(Exception):
    """What was given is no address that a request could be sent to."""


class Broken(Exception):
    """No whole answer came; its cause says why."""


class Wire(Protocol):
    """Sends requests to one address, from several threads at once."""

    def get(self, path: str, parameters: Mapping[str, str]) -> Answer:
        """Ask once. Raises Unsendable and Broken."""
        ...

    def close(self) -> None:
        """Let go of all connections."""
        ...


def open_wire(
    base_url: str,
    headers: Mapping[str, str],
    *,
    insecure: bool,
    connections: int,
    transport: httpx.BaseTransport | None,
    answer_seconds: float = ANSWER_SECONDS,
) -> Wire:
    """The cheapest way to `base_url` that is open. Raises Unsendable for headers that cannot be sent."""
    # A library that refuses them would show them.
    if not all(value.isascii() and value.isprintable() for value in headers.values()):
        raise Unsendable("the secret key holds what no header may hold")
    local = _host(base_url).startswith(_LOOPBACK)
    if transport is None and _ADDRESS.fullmatch(base_url) and (local or not urllib.request.getproxies()):
        return Connections(base_url, headers, insecure=insecure, connections=connections, answer_seconds=answer_seconds)
    # A proxy of the environment is for the world outside, not for this machine.
    return _Httpx(
        base_url,
        headers,
        insecure=insecure,
        connections=connections,
        transport=transport,
        trust_env=not local,
        answer_seconds=answer_seconds,
    )


def _host(base_url: str) -> str:
    try:
        return urlsplit(base_url).hostname or ""
    except ValueError:
        return ""


@dataclass(frozen=True, slots=True)
class _Plain:
    status_code: int
    headers: Headers
    content: bytes

    def json(self) -> Any:
        return json.loads(self.content)


class Connections:
    """HTTP/1.1 connections to one address, kept open from one request to the next."""

    def __init__(
        self, base_url: str, headers: Mapping[str, str], *, insecure: bool, connections: int, answer_seconds: float
    ) -> None:
        parts = urlsplit(base_url)
        self._host = parts.hostname or ""
        self._port = parts.port
        self._path = parts.path
        self._headers = {**headers, "Accept-Encoding": "gzip, deflate", "Connection": "keep-alive"}
        self._context = _tls(insecure=insecure) if parts.scheme == "https" else None
        self._answer_seconds = answer_seconds
        self._room = threading.Semaphore(connections)
        self._idle: list[http.client.HTTPConnection] = []
        self._open: set[http.client.HTTPConnection] = set()
        self._lock = threading.Lock()
        self._closed = False

    def get(self, path: str, parameters: Mapping[str, str]) -> Answer:
        """Ask once. Raises Broken."""
        target = f"{self._path}{path}?{urlencode(parameters)}" if parameters else self._path + path
        with self._room:
            connection = self._take()
            try:
                connection.sock.settimeout(READ_TIMEOUT_SECONDS)
                connection.request("GET", target, headers=self._headers)
                response = connection.getresponse()
                body = _body_of(response)
                if coding := response.headers.get("Content-Encoding", ""):
                    body = _unpacked(body, coding)
            except (OSError, http.client.HTTPException, zlib.error, ValueError) as error:
                self._drop(connection)
                raise Broken(_named(error)) from error
            except BaseException:
                self._drop(connection)
                raise
            if _ended_beyond_doubt(response):
                with self._lock:
                    self._idle.append(connection)
            else:
                self._drop(connection)
        return _Plain(response.status, response.headers, body)

    def close(self) -> None:
        """Let go of all connections; who still waits on one hears of its end."""
        with self._lock:
            self._closed = True
            idle, waited_on = self._idle.copy(), self._open.difference(self._idle)
            self._idle.clear()
        for connection in idle:
            self._drop(connection)
        for connection in waited_on:
            with contextlib.suppress(OSError, AttributeError):
                connection.sock.shutdown(socket.SHUT_RDWR)

    def _take(self) -> http.client.HTTPConnection:
        """The connection that was used last, if the other side has not closed it; or a new one."""
        while (kept := self._kept()) is not None:
            if not _has_ended(kept):
                return kept
            self._drop(kept)
        if self._context is None:
            connection = http.client.HTTPConnection(self._host, self._port, timeout=CONNECT_TIMEOUT_SECONDS)
        else:
            connection = http.client.HTTPSConnection(
                self._host, self._port, timeout=CONNECT_TIMEOUT_SECONDS, context=self._context
            )
        answers = functools.partial(Response, seconds=self._answer_seconds)
        connection.response_class = answers  # type: ignore[assignment]
        with self._lock:
            if self._closed:
                raise Broken("the client is closed")
            self._open.add(connection)
        try:
            connection.connect()
        except (OSError, http.client.HTTPException) as error:
            self._drop(connection)
            raise Broken(_named(error)) from error
        return connection

    def _kept(self) -> http.client.HTTPConnection | None:
        with self._lock:
            return self._idle.pop() if self._idle else None

    def _drop(self, connection: http.client.HTTPConnection) -> None:
        connection.close()
        with self._lock:
            self._open.discard(connection)


class _Httpx:
    """Requests through httpx, which passes over interim answers itself.

    An answer's time is looked at with each part of its body, but not before: httpx lets nobody see its headers come.
    """

    def __init__(
        self,
        base_url: str,
        headers: Mapping[str, str],
        *,
        insecure: bool,
        connections: int,
        transport: httpx.BaseTransport | None,
        trust_env: bool,
        answer_seconds: float,
    ) -> None:
        httpx = _httpx()
        self._base_url = base_url
        self._answer_seconds = answer_seconds
        self._client = httpx.Client(
            headers=dict(headers),
            timeout=httpx.Timeout(READ_TIMEOUT_SECONDS, connect=CONNECT_TIMEOUT_SECONDS, pool=None),
            limits=httpx.Limits(max_connections=connections, max_keepalive_connections=connections),
            # A redirect to another host would carry the key there.
            follow_redirects=False,
            verify=not insecure,
            trust_env=trust_env,
            transport=transport,
        )

    def get(self, path: str, parameters: Mapping[str, str]) -> Answer:
        """Ask once. Raises Unsendable and Broken."""
        httpx = _httpx()
        until = time.monotonic() + self._answer_seconds
        parts = []
        try:
            with self._client.stream("GET", self._base_url + path, params=dict(parameters)) as answer:
                for part in answer.iter_bytes():
                    parts.append(part)
                    if time.monotonic() > until:
                        raise too_long(self._answer_seconds)
        except httpx.InvalidURL as error:
            raise Unsendable(f"{self._base_url} is not a URL: {error}") from error
        except httpx.UnsupportedProtocol as error:
            raise Unsendable(f"{self._base_url} is not an http or https URL") from error
        except (httpx.TransportError, httpx.DecodingError, TimeoutError) as error:
            raise Broken(_named(error)) from error
        return _Plain(answer.status_code, answer.headers, b"".join(parts))

    def close(self) -> None:
        """Let go of all connections."""
        self._client.close()


def _httpx() -> Any:
    # Importing httpx would import its command line, and with that rich: 60 ms that no sync from cron needs.
    sys.modules.setdefault("httpx._main", None)  # type: ignore[arg-type]
    import httpx

    return httpx


def _tls(*, insecure: bool) -> ssl.SSLContext:
    """As httpx trusts: certifi's authorities, or those that SSL_CERT_FILE and SSL_CERT_DIR name."""
    context: ssl.SSLContext = _httpx().create_ssl_context(verify=not insecure)
    context.set_alpn_protocols(["http/1.1"])
    return context


def _has_ended(connection: http.client.HTTPConnection) -> bool:
    """Whether there is something to read before anything was asked: that is the connection's end."""
    if connection.sock is None:
        return True
    if not hasattr(select, "poll"):
        return bool(select.select([connection.sock], [], [], 0)[0])
    poll = select.poll()
    poll.register(connection.sock, select.POLLIN)
    return bool(poll.poll(0))


def _body_of(response: http.client.HTTPResponse) -> bytes:
    """The whole body, in parts: the length that is announced may be any. Raises HTTPException where it ends early."""
    parts = []
    while part := response.read(_MOST_AT_ONCE):
        parts.append(part)
    if response.length:
        raise http.client.IncompleteRead(b"", response.length)
    return parts[0] if len(parts) == 1 else b"".join(parts)


def _unpacked(body: bytes, coding: str) -> bytes:
    """A body without its Content-Encoding. Raises ValueError for one that was not offered, and zlib.error."""
    for name in reversed(coding.lower().replace(" ", "").split(",")):
        if name in ("", "identity"):
            continue
        if name not in _CODINGS:
            raise ValueError(f"its Content-Encoding is {name!r}, which was not asked for")
        decoder = zlib.decompressobj(_CODINGS[name])
        try:
            body = decoder.decompress(body)
        except zlib.error:
            if name != "deflate":
                raise
            decoder = zlib.decompressobj(-zlib.MAX_WBITS)  # what some servers mean by deflate
            body = decoder.decompress(body)
        if not decoder.eof:
            raise ValueError("its body ends in the middle of what is compressed")
    return body


def _ended_beyond_doubt(response: http.client.HTTPResponse) -> bool:
    """Whether what comes next on its connection can only be the next answer."""
    lengths = [*response.headers.get_all("Content-Length", []), *response.headers.get_all("Transfer-Encoding", [])]
    plain = response.status == 200 or response.status >= 400
    return plain and len(lengths) == 1 and not response.will_close


def _named(error: Exception) -> str:
    return f"{type(error).__name__}: {error}" if str(error) else type(error).__name__
