"""A disk that refuses, fails, fills up or tears files: the archive stays whole, and says what is wrong."""

from __future__ import annotations

import errno
import os
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import pytest

from archives import NOW
from faulty_disk import CRASH_STEP, SECTOR, Crash, FaultyDisk, UnsyncedDisk
from test_crash import MEMORY, RUN, SCENARIOS, Bench, assert_clean, content_of
from trailkeep.errors import ArchiveDamaged, ArchiveLocked, StoreError
from trailkeep.store import Archive, Writer
from trailkeep.store.repair import repair

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

REFUSALS = (errno.ENOSPC, errno.EIO, errno.EACCES, errno.EROFS)


@pytest.fixture(scope="module", params=SCENARIOS, ids=lambda scenario: scenario.name)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    folder = Path(mkdtemp(dir=MEMORY)) if MEMORY.is_dir() else tmp_path_factory.mktemp("bench")
    try:
        yield Bench(request.param, folder)
    finally:
        shutil.rmtree(folder)


def next_commit(folder: Path) -> Bench:
    return Bench(SCENARIOS[1], folder)


@pytest.mark.parametrize("reason", REFUSALS, ids=lambda number: errno.errorcode[number])
@pytest.mark.parametrize("fails_on", [False, True], ids=["once", "from then on"])
def test_a_refusal_at_any_operation_leaves_the_old_or_the_new_state(bench: Bench, reason: int, fails_on: bool) -> None:
    # Every operation is refused in one of the ways, by turns; in the long form, once in each of them.
    step = len(REFUSALS) if fails_on or CRASH_STEP > 1 else 1
    number = REFUSALS.index(reason) % step + 1
    while True:
        disk = bench.world()
        disk.fail_at, disk.fail_with, disk.fails_on = number, reason, fails_on
        path = disk.base / "data"
        refusal = refusal_of(lambda disk=disk, path=path: bench.scenario.run(path, disk))
        if len(disk.operations) < number:
            break
        if refusal is not None:
            assert os.strerror(reason) in refusal.message
            assert refusal.hint
        bench.check(path)
        shutil.rmtree(disk.base)
        number += step
    assert number > 20


def test_a_writer_whose_commit_was_refused_can_commit_again(bench: Bench) -> None:
    """The same writer goes on, wherever the disk refused once: before the commit point, at it, or after."""
    number, refused = 0, 0
    while True:
        number += 1
        disk = bench.world()
        disk.fail_at = number
        path = disk.base / "data"
        try:
            with Writer(path, clock=lambda: NOW, disk=disk, run=RUN) as writer:
                while (done := writer.next_seq - 2) < len(bench.scenario.steps):
                    step = bench.scenario.steps[done]
                    refused += refusal_of(lambda step=step, writer=writer: step(writer)) is not None
        except StoreError:
            continue  # refused while it opened
        finally:
            if path.exists() and len(disk.operations) >= number:
                bench.check(path)
        assert content_of(path) == bench.states[-1]
        if len(disk.operations) < number:
            break
        shutil.rmtree(disk.base)
    assert refused > 15


def test_a_full_disk_is_named_with_what_helps(tmp_path: Path) -> None:
    bench = next_commit(tmp_path)
    disk = bench.world()
    disk.before = lambda operation: setattr(disk, "fail_at", len(disk.operations) if operation == "write" else None)
    disk.fail_with = errno.ENOSPC
    with pytest.raises(StoreError, match=r"cannot commit to the archive, which stays as it was: No space left") as info:
        bench.scenario.run(disk.base / "data", disk)
    assert info.value.hint
    assert "Free space" in info.value.hint


def test_files_torn_in_staging_at_any_sector_are_thrown_away(tmp_path: Path) -> None:
    bench = next_commit(tmp_path)
    commit_point = crash_before(bench, "link data/ledger/00000003.json")
    (staging,) = (commit_point / "data/.staging").iterdir()
    torn = 0
    for file in sorted(staging.iterdir()):
        for length in range(0, file.stat().st_size + SECTOR - 1, SECTOR):
            world = tmp_path / "torn"
            shutil.copytree(commit_point, world)
            tear(world / file.relative_to(commit_point), length)
            bench.check(world / "data")
            shutil.rmtree(world)
            torn += 1
    assert torn > 10


