"""What lies in the archive's folder and is not live: planted, left over, or on its way."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import msgspec

from trailkeep.schema import STORED_TABLES
from trailkeep.store import layout
from trailkeep.verify.chain import staging_folder
from trailkeep.verify.files import check_file
from trailkeep.verify.folder import describe, looseness
from trailkeep.verify.result import Kind

if TYPE_CHECKING:
    import os

    from trailkeep import seal
    from trailkeep.store import LiveFile
    from trailkeep.verify.chain import Chain
    from trailkeep.verify.folder import Folder
    from trailkeep.verify.result import Findings

_OWN = frozenset({layout.ARCHIVE_FILE, layout.LEDGER, layout.STAGING, layout.CACHE, layout.LOCK, layout.KEEP})
_OWN_FOLDERS = frozenset({layout.STAGING, layout.CACHE})
_HARMLESS = frozenset({"lost+found"})
"""What file systems put into a folder of their own accord."""


@dataclass(slots=True)
class Strangers:
    """What the walk through the folder has met; it is settled afterwards, when newer entries are known."""

    files: list[str] = field(default_factory=list)
    folders: list[str] = field(default_factory=list)
    """Folders in which nothing lies and that no entry ever needed."""


def scan(folder: Folder, chain: Chain, findings: Findings) -> Strangers:
    """Walk through every table's folder, live or not, without following links."""
    strangers = Strangers()
    tables = layout.top_folders([*STORED_TABLES, *chain.folders])
    for entry in folder.list(""):
        if entry.name in _OWN:
            if entry.name in _OWN_FOLDERS and not _is_folder(entry):
                findings.problem(entry.name, Kind.TYPE, _described(entry))
            continue
        if entry.name in tables:
            if _is_folder(entry):
                _scan_table(folder, entry.name, chain, findings, strangers)
            else:
                findings.problem(entry.name, Kind.TYPE, _described(entry))
        elif entry.name == layout.SET_ASIDE:
            findings.note(f"{entry.name}: holds what a repair has taken out of the archive")
        elif entry.name.startswith(".") or entry.name in _HARMLESS:
            findings.note(f"{entry.name}: not part of the archive")
        elif _is_folder(entry):
            findings.problem(entry.name, Kind.EXTRA, "folder is not in the ledger")
        else:
            strangers.files.append(entry.name)
    return strangers


def scan_staging(folder: Folder, chain: Chain, findings: Findings) -> None:
    """Look through what commits have left in ``.staging``: the next writer moves it into its place unseen."""
    staging = chain.staging
    waiting = 0
    if (folder.root / layout.STAGING).is_symlink():
        return  # said by the walk through the folder, and not followed
    for entry in folder.list(layout.STAGING):
        seq = staging.get(entry.name)
        if seq is None:
            waiting += 1
        elif not _is_folder(entry):
            findings.problem(f"{layout.STAGING}/{entry.name}", Kind.TYPE, _described(entry))
        else:
            _scan_commit(folder, chain, seq, f"{layout.STAGING}/{entry.name}", findings)
    if waiting:
        findings.note(f"{layout.STAGING}: {waiting} commits are being written, or were interrupted before they counted")


def settle(folder: Folder, chain: Chain, strangers: Strangers, newer: list[seal.Entry], findings: Findings) -> None:
    """Turn what the walk met into problems, but for what newer entries brought and what is gone by now."""
    added = {record.path for entry in newer for record in entry.files_added}
    folders = {"/".join(path.split("/")[:depth]) for path in added for depth in range(1, path.count("/") + 1)}
    met = [path for path in strangers.files if path not in added and folder.has(path)]
    removers = chain.removers(folder, met)
    for path in met:
        seq = removers.get(path)
        if seq is None:
            findings.problem(path, Kind.EXTRA, "file is not in the ledger")
        elif folder.has(staging_folder(seq, chain.entries[seq].run)):
            findings.note_alike(
                "removed by an entry whose run was interrupted or met readers: the next run deletes it", path
            )
        else:
            findings.problem(path, Kind.EXTRA, f"file was removed by entry {seq}, and is still there")
    for path in strangers.folders:
        if path not in folders and folder.has(path):
            findings.problem(path, Kind.EXTRA, "folder is not in the ledger")


def _scan_table(folder: Folder, table: str, chain: Chain, findings: Findings, strangers: Strangers) -> None:
    waiting = [table]
    while waiting:
        above = waiting.pop()
        try:
            children = list(folder.list(above))
        except OSError as error:
            findings.problem(above, Kind.UNREADABLE, f"cannot be read: {error.strerror}")
            continue
        for entry in children:
            path = f"{above}/{entry.name}"
            if _is_folder(entry) and path not in chain.live:
                waiting.append(path)
            elif path not in chain.live:
                if entry.is_symlink():
                    findings.problem(path, Kind.TYPE, "it is a symbolic link")
                else:
                    strangers.files.append(path)
            elif entry.is_symlink():
                findings.problem(path, Kind.TYPE, "it is a symbolic link")
        if not children and above not in chain.folders and "/" in above:
            strangers.folders.append(above)
        elif above in chain.folders and (words := _folder_looseness(folder, above)):
            findings.note_alike(words, above)


def _scan_commit(folder: Folder, chain: Chain, seq: int, path: str, findings: Findings) -> None:
    """What a committed entry's staging folder holds: its own files, intact, or something foreign."""
    entry = chain.read_again(folder, seq)
    if entry is None:
        name = f"{layout.LEDGER}/{layout.entry_name(seq)}"
        findings.problem(name, Kind.UNREADABLE, "it was altered or taken away while this ran")
        return
    own = {layout.staged_name(index, record.path): record.path for index, record in enumerate(entry.files_added)}
    for child in folder.list(path):
        if child.name == layout.entry_name(seq):
            continue
        live = chain.live.get(own.get(child.name, ""))
        if child.name not in own:
            if folder.has(f"{path}/{child.name}"):
                findings.problem(f"{path}/{child.name}", Kind.EXTRA, "file is not in the ledger")
        elif live is not None and live.seq == seq and folder.has(live.record.path):
            _check_copy(folder, live, findings)


def _check_copy(folder: Folder, live: LiveFile, findings: Findings) -> None:
    """A staged file whose place is taken: the next writer would put it there."""
    record = msgspec.structs.replace(live.record, path=live.staged)
    checked = check_file(folder, replace(live, record=record))
    findings.problems += checked.findings.problems


def _folder_looseness(folder: Folder, path: str) -> str | None:
    try:
        return looseness(path, (folder.root / path).lstat().st_mode)
    except OSError:
        return None


def _is_folder(entry: os.DirEntry[str]) -> bool:
    return entry.is_dir(follow_symlinks=False)


def _described(entry: os.DirEntry[str]) -> str:
    return describe(entry.stat(follow_symlinks=False).st_mode)
