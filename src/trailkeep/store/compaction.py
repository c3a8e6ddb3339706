"""Compaction: many small files become few, so that an archive of years is as quick to open as one of days.

Files are merged within a partition (a stream's month) only, so each event is rewritten a bounded number of times: once
when a number of small files has come together, and once when its month is over.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

from trailkeep.memory import keep_small
from trailkeep.schema import STORED_TABLES
from trailkeep.store.claims import moment_of
from trailkeep.store.merging import MOST_BYTES, Merge
from trailkeep.store.sources import Source
from trailkeep.store.writer import Commit

if TYPE_CHECKING:
    from collections.abc import Iterable

    from trailkeep import seal
    from trailkeep.store.archive import Ledger, LiveFile
    from trailkeep.store.writer import Writer

FAN_IN = 48
"""How many small files come together before they are merged while their month goes on: two days of hourly syncs."""

EARLIER = ((10 * 1024 + 512, 6, 1 / 2), (12 * 1024, 10, 1 / 4), (16 * 1024, 16, 1 / 8))
"""The first that fits says when files are merged earlier than that: where those that syncs left have at most so many
bytes on average, more than so many files are merged, but for large ones that are more than this share of the others
together. What such files have is mostly the description of their columns, about 9 kB, of which a merge leaves one."""

SMALL_BYTES = 64 * 1024**2
"""A file of more than this waits for the end of its month."""

ALIKE = 8
"""Merged files are merged again only where the largest is at most so many times the smallest."""

CLOSED_AFTER = timedelta(days=2)
"""When a month that is over is closed: later than events usually come late."""

FEW = 8
"""More files than this in a month that was closed before are merged, however small."""

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
    closed: bool = False
    """Whether its month is over, so that what becomes of them stays as it is."""

    @property
    def bytes(self) -> int:
        """What is to be read, and nearly what is to be written."""
        return sum(file.record.bytes for file in self.files)


def plan_compaction(ledger: Ledger, now: datetime, *, everything: bool = False) -> list[Group]:
    """What is worth merging at `now`, the oldest months first; with `everything`, whatever can be merged at all.

    Where anything is, what has come half as far in other partitions is merged with it: one entry tells of all of them.
    """
    groups = _groups(ledger, now, everything=everything)
    return groups and _groups(ledger, now, everything=everything, half=True)


def _groups(ledger: Ledger, now: datetime, *, everything: bool, half: bool = False) -> list[Group]:
    partitions: dict[tuple[str, tuple[tuple[str, str], ...]], list[LiveFile]] = defaultdict(list)
    for file in ledger.live.values():
        if file.table in STORED_TABLES:
            partitions[file.table, tuple(sorted(file.partition.items()))].append(file)
    groups = []
    for (table, partition), files in partitions.items():
        closed_at = _closed_at(dict(partition))
        closed = closed_at is not None and now >= closed_at
        if everything or closed:
            chosen = _closed(files, closed_at, everything=everything)
        elif "month" in dict(partition):
            chosen = _open(files, half=half)
        else:
            chosen = _endless(files, half=half)
        if len(chosen) > 1:
            in_order = sorted(chosen, key=lambda file: (file.record.first, file.record.path))
            # As the files have it: the order of the keys is that of the folders.
            groups.append(Group(table=table, partition=in_order[0].partition, files=tuple(in_order), closed=closed))
    return sorted(groups, key=lambda group: (group.partition.get("month", ""), group.table, str(group.partition)))


def compact(writer: Writer, groups: Iterable[Group], *, started_at: datetime) -> list[seal.Entry]:
    """Merge the groups, which are of the writer's present ledger; an entry for each, or for several that are small.

    Each merged file is durable and compared with its sources before these go. Raises ArchiveDamaged where a source is
    not what the ledger says, and StoreError; what was merged before stays.
    """
    keep_small()
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
    table = STORED_TABLES[group.table]
    return Merge(table=table, partition=group.partition, sources=sources, lasting=group.closed)


def _closed_at(partition: dict[str, str]) -> datetime | None:
    """When a partition's month is closed; None for one that no month ends."""
    try:
        year, month = map(int, partition.get("month", "").split("-"))
        return datetime(year + month // 12, month % 12 + 1, 1, tzinfo=UTC) + CLOSED_AFTER
    except (ValueError, OverflowError):
        return None


def _endless(files: list[LiveFile], *, half: bool) -> list[LiveFile]:
    """Of a partition that no month ends: as of small files, however large they are."""
    _bytes, few, share = EARLIER[0]
    left = [file for file in files if file.record.bytes < FULL * MOST_BYTES]
    return _like(left, share) if len(left) > few // (1 + half) else []


def _open(files: list[LiveFile], *, half: bool) -> list[LiveFile]:
    """Of a month that goes on: the files of syncs, or else merged files of like size, where there are many."""
    fresh: list[LiveFile] = []
    grown: list[LiveFile] = []
    for file in files:
        if file.record.bytes < SMALL_BYTES:
            (grown if file.operation == "compact" else fresh).append(file)
    brought = sum(file.record.bytes for file in fresh)
    for most_bytes, few, share in EARLIER:
        if fresh and brought <= most_bytes * len(fresh):
            return _like([*fresh, *grown], share) if len(fresh) + len(grown) > few // (1 + half) else []
    if len(fresh) >= FAN_IN:
        return fresh
    grown.sort(key=lambda file: file.record.bytes)
    alike = [file for file in grown if file.record.bytes <= ALIKE * grown[0].record.bytes]
    return alike if len(alike) >= FAN_IN else []


def _like(files: list[LiveFile], share: float) -> list[LiveFile]:
    """The smaller ones of the files: none of them has more than `share` of the bytes of all that are smaller."""
    chosen = sorted(files, key=lambda file: file.record.bytes)
    total = sum(file.record.bytes for file in chosen)
    while chosen and chosen[-1].record.bytes > share * (total := total - chosen[-1].record.bytes):
        chosen.pop()
    return chosen


def _closed(files: list[LiveFile], closed_at: datetime | None, *, everything: bool) -> list[LiveFile]:
    """Of a closed month: all files that are not full, once, and again where what came late makes it worth it."""
    left = [file for file in files if file.record.bytes < FULL * MOST_BYTES]
    if len(left) < 2:
        return []
    sizes = sorted(file.record.bytes for file in left)
    was_closed = closed_at is not None and any(
        file.operation == "compact" and moment_of(file.at) >= closed_at for file in files
    )
    worth = everything or not was_closed or len(left) > FEW or sum(sizes[:-1]) * SHARE >= sizes[-1]
    return left if worth else []
