"""`trailkeep repair`: mend what a crash or a failing disk left of the archive."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trailkeep.cli import diagnostics, output
from trailkeep.cli.app import app
from trailkeep.cli.state import ReportFormat, now, state_of
from trailkeep.errors import IntegrityViolated

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trailkeep.store.repair import RepairReport


@app.command()
def repair(
    context: typer.Context,
    *,
    source: Annotated[
        Path | None,
        typer.Option(
            "--from", metavar="DIR", help="A copy of the archive, or a folder with some of its files under any names."
        ),
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done, and write nothing.")] = False,
    report_format: Annotated[
        ReportFormat, typer.Option("--format", help="How to write the result.")
    ] = ReportFormat.TEXT,
) -> None:
    """Mend the archive: finish or throw away what a crash left, set permissions, and check every file's SHA-256.

    With --from, files and ledger entries that are missing or damaged come back from a copy, if they are exactly what
    the ledger says. A sound file is never touched. What does not belong is moved to the folder set-aside, and never
    deleted. Exit code 5 when something is still missing or damaged.
    """
    from trailkeep.store.repair import repair as repair_archive

    archive = state_of(context).settings().archive
    report = repair_archive(archive, clock=now, source=source, dry_run=dry_run)
    if report_format is ReportFormat.JSON:
        output.write_json(_as_json(report, dry_run=dry_run))
    else:
        for line in _lines(report, dry_run=dry_run):
            output.write_text(line)
    diagnostics.problems(f"INVALID: {problem.path}: {problem.message}" for problem in report.problems)
    if report.problems:
        raise IntegrityViolated(
            f"{len(report.problems)} files of the archive are missing or damaged",
            hint="Run `trailkeep repair --from DIR` with a copy of the archive that still has them."
            if source is None
            else "The copy does not have them as the ledger says; try another one.",
        )


def _as_json(report: RepairReport, *, dry_run: bool) -> dict[str, object]:
    return {
        "dry_run": dry_run,
        "recovered": [
            {"name": each.name, "ledger_seq": each.seq, "finished": each.finished} for each in report.recovered
        ],
        "restored": report.restored,
        "set_aside": report.set_aside,
        "removed": report.removed,
        "modes": report.modes,
        "problems": [{"path": each.path, "message": each.message} for each in report.problems],
        "files_checked": report.files_checked,
        "head": {"seq": report.head.seq, "sha256": report.head.sha256} if report.head else None,
    }


def _lines(report: RepairReport, *, dry_run: bool) -> Iterator[str]:
    would = "would be " if dry_run else ""
    yield from (str(each) for each in report.recovered)
    yield from (f"{path}: {would}set aside" for path in report.set_aside)
    yield from (f"{path}: {would}restored from the copy" for path in report.restored)
    yield from (f"{path}: {would}removed, as the ledger says" for path in report.removed)
    if report.modes:
        yield f"permissions {would}set: {len(report.modes)} files and folders"
    if not (report.recovered or report.changed or report.modes):
        yield "nothing to mend"
    yield f"{report.files_checked} files checked, {len(report.problems)} problems left"
    if report.head is not None:
        yield f"head {report.head}"
