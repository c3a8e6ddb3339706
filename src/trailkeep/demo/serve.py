"""A WSGI application on a loopback port: HTTP/1.1 with keep-alive, and connections that break when asked."""

from __future__ import annotations

import contextlib
import io
import socket
import struct
import sys
from http.server import BaseHTTPRequestHandler
from socketserver import TCPServer
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from trailkeep.demo.wire import WIRE, Wire

if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self
    from wsgiref.types import WSGIApplication, WSGIEnvironment

_LOOPBACK = {"127.0.0.1", "::1", "localhost"}
_POLL_SECONDS = 0.02
_JOIN_SECONDS = 2.0
_SLOW_PIECES = 8


class Served:
    """An application being served; as a context manager it closes itself."""

    def __init__(self, app: WSGIApplication, host: str, port: int) -> None:
        if host not in _LOOPBACK:
            raise ValueError(f"{host!r} is not a loopback address; the emulator is for this machine only")
        self._server = _Server((host, port), app)
        self.port: int = self._server.server_address[1]
        shown = f"[{host}]" if ":" in host else host
        self.url = f"http://{shown}:{self.port}"
        """The base URL, without a trailing slash."""
        self._accepting = Thread(
            target=self._server.serve_forever, args=(_POLL_SECONDS,), name="demo-serve", daemon=True
        )
        self._accepting.start()

    def close(self) -> None:
        """Stop accepting, break open connections and wait for their threads; a second call does nothing."""
        if self._server.stopping.is_set():
            return
        self._server.stopping.set()
        self._server.shutdown()
        self._accepting.join()
        self._server.server_close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve(app: WSGIApplication, *, host: str = "127.0.0.1", port: int = 0) -> Served:
    """Serve `app` from now on, on a free port unless one is named; raises OSError where the port is taken.

    Only loopback addresses are taken (ValueError otherwise).
    """
    return Served(app, host, port)


class _Reset(ConnectionError):
    """The handler has prepared the socket so that closing it resets the connection."""


class _Server(TCPServer):
    """One daemon thread a connection; knows its open sockets so that `server_close` can end them."""

    allow_reuse_address = True
    request_queue_size = 128

    def __init__(self, address: tuple[str, int], app: WSGIApplication) -> None:
        self.app = app
        self.stopping = Event()
        self._open: dict[socket.socket, Thread] = {}
        self._open_lock = Lock()
        if ":" in address[0]:
            self.address_family = socket.AF_INET6
        super().__init__(address, _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        """Answer the connection's requests in a thread of its own."""
        thread = Thread(target=self._converse, args=(request, client_address), name="demo-connection", daemon=True)
        with self._open_lock:
            self._open[request] = thread
        thread.start()

    def _converse(self, request: socket.socket, client_address: Any) -> None:
        try:
            self.finish_request(request, client_address)
        except _Reset:
            request.close()  # Without the shutdown that an ordinary end begins with: that would send a FIN.
        except OSError:
            pass  # The client went away, or the fault was to break the connection.
        finally:
            self.shutdown_request(request)  # Harmless on a closed socket.
            with self._open_lock:
                self._open.pop(request, None)

    def server_close(self) -> None:
        """Close the listening socket and every connection, then wait for the threads."""
        super().server_close()
        with self._open_lock:
            remaining = list(self._open.items())
        for connection, thread in remaining:
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(_JOIN_SECONDS)


class _Handler(BaseHTTPRequestHandler):
    """One connection; headers and body leave in one write, or each answer waits for a delayed ACK."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1
    disable_nagle_algorithm = True
    server: _Server

    def do_GET(self) -> None:
        """Run the application for one request, of any method."""
        length = int(self.headers.get("Content-Length") or 0)
        # The official SDK sends a body with GET; left unread, it would be taken for the next request.
        body = self.rfile.read(length) if length else b""
        wire = Wire()
        started: list[tuple[str, list[tuple[str, str]]]] = []

        def start_response(status: str, headers: list[tuple[str, str]], _error: object = None, /) -> Any:
            started.append((status, headers))

        environ = self._environ(body, wire)
        answer = b"".join(self.server.app(environ, start_response))
        status, headers = started[-1]
        self._send(status, headers, answer, wire)

    do_POST = do_PUT = do_PATCH = do_DELETE = do_HEAD = do_GET  # noqa: N815 - the names that BaseHTTPRequestHandler looks for

    def _environ(self, body: bytes, wire: Wire) -> WSGIEnvironment:
        path, _, query = self.path.partition("?")
        environ: WSGIEnvironment = {
            "REQUEST_METHOD": self.command,
            "SCRIPT_NAME": "",
            "PATH_INFO": unquote(path, "iso-8859-1"),
            "QUERY_STRING": query,
            "SERVER_NAME": self.server.server_address[0],
            "SERVER_PORT": str(self.server.server_address[1]),
            "SERVER_PROTOCOL": self.request_version,
            "REMOTE_ADDR": self.client_address[0],
            "REMOTE_PORT": str(self.client_address[1]),
            "CONTENT_LENGTH": str(len(body)),
            "CONTENT_TYPE": self.headers.get("Content-Type", ""),
            "wsgi.version": (1, 0),
            "wsgi.url_scheme": "http",
            "wsgi.input": io.BytesIO(body),
            "wsgi.errors": sys.stderr,
            "wsgi.multithread": True,
            "wsgi.multiprocess": False,
            "wsgi.run_once": False,
            WIRE: wire,
        }
        for name, value in self.headers.items():
            environ["HTTP_" + name.upper().replace("-", "_")] = value
        return environ

    def _send(self, status: str, headers: list[tuple[str, str]], body: bytes, wire: Wire) -> None:
        if wire.reset_after_bytes == 0:
            self._reset()
            return
        chunked = wire.cut == "chunked"
        lines = [f"HTTP/1.1 {status}"]
        lines += [f"{name}: {value}" for name, value in headers if not (chunked and name == "Content-Length")]
        if chunked:
            lines.append("Transfer-Encoding: chunked")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("iso-8859-1")
        if wire.cut is not None or wire.reset_after_bytes is not None:
            self.wfile.write(head)
            self._break_off(body, wire)
            return
        if self.command == "HEAD":
            self.wfile.write(head)
        elif wire.slow_seconds:
            self.wfile.write(head)
            self._send_body(body, wire.slow_seconds)
        else:
            self.wfile.write(head + body)  # together, so that they leave in one piece
        self.wfile.flush()

    def _send_body(self, body: bytes, slow_seconds: float) -> None:
        if not slow_seconds:
            self.wfile.write(body)
            return
        size = max(1, -(-len(body) // _SLOW_PIECES))
        for start in range(0, len(body), size):
            self.wfile.flush()
            if self.server.stopping.wait(slow_seconds / _SLOW_PIECES):
                return
            self.wfile.write(body[start : start + size])

    def _break_off(self, body: bytes, wire: Wire) -> None:
        """Send part of the body, then end the connection: by a reset, or in order but too early."""
        part = body[: len(body) // 2 if wire.reset_after_bytes is None else wire.reset_after_bytes]
        if wire.cut == "chunked":
            part = b"%x\r\n%s\r\n" % (len(part), part) if part else b""
        self._send_body(part, wire.slow_seconds)
        self.wfile.flush()
        self.close_connection = True
        if wire.reset_after_bytes is not None:
            self._reset()

    def _reset(self) -> None:
        """End the connection so that the client sees a reset instead of an end of file."""
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        raise _Reset

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing: `Emulator.requests` is the log."""
