"""Whether anybody reads an archive: a merge leaves the files that it has replaced for as long as somebody does.

No writer waits for readers, nor they for it. A reader holds a shared lock on the archive's description, which the
system gives back when it dies; before a merge deletes, it looks whether anybody holds one. Where the file system knows
no such locks nobody seems to read, and a reader may meet a file that is gone.
"""

from __future__ import annotations

import contextlib
import fcntl
import time
from typing import TYPE_CHECKING, BinaryIO

from trailkeep.store import layout

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

_LOOKS = 50
_LOOK_SECONDS = 0.01
"""How often, and after how long, a reader that meets a merge in the midst of deleting tries again."""


class Hold:
    """What keeps the files that are live now where they are, until it is released."""

    def __init__(self, root: Path) -> None:
        self._file: BinaryIO | None = None
        with contextlib.suppress(OSError):
            self._file = (root / layout.ARCHIVE_FILE).open("rb")
            for _ in range(_LOOKS):
                if _locked(self._file, fcntl.LOCK_SH):
                    return
                time.sleep(_LOOK_SECONDS)
        # Who cannot hold a file is told where one is gone, and asks again.
        self.release()

    def release(self) -> None:
        """Let the files go; more than once does no harm."""
        if self._file is not None:
            self._file.close()
            self._file = None


@contextlib.contextmanager
def looked_for(root: Path) -> Iterator[bool]:
    """Whether anybody reads the archive; where nobody does, nobody begins to before the block ends."""
    with contextlib.ExitStack() as stack:
        try:
            file = stack.enter_context((root / layout.ARCHIVE_FILE).open("rb"))
            somebody = not _locked(file, fcntl.LOCK_EX)
        except OSError:
            somebody = False
        yield somebody


def _locked(file: BinaryIO, kind: int) -> bool:
    """Whether the lock was to be had. Raises OSError where there are no locks."""
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
