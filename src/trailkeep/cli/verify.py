"""`trailkeep verify`: whether the archive is what its ledger says."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trailkeep.cli import diagnostics, output
from trailkeep.cli.app import app
from trailkeep.cli.state import ReportFormat, moment_option, now, state_of
from trailkeep.errors import IntegrityViolated, UsageError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from trailkeep.timespan import Span
    from trailkeep.verify import Listener, Verification


@app.command()
def verify(
    context: typer.Context,
    *,
    deep: Annotated[
        bool, typer.Option("--deep", help="Read every row too, and compare it with the event's own bytes.")
    ] = False,
    since: Annotated[str | None, typer.Option(metavar="TIME", help="Only files with events from here on.")] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Only files with events before this.")] = None,
    expect_head: Annotated[
        str | None,
        typer.Option(metavar="SEQ:HASH", help="A head kept elsewhere, as sync prints it: the ledger must hold it."),
    ] = None,
    signer: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Who must have signed: allowed_signers, or a public key (OpenSSH, PEM)."),
    ] = None,
    report_format: Annotated[
        ReportFormat, typer.Option("--format", help="How to write the summary.")
    ] = ReportFormat.TEXT,
) -> None:
    """Check every ledger entry and every file against the ledger, and say what was not checked.

    Works offline and wherever the archive was copied to; writes nothing. Exit code 5 when anything is invalid.
    TIME is 2026-01-31T12:00:00Z, 2026-01-31, or an age such as 90d, 12h, 30m; UTC.
    """
    from trailkeep.signing import read_signers
    from trailkeep.verify import parse_head, verify_archive

    archive = state_of(context).settings().archive
    head = None if expect_head is None else parse_head(expect_head)
    signers = None if signer is None else read_signers(signer)
    with _progress(quiet=report_format is ReportFormat.JSON) as listener:
        result = verify_archive(
            archive,
            deep=deep,
            span=_span(since, until),
            expect_head=head,
            signers=signers,
            listener=listener,
        )
    diagnostics.problems(str(problem) for problem in result.problems)
    for note in result.notes:
        diagnostics.say(f"note: {note}")
    if report_format is ReportFormat.JSON:
        output.write_json(result.as_json())
    else:
        for line in _lines(result):
            output.write_text(line)
    if not result.is_valid:
        many = len(result.problems)
        raise IntegrityViolated(
            f"the archive {archive} is not what its ledger says: {many} problem{'s' if many > 1 else ''}",
            hint="Keep it as it is, and compare it with a copy; the ledger has every file's SHA-256.",
        )


def _span(since: str | None, until: str | None) -> Span | None:
    from trailkeep.verify import open_span

    at = now()
    try:
        return open_span(moment_option("--since", since, at), moment_option("--until", until, at))
    except ValueError as error:
        raise UsageError(f"--since and --until: {error}") from error


def _lines(result: Verification) -> Iterator[str]:
    rows = [
        ["archive", f"{result.archive} ({result.archive_id or 'id unknown'})"],
        ["entries", f"{result.entries:,}"],
        ["files", f"{result.files:,}"],
        ["bytes", f"{result.bytes:,}"],
        ["rows", f"{result.rows_checked:,}" if result.deep else f"{result.rows:,} by the ledger, not read"],
        ["head", str(result.head) if result.head else "none"],
    ]
    if result.signed is not None:
        signed = result.signed
        fingerprint = f" ({signed.fingerprint})" if signed.signer != signed.fingerprint else ""
        rows.append(["signed", f"entry {signed.seq} by {signed.signer}{fingerprint}"])
        rows.append(["", f"{signed.after} later entries are not signed" if signed.after else "no entry comes after it"])
    rows.append(["problems", f"{len(result.problems):,}" if result.problems else "none"])
    yield from output.columns(rows)
    for words in result.not_checked:
        yield f"not checked: {words}"


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Listener | None]:
    """A bar on a terminal, nothing on a pipe."""
    if quiet or not diagnostics.stderr_is_terminal():
        yield None
        return
    from rich.console import Console
    from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn, TransferSpeedColumn

    progress = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        DownloadColumn(binary_units=True),
        TransferSpeedColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )

    class Bar:
        """Draws one bar for each step."""

        def begin(self, step: str, total: int) -> None:
            self.task = progress.add_task(step.ljust(12), total=total)

        def advance(self, count: int) -> None:
            progress.advance(self.task, count)

    with progress:
        yield Bar()
