"""What years of hourly syncs cost whoever opens the archive: files, the ledger's fold, `status`, a small query.

The archive is made for the purpose: its ledger has an entry for every sync of three regions and for every merge that
followed, as the rules of merging plan it, chained and folded by the archive's own rules; the files that are live after
the last entry are there, with a few events each, so that `trailkeep verify` finds nothing wrong. What was merged away
meanwhile never was on a disk: flushing 200,000 files would take hours and tell nothing.

Run as ``python bench/ledger.py [--years 5] [--keep FOLDER]``.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

import pyarrow as pa

from trailkeep import seal
from trailkeep.schema import STORED_TABLES, Table
from trailkeep.store import Archive, Disk, Ledger, Writer, layout, remembered
from trailkeep.store.archive import describe_archive
from trailkeep.store.compaction import plan_compaction
from trailkeep.store.ledger import live_file
from trailkeep.store.segments import build_segment
from trailkeep.timespan import format_time, month_of

ORGANIZATION = "cd613e30-d8f1-4adf-91b7-584a2265b1f5"
ARCHIVE = "33333333-3333-4333-8333-333333333333"
END = datetime(2026, 11, 20, 5, tzinfo=UTC)
"""Late in a month: then the most files wait to be merged."""
HOUR = timedelta(hours=1)
FOOTER, PER_EVENT = 9_500, 45
"""Bytes of a file without events and of each event in it, as measured on small segments."""
MOST_ROWS = 100
"""Of a live file: more would only take longer to make."""

STREAMS = [
    *(("api", region) for region in ("fr-par", "nl-ams", "pl-waw")),
    ("authentication", "fr-par"),
    *(("system", region) for region in ("fr-par", "nl-ams", "pl-waw")),
]
"""Kinds and regions in which the story's company leaves events."""
EVERY_HOURS = {"fr-par": 1, "nl-ams": 2, "pl-waw": 6}
EVENTS = {"api": 4, "authentication": 2, "system": 1}
LISTS = ("users", "applications", "groups", "api_keys", "policies", "ssh_keys", "projects", "products")


class NoSync(Disk):
    """A disk that need not survive a power cut."""

    def sync_file(self, descriptor: int) -> None:
        """Not flushed."""

    def sync_directory(self, path: Path) -> None:
        """Not flushed."""


@dataclass(slots=True)
class Made:
    """A file of the simulated archive."""

    table: str
    partition: dict[str, str]
    first: datetime
    last: datetime
    rows: int
    bytes: int
    number: int

    def record(self) -> seal.FileRecord:
        """As the ledger has it, with a hash that no content has."""
        sha256 = hashlib.sha256(str(self.number).encode()).hexdigest()
        return self.recorded(sha256, self.bytes, self.rows)

    def recorded(self, sha256: str, size: int, rows: int) -> seal.FileRecord:
        """As the ledger has it, with this content."""
        return seal.FileRecord(
            path=layout.segment_path(self.table, self.partition, self.first, self.last, sha256),
            bytes=size,
            sha256=sha256,
            rows=rows,
            first=format_time(self.first),
            last=format_time(self.last),
            events_digest="0" * 64 if "raw" in STORED_TABLES[self.table].arrow_schema.names else None,
        )


