"""Live files, each against the ledger's length and hash: in threads, in pieces, wherever the file lies."""

from __future__ import annotations

import hashlib
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from trailkeep.verify.folder import NotAFile, looseness
from trailkeep.verify.result import Findings, Kind

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from io import FileIO

    from trailkeep.store import LiveFile
    from trailkeep.verify.folder import Folder

READ_BYTES = 1 << 20
"""How much of a file is in memory at once, for each thread."""


@dataclass(slots=True, kw_only=True)
class Checked:
    """What became of one file."""

    file: LiveFile
    found_at: str | None = None
    """Where it lies: its place, or its name in the staging folder; None where it is in neither."""
    is_sound: bool = False
    findings: Findings = field(default_factory=Findings)


def check_files(folder: Folder, files: Sequence[LiveFile], workers: int) -> Iterator[Checked]:
    """Check every file; in their order."""
    if workers == 1:
        yield from (check_file(folder, file) for file in files)
        return
    with ThreadPoolExecutor(max_workers=workers, thread_name_prefix="verify") as pool:
        try:
            yield from pool.map(lambda file: check_file(folder, file), files)
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def check_file(folder: Folder, file: LiveFile) -> Checked:
    """Check one file's presence, length and hash."""
    checked = Checked(file=file)
    path, record = file.record.path, file.record
    try:
        opened = open_live(folder, file)
        if opened is None:
            return checked
        checked.found_at, stream = opened
        with stream:
            status = os.fstat(stream.fileno())
            if checked.found_at != path:
                checked.findings.note_alike(
                    "committed, and still in .staging: the next run moves it to its place", path
                )
            elif words := looseness(path, status.st_mode):
                checked.findings.note_alike(words, path)
            length, sha256 = status.st_size, ""
            if length == record.bytes:
                length, sha256 = _digest(stream, record.bytes)
    except NotAFile as error:
        checked.found_at = path
        checked.findings.problem(path, Kind.TYPE, str(error))
        return checked
    except OSError as error:
        checked.found_at = path
        checked.findings.problem(path, Kind.UNREADABLE, f"cannot be read: {error.strerror}")
        return checked
    if length != record.bytes:
        words = f"length is {length} bytes, the ledger says {record.bytes}"
        checked.findings.problem(path, Kind.LENGTH, words)
    elif sha256 != record.sha256:
        checked.findings.problem(path, Kind.HASH, "hash value does not match")
    else:
        checked.is_sound = True
    return checked


def open_live(folder: Folder, file: LiveFile) -> tuple[str, FileIO] | None:
    """A live file, opened, and where it lies; None where it is neither in its place nor staged."""
    # The place is tried twice: between the first look and the second the writer may have moved the file.
    for candidate in (file.record.path, file.staged, file.record.path):
        try:
            return candidate, folder.open(candidate)
        except FileNotFoundError:
            continue
    return None


def _digest(stream: FileIO, limit: int) -> tuple[int, str]:
    """How long a file is, read to one byte past `limit` at most, and its SHA-256 in hexadecimal."""
    digest, length = hashlib.sha256(), 0
    buffer = memoryview(bytearray(min(READ_BYTES, limit + 1)))
    while length <= limit and (count := stream.readinto(buffer)):
        digest.update(buffer[:count])
        length += count
    return length, digest.hexdigest()
