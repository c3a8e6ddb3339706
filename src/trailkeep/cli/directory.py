"""`trailkeep directory`: who and what the ids are, looked up in the API and kept over time."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trailkeep.cli import diagnostics, output
from trailkeep.cli.app import app
from trailkeep.cli.looks import WELL, organizations_in, others
from trailkeep.cli.remote import open_client
from trailkeep.cli.state import ReportFormat, moment_option, now, state_of
from trailkeep.errors import Interrupted, NotOffered, PermissionDenied, RemoteError, TrailkeepError, UsageError
from trailkeep.streams import parse_organization_id
from trailkeep.timespan import format_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from trailkeep.config import Settings
    from trailkeep.directory import Version
    from trailkeep.store import Ledger
    from trailkeep.sync import Report
    from trailkeep.sync.directory import DirectoryReport, ListReport

WATCHED_EVERY = timedelta(hours=1)
"""How often a watch looks at the directory, at most."""

PATIENCE = timedelta(minutes=20)
"""How long a sync goes on asking for the directory: it has the archive, and the next run waits for it."""

LONGEST_SHOWN = 80
"""Characters of a name in a table."""

POLICY_HINT = "`trailkeep config policy` prints the policy that grants it"

group = typer.Typer(
    name="directory",
    help="Keep users, applications, groups, API keys, policies, SSH keys and Projects over time.",
    no_args_is_help=True,
    rich_markup_mode=None,
)
app.add_typer(group)

Format = Annotated[ReportFormat, typer.Option("--format", help="How to write the result.")]


@group.command("sync")
def sync_directory(
    context: typer.Context,
    *,
    region: Annotated[
        list[str] | None,
        typer.Option("--region", metavar="REGION", help="List the products of this region only; repeatable."),
    ] = None,
    concurrency: Annotated[
        int | None, typer.Option(metavar="N", help="How many requests may be in flight at once (default: 8).")
    ] = None,
    report_format: Format = ReportFormat.TEXT,
) -> None:
    """Look at the directory now, and keep what has changed; `trailkeep sync` does so after each run, too.

    Needs IAMReadOnly and ProjectReadOnly: what the key may not read is left out. Secrets are never kept.
    """
    from trailkeep.cli.sync import stop_on_signals

    settings = state_of(context).settings(regions=region, concurrency=concurrency)
    with stop_on_signals() as stop:
        report = _take(settings, stop)
    if settings.sign_key is not None and report.head is not None:
        from trailkeep.cli.sync import sign_head_of

        sign_head_of(settings)
    if report_format is ReportFormat.JSON:
        output.write_json(report.as_json())
    else:
        for line in _table(report):
            output.write_text(line)
        if report.head is not None:
            output.write_text(f"head {report.head}")
    _tell(report)
    denied = report.denied
    if denied and len(denied) == len(report.lists):
        raise PermissionDenied("the key may read nothing of the directory", hint=f"{POLICY_HINT}.")
    _end(report)


@group.command("list")
def list_directory(
    context: typer.Context,
    resource: Annotated[
        str | None, typer.Argument(help="users, api_keys, ...; everything where it is not given.")
    ] = None,
    *,
    at: Annotated[
        str | None, typer.Option(metavar="TIME", help="As it is known to have been then (default: now).")
    ] = None,
    organization: Annotated[
        str | None, typer.Option(metavar="ID", help="Of this Organization (default: of all in the archive).")
    ] = None,
    gone: Annotated[bool, typer.Option("--gone", help="Also what is no longer there.")] = False,
    report_format: Format = ReportFormat.TEXT,
) -> None:
    """List what the archive holds of the directory. Reads the archive only."""
    from trailkeep.directory import RESOURCES
    from trailkeep.store import Archive

    if resource is not None and (resource := resource.replace("-", "_")) not in RESOURCES:
        raise UsageError(f"the directory has no {resource!r}", hint=f"It has {', '.join(RESOURCES)}.")
    archive = Archive.open(state_of(context).settings().archive)
    moment = moment_option("--at", at, now())

    def read(ledger: Ledger) -> list[dict[str, Any]]:
        from trailkeep.directory import read_versions

        return [
            _described(each, organization_id, version)
            for organization_id in _organizations(ledger, organization)
            for each in ([resource] if resource else RESOURCES)
            for _id, version in sorted(read_versions(archive, ledger, each, organization_id, at=moment).items())
            if gone or version.change != "gone"
        ]

    found = archive.read_consistently(read)
    if report_format is ReportFormat.JSON:
        output.write_json({"as_of": format_time(moment or now()), "objects": found})
        return
    if not found:
        diagnostics.say("the archive holds nothing of this: `trailkeep directory sync` looks it up")
        return
    rows = [["RESOURCE", "ID", "NAME", "SINCE", ""]]
    rows += [
        [
            each["resource"],
            _one_line(each["id"]),
            _one_line(each["name"] or ""),
            each["valid_from"][:19] + "Z",
            "gone" if each["gone"] else "",
        ]
        for each in found
    ]
    for line in output.columns(rows):
        output.write_text(line)


class Snapshots:
    """The snapshots that follow the runs of a sync: one each, and in a watch at most one an hour."""

    def __init__(self, settings: Settings, stop: threading.Event) -> None:
        self._settings = settings
        self._stop = stop
        self._taken_at: datetime | None = None

    def after(self, report: Report) -> Taken:
        """Look at the directory after a run, whose report gets the new head. Raises nothing that is Trailkeep's."""
        at = now()
        wanted = self._settings.directory and report.fatal is None and not report.interrupted
        if not wanted or (self._taken_at is not None and timedelta(0) <= at - self._taken_at < WATCHED_EVERY):
            return Taken()
        try:
            taken = Taken(report=_take(self._settings, self._stop, PATIENCE))
        except TrailkeepError as error:
            return Taken(error=error)
        self._taken_at = at
        if taken.report is not None and taken.report.head is not None:
            report.head = taken.report.head
        return taken


