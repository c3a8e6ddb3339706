"""Opening an archive for SQL: exactly its live files, and nothing else of the machine."""

from __future__ import annotations

import hashlib
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from trailkeep import schema
from trailkeep.catalog import macros, views
from trailkeep.catalog.ledger_rows import ledger_table
from trailkeep.errors import ArchiveDamaged, StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import TracebackType
    from typing import Self

    import duckdb
    import pyarrow as pa

    from trailkeep.store import Archive, Ledger, LiveFile
    from trailkeep.timespan import Span

_GLOB_CHARACTERS = frozenset("*?[]{}\\")
"""What the engine reads as a pattern, whatever the quoting."""


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


class Catalog:
    """A locked connection with the archive's views; close it, or use it in a ``with`` block."""

    def __init__(
        self, connection: duckdb.DuckDBPyConnection, files: dict[str, LiveFile], spill: tempfile.TemporaryDirectory[str]
    ) -> None:
        self.connection = connection
        self.files = files
        """The live files behind the views, by the path that the engine opens."""
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
        """The columns of every view and table, by its name."""
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
                return _damaged(file, message.split("\n")[0])
        return None

    def find_damaged(self) -> ArchiveDamaged | None:
        """The first live file whose bytes are not those of the ledger; reads every file, so ask after a failure."""
        for path, file in self.files.items():
            try:
                with Path(path).open("rb") as content:
                    digest = hashlib.file_digest(content, "sha256").hexdigest()
            except OSError as error:
                return _damaged(file, error.strerror or str(error))
            if digest != file.record.sha256:
                return _damaged(file, "its bytes are not those that the ledger has the SHA-256 of")
        return None


def open_catalog(
    archive: Archive,
    ledger: Ledger,
    *,
    extra: Mapping[str, pa.Table] | None = None,
    span: Span | None = None,
    limits: Limits | None = None,
) -> Catalog:
    """A connection to exactly the live files of `ledger`, with all views and macros.

    `extra` become tables of their names. With `span`, the three event tables, and what is made of them, hold only its
    rows. Raises ArchiveDamaged, with the file's name, where a live file is missing, has another length than the
    ledger says, or cannot be opened.
    """
    import duckdb

    limits = limits or Limits()
    spill = tempfile.TemporaryDirectory(prefix="trailkeep-", dir=limits.temporary_directory, ignore_cleanup_errors=True)
    connection = duckdb.connect(":memory:", config={"python_enable_replacements": False})
    catalog = Catalog(connection, {}, spill)
    try:
        placed = _place(archive, ledger, span, catalog.files)
        _configure(connection, limits, Path(spill.name), list(catalog.files))
        for statement in macros.MACROS:
            connection.execute(statement)
        connection.execute("CREATE SCHEMA parts")
        for table in schema.TABLES.values():
            in_place, apart = placed[table.name]
            connection.execute(views.table_view(table, in_place=in_place, apart=apart, span=_span_of(table, span)))
        for statement in (views.EVERY_EVENT, views.EVENTS, views.EVENT_RESOURCES, views.REVISIONS_VIEW):
            connection.execute(statement)
        for name, rows in {"ledger": ledger_table(ledger), **(extra or {})}.items():
            connection.register("_arrow", rows)
            connection.execute(f"CREATE TABLE {views.name_of(name)} AS SELECT * FROM _arrow")  # noqa: S608 - quoted
            connection.unregister("_arrow")
        connection.execute("SET lock_configuration = true")
    except duckdb.Error as error:
        damage = catalog.damaged_file(str(error)) or catalog.find_damaged()
        catalog.close()
        raise damage or StoreError(f"the archive {archive.path} cannot be opened for SQL: {error}") from error
    except BaseException:
        catalog.close()
        raise
    return catalog


def _configure(connection: duckdb.DuckDBPyConnection, limits: Limits, spill: Path, files: list[str]) -> None:
    """Set the limits and close every way out of the connection; `lock_configuration` follows after the views."""
    settings = {
        "TimeZone": "'UTC'",
        "memory_limit": views.quote(limits.memory),
        "temp_directory": views.quote(str(spill)),
        "max_temp_directory_size": views.quote(limits.temporary_disk),
        "allowed_paths": "[" + ", ".join(map(views.quote, files)) + "]",
        "allow_community_extensions": "false",
        "enable_external_access": "false",
    }
    if limits.threads is not None:
        settings = {"threads": str(limits.threads), **settings}
    for name, value in settings.items():
        connection.execute(f"SET {name} = {value}")


def _span_of(table: schema.Table, span: Span | None) -> Span | None:
    return span if table in schema.EVENT_TABLES.values() else None


_Placed = tuple[list[Path], list[tuple[Path, "Mapping[str, str]"]]]


def _place(archive: Archive, ledger: Ledger, span: Span | None, files: dict[str, LiveFile]) -> dict[str, _Placed]:
    """Where each table's live files lie: those in their place, and those whose path does not say the partition.

    Every file's length is compared with the ledger's: a file that lost its end must not answer with fewer rows.
    """
    root = archive.path.resolve()
    if _GLOB_CHARACTERS & set(str(root)):
        raise StoreError(
            f"the archive's path {str(root)!r} holds a character that the query engine reads as a pattern",
            hint="Rename the folder without any of * ? [ ] { } and the backslash.",
        )
    placed: dict[str, _Placed] = {}
    for table in schema.TABLES.values():
        in_place: list[Path] = []
        apart: list[tuple[Path, Mapping[str, str]]] = []
        for file in sorted(ledger.files(table.name, _span_of(table, span)), key=lambda file: file.record.path):
            path = root / archive.locate(file).relative_to(archive.path)
            _check_length(file, path)
            files[str(path)] = file
            if "=" in str(root) or path != root / file.record.path:
                apart.append((path, file.partition))
            else:
                in_place.append(path)
        placed[table.name] = in_place, apart
    return placed


def _check_length(file: LiveFile, path: Path) -> None:
    try:
        length = path.stat().st_size
    except OSError as error:
        raise _damaged(file, error.strerror or str(error)) from error
    if length != file.record.bytes:
        raise _damaged(file, f"it has {length} bytes, and the ledger says {file.record.bytes}")


def _damaged(file: LiveFile, reason: str) -> ArchiveDamaged:
    return ArchiveDamaged(
        f"{file.record.path} cannot be read: {reason}",
        hint="Restore the file from a copy of the archive; its SHA-256 is in the ledger.",
    )
