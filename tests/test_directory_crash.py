"""A snapshot that dies anywhere, and on any disk that then loses power, is whole or absent."""

from __future__ import annotations

import shutil
import signal
import subprocess
import sys
import textwrap
from datetime import timedelta
from pathlib import Path
from random import Random

import pytest

from demo_archive import environment
from directories import NOW, World, changed, user
from faulty_disk import Crash, FaultyDisk
from trailkeep.errors import ArchiveLocked
from trailkeep.store import Writer
from trailkeep.verify import verify_archive


def two_looks(folder: Path) -> World:
    """An archive with one look, and an API where since then one user was renamed, one went and one came."""
    world = World.new(folder)
    world.emulator.directory.users = [user("alice"), user("bob")]
    world.snapshot()
    world.emulator.directory.users = [
        changed(user("alice"), NOW + timedelta(minutes=5), username="mallory"),
        user("carol"),
    ]
    return world


def names(world: World) -> list[str]:
    return sorted(f"{row['change']} {row['name']}" for row in world.rows("users"))


BEFORE = ["first alice", "first bob"]
AFTER = sorted([*BEFORE, "changed mallory", "gone bob", "first carol"])


def steps(tmp_path: Path) -> int:
    world = two_looks(tmp_path / "counted")
    world.disk = disk = FaultyDisk(world.archive)
    world.snapshot(hours=1)
    return len(disk.operations)


@pytest.mark.parametrize("chance", [None, 1])
def test_a_snapshot_that_dies_at_any_step_is_done_by_the_next(tmp_path: Path, chance: int | None) -> None:
    # What the disk keeps of its own accord varies: a part of the steps tells.
    for step in range(1, steps(tmp_path) + 1, 1 if chance is None else 3):
        world = two_looks(tmp_path / f"{step}")
        world.disk = disk = FaultyDisk(world.archive)
        disk.crash_at = step
        with pytest.raises(Crash):
            world.snapshot(hours=1)
        left = tmp_path / f"{step}-left"
        disk.power_loss(left, None if chance is None else Random(step))
        shutil.rmtree(world.archive)
        world.disk, world.archive = None, left
        assert names(world) in (BEFORE, AFTER), step
        world.snapshot()
        assert names(world) == AFTER, step
        assert verify_archive(left, deep=True).problems == ()
        assert world.snapshot(hours=1).seq is None
        shutil.rmtree(left)


KILLED = """
import os, signal, sys
from pathlib import Path
from test_directory_crash import two_looks
from trailkeep.store import Disk


class Killing(Disk):
    left = int(sys.argv[2])

    def rename(self, source, target):
        self.count()
        super().rename(source, target)

    def link(self, source, target):
        self.count()
        super().link(source, target)
        self.count()

    def remove_directory(self, path):
        self.count()
        super().remove_directory(path)

    def count(self):
        Killing.left -= 1
        if Killing.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


world = two_looks(Path(sys.argv[1]))
world.disk = Killing()
world.snapshot(hours=1)
"""


@pytest.mark.parametrize("step", range(1, 5))
def test_a_snapshot_that_is_killed_between_two_steps_of_its_commit_is_done_by_the_next(
    tmp_path: Path, step: int
) -> None:
    path = tmp_path / "data"
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(KILLED), str(path), str(step)],
        env=environment(PYTHONPATH=str(Path(__file__).parent)),
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    world = World.new(path)
    world.at = NOW + timedelta(hours=1)
    world.emulator.directory.users = [
        changed(user("alice"), NOW + timedelta(minutes=5), username="mallory"),
        user("carol"),
    ]
    # The first call is the link, which is the commit: killed before it nothing is there, after it everything.
    assert names(world) == (BEFORE if step == 1 else AFTER)
    world.snapshot(hours=1)
    assert names(world) == AFTER
    assert verify_archive(path, deep=True).problems == ()
    assert list((path / ".staging").iterdir()) == []


def test_nothing_is_committed_while_another_writer_has_the_archive(tmp_path: Path) -> None:
    world = two_looks(tmp_path / "data")
    with Writer(world.archive, clock=lambda: NOW), pytest.raises(ArchiveLocked):
        world.snapshot(hours=1)
    assert names(world) == BEFORE
