"""Running a question: from an archive to a stream of record batches."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Any, Self

from trailkeep.analysis.failures import explain
from trailkeep.analysis.question import Prepared, prepare
from trailkeep.analysis.stop import Stop
from trailkeep.catalog import open_catalog
from trailkeep.coverage import coverage_tables, missing_in
from trailkeep.schema import EVENT_TABLES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    import pyarrow as pa

    from trailkeep.analysis.question import Question
    from trailkeep.catalog import Catalog, Limits
    from trailkeep.coverage import Missing
    from trailkeep.store import Archive, Head, Ledger
    from trailkeep.timespan import Span

OF_EVENTS = frozenset({*(table.name for table in EVENT_TABLES.values()), "events", "event_resources", "revisions"})
"""The tables whose rows are missing where a stream was not read."""

BATCH_ROWS = 8_192
"""Rows that are held at a time."""


class Result:
    """The answer to one question, read once; a context manager, since it holds the engine open."""

    def __init__(
        self, prepared: Prepared, catalog: Catalog, head: Head | None, stop: Stop, missing: list[Missing]
    ) -> None:
        self.parameters: dict[str, Any] = prepared.parameters
        """The values that were bound, by the names in the SQL."""
        self.span: Span | None = prepared.span
        """What the event tables were limited to, besides what the SQL itself says."""
        self.missing = missing
        """Where the archive does not cover what was asked, so that the answer may be incomplete."""
        self.head = head
        """The ledger's newest entry when the archive was read."""
        self.schema: pa.Schema
        """The columns; where the query names several alike, the later ones have ``_2``, ``_3`` after their names."""
        self._prepared = prepared
        self._catalog = catalog
        self._stop = stop
        self._first: pa.RecordBatch | None
        self._start()

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, `BATCH_ROWS` at most at a time, none of them kept here.

        Raises QueryError, Interrupted, or ArchiveDamaged with a file's name; never ends early without an error.
        """
        batch, self._first = self._first, None
        while batch is not None:
            yield self._renamed(batch)
            batch = self._next()

    def close(self) -> None:
        """Stop reading and let go of the engine."""
        self._stop.watch(None)
        with contextlib.suppress(AttributeError):
            self._reader.close()
        self._catalog.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _start(self) -> None:
        """Begin, up to the first rows: what is wrong with the archive or the SQL mostly shows by then."""
        import duckdb
        import pyarrow as pa

        sql, parameters = self._prepared.statement.sql, self._prepared.parameters
        self._stop.watch(self._catalog.connection)
        self._stop.check()
        try:
            relation = self._catalog.connection.sql(sql, params=parameters or None)
            self._reader = relation.to_arrow_reader(BATCH_ROWS)
        except (duckdb.Error, pa.ArrowException, OSError, RuntimeError) as error:
            raise explain(error, self._prepared, self._catalog) from error
        names = _unique(self._reader.schema.names)
        self.schema = pa.schema([field.with_name(name) for field, name in zip(self._reader.schema, names, strict=True)])
        self._first = self._next()

    def _next(self) -> pa.RecordBatch | None:
        import duckdb
        import pyarrow as pa

        self._stop.check()
        try:
            batch: pa.RecordBatch = self._reader.read_next_batch()
        except StopIteration:
            return None
        except (duckdb.Error, pa.ArrowException, OSError, RuntimeError) as error:
            raise explain(error, self._prepared, self._catalog) from error
        return batch

    def _renamed(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        return batch.rename_columns(self.schema.names)


def open_result(
    archive: Archive, question: Question, *, now: datetime, limits: Limits | None = None, stop: Stop | None = None
) -> Result:
    """Run `question` up to its first rows; close the result, or use it in a ``with`` block.

    `now` is what ages count back from, and until when coverage is told. A file that was moved or replaced while the
    archive was being opened is looked for again, by the ledger as it is then.

    Raises QueryError, UsageError, StoreError, ArchiveDamaged, and Interrupted where `stop` was called.
    """
    prepared = prepare(question, now)
    watched = stop or Stop()
    return archive.read_consistently(lambda ledger: _open(archive, ledger, prepared, now, limits, watched))


def _open(
    archive: Archive, ledger: Ledger, prepared: Prepared, now: datetime, limits: Limits | None, stop: Stop
) -> Result:
    catalog = open_catalog(archive, ledger, extra=coverage_tables(ledger, now), span=prepared.span, limits=limits)
    try:
        missing: list[Missing] = []
        if prepared.statement.tables is None or prepared.statement.tables & OF_EVENTS:
            missing = missing_in(ledger, prepared.asked, now, open_ended=prepared.open_ended)
        return Result(prepared, catalog, ledger.head, stop, missing)
    except BaseException:
        stop.watch(None)
        catalog.close()
        raise


def _unique(names: list[str]) -> list[str]:
    taken: set[str] = set()
    unique: list[str] = []
    for name in names:
        candidate, number = name, 1
        while candidate in taken or (candidate != name and candidate in names):
            number += 1
            candidate = f"{name}_{number}"
        taken.add(candidate)
        unique.append(candidate)
    return unique
