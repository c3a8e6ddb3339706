"""The ledger, folded: what all entries together say, kept so that no command needs each of them again."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Generic, Protocol, TypeVar, cast

import msgspec

from trailkeep import seal
from trailkeep.errors import ArchiveDamaged
from trailkeep.store import layout
from trailkeep.store.claims import Claims, moment_of
from trailkeep.store.disk import store_errors
from trailkeep.store.findings import KnownFindings
from trailkeep.store.looked import Brought, Looks, Seen, brought_by, note_look
from trailkeep.streams import Kind, Stream
from trailkeep.timespan import Span

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from pathlib import Path

RESTORE_LEDGER = "Run `trailkeep repair --from DIR` with a copy of the archive; nothing is written until then."


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
    operation: str = ""
    """What the entry that added it did."""
    at: str = ""
    """When that entry was finished."""

    @property
    def first(self) -> datetime:
        """The first row's moment."""
        return moment_of(self.record.first)

    @property
    def last(self) -> datetime:
        """The last row's moment, which the file holds: not an exclusive end."""
        return moment_of(self.record.last)

    def touches(self, span: Span) -> bool:
        """Whether the file may hold a row inside `span`."""
        return self.first < span.end and self.last >= span.start


class Hold(msgspec.Struct, frozen=True, kw_only=True):
    """The last word on whether rows may be purged, and whose it was."""

    hold: str
    """``set`` or ``released``."""
    seq: int
    reason: str | None
    os_user: str
    host: str
    finished_at: str


_N = TypeVar("_N", contravariant=True)


class _Fold(Protocol[_N]):
    def append(self, note: _N, /) -> None: ...


_F = TypeVar("_F", bound=_Fold)
_T = TypeVar("_T")


class Later(Generic[_F, _T]):
    """A part of the fold that few commands ask for: its base is read, and newer entries taken in, when one does."""

    def __init__(self, base: Callable[[], _F]) -> None:
        self._base: Callable[[], _F] | None = base
        self._fold: _F | None = None
        self._waiting: list[_T] = []

    def append(self, note: _T) -> None:
        """Take in what one more entry says."""
        self._waiting.append(note)

    def get(self) -> _F:
        """The fold of the base and of all that was taken in."""
        if self._fold is None:
            assert self._base is not None
            self._fold, self._base = self._base(), None
        waiting, self._waiting = self._waiting, []
        for note in waiting:
            self._fold.append(note)
        return self._fold


@dataclass(slots=True)
class Ledger:
    """What the ledger's entries, up to `head`, say together."""

    archive_id: str
    folder: Path | None = None
    """Where the entries lie, to be read again where each is asked for; None keeps them in memory."""
    live: dict[str, LiveFile] = field(default_factory=dict)
    """By their paths, the files that are live after the last entry."""
    head: Head | None = None
    """None for an archive whose first entry was never committed."""
    streams: dict[Stream, Claims] = field(default_factory=dict)
    organizations: set[str] = field(default_factory=set)
    """Those that any entry was made for."""
    hold: Hold | None = None
    looks: Looks = field(default_factory=dict)
    """The looks at the directory's lists."""
    remembered: int = 0
    """The newest entry whose fold is in the archive's cache, as far as this reader found and took it; 0 for none."""
    later_findings: Later[KnownFindings, seal.Entry] = field(default_factory=lambda: Later(KnownFindings))
    later_seen: Later[Seen, Brought] = field(default_factory=lambda: Later(Seen))
    _entries: list[seal.Entry] = field(default_factory=list)

    @property
    def findings(self) -> KnownFindings:
        """What is known of findings."""
        return self.later_findings.get()

    @property
    def seen(self) -> Seen:
        """What detections have seen."""
        return self.later_seen.get()

    @property
    def entries(self) -> list[seal.Entry]:
        """Every entry, in order: after years that takes seconds, so only what shows each of them asks for it.

        Raises ArchiveDamaged where one is missing or does not continue the chain.
        """
        if self.folder is not None and self.head is not None and len(self._entries) < self.head.seq:
            self._entries = list(read_chain(self.folder, self.archive_id, self.head))
        return self._entries

    def entry(self, seq: int) -> seal.Entry | None:
        """Entry `seq`, or None where the ledger has none of this number. Raises ArchiveDamaged where it is damaged."""
        if self.head is None or not 0 < seq <= self.head.seq:
            return None
        if self.folder is None or len(self._entries) >= seq:
            return self._entries[seq - 1]
        return seal.parse_entry(read_entry(self.folder, seq), seq)

    def sha256_of(self, seq: int) -> str | None:
        """The SHA-256 of entry `seq`; None where the ledger has none of this number, or it cannot be read."""
        if self.head is None or not 0 < seq <= self.head.seq:
            return None
        if seq == self.head.seq:
            return self.head.sha256
        if self.folder is None:
            return self._entries[seq].previous
        try:
            return seal.entry_hash(read_entry(self.folder, seq))
        except (ArchiveDamaged, OSError):
            return None

    def append(self, content: bytes) -> seal.Entry:
        """Fold one more entry's bytes. Raises ArchiveDamaged where they do not continue the chain."""
        entry, added = self.examine(content)
        for path in entry.files_removed:
            del self.live[path]
        self.live |= added
        self.head = Head(seq=entry.seq, sha256=seal.entry_hash(content))
        self.take(entry)
        return entry

    def take(self, entry: seal.Entry) -> None:
        """Fold what an entry says beside its files, without looking at its place in the chain."""
        self._take_claims(entry)
        if entry.organization_id:
            self.organizations.add(entry.organization_id)
        if entry.hold is not None:
            self.hold = Hold(
                hold=entry.hold,
                seq=entry.seq,
                reason=entry.reason,
                os_user=entry.os_user,
                host=entry.host,
                finished_at=entry.finished_at,
            )
        for record in entry.directory:
            note_look(self.looks, record)
        if entry.findings or entry.mutes or entry.deliveries:
            self.later_findings.append(entry)
        if (brought := brought_by(entry)) is not None:
            self.later_seen.append(brought)
        if self.folder is None:
            self._entries.append(entry)

    def _take_claims(self, entry: seal.Entry) -> None:
        for claim in entry.coverage:
            self._claims_of(claim).cover(claim, entry)
        for lost in entry.unreadable:
            self._claims_of(lost).lose(lost)
        for purged in entry.purged:
            self._claims_of(purged).purge(purged)
        for record in entry.streams:
            self._claims_of(record).ask(record, entry)

    def _claims_of(self, record: seal.CoverageRecord | seal.StreamRecord) -> Claims:
        stream = Stream(organization_id=record.organization_id, kind=cast("Kind", record.kind), region=record.region)
        claims = self.streams.get(stream)
        if claims is None:
            claims = self.streams[stream] = Claims()
        return claims

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
        staging = layout.staging_name(seq, entry.run)
        added: dict[str, LiveFile] = {}
        for index, record in enumerate(entry.files_added):
            if record.path in added or (record.path in self.live and record.path not in removed):
                raise ArchiveDamaged(f"ledger entry {seq} adds {record.path} a second time")
            added[record.path] = live_file(record, seq, staging, index, entry.operation, entry.finished_at)
        check_moments(entry)
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


