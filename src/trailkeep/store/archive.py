"""Reading an archive: what it is, what its ledger says, and where its live files lie. Takes no lock."""

from __future__ import annotations

from typing import TYPE_CHECKING, TypeVar

import msgspec

from trailkeep.errors import ArchiveDamaged, ArchiveMissing, ArchiveTooNew
from trailkeep.store import layout, remembered
from trailkeep.store.disk import store_errors
from trailkeep.store.ledger import RESTORE_LEDGER, Head, Ledger, LiveFile

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

__all__ = ["Archive", "Head", "Ledger", "LiveFile", "check_unborn", "describe_archive"]

_T = TypeVar("_T")

FORMAT = 1
"""The layout of the folder that this version reads and writes."""

READ_ATTEMPTS = 3
"""How often a reader tries to read one state of the archive: files of it may be moved or replaced meanwhile."""

READ_STATES = 100
"""How many states a reader tries in all, each replaced by the next before it was read."""

LISTED = 1000
"""Up to so many entries, each reader looks at the names of all of them. Of 44,000 that took 0.1 seconds."""

LOOKED_AHEAD = 64
"""After that it looks whether one of so many that would follow is there."""


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
        """The ledger as it is now: the fold that the cache holds, and every entry that came since.

        Where the cache holds none that is true of the ledger, every entry is read. Raises ArchiveDamaged where an entry
        that is read is missing or does not continue the chain.
        """
        return self._folded(listed=False)

    def ledger_to_write(self) -> Ledger:
        """`ledger`, for the writer: it sees to it that no later entry is in the folder, however many there are."""
        return self._folded(listed=True)

    def remembers_falsely(self) -> bool:
        """Whether the cache holds a fold that readers take, and that is not what the entries add up to.

        Reads every entry. Raises ArchiveDamaged as `ledger` does.
        """
        told = remembered.recall(self.path, self.archive_id, last=self._last)
        if told is None:
            return False
        true = self._followed(Ledger(self.archive_id, self.path / layout.LEDGER), last=told.remembered, listed=False)
        return remembered.encode(told) != remembered.encode(true)

    def _folded(self, *, listed: bool) -> Ledger:
        told = remembered.recall(self.path, self.archive_id, last=self._last)
        ledger = told or Ledger(self.archive_id, self.path / layout.LEDGER)
        return self._followed(ledger, last=self._last, listed=listed)

    def _followed(self, ledger: Ledger, *, last: int | None, listed: bool) -> Ledger:
        """The ledger with all entries that follow, up to `last`."""
        folder = self.path / layout.LEDGER
        seq = ledger.head.seq if ledger.head else 0
        with store_errors("cannot read the ledger"):
            while seq != last and (content := _next_entry(folder, seq + 1, listed=listed)) is not None:
                try:
                    ledger.append(content)
                except ArchiveDamaged as error:
                    file = folder / layout.entry_name(seq + 1)
                    raise ArchiveDamaged(f"{file}: {error.message}", hint=RESTORE_LEDGER) from error
                seq += 1
            tables = [] if seq else _tables_in(self.path)
            if tables and last != 0:
                raise ArchiveDamaged(
                    f"{self.path} holds {tables[0]}, and no ledger that says what belongs to it", hint=RESTORE_LEDGER
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


def _next_entry(folder: Path, seq: int, *, listed: bool) -> bytes | None:
    """The bytes of entry `seq`, or None where the ledger ends before it.

    The others are looked for only after the entry was not found: a look made while entries come in may find a later one
    and miss an earlier. Raises ArchiveDamaged where there are later entries only.
    """
    file = folder / layout.entry_name(seq)
    try:
        return file.read_bytes()
    except FileNotFoundError:
        later = _last_seq(folder) if listed or seq <= LISTED else _last_after(folder, seq)
    if later < seq:
        return None
    try:
        return file.read_bytes()  # it was written between the two looks
    except FileNotFoundError:
        raise ArchiveDamaged(
            f"ledger entry {seq} is missing from {folder}, which goes on to {later}", hint=RESTORE_LEDGER
        ) from None


def _last_after(folder: Path, seq: int) -> int:
    """The last of the entries that are there among those that would follow next after `seq`; 0 for none of them."""
    following = range(seq + LOOKED_AHEAD, seq, -1)
    return next((later for later in following if (folder / layout.entry_name(later)).exists()), 0)


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