@dataclass(frozen=True, slots=True, kw_only=True)
class Taken:
    """What came of a snapshot; neither report nor error where none was to be taken."""

    report: DirectoryReport | None = None
    error: TrailkeepError | None = None

    def as_json(self) -> dict[str, Any] | None:
        """The outcome as JSON values; None where no snapshot was to be taken."""
        if self.error is not None:
            return {"error": self.error.message}
        return self.report.as_json() if self.report is not None else None

    def lines(self) -> Iterator[str]:
        """The outcome in a line for the summary of a sync; none where nothing changed and all was read."""
        if self.report is not None:
            moved = any(count for name, count in self.report.total.items() if name != "objects")
            if moved or any(each.outcome not in WELL for each in self.report.lists):
                yield _summary(self.report)

    def tell(self, denied: Sequence[str] = ()) -> bool:
        """Say what did not work. Where missing rights are said, `denied` is named, too: then the answer is true."""
        return self.report is not None and _tell(self.report, denied)

    def end(self) -> None:
        """Raise where what may be read could not be."""
        if isinstance(self.error, Interrupted):
            raise self.error
        self.say_end()
        if self.error is not None:
            raise typer.Exit(int(self.error.exit_code))
        if self.report is not None:
            _end(self.report)

    def say_end(self) -> None:
        """Say that there was no snapshot; in a watch, what ails the directory holds up no events."""
        if self.error is not None and not isinstance(self.error, Interrupted):
            diagnostics.problems([f"failed: directory: {self.error.message}; the events were read"])


def _take(settings: Settings, stop: threading.Event, patience: timedelta | None = None) -> DirectoryReport:
    from trailkeep.sync.directory import Snapshot, take_snapshot

    with open_client(settings, stop=stop, patience=patience) as client:
        return take_snapshot(
            Snapshot(
                archive=settings.archive,
                client=client,
                clock=now,
                organization_id=settings.credentials().organization_id,
                regions=settings.regions,
                concurrency=settings.concurrency,
            )
        )


