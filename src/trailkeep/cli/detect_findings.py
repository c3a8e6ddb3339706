"""`trailkeep detect list`, `findings`, `show`, `mute` and `unmute`: detections that there are, findings on record."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trailkeep.cli import output
from trailkeep.cli.detect import DEFAULT_WAIT, QueriesOption, WaitOption, detect_app, read_pack_of, seconds_of
from trailkeep.cli.state import ReportFormat, moment_option, now, state_of
from trailkeep.errors import UsageError
from trailkeep.hostile import one_line
from trailkeep.timespan import format_time, parse_moment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from trailkeep.detections.detecting import Told
    from trailkeep.store.findings import KnownFindings, Recorded

FormatOption = Annotated[ReportFormat, typer.Option("--format", help="How to write the result.")]
FindingArgument = Annotated[list[str], typer.Argument(metavar="FINDING...", help="A finding's id, or its beginning.")]


class StateOption(StrEnum):
    """Which of the recorded findings."""

    ALL = "all"
    KNOWN = "known"
    MUTED = "muted"


@detect_app.command("list")
def list_detections(
    context: typer.Context, *, queries: QueriesOption = None, report_format: FormatOption = ReportFormat.TEXT
) -> None:
    """List the detections that there are, the most severe first, and how the settings tune them."""
    from trailkeep.cli.detect_explain import shown
    from trailkeep.queries import SEVERITIES

    pack = read_pack_of(state_of(context).settings(), tuple(queries or ()))
    ordered = sorted(pack.detections.values(), key=lambda each: (-SEVERITIES.index(each.severity), each.name))
    if report_format is ReportFormat.JSON:
        output.write_json(
            {
                "detections": [
                    {
                        "detection": each.name,
                        "severity": each.severity,
                        "question": each.saved.question,
                        "title": each.saved.title,
                        "attack": list(each.saved.attack),
                        "alert": each.saved.alert,
                        "enabled": each.enabled,
                        "parameters": {name: shown(value) for name, value in each.parameters.items()},
                        "tuned": sorted(each.given),
                    }
                    for each in ordered
                ],
                "broken": [{"detection": each.name, "error": each.error.message} for each in pack.broken],
            }
        )
        return
    rows = [["SEVERITY", "DETECTION", "TITLE"]]
    for each in ordered:
        marks = [*([] if each.enabled else ["disabled"]), *(["tuned"] if each.given else [])]
        rows.append(
            [each.severity, each.name, one_line(each.saved.title) + (f" ({', '.join(marks)})" if marks else "")]
        )
    rows += [["broken", broken.name, one_line(broken.error.message)] for broken in pack.broken]
    for line in output.columns(rows):
        output.write_text(line)


@detect_app.command()
def findings(
    context: typer.Context,
    *,
    since: Annotated[
        str | None, typer.Option(metavar="TIME", help="Only findings whose last event is from here on.")
    ] = None,
    until: Annotated[str | None, typer.Option(metavar="TIME", help="Only those whose last event is before.")] = None,
    state: Annotated[StateOption, typer.Option(help="Which of them.")] = StateOption.ALL,
    report_format: FormatOption = ReportFormat.TEXT,
) -> None:
    """List the findings on record, muted ones too, in the order in which they were found. Looks at no event."""
    from trailkeep.cli.detect_report import finding_as_json, when, who

    known, at = _known(context)
    first, last = moment_option("--since", since, at), moment_option("--until", until, at)
    told = [
        (each, _told(each, known, at))
        for each in known.by_id.values()
        if (first is None or parse_moment(each.finding.last_seen) >= first)
        and (last is None or parse_moment(each.finding.last_seen) < last)
    ]
    chosen = [(each, one) for each, one in told if state is StateOption.ALL or one.state == str(state)]
    if report_format is ReportFormat.JSON:
        found = [finding_as_json(one) | _recorded_as_json(each) for each, one in chosen]
        output.write_json({"findings": found})
        return
    rows = [["FINDING", "SEVERITY", "STATE", "WHEN", "DETECTION", "WHO"]]
    for _each, one in chosen:
        finding = one.finding
        rows.append(
            [
                finding.finding_id,
                finding.severity,
                one.state,
                when(finding.first_seen, finding.last_seen)[:20],
                one_line(finding.detection),
                who(finding.actor_id, finding.actor_name),
            ]
        )
    for line in output.columns(rows):
        output.write_text(line)


@detect_app.command()
def show(
    context: typer.Context,
    finding: Annotated[str, typer.Argument(metavar="FINDING", help="A finding's id, or its beginning.")],
    *,
    report_format: FormatOption = ReportFormat.TEXT,
) -> None:
    """Show a finding on record: what is known of it, and the commands that tell more."""
    from trailkeep.cli.detect_report import finding_as_json

    known, at = _known(context)
    recorded = known.find(finding)
    told = finding_as_json(_told(recorded, known, at)) | _recorded_as_json(recorded)
    if report_format is ReportFormat.JSON:
        output.write_json(told)
        return
    for line in _lines(told):
        output.write_text(line)


@detect_app.command()
def mute(
    context: typer.Context,
    finding: FindingArgument,
    *,
    reason: Annotated[str, typer.Option(metavar="TEXT", help="Why; it stays in the ledger.")],
    until: Annotated[
        str | None, typer.Option(metavar="TIME", help="Until then: a date, or from now on so long, such as 30d.")
    ] = None,
    wait: WaitOption = DEFAULT_WAIT,
    report_format: FormatOption = ReportFormat.TEXT,
) -> None:
    """Mute findings on record: they are told no more, not even with others that are known, but for --all."""
    from trailkeep.store.findings import mute_findings

    at = now()
    moment = None if until is None else _future(until, at)
    why = reason.strip()
    if not why:
        raise UsageError("a mute needs a --reason, which stays in the ledger")
    _write(
        context,
        lambda writer: mute_findings(writer, finding, reason=why, until=moment, started_at=at),
        wait,
        said=f"muted{f' until {format_time(moment)}' if moment else ''}",
        as_json=report_format is ReportFormat.JSON,
    )


@detect_app.command()
def unmute(
    context: typer.Context,
    finding: FindingArgument,
    *,
    reason: Annotated[str | None, typer.Option(metavar="TEXT", help="Why; it stays in the ledger.")] = None,
    wait: WaitOption = DEFAULT_WAIT,
    report_format: FormatOption = ReportFormat.TEXT,
) -> None:
    """Take a mute back: the findings are known as others are."""
    from trailkeep.store.findings import unmute_findings

    at = now()
    _write(
        context,
        lambda writer: unmute_findings(writer, finding, reason=(reason or "").strip() or None, started_at=at),
        wait,
        said="no longer muted",
        as_json=report_format is ReportFormat.JSON,
    )


def _write(context: typer.Context, write: Any, wait: str, *, said: str, as_json: bool) -> None:
    from trailkeep.detections.detecting import written
    from trailkeep.store import Archive

    archive = Archive.open(state_of(context).settings().archive)
    found: list[Recorded] = written(archive, write, clock=now, wait_seconds=seconds_of(wait))
    head = archive.ledger().head
    if as_json:
        ids = [each.finding.finding_id for each in found]
        output.write_json({"findings": ids, "head": {"seq": head.seq, "sha256": head.sha256} if head else None})
        return
    for each in found:
        output.write_text(f"{each.finding.finding_id} {each.finding.detection}: {said}")
    output.write_text(f"head {head}")


def _known(context: typer.Context) -> tuple[KnownFindings, datetime]:
    from trailkeep.store import Archive

    archive = Archive.open(state_of(context).settings().archive)
    return archive.ledger().findings, now()


def _told(recorded: Recorded, known: KnownFindings, at: datetime) -> Told:
    from trailkeep.detections.detecting import Told

    finding_id = recorded.finding.finding_id
    return Told(finding=recorded.finding, state=known.state(finding_id, at), mute=known.mute_of(finding_id, at))


def _recorded_as_json(recorded: Recorded) -> dict[str, Any]:
    return {"found_at": recorded.found_at, "ledger_seq": recorded.seq}


def _lines(told: dict[str, Any]) -> Iterator[str]:
    yield one_line(told["summary"])
    order = (
        "finding_id", "state", "detection", "title", "question", "severity", "attack", "organization_id", "actor_id",
        "actor_name", "source_ips", "user_agents", "first_seen", "last_seen", "count", "found_at", "ledger_seq",
    )  # fmt: skip
    rows = []
    for name in order:
        value = told[name]
        text = ", ".join(map(str, value)) if isinstance(value, list) else "" if value is None else str(value)
        rows.append([name, one_line(text)])
    if told["muted"]:
        muted = told["muted"]
        rows.append(["muted", one_line(f"{muted['at']} by {muted['by']}: {muted['reason']}")])
        rows.append(["muted until", muted["until"] or "always"])
    yield from output.columns(rows)
    shown = told["event_ids"]
    yield f"events ({len(shown)} of {told['count']}):"
    yield from (f"  {one_line(each)}" for each in shown)
    if told["next"]:
        yield "next:"
        yield from (f"  {each}" for each in told["next"])


def _future(text: str, at: datetime) -> datetime:
    """A moment to come: a time, or so long from now."""
    from trailkeep.timespan import parse_age

    try:
        moment = at + parse_age(text)
    except (ValueError, OverflowError):
        moment = moment_option("--until", text, at)  # type: ignore[assignment]
    if moment <= at:
        raise UsageError(f"--until {text} is not in the future")
    return moment
