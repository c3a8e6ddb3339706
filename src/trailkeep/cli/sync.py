"""`trailkeep sync`: read new events into the archive."""

from __future__ import annotations

import signal
import threading
from contextlib import contextmanager, suppress
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from trailkeep.cli import diagnostics, output
from trailkeep.cli.app import UNNEEDED, app
from trailkeep.cli.compact import compact_after_sync
from trailkeep.cli.directory import Snapshots
from trailkeep.cli.remote import open_client
from trailkeep.cli.state import ReportFormat, moment_option, now, state_of
from trailkeep.errors import (
    ArchiveLocked,
    AuthenticationFailed,
    ExitCode,
    Interrupted,
    PermissionDenied,
    RemoteError,
    RequestRefused,
    UsageError,
)
from trailkeep.timespan import parse_age, parse_span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime

    from trailkeep.cli.directory import Taken
    from trailkeep.config import Settings
    from trailkeep.progress import Progress
    from trailkeep.sync import Report, StreamReport

SHORTEST_PAUSE = timedelta(seconds=1)
LONGEST_PAUSE = timedelta(hours=1)
"""While the API fails, the pause between two runs of a watch grows to this."""
HEAR_SIGNALS_SECONDS = 1.0
DOUBLINGS = 12
"""So many lead from the shortest pause past the longest; the numbers must not grow for as long as an API is gone."""


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
        list[str] | None,
        typer.Option("--region", metavar="REGION", help="Read this region only; repeatable. IAM's log has none."),
    ] = None,
    kind: Annotated[
        list[str] | None,
        typer.Option("--kind", metavar="KIND", help="api, authentication, system or iam only; repeatable."),
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
    recheck: Annotated[
        str | None,
        typer.Option(
            metavar="SPAN",
            help="Read this span again although it is covered, and count what had been missing or has changed:"
            " an age such as 7d, or START/END.",
        ),
    ] = None,
    watch: Annotated[
        str | None, typer.Option(metavar="AGE", help="Go on until stopped, with a pause of this length between runs.")
    ] = None,
    directory: Annotated[
        bool | None,
        typer.Option(
            "--directory/--no-directory",
            help="Whether to look at users, API keys, Projects and so on after the events (default: yes).",
            show_default=False,
        ),
    ] = None,
    compact: Annotated[
        bool,
        typer.Option(
            "--compact/--no-compact",
            help="Whether to merge small files at the end, where many have come together (default: yes).",
            show_default=False,
        ),
    ] = True,
    report_format: Annotated[
        ReportFormat, typer.Option("--format", help="How to write the summary.")
    ] = ReportFormat.TEXT,
) -> None:
    """Read new events into the archive; the first run reads the 90 days that the API has.

    Safe to run again at any time, and to stop: what was read in full is kept, and the next run goes on from there.
    TIME is 2026-01-31T12:00:00Z, 2026-01-31, or an age such as 90d, 12h, 30m; UTC.
    """
    settings = state_of(context).settings(
        regions=region, kinds=kind, overlap=overlap, concurrency=concurrency, directory=directory
    )
    pause = _pause(watch)
    if recheck is not None and (since is not None or until is not None or watch is not None):
        raise UsageError("--recheck names its own span", hint="Leave out --since, --until and --watch.")
    if watch is not None and until is not None:
        raise UsageError("--watch reads up to now", hint="Leave out --until.")
    as_json = report_format is ReportFormat.JSON
    with stop_on_signals() as stop:
        snapshots = Snapshots(settings, stop)

        def once() -> None:
            report = _run(settings, stop, since, until, recheck, as_json=as_json)
            taken = snapshots.after(report)
            if compact and report.head is not None and not stop.is_set():
                report.head = compact_after_sync(settings) or report.head
            _show(report, taken, as_json=as_json, lines=pause is not None, recheck=recheck is not None)
            if settings.sign_key is not None and report.head is not None:
                sign_head_of(settings)
            denied = [each for each in report.streams if each.outcome == "denied" and not each.denied_before]
            told = taken.tell([f"{each.stream.kind}/logs" for each in denied])
            _end(report, iam_told=told)
            if pause is None:
                taken.end()
            else:
                taken.say_end()

        if pause is None:
            once()
        else:
            keep_watch(once, pause, stop)


def keep_watch(once: Callable[[], None], pause: timedelta, stop: threading.Event) -> None:
    """Call `once`, with pauses, until `stop` is set. While the API fails, each pause is twice as long as the last.

    What no pause mends is raised: settings, a refused key, a damaged or full disk.
    """
    failures = 0
    while not stop.is_set():
        try:
            once()
            failures = 0
        except Interrupted:
            return
        except (AuthenticationFailed, PermissionDenied, RequestRefused):
            raise
        except (RemoteError, ArchiveLocked) as error:
            failures += 1
            diagnostics.report(error)
        except typer.Exit as ended:
            failures += bool(ended.exit_code)
        output.flush()
        seconds = min(pause * 2 ** min(failures, DOUBLINGS), max(pause, LONGEST_PAUSE)).total_seconds()
        if failures:
            diagnostics.say(f"trying again in {seconds:.0f} s")
        _wait(stop, seconds)


