"""What a question would read, and how the engine would go about it, without an answer."""

from __future__ import annotations

import json
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trailkeep.analysis.failures import explain as explain_error
from trailkeep.analysis.question import prepare
from trailkeep.analysis.resolving import resolve
from trailkeep.analysis.result import open_for
from trailkeep.analysis.stop import Stop
from trailkeep.errors import QueryError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from trailkeep.analysis.question import Question
    from trailkeep.catalog import Catalog, Limits
    from trailkeep.store import Archive, Ledger


@dataclass(frozen=True, slots=True, kw_only=True)
class TableRead:
    """What of one event table is read; what there is of it beside that."""

    table: str
    files: int
    files_there: int
    row_groups: int
    """Those of the files read whose footers do not rule out that they hold rows of use."""
    row_groups_there: int
    """Of the files read."""
    bytes: int
    bytes_there: int
    left_out_by: Mapping[str, int]
    """How many files were left out by a condition on the time, on the partition, ..."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """What a question would read."""

    tables: tuple[TableRead, ...]
    plan: str
    """As the engine draws it,"""
    tree: list[Any]
    """and as it tells it in JSON."""


def explain(
    archive: Archive, question: Question, *, now: datetime, limits: Limits | None = None, stop: Stop | None = None
) -> Explanation:
    """What `question` would read, as the archive is now. Raises as `open_result` does."""
    watched = stop or Stop()
    watched.begin()
    prepared = prepare(question, now)
    if prepared.statement.select is None:
        raise QueryError(
            "a PIVOT cannot be explained: the engine makes several statements of it",
            hint="Name the values: PIVOT ... ON x IN ('a', 'b'), or explain the query below it.",
        )

    def read(ledger: Ledger) -> Explanation:
        found, _resolved = resolve(archive, ledger, prepared, limits=limits, stop=watched)
        catalog = open_for(archive, ledger, found, now, limits, watched, explained=True)
        with catalog:
            import duckdb

            try:
                plans = [
                    catalog.connection.execute(f"EXPLAIN {form} {found.statement.select}", found.parameters or None)
                    .fetchall()[0][1]
                    .rstrip()
                    for form in ("", "(FORMAT json)")
                ]
            except duckdb.Error as error:
                raise explain_error(error, found, catalog, watched) from error
            finally:
                watched.watch(None)
            return Explanation(tables=_tables(catalog), plan=plans[0], tree=json.loads(plans[1]))

    try:
        return archive.read_consistently(read)
    finally:
        watched.end()


def _tables(catalog: Catalog) -> tuple[TableRead, ...]:
    from trailkeep.catalog.readings import row_groups
    from trailkeep.schema import STORED_TABLES

    found = []
    for reading in catalog.readings:
        groups = row_groups(reading, STORED_TABLES[reading.table].time)
        here = sum(file.record.bytes for file in reading.files.values())
        found.append(
            TableRead(
                table=reading.table,
                files=len(reading.files),
                files_there=len(reading.files) + len(reading.left_out),
                row_groups=groups.read,
                row_groups_there=groups.there,
                bytes=here,
                bytes_there=here + sum(file.record.bytes for file, _why in reading.left_out),
                left_out_by=dict(sorted(Counter(why for _file, why in reading.left_out).items())),
            )
        )
    return tuple(found)
