"""`trailkeep detect`: run the detections, and tell what is new."""

from __future__ import annotations

from contextlib import nullcontext
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from trailkeep.cli import diagnostics
from trailkeep.cli.app import app
from trailkeep.cli.limits import MemoryOption, TempDirectoryOption, TempDiskOption, ThreadsOption
from trailkeep.cli.state import limits_of, moment_option, now, state_of
from trailkeep.cli.telling import begin, receivers_of, tell
from trailkeep.errors import CoverageIncomplete, ExitCode, QueryError, TrailkeepError, UsageError

if TYPE_CHECKING:
    from datetime import datetime

    from trailkeep.cli.detect_report import Report
    from trailkeep.config import Receiver, Settings
    from trailkeep.detections.choosing import Choice, Detection, Pack
    from trailkeep.detections.detecting import Detecting
    from trailkeep.detections.run import RunStop
    from trailkeep.store import Archive

DEFAULT_WAIT = "60s"
"""How long another writer of the archive is waited for."""

QueriesOption = Annotated[
    list[Path] | None, typer.Option("--queries", metavar="DIR", help="Another folder of saved queries; repeatable.")
]
WaitOption = Annotated[
    str, typer.Option("--wait", metavar="TIME", help="How long to wait for another writer of the archive.")
]

detect_app = typer.Typer(help="Run the detections, and tell what is new.", rich_markup_mode=None)
app.add_typer(detect_app, name="detect")


class FindingFormat(StrEnum):
    """How findings are written."""

    TABLE = "table"
    JSON = "json"
    NDJSON = "ndjson"
    SARIF = "sarif"


class Severity(StrEnum):
    """The least severe that counts."""

    INFO = "info"
    LOW = "low"
    MEDIUM = "medium"
    HIGH = "high"
    CRITICAL = "critical"


@detect_app.callback(invoke_without_command=True)
def detect(
    context: typer.Context,
    *,
    since: Annotated[
        str | None,
        typer.Option(metavar="TIME", help="From this time on (default: since each detection last looked; first 90d)."),
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Before this time; now where not given.")] = None,
    severity: Annotated[Severity | None, typer.Option(help="Only detections at least this severe.")] = None,
    stage: Annotated[
        list[str] | None, typer.Option(metavar="STAGE", help="Only detections of this stage; repeatable.")
    ] = None,
    only: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Only this detection, or those that match * ? [...]; repeatable."),
    ] = None,
    exclude: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Not this detection, or those that match; repeatable.")
    ] = None,
    all_findings: Annotated[
        bool, typer.Option("--all", help="Known and muted findings, too; of 90 days where --since is not given.")
    ] = False,
    explain: Annotated[
        bool,
        typer.Option("--explain", help="Only count, by month and principal, what would be found; records nothing."),
    ] = False,
    param: Annotated[
        list[str] | None,
        typer.Option("--param", "-p", metavar="KEY=VALUE", help="With --explain: try this value; repeatable."),
    ] = None,
    finding_format: Annotated[
        FindingFormat | None,
        typer.Option("--format", help="How to write the findings (default: by --output's name, else table)."),
    ] = None,
    output_file: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write to this file instead of stdout.")
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Exit with 6 when nothing is new and the span touches what was never read.")
    ] = False,
    no_record: Annotated[
        bool, typer.Option("--no-record", help="Write nothing into the archive; new findings stay new.")
    ] = False,
    notify: Annotated[
        bool,
        typer.Option(
            "--notify", help="Tell the receivers of trailkeep.toml ([notify.NAME]) what they do not know yet."
        ),
    ] = False,
    receiver: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="With --notify: only this receiver; repeatable.")
    ] = None,
    wait: WaitOption = DEFAULT_WAIT,
    queries: QueriesOption = None,
    timeout: Annotated[
        str | None, typer.Option(metavar="TIME", help="Give a detection up after this long, such as 30s or 10m.")
    ] = None,
    memory: MemoryOption = None,
    threads: ThreadsOption = None,
    temp_directory: TempDirectoryOption = None,
    temp_disk: TempDiskOption = None,
) -> None:
    """Run the detections over what came since they last looked, and tell what is new.

    A detection is a saved query with a severity; each of its rows is a finding. What is new is put on record in the
    archive's ledger, and told once. Exit code 10 when there is something new, 1 when a detection failed.
    """
    if context.invoked_subcommand is not None:
        _check_no_options(context)
        return
    from trailkeep.detections.choosing import Choice

    settings = state_of(context).settings(
        memory=memory, threads=threads, timeout=timeout, temp_directory=temp_directory, temp_disk=temp_disk
    )
    if param and not explain:
        raise UsageError(
            "--param goes with --explain",
            hint='What is to hold for every run belongs into trailkeep.toml: [detections."stage/name"].',
        )
    if receiver and not notify:
        raise UsageError("--receiver says who is told", hint="Add --notify.")
    if notify and (explain or no_record):
        raise UsageError(
            f"--notify tells what is on record: it does not go with {'--explain' if explain else '--no-record'}"
        )
    receivers = receivers_of(settings, receiver or []) if notify else []
    at = now()
    start, end = moment_option("--since", since, at), moment_option("--until", until, at)
    if start is not None and start >= (end or at):
        raise UsageError(
            f"--since {since} is not before {f'--until {until}' if until else 'now'}", hint="Both are UTC."
        )
    form = finding_format or _format_of(output_file)
    asked = Asked(
        settings=settings,
        choice=Choice(
            severity=None if severity is None else str(severity),
            stages=tuple(stage or ()),
            only=tuple(only or ()),
            exclude=tuple(exclude or ()),
        ),
        queries=tuple(queries or ()),
        since=start,
        until=end,
        at=at,
    )
    if explain:
        from trailkeep.cli.detect_explain import explain as explain_detections

        explain_detections(asked.opened(), asked, _given(param or []), form, output_file)
        return
    _detect(
        asked,
        form,
        output_file,
        all_findings=all_findings,
        strict=strict,
        wait_seconds=None if no_record else seconds_of(wait),
        receivers=receivers,
    )


