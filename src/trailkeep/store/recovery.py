"""What follows a commit point, done at once or after a crash: files moved to their places, removed ones deleted."""

from __future__ import annotations

import contextlib
import hashlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from trailkeep.errors import ArchiveDamaged
from trailkeep.store import layout, readers

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

    from trailkeep import seal
    from trailkeep.store.archive import Ledger
    from trailkeep.store.disk import Disk


@dataclass(frozen=True, slots=True, kw_only=True)
class Leftover:
    """Something that an earlier writer left in the staging folder, and what became of it."""

    name: str
    seq: int | None
    """The entry that it belongs to; None where it was never committed."""
    finished: bool
    """False where files of a committed entry are damaged or gone: then the staging folder is left as it is."""

    def __str__(self) -> str:
        if self.seq is None:
            return f"{layout.STAGING}/{self.name}: thrown away, it was never committed"
        if self.finished:
            return f"{layout.STAGING}/{self.name}: finished, it belongs to ledger entry {self.seq}"
        return f"{layout.STAGING}/{self.name}: left, since files of ledger entry {self.seq} are missing or damaged"


def leftovers(root: Path, ledger: Ledger) -> list[tuple[Path, seal.Entry | None]]:
    """What is in the staging folder, in order, each with the entry that it belongs to."""
    staging = root / layout.STAGING
    found = sorted(staging.iterdir()) if staging.is_dir() else []
    return [(left, _entry_of(left.name, ledger) if not left.is_symlink() else None) for left in found]


def _entry_of(name: str, ledger: Ledger) -> seal.Entry | None:
    """The entry whose staging folder has this name; None where none was committed. Raises ArchiveDamaged."""
    seq = layout.staging_seq(name)
    entry = ledger.entry(seq) if seq is not None else None
    return entry if entry is not None and layout.staging_name(entry.seq, entry.run) == name else None


def recover(disk: Disk, root: Path, ledger: Ledger, *, spare_readers: bool = True) -> list[Leftover]:
    """Finish the entries that were committed, and throw away the staging of those that were not.

    What a merge has replaced and somebody still reads stays, unless readers are not to be spared.
    """
    mended: list[Leftover] = []
    left_behind = leftovers(root, ledger)
    if left_behind:
        # Its writer may have died between the commit point and making it durable. Nothing may be deleted before.
        disk.sync_directory(root / layout.LEDGER)
    for left, entry in left_behind:
        finished = True
        if entry is not None:
            finished = finish(disk, root, ledger, entry, after_crash=True, spare_readers=spare_readers)
            if finished and left.exists():
                continue
        elif left.is_dir():
            disk.remove_tree(left)
        else:
            disk.unlink(left)
        mended.append(Leftover(name=left.name, seq=entry.seq if entry else None, finished=finished))
    return mended


def finish(
    disk: Disk,
    root: Path,
    ledger: Ledger,
    entry: seal.Entry,
    *,
    after_crash: bool = False,
    spare_readers: bool = True,
) -> bool:
    """Steps 4 to 6 of a committed entry: move its files to their places, delete what it removes, clean up.

    Each step may have been done before, and later entries may have removed what this one added. Returns False, with
    nothing deleted, where a file that the entry added is gone or, after a crash, is not what was committed. What a
    merge removes stays while somebody reads, and so does the staging folder, by which the next writer comes back to it.
    """
    staging = root / layout.STAGING / layout.staging_name(entry.seq, entry.run)
    moves: list[tuple[Path, Path]] = []
    folders: set[Path] = set()
    whole = True
    for index, record in enumerate(entry.files_added):
        live = ledger.live.get(record.path)
        if live is None or live.seq != entry.seq:
            continue
        staged, place = staging / layout.staged_name(index, record.path), place_of(root, record.path)
        if staged.is_file() and (not after_crash or matches(staged, record)):
            moves.append((staged, place))
        elif not (matches(place, record) if after_crash else has_length(place, record)):
            whole = False
            continue
        folders.add(place.parent)
    _make_folders(disk, root, folders, after_crash=after_crash)
    for staged, place in moves:
        disk.rename(staged, place)
    for folder in sorted(folders):
        disk.sync_directory(folder)
    if not whole:
        return False
    gone = [place_of(root, path) for path in entry.files_removed if path not in ledger.live]
    spare_readers &= entry.operation == "compact" and any(place.exists() for place in gone)
    with readers.looked_for(root) if spare_readers else contextlib.nullcontext(enter_result=False) as somebody_reads:
        if somebody_reads:
            return True
        for place in gone:
            if place.exists():
                disk.unlink(place)
    # A deletion that is not durable could come back when nothing remembers any more that it must be done.
    for folder in sorted({place.parent for place in gone if place.parent.is_dir()}):
        disk.sync_directory(folder)
    disk.remove_tree(staging)
    return True


def place_of(root: Path, path: str) -> Path:
    """Where a file of the ledger lies. Raises ArchiveDamaged where a symbolic link leads elsewhere."""
    place = root / path
    folder = place.parent
    while folder != root:
        if folder.is_symlink():
            raise ArchiveDamaged(
                f"{folder} is a symbolic link: nothing is written through it",
                hint="Put the folder itself in its place.",
            )
        folder = folder.parent
    return place


def has_length(file: Path, record: seal.FileRecord) -> bool:
    """Whether the file is there, with the length that the ledger says."""
    try:
        return not file.is_symlink() and file.stat().st_size == record.bytes
    except (FileNotFoundError, NotADirectoryError):
        return False


def matches(file: Path, record: seal.FileRecord) -> bool:
    """Whether the file is there, with the length and the SHA-256 that the ledger says."""
    if not has_length(file, record):
        return False
    with file.open("rb") as content:
        return hashlib.file_digest(content, "sha256").hexdigest() == record.sha256


def _make_folders(disk: Disk, root: Path, folders: Iterable[Path], *, after_crash: bool) -> None:
    """Make the folders that files are to be moved to, durably."""
    for folder in sorted(folders):
        disk.make_directory(folder)
    if after_crash:
        # Whoever made them may have died before they were durable, and what is moved into them would go with them.
        above = {parent for folder in folders for parent in folder.parents if parent == root or root in parent.parents}
        for folder in sorted(above):
            disk.sync_directory(folder)
