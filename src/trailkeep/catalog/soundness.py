"""Whether live files still have the bytes that the ledger proves: read once, remembered while they are untouched.

The engine takes a Parquet file with a flipped bit, and mostly answers from it without an error (measured: 214 of 300
such files). So every file that a query reads is compared with its SHA-256 first. What was compared is remembered in the
user's own folder for caches, never in the archive, which a query does not write to: a file of the same length, times
and inode is not read again. That guards against decay and accidents. Whoever can write to the archive can also deceive
a memory: `trailkeep verify` has none.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from trailkeep.errors import ArchiveDamaged, IntegrityViolated

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from trailkeep.store import LiveFile

_CHUNK_BYTES = 1 << 22
_PARALLEL = 4
"""How many files are read at a time; the interpreter's lock is not held meanwhile."""
_FRESH_NS = 2 * 10**9
"""What was changed this short a time ago is not remembered: times on disk can be that coarse."""
_FORMAT = 1


def check_files(
    files: Mapping[str, LiveFile], archive: Path, archive_id: str, *, check_stopped: Callable[[], None]
) -> None:
    """Compare every file of `files`, by the path where it lies, with the ledger.

    Raises ArchiveDamaged for a file that is missing, cannot be read or has another length, IntegrityViolated for other
    bytes, and what `check_stopped`, which is called again and again, raises.
    """
    states = {path: _state(path, file) for path, file in files.items()}
    if not states:
        return
    memory = _Memory(archive, archive_id)
    unknown = [path for path, state in states.items() if not memory.knows(path, files[path].record.sha256, state)]
    if not unknown:
        return

    def compare(path: str) -> None:
        check_file(path, files[path], check_stopped=check_stopped)

    if len(unknown) == 1:
        compare(unknown[0])
    else:
        from concurrent.futures import ThreadPoolExecutor

        with ThreadPoolExecutor(_PARALLEL, thread_name_prefix="checking") as pool:
            try:
                for _ in pool.map(compare, unknown):
                    check_stopped()
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise
    # A file that changed while it was read has another state by now, and is read again next time.
    memory.remember({path: (files[path].record.sha256, states[path]) for path in unknown})


def check_file(path: str, file: LiveFile, *, check_stopped: Callable[[], None] = lambda: None) -> None:
    """Compare one file's bytes with the ledger, as `check_files` does."""
    digest = hashlib.sha256()
    try:
        with Path(path).open("rb", buffering=0) as content:
            while chunk := content.read(_CHUNK_BYTES):
                check_stopped()
                digest.update(chunk)
    except OSError as error:
        raise unreadable(file, error.strerror or str(error)) from error
    if digest.hexdigest() != file.record.sha256:
        raise IntegrityViolated(
            f"{file.record.path} was altered: its bytes are not those that the ledger has the SHA-256 of",
            hint="Run `trailkeep verify` to see what else was, and `trailkeep repair --from DIR` with a copy.",
        )


def unreadable(file: LiveFile, reason: str) -> ArchiveDamaged:
    """The error that a live file cannot be read."""
    return ArchiveDamaged(
        f"{file.record.path} cannot be read: {reason}",
        hint="Run `trailkeep repair --from DIR` with a copy of the archive; the file's SHA-256 is in the ledger.",
    )


_State = list[int]


def _state(path: str, file: LiveFile) -> _State:
    """What changes when a file does. Raises ArchiveDamaged where it is not there in its whole length."""
    try:
        found = Path(path).stat()
    except OSError as error:
        raise unreadable(file, error.strerror or str(error)) from error
    if found.st_size != file.record.bytes:
        raise unreadable(file, f"it has {found.st_size} bytes, and the ledger says {file.record.bytes}")
    return [found.st_size, found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_dev]


class _Memory:
    """The files of one archive that were compared before, and how they were then; all of it may be lost any time."""

    def __init__(self, archive: Path, archive_id: str) -> None:
        name = hashlib.sha256(f"{archive_id}\n{archive}".encode(errors="surrogateescape")).hexdigest()[:32]
        folder = cache_folder("compared")
        self._file = None if folder is None else folder / f"{name}.json"
        self._known: dict[str, Any] = self._load()

    def knows(self, path: str, sha256: str, state: _State) -> bool:
        """Whether a file in just this state had just these bytes."""
        return bool(self._known.get(path) == [sha256, *state])

    def remember(self, compared: Mapping[str, tuple[str, _State]]) -> None:
        """Keep what was compared; it is no error where that cannot be written."""
        if self._file is None:
            return
        draft = self._file.with_suffix(f".{os.getpid()}.part")
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            with draft.open("w", encoding="utf-8") as file:
                clock = os.fstat(file.fileno()).st_mtime_ns
                new = {path: each for path, each in compared.items() if max(each[1][1:3]) < clock - _FRESH_NS}
                # Another process may have written meanwhile: what it knows is kept.
                known = {**self._load(), **{path: [sha256, *state] for path, (sha256, state) in new.items()}}
                json.dump({"format": _FORMAT, "files": known}, file)
            if new:
                draft.replace(self._file)
            else:
                draft.unlink()
        except OSError:
            with contextlib.suppress(OSError):
                draft.unlink(missing_ok=True)

    def _load(self) -> dict[str, Any]:
        if self._file is None or not self._file.is_file():
            return {}
        try:
            content = json.loads(self._file.read_bytes())
        except (OSError, ValueError, RecursionError):
            return {}
        files = content.get("files") if isinstance(content, dict) and content.get("format") == _FORMAT else None
        return files if isinstance(files, dict) else {}


def cache_folder(name: str) -> Path | None:
    """Where this user's programs keep what can be lost, under a name; None where there is no such place."""
    base = os.environ.get("XDG_CACHE_HOME")
    if base and Path(base).is_absolute():
        return Path(base) / "trailkeep" / name
    try:
        home = Path.home()
    except RuntimeError:
        return None
    # An empty or relative HOME is no place of this user's: neither the root nor where the question is asked.
    return home / ".cache" / "trailkeep" / name if home.is_absolute() and home != Path("/") else None
