"""What a run of detections tells: as a table, as JSON, a line each, or as SARIF."""

from __future__ import annotations

import contextlib
import json
import shutil
import textwrap
from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any

from trailkeep.cli import diagnostics, output
from trailkeep.cli.naming import safe
from trailkeep.hostile import one_line, visible
from trailkeep.timespan import format_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from trailkeep.catalog.shared import Listener
    from trailkeep.coverage import Missing
    from trailkeep.detections.choosing import Detection
    from trailkeep.detections.detecting import Detecting, Told
    from trailkeep.errors import TrailkeepError
    from trailkeep.store import Archive, Head
    from trailkeep.store.findings import KnownFindings
    from trailkeep.timespan import Span

WIDEST = 140
"""Columns that a sentence is broken at, however wide the terminal is."""

_INDENT = " " * 10


@dataclass(slots=True, kw_only=True)
class Report:
    """A run, as it is told."""

    archive_id: str
    head: Head | None
    span: Span | None
    """None where there was nothing to look at."""
    told: list[Told]
    counts: Mapping[str, int]
    """How many findings are new, known and muted in the span, told or not."""
    ran: Sequence[Detection]
    spans: Mapping[str, Span]
    """What each detection looked at, by its name."""
    failed: Sequence[tuple[str, TrailkeepError]]
    cut: Sequence[str]
    """Detections that found more than is told at once."""
    missing: Sequence[Missing]
    is_recorded: bool = True

    @classmethod
    def of(
        cls,
        archive: Archive,
        detecting: Detecting | None,
        known: KnownFindings,
        broken: Sequence[tuple[str, TrailkeepError]],
        *,
        all_findings: bool,
    ) -> Report:
        """The report of a run, by what is known now."""
        if detecting is None:
            head = archive.ledger().head
            return cls(
                archive_id=archive.archive_id, head=head, span=None, told=[], counts=_none(), ran=(), spans={},
                failed=broken, cut=(), missing=(),
            )  # fmt: skip
        run = detecting.run
        told = detecting.told(known, all_of_them=all_findings)
        counts = Counter(_none())
        for outcome in run.outcomes:
            counts.update(outcome.counts)
        # Those that another run has told of meanwhile.
        late = sum(known.state(each.finding_id, detecting.now) != "new" for each in detecting.findings)
        if not all_findings:
            counts["new"] -= late
            counts["known"] += late
        errors = [(each.detection.name, each.error) for each in run.outcomes if each.error is not None]
        return cls(
            archive_id=archive.archive_id,
            head=run.head,
            span=run.span,
            told=told,
            counts=dict(counts),
            ran=[each.detection for each in run.outcomes],
            spans={each.detection.name: each.span for each in run.outcomes},
            failed=[*broken, *errors],
            cut=[each.detection.name for each in run.outcomes if each.cut],
            missing=run.missing,
        )

    @property
    def detections(self) -> int:
        """How many were to run."""
        return len({*(each.name for each in self.ran), *(name for name, _error in self.failed)})

    def last_line(self) -> str:
        """The run in one line."""
        head = f"head {self.head}" if self.head else "an empty ledger"
        if self.span is None:
            return f"nothing to look at since the last run; {head}"
        counts = ", ".join(f"{self.counts[state]:,} {state}" for state in ("new", "known", "muted"))
        times = f"{_second(format_time(self.span.start))} to {_second(format_time(self.span.end))}"
        return f"{counts}; {self.detections} detections over {times}; {head}"


def _none() -> dict[str, int]:
    return {"new": 0, "known": 0, "muted": 0}


def write(report: Report, form: str, output_file: Path | None) -> bool:
    """Write the report; whether all of it was taken: a reader of stdout may stop early."""
    from trailkeep.cli.results import target

    try:
        with target.opened(output_file) as sink:
            sink.write(_content(report, form, output_file).encode())
            sink.flush()
    except BrokenPipeError:
        output.discard()
        return False
    return True


def _content(report: Report, form: str, output_file: Path | None) -> str:
    if form == "json":
        return as_text(as_json(report))
    if form == "ndjson":
        return "".join(json.dumps(finding_as_json(each), sort_keys=True) + "\n" for each in report.told)
    if form == "sarif":
        from trailkeep.cli.detect_sarif import sarif

        return as_text(sarif(report))
    width = shutil.get_terminal_size().columns if output_file is None and output.stdout_is_terminal() else None
    return "".join(f"{visible(line)}\n" for line in table(report.told, width))


