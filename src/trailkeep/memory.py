"""Keeping the process as small as what it holds: freed memory goes back to the system after each commit."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator

COLLECT_EVERY = 50_000
"""Allocations between two looks of the garbage collector while events are read; Python's own figure is 700."""

MAPPED_BYTES = 256 * 1024
"""Allocations from this size on are the system's own pages, and gone when they are freed."""

_M_MMAP_THRESHOLD = -3  # these two are from glibc's malloc.h
_M_ARENA_MAX = -8


@contextlib.contextmanager
def rare_collections() -> Iterator[None]:
    """Let the garbage collector look less often: what it would look through are pages, none of them in a cycle."""
    usual = gc.get_threshold()
    gc.set_threshold(COLLECT_EVERY, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def keep_small() -> None:
    """Let freed pages and columns go back to the system at once, where the C library can be told so.

    Pages are allocated by the readers and freed by the committer, columns are large and live for one commit. Left to
    itself, glibc keeps a place of its own for every thread, each with the room of its largest batch, and Arrow's own
    allocator does so too: that was a third of the peak.
    """
    pa.set_memory_pool(pa.system_memory_pool())
    with contextlib.suppress(AttributeError, OSError):
        libc = ctypes.CDLL(None)
        libc.mallopt(_M_ARENA_MAX, 2)
        libc.mallopt(_M_MMAP_THRESHOLD, MAPPED_BYTES)


def return_free_memory() -> None:
    """Give what is free back to the system."""
    pa.default_memory_pool().release_unused()
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
