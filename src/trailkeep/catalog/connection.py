"""Opening an archive for SQL: exactly its live files, and nothing else of the machine."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from trailkeep.catalog import macros, soundness
from trailkeep.catalog.chosen import chosen_macros
from trailkeep.errors import IntegrityViolated, StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    import duckdb
    import pyarrow as pa

    from trailkeep.catalog.chosen import Needs
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


class Catalog:
    """A locked connection with the archive's views; close it, or use it in a ``with`` block."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, files: dict[str, LiveFile], spill: tempfile.TemporaryDirectory[str]
    ) -> None:
        self.connection = connection
        self.files = files
        """The live files behind the views, by the path that is opened."""
        self._spill = spill

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End what is running and give back memory and temporary disk."""
        self.connection.close()
        self._spill.cleanup()

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
) -> Catalog:
    """A connection to exactly the live files of `ledger`, with all views and macros, or only those that `needs` names.

    `extra` become tables of their names. With `span`, the three event tables, and what is made of them, hold only its
    rows. `connection` is one of `connect` that nothing was made on; it is closed with the catalog.

    Raises ArchiveDamaged, with the file's name, where a live file of these tables is missing, has another length than
    the ledger says, or cannot be opened; IntegrityViolated where its bytes are others.
    """
    import duckdb

    limits, watched = limits or Limits(), watching or _Nobody()
    spill = tempfile.TemporaryDirectory(prefix="trailkeep-", dir=limits.temporary_directory, ignore_cleanup_errors=True)
    connection = connection or connect()
    catalog = Catalog(connection, {}, spill)
    try:
        watched.watch(connection)
        if needs is None or needs.tables:
            from trailkeep.catalog.building import Building

            building = Building(archive, ledger, needs, span)
            catalog.files.update(building.place())
            soundness.check_files(
                catalog.files, archive.path.resolve(), archive.archive_id, check_stopped=watched.check
            )
            _configure(connection, limits, Path(spill.name), [] if limits.sealed else list(catalog.files))
            building.build(connection, extra or {}, sealed=limits.sealed)
        else:
            _configure(connection, limits, Path(spill.name), [])
            for statement in chosen_macros(macros.MACROS, needs.functions, ()):
                connection.execute(statement)
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


def _configure(connection: duckdb.DuckDBPyConnection, limits: Limits, spill: Path, files: list[str]) -> None:
    """Set the limits and close every way out of the connection; `lock_configuration` follows after the views."""
    settings = {
        "TimeZone": "'UTC'",
        "memory_limit": _quote(limits.memory),
        "temp_directory": _quote(str(spill)),
        "max_temp_directory_size": _quote(limits.temporary_disk),
        "allowed_paths": "[" + ", ".join(map(_quote, files)) + "]",
        "allow_community_extensions": "false",
        "enable_external_access": "false",
    }
    if limits.threads is not None:
        settings = {"threads": str(limits.threads), **settings}
    for name, value in settings.items():
        connection.execute(f"SET {name} = {value}")


def _quote(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
