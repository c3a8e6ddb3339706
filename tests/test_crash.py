"""The writer dies at every single operation: by its process ending, by the power going, and by `kill -9`."""

from __future__ import annotations

import hashlib
import shutil
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from typing import TYPE_CHECKING, Any

import httpx
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from archives import NOW, ORGANIZATION, rows_of
from faulty_disk import CRASH_STEP, Crash, FaultyDisk, UnsyncedDisk
from killing import Killing
from trailkeep import schema
from trailkeep.api import Client, Pacer
from trailkeep.demo.emulator import SECRET_KEY, Emulator
from trailkeep.errors import ArchiveMissing
from trailkeep.progress import Silent
from trailkeep.store import Archive, Commit, NewRows, Writer
from trailkeep.store.compaction import compact as merge
from trailkeep.store.compaction import plan_compaction
from trailkeep.store.purge import plan_purge, purge
from trailkeep.sync import Request, Run, run_sync
from trailkeep.timespan import format_time

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from trailkeep.store import Disk

RUN = "0" * 32
FIRST = datetime(2026, 1, 10, tzinfo=UTC)
PURGE_BEFORE = FIRST + timedelta(days=1, hours=2)

KILLS = 4

STRIDE = 20 * CRASH_STEP
"""How many operations of the writer that mends lie between two power cuts, on average."""

MEMORY = Path("/dev/shm")

Content = dict[str, list[tuple[Any, ...]]]
"""For each table the rows that a reader sees: when, which, brought by which entry, and what they say."""


@dataclass(frozen=True)
class Scenario:
    """Steps done on an archive that is either new or has the first steps behind it."""

    name: str
    steps: tuple[Callable[[Writer], object], ...]
    done_before: int

    def run(self, path: Path, disk: Disk, upto: int | None = None) -> None:
        """Do the steps that the archive does not have yet: what a program does that is started again."""
        with Writer(path, clock=lambda: NOW, disk=disk, run=RUN) as writer:
            assert writer.ledger.head is not None
            # The first entry is the archive's own; each step is one more.
            for step in self.steps[writer.ledger.head.seq - 1 : upto]:
                step(writer)


TABLE = schema.REVISIONS
"""The table with the fewest columns: what is written here thousands of times should cost little."""
REGIONS = ("fr-par", "nl-ams")


@cache
def new_rows(day: int, number: int, region: str) -> NewRows:
    rows = [
        {
            "kind": "api",
            "id": f"{region}-{number}-{hour}",
            "recorded_at": (FIRST + timedelta(days=day, hours=hour)).replace(tzinfo=None),
            "raw": f'{{"id": "{region}-{number}-{hour}"}}',
        }
        for hour in range(1, 4)
    ]
    partition = {"organization_id": ORGANIZATION, "region": region, "month": "2026-01"}
    return NewRows(table=TABLE, partition=partition, rows=rows_of(TABLE, rows))


def add(day: int, number: int) -> Callable[[Writer], object]:
    """Three events an hour apart in each of two regions."""

    def step(writer: Writer) -> None:
        added = [new_rows(day, number, region) for region in REGIONS]
        writer.commit(Commit(operation="sync", started_at=NOW, added=added))

    return step


def compact(writer: Writer) -> None:
    """All files of one region become one."""
    files = list(writer.ledger.files(TABLE.name, region="fr-par"))
    rows = pa.concat_tables(
        pq.read_table(writer.archive.locate(file), partitioning=None, use_threads=False) for file in files
    )
    writer.commit(
        Commit(
            operation="compact",
            started_at=NOW,
            added=[NewRows(table=TABLE, partition=files[0].partition, rows=rows)],
            removed=[file.record.path for file in files],
        )
    )


def compact_all(writer: Writer) -> None:
    """As `trailkeep compact` does it: the files of each region become one."""
    groups = plan_compaction(writer.ledger, NOW, everything=True)
    assert [len(group.files) for group in groups] == [2, 2]
    merge(writer, groups, started_at=NOW)


def purge_some(writer: Writer) -> None:
    """One file goes wholly in each stream, and one is split."""
    plan = plan_purge(writer.archive, writer.ledger, PURGE_BEFORE)
    assert sorted(cut.rows_kept for cut in plan.cuts) == [0, 0, 2, 2]
    assert purge(writer, plan, reason="too old", started_at=NOW)


