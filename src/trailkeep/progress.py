"""What long work tells about itself; a listener that may be silent."""

from __future__ import annotations

from typing import Protocol


class Progress(Protocol):
    """Listens to a sync. Every method may be called from one thread only, the one that commits."""

    def begin(self, stream: str, seconds: float) -> None:
        """Reading of `stream` starts; `seconds` of its time are to be read."""

    def advance(self, stream: str, seconds: float, events: int) -> None:
        """So many more seconds of its time have been read, with so many events."""

    def end(self, stream: str, outcome: str) -> None:
        """Nothing more of `stream` will be read in this run."""


class Silent:
    """A listener that does nothing: on a pipe, with JSON, in tests."""

    def begin(self, stream: str, seconds: float) -> None:
        """Say nothing."""

    def advance(self, stream: str, seconds: float, events: int) -> None:
        """Say nothing."""

    def end(self, stream: str, outcome: str) -> None:
        """Say nothing."""