@dataclass
class Simulation:
    """Hourly syncs, and the merges that follow them, without any file."""

    years: float
    entries: list[tuple[str, datetime, list[Made], list[str]]] = field(default_factory=list)
    """Operation, time, files added and the paths of those removed."""
    made: dict[str, Made] = field(default_factory=dict)
    places: dict[tuple[str, ...], dict[str, None]] = field(default_factory=dict)
    """The paths of live files by their partition."""
    most: int = 0
    brought: int = 0
    merged: int = 0

    def run(self) -> None:
        """Fill `entries`; `made` then has what is live, by the path that its made-up hash gives it."""
        ledger = Ledger(ARCHIVE)
        moment = END - timedelta(days=365 * self.years)
        self._add(ledger, "init", moment, [], [])
        while moment < END:
            new = [*self._new(moment)]
            self.brought += sum(each.bytes for each in new)
            self._add(ledger, "sync", moment + HOUR, new, [])
            self.most = max(self.most, len(ledger.live))
            # A partition of one file is never worth merging, and five years have hundreds.
            several = {path: ledger.live[path] for some in self.places.values() if len(some) > 1 for path in some}
            groups = plan_compaction(Ledger(ARCHIVE, live=several), moment + HOUR)
            if groups:
                merged = [self._merged([self.made[each.record.path] for each in group.files]) for group in groups]
                self.merged += sum(each.bytes for each in merged)
                removed = [each.record.path for group in groups for each in group.files]
                self._add(ledger, "compact", moment + HOUR, merged, removed)
            moment += HOUR

    def _add(self, ledger: Ledger, operation: str, at: datetime, added: list[Made], removed: list[str]) -> None:
        seq = len(self.entries) + 1
        self.entries.append((operation, at, added, removed))
        for path in removed:
            del ledger.live[path]
            made = self.made.pop(path)
            del self.places[made.table, *made.partition.values()][path]
        for index, each in enumerate(added):
            record = each.record()
            self.made[record.path] = each
            self.places.setdefault((each.table, *each.partition.values()), {})[record.path] = None
            ledger.live[record.path] = live_file(record, seq, f"{seq:08d}-run", index, operation, format_time(at))

    def _new(self, moment: datetime) -> Any:
        hours = int((moment - datetime(2020, 1, 1, tzinfo=UTC)) / HOUR)
        for kind, region in STREAMS:
            if hours % (EVERY_HOURS[region] * (6 if kind == "system" else 1)) == 0:
                partition = {"organization_id": ORGANIZATION, "region": region, "month": month_of(moment)}
                yield self._file(f"{kind}_events", partition, moment, moment + HOUR / 2, EVENTS[kind])
        yield self._file("requests", {"month": month_of(moment)}, moment, moment + HOUR / 2, len(STREAMS) + 1)
        for number, name in enumerate(LISTS):
            if hours % 24 == number * 3 and (hours // 24) % 3 == number % 3:
                yield self._file(f"directory/{name}", {"organization_id": ORGANIZATION}, moment, moment, 2)

    def _file(self, table: str, partition: dict[str, str], first: datetime, last: datetime, rows: int) -> Made:
        self._number = getattr(self, "_number", 0) + 1
        last = last if rows > 1 else first
        return Made(table, partition, first, last, rows, FOOTER + PER_EVENT * rows, self._number)

    def _merged(self, files: list[Made]) -> Made:
        first, last = min(each.first for each in files), max(each.last for each in files)
        return self._file(files[0].table, files[0].partition, first, last, sum(each.rows for each in files))


def write(simulation: Simulation, path: Path) -> None:
    """Write the ledger and the live files."""
    disk = NoSync()
    disk.make_directory(path / layout.LEDGER)
    (path / layout.STAGING).mkdir(mode=0o700)
    disk.write(path / layout.ARCHIVE_FILE, describe_archive(ARCHIVE, format_time(END)), 0o600)
    live = {id(made) for made in simulation.made.values()}
    previous: str | None = None
    for seq, (operation, at, added, removed) in enumerate(simulation.entries, start=1):
        records = [_put(disk, path, each, seq) if id(each) in live else each.record() for each in added]
        content = seal.encode_entry(_entry(seq, previous, operation, at, records, removed))
        previous = seal.entry_hash(content)
        disk.write(path / layout.LEDGER / layout.entry_name(seq), content, 0o600)


def _entry(
    seq: int, previous: str | None, operation: str, at: datetime, added: list[seal.FileRecord], removed: list[str]
) -> seal.Entry:
    """An entry with all that a sync of three regions says."""
    said: dict[str, Any] = {}
    if operation == "sync":
        start, end = format_time(at - HOUR), format_time(at)
        keys = [{"organization_id": ORGANIZATION, "kind": kind, "region": region} for kind, region in STREAMS]
        counters = {"fetched": 6, "new": 4, "duplicate": 2, "revised": 0, "late": 0, "pages": 1, "quarantined": 0}
        said = {
            "coverage": [seal.CoverageRecord(**each, start=start, end=end) for each in keys],
            "streams": [
                seal.StreamRecord(**each, outcome="read", start=start, end=end, counters=counters) for each in keys
            ],
            "counters": counters,
            "clock_offset_ms": -120,
        }
    return seal.Entry(
        format=seal.FORMAT,
        seq=seq,
        previous=previous,
        archive_id=ARCHIVE,
        operation=operation,
        run=hashlib.sha256(str(seq).encode()).hexdigest()[:32],
        started_at=format_time(at),
        finished_at=format_time(at + timedelta(seconds=9)),
        tool={"trailkeep": "0", "python": "3", "duckdb": "2", "pyarrow": "26"},
        host="collector",
        os_user="trailkeep",
        organization_id=ORGANIZATION if operation == "sync" else None,
        files_added=added,
        files_removed=removed,
        **said,
    )


def _put(disk: Disk, path: Path, made: Made, seq: int) -> seal.FileRecord:
    """A live file, made now; its first and last row are at the moments that it is to have."""
    table = STORED_TABLES[made.table]
    rows = min(made.rows, MOST_ROWS)
    step = (made.last - made.first) / max(1, rows - 1)
    times = [made.first + number * step for number in range(rows - 1)] + [made.last]
    segment = build_segment(table, _rows(table, times if rows > 1 else [made.first], made.number, seq))
    record = made.recorded(segment.sha256, len(segment.content), rows)
    record = segment.record(record.path)
    disk.make_directory((path / record.path).parent)
    disk.write(path / record.path, segment.content, 0o444)
    return record


def _rows(table: Table, times: list[datetime], number: int, seq: int) -> pa.Table:
    naive = [each.replace(tzinfo=None) for each in times]
    columns = []
    for column in table.arrow_schema:
        if pa.types.is_timestamp(column.type):
            columns.append(pa.array(naive, column.type))
        elif column.name == "id":
            ids = [str(uuid5(NAMESPACE_URL, f"{number} {index}")) for index in range(len(times))]
            columns.append(pa.array(ids, column.type))
        elif column.name == "raw":
            columns.append(pa.array([f'{{"at":"{format_time(each)}"}}' for each in times], column.type))
        elif column.name == "ledger_seq":
            columns.append(pa.array([seq] * len(times), column.type))
        elif column.nullable:
            columns.append(pa.nulls(len(times), column.type))
        else:
            columns.append(_plain(column.type, len(times)))
    return pa.table(columns, schema=table.arrow_schema)


def _plain(kind: pa.DataType, count: int) -> pa.Array:
    if pa.types.is_integer(kind):
        return pa.array([0] * count, kind)
    return pa.array([[]] * count if pa.types.is_list(kind) else ["x"] * count, kind)


# What it costs


def folding(path: Path, rounds: int) -> None:
    """The fold from the first entry, and from the cache."""
    archive = Archive.open(path)
    remembered.forget(NoSync(), path)
    ledger = _timed("from the first entry", archive, 1)
    remembered.remember(NoSync(), path, ledger)
    print(f"  the cache holds {(path / layout.CACHE / remembered.NAME).stat().st_size:,} bytes")
    _timed("from the cache", archive, rounds)


def _timed(name: str, archive: Archive, rounds: int) -> Ledger:
    walls, used = [], []
    for _ in range(rounds):
        wall, cpu = time.perf_counter(), time.process_time()
        ledger = archive.ledger()
        walls.append((time.perf_counter() - wall) * 1000)
        used.append((time.process_time() - cpu) * 1000)
    print(f"  fold {name}: {statistics.median(walls):,.0f} ms ({statistics.median(used):,.0f} ms of processor time)")
    return ledger


def measured(command: list[str], archive: Path) -> tuple[float, float]:
    """Wall and processor time of one process, in milliseconds."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    begin = time.perf_counter()
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    full = [sys.executable, "-m", "trailkeep", "--archive", str(archive), *command]
    done = subprocess.run(full, check=False, capture_output=True, env=environment)
    if done.returncode not in (0, 6):
        raise SystemExit(done.stderr.decode())
    wall = time.perf_counter() - begin
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return wall * 1000, (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


def commands(archives: dict[str, Path], rounds: int) -> None:
    """The commands on each archive by turns, so that a busy machine slows all of them."""
    for command in (["status"], ["query", "--sql", "select 1"], ["query", "--sql", "select count(*) from api_events"]):
        times: dict[str, list[tuple[float, float]]] = {name: [] for name in archives}
        for _ in range(rounds):
            for name, path in archives.items():
                times[name].append(measured(command, path))
        said = []
        for name, each in times.items():
            wall, used = (statistics.median(column) for column in zip(*each, strict=True))
            said.append(f"{name} {wall:,.0f} ms ({used:,.0f} ms of processor time)")
        years, empty = (min(used for _wall, used in times[name]) for name in archives)
        print(f"  {' '.join(command)}: {', '.join(said)}; least processor time {years / empty:.2f} times")


def main() -> None:
    """Make the archive, and measure."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--years", type=float, default=5)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--keep", type=Path, help="make the archive here, or use the one that is here, and leave it")
    parser.add_argument("--plan-only", action="store_true", help="say only how many files there would be")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = arguments.keep or Path(folder) / "years"
        if not path.exists():
            began = time.monotonic()
            simulation = Simulation(arguments.years)
            simulation.run()
            times = (simulation.brought + simulation.merged) / simulation.brought
            print(f"{arguments.years:g} years of hourly syncs over three regions, {len(simulation.entries):,} entries")
            print(f"  {len(simulation.made)} files, at most {simulation.most}; bytes written {times:.2f} times")
            if arguments.plan_only:
                return
            write(simulation, path)
            print(f"  made in {time.monotonic() - began:,.0f} s")
        empty = Path(folder) / "empty"
        with Writer(empty, clock=lambda: END):
            pass
        folding(path, arguments.rounds)
        commands({"years": path, "empty": empty}, arguments.rounds)


if __name__ == "__main__":
    main()
