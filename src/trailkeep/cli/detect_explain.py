"""`trailkeep detect --explain`: what detections would have told, month by month."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from trailkeep.cli import detect_report, diagnostics, output
from trailkeep.cli.detect_report import who, wrapped
from trailkeep.errors import QueryError, UsageError
from trailkeep.timespan import format_age, format_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

    from trailkeep.cli.detect import Asked
    from trailkeep.detections.backtest import Backtest
    from trailkeep.store import Archive


def explain(archive: Archive, asked: Asked, given: Mapping[str, str], form: str, output_file: Path | None) -> None:
    """Run the detections over the whole span, and write how often they would have told of something."""
    from trailkeep.cli.results import target
    from trailkeep.cli.running import attended, say_missing
    from trailkeep.detections.backtest import backtest
    from trailkeep.detections.choosing import given_to
    from trailkeep.detections.marks import FIRST_SPAN

    if form not in ("table", "json"):
        raise UsageError(f"--explain writes a table or JSON, and this is {form}", hint="Add --format json.")
    if output_file is not None:
        target.check(output_file, archive.path)
    chosen, _pack, broken = asked.chosen()
    chosen = given_to(chosen, given)
    until = asked.until or asked.at
    stop = asked.stop()
    with detect_report.progress() as listener:
        run, tests, nameless = attended(
            lambda: backtest(
                archive,
                chosen,
                asked.since or until - FIRST_SPAN,
                until,
                now=asked.at,
                limits=asked.limits,
                stop=stop,
                listener=listener,
                open_ended=asked.until is None,
            ),
            stop,
        )
    if form == "json":
        span = {"from": format_time(run.span.start), "to": format_time(run.span.end)}
        content = detect_report.as_text({"span": span, "detections": [_as_json(each, given) for each in tests]})
    else:
        content = "".join(f"{diagnostics.visible(line)}\n" for each in tests for line in _lines(each, given))
    try:
        with target.opened(output_file) as sink:
            sink.write(content.encode())
            sink.flush()
    except BrokenPipeError:
        output.discard()
    say_missing(list(run.missing))
    if nameless is not None:
        diagnostics.warn(f"those who acted are not named: {nameless.message}")
    failed = [*broken, *((each.outcome.detection.name, each.outcome.error) for each in tests if each.outcome.error)]
    for name, error in failed:
        diagnostics.warn(f"{name} failed: {error.message if error else ''}")
    if failed:
        raise QueryError(f"{len(failed)} of {len(chosen) + len(broken)} detections failed")


def _as_json(test: Backtest, given: Mapping[str, str]) -> dict[str, Any]:
    detection = test.outcome.detection
    return {
        "detection": detection.name,
        "severity": detection.severity,
        "title": detection.saved.title,
        "parameters": {
            name: {"value": shown(value), "from": _origin(test, name, given)}
            for name, value in detection.parameters.items()
        },
        "error": test.outcome.error.message if test.outcome.error else None,
        "findings": test.findings,
        "months": [
            {
                "month": month.month,
                "findings": month.findings,
                "principals": [
                    {"actor_id": each.actor_id, "actor_name": each.name, "findings": each.findings}
                    for each in month.whom
                ],
                "other_principals": month.others,
            }
            for month in test.months
        ],
    }


def _lines(test: Backtest, given: Mapping[str, str]) -> Iterator[str]:
    detection = test.outcome.detection
    yield f"{detection.name}  {detection.severity}  {detection.saved.title}"
    for name, value in sorted(detection.parameters.items()):
        yield from wrapped(f"{name} = {json.dumps(shown(value))}  ({_origin(test, name, given)})", None, "  ")
    if test.outcome.error is not None:
        yield f"  failed: {test.outcome.error.message}"
        yield ""
        return
    rows = [["MONTH", "FINDINGS", "WHOM"]]
    for month in test.months:
        named = [f"{who(each.actor_id, each.name)} {each.findings}" for each in month.whom]
        others = [f"and {month.others} more"] if month.others else []
        rows.append([month.month, f"{month.findings:,}", ", ".join([*named, *others])])
    rows.append(["all", f"{test.findings:,}", ""])
    yield from (f"  {line}" for line in output.columns(rows, right_aligned=(1,)))
    yield ""


def _origin(test: Backtest, name: str, given: Mapping[str, str]) -> str:
    if name in given:
        return "as given with -p"
    return "trailkeep.toml" if name in test.outcome.detection.given else "default"


def shown(value: Any) -> Any:
    """A parameter's value as JSON has it."""
    from datetime import timedelta
    from pathlib import Path

    if isinstance(value, list | tuple):
        return [shown(each) for each in value]
    if isinstance(value, timedelta):
        return format_age(value)
    if isinstance(value, Path):
        return f"@{value}"
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
