"""Page bytes to committed Parquet: events per second, the share of each step, and peak memory of a sync.

Prints ratios against DuckDB's own NDJSON to Parquet copy of the same events, measured in the same run, side by side.
"""

from __future__ import annotations

import argparse
import bisect
import hashlib
import importlib
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

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


def cpu_seconds() -> float:
    """What this process and its ended children have used so far."""
    times = os.times()
    return times.user + times.system + times.children_user + times.children_system


def sync(events: list[bytes], archive: Path) -> tuple[float, float]:
    """Seconds that a sync of `events` takes, and those of processors."""
    from trailkeep.progress import Silent
    from trailkeep.sync import Request, Run, run_sync

    client = Canned(events)
    request = Request(
        organization_id=client.organization_id, kinds=("api",), regions=("fr-par",), overlap=timedelta(hours=1)
    )
    run = Run(
        archive=archive, client=client, clock=lambda: NOW, stop=threading.Event(), progress=Silent(), concurrency=1
    )
    began, used = time.perf_counter(), cpu_seconds()
    report = run_sync(run, request)
    taken = time.perf_counter() - began, cpu_seconds() - used
    assert report.total["new"] == len(events), report.total
    return taken


def duckdb_copy(events: list[bytes], folder: Path) -> tuple[float, float]:
    """Seconds that DuckDB takes for the same events from NDJSON to Parquet, without bytes kept or hashes."""
    import duckdb

    ndjson = folder / "events.ndjson"
    ndjson.write_bytes(b"\n".join(events))
    began, used = time.perf_counter(), cpu_seconds()
    connection = duckdb.connect()
    connection.execute("SET enable_progress_bar = false")
    connection.execute(
        f"COPY (SELECT * FROM read_json('{ndjson}', format='newline_delimited', sample_size=-1))"
        f" TO '{folder}/out.parquet' (FORMAT parquet, COMPRESSION zstd)"
    )
    return time.perf_counter() - began, cpu_seconds() - used


STEPS = {
    "read pages, identify events": ("trailkeep.sync.run", "_Syncing", "_work"),
    "  split pages": ("trailkeep.api.client", None, "split_body"),
    "  identify": ("trailkeep.sync.cursor", None, "identify"),
    "collect, drop what repeats": ("trailkeep.sync.batch", "Batch", "add"),
    "ask aside, send and receive": ("trailkeep.events.aside", "Aside", "_ask"),
    "commit": ("trailkeep.sync.run", "_Syncing", "_commit"),
    "  rows (those read here, too)": ("trailkeep.sync.batch", "Batch", "rows"),
    "  segments": ("trailkeep.store.writer", None, "build_segment"),
    "    digest of events": ("trailkeep.seal", None, "events_digest"),
    "  pivot index": ("trailkeep.store.writer", "Writer", "_index"),
}


def shares(events: list[bytes]) -> None:
    """Print what each step takes of a processor; the other process's share is what is left."""
    used: Counter[str] = Counter()

    def timed(step: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*given: Any, **named: Any) -> Any:
            began = time.thread_time()
            try:
                return function(*given, **named)
            finally:
                used[step] += time.thread_time() - began

        return call

    usual: list[tuple[Any, str, Any]] = []
    for step, (module, owner, name) in STEPS.items():
        place: Any = importlib.import_module(module)
        place = getattr(place, owner) if owner else place
        usual.append((place, name, getattr(place, name)))
        setattr(place, name, timed(step, usual[-1][2]))
    try:
        with tempfile.TemporaryDirectory() as folder:
            _seconds, total = sync(events, Path(folder) / "data")
    finally:
        for place, name, function in usual:
            setattr(place, name, function)
    for step in STEPS:
        print(f"  {step:32s}  {used[step] / len(events) * 1e6:5.1f} µs")
    mine = sum(used[step] for step in STEPS if not step.startswith(" "))
    print(f"  {'the other process, and the rest':32s}  {(total - mine) / len(events) * 1e6:5.1f} µs")


def throughput(count: int, rounds: int) -> None:
    events = generate(count)
    total = sum(map(len, events))
    ours: list[tuple[float, float]] = []
    theirs: list[tuple[float, float]] = []
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            ours.append(sync(events, Path(folder) / "data"))
            size = sum(path.stat().st_size for path in Path(folder).rglob("*_events/**/*.parquet"))
            theirs.append(duckdb_copy(events, Path(folder)))
    best, other = min(ours)[0], min(theirs)[0]
    used, other_used = (min(each[1] for each in taken) / len(events) * 1e6 for taken in (ours, theirs))
    ratios = sorted(other / mine for (mine, _), (other, _) in zip(ours, theirs, strict=True))
    print(f"events                              {len(events):,} ({total / len(events):.0f} bytes each)")
    print(f"page bytes to committed segments    {len(events) / best:,.0f} events/s (best of {rounds})")
    print(f"DuckDB read_json to Parquet         {len(events) / other:,.0f} events/s (no bytes kept, no hashes)")
    print(f"ratio to DuckDB                     {other / best:.2f} (median of rounds {ratios[len(ratios) // 2]:.2f})")
    print(
        f"processor time for an event         {used:.1f} µs, DuckDB {other_used:.1f} µs, ratio {other_used / used:.2f}"
    )
    print(f"load of the machine                 {os.getloadavg()[0]:.1f} on {os.cpu_count()} processors")
    print(f"archive bytes to NDJSON bytes       1/{total / size:.1f}")
    shares(events)


def tree(process_id: int) -> list[int]:
    """A process and all that descend from it."""
    try:
        tasks = list(Path(f"/proc/{process_id}/task").iterdir())
        children = [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return [process_id]
    return [process_id, *(each for child in children for each in tree(child))]


def proportional_bytes(process_id: int) -> int:
    """What a process holds of memory; what several share is split among them."""
    try:
        lines = Path(f"/proc/{process_id}/smaps_rollup").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


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
        syncing = subprocess.Popen(
            [sys.executable, "-m", "trailkeep", "--archive", str(folder / "data"), "sync", "--format", "json"],
            env=environment,
            stdout=subprocess.DEVNULL,
        )
        most = parent = 0
        processes = 1
        while syncing.poll() is None:
            held = [proportional_bytes(each) for each in tree(syncing.pid)]
            most, parent, processes = max(most, sum(held)), max(parent, held[0]), max(processes, len(held))
            time.sleep(0.05)
        assert syncing.returncode == 0, syncing.returncode
        seconds = time.perf_counter() - began
        peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        rows = subprocess.run(
            [sys.executable, "-m", "trailkeep", "--archive", str(folder / "data"), "status"],
            env=environment,
            capture_output=True,
            text=True,
            check=True,
        )
        print(rows.stdout)
        print(f"a sync over loopback, {seconds:.0f} s, up to {processes} processes:")
        print(
            f"peak memory of all (PSS) {most / 2**20:.0f} MiB, of the first {parent / 2**20:.0f} MiB (RSS {peak:.0f})"
        )
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
