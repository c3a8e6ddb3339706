"""Looking into an archive's folder without following a link out of it, and without being held up by what lies there."""

from __future__ import annotations

import os
import stat
from io import FileIO
from typing import TYPE_CHECKING

from trailkeep.store import layout
from trailkeep.store.disk import DIRECTORY_MODE, PRIVATE_MODE, SEGMENT_MODE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MAX_ENTRY_BYTES = 1 << 28
"""An entry or a signature longer than this is refused, rather than read into memory."""


class NotAFile(Exception):
    """What lies there is no regular file, or a folder above it is no folder; says what it is."""


class Folder:
    """The archive's folder. Safe to use from several threads."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self._folders: set[str] = {""}
        """Folders that are known to be real ones."""

    def open(self, path: str) -> FileIO:
        """Open a regular file for reading.

        Raises FileNotFoundError, NotAFile, and OSError for what the system refuses.
        """
        self._check_folders(path.rpartition("/")[0])
        full = self.root / path
        status = full.lstat()
        if not stat.S_ISREG(status.st_mode):
            raise NotAFile(describe(status.st_mode))
        descriptor = os.open(full, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        stream = FileIO(descriptor)
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            stream.close()
            raise NotAFile("it was replaced while it was being opened")
        return stream

    def read(self, path: str) -> bytes:
        """A small file's content. Raises like `open`, and NotAFile for one that is too long."""
        with self.open(path) as stream:
            size = os.fstat(stream.fileno()).st_size
            if size > MAX_ENTRY_BYTES:
                raise NotAFile(f"it is {size:,} bytes long, which is not what belongs here")
            content = bytearray()
            while piece := stream.read(1 << 20):
                content += piece
            return bytes(content)

    def has(self, path: str) -> bool:
        """Whether anything lies there."""
        return os.path.lexists(self.root / path)

    def list(self, path: str) -> Iterator[os.DirEntry[str]]:
        """What lies in a folder, by name; nothing where there is no such folder. Raises OSError."""
        try:
            with os.scandir(self.root / path) as entries:
                yield from sorted(entries, key=lambda entry: entry.name)
        except FileNotFoundError:
            return

    def _check_folders(self, path: str) -> None:
        if path in self._folders:
            return
        self._check_folders(path.rpartition("/")[0])
        mode = (self.root / path).lstat().st_mode
        if not stat.S_ISDIR(mode):
            raise NotAFile(f"the folder above it, {path}, {describe(mode).removeprefix('it ')}")
        self._folders.add(path)


def describe(mode: int) -> str:
    """What a file system's object is, where something else belongs."""
    if stat.S_ISLNK(mode):
        return "it is a symbolic link"
    if stat.S_ISDIR(mode):
        return "it is a folder"
    return "it is not a folder" if stat.S_ISREG(mode) else "it is not a regular file"


def looseness(path: str, mode: int) -> str | None:
    """In what way others may do more with this than Trailkeep lets them, or None."""
    if stat.S_ISDIR(mode):
        allowed = DIRECTORY_MODE
    elif path.startswith((f"{layout.LEDGER}/", layout.STAGING)) or "/" not in path:
        allowed = PRIVATE_MODE
    else:
        allowed = SEGMENT_MODE
    given = stat.S_IMODE(mode)
    return f"permissions are {given:04o}, wider than {allowed:04o}" if given & ~allowed else None
