"""Reading an archive: what it is, what its ledger says, and where its live files lie. Takes no lock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import msgspec

from trailkeep import seal
from trailkeep.errors import ArchiveDamaged, ArchiveMissing, ArchiveTooNew
from trailkeep.store import layout
from trailkeep.store.disk import store_errors
from trailkeep.timespan import Span, parse_moment

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from pathlib import Path

FORMAT = 1
"""The layout of the folder that this version reads and writes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Head:
    """The ledger's newest entry: whoever keeps this elsewhere can tell whether the archive was rewritten."""

    seq: int
    sha256: str

    def __str__(self) -> str:
        return f"{self.seq}:{self.sha256}"


@dataclass(frozen=True, slots=True, kw_only=True)
class LiveFile:
    """A file that belongs to the archive's present state."""

    record: seal.FileRecord
    table: str
    partition: dict[str, str]
    seq: int
    """The entry that added it."""
    staged: str
    """Its name in the commit's staging folder, relative to the archive, until it has been moved to its place."""

    @property
    def first(self) -> datetime:
        """The first row's moment."""
        return parse_moment(self.record.first)

    @property
    def last(self) -> datetime:
        """The last row's moment, which the file holds: not an exclusive end."""
        return parse_moment(self.record.last)

    def touches(self, span: Span) -> bool:
        """Whether the file may hold a row inside `span`."""
        return self.first < span.end and self.last >= span.start


@dataclass(slots=True)
class Ledger:
    """The ledger, folded: every entry in order, and the files that are live after the last."""

    archive_id: str
    entries: list[seal.Entry] = field(default_factory=list)
    live: dict[str, LiveFile] = field(default_factory=dict)
    head: Head | None = None
    """None for an archive whose first entry was never committed."""

    def append(self, content: bytes) -> seal.Entry:
        """Fold one more entry's bytes. Raises ArchiveDamaged where they do not continue the chain."""
        seq = self.head.seq + 1 if self.head else 1
        previous = self.head.sha256 if self.head else None
        entry = seal.decode_entry(content, seq=seq, previous=previous, archive_id=self.archive_id)
        for path in entry.files_removed:
            if self.live.pop(path, None) is None:
                raise ArchiveDamaged(f"ledger entry {seq} removes {path}, which is not live")
        staging = f"{layout.STAGING}/{layout.staging_name(seq, entry.run)}"
        for index, record in enumerate(entry.files_added):
            table, partition = layout.split_segment_path(record.path)
            if record.path in self.live:
                raise ArchiveDamaged(f"ledger entry {seq} adds {record.path} a second time")
            self.live[record.path] = LiveFile(
                record=record,
                table=table,
                partition=partition,
                seq=seq,
                staged=f"{staging}/{layout.staged_name(index, record.path)}",
            )
        self.entries.append(entry)
        self.head = Head(seq=seq, sha256=seal.entry_hash(content))
        return entry

    def files(self, table: str, span: Span | None = None, /, **partition: str) -> Iterator[LiveFile]:
        """The live files of a table, with these partition values, that may hold a row inside `span`."""
        for file in self.live.values():
            if (
                file.table == table
                and all(file.partition.get(key) == value for key, value in partition.items())
                and (span is None or file.touches(span))
            ):
                yield file


class _ArchiveFile(msgspec.Struct, frozen=True):
    """The content of archive.json."""

    format: int
    archive_id: str = ""
    created_at: str = ""


class Archive:
    """An archive on disk, opened for reading."""

    def __init__(self, path: Path, archive_id: str) -> None:
        self.path = path
        self.archive_id = archive_id

    @classmethod
    def open(cls, path: Path) -> Archive:
        """Open the archive in `path`.

        Raises ArchiveMissing where there is none, ArchiveTooNew for a later format, ArchiveDamaged for an
        archive.json that cannot be read.
        """
        file = path / layout.ARCHIVE_FILE
        with store_errors(f"cannot open the archive {path}"):
            try:
                content = file.read_bytes()
            except (FileNotFoundError, NotADirectoryError):
                raise _missing(path) from None
        try:
            described = msgspec.json.decode(content, type=_ArchiveFile)
        except (msgspec.MsgspecError, UnicodeDecodeError) as error:
            raise ArchiveDamaged(f"{file} is not an archive's description: {error}") from error
        if described.format > FORMAT:
            raise ArchiveTooNew(
                f"the archive {path} has format {described.format}; this version reads up to {FORMAT}",
                hint="Use the version of Trailkeep that wrote it, or a later one.",
            )
        if not described.archive_id:
            raise ArchiveDamaged(f"{file} has no archive_id")
        return cls(path, described.archive_id)

    @classmethod
    def exists(cls, path: Path) -> bool:
        """Whether there is an archive in `path`.

        Raises ArchiveMissing where there is none and none may be made, and like `open` for one that cannot be read.
        """
        try:
            cls.open(path)
        except ArchiveMissing:
            check_unborn(path)
            return False
        return True

    def ledger(self) -> Ledger:
        """Fold the whole ledger. Raises ArchiveDamaged where an entry is missing or does not continue the chain."""
        ledger = Ledger(self.archive_id)
        with store_errors("cannot read the ledger"):
            folder = self.path / layout.LEDGER
            names = [path.name for path in folder.iterdir()] if folder.is_dir() else []
            seqs = sorted(seq for name in names if (seq := layout.entry_seq(name)) is not None)
            for expected, seq in enumerate(seqs, start=1):
                if seq != expected:
                    raise ArchiveDamaged(
                        f"ledger entry {expected} is missing from {folder}",
                        hint="Restore the ledger folder from a copy of the archive.",
                    )
                ledger.append((folder / layout.entry_name(seq)).read_bytes())
        return ledger

    def locate(self, file: LiveFile) -> Path:
        """Where a live file lies now: its place, or the staging folder of a commit that is not finished.

        Raises ArchiveDamaged where it is in neither.
        """
        place, staged = self.path / file.record.path, self.path / file.staged
        # The place is asked twice: between the first look and the second the writer may have moved the file.
        for candidate in (place, staged, place):
            if candidate.exists():
                return candidate
        raise ArchiveDamaged(
            f"{file.record.path} is in the ledger but not on the disk",
            hint="Restore the file from a copy of the archive; its SHA-256 is in the ledger.",
        )


def describe_archive(archive_id: str, created_at: str) -> bytes:
    """The content of archive.json."""
    described = _ArchiveFile(format=FORMAT, archive_id=archive_id, created_at=created_at)
    return msgspec.json.encode(described, order="sorted") + b"\n"


def check_unborn(path: Path) -> None:
    """Raise unless an archive may be made in `path`: a folder that is missing, empty, or left by a broken first run."""
    with store_errors(f"cannot look into {path}"):
        if not path.exists():
            return
        if not path.is_dir():
            raise ArchiveMissing(f"{path} is not a folder", hint="Name a folder with --archive.")
        strangers = sorted(child.name for child in path.iterdir() if child.name not in layout.UNBORN)
        ledger = path / layout.LEDGER
        if not strangers and ledger.is_dir() and any(ledger.iterdir()):
            raise ArchiveDamaged(f"{path} has a ledger but no {layout.ARCHIVE_FILE}")
    if strangers:
        raise ArchiveMissing(
            f"{path} is not an archive, and not empty: it holds {strangers[0]!r}",
            hint="Name an empty or a new folder with --archive.",
        )


def _missing(path: Path) -> ArchiveMissing:
    if path.exists():
        check_unborn(path)
    return ArchiveMissing(
        f"there is no archive in {path}",
        hint="Run `trailkeep sync` to make one, or name another folder with --archive.",
    )
