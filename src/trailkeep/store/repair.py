"""Mending an archive: what the next writer would do anyway, and what was lost, from a copy whose hashes match."""

from __future__ import annotations

import itertools
import stat
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING
from uuid import uuid4

from trailkeep.errors import ArchiveDamaged, ArchiveMissing, UsageError
from trailkeep.schema import STORED_TABLES
from trailkeep.store import layout, recovery, remembered
from trailkeep.store.archive import Archive, Ledger
from trailkeep.store.disk import DIRECTORY_MODE, PRIVATE_MODE, SEGMENT_MODE, Disk, store_errors
from trailkeep.store.lock import ArchiveLock
from trailkeep.store.mending import Copy, MendedLedger, archive_id_of, mend_ledger, read_entries
from trailkeep.store.writer import Commit, Writer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

    from trailkeep.store.archive import Head, LiveFile

HASHING_THREADS = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """Something that is still wrong."""

    path: str
    """Relative to the archive."""
    message: str


@dataclass(slots=True, kw_only=True)
class RepairReport:
    """What was done, or in a dry run would be, and what is left."""

    recovered: list[recovery.Leftover] = field(default_factory=list)
    restored: list[str] = field(default_factory=list)
    """Files that came back from the copy."""
    set_aside: list[str] = field(default_factory=list)
    """Files that did not belong where they were; they keep their paths, below ``set-aside``."""
    removed: list[str] = field(default_factory=list)
    """Files that a ledger entry removes and that were still there."""
    modes: list[str] = field(default_factory=list)
    """What had other permissions than it should."""
    problems: list[Problem] = field(default_factory=list)
    files_checked: int = 0
    head: Head | None = None

    @property
    def changed(self) -> bool:
        """Whether files came, went or moved."""
        return bool(self.restored or self.set_aside or self.removed)


def repair(
    path: Path,
    *,
    clock: Callable[[], datetime],
    source: Path | None = None,
    dry_run: bool = False,
    disk: Disk | None = None,
) -> RepairReport:
    """Mend the archive in `path` as far as that goes, with the files below `source` where it is given.

    A file that is what the ledger says is never touched, and one that is not is never deleted: it is moved to
    ``set-aside``, and only when what belongs in its place is at hand. A dry run writes nothing and takes no lock.
    Raises ArchiveMissing, ArchiveTooNew, ArchiveLocked, StoreError, and UsageError for a source that is no folder.
    """
    if source is not None and (not source.is_dir() or source.resolve() == path.resolve()):
        raise UsageError(f"{source} is not a folder that holds a copy of the archive")
    something = (path / layout.ARCHIVE_FILE).exists() or any((path / name).is_dir() for name in STORED_TABLES)
    if not something and not read_entries(path / layout.LEDGER):
        raise ArchiveMissing(f"there is no archive in {path}", hint="Name its folder with --archive.")
    with store_errors("cannot repair the archive"):
        return _Repair(path, clock, Copy(source), dry_run=dry_run, disk=disk or Disk()).run()


