"""The rows of the directory that a purge removes: versions of objects that were over before a moment."""

from __future__ import annotations

from collections import defaultdict
from typing import TYPE_CHECKING

import pyarrow as pa

from trailkeep.schema import DIRECTORY_TABLES
from trailkeep.store.segments import read_segment

if TYPE_CHECKING:
    from datetime import datetime

    from trailkeep.store.archive import Archive, Ledger, LiveFile

_COLUMNS = ("id", "change", "valid_from", "ledger_seq")


def outdated_rows(archive: Archive, ledger: Ledger, before: datetime) -> list[tuple[LiveFile, pa.Array]]:
    """The files of the directory that lose rows, each with a mask that is true where a row goes.

    A version goes when the next one of its object, or its own end, lies at or before `before`; what was still so then
    stays, however old its row is: it tells who the ids in the events are that stay. Raises ArchiveDamaged for a file
    that cannot be read.
    """
    found: list[tuple[LiveFile, pa.Array]] = []
    for name in DIRECTORY_TABLES:
        by_organization: dict[str, list[LiveFile]] = defaultdict(list)
        for file in sorted(ledger.files(name), key=lambda file: file.record.path):
            by_organization[file.partition.get("organization_id", "")].append(file)
        for files in by_organization.values():
            if any(file.first < before for file in files):
                found += _of_one(archive, files, before)
    return found


def _of_one(archive: Archive, files: list[LiveFile], before: datetime) -> list[tuple[LiveFile, pa.Array]]:
    """The same for the files that hold the versions of one Organization's objects."""
    moment = before.replace(tzinfo=None)
    rows = [
        (row["id"], row["ledger_seq"], row["valid_from"], row["change"], number, index)
        for number, file in enumerate(files)
        for index, row in enumerate(read_segment(archive.locate(file), _COLUMNS).to_pylist())
    ]
    rows.sort(key=lambda row: row[:3])
    going: dict[int, set[int]] = defaultdict(set)
    for row, following in zip(rows, [*rows[1:], None], strict=True):
        is_last = following is None or following[0] != row[0]
        end = row[2] if is_last and row[3] == "gone" else None if following is None or is_last else following[2]
        if end is not None and end <= moment:
            going[row[4]].add(row[5])
    return [
        (files[number], pa.array([index in indexes for index in range(files[number].record.rows)], pa.bool_()))
        for number, indexes in sorted(going.items())
    ]
