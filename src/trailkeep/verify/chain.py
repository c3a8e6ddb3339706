"""The ledger walked entry by entry, past whatever is missing, altered or foreign in it."""

from __future__ import annotations

import re
import stat
import sys
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, NamedTuple

import msgspec

from trailkeep import seal
from trailkeep.errors import ArchiveDamaged, ArchiveMissing, ArchiveTooNew, StoreError
from trailkeep.schema import STORED_TABLES
from trailkeep.signing import is_draft, parse_signature_name
from trailkeep.store import Archive, Head, LiveFile, layout
from trailkeep.store.archive import describe_archive
from trailkeep.store.claims import moment_of
from trailkeep.streams import KINDS
from trailkeep.verify.folder import NotAFile, describe, looseness
from trailkeep.verify.result import Findings, Kind

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime

    from trailkeep.verify.folder import Folder

_SHA256 = re.compile(r"[0-9a-f]{64}")
_UNSET = "unset"

CLAIM_TOLERANCE = timedelta(days=1)
"""How far coverage may reach past an entry's own time: the laptop's clock may have been wrong."""


class Said(NamedTuple):
    """What is kept of an entry: after years there are tens of thousands, of several kilobytes each."""

    operation: str
    run: str
    finished_at: str


@dataclass(slots=True)
class Chain:
    """The ledger as it stood when the walk began, folded as far as it can be."""

    archive_id: str | None = None
    """What the first entry that can be read says, and archive.json where none can."""
    entries: dict[int, Said] = field(default_factory=dict)
    """Every entry that can be read and says its own number."""
    hashes: dict[int, str] = field(default_factory=dict)
    """SHA-256 of every entry's bytes, those included that cannot be read as one."""
    live: dict[str, LiveFile] = field(default_factory=dict)
    late: list[tuple[int, seal.CoverageRecord]] = field(default_factory=list)
    """What entries claim to have read that had not happened yet, with the entries' numbers."""
    folders: set[str] = field(default_factory=set)
    """Every folder that a file has ever been added to, with those above it."""
    signatures: dict[int, list[str]] = field(default_factory=dict)
    """The names of signatures' files, by entry."""
    head: Head | None = None
    is_whole: bool = True
    """Whether every entry could be folded; otherwise it is not known what else was added and removed."""

    @property
    def staging(self) -> dict[str, int]:
        """The committed entries by the names of their staging folders."""
        return {staging_folder(seq, said.run).rpartition("/")[2]: seq for seq, said in self.entries.items()}

    def read_again(self, folder: Folder, seq: int) -> seal.Entry | None:
        """An entry as the walk has read it; None where it is that no more."""
        content = _content(folder, seq)
        if content is None or seal.entry_hash(content) != self.hashes.get(seq):
            return None
        return seal.parse_entry(content, seq)

    def removers(self, folder: Folder, paths: Iterable[str]) -> dict[str, int]:
        """The entry that removed each of these files, which are not live; those that none removed are left out.

        Reads the ledger again, from its end until all are found: files that should be gone are seldom there.
        """
        sought, found = set(paths), dict[str, int]()
        for seq in sorted(self.entries, reverse=True):
            if not sought:
                break
            entry = self.read_again(folder, seq)
            if entry is not None:
                removed = sought.intersection(entry.files_removed)
                found |= dict.fromkeys(removed, seq)
                sought -= removed
        return found

    def fold(self, entry: seal.Entry, findings: Findings) -> None:
        """Apply what an entry adds and removes."""
        name = f"{layout.LEDGER}/{layout.entry_name(entry.seq)}"
        for path in entry.files_removed:
            if self.live.pop(path, None) is None and self.is_whole:
                findings.problem(name, Kind.ENTRY, f"it removes {path}, which is not live")
        staging = staging_folder(entry.seq, entry.run)
        for index, record in enumerate(entry.files_added):
            try:
                table, partition = layout.split_segment_path(record.path)
            except ArchiveDamaged as error:
                findings.problem(name, Kind.PATH, error.message)
                continue
            for words in _record_faults(record, table, partition):
                findings.problem(name, Kind.ENTRY, f"{words}: {record.path}")
            if record.path in self.live:
                findings.problem(name, Kind.ENTRY, f"it adds {record.path} a second time")
            self.live[record.path] = LiveFile(
                record=record,
                table=table,
                partition=partition,
                seq=entry.seq,
                staged=f"{staging}/{layout.staged_name(index, record.path)}",
            )
            folder = record.path.rpartition("/")[0]
            while folder and folder not in self.folders:
                self.folders.add(folder)
                folder = folder.rpartition("/")[0]


