"""Stopping a query from another thread than the one that reads it, or when its time is over."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from trailkeep.errors import Interrupted, TimeLimitReached, TrailkeepError

if TYPE_CHECKING:
    import duckdb

PATIENCE_SECONDS = 2.0
"""How long after it was stopped a query may go on: one call of one function is not interrupted by the engine, and some
take minutes (measured: ``levenshtein`` of two texts of 200 kB)."""

_AGAIN_SECONDS = 0.1
"""The engine forgets an interruption that meets it between two steps, so it is told again and again."""


class Stop:
    """Given to `open_result`, it can end the query at any time, even before the first row is there.

    With `timeout_seconds` it ends the query by itself, that long after `open_result` was called; the rest of the query
    then raises TimeLimitReached.
    """

    def __init__(self, timeout_seconds: float | None = None) -> None:
        self.timeout_seconds = timeout_seconds
        self.stopped = False
        self.timed_out = False
        """Whether the time limit stopped the query, and nobody before it."""
        self._stopped_at: float | None = None
        self._connection: duckdb.DuckDBPyConnection | None = None
        self._connection_lock = threading.Lock()
        """Held while the connection is told to stop, so that it is not closed under that."""
        self._over = threading.Event()
        self._watchman: threading.Thread | None = None

    def __call__(self) -> None:
        """Stop. The engine notices between two steps: call again until the reading thread has ended."""
        self.stopped = True
        self._stopped_at = self._stopped_at or time.monotonic()
        with self._connection_lock:
            if self._connection is not None:
                self._connection.interrupt()

    def begin(self) -> None:
        """The query begins: from now on its time runs out."""
        if self.timeout_seconds is not None and self._watchman is None:
            self._watchman = threading.Thread(target=self._keep_time, name="time limit", daemon=True)
            self._watchman.start()

    def end(self) -> None:
        """The query is over, and its connection is about to be closed."""
        self.watch(None)
        self._over.set()

    def watch(self, connection: duckdb.DuckDBPyConnection | None) -> None:
        """The connection that is to be interrupted, from now on; None before it is closed."""
        with self._connection_lock:
            self._connection = connection
        if connection is not None:
            self.check()

    def check(self) -> None:
        """Raise TimeLimitReached or Interrupted where the query was stopped."""
        if self.stopped:
            raise self.error()

    def overdue(self) -> bool:
        """Whether the query was stopped so long ago that whoever waits for it on another thread need wait no longer."""
        return self._stopped_at is not None and time.monotonic() - self._stopped_at > PATIENCE_SECONDS

    def error(self) -> TrailkeepError:
        """Why the query ended early."""
        if not self.timed_out:
            return Interrupted("the query was stopped")
        return TimeLimitReached(
            f"the query took longer than its time limit of {self.timeout_seconds:g} s",
            hint="Shorten the span, select less, or allow more time: --timeout 10m.",
        )

    def _keep_time(self) -> None:
        if self._over.wait(self.timeout_seconds):
            return
        self.timed_out = not self.stopped
        while True:
            self()
            if self._over.wait(_AGAIN_SECONDS):
                return
