"""What verification finds in damaged archives, what it leaves alone, and what it says."""

from __future__ import annotations

import json
import os
import shutil
import sys
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest
from pyarrow import parquet

from sealed import (
    ORGANIZATION,
    START,
    an_event,
    commit,
    coverage,
    entry_path,
    head_of,
    new_rows,
    overwrite,
    read_entry,
    replace_segment,
    rewrite,
    sealed_archive,
    to_bytes,
)
from trailkeep import cli, schema, seal
from trailkeep.errors import ArchiveMissing, ArchiveTooNew, StoreError, UsageError
from trailkeep.store import Archive, Commit, Disk, Head, Writer
from trailkeep.timespan import Span
from trailkeep.verify import Verification, open_span, parse_head, verify_archive
from trailkeep.verify.folder import Folder
from trailkeep.verify.ids import repeated_ids

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("built") / "archive"
    sealed_archive(path)
    return path


@pytest.fixture
def archive(built: Path, tmp_path: Path) -> Path:
    shutil.copytree(built, tmp_path / "archive")
    return tmp_path / "archive"


def said(found: Verification) -> list[str]:
    return [str(problem) for problem in found.problems]


def live(archive: Path, table: str = "api_events") -> list[str]:
    return sorted(path for path in Archive.open(archive).ledger().live if path.startswith(table))


# Sound archives


def test_a_sound_archive_has_no_problem_and_everything_is_counted(archive: Path) -> None:
    found = verify_archive(archive)
    size = sum((archive / path).stat().st_size for path in Archive.open(archive).ledger().live)
    assert (found.problems, found.notes) == ((), ())
    assert (found.entries, found.files, found.bytes, found.rows, found.rows_checked) == (7, 4, size, 14, 0)
    assert found.head == head_of(archive)
    assert found.not_checked == (
        "row contents (use --deep)",
        "whether the newest entries were cut off or rewritten (use --expect-head or --signer)",
    )


def test_in_depth_every_row_is_read(archive: Path) -> None:
    found = verify_archive(archive, deep=True, expect_head=head_of(archive))
    assert (found.problems, found.rows_checked, found.not_checked) == ((), 14, ())


def test_nothing_in_the_archive_is_written_or_locked(archive: Path) -> None:
    before = {path: path.stat().st_mtime_ns for path in archive.rglob("*")}
    for path in sorted(archive.rglob("*"), reverse=True):
        path.chmod(0o500 if path.is_dir() else 0o400)
    with Writer(archive, clock=lambda: START) if os.geteuid() == 0 else open(os.devnull):  # noqa: PTH123
        assert verify_archive(archive, deep=True).problems == ()
    for path in sorted(archive.rglob("*")):
        path.chmod(0o700)
    assert {path: path.stat().st_mtime_ns for path in before if path.is_file() and path.name != ".lock"} == {
        path: time for path, time in before.items() if path.is_file() and path.name != ".lock"
    }


def test_a_copy_with_other_permissions_is_valid_and_it_is_said_once(archive: Path) -> None:
    for path in archive.rglob("*"):
        path.chmod(0o755 if path.is_dir() else 0o644)
    found = verify_archive(archive)
    assert found.problems == ()
    assert any("and 7 more: permissions are 0644, wider than 0600" in note for note in found.notes)
    assert any("permissions are 0644, wider than 0444" in note for note in found.notes)
    assert len(found.notes) <= 4


def test_an_archive_without_a_commit_is_valid(tmp_path: Path) -> None:
    with Writer(tmp_path / "archive", clock=lambda: START):
        pass
    found = verify_archive(tmp_path / "archive", deep=True)
    assert (found.problems, found.entries, found.files) == ((), 1, 0)


