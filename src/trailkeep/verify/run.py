"""One verification from the ledger's first byte to the last row that was asked for."""

from __future__ import annotations

import os
import re
from collections import defaultdict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Protocol

from trailkeep.errors import ArchiveDamaged, ArchiveTooNew, UsageError
from trailkeep.schema import EVENT_TABLES, STORED_TABLES
from trailkeep.store import Archive, Head, layout, remembered
from trailkeep.store.disk import store_errors
from trailkeep.timespan import Span
from trailkeep.verify import strangers
from trailkeep.verify.chain import Chain, read_newer, walk
from trailkeep.verify.files import check_files, open_live
from trailkeep.verify.folder import Folder, NotAFile
from trailkeep.verify.result import Findings, Kind, Problem, Signed, Verification
from trailkeep.verify.signed import check_signatures

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from trailkeep import seal
    from trailkeep.signatures import Signer
    from trailkeep.store import LiveFile

MAX_WORKERS = 8
"""Threads that hash by default, at most: more than a disk can serve help nobody."""

_HEAD = re.compile(r"([0-9]{1,18}):([0-9a-fA-F]{64})")


class Listener(Protocol):
    """Is told how far a verification has come, from one thread."""

    def begin(self, step: str, total: int) -> None:
        """A step starts, of so many bytes."""

    def advance(self, count: int) -> None:
        """So many more bytes of the step are done."""


class Silent:
    """A listener that does nothing."""

    def begin(self, step: str, total: int) -> None:
        """Say nothing."""

    def advance(self, count: int) -> None:
        """Say nothing."""


def parse_head(text: str) -> Head:
    """A head as sync prints it, ``SEQ:HASH``. Raises UsageError."""
    match = _HEAD.fullmatch(text.strip())
    if match is None or int(match[1]) < 1:
        raise UsageError(f"{text!r} is not a head such as 12:<64 hexadecimal digits>, as sync prints it")
    return Head(seq=int(match[1]), sha256=match[2].lower())


def verify_archive(
    path: Path,
    *,
    deep: bool = False,
    span: Span | None = None,
    expect_head: Head | None = None,
    signers: Sequence[Signer] | None = None,
    listener: Listener | None = None,
    workers: int | None = None,
) -> Verification:
    """Compare the archive in `path` with its ledger, and report everything that is wrong.

    `deep` reads the rows too. `span` leaves out files that hold no moment of it. `expect_head` is an entry that the
    ledger must hold, and `signers` are those of whom one must have signed. Takes no lock and writes nothing; what a
    sync or a compaction changes meanwhile is no problem.

    Raises ArchiveMissing where there is no archive, ArchiveTooNew, ConfigError where signatures cannot be checked
    here, and StoreError where the folder cannot be read at all.
    """
    work = _Work(
        folder=Folder(path),
        deep=deep,
        span=span,
        expect_head=expect_head,
        listener=listener or Silent(),
        workers=workers or min(MAX_WORKERS, os.cpu_count() or 1),
    )
    with store_errors(f"cannot read the archive {path}"):
        return work.run(signers)


