"""`trailkeep sync`: read new events into the archive."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from trailkeep.cli import diagnostics, output
from trailkeep.cli.app import app
from trailkeep.cli.remote import open_client
from trailkeep.cli.state import ReportFormat, moment_option, now, state_of
from trailkeep.errors import ExitCode, Interrupted, RemoteError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from trailkeep.config import Settings
    from trailkeep.progress import Progress
    from trailkeep.sync import Report, StreamReport


@app.command()
def sync(
    context: typer.Context,
    *,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="Read from here on (default: all that the API has and the archive has not)."),
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Read up to here (default: now).")] = None,
    region: Annotated[
        list[str] | None, typer.Option("--region", metavar="REGION", help="Read this region only; repeatable.")
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", metavar="KIND", help="api, authentication or system only; repeatable."),
    ] = None,
    overlap: Annotated[
        str | None,
        typer.Option(
            metavar="AGE", help="How far before the covered end to read again, for late events (default: 1h)."
        ),
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(metavar="N", help="How many requests may be in flight at once (default: 8).")
    ] = None,
    report_format: Annotated[
        ReportFormat, typer.Option("--format", help="How to write the summary.")
    ] = ReportFormat.TEXT,
) -> None:
    """Read new events into the archive; the first run reads the 90 days that the API has.

    Safe to run again at any time, and to stop: what was read in full is kept, and the next run goes on from there.
    TIME is 2026-01-31T12:00:00Z, 2026-01-31, or an age such as 90d, 12h, 30m; UTC.
    """
    settings = state_of(context).settings(regions=region, kinds=kind, overlap=overlap, concurrency=concurrency)
    with _stop_on_signals() as stop:
        report = _run(settings, stop, since, until, as_json=report_format is ReportFormat.JSON)
    if report_format is ReportFormat.JSON:
        output.write_json(report.as_json())
    else:
        for line in summary(report):
            output.write_text(line)
    _end(report)


def _run(settings: Settings, stop: threading.Event, since: str | None, until: str | None, *, as_json: bool) -> Report:
    from trailkeep.sync import Request, Run, run_sync

    at = now()
    request = Request(
        organization_id=settings.credentials().organization_id,
        kinds=settings.kinds,
        regions=settings.regions,
        overlap=settings.overlap,
        since=_moment_or_age("--since", since, at),
        until=_moment_or_age("--until", until, at),
        named_regions=frozenset(settings.regions if settings.origins["regions"].startswith("flag") else ()),
    )
    with open_client(settings, stop=stop) as client, _progress(quiet=as_json) as progress:
        return run_sync(
            Run(
                archive=settings.archive,
                client=client,
                clock=now,
                stop=stop,
                progress=progress,
                concurrency=settings.concurrency,
            ),
            request,
        )


def _moment_or_age(option: str, text: str | None, at: datetime) -> datetime | timedelta | None:
    """What an option names; an age stays one, since it counts back from the API's now and not from ours."""
    from trailkeep.timespan import parse_age

    moment = moment_option(option, text, at)
    if text is None or moment is None:
        return None
    if text.strip() == "now":
        return timedelta(0)
    with suppress(ValueError):
        return parse_age(text)
    return moment


@contextmanager
def _stop_on_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; a second signal ends the process as if nobody listened."""
    stop = threading.Event()

    def ask_to_stop(number: int, _frame: object) -> None:
        stop.set()
        diagnostics.say("stopping: committing what was read in full (once more to stop at once)")
        signal.signal(number, previous[signal.Signals(number)])

    previous = {number: signal.signal(number, ask_to_stop) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield stop
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


@contextmanager
def _progress(*, quiet: bool) -> Iterator[Progress]:
    """Bars on a terminal, silence on a pipe."""
    from trailkeep.progress import Silent

    if quiet or not diagnostics.stderr_is_terminal():
        yield Silent()
        return
    from trailkeep.cli.bars import Bars

    with Bars() as bars:
        yield bars


def summary(report: Report) -> Iterator[str]:
    """The summary's lines: a table of streams, what went wrong, and the ledger's head."""
    from trailkeep.sync.report import COUNTERS

    names = [name for name in COUNTERS if name not in ("pages", "quarantined") or report.total[name]]
    rows = [["STREAM", *(name.upper() for name in names), "COVERED"]]
    rows += [
        [str(each.stream), *(str(each.counters[name]) for name in names), _outcome(each)] for each in report.streams
    ]
    rows.append(["total", *(str(report.total[name]) for name in names), ""])
    yield from output.columns(rows, right_aligned=range(1, 1 + len(names)))
    for each in report.streams:
        for span in each.unreadable:
            yield f"{each.stream}: {span} fell behind the API's 90 days unread, and is lost"
    for path in report.quarantine_files:
        yield f"quarantine: {path}"
    if report.head is not None:
        yield f"head {report.head}"


def _outcome(report: StreamReport) -> str:
    from trailkeep.timespan import union

    if report.outcome == "not_offered":
        return f"not offered here ({report.status})"
    if report.asked is None:
        return "nothing to read: the API no longer has any of it"
    if report.outcome == "nothing_to_read":
        return "nothing to read: all of it is covered"
    spans = "; ".join(str(span) for span in union(report.covered)) or "nothing"
    return spans if report.outcome == "read" else f"{spans} ({report.outcome})"


def _end(report: Report) -> None:
    """Say what did not work, and end with the exit code for it."""
    if report.clock_offset is None:
        diagnostics.warn("the API did not tell its time; this machine's clock was used")
    elif abs(report.clock_offset).total_seconds() > 60:
        ahead = "behind" if report.clock_offset.total_seconds() > 0 else "ahead of"
        diagnostics.warn(
            f"this machine's clock is about {int(abs(report.clock_offset).total_seconds())} s {ahead} the API's;"
            " the API's was used"
        )
    failed = [each for each in report.streams if each.error is not None]
    for each in failed:
        if each.error is not report.fatal:
            diagnostics.problems([f"failed: {each.stream}: {each.error.message if each.error else ''}"])
    if report.fatal is not None:
        raise report.fatal
    if report.interrupted:
        raise Interrupted(
            "stopped before everything was read", hint="Run `trailkeep sync` again: it goes on from there."
        )
    if failed:
        raise RemoteError(
            f"{len(failed)} of {len(report.streams)} streams could not be read in full",
            hint="What was read in full is kept. Run the command again; `trailkeep status` shows what is missing.",
        )
    if report.total["quarantined"]:
        sent = f"the API sent {report.total['quarantined']} events that are no JSON objects with an id and a time"
        diagnostics.problems([f"{sent}; they are kept in {', '.join(report.quarantine_files)}"])
        raise typer.Exit(int(ExitCode.REMOTE))
