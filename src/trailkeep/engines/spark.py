"""Running a question on Spark: over the same live files, with the columns that DuckDB gives."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING, Any, Self, cast
from urllib.parse import unquote

from trailkeep.analysis import Stop
from trailkeep.analysis.question import prepare
from trailkeep.analysis.resolving import resolve
from trailkeep.analysis.result import BATCH_ROWS, Result
from trailkeep.catalog import Needs, open_catalog, views
from trailkeep.coverage import coverage_tables, missing_for
from trailkeep.engines import columns, portable, sources, spark_rules, spark_text
from trailkeep.engines.parameters import spark_value, types_of
from trailkeep.engines.portable import Untranslatable
from trailkeep.engines.spark_session import session_of
from trailkeep.errors import QueryError, StoreError, TrailkeepError
from trailkeep.store import Ledger

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    import duckdb
    import pyarrow as pa

    from trailkeep.analysis import Question
    from trailkeep.analysis.question import Prepared
    from trailkeep.catalog import Catalog, Limits
    from trailkeep.coverage import Missing
    from trailkeep.store import Archive, Head
    from trailkeep.timespan import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class _Translated:
    """A prepared question in Spark's SQL."""

    prepared: Prepared
    sql: str
    types: dict[str, str]
    tables: tuple[str, ...]


class SparkResult:
    """The answer of Spark, with what a `Result` of DuckDB has; a context manager."""

    def __init__(
        self, prepared: Prepared, rows: pa.Table, head: Head | None, missing: list[Missing], stop: Stop
    ) -> None:
        self.resolved: list[str] = []
        self.parameters: dict[str, Any] = prepared.parameters
        self.span: Span | None = prepared.span
        self.asked: Span | None = prepared.asked
        self.missing = missing
        self.head = head
        self.schema: pa.Schema = rows.schema
        self._rows = rows
        self._stop = stop

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows, some at a time; all of them are held."""
        for batch in self._rows.to_batches(max_chunksize=BATCH_ROWS):
            self._stop.check()
            yield batch

    def close(self) -> None:
        """Nothing is open any more, but the time limit."""
        self._stop.end()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


def open_result(
    archive: Archive,
    question: Question,
    *,
    now: datetime,
    limits: Limits | None = None,
    stop: Stop | None = None,
    plain: bool = False,  # noqa: ARG001 - Spark's rows come as Arrow, which every writer takes
    master: str | None = None,
) -> SparkResult:
    """Run `question` on Spark, which is started at `master` unless it runs.

    Raises what `analysis.open_result` raises, Untranslatable for SQL that cannot be said in Spark's so that it means
    the same, and UsageError where pyspark or Java is missing. Never gives rows that it knows to be other than DuckDB's.
    """
    watched = stop or Stop()
    watched.begin()
    try:
        asked = prepare(question, now)
        prepared, resolved = archive.read_consistently(
            lambda ledger: resolve(archive, ledger, asked, limits=limits, stop=watched)
        )
        translated = _translate(prepared)
        expected = _expected(archive, prepared, now, watched)
        session = session_of(master)
        result = archive.read_consistently(
            lambda ledger: _open(archive, ledger, translated, expected, now, limits, watched, session)
        )
        result.resolved = resolved
        return result
    except BaseException:
        watched.end()
        raise


def _translate(prepared: Prepared) -> _Translated:
    """The question in Spark's SQL. Raises Untranslatable."""
    found = portable.expand(prepared.statement.sql, but=portable.OWN_WAYS)
    types = types_of(prepared.saved, prepared.parameters)
    tree = spark_rules.translate(found.tree, types, strict=True)
    spark_text.place_tables(tree, found.tables)
    return _Translated(prepared=prepared, sql=spark_text.text_of(tree), types=types, tables=found.tables)


def _expected(archive: Archive, prepared: Prepared, now: datetime, stop: Stop) -> pa.Schema:
    """The columns that DuckDB gives, from an archive like this one that holds nothing. Raises its errors."""
    ledger = Ledger(archive.archive_id)
    catalog = open_catalog(archive, ledger, extra=coverage_tables(ledger, now), span=prepared.span)
    try:
        with Result(prepared, catalog, None, _Unstoppable(), []) as result:
            stop.check()
            return result.schema
    finally:
        catalog.close()


class _Unstoppable(Stop):
    """A question to an archive without rows is answered at once."""


def _open(
    archive: Archive,
    ledger: Ledger,
    translated: _Translated,
    expected: pa.Schema,
    now: datetime,
    limits: Limits | None,
    stop: Stop,
    session: Any,
) -> SparkResult:
    prepared = translated.prepared
    names = prepared.statement.asks_names
    needs = Needs(tables=frozenset(map(views.place_of, translated.tables)), functions=frozenset(), names=names)
    extra = coverage_tables(ledger, now)
    with open_catalog(
        archive, ledger, extra=extra, span=prepared.span, limits=limits, needs=needs, watching=stop
    ) as catalog:
        stop.watch(None)
        tables = prepared.statement.tables
        missing = missing_for(tables, ledger, prepared.asked, now, open_ended=prepared.open_ended)
        placed: dict[str, str] = {}
        try:
            with _explained(catalog, stop):
                placed = sources.register(session, archive, catalog, translated.tables, prepared.span)
                rows = _run(session, translated, placed, stop)
        finally:
            for view in placed.values():
                session.catalog.dropTempView(view)
    return SparkResult(prepared, columns.as_expected(rows, expected), ledger.head, missing, stop)


def _run(session: Any, translated: _Translated, views: dict[str, str], stop: Stop) -> pa.Table:
    """Run it to the end."""
    values = {
        name: spark_value(value, translated.types.get(name.lower(), "text"))
        for name, value in translated.prepared.parameters.items()
    }
    tables = {spark_text.table_parameter(name): view for name, view in views.items()}
    stop.watch(cast("duckdb.DuckDBPyConnection", _Jobs(session)))
    try:
        frame = session.sql(translated.sql, args=values | tables)
        rows: pa.Table = columns.without_zones(frame).toArrow()
        stop.check()
        return rows
    finally:
        stop.watch(None)


class _Jobs:
    """What runs in a session, to be interrupted as a connection is."""

    def __init__(self, session: Any) -> None:
        self._context = session.sparkContext

    def interrupt(self) -> None:
        """Cancel all jobs; Spark goes on running."""
        self._context.cancelAllJobs()


@contextlib.contextmanager
def _explained(catalog: Catalog, stop: Stop) -> Iterator[None]:
    """Turn what Spark raises into our own errors."""
    errors = import_module("pyspark.errors")
    java = import_module("py4j.protocol")
    try:
        yield
    except (errors.PySparkException, java.Py4JError) as error:
        message = str(error)
        first = message.splitlines()[0] if message else type(error).__name__
        if stop.stopped:
            raise stop.error() from error
        if isinstance(error, (errors.AnalysisException, errors.ParseException)):
            raise Untranslatable(f"Spark refuses it: {first}") from error
        raise _damage(catalog, message) or QueryError(f"Spark: {first}") from error


def _damage(catalog: Catalog, message: str) -> TrailkeepError | None:
    """What is wrong with a file that the message names, or with any of those read."""
    with contextlib.suppress(StoreError):
        return catalog.damaged_file(unquote(message)) or catalog.find_damaged()
    return None
