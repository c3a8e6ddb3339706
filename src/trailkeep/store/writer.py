"""Writing an archive: one writer at a time, commits that are whole or absent, and what a crash left mended."""

from __future__ import annotations

import contextlib
import platform
import socket
from dataclasses import dataclass, field
from functools import cache, partial
from importlib import metadata
from typing import TYPE_CHECKING
from uuid import uuid4

import pyarrow as pa

from trailkeep import __version__, seal
from trailkeep.errors import ArchiveDamaged, StoreError
from trailkeep.store import layout, recovery, remembered
from trailkeep.store.archive import Archive, Ledger, describe_archive
from trailkeep.store.disk import DIRECTORY_MODE, PRIVATE_MODE, SEGMENT_MODE, Disk, store_errors
from trailkeep.store.lock import ArchiveLock, os_user
from trailkeep.store.merging import Merge
from trailkeep.store.segments import build_segment, raw_digests
from trailkeep.timespan import format_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime
    from pathlib import Path
    from types import TracebackType
    from typing import Self

    from trailkeep.pivots.keeping import Segment
    from trailkeep.schema import Table
    from trailkeep.store.archive import LiveFile


@dataclass(frozen=True, slots=True, kw_only=True)
class NewRows:
    """Rows for one partition of one table; `rows` has the table's columns.

    Without ``ledger_seq`` they are new, and get the number of the entry. With it they are moved from another file,
    and keep the number of the entry that brought them.
    """

    table: Table
    partition: Mapping[str, str]
    rows: pa.Table

    def events_digest(self) -> str:
        """`seal.events_digest` of the rows, which have a column ``raw``."""
        return seal.events_digest(raw_digests(self.rows["raw"]))


@dataclass(frozen=True, slots=True, kw_only=True)
class Commit:
    """What one ledger entry brings. Nothing of it is visible before all of it is durable."""

    operation: str
    started_at: datetime
    organization_id: str | None = None
    added: Sequence[NewRows | Merge] = field(default_factory=list)
    removed: list[str] = field(default_factory=list)
    coverage: list[seal.CoverageRecord] = field(default_factory=list)
    unreadable: list[seal.CoverageRecord] = field(default_factory=list)
    streams: list[seal.StreamRecord] = field(default_factory=list)
    counters: dict[str, int] = field(default_factory=dict)
    clock_offset_ms: int | None = None
    reason: str | None = None
    purged: list[seal.CoverageRecord] = field(default_factory=list)
    hold: str | None = None
    directory: list[seal.DirectoryRecord] = field(default_factory=list)
    findings: list[seal.FindingRecord] = field(default_factory=list)
    mutes: list[seal.MuteRecord] = field(default_factory=list)
    deliveries: list[seal.DeliveryRecord] = field(default_factory=list)
    detect: seal.DetectRecord | None = None


