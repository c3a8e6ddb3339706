"""Adding findings to a file, a line each."""

from __future__ import annotations

import fcntl
import json
import os
import stat
from typing import TYPE_CHECKING

from trailkeep.notifying import bodies

if TYPE_CHECKING:
    from collections.abc import Sequence
    from io import FileIO
    from pathlib import Path

    from trailkeep.notifying.bodies import Finding

_LOOKED_THROUGH = 16 * 1024**2
"""Bytes at the file's end in which a finding that is there already is looked for."""


def add_lines(path: Path, findings: Sequence[Finding]) -> None:
    """Add the findings that are not there yet, durably. Raises OSError.

    A line that a crash or a full disk left unfinished is ended first, so that no other line is lost with it.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
    with os.fdopen(descriptor, "r+b", buffering=0) as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        tail = _tail(file)
        there = {_id_of(line) for line in tail.splitlines()}
        content = b"".join(bodies.line(finding) for finding in findings if finding["finding_id"] not in there)
        if not content:
            return
        if tail and not tail.endswith(b"\n"):
            content = b"\n" + content
        view = memoryview(content)
        while view:
            view = view[file.write(view) :]
        os.fsync(file.fileno())


def _tail(file: FileIO) -> bytes:
    """The end of what the file holds; nothing of a pipe or a device, which do not hold but give."""
    status = os.fstat(file.fileno())
    if not stat.S_ISREG(status.st_mode):
        return b""
    file.seek(max(0, status.st_size - _LOOKED_THROUGH))
    return file.read(_LOOKED_THROUGH)


def _id_of(line: bytes) -> object:
    try:
        finding = json.loads(line)
    except ValueError:
        return None
    return finding.get("finding_id") if isinstance(finding, dict) else None