def live_file(record: seal.FileRecord, seq: int, staging: str, index: int, operation: str, at: str) -> LiveFile:
    """File number `index` of entry `seq`, whose staging folder has this name. Raises ArchiveDamaged for its path."""
    table, partition = layout.split_segment_path(record.path)
    return LiveFile(
        record=record,
        table=table,
        partition=partition,
        seq=seq,
        staged=f"{layout.STAGING}/{staging}/{layout.staged_name(index, record.path)}",
        operation=operation,
        at=at,
    )


def read_entry(folder: Path, seq: int) -> bytes:
    """The bytes of an entry that the ledger in `folder` has. Raises ArchiveDamaged where it has not, and OSError."""
    try:
        return (folder / layout.entry_name(seq)).read_bytes()
    except FileNotFoundError:
        raise ArchiveDamaged(f"ledger entry {seq} is missing from {folder}", hint=RESTORE_LEDGER) from None


def read_chain(folder: Path, archive_id: str, head: Head) -> Iterator[seal.Entry]:
    """Every entry up to `head`. Raises ArchiveDamaged where they are no chain that ends there."""
    previous: str | None = None
    with store_errors("cannot read the ledger"):
        for seq in range(1, head.seq + 1):
            content = read_entry(folder, seq)
            try:
                entry = seal.decode_entry(content, seq=seq, previous=previous, archive_id=archive_id)
            except ArchiveDamaged as error:
                file = folder / layout.entry_name(seq)
                raise ArchiveDamaged(f"{file}: {error.message}", hint=RESTORE_LEDGER) from error
            previous = seal.entry_hash(content)
            if seq == head.seq and previous != head.sha256:
                raise ArchiveDamaged(f"ledger entry {seq} was altered since it was first read", hint=RESTORE_LEDGER)
            yield entry


def check_moments(entry: seal.Entry) -> None:
    """Raise ArchiveDamaged for a time that is none or a span that is reversed, which readers rely on."""
    try:
        moment_of(entry.started_at)
        moment_of(entry.finished_at)
        for looked in entry.directory:
            moment_of(looked.began_at)
            moment_of(looked.at)
        for moment in seal.moments_of_findings(entry):
            moment_of(moment)
        reversed_files = [
            record.path for record in entry.files_added if moment_of(record.first) > moment_of(record.last)
        ]
        for span in (*entry.coverage, *entry.unreadable, *entry.purged):
            Span(moment_of(span.start), moment_of(span.end))
        for stream in entry.streams:
            if stream.start and stream.end:
                Span(moment_of(stream.start), moment_of(stream.end))
    except (ValueError, OverflowError) as error:
        raise ArchiveDamaged(f"ledger entry {entry.seq} names a time that cannot be: {error}") from error
    if reversed_files:
        raise ArchiveDamaged(f"ledger entry {entry.seq} says that {reversed_files[0]} ends before it starts")
