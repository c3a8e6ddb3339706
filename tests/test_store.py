"""The store: what readers see while it is written, what it refuses, and what a hostile archive cannot do."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import msgspec
import pyarrow.parquet as pq
import pytest

from archives import NOW, empty_archive
from faulty_disk import FaultyDisk, UnsyncedDisk
from test_crash import RUN, SCENARIOS, TABLE, Bench, add, assert_clean, compact, content_of, new_rows
from trailkeep import seal
from trailkeep.errors import ArchiveDamaged, ArchiveMissing, ArchiveTooNew, StoreError
from trailkeep.store import Archive, Commit, NewRows, Writer, read_segment
from trailkeep.timespan import Span

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """An archive with two commits."""
    SCENARIOS[1].run(tmp_path / "data", UnsyncedDisk(), upto=2)
    return tmp_path / "data"


def open_writer(path: Path, disk: UnsyncedDisk | None = None) -> Writer:
    return Writer(path, clock=lambda: NOW, disk=disk or UnsyncedDisk(), run=RUN)


# Readers


def test_a_reader_sees_the_old_or_the_new_state_at_every_operation_of_a_writer(tmp_path: Path) -> None:
    bench = Bench(SCENARIOS[1], tmp_path)
    disk = bench.world()
    path = disk.base / "data"
    seen: list[int] = []

    def read(_operation: str) -> None:
        head = Archive.open(path).ledger().head
        assert head
        assert content_of(path) == bench.states[head.seq - 1]
        seen.append(head.seq - 1)

    disk.before = read
    bench.scenario.run(path, disk)
    read("at last")
    assert seen == sorted(seen)
    assert set(seen) == {1, 2, 3}
    commit_points = [index for index, each in enumerate(disk.operations) if each.startswith("link data/ledger/")]
    assert [seen[index] for index in commit_points] == [1, 2]
    assert [seen[index + 1] for index in commit_points] == [2, 3]


def test_readers_in_other_threads_see_whole_states_while_files_come_and_go(tmp_path: Path) -> None:
    path = tmp_path / "data"
    commits = 12
    with open_writer(path) as writer:
        add(0, 1)(writer)
        failures: list[BaseException] = []
        counts: set[int] = set()
        done = threading.Event()

        def read() -> None:
            archive = Archive.open(path)

            def rows(ledger: Any) -> int:
                files = [(file, archive.locate(file)) for file in ledger.live.values()]
                return sum(read_segment(place, ["id"]).num_rows for _file, place in files)

            try:
                while not done.is_set():
                    counts.add(archive.read_consistently(rows))
            except BaseException as error:  # noqa: BLE001 - told by the test
                failures.append(error)

        readers = [threading.Thread(target=read) for _ in range(2)]
        for reader in readers:
            reader.start()
        for number in range(2, commits):
            add(number, number)(writer)
            compact(writer)
        done.set()
        for reader in readers:
            reader.join()
    assert failures == []
    assert counts <= {6 * number for number in range(1, commits)}


def test_damage_is_told_however_often_it_is_read(path: Path) -> None:
    archive = Archive.open(path)
    file = next(iter(archive.ledger().live.values()))
    (path / file.record.path).unlink()
    with pytest.raises(ArchiveDamaged, match="in the ledger but not on the disk"):
        archive.read_consistently(lambda ledger: [archive.locate(each) for each in ledger.live.values()])


def test_an_archive_may_be_moved_and_read_without_its_lock_staging_and_cache(path: Path, tmp_path: Path) -> None:
    content = content_of(path)
    path.rename(tmp_path / "moved")
    (tmp_path / "moved/.lock").unlink()
    (tmp_path / "moved/.staging").rmdir()
    assert content_of(tmp_path / "moved") == content


# Writers


def test_a_commit_that_no_reader_would_accept_is_refused_before_its_commit_point(path: Path) -> None:
    before = content_of(path)
    with open_writer(path) as writer:
        live = next(iter(writer.ledger.live))
        twice = [new_rows(5, 5, "fr-par"), new_rows(5, 5, "fr-par")]
        for refused in (
            Commit(operation="compact", started_at=NOW, removed=["revisions/none.parquet"]),
            Commit(operation="compact", started_at=NOW, removed=[live, live]),
            Commit(operation="sync", started_at=NOW, added=twice),
        ):
            with pytest.raises(ArchiveDamaged):
                writer.commit(refused)
        assert content_of(path) == before
        add(2, 3)(writer)
    assert_clean(path)


def test_a_file_that_is_replaced_by_an_identical_one_stays(path: Path) -> None:
    before = content_of(path)
    with open_writer(path) as writer:
        file = next(writer.ledger.files(TABLE.name))
        rows = pq.read_table(path / file.record.path, partitioning=None)
        same = [NewRows(table=TABLE, partition=file.partition, rows=rows)]
        writer.commit(Commit(operation="compact", started_at=NOW, added=same, removed=[file.record.path]))
    assert content_of(path) == before
    assert_clean(path)


def test_rows_that_move_keep_the_entry_that_brought_them(path: Path) -> None:
    with open_writer(path) as writer:
        compact(writer)
        (file,) = writer.ledger.files(TABLE.name, region="fr-par")
    rows = pq.read_table(path / file.record.path, partitioning=None)
    assert rows["ledger_seq"].to_pylist() == [2, 2, 2, 3, 3, 3]
    assert file.seq == 4


@pytest.mark.parametrize("happened", [KeyboardInterrupt(), FileExistsError("told twice, as NFS may")])
def test_an_interruption_right_behind_the_commit_point_throws_nothing_away(path: Path, happened: BaseException) -> None:
    class Interrupted(UnsyncedDisk):
        def link(self, source: Path, target: Path) -> None:
            super().link(source, target)
            raise happened

    disk = Interrupted()
    with open_writer(path, disk) as writer:
        if isinstance(happened, OSError):
            add(2, 3)(writer)
        else:
            with pytest.raises(type(happened)):
                add(2, 3)(writer)
    assert sum(len(rows) for rows in content_of(path).values()) == 18
    with open_writer(path) as writer:
        assert writer.next_seq == 5
    assert_clean(path)


def test_a_writer_that_could_not_finish_does_so_before_its_next_commit(path: Path) -> None:
    """The staging folder of the committed entry holds the only copy of its rows."""
    disk = FaultyDisk(path.parent)
    disk.fail_with = 5
    with Writer(path, clock=lambda: NOW, disk=disk, run=RUN) as writer:
        disk.before = lambda each: setattr(
            disk, "fail_at", len(disk.operations) if each == "fsync folder data/ledger" else 0
        )
        with pytest.raises(StoreError, match="entry 4 is committed"):
            add(2, 3)(writer)
        disk.before = None
        disk.fail_at = None
        assert list((path / ".staging").iterdir()) != []
        add(3, 4)(writer)
        assert writer.next_seq == 6
    assert sum(len(rows) for rows in content_of(path).values()) == 24
    assert_clean(path)


def test_a_staging_folder_that_comes_back_does_not_bring_back_removed_files(path: Path, tmp_path: Path) -> None:
    """Its removal was not durable; meanwhile a compaction has replaced what it holds."""
    ledger = Archive.open(path).ledger()
    staging = path / ".staging" / f"{3:08d}-{RUN}"
    with open_writer(path) as writer:
        compact(writer)
    after = content_of(path)
    staging.mkdir()
    for index, record in enumerate(ledger.entries[2].files_added):
        (staging / f"{index:04d}-{record.path.rpartition('/')[2]}").write_bytes(b"old")
    with open_writer(path) as writer:
        assert [left.seq for left in writer.recovered] == [3]
    assert content_of(path) == after
    assert_clean(path)


def test_a_lost_ledger_is_never_begun_anew(path: Path) -> None:
    for entry in (path / "ledger").iterdir():
        entry.unlink()
    (path / "ledger").rmdir()
    with pytest.raises(ArchiveDamaged, match="no ledger"):
        Archive.open(path).ledger()
    with pytest.raises(ArchiveDamaged, match="no ledger"), open_writer(path):
        pass


# archive.json and entries that are not what they should be


@pytest.mark.parametrize(
    ("content", "expected", "said"),
    [
        (b"", ArchiveDamaged, "not an archive's description"),
        (b"\xff\xfe", ArchiveDamaged, "not an archive's description"),
        (b"[" * 100_000, ArchiveDamaged, "not an archive's description"),
        (b'{"format": 1}', ArchiveDamaged, "no archive_id"),
        (b'{"format": "1", "archive_id": "x"}', ArchiveDamaged, "not an archive's description"),
        (b'{"format": 2, "archive_id": {"of": "the future"}}', ArchiveTooNew, "format 2"),
    ],
)
def test_an_archive_json_that_is_none_is_named(path: Path, content: bytes, expected: type, said: str) -> None:
    (path / "archive.json").write_bytes(content)
    with pytest.raises(expected, match=said):
        Archive.open(path)
    with pytest.raises(expected, match=said), open_writer(path):
        pass
    assert (path / "archive.json").read_bytes() == content


def test_a_missing_archive_json_is_not_made_again(path: Path) -> None:
    (path / "archive.json").unlink()
    for attempt in (Archive.open, Archive.exists, lambda path: open_writer(path).__enter__()):
        with pytest.raises(ArchiveDamaged, match=r"has a ledger but no archive\.json"):
            attempt(path)


def test_a_folder_with_other_things_does_not_become_an_archive(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(ArchiveMissing, match=r"thesis\.txt"), open_writer(tmp_path):
        pass
    assert [each.name for each in tmp_path.iterdir()] == ["thesis.txt"]


@pytest.mark.parametrize(
    "content", [b"", b"{}", b"null", b"\x00" * 512, b"[" * 100_000, b'{"format": 1, "seq": 2}', b"\xc3("]
)
def test_a_ledger_entry_that_is_none_is_named_with_its_file(path: Path, content: bytes) -> None:
    (path / "ledger/00000002.json").write_bytes(content)
    with pytest.raises(ArchiveDamaged, match=r"00000002\.json") as info:
        Archive.open(path).ledger()
    assert info.value.hint


def test_a_ledger_entry_that_is_missing_before_others_is_named(path: Path) -> None:
    (path / "ledger/00000002.json").unlink()
    with pytest.raises(ArchiveDamaged, match=r"ledger entry 2 is missing from .* which goes on to 3"):
        Archive.open(path).ledger()


def test_an_entry_of_a_later_format_is_refused_not_guessed_at(path: Path) -> None:
    (path / "ledger/00000003.json").write_bytes(b'{"format": 2, "seq": "three"}')
    with pytest.raises(ArchiveTooNew):
        Archive.open(path).ledger()


def test_other_files_in_the_ledger_folder_are_no_entries(path: Path) -> None:
    for name in ("00000004.json.sig", "4.json", "000000004.json", "٠٠٠٠٠٠٠٤.json", "notes.txt"):
        (path / "ledger" / name).write_text("x")
    assert Archive.open(path).ledger().head.seq == 3  # type: ignore[union-attr]


# An archive made by a stranger


def forge(path: Path, **changes: Any) -> None:
    """Add an entry that continues the chain and says anything at all."""
    ledger = Archive.open(path).ledger()
    last = ledger.entries[-1]
    entry = msgspec.structs.replace(
        last, seq=last.seq + 1, previous=str(ledger.head).partition(":")[2], files_added=[], coverage=[], **changes
    )
    (path / f"ledger/{entry.seq:08d}.json").write_bytes(seal.encode_entry(entry))


def a_record(path: str, **changes: Any) -> seal.FileRecord:
    time = "2026-01-01T00:00:00.000000Z"
    record = seal.FileRecord(path=path, bytes=1, sha256="0" * 64, rows=1, first=time, last=time)
    return msgspec.structs.replace(record, **changes)


HOSTILE_PATHS = [
    "../outside.parquet",
    "/etc/passwd",
    "api_events/../../outside.parquet",
    "api_events/..",
    "api_events/.",
    "api_events/.hidden",
    "api_events//x.parquet",
    "api_events/x.parquet/",
    "api_events/./x.parquet",
    "api_events/x\x00.parquet",
    "api_events/x\n.parquet",
    "api_events/*.parquet",
    "api_events/${HOME}.parquet",
    "api_events\\x.parquet",
    "api_events/\u202ex.parquet",
    "archive.json",
    ".staging/x.parquet",
    ".lock",
    "ledger/00000001.json",
    "ledger/x/00000001.json",
    "set-aside/x.parquet",
    "",
]


@pytest.mark.parametrize("hostile", HOSTILE_PATHS)
def test_a_path_that_leads_elsewhere_is_refused(path: Path, hostile: str) -> None:
    ledger = Archive.open(path).ledger()
    entry = msgspec.structs.replace(
        ledger.entries[-1], seq=4, previous=str(ledger.head).partition(":")[2], files_added=[a_record(hostile)]
    )
    (path / "ledger/00000004.json").write_bytes(seal.encode_entry(entry))
    with pytest.raises(ArchiveDamaged, match=r"00000004\.json: .*outside the archive's tables"):
        Archive.open(path).ledger()


@pytest.mark.parametrize("run", ["../../outside", "/outside", "..", "a/b", "", "x\n"])
def test_a_run_that_leads_elsewhere_is_refused(path: Path, run: str) -> None:
    forge(path, run=run)
    with pytest.raises(ArchiveDamaged, match="names a run that cannot be a folder"):
        Archive.open(path).ledger()


@pytest.mark.parametrize(
    "changes",
    [
        {"finished_at": "yesterday"},
        {"started_at": "2026-13-01T00:00:00.000000Z"},
        {"unreadable": [seal.CoverageRecord(organization_id="o", kind="api", region="r", start="x", end="y")]},
        {
            "purged": [
                seal.CoverageRecord(
                    organization_id="o",
                    kind="api",
                    region="r",
                    start="2026-01-02T00:00:00.000000Z",
                    end="2026-01-01T00:00:00.000000Z",
                )
            ]
        },
    ],
)
def test_a_time_that_cannot_be_is_damage_and_no_surprise_to_readers(path: Path, changes: dict[str, Any]) -> None:
    forge(path, **changes)
    with pytest.raises(ArchiveDamaged, match=r"00000004\.json: ledger entry 4 names a time that cannot be"):
        Archive.open(path).ledger()


def test_nothing_outside_is_touched_through_symbolic_links(path: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    (outside / "deep").mkdir(parents=True)
    (outside / "deep/precious").write_text("mine")
    (outside / "precious").write_text("mine")
    (path / ".staging/00000009-x").symlink_to(outside)
    (path / ".staging/00000008-y").mkdir()
    (path / ".staging/00000008-y/link").symlink_to(outside)
    (path / f".staging/{2:08d}-{RUN}").symlink_to(outside)
    with open_writer(path):
        pass
    assert (outside / "precious").read_text() == (outside / "deep/precious").read_text() == "mine"
    assert_clean(path)

    region = next((path / "revisions").glob("*/region=fr-par"))
    region.rename(tmp_path / "moved")
    region.symlink_to(tmp_path / "moved")
    with pytest.raises(ArchiveDamaged, match="symbolic link"), open_writer(path) as writer:
        add(2, 3)(writer)


@pytest.mark.parametrize("name", [".staging", "ledger"])
def test_a_folder_of_the_store_that_is_a_symbolic_link_is_refused(path: Path, tmp_path: Path, name: str) -> None:
    (path / name).rename(tmp_path / "elsewhere")
    (path / name).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ArchiveDamaged, match="symbolic link"), open_writer(path):
        pass


def test_a_lock_that_is_a_symbolic_link_overwrites_nothing(path: Path, tmp_path: Path) -> None:
    (tmp_path / "precious").write_text("mine")
    (path / ".lock").unlink()
    (path / ".lock").symlink_to(tmp_path / "precious")
    with pytest.raises(StoreError), open_writer(path):
        pass
    assert (tmp_path / "precious").read_text() == "mine"


# The rest of what the store promises


def test_the_first_entry_and_every_other_say_who_wrote_them(tmp_path: Path) -> None:
    archive = empty_archive(tmp_path / "data")
    (entry,) = archive.ledger().entries
    assert (entry.seq, entry.operation, entry.previous) == (1, "init", None)
    assert entry.tool.keys() == {"trailkeep", "python", "duckdb", "pyarrow"}
    assert entry.host
    assert entry.os_user
    described = json.loads((tmp_path / "data/archive.json").read_text())
    assert described["archive_id"] == entry.archive_id


def test_files_are_found_by_table_partition_and_time(path: Path) -> None:
    ledger = Archive.open(path).ledger()
    assert len(list(ledger.files(TABLE.name))) == 4
    assert len(list(ledger.files(TABLE.name, region="nl-ams"))) == 2
    file = next(ledger.files(TABLE.name, region="nl-ams"))
    moment = file.last + timedelta(microseconds=1)
    assert file.touches(Span(file.last, moment))
    assert not file.touches(Span(moment, moment + timedelta(microseconds=1)))
    assert not file.touches(Span(file.first - timedelta(microseconds=1), file.first))
