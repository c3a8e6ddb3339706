"""Reading an archive: what it is, what its ledger says, and where its live files lie. Takes no lock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, TypeVar

import msgspec

from trailkeep import seal
from trailkeep.errors import ArchiveDamaged, ArchiveMissing, ArchiveTooNew
from trailkeep.store import layout
from trailkeep.store.disk import store_errors
from trailkeep.timespan import Span, parse_moment

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

_T = TypeVar("_T")

FORMAT = 1
"""The layout of the folder that this version reads and writes."""

READ_ATTEMPTS = 3
"""How often a reader tries to read one state of the archive: files of it may be moved or replaced meanwhile."""

READ_STATES = 100
"""How many states a reader tries in all, each replaced by the next before it was read."""


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
        entry, added = self.examine(content)
        for path in entry.files_removed:
            del self.live[path]
        self.live |= added
        self.entries.append(entry)
        self.head = Head(seq=entry.seq, sha256=seal.entry_hash(content))
        return entry

    def examine(self, content: bytes) -> tuple[seal.Entry, dict[str, LiveFile]]:
        """What `append` would take in: the entry and the files that it adds. Raises as it does; changes nothing."""
        seq = self.head.seq + 1 if self.head else 1
        previous = self.head.sha256 if self.head else None
        entry = seal.decode_entry(content, seq=seq, previous=previous, archive_id=self.archive_id)
        removed: set[str] = set()
        for path in entry.files_removed:
            if path not in self.live or path in removed:
                raise ArchiveDamaged(f"ledger entry {seq} removes {path}, which is not live")
            removed.add(path)
        staging = f"{layout.STAGING}/{layout.staging_name(seq, entry.run)}"
        added: dict[str, LiveFile] = {}
        for index, record in enumerate(entry.files_added):
            table, partition = layout.split_segment_path(record.path)
            if record.path in added or (record.path in self.live and record.path not in removed):
                raise ArchiveDamaged(f"ledger entry {seq} adds {record.path} a second time")
            added[record.path] = LiveFile(
                record=record,
                table=table,
                partition=partition,
                seq=seq,
                staged=f"{staging}/{layout.staged_name(index, record.path)}",
            )
        _check_moments(entry)
        return entry, added

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


class _FormatOnly(msgspec.Struct, frozen=True):
    format: int


class Archive:
    """An archive on disk, opened for reading."""

    def __init__(self, path: Path, archive_id: str, *, last: int | None = None) -> None:
        self.path = path
        self.archive_id = archive_id
        self._last = last

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
        return cls(path, _archive_id(file, content))

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

    def as_of(self, seq: int) -> Archive:
        """The archive as it was after entry `seq`; files that were removed since are live in it, and missing."""
        return Archive(self.path, self.archive_id, last=seq)

    def ledger(self) -> Ledger:
        """Fold the whole ledger. Raises ArchiveDamaged where an entry is missing or does not continue the chain."""
        ledger = Ledger(self.archive_id)
        folder = self.path / layout.LEDGER
        with store_errors("cannot read the ledger"):
            while len(ledger.entries) != self._last and (
                (content := _next_entry(folder, len(ledger.entries) + 1)) is not None
            ):
                try:
                    ledger.append(content)
                except ArchiveDamaged as error:
                    file = folder / layout.entry_name(len(ledger.entries) + 1)
                    raise ArchiveDamaged(f"{file}: {error.message}", hint=_RESTORE_LEDGER) from error
            tables = [] if ledger.entries else _tables_in(self.path)
            if tables and self._last != 0:
                raise ArchiveDamaged(
                    f"{self.path} holds {tables[0]}, and no ledger that says what belongs to it", hint=_RESTORE_LEDGER
                )
        return ledger

    def read_consistently(self, read: Callable[[Ledger], _T]) -> _T:
        """`read` on the ledger as it is now; once more, on a new one, where it met a file that is gone.

        Readers take no lock: between folding the ledger and opening a file a writer may have moved the file to its
        place, or replaced it. What is truly missing or damaged still is on the last attempt: then its error is raised.
        """
        for _state in range(READ_STATES):
            ledger = self.ledger()
            for attempt in range(1, READ_ATTEMPTS + 1):
                try:
                    return read(ledger)
                except (ArchiveDamaged, FileNotFoundError):
                    if attempt == READ_ATTEMPTS and self.ledger().head == ledger.head:
                        raise
        return read(self.ledger())

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
            hint="Run `trailkeep repair --from DIR` with a copy of the archive; the file's SHA-256 is in the ledger.",
        )


_RESTORE_LEDGER = "Run `trailkeep repair --from DIR` with a copy of the archive; nothing is written until then."


def _next_entry(folder: Path, seq: int) -> bytes | None:
    """The bytes of entry `seq`, or None where the ledger ends before it.

    The folder is listed only after the entry was not found: a listing made while entries come in may hold a later one
    and lack an earlier. Raises ArchiveDamaged where there are later entries only.
    """
    file = folder / layout.entry_name(seq)
    try:
        return file.read_bytes()
    except FileNotFoundError:
        later = _last_seq(folder)
    if later < seq:
        return None
    try:
        return file.read_bytes()  # it was written between the two looks
    except FileNotFoundError:
        raise ArchiveDamaged(
            f"ledger entry {seq} is missing from {folder}, which goes on to {later}", hint=_RESTORE_LEDGER
        ) from None


def _tables_in(path: Path) -> list[str]:
    """The tables that have a folder."""
    from trailkeep.schema import STORED_TABLES

    return [name for name in STORED_TABLES if (path / name).is_dir()]


def _last_seq(folder: Path) -> int:
    """The highest number of an entry in the ledger's folder; 0 where there is none."""
    if not folder.is_dir():
        return 0
    return max((layout.entry_seq(child.name) or 0 for child in folder.iterdir()), default=0)