def walk(folder: Folder, findings: Findings) -> Chain:
    """Read the whole ledger and fold it; whatever is wrong becomes a problem, and the walk goes on.

    Raises ArchiveMissing where there is no archive, and ArchiveTooNew for one of a format that is not known.
    """
    if not folder.root.is_dir():
        Archive.open(folder.root)  # raises, and says what is there instead
    seqs, signatures = _names(folder, findings)
    described_id = _archive_id(folder, findings, has_entries=bool(seqs))
    chain = Chain(signatures=signatures)
    expected, previous = 1, None
    for seq in seqs:
        if seq > expected:
            _report_missing(findings, expected, seq - 1)
            chain.is_whole = False
            previous = _UNSET
        content = _read_entry(folder, seq, findings)
        if content is not None:
            _take(chain, seq, content, previous, findings)
        else:
            chain.is_whole = False
        previous = chain.hashes.get(seq, _UNSET)
        expected = seq + 1
    if described_id and chain.archive_id and described_id != chain.archive_id:
        words = f"its archive_id is {described_id}, the ledger's is {chain.archive_id}"
        findings.problem(layout.ARCHIVE_FILE, Kind.CHAIN, words)
    chain.archive_id = chain.archive_id or described_id
    if not seqs:
        findings.note("the ledger has no entry")
    _check_signed_entries(chain, findings)
    return chain


def staging_folder(seq: int, run: str) -> str:
    """An entry's folder in ``.staging``; one that is never there, where its run cannot be a folder."""
    try:
        return f"{layout.STAGING}/{layout.staging_name(seq, run)}"
    except ArchiveDamaged:
        return f"{layout.STAGING}/{seq:08d}-"


def read_newer(folder: Folder, chain: Chain) -> list[seal.Entry]:
    """The entries that were committed since the walk began, as far as they can be read."""
    newer: list[seal.Entry] = []
    seq = chain.head.seq + 1 if chain.head else 1
    while True:
        try:
            newer.append(seal.parse_entry(folder.read(f"{layout.LEDGER}/{layout.entry_name(seq)}"), seq))
        except (ArchiveDamaged, ArchiveTooNew, NotAFile, OSError):
            return newer
        seq += 1


def _names(folder: Folder, findings: Findings) -> tuple[list[int], dict[int, list[str]]]:
    """The numbers of the entries that are there, in order, and the signatures; what is neither is a problem."""
    seqs: set[int] = set()
    signatures: dict[int, list[str]] = {}
    try:
        mode = (folder.root / layout.LEDGER).lstat().st_mode
    except FileNotFoundError:
        findings.problem(layout.LEDGER, Kind.MISSING, "folder is missing")
        return [], {}
    if not stat.S_ISDIR(mode):
        findings.problem(layout.LEDGER, Kind.TYPE, describe(mode))
        return [], {}
    if words := looseness(layout.LEDGER, mode):
        findings.note_alike(words, layout.LEDGER)
    for entry in folder.list(layout.LEDGER):
        path = f"{layout.LEDGER}/{entry.name}"
        if seq := layout.entry_seq(entry.name):
            seqs.add(seq)
        elif signed := parse_signature_name(entry.name):
            signatures.setdefault(signed[0], []).append(entry.name)
        elif is_draft(entry.name):
            findings.note(f"{path}: a signing was interrupted; the file can be deleted")
        else:
            findings.problem(path, Kind.EXTRA, "file is not an entry of the ledger")
    # A listing is no snapshot: while it was being read an entry may have been missed and a later one seen.
    for missed in range(1, max(seqs, default=0)):
        if len(seqs) >= max(seqs):
            break
        if missed not in seqs:
            if not folder.has(f"{layout.LEDGER}/{layout.entry_name(missed)}"):
                break
            seqs.add(missed)
    return sorted(seqs), signatures


