"""Every change that Trailkeep makes to an archive's folder: the seam where tests put a failing disk."""

from __future__ import annotations

import contextlib
import errno
import os
from typing import TYPE_CHECKING

from trailkeep.errors import StoreError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

DIRECTORY_MODE = 0o700
PRIVATE_MODE = 0o600
SEGMENT_MODE = 0o444

_HINTS = {
    errno.ENOSPC: "Free space on that disk, or move the archive to a larger one; then run the command again.",
    errno.EDQUOT: "Your quota on that disk is used up; free space or raise it, then run the command again.",
    errno.EROFS: "The file system is mounted read-only; mount it for writing, then run the command again.",
    errno.EACCES: "Run as the user who owns the archive, or correct its permissions.",
    errno.EPERM: "Run as the user who owns the archive, or correct its permissions.",
    errno.EIO: "The disk reports an error; check it (dmesg) and copy the archive to a sound one.",
}


class Disk:
    """The file operations of a commit. Modes are set whatever the umask; written bytes are durable on return."""

    def make_directory(self, path: Path) -> None:
        """Make `path` and its missing parents, each 0700 and durable in its parent."""
        if path.is_dir():
            return
        self.make_directory(path.parent)
        with contextlib.suppress(FileExistsError):
            path.mkdir(mode=DIRECTORY_MODE)
            path.chmod(DIRECTORY_MODE)
        self.sync_directory(path.parent)

    def write(self, path: Path, content: bytes, mode: int) -> None:
        """Write a new file and flush it to the disk; FileExistsError where the name is taken."""
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_MODE)
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(descriptor, view) :]
            os.fchmod(descriptor, mode)
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def sync_directory(self, path: Path) -> None:
        """Make the names in a directory durable."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)

    def link(self, source: Path, target: Path) -> None:
        """Give a file a second name, atomically; FileExistsError where the name is taken."""
        os.link(source, target)

    def rename(self, source: Path, target: Path) -> None:
        """Move a file within the archive, atomically."""
        source.rename(target)

    def unlink(self, path: Path) -> None:
        """Remove a file's name."""
        path.unlink()

    def remove_directory(self, path: Path) -> None:
        """Remove an empty directory."""
        path.rmdir()

    def remove_tree(self, path: Path) -> None:
        """Remove a directory and all that is in it; nothing where it does not exist."""
        if not path.is_dir():
            return
        for child in sorted(path.iterdir()):
            if child.is_dir() and not child.is_symlink():
                self.remove_tree(child)
            else:
                self.unlink(child)
        self.remove_directory(path)


@contextlib.contextmanager
def store_errors(doing: str) -> Iterator[None]:
    """Turn the system's errors into StoreError, saying what was being done and what helps."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        place = f": {os.fspath(error.filename)}" if isinstance(error.filename, (str, os.PathLike)) else ""
        raise StoreError(f"{doing}: {reason}{place}", hint=_HINTS.get(error.errno or 0)) from error
