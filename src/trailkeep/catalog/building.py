"""Giving a connection its views and macros: all of them, or those that one statement needs."""

from __future__ import annotations

from itertools import groupby
from typing import TYPE_CHECKING

from trailkeep import schema
from trailkeep.catalog import macros, people, views
from trailkeep.catalog.chosen import EXTRA, LEDGER, Needs, chosen_macros, chosen_views
from trailkeep.catalog.event_names import in_one_table
from trailkeep.catalog.first_seen import first_seen
from trailkeep.catalog.ledger_rows import ledger_table
from trailkeep.catalog.shared import FIRST_SEEN, create_first_seen_planned
from trailkeep.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    import duckdb
    import pyarrow as pa

    from trailkeep.catalog.shared import SharedScan
    from trailkeep.store import Archive, Ledger, LiveFile
    from trailkeep.timespan import Span

EVENT_NAMES = "parts.event_names"
"""The table of the names that events give to principals."""

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
        planned_only: bool = False,
    ) -> None:
        """With `shared` its rows are read once; what is `planned_only` has empty tables and reads none at all."""
        self._shared = shared
        self._planned_only = planned_only
        self._archive = archive
        self._ledger = ledger
        self._functions = None if needs is None else needs.functions
        self._texts = views.OF_VIEWS if needs is None or needs.names else views.WITHOUT_NAMES
        if needs is not None and needs.branches is not None:
            self._texts = self._texts | {FIRST_SEEN: first_seen(needs.branches)}
        self._chosen = None if needs is None else chosen_views(needs, self._texts)
        self._span = span
        self._placed: dict[str, list[tuple[Path, LiveFile]]] = {}

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
            placed = [(root / self._archive.locate(file).relative_to(self._archive.path), file) for file in live]
            self._placed[table.name] = placed
            files |= {str(path): file for path, file in placed}
        return files

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
        if self._shared is not None:
            self._shared.begin(self._placed)
        for table in self._tables():
            placed = self._placed.get(table.name, [])
            if self._shared is not None and table.name in self._shared.columns:
                self._shared.load(connection, table, placed, self._parts, check_stopped)
                continue
            parts = self._sealed_parts(connection, table, placed) if sealed else self._parts(table, placed)
            view = views.view_of(table, parts, span=self._span_of(table))
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
            connection.execute(f"CREATE TABLE {views.name_of(name)} AS SELECT * FROM _arrow")  # noqa: S608 - quoted
            connection.unregister("_arrow")

    def _needs(self, name: str) -> bool:
        return self._chosen is None or name in self._chosen

    def _tables(self) -> list[schema.Table]:
        return [table for table in schema.STORED_TABLES.values() if self._needs(views.full_name(table))]

    def _span_of(self, table: schema.Table) -> Span | None:
        return self._span if table in schema.EVENT_TABLES.values() else None

    def _parts(self, table: schema.Table, placed: list[tuple[Path, LiveFile]]) -> list[str]:
        """The table read by the engine itself."""
        root = self._archive.path.resolve()
        in_place: list[Path] = []
        apart: list[tuple[Path, Mapping[str, str]]] = []
        for path, file in placed:
            if "=" in str(root) or path != root / file.record.path:
                apart.append((path, file.partition))
            else:
                in_place.append(path)
        return views.parquet_parts(table, in_place=in_place, apart=apart)

    def _sealed_parts(
        self, connection: duckdb.DuckDBPyConnection, table: schema.Table, placed: list[tuple[Path, LiveFile]]
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
            rows = ds.dataset([str(path) for path, _file in files], format="parquet", schema=read_as)
            name = f"{table.name.replace('/', '_')}_{len(parts)}"
            connection.from_arrow(rows).create_view(name)
            parts.append(views.partition_part(table, f"parts.{views.name_of(name)}", partition))
        connection.execute("USE main")
        return parts
