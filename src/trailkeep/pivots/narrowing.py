"""Which files, and which spans of time in them, may hold rows with certain values."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import TYPE_CHECKING, Protocol, TypeVar

from trailkeep.pivots.file import Unusable
from trailkeep.pivots.hashing import Hasher
from trailkeep.pivots.keeping import microseconds
from trailkeep.pivots.kinds import COLUMNS
from trailkeep.pivots.opened import opened
from trailkeep.timespan import Span

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence
    from pathlib import Path

    from trailkeep.pivots.file import IndexFile

MOST_SPANS = 16
"""More spans of one file become fewer and longer ones."""

MOST_TOGETHER = 32
"""So of all files together."""

MOST_VALUES = 64
"""A condition with more values is not looked up: reading them all is quicker."""

_MOST_COMPARED = 128
"""Spans of one condition that are compared with those of another."""

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LATEST = microseconds(datetime.max.replace(tzinfo=UTC))
_Ends = list[tuple[int, int]]
"""Spans, both ends inclusive, in microseconds; sorted and apart."""


class Texts(Protocol):
    """What a column may have."""

    @property
    def among(self) -> Collection[str] | None:
        """One of these; None for anything."""


class Box(Protocol):
    """What a row must meet, all of it, to be of use."""

    @property
    def since(self) -> datetime | None:
        """The earliest time."""

    @property
    def until(self) -> datetime | None:
        """The first time after the latest."""

    @property
    def texts(self) -> Mapping[str, Texts]:
        """Conditions on columns, by their names."""


class Record(Protocol):
    """What the ledger says of a file."""

    @property
    def path(self) -> str:
        """Where it lies, relative to the archive."""

    @property
    def sha256(self) -> str:
        """Of its bytes."""

    @property
    def rows(self) -> int:
        """How many there are."""


class File(Protocol):
    """A live file."""

    @property
    def record(self) -> Record:
        """What the ledger says of it."""

    @property
    def first(self) -> datetime:
        """The first row's moment."""

    @property
    def last(self) -> datetime:
        """The last row's moment."""


_File = TypeVar("_File", bound=File)


def narrowed(
    cache: Path, archive_id: str, table: str, boxes: Sequence[Box], files: Iterable[_File]
) -> list[tuple[_File, tuple[Span, ...] | None]]:
    """Those of `files`, all of one table, that may hold a row of use to any of `boxes`, each with such rows' spans.

    None for the whole file: where no box has a value to look for, or where its index is missing or cannot be used.
    """
    hasher, folder = Hasher(archive_id), str(cache)
    wanted = [_hashes(table, box, hasher) for box in boxes]
    if not all(wanted):
        return [(file, None) for file in files]
    found: list[tuple[_File, tuple[Span, ...] | None]] = []
    for file in files:
        ends = _ends_in(folder, archive_id, table, file, boxes, wanted)
        if ends is None:
            found.append((file, None))
        elif ends:
            found.append((file, _spans(ends, file)))
    return found


def together(spans: Iterable[Span]) -> list[Span]:
    """Spans of several files as few that hold all of them."""
    ends = _together([(microseconds(span.start), microseconds(span.end) - 1) for span in spans])
    return [Span(_moment(first), _moment(last + 1)) for first, last in joined_to(ends, MOST_TOGETHER)]


_Wanted = list[tuple[str, list[int]]]
"""Kinds and hashes: of each kind one must be in the row."""


def _hashes(table: str, box: Box, hasher: Hasher) -> _Wanted:
    kinds = COLUMNS.get(table, {})
    return sorted(
        (
            (kinds[column], sorted(hasher.of(value) for value in texts.among))
            for column, texts in box.texts.items()
            if column in kinds and texts.among is not None and len(texts.among) <= MOST_VALUES
        ),
        key=lambda each: len(each[1]),
    )


def _ends_in(
    cache: str, archive_id: str, table: str, file: File, boxes: Sequence[Box], wanted: Sequence[_Wanted]
) -> _Ends | None:
    """Where rows of use may be; None where that is not known."""
    record = file.record
    try:
        index, descriptor = opened(cache, archive_id, table, record.sha256, record.rows)
    except (OSError, Unusable):
        return None
    try:
        ends: _Ends = []
        for box, each in zip(boxes, wanted, strict=True):
            ends += _of_box(index, descriptor, box, each)
        return _together(ends)
    except (OSError, Unusable):
        return None
    finally:
        os.close(descriptor)


def _of_box(index: IndexFile, descriptor: int, box: Box, wanted: _Wanted) -> _Ends:
    ends: _Ends | None = None
    for kind, hashes in wanted:
        found = _together(
            [(first, last) for value in hashes for first, last, _count in index.find(descriptor, kind, value)]
        )
        found = joined_to(found, _MOST_COMPARED)
        ends = found if ends is None else _common(ends, found)
        if not ends:
            return []
    since = microseconds(box.since) if box.since is not None else None
    until = microseconds(box.until) - 1 if box.until is not None else None
    return [
        (start, end)
        for first, last in ends or []
        if (start := first if since is None else max(first, since))
        <= (end := last if until is None else min(last, until))
    ]


def _together(ends: _Ends) -> _Ends:
    """The same spans, sorted, those that touch made one."""
    joined: _Ends = []
    for first, last in sorted(ends):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(last, joined[-1][1]))
        else:
            joined.append((first, last))
    return joined


def _common(ones: _Ends, others: _Ends) -> _Ends:
    """What is in both; each sorted and apart."""
    return _together(
        [(max(one[0], other[0]), min(one[1], other[1])) for one in ones for other in others if _meet(one, other)]
    )


def _meet(one: tuple[int, int], other: tuple[int, int]) -> bool:
    return one[0] <= other[1] and other[0] <= one[1]


def _spans(ends: _Ends, file: File) -> tuple[Span, ...] | None:
    """The spans, few of them; None where they are more than half of the file's."""
    few = joined_to(ends, MOST_SPANS)
    length = microseconds(file.last) - microseconds(file.first)
    # After the last moment that there is none can be said, and a span ends with one.
    if 2 * sum(last - first for first, last in few) > length or few[-1][1] >= _LATEST:
        return None
    return tuple(Span(_moment(first), _moment(last + 1)) for first, last in few)


def joined_to(ends: _Ends, most: int) -> _Ends:
    """At most so many spans that hold all of `ends`, with the shortest gaps between them filled."""
    if len(ends) <= most:
        return ends
    gaps = sorted(range(1, len(ends)), key=lambda each: ends[each - 1][1] - ends[each][0])[: most - 1]
    starts = [0, *sorted(gaps), len(ends)]
    return [(ends[start][0], ends[end - 1][1]) for start, end in pairwise(starts)]


def _moment(time: int) -> datetime:
    return _EPOCH + timedelta(microseconds=time)
