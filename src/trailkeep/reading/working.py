"""Work on a thread of its own, so that Ctrl-C and a time limit reach it while the engine is busy."""

from __future__ import annotations

import threading
import time
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar, cast

from trailkeep.errors import TimeLimitReached

if TYPE_CHECKING:
    from collections.abc import Callable

    from trailkeep.analysis import Stop

_T = TypeVar("_T")

_Outcome = tuple[Any, BaseException | None]
"""What a task returned, and what it raised."""

_LOOK_EVERY_SECONDS = 0.1


class Worker:
    """Runs one task at a time; its time limit counts only while a task runs."""

    def __init__(self, stop: Stop, timeout_seconds: float | None) -> None:
        self._stop = stop
        self._timeout_seconds = timeout_seconds
        self._left = timeout_seconds
        self._busy = threading.Lock()
        """Held by the thread that works."""

    def run(self, task: Callable[[], _T]) -> _T:
        """What `task` returns, or raises. KeyboardInterrupt, and every other exception here, stops the task first.

        One that does not stop, since a single call of a function can take the engine minutes, is left to itself.
        """
        done: SimpleQueue[_Outcome] = SimpleQueue()
        thread = threading.Thread(target=self._work, args=(task, done), name="trailkeep query", daemon=True)
        try:
            # Starting waits for the thread, which a Ctrl-C may meet: then it may be about to begin.
            thread.start()
            value, error = self._wait(done)
        except BaseException:
            self._stop()
            while thread.is_alive() and not self._stop.overdue():
                thread.join(_LOOK_EVERY_SECONDS)
                self._stop()
            raise
        if error is not None:
            raise error
        return cast("_T", value)

    def when_idle(self, task: Callable[[], None]) -> None:
        """Do `task` while nothing runs; what runs is stopped first, and where it does not stop, `task` waits for it."""
        while not self._busy.acquire(timeout=_LOOK_EVERY_SECONDS):
            self._stop()
            if self._stop.overdue():
                threading.Thread(target=self._alone, args=(task,), name="trailkeep close", daemon=True).start()
                return
        try:
            task()
        finally:
            self._busy.release()

    def _alone(self, task: Callable[[], None]) -> None:
        with self._busy:
            task()

    def _work(self, task: Callable[[], Any], done: SimpleQueue[_Outcome]) -> None:
        with self._busy:
            try:
                outcome: _Outcome = (task(), None)
            except BaseException as error:  # noqa: BLE001 - raised again where the result is waited for
                outcome = (None, error)
        done.put(outcome)

    def _wait(self, done: SimpleQueue[_Outcome]) -> _Outcome:
        began = time.monotonic()
        while True:
            spent = time.monotonic() - began
            left = None if self._left is None else self._left - spent
            if left is not None and left <= 0:
                raise TimeLimitReached(
                    f"the query took longer than its time limit of {self._timeout_seconds:g} s",
                    hint="Shorten the span, select less, or allow more with timeout_seconds.",
                )
            try:
                outcome = done.get(timeout=_LOOK_EVERY_SECONDS if left is None else min(left, _LOOK_EVERY_SECONDS))
            except Empty:
                continue
            if self._left is not None:
                self._left -= time.monotonic() - began
            return outcome