def test_no_archive_is_an_error_and_not_a_finding(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    (tmp_path / "empty").mkdir()
    for name in ("nowhere", "file", "empty"):
        with pytest.raises(ArchiveMissing):
            verify_archive(tmp_path / name)


def test_an_archive_of_a_later_format_is_refused(tmp_path: Path) -> None:
    (tmp_path / "archive.json").write_text('{"archive_id":"x","created_at":"","format":2}\n')
    with pytest.raises(ArchiveTooNew):
        verify_archive(tmp_path)


# The ledger


def test_an_altered_entry_is_told_by_the_one_after_it(archive: Path) -> None:
    content = entry_path(archive, 3).read_bytes()
    overwrite(entry_path(archive, 3), content.replace(b'"operation":"sync"', b'"operation":"sunc"'))
    assert said(verify_archive(archive)) == [
        "INVALID: ledger/00000004.json: the hash of the previous entry does not match"
    ]


def test_missing_entries_are_named_wherever_they_are(archive: Path) -> None:
    for seq in (1, 3, 4):
        entry_path(archive, seq).unlink()
    found = [line for line in said(verify_archive(archive)) if "ledger/" in line]
    assert found == [
        "INVALID: ledger/00000001.json: entry 1 is missing",
        "INVALID: ledger/00000003.json: entries 3 to 4 are missing",
    ]


def test_an_entry_of_another_number_or_archive_is_reported(archive: Path) -> None:
    shutil.copy(entry_path(archive, 3), entry_path(archive, 8))
    rewrite(archive, 2, archive_id="another")
    lines = said(verify_archive(archive))
    assert "INVALID: ledger/00000008.json: it says that it is entry 3" in lines
    assert any("ledger/00000002.json: it belongs to archive another, not to" in line for line in lines)


def test_foreign_files_in_the_ledger_are_reported(archive: Path) -> None:
    for name in ("3.json", "00000000.json", "00000003.json.bak", "notes.txt"):
        (archive / "ledger" / name).write_text("{}")
    lines = said(verify_archive(archive))
    assert len(lines) == 4
    assert all(line.endswith("file is not an entry of the ledger") for line in lines)


def test_a_ledger_that_is_gone_or_a_link_is_reported_with_all_that_hangs_on_it(archive: Path) -> None:
    (archive / "ledger").rename(archive.parent / "ledger")
    (archive / "ledger").symlink_to(archive.parent / "ledger")
    assert "INVALID: ledger: it is a symbolic link" in said(verify_archive(archive))


def test_archive_json_that_is_missing_or_of_another_archive_is_reported(archive: Path) -> None:
    file = archive / "archive.json"
    content = file.read_bytes()
    archive_id = json.loads(content)["archive_id"]
    file.unlink()
    found = verify_archive(archive)
    assert said(found) == ["INVALID: archive.json: file is missing"]
    assert found.archive_id == archive_id
    file.write_bytes(content.replace(archive_id.encode(), b"other"))
    assert said(verify_archive(archive)) == [
        f"INVALID: archive.json: its archive_id is other, the ledger's is {archive_id}"
    ]


@pytest.mark.parametrize(
    "path",
    ["../../etc/passwd", "/etc/passwd", "api_events/../../x", "ledger/00000001.json", ".staging/x", "api_events/.."],
)
def test_a_path_that_leads_elsewhere_is_refused_and_not_opened(archive: Path, path: str) -> None:
    entry = read_entry(archive, 2)
    record = entry.files_added[0]
    planted = seal.FileRecord(
        path=path, bytes=1, sha256=record.sha256, rows=1, first=record.first, last=record.last, events_digest=None
    )
    rewrite(archive, 2, files_added=[*entry.files_added, planted])
    (line,) = said(verify_archive(archive, deep=True))
    assert line.startswith("INVALID: ledger/00000002.json: the ledger names a file outside the archive's tables")


def test_what_an_entry_cannot_say_is_reported(archive: Path) -> None:
    record = read_entry(archive, 2).files_added[0]
    nonsense = seal.CoverageRecord(organization_id=ORGANIZATION, kind="api", region="fr-par", start="b", end="a")
    odd = seal.FileRecord(path="api_events/x.parquet", bytes=-1, sha256="", rows=0, first="", last="")
    rewrite(archive, 2, started_at="yesterday", coverage=[nonsense], files_added=[record, record, odd], run="../x")
    lines = "\n".join(said(verify_archive(archive)))
    for words in (
        "started_at or finished_at is not a time",
        "its coverage names no span of a stream",
        "a second time",
        "it gives an impossible length, row count or hash for a file: api_events/x.parquet",
        "it gives impossible times for a file: api_events/x.parquet",
        "it names a run that cannot be a folder: '../x'",
    ):
        assert words in lines


def test_a_name_that_says_other_than_the_ledger_is_reported(archive: Path) -> None:
    record = read_entry(archive, 2).files_added[0]
    changed = seal.FileRecord(
        path=record.path.replace(record.sha256[:12], "0" * 12),
        bytes=record.bytes,
        sha256=record.sha256,
        rows=record.rows,
        first=record.first,
        last=record.last,
        events_digest=record.events_digest,
    )
    (archive / record.path).rename(archive / changed.path)
    rewrite(archive, 2, files_added=[changed])
    (line,) = said(verify_archive(archive))
    assert "it gives a file times or a hash other than those in its name" in line


# Files


def test_a_changed_a_longer_and_a_missing_file_are_each_reported_in_one_line(archive: Path) -> None:
    changed, longer, missing = live(archive)
    content = bytearray((archive / changed).read_bytes())
    content[100] ^= 1
    overwrite(archive / changed, bytes(content))
    size = (archive / longer).stat().st_size
    overwrite(archive / longer, (archive / longer).read_bytes() + b"x")
    (archive / missing).unlink()
    assert sorted(said(verify_archive(archive, deep=True))) == sorted(
        [
            f"INVALID: {changed}: hash value does not match",
            f"INVALID: {longer}: length is {size + 1} bytes, the ledger says {size}",
            f"INVALID: {missing}: file is missing",
        ]
    )


def test_everything_that_does_not_belong_is_reported(archive: Path) -> None:
    file = live(archive)[0]
    folder = file.rpartition("/")[0]
    (archive / folder / "copy.parquet").write_bytes(b"")
    (archive / "api_events" / "evil").mkdir()
    (archive / "api_events" / "worse").mkdir()
    (archive / "api_events" / "worse" / "x.parquet").write_bytes(b"")
    (archive / "requests").symlink_to(archive.parent)
    (archive / "system_events").write_bytes(b"")
    (archive / "x.parquet").write_bytes(b"")
    (archive / "more_events").mkdir()
    assert sorted(said(verify_archive(archive))) == sorted(
        [
            f"INVALID: {folder}/copy.parquet: file is not in the ledger",
            "INVALID: api_events/evil: folder is not in the ledger",
            "INVALID: api_events/worse/x.parquet: file is not in the ledger",
            "INVALID: requests: it is a symbolic link",
            "INVALID: system_events: it is not a folder",
            "INVALID: x.parquet: file is not in the ledger",
            "INVALID: more_events: folder is not in the ledger",
        ]
    )


def test_what_file_systems_and_repairs_leave_at_the_top_is_a_note(archive: Path) -> None:
    for name in (".DS_Store", "lost+found", "set-aside", ".cache"):
        (archive / name).mkdir(exist_ok=True)
    found = verify_archive(archive)
    assert found.problems == ()
    assert len(found.notes) == 3


def test_a_removed_file_that_is_still_there_is_reported_with_its_entry(archive: Path) -> None:
    (path,) = {record.path for record in read_entry(archive, 5).files_added} - set(live(archive, "authentication"))
    (archive / path).write_bytes(b"")
    assert said(verify_archive(archive)) == [f"INVALID: {path}: file was removed by entry 7, and is still there"]


def test_a_link_in_a_files_place_is_reported_even_where_it_leads_to_the_same_bytes(archive: Path) -> None:
    path = live(archive)[0]
    (archive / path).rename(archive.parent / "same")
    (archive / path).symlink_to(archive.parent / "same")
    assert said(verify_archive(archive)) == [f"INVALID: {path}: it is a symbolic link"]


def test_a_link_in_a_folders_place_is_reported_and_not_followed(archive: Path) -> None:
    folder = archive / "api_events" / f"organization_id={ORGANIZATION}"
    folder.rename(archive.parent / "moved")
    folder.symlink_to(archive.parent / "moved")
    lines = said(verify_archive(archive, deep=True))
    assert f"INVALID: api_events/organization_id={ORGANIZATION}: it is a symbolic link" in lines
    assert len(lines) == 1 + len(live(archive))


def test_a_pipe_in_a_files_place_holds_nobody_up(archive: Path) -> None:
    path = live(archive)[0]
    (archive / path).unlink()
    os.mkfifo(archive / path)
    os.mkfifo(archive / "ledger" / "00000008.json")
    lines = said(verify_archive(archive, deep=True))
    assert f"INVALID: {path}: it is not a regular file" in lines
    assert "INVALID: ledger/00000008.json: it is not a regular file" in lines


def test_only_files_that_touch_the_span_are_read_and_the_rest_is_said(archive: Path) -> None:
    first, second, third = live(archive)
    for path in (first, third):
        overwrite(archive / path, b"")
    at = START + timedelta(hours=1)
    found = verify_archive(archive, span=Span(at, at + timedelta(hours=1)))
    assert said(found) == []
    assert found.files == 1
    assert "3 files outside the span that was asked for" in found.not_checked
    assert second in live(archive)


def test_a_span_may_be_open_on_either_side() -> None:
    assert open_span(None, None) is None
    after = open_span(START, None)
    before = open_span(None, START)
    assert after is not None
    assert before is not None
    assert START in after
    assert START not in before


# Commits that were interrupted, and commits meanwhile


class DyingDisk(Disk):
    """Fails once at the first call of one operation that concerns a segment."""

    def __init__(self, operation: str) -> None:
        self.operation = operation

    def rename(self, source: Path, target: Path) -> None:
        if self.operation == "rename":
            raise OSError(5, "gone")
        super().rename(source, target)

    def unlink(self, path: Path) -> None:
        if self.operation == "unlink" and path.suffix == ".parquet":
            raise OSError(5, "gone")
        super().unlink(path)


def interrupted(archive: Path, operation: str, removed: list[str]) -> None:
    raws = [to_bytes(an_event(number, START)) for number in (1, 2, 3, 4)]
    with Writer(archive, clock=lambda: START, disk=DyingDisk(operation)) as writer, pytest.raises(StoreError):
        writer.commit(Commit(operation="compact", started_at=START, added=[new_rows("api", raws)], removed=removed))


def test_a_committed_file_that_is_still_staged_is_found_there_and_said(archive: Path) -> None:
    interrupted(archive, "rename", [])
    found = verify_archive(archive)
    assert found.problems == ()
    assert found.files == 5
    assert any("committed, and still in .staging" in note for note in found.notes)
    staged = next((archive / ".staging").rglob("*.parquet"))
    overwrite(staged, staged.read_bytes() + b"x")
    assert len(verify_archive(archive).problems) == 1


def test_a_file_that_an_interrupted_commit_has_yet_to_delete_is_no_problem(archive: Path) -> None:
    path = live(archive)[0]
    interrupted(archive, "unlink", [path])
    found = verify_archive(archive)
    assert found.problems == ()
    assert any("removed by an entry whose run was interrupted" in note for note in found.notes)


def test_staging_that_never_counted_is_a_note(archive: Path) -> None:
    (archive / ".staging" / "00000008-run").mkdir()
    (archive / ".staging" / "00000008-run" / "0000-x.parquet").write_bytes(b"torn")
    found = verify_archive(archive)
    assert found.problems == ()
    assert len(found.notes) == 1


def test_a_stranger_in_a_commits_staging_folder_is_reported(archive: Path) -> None:
    run = read_entry(archive, 2).run
    folder = archive / ".staging" / f"00000002-{run}"
    folder.mkdir(mode=0o700)
    name = live(archive)[0].rpartition("/")[2]
    (folder / f"0000-{name}").write_bytes(b"planted")
    (folder / "other").write_bytes(b"")
    lines = said(verify_archive(archive))
    assert len(lines) == 2
    assert f"INVALID: .staging/00000002-{run}/other: file is not in the ledger" in lines


class Meanwhile:
    """A listener that does something to the archive when hashing begins."""

    def __init__(self, action: Callable[[], object]) -> None:
        self.action = action
        self.steps: list[str] = []
        self.done = 0

    def begin(self, step: str, _total: int) -> None:
        if not self.steps:
            self.action()
        self.steps.append(step)

    def advance(self, count: int) -> None:
        self.done += count


def test_a_compaction_meanwhile_is_no_problem(archive: Path) -> None:
    old = live(archive)[0]
    raws = [to_bytes(an_event(number, START + timedelta(minutes=number))) for number in (1, 2, 3, 4)]

    def compact() -> None:
        commit(archive, [new_rows("api", raws)], operation="compact", removed=[old])
        commit(archive, [new_rows("system", [to_bytes(an_event(70, START))], region="nl-ams")])

    listener = Meanwhile(compact)
    found = verify_archive(archive, deep=True, listener=listener)
    assert found.problems == ()
    assert "1 files that a newer entry replaced meanwhile" in found.not_checked
    assert "2 entries that were committed meanwhile" in found.not_checked
    assert listener.steps == ["hashing", "reading rows"]
    assert listener.done > found.bytes
    assert verify_archive(archive, deep=True).problems == ()


def test_a_file_that_vanishes_without_an_entry_is_a_problem(archive: Path) -> None:
    old = live(archive)[0]
    found = verify_archive(archive, listener=Meanwhile((archive / old).unlink))
    assert said(found) == [f"INVALID: {old}: file is missing"]


# The expected head


def test_an_expected_head_may_be_the_newest_or_an_older_entry(archive: Path) -> None:
    old = head_of(archive)
    assert verify_archive(archive, expect_head=old).problems == ()
    commit(archive)
    found = verify_archive(archive, expect_head=old)
    assert found.problems == ()
    assert "whether entries after 7 were rewritten or cut off" in found.not_checked


def test_a_shorter_or_different_ledger_is_not_the_expected_one(archive: Path) -> None:
    head = head_of(archive)
    assert said(verify_archive(archive, expect_head=Head(seq=9, sha256=head.sha256))) == [
        "INVALID: ledger/00000009.json: entry 9 was expected and is missing: the ledger ends at entry 7"
    ]
    assert said(verify_archive(archive, expect_head=Head(seq=7, sha256="0" * 64))) == [
        "INVALID: ledger/00000007.json: hash value does not match the expected head"
    ]


def test_a_head_is_read_as_sync_prints_it(archive: Path) -> None:
    head = head_of(archive)
    assert parse_head(f" {head} \n") == head
    assert parse_head(f"{head.seq}:{head.sha256.upper()}") == head
    for text in ("", "7", "7:", "0:" + "0" * 64, "x:" + "0" * 64, "7:" + "0" * 63):
        with pytest.raises(UsageError):
            parse_head(text)


# In depth: files that the ledger vouches for, and that say something else


def forge(archive: Path, change: Callable[[pa.Table], pa.Table], **record: Any) -> str:
    """Write the first file anew with other rows, and chain the ledger so that it vouches for them."""
    old = live(archive)[0]
    rows = change(parquet.read_table(archive / old, partitioning=None))
    sink = pa.BufferOutputStream()
    parquet.write_table(rows, sink, write_page_checksum=True)
    return replace_segment(archive, old, sink.getvalue().to_pybytes(), **record)


def with_column(name: str, values: Callable[[list[Any]], list[Any]]) -> Callable[[pa.Table], pa.Table]:
    def change(rows: pa.Table) -> pa.Table:
        index = rows.schema.get_field_index(name)
        made = pa.array(values(rows[name].to_pylist()), rows.schema.field(name).type)
        return rows.set_column(index, rows.schema.field(name), made)

    return change


def first_is(value: Any) -> Callable[[list[Any]], list[Any]]:
    return lambda values: [value, *values[1:]]


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (with_column("source_ip", first_is("203.0.113.9")), "column source_ip does not agree with raw in row 1"),
        (with_column("principal_id", first_is(None)), "column principal_id does not agree with raw in row 1"),
        (with_column("resources", first_is([])), "column resources does not agree with raw in row 1"),
        (with_column("id", first_is("0")), "column id does not agree with raw in row 1"),
        (with_column("raw", first_is("{}")), "a row's raw is not an event: it has no id"),
        (with_column("raw", lambda raws: [raws[0] + " ", *raws[1:]]), "the digest of its events does not match"),
        (with_column("ledger_seq", first_is(99)), "a row says that entry 99 brought it, the file came with 2"),
        (with_column("ledger_seq", first_is(1)), "a row says that entry 1 brought it, the file came with 2"),
        (lambda rows: rows.slice(1), "row count is 3, the ledger says 4"),
        (lambda rows: rows.slice(1), "its first row is of 2026-01-31T23:02:00.000000Z, the ledger says"),
        (lambda rows: pa.concat_tables([rows, rows.slice(3)]), "row count is 5, the ledger says 4"),
        (lambda rows: rows.sort_by([("recorded_at", "descending")]), "row 2 stands before the row above it in order"),
        (lambda rows: rows.drop_columns(["source_ip"]), "its columns are not those of api_events"),
        (lambda rows: rows.append_column("x", rows["id"]), "its columns are not those of api_events"),
        (lambda rows: rows.slice(0, 0), "row count is 0, the ledger says 4"),
    ],
)
def test_rows_that_disagree_are_found_in_depth_and_only_there(
    archive: Path, change: Callable[[pa.Table], pa.Table], words: str
) -> None:
    path = forge(archive, change)
    assert verify_archive(archive).problems == ()
    found = verify_archive(archive, deep=True)
    assert {problem.path for problem in found.problems} == {path}
    assert any(words in problem.reason for problem in found.problems), said(found)


