"""Keeping the process as small as what it holds: freed memory goes back to the system after each commit."""

from __future__ import annotations

import contextlib
import ctypes
import gc
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from collections.abc import Iterator

COLLECT_EVERY = 5_000
"""Allocations between two looks of the garbage collector while events are read; Python's own figure is 700."""

_M_ARENA_MAX = -8  # from glibc's malloc.h


@contextlib.contextmanager
def rare_collections() -> Iterator[None]:
    """Let the garbage collector look less often: a batch is 50,000 live tuples, and none of them is in a cycle."""
    usual = gc.get_threshold()
    gc.set_threshold(COLLECT_EVERY, *usual[1:])
    try:
        yield
    finally:
        gc.set_threshold(*usual)


def share_arenas() -> None:
    """Let all threads allocate from two places, where the C library can be told so.

    Pages are allocated by the readers and freed by the committer. With a place of its own for every thread, as glibc
    has it, each keeps its largest batch for good.
    """
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).mallopt(_M_ARENA_MAX, 2)


def return_free_memory() -> None:
    """Give what is free back to the system."""
    pa.default_memory_pool().release_unused()
    with contextlib.suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
