"""Receiving one answer from a socket: the real one after interim ones, and all of it by a deadline."""

from __future__ import annotations

import http.client
import io
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import socket

READ_TIMEOUT_SECONDS = 60.0
INTERIM_ANSWERS = 16
"""How many answers with a status of 1xx may come before the real one."""


class Response(http.client.HTTPResponse):
    """The real answer to a request, read until a deadline; of interim ones http.client itself knows 100 alone."""

    def __init__(self, sock: socket.socket, *arguments: Any, seconds: float, **options: Any) -> None:
        super().__init__(sock, *arguments, **options)
        self.fp = io.BufferedReader(_Timed(self.fp.detach(), sock, seconds))

    def begin(self) -> None:
        """Read the status and the headers. Raises HTTPException where nothing but interim answers come."""
        for _ in range(1 + INTERIM_ANSWERS):
            super().begin()
            if not 100 <= self.status < 200 or self.status == http.client.SWITCHING_PROTOCOLS:
                return
            self.headers = None  # type: ignore[assignment]  # so it begins again
        raise http.client.HTTPException(f"more than {INTERIM_ANSWERS} interim answers, the last with {self.status}")


class _Timed(io.RawIOBase):
    """What a socket receives, until a deadline: its own timeout begins anew with each byte."""

    def __init__(self, raw: io.RawIOBase, sock: socket.socket, seconds: float) -> None:
        super().__init__()
        self._raw = raw
        self._sock = sock
        self._seconds = seconds
        self._until = time.monotonic() + seconds

    def readable(self) -> bool:
        """It is there to be read."""
        return True

    def readinto(self, buffer: Any) -> int | None:
        """As much as has come. Raises TimeoutError."""
        left = self._until - time.monotonic()
        if left <= 0:
            raise too_long(self._seconds)
        self._sock.settimeout(min(READ_TIMEOUT_SECONDS, left))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        """Let go of the socket."""
        self._raw.close()
        super().close()


def too_long(seconds: float) -> TimeoutError:
    """The error that an answer ends in which did not come in time."""
    return TimeoutError(f"the whole answer did not come in {seconds:g} seconds")
