"""Stopping a query from another thread than the one that reads it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trailkeep.errors import Interrupted

if TYPE_CHECKING:
    import duckdb


class Stop:
    """Given to `open_result`, it can end the query at any time, even before the first row is there."""

    def __init__(self) -> None:
        self.stopped = False
        self._connection: duckdb.DuckDBPyConnection | None = None

    def __call__(self) -> None:
        """Stop. The engine notices between two steps: call again until the reading thread has ended."""
        self.stopped = True
        if (connection := self._connection) is not None:
            connection.interrupt()

    def watch(self, connection: duckdb.DuckDBPyConnection | None) -> None:
        """The connection that is to be interrupted, from now on; None when it is closed."""
        self._connection = connection

    def check(self) -> None:
        """Raise Interrupted where the query was stopped."""
        if self.stopped:
            raise Interrupted("the query was stopped")
