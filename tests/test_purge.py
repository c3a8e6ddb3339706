"""Purging removes what it says and nothing else, asks first, honours a hold, and stays in the ledger."""

from __future__ import annotations

import json
import os
import pty
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest

import forked
from archives import NOW, ORGANIZATION, Archives
from test_crash import assert_clean
from trailkeep.errors import ArchiveDamaged, UsageError
from trailkeep.seal import CoverageRecord
from trailkeep.store import Archive, Writer, read_segment
from trailkeep.store.purge import hold_on, plan_purge, purge, release_hold, set_hold
from trailkeep.timespan import format_time

if TYPE_CHECKING:
    import subprocess
    from pathlib import Path

    from trailkeep.seal import Entry

BEFORE = datetime(2026, 1, 15, tzinfo=UTC)
READ_FROM = datetime(2025, 12, 1, tzinfo=UTC)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Events of December, January on both sides of `BEFORE`, and February; fr-par has been read since 1 December."""
    archive = Archives(tmp_path / "data")
    for day in (-30, -1, 1, 20):
        for second in (0, 1):
            archive.api(BEFORE + timedelta(days=day, seconds=second), "CreateServer")
    archive.api(BEFORE, "OnTheEdge")
    archive.api(BEFORE - timedelta(microseconds=1), "RightBefore")
    archive.login(BEFORE - timedelta(days=3), "alice")
    archive.system(BEFORE + timedelta(days=3))
    archive.commit(
        [
            CoverageRecord(
                organization_id=ORGANIZATION,
                kind="api",
                region="fr-par",
                start=format_time(READ_FROM),
                end=format_time(NOW),
            )
        ]
    )
    return tmp_path / "data"


def rows(path: Path) -> dict[str, tuple[datetime, int, str]]:
    """Every event that is left: when, brought by which entry, and its bytes."""
    archive = Archive.open(path)
    found = {}
    for file in archive.ledger().live.values():
        columns = ["id", "recorded_at", "ledger_seq", "raw"]
        for row in read_segment(archive.locate(file), columns).to_pylist():
            found[row["id"]] = (row["recorded_at"].replace(tzinfo=UTC), row["ledger_seq"], row["raw"])
    return found


def purge_now(path: Path, before: datetime = BEFORE, reason: str = "the contract ended") -> Entry | None:
    with Writer(path, clock=lambda: NOW) as writer:
        return purge(writer, plan_purge(writer.archive, writer.ledger, before), reason=reason, started_at=NOW)


def test_exactly_the_rows_before_the_moment_go(path: Path) -> None:
    before = rows(path)
    entry = purge_now(path)
    assert rows(path) == {key: row for key, row in before.items() if row[0] >= BEFORE}
    assert entry
    assert entry.operation == "purge"
    assert entry.reason == "the contract ended"
    assert entry.counters == {"files_removed": 2, "files_rewritten": 1, "rows_kept": 3, "rows_removed": 6}
    assert len(entry.files_removed) == 3
    assert len(entry.files_added) == 1
    assert_clean(path)
    for removed in entry.files_removed:
        assert not (path / removed).exists()


def test_the_entry_says_which_time_of_which_streams_was_purged(path: Path) -> None:
    entry = purge_now(path)
    assert entry
    assert [(span.kind, span.region, span.start, span.end) for span in entry.purged] == [
        ("api", "fr-par", format_time(READ_FROM), format_time(BEFORE)),
        ("authentication", "fr-par", format_time(BEFORE - timedelta(days=3)), format_time(BEFORE)),
    ]


def test_what_stays_of_a_split_file_is_proven_and_sorted(path: Path) -> None:
    entry = purge_now(path)
    assert entry
    (record,) = entry.files_added
    assert (record.rows, record.first) == (3, format_time(BEFORE))
    table = pq.read_table(path / record.path, partitioning=None)
    assert table["recorded_at"].to_pylist() == sorted(table["recorded_at"].to_pylist())
    assert set(table["ledger_seq"].to_pylist()) == {2}


def test_purging_twice_does_nothing_the_second_time(path: Path) -> None:
    purge_now(path)
    head = Archive.open(path).ledger().head
    assert purge_now(path) is None
    assert Archive.open(path).ledger().head == head


def test_a_damaged_file_is_not_split_and_nothing_is_purged(path: Path) -> None:
    ledger = Archive.open(path).ledger()
    (cut,) = [cut for cut in plan_purge(Archive.open(path), ledger, BEFORE).cuts if cut.rows_kept]
    file = path / cut.path
    content = bytearray(file.read_bytes())
    content[-12] ^= 1  # in the footer: the pages still read
    file.chmod(0o600)
    file.write_bytes(content)
    with pytest.raises(ArchiveDamaged, match=r"not what the ledger says|cannot be read"):
        purge_now(path)
    assert Archive.open(path).ledger().head == ledger.head
    assert (path / cut.path).exists()


def test_derived_copies_go_too(path: Path) -> None:
    (path / ".cache/index").mkdir(parents=True)
    (path / ".cache/index/names").write_text("alice")
    purge_now(path)
    assert not (path / ".cache").exists()


def test_a_hold_forbids_until_it_is_released(path: Path) -> None:
    with Writer(path, clock=lambda: NOW) as writer:
        set_hold(writer, reason="case 42", started_at=NOW)
        with pytest.raises(UsageError, match=r"a hold is on: set by .* on .* at 2026-03-01T12.*because: case 42"):
            set_hold(writer, reason="another", started_at=NOW)
    before = rows(path)
    with pytest.raises(UsageError, match="case 42"):
        purge_now(path)
    assert rows(path) == before
    with Writer(path, clock=lambda: NOW) as writer:
        release_hold(writer, reason="case closed", started_at=NOW)
        assert hold_on(writer.ledger) is None
        with pytest.raises(UsageError, match="no hold"):
            release_hold(writer, reason="again", started_at=NOW)
    assert purge_now(path)
    notes = [(entry.operation, entry.hold, entry.reason) for entry in Archive.open(path).ledger().entries if entry.hold]
    assert notes == [("note", "set", "case 42"), ("note", "released", "case closed")]


# The command


def run(path: Path, *arguments: str, answer: str | None = None) -> subprocess.CompletedProcess[str]:
    """The command, with `answer` typed on a terminal, or with no terminal at all."""
    command = ("--archive", str(path), "purge", *arguments)
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("SCW_", "TRAILKEEP_"))}
    if answer is None:
        return forked.run_text(command, cwd=path.parent, env=environ)
    keyboard, terminal = pty.openpty()
    try:
        os.write(keyboard, answer.encode() + b"\n")
        return forked.run_text(command, cwd=path.parent, env=environ, stdin=terminal)
    finally:
        os.close(terminal)
        os.close(keyboard)


def test_the_command_never_asks_where_nobody_can_answer(path: Path) -> None:
    done = run(path, "--before", "2026-01-15", "--reason", "old")
    assert done.returncode == 2
    assert "stdin is not a terminal" in done.stderr
    assert len(rows(path)) == 12
    assert run(path, "--before", "2026-01-15", "--yes").returncode == 2  # no reason
    assert run(path, "--reason", "old", "--yes").returncode == 2  # no moment
    assert run(path, "--before", "2999-01-01", "--reason", "old", "--yes").returncode == 2
    assert len(rows(path)) == 12


def test_the_command_shows_in_a_dry_run_what_it_then_does(path: Path) -> None:
    dry: dict[str, Any] = json.loads(run(path, "--before", "2026-01-15", "--dry-run", "--format", "json").stdout)
    assert dry["rows_removed"] == 6
    assert dry["ledger_seq"] is None
    assert len(rows(path)) == 12
    done = run(path, "--before", "2026-01-15", "--reason", "old", "--yes", "--format", "json")
    assert done.returncode == 0, done.stderr
    real: dict[str, Any] = json.loads(done.stdout)
    assert {name: real[name] for name in ("files", "purged", "rows_removed")} == {
        name: dry[name] for name in ("files", "purged", "rows_removed")
    }
    assert real["ledger_seq"] == real["head"]["seq"] == 3
    assert len(rows(path)) == 6


@pytest.mark.parametrize(("answer", "code", "left"), [("yes", 0, 6), ("id", 0, 6), ("y", 2, 12), ("", 2, 12)])
def test_the_command_goes_on_only_after_a_clear_answer(path: Path, answer: str, code: int, left: int) -> None:
    typed = Archive.open(path).archive_id[:8] if answer == "id" else answer
    done = run(path, "--before", "2026-01-15", "--reason", "old", answer=typed)
    assert done.returncode == code, done.stderr
    assert "6 rows would be removed" in done.stderr
    assert "cannot be undone" in done.stderr
    assert len(rows(path)) == left


def test_the_command_names_the_hold_that_stands_in_its_way(path: Path) -> None:
    assert run(path, "--hold", "case 42").returncode == 0
    done = run(path, "--before", "2026-01-15", "--reason", "old", "--yes")
    assert done.returncode == 2
    assert "case 42" in done.stderr
    assert run(path, "--release-hold", "closed").returncode == 0
    assert run(path, "--before", "2026-01-15", "--reason", "old", "--yes").returncode == 0
