"""Purging: rows before a moment removed in one commit that says so, unless a hold forbids it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow.compute as pc

from trailkeep import seal
from trailkeep.errors import ArchiveDamaged, UsageError
from trailkeep.schema import EVENT_TABLES, QUARANTINE, REVISIONS, STORED_TABLES
from trailkeep.store.outdated import outdated_rows
from trailkeep.store.recovery import matches
from trailkeep.store.segments import digests_around, raw_digests, rows_from
from trailkeep.store.writer import Commit, NewRows
from trailkeep.timespan import format_time

if TYPE_CHECKING:
    from datetime import datetime

    import pyarrow as pa

    from trailkeep.store.archive import Archive, Ledger, LiveFile
    from trailkeep.store.ledger import Hold
    from trailkeep.store.writer import Writer

PURGED_TABLES = (*(table.name for table in EVENT_TABLES.values()), REVISIONS.name, QUARANTINE.name)
"""The tables that lose their rows before the moment, beside outdated rows of the directory.

The log of requests stays: it proves what was read, and tells of nobody.
"""

_KINDS = {table.name: kind for kind, table in EVENT_TABLES.items()}
_Key = tuple[str, str, str]
"""Organization, kind, region."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cut:
    """What a purge does to one file."""

    file: LiveFile
    rows_removed: int
    rows_kept: int
    """0 where the whole file goes; otherwise the rest is written as a new file."""
    going: pa.Array | None = None
    """For a file of the directory: true for each row that goes; None where the row's time decides."""

    @property
    def path(self) -> str:
        """The file's path, relative to the archive."""
        return self.file.record.path


@dataclass(frozen=True, slots=True, kw_only=True)
class PurgePlan:
    """What a purge would remove."""

    before: datetime
    cuts: tuple[Cut, ...]
    spans: tuple[seal.CoverageRecord, ...]
    """For each stream that loses rows: from the first moment that the ledger knows of it to `before`."""

    @property
    def counters(self) -> dict[str, int]:
        """The plan in numbers, as the ledger keeps them."""
        return {
            "files_removed": sum(1 for cut in self.cuts if not cut.rows_kept),
            "files_rewritten": sum(1 for cut in self.cuts if cut.rows_kept),
            "rows_kept": sum(cut.rows_kept for cut in self.cuts),
            "rows_removed": sum(cut.rows_removed for cut in self.cuts),
        }


def plan_purge(archive: Archive, ledger: Ledger, before: datetime) -> PurgePlan:
    """Look at what lies before `before`. Raises ArchiveDamaged for a file that must be split and cannot be read."""
    cuts = [
        _cut(archive, file, before)
        for name in PURGED_TABLES
        for file in sorted(ledger.files(name), key=lambda file: file.record.path)
        if file.first < before
    ]
    for file, going in outdated_rows(archive, ledger, before):
        removed: int = pc.sum(going).as_py()
        cuts.append(Cut(file=file, rows_removed=removed, rows_kept=len(going) - removed, going=going))
    return PurgePlan(before=before, cuts=tuple(cuts), spans=tuple(_spans(ledger, cuts, before)))


def purge(writer: Writer, plan: PurgePlan, *, reason: str, started_at: datetime) -> seal.Entry | None:
    """Remove what `plan`, made of the writer's present ledger, names; None where that is nothing.

    Files wholly before the moment go; of one that straddles it the rest is written anew, its rows unchanged. The entry
    that says so is durable before anything is deleted. Raises UsageError while a hold is on, and ArchiveDamaged, with
    nothing changed, where a file that must be split is not what the ledger says.
    """
    check_hold(writer.ledger)
    if not plan.cuts:
        return None
    entry = writer.commit(
        Commit(
            operation="purge",
            started_at=started_at,
            added=[_rest(writer.archive, cut, plan.before) for cut in plan.cuts if cut.rows_kept],
            removed=[cut.path for cut in plan.cuts],
            counters=plan.counters,
            reason=reason,
            purged=list(plan.spans),
        )
    )
    writer.drop_cache()
    return entry


