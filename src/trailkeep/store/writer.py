"""Writing an archive: one writer at a time, commits that are whole or absent, and what a crash left mended."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import platform
import socket
from dataclasses import dataclass, field
from functools import cache
from importlib import metadata
from typing import TYPE_CHECKING
from uuid import uuid4

import pyarrow as pa
from filelock import FileLock, Timeout

from trailkeep import __version__, seal
from trailkeep.errors import ArchiveLocked
from trailkeep.store import layout
from trailkeep.store.archive import Archive, Ledger, describe_archive
from trailkeep.store.disk import PRIVATE_MODE, SEGMENT_MODE, Disk, store_errors
from trailkeep.store.segments import build_segment
from trailkeep.timespan import format_time

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from trailkeep.schema import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRows:
    """Rows for one partition of one table; `rows` has the table's columns but ``ledger_seq``."""

    table: Table
    partition: Mapping[str, str]
    rows: pa.Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """What one ledger entry brings. Nothing of it is visible before all of it is durable."""

    operation: str
    started_at: datetime
    organization_id: str | None = None
    added: list[NewRows] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    coverage: list[seal.CoverageRecord] = field(default_factory=list)
    unreadable: list[seal.CoverageRecord] = field(default_factory=list)
    streams: list[seal.StreamRecord] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    clock_offset_ms: int | None = None


