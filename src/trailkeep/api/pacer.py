"""One pace for all requests of a run: threads wait here for their turn to ask."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING

from trailkeep.api.pace import Pace
from trailkeep.errors import RemoteUnavailable

if TYPE_CHECKING:
    from collections.abc import Callable

LOOK_SECONDS = 0.01
"""How often a thread looks whether it may ask sooner than thought, while no limit is known."""


class Stopped(Exception):
    """The run is being stopped: nothing more is to be asked."""


class Pacer:
    """Lets threads ask one by one, at the pace that the API was seen to bear."""

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
        self._turn = threading.Lock()
        """Held by the one thread that waits for the next moment; the others wait for it."""
        self._lock = threading.Lock()
        self._pace = Pace()

    @property
    def rate(self) -> float | None:
        """Requests a second that are allowed now, or None where no limit is known."""
        return self._pace.rate

    def now(self) -> float:
        """The pacer's own clock, in seconds."""
        return self._clock()

    def wait(self) -> float:
        """Wait for the next moment to ask, and return it. Raises Stopped, and RemoteUnavailable beyond the patience."""
        waited_until = 0.0
        with self._turn:
            while True:
                with self._lock:
                    now = max(self._clock(), waited_until)
                    moment = self._pace.moment(now)
                    if self._until is not None and moment > self._until:
                        raise RemoteUnavailable(
                            "the API answers too slowly, or has asked to be left alone for too long",
                            hint="What was read in full is kept. Run the command again later.",
                        )
                    if moment <= now and not self._stop.is_set():
                        self._pace.take(now)
                        return now
                    seconds = moment - now
                    if self._pace.may_be_sooner:
                        seconds = min(seconds, LOOK_SECONDS)
                if self._stop.wait(seconds):
                    raise Stopped
                waited_until = now + seconds

    def answered(self, asked_at: float | None = None) -> None:
        """The API took the request of `asked_at`."""
        with self._lock:
            self._pace.answered(self._clock(), asked_at)

    def refused(self, asked_at: float, retry_after_seconds: float | None) -> None:
        """The API refused the request of `asked_at`: pause everyone, and go on slower.

        Requests that were under way when the pace was last lowered say nothing about the new pace.
        """
        with self._lock:
            self._pace.refused(self._clock(), asked_at, retry_after_seconds)

    def failed(self) -> None:
        """A request was neither answered nor refused."""
        with self._lock:
            self._pace.failed()
