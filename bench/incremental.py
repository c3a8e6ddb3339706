"""What one more sync costs: 1,000 new events onto an archive of millions, beside the same onto an empty one.

Both archives are asked to read the same hours from the same emulator, by turns, each in a process of its own; what the
archive has of the first hour comes again, as it does in every sync. The large one is copied with hard links first, so
that it stays as it was.

Run as ``python bench/incremental.py [--archive FOLDER] [--events 1000000] [--rounds 5]``.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import uuid
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from random import Random
from typing import Any

from trailkeep.store import Archive, read_segment
from trailkeep.timespan import Span, format_time, parse_moment

NEW = 1000
NEW_HOURS = 10
EPOCH = datetime.fromisoformat("1970-01-01T00:00:00+00:00")

CHILD = """
import atexit, runpy, sys
place = sys.argv.pop(1)
atexit.register(lambda: open(place, "w").write(open("/proc/self/io").read()))
runpy.run_module("trailkeep", run_name="__main__")
"""

Events = dict[tuple[str, str], list[tuple[int, bytes]]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """What one process took."""

    wall_ms: float
    processor_ms: float
    peak_mb: float
    read_mb: float
    requests: int


def last_hour(archive: Archive, end: datetime) -> dict[tuple[str, str], list[bytes]]:
    """The events of the hour before `end`, by kind and region."""
    span = Span(end - timedelta(hours=1), end)
    found: dict[tuple[str, str], list[bytes]] = {}
    for kind in ("api", "authentication", "system"):
        for file in archive.ledger().files(f"{kind}_events", span):
            rows = read_segment(archive.locate(file), ["raw"], span)
            found.setdefault((kind, file.partition["region"]), []).extend(
                text.encode() for text in rows["raw"].to_pylist()
            )
    return found


def to_serve(known: dict[tuple[str, str], list[bytes]], end: datetime) -> Events:
    """What the API has: the known hour, and new events made of it, spread over the hours that follow."""
    luck = Random(7)
    models = [(stream, raw) for stream, raws in known.items() for raw in raws]
    served: Events = {}
    for stream, raw in models:
        served.setdefault(stream, []).append((_nanoseconds(parse_moment(json.loads(raw)["recorded_at"])), raw))
    for number in range(NEW):
        stream, raw = models[number * len(models) // NEW]
        at = end + timedelta(hours=NEW_HOURS) * (number + luck.random()) / (NEW + 2)
        event = json.loads(raw)
        event["id"] = str(uuid.UUID(int=luck.getrandbits(128), version=4))
        event["recorded_at"] = at.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        served.setdefault(stream, []).append(
            (_nanoseconds(at), json.dumps(event, ensure_ascii=False, separators=(",", ":")).encode())
        )
    return {stream: sorted(rows) for stream, rows in served.items()}


def _nanoseconds(at: datetime) -> int:
    return (at - EPOCH) // timedelta(microseconds=1) * 1000


def run(path: Path, since: datetime, environment: dict[str, str], emulator: Any) -> tuple[Cost, dict[str, int]]:
    """One sync; what it cost, and what it counted."""
    before = len(emulator.requests)
    with tempfile.NamedTemporaryFile() as told:
        sync = ["sync", "--no-directory", "--since", format_time(since), "--format", "json"]
        command = [sys.executable, "-c", CHILD, told.name, "--archive", str(path), *sync]
        begin = time.perf_counter()
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
            assert process.stdout is not None
            assert process.stderr is not None
            output, errors = process.stdout.read(), process.stderr.read()
            _pid, status, used = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
        wall = time.perf_counter() - begin
        if process.returncode:
            raise SystemExit(errors.decode())
        read = int(re.search(r"rchar: (\d+)", Path(told.name).read_text())[1])  # type: ignore[index]
    cost = Cost(
        wall_ms=wall * 1000,
        processor_ms=(used.ru_utime + used.ru_stime) * 1000,
        peak_mb=used.ru_maxrss / 1024,
        read_mb=read / 1e6,
        requests=len(emulator.requests) - before,
    )
    return cost, json.loads(output)["total"]


def compare(source: Path, folder: Path, rounds: int) -> None:
    """Both kinds of sync by turns."""
    from trailkeep.demo.emulator import Emulator
    from trailkeep.demo.serve import serve

    archive = Archive.open(source)
    ledger = archive.ledger()
    end = max(claims.covered[-1].end for claims in ledger.streams.values() if claims.covered)
    organization_id = min(ledger.organizations) if ledger.organizations else ""
    organization_id = organization_id or next(iter(ledger.streams)).organization_id
    rows = sum(file.record.rows for file in ledger.live.values())
    emulator = Emulator(clock=lambda: end + timedelta(hours=NEW_HOURS), organization_id=organization_id)
    known = last_hour(archive, end)
    emulator.load(to_serve(known, end))
    print(f"an archive of {rows:,} events; {NEW:,} are new, {sum(map(len, known.values())):,} come again")
    costs: dict[str, list[Cost]] = {"large": [], "empty": []}
    with serve(emulator) as server:
        environment = os.environ | {
            "SCW_API_URL": server.url,
            "SCW_SECRET_KEY": emulator.secret_key,
            "SCW_ACCESS_KEY": emulator.access_key,
            "SCW_DEFAULT_ORGANIZATION_ID": organization_id,
        }
        for number in range(rounds + 1):
            for name, told in costs.items():
                path = folder / f"{name}{number}"
                if name == "large":
                    shutil.copytree(source, path, copy_function=os.link, ignore=shutil.ignore_patterns(".lock"))
                cost, total = run(path, end - timedelta(hours=1), environment, emulator)
                assert total["new"] == (NEW if name == "large" else NEW + sum(map(len, known.values()))), total
                if number:  # the first warms the disk's cache
                    told.append(cost)
                shutil.rmtree(path)
    for name, unit in (
        ("wall_ms", "ms"), ("processor_ms", "ms of processor time"), ("peak_mb", "MB at most"), ("read_mb", "MB read"),
        ("requests", "requests"),
    ):  # fmt: skip
        large, empty = (statistics.median(getattr(cost, name) for cost in each) for each in costs.values())
        best = [min(getattr(cost, name) for cost in each) for each in costs.values()]
        least = best[0] / best[1] if best[1] else 1
        print(f"  {large:,.1f} against {empty:,.1f} {unit}: {large / empty:.2f} times, the least {least:.2f} times")


def main() -> None:
    """Make an archive where none is given, and compare."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--archive", type=Path, help="use this archive, as bench/archives.py makes it")
    parser.add_argument("--events", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scratch", type=Path, help="where copies are made: on the archive's file system")
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        source = arguments.archive
        if source is None:
            from archives import build

            source = Path(folder) / "source"
            build(source, arguments.events)
        compare(source, Path(folder), arguments.rounds)


if __name__ == "__main__":
    main()
