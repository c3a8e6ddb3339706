"""The archive's folder: immutable segments, the ledger of commits, and the protocol that keeps both whole."""

from trailkeep.store.archive import Archive, Head, Ledger, LiveFile
from trailkeep.store.disk import Disk
from trailkeep.store.segments import read_segment
from trailkeep.store.writer import Commit, NewRows, Writer

__all__ = ["Archive", "Commit", "Disk", "Head", "Ledger", "LiveFile", "NewRows", "Writer", "read_segment"]
