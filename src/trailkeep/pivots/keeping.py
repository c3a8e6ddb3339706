"""The index's place in the archive: made for new segments by the archive's writer, dropped with them, mended.

Nothing here can fail a commit: what cannot be written is not there, and is made by the next writer. Nothing is flushed
to the disk either, since what a power cut leaves of a file has other digests.
"""

from __future__ import annotations

import contextlib
import os
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from trailkeep.errors import StoreError
from trailkeep.pivots.file import IndexFile, Unusable
from trailkeep.pivots.kinds import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime
    from pathlib import Path

FOLDER = "pivots"
"""Below the archive's ``.cache``."""

MOST_ROWS = 20_000_000
"""Rows that one writer indexes at its end, about a minute's work; the next one goes on."""

CHECKED_BYTES = 16 * 1024**2
"""So much of what is there a writer compares with its digests at its end: another part each time."""

_SUFFIX = ".pivots"
_SHA256 = re.compile(r"[0-9a-f]{64}", re.ASCII)


@dataclass(frozen=True, slots=True, kw_only=True)
class Segment:
    """A live file of the archive, as the ledger has it."""

    table: str
    sha256: str
    rows: int
    first: datetime
    locate: Callable[[], Path]
    """Where it lies now; raises StoreError and its kin where it is not there."""


class Disk(Protocol):
    """The changes that are made to the archive's folder; errors are OSError and StoreError."""

    def make_directory(self, path: Path) -> None: ...  # noqa: D102
    def create(self, path: Path) -> int: ...  # noqa: D102
    def append_all(self, descriptor: int, content: bytes) -> None: ...  # noqa: D102
    def rename(self, source: Path, target: Path) -> None: ...  # noqa: D102
    def unlink(self, path: Path) -> None: ...  # noqa: D102


def place_of(cache: Path, sha256: str) -> Path | None:
    """Where the index of a segment lies; None for a digest that is none: a ledger may come from a stranger."""
    return cache / FOLDER / f"{sha256}{_SUFFIX}" if _SHA256.fullmatch(sha256) else None


def is_indexed(table: str) -> bool:
    """Whether segments of this table have an index."""
    return table in COLUMNS


def extend(disk: Disk, cache: Path, archive_id: str, segments: Iterable[Segment]) -> int:
    """Make the index of each of `segments` that has none, and return of how many; no error where that cannot be."""
    made = 0
    for segment in segments:
        place = place_of(cache, segment.sha256)
        if place is None or segment.table not in COLUMNS or os.path.lexists(place):
            continue
        made += _make(disk, place, archive_id, segment)
    return made


def mend(disk: Disk, cache: Path, archive_id: str, segments: Sequence[Segment], *, turn: int) -> int:
    """Bring the folder in line with the live `segments`: drop what is of others or damaged, and make what is missing.

    Another `turn` looks for damage in another part of it. Returns how many were made.
    """
    wanted = {
        place.name: segment
        for segment in segments
        if segment.table in COLUMNS and (place := place_of(cache, segment.sha256)) is not None
    }
    folder = cache / FOLDER
    if cache.is_symlink() or folder.is_symlink():
        return 0
    try:
        there = {each.name for each in folder.iterdir()}
    except OSError:
        there = set()
    for name in sorted(there - wanted.keys()):
        with contextlib.suppress(OSError, StoreError):
            disk.unlink(folder / name)
    held = sorted(there & wanted.keys())
    for name in _damaged(folder, archive_id, {name: wanted[name] for name in held}, turn):
        with contextlib.suppress(OSError, StoreError):
            disk.unlink(folder / name)
        there.discard(name)
    missing = sorted((wanted[name] for name in wanted.keys() - there), key=lambda each: each.first, reverse=True)
    rows = made = 0
    for segment in missing:
        if rows and rows + segment.rows > MOST_ROWS:
            break
        rows += segment.rows
        made += extend(disk, cache, archive_id, [segment])
    return made


def read(cache: Path, archive_id: str, table: str, sha256: str, rows: int) -> IndexFile:
    """The index of a segment. Raises Unusable, and OSError where there is none."""
    place = place_of(cache, sha256)
    if place is None:
        raise Unusable("no name for it")
    state, known = None, _KNOWN.get(place)
    with contextlib.suppress(OSError):
        found = place.lstat()
        state = (found.st_size, found.st_mtime_ns, found.st_ino)
    if known is None or known.state != state or known.description.archive_id != archive_id:
        known = IndexFile(place, archive_id, sha256)
        if len(_KNOWN) >= _MOST_KNOWN:
            _KNOWN.clear()
        _KNOWN[place] = known
    known.check_for(table, rows)
    return known


_KNOWN: dict[Path, IndexFile] = {}
"""Heads that were read, by their place: a question asks hundreds of them."""

_MOST_KNOWN = 4096


def _make(disk: Disk, place: Path, archive_id: str, segment: Segment) -> bool:
    from pyarrow import ArrowException

    from trailkeep.pivots.making import make

    draft = place.with_suffix(".part")
    try:
        if place.parent.is_symlink() or place.parent.parent.is_symlink():
            return False
        content = make(
            segment.locate(),
            archive_id=archive_id,
            sha256=segment.sha256,
            table=segment.table,
            rows=segment.rows,
            start=microseconds(segment.first),
        )
        disk.make_directory(place.parent)
        if os.path.lexists(draft):
            disk.unlink(draft)
        descriptor = disk.create(draft)
        try:
            disk.append_all(descriptor, content)
        finally:
            os.close(descriptor)
        disk.rename(draft, place)
    except (OSError, StoreError, ArrowException, LookupError, TypeError, ValueError, Unusable):
        with contextlib.suppress(OSError, StoreError):
            if os.path.lexists(draft):
                disk.unlink(draft)
        return False
    return True


def _damaged(folder: Path, archive_id: str, held: dict[str, Segment], turn: int) -> list[str]:
    """Those of the files that cannot be used, as far as this turn looks."""
    names = sorted(held)
    start = turn * 7 % len(names) if names else 0
    found: list[str] = []
    seen = 0
    for name in [*names[start:], *names[:start]]:
        try:
            file = IndexFile(folder / name, archive_id, held[name].sha256)
            file.check_for(held[name].table, held[name].rows)
            if seen < CHECKED_BYTES:
                seen += file.state[0]
                file.check()
        except (OSError, Unusable):
            found.append(name)
    return found


def microseconds(moment: datetime) -> int:
    """A moment as it stands in the index."""
    from datetime import UTC, datetime, timedelta

    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