def _content(folder: Folder, seq: int) -> bytes | None:
    """The bytes of an entry that were read before; None where they cannot be read."""
    try:
        return folder.read(f"{layout.LEDGER}/{layout.entry_name(seq)}")
    except (NotAFile, OSError):
        return None


def _read_entry(folder: Folder, seq: int, findings: Findings) -> bytes | None:
    path = f"{layout.LEDGER}/{layout.entry_name(seq)}"
    try:
        status = (folder.root / path).lstat()
        if stat.S_ISREG(status.st_mode) and (words := looseness(path, status.st_mode)):
            findings.note_alike(words, path)
        return folder.read(path)
    except FileNotFoundError:
        findings.problem(path, Kind.MISSING, f"entry {seq} is missing")
    except NotAFile as error:
        findings.problem(path, Kind.TYPE, str(error))
    except OSError as error:
        findings.problem(path, Kind.UNREADABLE, f"cannot be read: {error.strerror}")
    return None


def _take(chain: Chain, seq: int, content: bytes, previous: str | None, findings: Findings) -> None:
    """Check one entry's bytes, and fold it where it can be read and is the one that its name says."""
    path = f"{layout.LEDGER}/{layout.entry_name(seq)}"
    chain.hashes[seq] = seal.entry_hash(content)
    chain.head = Head(seq=seq, sha256=chain.hashes[seq])
    try:
        entry = seal.parse_entry(content, seq)
    except (ArchiveDamaged, ArchiveTooNew) as error:
        findings.problem(path, Kind.ENTRY, error.message.removeprefix(f"ledger entry {seq} "))
        chain.is_whole = False
        return
    if chain.archive_id is None:
        chain.archive_id = entry.archive_id
    known = entry.previous if previous == _UNSET else previous
    for field_name in seal.misplacements(entry, seq=seq, previous=known, archive_id=chain.archive_id):
        if field_name == "seq":
            findings.problem(path, Kind.CHAIN, f"it says that it is entry {entry.seq}")
        elif field_name == "previous":
            findings.problem(path, Kind.CHAIN, "the hash of the previous entry does not match")
        else:
            findings.problem(path, Kind.CHAIN, f"it belongs to archive {entry.archive_id}, not to {chain.archive_id}")
    if entry.seq != seq:
        chain.is_whole = False
        return
    _check_said(path, entry, findings)
    chain.entries[seq] = Said(sys.intern(entry.operation), entry.run, entry.finished_at)
    chain.late += ((seq, claim) for claim in _late_claims(entry))
    chain.fold(entry, findings)


def _check_said(path: str, entry: seal.Entry, findings: Findings) -> None:
    """Whether an entry's times and claims can be."""
    started, finished = _moment(entry.started_at), _moment(entry.finished_at)
    if started is None or finished is None:
        findings.problem(path, Kind.ENTRY, "started_at or finished_at is not a time")
    elif finished < started:
        findings.note_alike("the clock was set back while it was being written", path)
    try:
        layout.staging_name(entry.seq, entry.run)
    except ArchiveDamaged:
        findings.problem(path, Kind.PATH, f"it names a run that cannot be a folder: {entry.run!r}")
    for looked in entry.directory:
        if _moment(looked.began_at) is None or _moment(looked.at) is None:
            findings.problem(path, Kind.ENTRY, f"it looked at {looked.resource} at what is not a time")
    if any(_moment(moment) is None for moment in seal.moments_of_findings(entry)):
        findings.problem(path, Kind.ENTRY, "it tells of findings at what is not a time")
    claims: list[tuple[str, seal.CoverageRecord | seal.StreamRecord]] = [
        *(("coverage", claim) for claim in entry.coverage),
        *(("unreadable", claim) for claim in entry.unreadable),
        *(("purged", claim) for claim in entry.purged),
        *(("streams", claim) for claim in entry.streams if claim.start and claim.end),
    ]
    for name, claim in claims:
        start, end = _moment(claim.start or ""), _moment(claim.end or "")
        if start is None or end is None or start >= end or claim.kind not in KINDS:
            words = f"its {name} names no span of a stream: {claim.kind} {claim.region} {claim.start} {claim.end}"
            findings.problem(path, Kind.ENTRY, words)