def _tell(report: DirectoryReport, others: Sequence[str] = ()) -> bool:
    """Say what the key may not read, where that is new, and what did not work; a line each. Whether the former was."""
    denied = [each for each in report.lists if _is_denied(each)]
    # It is on record, and `status` shows it: cron need not hear of it every hour.
    news = any(each.outcome != each.before for each in denied)
    if denied:
        sets = " and ".join(dict.fromkeys(each.permission for each in denied))
        names = ", ".join([*map(_name, denied), *others])
        message = f"directory: the key may not read {names} (403): add {sets}; {POLICY_HINT}"
        (diagnostics.warn if news else diagnostics.detail)(message)
    absent = [each for each in report.lists if _is_absent(each) and each.outcome != each.before]
    if absent:
        status = "/".join(dict.fromkeys(str(each.status) for each in absent))
        diagnostics.warn(f"directory: the API does not offer {', '.join(map(str, absent))} ({status})")
    for each in report.lists:
        if each.rejected:
            diagnostics.warn(
                f"directory: {each}: {each.rejected} elements are no JSON objects with an id, and not kept"
            )
        elif each.outcome == "partial" and each.error is None:
            diagnostics.warn(
                f"directory: {each}: its pages do not add up to its count; what was seen is kept, and nothing is taken"
                " for gone"
            )
        elif each.outcome == "partial" and isinstance(each.error, NotOffered):
            diagnostics.warn(
                f"directory: the API has no rules of some {each} ({each.error.status}); they may have gone"
            )
    diagnostics.problems(f"failed: directory: {each}: {each.error.message}" for each in _troubled(report) if each.error)
    return news


def _end(report: DirectoryReport) -> None:
    """Raise where a list that may be read could not be."""
    if failed := _troubled(report):
        raise RemoteError(
            f"{len(failed)} of {len(report.lists)} lists of the directory could not be read",
            hint="What was read is kept. Run `trailkeep directory sync`.",
        )


def _is_denied(each: ListReport) -> bool:
    return each.outcome == "denied" or isinstance(each.error, PermissionDenied)


def _is_absent(each: ListReport) -> bool:
    """Whether a list is missing that there should be: not every region has products, unless it had them before."""
    return each.outcome == "not_offered" and (each.resource != "products" or each.before is not None)


def _troubled(report: DirectoryReport) -> list[ListReport]:
    return [
        each
        for each in report.lists
        if each.error is not None
        and each.outcome in ("failed", "partial")
        and not isinstance(each.error, PermissionDenied | NotOffered)
    ]


def _name(each: ListReport) -> str:
    return str(each) if each.outcome == "denied" else f"the rules of {each}"


def _summary(report: DirectoryReport) -> str:
    total = report.total
    line = (
        f"directory: {total['objects']} objects, {total['first']} new, {total['changed']} changed, {total['gone']} gone"
    )
    if total["back"]:
        line += f", {total['back']} back"
    return line + others([(each.outcome, str(each)) for each in report.lists])


def _table(report: DirectoryReport) -> Iterator[str]:
    names = list(report.total)
    rows = [["LIST", *(name.upper() for name in names), "OUTCOME"]]
    rows += [[str(each), *(str(each.counters[name]) for name in names), _outcome(each)] for each in report.lists]
    rows.append(["total", *(str(count) for count in report.total.values()), ""])
    yield from output.columns(rows, right_aligned=range(1, 1 + len(names)))


def _outcome(each: ListReport) -> str:
    outcome = each.outcome.replace("_", " ")
    return f"{outcome} ({each.status})" if each.status else outcome


def _organizations(ledger: Ledger, organization: str | None) -> list[str]:
    """The Organizations whose directory the archive holds, or the one that is named. Raises UsageError."""
    if organization is not None:
        try:
            return [parse_organization_id(organization)]
        except ValueError as error:
            raise UsageError(f"--organization: {error}") from error
    return organizations_in(ledger)


def _described(resource: str, organization_id: str, version: Version) -> dict[str, Any]:
    from trailkeep.directory.objects import fields_of, name_of, rules_of

    return {
        "organization_id": organization_id,
        "resource": resource,
        "id": version.seen.id,
        "name": name_of(resource, version.seen),
        "valid_from": format_time(version.valid_from),
        "gone": version.change == "gone",
        "ledger_seq": version.seq,
        "object": fields_of(version.seen),
        "rules": rules_of(version.seen),
    }


def _one_line(text: str) -> str:
    """The text for a column, which is as wide as its longest: cut where only JSON could show it in full."""
    if len(text) > LONGEST_SHOWN:
        text = f"{text[:LONGEST_SHOWN]}..."
    return text.replace("\n", "\\n").replace("\t", "\\t")