def test_a_ledger_entry_torn_at_any_sector_is_named_and_nothing_is_written(tmp_path: Path) -> None:
    bench = next_commit(tmp_path)
    whole = tmp_path / "after-2/data"
    entry = whole / "ledger/00000003.json"
    for length in range(0, entry.stat().st_size, SECTOR):
        path = tmp_path / "torn"
        shutil.copytree(whole, path)
        tear(path / "ledger/00000003.json", length)
        before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file() and file.name != ".lock"}
        with pytest.raises(ArchiveDamaged, match=r"00000003\.json"):
            Archive.open(path).ledger()
        with pytest.raises(ArchiveDamaged, match=r"00000003\.json"), Writer(path, clock=lambda: NOW):
            pass
        assert before == {
            file: file.read_bytes() for file in path.rglob("*") if file.is_file() and file.name != ".lock"
        }
        report = repair(path, clock=lambda: NOW, source=whole)
        assert report.problems == []
        assert content_of(path) == bench.states[2]
        shutil.rmtree(path)


def test_a_committed_file_torn_at_any_sector_keeps_what_it_replaces(tmp_path: Path) -> None:
    """Only a disk that lies about flushing can do this: then the replaced files are the only ones that are left."""
    bench = next_commit(tmp_path)
    base = crash_before(bench, "rename data/revisions/", commits=2)
    (staged,) = (base / "data/.staging").glob("00000004-*/*.parquet")
    replaced = sorted((base / "data/revisions").rglob("region=fr-par/**/*.parquet"))
    assert len(replaced) == 2, replaced
    for length in range(0, staged.stat().st_size, SECTOR):
        world = tmp_path / "torn"
        shutil.copytree(base, world)
        path = world / "data"
        tear(world / staged.relative_to(base), length)
        with Writer(path, clock=lambda: NOW, disk=UnsyncedDisk()) as writer:
            assert [left.finished for left in writer.recovered] == [False]
        assert all((world / file.relative_to(base)).exists() for file in replaced)
        report = repair(path, clock=lambda: NOW, source=tmp_path / "after-3/data")
        assert report.problems == []
        assert content_of(path) == bench.states[3]
        assert_clean(path)
        shutil.rmtree(world)


def test_without_hard_links_a_crash_at_any_operation_is_survived_too(tmp_path: Path) -> None:
    bench = Bench(SCENARIOS[0], tmp_path)
    points = 0
    while True:
        disk = bench.world()
        disk.links = False
        if not bench.crash(disk, points + 1):
            break
        points += 1
        bench.check(disk.base / "data")
        shutil.rmtree(disk.base)
    assert points > 20
    assert content_of(disk.base / "data") == bench.states[-1]


@pytest.mark.parametrize("reason", [errno.EPERM, errno.ENOTSUP, errno.ENOSYS])
def test_without_hard_links_a_taken_name_is_never_replaced(tmp_path: Path, reason: int) -> None:
    (tmp_path / "source").write_text("new")
    (tmp_path / "target").write_text("old")
    disk = FaultyDisk(tmp_path)
    disk.before = lambda operation: setattr(disk, "fail_at", len(disk.operations) if "link" in operation else None)
    disk.fail_with = reason
    with pytest.raises(FileExistsError):
        disk.publish(tmp_path / "source", tmp_path / "target")
    assert (tmp_path / "target").read_text() == "old"


@pytest.mark.parametrize("umask", [0o000, 0o027, 0o077])
def test_modes_are_exact_whatever_the_umask(tmp_path: Path, umask: int) -> None:
    path = tmp_path / "data"
    path.mkdir(mode=0o755)
    previous = os.umask(umask)
    try:
        SCENARIOS[1].run(path, UnsyncedDisk())
    finally:
        os.umask(previous)
    modes = {each: stat.S_IMODE(each.stat().st_mode) for each in (path, *path.rglob("*"))}
    for each, mode in modes.items():
        expected = 0o700 if each.is_dir() else 0o444 if each.suffix == ".parquet" else 0o600
        assert mode == expected, each
    assert {"archive.json", ".lock", "00000001.json"} <= {each.name for each in modes}


HOLDER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from trailkeep.store import Writer

with Writer(Path(sys.argv[1]), clock=lambda: datetime.now(UTC)):
    print("locked", flush=True)
    sys.stdin.read()
