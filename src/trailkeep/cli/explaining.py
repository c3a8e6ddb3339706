"""`trailkeep query --explain`: what a query would read."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING

from trailkeep.cli import output
from trailkeep.cli.results import ResultFormat

if TYPE_CHECKING:
    from datetime import datetime

    from trailkeep.analysis import Question, Stop
    from trailkeep.analysis.explaining import TableRead
    from trailkeep.catalog import Limits
    from trailkeep.store import Archive


def explain(
    archive: Archive,
    question: Question,
    now: datetime,
    limits: Limits,
    *,
    form: ResultFormat,
    stop: Stop,
) -> None:
    """Write what the question would read. Raises as `trailkeep.analysis.open_result` does."""
    from trailkeep.analysis.explaining import explain as explained
    from trailkeep.cli.running import attended

    found = attended(lambda: explained(archive, question, now=now, limits=limits, stop=stop), stop)
    if form is ResultFormat.JSON:
        output.write_json({"tables": [asdict(each) for each in found.tables], "plan": found.tree})
        return
    if found.tables:
        rows: list[tuple[str, ...]] = [("table", "files", "of", "row groups", "of", "MB", "of", "left out by")]
        rows.extend(map(_row, found.tables))
        for line in output.columns(rows, right_aligned=range(1, 7)):
            output.write_text(line)
        output.write_text("")
    for line in found.plan.splitlines():
        output.write_text(line)


def _row(table: TableRead) -> tuple[str, ...]:
    reasons = ", ".join(f"{reason}: {count:,}" for reason, count in table.left_out_by.items())
    numbers = (table.files, table.files_there, table.row_groups, table.row_groups_there)
    sizes = (table.bytes, table.bytes_there)
    return (table.table, *(f"{each:,}" for each in numbers), *(f"{each / 1e6:,.1f}" for each in sizes), reasons)
