"""Repair does what the next writer would, brings back what a copy still has, and never destroys anything."""

from __future__ import annotations

import json
import shutil
import stat
from typing import TYPE_CHECKING

import pytest

from archives import NOW
from demo_archive import run as run_program
from faulty_disk import Crash, FaultyDisk, UnsyncedDisk
from test_crash import SCENARIOS, assert_clean, content_of
from trailkeep.errors import ArchiveMissing, UsageError
from trailkeep.store import Archive, Commit, Writer
from trailkeep.store.repair import RepairReport, repair

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An archive with three commits, the last a compaction."""
    SCENARIOS[1].run(tmp_path / "data", UnsyncedDisk())
    return tmp_path / "data"


@pytest.fixture
def copy(path: Path, tmp_path: Path) -> Path:
    shutil.copytree(path, tmp_path / "copy")
    return tmp_path / "copy"


def mend(path: Path, source: Path | None = None, *, dry_run: bool = False) -> RepairReport:
    return repair(path, clock=lambda: NOW, source=source, dry_run=dry_run)


def a_segment(path: Path) -> Path:
    return path / min(Archive.open(path).ledger().live)


def rewrite(file: Path, content: bytes) -> None:
    file.chmod(0o600)
    file.write_bytes(content)


def flip(content: bytes, at: int) -> bytes:
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def snapshot(path: Path) -> dict[str, tuple[int, bytes]]:
    """Every file and folder with its mode and content, the lock aside."""
    return {
        each.relative_to(path).as_posix(): (each.stat().st_mode, each.read_bytes() if each.is_file() else b"")
        for each in path.rglob("*")
        if each.name != ".lock"
    }


def test_a_whole_archive_is_left_as_it_is(path: Path, copy: Path) -> None:
    before = snapshot(path)
    report = mend(path, copy)
    assert not report.changed
    assert report.problems == report.modes == report.recovered == []
    assert report.files_checked == 3
    assert snapshot(path) == before


@pytest.mark.parametrize("with_copy", [True, False])
def test_a_missing_file_comes_back_only_from_a_copy(path: Path, copy: Path, with_copy: bool) -> None:
    content = content_of(path)
    file = a_segment(path)
    file.unlink()
    report = mend(path, copy if with_copy else None)
    name = file.relative_to(path).as_posix()
    if with_copy:
        assert report.restored == [name]
        assert report.problems == []
        assert content_of(path) == content
        assert_clean(path)
        entry = Archive.open(path).ledger().entries[-1]
        assert (entry.operation, entry.counters) == ("repair", {"removed": 0, "restored": 1, "set_aside": 0})
    else:
        assert [(problem.path, problem.message) for problem in report.problems] == [(name, "file is missing")]
        assert not report.changed


@pytest.mark.parametrize("damage", ["flipped", "shorter", "longer", "empty"])
def test_a_damaged_file_is_set_aside_and_replaced(path: Path, copy: Path, damage: str) -> None:
    content = content_of(path)
    file = a_segment(path)
    whole = file.read_bytes()
    damaged = {"flipped": flip(whole, 99), "shorter": whole[:-1], "longer": whole + b"x", "empty": b""}[damage]
    rewrite(file, damaged)
    without = mend(path)
    assert [problem.message for problem in without.problems] == ["hash value does not match"]
    assert file.read_bytes() == damaged  # nothing to put in its place: it stays where it is
    report = mend(path, copy)
    assert report.problems == []
    assert content_of(path) == content
    name = file.relative_to(path).as_posix()
    assert report.set_aside == report.restored == [name]
    assert [each.read_bytes() for each in (path / "set-aside").rglob("*.parquet")] == [damaged]
    assert stat.S_IMODE(file.stat().st_mode) == 0o444
    assert_clean_beside_set_aside(path)


def assert_clean_beside_set_aside(path: Path) -> None:
    live = Archive.open(path).ledger().live
    found = {file.relative_to(path).as_posix() for file in path.glob("revisions/**/*.parquet")}
    assert found == set(live)


def test_a_file_is_found_in_a_copy_under_any_name(path: Path, tmp_path: Path) -> None:
    file = a_segment(path)
    (tmp_path / "photos/old").mkdir(parents=True)
    shutil.move(file, tmp_path / "photos/old/IMG_0001.jpg")
    (tmp_path / "photos/decoy").write_bytes(flip((tmp_path / "photos/old/IMG_0001.jpg").read_bytes(), 50))
    report = mend(path, tmp_path / "photos")
    assert report.problems == []
    assert file.exists()


def test_a_copy_that_is_damaged_itself_gives_nothing(path: Path, copy: Path) -> None:
    file = a_segment(path)
    other = copy / file.relative_to(path)
    rewrite(other, flip(other.read_bytes(), 99))
    file.unlink()
    report = mend(path, copy)
    assert [problem.message for problem in report.problems] == ["file is missing"]
    assert not file.exists()


@pytest.mark.parametrize("seq", [1, 2, 3, 4])
@pytest.mark.parametrize("damage", ["missing", "torn", "changed"])
def test_a_ledger_entry_comes_back_when_it_fits_the_chain(path: Path, copy: Path, seq: int, damage: str) -> None:
    content = content_of(path)
    file = path / f"ledger/{seq:08d}.json"
    whole = file.read_bytes()
    if damage == "missing":
        file.unlink()
    else:
        rewrite(file, whole[:100] if damage == "torn" else whole.replace(b'"host":"', b'"host":"x'))
    report = mend(path, copy)
    if (damage, seq) == ("changed", 4):
        # Nothing follows the last entry: only a head kept elsewhere, or a signature, tells that it was changed.
        assert not report.changed
        return
    assert report.problems == []
    assert file.read_bytes() == whole
    assert content_of(path) == content
    assert len(report.set_aside) == (damage != "missing")
    assert Archive.open(path).ledger().entries[-1].operation == "repair"


def test_a_ledger_that_stays_broken_is_not_written_to(path: Path) -> None:
    (path / "ledger/00000002.json").unlink()
    before = snapshot(path)
    report = mend(path)
    assert [(each.path, each.message) for each in report.problems] == [("ledger/00000002.json", "the entry is missing")]
    assert snapshot(path) == before


def test_the_whole_ledger_and_archive_json_come_back(path: Path, copy: Path) -> None:
    content = content_of(path)
    shutil.rmtree(path / "ledger")
    (path / "ledger").mkdir()
    (path / "archive.json").unlink()
    report = mend(path, copy)
    assert report.problems == []
    assert len(report.restored) == 5
    assert content_of(path) == content


def test_the_archive_json_of_another_archive_is_not_taken(path: Path, tmp_path: Path) -> None:
    SCENARIOS[1].run(tmp_path / "other", UnsyncedDisk())
    (path / "archive.json").unlink()
    report = mend(path, tmp_path / "other")
    assert [problem.path for problem in report.problems] == ["archive.json"]
    assert not (path / "archive.json").exists()


def test_entries_of_a_copy_that_went_another_way_are_not_taken(path: Path, copy: Path) -> None:
    for archive, reason in ((path, b"one"), (copy, b"other")):
        with Writer(archive, clock=lambda: NOW, run=reason.decode() * 8) as writer:
            for _ in range(1 if archive == path else 2):
                writer.commit(Commit(operation="note", started_at=NOW, reason=reason.decode()))
    head = Archive.open(path).ledger().head
    report = mend(path, copy)
    assert not report.changed
    assert report.head == head


def test_files_that_do_not_belong_are_set_aside(path: Path) -> None:
    stranger = a_segment(path).with_name("stranger.parquet")
    stranger.write_bytes(b"evidence?")
    report = mend(path)
    assert report.set_aside == [stranger.relative_to(path).as_posix()]
    assert [each.read_bytes() for each in (path / "set-aside").rglob("stranger.parquet")] == [b"evidence?"]
    assert not stranger.exists()
    assert mend(path).changed is False


def test_files_that_an_entry_removed_and_that_are_back_go_again(path: Path) -> None:
    ledger = Archive.open(path).ledger()
    back = path / ledger.entries[-1].files_removed[0]
    back.write_bytes(b"what was replaced")
    report = mend(path)
    assert report.removed == [back.relative_to(path).as_posix()]
    assert not back.exists()
    assert report.set_aside == []


def test_what_was_replaced_stays_while_its_replacement_is_damaged(path: Path) -> None:
    entry = Archive.open(path).ledger().entries[-1]
    back = path / entry.files_removed[0]
    back.write_bytes(b"what was replaced")
    rewrite(path / entry.files_added[0].path, b"torn")
    report = mend(path)
    assert len(report.problems) == 2
    assert back.exists()


def test_what_a_crash_left_is_finished_or_thrown_away_and_told(tmp_path: Path) -> None:
    told = set()
    for at in range(1, 200):
        base = tmp_path / str(at)
        base.mkdir()
        disk = FaultyDisk(base)
        disk.crash_at = at
        try:
            SCENARIOS[0].run(base / "data", disk)
            break
        except Crash:
            pass
        if (base / "data/ledger").is_dir():
            if not (base / "data/archive.json").exists():
                with pytest.raises(ArchiveMissing):
                    mend(base / "data")
                continue
            report = repair(base / "data", clock=lambda: NOW, disk=UnsyncedDisk())
            assert report.problems == []
            assert_clean(base / "data")
            told |= {str(each).partition(": ")[2] for each in report.recovered}
    assert told == {
        "thrown away, it was never committed",
        "finished, it belongs to ledger entry 1",
        "finished, it belongs to ledger entry 2",
    }


def test_a_repair_that_dies_anywhere_is_done_by_the_next(path: Path, copy: Path, tmp_path: Path) -> None:
    content = content_of(path)
    ledger = Archive.open(path).ledger()
    first, second, third = sorted(ledger.live)
    (path / first).unlink()
    rewrite(path / second, b"torn")
    (path / third).with_name("stranger.parquet").write_bytes(b"x")
    rewrite(path / "ledger/00000003.json", b"torn")
    for at in range(1, 500):
        base = tmp_path / "world"
        shutil.copytree(path.parent / "data", base / "data")
        disk = FaultyDisk(base)
        disk.crash_at = at
        try:
            repair(base / "data", clock=lambda: NOW, source=copy, disk=disk)
            break
        except Crash:
            pass
        report = repair(base / "data", clock=lambda: NOW, source=copy, disk=UnsyncedDisk())
        assert report.problems == []
        assert content_of(base / "data") == content
        aside = sorted(each.read_bytes() for each in (base / "data/set-aside").rglob("*") if each.is_file())
        assert aside == [b"torn", b"torn", b"x"]
        shutil.rmtree(base)
    assert at > 40


def test_modes_are_set_right(path: Path) -> None:
    file = a_segment(path)
    file.chmod(0o666)
    file.parent.chmod(0o755)
    (path / "ledger/00000001.json").chmod(0o644)
    (path / "archive.json").chmod(0o664)
    report = mend(path)
    assert len(report.modes) == 4
    assert not report.changed
    assert stat.S_IMODE(file.stat().st_mode) == 0o444
    assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700
    assert stat.S_IMODE((path / "archive.json").stat().st_mode) == 0o600


def test_a_dry_run_says_the_same_and_writes_nothing(path: Path, copy: Path) -> None:
    a_segment(path).unlink()
    rewrite(path / "ledger/00000002.json", b"torn")
    (path / ".staging/00000009-left").mkdir()
    (path / "archive.json").chmod(0o644)
    before = snapshot(path)
    dry = mend(path, copy, dry_run=True)
    assert snapshot(path) == before
    real = mend(path, copy)
    assert [dry.restored, dry.set_aside, dry.removed, dry.modes, dry.problems] == [
        real.restored,
        real.set_aside,
        real.removed,
        real.modes,
        real.problems,
    ]
    assert [str(each) for each in dry.recovered] == [str(each) for each in real.recovered]


def test_links_in_the_archive_lead_repair_nowhere(path: Path, tmp_path: Path) -> None:
    (tmp_path / "outside").mkdir()
    (tmp_path / "outside/precious.parquet").write_bytes(b"mine")
    (path / "revisions/link").symlink_to(tmp_path / "outside")
    report = mend(path)
    assert report.set_aside == ["revisions/link"]
    assert (tmp_path / "outside/precious.parquet").read_bytes() == b"mine"


def test_what_is_no_archive_and_what_is_no_copy_is_refused(path: Path, tmp_path: Path) -> None:
    with pytest.raises(ArchiveMissing):
        mend(tmp_path / "nowhere")
    for source in (tmp_path / "nowhere", path, a_segment(path)):
        with pytest.raises(UsageError):
            mend(path, source)


def run(path: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return run_program(path.parent, "--archive", str(path), "repair", *arguments)


def test_the_command_ends_with_five_until_all_is_whole(path: Path, copy: Path) -> None:
    file = a_segment(path)
    file.unlink()
    name = file.relative_to(path).as_posix()
    broken = run(path)
    assert broken.returncode == 5
    assert f"INVALID: {name}: file is missing" in broken.stderr.splitlines()
    dry = json.loads(run(path, "--from", str(copy), "--dry-run", "--format", "json").stdout)
    assert dry["restored"] == [name]
    assert not file.exists()
    mended = run(path, "--from", str(copy))
    assert mended.returncode == 0, mended.stderr
    assert f"{name}: restored from the copy" in mended.stdout.splitlines()
    assert "3 files checked, 0 problems left" in mended.stdout
    assert run(path).stdout.startswith("nothing to mend\n")
