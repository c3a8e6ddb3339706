"""Threads in virtual time: one runs at a time, all waiting is skipped, and every run is like the last."""

from __future__ import annotations

import heapq
import threading
from itertools import count
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable


class VirtualTime:
    """A clock that jumps to the next moment at which somebody wakes up; sleepers of one moment wake in order."""

    def __init__(self) -> None:
        self.now = 0.0
        self._order = count()
        self._sleeping: list[tuple[float, int, threading.Semaphore]] = []
        self._ended = threading.Semaphore(0)
        self._errors: list[BaseException] = []

    def sleep(self, seconds: float) -> None:
        """Let the others run until `seconds` have passed; to be called by the threads of `run` only."""
        baton = threading.Semaphore(0)
        heapq.heappush(self._sleeping, (self.now + max(0.0, seconds), next(self._order), baton))
        self._wake_next()
        baton.acquire()

    def run(self, *functions: Callable[[], object]) -> None:
        """Run all to their end, each on a thread of its own; raises what one of them raised."""
        threads = []
        for function in functions:
            baton = threading.Semaphore(0)
            heapq.heappush(self._sleeping, (self.now, next(self._order), baton))
            threads.append(threading.Thread(target=self._begin, args=(function, baton), daemon=True))
            threads[-1].start()
        self._wake_next()
        self._ended.acquire()
        for thread in threads:
            thread.join()
        for error in self._errors:
            raise error

    def _begin(self, function: Callable[[], object], baton: threading.Semaphore) -> None:
        baton.acquire()
        try:
            function()
        except BaseException as error:  # noqa: BLE001 - `run` raises it
            self._errors.append(error)
        finally:
            self._wake_next()

    def _wake_next(self) -> None:
        if not self._sleeping:
            self._ended.release()
            return
        self.now, _order, baton = heapq.heappop(self._sleeping)
        baton.release()


class VirtualStop(threading.Event):
    """A stop that is waited for in virtual time."""

    def __init__(self, time: VirtualTime) -> None:
        super().__init__()
        self.time = time

    def wait(self, timeout: float | None = None) -> bool:
        if not self.is_set():
            self.time.sleep(timeout or 0.0)
        return self.is_set()
