"""Compaction: many small files become few, so that an archive of years is as quick to open as one of days.

Files are merged within a partition (a stream's month) only, so each event is rewritten a bounded number of times: once
when a number of small files has come together, and once when its month is over.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from trailkeep.schema import STORED_TABLES
from trailkeep.store.merging import MOST_BYTES, Merge, Source
from trailkeep.store.writer import Commit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trailkeep import seal
    from trailkeep.store.archive import Ledger, LiveFile
    from trailkeep.store.writer import Writer

FAN_IN = 48
"""How many small files come together before they are merged while their month goes on: two days of hourly syncs."""

SMALL_BYTES = 64 * 1024**2
"""A file of more than this waits for the end of its month."""

ALIKE = 8
"""Merged files are merged again only where the largest is at most so many times the smallest."""

CLOSED_AFTER = timedelta(days=2)
"""When a month that is over is closed: later than events usually come late."""

FEW = 8
"""More files than this in a closed month are merged, however small."""

SHARE = 8
"""So are fewer, where all but the largest are together at least a so-manieth of it."""

FULL = 3 / 4
"""A file of this share of the largest size is merged with no other."""

_GROUPS_A_COMMIT = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Files of one partition that are to become one, or as few as fit."""

    table: str
    partition: dict[str, str]
    files: tuple[LiveFile, ...]

    @property
    def bytes(self) -> int:
        """What is to be read, and nearly what is to be written."""
        return sum(file.record.bytes for file in self.files)


def plan_compaction(ledger: Ledger, now: datetime, *, everything: bool = False) -> list[Group]:
    """What is worth merging at `now`, the oldest months first; with `everything`, whatever can be merged at all."""
    partitions: dict[tuple[str, tuple[tuple[str, str], ...]], list[LiveFile]] = defaultdict(list)
    for file in ledger.live.values():
        if file.table in STORED_TABLES:
            partitions[file.table, tuple(sorted(file.partition.items()))].append(file)
    groups = []
    for (table, partition), files in partitions.items():
        if everything or _is_closed(dict(partition), now):
            chosen = _closed(files, everything=everything)
        else:
            chosen = _open(files, ledger)
        if len(chosen) > 1:
            in_order = sorted(chosen, key=lambda file: (file.record.first, file.record.path))
            # As the files have it: the order of the keys is that of the folders.
            groups.append(Group(table=table, partition=in_order[0].partition, files=tuple(in_order)))
    return sorted(groups, key=lambda group: (group.partition.get("month", ""), group.table, str(group.partition)))


def compact(writer: Writer, groups: Iterable[Group], *, started_at: datetime) -> list[seal.Entry]:
    """Merge the groups, which are of the writer's present ledger; an entry for each, or for several that are small.

    Each merged file is durable and compared with its sources before these go. Raises ArchiveDamaged where a source is
    not what the ledger says, and StoreError; what was merged before stays.
    """
    entries: list[seal.Entry] = []
    together: list[Group] = []
    for group in groups:
        if together and (len(together) == _GROUPS_A_COMMIT or sum(each.bytes for each in together) > SMALL_BYTES):
            entries.append(_commit(writer, together, started_at))
            together = []
        together.append(group)
    if together:
        entries.append(_commit(writer, together, started_at))
    return entries


def _commit(writer: Writer, groups: list[Group], started_at: datetime) -> seal.Entry:
    files = [file for group in groups for file in group.files]
    return writer.commit(
        Commit(
            operation="compact",
            started_at=started_at,
            added=[_merge(writer, group) for group in groups],
            removed=[file.record.path for file in files],
            counters={
                "files_merged": len(files),
                "rows_merged": sum(file.record.rows for file in files),
                "bytes_merged": sum(file.record.bytes for file in files),
            },
        )
    )


def _merge(writer: Writer, group: Group) -> Merge:
    sources = tuple(Source(path=writer.archive.locate(file), record=file.record) for file in group.files)
    return Merge(table=STORED_TABLES[group.table], partition=group.partition, sources=sources)


def _is_closed(partition: dict[str, str], now: datetime) -> bool:
    try:
        year, month = map(int, partition.get("month", "").split("-"))
        end = datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC)
    except ValueError:
        return False
    return now >= end + CLOSED_AFTER


def _open(files: list[LiveFile], ledger: Ledger) -> list[LiveFile]:
    """Of a month that goes on: the files of syncs, or else merged files of like size, where there are many."""
    fresh: list[LiveFile] = []
    grown: list[LiveFile] = []
    for file in files:
        if file.record.bytes < SMALL_BYTES:
            was_merged = ledger.entries[file.seq - 1].operation == "compact"
            (grown if was_merged else fresh).append(file)
    if len(fresh) >= FAN_IN:
        return fresh
    grown.sort(key=lambda file: file.record.bytes)
    alike = [file for file in grown if file.record.bytes <= ALIKE * grown[0].record.bytes]
    return alike if len(alike) >= FAN_IN else []


def _closed(files: list[LiveFile], *, everything: bool) -> list[LiveFile]:
    """Of a closed month: all files that are not full, where that is worth it."""
    left = [file for file in files if file.record.bytes < FULL * MOST_BYTES]
    if len(left) < 2:
        return []
    sizes = sorted(file.record.bytes for file in left)
    worth = everything or len(left) > FEW or sum(sizes[:-1]) * SHARE >= sizes[-1]
    return left if worth else []
