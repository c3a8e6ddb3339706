"""Giving a connection its views and macros: all of them, or those that one statement needs."""

from __future__ import annotations

import os
from itertools import groupby
from typing import TYPE_CHECKING

from trailkeep import schema
from trailkeep.catalog import macros, people, views
from trailkeep.catalog.chosen import EXTRA, LEDGER, Needs, chosen_macros, chosen_views
from trailkeep.catalog.conditions import EVERYTHING, takes_file
from trailkeep.catalog.event_names import in_one_table
from trailkeep.catalog.first_seen import first_seen
from trailkeep.catalog.ledger_rows import ledger_table
from trailkeep.catalog.quoting import name_of
from trailkeep.catalog.readings import INDEX, TIME, Reading, why
from trailkeep.catalog.rehearsing import CHANGED_VIEWS, Rehearsal
from trailkeep.catalog.shared import FIRST_SEEN, create_first_seen_planned
from trailkeep.errors import StoreError
from trailkeep.pivots.narrowing import narrowed, together
from trailkeep.store import layout

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import duckdb
    import pyarrow as pa

    from trailkeep.catalog.conditions import Boxes, Conditions
    from trailkeep.catalog.shared import SharedScan
    from trailkeep.catalog.sources import Sources
    from trailkeep.store import Archive, Ledger, LiveFile
    from trailkeep.timespan import Span

EVENT_NAMES = "parts.event_names"
"""The table of the names that events give to principals."""

_EVENT_TABLES = frozenset(table.name for table in schema.EVENT_TABLES.values())

_GLOB_CHARACTERS = frozenset("*?[]{}\\")
"""What the engine reads as a pattern, whatever the quoting."""


def _is_unicode(text: str) -> bool:
    return not any("\ud800" <= character <= "\udfff" for character in text)


def table_names() -> frozenset[str]:
    """The names of all tables and views that SQL may name without a schema."""
    stored = {table.name for table in schema.TABLES.values()}
    of_views = {name.removeprefix("main.") for name in views.OF_VIEWS if name.startswith("main.")}
    return frozenset({*stored, *of_views, LEDGER, *EXTRA})


