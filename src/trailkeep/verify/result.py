"""What a verification found, what it counted, and what it did not look at."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from trailkeep.store import Head


class Kind(StrEnum):
    """What sort of problem it is; the words for people stand in the problem itself."""

    MISSING = "missing"
    """A file or an entry is not there."""
    EXTRA = "extra"
    """Something is there that the ledger does not know."""
    LENGTH = "length"
    HASH = "hash"
    TYPE = "type"
    """It is not a regular file, or not a folder: a symbolic link, for one."""
    UNREADABLE = "unreadable"
    """The system refuses to read it."""
    CHAIN = "chain"
    """An entry does not belong where it stands."""
    ENTRY = "entry"
    """What an entry, or archive.json, says cannot be so."""
    PATH = "path"
    """An entry names a place where no file of an archive may lie."""
    CONTENT = "content"
    """A file's rows are not what the ledger, its path or the events' own bytes say."""
    DUPLICATE = "duplicate"
    """An event is held twice."""
    HEAD = "head"
    """The ledger is not the one whose head was expected."""
    SIGNATURE = "signature"


@dataclass(frozen=True, slots=True, kw_only=True)
class Problem:
    """One thing that is wrong."""

    path: str
    """Relative to the archive, with forward slashes."""
    kind: Kind
    reason: str
    """In plain words."""

    def __str__(self) -> str:
        return one_line(f"INVALID: {self.path}: {self.reason}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """The newest signature by a known signer."""

    seq: int
    file: str
    signer: str
    fingerprint: str
    after: int
    """How many entries came after it, unsigned."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Verification:
    """The outcome: the archive is what its ledger says where there are no problems, but for what was not checked."""

    archive: Path
    archive_id: str | None
    """None where neither archive.json nor the ledger can be read."""
    head: Head | None
    problems: tuple[Problem, ...]
    notes: tuple[str, ...]
    """What is worth knowing and makes nothing invalid."""
    not_checked: tuple[str, ...]
    entries: int
    """Ledger entries read."""
    files: int
    """Live files whose length and hash were compared."""
    bytes: int
    """Bytes of those files."""
    rows: int
    """Rows of those files, as the ledger counts them."""
    rows_checked: int
    """Rows read and compared with their ``raw``; 0 unless in depth."""
    deep: bool
    signed: Signed | None

    @property
    def is_valid(self) -> bool:
        """Whether nothing that was checked is wrong."""
        return not self.problems

    def as_json(self) -> dict[str, Any]:
        """The outcome as JSON values."""
        return {
            "archive": str(self.archive),
            "archive_id": self.archive_id,
            "valid": self.is_valid,
            "deep": self.deep,
            "head": {"seq": self.head.seq, "sha256": self.head.sha256} if self.head else None,
            "checked": {
                "entries": self.entries,
                "files": self.files,
                "bytes": self.bytes,
                "rows": self.rows_checked,
            },
            "rows_in_ledger": self.rows,
            "problems": [
                {"path": problem.path, "kind": str(problem.kind), "reason": problem.reason} for problem in self.problems
            ],
            "notes": list(self.notes),
            "not_checked": list(self.not_checked),
            "signed": {
                "seq": self.signed.seq,
                "file": self.signed.file,
                "signer": self.signed.signer,
                "fingerprint": self.signed.fingerprint,
                "entries_after": self.signed.after,
            }
            if self.signed
            else None,
        }


def one_line(text: str) -> str:
    """The text without line feeds, which a file's name may hold to look like another line."""
    return text.replace("\n", "\\n").replace("\r", "\\r")


@dataclass(slots=True)
class Findings:
    """Problems and notes while they are being gathered."""

    problems: list[Problem] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    alike: Counter[str] = field(default_factory=Counter)
    """Notes that would repeat for many files, by their words."""
    examples: dict[str, str] = field(default_factory=dict)

    def problem(self, path: str, kind: Kind, reason: str) -> None:
        """Something is wrong with `path`."""
        self.problems.append(Problem(path=path, kind=kind, reason=reason))

    def note(self, text: str) -> None:
        """Something is worth knowing."""
        self.notes.append(text)

    def note_alike(self, words: str, path: str, count: int = 1) -> None:
        """The same is worth knowing of many: told once, with their number and an example."""
        self.alike[words] += count
        self.examples.setdefault(words, path)

    def told(self) -> tuple[str, ...]:
        """All notes."""
        alike = [
            f"{self.examples[words]}: {words}"
            if count == 1
            else f"{self.examples[words]} and {count - 1:,} more: {words}"
            for words, count in self.alike.items()
        ]
        return tuple(one_line(note) for note in (*self.notes, *alike))

    def merge(self, other: Findings) -> None:
        """Add what another gathered."""
        self.problems += other.problems
        self.notes += other.notes
        for words, count in other.alike.items():
            self.note_alike(words, other.examples[words], count)
