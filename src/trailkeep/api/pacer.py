"""One pace for all requests: it slows for everyone when the API refuses, and finds the limit again when it may."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from trailkeep.errors import RemoteUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

SLOWEST_RATE = 0.2
"""Requests a second below which the pace never falls by itself."""

BACK_OFF = 0.85
"""What is kept of the rate that the API was seen to bear when it refuses."""

RAISE_EVERY_SECONDS = 1.0
RAISE = 1.03
"""How the rate grows while nothing is refused."""

OBSERVED_SECONDS = 2.0
"""How far back the rate that the API bears is measured."""

DEFAULT_PAUSE_SECONDS = 1.0
"""The pause after a refusal that does not say how long to wait."""

LONGEST_PAUSE_SECONDS = 300.0
"""What a Retry-After is cut to, so that a mistaken one cannot stop a sync for a day."""


class Stopped(Exception):
    """The run is being stopped: nothing more is to be asked."""


class Pacer:
    """Hands out moments to ask at. Without a refusal there is no limit; the first one sets it."""

    def __init__(
        self,
        stop: threading.Event,
        *,
        clock: Callable[[], float] = time.monotonic,
        patience_seconds: float | None = None,
    ) -> None:
        """With `patience_seconds` nothing more is asked when these have passed."""
        self._stop = stop
        self._clock = clock
        self._until = None if patience_seconds is None else clock() + patience_seconds
        self._lock = threading.Lock()
        self._rate: float | None = None
        self._next = 0.0
        self._raised_at = 0.0
        self._lowered_at = 0.0
        self._answered: list[float] = []

    @property
    def rate(self) -> float | None:
        """Requests a second that are allowed now, or None where no limit is known."""
        return self._rate

    def wait(self) -> float:
        """Wait for the next moment to ask, and return it. Raises Stopped, and RemoteUnavailable beyond the patience."""
        with self._lock:
            now = self._clock()
            self._raise_if_quiet(now)
            moment = max(now, self._next)
            if self._until is not None and moment > self._until:
                raise RemoteUnavailable(
                    "the API answers too slowly, or has asked to be left alone for too long",
                    hint="What was read in full is kept. Run the command again later.",
                )
            self._next = moment + (1 / self._rate if self._rate else 0.0)
        if self._stop.wait(max(0.0, moment - now)):
            raise Stopped
        return moment

    def answered(self) -> None:
        """The API took a request."""
        with self._lock:
            now = self._clock()
            self._answered.append(now)
            while self._answered[0] < now - OBSERVED_SECONDS:
                self._answered.pop(0)

    def refused(self, asked_at: float, retry_after_seconds: float | None) -> None:
        """The API refused the request of `asked_at`: pause everyone, and go on slower.

        Requests that were under way when the pace was last lowered say nothing about the new pace.
        """
        with self._lock:
            now = self._clock()
            pause = DEFAULT_PAUSE_SECONDS if retry_after_seconds is None else retry_after_seconds
            self._next = max(self._next, now + min(max(0.0, pause), LONGEST_PAUSE_SECONDS))
            if asked_at < self._lowered_at:
                return
            self._lowered_at = self._next
            self._raised_at = self._next
            borne = len(self._answered) / OBSERVED_SECONDS
            if borne == 0 and self._rate is None:
                return  # nothing was answered yet, so nothing is known of what the API bears
            limit = min(borne, self._rate) if self._rate else borne
            self._rate = max(SLOWEST_RATE, limit * BACK_OFF)

    def _raise_if_quiet(self, now: float) -> None:
        if self._rate is not None and now >= self._raised_at + RAISE_EVERY_SECONDS:
            self._rate *= RAISE
            self._raised_at = now
