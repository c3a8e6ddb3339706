"""`trailkeep status`: what the archive holds and what it lacks."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trailkeep.cli import diagnostics, output
from trailkeep.cli.app import app
from trailkeep.cli.looks import status_lines, status_of
from trailkeep.cli.state import now, state_of
from trailkeep.errors import CoverageIncomplete, UsageError
from trailkeep.streams import TABLE_NAMES
from trailkeep.timespan import format_time, parse_age, parse_moment

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from trailkeep.coverage import StreamCoverage
    from trailkeep.store import Head, Ledger

OLDEST_UNREAD = timedelta(days=60)
"""How old an unread moment may grow before it is an alarm: 30 days are left to read it then."""


class StatusFormat(StrEnum):
    """How the status is written."""

    TEXT = "text"
    JSON = "json"
    PROMETHEUS = "prometheus"


@app.command()
def status(
    context: typer.Context,
    *,
    max_age: Annotated[
        str | None,
        typer.Option(
            metavar="AGE",
            help="Exit with 6 also when no sync read a stream within this time, or when its oldest unread moment is"
            " more than 60 days old.",
        ),
    ] = None,
    blind_spots: Annotated[
        bool,
        typer.Option("--blind-spots", help="Show instead what leaves events, since when, and what leaves none."),
    ] = False,
    report_format: Annotated[
        StatusFormat, typer.Option("--format", help="How to write the result.")
    ] = StatusFormat.TEXT,
) -> None:
    """Show what of each stream is covered, what is missing, and how long it can still be read.

    Reads the archive only. Exit code 6 when the coverage of a stream has gaps.
    """
    if blind_spots:
        if max_age is not None or report_format is StatusFormat.PROMETHEUS:
            other = "--max-age" if max_age is not None else "--format prometheus"
            raise UsageError(f"--blind-spots and {other} do not go together", hint="Run `trailkeep status` twice.")
        from trailkeep.cli.blind_spots import report_blind_spots
        from trailkeep.store import Archive

        opened = Archive.open(state_of(context).settings().archive)
        report_blind_spots(opened, now(), as_json=report_format is StatusFormat.JSON)
        return
    longest = None
    if max_age is not None:
        try:
            longest = parse_age(max_age)
        except ValueError as error:
            raise UsageError(f"--max-age: {error}") from error

    from trailkeep.coverage import stream_coverage
    from trailkeep.store import Archive

    archive = Archive.open(state_of(context).settings().archive)
    at = now()
    ledger = archive.ledger()
    streams = [_described(each, ledger, at) for each in stream_coverage(ledger, at)]
    alarms = [] if longest is None else [*_alarms(streams, longest, at)]
    if report_format is StatusFormat.PROMETHEUS:
        from trailkeep.cli.metrics import metrics

        output.write_verbatim(metrics(streams, at))
    elif report_format is StatusFormat.JSON:
        output.write_json(
            {
                "alarms": alarms,
                "archive": str(archive.path),
                "archive_id": archive.archive_id,
                "as_of": format_time(at),
                "directory": status_of(ledger),
                "head": {"seq": ledger.head.seq, "sha256": ledger.head.sha256} if ledger.head else None,
                "streams": streams,
            }
        )
    else:
        for line in _lines(streams, ledger.head, status_lines(status_of(ledger))):
            output.write_text(line)
    diagnostics.problems(f"alarm: {alarm}" for alarm in alarms)
    holed = sum(1 for each in streams if each["gaps"])
    if alarms and not holed:
        raise CoverageIncomplete(
            "the archive is not being fed as it should be",
            hint="Look at what runs `trailkeep sync`, and at what it said; run it by hand.",
        )
    if holed:
        raise CoverageIncomplete(
            f"the coverage of {holed} of {len(streams)} streams has gaps",
            hint="Run `trailkeep sync`: it reads every gap that the API can still answer for.",
        )


def _described(coverage: StreamCoverage, ledger: Ledger, at: datetime) -> dict[str, Any]:
    """What is known of one stream, as JSON values."""
    stream = coverage.stream
    files = list(
        ledger.files(TABLE_NAMES.get(stream.kind, ""), organization_id=stream.organization_id, region=stream.region)
    )
    oldest_unread = coverage.oldest_unread()
    return {
        "organization_id": stream.organization_id,
        "kind": stream.kind,
        "region": stream.region,
        "covered": [{"from": format_time(span.start), "to": format_time(span.end)} for span in coverage.covered],
        "gaps": [
            {
                "from": format_time(gap.span.start),
                "to": format_time(gap.span.end),
                "reason": str(gap.reason),
                "days_left": _days_left(gap.span.start, at) if gap.reason == "unread" else None,
            }
            for gap in coverage.gaps
        ],
        "purged": [{"from": format_time(span.start), "to": format_time(span.end)} for span in coverage.purged],
        "newest_event": max((file.record.last for file in files), default=None),
        "rows": sum(file.record.rows for file in files),
        "bytes": sum(file.record.bytes for file in files),
        "files": len(files),
        "oldest_unread": format_time(oldest_unread) if oldest_unread else None,
        "days_left": _days_left(oldest_unread, at),
        "last_read_at": coverage.last_read_at,
        "not_offered_since": coverage.not_offered_since,
        "denied_since": coverage.denied_since,
    }


def _alarms(streams: list[dict[str, Any]], longest: timedelta, at: datetime) -> Iterator[str]:
    """What is wrong with the feeding of the archive, a sentence each."""
    offered = [each for each in streams if each["covered"] or not (each["not_offered_since"] or each["denied_since"])]
    if not offered:
        yield "nothing was ever read"
    for each in offered:
        name = f"{each['kind']} {each['region']} of {each['organization_id']}"
        read_at = each["last_read_at"]
        if read_at is None or at - parse_moment(read_at) > longest:
            yield f"{name}: the last successful read was {read_at or 'never'}"
        unread = each["oldest_unread"]
        if unread is not None and at - parse_moment(unread) > OLDEST_UNREAD:
            yield f"{name}: unread since {unread}, {each['days_left']:.1f} days before it is lost"


def _days_left(moment: datetime | None, at: datetime) -> float | None:
    """Days until the API no longer has `moment`; 0 when it has not any more."""
    from trailkeep.coverage import RETENTION

    if moment is None:
        return None
    return max(0.0, round((moment + RETENTION - at) / timedelta(days=1), 1))


def _lines(streams: list[dict[str, Any]], head: Head | None, directory: Iterable[str]) -> Iterator[str]:
    many = len({each["organization_id"] for each in streams}) > 1
    rows = [["STREAM", "COVERED FROM", "TO", "GAPS", "NEWEST EVENT", "ROWS", "SIZE", "DAYS LEFT"]]
    for each in streams:
        name = f"{each['kind']} {each['region']}" + (f" {each['organization_id']}" if many else "")
        if each["not_offered_since"] and not each["covered"]:
            rows.append([name, "not offered", "", "", "", "", "", ""])
            continue
        if each["denied_since"] and not each["covered"]:
            rows.append([name, "denied", "", "", "", "", "", ""])
            continue
        covered = each["covered"]
        rows.append(
            [
                name,
                _short(covered[0]["from"]) if covered else "never read",
                _short(covered[-1]["to"]) if covered else "",
                str(len(each["gaps"])) if each["gaps"] else "none",
                _short(each["newest_event"]),
                f"{each['rows']:,}",
                _size(each["bytes"]),
                "" if each["days_left"] is None else f"{each['days_left']:.1f}",
            ]
        )
    yield from output.columns(rows, right_aligned=(5, 6, 7))
    for each in streams:
        for span in each["purged"]:
            yield f"purged: {each['kind']} {each['region']} {span['from']} to {span['to']}"
        for gap in each["gaps"]:
            left = "lost: the API no longer has it" if gap["days_left"] is None else f"{gap['days_left']:.1f} days left"
            yield f"gap: {each['kind']} {each['region']} {gap['from']} to {gap['to']} ({gap['reason']}, {left})"
        if each["denied_since"]:
            yield (
                f"denied: {each['kind']} {each['region']} when it was last asked, {_short(each['denied_since'])}:"
                " the key lacks IAMReadOnly"
            )
    if not streams:
        yield "nothing has been read yet: run `trailkeep sync`"
    yield from directory
    if head is not None:
        yield f"head {head}"


def _short(moment: str | None) -> str:
    """A moment of the ledger to the second."""
    return f"{moment[:10]} {moment[11:19]}Z" if moment else ""


def _size(count: int) -> str:
    """A number of bytes in the unit that a person reads."""
    size, units = float(count), ["B", "KiB", "MiB", "GiB", "TiB"]
    while size >= 1024 and len(units) > 1:
        size /= 1024
        units.pop(0)
    return f"{size:,.0f} {units[0]}" if units[0] == "B" else f"{size:,.1f} {units[0]}"
