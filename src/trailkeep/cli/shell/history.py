"""The lines that were typed, in a file that only its owner can read."""

from __future__ import annotations

import contextlib
import json
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

KEPT_ENTRIES = 1_000
"""As many are kept, the newest."""
LONGEST_CHARACTERS = 20_000
"""Longer entries, which somebody pasted, are not kept."""
_TRIM_BYTES = 2_000_000
"""A file that is longer is cut to the newest entries when the shell begins, however few these are."""


def history_file(environ: Mapping[str, str]) -> Path | None:
    """Where the history is kept, by the XDG rules; None where there is no home."""
    state = environ.get("XDG_STATE_HOME", "")
    if state.startswith("/"):  # a relative path is to be ignored, says the specification
        return Path(state) / "trailkeep" / "history"
    home = environ.get("HOME", "")
    if not home.startswith("/") or not Path(home).is_dir():  # a home that is not there is not ours to make
        return None
    return Path(home) / ".local" / "state" / "trailkeep" / "history"


def worth_keeping(entry: str) -> bool:
    """Whether an entry goes to the history: not where it is blank, long, or begins with a blank."""
    return bool(entry.strip()) and entry[0] not in " \t" and len(entry) <= LONGEST_CHARACTERS


class HistoryFile:
    """Entries, a line of JSON each, the newest last. Nothing here ever fails: a history is not worth an error."""

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def load(self) -> list[str]:
        """The newest `KEPT_ENTRIES` entries; what cannot be read is left out. A file that grew long is cut."""
        if self._path is None:
            return []
        try:
            descriptor = os.open(self._path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            with os.fdopen(descriptor, "rb") as file:
                file.seek(max(0, os.fstat(descriptor).st_size - _TRIM_BYTES))
                lines = file.read(_TRIM_BYTES).splitlines()
        except OSError:
            return []
        entries = [entry for line in lines if (entry := _entry(line)) is not None]
        if len(lines) > 2 * KEPT_ENTRIES or sum(map(len, lines)) >= _TRIM_BYTES // 2:
            with contextlib.suppress(OSError):
                self._rewrite(entries[-KEPT_ENTRIES:])
        return entries[-KEPT_ENTRIES:]

    def append(self, entry: str) -> None:
        """Add one entry, in one write, so that two shells do not mix theirs."""
        if self._path is None:
            return
        with contextlib.suppress(OSError, ValueError):
            self._path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
            flags = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK
            descriptor = os.open(self._path, flags, 0o600)
            try:
                os.fchmod(descriptor, 0o600)  # an older file may have been made by somebody else's rules
                os.write(descriptor, json.dumps(entry).encode() + b"\n")
            finally:
                os.close(descriptor)

    def _rewrite(self, entries: list[str]) -> None:
        assert self._path is not None
        descriptor, draft = tempfile.mkstemp(prefix=".history.", dir=self._path.parent)  # 0600 from the start
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.writelines(json.dumps(entry) + "\n" for entry in entries)
        Path(draft).replace(self._path)


def _entry(line: bytes) -> str | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return None
    return entry if isinstance(entry, str) and len(entry) <= LONGEST_CHARACTERS else None