ADDS = (add(0, 1), add(1, 2))
SCENARIOS = [
    Scenario("a new archive's first commit", (add(0, 1),), 0),
    Scenario("a further commit, then a compaction", (*ADDS, compact), 1),
    Scenario("a purge", (*ADDS, purge_some), 2),
    Scenario("a compaction of everything", (*ADDS, compact_all), 2),
]


class Bench:
    """One scenario, with what a reader may see after each step."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario = scenario
        self.folder = folder
        self.states: list[Content] = []
        for upto in range(len(scenario.steps) + 1):
            path = folder / f"after-{upto}" / "data"
            path.parent.mkdir()
            if upto:
                shutil.copytree(path.parent.parent / f"after-{upto - 1}" / "data", path)
            scenario.run(path, UnsyncedDisk(), upto)
            self.states.append(content_of(path))
        self._worlds = 0

    def world(self) -> FaultyDisk:
        """A fresh archive in the scenario's first state, on a disk that can be told to fail."""
        self._worlds += 1
        base = self.folder / f"world-{self._worlds}"
        if self.scenario.done_before:
            shutil.copytree(self.folder / f"after-{self.scenario.done_before}", base)
        else:
            base.mkdir()
        return FaultyDisk(base)

    def crash(self, disk: FaultyDisk, at: int) -> bool:
        """Run the scenario until operation `at`; whether it got there."""
        disk.crash_at = at
        try:
            self.scenario.run(disk.base / "data", disk)
        except Crash:
            return True
        return False

    def check(self, path: Path) -> None:
        """Readers see one of the states; the next writer mends, changes nothing that they see, and can go on."""
        allowed = self.states[self.scenario.done_before :]
        seen = content_of_or_none(path)
        if self.scenario.done_before:
            assert seen in allowed
        else:
            assert seen is None or seen in allowed
        with Writer(path, clock=lambda: NOW, disk=UnsyncedDisk()) as writer:
            assert writer.ledger.head is not None
        assert content_of(path) == (seen if seen is not None else self.states[0])
        assert_clean(path)
        self.scenario.run(path, UnsyncedDisk())
        assert content_of(path) == self.states[-1]
        assert_clean(path)


def content_of(path: Path) -> Content:
    """Every live row, from files whose bytes are what the ledger says."""
    archive = Archive.open(path)
    ledger = archive.ledger()
    content: Content = {}
    for file in ledger.live.values():
        place = archive.locate(file)
        found = place.read_bytes()
        assert (len(found), hashlib.sha256(found).hexdigest()) == (file.record.bytes, file.record.sha256)
        rows = rows_in(found)
        assert len(rows) == file.record.rows
        content.setdefault(file.table, []).extend(rows)
    return {table: sorted(rows) for table, rows in content.items()}


@cache
def rows_in(segment: bytes) -> list[tuple[Any, ...]]:
    rows = pq.read_table(pa.BufferReader(segment), use_threads=False)
    columns = [name for name in ("recorded_at", "id", "ledger_seq", "raw") if name in rows.schema.names]
    rows = rows.select(columns).to_pylist()
    return [tuple(row[name] for name in columns) for row in rows]


def content_of_or_none(path: Path) -> Content | None:
    try:
        return content_of(path)
    except ArchiveMissing:
        return None


def assert_clean(path: Path) -> None:
    """Nothing is left in staging, and whoever globs the folder finds exactly the live files."""
    assert list((path / ".staging").iterdir()) == []
    live = Archive.open(path).ledger().live
    assert {file.relative_to(path).as_posix() for file in path.glob("*/**/*.parquet")} == set(live)


@pytest.fixture(scope="module", params=SCENARIOS, ids=lambda scenario: scenario.name)
def bench(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bench]:
    # Nothing here depends on the medium, and thousands of small files are kinder to memory than to a disk.
    folder = Path(mkdtemp(dir=MEMORY)) if MEMORY.is_dir() else tmp_path_factory.mktemp("bench")
    try:
        yield Bench(request.param, folder)
    finally:
        shutil.rmtree(folder)


def test_a_process_that_ends_at_any_operation_leaves_the_old_or_the_new_state(bench: Bench) -> None:
    points = 0
    while True:
        disk = bench.world()
        if not bench.crash(disk, points + 1):
            break
        points += 1
        bench.check(disk.base / "data")
        shutil.rmtree(disk.base)
    assert points == len(disk.operations) > 20