def _archive_id(file: Path, content: bytes) -> str:
    """The archive's id that the bytes of archive.json say. Raises ArchiveTooNew and ArchiveDamaged."""
    hint = "Restore it from a copy of the archive: `trailkeep repair --from DIR`."
    try:
        described_format = msgspec.json.decode(content, type=_FormatOnly).format
        if described_format > FORMAT:
            raise ArchiveTooNew(
                f"the archive {file.parent} has format {described_format}; this version reads up to {FORMAT}",
                hint="Use the version of Trailkeep that wrote it, or a later one.",
            )
        described = msgspec.json.decode(content, type=_ArchiveFile)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError) as error:
        raise ArchiveDamaged(f"{file} is not an archive's description: {error}", hint=hint) from error
    if not described.archive_id:
        raise ArchiveDamaged(f"{file} has no archive_id", hint=hint)
    return described.archive_id


def _check_moments(entry: seal.Entry) -> None:
    """Raise ArchiveDamaged for a time that is none or a span that is reversed, which readers rely on."""
    try:
        parse_moment(entry.started_at)
        parse_moment(entry.finished_at)
        for looked in entry.directory:
            parse_moment(looked.began_at)
            parse_moment(looked.at)
        for moment in seal.moments_of_findings(entry):
            parse_moment(moment)
        reversed_files = [
            record.path for record in entry.files_added if parse_moment(record.first) > parse_moment(record.last)
        ]
        for span in (*entry.coverage, *entry.unreadable, *entry.purged):
            Span(parse_moment(span.start), parse_moment(span.end))
        for stream in entry.streams:
            if stream.start and stream.end:
                Span(parse_moment(stream.start), parse_moment(stream.end))
    except (ValueError, OverflowError) as error:
        raise ArchiveDamaged(f"ledger entry {entry.seq} names a time that cannot be: {error}") from error
    if reversed_files:
        raise ArchiveDamaged(f"ledger entry {entry.seq} says that {reversed_files[0]} ends before it starts")


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
        ledger = path / layout.LEDGER
        if ledger.is_dir() and any(layout.entry_seq(child.name) is not None for child in ledger.iterdir()):
            raise ArchiveDamaged(
                f"{path} has a ledger but no {layout.ARCHIVE_FILE}",
                hint="Run `trailkeep repair --from DIR` with a copy of the archive.",
            )
        strangers = sorted(child.name for child in path.iterdir() if child.name not in layout.UNBORN)
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
