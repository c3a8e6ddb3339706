"""What a merge holds in memory does not grow with the month: few files are read at once, row groups stay short."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from random import Random

import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from archives import NOW
from faulty_disk import UnsyncedDisk
from test_compaction import PARTITION, START, TABLE, archive_of, held, new_rows
from trailkeep import seal
from trailkeep.errors import ArchiveDamaged
from trailkeep.store import Archive, Commit, Writer
from trailkeep.store.merging import Merge
from trailkeep.store.sources import Source, most_at_once
from trailkeep.timespan import format_time


def sources_of(archive: Archive) -> tuple[Source, ...]:
    return tuple(Source(path=archive.locate(file), record=file.record) for file in archive.ledger().files(TABLE.name))


def overlapping(path: Path, files: int) -> Archive:
    """Files whose rows lie among each other's, as those of a first sync do."""
    rng = Random(files)
    return archive_of(path, [new_rows([rng.randrange(10**6) for _ in range(50)], f"f{n}") for n in range(files)])


def staged(merge: Merge, folder: Path) -> list[seal.FileRecord]:
    folder.mkdir(mode=0o700)
    return merge.write(UnsyncedDisk(), folder, 0)


@pytest.mark.parametrize("most_open", [2, 3, 8])
def test_more_overlapping_files_than_are_read_at_once_become_the_same_file(tmp_path: Path, most_open: int) -> None:
    archive = overlapping(tmp_path / "data", 19)
    sources = sources_of(archive)
    assert most_at_once(sources) > most_open
    merge = Merge(table=TABLE, partition=PARTITION, sources=sources, most_open=most_open)
    records = staged(merge, tmp_path / "in turns")
    assert records == staged(Merge(table=TABLE, partition=PARTITION, sources=sources), tmp_path / "at once")
    assert len([*(tmp_path / "in turns").iterdir()]) == len(records) == 1


def test_they_are_committed_with_nothing_left_over(tmp_path: Path) -> None:
    archive = overlapping(tmp_path / "data", 9)
    before = held(archive)
    sources = sources_of(archive)
    merge = Merge(table=TABLE, partition=PARTITION, sources=sources, most_open=2)
    removed = [source.record.path for source in sources]
    with Writer(archive.path, clock=lambda: NOW) as writer:
        writer.commit(Commit(operation="compact", started_at=NOW, added=[merge], removed=removed))
    assert held(archive) == before
    assert not [*(archive.path / ".staging").iterdir()]


def test_files_full_of_one_moment_are_merged_all_the_same(tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "data", [new_rows([5] * 40, f"f{number}") for number in range(6)])
    merge = Merge(table=TABLE, partition=PARTITION, sources=sources_of(archive), most_open=2, most_bytes=1)
    records = staged(merge, tmp_path / "merged")
    assert sum(record.rows for record in records) == 240


def test_a_source_that_is_damaged_is_named_in_any_turn(tmp_path: Path) -> None:
    archive = overlapping(tmp_path / "data", 7)
    sources = sources_of(archive)
    damaged = tmp_path / "damaged"
    shutil.copy(sources[5].path, damaged)
    damaged.chmod(0o600)
    content = bytearray(damaged.read_bytes())
    content[len(content) // 2] ^= 1
    damaged.write_bytes(content)
    wrong = (*sources[:5], Source(path=damaged, record=sources[5].record), sources[6])
    with pytest.raises(ArchiveDamaged, match="is not what the ledger says"):
        staged(Merge(table=TABLE, partition=PARTITION, sources=wrong, most_open=2), tmp_path / "merged")


def test_a_row_group_of_long_events_has_fewer_rows(tmp_path: Path) -> None:
    archive = overlapping(tmp_path / "data", 4)
    merge = Merge(table=TABLE, partition=PARTITION, sources=sources_of(archive), group_bytes=4000)
    [record] = staged(merge, tmp_path / "merged")
    [path] = (tmp_path / "merged").iterdir()
    with pq.ParquetFile(path) as file:
        groups = [file.metadata.row_group(number).num_rows for number in range(file.num_row_groups)]
        assert file.read().column("raw").to_pylist() == [row["raw"] for row in held(archive)]
    assert len(groups) > 1
    assert sum(groups) == record.rows == 200


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 20)), max_size=12))
def test_how_many_files_overlap_is_counted_at_each_moment(spans: list[tuple[int, int]]) -> None:
    spans = [(min(pair), max(pair)) for pair in spans]
    sources = [Source(path=Path(), record=record_of(*pair)) for pair in spans]
    assert most_at_once(sources) == max(
        (sum(first <= at <= last for first, last in spans) for at in range(21)), default=0
    )


def record_of(first: int, last: int) -> seal.FileRecord:
    first_at, last_at = (format_time(START + timedelta(seconds=each)) for each in (first, last))
    return seal.FileRecord(path="", bytes=1, sha256="", rows=1, first=first_at, last=last_at, events_digest=None)


@given(st.lists(st.binary(min_size=32, max_size=32), max_size=60), st.integers(0, 60))
def test_digests_kept_by_their_first_byte_add_up_to_the_same(digests: list[bytes], at: int) -> None:
    together = seal.EventDigests()
    together.add(digests[:at])
    together.add(iter(digests[at:]))
    assert together.hexdigest() == seal.events_digest(digests)


@pytest.mark.parametrize(("rows", "groups"), [(4095, [4095]), (4096, [3072, 1024]), (17_500, [16_384, 1116])])
def test_the_last_row_group_is_short_where_that_is_worth_it(tmp_path: Path, rows: int, groups: list[int]) -> None:
    archive = archive_of(tmp_path / "data", [new_rows([*range(rows - 10)], "a"), new_rows([*range(10)], "b")])
    [record] = staged(Merge(table=TABLE, partition=PARTITION, sources=sources_of(archive)), tmp_path / "merged")
    [path] = (tmp_path / "merged").iterdir()
    metadata = pq.read_metadata(path)
    assert [metadata.row_group(number).num_rows for number in range(metadata.num_row_groups)] == groups
    assert record.rows == rows
