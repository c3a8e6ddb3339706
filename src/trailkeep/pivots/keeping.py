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

SHARES = 509
"""At its end a writer looks for damage in one of so many parts of what is there, in another each time: with a sync each
hour all of it is compared with its digests within three weeks. A prime, or syncs that leave the same number of entries
each time might never come to some of the parts."""

LEAST_BYTES, MOST_BYTES = 128 * 1024, 4 * 1024**2
"""A part has at least so many bytes, and at most."""

DOUBTED_BYTES = 16 * 1024**2
"""Where a part is damaged, the same writer opens everything, and compares so much of it."""

SUFFIX = ".pivots"
"""Of the files there."""

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

    def replace(self, path: Path, content: bytes) -> bool: ...  # noqa: D102
    def unlink(self, path: Path) -> None: ...  # noqa: D102


def place_of(cache: Path, sha256: str) -> Path | None:
    """Where the index of a segment lies; None for a digest that is none: a ledger may come from a stranger."""
    return cache / FOLDER / f"{sha256}{SUFFIX}" if _SHA256.fullmatch(sha256) else None


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
    there = _listed(folder)
    for name in sorted(there.keys() - wanted.keys()):
        with contextlib.suppress(OSError, StoreError):
            disk.unlink(folder / name)
    held = {name: (wanted[name], there[name]) for name in sorted(there.keys() & wanted.keys())}
    for name in _damaged(folder, archive_id, held, turn):
        with contextlib.suppress(OSError, StoreError):
            disk.unlink(folder / name)
        del there[name]
    missing = sorted((wanted[name] for name in wanted.keys() - there.keys()), key=lambda each: each.first, reverse=True)
    rows = made = 0
    for segment in missing:
        if rows and rows + segment.rows > MOST_ROWS:
            break
        rows += segment.rows
        made += extend(disk, cache, archive_id, [segment])
    return made


def _make(disk: Disk, place: Path, archive_id: str, segment: Segment) -> bool:
    from pyarrow import ArrowException

    from trailkeep.pivots.making import make

    if place.parent.parent.is_symlink():
        return False
    try:
        content = make(
            segment.locate(),
            archive_id=archive_id,
            sha256=segment.sha256,
            table=segment.table,
            rows=segment.rows,
            start=microseconds(segment.first),
        )
    except (OSError, StoreError, ArrowException, LookupError, TypeError, ValueError, Unusable):
        return False
    return disk.replace(place, content)


def _listed(folder: Path) -> dict[str, int]:
    """The names of what is in a folder, with their sizes; 0 for what is no plain file."""
    try:
        with os.scandir(folder) as entries:
            return {
                each.name: each.stat(follow_symlinks=False).st_size if each.is_file(follow_symlinks=False) else 0
                for each in entries
            }
    except OSError:
        return {}


def _damaged(folder: Path, archive_id: str, held: dict[str, tuple[Segment, int]], turn: int) -> list[str]:
    """Those of the files, with their sizes, that cannot be used, as far as this turn looks."""
    total = sum(size for _segment, size in held.values())
    share = total / SHARES
    start = int(share * (turn % SHARES))
    empty = [name for name, (_segment, size) in held.items() if not size]
    end = start + max(LEAST_BYTES, min(int(share) + 1, MOST_BYTES))
    found = _looked_at(folder, archive_id, held, start, end, everything=False)
    if found or empty:
        # What has met one may have met many: a copy that lacks something, another version's files, a failing disk.
        found = _looked_at(folder, archive_id, held, start, start + DOUBTED_BYTES, everything=True)
    return found


def _looked_at(
    folder: Path, archive_id: str, held: dict[str, tuple[Segment, int]], start: int, end: int, *, everything: bool
) -> list[str]:
    """The damaged ones among the files that hold the bytes from `start` to `end`, all files seen as one in a circle.

    With `everything` the other files' heads are looked at, too.
    """
    total = sum(size for _segment, size in held.values())
    end = min(end, start + total)
    found: list[str] = []
    at = 0
    for name, (segment, size) in held.items():
        # The same bytes once more, where the end lies beyond the last file's.
        parts = [(start - each, end - each) for each in (at, at + total) if start - each < size and end > each]
        at += size
        if not parts and not everything:
            continue
        try:
            file = IndexFile(folder / name, archive_id, segment.sha256)
            file.check_for(segment.table, segment.rows)
            for first, last in parts:
                file.check(first, last)
        except (OSError, Unusable):
            found.append(name)
    return found


def microseconds(moment: datetime) -> int:
    """A moment as it stands in the index."""
    from datetime import UTC, datetime, timedelta

    return (moment - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)
