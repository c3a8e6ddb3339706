"""The windows of a run, and which worker reads which: a window still long when a worker falls idle is split."""

from __future__ import annotations

import threading
from collections import deque
from datetime import timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trailkeep.streams import Stream
    from trailkeep.sync.window import Window

SHORTEST_SPLIT = timedelta(minutes=10)
"""No window is split into parts shorter than this."""

FEWEST_EVENTS_LEFT = 400
"""Nor is one of which no more events than this are expected: a split costs a request."""


class Board:
    """Hands windows to workers until all are read or the run is stopped. Threads share it."""

    def __init__(self, windows: Iterable[Window]) -> None:
        self.windows = list(windows)
        """Every window there ever was, those that were split off included."""
        self._waiting = deque(self.windows)
        self._read: set[Window] = set()
        self._given_up: set[Stream] = set()
        self._stopped = False
        self._changed = threading.Condition()

    def take(self) -> Window | None:
        """A window to read, once there is one; None when there will be no more."""
        with self._changed:
            while not self._stopped:
                window = self._next()
                if window is not None:
                    self._read.add(window)
                    return window
                if not self._read:
                    break
                # Windows grow splittable as their pages come, without anyone saying so.
                self._changed.wait(0.05)
            return None

    def done(self, window: Window) -> None:
        """All that came of `window` has been taken in: it is not being read any more."""
        with self._changed:
            self._read.discard(window)
            self._changed.notify_all()

    def give_up(self, stream: Stream) -> None:
        """Read nothing more of `stream`."""
        with self._changed:
            self._given_up.add(stream)
            self._waiting = deque(window for window in self._waiting if window.stream != stream)

    def stop(self) -> None:
        """Read nothing more at all."""
        with self._changed:
            self._stopped = True
            self._changed.notify_all()

    @property
    def stopped(self) -> bool:
        """Whether nothing more at all is to be read."""
        return self._stopped

    def goes_on(self, stream: Stream) -> bool:
        """Whether a worker should ask for the stream's next page."""
        return not self._stopped and stream not in self._given_up

    def is_open(self, stream: Stream) -> bool:
        """Whether anything of the stream is waiting or being read."""
        with self._changed:
            return any(window.stream == stream for window in (*self._waiting, *self._read))

    def _next(self) -> Window | None:
        if self._waiting:
            return self._waiting.popleft()
        for window in sorted(self._read, key=_events_left, reverse=True):
            if window.stream not in self._given_up and _events_left(window) >= FEWEST_EVENTS_LEFT:
                later = window.split(SHORTEST_SPLIT)
                if later is not None:
                    self.windows.append(later)
                    return later
        return None


def _events_left(window: Window) -> float:
    """How many events the rest of a window holds, if it goes on as it has since its first event."""
    if window.first_event is None:
        return 0.0
    read = (window.proven - window.first_event).total_seconds()
    return window.events / read * window.left.total_seconds() if read > 0 else 0.0