def test_another_organizations_rows_are_a_note(archive: Path) -> None:
    commit(archive, [new_rows("api", [to_bytes(an_event(800, START, organization_id="another"))])])
    found = verify_archive(archive, deep=True)
    assert found.problems == ()
    assert any("1 rows name another Organization than the path" in note for note in found.notes)


def test_another_months_rows_are_found_in_depth(archive: Path) -> None:
    sound = to_bytes(an_event(800, START))
    late = to_bytes(an_event(801, START + timedelta(days=60)))
    entry = commit(archive, [new_rows("api", [sound, late], month="2026-01")])
    path = entry.files_added[0].path
    assert verify_archive(archive).problems == ()
    assert said(verify_archive(archive, deep=True)) == [
        f"INVALID: {path}: it holds rows outside its month, 2026-01",
    ]


def test_another_regions_rows_are_a_note(archive: Path) -> None:
    commit(archive, [new_rows("api", [to_bytes(an_event(800, START))], region="nl-ams")])
    found = verify_archive(archive, deep=True)
    assert found.problems == ()
    assert any("1 rows name a locality outside its region" in note for note in found.notes)


def test_an_event_held_twice_is_found_across_files(archive: Path) -> None:
    other = live(archive)[0]
    again = to_bytes(an_event(2, START + timedelta(minutes=30)))
    entry = commit(archive, [new_rows("api", [again])])
    assert verify_archive(archive).problems == ()
    (problem,) = verify_archive(archive, deep=True).problems
    assert str(problem) == (
        f"INVALID: {entry.files_added[0].path}: event {an_event(2, START)['id']} is held 2 times, also in {other}"
    )


