"""Running a question: from an archive to a stream of record batches."""

from __future__ import annotations

import contextlib
import sys
from typing import TYPE_CHECKING, Any, Self, cast

from trailkeep.analysis.failures import explain
from trailkeep.analysis.plain import PlainBatch, PlainSchema, plain_fields
from trailkeep.analysis.question import Prepared, prepare
from trailkeep.analysis.resolving import resolve
from trailkeep.analysis.stop import Stop
from trailkeep.catalog import EXTRA, Asked, Needs, connect, open_catalog
from trailkeep.coverage import coverage_tables, missing_for

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    import duckdb
    import pyarrow as pa

    from trailkeep.analysis.question import Question
    from trailkeep.catalog import Catalog, Limits
    from trailkeep.catalog.warm import Engines
    from trailkeep.coverage import Missing
    from trailkeep.guard import Statement
    from trailkeep.store import Archive, Head, Ledger
    from trailkeep.timespan import Span

BATCH_ROWS = 2_048
"""Rows that are held at a time."""


class Result:
    """The answer to one question, read once; a context manager, since it holds the engine open."""

    def __init__(
        self,
        prepared: Prepared,
        catalog: Catalog,
        head: Head | None,
        stop: Stop,
        missing: list[Missing],
        *,
        plain: bool = False,
        resolved: Sequence[str] = (),
    ) -> None:
        self.resolved = list(resolved)
        """What each name that stands for an id was taken to mean, a sentence each."""
        self.parameters: dict[str, Any] = prepared.parameters
        """The values that were bound, by the names in the SQL."""
        self.span: Span | None = prepared.span
        """What the event tables were limited to, besides what the SQL itself says."""
        self.asked: Span | None = prepared.asked
        """What the question is about; None where it is about everything that is held."""
        self.missing = missing
        """Where the archive does not cover what was asked, so that the answer may be incomplete."""
        self.head = head
        """The ledger's newest entry when the archive was read."""
        self.schema: pa.Schema
        """The columns; where the query names several alike, the later ones have ``_2``, ``_3`` after their names."""
        self._prepared = prepared
        self._catalog = catalog
        self._stop = stop
        self._reader: pa.RecordBatchReader | None = None
        self._first: pa.RecordBatch | None
        self._start(plain=plain)

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, `BATCH_ROWS` at most at a time, none of them kept here.

        Raises QueryError, Interrupted, TimeLimitReached, ArchiveDamaged or IntegrityViolated with a file's name; never
        ends early without an error.
        """
        batch, self._first = self._first, None
        while batch is not None:
            yield batch
            batch = self._next()

    def close(self) -> None:
        """Stop reading and let go of the engine."""
        self._stop.end()
        if self._reader is not None:
            self._reader.close()
        self._catalog.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def _start(self, *, plain: bool) -> None:
        """Begin, up to the first rows: what is wrong with the archive or the SQL mostly shows by then."""
        statement, parameters = self._prepared.statement, self._prepared.parameters or None
        connection = self._catalog.connection
        self._stop.check()
        with self._explained():
            # To look at a statement takes much longer over files than over none.
            self._catalog.empty()
            relation = connection.sql(statement.sql, params=parameters)
            names = _unique(relation.columns)
            self._catalog.fill()
            # What is no plain SELECT the engine has run by now, and would run again.
            if plain and statement.is_select and (fields := plain_fields(names, relation.types)):
                self.schema = cast("pa.Schema", PlainSchema(fields))
                connection.execute(statement.sql, parameters)
            else:
                self._start_arrow(relation, names)
        self._first = self._next()

    def _start_arrow(self, relation: duckdb.DuckDBPyRelation, names: list[str]) -> None:
        import pyarrow as pa

        self._reader = relation.to_arrow_reader(BATCH_ROWS)
        fields = zip(self._reader.schema, names, strict=True)
        self.schema = pa.schema([field.with_name(name) for field, name in fields])

    def _next(self) -> pa.RecordBatch | None:
        self._stop.check()
        with self._explained():
            if self._reader is None:
                rows = self._catalog.connection.fetchmany(BATCH_ROWS)
                plain = PlainBatch(cast("PlainSchema", self.schema), rows)
                return cast("pa.RecordBatch", plain) if rows else None
            try:
                return self._reader.read_next_batch().rename_columns(self.schema.names)
            except StopIteration:
                return None

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        """Turn what the engine, or Arrow on its behalf, raises into our own errors."""
        import duckdb

        # Where Arrow is not loaded none of its errors can come.
        arrow_error = getattr(sys.modules.get("pyarrow"), "ArrowException", duckdb.Error)
        try:
            yield
        except (duckdb.Error, OSError, RuntimeError, arrow_error) as error:
            raise explain(error, self._prepared, self._catalog, self._stop) from error


def open_result(
    archive: Archive,
    question: Question,
    *,
    now: datetime,
    limits: Limits | None = None,
    stop: Stop | None = None,
    plain: bool = False,
    engines: Engines | None = None,
) -> Result:
    """Run `question` up to its first rows; close the result, or use it in a ``with`` block.

    `now` is what ages count back from, and until when coverage is told. A file that was moved or replaced while the
    archive was being opened is looked for again, by the ledger as it is then. With `plain`, an answer of numbers and
    text alone comes as `PlainSchema` and `PlainBatch`, which is all that the writers of text need, and Arrow is not
    loaded for it. `engines` are those of a program that asks again and again.

    Raises QueryError, UsageError, StoreError, ArchiveDamaged, Interrupted where `stop` was called, and
    TimeLimitReached where its time is over.
    """
    watched = stop or Stop()
    watched.begin()
    # The connection that the answer comes from parses the question too: each takes longer to open than that takes.
    unused = [] if engines is not None else [connect()]
    try:
        prepared = prepare(question, now, parser=unused[0] if unused else None)

        def read(ledger: Ledger) -> Result:
            connection = unused.pop() if unused else None
            return _open(archive, ledger, prepared, now, limits, watched, connection, plain=plain, engines=engines)

        return archive.read_consistently(read)
    except BaseException:
        watched.end()
        for connection in unused:
            connection.close()
        raise


def _open(
    archive: Archive,
    ledger: Ledger,
    prepared: Prepared,
    now: datetime,
    limits: Limits | None,
    stop: Stop,
    connection: duckdb.DuckDBPyConnection | None,
    *,
    plain: bool,
    engines: Engines | None,
) -> Result:
    prepared, resolved = resolve(archive, ledger, prepared, limits=limits, stop=stop)
    catalog = None
    if engines is not None:
        needs, asked = needs_of(prepared.statement), asked_of(prepared)
        catalog = engines.open(
            archive, ledger, span=prepared.span, limits=limits, needs=needs, asked=asked, watching=stop
        )
    catalog = catalog or open_for(archive, ledger, prepared, now, limits, stop, connection=connection)
    try:
        tables = prepared.statement.tables
        missing = missing_for(tables, ledger, prepared.asked, now, open_ended=prepared.open_ended)
        return Result(prepared, catalog, ledger.head, stop, missing, plain=plain, resolved=resolved)
    except BaseException:
        stop.watch(None)
        catalog.close()
        raise


def open_for(
    archive: Archive,
    ledger: Ledger,
    prepared: Prepared,
    now: datetime,
    limits: Limits | None,
    stop: Stop,
    *,
    connection: duckdb.DuckDBPyConnection | None = None,
    explained: bool = False,
) -> Catalog:
    """A new catalog with what a question needs, to run it or only to explain it. Raises as `open_catalog` does."""
    needs = needs_of(prepared.statement)
    return open_catalog(
        archive,
        ledger,
        extra=coverage_tables(ledger, now) if needs is None or needs.tables & EXTRA else {},
        span=prepared.span,
        limits=limits,
        needs=needs,
        watching=stop,
        connection=connection,
        asked=asked_of(prepared, explained=explained) if needs or explained else None,
    )


def asked_of(prepared: Prepared, *, explained: bool = False) -> Asked | None:
    """The SELECT that is run or explained; None where the engine makes several statements of it."""
    if prepared.statement.select is None:
        return None
    return Asked(sql=prepared.statement.select, parameters=prepared.parameters, explained=explained)


def needs_of(statement: Statement) -> Needs | None:
    """What of the archive the statement needs; None for all, where it asks what there is or names what is not there.

    An error about a name that does not exist is then as good as it can be.
    """
    if statement.tables is None or statement.asks_what_there_is:
        return None
    tables = frozenset(name.lower() for name in statement.tables)
    if tables:
        from trailkeep.catalog.building import table_names

        known = table_names()
        if tables - known - {name.lower() for name in statement.common}:
            return None
        tables &= known
    branches = None
    if "first_seen" in tables:
        from trailkeep.analysis.branches import branches_of

        branches = branches_of(statement.sql)
    return Needs(tables=tables, functions=statement.functions, names=statement.asks_names, branches=branches)


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