class Asked:
    """What a run is asked for."""

    def __init__(
        self,
        *,
        settings: Settings,
        choice: Choice,
        queries: tuple[Path, ...],
        since: datetime | None,
        until: datetime | None,
        at: datetime,
    ) -> None:
        self.settings = settings
        self.since = since
        self.until = until
        self.at = at
        self.limits = limits_of(settings)
        self._choice = choice
        self._queries = queries

    def opened(self) -> Archive:
        """The archive."""
        from trailkeep.store import Archive

        return Archive.open(self.settings.archive)

    def stop(self) -> RunStop:
        """What ends the run, and each detection when its time is over."""
        from trailkeep.detections.run import RunStop

        timeout = self.settings.timeout
        return RunStop(None if timeout is None else timeout.total_seconds())

    def chosen(self) -> tuple[list[Detection], Pack, list[tuple[str, TrailkeepError]]]:
        """The detections that are to run, all there are, and those that cannot be read, with why."""
        from trailkeep.detections.choosing import choose

        pack = read_pack_of(self.settings, self._queries)
        chosen, broken = choose(pack, self._choice)
        if disabled := [each.name for each in pack.detections.values() if not each.enabled and each not in chosen]:
            names = ", ".join(disabled)
            diagnostics.say(f"disabled in {self.settings.settings_file or 'the settings'}: {names}")
        return chosen, pack, [(each.name, each.error) for each in broken]


def read_pack_of(settings: Settings, queries: tuple[Path, ...]) -> Pack:
    """Every detection of the folders of queries, as the settings tune them."""
    from trailkeep.detections.choosing import read_pack
    from trailkeep.queries import discover, query_folders

    files = discover(query_folders((*queries, *settings.queries), directory=Path.cwd()))
    return read_pack(files, settings.tunings)


