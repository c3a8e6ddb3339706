"""Page bytes to committed Parquet: events per second, the share of each step, and peak memory of a sync.

Prints ratios against DuckDB's own NDJSON to Parquet copy of the same events, measured in the same run, side by side.
"""

from __future__ import annotations

import argparse
import bisect
import hashlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

NOW = datetime(2026, 6, 1, tzinfo=UTC)
PAGE = 100


def generate(count: int) -> list[bytes]:
    """The story's api events of fr-par, about `count` of them."""
    from trailkeep.demo.story import demo_organization

    organization = demo_organization(now=NOW, events_per_day=max(280, count * 16 // (10 * 90)))
    return list(organization.events[("api", "fr-par")])[:count]


class Canned:
    """The API as a sync sees it, answered from bodies made beforehand: no network and no HTTP in the measurement."""

    organization_id = "0c8f1d5e-6a5b-4d0a-9a53-2f1de1b7c0a4"

    def __init__(self, events: list[bytes]) -> None:
        from trailkeep.events import identify

        self.times = [arrival.recorded_at for arrival in identify(events)[0]]
        self.events = events
        self.bodies = {start: self.body(start, len(events)) for start in range(0, len(events), PAGE)}

    def body(self, start: int, end: int) -> bytes:
        rows = self.events[start : min(start + PAGE, end)]
        more = f',"next_page_token":"{start + PAGE}"' if start + PAGE < end else ""
        return b'{"events":[' + b",".join(rows) + b"]" + more.encode() + b"}"

    def page(self, stream, bounds, token=None, *, size=PAGE, retries=None):
        from trailkeep.api import Page
        from trailkeep.api.client import split_body

        start = int(token) if token else bisect.bisect_left(self.times, bounds.start)
        end = bisect.bisect_left(self.times, bounds.end)
        body = self.bodies[start] if start in self.bodies and end == len(self.events) else self.body(start, end)
        events, following = split_body(body)
        return Page(
            events=events,
            next_token=following,
            status=200,
            bytes=len(body),
            sha256=hashlib.sha256(body).hexdigest(),
            request_id=None,
            server_date=NOW,
            received_at=NOW,
            attempts=1,
        )


def sync(events: list[bytes], archive: Path) -> float:
    """Seconds that a sync of `events` takes."""
    from trailkeep.progress import Silent
    from trailkeep.sync import Request, Run, run_sync

    client = Canned(events)
    request = Request(
        organization_id=client.organization_id, kinds=("api",), regions=("fr-par",), overlap=timedelta(hours=1)
    )
    run = Run(
        archive=archive, client=client, clock=lambda: NOW, stop=threading.Event(), progress=Silent(), concurrency=1
    )
    began = time.perf_counter()
    report = run_sync(run, request)
    seconds = time.perf_counter() - began
    assert report.total["new"] == len(events), report.total
    return seconds


def duckdb_copy(events: list[bytes], folder: Path) -> float:
    """Seconds that DuckDB takes for the same events from NDJSON to Parquet, without bytes kept or hashes."""
    import duckdb

    ndjson = folder / "events.ndjson"
    ndjson.write_bytes(b"\n".join(events))
    began = time.perf_counter()
    connection = duckdb.connect()
    connection.execute("SET enable_progress_bar = false")
    connection.execute(
        f"COPY (SELECT * FROM read_json('{ndjson}', format='newline_delimited', sample_size=-1))"
        f" TO '{folder}/out.parquet' (FORMAT parquet, COMPRESSION zstd)"
    )
    return time.perf_counter() - began


def throughput(count: int, rounds: int) -> None:
    events = generate(count)
    total = sum(map(len, events))
    ours: list[float] = []
    theirs: list[float] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            ours.append(sync(events, Path(folder) / "data"))
            size = sum(path.stat().st_size for path in Path(folder).rglob("*.parquet"))
            theirs.append(duckdb_copy(events, Path(folder)))
    best, other = min(ours), min(theirs)
    print(f"events                              {len(events):,} ({total / len(events):.0f} bytes each)")
    print(f"page bytes to committed segments    {len(events) / best:,.0f} events/s (best of {rounds})")
    print(f"DuckDB read_json to Parquet         {len(events) / other:,.0f} events/s (no bytes kept, no hashes)")
    print(f"ratio to DuckDB                     {other / best:.2f}")
    print(f"archive bytes to NDJSON bytes       1/{total / size:.1f}")


def memory(count: int) -> None:
    """Peak memory of `trailkeep sync` of `count` events from an emulator in another process."""
    folder = Path(tempfile.mkdtemp(prefix="trailkeep-bench-"))
    serving = subprocess.Popen(
        [sys.executable, "-m", "trailkeep", "emulator", "--events-per-day", str(count // 88)],
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    try:
        assert serving.stdout is not None
        exports = [serving.stdout.readline().removeprefix("export ").strip().split("=", 1) for _ in range(4)]
        environment = {**os.environ, **dict(exports)}
        began = time.perf_counter()
        subprocess.run(
            [sys.executable, "-m", "trailkeep", "--archive", str(folder / "data"), "sync", "--format", "json"],
            env=environment,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        seconds = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        status = subprocess.run(
            [sys.executable, "-m", "trailkeep", "--archive", str(folder / "data"), "status"],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        print(status.stdout)
        print(f"a sync over loopback, {seconds:.0f} s: peak memory {peak:.0f} MiB")
    finally:
        serving.terminate()
        serving.wait()
        shutil.rmtree(folder)


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--events", type=int, default=200_000)
    arguments.add_argument("--memory-events", type=int, default=1_000_000)
    arguments.add_argument("--rounds", type=int, default=3)
    chosen = arguments.parse_args()
    throughput(chosen.events, chosen.rounds)
    if chosen.memory_events:
        memory(chosen.memory_events)
