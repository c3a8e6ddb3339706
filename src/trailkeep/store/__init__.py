"""The archive's folder: immutable segments, the ledger of commits, and the protocol that keeps both whole."""

from __future__ import annotations

from typing import TYPE_CHECKING

from trailkeep.store.archive import Archive, Head, Ledger, LiveFile

if TYPE_CHECKING:
    from trailkeep.store.disk import Disk
    from trailkeep.store.segments import read_segment
    from trailkeep.store.writer import Commit, NewRows, Writer

__all__ = ["Archive", "Commit", "Disk", "Head", "Ledger", "LiveFile", "NewRows", "Writer", "read_segment"]

_PLACES = {"Commit": "writer", "Disk": "disk", "NewRows": "writer", "Writer": "writer", "read_segment": "segments"}
"""What only writers need, by its module: a reader loads neither Arrow nor locks."""


def __getattr__(name: str) -> object:
    """Load what writers need when it is first asked for."""
    if name not in _PLACES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from importlib import import_module

    value: object = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
    globals()[name] = value
    return value