def _detect(
    asked: Asked,
    form: FindingFormat,
    output_file: Path | None,
    *,
    all_findings: bool,
    strict: bool,
    wait_seconds: float | None,
    receivers: list[Receiver],
) -> None:
    from trailkeep.cli import detect_report
    from trailkeep.cli.running import attended, say_missing
    from trailkeep.detections.detecting import Turn
    from trailkeep.detections.detecting import detect as run

    archive = asked.opened()
    if output_file is not None:
        from trailkeep.cli.results import target

        target.check(output_file, archive.path)
    chosen, pack, broken = asked.chosen()
    if receivers:
        begin(archive, receivers, wait_seconds or 0.0)
    stop = asked.stop()
    with detect_report.progress() as listener:
        detecting = attended(
            lambda: (
                run(
                    archive,
                    chosen,
                    pack,
                    since=asked.since,
                    until=asked.until,
                    now=asked.at,
                    limits=asked.limits,
                    stop=stop,
                    listener=listener,
                    all_of_them=all_findings,
                )
                if chosen
                else None
            ),
            stop,
        )
    with nullcontext() if wait_seconds is None else Turn(archive, wait_seconds=wait_seconds):
        # Another run may have told of some meanwhile.
        known = archive.ledger().findings
        report = detect_report.Report.of(archive, detecting, known, broken, all_findings=all_findings)
        whole = detect_report.write(report, form, output_file)
        if detecting is not None and wait_seconds is not None:
            _record(archive, detecting, report, whole=whole, wait_seconds=wait_seconds)
    say_missing(list(detecting.run.missing) if detecting else [])
    if detecting is not None and detecting.nameless is not None:
        diagnostics.warn(f"those who acted are not named: {detecting.nameless.message}")
    if detecting is not None and detecting.run.problem is not None:
        diagnostics.say(
            f"each detection read the events for itself, which takes longer: {detecting.run.problem.message}"
        )
    _say(report)
    told = ExitCode.DONE
    if receivers:
        with nullcontext() if wait_seconds is None else Turn(archive, wait_seconds=wait_seconds):
            told = tell(archive, receivers, wait_seconds or 0.0)
    _end(report, told, strict=strict)


def _record(archive: Archive, detecting: Detecting, report: Report, *, whole: bool, wait_seconds: float) -> None:
    """Put what was told on record, or say that it is not."""
    from trailkeep.detections.detecting import record

    if not whole:
        diagnostics.warn("whoever reads stdout did not take all of it: nothing is on record, and new stays new")
        return
    try:
        record(archive, detecting, clock=now, wait_seconds=wait_seconds)
    except TrailkeepError as error:
        diagnostics.warn(f"the findings are not on record, and are new again the next time: {error.message}")
        if error.hint:
            diagnostics.say(f"hint: {error.hint}")
        report.is_recorded = False


def _say(report: Report) -> None:
    for name, error in report.failed:
        diagnostics.warn(f"{name} failed, and looks again at the same time the next time: {error.message}")
        if error.hint:
            diagnostics.say(f"hint: {error.hint}")
    for name in report.cut:
        diagnostics.warn(f"{name} found more than is told at once: the rest comes with the next run")
    diagnostics.say(report.last_line())


def _end(report: Report, told: ExitCode, *, strict: bool) -> None:
    """End with what the exit codes promise: a failure before findings, these before who was not told, and gaps."""
    if report.failed:
        raise QueryError(
            f"{len(report.failed)} of {report.detections} detections failed",
            hint="What the others found is told, and on record as otherwise.",
        )
    if report.counts["new"]:
        raise typer.Exit(ExitCode.FINDINGS)
    if told:
        raise typer.Exit(told)
    if strict and report.missing:
        raise CoverageIncomplete(
            "the archive does not cover all of the span that was looked at",
            hint="Run `trailkeep sync`; `trailkeep status` shows what is covered.",
        )


def seconds_of(wait: str) -> float:
    """The seconds that --wait names. Raises UsageError."""
    from trailkeep.timespan import parse_age

    try:
        return parse_age(wait).total_seconds()
    except ValueError as error:
        raise UsageError(f"--wait: {error}") from error


def _given(written: list[str]) -> dict[str, str]:
    given: dict[str, str] = {}
    for each in written:
        name, equals, value = each.partition("=")
        if not name or not equals:
            raise UsageError(f"--param {each!r} is not KEY=VALUE")
        if name in given:
            raise UsageError(f"the parameter {name} is given twice")
        given[name] = value
    return given


def _format_of(output_file: Path | None) -> FindingFormat:
    suffix = "" if output_file is None else output_file.suffix.lower().removeprefix(".")
    return FindingFormat(suffix) if suffix in [*FindingFormat] else FindingFormat.TABLE


def _check_no_options(context: typer.Context) -> None:
    """Refuse options of a run before a command that makes none."""
    for parameter in context.command.params:
        given = context.get_parameter_source(parameter.name or "")
        if given is not None and given.name == "COMMANDLINE":
            raise UsageError(
                f"{parameter.opts[0]} and {context.invoked_subcommand} do not go together",
                hint=f"Options of `detect {context.invoked_subcommand}` come after it.",
            )


from trailkeep.cli import detect_findings  # noqa: E402, F401 - its commands belong to this group
