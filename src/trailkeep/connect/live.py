"""Which files hold each table at one head, and where they lie."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from trailkeep import schema
from trailkeep.errors import ArchiveDamaged, StoreError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from trailkeep.store import Archive, Head, Ledger, LiveFile

_PATTERN_CHARACTERS = frozenset("*?[]{}\\")
"""What DuckDB, Polars and Spark read as a pattern in a path."""


@dataclass(frozen=True, slots=True, kw_only=True)
class PlacedFile:
    """One live file."""

    path: Path
    """Absolute."""
    partition: Mapping[str, str]
    rows: int
    bytes: int
    sha256: str
    in_place: bool
    """Whether its path says its partition; one of a commit that is not finished lies in the staging folder."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveTable:
    """One table's live files, in the order of their places."""

    table: schema.Table
    folder: Path
    files: tuple[PlacedFile, ...]

    @property
    def name(self) -> str:
        """The table's name as a variable or a view can have it."""
        return self.table.name.replace("/", "_")

    @property
    def in_place(self) -> list[PlacedFile]:
        """The files whose path says their partition."""
        return [file for file in self.files if file.in_place]

    @property
    def apart(self) -> list[PlacedFile]:
        """The files whose partition values must be told."""
        return [file for file in self.files if not file.in_place]

    @property
    def keys(self) -> list[str]:
        """The partition keys that the files do not hold as columns."""
        held = {column.name for column in self.table.columns}
        return [key for key in self.table.partitions if key not in held]


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveArchive:
    """All live files at one head."""

    path: Path
    """Absolute."""
    head: Head | None
    tables: tuple[LiveTable, ...]

    def as_json(self) -> dict[str, Any]:
        """The files as JSON values."""
        return {
            "archive": str(self.path),
            "head": {"seq": self.head.seq, "sha256": self.head.sha256} if self.head else None,
            "tables": {
                live.name: {
                    "folder": str(live.folder),
                    "rows": sum(file.rows for file in live.files),
                    "bytes": sum(file.bytes for file in live.files),
                    "files": [
                        {
                            "path": str(file.path),
                            "partition": dict(file.partition),
                            "rows": file.rows,
                            "bytes": file.bytes,
                            "sha256": file.sha256,
                        }
                        for file in live.files
                    ],
                }
                for live in self.tables
            },
        }


def live_archive(archive: Archive, ledger: Ledger) -> LiveArchive:
    """The live files of `ledger`.

    Raises ArchiveDamaged for one that is missing or has another length than the ledger says, and StoreError for an
    archive whose path other tools would take to be a pattern.
    """
    root = archive.path.resolve()
    if any("\ud800" <= character <= "\udfff" for character in str(root)):
        raise StoreError(
            f"the archive's path {str(root)!a} is not valid Unicode, which other tools cannot open",
            hint="Rename the folder.",
        )
    if _PATTERN_CHARACTERS & set(str(root)):
        raise StoreError(
            f"the archive's path {str(root)!r} holds a character that other tools read as a pattern",
            hint="Rename the folder without any of * ? [ ] { } and the backslash.",
        )
    return LiveArchive(
        path=root,
        head=ledger.head,
        tables=tuple(
            LiveTable(
                table=table,
                folder=root / table.name,
                files=tuple(
                    _placed(archive, root, file)
                    for file in sorted(ledger.files(table.name), key=lambda file: file.record.path)
                ),
            )
            for table in schema.STORED_TABLES.values()
        ),
    )


def _placed(archive: Archive, root: Path, file: LiveFile) -> PlacedFile:
    path = root / archive.locate(file).relative_to(archive.path)
    length = path.stat().st_size
    if length != file.record.bytes:
        raise ArchiveDamaged(
            f"{file.record.path} cannot be read: it has {length} bytes, and the ledger says {file.record.bytes}",
            hint="Restore the file from a copy of the archive; its SHA-256 is in the ledger.",
        )
    return PlacedFile(
        path=path,
        partition=file.partition,
        rows=file.record.rows,
        bytes=length,
        sha256=file.record.sha256,
        # A folder above with "=" in its name looks like a partition to others.
        in_place="=" not in str(root) and path == root / file.record.path,
    )
