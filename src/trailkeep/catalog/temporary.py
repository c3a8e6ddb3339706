"""A folder for temporary files that does not outlive its process for long, however that ends."""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import tempfile
from pathlib import Path

PREFIX = "trailkeep-shared-"

_LOCK = "lock"
_YOUNG_SECONDS = 600.0
"""A folder without a lock may be just being made."""


class KeptFolder:
    """A private folder; one that a killed process has left behind is removed when the next one is made."""

    def __init__(self, place: Path | None) -> None:
        parent = Path(place or tempfile.gettempdir())
        self.name = tempfile.mkdtemp(prefix=PREFIX, dir=parent)
        self._lock = os.open(Path(self.name) / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        _take(self._lock)
        _remove_stale(parent, os.fstat(self._lock).st_mtime)

    def cleanup(self) -> None:
        """Remove it; nothing is wrong where that fails."""
        shutil.rmtree(self.name, ignore_errors=True)
        with contextlib.suppress(OSError):
            os.close(self._lock)


def _remove_stale(parent: Path, now: float) -> None:
    """Remove this user's folders that no process holds; `now` is by the clock of the disk."""
    for folder in parent.glob(f"{PREFIX}*"):
        with contextlib.suppress(OSError):
            status = folder.lstat()
            if not stat.S_ISDIR(status.st_mode) or status.st_uid != os.geteuid():
                continue
            try:
                lock = os.open(folder / _LOCK, os.O_RDWR | os.O_NOFOLLOW | os.O_CLOEXEC)
            except FileNotFoundError:
                if now - status.st_mtime > _YOUNG_SECONDS:
                    shutil.rmtree(folder, ignore_errors=True)
                continue
            try:
                if _take(lock):
                    shutil.rmtree(folder, ignore_errors=True)
            finally:
                os.close(lock)


def _take(descriptor: int) -> bool:
    """Whether the lock of an open file could be taken; the system gives it back when the process ends."""
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True