def test_the_same_event_in_two_streams_is_none_held_twice(archive: Path) -> None:
    commit(archive, [new_rows("api", [to_bytes(an_event(2, START))], region="pl-waw")])
    assert verify_archive(archive, deep=True).problems == ()


@pytest.mark.parametrize("at_once", [1, 2, 5, 100])
def test_repeated_ids_do_not_depend_on_how_many_fit_into_memory(archive: Path, at_once: int) -> None:
    commit(archive, [new_rows("api", [to_bytes(an_event(number, START)) for number in (2, 5, 300)])])
    files = [file for file in Archive.open(archive).ledger().live.values() if file.table == "api_events"]
    found = dict(repeated_ids(Folder(archive), files, at_once=at_once))
    assert {identifier: len(paths) for identifier, paths in found.items()} == {
        an_event(2, START)["id"]: 2,
        an_event(5, START)["id"]: 2,
    }


def test_coverage_of_the_future_is_found_in_depth(archive: Path) -> None:
    commit(archive, coverage=[coverage("api", START, START + timedelta(days=400))])
    (problem,) = verify_archive(archive, deep=True).problems
    assert "it claims to have read api fr-par up to 2027-" in problem.reason


def test_rows_of_the_other_tables_are_checked_too(archive: Path) -> None:
    from trailkeep.store import NewRows

    place = {"organization_id": ORGANIZATION, "region": "fr-par", "month": "2026-01"}
    raw = to_bytes(an_event(2, START))
    naive = START.replace(tzinfo=None)
    revision = {"kind": "api", "id": "not its id", "recorded_at": naive, "raw": raw.decode()}
    reject = {"kind": "what", "received_at": naive, "reason": "it is not UTF-8", "sha256": "0" * 64, "raw": b"\xff"}
    added = []
    for table, row in ((schema.REVISIONS, revision), (schema.QUARANTINE, reject)):
        fields = [table.arrow_schema.field(name) for name in row]
        rows = pa.Table.from_pylist([row], schema=pa.schema(fields))
        added.append(NewRows(table=table, partition=place, rows=rows))
    commit(archive, added)
    assert verify_archive(archive).problems == ()
    words = "\n".join(said(verify_archive(archive, deep=True)))
    assert "column id does not agree with raw in row 1" in words
    assert "column sha256 does not agree with raw in row 1" in words
    assert "it holds rows of a kind that there is not: 'what'" in words


