"""An archive as a program opens it: questions, coverage, verification, and a connection of the engine."""

from __future__ import annotations

import difflib
import threading
import warnings
import weakref
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, Self

from trailkeep import schema
from trailkeep.analysis import Question
from trailkeep.catalog import Limits, open_catalog
from trailkeep.catalog.quoting import name_of
from trailkeep.catalog.warm import Engines
from trailkeep.coverage import coverage_tables, stream_coverage
from trailkeep.errors import UsageError
from trailkeep.queries import SavedQuery, discover, find, load, query_folders
from trailkeep.reading import values
from trailkeep.reading.answer import Answer
from trailkeep.reading.engine import Asking, Kept
from trailkeep.reading.warned import hinted, tell_missing
from trailkeep.store import Archive as Folder
from trailkeep.verify import parse_head, verify_archive

if TYPE_CHECKING:
    import os
    from collections.abc import Mapping, Sequence

    import duckdb
    import pyarrow as pa

    from trailkeep.queries import QueryFile
    from trailkeep.store import Head
    from trailkeep.verify import Verification

Time = str | datetime | timedelta
"""A moment; a timedelta is an age, text is read as on the command line, and what has no zone is UTC."""


class _Closes(Protocol):
    def close(self) -> None: ...


class Archive:
    """An archive, opened for reading: nothing that is done with it can change a byte of it.

    `path` is the archive's folder. `queries` are folders of saved queries besides ``./queries`` and those that come
    with Trailkeep. `now` is what ages count back from; None is the clock at each question. `limits` and
    `timeout_seconds` hold for every question that does not name its own.

    Each question sees the archive as it is when it is asked; a sync may go on meanwhile. Several threads may use one
    archive. Close it, or use it in a ``with`` block. Raises ArchiveMissing, ArchiveTooNew and ArchiveDamaged.

    >>> from trailkeep import Archive
    >>> with Archive("data") as opened:
    ...     opened.sql("SELECT count(*) > 0 AS held FROM events").rows()
    [{'held': True}]
    """

    def __init__(
        self,
        path: str | os.PathLike[str],
        *,
        queries: Sequence[str | os.PathLike[str]] = (),
        now: datetime | None = None,
        limits: Limits | None = None,
        timeout_seconds: float | None = None,
    ) -> None:
        if isinstance(queries, str):
            raise UsageError("queries is a list of folders", hint=f"Write queries=[{queries!r}].")
        with hinted():
            self._folder: Folder = Kept(Folder.open(Path(path)))
        self._queries = tuple(map(Path, queries))
        self._now = None if now is None else values.utc(now)
        self._limits = limits or Limits()
        self._timeout_seconds = timeout_seconds
        self._closed = False
        self._lock = threading.Lock()
        self._open: weakref.WeakSet[_Closes] = weakref.WeakSet()
        self._engines = Engines()
        weakref.finalize(self, self._engines.close)

    # What can be asked

    def sql(
        self,
        text: str,
        params: Mapping[str, Any] | None = None,
        *,
        since: Time | None = None,
        until: Time | None = None,
        strict: bool = False,
        limits: Limits | None = None,
        timeout_seconds: float | None = None,
    ) -> Answer:
        """Run one SELECT. `params` are the values of ``$name`` in it: bound, never pasted into the SQL.

        `since` and `until` (half-open, UTC) are ``$since`` and ``$until``; where the SQL does not use them they limit
        the event tables that it sees. A span that the archive does not cover gives a CoverageWarning, or with `strict`
        CoverageIncomplete. `timeout_seconds` counts while the engine works on the answer.

        Raises QueryError for SQL that may not run or fails, UsageError for parameters that do not fit,
        TimeLimitReached, and ArchiveDamaged or IntegrityViolated with the name of a file that cannot be read or is not
        what the ledger says: never fewer rows.

        >>> archive.sql("SELECT $n + 1 AS next", {"n": 41}).rows()
        [{'next': 42}]
        >>> week = archive.sql("SELECT * FROM events ORDER BY recorded_at, id", since="7d")
        >>> week.parameters, week.span.length.days
        ({}, 7)
        """
        with hinted():
            now = self._moment()
            if params is not None and not hasattr(params, "items"):
                raise UsageError("params is no dictionary", hint='Write {"name": value}, and $name in the SQL.')
            given = {name: values.plain(name, value) for name, value in values.lower_names(params or {}).items()}
            return self._ask(
                Question(
                    sql=_text(text),
                    given=given,
                    since=values.asked_time("since", since, now),
                    until=values.asked_time("until", until, now),
                ),
                now,
                strict=strict,
                limits=limits,
                timeout_seconds=timeout_seconds,
            )

    def query(
        self,
        name: str,
        /,
        *,
        strict: bool = False,
        limits: Limits | None = None,
        timeout_seconds: float | None = None,
        **params: Any,
    ) -> Answer:
        """Run a saved query: ``stage/name``, or its name alone where only one has it.

        `params` are its parameters, `since` and `until` among them, which every query has: as on the command line, or
        datetime, date, timedelta (as an age), uuid.UUID, addresses and networks of ipaddress, numbers, truth values,
        and lists and arrays of these. Raises as `sql` does; UsageError names the nearest queries, or what is wanted.

        >>> archive.query("access/login-failures", since="30d").columns[:2]
        ['source_ip', 'failures']
        """
        with hinted():
            now = self._moment()
            saved = self.saved(name)
            given = values.lower_names(params)
            for wanted in saved.parameters.values():
                if wanted.required and wanted.name not in given:
                    raise UsageError(
                        f"the parameter {wanted.name} is missing",
                        hint=f"Give {wanted.name}=...: {wanted.wanted}. {wanted.description}".rstrip(),
                    )
            times = {key: values.asked_time(key, given.pop(key), now) for key in ("since", "until") if key in given}
            return self._ask(
                Question.of(saved, given=values.for_saved(saved.parameters, given, now), **times),
                now,
                strict=strict,
                limits=limits,
                timeout_seconds=timeout_seconds,
            )

    @property
    def queries(self) -> dict[str, str]:
        """The saved queries: each one's title, by its full name. A file that cannot be read gives a warning.

        >>> archive.queries["access/login-failures"]
        'Failed logins by address'
        """
        found: dict[str, str] = {}
        for file in self._discover().values():
            try:
                found[file.name] = load(file.name, file.path).title
            except UsageError as error:
                warnings.warn(error.message, stacklevel=2)
        return found

    def saved(self, name: str) -> SavedQuery:
        """A saved query as its file says: SQL, description, parameters with types and defaults, blind spots.

        >>> archive.saved("scope/address-activity").parameters["address"].type
        'cidr'
        """
        with hinted():
            found = find(_text(name), self._discover())
            return load(found.name, found.path)

    # What there is

    @property
    def path(self) -> Path:
        """The archive's folder."""
        return self._folder.path

    @property
    def head(self) -> Head | None:
        """The ledger's newest entry now, ``seq`` and ``sha256``; None before the first commit.

        Whoever keeps it elsewhere can tell later whether the archive was rewritten: see `verify`.
        """
        with hinted():
            return self._reading().ledger().head

    def tables(self) -> dict[str, list[str]]:
        """The columns of every table and view, by its name.

        >>> "outcome" in archive.tables()["events"]
        True
        """
        with hinted():
            now = self._moment()
            return self._reading().read_consistently(
                lambda ledger: _closing_tables(self._folder, ledger, coverage_tables(ledger, now), self._limits)
            )

    def schema(self, table: str) -> pa.Schema:
        """The columns of a table or view with their Arrow types; the metadata has descriptions where there are any.

        Raises UsageError with the nearest names.

        >>> archive.schema("api_events").field("status_code").type
        DataType(int32)
        """
        import pyarrow as pa

        with hinted():
            names = self.tables()
            if table not in names:
                near = difflib.get_close_matches(str(table), names, n=3, cutoff=0.5)
                guess = f"Did you mean {' or '.join(near)}? " if near else ""
                raise UsageError(f"there is no table {table!r}", hint=f"{guess}Tables are: {', '.join(names)}.")
            with self._ask_quietly(f"SELECT * FROM {name_of(table)} LIMIT 0") as answer:  # noqa: S608 - quoted
                found = answer.schema
            stored = schema.TABLES.get(table)
            meant = {column.name: column.description for column in stored.columns} if stored else {}
            return pa.schema(
                [
                    each.with_metadata({"description": meant[each.name]}) if each.name in meant else each
                    for each in found
                ]
            )

    def files(self, table: str | None = None) -> list[Path]:
        """The Parquet files that hold a table now, or all tables: for other tools, which must only read them.

        Raises UsageError for a name that is no stored table, and ArchiveDamaged where a file is missing.

        >>> {path.suffix for path in archive.files("api_events")}
        {'.parquet'}
        """
        with hinted():
            if table is not None and table not in schema.TABLES:
                raise UsageError(
                    f"{table!r} is not a stored table", hint=f"Stored tables are: {', '.join(schema.TABLES)}."
                )
            folder = self._reading()
            names = schema.TABLES if table is None else (table,)
            return folder.read_consistently(
                lambda ledger: [
                    folder.locate(file).resolve()
                    for name in names
                    for file in sorted(ledger.files(name), key=lambda file: file.record.path)
                ]
            )

    def coverage(self) -> pa.Table:
        """What was read of each stream, and what was not, as of now.

        One row for each span (half-open, UTC): organization_id, kind, region, start_at, end_at, and state: ``covered``,
        ``unread`` (a gap that the API can still fill), ``unreadable`` (a gap for good), or ``purged`` on purpose.

        >>> archive.coverage().column_names
        ['organization_id', 'kind', 'region', 'start_at', 'end_at', 'state']
        """
        import pyarrow as pa

        with hinted():
            streams = stream_coverage(self._reading().ledger(), self._moment())
        rows: list[dict[str, Any]] = []
        for each in streams:
            states = [(span, "covered") for span in each.covered]
            states += [(gap.span, str(gap.reason)) for gap in each.gaps]
            states += [(span, "purged") for span in each.purged]
            rows += [
                {
                    "organization_id": each.stream.organization_id,
                    "kind": each.stream.kind,
                    "region": each.stream.region,
                    "start_at": span.start.replace(tzinfo=None),
                    "end_at": span.end.replace(tzinfo=None),
                    "state": state,
                }
                for span, state in sorted(states)
            ]
        return pa.Table.from_pylist(rows, schema=_coverage_schema())

    def verify(self, *, deep: bool = False, expect_head: str | Head | None = None) -> Verification:
        """Compare every ledger entry and every file with the ledger; with `deep`, every row with its event's bytes.

        `expect_head` is a head that was kept elsewhere, as `head` or as text ``SEQ:HASH``. Raises nothing for what is
        wrong: look at ``is_valid``, ``problems`` (path, kind, reason), ``notes`` and ``not_checked`` of the outcome.

        >>> archive.verify().is_valid
        True
        """
        with hinted():
            expected = parse_head(str(expect_head)) if expect_head is not None else None
            return verify_archive(self._reading().path, deep=deep, expect_head=expected)

    # The engine itself

    def connect(self, *, limits: Limits | None = None) -> duckdb.DuckDBPyConnection:
        """A DuckDB connection in memory with all tables, views and macros of the archive as it is now.

        What is run on it passes no guard, so it opens no file at all (`Limits.sealed`): no COPY, ATTACH or read_csv
        reaches the archive or anything else on the disk. It can have tables of its own, and frames that are
        registered on it. Reading is slower than by `sql`, most of all where a query needs few rows of many.
        Close it, or let go of it; `close` of the archive closes it too.

        >>> connection = archive.connect()
        >>> connection.execute("SELECT count(*) FROM gaps").fetchall()
        [(0,)]
        >>> connection.close()
        """
        with hinted():
            from dataclasses import replace

            now, folder = self._moment(), self._reading()
            sealed = replace(limits or self._limits, sealed=True)
            catalog = folder.read_consistently(
                lambda ledger: open_catalog(folder, ledger, extra=coverage_tables(ledger, now), limits=sealed)
            )
            # The catalog holds its own connection, and goes when the one that is handed out does.
            connection = catalog.connection.cursor()
            weakref.finalize(connection, catalog.close)
            self._remember(connection)
            return connection

    def close(self) -> None:
        """Close what is still open of it: answers that were not read to their end, and connections."""
        with self._lock:
            self._closed = True
            waiting = list(self._open)
            self._open.clear()
        for each in waiting:
            each.close()
        self._engines.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Archive({str(self._folder.path)!r}{', closed' if self._closed else ''})"

    def _moment(self) -> datetime:
        """The present time: given, or the only look at a clock."""
        return self._now or datetime.now(UTC)

    def _reading(self) -> Folder:
        if self._closed:
            raise UsageError("the archive is closed", hint=f"Open it again: Archive({str(self._folder.path)!r}).")
        return self._folder

    def _remember(self, opened: _Closes) -> None:
        with self._lock:
            if not self._closed:
                self._open.add(opened)
                return
        opened.close()

    def _discover(self) -> dict[str, QueryFile]:
        return discover(query_folders(self._queries, directory=Path.cwd()))

    def _ask_quietly(self, sql: str) -> Answer:
        return Answer(self._asking(Question(sql=sql), self._moment(), None, None))

    def _ask(
        self, question: Question, now: datetime, *, strict: bool, limits: Limits | None, timeout_seconds: float | None
    ) -> Answer:
        answer = Answer(self._asking(question, now, limits, timeout_seconds))
        try:
            tell_missing(answer.missing, strict=strict, stacklevel=3)
        except BaseException:
            answer.close()
            raise
        return answer

    def _asking(
        self, question: Question, now: datetime, limits: Limits | None, timeout_seconds: float | None
    ) -> Asking:
        seconds = self._timeout_seconds if timeout_seconds is None else timeout_seconds
        if seconds is not None and not (isinstance(seconds, int | float) and seconds > 0):
            raise UsageError(
                f"timeout_seconds cannot be {seconds!r}", hint="Give a number of seconds, or None for no limit."
            )
        return Asking(
            folder=self._reading(),
            question=question,
            now=now,
            limits=limits or self._limits,
            timeout_seconds=seconds,
            opened=self._remember,
            engines=self._engines,
        )


def _closing_tables(folder: Folder, ledger: Any, extra: Mapping[str, pa.Table], limits: Limits) -> dict[str, list[str]]:
    with open_catalog(folder, ledger, extra=extra, limits=limits) as catalog:
        return catalog.tables()


def _coverage_schema() -> pa.Schema:
    import pyarrow as pa

    texts = {name: pa.string() for name in ("organization_id", "kind", "region")}
    times: dict[str, pa.DataType] = dict.fromkeys(("start_at", "end_at"), schema.TIMESTAMP)
    return pa.schema({**texts, **times, "state": pa.string()})


def _text(text: Any) -> str:
    if not isinstance(text, str):
        raise UsageError(f"{text!r} is not text")
    return text
