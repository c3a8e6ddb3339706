"""The names that events themselves give to principals, collected once for each segment and kept in a cache.

They stand among the resources of all events, so that finding them is a scan of everything. What a segment says never
changes, so it is remembered under the segment's SHA-256: beside the memory of `trailkeep.catalog.soundness`, in the
user's own folder for caches, since a query writes nothing into the archive, whose folder may not even be writable. The
names are put together by month, which is what a segment never spans: however events came to lie in segments, the result
is the same. All of it may be lost at any time.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from typing import TYPE_CHECKING

from trailkeep import schema
from trailkeep.catalog import people, soundness

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from pathlib import Path

    import duckdb
    import pyarrow as pa

    from trailkeep.store import Archive, Ledger, LiveFile

_FORMAT = b"trailkeep names 1\n"
_FILES_AT_ONCE = 64


def event_names(
    archive: Archive,
    ledger: Ledger,
    connection: duckdb.DuckDBPyConnection,
    *,
    check_stopped: Callable[[], None] = lambda: None,
) -> pa.Table:
    """The names in the live files of `ledger`, by segment; `connection` may read those files.

    Raises ArchiveDamaged and IntegrityViolated for a file that has to be read and is not as the ledger says, and what
    `check_stopped`, which is called again and again, raises.
    """
    import pyarrow as pa

    files = {
        file.record.sha256: file for table in schema.EVENT_TABLES.values() for file in _of_trail(ledger, table.name)
    }
    cache = _Cache(archive)
    held, covered = cache.load()
    unknown = [file for digest, file in sorted(files.items()) if digest not in covered]
    parts = [] if held is None else [held]
    for start in range(0, len(unknown), _FILES_AT_ONCE):
        check_stopped()
        parts.append(_names_of(archive, connection, unknown[start : start + _FILES_AT_ONCE], check_stopped))
    rows = _of_segments(pa.concat_tables(parts) if parts else _nothing(), files)
    if unknown:
        cache.store(rows, sorted(files))
    return rows


def _of_trail(ledger: Ledger, table: str) -> list[LiveFile]:
    return [] if table == schema.IAM_LOGS.name else list(ledger.files(table))


def _schema() -> pa.Schema:
    import pyarrow as pa

    texts: list[tuple[str, pa.DataType]] = [
        (name, pa.string()) for name in ("sha256", "organization_id", "id", "type", "name")
    ]
    return pa.schema([*texts, ("first_at", schema.TIMESTAMP), ("last_at", schema.TIMESTAMP)])


def _nothing() -> pa.Table:
    return _schema().empty_table()


def _names_of(
    archive: Archive,
    connection: duckdb.DuckDBPyConnection,
    files: Sequence[LiveFile],
    check_stopped: Callable[[], None],
) -> pa.Table:
    """The names in these files, by segment."""
    import pyarrow as pa

    root = archive.path.resolve()
    placed = {str(root / archive.locate(file).relative_to(archive.path)): file for file in files}
    soundness.check_files(placed, root, archive.archive_id, check_stopped=check_stopped)
    said = {
        "filename": list(placed),
        "sha256": [file.record.sha256 for file in placed.values()],
        "organization_id": [file.partition.get("organization_id", "") for file in placed.values()],
    }
    connection.register("_said", pa.table(said))
    try:
        rows = (
            "SELECT sha256, s.organization_id, recorded_at, resources"
            " FROM read_parquet($files, filename = true, hive_partitioning = false, union_by_name = true) AS p"
            " JOIN _said AS s USING (filename)"
        )
        names = connection.sql(people.names_in(rows, "sha256, "), params={"files": list(placed)})
        found: pa.Table = names.to_arrow_table()
        return found.cast(_schema())
    finally:
        connection.unregister("_said")


def _of_segments(rows: pa.Table, files: dict[str, LiveFile]) -> pa.Table:
    """Those of `rows` that these segments say, in one order."""
    import pyarrow as pa
    import pyarrow.compute as pc

    kept = rows.filter(pc.is_in(rows["sha256"], value_set=pa.array(list(files), pa.string())))
    return kept.sort_by([(name, "ascending") for name in kept.column_names])


def in_one_table(source: str) -> str:
    """The statement that gives the rows of ``parts.event_names``, from a table of what `event_names` gives."""
    return f"""
        SELECT organization_id, id, type, name, min(first_at) AS first_at, max(last_at) AS last_at
        FROM {source}
        GROUP BY organization_id, id, type, name, date_trunc('month', first_at)
        ORDER BY ALL
    """  # noqa: S608 - our own text


class _Cache:
    """One file for each archive: a line that says what it is, the SHA-256 of the rest, and the rest as Arrow's IPC."""

    def __init__(self, archive: Archive) -> None:
        folder = soundness.cache_folder("names")
        name = hashlib.sha256(f"{archive.archive_id}\n{archive.path.resolve()}".encode(errors="surrogateescape"))
        self._file: Path | None = None if folder is None else folder / f"{name.hexdigest()[:32]}.names"

    def load(self) -> tuple[pa.Table | None, frozenset[str]]:
        """The names that are held, and the segments that they are all the names of."""
        import pyarrow as pa

        if self._file is None:
            return None, frozenset()
        try:
            content = self._file.read_bytes()
        except OSError:
            return None, frozenset()
        body = content[len(_FORMAT) + 32 :]
        if content[: len(_FORMAT) + 32] != _FORMAT + hashlib.sha256(body).digest():
            return None, frozenset()
        rows = pa.ipc.open_stream(body).read_all()
        covered = json.loads((rows.schema.metadata or {}).get(b"segments", b"[]"))
        return rows.replace_schema_metadata(None).cast(_schema()), frozenset(covered)

    def store(self, rows: pa.Table, covered: Sequence[str]) -> None:
        """Keep the names of these segments; it is no error where that cannot be written."""
        import pyarrow as pa

        if self._file is None:
            return
        told = rows.replace_schema_metadata({"segments": json.dumps(covered)})
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, told.schema) as writer:
            writer.write_table(told)
        body = sink.getvalue().to_pybytes()
        draft = self._file.with_suffix(f".{os.getpid()}.part")
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with open(draft, "wb", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
                file.write(_FORMAT + hashlib.sha256(body).digest() + body)
            draft.replace(self._file)
        except OSError:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)