def test_a_page_whose_checksum_is_wrong_is_found_though_the_ledger_vouches_for_it(archive: Path) -> None:
    old = live(archive)[0]
    sink = pa.BufferOutputStream()
    rows = parquet.read_table(archive / old, partitioning=None)
    parquet.write_table(
        rows, sink, write_page_checksum=True, compression="none", use_dictionary=False, write_statistics=False
    )
    content = bytearray(sink.getvalue().to_pybytes())
    place = content.index(b"CreateServer")
    content[place] = ord("K")
    path = replace_segment(archive, old, bytes(content))
    (problem,) = verify_archive(archive, deep=True).problems
    assert (problem.path, problem.reason[:26]) == (path, "its rows cannot be read: c")


def test_statistics_that_would_hide_rows_from_a_query_are_found(archive: Path) -> None:
    old = live(archive)[0]
    content = (archive / old).read_bytes()
    footer = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    forged = content[:footer] + content[footer:].replace(b"CreateServer", b"DeleteServer")
    path = replace_segment(archive, old, forged)
    assert said(verify_archive(archive, deep=True)) == [
        f"INVALID: {path}: its statistics of method_name would hide rows from a query"
    ]


def test_rows_of_a_table_that_is_not_known_are_hashed_and_said_not_to_be_read(archive: Path) -> None:
    record = read_entry(archive, 2).files_added[0]
    content = (archive / record.path).read_bytes()
    (archive / "weather").mkdir(mode=0o700)
    (archive / "weather" / "x.parquet").write_bytes(content)
    entry = read_entry(archive, 2)
    other = seal.FileRecord(
        path="weather/x.parquet",
        bytes=record.bytes,
        sha256=record.sha256,
        rows=record.rows,
        first=record.first,
        last=record.last,
    )
    rewrite(archive, 2, files_added=[*entry.files_added, other])
    found = verify_archive(archive, deep=True)
    assert found.problems == ()
    assert "rows of weather, which this version does not know" in found.not_checked


