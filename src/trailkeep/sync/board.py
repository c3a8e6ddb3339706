"""The windows of a run, and which worker reads which: a window still long when a worker falls idle is split."""

from __future__ import annotations

import threading
from collections import deque
from operator import attrgetter
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trailkeep.streams import Stream
    from trailkeep.sync.window import Piece, Window

HELD_BACK_SECONDS = 0.05
"""Where requests wait longer than this for their turn, more of them at once would bring nothing sooner."""

FRUITLESS_SPLITS = 24
FRUITLESS_SHARE = 0.1
"""So many parts may prove nearly empty, and as many more as are this share of the pages read, before only a few are
split off at once: a dense hour in a quiet month is found in a few steps by all workers, in some more by these."""

PARTS_AT_ONCE = 3

FRUITLESS_EVENTS = 50
"""A part with fewer events was hardly worth its request."""

_LOOK_SECONDS = 0.2


class Board:
    """Hands windows to workers until all are read or the run is stopped. Threads share it."""

    def __init__(self, windows: Iterable[Window]) -> None:
        self.windows = list(windows)
        """Every window there ever was, those that were split off included."""
        self._waiting = deque(self.windows)
        self._read: set[Window] = set()
        self._given_up: set[Stream] = set()
        self._pages = 0
        self._fruitless = 0
        self._held_back = False
        """Whether it is the pace that keeps the workers, so that a further request would not be sent any sooner."""
        self._stopped = False
        self._changed = threading.Condition()

    def take(self) -> Window | None:
        """A window to read, once there is one; None when there will be no more."""
        with self._changed:
            while not self.finished:
                window = self.next()
                if window is not None:
                    return window
                self._changed.wait(_LOOK_SECONDS)
            return None

    @property
    def finished(self) -> bool:
        """Whether there will be no more windows to read."""
        return self._stopped or not (self._waiting or self._read)

    def next(self) -> Window | None:
        """A window to read, where there is one now; that which is to take longest is split for it."""
        with self._changed:
            window = self._waiting.popleft() if self._waiting else self._split_off()
            if window is not None:
                self._read.add(window)
            return window

    def note(self, piece: Piece) -> None:
        """A page of a window has been read: the window may have become worth a split."""
        held_back = piece.page.waited_seconds > HELD_BACK_SECONDS
        with self._changed:
            self._pages += 1
            self._held_back = held_back
            self._changed.notify_all()

    def close(self, window: Window) -> None:
        """Nobody reads `window` any more, but what came of it is still to be taken in."""
        with self._changed:
            window.closed = True
            self._fruitless += window.is_part and window.events < FRUITLESS_EVENTS

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

    @property
    def _is_unlucky(self) -> bool:
        """Whether so many parts proved nearly empty that a few must be seen before more are split off."""
        return self._fruitless > FRUITLESS_SPLITS + FRUITLESS_SHARE * self._pages

    def _split_off(self) -> Window | None:
        """The later half of a window that is being read, as long as it is not the pace that keeps it."""
        if self._held_back or (
            self._is_unlucky and sum(window.is_unread_part for window in self._read) >= PARTS_AT_ONCE
        ):
            return None
        for window in sorted(self._read, key=attrgetter("pages_left"), reverse=True):
            if window.stream not in self._given_up:
                later = window.split()
                if later is not None:
                    self.windows.append(later)
                    return later
        return None
