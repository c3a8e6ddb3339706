"""`trailkeep seen`: when a value occurs first and last in all that is held."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, Annotated, Any

import typer

from trailkeep.cli import diagnostics, output
from trailkeep.cli.app import app
from trailkeep.cli.state import ReportFormat, state_of
from trailkeep.errors import UsageError
from trailkeep.hostile import one_line
from trailkeep.timespan import format_time

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from trailkeep.pivots.seen import Seen, Sighting
    from trailkeep.store import Ledger


@app.command()
def seen(
    context: typer.Context,
    values: Annotated[
        list[str],
        typer.Argument(metavar="VALUE...", help="Addresses, ids, user agents or methods, exactly as events say."),
    ],
    *,
    report_format: Annotated[
        ReportFormat, typer.Option("--format", help="How to write the result.")
    ] = ReportFormat.TEXT,
) -> None:
    """Tell when values were first and last seen, and in how many events, over all that the archive holds.

    A value is an address, the id of a principal, a resource or a request, a user agent or a method. Answered by the
    pivot index alone, whatever the archive's size; what is not indexed yet is read. Nothing is said of spans that the
    archive does not cover: see `trailkeep status`.
    """
    from trailkeep.pivots.seen import seen as look
    from trailkeep.store import Archive, layout

    if any(not value or "\0" in value for value in values):
        raise UsageError("a value is empty, or holds a NUL", hint="Give it as `trailkeep query` shows it.")
    archive = Archive.open(state_of(context).settings().archive)

    def read(ledger: Ledger) -> Seen:
        live = sorted(ledger.live.values(), key=lambda file: file.record.path)
        files = ((file, partial(archive.locate, file)) for file in live)
        return look(archive.path / layout.CACHE, archive.archive_id, files, list(dict.fromkeys(values)))

    found = archive.read_consistently(read)
    if report_format is ReportFormat.JSON:
        output.write_json(
            {
                "sightings": [_as_json(each) for each in found.sightings],
                "files": {"by_index": found.from_index, "read": found.from_rows},
            }
        )
        return
    for line in output.columns([*_rows(found.sightings)]):
        output.write_text(line)
    held = {each.value for each in found.sightings}
    for value in dict.fromkeys(values):
        if value not in held:
            diagnostics.say(f"never seen: {one_line(value)}")


def _rows(sightings: Sequence[Sighting]) -> Iterator[list[str]]:
    several = len({each.organization_id for each in sightings}) > 1
    for each in sightings:
        organization = [each.organization_id] if several else []
        events = f"{each.events} in {each.table}"
        yield [
            each.kind,
            one_line(each.value),
            f"first {format_time(each.first)}",
            f"last {format_time(each.last)}",
            events,
            *organization,
        ]


def _as_json(each: Sighting) -> dict[str, Any]:
    return {
        "value": each.value,
        "kind": each.kind,
        "table": each.table,
        "organization_id": each.organization_id,
        "first_at": format_time(each.first),
        "last_at": format_time(each.last),
        "events": each.events,
    }
