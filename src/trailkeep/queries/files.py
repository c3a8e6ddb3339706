"""Reading the files that queries are made of: query files, and lists with one value a line."""

from __future__ import annotations

import os
import re
import stat
from typing import TYPE_CHECKING

from trailkeep.errors import UsageError

if TYPE_CHECKING:
    from pathlib import Path

MAX_QUERY_BYTES = 4 * 2**20
"""The largest query file that is read."""

MAX_LIST_BYTES = 16 * 2**20
"""The largest list file that is read."""

MAX_LIST_LINES = 200_000
"""The most lines of a list file, comments and blank ones included."""

_COMMENT = re.compile(r"(^|\s)#.*$")


def read_text(path: Path, limit: int) -> str:
    """A regular file's text, without a byte order mark; never waits for a pipe or a device.

    Raises UsageError that names the file, where it cannot be read, is longer than `limit` bytes, or is not UTF-8.
    """
    try:
        # Not to wait for who writes the other end of a pipe: only regular files are read.
        descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            if not stat.S_ISREG(os.fstat(descriptor).st_mode):
                raise UsageError(f"{path}: not a regular file", hint="Name a file, not a folder, pipe or device.")
            content = file.read(limit + 1)
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else None
        raise UsageError(f"{path}: {reason or error}") from error
    if len(content) > limit:
        raise UsageError(f"{path}: longer than {limit} bytes", hint="Split the file.")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content[: error.start].count(b"\n") + 1
        place = error.start - content.rfind(b"\n", 0, error.start)
        raise UsageError(
            f"{path}:{line}:{place}: not UTF-8 at byte {error.start}", hint="Save the file as UTF-8."
        ) from error


def read_list(path: Path) -> list[tuple[int, str]]:
    """The values of a list file, each with its line: one a line, blank lines and comments left out.

    A comment begins with ``#``, at the line's begin or after a blank. Raises UsageError that names the file.
    """
    lines = read_text(path, MAX_LIST_BYTES).replace("\r\n", "\n").split("\n")
    if len(lines) > MAX_LIST_LINES:
        raise UsageError(f"{path}: {len(lines)} lines, more than {MAX_LIST_LINES}", hint="Split the file.")
    stripped = ((number, _COMMENT.sub("", line).strip()) for number, line in enumerate(lines, start=1))
    return [(number, value) for number, value in stripped if value]