class _Repair:
    def __init__(self, root: Path, clock: Callable[[], datetime], copy: Copy, *, dry_run: bool, disk: Disk) -> None:
        self._root = root
        self._clock = clock
        self._copy = copy
        self._dry_run = dry_run
        self._disk = disk
        self._started_at = clock()
        self._aside = layout.free_name(root / layout.SET_ASIDE, f"{self._started_at:%Y%m%dT%H%M%SZ}")
        self._staging = root / layout.STAGING / f"repair-{uuid4().hex}"
        self._numbers = itertools.count()
        self._ledger = Ledger("")
        self.report = RepairReport()

    def run(self) -> RepairReport:
        if self._dry_run:
            if self._mend_what_writers_need():
                self.report.recovered = [
                    recovery.Leftover(name=left.name, seq=entry.seq if entry else None, finished=True)
                    for left, entry in recovery.leftovers(self._root, self._ledger)
                ]
                self._mend_files()
            self._set_modes()
            return self.report
        lock = ArchiveLock(self._root, self._clock)
        lock.acquire()
        try:
            whole = self._mend_what_writers_need()
            # What follows rests on the entries alone.
            remembered.forget(self._disk, self._root)
        finally:
            lock.release()
        if whole:
            self._mend_as_writer()
        self._set_modes()
        return self.report

    def _mend_as_writer(self) -> None:
        with Writer(self._root, clock=self._clock, disk=self._disk) as writer:
            self._ledger = writer.ledger
            self.report.recovered = list(writer.recovered)
            self._mend_files()
            if any(not left.finished for left in self.report.recovered):
                # What kept an entry from being finished may have been restored.
                self.report.recovered = recovery.recover(self._disk, self._root, self._ledger)
            if self.report.changed:
                counters = {name: len(getattr(self.report, name)) for name in ("removed", "restored", "set_aside")}
                writer.commit(
                    Commit(
                        operation="repair",
                        started_at=self._started_at,
                        counters=counters,
                        reason=", ".join(f"{name.replace('_', ' ')}: {count}" for name, count in counters.items()),
                    )
                )
            self.report.head = writer.ledger.head

    # archive.json and the ledger

    def _mend_what_writers_need(self) -> bool:
        """Put back archive.json and ledger entries; whether a writer can open the archive now."""
        archive_id = self._mend_description()
        if archive_id is None:
            return False
        mended = mend_ledger(self._root / layout.LEDGER, archive_id, self._copy)
        self._ledger = mended.ledger
        self.report.head = mended.ledger.head
        for seq, content in mended.restored:
            self._put_entry(seq, content, mended)
        if mended.broken is not None:
            self._problem(f"{layout.LEDGER}/{layout.entry_name(mended.broken[0])}", mended.broken[1])
            return False
        return True

    def _mend_description(self) -> str | None:
        file = self._root / layout.ARCHIVE_FILE
        try:
            return Archive.open(self._root).archive_id
        except (ArchiveDamaged, ArchiveMissing) as error:
            wrong = error.message
        found = self._copy.description()
        if found is None or archive_id_of(self._root / layout.LEDGER) not in (None, found[0]):
            self._problem(layout.ARCHIVE_FILE, wrong)
            return None
        if file.exists():
            self._set_aside(file)
        self._put(layout.ARCHIVE_FILE, found[1])
        return found[0]

    def _put_entry(self, seq: int, content: bytes, mended: MendedLedger) -> None:
        file = self._root / layout.LEDGER / layout.entry_name(seq)
        if seq in mended.replaced:
            self._set_aside(file)
        self._put(f"{layout.LEDGER}/{layout.entry_name(seq)}", content)

    def _put(self, path: str, content: bytes) -> None:
        self.report.restored.append(path)
        if self._dry_run:
            return
        staged, place = self._staged(path), self._root / path
        self._disk.make_directory(place.parent)
        self._disk.write(staged, content, PRIVATE_MODE)
        self._disk.publish(staged, place)
        self._disk.sync_directory(place.parent)
        self._disk.remove_tree(self._staging)

    # Live files

    def _mend_files(self) -> None:
        live = sorted(self._ledger.live.values(), key=lambda file: file.record.path)
        with ThreadPoolExecutor(HASHING_THREADS) as pool:
            sound = list(pool.map(self._is_sound, live))
        self.report.files_checked = len(live)
        for file, is_sound in zip(live, sound, strict=True):
            if not is_sound:
                self._mend_file(file)
        self._clear_strangers()
        if not self._dry_run:
            self._disk.remove_tree(self._staging)

    def _is_sound(self, file: LiveFile) -> bool:
        return recovery.matches(self._root / file.record.path, file.record) or (
            self._dry_run and recovery.matches(self._root / file.staged, file.record)
        )

    def _mend_file(self, file: LiveFile) -> None:
        record = file.record
        place = recovery.place_of(self._root, record.path)
        damaged = place.exists() or place.is_symlink()
        found = self._copy.find(record)
        if found is None:
            self._problem(record.path, "hash value does not match" if damaged else "file is missing")
            return
        if not self._dry_run:
            staged = self._staged(record.path)
            if self._disk.copy(found, staged, SEGMENT_MODE) != record.sha256:
                self._problem(record.path, f"{found} changed while it was copied")
                return
            self._disk.sync_directory(self._staging)
        if damaged:
            self._set_aside(place)
        self.report.restored.append(record.path)
        if not self._dry_run:
            self._disk.make_directory(place.parent)
            self._disk.rename(staged, place)
            self._disk.sync_directory(place.parent)

    def _clear_strangers(self) -> None:
        """Take what is not live out of the tables' folders: whoever globs them must read exactly the archive."""
        wrong = {problem.path for problem in self.report.problems}
        removing = {path: entry for entry in self._ledger.entries for path in entry.files_removed}
        for file in list(self._table_files()):
            path = file.relative_to(self._root).as_posix()
            if path in self._ledger.live:
                continue
            entry = removing.get(path)
            if entry is None:
                self._set_aside(file)
            elif any(record.path in wrong for record in entry.files_added):
                self._problem(path, f"file is extra: ledger entry {entry.seq} replaces it by one that is not whole")
            else:
                self.report.removed.append(path)
                if not self._dry_run:
                    self._disk.unlink(file)
                    self._disk.sync_directory(file.parent)

    def _table_files(self) -> Iterator[Path]:
        for name in sorted(self._folders()):
            for child in _walk(self._root / name):
                if child.is_symlink() or not child.is_dir():
                    yield child

    def _folders(self) -> set[str]:
        """The folders that tables lie in: those that this version knows, and those of live files."""
        return layout.top_folders([*STORED_TABLES, *(file.table for file in self._ledger.live.values())])

    # Permissions

    def _set_modes(self) -> None:
        tables = self._folders()
        self._set_mode(self._root)
        self._set_mode(self._root / layout.STAGING)
        for name in (layout.ARCHIVE_FILE, layout.LOCK, layout.LEDGER, layout.CACHE, *sorted(tables)):
            for child in _walk(self._root / name):
                self._set_mode(child, SEGMENT_MODE if name in tables else PRIVATE_MODE)

    def _set_mode(self, path: Path, file_mode: int = PRIVATE_MODE) -> None:
        if path.is_symlink() or not path.exists():
            return
        mode = DIRECTORY_MODE if path.is_dir() else file_mode
        if stat.S_IMODE(path.stat().st_mode) != mode:
            self.report.modes.append(path.relative_to(self._root).as_posix())
            if not self._dry_run:
                self._disk.set_mode(path, mode)

    # Small steps

    def _problem(self, path: str, message: str) -> None:
        self.report.problems.append(Problem(path=path, message=message))

    def _set_aside(self, file: Path) -> None:
        path = file.relative_to(self._root)
        self.report.set_aside.append(path.as_posix())
        if self._dry_run:
            return
        target = self._aside / path
        self._disk.make_directory(target.parent)
        self._disk.rename(file, target)
        self._disk.sync_directory(target.parent)
        self._disk.sync_directory(file.parent)

    def _staged(self, path: str) -> Path:
        self._disk.make_directory(self._staging)
        return self._staging / layout.staged_name(next(self._numbers), path)


def _walk(path: Path) -> Iterator[Path]:
    """The path and all that is below it, following no symbolic link; nothing where it does not exist."""
    if not path.is_symlink() and not path.exists():
        return
    yield path
    if path.is_dir() and not path.is_symlink():
        for child in sorted(path.iterdir()):
            yield from _walk(child)
