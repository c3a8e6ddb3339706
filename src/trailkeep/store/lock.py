"""The lock that makes a process the only writer of an archive."""

from __future__ import annotations

import contextlib
import getpass
import json
import os
import socket
from typing import TYPE_CHECKING

from filelock import FileLock, Timeout

from trailkeep.errors import ArchiveLocked
from trailkeep.store import layout
from trailkeep.store.disk import PRIVATE_MODE
from trailkeep.timespan import format_time

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from pathlib import Path


class ArchiveLock:
    """The lock of one archive. The system gives it back when its holder dies; the file itself stays."""

    def __init__(self, path: Path, clock: Callable[[], datetime]) -> None:
        self._path = path
        self._clock = clock
        self._lock = FileLock(path / layout.LOCK, timeout=0, mode=PRIVATE_MODE)

    def acquire(self) -> None:
        """Take the lock and write into it who has it. Raises ArchiveLocked, naming the process that holds it."""
        file = self._path / layout.LOCK
        try:
            self._lock.acquire()
        except Timeout:
            raise ArchiveLocked(
                f"the archive {self._path} is being written by {_holder(file)}",
                hint="Wait until it has ended, then run the command again.",
            ) from None
        holder = {
            "pid": os.getpid(),
            "host": socket.gethostname(),
            "user": os_user(),
            "since": format_time(self._clock()),
        }
        # The lock holds without the name; who needs it most is told of a full disk by what is written next.
        with contextlib.suppress(OSError):
            file.write_text(json.dumps(holder), encoding="utf-8")

    def release(self) -> None:
        """Give the lock back."""
        self._lock.release()


def os_user() -> str:
    """The name of the user that this process runs as; a container's user may have only a number."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return str(os.getuid())


def _holder(lock: Path) -> str:
    """Who holds the lock, in words; the file may be half-written or of another version."""
    try:
        holder = json.loads(lock.read_text(encoding="utf-8"))
        return f"process {holder['pid']} of {holder['user']} on {holder['host']}, since {holder['since']}"
    except (OSError, ValueError, KeyError, TypeError):
        return "another process"