def _wait(stop: threading.Event, seconds: float) -> None:
    """Wait for `stop`, in slices: a signal that arrives as a wait begins is heard only when that wait ends."""
    while seconds > 0 and not stop.wait(min(seconds, HEAR_SIGNALS_SECONDS)):
        seconds -= HEAR_SIGNALS_SECONDS


def _pause(watch: str | None) -> timedelta | None:
    if watch is None:
        return None
    try:
        pause = parse_age(watch)
    except ValueError as error:
        raise UsageError(f"--watch: {error}") from error
    if pause < SHORTEST_PAUSE:
        raise UsageError(f"--watch {watch} is too short", hint="The shortest pause is 1s.")
    return pause


def _show(report: Report, taken: Taken, *, as_json: bool, lines: bool, recheck: bool) -> None:
    if as_json:
        output.write_json({**report.as_json(), "directory": taken.as_json()}, one_line=lines)
        return
    for line in summary(report, taken.lines()):
        output.write_text(line)
    if recheck:
        total = report.total
        output.write_text(f"recheck: {total['late']} events had been missing, {total['revised']} have changed")


def sign_head_of(settings: Settings) -> None:
    """Sign the ledger's head with the key of the settings."""
    from trailkeep.signing import sign_head

    signed = sign_head(settings, settings.archive)
    if signed is not None:
        diagnostics.detail(f"signed: {signed}")


def _run(
    settings: Settings,
    stop: threading.Event,
    since: str | None,
    until: str | None,
    recheck: str | None,
    *,
    as_json: bool,
) -> Report:
    # pyarrow imports numpy where it is there: a quarter of the time until the first request.
    UNNEEDED.add("numpy")
    from trailkeep.sync import Request, Run, run_sync

    at = now()
    first, last = _moment_or_age("--since", since, at), _moment_or_age("--until", until, at)
    if recheck is not None:
        try:
            first, last = parse_span(recheck, at)
        except ValueError as error:
            raise UsageError(f"--recheck: {error}") from error
    request = Request(
        organization_id=settings.credentials().organization_id,
        kinds=settings.kinds,
        regions=settings.regions,
        overlap=settings.overlap,
        since=first,
        until=last,
        again=recheck is not None,
        named_regions=frozenset(settings.regions if settings.origins["regions"].startswith("flag") else ()),
        named_kinds=frozenset(settings.kinds if settings.origins["kinds"].startswith("flag") else ()),
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
    moment = moment_option(option, text, at)
    if text is None or moment is None:
        return None
    if text.strip() == "now":
        return timedelta(0)
    with suppress(ValueError):
        return parse_age(text)
    return moment


@contextmanager
def stop_on_signals() -> Iterator[threading.Event]:
    """An event that SIGINT and SIGTERM set; a second signal ends the process as if nobody listened."""
    stop = threading.Event()

    def ask_to_stop(number: int, _frame: object) -> None:
        # By another thread: the signal may have met this one inside `stop.wait`, with the lock that `set` needs.
        threading.Thread(target=stop.set, daemon=True).start()
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


def summary(report: Report, directory: Iterable[str] = ()) -> Iterator[str]:
    """The summary's lines: a table of streams, what went wrong, the directory's own lines, and the ledger's head."""
    from trailkeep.sync.report import COUNTERS

    names = [name for name in COUNTERS if name not in ("late", "quarantined") or report.total[name]]
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
    yield from directory
    if report.head is not None:
        yield f"head {report.head}"


def _outcome(report: StreamReport) -> str:
    from trailkeep.timespan import union

    if report.outcome == "not_offered":
        return f"not offered here ({report.status})"
    if report.outcome == "denied" and not report.covered:
        return "denied: the key lacks IAMReadOnly"
    if report.asked is None and report.counters["fetched"]:
        return "older than the API's 90 days: kept, and not claimed as covered"
    if report.asked is None:
        return "nothing to read: the API no longer has any of it"
    if report.outcome == "nothing_to_read":
        return "nothing to read: all of it is covered"
    spans = "; ".join(str(span) for span in union(report.covered)) or "nothing"
    return spans if report.outcome == "read" else f"{spans} ({report.outcome})"


def _end(report: Report, *, iam_told: bool = False) -> None:
    """Say what did not work, and end with the exit code for it; `iam_told` where missing rights were said before."""
    if report.clock_offset is None:
        diagnostics.warn("the API did not tell its time; this machine's clock was used")
    elif abs(report.clock_offset).total_seconds() > 60:
        ahead = "behind" if report.clock_offset.total_seconds() > 0 else "ahead of"
        diagnostics.warn(
            f"this machine's clock is about {int(abs(report.clock_offset).total_seconds())} s {ahead} the API's;"
            " the API's was used"
        )
    for each in report.streams:
        # Once: the ledger has it from then on, and `status` shows it.
        if each.outcome == "denied" and not each.denied_before and not iam_told:
            diagnostics.warn(
                f"{each.stream}: the key may not read IAM's log; grant IAMReadOnly (`trailkeep config policy` prints"
                " the policy), or leave the kind iam out"
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
