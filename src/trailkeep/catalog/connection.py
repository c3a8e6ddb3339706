"""Opening an archive for SQL: exactly its live files, and nothing else of the machine."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from trailkeep.catalog import macros, soundness
from trailkeep.catalog.chosen import chosen_macros
from trailkeep.catalog.memory import leave_room
from trailkeep.catalog.quoting import quote
from trailkeep.catalog.temporary import KeptFolder
from trailkeep.errors import IntegrityViolated, StoreError, UsageError
from trailkeep.store.readers import Hold

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    import duckdb
    import pyarrow as pa

    from trailkeep.catalog.chosen import Needs
    from trailkeep.catalog.readings import Reading
    from trailkeep.catalog.shared import SharedScan
    from trailkeep.catalog.sources import Sources
    from trailkeep.errors import ArchiveDamaged, TrailkeepError
    from trailkeep.store import Archive, Ledger, LiveFile
    from trailkeep.timespan import Span


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a query may use of the machine."""

    memory: str = "1GiB"
    """The engine's memory; beyond it, it sorts and joins on disk."""
    threads: int | None = None
    """None for as many as there are cores."""
    temporary_directory: Path | None = None
    """Where it spills; None for a new folder in the system's place for temporary files, removed afterwards."""
    temporary_disk: str = "20GiB"
    """How much it may spill."""
    sealed: bool = False
    """Whether SQL may open no file at all; the live files are then read on its behalf."""
    mmdb: tuple[Path, ...] = ()
    """The MMDB files that `ip_asn`, `ip_city` and `ip_country` look into."""


MANY_FILES = 4
"""From how many event files on a statement is planned first, to see which of them it needs: planning twice has its
price (measured: 5 to 25 ms of CPU), and a file that is opened for nothing a third of a millisecond."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """The one statement that a connection is opened for."""

    sql: str
    parameters: Mapping[str, Any]
    explained: bool = False
    """Whether somebody wants to know what it reads."""


_LIMITS = {"threads": "threads", "memory_limit": "memory", "max_temp_directory_size": "temporary_disk"}
"""The engine's settings of which somebody else chooses the value, and the names that these have here."""
_LIMITS_HINT = "Write a size as 2GiB or 500MB, and threads as a number from 1."


class Watching(Protocol):
    """Who may end a query while it is being opened."""

    def watch(self, connection: duckdb.DuckDBPyConnection | None) -> None:
        """The connection that is to be interrupted, before anything runs on it; None before it is closed."""

    def check(self) -> None:
        """Raise where the query is to end."""


class _Nobody:
    def watch(self, connection: duckdb.DuckDBPyConnection | None) -> None:
        """Nobody interrupts it."""

    def check(self) -> None:
        """Nobody ends it."""


class Folder(Protocol):
    """A folder for temporary files."""

    @property
    def name(self) -> str:
        """Its path."""

    def cleanup(self) -> None:
        """Remove it."""


class Borrowed:
    """A folder that belongs to somebody else."""

    name = ""

    def cleanup(self) -> None:
        """Leave it as it is."""