def _late_claims(entry: seal.Entry) -> Iterator[seal.CoverageRecord]:
    """What an entry claims to have read that had not happened when it was made."""
    try:
        known = moment_of(entry.finished_at) + CLAIM_TOLERANCE
        if entry.clock_offset_ms is not None:
            known += timedelta(milliseconds=entry.clock_offset_ms)
        late = [claim for claim in entry.coverage if moment_of(claim.end) > known]
    except (ValueError, OverflowError):
        return  # said where its times were read
    yield from late


def _archive_id(folder: Folder, findings: Findings, *, has_entries: bool) -> str | None:
    """The id that archive.json says; None where that cannot be told."""
    name = layout.ARCHIVE_FILE
    try:
        status = (folder.root / name).lstat()
        content = folder.read(name)
        archive = Archive.open(folder.root)
    except NotADirectoryError:
        raise ArchiveMissing(f"{folder.root} is not a folder", hint="Name a folder with --archive.") from None
    except FileNotFoundError:
        if not has_entries:
            Archive.open(folder.root)  # raises, and says what is there instead
        findings.problem(name, Kind.MISSING, "file is missing")
        return None
    except NotAFile as error:
        findings.problem(name, Kind.TYPE, str(error))
        return None
    except OSError as error:
        findings.problem(name, Kind.UNREADABLE, f"cannot be read: {error.strerror}")
        return None
    except StoreError as error:
        if isinstance(error, ArchiveTooNew) and not has_entries:
            raise
        findings.problem(name, Kind.ENTRY, error.message)
        return None
    if words := looseness(name, status.st_mode):
        findings.note_alike(words, name)
    _check_description(content, archive.archive_id, findings)
    return archive.archive_id


def _check_description(content: bytes, archive_id: str, findings: Findings) -> None:
    """Whether archive.json, which is written once, is byte for byte what Trailkeep writes."""
    try:
        created = msgspec.json.decode(content, type=dict[str, object]).get("created_at")
    except (msgspec.MsgspecError, UnicodeDecodeError):
        created = None
    if not isinstance(created, str) or _moment(created) is None:
        findings.problem(layout.ARCHIVE_FILE, Kind.ENTRY, "created_at is not a time")
    elif content != describe_archive(archive_id, created):
        findings.problem(layout.ARCHIVE_FILE, Kind.ENTRY, "it is not as Trailkeep writes it")


def _report_missing(findings: Findings, first: int, last: int) -> None:
    path = f"{layout.LEDGER}/{layout.entry_name(first)}"
    words = f"entry {first} is missing" if first == last else f"entries {first} to {last} are missing"
    findings.problem(path, Kind.MISSING, words)


def _check_signed_entries(chain: Chain, findings: Findings) -> None:
    """A signature whose entry is not there tells that the entry was taken away, at the ledger's end too."""
    for seq, names in chain.signatures.items():
        if seq not in chain.hashes:
            for name in names:
                findings.problem(f"{layout.LEDGER}/{name}", Kind.MISSING, f"it signs entry {seq}, which is missing")


def _record_faults(record: seal.FileRecord, table: str, partition: dict[str, str]) -> Iterable[str]:
    """What cannot be in an entry's record of a file."""
    first, last = _moment(record.first), _moment(record.last)
    if record.bytes < 0 or record.rows < 0 or not _SHA256.fullmatch(record.sha256):
        yield "it gives an impossible length, row count or hash for a file"
    if first is None or last is None or first > last:
        yield "it gives impossible times for a file"
    elif table in STORED_TABLES and record.path != layout.segment_path(table, partition, first, last, record.sha256):
        yield "it gives a file times or a hash other than those in its name"


def _moment(text: str) -> datetime | None:
    try:
        return moment_of(text)
    except (ValueError, OverflowError):
        return None
