"""The answer to one question, in whatever form an analyst wants it."""

from __future__ import annotations

import threading
import weakref
from typing import TYPE_CHECKING, Any, Self

from trailkeep.errors import QueryError, UsageError
from trailkeep.reading import frames, shown
from trailkeep.reading.engine import Asking, Engine
from trailkeep.reading.warned import hinted

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from trailkeep.coverage import Missing
    from trailkeep.store import Head
    from trailkeep.timespan import Span

_BATCHES = 8
"""Batches of the engine that are read at a time: a small answer is then whole at once, and holds no engine."""


class Answer:
    """What `Archive.sql` and `Archive.query` return: rows, and what they were made of.

    The query has begun, so what is wrong with it has been raised. Its rows are those of one state of the archive,
    `head`: however often and in whatever form they are asked for, they are the same.

    `arrow`, `df`, `pl` and `rows` run the query once and keep its rows in memory. `batches`, and iterating, keep
    nothing: that is for answers which do not fit into memory. After it, each of them runs the query once more, over
    the same files. To show an answer runs nothing.

    Columns of times are UTC without a zone. Columns that the SQL names alike have ``_2``, ``_3`` after their names.

    >>> answer = archive.sql("SELECT kind, count(*) AS events FROM events GROUP BY kind ORDER BY kind")
    >>> answer.columns
    ['kind', 'events']
    >>> [row["kind"] for row in answer.rows()]
    ['api', 'authentication', 'system']
    """

    def __init__(self, asking: Asking) -> None:
        self._asking = asking
        self._lock = threading.RLock()
        self._closed = False
        engine = Engine(asking)
        result = engine.result
        self.sql: str = asking.question.sql
        """The query's text."""
        self.parameters: dict[str, Any] = dict(result.parameters)
        """What was bound, by the names in the SQL; times are UTC without a zone."""
        self.span: Span | None = result.span
        """What `since` and `until` limited the event tables to; None where the SQL sets the bounds, or nobody did."""
        self.missing: tuple[Missing, ...] = tuple(result.missing)
        """Where the archive does not cover what was asked: stream, span and reason. Empty is as it should be."""
        self.head: Head | None = result.head
        """The state of the archive that the rows are of: the ledger's newest entry when the question was asked."""
        self.schema: pa.Schema = result.schema
        """The columns and their Arrow types."""
        self._snapshot = engine.at
        self._table: pa.Table | None = None
        self._begun: tuple[Engine, list[pa.RecordBatch]] | None = None
        self._begin(engine)

    @property
    def columns(self) -> list[str]:
        """The names of the columns, in order."""
        return list(self.schema.names)

    def arrow(self) -> pa.Table:
        """All rows as an Arrow table. It is kept: the next call gives the same table.

        Raises QueryError, TimeLimitReached, ArchiveDamaged or IntegrityViolated with a file's name, and StoreError
        where the rows were streamed before and the archive's files have been replaced since.

        >>> archive.sql("SELECT count(*) AS n FROM gaps").arrow().num_rows
        1
        """
        import pyarrow as pa

        with self._lock, hinted():
            if self._table is None:
                engine, ready = self._take()
                try:
                    batches = ready + engine.pull()
                finally:
                    engine.close()
                self._table = pa.Table.from_batches(batches, schema=self.schema)
            return self._table

    def df(self) -> pd.DataFrame:
        """All rows as a pandas frame.

        Times are ``datetime64[us]`` in UTC without a zone, whole numbers ``Int64`` and the like, so that NULL turns no
        200 into 200.0. Raises as `arrow` does, and UsageError where pandas is not installed.
        """
        with hinted():
            return frames.to_pandas(self.arrow())

    def pl(self) -> pl.DataFrame:
        """All rows as a Polars frame. Raises as `arrow` does, and UsageError where Polars is not installed."""
        with hinted():
            return frames.to_polars(self.arrow())

    def rows(self) -> list[dict[str, Any]]:
        """All rows, each a dictionary by column.

        >>> archive.sql("SELECT 1 AS one, NULL AS nothing").rows()
        [{'one': 1, 'nothing': None}]
        """
        with hinted():
            table = self.arrow()
            try:
                return table.to_pylist()
            except (ValueError, OverflowError) as error:
                raise QueryError(
                    f"a value is none that Python can tell: {error}",
                    hint="A time may lie outside the years 1 to 9999: take .arrow(), .df() or .pl().",
                ) from error

    def batches(self) -> Iterator[pa.RecordBatch]:
        """The rows as Arrow record batches of some thousand rows, none of them kept.

        Raises as `arrow` does, in the midst of it where that is when it happens: it never just ends early.

        >>> sum(batch.num_rows for batch in archive.sql("SELECT * FROM range(20000)").batches())
        20000
        """
        import pyarrow as pa

        with self._lock:
            table = self._table
            engine, ready = (None, []) if table is not None else self._take()
        if engine is None:
            assert table is not None
            yield from table.to_batches()
            return
        try:
            while ready:
                yield from pa.Table.from_batches(ready).combine_chunks().to_batches()
                with hinted():
                    ready = engine.pull(_BATCHES)
        finally:
            engine.close()

    def __iter__(self) -> Iterator[pa.RecordBatch]:
        return self.batches()

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Other libraries take an answer as it is: ``polars.DataFrame(answer)``, ``pyarrow.table(answer)``."""
        stream: object = self.arrow().__arrow_c_stream__(requested_schema)  # type: ignore[no-untyped-call]
        return stream

    def close(self) -> None:
        """Let go of the engine, where rows are still to be read. What `arrow` has kept stays."""
        with self._lock:
            self._closed = True
            if self._begun is not None:
                self._begun[0].close()
                self._begun = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return shown.as_text(self._title(), self._preview)

    def _repr_html_(self) -> str:
        """What a notebook shows."""
        return shown.as_html(self._title(), self._preview)

    def _title(self) -> str:
        if self._table is None:
            rows = f"the first {self._preview.num_rows} rows, the others not read yet"
        elif self._table.num_rows > shown.ROWS:
            rows = f"{self._table.num_rows:,} rows, of which the first {shown.ROWS}"
        else:
            rows = f"{self._table.num_rows} row{'' if self._table.num_rows == 1 else 's'}"
        incomplete = "; the archive does not cover all of the asked span: see .missing" if self.missing else ""
        return f"Answer at head {self.head.seq if self.head else 0}: {rows}{incomplete}"

    def _begin(self, engine: Engine) -> None:
        import pyarrow as pa

        ready = engine.pull(_BATCHES)
        held = pa.Table.from_batches(ready, schema=self.schema)
        if len(ready) < _BATCHES:
            engine.close()
            self._table = held
        else:
            self._begun = engine, ready
            # It must not depend on the answer, which it outlives for a moment.
            weakref.finalize(self, engine.close)
        self._preview: pa.Table = _copied(held.slice(0, shown.ROWS))

    def _take(self) -> tuple[Engine, list[pa.RecordBatch]]:
        """The engine that has begun and what was read of it, or one that begins again."""
        if self._closed:
            raise UsageError("the answer is closed", hint="Ask again.")
        if self._begun is not None:
            begun, self._begun = self._begun, None
            return begun
        engine = Engine(self._asking, self._snapshot)
        return engine, engine.pull(_BATCHES)


def _copied(rows: pa.Table) -> pa.Table:
    """The rows in memory of their own: a slice keeps the whole batches that it was cut from."""
    import pyarrow as pa

    buffer = pa.BufferOutputStream()
    with pa.ipc.new_stream(buffer, rows.schema) as written:
        written.write_table(rows)
    with pa.ipc.open_stream(buffer.getvalue()) as read:
        return read.read_all()