class Writer:
    """The one writer of an archive, from `open` to the end of the ``with`` block.

    The folder is made an archive if it is none yet; what an earlier writer left unfinished is mended first.
    """

    def __init__(
        self,
        path: Path,
        *,
        clock: Callable[[], datetime],
        disk: Disk | None = None,
        run: str | None = None,
        remember_every: int = remembered.EVERY,
        indexed: bool = True,
    ) -> None:
        """What is not `indexed` gets no pivot index: an archive that is gone in a moment needs none."""
        self.path = path
        self.run = run or uuid4().hex
        self.archive: Archive
        self.ledger: Ledger
        self._clock = clock
        self._remember_every = remember_every
        self._has_index = indexed
        self._disk = disk or Disk()
        self._lock = ArchiveLock(path, clock)
        self._cache_dropped = False
        """The index is left to the next writer."""
        self._unsettled = False
        """A commit has failed: what is on the disk may differ from what `ledger` says."""
        self.recovered: list[recovery.Leftover] = []
        """What earlier writers had left unfinished, and what became of it."""

    def __enter__(self) -> Self:
        """Take the lock, make or open the archive, and recover.

        Raises ArchiveLocked, naming the process that holds it, and StoreError for what the disk refuses.
        """
        Archive.exists(self.path)  # raises where nothing may be written
        with store_errors(f"cannot write to the archive {self.path}"):
            self._disk.make_directory(self.path)
            self._lock.acquire()
            try:
                self._open_locked()
            except BaseException:
                self._lock.release()
                raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._remember()
                self._mend_index()
        finally:
            self._lock.release()

    def commit(self, commit: Commit) -> seal.Entry:
        """Make `commit` the ledger's next entry.

        Raises StoreError. When it was raised before the commit point the archive is as it was; after it, the entry
        stands, and the next commit or the next writer finishes what remains to be moved. Raises ArchiveDamaged, before
        the commit point, for an entry that no reader would accept.
        """
        if self._unsettled:
            with store_errors("cannot mend what the commit before left unfinished"):
                self.ledger = self.archive.ledger_to_write()
                self.recovered += recovery.recover(self._disk, self.path, self.ledger)
        self._unsettled = True
        entry = self._commit(commit, self.next_seq)
        self._unsettled = False
        self._remember()
        self._index(entry)
        return entry

    @property
    def next_seq(self) -> int:
        """The number of the entry that the next commit makes."""
        return self.ledger.head.seq + 1 if self.ledger.head else 1

    def drop_cache(self) -> None:
        """Delete what was derived from the archive's rows; it is rebuilt when it is needed."""
        with store_errors("cannot delete the archive's cache"):
            self._disk.remove_tree(self.path / layout.CACHE)
        self._cache_dropped = True
        self.ledger.remembered = 0

    def _remember(self) -> None:
        """Put the ledger's fold into the cache, where enough has come since that was done; no error where it cannot."""
        seq = self.ledger.head.seq if self.ledger.head else 0
        if not self._unsettled and seq - self.ledger.remembered >= self._remember_every:
            remembered.remember(self._disk, self.path, self.ledger)

    def _index(self, entry: seal.Entry) -> None:
        """Make the pivot index of the segments that an entry has added; no error where it cannot."""
        added = [self.ledger.live[record.path] for record in entry.files_added]
        if segments := self._indexed(added):
            from trailkeep.pivots import keeping

            keeping.extend(self._disk, self.path / layout.CACHE, self.archive.archive_id, segments)

    def _mend_index(self) -> None:
        """Make what is missing of the pivot index, and drop what is damaged or of segments that are gone."""
        if self._unsettled or self._cache_dropped or self.ledger.head is None:
            return
        from trailkeep.pivots import keeping

        cache = self.path / layout.CACHE
        if (segments := self._indexed(self.ledger.live.values())) or (cache / keeping.FOLDER).is_dir():
            keeping.mend(self._disk, cache, self.archive.archive_id, segments, turn=self.ledger.head.seq)

    def _indexed(self, files: Iterable[LiveFile]) -> list[Segment]:
        """Those of the files that have a pivot index."""
        if not self._has_index:
            return []
        from trailkeep.pivots.keeping import Segment, is_indexed

        return [
            Segment(
                table=file.table,
                sha256=file.record.sha256,
                rows=file.record.rows,
                first=file.first,
                locate=partial(self.archive.locate, file),
            )
            for file in files
            if is_indexed(file.table)
        ]

    @property
    def _staging(self) -> Path:
        return self.path / layout.STAGING

    def _commit(self, commit: Commit, seq: int) -> seal.Entry:
        staging = self._staging / layout.staging_name(seq, self.run)
        place = self.path / layout.LEDGER / layout.entry_name(seq)
        content = b""
        try:
            with store_errors("cannot commit to the archive, which stays as it was"):
                content = self._stage(commit, seq, staging)
                self.ledger.examine(content)
                self._disk.publish(staging / layout.entry_name(seq), place)
        except BaseException as error:
            stands = _stands(place, content)
            if stands is False:
                with contextlib.suppress(OSError):
                    self._disk.remove_tree(staging)
            if not stands or not isinstance(error, StoreError):
                raise
        with store_errors(f"entry {seq} is committed, but what follows could not be done; the next run will"):
            entry = self.ledger.append(content)
            self._disk.sync_directory(self.path / layout.LEDGER)
            recovery.finish(self._disk, self.path, self.ledger, entry)
            if commit.operation == "purge":
                # What is to be gone is also in files that a merge has replaced and left to readers.
                recovery.recover(self._disk, self.path, self.ledger, spare_readers=False)
        return entry

    def _stage(self, commit: Commit, seq: int, staging: Path) -> bytes:
        """Write the commit's files and its entry into `staging`, durably; return the entry's bytes."""
        self._disk.make_directory(staging)
        records: list[seal.FileRecord] = []
        for new in commit.added:
            index = len(records)
            if isinstance(new, Merge):
                records += new.write(self._disk, staging, index)
                continue
            segment = build_segment(new.table, _with_seq(new.table, new.rows, seq))
            path = layout.segment_path(new.table.name, new.partition, segment.first, segment.last, segment.sha256)
            self._disk.write(staging / layout.staged_name(index, path), segment.content, SEGMENT_MODE)
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
            os_user=os_user(),
            organization_id=commit.organization_id,
            coverage=commit.coverage,
            unreadable=commit.unreadable,
            streams=commit.streams,
            files_added=records,
            files_removed=commit.removed,
            counters=commit.counters,
            clock_offset_ms=commit.clock_offset_ms,
            reason=commit.reason,
            purged=commit.purged,
            hold=commit.hold,
            directory=commit.directory,
            findings=commit.findings,
            mutes=commit.mutes,
            deliveries=commit.deliveries,
            detect=commit.detect,
        )

    def _open_locked(self) -> None:
        """Under the lock: make the archive where there is none, read the ledger, recover, write the first entry."""
        for folder in (self._staging, self.path / layout.LEDGER):
            if folder.is_symlink():
                raise ArchiveDamaged(f"{folder} is a symbolic link: nothing is written through it")
            self._disk.make_directory(folder)
        if not (self.path / layout.ARCHIVE_FILE).exists():
            self._create()
        # Whoever made these names may have died before they were durable.
        self._disk.sync_directory(self.path)
        self.archive = Archive.open(self.path)
        self.ledger = self.archive.ledger_to_write()
        self.recovered = recovery.recover(self._disk, self.path, self.ledger)
        if self.ledger.head is None:
            with contextlib.suppress(PermissionError):
                self._disk.sync_directory(self.path.parent)
            self.commit(Commit(operation="init", started_at=self._clock()))

    def _create(self) -> None:
        self._disk.set_mode(self.path, DIRECTORY_MODE)
        draft = self._staging / layout.ARCHIVE_FILE
        with contextlib.suppress(FileNotFoundError):
            self._disk.unlink(draft)
        self._disk.write(draft, describe_archive(str(uuid4()), format_time(self._clock())), PRIVATE_MODE)
        self._disk.publish(draft, self.path / layout.ARCHIVE_FILE)
        with contextlib.suppress(FileNotFoundError):
            self._disk.unlink(draft)


def _with_seq(table: Table, rows: pa.Table, seq: int) -> pa.Table:
    """The rows with ``ledger_seq``, in the order and with the types of the table's schema."""
    schema = table.arrow_schema
    if "ledger_seq" not in rows.schema.names:
        rows = rows.append_column("ledger_seq", pa.repeat(pa.scalar(seq, pa.int64()), rows.num_rows))
    columns = [rows[name] for name in schema.names]
    return pa.table(columns, schema=schema)


def _stands(place: Path, content: bytes) -> bool | None:
    """Whether an entry with these bytes is in the ledger, whatever was said about putting it there.

    None where that cannot be told: then nothing that it may need is thrown away.
    """
    try:
        return bool(content) and place.read_bytes() == content
    except FileNotFoundError:
        return False
    except OSError:
        return None


@cache
def _tool_versions() -> dict[str, str]:
    versions = {name: metadata.version(name) for name in ("duckdb", "pyarrow")}
    return {"trailkeep": __version__, "python": platform.python_version(), **versions}