def hold_on(ledger: Ledger) -> Hold | None:
    """Who forbids purging, when and why, or None where nothing does."""
    return ledger.hold if ledger.hold is not None and ledger.hold.hold == "set" else None


def set_hold(writer: Writer, *, reason: str, started_at: datetime) -> seal.Entry:
    """Forbid purging until the hold is released. Raises UsageError where it is forbidden already."""
    check_hold(writer.ledger)
    return writer.commit(Commit(operation="note", started_at=started_at, reason=reason, hold="set"))


def release_hold(writer: Writer, *, reason: str, started_at: datetime) -> seal.Entry:
    """Allow purging again. Raises UsageError where nothing forbids it."""
    if hold_on(writer.ledger) is None:
        raise UsageError("no hold is on: there is nothing to release")
    return writer.commit(Commit(operation="note", started_at=started_at, reason=reason, hold="released"))


def check_hold(ledger: Ledger) -> None:
    """Raise UsageError, naming who set it, when and why, while a hold is on."""
    if (hold := hold_on(ledger)) is not None:
        raise UsageError(
            f"a hold is on: set by {hold.os_user} on {hold.host} at {hold.finished_at} (ledger entry {hold.seq}),"
            f" because: {hold.reason}",
            hint="Once the reason is gone, release it with `trailkeep purge --release-hold REASON`.",
        )


def _cut(archive: Archive, file: LiveFile, before: datetime) -> Cut:
    if file.last < before:
        return Cut(file=file, rows_removed=file.record.rows, rows_kept=0)
    removed, kept = digests_around(STORED_TABLES[file.table], archive.locate(file), before)
    return Cut(file=file, rows_removed=len(removed), rows_kept=len(kept))


def _rest(archive: Archive, cut: Cut, before: datetime) -> NewRows:
    """The rows of a file that stay, proven to be exactly those."""
    file, table = cut.file, STORED_TABLES[cut.file.table]
    path = archive.locate(file)
    if not matches(path, file.record):
        raise ArchiveDamaged(
            f"{file.record.path} is not what the ledger says, so it cannot be split: nothing was purged",
            hint="Run `trailkeep repair --from DIR` with a copy of the archive first.",
        )
    if cut.going is None:
        rows = rows_from(table, path, before)
        removed, kept = digests_around(table, path, before)
    else:
        everything = rows_from(table, path, None)
        rows = everything.filter(pc.invert(cut.going))
        removed = list(raw_digests(everything.filter(cut.going)["raw"]))
        kept = list(raw_digests(rows["raw"]))
    rest = NewRows(table=table, partition=file.partition, rows=rows)
    whole = file.record.events_digest in (None, seal.events_digest([*removed, *kept]))
    if not (whole and rest.events_digest() == seal.events_digest(kept) and len(removed) == cut.rows_removed):
        raise ArchiveDamaged(f"{file.record.path}: what would stay and what would go are not what the file holds")
    return rest


def _spans(ledger: Ledger, cuts: list[Cut], before: datetime) -> list[seal.CoverageRecord]:
    """Every stream that loses rows, from the first moment known of it."""
    known = {
        (stream.organization_id, str(stream.kind), stream.region): [claims.known_from]
        for stream, claims in ledger.streams.items()
        if claims.known_from is not None
    }
    first: dict[_Key, datetime] = {}
    for cut in cuts:
        kind = _KINDS.get(cut.file.table)
        if kind is not None:
            partition = cut.file.partition
            key = (partition.get("organization_id", ""), kind, partition.get("region", ""))
            first[key] = min([cut.file.first, *known.get(key, ()), *([first[key]] if key in first else [])])
    return [
        seal.CoverageRecord(
            organization_id=organization, kind=kind, region=region, start=format_time(start), end=format_time(before)
        )
        for (organization, kind, region), start in sorted(first.items())
    ]