class Catalog:
    """A locked connection with the archive's views; close it, or use it in a ``with`` block."""

    def __init__(
        self,
        connection: duckdb.DuckDBPyConnection,
        files: dict[str, LiveFile],
        spill: Folder,
        hold: Hold | None = None,
    ) -> None:
        self.connection = connection
        self.files = files
        """The live files behind the views, by the path that is opened."""
        self.readings: list[Reading] = []
        """What is read of each event table, where that is to be explained."""
        self.sources: Sources | None = None
        self.rows: Mapping[str, str | None] = {}
        """What `sources` are to be told of the tables."""
        self._spill = spill
        self._hold = hold

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def cursor(self) -> Catalog:
        """The same catalog for another statement; closing it leaves this one as it is."""
        return Catalog(self.connection.cursor(), self.files, Borrowed())

    def close(self) -> None:
        """End what is running and give back memory and temporary disk."""
        try:
            self.connection.close()
            self._spill.cleanup()
        finally:
            if self._hold is not None:
                self._hold.release()

    def empty(self) -> None:
        """Take the rows out of the event tables, so that it takes no time to look at a statement, until `fill`."""
        if self.sources is not None:
            self.sources.tell(self.connection, dict.fromkeys(self.rows))

    def fill(self) -> None:
        """Give the event tables their rows again; what was looked at before runs on these."""
        if self.sources is not None:
            self.sources.tell(self.connection, self.rows)

    def tables(self) -> dict[str, list[str]]:
        """The columns of every view and table that was asked for, by its name."""
        rows = self.connection.cursor().execute(
            "SELECT table_name, column_name FROM information_schema.columns "
            "WHERE table_schema = 'main' ORDER BY table_name, ordinal_position"
        )
        found: dict[str, list[str]] = {}
        for table, column in rows.fetchall():
            found.setdefault(table, []).append(column)
        return found

    def damaged_file(self, message: str) -> ArchiveDamaged | None:
        """What an engine's error `message` that names a live file means; None where it names none."""
        for path, file in self.files.items():
            if path in message:
                return soundness.unreadable(file, message.split("\n")[0])
        return None

    def find_damaged(self) -> ArchiveDamaged | IntegrityViolated | None:
        """What is wrong with the first live file that is not as the ledger says; reads all, so ask after a failure."""
        for path, file in self.files.items():
            try:
                soundness.check_file(path, file)
            except (StoreError, IntegrityViolated) as error:
                return error  # type: ignore[return-value] # of the store's errors it raises only this one
        return None


def connect() -> duckdb.DuckDBPyConnection:
    """An empty database in memory, of which nothing is locked yet."""
    import duckdb

    return duckdb.connect(":memory:", config={"python_enable_replacements": False})


def open_catalog(
    archive: Archive,
    ledger: Ledger,
    *,
    extra: Mapping[str, pa.Table] | None = None,
    span: Span | None = None,
    limits: Limits | None = None,
    needs: Needs | None = None,
    watching: Watching | None = None,
    connection: duckdb.DuckDBPyConnection | None = None,
    shared: SharedScan | None = None,
    asked: Asked | None = None,
) -> Catalog:
    """A connection to exactly the live files of `ledger`, with all views and macros, or only those that `needs` names.

    `extra` become tables of their names. With `span`, the three event tables, and what is made of them, hold only its
    rows. With `shared`, rows that many statements read are read now, and views that take long are worked out once.
    `connection` is one of `connect` that nothing was made on; it is closed with the catalog. With `asked`, the one
    statement that is to be run and its parameters, event files that hold nothing of use to it are left out where there
    are many; a transaction is open then, in which it is to be run.

    Raises ArchiveDamaged, with the file's name, where a live file of these tables is missing, has another length than
    the ledger says, or cannot be opened; IntegrityViolated where its bytes are others.
    """
    import duckdb

    limits, watched = limits or Limits(), watching or _Nobody()
    spill = spill_folder(limits.temporary_directory, kept=shared is not None)
    connection = connection or connect()
    catalog = Catalog(connection, {}, spill, Hold(archive.path))
    try:
        watched.watch(connection)
        if needs is None or needs.tables:
            from trailkeep import schema
            from trailkeep.catalog.building import Building
            from trailkeep.catalog.sources import Sources

            sources = Sources(schema.EVENT_TABLES.values()) if asked is not None and needs and shared is None else None
            building = Building(archive, ledger, needs, span, shared, sources=sources)
            catalog.files.update(building.place())
            many = building.event_files >= MANY_FILES
            rehearsed = asked if shared is None and asked and (many or asked.explained) else None

            def sound(files: Mapping[str, LiveFile]) -> None:
                root = archive.path.resolve()
                soundness.check_files(files, root, archive.archive_id, check_stopped=watched.check)

            sound({path: file for path, file in catalog.files.items() if rehearsed is None or not building.grows(file)})
            if shared is not None:
                shared.attach(connection, Path(spill.name))
            configure(connection, limits, Path(spill.name))
            names = None
            if building.needs_event_names:
                from trailkeep.catalog.event_names import event_names

                # They stand in other files, too, of which SQL that is run later is to open none.
                names = event_names(archive, ledger, connection, check_stopped=watched.check)
            close_ways_out(connection, [] if limits.sealed else list(catalog.files))
            rehearsal = building.rehearse(connection) if rehearsed is not None else None
            building.build(connection, extra or {}, names, sealed=limits.sealed, check_stopped=watched.check)
            _create_functions(connection, needs, limits)
            if rehearsal is not None and rehearsed is not None:
                catalog.files = building.narrow(
                    rehearsal.conditions(rehearsed.sql, rehearsed.parameters), leave_out=many
                )
                sound(catalog.files)
                catalog.readings = building.readings() if rehearsed.explained else []
                building.settle(connection, sealed=limits.sealed)
            if sources is not None:
                catalog.sources, catalog.rows = sources, building.rows(connection, sealed=limits.sealed)
                catalog.fill()
        else:
            configure(connection, limits, Path(spill.name))
            close_ways_out(connection, [])
            for statement in chosen_macros(macros.statements(needs.functions), needs.functions, ()):
                connection.execute(statement)
            _create_functions(connection, needs, limits)
        connection.execute("SET lock_configuration = true")
    except duckdb.Error as error:
        watched.watch(None)
        damage: TrailkeepError | None = catalog.damaged_file(str(error))
        catalog.close()
        watched.check()
        damage = damage or catalog.find_damaged()
        raise damage or StoreError(f"the archive {archive.path} cannot be opened for SQL: {error}") from error
    except BaseException:
        watched.watch(None)
        catalog.close()
        raise
    return catalog


