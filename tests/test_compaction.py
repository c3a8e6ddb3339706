"""Compaction: the same rows in fewer files, proven, within bounds, and never at the price of evidence."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime, timedelta
from random import Random
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec import structs

from archives import NOW, ORGANIZATION, Archives, rows_of
from demo_archive import run
from trailkeep import Archive as Opened
from trailkeep import schema, seal
from trailkeep.catalog import Limits
from trailkeep.errors import ArchiveDamaged, StoreError
from trailkeep.seal import FileRecord
from trailkeep.store import Archive, Commit, Ledger, NewRows, Writer
from trailkeep.store.compaction import CLOSED_AFTER, EARLIER, FAN_IN, compact, plan_compaction
from trailkeep.store.merging import Merge
from trailkeep.store.purge import plan_purge, purge
from trailkeep.store.readers import Hold
from trailkeep.store.sources import Source
from trailkeep.timespan import format_time
from trailkeep.verify import verify_archive

if TYPE_CHECKING:
    from pathlib import Path

TABLE = schema.REVISIONS
PARTITION = {"organization_id": ORGANIZATION, "region": "fr-par", "month": "2026-01"}
VALUES = {
    "string": "text",
    "int64": 1,
    "int32": 1,
    "timestamp[us]": datetime(2026, 1, 10, tzinfo=UTC).replace(tzinfo=None),
    "bool": True,
}
START = datetime(2026, 1, 10, tzinfo=UTC)


def new_rows(moments: list[int], name: str, partition: dict[str, str] = PARTITION) -> NewRows:
    """A row for each moment, in microseconds after the start; equal moments are told apart by their ids."""
    rows = [
        {
            "kind": "api",
            "id": f"{name}-{number}",
            "recorded_at": (START + timedelta(microseconds=moment)).replace(tzinfo=None),
            "raw": json.dumps(
                {"id": f"{name}-{number}", "recorded_at": format_time(START + timedelta(microseconds=moment))}
            ),
        }
        for number, moment in enumerate(sorted(moments))
    ]
    return NewRows(table=TABLE, partition=partition, rows=rows_of(TABLE, rows))


def archive_of(path: Path, files: list[NewRows]) -> Archive:
    with Writer(path, clock=lambda: NOW) as writer:
        for new in files:
            writer.commit(Commit(operation="sync", started_at=NOW, added=[new]))
    return Archive.open(path)


def held(archive: Archive) -> list[dict[str, Any]]:
    ledger = archive.ledger()
    tables = [pq.read_table(archive.locate(file), partitioning=None) for file in ledger.files(TABLE.name)]
    return sorted(
        (row for table in tables for row in table.to_pylist()), key=lambda row: (row["recorded_at"], row["id"])
    )


def merge_all(archive: Archive) -> list[seal.Entry]:
    with Writer(archive.path, clock=lambda: NOW) as writer:
        return compact(writer, plan_compaction(writer.ledger, NOW, everything=True), started_at=NOW)


class TestRows:
    # Few different moments make ties at every edge; many rows at one moment are more than is read at once.
    @settings(max_examples=12, deadline=None)
    @given(
        st.lists(
            st.one_of(
                st.lists(st.integers(0, 12), min_size=1, max_size=40),
                st.tuples(st.integers(0, 12), st.integers(1, 5000)).map(lambda pair: [pair[0]] * pair[1]),
                st.tuples(st.integers(0, 9), st.integers(1, 6000)).map(lambda pair: [*range(pair[0], sum(pair))]),
            ),
            min_size=2,
            max_size=6,
        )
    )
    def test_they_are_the_same_in_order_and_keep_who_brought_them(
        self, tmp_path_factory: pytest.TempPathFactory, files: list[list[int]]
    ) -> None:
        path = tmp_path_factory.mktemp("merging") / "data"
        archive = archive_of(path, [new_rows(moments, f"f{number}") for number, moments in enumerate(files)])
        before = held(archive)
        (entry,) = merge_all(archive)
        assert held(archive) == before
        (record,) = entry.files_added
        merged = pq.read_table(path / record.path, partitioning=None)
        assert merged.column("raw").to_pylist() == [row["raw"] for row in before]
        assert record.rows == len(before)
        assert len(entry.files_removed) == len(files)
        assert verify_archive(path, deep=True).problems == ()

    def test_a_file_ends_where_it_is_large_enough(self, tmp_path: Path) -> None:
        rng = Random(1)
        files = [new_rows([rng.randrange(10**6) for _ in range(14_000)], f"f{number}") for number in range(5)]
        archive = archive_of(tmp_path / "data", files)
        before = held(archive)
        ledger = archive.ledger()
        sources = tuple(Source(path=archive.locate(file), record=file.record) for file in ledger.files(TABLE.name))
        merge = Merge(table=TABLE, partition=PARTITION, sources=sources, most_bytes=1)
        with Writer(archive.path, clock=lambda: NOW) as writer:
            removed = [source.record.path for source in sources]
            entry = writer.commit(Commit(operation="compact", started_at=NOW, added=[merge], removed=removed))
        assert [record.rows for record in entry.files_added] == [16_384] * 4 + [4_464]
        assert all(one.last <= two.first for one, two in zip(entry.files_added, entry.files_added[1:], strict=False))
        assert held(archive) == before
        assert verify_archive(archive.path, deep=True).problems == ()

    def test_several_small_groups_make_one_entry(self, tmp_path: Path) -> None:
        others = PARTITION | {"region": "nl-ams"}
        files = [
            new_rows([number], f"f{number}", partition) for number in range(3) for partition in (PARTITION, others)
        ]
        archive = archive_of(tmp_path / "data", files)
        (entry,) = merge_all(archive)
        assert len(entry.files_added) == 2
        assert entry.counters == {"files_merged": 6, "rows_merged": 6, "bytes_merged": entry.counters["bytes_merged"]}
        assert verify_archive(archive.path, deep=True).problems == ()

    def test_the_requests_and_what_has_no_raw_are_merged_as_well(self, tmp_path: Path) -> None:
        table = schema.REQUESTS
        rows = [
            {
                **{
                    field.name: VALUES.get(str(field.type))
                    for field in table.arrow_schema
                    if field.name != "ledger_seq"
                },
                "received_at": (START + timedelta(seconds=number)).replace(tzinfo=None),
                "kind": "api",
                "region": "fr-par",
                "page": number,
            }
            for number in range(3)
        ]
        files = [NewRows(table=table, partition={"month": "2026-01"}, rows=rows_of(table, [row])) for row in rows]
        archive = archive_of(tmp_path / "data", files)
        (entry,) = merge_all(archive)
        assert [record.rows for record in entry.files_added] == [3]


class TestEvidence:
    def files(self) -> list[NewRows]:
        return [new_rows([number, number + 5], f"f{number}") for number in range(3)]

    @pytest.mark.parametrize("change", ["flip", "cut", "gone"])
    def test_a_source_that_is_not_what_the_ledger_says_is_not_merged(self, tmp_path: Path, change: str) -> None:
        archive = archive_of(tmp_path / "data", self.files())
        files = sorted(archive.ledger().live)
        victim = archive.path / files[1]
        victim.chmod(0o600)
        content = victim.read_bytes()
        if change == "gone":
            victim.unlink()
        else:
            victim.write_bytes(content[:-1] if change == "cut" else bytes([content[0] ^ 1]) + content[1:])
        head = archive.ledger().head
        with pytest.raises((ArchiveDamaged, StoreError)):
            merge_all(archive)
        assert archive.ledger().head == head
        assert all((archive.path / path).exists() for path in files if path != files[1])
        assert not list((archive.path / ".staging").iterdir())

    def test_a_source_whose_rows_the_ledger_does_not_vouch_for_is_not_merged(self, tmp_path: Path) -> None:
        """Its bytes are as sealed; its events are not those of the digest: somebody made the entry up."""
        archive = archive_of(tmp_path / "data", self.files())
        live = list(archive.ledger().files(TABLE.name))
        sources = [Source(path=archive.locate(file), record=file.record) for file in live]
        wrong = structs.replace(live[0].record, events_digest=seal.events_digest([b"\0" * 32]))
        merge = Merge(
            table=TABLE, partition=PARTITION, sources=(Source(path=sources[0].path, record=wrong), *sources[1:])
        )
        commit = Commit(operation="compact", started_at=NOW, added=[merge], removed=[file.record.path for file in live])
        with Writer(archive.path, clock=lambda: NOW) as writer, pytest.raises(ArchiveDamaged, match="vouches"):
            writer.commit(commit)

    def test_columns_that_are_not_known_are_never_lost(self, tmp_path: Path) -> None:
        archive = archive_of(tmp_path / "data", self.files())
        file = next(archive.ledger().files(TABLE.name))
        path = archive.locate(file)
        rows = pq.read_table(path, partitioning=None)
        path.chmod(0o600)
        pq.write_table(rows.append_column("later", pa.nulls(rows.num_rows, pa.string())), path)
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        record = structs.replace(file.record, bytes=path.stat().st_size, sha256=digest)
        merge = Merge(table=TABLE, partition=PARTITION, sources=(Source(path=path, record=record),))
        with Writer(archive.path, clock=lambda: NOW) as writer, pytest.raises(StoreError, match="other columns"):
            writer.commit(Commit(operation="compact", started_at=NOW, added=[merge], removed=[file.record.path]))


class TestReaders:
    """Of an archive that somebody reads, a merge leaves the files that it replaces until nobody does."""

    @pytest.fixture
    def archive(self, tmp_path: Path) -> Archive:
        made = Archives(tmp_path / "data")
        for number in range(30):
            made.api(START + timedelta(hours=number), "GetServer")
            made.commit()
        return Archive.open(made.path)

    def files(self, archive: Archive) -> int:
        return len(list((archive.path / "api_events").rglob("*.parquet")))

    @pytest.mark.filterwarnings("ignore::trailkeep.reading.warned.CoverageWarning")
    def test_an_answer_that_is_being_read_is_read_to_its_end(self, archive: Archive) -> None:
        sql = "SELECT id, unnest(range(5000)) AS n FROM api_events"
        with Opened(archive.path, limits=Limits(threads=1)) as opened:
            opened.sql(sql).close()
            for batches in (opened.sql(sql).batches(), opened.sql(sql).batches()):
                rows = next(batches).num_rows
                merge_all(archive)
                assert self.files(archive) == 31
                assert verify_archive(archive.path).is_valid
                rows += sum(batch.num_rows for batch in batches)
                assert rows == 30 * 5000
        with Writer(archive.path, clock=lambda: NOW) as writer:
            assert writer.recovered
        assert self.files(archive) == 1
        assert not list((archive.path / ".staging").iterdir())

    def test_they_stay_from_writer_to_writer_while_they_are_held(self, archive: Archive) -> None:
        hold = Hold(archive.path)
        merge_all(archive)
        assert self.files(archive) == 31
        with Writer(archive.path, clock=lambda: NOW) as writer:
            assert writer.recovered == []
        assert self.files(archive) == 31
        hold.release()
        hold.release()
        merge_all(archive)
        assert self.files(archive) == 1

    def test_what_is_purged_goes_whoever_reads(self, archive: Archive) -> None:
        hold = Hold(archive.path)
        merge_all(archive)
        with Writer(archive.path, clock=lambda: NOW) as writer:
            plan = plan_purge(writer.archive, writer.ledger, START + timedelta(hours=10))
            purge(writer, plan, reason="over", started_at=NOW)
        [file] = archive.ledger().files("api_events")
        assert file.record.rows == 20
        assert self.files(archive) == 1
        hold.release()


def ledger_of(files: list[tuple[str, dict[str, str], int, str]]) -> Ledger:
    """A ledger with an entry for each (operation, partition, bytes, first moment), and no file on any disk."""
    ledger = Ledger(archive_id="a")
    for operation, partition, size, first in files:
        add(ledger, operation, [(partition, size, first)], [])
    return ledger


def add(
    ledger: Ledger,
    operation: str,
    files: list[tuple[dict[str, str], int, str]],
    removed: list[str],
    at: datetime | None = None,
) -> list[str]:
    seq = ledger.head.seq + 1 if ledger.head else 1
    records = [
        FileRecord(
            path="api_events/"
            + "/".join(f"{key}={value}" for key, value in partition.items())
            + f"/{seq}_{number}_x.parquet",
            bytes=size,
            sha256="0" * 64,
            rows=1,
            first=first,
            last=first,
        )
        for number, (partition, size, first) in enumerate(files)
    ]
    entry = seal.Entry(
        format=1,
        seq=seq,
        previous=ledger.head.sha256 if ledger.head else None,
        archive_id="a",
        operation=operation,
        run="r",
        started_at=format_time(at or NOW),
        finished_at=format_time(at or NOW),
        tool={},
        host="h",
        os_user="u",
        files_added=records,
        files_removed=removed,
    )
    ledger.append(seal.encode_entry(entry))
    return [record.path for record in records]


def in_month(month: str, region: str = "fr-par") -> dict[str, str]:
    return {"organization_id": ORGANIZATION, "region": region, "month": month}


CLOSED = datetime(2026, 3, 1, tzinfo=UTC) + CLOSED_AFTER
"""When February is."""


class TestPlan:
    def sizes(self, month: str, sizes: list[int], now: datetime, *, everything: bool = False) -> list[int]:
        ledger = ledger_of([("sync", in_month(month), size, f"{month}-01T00:00:00Z") for size in sizes])
        return [len(group.files) for group in plan_compaction(ledger, now, everything=everything)]

    def test_a_month_that_goes_on_waits_until_many_have_come_together(self) -> None:
        size = EARLIER[-1][0] + 1  # bytes
        assert self.sizes("2026-03", [size] * (FAN_IN - 1), NOW) == []
        assert self.sizes("2026-03", [size] * FAN_IN, NOW) == [FAN_IN]
        assert self.sizes("2026-03", [10] * 3, NOW, everything=True) == [3]

    @pytest.mark.parametrize(("size", "few", "_share"), EARLIER)
    def test_of_files_with_little_in_them_fewer_are_merged(self, size: int, few: int, _share: float) -> None:
        assert self.sizes("2026-03", [size] * few, NOW) == []
        assert self.sizes("2026-03", [size] * (few + 1), NOW) == [few + 1]
        large = size * few
        assert self.sizes("2026-03", [large, *[1] * few], NOW) == [few]

    def test_what_no_month_ends_stays_a_few_files(self) -> None:
        ledger, most = Ledger(archive_id="a"), 0
        partition = {"organization_id": ORGANIZATION}
        for number in range(500):
            add(ledger, "directory", [(partition, 10_000 + number % 7 * 100_000, format_time(NOW))], [])
            for group in plan_compaction(ledger, NOW):
                removed = [file.record.path for file in group.files]
                add(ledger, "compact", [(partition, group.bytes, format_time(NOW))], removed)
            most = max(most, len(ledger.live))
        assert most < 20

    def test_a_month_that_is_over_becomes_one_file(self) -> None:
        assert self.sizes("2026-02", [10] * 4, datetime(2026, 3, 2, 23, 59, tzinfo=UTC)) == []
        assert self.sizes("2026-02", [10] * 4, datetime(2026, 3, 3, tzinfo=UTC)) == [4]
        assert self.sizes("2025-12", [10] * 4, NOW) == [4]

    def test_a_late_event_does_not_rewrite_a_month(self) -> None:
        later = datetime(2026, 6, 1, tzinfo=UTC)
        first = "2026-02-01T00:00:00Z"
        closed = (in_month("2026-02"), 10_000, first)
        for sizes, merged in (([10], []), ([10] * 8, [9]), ([1250], [2])):
            ledger = Ledger(archive_id="a")
            add(ledger, "compact", [closed], [], CLOSED)
            add(ledger, "sync", [(in_month("2026-02"), size, first) for size in sizes], [])
            assert [len(group.files) for group in plan_compaction(ledger, later)] == merged

    def test_a_month_is_closed_once_however_small_its_last_files_are(self) -> None:
        ledger = Ledger(archive_id="a")
        first = "2026-02-01T00:00:00Z"
        add(ledger, "compact", [(in_month("2026-02"), 10_000, first)], [], CLOSED - timedelta(hours=1))
        add(ledger, "sync", [(in_month("2026-02"), 10, first)], [], CLOSED)
        (group,) = plan_compaction(ledger, CLOSED)
        assert len(group.files) == 2

    def test_full_files_stay_as_they_are(self) -> None:
        full = 500 * 1024**2
        assert self.sizes("2026-02", [full, full], datetime(2026, 6, 1, tzinfo=UTC), everything=True) == []
        assert self.sizes("2026-02", [full, 10, 20], datetime(2026, 6, 1, tzinfo=UTC)) == [2]

    def test_partitions_are_never_mixed(self) -> None:
        files = [
            ("sync", in_month(month, region), 10, f"{month}-01T00:00:00Z")
            for month in ("2026-01", "2025-12")
            for region in ("fr-par", "nl-ams")
            for _ in range(3)
        ]
        groups = plan_compaction(ledger_of(files), datetime(2026, 6, 1, tzinfo=UTC))
        assert [len(group.files) for group in groups] == [3, 3, 3, 3]
        assert [group.partition["month"] for group in groups] == ["2025-12", "2025-12", "2026-01", "2026-01"]
        for group in groups:
            assert [*group.partition] == ["organization_id", "region", "month"]
            assert all(file.partition == group.partition for file in group.files)

    @pytest.mark.parametrize(
        ("every", "footer", "grown"),
        [
            (timedelta(hours=1), 4000, 1000),
            (timedelta(hours=1), 7300, 2700),
            (timedelta(hours=1), 7300, 4600),
            (timedelta(hours=1), 9200, 6800),
            (timedelta(hours=1), 9200, 14_000),
            (timedelta(hours=6), 4000, 400_000),
        ],
    )
    def test_a_year_of_syncs_rewrites_each_event_less_than_twice(
        self, every: timedelta, footer: int, grown: int
    ) -> None:
        """A file costs something whatever it holds, so that many small ones are larger than one."""
        ledger = Ledger(archive_id="a")
        moment, written, brought = datetime(2025, 1, 1, tzinfo=UTC), 0, 0
        most = 0
        while moment < datetime(2026, 1, 4, tzinfo=UTC):
            month, first = f"{moment:%Y-%m}", format_time(moment)
            add(ledger, "sync", [(in_month(month), grown + footer, first)], [])
            brought += grown + footer
            most = max(most, len(ledger.live))
            for group in plan_compaction(ledger, moment):
                size = group.bytes - footer * (len(group.files) - 1)
                first = group.files[0].record.first
                removed = [file.record.path for file in group.files]
                add(ledger, "compact", [(group.partition, size, first)], removed, moment)
                written += size
            moment += every
        assert (brought + written) / brought < 3
        closed = [file for file in ledger.live.values() if file.partition["month"] < "2026-01"]
        assert len(closed) == 12
        assert most < 12 + 2 * FAN_IN


def test_the_command_merges_and_says_what(tmp_path: Path) -> None:
    archive = archive_of(tmp_path / "data", [new_rows([number], f"f{number}") for number in range(3)])
    before = held(archive)
    planned = run(tmp_path, "compact", "--all", "--dry-run")
    assert planned.returncode == 0, planned.stderr
    assert planned.stdout.splitlines()[0].startswith("would merge 3 files of revisions 2026-01 ")
    assert len(archive.ledger().live) == 3
    done = run(tmp_path, "compact", "--all", "--format", "json")
    report = json.loads(done.stdout)
    assert (report["files"], report["ledger_seq"], report["merged"][0]["rows"]) == (1, 5, 3)
    assert held(archive) == before
    again = run(tmp_path, "compact", "--all")
    assert again.stdout.splitlines() == ["nothing to merge", "files: 1"]