def test_the_same_result_comes_from_any_number_of_workers(archive: Path) -> None:
    for path in live(archive):
        overwrite(archive / path, (archive / path).read_bytes()[:-1] + b"?")
    results = [verify_archive(archive, workers=workers) for workers in (1, 2, 7)]
    assert results[0] == results[1] == results[2]
    assert len(results[0].problems) == 3


# The command


class Shell:
    """Runs the command line in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, archive: Path) -> None:
        self.capsys = capsys
        self.monkeypatch = monkeypatch
        self.archive = archive

    def __call__(self, *arguments: str) -> tuple[int, str, str]:
        self.monkeypatch.setattr(sys, "argv", ["trailkeep", "--archive", str(self.archive), *arguments])
        with pytest.raises(SystemExit) as ended:
            cli.main()
        captured = self.capsys.readouterr()
        return int(ended.value.code or 0), captured.out, captured.err


@pytest.fixture
def shell(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, archive: Path, tmp_path: Path) -> Shell:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    return Shell(capsys, monkeypatch, archive)


def test_the_command_ends_with_0_and_a_summary_on_stdout(shell: Shell) -> None:
    code, out, err = shell("verify", "--deep")
    assert (code, err) == (0, "")
    lines = [line.split(maxsplit=1) for line in out.splitlines()]
    assert [line[0] for line in lines] == ["archive", "entries", "files", "bytes", "rows", "head", "problems", "not"]
    assert str(head_of(shell.archive)) in out
    assert "not checked: whether the newest entries were cut off or rewritten" in out


def test_the_command_ends_with_5_and_a_line_for_each_problem_on_stderr(shell: Shell) -> None:
    path = live(shell.archive)[0]
    content = (shell.archive / path).read_bytes()
    overwrite(shell.archive / path, content[:-1] + bytes([content[-1] ^ 1]))
    code, out, err = shell("verify")
    assert code == 5
    assert err.splitlines()[0] == f"INVALID: {path}: hash value does not match"
    assert "1 problem\n" in err
    assert "problems  1\n" in out


def test_the_command_writes_one_json_document(shell: Shell) -> None:
    path = live(shell.archive)[0]
    (shell.archive / path).unlink()
    code, out, _err = shell("verify", "--format", "json", "--expect-head", str(head_of(shell.archive)))
    result = json.loads(out)
    assert code == 5
    assert result["valid"] is False
    assert result["problems"] == [{"path": path, "kind": "missing", "reason": "file is missing"}]
    assert result["checked"] == {"entries": 7, "files": 3, "bytes": result["checked"]["bytes"], "rows": 0}
    assert result["head"] == {"seq": 7, "sha256": head_of(shell.archive).sha256}
    assert result["not_checked"] == ["row contents (use --deep)"]


def test_the_command_ends_with_4_without_an_archive_and_with_2_for_what_it_cannot_read(shell: Shell) -> None:
    assert shell("verify", "--expect-head", "seven")[0] == 2
    assert shell("verify", "--since", "2026-02-01", "--until", "2026-01-01")[0] == 2
    assert shell("verify", "--signer", "nowhere")[0] == 2
    shell.archive = shell.archive / "nowhere"
    assert shell("verify")[0] == 4


def test_the_command_takes_a_span(shell: Shell) -> None:
    _code, out, _err = shell("verify", "--since", "2026-02-01")
    assert "files     2\n" in out
    assert "not checked: 2 files outside the span that was asked for" in out


def test_names_in_a_hostile_archive_do_not_reach_the_terminal_raw(shell: Shell) -> None:
    (shell.archive / "api_events" / "\x1b[2Jx\n.parquet").write_bytes(b"")
    code, _out, err = shell("verify")
    assert code == 5
    assert "\x1b" not in err
    assert len(err.splitlines()) == 3
