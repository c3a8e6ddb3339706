"""`trailkeep purge`: remove old rows for good, and forbid that while a hold is on."""

from __future__ import annotations

import sys
from collections import Counter
from typing import TYPE_CHECKING, Annotated

import typer

from trailkeep.cli import diagnostics, output
from trailkeep.cli.app import app
from trailkeep.cli.state import ReportFormat, moment_option, now, state_of
from trailkeep.errors import UsageError
from trailkeep.timespan import format_time

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from trailkeep.seal import Entry
    from trailkeep.store import Archive, Head
    from trailkeep.store.purge import PurgePlan


@app.command()
def purge(
    context: typer.Context,
    *,
    before: Annotated[
        str | None, typer.Option(metavar="TIME", help="Remove every event recorded before this moment.")
    ] = None,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why; it stays in the ledger.")] = None,
    hold: Annotated[
        str | None, typer.Option(metavar="REASON", help="Forbid purging from now on, such as for a legal case.")
    ] = None,
    release_hold: Annotated[str | None, typer.Option(metavar="REASON", help="Allow purging again.")] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask; needed where stdin is not a terminal.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would go, and write nothing.")] = False,
    report_format: Annotated[
        ReportFormat, typer.Option("--format", help="How to write the result.")
    ] = ReportFormat.TEXT,
) -> None:
    """Remove events recorded before a moment, for good. The ledger keeps who did it, when and why.

    The log of requests stays, and so does the proof of what was read; purged time is not read again. While a hold is
    on, nothing is purged. TIME is 2026-01-31T12:00:00Z, 2026-01-31, or an age such as 365d; UTC.
    """
    as_json = report_format is ReportFormat.JSON
    if [before, hold, release_hold].count(None) != 2:
        raise UsageError("name one of --before, --hold and --release-hold")
    if before is None:
        _write_hold(context, hold=hold, release=release_hold, as_json=as_json)
        return
    at = now()
    moment = moment_option("--before", before, at)
    if moment is None or moment > at:
        raise UsageError(f"--before {before} is in the future")
    if not dry_run and not (reason and reason.strip()):
        raise UsageError("a purge needs a --reason, which stays in the ledger")
    if not dry_run and not yes and not sys.stdin.isatty():
        raise UsageError(
            "a purge asks before it removes anything, and stdin is not a terminal",
            hint="Look at what would go with --dry-run, then add --yes.",
        )
    _purge(context, moment, (reason or "").strip(), ask=not yes, dry_run=dry_run, as_json=as_json)


def _purge(context: typer.Context, before: datetime, reason: str, *, ask: bool, dry_run: bool, as_json: bool) -> None:
    from trailkeep.store import Archive, Writer
    from trailkeep.store.purge import check_hold, plan_purge
    from trailkeep.store.purge import purge as purge_archive

    archive = Archive.open(state_of(context).settings().archive)
    ledger = archive.ledger()
    plan = plan_purge(archive, ledger, before)
    entry: Entry | None = None
    if not dry_run:
        check_hold(ledger)
        if ask and plan.cuts:
            _ask(archive, plan)
        with Writer(archive.path, clock=now) as writer:
            asked = plan.counters
            plan = plan_purge(writer.archive, writer.ledger, before)
            if ask and plan.counters != asked:
                raise UsageError("the archive has changed meanwhile; nothing was purged", hint="Run the command again.")
            entry = purge_archive(writer, plan, reason=reason, started_at=now())
            ledger = writer.ledger
    if as_json:
        output.write_json(_as_json(plan, entry, ledger.head, dry_run=dry_run))
    else:
        for line in _lines(plan, dry_run=dry_run):
            output.write_text(line)
        if entry is not None:
            output.write_text(f"head {ledger.head}")
    if (archive.path / "set-aside").is_dir():
        diagnostics.warn(f"{archive.path / 'set-aside'} is not purged; look yourself at what is in it")


def _ask(archive: Archive, plan: PurgePlan) -> None:
    """Show what would go and wait for a yes. Raises UsageError for any other answer."""
    short_id = archive.archive_id[:8]
    diagnostics.problems(
        [
            *_lines(plan, dry_run=True),
            f"This cannot be undone. Type yes, or the archive's short id {short_id}, to go on:",
        ]
    )
    if sys.stdin.readline().strip() not in ("yes", short_id):
        raise UsageError("not confirmed: nothing was purged")


def _write_hold(context: typer.Context, *, hold: str | None, release: str | None, as_json: bool) -> None:
    from trailkeep.store import Archive, Writer
    from trailkeep.store.purge import release_hold, set_hold

    reason = (hold or release or "").strip()
    if not reason:
        raise UsageError("a hold, and its release, need a reason, which stays in the ledger")
    archive = Archive.open(state_of(context).settings().archive)
    with Writer(archive.path, clock=now) as writer:
        entry = (set_hold if hold else release_hold)(writer, reason=reason, started_at=now())
        head = writer.ledger.head
    if as_json:
        output.write_json({"hold": entry.hold, "reason": entry.reason, "head": _head_as_json(head)})
    else:
        output.write_text(f"hold {entry.hold} by {entry.os_user} on {entry.host}: {entry.reason}")
        output.write_text(f"head {head}")


def _as_json(plan: PurgePlan, entry: Entry | None, head: Head | None, *, dry_run: bool) -> dict[str, object]:
    return {
        "dry_run": dry_run,
        "before": format_time(plan.before),
        **plan.counters,
        "files": [
            {"path": cut.path, "rows_removed": cut.rows_removed, "rows_kept": cut.rows_kept} for cut in plan.cuts
        ],
        "purged": [
            {
                "organization_id": span.organization_id,
                "kind": span.kind,
                "region": span.region,
                "from": span.start,
                "to": span.end,
            }
            for span in plan.spans
        ],
        "ledger_seq": entry.seq if entry else None,
        "head": _head_as_json(head),
    }


def _head_as_json(head: Head | None) -> dict[str, object] | None:
    return {"seq": head.seq, "sha256": head.sha256} if head else None


def _lines(plan: PurgePlan, *, dry_run: bool) -> Iterator[str]:
    if not plan.cuts:
        yield f"nothing was recorded before {format_time(plan.before)}"
        return
    files: Counter[str] = Counter()
    rows: Counter[str] = Counter()
    for cut in plan.cuts:
        files[cut.file.table] += 1
        rows[cut.file.table] += cut.rows_removed
    table = [["TABLE", "ROWS", "FILES"], *([name, str(rows[name]), str(files[name])] for name in sorted(files))]
    yield from output.columns(table, right_aligned=(1, 2))
    for span in plan.spans:
        yield f"{span.kind} {span.region}: {span.start} to {span.end}"
    done = "would be removed" if dry_run else "removed"
    counters = plan.counters
    yield (
        f"{counters['rows_removed']} rows {done} with {counters['files_removed']} files,"
        f" and {counters['files_rewritten']} files written again without them"
    )
