"""A disk that fails, stops with its process, or loses what was not flushed: the same seam as the real one."""

from __future__ import annotations

import errno
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from trailkeep.store import Disk

if TYPE_CHECKING:
    from collections.abc import Callable
    from random import Random

CRASH_STEP = int(os.environ.get("TRAILKEEP_CRASH_STEP", "8"))
"""Where every operation is tried with everything else, each so-manieth is; 1 in the long form."""

SECTOR = 512


class Crash(BaseException):  # no Exception: nothing may take it for a failure that it can handle
    """The process ends here; the operation was not done."""


class UnsyncedDisk(Disk):
    """A real disk that is not flushed: what a test does after the crash survives without it."""

    def sync_file(self, descriptor: int) -> None:
        pass

    def sync_directory(self, path: Path) -> None:
        pass


@dataclass(eq=False)
class _File:
    content: bytes = b""
    synced: bytes = b""
    mode: int = 0o600


@dataclass(eq=False)
class _Folder:
    names: dict[str, _File | _Folder] = field(default_factory=dict)
    durable: dict[str, _File | _Folder] = field(default_factory=dict)
    mode: int = 0o700


@dataclass(eq=False)
class _Rename:
    """A rename reaches the disk whole or not at all: every journaling file system promises that."""

    source: tuple[_Folder, str]
    target: tuple[_Folder, str]
    moved: _File | _Folder


