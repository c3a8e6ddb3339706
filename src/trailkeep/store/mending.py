"""What a copy of an archive can give back: entries that fit the chain, and files whose hashes match."""

from __future__ import annotations

import os
from collections import defaultdict
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from trailkeep import seal
from trailkeep.errors import ArchiveDamaged, ArchiveMissing
from trailkeep.store import layout, recovery
from trailkeep.store.archive import Archive, Ledger

if TYPE_CHECKING:
    from collections.abc import Callable


class Copy:
    """A folder that may hold a copy of the archive, or of some of its files under any name."""

    def __init__(self, folder: Path | None) -> None:
        self._folder = folder

    def description(self) -> tuple[str, bytes] | None:
        """The archive's id and the bytes of archive.json, where the copy has a sound one."""
        if self._folder is None:
            return None
        try:
            return Archive.open(self._folder).archive_id, (self._folder / layout.ARCHIVE_FILE).read_bytes()
        except (ArchiveDamaged, ArchiveMissing):
            return None

    def entries(self) -> dict[int, bytes]:
        """The bytes of the copy's ledger entries, whatever they are."""
        return read_entries(self._folder / layout.LEDGER) if self._folder is not None else {}

    def find(self, record: seal.FileRecord) -> Path | None:
        """A file with exactly the length and the SHA-256 of `record`: in its place, or anywhere in the folder."""
        if self._folder is None:
            return None
        in_place = self._folder / record.path
        candidates = [in_place, *self._by_length.get(record.bytes, ())]
        return next((each for each in candidates if recovery.matches(each, record)), None)

    @cached_property
    def _by_length(self) -> dict[int, list[Path]]:
        found: dict[int, list[Path]] = defaultdict(list)
        for folder, _folders, names in os.walk(self._folder) if self._folder is not None else ():
            for name in sorted(names):
                file = Path(folder, name)
                if file.is_file() and not file.is_symlink():
                    found[file.stat().st_size].append(file)
        return found


@dataclass(slots=True, kw_only=True)
class MendedLedger:
    """A ledger with the entries of a copy where its own were missing or damaged."""

    ledger: Ledger
    restored: list[tuple[int, bytes]] = field(default_factory=list)
    """What comes from the copy, by number."""
    replaced: set[int] = field(default_factory=set)
    """Those of them for which there was an entry that does not fit."""
    broken: tuple[int, str] | None = None
    """The first entry that is missing or does not fit and for which the copy has none, and what is wrong with it."""


def mend_ledger(folder: Path, archive_id: str, copy: Copy) -> MendedLedger:
    """Fold the ledger in `folder`, taking from `copy` what its own entries do not give; writes nothing."""
    own, others = read_entries(folder), copy.entries()
    mended = MendedLedger(ledger=Ledger(archive_id))
    last = max(own, default=0)
    for seq in range(1, max([last, *others]) + 1):
        fitting, wrong = _fitting(mended.ledger, [own.get(seq), others.get(seq)])
        if not fitting:
            if seq <= last:
                mended.broken = (seq, wrong or "the entry is missing")
            return mended
        # Where several would do, the one that the next own entry follows is the true one.
        following = _previous_of(own.get(seq + 1), seq + 1)
        chosen = next((each for each in fitting if seal.entry_hash(each) == following), fitting[0])
        if chosen != own.get(seq):
            mended.restored.append((seq, chosen))
            if seq in own:
                mended.replaced.add(seq)
        mended.ledger.append(chosen)
    return mended


def read_entries(folder: Path) -> dict[int, bytes]:
    """The bytes of every ledger entry in `folder`, by number."""
    files = sorted(folder.iterdir()) if folder.is_dir() else []
    return {seq: file.read_bytes() for file in files if (seq := layout.entry_seq(file.name)) and file.is_file()}


def archive_id_of(folder: Path) -> str | None:
    """The archive's id that the first readable entry in `folder` names; None where no entry can be read."""
    for seq, content in read_entries(folder).items():
        entry = _attempt(lambda content=content, seq=seq: seal.parse_entry(content, seq))  # type: ignore[misc]
        if isinstance(entry, seal.Entry):
            return entry.archive_id
    return None


def _fitting(ledger: Ledger, candidates: list[bytes | None]) -> tuple[list[bytes], str | None]:
    """The candidates that continue the chain, and what is wrong with the first that does not."""
    fitting: list[bytes] = []
    wrong: str | None = None
    for content in candidates:
        if content is None:
            continue
        found = _attempt(lambda content=content: ledger.examine(content))  # type: ignore[misc]
        if isinstance(found, ArchiveDamaged):
            wrong = wrong or found.message
        else:
            fitting.append(content)
    return fitting, wrong


def _previous_of(content: bytes | None, seq: int) -> str | None:
    entry = None if content is None else _attempt(lambda: seal.parse_entry(content, seq))
    return entry.previous if isinstance(entry, seal.Entry) else None


def _attempt(read: Callable[[], object]) -> object:
    """What `read` gives, or the damage that it met."""
    try:
        return read()
    except ArchiveDamaged as damage:
        return damage