@dataclass(slots=True, kw_only=True)
class _Work:
    folder: Folder
    deep: bool
    span: Span | None
    expect_head: Head | None
    listener: Listener
    workers: int
    findings: Findings = field(default_factory=Findings)
    chain: Chain = field(default_factory=Chain)
    absent: list[LiveFile] = field(default_factory=list)
    not_checked: list[str] = field(default_factory=list)
    files: int = 0
    bytes: int = 0
    rows: int = 0
    rows_checked: int = 0

    def run(self, signers: Sequence[Signer] | None) -> Verification:
        self.chain = walk(self.folder, self.findings)
        self.check_head()
        self.check_cache()
        signed = check_signatures(self.folder, self.chain, signers, self.findings)
        chosen = [file for file in self.chain.live.values() if self.span is None or _touches(file, self.span)]
        sound = self.check_files(chosen)
        if self.deep:
            self.check_claims()
            self.check_rows(sound)
        met = strangers.scan(self.folder, self.chain, self.findings)
        strangers.scan_staging(self.folder, self.chain, self.findings)
        newer = read_newer(self.folder, self.chain)
        self.settle_absent(newer)
        strangers.settle(self.folder, self.chain, met, newer, self.findings)
        self.say_what_was_not_checked(signers, signed, outside=len(self.chain.live) - len(chosen), newer=len(newer))
        return Verification(
            archive=self.folder.root,
            archive_id=self.chain.archive_id,
            head=self.chain.head,
            problems=_each_once(self.findings.problems),
            notes=self.findings.told(),
            not_checked=tuple(self.not_checked),
            entries=len(self.chain.hashes),
            files=self.files,
            bytes=self.bytes,
            rows=self.rows,
            rows_checked=self.rows_checked,
            deep=self.deep,
            signed=signed,
        )

    def check_head(self) -> None:
        """Whether the ledger holds the entry that was expected."""
        expected, head = self.expect_head, self.chain.head
        if expected is None:
            return
        path = f"{layout.LEDGER}/{layout.entry_name(expected.seq)}"
        found = self.chain.hashes.get(expected.seq)
        if found is None:
            end = f"the ledger ends at entry {head.seq}" if head else "the ledger is empty"
            self.findings.problem(path, Kind.HEAD, f"entry {expected.seq} was expected and is missing: {end}")
        elif found != expected.sha256:
            self.findings.problem(path, Kind.HEAD, "hash value does not match the expected head")

    def check_cache(self) -> None:
        """Whether what readers take the ledger to say, without reading all of it, is what it says."""
        if self.chain.archive_id is None or not self.chain.is_whole:
            return
        try:
            false = Archive(self.folder.root, self.chain.archive_id).remembers_falsely()
        except (ArchiveDamaged, ArchiveTooNew):
            return  # said where the entry was read
        if false:
            path = f"{layout.CACHE}/{remembered.NAME}"
            words = "it is not what the entries add up to, and readers rely on it: delete it, it is made anew"
            self.findings.problem(path, Kind.CONTENT, words)

    def check_files(self, chosen: list[LiveFile]) -> list[LiveFile]:
        """Hash every file; those whose bytes are what the ledger says."""
        self.listener.begin("hashing", sum(max(file.record.bytes, 0) for file in chosen))
        sound: list[LiveFile] = []
        for checked in check_files(self.folder, chosen, self.workers):
            record = checked.file.record
            self.findings.merge(checked.findings)
            self.listener.advance(max(record.bytes, 0))
            if checked.found_at is None:
                self.absent.append(checked.file)
                continue
            self.files += 1
            self.bytes += max(record.bytes, 0)
            self.rows += max(record.rows, 0)
            if checked.is_sound:
                sound.append(checked.file)
        return sound

    def check_rows(self, sound: list[LiveFile]) -> None:
        """Read every file whose bytes are right, and compare its rows; then the ids of each stream's files."""
        from trailkeep.verify.pivots import check_index
        from trailkeep.verify.rows import check_rows

        self.listener.begin("reading rows", sum(file.record.bytes for file in sound))
        readable: dict[tuple[str, str, str], list[LiveFile]] = defaultdict(list)
        unknown: set[str] = set()
        for file in sound:
            if file.table not in STORED_TABLES:
                unknown.add(file.table)
                continue
            path = file.record.path
            try:
                opened = open_live(self.folder, file)
            except (NotAFile, OSError) as error:
                self.findings.problem(path, Kind.UNREADABLE, f"cannot be read: {error}")
                continue
            if opened is None:
                self.absent.append(file)
                continue
            with opened[1] as stream:
                checked = check_rows(stream, file, self.chain.entries[file.seq].operation)
            if self.chain.archive_id is not None:
                check_index(self.folder, self.chain.archive_id, file, opened[0], self.findings)
            self.rows_checked += checked.rows
            for reason in checked.reasons:
                self.findings.problem(path, Kind.CONTENT, reason)
            if checked.strangers:
                self.findings.note(f"{path}: {checked.strangers} rows name another Organization than the path")
            if checked.elsewhere:
                self.findings.note(f"{path}: {checked.elsewhere} rows name a locality outside its region")
            if not any("cannot be read" in reason or "columns are not" in reason for reason in checked.reasons):
                readable[
                    file.table, file.partition.get("organization_id", ""), file.partition.get("region", "")
                ].append(file)
            self.listener.advance(file.record.bytes)
        self.check_ids(readable)
        self.not_checked += [f"rows of {table}, which this version does not know" for table in sorted(unknown)]

    def check_ids(self, readable: dict[tuple[str, str, str], list[LiveFile]]) -> None:
        """Whether any stream holds an event twice."""
        from trailkeep.verify.ids import repeated_ids

        names = {table.name for table in EVENT_TABLES.values()}
        for (table, _organization, _region), files in readable.items():
            if table not in names:
                continue
            for identifier, paths in repeated_ids(self.folder, files):
                others = sorted(set(paths) - {paths[-1]}) or [paths[-1]]
                words = f"event {identifier} is held {len(paths)} times, also in {others[0]}"
                self.findings.problem(paths[-1], Kind.DUPLICATE, words)

    def check_claims(self) -> None:
        """Whether any entry claims to have read what had not happened yet."""
        for seq, claim in self.chain.late:
            self.findings.problem(
                f"{layout.LEDGER}/{layout.entry_name(seq)}",
                Kind.ENTRY,
                f"it claims to have read {claim.kind} {claim.region} up to {claim.end}, after its own time",
            )

    def settle_absent(self, newer: list[seal.Entry]) -> None:
        """Files that were not there: removed by an entry since, or missing."""
        removed = {path for entry in newer for path in entry.files_removed}
        gone = [file for file in self.absent if file.record.path in removed]
        for file in self.absent:
            if file.record.path not in removed:
                self.findings.problem(file.record.path, Kind.MISSING, "file is missing")
        if gone:
            self.not_checked.append(f"{len(gone)} files that a newer entry replaced meanwhile")

    def say_what_was_not_checked(
        self, signers: Sequence[Signer] | None, signed: Signed | None, *, outside: int, newer: int
    ) -> None:
        """What a reader of the result must not take as proven."""
        if not self.deep:
            self.not_checked.append("row contents (use --deep)")
        if outside:
            self.not_checked.append(f"{outside} files outside the span that was asked for")
        if self.deep and outside:
            self.not_checked.append("whether an event is held again in a file outside that span")
        if newer:
            self.not_checked.append(f"{newer} entries that were committed meanwhile")
        known = max(self.expect_head.seq if self.expect_head else 0, signed.seq if signed else 0)
        if known == 0:
            self.not_checked.append(
                "whether the newest entries were cut off or rewritten (use --expect-head or --signer)"
            )
        elif self.chain.head and known < self.chain.head.seq:
            self.not_checked.append(f"whether entries after {known} were rewritten or cut off")
        elif self.expect_head is None:
            self.not_checked.append(
                "whether entries after the signed one were cut off with their signatures (use --expect-head)"
            )
        count = sum(len(names) for names in self.chain.signatures.values())
        if signers is None and count:
            self.not_checked.append(f"{count} signatures (use --signer)")
        elif count > 1:
            self.not_checked.append("signatures other than the newest valid one")


def _touches(file: LiveFile, span: Span) -> bool:
    """Whether a file may hold a moment of `span`; yes where its times cannot be read."""
    try:
        return file.touches(span)
    except (ValueError, OverflowError):
        return True


def _each_once(problems: list[Problem]) -> tuple[Problem, ...]:
    return tuple({(problem.path, problem.reason): problem for problem in problems}.values())


def open_span(start: datetime | None, end: datetime | None) -> Span | None:
    """The span between two moments of which either may be left open; None where both are."""
    if start is None and end is None:
        return None
    return Span(start or datetime.min.replace(tzinfo=UTC), end or datetime.max.replace(tzinfo=UTC))