def as_text(value: Any) -> str:
    """One JSON document, the same bytes for the same value."""
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=True) + "\n"


def as_json(report: Report) -> dict[str, Any]:
    """The whole report."""
    failed = dict(report.failed)
    return {
        "archive_id": report.archive_id,
        "head": {"seq": report.head.seq, "sha256": report.head.sha256} if report.head else None,
        "span": _span(report.span),
        "counts": dict(report.counts),
        "findings": [finding_as_json(each) for each in report.told],
        "detections": [
            {
                "detection": each.name,
                "severity": each.severity,
                "title": each.saved.title,
                "span": _span(report.spans[each.name]),
                "outcome": "failed" if each.name in failed else "cut" if each.name in report.cut else "ran",
            }
            for each in sorted(report.ran, key=lambda each: each.name)
        ],
        "failed": [
            {"detection": name, "error": error.message, "hint": error.hint} for name, error in sorted(
                report.failed, key=lambda each: each[0]
            )
        ],
        "missing": [
            {
                "stream": str(each.stream) if each.stream else None,
                "from": format_time(each.span.start),
                "to": format_time(each.span.end),
                "reason": each.reason,
            }
            for each in report.missing
        ],
    }  # fmt: skip


def finding_as_json(told: Told) -> dict[str, Any]:
    """A finding with all that is known of it."""
    import msgspec

    finding: dict[str, Any] = msgspec.to_builtins(told.finding)
    finding["state"] = told.state
    finding["muted"] = None
    if told.mute is not None:
        until = None if told.mute.until is None else format_time(told.mute.until)
        finding["muted"] = {"reason": told.mute.reason, "until": until, "by": told.mute.by, "at": told.mute.at}
    return finding


def table(told: Sequence[Told], width: int | None) -> Iterator[str]:
    """The findings for people, those of a severity together; sentences are broken at the width, if there is one."""
    for severity, group in groupby(told, key=lambda each: each.finding.severity):
        found = list(group)
        yield f"{severity.upper()} ({len(found):,})"
        for each in found:
            yield from _lines(each, None if width is None else min(width, WIDEST))
        yield ""


def _lines(told: Told, width: int | None) -> Iterator[str]:
    finding = told.finding
    yield f"  {when(finding.first_seen, finding.last_seen)}  {finding.detection}  {finding.finding_id}"
    attack = f"  {' '.join(finding.attack)}" if finding.attack else ""
    yield f"{_INDENT}{who(finding.actor_id, finding.actor_name)}{attack}"
    yield from wrapped(one_line(finding.summary), width)
    if told.state != "new":
        yield f"{_INDENT}{told.state}{_why(told)}"


def _why(told: Told) -> str:
    if told.mute is None:
        return ""
    until = f" until {_second(format_time(told.mute.until))}" if told.mute.until else ""
    return f"{until}, by {one_line(told.mute.by)}: {one_line(told.mute.reason)}"


def when(first: str, last: str) -> str:
    """The time of a finding to the second."""
    if first[:19] == last[:19]:
        return _second(first)
    end = _second(last)[11:] if first[:10] == last[:10] else _second(last)
    return f"{_second(first)} to {end}"


def who(actor_id: str | None, name: str | None) -> str:
    """Who acted: name and id."""
    if actor_id is None:
        return "nobody who is known"
    return f"{one_line(safe(name))} ({one_line(actor_id)})" if name else one_line(actor_id)


def wrapped(text: str, width: int | None, indent: str = _INDENT) -> list[str]:
    """The text in indented lines."""
    if width is None:
        return [f"{indent}{text}"]
    room = max(width - len(indent), 20)
    return [f"{indent}{line}" for line in textwrap.wrap(text, room, break_on_hyphens=False)] or [indent]


def _second(moment: str) -> str:
    return f"{moment[:19].replace('T', ' ')}Z"


def _span(span: Span | None) -> dict[str, str] | None:
    return {"from": format_time(span.start), "to": format_time(span.end)} if span else None


@contextlib.contextmanager
def progress() -> Iterator[Listener]:
    """Bars on a terminal, nothing on a pipe."""
    from trailkeep.catalog.shared import Silent

    if not diagnostics.stderr_is_terminal():
        yield Silent()
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    bars = Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
        transient=True,
    )

    class Bar:
        """Draws one bar for each step."""

        def begin(self, step: str, total: int) -> None:
            self.task = bars.add_task(step.ljust(12), total=total)

        def advance(self, count: int) -> None:
            bars.advance(self.task, count)

    with bars:
        yield Bar()