def _create_functions(connection: duckdb.DuckDBPyConnection, needs: Needs | None, limits: Limits) -> None:
    if needs is None or any(name.startswith("ip_") for name in needs.functions):
        from trailkeep.catalog.addresses import create_functions

        create_functions(connection, None if needs is None else needs.functions, limits.mmdb)


def configure(connection: duckdb.DuckDBPyConnection, limits: Limits, spill: Path) -> None:
    """Set how the connection works and how much it may use. Raises UsageError for a limit that is none."""
    import duckdb

    settings = {
        # For all of the database: cursors of it, which `.connect()` of the Python API hands out, are in UTC, too.
        "GLOBAL TimeZone": "'UTC'",
        # Where it takes the process for an interactive one, the engine would draw on stdout.
        "enable_progress_bar": "false",
        # A statement names a table many times over, through views: each time its files' footers would be read again.
        "parquet_metadata_cache": "true",
        "memory_limit": quote(limits.memory),
        "temp_directory": quote(str(spill)),
        "max_temp_directory_size": quote(limits.temporary_disk),
    }
    if limits.threads is not None:
        settings = {"threads": str(limits.threads), **settings}
    for name, value in settings.items():
        try:
            connection.execute(f"SET {name} = {value}")
        except duckdb.Error as error:
            if name not in _LIMITS:
                raise
            reason = str(error).partition(": ")[2] or str(error)
            raise UsageError(f"the limit {_LIMITS[name]} cannot be {value}: {reason}", hint=_LIMITS_HINT) from error
    leave_room(connection)


def close_ways_out(connection: duckdb.DuckDBPyConnection, files: list[str]) -> None:
    """Leave the connection these files and nothing else to open; `lock_configuration` follows after the views."""
    settings = {
        "allowed_paths": "[" + ", ".join(map(quote, files)) + "]",
        "allow_community_extensions": "false",
        "enable_external_access": "false",
    }
    for name, value in settings.items():
        connection.execute(f"SET {name} = {value}")


def spill_folder(place: Path | None, *, kept: bool) -> tempfile.TemporaryDirectory[str] | KeptFolder:
    """A folder for temporary files; what is `kept` in it may be much, and a later run removes it after a crash."""
    try:
        if kept:
            return KeptFolder(place)
        return tempfile.TemporaryDirectory(prefix="trailkeep-", dir=place, ignore_cleanup_errors=True)
    except OSError as error:
        raise UsageError(
            f"the folder for temporary files {str(place or tempfile.gettempdir())!r} cannot be written to: "
            f"{error.strerror or error}",
            hint="Name a folder that is there and that you may write to.",
        ) from error