def test_a_power_cut_at_any_operation_leaves_the_old_or_the_new_state(bench: Bench) -> None:
    points = 0
    while True:
        disk = bench.world()
        if not bench.crash(disk, points + 1):
            break
        points += 1
        for survival in (None, Random(points)):
            left = bench.folder / "left"
            disk.power_loss(left, survival)
            bench.check(left / "data")
            shutil.rmtree(left)
        shutil.rmtree(disk.base)
    assert points > 20


def test_a_writer_that_dies_while_it_mends_is_mended_by_the_next(bench: Bench) -> None:
    """The process ends anywhere; the next one, while it recovers and goes on, loses its power anywhere."""
    points = pairs = 0
    while True:
        points += 1
        second = 1
        while True:
            disk = bench.world()
            if not bench.crash(disk, points):
                assert pairs > 20
                return
            disk.revive()
            if not bench.crash(disk, second):
                break
            left = bench.folder / "left"
            disk.power_loss(left, Random(points * 1000 + second) if second % 2 else None)
            bench.check(left / "data")
            shutil.rmtree(left)
            shutil.rmtree(disk.base)
            second += 1 + (points * 7 + second) % (2 * STRIDE)  # every point of the first writer, some of the second's
            pairs += 1
        shutil.rmtree(disk.base)


def test_a_finished_archive_survives_a_power_cut_whole(bench: Bench) -> None:
    disk = bench.world()
    bench.scenario.run(disk.base / "data", disk)
    left = bench.folder / "left"
    for survival in (None, *map(Random, range(30))):
        disk.power_loss(left, survival)
        assert content_of(left / "data") == bench.states[-1]
        with Writer(left / "data", clock=lambda: NOW, disk=UnsyncedDisk()):
            pass
        assert_clean(left / "data")
        shutil.rmtree(left)


def test_a_sync_that_ends_at_any_operation_is_completed_by_the_next(tmp_path: Path) -> None:
    """From the making of the archive to the last of its commits, with the reading and the claims around them."""
    emulator = Emulator(clock=lambda: NOW, regions=("fr-par",))
    for number in range(130):
        at = NOW - timedelta(hours=5, minutes=number)
        emulator.add("api", "fr-par", {"id": f"event-{number:03}", "recorded_at": format_time(at)})
    truth = sorted(emulator.truth("api", "fr-par"))

    def sync(path: Path, disk: Disk) -> None:
        stop = threading.Event()
        client = Client(
            base_url="http://127.0.0.1",
            secret_key=SECRET_KEY,
            organization_id=emulator.organization_id,
            clock=lambda: NOW,
            pacer=Pacer(stop),
            transport=httpx.WSGITransport(app=emulator),
        )
        with client:
            run = Run(
                archive=path,
                client=client,
                clock=lambda: NOW,
                stop=stop,
                progress=Silent(),
                concurrency=1,
                disk=disk,
                commit_events=50,
            )
            run_sync(
                run,
                Request(
                    organization_id=emulator.organization_id,
                    kinds=("api",),
                    regions=("fr-par",),
                    overlap=timedelta(hours=1),
                ),
            )

    points = 0
    while True:
        base = tmp_path / str(points)
        base.mkdir()
        disk = FaultyDisk(base)
        disk.crash_at = points + 1
        ended = False
        try:
            sync(base / "data", disk)
        except Crash:
            ended = True
        seen = content_of_or_none(base / "data") or {}
        assert {row[-1].encode() for row in seen.get("api_events", [])} <= set(truth)
        if ended:
            sync(base / "data", UnsyncedDisk())
        assert sorted(row[-1].encode() for row in content_of(base / "data")["api_events"]) == truth
        assert_clean(base / "data")
        shutil.rmtree(base)
        if not ended:
            break
        points += CRASH_STEP
    assert points > 50


def test_a_sync_killed_at_any_moment_loses_and_doubles_nothing(tmp_path: Path) -> None:
    """A real process and a real SIGKILL; `make soak` does the same a thousand times."""
    with Killing(tmp_path, seed=1) as killing:
        tally = killing.kill(KILLS)
    assert tally.kills == KILLS
