"""Every change that Trailkeep makes to an archive's folder, the lock aside: the seam where tests put a failing disk."""

from __future__ import annotations

import contextlib
import errno
import hashlib
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


_NO_HARD_LINKS = frozenset({errno.EPERM, errno.ENOTSUP, errno.EOPNOTSUPP, errno.ENOSYS})
"""What file systems without hard links answer."""

_CANNOT_SYNC = frozenset({errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP})
"""What file systems answer that cannot flush a directory; there, nothing more can be done."""

_COPY_BYTES = 1024 * 1024


class Disk:
    """The file operations of a commit. Modes are set whatever the umask; written bytes are durable on return.

    The first ten methods are one system call each, and everything else is made of them.
    """

    def mkdir(self, path: Path) -> None:
        """Make a directory, 0700; FileExistsError where the name is taken."""
        path.mkdir(mode=DIRECTORY_MODE)

    def create(self, path: Path) -> int:
        """Open a new, empty file for writing; FileExistsError where the name is taken."""
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, PRIVATE_MODE)

    def append(self, descriptor: int, content: memoryview) -> int:
        """Write as much of `content` as goes at once, and return how much that was."""
        return os.write(descriptor, content)

    def set_mode(self, target: Path | int, mode: int) -> None:
        """Set the mode of a path or an open file."""
        if isinstance(target, int):
            os.fchmod(target, mode)
        else:
            target.chmod(mode)

    def sync_file(self, descriptor: int) -> None:
        """Make an open file's content durable."""
        os.fsync(descriptor)

    def sync_directory(self, path: Path) -> None:
        """Make the names in a directory durable."""
        descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(descriptor)
        except OSError as error:
            if error.errno not in _CANNOT_SYNC:
                raise
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

    def make_directory(self, path: Path) -> None:
        """Make `path` and its missing parents, each 0700 and durable in its parent."""
        if path.is_dir():
            return
        self.make_directory(path.parent)
        with contextlib.suppress(FileExistsError):
            self.mkdir(path)
            self.set_mode(path, DIRECTORY_MODE)
        self.sync_directory(path.parent)

    def write(self, path: Path, content: bytes | memoryview, mode: int) -> None:
        """Write a new file and flush it to the disk; FileExistsError where the name is taken."""
        descriptor = self.create(path)
        try:
            self.append_all(descriptor, content)
            self.set_mode(descriptor, mode)
            self.sync_file(descriptor)
        finally:
            os.close(descriptor)

    def replace(self, path: Path, content: bytes | memoryview) -> bool:
        """Make `content` the file `path`, 0600, through a draft beside it; False where that cannot be done.

        For what is derived: nothing is flushed, so that its reader must see by itself what a power cut left of it.
        Writes through no symbolic link in the place of the file's folder, and leaves no draft behind.
        """
        draft = path.with_name(f"{path.name}.part")
        try:
            if path.parent.is_symlink():
                return False
            self.make_directory(path.parent)
            if os.path.lexists(draft):
                self.unlink(draft)
            descriptor = self.create(draft)
            try:
                self.append_all(descriptor, content)
                self.set_mode(descriptor, PRIVATE_MODE)
            finally:
                os.close(descriptor)
            self.rename(draft, path)
        except (OSError, StoreError):
            with contextlib.suppress(OSError, StoreError):
                if os.path.lexists(draft):
                    self.unlink(draft)
            return False
        return True

    def copy(self, source: Path, path: Path, mode: int) -> str:
        """Copy a file's content into a new file, as `write` does; return the SHA-256 of what was written."""
        digest = hashlib.sha256()
        descriptor = self.create(path)
        try:
            with source.open("rb") as reader:
                while content := reader.read(_COPY_BYTES):
                    digest.update(content)
                    self.append_all(descriptor, content)
            self.set_mode(descriptor, mode)
            self.sync_file(descriptor)
        finally:
            os.close(descriptor)
        return digest.hexdigest()

    def publish(self, source: Path, target: Path) -> None:
        """Make a file appear as `target`, atomically; FileExistsError where the name is taken.

        `source` may be gone afterwards. Where the file system has no hard links, the name is looked at first and the
        file then renamed: that is as good as long as only the holder of the archive's lock does it.
        """
        try:
            self.link(source, target)
        except OSError as error:
            if error.errno not in _NO_HARD_LINKS:
                raise
            if os.path.lexists(target):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), os.fspath(target)) from None
            self.rename(source, target)

    def remove_tree(self, path: Path) -> None:
        """Remove a directory and all that is in it, following no symbolic link; nothing where it does not exist."""
        if path.is_symlink():
            self.unlink(path)
            return
        if not path.is_dir():
            return
        for child in sorted(path.iterdir()):
            if child.is_dir():
                self.remove_tree(child)
            else:
                self.unlink(child)
        self.remove_directory(path)

    def append_all(self, descriptor: int, content: bytes | memoryview) -> None:
        """Write all of `content` to an open file."""
        left = memoryview(content)
        while left:
            left = left[self.append(descriptor, left) :]


@contextlib.contextmanager
def store_errors(doing: str) -> Iterator[None]:
    """Turn the system's errors into StoreError, saying what was being done and what helps."""
    try:
        yield
    except OSError as error:
        reason = error.strerror or str(error)
        place = f": {os.fspath(error.filename)}" if isinstance(error.filename, (str, os.PathLike)) else ""
        raise StoreError(f"{doing}: {reason}{place}", hint=_HINTS.get(error.errno or 0)) from error