class FaultyDisk(Disk):
    """Does what a disk does to the files below `base`, numbers every operation from 1, and can go wrong at each.

    Nothing is really flushed: what a power cut would leave is followed in memory, and `power_loss` writes it out.
    """

    def __init__(self, base: Path) -> None:
        self.base = base
        self.operations: list[str] = []
        """The operations done or tried, in order."""
        self.crash_at: int | None = None
        self.fail_at: int | None = None
        self.fail_with = errno.EIO
        self.fails_on = False
        """Whether everything fails that follows the first failure, too."""
        self.links = True
        """Whether the file system has hard links."""
        self.before: Callable[[str], None] | None = None
        """Called before each operation with its name."""
        self._dead = False
        self._world = _load(base)
        self._renames: list[_Rename] = []
        self._open: dict[int, _File] = {}

    def revive(self) -> None:
        """Another process goes on where the first ended, before the power goes."""
        self._dead = False
        self.crash_at = self.fail_at = None
        self.operations.clear()

    def power_loss(self, target: Path, rng: Random | None = None) -> None:
        """Write out what is left when the power goes now.

        Without `rng`, only what was flushed; with it, of everything else a part that it chooses.
        """
        _write_out(self._world, target, _Survival(self._renames, rng))

    # The operations

    def mkdir(self, path: Path) -> None:
        self._step("mkdir", path)
        super().mkdir(path)
        folder, name = self._slot(path)
        folder.names[name] = _Folder()

    def create(self, path: Path) -> int:
        self._step("create", path)
        descriptor = super().create(path)
        folder, name = self._slot(path)
        folder.names[name] = self._open[descriptor] = _File()
        return descriptor

    def append(self, descriptor: int, content: memoryview) -> int:
        try:
            self._step("write", None)
        except (Crash, OSError):
            if not self._dead or self.crash_at == len(self.operations):
                half = content[: max(1, len(content) // 2)]
                super().append(descriptor, half)
                self._open[descriptor].content += bytes(half)
            raise
        written = super().append(descriptor, content)
        self._open[descriptor].content += bytes(content[:written])
        return written

    def set_mode(self, target: Path | int, mode: int) -> None:
        self._step("chmod", target if isinstance(target, Path) else None)
        super().set_mode(target, mode)
        (self._open[target] if isinstance(target, int) else self._node(target)).mode = mode

    def sync_file(self, descriptor: int) -> None:
        self._step("fsync", None)
        self._open[descriptor].synced = self._open[descriptor].content

    def sync_directory(self, path: Path) -> None:
        self._step("fsync folder", path)
        folder = self._folder(path)
        for rename in [each for each in self._renames if folder in (each.source[0], each.target[0])]:
            self._renames.remove(rename)
            rename.source[0].durable.pop(rename.source[1], None)
            rename.target[0].durable[rename.target[1]] = rename.moved
        folder.durable = dict(folder.names)

    def link(self, source: Path, target: Path) -> None:
        self._step("link", target)
        if not self.links:
            raise OSError(errno.EPERM, os.strerror(errno.EPERM), os.fspath(source), None, os.fspath(target))
        super().link(source, target)
        folder, name = self._slot(target)
        folder.names[name] = self._node(source)

    def rename(self, source: Path, target: Path) -> None:
        self._step("rename", target)
        moved = self._node(source)
        super().rename(source, target)
        (old_folder, old_name), (folder, name) = self._slot(source), self._slot(target)
        if folder.names.get(name) is moved:
            return  # two names of one file: the system does nothing
        folder.names[name] = old_folder.names.pop(old_name)
        self._renames.append(_Rename((old_folder, old_name), (folder, name), moved))

    def unlink(self, path: Path) -> None:
        self._step("unlink", path)
        super().unlink(path)
        folder, name = self._slot(path)
        del folder.names[name]

    def remove_directory(self, path: Path) -> None:
        self._step("rmdir", path)
        super().remove_directory(path)
        folder, name = self._slot(path)
        del folder.names[name]

    def _step(self, operation: str, path: Path | None) -> None:
        if self._dead:
            raise Crash
        shown = f"{operation} {path.relative_to(self.base)}" if path else operation
        self.operations.append(shown)
        if self.before:
            self.before(shown)
        number = len(self.operations)
        if self.crash_at == number:
            self._dead = True
            raise Crash
        if self.fail_at == number or (self.fails_on and self.fail_at is not None and number > self.fail_at):
            raise OSError(self.fail_with, os.strerror(self.fail_with), os.fspath(path) if path else None)

    # The world in memory

    def _node(self, path: Path) -> _File | _Folder:
        node: _File | _Folder = self._world
        for name in path.relative_to(self.base).parts:
            assert isinstance(node, _Folder)
            node = node.names[name]
        return node

    def _folder(self, path: Path) -> _Folder:
        node = self._node(path)
        assert isinstance(node, _Folder)
        return node

    def _slot(self, path: Path) -> tuple[_Folder, str]:
        return self._folder(path.parent), path.name


class _Survival:
    """Decides, once for each change that was not flushed, whether it is found on the disk all the same."""

    def __init__(self, renames: list[_Rename], rng: Random | None) -> None:
        self._rng = rng
        self._decided: dict[tuple[int, str], bool] = {}
        for rename in renames:
            survives = self._toss()
            for folder, name in (rename.source, rename.target):
                self._decided[id(folder), name] = survives

    def names(self, folder: _Folder) -> dict[str, _File | _Folder]:
        found: dict[str, _File | _Folder] = {}
        for name in sorted({*folder.names, *folder.durable}):
            before, after = folder.durable.get(name), folder.names.get(name)
            survives = before is not after and self._decided.setdefault((id(folder), name), self._toss())
            if node := after if survives else before:
                found[name] = node
        return found

    def content(self, file: _File) -> bytes:
        if file.content == file.synced or self._rng is None:
            return file.synced
        sectors = self._rng.randint(0, len(file.content) // SECTOR + 1)
        return file.content[: sectors * SECTOR]

    def _toss(self) -> bool:
        return self._rng is not None and self._rng.random() < 0.5


def _load(path: Path) -> _Folder:
    """What is on the disk now, all of it taken to be durable."""
    folder = _Folder(mode=path.stat().st_mode & 0o7777)
    for child in path.iterdir():
        if child.is_dir():
            folder.names[child.name] = _load(child)
        else:
            content = child.read_bytes()
            folder.names[child.name] = _File(content, content, child.stat().st_mode & 0o7777)
    folder.durable = dict(folder.names)
    return folder


def _write_out(folder: _Folder, target: Path, survival: _Survival) -> None:
    target.mkdir()
    for name, node in survival.names(folder).items():
        if isinstance(node, _Folder):
            _write_out(node, target / name, survival)
        else:
            (target / name).write_bytes(survival.content(node))
            (target / name).chmod(node.mode)
    target.chmod(folder.mode)
