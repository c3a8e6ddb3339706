"""What the workers hand to the collecting thread, with a limit on how much of it may wait."""

from __future__ import annotations

import threading
from collections import deque
from typing import TYPE_CHECKING, Generic, TypeVar

if TYPE_CHECKING:
    from collections.abc import Callable

_T = TypeVar("_T")

WAITING_BYTES = 4 * 1024 * 1024
"""Pages of so many bytes may wait before the workers do; one more page always may."""

_LOOK_SECONDS = 0.2


class Inbox(Generic[_T]):
    """A queue bounded by the size of what waits, not by its number: a page may be 10 kB or 100 MB."""

    def __init__(self, waiting_bytes: int = WAITING_BYTES) -> None:
        self._limit = waiting_bytes
        self._items: deque[tuple[_T, int]] = deque()
        self._bytes = 0
        self._changed = threading.Condition()

    def put(self, item: _T, size: int, goes_on: Callable[[], bool]) -> None:
        """Wait for room and add `item`, of `size` bytes; let it drop where there is no room and nothing goes on."""
        with self._changed:
            while self._bytes >= self._limit:
                if not goes_on():
                    return
                self._changed.wait(_LOOK_SECONDS)
            self._items.append((item, size))
            self._bytes += size
            self._changed.notify_all()

    def get(self, timeout_seconds: float) -> _T | None:
        """The item that waits longest, or None where none comes in time."""
        with self._changed:
            if not self._items:
                self._changed.wait(timeout_seconds)
            if not self._items:
                return None
            item, size = self._items.popleft()
            self._bytes -= size
            self._changed.notify_all()
            return item