class Building:
    """What one connection is given."""

    def __init__(
        self,
        archive: Archive,
        ledger: Ledger,
        needs: Needs | None,
        span: Span | None,
        shared: SharedScan | None = None,
        *,
        sources: Sources | None = None,
        planned_only: bool = False,
    ) -> None:
        """With `shared` its rows are read once; what is `planned_only` has empty tables and reads none at all.

        With `sources` the event tables are empty until they are told `rows`.
        """
        self._shared = shared
        self._sources = sources
        self._planned_only = planned_only
        self._archive = archive
        self._ledger = ledger
        self._functions = None if needs is None else needs.functions
        self._texts = views.OF_VIEWS if needs is None or needs.names else views.WITHOUT_NAMES
        if needs is not None and needs.branches is not None:
            self._texts = self._texts | {FIRST_SEEN: first_seen(needs.branches)}
        self._chosen = None if needs is None else chosen_views(needs, self._texts)
        self._span = span
        self._placed: dict[str, list[tuple[str, LiveFile]]] = {}
        self._rehearsal: Rehearsal | None = None
        self._conditions: Conditions = {}
        self._within: dict[str, list[Span]] = {}
        """The spans of time in which a table's rows of use are, where the pivot index knows them."""

    def place(self) -> dict[str, LiveFile]:
        """Where the live files of the tables lie, by the path that is to be opened.

        Raises ArchiveDamaged for one that is not there.
        """
        root = self._archive.path.resolve()
        if not _is_unicode(str(root)):
            raise StoreError(
                f"the archive's path {str(root)!a} is not valid Unicode, which the query engine cannot open",
                hint="Rename the folder.",
            )
        if _GLOB_CHARACTERS & set(str(root)):
            raise StoreError(
                f"the archive's path {str(root)!r} holds a character that the query engine reads as a pattern",
                hint="Rename the folder without any of * ? [ ] { } and the backslash.",
            )
        files: dict[str, LiveFile] = {}
        for table in self._tables():
            live = sorted(self._ledger.files(table.name, self._span_of(table)), key=lambda file: file.record.path)
            placed = [(self._path_of(root, file), file) for file in live]
            self._placed[table.name] = placed
            files.update(placed)
        return files

    def _path_of(self, root: Path, file: LiveFile) -> str:
        # There are hundreds of files, and paths as text are made and asked ten times as fast.
        place = f"{root}/{file.record.path}"
        if os.path.exists(place):  # noqa: PTH110
            return place
        return str(root / self._archive.locate(file).relative_to(self._archive.path))

    @property
    def event_files(self) -> int:
        """How many of the files that were placed grow in number with the years."""
        return sum(len(self._placed.get(name, ())) for name in _EVENT_TABLES)

    def grows(self, file: LiveFile) -> bool:
        """Whether the file is one of those."""
        return file.table in _EVENT_TABLES

    def rehearse(self, connection: duckdb.DuckDBPyConnection) -> Rehearsal:
        """Have `build` make the event tables of empty stand-ins, until `settle`."""
        tables = [table for table in self._tables() if table in schema.EVENT_TABLES.values()]
        self._rehearsal = Rehearsal(connection, tables)
        return self._rehearsal

    def narrow(self, conditions: Conditions, *, leave_out: bool = True) -> dict[str, LiveFile]:
        """Leave out the files of event tables that hold nothing of use by these conditions; gives those that stay."""
        self._conditions = conditions
        for name, boxes in conditions.items() if leave_out else ():
            placed = [each for each in self._placed.get(name, ()) if takes_file(boxes, each[1])]
            self._placed[name], self._within[name] = self._by_pivots(name, boxes, placed)
        return {path: file for placed in self._placed.values() for path, file in placed}

    def _by_pivots(
        self, table: str, boxes: Boxes, placed: list[tuple[str, LiveFile]]
    ) -> tuple[list[tuple[str, LiveFile]], list[Span]]:
        """Those of the files that may hold the values looked for, and the spans of time that do; [] for all."""
        found = narrowed(
            self._archive.path / layout.CACHE, self._archive.archive_id, table, boxes, [file for _path, file in placed]
        )
        paths = {file.record.path for file, _spans in found}
        kept = [each for each in placed if each[1].record.path in paths]
        spans = [span for _file, each in found for span in each or ()]
        return kept, [] if any(each is None for _file, each in found) else together(spans)

    def readings(self) -> list[Reading]:
        """What is read of each event table, after `narrow`."""
        found = []
        for table in self._tables():
            if table.name in _EVENT_TABLES:
                boxes = self._conditions.get(table.name, EVERYTHING)
                files = dict(self._placed.get(table.name, ()))
                kept = {file.record.path for file in files.values()}
                others = [file for file in self._ledger.files(table.name) if file.record.path not in kept]
                left_out = [(file, self._left_out_by(table, boxes, file)) for file in others]
                found.append(Reading(table=table.name, boxes=boxes, files=files, left_out=left_out))
        return found

    def _left_out_by(self, table: schema.Table, boxes: Boxes, file: LiveFile) -> str:
        if (span := self._span_of(table)) is not None and not file.touches(span):
            return TIME
        return INDEX if takes_file(boxes, file) else why(boxes, file)

    def settle(self, connection: duckdb.DuckDBPyConnection, *, sealed: bool) -> None:
        """Put the event tables as they are in the place of their stand-ins."""
        assert self._rehearsal is not None
        rehearsal, self._rehearsal = self._rehearsal, None
        if self._sources is not None:
            self._sources.create(connection, rehearsal.tables)
        for table in rehearsal.tables if self._sources is None else ():
            view = self._view(connection, table, sealed=sealed)
            connection.execute(view.replace("CREATE VIEW", "CREATE OR REPLACE VIEW", 1))
        for name, text in self._texts.items():
            if name in CHANGED_VIEWS and self._needs(name):
                connection.execute(text.replace("CREATE VIEW", "CREATE OR REPLACE VIEW", 1))

    def rows(self, connection: duckdb.DuckDBPyConnection, *, sealed: bool = False) -> dict[str, str | None]:
        """What `sources` are to be told of each event table, after `narrow`; None for those without rows of use."""
        found: dict[str, str | None] = {}
        for table in self._told():
            found[table.name] = None
            if self._placed.get(table.name):
                selections = self._selections(connection, table, sealed=sealed)
                found[table.name] = views.rows_of(table, selections, span=self._span_of(table))
        return found

    def _told(self) -> list[schema.Table]:
        """The tables whose rows `sources` are told."""
        return [table for table in self._tables() if table.name in _EVENT_TABLES]

    @property
    def is_of_events_alone(self) -> bool:
        """Whether all of it is made of event tables and of nothing else that the archive holds."""
        return not self.needs_event_names and all(table.name in _EVENT_TABLES for table in self._tables())

    @property
    def needs_event_names(self) -> bool:
        """Whether the names that events give to principals are to be collected."""
        return self._needs(EVENT_NAMES)

    def build(
        self,
        connection: duckdb.DuckDBPyConnection,
        extra: Mapping[str, pa.Table],
        names: pa.Table | None,
        *,
        sealed: bool = False,
        check_stopped: Callable[[], None] = lambda: None,
    ) -> None:
        """Create all of it on a connection; `place` comes first. `names` are those that events give to principals."""
        of_views = {name: text for name, text in self._texts.items() if self._needs(name)}
        connection.execute("CREATE SCHEMA parts")
        self._create_macros(connection, of_views)
        if self._rehearsal is not None:
            of_views = self._rehearsal.begin(of_views)
        if self._shared is not None:
            self._shared.begin(self._placed)
        told = self._told() if self._sources is not None and self._rehearsal is None else []
        if self._sources is not None:
            self._sources.create(connection, told)
        for table in self._tables():
            if table in told:
                continue
            placed = self._placed.get(table.name, [])
            if self._shared is not None and table.name in self._shared.columns:
                self._shared.load(connection, table, placed, self._parts, check_stopped)
                continue
            view = self._view(connection, table, sealed=sealed)
            connection.execute(view.replace("CREATE VIEW", "CREATE TABLE", 1) if self._planned_only else view)
        self._create_names(connection, names)
        for name, statement in of_views.items():
            # Others are made of it several times over: it is small, and worked out once.
            once = name == "parts.principal_versions"
            check_stopped()
            if name == FIRST_SEEN and self._shared is not None:
                self._shared.create_first_seen(connection, statement, check_stopped)
                continue
            if name == FIRST_SEEN and self._planned_only:
                create_first_seen_planned(connection, statement)
                continue
            connection.execute(statement.replace("CREATE VIEW", "CREATE TABLE", 1) if once else statement)
        self._create_tables(connection, extra)

    def _view(self, connection: duckdb.DuckDBPyConnection, table: schema.Table, *, sealed: bool) -> str:
        """The statement that creates the table's view."""
        if self._rehearsal is not None and table in self._rehearsal.tables:
            return views.view_of(table, [self._rehearsal.selection(table)], span=self._span_of(table))
        return views.view_of(table, self._selections(connection, table, sealed=sealed), span=self._span_of(table))

    def _selections(self, connection: duckdb.DuckDBPyConnection, table: schema.Table, *, sealed: bool) -> list[str]:
        """What selects the table's rows of use from its files."""
        placed = self._placed.get(table.name, [])
        parts = self._sealed_parts(connection, table, placed) if sealed else self._parts(table, placed)
        terms = views.of_use(table, self._conditions.get(table.name, ()))
        if within := self._within.get(table.name):
            terms.append(f"({views.within(table, within)})")
        return [f"{part} WHERE {' AND '.join(terms)}" for part in parts] if terms else parts

    def _create_macros(self, connection: duckdb.DuckDBPyConnection, of_views: Mapping[str, str]) -> None:
        if self._functions is None:
            statements = list(macros.statements())
        else:
            statements = chosen_macros(macros.statements(self._functions), self._functions, of_views.values())
        for statement in statements:
            connection.execute(statement)

    def _create_names(self, connection: duckdb.DuckDBPyConnection, names: pa.Table | None) -> None:
        if not self.needs_event_names:
            return
        if names is None:
            connection.execute(people.EVENT_NAMES_EMPTY)
            return
        connection.register("_arrow", names)
        connection.execute(f"CREATE TABLE {EVENT_NAMES} AS {in_one_table('_arrow')}")
        connection.unregister("_arrow")

    def _create_tables(self, connection: duckdb.DuckDBPyConnection, extra: Mapping[str, pa.Table]) -> None:
        wanted = {name: rows for name, rows in extra.items() if self._needs(f"main.{name}")}
        if self._needs(f"main.{LEDGER}"):
            wanted[LEDGER] = ledger_table(self._ledger)
        for name, rows in sorted(wanted.items()):
            connection.register("_arrow", rows)
            connection.execute(f"CREATE TABLE {name_of(name)} AS SELECT * FROM _arrow")  # noqa: S608 - quoted
            connection.unregister("_arrow")

    def _needs(self, name: str) -> bool:
        return self._chosen is None or name in self._chosen

    def _tables(self) -> list[schema.Table]:
        return [table for table in schema.STORED_TABLES.values() if self._needs(views.full_name(table))]

    def _span_of(self, table: schema.Table) -> Span | None:
        return self._span if table in schema.EVENT_TABLES.values() else None

    def _parts(self, table: schema.Table, placed: list[tuple[str, LiveFile]]) -> list[str]:
        """The table read by the engine itself."""
        root = str(self._archive.path.resolve())
        in_place: list[str] = []
        apart: list[tuple[str, Mapping[str, str]]] = []
        for path, file in placed:
            if "=" in root or path != f"{root}/{file.record.path}":
                apart.append((path, file.partition))
            else:
                in_place.append(path)
        return views.parquet_parts(table, in_place=in_place, apart=apart)

    def _sealed_parts(
        self, connection: duckdb.DuckDBPyConnection, table: schema.Table, placed: list[tuple[str, LiveFile]]
    ) -> list[str]:
        """The table read by Arrow, a data set for each partition: the engine opens no file.

        The engine passes columns and conditions on to Arrow.
        """
        import pyarrow.dataset as ds

        read_as = views.arrow_schema(table)
        parts: list[str] = []
        # The views are made in the schema that is in use; nothing else says where.
        connection.execute("USE parts")
        in_order = sorted(placed, key=lambda each: sorted(each[1].partition.items()))
        for partition, files in groupby(in_order, key=lambda each: each[1].partition):
            rows = ds.dataset([path for path, _file in files], format="parquet", schema=read_as)
            name = f"{table.name.replace('/', '_')}_{len(parts)}"
            connection.from_arrow(rows).create_view(name)
            parts.append(views.partition_part(table, f"parts.{name_of(name)}", partition))
        connection.execute("USE main")
        return parts
