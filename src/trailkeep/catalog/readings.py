"""What of each event table a statement reads, and what the rest was left out by."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from trailkeep.catalog.conditions import EVERYTHING, Box, Boxes

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from trailkeep.store import LiveFile

TIME, PARTITION, TIME_AND_PARTITION, NOT_READ = "time", "partition", "time and partition", "not read at all"
INDEX = "index"


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """The files of one table."""

    table: str
    boxes: Boxes
    """What the statement asks of the rows."""
    files: Mapping[str, LiveFile]
    """Those that are opened."""
    left_out: Sequence[tuple[LiveFile, str]]
    """The others, each with what it was left out by."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RowGroups:
    """How many row groups of the files that are opened hold rows of use, by what their footers say of them."""

    read: int
    there: int


def why(boxes: Boxes, file: LiveFile) -> str:
    """What no box takes the file for."""
    if not boxes:
        return NOT_READ
    if not any(box.takes_partition(file.partition) for box in boxes):
        return PARTITION
    untimed = [Box(texts=box.texts) for box in boxes]
    timed = [Box(since=box.since, until=box.until) for box in boxes]
    if any(box.takes_file(file) for box in untimed) and not any(box.takes_file(file) for box in timed):
        return TIME
    return TIME_AND_PARTITION


def row_groups(reading: Reading, time: str) -> RowGroups:
    """Read the footers of the files of a reading, whose column of time has this name."""
    import pyarrow.parquet as pq

    read = there = 0
    for path in reading.files:
        with pq.ParquetFile(path) as opened:
            footer = opened.metadata
        there += footer.num_row_groups
        for number in range(footer.num_row_groups):
            group = footer.row_group(number)
            bounds = {
                column.path_in_schema: (told.min, told.max)
                for column in map(group.column, range(group.num_columns))
                if (told := column.statistics) is not None and told.has_min_max
            }
            read += reading.boxes == EVERYTHING or any(_may_hold(box, bounds, time) for box in reading.boxes)
    return RowGroups(read=read, there=there)


def _may_hold(box: Box, bounds: Mapping[str, tuple[object, object]], time: str) -> bool:
    from datetime import UTC, datetime

    low, high = bounds.get(time, (None, None))
    if isinstance(low, datetime) and isinstance(high, datetime):
        first, last = (each if each.tzinfo else each.replace(tzinfo=UTC) for each in (low, high))
        if (box.since is not None and last < box.since) or (box.until is not None and first >= box.until):
            return False
    for name, texts in box.texts.items():
        least, most = bounds.get(name, (None, None))
        if isinstance(least, str) and isinstance(most, str):
            if texts.among is not None and not any(least <= each <= most for each in texts.among):
                return False
            if (texts.least is not None and most < texts.least) or (texts.before is not None and least >= texts.before):
                return False
    return True
