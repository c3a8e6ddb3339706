"""`trailkeep compact`: merge the small files that syncs leave into few large ones."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from trailkeep.cli import diagnostics, output
from trailkeep.cli.app import app
from trailkeep.cli.state import ReportFormat, now, state_of
from trailkeep.errors import ArchiveLocked, StoreError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from trailkeep.config import Settings
    from trailkeep.seal import Entry
    from trailkeep.store import Head
    from trailkeep.store.compaction import Group


@app.command()
def compact(
    context: typer.Context,
    *,
    everything: Annotated[
        bool, typer.Option("--all", help="Merge whatever can be merged, months that go on included.")
    ] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be merged, and write nothing.")] = False,
    report_format: Annotated[
        ReportFormat, typer.Option("--format", help="How to write the result.")
    ] = ReportFormat.TEXT,
) -> None:
    """Merge the small files that syncs leave into few large ones. No event is added, changed or left out.

    Every sync ends with it, so that it is needed by hand only after --no-compact, or for an archive that is given away.
    A month that is over becomes one file, or a few of about 512 MB. Each merged file is durable, and compared with
    those that it is made of, before these are deleted; a kill at any moment loses nothing.
    """
    from trailkeep.store import Archive, Writer
    from trailkeep.store.compaction import compact as merge
    from trailkeep.store.compaction import plan_compaction

    archive = Archive.open(state_of(context).settings().archive)
    moment = now()
    entries: list[Entry] = []
    if dry_run:
        ledger = archive.ledger()
        groups = plan_compaction(ledger, moment, everything=everything)
    else:
        with Writer(archive.path, clock=now) as writer:
            groups = plan_compaction(writer.ledger, moment, everything=everything)
            entries = merge(writer, groups, started_at=moment)
            ledger = writer.ledger
    if report_format is ReportFormat.JSON:
        output.write_json(_as_json(groups, entries, ledger.head, dry_run=dry_run, files=len(ledger.live)))
        return
    if not groups:
        output.write_text("nothing to merge")
    for group in groups:
        where = " ".join(value for _key, value in sorted(group.partition.items()))
        verb = "would merge" if dry_run else "merged"
        output.write_text(f"{verb} {len(group.files)} files of {group.table} {where}")
    output.write_text(f"files: {len(ledger.live)}")
    if entries:
        output.write_text(f"head {ledger.head}")


def compact_after_sync(settings: Settings) -> Head | None:
    """Merge what is worth it, as the end of a sync; the new head, or None where there was nothing to merge.

    What goes wrong is said and costs nothing: the events are in the archive, and the next run tries again.
    """
    from trailkeep.store import Archive, Writer
    from trailkeep.store.compaction import compact as merge
    from trailkeep.store.compaction import plan_compaction

    moment = now()
    try:
        # Nearly always there is nothing to do, which takes no lock to see.
        if not plan_compaction(Archive.open(settings.archive).ledger(), moment):
            return None
        with Writer(settings.archive, clock=now) as writer:
            merge(writer, plan_compaction(writer.ledger, moment), started_at=moment)
            return writer.ledger.head
    except ArchiveLocked:
        return None
    except StoreError as error:
        diagnostics.warn(f"small files were not merged: {error.message}; the events are in the archive")
        return None


def _as_json(
    groups: Sequence[Group], entries: Sequence[Entry], head: Head | None, *, dry_run: bool, files: int
) -> dict[str, Any]:
    return {
        "dry_run": dry_run,
        "merged": [
            {
                "table": group.table,
                "partition": group.partition,
                "files": len(group.files),
                "rows": sum(file.record.rows for file in group.files),
                "bytes": group.bytes,
            }
            for group in groups
        ],
        "bytes_written": sum(record.bytes for entry in entries for record in entry.files_added),
        "files": files,
        "ledger_seq": entries[-1].seq if entries else None,
        "head": None if head is None else {"seq": head.seq, "sha256": head.sha256},
    }