class Writer:
    """The one writer of an archive, from `open` to the end of the ``with`` block.

    The folder is made an archive if it is none yet; what an earlier writer left unfinished is mended first.
    """

    def __init__(self, path: Path, *, clock: Callable[[], datetime], disk: Disk | None = None, run: str | None = None):
        self.path = path
        self.run = run or uuid4().hex
        self.archive: Archive
        self.ledger: Ledger
        self._clock = clock
        self._disk = disk or Disk()
        self._lock = FileLock(path / layout.LOCK, timeout=0, mode=PRIVATE_MODE)

    def __enter__(self) -> Self:
        """Take the lock, make or open the archive, and recover.

        Raises ArchiveLocked, naming the process that holds it, and StoreError for what the disk refuses.
        """
        Archive.exists(self.path)  # raises where nothing may be written
        with store_errors(f"cannot write to the archive {self.path}"):
            self._disk.make_directory(self.path)
            self._acquire()
            try:
                self._open_locked()
            except BaseException:
                self._release()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._release()

    def commit(self, commit: Commit) -> seal.Entry:
        """Make `commit` the ledger's next entry.

        Raises StoreError. When it was raised before the commit point the archive is as it was; after it, the entry
        stands, and the next writer finishes what remains to be moved.
        """
        seq = self.next_seq
        staging = self._staging / layout.staging_name(seq, self.run)
        try:
            with store_errors("cannot commit to the archive, which stays as it was"):
                content = self._stage(commit, seq, staging)
                self._disk.link(staging / layout.entry_name(seq), self.path / layout.LEDGER / layout.entry_name(seq))
        except BaseException:
            with contextlib.suppress(OSError):
                self._disk.remove_tree(staging)
            raise
        with store_errors(f"entry {seq} is committed, but what follows could not be done; the next run will"):
            self._disk.sync_directory(self.path / layout.LEDGER)
            entry = self.ledger.append(content)
            self._finish(entry)
        return entry

    @property
    def next_seq(self) -> int:
        """The number of the entry that the next commit makes."""
        return self.ledger.head.seq + 1 if self.ledger.head else 1

    @property
    def _staging(self) -> Path:
        return self.path / layout.STAGING

    def _stage(self, commit: Commit, seq: int, staging: Path) -> bytes:
        """Write the commit's files and its entry into `staging`, durably; return the entry's bytes."""
        self._disk.make_directory(staging)
        records: list[seal.FileRecord] = []
        for index, new in enumerate(commit.added):
            segment = build_segment(new.table, _with_seq(new.table, new.rows, seq))
            path = layout.segment_path(new.table.name, new.partition, segment.first, segment.last, segment.sha256)
            self._disk.write(staging / layout.staged_name(index, path), bytes(segment.content), SEGMENT_MODE)
            records.append(segment.record(path))
        content = seal.encode_entry(self._entry(commit, seq, records))
        self._disk.write(staging / layout.entry_name(seq), content, PRIVATE_MODE)
        self._disk.sync_directory(staging)
        return content

    def _entry(self, commit: Commit, seq: int, records: list[seal.FileRecord]) -> seal.Entry:
        return seal.Entry(
            format=seal.FORMAT,
            seq=seq,
            previous=self.ledger.head.sha256 if self.ledger.head else None,
            archive_id=self.archive.archive_id,
            operation=commit.operation,
            run=self.run,
            started_at=format_time(commit.started_at),
            finished_at=format_time(self._clock()),
            tool=_tool_versions(),
            host=socket.gethostname(),
            os_user=_os_user(),
            organization_id=commit.organization_id,
            coverage=commit.coverage,
            unreadable=commit.unreadable,
            streams=commit.streams,
            files_added=records,
            files_removed=commit.removed,
            counters=commit.counters,
            clock_offset_ms=commit.clock_offset_ms,
        )

    def _finish(self, entry: seal.Entry) -> None:
        """Steps 4 to 6 of a committed entry: move its files to their places, delete what it removes, clean up."""
        staging = self._staging / layout.staging_name(entry.seq, entry.run)
        folders: set[Path] = set()
        for index, record in enumerate(entry.files_added):
            staged, place = staging / layout.staged_name(index, record.path), self.path / record.path
            if staged.exists():
                self._disk.make_directory(place.parent)
                self._disk.rename(staged, place)
                folders.add(place.parent)
        for folder in sorted(folders):
            self._disk.sync_directory(folder)
        for path in entry.files_removed:
            with contextlib.suppress(FileNotFoundError):
                self._disk.unlink(self.path / path)
        self._disk.remove_tree(staging)

    def _open_locked(self) -> None:
        """Under the lock: make the archive where there is none, read the ledger, recover, write the first entry."""
        for folder in (self._staging, self.path / layout.LEDGER):
            self._disk.make_directory(folder)
        if not (self.path / layout.ARCHIVE_FILE).exists():
            self._create()
        self.archive = Archive.open(self.path)
        self.ledger = self.archive.ledger()
        self._recover()
        if self.ledger.head is None:
            self.commit(Commit(operation="init", started_at=self._clock()))

    def _create(self) -> None:
        draft = self._staging / layout.ARCHIVE_FILE
        with contextlib.suppress(FileNotFoundError):
            self._disk.unlink(draft)
        self._disk.write(draft, describe_archive(str(uuid4()), format_time(self._clock())), PRIVATE_MODE)
        self._disk.link(draft, self.path / layout.ARCHIVE_FILE)
        self._disk.sync_directory(self.path)
        self._disk.unlink(draft)

    def _recover(self) -> None:
        """Finish the entries that were committed, and throw away the staging of those that were not."""
        committed = {layout.staging_name(entry.seq, entry.run): entry for entry in self.ledger.entries}
        for left in sorted(self._staging.iterdir()):
            if entry := committed.get(left.name):
                self._finish(entry)
            elif left.is_dir():
                self._disk.remove_tree(left)
            else:
                self._disk.unlink(left)

    def _acquire(self) -> None:
        try:
            self._lock.acquire()
        except Timeout:
            raise ArchiveLocked(
                f"the archive {self.path} is being written by {_holder(self.path / layout.LOCK)}",
                hint="Wait until it has ended, then run the command again.",
            ) from None
        holder = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "user": _os_user(),
            "since": format_time(self._clock()),
        }
        (self.path / layout.LOCK).write_text(json.dumps(holder), encoding="utf-8")

    def _release(self) -> None:
        self._lock.release()


def _with_seq(table: Table, rows: pa.Table, seq: int) -> pa.Table:
    """The rows with ``ledger_seq``, in the order and with the types of the table's schema."""
    schema = table.arrow_schema
    seqs = pa.repeat(pa.scalar(seq, pa.int64()), rows.num_rows)
    columns = [seqs if name == "ledger_seq" else rows[name] for name in schema.names]
    return pa.table(columns, schema=schema)


def _holder(lock: Path) -> str:
    """Who holds the lock, in words; the file may be half-written or of another version."""
    try:
        holder = json.loads(lock.read_text(encoding="utf-8"))
        return f"process {holder['pid']} of {holder['user']} on {holder['host']}, since {holder['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"


@cache
def _tool_versions() -> dict[str, str]:
    versions = {name: metadata.version(name) for name in ("duckdb", "pyarrow")}
    return {"trailkeep": __version__, "python": platform.python_version(), **versions}


def _os_user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return str(os.getuid())
