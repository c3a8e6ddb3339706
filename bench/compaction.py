"""What merging costs: time and memory for one large month, files and bytes over simulated years of hourly syncs."""

from __future__ import annotations

import argparse
import multiprocessing
import resource
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent.parent / "tests"))

import pyarrow.parquet as pq

from test_compaction import add, in_month
from trailkeep import schema
from trailkeep.store import Archive, Commit, Ledger, NewRows, Writer
from trailkeep.store.compaction import compact, plan_compaction
from trailkeep.timespan import format_time

NOW = datetime(2026, 4, 1, tzinfo=UTC)
START = datetime(2026, 1, 1, tzinfo=UTC)
PARTITION = in_month("2026-01")


def month_of_files(path: Path, files: int, rows: int, raw_bytes: int) -> None:
    """A month in so many files, with `raw` that hardly compresses."""
    import random

    import pyarrow as pa

    noise = random.Random(1)
    fields = [field for field in schema.API_EVENTS.arrow_schema if field.name != "ledger_seq"]
    with Writer(path, clock=lambda: NOW) as writer:
        for number in range(files):
            begin = START + timedelta(minutes=60 * number)
            times = [(begin + timedelta(milliseconds=3 * row)).replace(tzinfo=None) for row in range(rows)]
            values = {
                "id": [f"{noise.getrandbits(128):032x}" for _ in range(rows)],
                "recorded_at": times,
                "principal_id": [f"user-{noise.randrange(200)}" for _ in range(rows)],
                "method_name": [f"Method{noise.randrange(300)}" for _ in range(rows)],
                "raw": ['{"x":"' + noise.randbytes(raw_bytes // 2).hex() + '"}' for _ in range(rows)],
            }
            columns = [pa.array(values.get(field.name, [None] * rows), type=field.type) for field in fields]
            new = NewRows(
                table=schema.API_EVENTS, partition=PARTITION, rows=pa.table(columns, schema=pa.schema(fields))
            )
            writer.commit(Commit(operation="sync", started_at=NOW, added=[new]))


def merge(path: Path) -> None:
    """Merge it, in a process of its own so that its memory is its own."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    began = time.monotonic()
    with Writer(path, clock=lambda: NOW) as writer:
        groups = plan_compaction(writer.ledger, NOW)
        entries = compact(writer, groups, started_at=NOW)
    seconds = time.monotonic() - began
    read = sum(group.bytes for group in groups)
    written = sum(record.bytes for entry in entries for record in entry.files_added)
    files = sum(len(entry.files_added) for entry in entries)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"  {read / 1e6:,.0f} MB in {sum(len(g.files) for g in groups)} files -> {written / 1e6:,.0f} MB in {files}")
    print(f"  {read / 1e6 / seconds:,.0f} MB/s, peak memory {peak:,.0f} MB ({before:,.0f} MB at the begin)")


def simulated(years: int, streams: int) -> None:
    """Hourly syncs without any file: how many there would be, and how much would be written."""
    footer, grown = 4000, 1000
    ledger, moment, written, brought, most = Ledger(archive_id="a"), START - timedelta(days=365 * years), 0, 0, 0
    while moment < START:
        new = [
            (in_month(f"{moment:%Y-%m}", f"r{number}"), grown + footer, format_time(moment))
            for number in range(streams)
        ]
        add(ledger, "sync", new, [])
        brought += streams * (grown + footer)
        most = max(most, len(ledger.live))
        for group in plan_compaction(ledger, moment):
            size = group.bytes - footer * (len(group.files) - 1)
            removed = [file.record.path for file in group.files]
            add(ledger, "compact", [(group.partition, size, group.files[0].record.first)], removed)
            written += size
        moment += timedelta(hours=1)
    amplification = (brought + written) / brought
    files = f"{len(ledger.live)} files (at most {most})"
    print(f"  {years} years, {streams} streams: {files}, {amplification:.2f} times written")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--files", type=int, default=300)
    parser.add_argument("--rows", type=int, default=4000)
    parser.add_argument("--raw-bytes", type=int, default=1000)
    parser.add_argument("--years", type=int, default=2)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "data"
        print(f"one month of {arguments.files} files with {arguments.rows} events of {arguments.raw_bytes} bytes")
        month_of_files(path, arguments.files, arguments.rows, arguments.raw_bytes)
        process = multiprocessing.get_context("spawn").Process(target=merge, args=(path,))
        process.start()
        process.join()
        ledger = Archive.open(path).ledger()
        rows = sum(pq.read_metadata(path / record).num_rows for record in ledger.live)
        print(f"  {rows:,} events, {len(ledger.live)} files")
    print("simulated hourly syncs")
    simulated(arguments.years, 3)


if __name__ == "__main__":
    main()
