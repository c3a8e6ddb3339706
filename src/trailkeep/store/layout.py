"""Names and places inside an archive's folder."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from typing import TYPE_CHECKING

from trailkeep.errors import ArchiveDamaged

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from pathlib import Path

ARCHIVE_FILE = "archive.json"
LEDGER = "ledger"
STAGING = ".staging"
CACHE = ".cache"
LOCK = ".lock"
KEEP = ".gitkeep"
SET_ASIDE = "set-aside"
"""Where `repair` puts files that do not belong; nothing in it is read, and Trailkeep never deletes from it."""

UNBORN = frozenset({STAGING, CACHE, LOCK, KEEP, LEDGER})
"""What a folder may hold before it is an archive: an interrupted first run leaves no more than this."""

_ENTRY_NAME = re.compile(r"(\d{8,})\.json")
_SAFE_FOLDER = re.compile(r"[A-Za-z0-9_-]+(/[A-Za-z0-9_=-]+)*")
_SAFE_FILE = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]*")
_SAFE_RUN = re.compile(r"[A-Za-z0-9_-]+")
_NO_TABLES = frozenset({LEDGER, SET_ASIDE})
_GROUPS = frozenset({"directory"})
"""Folders that hold not files but tables, whose names they begin."""


def entry_name(seq: int) -> str:
    """The file name of a ledger entry."""
    return f"{seq:08d}.json"


def entry_seq(name: str) -> int | None:
    """The number of the ledger entry with this file name, or None where it is not an entry's name."""
    match = _ENTRY_NAME.fullmatch(name)
    if match is None or entry_name(int(match[1])) != name:
        return None
    return int(match[1])


def staging_name(seq: int, run: str) -> str:
    """The folder of a commit below ``.staging``.

    Raises ArchiveDamaged for a run that could lead out of it: a ledger may come from a stranger.
    """
    if not _SAFE_RUN.fullmatch(run):
        raise ArchiveDamaged(f"ledger entry {seq} names a run that cannot be a folder: {run!r}")
    return f"{seq:08d}-{run}"


def staging_seq(name: str) -> int | None:
    """The number of the entry whose staging folder may have this name; None where that is no such name."""
    digits = name.partition("-")[0]
    return int(digits) if 8 <= len(digits) <= 18 and digits.isascii() and digits.isdigit() else None


def staged_name(index: int, path: str) -> str:
    """The name in the staging folder of the entry's file number `index`."""
    return f"{index:04d}-{path.rpartition('/')[2]}"


def segment_path(table: str, partition: Mapping[str, str], first: datetime, last: datetime, sha256: str) -> str:
    """Where a segment lies, relative to the archive."""
    keys = "".join(f"{key}={value}/" for key, value in partition.items())
    return f"{table}/{keys}{_compact(first)}_{_compact(last)}_{sha256[:12]}.parquet"


def split_segment_path(path: str) -> tuple[str, dict[str, str]]:
    """The table and the partition values that a live file's path says.

    Raises ArchiveDamaged for a path that could lead out of the archive: a ledger may come from a stranger.
    """
    folder, _, name = path.rpartition("/")
    split = _split_folder(folder)
    if split is None or not _SAFE_FILE.fullmatch(name):
        raise ArchiveDamaged(f"the ledger names a file outside the archive's tables: {path!r}")
    return split[0], dict(split[1])


@lru_cache(maxsize=1024)
def _split_folder(folder: str) -> tuple[str, dict[str, str]] | None:
    """The table and the partition values of a folder, which many files name; None where no live file may lie."""
    if not _SAFE_FOLDER.fullmatch(folder) or folder.partition("/")[0] in _NO_TABLES:
        return None
    table, *folders = folder.split("/")
    if table in _GROUPS and folders and "=" not in folders[0]:
        table = f"{table}/{folders.pop(0)}"
    return table, dict(each.split("=", 1) for each in folders if "=" in each)


def top_folders(tables: Iterable[str]) -> set[str]:
    """The folders directly below the archive's that these tables lie in."""
    return {table.partition("/")[0] for table in tables}


def _compact(moment: datetime) -> str:
    return moment.strftime("%Y%m%dT%H%M%S%fZ")


def free_name(folder: Path, name: str) -> Path:
    """A path in `folder` that nothing has: `name`, or `name` and a number."""
    taken = folder / name
    number = 1
    while os.path.lexists(taken):
        number += 1
        taken = folder / f"{name}-{number}"
    return taken