"""


def test_who_holds_the_lock_is_named_and_its_death_frees_it(tmp_path: Path) -> None:
    path = tmp_path / "data"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout
        assert holder.stdout.readline() == "locked\n"
        with (
            pytest.raises(ArchiveLocked, match=rf"process {holder.pid} of \w+ on .*, since 20\d\d-"),
            Writer(path, clock=lambda: NOW),
        ):
            pass
        assert Archive.open(path).ledger().head  # readers need no lock
        holder.kill()
    assert (path / ".lock").exists()
    with Writer(path, clock=lambda: NOW):
        pass


def test_two_writers_in_one_process_exclude_each_other(tmp_path: Path) -> None:
    with Writer(tmp_path / "data", clock=lambda: NOW):
        second = Writer(tmp_path / "data", clock=lambda: NOW)
        with pytest.raises(ArchiveLocked), second:
            pass
    with second:
        pass


def test_a_lock_is_given_back_when_opening_fails(tmp_path: Path) -> None:
    bench = next_commit(tmp_path)
    disk = bench.world()
    disk.fail_at = 1
    with pytest.raises(StoreError), Writer(disk.base / "data", clock=lambda: NOW, disk=disk):
        pass
    with Writer(disk.base / "data", clock=lambda: NOW):
        pass


def refusal_of(work: Callable[[], object]) -> StoreError | None:
    """The error that `work` ended with: always the plain one, never one that blames the archive."""
    try:
        work()
    except ArchiveDamaged:
        raise
    except StoreError as error:
        return error
    return None


def crash_before(bench: Bench, operation: str, commits: int = 1) -> Path:
    """The base of an archive whose writer died right before the last of its commits did `operation`."""
    for at in range(1, 1000):
        disk = bench.world()
        disk.crash_at = at
        with pytest.raises(Crash):
            bench.scenario.run(disk.base / "data", disk, upto=1 + commits)
        ledger = disk.base / "data/ledger"
        last = disk.operations[-1]
        if last.startswith(operation) and len(list(ledger.iterdir())) >= commits + (2 if commits > 1 else 1):
            return disk.base
        shutil.rmtree(disk.base)
    raise AssertionError(f"no {operation}")


def tear(file: Path, length: int) -> None:
    """Cut the file off."""
    file.chmod(0o600)
    os.truncate(file, length)


class TestReplacing:
    """Files of the cache are replaced whole, privately, and without an error."""

    def test_it_is_private_and_leaves_no_draft(self, tmp_path: Path) -> None:
        file = tmp_path / "cache" / "derived.json"
        previous = os.umask(0)
        try:
            for content in (b"one", memoryview(b"another"), b""):
                assert UnsyncedDisk().replace(file, content)
                assert file.read_bytes() == content
        finally:
            os.umask(previous)
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
        assert [each.name for each in file.parent.iterdir()] == [file.name]

    def test_whatever_fails_the_file_is_the_old_one_or_the_new_one(self, tmp_path: Path) -> None:
        base = tmp_path / "base"
        file = base / "cache" / "derived.json"
        steps = 1
        while True:
            shutil.rmtree(base, ignore_errors=True)
            file.parent.mkdir(parents=True)
            file.write_bytes(b"old")
            (file.parent / "derived.json.part").write_bytes(b"a draft that was cut off")
            disk = FaultyDisk(base)
            disk.fail_at, disk.fail_with = steps, errno.ENOSPC
            done = disk.replace(file, b"new")
            assert file.read_bytes() == (b"new" if done else b"old")
            if done:
                break
            steps += 1
        assert steps > 4
        assert [each.name for each in file.parent.iterdir()] == [file.name]

    @pytest.mark.parametrize("in_the_way", ["link", "file", "draft"])
    def test_what_is_in_the_way_is_neither_followed_nor_an_error(self, tmp_path: Path, in_the_way: str) -> None:
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        folder = tmp_path / "cache"
        if in_the_way == "link":
            folder.symlink_to(elsewhere)
        elif in_the_way == "file":
            folder.write_text("")
        else:
            (folder / "derived.json.part").mkdir(parents=True)
        assert not UnsyncedDisk().replace(folder / "derived.json", b"new")
        assert not [*elsewhere.iterdir()]
